#!/usr/bin/python3
"""
An application's day with Go's gomemcache, with each kind of store, and its placement: it takes CRC-32 modulo the number of servers, which
is `distribution = modula`, `hash = crc32a` here.
"""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from kvt import *
from clients import *
from modes import *
from placement import *


def build():
	"""Debian's packages lie in a GOPATH of their own; nothing is fetched."""
	out = os.path.join(tmpdir(), "gomemcache-day")
	env = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOCACHE=os.path.join(tmpdir(), "go"), GOFLAGS="",
	    GOPROXY="off", HOME=tmpdir())
	run = subprocess.run(["go", "build", "-o", out, os.path.join(clients_dir, "gomemcache-day.go")], env=env,
	    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
	if not ok(run.returncode == 0, "gomemcache-day.go builds"):
		diag(run.stdout)
		done_testing()
	return out


def placement(day):
	servers = [Memcached() for _ in range(4)]

	def fill(made):
		run = subprocess.run([day, "fill", keys_file("keys.go", made)] + ["127.0.0.1:%d" % s.port for s in servers],
		    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
		if run.returncode:
			diag(run.stdout)
	check("gomemcache", servers, fill, keys(3, utf8=False), pool_conf(servers, [1] * 4, "modula", "crc32a"))


day = build()
for mode, kv in all_modes(["-t", "2"]):
	adopt(mode + ", gomemcache", [day, "day", "127.0.0.1:%d" % kv.port])
placement(day)
done_testing()
