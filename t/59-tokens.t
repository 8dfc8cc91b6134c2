#!/usr/bin/python3
"""
Idempotency tokens on ms, md and ma in item namespaces: E is the time, P the nonce. The newest token wins in whichever order
they come, a token that comes again changes nothing and is answered as the first time, times far from the clock are refused,
and elsewhere E is memcached's.
"""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from redises import *

SPACES = """
namespace "default" { prefix = ""  primary { store = "s" %s }  local { ttl = 60s }  token_drift_ahead = 1h  token_drift_behind = 2h  delete_ttl = 3h }
namespace "r" { prefix = "r:"  item_separator = "/"  primary { store = "s" %s }  local { ttl = 60s } }
namespace "near" { prefix = "near:"  primary { store = "s" %s }  token_drift_ahead = 0  token_drift_behind = 1s }
"""
DRIFT = b"CLIENT_ERROR token drift\r\n"
SECOND = 1000000


def now():
	return int(time.time() * SECOND)


def ms(key, value, flags):
	return b"ms %s %d %s\r\n%s\r\n" % (key, len(value), flags, value)


def lww(c, k):
	"""Whatever the order, the highest (time, nonce) is what is there."""
	t = now()
	writes = [(t, 0, b"a"), (t, 1, b"b"), (t, 0xfe, b"c"), (t + 5, 0, b"d"), (t - 5, 7, b"e")]
	orders = [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (3, 0, 2, 4, 1), (1, 3, 4, 0, 2)]
	for n, order in enumerate(orders):
		key = k + b"lww%d" % n
		for i in order:
			at, nonce, value = writes[i]
			c.ask(ms(key, value, b"E%d P%x" % (at, nonce)), b"HD\r\n")
		c.ask(b"mg %s v c\r\n" % key, b"VA 1 c%d\r\nd\r\n" % (t + 5), "the newest of %s" % (order,))
	for n, order in enumerate(((0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2))):
		key = k + b"del%d" % n
		steps = (ms(key, b"old", b"E%d Pa" % t), b"md %s E%d P2\r\n" % (key, t + 1), ms(key, b"new", b"E%d" % (t + 2)))
		for i in order:
			c.call(steps[i])
		c.ask(b"mg %s v\r\n" % key, b"VA 3\r\nnew\r\n", "a delete between two puts, %s" % (order,))
	key = k + b"gone"
	c.ask(ms(key, b"x", b"E%d" % t), b"HD\r\n")
	c.ask(b"md %s E%d P1\r\n" % (key, t + 9), b"HD\r\n", "a delete")
	c.ask(ms(key, b"late", b"E%d Pff" % (t + 8)) + b"mg %s v\r\n" % key, b"HD\r\nEN\r\n", "what is older and comes later does not bring it back")
	c.ask(b"md %snever E%d\r\n" % (k, t + 9), b"NF\r\n", "a delete of nothing")
	c.ask(ms(k + b"never", b"x", b"E%d" % t) + b"mg %snever v\r\n" % k, b"HD\r\nEN\r\n", "is one all the same")


def repeats(c, k):
	t = now()
	key = k + b"n"
	c.ask(b"set %s 0 0 1\r\n5\r\n" % key, b"STORED\r\n")
	add = b"ma %s E%d P7 D10 v\r\n" % (key, t)
	c.ask(add, b"VA 2\r\n15\r\n", "ma")
	c.ask(add + add, b"VA 2\r\n15\r\n" * 2, "again: the same answer")
	c.ask(b"incr %s 1\r\n" % key + add, b"16\r\nVA 2\r\n15\r\n", "also when there is more by now")
	c.ask(b"mg %s v\r\n" % key, b"VA 2\r\n16\r\n", "it counted once")
	c.ask(b"ma %s E%d P8 D10 v\r\n" % (key, t), b"VA 2\r\n26\r\n", "another nonce is another token")
	key = k + b"a"
	c.ask(b"set %s 0 0 1\r\n-\r\n" % key, b"STORED\r\n")
	append = ms(key, b"abc", b"MA E%d P9" % t)
	c.ask(append + append + b"mg %s v\r\n" % key, b"HD\r\nHD\r\nVA 4\r\n-abc\r\n", "an append counts once")
	key = k + b"add"
	first = ms(key, b"first", b"ME E%d Paa" % (t + 1))
	c.ask(first + first, b"HD\r\nHD\r\n", "an add is done once, and was done")
	c.ask(ms(key, b"other", b"ME E%d Pab" % (t + 1)), b"NS\r\n", "another one's is not")
	key = k + b"c"
	unique = int(c.call(ms(key, b"x", b"c")).split(b" c")[1])
	swap = ms(key, b"y", b"C%d E%d Pcc" % (unique, now()))
	c.ask(swap + swap, b"HD\r\nHD\r\n", "a cas is done once, and was done")
	c.ask(ms(key, b"z", b"C%d E%d Pcd" % (unique, now())), b"EX\r\n", "not another's")
	key = k + b"blind"
	put = ms(key, b"v", b"E%d P1 c" % t)
	c.ask(put + put, b"HD c%d\r\n" % t * 2, "a blind write says its version")
	c.ask(b"touch %s 100\r\n" % key + put, b"TOUCHED\r\nHD c%d\r\n" % t, "twice")
	c.ask(b"get %s\r\n" % key, b"VALUE %s 0 1\r\nv\r\nEND\r\n" % key, "the classic way")


def plain_writes(c, k):
	"""What has no token gets a version here, above what it replaces."""
	t = now() + 600 * SECOND
	key = k + b"p"
	c.ask(ms(key, b"future", b"E%d Pff" % t), b"HD\r\n")
	c.ask(b"set %s 0 0 5\r\nplain\r\nget %s\r\n" % (key, key), b"STORED\r\nVALUE %s 0 5\r\nplain\r\nEND\r\n" % key, "a plain set is never lost")
	is_(int(c.call(b"mg %s c\r\n" % key).split(b" c")[1]), t + 1, "its version is just above")
	c.ask(ms(key, b"late", b"E%d Pff" % (t - 1)) + b"mg %s v\r\n" % key, b"HD\r\nVA 5\r\nplain\r\n", "an older token is lost to it")
	c.ask(b"delete %s\r\n" % key + ms(key, b"later", b"E%d" % (t + 1)) + b"mg %s v\r\n" % key, b"DELETED\r\nHD\r\nEN\r\n", "so is one to a plain delete")
	versions = [int(c.call(ms(k + b"v", b"x", b"c")).split(b" c")[1]) for _ in range(50)]
	ok(all(a < b for a, b in zip(versions, versions[1:])), "versions made here rise")


def refused(c, k):
	t = now()
	for flags, said in ((b"P1", b"CLIENT_ERROR P needs E\r\n"), (b"P", b"CLIENT_ERROR P needs E\r\n"),
	    (b"E%d P" % t, b"CLIENT_ERROR bad token in command line format\r\n"),
	    (b"E%d Pxyz" % t, b"CLIENT_ERROR bad token in command line format\r\n"),
	    (b"E%d P%s" % (t, b"0" * 33), b"CLIENT_ERROR bad token in command line format\r\n"),
	    (b"E0", DRIFT), (b"E1", DRIFT), (b"E%d" % (t + 3700 * SECOND), DRIFT), (b"E%d" % (t - 7210 * SECOND), DRIFT), (b"E18446744073709551615", DRIFT)):
		for line in (b"md %sx %s q\r\n" % (k, flags), b"ma %sx %s q\r\n" % (k, flags), ms(k + b"x", b"mn", flags + b" q"),
		    ms(k + b"x", b"y" * 100000, flags + b" q")):
			c.ask(line + b"mn\r\n", said + b"MN\r\n", "%s %s" % (line[:2].decode(), flags.decode()))
	c.ask(b"mg %sx v\r\n" % k, b"EN\r\n", "nothing of it was written")
	c.ask(ms(k + b"x", b"y", b"E%d P%s" % (t, b"F" * 32)) + b"mg %sx v\r\n" % k, b"HD\r\nVA 1\r\ny\r\n", "32 digits, any case")
	c.ask(ms(k + b"x", b"z", b"E%d P%s1" % (t, b"0" * 31)) + b"mg %sx v\r\n" % k, b"HD\r\nVA 1\r\ny\r\n", "the nonce is a number")
	c.ask(ms(k + b"x", b"y", b"E%d" % (t + 3500 * SECOND)) + ms(k + b"x", b"y", b"E%d" % (t - 7100 * SECOND)), b"HD\r\nHD\r\n", "within the bounds")
	c.ask(b"mg %sx E1 v\r\n" % k, b"VA 1\r\ny\r\n", "mg's E is no token")


def drift_of_its_own(c):
	t = now()
	c.ask(ms(b"near:x", b"y", b"E%d" % (t + 60 * SECOND)) + ms(b"near:x", b"y", b"E%d" % (t - 60 * SECOND)), DRIFT * 2, "each namespace has its own bounds")
	c.ask(b"ms near:x 1 E%d Ldefault/\r\ny\r\n" % (t - 60 * SECOND), b"HD\r\n", "that of the namespace that L names")


def over_a_restart(conf):
	"""What the store has is below what is made after a start, wherever the clock was meanwhile."""
	versions = []
	for ahead in (b"", b"E%d" % (now() + 1800 * SECOND), b"", b""):
		with Kvgate(conf=conf) as kv, kv.client() as c:
			versions.append(int(c.call(ms(b"rise%d" % len(versions), b"x", b"c " + ahead)).split(b" c")[1]))
	ok(all(a < b for a, b in zip(versions, versions[1:])), "versions rise over restarts: %s" % versions)


def memcacheds_own(conf, name):
	with Kvgate(conf=conf) as kv, kv.client() as c:
		c.ask(ms(b"k", b"v", b"E5 c") + b"mg k c\r\n", b"HD c5\r\nHD c5\r\n", "%s: E is the new unique" % name)
		c.ask(ms(b"k", b"v", b"Pxyz") + ms(b"k", b"v", b"P"), b"HD\r\nHD\r\n", "%s: P means nothing" % name)


def whole(conf):
	with Kvgate(["-t", "2"], conf=conf) as kv, kv.client() as c:
		for k in (b"", b"r:one/", b"r:two"):
			lww(c, k)
			repeats(c, k)
		plain_writes(c, b"")
		refused(c, b"")
		drift_of_its_own(c)


with Redis() as r:
	store = 'store "s" { type = redis  servers = { "127.0.0.1:%d" } }' % r.port
	whole(store + SPACES % (("format = item",) * 3))
store = lambda name: 'store "s" { type = rocksdb  path = "%s" }' % os.path.join(tmpdir(), name)
whole(store("tokens") + SPACES % (("",) * 3))
over_a_restart(store("rising") + SPACES % (("",) * 3))
memcacheds_own(None, "without a store")
done_testing()
