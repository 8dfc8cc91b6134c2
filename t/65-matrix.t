#!/usr/bin/python3
"""
Every fault with every kind of store: one of the servers (a master, in a cluster) suffers while verified load runs. Each cell asserts
what 60-faults.t does: no wrong value, only keys of that server fail, every error names it, errors are counted by kind, and all is
well again once the server is.

KVT_CELLS (a regular expression of "store, fault") picks some.
"""
import os, re, signal, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between
from load import *
from redises import *

CELLS = os.environ.get("KVT_CELLS") or "."
TIMEOUT_MS = int(max(1500, 600 * patience))     # a healthy server on a busy machine needs some

CONF = """store "r" { type = %(type)s  servers = { %(servers)s }  timeout = %(ms)dms  connect_timeout = %(ms)dms
	retry_min = 20ms  retry_max = 200ms }
namespace "default" { prefix = ""  primary { store = "r"  %(format)s }  local { ttl = 0 } }
"""


def conf(kind, servers, ms=TIMEOUT_MS):
	return CONF % {"type": kind, "servers": servers, "ms": ms, "format": "" if kind == "memcached" else "format = item"}


def kvgate(kind, servers):
	return Kvgate(["-t", "2"], conf=conf(kind, servers))


class Pool:
	"""Three servers of one program, the first one behind a Between."""
	forgets = False

	def __init__(self, kind, program, on_server, unasked):
		self.kind, self.on_server, self.unasked = kind, on_server, unasked
		self.servers = [program() for _ in range(3)]
		self.victim = self.servers[0]
		self.bad = Between(self.victim)
		self.names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in [self.bad] + self.servers[1:])
		self.kv = kvgate(kind, self.names)
		self.name = "127.0.0.1:%d" % self.bad.port

	def here(self, keys):
		return self.on_server(self.victim, keys)

	def prepare(self):
		pass

	def kill(self):
		self.bad.fault("refuse")
		self.victim.kill()

	def survive(self, load):
		"""What is to be seen while it is dead."""
		load.says(rb"is down", "the server to be down")
		load.goes_on(300, here=False)
		is_(server_stats(self.kv, self.name).get("state"), "down", "%s, kill: stats servers say that it is down" % self.kind)

	def revive(self):
		self.victim.start(self.victim.argv)
		self.bad.fault("none")

	def stop(self):
		self.kv.stop()
		for s in [self.bad] + self.servers:
			s.kill()


class Cluster(Pool):
	"""Whichever master is the first one at the moment."""
	forgets = True

	def __init__(self):
		self.kind, self.unasked = "redis-cluster", RESP
		self.cluster = RedisCluster(between=True)
		self.servers = self.cluster.nodes
		self.names = self.cluster.server
		self.kv = kvgate(self.kind, self.names)

	def prepare(self):
		self.victim = self.cluster.masters()[0]
		self.bad, self.name = self.victim.between, self.victim.server

	def here(self, keys):
		return on_redis(self.victim, keys)

	def survive(self, load):
		load.says(rb".", "the master's keys to fail")
		self.cluster.wait_promoted(self.victim)
		load.goes_on()
		load.goes_on(300, here=False)

	def revive(self):
		self.bad.fault("none")
		self.cluster.restart(self.victim)

	def stop(self):
		self.kv.stop()
		self.cluster.stop()


META, RESP = r"HD\r\n", r"$7\r\nunasked\r\n"
STORES = [
	lambda: Pool("memcached", Memcached, on_memcached, META),
	lambda: Pool("redis", Redis, on_redis, RESP),
	Cluster,
]

GONE, NONSENSE, LATE = rb"closed the connection|reset the connection", rb"makes no sense", rb"timed out"

# The fault, what Between is told, the error that must be seen, which counters of the server may show it.
FAULTS = [
	("stall", "stall", LATE, ["errors_timeout"]),
	("reset", "reset 20", GONE, ["errors_reset", "errors_closed"]),
	("half-open", "halfopen", LATE, ["errors_timeout"]),
	("slow drip", "drip 20", LATE, ["errors_timeout"]),
	("corrupt", "corrupt 20", NONSENSE, ["errors_protocol"]),
]


def wanted(store, fault):
	return re.search(CELLS, "%s, %s" % (store.kind, fault))


def count(fields, names):
	return sum(int(fields[n]) for n in names)


def well(store, load, title):
	"""The server is: its keys get good answers again, and stats servers say up."""
	load.goes_on()
	wait_for(lambda: server_stats(store.kv, store.name).get("state") == "up", 30, "stats servers to say up")
	return verdict(load, store.name, title, load.expected is not None)


def begin(store, expected, forgets=False):
	store.prepare()
	load = Load(store.kv, store.here, forgets)
	load.expected = expected
	load.goes_on()
	return load, server_stats(store.kv, store.name)


def misbehave(store, fault, told, error, counters):
	title = "%s, %s" % (store.kind, fault)
	load, before = begin(store, error)
	store.bad.fault(told)
	load.says(error, title)
	load.goes_on(300, here=False)
	store.bad.fault("none")
	texts = well(store, load, title)
	ok(any(re.search(error, t) for t in texts), "%s: the right error is among them" % title) or diag(texts)
	after = server_stats(store.kv, store.name)
	ok(count(after, counters) > count(before, counters), "%s: it is counted by its kind" % title)


def kill(store):
	title = "%s, kill" % store.kind
	load, before = begin(store, rb".", store.forgets)
	store.kill()
	store.survive(load)
	store.revive()
	if not isinstance(store, Cluster):
		well(store, load, title)
		after = server_stats(store.kv, store.name)
		ok(int(after["errors"]) > int(before["errors"]), "%s: its errors are counted" % title)
	else:
		load.goes_on()
		verdict(load, store.name, title)


def flood(store):
	"""Bytes that nobody asked for, where nobody asked for any and amid the answers."""
	title = "%s, flood" % store.kind
	load, before = begin(store, None)
	load.stop()
	lost = int(before["disconnects"])
	store.bad.fault("unasked 1000 " + store.unasked)
	wait_for(lambda: int(server_stats(store.kv, store.name)["disconnects"]) > lost, 30, "the connection to be given up")
	ok(True, "%s: an idle connection on which something comes is given up" % title)
	store.bad.fault("none")
	load, before = begin(store, None)
	store.bad.fault("unasked 1000 " + store.unasked)
	wait_for(lambda: int(server_stats(store.kv, store.name)["disconnects"]) > int(before["disconnects"]), 30, title)
	load.goes_on(300, here=False)
	store.bad.fault("none")
	well(store, load, title)


def reload(store, ms):
	"""With another timeout the pool is another: the old one has to end what it began."""
	kv, before = store.kv, len(store.kv.stderr())
	kv.write_conf(conf(store.kind, store.names, ms))
	kv.send_signal(signal.SIGHUP)
	wait_for(lambda: "read again, in effect" in kv.stderr()[before:], 20, "the reload")


def reloads(store):
	"""Under load, while all is well, and while the server is silent."""
	title = "%s, reload" % store.kind
	load, _ = begin(store, None)
	for n in range(5):
		reload(store, TIMEOUT_MS + n % 2)
		load.goes_on(100)
	is_(load.trouble, {}, "%s: nothing fails by it" % title)
	load.expected = LATE
	store.bad.fault("stall")
	reload(store, TIMEOUT_MS + 1)
	load.says(LATE, title)
	load.goes_on(300, here=False)
	reload(store, TIMEOUT_MS)
	store.bad.fault("none")
	well(store, load, title)


for make in STORES:
	store = make()
	for cell in FAULTS:
		if wanted(store, cell[0]):
			misbehave(store, *cell)
	if wanted(store, "flood"):
		flood(store)
	if wanted(store, "reload"):
		reloads(store)
	if wanted(store, "kill"):
		kill(store)
	store.stop()
done_testing()
