#!/usr/bin/python3
"""
Verified reads in great number while the servers of the fleet are killed, stopped and started again and one of them
misbehaves in every way: not one wrong value. KVT_READS is how many (make check-long: ten million).
"""
import json, os, random, signal, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from faulty import Faulty

REQUESTS = int(os.environ.get("KVT_READS", "200000"))
KVLOAD = os.path.join(os.environ.get("top_builddir", top_srcdir), "contrib/bench/kvload")
FAULTS = ("silent", "stall 50", "reset 50", "close 50", "middle 50", "rubbish 50", "longer 50", "shorter 50", "huge 50",
    "opaque 50", "extra 50", "few 50", "swap 50", "unasked 50", "endless 50", "late 400", "drip 5", "refuse")

# One key in a hundred lives on the server that misbehaves: it is a slow one, and every batch waits for its own.
CONF = """store "fleet" { type = memcached  servers = { %s, "127.0.0.1:%d 1" }
	timeout = 200ms  connect_timeout = 200ms  retry_min = 20ms  retry_max = 200ms }
namespace "default" { prefix = ""  primary { store = "fleet" }  local { ttl = %s } %s }
"""


def state(kv, port):
	return stats(kv, "servers").get("fleet:127.0.0.1:%d:state" % port)


def some_time(kv, load, n):
	"""Until so many more gets were answered or the load is at its end."""
	def gets():
		return int(stats(kv)["cmd_get"])
	start = gets()
	wait_for(lambda: load.poll() is not None or gets() > start + n, 60, "progress")


def reaches(kv, load, port, want):
	wait_for(lambda: load.poll() is not None or state(kv, port) == want, 60, "server to be " + want)


def disturb(kv, load, servers, faulty, rnd):
	victim = rnd.choice(servers)
	faulty.fault(rnd.choice(FAULTS))
	if rnd.random() < 0.6:
		victim.kill()
		reaches(kv, load, victim.port, "down")
		some_time(kv, load, REQUESTS // 200)
		victim.start(victim.argv)
	else:
		victim.send_signal(signal.SIGSTOP)
		reaches(kv, load, victim.port, "down")
		some_time(kv, load, REQUESTS // 200)
		victim.send_signal(signal.SIGCONT)
	reaches(kv, load, victim.port, "up")
	faulty.fault("none")
	some_time(kv, load, REQUESTS // 100)


def run(local, space=""):
	title = ("local ttl %s %s" % (local, space)).strip()
	rnd = random.Random(title)
	with Memcached() as a, Memcached() as b, Memcached() as c, Faulty() as faulty:
		servers = [a, b, c]
		names = ", ".join('"127.0.0.1:%d 33"' % s.port for s in servers)
		with Kvgate(["-t", "2"], conf=CONF % (names, faulty.port, local, space)) as kv:
			log = open(os.path.join(tmpdir(), "kvload.%d" % kv.port), "w+")
			load = subprocess.Popen([KVLOAD, "--json", "--prefill", "--values-fixed", "-c", "20", "-P", "16",
			    "-K", "20000", "-s", "100:90,3000:9,60000:1", "-r", "90:10", "-n", str(REQUESTS),
			    "--reconnect", "--expect-errors", "--timeout", "30000", "127.0.0.1:%d" % kv.port],
			    stdout=log, stderr=subprocess.STDOUT)
			try:
				wait_for(lambda: load.poll() is not None or int(stats(kv)["cmd_get"]) > 0, 60, "the load to start")
				times = 0
				while load.poll() is None:
					disturb(kv, load, servers, faulty, rnd)
					times += 1
			finally:
				for s in servers:
					s.send_signal(signal.SIGCONT)
				if load.poll() is None:
					load.kill()
				load.wait()
			log.seek(0)
			said = log.read()
			diag("%s: %d disturbances" % (title, times), said)
			is_(load.returncode, 0, "%s: kvload is content" % title)
			got = json.loads(said.strip().splitlines()[-1])
			is_(got["wrong"], 0, "%s: no wrong value among %d reads" % (title, got["reads"]))
			ok(got["hits"] > got["reads"] / 4, "%s: many of them were hits" % title)
			ok(got["errors"] > 0 and times > 0, "%s: and there was trouble" % title)
			is_(got["lost"], 0, "%s: no client's connection was lost" % title)


run("0")
run("1s")
run("3s  ttl_jitter = 30%  refresh_ahead = 1s  negative_ttl = 1s", "on_error = stale  stale_for = 20s")
done_testing()
