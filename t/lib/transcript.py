#!/usr/bin/python3
r"""
transcript - conversations with a memcached, kept in t/corpus/*.txt.

The format, line by line:

	# comment                   (only at the start of a line)
	== name                     begins a transcript; names are unique in their file
	> set k 0 0 1\r\nv          the client sends this and CRLF
	>> get k\n                  the client sends just this
	< STORED                    kvgate must answer just this (and CRLF) ...
	<< END\r\n                  ... or just this, where a comparison will not do
	@ why ROW                   goes with < and <<: the row of the differences table
	@ open                      ends amid a value or a line: close our half, do not quit
	@ closes                    the server closes by itself
	@ whole                     not for splitting at every byte (large, or slow)
	@ only local ROW            or other modes, with commas: the rest differs, for the reason in ROW
	~ sync                      wait here for all answers so far
	~ until mg k => EN          repeat this command until it is answered so (expiry)

Escapes: \r \n \t \0 \\ \xHH, {text*N} for N times text (text may hold escapes).
{casN} is the Nth CAS unique that this server has shown in this transcript; a line that
has one is sent only when all answers before it are here. < lines are written in the
normalised form, so they name CAS uniques the same way.

What is normalised before replies are compared, and nothing else:
- CAS uniques become {cas1} {cas2} ... in order of first appearance per server; those
  that the client chose (E) and 0 stay;
- t (remaining TTL), l (last access) and exp= la= of `me` may differ by 2, being read near
  a boundary of a second, and by the seconds a slow run took; -1 stays exact;
- t of an item that expired just now is 0 (memcached lets it run below 0, as 2^32 - x);
- cls= and size= of `me`, all STAT lines, and what follows VERSION are dropped.

Every transcript has its own connection, and starts with an empty cache (flush_all).
"""

import glob
import os
import random
import re

from kvt import Client, wait_for

__all__ = "Transcript load_corpus canon same show play expected ACCESS whole each_byte at_random Uniques exchange flush".split()


class Transcript:
	def __init__(self, name, file, line):
		self.name, self.file, self.line = name, file, line
		self.steps = []         # ("send", bytes) ("sync",) ("until", bytes, bytes)
		self.expect = None      # bytes, in the normalised form
		self.why = None
		self.end = "quit"       # or open, closes
		self.whole = False
		self.only = ()          # these modes; none: all
		self.row = None         # why only there

	@property
	def title(self):
		return "%s: %s" % (os.path.basename(self.file)[:-4], self.name)

	def waits(self):
		"""Whether it takes seconds."""
		return any(s[0] == "until" for s in self.steps)


_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
_REPEAT = re.compile(rb"\{((?:\\.|[^{}*\\])+)\*(\d+)\}")
_PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def _unescape(raw):
	def one(m):
		what = m.group(1)
		return bytes([int(what[1:], 16)]) if what[:1] == b"x" else _PLAIN[what]

	while _REPEAT.search(raw):
		raw = _REPEAT.sub(lambda m: m.group(1) * int(m.group(2)), raw)
	return _ESCAPE.sub(one, raw)


def _parse(path):
	found, t = [], None
	with open(path, "rb") as f:
		for number, raw in enumerate(f, 1):
			raw = raw.rstrip(b"\n")
			word, _, rest = raw.partition(b" ")
			try:
				if not raw.strip() or raw[:1] == b"#":
					continue
				if word == b"==":
					t = Transcript(rest.decode(), path, number)
					if any(o.name == t.name for o in found):
						raise ValueError("a second transcript of this name")
					found.append(t)
				elif word in (b">", b">>"):
					t.steps.append(("send", _unescape(rest) + (b"\r\n" if word == b">" else b"")))
				elif word in (b"<", b"<<"):
					t.expect = (t.expect or b"") + _unescape(rest) + (b"\r\n" if word == b"<" else b"")
				elif word == b"@":
					_option(t, *rest.decode().split())
				elif word == b"~" and rest == b"sync":
					t.steps.append(("sync",))
				elif word == b"~" and rest.startswith(b"until ") and b" => " in rest:
					command, _, answer = rest[6:].partition(b" => ")
					t.steps.append(("until", _unescape(command) + b"\r\n", _unescape(answer) + b"\r\n"))
				else:
					raise ValueError("not a line of a transcript")
			except (ValueError, AttributeError, KeyError, TypeError) as e:
				raise SystemExit("%s:%d: %s" % (path, number, e))
	return found


def _option(t, word, *args):
	if word == "why":
		(t.why,) = args
	elif word in ("open", "closes"):
		t.end = word
	elif word == "whole":
		t.whole = True
	elif word == "only":
		modes, t.row = args
		t.only = modes.split(",")
	else:
		raise ValueError("no such option: " + word)


def load_corpus(directory):
	"""All transcripts of directory/*.txt, in order."""
	found = []
	for path in sorted(glob.glob(os.path.join(directory, "*.txt"))):
		found += _parse(path)
	return found


# ---------------------------------------------------------------- the normal form

class Uniques:
	"""The CAS uniques that one server has shown, in order of first appearance."""

	def __init__(self):
		self.order = []
		self.index = {}
		self.chosen = set()     # by the client, with E

	def name(self, digits):
		n = int(digits)
		if n == 0 or n in self.chosen:
			return digits
		if n not in self.index:
			self.order.append(n)
			self.index[n] = len(self.order)
		return b"{cas%d}" % self.index[n]

	def fill_in(self, data):
		"""Replaces {casN} in what the client sends; one never seen becomes 1."""
		def one(m):
			n = int(m.group(1))
			return b"%d" % (self.order[n - 1] if 0 < n <= len(self.order) else 1)

		data = re.sub(rb"\{cas(\d+)\}", one, data)
		self.chosen.update(int(n) for n in re.findall(rb" E(\d+)", data))
		return data


_VALUE = re.compile(rb"(VALUE [^ ]+ \d+ (\d+))(?: (\d+))?(\r\n)")
_META = re.compile(rb"(?:HD|EN|EX|NF|NS|VA (\d+))(?: [^\n]*)?\r\n")
_ME = re.compile(rb"(ME [^ ]+ )exp=(-?\d+) la=(\d+) cas=(\d+) fetch=(\w+) cls=\d+ size=\d+\r\n")


def canon(reply, uniques):
	"""reply as a list of bytes, and (letter, number) where numbers may differ a little."""
	out, pos = [], 0
	while pos < len(reply):
		end = reply.find(b"\n", pos) + 1 or len(reply)
		line, pos = reply[pos:end], end
		data = 0
		value, meta, me = _VALUE.fullmatch(line), _META.fullmatch(line), _ME.fullmatch(line)
		if value:
			data = int(value.group(2)) + 2
			cas = value.group(3)
			out.append(value.group(1) + (b" " + uniques.name(cas) if cas else b"") + b"\r\n")
		elif meta:
			data = int(meta.group(1)) + 2 if meta.group(1) else 0
			for word in re.split(rb"( )", line[:-2]):
				if re.fullmatch(rb"c\d+", word):
					out.append(b"c" + uniques.name(word[1:]))
				elif re.fullmatch(rb"[tlh]\d+", word):
					n = int(word[1:])
					out.append((word[:1].decode(), n if n < 1 << 31 else 0))
				else:
					out.append(word)
			out.append(b"\r\n")
		elif me:
			out += [me.group(1), ("exp=", int(me.group(2))) if me.group(2) != b"-1" else b"exp=-1",
			    (" la=", int(me.group(3))), b" cas=" + uniques.name(me.group(4)),
			    (" fetch=", int(me.group(5) == b"yes")), b"\r\n"]
		elif line.startswith(b"VERSION "):
			out.append(b"VERSION\r\n")
		elif not line.startswith(b"STAT "):
			out.append(line)
		if data:
			out.append(reply[pos:pos + data])
			pos += data
	return out


def expected(t):
	"""The normal form of the reply that a transcript with < lines holds."""
	uniques = Uniques()
	for step in t.steps:
		if step[0] == "send":
			uniques.fill_in(step[1])
	return canon(t.expect, uniques)


ACCESS = ("h", "l", " la=", " fetch=")       # what tells of earlier reads


def same(a, b, slack=2, but=()):
	"""Whether two normal forms agree; numbers with a name in `but` are not looked at."""
	def alike(x, y):
		if isinstance(x, tuple) and isinstance(y, tuple) and x[0] == y[0]:
			exact = x[0] in ("h", " fetch=")
			return x[0] in but or abs(x[1] - y[1]) <= (0 if exact else slack)
		return x == y

	return len(a) == len(b) and all(map(alike, a, b))


def show(parts, limit=1500):
	"""A normal form for people, an answer per line."""
	text = "".join("%s%s" % p if isinstance(p, tuple) else p.decode("latin1") for p in parts)
	text = text.encode("unicode_escape").decode().replace("\\n", "\\n\n")
	return text if len(text) <= limit else text[:limit] + "... (%d characters)" % len(text)


# ---------------------------------------------------------------- cutting, playing

def whole(data):
	return [data]


def each_byte(data):
	return [data[i:i + 1] for i in range(len(data))]


def at_random(rng, least=40):
	"""Cuts into pieces: a third tiny ones, the others so that some dozens do for large data."""
	def cut(data):
		mean = max(least, len(data) // 50)
		pieces, pos = [], 0
		while pos < len(data):
			n = rng.randint(1, 3) if rng.random() < 0.3 else rng.randint(1, 2 * mean)
			pieces.append(data[pos:pos + n])
			pos += n
		return pieces

	return cut


def _send(client, data, cut, nudge):
	"""
	Sends the pieces, and between them has another connection of the same worker answer
	something, so that the worker has most likely seen one piece before the next comes.
	"""
	pieces = cut(data)
	for n, piece in enumerate(pieces):
		if not client.send_and_read(piece):
			return
		if nudge and n + 1 < len(pieces):
			nudge.call(b"mn\r\n", b"MN\r\n")


def flush(addr):
	with Client(addr) as c:
		got = c.call(b"flush_all\r\n")
		if got != b"OK\r\n":
			raise RuntimeError("flush_all: %r" % got)


def play(addr, t, cut=whole, nudge=None, uniques=None):
	"""The whole reply to a transcript, in the normal form."""
	uniques = uniques or Uniques()
	parts, pending = [], b""
	flush(addr)
	with Client(addr) as c:
		def drain():
			nonlocal pending
			_send(c, pending + b"mn\r\n", cut, nudge)
			pending = b""
			parts.extend(canon(c.recv_until(b"MN\r\n"), uniques))

		for step in t.steps:
			if step[0] == "send":
				if b"{cas" in step[1]:
					drain()
				pending += uniques.fill_in(step[1])
			elif step[0] == "sync":
				drain()
			else:
				drain()
				wait_for(lambda: c.call(step[1]) == step[2], what="%r => %r" % step[1:])
		_send(c, pending + (b"quit\r\n" if t.end == "quit" else b""), cut, nudge)
		if t.end == "open":
			c.half_close()
		parts.extend(canon(c.recv_all(), uniques))
	return [p for p in parts if p != b"MN\r\n"] if any(s[0] != "send" for s in t.steps) else parts


def exchange(addr, data, uniques, cut=whole, nudge=None):
	"""The normal form of all that is answered to data and the end of the stream after it."""
	with Client(addr) as c:
		_send(c, uniques.fill_in(data), cut, nudge)
		c.half_close()
		return canon(c.recv_all(), uniques)
