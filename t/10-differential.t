#!/usr/bin/python3
"""
Sends the same bytes to Debian's memcached and to kvgate and compares the replies byte
for byte: the transcripts of t/corpus (lib/transcript.py has their format and says what
is normalised) and seeded random streams (lib/stream.py); whole, cut at every byte and
at random, with kvgate as the cache and with two memcacheds behind it.

kvgate answers as memcached 1.6.45 does. Debian 12 has 1.6.18, so where the two differ
the transcript holds the reply, and names a row of DIFFERENCES, which holds the reason.

Environment: KVT_SEED (random streams; printed), KVT_COMMANDS (how many of them),
KVT_ONLY (a regular expression of titles: just these transcripts, no streams).
"""
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from transcript import *

# row: (since, reason). "kvgate" rows are answered so by no memcached.
DIFFERENCES = {
}

corpus = load_corpus(os.path.join(os.path.dirname(os.path.realpath(__file__)), "corpus"))
only = os.environ.get("KVT_ONLY")
if only:
	corpus = [t for t in corpus if re.search(only, t.title)]
seed = int(os.environ.get("KVT_SEED") or random.SystemRandom().randrange(1 << 32))
diag("KVT_SEED=%d" % seed)

for t in corpus:
	if (t.expect is None) != (t.why is None) or t.why and t.why not in DIFFERENCES:
		ok(False, "%s: an expected reply and a row of the table go together" % t.title)


def compare(t, want, got, what):
	if same(got, want):
		return True
	diag("%s:%d: %s (%s)" % (os.path.basename(t.file), t.line, t.name, what),
	    "want:", show(want), "got:", show(got))
	return False


with Memcached(["-t", "1"]) as reference:
	wanted = {}
	for t in corpus:
		if t.expect is None:
			wanted[t.title] = play(reference.addr, t)
		else:
			wanted[t.title] = canon(t.expect, Uniques())

	for mode, kv in both_modes(["-t", "1"]):
		mine = [t for t in corpus if t.only in (None, mode)]
		with kv.client() as nudge:
			for t in mine:
				want = wanted[t.title]
				try:
					ok(compare(t, want, play(kv.addr, t), mode), "%s, %s" % (mode, t.title))
				except (TimeoutError, OSError) as e:
					ok(False, "%s, %s" % (mode, t.title))
					diag("%s:%d: %s" % (os.path.basename(t.file), t.line, e), "want:", show(want))
					if not kv.alive():
						break

done_testing()
