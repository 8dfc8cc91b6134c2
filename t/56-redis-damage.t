#!/usr/bin/python3
"""
What somebody else does to the keys that records are made of: commands are refused or what is none of ours is left out, nothing is half done,
no other record and no connection suffers. And a Redis that is full still lets go of what is deleted.
"""
import os, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *
from scripted import Scripted

CONF = """store "r" { type = redis  servers = { "%s" }  timeout = %dms }
namespace "m" { prefix = "m:"  item_separator = "/"  primary { store = "r"  format = item }  local { ttl = 0 } }
namespace "default" { prefix = ""  primary { store = "r"  format = item }  local { ttl = 0 } }
"""
NOW = b"\0\x06\x40\0\0\0\0\0"           # a version
ALL = b"HD ka\r\nHD kb\r\nHD kc\r\nEN\r\n"
VALUES = b"VA 1 ka\r\nx\r\nVA 1 kb\r\ny\r\nVA 1 kc\r\nz\r\nEN\r\n"


def item(value, marks=0, codec=0, length=28, version=NOW, expiry=b"\0" * 8, tail=b""):
	return b"\xf1kv\x01" + bytes((marks, codec)) + length.to_bytes(2, "big") + version + expiry + b"\0" * 4 + tail + value


def fresh(r, c):
	r.call("FLUSHALL")
	c.ask(b"kp m:1 3\r\na 1\r\nx\r\nb 1\r\ny\r\nc 1\r\nz\r\nkp m:2 1\r\na 1\r\nx\r\n", b"HD\r\n" * 2)


def list_of(r):
	return [k for k in r.call("KEYS", "*") if k.endswith(b"}*m:") and r.call("ZSCORE", k, "m:1") is not None][0]


def refused(c, line, pattern, name):
	like(c.call(line), b"^SERVER_ERROR [^\r\n]*" + pattern, name)


def disconnects(kv, r):
	return int(stats(kv, "servers")["r:%s:disconnects" % r.server])


def foreign_items(r, c):
	"""Items that are none are left out of pages; whoever asks for one is told, whoever writes it writes it."""
	for what, junk in (("a text", b"junk"), ("nothing", b""), ("a head that is too long", item(b"v", length=0xffff)), ("one that is too short", item(b"v", length=0)),
	    ("an unknown codec", item(b"v", codec=9)), ("a codec without a size", item(b"v", codec=1))):
		fresh(r, c)
		r.call("SET", "{m:1}=b", junk)
		c.ask(b"kg m:1\r\nkg m:1 r k\r\nkg m:1 Ka Kb\r\n", b"VA 1 ka\r\nx\r\nVA 1 kc\r\nz\r\nEN\r\nHD kc\r\nHD ka\r\nEN\r\nVA 1 ka\r\nx\r\nEN\r\n", "%s is left out of pages" % what)
		is_(len(re.findall(b"HD", c.call(b"ks m k\r\n", b"EN\r\n"))), 3, "and of scans")
		refused(c, b"get m:1/b\r\n", b"holds a value that kvgate did not write", "a get is refused")
		c.ask(b"kp m:1 1\r\nb 1\r\ny\r\nkg m:1\r\n", b"HD\r\n" + VALUES, "a put puts it right")
		r.call("SET", "{m:1}=b", junk)
		c.ask(b"kd m:1 Kb\r\nkp m:1 1\r\nb 1\r\ny\r\nkd m:1\r\nkg m:1\r\nget m:1/a\r\n", b"HD\r\n" * 3 + b"EN\r\nEND\r\n", "it can be deleted")
	# One of another type.
	fresh(r, c)
	r.call("DEL", "{m:1}=b")
	r.call("LPUSH", "{m:1}=b", "x")
	two = b"HD ka\r\nHD kc\r\nEN\r\n"
	c.ask(b"kg m:1\r\nkg m:1 k\r\nkg m:1 Kc Kb Ka k\r\nkg m:1 Kb Ka\r\n", b"VA 1 ka\r\nx\r\nVA 1 kc\r\nz\r\nEN\r\n" + two + b"HD kc\r\nHD ka\r\nEN\r\nVA 1 ka\r\nx\r\nEN\r\n",
	    "a list is left out of pages")
	is_(len(re.findall(b"HD", c.call(b"ks m k\r\n", b"EN\r\n"))), 3, "and of scans")
	for line in (b"kp m:1 2\r\nd 1\r\nq\r\nb 1\r\nq\r\n", b"set m:1/b 0 0 1\r\nx\r\n"):
		refused(c, line, b"says WRONGTYPE", "%s is refused" % line[:2].decode())
	c.ask(b"kg m:1 k\r\nkg m:1 Kd k\r\n", two + b"EN\r\n", "with nothing done")
	c.ask(b"kd m:1\r\nkg m:1 k\r\n", b"HD\r\nEN\r\n", "the record can be deleted")
	wait_for(lambda: not r.call("EXISTS", "{m:1}#"), 20, "it to be swept")
	is_(r.call("EXISTS", "{m:1}=b"), 0, "and that goes with it")


def strange_members(kv, r, c):
	"""In indices and lists."""
	before = disconnects(kv, r)
	fresh(r, c)
	for name in (b"b" * 1025, b"z" * 2000, b"z" * 70000):
		r.call("ZADD", "{m:1}#", 0, name)
		r.call("SET", b"{m:1}=" + name, item(b"v"))
	for line, want in ((b"kg m:1\r\n", VALUES), (b"kg m:1 k\r\n", ALL), (b"kg m:1 r k\r\n", b"HD kc\r\nHD kb\r\nHD ka\r\nEN\r\n")):
		c.ask(line * 3, want * 3, "members of an index that are too long are passed over: %s" % line.decode().strip())
	wait_for(lambda: r.call("ZCARD", "{m:1}#") == 3, 20, "them to leave")
	ok(True, "and leave")
	r.call("ZADD", "{m:1}#", 0, b"z" * 2000)
	c.ask(b"kd m:1\r\nkg m:1\r\n", b"HD\r\nEN\r\n")
	wait_for(lambda: not r.call("EXISTS", "{m:1}#"), 20, "them to leave")
	ok(True, "also with their record")
	fresh(r, c)
	for name in ("", "x%", "%2", "a%ff", "}", "a}b", "%25" * 251, "x" * 251, "x" * 5000):
		r.call("ZADD", list_of(r), 0, name)
	for n in range(3):
		is_(sorted(c.call(b"ks m k i\r\n", b"EN\r\n").split(b"\r\n")), sorted([b"HD ka im:1", b"HD kb im:1", b"HD kc im:1", b"HD ka im:2", b"EN", b""]),
		    "a scan passes over what is no record's name")
	is_(disconnects(kv, r), before, "no connection was given up")


def wrong_types(r, c):
	"""What is not there as what it has to be is found out before anything is written."""
	kp, put = b"kp m:1 2\r\nd 1\r\nq\r\ne 1\r\nq\r\n", b"set m:1/f 0 0 1\r\nq\r\n"
	fresh(r, c)
	r.call("DEL", "{m:1}#")
	r.call("SET", "{m:1}#", "x")
	for line in (kp, put, b"kg m:1\r\n", b"ma m:1/n N0\r\n", b"mg m:1/n N0\r\n"):
		refused(c, line, b"says WRONGTYPE", "without an index %s is refused" % line[:2].decode())
	c.ask(b"kg m:1 Kd Ke Kf Kn k\r\nget m:1/d m:1/a\r\n", b"EN\r\nVALUE m:1/a 0 1\r\nx\r\nEND\r\n", "with nothing done")
	c.ask(b"kd m:1 Ka\r\ndelete m:1/b\r\nget m:1/a m:1/b\r\n", b"HD\r\nDELETED\r\nEND\r\n", "items can be deleted")
	fresh(r, c)
	name = list_of(r)
	r.call("DEL", "{m:1}#", name)
	r.call("SET", name, "x")
	for line in (kp, put):
		refused(c, line, b"says WRONGTYPE", "a new record without a list: %s is refused" % line[:2].decode())
	c.ask(b"kg m:1 Kd Ke Kf k\r\nkg m:1\r\n", b"EN\r\nEN\r\n", "with nothing done")
	for junk in (b"junk", b"\0" * 100):
		fresh(r, c)
		r.call("SET", "{m:1}!", junk)
		for line in (kp, put, b"kg m:1\r\n", b"kg m:1 Ka\r\n", b"kd m:1 Ka\r\n", b"kd m:1\r\n", b"get m:1/a\r\n", b"gat 0 m:1/a\r\n", b"incr m:1/a 1\r\n", b"delete m:1/a\r\n",
		    b"ks m k\r\n"):
			refused(c, line, b"holds a value that kvgate did not write", "with marks that are none %s is refused" % line[:4].decode())
		c.ask(b"kg m:2\r\n", b"VA 1 ka\r\nx\r\nEN\r\n", "another record is well")
		r.call("DEL", "{m:1}!")
		c.ask(b"kg m:1\r\n", VALUES, "and with nothing done")


def full(r, c):
	"""Puts are refused, deletes are not."""
	r.call("FLUSHALL")
	value = b"v" * 10000
	for id in range(20):
		c.send_and_read(b"kp m:%d 10\r\n" % id + b"".join(b"%d 10000\r\n%s\r\n" % (i, value) for i in range(10)))
		is_(c.line(), b"HD\r\n")
	r.call("CONFIG", "SET", "maxmemory", int(r.info("memory")["used_memory"]) - 100000)
	refused(c, b"kp m:99 1\r\na 1\r\nx\r\n", b"says OOM", "a Redis that is full takes no more")
	refused(c, b"kp m:1 2\r\n3 1\r\nx\r\na 1\r\nx\r\n", b"says OOM", "and no half of it")
	c.ask(b"kg m:1 K3 Ka s k\r\n", b"HD s10000 k3\r\nEN\r\n")
	c.ask(b"kd m:0 K1 K2\r\ndelete m:0/3\r\nmd m:0/4\r\nkg m:0 k G0 U5\r\n", b"HD\r\nDELETED\r\nHD\r\nHD k0\r\nEN\r\n", "items can be deleted")
	c.ask(b"kd m:0 G7\r\nkd m:1\r\nkg m:1 k\r\nkg m:0 k\r\n", b"HD\r\nHD\r\nEN\r\nHD k0\r\nHD k5\r\nHD k6\r\nEN\r\n", "ranges and records can")
	wait_for(lambda: c.call(b"kp m:99 1\r\na 1\r\nx\r\n") == b"HD\r\n", 20, "room")
	ok(True, "which makes room")
	r.call("CONFIG", "SET", "maxmemory", 0)


def lies():
	"""A Redis that says other lengths than it gives: clients are told of an error, not of lengths."""
	said = {}

	def script(conn):
		while (line := conn.line()):
			words = [conn.block(int(conn.line()[1:])) for _ in range(int(line[1:]))]
			conn.say({b"PING": b"+PONG\r\n", b"SCRIPT": b"+OK\r\n", b"TIME": b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"}.get(words[0]) or said["page"])

	def page(left, what):
		place = b"\0\1" + b"\0\0" + b"\0\1" + b"\0\0" + b"a"
		return b"*4\r\n$1\r\na\r\n:%d\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (left, len(what), what, len(place), place)

	coded = b"\0" * 7 + b"\x05" + b"\0" * 4
	with Scripted(script) as liar, Kvgate(["-t", "1"], conf=CONF % (liar.address, 5000 * patience)) as kv, kv.client() as c:
		said["page"] = page(-1, item(b"v"))
		c.ask(b"kg m:1\r\n", b"VA 1 ka\r\nv\r\nEN\r\n", "a Redis of our own")
		for name, said["page"] in (("a length without a value", page(5, item(b""))), ("the same of an encoded one", page(5, item(b"", 0, 1, 40, tail=coded))),
		    ("a value as well as a length", page(3, item(b"value")))):
			c.send(b"kg m:1\r\nmn\r\n")
			got = c.recv_until(b"MN\r\n")
			like(got, rb"^(SERVER_ERROR [^\r\n]*\r\n|VA 1 ka\r\nv\r\nEN\r\n)MN\r\n$", "a lie: " + name)


with Redis(["--maxmemory-policy", "noeviction"]) as r, Kvgate(["-t", "1"], conf=CONF % (r.server, 5000 * patience)) as kv, kv.client() as c:
	foreign_items(r, c)
	strange_members(kv, r, c)
	wrong_types(r, c)
	full(r, c)
lies()
done_testing()
