#!/usr/bin/python3
"""
kvgate-dict makes a dictionary of a namespace's values; with it JSON of 300 bytes is stored at least 60 % smaller, and what
was stored with an older one, or none, stays readable.
"""
import json, os, random, re, signal, subprocess, sys
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
		plain, now = sum(len(v) for v in with_first.values()), stored(r, "b") - 64 * 1000
		ok(now <= 0.4 * plain, "JSON of %d bytes is %d %% smaller, at least 60 (with its head %d %%)" % (plain / 1000,
		    100 - 100 * now / plain, 100 - 100 * (now + 64000) / plain))
		are_there(c, with_first, "what was written with it comes back")
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

		kv.write_conf(CONF % (r.port, 'dictionary = "%s"' % write_file("bad.dict", "no dictionary")))
		kv.send_signal(signal.SIGHUP)
		wait_for(lambda: "nothing has changed" in kv.stderr(), what="the refusal")
		like(kv.stderr(), r"nothing has changed: [^\n]*bad.dict", "what is no dictionary is refused by name")
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
