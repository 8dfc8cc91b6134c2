#!/usr/bin/python3
"""
flush_on_return: a memcached that was away keeps what it held. What was deleted meanwhile, elsewhere or not at all, must not
be read when it returns: by no worker, whether it saw the outage or not.
"""
import os, sys, re, signal, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between

WORKERS, KEYS = 3, 60
TIMEOUT_MS = int(300 * patience)        # a healthy server on a busy machine needs some

CONF = """store "fleet" { type = memcached  servers = { %s }  distribution = ketama  connections = %d
	timeout = %dms  connect_timeout = %dms  retry_min = 20ms  retry_max = 100ms  failures = 2
	on_down = %s  flush_on_return = yes }
namespace "default" { prefix = ""  primary { store = "fleet" }  local { ttl = 0 } }
"""


def fleet(servers, on_down, connections=1):
	names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers)
	return Kvgate(["-t", WORKERS], conf=CONF % (names, connections, TIMEOUT_MS, TIMEOUT_MS, on_down))


def key(n):
	return b"fr-%d" % n


def get(c, k):
	c.send(b"get %s\r\n" % k)
	line = c.line()
	return line if line[:5] != b"VALUE" else c.recv(int(line.split()[3]) + 7)[:-7]


def delete(c, k):
	return c.call(b"delete %s\r\n" % k)


def put(c, k, value):
	return c.call(b"set %s 0 0 %d\r\n%s\r\n" % (k, len(value), value)) == b"STORED\r\n"


class Case:
	"""One server of two is away for a while; the workers' clients are one each."""

	def __init__(self, title, server, address, kv, clients):
		self.title, self.server, self.kv, self.clients = title, server, kv, clients
		self.name = "fleet:127.0.0.1:%d" % address.port
		for n in range(KEYS):
			if not put(clients[n % WORKERS], key(n), b"old-%d" % n):
				raise RuntimeError("not stored")
		with server.client() as c:
			self.here = [key(n) for n in range(KEYS) if c.call(b"mg %s\r\n" % key(n)) == b"HD\r\n"]
		ok(KEYS / 5 < len(self.here) < KEYS * 4 / 5, "%s: %d keys are on it" % (title, len(self.here)))
		self.old = []
		self.reading = True
		self.readers = [threading.Thread(target=self.reader, daemon=True) for _ in range(WORKERS)]

	def away(self, clients):
		"""Deletes all its keys until each has an answer that is not from a try to reach it."""
		def given_up(c, k):
			answer = delete(c, k)
			return None if re.match(rb"SERVER_ERROR (?!.* is down)", answer) else answer

		for c in clients:
			wait_for(lambda: given_up(c, self.here[0]), 30, "the server to be given up")
		answers = set()
		for i, k in enumerate(self.here):
			c = clients[i % len(clients)]
			answers.add(wait_for(lambda: given_up(c, k), 30, "an answer that is not the server's"))
		return answers

	def reader(self):
		"""Any worker, from when the server may answer again: whatever is read must not be old."""
		with self.kv.client(seconds=30) as c:
			while self.reading:
				for k in self.here:
					value = get(c, k)
					if value[:4] == b"old-":
						self.old.append((k, value))

	def returns(self, how):
		"""how() lets it."""
		for r in self.readers:
			r.start()
		how()

		def used():
			for c in self.clients:
				if not put(c, self.here[-1], b"new"):
					return False
			# Until it is flushed it has what it had, and what is put goes to who stands in for it.
			with self.server.client() as c:
				return get(c, self.here[-1]) == b"new"
		wait_for(used, 30, "the server to be used again")
		is_([get(c, self.here[-1]) for c in self.clients], [b"new"] * WORKERS, "%s: used again, by all" % self.title)
		is_([get(c, k) for c in self.clients for k in self.here[:-1]], [b"END\r\n"] * (WORKERS * (len(self.here) - 1)),
		    "%s: nothing that it held is there" % self.title)
		self.reading = False
		for r in self.readers:
			r.join()
		is_(self.old[:3], [], "%s: nobody read it on the way" % self.title)
		return int(stats(self.server)["cmd_flush"])


def is_stopped(pid):
	"""Whether none of its threads goes on: a signal takes its time."""
	for task in os.listdir("/proc/%d/task" % pid):
		with open("/proc/%d/task/%s/stat" % (pid, task)) as f:
			if f.read().rpartition(") ")[2][0] != "T":
				return False
	return True


ERROR = b"SERVER_ERROR "


def frozen(on_down, connections):
	"""It hangs; one worker notices, the others have nothing to do with it meanwhile."""
	title = "frozen, %s, connections = %d" % (on_down, connections)
	with Memcached() as a, Memcached() as b, fleet([a, b], on_down, connections) as kv:
		clients = [kv.client(seconds=30) for _ in range(WORKERS)]
		case = Case(title, a, a, kv, clients)
		is_(int(stats(a)["cmd_flush"]), 0, "%s: the first connections flush nothing" % title)
		a.send_signal(signal.SIGSTOP)
		wait_for(lambda: is_stopped(a.pid), 20, "all its threads to stop")
		answers = case.away(clients[:1])
		if on_down == "error":
			is_([x for x in answers if not x.startswith(ERROR)], [], "%s: it cannot be told of deletes" % title)
		else:
			is_(answers, {b"NOT_FOUND\r\n"}, "%s: deletes go elsewhere" % title)
		is_(case.returns(lambda: a.send_signal(signal.SIGCONT)), 1, "%s: it was flushed once" % title)


def cut_off(on_down):
	"""It cannot be reached, by no worker."""
	title = "cut off, %s" % on_down
	with Memcached() as a, Memcached() as b, Between(a) as way, fleet([way, b], on_down) as kv:
		clients = [kv.client(seconds=30) for _ in range(WORKERS)]
		case = Case(title, a, way, kv, clients)
		way.fault("refuse")
		case.away(clients)
		flushed = case.returns(lambda: way.fault("none"))
		ok(1 <= flushed <= WORKERS, "%s: flushed by each worker at most once: %d" % (title, flushed))


for on_down in "failover", "error":
	frozen(on_down, 1)
	cut_off(on_down)
frozen("failover", 3)

# ---- one that must not be flushed

with Memcached(["-F"]) as a, Memcached() as b, Between(a) as way, fleet([way, b], "error") as kv:
	clients = [kv.client(seconds=30) for _ in range(WORKERS)]
	case = Case("not to be flushed", a, way, kv, clients)
	way.fault("refuse")
	case.away(clients)
	way.fault("none")
	wanted = b"SERVER_ERROR 127.0.0.1:%d is down: flush_all failed: it says CLIENT_ERROR flush_all not allowed\r\n" % way.port
	for c in clients:
		wait_for(lambda: get(c, case.here[0]) == wanted, 30, "the reason")
	is_([get(c, k) for c in clients for k in case.here], [wanted] * (WORKERS * len(case.here)),
	    "not to be flushed: it stays down, and says why")
	is_(stats(kv, "servers")[case.name + ":state"], "down", "not to be flushed: stats servers says so, too")
	ok(all(put(c, key(n), b"x") for c in clients for n in range(KEYS) if key(n) not in case.here),
	    "not to be flushed: the other server's keys are fine")

done_testing()
