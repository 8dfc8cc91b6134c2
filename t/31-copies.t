#!/usr/bin/python3
"""
What local copies know beside a value: that a key is not there (negative_ttl), when they are to be read again
(refresh_ahead), that their time is over and the store has failed (on_error = stale); and that not all of them end at one
moment (ttl_jitter).
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import json
import re
import subprocess
import threading
import time
from kvt import *
from held import Held

KVLOAD = os.path.join(os.environ.get("top_builddir", top_srcdir), "contrib/bench/kvload")


def conf(servers, local, space="", store="", timeout=20):
	return """store "s" { type = memcached  servers = { %s }  timeout = %dms  retry_min = 10ms  retry_max = 50ms  %s }
namespace "default" { prefix = ""  primary { store = "s" }  local { %s }  %s }
namespace "other" { prefix = "other:"  primary { store = "s" }  local { %s }  %s }
""" % (", ".join('"127.0.0.1:%d"' % s.port for s in servers), timeout * 1000 * patience, store, local, space, local, space)


def direct(srv, text, until=b"\r\n"):
	"""Something that kvgate does not hear of."""
	with Client(srv.addr) as c:
		return c.call(text, until)


def count(kv, name):
	return int(stats(kv, "kvgate")[name])


def dumped(kv):
	"""What lists of the local cache's items say: {key: fields}."""
	with kv.client() as c:
		lines = c.call(b"lru_crawler metadump all\r\n", b"END\r\n").split(b"\n")[:-2]
		names = {re.match(rb"mg (\S+)", line).group(1) for line in c.call(b"lru_crawler mgdump all\r\n", b"EN\r\n").split(b"\r\n")[:-2]}
		listed = set(re.findall(rb"ITEM (\S+) ", c.call(b"stats cachedump 1 0\r\n", b"END\r\n")))
	found = {}
	for line in lines:
		fields = dict(word.split(b"=", 1) for word in line.split())
		found[fields[b"key"]] = fields
	is_((names, listed), (set(found), set(found)), "all lists show the same")
	return found


def of_two_workers(kv, srv):
	"""Two clients, each of another worker."""
	first = kv.client(seconds=30)
	first.call(b"mg probe\r\n")
	home = srv.conn_of(rb"^mg probe ")
	while True:
		other = kv.client(seconds=30)
		other.call(b"mg probe\r\n")
		if srv.conn_of(rb"^mg probe ") != home:
			return first, other


def value(data, key=b"k"):
	return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(data), data)


class Failing:
	"""A held server whose answers are errors at times."""
	def __init__(self, srv):
		self.answer = srv.store.answer
		self.how = None
		srv.store.answer = self._answer

	def _answer(self, line, data):
		if self.how and not line.startswith((b"version", b"mn")):
			return self.how
		return self.answer(line, data)

	def fail(self, how=b"SERVER_ERROR out of memory\r\n"):
		self.how = how

	def heal(self):
		self.how = None


NONE = b"END\r\n"


# ---- what is not there
for more in ([], ["-C"]):
	with Held() as srv, Kvgate(["-t", "2"] + more, conf=conf([srv], "ttl = 30s  negative_ttl = 30s")) as kv, \
	    kv.client() as c, kv.client() as d:
		c.ask(b"get k\r\n", NONE)
		reads = srv.count(rb"^mg k ")
		with deltas(kv, "negative_hits", "cmd_get", "get_misses", "local_hits", "local_misses", what="kvgate") as got:
			for client in (c, d):
				client.ask(b"get k\r\n", NONE, "a miss is remembered")
				client.ask(b"mg k v\r\nmg k k O1 s\r\nmg k q\r\nmg aw== b k v\r\nmn\r\n", b"EN\r\nEN kk O1\r\nEN kaw== b\r\nMN\r\n", "in every dialect")
				client.ask(b"get k k\r\n", NONE, "and among many keys")
		is_((got.negative_hits, got.cmd_get, got.get_misses, got.local_hits, got.local_misses), (14, 14, 14, 0, 0), "which is counted")
		is_(stats(kv, "namespaces")["default:negative_hits"], "14", "in its namespace, too")
		is_(srv.count(rb"^mg k ") - reads, 0, "without the store")
		is_(dumped(kv), {}, "nothing is listed")
		c.ask(b"gets k\r\n", NONE)
		c.ask(b"mg k v c\r\n", b"EN\r\n")
		c.ask(b"mg k v t\r\n", b"EN\r\n")
		c.ask(b"me k\r\n", b"EN\r\n")
		is_(srv.count(rb"^m[eg] k( |$)") - reads, 4, "what a copy could not tell is asked")
		direct(srv, b"set k 0 0 3\r\nabc\r\n")
		c.ask(b"get k\r\n", NONE, "what others store is not seen")
		for n, (text, answer, after) in enumerate((
		    (b"set %s 0 0 1\r\nx\r\n", b"STORED\r\n", value(b"x", b"%s")), (b"ms %s 1 T0\r\nx\r\n", b"HD\r\n", value(b"x", b"%s")),
		    (b"add %s 0 0 1\r\nx\r\n", b"NOT_STORED\r\n", value(b"abc", b"%s")), (b"append %s 0 0 1\r\nx\r\n", b"STORED\r\n", value(b"abcx", b"%s")),
		    (b"touch %s 0\r\n", b"TOUCHED\r\n", value(b"abc", b"%s")), (b"incr %s 1\r\n", b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", value(b"abc", b"%s")),
		    (b"mg %s N30 v\r\n", b"VA 3\r\nabc\r\n", value(b"abc", b"%s")), (b"ms %s 1 Lother/\r\nx\r\n", b"HD\r\n", value(b"x", b"%s")), (b"delete %s\r\n", b"DELETED\r\n", NONE))):
			key = b"k%d" % n
			c.ask(b"get %s\r\n" % key, NONE)
			direct(srv, b"set %s 0 0 3\r\nabc\r\n" % key)
			d.ask(b"get %s\r\n" % key, NONE)
			c.ask(text % key, answer)
			want = after.replace(b"%s", key)
			is_((d.call(b"get %s\r\n" % key, b"END\r\n"), c.call(b"get %s\r\n" % key, b"END\r\n")), (want, want), "until %s" % (text % key).split(b"\r")[0].decode())
		c.ask(b"get k\r\nflush_all\r\n", NONE + b"OK\r\n")
		direct(srv, b"set k 0 0 3\r\nabc\r\n")
		c.ask(b"get k\r\n", value(b"abc"), "or flush_all")
		# A miss that a write overtakes is not remembered.
		srv.hold(rb"^mg late ", times=1)
		c.send(b"get late\r\n")
		srv.wait_held()
		direct(srv, b"set late 0 0 3\r\nabc\r\n")
		touched = int(stats(kv)["cmd_touch"])
		d.send(b"touch late 0\r\n")
		# It is answered, or waits behind the read on their worker's connection.
		wait_for(lambda: int(stats(kv)["cmd_touch"]) > touched or count(kv, "requests_inflight") == 2, 20, "the touch")
		srv.release()
		is_((c.recv(5), d.line()), (NONE, b"TOUCHED\r\n"))
		c.ask(b"get late\r\n", value(b"abc", b"late"), "a miss that a write overtakes is not remembered")

with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "ttl = 30s  negative_ttl = 1s")) as kv, kv.client() as c:
	c.ask(b"get k\r\n", NONE)
	direct(srv, b"set k 0 0 3\r\nabc\r\n")
	wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == value(b"abc"), 20, "the miss to be forgotten")
	ok(True, "for negative_ttl")
with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "ttl = 30s")) as kv, kv.client() as c:
	c.ask(b"get k\r\n", NONE)
	c.ask(b"get k\r\n", NONE)
	is_(srv.count(rb"^mg k "), 2, "without it nothing is remembered")


# ---- ends at random
with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "ttl = 1000s  ttl_jitter = 50%")) as kv, kv.client() as c:
	for i in range(60):
		direct(srv, b"set read%d 0 0 1\r\nx\r\n" % i)
	direct(srv, b"set short 0 700 1\r\nx\r\n")
	start = int(time.time())
	c.call(b"".join(b"get read%d\r\nset written%d 0 0 1\r\nx\r\n" % (i, i) for i in range(60)) + b"get short\r\nmn\r\n", b"MN\r\n")
	end = int(time.time())
	found = dumped(kv)
	for what in (b"read", b"written"):
		ends = [int(f[b"exp"]) for k, f in found.items() if k.startswith(what)]
		ok(len(ends) == 60 and start + 498 <= min(ends) and max(ends) <= end + 1002, "lives of what was %s are between half and all" % what.decode())
		ok(len(set(ends)) > 20 and max(ends) - min(ends) > 100, "and differ")
	ok(start + 340 < int(found[b"short"][b"exp"]) <= end + 700, "never longer than the item's own")


# ---- read again before the end
for size in (3, 9000, 100000):
	OLD, NEW = b"old" + b"." * (size - 3), b"new" + b"." * (size - 3)
	with Held() as srv, Kvgate(["-t", "2"], conf=conf([srv], "ttl = 4s  refresh_ahead = 3s")) as kv, kv.client() as c, kv.client() as d:
		direct(srv, b"set k 0 0 %d\r\n%s\r\n" % (size, OLD))
		c.ask(b"get k\r\n", value(OLD))
		srv.hold(rb"^mg k ")
		def renewed(client=c, want=OLD):
			if client.call(b"get k\r\n", b"END\r\n") != value(want):
				raise SystemExit("not the copy")
			return srv.held > 0
		wait_for(renewed, 20, "the copy to be read again")
		ok(True, "%d bytes: a copy that is asked for is read again; readers do not wait" % size)
		is_({x.call(b"get k\r\n", b"END\r\n") for x in (c, d) * 20}, {value(OLD)}, "nor while that is under way")
		is_((srv.held, count(kv, "refreshes"), srv.count(rb"^mg k ")), (1, 1, 2), "which is once at a time")
		is_(c.call(b"mg k v\r\n", OLD + b"\r\n"), b"VA %d\r\n%s\r\n" % (size, OLD), "of a meta reader, too")
		# A new value is there, and the read under way has not seen it: it must not win.
		sets = int(stats(kv)["cmd_set"])
		c.send(b"set k 0 0 %d\r\n%s\r\n" % (size, NEW))
		wait_for(lambda: int(stats(kv)["cmd_set"]) > sets or count(kv, "requests_inflight") == 2, 20, "the set")
		srv.release()
		is_(c.line(), b"STORED\r\n")
		is_({x.call(b"get k\r\n", b"END\r\n") for x in (c, d) * 3}, {value(NEW)}, "a write overtakes it: the new value stays")
		# And again, with nobody between: what others stored is seen in time, and nobody ever misses.
		misses, hits = count(kv, "local_misses"), count(kv, "local_hits")
		direct(srv, b"set k 0 0 %d\r\n%s\r\n" % (size, OLD))
		wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == value(OLD), 20, "what others stored")
		direct(srv, b"set k 0 0 %d\r\n%s\r\n" % (size, NEW))
		wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == value(NEW), 20, "what others stored")
		is_(count(kv, "local_misses") - misses, 0, "what is always asked for never misses")
		ok(count(kv, "refreshes") >= 3 and stats(kv, "namespaces")["default:refreshes"] == str(count(kv, "refreshes")), "it is counted")
		is_((stats(kv)["cmd_get"], stats(kv, "namespaces")["default:gets"]), (str(count(kv, "local_hits") + 1),) * 2, "but not as a client's read")
		direct(srv, b"delete k\r\n")
		wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == NONE, 20, "what others deleted")
		is_(count(kv, "requests_inflight"), 0, "nothing is left")

with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "ttl = 4s  refresh_ahead = 3s")) as kv, kv.client() as c:
	# What was not asked for before.
	c.ask(b"set k 0 0 1\r\nx\r\n", b"STORED\r\n")
	c.ask(b"set stays 0 0 1\r\nx\r\nget stays\r\n", b"STORED\r\n" + value(b"x", b"stays"))
	wait_for(lambda: c.call(b"get stays\r\n", b"END\r\n") and srv.count(rb"^mg stays "), 20, "a copy to be read again")
	c.ask(b"get k\r\n", value(b"x"))
	is_(c.sync(), b"")
	is_(srv.count(rb"^mg k "), 0, "a copy that nobody had asked for before is not read again")
	wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") and srv.count(rb"^mg k "), 20, "a copy to be read again")
	ok(True, "the next reader makes it be")

with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "ttl = 4s  refresh_ahead = 3s")) as kv, kv.client() as c:
	# Whose end is the item's own.
	c.ask(b"set k 0 7 1\r\nx\r\nget k\r\n", b"STORED\r\n" + value(b"x"))
	wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == NONE, 20, "the item's end")
	ok(1 <= count(kv, "refreshes") <= 2, "towards an item's own end it is not read again and again (%d)" % count(kv, "refreshes"))

with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "ttl = 4s  refresh_ahead = 3s")) as kv, kv.client() as c:
	# A store that fails, and an item that somebody is to recache.
	c.ask(b"set k 0 0 1\r\nx\r\nget k\r\n", b"STORED\r\n" + value(b"x"))
	store = Failing(srv)
	store.fail()
	wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == value(b"x") and count(kv, "refreshes"), 20, "the copy to be read again")
	wait_for(lambda: count(kv, "requests_inflight") == 0, 20, "that to fail")
	store.heal()
	is_(stats(kv, "namespaces")["default:errors"], "0", "that it fails is no client's error")
	is_(c.call(b"get k\r\n", b"END\r\n"), value(b"x"), "the copy still answers")
	is_(dumped(kv)[b"k"][b"cas"], b"0", "what is noted of a copy is not shown as its CAS unique")
	wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == value(b"x") and count(kv, "local_fills") == 1, 20, "the copy to end, and the next to come")
	direct(srv, b"md k I T100\r\n")
	before = count(kv, "refreshes")
	wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == value(b"x") and count(kv, "refreshes") > before, 20, "the copy to be read again")
	wait_for(lambda: count(kv, "requests_inflight") == 0, 20, "its end")
	is_(direct(srv, b"mg k v\r\n", b"x\r\n"), b"VA 1 X W\r\nx\r\n", "a stale item's win is not taken by it")


# ---- when the store fails
FAILS = rb"^SERVER_ERROR [^\r\n]*\r\n$"

def stale_space(more="", **options):
	return conf(options.pop("servers"), options.pop("local", "ttl = 1s"), "on_error = stale  stale_for = %s  %s" % (options.pop("stale_for", "100s"), more), **options)


def until_stale(c, key=b"k"):
	wait_for(lambda: b" X" in c.call(b"mg %s\r\n" % key), 20, "%s to be stale" % key.decode())


for args in ([], ["-C"]):
	with Held() as srv, Kvgate(["-t", "2"] + args, conf=stale_space(servers=[srv])) as kv, kv.client(seconds=30) as c, kv.client(seconds=30) as d:
		store = Failing(srv)
		big = b"b" * 50000
		c.ask(b"set k 7 0 3\r\nabc\r\nset big 0 0 50000\r\n" + big + b"\r\n", b"STORED\r\nSTORED\r\n")
		direct(srv, b"set read 0 0 3\r\nxyz\r\n")
		c.ask(b"get read\r\n", value(b"xyz", b"read"))
		store.fail()
		until_stale(c)
		until_stale(c, b"read")
		until_stale(c, b"big")
		with deltas(kv, "stale_answers", "get_hits", "get_misses", what="kvgate") as got:
			for client in (c, d):
				client.ask(b"mg k v f s k O1\r\n", b"VA 3 f7 s3 kk O1 X\r\nabc\r\n", "the store fails: a copy answers, marked stale")
				client.ask(b"mg k s\r\nmg aw== b k v\r\nmg k v q\r\nmn\r\n", b"HD s3 X\r\nVA 3 kaw== b X\r\nabc\r\nVA 3 X\r\nabc\r\nMN\r\n", "in every dialect")
				client.ask(b"get k\r\n", b"VALUE k 7 3\r\nabc\r\nEND\r\n", "classic readers hear nothing of it")
				client.ask(b"get k read k\r\n", b"VALUE k 7 3\r\nabc\r\nVALUE read 0 3\r\nxyz\r\nVALUE k 7 3\r\nabc\r\nEND\r\n", "among many keys, too")
				client.ask(b"get big\r\n", value(big, b"big"), "large ones as well")
		is_((got.stale_answers, got.get_hits, got.get_misses), (18, 18, 0), "which is counted")
		is_(stats(kv, "namespaces")["default:stale_answers"], str(count(kv, "stale_answers")), "in its namespace, too")
		errors = int(stats(kv, "namespaces")["default:errors"])
		for text in (b"gets k\r\n", b"mg k v c\r\n", b"mg k v t\r\n", b"mg k v h\r\n", b"gat 0 k\r\n", b"mg k v T0\r\n", b"get none\r\n", b"mg none v\r\n",
		    b"get k none\r\n", b"set n 0 0 1\r\nx\r\n", b"delete n\r\n", b"me k\r\n", b"mg k v Lother/\r\n"):
			like(c.call(text), FAILS, "not: %s" % text.split(b"\r")[0].decode())
		is_(int(stats(kv, "namespaces")["default:errors"]) + int(stats(kv, "namespaces")["other:errors"]) - errors, 13, "those are errors")
		store.heal()
		direct(srv, b"set k 0 0 3\r\nnew\r\n")
		c.ask(b"mg k v\r\n", b"VA 3\r\nnew\r\n", "the store is back: it is asked")
		direct(srv, b"delete read\r\n")
		c.ask(b"get read\r\n", NONE)
		store.fail()
		like(c.call(b"get read\r\n"), FAILS, "what the store no longer has is not shown again")
		store.heal()

		# Many waiting for one read.
		direct(srv, b"set k 0 0 3\r\nold\r\n")
		wait_for(lambda: c.call(b"get k\r\n", b"END\r\n") == value(b"old"), 20, "the old value")
		store.fail()
		until_stale(c)
		srv.hold(rb"^mg k ")
		crowd = [kv.client(seconds=30) for _ in range(12)]
		before = count(kv, "coalesced")
		for i, x in enumerate(crowd):
			x.send((b"get k\r\n", b"mg k v\r\n", b"get k k\r\n", b"mg k\r\n")[i % 4])
		wait_for(lambda: count(kv, "requests_inflight") >= 12, 20, "all to wait")
		srv.wait_held()
		srv.release()
		says = (value(b"old"), b"VA 3 X\r\nold\r\n", value(b"old")[:-5] + value(b"old"), b"HD X\r\n")
		is_([x.recv(len(says[i % 4])) for i, x in enumerate(crowd)], [says[i % 4] for i in range(12)], "readers that shared a read share its failure, and the copy")
		ok(count(kv, "coalesced") > before, "they did share it")
		for x in crowd:
			x.close()

with Held() as srv, Kvgate(["-t", "2"], conf=stale_space(servers=[srv], local="ttl = 100s", timeout=20)) as kv:
	c, d = of_two_workers(kv, srv)
	# Writes, and what they leave of a copy: while they are under way, known to have succeeded, known to have changed nothing, unknown.
	store = Failing(srv)
	def copy(key):
		c.ask(b"set %s 0 0 3\r\n123\r\nget %s\r\n" % (key, key), b"STORED\r\n" + value(b"123", key))
	def shows(key):
		store.fail()
		got = d.call(b"mg %s v\r\n" % key)
		if got.startswith(b"VA"):
			got += d.line()
		store.heal()
		return got
	STALE = b"VA 3 X\r\n123\r\n"
	for n, (text, answer, left) in enumerate((
	    (b"md %s I\r\n", b"HD\r\n", STALE), (b"md %s I T50 q\r\nmn\r\n", b"MN\r\n", STALE),
	    (b"add %s 0 0 1\r\nx\r\n", b"NOT_STORED\r\n", STALE), (b"cas %s 0 0 1 1\r\nx\r\n", b"EXISTS\r\n", STALE), (b"ma %s D0 C1\r\n", b"EX\r\n", STALE),
	    (b"set %s 0 0 3\r\nnew\r\n", b"STORED\r\n", b"VA 3\r\nnew\r\n"), (b"append %s 0 0 1\r\nx\r\n", b"STORED\r\n", FAILS), (b"delete %s\r\n", b"DELETED\r\n", FAILS),
	    (b"md %s I x\r\n", b"HD\r\n", FAILS), (b"incr %s 1\r\n", b"124\r\n", FAILS), (b"touch %s 50\r\n", b"TOUCHED\r\n", FAILS), (b"mg %s T50\r\n", b"HD\r\n", FAILS),
	    (b"ms %s 3 Lother/\r\nnew\r\n", b"HD\r\n", FAILS), (b"flush_all\r\n", b"OK\r\n", FAILS))):
		key = b"w%d" % n
		copy(key)
		c.ask(text % key if b"%s" in text else text, answer)
		got = shows(key)
		name = "%s: %s" % ((text % key if b"%s" in text else text).split(b"\r")[0].decode(), answer.decode().strip())
		like(got, left, name + ": no copy") if left is FAILS else is_(got, left, name + ": what the copy may say")
	for key in (b"gone", b"gone2"):
		copy(key)
		direct(srv, b"delete %s\r\n" % key)
	c.ask(b"delete gone\r\ntouch gone2 0\r\n", b"NOT_FOUND\r\nNOT_FOUND\r\n")
	like(shows(b"gone"), FAILS, "a key that was not there: no copy")
	like(shows(b"gone2"), FAILS, "nor here")
	# While the store answers, an invalid copy does not count.
	copy(b"inv")
	c.ask(b"md inv I\r\nmg inv v\r\n", b"HD\r\nVA 3 X W\r\n123\r\n", "md I goes to the server")
	c.ask(b"ms inv 3\r\nnew\r\nget inv\r\n", b"HD\r\n" + value(b"new", b"inv"), "and so does what follows")
	# Under way, then unknown.
	copy(b"k")
	srv.hold(rb"^ms k ", before=True, times=1)
	c.send(b"set k 0 0 3\r\nnew\r\n")
	srv.wait_held()
	d.ask(b"mg k v\r\n", b"VA 3\r\n123\r\n", "a set is under way: the store is asked, and has the old value")
	is_(shows(b"k"), STALE, "if it fails the copy may answer")
	store.fail()
	srv.release()
	like(c.line(), FAILS, "the set's end is unknown")
	is_(shows(b"k"), STALE, "the copy still may")
	c.ask(b"set k 0 0 3\r\nnew\r\n", b"STORED\r\n")
	is_(shows(b"k"), b"VA 3\r\nnew\r\n", "a write that succeeds puts an end to that")

with Held() as srv, Kvgate(["-t", "1"], conf=stale_space(servers=[srv], stale_for="1s")) as kv, kv.client(seconds=30) as c:
	store = Failing(srv)
	c.ask(b"set k 0 0 3\r\nabc\r\n", b"STORED\r\n")
	store.fail()
	until_stale(c)
	wait_for(lambda: re.match(FAILS, c.call(b"mg k\r\n")), 20, "the end of stale_for")
	ok(True, "after stale_for it is an error again")

with Held() as srv, Kvgate(["-t", "1"], conf=stale_space(servers=[srv], store="on_down = miss")) as kv, kv.client(seconds=30) as c:
	c.ask(b"set k 0 0 3\r\nabc\r\n", b"STORED\r\n")
	srv.close()
	wait_for(lambda: c.call(b"mg none\r\n") == b"EN\r\n", 20, "the server to be down")
	until_stale(c)
	c.ask(b"mg k v\r\n", b"VA 3 X\r\nabc\r\n", "on_down = miss: a copy is better than that")
	c.ask(b"get k\r\nget none\r\n", value(b"abc") + NONE, "and where there is none it is a miss")


# ---- all of it, under load that notices what is old or wrong
REQUESTS = os.environ.get("KVT_REQUESTS", "300000")
with Memcached() as one, Memcached() as two, Kvgate(["-t", "2"], conf=conf([one, two],
    "ttl = 2s  ttl_jitter = 40%  refresh_ahead = 1s  negative_ttl = 5s", "on_error = stale")) as kv:
	done = subprocess.run([KVLOAD, "--json", "-P", "4", "-t", "2", "-c", "40", "-K", "300", "-z", "0.9", "-r", "95:5", "--check-stale",
	    "-s", "100:80,6000:15,100000:5", "-n", REQUESTS, "127.0.0.1:%d" % kv.port], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
	got = json.loads(done.stdout.strip().splitlines()[-1])
	is_((done.returncode, got["wrong"]), (0, 0), "no wrong value among %d reads and %d writes" % (got["reads"], got["writes"])) or diag(done.stdout)
	ok(count(kv, "negative_hits") > 0, "misses were remembered (%d), copies read again (%d)" % (count(kv, "negative_hits"), count(kv, "refreshes")))
done_testing()
