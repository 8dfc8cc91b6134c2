#!/usr/bin/python3
"""
memcached's option letters, on a running kvgate: each means what it means to memcached, which is asked too where that can be
seen from outside; what is wrong is refused with one line and status 2.
"""
import os, re, socket, stat, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *

ROOT = ["-u", "root"] if os.geteuid() == 0 else []
BINARY = kvgate_binary()
# Options that say something and go.
SPEAK = "-h --help -V --version -i --license".split()


def run(*args, root=True):
	"""Status, standard output, standard error of a kvgate that is expected to end by itself."""
	p = subprocess.run([BINARY] + (ROOT if root else []) + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
	    stderr=subprocess.PIPE, timeout=20 * patience, text=True)
	return p.returncode, p.stdout, p.stderr


def refused(args, pattern, name=None, **options):
	status, out, err = run(*args, **options)
	lines = err.splitlines()
	good = status == 2 and out == "" and len(lines) == 1 and re.search(pattern, lines[0]) is not None
	if not ok(good, name or " ".join(args)):
		diag("status %d" % status, out, err, "want ~ " + pattern)


def speaking():
	for option in SPEAK:
		status, out, err = run(option)
		ok(status == 0 and err == "" and len(out) > 10, option)
	like(run("-V")[1], r"^kvgate [0-9.]+ \(memcached 1\.6\.[0-9]+\)\n$", "-V")
	ok(run("-h", root=False)[0] == 0, "-h needs no -u")


def help_is_in_the_manual():
	"""Every option that --help knows is in kvgate(8), and every key of the file in proxy.conf(5)."""
	with open(os.path.join(top_srcdir, "man", "kvgate.8")) as f:
		page = f.read()
	listed = re.findall(r"^-(\w)(?:, --([\w-]+))?", run("-h")[1], re.M)
	is_(len(listed) > 25, True, "--help lists the options")
	for letter, name in listed:
		ok(re.search(r"^\.It Fl %s\b.*%s" % (letter, "Fl -" + name if name else ""), page, re.M), "kvgate(8) has -%s" % letter)
	with open(os.path.join(top_srcdir, "man", "proxy.conf.5")) as f:
		page = f.read()
	known = set()
	for text in ("x = 1", 'store "a" { x = 1 }', 'namespace "a" { x = 1 }', "local_cache { x = 1 }", 'listen "*:1" { x = 1 }',
	    'namespace "a" { local { x = 1 } }', 'namespace "a" { primary { x = 1 } }', 'namespace "a" { slo_read { x = 1 } }',
	    'namespace "a" { cache { x = 1 } }', 'namespace "a" { compression { x = 1 } }'):
		said = run("--check", write_file("x.conf", text))[2]
		known |= set(said.split("known: ")[1].strip().split(", "))
	is_(len(known) > 30, True, "the messages list the keys")
	for key in sorted(known):
		ok(re.search(r"^\.(It Ic|Ss) .*\b%s\b" % key, page, re.M), "proxy.conf(5) has " + key)


def settings():
	args = ["-m", "100", "-I", "2m", "-c", "333", "-t", "3", "-R", "7", "-b", "99", "-M", "-C", "-F", "-X", "-D", "."]
	with Kvgate(args) as kv, Memcached(args) as mc:
		ours, theirs = stats(kv, "settings"), stats(mc, "settings")
		for name in ("maxbytes item_size_max maxconns num_threads reqs_per_event tcp_backlog evictions cas_enabled "
		    "flush_enabled dump_enabled stat_key_prefix detail_enabled inter domain_socket umask verbosity idle_timeout "
		    "shutdown_command").split():
			if name in theirs:
				is_(ours.get(name), theirs[name], "stats settings: %s is memcached's" % name)
		is_([name for name in theirs if name not in ours and not re.match("ext_|ssl_|proxy_|slab_automove_free", name)],
		    [],
		    "every line of memcached's stats settings is there")
		is_(ours["tcpport"], str(kv.port), "tcpport")
		with kv.client() as c:
			c.ask(b"gets nothing\r\nset a 0 0 1\r\nb\r\ngets a\r\n", b"END\r\nSTORED\r\nVALUE a 0 1 0\r\nb\r\nEND\r\n", "-C: CAS is 0")
			c.ask(b"flush_all\r\n", b"CLIENT_ERROR flush_all not allowed\r\n", "-F")
			c.ask(b"lru_crawler metadump all\r\n", b"ERROR metadump not allowed\r\n", "-X")
			c.ask(b"shutdown\r\n", b"SERVER_ERROR: shutdown not enabled\r\n", "no -A")
			c.ask(b"set b 0 0 1500000\r\n" + b"x" * 1500000 + b"\r\n", b"STORED\r\n", "-I 2m")


def shutdown():
	kv = Kvgate(["-A"])
	with kv.client() as c:
		c.send(b"shutdown\r\n")
		ok(c.closed(), "-A: shutdown closes")
	wait_for(lambda: not kv.alive(), what="the end after shutdown")
	is_(kv.stop(), 0, "and ends with status 0")


def where_it_listens():
	port, other = free_port(), free_port()
	with Kvgate(["-p", str(port), "-l", "127.0.0.1,127.0.0.2:%d" % other, "-l", "[::1]"]) as kv:
		for addr in (("127.0.0.1", port), ("127.0.0.2", other), ("::1", port)):
			with Client(addr) as c:
				ok(c.call(b"mn\r\n") == b"MN\r\n", "-l: %s port %d" % addr)
		try:
			Client(("127.0.0.2", port)).close()
			ok(False, "-l: nowhere else")
		except ConnectionRefusedError:
			ok(True, "-l: nowhere else")
	with Kvgate(["-p", str(port)]) as kv:
		for addr in (("127.0.0.3", port), ("::1", port)):
			with Client(addr) as c:
				ok(c.call(b"mn\r\n") == b"MN\r\n", "no -l: %s" % addr[0])


def unix_socket():
	path = os.path.join(tmpdir(), "k.sock")
	for mode in (None, "0777", "0600"):
		with Kvgate(["-s", path] + (["-a", mode] if mode else [])) as kv:
			is_(stat.S_IMODE(os.stat(path).st_mode), int(mode or "0700", 8), "-s, -a %s: mode" % mode)
			is_(stats(kv, "settings")["domain_socket"], path, "domain_socket")
			with kv.client() as c:
				c.ask(b"set a 0 0 1\r\nb\r\nget a\r\n", b"STORED\r\nVALUE a 0 1\r\nb\r\nEND\r\n", "it serves")
		ok(not os.path.exists(path), "the socket is gone afterwards")
	stale = socket.socket(socket.AF_UNIX)
	stale.bind(path)
	stale.close()
	with Kvgate(["-s", path]) as kv, kv.client() as c:
		ok(c.call(b"mn\r\n") == b"MN\r\n", "a socket that was left behind is replaced")
	write_file("k.sock", "not a socket\n")
	refused(["-s", path], r"k\.sock", "a file that is no socket is not")


def connection_limit():
	with Kvgate(["-c", "5"]) as kv:
		def served():
			c = kv.client()
			c.send(b"mn\r\n")
			if c.recv_until(b"\r\n") == b"MN\r\n":
				return c
			c.close()

		# The client by which the start was noticed may still count.
		clients = [wait_for(served, what="a place for a client") for _ in range(5)]
		ok(True, "-c 5: five clients are served")
		with kv.client() as c:
			is_(c.recv_all(), b"SERVER_ERROR too many open connections\r\n", "the sixth is told and closed")
		clients.pop().close()
		clients.append(wait_for(served, what="a place for another client"))
		ok(True, "when one goes another may come")
		for c in clients:
			c.close()


def a_line_of_a_running_memcached():
	"""What Debian's scripts and others start memcached with."""
	port = free_port()
	pid = os.path.join(tmpdir(), "m.pid")
	args = ["-m", "64", "-p", str(port), "-u", "root" if os.geteuid() == 0 else "nobody", "-l", "127.0.0.1", "-P", pid, "-U", "0",
	    "-o", "modern,hashpower=16,no_lru_crawler,slab_chunk_max=512", "-f", "1.08", "-n", "48", "-B", "auto", "-c", "1024", "-t", "4", "-v"]
	for server in (Memcached, Kvgate):
		with server(args) as s:
			with s.client() as c:
				c.ask(b"set a 0 0 1\r\nb\r\n", b"STORED\r\n", "%s takes it" % s.name)
			wait_for(lambda: os.path.exists(pid), what="the pid file")
			is_(int(open(pid).read()), s.pid, "-P: the pid")
			if server is Kvgate:
				like(s.stderr(), r"warning: option -f: no use", "with warnings for what has no use")
		if server is Kvgate:
			ok(not os.path.exists(pid), "the pid file goes with it")
		else:
			os.unlink(pid)


def bad_ones():
	refused(["-q"], r"^kvgate: option -q: unknown; ")
	refused(["--no-such-option"], r"^kvgate: option --no-such-option: unknown; ")
	refused(["-t", "zero"], r"^kvgate: option -t: \"zero\" is out of bounds; 1 to ")
	refused(["-I", "100m"], r"^kvgate: option -I: .*half of the memory")
	refused(["-m", "12q"], r"^kvgate: option -m: ")
	refused(["-o", "no_such_word"], r"^kvgate: option -o: \"no_such_word\" is unknown; ")
	refused(["-S"], r"^kvgate: option -S: SASL is not in this version; ")
	refused(["a.conf", "b.conf"], r"^kvgate: \"a.conf\" and \"b.conf\" are too many files; ")
	if os.geteuid() == 0:
		refused([], r"^kvgate: option -u: started as root it must be given; ", "root without -u", root=False)
		refused(["-u", "no-such-user"], r"^kvgate: option -u: there is no user", root=False)
	with Kvgate() as kv:
		refused(["-l", "127.0.0.1", "-p", str(kv.port)], r"^kvgate: .*127\.0\.0\.1:%d.*in use" % kv.port, "a port in use")
		refused(["-d", "-l", "127.0.0.1", "-p", str(kv.port)], r"^kvgate: .*in use", "a port in use, as a daemon")
	refused(["-l", "no-such-host.invalid"], r"^kvgate: .*no-such-host\.invalid", "a host that is not there")
	refused(["-s", "/no/such/dir/sock"], r"^kvgate: .*/no/such/dir/sock", "a socket that cannot be")


speaking()
help_is_in_the_manual()
settings()
shutdown()
where_it_listens()
unix_socket()
connection_limit()
a_line_of_a_running_memcached()
bad_ones()
done_testing()
