#!/usr/bin/python3
"""
Local copies of what servers hold: no copy outlives its item, none is made of a value that a write or a flush has
overtaken, and what a copy cannot tell is asked of the server.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import random
import re
import threading
import time
from kvt import *
from held import Held


def values(client, keys):
	"""Which of keys are there, asked in one pipeline: {key: value}."""
	text = client.call(b"".join(b"mg %s k v\r\n" % k for k in keys) + b"mn\r\n", b"MN\r\n")
	found = {}
	while text.startswith((b"VA ", b"EN")):
		line, _, text = text.partition(b"\r\n")
		if line.startswith(b"VA "):
			words = line.split(b" ")
			found[words[2][1:]], text = text[:int(words[1])], text[int(words[1]) + 2:]
	return found


def local_hit(kv, c, request, until):
	"""How many of the reads in request were answered from local copies."""
	with deltas(kv, "local_hits", what="kvgate") as hits:
		c.call(request, until)
	return hits.local_hits


def outlived(server, kv, born, seconds):
	"""
	For so long makes keys by born(n) -> {key: value} and asks for all of them, first the server, then kvgate. What the
	server no longer has kvgate must not have either. Returns (keys seen to end, those that lived on).
	"""
	alive, ended, wrong, n = {}, 0, [], 0
	end = time.monotonic() + seconds
	while time.monotonic() < end or (alive and time.monotonic() < end + 15 * patience):
		if time.monotonic() < end:
			alive.update(born(n))
			n += 1
		there = values(server, list(alive))
		here = values(kv, list(alive))
		for key in [k for k in alive if k not in there]:
			if key in here:
				wrong.append(key)
			ended += 1
			del alive[key]
		time.sleep(0.02)
	if alive:
		diag("never ended: %r" % sorted(alive)[:5])
	return ended if not alive else 0, wrong


# ---- what is born expired
with Memcached() as srv, Kvgate(["-t", "1"], conf=fleet_conf([srv], "5s")) as kv, kv.client() as c:
	# memcached's clock is up to a second behind, more where it had to wait for its turn.
	now = int(time.time())
	for ttl in (-1, 60 * 60 * 24 * 30 + 1, now - 100, now - 10):
		is_(c.call(b"set born 0 %d 1\r\nx\r\n" % ttl), b"STORED\r\n", "a moment that is over: %d" % ttl)
		is_(c.call(b"get born\r\nmn\r\n", b"MN\r\n"), b"END\r\nMN\r\n", "is not read")
		is_(c.call(b"ms born 1 T%d\r\ny\r\n" % ttl), b"HD\r\n", "by ms")
		is_(c.call(b"mg born v\r\n"), b"EN\r\n", "is not read")

# ---- nothing outlives its expiry
with Memcached() as srv, Kvgate(["-t", "2"], conf=fleet_conf([srv], "5s")) as kv, \
    srv.client() as direct, kv.client() as c, kv.client() as d:
	def born(n):
		made, at = {}, []
		for ttl in (1, 2, 3, 4):
			made[b"direct%d-%d" % (ttl, n)] = at.append(b"set direct%d-%d 0 %d 1\r\nx\r\n" % (ttl, n, ttl))
		direct.call(b"".join(at) + b"mn\r\n", b"MN\r\n")
		through = []
		def through_kvgate(key, text):
			made[key] = through.append(text)
		for ttl in (1, 3, 4):
			through_kvgate(b"set%d-%d" % (ttl, n), b"set set%d-%d 0 %d 1\r\nx\r\n" % (ttl, n, ttl))
		for word, text in ((b"touch", b"touch %s 3"), (b"gat", b"gat 2 %s"), (b"mgT", b"mg %s T1 v"), (b"invalid", b"md %s I T1")):
			key = b"%s-%d" % (word, n)
			through_kvgate(key, b"set %s 0 100 1\r\n1\r\nget %s\r\n" % (key, key) + text % key + b"\r\nget %s\r\n" % key)
		# A moment of the clock, not a span.
		when = int(time.time()) + 4
		through_kvgate(b"abs-%d" % n, b"set abs-%d 0 %d 1\r\nx\r\n" % (n, when))
		through_kvgate(b"abstouch-%d" % n, b"set abstouch-%d 0 0 1\r\nx\r\nget abstouch-%d\r\ntouch abstouch-%d %d\r\n" % (n, n, n, when))
		# Not behind a get: memcached would give the T to the value that the get still holds.
		through_kvgate(b"arith-%d" % n, b"set arith-%d 0 100 1\r\n1\r\n" % n)
		d.call(b"".join(through) + b"mn\r\n", b"MN\r\n")
		d.call(b"ma arith-%d T2\r\n" % n)
		d.call(b"".join(b"get %s\r\n" % k for k in made) + b"mn\r\n", b"MN\r\n")
		return made
	with deltas(kv, "local_hits", what="kvgate") as hits:
		ended, wrong = outlived(direct, c, born, 2.5)
	ok(ended > 100, "keys of all kinds came to their end (%d)" % ended)
	is_(wrong, [], "none of them lived longer in kvgate than on the server")
	ok(hits.local_hits > 100, "local copies were asked, too (%d)" % hits.local_hits)

	c.ask(b"set neg 0 0 1\r\na\r\nget neg\r\nset neg 0 -1 1\r\nb\r\nget neg\r\n",
	    b"STORED\r\nVALUE neg 0 1\r\na\r\nEND\r\nSTORED\r\nEND\r\n", "set with a negative exptime leaves nothing")
	c.ask(b"set neg 0 0 1\r\na\r\ntouch neg -1\r\nget neg\r\n", b"STORED\r\nTOUCHED\r\nEND\r\n", "nor does touch")
	c.ask(b"set neg 0 0 1\r\na\r\ngat -1 neg\r\nget neg\r\n", b"STORED\r\nVALUE neg 0 1\r\na\r\nEND\r\nEND\r\n", "nor gat")
	c.ask(b"set neg 0 0 1\r\na\r\nset neg 0 %d 1\r\nb\r\nget neg\r\n" % (time.time() - 5), b"STORED\r\nSTORED\r\nEND\r\n",
	    "nor an exptime of the past")

	# ---- stale and win marks are the server's
	c.ask(b"set st 0 0 1\r\na\r\nget st\r\nmd st I T30\r\nmg st v\r\nmg st v\r\nget st\r\n",
	    b"STORED\r\nVALUE st 0 1\r\na\r\nEND\r\nHD\r\nVA 1 X W\r\na\r\nVA 1 Z X\r\na\r\nVALUE st 0 1\r\na\r\nEND\r\n",
	    "md I: the next mg wins, later ones see that somebody has won")
	c.ask(b"ms st 1\r\nb\r\nmg st v\r\nmg st v\r\n", b"HD\r\nVA 1\r\nb\r\nVA 1\r\nb\r\n", "the winner's ms ends that")
	c.ask(b"mg st v\r\nms st 1 C1 I\r\nc\r\nmg st v\r\nmg st v\r\n", b"VA 1\r\nb\r\nHD\r\nVA 1 X W\r\nc\r\nVA 1 Z X\r\nc\r\n",
	    "ms I with an old CAS stores a stale value")

	# ---- a delayed flush_all
	def two(n):
		made = {b"fl%d-%d" % (n, i): b"x" for i in range(5)}
		d.call(b"".join(b"set %s 0 0 1\r\nx\r\nget %s\r\n" % (k, k) for k in made) + b"mn\r\n", b"MN\r\n")
		return made
	alive = two(0)
	c.ask(b"flush_all 3\r\n", b"OK\r\n", "flush_all 3")
	ended, wrong = outlived(direct, c, lambda n: two(n + 1) if n < 20 else {}, 0.5)
	ok(ended > 0, "what was there before and what came until then is gone (%d)" % ended)
	is_(wrong, [], "and no copy of it survives")
	is_(values(c, list(alive)), {}, "nor of what came first")
	wait_for(lambda: d.call(b"set aft 0 0 1\r\nx\r\n") and local_hit(kv, d, b"get aft\r\n", b"END\r\n"),
	    20, "copies to be made again")


# ---- the age of what others changed
with Memcached() as srv, Kvgate(["-t", "2"], conf=fleet_conf([srv], "2s")) as kv, srv.client() as direct, kv.client() as c:
	direct.ask(b"set a 0 0 3\r\nold\r\nset b 0 0 3\r\nold\r\n", b"STORED\r\nSTORED\r\n")
	c.ask(b"get a\r\nget b\r\n", b"VALUE a 0 3\r\nold\r\nEND\r\nVALUE b 0 3\r\nold\r\nEND\r\n")
	is_(local_hit(kv, c, b"get a\r\n", b"END\r\n"), 1, "a read leaves a copy")
	direct.ask(b"set a 0 0 3\r\nnew\r\ndelete b\r\n", b"STORED\r\nDELETED\r\n", "somebody changes both behind our back")
	seen = []
	def both():
		got = values(c, [b"a", b"b"])
		seen.append((got.get(b"a"), got.get(b"b")))
		return seen[-1] == (b"new", None)
	wait_for(both, 10, "the copies to be given up")
	ok(set(seen) <= {(b"old", b"old"), (b"new", b"old"), (b"old", None), (b"new", None)}, "both are seen before long")


# ---- races: a server whose answers wait
def clients(kv, srv, n=4):
	"""Two clients of one worker and one of another."""
	by = {}
	for i in range(8):
		c = kv.client()
		c.call(b"mg probe%d\r\n" % i)
		by.setdefault(srv.conn_of(rb"^mg probe%d " % i), []).append(c)
	first, second = sorted(by.values(), key=len)[-2:]
	return second[0], second[1], first[0]


CONF = """store "s" { type = memcached  servers = { "127.0.0.1:%d" }  timeout = %dms  retry_min = 10ms }
namespace "default" { prefix = ""  primary { store = "s" }  local { ttl = 30s } }
"""
END_OR_ERROR = re.compile(rb"(END|SERVER_ERROR[^\n]*)\r\n")
OLD, NEW = b"VALUE k 0 3\r\nold\r\nEND\r\n", b"VALUE k 0 3\r\nnew\r\nEND\r\n"
WRITES = (
	(b"set k 0 0 3\r\nnew\r\n", b"STORED\r\n", NEW),
	(b"set k 0 0 3 noreply\r\nnew\r\nmn\r\n", b"MN\r\n", NEW),
	(b"ms k 3\r\nnew\r\n", b"HD\r\n", NEW),
	(b"replace k 0 0 3\r\nnew\r\n", b"STORED\r\n", NEW),
	(b"append k 0 0 1\r\n+\r\n", b"STORED\r\n", b"VALUE k 0 4\r\nold+\r\nEND\r\n"),
	(b"delete k\r\n", b"DELETED\r\n", b"END\r\n"),
	(b"md k q\r\nmn\r\n", b"MN\r\n", b"END\r\n"),
	(b"touch k -1\r\n", b"TOUCHED\r\n", b"END\r\n"),
	(b"flush_all\r\n", b"OK\r\n", b"END\r\n"),
)
with Held() as srv, Kvgate(["-t", "2"], conf=CONF % (srv.port, 20000 * patience)) as kv:
	a, b, other = clients(kv, srv)
	for text, answer, after in WRITES:
		word = text.split(b"\r")[0].decode()
		for who, where in ((b, "its own worker"), (other, "another worker")):
			a.call(b"set k 0 0 3\r\nold\r\n")
			keep = srv.store.items[b"k"]
			a.call(b"flush_all\r\n")
			srv.store.items[b"k"] = keep            # there, and no copy of it here
			srv.hold(rb"^mg k ", times=1)
			a.send(b"get k\r\n")
			srv.wait_held()
			who.send(text)
			if who is other:
				is_(who.recv(len(answer)), answer, "%s by %s overtakes a read" % (word, where))
			srv.release()
			is_(a.recv_until(b"END\r\n"), OLD, "the read tells what it found")
			if who is b:
				is_(who.recv(len(answer)), answer, "%s by %s behind a read" % (word, where))
			got = [x.call(b"get k\r\n", b"END\r\n") for x in (a, b, other) for _ in range(2)]
			is_(got, [after] * 6, "after %s by %s nobody sees the old value" % (word, where))

	# A read by another worker while a write is under way: the writer must see its own value behind it.
	for before in (True, False):
		a.call(b"set k 0 0 3\r\nold\r\n")
		srv.hold(rb"^ms k ", before=before, times=1)
		a.send(b"set k 0 0 3\r\nnew\r\n")
		srv.wait_held()
		is_([other.call(b"get k\r\n", b"END\r\n") for _ in range(3)], [OLD if before else NEW] * 3,
		    "a read during a write whose %s waits" % ("execution" if before else "answer"))
		a.send(b"get k\r\n")
		b.send(b"get k\r\n")
		# Both have been read when a later request of theirs has; it is answered behind.
		is_(other.call(b"get k\r\n", b"END\r\n"), OLD if before else NEW)
		srv.release()
		is_(a.recv(8 + len(NEW)), b"STORED\r\n" + NEW, "the writer's next read follows the write")
		is_(b.recv(len(NEW)), NEW, "as does one of its worker")
		is_([x.call(b"get k\r\n", b"END\r\n") for x in (a, b, other)], [NEW] * 3, "and all see it then")

	# Two writes at once, either first.
	for before in (True, False):
		for second in (b"set k 0 0 3\r\ntwo\r\n", b"delete k\r\n", b"append k 0 0 1\r\n+\r\n"):
			a.call(b"set k 0 0 3\r\nold\r\n")
			srv.hold(rb"^ms k ", before=before, times=1)
			a.send(b"set k 0 0 3\r\none\r\n")
			srv.wait_held()
			other.call(second)
			other.call(b"get k\r\n", b"END\r\n")
			srv.release()
			is_(a.line(), b"STORED\r\n")
			item = srv.store.items.get(b"k")
			truth = b"END\r\n" if item is None else b"VALUE k 0 %d\r\n%s\r\nEND\r\n" % (len(item.value), item.value)
			is_([x.call(b"get k\r\n", b"END\r\n") for x in (a, b, other)], [truth] * 3,
			    "set and %s at once, the set's %s late: what the server has" % (second.split()[0].decode(), "execution" if before else "answer"))

	# Reads that were under way when a delayed flush came, and that end behind it.
	a.call(b"set k 0 0 3\r\nold\r\n")
	srv.store.items[b"other"] = srv.store.items[b"k"]
	is_(other.call(b"flush_all 2\r\n"), b"OK\r\n", "flush_all 2")
	srv.hold(rb"^mg other ", times=1)
	a.send(b"get other\r\n")
	srv.wait_held()
	wait_for(lambda: other.call(b"mg k c\r\n") == b"EN\r\n", 20, "the flush")
	srv.store.items.pop(b"other", None)
	srv.release()
	is_(a.recv_until(b"END\r\n"), b"VALUE other 0 3\r\nold\r\nEND\r\n", "a read under way tells what it found")
	is_([x.call(b"get other\r\n", b"END\r\n") for x in (a, b, other, a)], [b"END\r\n"] * 4, "but leaves no copy")
	is_([x.call(b"get k\r\n", b"END\r\n") for x in (a, b, other, a)], [b"END\r\n"] * 4, "nothing else has one either")
	for x in (a, b, other):
		x.close()


# ---- a write whose end is unknown
with Held() as srv, Kvgate(["-t", "1"], conf=CONF % (srv.port, 1000 * patience)) as kv, kv.client() as c:
	for text, after in ((b"set k 0 0 3\r\nnew\r\n", NEW), (b"delete k\r\n", b"END\r\n"),
	    (b"append k 0 0 1\r\n+\r\n", b"VALUE k 0 4\r\nold+\r\nEND\r\n"), (b"set k 0 0 20000\r\n" + b"x" * 20000 + b"\r\n",
	    b"VALUE k 0 20000\r\n" + b"x" * 20000 + b"\r\nEND\r\n")):
		wait_for(lambda: c.call(b"set k 0 0 3\r\nold\r\n") == b"STORED\r\n", 20, "the server to be back")
		is_(c.call(b"get k\r\n", b"END\r\n"), OLD)
		srv.hold(rb"^m[sd] k ", times=1)
		like(c.call(text), rb"^SERVER_ERROR 127.0.0.1:\d+ timed out\r\n$", "%s is not answered in time" % text.split()[0].decode())
		srv.release()
		got = []
		def back():
			got.append(c.call(b"get k\r\n", END_OR_ERROR))
			return not got[-1].startswith(b"SERVER_ERROR")
		wait_for(back, 20, "the server to be back")
		is_(got[-1], after, "then the server is asked what there is")


# ---- everybody at once
def soak(seconds):
	"""
	Each key has one writer, which counts up; a deletion counts as well. Nobody may see a count below that of the last
	write that was answered before he asked, nor one from before a flush_all that was.
	"""
	keys, lock = [b"s%d" % i for i in range(6)], threading.Lock()
	written, flushed = {}, {}               # no less than this may be seen
	wrong, seen, flushes, end = [], [], [], time.monotonic() + seconds

	def write(who):
		rnd, n = random.Random(who), 0
		with kv.client(seconds=30) as c:
			while time.monotonic() < end:
				key, n = keys[who * 2 + rnd.randrange(2)], n + 1
				value = b"%09d" % n + b"x" * rnd.choice((0, 0, 0, 5000, 30000))
				c.send(rnd.choice((b"set %(k)s 0 0 %(n)d\r\n%(v)s\r\n", b"ms %(k)s %(n)d\r\n%(v)s\r\n",
				    b"set %(k)s 0 100 %(n)d noreply\r\n%(v)s\r\n", b"delete %(k)s\r\n", b"touch %(k)s -1\r\n")) %
				    {b"k": key, b"n": len(value), b"v": value} + b"get %s\r\n" % key)
				found = c.recv_until(b"END\r\n")
				at = found.find(b"VALUE ")
				if at >= 0 and int(found[at:].split(b"\r\n")[1][:9]) != n:
					wrong.append(("own write", key, n, found[at:at + 30]))
				with lock:
					written[key] = n

	def read(who):
		rnd = random.Random(100 + who)
		with kv.client(seconds=30) as c:
			while time.monotonic() < end:
				key = rnd.choice(keys)
				with lock:
					n = max(written.get(key, 0), flushed.get(key, 0))
				found = c.call(b"get %s\r\n" % key, b"END\r\n")
				seen.append(found != b"END\r\n")
				if seen[-1] and int(found.split(b"\r\n")[1][:9]) < n:
					wrong.append(("read", key, n, found[:30]))

	def flush():
		with kv.client(seconds=30) as c:
			while time.monotonic() < end:
				with lock:
					before = {key: n + 1 for key, n in written.items()}
				c.call(b"flush_all\r\n")
				flushes.append(1)
				with lock:
					flushed.update(before)
				time.sleep(0.05)

	threads = [threading.Thread(target=f, args=a, daemon=True)
	    for f, a in [(write, (n,)) for n in range(3)] + [(read, (n,)) for n in range(4)] + [(flush, ())]]
	for t in threads:
		t.start()
	for t in threads:
		t.join(60 * patience)
	ok(not any(t.is_alive() for t in threads) and sum(seen) > 50 and len(flushes) > 3,
	    "%d reads found something, amid %d flushes" % (sum(seen), len(flushes)))
	is_(wrong[:5], [], "nobody saw what was no more")


with Memcached() as one, Memcached() as two, Kvgate(["-t", "3"],
    conf=fleet_conf([one, two], "5s", timeout=20)) as kv:
	soak(4)


# ---- what is asked of whom
LOCAL, ASKS = 0, 1
with Memcached() as srv, Kvgate(["-t", "1"], conf=fleet_conf([srv], "60s")) as kv, kv.client() as c:
	def asked(text, until=b"\r\n"):
		with deltas(srv, "cmd_get", "cmd_touch", "cmd_meta") as d:
			got = c.call(text, until)
		return got, max(d.values())
	c.ask(b"set k 7 0 3\r\nabc\r\n", b"STORED\r\n")
	for text, want, how in (
	    (b"get k", b"VALUE k 7 3\r\nabc\r\nEND", LOCAL),
	    (b"mg k", b"HD", LOCAL),
	    (b"mg k v", b"VA 3\r\nabc", LOCAL),
	    (b"mg k s f v", b"VA 3 s3 f7\r\nabc", LOCAL),
	    (b"mg k s f k O9", b"HD s3 f7 kk O9", LOCAL),
	    (b"mg k u v q", b"VA 3\r\nabc", LOCAL),
	    (b"mg aw== b k v", b"VA 3 kaw== b\r\nabc", LOCAL),
	    (b"mg k t", b"HD t-1", ASKS),
	    (b"mg k l v", None, ASKS),
	    (b"mg k h", b"HD h1", ASKS),
	    (b"mg k c", None, ASKS),
	    (b"gets k", None, ASKS),
	    (b"mg k C1 v", None, ASKS),
	    (b"mg k R30 v", b"VA 3\r\nabc", ASKS),
	    (b"mg k v", b"VA 3\r\nabc", ASKS),
	    (b"mg k v", b"VA 3\r\nabc", LOCAL),
	    (b"mg k N30 v", b"VA 3\r\nabc", ASKS),
	    (b"get k", b"VALUE k 7 3\r\nabc\r\nEND", ASKS),
	    (b"get k", b"VALUE k 7 3\r\nabc\r\nEND", LOCAL),
	    (b"mg k T300 v", b"VA 3\r\nabc", ASKS),
	    (b"mg k v", b"VA 3\r\nabc", ASKS),
	    (b"mg k v", b"VA 3\r\nabc", LOCAL),
	    (b"gat 300 k", b"VALUE k 7 3\r\nabc\r\nEND", ASKS),
	    (b"me k", None, ASKS),
	    (b"get k", b"VALUE k 7 3\r\nabc\r\nEND", ASKS),
	    (b"touch k 300", b"TOUCHED", ASKS),
	    (b"mg k", b"HD", ASKS),		# that it is there is not kept
	    (b"mg k", b"HD", ASKS),
	    (b"mg k f", b"HD f7", ASKS),
	    (b"mg k f v", b"VA 3 f7\r\nabc", ASKS),
	    (b"mg k", b"HD", LOCAL),
	    (b"get nokey", b"END", ASKS),	# nor is what is not there
	    (b"get nokey", b"END", ASKS)):
		got, n = asked(text + b"\r\n", b"END\r\n" if text[:2] == b"ge" or text[:3] == b"gat" else
		    b"abc\r\n" if want and b"abc" in want else b"\r\n")
		if want is not None:
			is_(got, want + b"\r\n", text.decode())
		elif b"abc" not in got and got[:2] == b"VA":
			c.call(b"", b"abc\r\n")
		ok(min(n, 1) == how, "%s %s" % (text.decode(), "asks the server" if how else "is answered here"))

	# Read your writes, whatever was pipelined, and whoever of us asks.
	random.seed(4711)
	with kv.client() as d:
		model, wrong = {}, 0
		for batch in range(150):
			out, want = [], []
			for _ in range(random.randrange(1, 20)):
				key, hush = b"r%d" % random.randrange(4), random.random() < 0.3
				word = random.choice((b"set", b"add", b"append", b"delete", b"get", b"get", b"mg", b"incr"))
				n = b" noreply" if hush else b""
				old = model.get(key)
				if word == b"get":
					out.append(b"get %s\r\n" % key)
					want.append(b"END\r\n" if old is None else b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(old), old))
					continue
				if word == b"mg":
					out.append(b"mg %s v%s\r\n" % (key, b" q" if hush else b""))
					want.append(b"VA %d\r\n%s\r\n" % (len(old), old) if old is not None else b"" if hush else b"EN\r\n")
					continue
				if word == b"delete":
					out.append(b"delete %s%s\r\n" % (key, n))
					says = b"DELETED\r\n" if model.pop(key, None) is not None else b"NOT_FOUND\r\n"
				elif word == b"incr":
					out.append(b"incr %s 7%s\r\n" % (key, n))
					if old is not None and len(old) < 9:
						says = b"%d\r\n" % (int(old) + 7)
						model[key] = says[:-2]
					else:
						says = b"NOT_FOUND\r\n" if old is None else None
						if says is None:
							out.pop()
							continue
				else:
					v = b"%d" % random.randrange(1, 100)
					out.append(b"%s %s 0 0 %d%s\r\n%s\r\n" % (word, key, len(v), n, v))
					says = b"STORED\r\n"
					if word == b"set" or word == b"add" and old is None:
						model[key] = v
					elif word == b"append" and old is not None:
						model[key] = old + v
					else:
						says = b"NOT_STORED\r\n"
				want.append(b"" if hush else says)
			got = random.choice((c, d)).call(b"".join(out) + b"mn\r\n", b"MN\r\n")
			wrong += got != b"".join(want) + b"MN\r\n"
		is_(wrong, 0, "150 pipelines of two clients in turn read what was written")

done_testing()
