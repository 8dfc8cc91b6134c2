/* Unit tests of src/conf/same.c: every key of a store tells it from what it was. */
#include "conf/same.c"
#include "ctx.h"
#include "tap.h"

#define GUTTER	"store g { type = redis servers = g"
static const char whole[] = "store a { type = redis servers = { \"h:1\", \"i:2 3 x zone=y\", \"/s\" } distribution = modula "
    "hash = md5 hash_tag = \"{}\" connections = 2 connect_timeout = 2s timeout = 2s retry_min = 2s retry_max = 3s "
    "max_inflight = 2 user = u password = p database = 2 replicas = 2 write_quorum = 1 read_from = any failures = 2 "
    "on_down = failover failover_ttl = 2s failover_store = g } " GUTTER " }";

/* Whether the first stores of both texts are the same. */
static bool
same(const char *one, const char *two)
{
	struct conf_ctx x, y;
	bool is;

	ctx_open(&x);
	ctx_open(&y);
	if (!ctx_parse(&x, one) || !ctx_parse(&y, two))
		abort();
	is = conf_store_same(x.conf->stores, y.conf->stores);
	if (is != conf_store_same(y.conf->stores, x.conf->stores))
		abort();
	ctx_close(&x);
	ctx_close(&y);
	return (is);
}

static const char disk[] = "store a { type = rocksdb path = p block_cache = 2MB io_threads = 2 durability = interval "
    "sync_interval = 1s }";

static void
what_makes_a_database_another(void)
{
	ok(same(disk, disk), "the same database");
	ok(!same(disk, "store a { type = rocksdb path = q block_cache = 2MB io_threads = 2 durability = interval "
	    "sync_interval = 1s }"), "path");
	ok(!same(disk, "store a { type = rocksdb path = p block_cache = 3MB io_threads = 2 durability = interval "
	    "sync_interval = 1s }"), "block_cache");
	ok(!same(disk, "store a { type = rocksdb path = p block_cache = 2MB io_threads = 3 durability = interval "
	    "sync_interval = 1s }"), "io_threads");
	ok(!same(disk, "store a { type = rocksdb path = p block_cache = 2MB io_threads = 2 open_files = 99 "
	    "durability = interval sync_interval = 1s }"), "open_files");
	ok(!same(disk, "store a { type = rocksdb path = p block_cache = 2MB io_threads = 2 durability = none }"),
	    "durability");
	ok(!same(disk, "store a { type = rocksdb path = p block_cache = 2MB io_threads = 2 durability = interval "
	    "sync_interval = 2s }"), "sync_interval");
}

static void
what_makes_a_difference(void)
{
	static const struct {
		const char	*from, *to;
	} changes[] = {
		{ "store a", "store b" }, { "\"h:1\", ", "" }, { "h:1", "h:3" }, { "h:1", "j:1" }, { "i:2 3", "i:2 4" },
		{ "3 x", "3 z" }, { " x ", " " }, { "zone=y", "zone=z" }, { " zone=y", "" }, { "/s", "/t" },
		{ "\"h:1\"", "\"h:1 zone=y\"" }, { "modula", "ketama" }, { "hash = md5", "hash = crc16" }, { "hash = md5", "" },
		{ "{}", "[]" }, { "connections = 2", "" }, { "connect_timeout = 2s", "" }, { " timeout = 2s", " timeout = 3s" },
		{ "retry_min = 2s", "" }, { "retry_max = 3s", "" }, { "max_inflight = 2", "" }, { "user = u", "" },
		{ "user = u", "user = v" }, { "password = p", "password = q" }, { "database = 2", "" },
		{ "replicas = 2", "replicas = 3" }, { "write_quorum = 1", "write_quorum = 2" }, { "read_from = any", "" },
		{ "failures = 2", "" }, { "failover_ttl = 2s", "" }, { "failover_store = g", "" }, { GUTTER, GUTTER " database = 1" },
		{ "on_down = failover failover_ttl = 2s failover_store = g", "on_down = miss" },
	};

	ok(same(whole, whole), "the same text");
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		char text[2000];
		const char *at = strstr(whole, changes[i].from);

		if (at == NULL)
			abort();
		snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, changes[i].to, at + strlen(changes[i].from));
		ok(!same(whole, text), "\"%s\" becomes \"%s\"", changes[i].from, changes[i].to);
	}
}

static void
what_makes_none(void)
{
	ok(same("store a { type = memcached servers = h }", "\n\nstore a\n{ servers = { \"h:11211 1\" }\ntype = memcached "
	    "distribution = ketama timeout = 1000ms failures = 3 }"), "defaults said aloud, other lines");
	ok(!same("store a { type = memcached servers = h }", "store a { type = redis servers = \"h:11211\" }"), "another type");
	ok(!same("store a { type = memcached servers = h }", "store a { type = memcached servers = h protocol = meta }"),
	    "another protocol");
	ok(!same("store a { type = memcached servers = h }", "store a { type = memcached servers = h flush_on_return = yes }"),
	    "emptied on return");
	ok(!same("store a { type = redis-cluster servers = h }", "store a { type = redis-cluster servers = h map_refresh = 5s }"),
	    "another refresh");
	ok(!same("store a { type = redis servers = { h, i } }", "store a { type = redis servers = { i, h } }"), "another order");
}

int
main(void)
{
	what_makes_a_database_another();
	what_makes_a_difference();
	what_makes_none();
	return (done_testing());
}
