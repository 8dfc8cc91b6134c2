#!/usr/bin/python3
"""
pipe - long pipelines over one connection, and what they cost the server.

	request, expected = opaque_gets(100000, b"key", value)
	pipe = Pipe(kv, request, expected)
	wait_for(pipe.push)             # sends what the server takes
	ok(pipe.all_right())            # reads, and compares by hashes
"""

import contextlib
import hashlib
import re
import select

from kvt import *

__all__ = "MiB rss grew_less counter served Pipe opaque_gets".split()

MiB = 1 << 20


def status(pid, name):
	with open("/proc/%d/status" % pid) as f:
		return int(re.search(r"^%s:\s+(\d+)" % name, f.read(), re.M)[1])


def rss(kv):
	return status(kv.pid, "VmRSS") * 1024


def grew_less(kv, before, limit, name):
	"""With a sanitizer (KVT_MEMORY) only what has no bound at all is found."""
	limit *= memory
	grown = rss(kv) - before
	if not ok(grown < limit, name):
		diag("grew by %d KiB, limit %d KiB" % (grown // 1024, limit // 1024))


def counter(kv, name):
	return int(stats(kv, "kvgate")[name])


def served(kv, name):
	with kv.client() as c:
		c.ask(b"mn\r\n", b"MN\r\n", name)


class Pipe:
	"""
	A pipeline on a connection of its own, sent as far as it goes. What comes is compared with what is expected by
	hashes, because it may be much. expected() yields pieces.
	"""

	def __init__(self, kv, request, expected):
		self.c = kv.client()
		self.c.sock.setblocking(False)
		self.left = memoryview(request)
		self.expected = expected

	def push(self):
		"""Sends what the server takes; true once everything was taken."""
		with contextlib.suppress(BlockingIOError):
			while self.left:
				self.left = self.left[self.c.sock.send(self.left[:1 << 20]):]
		return not self.left

	def all_right(self):
		"""Reads, and sends the rest, until all has come that should."""
		want, n = hashlib.blake2b(), 0
		for piece in self.expected():
			want.update(piece)
			n += len(piece)
		got, buf = hashlib.blake2b(), bytearray(1 << 20)
		while n > 0:
			events = select.select([self.c.sock], [self.c.sock] if self.left else [], [], self.c.seconds)
			if not events[0] and not events[1]:
				diag("%d bytes did not come" % n)
				return False
			if events[1]:
				self.push()
			if events[0]:
				try:
					m = self.c.sock.recv_into(buf, min(n, len(buf)))
				except ConnectionResetError:
					m = 0
				if m == 0:
					diag("the end came %d bytes early" % n)
					return False
				got.update(memoryview(buf)[:m])
				n -= m
		return got.digest() == want.digest()

	def close(self):
		self.c.close()


def opaque_gets(count, key, value):
	"""count reads that say which one they are, and their answers."""
	request = b"".join(b"mg %s v O%d\r\n" % (key, i) for i in range(count))
	return request, lambda: (b"VA %d O%d\r\n%s\r\n" % (len(value), i, value) for i in range(count))
