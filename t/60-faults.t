#!/usr/bin/python3
"""
One of three servers fails in every way there is while verified load runs: only its keys may fail, each failure names
it, the others do not notice, nobody ever gets a wrong value, and all is well again once the server is.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
import re
from kvt import *
from faulty import Faulty
from load import *

TIMEOUT_MS = int(max(1500, 600 * patience))     # a healthy server on a busy machine needs some

CONF = """store "fleet" { type = memcached  servers = { %s }  distribution = ketama
	timeout = %dms  connect_timeout = %dms  retry_min = 20ms  retry_max = 200ms  protocol = %s }
namespace "default" { prefix = ""  primary { store = "fleet" }  local { ttl = %s } }
"""


def fleet(servers, protocol="auto", local="0"):
	names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers)
	return Kvgate(["-t", "2"], conf=CONF % (names, TIMEOUT_MS, TIMEOUT_MS, protocol, local))


# ---- a server is killed and comes back

with Memcached() as victim, Memcached() as b, Memcached() as c3:
	fleet3 = [victim, b, c3]
	with fleet(fleet3) as kv:
		name = "127.0.0.1:%d" % victim.port
		load = Load(kv, lambda keys: on_memcached(victim, keys))
		ok(20 < len(load.here) < CLIENTS * KEYS - 20,
		    "keys are spread: %d of %d here" % (len(load.here), CLIENTS * KEYS))
		load.goes_on()
		before = server_stats(kv, name)
		victim.kill()
		load.says(b"is down", "the server to be down")
		load.goes_on(500, here=False)
		down = server_stats(kv, name)
		is_(down.get("state"), "down", "killed: stats servers say so")
		victim.start(victim.argv)
		load.goes_on()
		verdict(load, name, "killed")
		after = server_stats(kv, name)
		is_(after.get("state"), "up", "killed: up again in stats servers")
		ok(errors_of(after)["errors"] > errors_of(before)["errors"], "killed: its errors are counted")

# ---- a server that is there but behaves badly

GONE, NONSENSE, LATE = rb"closed the connection|reset the connection", rb"makes no sense", rb"timed out"

# What Faulty is told, the error that must be seen (None: perhaps none), whether it makes sense in the classic protocol.
FAULTS = [
	("refuse", rb"is down: connect failed", True),
	("silent", rb"timed out", True),
	("stall 30", LATE, True),
	("late %d" % (TIMEOUT_MS * 3), LATE, True),
	("drip 20", LATE, False),
	("reset 30", GONE, True),
	("close 30", GONE, True),
	("middle 30", GONE, True),
	("rubbish 30", NONSENSE, True),
	("longer 30", NONSENSE + rb"|" + LATE, True),
	("shorter 30", NONSENSE, True),
	("huge 30", NONSENSE, True),
	("badlen 30", NONSENSE, True),
	("opaque 30", NONSENSE, False),
	("extra 30", NONSENSE, False),
	("few 30", NONSENSE + rb"|" + LATE, False),
	("swap 30", NONSENSE, False),
	("unasked 30", None, False),
	("endless 30", NONSENSE, True),
]


def misbehave(kv, servers, fault, error, title):
	faulty = servers[0]
	name = "127.0.0.1:%d" % faulty.port
	load = Load(kv, lambda keys: on_memcached(faulty, keys))
	load.goes_on()
	before = server_stats(kv, name)
	faulty.fault(fault)
	if error is None:
		load.goes_on()
	else:
		load.says(error, title)
	load.goes_on(300, here=False)
	faulty.fault("none")
	load.goes_on()
	texts = verdict(load, name, title, error is not None)
	if error is not None:
		ok(any(re.search(error, t) for t in texts), "%s: the right error is among them" % title) or diag(texts)
	after = server_stats(kv, name)
	is_(after.get("state"), "up", "%s: up again" % title)
	if error is not None:
		ok(errors_of(after)["errors"] > errors_of(before)["errors"], "%s: errors are counted" % title)


for protocol in ("auto", "classic"):
	with Faulty() as faulty, Memcached() as b, Memcached() as c3:
		servers = [faulty, b, c3]
		with fleet(servers, protocol) as kv:
			for fault, error, classic in FAULTS:
				if classic or protocol != "classic":
					misbehave(kv, servers, fault, error, protocol + ", " + fault)

# ---- a server that is down from the start, and one that nobody knows

with Memcached() as b:
	gone = free_port()
	conf = CONF % ('"127.0.0.1:%d 1", "127.0.0.1:%d 1"' % (gone, b.port), TIMEOUT_MS, TIMEOUT_MS, "auto", "5s")
	with Kvgate([], conf=conf) as kv, kv.client() as c:
		answers = [c.call(b"set k%d 0 0 1\r\nx\r\n" % i) for i in range(40)]
		bad = sorted(set(answers) - {b"STORED\r\n"})
		ok(b"STORED\r\n" in answers, "down from the start: keys of the other server are served")
		is_(len(bad) > 0 and [a for a in bad if ("127.0.0.1:%d is down" % gone).encode() not in a], [],
		    "down from the start: the keys of this one say so")
		with Memcached(["-p", gone, "-l", "127.0.0.1"]):
			wait_for(lambda: all(c.call(b"set k%d 0 0 1\r\nx\r\n" % i) == b"STORED\r\n" for i in range(40)), 20,
			    "the server to be found")
			ok(True, "down from the start: found when it comes")

done_testing()
