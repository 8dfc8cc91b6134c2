#!/usr/bin/python3
"""
stream - seeded random streams of memcached commands for comparing two servers.

Stream(seed).chunk() is the next chunk of a few dozen commands: mostly sound ones on few
keys, so that they meet, and among them commands mutated word-wise and byte-wise. A chunk
is for a connection of its own, and may end amid a short line but not amid a value (where
memcached forgets what it has not sent yet, if the stream ends; so it does when 2048 bytes
have no end of line). {casN} stands for the Nth CAS unique seen, as in transcripts.

A line on which memcached's versions are known to differ is never sent: agreed() knows
them, the transcripts cover them. Times are far from now, so no answer depends on when it
is given. Arithmetic in memcached works on a copy while an unsent answer holds the item; then
it does not pad a number that loses a digit, and forgets the T of ma. So num is only
incremented here, digit only decremented, and ma comes without T. No flush_all either: in
memcached items touched within the same second may escape it.
"""

import base64
import random
import re

__all__ = ["Stream"]

COUNTERS = [b"num", b"digit", b"word"]
KEYS = [b"a", b"b", b"c", b"key", b"long-key-" + b"x" * 200, b"k" * 250]
NUMBERS = [b"0", b"1", b"2", b"9", b"10", b"99", b"100", b"4294967295", b"18446744073709551615",
    b"18446744073709551614", b"007"]
TTLS = [b"0", b"0", b"0", b"1000", b"2592000", b"-1", b"100000"]
NEARS = [b"0", b"-1", b"20", b"5000", b"500000"]         # of R, far from every expiry
LINE_OPEN = 500         # bytes of a line without an end; then the chunk has to end
BYTES = [b" ", b"  ", b"\r", b"\n", b"\t", b"\x7f", b"\xff", b"A", b"z", b"-", b"0", b"9", b"q", b"\x80"]


TOKENS = {
    b"T": lambda s: s.ttl(), b"N": lambda s: s.ttl(), b"R": lambda s: s.rng.choice(NEARS),
    b"O": lambda s: s.pick(b"1", b"opaque", b"o" * 31), b"C": lambda s: s.cas(),
    b"D": lambda s: s.number(), b"J": lambda s: s.number(),
    b"F": lambda s: s.pick(b"0", b"7", b"4294967295"), b"L": lambda s: b"default/", b"P": lambda s: b"cd",
}


class Stream:
	"""stale: whether md and ms have I, so that items become stale."""

	def __init__(self, seed, stale=True):
		self.rng = random.Random(seed)
		self.stale = [b"I"] if stale else []

	# -- words

	def pick(self, *choices):
		return self.rng.choice(choices)

	def chance(self, p):
		return self.rng.random() < p

	def key(self):
		return self.rng.choice(KEYS)

	def ttl(self):
		return self.rng.choice(TTLS)

	def number(self):
		return self.rng.choice(NUMBERS) if self.chance(0.7) else b"%d" % self.rng.randrange(1000)

	def cas(self):
		return b"{cas%d}" % self.rng.randrange(1, 60) if self.chance(0.8) else self.number()

	def value(self):
		kind = self.rng.random()
		if kind < 0.4:
			return self.number()
		if kind < 0.9:
			return bytes(self.rng.choices(b"abc \r\n\0", k=self.rng.randrange(12)))
		return self.rng.choice([b"v" * 300, b"get a\r\n", b"x" * 1500, b"END\r\n", b"12 ", b"-1"])

	def noreply(self):
		return b" noreply" if self.chance(0.15) else b""

	# -- commands

	def classic_store(self):
		verb = self.pick(b"set", b"set", b"set", b"add", b"replace", b"append", b"prepend", b"cas")
		value = self.value()
		unique = b" " + self.cas() if verb == b"cas" else b""
		return b"%s %s %d %s %d%s%s\r\n%s\r\n" % (verb, self.key(), self.rng.choice([0, 1, 5, 4294967295]),
		    self.ttl(), len(value), unique, self.noreply(), value)

	def retrieval(self):
		keys = b" ".join(self.rng.choice(KEYS + COUNTERS) for _ in range(self.rng.choice([1, 1, 1, 2, 3, 8, 30])))
		verb = self.pick(b"get", b"get", b"gets", b"gat", b"gats")
		if verb[:3] == b"gat":
			keys = self.ttl() + b" " + keys
		return verb + b" " + keys + b"\r\n"

	def simple(self):
		verb = self.pick(b"touch", b"delete")
		arg = b" " + self.ttl() if verb == b"touch" else b""
		key = self.pick(self.key(), self.key(), self.key(), *COUNTERS)
		return verb + b" " + key + arg + self.noreply() + b"\r\n"

	def counter(self):
		"""A store of a number, or arithmetic on it."""
		key = self.pick(b"num", b"num", b"digit", b"word")
		value = b"%d" % self.rng.randrange(10 ** self.pick(1, 3, 6)) if key == b"num" else \
		    b"%d" % self.rng.randrange(10) if key == b"digit" else self.pick(b"", b"abc", b"12x", b"-1", b"x1")
		if self.chance(0.25):
			verb = self.pick(b"set", b"set", b"add", b"replace")
			return b"%s %s 3 %s %d%s\r\n%s\r\n" % (verb, key, self.ttl(), len(value), self.noreply(), value)
		if self.chance(0.2):
			return b"ms %s %d%s\r\n%s\r\n" % (key, len(value), self.pick(b"", b" c", b" q", b" ME", b" T1000"), value)
		delta = b"%d" % self.rng.randrange(1000) if key == b"num" else self.number()
		if self.chance(0.6):
			verb = {b"num": b"incr", b"digit": b"decr"}.get(key) or self.pick(b"incr", b"decr")
			return b"%s %s %s%s\r\n" % (verb, key, delta, self.noreply())
		letters = [b"k", b"q", b"t", b"c", b"v", b"C", b"O"]
		words = self.flags(letters + ([b"N", b"J"] if key != b"word" else []), 5)
		words = [b"J%d" % self.rng.randrange(10) if w[:1] == b"J" else w for w in words]
		if key == b"digit" or key == b"word" and self.chance(0.5):
			words.append(b"M" + self.pick(b"D", b"d", b"-"))
		elif self.chance(0.3):
			words.append(b"M" + self.pick(b"I", b"i", b"+"))
		if self.chance(0.5):
			words.append(b"D" + delta)
		self.rng.shuffle(words)
		return b" ".join([b"ma", key] + words) + b"\r\n"

	def flags(self, choices, most):
		"""Some of the flags, each once (and seldom one twice)."""
		some = self.rng.sample(choices, self.rng.randrange(min(most, len(choices)) + 1))
		if some and self.chance(0.02):
			some.append(self.rng.choice(some))
		return [letter + TOKENS[letter](self) if letter in TOKENS else letter for letter in some]

	def meta_key(self, words):
		if self.chance(0.15) and not any(w[:1] == b"N" for w in words):
			words.append(b"b")
			key = self.key()
			return base64.b64encode(key if len(key) < 180 else key[:100])
		return self.key()

	def meta(self):
		verb = self.pick(b"mg", b"mg", b"mg", b"ms", b"ms", b"md", b"mn")
		if verb == b"mn":
			return b"mn\r\n"
		if verb == b"mg":
			letters = [b"c", b"f", b"h", b"k", b"l", b"s", b"t", b"u", b"v", b"v", b"q", b"O", b"N", b"R", b"T", b"P"]
			words = self.flags(letters, 7)
			return b" ".join([verb, self.meta_key(words)] + words) + b"\r\n"
		if verb == b"md":
			words = self.flags([b"k", b"q", b"C", b"T", b"O", b"L"] + self.stale, 4)
			return b" ".join([verb, self.meta_key(words)] + words) + b"\r\n"
		words = self.flags([b"k", b"q", b"c", b"s", b"C", b"F", b"T", b"O"] + self.stale, 5)
		if self.chance(0.4):
			words.append(b"M" + self.pick(b"E", b"A", b"P", b"R", b"S", b"e", b"a", b"p", b"r", b"s"))
		self.rng.shuffle(words)
		value = self.value()
		return b" ".join([verb, self.key(), b"%d" % len(value)] + words) + b"\r\n" + value + b"\r\n"

	def other(self):
		return self.pick(b"mn\r\n", b"version\r\n", b"verbosity 0\r\n",
		    b"foo\r\n", b"get " + b"k" * 249 + b"\r\n", b"GET a\r\n", b"mx a\r\n", b"stats foo\r\n")

	# -- mutations

	def mutate(self, command):
		line, newline, rest = command.partition(b"\r\n")
		how = self.rng.randrange(8)
		words = line.split(b" ")
		at = self.rng.randrange(len(words))
		if how == 0:
			del words[at]
		elif how == 1:
			words.insert(at, words[at])
		elif how == 2:
			words[at] = self.pick(b"0", b"-1", b"x", b"noreply", b"q", b"v", b"300", b"key", b"5")
		elif how == 3:
			words.append(self.pick(b"noreply", b"q", b"k", b"0", b"v", b"t"))
		elif how == 4:
			newline = b"\n"
		elif how == 5:
			words[at] = b" " + words[at] if at else words[at]
		if how == 6:
			spot = self.rng.randrange(len(command) + 1)
			return command[:spot] + self.rng.choice(BYTES) + command[spot:]
		if how == 7:
			spot = self.rng.randrange(len(command))
			return command[:spot] + command[spot + 1:]
		return b" ".join(words) + newline + rest

	def command(self):
		kind = self.rng.random()
		if kind < 0.25:
			one = self.classic_store()
		elif kind < 0.4:
			one = self.retrieval()
		elif kind < 0.5:
			one = self.simple()
		elif kind < 0.6:
			return self.counter()
		elif kind < 0.95:
			one = self.meta()
		else:
			one = self.other()
		return self.mutate(one) if self.chance(0.08) else one

	def chunk(self, commands=40, limit=8000):
		"""The next chunk as a list: so many commands, or fewer in so many bytes."""
		out, frame = [], Frame()
		while len(out) < commands and limit > 0 and not frame.stuck():
			one = self.command()
			after = frame.after(one)
			if after:
				frame = after
				out.append(one)
				limit -= len(one)
		if frame.swallow:
			out.append((b"x" * frame.swallow + b"\r\n")[-frame.swallow:])
		return out


class Frame:
	"""How far a server has read: within a line, or with bytes of a value still to come."""

	def __init__(self, line=b"", swallow=0):
		self.line, self.swallow = line, swallow

	def stuck(self):
		"""Whether nothing agreed upon can come of the line that is open."""
		return b"\r" in self.line or len(self.line) >= LINE_OPEN

	def after(self, data):
		"""The frame after data; None if that completes a line on which servers differ."""
		swallow = min(self.swallow, len(data))
		if b"{" in data[:swallow]:
			return None     # what is filled in there has another length
		left, data = self.swallow - swallow, self.line + data[swallow:]
		while not left:
			line, newline, rest = data.partition(b"\n")
			if not newline:
				return Frame(line) if len(line) < 2 * LINE_OPEN else None
			if line.endswith(b"\r"):
				line = line[:-1]
			length = agreed(line)
			if length is None or b"{" in rest[:length]:
				return None
			left = max(length - len(rest), 0)
			data = rest[length:]
		return Frame(b"", left)


CAS = re.compile(rb"\{cas\d+\}")
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
STORES = {b"set": 5, b"add": 5, b"replace": 5, b"append": 5, b"prepend": 5, b"cas": 6}


def _number(word, bits, signed=False):
	return (re.fullmatch(rb"-?\d{1,20}" if signed else rb"\d{1,20}", word) is not None and
	    -(1 << bits - 1) <= int(word) < 1 << (bits - 1 if signed else bits))


def _wordy(word):
	"""Surely no number to anybody."""
	return word[:1].isalpha()


def agreed(line):
	"""
	How many bytes of data follow line, a line on whose answer all versions of memcached
	and kvgate agree; None for other lines. (10-differential.t has the table of reasons.)
	"""
	words = line.split()
	if len(line) < 3 or line[:1] in b" \x80" or re.search(rb"[\0\t\r\v\f]", line) or len(line) > 1900:
		return None
	verb, n = words[0], len(words)
	hushed = words[-1] == b"noreply"
	if any(len(w) > 250 or b"{" in w and not (CAS.fullmatch(w.removeprefix(b"C"))) for w in words):
		return None
	if b"{" in words[min(1, n - 1)]:
		return None
	if verb in STORES:
		return _agreed_store(words, n, STORES[verb], hushed)
	if verb in (b"get", b"gets"):
		return 0 if n > 1 else None
	if verb in (b"gat", b"gats"):
		return 0 if n > 2 and (_number(words[1], 32, True) or _wordy(words[1])) else None
	if verb in (b"incr", b"decr"):
		sound = n in (3, 4) and (_number(words[2], 64) or _wordy(words[2]))
		return 0 if sound and words[1] in COUNTERS else None
	if verb == b"touch":
		return 0 if n in (3, 4) and (_number(words[2], 32, True) or _wordy(words[2])) else None
	if verb == b"delete":
		return 0 if n == (3 if hushed else 2) else None
	if verb in (b"mg", b"ms", b"md", b"ma"):
		return _agreed_meta(verb, words, n)
	if verb in (b"me", b"quit", b"watch", b"shutdown", b"cache_memlimit", b"slabs", b"lru", b"lru_crawler",
	    b"flush_all"):
		return None
	if verb in (b"version", b"mn", b"stats", b"verbosity"):
		return 0 if line in (b"version", b"mn", b"stats foo", b"verbosity 0") else None
	return None if hushed or words[-1].startswith(b"HTTP/") else 0      # unknown: ERROR


def _agreed_store(words, n, least, hushed):
	if n not in (least, least + 1):
		return None
	if not _number(words[2], 32) or not _number(words[3], 32, True):
		return None
	if least == 6 and not _number(words[5], 64) and not CAS.fullmatch(words[5]):
		return None
	if re.fullmatch(rb"\d{1,3}", words[4]):
		return int(words[4]) + 2
	return 0 if (_wordy(words[4]) or re.fullmatch(rb"-\d{1,9}", words[4])) and not hushed and words[4] != b"-0" else None


def _agreed_meta(verb, words, n):
	least = 3 if verb == b"ms" else 2
	if n < least or n > 18:
		return None
	length = 0
	if verb == b"ms":
		if re.fullmatch(rb"\d{1,3}", words[2]):
			length = int(words[2]) + 2
		elif not _wordy(words[2]):
			return None
	flags = words[least:]
	letters = [f[:1] for f in flags]
	for letter, token in zip(letters, (f[1:] for f in flags)):
		if not letter.isalnum() or letter in b"Ex" or verb == b"mg" and letter == b"C":
			return None
		if letter in b"TNR" and not (_number(token, 32, True) or verb == b"mg" and _wordy(token)):
			return None
		if letter in b"CDJ" and not (_number(token, 64) or CAS.fullmatch(token)):
			return None
		if letter == b"F" and not _number(token, 32) or letter == b"M" and len(token) != 1:
			return None
	unsound = len(set(letters)) < len(letters) or not all(f in b"bckqtvfhlsuOCNJDTMIFPLR" for f in letters)
	if any(letter == b"O" and len(f) > 32 for letter, f in zip(letters, flags)):
		return None     # memcached refuses it after N and T have acted
	if b"L" in letters and b"Ldefault/" not in flags:
		return None     # a namespace
	if b"b" in letters:
		if verb == b"ms" or b"N" in letters or b"k" in letters:
			return None     # keys are shown so or so
		if verb != b"mg" and not BASE64.fullmatch(words[1]):
			return None
	if verb == b"md" and unsound or verb == b"ms" and (unsound and b"q" in letters or b"s" in letters or b"N" in letters):
		return None
	if verb == b"ma":
		key = base64.b64decode(words[1]) if b"b" in letters and BASE64.fullmatch(words[1]) else words[1]
		if b"N" in letters and b"q" in letters or key not in COUNTERS:
			return None
	return length
