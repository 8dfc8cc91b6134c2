#!/usr/bin/python3
"""
The configuration file on a running kvgate: namespaces go where the file says, the command line wins, and what is wrong is one
line with file, line and what would be right, status 2, nothing started.
"""
import os, re, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *

BINARY = kvgate_binary()


def check(text, *options):
	"""Status, standard output, standard error of kvgate --check; text None: no such file."""
	path = os.path.join(tmpdir(), "none.conf") if text is None else write_file("check.conf", text)
	p = subprocess.run([BINARY] + list(options) + ["--check", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
	    stderr=subprocess.PIPE, timeout=20 * patience)
	return p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")


def refused(text, line, pattern):
	status, out, err = check(text)
	want = r"^kvgate: [^:]*/check\.conf:%d: .*%s.*; .+\n$" % (line, pattern)
	if not ok(status == 2 and out == "" and re.search(want, err) is not None and err.count("\n") == 1,
	    "line %d: %s" % (line, pattern)):
		diag("status %d" % status, out, err, "want ~ " + want)


def refusals():
	store = 'store "s" { type = memcached servers = { "127.0.0.1:1" } }\n'
	refused("threads = 2\nbogus = 1\n", 2, 'unknown key "bogus"')
	refused("\n\nlocal_cache { memory = 64XB }\n", 3, "memory = 64XB is not a size")
	refused('namespace "n" { prefix = "n:"\n primary { store = "nowhere" } }\n', 2, 'store "nowhere" is unknown')
	refused('namespace "a" { prefix = "x:" }\nnamespace "b" { prefix = "x:" }\n', 2, "have one prefix")
	refused(store + store, 2, '"s" is here a second time')
	refused('store "s" { type = memcached\n}\n', 1, "has no servers")
	refused('store "s" { type = memcached\n servers = { "h:1 0" } }\n', 2, "the weight is not a number")
	refused(store[:-2] + ' hash_tag = "{" }\n', 1, "is not two characters")
	refused('# "\nuser = "nobody\n\n', 2, "this string never ends")
	refused("threads = 999999999999999999999999999\n", 1, "out of bounds")
	refused("threads = 1\x00\n", 1, "a NUL byte")
	refused('store "s" {\n type = cql }\n', 2, "not in this version")
	refused('store "s" {\n type = rocksdb }\n', 1, "has no path")
	refused('\nadmin = "127.0.0.1:80"\n', 2, "not in this version")
	refused('listen "127.0.0.1:70000" { }\n', 1, "the port is not a number")
	refused("x" * 5000 + " = 1\n", 1, "unknown key")
	refused("local_cache { memory = 1MB\n item_size_max = 1MB }\n}\n", 3, "a } too many")
	refused('store "s" { type = redis servers = { "h", "i" }\nreplicas = 2\nwrite_quorum = 3 }\n', 3,
	    "write_quorum = 3 is more than replicas = 2")
	refused('store "s" { type = redis servers = { "h" }\non_down = failover }\n', 2, "is left to stand in")
	refused('store "s" { type = redis-cluster servers = { "h" }\ndatabase = 3 }\n', 2, "does not go with type = redis-cluster")
	refused(store + 'namespace "default" { primary { store = "s" }\nhedge = auto }\n', 3, "there is nothing to hedge to")
	refused(store + 'namespace "default" { primary { store = "s"\nformat = item } }\n', 3, "needs a store that runs scripts")
	refused(store + 'namespace "default" { primary { store = "s" } local { ttl = 0 }\non_error = stale }\n', 3, "without local copies")
	status, out, err = check(None)
	ok(status == 2 and re.search(r"^kvgate: .*/none\.conf:1: cannot be read: No such file", err), "a file that is not there")
	p = subprocess.run([BINARY, "--check", "/"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
	ok(p.returncode == 2 and p.stderr == "kvgate: /:1: is a directory; a regular file\n", "a directory")
	status, out, err = check("local_cache { memory = 1MB item_size_max = 1MB }\n")
	ok(status == 2 and "more than half of the memory" in err, "an item that is half the memory")
	if os.geteuid() != 0:
		path = write_file("secret.conf", "threads = 1\n")
		os.chmod(path, 0)
		p = subprocess.run([BINARY, "--check", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
		ok(p.returncode == 2 and "Permission denied" in p.stderr, "a file that may not be read")


def good_ones():
	for name in ("proxy.conf.example",):
		p = subprocess.run([BINARY, "--check", os.path.join(top_srcdir, name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
		    text=True)
		ok(p.returncode == 0 and p.stderr == "" and p.stdout.endswith(name + ": good\n"), name + " is good")
	with open(os.path.join(top_srcdir, "proxy.conf.example")) as f:
		text = f.read()
	# Each of its further parts with the comment marks off, its own default namespace out.
	parts = re.findall(r"(?m)(?:^#(?:(?:store|namespace|\t|}).*)?\n)+", text)
	parts = [re.sub(r"(?m)^#", "", part) for part in parts if "#store" in part]
	is_([re.search(r"type = (\S+)", part).group(1) for part in parts], ["memcached", "redis", "redis-cluster"], "its other parts")
	for part in parts:
		whole = re.sub(r'(?m)^(?:store "disk"|namespace "(?:default|user)") .*\n', "", text) + part
		status, out, err = check(whole)
		if not ok(part.count('namespace "default"') == 1 and status == 0 and err == "", "good without the comment marks"):
			diag(err)
	for page in ("README.md", "man/proxy.conf.5"):
		with open(os.path.join(top_srcdir, page)) as f:
			found = re.findall(r'^listen "127\.0\.0\.1:11211".*?^(?:```|\.Ed)', f.read(), re.M | re.S)
		text = found[0].replace("```", "").replace(".Ed", "") if found else ""
		status, out, err = check(text)
		ok(text and status == 0 and err == "", "the example of %s is good" % page)
	status, out, err = check('store "s" { type = memcached servers = { "127.0.0.1:1" } }\n')
	ok(status == 0 and re.search(r'^kvgate: warning: .*check\.conf:1: no namespace uses store "s"\n$', err), "an unused store is a warning")
	is_(check("")[0], 0, "an empty file is good")


def what_a_reload_does_not_change():
	says = "counts at a start only; a reload does not change it, a restart does"
	status, out, err = check('threads = 3\nverbose = 1\nlisten "127.0.0.1:1" { }\nlocal_cache { memory = 8MB\nevict = no }\n')
	is_((status, err), (0, ""), "a good file is good")
	lines = [re.sub(r"^.*/check\.conf", "", line) for line in out.splitlines()]
	is_(lines, [":1: threads " + says, ":3: listen " + says, ":5: evict " + says, ": good"], "--check names what a reload leaves alone")
	is_(len(check("threads = 3\n", "-t", "2")[1].splitlines()), 1, "but for what the command line hides")


def passwords():
	"""Whatever is wrong around it, no message shows a password."""
	secret, shown = "gJ7hidden", []
	for text in ("password = %s there", "password = \"%s\\777\"", "password = %s\npassword = again", "password = %s } }",
	    "password = (%s)", "user = \"\" password = %s", "password = %s database = -1", "password = '%s' type = redis",
	    "password = \"%s", "password = %s|", "password = {%s}", "password += %s", "password %s", "password = there %s { }",
	    "database = x password = \"%s\\", "replicas = 9 password = %s", "password = %s bogus = 1"):
		for kind in ("redis", "redis-cluster", "memcached"):
			status, out, err = check('store "s" { type = %s servers = { "h" } ' % kind + text % secret + " }\n")
			if status != 2 or secret in out + err or err.count("\n") != 1:
				shown.append((text, kind, status, err))
	if not is_(len(shown), 0, "no message shows a password"):
		diag(*shown)


def namespaces():
	with Memcached() as one, Memcached() as two:
		conf = """
store "one" { type = memcached  servers = { "127.0.0.1:%d" } }
store "two" { type = memcached  servers = { "127.0.0.1:%d" } }
namespace "default"  { primary { store = "one" } local { ttl = 0 } }
namespace "second"   { prefix = "two:"     primary { store = "two" } local { ttl = 0 } }
namespace "here"     { prefix = "two:here" }
""" % (one.port, two.port)
		with Kvgate(conf=conf) as kv, kv.client() as c, one.client() as c1, two.client() as c2:
			for key in (b"a", b"two:a", b"two:here:a", b"tw"):
				c.ask(b"set %s 5 0 %d\r\n%s\r\n" % (key, len(key), key), b"STORED\r\n", "set %s" % key.decode())
			for key, at in ((b"a", c1), (b"tw", c1), (b"two:a", c2)):
				at.ask(b"get %s\r\n" % key, b"VALUE %s 5 %d\r\n%s\r\nEND\r\n" % (key, len(key), key), "%s is in its store" % key.decode())
			c1.ask(b"get two:a two:here:a\r\n", b"END\r\n", "no other namespace's keys in the first")
			c2.ask(b"get a tw two:here:a\r\n", b"END\r\n", "nor in the second")
			c.ask(b"get two:here:a a two:a\r\n",
			    b"VALUE two:here:a 5 10\r\ntwo:here:a\r\nVALUE a 5 1\r\na\r\nVALUE two:a 5 5\r\ntwo:a\r\nEND\r\n",
			    "one read over three namespaces")
			c2.ask(b"set two:a 0 0 1\r\nn\r\n", b"STORED\r\n", "written behind its back")
			c.ask(b"get two:a\r\n", b"VALUE two:a 0 1\r\nn\r\nEND\r\n", "ttl = 0: every read asks the server")


def the_command_line_wins():
	conf = 'threads = 2  max_connections = 55  local_cache { memory = 32MB }  listen "127.0.0.1:1" { }\n'
	with Kvgate(["-t", "3", "-m", "48"], conf=conf) as kv:
		found = stats(kv, "settings")
		is_((found["num_threads"], found["maxbytes"], found["maxconns"]), ("3", str(48 << 20), "55"),
		    "over threads and memory, not over max_connections; -p and -l over listen")


def listen_sections():
	port, path = free_port(), os.path.join(tmpdir(), "c.sock")
	conf = write_file("listen.conf", 'listen "127.0.0.1:%d" { }\nlisten "unix:%s" { mode = 0666 }\n' % (port, path))
	args = ["-u", "root"] if os.geteuid() == 0 else []
	p = subprocess.Popen([BINARY] + args + [conf], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
	try:
		def both():
			try:
				return [Client(("127.0.0.1", port)).call(b"mn\r\n"), Client(path).call(b"mn\r\n")]
			except OSError:
				return None
		is_(wait_for(both, what="both listeners"), [b"MN\r\n"] * 2, "TCP and a UNIX socket side by side")
		is_(os.stat(path).st_mode & 0o777, 0o666, "its mode")
	finally:
		p.terminate()
		err = p.communicate(timeout=20 * patience)[1]
	is_((p.returncode, err), (0, b""), "ends with status 0 and not a word")


refusals()
good_ones()
what_a_reload_does_not_change()
passwords()
namespaces()
the_command_line_wins()
listen_sections()
done_testing()
