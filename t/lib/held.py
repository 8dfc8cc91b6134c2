#!/usr/bin/python3
"""
held - a small memcached in the test's own process whose answers wait until the test lets them go.

	from held import Held
	with Held() as srv:
		srv.hold(rb"^mg k ")            # such requests are carried out when they come, their answers wait
		srv.hold(rb"^ms k ", before=True)       # these are not even carried out before they are let go
		...
		srv.wait_held()                 # one is here
		srv.release()                   # all go, and nothing is held any more
		srv.seen                        # every request line so far
		srv.conn_of(rb"^mg k ")         # on which connection the last such request came

srv.pace = (bytes, seconds) sends long answers so many bytes at a time, with pauses between.

It answers as faulty.py's Store does. What follows a held answer on its connection waits behind it, other connections
do not. version is what it claims to be; below 1.6 it knows no meta commands.
"""

import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from faulty import Store
from kvt import wait_for

__all__ = ["Held"]


class Held:
	def __init__(self, version=b"1.6.45", store=None):
		self.version = version
		self.store = store or Store()
		self.seen = []
		self.came_on = []
		self.patterns = []
		self.held = 0
		self.pace = None
		self.over = False
		self.changed = threading.Condition()
		self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
		self.addr = self.listener.getsockname()
		self.port = self.addr[1]
		self.sockets = set()
		threading.Thread(target=self._accept, daemon=True).start()

	def hold(self, pattern, before=False, times=None):
		"""pattern: a regular expression of request lines; times: how many of them are held."""
		with self.changed:
			self.patterns.append([re.compile(pattern), before, times])

	def release(self, pattern=None):
		"""What this pattern, or any, holds."""
		with self.changed:
			self.patterns = [p for p in self.patterns if pattern is not None and p[0].pattern != pattern]
			self.changed.notify_all()

	def drop(self, conn=None):
		"""Closes the connection that conn_of() named, or all."""
		for sock in list(self.sockets):
			if conn in (None, sock.fileno()):
				try:
					sock.shutdown(socket.SHUT_RDWR)
				except OSError:
					pass    # the peer was first

	def wait_held(self, n=1):
		wait_for(lambda: self.held >= n, 20, "%d requests held" % n)

	def count(self, pattern):
		"""How many requests so far match."""
		return sum(1 for line in list(self.seen) if re.search(pattern, line))

	def conn_of(self, pattern):
		return [on for line, on in zip(self.seen, self.came_on) if re.search(pattern, line)][-1]

	def close(self):
		self.over = True
		self.release()
		for s in [self.listener] + list(self.sockets):
			try:
				s.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass
			s.close()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()

	def _accept(self):
		while True:
			try:
				sock, _ = self.listener.accept()
			except OSError:
				return
			sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			self.sockets.add(sock)
			threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

	def _wait(self, line, before):
		"""Waits while the first pattern that fits this line is in force."""
		with self.changed:
			for p in self.patterns:
				if p[1] != before or not p[0].search(line) or p[2] == 0:
					continue
				if p[2] is not None:
					p[2] -= 1
				self.held += 1
				while not self.over and p in self.patterns:
					self.changed.wait()
				self.held -= 1
				return

	def _send(self, sock, answer):
		while self.pace and len(answer) > self.pace[0]:
			sock.sendall(answer[:self.pace[0]])
			answer = answer[self.pace[0]:]
			with self.changed:
				self.changed.wait_for(lambda: self.over, self.pace[1])
		sock.sendall(answer)

	def _answer(self, line, data):
		if line == b"version":
			return b"VERSION " + self.version + b"\r\n"
		if self.version < b"1.6" and re.match(rb"m[gsdaen] ", line):
			return b"ERROR\r\n"
		return self.store.answer(line, data)

	def _serve(self, sock):
		buf = b""
		try:
			while True:
				line, newline, rest = buf.partition(b"\r\n")
				n = self.store.length(line) if newline else 0
				if not newline or len(rest) < n:
					more = sock.recv(1 << 16)
					if not more:
						break
					buf += more
					continue
				buf = rest[n:]
				self.came_on.append(sock.fileno())
				self.seen.append(line)
				self._wait(line, True)
				answer = self._answer(line, rest[:n])
				self._wait(line, False)
				self._send(sock, answer)
		except OSError:
			pass
		finally:
			self.sockets.discard(sock)
			sock.close()
