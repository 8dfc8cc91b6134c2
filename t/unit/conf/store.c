/* Unit tests of src/conf/store.c: store sections. */
#include "conf/store.c"
#include "ctx.h"
#include "tap.h"

static void
defaults(void)
{
	struct conf_ctx x;
	const struct conf_store *s;

	ctx_open(&x);
	ok(ctx_parse(&x, "\nstore \"a\"\n{\n type = memcached servers = \"h:1\" }"), "the least: %s", x.error);
	s = x.conf->stores;
	ok(x.conf->nstores == 1 && strcmp(s->name, "a") == 0 && strcmp(s->type, "memcached") == 0 && s->nservers == 1,
	    "name, type, servers");
	ok(s->dist == DIST_KETAMA && s->hash == NULL && s->hash_tag[0] == 0 && s->connections == 1 && s->protocol == 0,
	    "placement");
	ok(s->connect_timeout == 1000000 && s->timeout == 1000000 && s->retry_min == 100000 && s->retry_max == 10000000 &&
	    s->max_inflight == 16384, "limits");
	ok(strcmp(s->file, "f") == 0 && s->line == 3, "where it was written");
	ctx_close(&x);
}

static void
everything(void)
{
	struct conf_ctx x;
	const struct conf_store *s;

	ctx_open(&x);
	ok(ctx_parse(&x, "store \"a\" { type = memcached\n servers = { \"h:1 1\", # one\n \"h:2 2 two\" }\n servers += { "
	    "\"h:3\" }\n distribution = jump hash = murmur3 hash_tag = \"<>\" connections = 2 connect_timeout = 5ms\n"
	    " timeout = 7s retry_min = 1s retry_max = 2s max_inflight = 9 protocol = classic }"), "all keys: %s", x.error);
	s = x.conf->stores;
	ok(s->nservers == 3 && s->servers[0].line == 2 && s->servers[1].line == 3 && s->servers[2].line == 4 &&
	    strcmp(s->servers[1].alias, "two") == 0, "servers with their lines");
	ok(s->dist == DIST_JUMP && strcmp(s->hash, "murmur3") == 0 && memcmp(s->hash_tag, "<>", 2) == 0 &&
	    s->connections == 2 && s->protocol == 1 && s->max_inflight == 9, "placement, protocol");
	ok(s->connect_timeout == 5000 && s->timeout == 7000000 && s->retry_min == 1000000 && s->retry_max == 2000000,
	    "times");
	ctx_close(&x);
	for (unsigned d = 0; dists[d] != NULL; d++) {
		char text[200];

		ctx_open(&x);
		snprintf(text, sizeof text, "store s { type = memcached servers = h distribution = %s }", dists[d]);
		ok(ctx_parse(&x, text) && (unsigned)x.conf->stores[0].dist == d && conf_dist_name(d) == dists[d],
		    "distribution = %s", dists[d]);
		ctx_close(&x);
	}
}

#define IN(text)	"store \"a\" { type = memcached\n servers = { \"h:1\" }\n" text "\n}"

static void
refusals(void)
{
	static const struct ctx_case cases[] = {
		{ "store \"a\" {\n}", "f:1: store \"a\" has no type; memcached, redis, redis-cluster or rocksdb" },
		{ "store \"\" { }", "f:1: this store has no name; store \"NAME\" { ... }" },
		{ "store \"a\" { type = cql }", "f:1: type = cql is not in this version; memcached, redis, redis-cluster or rocksdb" },
		{ "store \"a\" { type = mysql }", "f:1: type = mysql is unknown; memcached, redis, redis-cluster or rocksdb" },
		{ "\nstore \"a\" { type = memcached\n\n}", "f:2: store \"a\" has no servers; servers = { \"host:port\", ... }" },
		{ "store \"a\" { type = memcached\n servers = { } }",
		    "f:1: store \"a\" has no servers; servers = { \"host:port\", ... }" },
		{ "store \"a\" { type = memcached\n servers = { \"h:1\",\n \"h:2 0\" } }",
		    "f:3: server \"h:2 0\": the weight is not a number from 1 to 65535; \"host:port weight alias zone=NAME\"" },
		{ "store \"a\" { type = memcached\n servers = { \"h:1\",\n \"h:1 5\" } }",
		    "f:3: server \"h:1\" is here a second time; weights make one count for more" },
		{ "store \"a\" { type = memcached\n servers = { \"h:1 1 x\",\n \"h:2 1 x\" } }",
		    "f:3: two servers have the alias \"x\"; one each" },
		{ "store \"a\" { type = memcached servers = h servers = i }",
		    "f:1: \"servers\" is here a second time; it is in line 1 already" },
		{ IN("}\nstore \"a\" { "), "f:4: \"a\" is here a second time; another name than a" },
		{ "store \"a\" { type = memcached distribution = ketama\n servers = { \"h:1 10000\",\n \"h:2 6384\",\n \"h:3 1\" } }",
		    "f:4: the servers' weights come to more than 16384, all that \"ketama\" has room for; smaller ones in the "
		    "same proportion" },
		{ IN("distribution = best"), "f:3: distribution = best is unknown; ketama, jump, modula, random, "
		    "twemproxy-ketama, twemproxy-modula, libmemcached, libmemcached-ketama, libmemcached-ketama-weighted" },
		{ IN("hash = sha1"), "f:3: hash = sha1 is unknown; xxh3, md5, crc16, crc32, crc32a, fnv1_64, fnv1a_64, fnv1_32, "
		    "fnv1a_32, hsieh, murmur, murmur3, jenkins, one_at_a_time" },
		{ IN("hash_tag = \"{\""), "f:3: hash_tag = \"{\" is not two characters; hash_tag = \"{}\"" },
		{ IN("hash_tag = \"\""), "f:3: hash_tag = \"\" is not two characters; hash_tag = \"{}\"" },
		{ IN("connections = 0"), "f:3: connections = 0 is out of bounds; a number from 1 to 64" },
		{ IN("timeout = 0"), "f:3: timeout = 0 is out of bounds; 1ms to 1h" },
		{ IN("timeout = 500"), "f:3: timeout = 500 is not a time; a number with us, ms, s, m, h or d, like 500ms" },
		{ IN("connect_timeout = 2h"), "f:3: connect_timeout = 2h is out of bounds; 1ms to 1h" },
		{ IN("retry_min = 2s\nretry_max = 1s"), "f:4: retry_max is below retry_min; at least as long" },
		{ IN("max_inflight = -1"), "f:3: max_inflight = -1 is out of bounds; a number from 1 to 1048576" },
		{ IN("protocol = binary"), "f:3: protocol = binary is unknown; auto, classic, meta" },
		{ IN("weight = 2"), "f:3: unknown key \"weight\" in store; known: type, servers, distribution, hash, hash_tag, "
		    "connections, connect_timeout, timeout, retry_min, retry_max, max_inflight, protocol, user, password, database, "
		    "map_refresh, replicas, write_quorum, read_from, failures, on_down, failover_ttl, failover_store, "
		    "flush_on_return, path, block_cache, io_threads, open_files, durability, sync_interval" },
	};
	struct conf_ctx x;

	CTX_CASES(cases);
	ctx_open(&x);
	ok(ctx_parse(&x, IN("retry_min = 20s")) && x.conf->stores[0].retry_max == 20000000,
	    "a retry_min above the default retry_max lifts it");
	ctx_close(&x);
	ctx_open(&x);
	ok(ctx_parse(&x, "store \"a\" { type = memcached distribution = libmemcached-ketama-weighted\n"
	    " servers = { \"h:1 65535\", \"h:2 65535\" } }"), "where proportions count weights may be large");
	ctx_close(&x);
}

int
main(void)
{
	defaults();
	everything();
	refusals();
	return (done_testing());
}
