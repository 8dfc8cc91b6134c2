#!/usr/bin/python3
"""A server whose answers drip is a server that does not answer: what waits for it ends with the timeout."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from faulty import Faulty
from kvt import *

ASKED, SIZE = 40, 60000
CONF = """store "one" { type = memcached  servers = { "127.0.0.1:%d 1" }
	timeout = 300ms  connect_timeout = 300ms  retry_min = 20ms  retry_max = 100ms }
namespace "default" { prefix = ""  primary { store = "one" }  local { ttl = 0 } }
"""

with Faulty() as server, Kvgate(["-t", "1"], conf=CONF % server.port) as kv, kv.client(seconds=20 * patience) as c:
	wait_for(lambda: c.call(b"set k 0 0 %d\r\n%s\r\n" % (SIZE, b"v" * SIZE)) == b"STORED\r\n", what="the server is up")
	server.fault("drip 20")
	# At that pace one value takes twenty minutes, and yet something moves all the time.
	for n in range(ASKED):
		c.send(b"mg k v\r\n")
	c.send(b"mn\r\n")
	said = c.recv_until(b"MN\r\n")
	errors = said.count(b"SERVER_ERROR")
	ok(errors > 0, "%d of %d are told an error" % (errors, ASKED))
	is_(errors + said.count(b"VA 60000\r\n"), ASKED, "and none is left without an answer")
	server.fault("none")
	wait_for(lambda: c.call(b"mg k s\r\n") == b"HD s60000\r\n", what="the server is back")
	c.ask(b"mg k v\r\n", b"VA 60000\r\n" + b"v" * SIZE + b"\r\n", "and serves again")
done_testing()
