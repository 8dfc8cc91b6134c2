#!/usr/bin/python3
"""
Values that are encoded in the store, or in pieces, behave like any other: every command, with and without a local copy, and
what is stored is smaller, spread, and nothing that a client would see.
"""
import os, random, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

CONF = """store "r" { type = redis  servers = { "127.0.0.1:%d" } }
namespace "default" { prefix = ""  primary { store = "r"  format = item }  %s
	compression { codec = zstd  min_size = 100 }  chunk_size = 16KB  item_size_max = 4MB }
"""

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
			is_(c.call(b"delete k\r\n"), b"DELETED\r\n", what + "delete")
			is_(c.call(b"get k\r\n"), b"END\r\n", what + "has gone")
			is_(c.call(b"delete k\r\n"), b"NOT_FOUND\r\n", what + "has gone, says delete")


for local in (False, True):
	with Redis() as r, Kvgate(["-t", "1", "-I", "1m"], conf=CONF % (r.port, "" if local else "local { ttl = 0 }")) as kv:
		commands(kv, r, local)
		wait_for(lambda: all(b"@" not in k for k in r.call("KEYS", "*")), what="no piece is left")
		ok(True, "no piece is left")
done_testing()
