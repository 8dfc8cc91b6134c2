#!/usr/bin/python3
"""
SIGHUP: the file is read again, checked first; what did not change keeps its connections, counters and copies; what did is
another from then on; a bad file changes nothing; what cannot change is said.
"""
import os, resource, sys, re, signal
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between


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
	try:
		return wait_for(lambda: said in kv.stderr()[before:] and kv.stderr()[before:], 20, said)
	except TimeoutError:
		diag(kv.stderr()[before:])
		raise


def dump(c):
	c.send(b"lru_crawler metadump all\r\n")
	return c.recv_until(b"END\r\n").splitlines()


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

# ---- requests under way: their order is kept, nothing of them stays that the new configuration does not have

with Memcached() as a, Memcached() as b, Between(a) as ab:
	was = store("one", [ab]) + space("default", "", "one", "0")
	now = store("one", [ab], "max_inflight = 99") + space("default", "", "one", "0")
	with Kvgate(["-t", "1"], conf=was) as kv, kv.client() as c, kv.client() as c2:
		c.ask(b"set k 0 0 3\r\nold\r\n", b"STORED\r\n")
		ab.fault("hold new")
		c.send(b"set k 0 0 3 noreply\r\nnew\r\n")
		c2.send(b"set n 0 0 5\r\nnew 1\r\n")
		wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) == 2, 10, "writes under way")
		reload(kv, now)
		with kv.client() as c3:
			c3.ask(b"get k\r\n", b"VALUE k 0 3\r\nold\r\nEND\r\n", "in order: others use the new connection")
		c.send(b"get k\r\n")
		c2.send(b"set n 0 0 1\r\n2\r\nget n\r\n")
		with kv.client() as c3:
			c3.ask(b"get k\r\n", b"VALUE k 0 3\r\nold\r\nEND\r\n", "in order: and those two have to wait")
		ab.fault("none")
		c.ask(b"", b"VALUE k 0 3\r\nnew\r\nEND\r\n", "in order: a read does not overtake a write on an old connection")
		c2.ask(b"", b"STORED\r\nSTORED\r\nVALUE n 0 1\r\n2\r\nEND\r\n", "in order: nor does a write")

		# A read of many keys goes on where it began.
		ab.fault("hold new")
		keys = [b"k"] + [b"m%d" % i for i in range(1000)] + [b"n"]
		c.ask(b"set n 0 0 1\r\n3\r\n", b"STORED\r\n")
		c.send(b"set n 0 0 5 noreply\r\nnew 4\r\nget %s\r\n" % b" ".join(keys))
		wait_for(lambda: int(stats(kv, "kvgate")["requests_inflight"]) > 1, 10, "the reads to be under way")
		reload(kv, was)
		ab.fault("none")
		c.ask(b"", b"VALUE k 0 3\r\nnew\r\nVALUE n 0 5\r\nnew 4\r\nEND\r\n", "in order: many keys, in parts")

	# flush_all is waited for.
	with Kvgate(["-t", "1"], conf=store("one", [ab]) + store("two", [b]) + space("default", "", "one", "0")) as kv, \
	    kv.client() as c:
		ab.fault("hold flush_all")
		c.send(b"flush_all\r\n")
		wait_for(lambda: int(stats(kv, "servers")["one:127.0.0.1:%d:inflight" % ab.port]), 10, "flush_all under way")
		reload(kv, store("two", [b]) + space("default", "", "two", "0"))
		with kv.client() as c2:
			c2.ask(b"set k 0 0 1\r\nx\r\n", b"STORED\r\n")
		ab.fault("none")
		c.ask(b"", b"OK\r\n", "flush_all of a store that goes")

with Memcached() as a, Memcached() as b:
	# A body that comes slowly is stored where the key then lives.
	here = store("one", [a]) + store("two", [b]) + space("here", "s:")
	one, two = here.replace(space("here", "s:"), space("here", "s:", "one")), here.replace(space("here", "s:"), space("here", "s:", "two"))
	size = 300000
	for was, now, title in ((here, one, "from here to a store"), (one, here, "from a store to here"), (one, two, "to another store"),
	    (here, here.replace("# ", "#"), "here"), (one, one + "# the same", "the same store")):
		with Kvgate(["-t", "1"], conf=was) as kv, kv.client() as c, kv.client() as c2:
			body = os.urandom(size // 2).hex().encode()
			c.send(b"set s:k 0 0 %d\r\n%s" % (size, body[:1000]))
			wait_for(lambda: int(stats(kv, "kvgate")["bytes_read"]) > 1000, 10, "the body to have begun")
			reload(kv, now)
			c.send(body[1000:] + b"\r\n")
			c.ask(b"", b"STORED\r\n", "slow body, %s: stored" % title)
			c.send(b"get s:k\r\n")
			is_(c.recv(len(b"VALUE s:k 0 300000\r\n") + size + 7), b"VALUE s:k 0 300000\r\n" + body + b"\r\nEND\r\n",
			    "slow body, %s: it is there" % title)
			for server, there in ((a, now[:len(one)] == one), (b, now == two)):
				with server.client() as direct:
					is_(direct.call(b"mg s:k s\r\n"), b"HD s300000\r\n" if there else b"EN\r\n", "slow body, %s: where" % title)
					direct.call(b"flush_all\r\n")
					if there:
						ok(not [l for l in dump(c) if b"key=s%3Ak exp=-1" in l], "slow body, %s: no copy stays for ever" % title)

	# Copies live no longer than the new file says.
	long, short = (store("one", [a]) + space("default", "", "one", ttl) for ttl in ("1h", "2s"))
	with Kvgate(["-t", "1"], conf=long) as kv, kv.client() as c:
		c.ask(b"set k 0 0 3\r\nold\r\n", b"STORED\r\n")
		c.ask(b"get k\r\n", b"VALUE k 0 3\r\nold\r\nEND\r\n")
		with a.client() as direct:
			direct.ask(b"set k 0 0 3\r\nnew\r\n", b"STORED\r\n")
		c.ask(b"get k\r\n", b"VALUE k 0 3\r\nold\r\nEND\r\n", "a copy for an hour")
		reload(kv, short)
		wait_for(lambda: c.call(b"mg k v\r\n") and c.line() == b"new\r\n", 10, "a copy to be over")
		ok(True, "a shorter ttl holds for copies that are there")

	# A long read of what lived here does not make copies live for ever.
	many = space("default", "")
	with Kvgate(["-t", "1", "-m", "64"], conf=many) as kv, kv.client(seconds=30) as c, kv.client() as c2:
		keys = [b"g%d" % i for i in range(60)]
		for k in keys:
			c2.send(b"set %s 0 100 100000\r\n%s\r\n" % (k, b"x" * 100000))
			is_(c2.line(), b"STORED\r\n")
		c.send(b"gat 0 %s\r\n" % b" ".join(keys))
		wait_for(lambda: int(stats(kv, "kvgate")["bytes_written"]) > 100000, 10, "the answer to begin")
		reload(kv, long)
		c2.ask(b"set %s 0 0 1\r\ny\r\n" % keys[-1], b"STORED\r\n")
		c2.ask(b"get %s\r\n" % keys[-1], b"VALUE %s 0 1\r\ny\r\nEND\r\n" % keys[-1])
		c.recv_until(b"END\r\n")
		line = next(l for l in dump(c2) if b"key=" + keys[-1] + b" " in l)
		ok(b" exp=-1 " not in line, "a long gat does not touch copies") or diag(line)

	# A worker that could not adopt one configuration has made copies of the one before.
	both = store("one", [a]) + store("two", [b], "connections = 2")
	first = both + space("default", "", "one", "1h")
	second = both + space("default", "", "two", "1h") + "".join('namespace "%s" { prefix = "%s:"  primary { store = "two" }  '
	    'hedge = 1s }\n' % (name, name) for name in ("g", "h"))
	with Kvgate(["-t", "1"], conf=first) as kv, kv.client() as c:
		with a.client() as direct:
			direct.ask(b"set k 0 0 3\r\none\r\n", b"STORED\r\n")
		with b.client() as direct:
			direct.ask(b"set k 0 0 3\r\ntwo\r\n", b"STORED\r\n")
		c.ask(b"mn\r\n", b"MN\r\n")  # accepted, so that its descriptor is counted
		# One descriptor: enough for reading the file, one less than the namespaces need for their alarms.
		limits = resource.prlimit(kv.pid, resource.RLIMIT_NOFILE)
		free = next(n for n in range(1000) if not os.path.lexists("/proc/%d/fd/%d" % (kv.pid, n)))
		resource.prlimit(kv.pid, resource.RLIMIT_NOFILE, (free + 1, limits[1]))
		reload(kv, second, "goes on with the old configuration")
		c.ask(b"get k\r\n", b"VALUE k 0 3\r\none\r\nEND\r\n", "not adopted: the old configuration goes on")
		resource.prlimit(kv.pid, resource.RLIMIT_NOFILE, limits)
		reload(kv, second)
		c.ask(b"get k\r\n", b"VALUE k 0 3\r\ntwo\r\nEND\r\n", "adopted later: no copy is left of the old one")

	with Kvgate([]) as kv, kv.client() as c:
		kv.send_signal(signal.SIGHUP)
		wait_for(lambda: "no configuration file" in kv.stderr(), what="the line about SIGHUP")
		c.ask(b"mn\r\n", b"MN\r\n", "SIGHUP without a file")

done_testing()
