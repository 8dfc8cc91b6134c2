#!/usr/bin/python3
"""
An application's day with unmodified clients against kvgate as the cache and kvgate in front of two memcacheds: pymemcache, pylibmc,
Perl's Cache::Memcached::Fast, libmemcached's C library and its tools, memcached-tool, memcapable.
"""
import os, re, shutil, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from clients import *
from modes import *

import pylibmc
from pymemcache.client.base import Client as Pymemcache, PooledClient
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError, MemcacheIllegalInputError


def raises(kind, call, name):
	try:
		got = call()
	except kind:
		return ok(True, name)
	ok(False, name)
	diag("no exception but %r" % (got,))


def gone(call):
	"""Whether call() comes to answer None, which expiry makes it do."""
	try:
		wait_for(lambda: call() is None, what="expiry")
		return True
	except TimeoutError:
		return False


# ---------------------------------------------------------------- pymemcache

def pymemcache_stores(mc, other, t):
	ok(mc.set(b"pm-a", b"one", noreply=False), t("set"))
	is_(mc.get(b"pm-a"), b"one", t("get"))
	is_(mc.add(b"pm-a", b"two", noreply=False), False, t("add over something"))
	is_(mc.add(b"pm-b", b"two", noreply=False), True, t("add over nothing"))
	is_(mc.replace(b"pm-none", b"x", noreply=False), False, t("replace of nothing"))
	is_(mc.replace(b"pm-b", b"three", noreply=False), True, t("replace of something"))
	is_(mc.append(b"pm-a", b"-end", noreply=False), True, t("append"))
	is_(mc.prepend(b"pm-a", b"start-", noreply=False), True, t("prepend"))
	is_(other.get(b"pm-a"), b"start-one-end", t("another connection sees both"))
	is_(mc.append(b"pm-none", b"x", noreply=False), False, t("append to nothing"))
	is_(mc.delete(b"pm-b", noreply=False), True, t("delete"))
	is_(mc.delete(b"pm-b", noreply=False), False, t("delete of nothing"))
	is_(other.get(b"pm-b"), None, t("it is gone for all"))


def pymemcache_counts(mc, other, t):
	mc.set(b"pm-n", b"10")
	is_(mc.incr(b"pm-n", 5), 15, t("incr, behind a set without reply"))
	is_(mc.decr(b"pm-n", 20), 0, t("decr stops at 0"))
	is_(other.get(b"pm-n").strip(), b"0", t("another connection sees it"))
	is_(mc.incr(b"pm-none", 1), None, t("incr of nothing"))
	mc.set(b"pm-n", b"ten")
	raises(MemcacheClientError, lambda: mc.incr(b"pm-n", 1), t("incr of a word is refused"))
	mc.set(b"pm-n", b"1")
	for _ in range(100):
		mc.incr(b"pm-n", 1, noreply=True)
	is_(mc.incr(b"pm-n", 1), 102, t("100 increments without reply"))


def pymemcache_compares(mc, other, t):
	mc.set(b"pm-c", b"first", noreply=False)
	value, cas = mc.gets(b"pm-c")
	is_(value, b"first", t("gets"))
	other.set(b"pm-c", b"theirs", noreply=False)
	is_(mc.cas(b"pm-c", b"mine", cas), False, t("cas meets the conflict"))
	value, cas = mc.gets(b"pm-c")
	is_(value, b"theirs", t("gets again"))
	is_(mc.cas(b"pm-c", b"mine", cas), True, t("cas with the new unique"))
	is_(mc.cas(b"pm-c", b"again", cas), False, t("a unique serves once"))
	is_(other.get(b"pm-c"), b"mine", t("another connection sees it"))
	is_(mc.cas(b"pm-none", b"x", cas), None, t("cas of nothing"))
	many = mc.gets_many([b"pm-c", b"pm-a", b"pm-none"])
	is_(sorted(many), [b"pm-a", b"pm-c"], t("gets of several"))


def pymemcache_hurts(mc, other, t):
	long = b"pm-" + b"k" * 247
	is_(mc.set(long, NASTY, noreply=False), True, t("a key of 250, a nasty value"))
	is_(other.get(long), NASTY, t("comes back"))
	raises(MemcacheIllegalInputError, lambda: mc.get(long + b"k"), t("a key of 251 does not leave the client"))
	is_(mc.set(b"pm-empty", b"", noreply=False), True, t("an empty value"))
	is_(other.get(b"pm-empty"), b"", t("comes back"))
	is_(mc.set(b"pm-big", BIG, noreply=False), True, t("a million bytes"))
	ok(other.get(b"pm-big") == BIG, t("come back"))
	raises(MemcacheServerError, lambda: mc.set(b"pm-big", TOO_BIG, noreply=False), t("more than a mebibyte is refused"))
	is_(other.get(b"pm-big"), None, t("and the old value is gone with it"))
	is_(mc.get(b"pm-a"), b"start-one-end", t("the connection goes on"))


def pymemcache_many(mc, other, t):
	values = {b"pm-m%d" % i: b"value of %d" % i for i in range(0, 100, 2)}
	keys = [b"pm-m%d" % i for i in range(100)]
	is_(mc.set_many(values, noreply=False), [], t("a set of 50"))
	is_(other.get_many(keys), values, t("a get of 100 finds the 50"))
	is_(other.get_many(keys), values, t("and again"))
	mc.delete_many(keys[:50], noreply=False)
	is_(other.get_many(keys), {k: v for k, v in values.items() if int(k[4:]) >= 50}, t("a delete of 50"))
	for i in range(1000):
		mc.set(b"pm-q%d" % (i % 100), b"%d" % i)
	is_(mc.get_many([b"pm-q%d" % i for i in range(100)]), {b"pm-q%d" % i: b"%d" % (900 + i) for i in range(100)},
	    t("1000 sets without reply, the last ones win"))


def pymemcache_expires(mc, other, t):
	mc.set(b"pm-e1", b"x", expire=1, noreply=False)
	mc.set(b"pm-e2", b"x", expire=1, noreply=False)
	mc.set(b"pm-e3", b"x", noreply=False)
	is_(mc.touch(b"pm-e2", 1000, noreply=False), True, t("touch"))
	is_(other.get(b"pm-e3"), b"x", t("read by another before"))
	is_(mc.touch(b"pm-e3", 1, noreply=False), True, t("touch to a shorter life"))
	is_(mc.touch(b"pm-none", 1, noreply=False), False, t("touch of nothing"))
	ok(gone(lambda: mc.get(b"pm-e1")), t("what was set for a second goes"))
	ok(gone(lambda: other.get(b"pm-e3")), t("what was touched for a second goes"))
	is_(mc.get(b"pm-e2"), b"x", t("what was touched for longer stays"))
	is_(mc.set(b"pm-e2", b"x", expire=-1, noreply=False), True, t("an expiry in the past"))
	is_(mc.get(b"pm-e2"), None, t("is gone at once"))


def pymemcache_rest(mc, other, t):
	stats = mc.stats()
	ok(int(stats[b"cmd_get"]) > 0 and int(stats[b"curr_connections"]) > 0 and int(stats[b"pid"]) > 0, t("stats"))
	like(mc.version(), rb"^1\.\d+\.\d+", t("version"))
	raises(MemcacheClientError, lambda: mc._misc_cmd([b"nonsense\r\n"], b"nonsense", False), t("nonsense is an ERROR"))
	mc.close()
	is_(mc.flush_all(noreply=False), True, t("flush_all"))
	is_(other.get(b"pm-a"), None, t("all is gone"))
	is_(mc.set(b"pm-a", b"again", noreply=False), True, t("set after it"))
	is_(other.get(b"pm-a"), b"again", t("stays"))
	mc.quit()
	is_(mc.get(b"pm-a"), b"again", t("quit and a new connection"))


def pymemcache_day(kv, mode):
	mc = Pymemcache(kv.addr, timeout=20 * patience)
	other = PooledClient(kv.addr, timeout=20 * patience, max_pool_size=2)
	for part in (pymemcache_stores, pymemcache_counts, pymemcache_compares, pymemcache_hurts, pymemcache_many,
	    pymemcache_expires, pymemcache_rest):
		part(mc, other, lambda what: "%s, pymemcache: %s" % (mode, what))
	mc.close()
	other.close()


# ---------------------------------------------------------------- pylibmc

def pylibmc_day(kv, mode):
	def t(what):
		return "%s, pylibmc: %s" % (mode, what)

	mc = pylibmc.Client(["127.0.0.1:%d" % kv.port], behaviors={"cas": True, "tcp_nodelay": True})
	other = pylibmc.Client(["127.0.0.1:%d" % kv.port], behaviors={"cas": True})
	ok(mc.set("pl-a", b"one"), t("set"))
	is_(mc.get("pl-a"), b"one", t("get"))
	is_(mc.add("pl-a", b"two"), False, t("add over something"))
	ok(mc.add("pl-b", {"a": [1, 2.5, None]}), t("add of a structure"))
	is_(other.get("pl-b"), {"a": [1, 2.5, None]}, t("comes back: its flags did too"))
	is_(mc.replace("pl-none", b"x"), False, t("replace of nothing"))
	ok(mc.append("pl-a", b"-end") and mc.prepend("pl-a", b"start-"), t("append, prepend"))
	is_(other.get("pl-a"), b"start-one-end", t("another connection sees both"))
	ok(mc.delete("pl-b"), t("delete"))
	is_(mc.delete("pl-b"), False, t("delete of nothing"))
	mc.set("pl-n", 10)
	is_([mc.incr("pl-n", 5), mc.decr("pl-n", 3), other.get("pl-n")], [15, 12, 12], t("incr, decr"))
	raises(pylibmc.NotFound, lambda: mc.incr("pl-none"), t("incr of nothing"))
	mc.set("pl-c", "first")
	value, cas = mc.gets("pl-c")
	other.set("pl-c", "theirs")
	is_(mc.cas("pl-c", "mine", cas), False, t("cas meets the conflict"))
	value, cas = mc.gets("pl-c")
	is_((value, mc.cas("pl-c", "mine", cas)), ("theirs", True), t("cas with the new unique"))
	is_(other.get("pl-c"), "mine", t("another connection sees it"))
	long = "pl-" + "k" * 247
	ok(mc.set(long, NASTY), t("a key of 250, a nasty value"))
	is_(other.get(long), NASTY, t("comes back"))
	ok(mc.set("pl-big", BIG), t("a million bytes"))
	ok(other.get("pl-big") == BIG, t("come back"))
	raises(pylibmc.Error, lambda: mc.set("pl-big", TOO_BIG), t("more than a mebibyte is refused"))
	mc.disconnect_all()
	is_(other.get("pl-big"), None, t("and the old value is gone with it"))
	values = {"pl-m%d" % i: "value of %d" % i for i in range(0, 100, 2)}
	keys = ["pl-m%d" % i for i in range(100)]
	is_(mc.set_multi(values), [], t("a set of 50"))
	is_(other.get_multi(keys), values, t("a get of 100 finds the 50"))
	mc.delete_multi(list(values)[:25])
	is_(len(other.get_multi(keys)), 25, t("a delete of 25"))
	mc.set("pl-e1", b"x", time=1)
	mc.set("pl-e2", b"x", time=1)
	ok(mc.touch("pl-e2", 1000), t("touch"))
	ok(gone(lambda: other.get("pl-e1")), t("what was set for a second goes"))
	is_(other.get("pl-e2"), b"x", t("what was touched for longer stays"))
	ok(b"pid" in b" ".join(k if isinstance(k, bytes) else k.encode() for k in mc.get_stats()[0][1]), t("stats"))
	fast = pylibmc.Client(["127.0.0.1:%d" % kv.port], behaviors={"no_block": True, "_noreply": True, "buffer_requests": True})
	for i in range(1000):
		fast.set("pl-q%d" % (i % 100), i)
	is_(fast.get_multi(["pl-q%d" % i for i in range(100)]), {"pl-q%d" % i: 900 + i for i in range(100)},
	    t("1000 sets, buffered and without reply, the last ones win"))
	ok(mc.flush_all(), t("flush_all"))
	is_(other.get("pl-a"), None, t("all is gone"))
	for client in mc, other, fast:
		client.disconnect_all()


# ---------------------------------------------------------------- programs

def tool(name):
	"""libmemcached's tools are memcat, memcp, ..., but memccat, memccp, ... in Debian."""
	return shutil.which("memc" + name) or shutil.which("mem" + name) or "mem" + name


def run(*argv):
	done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * patience)
	return done.returncode, done.stdout


def tools_day(kv, mode):
	def t(what):
		return "%s, tools: %s" % (mode, what)

	servers = "--servers=127.0.0.1:%d" % kv.port
	path = os.path.join(tmpdir(), "tools-a")
	with open(path, "wb") as f:
		f.write(NASTY)
	big = os.path.join(tmpdir(), "tools-big")
	with open(big, "wb") as f:
		f.write(BIG)
	is_(run(tool("ping"), servers), (0, b""), t("memping"))
	is_(run(tool("cp"), servers, path, big), (0, b""), t("memcp of two files"))
	is_(run(tool("cat"), servers, "tools-a"), (0, NASTY + b"\n"), t("memcat"))
	ok(run(tool("cat"), servers, "tools-big") == (0, BIG + b"\n"), t("memcat of a million bytes"))
	is_(run(tool("exist"), servers, "tools-a")[0], 0, t("memexist"))
	ok(run(tool("exist"), servers, "tools-none")[0] != 0, t("memexist of nothing"))
	is_(run(tool("touch"), servers, "--expire=1000", "tools-a")[0], 0, t("memtouch"))
	ok(run(tool("touch"), servers, "--expire=1000", "tools-none")[0] != 0, t("memtouch of nothing"))
	is_(run(tool("rm"), servers, "tools-a")[0], 0, t("memrm"))
	ok(run(tool("cat"), servers, "tools-a")[0] != 0, t("memcat of what is gone"))
	status, text = run(tool("stat"), servers)
	is_(status, 0, t("memstat"))
	for key in b"pid", b"uptime", b"curr_connections", b"cmd_get", b"limit_maxbytes", b"threads":
		like(text, rb"\b" + key + rb": \d+", t("memstat shows " + key.decode()))
	is_(run(tool("flush"), servers), (0, b""), t("memflush"))
	ok(run(tool("cat"), servers, "tools-big")[0] != 0, t("and all is gone"))


def memcapable(kv, mode):
	status, text = run(tool("capable"), "-h", "127.0.0.1", "-p", str(kv.port), "-a")
	ok(status == 0 and b"All tests passed" in text, "%s: memcapable -a passes" % mode)
	is_(re.findall(rb"(.*?)\s*\[(?!pass)\w+\]", text), [], "%s: no test of memcapable's fails" % mode)
	ok(text.count(b"[pass]") >= 27, "%s: it ran all its tests" % mode)


def memcached_tool(kv, mode):
	def t(what):
		return "%s, memcached-tool: %s" % (mode, what)

	script = "/usr/share/memcached/scripts/memcached-tool"
	addr = "127.0.0.1:%d" % kv.port
	with kv.client() as c:
		for i in range(50):
			c.send(b"set mt-%d %d 0 %d\r\n%s\r\n" % (i, i, 100 + i, b"v" * (100 + i)))
			c.line()
		c.send(b"set mt-hurts 1 1000 %d\r\n%s\r\n" % (len(NASTY), NASTY))
		c.line()
		c.send(b"get" + b"".join(b" mt-%d" % i for i in range(50)) + b"\r\n")
		c.recv_until(b"END\r\n")
	status, text = run(script, addr, "display")
	is_(status, 0, t("display"))
	like(text, rb"Item_Size\s+Max_age\s+Pages\s+Count", t("display has its head line"))
	status, text = run(script, addr, "stats")
	is_(status, 0, t("stats"))
	like(text, rb"cmd_set\s+\d+", t("stats shows cmd_set"))
	status, text = run(script, addr, "settings")
	is_(status, 0, t("settings"))
	like(text, rb"maxbytes\s+\d+", t("settings shows maxbytes"))
	like(text, rb"item_size_max\s+1048576", t("settings shows item_size_max"))
	status, text = run(script, addr, "sizes")
	is_(status, 0, t("sizes"))
	done = subprocess.run([script, addr, "dump"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
	    timeout=60 * patience)
	is_(done.returncode, 0, t("dump"))
	if mode == "local":
		for i in 0, 49:
			like(done.stdout, rb"add mt-%d %d \d+ %d\r\nv{%d}\r\n" % (i, i, 100 + i, 100 + i), t("dump has mt-%d" % i))
		ok(NASTY in done.stdout, t("dump has the nasty value"))
		status, text = run(script, addr, "display")
		ok(sum(int(row[4]) for row in (line.split() for line in text.splitlines()[1:]) if row) >= 51,
		    t("display counts the items"))
		status, text = run(script, addr, "keys")
		like(text, rb"key=mt-49 exp=-1 ", t("keys"))


# ---------------------------------------------------------------- pipelines

def pipelines(kv, mode):
	"""What a client sends without waiting is done in its order, local copies or not."""
	send, want = [], []

	def add(request, reply=b""):
		send.append(request)
		want.append(reply)

	def get(key, value):
		add(b"get %s\r\n" % key, b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value) if value is not None else b"END\r\n")

	for i in range(200):
		key, value = b"pp-%d" % (i % 7), b"%d" % (1000 + i)
		add(b"set %s 0 0 4 noreply\r\n%s\r\n" % (key, value))
		get(key, value)
		get(key, value)
		add(b"append %s 0 0 1 noreply\r\n0\r\n" % key)
		get(key, value + b"0")
		add(b"incr %s 1 noreply\r\n" % key)
		get(key, value + b"1")
		add(b"decr %s 1\r\n" % key, value + b"0\r\n")
		add(b"touch %s 1000 noreply\r\n" % key)
		get(key, value + b"0")
		add(b"add %s 0 0 1 noreply\r\nx\r\n" % key)
		add(b"replace %s 0 0 3\r\nnew\r\n" % key, b"STORED\r\n")
		get(key, b"new")
		if i % 3 == 0:
			add(b"delete %s noreply\r\n" % key)
			get(key, None)
	with kv.client() as c:
		c.send_and_read(b"".join(send))
		got = c.recv(len(b"".join(want)))
		is_(got, b"".join(want), "%s: a pipeline of %d commands, every get sees the write before it" % (mode, len(send)))
		wrong = 0
		for i in range(50):
			wrong += c.call(b"set pp 0 0 3\r\nold\r\n") != b"STORED\r\n"
			wrong += c.call(b"get pp\r\n", b"END\r\n") != b"VALUE pp 0 3\r\nold\r\nEND\r\n"
			wrong += c.call(b"set pp 0 0 3 noreply\r\nnew\r\nget pp\r\n", b"END\r\n") != b"VALUE pp 0 3\r\nnew\r\nEND\r\n"
			wrong += c.call(b"delete pp noreply\r\nget pp\r\n", b"END\r\n") != b"END\r\n"
		is_(wrong, 0, "%s: nor does a get see what was there before the write ahead of it" % mode)


day = compile_c("libmemcached-day", "-lmemcached")
for mode, kv in all_modes(["-t", "2"]):
	pymemcache_day(kv, mode)
	pylibmc_day(kv, mode)
	adopt(mode + ", Cache::Memcached::Fast", ["perl", os.path.join(clients_dir, "perl-day.pl"), "127.0.0.1:%d" % kv.port])
	if day:
		adopt(mode + ", libmemcached", [day, "127.0.0.1", str(kv.port)])
	pipelines(kv, mode)
	tools_day(kv, mode)
	memcached_tool(kv, mode)
	memcapable(kv, mode)
done_testing()
