#!/usr/bin/python3
"""
Connections as such, with kvgate as the cache and with servers behind: kinds of sockets, many at once, long pipelines,
clients that do not read, that leave amid a value, that reset.
"""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import *

CLIENTS = 200
LARGE = 500000
HELD_MAX_KB = 100 * 1024        # what unread answers may cost, far below what they amount to


def set_line(key, value, more=b""):
	return b"set %s 0 0 %d%s\r\n%s\r\n" % (key, len(value), more, value)


def hit(key, value):
	return b"VALUE %s 0 %d\r\n%s\r\n" % (key, len(value), value)


def rss_kb(kv):
	with open("/proc/%d/status" % kv.pid) as f:
		return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def connections(kv):
	return int(stats(kv)["curr_connections"])


def many(kv, mode):
	"""Every client has its own values, and sees only them."""
	clients = [kv.client() for _ in range(CLIENTS)]
	good = 0
	for turn in range(3):
		for n, c in enumerate(clients):
			c.value = b"%d.%d." % (n, turn) * (1 + n % 50)
			c.send(set_line(b"own%d" % n, c.value) + b"get own%d\r\nmg own%d v k\r\nget none own%d\r\n" % (n, n, n))
		for n, c in enumerate(clients):
			key = b"own%d" % n
			want = (b"STORED\r\n" + hit(key, c.value) + b"END\r\n" +
			    b"VA %d k%s\r\n%s\r\n" % (len(c.value), key, c.value) + hit(key, c.value) + b"END\r\n")
			good += c.recv(len(want)) == want
	is_(good, 3 * CLIENTS, "%s: %d clients see their own values" % (mode, CLIENTS))
	for c in clients:
		c.close()


def long_pipelines(kv, mode):
	with kv.client() as c:
		n = 20000
		c.send_and_read(b"".join(b"ms p%d 3 q\r\n%03d\r\n" % (i % 1000, i % 1000) for i in range(n)) + b"mn\r\n")
		is_(c.recv(4), b"MN\r\n", "%s: %d quiet stores in a pipeline" % (mode, n))
		c.send_and_read(b"".join(b"mg p%d v k O%d\r\n" % (i % 1000, i) for i in range(n)))
		want = b"".join(b"VA 3 kp%d O%d\r\n%03d\r\n" % (i % 1000, i, i % 1000) for i in range(n))
		ok(c.recv(len(want)) == want, "%s: %d reads in a pipeline, in order" % (mode, n))
		keys = b" ".join(b"p%d" % i for i in range(1000))
		c.send(b"get %s\r\n" % keys * 20)
		want = (b"".join(hit(b"p%d" % i, b"%03d" % i) for i in range(1000)) + b"END\r\n") * 20
		ok(c.recv(len(want)) == want, "%s: gets of 1000 keys in a pipeline" % mode)


def unread(kv, mode):
	"""300 large values asked for and not read: other clients do not notice, memory stays bounded."""
	value = bytes(range(256)) * (LARGE // 256)
	with kv.client() as slow, kv.client() as other:
		other.ask(set_line(b"large", value), b"STORED\r\n", "%s: a large value" % mode)
		before = rss_kb(kv)
		asked = 300
		slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
		slow.send(b"get large\r\n" * asked)
		good = 0
		for i in range(200):
			key = b"while%d" % i
			good += other.call(set_line(key, b"v") + b"get %s\r\n" % key, b"END\r\n") == \
			    b"STORED\r\n" + hit(key, b"v") + b"END\r\n"
		is_(good, 200, "%s: a client that does not read holds up nobody" % mode)
		grown = rss_kb(kv) - before
		ok(grown < HELD_MAX_KB, "%s: nor does it fill the memory" % mode) or diag("grown by %d kB" % grown)
		want = hit(b"large", value) + b"END\r\n"
		is_(sum(slow.recv(len(want)) == want for _ in range(asked)), asked, "%s: and gets its %d values" % (mode, asked))
		is_(slow.sync(), b"", "%s: and nothing else" % mode)


def writes_only(kv, mode):
	"""A client that sends and never reads is no longer read at some time, and gets all its answers in the end."""
	with kv.client() as c:
		c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
		batch = b"get none\r\n" * 1000
		answer = b"END\r\n" * 1000
		sent = 0
		c.sock.setblocking(False)
		try:
			while sent < 64 << 20:
				sent += c.sock.send(batch[sent % len(batch):])
		except BlockingIOError:
			pass
		# What was begun must be ended for its answer to come.
		rest = -sent % len(batch)
		n = (sent + rest) // len(batch)
		c.send_and_read(batch[len(batch) - rest:] if rest else b"")
		good = sum(c.recv(len(answer)) == answer for _ in range(n))
		is_(good, n, "%s: %d thousand answers to a client that read late" % (mode, n))


def leaving(kv, mode):
	with kv.client() as c:
		c.ask(set_line(b"k", b"old"), b"STORED\r\n", "%s: an item" % mode)
		before = wait_for(lambda: connections(kv))
		for half in (b"set k 0 0 10\r\nabc", b"set k 0 0 10\r\nabcdefghij", b"set k 0 0 10\r\nabcdefghij\r", b"ms k 10\r\nabc",
		    b"set k 0 0 300000\r\n" + b"x" * 200000, b"set k 0 0 1"):
			with kv.client() as gone:
				gone.send(half)
				gone.half_close()
				gone.recv_all()
		c.ask(b"get k\r\n", hit(b"k", b"old") + b"END\r\n", "%s: half a value stores nothing" % mode)
		c.send(set_line(b"large", b"x" * LARGE))
		c.recv(8)
		for _ in range(20):
			with kv.client() as gone:
				gone.send(b"get large\r\n" * 50)
				gone.recv(1000)
				gone.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		for _ in range(20):
			with kv.client() as gone:
				gone.send(b"get large\r\nset k 0 0 3\r\nnew\r\nmn\r\n" * 3)
		with kv.client() as gone:
			gone.send(b"get large\r\nset k 0 0 3\r\nnew\r\n" * 3)
			gone.half_close()
			gone.recv_all()
		wait_for(lambda: connections(kv) <= before, what="connections to be gone")
		c.ask(b"get k none\r\n", hit(b"k", b"new") + b"END\r\n", "%s: what came whole was done" % mode)
		with kv.client() as gone:
			gone.send(b"get k\r\nquit\r\nget k\r\n")
			is_(gone.recv_all(), hit(b"k", b"new") + b"END\r\n", "%s: quit closes after the answers before it" % mode)


path = os.path.join(tmpdir(), "socket")
with Kvgate(["-s", path, "-a", "0700"]) as kv, kv.client() as c:
	c.ask(b"set k 0 0 1\r\na\r\nget k\r\n", b"STORED\r\n" + hit(b"k", b"a") + b"END\r\n", "unix socket")
	is_(os.stat(path).st_mode & 0o777, 0o700, "with the mode of -a")
port = free_port()
with Kvgate(["-p", port, "-l", "127.0.0.1", "-l", "::1", "-l", "127.0.0.2"]) as kv:
	for host in ("127.0.0.1", "::1", "127.0.0.2"):
		with Client((host, port)) as c:
			c.ask(b"set %s 0 0 1\r\na\r\nget 127.0.0.1\r\n" % host.encode(),
			    b"STORED\r\n" + hit(b"127.0.0.1", b"a") + b"END\r\n", host)

for mode, kv in all_modes(["-t", "4"]):
	many(kv, mode)
	long_pipelines(kv, mode)
	unread(kv, mode)
	writes_only(kv, mode)
	leaving(kv, mode)

done_testing()
