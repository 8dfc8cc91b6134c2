#!/usr/bin/python3
"""
Local copies of the items of records: they answer, writes of their item end them, by whatever command; deletes of ranges end
all of the record; "id/" is the item of "id". Nobody ever reads what is older than what he has been told.
"""
import os, random, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

CONF = """%s
namespace "default" { prefix = ""  primary { store = "s"  format = item } }
namespace "r" { prefix = "r:"  item_separator = "/"  primary { store = "s"  format = item }  local { ttl = 3600s %s } %s }
"""


def value(key, text):
	return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(text), text)


def asked(kv):
	return int(stats(kv, "kvgate")["store_requests"])


def copies(kv, c):
	for key in (b"r:one/a", b"r:one", b"r:", b"r:/a", b"r:one/a/b"):
		c.ask(b"set %s 0 0 1\r\nx\r\nget %s\r\n" % (key, key), b"STORED\r\n" + value(key, b"x"))
	before = asked(kv)
	for key in (b"r:one/a", b"r:one", b"r:", b"r:/a", b"r:one/a/b"):
		c.ask(b"get %s\r\nmg %s v\r\n" % (key, key), value(key, b"x") + b"VA 1\r\nx\r\n", "%s is there" % key.decode())
	is_(asked(kv), before, "and nobody asked the store")
	c.ask(b"append r:one/a 0 0 1\r\ny\r\nget r:one/a\r\nget r:one\r\n", b"STORED\r\n" + value(b"r:one/a", b"xy") + value(b"r:one", b"x"), "a write ends its item's copy")
	is_(asked(kv), before + 2, "and no other")
	c.ask(b"get r:one/a\r\n", value(b"r:one/a", b"xy"))
	before = asked(kv)
	c.ask(b"get r:one/a\r\n" * 2, value(b"r:one/a", b"xy") * 2, "what was read is a copy again")
	is_(asked(kv), before, "which answers")
	big = b"z" * 200000
	c.ask(b"set r:big/a 0 0 200000\r\n%s\r\nget r:big/a\r\n" % big, b"STORED\r\n" + value(b"r:big/a", big), "a large one")
	before = asked(kv)
	c.ask(b"get r:big/a\r\n", value(b"r:big/a", big))
	is_(asked(kv), before, "is copied, too")
	key = b"r:" + b"k" * 248
	c.ask(b"set %s 0 0 1\r\nx\r\nget %s\r\nget %s\r\n" % (key, key, key), b"STORED\r\n" + value(key, b"x") * 2, "the longest id")


def aliases(c):
	c.ask(b"set r:al 0 0 1\r\na\r\nget r:al\r\nget r:al/\r\n", b"STORED\r\n" + value(b"r:al", b"a") + value(b"r:al/", b"a"), "id/ is id")
	c.ask(b"set r:al/ 0 0 1\r\nb\r\nget r:al\r\nget r:al/\r\n", b"STORED\r\n" + value(b"r:al", b"b") + value(b"r:al/", b"b"), "also when it is written")
	c.ask(b"get r:al\r\nget r:al/\r\nset r:al 0 0 1\r\nc\r\nget r:al/\r\nget r:al\r\n", value(b"r:al", b"b") + value(b"r:al/", b"b") +
	    b"STORED\r\n" + value(b"r:al/", b"c") + value(b"r:al", b"c"), "and in one pipeline")
	c.ask(b"delete r:al/\r\nget r:al\r\n", b"DELETED\r\nEND\r\n", "and deleted")


def record_commands(kv, c):
	def there(keys, text):
		return b"".join(b"VALUE %s 0 %d\r\n%s\r\n" % (k, len(text), text) for k in keys) + b"END\r\n"
	keys = [b"r:rec/%d" % i for i in range(6)]
	other = b"r:rest/0"
	for k in keys + [other]:
		c.ask(b"set %s 0 0 1\r\nx\r\nget %s\r\n" % (k, k), b"STORED\r\n" + value(k, b"x"))
	before = asked(kv)
	c.ask(b"get " + b" ".join(keys) + b"\r\n", there(keys, b"x"))
	is_(asked(kv), before, "all have copies")
	c.ask(b"kp r:rec 2\r\n0 1\r\ny\r\n1 1\r\ny\r\nget r:rec/0 r:rec/1\r\n", b"HD\r\n" + there(keys[:2], b"y"), "kp ends those of its items")
	c.ask(b"get r:rec/0 r:rec/1\r\n", there(keys[:2], b"y"))
	before = asked(kv)
	c.ask(b"get " + b" ".join(keys[2:]) + b"\r\n", there(keys[2:], b"x"))
	is_(asked(kv), before, "and no others")
	c.ask(b"kd r:rec K2 K3\r\nget r:rec/2 r:rec/3 r:rec/4\r\n", b"HD\r\n" + there(keys[4:5], b"x"), "kd of some items")
	c.ask(b"kd r:rec G5\r\nget r:rec/4 r:rec/5\r\n", b"HD\r\n" + there(keys[4:5], b"x"), "kd of a range")
	c.ask(b"get r:rec/4\r\nget %s\r\n" % other, value(b"r:rec/4", b"x") + value(other, b"x"))
	before = asked(kv)
	c.ask(b"get r:rec/4\r\nget %s\r\n" % other, value(b"r:rec/4", b"x") + value(other, b"x"))
	is_(asked(kv), before, "what was read then is a copy")
	c.ask(b"kd r:rec\r\nget " + b" ".join(keys) + b"\r\nget %s\r\n" % other, b"HD\r\nEND\r\n" + value(other, b"x"), "kd of the record")
	c.ask(b"get " + b" ".join(keys) + b"\r\n", b"END\r\n", "again")
	c.ask(b"kp r:rec 70\r\n" + b"".join(b"%d 1\r\nz\r\n" % i for i in range(70)) + b"get " + b" ".join(keys) + b"\r\n", b"HD\r\n" + there(keys, b"z"), "kp of many items")
	c.ask(b"km 2\r\nkd r:rec\r\nkp r:rest 1\r\n0 1\r\nw\r\nget r:rec/0\r\nget r:rest/0\r\n", b"HD\r\nEND\r\n" + value(b"r:rest/0", b"w"), "km")


def many(kv, c):
	keys = [b"r:m%d/%d" % (i, j) for i in range(5) for j in range(5)]
	for k in keys:
		c.send(b"set %s 0 0 1\r\nv\r\n" % k)
	c.ask(b"mn\r\n", b"STORED\r\n" * len(keys) + b"MN\r\n")
	want = b"".join(b"VALUE %s 0 1\r\nv\r\n" % k for k in keys) + b"END\r\n"
	c.ask(b"get " + b" ".join(keys) + b"\r\n", want, "a get of many items")
	with kv.client() as d:
		d.ask(b"get " + b" ".join(keys) + b"\r\n", want, "by another client")


def never_backwards(kv, rounds, name):
	"""
	Each client owns records, writes generations of all their items in its own way and deletes them in ranges; the others
	read, and never see less than they knew of before they asked.
	"""
	items, wrong, stop = 4, [], threading.Event()
	told = [[0] * items for _ in range(2)]

	def must(c, line, want):
		got = c.call(line)
		if got != want:
			wrong.append((line, got))

	def write(me):
		rnd = random.Random(me)
		with kv.client() as c:
			for n in range(1, rounds):
				text = b"%d" % n
				how = rnd.randrange(4)
				if how == 0:
					must(c, b"kd r:w%d\r\n" % me, b"HD\r\n")
				if how <= 1:
					must(c, b"kp r:w%d %d\r\n" % (me, items) + b"".join(b"%d %d\r\n%s\r\n" % (i, len(text), text) for i in range(items)), b"HD\r\n")
					told[me] = [n] * items
				else:
					i = rnd.randrange(items)
					must(c, b"set r:w%d/%d 0 0 %d\r\n%s\r\n" % (me, i, len(text), text), b"STORED\r\n")
					told[me][i] = n
				if how == 3:
					must(c, b"kd r:w%d G3\r\n" % me, b"HD\r\n")
					got = c.call(b"get r:w%d/3\r\n" % me, b"END\r\n")
					if got != b"END\r\n":
						wrong.append(("a deleted item", got))

	def read(seed):
		rnd = random.Random(seed)
		with kv.client() as c:
			while not stop.is_set():
				who, i = rnd.randrange(2), rnd.randrange(items)
				least = told[who][i]
				got = c.call(b"get r:w%d/%d\r\n" % (who, i), b"END\r\n").split(b"\r\n")
				if len(got) > 2 and int(got[1]) < least:
					wrong.append((who, i, least, got))
	writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
	readers = [threading.Thread(target=read, args=(n,)) for n in range(3)]
	for t in writers + readers:
		t.start()
	for t in writers:
		t.join()
	stop.set()
	for t in readers:
		t.join()
	is_(wrong[:3], [], "%s: nobody reads what is older than he knows of" % name)
	ok(int(stats(kv)["get_hits"]) > 0, "%d gets were hits" % int(stats(kv)["get_hits"]))


def whole(store, name):
	for local, more in (("", ""), ("refresh_ahead = 60s  negative_ttl = 60s", "on_error = stale  stale_for = 60s")):
		with Kvgate(["-t", "1"], conf=CONF % (store, local, more)) as kv, kv.client() as c:
			copies(kv, c)
			aliases(c)
			record_commands(kv, c)
			many(kv, c)
			c.ask(b"kd r:one\r\nkd r:al\r\nkd r:rest\r\nkd r:rec\r\n", b"HD\r\n" * 4)
	with Kvgate(["-t", "1"], conf=CONF % (store, "ttl_jitter = 50%", "coalesce = no")) as kv, kv.client() as c:
		many(kv, c)
	with Kvgate(["-t", "1"], conf=(CONF % (store, "", "")).replace("ttl = 3600s", "ttl = 0")) as kv, kv.client() as c:
		many(kv, c)
		aliases(c)
	with Kvgate(["-t", "3"], conf=CONF % (store, "", "")) as kv:
		never_backwards(kv, 300, name)


with Redis() as r:
	whole('store "s" { type = redis  servers = { "127.0.0.1:%d" } }' % r.port, "redis")
whole('store "s" { type = rocksdb  path = "%s"  durability = none }' % os.path.join(tmpdir(), "copies"), "rocksdb")
done_testing()
