#!/usr/bin/python3
"""
Limits of connections and descriptors, what connections and requests cost, which addresses are served, how the server
ends.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import contextlib
import re
import resource
import signal
import socket
import stat
import subprocess
import threading
from kvt import *
from faulty import Faulty
from pipe import *

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
	clients, stalls = [], counter(kv, "clients_stalled")
	for _ in range(6):
		request, expected = opaque_gets(12000, b"end", value)
		pipe = Pipe(kv, request, expected)
		wait_for(pipe.push, what="requests taken")
		clients.append(pipe)
	wait_for(lambda: counter(kv, "clients_stalled") >= stalls + 6, what="stalls")
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
	ends_after_what_was_sent(mode, kv)
ends_with_answers()
connection_limit()
out_of_descriptors()
idle_timeout()
fewest_first()
system_calls()
unix_socket()
addresses()
idle_cost()
list(stuck)
done_testing()
