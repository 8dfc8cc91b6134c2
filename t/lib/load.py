"""
load - verified load on a kvgate of whose servers one is about to suffer, and what to ask afterwards.

	load = Load(kv, lambda keys: on_memcached(servers[0], keys))
	load.goes_on()                  # good answers of that server's keys
	... the server suffers; load.trouble has what was said ...
	load.goes_on(300, here=False)   # of the others' keys
	... the server is well again ...
	load.goes_on()
	texts = verdict(load, "127.0.0.1:11211", "killed")

A client sets and gets its own keys in pipelines and knows for each of them which values it may have now. forgets=True: the
server under test may come back with what it had earlier (a promoted replica that lacks the last writes).
"""

import random
import re
import threading

from kvt import *

__all__ = "CLIENTS KEYS Load on_memcached on_redis verdict server_stats errors_of".split()

CLIENTS, KEYS, BATCH = 4, 60, 12


def on_memcached(server, keys):
	with server.client() as c:
		return {key for key in keys if c.call(b"mg %s\r\n" % key) == b"HD\r\n"}


def on_redis(server, keys):
	"""server: a Redis, or a node of a cluster that is a master."""
	with server.resp() as c:
		found = c.pipeline(*[("EXISTS", key) for key in keys])
		return {key for key, there in zip(keys, found) if there == 1}


class Load:
	"""What is seen of keys of the server under test and of the others is counted apart."""

	runs = 0

	def __init__(self, kv, on_victim, forgets=False):
		Load.runs += 1
		self.run = Load.runs            # what an earlier load wrote late is none of this one's business
		self.kv = kv
		self.forgets = forgets
		self.here = self.placement(on_victim)
		self.stopping = False
		self.lock = threading.Lock()
		self.wrong, self.foreign = [], []
		self.trouble = {}               # texts of errors of the server under test
		self.good_here, self.good_elsewhere = [0] * CLIENTS, [0] * CLIENTS
		self.threads = [threading.Thread(target=self.client, args=(n,), daemon=True) for n in range(CLIENTS)]
		for t in self.threads:
			t.start()

	def key(self, n, k):
		return b"r%d-c%d-%d" % (self.run, n, k)

	def placement(self, on_victim):
		"""Which keys live on the server under test."""
		keys = [self.key(n, k) for n in range(CLIENTS) for k in range(KEYS)]
		with self.kv.client() as c:
			for key in keys:
				# A worker may not know yet that the server is well again.
				wait_for(lambda: c.call(b"set %s 0 0 1\r\nx\r\n" % key) == b"STORED\r\n", 30, "all servers")
		here = on_victim(keys)
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
						self.answer(n, c, key, value, may)
		except Exception as e:
			self.note(self.wrong, "client %d: %r" % (n, e))

	def answer(self, n, c, key, value, may):
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
			if self.forgets and here:
				may.setdefault((key, "late"), []).extend(may.get(key, []))
			may[key] = [value]
		else:
			self.check(c, key, line, here, may)
		(self.good_here if here else self.good_elsewhere)[n] += 1

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
			self.note(self.wrong, key, line, body[:100], "may be", [v and v[0] for v in may.get(key, [])],
			    "or late", [v[0] for v in may.get((key, "late"), [])])

	def goes_on(self, n=200, here=True):
		"""
		Waits for so many more good answers (of the server under test), and for some to each client: what one worker of kvgate
		thinks of a server the others do not know.
		"""
		counts = self.good_here if here else self.good_elsewhere
		start = list(counts)
		wait_for(lambda: (sum(counts) >= sum(start) + n and all(now > was for now, was in zip(counts, start))) or self.wrong, 30,
		    "good answers")

	def says(self, error, title):
		"""Waits for an error that matches."""
		wait_for(lambda: self.wrong or any(re.search(error, t) for t in list(self.trouble)), 30, title)

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
	"""Ends the load; returns the errors that clients saw. name: that of the server under test."""
	load.stop()
	is_(load.wrong[:5], [], "%s: no wrong value, nothing lost elsewhere" % title)
	is_(load.foreign[:5], [], "%s: no key of the other servers failed" % title)
	texts = sorted(load.trouble)
	if want_trouble:
		ok(texts, "%s: keys of the server failed meanwhile" % title)
	strange = [t for t in texts if not t.startswith(b"SERVER_ERROR " + name.encode() + b" ")]
	is_(strange, [], "%s: every error names the server" % title)
	return texts
