#!/usr/bin/python3
"""
A hundred reloads under verified load, in which servers and namespaces come and go: no request fails, no client's connection
ends, no value is wrong, what did not change keeps its connections, what is gone is let go, and memory stays what it was.
KVT_RELOADS is how many.
"""
import os, random, re, signal, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from pipe import *
from redises import *

RELOADS = int(os.environ.get("KVT_RELOADS", "100"))
CLIENTS, KEYS, BATCH = 4, 50, 12
PATIENT = "timeout = %dms  connect_timeout = %dms" % (int(5000 * patience), int(5000 * patience))


def names(servers):
	return ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers)


def conf(steady, redis, moving, space):
	"""moving: the servers of the store whose servers change; space: whether the namespace c exists."""
	text = 'store "steady" { type = memcached  servers = { %s }  %s }\n' % (names(steady), PATIENT)
	text += 'store "moving" { type = memcached  servers = { %s }  %s }\n' % (names(moving), PATIENT)
	text += 'store "redis" { type = redis  servers = { %s }  %s }\n' % (names(redis), PATIENT)
	text += 'namespace "default" { prefix = ""  primary { store = "steady" }  local { ttl = 0 } }\n'
	text += 'namespace "m" { prefix = "b-"  primary { store = "moving" }  local { ttl = 0 } }\n'
	text += 'namespace "r" { prefix = "r-"  primary { store = "redis"  format = item }  local { ttl = 1s } }\n'
	if space:
		text += 'namespace "c" { prefix = "c-"  primary { store = "moving" }  local { ttl = 1s } }\n'
		text += 'namespace "own" { prefix = "o-" }\n'
	return text


class Client_(threading.Thread):
	"""
	Sets and gets its own keys of all namespaces. Where servers stay a get finds what was set last; where they change, it may
	find nothing, or what was set on an earlier server.
	"""
	STAYS = (b"a-", b"r-")

	def __init__(self, kv, n):
		super().__init__(daemon=True)
		self.kv, self.n = kv, n
		self.over = False
		self.done, self.wrong = 0, []
		self.start()

	def run(self):
		rnd, sets, last = random.Random(self.n), {}, {}
		try:
			with self.kv.client(seconds=60) as c:
				while not self.over:
					self.batch(c, rnd, sets, last)
		except Exception as e:
			self.wrong.append(repr(e))

	def batch(self, c, rnd, sets, last):
		asked, out = [], []
		for _ in range(BATCH):
			key = rnd.choice((b"a-", b"b-", b"c-", b"r-", b"o-")) + b"%d-%d" % (self.n, rnd.randrange(KEYS))
			if rnd.random() < 0.3:
				value = b"%s=%d." % (key, self.done + len(out)) * rnd.choice((1, 3, 20, 400))
				out.append(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
				sets.setdefault(key, set()).add(hash(value))
				asked.append((key, value))
			else:
				out.append(b"get %s\r\n" % key)
				asked.append((key, None))
		if not c.send(b"".join(out)):
			raise EOFError("kvgate closed the connection")
		for key, value in asked:
			self.answer(c, key, value, sets, last)
		self.done += BATCH

	def answer(self, c, key, value, sets, last):
		line = c.line()
		if value:
			last[key] = value
			if line != b"STORED\r\n":
				self.wrong.append((key, line))
			return
		got = None
		if line != b"END\r\n":
			m = re.fullmatch(rb"VALUE (\S+) 0 (\d+)\r\n", line)
			if not m or m.group(1) != key:
				return self.wrong.append((key, line))
			body = c.recv(int(m.group(2)) + 7)
			if not body.endswith(b"\r\nEND\r\n"):
				return self.wrong.append((key, body[-20:]))
			got = body[:-7]
		stays = key[:2] in self.STAYS
		if stays and got != last.get(key) or got is not None and hash(got) not in sets.get(key, ()):
			self.wrong.append((key, got and got[:50], "is not what was set"))


def connections(server):
	return int(stats(server)["total_connections"])


def reload(kv, text, said="read again, in effect"):
	before = len(kv.stderr())
	kv.write_conf(text)
	kv.send_signal(signal.SIGHUP)
	wait_for(lambda: said in kv.stderr()[before:], 20, "the reload: " + said)


def under_way(clients, n=100):
	start = sum(c.done for c in clients)
	wait_for(lambda: sum(c.done for c in clients) >= start + n or any(c.wrong for c in clients), 30, "answers")


def several(kv, clients, n, rnd):
	for i in range(n):
		reload(kv, conf(steady, redis, rnd.sample(moving, rnd.randint(1, len(moving))), i % 3 > 0))
		under_way(clients)
		if i % 20 == 10:
			broken(kv, clients)
		if any(c.wrong for c in clients):
			return


def settled(kv, limit):
	"""Whether resident memory comes below the limit: what old configurations had is freed within a second or two."""
	try:
		wait_for(lambda: rss(kv) < limit, 10, "memory")
		return True
	except TimeoutError:
		return False


def main():
	rnd = random.Random(1)
	# What AddressSanitizer keeps of what was freed is not to be taken for ours.
	asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"
	kv = Kvgate(["-t", "2", "-m", "4"], conf=conf(steady, redis, moving[:2], True),
	    env={"ASAN_OPTIONS": asan.lstrip(":")})
	clients = [Client_(kv, n) for n in range(CLIENTS)]
	under_way(clients, 2000)
	had = [connections(s) for s in steady]
	several(kv, clients, RELOADS // 2, rnd)         # malloc's own habits
	start = rss(kv)
	several(kv, clients, RELOADS, rnd)
	if not ok(settled(kv, start + 2 * MiB * memory), "resident memory stays what it was"):
		diag("it was %d KiB, and is %d" % (start // 1024, rss(kv) // 1024))
	# connections() is one itself.
	is_([connections(s) - 1 for s in steady], had, "the servers that stayed kept their connections")
	reload(kv, conf(steady, redis, moving[:1], False))
	under_way(clients)
	for s in moving[1:]:
		wait_for(lambda: int(stats(s)["curr_connections"]) <= 2, 20, "connections to a removed server to end")
	ok(True, "those that are gone have no connection any more")
	for c in clients:
		c.over = True
	for c in clients:
		c.join()
	is_([c.wrong[:3] for c in clients], [[]] * CLIENTS, "no failed request, no wrong value in %d requests and %d reloads" %
	    (sum(c.done for c in clients), kv.stderr().count("read again, in effect")))
	kv.stop()


def broken(kv, clients):
	"""A bad file changes nothing, and it is said why."""
	with open(kv.conf_path) as f:
		good = f.read()
	reload(kv, good.replace("type = redis", "type = rediss"), "nothing has changed: ")
	under_way(clients)
	kv.write_conf(good)


steady, moving, redis = [Memcached() for _ in range(2)], [Memcached() for _ in range(4)], [Redis()]
main()
for s in steady + moving + redis:
	s.stop()
done_testing()
