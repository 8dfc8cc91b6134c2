#!/usr/bin/python3
"""
The Python client in the hands of applications that hold it wrong, and before servers and networks at their worst: nothing is
asked that was not meant, no answer is taken for another one's, nothing is left behind.
"""
import array, itertools, os, pickle, signal, socket, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from scripted import *
import zstandard
import kvgate
from kvgate import Delete, Token, codec, connection, request
from kvgate.connection import parse_address

token = Token(1795305600000000, 0xa1)
EMPTY = b"EN\r\n"


def lines(srv, *starts):
	return [line for line in srv.seen if line.startswith(starts)]


# ---------------------------------------------------------------- what is given to it

with Scripted(serve(lambda conn, line: conn.say(EMPTY if line.startswith(b"k") and line[1:2] in b"gs" else b"HD c1\r\n"))) as srv, \
    client(srv) as c:
	ns = c.namespace("ng")
	ns.signals
	for what, make in (
	    ("a key for a list of keys", lambda: list(ns.get("u:1", "name"))),
	    ("bytes for a list of keys", lambda: list(ns.get("u:1", b"name"))),
	    ("a key for a list of those to delete", lambda: ns.delete("u:1", "name")),
	    ("the same in a mutation", lambda: ns.mutate([Delete("u:1", "name")])),
	    ("the same for a page", lambda: ns.get_page("u:1", "name")),
	    ("no key, but a number", lambda: ns.get_item("u:1", 5)),
	    ("no id", lambda: ns.get_item(None)),
	    ("text for a value", lambda: ns.put("u:1", {"k": "text"})),
	    ("a number for a value", lambda: ns.put_item("u:1", "k", 5)),
	    ("half a second to live", lambda: ns.put_item("u:1", "k", b"", ttl=0.5)),
	    ("text for a limit", lambda: list(ns.get("u:1", limit="5\r\nflush_all"))),
	    ("text for a part", lambda: ns.scan_page("1/1\r\nflush_all"))):
		fails(TypeError, make, what + " is refused")
	for what, make in (
	    ("a limit below 0", lambda: ns.get("u:1", limit=-1)),
	    ("in a scan", lambda: ns.scan(limit=-1)),
	    ("a page of no items", lambda: ns.get_page("u:1", limit=0)),
	    ("of no bytes", lambda: ns.get_page("u:1", page_bytes=0)),
	    ("of no time", lambda: ns.get_page("u:1", page_ms=0)),
	    ("values of less than nothing", lambda: ns.get_page("u:1", value_max=-1)),
	    ("a part that is none", lambda: ns.scan_page(2, 1)),
	    ("flags of more than 32 bits", lambda: ns.put_item("u:1", "k", b"", flags=1 << 32)),
	    ("or below 0", lambda: ns.put_item("u:1", "k", b"", flags=-1)),
	    ("a namespace's name in two lines", lambda: c.namespace("a\r\nflush_all")),
	    ("or with a space", lambda: c.namespace("a b"))):
		fails(ValueError, make, what + " is refused, too")
	for text in ("x\r\nflush_all", "a b", "\u00e4", "x" * 2049, ""):
		fails(kvgate.BadPageToken, lambda: ns.get_page("u:1", token=text), "a page token that is none: %r" % text[:20])
		fails(kvgate.BadPageToken, lambda: ns.scan_page(token=text), "nor for a scan")
	is_(srv.seen, [b"kh ng"], "and nothing of all that is sent")
	is_((list(ns.get("u:1", limit=0)), list(ns.get("u:1", ["k"], limit=0)), list(ns.scan(limit=0)), len(srv.seen)), ([], [], [], 1),
	    "at most no items are none, and nothing is asked")
	numbers = array.array("I", [1, 2, 3])
	for value in (numbers, bytearray(b"abc"), memoryview(b"abcdef")[::2]):
		ns.put("u:1", {"k": value})
		is_(srv.seen[-1], b"k %d" % len(bytes(value)), "all bytes of a %s are sent" % type(value).__name__)
	ns.get_item(bytearray(b"u:1"), memoryview(b"name"))
	like(srv.seen[-1], rb"^kg u:1 Lng/ Kname ", "names may be anything that has bytes")
	ok(c.namespace("ng") is ns, "a namespace is the same one each time: its signals are asked for once")

# Thousands of keys go in one mutation, whose parts fit into lines.
many = ["%05d" % n for n in range(2500)]
told = request.mutate("ng", [Delete("u:1", many[:1000]), Delete("u:1", many[1000:2000]), Delete("u:1", many[2000:])], token)


def whole_km(conn, line):
	if line.startswith(b"km"):
		for _ in range(int(line.split()[1])):
			conn.line()
	conn.say(b"HD c7\r\n")


with Scripted(serve(whole_km)) as srv, client(srv) as c:
	is_(c.namespace("ng").delete("u:1", many, token=token), 7, "very many keys can be deleted")
	is_(b"\r\n".join(srv.seen[1:]) + b"\r\n", told, "at once")

# ---------------------------------------------------------------- answers

SIGNALS_NONE = [("keys_max", -1), ("slo_read_max_us", "9" * 400), ("hedge_budget_percent", "nan"), ("hedge_budget_percent", "inf")]
for name, value in SIGNALS_NONE:
	with Scripted(serve(lambda conn, line: conn.say(EMPTY), **{name: value})) as srv, client(srv) as c:
		fails(kvgate.ProtocolError, lambda: c.namespace("ng").get_item("u:1"), "a signal that is none: %s %s" % (name, str(value)[:9]))
with Scripted(serve(lambda conn, line: conn.say(EMPTY), slo_read_max_us=10 ** 15)) as srv, client(srv) as c:
	is_(c.namespace("ng").get_item("u:1"), None, "reads that may take 30 years")
with Scripted(serve(lambda conn, line: conn.say(EMPTY))) as srv, kvgate.Client(srv.address, timeout=1e7) as c:
	is_(c.namespace("ng").get_item("u:1"), None, "and calls")

# As it comes from a kvgate that has more clients than it may, or from one that was reconfigured meanwhile.
full = [b"ERROR Too many open connections\r\n", EMPTY]
with Scripted(serve(lambda conn, line: conn.say(full[0]) or full.pop(0) == EMPTY)) as srv, client(srv) as c:
	is_(c.namespace("ng").get_item("u:1"), None, "a server with too many connections is asked again")
large = os.urandom(1 << 16) + bytes(3 << 20)
packed = codec.encode(large)
with Scripted(serve(lambda conn, line: conn.say(b"VA %d kz c1 f0 t-1 Zzstd\r\n%s\r\nEN\r\n" % (len(packed), packed)),
    item_size_max=1 << 20)) as srv, client(srv) as c:
	is_(c.namespace("ng").get_item("u:1", "z").value == large, True, "a value that was written when larger ones were possible")
hollow = zstandard.ZstdCompressor().compress(b"v" * 300)
is_(hollow[4] & 0xc0, 0x40, "a frame whose head has two bytes of its size")
fails(kvgate.CodecError, lambda: codec.decode("zstd", hollow[:4] + b"\x20\x00" + hollow[7:], 1 << 20), "one that says it is empty")
is_(codec.decode("zstd", zstandard.ZstdCompressor().compress(b""), 10), b"", "and one that is")
damaged = packed[:-9]
with Scripted(serve(lambda conn, line: conn.say(b"VA %d kz%%1 c1 f0 t-1 Zzstd\r\n%s\r\nEN\r\n" % (len(damaged), damaged)))) as srv:
	with client(srv) as c:
		error = fails(kvgate.CodecError, lambda: c.namespace("ng").get_item("u:1", "z"), "a damaged value")
		like(str(error), "z%1", "of which the key is told")
with Scripted(serve(lambda conn, line: conn.say(b"EN Nsame Wslo\r\n"))) as srv, client(srv) as c:
	fails(kvgate.ProtocolError, lambda: list(c.namespace("ng").get("u:1")), "pages that do not go on are not asked for ever")
	fails(kvgate.ProtocolError, lambda: list(c.namespace("ng").scan()), "nor those of a scan")

for error in (kvgate.PartialFailure("SERVER_ERROR 2 of 3 failed: x", 2, 3), kvgate.TooLarge("SERVER_ERROR x"), kvgate.Timeout("x"),
    kvgate.ConnectionLost("x")):
	error.token = token
	back = pickle.loads(pickle.dumps(error))
	is_((type(back), str(back), back.token, getattr(back, "failed", None)), (type(error), str(error), token, getattr(error, "failed", None)),
	    "%s goes from process to process" % type(error).__name__)

# ---------------------------------------------------------------- a connection is in step, or closed

# What is sent behind a request, and the request is refused for now: it is not expected twice.
busy = itertools.cycle([b"SERVER_ERROR timeout\r\n", b"SERVER_ERROR timeout\r\n", EMPTY])
with Scripted(serve(lambda conn, line: conn.say(next(busy)))) as srv, client(srv, handshake_interval=0) as c:
	ns = c.namespace("ng")
	is_([ns.get_item("u:1") for _ in range(5)], [None] * 5, "requests that are tried again, with a handshake behind each")
	is_(srv.connections, 1, "all over one connection")


def large_reply(conn, line):
	"""The value is the id, over and over."""
	name = line.split()[1]
	value = name * 300000
	conn.say(b"VA %d k c1 f0 t-1\r\n%s\r\nEN\r\n" % (len(value), value))


with Scripted(serve(large_reply)) as srv, client(srv) as c:
	ns = c.namespace("ng")
	wrong, armed = [], []

	def interrupt(*_):
		if armed:
			armed.clear()
			raise KeyboardInterrupt
	signal.signal(signal.SIGALRM, interrupt)
	for n in range(60):
		signal.setitimer(signal.ITIMER_REAL, 0.0005 + n % 20 * 0.0002)
		try:
			armed.append(n)
			ns.get_item(b"u:%03d" % n)
			armed.clear()
		except KeyboardInterrupt:
			pass
		item = ns.get_item(b"v:%03d" % n)
		if item is None or item.value != b"v:%03d" % n * 300000:
			wrong.append(n)
	is_(wrong, [], "interrupted anywhere, the next answer is its own")

with Scripted(serve(large_reply)) as srv, client(srv) as c:
	parent = c.namespace("ng").get_item("u:parent")
	pid = os.fork()
	if pid == 0:
		good = False
		try:
			good = c.namespace("ng").get_item("u:child").value.startswith(b"u:child")
		finally:
			os._exit(0 if good else 1)
	is_((os.waitpid(pid, 0)[1], srv.connections), (0, 2), "behind a fork the child has a connection of its own")
	is_((c.namespace("ng").get_item("u:parent").value[:8], srv.connections), (b"u:parent", 2), "and the parent keeps its")

with Scripted(serve(large_reply)) as srv, client(srv) as c:
	ns = c.namespace("ng")
	ns.get_item("u:1")
	idle = c._pool._idle[parse_address(srv.address)]
	ok(len(idle) == 1 and sys.getsizeof(idle[0]._buffer._data) < 100000, "a connection that waits does not keep what came over it")


def refuse(conn):
	"""Refuses a put as soon as it has seen its line, and ends the connection with the rest unread."""
	while (line := conn.line()):
		if line.startswith(b"kh"):
			conn.say(signals())
		else:
			conn.say(b"CLIENT_ERROR line too long\r\n")
			return


with Scripted(refuse) as srv, client(srv) as c:
	fails(kvgate.ClientError, lambda: c.namespace("ng").put("u:1", {"k": os.urandom(16 << 20)}), "what refuses a put before it has gone",
	    "CLIENT_ERROR line too long")
	is_(len(lines(srv, b"kp")), 1, "is heard, not the end of the connection")

# ---------------------------------------------------------------- no connection

real_socket = socket.socket
with Scripted(serve(lambda conn, line: conn.say(EMPTY))) as srv, client(srv) as c:
	def none_left(*_, **__):
		raise OSError(24, "Too many open files")
	connection.socket.socket = none_left
	error = fails(kvgate.ConnectionLost, lambda: c.namespace("ng").get_item("u:1"), "no descriptor is left")
	connection.socket.socket = real_socket
	like(str(error), "Too many open files", "which is told")
	is_(c.namespace("ng").get_item("u:1"), None, "and over, when it is")
fails(kvgate.ConnectionLost, lambda: kvgate.Client("a..b:1", attempts=1).namespace().signals, "a host's name that is none")

# A listener whose queue is full does not even refuse.
silent = socket.create_server(("127.0.0.1", 0), backlog=0)
fill = [socket.socket() for _ in range(4)]
for s in fill:
	s.setblocking(False)
	s.connect_ex(silent.getsockname())
with Scripted(serve(lambda conn, line: conn.say(EMPTY))) as srv:
	real_lookup = socket.getaddrinfo
	both = [silent.getsockname(), ("127.0.0.1", parse_address(srv.address)[1])]
	connection.socket.getaddrinfo = lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", where) for where in both]
	with kvgate.Client("both:1", connect_timeout=0.3, attempts=1) as c:
		is_(c.namespace("ng").get_item("u:1"), None, "where a name has two addresses and one is silent, the other is asked")
	connection.socket.getaddrinfo = real_lookup
	with kvgate.Client("127.0.0.1:%d" % silent.getsockname()[1], connect_timeout=0.1, attempts=1) as c:
		error = fails(kvgate.ConnectionLost, lambda: c.namespace("ng").get_item("u:1"), "where it has just that one, it is told")
		like(str(error), r"^127\.0\.0\.1:\d+: ", "with the address")
for s in (*fill, silent):
	s.close()

# ---------------------------------------------------------------- a server that hangs, threads

never = threading.Event()
with Scripted(serve(lambda conn, line: conn.wait(never), slo_read_max_us=1)) as hung, \
    Scripted(serve(lambda conn, line: conn.say(EMPTY), slo_read_max_us=10 ** 7 * patience)) as good, client([hung.address, good.address]) as c:
	ns = c.namespace("ng")
	error = fails(kvgate.Timeout, lambda: ns.get_item("u:1"), "a server that accepts and says nothing")
	like(str(error), hung.address, "is named")
	is_(ns.get_item("u:1"), None, "and not asked first for a while")
	never.set()
with Scripted(serve(lambda conn, line: conn.say(b"SERVER_ERROR d: no space left\r\n"), slo_read_max_us=1)) as srv, \
    client(srv, attempts=1000) as c:
	error = fails(kvgate.Timeout, lambda: c.namespace("ng").get_item("u:1"), "a server that cannot, for too long")
	like(str(error), "SERVER_ERROR d: no space left", "has its reason told")

together = threading.Barrier(40)


def meet(conn, line):
	together.wait(30 * patience)
	conn.say(EMPTY)


with Scripted(serve(meet)) as srv, client(srv) as c:
	ns = c.namespace("ng")
	ns.signals

	def several():
		for _ in range(5):
			ns.get_item("u:1")
	threads = [threading.Thread(target=several) for _ in range(40)]
	for t in threads:
		t.start()
	for t in threads:
		t.join()
	ok(srv.connections <= 41, "forty threads have forty connections, however long they go on: %d" % srv.connections)
done_testing()
