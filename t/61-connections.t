#!/usr/bin/python3
"""
Connections: clients that do not read, that send in pieces, that never stop, that leave in the middle; limits, idle
clients, the way the server ends. What a client is answered is compared byte for byte, whatever its manners.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import base64
import contextlib
import hashlib
import re
import resource
import select
import signal
import socket
import stat
import struct
import subprocess
import threading
from kvt import *
from faulty import Faulty

MiB = 1 << 20

with open(kvgate_binary(), "rb") as f:
	_text = f.read()
SANITIZED = b"__asan_init" in _text or b"__tsan_init" in _text
del _text


def status(pid, name):
	with open("/proc/%d/status" % pid) as f:
		return int(re.search(r"^%s:\s+(\d+)" % name, f.read(), re.M)[1])


def rss(kv):
	return status(kv.pid, "VmRSS") * 1024


def grew_less(kv, before, limit, name):
	"""A sanitizer keeps what is freed and shadows the rest: there only what has no bound at all is found."""
	limit *= 16 if SANITIZED else 1
	grown = rss(kv) - before
	if not ok(grown < limit, name):
		diag("grew by %d KiB, limit %d KiB" % (grown // 1024, limit // 1024))


def counter(kv, name):
	return int(stats(kv, "kvgate")[name])


def served(kv, name):
	with kv.client() as c:
		c.ask(b"mn\r\n", b"MN\r\n", name)


class Pipe:
	"""
	A pipeline on a connection of its own, sent as far as it goes. What comes is compared with what is expected by
	hashes, because it may be much. expected() yields pieces.
	"""

	def __init__(self, kv, request, expected):
		self.c = kv.client()
		self.c.sock.setblocking(False)
		self.left = memoryview(request)
		self.expected = expected

	def push(self):
		"""Sends what the server takes; true once everything was taken."""
		with contextlib.suppress(BlockingIOError):
			while self.left:
				self.left = self.left[self.c.sock.send(self.left[:1 << 20]):]
		return not self.left

	def all_right(self):
		"""Reads, and sends the rest, until all has come that should."""
		want, n = hashlib.blake2b(), 0
		for piece in self.expected():
			want.update(piece)
			n += len(piece)
		got, buf = hashlib.blake2b(), bytearray(1 << 20)
		while n > 0:
			events = select.select([self.c.sock], [self.c.sock] if self.left else [], [], self.c.seconds)
			if not events[0] and not events[1]:
				diag("%d bytes did not come" % n)
				return False
			if events[1]:
				self.push()
			if events[0]:
				try:
					m = self.c.sock.recv_into(buf, min(n, len(buf)))
				except ConnectionResetError:
					m = 0
				if m == 0:
					diag("the end came %d bytes early" % n)
					return False
				got.update(memoryview(buf)[:m])
				n -= m
		return got.digest() == want.digest()

	def close(self):
		self.c.close()


def opaque_gets(count, key, value):
	"""count reads that say which one they are, and their answers."""
	request = b"".join(b"mg %s v O%d\r\n" % (key, i) for i in range(count))
	return request, lambda: (b"VA %d O%d\r\n%s\r\n" % (len(value), i, value) for i in range(count))


# ---------------------------------------------------------------- clients that do not read

def never_reads(mode, kv):
	"""100,000 commands, nothing read: the server stops reading, holds little, loses nothing."""
	value = os.urandom(300).hex().encode()
	with kv.client() as c:
		c.ask(b"set hot 0 0 600\r\n%s\r\n" % value, b"STORED\r\n", mode + ": a value")
		c.call(b"mg hot v\r\n", b"\r\n" + value + b"\r\n")
	request, expected = opaque_gets(100000, b"hot", value)
	before, read, stalls = rss(kv), int(stats(kv)["bytes_read"]), counter(kv, "clients_stalled")
	pipe = Pipe(kv, request, expected)
	wait_for(lambda: pipe.push() or counter(kv, "clients_stalled") > stalls, 20, "a stall")
	served(kv, mode + ": others are served")
	ok(int(stats(kv)["bytes_read"]) - read < 0.8 * len(request), mode + ": who does not read is not read from")
	grew_less(kv, before, 20 * MiB, mode + ": 60 MB of answers cost little")
	ok(pipe.all_right(), mode + ": all arrives in order")
	pipe.close()


def never_reads_large(mode, kv):
	"""The same with large values, several clients at once."""
	keys = [b"large%d" % i for i in range(4)]
	values = [os.urandom(64) * 15625 for _ in keys]
	with kv.client() as c:
		for key, value in zip(keys, values):
			c.call(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
			c.call(b"mg %s v\r\n" % key, value + b"\r\n")
	request = b"".join(b"get %s\r\n" % key for key in keys) * 5
	def expected():
		for _ in range(5):
			for key, value in zip(keys, values):
				yield b"VALUE %s 0 1000000\r\n%s\r\nEND\r\n" % (key, value)
	before = rss(kv)
	pipes = [Pipe(kv, request, expected) for _ in range(8)]
	for pipe in pipes:
		wait_for(pipe.push, what="requests taken")
	served(kv, mode + ": others are served while large values wait")
	with kv.client() as c:
		c.ask(b"set other 0 0 1000\r\n%s\r\n" % (b"x" * 1000), b"STORED\r\n", mode + ": and can store")
	ok(all(pipe.all_right() for pipe in pipes), mode + ": large values arrive intact")
	grew_less(kv, before, 80 * MiB, mode + ": 160 MB of large values cost little")
	for pipe in pipes:
		pipe.close()


def never_reads_from_servers():
	"""500 MB asked of a server: how much of it is on its way depends on how much of it is read."""
	server = Memcached(["-m", "256", "-I", "2m"])
	value = os.urandom(64) * 15625
	conf = """buffer_max = 128MB
		store "fleet" { type = memcached servers = { "127.0.0.1:%d 1" } timeout = %ds }
		namespace "default" { prefix = "" primary { store = "fleet" } local { ttl = 0 } }
		""" % (server.port, 20 * patience)
	with Kvgate(["-t", "1"], conf=conf) as kv:
		with kv.client() as c:
			for i in range(10):
				c.ask(b"set s%d 0 0 1000000\r\n%s\r\n" % (i, value), b"STORED\r\n") if i == 0 else \
				    c.call(b"set s%d 0 0 1000000\r\n%s\r\n" % (i, value))
		before = rss(kv)
		pipe = Pipe(kv, b"".join(b"mg s%d v\r\n" % (i % 10) for i in range(500)), lambda: [b"VA 1000000\r\n", value, b"\r\n"] * 100)
		wait_for(lambda: pipe.push() and select.select([pipe.c.sock], [], [], 0)[0], what="an answer")
		with kv.client() as c:
			is_([c.call(b"mg s1 v\r\n", b"\r\n" + value + b"\r\n")[:4] for _ in range(5)], [b"VA 1"] * 5,
			    "500 large values that nobody reads: others get theirs")
		grew_less(kv, before, 48 * MiB, "few of them are held")
		ok(pipe.all_right(), "a hundred of them arrive")
		hogs = [kv.client() for _ in range(12)]
		for c in hogs:
			c.send(b"".join(b"mg s%d v\r\n" % (i % 10) for i in range(100)))
		for c in hogs:
			c.recv(1)
		with kv.client() as c:
			is_([c.call(b"mg s1 v\r\n", b"\r\n" + value + b"\r\n")[:4] for _ in range(5)], [b"VA 1"] * 5,
			    "a dozen such clients: others get theirs still")
		grew_less(kv, before, 160 * MiB, "and they hold what buffer_max says")
		for c in hogs + [pipe]:
			c.close()
	server.stop()


def many_never_read():
	"""buffer_max is for all together: with little of it, many clients that do not read get little each."""
	conf = "client_buffer_max = 4MB\nbuffer_max = 16MB\n"
	value = b"v" * 1000
	with Kvgate(["-t", "2"], conf=conf) as kv:
		with kv.client() as c:
			c.call(b"set hot 0 0 1000\r\n%s\r\n" % value)
		request, expected = opaque_gets(20000, b"hot", value)
		before = rss(kv)
		pipes = [Pipe(kv, request, expected) for _ in range(30)]
		wait_for(lambda: [p.push() for p in pipes] and counter(kv, "clients_stalled") >= 20, 20, "20 stalls")
		served(kv, "30 clients that do not read: others are served")
		grew_less(kv, before, 32 * MiB, "they hold what buffer_max says")
		ok(all(p.all_right() for p in pipes[:5]), "and get everything")
		for p in pipes:
			p.close()


def behind_a_miss():
	"""Answers that are ready wait behind one that a slow server owes: they count too."""
	with Faulty("late %d" % (700 * patience)) as slow:
		conf = """client_buffer_max = 1MB
			store "slow" { type = memcached servers = { "127.0.0.1:%d 1" } timeout = %ds connect_timeout = 20s }
			namespace "slow" { prefix = "slow:" primary { store = "slow" } local { ttl = 0 } }
			namespace "default" { prefix = "" }
			""" % (slow.port, 30 * patience)
		with Kvgate(["-t", "1"], conf=conf) as kv:
			value = b"v" * 4000
			large = b"w" * 400000
			with kv.client() as c:
				c.call(b"set hot 0 0 4000\r\n%s\r\n" % value)
				c.call(b"set large 0 0 400000\r\n%s\r\n" % large)
			before, read = rss(kv), int(stats(kv)["bytes_read"])
			def waits(count, key, value):
				request, expected = opaque_gets(count, key, value)
				pipe = Pipe(kv, b"mg slow:a v\r\n" + request, lambda: (p for e in ([b"EN\r\n"], expected()) for p in e))
				wait_for(pipe.push, what="requests taken")
				return pipe
			pipe, pins = waits(20000, b"hot", value), waits(200, b"large", large)
			wait_for(lambda: counter(kv, "clients_stalled") >= 2, 20, "stalls")
			served(kv, "a slow server: others are served")
			grew_less(kv, before, 16 * MiB, "what waits behind a miss is bounded")
			ok(int(stats(kv)["bytes_read"]) - read < 350000, "and its client is not read from")
			ok(pipe.all_right(), "everything comes after the miss")
			ok(pins.all_right(), "large values too")
			pipe.close()
			pins.close()


def one_line_many_values(mode, kv):
	"""Lines of 50,000 keys that ask for 20 MB: there they leave as the client reads, through a fleet each whole."""
	value = os.urandom(200).hex().encode()
	with kv.client() as c:
		c.call(b"set v 0 0 400\r\n%s\r\n" % value)
		c.call(b"mg v v\r\n", value + b"\r\n")
	before = rss(kv)
	answer = b"VALUE v 0 400\r\n%s\r\n" % value * 50000 + b"END\r\nMN\r\n"
	pipe = Pipe(kv, (b"get" + b" v" * 50000 + b"\r\nmn\r\n") * 8, lambda: [answer] * 8)
	wait_for(lambda: pipe.push() and select.select([pipe.c.sock], [], [], 0)[0], what="an answer to the line")
	served(kv, mode + ": others are served beside lines of 50,000 keys")
	grew_less(kv, before, {"local": 12, "fleet": 64}[mode] * MiB, mode + ": their values are not all held")
	ok(pipe.all_right(), mode + ": they are answered in full")
	pipe.close()


# ---------------------------------------------------------------- fairness

def endless_pipelines(mode, kv):
	"""Clients that always have more to ask, and read: others get their turn."""
	stop = threading.Event()
	wrong = []

	def run(request, answer):
		with kv.client() as c:
			while not stop.is_set():
				c.send_and_read(request)
				if c.recv(len(answer)) != answer:
					wrong.append(request[:20])
					return

	with kv.client() as c:
		c.call(b"set f 0 0 1\r\nx\r\n")
	greedy = [threading.Thread(target=run, args=a, daemon=True) for a in
	    ((b"get f\r\n" * 2000, b"VALUE f 0 1\r\nx\r\nEND\r\n" * 2000),
	    (b"get" + b" f" * 20000 + b"\r\n", b"VALUE f 0 1\r\nx\r\n" * 20000 + b"END\r\n"))]
	for t in greedy:
		t.start()
	with kv.client() as c:
		answers = [c.call(b"mn\r\n") for _ in range(100)]
	stop.set()
	for t in greedy:
		t.join(30 * patience)
	is_(answers, [b"MN\r\n"] * 100, mode + ": a hundred answers beside endless pipelines")
	is_(wrong, [], mode + ": whose answers are right")


# ---------------------------------------------------------------- awkward pieces

def in_pieces(c, data, sizes):
	at, i = 0, 0
	while at < len(data):
		n = sizes[i % len(sizes)]
		if not c.send(data[at:at + n]):
			return
		at, i = at + n, i + 1


def pieces(mode, kv):
	body = os.urandom(MiB // 2 - 100).hex().encode()
	big = b"set big 5 0 %d\r\n%s\r\n" % (len(body), body)
	with kv.client() as c:
		talk = (b"set a 0 0 3\r\nabc\r\nget a\r\nmg a v k s\r\nms a 2\r\nxy\r\nbogus\r\nget a b c\r\ndelete a\r\n"
		    b"set a 0 0 2\r\nabc\r\nget\r\nmn\r\n")
		c.send(talk)
		whole = c.recv_until(b"MN\r\n")
		for at in range(1, len(talk)):
			c.send(talk[:at])
			c.send(talk[at:])
		is_(c.recv(len(whole) * (len(talk) - 1)), whole * (len(talk) - 1), mode + ": cut in two anywhere")
		in_pieces(c, talk, [1])
		is_(c.recv_until(b"MN\r\n"), whole, mode + ": byte by byte")
		for name, sizes in (("64 KB", [65536]), ("odd pieces", [1, 2, 3, 1000, 17, 4096, 65535, 1]), ("16 bytes", [1, 31] * 64 + [300000])):
			in_pieces(c, big, sizes)
			c.ask(b"", b"STORED\r\n", "%s: a body of a megabyte in %s" % (mode, name))
			c.ask(b"mg big v f\r\n", b"VA %d f5\r\n%s\r\n" % (len(body), body), "%s: is stored (%s)" % (mode, name))
		# the head and the end of the body with what is beside them
		c.send(b"mn\r\n" + big[:100])
		in_pieces(c, big[100:-1], [200000])
		c.ask(big[-1:] + b"mn\r\n", b"MN\r\nSTORED\r\nMN\r\n", mode + ": commands around a body")
		# bad data chunks
		in_pieces(c, big[:-2] + b"xx" + b"mn\r\n", [70000])
		c.ask(b"", b"CLIENT_ERROR bad data chunk\r\nMN\r\n", mode + ": a large body without its end")
		c.ask(b"set s 0 0 2\r\nabcdmn\r\nmn\r\n", b"CLIENT_ERROR bad data chunk\r\n", mode + ": a small one")
		c.recv_until(b"MN\r\n")
	with kv.client() as c:
		# refused bodies
		n = 3 * MiB
		in_pieces(c, b"set refused 0 0 %d\r\n" % n + b"r" * n + b"\r\nmn\r\n", [65536, 1, 300000])
		c.ask(b"", b"SERVER_ERROR object too large for cache\r\nMN\r\n", mode + ": too large, in pieces")
		in_pieces(c, b"set %s 0 0 200000\r\n" % (b"k" * 251) + b"r" * 200000 + b"\r\nmn\r\n", [65536, 1])
		c.ask(b"", b"CLIENT_ERROR bad command line format\r\nMN\r\n", mode + ": a bad line's body is swallowed")


def long_lines(mode, kv):
	with kv.client() as c:
		keys = [b"%04d" % i + b"k" * 240 for i in range(2000)]
		for key in keys[::7]:
			c.send(b"ms %s 4 q\r\n%s\r\n" % (key, key[:4]))
		c.sync()
		want = b"".join(b"VALUE %s 0 4\r\n%s\r\n" % (k, k[:4]) for k in keys[::7]) + b"END\r\n"
		line = b"get " + b" ".join(keys) + b"\r\n"
		c.send_and_read(line * 3 + b"mn\r\n")
		is_(c.recv(3 * len(want) + 4), want * 3 + b"MN\r\n", mode + ": 2,000 long keys in a line, three in a row")
		in_pieces(c, line, [10000, 3, 50000])
		is_(c.recv(len(want)), want, mode + ": in pieces")
	with kv.client() as c:
		c.send_and_read(b"mn\r\nget " + b"0123456789 " * 100000 + b"\r\nmn\r\n")
		is_(c.recv_all(), b"MN\r\n", mode + ": a line of more than a megabyte closes")
	with kv.client() as c:
		c.send(b"mn\r\nset " + b"x" * 3000)
		is_(c.recv_all(), b"MN\r\n", mode + ": so does any other of more than 2,048 bytes")
	served(kv, mode + ": others do not mind")


# ---------------------------------------------------------------- those who leave

def half_closed(mode, kv):
	with kv.client() as c:
		c.send(b"set hc 0 0 1\r\nx\r\n" + b"get hc\r\n" * 5000 + b"mn\r\nge")
		c.half_close()
		is_(c.recv_all(), b"STORED\r\n" + b"VALUE hc 0 1\r\nx\r\nEND\r\n" * 5000 + b"MN\r\n",
		    mode + ": half-closed: what was asked before is answered, then the end")
	with kv.client() as c:
		c.send(b"mn\r\nset hc 0 0 100\r\nabc")
		c.half_close()
		is_(c.recv_all(), b"MN\r\n", mode + ": half-closed amid a body")
	value = b"y" * 100000
	with kv.client() as c:
		c.call(b"set hc 0 0 100000\r\n%s\r\n" % value)
		c.send(b"get hc\r\n" * 300)
		c.half_close()
		is_(hashlib.md5(c.recv_all()).digest(),
		    hashlib.md5((b"VALUE hc 0 100000\r\n%s\r\nEND\r\n" % value) * 300).digest(),
		    mode + ": half-closed while stalled")
	with kv.client() as c:
		c.send(b"get absent\r\nms q1 1\r\na\r\nset q2 0 0 1\r\nb\r\nset q3 0 0 1 noreply\r\nc\r\nquit\r\nget q1\r\n")
		is_(c.recv_all(), b"END\r\nHD\r\nSTORED\r\n", mode + ": quit amid a pipeline: what was before is answered")


def reset(c):
	c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	c.close()


def resets(mode, kv):
	value = b"z" * 1000000
	with kv.client() as c:
		c.call(b"set rst 0 0 1000000\r\n%s\r\n" % value)
	for cut in (b"set r 0 0 1000000\r\n" + b"x" * 300000, b"ge", b"get rst\r\n" * 50, b"get rst absent rst\r\n" * 50,
	    b"set r 0 0 10\r\n0123456789\r\n" * 100, b"get" + b" rst" * 30000, b"lru_crawler metadump all\r\n",
	    b"set huge 0 0 900000000\r\n" + b"x" * 100000):
		for _ in range(5):
			c = kv.client()
			c.send(cut)
			reset(c)
	wait_for(lambda: int(stats(kv)["curr_connections"]) <= 2, 20, "all of them gone")
	ok(True, mode + ": resets amid bodies, lines and answers")
	served(kv, mode + ": and it goes on")


# ---------------------------------------------------------------- dumps

def dumps():
	with Kvgate(["-t", "1", "-m", "64"]) as kv:
		n = 100000
		with kv.client() as c:
			c.send_and_read(b"".join(b"ms d%d 2 q\r\nxx\r\n" % i for i in range(n)))
			c.sync()
			before = rss(kv)
			slow = kv.client()
			slow.send(b"lru_crawler metadump all\r\nget d1\r\nmn\r\nlru_crawler mgdump all\r\nmn\r\n")
			gone = kv.client()
			gone.send(b"lru_crawler metadump all\r\n")
			gone.line()
			gone.close()
			rude = kv.client()
			rude.send(b"lru_crawler metadump all\r\n")
			rude.line()
			reset(rude)
			served(kv, "others are served during a dump")
			grew_less(kv, before, 2 * MiB, "a dump costs little")
		lines, buf = [], b""
		while not buf.endswith(b"\r\nEN\r\nMN\r\n"):
			more = slow.sock.recv(65536)
			if not more:
				break
			lines.append(more)
			buf = (buf + more)[-20:]
		lines = b"".join(lines).split(b"\n")
		slow.close()
		at = lines.index(b"END\r") if b"END\r" in lines else 0
		is_(sorted(line.split(b" ")[0] for line in lines[:at]), sorted(b"key=d%d" % i for i in range(n)),
		    "a dump of 100,000 items has each once")
		is_(lines[at + 1:at + 5], [b"VALUE d1 0 2\r", b"xx\r", b"END\r", b"MN\r"], "commands behind it are answered behind it")
		is_(sorted(lines[at + 5:-3]), sorted(b"mg d%d\r" % i for i in range(n)), "the other kind too")
		is_(lines[-3:], [b"EN\r", b"MN\r", b""], "to the end")
		wait_for(lambda: int(stats(kv)["curr_connections"]) <= 2, 20, "all of them gone")


# ---------------------------------------------------------------- base64 keys that wait

def base64_waits(mode, kv):
	"""
	Commands that were parsed and had to wait for their client to read: keys in base64, some of them sloppy, lines that
	are wrong, all in one batch that stalls.
	"""
	nasty = base64.b64encode(b"k\nflush_all\nmn\n!")
	with kv.client() as c:
		c.call(b"set big 0 0 4000\r\n%s\r\n" % (b"B" * 4000))
		for i in range(50):
			c.send(b"ms %s 2 b q\r\n%02d\r\n" % (base64.b64encode(b"bin\0key\n%d" % i), i))
		c.call(b"ms %s 5 b\r\nnasty\r\n" % nasty)
		part, want = [], []
		for i in range(50):
			key = base64.b64encode(b"bin\0key\n%d" % i)
			part += [b"mg big v", b"mg %s b v k O%d" % (key, i), b"mg %s b v k v" % nasty, b"mg %s b v" % nasty,
			    b"mg %s b v O%s" % (nasty, b"o" * 40), b"mg ==== b v", b"mg Zm9-v b s", b"mg %s b k" % base64.b64encode(b"no%d" % i)]
		for line in part:
			want.append(c.call(line + b"\r\n", re.compile(rb"^(VA (\d+)[^\n]*\n(?s:.)*?\r\n|(?!VA)[^\n]*\n)")))
	like(want[4], rb"^CLIENT_ERROR", mode + ": lines with errors among them")
	is_(want[3], b"VA 5\r\nnasty\r\n", mode + ": keys with newlines among them")
	request, answer = b"\r\n".join(part) + b"\r\n", b"".join(want)
	for shift in (0, 3, 6, 8):
		stalls = counter(kv, "clients_stalled")
		extra = b"mn\r\n" * shift
		pipe = Pipe(kv, extra + request * 60, lambda: (b"MN\r\n" * shift if i == 0 else answer for i in range(61)))
		wait_for(lambda: pipe.push() or counter(kv, "clients_stalled") > stalls, 20, "a stall")
		wait_for(lambda: counter(kv, "clients_stalled") > stalls, 20, "a stall")
		if not pipe.all_right():
			ok(False, "%s: stalled base64 keys, shifted by %d" % (mode, shift))
			return
		pipe.close()
	ok(True, mode + ": commands that had to wait are answered as if they had not")


# ---------------------------------------------------------------- limits

def connection_limit():
	with Kvgate(["-c", "5", "-t", "2"]) as kv:
		wait_for(lambda: int(stats(kv)["curr_connections"]) == 1, what="the first client's leaving")
		def five():
			for c in some:
				c.close()
			some[:] = [kv.client() for _ in range(5)]
			return [c.call(b"mn\r\n") for c in some] == [b"MN\r\n"] * 5
		some = []
		ok(wait_for(five, what="five clients"), "five clients with -c 5")
		for _ in range(3):
			with kv.client() as c:
				is_(c.recv_all(), b"SERVER_ERROR too many open connections\r\n", "the sixth is told so")
		some.pop().close()
		def again():
			with kv.client() as c:
				return c.call(b"mn\r\n") == b"MN\r\n"
		ok(wait_for(again, what="a free slot"), "a slot that became free works")
		like(some[0].call(b"stats\r\n", b"END\r\n"), rb"STAT rejected_connections ([3-9]|\d\d)\r\n", "rejected_connections counts")
		for c in some:
			c.close()


def out_of_descriptors():
	with Kvgate(["-c", "1000", "-t", "1"]) as kv:
		first = kv.client()
		first.call(b"mn\r\n")
		taken = len(os.listdir("/proc/%d/fd" % kv.pid))
		resource.prlimit(kv.pid, resource.RLIMIT_NOFILE, (taken + 10, resource.prlimit(kv.pid, resource.RLIMIT_NOFILE)[1]))
		many = [kv.client() for _ in range(20)]
		for c in many:
			c.send(b"mn\r\n")
		wait_for(lambda: b"listen_disabled_num 0\r" not in first.call(b"stats\r\n", b"END\r\n"), 20, "accepting to pause")
		is_([c.call(b"", b"\r\n") for c in many[:10]], [b"MN\r\n"] * 10, "out of descriptors: clients that are in are served")
		for c in many[:10]:
			c.close()
		is_([c.call(b"", b"\r\n") for c in many[10:]], [b"MN\r\n"] * 10, "the others get in when there are some again")
		for c in many[10:] + [first]:
			c.close()
		served(kv, "and accepting goes on")


def idle_cost():
	n = 10000
	soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
	n = min(n, hard - 200)
	resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 200), hard))
	with Kvgate(["-c", str(n + 100), "-b", "4096", "-t", "4"]) as kv:
		with kv.client() as c:
			c.ask(b"set a 0 0 1000\r\n%s\r\n" % (b"v" * 1000), b"STORED\r\n", "idle: a value")
		before = rss(kv)
		socks = []
		try:
			for i in range(n):
				s = socket.socket()
				socks.append(s)
				s.bind(("127.0.0.%d" % (2 + i % 8), 0))
				s.connect(kv.addr)
			wait_for(lambda: int(stats(kv)["curr_connections"]) >= n, 20, "all connected")
			grew_less(kv, before, 10 * MiB * n / 10000, "%d connections cost less than 10 MiB" % n)
			wrong, answer = 0, b"VALUE a 0 1000\r\n%s\r\nEND\r\nEND\r\n" % (b"v" * 1000)
			for at in range(0, n, 500):
				for s in socks[at:at + 500]:
					s.send(b"get a\r\nget none\r\n")
				for s in socks[at:at + 500]:
					got = s.recv(len(answer), socket.MSG_WAITALL)
					wrong += got != answer
			is_(wrong, 0, "each is answered")
			grew_less(kv, before, 10 * MiB * n / 10000, "and costs no more after that")
		finally:
			for s in socks:
				s.close()
		wait_for(lambda: int(stats(kv)["curr_connections"]) <= 2, 20, "all gone")


def idle_timeout():
	with Kvgate(["-o", "idle_timeout=1", "-t", "2"]) as kv:
		quiet, half = kv.client(seconds=20), kv.client(seconds=20)
		quiet.call(b"mn\r\n")
		half.send(b"set a 0 0 10\r\nabc")
		busy = kv.client()
		ends = []
		t = threading.Thread(target=lambda: ends.extend([quiet.recv_all(), half.recv_all()]), daemon=True)
		t.start()
		while t.is_alive():
			if busy.call(b"mn\r\n") != b"MN\r\n":
				break
			t.join(0.05)
		is_(ends, [b"", b""], "idle_timeout closes who says nothing")
		busy.ask(b"mn\r\n", b"MN\r\n", "and not who does")
		ok(int(stats(kv)["idle_kicks"]) >= 2, "idle_kicks counts them")
		for c in (quiet, half, busy):
			c.close()


# ---------------------------------------------------------------- what it costs

def calls_per_request(kv, requests, name, limit):
	"""System calls of the server by strace, all included, while kvload asks in pipelines of 16."""
	kvload = os.path.join(os.environ.get("top_builddir", top_srcdir), "contrib/bench/kvload")
	target, load = "%s:%d" % kv.addr, [kvload, "--conns", "50", "--keys", "1000"]
	subprocess.run(load + ["--prefill-only", target], check=True, stdout=subprocess.DEVNULL)
	report = os.path.join(tmpdir(), "strace.%s" % name)
	with subprocess.Popen(["strace", "-c", "-f", "-o", report, "-p", str(kv.pid)], stderr=subprocess.PIPE, text=True) as tracer:
		try:
			tracer.stderr.readline()
			subprocess.run(load + ["--op", "get", "--depth", "16", "--requests", str(requests), target], check=True,
			    stdout=subprocess.DEVNULL, timeout=60 * patience)
		finally:
			tracer.send_signal(signal.SIGINT)
			tracer.communicate()
	with open(report) as f:
		text = f.read()
	calls = int(re.search(r"(\d+)\s+(?:\d+\s+)?total$", text, re.M)[1])
	if not ok(0 < calls <= limit * requests, "%s: at most %g system calls per request in pipelines of 16" % (name, limit)):
		diag("%.4f" % (calls / requests), text)


def system_calls():
	for mode, kv in both_modes(["-t", "1"], local="0"):
		calls_per_request(kv, 48000, {"local": "hit", "fleet": "proxy"}[mode], {"local": 0.15, "fleet": 0.2}[mode])


def fewest_first():
	"""Threads get clients evenly, also after some have left."""
	with Kvgate(["-t", "4"]) as kv:
		first = kv.client()

		def alone_but_for(n):
			text = first.call(b"stats\r\n", b"END\r\n")
			return re.search(rb"STAT curr_connections (\d+)\r", text)[1] == b"%d" % (n + 1)

		def spread():
			"""How many connections each thread waits for, by the descriptors in its epoll set."""
			proc, found = "/proc/%d/" % kv.pid, []
			for fd in os.listdir(proc + "fdinfo"):
				with open(proc + "fdinfo/" + fd) as f:
					watched = re.findall(r"^tfd:\s+(\d+)", f.read(), re.M)
				found.append(sum(os.readlink(proc + "fd/" + w).startswith("socket:") for w in watched))
			# the main thread's listens
			return sorted(n for n in found if n > 1)

		wait_for(lambda: alone_but_for(0), what="the others to leave")
		clients = [kv.client() for _ in range(7)]
		for c in clients:
			c.call(b"mn\r\n")
		is_(spread(), [2, 2, 2, 2], "eight clients, four threads: two each")
		for c in clients[:6]:
			c.close()
		wait_for(lambda: alone_but_for(1), what="six to leave")
		clients = clients[6:] + [kv.client() for _ in range(6)]
		for c in clients:
			c.call(b"mn\r\n")
		is_(spread(), [2, 2, 2, 2], "six leave and six come: two each")
		for c in clients + [first]:
			c.close()


# ---------------------------------------------------------------- the end

def refused(addr):
	try:
		with Client(addr) as c:
			return c.call(b"mn\r\n") == b""
	except OSError:
		return True


def ends_with_answers():
	"""SIGTERM: whatever was sent before is answered, through a slow server too."""
	with Faulty("late 400") as slow:
		conf = """store "slow" { type = memcached servers = { "127.0.0.1:%d 1" } timeout = %ds connect_timeout = 20s }
			namespace "slow" { prefix = "s" primary { store = "slow" } local { ttl = 0 } }
			namespace "default" { prefix = "" }
			""" % (slow.port, 20 * patience)
		kv = Kvgate(["-t", "2"], conf=conf)
		with kv.client() as c:
			c.ask(b"ms skey 2\r\nab\r\n", b"HD\r\n", "a slow server")
		clients = [kv.client() for _ in range(50)]
		idle, half = kv.client(), kv.client()
		half.send(b"mn\r\nset half 0 0 10\r\nabc")
		half.line()
		sent = counter(kv, "store_requests")
		for i, c in enumerate(clients):
			c.send(b"mg skey v O%d\r\nms s%d 1\r\nx\r\nmn\r\n" % (i, i))
		wait_for(lambda: counter(kv, "store_requests") > sent, what="requests under way")
		kv.send_signal(signal.SIGTERM)
		got = [c.recv_all() for c in clients]
		is_(got, [b"VA 2 O%d\r\nab\r\nHD\r\nMN\r\n" % i for i in range(50)], "SIGTERM: 50 clients get every answer, then the end")
		ok(refused(kv.addr), "new clients are refused")
		ok(idle.closed(), "an idle client is closed")
		for c in clients + [idle, half]:
			c.close()
		wait_for(lambda: not kv.alive(), 15, "the end")
		is_(kv.stop(), 0, "and the server ends well")


def ends_after_what_was_sent(mode, kv):
	"""What the server's kernel has received is answered too, though no one had read it yet."""
	value = b"e" * 1000
	with kv.client() as c:
		c.call(b"set end 0 0 1000\r\n%s\r\n" % value)
	clients = []
	for _ in range(20):
		request, expected = opaque_gets(3000, b"end", value)
		pipe = Pipe(kv, request, expected)
		wait_for(pipe.push, what="requests taken")
		clients.append(pipe)
	kv.send_signal(signal.SIGTERM)
	ok(all(pipe.all_right() for pipe in clients), mode + ": SIGTERM: all that was sent is answered")
	ok(all(pipe.c.closed() for pipe in clients), mode + ": then the end")
	for pipe in clients:
		pipe.close()


def ends_despite_the_stuck():
	"""Takes as long as the server gives such a client: a generator, so that other tests run meanwhile."""
	kv = Kvgate(["-t", "2"])
	with kv.client() as c:
		c.call(b"set stuck 0 0 1000000\r\n%s\r\n" % (b"s" * 1000000))
	stuck, idle = kv.client(), kv.client()
	idle.call(b"mn\r\n")
	stuck.send(b"get stuck\r\n" * 100)
	stuck.recv(1000)
	kv.send_signal(signal.SIGTERM)
	ok(idle.closed(), "SIGTERM: the idle client is closed at once")
	kv.send_signal(signal.SIGTERM)
	yield
	is_(kv.stop(seconds=20), 0, "one that does not read does not hold the end up for ever")
	for c in (stuck, idle):
		c.close()


# ---------------------------------------------------------------- addresses

def unix_socket():
	for mask, mode in (("700", 0o700), ("0666", 0o666), ("770", 0o770)):
		path = os.path.join(tmpdir(), "s." + mask)
		with Kvgate(["-s", path, "-a", mask]) as kv:
			is_(stat.S_IMODE(os.stat(path).st_mode), mode, "-s -a %s" % mask)
			with kv.client() as c:
				c.ask(b"set u 0 0 1\r\nx\r\nget u\r\n", b"STORED\r\nVALUE u 0 1\r\nx\r\nEND\r\n", "a unix socket serves")
				request, expected = opaque_gets(2000, b"u", b"x")
				pipe = Pipe(kv, request, expected)
				ok(pipe.all_right(), "and pipelines")
				pipe.close()
		ok(not os.path.exists(path), "and is removed at the end")


def addresses():
	def reached(args, addrs, name):
		with Kvgate(args + ["-p", str(addrs[0][1])]) as kv:
			got = []
			for addr in addrs:
				with contextlib.suppress(OSError), Client(addr) as c:
					got.append(c.call(b"mn\r\n"))
			is_(got, [b"MN\r\n"] * len(addrs), name)

	a, b, c = free_port(), free_port(), free_port()
	reached(["-l", "127.0.0.1,127.0.0.2"], [("127.0.0.1", a), ("127.0.0.2", a)], "-l with two addresses")
	reached(["-l", "127.0.0.1", "-l", "127.0.0.3:%d" % b], [("127.0.0.1", a), ("127.0.0.3", b)], "-l twice, one with a port")
	reached(["-l", "127.0.0.1:%d,127.0.0.1:%d,[::1]:%d" % (a, b, c)], [("127.0.0.1", a), ("127.0.0.1", b), ("::1", c)],
	    "-l with ports of their own, IPv6 among them")
	reached(["-l", "localhost"], [("127.0.0.1", a)], "-l with a name")
	reached([], [("127.0.0.1", a), ("127.0.0.9", a), ("::1", a)], "all addresses without -l")
	with Kvgate(["-l", "[::1],127.0.0.1", "-p", str(a)]) as kv, Client(("::1", a)) as six:
		six.ask(b"set v6 0 0 1\r\nx\r\nget v6\r\n", b"STORED\r\nVALUE v6 0 1\r\nx\r\nEND\r\n", "IPv6 serves")
		like(six.call(b"stats conns\r\n", b"END\r\n"), rb"tcp6:\[::1\]:\d+", "and is told")


# ----------------------------------------------------------------

stuck = ends_despite_the_stuck()
next(stuck)
for mode, kv in both_modes(["-t", "2"], local="60s"):
	pieces(mode, kv)
	long_lines(mode, kv)
	half_closed(mode, kv)
	endless_pipelines(mode, kv)
	resets(mode, kv)
	never_reads(mode, kv)
	never_reads_large(mode, kv)
	one_line_many_values(mode, kv)
	ends_after_what_was_sent(mode, kv)
for mode, kv in both_modes(["-t", "1"], local="0"):
	base64_waits(mode, kv)
never_reads_from_servers()
many_never_read()
behind_a_miss()
dumps()
connection_limit()
out_of_descriptors()
idle_timeout()
fewest_first()
system_calls()
ends_with_answers()
unix_socket()
addresses()
idle_cost()
list(stuck)
done_testing()
