#!/usr/bin/python3
"""
The embedded store does not read what a newer write replaces: most sets and puts are such. What they replace is gone with
all its pieces all the same, older tokens lose to them as they do to others, and a restart forgets none of it.
"""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import disk_path

CONF = """store "d" { type = rocksdb  path = "%s"  durability = none }
namespace "default" { prefix = ""  primary { store = "d" }  local { ttl = 0 }  chunk_size = 4KB  delete_ttl = 1h }
namespace "n" { prefix = "n:"  item_separator = "/"  primary { store = "d" }  local { ttl = 0 }  chunk_size = 4KB }
"""
BIG = b"b" * 20000


def numbers(kv, *names):
	with kv.client() as c:
		c.send(b"stats servers\r\nquit\r\n")
		found = dict(line.split()[1:3] for line in c.recv_all().decode().splitlines() if line.startswith("STAT d:"))
	return [int(found["d:" + n]) for n in names]


def token(seconds=0.0):
	return b"E%d P1" % int((time.time() + seconds) * 1e6)


def store(c, key, value):
	c.ask(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value), b"STORED\r\n", "%s: %d bytes" % (key.decode(), len(value)))


def has(c, key, value, what):
	c.ask(b"get " + key + b"\r\n", b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value) if value is not None else b"END\r\n", what)


def is_blind(kv, act, n, what):
	before, = numbers(kv, "blind_writes")
	act()
	after, = numbers(kv, "blind_writes")
	is_(after - before, n, what)


def pieces_go(kv, act, n, what):
	before, = numbers(kv, "orphans")
	act()
	wait_for(lambda: numbers(kv, "orphans")[0] == before + n, what="pieces to go")
	ok(True, what)

path = disk_path()
with Kvgate(conf=CONF % path) as kv, kv.client() as c:
	# ---- what is blind ----
	is_blind(kv, lambda: store(c, b"a", b"1"), 1, "a new key")
	is_blind(kv, lambda: store(c, b"a", b"22"), 1, "one that is replaced")
	has(c, b"a", b"22", "the newer value")
	is_blind(kv, lambda: c.ask(b"add a 0 0 1\r\nx\r\n", b"NOT_STORED\r\n", "add"), 0, "what asks for what is there, reads it")
	is_blind(kv, lambda: c.ask(b"kp n:r 2\r\nx 1\r\n1\r\ny 1\r\n2\r\n", b"HD\r\n", "kp"), 1, "items of a record")
	is_blind(kv, lambda: c.ask(b"kp n:r 2\r\nx 1\r\n3\r\nz 1\r\n4\r\n", b"HD\r\n", "kp"), 1, "and over some of them")
	c.ask(b"kg n:r\r\n", b"VA 1 kx\r\n3\r\nVA 1 ky\r\n2\r\nVA 1 kz\r\n4\r\nEN\r\n", "all of it is there")

	# ---- deletes ----
	c.ask(b"delete a\r\n", b"DELETED\r\n", "delete")
	has(c, b"a", None, "it is gone")
	is_blind(kv, lambda: store(c, b"a", b"333"), 1, "a key that was deleted")
	has(c, b"a", b"333", "is there again")
	c.ask(b"kd n:r\r\n", b"HD\r\n", "kd")
	is_blind(kv, lambda: c.ask(b"kp n:r 1\r\nx 1\r\n5\r\n", b"HD\r\n", "kp"), 1, "a record that was deleted")
	c.ask(b"kg n:r\r\n", b"VA 1 kx\r\n5\r\nEN\r\n", "has what came after it, and no more")

	# ---- tokens ----
	ahead = token(8)
	c.ask(b"kp n:t 1 %s\r\nx 1\r\na\r\n" % ahead, b"HD\r\n", "a token of the near future")
	is_blind(kv, lambda: c.ask(b"kp n:t 1 %s\r\nx 1\r\nb\r\n" % token(), b"HD\r\n", "an older one"), 0, "that one reads")
	c.ask(b"kg n:t\r\n", b"VA 1 kx\r\na\r\nEN\r\n", "and changes nothing")
	is_blind(kv, lambda: store(c, b"n:t/x", b"c"), 0, "a plain write at that time reads, too")
	c.ask(b"kg n:t\r\n", b"VA 1 kx\r\nc\r\nEN\r\n", "and wins")
	is_blind(kv, lambda: c.ask(b"kp n:t 1 %s\r\nx 1\r\nd\r\n" % ahead, b"HD\r\n", "the token once more"), 0, "a repeated one reads")
	c.ask(b"kg n:t\r\n", b"VA 1 kx\r\nc\r\nEN\r\n", "and is old by now")

	# ---- pieces ----
	store(c, b"big", BIG)
	pieces_go(kv, lambda: is_blind(kv, lambda: store(c, b"big", b"small"), 0, "a value in pieces is looked at"), 5, "its pieces go with it")
	store(c, b"big", BIG)
	c.ask(b"kp n:p 1\r\nx %d\r\n%s\r\n" % (len(BIG), BIG), b"HD\r\n", "a value in pieces in a record")
	store(c, b"gone", b"x")
	c.ask(b"delete gone\r\n", b"DELETED\r\n", "a mark that stays")
	c.ask(b"kp n:u 1 %s\r\nx 1\r\na\r\n" % token(8), b"HD\r\n", "a token of the near future")

with Kvgate(conf=CONF % path) as kv, kv.client() as c:
	older = token(-1)

	def settled():
		before, = numbers(kv, "blind_writes")
		c.send(b"set probe 0 0 1\r\nx\r\n")
		c.line()
		return numbers(kv, "blind_writes")[0] > before
	wait_for(settled, what="what is there to be known")
	ok(True, "after a restart writes are blind again once it is known what is there")
	is_blind(kv, lambda: store(c, b"a", b"4"), 1, "a key of before the restart")
	pieces_go(kv, lambda: store(c, b"big", b"small"), 5, "pieces of before the restart go")
	pieces_go(kv, lambda: c.ask(b"kp n:p 1\r\nx 1\r\n1\r\n", b"HD\r\n", "kp"), 5, "those of a record, too")
	has(c, b"big", b"small", "the value that replaced them")
	is_blind(kv, lambda: store(c, b"gone", b"back"), 1, "a key that was deleted before the restart")
	has(c, b"gone", b"back", "is there")
	store(c, b"n:u/x", b"b")
	c.ask(b"kg n:u\r\n", b"VA 1 kx\r\nb\r\nEN\r\n", "a plain write is newer than all that was there before the restart")
	is_blind(kv, lambda: c.ask(b"kp n:u 1 %s\r\nx 1\r\nc\r\n" % older, b"HD\r\n", "a token that is older"), 0, "a late one reads")
	c.ask(b"kg n:u\r\n", b"VA 1 kx\r\nb\r\nEN\r\n", "and changes nothing")
done_testing()
