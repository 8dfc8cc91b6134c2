#!/usr/bin/python3
"""
What is deleted in format = item leaves a mark for delete_ttl, more or less by delete_jitter: marks made at one moment go
spread over the whole of that time, none earlier and none later.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

KEYS, HOUR = 400, 3600

CONF = """store "r" { type = redis  servers = { "127.0.0.1:%d" } }
namespace "default" { prefix = ""  primary { store = "r"  format = item }  local { ttl = 0 }  %s }
"""


def marks(r):
	"""Seconds that each mark has left, in order."""
	keys = [b"k%d" % i for i in range(KEYS)]
	with r.resp() as c:
		return sorted(ms / 1000 for ms in c.pipeline(*[("PTTL", k) for k in keys]))


for said, ttl, jitter in (("", 2 * HOUR, HOUR / 2), ("delete_ttl = 3h  delete_jitter = 2h", 3 * HOUR, 2 * HOUR),
    ("delete_ttl = 90m", 1.5 * HOUR, HOUR / 2), ("delete_ttl = 2h  delete_jitter = 0", 2 * HOUR, 0),
    ("delete_ttl = 30d  delete_jitter = 19d", 720 * HOUR, 456 * HOUR)):
	with Redis() as r, Kvgate(["-t", "2"], conf=CONF % (r.port, said)) as kv, kv.client() as c, kv.client() as d:
		for i in range(KEYS):
			(c, d)[i % 2].send(b"set k%d 0 0 5\r\nvalue\r\n%s k%d\r\n" % (i, (b"delete", b"md")[i % 3 == 0], i))
		c.sync(), d.sync()
		left, name = marks(r), said or "as it is"
		ok(len(left) == KEYS and ttl - jitter - 60 * patience <= left[0] and left[-1] <= ttl + jitter,
		    "%s: every mark stays between %d and %d s (%d to %d)" % (name, ttl - jitter, ttl + jitter, left[0], left[-1]))
		quarters = [sum(1 for t in left if n <= (t + 60 - ttl + jitter) / (jitter / 2) < n + 1) for n in range(4)] if jitter else []
		ok(all(n > KEYS / 10 for n in quarters) and (not jitter or len(set(left)) > KEYS * 0.9),
		    "%s: and they are spread over all of it %s" % (name, quarters))
		c.ask(b"get k0\r\nmg k1 v\r\nadd k2 0 0 1\r\nx\r\nget k2\r\n", b"END\r\nEN\r\nSTORED\r\nVALUE k2 0 1\r\nx\r\nEND\r\n",
		    "%s: nobody sees them" % name)
done_testing()
