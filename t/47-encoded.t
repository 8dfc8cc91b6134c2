#!/usr/bin/python3
"""
Values that are encoded in the store, or in pieces, behave like any other: every command, with and without a local copy, and
what is stored is smaller, spread, and nothing that a client would see.
"""
import os, random, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import disk_path
from redises import *

SPACE = """namespace "default" { prefix = ""  primary { store = "s" %s }  %s
	compression { codec = zstd  min_size = 100 }  chunk_size = 16KB  item_size_max = 4MB }
"""


def redis_store(r):
	return 'store "s" { type = redis  servers = { "127.0.0.1:%d" } }\n' % r.port


def pieces(r):
	"""The names of pieces that are in a redis, and for how many seconds."""
	with r.resp() as c:
		names = [k for k in c.call("KEYS", "*") if b"}@" in k]
		return {k: c.call("PTTL", k) / 1000 for k in names}


words = [b"%d" % n for n in range(100, 1000)]
rng = random.Random(7)


def text(n):
	"""It shrinks."""
	out = b" ".join(rng.choice(words) for _ in range(n // 4 + 1))
	return out[:n]


def noise(n):
	return rng.randbytes(n)


def mg(c, key, flags=b"v"):
	c.send(b"mg %s %s\r\n" % (key, flags))
	line = c.line()
	if not line.startswith(b"VA "):
		return line, None
	size = int(line.split()[1])
	return line, c.recv(size + 2)[:-2]


def commands(kv, r, local):
	name = "%s local copies" % ("with" if local else "without")
	with kv.client(seconds=30) as c:
		def put(key, value, verb=b"set", flags=0, ttl=0):
			return c.call(b"%s %s %d %d %d\r\n%s\r\n" % (verb, key, flags, ttl, len(value), value))

		kinds = (("plain", text(50)), ("no gain", noise(1000)), ("encoded", text(5000)), ("pieces", text(100000)),
		    ("pieces, no gain", noise(100001)), ("just one", text(16384)), ("just two", text(16385)), ("empty", b""),
		    ("large", text(1 << 20) + noise(1 << 20)))
		for kind, value in kinds:
			what = "%s, %s: " % (name, kind)
			is_(put(b"k", value, flags=7), b"STORED\r\n", what + "set")
			for i in range(2):
				is_(mg(c, b"k", b"v f s t"), (b"VA %d f7 s%d t-1\r\n" % (len(value), len(value)), value), what + "mg")
			is_(c.call(b"get k\r\n", b"END\r\n"), b"VALUE k 7 %d\r\n%s\r\nEND\r\n" % (len(value), value), what + "get")
			is_(mg(c, b"k", b"s")[0], b"HD s%d\r\n" % len(value), what + "mg s")
			is_(c.call(b"get no k none k\r\n", b"END\r\n"), b"VALUE k 7 %d\r\n%s\r\n" % (len(value), value) * 2 + b"END\r\n",
			    what + "get of several")
			is_(put(b"k", b"x", b"add"), b"NOT_STORED\r\n", what + "add")
			is_(put(b"k", b"-tail", b"append"), b"STORED\r\n", what + "append")
			is_(put(b"k", b"head-", b"prepend"), b"STORED\r\n", what + "prepend")
			value = b"head-" + value + b"-tail"
			is_(mg(c, b"k", b"v f"), (b"VA %d f7\r\n" % len(value), value), what + "is there")
			like(c.call(b"incr k 1\r\n"), b"^CLIENT_ERROR cannot increment", what + "incr")
			cas = int(mg(c, b"k", b"c")[0].split()[1][1:])
			is_(c.call(b"cas k 3 0 %d %d\r\n%s\r\n" % (len(value), cas + 1, value)), b"EXISTS\r\n", what + "cas with another")
			is_(c.call(b"cas k 3 0 %d %d\r\n%s\r\n" % (len(value), cas, value)), b"STORED\r\n", what + "cas")
			is_(c.call(b"touch k 1000\r\n"), b"TOUCHED\r\n", what + "touch")
			line, got = mg(c, b"k", b"v f t")
			ok(got == value and re.search(rb" f3 t(1000|99[0-9])\r", line), what + "lives for so long: %s" % line)
			is_(put(b"k", value[::-1], b"replace"), b"STORED\r\n", what + "replace")
			is_(mg(c, b"k")[1], value[::-1], what + "replaced")
			is_(c.call(b"gat 0 k\r\n", b"END\r\n"), b"VALUE k 0 %d\r\n%s\r\nEND\r\n" % (len(value), value[::-1]), what + "gat")
			is_(c.call(b"md k I T100\r\n"), b"HD\r\n", what + "md I")
			line, got = mg(c, b"k", b"v t")
			ok(got == value[::-1] and re.search(rb" t(100|9[0-9]) W X\r| t(100|9[0-9]) X W\r", line), what + "is stale: %s" % line)
			is_(c.call(b"delete k\r\n"), b"DELETED\r\n", what + "delete")
			is_(c.call(b"get k\r\n"), b"END\r\n", what + "has gone")
			is_(c.call(b"delete k\r\n"), b"NOT_FOUND\r\n", what + "has gone, says delete")


for local in (False, True):
	say = "" if local else "local { ttl = 0 }"
	with Redis() as r, Kvgate(["-t", "1", "-I", "1m"], conf=redis_store(r) + SPACE % ("format = item", say)) as kv:
		commands(kv, r, local)
		wait_for(lambda: all(t <= 60 and t != -0.001 for t in pieces(r).values()), what="an expiry of all pieces")
		ok(True, "what was replaced or deleted leaves no pieces for long")
	with Kvgate(["-t", "1", "-I", "1m"], conf='store "s" { type = rocksdb  path = "%s"  durability = none }\n' % disk_path() +
	    SPACE % ("", say)) as kv:
		commands(kv, None, local)

with Redis() as r, Kvgate(["-t", "2"], conf=redis_store(r) + SPACE % ("format = item", "local { ttl = 0 }")) as kv, \
    kv.client(seconds=30) as c, kv.client(seconds=30) as d:
	# One connection is in order whatever a command takes.
	a, b = text(100000), noise(50000)
	c.send(b"set k 0 0 %d\r\n%s\r\nget k\r\nappend k 0 0 4\r\nmore\r\nmg k s\r\nset k 0 0 %d\r\n%s\r\nmg k v\r\nset k 1 0 2\r\nhi\r\n"
	    b"get k\r\nprepend k 0 0 1\r\n-\r\nget k k2\r\n" % (len(a), a, len(b), b))
	is_(c.recv_until(b"VALUE k 1 3\r\n-hi\r\nEND\r\n"), b"STORED\r\nVALUE k 0 %d\r\n%s\r\nEND\r\nSTORED\r\nHD s%d\r\nSTORED\r\n"
	    b"VA %d\r\n%s\r\nSTORED\r\nVALUE k 1 2\r\nhi\r\nEND\r\nSTORED\r\nVALUE k 1 3\r\n-hi\r\nEND\r\n" %
	    (len(a), a, len(a) + 4, len(b), b), "a pipeline on one key is in order")

	c.call(b"set k 0 0 %d\r\n%s\r\n" % (len(a), a))
	wait_for(lambda: sum(1 for t in pieces(r).values() if t < 0) == 7, what="an expiry of what was replaced")
	with r.resp() as rc:
		lost = [k for k, t in pieces(r).items() if t < 0][0]
		kept = rc.call("GET", lost)
		ok(len(kept) < 16384, "pieces are encoded")
		rc.call("DEL", lost)
		is_(c.call(b"get k\r\n"), b"END\r\n", "a value that lost a piece is a miss")
		is_(c.call(b"get k none k\r\n"), b"END\r\n", "among several, too")
		is_(c.call(b"append k 0 0 1\r\nx\r\n"), b"NOT_STORED\r\n", "and nothing to append to")
		rc.call("SET", lost, kept[:-1] + bytes([kept[-1] ^ 1]))
		like(c.call(b"get k\r\n"), rb'^SERVER_ERROR store "s": value is damaged\r\n', "one that is damaged is an error")
		rc.call("SET", lost, b"rubbish")
		like(c.call(b"get k\r\n"), rb'^SERVER_ERROR store "s": value is damaged\r\n', "rubbish in its place as well")
		rc.call("SET", lost, kept)
		is_(c.call(b"mg k v\r\n", a + b"\r\n"), b"VA %d\r\n%s\r\n" % (len(a), a), "whole again")

		e = text(3000)
		c.call(b"set e 0 0 %d\r\n%s\r\n" % (len(e), e))
		raw = rc.call("GET", "e")
		ok(len(raw) < len(e) * 0.7, "%d bytes are stored as %d" % (len(e), len(raw)))
		for what, bad in (("cut short", raw[:-3]), ("changed", raw[:-9] + b"123456789"), ("of another size",
		    raw[:51] + bytes([raw[51] ^ 1]) + raw[52:]), ("of an unknown dictionary", raw[:55] + b"\x07" + raw[56:])):
			rc.call("SET", "e", bad)
			like(c.call(b"get e\r\n"), rb'^SERVER_ERROR store "s": (value|zstd)', "an encoded value that is %s is an error" % what)
			like(c.call(b"get e none\r\n"), rb'^SERVER_ERROR store "s": (value|zstd)', "among several, too")
		rc.call("SET", "e", raw)
		is_(c.call(b"get e\r\n", b"END\r\n"), b"VALUE e 0 3000\r\n%s\r\nEND\r\n" % e, "and whole again")

	# Expiry: pieces outlive the item, not by much.
	c.call(b"set t 0 100 %d\r\n%s\r\n" % (len(b), b))
	times = [t for t in pieces(r).values() if 100 < t <= 160]
	is_(len(times), 4, "pieces live a little longer than their item")
	c.call(b"touch t 1000\r\n")
	times = [t for t in pieces(r).values() if 1000 < t <= 1060]
	is_(len(times), 4, "when it is touched they live as long")
	c.call(b"touch t 0\r\n")
	is_(sum(1 for t in pieces(r).values() if t == -0.001), 4 + 7, "for ever, too")

	# Too large.
	c.call(b"set t 0 0 1\r\nx\r\n")
	is_(c.call(b"set t 0 0 4194305\r\n%s\r\n" % bytes(4194305)), b"SERVER_ERROR object too large for cache\r\n", "over item_size_max")
	is_(c.call(b"get t\r\n"), b"END\r\n", "the old value goes, as in memcached")
	is_(c.call(b"set t 0 0 4194304\r\n%s\r\n" % bytes(4194304)), b"STORED\r\n", "the largest")
	is_(c.call(b"append t 0 0 1\r\nx\r\n"), b"NOT_STORED\r\n", "nothing can be appended to it")

	# Writers against each other and a reader: one value or the other.
	values = {len(v): v for v in (text(90000), noise(70000), text(30), text(2000))}
	mixed = []
	for i in range(60):
		v = list(values.values())[i % 4]
		d.send(b"set w 0 0 %d\r\n%s\r\n" % (len(v), v))
		got = [mg(c, b"w")[1] for _ in range(3)]
		mixed += [len(g) for g in got if g is not None and values.get(len(g)) != g]
	d.sync()
	is_(mixed, [], "who reads while others write has one of their values, always")
	is_(mg(c, b"w")[1], v, "and the last one in the end")
done_testing()
