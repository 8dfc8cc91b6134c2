#!/usr/bin/python3
"""
Reads of many keys: each server is asked once for all that it has, the answer is in the client's order, and whatever a
server does instead of answering, the client gets one error line and stays in step.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import random
import re
import socket
import threading
from kvt import *
from held import Held

WELL, VERSION = b"VERSION ", re.compile(rb"VERSION [^\n]*\r\n")


class Lying(Held):
	"""Says raw[line] instead of the truth, in pieces where it is a list; None in it closes the connection."""

	def __init__(self, **more):
		super().__init__(**more)
		self.raw = {}

	def _send(self, sock, answer):
		line = self.seen[-1]
		for piece in self.raw.get(line, [answer]):
			if piece is None:
				sock.shutdown(socket.SHUT_RDWR)
				raise OSError("closed on purpose")
			sock.sendall(piece)


def conf(servers, ttl="0s", more="", spaces=""):
	return """store "fleet" { type = memcached  servers = { %s }  distribution = ketama  timeout = %dms  %s }
		namespace "default" { prefix = ""  primary { store = "fleet" }  local { ttl = %s } }
		%s""" % (", ".join('"127.0.0.1:%d 1"' % s.port for s in servers), 2000 * patience, more, ttl, spaces)


def value(key, value, flags=0, cas=None):
	return b"VALUE %s %d %d%s\r\n%s\r\n" % (key, flags, len(value), b"" if cas is None else b" %d" % cas, value)


def in_step(c, name):
	is_(c.call(b"version\r\n")[:8], WELL, "%s: in step" % name)


# ---- what real servers have, in the client's order
SIZES = (0, 1, 100, 1500, 5000, 17000, 300000)
rnd = random.Random(7)
with Memcached() as a, Memcached() as b, Memcached() as d:
	with Kvgate(["-t", "2"], conf=conf((a, b, d), spaces="""
		namespace "here" { prefix = "here:" }
		namespace "kept" { prefix = "kept:"  primary { store = "fleet" }  local { ttl = 60s } }
		namespace "other" { prefix = "other:"  primary { store = "fleet" }  local { ttl = 0s } }""")) as kv, kv.client(seconds=30) as c:
		items = {}
		for i in range(120):
			key = rnd.choice((b"", b"here:", b"kept:", b"other:")) + (b"k%d" % i if i % 9 else b"%d-" % i + b"x" * 230)
			body = bytes(rnd.choice(b"ab\r\n\0 VALUEND") for _ in range(min(SIZES[i % 7], 2000))).ljust(SIZES[i % 7], b"~")
			items[key] = (body, rnd.randrange(1 << 32))
			is_(c.call(b"set %s %d 0 %d\r\n%s\r\n" % (key, items[key][1], len(body), body)), b"STORED\r\n", "set")

		def wanted(keys):
			return b"".join(value(k, *items[k]) for k in keys if k in items) + b"END\r\n"

		bad = 0
		for n in (2, 3, 50, 64, 65, 100, 120, 300, 1000):
			for _ in range(3):
				keys = [rnd.choice(list(items) + [b"none%d" % rnd.randrange(99), b"here:none", b"kept:none"]) for _ in range(n)]
				small = [k for k in keys if len(items.get(k, (b" ",))[0]) < 20000]
				for some in (small, keys if n < 200 else small):
					c.send(b"get %s\r\n" % b" ".join(some))
					want = wanted(some)
					bad += c.recv(len(want)) != want
		is_(bad, 0, "values of all sizes and namespaces, the absent, the repeated: in the order asked for")
		in_step(c, "long reads")

		keys = [k for k in items if len(items[k][0]) < 20000]
		want = wanted(keys[:40]) + wanted(keys[:1]) + wanted([b"none"] * 2) + wanted(keys[20:])
		c.send(b"get %s\r\nget %s\r\nget none none\r\nget %s\r\n" % (b" ".join(keys[:40]), keys[0], b" ".join(keys[20:])))
		ok(c.recv(len(want)) == want, "in a pipeline")

		is_(c.call(b"get k1 k\0x k2\r\n", b"END\r\n"), wanted([b"k1", b"k2"]) if b"k1" in items else wanted([b"k2"]), "a key with NUL among them")
		c.call(b"set n\0l 5 0 3\r\nabc\r\n")
		c.call(b"set none 6 0 0\r\n\r\n")
		is_(c.call(b"get n\0l none n\0l\r\n", b"END\r\n"), value(b"n\0l", b"abc", 5) + value(b"none", b"", 6) + value(b"n\0l", b"abc", 5) + b"END\r\n", "and one that is there")

		# The uniques are the servers'.
		some = [k for k in items if not k.startswith((b"here:", b"kept:")) and len(items[k][0]) <= 100][:12]
		got = c.call(b"gets %s\r\n" % b" ".join(some), b"END\r\n")
		cas = dict(re.findall(rb"VALUE (\S+) \d+ \d+ (\d+)\r\n", got))
		is_(sorted(cas), sorted(some), "gets of many")
		is_({c.call(b"cas %s 0 0 1 %s\r\nn\r\n" % (k, cas[k])) for k in some}, {b"STORED\r\n"}, "their uniques compare")
		is_({c.call(b"cas %s 0 0 1 %s\r\nn\r\n" % (k, cas[k])) for k in some}, {b"EXISTS\r\n"}, "once")

		# Counted as one by one.
		with deltas(kv, "cmd_get", "get_hits", "get_misses") as n:
			c.call(b"get %s no1 no2\r\n" % b" ".join(some), b"END\r\n")
		is_([int(v) for v in n.values()], [14, 12, 2], "every key counts")

		with kv.client() as w:
			is_(w.call(b"watch fetchers\r\n"), b"OK\r\n", "a watcher")
			c.call(b"get none no1\r\n", b"END\r\n")
			lines = [w.line(), w.line()]
			like(b"".join(l for l in lines if b"key=no1" in l), rb"status=not_found", "sees a miss")
			like(b"".join(l for l in lines if b"key=none " in l), rb"status=found", "and a hit")

# ---- one request for each server
with Held() as a, Held() as b:
	with Kvgate(["-t", "1"], conf=conf((a, b))) as kv, kv.client() as c:
		for i in range(50):
			c.call(b"set key%d %d 0 2\r\nxy\r\n" % (i, i))
		del a.seen[:], b.seen[:]
		keys = [b"key%d" % i for i in range(50)]
		is_(c.call(b"get %s\r\n" % b" ".join(keys), b"END\r\n"), b"".join(value(k, b"xy", i) for i, k in enumerate(keys)) + b"END\r\n", "50 keys")
		is_([s.count(rb"^get ") for s in (a, b)], [1, 1], "one request for each server")
		is_(sorted((a.seen[0] + b.seen[0][3:]).split()[1:]), sorted(keys), "with all that it has")
		long = [b"%03d" % i + b"y" * 247 for i in range(64)]
		is_(c.call(b"get %s\r\n" % b" ".join(long), b"END\r\n"), b"END\r\n", "64 long keys")
		lines = [l for s in (a, b) for l in s.seen[1:]]
		ok(max(map(len, lines)) < 2048 and sum(l.count(b"y" * 247) for l in lines) == 64, "in lines that no server finds too long")

		# A server that is slow holds up the answer, not other clients.
		a.hold(rb"^get ")
		c.send(b"get %s\r\nversion\r\n" % b" ".join(keys))
		a.wait_held()
		with kv.client() as other:
			k = b.seen[0].split()[1]
			is_(other.call(b"get %s\r\n" % k, b"END\r\n"), value(k, b"xy", int(k[3:])) + b"END\r\n", "others are served meanwhile")
		a.release()
		is_(c.recv_until(VERSION).count(b"VALUE"), 50, "and in the end all of it")

		# A client that goes away meanwhile.
		a.hold(rb"^get ")
		with kv.client() as gone:
			gone.send(b"get %s\r\n" % b" ".join(keys))
			a.wait_held()
		a.release()
		is_(c.call(b"get key1 key2\r\n", b"END\r\n").count(b"VALUE"), 2, "a client that went away")

	with Kvgate(["-t", "1"], conf=conf((a, b), more="connections = 3")) as kv, kv.client() as c:
		wait_for(lambda: c.call(b"get %s\r\n" % b" ".join(keys), b"END\r\n").count(b"VALUE") == 50, 20, "several connections")
		# A get must not overtake the set before it on another connection.
		is_(c.call(b"set key7 0 0 3\r\nnew\r\nget %s\r\n" % b" ".join(keys), b"END\r\n").count(b"new"), 1, "a read follows the write before it")

with Held(version=b"1.4.33") as a, Kvgate(["-t", "1"], conf=conf((a,))) as kv, kv.client() as c:
	c.call(b"set a 1 0 1\r\nx\r\n")
	is_(c.call(b"get a b a\r\n", b"END\r\n"), value(b"a", b"x", 1) * 2 + b"END\r\n", "a server of 1.4")

# ---- servers that lie: lines to "get k1 k2 k3", what the client may hear
V1, V2, V3 = (value(b"k%d" % i, b"v%d" % i, i) for i in (1, 2, 3))
BIG = b"b" * 100000
ERROR = rb"SERVER_ERROR [^\r\n]+\r\n"
LIES = (
	("END at once", [b"END\r\n"], rb"END\r\n"),
	("one of three", [V2, b"END\r\n"], re.escape(V2) + rb"END\r\n"),
	("byte by byte", [bytes([x]) for x in V1 + V2 + V3 + b"END\r\n"], re.escape(V1 + V2 + V3) + rb"END\r\n"),
	("a large one in the middle", [V1 + b"VALUE k2 2 100000\r\n", BIG[:50], BIG[50:], b"\r\n" + V3 + b"END\r\n"],
	 re.escape(V1 + value(b"k2", BIG, 2) + V3) + rb"END\r\n"),
	("two large ones", [value(b"k1", BIG), value(b"k3", BIG, 3) + b"END\r\n"], re.escape(value(b"k1", BIG) + value(b"k3", BIG, 3)) + rb"END\r\n"),
	("a key that nobody asked for", [V1 + value(b"k4", b"v4") + b"END\r\n"], ERROR),
	("the wrong order", [V2 + V1 + V3 + b"END\r\n"], ERROR),
	("a key twice", [V1 + V1 + b"END\r\n"], ERROR),
	("a value too many", [V1 + V2 + V3 + V3 + b"END\r\n"], ERROR),
	("a value too long", [b"VALUE k1 0 2\r\nv1more\r\n" + V2 + b"END\r\n"], ERROR),
	("a large value too long", [b"VALUE k1 0 99999\r\n" + BIG + b"\r\n" + V2 + b"END\r\n"], ERROR),
	("a value too short", [b"VALUE k1 0 17\r\nv1\r\n" + V2 + V3 + b"END\r\n"], ERROR),
	("a size beyond all bounds", [b"VALUE k1 0 99999999999\r\nv1\r\nEND\r\n"], ERROR),
	("a size that is none", [b"VALUE k1 0 0x2\r\nv1\r\nEND\r\n"], ERROR),
	("no size", [b"VALUE k1 0\r\nv1\r\nEND\r\n"], ERROR),
	("a unique that nobody asked for", [b"VALUE k1 0 2 7\r\nv1\r\nEND\r\n"], ERROR),
	("meta lines", [b"VA 2\r\nv1\r\nEN\r\nEN\r\n"], ERROR),
	("rubbish", [V1 + b"\x80\x01\x02\x03" * 5 + b"\r\n"], ERROR),
	("no end of line", [b"VALUE " + b"k" * 5000], ERROR),
	("an error", [b"SERVER_ERROR out of memory writing get response\r\n"], rb"SERVER_ERROR out of memory writing get response\r\n"),
	("an error after a value", [V1 + b"SERVER_ERROR out of memory\r\n"], rb"SERVER_ERROR out of memory\r\n"),
	("a close after a value", [V1, None], ERROR),
	("a close within a value", [V1 + b"VALUE k2 0 10\r\nab", None], ERROR),
	("a close within a large value", [V1 + b"VALUE k2 0 100000\r\n" + BIG[:30000], None], ERROR),
	("a close within a line", [V1 + b"VALUE k", None], ERROR),
)
for ttl in ("0s", "60s"):
	with Lying() as srv:
		with Kvgate(["-t", "1"], conf=conf((srv,), ttl=ttl, more="retry_min = 1ms")) as kv, kv.client() as c:
			for name, raw, want in LIES if ttl == "0s" else LIES[:0]:
				wait_for(lambda: c.call(b"set other 9 0 5\r\nother\r\n") == b"STORED\r\n", 20, "the server")
				srv.raw = {b"get k1 k2 k3": raw}
				c.send(b"get k1 k2 k3\r\nversion\r\n")
				like(c.recv_until(VERSION), b"^" + want + rb"VERSION [^\n]*\r\n$", name)
				srv.raw = {}
				wait_for(lambda: c.call(b"get other\r\n", b"\r\n") != ERROR and c.call(b"mn\r\n", b"MN\r\n"), 20, "%s: the server again" % name)
				wait_for(lambda: c.call(b"get k1 other\r\nmn\r\n", b"MN\r\n") == value(b"other", b"other", 9) + b"END\r\nMN\r\n", 20, "%s: a good answer" % name)
			# With copies kept each key is asked for on its own, for its TTL.
			if ttl != "0s":
				c.call(b"set other 9 0 5\r\nother\r\nset more 1 0 1\r\nx\r\n", b"STORED\r\nSTORED\r\n")
				for _ in range(2):
					is_(c.call(b"get other none more\r\n", b"END\r\n"), value(b"other", b"other", 9) + value(b"more", b"x", 1) + b"END\r\n", "with copies")

# ---- a server that is silent, one that is not there yet, one that closed meanwhile
with Held() as a, Held() as b:
	with Kvgate(["-t", "1"], conf=conf((a, b), more="retry_min = 1ms").replace("timeout = %dms" % (2000 * patience), "timeout = 300ms")) as kv, kv.client(seconds=30) as c:
		for i in range(20):
			c.call(b"set key%d 0 0 1\r\nx\r\n" % i)
		keys = b" ".join(b"key%d" % i for i in range(20))
		del a.seen[:]
		c.call(b"get %s\r\n" % keys, b"END\r\n")
		of_b = b.seen[-1][4:]
		a.hold(rb"^get ")
		c.send(b"get %s\r\nversion\r\n" % keys)
		like(c.recv_until(VERSION), b"^SERVER_ERROR 127.0.0.1:%d timed out\r\nVERSION" % a.port, "a silent server is named")
		is_(c.call(b"get %s\r\n" % of_b, b"END\r\n").count(b"VALUE"), len(of_b.split()), "the other is not concerned")
		a.release()

		def asked():
			return c.call(b"get %s\r\nmn\r\n" % keys, b"MN\r\n").count(b"VALUE") == 20
		wait_for(asked, 20, "it is found again")
		ok(True, "it is found again")

		# What was idle and has gone is asked once more, unless it was connected within retry_min.
		def dropped():
			wait_for(asked, 20, "an idle connection")
			a.drop()
			return asked()
		wait_for(dropped, 20, "a connection that the server closed meanwhile")
		ok(True, "a connection that the server closed meanwhile")

port = free_port()
with Memcached() as a, Kvgate(["-t", "1"], conf=conf((a,)).replace(":%d " % a.port, ":%d " % port)) as kv, kv.client() as c:
	like(c.call(b"get a b\r\n"), rb"^SERVER_ERROR 127.0.0.1:%d is down" % port, "a server that is not there")
	in_step(c, "nobody there")
	with Memcached(["-p", str(port)]) as late, late.client() as direct:
		direct.call(b"set b 1 0 1\r\nx\r\n")
		wait_for(lambda: c.call(b"get a b\r\nmn\r\n", b"MN\r\n") == value(b"b", b"x", 1) + b"END\r\nMN\r\n", 20, "it comes")
		ok(True, "until it comes")

# ---- many clients at once, each with its own keys and values
with Memcached() as a, Memcached() as b, Kvgate(["-t", "2"], conf=conf((a, b))) as kv:
	wrong = []

	def run(n):
		rnd, mine = random.Random(n), {}
		try:
			with kv.client(seconds=60) as c:
				for _ in range(60):
					for _ in range(5):
						k = b"c%d-%d" % (n, rnd.randrange(80))
						mine[k] = (b"%s." % k * rnd.choice((1, 9, 90, 900, 9000)), rnd.randrange(99))
						c.call(b"set %s %d 0 %d\r\n%s\r\n" % (k, mine[k][1], len(mine[k][0]), mine[k][0]))
					asked = [[b"c%d-%d" % (n, rnd.randrange(80)) for _ in range(rnd.randrange(2, 70))] for _ in range(3)]
					c.send(b"".join(b"get %s\r\n" % b" ".join(keys) for keys in asked))
					for keys in asked:
						want = b"".join(value(k, *mine[k]) for k in keys if k in mine) + b"END\r\n"
						if c.recv(len(want)) != want:
							wrong.append(n)
		except Exception as e:
			wrong.append(repr(e))

	threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(12)]
	for t in threads:
		t.start()
	for t in threads:
		t.join()
	is_(wrong, [], "every client gets its own")

done_testing()
