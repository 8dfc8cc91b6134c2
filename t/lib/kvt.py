#!/usr/bin/python3
"""
kvt - what the integration tests share: TAP, servers on free ports, raw clients.

A test is a Python program whose name ends in .t; prove runs it.

	#!/usr/bin/python3
	import os, sys
	sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
	from kvt import *

	with Kvgate(["-m", "64"]) as kv, kv.client() as c:
		with deltas(kv, "get_hits") as d:
			c.ask(b"set a 0 0 1\r\nb\r\n", b"STORED\r\n")
			c.ask(b"get a\r\n", b"VALUE a 0 1\r\nb\r\nEND\r\n", "a hit")
		is_(d.get_hits, 1, "one hit is counted")
	done_testing()

TAP         ok is_ like diag done_testing (which prints the plan and exits)
servers     Kvgate Memcached Nutcracker, both with the base class Server; both_modes()
            yields kvgate as a pure cache and then in front of two memcacheds;
            Redis and RedisCluster are redises.py's
clients     Client (raw bytes), stats(), deltas()
waiting     wait_for(condition): polls until a deadline. Nothing here sleeps to
            synchronise, and no deadline is an assertion about speed.
files       tmpdir(): one directory per test program, removed at its end

Servers end with the test however it ends: by `with`, by stop(), by atexit, by a
signal's SystemExit, and the kernel kills them should this process be killed.

Environment: KVGATE is the binary to test (else kvgate in $top_builddir, else at the
top of this tree); MEMCACHED the reference (else Debian's); KVT_PATIENCE multiplies
every deadline (valgrind, sanitizers); KVT_MEMORY multiplies every bound of resident
memory (t/run sets it if kvgate was built with a sanitizer, which keeps what is freed
and shadows the rest); KVT_KEEP=1 keeps the temporary files.
"""

import atexit
import contextlib
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

__all__ = """ok is_ like diag done_testing failures
    tmpdir write_file free_port wait_for patience memory
    Server Kvgate Memcached Nutcracker Client
    stats deltas both_modes fleet_conf apart_cas top_srcdir kvgate_binary""".split()

top_srcdir = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
patience = float(os.environ.get("KVT_PATIENCE") or 1)
memory = float(os.environ.get("KVT_MEMORY") or 1)

# ---------------------------------------------------------------- TAP

_tests = 0
failures = []           # names of the tests that failed


def diag(*things):
	"""Prints lines for the reader of a failure."""
	for thing in things:
		if isinstance(thing, bytes):
			thing = repr(thing)
		for line in str(thing).splitlines() or [""]:
			# What prove shows without being asked, once something has failed.
			print("# " + line, flush=True, file=sys.stderr if failures else sys.stdout)


def ok(good, name=""):
	"""One test point; returns whether it was good."""
	global _tests
	_tests += 1
	name = name.replace("#", "\\#").replace("\n", "\\n")
	print("%s %d - %s" % ("ok" if good else "not ok", _tests, name), flush=True)
	if not good:
		failures.append(name)
		diag("not ok %d - %s" % (_tests, name))
	return bool(good)


def _shorten(thing, limit=2000):
	text = repr(thing)
	return text if len(text) <= limit else text[:limit] + "... (%d characters)" % len(text)


def is_(got, want, name=""):
	good = ok(got == want, name)
	if not good:
		diag("got:  " + _shorten(got), "want: " + _shorten(want))
	return good


def like(got, pattern, name=""):
	"""pattern is a regular expression of got's own type, searched for."""
	good = ok(re.search(pattern, got, re.S) is not None, name)
	if not good:
		diag("got:   " + _shorten(got), "want ~ " + _shorten(pattern))
	return good


def done_testing():
	"""Stops what still runs, prints the plan and exits: 0 only if all went well."""
	_stop_all()
	print("1..%d" % _tests, flush=True)
	if failures:
		for kv in Kvgate.every:
			diag("%s said at its end:" % " ".join(kv.argv), kv.stderr()[-3000:])
		diag("%d of %d failed" % (len(failures), _tests))
	sys.exit(1 if failures or not _tests else 0)


# ---------------------------------------------------------------- files, ports, waiting

_tmpdir = None


def tmpdir():
	global _tmpdir
	if _tmpdir is None:
		_tmpdir = tempfile.mkdtemp(prefix="kvt.")
		os.chmod(_tmpdir, 0o755)        # a server that dropped root must reach its files
		if not os.environ.get("KVT_KEEP"):
			atexit.register(shutil.rmtree, _tmpdir, True)
	return _tmpdir


def write_file(name, text):
	"""Writes text into tmpdir()/name and returns the path."""
	path = os.path.join(tmpdir(), name)
	with open(path, "w") as f:
		f.write(text)
	return path


_ports = set()


def free_port():
	"""A loopback TCP port nobody uses, and below those that the kernel hands to clients."""
	while True:
		port = random.SystemRandom().randrange(12000, 32000)
		if port in _ports:
			continue
		with socket.socket() as s:
			try:
				s.bind(("127.0.0.1", port))
			except OSError:
				continue
		_ports.add(port)
		return port


def wait_for(condition, seconds=10, what="condition"):
	"""Polls condition() until it is true and returns its value; raises TimeoutError."""
	end = time.monotonic() + seconds * patience
	pause = 0.001
	while True:
		value = condition()
		if value:
			return value
		if time.monotonic() > end:
			raise TimeoutError("waited %g s in vain for: %s" % (seconds * patience, what))
		time.sleep(pause)
		pause = min(pause * 2, 0.05)


# ---------------------------------------------------------------- servers

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_running = []


def _stop_all():
	for server in list(_running):
		server.stop()


def _kill_all():
	for server in list(_running):
		server.kill()


def _on_signal(number, _frame):
	sys.exit(128 + number)          # atexit runs


atexit.register(_kill_all)
for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
	signal.signal(_number, _on_signal)


class Server:
	"""
	A program that listens. start() returns when it answers; stop() sends SIGTERM and
	waits. addr is (host, port) or the path of a unix socket; stderr() is what it
	said so far (stdout included).
	"""
	name = "server"
	addr = None
	proc = None
	status = None
	env = None

	def start(self, argv, addr=None):
		self.argv = [str(a) for a in argv]
		if addr is not None:
			self.addr = addr
		fd, self.log_path = tempfile.mkstemp(prefix=self.name + ".", dir=tmpdir())
		self.status = None
		env = dict(os.environ, **(self.env or {}))
		self.proc = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=fd, stderr=fd,
		    preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), env=env)
		os.close(fd)
		_running.append(self)
		try:
			wait_for(self._answers, 20, "%s to listen on %s" % (self.name, self.addr))
		except Exception:
			diag("%s did not come up: %s" % (self.name, " ".join(self.argv)), self.stderr())
			self.kill()
			raise
		return self

	def _answers(self):
		if self.proc.poll() is not None:
			raise RuntimeError("%s ended with status %s at its start" % (self.name, self.proc.returncode))
		try:
			Client(self.addr).close()
			return True
		except OSError:
			return False

	@property
	def pid(self):
		return self.proc.pid if self.proc else None

	@property
	def port(self):
		return self.addr[1]

	def alive(self):
		return self.proc is not None and self.proc.poll() is None

	def client(self, **options):
		return Client(self.addr, **options)

	def stderr(self):
		with open(self.log_path, errors="backslashreplace") as f:
			return f.read()

	def send_signal(self, number):
		if self.alive():
			os.kill(self.pid, number)

	def stop(self, number=signal.SIGTERM, seconds=15):
		"""Ends it, by SIGKILL if it will not; returns the exit status (-n: by signal n)."""
		if self.proc is None:
			return self.status
		self.send_signal(number)
		try:
			self.status = self.proc.wait(seconds * patience)
		except subprocess.TimeoutExpired:
			diag("%s (pid %d) did not end within %g s of signal %d" %
			    (self.name, self.pid, seconds * patience, number))
			self.proc.kill()
			self.status = self.proc.wait()
		self.proc = None
		if self in _running:
			_running.remove(self)
		self.after_stop()
		return self.status

	def after_stop(self):
		pass

	def kill(self):
		"""SIGKILL, and no questions asked."""
		if self.proc is not None:
			self.proc.kill()
			self.status = self.proc.wait()
			self.proc = None
		if self in _running:
			_running.remove(self)

	def __enter__(self):
		return self

	def __exit__(self, kind, _value, _traceback):
		if kind is None:
			self.stop()
		else:
			self.kill()
			diag("%s said:" % self.name, self.stderr())


def _root_args(args):
	return ["-u", "root"] if os.geteuid() == 0 and "-u" not in args else []


def _listen_args(args):
	"""Where args make a server listen, choosing a free port if they do not say."""
	if "-s" in args:
		return [], args[args.index("-s") + 1]
	if "-p" in args:
		return [], ("127.0.0.1", int(args[args.index("-p") + 1]))
	port = free_port()
	more = ["-p", str(port)]
	if "-l" not in args:
		more += ["-l", "127.0.0.1"]
	return more, ("127.0.0.1", port)


def kvgate_binary():
	for path in (os.environ.get("KVGATE"),
	    os.path.join(os.environ.get("top_builddir", top_srcdir), "kvgate"),
	    os.path.join(top_srcdir, "kvgate")):
		if path and os.path.exists(path):
			return os.path.realpath(path)
	raise SystemExit("no kvgate: build it or set KVGATE")


_SANITIZER = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:")


class Kvgate(Server):
	"""
	kvgate with args (memcached's letters) and, if conf is given, that text as its
	configuration file. stop() is two test points in one: exit status 0, and no
	sanitizer had anything to say. check=False leaves that to the test.
	"""
	name = "kvgate"
	every = []

	def __init__(self, args=(), conf=None, check=True, env=None, under=()):
		"""under: a command that becomes the program that follows it."""
		args = [str(a) for a in args]
		self.check = check
		self.env = env
		self.conf_path = None
		more, addr = _listen_args(args)
		argv = list(under) + [kvgate_binary()] + _root_args(args) + more + args
		if conf is not None:
			fd, self.conf_path = tempfile.mkstemp(prefix="proxy.", suffix=".conf", dir=tmpdir())
			os.close(fd)
			os.chmod(self.conf_path, 0o644)
			self.write_conf(conf)
			argv.append(self.conf_path)
		Kvgate.every.append(self)
		self.start(argv, addr)

	def write_conf(self, text):
		"""Replaces the configuration file; send_signal(signal.SIGHUP) makes kvgate read it."""
		with open(self.conf_path, "w") as f:
			f.write(text)

	def after_stop(self):
		if not self.check:
			return
		said = self.stderr()
		report = _SANITIZER.search(said)
		if not ok(self.status == 0 and not report,
		    "kvgate ended with status 0 and nothing from a sanitizer"):
			diag("status %s of: %s" % (self.status, " ".join(self.argv)), said[-8000:])


class Memcached(Server):
	"""Debian's memcached (or $MEMCACHED) with args."""
	name = "memcached"

	def __init__(self, args=(), binary=None):
		args = [str(a) for a in args]
		binary = binary or os.environ.get("MEMCACHED") or shutil.which("memcached") or "/usr/bin/memcached"
		more, addr = _listen_args(args)
		self.binary = binary
		self.start([binary] + _root_args(args) + more + args, addr)

	def restart(self):
		"""The same again on the same port, empty."""
		self.kill()
		return self.start(self.argv)


class Nutcracker(Server):
	"""twemproxy in front of servers (Memcached objects or "host:port:weight name" strings)."""
	name = "nutcracker"

	def __init__(self, servers, hash="fnv1a_64", distribution="ketama", **pool):
		port, stats_port = free_port(), free_port()
		lines = ["pool:", "  listen: 127.0.0.1:%d" % port, "  hash: %s" % hash,
		    "  distribution: %s" % distribution, "  auto_eject_hosts: false"]
		lines += ["  %s: %s" % item for item in pool.items()]
		lines.append("  servers:")
		for s in servers:
			lines.append("   - " + (s if isinstance(s, str) else "127.0.0.1:%d:1" % s.port))
		conf = write_file("nutcracker.%d.yml" % port, "\n".join(lines) + "\n")
		binary = shutil.which("nutcracker") or "/usr/sbin/nutcracker"
		self.start([binary, "-c", conf, "-a", "127.0.0.1", "-s", stats_port], ("127.0.0.1", port))


# ---------------------------------------------------------------- clients

class Client:
	"""
	A raw connection. What is received and not yet taken waits in self.buf. Every wait
	has a deadline of `seconds`; a reset counts as the end of the stream.
	"""

	def __init__(self, addr, seconds=10):
		self.seconds = seconds * patience
		self.buf = b""
		self.eof = False
		if isinstance(addr, str):
			self.sock = socket.socket(socket.AF_UNIX)
		else:
			self.sock = socket.socket(socket.AF_INET6 if ":" in addr[0] else socket.AF_INET)
		try:
			self.sock.settimeout(self.seconds)
			self.sock.connect(addr)
			if not isinstance(addr, str):
				self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		except OSError:
			self.sock.close()
			raise

	def close(self):
		self.sock.close()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()

	def send(self, data):
		"""Sends all; False if the peer had closed."""
		self.sock.settimeout(self.seconds)
		try:
			self.sock.sendall(data)
			return True
		except (BrokenPipeError, ConnectionResetError):
			return False

	def send_and_read(self, data):
		"""Like send() for data so large that the peer may stop reading until we do."""
		end = time.monotonic() + self.seconds
		view = memoryview(data)
		self.sock.setblocking(False)
		while view:
			try:
				view = view[self.sock.send(view[:65536]):]
				end = time.monotonic() + self.seconds
			except BlockingIOError:
				self._fill(0.01, fail=False)
				self.sock.setblocking(False)
				if time.monotonic() > end:
					raise TimeoutError("the server takes no more bytes")
			except (BrokenPipeError, ConnectionResetError):
				return False
		return True

	def half_close(self):
		"""No more from us: the server sees the end of the stream, we may still read."""
		with contextlib.suppress(OSError):
			self.sock.shutdown(socket.SHUT_WR)

	def _fill(self, seconds, fail=True):
		"""Waits up to seconds for more bytes; False at the end of the stream."""
		if self.eof:
			return False
		self.sock.settimeout(max(seconds, 0.001))
		try:
			data = self.sock.recv(1 << 16)
		except socket.timeout:
			if fail:
				raise TimeoutError("no more bytes; so far: " + _shorten(self.buf)) from None
			return True
		except ConnectionResetError:
			data = b""
		if not data:
			self.eof = True
			return False
		self.buf += data
		return True

	def _take(self, n):
		data, self.buf = self.buf[:n], self.buf[n:]
		return data

	def recv(self, n):
		"""Exactly n bytes, or fewer if the stream ends."""
		end = time.monotonic() + self.seconds
		while len(self.buf) < n and self._fill(end - time.monotonic()):
			pass
		return self._take(n)

	def recv_until(self, pattern):
		"""All up to and with pattern: bytes, or a compiled regular expression."""
		end = time.monotonic() + self.seconds
		while True:
			if isinstance(pattern, bytes):
				at = self.buf.find(pattern)
				if at >= 0:
					return self._take(at + len(pattern))
			else:
				found = pattern.search(self.buf)
				if found:
					return self._take(found.end())
			if not self._fill(end - time.monotonic()):
				return self._take(len(self.buf))

	def line(self):
		return self.recv_until(b"\n")

	def recv_all(self):
		"""All to the end of the stream."""
		parts = []
		end = time.monotonic() + self.seconds
		while self._fill(end - time.monotonic()):
			parts.append(self._take(len(self.buf)))
			end = time.monotonic() + self.seconds
		parts.append(self._take(len(self.buf)))
		return b"".join(parts)

	def recv_quiet(self, seconds=0.2):
		"""
		All that comes until nothing came for so long. To show that something does NOT
		come prefer sync(), which needs no waiting.
		"""
		while True:
			had = len(self.buf)
			if not self._fill(seconds * patience, fail=False) or len(self.buf) == had:
				return self._take(len(self.buf))

	def sync(self):
		"""What came before the answer to an `mn` sent now."""
		self.send(b"mn\r\n")
		data = self.recv_until(b"MN\r\n")
		return data[:-4] if data.endswith(b"MN\r\n") else data

	def closed(self):
		"""Whether the server has closed (or closes before the deadline), sending no more."""
		return self.recv_all() == b""

	def call(self, data, until=b"\r\n"):
		"""Sends and returns the reply up to and with until."""
		self.send(data)
		return self.recv_until(until)

	def ask(self, data, expect, name=None):
		"""One test point: data is answered by just the bytes of expect."""
		self.send(data)
		try:
			got = self.recv(len(expect))
		except TimeoutError:
			got = self._take(len(self.buf))
		return is_(got, expect, name or _shorten(data, 70))


# ---------------------------------------------------------------- statistics

def stats(server, what=""):
	"""The answer to `stats [what]` of a Server or an address, as a dict of strings."""
	addr = server.addr if isinstance(server, Server) else server
	with Client(addr) as c:
		text = c.call(b"stats" + (b" " + what.encode() if what else b"") + b"\r\n",
		    re.compile(rb"(?:^|\n)(?:END|ERROR|RESET|CLIENT_ERROR[^\n]*|SERVER_ERROR[^\n]*)\r\n"))
	found = {}
	for line in text.decode("latin1").split("\r\n"):
		words = line.split(" ", 2)
		if words[0] == "STAT" and len(words) > 1:
			found[words[1]] = words[2] if len(words) > 2 else ""
	return found


class _Deltas(dict):
	__getattr__ = dict.__getitem__


@contextlib.contextmanager
def deltas(server, *names, what=""):
	"""
	with deltas(kv, "get_hits", "cmd_get") as d: ...
	Afterwards d.get_hits is how much the counter grew within.
	"""
	before = stats(server, what)
	d = _Deltas()
	yield d
	after = stats(server, what)
	for name in names:
		d[name] = int(after.get(name, "0")) - int(before.get(name, "0"))


# ---------------------------------------------------------------- the two modes

def fleet_conf(servers, local="5s", distribution="ketama", timeout=1):
	"""
	A configuration with the memcacheds (Server objects) as the fleet of one flat namespace.
	timeout: seconds of patience with a server; by default what kvgate has by default.
	"""
	names = ", ".join('"127.0.0.1:%d 1"' % s.port for s in servers)
	return ('store "fleet" { type = memcached  servers = { %s }  distribution = %s\n'
	    '  timeout = %dms  connect_timeout = %dms }\n'
	    'namespace "default" { prefix = "" primary { store = "fleet" } local { ttl = %s } }\n' %
	    (names, distribution, 1000 * timeout * patience, 1000 * patience, local))


def apart_cas(servers, gap=300000):
	"""
	Moves the CAS counters of the servers apart, so that a CAS unique seen by a client of
	the whole fleet names one item; each memcached counts from 1 by itself.
	"""
	for n, server in enumerate(servers):
		if n:
			with server.client() as c:
				c.send(b"ms kvt_apart 0 q\r\n\r\n" * (gap * n))
				c.call(b"md kvt_apart\r\n")


def both_modes(args=(), server_args=(), local="5s"):
	"""
	for mode, kv in both_modes(): ...
	"local": kvgate is the cache. "fleet": kvgate in front of two memcacheds, which are
	kv.servers. Each is stopped when the loop goes on.
	"""
	with Kvgate(args) as kv:
		kv.servers = []
		yield "local", kv
	servers = [Memcached(server_args), Memcached(server_args)]
	try:
		apart_cas(servers)
		with Kvgate(args, conf=fleet_conf(servers, local)) as kv:
			kv.servers = servers
			yield "fleet", kv
	finally:
		for s in servers:
			s.stop()
