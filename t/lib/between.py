#!/usr/bin/python3
"""
between - stands between kvgate and any real server, passes bytes, and misbehaves when told to.

	from between import Between
	with Memcached() as mc, Between(mc) as bad:     # a Server: addr, port, stop() ...; or of (host, port), or a path
		bad.fault("stall")              # returns when it is in force; "none" ends it
		bad.counts()                    # connections, open, requests, replies, bytes_in, bytes_out
		bad.watch(b"mg cold ")          # from now on counts how often clients send these bytes
		bad.seen(b"mg cold ")           # that count

It knows nothing of protocols, so memcached and Redis are the same to it: "replies" are what one read from the server gave,
which is one answer if one was asked for. Faults, and what N means: every connection gets N replies well (0 if left out), then

	none            nothing is wrong; what was held back goes out
	refuse          the port is closed and all connections are reset, until another fault is set
	kill            all connections are reset, once; then none
	stall N         no more replies; requests still reach the server, and all stays open
	halfopen        the server's machine is gone: connections stay and new ones are accepted, but nobody is behind them. Those
	                stay dead when the fault ends
	reset N         half of a reply, then a reset
	close N         half of a reply, then an orderly close
	truncate N      half of a reply, then the next one as if nothing was; once per connection
	corrupt N       the first bytes of a reply become others; once per connection
	hold TEXT       a request with TEXT, and what comes behind it on its connection, does not reach the server until the fault ends
	unasked N TEXT  at once, and on new connections first of all: N times TEXT (\\r\\n and so on), which nobody asked for
	drip MS         replies come a byte at a time, with so many milliseconds between
	late MS         every reply is so many milliseconds late
	some P MS       P percent of the replies are, and what is behind them on their connection
	slower MS       every reply is MS milliseconds later than the one before, over all connections

Setting a fault starts every connection's count anew. Connections from the address `spare` suffer nothing (the nodes of a
cluster among themselves). One thread, no copy where nothing is wrong: it carries some ten thousand requests a second.
"""

import collections
import errno
import heapq
import itertools
import os
import random
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from kvt import Client, Server, free_port

__all__ = ["Between"]


class Between(Server):
	name = "between"

	def __init__(self, server, mode="none", port=None, spare=None):
		addr = server.addr if isinstance(server, Server) else server
		self.control = ("127.0.0.1", free_port())
		self.behind = addr
		port = port or free_port()
		self.start([sys.executable, os.path.realpath(__file__), addr if isinstance(addr, str) else "%s:%d" % addr, port,
		    self.control[1], spare or "-", mode], ("127.0.0.1", port))

	def _answers(self):
		if self.proc.poll() is not None:
			raise RuntimeError("between ended with status %s at its start" % self.proc.returncode)
		try:
			Client(self.control).close()
			return True
		except OSError:
			return False

	def _tell(self, words):
		with Client(self.control) as c:
			answer = c.call(words.encode() + b"\r\n").decode().strip()
		if answer.startswith("ERROR"):
			raise ValueError("%s: %s" % (words, answer))
		return answer

	def fault(self, mode):
		self._tell("fault " + mode)

	def counts(self):
		words = self._tell("counts").split()
		return dict(zip(words[::2], map(int, words[1::2])))

	def watch(self, text):
		"""Counts text, bytes, in what clients send from now on."""
		self._tell("watch " + text.hex())

	def seen(self, text):
		return int(self._tell("seen " + text.hex()))


# ---------------------------------------------------------------- one way of one connection

CHUNK, QUEUE_MAX = 1 << 18, 1 << 20
NEVER = float("inf")


class Flow:
	"""
	What comes from `source` and goes to `target`, in order. queue: [when, bytes, pause between bytes] that could
	not go yet; size: of them all.
	"""

	def __init__(self, link, source, target):
		self.link, self.source, self.target = link, source, target
		self.queue = collections.deque()
		self.size = 0
		self.last = 0.0         # when what is at the end of the queue may go
		self.blocked = False    # until target takes more
		self.reading = True
		self.ended = False      # source has said its last

	def put(self, data, when=0.0, pause=0.0):
		self.last = when = max(when, self.last)
		if not (self.queue or when or pause or self.blocked):
			try:
				n = self.target.send(data)
			except BlockingIOError:
				n = 0
			if n == len(data):
				return
			data = data[n:]
			self.blocked = True
		self.queue.append([when, memoryview(data), pause])
		self.size += len(data)
		self.flush()

	def flush(self):
		"""Sends what may go; asks to be called again when more may."""
		while self.queue and not self.blocked:
			head = self.queue[0]
			wait = head[0] - time.monotonic()
			if wait > 0:
				if head[0] != NEVER:
					self.link.program.wake(head[0], self)
				break
			data, pause = head[1], head[2]
			try:
				n = self.target.send(data[:1] if pause else data)
			except BlockingIOError:
				self.blocked = True
				break
			self.size -= n
			head[1] = data[n:]
			if not head[1]:
				self.queue.popleft()
			elif pause:
				head[0] = time.monotonic() + pause
		if not self.queue:
			self.last = 0.0
			if self.ended:
				self.target.shutdown(socket.SHUT_WR)
		self.link.interest()

	def hurry(self):
		"""All that waits for its time goes now."""
		for part in self.queue:
			part[0] = part[2] = 0.0
		self.last = 0.0
		self.flush()


class Link:
	"""A client's connection and ours to the server."""

	def __init__(self, program, client, spare):
		self.program, self.client, self.spare = program, client, spare
		self.era, self.replies, self.struck = program.era, 0, False
		self.stalled = self.holding = False
		self.whole = True       # what the client got so far seems to end with an answer's end
		self.flood = b""
		self.tail = b""         # of the requests, for what is watched
		self.masks = {}
		self.closed = False
		if program.mode == "halfopen" and not spare:
			self.server = None
			self.up = self.down = None
		else:
			self.server, started = program.connect()
			self.up = Flow(self, client, self.server)
			self.down = Flow(self, self.server, client)
			self.up.blocked = not started
		self.interest()

	# -- events

	def interest(self):
		"""Tells the kernel what we wait for."""
		if self.closed:
			return
		if self.server is None:
			return self._mask(self.client, select.EPOLLIN)
		up, down = self.up, self.down
		self._mask(self.client, (select.EPOLLIN if not up.ended and up.size < QUEUE_MAX else 0) |
		    (select.EPOLLOUT if down.blocked else 0))
		self._mask(self.server, (select.EPOLLIN if not down.ended and not self.stalled and down.size < QUEUE_MAX else 0) |
		    (select.EPOLLOUT if up.blocked else 0))

	def _mask(self, sock, mask):
		was = self.masks.get(sock)
		if was == mask:
			return
		self.masks[sock] = mask
		if was is None:
			self.program.handlers[sock.fileno()] = (self, sock)
			self.program.epoll.register(sock, mask)
		else:
			self.program.epoll.modify(sock, mask)

	def event(self, sock, mask):
		try:
			if mask & select.EPOLLOUT:
				flow = self.down if sock is self.client else self.up
				if flow:
					flow.blocked = False
					flow.flush()
			if mask & select.EPOLLIN:
				self.readable(sock)
			elif mask & (select.EPOLLHUP | select.EPOLLERR):
				self.close(reset=sock is self.server)
		except BlockingIOError:
			pass
		except OSError:
			self.close(reset=sock is self.server)

	def readable(self, sock):
		data = sock.recv(CHUNK)
		if sock is self.client:
			if not data and (self.server is None or self.stalled):
				return self.close()
			if not data:
				self.end(self.up)
			elif self.server is not None:
				self.request(data)
		elif data:
			self.reply(data)
		else:
			self.end(self.down)

	def end(self, flow):
		flow.ended = True
		flow.flush()
		if self.up.ended and self.down.ended and not self.up.queue and not self.down.queue:
			self.close()

	def close(self, reset=False):
		if self.closed:
			return
		self.closed = True
		self.program.links.discard(self)
		if reset:
			self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		for sock in (self.client, self.server):
			if sock is not None:
				self.program.handlers.pop(sock.fileno(), None)
				sock.close()
		self.up = self.down = None

	# -- bytes

	def request(self, data):
		program = self.program
		if not self.spare:
			program.counted["requests"] += 1
			program.counted["bytes_in"] += len(data)
			for text in program.watched:
				self.look_for(text, data)
			self.tail = (self.tail + data)[-program.longest:] if program.longest else b""
			self.holding = self.holding or program.mode == "hold" and program.text in data
		self.up.put(data, NEVER if self.holding else 0.0)

	def look_for(self, text, data):
		tail = self.tail[-(len(text) - 1):] if len(text) > 1 else b""
		self.program.watched[text] += (tail + data).count(text)

	def reply(self, data):
		program = self.program
		if self.spare:
			return self.down.put(data)
		program.counted["replies"] += 1
		program.counted["bytes_out"] += len(data)
		if program.mode == "none":
			self.down.put(data)
		else:
			if self.era != program.era:
				self.era, self.replies, self.struck = program.era, 0, False
			self.replies += 1
			program.faulty_replies += 1
			getattr(self, program.mode)(data)
		if not self.closed:
			self.whole = data.endswith(b"\r\n")
			self.pour()

	def pour(self):
		"""The flood, once it does not come amid an answer."""
		if self.flood and self.whole:
			flood, self.flood = self.flood, b""
			self.down.put(flood)

	def new_fault(self):
		if self.server is None or self.spare:
			return
		self.stalled = self.holding = False
		self.flood = b""
		mode = self.program.mode
		if mode in ("kill", "refuse"):
			return self.close(reset=True)
		if mode == "halfopen":
			self.program.handlers.pop(self.server.fileno(), None)
			del self.masks[self.server]
			self.server.close()
			self.server = self.up = self.down = None
		else:
			self.up.hurry()
			self.down.hurry()
			if mode == "stall":
				self.stalled = self.program.n == 0
			if mode == "unasked":
				self.flood = self.program.text * self.program.n
				self.pour()
		self.interest()

	# -- each does one kind of wrong to a reply

	def _strikes(self):
		"""Whether it is this reply's turn, where one per connection suffers."""
		turn = not self.struck and self.replies > self.program.n
		self.struck = self.struck or turn
		return turn

	def halfopen(self, _data):
		pass

	def unasked(self, data):
		self.down.put(data)

	def hold(self, data):
		self.down.put(data)

	def stall(self, data):
		self.stalled = self.replies >= self.program.n
		self.down.put(data, NEVER if self.replies > self.program.n else 0.0)
		self.interest()

	def reset(self, data):
		self._cut_off(data, True)

	def close_(self, data):
		self._cut_off(data, False)

	def _cut_off(self, data, reset):
		if not self._strikes():
			return self.down.put(data)
		self.down.put(data[:len(data) // 2])
		self.close(reset)

	def truncate(self, data):
		self.down.put(data[:len(data) // 2] if self._strikes() else data)

	def corrupt(self, data):
		if self.whole and self._strikes():
			data = bytes(b ^ 0xa5 for b in data[:2]) + data[2:]
		self.down.put(data)

	def drip(self, data):
		self.down.put(data, 0.0, self.program.n / 1000)

	def late(self, data):
		self.down.put(data, time.monotonic() + self.program.n / 1000)

	def some(self, data):
		hit = random.random() * 100 < self.program.n
		self.down.put(data, time.monotonic() + self.program.ms / 1000 if hit else 0.0)

	def slower(self, data):
		self.down.put(data, time.monotonic() + self.program.faulty_replies * self.program.n / 1000)


# ---------------------------------------------------------------- the program

NUMBERS = {"none": 0, "refuse": 0, "kill": 0, "halfopen": 0, "hold": 0, "stall": 1, "reset": 1, "close": 1, "truncate": 1, "corrupt": 1,
    "unasked": 1, "drip": 1, "late": 1, "some": 2, "slower": 1}


class Program:
	def __init__(self, behind, port, control_port, spare, mode):
		host, _, number = behind.rpartition(":")
		self.behind = behind if behind.startswith("/") else (host, int(number))
		self.port, self.spare = port, spare
		self.epoll = select.epoll()
		self.handlers = {}              # file descriptor -> (Link, socket), or a function
		self.links = set()
		self.timers, self.ticket = [], itertools.count()
		self.counted = dict.fromkeys(("connections", "requests", "replies", "bytes_in", "bytes_out"), 0)
		self.watched, self.longest = {}, 0
		self.listener = None
		self.mode, self.era = "none", 0
		self.set_fault(mode)
		self.control = self.listen(control_port, self.accept_control)

	def listen(self, port, accept):
		sock = socket.create_server(("127.0.0.1", port), backlog=1024)
		sock.setblocking(False)
		self.handlers[sock.fileno()] = accept
		self.epoll.register(sock, select.EPOLLIN)
		return sock

	def run(self):
		while True:
			wait = self.timers[0][0] - time.monotonic() if self.timers else -1
			for fd, mask in self.epoll.poll(max(wait, 0) if self.timers else -1):
				handler = self.handlers.get(fd)
				if type(handler) is tuple:
					handler[0].event(handler[1], mask)
				elif handler:
					handler()
			while self.timers and self.timers[0][0] <= time.monotonic():
				flow = heapq.heappop(self.timers)[2]
				if not flow.link.closed:
					self.guarded(flow.link, flow.flush)

	@staticmethod
	def guarded(link, act):
		try:
			act()
		except OSError:
			link.close()

	def wake(self, when, flow):
		heapq.heappush(self.timers, (when, next(self.ticket), flow))

	def accept(self):
		while self.listener:
			try:
				sock, peer = self.listener.accept()
			except OSError:
				return
			sock.setblocking(False)
			sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			spare = peer[0] == self.spare
			if not spare:
				self.counted["connections"] += 1
			try:
				link = Link(self, sock, spare)
			except OSError:
				sock.close()            # the server is gone
				continue
			self.links.add(link)
			self.guarded(link, link.new_fault)

	def connect(self):
		"""A connection to the server, and whether it is there already."""
		sock = socket.socket(socket.AF_UNIX if isinstance(self.behind, str) else socket.AF_INET)
		sock.setblocking(False)
		if sock.family == socket.AF_INET:
			sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		error = sock.connect_ex(self.behind)
		if error not in (0, errno.EINPROGRESS):
			sock.close()
			raise OSError(error, "connect")
		return sock, error == 0

	# -- control: blocking, for a command comes whole

	def accept_control(self):
		sock, _ = self.control.accept()
		with sock, sock.makefile("rb") as lines:
			sock.setblocking(True)
			for line in lines:
				sock.sendall(self.command(line.decode().strip()) + b"\r\n")

	def command(self, line):
		word, _, rest = line.partition(" ")
		try:
			if word == "counts":
				self.counted["open"] = sum(not link.spare for link in self.links)
				return " ".join("%s %d" % c for c in self.counted.items()).encode()
			if word == "watch":
				self.watched[bytes.fromhex(rest)] = 0
				self.longest = max(map(len, self.watched))
				return b"OK"
			if word == "seen":
				return b"%d" % self.watched[bytes.fromhex(rest)]
			if word == "fault":
				self.set_fault(rest)
				return b"OK"
		except (ValueError, IndexError, KeyError) as e:
			return b"ERROR " + repr(e).encode()
		return b"ERROR"

	def set_fault(self, text):
		words = text.split(" ", 2)
		if words[0] == "hold":
			self.text = text[5:].encode()
			words = words[:1]
		if len(words) - 1 > NUMBERS[words[0]] + (words[0] == "unasked"):
			raise ValueError("too many words")
		n = int(words[1]) if len(words) > 1 else 0
		if words[0] == "some":
			self.ms = int(words[2])
		if words[0] == "unasked":
			self.text = words[2].encode().decode("unicode_escape").encode("latin1")
		self.mode, self.n = "close_" if words[0] == "close" else words[0], n
		self.era += 1
		self.faulty_replies = 0
		if self.mode == "refuse" and self.listener:
			self.handlers.pop(self.listener.fileno())
			self.listener.close()
			self.listener = None
		elif self.mode != "refuse" and not self.listener:
			self.listener = self.listen(self.port, self.accept)
		for link in list(self.links):
			self.guarded(link, link.new_fault)
		if self.mode == "kill":
			self.mode = "none"


if __name__ == "__main__":
	Program(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]).run()
