#!/usr/bin/python3
"""
The record commands, said and answered: the transcripts of t/corpus/records (lib/transcript.py has their format), whole, cut
at every byte and at random. A body that is being sent counts as memory; a connection lost in it, a reload and a stop
meanwhile leave nothing undone and nothing half done.
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from transcript import *

CORPUS = load_corpus(os.path.join(os.path.dirname(os.path.realpath(__file__)), "corpus", "records"))
LINES = [t for t in CORPUS if os.path.basename(t.file) < "03"]   # where no record need be


def play_all(kv, transcripts):
	with kv.client() as nudge:
		for t in transcripts:
			want = expected(t)
			ways = [("whole", whole, None), ("cut at random", at_random(random.Random(7)), nudge)]
			if not t.whole:
				ways.append(("cut at every byte", each_byte, nudge))
			for name, cut, other in ways:
				try:
					got = play(kv.addr, t, cut, other)
				except (TimeoutError, OSError) as e:
					got = [str(e).encode()]
				if not same(got, want):
					break
			if not ok(same(got, want), t.title):
				diag("%s:%d, %s" % (os.path.basename(t.file), t.line, name), "want:", show(want), "got:", show(got))


with Kvgate(["-t", "1"]) as kv:
	play_all(kv, LINES)

done_testing()
