#!/usr/bin/python3
"""
What records leave in Redis: an item is a string and a member of its record's index, which goes when it expires or is deleted; deletes of
ranges are a mark, whatever they cover, and what they cover goes behind them; records without items are in no list; flush_all takes all.
"""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

CONF = """store "r" { type = redis  servers = { "%s" }  timeout = %dms }
namespace "m" { prefix = "m:"  item_separator = "/"  primary { store = "r"  format = item }  local { ttl = 0 }  chunk_size = 4KB  %s }
namespace "default" { prefix = ""  primary { store = "r"  format = item }  local { ttl = 0 } }
"""


def keys(r, kind):
	"""Those of one kind: = items, # indices, ! marks, $ first answers, * lists."""
	found = [k for k in r.call("KEYS", "*") if b"}" in k]
	return sorted(k for k in found if k[k.index(b"}") + 1:][:1] == kind)


def kp(c, id, n, more=b""):
	lines = b"".join(b"%04d 1%s\r\nx\r\n" % (i, more) for i in range(n))
	return c.call(b"kp %s %d\r\n" % (id, n) + lines)


def members(r, id):
	return r.call("ZCARD", b"{%s}#" % id)


def listed(r):
	return sorted(m for k in keys(r, b"*") for m in r.call("ZRANGE", k, 0, -1))


def lives(r, c):
	is_(kp(c, b"m:1", 3), b"HD\r\n", "three items are put")
	is_(keys(r, b"="), [b"{m:1}=%04d" % i for i in range(3)], "they are strings")
	is_([r.call("ZRANGE", "{m:1}#", 0, -1), listed(r)], [[b"0000", b"0001", b"0002"], [b"m:1"]], "in an index, and the record in a list")
	c.ask(b"set m:1/a 0 0 1\r\ny\r\n", b"STORED\r\n", "a set of another")
	c.ask(b"set m:}%/a 0 0 1\r\nz\r\n", b"STORED\r\n", "a record with a name that has to be written otherwise")
	is_([members(r, b"m:1"), members(r, b"m:%7d%25"), listed(r)], [4, 1, [b"m:%7d%25", b"m:1"]], "joins them")
	c.ask(b"get m:}%/a m:1/a\r\n", b"VALUE m:}%/a 0 1\r\nz\r\nVALUE m:1/a 0 1\r\ny\r\nEND\r\n", "and is found")
	c.ask(b"md m:1/a\r\ndelete m:}%/a\r\n", b"HD\r\nDELETED\r\n", "what is deleted")
	is_([members(r, b"m:1"), listed(r)], [3, [b"m:1"]], "leaves them")
	is_(0 < r.call("PTTL", "{m:1}=a") <= 9000000, True, "but for a mark, which goes later")


def stale(r, c):
	"""Wins are taken by a script behind the read, which has only the names that the read had."""
	c.ask(b"ms m:s/a 1\r\nx\r\nmd m:s/a I T30\r\n", b"HD\r\nHD\r\n", "an item becomes stale")
	c.ask(b"mg m:s/a v\r\nmg m:s/a v\r\n", b"VA 1 X W\r\nx\r\nVA 1 Z X\r\nx\r\n", "one reader wins")
	like(c.call(b"me m:s/a\r\n"), rb"^ME m:s/a exp=\d+ .*size=1\r\n", "me")
	c.ask(b"md m:s/none\r\nmg m:s/new N30 v\r\nkg m:s k\r\n", b"NF\r\nVA 0 W\r\n\r\nHD ka\r\nHD knew\r\nEN\r\n", "what mg makes is an item")


def expires(r, c):
	is_(kp(c, b"m:e", 20, b" T1") + kp(c, b"m:f", 2, b" T100"), b"HD\r\nHD\r\n", "items with an end")
	is_(r.call("PTTL", "{m:e}#") == -1, False, "their index has it, too")
	c.ask(b"ms m:e/zz 1\r\ns\r\n", b"HD\r\n")
	is_(r.call("PTTL", "{m:e}#"), -1, "until something is there for ever")
	wait_for(lambda: not r.call("EXISTS", "{m:e}=0019"), 10, "the items to expire")
	c.ask(b"kg m:e k\r\n", b"HD kzz\r\nEN\r\n", "who reads does not see them")
	wait_for(lambda: members(r, b"m:e") == 1, 10, "the index to be swept")
	ok(True, "and has them removed from the index")


def ranges(r, c):
	is_(kp(c, b"m:d", 2000), b"HD\r\n", "2,000 items")
	c.ask(b"kd m:d G0100 U1900\r\n", b"HD\r\n", "1,800 of them are deleted")
	c.ask(b"kg m:d k U0101\r\n", b"".join(b"HD k%04d\r\n" % i for i in range(100)) + b"EN\r\n", "at once")
	wait_for(lambda: len([k for k in keys(r, b"=") if k.startswith(b"{m:d}")]) == 200, 20, "the items to be swept")
	wait_for(lambda: r.call("PTTL", "{m:d}!") > 0, 10, "the mark to be done with")
	is_(members(r, b"m:d"), 200, "what is dead is removed, and the mark has an end")
	c.ask(b"kd m:d\r\n", b"HD\r\n")
	wait_for(lambda: not r.call("EXISTS", "{m:d}#"), 20, "the record to be swept")
	is_([b"m:d" in listed(r), len([k for k in keys(r, b"!") if k == b"{m:d}!"])], [False, 1], "of a deleted record the mark is left")


def tokens(r, c):
	now = int(time.time() * 1000000)
	c.ask(b"ma m:t/n E%d P1 N0 J5 v\r\nma m:t/n E%d P2 D3 v\r\nma m:t/n E%d P2 D3 v\r\n" % (now, now, now),
	    b"VA 1\r\n5\r\nVA 1\r\n8\r\nVA 1\r\n8\r\n", "a repeated incr has its first answer")
	answers = keys(r, b"$")
	is_([len(answers), all(0 < r.call("PTTL", k) <= 3600000 for k in answers)], [2, True], "which is kept for an hour")


def pieces(r, c):
	"""Values in pieces: those of what was replaced or deleted have an end."""
	def left():
		return sum(r.call("PTTL", k) == -1 for k in keys(r, b"@"))

	value = b"v" * 10000
	for id in (b"a", b"b"):
		c.send_and_read(b"kp m:%s 2\r\none 10000\r\n%s\r\ntwo 10000\r\n%s\r\n" % (id, value, value))
		is_(c.line(), b"HD\r\n", "two large items are put")
	wait_for(lambda: left() == 12, 10, "the pieces to stay")
	c.ask(b"kp m:a 1\r\none 1\r\nx\r\n", b"HD\r\n", "one is put anew")
	wait_for(lambda: left() == 9, 10, "its pieces to have an end")
	c.ask(b"kd m:a Ktwo\r\n", b"HD\r\n", "one is deleted")
	wait_for(lambda: left() == 6, 10, "its pieces to have an end")
	c.ask(b"kg m:b k s\r\nkd m:b\r\nkg m:b\r\n", b"HD kone s10000\r\nHD ktwo s10000\r\nEN\r\nHD\r\nEN\r\n", "a record is deleted")
	wait_for(lambda: left() == 0, 10, "all pieces to have an end")
	ok(True, "and all pieces of values that are gone have an end")


def flushed(r, c):
	c.ask(b"set mine 0 0 1\r\nx\r\nset m 0 0 1\r\nx\r\n", b"STORED\r\nSTORED\r\n")
	c.ask(b"flush_all\r\n", b"OK\r\n", "flush_all")


with Redis() as r:
	for flush in ("no", "yes"):
		r.call("FLUSHALL")
		with Kvgate(["-t", "1"], conf=CONF % (r.server, 5000 * patience, "flush = " + flush)) as kv, kv.client() as c:
			if flush == "no":
				for test in (lives, stale, expires, ranges, tokens, pieces):
					test(r, c)
			else:
				kp(c, b"m:1", 3)
				c.ask(b"kd m:1 U0001\r\n", b"HD\r\n")
			before = [k for k in r.call("KEYS", "*")]
			flushed(r, c)
			left = sorted(r.call("KEYS", "*"))
			is_(left if flush == "yes" else len(left) > 0 and set(left) <= set(before), [] if flush == "yes" else True,
			    "flush_all, flush = %s: what is the namespace's" % flush)
done_testing()
