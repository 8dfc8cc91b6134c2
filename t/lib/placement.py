"""
placement - do keys that another program placed come back through kvgate?

A case is a fleet filled by that program, under keys of its own, and a distribution by which kvgate reads the fleet. kvgate
keeps nothing (local { ttl = 0s }) and asks one server for one key, so a key is found only where it was put.
"""

import os
import random

from kvt import *

COUNT = int(os.environ.get("KVT_KEYS") or 10000)


def keys(seed, count=COUNT, utf8=True):
	"""Keys of all shapes, none twice, bytes: short, of 250 bytes, of all printable characters, UTF-8 if so wished."""
	rng = random.Random(seed)
	printable = bytes(range(0x21, 0x7f))

	def noise(n):
		return bytes(rng.choices(printable, k=n))

	made = []
	for i in range(count):
		own = b"%d.%d" % (seed, i)
		shape = i % 5
		if shape <= 1:
			key = b"k" + own
		elif shape == 2:
			key = (own + b"/" + noise(250))[:250]
		elif shape == 3 or not utf8:
			key = noise(rng.randrange(40)) + own + noise(rng.randrange(40))
		else:
			key = ("ключ-%d.%d-日本語-é-🔑" % (seed, i)).encode()
		made.append(key)
	return made


def value_of(key):
	return b"of " + key[:40]


def keys_file(name, made):
	"""One key a line, for programs in other languages; they set "of " and the key's first 40 bytes."""
	path = os.path.join(tmpdir(), name)
	with open(path, "wb") as f:
		f.write(b"\n".join(made) + b"\n")
	return path


def read_all(client, made, batch=50):
	"""How many of the keys the server behind client has, with the value that belongs to each."""
	found = 0
	for at in range(0, len(made), batch):
		part = made[at:at + batch]
		client.send(b"get " + b" ".join(part) + b"\r\n")
		got = {}
		while True:
			words = client.line().split()
			if words[:1] != [b"VALUE"]:
				break
			got[words[1]] = client.recv(int(words[3]) + 2)[:-2]
		if words != [b"END"]:
			diag("a get of %d keys was answered: %r" % (len(part), words))
		found += sum(got.get(key) == value_of(key) for key in part)
	return found


def items(servers):
	return [int(stats(s)["curr_items"]) for s in servers]


def pool_conf(servers, weights, distribution, hash=None, hash_tag=None, aliases=None):
	names = ", ".join('"127.0.0.1:%d %d%s"' % (s.port, w, " " + a if a else "")
	    for s, w, a in zip(servers, weights, aliases or [None] * len(servers)))
	return ('store "fleet" { type = memcached\n  servers = { %s }\n  distribution = %s%s%s }\n'
	    'namespace "default" { prefix = "" primary { store = "fleet" } local { ttl = 0s } }\n' %
	    (names, distribution, "\n  hash = %s" % hash if hash else "",
	    '\n  hash_tag = "%s"' % hash_tag if hash_tag else ""))


def check(name, servers, fill, made, conf):
	"""fill() stores the keys through the other program; two test points."""
	before = items(servers)
	fill(made)
	grown = [b - a for a, b in zip(before, items(servers))]
	ok(sum(grown) == len(made) and min(grown) > len(made) / 50,
	    "%s: the keys lie on all servers: %s" % (name, " ".join(map(str, grown))))
	with Kvgate(conf=conf) as kv, kv.client(seconds=30) as c:
		is_(read_all(c, made), len(made), "%s: all keys are found" % name)
