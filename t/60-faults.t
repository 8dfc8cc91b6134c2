#!/usr/bin/python3
"""
One of three servers fails in every way there is while verified load runs: only its keys may fail, each failure names
it, the others do not notice, nobody ever gets a wrong value, and all is well again once the server is.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import random
import re
import threading
from kvt import *
from faulty import Faulty

TIMEOUT_MS = int(max(1500, 600 * patience))     # a healthy server on a busy machine needs some
CLIENTS, KEYS, BATCH = 4, 60, 12

CONF = """store "fleet" { type = memcached  servers = { %s }  distribution = ketama
	timeout = %dms  connect_timeout = %dms  retry_min = 20ms  retry_max = 200ms  protocol = %s }
namespace "default" { prefix = ""  primary { store = "fleet" }  local { ttl = %s } }
"""


def fleet(servers, protocol="auto", local="0"):
	names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers)
	return Kvgate(["-t", "2"], conf=CONF % (names, TIMEOUT_MS, TIMEOUT_MS, protocol, local))


class Load:
	"""
	Clients that set and get their own keys in pipelines and know for each key which values it may have now. What
	they see of keys of the server under test and of the others is counted apart.
	"""

	runs = 0

	def __init__(self, kv, servers):
		Load.runs += 1
		self.run = Load.runs            # what an earlier load wrote late is none of this one's business
		self.kv = kv
		self.here = self.placement(servers)
		self.stopping = False
		self.lock = threading.Lock()
		self.wrong, self.foreign = [], []
		self.trouble = {}               # texts of errors of the server under test
		self.good_here = self.good_elsewhere = 0
		self.threads = [threading.Thread(target=self.client, args=(n,), daemon=True) for n in range(CLIENTS)]
		for t in self.threads:
			t.start()

	def key(self, n, k):
		return b"r%d-c%d-%d" % (self.run, n, k)

	def placement(self, servers):
		"""Which keys live on servers[0], the one under test."""
		keys = [self.key(n, k) for n in range(CLIENTS) for k in range(KEYS)]
		with self.kv.client() as c:
			for key in keys:
				# A worker may not know yet that the server is well again.
				wait_for(lambda: c.call(b"set %s 0 0 1\r\nx\r\n" % key) == b"STORED\r\n", 30, "all servers")
		with servers[0].client() as c:
			here = {key for key in keys if c.call(b"mg %s\r\n" % key) == b"HD\r\n"}
		with self.kv.client() as c:
			for key in keys:
				wait_for(lambda: c.call(b"delete %s\r\n" % key)[:7] in (b"DELETED", b"NOT_FOU"), 30, "all servers")
		return here

	def note(self, what, *more):
		with self.lock:
			what.append(more)

	def client(self, n):
		rnd = random.Random(n)
		may = {}                        # key -> list of values; None: not there
		serial = 0
		try:
			with self.kv.client(seconds=30) as c:
				while not self.stopping:
					asked, out = [], []
					for _ in range(BATCH):
						key = self.key(n, rnd.randrange(KEYS))
						if rnd.random() < 0.3:
							serial += 1
							value = b"%s=%d." % (key, serial) * rnd.choice((1, 3, 20, 400))
							out.append(b"set %s %d 0 %d\r\n%s\r\n" % (key, serial, len(value), value))
							asked.append((key, (b"%d" % serial, value)))
						else:
							out.append(b"get %s\r\n" % key)
							asked.append((key, None))
					if not c.send(b"".join(out)):
						raise EOFError("kvgate closed the connection")
					for key, value in asked:
						self.answer(c, key, value, may)
		except Exception as e:
			self.note(self.wrong, "client %d: %r" % (n, e))

	def answer(self, c, key, value, may):
		line = c.line()
		here = key in self.here
		if line.startswith(b"SERVER_ERROR "):
			if not here:
				self.note(self.foreign, key, line)
			with self.lock:
				self.trouble[line] = self.trouble.get(line, 0) + 1
			if value:               # it may have arrived, and may still do so at any time
				may.setdefault(key, [None])
				may.setdefault((key, "late"), []).append(value)
			return
		if value:
			if line != b"STORED\r\n":
				self.note(self.wrong, key, line)
			may[key] = [value]
		else:
			self.check(c, key, line, here, may)
		with self.lock:
			if here:
				self.good_here += 1
			else:
				self.good_elsewhere += 1

	def check(self, c, key, line, here, may):
		if line == b"END\r\n":
			# The server under test may lose what it had; nothing else may.
			if not here and None not in may.get(key, [None]):
				self.note(self.wrong, key, "lost")
			return
		m = re.fullmatch(rb"VALUE (\S+) (\d+) (\d+)\r\n", line)
		if not m:
			self.note(self.wrong, key, line)
			return
		body = c.recv(int(m.group(3)) + 7)
		got = (m.group(2), body[:-7])
		if m.group(1) != key or not body.endswith(b"\r\nEND\r\n") or (got not in may.get(key, []) and
		    got not in may.get((key, "late"), [])):
			self.note(self.wrong, key, line, body[:100])

	def goes_on(self, n=200, here=True):
		"""Waits for so many more good answers (of the server under test)."""
		def count():
			return self.good_here if here else self.good_elsewhere
		start = count()
		wait_for(lambda: count() >= start + n or self.wrong, 30, "good answers")

	def stop(self):
		self.stopping = True
		for t in self.threads:
			t.join()


def server_stats(kv, name):
	"""`stats servers` of one server: field -> number or word."""
	found = {}
	for key, value in stats(kv, "servers").items():
		if name in key:
			found[key.rsplit(":", 1)[-1]] = value
	return found


def errors_of(fields):
	return {k: int(v) for k, v in fields.items() if v.isdigit() and k not in ("inflight", "port", "line")}


def verdict(load, name, title, want_trouble=True):
	load.stop()
	is_(load.wrong[:5], [], "%s: no wrong value, nothing lost elsewhere" % title)
	is_(load.foreign[:5], [], "%s: no key of the other servers failed" % title)
	texts = sorted(load.trouble)
	if want_trouble:
		ok(texts, "%s: keys of the server failed meanwhile" % title)
	strange = [t for t in texts if not t.startswith(b"SERVER_ERROR " + name.encode() + b" ")]
	is_(strange, [], "%s: every error names the server" % title)
	return texts


# ---- a server is killed and comes back

with Memcached() as victim, Memcached() as b, Memcached() as c3:
	fleet3 = [victim, b, c3]
	with fleet(fleet3) as kv:
		name = "127.0.0.1:%d" % victim.port
		load = Load(kv, fleet3)
		ok(20 < len(load.here) < CLIENTS * KEYS - 20,
		    "keys are spread: %d of %d here" % (len(load.here), CLIENTS * KEYS))
		load.goes_on()
		before = server_stats(kv, name)
		victim.kill()
		wait_for(lambda: load.wrong or any(b"is down" in t for t in list(load.trouble)), 30, "the server to be down")
		load.goes_on(500, here=False)
		down = server_stats(kv, name)
		is_(down.get("state"), "down", "killed: stats servers say so")
		victim.start(victim.argv)
		load.goes_on()
		verdict(load, name, "killed")
		after = server_stats(kv, name)
		is_(after.get("state"), "up", "killed: up again in stats servers")
		ok(errors_of(after)["errors"] > errors_of(before)["errors"], "killed: its errors are counted")

# ---- a server that is there but behaves badly

GONE, NONSENSE, LATE = rb"closed the connection|reset the connection", rb"makes no sense", rb"timed out"

# What Faulty is told, the error that must be seen (None: perhaps none), whether it makes sense in the classic protocol.
FAULTS = [
	("refuse", rb"is down: connect failed", True),
	("silent", rb"timed out", True),
	("stall 30", LATE, True),
	("late %d" % (TIMEOUT_MS * 3), LATE, True),
	("drip 20", LATE, False),
	("reset 30", GONE, True),
	("close 30", GONE, True),
	("middle 30", GONE, True),
	("rubbish 30", NONSENSE, True),
	("longer 30", NONSENSE + rb"|" + LATE, True),
	("shorter 30", NONSENSE, True),
	("huge 30", NONSENSE, True),
	("badlen 30", NONSENSE, True),
	("opaque 30", NONSENSE, False),
	("extra 30", NONSENSE, False),
	("few 30", NONSENSE + rb"|" + LATE, False),
	("swap 30", NONSENSE, False),
	("unasked 30", None, False),
	("endless 30", NONSENSE, True),
]


def misbehave(kv, servers, fault, error, title):
	faulty = servers[0]
	name = "127.0.0.1:%d" % faulty.port
	load = Load(kv, servers)
	load.goes_on()
	before = server_stats(kv, name)
	faulty.fault(fault)
	if error is None:
		load.goes_on()
	else:
		wait_for(lambda: load.wrong or any(re.search(error, t) for t in list(load.trouble)), 30, title)
	load.goes_on(300, here=False)
	faulty.fault("none")
	load.goes_on()
	texts = verdict(load, name, title, error is not None)
	if error is not None:
		ok(any(re.search(error, t) for t in texts), "%s: the right error is among them" % title) or diag(texts)
	after = server_stats(kv, name)
	is_(after.get("state"), "up", "%s: up again" % title)
	if error is not None:
		ok(errors_of(after)["errors"] > errors_of(before)["errors"], "%s: errors are counted" % title)


for protocol in ("auto", "classic"):
	with Faulty() as faulty, Memcached() as b, Memcached() as c3:
		servers = [faulty, b, c3]
		with fleet(servers, protocol) as kv:
			for fault, error, classic in FAULTS:
				if classic or protocol != "classic":
					misbehave(kv, servers, fault, error, protocol + ", " + fault)

# ---- a server that is down from the start, and one that nobody knows

with Memcached() as b:
	gone = free_port()
	conf = CONF % ('"127.0.0.1:%d 1", "127.0.0.1:%d 1"' % (gone, b.port), TIMEOUT_MS, TIMEOUT_MS, "auto", "5s")
	with Kvgate([], conf=conf) as kv, kv.client() as c:
		answers = [c.call(b"set k%d 0 0 1\r\nx\r\n" % i) for i in range(40)]
		bad = sorted(set(answers) - {b"STORED\r\n"})
		ok(b"STORED\r\n" in answers, "down from the start: keys of the other server are served")
		is_(len(bad) > 0 and [a for a in bad if ("127.0.0.1:%d is down" % gone).encode() not in a], [],
		    "down from the start: the keys of this one say so")
		with Memcached(["-p", gone, "-l", "127.0.0.1"]):
			wait_for(lambda: all(c.call(b"set k%d 0 0 1\r\nx\r\n" % i) == b"STORED\r\n" for i in range(40)), 20,
			    "the server to be found")
			ok(True, "down from the start: found when it comes")

done_testing()
