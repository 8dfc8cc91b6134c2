#!/usr/bin/python3
"""
redises - Redis and Redis Cluster for the tests, and as much of a client as they need.

	from redises import *
	with Redis() as r:                      # a Server: addr, port, kill(), stop(), stderr() ...
		r.call("SET", "a", "b")         # b"OK"; integers are int, nil is None, arrays are lists
		with r.resp() as c:             # a connection that stays
			c.pipeline(("GET", "a"), ("INCR", "n"))

	Redis(path=True)                        # on a unix socket; addr is its path
	Redis(password="pw"), Redis(user="me", password="pw")
	Redis(["--maxmemory", "4mb"])           # what redis-server takes
	r.restart()                             # on the same port, empty

	with RedisCluster() as cluster:         # three masters and three replicas, all in order when it returns
		node = cluster.master_of("key")
		cluster.call("SET", "key", "v")         # where the key lives
		cluster.reshard(source, target, 1000)   # by redis-cli; returns once it is done
		node.kill()
		cluster.wait_promoted(node)
		cluster.restart(node)                   # back as a replica, in sync

An answer that is an error raises RedisError, whose text it is; within pipelines and arrays it stands as an object.
RedisCluster(between=True) puts a Between (lib/between.py) in front of every node, as node.between: the slot map names the
proxies, clients go through them, the nodes among themselves do not suffer what they do.
"""

import os
import re
import shutil
import subprocess
import tempfile

from kvt import *

__all__ = "Redis RedisCluster RedisError Resp key_slot".split()


# ---------------------------------------------------------------- a client

class RedisError(Exception):
	"""An error as the server said it, without its dash."""


def encode(args):
	"""A command as RESP; text and numbers become bytes."""
	parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
	return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Resp(Client):
	"""A connection that speaks RESP2; the rest is kvt.Client's."""

	def __init__(self, addr, user=None, password=None, **options):
		super().__init__(addr, **options)
		if password is not None:
			self.call(*["AUTH"] + [w for w in (user, password) if w is not None])

	def read(self):
		"""The next answer; an error is returned, not raised."""
		line = self.recv_until(b"\r\n")
		if line[-2:] != b"\r\n":
			raise EOFError("the server closed the connection; it had said %r" % line)
		kind, rest = line[:1], line[1:-2]
		if kind == b"+":
			return rest
		if kind == b"-":
			return RedisError(rest.decode("latin1"))
		if kind == b":":
			return int(rest)
		if kind == b"$":
			return None if rest == b"-1" else self.recv(int(rest) + 2)[:-2]
		if kind == b"*":
			return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
		raise ValueError("not RESP: %r" % line)

	def call(self, *args):
		self.send(encode(args))
		answer = self.read()
		if isinstance(answer, RedisError):
			raise answer
		return answer

	def pipeline(self, *commands):
		"""The answers to several commands sent at once."""
		self.send_and_read(b"".join(map(encode, commands)))
		return [self.read() for _ in commands]


# ---------------------------------------------------------------- one server

class Redis(Server):
	"""
	Debian's redis-server (or $REDIS) with a folder of its own and without persistence. path: a unix socket instead of
	a port, True for one in that folder. user, password: what clients must say.
	"""
	name = "redis"

	def __init__(self, args=(), port=None, path=None, user=None, password=None):
		self.user, self.password = user, password
		self.dir = tempfile.mkdtemp(prefix="redis.", dir=tmpdir())
		if path is True:
			path = os.path.join(self.dir, "sock")
		addr = path or ("127.0.0.1", port or free_port())
		argv = [os.environ.get("REDIS") or shutil.which("redis-server") or "/usr/bin/redis-server",
		    "--dir", self.dir, "--save", "", "--appendonly", "no", "--daemonize", "no", "--bind", "127.0.0.1", "--protected-mode", "no",
		    "--repl-diskless-sync-delay", "0", "--enable-debug-command", "local",
		    "--port", 0 if path else addr[1]]
		argv += ["--unixsocket", path] if path else []
		if user:
			argv += ["--user", user, "on", ">" + password, "~*", "&*", "+@all", "--user", "default", "off"]
		elif password:
			argv += ["--requirepass", password]
		self.start(argv + list(args), addr)

	def _answers(self):
		if not super()._answers():
			return False
		try:
			return self.call("PING") == b"PONG"
		except (OSError, EOFError, RedisError):
			return False

	@property
	def server(self):
		"""How a configuration file names it."""
		return self.addr if isinstance(self.addr, str) else "127.0.0.1:%d" % self.port

	def resp(self, **options):
		return Resp(self.addr, self.user, self.password, **options)

	def call(self, *args):
		"""One command on a connection of its own."""
		with self.resp() as c:
			return c.call(*args)

	def info(self, section="default"):
		"""INFO as a dict of strings."""
		text = self.call("INFO", section).decode("latin1")
		return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

	def calls(self, command):
		"""How many times this command ran since CONFIG RESETSTAT; scripts' own commands count too."""
		m = re.match(r"calls=(\d+)", self.info("commandstats").get("cmdstat_" + command.lower(), ""))
		return int(m.group(1)) if m else 0

	def restart(self):
		"""The same again at the same place, empty."""
		self.kill()
		return self.start(self.argv)


# ---------------------------------------------------------------- a cluster

def wait_quietly(condition, seconds):
	"""wait_for() that returns False in the end."""
	try:
		return wait_for(condition, seconds)
	except TimeoutError:
		return False


def _crc16_table():
	for n in range(256):
		crc = n << 8
		for _ in range(8):
			crc = crc << 1 ^ (0x1021 if crc & 0x8000 else 0)
		yield crc & 0xffff


_CRC16 = list(_crc16_table())
SLOTS = 16384


def key_slot(key):
	"""The slot of a key, by its hash tag if it has one."""
	key = key if isinstance(key, bytes) else key.encode()
	begin = key.find(b"{")
	end = key.find(b"}", begin + 1)
	if begin >= 0 and end > begin + 1:
		key = key[begin + 1:end]
	crc = 0
	for byte in key:
		crc = crc << 8 & 0xffff ^ _CRC16[crc >> 8 ^ byte]
	return crc % SLOTS


class Node(Redis):
	"""A server of a cluster. id is the cluster's name for it; seen is the port that the slot map shows."""
	name = "redis-node"
	between = id = None

	@property
	def seen(self):
		return self.between.port if self.between else self.port

	@property
	def server(self):
		return "127.0.0.1:%d" % self.seen


class RedisCluster:
	"""
	masters, and replicas for each of them. node_timeout (seconds) is how long a node may be silent until the others
	think it dead. Without full_coverage (Redis' own default is with) the rest goes on when a master is gone.
	"""

	# Where the nodes connect to each other from: a Between lets it pass.
	AMONG = "127.0.0.9"

	def __init__(self, masters=3, replicas=1, args=(), between=False, node_timeout=2, full_coverage=False,
	    password=None):
		self.args = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-announce-ip",
		    "127.0.0.1", "--bind-source-addr", self.AMONG, "--cluster-node-timeout",
		    int(1000 * node_timeout * patience), "--cluster-replica-validity-factor", 0,
		    "--cluster-require-full-coverage", "yes" if full_coverage else "no"] + list(args)
		if password:
			self.args += ["--masterauth", password]
		self.nodes = []
		try:
			for _ in range(masters * (1 + replicas)):
				self.nodes.append(self._node(between, password))
			self._form(masters)
			self.wait_ok()
		except BaseException:
			self.kill()
			raise

	def _node(self, between, password):
		port, args = free_port(), ["--cluster-port", free_port()]
		proxy = None
		if between:
			from between import Between
			proxy = Between(("127.0.0.1", port), spare=self.AMONG)
			args += ["--cluster-announce-port", proxy.port]
		node = Node(self.args + args, port=port, password=password)
		node.bus, node.between = args[1], proxy
		node.id = node.call("CLUSTER", "MYID").decode()
		return node

	def _form(self, masters):
		"""What redis-cli --cluster create does, in a second less."""
		for n, node in enumerate(self.nodes):
			if n < masters:
				node.call("CLUSTER", "ADDSLOTSRANGE", SLOTS * n // masters, SLOTS * (n + 1) // masters - 1)
			node.call("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
		for one in self.nodes:
			for other in self.nodes:
				if one is not other:
					one.call("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus)
		for n, node in enumerate(self.nodes[masters:]):
			self._becomes_replica(node, self.nodes[n % masters])

	@staticmethod
	def _becomes_replica(node, master):
		def done():
			try:
				return node.call("CLUSTER", "REPLICATE", master.id)
			except RedisError:
				return False    # they have not met yet

		wait_for(done, 20, "%s to know its master" % node.server)

	# -- what there is

	@property
	def alive(self):
		return [n for n in self.nodes if n.alive()]

	@property
	def server(self):
		"""All nodes, as the servers of a configuration file: "host:port", "host:port" ..."""
		return ", ".join('"%s"' % n.server for n in self.nodes)

	@property
	def password(self):
		return self.nodes[0].password

	def table(self, node=None):
		"""CLUSTER NODES of a node as a list of dicts: node, flags (a set), master (a node or None), slots (a set)."""
		by_id = {n.id: n for n in self.nodes}
		found = []
		for line in (node or self.alive[0]).call("CLUSTER", "NODES").decode().splitlines():
			words = line.split()
			slots = set()
			for part in words[8:]:
				if not part.startswith("["):
					low, _, high = part.partition("-")
					slots.update(range(int(low), int(high or low) + 1))
			found.append({"node": by_id.get(words[0]), "flags": set(words[2].split(",")),
			    "master": by_id.get(words[3]), "slots": slots, "link": words[7]})
		return found

	def owner(self, slot):
		"""The master that has a slot, or None."""
		for row in self.table():
			if slot in row["slots"]:
				return row["node"]
		return None

	def master_of(self, key):
		return self.owner(key_slot(key))

	def masters(self):
		"""Those that have slots."""
		return [row["node"] for row in self.table() if row["slots"]]

	def replicas(self, master=None):
		"""Living replicas, of this master or of all."""
		return [row["node"] for row in self.table() if "slave" in row["flags"] and "fail" not in row["flags"]
		    and (master is None or row["master"] is master)]

	def call(self, command, key, *args):
		"""A command, where its key lives."""
		return self.master_of(key).call(command, key, *args)

	def size(self):
		"""How many keys there are."""
		return sum(m.call("DBSIZE") for m in self.masters())

	# -- what is done to it

	def flush(self):
		for m in self.masters():
			m.call("FLUSHALL")

	def reshard(self, source, target, slots):
		"""Moves so many slots with their keys, as people do it."""
		auth = ["-a", self.password, "--no-auth-warning"] if self.password else []
		run = subprocess.run(["redis-cli"] + auth + ["--cluster", "reshard", "127.0.0.1:%d" % source.port,
		    "--cluster-from", source.id, "--cluster-to", target.id, "--cluster-slots", str(slots),
		    "--cluster-yes"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
		if run.returncode:
			raise RuntimeError("reshard: " + run.stdout.decode("latin1")[-2000:])

	def open_slot(self, slot, target):
		"""A slot begins to move: who has it answers ASK for keys that it lacks. Returns who that is."""
		source = self.owner(slot)
		target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
		source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
		return source

	def move_key(self, key, target):
		"""One key of an open slot."""
		auth = ("AUTH", self.password) if self.password else ()
		self.owner(key_slot(key)).call("MIGRATE", "127.0.0.1", target.port, key, 0, 5000, *auth)

	def close_slot(self, slot, target):
		"""The slot has moved: MOVED from now on."""
		source = self.owner(slot)
		for node in [target, source] + [m for m in self.masters() if m not in (source, target)]:
			node.call("CLUSTER", "SETSLOT", slot, "NODE", target.id)

	def fail_over(self, replica):
		"""The replica takes over, its master helping; returns when both know."""
		master = next(row["master"] for row in self.table() if row["node"] is replica)

		def done():
			# A busy master may let its time pass: then it is asked once more.
			if replica not in self.masters():
				replica.call("CLUSTER", "FAILOVER")
				return wait_quietly(lambda: replica in self.masters(), 6)
			return master in self.replicas(replica)

		wait_for(done, 60, "the replica to be master")
		self.wait_ok()

	def wait_promoted(self, dead):
		"""A master was killed: until another has its slots in everybody's eyes. Returns it."""
		def promoted():
			tables = [self.table(n) for n in self.alive]
			owners = [{row["node"] for row in t if row["slots"]} for t in tables]
			return dead not in owners[0] and owners.count(owners[0]) == len(owners)

		was = {row["node"]: row["master"] for row in self.table()}
		wait_for(promoted, 30, "a replica to be promoted")
		return next((m for m in self.masters() if was.get(m) is dead), None)

	def restart(self, node):
		"""Starts a node that was killed, and waits until all is in order."""
		node.start(node.argv)
		self.wait_ok()

	def wait_ok(self):
		"""Until every node finds all slots served, knows all that live, and every replica is in sync."""
		wait_for(lambda: all(map(self._is_ok, self.alive)), 40, "the cluster to be in order")

	def _is_ok(self, node):
		table = self.table(node)
		known = {row["node"] for row in table if not row["flags"] & {"handshake", "fail", "fail?", "noaddr"}}
		if not known.issuperset(self.alive) or node.call("CLUSTER", "INFO").find(b"cluster_state:ok") < 0:
			return False
		if sum(len(row["slots"]) for row in table) < SLOTS:
			return False
		mine = next(row for row in table if row["node"] is node)
		return "master" in mine["flags"] or node.info("replication").get("master_link_status") == "up"

	def stop(self):
		"""SIGKILL for all: there is nothing that they should save."""
		self.kill()

	def kill(self):
		for n in self.nodes:
			n.kill()
			if n.between:
				n.between.kill()

	def __enter__(self):
		return self

	def __exit__(self, kind, _value, _traceback):
		if kind is not None:
			for n in self.nodes:
				diag("%s said:" % n.server, n.stderr()[-1500:])
		self.kill()
