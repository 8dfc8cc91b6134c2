#!/usr/bin/python3
"""
Slots of a Redis Cluster move while records in them are written and read: a record that is half here and half there waits until it is
whole again; no put is half done, no page lacks an item, nothing that was deleted comes back, and scans find each record once.
"""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

MOVES = int(os.environ.get("KVT_SLOTS") or 600)
ITEMS = 12

CONF = """store "c" { type = redis-cluster  servers = { %s }  timeout = %dms  connect_timeout = %dms }
namespace "m" { prefix = "m:"  item_separator = "/"  primary { store = "c"  format = item }  local { ttl = 0 } }
namespace "default" { prefix = ""  primary { store = "c"  format = item } }
"""


class Writer(threading.Thread):
	"""Puts, reads and deletes records of its own, one after the other; what it sees must be what it did."""

	def __init__(self, kv, ids):
		super().__init__(daemon=True)
		self.c = kv.client(seconds=60)
		self.ids = ids
		self.rounds = 0
		self.wrong = []
		self.over = threading.Event()

	def line(self, command):
		self.c.send(command)
		return self.c.line()

	def page(self, id):
		self.c.send(b"kg %s k v\r\n" % id)
		found = {}
		while True:
			line = self.c.line()
			if line[:2] != b"VA":
				return found if line == b"EN\r\n" else line
			words = line.split()
			found[words[2][1:]] = self.c.recv(int(words[1]) + 2)[:-2]

	def want(self, what, got, want):
		if got != want:
			self.wrong.append((what, got, want))

	def round(self, id, n):
		value = b"%d" % n
		all_of = {b"%02d" % i: value for i in range(ITEMS)}
		kp = b"kp %s %d\r\n" % (id, ITEMS) + b"".join(b"%s %d\r\n%s\r\n" % (k, len(v), v) for k, v in all_of.items())
		self.want(b"kp " + id, self.line(kp), b"HD\r\n")
		self.want(b"kg " + id, self.page(id), all_of)
		self.want(b"kd " + id, self.line(b"kd %s G04\r\n" % id), b"HD\r\n")
		self.want(b"kg, some deleted, " + id, self.page(id), {k: v for k, v in all_of.items() if k < b"04"})
		self.want(b"md " + id, self.line(b"md %s/00\r\n" % id), b"HD\r\n")
		self.want(b"ms " + id, self.line(b"ms %s/01 1\r\nx\r\n" % id), b"HD\r\n")
		self.want(b"kg, changed, " + id, self.page(id), {b"01": b"x", b"02": value, b"03": value})

	def run(self):
		try:
			n = 0
			while not self.over.is_set():
				n += 1
				for id in self.ids:
					self.round(id, n)
				self.rounds += 1
		except Exception as e:
			self.wrong.append(e)
		self.c.close()


def scan(kv, parts):
	found = []
	with kv.client(seconds=60) as c:
		for part in range(1, parts + 1):
			more = b""
			while more is not None:
				c.send(b"ks m S%d/%d i k%s\r\n" % (part, parts, more))
				line = c.line()
				while line[:2] == b"HD":
					found.append(tuple(line.split()[1:3]))
					line = c.line()
				more = next((b" " + w for w in line.split() if w[:1] == b"N"), None)
	return found


with RedisCluster() as cluster:
	source, target = cluster.masters()[:2]
	ms = int(10000 * patience)
	moving = set(sorted(next(row["slots"] for row in cluster.table() if row["node"] is source))[:MOVES])
	ids = [b"m:%d" % n for n in range(20000) if key_slot("m:%d" % n) in moving][:12] + [b"m:x%d" % n for n in range(4)]
	with Kvgate(["-t", "2"], conf=CONF % (cluster.server, ms, ms)) as kv:
		writers = [Writer(kv, ids[n::4]) for n in range(4)]
		for w in writers:
			w.start()
		wait_for(lambda: all(w.rounds > 2 or w.wrong for w in writers), 30, "the writers to be at work")
		cluster.reshard(source, target, MOVES)
		seen = [w.rounds for w in writers]
		wait_for(lambda: all(w.rounds > n + 2 or w.wrong for w, n in zip(writers, seen)), 30, "the writers to go on")
		for w in writers:
			w.over.set()
		for w in writers:
			w.join()
		is_([w.wrong[:2] for w in writers], [[]] * len(writers), "nothing was half done, lost or back while slots moved")
		diag("%d rounds" % sum(w.rounds for w in writers))
		want = sorted((b"i" + id, b"k0%d" % k) for id in ids for k in (1, 2, 3))
		is_(sorted(scan(kv, 3)), want, "scans find each item once")
		owner = cluster.master_of(b"{%s}#" % ids[0])
		is_(owner is target, True, "the slots have moved")

		# What begins at a node that has all of it must not need what is not there any more.
		with kv.client(seconds=60) as c:
			c.ask(b"kp m:y 3\r\na 1\r\nx\r\nb 1\r\nx\r\nc 1\r\nx\r\nkd m:y Gc\r\nset {m:y}flat 0 0 1\r\nx\r\n", b"HD\r\nHD\r\nSTORED\r\n")
			slot = key_slot("{m:y}")
			other = next(m for m in cluster.masters() if m is not cluster.owner(slot))
			here = cluster.open_slot(slot, other)
			c.ask(b"md m:y/a\r\ndelete {m:y}flat\r\nmg m:y/b v\r\n", b"HD\r\nDELETED\r\nVA 1\r\nx\r\n", "deletes in a slot that is about to move")
			for node in (here, other):
				node.call("CLUSTER", "SETSLOT", slot, "STABLE")
			c.ask(b"kg m:y k\r\nget {m:y}flat\r\n", b"HD kb\r\nEN\r\nEND\r\n", "are done")
			is_(0 < here.call("PTTL", "{m:y}=a"), True, "with a mark")
			for n, (line, want) in enumerate(((b"md %s/a\r\n", b"HD\r\n"), (b"delete %s/a\r\n", b"DELETED\r\n"), (b"mg %s/a T-1\r\n", b"HD\r\n"),
			    (b"ms %s/a 1 T-1\r\nx\r\n", b"HD\r\n"), (b"touch %s/a -1\r\n", b"TOUCHED\r\n"))):
				id = b"m:last%d" % n
				c.ask(b"kp %s 2\r\na 1\r\nx\r\nb 1\r\nx\r\nkd %s Gb\r\n" % (id, id), b"HD\r\n" * 2)
				slot = key_slot(b"{%s}#" % id)
				other = next(m for m in cluster.masters() if m is not cluster.owner(slot))
				wait_for(lambda: cluster.owner(slot).call("ZCARD", b"{%s}#" % id) == 1, 20, "b to be swept")
				here = cluster.open_slot(slot, other)
				c.ask(line % id, want, "the last item of a record in such a slot: %s" % line[:5].decode())
				for node in (here, other):
					node.call("CLUSTER", "SETSLOT", slot, "STABLE")
				c.ask(b"kg %s\r\n" % id, b"EN\r\n")
				is_([k for k in here.call("KEYS", "*") if k[-3:] == b"*m:" and here.call("ZSCORE", k, id)], [], "and the record is in no list")
done_testing()
