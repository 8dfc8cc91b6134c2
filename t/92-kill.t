#!/usr/bin/python3
"""
kill -9 in the middle of writes, again and again, with durability = always: what was acknowledged is there afterwards, what was
not is there whole or not at all, be it a put of several items, a change of several records, a delete or an incr.

KVT_KILLS (4) is how often.
"""
import os, random, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from records import *
from kvgate import Put

KILLS = int(os.environ.get("KVT_KILLS") or 4)
IDS = 20
KEYS = [b"a", b"b", b"c"]


class Writer:
	"""
	One client with records of its own. States are numbers, None: deleted; `sure` is what was acknowledged last,
	`open` what was sent and not answered: either may be found afterwards.
	"""

	def __init__(self, number):
		self.number = number
		self.random = random.Random(number)
		self.sure = [None] * IDS
		self.open = {}
		self.count = 0
		self.acks = 0

	def id(self, n, half=b""):
		return b"user:%d.%d%s" % (self.number, n, half)

	def run(self, kv):
		"""Writes until the server dies."""
		try:
			with client(kv, attempts=1) as c:
				users = c.namespace("users")
				while True:
					self.step(users)
					self.acks += 1
		except (kvgate.ConnectionLost, kvgate.Timeout):
			pass

	def step(self, users):
		n = self.random.randrange(IDS)
		self.count += 1
		value = None if self.count % 7 == 0 else self.count
		self.open = {n: value}
		self.write(users, n, value)
		self.sure[n] = value
		self.open = {}

	def find(self, users, n):
		"""What is there: a state, or a text that says what is wrong."""
		return whole(users, self.id(n))


def whole(users, id):
	found = {i.key: i.value for i in users.get(id)}
	if not found:
		return None
	if list(found) != KEYS or len(set(found.values())) != 1:
		return "half: %r" % found
	return int(found[b"a"])


class PutWriter(Writer):
	"""Puts of three items, deletes of the record."""

	def write(self, users, n, value):
		if value is None:
			users.delete_record(self.id(n))
		else:
			users.put(self.id(n), dict.fromkeys(KEYS, b"%d" % value))


class MutateWriter(Writer):
	"""The same of two records at once."""

	def write(self, users, n, value):
		both = [self.id(n), self.id(n, b"+")]
		if value is None:
			users.mutate([kvgate.Delete(id, KEYS) for id in both], atomic=True)
		else:
			users.mutate([Put(id, dict.fromkeys(KEYS, b"%d" % value)) for id in both], atomic=True)

	def find(self, users, n):
		one, other = whole(users, self.id(n)), whole(users, self.id(n, b"+"))
		return one if one == other else "half: %r, %r" % (one, other)


class ClassicWriter(Writer):
	"""memcached's incr of items that set has made; they are never deleted."""

	def run(self, kv):
		try:
			with kv.client() as self.conn:
				while self.step(None):
					self.acks += 1
		except OSError:
			pass

	def step(self, _):
		n = self.random.randrange(IDS)
		before = self.sure[n]
		self.open = {n: (before or 0) + 1}
		if before is None:
			answer = self.conn.call(b"set %s/n 0 0 1\r\n1\r\n" % self.id(n))
		else:
			answer = self.conn.call(b"incr %s/n 1\r\n" % self.id(n))
		if answer not in (b"STORED\r\n", b"%d\r\n" % self.open[n]):
			return False
		self.sure[n] = self.open.pop(n)
		return True

	def find(self, users, n):
		item = users.get_item(self.id(n), "n")
		return None if item is None else int(item.value)


def check(users, writers, round):
	wrong = []
	for w in writers:
		for n in range(IDS):
			found = w.find(users, n)
			if found != w.sure[n] and (n not in w.open or found != w.open[n]):
				wrong.append((type(w).__name__, w.id(n), "found", found, "acknowledged", w.sure[n], "sent", w.open.get(n)))
			w.sure[n] = found if not isinstance(found, str) else w.sure[n]
		w.open = {}
	if not ok(not wrong, "kill %d: all that was acknowledged, and nothing by halves" % round):
		diag(*wrong[:20])


kinds = [PutWriter, PutWriter, MutateWriter, MutateWriter, ClassicWriter, ClassicWriter]
writers = [kind(n) for n, kind in enumerate(kinds)]
draw = random.Random(KILLS)
total = 0
with record_kvgate("rocksdb", more="durability = always") as kv:
	for round in range(1, KILLS + 1):
		for w in writers:
			w.acks = 0
		threads = [threading.Thread(target=w.run, args=(kv,), daemon=True) for w in writers]
		for t in threads:
			t.start()
		enough = draw.randrange(20, 600)
		wait_for(lambda: sum(w.acks for w in writers) >= enough or not any(t.is_alive() for t in threads), 60, "writes")
		ok(all(t.is_alive() for t in threads), "kill %d: in the middle of writes" % round)
		kv.kill()
		for t in threads:
			t.join()
		total += sum(w.acks for w in writers)
		kv.start(kv.argv)
		with client(kv) as c:
			check(c.namespace("users"), writers, round)
diag("%d writes were acknowledged" % total)
done_testing()
