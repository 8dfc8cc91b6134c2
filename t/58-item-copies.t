#!/usr/bin/python3
"""Local copies of the items of records: they answer, writes of their item end them."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

CONF = """store "s" { type = redis  servers = { "127.0.0.1:%d" } }
namespace "default" { prefix = ""  primary { store = "s"  format = item } }
namespace "r" { prefix = "r:"  item_separator = "/"  primary { store = "s"  format = item }  local { ttl = 3600s %s } %s }
"""


def value(key, text):
	return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(text), text)


def asked(kv):
	return int(stats(kv, "kvgate")["store_requests"])


def copies(kv, c):
	for key in (b"r:one/a", b"r:one", b"r:", b"r:/a", b"r:one/a/b"):
		c.ask(b"set %s 0 0 1\r\nx\r\nget %s\r\n" % (key, key), b"STORED\r\n" + value(key, b"x"))
	before = asked(kv)
	for key in (b"r:one/a", b"r:one", b"r:", b"r:/a", b"r:one/a/b"):
		c.ask(b"get %s\r\nmg %s v\r\n" % (key, key), value(key, b"x") + b"VA 1\r\nx\r\n", "%s is there" % key.decode())
	is_(asked(kv), before, "and nobody asked the store")
	c.ask(b"append r:one/a 0 0 1\r\ny\r\nget r:one/a\r\nget r:one\r\n", b"STORED\r\n" + value(b"r:one/a", b"xy") + value(b"r:one", b"x"), "a write ends its item's copy")
	is_(asked(kv), before + 2, "and no other")
	c.ask(b"get r:one/a\r\n", value(b"r:one/a", b"xy"))
	before = asked(kv)
	c.ask(b"get r:one/a\r\n" * 2, value(b"r:one/a", b"xy") * 2, "what was read is a copy again")
	is_(asked(kv), before, "which answers")
	big = b"z" * 200000
	c.ask(b"set r:big/a 0 0 200000\r\n%s\r\nget r:big/a\r\n" % big, b"STORED\r\n" + value(b"r:big/a", big), "a large one")
	before = asked(kv)
	c.ask(b"get r:big/a\r\n", value(b"r:big/a", big))
	is_(asked(kv), before, "is copied, too")


def long_id(kv, c):
	key = b"r:" + b"k" * 248
	c.ask(b"set %s 0 0 1\r\nx\r\nget %s\r\nget %s\r\n" % (key, key, key), b"STORED\r\n" + value(key, b"x") * 2, "the longest id")


def many(kv, c):
	keys = [b"r:m%d/%d" % (i, j) for i in range(5) for j in range(5)]
	for k in keys:
		c.send(b"set %s 0 0 1\r\nv\r\n" % k)
	c.ask(b"mn\r\n", b"STORED\r\n" * len(keys) + b"MN\r\n")
	want = b"".join(b"VALUE %s 0 1\r\nv\r\n" % k for k in keys) + b"END\r\n"
	c.ask(b"get " + b" ".join(keys) + b"\r\n", want, "a get of many items")
	with kv.client() as d:
		d.ask(b"get " + b" ".join(keys) + b"\r\n", want, "by another client")


with Redis() as r:
	for local, more in (("", ""), ("refresh_ahead = 60s  negative_ttl = 60s", "on_error = stale  stale_for = 60s")):
		with Kvgate(["-t", "1"], conf=CONF % (r.port, local, more)) as kv, kv.client() as c:
			copies(kv, c)
			long_id(kv, c)
			many(kv, c)
			c.ask(b"flush_all\r\n", b"OK\r\n")
	with Kvgate(["-t", "1"], conf=CONF % (r.port, "ttl_jitter = 50%", "coalesce = no")) as kv, kv.client() as c:
		many(kv, c)
	with Kvgate(["-t", "1"], conf=(CONF % (r.port, "", "")).replace("ttl = 3600s", "ttl = 0")) as kv, kv.client() as c:
		many(kv, c)
done_testing()
