#!/usr/bin/python3
"""
Pieces of values on Redis and on the embedded store: a token that comes twice with different values never mixes them, and
what nothing names any more has an end, however much of it there is and whichever server it is on.
"""
import os, random, re, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import disk_path
from redises import *

CONF = """%s
namespace "default" { prefix = ""  primary { store = "s" %s }  local { ttl = 0 }  chunk_size = 4KB }
namespace "n" { prefix = "n:"  item_separator = "/"  primary { store = "s" %s }  local { ttl = 0 }  chunk_size = 4KB }
"""
rng = random.Random(3)


def conf(*redises):
	if not redises:
		return CONF % ('store "s" { type = rocksdb  path = "%s"  durability = none }' % disk_path(), "", "")
	return CONF % ('store "s" { type = redis  servers = { %s }  timeout = %dms }' % (", ".join('"%s"' % r.server for r in redises),
	    2000 * patience), "format = item", "format = item")


def now():
	return int(time.time() * 1000000)


def lasting(redises):
	"""Names of pieces that are there for ever."""
	names = []
	for r in redises:
		with r.resp() as c:
			keys = [k for k in c.call("KEYS", "*") if b"}@" in k]
			names += [k for k, t in zip(keys, c.pipeline(*[("PTTL", k) for k in keys])) if t == -1]
	return names


def are_lasting(redises, n, what):
	try:
		wait_for(lambda: len(lasting(redises)) == n, what="pieces to get their end")
		ok(True, what)
	except Exception:
		is_(len(lasting(redises)), n, what)


def values_of(c, line):
	c.send(line + b"\r\n")
	out = {}
	while True:
		words = c.line().split()
		if words[0] != b"VA":
			return out
		out[words[2][1:]] = c.recv(int(words[1]) + 2)[:-2]


def kp(c, id, items, flags=b""):
	c.send(b"kp %s %d%s\r\n" % (id, len(items), flags) + b"".join(b"%s %d\r\n%s\r\n" % (k, len(v), v) for k, v in items.items()))
	return c.line()


def gone(c, *lines):
	for line in lines:
		c.call(line + b"\r\n")


def one_token_two_values(c, mode):
	"""The first one stays, all of it, whatever comes with its token later."""
	values = [rng.randbytes(n) for n in (20000, 20000, 33000, 9000)]
	for first in range(2):
		token = b"E%d Pa%d" % (now(), first)
		for v in values[first:] + values[:first]:
			is_(c.call(b"ms k%d %d %s\r\n%s\r\n" % (first, len(v), token, v)), b"HD\r\n", mode + ": ms")
			is_(c.call(b"get k%d\r\n" % first, b"\r\nEND\r\n"), b"VALUE k%d 0 %d\r\n%s\r\nEND\r\n" % (first,
			    len(values[first]), values[first]), mode + ": the first value of a token stays")
	token = b" E%d Pb" % now()
	for i, v in enumerate(values):
		is_(kp(c, b"n:r", {b"a": v, b"b": values[-1 - i], b"c": b"small"}, token), b"HD\r\n", mode + ": kp")
		is_(values_of(c, b"kg n:r k v"), {b"a": values[0], b"b": values[3], b"c": b"small"}, mode + ": all of it")
	return sum((len(v) + 4095) // 4096 for v in (values[0], values[1], values[0], values[3]))


def other_body_while_read(kv, mode):
	"""Who reads meanwhile has the value, or what it was."""
	old, new, third = rng.randbytes(30000), rng.randbytes(30000), rng.randbytes(30000)
	with kv.client(seconds=30) as c, kv.client(seconds=30) as d, kv.client(seconds=30) as e:
		bad = 0
		for i in range(20):
			kp(c, b"n:w", {b"x": old}, b" E%d P1" % now())
			token = b" E%d P2" % now()
			for other, v in ((d, new), (e, third)):
				other.send(b"kp n:w 1%s\r\nx %d\r\n%s\r\n" % (token, len(v), v))
			got = [values_of(c, b"kg n:w k v").get(b"x") for _ in range(4)]
			d.line(), e.line()
			got.append(values_of(c, b"kg n:w k v").get(b"x"))
			bad += any(g not in (old, new, third) for g in got) or got[-1] == old
		is_(bad, 0, mode + ": two with one token at once: one of them, or what was before")


def in_order(c, mode):
	"""What comes behind a read in one pipeline is not for it to see; the pieces of what it reads go a little later."""
	old, new = rng.randbytes(20000), rng.randbytes(20000)
	there = b"VALUE o 0 20000\r\n%s\r\nEND\r\n" % old
	for n in range(10):
		c.call(b"set o 0 0 20000\r\n%s\r\n" % old)
		c.ask(b"get o\r\ndelete o\r\nget o\r\n", there + b"DELETED\r\nEND\r\n", mode + ": delete behind get")
		c.ask(b"set o 0 0 20000\r\n%s\r\nget o\r\nset o 0 0 1\r\nx\r\nget o\r\n" % old,
		    b"STORED\r\n" + there + b"STORED\r\nVALUE o 0 1\r\nx\r\nEND\r\n", mode + ": set behind get")
		c.ask(b"set o 0 0 20000\r\n%s\r\nmg o s v\r\nset o 0 0 20000\r\n%s\r\nget o\r\n" % (old, new), b"STORED\r\n"
		    b"VA 20000 s20000\r\n%s\r\nSTORED\r\nVALUE o 0 20000\r\n%s\r\nEND\r\n" % (old, new), mode + ": large behind large")


def falls_behind(c, redises):
	"""Pieces that came too late for their item."""
	t, value = now(), rng.randbytes(20000)
	c.call(b"set d 0 0 1\r\nx\r\n")
	c.call(b"md d E%d P2\r\n" % (t + 2000000))
	is_(c.call(b"ms d 20000 E%d P1\r\n%s\r\n" % (t + 1000000, value)), b"HD\r\n", "older than a delete")
	c.call(b"ms d 1 E%d P3\r\ny\r\n" % (t + 3000000))
	is_(c.call(b"ms d 20000 E%d P1\r\n%s\r\n" % (t + 1000000, value)), b"HD\r\n", "older than a value")
	is_(kp(c, b"n:d", {b"b": b"1", b"c": b"2"}, b" E%d" % (t + 4000000)), b"HD\r\n", "items")
	c.call(b"kd n:d Kb E%d\r\n" % (t + 5000000))
	is_(kp(c, b"n:d", {b"a": value, b"b": value, b"c": value}, b" E%d" % (t + 3000000)), b"HD\r\n", "a kp that comes late in part")
	is_(values_of(c, b"kg n:d k v"), {b"a": value, b"c": b"2"}, "what was there stays")
	are_lasting(redises, 5, "late pieces have an end, those of the one item stay")
	c.call(b"kd n:d\r\n")
	are_lasting(redises, 0, "with it its pieces go")


def settled_late(c, redises):
	"""The first try did not come to its end; it is the same write that is sent again."""
	value, token = rng.randbytes(20000), b" E%d Pc" % now()
	for again in range(2):
		kp(c, b"n:s", {b"a": value}, token)
		c.call(b"ms s 20000%s\r\n%s\r\n" % (token, value))
		are_lasting(redises, 10, "two values" if again else "two values are written")
		if again:
			break
		for r in redises:
			with r.resp() as rc:
				for k in rc.call("KEYS", "*"):
					if b"}@" in k:
						rc.call("EXPIRE", k, 3000)
		is_(lasting(redises), [], "as if somebody had died in the middle")
	gone(c, b"kd n:s", b"delete s")
	are_lasting(redises, 0, "and they are gone")


def many(c, redises):
	items = {b"%03d" % i: rng.randbytes(9000) for i in range(100)}
	for _ in range(3):
		kp(c, b"n:m", items)
	are_lasting(redises, 300, "a hundred values that were replaced, twice: their pieces have an end")
	is_(values_of(c, b"kg n:m k v"), items, "those that are there are whole")
	c.call(b"kd n:m G000 U050\r\n")
	are_lasting(redises, 150, "a range that is deleted")
	c.call(b"kd n:m %s\r\n" % b" ".join(b"K%03d" % i for i in range(50, 75)))
	are_lasting(redises, 75, "items that are deleted")
	c.call(b"kd n:m\r\n")
	are_lasting(redises, 0, "a record that is deleted")


with Redis() as r, Redis() as s:
	for redises in ((r,), (r, s)):
		with Kvgate(["-t", "2"], conf=conf(*redises)) as kv, kv.client(seconds=30) as c:
			mode = "%d servers" % len(redises)
			n = one_token_two_values(c, mode)
			are_lasting(redises, n, mode + ": pieces of what was not taken have an end")
			gone(c, b"delete k0", b"delete k1", b"kd n:r")
			other_body_while_read(kv, mode)
			c.call(b"kd n:w\r\n")
			are_lasting(redises, 0, mode + ": all of them have one")
			in_order(c, mode)
			c.call(b"delete o\r\n")
			falls_behind(c, redises)
			settled_late(c, redises)
			many(c, redises)
			for x in redises:
				with x.resp() as rc:
					rc.call("FLUSHALL")
with Kvgate(["-t", "2"], conf=conf()) as kv, kv.client(seconds=30) as c:
	one_token_two_values(c, "rocksdb")
	other_body_while_read(kv, "rocksdb")
	in_order(c, "rocksdb")
done_testing()
