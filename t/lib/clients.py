"""
clients - what the tests with real clients share: values that hurt, and programs in other languages that speak TAP.

A day is what an application does between deploys: a program (or function) that is given a server's address, works with keys of
its own and emits test points. Days are written against memcached: KVGATE=/usr/bin/memcached must pass them too.
"""

import os
import random
import re
import subprocess

from kvt import *

NASTY = bytes(range(256)) + b"\r\nEND\r\nVALUE x 0 1\r\n\0\r\nSTORED\r\n\0"
BIG = random.Random(1).randbytes(1000000)
TOO_BIG = b"x" * (1024 * 1024 + 1)
clients_dir = os.path.join(top_srcdir, "t", "clients")

_POINT = re.compile(r"^(not )?ok\b(?: \d+)?(?: - )?(.*)$")
_PLAN = re.compile(r"^1\.\.(\d+)$")


def adopt(name, argv, seconds=120, **options):
	"""Runs a program that speaks TAP and makes its test points ours; a wrong plan or exit status is one more."""
	run = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
	    timeout=seconds * patience, **options)
	points, plan = 0, None
	for line in run.stdout.decode("utf-8", "replace").splitlines():
		point, end = _POINT.match(line), _PLAN.match(line)
		if point:
			points += 1
			ok(not point.group(1), "%s: %s" % (name, point.group(2)))
		elif end:
			plan = int(end.group(1))
		else:
			diag(line)
	if run.returncode or plan != points or not points:
		ok(False, "%s: ran to its end" % name)
		diag("status %d, %d test points, plan %s" % (run.returncode, points, plan))


def compile_c(name, *libraries):
	"""Builds t/clients/NAME.c and returns the program's path; a failure is a failed test and None."""
	out = os.path.join(tmpdir(), name)
	run = subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-Wall", "-Wextra", "-O1", "-g", "-I" +
	    os.path.join(top_srcdir, "t", "lib"), "-o", out, os.path.join(clients_dir, name + ".c")] + list(libraries),
	    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
	good = ok(run.returncode == 0, "%s.c builds" % name)
	if run.stdout:
		diag(run.stdout)
	return out if good else None
