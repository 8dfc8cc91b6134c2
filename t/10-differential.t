#!/usr/bin/python3
"""
Sends the same bytes to Debian's memcached and to kvgate and compares the replies byte
for byte: the transcripts of t/corpus (lib/transcript.py has their format and says what
is normalised) and seeded random streams (lib/stream.py); whole, cut at every byte and
at random, with kvgate as the cache, with two memcacheds behind it, two redis-servers, a
Redis Cluster, a database (lib/modes.py). How input may be cut has nothing to do with the kind of the
store, so for the latter ones only some of it is.

kvgate answers as memcached 1.6.45 does. Debian 12 has 1.6.18, so where the two differ
the transcript holds the reply, and names a row of DIFFERENCES, which holds the reason.

Environment: KVT_SEED (of the random streams, printed; "new" for another each time), KVT_COMMANDS (how many of them),
KVT_ONLY (a regular expression of titles: just these transcripts, no streams), KVT_MODES.
"""
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import *
from stream import Stream
from transcript import *

COMMANDS, CHUNKS = 40, 25       # commands of a chunk, chunks of a stream
CUT = ("04-noreply.txt", "08-stale.txt")        # what is cut with such a store behind

# row: what kvgate answers, and why that is not what Debian's memcached answers.
# kvgate-* rows are kvgate's own; all others are what memcached 1.6.45 does.
DIFFERENCES = {
	"words-missing": "too few words are CLIENT_ERROR bad command line format; 1.6.18: ERROR",
	"words-more": "words that nobody needs are ignored; 1.6.18: ERROR, and read the data as commands",
	"short-line": "a line under two letters is CLIENT_ERROR bad command line format; 1.6.18: ERROR",
	"leading-space": "a line that begins with a space is no command; 1.6.18 skipped the space",
	"nul": "NUL is a byte like others in a line; 1.6.18 ended the line there",
	"numbers": "numbers are digits only and fit their type; 1.6.18 cut them to 32 bits and took a plus",
	"swallow": "the data of a store refused for its key, flags, expiry or cas is skipped whole; "
	    "1.6.18 read part of it as commands",
	"noreply": "noreply hides errors once the line is parsed, and only then; 1.6.18 hid some of the "
	    "parser's and read the data as commands",
	"flag-byte": "a meta flag that is neither letter nor digit spoils the line; 1.6.18: invalid flag",
	"texts": "the texts of some errors changed",
	"ma-quiet": "ma q hides also the HD of an item that N made",
	"me-exp": "me shows the remaining seconds; 1.6.18 showed them negated",
	"ms-N": "ms with N creates on append and prepend (since 1.6.20)",
	"ms-s": "ms s shows the size (since 1.6.20)",
	"E": "E gives the CAS unique (since 1.6.27)",
	"md-x": "md x empties the item (since 1.6.27)",
	"mg-C": "mg C leaves out the value if the CAS unique matches (since 1.6.40)",
	"fleet-access": "a read answered from the local copy is none to the server: h, l, la=, fetch= of items that "
	    "servers hold are not compared; nor those of Redis', which plain reads there do not mark",
	"fleet-key": "with memcacheds behind, k shows a key as it was asked for (b): they do not tell how it came",
	"fleet-win": "a classic read goes to a memcached as mg, for the remaining TTL, and so takes the win of a stale "
	    "item; kvgate gives it back, but what is on its way already sees Z (and gets keeps it before 1.6.27)",
	"kvgate-long-key": "one error for the whole get line; 1.6.45 doubles the CRLF, which puts every later "
	    "answer off by one, and 1.6.18 does so for gat",
	"kvgate-me": "me decodes a base64 key if b is there; 1.6.45 only if another flag is there too",
	"kvgate-binary-key": "a key that came as base64 is shown so; memcached forgets that on append and where N "
	    "made the item, and then prints bytes that no line may hold",
	"kvgate-binary": "the magic byte of the binary protocol closes the connection wherever a line begins with "
	    "it; memcached minds only the first byte of a connection",
	"kvgate-flags": "client flags beyond 32 bits are refused; memcached cuts them silently",
	"kvgate-delete": "delete with many words is ERROR as memcapable wants it and 1.6.18 said; 1.6.45 deletes",
}
# With servers behind, these are answered by the servers, which may be older.
but = {"local": (), "fleet": ACCESS, "redis": ACCESS, "cluster": ACCESS, "disk": ACCESS}
# There E and P of what writes are a token that has to be of now.
TOKENED = ("redis", "cluster", "disk")
TOKEN = re.compile(rb"(?m)^m[sda] [^\r]* [EP]")
BY_SERVERS = {"E", "md-x", "mg-C", "ms-N", "ms-s", "me-exp"}

corpus = load_corpus(os.path.join(os.path.dirname(os.path.realpath(__file__)), "corpus"))
only = os.environ.get("KVT_ONLY")
if only:
	corpus = [t for t in corpus if re.search(only, t.title)]
seed = os.environ.get("KVT_SEED") or "20"
seed = random.SystemRandom().randrange(1 << 32) if seed == "new" else int(seed)
streams = int(os.environ.get("KVT_COMMANDS") or 20000) // (COMMANDS * CHUNKS)
diag("KVT_SEED=%d, %d streams of %d commands" % (seed, streams, COMMANDS * CHUNKS))

for t in corpus:
	if (t.expect is None) != (t.why is None) or not {t.why, t.row} <= {None, *DIFFERENCES}:
		ok(False, "%s: an expected reply and a row of the table go together" % t.title)


def with_stale(n):
	return n % 3 == 0


def timed(function, *args):
	"""function(*args), or the text of a failure to answer; and the slack for a slow run."""
	begin = time.monotonic()
	try:
		got = function(*args)
	except (TimeoutError, OSError) as e:
		got = [str(e).encode()]
	return got, 2 + int(time.monotonic() - begin)


def test(t, kv, mode, want):
	got, slack = timed(play, kv.addr, t)
	if not ok(same(got, want, slack, but[mode]), "%s, %s" % (mode, t.title)):
		diag("%s:%d" % (os.path.basename(t.file), t.line), "want:", show(want), "got:", show(got))


def cut_up(transcripts, kv, mode, cut, nudge, how):
	"""A test point per file of the corpus: its transcripts once more, in pieces."""
	for file in sorted({t.file for t in transcripts}):
		bad = []
		for t in transcripts:
			if t.file != file or t.waits() or cut is each_byte and t.whole:
				continue
			got, slack = timed(play, kv.addr, t, cut, nudge)
			if not same(got, wanted[t.title], slack, but[mode]):
				bad.append(t)
				diag("%s, %s" % (mode, t.title), "want:", show(wanted[t.title]), "got:", show(got))
		is_([t.name for t in bad], [], "%s, %s: %s" % (mode, os.path.basename(file), how))


def record_streams(addr):
	"""The random streams: per stream a list of (chunk, its answer, seconds since the start)."""
	found = []
	for n in range(streams):
		source, uniques = Stream(seed + n, stale=with_stale(n)), Uniques()
		flush(addr)
		begin = time.monotonic()
		found.append([])
		for _ in range(CHUNKS):
			chunk = source.chunk(COMMANDS)
			answer = exchange(addr, b"".join(chunk), uniques)
			found[-1].append((chunk, answer, time.monotonic() - begin))
	return found


def compare_streams(kv, mode, nudge):
	for n, stream in enumerate(recorded):
		if with_stale(n) and mode == "fleet":
			continue        # fleet-win
		rng = random.Random(seed + n)
		uniques, bad = Uniques(), None
		flush(kv.addr)
		begin = time.monotonic()
		for number, (chunk, want, seconds) in enumerate(stream):
			cut = whole if number % 3 == 0 else at_random(rng, rng.choice([30, 100, 300]))
			got, _ = timed(exchange, kv.addr, b"".join(chunk), uniques, cut, nudge)
			if not same(got, want, 2 + max(time.monotonic() - begin, seconds), but[mode]):
				bad = number
				break
		if not ok(bad is None, "%s, random stream KVT_SEED=%d" % (mode, seed + n)):
			at = next((i for i, (a, b) in enumerate(zip(want, got)) if not same([a], [b], 1000, but[mode])),
			    min(len(want), len(got)))
			diag("chunk %d of %r" % (bad, chunk), "from answer %d on" % at,
			    "before:", show(want[max(at - 10, 0):at]), "want:", show(want[at:at + 10]),
			    "got:", show(got[at:at + 10]))


with Memcached(["-t", "1"]) as reference:
	old_servers = [int(n) for n in re.findall(r"\d+", stats(reference)["version"])[:3]] < [1, 6, 45]
	wanted = {}
	for t in corpus:
		if t.expect is None:
			wanted[t.title] = play(reference.addr, t)
		else:
			wanted[t.title] = expected(t)

	recorded = [] if only else record_streams(reference.addr)
	for mode, kv in all_modes(["-t", "1"]):
		mine = [t for t in corpus if (not t.only or mode in t.only)
		    and not (mode == "fleet" and old_servers and t.why in BY_SERVERS)
		    and not (mode in TOKENED and any(s[0] == "send" and TOKEN.search(s[1]) for s in t.steps))]
		for t in mine:
			test(t, kv, mode, wanted[t.title])
		with kv.client() as nudge:
			cut = mine if mode in ("local", "fleet") else [t for t in mine if os.path.basename(t.file) in CUT]
			cut_up(cut, kv, mode, each_byte, nudge, "cut at every byte")
			rng = random.Random(seed)
			cut_up(cut, kv, mode, at_random(rng), nudge, "cut at random")
			if not only:
				compare_streams(kv, mode, nudge)

done_testing()
