#!/usr/bin/python3
"""
scripted - a server in the test's own process that says what the test tells it to, for tests of clients.

	from scripted import Scripted
	def script(conn):                       # on a thread of its own, for each connection
		while (line := conn.line()):
			conn.say(b"EN\r\n")
	with Scripted(script) as srv:
		... srv.address ...
		srv.seen                        # all lines so far, of all connections, without their ends
		srv.connections                 # so many were accepted

A connection ends when its script returns or raises OSError. conn.number counts connections from 1.

For those of kvgate's Python client: serve() is a script that answers handshakes, client() a kvgate.Client of it, fails() a test
point that wants just this exception.
"""

import contextlib
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from kvt import diag, ok, patience, top_srcdir

sys.path.insert(0, os.path.join(top_srcdir, "contrib", "python"))
import kvgate

__all__ = ["Scripted", "client", "fails", "serve", "signals"]

# What a kvgate says of itself, and of a namespace.
USUAL = {"namespace": "ng", "prefix": "ng:", "item_separator": "/", "keys_max": 1000, "item_size_max": 64 << 20,
    "codecs": "zstd", "hedge": "off", "hedge_budget_percent": 5, "atomic_across_records": 1, "to_come": "x y"}

class Conn:
	def __init__(self, server, sock, number):
		self.server = server
		self.sock = sock
		self.number = number
		self.file = sock.makefile("rb")

	def line(self):
		"""The next line without its end; b"" when the client has gone."""
		line = self.file.readline().removesuffix(b"\r\n")
		if line:
			self.server.seen.append(line)
		return line

	def block(self, size):
		"""The next size bytes; the end of line behind them is taken, too."""
		return self.file.read(size + 2)[:size]

	def say(self, data):
		self.sock.sendall(data)

	def drip(self, data):
		"""Byte by byte, each in a packet of its own as far as the kernel likes."""
		for i in range(len(data)):
			self.sock.sendall(data[i:i + 1])

	def wait(self, event):
		"""Until the test sets the event."""
		if not event.wait(30 * patience):
			raise OSError("the test never came to it")


class Scripted:
	def __init__(self, script):
		self.script = script
		self.seen = []
		self.connections = 0
		self.sockets = []
		self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
		self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
		self.accepts = threading.Thread(target=self._accept, daemon=True)
		self.accepts.start()

	def _accept(self):
		while True:
			try:
				sock, _ = self.listener.accept()
			except OSError:
				return
			sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			self.connections += 1
			self.sockets.append(sock)
			threading.Thread(target=self._run, args=(Conn(self, sock, self.connections),), daemon=True).start()

	def _run(self, conn):
		with contextlib.suppress(OSError):
			self.script(conn)
		with contextlib.suppress(OSError):
			conn.sock.shutdown(socket.SHUT_RDWR)
		conn.file.close()
		conn.sock.close()

	def close(self):
		# First of all its thread ends: the descriptor may be the next listener's at once.
		with contextlib.suppress(OSError):
			self.listener.shutdown(socket.SHUT_RDWR)
		self.accepts.join()
		self.listener.close()
		for sock in self.sockets:
			with contextlib.suppress(OSError):
				sock.shutdown(socket.SHUT_RDWR)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()


def signals(**more):
	pairs = dict(USUAL, **more)
	return b"".join(b"SIG %s %s\r\n" % (name.encode(), str(value).encode()) for name, value in pairs.items()) + b"END\r\n"


def serve(reply, **more):
	"""A script that answers kh with these signals, and what else comes with reply(conn, line)."""
	def script(conn):
		while (line := conn.line()):
			if line.startswith(b"kh"):
				conn.say(signals(**more))
				continue
			if line.startswith(b"kp"):
				for _ in range(int(line.split()[2])):
					conn.block(int(conn.line().split(b" ")[1]))
			if reply(conn, line) is False:
				return
	return script


def client(server, **options):
	addresses = [server.address] if isinstance(server, Scripted) else server
	return kvgate.Client(addresses, timeout=20 * patience, connect_timeout=5 * patience, **options)


def fails(kind, what, name, text=None):
	"""One test point: what() raises just this; returns the exception."""
	try:
		what()
	except Exception as e:
		good = type(e) is kind and (text is None or getattr(e, "text", str(e)) == text)
		if not ok(good, name):
			diag(repr(e))
		return e
	ok(False, name)
	return None
