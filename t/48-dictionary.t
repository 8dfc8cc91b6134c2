#!/usr/bin/python3
"""
kvgate-dict makes a dictionary of a namespace's values; with it JSON of 300 bytes is stored at least 60 % smaller, and what
was stored with an older one, or none, stays readable.
"""
import json, os, random, re, signal, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

DICT = os.path.join(os.path.dirname(kvgate_binary()), "kvgate-dict")
CONF = """store "r" { type = redis  servers = { "127.0.0.1:%d" } }
namespace "default" { prefix = ""  primary { store = "r"  format = item } }
namespace "user" { prefix = "user:"  item_separator = "/"  primary { store = "r"  format = item }  local { ttl = 0 }
	compression { codec = zstd  min_size = 100  %s } }
"""
rng = random.Random(11)


def person(i):
	return json.dumps({"id": i, "account": "%08x" % rng.getrandbits(32), "email": "user%d@mail.example" % i,
	    "name": {"first": "N%d" % rng.randrange(99), "last": "L%d" % rng.randrange(99)}, "active": rng.random() < .7,
	    "address": {"city": rng.choice(("Lisbon", "Oslo", "Lima", "Turin")), "postcode": "%05d" % rng.randrange(99999)},
	    "created_at": "2025-%02d-%02dT%02d:%02d:00Z" % (rng.randrange(1, 13), rng.randrange(1, 29), rng.randrange(24),
	    rng.randrange(60)), "plan": rng.choice(("free", "business")), "tags": ["new", "t%d" % rng.randrange(30)]}).encode()


def run(*args):
	p = subprocess.run([DICT] + list(args), capture_output=True, text=True, timeout=60 * patience)
	return p.returncode, p.stdout, p.stderr


def fill(c, name, n):
	values = {b"user:%s%d" % (name, i): person(i) for i in range(n)}
	c.send(b"".join(b"ms %s %d q\r\n%s\r\n" % (k, len(v), v) for k, v in values.items()))
	c.sync()
	return values


def are_there(c, values, what):
	c.send(b"".join(b"get %s\r\n" % k for k in values))
	for k, v in values.items():
		got = c.recv_until(b"END\r\n")
		if got != b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (k, len(v), v):
			is_(got, v, what)
			return
	ok(True, what)


def checked(text):
	path = write_file("check.conf", text)
	p = subprocess.run([kvgate_binary(), "--check", path], stdin=subprocess.DEVNULL, capture_output=True, text=True,
	    timeout=20 * patience)
	return p.returncode, p.stderr


def what_is_wrong(kv, home, good):
	"""--check says it with file and line, and a reload leaves all as it is."""
	with open(good, "rb") as f:
		text = f.read()
	none, twin = os.path.join(home, "none.dict"), os.path.join(home, "twin.dict")
	blocked = write_file("blocked.dict", "")
	cases = [(none, "No such file or directory"), (write_file("bad.dict", "no dictionary"), "nothing that zstd knows"),
	    (write_file("empty.dict", ""), "nothing that zstd knows"), (home, "no regular file"), (twin, "has the id of another one")]
	if os.geteuid() != 0:
		os.chmod(blocked, 0)
		cases.append((blocked, "Permission denied"))
	with open(twin, "wb") as f:
		f.write(text[:-1] + bytes((text[-1] ^ 1,)))
	for path, what in cases:
		conf = CONF % (1, 'dictionary = "%s"' % path)
		named = good if path == twin else path
		status, err = checked(conf)
		like(err, r"^kvgate: [^:]*/check\.conf:4: [^\n]*%s[^\n]*%s[^\n]*; .*\n$" % (re.escape(os.path.basename(named)), what),
		    "--check: " + what)
		is_(status, 2, "and that is an error")
		was = kv.stderr().count("nothing has changed")
		kv.write_conf(conf)
		kv.send_signal(signal.SIGHUP)
		wait_for(lambda: kv.stderr().count("nothing has changed") > was, what="the refusal")
		like(kv.stderr(), r"nothing has changed: [^:\n]*:4: [^\n]*%s" % what, "a reload says the same")
	os.unlink(twin)
	is_(checked(CONF % (1, 'dictionary = "%s"' % good)), (0, ""), "the good one is good")


def stored(r, name):
	"""Bytes of all strings that are about such keys."""
	with r.resp() as c:
		keys = c.call("KEYS", "*user:%s*" % name)
		kinds = c.pipeline(*[("TYPE", k) for k in keys])
		return sum(c.pipeline(*[("STRLEN", k) for k, kind in zip(keys, kinds) if kind == b"string"]))


home = os.path.join(tmpdir(), "dictionaries")
os.mkdir(home)
os.chmod(home, 0o755)
first, second = os.path.join(home, "user-1.dict"), os.path.join(home, "user-2.dict")

is_(run()[0], 2, "no arguments")
is_(run("-b", "10", "user")[0], 2, "a size that makes no sense")
like(run("-s", "127.0.0.1:1", "user")[2], "^kvgate-dict: 127.0.0.1:1: Connection refused$", "nobody there")
with Redis() as r, Kvgate(["-t", "1"], conf=CONF % (r.port, "")) as kv:
	with kv.client() as c:
		server = "127.0.0.1:%d" % kv.port
		like(run("-s", server, "nobody")[2], "CLIENT_ERROR unknown namespace", "a namespace that is not there")
		like(run("-s", server, "-o", first, "user")[2], "^kvgate-dict: too few values", "an empty one")
		bare = fill(c, b"a", 2000)
		rc, out, err = run("-s", server, "-b", "16384", "-o", first, "user")
		ok(rc == 0 and re.match(r"%s: \d+ bytes, of 2000 values of 2\d\d bytes on the average" % re.escape(first), out),
		    "a dictionary is made: %s%s" % (out, err))
		like(run("-s", server, "-o", first, "user")[2], "File exists", "one is never written over")

		kv.write_conf(CONF % (r.port, 'dictionary = "%s"' % first))
		kv.send_signal(signal.SIGHUP)
		wait_for(lambda: "in effect" in kv.stderr(), what="the new configuration")
	with kv.client() as c:
		with_first = fill(c, b"b", 1000)
		plain, now = sum(len(v) for v in with_first.values()), stored(r, "b")
		ok(now - 40 * 1000 <= 0.4 * plain, "JSON of %d bytes is %d %% smaller, at least 60" % (plain / 1000,
		    100 - 100 * (now - 40 * 1000) / plain))
		ok(now <= 0.4 * (plain + 28 * 1000), "with the heads of both %d %%" % (100 - 100 * now / (plain + 28 * 1000)))
		are_there(c, with_first, "what was written with it comes back")
		for k in list(with_first)[:3]:
			c.ask(b"md %s I E%d Pa T60\r\n" % (k, time.time_ns() // 1000), b"HD\r\n", "a token makes its head longer")
			c.ask(b"kg %s k s f\r\n" % k, b"HD k s%d f0\r\nEN\r\n" % len(with_first[k]), "which still says its size")
		are_there(c, with_first, "and it comes back")
		are_there(c, bare, "and what was there before")

		rc, out, err = run("-s", server, "-b", "8192", "-o", second, "user")
		is_((rc, err), (0, ""), "another dictionary: %s" % out)
		kv.write_conf(CONF % (r.port, 'dictionary = "%s"' % second))
		kv.send_signal(signal.SIGHUP)
		wait_for(lambda: kv.stderr().count("in effect") == 2, what="the new configuration")
	with kv.client() as c:
		with_second = fill(c, b"c", 1000)
		are_there(c, with_second, "what was written with the new one comes back")
		are_there(c, with_first, "and what was written with the old one")

		what_is_wrong(kv, home, second)
		are_there(c, with_second, "and all is as before")

	os.rename(first, first + ".gone")
	with Kvgate(["-t", "1"], conf=CONF % (r.port, 'dictionary = "%s"' % second)) as other, other.client() as c:
		like(c.call(b"get user:b1\r\n"), rb'^SERVER_ERROR store "r": value needs a zstd dictionary that is not there',
		    "without its dictionary a value is an error, not rubbish")
		are_there(c, with_second, "others are readable")

names = []
for i in range(300):
	names.append(write_file("sample", person(i).decode()))
rc, out, err = run("-f", "-b", "4096", "-o", os.path.join(home, "files.dict"), *names)
is_(rc, 0, "made of files: %s%s" % (out, err))
done_testing()
