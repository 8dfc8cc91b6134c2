#!/usr/bin/python3
"""
Records behind real stores: pages cut by bytes, continued over restarts, reloads and other kvgates, with writers beside
them; scans in parts; writes of several records that fail in part. What a page has to hold is worked out here.
"""
import contextlib, os, random, re, signal, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from between import Between
from modes import one_cluster
from redises import *

END = re.compile(rb"(?:^|\n)(?:EN|CLIENT_ERROR|SERVER_ERROR|ERROR)[^\n]*\r\n")
CONF = """%s
namespace "default" { prefix = ""  primary { store = "s" %s } }
namespace "n" { prefix = "n:"  item_separator = "/"  primary { store = "s" %s }  %s }
"""


def conf(store, more=""):
	form = "" if "rocksdb" in store else "format = item"
	return CONF % (store, form, form, more)


def page(c, question, n=b""):
	"""One page: [(id, key, value or None)], its end's token and reason, and how long its items' lines and data are."""
	c.send(question + n + b"\r\n")
	items, size = [], 0
	while True:
		line = c.line()
		words = line.split()
		if words[0] not in (b"VA", b"HD"):
			break
		flags = {w[:1]: w[1:] for w in words[2 if words[0] == b"VA" else 1:]}
		value = c.recv(int(words[1]) + 2)[:-2] if words[0] == b"VA" else None
		items.append((flags.get(b"i"), flags.get(b"k"), value))
		size += len(line) + (len(value) + 2 if value is not None else 0)
	if words[0] != b"EN":
		raise RuntimeError("%r: %r" % (question, line))
	flags = {w[:1]: w[1:] for w in words[1:]}
	return items, flags.get(b"N"), flags.get(b"W"), size


def pages(c, question):
	n = b""
	while n is not None:
		items, n, why, size = page(c, question, n)
		yield items, why, size
		n = b" N" + n if n is not None else None


def line_of(key, value):
	return len(b"VA %d k%s\r\n%s\r\n" % (len(value), key, value))


def cut(items, room):
	"""The pages that the items come in, by the rules of page_bytes."""
	out, used = [[]], 0
	for key, value in items:
		n = line_of(key, value)
		if out[-1] and used + n > room:
			out.append([])
			used = 0
		out[-1].append((key, value))
		used += n
	return out


def put(c, id_, items):
	for i in range(0, len(items), 500):
		part = items[i:i + 500]
		c.send(b"kp %s %d\r\n" % (id_, len(part)) + b"".join(b"%s %d\r\n%s\r\n" % (k, len(v), v) for k, v in part))
		if c.line() != b"HD\r\n":
			raise RuntimeError("kp failed")


def check_words(kv, c):
	c.ask(b"kp n:w 3\r\nb 1 F7\r\n2\r\na 1\r\n1\r\n 0\r\n\r\n", b"HD\r\n", "three items")
	c.ask(b"kg n:w\r\n", b"VA 0 k\r\n\r\nVA 1 ka\r\n1\r\nVA 1 kb\r\n2\r\nEN\r\n", "in order")
	c.ask(b"kg n:w r k f\r\n", b"HD kb f7\r\nHD ka f0\r\nHD k f0\r\nEN\r\n", "backwards")
	c.ask(b"kg n:w Kb Kz K Kb v\r\n", b"VA 1\r\n2\r\nVA 0\r\n\r\nVA 1\r\n2\r\nEN\r\n", "as listed")
	c.ask(b"kg n:w Ga Ub k\r\nkg n:w Hb k\r\nkg n:w Gb Ub k\r\n", b"HD ka\r\nEN\r\nHD kb\r\nEN\r\nEN\r\n", "by range and head")
	c.ask(b"get n:w/a n:w n:w/z\r\n", b"VALUE n:w/a 0 1\r\n1\r\nVALUE n:w 0 0\r\n\r\nEND\r\n", "classic commands see them")
	c.ask(b"set n:w/c 0 0 1\r\n3\r\nkg n:w Gc\r\n", b"STORED\r\nVA 1 kc\r\n3\r\nEN\r\n", "and the other way round")
	c.ask(b"get n:w/c\r\nkd n:w Kc\r\nget n:w/c\r\n", b"VALUE n:w/c 0 1\r\n3\r\nEND\r\nHD\r\nEND\r\n", "no copy outlives a kd")
	c.ask(b"get n:w/a n:w/b\r\nkd n:w Gb\r\nget n:w/b n:w/a\r\n", b"VALUE n:w/a 0 1\r\n1\r\nVALUE n:w/b 7 1\r\n2\r\nEND\r\nHD\r\n"
	    b"VALUE n:w/a 0 1\r\n1\r\nEND\r\n", "nor one of a range")
	c.ask(b"kd n:w\r\nkg n:w\r\nget n:w/a\r\n", b"HD\r\nEN\r\nEND\r\n", "nor one of the record")
	c.ask(b"kp n:w 1\r\na 1\r\n9\r\nkg n:w\r\n", b"HD\r\nVA 1 ka\r\n9\r\nEN\r\n", "which may come back")
	c.ask(b"kp flat 1\r\n 1\r\n9\r\nget flat\r\nkg flat v\r\nkd flat\r\nget flat\r\n", b"HD\r\nVALUE flat 0 1\r\n9\r\nEND\r\n"
	    b"VA 1\r\n9\r\nEN\r\nHD\r\nEND\r\n", "a flat namespace has records of one item")
	c.ask(b"km 3\r\nkp n:x 1\r\na 1\r\n1\r\nkd n:w\r\nkp n:w 1\r\nb 1\r\n2\r\nkg n:w\r\nkg n:x\r\n", b"HD\r\nVA 1 kb\r\n2\r\nEN\r\n"
	    b"VA 1 ka\r\n1\r\nEN\r\n", "later sub-commands win")


def check_errors(kv, c, atomic):
	long = b"x" * 1025
	c.ask(b"kg n:w/a\r\nkg n:w Ka Gb\r\nkg n:w Gb Ua\r\nkg n:w N\r\nkg n:w Lnope/\r\nks nope\r\nkg n:w k\r\n",
	    b"CLIENT_ERROR separator in id\r\nCLIENT_ERROR bad predicate\r\nCLIENT_ERROR reversed range\r\n"
	    b"CLIENT_ERROR bad page token\r\nCLIENT_ERROR unknown namespace\r\nCLIENT_ERROR unknown namespace\r\n"
	    b"HD kb\r\nEN\r\n", "bad reads leave the pipeline in step")
	c.ask(b"kp n:w/a 1\r\na 1\r\n1\r\nkp flat 1\r\na 1\r\n1\r\nkp n:w 1 E5\r\na 1\r\n1\r\nkp n:w 1\r\n%s 1\r\n1\r\n"
	    b"km 2\r\nkp n:w 1\r\na 1\r\n1\r\nkd n:w Lnope/\r\nkg n:w k\r\n" % long,
	    b"CLIENT_ERROR separator in id\r\nCLIENT_ERROR namespace default is flat\r\nCLIENT_ERROR token drift\r\n"
	    b"CLIENT_ERROR item key longer than 1024 bytes\r\nCLIENT_ERROR unknown namespace\r\nHD kb\r\nEN\r\n",
	    "bad writes, too, and write nothing")
	two = b"km 2 a\r\nkp n:y 1\r\na 1\r\n1\r\nkd n:w\r\nkg n:y k\r\nkg n:w k\r\n"
	if atomic:
		c.ask(two, b"HD\r\nHD ka\r\nEN\r\nEN\r\n", "all or none of a km")
	else:
		c.ask(two, b"CLIENT_ERROR atomic across records is not supported by store s\r\nEN\r\nHD kb\r\nEN\r\n", "no km a here")


def check_pages(kv, c):
	rnd = random.Random(5)
	items = sorted((b"k%05d" % rnd.randrange(10 ** 5), rnd.randbytes(int(rnd.paretovariate(0.8)) % 3000)) for _ in range(400))
	items = sorted(dict(items).items())
	put(c, b"n:p", rnd.sample(items, len(items)))
	for room in (1, 500, 4096, 60000):
		for flag, want in ((b"", items), (b" r", items[::-1]), (b" Gk2 Uk7", [i for i in items if b"k2" <= i[0] < b"k7"])):
			got = [p for p, _, _ in pages(c, b"kg n:p k v B%d" % room + flag)]
			want = cut(want, room)
			if [[i[1:] for i in p] for p in got] != want:
				ok(False, "B%d%s: pages of %s, not %s" % (room, flag.decode(), list(map(len, got))[:20], list(map(len, want))[:20]))
	ok(True, "every page holds what fits, and no more")
	got = list(pages(c, b"kg n:p k M123 B1000"))
	ok(sum(len(p) for p, _, _ in got) == 123 and got[-1][1] == b"limit" and {w for _, w, _ in got[:-1]} == {b"size"}, "M counts over pages")
	small = [k for k, v in items if len(v) <= 100]
	got = [i for p, _, _ in pages(c, b"kg n:p k v X100 B5000") for i in p]
	ok([k for _, k, _ in got] == [k for k, _ in items] and [k for _, k, v in got if v is not None] == small, "X leaves large values out")
	got = [i for p, _, _ in pages(c, b"kg n:p k v s X0") for i in p]
	ok([k for _, k, _ in got] == [k for k, _ in items] and {v for _, _, v in got} <= {None, b""}, "X0 leaves all out but empty ones")
	keys = [rnd.choice(items)[0] if rnd.random() < 0.8 else b"nope" for _ in range(200)]
	got = [i[1:] for p, _, _ in pages(c, b"kg n:p k v B700 K" + b" K".join(keys)) for i in p]
	ok(got == [(k, dict(items)[k]) for k in keys if k != b"nope"], "a list comes in pages, too")
	return items


def check_writers(kv, c, items):
	"""Others write and delete between, before and behind the items that stay."""
	over, wrote = threading.Event(), [0]

	def write():
		rnd = random.Random(6)
		with kv.client() as d:
			while not over.is_set():
				at = rnd.choice(items)[0]
				d.send(b"kp n:p 2 q\r\n%s+ 3\r\nnew\r\n%s++ 3\r\nnew\r\nkd n:p K%s+ q\r\nkd n:p G%s++ U%s+++ q\r\nkp n:p 1 q\r\n%s 4\r\nmore\r\n" %
				    (at, at, at, at, at, at))
				wrote[0] += d.sync() == b""
	threads = [threading.Thread(target=write) for _ in range(2)]
	for t in threads:
		t.start()
	bad = 0
	for walk in range(4):
		# Each walk is to meet writes.
		before = wrote[0]
		wait_for(lambda: wrote[0] > before, what="writes beside a walk")
		seen = [k for p, _, _ in pages(c, b"kg n:p k v B3000" + (b" r" if walk % 2 else b"")) for _, k, _ in p]
		stays = [k for k in seen if not k.endswith(b"+")]
		bad += stays != [k for k, _ in (items if walk % 2 == 0 else items[::-1])] or len(seen) != len(set(seen))
	over.set()
	for t in threads:
		t.join()
	is_(bad, 0, "what stays comes once, whatever is written beside a walk")


def check_scans(kv, c):
	want = {}
	for i in range(150):
		id_ = b"n:s%d" % i
		want[id_] = [(b"%02d" % k, b"v" * (i % 50)) for k in range(i % 4 + 1)]
		c.send(b"kp %s %d q\r\n" % (id_, len(want[id_])) + b"".join(b"%s %d\r\n%s\r\n" % (k, len(v), v) for k, v in want[id_]))
	is_(c.sync(), b"", "150 records")
	for parts in (1, 3, 16):
		seen, torn = {}, 0
		for part in range(1, parts + 1):
			last = None
			for items, _, _ in pages(c, b"ks n S%d/%d B600" % (part, parts)):
				for id_, k, v in items:
					torn += id_ != last and id_ in seen
					seen.setdefault(id_, []).append((k, v))
					last = id_
		seen = {i: v for i, v in seen.items() if i.startswith(b"n:s")}
		ok(seen == want and not torn, "%d parts are disjoint and complete, records come in one piece" % parts)


def check_large(kv, c):
	"""Values in pieces, of which a client sees nothing."""
	rnd = random.Random(7)
	long = b"L" * 1024
	items = {b"%02d" % i: rnd.randbytes(rnd.randrange(2, 40)) * 1000 for i in range(12)}
	items[long] = rnd.randbytes(50000)
	items[b"text"] = b"the same again and again " * 4000
	put(c, b"n:l", list(items.items()))
	got = [i[1:] for p, _, _ in pages(c, b"kg n:l k v B100000") for i in p]
	is_(got == sorted(items.items()), True, "large values come as they went")
	got = [i[1:] for p, _, _ in pages(c, b"kg n:l k v r") for i in p]
	is_(got == sorted(items.items(), reverse=True), True, "backwards, too")
	small = [k for k, v in sorted(items.items()) if len(v) <= 9000]
	got = [k for p, _, _ in pages(c, b"kg n:l k v X9000") for _, k, v in p if v is not None]
	is_(got, small, "or not at all")
	c.ask(b"get n:l/05\r\n", b"VALUE n:l/05 0 %d\r\n%s\r\nEND\r\n" % (len(items[b"05"]), items[b"05"]), "to classic commands, too")
	c.ask(b"set n:l/05 0 0 20000\r\n%s\r\nkg n:l K05 v\r\n" % (b"5" * 20000), b"STORED\r\nVA 20000\r\n%s\r\nEN\r\n" % (b"5" * 20000),
	    "and what they set")
	c.ask(b"kp n:l 1\r\n05 9000\r\n%s\r\nkg n:l K05 v\r\n" % (b"6" * 9000), b"HD\r\nVA 9000\r\n%s\r\nEN\r\n" % (b"6" * 9000),
	    "a new one takes its place")
	c.ask(b"kp n:l 1\r\n05 3\r\nnew\r\nkg n:l K05 v\r\n", b"HD\r\nVA 3\r\nnew\r\nEN\r\n", "and a small one that of this")
	ahead = int(time.time() * 1e6) + 5000000
	c.ask(b"kp n:l 1 E%d\r\n06 9000\r\n%s\r\nkp n:l 1\r\n06 9001\r\n%s\r\nkg n:l K06 v\r\n" % (ahead, b"7" * 9000, b"8" * 9001),
	    b"HD\r\nHD\r\nVA 9001\r\n%s\r\nEN\r\n" % (b"8" * 9001), "also over a token of the near future")
	c.ask(b"kp n:l 1 E%d\r\n06 9000\r\n%s\r\nkg n:l K06 s\r\n" % (ahead - 9000000, b"9" * 9000), b"HD\r\nHD s9001\r\nEN\r\n", "an older one does not")
	c.ask(b"km 2\r\nkd n:l\r\nkp n:l 2\r\na 8000\r\n%s\r\nb 1\r\n1\r\nkg n:l k s\r\nget n:l/00\r\n" % (b"a" * 8000),
	    b"HD\r\nHD ka s8000\r\nHD kb s1\r\nEN\r\nEND\r\n", "a record is replaced by one with a large value")


def check_restarts(kv, c, others):
	"""A token goes on at kvgates that have never seen its beginning."""
	want = [k for p, _, _ in pages(c, b"kg n:p k B200") for _, k, _ in p]
	got, n = [], b""
	items, n, _, _ = page(c, b"kg n:p k B200", n)
	got += items
	kv.write_conf(kv.conf_text.replace("page_bytes = 1MB", "page_bytes = 64KB"))
	loads = int(stats(kv, "kvgate").get("reloads", 0))
	kv.send_signal(signal.SIGHUP)
	wait_for(lambda: b"SIG page_bytes 65536\r\n" in c.call(b"kh n\r\n", b"END\r\n"), what="the reload")
	items, n, _, _ = page(c, b"kg n:p k B200 N" + n)
	got += items
	c.close()
	kv.stop()
	kv.start(kv.argv)
	for other in [kv] + others:
		with other.client() as d:
			items, n, _, _ = page(d, b"kg n:p k B200 N" + n)
			got += items
	with kv.client() as d:
		while n is not None:
			items, n, _, _ = page(d, b"kg n:p k B200 N" + n)
			got += items
		ok([k for _, k, _ in got] == want, "a token is good after a reload, a restart, at another kvgate")
		items, n, _, _ = page(d, b"kg n:p k B200")
		at = len(n) // 2
		for bad in (n[:-1], n + b"A", n[:at] + (b"A" if n[at:at + 1] != b"A" else b"B") + n[at + 1:], b"x" * 2049):
			d.send(b"kg n:p k N%s\r\n" % bad)
			if not d.line().startswith(b"CLIENT_ERROR bad "):
				ok(False, "N%s is no token" % bad[:100])
		for q in (b"kg n:w k", b"kg n:p r k", b"kg n:p Ga k", b"kg n:p Kk k", b"ks n k"):
			d.ask(q + b" N%s\r\n" % n, b"CLIENT_ERROR bad page token\r\n", "a token is none of %s" % q.decode())


def check(kind, store, others=0):
	text = conf(store, "page_bytes = 1MB  chunk_size = 4KB")
	with contextlib.ExitStack() as stack:
		kv = stack.enter_context(Kvgate(["-t", "2"], conf=text))
		kv.conf_text = text
		c = stack.enter_context(kv.client())
		hello = c.call(b"kh n\r\n", re.compile(rb"(?:^|\n)(?:END|CLIENT_ERROR[^\n]*)\r\n"))
		diag(kind)
		check_words(kv, c)
		check_errors(kv, c, b"SIG atomic_across_records 1" in hello)
		items = check_pages(kv, c)
		check_writers(kv, c, items)
		check_scans(kv, c)
		check_large(kv, c)
		check_restarts(kv, c, [stack.enter_context(Kvgate(["-t", "1"], conf=text)) for _ in range(others)])


def check_partial():
	"""One of three servers is down: what is on the others is written, the rest is counted."""
	servers = [Redis() for _ in range(3)]
	store = 'store "s" { type = redis  servers = { %s }  timeout = %dms  connect_timeout = %dms }' % (
	    ", ".join('"127.0.0.1:%d"' % s.port for s in servers), 1000 * patience, 1000 * patience)
	with Kvgate(["-t", "1"], conf=conf(store)) as kv, kv.client() as c:
		many = b"km 60\r\n" + b"".join(b"kp n:%d 1\r\na 1\r\n1\r\n" % i for i in range(60))
		c.ask(many, b"HD\r\n", "sixty records on three servers")
		got = sorted(i for p, _, _ in pages(c, b"ks n i k B300") for i, _, _ in p)
		is_(got, sorted(b"n:%d" % i for i in range(60)), "a scan goes over all of them")
		c.ask(b"km 60\r\n" + b"".join(b"kd n:%d\r\n" % i for i in range(60)), b"HD\r\n", "and gone")
		servers[1].kill()
		answer = c.call(many)
		like(answer, rb"^SERVER_ERROR \d+ of 60 failed: 127\.0\.0\.1:%d " % servers[1].port, "one is down")
		failed = int(answer.split()[1])
		c.send(b"".join(b"kg n:%d v\r\n" % i for i in range(60)))
		got = [c.recv_until(END) for i in range(60)]
		ok(0 < failed < 60 and sum(g == b"VA 1\r\n1\r\nEN\r\n" for g in got) == 60 - failed and
		    sum(g.startswith(b"SERVER_ERROR ") for g in got) == failed, "%d failed, the others were written" % failed)
	for s in servers:
		s.kill()


def check_replicas():
	"""Each of two servers has everything; pages come from either."""
	servers = [Redis() for _ in range(2)]
	store = 'store "s" { type = redis  servers = { %s }  replicas = 2  write_quorum = 2  timeout = %dms }' % (
	    ", ".join('"127.0.0.1:%d"' % s.port for s in servers), 1000 * patience)
	with Kvgate(["-t", "1"], conf=conf(store)) as kv, kv.client() as c:
		items = [(b"%03d" % i, b"v" * 20) for i in range(100)]
		put(c, b"n:r", items)
		c.ask(b"kd n:r G050\r\nkd n:r K000\r\nkm 2\r\nkp n:q 1\r\na 1\r\n1\r\nkd n:r K001\r\n", b"HD\r\n" * 3, "writes go to both")
		got = sorted((i, k) for p, _, _ in pages(c, b"ks n i k B300") for i, k, _ in p)
		is_(got, [(b"n:q", b"a")] + [(b"n:r", k) for k, _ in items[2:50]], "a scan tells of each item once")
		servers[0].kill()
		got = [i[1:] for p, _, _ in pages(c, b"kg n:r k v B300") for i in p]
		is_(got, items[2:50], "pages without one of them")
		c.ask(b"kg n:q v\r\n", b"VA 1\r\n1\r\nEN\r\n", "what else there was, too")
	for s in servers:
		s.kill()


def check_hedged():
	"""One of two replicas does not answer: pages come from the other one, by hedges or at once; late ones are nobody's."""
	with Redis() as r1, Redis() as r2, Between(r1) as a, Between(r2) as b:
		store = 'store "s" { type = redis  servers = { "127.0.0.1:%d", "127.0.0.1:%d" }  replicas = 2  write_quorum = 2  timeout = %dms }' % (
		    a.port, b.port, 20000 * patience)
		with Kvgate(["-t", "1"], conf=conf(store, "slo_read { target = 2ms  max = %ds }" % (15 * patience))) as kv, kv.client() as c:
			ids = [b"n:h%d" % i for i in range(12)]
			items = [(b"%03d" % i, b"v" * 20) for i in range(40)]
			for i in ids:
				put(c, i, items)
			for fault in ("none", "stall", "none"):
				a.fault(fault)
				got = [[i[1:] for p, _, _ in pages(c, i + b" k v B300") for i in p] for i in [b"kg " + i for i in ids]]
				ok(got == [items] * len(ids), "pages, the faults being: %s" % fault)
			is_(c.sync(), b"", "nothing else comes")


if __name__ == "__main__":
	check("rocksdb", 'store "s" { type = rocksdb  path = "%s"  durability = none }' % os.path.join(tmpdir(), "db"))
	with Redis() as r:
		check("redis", 'store "s" { type = redis  servers = { "127.0.0.1:%d" } }' % r.port, 1)
	check("cluster", 'store "s" { type = redis-cluster  servers = { %s } }' % one_cluster().server, 1)
	check_partial()
	check_replicas()
	check_hedged()
	done_testing()
