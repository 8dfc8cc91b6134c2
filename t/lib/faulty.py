#!/usr/bin/python3
"""
faulty - a small memcached in Python that misbehaves when told to.

	from faulty import Faulty
	bad = Faulty("stall 3")         # a Server: addr, port, stop(), stderr() ...
	bad.fault("none")               # at run time; returns when it is in force
	bad.counts()                    # {"connections": 2, "requests": 117, "replies": 110}

Until its fault strikes it answers classic and meta commands as memcached 1.6.45 does
(see Store), so that it can stand among real servers. Faults, and what N means: every
connection answers N times well (version, mn and stats do not count), then

	none            nothing is wrong
	refuse          the port is closed and all connections are; until another fault is set
	silent          connections are accepted, and nothing is ever answered
	stall N         no more answers on this connection, which stays open
	reset N         half of the answer, then a reset
	close N         half of the answer, then an orderly close
	middle N        the first answer with a value ends amid the value, then an orderly close
	rubbish N       "xyzzy rubbish" instead of the answer; this and all below strike once
	                per connection, which then goes on as if nothing was
	longer N        a value's length is announced 3 too large
	shorter N       a value's length is announced 3 too small
	huge N          a value's length is announced as 99999999999
	badlen N        a value's length is announced as 12x
	opaque N        the opaque (O) of the next answer that has one is another one
	key N           the key (k, VALUE) of the next answer that has one is another one
	extra N         the answer comes twice
	few N           the answer is left out
	swap N          the answer comes after that to the next request
	unasked N       after N answers 2 more lines come that nobody asked for (N = 0: at once)
	endless N       the answer is 'A's without end or newline
	error N         "SERVER_ERROR out of memory" instead of the answer
	late MS         every batch of answers is sent so many milliseconds late
	drip MS         answers come a byte at a time, with so many milliseconds between

Setting a fault starts every connection's count anew.
"""

import base64
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from kvt import Client, Server, free_port

__all__ = ["Faulty"]


class Faulty(Server):
	name = "faulty"

	def __init__(self, mode="none", port=None):
		port = port or free_port()
		self.control = ("127.0.0.1", free_port())
		self.start([sys.executable, os.path.realpath(__file__), port, self.control[1], mode],
		    ("127.0.0.1", port))

	def _answers(self):
		if self.proc.poll() is not None:
			raise RuntimeError("faulty ended with status %s at its start" % self.proc.returncode)
		try:
			Client(self.control).close()
			return True
		except OSError:
			return False

	def _tell(self, words):
		with Client(self.control) as c:
			return c.call(words.encode() + b"\r\n").decode().strip()

	def fault(self, mode):
		answer = self._tell("fault " + mode)
		if answer != "OK":
			raise ValueError("%s: %s" % (mode, answer))

	def counts(self):
		words = self._tell("counts").split()
		return dict(zip(words[::2], map(int, words[1::2])))


# ---------------------------------------------------------------- the memcached in it

class Refused(Exception):
	"""Carries the error line for the client."""


class Item:
	def __init__(self, value, flags=0, expire=0):
		self.value, self.flags, self.expire = value, flags, expire
		self.cas = 0
		self.stale = self.sent = self.fetched = self.binary = False
		self.accessed = time.time()


def _number(word, bits, signed=False, text=b"CLIENT_ERROR bad command line format"):
	digits = word[1:] if signed and word[:1] == b"-" else word
	if not digits.isdigit() or len(word) > 21:
		raise Refused(text)
	n = int(word)
	if not -(1 << bits - 1) <= n < 1 << (bits - 1 if signed else bits):
		raise Refused(text)
	return n


FORMAT = b"CLIENT_ERROR bad command line format"
TOKEN = b"CLIENT_ERROR bad token in command line format"
LIMIT = 1048576 - 60            # of values; about where memcached's default stands


class Store:
	"""What is stored, and each command as a method on words (and data)."""

	def __init__(self):
		self.items = {}
		self.unique = 0
		self.flush_at = 0
		self.lock = threading.Lock()

	def expiry(self, seconds):
		if seconds < 0:
			return 1
		if seconds == 0:
			return 0
		return time.time() + seconds if seconds <= 2592000 else seconds

	def find(self, key):
		if self.flush_at and self.flush_at <= time.time():
			self.items.clear()
			self.flush_at = 0
		item = self.items.get(key)
		if item and item.expire and item.expire <= time.time():
			del self.items[key]
			return None
		return item

	def put(self, key, item, cas=None):
		self.unique += 1
		item.cas = self.unique if cas is None else cas
		self.items[key] = item
		return item

	# -- classic

	def store(self, verb, words, data):
		key = words[1]
		if len(key) > 250:
			raise Refused(FORMAT)
		flags, expire = _number(words[2], 32), self.expiry(_number(words[3], 32, True))
		unique = _number(words[5], 64) if verb == b"cas" and len(words) > 5 else None
		if verb == b"cas" and unique is None:
			raise Refused(FORMAT)
		if len(data) - 2 > LIMIT:
			if verb == b"set":
				self.items.pop(key, None)
			raise Refused(b"SERVER_ERROR object too large for cache")
		if data[-2:] != b"\r\n":
			raise Refused(b"CLIENT_ERROR bad data chunk")
		value, old = data[:-2], self.find(key)
		if verb == b"add" and old or verb in (b"replace", b"append", b"prepend") and not old:
			return b"NOT_STORED"
		if verb == b"cas":
			if not old:
				return b"NOT_FOUND"
			if old.cas != unique:
				return b"EXISTS"
		if verb in (b"append", b"prepend"):
			old.value = old.value + value if verb == b"append" else value + old.value
			old.stale = old.sent = False
			self.put(key, old)
		else:
			self.put(key, Item(value, flags, expire))
		return b"STORED"

	def get(self, verb, words):
		touch = None
		keys = words[1:]
		if verb[:3] == b"gat":
			touch = self.expiry(_number(words[1], 32, True, b"CLIENT_ERROR invalid exptime argument"))
			keys = words[2:]
		if any(len(k) > 250 for k in keys):
			raise Refused(FORMAT)
		out = []
		for key in keys:
			item = self.find(key)
			if not item:
				continue
			if touch is not None:
				item.expire = touch
			item.fetched, item.accessed = True, time.time()
			cas = b" %d" % item.cas if verb[-1:] == b"s" else b""
			out.append(b"VALUE %s %d %d%s\r\n%s\r\n" % (key, item.flags, len(item.value), cas, item.value))
		return b"".join(out) + b"END"

	def delta(self, item, up, by):
		"""The number after; padded as memcached pads."""
		if not item.value.strip().isdigit() or len(item.value) > 20 or int(item.value) >= 1 << 64:
			raise Refused(b"CLIENT_ERROR cannot increment or decrement non-numeric value")
		n = (int(item.value) + by) % (1 << 64) if up else max(int(item.value) - by, 0)
		text = b"%d" % n
		item.value = text.ljust(len(item.value))
		return text

	def arithmetic(self, verb, words):
		by = _number(words[2], 64, text=b"CLIENT_ERROR invalid numeric delta argument")
		item = self.find(words[1])
		if not item:
			return b"NOT_FOUND"
		text = self.delta(item, verb == b"incr", by)
		self.put(words[1], item)
		return text

	def touch(self, words):
		expire = self.expiry(_number(words[2], 32, True, b"CLIENT_ERROR invalid exptime argument"))
		item = self.find(words[1])
		if item:
			item.expire = expire
		return b"TOUCHED" if item else b"NOT_FOUND"

	def delete(self, words):
		return b"DELETED" if self.find(words[1]) and self.items.pop(words[1]) else b"NOT_FOUND"

	def flush(self, words):
		delay = 0
		if len(words) > 1 and words[1] != b"noreply":
			delay = _number(words[1], 32, True, b"CLIENT_ERROR invalid exptime argument")
		if delay > 0:
			self.flush_at = self.expiry(delay)
		else:
			self.items.clear()
			self.flush_at = 0
		return b"OK"

	# -- meta

	def flags(self, verb, words, start):
		"""The key and the flags as (letter, token) in order, and as a dict with numbers."""
		key, order, found = words[1], [], {}
		if len(key) > 250:
			raise Refused(FORMAT)
		if len(words) > 20:
			raise Refused(b"CLIENT_ERROR options flags are too long")
		for word in words[start:]:
			letter, token = word[:1], word[1:]
			if letter in found:
				raise Refused(b"CLIENT_ERROR duplicate flag")
			if letter not in b"bckqtvfhlsuOCENJDTMIFPLRx" or letter == b" ":
				raise Refused(b"CLIENT_ERROR invalid flag")
			order.append((letter, token))
			if letter in b"TNR":
				token = _number(token, 32, True, TOKEN)
			elif letter in b"CEDJ":
				token = _number(token, 64, text=TOKEN)
			elif letter == b"F":
				token = _number(token, 32)
			found[letter] = token
		if b"b" in found:
			try:
				key = base64.b64decode(key, validate=True)
			except ValueError:
				raise Refused(b"CLIENT_ERROR error decoding key") from None
			if not key:
				raise Refused(b"CLIENT_ERROR error decoding key")
		if any(letter == b"O" and len(token) > 31 for letter, token in order):
			raise Refused(b"CLIENT_ERROR opaque token too long")
		return key, order, found

	def echo(self, words, order, item=None, cas=None, stored=None):
		"""The return flags in the order asked."""
		binary = any(letter == b"b" for letter, _ in order)
		out = b""
		for letter, token in order:
			if letter == b"O":
				out += b" O" + token
			elif letter == b"k":
				out += b" k" + words[1] + (b" b" if binary else b"")
			elif letter == b"c" and cas is not None:
				out += b" c%d" % cas
			elif letter == b"s" and stored is not None:
				out += b" s%d" % stored
			elif item and letter == b"t":
				out += b" t%d" % (max(round(item.expire - time.time()), 0) if item.expire else -1)
			elif item and letter == b"f":
				out += b" f%d" % item.flags
			elif item and letter == b"h":
				out += b" h%d" % item.fetched
			elif item and letter == b"l":
				out += b" l%d" % (time.time() - item.accessed)
		return out

	def mg(self, words):
		key, order, f = self.flags(b"mg", words, 2)
		item, won = self.find(key), False
		if not item and b"N" in f:
			item = self.put(key, Item(b"", 0, self.expiry(f[b"N"])), f.get(b"E"))
			won = True
		elif item and b"R" in f and not item.sent and item.expire and item.expire < self.expiry(f[b"R"]):
			won = True
		if not item:
			only = [o for o in order if o[0] in b"Okb"]
			return None if b"q" in f else b"EN" + self.echo(words, only)
		# T counts from its place among the flags on
		before = order[:[o[0] for o in order].index(b"T")] if b"T" in f else order
		answer = self.echo(words, self.binary(before, order), item, item.cas, len(item.value))
		if b"T" in f:
			item.expire = self.expiry(f[b"T"])
			answer += self.echo(words, self.binary(order[len(before):], order), item, item.cas, len(item.value))
		if item.sent:
			answer += b" Z"
		if item.stale:
			answer += b" X"
			won = won or not item.sent
		if won:
			answer += b" W"
			item.sent = True
		if b"u" not in f:
			item.fetched, item.accessed = True, time.time()
		if b"v" in f and f.get(b"C") != item.cas:
			return b"VA %d%s\r\n%s" % (len(item.value), answer, item.value)
		return b"HD" + answer

	@staticmethod
	def binary(part, order):
		return part + [o for o in order if o[0] == b"b" and o not in part]

	def ms(self, words, data):
		key, order, f = self.flags(b"ms", words, 3)
		mode = f.get(b"M", b"S")[:1]
		if mode not in (b"E", b"A", b"P", b"R", b"S"):
			raise Refused(b"CLIENT_ERROR invalid mode for ms M token")
		if len(data) - 2 > LIMIT:
			self.items.pop(key, None)
			raise Refused(b"SERVER_ERROR object too large for cache")
		if data[-2:] != b"\r\n":
			raise Refused(b"CLIENT_ERROR bad data chunk")
		old, value, status = self.find(key), data[:-2], b"HD"
		new = Item(value, f.get(b"F", 0), self.expiry(f.get(b"T", 0)))
		if mode == b"E" and old or mode in b"AP" and not old and b"N" not in f:
			status = b"NS"
		elif b"C" in f and mode in b"SR" and not old:
			status = b"NF"
		elif b"C" in f and mode != b"E" and old and old.cas != f[b"C"]:
			status = b"EX"
			if b"I" in f and mode in b"SR" and f[b"C"] < old.cas:
				status, new.stale = b"HD", True
		elif mode == b"R" and not old:
			status = b"NS"
		size, cas = len(value), 0
		if status == b"HD":
			if mode in b"AP" and old:
				old.value = old.value + value if mode == b"A" else value + old.value
				old.stale = old.sent = False
				new = old
			elif mode in b"AP":
				new.expire = self.expiry(f[b"N"])
			cas, size = self.put(key, new, f.get(b"E")).cas, len(new.value)
			if b"q" in f:
				return None
		only = [o for o in order if o[0] in b"Okbcs"]
		return status + self.echo(words, only, None, cas, size)

	def md(self, words):
		key, order, f = self.flags(b"md", words, 2)
		item, tail = self.find(key), self.echo(words, [o for o in order if o[0] in b"Okb"])
		if not item:
			return b"NF" + tail
		if b"C" in f and item.cas != f[b"C"]:
			return b"EX" + tail
		if b"x" in f:
			item.value, item.flags, item.expire = b"", f.get(b"F", 0), self.expiry(f.get(b"T", 0))
		if b"I" in f:
			item.stale, item.sent = True, False
			if b"T" in f:
				item.expire = self.expiry(f[b"T"])
			self.put(key, item, f.get(b"E"))
		elif b"x" not in f:
			del self.items[key]
		return None if b"q" in f else b"HD" + tail

	def ma(self, words):
		try:
			key, order, f = self.flags(b"ma", words, 2)
		except Refused as e:
			raise Refused(e.args[0] if b"opaque" in e.args[0] else b"CLIENT_ERROR invalid or duplicate flag") from None
		mode = f.get(b"M", b"I")[:1]
		if mode not in (b"I", b"+", b"D", b"-"):
			raise Refused(b"CLIENT_ERROR invalid mode for ma M token")
		item, only = self.find(key), [o for o in order if o[0] in b"Okb"]
		if not item and b"N" not in f:
			return b"NF" + self.echo(words, only)
		if item and b"C" in f and item.cas != f[b"C"]:
			return b"EX" + self.echo(words, only)
		if item:
			text = self.delta(item, mode in b"I+", f.get(b"D", 1))
			if b"T" in f:
				item.expire = self.expiry(f[b"T"])
		else:
			text = b"%d" % f.get(b"J", 0)
			item = Item(text, 0, self.expiry(f[b"N"]))
		self.put(key, item, f.get(b"E"))
		if b"q" in f:
			return None
		tail = self.echo(words, [o for o in order if o[0] in b"Okbct"], item, item.cas)
		return b"VA %d%s\r\n%s" % (len(text), tail, text) if b"v" in f else b"HD" + tail

	def me(self, words):
		key = words[1]
		if b"b" in words[2:]:
			key = base64.b64decode(key)
		item = self.find(key)
		if not item:
			return b"EN"
		return b"ME %s exp=%d la=%d cas=%d fetch=%s cls=1 size=%d" % (words[1],
		    item.expire - time.time() if item.expire else -1, time.time() - item.accessed, item.cas,
		    b"yes" if item.fetched else b"no", len(item.value) + 64)

	# -- all of them

	LEAST = {b"set": 5, b"add": 5, b"replace": 5, b"append": 5, b"prepend": 5, b"cas": 5, b"ms": 3,
	    b"get": 2, b"gets": 2, b"gat": 3, b"gats": 3, b"incr": 3, b"decr": 3, b"touch": 3, b"delete": 2,
	    b"mg": 2, b"md": 2, b"ma": 2, b"me": 2, b"mn": 1, b"version": 1, b"verbosity": 2,
	    b"flush_all": 1, b"stats": 1}

	def length(self, line):
		"""How many bytes of data follow this line."""
		words = [w for w in line.split(b" ") if w]
		at = {b"ms": 2}.get(words[0] if words else b"", 4)
		if words and words[0] in (b"set", b"add", b"replace", b"append", b"prepend", b"cas", b"ms") and len(words) > at:
			try:
				n = _number(words[at], 32, True)
			except Refused:
				return 0
			return n + 2 if 0 <= n <= 0x7fffffff - 2 else 0
		return 0

	def answer(self, line, data):
		"""The reply to a command with its CRLF, or b"" if it has none."""
		words = [w for w in line.split(b" ") if w]
		verb = words[0] if words else b""
		hushed = words[-1:] == [b"noreply"] and verb not in (b"get", b"gets", b"gat", b"gats")
		if line[:1] == b" " or len(line) < 2:
			return b"ERROR\r\n" if len(line) >= 2 else FORMAT + b"\r\n"
		if verb not in self.LEAST:
			return b"" if hushed else b"ERROR\r\n"
		with self.lock:
			try:
				if len(words) < self.LEAST[verb]:
					hushed = False
					raise Refused(FORMAT)
				if self.LEAST[verb] > 1 and verb[:2] != b"ma" and any(len(w) > 250 for w in words[1:2]):
					raise Refused(FORMAT)
				reply = self.dispatch(verb, words, data)
			except Refused as e:
				reply = e.args[0]
		return b"" if reply is None or hushed else reply + b"\r\n"

	def dispatch(self, verb, words, data):
		if verb in (b"set", b"add", b"replace", b"append", b"prepend", b"cas", b"ms"):
			if not data:
				raise Refused(FORMAT)
			return self.ms(words, data) if verb == b"ms" else self.store(verb, words, data)
		if verb in (b"get", b"gets", b"gat", b"gats"):
			return self.get(verb, words)
		if verb in (b"incr", b"decr"):
			return self.arithmetic(verb, words)
		if verb in (b"mg", b"md", b"ma", b"me"):
			return getattr(self, verb.decode())(words)
		if verb in (b"touch", b"delete"):
			return getattr(self, verb.decode())(words)
		if verb == b"flush_all":
			return self.flush(words)
		if verb == b"stats":
			return b"STAT pid %d\r\nSTAT version 1.6.45\r\nEND" % os.getpid() if len(words) == 1 else b"END"
		return {b"mn": b"MN", b"version": b"VERSION 1.6.45", b"verbosity": b"OK"}[verb]


# ---------------------------------------------------------------- the faults

MODES = """none refuse silent stall reset close middle rubbish longer shorter huge badlen opaque
    key extra few swap unasked endless error late drip""".split()
ENDINGS = ("stall", "reset", "close", "middle")


class Hangup(Exception):
	"""The connection ends, after these bytes; with a reset?"""
	def __init__(self, last, reset=False):
		super().__init__()
		self.last, self.reset = last, reset


class Program:
	def __init__(self, port, control_port, mode):
		self.store = Store()
		self.port = port
		self.listener = None
		self.connections = set()
		self.counted = {"connections": 0, "requests": 0, "replies": 0}
		self.era = 0            # grows with every fault set
		self.control = socket.create_server(("127.0.0.1", control_port), backlog=64)
		self.set_fault(mode)

	def run(self):
		while True:
			sock, _ = self.control.accept()
			with sock, sock.makefile("rb") as lines:
				for line in lines:
					sock.sendall(self.command(line.decode().strip()) + b"\r\n")

	def command(self, line):
		word, _, rest = line.partition(" ")
		if word == "counts":
			return " ".join("%s %d" % c for c in self.counted.items()).encode()
		if word == "fault":
			try:
				self.set_fault(rest)
				return b"OK"
			except (ValueError, IndexError) as e:
				return b"ERROR " + str(e).encode()
		return b"ERROR"

	def set_fault(self, text):
		words = text.split()
		if words[0] not in MODES:
			raise ValueError("no such fault")
		self.mode, self.n = words[0], int(words[1]) if len(words) > 1 else 0
		self.era += 1
		if self.mode == "refuse":
			self.shut()
		elif self.listener is None:
			self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
			threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
		if self.mode == "unasked" and self.n == 0:
			for c in list(self.connections):
				c.sendall(b"HD\r\nHD\r\n")

	def shut(self):
		if self.listener:
			self.listener.shutdown(socket.SHUT_RDWR)        # wakes accept()
			self.listener.close()
			self.listener = None
		for c in list(self.connections):
			try:
				c.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass

	def accept(self, listener):
		while True:
			try:
				sock, _ = listener.accept()
			except OSError:
				return
			sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			self.counted["connections"] += 1
			self.connections.add(sock)
			threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

	def serve(self, sock):
		try:
			if self.mode == "unasked" and self.n == 0:
				sock.sendall(b"HD\r\nHD\r\n")
			Talk(self, sock).run()
		except Hangup as e:
			try:
				sock.sendall(e.last)
				if e.reset:
					sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
			except OSError:
				pass
		except OSError:
			pass
		finally:
			self.connections.discard(sock)
			sock.close()


class Talk:
	"""One connection: framing, and the fault of the program applied to its answers."""

	def __init__(self, program, sock):
		self.program, self.sock = program, sock
		self.era, self.answered, self.struck = program.era, 0, False
		self.held = b""         # the answer that swap holds back

	def run(self):
		buf, out = b"", []
		while True:
			data = self.sock.recv(65536)
			if not data:
				return
			buf += data
			try:
				while True:
					line, newline, rest = buf.partition(b"\n")
					if not newline:
						break
					line = line[:-1] if line.endswith(b"\r") else line
					if line == b"quit":
						raise Hangup(b"")
					n = self.program.store.length(line)
					if len(rest) < n:
						break
					buf = rest[n:]
					self.program.counted["requests"] += 1
					out.append(self.spoil(line, self.program.store.answer(line, rest[:n])))
			except Hangup as e:
				e.last = b"".join(out) + e.last
				raise
			self.send(b"".join(out))
			out.clear()

	def send(self, data):
		mode, n = self.program.mode, self.program.n
		if mode == "late" and data:
			time.sleep(n / 1000)
		if mode == "drip":
			for i in range(len(data)):
				self.sock.sendall(data[i:i + 1])
				time.sleep(n / 1000)
		elif data:
			self.sock.sendall(data)

	def spoil(self, line, reply):
		program = self.program
		mode = program.mode
		if self.era != program.era:
			self.era, self.answered, self.struck = program.era, 0, False
		if mode == "silent":
			return b""
		if self.held:
			reply, self.held = reply + self.held, b""
		if not reply or line.split(b" ")[0] in (b"version", b"mn", b"stats"):
			return reply
		self.answered += 1
		program.counted["replies"] += 1
		if mode in ("none", "refuse", "late", "drip") or self.answered <= program.n or self.struck:
			if mode == "unasked" and self.answered == program.n:
				return reply + b"HD\r\nHD\r\n"
			return reply
		if mode in ENDINGS:
			return self.end(mode, reply)
		after = getattr(self, mode)(reply)
		self.struck = after != reply or mode == "swap"
		return after

	def end(self, mode, reply):
		if mode == "stall":
			return b""
		if mode == "middle":
			head, newline, value = reply.partition(b"\n")
			if head[:3] not in (b"VA ", b"VAL"):
				return reply
			raise Hangup(head + newline + value[:len(value) // 2])
		raise Hangup(reply[:len(reply) // 2], reset=mode == "reset")

	# -- each spoils one answer, and returns it as it was if it cannot

	def rubbish(self, _reply):
		return b"xyzzy rubbish\r\n"

	def error(self, _reply):
		return b"SERVER_ERROR out of memory\r\n"

	def _length(self, reply, new):
		head, newline, rest = reply.partition(b"\r\n")
		words = head.split(b" ")
		at = {b"VA": 1, b"VALUE": 3}.get(words[0])
		if at is None:
			return reply
		words[at] = new(int(words[at]))
		return b" ".join(words) + newline + rest

	def longer(self, reply):
		return self._length(reply, lambda n: b"%d" % (n + 3))

	def shorter(self, reply):
		return self._length(reply, lambda n: b"%d" % max(n - 3, 0))

	def huge(self, reply):
		return self._length(reply, lambda n: b"99999999999")

	def badlen(self, reply):
		return self._length(reply, lambda n: b"12x")

	def _flag(self, reply, letter, new):
		head, newline, rest = reply.partition(b"\r\n")
		words = head.split(b" ")
		if words[0] == b"VALUE" and letter == b"k":
			words[1] = new
		elif words[0] in (b"VA", b"HD", b"EN", b"NF", b"NS", b"EX"):
			words = [letter + new if w[:1] == letter else w for w in words]
		return b" ".join(words) + newline + rest

	def opaque(self, reply):
		return self._flag(reply, b"O", b"another")

	def key(self, reply):
		return self._flag(reply, b"k", b"anotherkey")

	def extra(self, reply):
		return reply + reply

	def few(self, _reply):
		return b""

	def swap(self, reply):
		self.held = reply
		return b""

	def unasked(self, reply):
		return reply

	def endless(self, _reply):
		try:
			while self.era == self.program.era:
				self.sock.sendall(b"A" * 4096)
		except OSError:
			pass
		raise Hangup(b"")


if __name__ == "__main__":
	Program(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]).run()
