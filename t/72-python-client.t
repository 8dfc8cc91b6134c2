#!/usr/bin/python3
"""
The Python client against servers that say what they are told to: answers cut anywhere, errors, connections that end in
the middle, answers that come late. t/73-python-records.t has it before real kvgates.
"""
import itertools, os, socket, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from scripted import *

import zstandard
import kvgate
from kvgate import answer, codec, request
from kvgate.connection import parse_address

PAGE = (b"VA 5 kname c7 f1 t-1\r\nA\r\n\xffb\r\nVA 0 k c8 f0 t60\r\n\r\nHD kbig c9 f0 t-1 s2000000\r\n"
    b"VA 1 kbmV3\tline c10 f0 t-1 b\r\nz\r\n".replace(b"bmV3\tline", b"bmV3CWxpbmU=") + b"EN Nabc= Wsize\r\n")
ITEMS = [(b"name", b"A\r\n\xffb", 5, 7, 1, None), (b"", b"", 0, 8, 0, 60), (b"big", None, 2000000, 9, 0, None),
    (b"new\tline", b"z", 1, 10, 0, None)]


# ---------------------------------------------------------------- bytes

def pieces(data, cut):
	return [data[:cut], data[cut:]] if cut else [data[i:i + 1] for i in range(len(data))]


def seen_of(found):
	return (found.error and found.error.text, getattr(found, "items", None), getattr(found, "token", None),
	    getattr(found, "reason", None), getattr(found, "version", None))


def cut_everywhere(new, data, name):
	"""However it is cut, the answer is the same, is whole only at its end, and takes nothing behind it."""
	whole, buffer = new(), answer.Buffer()
	buffer.feed(data)
	good = whole.advance(buffer)
	for cut in range(len(data)):
		some, buffer = new(), answer.Buffer()
		parts = pieces(data + b"HD\r\n", cut) if cut else pieces(data, 0)
		for part in parts[:-1]:
			buffer.feed(part)
			good = good and not some.advance(buffer)
		buffer.feed(parts[-1])
		good = good and some.advance(buffer) and seen_of(some) == seen_of(whole) and len(buffer) == (4 if cut else 0)
	ok(good, name + ", cut at every byte")
	return whole


page = cut_everywhere(answer.PageAnswer, PAGE, "a page")
is_([(i.key, i.data, i.size, i.version, i.flags, None if i.ttl < 0 else i.ttl) for i in page.items], ITEMS, "its items")
is_((page.token, page.reason), ("abc=", "size"), "its end")
scan = cut_everywhere(answer.PageAnswer, b"VA 1 iAAE= k b c1 f0 t-1 Qx\r\nv\r\nHD iu:1 kk s3\r\nEN\r\n", "a scan")
is_([(i.id, i.key) for i in scan.items], [(b"\0\1", b""), (b"u:1", b"k")], "ids, and letters that are not known")
is_(cut_everywhere(answer.DoneAnswer, b"HD c1795305600000001\r\n", "a write").version, 1795305600000001, "its version")
heard = []
cut_everywhere(lambda: answer.SignalsAnswer(heard.append), signals(), "signals")
is_((heard[-1].prefix, heard[-1].codecs, heard[-1].atomic_across_records, heard[-1].page_bytes, heard[-1].others),
    ("ng:", ("zstd",), True, 2 << 20, {"to_come": "x y"}), "each of its kind")
is_(kvgate.Signals.from_pairs({"codecs": "none"}).codecs, (), "no codecs")
for line, kind in (("CLIENT_ERROR bad predicate", "ClientError"), ("CLIENT_ERROR unknown namespace", "UnknownNamespace"),
    ("CLIENT_ERROR token drift", "TokenDrift"), ("CLIENT_ERROR bad page token", "BadPageToken"), ("ERROR", "ClientError"),
    ("CLIENT_ERROR atomic across records is not supported by store r", "AtomicUnsupported"),
    ("SERVER_ERROR object too large for cache", "TooLarge"), ("SERVER_ERROR timeout", "ServerError"),
    ("SERVER_ERROR 2 of 3 failed: timeout", "PartialFailure")):
	found = cut_everywhere(answer.PageAnswer, line.encode() + b"\r\n", line).error
	is_((type(found).__name__, found.text), (kind, line), "%s is a %s" % (line, kind))
is_((found.failed, found.count), (2, 3), "how many failed")
for data in (b"VALUE a 0 1\r\n", b"VA x\r\n", b"VA -1 k\r\n", b"VA 1 k\r\nabc\r\n", b"EN\n", b"\r\n", b"x" * 5000, b"\n",
    b"VA 1 k=== b\r\nx\r\n", b"HD cx\r\n", b"VA\r\n", "VA \u00b2 k\r\n".encode()):
	buffer = answer.Buffer()
	buffer.feed(data)
	fails(kvgate.ProtocolError, lambda: answer.PageAnswer().advance(buffer), "no answer: %r" % data[:20])
for data in (b"SIG page_bytes many\r\nEND\r\n", b"SIGN a b\r\n", b"EN\r\n"):
	buffer.__init__()
	buffer.feed(data)
	fails(kvgate.ProtocolError, lambda: answer.SignalsAnswer(heard.append).advance(buffer), "no signals: %r" % data)

token = kvgate.Token(1795305600000000, 0xa1)
for got, want in (
    (request.get("ng", "u:1", kvgate.Range()), b"kg u:1 Lng/ k c f t v"),
    (request.get("", "u:1", ["a", "", b"\xff"], values=False, limit=3, zstd=True), b"kg u:1 Ka K K\xff M3 Zzstd k c f t s"),
    (request.get("ng", "u:1", kvgate.Range("a", "b", ""), reverse=True, page_bytes=9, value_max=0, page_ms=5, limit=7, token="t"),
	b"kg u:1 Lng/ Ga Ub r B9 X0 D5 Nt k c f t v"),
    (request.get("ng", "u:1", ["a b"]), b"kg dTox Lng/ KYSBi k c f t v b"),
    (request.get("ng", b"\x7f", kvgate.Range(head="h")), b"kg fw== Lng/ HaA== k c f t v b"),
    (request.scan("ng", 2, 3, limit=1), b"ks ng S2/3 M1 i k c f t v"),
    (request.delete("ng", "u:1", kvgate.Range(head="tmp/"), token), b"kd u:1 Lng/ Htmp/ E1795305600000000 Pa1 c"),
    (request.put("ng", "u:1", {"a": b"1", "": b""}, token), b"kp u:1 2 Lng/ E1795305600000000 Pa1 c\r\na 1\r\n1\r\n 0\r\n"),
    (request.put("ng", "u:1", [kvgate.Write("a b", b"1", ttl=-1, flags=5), ("c", b"")], token),
	b"kp dTox 2 Lng/ E1795305600000000 Pa1 c b\r\nYSBi 1 F5 T-1\r\n1\r\nYw== 0\r\n"),
    (request.mutate("ng", [kvgate.Delete("u:1", kvgate.Range()), kvgate.Put("u:2", {"k": b"v"}), kvgate.Delete("u:3", ["\n"])],
	token, atomic=True),
	b"km 3 a E1795305600000000 Pa1 c\r\nkd u:1 Lng/\r\nkp u:2 1 Lng/\r\nk 1\r\nv\r\nkd dToz Lng/ KCg== b"),
    (request.handshake("ng"), b"kh ng")):
	is_(got, want + b"\r\n", "asked as: %r" % want)
for what, make in (("an empty id", lambda: request.get("ng", "", kvgate.Range())),
    ("no keys to delete", lambda: request.delete("ng", "u:1", [], token)),
    ("no items", lambda: request.put("ng", "u:1", {}, token)),
    ("no mutations", lambda: request.mutate("ng", [], token)),
    ("a line that is too long", lambda: request.get("ng", "u:1", ["k" * 1000] * 70)),
    ("an empty end", lambda: kvgate.Range(end="")),
    ("an address without port", lambda: parse_address("localhost")),
    ("an address with a port too high", lambda: parse_address("localhost:65536"))):
	fails(ValueError, make, what + " is refused before it is sent")
is_([parse_address(a) for a in ("[::1]:1", "a.b:65535", "/x", "unix:y")], [("::1", 1), ("a.b", 65535), "/x", "y"], "addresses")

tokens = [kvgate.Token.new() for _ in range(1000)]
ok(all(a.time < b.time for a, b in zip(tokens, tokens[1:])), "tokens: times strictly increase")
is_(len({t.nonce for t in tokens}), 1000, "nonces differ")

text = b'{"name": "Ada"}' * 100
packed = codec.encode(text)
ok(packed is not None and len(packed) < 100, "what compresses is compressed")
is_(codec.decode("zstd", packed, 1500), text, "and comes back")
is_((codec.encode(b"x" * 10), codec.encode(os.urandom(1000))), (None, None), "what would not gain stays")
fails(kvgate.CodecError, lambda: codec.decode("zstd", packed, 1499), "a value larger than may be")
fails(kvgate.CodecError, lambda: codec.decode("zstd", packed[:-3], 1500), "a value cut short")
fails(kvgate.CodecError, lambda: codec.decode("zstd", b"plain", 1500), "a value that is not compressed")
fails(kvgate.CodecError, lambda: codec.decode("lz4", packed, 1500), "a codec that was not asked for")
unsized = zstandard.ZstdCompressor(write_content_size=False).compress(text)
fails(kvgate.CodecError, lambda: codec.decode("zstd", unsized, 1500), "a value that does not say its size")

# ---------------------------------------------------------------- one connection

with Scripted(serve(lambda conn, line: conn.drip(PAGE if b" N" not in line else b"EN Wlimit\r\n"))) as srv, client(srv) as c:
	ns = c.namespace("ng")
	is_([tuple(i) for i in ns.get("u:1", limit=5)], ITEMS, "get pages by itself, byte by byte")
	is_(srv.seen, [b"kh ng", b"kg u:1 Lng/ M5 Zzstd k c f t v", b"kg u:1 Lng/ Nabc= Zzstd k c f t v"], "as was asked")
	is_(ns.get_item("u:1", "name").value, b"A\r\n\xffb", "one item")
	is_(list(ns.get("u:1", [])), [], "no keys are no items")
	is_(srv.connections, 1, "all over one connection")
	fails(ValueError, lambda: ns.get("u:1", ["a"], start="b"), "keys with a range")
	fails(ValueError, lambda: ns.delete_range("u:1", start=""), "a range that is none")

with Scripted(serve(lambda conn, line: conn.say(b"".join(
    b"VA 1 %s c1 f0 t-1\r\nx\r\n" % w.lower() for w in line.split() if w[:1] == b"K") + b"EN\r\n"), keys_max=2)) as srv:
	with client(srv) as c:
		found = c.namespace("ng").get("u:1", ["K1", "K2", "K3", "K2", "K5"])
		is_([i.key for i in found], [b"k1", b"k2", b"k3", b"k2", b"k5"], "many keys are asked for in portions")
		is_([i.key for i in c.namespace("ng").get("u:1", ["K1", "K2", "K3"], limit=2)], [b"k1", b"k2"], "with a limit")

packed_page = b"VA %d kz c1 f0 t-1 Zzstd\r\n%s\r\nEN\r\n" % (len(packed), packed)
with Scripted(serve(lambda conn, line: conn.say(packed_page if line.startswith(b"kg") else b"HD c5\r\n"))) as srv, client(srv) as c:
	ns = c.namespace("ng")
	is_(ns.get_item("u:1", "z")[:3], (b"z", text, 1500), "a compressed value comes out as it went in")
	is_(ns.put("u:1", {"z": text, "s": b"short"}), 5, "put tells the version")
	is_(srv.seen[-2:], [b"z %d Zzstd" % len(packed), b"s 5"], "what gains goes compressed")
with Scripted(serve(lambda conn, line: conn.say(b"HD c5\r\n"), codecs="none")) as srv, client(srv) as c:
	c.namespace("ng").put("u:1", {"z": text})
	is_(srv.seen[-1], b"z 1500", "not where nobody would read it")

with Scripted(serve(lambda conn, line: conn.say(b"CLIENT_ERROR bad predicate\r\n"))) as srv, client(srv) as c:
	fails(kvgate.ClientError, lambda: list(c.namespace("ng").get("u:1")), "the server's text", "CLIENT_ERROR bad predicate")
	is_(len(srv.seen), 2, "what is wrong is asked once")
	error = fails(kvgate.ClientError, lambda: c.namespace("ng").delete_record("u:1", token=token), "of a write, too")
	is_(error.token, token, "with its token")
	is_(srv.connections, 1, "the connection stays")
with Scripted(serve(lambda conn, line: conn.say(b"STORED\r\n"))) as srv, client(srv) as c:
	fails(kvgate.ProtocolError, lambda: list(c.namespace("ng").get("u:1")), "an answer that is none")
	fails(kvgate.ProtocolError, lambda: c.namespace("ng").delete_record("u:1"), "to a write")
	is_(srv.connections, 2, "ends the connection")
with Scripted(lambda conn: conn.line() and conn.say(b"CLIENT_ERROR unknown namespace\r\n")) as srv, client(srv) as c:
	fails(kvgate.UnknownNamespace, lambda: c.namespace("x").get_item("u:1"), "a handshake that fails")

# ---------------------------------------------------------------- connections that end

def cut_short(data):
	"""Every other answer is cut, each time a byte later, and the connection ends with it."""
	times = itertools.count()

	def reply(conn, line):
		cut, whole = divmod(next(times), 2)
		conn.say(data if whole else data[:cut])
		return bool(whole)
	return reply


short = b"VA 3 kk c1 f0 t-1\r\nabc\r\nEN\r\n"
with Scripted(serve(cut_short(short))) as srv, client(srv, attempts=2) as c:
	ns = c.namespace("ng")
	found = [ns.get_item("u:1", "k").value for _ in short]
	is_(found, [b"abc"] * len(short), "a read is tried again wherever its answer was cut")
	asked = [line for line in srv.seen if line.startswith(b"kg")]
	is_((len(set(asked)), len(asked)), (1, 2 * len(short)), "as often as it had to be")
	ok(srv.seen.count(b"kh ng") > 1, "and whether the server says something else by now")
with Scripted(serve(cut_short(b"HD c3\r\n"))) as srv, client(srv, attempts=2) as c:
	ns = c.namespace("ng")
	is_([ns.put("u:1", {"k": b"v"}) for _ in range(7)], [3] * 7, "a write, too")
	lines = [line for line in srv.seen if line.startswith(b"kp")]
	is_((len(lines), len(set(lines)), lines[::2]), (14, 7, lines[1::2]), "with the same token each time")
with Scripted(serve(lambda conn, line: False)) as srv, client(srv) as c:
	error = fails(kvgate.ConnectionLost, lambda: c.namespace("ng").put("u:1", {"k": b"v"}), "three times, then it is told")
	ok(isinstance(error, ConnectionError), "as a ConnectionError")
	ok(error.token is not None and b"E%d P%x " % (error.token.time, error.token.nonce) in srv.seen[1], "with the token sent")
	is_(len([line for line in srv.seen if line.startswith(b"kp")]), 3, "three times indeed")

busy = [b"SERVER_ERROR 1 of 2 failed: timeout\r\n", b"SERVER_ERROR timeout\r\n", b"HD c4\r\n"]
with Scripted(serve(lambda conn, line: conn.say(busy.pop(0)))) as srv, client(srv) as c:
	is_(c.namespace("ng").delete("u:1", ["k"]), 4, "what the server could not do then, it does later")
	is_((len(set(srv.seen[1:])), len(srv.seen)), (1, 4), "with the same token")
with Scripted(serve(lambda conn, line: conn.say(b"SERVER_ERROR object too large for cache\r\n"))) as srv, client(srv) as c:
	fails(kvgate.TooLarge, lambda: c.namespace("ng").put("u:1", {"k": b"v"}), "what is too large")
	is_(len([line for line in srv.seen if line.startswith(b"kp")]), 1, "stays too large")

ended = threading.Event()
said = threading.Event()


def end_when_idle(conn):
	"""Connections end in the client's back: one after its first answer, the second after it has said too much."""
	while (line := conn.line()):
		conn.say(signals() if line.startswith(b"kh") else b"EN\r\n")
		if conn.number == 1 and line.startswith(b"kg"):
			return
		if conn.number == 2 and line.startswith(b"kg"):
			conn.say(b"VALUE unasked\r\n")
			said.set()


with Scripted(end_when_idle) as srv, client(srv, attempts=1) as c:
	ns = c.namespace("ng")
	is_(ns.get_item("u:1"), None, "nothing there")
	idle = c._pool._idle[parse_address(srv.address)]
	wait_for(lambda: not idle[0].usable(), what="the server to close")
	is_(ns.get_item("u:1"), None, "a connection that was closed meanwhile is not used")
	said.wait(10 * patience)
	wait_for(lambda: not idle[0].usable(), what="the unasked bytes")
	is_((ns.get_item("u:1"), srv.connections), (None, 3), "nor one on which something came that nobody asked for")

with Scripted(serve(lambda conn, line: conn.say(b"EN\r\n"))) as srv:
	taken = socket.socket()         # and not listened on
	taken.bind(("127.0.0.1", 0))
	refusing = "127.0.0.1:%d" % taken.getsockname()[1]
	with client([refusing, srv.address], attempts=1) as c:
		is_(c.namespace("ng").get_item("u:1"), None, "where the first refuses, the second is asked")
	with client([refusing]) as c:
		fails(kvgate.ConnectionLost, lambda: c.namespace("ng").get_item("u:1"), "and where nobody answers, it is told")
	c = client(srv)
	ns = c.namespace("ng")
	ns.get_item("u:1")
	c.close()
	fails(kvgate.ConnectionLost, lambda: ns.get_item("u:1"), "a client that was closed")

never = threading.Event()
with Scripted(serve(lambda conn, line: conn.wait(never), slo_read_max_us=1, slo_write_max_us=1)) as srv, client(srv) as c:
	error = fails(kvgate.Timeout, lambda: c.namespace("ng").get_item("u:1"), "slo_read_max_us bounds a read")
	ok(isinstance(error, TimeoutError), "with a TimeoutError")
	error = fails(kvgate.Timeout, lambda: c.namespace("ng").put_item("u:1", "k", b""), "slo_write_max_us a write")
	ok(error.token is not None, "whose token is told")
	never.set()

# ---------------------------------------------------------------- late answers

go = threading.Event()


def first_is_late(conn, line):
	"""The first connection's answer waits until the test lets it go."""
	if conn.number == 1:
		conn.wait(go)
	conn.say(b"VA 1 kk c1 f%d t-1\r\nx\r\nEN\r\n" % conn.number)


def second(what):
	"""The second connection does this instead of an answer, and then the first one's is let go."""
	def reply(conn, line):
		if conn.number == 1:
			return first_is_late(conn, line)
		result = what(conn)
		go.set()
		return result
	return reply


# Without a budget there is just the one hedge that every namespace begins with.
with Scripted(serve(first_is_late, hedge=1, hedge_budget_percent=0)) as srv, client(srv) as c:
	ns = c.namespace("ng")
	is_(ns.get_item("u:1", "k").flags, 2, "a late read is sent again, and the first answer wins")
	is_(c._pool._late[0].pending[0].done, False, "the other is still to come")
	go.set()
	late = c._pool._late[0]
	wait_for(lambda: late.usable() and not late.pending, what="the late answer")
	one, two = ns.get_item("u:1", "k").flags, ns.get_item("u:1", "k").flags
	is_(({one, two} <= {1, 2}, srv.connections), (True, 2), "its connection is as good as any afterwards")

go.clear()
with Scripted(serve(second(lambda conn: None), hedge=1)) as srv, client(srv, attempts=1) as c:
	is_(c.namespace("ng").get_item("u:1", "k").flags, 1, "or the first one does, when it comes first after all")
go.clear()
with Scripted(serve(second(lambda conn: conn.say(b"SERVER_ERROR down\r\n")), hedge=1)) as srv, client(srv, attempts=1) as c:
	is_(c.namespace("ng").get_item("u:1", "k").flags, 1, "an error does not win while the other may still be good")
go.clear()
with Scripted(serve(second(lambda conn: False), hedge=1)) as srv, client(srv, attempts=1) as c:
	is_(c.namespace("ng").get_item("u:1", "k").flags, 1, "nor does a connection that ends")
go.clear()
with Scripted(serve(first_is_late, hedge=1, hedge_budget_percent=100)) as slow, \
    Scripted(serve(lambda conn, line: conn.say(b"VA 1 kk c1 f77 t-1\r\nx\r\nEN\r\n"))) as other, client([slow.address, other.address]) as c:
	is_(c.namespace("ng").get_item("u:1", "k").flags, 77, "where there are two kvgates, the other one is asked")
	go.set()


def hedges_of(count, **more):
	"""How many of so many late reads are sent twice."""
	held = threading.Event()
	def reply(conn, line):
		if conn.number == 1 or more["hedge"] == "off":
			held.wait(0.02)
		conn.say(b"EN\r\n")
	with Scripted(serve(reply, **more)) as srv, client(srv) as c:
		ns = c.namespace("ng")
		for _ in range(count):
			ns.get_item("u:1")
		return len([line for line in srv.seen if line.startswith(b"kg")]) - count


is_(hedges_of(5, hedge="off"), 0, "hedge off: never")
ok(hedges_of(20, hedge=1, hedge_budget_percent=0) <= 1, "without a budget: not more than one to begin with")

hedger = kvgate.hedge.Hedger()
auto = kvgate.Signals(hedge="auto", slo_read_target_us=2000)
is_(hedger.delay(auto), 0.002, "auto begins with the target")
for n in range(100):
	hedger.ended(0.05 if n % 10 == 0 else 0.003)
is_(hedger.delay(auto), 0.05, "and goes on with the percentile")
is_((hedger.delay(kvgate.Signals(hedge="auto")), kvgate.hedge.Hedger().delay(kvgate.Signals(hedge="auto"))), (0.05, None),
    "with no target it waits until it knows")
is_([hedger.may() for _ in range(3)], [True, False, False], "a budget that is used up")
for _ in range(20):
	hedger.began(kvgate.Signals(hedge_budget_percent=10))
is_([hedger.may() for _ in range(3)], [True, True, False], "grows with the reads")

# ---------------------------------------------------------------- signals that change, threads

pages = {"page_bytes": 100}


def changing(conn):
	while (line := conn.line()):
		conn.say(signals(**pages) if line.startswith(b"kh") else b"EN\r\n")


with Scripted(changing) as srv, client(srv, handshake_interval=0) as c:
	ns = c.namespace("ng")
	is_(ns.signals.page_bytes, 100, "signals at first use")
	pages["page_bytes"] = 200

	def changed():
		ns.get_item("u:1")
		return ns.signals.page_bytes == 200
	wait_for(changed, what="the new signals")
	ok(srv.seen[1].startswith(b"kg") and srv.seen[2] == b"kh ng", "are asked for again behind a request")
	is_(srv.connections, 1, "on its connection")

with Scripted(changing) as srv, client(srv) as c:
	ns = c.namespace()
	ns.get_item("u:1")
	is_(srv.seen, [b"kh", b"kg u:1 Lng/ K Zzstd k c f t v"], "the default namespace has the name that the server tells")


def echo(conn, line):
	"""The id is the value."""
	name = line.split()[1]
	conn.say(b"VA %d k c1 f0 t-1\r\n%s\r\nEN\r\n" % (len(name), name))


with Scripted(serve(echo, hedge=1, hedge_budget_percent=100)) as srv, client(srv) as c:
	ns = c.namespace("ng")
	wrong = []

	def ask(number):
		for n in range(50):
			name = b"u:%d.%d" % (number, n)
			item = ns.get_item(name)
			if item is None or item.value != name:
				wrong.append((name, item))
	threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
	for t in threads:
		t.start()
	for t in threads:
		t.join()
	is_(wrong, [], "eight threads that hedge: each gets its own answers")
done_testing()
