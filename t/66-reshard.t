#!/usr/bin/python3
"""
4,000 slots of a Redis Cluster move from one master to another, by redis-cli, while pipelines of sets and gets go on: no wrong value, no
error, no get that overtakes the set before it. MOVED and ASK have been seen meanwhile, and counted.
"""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from ordered import *
from redises import *

MOVES = int(os.environ.get("KVT_SLOTS") or 4000)

CONF = """store "c" { type = redis-cluster  servers = { %s }  timeout = %dms  connect_timeout = %dms  connections = 2 }
namespace "default" { prefix = ""  primary { store = "c"  format = %s }  local { ttl = 0 } }
"""

def reshard(cluster, source, target, slots):
	"""Runs it aside; what went wrong is returned by the function that it returns."""
	wrong = []

	def run():
		try:
			cluster.reshard(source, target, slots)
		except Exception as e:
			wrong.append(str(e))

	thread = threading.Thread(target=run)
	thread.start()
	return thread, wrong

def check(cluster, form, source, target, slots):
	ms = int(10000 * patience)
	# Half of the keys share a few of the slots that move, so that these take a while.
	moving = sorted(next(row["slots"] for row in cluster.table() if row["node"] is source))[:slots]
	tags = [t for t in range(1000) if key_slot("%d" % t) in moving][:4]

	def name(n, k):
		return b"%s:%d:%d" % (form.encode(), n, k) if k % 2 else b"%s:%d:%d{%d}" % (form.encode(), n, k, tags[k // 2 % 4])

	with Kvgate(["-t", "2"], conf=CONF % (cluster.server, ms, ms, form)) as kv:
		load = Ordered(kv, keys=600, name=name)
		load.goes_on()
		before = load.good
		thread, wrong = reshard(cluster, source, target, slots)
		while thread.is_alive():
			thread.join(1)
			diag("%s: %d good answers" % (form, load.good))
		during = load.good - before
		load.goes_on()
		load.stop()
		is_(wrong, [], "%s: redis-cli has moved %d slots" % (form, slots))
		ok(during > 100, "%s: %d answers meanwhile" % (form, during))
		load.read_back()
		is_(load.wrong[:5], [], "%s: no wrong value" % form)
		is_(load.errors[:5], [], "%s: no error" % form)
		found = {k: int(v) for k, v in stats(kv, "servers").items() if k.startswith("c:cluster:") and v.isdigit()}
		ok(found["c:cluster:moved"] > 0, "%s: slots were found elsewhere: %d times" % (form, found["c:cluster:moved"]))
		ok(found["c:cluster:asked"] > 0, "%s: and half moved: %d times" % (form, found["c:cluster:asked"]))
		is_(found["c:cluster:errors"], 0, "%s: no error is counted" % form)


with RedisCluster() as cluster:
	a, b, c = cluster.masters()
	check(cluster, "item", a, b, MOVES)
	check(cluster, "raw", b, c, min(MOVES, 1000))
done_testing()
