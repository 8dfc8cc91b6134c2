#!/usr/bin/python3
"""
Values of 64 MiB: set, read, overwritten while they are read, deleted; what it takes of memory; there after a restart.
"""
import os, re, socket, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import disk_path
from redises import *

MB = 1 << 20
SPACE = """namespace "default" { prefix = ""  primary { store = "s" %s }  local { ttl = 0 } }
"""

def read(kv, key):
	"""What `mg key v` gives: the value, None for a miss."""
	with socket.create_connection(("127.0.0.1", kv.port), timeout=120 * patience) as s, s.makefile("rb") as f:
		s.sendall(b"mg %s v\r\n" % key)
		line = f.readline()
		if not line.startswith(b"VA "):
			return None if line == b"EN\r\n" else line
		return f.read(int(line.split()[1]) + 2)[:-2]

def store(kv, key, value):
	with kv.client(seconds=120) as c:
		return c.call(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))

def peak(kv):
	"""The most memory that it has had, in MB."""
	return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/%d/status" % kv.pid).read()).group(1)) // 1024

old, new = (bytes([n]) * 1024 + os.urandom(MB - 1024) for n in (1, 2))
old, new = old * 64, new * 64

def large(name, kv):
	base = peak(kv)
	is_(store(kv, b"k", old), b"STORED\r\n", "%s: 64 MiB are set" % name)
	ok(read(kv, b"k") == old, "%s: and read" % name)
	used = peak(kv) - base
	ok(used < (64 + 32 + (192 if name == "rocksdb" else 0)) * memory,
	    "%s: %d MB of memory for that" % (name, used))
	got, changed = [], []
	readers = [threading.Thread(target=lambda: got.append(read(kv, b"k"))) for _ in range(2)]
	writer = threading.Thread(target=lambda: changed.append(store(kv, b"k", new)))
	for t in readers[:1] + [writer] + readers[1:]:
		t.start()
	for t in readers + [writer]:
		t.join()
	ok(all(g in (old, new) for g in got), "%s: who reads while it is overwritten has the old or the new one" % name)
	is_(changed, [b"STORED\r\n"], "%s: overwritten" % name)
	ok(read(kv, b"k") == new, "%s: the new one is there" % name)

with Redis() as r:
	conf = 'buffer_max = 1GB\nstore "s" { type = redis  servers = { "127.0.0.1:%d" }  timeout = %ds }\n' % (r.port, 20 * patience)
	with Kvgate(["-t", "2"], conf=conf + SPACE % "format = item") as kv:
		large("redis", kv)
		with kv.client() as c:
			is_(c.call(b"delete k\r\n"), b"DELETED\r\n", "redis: deleted")
		is_(read(kv, b"k"), None, "redis: and has gone")

conf = 'buffer_max = 1GB\nstore "s" { type = rocksdb  path = "%s"  durability = none }\n' % disk_path()
with Kvgate(["-t", "2"], conf=conf + SPACE % "") as kv:
	large("rocksdb", kv)
with Kvgate(["-t", "2"], conf=conf + SPACE % "") as kv:
	ok(read(kv, b"k") == new, "rocksdb: it is there after a restart")
	with kv.client() as c:
		is_(c.call(b"delete k\r\n"), b"DELETED\r\n", "rocksdb: deleted")
	is_(read(kv, b"k"), None, "rocksdb: and has gone")
done_testing()
