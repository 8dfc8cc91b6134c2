#!/usr/bin/python3
"""
Everything at once on a local cache: values from nothing to 900 KB, overwritten, appended to, deleted, touched, expiring,
flushed, read by clients that take their time, while the memory limit moves. Every value that is read is compared with
what its writer knows, and resident memory stays within its bound. KVT_SOAK: seconds (make check-long: half an hour).
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import random
import threading
import time
from kvt import *

SECONDS = float(os.environ.get("KVT_SOAK") or 10)
WRITERS, READERS, KEYS = 5, 3, 3000
LIMITS = (128, 48, 96, 32, 64)          # megabytes, one after the other
FIXED = 24                              # what the process needs beside them
SIZES = ((1, 40), (200, 30), (2000, 15), (20000, 10), (200000, 4), (900000, 1))        # up to so many bytes, how often
REPEAT = 0.6                            # seconds by which a clock of whole seconds may be behind


def body(key, serial, size):
	"""Tells in every stretch of it whose value it is."""
	piece = b"<%s %d %d>" % (key, serial, size)
	return (piece * (size // len(piece) + 1))[:size]


class Clients:
	def __init__(self, kv):
		self.kv = kv
		self.over = threading.Event()
		self.wrong = []
		self.lock = threading.Lock()
		self.hits = self.misses = self.writes = self.slow = 0
		self.shared = [b"shared%d" % n for n in range(20)]
		self.threads = [threading.Thread(target=self.run, args=(f, n), daemon=True) for f, many in
		    ((self.writer, WRITERS), (self.reader, READERS), (self.flusher, 1)) for n in range(many)]
		for t in self.threads:
			t.start()

	def run(self, f, n):
		try:
			with self.kv.client(seconds=60) as c:
				f(c, random.Random(n + 1000 * WRITERS), n)
		except Exception as e:
			self.wrong.append("%s %d: %r" % (f.__name__, n, e))

	def stop(self):
		self.over.set()
		for t in self.threads:
			t.join()

	# ---- writers know their own keys

	def writer(self, c, rnd, n):
		known = {}              # key -> (value, end of its life or None)
		serial = 0
		while not self.over.is_set() and not self.wrong:
			out, asked = [], []
			for _ in range(rnd.choice((1, 4, 16))):
				serial += 1
				key = b"w%d-%d" % (n, min(int(rnd.paretovariate(0.5)), KEYS))
				if rnd.random() < 0.02:
					key = rnd.choice(self.shared)
				text, answer = self.command(rnd, key, serial, known)
				out.append(text)
				asked.append(answer)
			c.send(b"".join(out))
			for answer in asked:
				answer(c)

	def command(self, rnd, key, serial, known):
		what = rnd.random()
		if key in self.shared:
			return self.store(rnd, key, serial, None, size=rnd.randrange(100000, 500000))
		if what < 0.5:
			return self.get(rnd, key, known)
		if what < 0.8:
			return self.store(rnd, key, serial, known)
		if what < 0.87 and key in known and len(known[key][0]) < 300000:
			return self.join(rnd, key, known)
		if what < 0.93:
			return self.delete(key, known)
		return self.touch(rnd, key, known)

	def delete(self, key, known):
		def answer(c):
			self.line(c, key, (b"DELETED", b"NOT_FOUND"))
			known.pop(key, None)
		return b"delete %s\r\n" % key, answer

	def line(self, c, key, allowed):
		got = c.line().rstrip(b"\r\n")
		if got not in allowed:
			self.wrong.append("%r: %r" % (key, got))
		return got

	def store(self, rnd, key, serial, known, size=None):
		if size is None:
			most = rnd.choices([s for s, _ in SIZES], [w for _, w in SIZES])[0]
			size = rnd.randrange(most) if most > 1 else rnd.randrange(2)
		value = body(key, serial, size)
		ttl = rnd.choice((0, 0, 0, 1, 3, 10, 300)) if known is not None else 0
		sent = time.monotonic()

		def answer(c):
			got = self.line(c, key, (b"STORED", b"SERVER_ERROR out of memory storing object"))
			self.writes += 1
			if known is None:
				return
			known.pop(key, None)
			if got == b"STORED":
				known[key] = (value, time.monotonic() + ttl if ttl else None)
		return b"set %s %d %d %d\r\n%s\r\n" % (key, size & 0xffff, ttl, size, value), answer

	def join(self, rnd, key, known):
		more = b"+" * rnd.randrange(200)
		front = rnd.random() < 0.5

		def answer(c):
			got = self.line(c, key, (b"STORED", b"NOT_STORED", b"SERVER_ERROR out of memory storing object"))
			was = known.pop(key, None)
			if got == b"STORED" and was is not None:
				known[key] = ((more + was[0] if front else was[0] + more), was[1])
		return b"%s %s 0 0 %d\r\n%s\r\n" % (b"prepend" if front else b"append", key, len(more), more), answer

	def touch(self, rnd, key, known):
		ttl = rnd.choice((0, 2, 30))

		def answer(c):
			got = self.line(c, key, (b"TOUCHED", b"NOT_FOUND"))
			was = known.pop(key, None)
			if got == b"TOUCHED" and was is not None:
				known[key] = (was[0], time.monotonic() + ttl if ttl else None)
		return b"touch %s %d\r\n" % (key, ttl), answer

	def get(self, rnd, key, known):
		meta = rnd.random() < 0.5

		def answer(c):
			line = c.line()
			words = line.split()
			if line in (b"END\r\n", b"EN\r\n"):
				self.misses += 1
				return
			size = int(words[1] if meta else words[3])
			got = c.recv(size + 2)[:-2]
			if not meta and c.line() != b"END\r\n":
				self.wrong.append("%r: no END" % key)
			value, end = known.get(key, (None, None))
			if got != value:
				self.wrong.append("%r: %d bytes %r, not %r" % (key, size, got[:60], value and value[:60]))
			elif end is not None and time.monotonic() > end + REPEAT + patience:
				self.wrong.append("%r: %.1f s after its end" % (key, time.monotonic() - end))
			self.hits += 1
		return (b"mg %s v\r\n" if meta else b"get %s\r\n") % key, answer

	# ---- readers that take their time

	def reader(self, c, rnd, n):
		"""Asks for more than sockets hold and reads it bit by bit: values in use must not change under it."""
		while not self.over.is_set() and not self.wrong:
			keys = [rnd.choice(self.shared) for _ in range(20)]
			c.send(b"get %s\r\n" % b" ".join(keys))
			while True:
				line = c.line()
				if line == b"END\r\n":
					break
				_, key, _, size = line.split()
				got, size = b"", int(size)
				while len(got) < size:
					got += c.recv(min(50000, size - len(got)))
					self.over.wait(rnd.choice((0, 0, 0.01)))
				c.recv(2)
				serial = int(got[1:got.index(b">")].split()[1])
				if got != body(key, serial, size):
					self.wrong.append("%r: a mixture of values" % key)
				self.slow += 1

	def flusher(self, c, rnd, n):
		limit = 0
		while not self.over.is_set() and not self.wrong:
			self.over.wait(rnd.uniform(0.5, 4))
			limit += 1
			with self.lock:
				self.limit = LIMITS[limit % len(LIMITS)]
				self.since = time.monotonic()
			c.call(b"cache_memlimit %d\r\n" % self.limit)
			if rnd.random() < 0.2:
				c.call(b"flush_all\r\n" if rnd.random() < 0.5 else b"flush_all 1\r\n")


def resident(kv):
	with open("/proc/%d/status" % kv.pid) as f:
		return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) / 1024


with Kvgate(["-m", LIMITS[0], "-t", "2", "-I", "1m"]) as kv:
	clients = Clients(kv)
	end = time.monotonic() + SECONDS
	peak = 0
	while time.monotonic() < end and not clients.wrong:
		peak = max(peak, resident(kv))
		clients.over.wait(0.1)
	clients.stop()
	is_(clients.wrong[:3], [], "no wrong value in %d hits (%d misses, %d writes, %d slow reads)" %
	    (clients.hits, clients.misses, clients.writes, clients.slow))
	ok(clients.hits > 100 and clients.writes > 100 and clients.slow > 0, "there was enough to compare")
	bound = (max(LIMITS) + FIXED) * memory
	ok(peak <= bound, "resident memory was at most %.0f of %.0f megabytes" % (peak, bound))
	with kv.client() as c:
		is_(stats(kv, "cache")["corrupt"], "0", "the cache's state is sound")
		c.call(b"cache_memlimit %d\r\n" % LIMITS[3])
		n = 0

		def shrunk():
			"""Stores go on: memory comes back as they do."""
			global n
			c.send(b"".join(b"set after%d 0 0 1000 noreply\r\n%s\r\n" % (n + i, b"x" * 1000) for i in range(500)))
			c.sync()
			n += 500
			return resident(kv) <= (LIMITS[3] + FIXED) * memory
		wait_for(shrunk, 30, "memory to come back")
		ok(True, "a lower limit is reached (%.0f megabytes)" % resident(kv))
done_testing()
