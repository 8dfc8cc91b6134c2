"""
records - kvgate with records behind it, for the tests of records and of the Python client.

	from records import *
	for mode, kv in record_modes('page_bytes = 4KB'):       # what more the namespace "users" says
		with client(kv) as c:
			users = c.namespace("users")

	rocksdb         the embedded store; its directory is fresh and kv.path
	redis           one redis-server                        kv.servers: it
	cluster         a six-node Redis Cluster; not among those that are usual, because it takes long to start

users has the prefix "user:" and items behind "/"; "flat" (prefix "flat:") has none; the default namespace is in the same
store. KVT_RECORD_MODES names the modes that are wanted. record_kvgate(mode) is one of them, as a context.
"""

import contextlib
import os
import sys
import tempfile

from kvt import *
from redises import Redis, RedisCluster

sys.path.insert(0, os.path.join(top_srcdir, "contrib", "python"))
import kvgate

__all__ = "RECORD_MODES client disk_store kvgate record_conf record_kvgate record_modes".split()

RECORD_MODES = (os.environ.get("KVT_RECORD_MODES") or "rocksdb redis").split()


def record_conf(store, users=""):
	"""store: a store section named "s"; users: what more that namespace says."""
	return ('%s\nnamespace "default" { prefix = ""  primary { store = "s"  format = item } }\n'
	    'namespace "flat" { prefix = "flat:"  primary { store = "s"  format = item } }\n'
	    'namespace "users" { prefix = "user:"  item_separator = "/"  primary { store = "s"  format = item }\n%s\n}\n' %
	    (store, users))


def disk_store(path, more="durability = none"):
	return 'store "s" { type = rocksdb  path = "%s"  %s }' % (path, more)


@contextlib.contextmanager
def record_kvgate(mode, users="", args=("-t", "2"), more=None):
	"""more: what the store says beside its usual."""
	if mode == "rocksdb":
		path = tempfile.mkdtemp(prefix="rocks.", dir=tmpdir())
		store = disk_store(path, more) if more else disk_store(path)
		with Kvgate(args, conf=record_conf(store, users)) as kv:
			kv.path = path
			yield kv
		return
	kind, behind = ("redis", Redis()) if mode == "redis" else ("redis-cluster", RedisCluster())
	with behind:
		servers = '"%s"' % behind.server if mode == "redis" else behind.server
		store = 'store "s" { type = %s  servers = { %s }  timeout = %dms  %s }' % (kind, servers, 2000 * patience, more or "")
		with Kvgate(args, conf=record_conf(store, users)) as kv:
			kv.servers = [behind] if mode == "redis" else behind.nodes
			yield kv


def record_modes(users="", args=("-t", "2"), more=None):
	for mode in RECORD_MODES:
		with record_kvgate(mode, users, args, more) as kv:
			yield mode, kv


def client(server, **options):
	"""A kvgate.Client of a Kvgate, or of several, with the patience of the tests."""
	servers = server if isinstance(server, list) else [server]
	return kvgate.Client(["%s:%d" % s.addr for s in servers], timeout=20 * patience, connect_timeout=5 * patience, **options)
