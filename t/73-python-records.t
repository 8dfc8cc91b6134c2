#!/usr/bin/python3
"""
The Python client before real kvgates, with each kind of store that has records: what goes in comes out, in pages, ranges,
parts, over a restart and a reload; what its README shows is so.
"""
import os, re, signal, sys, textwrap
from itertools import groupby
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from records import *
from kvgate import Delete, Put, Range, Token, Write

USERS = "page_bytes = 8KB  item_size_max = 4MB  compression { codec = zstd  min_size = 100 }  slo_read { target = 50ms }"


def keys(items):
	return [item.key for item in items]


def fails(kind, what, name):
	try:
		what()
	except Exception as e:
		if not ok(type(e) is kind, name):
			diag(repr(e))
		return e
	ok(False, name)
	return None


def items(users):
	"""What an item is made of."""
	strange = [b"", b" ", b"a b", b"new\r\nline", b"\0", b"\xff\xfe", "\u00e4\u00f6".encode(), b"x" * 1024, b"a/b/c"]
	version = users.put("user:i", {key: b"<" + key[:20] + b">" for key in strange})
	found = list(users.get("user:i"))
	is_(keys(found), sorted(strange), "all kinds of keys, in order")
	is_([i.value for i in found], [b"<" + key[:20] + b">" for key in sorted(strange)], "with their values")
	is_({i.version for i in found}, {version}, "and the version that put told")
	is_(keys(users.get("user:i", [b"\0", "", b"none", b"\0"])), [b"\0", b"", b"\0"], "by keys, in the order asked")
	users.put_item(b"user:\x01\x02", b"k", b"v", ttl=1000, flags=0xffffffff)
	item = users.get_item(b"user:\x01\x02", "k")
	is_((item.value, item.flags, 900 <= item.ttl <= 1000), (b"v", 0xffffffff, True), "an id in binary; flags; seconds to live")
	is_(users.get_item("user:i").ttl, None, "or none")
	users.put("user:i", [Write("gone", b"", ttl=-1)])
	is_((users.get_item("user:i", "gone"), users.get_item("user:none")), (None, None), "what has expired, or never was")
	empty = users.get_item("user:i", b"") and users.put_item("user:i", "empty", b"") and users.get_item("user:i", "empty")
	is_((empty.value, empty.size), (b"", 0), "an empty value")


def pages(users):
	number = 3000
	users.put("user:p", {"%06d" % n: b"%d" % n * (n % 50) for n in range(number)})
	found = list(users.get("user:p"))
	is_([(i.key, i.value) for i in found], [(b"%06d" % n, b"%d" % n * (n % 50)) for n in range(number)], "a record in pages")
	page = users.get_page("user:p")
	is_((page.token is not None, page.reason, 10 < len(page.items) < number), (True, "size", True), "of page_bytes")
	is_(users.get_page("user:p", token=page.token).items[0].key, b"%06d" % len(page.items), "which a token continues")
	fails(kvgate.BadPageToken, lambda: users.get_page("user:q", token=page.token), "but not of another record")
	fails(kvgate.BadPageToken, lambda: users.get_page("user:p", token="x"), "nor one that is none")
	is_(keys(users.get("user:p", reverse=True)), keys(reversed(found)), "last key first")
	is_(keys(users.get("user:p", limit=1234)), keys(found[:1234]), "a limit over pages")
	is_(keys(users.get("user:p", reverse=True, limit=7, end="001000")), keys(found[999:992:-1]), "back from a bound")
	is_(keys(users.get("user:p", start="000100", end="000200")), keys(found[100:200]), "a range")
	is_(keys(users.get("user:p", head="0020")), keys(found[2000:2100]), "a head")
	is_(keys(users.get("user:p", head="0020", start="002050")), keys(found[2050:2100]), "both")
	is_(list(users.get("user:p", start="9")), [], "an empty range")
	some = ["%06d" % (n * 7 % 4000) for n in range(2500)]
	is_(keys(users.get("user:p", some)), [k.encode() for k in some if int(k) < number], "2500 keys")
	is_(keys(users.get("user:p", some, limit=1500)), [k.encode() for k in some if int(k) < number][:1500], "up to a limit")
	is_([i.value for i in users.get("user:p", limit=3, values=False)], [None] * 3, "without values")
	sizes = [(i.value, i.size) for i in users.get("user:p", ["000002", "000049"], value_max=4)]
	is_(sizes, [(b"22", 2), (None, 98)], "without large ones")
	is_(keys(users.get("user:p", page_bytes=1, limit=3)), keys(found[:3]), "an item that is larger than a page goes alone")


def deletes(users):
	users.put("user:d", {b"%03d" % n: b"" for n in range(100)})
	users.delete("user:d", ["000", "002", "nothing"])
	is_(keys(users.get("user:d", end="004")), [b"001", b"003"], "items")
	users.delete_range("user:d", start="010", end="090")
	is_(len(list(users.get("user:d"))), 18, "a range")
	users.delete_range("user:d", head="09")
	is_(keys(users.get("user:d", start="005")), [b"005", b"006", b"007", b"008", b"009"], "a head")
	users.delete_record("user:d")
	is_(list(users.get("user:d")), [], "the record")
	users.put_item("user:d", "back", b"1")
	is_(keys(users.get("user:d")), [b"back"], "which may come back")
	users.delete("user:never", ["a"])
	users.delete_record("user:never")
	ok(True, "nothing deleted is no error")


def mutations(users):
	users.put("user:m1", {"old": b"1"})
	users.mutate([Delete("user:m1", Range()), Put("user:m1", {"new": b"2"}), Put("user:m2", {b"\0": b"3", "c": b"4"}),
	    Delete("user:m2", ["c"]), Delete(b"user:\xff", Range(head=b"\t"))])
	is_((keys(users.get("user:m1")), keys(users.get("user:m2"))), ([b"new"], [b"\0"]), "the last change of an item wins")
	both = [Put("user:m3", {"a": b"1"}), Put("user:m4", {"a": b"1"})]
	if users.signals.atomic_across_records:
		users.mutate(both, atomic=True)
		is_((keys(users.get("user:m3")), keys(users.get("user:m4"))), ([b"a"], [b"a"]), "all of them")
	else:
		fails(kvgate.AtomicUnsupported, lambda: users.mutate(both, atomic=True), "all or none, where the store cannot")
		is_(list(users.get("user:m3")), [], "nothing is written then")
	bad = both + [Put("user:a/b", {"a": b"1"})]
	users.delete_record("user:m4")
	fails(kvgate.ClientError, lambda: users.mutate(bad), "one that is wrong")
	is_(list(users.get("user:m4")), [], "spoils them all")


def tokens(users):
	first = Token.new()
	is_(users.put("user:t", {"a": b"1"}, token=first), first.time, "a token's time is the version")
	users.put("user:t", {"a": b"2"}, token=first)
	is_(users.get_item("user:t", "a").value, b"1", "the same token again changes nothing")
	later, latest = Token.new(), Token.new()
	users.put("user:t", {"a": b"3"}, token=latest)
	users.put("user:t", {"a": b"late", "b": b"late"}, token=later)
	is_([i.value for i in users.get("user:t")], [b"3", b"late"], "the later token wins, item by item")
	users.delete_record("user:t", token=later)
	is_([i.value for i in users.get("user:t")][:1], [b"3"], "over a delete, too")
	wild = Token(first.time + 3600 * 1000000, 1)
	error = fails(kvgate.TokenDrift, lambda: users.put("user:t", {"a": b"x"}, token=wild), "a token of the future")
	is_(error.token, wild, "is told")
	fails(kvgate.TokenDrift, lambda: users.delete_record("user:t", token=Token(1, 1)), "and one of long ago")


def compression(kv, users):
	text = b'{"name": "Ada", "born": 1815}' * 2000
	is_(users.signals.codecs, ("zstd",), "a codec is offered")
	users.put("user:z", {"text": text, "noise": os.urandom(5000), "short": b"x"})
	is_(users.get_item("user:z", "text").value, text, "compressed here")
	with kv.client() as raw:
		raw.ask(b"get user:z/text\r\n", b"VALUE user:z/text 0 %d\r\n%s\r\nEND\r\n" % (len(text), text), "plain to others")
		raw.ask(b"set user:z/there 0 0 %d\r\n%s\r\n" % (len(text), text), b"STORED\r\n")
	is_([(len(i.value), i.size) for i in users.get("user:z")], [(5000, 5000), (1, 1), (len(text),) * 2, (len(text),) * 2],
	    "compressed there")
	with client(kv, compress=False) as plain:
		plain.namespace("users").put("user:z", {"plain": text})
	is_(users.get_item("user:z", "plain").value, text, "sent plain")
	large = os.urandom(1 << 20) * 3
	users.put_item("user:z", "large", large)
	is_(users.get_item("user:z", "large").value, large, "three megabytes")
	fails(kvgate.TooLarge, lambda: users.put_item("user:z", "large", os.urandom(5 << 20)), "more than item_size_max")


def scans(users):
	ids = [b"user:s%d" % n for n in range(200)]
	for n, id in enumerate(ids):
		users.put(id, {b"%d" % k: b"v" * 50 for k in range(n % 12 + 1)})
	found = [[f for f in users.scan(part, 7) if f.id.startswith(b"user:s")] for part in range(1, 8)]
	want = {(id, b"%d" % k) for n, id in enumerate(ids) for k in range(n % 12 + 1)}
	every = [(f.id, f.item.key) for part in found for f in part]
	is_((len(every), set(every)), (len(want), want), "seven parts have each item once")
	is_([len({f.id for f in part}) for part in found], [len(list(groupby(part, key=lambda f: f.id))) for part in found],
	    "a record in one piece")
	whole = [(f.id, f.item.key, f.item.value) for f in users.scan() if f.id.startswith(b"user:s")]
	is_({(i, k) for i, k, _ in whole}, want, "all in one part")
	ok(all(v == b"v" * 50 for _, _, v in whole), "with values")
	is_(len(list(users.scan(limit=10, values=False))), 10, "up to a limit")
	ok(all(f.id.startswith(b"user:") for f in users.scan()), "of its namespace alone")


def others(kv, c, users):
	with kv.client() as raw:
		users.put("user:o", {"": b"whole", "name": b"Ada"})
		raw.ask(b"get user:o user:o/name\r\n", b"VALUE user:o 0 5\r\nwhole\r\nVALUE user:o/name 0 3\r\nAda\r\nEND\r\n",
		    "items are keys of memcached's commands")
		raw.ask(b"set user:o/mail 0 0 1\r\nx\r\n", b"STORED\r\n")
		is_(users.get_item("user:o", "mail").value, b"x", "and the other way round")
		raw.ask(b"incr user:o/n 1\r\n", b"NOT_FOUND\r\n")
	flat = c.namespace("flat")
	flat.put_item("flat:a/b", "", b"1")
	is_((flat.get_item("flat:a/b").value, flat.signals.item_separator), (b"1", ""), "a flat namespace")
	fails(kvgate.ClientError, lambda: flat.put_item("flat:a", "k", b"1"), "which has no items")
	fails(kvgate.UnknownNamespace, lambda: c.namespace("nowhere").get_item("a"), "a namespace that is none")
	default = c.namespace()
	default.put_item("k", "", b"1")
	is_((default.get_item("k").value, default.signals.namespace), (b"1", "default"), "the default one")
	fails(kvgate.ClientError, lambda: users.put_item("user:a/b", "c", b""), "a separator in an id")
	fails(kvgate.ClientError, lambda: users.put_item("user:a", b"x" * 1025, b""), "a key that is too long")
	fails(kvgate.ClientError, lambda: list(users.get("user:a", start="b", end="a")), "a range the wrong way round")


def reload(kv, users):
	"""Limits that a reload changes are seen by who goes on using the namespace."""
	with client(kv, handshake_interval=0) as c:
		users = c.namespace("users")
		is_(users.signals.page_bytes, 8192, "a page's bytes")
		with open(kv.conf_path) as f:
			kv.write_conf(f.read().replace("page_bytes = 8KB", "page_bytes = 4KB"))
		kv.send_signal(signal.SIGHUP)

		def changed():
			users.get_item("user:i")
			return users.signals.page_bytes == 4096
		wait_for(changed, 20, "the new page_bytes")
		ok(True, "change with a reload")


def restart(kv, users):
	"""The same connections and a page token, over the end of the server."""
	page = users.get_page("user:p")
	kv.kill()
	kv.start(kv.argv)
	is_(keys(users.get("user:p"))[len(page.items):][:1], keys(users.get_page("user:p", token=page.token).items)[:1],
	    "after a restart all is there, and tokens are good")


def readme(kv):
	"""Each line of README.md that says what it gives gives that; the others work."""
	with open(os.path.join(top_srcdir, "contrib", "python", "README.md")) as f:
		blocks = re.findall(r"^```python\n(.*?)^```", f.read(), re.M | re.S)
	names = {"is_": is_}
	for block in blocks:
		code = block.replace("127.0.0.1:11211", "%s:%d" % kv.addr)
		code = re.sub(r"^(\S.*\S)\s+# (b\".*|\[b\".*)$", r"is_(\1, \2, 'README.md: gives what it says')", code, flags=re.M)
		try:
			exec(code, names)
			ok(True, "README.md: " + code.splitlines()[0])
		except Exception as e:
			ok(False, "README.md: " + code.splitlines()[0])
			diag(repr(e))
	names["client"].close()
	example = textwrap.dedent(re.search(r"\n( {4}with .*?)\n\n\S", kvgate.client.__doc__, re.S)[1])
	shown = []
	exec(example.replace("127.0.0.1:11211", "%s:%d" % kv.addr), {"kvgate": kvgate, "print": lambda *what: shown.append(what)})
	ok((b"name", b"Ada") in shown, "client.py's example")


for mode, kv in record_modes(USERS):
	diag("mode " + mode)
	with client(kv) as c:
		users = c.namespace("users")
		for part in (items, pages, deletes, mutations, tokens, scans):
			part(users)
		compression(kv, users)
		others(kv, c, users)
		if mode == "rocksdb":
			restart(kv, users)
		reload(kv, users)
	readme(kv)
done_testing()
