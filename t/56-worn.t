#!/usr/bin/python3
"""
What was deleted in the embedded database does not stay in the way of reads: they are made to step over stretches without items,
without one having to be slow first, and nothing that lives goes with them; the marks of deleted items are removed when their time is over.
"""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import *

ITEMS = 6000
RECORDS = 'namespace "r" { prefix = "r:"  item_separator = "/"  primary { store = "d" }  local { ttl = 0 }  %s }\n'


def numbers(kv, *names):
	with kv.client() as c:
		c.send(b"stats servers\r\nquit\r\n")
		found = dict(line.split()[1:3] for line in c.recv_all().decode().splitlines() if line.startswith("STAT d:"))
	return [int(found["d:" + n]) for n in names]


def fill(c, record, keys):
	"""Some of which stay: those that end in 000."""
	c.ask(b"kp %s %d\r\n" % (record, len(keys)) + b"".join(b"%s 1\r\nx\r\n" % k for k in keys), b"HD\r\n")


def left(keys):
	return b"".join(b"VA 1 k%s\r\nx\r\n" % k for k in keys if k.endswith(b"000")) + b"EN\r\n"


def item_by_item(c, record, keys):
	c.ask(b"".join(b"md %s/%s q\r\n" % (record, k) for k in keys if not k.endswith(b"000")) + b"mn\r\n", b"MN\r\n")


def listed(c, record, keys):
	gone = [b" K" + k for k in keys if not k.endswith(b"000")]
	c.ask(b"".join(b"kd %s q%s\r\n" % (record, b"".join(gone[n:n + 500])) for n in range(0, len(gone), 500)) + b"mn\r\n", b"MN\r\n")


def by_range(c, record, keys):
	c.ask(b"kd %s G1001 U5 q\r\nmn\r\n" % record, b"MN\r\n")
	c.ask(b"kd %s H5 q\r\nkd %s H6 q\r\nmn\r\n" % (record, record), b"MN\r\n")


def compacted():
	keys = [b"%d" % n for n in range(1000, 1000 + ITEMS)]
	with Kvgate(["-t", "2"], conf=disk_conf(disk_path(), "0") + RECORDS % "") as kv, kv.client() as c:
		for delete in (item_by_item, listed, by_range):
			name, record = delete.__name__.replace("_", " "), b"r:" + delete.__name__.encode()
			fill(c, record, keys)
			before = numbers(kv, "gaps_closed", "io_reads", "loop_reads")
			delete(c, record, keys)
			wait_for(lambda: numbers(kv, "gaps_closed") > before[:1], 60, "%s: what is gone is stepped over" % name)
			is_(numbers(kv, "io_reads", "loop_reads"), before[1:], "%s: nobody had to read" % name)
			c.ask(b"kg %s\r\n" % record, left(keys[:1] if delete is by_range else keys), "%s: the others are there" % name)
		fill(c, b"r:all", keys)
		before = numbers(kv, "gaps_closed")
		c.ask(b"kd r:all\r\n", b"HD\r\n")
		wait_for(lambda: numbers(kv, "gaps_closed") > before, 60, "a whole record is stepped over")
		c.ask(b"kg r:all\r\n", b"EN\r\n", "and gone")


def meanwhile():
	"""What is put into a record while its deleted items are got out of the way stays, wherever it comes to lie."""
	keys, path, stays = [b"%06d" % n for n in range(24000)], disk_path(), []
	with Kvgate(["-t", "2"], conf=disk_conf(path, "0") + RECORDS % "") as kv, kv.client() as c, kv.client() as other:
		for n in range(0, len(keys), 6000):
			fill(c, b"r:m", keys[n:n + 6000])
		for n in range(0, len(keys), 200):
			c.send(b"".join(b"md r:m/%s q\r\n" % k for k in keys[n:n + 200]) + b"mn\r\n")
			# Some of it in what goes just now, some in what went long ago.
			some = sorted({b"%s+%d" % (keys[k], n) for k in (n, n // 2, n - n // 7, n // 10)})
			other.ask(b"".join(b"ms r:m/%s 1 q\r\nx\r\n" % k for k in some) + b"mn\r\n", b"MN\r\n")
			is_(c.recv_until(b"MN\r\n"), b"MN\r\n")
			stays += some
		there = b"".join(b"HD k%s\r\n" % k for k in sorted(stays)) + b"EN\r\n"
		wait_for(lambda: numbers(kv, "gaps_closed")[0] > 10, 60, "stretches without items to be closed")
		is_(c.call(b"kg r:m k\r\n", until=b"EN\r\n"), there, "all that was put meanwhile is there")
	with Kvgate(["-t", "2"], conf=disk_conf(path, "0") + RECORDS % "") as kv, kv.client() as c:
		is_(c.call(b"kg r:m k\r\n", until=b"EN\r\n"), there, "and after a restart")


def scattered():
	"""Very many stretches that are stepped over cost a step each: they go with what lies there."""
	keys = [b"%05d" % n for n in range(24000)]
	with Kvgate(["-t", "2"], conf=disk_conf(disk_path(), "0") + RECORDS % "") as kv, kv.client() as c:
		for _ in range(30):
			for n in range(0, len(keys), 6000):
				fill(c, b"r:s", keys[n:n + 6000])
			before, = numbers(kv, "gaps_closed")
			c.ask(b"".join(b"md r:s/%s q\r\n" % k for n, k in enumerate(keys) if n % 80) + b"mn\r\n", b"MN\r\n")
			wait_for(lambda: numbers(kv, "gaps_closed")[0] >= before + 100 or numbers(kv, "ranges_compacted")[0], 60, "stretches to be closed")
			if numbers(kv, "ranges_compacted")[0]:
				break
		wait_for(lambda: numbers(kv, "ranges_compacted")[0], 60, "the range to be compacted")
		is_(c.call(b"kg r:s k\r\n", until=b"EN\r\n"), b"".join(b"HD k%s\r\n" % k for k in keys[::80]) + b"EN\r\n",
		    "what stays is there, after %d rounds" % (_ + 1))


def undone():
	"""A delete of a range that was taken back, because something else of the same km could not be done, deletes nothing."""
	keys = [b"%04d" % n for n in range(2000)]
	long = b"x" * 1000
	with Kvgate(["-t", "2"], conf=disk_conf(disk_path(), "0") + RECORDS % "") as kv, kv.client() as c:
		fill(c, b"r:a", keys)
		for n in range(100):
			answer = c.call(b"kd r:full G%02d%s U%02d%sx\r\n" % (n, long, n, long))
			if answer != b"HD\r\n":
				break
		is_(answer[:12], b"SERVER_ERROR", "a record has so many markers that no more go")
		answer = c.call(b"km 2 a\r\nkd r:a\r\nkd r:full G%02d%s U%02d%sx\r\n" % (n, long, n, long))
		is_(answer[:12], b"SERVER_ERROR", "so a km cannot be done")
		c.ask(b"kp r:other 1\r\nx 1\r\nx\r\nkp r:other 1\r\nx 1\r\nx\r\n", b"HD\r\nHD\r\n", "what comes behind it can")
		c.ask(b"kg r:a k\r\n", b"".join(b"HD k%s\r\n" % k for k in keys) + b"EN\r\n", "nothing of it is")


def covered():
	"""What a late delete covers is removed behind it, however soon the keeper looks."""
	keys = [b"%04d" % n for n in range(200)]
	with Kvgate(["-t", "2"], conf=disk_conf(disk_path(), "0", "durability = always") + RECORDS % "") as kv, kv.client() as c:
		for n in range(5):
			fill(c, b"r:c%d" % n, keys)
			time_ = time.time_ns() // 1000
			before, = numbers(kv, "covered_removed")
			c.ask(b"kp r:newer 1 E%d\r\nx 1\r\nx\r\nkd r:c%d E%d\r\n" % (time_ + 5000000, n, time_ + 1), b"HD\r\nHD\r\n")
			# 32 go with the delete itself.
			wait_for(lambda: numbers(kv, "covered_removed")[0] >= before + len(keys) - 32, 30, "what is covered to go")
			c.ask(b"kg r:c%d\r\n" % n, b"EN\r\n", "what is covered is gone")


def cold():
	"""A range was deleted from what is in the block cache; what has been put there since is on disk alone."""
	path, long = disk_path(), b"x" * 20000

	def database():
		return Kvgate(["-t", "1"], conf=disk_conf(path, "0") + RECORDS % "")

	for deletes, warm, stays in ((b"G1000 U1006", b"1007", [b"1006", b"1007"]), (b"G1002 U1008", b"1000", [b"1000", b"1001"])):
		with database() as kv, kv.client() as c:
			fill(c, b"r:c", [b"%d" % n for n in range(1000, 1008)])
		with database() as kv, kv.client() as c:
			c.ask(b"kd r:c %s\r\nkp r:c 1\r\n1003+ 20000\r\n%s\r\n" % (deletes, long), b"HD\r\nHD\r\n")
		there = sorted(stays + [b"1003+"])
		for ask, keys in ((b"kg r:c k", there), (b"kg r:c k r", there[::-1]), (b"ks r k", there)):
			with database() as kv, kv.client() as c:
				c.ask(b"mg r:c/%s\r\n" % warm, b"HD\r\n")
				c.ask(ask + b"\r\n", b"".join(b"HD k%s\r\n" % k for k in keys) + b"EN\r\n",
				    "%s after kd %s" % (ask.decode(), deletes.decode()))


def expired():
	"""It is out of the way, but is not forgotten: what is older and comes late finds it."""
	keys = [b"%d" % n for n in range(3000)]
	with Kvgate(["-t", "2"], conf=disk_conf(disk_path(), "0") + RECORDS % "") as kv, kv.client() as c:
		now = time.time_ns() // 1000
		c.ask(b"kp r:x 3000 E%d\r\n" % now + b"".join(b"%s 1 T1\r\nx\r\n" % k for k in keys), b"HD\r\n")
		c.ask(b"kp r:x 1\r\nstays 1\r\nx\r\n", b"HD\r\n")
		there = b"VA 1 kstays\r\nx\r\nEN\r\n"
		wait_for(lambda: c.call(b"kg r:x K2999 Kstays\r\n", until=b"EN\r\n") == there, 60, "items to expire")
		wait_for(lambda: c.call(b"kg r:x\r\n", until=b"EN\r\n") == there and numbers(kv, "expired_moved") == [3000], 60, "them to be out of the way")
		c.ask(b"kp r:x 1 E%d\r\n7 1\r\ny\r\nkg r:x\r\n" % (now - 1000000), b"HD\r\n" + there, "an older write falls")
		c.ask(b"kp r:x 1 E%d\r\n8 1\r\ny\r\nkg r:x\r\n" % (now + 1000000), b"HD\r\nVA 1 k8\r\ny\r\n" + there, "a newer one does not")


def marks():
	keys = [b"%d" % n for n in range(200)]
	times = "token_drift_behind = 1s  delete_ttl = 1500ms  delete_jitter = 500ms"
	with Kvgate(["-t", "2"], conf=disk_conf(disk_path(), "0") + RECORDS % times) as kv, kv.client() as c:
		fill(c, b"r:x", keys)
		c.ask(b"".join(b"md r:x/%s q\r\n" % k for k in keys) + b"kg r:x\r\n", b"EN\r\n", "items are deleted")
		wait_for(lambda: numbers(kv, "marks_removed") == [200], 60, "all of their marks to go in time")
		c.ask(b"kg r:x\r\n", b"EN\r\n", "and nothing comes back")


compacted()
meanwhile()
scattered()
undone()
covered()
cold()
expired()
marks()
done_testing()
