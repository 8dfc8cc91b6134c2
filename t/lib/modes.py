"""
modes - kvgate as the tests of its memcached endpoint want it: with each kind of store behind.

	from modes import *
	for mode, kv in all_modes(["-t", "2"]): ...

	local           kvgate is the cache
	fleet           in front of two memcacheds                      kv.servers: they
	redis           in front of two redis-servers, format = item    kv.servers: they
	cluster         in front of a six-node Redis Cluster, the same  kv.servers: its nodes, kv.cluster: it
	disk            on an embedded database                         kv.path: its directory

Each is stopped when the loop goes on. The cluster of a program is started at most once, and emptied when it is used again.
KVT_MODES names the modes that are wanted, separated by spaces; without it all are.
"""

import contextlib
import os
import tempfile

from kvt import *
from redises import *

__all__ = "MODES all_modes mode_named redis_conf disk_conf disk_path one_cluster".split()

_cluster = None


# What memcached takes at most; and what is large enough lies encoded or in pieces, which nobody is to see.
LIMIT = "item_size_max = 1048400"
CODED = "  chunk_size = 64KB  compression { codec = zstd  min_size = 64 }"


def one_cluster():
	"""The cluster that this program has."""
	global _cluster
	if _cluster is None:
		_cluster = RedisCluster()
	else:
		_cluster.flush()
	return _cluster


def redis_conf(servers, local="5s", kind="redis", timeout=1, store="", namespace=""):
	"""A configuration with redises (Redis objects) or a RedisCluster behind one flat namespace of format item."""
	names = servers.server if isinstance(servers, RedisCluster) else ", ".join('"%s 1"' % s.server for s in servers)
	return ('store "r" { type = %s  servers = { %s }\n  timeout = %dms  connect_timeout = %dms  %s }\n'
	    'namespace "default" { prefix = "" primary { store = "r"  format = item } local { ttl = %s } %s }\n' %
	    (kind, names, 1000 * timeout * patience, 1000 * patience, store, local, namespace))


@contextlib.contextmanager
def _local(args, _ttl):
	with Kvgate(args) as kv:
		kv.servers = []
		yield kv


@contextlib.contextmanager
def _behind(servers, args, conf):
	with contextlib.ExitStack() as stack:
		for s in servers:
			stack.callback(s.stop)
		kv = stack.enter_context(Kvgate(args, conf=conf))
		kv.servers = servers
		yield kv


def _fleet(args, ttl):
	servers = [Memcached(), Memcached()]
	apart_cas(servers)
	return _behind(servers, args, fleet_conf(servers, ttl))


def _redis(args, ttl):
	servers = [Redis(), Redis()]
	return _behind(servers, args, redis_conf(servers, ttl, namespace=LIMIT))


@contextlib.contextmanager
def _of_cluster(args, ttl):
	cluster = one_cluster()
	with Kvgate(args, conf=redis_conf(cluster, ttl, "redis-cluster", namespace=LIMIT + CODED)) as kv:
		kv.servers, kv.cluster = cluster.nodes, cluster
		yield kv


def disk_path():
	"""A place for a database, which is not there yet, and that a kvgate that was root can write to."""
	parent = tempfile.mkdtemp(prefix="disk.", dir=tmpdir())
	os.chmod(parent, 0o777)
	return os.path.join(parent, "data")


def disk_conf(path, local="5s", store="", namespace=""):
	"""A configuration with a database behind one flat namespace."""
	return ('store "d" { type = rocksdb  path = "%s"  %s }\n'
	    'namespace "default" { prefix = "" primary { store = "d" } local { ttl = %s } %s }\n' %
	    (path, store, local, namespace))


@contextlib.contextmanager
def _disk(args, ttl):
	path = disk_path()
	with Kvgate(args, conf=disk_conf(path, ttl, "durability = none", LIMIT + CODED)) as kv:
		kv.servers, kv.path = [], path
		yield kv


_BY_NAME = {"local": _local, "fleet": _fleet, "redis": _redis, "cluster": _of_cluster, "disk": _disk}
MODES = [m for m in _BY_NAME if m in (os.environ.get("KVT_MODES") or "local fleet redis cluster disk").split()]


def mode_named(mode, args=(), local="5s"):
	"""One of them, as a context."""
	return _BY_NAME[mode](args, local)


def all_modes(args=(), local="5s"):
	for mode in MODES:
		with mode_named(mode, args, local) as kv:
			yield mode, kv
