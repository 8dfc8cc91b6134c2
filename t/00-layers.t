#!/usr/bin/python3
"""
Every #include of ours is one that src/LAYERS allows, names its folder, and stands in order: config.h, system, third
party, ours sorted. Third-party headers stay in the files that are allowed to know them.
"""
import os, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *

SRC = os.path.join(top_srcdir, "src")
# Headers of libraries -> files (prefixes) that may include them.
THIRD_PARTY = {
	"event2/": ("ev/loop.h", "admin/stats_general.c"),
	"confuse.h": ("conf/file.h",),
	"libmemcached": ("route/ring_libmemcached.c",),
	"libhashkit/": ("route/hash.c", "route/ring_points.c"),
	"hiredis/": ("backend/redis_conn.c", "backend/redis_flush.c", "backend/redis_hello.c",
	    "backend/redis_io.c", "backend/redis_items.c", "backend/redis_outcome.c", "backend/redis_reply.c", "backend/redis_ring.c",
	    "backend/slots.c"),
	"rocksdb/": ("backend/rocks_db.c", "backend/rocks_family.c", "backend/rocks_gaps.c", "backend/rocks_keep.c",
	    "backend/rocks_read.c", "backend/rocks_tell.c", "backend/rocks_worn.c", "backend/rocks_write.c"),
	"xxhash.h": None,
	"zstd.h": ("kv/codec.c", "dict/train.c"),
	"zdict.h": ("dict/train.c",),
}


def read_layers():
	allowed = {}
	for line in open(os.path.join(SRC, "LAYERS")):
		line = line.split("#")[0].strip()
		if line:
			folder, _, others = line.partition(":")
			allowed[folder] = set(others.split())
	return allowed


def sources():
	for folder, _, files in sorted(os.walk(SRC)):
		for name in sorted(files):
			if name.endswith((".c", ".h")):
				yield os.path.relpath(os.path.join(folder, name), SRC)


def check_ours(path, number, header, allowed):
	layer = path.split("/")[0] if "/" in path else "main"
	if header == "config.h":
		return []
	if "/" not in header:
		return ["%s:%d: \"%s\" without its folder" % (path, number, header)]
	if not os.path.exists(os.path.join(SRC, header)):
		return ["%s:%d: \"%s\" is not there" % (path, number, header)]
	other = header.split("/")[0]
	if other == "tbl" or other == layer or "*" in allowed.get(layer, ()) or layer == "tbl":
		return []
	if layer not in allowed:
		return ["%s:%d: folder %s is not in LAYERS" % (path, number, layer)]
	if other not in allowed[layer]:
		return ["%s:%d: %s may not include %s" % (path, number, layer, other)]
	return []


def check_third_party(path, number, header):
	for start, where in THIRD_PARTY.items():
		if header.startswith(start) and where is not None and path not in where:
			return ["%s:%d: <%s> belongs into %s" % (path, number, header, ", ".join(where))]
	return []


def check_file(path, allowed):
	wrong, ours = [], []
	for number, line in enumerate(open(os.path.join(SRC, path)), 1):
		found = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
		if not found:
			continue
		kind, header = found.groups()
		if kind == "<":
			wrong += check_third_party(path, number, header)
			continue
		wrong += check_ours(path, number, header, allowed)
		if header.startswith("tbl/"):
			continue        # rows are included where they are used
		ours.append((number, header))
	if path.endswith(".c"):
		if not ours or ours[0][1] != "config.h":
			wrong.append("%s: \"config.h\" is not its first include" % path)
	rest = [h for _, h in ours if h != "config.h"]
	if rest != sorted(rest):
		wrong.append("%s: ours are not sorted: %s" % (path, " ".join(rest)))
	return wrong


def cycles(allowed):
	"""LAYERS itself must be a hierarchy."""
	done, found = set(), []

	def visit(folder, way):
		if folder in way:
			found.append(" -> ".join(way + [folder]))
			return
		if folder in done:
			return
		for other in sorted(allowed.get(folder, ())):
			if other != "*":
				visit(other, way + [folder])
		done.add(folder)

	for folder in sorted(allowed):
		visit(folder, [])
	return found


allowed = read_layers()
is_(cycles(allowed), [], "LAYERS has no cycles")
known = set(allowed) | {"tbl"}
is_(sorted(n for n in os.listdir(SRC) if os.path.isdir(os.path.join(SRC, n)) and not n.startswith(".") and n not in known), [],
    "every folder is in LAYERS")
for path in sources():
	wrong = check_file(path, allowed)
	if not ok(not wrong, path):
		diag(*wrong)
done_testing()
