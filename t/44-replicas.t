#!/usr/bin/python3
"""
Replicas: where they are, what reads and writes do when some are down, what the quorum says; stand-ins for servers that
are down, with their shorter lives, from the ring and from another store.
"""
import os, socket, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between

CONF = """store "fleet" { type = memcached  servers = { %s }  timeout = 1s  retry_min = 20ms  retry_max = 100ms  failures = 1
	%s }
%s
namespace "default" { prefix = ""  primary { store = "fleet" }  local { ttl = 0 }  %s }
"""


def fleet(servers, store, more="", space="", zones=None):
	names = ", ".join('"127.0.0.1:%d 1%s"' % (s.port, " zone=" + z if z else "")
	    for s, z in zip(servers, zones or [""] * len(servers)))
	return Kvgate(["-t", "1"], conf=CONF % (names, store, more, space))


def has(server, key):
	with server.client() as c:
		return c.call(b"mg %s\r\n" % key) == b"HD\r\n"


class Deaf:
	"""A port where connecting takes for ever: nobody accepts, and the queue is full."""

	def __init__(self):
		self.port = free_port()
		self.socks = [socket.create_server(("127.0.0.1", self.port), backlog=0)]
		for _ in range(4):
			self.socks.append(socket.socket())
			self.socks[-1].setblocking(False)
			self.socks[-1].connect_ex(("127.0.0.1", self.port))

	def close(self):
		for s in self.socks:
			s.close()


def holders(servers, key):
	return [i for i, s in enumerate(servers) if has(s, key)]


def value(server, key):
	with server.client() as c:
		got = c.call(b"mg %s v\r\n" % key)
		return c.recv(int(got.split()[1]) + 2)[:-2] if got[:2] == b"VA" else None


def get(c, key):
	"""The whole answer to get."""
	c.send(b"get %s\r\n" % key)
	line = c.line()
	return line if line[:5] != b"VALUE" else line + c.recv(int(line.split()[3]) + 7)


def down(kv, server):
	return stats(kv, "servers").get("fleet:127.0.0.1:%d:state" % server.port) == "down"


def take_down(kv, c, server):
	"""Until kvgate knows, which takes a request."""
	server.kill()
	def known():
		for i in range(20):
			c.call(b"mg probe%d\r\n" % i)
		return down(kv, server)
	wait_for(known, 20, "the server to be down")


def take_up(kv, c, server):
	server.start(server.argv)
	def known():
		for i in range(50):
			c.call(b"mg probe%d\r\n" % i)
		return stats(kv, "servers")["fleet:127.0.0.1:%d:state" % server.port] == "up"
	wait_for(known, 20, "the server to be up")


KEYS = [b"key%d" % i for i in range(40)]

# ---- two of three

with Memcached() as a, Memcached() as b, Memcached() as d:
	three = [a, b, d]
	with fleet(three, "replicas = 2  write_quorum = 2") as kv, kv.client() as c:
		for key in KEYS:
			c.ask(b"set %s 7 0 5\r\nhello\r\n" % key, b"STORED\r\n")
		where = {key: holders(three, key) for key in KEYS}
		is_({len(w) for w in where.values()}, {2}, "each key is on two servers")
		is_(len({tuple(w) for w in where.values()}), 3, "and all pairs are used")
		for key in KEYS:
			got = get(c, key)
			if got != b"VALUE %s 7 5\r\nhello\r\nEND\r\n" % key:
				ok(False, "read back %s" % key) or diag(got)
		# What depends on what is there ends the same on both.
		key = KEYS[0]
		both = [three[i] for i in where[key]]
		c.ask(b"add %s 0 0 1\r\nx\r\n" % key, b"NOT_STORED\r\n", "add of what is there")
		is_([value(s, key) for s in both], [b"hello"] * 2, "add: neither has changed")
		c.ask(b"append %s 0 0 2\r\n!!\r\n" % key, b"STORED\r\n", "append")
		is_([value(s, key) for s in both], [b"hello!!"] * 2, "append: both have it")
		c.send(b"gets %s\r\n" % key)
		unique = c.line().split()[4]
		c.recv(7 + 2 + 5)
		c.ask(b"cas %s 0 0 3 %s\r\nnew\r\n" % (key, unique), b"STORED\r\n", "cas with the unique")
		wait_for(lambda: [value(s, key) for s in both] == [b"new"] * 2, 10, "both to have what cas stored")
		c.ask(b"cas %s 0 0 3 %s\r\nbad\r\n" % (key, unique), b"EXISTS\r\n", "cas with an old unique")
		is_([value(s, key) for s in both], [b"new"] * 2, "cas: neither has changed")
		c.ask(b"set %s 0 0 1\r\n5\r\n" % key, b"STORED\r\n")
		c.ask(b"incr %s 37\r\n" % key, b"42\r\n", "incr")
		wait_for(lambda: [value(s, key) for s in both] == [b"42"] * 2, 10, "both to have counted")
		c.ask(b"touch %s 100\r\n" % key, b"TOUCHED\r\n", "touch")
		c.ask(b"delete %s\r\n" % key, b"DELETED\r\n", "delete")
		is_(holders(three, key), [], "delete: gone from both")
		large = os.urandom(300000)
		c.ask(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(large), large), b"STORED\r\n", "a large value")
		is_([value(s, key) == large for s in both], [True] * 2, "large: both have it")
		# One is down.
		take_down(kv, c, a)
		good = bad = 0
		for k in KEYS[1:]:
			if 0 not in where[k]:
				continue
			got = get(c, k)
			good += got == b"VALUE %s 7 5\r\nhello\r\nEND\r\n" % k
			bad += got[:5] != b"VALUE"
		ok(good > 5 and bad == 0, "one down: reads come from the other replica")
		on_a = [k for k in KEYS[1:] if 0 in where[k]]
		off_a = [k for k in KEYS[1:] if 0 not in where[k]]
		answer = c.call(b"set %s 0 0 1\r\nx\r\n" % on_a[0])
		like(answer, rb"^SERVER_ERROR 127.0.0.1:%d is down" % a.port, "one down: no quorum of two, and it says why")
		c.ask(b"set %s 0 0 1\r\nx\r\n" % off_a[0], b"STORED\r\n", "one down: keys of the others are written")
		# What depends on what is there is done everywhere it has to be, or nowhere.
		others = [s for s in three[1:] if has(s, on_a[1])]
		for what, line in ((b"append", b"append %s 0 0 1\r\nx\r\n"), (b"cas", b"cas %s 0 0 1 1\r\nx\r\n"),
		    (b"replace", b"replace %s 0 0 1\r\nx\r\n")):
			like(c.call(line % on_a[1]), rb"^SERVER_ERROR 127.0.0.1:%d is down" % a.port,
			    "one down: no quorum for %s" % what.decode())
		is_([value(s, on_a[1]) for s in others], [b"hello"], "one down: and nothing was changed by them")
		c.ask(b"touch %s 100\r\n" % on_a[1], b"TOUCHED\r\n", "one down: touch and gat go on")
		c.ask(b"gat 100 %s\r\n" % on_a[1], b"VALUE %s 7 5\r\nhello\r\nEND\r\n" % on_a[1])
		take_up(kv, c, a)
		c.ask(b"set %s 0 0 1\r\nx\r\n" % on_a[0], b"STORED\r\n", "up again: a quorum again")

	# ---- a quorum of one
	with fleet(three, "replicas = 2  write_quorum = 1  read_from = any") as kv, kv.client() as c:
		for key in KEYS:
			c.ask(b"set %s 7 0 5\r\nhello\r\n" % key, b"STORED\r\n")
		wait_for(lambda: all(len(holders(three, k)) == 2 for k in KEYS), 10, "both replicas of all keys")
		ok(True, "quorum of one: the other gets it too")
		before = [int(stats(s)["cmd_get"]) for s in three]
		with fleet(three, "replicas = 2  write_quorum = 1  read_from = any") as kv2, kv2.client() as c2:
			for _ in range(20):
				c2.ask(b"get %s\r\n" % KEYS[1], b"VALUE %s 7 5\r\nhello\r\nEND\r\n" % KEYS[1])
		took = [int(stats(s)["cmd_get"]) - n for s, n in zip(three, before)]
		is_(sorted(took), [0, 10, 10], "read_from = any: turn and turn about")
		take_down(kv, c, b)
		for key in KEYS:
			c.ask(b"set %s 8 0 5\r\nworld\r\n" % key, b"STORED\r\n")
			c.ask(b"get %s\r\n" % key, b"VALUE %s 8 5\r\nworld\r\nEND\r\n" % key)
		ok(True, "quorum of one, one down: all goes on")
		b.start(b.argv)

# ---- a server that sheds load has not failed: the other one is not to decide without it

with Memcached() as a, Memcached() as b, Between(a) as slow_a, Between(b) as slow_b:
	slow = [slow_a, slow_b]
	with fleet(slow, "replicas = 2  write_quorum = 1  max_inflight = 1") as kv, kv.client() as c, kv.client() as c2:
		c.ask(b"set n 0 0 1\r\n1\r\n", b"STORED\r\n")
		wait_for(lambda: has(a, b"n") and has(b, b"n"), 10, "both to have it")
		for s in slow:
			s.fault("late 200")
		c.send(b"incr n 1\r\n")
		wait_for(lambda: b"2" in (value(a, b"n"), value(b, b"n")), 10, "the first to have counted")
		like(c2.call(b"incr n 1\r\n"), rb"^SERVER_ERROR 127.0.0.1:\d+ has too many requests in flight", "busy: incr is refused")
		is_(c.line(), b"2\r\n", "busy: the one before was not")
		for s in slow:
			s.fault("none")
		wait_for(lambda: value(a, b"n") == value(b, b"n") == b"2", 10, "both to have the same")
		ok(True, "busy: both have the same")

# ---- a CAS value of a raw store is one server's own

with Memcached() as a, Memcached() as b, Between(a) as slow_a, Between(b) as slow_b:
	slow = [slow_a, slow_b]
	with b.client() as direct:
		for _ in range(100):
			direct.ask(b"set other 0 0 1\r\nx\r\n", b"STORED\r\n")
	with fleet(slow, "replicas = 2  write_quorum = 1", space="hedge = 1ms  hedge_budget = 100%") as kv, kv.client() as c:
		for s in slow:
			for key in KEYS[:10]:
				s.fault("late 50")
				unique = c.call(b"ms %s 3 c\r\nold\r\n" % key).split()[1][1:]
				s.fault("none")
				c.ask(b"cas %s 0 0 3 %s\r\nnew\r\n" % (key, unique), b"STORED\r\n", "cas with what ms told")
				s.fault("late 50")
				c.send(b"gets %s\r\n" % key)
				unique = c.line().split()[4]
				c.recv(3 + 2 + 5)
				s.fault("none")
				c.ask(b"cas %s 0 0 3 %s\r\nend\r\n" % (key, unique), b"STORED\r\n", "cas with what gets told")

# ---- a classic read of a stale item gives its win back, and all its memory

with Memcached() as a, Memcached() as b:
	with fleet([a, b], "replicas = 2", "client_buffer_max = 1MB  buffer_max = 4MB") as kv, kv.client() as c:
		large = b"x" * 200000
		c.ask(b"set k 0 0 %d\r\n%s\r\n" % (len(large), large), b"STORED\r\n")
		c.ask(b"md k I T100\r\n", b"HD\r\n")
		want = b"VALUE k 0 %d\r\n%s\r\nEND\r\n" % (len(large), large)
		got = []
		for _ in range(40):
			c.send(b"get k\r\n")
			got.append(c.recv(len(want)) == want)
			if not got[-1]:
				break
		is_(got, [True] * 40, "large stale values are read again and again")

# ---- zones

with Memcached() as a, Memcached() as b, Memcached() as d, Memcached() as e:
	four = [a, b, d, e]
	with fleet(four, "replicas = 2", zones=["east", "east", "west", "west"]) as kv, kv.client() as c:
		for key in KEYS:
			c.ask(b"set %s 0 0 1\r\nx\r\n" % key, b"STORED\r\n")
		where = [holders(four, key) for key in KEYS]
		is_([w for w in where if not (len(w) == 2 and w[0] < 2 <= w[1])], [], "zones: one replica in each")

# ---- stand-ins

with Memcached() as a, Memcached() as b, Memcached() as d:
	three = [a, b, d]
	with fleet(three, "on_down = failover  failover_ttl = 30s") as kv, kv.client() as c:
		for key in KEYS:
			c.ask(b"set %s 0 0 3\r\nold\r\n" % key, b"STORED\r\n")
		where = {key: holders(three, key) for key in KEYS}
		mine = [k for k in KEYS if where[k] == [0]]
		take_down(kv, c, a)
		c.ask(b"get %s\r\n" % mine[0], b"END\r\n", "failover: a read of the stand-in")
		c.ask(b"set %s 0 0 3\r\nnew\r\n" % mine[0], b"STORED\r\n", "failover: a write")
		c.ask(b"get %s\r\n" % mine[0], b"VALUE %s 0 3\r\nnew\r\nEND\r\n" % mine[0], "failover: it is read back")
		at = holders(three[1:], mine[0])
		is_(len(at), 1, "failover: one server stands in")
		with three[1:][at[0]].client() as s:
			ttl = int(s.call(b"mg %s t\r\n" % mine[0]).split()[1][1:])
		ok(20 < ttl <= 30, "failover_ttl bounds what it stores: %d" % ttl)
		c.ask(b"set %s 0 7 3\r\nnew\r\n" % mine[0], b"STORED\r\n")
		with three[1:][at[0]].client() as s:
			ttl = int(s.call(b"mg %s t\r\n" % mine[0]).split()[1][1:])
		ok(0 < ttl <= 7, "and leaves shorter lives alone: %d" % ttl)
		others = [k for k in KEYS if where[k] != [0]]
		is_([get(c, k) for k in others], [b"VALUE %s 0 3\r\nold\r\nEND\r\n" % k for k in others],
		    "failover: no key of the others has moved")
		got = stats(kv, "kvgate")
		ok(int(got["failovers"]) >= 3, "failovers are counted: %s" % got["failovers"])
		take_up(kv, c, a)
		c.ask(b"get %s\r\n" % mine[0], b"END\r\n", "back: its own server is asked again, which lost all")

	# Not known to be down yet.
	deaf = Deaf()
	with fleet([deaf, b, d], "on_down = failover", more="") as kv, kv.client() as c:
		keys = [b"deaf%d" % i for i in range(40)]
		c.send(b"".join(b"set %s 0 0 1\r\nx\r\n" % k for k in keys))
		is_(c.recv(8 * len(keys)), b"STORED\r\n" * len(keys), "failover: of writes that waited for a connection")
		c.send(b"".join(b"append %s 0 0 1\r\ny\r\n" % k for k in keys))
		is_(c.recv(8 * len(keys)), b"STORED\r\n" * len(keys), "failover: and of others after them")
		is_([get(c, k) for k in keys], [b"VALUE %s 0 2\r\nxy\r\nEND\r\n" % k for k in keys], "failover: and all are read")
	deaf.close()

	more = 'store "gutter" { type = memcached  servers = { "127.0.0.1:%d 1" } }' % d.port
	with fleet([a, b], 'on_down = failover  failover_store = "gutter"', more) as kv, kv.client() as c:
		for s in three:
			with s.client() as direct:
				direct.ask(b"flush_all\r\n", b"OK\r\n")
		for key in KEYS:
			c.ask(b"set %s 0 0 3\r\nold\r\n" % key, b"STORED\r\n")
		is_([k for k in KEYS if has(d, k)], [], "failover_store: not used while all is well")
		mine = [k for k in KEYS if has(a, k)]
		take_down(kv, c, a)
		c.ask(b"set %s 0 0 3\r\nnew\r\n" % mine[0], b"STORED\r\n", "failover_store: a write")
		ok(has(d, mine[0]) and not has(b, mine[0]), "failover_store: it is there")
		c.ask(b"get %s\r\n" % mine[0], b"VALUE %s 0 3\r\nnew\r\nEND\r\n" % mine[0], "failover_store: and read there")
		a.start(a.argv)

	# ---- miss and error
	for how, want in (("miss", rb"^END\r\n"), ("error", rb"^SERVER_ERROR 127.0.0.1:%d is down" % a.port)):
		with fleet([a, b], "on_down = " + how) as kv, kv.client() as c:
			for key in KEYS:
				c.ask(b"set %s 0 0 3\r\nold\r\n" % key, b"STORED\r\n")
			mine = [k for k in KEYS if has(a, k)]
			take_down(kv, c, a)
			like(c.call(b"get %s\r\n" % mine[0]), want, "on_down = %s: a read" % how)
			like(c.call(b"set %s 0 0 1\r\nx\r\n" % mine[0]), rb"^SERVER_ERROR 127.0.0.1:%d is down" % a.port,
			    "on_down = %s: a write fails" % how)
			like(c.call(b"mg %s v\r\n" % mine[0]), want if how == "error" else rb"^EN\r\n", "on_down = %s: mg" % how)
			many = c.call(b"get %s\r\n" % b" ".join(mine[:3]))
			like(many, want, "on_down = %s: many keys" % how)
			a.start(a.argv)

done_testing()
