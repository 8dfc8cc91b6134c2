#!/usr/bin/python3
"""
Statistics: names that tools look for, values that are true (the same operations move the same counters by the same
amounts in memcached), and what kvgate has of its own: servers, namespaces, connections.
"""
import os, re, shutil, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *

PLAIN_MAX = 4096        # what collectd's and nginx's readers take


def lines(client, what=b""):
	"""The answer to `stats [what]`, without its END, as lines."""
	text = client.call(b"stats" + (b" " + what if what else b"") + b"\r\n", re.compile(rb"(?:^|\n)END\r\n"))
	return text.decode("latin1").split("\r\n")[:-2]


def names(rows):
	return [row.split(" ")[1] for row in rows]


# ---------------------------------------------------------------- what tools read

# collectd's memcached plugin
COLLECTD = """uptime curr_connections threads cmd_get cmd_set cmd_flush cmd_touch get_hits get_misses incr_hits incr_misses
    decr_hits decr_misses evictions curr_items bytes limit_maxbytes bytes_read bytes_written rusage_user rusage_system
    listen_disabled_num""".split()

# munin's memcached_ plugin
MUNIN = """uptime time pid version pointer_size rusage_user rusage_system curr_items total_items bytes curr_connections
    total_connections connection_structures cmd_get cmd_set cmd_flush get_hits get_misses delete_misses delete_hits
    incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval auth_cmds auth_errors bytes_read
    bytes_written limit_maxbytes threads accepting_conns listen_disabled_num conn_yields evictions reclaimed""".split()
MUNIN_ITEMS = "number age evicted evicted_nonzero evicted_time outofmemory tailrepairs reclaimed".split()
MUNIN_SLABS = """chunk_size chunks_per_page total_pages total_chunks used_chunks free_chunks get_hits cmd_set delete_hits
    incr_hits decr_hits cas_hits cas_badval""".split()
MUNIN_SETTINGS = "maxconns item_size_max maxbytes evictions growth_factor".split()

# telegraf's memcached input
TELEGRAF = """accepting_conns auth_cmds auth_errors bytes bytes_read bytes_written cas_badval cas_hits cas_misses cmd_flush
    cmd_get cmd_set cmd_touch conn_yields connection_structures curr_connections curr_items decr_hits decr_misses
    delete_hits delete_misses evicted_active evicted_unfetched evictions expired_unfetched get_expired get_flushed
    get_hits get_misses hash_bytes hash_is_expanding hash_power_level incr_hits incr_misses limit_maxbytes
    listen_disabled_num max_connections reclaimed rejected_connections store_no_memory store_too_large threads
    total_connections total_items touch_hits touch_misses uptime""".split()

# Prometheus' memcached_exporter
EXPORTER = """uptime time version bytes limit_maxbytes curr_items total_items evictions reclaimed curr_connections
    total_connections max_connections rejected_connections conn_yields listen_disabled_num rusage_user rusage_system
    bytes_read bytes_written cmd_get cmd_set cmd_flush cmd_touch get_hits get_misses delete_hits delete_misses incr_hits
    incr_misses decr_hits decr_misses cas_hits cas_misses cas_badval touch_hits touch_misses lru_crawler_starts
    crawler_reclaimed crawler_items_checked moves_to_cold moves_to_warm moves_within_lru direct_reclaims""".split()
EXPORTER_SETTINGS = """maxconns lru_crawler lru_crawler_sleep lru_crawler_tocrawl lru_maintainer_thread hot_lru_pct
    warm_lru_pct hot_max_factor warm_max_factor""".split()
EXPORTER_ITEMS = """number number_hot number_warm number_cold age age_hot age_warm mem_requested evicted evicted_nonzero
    evicted_time evicted_unfetched expired_unfetched outofmemory reclaimed tailrepairs crawler_reclaimed
    lrutail_reflocked moves_to_cold moves_to_warm moves_within_lru hits_to_hot hits_to_warm hits_to_cold
    hits_to_temp""".split()
EXPORTER_SLABS = """chunk_size chunks_per_page total_pages total_chunks used_chunks free_chunks free_chunks_end get_hits
    cmd_set delete_hits incr_hits decr_hits cas_hits cas_badval touch_hits""".split()

# Optional parts of memcached that a build may have.
NOT_OURS = re.compile(r"ext_|ssl_|proxy_|extstore|slab_automove_freeratio$|slab_reassign_evictions_nomem$|time_since_server")


def missing(wanted, got):
	return sorted(set(wanted) - set(got))


def tools_find_their_names():
	with Kvgate() as kv, Memcached() as mc, kv.client() as c, mc.client() as m:
		for client in (c, m):
			client.ask(b"set a 0 0 10\r\n0123456789\r\n", b"STORED\r\n", "an item is there")
		plain, settings = lines(c), lines(c, b"settings")
		for tool, want in (("collectd", COLLECTD), ("munin", MUNIN), ("telegraf", TELEGRAF),
		    ("memcached_exporter", EXPORTER)):
			is_(missing(want, names(plain)), [], "plain stats have all that %s reads" % tool)
		theirs = [n for n in names(lines(m)) if not NOT_OURS.match(n)]
		is_(missing(theirs, names(plain)), [], "plain stats have every name that memcached's have")
		is_(sorted(set(n for n in names(plain) if names(plain).count(n) > 1)), [], "none is there twice")
		for tool, want in (("munin", MUNIN_SETTINGS), ("memcached_exporter", EXPORTER_SETTINGS)):
			is_(missing(want, names(settings)), [], "settings have all that %s reads" % tool)
		theirs = [n for n in names(lines(m, b"settings")) if not NOT_OURS.match(n)]
		is_(missing(theirs, names(settings)), [], "settings have every name that memcached's have")
		for what, want in (("items", MUNIN_ITEMS + EXPORTER_ITEMS), ("slabs", MUNIN_SLABS + EXPORTER_SLABS)):
			got = [n.split(":")[-1] for n in names(lines(c, what.encode()))]
			is_(missing(want, got), [], "stats %s have all that tools read" % what)
			theirs = [n.split(":")[-1] for n in names(lines(m, what.encode())) if not NOT_OURS.match(n)]
			is_(missing(theirs, got), [], "stats %s have every name that memcached's have" % what)
			if what == "slabs":
				# The exporter reads mem_requested from both and refuses to have it twice.
				is_(missing(got, theirs), [], "stats slabs have no others")
		c.ask(b"delete a\r\n", b"DELETED\r\n")
		is_(lines(c, b"items"), [], "an empty cache has no items")
		is_(names(lines(c, b"slabs")), ["active_slabs", "total_malloced"], "nor classes, but sums")


def forms_are_what_parsers_take():
	with Kvgate() as kv, kv.client() as c:
		c.ask(b"set a 0 0 1\r\nb\r\n", b"STORED\r\n")
		plain = lines(c)
		size = len("\r\n".join(plain)) + 7
		ok(size < PLAIN_MAX, "plain stats are %d bytes" % size)
		worst = sum(max(len(row), len("STAT  ") + len(row.split(" ")[1]) + 20) + 2 for row in plain) + 5
		ok(worst < PLAIN_MAX, "and at most %d, however large the numbers" % worst)
		for row in plain:
			like(row, r"^STAT [a-z_]+ [^ ]+$", row)
		got = dict(row.split(" ", 2)[1:] for row in plain)
		for name in ("rusage_user", "rusage_system"):
			like(got[name], r"^\d+\.\d{6}$", name + " has seconds and six digits of microseconds")
		is_(c.call(b"version\r\n").decode(), "VERSION %s\r\n" % got["version"], "one version in stats and version")
		is_(got["pid"], str(kv.pid), "pid")
		ok(abs(int(got["time"]) - time.time()) < 60, "time is the wall clock's")
		ok(int(got["uptime"]) >= 1, "uptime is not 0")
		is_(got["pointer_size"], "64", "pointer_size")
		is_(got["threads"], "4", "threads")
		is_(got["limit_maxbytes"], str(64 << 20), "limit_maxbytes")
		bad = [row for row in lines(c, b"settings") if row.count(" ") != 2 or not re.match(r"STAT \S+ \S+$", row)]
		is_(bad, [], "each line of stats settings has its two spaces")
		for what in (b"items", b"slabs", b"sizes", b"kvgate", b"namespaces", b"conns", b"servers"):
			text = c.call(b"stats " + what + b"\r\n", re.compile(rb"(?:^|\n)END\r\n"))
			like(text, rb"^(STAT \S+ [^\r\n]*\r\n)*END\r\n$", "stats %s is rows and END" % what.decode())
		is_(c.sync(), b"", "nothing comes after the END")


def settings_are_live():
	args = ["-m", "128", "-c", "200", "-t", "2", "-I", "2m", "-v", "-D", "/", "-R", "50"]
	with Kvgate(args) as kv, Memcached(args) as mc, kv.client() as c:
		ours, theirs = stats(kv, "settings"), stats(mc, "settings")
		for name in """maxbytes maxconns inter verbosity oldest evictions domain_socket umask growth_factor chunk_size num_threads
		    stat_key_prefix detail_enabled reqs_per_event cas_enabled tcp_backlog auth_enabled_sasl item_size_max maxconns_fast
		    hashpower_init flush_enabled dump_enabled idle_timeout""".split():
			is_(ours[name], theirs[name], "settings: " + name)
		is_(ours["tcpport"], str(kv.port), "settings: tcpport")
		c.ask(b"verbosity 0\r\n", b"OK\r\n")
		c.ask(b"cache_memlimit 64\r\n", b"OK\r\n")
		c.ask(b"stats detail off\r\n", b"OK\r\n")
		now = stats(kv, "settings")
		is_((now["verbosity"], now["maxbytes"], now["detail_enabled"]), ("0", str(64 << 20), "no"),
		    "what was changed while running is told")
		is_(stats(kv)["limit_maxbytes"], str(64 << 20), "in plain stats too")


def memcached_tool():
	tool = next((p for p in (shutil.which("memcached-tool"), "/usr/share/memcached/scripts/memcached-tool")
	    if p and os.path.exists(p)), None)
	if not ok(tool, "memcached-tool is installed"):
		return
	with Kvgate() as kv, kv.client() as c:
		for n in range(100):
			c.ask(b"set key%d 7 0 100\r\n%s\r\n" % (n, b"v" * 100), b"STORED\r\n") if n < 2 else \
			    c.call(b"set key%d 7 0 100\r\n%s\r\n" % (n, b"v" * 100))

		def run(*mode):
			done = subprocess.run(["perl", tool, "127.0.0.1:%d" % kv.port] + list(mode), capture_output=True,
			    timeout=30 * patience)
			is_(done.returncode, 0, "memcached-tool %s ends well" % " ".join(mode))
			return done.stdout.decode()

		row = run("display").splitlines()[1].split()
		is_((row[0], row[4], row[-3:]), ("1", "100", ["0", "0", "0"]), "display: 100 items, nothing evicted")
		like(run("stats"), r"\n +curr_items +100\r?\n", "stats: 100 items")
		like(run("settings"), r"\n +maxconns +1024\r?\n", "settings")
		sizes = run("sizes").splitlines()[1:]
		is_(sum(int(line.split()[1]) for line in sizes), 100, "sizes: 100 items")
		dump = run("dump")
		is_(len(re.findall(r"^add key\d+ 7 0 100\r?\nv{100}\r?$", dump, re.M)), 100, "dump: 100 items")


# ---------------------------------------------------------------- true values

# cmd_meta is not among them: memcached counts `mn` alone.
COUNTERS = """cmd_get cmd_set cmd_flush cmd_touch get_hits get_misses delete_misses delete_hits incr_misses
    incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval touch_hits touch_misses curr_items total_items
    store_too_large get_expired""".split()

OPERATIONS = [
	b"get none\r\n",
	b"set a 1 0 1\r\n1\r\n",
	b"set b 0 0 2\r\nbb\r\n",
	b"add a 0 0 1\r\n2\r\n",
	b"add c 0 0 1\r\nc\r\n",
	b"replace none 0 0 1\r\n2\r\n",
	b"replace c 0 0 1\r\nd\r\n",
	b"append b 0 0 1\r\n!\r\n",
	b"prepend none 0 0 1\r\n!\r\n",
	b"get a b c none\r\n",
	b"gets a none\r\n",
	b"gat 0 a none\r\n",
	b"gats 100 b\r\n",
	b"touch a 0\r\n",
	b"touch none 0\r\n",
	b"incr a 5\r\n",
	b"incr none 1\r\n",
	b"decr a 1\r\n",
	b"decr none 1\r\n",
	b"cas none 0 0 1 1\r\nx\r\n",
	b"cas b 0 0 1 999999999\r\nx\r\n",
	b"delete c\r\n",
	b"delete c\r\n",
	b"mg a v\r\n",
	b"mg a s t v\r\n",
	b"mg none v\r\n",
	b"mg a T100 v\r\n",
	b"mg none q\r\n",
	b"ms m 2\r\nmm\r\n",
	b"ms m 2 ME\r\nmm\r\n",
	b"ms m 2 MA\r\nmm\r\n",
	b"ma a\r\n",
	b"ma a MD\r\n",
	b"ma none\r\n",
	b"md m I\r\n",
	b"md m C1\r\n",
	b"md m\r\n",
	b"md m\r\n",
	b"md m I\r\n",
	b"me a\r\n",
	b"set big 0 0 2000000\r\n" + b"x" * 2000000 + b"\r\n",
	b"set quiet 0 0 1 noreply\r\nq\r\n",
	b"delete quiet noreply\r\n",
	b"set expired 0 -1 1\r\n1\r\n",
	b"get expired\r\n",
	b"get expired\r\n",
	b"flush_all 1000\r\n",
]


def operate(server):
	"""Does all OPERATIONS and a cas that succeeds, each waited for."""
	with server.client() as c:
		for op in OPERATIONS:
			c.send_and_read(op)
			c.sync()
		unique = c.call(b"gets a\r\n", b"END\r\n").split()[4]
		c.call(b"cas a 0 0 1 %s\r\n9\r\n" % unique)


def counters_are_memcacheds():
	with Memcached() as mc:
		with deltas(mc, *COUNTERS) as want:
			operate(mc)
		for mode, kv in both_modes():
			with deltas(kv, "cmd_meta", *COUNTERS) as got:
				operate(kv)
			is_(got["cmd_meta"], len(OPERATIONS) + sum(op.startswith(b"m") for op in OPERATIONS),
			    mode + ": cmd_meta counts them all")
			for name in COUNTERS:
				# What is in the local cache in front of a fleet is not what clients stored.
				if mode == "fleet" and name in ("curr_items", "total_items", "store_too_large", "get_expired"):
					continue
				if name == "total_items":
					# memcached's own varies: now and then an increment makes a new item.
					ok(9 <= got[name] <= want[name] + 2, "%s: total_items is %d" % (mode, got[name]))
					continue
				if name == "get_expired":
					# One of OPERATIONS reads what has expired; what is freed first, here or there, is a plain miss.
					ok(got[name] <= 1, "%s: get_expired is %d" % (mode, got[name]))
					continue
				is_(got[name], want[name], "%s: %s" % (mode, name))
			if mode != "local":
				continue
			with deltas(kv, "bytes_read", "bytes_written") as d, kv.client() as c:
				c.ask(b"get none\r\n", b"END\r\n")
			# One connection asked for `stats` before and another after.
			is_(d.bytes_read, len(b"get none\r\nstats\r\n"), "bytes_read")
			ok(d.bytes_written > len(b"END\r\n"), "bytes_written")


def sums_are_over_all_workers():
	with Kvgate(["-t", "4"]) as kv:
		before = stats(kv)
		clients = [kv.client() for _ in range(12)]
		for n, c in enumerate(clients):
			c.ask(b"set k%d 0 0 1\r\n1\r\n" % n, b"STORED\r\n")
			c.ask(b"get k%d\r\n" % n, b"VALUE k%d 0 1\r\n1\r\nEND\r\n" % n)
		after = stats(kv)
		grew = {n: int(after[n]) - int(before[n]) for n in ("cmd_get", "get_hits", "cmd_set", "curr_items")}
		is_(grew, {"cmd_get": 12, "get_hits": 12, "cmd_set": 12, "curr_items": 12}, "twelve clients of four workers")
		wait_for(lambda: stats(kv)["curr_connections"] == "13", what="twelve connections, and that which asks")
		ok(int(stats(kv)["total_connections"]) >= 14, "connections now and ever")
		conns = [row for row in lines(clients[0], b"conns") if ":addr " in row]
		ends = sorted("tcp:127.0.0.1:%d" % c.sock.getsockname()[1] for c in clients)
		is_(missing(ends, [row.split(" ")[2] for row in conns]), [], "stats conns has the clients of all workers")
		for c in clients:
			c.close()
		wait_for(lambda: stats(kv)["curr_connections"] == "1", what="clients to be gone")
		ok(True, "closed connections are not counted any more")


def connections_are_described():
	path = os.path.join(tmpdir(), "conns.sock")
	with Kvgate(["-t", "2"]) as kv, kv.client() as c, kv.client() as other:
		other.send(b"set a 0 0 10\r\n012")
		me = "tcp:127.0.0.1:%d" % c.sock.getsockname()[1]

		def rows():
			found = {}
			for row in lines(c, b"conns"):
				fd, name = row.split(" ")[1].split(":")
				found.setdefault(fd, {})[name] = row.split(" ", 2)[2]
			return list(found.values())

		mine = [r for r in rows() if r["addr"] == me]
		is_(len(mine), 1, "the client that asks is there once")
		is_(mine[0]["listen_addr"], "tcp:127.0.0.1:%d" % kv.port, "with the address it came to")
		like(mine[0]["secs_since_last_cmd"], r"^\d+$", "and its idle time")
		is_([r for r in rows() if r["state"] == "conn_listening"], [{"addr": "tcp:127.0.0.1:%d" % kv.port,
		    "state": "conn_listening", "secs_since_last_cmd": "0"}], "so is the socket that listens")
		is_((mine[0]["state"], "resps_waiting" in mine[0]), ("conn_parse_cmd", False), "it has a command carried out")
		wait_for(lambda: any(r["state"] == "conn_nread" for r in rows()), what="the state of an unfinished store")
		c.send(b"get a\r\nstats conns\r\nget b\r\nmn\r\n")
		like(c.recv_until(b"MN\r\n"), rb"^END\r\n(STAT [^\n]*\n)+END\r\nEND\r\nMN\r\n$", "the answer keeps its place")
		# Gone before the answer is there.
		for _ in range(20):
			with kv.client() as gone:
				gone.send(b"stats conns\r\nstats conns\r\n")
		ok(rows(), "clients that do not wait for the answer do no harm")
	with Kvgate(["-s", path]) as kv, kv.client() as c:
		text = "\n".join(lines(c, b"conns"))
		ok("listen_addr unix:" + path in text, "a client of a unix socket")


def reset_counts_from_zero():
	with Kvgate() as kv:
		operate(kv)
		with kv.client() as c:
			c.ask(b"stats detail on\r\nset p:a 0 0 1\r\n1\r\n", b"OK\r\nSTORED\r\n")
			before = stats(kv)
			c.ask(b"stats reset\r\n", b"RESET\r\n")
			after = stats(kv)
			left = {n: after[n] for n in COUNTERS if n != "curr_items" and after[n] != "0"}
			is_(left, {}, "counters are 0 after stats reset")
			is_((after["curr_items"], after["bytes"]), (before["curr_items"], before["bytes"]), "what is stored is not")
			ok(int(after["curr_connections"]) >= 1, "connections are not")
			c.ask(b"stats detail dump\r\n", b"END\r\n", "prefixes are forgotten")
			c.ask(b"get a\r\n", b"VALUE a 0 1\r\n9\r\nEND\r\n")
			is_(stats(kv)["get_hits"], "1", "and counters go on from there")
			is_(stats(kv, "kvgate")["get_hits"], "1", "in stats kvgate too")
			is_(stats(kv, "namespaces")["default:hits"], "1", "and by namespace")


# ---------------------------------------------------------------- items, slabs, sizes, cachedump

def items_and_slabs_are_true():
	with Kvgate() as kv, kv.client() as c:
		for n in range(500):
			c.send(b"set key%03d 0 0 %d noreply\r\n%s\r\n" % (n, n, b"x" * n))
		c.sync()
		plain, items, slabs = stats(kv), stats(kv, "items"), stats(kv, "slabs")

		def total(rows, field):
			return sum(int(v) for k, v in rows.items() if k.split(":")[-1] == field)

		is_(plain["curr_items"], "500", "500 items")
		is_(total(items, "number"), 500, "number of items")
		is_(total(items, "mem_requested"), int(plain["bytes"]), "mem_requested is bytes")
		is_(total(slabs, "used_chunks"), 500, "used_chunks")
		is_(total(slabs, "total_chunks"), total(slabs, "used_chunks") + total(slabs, "free_chunks"), "chunks add up")
		is_(total(slabs, "cmd_set"), 500, "cmd_set of all classes")
		values = sum(range(500))
		used = sum(int(slabs[k]) * int(slabs[k.replace("chunk_size", "used_chunks")]) for k in slabs if
		    k.endswith("chunk_size"))
		ok(values < used < values * 2, "chunks times their size are about what was stored")
		ok(values < int(plain["bytes"]) <= int(slabs["total_malloced"]) <= int(plain["limit_maxbytes"]),
		    "stored < bytes <= total_malloced <= limit")
		is_(int(slabs["active_slabs"]), len([k for k in slabs if k.endswith("chunk_size")]), "active_slabs")
		sizes = stats(kv, "sizes")
		is_(sum(int(v) for v in sizes.values()), 500, "sizes: every item once")
		ok(all(int(k) % 32 == 0 for k in sizes), "in steps of 32 bytes")
		is_(max(int(k) for k in sizes) // 32 * 32 in range(500, 600), True, "the largest are where they belong")

		c.ask(b"set exp 0 1000 3\r\nabc\r\n", b"STORED\r\n")
		classes = {k.split(":")[1] for k in stats(kv, "items")}
		found = b""
		for n in classes:
			found += c.call(b"stats cachedump %s 0\r\n" % n.encode(), re.compile(rb"(?:^|\n)END\r\n"))
		is_(len(re.findall(rb"^ITEM key\d{3} \[\d+ b; 0 s\]\r$", found, re.M)), 500, "cachedump 0: all items")
		expires = int(re.search(rb"^ITEM exp \[3 b; (\d+) s\]\r$", found, re.M).group(1))
		ok(abs(expires - time.time() - 1000) < 60, "with their expiry")
		some = c.call(b"stats cachedump 1 7\r\n", re.compile(rb"(?:^|\n)END\r\n"))
		is_(some.count(b"ITEM "), 7, "cachedump's limit")


def evictions_are_counted():
	with Kvgate(["-m", "2", "-I", "64k"]) as kv, kv.client() as c:
		with kv.client() as w:
			w.ask(b"watch evictions\r\n", b"OK\r\n")
			for n in range(4000):
				c.send(b"set key%d 0 0 1000 noreply\r\n%s\r\n" % (n, b"x" * 1000))
			c.sync()
			like(w.line(), rb"^ts=\S+ gid=\d+ type=eviction key=key\d+ fetch=no ttl=-1 la=\d+ clsid=\d+ size=1000\n$",
			    "a watcher sees what is evicted")
		plain, items = stats(kv), stats(kv, "items")
		ok(int(plain["evictions"]) >= 4000 - int(plain["curr_items"]) > 0, "what is not there was evicted")
		is_(items["items:1:evicted"], plain["evictions"], "in stats items as well")
		ok(0 < int(plain["evicted_unfetched"]) <= int(plain["evictions"]), "evicted_unfetched")
		ok(int(plain["bytes"]) <= 2 << 20, "bytes stay below the limit")

		was = stats(kv, "cache")
		is_(int(was["evicted_small"]) + int(was["evicted_main"]), int(plain["evictions"]), "stats cache: by queue")
		is_([was["items"], was["item_bytes"], was["limit_maxbytes"]], [plain["curr_items"], plain["bytes"], plain["limit_maxbytes"]], "what stats has as well")
		ok(float(was["bytes_per_item"]) > 1000 and 0 < float(was["index_load"]) <= 1 and int(was["used_bytes"]) <= 2 << 20,
		    "an item has its share of all memory")
		is_([was["ghost_hits"], was["corrupt"]], ["0", "0"], "nothing evicted has come again")
		keys = [b"key%d" % n for n in range(4000)]
		gone = [k for k in keys if k + b" " not in c.call(b"get %s\r\n" % k, re.compile(rb"(?:^|\n)END\r\n"))][-200:]
		c.send(b"".join(b"set %s 0 0 1000 noreply\r\n%s\r\n" % (k, b"x" * 1000) for k in gone))
		c.sync()
		now = stats(kv, "cache")
		ok(0 < int(now["ghost_hits"]) <= 200, "what was evicted lately is known (%s of 200)" % now["ghost_hits"])
		is_(now["local_hit_ratio"], "%.3f" % (int(plain["curr_items"]) / 4000), "hits of what was asked for")
		is_([now["hit_ratio"], now["store_hit_ratio"]], [now["local_hit_ratio"], "0.000"], "there is no other tier")


# ---------------------------------------------------------------- words

WORDS = [b"stats foo", b"stats noreply", b"stats malloc", b"stats detail", b"stats detail foo", b"stats detail off", b"stats detail on", b"stats detail dump", b"stats detail dump noreply", b"stats cachedump",
    b"stats cachedump 1", b"stats cachedump x 1", b"stats cachedump 1 x", b"stats cachedump 64 1",
    b"stats cachedump 63 1", b"stats cachedump 1 0", b"stats reset", b"stats reset foo", b"stats items",
    b"stats item", b"stats SLABS", b"stats hash", b"stats items foo", b"stats topkeys"]


def words_are_answered_as_by_memcached():
	end = re.compile(rb"(?:^|\n)(?:END|OK|RESET|ERROR|CLIENT_ERROR[^\r\n]*)\r\n")
	with Memcached() as mc, Kvgate() as kv, mc.client() as m, kv.client() as c:
		for word in WORDS:
			is_(c.call(word + b"\r\n", end), m.call(word + b"\r\n", end), word.decode())
	with Kvgate(["-X"]) as kv, kv.client() as c:
		for word in (b"detail", b"cachedump"):
			c.ask(b"stats %s on\r\n" % word, b"CLIENT_ERROR stats %s not allowed\r\n" % word)
	with Kvgate() as kv, kv.client() as c:
		c.ask(b"stats det o\r\nstats r\r\nstats it\r\n", b"OK\r\nRESET\r\nERROR\r\n", "abbreviated as newer ones have it")
		c.ask(b"stats foo\r\nstats noreply\r\nmn\r\n", b"ERROR\r\nERROR\r\nMN\r\n", "one answer each")


def detail_counts_prefixes():
	def prefixes(client):
		return sorted(client.call(b"stats detail dump\r\n", b"END\r\n").split(b"\r\n"))

	with Memcached() as mc:
		for mode, kv in both_modes():
			with mc.client() as m, kv.client() as c:
				for client in (m, c):
					client.ask(b"stats reset\r\nstats detail on\r\n", b"RESET\r\nOK\r\n", mode + ": on")
					for op in (b"set a:1 0 0 1\r\n1\r\n", b"get a:1 a:2 b:1 none\r\n", b"delete a:1\r\n", b"delete b:2\r\n",
					    b"add :x 0 0 1\r\n1\r\n", b"set a:b:c 0 0 1\r\n1\r\n", b"gat 0 a:b:c\r\n", b"touch a:1 0\r\n",
					    b"incr a:n 1\r\n", b"append none 0 0 1\r\n1\r\n"):
						client.send(op)
					client.sync()
				is_(prefixes(c), prefixes(m), mode + ": gets, hits, sets and deletes by prefix")
				c.ask(b"stats detail off\r\nget a:1\r\n", b"OK\r\nEND\r\n")
				is_(prefixes(c), prefixes(m), mode + ": nothing is counted when it is off")
	with Kvgate(["-D", "/"]) as kv, kv.client() as c:
		c.ask(b"set a/b 0 0 1\r\n1\r\nstats detail dump\r\n", b"STORED\r\nPREFIX a get 0 hit 0 set 1 del 0\r\nEND\r\n",
		    "-D turns it on with a delimiter")


# ---------------------------------------------------------------- kvgate's own

def servers_are_counted():
	servers = [Memcached(), Memcached()]
	with Kvgate(["-t", "2"], conf=fleet_conf(servers, local="0")) as kv, kv.client() as c, kv.client() as d:

		def rows():
			found = {}
			for row in lines(c, b"servers"):
				name, value = row.split(" ", 2)[1:]
				store, server, field = name.split(":", 1)[0], *name.split(":", 1)[1].rsplit(":", 1)
				found.setdefault((store, server), {})[field] = value
			return found

		for n in range(40):
			for client in (c, d):
				client.ask(b"set key%d 0 0 1\r\n1\r\n" % n, b"STORED\r\n") if n == 0 else \
				    client.call(b"set key%d 0 0 1\r\n1\r\n" % n)
		c.call(b"get key1\r\n", b"END\r\n")
		got = rows()
		is_(sorted(got), sorted(("fleet", "127.0.0.1:%d" % s.port) for s in servers), "every server has its rows")
		is_(sum(int(r["requests"]) for r in got.values()), 81, "requests of both workers")
		is_({r["state"] for r in got.values()}, {"up"}, "both are up")
		is_({(r["inflight"], r["errors"]) for r in got.values()}, {("0", "0")}, "nothing is in flight, nothing failed")
		for server in servers:
			r = got[("fleet", "127.0.0.1:%d" % server.port)]
			is_(stats(server)["cmd_set"], str(int(r["requests"]) - ("key1" in r)) if "key1" in r else
			    stats(server)["cmd_set"], "a server's own count can be read")
			ok(0 < int(r["latency_p50_us"]) <= int(r["latency_p95_us"]) <= int(r["latency_p99_us"]) <=
			    int(r["latency_p999_us"]) <= int(r["latency_max_us"]), "its latencies ascend")
			ok(int(r["bytes_out"]) > 0 and int(r["bytes_in"]) > 0 and int(r["connects"]) > 0, "bytes and connects")
		is_(sum(int(stats(s)["cmd_set"]) for s in servers), 80, "the servers saw as many sets")

		c.ask(b"stats reset\r\n", b"RESET\r\n")
		is_({(r["requests"], r["latency_max_us"]) for r in rows().values()}, {("0", "0")}, "stats reset reaches them")

		servers[0].kill()
		dead = ("fleet", "127.0.0.1:%d" % servers[0].port)
		wait_for(lambda: rows()[dead]["state"] != "up", what="the dead server to be seen")
		failed = 0
		for n in range(40):
			failed += c.call(b"get key%d\r\n" % n, re.compile(rb"(END|SERVER_ERROR [^\n]*)\r\n")).startswith(b"SERVER_ERROR")
		ok(failed > 0, "its keys fail")
		got = rows()
		is_(int(got[dead]["errors"]), failed, "each failure is counted")
		kinds = sum(int(v) for k, v in got[dead].items() if k.startswith("errors_"))
		is_(kinds, failed, "by its kind")
		is_(got[("fleet", "127.0.0.1:%d" % servers[1].port)]["errors"], "0", "the other has none")
		is_(stats(kv, "namespaces")["default:errors"], str(failed), "the namespace counts them too")
	for server in servers:
		server.stop()


def namespaces_are_counted():
	server = Memcached()
	conf = ('store "fleet" { type = memcached  servers = { "127.0.0.1:%d 1" } }\n'
	    'namespace "default" { prefix = "" }\n'
	    'namespace "far" { prefix = "far:" primary { store = "fleet" } local { ttl = 60s } }\n' % server.port)
	with Kvgate(conf=conf) as kv, kv.client() as c:
		c.ask(b"set far:a 0 0 1\r\n1\r\n", b"STORED\r\n")
		c.ask(b"set near 0 0 1\r\n1\r\n", b"STORED\r\n")
		for _ in range(3):
			c.ask(b"get far:a\r\n", b"VALUE far:a 0 1\r\n1\r\nEND\r\n")
		c.ask(b"get far:b\r\n", b"END\r\n")
		c.ask(b"get near\r\n", b"VALUE near 0 1\r\n1\r\nEND\r\n")
		c.ask(b"delete far:a\r\nincr near 1\r\n", b"DELETED\r\n2\r\n")
		got = stats(kv, "namespaces")
		want = {"far:gets": "4", "far:hits": "3", "far:misses": "1", "far:sets": "1", "far:deletes": "1", "far:ariths": "0",
		    "far:errors": "0", "far:prefix": "far:", "far:store": "fleet", "far:local_ttl_us": "60000000",
		    "default:gets": "1", "default:hits": "1", "default:local_hits": "1", "default:sets": "1",
		    "default:ariths": "1", "default:store": ""}
		is_({k: got.get(k) for k in want}, want, "each namespace has counters of its own")
		ok(2 <= int(got["far:local_hits"]) <= 3, "hits that needed no server")
		own = stats(kv, "kvgate")
		is_((own["cmd_get"], own["get_hits"], own["store_requests"], own["store_errors"], own["requests_inflight"]),
		    ("5", "4", str(4 + 3 - int(got["far:local_hits"]) - 1), "0", "0"), "stats kvgate has the sums")
	server.stop()


# ---------------------------------------------------------------- watch

def events(text):
	"""Lines without what differs from run to run."""
	found = []
	for line in text.decode("latin1").splitlines():
		fields = dict(f.split("=", 1) for f in line.split(" ") if "=" in f)
		for name in ("ts", "gid", "cfd", "clsid", "rport", "la"):
			fields.pop(name, None)
		found.append(fields)
	return found


WATCHED = [
	(b"fetchers", b"get none\r\nget seen\r\nmg seen v\r\nget %01\r\n", "item_get"),
	(b"mutations", b"set a 0 0 3\r\nabc\r\nadd a 0 0 1\r\n1\r\nreplace none 0 0 1\r\n1\r\nms b 2\r\nxx\r\n", "item_store"),
	(b"deletions", b"set a 0 0 3\r\nabc\r\ndelete a\r\nset a 0 0 3\r\nabc\r\nmd a\r\n", "deleted"),
]


def watched(server, kind, ops, wanted, count):
	with server.client() as w, server.client() as c:
		c.ask(b"set seen 0 0 3\r\nabc\r\n", b"STORED\r\n")
		w.ask(b"watch " + kind + b"\r\n", b"OK\r\n", "%s: watch %s" % (server.name, kind.decode()))
		c.send(ops)
		c.sync()
		found = []
		end = time.monotonic() + 10 * patience
		while len(found) < count and time.monotonic() < end:
			found += [e for e in events(w.line()) if e["type"] == wanted]
	return found


def watchers_see_events():
	with Memcached() as mc:
		for mode, kv in both_modes():
			for kind, ops, wanted in WATCHED:
				want = {b"fetchers": 4, b"mutations": 4, b"deletions": 2}[kind]
				got = watched(kv, kind, ops, wanted, want)
				is_(len(got), want, "%s: %s: %d events" % (mode, kind.decode(), want))
				if kind == b"fetchers":
					is_(sorted((e["key"], e["status"], e["size"]) for e in got), [("%2501", "not_found", "0"), ("none", "not_found", "0"),
					    ("seen", "found", "3"), ("seen", "found", "3")], mode + ": keys, outcomes, sizes")
				elif kind == b"mutations":
					theirs = watched(mc, kind, ops, wanted, want)
					is_(sorted((e["key"], e["status"]) for e in got), sorted((e["key"], e["status"]) for e in theirs),
					    mode + ": the same outcomes as memcached's")
				else:
					is_([(e["key"], e["cmd"]) for e in got], [("a", "delete"), ("a", "md")], mode + ": both dialects")


def watchers_and_connections():
	with Kvgate(["-t", "2"]) as kv, kv.client() as w, kv.client() as c:
		w.ask(b"watch connevents\r\n", b"OK\r\n")
		with kv.client() as other:
			other.call(b"mn\r\n")
			port = str(other.sock.getsockname()[1])

		def event():
			while True:
				line = w.line().decode()
				if not line or " rport=%s " % port in line:
					return line

		new, gone = event(), event()
		like(new, r"^ts=\d+\.\d{6} gid=\d+ type=conn_new rip=127\.0\.0\.1 rport=%s transport=tcp cfd=\d+\n$" % port, "conn_new")
		like(gone, r" type=conn_close rip=127\.0\.0\.1 rport=%s transport=tcp reason=normal cfd=\d+\n$" % port, "conn_close")
		with kv.client() as other:
			port = str(other.sock.getsockname()[1])
			other.send(b"x" * 5000)
			event()
			like(event(), r" type=conn_close .* reason=error cfd=", "the reason, when it was refused")
		is_(stats(kv)["log_watchers"], "1", "watchers are counted")
		w.send(b"get a\r\nquit\r\n" * 1000)
		c.ask(b"set a 0 0 1\r\n1\r\n", b"STORED\r\n")
		ok(stats(kv)["cmd_get"] == "0", "a watcher's own commands are not taken")
		c.ask(b"get a\r\nwatch fetchers\r\n", b"VALUE a 0 1\r\n1\r\nEND\r\nERROR cannot pipeline other commands before watch\r\n",
		    "not behind other commands")
		c.ask(b"watch foo\r\n", b"ERROR\r\n", "unknown kinds are refused")
		w.close()
		wait_for(lambda: stats(kv)["log_watchers"] == "0", what="the watcher to be gone")
		ok(True, "a watcher that leaves is forgotten")
		many = [kv.client() for _ in range(21)]
		replies = [m.call(b"watch\r\n") for m in many]
		is_((replies.count(b"OK\r\n"), replies[-1]), (20, b"WATCHER_TOO_MANY log watcher limit reached\r\n"), "20 at most")
		for m in many:
			m.close()
	with Kvgate(["-W"]) as kv, kv.client() as c:
		c.ask(b"watch\r\n", b"CLIENT_ERROR watch commands not allowed\r\n", "-W")


def slow_watchers_lose_lines():
	key = b"k" * 240
	with Kvgate(["-t", "2"]) as kv, kv.client() as w, kv.client() as c:
		w.ask(b"watch fetchers\r\n", b"OK\r\n")
		asked = 0

		def skipped():
			nonlocal asked
			for _ in range(10):
				c.send(b"mg %s v\r\n" % key * 200 + b"mn\r\n")
				c.recv_until(b"MN\r\n")
				asked += 200
			return int(stats(kv)["log_watcher_skipped"])

		lost = wait_for(skipped, 60, "lines to be lost")
		ok(lost, "who does not read loses lines, and the others are served")
		seen = told = 0
		while seen + told < asked:
			line = w.line()
			found = re.match(rb"skipped=(\d+)\n$", line)
			if found:
				told += int(found.group(1))
			elif line.endswith(b"\n"):
				seen += 1
			else:
				break
		is_(seen + told, asked, "each line was seen or told to be lost")
		is_(told, int(stats(kv)["log_watcher_skipped"]), "as many as are counted")
		c.ask(b"get x\r\n", b"END\r\n")
		like(w.line(), rb"type=item_get key=x status=not_found", "and it sees the next one")


tools_find_their_names()
forms_are_what_parsers_take()
settings_are_live()
memcached_tool()
counters_are_memcacheds()
sums_are_over_all_workers()
connections_are_described()
reset_counts_from_zero()
items_and_slabs_are_true()
evictions_are_counted()
words_are_answered_as_by_memcached()
detail_counts_prefixes()
servers_are_counted()
namespaces_are_counted()
watchers_see_events()
watchers_and_connections()
slow_watchers_lose_lines()
done_testing()
