#!/usr/bin/python3
"""
1,000 clients miss on one cold key: each worker asks the store once, all get what it says; and if it says nothing but an error, all
get that error. Counted at a Between in front of the store's only server.
"""
import os, re, resource, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between
from redises import *

CLIENTS, WORKERS = 1000, 2
TIMEOUT_MS = int(2000 * patience)

CONF = """store "r" { type = %s  servers = { "127.0.0.1:%d" }  timeout = %dms  connect_timeout = %dms  failures = 1000
	retry_min = 20ms  retry_max = 100ms }
namespace "default" { prefix = ""  primary { store = "r"  %s }  local { ttl = %s } }
"""


class Crowd:
	"""All clients ask at once; what each of them gets."""

	def __init__(self, kv, request):
		self.clients = [kv.client(seconds=30) for _ in range(CLIENTS)]
		for c in self.clients:
			c.send(request)

	def answers(self, ends):
		got = {}
		for c in self.clients:
			line = c.line()
			if not line.startswith((b"SERVER_ERROR", ends)):
				line += c.recv_until(ends)
			got[line] = got.get(line, 0) + 1
			c.close()
		return got


def crowd(kv, bad, request, fault):
	"""A crowd asks while the server says nothing; once kvgate has read what all of them ask, `fault` strikes."""
	bad.watch(b"cold")
	bad.fault("stall")
	want = int(stats(kv)["bytes_read"]) + CLIENTS * len(request)
	them = Crowd(kv, request)

	def read():
		nonlocal want
		want += len(b"stats\r\n")
		return int(stats(kv)["bytes_read"]) >= want
	wait_for(read, 20, "all to have asked")
	bad.fault(fault)
	return them


def stampede(title, kv, bad, put):
	with kv.client() as c:
		c.ask(b"set warm 0 0 1\r\nx\r\n", b"STORED\r\n", "%s: the server is there" % title)
	put(b"set cold 7 0 5\r\nvalue\r\n")
	for request, good in ((b"get cold\r\n", b"VALUE cold 7 5\r\nvalue\r\nEND\r\n"), (b"get cold-none\r\n", b"END\r\n")):
		what = "%s, %s" % (title, request.split()[1].decode())
		them = crowd(kv, bad, request, "none")
		is_(them.answers(b"END\r\n"), {good: CLIENTS}, "%s: all get the answer" % what)
		ok(1 <= bad.seen(b"cold") <= WORKERS, "%s: the server was asked %d times by %d workers" %
		    (what, bad.seen(b"cold"), WORKERS))
	for fault, error in (("refuse", rb"reset the connection|is down"), ("stall", rb"timed out")):
		what = "%s, cold-bad, %s" % (title, fault)
		got = crowd(kv, bad, b"get cold-bad\r\n", fault).answers(b"END\r\n")
		name = b"SERVER_ERROR 127.0.0.1:%d " % bad.port
		is_(sum(got.values()), CLIENTS, "%s: all get an answer" % what)
		strange = [a for a in got if not a.startswith(name)]
		is_(strange, [], "%s: all get an error that names the server" % what)
		ok(any(re.search(error, a) for a in got), "%s: the right one" % what) or diag(got)
		ok(1 <= bad.seen(b"cold") <= WORKERS, "%s: the server was asked %d times by %d workers" %
		    (what, bad.seen(b"cold"), WORKERS))
		bad.fault("none")
		with kv.client() as c:
			wait_for(lambda: c.call(b"get cold-bad\r\n", b"\r\n") == b"END\r\n", 20, "the server to be well")
	said = stats(kv, "kvgate")
	# Of a server that is known to be down the error comes at once: there is nothing to join.
	ok(int(said.get("coalesced", 0)) >= 3 * (CLIENTS - WORKERS), "%s: they are counted" % title) or diag(said)


def store(kind, program, format, local):
	title = "%s, local ttl %s" % (kind, local)
	with program() as server, Between(server) as bad:
		with Kvgate(["-t", WORKERS, "-c", "4000"],
		    conf=CONF % (kind, bad.port, TIMEOUT_MS, TIMEOUT_MS, format, local)) as kv:
			def put(line):
				"""Through another kvgate, so that this one does not know."""
				with Kvgate([], conf=CONF % (kind, server.port, TIMEOUT_MS, TIMEOUT_MS, format, "0")) as other:
					with other.client() as c:
						c.ask(line, b"STORED\r\n", "%s: the key is put" % title)
			stampede(title, kv, bad, put)


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
store("memcached", Memcached, "", "10s")
store("memcached", Memcached, "", "0")
store("redis", Redis, "format = item", "10s")
done_testing()
