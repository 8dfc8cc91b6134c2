#!/usr/bin/python3
"""
SIGHUP: the file is read again, checked first; what did not change keeps its connections, counters and copies; what did is
another from then on; a bad file changes nothing; what cannot change is said.
"""
import os, sys, re, signal
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *


def store(name, servers, more=""):
	names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers)
	return 'store "%s" { type = memcached  servers = { %s }  timeout = 2s %s }\n' % (name, names, more)


def space(name, prefix, store=None, local="30s"):
	primary = 'primary { store = "%s" }  local { ttl = %s }' % (store, local) if store else ""
	return 'namespace "%s" { prefix = "%s"  %s }\n' % (name, prefix, primary)


def reload(kv, conf, said="read again, in effect"):
	"""Writes the file, sends the signal and waits for what is said about it."""
	kv.write_conf(conf)
	before = len(kv.stderr())
	kv.send_signal(signal.SIGHUP)
	return wait_for(lambda: said in kv.stderr()[before:] and kv.stderr()[before:], 20, said)


def connections(server):
	return int(stats(server)["total_connections"])


with Memcached() as a, Memcached() as b:
	base = store("one", [a]) + space("default", "", "one") + space("here", "here:")
	with Kvgate(["-t", "2"], conf=base) as kv, kv.client() as c, kv.client() as c2:
		c.ask(b"set k 0 0 1\r\na\r\n", b"STORED\r\n")
		c.ask(b"set here:k 0 0 1\r\nh\r\n", b"STORED\r\n")
		c.ask(b"get k\r\n", b"VALUE k 0 1\r\na\r\nEND\r\n")
		c2.ask(b"get here:k\r\n", b"VALUE here:k 0 1\r\nh\r\nEND\r\n")

		# Nothing new: nothing happens to connections, copies, counters.
		had, gets = connections(a), stats(kv, "namespaces")["default:gets"]
		reload(kv, "# a comment moves all lines\n" + base)
		with a.client() as direct:
			direct.ask(b"set k 0 0 1\r\nX\r\n", b"STORED\r\n")
		c.ask(b"get k\r\n", b"VALUE k 0 1\r\na\r\nEND\r\n", "unchanged: the copy is still there")
		c.ask(b"get here:k\r\n", b"VALUE here:k 0 1\r\nh\r\nEND\r\n", "unchanged: so is what lives here")
		c.ask(b"set k2 0 0 1\r\nb\r\n", b"STORED\r\n")
		is_(connections(a) - had, 2, "unchanged: the server has no new connection (but for those two of this test)")
		is_(int(stats(kv, "namespaces")["default:gets"]), int(gets) + 1, "unchanged: counters go on")

		# A bad file changes nothing.
		said = reload(kv, base + "nonsense = 1\n", "nothing has changed")
		like(said, r"nothing has changed: \S+:\d+: unknown key \"nonsense\"", "bad file: named with file and line")
		c.ask(b"get k\r\n", b"VALUE k 0 1\r\na\r\nEND\r\n", "bad file: all goes on")
		said = reload(kv, base.replace('store = "one"', 'store = "two"'), "nothing has changed")
		like(said, r":\d+: store \"two\" is unknown", "a store that is not there")

		# What cannot change is said, the rest happens.
		said = reload(kv, "backlog = 7\n" + base)
		like(said, r":1: backlog counts at a start only", "what cannot change is said")
		is_(stats(kv, "settings")["tcp_backlog"], "1024", "and has not")

		# A namespace gets a store of its own: what was held of its keys is not true any more.
		c.ask(b"set s:k 0 0 3\r\nold\r\n", b"STORED\r\n")
		c.ask(b"get s:k\r\n", b"VALUE s:k 0 3\r\nold\r\nEND\r\n", "a copy of the default namespace's store")
		reload(kv, base + store("two", [b]) + space("s", "s:", "two"))
		c.ask(b"get s:k\r\n", b"END\r\n", "new namespace: its own store has no such key, and no copy says so")
		c.ask(b"set s:k 0 0 3\r\nnew\r\n", b"STORED\r\n")
		with b.client() as direct:
			direct.ask(b"get s:k\r\n", b"VALUE s:k 0 3\r\nnew\r\nEND\r\n", "new namespace: written to its store")
		c.ask(b"get here:k\r\n", b"VALUE here:k 0 1\r\nh\r\nEND\r\n", "new namespace: others keep what they have")
		c.ask(b"get k\r\n", b"VALUE k 0 1\r\na\r\nEND\r\n", "new namespace: copies of others stay")
		ok("two:127.0.0.1:%d:state" % b.port in stats(kv, "servers"), "stats servers knows the new one")

		# And goes again.
		reload(kv, base)
		c.ask(b"get s:k\r\n", b"VALUE s:k 0 3\r\nold\r\nEND\r\n", "gone: the default namespace has the key again")
		is_([k for k in stats(kv, "servers") if k.startswith("two:")], [], "gone: from stats, too")
		wait_for(lambda: int(stats(b)["curr_connections"]) == 1, 20, "its connections to be closed")
		ok(True, "gone: its connections are closed")

		# What lived here alone goes to a store, and is not taken for a copy.
		reload(kv, base.replace(space("here", "here:"), space("here", "here:", "one")))
		c.ask(b"get here:k\r\n", b"END\r\n", "from here to a store: the store is what counts")
		c2.ask(b"mn\r\n", b"MN\r\n", "no client's connection was closed")

		# Another server in a pool; the other one keeps what it has.
		reload(kv, store("one", [a, b]) + space("default", "", "one", "0"))
		for i in range(40):
			c.call(b"set n%d 0 0 1\r\nx\r\n" % i)
		ok(int(stats(b)["cmd_set"]) > 5, "a second server takes its share")

		# Many at once.
		for _ in range(20):
			kv.send_signal(signal.SIGHUP)
		c.ask(b"get n1\r\n", b"VALUE n1 0 1\r\nx\r\nEND\r\n", "a burst of signals")

	with Kvgate([]) as kv, kv.client() as c:
		kv.send_signal(signal.SIGHUP)
		wait_for(lambda: "no configuration file" in kv.stderr(), what="the line about SIGHUP")
		c.ask(b"mn\r\n", b"MN\r\n", "SIGHUP without a file")

done_testing()
