#!/usr/bin/python3
"""
Placement agrees with other programs: 10,000 keys that pylibmc, nutcracker or a Perl client put into a fleet of four are found,
10,000 of 10,000, through kvgate with the matching distribution. (php-memcached: t/clients/placement-php.t.) KVT_KEYS is how
many instead: with sanitizers 1,000 for each distribution, hash and client, which is all the same code.
"""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from placement import *

import pylibmc

EQUAL = [1, 1, 1, 1]
WEIGHTS = [1, 3, 2, 7]
seed = 0


def case(name, servers, fill, conf, make_keys=keys):
	global seed
	seed += 1
	check(name, servers, fill, make_keys(seed), conf)


def by_pylibmc(servers, weights, behaviors):
	def fill(made):
		mc = pylibmc.Client(["127.0.0.1:%d:%d" % (s.port, w) for s, w in zip(servers, weights)], behaviors=behaviors)
		for key in made:
			mc.set(key, value_of(key))
		mc.disconnect_all()
	return fill


def by_memcached_protocol(server):
	"""Through a proxy that speaks the classic protocol."""
	def fill(made):
		with server.client(seconds=30) as c:
			for at in range(0, len(made), 100):
				part = made[at:at + 100]
				c.send(b"".join(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value_of(key)), value_of(key)) for key in part))
				want = b"STORED\r\n" * len(part)
				if c.recv(len(want)) != want:
					diag("%s did not store all of a batch" % server.name)
	return fill


def by_perl(module, servers, weights, more=""):
	script = r"""
		use strict; use warnings;
		my ($file, @servers) = @ARGV;
		my $mc = %s->new({ servers => [ map { my ($a, $w) = split / /; [ $a, $w + 0 ] } @servers ]%s });
		open my $in, '<:raw', $file or die "$file: $!";
		while (my $key = <$in>) { chomp $key; $mc->set($key, 'of ' . substr($key, 0, 40)) or die "not set: $key"; }
	""" % (module, more)

	def fill(made):
		path = keys_file("keys.perl", made)
		subprocess.run(["perl", "-M" + module, "-e", script, path] +
		    ["127.0.0.1:%d %d" % (s.port, w) for s, w in zip(servers, weights)], check=True)
	return fill


def pylibmc_cases(servers):
	for name, behaviors, weights, distribution, hash in [
	    ("modula, the default", {}, EQUAL, "libmemcached", None),
	    ("modula, the default, weights", {}, WEIGHTS, "libmemcached", None),
	    ("modula, md5", {"hash": "md5"}, EQUAL, "libmemcached", "md5"),
	    ("modula, fnv1a_32", {"hash": "fnv1a_32"}, EQUAL, "libmemcached", "fnv1a_32"),
	    ("modula, crc", {"hash": "crc"}, EQUAL, "libmemcached", "crc32"),
	    ("modula, murmur", {"hash": "murmur"}, EQUAL, "libmemcached", "murmur"),
	    ("modula, jenkins", {"hash": "jenkins"}, EQUAL, "libmemcached", "jenkins"),
	    # libmemcached's modula is modula when nobody weighs more
	    ("modula, our own", {"hash": "fnv1a_64"}, EQUAL, "modula", "fnv1a_64"),
	    ("ketama", {"ketama": True}, EQUAL, "libmemcached-ketama", None),
	    # as in libmemcached, a weight above 1 counts even without ketama_weighted, though not in the same places
	    ("ketama, weights", {"ketama": True}, WEIGHTS, "libmemcached-ketama", None),
	    ("ketama, fnv1a_32", {"ketama": True, "hash": "fnv1a_32"}, EQUAL, "libmemcached-ketama", "fnv1a_32"),
	    ("ketama_weighted", {"ketama_weighted": True}, WEIGHTS, "libmemcached-ketama-weighted", None),
	    ("ketama_weighted, md5", {"ketama_weighted": True, "hash": "md5"}, WEIGHTS, "libmemcached-ketama-weighted", "md5"),
	    ("ketama_weighted of equals", {"ketama_weighted": True}, EQUAL, "libmemcached-ketama-weighted", None)]:
		case("pylibmc, " + name, servers, by_pylibmc(servers, weights, behaviors),
		    pool_conf(servers, weights, distribution, hash))


def perl_cases(servers):
	"""Both Perl clients' own placement is modula by libmemcached's crc32, with weights."""
	for weights in EQUAL, WEIGHTS:
		for module in "Cache::Memcached::Fast", "Cache::Memcached":
			case("%s, weights %s" % (module, weights), servers, by_perl(module, servers, weights),
			    pool_conf(servers, weights, "modula", "crc32"))


def tagged(seed):
	return [b"{user:%d}/%s" % (i // 7, key[:200]) for i, key in enumerate(keys(seed))]


def nutcracker_case(servers, hash, distribution, weights=EQUAL, aliases=None, hash_tag=None, make_keys=keys):
	names = ["127.0.0.1:%d:%d%s" % (s.port, w, " " + a if a else "")
	    for s, w, a in zip(servers, weights, aliases or [None] * len(servers))]
	pool = {"hash_tag": '"%s"' % hash_tag} if hash_tag else {}
	with Nutcracker(names, hash, distribution, **pool) as proxy:
		case("nutcracker, %s %s%s%s%s" % (distribution, hash, ", weights" if weights != EQUAL else "",
		    ", aliases" if aliases else "", ", hash_tag " + hash_tag if hash_tag else ""), servers,
		    by_memcached_protocol(proxy), pool_conf(servers, weights,
		    "twemproxy-" + distribution, hash, hash_tag, aliases), make_keys)


def nutcracker_cases(servers):
	aliases = ["alpha", "beta", "gamma-3", "delta"]
	for hash in ("one_at_a_time", "md5", "crc16", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh",
	    "murmur", "jenkins"):
		nutcracker_case(servers, hash, "ketama")
	nutcracker_case(servers, "fnv1a_64", "ketama", WEIGHTS)
	nutcracker_case(servers, "fnv1a_64", "ketama", WEIGHTS, aliases)
	nutcracker_case(servers, "md5", "ketama", EQUAL, aliases)
	nutcracker_case(servers, "murmur", "ketama", EQUAL, None, "{}", tagged)
	nutcracker_case(servers, "murmur", "ketama", EQUAL, None, "{}")
	nutcracker_case(servers, "crc32", "modula", WEIGHTS)
	nutcracker_case(servers, "md5", "modula")
	nutcracker_case(servers, "fnv1a_64", "modula", WEIGHTS, aliases, "$$")


def other_programs_find_ours(servers):
	"""The other way: what is written through kvgate, pylibmc reads."""
	made = keys(1000)
	mc = pylibmc.Client(["127.0.0.1:%d:%d" % (s.port, w) for s, w in zip(servers, WEIGHTS)], behaviors={"ketama_weighted": True})
	with Kvgate(conf=pool_conf(servers, WEIGHTS, "libmemcached-ketama-weighted")) as kv:
		by_memcached_protocol(kv)(made)
	is_(sum(mc.get(key) == value_of(key) for key in made), len(made), "what kvgate writes, pylibmc finds")
	mc.disconnect_all()


def a_wrong_distribution_is_noticed(servers):
	made = keys(1001)
	by_pylibmc(servers, EQUAL, {"ketama": True})(made)
	with Kvgate(conf=pool_conf(servers, EQUAL, "ketama")) as kv, kv.client(seconds=30) as c:
		found = read_all(c, made)
		ok(0 < found < len(made) / 2, "a distribution that does not match finds %d of %d" % (found, len(made)))


servers = [Memcached(["-m", "256"]) for _ in range(4)]
pylibmc_cases(servers)
perl_cases(servers)
nutcracker_cases(servers)
other_programs_find_ours(servers)
a_wrong_distribution_is_noticed(servers)
done_testing()
