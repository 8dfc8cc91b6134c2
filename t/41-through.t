#!/usr/bin/python3
"""
What goes through to servers: flags and modes, multi-key reads, large values, the classic dialect, limits, namespaces
and their counters. After whatever happens every connection is in step.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import re
import select
import signal
import time
from kvt import *
from faulty import Faulty
from held import Held


def talk(c, data):
	"""All that is answered to data; an mn behind it shows where that ends. No value here ends a read with MN."""
	left, chunks, tail = memoryview(data + b"mn\r\n"), [], b""
	end = time.monotonic() + c.seconds
	c.sock.setblocking(False)
	while left or not tail.endswith(b"MN\r\n"):
		readable, writable, _ = select.select([c.sock], [c.sock] if left else [], [], max(end - time.monotonic(), 0))
		if not readable and not writable:
			raise TimeoutError("no more bytes; so far: %r" % b"".join(chunks)[:1000])
		if writable:
			left = left[c.sock.send(left):]
		if readable:
			chunks.append(c.sock.recv(1 << 20))
			tail = tail[-3:] + chunks[-1]
			if not chunks[-1]:
				return b"".join(chunks)
	return b"".join(chunks)[:-4]


def conf(*spaces, **stores):
	"""stores: name=(servers, more options); spaces: (name, prefix, store or None, local ttl, more)."""
	text = ""
	for name, (servers, more) in stores.items():
		text += 'store "%s" { type = memcached  servers = { %s }  %s }\n' % (name,
		    ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers), more)
	for name, prefix, store, ttl, *more in spaces:
		text += 'namespace "%s" { prefix = "%s"  %s  %s }\n' % (name, prefix,
		    'primary { store = "%s" }  local { ttl = %s }' % (store, ttl) if store else "", " ".join(more))
	return text


# ---- meta commands, before a memcached that does not know the newest flags
ALIKE = b"""mg none v
mg none v q
mg none k O7 v
mg none s c t f
set a 5 0 3|abc
mg a v
mg a k v O123 f s
mg a s f k
mg a k O9 q
mg a v q k
mg a
md a q
md a
md a k O4 q
md a k O5
md YQ== b k
ms a 2 k O1 T0 F3|xy
ms a 2 q k|zz
ms a 2 ME k O2|zz
ms a 2 ME q k|zz
ms b 2 MR k|zz
ms YQ== 2 b k|ab
mg a v k b
ms a 1 MA|c
ms a 1 MP|d
mg a v s f
ms n 1 MP|q
ms n 1 S3|q
ma none
ma none q
ma none k O1
set i 0 0 1|5
ma i v
ma i D10 v k
ma i MD D3 v
ma i q
ma i q v
ma a
ma new N0 J13 v
ma new v t
ma aQ== b k v
incr i 5
decr i 100
incr a 1
incr none 1
touch a 0
touch none 0
gat 0 a i none
append a 0 0 1|e
prepend a 0 0 1 noreply|f
replace none 0 0 1|f
add a 0 0 1|f
cas none 0 0 1 5|f
get a none i
mg a v T50 t
mg a t
mg viv N40 t v
mg viv N40 t v
md viv I T30
mg viv t
mg viv
mg a O12345678901234567890123456789012345 v
mg a v v
mg a !
mg %%% b v
ms a S100
delete a
delete a 0
delete i noreply
get i
get a
mg none L v
""".split(b"\n")[:-1]

with Memcached() as srv, Kvgate(["-t", "1"]) as pure, \
    Kvgate(["-t", "1"], conf=conf(("default", "", "s", "0"), s=([srv], ""))) as proxy, \
    Kvgate(["-t", "1"], conf=conf(("default", "", "s", "9s"), s=([srv], ""))) as copies, \
    pure.client() as p, proxy.client() as a, copies.client() as c:
	want = [talk(p, line.replace(b"|", b"\r\n") + b"\r\n") for line in ALIKE]
	for name, client in (("proxied", a), ("with copies", c)):
		client.call(b"flush_all\r\n")
		got = [talk(client, line.replace(b"|", b"\r\n") + b"\r\n") for line in ALIKE]
		is_([t for t in zip(ALIKE, got) if t not in list(zip(ALIKE, want))], [],
		    "%d commands are answered as without servers (%s)" % (len(ALIKE), name))
		is_(talk(client, b"flush_all\r\n" + b"".join(l.replace(b"|", b"\r\n") + b"\r\n" for l in ALIKE)),
		    b"OK\r\n" + b"".join(want), "and in one pipeline (%s)" % name)
	for name, client in (("proxied", a), ("with copies", c)):
		client.call(b"flush_all\r\n")
		is_(talk(client, b"set k 5 0 3\r\nabc\r\nget k\r\nmg aw== b k v f\r\nmg aw== b k\r\nmg k k\r\nmg aw== b v q O3\r\n"),
		    b"STORED\r\nVALUE k 5 3\r\nabc\r\nEND\r\nVA 3 kaw== b f5\r\nabc\r\nHD kaw== b\r\nHD kk\r\nVA 3 O3\r\nabc\r\n",
		    "a key is answered as it was asked for (%s)" % name)
		talk(client, b"set k 0 0 3\r\nabc\r\n")
		n = re.search(rb"c(\d+)", talk(client, b"mg k c\r\n")).group(1)
		for _ in range(2):
			is_(talk(client, b"mg k C%s v\r\n" % n), b"HD\r\n", "mg C leaves out a value that the client has (%s)" % name)
			is_(talk(client, b"mg k C%d v c s\r\n" % (int(n) + 1)), b"VA 3 c%s s3\r\nabc\r\n" % n, "and no other")
		is_(talk(client, b"mg k C%s v q k O1\r\n" % n), b"HD kk O1\r\n", "with k and O")
		is_(talk(client, b"mg nokey C%s v k\r\n" % n), b"EN kk\r\n".replace(b"kk", b"knokey"), "a miss stays one")
		for text, after in ((b"ms k 1 E5\r\nx\r\n", b"abc"), (b"ms k 1 E5 q\r\nx\r\n", b"abc"), (b"md k x\r\n", b"abc"),
		    (b"md k E77 q\r\n", b"abc"), (b"ma k E5\r\n", b"abc"), (b"mg k E5 N30 v\r\n", b"abc"), (b"ms k 9000 E5\r\n" + b"x" * 9000 + b"\r\n", b"abc"),
		    (b"ms k 90000 E5\r\n" + b"x" * 90000 + b"\r\n", b"abc")):
			got = talk(client, b"get k\r\n" + text + b"get k\r\n")
			like(got, rb"^VALUE k 0 3\r\nabc\r\nEND\r\nCLIENT_ERROR [^\n]*\r\nVALUE k 0 3\r\n" + after + rb"\r\nEND\r\n$",
			    "%s: what this server says to it comes through (%s)" % (text[:12].split(b"\r")[0].decode(), name))

# ---- multi-key reads
def values_of(keys, missing=()):
	return b"".join(b"VALUE %s 0 %d\r\nv-%s\r\n" % (k, len(k) + 2, k) for k in keys if k not in missing) + b"END\r\n"

KEYS = [b"key%d" % i for i in range(100)]
LINE = b"get " + b" ".join(KEYS) + b"\r\n"
for ttl in ("0", "5s"):
	with Held() as slow, Faulty() as bad, Memcached() as good, Kvgate(["-t", "1"], conf=conf(("default", "", "s", ttl),
	    s=([slow, bad, good], "timeout = 8s  retry_min = 10ms  retry_max = 50ms"))) as kv, kv.client() as c, kv.client() as d:
		is_(talk(c, LINE), b"END\r\n", "100 missing keys, local ttl %s" % ttl)
		fresh = b"".join(b"set %s 0 0 %d\r\nv-%s\r\n" % (k, len(k) + 2, k) for k in KEYS)
		is_(talk(c, fresh), b"STORED\r\n" * 100)
		is_(talk(c, LINE), values_of(KEYS), "100 keys of 3 servers, in order")
		is_(talk(c, b"get key5 key1 key5 no key5 key99\r\n"), values_of([b"key5", b"key1", b"key5", b"key5", b"key99"]), "as often as asked for")
		like(talk(c, b"gats 100 " + b" ".join(KEYS) + b"\r\n"),
		    rb"^" + b"".join(rb"VALUE %s 0 %d \d+\r\nv-%s\r\n" % (k, len(k) + 2, k) for k in KEYS) + rb"END\r\n$", "gats as well")
		# One is slow: all wait for it, other clients of other keys do not.
		c.call(b"flush_all\r\n")
		talk(c, fresh)
		mine = next(k for k in KEYS if k not in slow.store.items)
		slow.hold(rb"^m[gn] ")
		c.send(b"gat 100 " + b" ".join(KEYS) + b"\r\n" + b"get key1\r\n")
		slow.wait_held()
		is_(d.call(b"get %s\r\n" % mine, b"END\r\n"), values_of([mine]), "another client while one server is slow")
		slow.release()
		is_(c.sync(), values_of(KEYS) + values_of([b"key1"]), "100 keys, one server slow")
		# One dies amid its answers.
		for fault in ("middle 3", "reset 2", "close 0", "rubbish 4", "error 1", "longer 1"):
			wait_for(lambda: b"SERVER_ERROR" not in talk(c, b"flush_all\r\n" + fresh), 20, "all servers")
			talk(c, b"touch key1 0\r\n")
			bad.fault(fault)
			got = talk(c, b"gat 0 " + b" ".join(KEYS) + b"\r\n")
			like(got, rb"^SERVER_ERROR [^\r\n]*\r\n$", "%s amid 100 keys: one line" % fault)
			bad.fault("none")
		# One is down.
		bad.fault("refuse")
		wait_for(lambda: b"down" in talk(c, b"gat 0 " + b" ".join(KEYS) + b"\r\n"), 20, "the server to be down")
		for line in (LINE.replace(b"get", b"gat 0", 1), LINE.replace(b"get", b"gats 0", 1)):
			is_(len(re.findall(rb"\n", talk(c, line))), 1, "one server down: one line")
		up = [k for k in KEYS if b"SERVER_ERROR" not in talk(c, b"gat 0 %s\r\n" % k)]
		ok(0 < len(up) < 100, "only its keys fail (%d of 100 do not)" % len(up))
		is_(talk(c, b"get " + b" ".join(up) + b"\r\n"), values_of(up), "the others' do not")
		bad.fault("none")
		wait_for(lambda: talk(c, b"gat 0 " + b" ".join(KEYS) + b"\r\n") == values_of(KEYS), 20, "all servers")
		ok(True, "and all is well again")
		# Thousands in one line: asked for by and by.
		many = [b"m%d" % i for i in range(3000)]
		talk(c, b"".join(b"set %s 0 0 %d noreply\r\nv-%s\r\n" % (k, len(k) + 2, k) for k in many))
		is_(talk(c, b"get " + b" ".join(many) + b"\r\nget key1\r\n"), values_of(many) + values_of([b"key1"]), "3000 keys in one line")

# ---- namespaces: prefixes, L, flush, counters
with Held() as s1, Held() as s2, Held() as s3, Kvgate(["-t", "1"], conf=conf(
    ("default", "", "one", "0"), ("here", "l:", None, 0), ("kept", "c:", "two", "5s"), ("part", "c:x:", "three", "0", "flush = yes"),
    one=([s1], ""), two=([s2], ""), three=([s3], ""))) as kv, kv.client() as c:
	keys = [b"p1", b"c:1", b"l:1", b"c:x:1", b"c:", b"l:", b"c:x"]
	is_(talk(c, b"".join(b"set %s 0 0 %d\r\nv-%s\r\n" % (k, len(k) + 2, k) for k in keys)), b"STORED\r\n" * 7)
	is_([sorted(s.store.items) for s in (s1, s2, s3)], [[b"p1"], [b"c:", b"c:1", b"c:x"], [b"c:x:1"]], "longest prefix, each to its store")
	before = stats(kv, "namespaces")
	is_(talk(c, b"get " + b" ".join(keys + [b"c:no", b"l:no", b"no"]) + b"\r\n"), values_of(keys), "a multi-get over four namespaces")
	is_(talk(c, b"get c:1 l:1\r\nincr l:1 1\r\nincr c:1 1\r\ndelete p1\r\n"), values_of([b"c:1", b"l:1"]) +
	    b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n" * 2 + b"DELETED\r\n")
	after = stats(kv, "namespaces")
	def grew(name):
		return {f: int(after[name + ":" + f]) - int(before[name + ":" + f])
		    for f in ("gets", "hits", "local_hits", "misses", "sets", "deletes", "ariths", "errors")}
	def counts(**more):
		return dict(dict.fromkeys(("gets", "hits", "local_hits", "misses", "sets", "deletes", "ariths", "errors"), 0), **more)
	is_(grew("default"), counts(gets=2, hits=1, misses=1, deletes=1), "counters of a proxied namespace")
	is_(grew("here"), counts(gets=4, hits=3, local_hits=3, misses=1, ariths=1), "of one that lives here")
	is_(grew("kept"), counts(gets=5, hits=4, local_hits=4, misses=1, errors=1), "of one with copies")
	is_(grew("part"), counts(gets=1, hits=1), "of the one within")

	c.call(b"set foo 0 0 1\r\nA\r\n")
	for text, want, name in (
	    (b"mg foo v Lkept/\r\n", b"EN\r\n", "L names a namespace: its store is asked"),
	    (b"ms foo 1 Lkept/\r\nB\r\nmg foo v Lkept/\r\nmg foo v\r\n", b"HD\r\nVA 1\r\nB\r\nVA 1\r\nA\r\n", "written and read there, and not elsewhere"),
	    (b"mg foo v k O1 Ldefault/\r\n", b"VA 1 kfoo O1\r\nA\r\n", "and its own namespace by name"),
	    (b"ms c:9 1\r\nC\r\nmg c:9 v\r\nmg c:9 v Ldefault/\r\nms c:9 1 Ldefault/\r\nD\r\nmg c:9 v\r\n",
		b"HD\r\nVA 1\r\nC\r\nEN\r\nHD\r\nVA 1\r\nC\r\n", "nor does a copy cross over"),
	    (b"mg l:1 v Lhere/\r\n", b"VA 5\r\nv-l:1\r\n", "L of a namespace without store"),
	    (b"mg foo v Lhere/\r\nms foo 1 Lhere/\r\nE\r\nmg foo v\r\n", b"CLIENT_ERROR the key is of another namespace\r\n" * 2 + b"VA 1\r\nA\r\n",
		"which keeps keys of its own only"),
	    (b"mg foo v Lkept\r\nms foo 2 Lkept\r\nXY\r\nmd foo Lkept q\r\n", b"CLIENT_ERROR bad token in command line format\r\n" * 3,
		"L without its slash"),
	    (b"mg foo v Lnone/\r\nms foo 2 Lnone/\r\nXY\r\nmd foo Lnone/ q\r\nms foo 20000 Lnone/\r\n" + b"x" * 20000 + b"\r\n",
		b"CLIENT_ERROR unknown namespace\r\n" * 4, "an unknown namespace"),
	    (b"mg foo v\r\n", b"VA 1\r\nA\r\n", "and on it goes")):
		is_(talk(c, text), want, name)

	n = [s.count(rb"^flush_all") for s in (s1, s2, s3)]
	is_(c.call(b"flush_all\r\n"), b"OK\r\n")
	is_([s.count(rb"^flush_all") - was for s, was in zip((s1, s2, s3), n)], [1, 0, 1],
	    "flush_all goes to the default's servers and those with flush = yes")
	is_(talk(c, b"get p1 c:x:1 c:1 l:1\r\n"), values_of([b"c:1"]), "local items are gone, those of the others are asked for again")
	is_(talk(c, b"flush_all 100 noreply\r\nflush_all noreply\r\nget c:1\r\n"), values_of([b"c:1"]), "flush_all noreply")

# Two stores with copies of the same key, which are one key's.
with Held() as s1, Held() as s2, Kvgate(["-t", "1"], conf=conf(("default", "", "one", "60s"), ("b", "b:", "two", "60s"),
    one=([s1], ""), two=([s2], ""))) as kv, kv.client() as c:
	is_([talk(c, text) for text in (b"ms k 1\r\n1\r\n", b"mg k v\r\nmg k v Lb/\r\n", b"ms k 1 Lb/\r\n2\r\n", b"mg k v Lb/\r\nmg k v\r\n",
	    b"ms k 20000 Lb/\r\n" + b"x" * 20000 + b"\r\n", b"mg k v\r\nmg k s Lb/\r\n", b"md k Lb/\r\n", b"mg k v\r\nmg k Lb/\r\n")],
	    [b"HD\r\n", b"VA 1\r\n1\r\nEN\r\n", b"HD\r\n", b"VA 1\r\n2\r\nVA 1\r\n1\r\n", b"HD\r\n", b"VA 1\r\n1\r\nHD s20000\r\n", b"HD\r\n",
	    b"VA 1\r\n1\r\nEN\r\n"], "a key in two stores")

# Two namespaces on one store: what L writes the other's copy must not survive.
with Held() as s1, Kvgate(["-t", "1"], conf=conf(("default", "", "s", "60s"), ("b", "b:", "s", "0"), s=([s1], ""))) as kv, kv.client() as c:
	is_(talk(c, b"ms k 1\r\n1\r\n"), b"HD\r\n")
	is_(talk(c, b"mg k v\r\nms k 1 Lb/\r\n2\r\n"), b"VA 1\r\n1\r\nHD\r\n")
	is_(talk(c, b"mg k v\r\n"), b"VA 1\r\n2\r\n", "a write by L removes the copy of whose key it is")

# ---- large values
def pattern(n, seed):
	return (b"%d,%d\r\n\0" % (seed, n) * (n // 8 + 1))[:n]

SIZES = (100 * 1024, 1024 * 1024 - 300, 1024 * 1024 + 1, 8 * 1024 * 1024 - 2000)
for ttl in ("0", "5s"):
	with Memcached(["-I", "8m", "-m", "256"]) as s1, Memcached(["-I", "8m", "-m", "256"]) as s2, \
	    Kvgate(["-t", "1", "-I", "8m", "-m", "128"], conf="buffer_max = 64MB\n" + conf(("default", "", "s", ttl), s=([s1, s2], "timeout = 20s"))) as kv, \
	    kv.client(seconds=30) as c, kv.client(seconds=30) as d:
		for i, size in enumerate(SIZES):
			v = pattern(size, i)
			whole = b"VALUE big%d %d %d\r\n" % (i, i, size) + v + b"\r\nEND\r\n"
			ok(talk(c, b"set big%d %d 0 %d\r\n" % (i, i, size) + v + b"\r\n") == b"STORED\r\n", "%d bytes, local ttl %s" % (size, ttl))
			ok(talk(c, b"get big%d\r\n" % i * 2) == whole * 2, "and again")
			talk(d, b"touch big%d 0\r\n" % i)
			ok(talk(d, b"get big%d\r\n" % i * 2) == whole * 2, "and from the server")
			ok(talk(c, b"set s 0 0 1\r\na\r\nget big%d\r\nget s\r\nms big%d %d F%d\r\n" % (i, i, size, i) + v + b"\r\nget s big%d\r\nmg big%d s\r\n" % (i, i)) ==
			    b"STORED\r\n" + whole + b"VALUE s 0 1\r\na\r\nEND\r\nHD\r\nVALUE s 0 1\r\na\r\n" + whole + b"HD s%d\r\n" % size, "amid small ones")
		v = pattern(SIZES[0], 0)
		is_(talk(c, b"append big0 0 0 3\r\nend\r\nprepend big0 0 0 5\r\nbegin\r\n"), b"STORED\r\n" * 2)
		ok(talk(c, b"mg big0 v\r\n") == b"VA %d\r\nbegin" % (SIZES[0] + 8) + v + b"end\r\n", "append and prepend to a large one")
		ok(talk(c, b"append big0 0 0 %d\r\n" % SIZES[1] + pattern(SIZES[1], 1) + b"\r\nmg big0 s\r\n") == b"STORED\r\nHD s%d\r\n" % (SIZES[0] + 8 + SIZES[1]),
		    "append of a large one")
		for verb, answer in ((b"add", b"NOT_STORED"), (b"replace", b"STORED")):
			ok(talk(c, b"%s big1 1 0 %d\r\n" % (verb, SIZES[2]) + pattern(SIZES[2], 2) + b"\r\n") == answer + b"\r\n", "%s of a large one" % verb.decode())
		ok(talk(c, b"get big1\r\n") == b"VALUE big1 1 %d\r\n" % SIZES[2] + pattern(SIZES[2], 2) + b"\r\nEND\r\n", "and what there is then")

		# Clients that leave amid a value, more often than the memory for it would last.
		for _ in range(12):
			with kv.client() as gone:
				gone.send(b"set big2 0 0 %d\r\n" % SIZES[3] + b"x" * 3000000)
			with kv.client() as gone:
				gone.send(b"get big3\r\n" * 3)
				gone.recv(1000)
		wait_for(lambda: int(stats(kv)["curr_connections"]) <= int(stats(s1)["curr_connections"]) + 20 and
		    talk(c, b"set big2 2 0 %d\r\n" % SIZES[3] + pattern(SIZES[3], 3) + b"\r\n") == b"STORED\r\n", 20, "room again")
		ok(talk(c, b"get big2\r\n") == b"VALUE big2 2 %d\r\n" % SIZES[3] + pattern(SIZES[3], 3) + b"\r\nEND\r\n", "clients that leave take their memory with them")
		wait_for(lambda: stats(kv, "kvgate")["requests_inflight"] == "0", 20, "all requests to end")

with Faulty() as bad, Kvgate(["-t", "1"], conf="buffer_max = 16MB\n" + conf(("default", "", "s", "5s"), ("n", "n:", "s", "0"),
    s=([bad], "retry_min = 5ms  retry_max = 20ms"))) as kv, kv.client(seconds=30) as c:
	v = pattern(900000, 1)
	for key in (b"big", b"n:big"):
		wait_for(lambda: talk(c, b"set %s 0 0 900000\r\n" % key + v + b"\r\n") == b"STORED\r\n", 20, "the server")
		for fault in ("middle 0", "longer 0", "shorter 0") * 7:
			wait_for(lambda: talk(c, b"touch %s 0\r\n" % key) == b"TOUCHED\r\n", 20, "the server")
			bad.fault(fault)
			got = talk(c, b"get %s\r\nmg %s v\r\n" % (key, key))
			if not re.search(rb"^SERVER_ERROR [^\n]*\r\nSERVER_ERROR [^\n]*\r\n$", got):
				ok(len(got) > 900000 and got.startswith(b"SERVER_ERROR") or got.endswith(v + b"\r\n"), "%s: %d bytes" % (fault, len(got)))
			bad.fault("none")
		wait_for(lambda: talk(c, b"get %s\r\n" % key) == b"VALUE %s 0 900000\r\n" % key + v + b"\r\nEND\r\n", 20, "the value again")
		ok(True, "servers that leave amid a value take no memory (%s)" % key.decode())

# A value that takes longer than the timeout, but moves; and one that does not.
for ttl in ("0", "5s"):
	with Held() as srv, Kvgate(["-t", "1"], conf=conf(("default", "", "s", ttl), s=([srv], "timeout = %dms  retry_min = 5ms" % (1000 * patience)))) as kv, \
	    kv.client() as c:
		v = pattern(1000000, 7)
		whole = b"VALUE big 0 1000000\r\n" + v + b"\r\nEND\r\n"
		is_(talk(c, b"set big 0 0 1000000\r\n" + v + b"\r\ntouch big 0\r\nset s 0 0 1\r\na\r\ntouch s 0\r\n"), b"STORED\r\nTOUCHED\r\n" * 2)
		srv.pace = (100000, 0.15 * patience)
		ok(talk(c, b"get big\r\nget s\r\nget none\r\n") == whole + b"VALUE s 0 1\r\na\r\nEND\r\nEND\r\n",
		    "a value that comes slower than the timeout is waited for, local ttl %s" % ttl)
		srv.pace = (300000, 3600)
		like(talk(c, b"touch big 0\r\nget big\r\nget none\r\n"), rb"^TOUCHED\r\n(SERVER_ERROR 127.0.0.1:\d+ timed out\r\n){2}$", "one that stops is not")
		srv.pace = None
		wait_for(lambda: talk(c, b"get big\r\n") == whole, 20, "the server to be back")

# If kvgate itself had to pause, what has come by then is no timeout.
with Held() as srv, Kvgate(["-t", "1"], conf=conf(("default", "", "s", "0"), s=([srv], "timeout = %dms" % (1500 * patience)))) as kv, kv.client() as c:
	v = pattern(2000, 8)
	talk(c, b"set k 0 0 2000\r\n" + v + b"\r\n")
	# So many may be under way once answers have shown to be small.
	talk(c, b"get k\r\n" * 1500)
	srv.hold(rb"^mg ", times=1)
	c.send(b"get k\r\n" * 1500)
	srv.wait_held()
	wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) >= 1000, 20, "all to be under way")
	kv.send_signal(signal.SIGSTOP)
	srv.release()
	time.sleep(1.8 * patience)
	kv.send_signal(signal.SIGCONT)
	ok(talk(c, b"") == (b"VALUE k 0 2000\r\n" + v + b"\r\nEND\r\n") * 1500, "kvgate was stopped for longer than the timeout, and no server is to blame")

# Limits that are not the same on both sides.
with Memcached(["-I", "8m"]) as wide, Memcached() as narrow, Kvgate(["-t", "1", "-I", "8m"], conf=conf(("default", "", "n", "5s"), ("w", "w:", "w", "5s"),
    n=([narrow], "timeout = 20s"), w=([wide], "timeout = 20s"))) as kv, Kvgate(["-t", "1"], conf=conf(("default", "", "w", "5s"), w=([wide], "timeout = 20s"))) as small, \
    kv.client(seconds=30) as c, small.client(seconds=30) as s:
	v = pattern(3000000, 4)
	for verb in (b"set k 0 0 %d", b"ms k %d", b"append k 0 0 %d", b"set k 0 0 %d"):
		talk(c, b"set k 0 0 1\r\na\r\n")
		got = talk(c, verb % len(v) + b"\r\n" + v + b"\r\nget k\r\n")
		like(got, rb"^SERVER_ERROR [^\n]*(too large|out of memory)[^\n]*\r\n(VALUE k 0 1\r\na\r\n)?END\r\n$", "%s too large for the server" % verb.split()[0].decode())
		if verb[:1] != b"a":
			is_(b"VALUE" in got, False, "the old value is gone")
	is_(talk(c, b"set w:k 0 0 %d\r\n" % len(v) + v + b"\r\n"), b"STORED\r\n")
	with wide.client() as direct:
		talk(direct, b"set k 0 0 %d\r\n" % len(v) + v + b"\r\n")
	ok(talk(s, b"get k\r\n" * 2) == (b"VALUE k 0 %d\r\n" % len(v) + v + b"\r\nEND\r\n") * 2, "a value larger than any copy may be")
	ok(talk(s, b"set k 7 0 %d\r\n" % len(v) + v + b"\r\nget k\r\n") == b"STORED\r\nVALUE k 7 %d\r\n" % len(v) + v + b"\r\nEND\r\n",
	    "is written as well")

# ---- the classic dialect
CLASSIC = [line for line in ALIKE if not re.match(rb"m[gsdan]", line)] + b"""set k 3 0 5|hello
gets k
add k2 0 100 1|a
gat 100 k k2
gats 100 k2
set k 3 0 5 noreply|HELLO
get k k2 none k
incr k 1
set i 0 0 2|18
incr i 5
decr i 100
decr i 100 noreply
get i
touch k 100
touch k 100 noreply
append k 0 0 1 noreply|x
prepend k 0 0 1|y
get k
flush_all
get k
version 1
verbosity 0
""".split(b"\n")[:-1]
with Memcached() as new, Memcached() as reference, Held(b"1.4.39") as old, reference.client() as r:
	def no_cas(text):
		return re.sub(rb"(VALUE \S+ \d+ \d+) \d+", rb"\1 CAS", text)
	want = []
	for line in CLASSIC:
		r.send(line.replace(b"|", b"\r\n") + b"\r\n")
		want.append(no_cas(r.sync()))
	for name, server, option in (("protocol = classic", new, "protocol = classic"), ("a server of version 1.4", old, "")):
		for ttl in ("0", "30s"):
			with Kvgate(["-t", "1"], conf=conf(("default", "", "s", ttl), s=([server], option))) as kv, kv.client() as c:
				got = [no_cas(talk(c, line.replace(b"|", b"\r\n") + b"\r\n")) for line in CLASSIC]
				is_([(l, g, w) for l, g, w in zip(CLASSIC, got, want) if g != w and l[:7] != b"version"], [],
				    "%d classic commands, %s, local ttl %s" % (len(CLASSIC), name, ttl))
				talk(c, b"set k 1 0 3\r\nabc\r\nset num 0 0 1\r\n5\r\n")
				for text in (b"mg k t", b"mg k l v", b"mg k h", b"mg k N30 v", b"mg k R30 v", b"me k", b"md k I", b"md k C5", b"ms k 1 I C5|x",
				    b"ms k 1 c|x", b"ma num N30", b"ma num T30", b"ma num c", b"md k q I", b"ms k 9 E5 q|123456789"):
					like(talk(c, text.replace(b"|", b"\r\n") + b"\r\n"), rb"^SERVER_ERROR 127.0.0.1:\d+ speaks the classic protocol[^\n]*\r\n$",
					    "%s cannot be said" % text.decode())
				is_(talk(c, b"mg k v f s k O1\r\nmg k\r\nmg none\r\nmg none v q\r\nmd none\r\nms k 3 F2 T60\r\nxyz\r\nma num v\r\nma num D3\r\n"
				    b"ms k 1 ME\r\nx\r\nms k 1 MA\r\nx\r\nmg k v f\r\nmd k\r\n"),
				    b"VA 3 f1 s3 kk O1\r\nabc\r\nHD\r\nEN\r\nNF\r\nHD\r\nVA 1\r\n6\r\nHD\r\nNS\r\nHD\r\nVA 4 f2\r\nxyzx\r\nHD\r\n", "other meta commands can")
				# How long what is read may live is not known.
				with deltas(kv, "local_hits", "local_fills", what="kvgate") as d:
					talk(c, b"set t 0 0 1\r\na\r\ntouch t 100\r\nget t\r\nget t\r\nget t t\r\n")
				is_((d.local_hits, d.local_fills), (0, 0), "reads leave no copies")
				v = pattern(300000, 6)
				ok(talk(c, b"set big 0 0 300000\r\n" + v + b"\r\ntouch big 0\r\nget big\r\nget big k big\r\n") ==
				    b"STORED\r\nTOUCHED\r\n" + b"VALUE big 0 300000\r\n" + v + b"\r\nEND\r\n" + (b"VALUE big 0 300000\r\n" + v + b"\r\n") * 2 + b"END\r\n", "a large value")
	ok(not old.count(rb"^m[gsdaen] "), "a server of 1.4 is sent no meta command")

# ---- several connections, and how much may be under way
with Held() as srv, Kvgate(["-t", "1"], conf=conf(("default", "", "s", "0", "coalesce = no"), s=([srv], "connections = 4  max_inflight = 8  timeout = 20s"))) as kv, \
    kv.client() as c, kv.client() as d:
	wait_for(lambda: srv.count(rb"^version") == 4, 20, "4 connections")
	for i in range(40):
		talk(c, b"set key%d 0 0 1\r\nx\r\nget key%d\r\n" % (i, i))
	on = {i: {srv.conn_of(rb"^ms key%d " % i), srv.conn_of(rb"^mg key%d " % i)} for i in range(40)}
	ok(all(len(s) == 1 for s in on.values()), "a key keeps to one connection")
	is_(len(set.union(*on.values())), 4, "and keys are spread over all four")
	with deltas(kv, "s:127.0.0.1:%d:errors_busy" % srv.port, what="servers") as busy:
		srv.hold(rb"^mg key0 ")
		c.send(b"get key0\r\n" * 20)
		srv.wait_held()
		is_(d.call(b"get key0\r\n"), b"SERVER_ERROR 127.0.0.1:%d has too many requests in flight\r\n" % srv.port, "more than max_inflight are shed")
		other = next(i for i in range(40) if on[i] != on[0])
		is_(d.call(b"get key%d\r\n" % other, b"END\r\n"), b"VALUE key%d 0 1\r\nx\r\nEND\r\n" % other, "other connections are not concerned")
		srv.release()
		is_(c.sync(), b"VALUE key0 0 1\r\nx\r\nEND\r\n" * 8 + b"SERVER_ERROR 127.0.0.1:%d has too many requests in flight\r\n" % srv.port * 12, "8 of 20 are answered")
	is_(list(busy.values()), [13], "which is counted")
	is_(talk(c, b"get key0\r\n" * 8), b"VALUE key0 0 1\r\nx\r\nEND\r\n" * 8, "afterwards all is well")
	is_(talk(c, b"get " + b"key0 " * 20 + b"\r\n"), b"VALUE key0 0 1\r\nx\r\n" * 20 + b"END\r\n", "a server's share of a multi-get is one request")
	srv.hold(rb"^mg key0 ")
	c.send(b"get key0\r\n" * 8)
	srv.wait_held()
	like(d.call(b"get key%d key0\r\n" % other), rb"^SERVER_ERROR [^\n]*too many requests in flight\r\n$", "a multi-get that needs one more is shed as a whole")
	srv.release()
	is_(c.sync(), b"VALUE key0 0 1\r\nx\r\nEND\r\n" * 8, "those before it are not")
	is_(talk(c, b"get key0\r\n"), b"VALUE key0 0 1\r\nx\r\nEND\r\n")

# When a key's connection is lost another takes over, and goes on with it until what it was given is done.
with Held() as srv, Kvgate(["-t", "1"], conf=conf(("default", "", "s", "0"), s=([srv], "connections = 2  timeout = 20s  connect_timeout = 20s"))) as kv, \
    kv.client() as c, kv.client() as d:
	wait_for(lambda: srv.count(rb"^version") == 2, 20, "2 connections")
	talk(c, b"".join(b"set key%d 0 0 3\r\nold\r\n" % i for i in range(40)))
	homes = [srv.conn_of(rb"^ms key%d " % i) for i in range(40)]
	srv.hold(rb"^version")
	srv.hold(rb"^ms key0 ", before=True)
	srv.drop(homes[0])
	srv.wait_held()
	c.send(b"set key0 0 0 3\r\nnew\r\n")
	srv.wait_held(2)
	srv.release(rb"^version")
	def back():
		d.send(b"md none%d\r\n" % back.n)
		back.n += 1
		return len(set(srv.came_on[-10:])) > 1
	back.n = 0
	wait_for(lambda: srv.count(rb"^version") == 3 and back(), 20, "the connection to be back")
	c.send(b"get key0\r\n")
	wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) >= 2, 20, "the read to be under way")
	srv.release()
	is_(c.sync(), b"STORED\r\nVALUE key0 0 3\r\nnew\r\nEND\r\n", "a read does not overtake the write before it on a connection that is back")
	d.sync()
	stayed = next(h for h in homes if h != homes[0])
	wait_for(lambda: talk(c, b"get key0\r\n") and srv.conn_of(rb"^mg key0 ") != stayed, 20, "the key to come home")

# ---- counters of servers
with Held() as srv, Kvgate(["-t", "2"], conf=conf(("default", "", "s", "5s"), s=([srv], "timeout = %dms  retry_min = 5ms" % (1000 * patience)))) as kv, kv.client() as c:
	talk(c, b"set a 0 0 1\r\nx\r\n")
	who = "s:127.0.0.1:%d:" % srv.port
	with deltas(kv, *[who + f for f in ("requests", "errors", "errors_timeout")], what="servers") as d:
		talk(c, b"get a\r\nget a\r\nget b\r\ngets a\r\nincr a 1\r\nset a 0 0 1\r\ny\r\nget a b a\r\n")
	# Behind the set that is under way no copy counts; the second b follows the first.
	is_([d[who + f] for f in ("requests", "errors", "errors_timeout")], [6, 0, 0], "requests that went there")
	srv.hold(rb"^mg z ")
	with deltas(kv, who + "errors", who + "errors_timeout", what="servers") as d:
		like(talk(c, b"get z\r\n"), rb"^SERVER_ERROR 127.0.0.1:\d+ timed out\r\n$")
	srv.release()
	is_([d[who + "errors"], d[who + "errors_timeout"]], [1, 1], "a timeout is counted")

done_testing()
