#!/usr/bin/python3
"""
A cache store whose memory is not what it was: with any bit of an item another one, with pieces of it missing or another item in its place, the
primary answers. And what the cache store could not be told of deletes, it is not asked about, however short others need to doubt it.
"""
import os, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *
from between import Between
from fakenodes import *

CONF = """store "s" { type = %s }
store "cache" { type = memcached  servers = { "127.0.0.1:%d" }  timeout = %dms  retry_min = 20ms  retry_max = 50ms }
namespace "default" { prefix = ""  primary { store = "s"  format = item }  cache { store = "cache"  ttl = 2s }  local { ttl = 0 }  slo_read { target = 4s } }
namespace "r" { prefix = "r:"  item_separator = "/"  primary { store = "s"  format = item }  cache { store = "cache"  ttl = 3600s }  local { ttl = 0 }
    slo_read { target = 4s }  %s }
namespace "z" { prefix = "z:"  primary { store = "s"  format = item }  cache { store = "cache"  ttl = 3600s }  local { ttl = 0 }
    slo_read { target = 4s }  compression { codec = zstd  min_size = 100 } }
"""
WORDS = b" ".join(b"word%d" % (i % 10) for i in range(200))


def hits(kv):
	return int(stats(kv, "kvgate")["tier_hits"])


def value(key, text, flags):
	return b"VALUE %s %d %d\r\n%s\r\nEND\r\n" % (key, flags, len(text), text)


def until_hit(kv, c, key):
	before = hits(kv)
	wait_for(lambda: c.call(b"get %s\r\n" % key, b"END\r\n") and hits(kv) > before, 20, "a hit of %s" % key.decode())


def raw(m, key):
	return re.match(rb"VALUE \S+ \d+ \d+\r\n(.*)\r\nEND\r\n", m.call(b"get %s\r\n" % key, b"END\r\n"), re.S).group(1)


def put(m, key, bytes):
	if m.call(b"set %s 0 60 %d\r\n%s\r\n" % (key, len(bytes), bytes)) != b"STORED\r\n":
		raise RuntimeError("the memcached does not take it")


def lies(kv, c, m):
	for key, text, flags in ((b"flat", b"the value", 5), (b"r:one/a", b"its value", 0), (b"z:coded", WORDS, 7), (b"empty", b"", 0)):
		c.ask(b"set %s %d 0 %d\r\n%s\r\n" % (key, flags, len(text), text), b"STORED\r\n")
		until_hit(kv, c, key)
		good, want, wrong = raw(m, key), value(key, text, flags), []
		for at in range(len(good)):
			for bit in range(8):
				put(m, key, good[:at] + bytes((good[at] ^ 1 << bit,)) + good[at + 1:])
				got = c.call(b"get %s\r\n" % key, b"END\r\n")
				if got != want:
					wrong.append((at, bit, got[:100]))
		is_(wrong[:5], [], "%s: any bit of %d bytes" % (key.decode(), len(good)))
		for n in range(len(good)):
			put(m, key, good[:n])
			got = c.call(b"get %s\r\n" % key, b"END\r\n")
			if got != want:
				wrong.append((n, got[:100]))
		is_(wrong[:5], [], "%s: any part of it" % key.decode())
	c.ask(b"set a 0 0 1\r\na\r\nset b 0 0 1\r\nb\r\n", b"STORED\r\n" * 2)
	for key in (b"a", b"b"):
		until_hit(kv, c, key)
	put(m, b"a", raw(m, b"b"))
	c.ask(b"get a\r\n", value(b"a", b"a", 0), "another item in its place")
	large = os.urandom(300000)
	c.ask(b"set large 0 0 300000\r\n%s\r\n" % large, b"STORED\r\n")
	until_hit(kv, c, b"large")
	good = raw(m, b"large")
	for at in (20, 100, 150000, len(good) - 1):
		put(m, b"large", good[:at] + bytes((good[at] ^ 4,)) + good[at + 1:])
		is_(c.call(b"get large\r\n", b"END\r\n") == value(b"large", large, 0), True, "a large one, byte %d" % at)


def long_doubt(kv, c, between):
	"""Deletes that the cache store was not told of, and writes of others meanwhile, which are doubted for less long."""
	for i in range(3):
		c.ask(b"set r:d/%d 0 0 1\r\nx\r\n" % i, b"STORED\r\n")
		until_hit(kv, c, b"r:d/%d" % i)
	between.fault("refuse")
	c.ask(b"kd r:d G1\r\nkd r:d K0\r\n", b"HD\r\nHD\r\n", "deletes while the cache store is away")
	for n in range(0, 60000, 1000):
		c.send_and_read(b"".join(b"ms k%d 0 q\r\n\r\n" % i for i in range(n, n + 1000)) + b"mn\r\n")
		c.recv_until(b"MN\r\n")
	between.fault("none")
	for key in (b"k0", b"k30000", b"k59999"):
		until_hit(kv, c, key)
	c.ask(b"get r:d/0\r\nget r:d/1\r\nget r:d/2\r\n", b"END\r\n" * 3, "nothing of it comes back")


def asked(kv):
	said = stats(kv, "kvgate")
	return int(said["tier_hits"]) + int(said["tier_misses"])


def unsure(kv, c, r, key, command):
	"""A write that times out may be carried out much later, when what is read now has settled in the cache store: that is not asked."""
	c.ask(b"set %s 0 0 3\r\nold\r\n" % key, b"STORED\r\n")
	until_hit(kv, c, key)
	r.call("CLIENT", "PAUSE", 3600000, "WRITE")
	like(c.call(command), rb"^SERVER_ERROR .*timed out", "%s: a write that times out" % command[:4].decode())
	r.call("CLIENT", "UNPAUSE")
	wait_for(lambda: c.call(b"mg %s\r\n" % key) in (b"HD\r\n", b"EN\r\n"), 20, "the store")
	before = asked(kv)
	for _ in range(3):
		c.call(b"get %s\r\n" % key, b"END\r\n")
	is_(asked(kv), before, "nobody asks the cache store about it")


def behind():
	"""What a replica of a cluster said when its master was slow may be old: it does not enter."""
	cluster = FakeCluster(2)
	a, b = cluster.nodes
	cluster.ranges = [(0, 16383, [a, b])]
	more = """namespace "h" { prefix = "h:"  primary { store = "s"  format = item }  cache { store = "cache" }  local { ttl = 0 }
    slo_read { target = 50ms }  hedge = 50ms  hedge_budget = 100% }
"""
	with Memcached() as m, Kvgate(["-t", "1"], conf=CONF % ("redis-cluster  servers = { %s }  timeout = %dms" % (cluster.server, 20000 * patience),
	    m.port, 5000 * patience, "") + more) as kv, kv.client() as c:
		head = b"\xf1kv\x01\0\0\0\x1c" + b"\0" * 7 + b"%c" + b"\0" * 12
		wait_for(lambda: c.call(b"get h:none\r\n") == b"END\r\n", 20, "the cluster")
		a.script("h:k", HOLD)
		a.values["h:k"], b.values["h:k"] = head % 2 + b"new", head % 1 + b"old"
		c.ask(b"get h:k\r\n", value(b"h:k", b"old", 0), "a replica answers for its master")
		a.release("h:k", b"$31\r\n%s\r\n" % a.values["h:k"])
		is_(stats(kv, "kvgate")["tier_fills"], "0", "that stays with who has asked")
		c.ask(b"get h:k\r\n", value(b"h:k", b"new", 0), "the master is asked the next time")
		until_hit(kv, c, b"h:k")
		c.ask(b"get h:k\r\n", value(b"h:k", b"new", 0), "and what it says settles")


with Memcached() as m, Between(m) as between:
	path = os.path.join(tmpdir(), "lies")
	with Kvgate(["-t", "1"], conf=CONF % ('rocksdb  path = "%s"  durability = none' % path, between.port, 5000 * patience, "")) as kv, kv.client() as c, m.client() as d:
		lies(kv, c, d)
		long_doubt(kv, c, between)
with Redis() as r, Memcached() as m:
	with Kvgate(["-t", "1"], conf=CONF % ('redis  servers = { "%s" }  timeout = %dms' % (r.server, 5000 * patience), m.port, 5000 * patience,
	    "slo_write { max = 100ms }")) as kv, kv.client() as c:
		unsure(kv, c, r, b"r:u/a", b"kp r:u 1\r\na 3\r\nnew\r\n")
		unsure(kv, c, r, b"r:v/a", b"kd r:v Ka\r\n")
		unsure(kv, c, r, b"r:w/a", b"kd r:w\r\n")
		unsure(kv, c, r, b"r:x/a", b"km 2\r\nkd r:x\r\nkp r:y 1\r\na 1\r\nx\r\n")
		unsure(kv, c, r, b"r:z/a", b"ms r:z/a 3\r\nnew\r\n")
behind()
done_testing()
