#!/usr/bin/python3
"""
A store on a Redis Cluster of six nodes: every slot, both formats, seeds that are dead, replicas or no cluster at all, flush_all, and
all nodes gone and back. What single nodes can say is in 53, moves of slots in 66, masters that die in 67.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

MS = int(2000 * patience)

CONF = """store "c" { type = redis-cluster  servers = { %s }  timeout = %dms  connect_timeout = %dms
	retry_min = 20ms  retry_max = 200ms  %s }
"""
SPACE = 'namespace "default" { prefix = ""  primary { store = "c"  format = %s }  local { ttl = 0 } }\n'


def kvgate(servers, spaces=SPACE % "item", store="", threads=2):
	return Kvgate(["-t", threads], conf=CONF % (servers, MS, MS, store) + spaces)


def rows(kv, what):
	"""A statistic of all servers of the store, by server."""
	return {k.split(":", 1)[1].rsplit(":", 1)[0]: v for k, v in stats(kv, "servers").items() if k.endswith(":" + what)}


def state(kv):
	return stats(kv, "servers")["c:cluster:state"]


def put(key, value=b"v"):
	return b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value)


def works(kv, n=100):
	with kv.client(seconds=30) as c:
		c.send_and_read(b"".join(put(b"w%d" % i, b"%d" % i) + b"get w%d\r\n" % i for i in range(n)))
		return all(c.line() == b"STORED\r\n" and c.recv_until(b"END\r\n") == b"VALUE w%d 0 %d\r\n%d\r\nEND\r\n" % (
		    i, len(str(i)), i) for i in range(n))


def key_of_every_slot():
	keys, n = {}, 0
	while len(keys) < 16384:
		key = b"k%d" % n
		keys.setdefault(key_slot(key), key)
		n += 1
	return keys


# ---------------------------------------------------------------- all of it

def every_slot(cluster, form):
	keys = key_of_every_slot()
	cluster.flush()
	with kvgate(cluster.server, SPACE % form) as kv, kv.client(seconds=60) as c:
		stored = good = 0
		names = list(keys.values())
		for at in range(0, len(names), 1024):
			part = names[at:at + 1024]
			c.send_and_read(b"".join(put(k, b"<%s>" % k) for k in part))
			stored += sum(c.line() == b"STORED\r\n" for _ in part)
		for at in range(0, len(names), 100):
			part = names[at:at + 100]
			c.send(b"get %s\r\n" % b" ".join(part))
			good += c.recv_until(b"END\r\n") == b"".join(b"VALUE %s 0 %d\r\n<%s>\r\n" % (k, len(k) + 2, k) for k in part) + b"END\r\n"
		is_(stored, 16384, "%s: a key of every slot is stored" % form)
		is_(good, 164, "%s: and found, by gets of many keys" % form)
		is_(cluster.size(), 16384, "%s: all of them are in the cluster" % form)
		there = [m.call("GET", keys[min(row["slots"])]) for m in cluster.masters() for row in cluster.table(m) if row["node"] is m]
		ok(all(there), "%s: where they belong" % form)
		asked = {n: int(v) for n, v in rows(kv, "requests").items() if n != "cluster"}
		masters = sorted(m.server for m in cluster.masters())
		is_(sorted(n for n in asked if asked[n] > 10000), masters, "%s: stats servers names the masters" % form)
		is_(rows(kv, "moved")["cluster"], "0", "%s: no request went astray" % form)
		ok(all(rows(kv, "state")[m] == "up" for m in masters), "%s: they are up" % form)

		c.ask(put(b"{tag}1") + put(b"{tag}2"), b"STORED\r\nSTORED\r\n", "%s: keys with a tag" % form)
		node = cluster.master_of("tag")
		is_([node.call("EXISTS", "{tag}%d" % i) for i in (1, 2)], [1, 1], "%s: share a node" % form)
		large = os.urandom(900000)
		for i in range(6):
			c.send(put(b"large%d" % i, large))
		is_([c.line() for i in range(6)], [b"STORED\r\n"] * 6, "%s: large values" % form)
		c.send(b"get %s\r\n" % b" ".join(b"large%d" % i for i in range(6)))
		body = c.recv(6 * (len(b"VALUE large0 0 900000\r\n") + 900002) + 5)
		ok(body == b"".join(b"VALUE large%d 0 900000\r\n%s\r\n" % (i, large) for i in range(6)) + b"END\r\n", "%s: come back whole" % form)


def flushes(cluster):
	"""flush_all where others live in the same cluster: key by key."""
	spaces = SPACE % "item" + 'namespace "other" { prefix = "other:"  primary { store = "c"  format = item } }\n'
	cluster.flush()
	with kvgate(cluster.server, spaces) as kv, kv.client(seconds=60) as c:
		n = 3000
		c.send_and_read(b"".join(put(b"mine%d" % i) + put(b"other:%d" % i) for i in range(n)))
		is_({c.line() for _ in range(2 * n)}, {b"STORED\r\n"}, "flush: two namespaces share the cluster")
		is_(cluster.size(), 2 * n, "flush: all are there")
		c.ask(b"flush_all\r\n", b"OK\r\n", "flush_all of one of them")
		is_(cluster.size(), n, "flush: only its keys are gone, on every master")
		found = [key for m in cluster.masters() for key in m.call("KEYS", "*")]
		ok(all(key.startswith(b"other:") for key in found), "flush: the others are all there")
	with kvgate(cluster.server) as kv, kv.client(seconds=60) as c:
		c.ask(b"flush_all\r\n", b"OK\r\n", "flush_all where nobody else lives")
		is_(cluster.size(), 0, "flush: nothing is left")


# ---------------------------------------------------------------- seeds

def seeds(cluster):
	replica = cluster.replicas()[0]
	with kvgate('"%s"' % replica.server) as kv:
		ok(works(kv), "a replica is seed enough")
	nobody = free_port()
	with kvgate('"127.0.0.1:%d", "%s"' % (nobody, replica.server)) as kv:
		ok(works(kv), "so is a living one behind a dead one")
		is_(state(kv), "up", "the store is up")
	with kvgate('"localhost:%d"' % replica.port) as kv:
		ok(works(kv), "and one that is named")
	with Redis() as alone, kvgate('"%s"' % alone.server) as kv, kv.client(seconds=30) as c:
		wait_for(lambda: state(kv) == "down", 20, "the store to be down")
		is_(c.call(b"get a\r\n"), b"SERVER_ERROR c is down: %s is no Redis Cluster: its cluster support is disabled\r\n" %
		    alone.server.encode(), "a Redis that is no cluster: said, with its name")
		like(c.call(b"flush_all\r\n"), rb"^SERVER_ERROR c is down: ", "for flush_all too")
	with Memcached() as other, kvgate('"127.0.0.1:%d"' % other.port) as kv, kv.client(seconds=30) as c:
		wait_for(lambda: state(kv) == "down", 20, "the store to be down")
		like(c.call(b"get a\r\n"), rb"^SERVER_ERROR c is down: 127.0.0.1:%d is down: " % other.port, "what is no Redis at all: said")


def passwords():
	with RedisCluster(replicas=0, password="secret") as cluster:
		with kvgate(cluster.server, store='password = "secret"') as kv:
			ok(works(kv), "a cluster with a password")
		with kvgate(cluster.server) as kv, kv.client(seconds=30) as c:
			wait_for(lambda: state(kv) == "down", 20, "the store to be down")
			like(c.call(b"get a\r\n"), rb"^SERVER_ERROR c is down: .*NOAUTH", "without it: said")


# ---------------------------------------------------------------- all gone

def gone(cluster):
	with kvgate(cluster.server) as kv, kv.client(seconds=30) as c:
		ok(works(kv), "gone: all is well")
		for node in cluster.nodes:
			node.kill()
		wait_for(lambda: state(kv) == "down", 30, "the store to be down")
		like(c.call(b"get a\r\n"), rb"^SERVER_ERROR c is down: ", "all nodes gone: the store is down")
		for node in cluster.nodes:
			node.start(node.argv)
		cluster.wait_ok()
		wait_for(lambda: state(kv) == "up", 30, "the store to be up")
		wait_for(lambda: works(kv), 30, "all nodes")
		ok(True, "all nodes back: all is well")
		is_(rows(kv, "inflight")["cluster"], "0", "nothing is left in flight")


with RedisCluster() as cluster:
	every_slot(cluster, "item")
	every_slot(cluster, "raw")
	flushes(cluster)
	seeds(cluster)
	gone(cluster)
passwords()
done_testing()
