#!/usr/bin/python3
"""
Masters of a Redis Cluster go while pipelines of sets and gets are verified: killed, one fails, with errors for its keys alone and only until
its replica has been promoted; handed over, with none at all; stalled, as killed. What comes back is a replica and does no harm.
"""
import os, signal, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from ordered import *
from redises import *

FORM = os.environ.get("KVT_FORMAT") or "item"
MS = int(1500 * patience)

CONF = """store "c" { type = redis-cluster  servers = { %s }  timeout = %dms  connect_timeout = %dms  retry_min = 20ms  retry_max = 200ms }
namespace "default" { prefix = ""  primary { store = "c"  format = %s }  local { ttl = 0 } }
"""


def slots_of(cluster, node):
	return next(row["slots"] for row in cluster.table() if row["node"] is node)


def counters(kv, node="cluster"):
	return {k.split(":")[-1]: v for k, v in stats(kv, "servers").items() if k.startswith("c:%s:" % node)}


def works(kv, keys):
	"""Whether they can be written."""
	with kv.client(seconds=60) as c:
		return all(c.call(b"set %s 0 0 1\r\nx\r\n" % k) == b"STORED\r\n" for k in keys)


def lost(cluster, kv, victim, title, end, back):
	"""A master ends, in whatever way, and is replaced."""
	slots = slots_of(cluster, victim)
	theirs = [b"t%d" % n for n in range(200) if key_slot("t%d" % n) in slots]
	load = Ordered(kv, forgives=lambda key: key_slot(key) in slots)
	load.goes_on()
	end(victim)
	wait_for(lambda: load.errors or load.wrong, 30, "errors")
	load.goes_on()
	cluster.wait_promoted(victim)
	promoted = time.monotonic()
	ok(works(kv, theirs), "%s: its keys can be written as soon as another one is promoted" % title)
	load.goes_on(3000)
	back(victim)
	load.goes_on(3000)
	load.stop()
	load.read_back()
	is_(load.wrong[:5], [], "%s: no wrong value" % title)
	is_([e for e in load.errors if key_slot(e[1]) not in slots][:5], [], "%s: no key of the others has failed" % title)
	ok(load.errors, "%s: some of its own have" % title)
	late = [e for e in load.errors if e[0] > promoted]
	is_(late[:5], [], "%s: but only until the promotion" % title)
	diag("%s: %d errors: %s" % (title, len(load.errors), sorted({e[2] for e in load.errors})[:8]))
	strange = [e for e in load.errors if victim.server.encode() not in e[2]]
	is_(strange[:5], [], "%s: every error names it" % title)
	# Those who noticed that it was away need a moment to see it again.
	ok(wait_for(lambda: victim in cluster.replicas(), 40, "the others to see it"), "%s: it is a replica now" % title)


def handed_over(cluster, kv, master):
	replica = cluster.replicas(master)[0]
	load = Ordered(kv)
	load.goes_on()
	cluster.fail_over(replica)
	load.goes_on(3000)
	load.stop()
	load.read_back()
	is_(load.wrong[:5], [], "handed over: no wrong value")
	is_(load.errors[:5], [], "handed over: no error")


def stall(node):
	node.send_signal(signal.SIGSTOP)
	node.alive = lambda: False      # it would not answer the test either


def resume(cluster, node):
	del node.alive
	node.send_signal(signal.SIGCONT)
	cluster.wait_ok()


with RedisCluster(args=["--repl-diskless-load", "disabled"]) as cluster:
	with Kvgate(["-t", "2"], conf=CONF % (cluster.server, MS, MS, FORM)) as kv:
		# One after the other: a replica that has just been one of these would remember its last election.
		a, b, c = cluster.masters()
		lost(cluster, kv, a, "killed", lambda node: node.kill(), cluster.restart)
		handed_over(cluster, kv, b)
		lost(cluster, kv, c, "stalled", stall, lambda node: resume(cluster, node))
		ok(int(counters(kv)["maps"]) > 1, "maps were read: %s" % counters(kv)["maps"])
done_testing()
