#!/usr/bin/python3
"""
A Redis that fails in every way while records are written and read in pipelines: each answer is one that there is, in its place; what was
acknowledged is there, what was not is there or not; and what goes out again with its token until it is acknowledged is done once.
"""
import os, random, re, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *
from between import Between

MS = int(300 * patience)
CONF = """store "r" { type = redis  servers = { "127.0.0.1:%%d" }  timeout = %dms  connect_timeout = %dms  retry_min = 10ms  retry_max = 50ms }
namespace "m" { prefix = "m:"  item_separator = "/"  primary { store = "r"  format = item }  local { ttl = 0 } }
namespace "default" { prefix = ""  primary { store = "r"  format = item } }
""" % (MS, MS)
KEYS = [b"a", b"b", b"c", b"d", b"e", b"f"]
FAULTS = ("reset 3", "reset 30", "close 20", "corrupt 5", "stall 10", "late %d" % (2 * MS), "drip 1", "kill", "refuse", "scripts", "kick", "full", "busy")


class Worker(threading.Thread):
	"""Has a record of its own, and knows for each item what it may be: one thing, or several after a failure. None is nothing."""

	def __init__(self, kv, n, tokens):
		super().__init__(daemon=True)
		self.c, self.rnd, self.id, self.tokens = kv.client(seconds=60), random.Random(n), b"m:%d" % n, tokens
		self.may = {k: {None} for k in KEYS}
		self.n = self.counted = self.rounds = self.failures = self.token_time = 0
		self.wrong, self.over = [], threading.Event()

	def token(self):
		if not self.tokens:
			return b""
		self.token_time = max(self.token_time + 1, int(time.time() * 1000000))
		return b" E%d P%x" % (self.token_time, self.rnd.randrange(1, 1 << 100))

	def puts(self, keys):
		items = []
		for k in keys:
			self.n += 1
			items.append((k, b"%d-" % self.n + b"x" * self.rnd.choice((0, 10, 3000))))
		return items, b" %d%%s\r\n" % len(items) + b"".join(b"%s %d\r\n%s\r\n" % (k, len(v), v) for k, v in items)

	def write(self):
		"""A write, and what it makes of the items."""
		how, keys = self.rnd.choice(("kp", "kp", "kp", "kd", "range", "record", "km", "ms")), self.rnd.sample(KEYS, 3)
		if how == "kp":
			items, text = self.puts(keys)
			return b"kp " + self.id + text.replace(b"%s", self.token(), 1), dict(items)
		if how == "km":
			items, text = self.puts(keys)
			return b"km 2%s\r\nkd %s\r\nkp %s" % (self.token(), self.id, self.id) + text.replace(b"%s", b"", 1), {**dict.fromkeys(KEYS), **dict(items)}
		if how == "ms":
			self.n += 1
			return b"ms %s/%s 6%s\r\n%06d\r\n" % (self.id, keys[0], self.token(), self.n % 1000000), {keys[0]: b"%06d" % (self.n % 1000000)}
		what = {"kd": b" K" + b" K".join(keys), "range": b" Gb Ue", "record": b""}[how]
		return b"kd %s%s%s\r\n" % (self.id, what, self.token()), dict.fromkeys({"kd": keys, "range": KEYS[1:4], "record": KEYS}[how])

	def failed(self, line, command):
		self.failures += 1
		if not re.fullmatch(rb"SERVER_ERROR (\d of 2 failed: )?127\.0\.0\.1:\d+ [^\r\n]+\r\n", line):
			self.wrong.append((command[:60], line))

	def page(self):
		"""All items, None after a failure, with what was told before that."""
		found = {}
		while True:
			line = self.c.line()
			if line[:3] == b"VA ":
				_, size, key = line.split()
				found[key[1:]] = self.c.recv(int(size) + 2)[:-2]
			elif line == b"EN\r\n":
				return found
			else:
				# A page may end early, with a token.
				if line[:4] != b"EN N":
					self.failed(line, b"kg")
				return None

	def told(self, line, command, makes):
		good = line == b"HD\r\n"
		if not good:
			self.failed(line, command)
		for k, v in makes.items():
			# Of a km the kd alone may have been done.
			self.may[k] = {v} if good else self.may[k] | {v, None} if command[:2] == b"km" else self.may[k] | {v}
		return good

	def pipeline(self):
		writes = [self.write() for _ in range(self.rnd.randrange(1, 6))]
		self.c.send_and_read(b"".join(w[0] for w in writes) + b"kg %s k v\r\n" % self.id)
		good = [self.told(self.c.line(), *w) for w in writes]
		self.seen(self.page())
		while self.tokens and not all(good):
			# Once more in their order, until all are acknowledged: what was done is not done again.
			self.c.send_and_read(b"".join(w[0] for w in writes))
			good = [line == b"HD\r\n" or self.failed(line, b"again") for line in [self.c.line() for _ in writes]]
			if all(good):
				for _, makes in writes:
					for k, v in makes.items():
						self.may[k] = {v}

	def seen(self, page):
		for k in KEYS if page is not None else ():
			if page.get(k) not in self.may[k]:
				self.wrong.append((self.id, k, page.get(k), self.may[k]))

	def count(self):
		line = b"ma %s/count N0 J1 v%s\r\n" % (self.id, self.token())
		said = self.c.call(line)
		while said[:2] != b"VA":
			self.failed(said, line)
			said = self.c.call(line)
		self.counted += 1
		value = int(self.c.line())
		if value != self.counted:
			self.wrong.append((line, value, self.counted))

	def step(self):
		self.pipeline()

	def run(self):
		try:
			while not self.over.is_set():
				self.step()
				self.rounds += 1
		except Exception as e:
			self.wrong.append(e)


class Counter(Worker):
	def step(self):
		self.count()


def strike(fault, r, between):
	if fault == "scripts":
		r.call("SCRIPT", "FLUSH")
	elif fault == "kick":
		r.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	elif fault == "full":
		r.call("CONFIG", "SET", "maxmemory", 1)
	elif fault == "busy":
		r.call("CONFIG", "SET", "busy-reply-threshold", 1)
		slow = r.resp()
		slow.send(b"*3\r\n$4\r\nEVAL\r\n$18\r\nwhile true do  end\r\n$1\r\n0\r\n")
		return slow
	else:
		between.fault(fault)


def mend(fault, r, between, slow):
	if fault == "full":
		r.call("CONFIG", "SET", "maxmemory", 0)
	elif fault == "busy":
		wait_for(lambda: tries(r, "SCRIPT", "KILL"), 20, "the slow script to be killed")
		slow.close()
	between.fault("none")


def tries(r, *command):
	try:
		return r.call(*command)
	except RedisError:
		return False


def goes_on(workers, n, failures=False):
	seen = [w.failures if failures else w.rounds for w in workers]
	wait_for(lambda: any(w.wrong for w in workers) or sum(w.failures if failures else w.rounds for w in workers) >= sum(seen) + n, 60, "work to go on")


with Redis(["--maxmemory-policy", "noeviction"]) as r, Between(r) as between, Kvgate(["-t", "2"], conf=CONF % between.port) as kv:
	workers = [Worker(kv, n, n % 2) for n in range(4)] + [Counter(kv, n, True) for n in range(4, 6)]
	for w in workers:
		w.start()
	goes_on(workers, 30)
	for fault in FAULTS:
		slow = strike(fault, r, between)
		# The others may be too short to be noticed.
		goes_on(workers, 5, fault.split()[0] in ("reset", "close", "stall", "refuse", "full", "busy"))
		mend(fault, r, between, slow)
		goes_on(workers, 30)
		wrong = [x for w in workers for x in w.wrong]
		if not is_(wrong[:3], [], "%s: nothing is lost, and all answers are in their places" % fault):
			break
	for w in workers:
		w.over.set()
	for w in workers:
		w.join()
	with kv.client(seconds=60) as c:
		for w in workers[:4]:
			wait_for(lambda: c.call(b"mg k\r\n") == b"EN\r\n", 20, "the server to be up")
			c.send(b"kg %s k v\r\n" % w.id)
			w.c = c
			w.seen(w.page())
	is_([w.wrong[:2] for w in workers], [[]] * 6, "and so it is in the end")
	diag("%d rounds, %d failures, %d counted" % (sum(w.rounds for w in workers), sum(w.failures for w in workers), sum(w.counted for w in workers)))
done_testing()
