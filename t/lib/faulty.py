"""
faulty - a relay before a memcached that can be told to misbehave, at any time and in many ways.

	with Memcached() as mc, Faulty(mc.addr) as f:
		... "servers" are f.name ...
		f.be("stall")           # for all connections, those to come included
		f.be("pass")

Faults touch what the server answers, reply by reply (`version` is spared but where it says so), so that a
proxy behind it is tempted to hand the bytes of one client to another:

	pass      nothing is wrong
	stall     nothing is answered, not even version; comes late when told to pass
	sleepy    version is answered, nothing else
	late      every reply comes after `delay` seconds, in order
	drip      a byte every 10 ms
	close     at the next request the connection is closed
	reset     at the next request the connection is reset
	cut       a reply is sent half, then the connection is closed
	extra     one reply too many, now and then
	unasked   a reply to nobody while all is quiet
	fewer     a reply is missing, now and then
	swap      two neighbours change places, now and then
	corrupt   a line is rubbish, now and then
	size      a value's length is wrong, now and then
	tail      what follows a value is not CRLF, now and then
	endless   a line that never ends

`every` is how often now and then is: of so many replies one. f.done counts the faults done since be().
"""

import random
import re
import select
import socket
import struct
import threading
import time

__all__ = ["Faulty"]

_VALUE = re.compile(rb"VA (\d+)|VALUE \S+ \d+ (\d+)")


def _cut(buf):
	"""The whole replies at the beginning of buf, and the rest."""
	replies = []
	while True:
		end = buf.find(b"\r\n")
		if end < 0:
			break
		end += 2
		m = _VALUE.match(buf)
		if m:
			end += int(m.group(1) or m.group(2)) + 2
			if m.group(2):
				end += len(b"END\r\n")
		if len(buf) < end:
			break
		replies.append(buf[:end])
		buf = buf[end:]
	return replies, buf


class _Pipe:
	"""One connection through the relay, on a thread of its own."""

	def __init__(self, faulty, client):
		self.f = faulty
		self.client = client
		self.server = socket.create_connection(faulty.behind) if not isinstance(faulty.behind, str) else None
		if self.server is None:
			self.server = socket.socket(socket.AF_UNIX)
			self.server.connect(faulty.behind)
		for s in (self.client, self.server):
			if s.family != socket.AF_UNIX:
				s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		self.buf = b""
		self.held = []          # (when, bytes): on their way to the client
		self.asked = False      # a request is waiting for its reply

	def run(self):
		try:
			while not self.f.stopping and self.turn():
				pass
		except OSError:
			pass
		finally:
			self.client.close()
			self.server.close()

	def turn(self):
		ready, _, _ = select.select([self.client, self.server], [], [], 0.01)
		if self.client in ready:
			data = self.client.recv(1 << 16)
			if not data or not self.ask(data):
				return False
		if self.server in ready:
			data = self.server.recv(1 << 18)
			if not data:
				return False
			replies, self.buf = _cut(self.buf + data)
			self.held += [(time.monotonic(), r) for r in replies]
			self.asked = False
		if self.f.mode == "unasked" and not self.asked and not self.held and not self.buf and self.f.now():
			self.client.sendall(b"HD O1\r\n")
		return self.answer()

	def ask(self, data):
		mode = self.f.mode
		if mode in ("close", "reset") and not data.startswith(b"version"):
			self.f.count()
			if mode == "reset":
				self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
			return False
		self.asked = True
		self.server.sendall(data)
		return True

	def answer(self):
		"""Sends what is due; False: the connection is to end."""
		while self.held:
			when, reply = self.held[0]
			mode = self.f.mode
			spared = reply.startswith(b"VERSION")
			if mode == "stall" or (mode == "sleepy" and not spared):
				self.f.count()
				return True
			if mode == "late" and not spared and time.monotonic() < when + self.f.delay:
				return True
			self.held.pop(0)
			if spared:
				self.client.sendall(reply)
			elif not self.spoil(mode, reply):
				return False
		return True

	def spoil(self, mode, reply):
		send = self.client.sendall
		if mode == "late":
			self.f.count()
		if mode == "drip":
			self.f.count()
			for i in range(len(reply)):
				if self.f.mode != mode:
					send(reply[i:])
					break
				send(reply[i:i + 1])
				time.sleep(0.01)
			return True
		if mode not in ("cut", "extra", "fewer", "swap", "corrupt", "size", "tail", "endless") or not self.f.now():
			send(reply)
			return True
		if mode == "cut":
			send(reply[:len(reply) // 2])
			return False
		if mode == "extra":
			send(reply + reply)
		elif mode == "swap":
			if self.held:
				send(self.held.pop(0)[1] + reply)
			else:
				send(reply)
		elif mode == "corrupt":
			send(b"\x16\x03\x01" + reply[3:])
		elif mode == "size":
			line, rest = reply.split(b"\r\n", 1)
			send(re.sub(rb"^VA (\d+)", lambda m: b"VA %d" % (int(m.group(1)) + 3), line) + b"\r\n" + rest)
		elif mode == "tail":
			send(reply[:-2] + b"!!")
		elif mode == "endless":
			send(b"VA " + b"1" * 5000)
		return True


class Faulty:
	def __init__(self, behind):
		self.behind = behind
		self.listener = socket.socket()
		self.listener.bind(("127.0.0.1", 0))
		self.listener.listen(128)
		self.addr = self.listener.getsockname()
		self.port = self.addr[1]
		self.name = "%s:%d" % self.addr
		self.stopping = False
		self.accepted = 0
		self.lock = threading.Lock()
		self.random = random.Random(self.port)
		self.be("pass")
		self.threads = [threading.Thread(target=self._accept, daemon=True)]
		self.threads[0].start()

	def be(self, mode, every=20, delay=1.0):
		with self.lock:
			self.every, self.delay, self.done = every, delay, 0
			self.mode = mode

	def now(self):
		"""Whether now is one of the times; counts it."""
		with self.lock:
			if self.random.randrange(self.every):
				return False
			self.done += 1
			return True

	def count(self):
		with self.lock:
			self.done += 1

	def _accept(self):
		self.listener.settimeout(0.05)
		while not self.stopping:
			try:
				client, _ = self.listener.accept()
			except OSError:
				continue
			client.setblocking(True)
			self.accepted += 1
			try:
				pipe = _Pipe(self, client)
			except OSError:
				client.close()  # the server behind is gone
				continue
			t = threading.Thread(target=pipe.run, daemon=True)
			t.start()
			self.threads.append(t)

	def stop(self):
		self.stopping = True
		for t in self.threads:
			t.join()
		self.listener.close()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.stop()
