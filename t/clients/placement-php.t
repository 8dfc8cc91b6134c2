#!/usr/bin/python3
"""
Placement agrees with php-memcached: 10,000 keys that it put into a fleet of four are found through kvgate with the matching
distribution. It refuses keys with bytes above 127.
"""
import json, os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from kvt import *
from placement import *

EQUAL = [1, 1, 1, 1]
WEIGHTS = [1, 3, 2, 7]

SCRIPT = r"""<?php
$file = $argv[1];
$mc = new Memcached();
foreach (json_decode($argv[2]) as $option)
	if (!$mc->setOption(constant("Memcached::$option[0]"),
	    is_string($option[1]) ? constant("Memcached::$option[1]") : $option[1]))
		exit("option $option[0] refused\n");
$servers = [];
foreach (array_slice($argv, 3) as $server) {
	list($address, $weight) = explode(' ', $server);
	list($host, $port) = explode(':', $address);
	$servers[] = [$host, (int)$port, (int)$weight];
}
$mc->addServers($servers);
foreach (file($file, FILE_IGNORE_NEW_LINES) as $key)
	if (!$mc->set($key, 'of ' . substr($key, 0, 40)))
		exit("not set: $key: " . $mc->getResultMessage() . "\n");
"""


def by_php(servers, weights, options):
	def fill(made):
		path = keys_file("keys.php", made)
		script = write_file("fill.php", SCRIPT)
		run = subprocess.run(["php", script, path, json.dumps(options)] +
		    ["127.0.0.1:%d %d" % (s.port, w) for s, w in zip(servers, weights)],
		    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
		if run.returncode or run.stdout:
			diag("php: status %d" % run.returncode, run.stdout)
	return fill


servers = [Memcached(["-m", "256"]) for _ in range(4)]
for seed, (name, options, weights, distribution, hash) in enumerate([
    ("the default", [], EQUAL, "libmemcached", None),
    ("the default, weights", [], WEIGHTS, "libmemcached", None),
    ("OPT_HASH md5", [["OPT_HASH", "HASH_MD5"]], EQUAL, "libmemcached", "md5"),
    ("OPT_HASH crc", [["OPT_HASH", "HASH_CRC"]], EQUAL, "libmemcached", "crc32"),
    ("OPT_LIBKETAMA_COMPATIBLE", [["OPT_LIBKETAMA_COMPATIBLE", True]], EQUAL, "libmemcached-ketama-weighted", None),
    ("OPT_LIBKETAMA_COMPATIBLE, weights", [["OPT_LIBKETAMA_COMPATIBLE", True]], WEIGHTS, "libmemcached-ketama-weighted", None),
    ("OPT_LIBKETAMA_COMPATIBLE, fnv1a_32, weights", [["OPT_LIBKETAMA_COMPATIBLE", True], ["OPT_HASH", "HASH_FNV1A_32"]],
	WEIGHTS, "libmemcached-ketama-weighted", "fnv1a_32"),
    ("DISTRIBUTION_CONSISTENT", [["OPT_DISTRIBUTION", "DISTRIBUTION_CONSISTENT"]], EQUAL, "libmemcached-ketama", None),
    ("DISTRIBUTION_CONSISTENT, weights", [["OPT_DISTRIBUTION", "DISTRIBUTION_CONSISTENT"]], WEIGHTS, "libmemcached-ketama", None),
    ]):
	check("php-memcached, " + name, servers, by_php(servers, weights, options), keys(seed, utf8=False),
	    pool_conf(servers, weights, distribution, hash))
done_testing()
