#!/usr/bin/python3
"""
Reads that miss on one key at one time are one read of the store: each client is answered in its own words, an error is
everybody's, and nobody who asks after a write was acknowledged hears of what was before it.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import json
import random
import re
import socket
import struct
import subprocess
import threading
import time
from kvt import *
from held import Held

KVLOAD = os.path.join(os.environ.get("top_builddir", top_srcdir), "contrib/bench/kvload")
SMALL, LARGE = b"v" * 10, b"".join(b"%07d " % i for i in range(40000))


def conf(servers, ttl, timeout=20, store="", **more):
	return """store "s" { type = memcached  servers = { %s }  timeout = %dms  retry_min = 10ms  retry_max = 50ms %s }
namespace "default" { prefix = ""  primary { store = "s" }  local { ttl = %s }  %s }
namespace "other" { prefix = "other:"  primary { store = "s" }  local { ttl = %s } }
""" % (", ".join('"127.0.0.1:%d"' % s.port for s in servers), timeout * 1000 * patience, store, ttl,
	    "  ".join("%s = %s" % kv for kv in more.items()), ttl)


def coalesced(kv):
	return int(stats(kv, "kvgate")["coalesced"])


def followers(kv, before, n):
	wait_for(lambda: coalesced(kv) >= before + n, 30, "%d readers to follow" % n)


def takes(kv):
	"""How many requests have been looked at that wait, or that found a copy: grows while nothing ends."""
	now = stats(kv, "kvgate")
	return int(now["requests_inflight"]) + int(now["local_hits"])


def value(key, data, flags=0):
	return b"VALUE %s %d %d\r\n%s\r\n" % (key, flags, len(data), data)


def behind(srv, key, data, flags=0):
	"""Stores at the server without kvgate's knowing."""
	with Client(srv.addr) as direct:
		direct.ask(b"set %s %d 0 %d\r\n%s\r\n" % (key, flags, len(data), data), b"STORED\r\n")


def by_worker(kv, srv, n=8):
	"""Clients, by the worker that they are of: the most first."""
	by = {}
	for i in range(n):
		c = kv.client(seconds=30)
		c.call(b"mg probe%d\r\n" % i)
		by.setdefault(srv.conn_of(rb"^mg probe%d " % i), []).append(c)
	return sorted(by.values(), key=len, reverse=True)


# ---- a thousand at once
for ttl in ("0", "30s"):
	for name, data in (("small", SMALL), ("large", LARGE), ("missing", None)):
		with Held() as srv, Kvgate(["-t", "2", "-c", "2000"], conf=conf([srv], ttl)) as kv:
			if data is not None:
				behind(srv, b"cold", data)
			srv.hold(rb"^mg cold ")
			crowd = [kv.client(seconds=60) for _ in range(1000)]
			workers = 2
			for c in crowd:
				c.send(b"get cold\r\n")
			followers(kv, 0, len(crowd) - workers)
			srv.wait_held(workers)
			is_(int(stats(kv, "kvgate")["requests_inflight"]), len(crowd), "all wait (%s, local ttl %s)" % (name, ttl))
			is_(srv.count(rb"^mg cold "), workers, "1000 clients miss on one cold key: one read of the store for each worker")
			srv.release()
			want = b"END\r\n" if data is None else value(b"cold", data) + b"END\r\n"
			got = {c.recv(len(want)) for c in crowd}
			ok(got == {want}, "all are told the same")
			is_(srv.count(rb"^mg cold "), workers, "and nobody asked again")
			is_(int(stats(kv, "kvgate")["requests_inflight"]), 0, "nobody is left")
			got = stats(kv, "namespaces")
			is_((got["default:coalesced"], got["default:gets"]), (str(len(crowd) - workers), str(len(crowd))), "the namespace counts them")
			is_(got["default:hits" if data is not None else "default:misses"], str(len(crowd)), "each as a read")
			if data is not None and ttl != "0":
				ok(1 <= int(stats(kv, "kvgate")["local_fills"]) <= workers, "one copy is made, by each worker at most")
				crowd[0].ask(b"get cold\r\n", want)
				is_(stats(kv, "kvgate")["local_hits"], "1", "which answers from then on")
			for c in crowd:
				c.close()


# ---- each in its own words
with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "30s")) as kv:
	c = [kv.client(seconds=30) for _ in range(9)]
	for data in (b"abc", b"x" * 10000, LARGE, None):
		if data is not None:
			behind(srv, b"k", data, 7)
		n = 0 if data is None else len(data)
		body = b"" if data is None else b"%d" % n
		line = lambda hit, miss: miss if data is None else hit % body + data + b"\r\n"
		says = [
			(b"get k\r\n", line(b"VALUE k 7 %s\r\n", b"") + b"END\r\n"),
			(b"mg k v\r\n", line(b"VA %s\r\n", b"EN\r\n")),
			(b"mg k k f s v O12\r\n", line(b"VA %s kk f7 s" + body + b" O12\r\n", b"EN kk O12\r\n")),
			(b"mg aw== b k v\r\n", line(b"VA %s kaw== b\r\n", b"EN kaw== b\r\n")),
			(b"mg k v q O3\r\nmn\r\n", line(b"VA %s O3\r\n", b"") + b"MN\r\n"),
			(b"mg k s\r\n", b"EN\r\n" if data is None else b"HD s%s\r\n" % body),
			(b"mg k\r\n", b"EN\r\n" if data is None else b"HD\r\n"),
			(b"get k nokey k\r\n", line(b"VALUE k 7 %s\r\n", b"") * 2 + b"END\r\n"),
			(b"get k\r\nmg nokey\r\nget k\r\n", (line(b"VALUE k 7 %s\r\n", b"") + b"END\r\n").join((b"", b"EN\r\n", b""))),
		]
		c[0].call(b"mg probe\r\n")
		before, reads = coalesced(kv), srv.count(rb"^mg k ")
		srv.hold(rb"^mg k ")
		c[0].send(says[0][0])
		srv.wait_held()
		for client, (text, _) in list(zip(c, says))[1:]:
			client.send(text)
		followers(kv, before, 10)
		srv.release()
		is_([client.recv(len(want)) for client, (_, want) in zip(c, says)], [want for _, want in says],
		    "classic, meta, base64, quiet, among others: %s" % ("a miss" if data is None else "%d bytes" % n))
		is_(srv.count(rb"^mg k ") - reads, 1, "for one read of the store")
		if data is not None:
			is_(c[0].call(b"mg k f v\r\n", b"\r\n%s\r\n" % data), b"VA %s f7\r\n%s\r\n" % (body, data), "the copy is right")
		c[0].call(b"flush_all\r\n")
	for client in c:
		client.close()


# ---- who does not share
with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "0")) as kv, kv.client() as a, kv.client() as b:
	a.call(b"set k 0 100 1\r\nx\r\n")
	for first, second in ((b"get k", b"gets k"), (b"gets k", b"get k"), (b"mg k v", b"get k"), (b"mg k v", b"mg k v c"), (b"mg k v", b"mg k v h"),
	    (b"mg k v", b"mg k v l"), (b"mg k v", b"mg k v t"), (b"mg k v t", b"mg k v"), (b"mg k v h", b"mg k v h"), (b"mg k v", b"mg k v u"),
	    (b"mg k v u", b"mg k v"), (b"mg k", b"mg k v"), (b"mg k v", b"me k"), (b"mg k v", b"mg k v T30"), (b"mg k v", b"mg k v N30"),
	    (b"mg k v", b"mg k v C1"), (b"mg k v C1", b"mg k v"), (b"mg k v", b"mg k v Lother/"), (b"mg k v", b"gat 0 k")):
		before, reads = coalesced(kv), srv.count(rb" k[ \r]?")
		srv.hold(rb"^mg k ", times=1)
		a.send(first + b"\r\n")
		srv.wait_held()
		b.send(second + b"\r\nmn\r\n")
		wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) == 2, 20, "both to wait")
		srv.release()
		b.recv_until(b"MN\r\n")
		a.sync()
		is_((coalesced(kv) - before, srv.count(rb" k( |$)") - reads >= 2), (0, True), "%s behind %s asks by itself" % (second.decode(), first.decode()))
	for first, second in ((b"gets k", b"gets k"), (b"mg k v c", b"mg k c v"), (b"mg k v t", b"mg k t"), (b"mg k v f", b"get k"), (b"mg k v", b"mg k s"),
	    (b"mg k", b"mg k")):
		before, reads = coalesced(kv), srv.count(rb"^mg k ")
		srv.hold(rb"^mg k ", times=1)
		a.send(first + b"\r\nmn\r\n")
		srv.wait_held()
		b.send(second + b"\r\nmn\r\n")
		followers(kv, before, 1)
		srv.release()
		is_((len(a.recv_until(b"MN\r\n")) > 4, len(b.recv_until(b"MN\r\n")) > 4), (True, True))
		is_(srv.count(rb"^mg k ") - reads, 1, "%s behind %s does not" % (second.decode(), first.decode()))
with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "0", coalesce="no")) as kv, kv.client() as a, kv.client() as b:
	srv.hold(rb"^mg k ", times=1)
	a.send(b"get k\r\n")
	srv.wait_held()
	b.send(b"get k\r\n")
	wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) == 2, 20, "both to wait")
	srv.release()
	is_((a.recv(5), b.recv(5), coalesced(kv), srv.count(rb"^mg k ")), (b"END\r\n", b"END\r\n", 0, 2), "coalesce = no")


# ---- errors are everybody's
for ttl in ("0", "30s"):
	with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], ttl)) as kv:
		crowd = [kv.client(seconds=30) for _ in range(50)]
		crowd[0].call(b"mg probe\r\n")
		srv.hold(rb"^mg k ")
		crowd[0].send(b"get k\r\n")
		srv.wait_held()
		for c in crowd[1:]:
			c.send(b"get k\r\n" if c is not crowd[1] else b"mg k v k O1 q\r\n")
		followers(kv, 0, 49)
		crowd[2].send(b"set k 0 0 1\r\nx\r\n")
		wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) == 51, 20, "the write")
		srv.drop(srv.conn_of(rb"^mg k "))
		got = {c.line() for c in crowd}
		is_(len(got), 1, "a connection that breaks: 50 readers hear the same (local ttl %s)" % ttl)
		like(got.pop(), rb"^SERVER_ERROR 127.0.0.1:\d+ closed the connection\r\n$", "which is what it was")
		srv.release()
		is_(int(stats(kv, "namespaces")["default:errors"]), 51, "each is counted, and the write's")
		for c in crowd:
			c.close()
	# What the server says, nonsense, and nothing at all.
	for says, hears in ((b"SERVER_ERROR out of memory storing object\r\n", rb"SERVER_ERROR out of memory storing object"),
	    (b"xyzzy\r\n", rb"SERVER_ERROR 127.0.0.1:\d+ sent an answer that makes no sense"), (None, rb"SERVER_ERROR 127.0.0.1:\d+ timed out")):
		with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], ttl, timeout=3 if says is None else 20)) as kv:
			crowd = [kv.client(seconds=30) for _ in range(20)]
			answer = srv.store.answer
			srv.store.answer = lambda line, data: says if says and line.startswith(b"mg k ") else answer(line, data)
			crowd[0].call(b"mg probe\r\n")
			srv.hold(rb"^mg k ")
			for c in crowd:
				c.send(b"get k\r\n")
			followers(kv, 0, 19)
			if says is not None:
				srv.release()
			got = {c.line() for c in crowd}
			is_(len(got), 1, "20 readers are told the same")
			like(got.pop(), b"^" + hears + b"\r\n$", "%s: is told to all" % hears.decode())
			srv.release()
			for c in crowd:
				c.close()


# ---- clients that go away
with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "0")) as kv:
	w = kv.client()
	w.call(b"set k 0 0 300000\r\n" + LARGE[:300000] + b"\r\n")
	want = value(b"k", LARGE[:300000]) + b"END\r\n"
	for gone in ([0], [1], [1, 2], [0, 2], [0, 1, 2, 3]):
		crowd = [kv.client(seconds=30) for _ in range(4)]
		conns = int(stats(kv)["curr_connections"])
		before, reads = coalesced(kv), srv.count(rb"^mg k ")
		srv.hold(rb"^mg k ")
		for i, c in enumerate(crowd):
			c.send(b"get k\r\n" if i != 2 else b"get k x k\r\n")
			if i == 0:
				srv.wait_held()
		followers(kv, before, 2)
		for i in gone:
			# A reset: whoever only says no more is still answered.
			crowd[i].sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
			crowd[i].close()
		wait_for(lambda: int(stats(kv)["curr_connections"]) == conns - len(gone), 20, "them to be gone")
		srv.release()
		left = [c for i, c in enumerate(crowd) if i not in gone]
		ok(all(c.recv_until(b"END\r\n").endswith(want) for c in left), "clients %s of a leader and three go away: the others are answered" % gone)
		wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) == 0, 20, "all requests to end")
		for c in left:
			c.close()
	ok(True, "and all ends")
	w.close()


# ---- writes between
OLD, NEW = value(b"k", b"old") + b"END\r\n", value(b"k", b"new") + b"END\r\n"
WRITES = (
	(b"set k 0 0 3\r\nnew\r\n", b"STORED\r\n", NEW), (b"ms k 3 q\r\nnew\r\nmn\r\n", b"MN\r\n", NEW), (b"delete k\r\n", b"DELETED\r\n", b"END\r\n"),
	(b"append k 0 0 1\r\n+\r\n", b"STORED\r\n", value(b"k", b"old+") + b"END\r\n"), (b"touch k -1\r\n", b"TOUCHED\r\n", b"END\r\n"),
	(b"ms k 3 Lother/\r\nnew\r\n", b"HD\r\n", NEW), (b"flush_all\r\n", b"OK\r\n", b"END\r\n"),
)
for ttl in ("0", "30s"):
	with Held() as srv, Kvgate(["-t", "2"], conf=conf([srv], ttl)) as kv:
		first, second = by_worker(kv, srv)[:2]
		a, b, other = first[0], first[1], second[0]
		for text, answer, after in WRITES:
			word = text.split(b"\r")[0].decode()
			a.call(b"flush_all\r\n")
			behind(srv, b"k", b"old")
			before = coalesced(kv)
			srv.hold(rb"^mg k ", times=1)
			a.send(b"get k\r\n")
			srv.wait_held()
			b.send(b"get k\r\n")
			followers(kv, before, 1)
			is_(other.call(text, answer), answer, "%s by another worker, while two readers wait (local ttl %s)" % (word, ttl))
			taken = takes(kv)
			b.send(b"get k\r\n")
			wait_for(lambda: takes(kv) == taken + 1, 20, "the third reader")
			srv.release()
			is_((a.recv(len(OLD)), b.recv(len(OLD))), (OLD, OLD), "they may be told of what was")
			is_(b.recv(len(after)), after, "whoever asks afterwards is not")

			# In one pipeline.
			a.call(b"flush_all\r\n")
			behind(srv, b"k", b"old")
			srv.hold(rb"^mg k ", times=1)
			a.send(b"get k\r\n" + text + b"get k\r\n")
			srv.wait_held()
			srv.release()
			want = OLD + answer + after
			is_(a.recv(len(want)), want, "get, %s, get in one pipeline" % word)
		# While a write is under way nobody leads: its client has to see it, and so has everybody who asks behind it.
		a.call(b"flush_all\r\n")
		behind(srv, b"k", b"old")
		srv.hold(rb"^ms k ", before=True, times=1)
		before = coalesced(kv)
		other.send(b"set k 0 0 3\r\nnew\r\n")
		srv.wait_held()
		srv.hold(rb"^mg k ", times=1)
		a.send(b"get k\r\n")
		wait_for(lambda: srv.held == 2, 20, "the reader to wait")
		srv.release(rb"^ms k ")
		is_(other.line(), b"STORED\r\n", "a set that was sent before a read, and ends after it was carried out")
		taken = takes(kv)
		b.send(b"get k\r\n")
		wait_for(lambda: takes(kv) == taken + 1, 20, "the second reader")
		srv.release()
		is_((a.recv(len(OLD)), b.recv(len(NEW)), coalesced(kv) - before), (OLD, NEW, 0), "nobody follows that read")
		for c in first + second:
			c.close()


# ---- a win is one client's
with Held() as srv, Kvgate(["-t", "1"], conf=conf([srv], "0")) as kv:
	c = [kv.client(seconds=30) for _ in range(4)]
	def stale(*says):
		c[0].call(b"set k 0 0 1\r\nx\r\nmd k I\r\n", b"HD\r\n")
		before = coalesced(kv)
		srv.hold(rb"^mg k ", times=1)
		for i, (client, text) in enumerate(zip(c, says)):
			client.send(text + b"\r\nmn\r\n")
			if i == 0:
				srv.wait_held()
		followers(kv, before, len(says) - 1)
		srv.release()
		return [client.recv_until(b"MN\r\n")[:-4].replace(b"\r\n", b"|") for client, _ in zip(c, says)]
	CLASSIC, WON, LOST = b"VALUE k 0 1|x|END|", b"VA 1 X W|x|", b"VA 1 Z X|x|"
	is_(stale(b"mg k v", b"mg k v", b"mg k v"), [WON, LOST, LOST], "a stale item: the leader wins")
	is_(stale(b"get k", b"mg k v", b"get k", b"mg k v"), [CLASSIC, WON, CLASSIC, LOST], "a classic reader that leads knows of no win: the next who does has it")
	is_(c[0].call(b"mg k v\r\n", b"x\r\n"), b"VA 1 Z X\r\nx\r\n", "and no other")
	is_(stale(b"get k", b"get k", b"get k"), [CLASSIC] * 3, "only classic readers")
	is_(c[0].call(b"mg k v\r\n", b"x\r\n"), b"VA 1 X W\r\nx\r\n", "the win is given back")
	for client in c:
		client.close()


# ---- load that notices what is old
def load(kv, *args):
	done = subprocess.run([KVLOAD, "--json", "--prefill", "-P", "4", "-t", "2", *args, "127.0.0.1:%d" % kv.port],
	    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
	got = json.loads(done.stdout.strip().splitlines()[-1])
	before = failures[:]
	is_((done.returncode, got["wrong"]), (0, 0), "no wrong value among %d reads and %d writes, %d coalesced" % (got["reads"], got["writes"], coalesced(kv)))
	if failures != before:
		diag(done.stdout)
	return coalesced(kv)

REQUESTS = os.environ.get("KVT_REQUESTS", "300000")
for ttl in ("0", "1s"):
	with Memcached() as one, Memcached() as two, Kvgate(["-t", "2"], conf=conf([one, two], ttl, store="connections = 2")) as kv:
		ok(load(kv, "-c", "40", "-K", "12", "-z", "0.9", "-r", "90:10", "--check-stale", "-s", "100:80,6000:15,100000:5", "-n", REQUESTS) >= (100 if ttl == "0" else 0),
		    "few keys, read and written by many (local ttl %s)" % ttl)
done_testing()
