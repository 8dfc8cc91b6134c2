#!/usr/bin/python3
"""
Scans while others write: each item that is there all the time is given exactly once, over all parts and pages, whatever comes,
goes and changes around it; so are the items of a record that is read in pages.

KVT_SCAN_ITEMS (4000) is how many stay, KVT_SCAN_PARTS (4) how many parts are read at a time. A million and more show that
kvgate's memory stays flat.
"""
import os, random, sys, threading
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from records import *
from kvgate import Delete, Put, Range

ITEMS = int(os.environ.get("KVT_SCAN_ITEMS") or 4000)
PARTS = int(os.environ.get("KVT_SCAN_PARTS") or 4)
PER_RECORD = 20
RECORDS = ITEMS // PER_RECORD
WRITERS = 2
# Pages of a few hundred items, or of a few dozen where there are few.
PAGE = "%dKB" % (64 if ITEMS > 100000 else 4)


def record(n):
	return b"user:%07d" % n


def fill(users):
	"""Key s<nn> of each record stays, whatever its value."""
	some = {b"s%02d" % k: b"stable" * 4 for k in range(PER_RECORD)}
	for n in range(0, RECORDS, 100):
		users.mutate([Put(record(r), some) for r in range(n, min(n + 100, RECORDS))])


class Writer(threading.Thread):
	"""
	Puts and deletes what does not stay, between, in front of and behind what does, in its records and in others, and
	writes what stays anew. step() is one round; there are at least as many as the test waits for.
	"""

	def __init__(self, c, seed):
		super().__init__(daemon=True)
		self.users = c.namespace("users")
		self.random = random.Random(seed)
		self.over = threading.Event()
		self.rounds = 0
		self.error = None

	def run(self):
		try:
			while not self.over.is_set():
				self.step()
				self.rounds += 1
		except Exception as e:
			self.error = e

	def step(self):
		n = self.random.randrange(RECORDS)
		passing = [b"%c%02d" % (self.random.choice(b"rst"), 50 + self.random.randrange(50)) for _ in range(5)]
		stays = b"s%02d" % self.random.randrange(PER_RECORD)
		self.users.put(record(n), {**{key: b"passing" for key in passing}, stays: b"anew" * self.random.randrange(9)})
		self.users.mutate([Put(record(n) + b"+", {key: b"passing" for key in passing}),
		    Delete(record(self.random.randrange(RECORDS)), Range(head="r")),
		    Delete(record(self.random.randrange(RECORDS)), Range(start="s50", end="s99")),
		    Delete(record(self.random.randrange(RECORDS)) + b"+", Range())])
		self.users.delete(record(n), passing[:2])


def place(id, key):
	"""The number of an item that stays, or -1. Millions fit into memory as numbers."""
	if len(id) != len(record(0)) or not key.startswith(b"s") or int(key[1:]) >= PER_RECORD:
		return -1
	return int(id[5:]) * PER_RECORD + int(key[1:])


def scan_part(users, part):
	"""How often each item that stays came in this part."""
	counts = bytearray(RECORDS * PER_RECORD)
	for found in users.scan(part, PARTS, values=False):
		n = place(found.id, found.item.key)
		if n >= 0:
			counts[n] += 1
	return bytes(counts)


def resident(kv):
	with open("/proc/%d/status" % kv.pid) as f:
		return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) // 1024


def check_scan(users, kv, name):
	with ThreadPoolExecutor(PARTS) as pool:
		parts = list(pool.map(lambda part: scan_part(users, part), range(1, PARTS + 1)))
	is_(bytes(map(sum, zip(*parts))) == b"\1" * len(parts[0]), True, name + ": each item that stays comes exactly once")
	ok(all(len(set(part[r:r + PER_RECORD])) == 1 for part in parts for r in range(0, len(part), PER_RECORD)),
	    name + ": a record's items in the same part")
	diag("%d MB resident; parts of %s" % (resident(kv), " ".join("%d" % sum(part) for part in parts)))
	return parts


def check_record(users, name):
	"""A record of its own in pages, from both ends."""
	want = [b"s%05d" % n for n in range(2000)]
	stays = set(want)
	for reverse in (False, True):
		found = [i.key for i in users.get("user:paged", reverse=reverse) if i.key in stays]
		is_(found, want[::-1] if reverse else want, "%s: a record in pages, reverse %s" % (name, reverse))


def pass_by(users, over):
	"""What comes and goes in the record that is read: "s00001." lies behind "s00001" and does not stay."""
	n = 0
	while not over.is_set():
		n += 1
		users.put("user:paged", {b"%c%05d." % (c, n * 37 % 2000): b"passing" for c in b"rst"})
		users.delete_range("user:paged", head=b"%c%05d." % (b"rst"[n % 3], n * 37 % 2000))
		users.put("user:paged", {b"s%05d" % (n * 101 % 2000): b"anew"})


def check(mode, kv, c):
	users = c.namespace("users")
	fill(users)
	users.put("user:paged", {b"s%05d" % n: b"stays" * 3 for n in range(2000)})
	writers = [Writer(c, seed) for seed in range(WRITERS)]
	for writer in writers:
		writer.start()
	try:
		wait_for(lambda: all(w.rounds > 5 or w.error for w in writers), 60, "the writers to be at work")
		first = check_scan(users, kv, mode)
		rounds = [w.rounds for w in writers]
		wait_for(lambda: all(w.rounds > n + 5 or w.error for w, n in zip(writers, rounds)), 60, "the writers to go on")
		is_(check_scan(users, kv, mode + ", again"), first, mode + ": each record in the part that it was in")
	finally:
		for writer in writers:
			writer.over.set()
		for writer in writers:
			writer.join()
	is_([w.error for w in writers], [None] * WRITERS, mode + ": the writers had no error")
	over = threading.Event()
	passer = threading.Thread(target=pass_by, args=(users, over), daemon=True)
	passer.start()
	try:
		check_record(users, mode)
	finally:
		over.set()
		passer.join()


for mode, kv in record_modes("page_bytes = " + PAGE):
	with client(kv, compress=False) as c:
		check(mode, kv, c)
done_testing()
