#!/usr/bin/python3
"""
Clients that do not read, that send in pieces, that never stop, that leave in the middle. What a client is answered is
compared byte for byte, whatever its manners.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import base64
import hashlib
import re
import select
import socket
import struct
import threading
from kvt import *
from faulty import Faulty
from pipe import *

# ---------------------------------------------------------------- clients that do not read

def never_reads(mode, kv):
	"""100,000 commands, nothing read: the server stops reading, holds little, loses nothing."""
	value = os.urandom(300).hex().encode()
	with kv.client() as c:
		c.ask(b"set hot 0 0 600\r\n%s\r\n" % value, b"STORED\r\n", mode + ": a value")
		c.call(b"mg hot v\r\n", b"\r\n" + value + b"\r\n")
	request, expected = opaque_gets(100000, b"hot", value)
	before, read, stalls = rss(kv), int(stats(kv)["bytes_read"]), counter(kv, "clients_stalled")
	pipe = Pipe(kv, request, expected)
	wait_for(lambda: pipe.push() or counter(kv, "clients_stalled") > stalls, 20, "a stall")
	served(kv, mode + ": others are served")
	ok(int(stats(kv)["bytes_read"]) - read < 0.8 * len(request), mode + ": who does not read is not read from")
	grew_less(kv, before, 20 * MiB, mode + ": 60 MB of answers cost little")
	ok(pipe.all_right(), mode + ": all arrives in order")
	pipe.close()


def never_reads_large(mode, kv):
	"""The same with large values, several clients at once."""
	keys = [b"large%d" % i for i in range(4)]
	values = [os.urandom(64) * 15625 for _ in keys]
	with kv.client() as c:
		for key, value in zip(keys, values):
			c.call(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
			c.call(b"mg %s v\r\n" % key, value + b"\r\n")
	request = b"".join(b"get %s\r\n" % key for key in keys) * 5
	def expected():
		for _ in range(5):
			for key, value in zip(keys, values):
				yield b"VALUE %s 0 1000000\r\n%s\r\nEND\r\n" % (key, value)
	before = rss(kv)
	pipes = [Pipe(kv, request, expected) for _ in range(8)]
	for pipe in pipes:
		wait_for(pipe.push, what="requests taken")
	served(kv, mode + ": others are served while large values wait")
	with kv.client() as c:
		c.ask(b"set other 0 0 1000\r\n%s\r\n" % (b"x" * 1000), b"STORED\r\n", mode + ": and can store")
	ok(all(pipe.all_right() for pipe in pipes), mode + ": large values arrive intact")
	grew_less(kv, before, 80 * MiB, mode + ": 160 MB of large values cost little")
	for pipe in pipes:
		pipe.close()


def never_reads_from_servers():
	"""500 MB asked of a server: how much of it is on its way depends on how much of it is read."""
	server = Memcached(["-m", "256", "-I", "2m"])
	value = os.urandom(64) * 15625
	conf = """buffer_max = 128MB
		store "fleet" { type = memcached servers = { "127.0.0.1:%d 1" } timeout = %ds }
		namespace "default" { prefix = "" primary { store = "fleet" } local { ttl = 0 } }
		""" % (server.port, 20 * patience)
	with Kvgate(["-t", "1"], conf=conf) as kv:
		with kv.client() as c:
			for i in range(10):
				c.ask(b"set s%d 0 0 1000000\r\n%s\r\n" % (i, value), b"STORED\r\n") if i == 0 else \
				    c.call(b"set s%d 0 0 1000000\r\n%s\r\n" % (i, value))
		before = rss(kv)
		pipe = Pipe(kv, b"".join(b"mg s%d v\r\n" % (i % 10) for i in range(500)), lambda: [b"VA 1000000\r\n", value, b"\r\n"] * 100)
		wait_for(lambda: pipe.push() and select.select([pipe.c.sock], [], [], 0)[0], what="an answer")
		with kv.client() as c:
			is_([c.call(b"mg s1 v\r\n", b"\r\n" + value + b"\r\n")[:4] for _ in range(5)], [b"VA 1"] * 5,
			    "500 large values that nobody reads: others get theirs")
		grew_less(kv, before, 48 * MiB, "few of them are held")
		ok(pipe.all_right(), "a hundred of them arrive")
		hogs = [kv.client() for _ in range(12)]
		for c in hogs:
			c.send(b"".join(b"mg s%d v\r\n" % (i % 10) for i in range(100)))
		for c in hogs:
			c.recv(1)
		with kv.client() as c:
			is_([c.call(b"mg s1 v\r\n", b"\r\n" + value + b"\r\n")[:4] for _ in range(5)], [b"VA 1"] * 5,
			    "a dozen such clients: others get theirs still")
		grew_less(kv, before, 160 * MiB, "and they hold what buffer_max says")
		for c in hogs + [pipe]:
			c.close()
	server.stop()


def many_never_read():
	"""buffer_max is for all together: with little of it, many clients that do not read get little each."""
	conf = "client_buffer_max = 4MB\nbuffer_max = 16MB\n"
	value = b"v" * 1000
	with Kvgate(["-t", "2"], conf=conf) as kv:
		with kv.client() as c:
			c.call(b"set hot 0 0 1000\r\n%s\r\n" % value)
		request, expected = opaque_gets(20000, b"hot", value)
		before = rss(kv)
		pipes = [Pipe(kv, request, expected) for _ in range(30)]
		wait_for(lambda: [p.push() for p in pipes] and counter(kv, "clients_stalled") >= 20, 20, "20 stalls")
		served(kv, "30 clients that do not read: others are served")
		grew_less(kv, before, 32 * MiB, "they hold what buffer_max says")
		ok(all(p.all_right() for p in pipes[:5]), "and get everything")
		for p in pipes:
			p.close()


def behind_a_miss():
	"""Answers that are ready wait behind one that a slow server owes: they count too."""
	with Faulty("late %d" % (700 * patience)) as slow:
		conf = """client_buffer_max = 1MB
			store "slow" { type = memcached servers = { "127.0.0.1:%d 1" } timeout = %ds connect_timeout = 20s }
			namespace "slow" { prefix = "slow:" primary { store = "slow" } local { ttl = 0 } }
			namespace "default" { prefix = "" }
			""" % (slow.port, 30 * patience)
		with Kvgate(["-t", "1"], conf=conf) as kv:
			value = b"v" * 4000
			large = b"w" * 400000
			with kv.client() as c:
				c.call(b"set hot 0 0 4000\r\n%s\r\n" % value)
				c.call(b"set large 0 0 400000\r\n%s\r\n" % large)
			before, read = rss(kv), int(stats(kv)["bytes_read"])
			def waits(count, key, value):
				request, expected = opaque_gets(count, key, value)
				pipe = Pipe(kv, b"mg slow:a v\r\n" + request, lambda: (p for e in ([b"EN\r\n"], expected()) for p in e))
				wait_for(pipe.push, what="requests taken")
				return pipe
			pipe, pins = waits(20000, b"hot", value), waits(200, b"large", large)
			wait_for(lambda: counter(kv, "clients_stalled") >= 2, 20, "stalls")
			served(kv, "a slow server: others are served")
			grew_less(kv, before, 16 * MiB, "what waits behind a miss is bounded")
			ok(int(stats(kv)["bytes_read"]) - read < 350000, "and its client is not read from")
			ok(pipe.all_right(), "everything comes after the miss")
			ok(pins.all_right(), "large values too")
			pipe.close()
			pins.close()


def one_line_many_values(mode, kv):
	"""Lines of 50,000 keys that ask for 20 MB: there they leave as the client reads, through a fleet each whole."""
	value = os.urandom(200).hex().encode()
	with kv.client() as c:
		c.call(b"set v 0 0 400\r\n%s\r\n" % value)
		c.call(b"mg v v\r\n", value + b"\r\n")
	before = rss(kv)
	answer = b"VALUE v 0 400\r\n%s\r\n" % value * 50000 + b"END\r\nMN\r\n"
	pipe = Pipe(kv, (b"get" + b" v" * 50000 + b"\r\nmn\r\n") * 8, lambda: [answer] * 8)
	wait_for(lambda: pipe.push() and select.select([pipe.c.sock], [], [], 0)[0], what="an answer to the line")
	served(kv, mode + ": others are served beside lines of 50,000 keys")
	grew_less(kv, before, {"local": 12, "fleet": 64}[mode] * MiB, mode + ": their values are not all held")
	ok(pipe.all_right(), mode + ": they are answered in full")
	pipe.close()


# ---------------------------------------------------------------- fairness

def endless_pipelines(mode, kv):
	"""Clients that always have more to ask, and read: others get their turn."""
	stop = threading.Event()
	wrong = []

	def run(request, answer):
		with kv.client() as c:
			while not stop.is_set():
				c.send_and_read(request)
				if c.recv(len(answer)) != answer:
					wrong.append(request[:20])
					return

	with kv.client() as c:
		c.call(b"set f 0 0 1\r\nx\r\n")
	greedy = [threading.Thread(target=run, args=a, daemon=True) for a in
	    ((b"get f\r\n" * 2000, b"VALUE f 0 1\r\nx\r\nEND\r\n" * 2000),
	    (b"get" + b" f" * 20000 + b"\r\n", b"VALUE f 0 1\r\nx\r\n" * 20000 + b"END\r\n"))]
	for t in greedy:
		t.start()
	with kv.client() as c:
		answers = [c.call(b"mn\r\n") for _ in range(100)]
	stop.set()
	for t in greedy:
		t.join(30 * patience)
	is_(answers, [b"MN\r\n"] * 100, mode + ": a hundred answers beside endless pipelines")
	is_(wrong, [], mode + ": whose answers are right")


# ---------------------------------------------------------------- awkward pieces

def in_pieces(c, data, sizes):
	at, i = 0, 0
	while at < len(data):
		n = sizes[i % len(sizes)]
		if not c.send(data[at:at + n]):
			return
		at, i = at + n, i + 1


def pieces(mode, kv):
	body = os.urandom(MiB // 2 - 100).hex().encode()
	big = b"set big 5 0 %d\r\n%s\r\n" % (len(body), body)
	with kv.client() as c:
		talk = (b"set a 0 0 3\r\nabc\r\nget a\r\nmg a v k s\r\nms a 2\r\nxy\r\nbogus\r\nget a b c\r\ndelete a\r\n"
		    b"set a 0 0 2\r\nabc\r\nget\r\nmn\r\n")
		c.send(talk)
		whole = c.recv_until(b"MN\r\n")
		for at in range(1, len(talk)):
			c.send(talk[:at])
			c.send(talk[at:])
		is_(c.recv(len(whole) * (len(talk) - 1)), whole * (len(talk) - 1), mode + ": cut in two anywhere")
		in_pieces(c, talk, [1])
		is_(c.recv_until(b"MN\r\n"), whole, mode + ": byte by byte")
		for name, sizes in (("64 KB", [65536]), ("odd pieces", [1, 2, 3, 1000, 17, 4096, 65535, 1]), ("16 bytes", [1, 31] * 64 + [300000])):
			in_pieces(c, big, sizes)
			c.ask(b"", b"STORED\r\n", "%s: a body of a megabyte in %s" % (mode, name))
			c.ask(b"mg big v f\r\n", b"VA %d f5\r\n%s\r\n" % (len(body), body), "%s: is stored (%s)" % (mode, name))
		# the head and the end of the body with what is beside them
		c.send(b"mn\r\n" + big[:100])
		in_pieces(c, big[100:-1], [200000])
		c.ask(big[-1:] + b"mn\r\n", b"MN\r\nSTORED\r\nMN\r\n", mode + ": commands around a body")
		# bad data chunks
		in_pieces(c, big[:-2] + b"xx" + b"mn\r\n", [70000])
		c.ask(b"", b"CLIENT_ERROR bad data chunk\r\nMN\r\n", mode + ": a large body without its end")
		c.ask(b"set s 0 0 2\r\nabcdmn\r\nmn\r\n", b"CLIENT_ERROR bad data chunk\r\n", mode + ": a small one")
		c.recv_until(b"MN\r\n")
	with kv.client() as c:
		# refused bodies
		n = 3 * MiB
		in_pieces(c, b"set refused 0 0 %d\r\n" % n + b"r" * n + b"\r\nmn\r\n", [65536, 1, 300000])
		c.ask(b"", b"SERVER_ERROR object too large for cache\r\nMN\r\n", mode + ": too large, in pieces")
		in_pieces(c, b"set %s 0 0 200000\r\n" % (b"k" * 251) + b"r" * 200000 + b"\r\nmn\r\n", [65536, 1])
		c.ask(b"", b"CLIENT_ERROR bad command line format\r\nMN\r\n", mode + ": a bad line's body is swallowed")


def long_lines(mode, kv):
	with kv.client() as c:
		keys = [b"%04d" % i + b"k" * 240 for i in range(2000)]
		for key in keys[::7]:
			c.send(b"ms %s 4 q\r\n%s\r\n" % (key, key[:4]))
		c.sync()
		want = b"".join(b"VALUE %s 0 4\r\n%s\r\n" % (k, k[:4]) for k in keys[::7]) + b"END\r\n"
		line = b"get " + b" ".join(keys) + b"\r\n"
		c.send_and_read(line * 3 + b"mn\r\n")
		is_(c.recv(3 * len(want) + 4), want * 3 + b"MN\r\n", mode + ": 2,000 long keys in a line, three in a row")
		in_pieces(c, line, [10000, 3, 50000])
		is_(c.recv(len(want)), want, mode + ": in pieces")
	with kv.client() as c:
		c.send_and_read(b"mn\r\nget " + b"0123456789 " * 100000 + b"\r\nmn\r\n")
		is_(c.recv_all(), b"MN\r\n", mode + ": a line of more than a megabyte closes")
	with kv.client() as c:
		c.send(b"mn\r\nset " + b"x" * 3000)
		is_(c.recv_all(), b"MN\r\n", mode + ": so does any other of more than 2,048 bytes")
	served(kv, mode + ": others do not mind")


# ---------------------------------------------------------------- those who leave

def half_closed(mode, kv):
	with kv.client() as c:
		c.send(b"set hc 0 0 1\r\nx\r\n" + b"get hc\r\n" * 5000 + b"mn\r\nge")
		c.half_close()
		is_(c.recv_all(), b"STORED\r\n" + b"VALUE hc 0 1\r\nx\r\nEND\r\n" * 5000 + b"MN\r\n",
		    mode + ": half-closed: what was asked before is answered, then the end")
	with kv.client() as c:
		c.send(b"mn\r\nset hc 0 0 100\r\nabc")
		c.half_close()
		is_(c.recv_all(), b"MN\r\n", mode + ": half-closed amid a body")
	value = b"y" * 100000
	with kv.client() as c:
		c.call(b"set hc 0 0 100000\r\n%s\r\n" % value)
		c.send(b"get hc\r\n" * 300)
		c.half_close()
		is_(hashlib.md5(c.recv_all()).digest(),
		    hashlib.md5((b"VALUE hc 0 100000\r\n%s\r\nEND\r\n" % value) * 300).digest(),
		    mode + ": half-closed while stalled")
	with kv.client() as c:
		c.send(b"get absent\r\nms q1 1\r\na\r\nset q2 0 0 1\r\nb\r\nset q3 0 0 1 noreply\r\nc\r\nquit\r\nget q1\r\n")
		is_(c.recv_all(), b"END\r\nHD\r\nSTORED\r\n", mode + ": quit amid a pipeline: what was before is answered")


def reset(c):
	c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	c.close()


def resets(mode, kv):
	value = b"z" * 1000000
	with kv.client() as c:
		c.call(b"set rst 0 0 1000000\r\n%s\r\n" % value)
	for cut in (b"set r 0 0 1000000\r\n" + b"x" * 300000, b"ge", b"get rst\r\n" * 50, b"get rst absent rst\r\n" * 50,
	    b"set r 0 0 10\r\n0123456789\r\n" * 100, b"get" + b" rst" * 30000, b"lru_crawler metadump all\r\n",
	    b"set huge 0 0 900000000\r\n" + b"x" * 100000):
		for _ in range(5):
			c = kv.client()
			c.send(cut)
			reset(c)
	wait_for(lambda: int(stats(kv)["curr_connections"]) <= 2, 20, "all of them gone")
	ok(True, mode + ": resets amid bodies, lines and answers")
	served(kv, mode + ": and it goes on")


# ---------------------------------------------------------------- dumps

def dumps():
	with Kvgate(["-t", "1", "-m", "64"]) as kv:
		n = 100000
		with kv.client() as c:
			c.send_and_read(b"".join(b"ms d%d 2 q\r\nxx\r\n" % i for i in range(n)))
			c.sync()
			before = rss(kv)
			slow = kv.client()
			slow.send(b"lru_crawler metadump all\r\nget d1\r\nmn\r\nlru_crawler mgdump all\r\nmn\r\n")
			gone = kv.client()
			gone.send(b"lru_crawler metadump all\r\n")
			gone.line()
			gone.close()
			rude = kv.client()
			rude.send(b"lru_crawler metadump all\r\n")
			rude.line()
			reset(rude)
			served(kv, "others are served during a dump")
			grew_less(kv, before, 2 * MiB, "a dump costs little")
		lines, buf = [], b""
		while not buf.endswith(b"\r\nEN\r\nMN\r\n"):
			more = slow.sock.recv(65536)
			if not more:
				break
			lines.append(more)
			buf = (buf + more)[-20:]
		lines = b"".join(lines).split(b"\n")
		slow.close()
		at = lines.index(b"END\r") if b"END\r" in lines else 0
		is_(sorted(line.split(b" ")[0] for line in lines[:at]), sorted(b"key=d%d" % i for i in range(n)),
		    "a dump of 100,000 items has each once")
		is_(lines[at + 1:at + 5], [b"VALUE d1 0 2\r", b"xx\r", b"END\r", b"MN\r"], "commands behind it are answered behind it")
		is_(sorted(lines[at + 5:-3]), sorted(b"mg d%d\r" % i for i in range(n)), "the other kind too")
		is_(lines[-3:], [b"EN\r", b"MN\r", b""], "to the end")
		wait_for(lambda: int(stats(kv)["curr_connections"]) <= 2, 20, "all of them gone")


# ---------------------------------------------------------------- base64 keys that wait

def base64_waits(mode, kv):
	"""
	Commands that were parsed and had to wait for their client to read: keys in base64, some of them sloppy, lines that
	are wrong, all in one batch that stalls.
	"""
	nasty = base64.b64encode(b"k\nflush_all\nmn\n!")
	with kv.client() as c:
		c.call(b"set big 0 0 4000\r\n%s\r\n" % (b"B" * 4000))
		for i in range(50):
			c.send(b"ms %s 2 b q\r\n%02d\r\n" % (base64.b64encode(b"bin\0key\n%d" % i), i))
		c.call(b"ms %s 5 b\r\nnasty\r\n" % nasty)
		part, want = [], []
		for i in range(50):
			key = base64.b64encode(b"bin\0key\n%d" % i)
			part += [b"mg big v", b"mg %s b v k O%d" % (key, i), b"mg %s b v k v" % nasty, b"mg %s b v" % nasty,
			    b"mg %s b v O%s" % (nasty, b"o" * 40), b"mg ==== b v", b"mg Zm9-v b s", b"mg %s b k" % base64.b64encode(b"no%d" % i)]
		for line in part:
			want.append(c.call(line + b"\r\n", re.compile(rb"^(VA (\d+)[^\n]*\n(?s:.)*?\r\n|(?!VA)[^\n]*\n)")))
	like(want[4], rb"^CLIENT_ERROR", mode + ": lines with errors among them")
	is_(want[3], b"VA 5\r\nnasty\r\n", mode + ": keys with newlines among them")
	request, answer = b"\r\n".join(part) + b"\r\n", b"".join(want)
	for shift in (0, 3, 6, 8):
		stalls = counter(kv, "clients_stalled")
		extra = b"mn\r\n" * shift
		pipe = Pipe(kv, extra + request * 60, lambda: (b"MN\r\n" * shift if i == 0 else answer for i in range(61)))
		wait_for(lambda: pipe.push() or counter(kv, "clients_stalled") > stalls, 20, "a stall")
		wait_for(lambda: counter(kv, "clients_stalled") > stalls, 20, "a stall")
		if not pipe.all_right():
			ok(False, "%s: stalled base64 keys, shifted by %d" % (mode, shift))
			return
		pipe.close()
	ok(True, mode + ": commands that had to wait are answered as if they had not")


# ----------------------------------------------------------------

for mode, kv in both_modes(["-t", "2"], local="60s"):
	pieces(mode, kv)
	long_lines(mode, kv)
	half_closed(mode, kv)
	endless_pipelines(mode, kv)
	resets(mode, kv)
	never_reads(mode, kv)
	never_reads_large(mode, kv)
	one_line_many_values(mode, kv)
for mode, kv in both_modes(["-t", "1"], local="0"):
	base64_waits(mode, kv)
never_reads_from_servers()
many_never_read()
behind_a_miss()
dumps()
done_testing()
