#!/usr/bin/python3
"""
Records against a model: random puts, deletes of items, ranges and records, and relative writes, each with a token, sent once or more,
in any order, by several clients at once; in the end everything is as the model has it: on rocksdb behind one kvgate, on
Redis behind two, on a Redis Cluster behind three.

Values are stored as they are, or compressed and in pieces. Blind writes: the newest token wins, whoever came first. Relative
ones: each token counts once and has one answer.

	KVT_SEED=n              another history (it is printed)
	KVT_MODEL_WRITES=n      how many blind writes a round has (300)
	KVT_MODEL_ROUNDS=n      how many rounds, each with the seed after (1)
"""
import contextlib, itertools, os, random, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

SEED = int(os.environ.get("KVT_SEED") or 58)
WRITES = int(os.environ.get("KVT_MODEL_WRITES") or 300)
ROUNDS = int(os.environ.get("KVT_MODEL_ROUNDS") or 1)
CLIENTS = 6
RECORDS = 8
ITEMS = [b"", b"a", b"a/b", b"ab", b"abc", b"b", b"b-1", b"b-2", b"c", b"z"]
SECOND = 1000000

SPACE = 'namespace "m" { prefix = "m:"  item_separator = "/"  primary { store = "s"  format = item }  local { ttl = %s }  %s }\n'
ENCODED = "compression { codec = zstd  min_size = 16 }  chunk_size = 4KB"


# ---------------------------------------------------------------- the model

class Model:
	"""All that was ever written, by item; the newest (time, nonce) counts, a put before a range's delete of its own."""

	def __init__(self):
		self.puts = {}          # (id, item): {stamp: value}
		self.deletes = {}       # (id, item): newest stamp
		self.ranges = {}        # id: [(from, until or None, stamp)]

	def put(self, stamp, id, item, value):
		self.puts.setdefault((id, item), {})[stamp] = value

	def delete(self, stamp, id, item):
		self.deletes[id, item] = max(stamp, self.deletes.get((id, item), stamp))

	def range(self, stamp, id, first, until):
		self.ranges.setdefault(id, []).append((first, until, stamp))

	def item(self, id, item):
		"""(value, version), or None."""
		puts = self.puts.get((id, item))
		if not puts:
			return None
		stamp = max(puts)
		if self.deletes.get((id, item), (-1, 0)) >= stamp:
			return None
		for first, until, at in self.ranges.get(id, ()):
			if first <= item and (until is None or item < until) and at > stamp:
				return None
		return puts[stamp], stamp[0]

	def record(self, id):
		found = {item: self.item(id, item) for i, item in self.puts if i == id}
		return {item: there for item, there in found.items() if there is not None}

	def all(self):
		records = {id: self.record(id) for id in {i for i, _ in self.puts}}
		return {id: items for id, items in records.items() if items}


def behind(head):
	"""What is behind all keys with this head."""
	return head[:-1] + bytes([head[-1] + 1])


# ---------------------------------------------------------------- blind writes

def token(stamp):
	return b" E%d P%x" % stamp


def kp(id, items, flags=b""):
	return b"kp %s %d%s\r\n" % (id, len(items), flags) + b"".join(b"%s %d\r\n%s\r\n" % (k, len(v), v) for k, v in items)


def full(id, item):
	return id + b"/" + item if item else id


class Writes:
	"""Makes random blind writes, and tells the model of each. Each round has records of its own."""

	def __init__(self, rng, base):
		self.rng = rng
		self.base = base
		self.ids = [b"m:r%d-%d" % (base, n) for n in range(RECORDS)]
		self.model = Model()
		self.made = 0
		self.nonces = set()

	def stamp(self):
		"""Unlike all before; often of the same time."""
		while True:
			stamp = self.base + self.rng.randrange(60), self.rng.getrandbits(self.rng.choice((4, 16, 128)))
			if stamp not in self.nonces:
				self.nonces.add(stamp)
				return stamp

	def value(self):
		self.made += 1
		n = self.rng.choice((0, 0, 0, 10, 300, 9000))
		# Long ones do not get short enough to be one piece.
		return b"%d" % self.made + (b"%x" % self.rng.getrandbits(4 * n) if n > 1000 else b"." * n)

	def some_items(self, most):
		return self.rng.sample(ITEMS, self.rng.randrange(1, most + 1))

	def put(self, id, stamp):
		items = [(item, self.value()) for item in self.some_items(5)]
		# Of one key the last line counts.
		items += [(item, self.value()) for item, _ in items if self.rng.random() < 0.1]
		for item, value in dict(items).items():
			self.model.put(stamp, id, item, value)
		return kp, id, items

	def range_of(self, id, stamp):
		first, until = sorted(self.rng.sample(ITEMS, 2))
		head = self.rng.choice([b"a", b"b", b"ab"])
		flags, lo, hi = self.rng.choice([(b"", b"", None), (b" G" + first, first, None), (b" U" + until, b"", until),
		    (b" G%s U%s" % (first, until), first, until), (b" H" + head, head, behind(head))])
		self.model.range(stamp, id, lo, hi)
		return flags

	def one(self):
		id = self.rng.choice(self.ids)
		stamp = self.stamp()
		what = self.rng.random()
		if what < 0.3:
			_, _, items = self.put(id, stamp)
			return kp(id, items, token(stamp))
		if what < 0.5:
			item, value = self.rng.choice(ITEMS), self.value()
			self.model.put(stamp, id, item, value)
			return b"ms %s %d%s\r\n%s\r\n" % (full(id, item), len(value), token(stamp), value)
		if what < 0.65:
			item = self.rng.choice(ITEMS)
			self.model.delete(stamp, id, item)
			return b"md %s%s\r\n" % (full(id, item), token(stamp))
		if what < 0.75:
			items = self.some_items(4)
			for item in items:
				self.model.delete(stamp, id, item)
			return b"kd %s%s%s\r\n" % (id, b"".join(b" K" + item for item in items), token(stamp))
		if what < 0.9:
			return b"kd %s%s%s\r\n" % (id, self.range_of(id, stamp), token(stamp))
		return self.several(stamp)

	def several(self, stamp):
		"""km: a record replaced, others put to; what is put stays, for it comes later in the same token."""
		ids = self.rng.sample(self.ids, self.rng.randrange(1, 4))
		subs = [b"kd %s%s\r\n" % (ids[0], self.range_of(ids[0], stamp))]
		for id in ids:
			_, _, items = self.put(id, stamp)
			subs.append(kp(id, items))
		return b"km %d%s\r\n" % (len(subs), token(stamp)) + b"".join(subs)


# ---------------------------------------------------------------- relative writes

class Relative:
	"""Writes that depend on what is there: what comes of them is known although their order is not."""

	def __init__(self, rng, base, n):
		self.rng = rng
		self.base = base
		self.writes = []
		self.counts = {}
		self.pieces = {}
		self.adds = {}
		for i in range(n):
			self.writes.append(rng.choice((self.incr, self.append, self.add))(i))

	def token(self, i):
		return token((self.base + self.rng.randrange(60), i))

	def incr(self, i):
		key, by = b"m:n%d-%d/x" % (self.base, self.rng.randrange(3)), self.rng.randrange(1, 100)
		self.counts[key] = self.counts.get(key, 0) + by
		return b"ma %s%s D%d N0 J%d v\r\n" % (key, self.token(i), by, by)

	def append(self, i):
		key, piece = b"m:p%d-%d/x" % (self.base, self.rng.randrange(3)), b"<%06d>" % i
		self.pieces.setdefault(key, []).append(piece)
		return b"ms %s %d M%s N0%s\r\n%s\r\n" % (key, len(piece), self.rng.choice((b"A", b"P")), self.token(i), piece)

	def add(self, i):
		key, value = b"m:d%d-%d/x" % (self.base, self.rng.randrange(10)), b"%06d" % i
		self.adds.setdefault(key, []).append((i, value))
		return b"ms %s %d ME%s\r\n%s\r\n" % (key, len(value), self.token(i), value)

	def check(self, c, answers, name):
		"""answers: of each write all that were given."""
		given = [set(answers.get(w, ())) for w in self.writes]
		ok(all(len(a) == 1 for a in given), "%s: a token has one answer, however often it comes" % name)
		for w, a in [(w, a) for w, a in zip(self.writes, given) if len(a) != 1][:3]:
			diag(w, a)
		is_({k: value_of(c, k) for k in self.counts}, {k: b"%d" % n for k, n in self.counts.items()},
		    "%s: each incr counts once" % name)
		is_({k: pieces_of(value_of(c, k)) for k in self.pieces}, {k: sorted(p) for k, p in self.pieces.items()},
		    "%s: each append and prepend is there once" % name)
		won = {k: [value for i, value in all_of if given[i] == {b"HD\r\n"}] for k, all_of in self.adds.items()}
		is_({k: [value_of(c, k)] for k in self.adds}, won, "%s: one add of each key was done, and told so" % name)


def pieces_of(value):
	return sorted(value[i:i + 8] for i in range(0, len(value), 8))


def value_of(c, key):
	return answer(c, b"mg %s v\r\n" % key).partition(b"\r\n")[2][:-2]


# ---------------------------------------------------------------- clients

def read_answer(c, pages=False):
	line = c.line()
	whole = line + c.recv(int(line.split()[1]) + 2) if line.startswith(b"VA ") else line
	return whole + read_answer(c, pages) if pages and not whole.startswith(b"EN") else whole


def answer(c, command):
	c.send(command)
	return read_answer(c, command.startswith(b"kg"))


def answers_to(c, commands):
	"""Of all at once."""
	c.send(b"".join(commands))
	return [read_answer(c, w.startswith(b"kg")) for w in commands]


class Sender(threading.Thread):
	"""Sends what it is given, some of it at a time, and keeps the answers."""

	def __init__(self, kv, commands, rng):
		super().__init__()
		self.c = kv.client(seconds=60)
		self.commands = commands
		self.rng = rng
		self.answers = []
		self.error = None

	def run(self):
		try:
			at = 0
			while at < len(self.commands):
				batch = self.commands[at:at + self.rng.randrange(1, 20)]
				self.answers += zip(batch, answers_to(self.c, batch))
				at += len(batch)
		except Exception as e:
			self.error = e
		self.c.close()


def deliver(kvs, writes, rng, reads=()):
	"""Each write once or more, by any client, in any order; {write: answers}. Reads are among them: what they copy must not last."""
	queues = [[rng.choice(reads) for _ in range(len(writes) // CLIENTS if reads else 0)] for _ in range(CLIENTS)]
	for w in writes:
		for _ in range(rng.choice((1, 1, 2, 3))):
			rng.choice(queues).append(w)
	for q in queues:
		rng.shuffle(q)
	senders = [Sender(kvs[i % len(kvs)], q, random.Random(rng.random())) for i, q in enumerate(queues)]
	for s in senders:
		s.start()
	answers = {}
	for s in senders:
		s.join()
		if s.error is not None:
			raise s.error
		for w, a in s.answers:
			answers.setdefault(w, []).append(a)
	return answers


class Swapper(threading.Thread):
	"""Counts up by cas, each with a token and sent twice, the second time through another kvgate."""

	def __init__(self, kvs, i, key, n, base):
		super().__init__()
		self.clients = [kvs[(i + j) % len(kvs)].client(seconds=60) for j in range(2)]
		self.i, self.key, self.n, self.base = i, key, n, base
		self.done = self.odd = 0
		self.error = None

	def run(self):
		try:
			for n in range(self.n):
				self.swap(n)
		except Exception as e:
			self.error = e
		for c in self.clients:
			c.close()

	def swap(self, n):
		head, _, rest = answer(self.clients[0], b"mg %s v c\r\n" % self.key).partition(b"\r\n")
		value = b"%d" % (int(rest) + 1)
		w = b"ms %s %d C%s%s\r\n%s\r\n" % (self.key, len(value), head.split(b" c")[1], token((self.base, self.i * 1000 + n)), value)
		a = [answer(c, w) for c in self.clients]
		self.done += a[0] == b"HD\r\n"
		self.odd += a[0] != a[1] or a[0] not in (b"HD\r\n", b"EX\r\n")


def swaps(kvs, base, name):
	with kvs[0].client() as c:
		c.call(b"ms m:swap/x 1\r\n0\r\n")
	swappers = [Swapper(kvs, i, b"m:swap/x", 12, base) for i in range(4)]
	for s in swappers:
		s.start()
	for s in swappers:
		s.join()
		if s.error is not None:
			raise s.error
	with kvs[-1].client() as c:
		is_(int(value_of(c, b"m:swap/x")), sum(s.done for s in swappers), "%s: each cas that was done counts once" % name)
	is_(sum(s.odd for s in swappers), 0, "%s: and is answered the same the second time" % name)


# ---------------------------------------------------------------- what is there

def read_lines(c, command):
	"""The items of one page, each (flags, value), and the token of the next or None."""
	items = []
	c.send(command)
	while True:
		line = c.line()
		words = line.split()
		if not words or words[0] not in (b"VA", b"HD", b"EN"):
			raise ValueError("%r is answered by %r" % (command, line))
		if words[0] == b"EN":
			return items, next((w[1:] for w in words[1:] if w[:1] == b"N"), None)
		value = c.recv(int(words[1]) + 2)[:-2]
		items.append(({w[:1]: w[1:] for w in words[2:]}, value))


def read_pages(c, command):
	items, more = read_lines(c, command + b"\r\n")
	while more:
		page, more = read_lines(c, command + b" N" + more + b"\r\n")
		items += page
	return items


def record_of(c, id, flags):
	items = [(f[b"k"], (v, int(f[b"c"]))) for f, v in read_pages(c, b"kg %s k v c%s" % (id, flags))]
	order = [k for k, _ in items]
	if order != sorted(set(order), reverse=b" r" in flags):
		raise ValueError("items of %s out of order: %r" % (id, order))
	return dict(items)


def scan_of(c, parts):
	found = {}
	for part in range(1, parts + 1):
		for f, v in read_pages(c, b"ks m S%d/%d i k v c B300" % (part, parts)):
			if f[b"k"] in found.setdefault(f[b"i"], {}):
				raise ValueError("%r is there twice" % f)
			found[f[b"i"]][f[b"k"]] = v, int(f[b"c"])
	return found


def same(got, want, name):
	"""Two dicts are equal; else some of what differs is told."""
	if not ok(got == want, name):
		odd = [k for k in sorted(got.keys() | want.keys()) if got.get(k) != want.get(k)]
		diag("%d differ" % len(odd))
		for k in odd[:5]:
			diag("%r: got %r" % (k, got.get(k)), "want %r" % (want.get(k),))


def flat(records):
	return {(id, item): value for id, items in records.items() for item, value in items.items()}


def compare(kvs, writes, name):
	want = flat(writes.model.all())
	for n, kv in enumerate(kvs):
		with kv.client(seconds=60) as c:
			for flags in (b"", b" B200", b" r B500"):
				same(flat({id: record_of(c, id, flags) for id in writes.ids}), want,
				    "%s: records by kvgate %d, kg%s" % (name, n, flags.decode()))
			same(single_items(c, writes.ids), want, "%s: single items by kvgate %d" % (name, n))
			scan = {id: items for id, items in scan_of(c, 3).items() if id in writes.ids}
			same(flat(scan), want, "%s: a scan by kvgate %d" % (name, n))


def single_items(c, ids):
	keys = [(id, item) for id in ids for item in ITEMS]
	found = {}
	for key, a in zip(keys, answers_to(c, [b"mg %s v c\r\n" % full(*key) for key in keys])):
		head, _, rest = a.partition(b"\r\n")
		if head.startswith(b"VA"):
			found[key] = rest[:-2], int(head.split(b" c")[1])
	return found


# ---------------------------------------------------------------- rounds

def good(w, answers):
	ends = (b"HD\r\n", b"NF\r\n") if w.startswith(b"md") else (b"HD\r\n",)
	return all(a in ends for a in answers)


def blind_round(kvs, rng, base, name):
	writes = Writes(rng, base)
	commands = [writes.one() for _ in range(WRITES)]
	reads = [b"mg %s v c\r\n" % full(id, item) for id in writes.ids for item in ITEMS] + [b"kg %s\r\n" % id for id in writes.ids]
	answers = deliver(kvs, commands, rng, reads)
	bad = [(w, answers[w]) for w in commands if not good(w, answers[w])]
	is_(bad[:3], [], "%s: %d writes are well, all of them" % (name, len(commands)))
	compare(kvs, writes, name)
	return writes


def relative_round(kvs, rng, base, name):
	relative = Relative(rng, base, WRITES // 2)
	answers = deliver(kvs, relative.writes, rng)
	with rng.choice(kvs).client(seconds=60) as c:
		relative.check(c, answers, name)
	# What failed may be decided anew.
	return {w: a for w, a in answers.items() if a[0] != b"NS\r\n"}


def still_known(kv, answers, name):
	"""First answers outlive what they were about."""
	with kv.client(seconds=60) as c:
		again = answers_to(c, list(answers))
		differ = [w for w, a in zip(answers, again) if a != answers[w][0]]
		is_(differ[:3], [], "%s: %d tokens come again and have their first answers" % (name, len(answers)))
		is_(scan_of(c, 1), {}, "%s: nothing comes of it" % name)


def late_ones(kvs, writes, rng, name):
	"""Plain deletes are above all that was there; what was written before them and comes later falls."""
	model = Model()
	said = []
	with rng.choice(kvs).client(seconds=60) as c, rng.choice(kvs).client(seconds=60) as d:
		for n, id in enumerate(writes.ids):
			which = (b"", b" U~", b"".join(b" K" + item for item in ITEMS))[n % 3]
			said.append(answer(c, b"kd %s%s\r\n" % (id, which)))
			said.append(answer(d, kp(id, [(item, b"late") for item in ITEMS], token((writes.base - 5, 1)))))
			if n % 2:
				said.append(answer(d, kp(id, [(b"new", b"plain")])))
			if n % 4 > 1:
				# What is put in the same km stays, and is all there is.
				said.append(answer(c, b"km 2\r\nkd %s\r\n" % id + kp(id, [(b"newer", b"plain")])))
			if n % 4:
				model.put((0, 0), id, (b"new", b"newer")[n % 4 > 1], b"plain")
		is_(set(said), {b"HD\r\n"}, "%s: plain deletes, late puts, new ones" % name)
		got = {id: {k: v for k, (v, _) in record_of(c, id, b"").items()} for id in writes.ids}
		same(flat(got), {k: v for k, (v, _) in flat(model.all()).items()}, "%s: nothing old comes back after plain deletes" % name)


def every_order(kvs, base, name):
	"""Five writes about one item that is there, in all 120 orders: one after the other by any kvgate, or all at once by one."""
	t = base + 1000
	clients = [kv.client(seconds=60) for kv in kvs]
	c = clients[0]
	cases = [(b"m:o%d-%d-%d" % (first, at_once, n), first, at_once, order)
	    for first, at_once in ((1, False), (1, True), (2, True)) for n, order in enumerate(itertools.permutations(range(5)))]
	answers_to(c, [kp(case[0], [(b"a", b"old"), (b"c", b"old")], token((t - 1, 1))) for case in cases])
	for n, (id, first, at_once, order) in enumerate(cases):
		writes = (kp(id, [(b"a", b"1"), (b"b", b"x")], token((t, 1))), b"md %s/a%s\r\n" % (id, token((t, 2))),
		    b"kd %s U~%s\r\n" % (id, token((t + first, 3))), kp(id, [(b"a", b"4")], token((t + 3 - first, 4))),
		    b"kd %s Ka%s\r\n" % (id, token((t + 1, 1))))
		if at_once:
			answers_to(clients[n % len(clients)], [writes[w] for w in order])
		else:
			for i, w in enumerate(order):
				answer(clients[(n + i) % len(clients)], writes[w])
	got = answers_to(c, [b"kg %s k v\r\n" % id for id, _, _, _ in cases])
	wrong = [(case, g) for case, g in zip(cases, got) if g != (b"VA 1 ka\r\n4\r\nEN\r\n" if case[1] == 1 else b"EN\r\n")]
	is_(wrong[:3], [], "%s: five writes in all their orders end alike" % name)
	for c in clients:
		c.close()


def all_gone(kv, name):
	with kv.client(seconds=60) as c:
		answers_to(c, [b"kd %s\r\n" % id for id in scan_of(c, 1)])
		is_(scan_of(c, 2), {}, "%s: all records deleted, nothing is left" % name)


def rounds(kvs, store, ahead):
	for n in range(ROUNDS):
		seed = SEED + n
		name = "%s, seed %d" % (store, seed)
		diag(name)
		rng = random.Random(seed)
		base = int(time.time() * SECOND) + ahead
		writes = blind_round(kvs, rng, base, name)
		late_ones(kvs, writes, rng, name)
		answers = relative_round(kvs, rng, base, name)
		all_gone(rng.choice(kvs), name)
		still_known(rng.choice(kvs), answers, name)
	base = int(time.time() * SECOND) + ahead
	swaps(kvs, base, store)
	every_order(kvs, base, store)
	all_gone(kvs[0], store)
	return answers


def on_rocksdb(name, more):
	conf = 'store "s" { type = rocksdb  path = "%s"  durability = none }\n' % os.path.join(tmpdir(), name)
	conf += SPACE % ("60s", more)
	with Kvgate(["-t", "2"], conf=conf) as kv:
		# Tokens of the near future: plain writes must go above them.
		answers = rounds([kv], name, 3 * SECOND)
	with Kvgate(["-t", "2"], conf=conf) as kv:
		still_known(kv, answers, "%s, opened again" % name)


def on_servers(kind, behind, n, more):
	"""Several kvgates: what they know of each other's tokens is the clock."""
	ms = int(20000 * patience)
	with behind, contextlib.ExitStack() as stack:
		servers = behind.server if kind == "redis-cluster" else '"%s"' % behind.server
		conf = 'store "s" { type = %s  servers = { %s }  timeout = %dms  connect_timeout = %dms }\n' % (kind, servers, ms, ms)
		conf += SPACE % (0, more)
		kvs = [stack.enter_context(Kvgate(["-t", 2 - min(i, 1)], conf=conf)) for i in range(n)]
		rounds(kvs, kind, -60 * SECOND)


on_rocksdb("rocksdb", "")
on_rocksdb("rocksdb, encoded", ENCODED)
on_servers("redis", Redis(), 2, "")
on_servers("redis-cluster", RedisCluster(), 3, ENCODED)
done_testing()
