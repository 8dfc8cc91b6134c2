#!/usr/bin/python3
"""
The record commands, said and answered: the transcripts of t/corpus/records (lib/transcript.py has their format), whole, cut
at every byte and at random. A body that is being sent counts as memory; a connection lost in it, a reload and a stop
meanwhile leave nothing undone and nothing half done.
"""
import contextlib
import os
import random
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import MODES, disk_path, one_cluster
from redises import Redis
from transcript import *

CORPUS = load_corpus(os.path.join(os.path.dirname(os.path.realpath(__file__)), "corpus", "records"))
LINES = [t for t in CORPUS if os.path.basename(t.file) < "03"]   # what no store sees


def play_all(kv, transcripts, mode):
	with kv.client() as nudge:
		for t in transcripts:
			want = expected(t)
			ways = [("whole", whole, None)]
			# How input comes apart has nothing to do with the kind of the store.
			if mode == "disk":
				ways += [("cut at random", at_random(random.Random(7)), nudge)]
				ways += [("cut at every byte", each_byte, nudge)] if not t.whole else []
			for name, cut, other in ways:
				try:
					got = play(kv.addr, t, cut, other)
				except (TimeoutError, OSError) as e:
					got = [str(e).encode()]
				if not same(got, want):
					break
			if not ok(same(got, want), mode + ", " + t.title):
				diag("%s:%d, %s" % (os.path.basename(t.file), t.line, name), "want:", show(want), "got:", show(got))


@contextlib.contextmanager
def disk():
	yield "type = rocksdb  path = \"%s\"  durability = none" % disk_path()


@contextlib.contextmanager
def redis():
	with Redis() as one:
		yield "type = redis  servers = { \"%s\" }  timeout = %ds" % (one.server, 10 * patience)


@contextlib.contextmanager
def cluster():
	yield "type = redis-cluster  servers = { %s }  timeout = %ds" % (one_cluster().server, 10 * patience)


STORES = {"disk": disk, "redis": redis, "cluster": cluster}


def conf_of(store):
	return ('store "s" { %s }\n'
	    'namespace "default" { prefix = ""  primary { store = "s"  format = item } }\n'
	    'namespace "users" { prefix = "user:"  item_separator = "/"  flush = yes\n'
	    '  primary { store = "s"  format = item }  local { ttl = 5s } }\n'
	    'namespace "small" { prefix = "s:"  item_separator = "/"  flush = yes  item_size_max = 1KB\n'
	    '  primary { store = "s"  format = item } }\n' % store)


def value(n):
	return b"kp user:42 1\r\na %d\r\n%s\r\n" % (n, b"x" * n)


def test_order(kv, mode):
	"""What is said behind a read or a scan comes after all of it, however many steps it takes."""
	keys = [b"%04d" % n for n in range(700)]
	put = b"kp user:o 700\r\n" + b"".join(b"%s 1\r\nx\r\n" % k for k in keys)
	there = b"".join(b"HD k%s\r\n" % k for k in keys) + b"EN\r\n"
	for write, answer in ((b"kd user:o\r\n", b"HD\r\n"), (b"km 1\r\nkd user:o H\r\n", b"HD\r\n"),
	    (b"kp user:o 2\r\n0000x 1\r\ny\r\n9 1\r\ny\r\n", b"HD\r\n"), (b"delete user:o/0699\r\n", b"DELETED\r\n"),
	    (b"set user:o/0698x 0 0 40000\r\n" + b"x" * 40000 + b"\r\n", b"STORED\r\n")):
		with kv.client() as c:
			c.send(b"kd user:o\r\n" + put + b"kg user:o k\r\nks users k\r\n" + write + b"mn\r\n")
			is_(c.recv_until(b"MN\r\n"), b"HD\r\nHD\r\n" + there * 2 + answer + b"MN\r\n",
			    "%s, in order: reads, then %s" % (mode, write.split(b"\r\n")[0].decode()))


def test_tokens(kv, mode):
	"""Tokens of now: the highest wins, in whatever order they come; a put beats a range or record delete of its own."""
	now = int(time.time() * 1000000)

	def put(key, data, at, nonce="", more=""):
		return "kp user:t 1 E%d%s%s\r\n%s %d\r\n%s\r\n" % (now + at, nonce and " P" + nonce, more, key, len(data), data)

	def delete(what, at, nonce=""):
		return "kd user:t%s E%d%s\r\n" % (what and " " + what, now + at, nonce and " P" + nonce)

	rows = (
	    ("the version is the token's time", put("a", "1", 5, "ff", " c") + "kg user:t c\r\n",
		"HD c%d\r\nHD c%d\r\nEN\r\n" % (now + 5, now + 5)),
	    ("the same token again, whatever it brings", put("a", "2", 5, "FF") + put("a", "3", 5, "0" * 30 + "ff"), "HD\r\nHD\r\n", "a1"),
	    ("an older one, a lower nonce", put("a", "4", 4) + put("a", "5", 5, "fe") + put("a", "6", 5), "HD\r\nHD\r\nHD\r\n", "a1"),
	    ("a higher nonce", put("a", "7", 5, "100"), "HD\r\n", "a7"),
	    ("a newer one", put("a", "8", 9) + put("b", "1", 9), "HD\r\nHD\r\n", "a8 b1"),
	    ("an older delete of an item, of a range, of all", delete("Ka", 8) + delete("H", 8) + delete("", 8), "HD\r\nHD\r\nHD\r\n", "a8 b1"),
	    ("a newer delete of an item", delete("Ka", 10), "HD\r\n", "b1"),
	    ("and a late write before it", put("a", "9", 9, "f"), "HD\r\n", "b1"),
	    ("a newer delete of all", delete("", 20, "7"), "HD\r\n", ""),
	    ("late writes before it", put("a", "1", 19) + put("c", "1", 20, "6"), "HD\r\nHD\r\n", ""),
	    ("a put of its own token", put("c", "2", 20, "7"), "HD\r\n", "c2"),
	    ("a put after it", put("a", "3", 21), "HD\r\n", "a3 c2"),
	    ("a plain write, under tokens of the near future too",
		put("d", "1", 5000000) + delete("Gx", 5000000) + "kp user:t 2\r\nd 1\r\n2\r\nx 1\r\n3\r\n",
		"HD\r\nHD\r\nHD\r\n", "a3 c2 d2 x3"),
	    ("plain deletes as well", "kd user:t Kd\r\nkd user:t Hx\r\n", "HD\r\nHD\r\n", "a3 c2"),
	    ("km: all has one token",
		"km 2 E%d P1\r\nkd user:t Ka\r\nkp user:t 1\r\nc 1\r\n9\r\n" % (now + 30) + put("c", "8", 29), "HD\r\nHD\r\n", "c9"),
	    ("km: again", "km 2 E%d P1\r\nkd user:t Ka\r\nkp user:t 1\r\nc 1\r\n7\r\n" % (now + 30), "HD\r\n", "c9"),
	)
	with kv.client() as c:
		for name, said, answer, *left in rows:
			for want in left:
				said += "kg user:t\r\n"
				answer += "".join("VA 1 k%s\r\n%s\r\n" % tuple(item) for item in want.split()) + "EN\r\n"
			c.send(said.encode() + b"mn\r\n")
			is_(c.recv_until(b"MN\r\n").decode(), answer + "MN\r\n", "%s, tokens: %s" % (mode, name))


def test_manual():
	"""The session of kvgate-protocol(7) is answered as it is printed."""
	with open(os.path.join(top_srcdir, "man", "kvgate-protocol.7")) as f:
		session = re.search(r"^\.Ss Record commands$.*?^\.Bd [^\n]*\n(.*?)^\.Ed$", f.read(), re.M | re.S).group(1)
	lines = session.splitlines()
	typed = [line for line in lines if not line.startswith("    ")]
	with disk() as store, Kvgate(["-t", "1"], conf=conf_of(store)) as kv, kv.client() as c:
		c.send("".join(line + "\r\n" for line in typed + ["quit"]).encode())
		is_(c.recv_all().decode().split("\r\n"), [line[4:] for line in lines if line.startswith("    ")] + [""],
		    "the manual's session")


def test_memory():
	"""A body counts as long as it comes: what is together more than buffer_max is refused, and read to its end."""
	with disk() as store:
		conf = "client_buffer_max = 1MB\nbuffer_max = 2MB\n" + conf_of(store)
	refused = b"SERVER_ERROR out of memory storing object\r\n"
	with Kvgate(["-t", "1"], conf=conf) as kv, kv.client() as c:
		c.send(value(900000) * 3 + b"mn\r\n")
		is_([c.line() for _ in range(4)], [b"HD\r\n"] * 3 + [b"MN\r\n"], "what fits, one after the other")
		c.send(value(1800000) + b"append user:42/a 0 0 1\r\ny\r\nprepend user:42/a 0 0 1\r\ny\r\nkg user:42 k s\r\n")
		is_([c.line() for _ in range(5)], [b"HD\r\n", b"STORED\r\n", b"STORED\r\n", b"HD ka s1800002\r\n", b"EN\r\n"],
		    "a value counts once, be it stored in pieces or made longer")
		with kv.client() as half:
			before = int(stats(kv)["bytes_read"])
			half.send(value(1800000)[:-1])
			wait_for(lambda: int(stats(kv)["bytes_read"]) > before + 1800000, what="the half body to be there")
			for n in (800000, 2500000, 10000000):
				c.send(value(n) + b"mn\r\n")
				is_([c.line(), c.line()], [refused, b"MN\r\n"], "what another client has sent so far counts: %d bytes" % n)
			c.send(b"kp user:42 3000\r\n" + value(1000)[14:] * 3000 + b"mn\r\n")
			is_([c.line(), c.line()], [refused, b"MN\r\n"], "and three million bytes of small values")
		wait_for(lambda: c.call(value(800000)) != refused, what="the half body to be let go")
		ok(True, "and is let go with its connection")
	with Kvgate(["-t", "1"], conf=conf) as kv, kv.client() as c:
		c.send(b"mn\r\nkm 2\r\nkp user:42 2\r\na 1\r\n")
		is_(c.line(), b"MN\r\n", "a body has begun")
		kv.send_signal(signal.SIGTERM)
		is_(c.recv_all(), b"", "a stop does not wait for a body of which no more comes")


for mode in MODES:
	if mode in STORES:
		with STORES[mode]() as store, Kvgate(["-t", "1"], conf=conf_of(store)) as kv:
			play_all(kv, [t for t in CORPUS if (t not in LINES or mode == "disk") and (not t.only or mode in t.only)], mode)
			flush(kv.addr)
			test_order(kv, mode)
			test_tokens(kv, mode)
test_manual()
test_memory()

done_testing()
