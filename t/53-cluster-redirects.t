#!/usr/bin/python3
"""
What nodes of a Redis Cluster can say instead of an answer, one by one, by nodes that say what the test wants: who is asked next, in which
order, how often, and what a client is told in the end.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from fakenodes import *
from redises import key_slot

MS = int(2000 * patience)

CONF = """store "c" { type = redis-cluster  servers = { %s }  timeout = %s  connect_timeout = %dms  retry_min = 20ms  retry_max = 200ms
	map_refresh = %s  %s }
namespace "default" { prefix = ""  primary { store = "c"  format = raw }  local { ttl = 0 }  %s }
"""


def kvgate(cluster, refresh="1h", timeout=None, store="", namespace=""):
	return Kvgate(["-t", "1"], conf=CONF % (cluster.server, timeout or "%dms" % MS, MS, refresh, store, namespace))


def counters(kv, node="cluster"):
	return {k.split(":")[-1]: int(v) for k, v in stats(kv, "servers").items()
	    if k.startswith("c:%s:" % node) and v.isdigit()}


def handled(kv, n):
	"""Until kvgate has got so many requests."""
	wait_for(lambda: counters(kv)["requests"] >= n, 20, "%d requests" % n)


def put(key, value):
	return b"set %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(value), value.encode())


def has(key, value):
	return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key.encode(), len(value), value.encode())


def keys_of(cluster, node, tag="k"):
	"""Keys of this node's slots, without end."""
	n = 0
	while True:
		key = "%s%d" % (tag, n)
		slot = key_slot(key)
		if any(first <= slot <= last and nodes[0] is node for first, last, nodes in cluster.ranges):
			yield key
		n += 1


def client(kv):
	return kv.client(seconds=20)


# ---------------------------------------------------------------- redirects

def redirects(cluster, kv, c):
	a, b, _ = cluster.nodes
	keys = keys_of(cluster, a)

	k = next(keys)
	before = counters(kv)
	a.script(k, moved(k, b))
	c.ask(put(k, "1"), b"STORED\r\n", "MOVED: stored where it was sent")
	is_(b.came("SET"), ["SET %s 1" % k], "MOVED: the other node got it, once")
	c.ask(b"get %s\r\n" % k.encode(), has(k, "1"), "MOVED: found there")
	is_(len(a.came("GET " + k)), 0, "MOVED: the slot is known to have moved")
	is_(counters(kv)["moved"] - before["moved"], 1, "MOVED: counted")
	is_(counters(kv, a.server)["moved"], 1, "MOVED: at the node that said so")

	k = next(keys)
	before = counters(kv)
	a.script(k, ask(k, b), ask(k, b))
	c.ask(put(k, "2"), b"STORED\r\n", "ASK: stored where it was sent")
	is_(b.came("ASKING SET " + k), ["ASKING SET %s 2" % k], "ASK: after ASKING")
	c.ask(b"get %s\r\n" % k.encode(), has(k, "2"), "ASK: found there")
	is_(len(a.came("GET " + k)), 1, "ASK: who has the slot is asked first again")
	is_(counters(kv)["asked"] - before["asked"], 2, "ASK: counted")
	c.ask(b"get %s\r\n" % k.encode(), b"END\r\n", "ASK: holds for one request")

	k = next(keys)
	a.script(k, error("MOVED %d :%d" % (key_slot(k), b.port)))
	c.ask(put(k, "3"), b"STORED\r\n", "MOVED without a host: the same host")
	k = next(keys)
	a.script(k, error("MOVED %d localhost:%d" % (key_slot(k), b.port)))
	c.ask(put(k, "3"), b"STORED\r\n", "MOVED to a name: it is looked up")

	k = next(keys)
	for i in range(10):
		a.script(k, moved(k, b))
		b.script(k, moved(k, a))
	c.send(put(k, "4"))
	like(c.line(), rb"^SERVER_ERROR c: .*same request\r\n", "nodes that send a request to each other are not asked for ever")
	ok(3 <= len(a.came("SET " + k)) + len(b.came("SET " + k)) <= 6, "a few times though")
	cluster.calm()

	k = next(keys)
	for text in ("MOVED", "MOVED 1", "MOVED 99999 127.0.0.1:1", "MOVED 1 nonsense", "ASK 1 127.0.0.1:0", "MOVED 1 a b:1"):
		a.script(k, error(text))
		c.send(put(k, "5"))
		like(c.line(), rb"^SERVER_ERROR 127.0.0.1:%d says %s\r\n" % (a.port, text.encode()), "'%s' leads nowhere" % text)
	c.ask(put(k, "5"), b"STORED\r\n", "nothing is the worse for it")
	cluster.calm()


# ---------------------------------------------------------------- order

def order(cluster, kv, c):
	a, b, _ = cluster.nodes
	keys = keys_of(cluster, a, "o")

	# Both were sent to a; the first comes back alone. What is new must not pass the other.
	tag = next(keys)
	one, two = "{%s}1" % tag, "{%s}2" % tag
	n = counters(kv)["requests"]
	a.script(one, moved(one, b))
	a.script(two, HOLD)
	c.send(b"get %s\r\n" % one.encode() + put(two, "old"))
	b.wait("GET " + one)
	c.send(put(two, "new") + b"get %s\r\n" % two.encode())
	handled(kv, n + 4)
	c.ask(b"", b"END\r\n", "order: the first was answered elsewhere")
	is_([l for l in a.log + b.log if "new" in l or "GET " + two in l], [], "order: what is new waits while one is still out")
	a.release(two, moved(two, b))
	c.ask(b"", b"STORED\r\nSTORED\r\n" + has(two, "new"), "order: all are answered")
	is_(b.came("SET " + two), ["SET %s old" % two, "SET %s new" % two], "order: in order")

	cluster.calm()


def order_by_map(cluster):
	"""The map changes under a request that is out."""
	a, b, _ = cluster.nodes
	was = cluster.ranges
	with kvgate(cluster, refresh="100ms") as kv, client(kv) as c:
		k = next(keys_of(cluster, a, "m"))
		c.ask(put(k, "first"), b"STORED\r\n", "map: stored")
		# Not on the connection on which the map is asked for.
		a.map_answer = error("ERR not now")
		a.script(k, HOLD)
		c.send(put(k, "old"))
		a.wait("SET %s old" % k)
		cluster.ranges = [(0, 16383, [b])]
		maps = counters(kv)["maps"]
		wait_for(lambda: counters(kv)["maps"] > maps + 1, 20, "a new map")
		n = counters(kv)["requests"]
		c.send(put(k, "new") + b"get %s\r\n" % k.encode())
		handled(kv, n + 2)
		is_(b.came("SET " + k), [], "map: what is new waits for what is out at the old node")
		a.release(k, moved(k, b))
		c.ask(b"", b"STORED\r\nSTORED\r\n" + has(k, "new"), "map: all are answered")
		is_(b.came("SET " + k), ["SET %s old" % k, "SET %s new" % k], "map: in order")
	cluster.ranges = was
	cluster.calm()


# ---------------------------------------------------------------- not now

def not_now(cluster, kv, c):
	a = cluster.nodes[0]
	keys = keys_of(cluster, a, "n")
	for text in ("TRYAGAIN Multiple keys request during rehashing of slot", "CLUSTERDOWN The cluster is down",
	    "LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down",
	    "READONLY You can't write against a read only replica."):
		k, word = next(keys), text.split()[0]
		before = counters(kv)
		a.script(k, error(text), error(text), error(text))
		c.send(put(k, "1") + b"get %s\r\n" % k.encode())
		c.ask(b"", b"STORED\r\n" + has(k, "1"), word + ": is tried again, and in order")
		is_(len(a.came("SET " + k)) + len(a.came("GET " + k)), 5, word + ": until it works, and not more often")
		is_(counters(kv)["retried"] - before["retried"], 3, word + ": counted")
	cluster.calm()


def never(cluster):
	"""What never gets better ends with the op's time, and with the reason."""
	a = cluster.nodes[0]
	with kvgate(cluster, timeout="300ms") as kv, client(kv) as c:
		k = next(keys_of(cluster, a, "never"))
		for word, kind in (("CLUSTERDOWN", "down"), ("LOADING", "loading"), ("TRYAGAIN", "busy")):
			wait_for(lambda: c.call(put(k, "1")) == b"STORED\r\n", 20, "a healthy node")
			before = counters(kv)
			a.script(k, *[error(word + " because")] * 1000)
			c.send(put(k, "1"))
			is_(c.line(), b"SERVER_ERROR 127.0.0.1:%d says %s because\r\n" % (a.port, word.encode()), word + " for ever: told in the end")
			is_(counters(kv)["errors_" + kind] - before["errors_" + kind], 1, word + ": counted by its kind")
			ok(len(a.came("SET " + k)) < 40, word + ": not tried too often: %d" % len(a.came("SET " + k)))
			cluster.calm()


# ---------------------------------------------------------------- lost connections

def lost(cluster, kv, c):
	a, b, _ = cluster.nodes
	keys = keys_of(cluster, a, "l")

	k = next(keys)
	c.ask(put(k, "1"), b"STORED\r\n", "lost: stored")
	a.script(k, HOLD)
	c.send(b"get %s\r\n" % k.encode())
	a.wait("GET " + k)
	a.reset()
	c.ask(b"", has(k, "1"), "a read whose connection is lost is repeated")
	is_(len(a.came("GET " + k)), 2, "once")

	k = next(keys)
	a.script(k, HOLD)
	c.send(put(k, "1"))
	a.wait("SET " + k)
	a.reset()
	like(c.line(), rb"^SERVER_ERROR 127.0.0.1:%d (reset|closed) the connection" % a.port, "a write is not: nobody knows what it has done")
	is_(len(a.came("SET " + k)), 1, "it was sent once")
	wait_for(lambda: c.call(put(k, "2")) == b"STORED\r\n", 20, "the node again")
	cluster.calm()


def greeting(cluster, kv, c):
	"""What came while there was no connection goes out before what comes when there is one."""
	a = cluster.nodes[0]
	k = next(keys_of(cluster, a, "g"))
	good = lost = 0
	while good < 150 and lost < 30:
		a.time_answer = HOLD
		a.reset()
		wait_for(lambda: a.holds(None), 20, "kvgate to connect again")
		n = counters(kv)["requests"]
		c.send(put(k, "%d" % good))
		handled(kv, n + 1)
		a.time_answer = TIME
		a.release(None, TIME)
		c.send(b"get %s\r\n" % k.encode())
		got = c.recv_until(b"END\r\n")
		if got == b"STORED\r\n" + has(k, "%d" % good):
			good += 1
		elif b"reset the connection\r\n" in got:
			lost += 1       # it went out on the old connection
		else:
			diag("%d: %r" % (good, got))
			break
	is_(good, 150, "greeting: a set that waits for a connection is not overtaken by the get that does not have to")
	cluster.calm()


def replaced(cluster):
	"""A master is gone and another one has its slots."""
	a, b, _ = cluster.nodes
	was = cluster.ranges
	with kvgate(cluster) as kv, client(kv) as c:
		k = next(keys_of(cluster, a, "r"))
		c.ask(put(k, "1"), b"STORED\r\n", "replaced: stored")
		a.down()
		c.send(put(k, "2"))
		like(c.line(), rb"^SERVER_ERROR 127.0.0.1:%d " % a.port, "replaced: an error while nobody has the slot")
		wait_for(lambda: counters(kv, a.server) and stats(kv, "servers")["c:%s:state" % a.server] == "down", 20, "down")
		asked = b.maps_asked + cluster.nodes[2].maps_asked
		like(c.call(put(k, "2")), rb"^SERVER_ERROR 127.0.0.1:%d is down: " % a.port, "replaced: and another, that it is down")
		ok(b.maps_asked + cluster.nodes[2].maps_asked > asked, "replaced: only after the others were asked")
		cluster.ranges = [(0, 16383, [b])]
		c.ask(put(k, "3"), b"STORED\r\n", "replaced: none any more")
		is_(b.came("SET " + k), ["SET %s 3" % k], "replaced: once, at the new one")
		is_(stats(kv, "servers")["c:cluster:state"], "up", "replaced: the store was never down")
		a.up()
	cluster.ranges = was
	cluster.calm()


def nobody_has(cluster):
	"""Slots without a server."""
	a, b, _ = cluster.nodes
	was = cluster.ranges
	cluster.ranges = [(0, 99, [b])]
	with kvgate(cluster, timeout="500ms") as kv, client(kv) as c:
		c.send(put("foo", "1"))
		is_(c.line(), b"SERVER_ERROR c: no server has slot 12182\r\n", "a slot that nobody has is named")
		c.send(put("foo", "1"))
		cluster.ranges = [(0, 16383, [b])]
		c.ask(b"", b"STORED\r\n", "a request waits for somebody to have it")
	cluster.ranges = was
	cluster.calm()


# ---------------------------------------------------------------- maps

def maps(cluster):
	a, b, d = cluster.nodes
	for bad, what in ((b"+OK\r\n", "make no sense"), (b"*0\r\n", "knows of no slot"), (b":5\r\n", "."), (b"$3\r\nfoo\r\n", "."),
	    (error("ERR This instance has cluster support disabled"), "is no Redis Cluster: its cluster support is disabled"),
	    (error("NOPERM this user has no permissions"), "NOPERM")):
		for node in cluster.nodes:
			node.map_answer = bad
		with kvgate(cluster) as kv, client(kv) as c:
			wait_for(lambda: stats(kv, "servers")["c:cluster:state"] == "down", 20, "the store to be down")
			c.send(put("k", "v"))
			like(c.line(), rb"^SERVER_ERROR c is down: 127.0.0.1:\d+.*%s" % what.encode(), "map %r: the store is down, with its reason" % bad[:20])
			cluster.calm()
			wait_for(lambda: c.call(put("k", "v")) == b"STORED\r\n", 20, "the store to be up again")
			ok(True, "map %r: up again with a good one" % bad[:20])
			cluster.calm()
	for node in (a, b):
		node.map_answer = HOLD
	with kvgate(cluster) as kv, client(kv) as c:
		c.ask(put(next(keys_of(cluster, d)), "v"), b"STORED\r\n", "nodes that do not answer are not waited for long")
	cluster.calm()
	# Requests that came before the map wait for it.
	for node in cluster.nodes:
		node.down()
	with kvgate(cluster) as kv, client(kv) as c:
		wait_for(lambda: stats(kv, "servers")["c:cluster:state"] == "down", 20, "the store to be down")
		like(c.call(put("k", "v")), rb"^SERVER_ERROR c is down: ", "no seed answers at the start: the store is down")
		for node in cluster.nodes:
			node.up()
		wait_for(lambda: c.call(put("k", "v")) == b"STORED\r\n", 20, "the store")
		ok(True, "up as soon as they do")
	cluster.calm()


def refreshes(cluster):
	a = cluster.nodes[0]
	with kvgate(cluster, refresh="100ms") as kv, client(kv) as c:
		wait_for(lambda: counters(kv)["maps"] > 5, 20, "maps")
		ok(True, "the map is asked for now and then")
	before = sum(n.maps_asked for n in cluster.nodes)
	with kvgate(cluster) as kv, client(kv) as c:
		keys = keys_of(cluster, a, "f")
		for i in range(300):
			k = next(keys)
			a.script(k, moved(k, cluster.nodes[1]))
			if c.call(put(k, "v")) != b"STORED\r\n":
				ok(False, "stored")
		asked = sum(n.maps_asked for n in cluster.nodes) - before
		ok(asked < 100, "many MOVEDs do not make as many questions: %d" % asked)
	cluster.calm()


# ---------------------------------------------------------------- replicas, all servers

def replicas(cluster):
	a, b, d = cluster.nodes
	was = cluster.ranges
	cluster.ranges = [(0, 16383, [a, b, d])]
	with kvgate(cluster, namespace="slo_read { target = 20ms }  hedge = 20ms  hedge_budget = 100%") as kv, client(kv) as c:
		c.ask(put("k", "v"), b"STORED\r\n", "replicas: stored")
		for node in (b, d):
			node.values["k"] = b"v"
		a.script("k", HOLD)
		c.ask(b"get k\r\n", has("k", "v"), "replicas: read from one while the master is slow")
		is_(b.came("READONLY GET k") + d.came("READONLY GET k"), ["READONLY GET k"], "replicas: after READONLY, once")
		a.release("k", b"$1\r\nv\r\n")
		is_(a.came("READONLY"), [], "replicas: a master is not asked for what may be old")
	cluster.ranges = was
	cluster.calm()


def flush(cluster, kv, c):
	for node in cluster.nodes:
		node.values["x"] = b"y"
	c.ask(b"flush_all\r\n", b"OK\r\n", "flush_all")
	is_([len(n.came("FLUSH")) for n in cluster.nodes], [1, 1, 1], "goes to every master")
	cluster.nodes[1].script("FLUSH", error("ERR no"))
	like(c.call(b"flush_all\r\n"), rb"^SERVER_ERROR 127.0.0.1:%d " % cluster.nodes[1].port, "one that fails: an error")
	cluster.nodes[1].script("FLUSH", error("READONLY You can't write against a read only replica."))
	c.ask(b"flush_all\r\n", b"OK\r\n", "one that is a replica by now: once more")
	cluster.calm()


cluster = FakeCluster(3)
with kvgate(cluster) as kv, client(kv) as c:
	wait_for(lambda: c.call(put("k", "v")) == b"STORED\r\n", 20, "kvgate to have a map")
	cluster.calm()
	redirects(cluster, kv, c)
	order(cluster, kv, c)
	not_now(cluster, kv, c)
	lost(cluster, kv, c)
	flush(cluster, kv, c)
	greeting(cluster, kv, c)
order_by_map(cluster)
never(cluster)
replaced(cluster)
nobody_has(cluster)
maps(cluster)
refreshes(cluster)
replicas(cluster)
done_testing()
