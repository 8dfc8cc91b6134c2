#!/usr/bin/python3
"""
Clients that read and write zstd by themselves: what lies compressed they get as it lies, what they give is stored as it is,
everybody else sees plain values; frames that lie are refused, and what comes of them is never stored.
"""
import os, random, re, struct, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from records import *
from kvt import *

import zstandard

SAYS = "chunk_size = 64KB  item_size_max = 1MB  local { ttl = %s }  compression { codec = zstd  min_size = 100  %s }"
rng = random.Random(5)


def text(n):
	"""It shrinks."""
	return b" ".join(b"%d" % rng.randrange(100, 999) for _ in range(n // 4 + 1))[:n]


def frame(data, **how):
	return zstandard.ZstdCompressor(**how).compress(data)


def plain(data):
	"""As the standard library of zstd reads it, to its end."""
	d = zstandard.ZstdDecompressor().decompressobj()
	out = d.decompress(data)
	return out if d.eof and d.unused_data == b"" else None


def kg(c, line):
	"""{key: (line's flags, data)} of a page; its end."""
	c.send(line + b"\r\n")
	items = {}
	while True:
		words = c.line().split()
		if words[0] == b"HD":
			items[words[1][1:]] = (words[1:], None)
		elif words[0] == b"VA":
			key = [w for w in words[2:] if w[:1] == b"k"][0]
			items[key[1:]] = (words[2:], c.recv(int(words[1]) + 2)[:-2])
		else:
			return items, b" ".join(words)


def kp(c, *items, flags=b""):
	c.send(b"kp user:1 %d%s\r\n" % (len(items), flags) + b"".join(b"%s %d %s\r\n%s\r\n" % (k, len(d), f, d) for k, d, f in items))
	return c.line()


def given(c, mode):
	"""What was stored plainly comes as the frame that lies in the store, to who asks for it."""
	value, noise, short = text(5000), rng.randbytes(3000), b"short"
	is_(kp(c, (b"text", value, b"F7"), (b"noise", noise, b""), (b"short", short, b"")), b"HD\r\n", mode + ": kp")
	items, end = kg(c, b"kg user:1 Zzstd k v s f")
	flags, data = items[b"text"]
	is_(flags, [b"ktext", b"s5000", b"f7", b"Zzstd"], mode + ": Z on its line, and its size")
	ok(len(data) < 3000 and plain(data) == value, mode + ": any zstd can read it")
	is_((items[b"noise"], items[b"short"], end), (([b"knoise", b"s3000", b"f0"], noise), ([b"kshort", b"s5", b"f0"], short),
	    b"EN"), mode + ": what did not shrink is plain, without Z")
	for line in (b"kg user:1 k v", b"kg user:1 Zlz4 k v", b"kg user:1 Kshort Ktext Knoise k v"):
		items, end = kg(c, line)
		is_([items[k] for k in (b"text", b"noise", b"short")], [([b"ktext"], value), ([b"knoise"], noise), ([b"kshort"], short)],
		    mode + ": plain to who did not ask: %s" % line)
	is_(kg(c, b"kg user:1 Zzstd k s")[0][b"text"], ([b"ktext", b"s5000"], None), mode + ": no value, no Z")
	items, end = kg(c, b"ks users S1/1 Zzstd k v")
	is_((items[b"text"][0], plain(items[b"text"][1])), ([b"ktext", b"Zzstd"], value), mode + ": scans, too")
	items, end = kg(c, b"kg user:1 Zzstd X4000 k v s")
	is_(items[b"text"], ([b"ktext", b"s5000"], None), mode + ": X is about the value, not the frame")
	is_(c.call(b"get user:1/text\r\n", b"END\r\n"), b"VALUE user:1/text 7 5000\r\n%s\r\nEND\r\n" % value, mode + ": classic")
	is_(c.call(b"kh users Zlz4,none Zzstd q\r\n", b"END\r\n")[:12], b"SIG namespac", mode + ": a handshake")
	flags, data = kg(c, b"kg user:1 Ktext k v")[0][b"text"]
	is_((flags, plain(data)), ([b"ktext", b"Zzstd"], value), mode + ": whose Z holds from then on")
	c.call(b"kh users Znone\r\n", b"END\r\n")
	is_(kg(c, b"kg user:1 Ktext k v")[0][b"text"], ([b"ktext"], value), mode + ": until another says otherwise")
	big = text(200000)
	is_(kp(c, (b"big", big, b"")), b"HD\r\n", mode + ": one in pieces")
	is_(kg(c, b"kg user:1 Kbig Zzstd k v")[0][b"big"], ([b"kbig"], big), mode + ": is plain")


def taken(c, mode):
	"""What a client encoded is stored as it is, and plain to others."""
	value = text(5000)
	mine = frame(value, level=1, write_checksum=False)
	small, large = frame(b"tiny"), frame(bytes(900000))
	is_(kp(c, (b"mine", mine, b"F3 Zzstd"), (b"small", small, b"Zzstd"), (b"large", large, b"Zzstd"), (b"empty", frame(b""),
	    b"Zzstd")), b"HD\r\n", mode + ": frames of a client")
	items, end = kg(c, b"kg user:1 Kmine Ksmall Klarge Kempty Zzstd k v s f")
	is_(items[b"mine"], ([b"kmine", b"s5000", b"f3", b"Zzstd"], mine), mode + ": comes back as it was given, to the byte")
	is_(items[b"small"], ([b"ksmall", b"s4", b"f0", b"Zzstd"], small), mode + ": a small one, too, which did not shrink")
	is_(items[b"large"], ([b"klarge", b"s900000", b"f0", b"Zzstd"], large), mode + ": one that would be in pieces")
	items, end = kg(c, b"kg user:1 Kmine Ksmall Klarge Kempty k v")
	is_([items[k][1] for k in (b"mine", b"small", b"large", b"empty")], [value, b"tiny", bytes(900000), b""], mode + ": decoded")
	for key, v, f in ((b"mine", value, 3), (b"large", bytes(900000), 0), (b"small", b"tiny", 0), (b"empty", b"", 0)):
		whole = b"VALUE user:1/%s %d %d\r\n%s\r\nEND\r\n" % (key, f, len(v), v)
		for _ in range(2):
			is_(c.call(b"get user:1/%s\r\n" % key, whole[-20:]), whole, mode + ": by classic commands: %s" % key)
	is_(c.call(b"append user:1/mine 0 0 1\r\n+\r\n"), b"STORED\r\n", mode + ": something more behind it")
	is_(kg(c, b"kg user:1 Kmine k v")[0][b"mine"][1], value + b"+", mode + ": is behind the value")
	# Too large for one piece even encoded: it is in pieces, which are encoded by themselves.
	noise = rng.randbytes(150000)
	is_(kp(c, (b"noise", frame(noise), b"Zzstd")), b"HD\r\n", mode + ": a large frame")
	is_(kg(c, b"kg user:1 Knoise Zzstd k v")[0][b"noise"], ([b"knoise"], noise), mode + ": in pieces it is plain")
	is_(c.call(b"km 2\r\nkp user:1 1\r\nm %d Zzstd\r\n%s\r\nkd user:1 Klarge\r\n" % (len(mine), mine)), b"HD\r\n", mode + ": km")
	items, end = kg(c, b"kg user:1 Km Klarge Zzstd k v")
	is_(items, {b"m": ([b"km", b"Zzstd"], mine)}, mode + ": of km")


def lies(c, mode):
	"""Refused, and nothing of it stored."""
	value = text(5000)
	good, sized = frame(value), frame(value, write_checksum=True)
	unsized = frame(value, write_content_size=False)
	# A raw block of 9 bytes behind a head of one segment that promises another size.
	head = b"\x28\xb5\x2f\xfd\xa0"
	promise = lambda n, m: head + struct.pack("<I", n) + struct.pack("<I", m << 3 | 1)[:3] + b"x" * m
	rle = lambda n, m: head + struct.pack("<I", n) + struct.pack("<I", m << 3 | 3)[:3] + b"x"
	is_(plain(rle(100000, 100000)), b"x" * 100000, "a bomb of 13 bytes")
	refused = b"CLIENT_ERROR bad compressed data\r\n"
	large = b"SERVER_ERROR object too large for cache\r\n"
	for what, data, want in (("no frame", b"hello", refused), ("nothing", b"", refused), ("cut short", good[:-1], refused),
	    ("more behind it", good + b"x", refused), ("two frames", good + good, refused), ("no size", unsized, refused),
	    ("a frame to skip", b"\x50\x2a\x4d\x18\x04\0\0\0abcd", refused),
	    ("less than it promises", promise(5000, 9), refused), ("more than it promises", promise(8, 9), refused),
	    ("a bomb that hides", rle(100, 130000), refused), ("a wrong sum", sized[:-1] + bytes([sized[-1] ^ 1]), refused),
	    ("rubbish within", sized[:40] + bytes(60) + sized[100:], refused), ("a bomb", frame(bytes(8 << 20)), large),
	    ("a promise without end", head[:4] + b"\xe0" + struct.pack("<Q", 1 << 60) + good[8:], large),
	    ("a dictionary that nobody has", head[:4] + b"\xa3" + struct.pack("<II", 77, 3) + struct.pack("<I", 3 << 3 | 1)[:3] + b"xxx",
	        b"CLIENT_ERROR unknown dictionary\r\n")):
		is_(kp(c, (b"before", b"x", b""), (b"lie", data, b"Zzstd"), (b"after", b"x", b"")), want, mode + ": " + what)
		is_(kp(c, (b"lie", data, b"Zzstd"), flags=b" q O1"), want, mode + ": q hides no error")
	is_(kg(c, b"kg user:1 Kbefore Klie Kafter k v"), ({}, b"EN"), mode + ": and nothing of it is there")
	half = frame(bytes(600000))
	is_(kp(c, (b"a", half, b"Zzstd"), (b"b", half, b"Zzstd")), large, mode + ": together they are too large, as plain ones are")
	is_(c.call(b"km 2\r\nkp user:1 1\r\na %d Zzstd\r\n%s\r\nkp user:2 1\r\na %d Zzstd\r\n%s\r\n" % (len(half), half, len(half), half)),
	    large, mode + ": of a km as well")
	is_(kp(c, (b"a", half, b"Zzstd")), b"HD\r\n", mode + ": one is not")


def with_dictionary(mode):
	"""Without the dictionary a client cannot read such a frame, so it gets the value plain."""
	home = os.path.join(tmpdir(), "dictionaries." + mode)
	os.mkdir(home)
	samples = [text(300) for _ in range(500)]
	trained = zstandard.train_dictionary(4096, samples)
	path = os.path.join(home, "users.dict")
	with open(path, "wb") as f:
		f.write(trained.as_bytes())
	with record_kvgate(mode, SAYS % ("0", 'dictionary = "%s"' % path)) as kv, kv.client(seconds=30) as c:
		value, other = text(300), text(400)
		is_(kp(c, (b"a", value, b""), (b"b", frame(other), b"Zzstd"), (b"c", frame(other, dict_data=trained), b"Zzstd")), b"HD\r\n",
		    mode + ": with a dictionary")
		items, end = kg(c, b"kg user:1 Zzstd k v")
		is_(items[b"a"], ([b"ka"], value), mode + ": what was encoded with it is given plain")
		is_((items[b"b"][0], plain(items[b"b"][1])), ([b"kb", b"Zzstd"], other), mode + ": what was not as it is")
		is_(items[b"c"], ([b"kc"], other), mode + ": who has the dictionary may give what was encoded with it")


def counted(kv, mode):
	"""What values cost and gain, and what is written of records, is in the statistics."""
	def since():
		now = {k: int(v) for k, v in stats(kv, "kvgate").items() if v.isdigit()}
		new = {k: now[k] - was.get(k, 0) for k in now}
		was.update(now)
		return new

	was = {}
	value, mine, noise, big, raw = text(5000), frame(text(4000)), rng.randbytes(3000), text(200000), rng.randbytes(200000)
	with kv.client(seconds=30) as c:
		since()
		before = stats(kv, "namespaces")
		kp(c, (b"a", value, b""), (b"b", mine, b"Zzstd"), (b"c", noise, b""), (b"d", b"short", b""))
		got = since()
		is_([got[k] for k in ("codec_encoded", "codec_bytes_plain", "codec_no_gain", "codec_given", "record_writes", "record_puts")],
		    [1, 5000, 1, 1, 1, 4], mode + ": a kp")
		ok(0 < got["codec_bytes_encoded"] < 3000, mode + ": %d bytes for 5000" % got["codec_bytes_encoded"])
		kg(c, b"kg user:1 Ka Kb Kc k v")
		kg(c, b"kg user:1 Ka Kb Zzstd k v")
		is_(since()["codec_decoded"], 2, mode + ": decoded for who does not read them by itself")
		kp(c, (b"lie", b"no frame", b"Zzstd"))
		is_(since()["codec_failures"], 0, mode + ": a client's lie is no failure of ours")
		kp(c, (b"big", big, b""))
		c.call(b"set user:1/raw 0 0 200000\r\n%s\r\n" % raw)
		got = since()
		is_([got[k] for k in ("values_split", "pieces_written", "codec_encoded", "codec_no_gain")], [2, 8, 4, 1],
		    mode + ": values in pieces, and where nothing is gained no more is tried")
		kg(c, b"kg user:1 Kbig Kraw k v")
		got = since()
		is_([got[k] for k in ("pieces_read", "codec_decoded", "values_lost")], [8, 4, 0], mode + ": pieces are read")
		c.call(b"kd user:1 Ka Kb\r\nkd user:1 Hx\r\nkd user:1\r\n", b"HD\r\nHD\r\nHD\r\n")
		is_(since()["record_deletes"], 4, mode + ": items, a range, a record")
		c.call(b"km 2\r\nkp user:1 2\r\na 1\r\na\r\nb 1\r\nb\r\nkd user:2\r\n")
		after = stats(kv, "namespaces")
		is_([int(after["users:" + k]) - int(before["users:" + k]) for k in ("sets", "deletes")], [8, 5],
		    mode + ": the namespace has as many sets and deletes")
	kp_big = lambda c: kp(c, (b"big", big, b""))
	with kv.client(seconds=30) as c:
		orphans = lambda: sum(int(v) for k, v in stats(kv, "servers").items() if k.endswith(":orphans"))
		kp_big(c)
		# The embedded store lets them go a little later.
		wait_for(lambda: orphans() == 15, what="what was deleted")
		kp_big(c)
		wait_for(lambda: orphans() > 15, what="what was replaced")
		is_(orphans(), 19, mode + ": pieces that nothing names any more")


def spoilt():
	"""What a store gives that is no value of ours."""
	with record_kvgate("redis", SAYS % ("0", "")) as kv, kv.client(seconds=30) as c, kv.servers[0].resp() as r:
		value, big = text(5000), rng.randbytes(200000)
		kp(c, (b"a", value, b""))
		c.call(b"set flat:big 0 0 3\r\nabc\r\n")
		key = [k for k in r.call("KEYS", "*") if k.endswith(b"=a")][0]
		item = r.call("GET", key)
		r.call("SET", key, item[:-5] + b"?????")
		like(c.call(b"get user:1/a\r\n"), b"^SERVER_ERROR", "a damaged value")
		is_(stats(kv, "kvgate")["codec_failures"], "1", "is counted")
		kp(c, (b"big", big, b""))
		r.call("DEL", *[k for k in r.call("KEYS", "*") if b"}@" in k])
		is_(c.call(b"get user:1/big\r\n"), b"END\r\n", "a value without its pieces")
		is_(stats(kv, "kvgate")["values_lost"], "1", "is counted as lost")


for mode in RECORD_MODES:
	for ttl in ("0", "60s"):
		with record_kvgate(mode, SAYS % (ttl, "")) as kv, kv.client(seconds=30) as c:
			given(c, "%s, copies %s" % (mode, ttl))
			taken(c, "%s, copies %s" % (mode, ttl))
			lies(c, "%s, copies %s" % (mode, ttl))
			if ttl == "0":
				counted(kv, mode)
	with_dictionary(mode)
spoilt()
done_testing()
