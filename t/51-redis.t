#!/usr/bin/python3
"""
Namespaces on one redis-server: what stands in Redis in both formats and how others see it, what plain strings cannot keep,
logins, scripts that are gone, every way in which Redis refuses, replies that are none, flush_all, expiry, several kvgates
at once. That the commands mean what memcached means is 10-differential.t's, broken connections are 65-matrix.t's.
"""
import os, re, shutil, socket, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

PREFIX = "store \"r\" { type = redis  servers = { \"%s\" }  timeout = %dms  connect_timeout = %dms  retry_min = 10ms\n" \
    "  retry_max = 100ms  %s }\n"
SPACE = "namespace \"%s\" { prefix = \"%s\"  primary { store = \"r\"  format = %s }  local { ttl = %s }  %s }\n"


def conf(server, fmt="item", store="", local="0s", space="", more=""):
	ms = 2000 * patience
	return PREFIX % (server, ms, ms, store) + SPACE % ("default", "", fmt, local, space) + more


def errors(kv, kind):
	return sum(int(v) for k, v in stats(kv, "servers").items() if k.endswith(":errors_" + kind))


def state(kv):
	return [v for k, v in stats(kv, "servers").items() if k.endswith(":state")][0]


def ask_all(c, pairs):
	"""(command, answer) each; a list of failures' worth of test points."""
	for command, answer in pairs:
		c.ask(command + b"\r\n", answer.replace(b"|", b"\r\n") + b"\r\n")


def refused(c, command, pattern, name=None):
	like(c.call(command + b"\r\n"), rb"^SERVER_ERROR " + pattern, name or repr(command)[:60])


# ---------------------------------------------------------------- format = raw

def raw(r, kv, c):
	"""Every command that plain strings can do, and what other clients of Redis see of it."""
	ask_all(c, [
	    (b"set a 0 0 3|abc".replace(b"|", b"\r\n"), b"STORED"),
	    (b"get a", b"VALUE a 0 3|abc|END"), (b"mg a v t f s", b"VA 3 t-1 f0 s3|abc"),
	    (b"add a 0 0 1\r\nx", b"NOT_STORED"), (b"add b 0 100 1\r\nx", b"STORED"), (b"mg b t", b"HD t100"),
	    (b"replace c 0 0 1\r\nx", b"NOT_STORED"), (b"replace a 0 200 2\r\nde", b"STORED"), (b"mg a v t", b"VA 2 t200|de"),
	    (b"append a 0 0 2\r\nfg", b"STORED"), (b"prepend a 0 0 2\r\nbc", b"STORED"), (b"mg a v t", b"VA 6 t200|bcdefg"),
	    (b"append none 0 0 1\r\nx", b"NOT_STORED"), (b"prepend none 0 0 1\r\nx", b"NOT_STORED"),
	    (b"ms n1 2 MA N30\r\nxy", b"HD"), (b"mg n1 v t", b"VA 2 t30|xy"),
	    (b"touch a 50", b"TOUCHED"), (b"mg a t", b"HD t50"), (b"touch a 0", b"TOUCHED"), (b"mg a t", b"HD t-1"),
	    (b"touch none 5", b"NOT_FOUND"), (b"gat 40 a", b"VALUE a 0 6|bcdefg|END"), (b"mg a t", b"HD t40"),
	    (b"mg a T60 t", b"HD t60"), (b"mg a t T70", b"HD t60"), (b"mg a t", b"HD t70"),
	    (b"get a none b", b"VALUE a 0 6|bcdefg|VALUE b 0 1|x|END"),
	    (b"delete a", b"DELETED"), (b"delete a", b"NOT_FOUND"), (b"get a", b"END"), (b"md b q\r\nmn", b"MN"), (b"mg b", b"EN"),
	    (b"incr i 1", b"NOT_FOUND"), (b"set i 0 90 2\r\n99", b"STORED"), (b"incr i 1", b"100"), (b"decr i 91", b"9"),
	    (b"get i", b"VALUE i 0 1|9|END"), (b"mg i t", b"HD t90"), (b"decr i 50", b"0"),
	    (b"set i 0 0 20\r\n18446744073709551615", b"STORED"), (b"incr i 3", b"2"), (b"decr i 0", b"2"),
	    (b"ma j N40 J7 v", b"VA 1|7"), (b"ma j N40 J7 v t", b"VA 1 t40|8"), (b"ma j MD D5 v", b"VA 1|3"), (b"ma none", b"NF"),
	    (b"set w 0 0 1\r\nx", b"STORED"), (b"incr w 1", b"CLIENT_ERROR cannot increment or decrement non-numeric value"),
	    (b"set z 0 -1 1\r\nx", b"STORED"), (b"get z", b"END"), (b"set z 0 0 1\r\nx", b"STORED"), (b"set z 0 -1 1\r\nx", b"STORED"),
	    (b"get z", b"END"), (b"add z 0 -1 1\r\nx", b"STORED"), (b"get z", b"END"), (b"replace z 0 -1 1\r\nx", b"NOT_STORED"),
	    (b"set z 0 2000000000 1\r\nx", b"STORED"), (b"gat -1 w", b"VALUE w 0 1|x|END"), (b"get w", b"END"),
	])
	like(c.call(b"me j\r\n"), rb"^ME j exp=\d+ la=\d+ cas=0 fetch=no cls=1 size=1\r\n", "me")
	is_(r.call("GET", "i"), b"2", "a number stands without spaces, so that others can count on")
	is_(r.call("INCR", "i"), 3, "and they do")
	c.ask(b"incr i 1\r\n", b"4\r\n", "so do we")
	r.call("SET", "theirs", "\0\r\nbinary", "EX", 77)
	c.ask(b"mg theirs v t\r\n", b"VA 9 t77\r\n\0\r\nbinary\r\n", "what others wrote")
	big = os.urandom(300000)
	for command, name in ((b"set big 0 0 %d\r\n", "set"), (b"set big 0 100 %d\r\n", "set with an expiry"),
	    (b"replace big 0 0 %d\r\n", "replace")):
		c.send_and_read(command % len(big) + big + b"\r\n")
		is_(c.line(), b"STORED\r\n", "300000 bytes: " + name)
		is_(r.call("GET", "big") == big, True, "and they are there: " + name)
	c.ask(b"get big\r\n", b"VALUE big 0 300000\r\n" + big + b"\r\nEND\r\n", "300000 bytes: get")
	is_(r.call("TTL", "big"), -1, "replace without an expiry ends the one that was")
	r.call("MSET", "m1", "1", "m2", "2")
	r.call("CONFIG", "RESETSTAT")
	c.ask(b"get m1 none m2 m1\r\n", b"VALUE m1 0 1\r\n1\r\nVALUE m2 0 1\r\n2\r\nVALUE m1 0 1\r\n1\r\nEND\r\n")
	is_((r.calls("MGET"), r.calls("GET")), (1, 0), "many keys are one MGET")


def raw_cannot(r, kv, c):
	"""What plain strings cannot keep is refused, naming the store and why."""
	name = re.escape(r.server).encode()
	for what, commands in (
	    (b"CAS uniques", [b"gets a", b"gats 1 a", b"cas a 0 0 1 1\r\nx", b"mg a c", b"ms a 1 C1\r\nx", b"ms a 1 E5\r\nx", b"ms a 1 c\r\nx",
	        b"md a C1", b"ma a C1", b"ma a c", b"mg a v C1", b"gets a b"]),
	    (b"client flags", [b"set a 1 0 1\r\nx", b"ms a 1 F7\r\nx", b"add a 5 0 1\r\nx"]),
	    (b"stale and win marks", [b"md a I", b"md a x", b"mg a N30", b"mg a R30"]),
	    (b"marks of hits", [b"mg a h"])):
		for command in commands:
			refused(c, command, name + b" has plain strings, without " + what + rb" \(format = raw\)\r\n$")
	ask_all(c, [(b"set a 1 0 1 noreply\r\nx\r\nmn", b"MN"), (b"set a 0 0 1\r\nx", b"STORED"), (b"mg a l k", b"HD l0 ka")])
	is_(errors(kv, "unsupported") >= 20, True, "and counted")
	r.call("LPUSH", "list", "x")
	for command in (b"get list", b"mg list t v", b"append list 0 0 1\r\nx", b"incr list 1", b"prepend list 0 0 1\r\nx"):
		refused(c, command, name + rb" says WRONGTYPE ")
	ask_all(c, [(b"get a list a", b"VALUE a 0 1|x|VALUE a 0 1|x|END"), (b"delete list", b"DELETED")])
	is_(errors(kv, "badvalue"), 5, "values of other types are counted")


with Redis() as r:
	with Kvgate(["-t", "1"], conf=conf(r.server, "raw")) as kv, kv.client() as c:
		raw(r, kv, c)
		raw_cannot(r, kv, c)
	with Kvgate(["-t", "1"], conf=conf(r.server, "raw", local="5s")) as kv, kv.client() as c:
		r.call("SET", "short", "v", "EX", 2)
		r.call("SET", "long", "v")
		ask_all(c, [(b"get short", b"VALUE short 0 1|v|END"), (b"get long", b"VALUE long 0 1|v|END")])
		r.call("SET", "long", "w")
		c.ask(b"get long\r\n", b"VALUE long 0 1\r\nv\r\nEND\r\n", "with local copies: one is kept")
		r.call("SET", "short", "w")
		c.ask(b"get short\r\n", b"VALUE short 0 1\r\nw\r\nEND\r\n", "but not of what has little time left: TTLs come with values")

# ---------------------------------------------------------------- format = item

HEAD = rb"\xf1kv\x01(.)\0\0\x1c(.{8})(.{8})(.{4})(.*)"


def envelope(r, key):
	"""marks, version, expiry in ms, client flags, value"""
	m = re.fullmatch(HEAD, r.call("GET", key) or b"", re.S)
	return m and tuple(int.from_bytes(m.group(n), "big") for n in (1, 2, 3, 4)) + (m.group(5),)


def head(version):
	"""Of an item that has nothing but this."""
	return b"\xf1kv\x01\0\0\0\x1c" + version.to_bytes(8, "big") + bytes(12)


def items(r, kv, c):
	ask_all(c, [(b"set a 5 100 3\r\nabc", b"STORED")])
	marks, version, expiry, flags, value = envelope(r, "a")
	is_((marks, flags, value), (0, 5, b"abc"), "an item is a head and the value")
	at = int(r.call("PEXPIRETIME", "a"))
	is_(at, expiry, "Redis has the same expiry")
	is_(0 <= 100000 - r.call("PTTL", "a") < 10000 * patience, True, "which is right")
	c.ask(b"mg a c t f v\r\n", b"VA 3 c%d t100 f5\r\nabc\r\n" % version, "the unique is the version")
	is_(abs(version / 1e6 - time.time()) < 60 * patience, True, "which is a time in microseconds")
	c.ask(b"touch a 0\r\n", b"TOUCHED\r\n")
	is_((envelope(r, "a"), r.call("TTL", "a")), ((0, version, 0, 5, b"abc"), -1), "touch changes the expiry in both")
	c.ask(b"gat 50 a\r\n", b"VALUE a 5 3\r\nabc\r\nEND\r\n")
	is_(envelope(r, "a")[2], int(r.call("PEXPIRETIME", "a")), "so does gat")
	r.call("SET", "a", head(9007199254740993000) + b"b")
	c.ask(b"ms a 1 c\r\nc\r\n", b"HD c9007199254740993001\r\n", "above a version beyond 53 bits")
	c.ask(b"ms a 1 C9007199254740993000\r\nd\r\n", b"EX\r\n", "the last bit counts")
	r.call("SET", "a", head(2 ** 64 - 1) + b"d")
	like(c.call(b"ms a 1 c\r\ne\r\n"), rb"^HD c1[67]\d{14}\r\n", "nothing is above 2^64 - 1: it begins anew")
	is_(c.call(b"mg a v\r\n", b"e\r\n"), b"VA 1\r\ne\r\n")
	r.call("CONFIG", "RESETSTAT")
	ask_all(c, [(b"get a", b"VALUE a 0 1|e|END"), (b"mg a v", b"VA 1|e"), (b"get a none a", b"VALUE a 0 1|e|VALUE a 0 1|e|END")])
	is_([r.calls(w) for w in ("GET", "MGET", "EVALSHA")], [2, 1, 0], "reads are GET and MGET")
	big = os.urandom(300000)
	c.send_and_read(b"set big 3 100 300000\r\n" + big + b"\r\n")
	is_(c.line(), b"STORED\r\n")
	c.ask(b"get big a\r\n", b"VALUE big 3 300000\r\n" + big + b"\r\nVALUE a 0 1\r\ne\r\nEND\r\n", "300000 bytes")
	is_(envelope(r, "big")[4] == big, True, "and they are there")


def stale(r, kv, c):
	"""The win of a stale item goes to one reader, whatever else is asked at the same time."""
	ask_all(c, [(b"set s 0 0 1\r\na", b"STORED"), (b"md s I", b"HD"), (b"get s", b"VALUE s 0 1|a|END"), (b"gat 100 s", b"VALUE s 0 1|a|END"),
	    (b"gets none", b"END")])
	is_(envelope(r, "s")[0], 1, "classic reads take no win")
	c.ask(b"mg s v\r\nms s 1\r\nb\r\nmg s v\r\n", b"VA 1 W X\r\na\r\nHD\r\nVA 1\r\nb\r\n".replace(b"W X", b"X W"),
	    "a write behind a read that wins comes behind the win, too")
	c.ask(b"md s I\r\nmg s v\r\nmg s v\r\nget s\r\ndelete s\r\nmg s v\r\n",
	    b"HD\r\nVA 1 X W\r\nb\r\nVA 1 Z X\r\nb\r\nVALUE s 0 1\r\nb\r\nEND\r\nDELETED\r\nEN\r\n", "all in one")
	c.ask(b"set s 0 0 1\r\n1\r\nmd s I\r\n" + b"mg s v q\r\nincr s 1\r\nget s t\r\n" * 3,
	    b"STORED\r\nHD\r\nVA 1 X W\r\n1\r\n2\r\nVALUE s 0 1\r\n2\r\nEND\r\n" + b"".join(b"VA 1 Z X\r\n%d\r\n%d\r\nVALUE s 0 1\r\n%d\r\nEND\r\n"
	    % (n, n + 1, n + 1) for n in (2, 3)), "reads, writes and multi-gets of one key in one stream keep their order")
	wins, start = [], threading.Barrier(8)
	c.ask(b"set s 0 0 1\r\na\r\nmd s I\r\n", b"STORED\r\nHD\r\n")

	def reader():
		with kv.client() as one:
			start.wait()
			wins.append(one.call(b"mg s v\r\n", b"a\r\n"))

	readers = [threading.Thread(target=reader) for _ in range(8)]
	for t in readers:
		t.start()
	for t in readers:
		t.join()
	is_((wins.count(b"VA 1 X W\r\na\r\n"), wins.count(b"VA 1 Z X\r\na\r\n")), (1, 7), "eight at once: one wins")


def not_items(r, kv, c):
	"""What kvgate did not write."""
	name = re.escape(r.server).encode()
	for n, value in enumerate(("plain", "x" * 100, "\xf1kv\x02" + "x" * 40, "\xf1kv\x01\0\x01\0\x1c" + "x" * 40, "\xf1kv\x01\0\0\0\x1b" + "x" * 40,
	    "\xf1kv\x01\0\0\xff\xff" + "x" * 40, "\xf1kv\x01\0\0\0\x1c")):
		r.call("SET", "bad", value.encode("latin1"))
		for command in (b"get bad", b"mg bad v t", b"incr bad 1", b"append bad 0 0 1\r\nx", b"get none bad a", b"touch bad 1",
		    b"cas bad 0 0 1 1\r\nx", b"md bad I", b"add bad 0 0 1\r\nx", b"me bad") if n == 0 else (b"get bad",):
			refused(c, command, name + rb" holds a value that kvgate did not write \(format = item\)\r\n$")
	c.ask(b"set bad 0 0 1\r\nx\r\n", b"STORED\r\n", "a plain set writes over it")
	c.ask(b"get bad\r\n", b"VALUE bad 0 1\r\nx\r\nEND\r\n")
	r.call("SET", "bad", "plain")
	c.ask(b"delete bad\r\n", b"DELETED\r\n", "a plain delete deletes it")
	r.call("LPUSH", "list", "x")
	for command in (b"get list", b"set list 0 0 1\r\nx", b"delete list", b"incr list 1"):
		refused(c, command, name + rb" says WRONGTYPE ")
	r.call("DEL", "list")
	c.ask(b"mn\r\n", b"MN\r\n", "and all goes on")


def scripts(r, kv, c):
	"""Somebody empties the list of scripts: nobody notices."""
	c.ask(b"set n 0 0 1\r\n0\r\n", b"STORED\r\n")
	want = b""
	for n in range(5):
		r.call("SCRIPT", "FLUSH")
		c.ask(b"incr n 1\r\nget n\r\nincr n 1\r\nset k 0 0 1\r\n%d\r\nget k n\r\nincr n 1\r\nmg k v\r\n" % n,
		    b"%d\r\nVALUE n 0 %d\r\n%d\r\nEND\r\n%d\r\nSTORED\r\nVALUE k 0 1\r\n%d\r\nVALUE n 0 %d\r\n%d\r\nEND\r\n%d\r\nVA 1\r\n%d\r\n" %
		    (3 * n + 1, len(str(3 * n + 1)), 3 * n + 1, 3 * n + 2, n, len(str(3 * n + 2)), 3 * n + 2, 3 * n + 3, n),
		    "scripts gone, once more")
	is_(errors(kv, "refused"), 0, "without an error")


def tombstones():
	with Redis() as r, Kvgate(["-t", "1"], conf=conf(r.server, space="delete_ttl = 9000s  delete_jitter = 1000s")) as kv, kv.client() as c:
		ask_all(c, [(b"delete k", b"NOT_FOUND"), (b"set k 3 0 1\r\na", b"STORED")])
		is_(r.call("EXISTS", "none"), 0, "delete_ttl: a delete of nothing leaves nothing")
		before = envelope(r, "k")
		c.ask(b"delete k\r\n", b"DELETED\r\n")
		marks, version, expiry, flags, value = envelope(r, "k")
		is_((marks, expiry, flags, value, version > before[1]), (4, expiry, 0, b"", True), "a mark is left, with a later version")
		is_(8000000 - 60000 * patience < r.call("PTTL", "k") <= 10000000, True, "for a while")
		ask_all(c, [(b"get k", b"END"), (b"mg k v", b"EN"), (b"get k none", b"END"), (b"delete k", b"NOT_FOUND"), (b"incr k 1", b"NOT_FOUND"),
		    (b"append k 0 0 1\r\nx", b"NOT_STORED"), (b"replace k 0 0 1\r\nx", b"NOT_STORED"), (b"touch k 5", b"NOT_FOUND"), (b"cas k 0 0 1 1\r\nx", b"NOT_FOUND"),
		    (b"md k I", b"NF"), (b"me k", b"EN"), (b"gat 5 k", b"END")])
		is_(envelope(r, "k")[0], 4, "which is a miss to all")
		c.ask(b"add k 0 0 1\r\nb\r\n", b"STORED\r\n", "and no more than that to add")
		is_((envelope(r, "k")[1] > version, r.call("PTTL", "k")), (True, -1), "whose version is later still")


with Redis() as r:
	with Kvgate(["-t", "1"], conf=conf(r.server)) as kv, kv.client() as c:
		for part in (items, stale, not_items, scripts):
			part(r, kv, c)
tombstones()


def together():
	"""Three kvgates with two connections each and one Redis: what is atomic stays so."""
	with Redis() as r:
		kvs = [Kvgate(["-t", "1"], conf=conf(r.server, store="connections = 2")) for _ in range(3)]
		with kvs[0].client() as c:
			c.ask(b"set n 0 0 1\r\n0\r\nset list 0 0 0\r\n\r\n", b"STORED\r\n" * 2)
		added, seen = [], []

		def run(kv, me):
			with kv.client() as c:
				for n in range(100):
					c.send(b"incr n 1\r\nappend list 0 0 4\r\n%d%02d;\r\nadd a%d 0 0 1\r\nx\r\nms k 1 c\r\n%d\r\n" % (me, n, n, me))
					lines = [c.line() for _ in range(4)]
					added.append(lines[2])
					seen.append(lines[3])

		threads = [threading.Thread(target=run, args=(kv, me)) for me, kv in enumerate(kvs)]
		for t in threads:
			t.start()
		for t in threads:
			t.join()
		with kvs[1].client() as c:
			c.ask(b"get n\r\n", b"VALUE n 0 3\r\n300\r\nEND\r\n", "three kvgates: 300 increments count")
			c.ask(b"mg list s\r\n", b"HD s1200\r\n", "and all that was appended")
		is_((added.count(b"STORED\r\n"), added.count(b"NOT_STORED\r\n")), (100, 200), "each key is added once")
		is_(len(set(seen)), 300, "no two writes have one unique")
		for kv in kvs:
			kv.stop()


together()


def expiry():
	"""What ends, ends everywhere; the seconds told are memcached's."""
	with Redis() as r, Kvgate(["-t", "1"], conf=conf(r.server)) as kv, kv.client() as c:
		ask_all(c, [(b"ms a 1 T1\r\nx", b"HD"), (b"ms b 1 T100\r\nx", b"HD"), (b"mg b t T200", b"HD t100"), (b"mg b T300 t", b"HD t300"),
		    (b"mg w N30 t R60", b"HD t30 W"), (b"mg w t R60", b"HD t30 Z"), (b"ms r 1 T30\r\nx", b"HD"), (b"mg r R30", b"HD"), (b"mg r R31", b"HD W"),
		    (b"ma n N50 J5 T60 t v", b"VA 1 t60|5"), (b"ma n N50 T70 t v", b"VA 1 t70|6")])
		wait_for(lambda: c.call(b"mg a\r\n") == b"EN\r\n", what="a to end")
		# kvgate's idea of the server's clock is ahead of it by as much as the greeting took.
		wait_for(lambda: r.call("EXISTS", "a") == 0, what="it to be gone from Redis, too")
		ask_all(c, [(b"add a 0 0 1\r\nx", b"STORED"), (b"touch a -1", b"TOUCHED"), (b"get a", b"END"), (b"mg b T-1 v", b"VA 1|x"), (b"mg b", b"EN"),
		    (b"md r I T-1", b"HD"), (b"mg r", b"EN")])


expiry()

# ---------------------------------------------------------------- flush_all

def flushes():
	more = SPACE % ("other", "o:", "item", "0s", "") + SPACE % ("also", "f:", "item", "0s", "flush = yes")
	with Redis() as r, Kvgate(["-t", "1"], conf=conf(r.server, more=more)) as kv, kv.client() as c:
		for n in range(3000):
			c.send(b"set k%d 0 0 1 noreply\r\nx\r\nset o:%d 0 0 1 noreply\r\nx\r\nset f:%d 0 0 1 noreply\r\nx\r\n" % (n, n, n))
		c.sync()
		is_(wait_for(lambda: r.call("DBSIZE") == 9000 and 9000), 9000, "three namespaces in one Redis")
		c.ask(b"flush_all\r\n", b"OK\r\n")
		is_(r.call("DBSIZE"), 3000, "flush_all takes the default and those that say so")
		is_(r.call("EXISTS", "o:0", "o:2999", "k0", "f:0"), 2, "and leaves the other")
		refused(c, b"flush_all 100", b".*cannot flush some of its namespaces later")
		ask_all(c, [(b"set k 0 0 1\r\nx\r\nflush_all", b"STORED|OK"), (b"get k o:1", b"VALUE o:1 0 1|x|END")])
	with Redis() as r, Kvgate(["-t", "1"], conf=conf(r.server)) as kv, kv.client() as c:
		ask_all(c, [(b"set k 0 0 1\r\nx", b"STORED"), (b"flush_all 1", b"OK"), (b"get k", b"VALUE k 0 1|x|END")])
		wait_for(lambda: c.call(b"mg k\r\n") == b"EN\r\n", what="a delayed flush_all")
		is_(r.call("DBSIZE"), 0, "a delayed flush_all comes")
		ask_all(c, [(b"set k 0 0 1\r\nx", b"STORED"), (b"flush_all 1000", b"OK"), (b"flush_all", b"OK"), (b"get k", b"END")])


flushes()

# ---------------------------------------------------------------- logins, databases, sockets

def comes_up(kv):
	with kv.client() as c:
		return wait_for(lambda: c.call(b"set k 0 0 1\r\nx\r\n") == b"STORED\r\n", what="the store to work") is True


def logins():
	with Redis(password="secret") as r:
		with Kvgate(["-t", "1"], conf=conf(r.server, store='password = "secret"')) as kv:
			ok(comes_up(kv), "a password")
		for store, word in (('password = "wrong"', rb"WRONGPASS"), ("", rb"NOAUTH"), ('user = "nobody"  password = "secret"', rb"WRONGPASS")):
			with Kvgate(["-t", "1"], conf=conf(r.server, store=store)) as kv, kv.client() as c:
				got = wait_for(lambda: (lambda a: a if word in a else None)(c.call(b"get k\r\n")), what="%r" % word)
				like(got, rb"^SERVER_ERROR " + re.escape(r.server).encode() + rb" is down: (AUTH|PING): " + word, "without it: %s" % word.decode())
				is_(state(kv), "down", "the server is down to us")
				r.call("CONFIG", "SET", "requirepass", "wrong" if "wrong" in store else "secret")
				if "wrong" in store:
					ok(comes_up(kv), "the password is changed there: up again")
				with Resp(r.addr, None, "wrong" if "wrong" in store else "secret") as admin:
					admin.call("CONFIG", "SET", "requirepass", "secret")
	with Redis(user="me", password="pw") as r:
		with Kvgate(["-t", "1"], conf=conf(r.server, store='user = "me"  password = "pw"')) as kv, kv.client() as c:
			ok(comes_up(kv), "a user and a password")
			r.call("ACL", "SETUSER", "me", "-incr", "-evalsha")
			refused(c, b"incr k 1", re.escape(r.server).encode() + rb" says NOPERM ", "a command that the user may not give")
			is_(errors(kv, "auth"), 1, "is counted")
	with Redis() as r:
		with Kvgate(["-t", "1"], conf=conf(r.server, store="database = 3")) as kv, kv.client() as c:
			ok(comes_up(kv), "a database")
			with r.resp() as other:
				other.call("SELECT", 3)
				is_(other.call("DBSIZE"), 1, "that one")
			is_(r.call("DBSIZE"), 0, "and not another")
		with Kvgate(["-t", "1"], conf=conf(r.server, store="database = 99")) as kv, kv.client() as c:
			like(wait_for(lambda: (lambda a: a if b"SELECT" in a else None)(c.call(b"get k\r\n"))),
			    rb"is down: SELECT: ERR DB index is out of range", "a database that there is not")
	with Redis(path=True) as r, Kvgate(["-t", "1"], conf=conf(r.server)) as kv:
		ok(comes_up(kv), "a unix socket")


logins()

# ---------------------------------------------------------------- what Redis refuses

def refusals():
	with Redis(["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]) as r, Kvgate(["-t", "1"], conf=conf(r.server)) as kv, \
	    kv.client() as c:
		name = re.escape(r.server).encode()
		ok(comes_up(kv), "a small Redis")

		def fill(n=[0]):
			n[0] += 1
			c.send_and_read(b"set big%d 0 0 100000\r\n" % n[0] + b"x" * 100000 + b"\r\n")
			line = c.line()
			return line if line != b"STORED\r\n" else None

		like(wait_for(fill), rb"^SERVER_ERROR " + name + rb" says OOM ", "memory: OOM")
		is_(errors(kv, "oom") > 0, True, "is counted")
		c.ask(b"get k\r\n", b"VALUE k 0 1\r\nx\r\nEND\r\n", "reads go on")
	with Redis() as master, Redis(["--replicaof", "127.0.0.1 %d" % master.port]) as r:
		with Kvgate(["-t", "1"], conf=conf(r.server)) as kv, kv.client() as c:
			master.call("SET", "k", "x")
			refused(c, b"set a 0 0 1\r\nx", re.escape(r.server).encode() + rb" says READONLY ", "a replica")
			is_(errors(kv, "readonly"), 1, "is counted")
			r.call("CONFIG", "SET", "replica-serve-stale-data", "no")
			master.kill()
			refused(c, b"get a", rb".*MASTERDOWN", "a replica that has lost its master") if wait_for(
			    lambda: b"MASTERDOWN" in c.call(b"get a\r\n")) else None
			is_(errors(kv, "loading") > 0, True, "is counted")
			r.call("REPLICAOF", "NO", "ONE")
			ok(comes_up(kv), "and it works when it is a master")
	with Redis(["--save", "1 1"]) as r, Kvgate(["-t", "1"], conf=conf(r.server)) as kv, kv.client() as c:
		ok(comes_up(kv), "a Redis that saves")
		shutil.rmtree(r.dir)
		wait_for(lambda: c.call(b"set k 0 0 1\r\nx\r\n") != b"STORED\r\n", what="a save to fail")
		refused(c, b"set k 0 0 1\r\nx", re.escape(r.server).encode() + rb" says MISCONF ", "and cannot any more")
		c.ask(b"get k\r\n", b"VALUE k 0 1\r\nx\r\nEND\r\n", "reads go on")
	with Redis() as r, Kvgate(["-t", "1"], conf=conf(r.server)) as kv, kv.client() as c:
		ok(comes_up(kv), "a Redis with a slow script")
		r.call("CONFIG", "SET", "busy-reply-threshold", 1)
		with r.resp() as slow:
			slow.send(b"*3\r\n$4\r\nEVAL\r\n$18\r\nwhile true do  end\r\n$1\r\n0\r\n")
			wait_for(lambda: b"BUSY" in c.call(b"get k\r\n"), what="BUSY")
			refused(c, b"set k 0 0 1\r\nx", re.escape(r.server).encode() + rb" says BUSY ", "while it runs")
			r.call("SCRIPT", "KILL")
			like(str(slow.read()), "killed", "it is killed")
		ok(comes_up(kv), "and all goes on")


refusals()


class Loads(Redis):
	"""Up as soon as it listens."""
	def _answers(self):
		return Server._answers(self)


def loading():
	"""A server that loads its data is not up yet."""
	with Loads(["--loading-process-events-interval-bytes", "1024"]) as r:
		wait_for(lambda: r.call("PING"))
		with r.resp() as c:
			c.pipeline(*[("SET", "key:%d" % n, os.urandom(50)) for n in range(1000)])
		r.call("SAVE")
		with Kvgate(["-t", "1"], conf=conf(r.server, "raw")) as kv, kv.client() as c:
			c.ask(b"mg key:1 s\r\n", b"HD s50\r\n", "before")
			r.kill()
			r.start(r.argv + ["--key-load-delay", "1000"])
			got = wait_for(lambda: (lambda a: a if b"LOADING" in a else None)(c.call(b"mg key:1\r\n")), what="LOADING")
			like(got, rb"^SERVER_ERROR .* is down: PING: LOADING ", "while it loads it is down")
			wait_for(lambda: c.call(b"mg key:1\r\n") == b"HD\r\n", 20, "the data to be there")
			ok(True, "and up when it has loaded")


loading()

# ---------------------------------------------------------------- replies that are none

class Liar(threading.Thread):
	"""Greets as a Redis does; every other command is answered by what the test says, and PING by greeting."""

	def __init__(self):
		super().__init__(daemon=True)
		self.answer, self.greeting, self.connections = b"$-1\r\n", b"+PONG\r\n", 0
		self.listener = socket.create_server(("127.0.0.1", 0))
		self.port = self.listener.getsockname()[1]
		self.server = "127.0.0.1:%d" % self.port
		self.start()

	def run(self):
		while True:
			try:
				conn = self.listener.accept()[0]
			except OSError:
				return
			self.connections += 1
			threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

	def serve(self, conn):
		f = conn.makefile("rb")
		try:
			while True:
				words = [f.read(int(f.readline()[1:]) + 2)[:-2] for _ in range(int(f.readline()[1:]))]
				conn.sendall({b"PING": self.greeting, b"SCRIPT": b"+OK\r\n", b"TIME": b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"}.get(words[0], self.answer))
		except (ValueError, OSError, IndexError):
			conn.close()


LIES = [
	(b":1\r\n", "a number for a value"), (b"+OK\r\n", "a word for a value"), (b"*0\r\n", "an array for a value"), (b"*1\r\n$1\r\nx\r\n", "an array of one"),
	(b"$3\r\nabcde", "a value that does not end"), (b"$-2\r\n", "a length below none"), (b"$x\r\n", "no length"), (b"$99999999999999\r\nabc", "a gigantic value"),
	(b"$9223372036854775807\r\nabc", "2^63 - 1 bytes"), (b"+" + b"A" * 300000, "a line without end"), (b"-" + b"A" * 300000, "an error without end"),
	(b":" + b"1" * 300000, "a number without end"), (b"$" + b"1" * 300000, "a length without end"), (b"*999999999\r\n$1\r\nx\r\n", "a gigantic array"),
	(b"*2147483647\r\n", "2^31 - 1 elements"), (b"*1\r\n" * 20, "arrays within arrays"), (b"%1\r\n+a\r\n+b\r\n", "RESP3: a map"), (b"_\r\n", "RESP3: null"),
	(b",1.5\r\n", "RESP3: a double"), (b"#t\r\n", "RESP3: a boolean"), (b">2\r\n+a\r\n+b\r\n", "RESP3: a push"), (b"=5\r\ntxt:x\r\n", "RESP3: verbatim"),
	(b"xyzzy\r\n", "rubbish"), (b"\0", "a zero"), (b"$-1\r\n$-1\r\n", "two answers for one"), (b"$1\r\nx\r\n-ERR x\r\n", "an answer and an error"),
]


def lies():
	liar = Liar()
	with Kvgate(["-t", "1"], conf=conf(liar.server, "raw")) as kv, kv.client() as c:
		name = liar.server.encode()
		c.ask(b"get k\r\n", b"END\r\n", "a Redis of our own")
		for answer, what in LIES:
			liar.answer = answer
			c.send(b"get k\r\n")
			got = c.recv_until(re.compile(rb"END\r\n|SERVER_ERROR [^\n]*\r\n"))
			want = rb"END\r\n|VALUE k 0 1\r\nx\r\nEND\r\n" if what.startswith(("two", "an answer")) else \
			    rb"SERVER_ERROR " + name + rb" sent an answer that makes no sense\r\n"
			ok(re.fullmatch(want, got), "a lie: " + what) or diag(got[:200])
			liar.answer = b"$-1\r\n"
			wait_for(lambda: c.call(b"get k\r\n") == b"END\r\n", what="the next connection")
		is_(errors(kv, "protocol") >= len(LIES) - 2, True, "they are counted")
		liar.answer = b"*2\r\n$1\r\na\r\n$-1\r\n"
		c.ask(b"get k l\r\n", b"VALUE k 0 1\r\na\r\nEND\r\n", "MGET is answered")
		for answer, what in ((b"*3\r\n$1\r\na\r\n$-1\r\n$-1\r\n", "too many values"), (b"*1\r\n$1\r\na\r\n", "too few"), (b"*2\r\n:1\r\n:2\r\n", "numbers"),
		    (b"*-1\r\n", "none"), (b"*2\r\n*1\r\n$1\r\na\r\n$1\r\na\r\n", "an array among them"), (b"$1\r\na\r\n", "one value")):
			liar.answer = answer
			like(c.call(b"get k l\r\n"), rb"^SERVER_ERROR " + name + rb" sent an answer that makes no sense", "a lie to MGET: " + what)
			liar.answer = b"$-1\r\n"
			wait_for(lambda: c.call(b"get k\r\n") == b"END\r\n", what="the next connection")
		for text, want in ((b"-ERR \x01strange\x7f\r\n", rb"says ERR \?strange\?"), (b"-\r\n", rb"says "), (b"-ERR " + b"x" * 5000 + b"\r\n", rb"says ERR x+")):
			liar.answer = text
			like(c.call(b"get k\r\n"), rb"^SERVER_ERROR " + name + b" " + want, "an error: %r" % text[:20])
		is_(errors(kv, "refused"), 3, "errors of no known kind are counted as refusals")
		liar.answer = b"$-1\r\n"
		c.ask(b"get k\r\n", b"END\r\n", "and the connection is good")
	for answer, what in ((b"$5\r\nshort\r\n", "a short result"), (b":1\r\n", "a number"), (b"$34\r\n" + b"\x09" * 34 + b"\r\n", "no such status")):
		with Kvgate(["-t", "1"], conf=conf(liar.server)) as kv, kv.client() as c:
			liar.answer = answer
			like(c.call(b"set k 0 0 1\r\nx\r\n"), rb"sent an answer that makes no sense", "a lie of a script: " + what)
	for greeting, want in ((b"-LOADING Redis is loading the dataset in memory\r\n", rb"is down: PING: LOADING"),
	    (b"-ERR max number of clients reached\r\n", rb"is down: PING: ERR max number"), (b":5\r\nxx", rb"is down: connect failed: no Redis answers there"),
	    (b"HTTP/1.1 400 Bad Request\r\n", rb"is down: connect failed: no Redis answers there")):
		liar.greeting = greeting
		with Kvgate(["-t", "1"], conf=conf(liar.server, "raw")) as kv, kv.client() as c:
			like(wait_for(lambda: (lambda a: a if b"is down" in a else None)(c.call(b"get k\r\n"))), want, "a greeting: %r" % greeting[:20])
			is_(state(kv), "down", "it is down")
			liar.greeting, liar.answer = b"+PONG\r\n", b"$-1\r\n"
			wait_for(lambda: c.call(b"get k\r\n") == b"END\r\n", what="the server to be up")
			ok(True, "and up when it greets well")
	liar.listener.close()


lies()
done_testing()
