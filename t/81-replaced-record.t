#!/usr/bin/python3
"""
A record is deleted and written anew in one km, with values so large that they are stored in pieces beforehand: what is new is there, with
all its pieces; of what was there before nothing is, and its pieces go.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from records import *
from kvgate import Delete, Put, Range

for mode, kv in record_modes("chunk_size = 4KB"):
	with client(kv) as c:
		users = c.namespace("users")
		for number in (1, 31, 32, 33, 200):
			for atomic in (False, True):
				if atomic and not users.signals.atomic_across_records:
					continue
				what = "%s: %d items, %s" % (mode, number, "a" if atomic else "no a")
				id = "user:%d.%d" % (number, atomic)
				users.put(id, {"%03d" % n: os.urandom(9000 if n % 3 == 0 else 9) for n in range(number)})
				new = {b"000": os.urandom(50000), b"x": os.urandom(12000), b"y": b"small"}
				users.mutate([Delete(id, Range()), Put(id, new)], atomic=atomic)
				is_({i.key: i.value and len(i.value) for i in users.get(id)}, {key: len(value) for key, value in new.items()},
				    what + ": what is new is there")
				ok({i.key: i.value for i in users.get(id)} == new, what + ": and whole")
				users.mutate([Delete(id, Range(head="0")), Put(id, {"001": new[b"000"]})], atomic=atomic)
				ok({i.key: i.value for i in users.get(id)} == {b"001": new[b"000"], b"x": new[b"x"], b"y": new[b"y"]},
				    what + ": the same with a range")
	with kv.client() as raw:
		raw.send(b"kg user:200.0 v\r\nkg user:33.0 v\r\nmn\r\n")
		like(raw.recv_until(b"MN\r\n").decode("latin-1"), r"(?s)^VA 50000\r\n", mode + ": and to others")
done_testing()
