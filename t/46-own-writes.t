#!/usr/bin/python3
"""
Nobody reads an older value than the one that he has just written, whatever way the read takes: replicas in turn, hedges, second
connections, stand-ins, another configuration.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between
from redises import *

CONF = """store "s" { type = %s  servers = { %s }  timeout = 5s  connect_timeout = 1s  %s }
namespace "default" { prefix = ""  primary { store = "s"  %s }  local { ttl = %s }  coalesce = no  %s }
"""


def fleet(servers, store="", space="", kind="memcached", format="", local="0", threads=1):
	names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers)
	return Kvgate(["-t", threads], conf=CONF % (kind, names, store, format, local, space))


def value(key, text):
	return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(text), text)


KEYS = [b"key%d" % i for i in range(10)]

# ---- one server decides, the other one follows: a read must not go to the other one meanwhile

for title, store, space in (
    ("read_from = any", "read_from = any", ""),
    ("hedged", "", "hedge = 1ms  hedge_budget = 100%"),
    ("hedged, read_from = any", "read_from = any", "hedge = 1ms  hedge_budget = 100%")):
	with Memcached() as m1, Memcached() as m2, Between(m1) as a, Between(m2) as b:
		two = [a, b]
		with fleet(two, "replicas = 2  write_quorum = 1  " + store, space) as kv, kv.client() as c:
			for k in KEYS:
				c.ask(b"set %s 0 0 1\r\n1\r\n" % k, b"STORED\r\n")
			for s in two:
				s.fault("late 60")
			for n in range(2, 4):
				c.send(b"".join(b"incr %s 1\r\nget %s\r\n" % (k, k) for k in KEYS))
				want = b"".join(b"%d\r\n" % n + value(k, b"%d" % n) for k in KEYS)
				is_(c.recv(len(want)), want, "%s: get behind incr" % title)
			c.send(b"".join(b"append %s 0 0 1\r\n0\r\nget %s\r\n" % (k, k) for k in KEYS))
			want = b"".join(b"STORED\r\n" + value(k, b"30") for k in KEYS)
			is_(c.recv(len(want)), want, "%s: get behind append" % title)
			for s in two:
				s.fault("none")

# ---- a second connection to the same server

SYNC = [b"sync%d" % i for i in range(10)]

for kind, program, format in (("redis", Redis, "format = item"), ("redis", Redis, "")):
	with program() as one, Between(one) as a:
		with fleet([a], "connections = 2", "hedge = 1ms  hedge_budget = 100%", kind, format) as kv, kv.client() as c:
			for k in SYNC:
				c.ask(b"set %s 0 0 1\r\nx\r\n" % k, b"STORED\r\n")
			for i, k in enumerate(KEYS):
				c.ask(b"set %s 0 0 4\r\nold%d\r\n" % (k, i), b"STORED\r\n")
				a.fault("hold new%d" % i)
				c.send(b"set %s 0 0 4\r\nnew%d\r\nget %s\r\n" % (k, i, k))
				# If it goes out over the other connection, it does so before those that are hedged after it.
				with kv.client() as other:
					for s in SYNC:
						other.ask(b"get %s\r\n" % s, value(s, b"x"))
				a.fault("none")
				want = b"STORED\r\n" + value(k, b"new%d" % i)
				is_(c.recv(len(want)), want, "%s %s: get behind set %d" % (kind, format, i))

# ---- copies in the local cache: not of a replica that does not have yet what another one has acknowledged

with Memcached() as m1, Memcached() as m2, Between(m1) as a, Between(m2) as b:
	two = [a, b]
	with fleet(two, "replicas = 2  write_quorum = 1  read_from = any", local="30s", threads=2) as kv, \
	    kv.client() as c, kv.client() as c2:
		for k in KEYS[:4]:
			c.ask(b"set %s 0 0 3\r\nold\r\n" % k, b"STORED\r\n")
			b.fault("hold md " + k.decode())
			c.ask(b"delete %s\r\n" % k, b"DELETED\r\n")
			for _ in range(2):      # on the other worker, and from each replica
				c2.send(b"get %s\r\n" % k)
				c2.recv_until(b"END\r\n")
			b.fault("none")
			with m2.client() as direct:
				wait_for(lambda: direct.call(b"mg %s\r\n" % k) == b"EN\r\n", 10, "the other replica to have it")
			c.ask(b"get %s\r\n" % k, b"END\r\n", "no copy of what one replica still had")

# ---- nor of a replica of a cluster that is behind its master

with RedisCluster(masters=1, between=True) as cluster:
	master, = cluster.masters()
	replica, = cluster.replicas()
	with Kvgate(["-t", "1"], conf=CONF % ("redis-cluster", cluster.server, "map_refresh = 100ms", "format = item", "30s",
	    "hedge = 20ms  hedge_budget = 100%")) as kv, kv.client() as c:
		k = KEYS[0]
		c.ask(b"set %s 0 0 3\r\nold\r\n" % k, b"STORED\r\n")
		wait_for(lambda: replica.call("DBSIZE") == 1, 10, "the replica to have it")

		# Until the master has heard that it has something, nobody is told of it.
		wait_for(lambda: len(master.call("CLUSTER", "SLOTS")[0]) > 3, 20, "the master to know its replica")
		def maps():
			return int(stats(kv, "servers")["s:cluster:maps"])
		seen = maps()
		wait_for(lambda: maps() > seen + 1, 10, "a new map")
		master.call("CONFIG", "SET", "requirepass", "x")        # who is connected stays so
		replica.call("CLIENT", "KILL", "TYPE", "master")
		wait_for(lambda: b"master_link_status:down" in replica.call("INFO", "replication"), 10, "the replica to be cut off")
		c.ask(b"append %s 0 0 4\r\nnew!\r\n" % k, b"STORED\r\n")
		master.between.fault("late 200")
		c.send(b"get %s\r\n" % k)
		c.recv_until(b"END\r\n")
		ok(int(stats(kv, "kvgate")["hedges_sent"]) > 0, "the replica was asked")
		master.between.fault("none")

		def again():
			c.send(b"get %s\r\n" % k)
			return c.recv_until(b"END\r\n") == value(k, b"oldnew!")
		wait_for(again, 10, "the master's value: no copy is kept of what a replica has")
		ok(True, "no copy is kept of what a replica of a cluster has")

done_testing()
