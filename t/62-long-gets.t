#!/usr/bin/python3
"""A get of very many keys is answered as fast as its client reads, and what is pipelined behind it waits."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *

KEYS, ASKED, SIZE = 500, 50000, 3000
LIMIT = 16 * min(memory, 4)     # far below the answer's 143, whatever a sanitizer adds


def rss(server):
	with open("/proc/%d/status" % server.proc.pid) as f:
		return int(next(line for line in f if line.startswith("VmRSS")).split()[1]) // 1024


def value(n):
	return (b"%d." % n) * (SIZE // len(b"%d." % n) + 1)


def answer(n):
	return b"VALUE k%d 0 %d\r\n%s\r\n" % (n, SIZE, value(n)[:SIZE])


with Kvgate(["-t", "1", "-m", "256"]) as kv, kv.client() as c, kv.client() as other:
	for n in range(KEYS):
		c.send(b"set k%d 0 0 %d noreply\r\n%s\r\n" % (n, SIZE, value(n)[:SIZE]))
	c.ask(b"mn\r\n", b"MN\r\n", "keys are set")
	before = rss(kv)
	order = [n * 7 % KEYS for n in range(ASKED)]
	c.send(b"get " + b" ".join(b"k%d" % n for n in order) + b" none\r\nmg azE= b v k\r\nget none\r\nmn\r\n")
	for turn in range(50):
		other.call(b"get none\r\n", b"END\r\n")
	ok(rss(kv) - before < LIMIT, "an answer of %d MB that nobody reads takes %d MB" %
	    (ASKED * SIZE >> 20, rss(kv) - before))
	with c.sock.makefile("rb") as f:
		wrong = 0
		for n in order:
			want = answer(n)
			if f.read(len(want)) != want:
				wrong = n
				break
		is_(wrong, 0, "every value in its place")
		is_(f.readline(), b"END\r\n", "the end")
		# k1 in base64: it stood parsed in the same batch and had to be put off.
		is_(f.readline(), b"VA %d kk1\r\n" % SIZE, "what came behind is answered behind")
		is_(f.read(SIZE + 2), value(1)[:SIZE] + b"\r\n", "with its value")
		is_((f.readline(), f.readline()), (b"END\r\n", b"MN\r\n"), "and all that follows")
	c2 = kv.client()
	c2.send(b"get " + b" ".join(b"k%d" % n for n in order) + b"\r\n")
	other.call(b"get none\r\n", b"END\r\n")
	c2.close()
	wait_for(lambda: rss(kv) - before < LIMIT, what="memory is given back when such a client goes")
	other.ask(b"get none\r\n", b"END\r\n", "a client that goes in the middle harms nobody")
done_testing()
