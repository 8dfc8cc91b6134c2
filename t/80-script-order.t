#!/usr/bin/python3
"""
Somebody empties Redis' list of scripts amid a pipeline, and a script that comes later in it is there again before one that came earlier:
what is acknowledged was done in the order of the pipeline, and what came too late for that says so.
"""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

CONF = """store "r" { type = redis  servers = { "%s" }  timeout = %dms }
namespace "m" { prefix = "m:"  item_separator = "/"  primary { store = "r"  format = item }  local { ttl = 0 } }
namespace "default" { prefix = ""  primary { store = "r"  format = item }  local { ttl = 0 } }
"""
NOSCRIPT = b"says NOSCRIPT No matching script\r\n"


def late(got, name):
	ok(got.startswith(b"SERVER_ERROR ") and got.endswith(NOSCRIPT), name) or diag(got)


# Each connection loads a script before its own first use of it, so the second command of these has its script and the first has not.
for known, first, second, look, after in (
    (b"kp m:1 1\r\na 1\r\nx\r\n", b"kp m:1 1\r\nb 1\r\ny\r\n", b"kd m:1\r\n", b"kg m:1\r\n", b"EN\r\n"),
    (b"kp m:1 1\r\na 1\r\nx\r\n", b"kp m:1 1\r\na 1\r\ny\r\n", b"ms m:1/a 1\r\nz\r\n", b"kg m:1\r\n", b"VA 1 ka\r\nz\r\nEN\r\n"),
    (b"ms k 1\r\nx\r\n", b"ms k 1\r\ny\r\n", b"md k\r\n", b"mg k v\r\n", b"EN\r\n"),
    (b"kg m:1\r\n", b"kg m:1 k\r\n", b"kp m:1 1\r\na 1\r\nx\r\n", b"kg m:1\r\n", b"VA 1 ka\r\nx\r\nEN\r\n")):
	with Redis() as r, Kvgate(["-t", "1"], conf=CONF % (r.server, 5000 * patience)) as kv, kv.client() as c:
		name = "%s and %s: " % (first[:2].decode(), second[:2].decode())
		c.call(known)
		r.call("SCRIPT", "FLUSH")
		c.send(first + second + look)
		late(c.line(), name + "the first is told that it comes too late")
		c.ask(b"", b"HD\r\n" + after, name + "the second stands")
		c.ask(look, after, name + "and still does")

# Reads behind a write that has to be repeated see it; others on other keys are as they were.
with Redis() as r, Kvgate(["-t", "1"], conf=CONF % (r.server, 5000 * patience)) as kv, kv.client() as c:
	c.ask(b"kp m:1 1\r\na 1\r\n0\r\nms k 1\r\n0\r\nkd m:2\r\nkg m:2\r\n", b"HD\r\nHD\r\nHD\r\nEN\r\n")
	for n in range(1, 6):
		r.call("SCRIPT", "FLUSH")
		new = b"%d" % n
		want = b"VALUE m:1/a 0 1\r\n%d\r\nEND\r\n" % (n - 1)
		line = b"get m:1/a\r\n"
		for more, answer in ((b"kp m:1 1\r\na 1\r\n%s\r\n", b"HD\r\n"), (b"get m:1/a\r\n", b"VALUE m:1/a 0 1\r\n%s\r\nEND\r\n"),
		    (b"ms k 1\r\n%s\r\n", b"HD\r\n"), (b"kg m:1\r\n", b"VA 1 ka\r\n%s\r\nEN\r\n"), (b"mg k v\r\n", b"VA 1\r\n%s\r\n"),
		    (b"kp m:2 1\r\na 1\r\n%s\r\n", b"HD\r\n"), (b"kd m:2\r\n", b"HD\r\n"), (b"kp m:2 1\r\nb 1\r\n%s\r\n", b"HD\r\n"),
		    (b"kg m:2\r\n", b"VA 1 kb\r\n%s\r\nEN\r\n")):
			line += more.replace(b"%s", new)
			want += answer.replace(b"%s", new)
		c.ask(line, want, "a pipeline without scripts is as any other")

# Many connections that bring the scripts back while others have lost them.
with Redis() as r, Kvgate(["-t", "3"], conf=CONF % (r.server, 5000 * patience)) as kv:
	wrong, over, errors, told = [], threading.Event(), [], [0] * 6

	def work(n):
		with kv.client(seconds=30) as c:
			i = 0
			while not over.is_set():
				i += 1
				c.send(b"kp m:%d 1\r\na 1\r\nx\r\nkd m:%d\r\nms m:%d/a 5\r\n%05d\r\nkg m:%d\r\n" % (n, n, n, i % 100000, n))
				said = [c.line() for _ in range(3)]
				page = c.recv_until(b"\n")
				if page.startswith(b"VA"):
					page += c.recv_until(b"EN\r\n")
				errors.extend(s for s in said + [page] if s.startswith(b"SERVER_ERROR"))
				bad = [s for s in said if s != b"HD\r\n" and not s.endswith(NOSCRIPT)]
				if said[2] == b"HD\r\n" and not page.startswith(b"SERVER_ERROR") and page != b"VA 5 ka\r\n%05d\r\nEN\r\n" % (i % 100000):
					bad.append(page)
				if bad:
					wrong.append((said, page))
				told[n] = i
	threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(6)]
	for t in threads:
		t.start()
	for n in range(300):
		seen = sum(told)
		r.call("SCRIPT", "FLUSH")
		wait_for(lambda: sum(told) > seen + 3 or wrong, 20, "work to go on")
	over.set()
	for t in threads:
		t.join()
	is_(wrong[:3], [], "what is acknowledged is there, whoever brings the scripts back")
	diag("%d pipelines, %d commands too late" % (sum(told), len(errors)))
done_testing()
