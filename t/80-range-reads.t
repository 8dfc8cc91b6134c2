#!/usr/bin/python3
"""
Who has written reads it, whatever ranges were deleted around it: one client writes, deletes items, ranges and records, and
compares each page and scan with a model, while files come that are not in the block cache yet. (Before 8.5.2 rocksdb may forget, at a
deleted range, that it could not read a file without asking the disk.)

	KVT_SEED=n      another history (it is printed)
"""
import os, random, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from records import *
from kvgate import Delete, Put, Range

SEED = int(os.environ.get("KVT_SEED") or 80)
RECORDS = [b"user:%d" % n for n in range(8)]
KEYS = [b"%c%c" % (a, b) for a in b"abcdefghij" for b in b"0123456789"]
SECONDS = 6


def changed(rnd, model):
	"""One change, and the model with it."""
	id = rnd.choice(RECORDS)
	if rnd.random() < 0.6:
		items = {key: os.urandom(rnd.randrange(3000)) for key in rnd.sample(KEYS, rnd.randrange(1, 30))}
		model[id].update(items)
		return Put(id, items)
	if rnd.random() < 0.5:
		which = Range(head=rnd.choice(b"abcdefghij").to_bytes(1, "big"))
		gone = [key for key in model[id] if key.startswith(which.head)]
	else:
		which = Range()
		gone = list(model[id])
	for key in gone:
		del model[id][key]
	return Delete(id, which)


def told(found, want):
	"""What a page has too much, too little, or otherwise."""
	return sorted(key for key in {*found, *want} if found.get(key) != want.get(key))[:5]


def history(users, seed):
	rnd = random.Random(seed)
	model = {id: {} for id in RECORDS}
	end = time.monotonic() + SECONDS
	wrong, count = [], 0
	while time.monotonic() < end and not wrong:
		users.mutate([changed(rnd, model) for _ in range(rnd.randrange(1, 4))])
		id = rnd.choice(RECORDS)
		wrong += told({item.key: item.value for item in users.get(id, page_bytes=rnd.choice([500, 100000]))}, model[id])
		if rnd.random() < 0.2:
			found = {(one.id, one.item.key): one.item.value for one in users.scan(page_bytes=rnd.choice([500, 100000]))}
			wrong += told(found, {(id, key): value for id in RECORDS for key, value in model[id].items()})
		count += 1
	is_(wrong, [], "seed %d: each of %d reads has what was written" % (seed, count))


for seed in range(SEED, SEED + 2):
	with record_kvgate("rocksdb") as kv, client(kv) as c:
		history(c.namespace("users"), seed)
done_testing()
