#!/usr/bin/python3
"""
Reads that are late go out a second time: to the other replica, over another connection; within the budget; the first good
answer is the client's, the other one is dropped when it comes. Reads at their end: error, miss.
"""
import os, signal, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between
from redises import *

CONF = """store "fleet" { type = memcached  servers = { %s }  timeout = %s  connect_timeout = 1s  %s }
namespace "default" { prefix = ""  primary { store = "fleet" }  local { ttl = 0 }  coalesce = no  %s }
"""


def fleet(servers, store="", space="", timeout="5s"):
	names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers)
	return Kvgate(["-t", "1"], conf=CONF % (names, timeout, store, space))


def reload(kv):
	before = len(kv.stderr())
	kv.send_signal(signal.SIGHUP)
	wait_for(lambda: "read again, in effect" in kv.stderr()[before:], 20, "the reload")


def counter(kv, name):
	return int(stats(kv, "kvgate")[name])


def get(c, key):
	c.send(b"get %s\r\n" % key)
	line = c.line()
	return line if line[:5] != b"VALUE" else line + c.recv(int(line.split()[3]) + 7)


KEYS = [b"key%d" % i for i in range(40)]


def fill(kv, keys=KEYS, size=5):
	with kv.client() as c:
		for key in keys:
			c.ask(b"set %s 7 0 %d\r\n%s\r\n" % (key, size, b"v" * size), b"STORED\r\n")


def answer(key, size=5):
	return b"VALUE %s 7 %d\r\n%s\r\nEND\r\n" % (key, size, b"v" * size)


# ---- one of two replicas does not answer

with Memcached() as m1, Memcached() as m2, Between(m1) as a, Between(m2) as b:
	two = [a, b]
	with fleet(two, "replicas = 2  write_quorum = 2", "slo_read { target = 2ms  max = 4s }") as kv, kv.client() as c:
		fill(kv)
		is_([get(c, k) for k in KEYS], [answer(k) for k in KEYS], "all is well: all is read")
		sent = counter(kv, "hedges_sent")
		a.fault("stall")
		is_([get(c, k) for k in KEYS], [answer(k) for k in KEYS], "stalled: every read is answered by the other replica")
		got = counter(kv, "hedges_sent") - sent
		ok(1 <= got <= 3, "stalled: it takes one hedge to know; then the other is asked first: %d" % got)
		ok(1 <= counter(kv, "hedges_won"), "stalled: and it wins")
		is_(int(stats(kv, "namespaces")["default:hedges_won"]), counter(kv, "hedges_won"), "counted by namespace, too")
		# Meta commands with opaques are told apart, and the late answers are nobody's.
		for i, k in enumerate(KEYS):
			c.ask(b"mg %s f v O%d k\r\n" % (k, i), b"VA 5 f7 O%d k%s\r\nvvvvv\r\n" % (i, k))
		a.fault("none")
		is_([get(c, k) for k in KEYS * 3], [answer(k) for k in KEYS * 3], "it answers again: late answers are dropped")
		is_(c.sync(), b"", "and nothing else comes")
		# Values that do not fit into a buffer, arriving by two ways.
		fill(kv, KEYS[:4], 200000)
		a.fault("stall")
		is_([get(c, k) == answer(k, 200000) for k in KEYS[:4]], [True] * 4, "large values come from the other replica")
		a.fault("none")
		is_([get(c, k) == answer(k, 200000) for k in KEYS[:4] * 3], [True] * 12, "and whole when both answer")

	# ---- the budget
	with fleet(two, "replicas = 2  write_quorum = 2",
	    "hedge = 2ms  hedge_budget = 0.1%  slo_read { max = 4s }") as kv, kv.client() as c:
		fill(kv)
		a.fault("late 30")
		b.fault("late 30")
		before = [s.counts()["requests"] for s in two]
		clients = [kv.client() for _ in range(30)]
		for cl in clients:
			cl.send(b"".join(b"get %s\r\n" % k for k in KEYS))
		for cl in clients:
			got = cl.recv(sum(len(answer(k)) for k in KEYS))
			if got != b"".join(answer(k) for k in KEYS):
				ok(False, "a slow answer is wrong") or diag(got)
			cl.close()
		sent, denied = counter(kv, "hedges_sent"), counter(kv, "hedges_denied")
		ok(sent <= 30 * len(KEYS) // 1000 + 5, "budget: so few were sent: %d of %d" % (sent, 30 * len(KEYS)))
		ok(denied > 0, "budget: others were denied: %d" % denied)
		# What may be sent without a budget is given once, not with every reading of the configuration.
		for _ in range(10):
			reload(kv)
			is_([get(c, k) for k in KEYS[:6]], [answer(k) for k in KEYS[:6]], "budget: reads after a reload")
		now = counter(kv, "hedges_sent")
		ok(now - sent <= 1, "budget: a reload gives no new one: %d of 60" % (now - sent))
		a.fault("none")
		b.fault("none")

	# ---- at the 95th percentile
	with fleet(two, "replicas = 2  write_quorum = 2  read_from = any", "hedge = auto  hedge_budget = 50%") as kv, \
	    kv.client() as c:
		fill(kv)
		for _ in range(10):
			for k in KEYS:
				get(c, k)
		a.fault("stall")
		is_([get(c, k) for k in KEYS], [answer(k) for k in KEYS], "auto: every read is answered")
		ok(counter(kv, "hedges_won") >= 1, "auto: by a hedge")
		a.fault("none")

	# ---- a replica that fails at once
	with fleet(two, "replicas = 2  write_quorum = 1  failures = 100  retry_min = 20ms", "slo_read { max = 4s }") \
	    as kv, kv.client() as c:
		fill(kv)
		wait_for(lambda: all(int(stats(m)["curr_items"]) >= len(KEYS) for m in (m1, m2)), 10, "both to have all")
		a.fault("close")
		is_([get(c, k) for k in KEYS], [answer(k) for k in KEYS], "closing connections: the other replica is asked at once")
		ok(counter(kv, "retries") >= 1, "closing connections: retries are counted")
		a.fault("none")

	# ---- a replica that does not answer, without hedges
	for s in two:
		s.watch(b"mg key")
	with fleet(two, "replicas = 2  write_quorum = 2  failures = 100  retry_min = 20ms", timeout="400ms") as kv, \
	    kv.client() as c, kv.client() as c2:
		fill(kv)
		of_a = []
		for k in KEYS:
			before = a.seen(b"mg key")
			get(c, k)
			of_a += [k] * (a.seen(b"mg key") - before)
		of_a, of_b = of_a[:10], [k for k in KEYS if k not in of_a][:10]
		a.fault("stall")
		c.send(b"".join(b"get %s\r\n" % k for k in KEYS))
		want = b"".join(answer(k) for k in KEYS)
		is_(c.recv(len(want)), want, "one times out: the other one answers")
		# If both are that slow, it does not help to ask each for what the other one has not answered.
		a.fault("none")
		def first_answers():
			before = a.seen(b"mg key")
			return get(c, of_a[0]) == answer(of_a[0]) and a.seen(b"mg key") > before
		wait_for(first_answers, 20, "the first to answer again")
		a.fault("stall")
		b.fault("stall")
		before = b.seen(b"mg key")
		c.send(b"".join(b"get %s\r\n" % k for k in of_a))
		for _ in range(5):
			stats(kv)
		c2.send(b"".join(b"get %s\r\n" % k for k in of_b))
		got = [c.line() for _ in of_a] + [c2.line() for _ in of_b]
		is_([g for g in got if g[:12] != b"SERVER_ERROR"], [], "both time out: errors")
		is_(b.seen(b"mg key") - before, len(of_b), "both time out: what the first did not answer is not asked at the second")
		a.fault("none")
		b.fault("none")

# ---- a write that waits longer than reads do is not in their way

with Redis() as r, Between(r) as a:
	conf = CONF.replace("type = memcached", "type = redis").replace('store = "fleet"', 'store = "fleet"  format = item')
	with Kvgate(["-t", "1"], conf=conf % ('"127.0.0.1:%d 1"' % a.port, "5s", "connections = 2",
	    "slo_read { target = 2ms }  slo_write { target = 4s }")) as kv, kv.client() as c, kv.client() as c2:
		fill(kv)
		a.fault("hold slow!")
		c.send(b"set key0 7 0 5\r\nslow!\r\n")
		def out():
			return int(stats(kv, "servers")["fleet:127.0.0.1:%d:inflight" % a.port])
		wait_for(out, 10, "the write to be out")
		is_([get(c2, k) for k in KEYS[1:]], [answer(k) for k in KEYS[1:]], "behind a write: reads go another way")
		ok(out() > 0, "behind a write: before the write is answered")
		a.fault("none")
		is_(c.line(), b"STORED\r\n", "and the write is done")

# ---- the end of a read: max, and what then

with Memcached() as m1, Between(m1) as a:
	for how, classic, meta in (
	    ("error", b"SERVER_ERROR 127.0.0.1:%d timed out\r\n" % a.port, b"SERVER_ERROR 127.0.0.1:%d timed out\r\n" % a.port),
	    ("miss", b"END\r\n", b"EN\r\n")):
		with fleet([a], "", "slo_read { max = 100ms }  on_error = %s" % how) as kv, kv.client() as c:
			fill(kv, KEYS[:2])
			a.fault("stall")
			c.ask(b"get %s\r\n" % KEYS[0], classic, "max, on_error = %s: get" % how)
			c.ask(b"mg %s v\r\n" % KEYS[0], meta, "max, on_error = %s: mg" % how)
			c.ask(b"get %s %s\r\n" % (KEYS[0], KEYS[1]), classic, "max, on_error = %s: many keys" % how)
			is_(stats(kv, "servers")["fleet:127.0.0.1:%d:disconnects" % a.port], "0", "max: long before the store gives up")
			a.fault("none")
			wait_for(lambda: get(c, KEYS[0]) == answer(KEYS[0]), 20, "the answer again")
			is_(c.sync(), b"", "max, on_error = %s: late answers are dropped" % how)
			ok(int(stats(kv, "namespaces")["default:errors"]) >= 3, "on_error = %s: errors are counted all the same" % how)
	with fleet([a], "", "slo_write { max = 100ms }") as kv, kv.client() as c:
		fill(kv, KEYS[:2])
		a.fault("stall")
		c.ask(b"set %s 0 0 1\r\nx\r\n" % KEYS[0], b"SERVER_ERROR 127.0.0.1:%d timed out\r\n" % a.port, "max of a write")
		a.fault("none")
		wait_for(lambda: c.call(b"set %s 0 0 1\r\nx\r\n" % KEYS[0]) == b"STORED\r\n", 20, "a write")

done_testing()
