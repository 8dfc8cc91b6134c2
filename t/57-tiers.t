#!/usr/bin/python3
"""
A cache store before the primary: what was read there is found in it, for others too; a write ends that, before the next
read that knows of it; when it is down, slow, full of rubbish or empty the primary answers, and nothing old comes back.
"""
import os, random, re, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *
from between import Between

CONF = """%s
store "cache" { type = memcached  servers = { %s }  timeout = 5s  %s }
namespace "default" { prefix = ""  primary { store = "s"  format = item }  cache { store = "cache"  ttl = 60s }  local { ttl = %s }  slo_read { target = %s } }
namespace "r" { prefix = "r:"  item_separator = "/"  primary { store = "s"  format = item }  cache { store = "cache" }  local { ttl = 0 }
    slo_read { target = 4s } }
namespace "z" { prefix = "z:"  item_separator = "/"  primary { store = "s"  format = item }  cache { store = "cache" }  local { ttl = %s }
    slo_read { target = 4s }  compression { codec = zstd  min_size = 100 }  chunk_size = 256KB }
"""


def redis(r):
	return 'store "s" { type = redis  servers = { "127.0.0.1:%d" } }' % r.port


def rocksdb(name):
	return 'store "s" { type = rocksdb  path = "%s"  durability = none }' % os.path.join(tmpdir(), name)


def conf(store, caches, more="", local="0", target="4s"):
	return CONF % (store, ", ".join('"127.0.0.1:%d"' % port for port in caches), more, local, target, local)


def value(key, text, flags=0):
	return b"VALUE %s %d %d\r\n%s\r\nEND\r\n" % (key, flags, len(text), text)


def counts(kv):
	said = stats(kv, "kvgate")
	return {name: int(said["tier_" + name]) for name in ("hits", "misses", "fills", "errors")}


def until_hit(kv, c, key, want):
	"""Reads until the cache store answers: a fill is on its way, not waited for."""
	before = counts(kv)["hits"]

	def tried():
		is_same = c.call(b"get %s\r\n" % key, b"END\r\n") == want
		return is_same and counts(kv)["hits"] > before
	wait_for(tried, 20, "a hit of %s" % key.decode())


def reads_and_writes(kv, other, c, d, k):
	c.ask(b"set %s 5 0 3\r\none\r\n" % k, b"STORED\r\n")
	until_hit(kv, c, k, value(k, b"one", 5))
	until_hit(other, d, k, value(k, b"one", 5))
	ok(True, "%s: what one has read another finds" % k.decode())
	for line, text in ((b"set %s 0 0 3\r\ntwo\r\n" % k, b"two"), (b"append %s 0 0 1\r\n!\r\n" % k, b"two!"), (b"ms %s 5\r\nthree\r\n" % k, b"three"),
	    (b"set %s 0 0 1\r\n7\r\n" % k, b"7"), (b"incr %s 1\r\n" % k, b"8")):
		until_hit(kv, c, k, c.call(b"get %s\r\n" % k, b"END\r\n"))
		c.call(line)
		is_(c.call(b"get %s\r\n" % k, b"END\r\n").split(b"\r\n")[1], text, "%s: %s is seen at once" % (k.decode(), line.split()[0].decode()))
		c.send(line * 2 + b"get %s\r\n" % k)
		c.recv_until(b"END\r\n")
	until_hit(kv, c, k, c.call(b"get %s\r\n" % k, b"END\r\n"))
	c.ask(b"delete %s\r\nget %s\r\nmg %s v\r\n" % (k, k, k), b"DELETED\r\nEND\r\nEN\r\n", "%s: a delete" % k.decode())
	c.ask(b"get %s\r\n" % k, b"END\r\n")
	wait_for(lambda: d.call(b"get %s\r\n" % k, b"END\r\n") == b"END\r\n", 20, "others")
	c.ask(b"add %s 0 0 1\r\nx\r\nget %s\r\n" % (k, k), b"STORED\r\n" + value(k, b"x"), "%s: and an add" % k.decode())
	c.ask(b"gat 0 %s\r\n" % k, value(k, b"x"))
	until_hit(kv, c, k, value(k, b"x"))
	c.ask(b"get %s\r\nset %s 0 0 1\r\ny\r\nget %s\r\n" % (k, k, k), value(k, b"x") + b"STORED\r\n" + value(k, b"y"), "%s: a get before a set in one pipeline" % k.decode())


def what_it_holds(kv, c):
	big = os.urandom(200000)
	c.ask(b"set big 9 0 200000\r\n%s\r\n" % big, b"STORED\r\n")
	until_hit(kv, c, b"big", value(b"big", big, 9))
	c.ask(b"set empty 0 0 0\r\n\r\n", b"STORED\r\n")
	until_hit(kv, c, b"empty", value(b"empty", b""))
	c.ask(b"mg empty v s f\r\nmg empty k\r\nmg none v\r\n", b"VA 0 s0 f0\r\n\r\nHD kempty\r\nEN\r\n", "meta commands")
	key = b"k" * 250
	c.ask(b"set %s 0 0 1\r\nx\r\n" % key, b"STORED\r\n")
	until_hit(kv, c, key, value(key, b"x"))
	key = b"r:" + b"k" * 248
	c.ask(b"set %s 0 0 1\r\nx\r\nget %s\r\n" % (key, key), b"STORED\r\n" + value(key, b"x"), "an id without room for its record's key")
	c.ask(b"set r:one/\x7f 0 0 1\r\nx\r\nget r:one/\x7f\r\nget r:one/\x7f\r\n", b"STORED\r\n" + value(b"r:one/\x7f", b"x") * 2, "an item that has that key")
	before = counts(kv)
	c.ask(b"mg big c s\r\n" * 1, c.call(b"mg big c s\r\n"))
	is_(counts(kv), before, "who wants a unique is told by the primary")
	c.ask(b"set short 0 3 1\r\nx\r\nget short\r\nget short\r\n", b"STORED\r\n" + value(b"short", b"x") * 2)


def encoded(kv, c, m):
	"""What is compressed in the primary is so in the cache store, too; what is in pieces does not go there."""
	words = b" ".join(b"word%d" % (i % 100) for i in range(120000))
	for key, text in ((b"z:one/small", words[:3000]), (b"z:one/large", words[:250000]), (b"z:one", words[:40]), (b"z:plain/1", os.urandom(5000)),
	    (b"z:plain/2", os.urandom(200000))):
		c.ask(b"set %s 3 0 %d\r\n%s\r\n" % (key, len(text), text), b"STORED\r\n")
		until_hit(kv, c, key, value(key, text, 3))
		c.ask(b"mg %s s f v\r\n" % key, b"VA %d s%d f3\r\n%s\r\n" % (len(text), len(text), text), "%s of %d bytes" % (key.decode(), len(text)))
		with m.client() as d:
			held = int(re.match(rb"VALUE \S+ \d+ (\d+)", d.call(b"get %s\r\n" % key, b"END\r\n")).group(1))
			ok(held < 88 + len(text) / 3 if b"one/" in key else held == 88 + len(text), "it takes %d bytes there" % held)
	c.ask(b"append z:one/small 0 0 3\r\nend\r\nget z:one/small\r\n", b"STORED\r\n" + value(b"z:one/small", words[:3000] + b"end", 3), "an append to what is compressed")
	c.ask(b"set z:big 0 0 700000\r\n%s\r\n" % words[:700000], b"STORED\r\n")
	before = counts(kv)
	for _ in range(3):
		is_(c.call(b"get z:big\r\n", b"END\r\n") == value(b"z:big", words[:700000]), True, "a value in pieces")
	is_((counts(kv)["hits"], counts(kv)["fills"]), (before["hits"], before["fills"]), "is the primary's alone")
	c.ask(b"kd z:one\r\nget z:one/small z:one/large z:one\r\n", b"HD\r\nEND\r\n", "all of it is deleted")


def rubbish(kv, c, m):
	"""Whatever stands there, the primary knows better, and it is replaced."""
	c.ask(b"set x 0 0 4\r\ngood\r\nset r:x/y 0 0 4\r\ngood\r\n", b"STORED\r\n" * 2)
	with m.client() as d:
		for junk in (b"", b"junk", b"\0" * 79, b"\0" * 80, b"\0" * 16 + b"\xf1kv\x01" + b"\0" * 100, b"\0" * 16 + b"\xf1kv\x01\0\0\0\x1c" + b"\xff" * 200):
			for key in (b"x", b"r:x/y"):
				d.ask(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(junk), junk), b"STORED\r\n")
				got = c.call(b"get %s\r\n" % key, b"END\r\n")
				ok(got == value(key, b"good"), "rubbish of %d bytes at %s" % (len(junk), key.decode()))
		d.ask(b"flush_all\r\n", b"OK\r\n")
	c.ask(b"get x\r\nget r:x/y\r\n", value(b"x", b"good") + value(b"r:x/y", b"good"), "when it was emptied the primary answers")


def records(kv, c, m):
	for i in range(3):
		c.ask(b"set r:rec/%d 0 0 1\r\n%d\r\n" % (i, i), b"STORED\r\n")
		until_hit(kv, c, b"r:rec/%d" % i, value(b"r:rec/%d" % i, b"%d" % i))
	with m.client() as d:
		d.ask(b"delete r:rec/\x7f\r\n", b"DELETED\r\n", "the record's own key has gone")
	before = counts(kv)["hits"]
	c.ask(b"get r:rec/0\r\n", value(b"r:rec/0", b"0"))
	is_(counts(kv)["hits"], before, "so nothing is known of it there")
	until_hit(kv, c, b"r:rec/0", value(b"r:rec/0", b"0"))
	ok(True, "until it has a new one")
	c.ask(b"set r:rec/1 0 0 2\r\nab\r\nget r:rec/1\r\nget r:rec/\r\nset r:rec/ 0 0 1\r\nx\r\n", b"STORED\r\n" + value(b"r:rec/1", b"ab") + b"END\r\nSTORED\r\n")
	for i in range(3):
		until_hit(kv, c, b"r:rec/%d" % i, c.call(b"get r:rec/%d\r\n" % i, b"END\r\n"))
	c.ask(b"kd r:rec G2 U9\r\nget r:rec/2\r\nget r:rec/0\r\n", b"HD\r\nEND\r\n" + value(b"r:rec/0", b"0"), "a range is deleted")
	c.ask(b"get r:rec/2\r\n" * 3, b"END\r\n" * 3, "and stays so")
	until_hit(kv, c, b"r:rec/0", value(b"r:rec/0", b"0"))
	c.ask(b"kp r:rec 2\r\n0 1\r\nx\r\n5 1\r\ny\r\nget r:rec/0\r\nget r:rec/5\r\n", b"HD\r\n" + value(b"r:rec/0", b"x") + value(b"r:rec/5", b"y"), "items are put")
	for k, text in ((b"r:rec/0", b"x"), (b"r:rec/5", b"y"), (b"r:rec", b"x")):
		until_hit(kv, c, k, value(k, text))
	c.ask(b"kd r:rec K5 K0\r\nget r:rec/5\r\nget r:rec/0\r\nget r:rec\r\n", b"HD\r\nEND\r\nEND\r\n" + value(b"r:rec", b"x"), "items are deleted")
	c.ask(b"kd r:rec\r\nget r:rec/1\r\nget r:rec\r\n", b"HD\r\nEND\r\nEND\r\n", "the record is deleted")
	c.ask(b"get r:rec/1\r\nget r:rec\r\n" * 3, b"END\r\n" * 6, "and stays so")


def never_backwards(kv, rounds):
	"""One writer, and readers that have been told of its writes."""
	told, wrong, stop = [0] * 8, [], threading.Event()

	def write():
		with kv.client() as c:
			for n in range(1, rounds):
				i = n % 8
				if n % 50 == 0:
					c.ask(b"kd r:w%s\r\n" % (b" G4", b"")[n % 100 == 0], b"HD\r\n")
				c.ask(b"set r:w/%d 0 0 %d\r\n%d\r\n" % (i, len(b"%d" % n), n), b"STORED\r\n")
				told[i] = n
		stop.set()

	def read(seed):
		rnd = random.Random(seed)
		with kv.client() as c:
			while not stop.is_set():
				i = rnd.randrange(8)
				least = told[i]
				got = c.call(b"get r:w/%d\r\n" % i, b"END\r\n").split(b"\r\n")
				if len(got) > 2 and int(got[1]) < least:
					wrong.append((i, least, got))
	threads = [threading.Thread(target=write)] + [threading.Thread(target=read, args=(n,)) for n in range(4)]
	for t in threads:
		t.start()
	for t in threads:
		t.join()
	is_(wrong[:3], [], "nobody reads what is older than he knows of")
	with kv.client() as c:
		c.ask(b"set r:hit/0 0 0 1\r\nx\r\n", b"STORED\r\n")
		until_hit(kv, c, b"r:hit/0", value(b"r:hit/0", b"x"))
	ok(True, "the cache store answered %d times" % counts(kv)["hits"])


def whole(store, alone, m):
	with Kvgate(["-t", "2"], conf=conf(store, [m.port])) as kv:
		other = kv if alone else Kvgate(["-t", "1"], conf=conf(store, [m.port]))
		with kv.client() as c, other.client() as d:
			for k in (b"key", b"r:one/a", b"r:one"):
				reads_and_writes(kv, other, c, d, k)
			what_it_holds(kv, c)
			encoded(kv, c, m)
			rubbish(kv, c, m)
			records(kv, c, m)
			if alone:
				wait_for(lambda: c.call(b"get short\r\n", b"END\r\n") == b"END\r\n", 20, "it expires")
				ok(True, "what has to expire does")
			c.ask(b"set f 0 0 1\r\nx\r\n", b"STORED\r\n")
			until_hit(kv, c, b"f", value(b"f", b"x"))
			c.ask(b"flush_all\r\n", b"OK\r\n")
			c.ask(b"get f\r\n", b"END\r\n", "flush_all empties it, too")
		if not alone:
			other.stop()


with Memcached() as m:
	whole(rocksdb("whole"), True, m)
with Redis() as r, Memcached() as m:
	# Two connections: reads would be hedged, so all ops go as flights.
	whole(redis(r)[:-1] + "  connections = 2  timeout = 9s }", False, m)

	# With local copies before it.
	with Kvgate(["-t", "2"], conf=conf(redis(r), [m.port], local="3600s")) as kv, Kvgate(["-t", "1"], conf=conf(redis(r), [m.port])) as other, \
	    kv.client() as c, other.client() as d:
		d.ask(b"set l 0 0 1\r\nx\r\n", b"STORED\r\n")
		until_hit(other, d, b"l", value(b"l", b"x"))
		c.ask(b"get l\r\n", value(b"l", b"x"))
		before = counts(kv)
		is_(before["hits"], 1, "what the cache store has")
		c.ask(b"get l\r\n", value(b"l", b"x"))
		is_(counts(kv), before, "what it answered is a local copy")
		c.ask(b"set l 0 0 1\r\ny\r\nget l\r\n", b"STORED\r\n" + value(b"l", b"y"), "which a write ends")

# ---- a cache store that fails
with Redis() as r, Memcached() as m, Between(m) as between:
	with Kvgate(["-t", "1"], conf=conf(redis(r), [between.port], "retry_min = 20ms  retry_max = 50ms", target="%dms" % int(100 * patience))) as kv, kv.client() as c:
		c.ask(b"set k 0 0 1\r\na\r\n", b"STORED\r\n")
		until_hit(kv, c, b"k", value(b"k", b"a"))
		for fault in ("stall", "reset", "close", "corrupt"):
			between.fault(fault)
			c.ask(b"get k\r\nget k\r\n", value(b"k", b"a") * 2, "%s: the primary answers" % fault)
			c.ask(b"set k 0 0 1\r\nb\r\nget k\r\n", b"STORED\r\n" + value(b"k", b"b"), "%s: and takes writes" % fault)
			between.fault("none")
			for _ in range(20):
				if c.call(b"get k\r\n", b"END\r\n") != value(b"k", b"b"):
					ok(False, "%s: an old value comes back" % fault)
			c.ask(b"set k 0 0 1\r\na\r\nget k\r\n", b"STORED\r\n" + value(b"k", b"a"), "%s: it is over" % fault)
	with Kvgate(["-t", "1"], conf=conf(redis(r), [free_port()])) as kv, kv.client() as c:
		c.ask(b"set k 0 0 1\r\nc\r\nget k\r\ndelete k\r\nget k\r\n", b"STORED\r\n" + value(b"k", b"c") + b"DELETED\r\nEND\r\n", "one that is not there")

# ---- an end amid writes and reads, the cache store closed first
with Redis() as r, Memcached() as m, Between(r) as between:
	text = conf('store "s" { type = redis  servers = { "127.0.0.1:%d" }  timeout = 9s }' % between.port, [m.port])
	with Kvgate(["-t", "1"], conf="\n".join(text.split("\n")[1:2] + text.split("\n")[:1] + text.split("\n")[2:])) as kv, kv.client() as c:
		c.ask(b"set k 0 0 1\r\na\r\nset r:k/a 0 0 1\r\na\r\n", b"STORED\r\n" * 2)
		between.fault("stall")
		c.send(b"set k 0 0 1\r\nb\r\nset r:k/a 0 0 1\r\na\r\nkd r:k\r\nget k\r\nget other\r\nmn\r\n")
		wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) >= 4, 20, "all of it to be under way")

with Redis() as r, Memcached() as m1, Memcached() as m2:
	for store in (redis(r), rocksdb("backwards")):
		with Kvgate(["-t", "4"], conf=conf(store, [m1.port, m2.port])) as kv:
			never_backwards(kv, 200)
done_testing()
