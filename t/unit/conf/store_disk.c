/* Unit tests of src/conf/store_disk.c: what is said of an embedded database. */
#include "conf/store_disk.c"
#include "ctx.h"
#include "tap.h"

static void
defaults(void)
{
	struct conf_ctx x;
	const struct conf_store *s;

	ctx_open(&x);
	ok(ctx_parse(&x, "store d { type = rocksdb path = data }"), "the least: %s", x.error);
	s = x.conf->stores;
	ok(s->kind == STORE_ROCKSDB && strcmp(s->type, "rocksdb") == 0 && strcmp(s->path, "data") == 0 && s->nservers == 0,
	    "a path, no servers");
	ok(s->block_cache == 64 << 20 && s->io_threads == 4 && s->durability == DURABLE_ALWAYS && s->sync_interval == 0,
	    "memory, threads, durable");
	ctx_close(&x);
}

static void
everything(void)
{
	struct conf_ctx x;
	const struct conf_store *s;

	ctx_open(&x);
	ok(ctx_parse(&x, "store d { type = rocksdb path = \"/x/y\" block_cache = 1GB io_threads = 9 durability = interval "
	    "sync_interval = 5ms max_inflight = 7 }\nstore e { type = rocksdb path = z durability = none }\n"
	    "store f { type = rocksdb path = y durability = interval }"), "all keys: %s", x.error);
	s = x.conf->stores;
	ok(strcmp(s->path, "/x/y") == 0 && s->block_cache == 1 << 30 && s->io_threads == 9 && s->max_inflight == 7,
	    "path, memory, threads, limit");
	ok(s->durability == DURABLE_INTERVAL && s->sync_interval == 5000 && s[1].durability == DURABLE_NONE &&
	    s[2].sync_interval == 100000, "when it is on disk");
	ctx_close(&x);
}

#define IN(text)	"store \"d\" { type = rocksdb\n path = x\n" text "\n}"

static void
refusals(void)
{
	static const struct ctx_case cases[] = {
		{ "store \"d\" {\n type = rocksdb }", "f:1: store \"d\" has no path; path = \"DIRECTORY\"" },
		{ "store \"d\" { type = rocksdb\n path = \"\" }", "f:2: store \"d\" has no path; path = \"DIRECTORY\"" },
		{ IN("block_cache = 1"), "f:3: block_cache = 1 is out of bounds; 1MB to 16TB" },
		{ IN("io_threads = 0"), "f:3: io_threads = 0 is out of bounds; a number from 1 to 256" },
		{ IN("durability = maybe"), "f:3: durability = maybe is unknown; always, interval, none" },
		{ IN("sync_interval = 1s"), "f:3: sync_interval without durability = interval; add it, or leave this out" },
		{ IN("durability = interval\nsync_interval = 1us"), "f:4: sync_interval = 1us is out of bounds; 1ms to 1h" },
		{ IN("servers = h"), "f:3: servers does not go with type = rocksdb: it is one database, here; leave it out" },
		{ IN("replicas = 1"), "f:3: replicas does not go with type = rocksdb: it is one database, here; leave it out" },
		{ IN("}\nstore e { type = rocksdb\n path = x"), "f:5: store \"d\" has path = \"x\", too; one store for each "
		    "database, which many namespaces may share" },
		{ "store m { type = memcached servers = h\n path = x }", "f:2: path does not go with type = memcached: it is where "
		    "a rocksdb has its files; leave it out" },
		{ "store m { type = redis servers = h\n durability = none }", "f:2: durability does not go with type = redis: the "
		    "servers know when a write is on disk; leave it out" },
		{ IN("}\nstore r { type = redis servers = h on_down = failover\n failover_store = d"),
		    "f:5: store \"d\" has type = rocksdb and cannot stand in for type = redis; one of the same type" },
		{ IN("}\nnamespace n { prefix = \"n\" primary { store = d\n format = raw } "), "f:5: format = raw is for stores that "
		    "others use, too, \"d\" has type = rocksdb; format = item, or leave it out" },
	};
	struct conf_ctx x;

	CTX_CASES(cases);
	ctx_open(&x);
	ok(ctx_parse(&x, IN("}\nnamespace n { prefix = \"n\" primary { store = d } ")) &&
	    x.conf->spaces[0].format == FORMAT_ITEM, "its format need not be said");
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
