#!/usr/bin/python3
"""
A dying server, which accepts everything and answers ever slower, gets at most 1.1 times the requests that it gets when it is well:
retries, probes and hedged reads together. What clients ask is the same in both, so requests are counted, not seconds: at a
Between in front of the server. (No coalescing: how many reads become one depends on how late the answers are.)
"""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between
from redises import *

CLIENTS, ROUNDS, BATCH, KEYS = 4, 25, 10, 120
# Ever slower, in milliseconds: late, but in time for its timeout; then each answer later than the one before, until it is down.
DYING = ("late 40", "late 120", "slower 10")
# Whatever names a key, and what stores ask when they connect or probe.
COUNTED = [b"dy-", b"version\r\n", b"mn\r\n", b"PING", b"HELLO", b"READONLY", b"CLUSTER", b"SCRIPT"]

CONF = """store "r" { type = %s  servers = { %s }  timeout = 500ms  connect_timeout = 500ms
	retry_min = 20ms  retry_max = 200ms  %s }
namespace "default" { prefix = ""  primary { store = "r"  %s }  local { ttl = 0 }  coalesce = no  %s }
"""


def key(n):
	return b"dy-%d" % n


class Asking:
	"""So many gets by several clients, always the same; what was answered is counted by kind."""

	def __init__(self, kv):
		self.kv, self.lock = kv, threading.Lock()
		self.values = self.errors = 0
		self.strange = []
		threads = [threading.Thread(target=self.client, args=(n,)) for n in range(CLIENTS)]
		for t in threads:
			t.start()
		for t in threads:
			t.join()

	def client(self, n):
		with self.kv.client(seconds=60) as c:
			for r in range(ROUNDS):
				keys = [key((n * 31 + r * BATCH + i) % KEYS) for i in range(BATCH)]
				c.send(b"".join(b"get %s\r\n" % k for k in keys))
				for k in keys:
					self.answer(k, c, c.line())

	def answer(self, k, c, line):
		good = line == b"VALUE %s 0 %d\r\n" % (k, len(k)) and c.recv(len(k) + 7) == k + b"\r\nEND\r\n"
		with self.lock:
			self.values += good
			self.errors += line.startswith(b"SERVER_ERROR ")
			if not good and not line.startswith(b"SERVER_ERROR "):
				self.strange.append((k, line))


def requests(bad):
	return sum(bad.seen(text) for text in COUNTED)


def share(title, conf, bad):
	"""What it gets of these requests when it is well and nothing is asked twice."""
	with Kvgate(["-t", "1"], conf=conf) as kv:
		with kv.client() as c:
			for n in range(KEYS):
				c.call(b"set %s 0 0 %d\r\n%s\r\n" % (key(n), len(key(n)), key(n)))
		start = requests(bad)
		well = Asking(kv)
		is_((well.errors, well.strange), (0, []), "%s: all is well before" % title)
		normal = requests(bad) - start
	ok(normal > CLIENTS * ROUNDS * BATCH / 10, "%s: the server has its share, %d requests" % (title, normal))
	return normal


def stage(title, kv, bad, fault, normal, spared):
	bad.fault(fault)
	start = requests(bad)
	ill = Asking(kv)
	dying = requests(bad) - start
	is_(ill.strange[:5], [], "%s: no wrong answer" % title)
	ok(dying <= 1.1 * normal, "%s: %d requests, %d when it is well" % (title, dying, normal))
	if spared:
		is_(ill.errors, 0, "%s: no error, others have its keys" % title)
	return dying


def dies(title, conf, namespace, bad, spared):
	"""conf is a function of what the namespace says; spared: whether others answer for it, so that clients see no error."""
	for text in COUNTED:
		bad.watch(text)
	normal = share(title, conf(""), bad)
	with Kvgate(["-t", "1"], conf=conf(namespace)) as kv:
		wait_for(lambda: Asking(kv).errors == 0, 20, "all servers")
		# Of a single one it may be known before anybody asks.
		ok(sum([stage(title + ", " + fault, kv, bad, fault, normal, spared) for fault in DYING]) > 0, "%s: it was asked at all" % title)
		bad.fault("none")

		def again():
			before = requests(bad)
			return Asking(kv).errors == 0 and requests(bad) - before > normal / 2
		wait_for(again, 60, "the server to have its share again")
		ok(True, "%s: it has its share again when it is well" % title)


HEDGED = "slo_read { target = 20ms }  hedge = 20ms"
BOUNDED = "slo_read { target = 20ms  max = 200ms }  hedge = 20ms"


def pool(kind, program, format, store, namespace, spared):
	title = "%s, %s" % (kind, store or "one of each key")
	with program() as a, program() as b, program() as c, Between(a) as bad:
		names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in (bad, b, c))
		dies(title, lambda more: CONF % (kind, names, store, format, more), namespace, bad, spared)


# The only thing to hedge to is the dying server itself, over its other connection; reads that end before its timeout.
pool("memcached", Memcached, "", "connections = 2", HEDGED, False)
pool("memcached", Memcached, "", "connections = 2  failures = 1000", BOUNDED, False)

TWO = "replicas = 2  write_quorum = 1"
for kind, program, format in ("memcached", Memcached, ""), ("redis", Redis, "format = item"):
	pool(kind, program, format, "", "", False)
	pool(kind, program, format, TWO, HEDGED, True)
	pool(kind, program, format, TWO + "  read_from = any", HEDGED, True)

with RedisCluster(between=True) as cluster:
	dies("redis-cluster", lambda more: CONF % ("redis-cluster", cluster.server, "", "format = item", more), HEDGED,
	    cluster.nodes[0].between, False)
done_testing()
