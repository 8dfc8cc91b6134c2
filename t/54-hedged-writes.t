#!/usr/bin/python3
"""
Writes that are late go out a second time, over another connection, where values carry versions: the copy that comes later
changes nothing, and undoes nothing that somebody else has written between the two.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import Redis
from between import Between

CONF = """store "r" { type = redis  servers = { "127.0.0.1:%d" }  timeout = 10s  connections = %d }
namespace "default" { prefix = ""  primary { store = "r"  format = item }  local { ttl = 0 }  %s }
"""
LATE_MS = int(1500 * patience)
HEDGE = "slo_write { target = %dms }  hedge = 5s  hedge_budget = 100%%" % int(150 * patience)


def hedges(kv):
	return int(stats(kv, "kvgate")["hedges_sent"])


def race(kv, other, between, first, second, name, key, want):
	"""first through the slow way, second by somebody else once it is done there but not answered; then the late copy."""
	with kv.client() as c, other.client() as o:
		o.ask(b"set %s 0 0 4\r\nhere\r\n" % key, b"STORED\r\n")
		before = hedges(kv)
		between.fault("late %d" % LATE_MS)
		c.send(first)
		wait_for(lambda: o.call(b"mg %s v\r\n" % key, until=b"\r\n") and o.sync() != b"here\r\n", 20, "the first copy")
		o.send(second)
		answered = o.line()
		like(answered, rb"^(STORED|DELETED)", "%s: the other write" % name)
		wait_for(lambda: hedges(kv) > before, 20, "the second copy")
		like(c.line(), rb"^(STORED|DELETED)", "%s: the first is acknowledged" % name)
		between.fault("none")
		# The late copy was sent before the first was answered; what the server has now it has after that.
		c.ask(b"mn\r\n", b"MN\r\n")
		o.ask(b"get %s\r\n" % key, want, "%s: the other write stands" % name)


with Redis() as redis, Between(redis) as between:
	with Kvgate(["-t", "1"], conf=CONF % (between.port, 2, HEDGE)) as kv, \
	    Kvgate(["-t", "1"], conf=CONF % (redis.port, 1, "")) as other:
		race(kv, other, between, b"set a 0 0 2\r\nv1\r\n", b"set a 0 0 2\r\nv2\r\n", "set, set", b"a",
		    b"VALUE a 0 2\r\nv2\r\nEND\r\n")
		race(kv, other, between, b"set b 0 0 2\r\nv1\r\n", b"delete b\r\n", "set, delete", b"b", b"END\r\n")
		race(kv, other, between, b"delete c\r\n", b"set c 0 0 2\r\nv2\r\n", "delete, set", b"c",
		    b"VALUE c 0 2\r\nv2\r\nEND\r\n")
		# What depends on what is there goes once.
		with kv.client() as c:
			c.ask(b"set n 0 0 1\r\n1\r\n", b"STORED\r\n")
			before = hedges(kv)
			between.fault("late %d" % LATE_MS)
			c.ask(b"incr n 1\r\n", b"2\r\n", "incr counts once")
			c.ask(b"append n 0 0 1\r\n3\r\n", b"STORED\r\n")
			is_(hedges(kv), before, "and is not hedged")
			between.fault("none")
			c.ask(b"get n\r\n", b"VALUE n 0 2\r\n23\r\nEND\r\n")

done_testing()
