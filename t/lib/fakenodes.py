"""
fakenodes - a Redis Cluster that does what a test says, command by command.

	cluster = FakeCluster(3)                # its slots are shared out evenly; cluster.nodes
	a, b, c = cluster.nodes
	cluster.ranges = [(0, 16383, [a, b])]   # what CLUSTER SLOTS says from now on: a is the master, b a replica
	a.script("key", moved(5, b), HOLD)      # answers to the next commands on that key; then as a Redis would
	a.wait("SET key")                       # until a command that begins so has come
	a.release("key", b"+OK\r\n")            # the answer to the oldest one on that key that is held
	a.log                                   # commands on keys, as text: "SET key value"
	a.reset()                               # all its connections are reset
	a.down(), a.up()

A node knows GET, SET, DEL, and whatever kvgate says when it connects. Answers keep their order on each connection, so what is held
holds back what comes behind it on the same one.
"""

import socket
import struct
import threading

from kvt import *
from redises import SLOTS, key_slot

__all__ = "FakeCluster FakeNode HOLD TIME moved ask error".split()

HOLD = object()
TIME = b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"


def error(text):
	return b"-%s\r\n" % text.encode()


def moved(key, node):
	return error("MOVED %d 127.0.0.1:%d" % (key_slot(key), node.port))


def ask(key, node):
	return error("ASK %d 127.0.0.1:%d" % (key_slot(key), node.port))


def bulk(value):
	return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


class _Conn:
	def __init__(self, node, sock):
		self.node, self.sock, self.answers = node, sock, []     # [key, bytes or None while it is held]
		self.asking = self.readonly = self.dead = False
		threading.Thread(target=self._run, daemon=True).start()

	def _run(self):
		try:
			f = self.sock.makefile("rb")
			while True:
				line = f.readline()
				if not line:
					return
				words = []
				for _ in range(int(line[1:])):
					n = int(f.readline()[1:])
					words.append(f.read(n + 2)[:-2])
				with self.node.lock:
					if self.dead:
						return
					self._command(words)
					self._send()
		except (OSError, ValueError):
			pass

	def _command(self, words):
		name = words[0].upper().decode()
		answer, key = self.node.housekeeping(self, name, words), None
		if answer is None:
			key = words[1].decode("latin1")
			self.node.log.append(("ASKING " if self.asking else "") + ("READONLY " if self.readonly else "") +
			    " ".join(w.decode("latin1")[:60] for w in words))
			self.asking = False
			answer = self.node.answer(name, key, words)
		self.answers.append([key, None if answer is HOLD else answer])

	def _send(self):
		out = b""
		while self.answers and self.answers[0][1] is not None:
			out += self.answers.pop(0)[1]
		if out:
			try:
				self.sock.sendall(out)
			except OSError:
				pass

	def reset(self):
		self.dead = True
		try:
			self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
			self.sock.shutdown(socket.SHUT_RD)      # wakes the thread
			self.sock.close()
		except OSError:
			pass


class FakeNode:
	def __init__(self, cluster):
		self.cluster, self.lock = cluster, threading.RLock()
		self.port, self.conns, self.log, self.scripts, self.values = free_port(), [], [], {}, {}
		self.maps_asked = 0
		self.map_answer = None          # instead of the map: bytes, or HOLD
		self.time_answer = TIME         # the last word of a greeting, or HOLD; release(None, TIME)
		self.listener = None
		self.up()

	@property
	def server(self):
		return "127.0.0.1:%d" % self.port

	# -- its life

	def up(self):
		s = socket.socket()
		s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		s.bind(("127.0.0.1", self.port))
		s.listen(100)
		self.listener = s
		threading.Thread(target=self._accept, args=(s,), daemon=True).start()

	def _accept(self, s):
		while True:
			try:
				sock, _ = s.accept()
			except OSError:
				return
			with self.lock:
				self.conns.append(_Conn(self, sock))

	def reset(self):
		with self.lock:
			for c in self.conns:
				c.reset()
			self.conns.clear()

	def down(self):
		self.listener.shutdown(socket.SHUT_RDWR)
		self.listener.close()
		self.reset()

	# -- what it says

	def housekeeping(self, conn, name, words):
		if name == "CLUSTER":
			self.maps_asked += 1
			return self.map_answer if self.map_answer is not None else self.cluster.slots()
		if name == "SCRIPT":
			return b"$40\r\n" + b"0" * 40 + b"\r\n"
		if name == "TIME":
			return self.time_answer
		if name == "ASKING":
			conn.asking = True
		elif name == "READONLY":
			conn.readonly = True
		elif name not in ("PING", "AUTH", "SELECT", "CLIENT", "FLUSHALL", "FLUSHDB"):
			return None
		if name.startswith("FLUSH"):
			self.log.append(name)
			script = self.scripts.get("FLUSH")
			if script:
				return script.pop(0)
			self.values.clear()
		return b"+OK\r\n"

	def answer(self, name, key, words):
		script = self.scripts.get(key)
		if script:
			return script.pop(0)
		if name == "GET":
			return bulk(self.values.get(key))
		if name == "SET":
			self.values[key] = words[2]
			return b"+OK\r\n"
		if name == "DEL":
			return b":%d\r\n" % (self.values.pop(key, None) is not None)
		return error("ERR unknown command '%s'" % name)

	def script(self, key, *answers):
		with self.lock:
			self.scripts.setdefault(key, []).extend(answers)

	def release(self, key, answer):
		if not self.holds(key):
			raise KeyError(key)
		with self.lock:
			for c in self.conns:
				for entry in c.answers:
					if entry[0] == key and entry[1] is None:
						entry[1] = answer
						c._send()
						return

	def holds(self, key):
		with self.lock:
			return any(entry[0] == key and entry[1] is None for c in self.conns for entry in c.answers)

	def came(self, start):
		with self.lock:
			return [line for line in self.log if line.startswith(start)]

	def wait(self, start, n=1):
		wait_for(lambda: len(self.came(start)) >= n, 20, "%s at %s; there is: %s" % (start, self.server, self.log[-5:]))


class FakeCluster:
	def __init__(self, n):
		self.nodes = [FakeNode(self) for _ in range(n)]
		self.ranges = [(SLOTS * i // n, SLOTS * (i + 1) // n - 1, [node]) for i, node in enumerate(self.nodes)]

	def slots(self):
		out = b"*%d\r\n" % len(self.ranges)
		for first, last, nodes in self.ranges:
			out += b"*%d\r\n:%d\r\n:%d\r\n" % (2 + len(nodes), first, last)
			for node in nodes:
				out += b"*3\r\n" + bulk(b"127.0.0.1") + b":%d\r\n" % node.port + bulk(b"id%d" % node.port)
		return out

	def calm(self):
		"""Nothing held, scripted or logged, for the next test."""
		for node in self.nodes:
			with node.lock:
				node.log.clear()
				node.scripts.clear()
				node.values.clear()
				node.map_answer = None

	@property
	def server(self):
		return ", ".join('"%s"' % n.server for n in self.nodes)
