/* Unit tests of src/conf/store_policy.c: what each type of store can do, logins, replicas, servers that fail. */
#include "conf/store_policy.c"
#include "ctx.h"
#include "tap.h"

static void
defaults(void)
{
	struct conf_ctx x;
	const struct conf_store *s;

	ctx_open(&x);
	ok(ctx_parse(&x, "store m { type = memcached servers = h }\nstore r { type = redis servers = h }\n"
	    "store c { type = redis-cluster servers = h }"), "one of each type: %s", x.error);
	s = x.conf->stores;
	ok(s[0].kind == STORE_MEMCACHED && s[1].kind == STORE_REDIS && s[2].kind == STORE_REDIS_CLUSTER &&
	    strcmp(s[2].type, "redis-cluster") == 0, "their types");
	ok(s[0].servers->port == 11211 && s[1].servers->port == 6379 && s[2].servers->port == 6379, "their ports");
	for (unsigned i = 0; i < x.conf->nstores; i++) {
		ok(s[i].user == NULL && s[i].password == NULL && s[i].database == 0 && s[i].map_refresh ==
		    (i == 2 ? 30000000u : 0), "no login, database 0, a map where there is one");
		ok(s[i].replicas == 1 && s[i].write_quorum == 1 && s[i].read_from == READ_FIRST, "one replica");
		ok(s[i].failures == 3 && s[i].on_down == ON_DOWN_ERROR && s[i].failover_ttl == 0 &&
		    s[i].failover_store == NULL && !s[i].flush_on_return, "a server that is down is an error");
	}
	ctx_close(&x);
}

static void
everything(void)
{
	struct conf_ctx x;
	const struct conf_store *s;

	ctx_open(&x);
	ok(ctx_parse(&x, "store a { type = redis servers = { \"h:1 zone=x\", \"h:2 zone=y\", \"h:3 2 zone=x three\" }\n"
	    "user = me password = \"p w\\\"\" database = 7 replicas = 2 write_quorum = 1 read_from = any failures = 5\n"
	    "on_down = failover failover_ttl = 9s failover_store = b }\nstore b { type = redis-cluster servers = h\n"
	    "user = you password = x map_refresh = 500ms on_down = miss }\n"
	    "store c { type = memcached servers = { h, i } flush_on_return = yes on_down = failover }"), "all keys: %s", x.error);
	s = x.conf->stores;
	ok(strcmp(s->servers[0].zone, "x") == 0 && strcmp(s->servers[2].zone, "x") == 0 && s->servers[2].weight == 2 &&
	    strcmp(s->servers[2].alias, "three") == 0, "zones");
	ok(strcmp(s->user, "me") == 0 && strcmp(s->password, "p w\"") == 0 && s->database == 7, "login");
	ok(s->replicas == 2 && s->write_quorum == 1 && s->read_from == READ_ANY, "replicas");
	ok(s->failures == 5 && s->on_down == ON_DOWN_FAILOVER && s->failover_ttl == 9000000 && s->failover_store == &s[1],
	    "failover to a store that comes later");
	ok(s[1].map_refresh == 500000 && s[1].on_down == ON_DOWN_MISS, "the cluster's");
	ok(s[2].flush_on_return && s[2].failover_ttl == 60000000 && s[2].failover_store == NULL,
	    "failover to the ring's next lasts a minute");
	ctx_close(&x);
	for (unsigned n = 1; n <= 5; n++) {
		static const unsigned majority[] = { 0, 1, 2, 2, 3, 3 };
		char text[200];

		ctx_open(&x);
		snprintf(text, sizeof text, "store a { type = redis servers = { h, i, j, k, l } replicas = %u }", n);
		ok(ctx_parse(&x, text) && x.conf->stores->write_quorum == majority[n], "a majority of %u", n);
		ctx_close(&x);
	}
	ctx_open(&x);
	ok(ctx_parse(&x, "store a { type = memcached servers = { h, i } on_down = failover failover_ttl = 0 }") &&
	    x.conf->stores->failover_ttl == 0, "failover_ttl = 0: as long as the key says");
	ctx_close(&x);
}

#define STORE(type, text)	"store a { type = " type " servers = { h, i }\n" text "\n}"
#define SMALL(text)		"store a { type = memcached servers = h\n" text "\n}"
#define CLUSTER(key, why)	"f:2: " key " does not go with type = redis-cluster: " why "; leave it out"

static void
what_a_type_has_no_use_for(void)
{
	static const struct ctx_case cases[] = {
		{ STORE("memcached", "user = x"), "f:2: user does not go with type = memcached: memcacheds are not logged in to; "
		    "leave it out" },
		{ STORE("memcached", "password = secret"), "f:2: password does not go with type = memcached: memcacheds are not "
		    "logged in to; leave it out" },
		{ STORE("memcached", "database = 0"), "f:2: database does not go with type = memcached: a memcached has no "
		    "databases; leave it out" },
		{ STORE("memcached", "map_refresh = 1s"), "f:2: map_refresh does not go with type = memcached: only a cluster "
		    "has a map of slots; leave it out" },
		{ STORE("redis", "map_refresh = 1s"), "f:2: map_refresh does not go with type = redis: only a cluster has a map "
		    "of slots; leave it out" },
		{ STORE("redis", "protocol = meta"), "f:2: protocol does not go with type = redis: it is one of memcached's "
		    "protocols; leave it out" },
		{ STORE("redis", "flush_on_return = yes"), "f:2: flush_on_return does not go with type = redis: only memcacheds "
		    "come back with what they had; leave it out" },
		{ STORE("redis-cluster", "distribution = ketama"), CLUSTER("distribution", "a cluster places keys by slot") },
		{ STORE("redis-cluster", "hash = crc16"), CLUSTER("hash", "a cluster places keys by slot") },
		{ STORE("redis-cluster", "hash_tag = \"{}\""),
		    CLUSTER("hash_tag", "a cluster places keys by slot and knows {} itself") },
		{ STORE("redis-cluster", "database = 1"), CLUSTER("database", "a cluster has no other than 0") },
		{ STORE("redis-cluster", "replicas = 2"), CLUSTER("replicas", "a cluster has its own") },
		{ STORE("redis-cluster", "write_quorum = 1"), CLUSTER("write_quorum", "a cluster has its own replicas") },
		{ STORE("redis-cluster", "read_from = any"),
		    CLUSTER("read_from", "a cluster's replicas lag behind, they are read where a namespace hedges") },
		{ STORE("redis-cluster", "failover_ttl = 5s"),
		    CLUSTER("failover_ttl", "a cluster promotes replicas of its own") },
		{ STORE("redis-cluster", "failover_store = b"),
		    CLUSTER("failover_store", "a cluster promotes replicas of its own") },
		{ STORE("redis-cluster", "on_down = failover"), "f:2: on_down = failover does not go with type = redis-cluster: "
		    "a cluster promotes replicas of its own; error or miss" },
		{ STORE("redis-cluster", "protocol = classic"), CLUSTER("protocol", "it is one of memcached's protocols") },
		{ STORE("redis-cluster", "flush_on_return = no"),
		    CLUSTER("flush_on_return", "only memcacheds come back with what they had") },
		{ "store a { type = redis-cluster\n servers = { h,\n \"i:5 2\" } }", "f:3: server \"i:5\" has a weight, but a "
		    "cluster places keys and replicas itself; \"host:port\"" },
		{ "store a { type = redis-cluster\n servers = { \"h zone=x\" } }", "f:2: server \"h:6379\" has a zone, but a "
		    "cluster places keys and replicas itself; \"host:port\"" },
	};

	CTX_CASES(cases);
}

static void
logins_and_replicas(void)
{
	static const struct ctx_case cases[] = {
		{ STORE("redis", "user = x"), "f:2: user without password; password = \"...\", or leave it out" },
		{ STORE("redis", "password = \"\""), "f:2: password is empty; leave it out or give it a value" },
		{ STORE("redis", "database = 65536"), "f:2: database = 65536 is out of bounds; a number from 0 to 65535" },
		{ STORE("redis-cluster", "map_refresh = 10ms"), "f:2: map_refresh = 10ms is out of bounds; 100ms to 1d" },
		{ STORE("redis", "replicas = 3"), "f:2: replicas = 3, but store \"a\" has 2 servers; at most one replica on "
		    "each" },
		{ SMALL("replicas = 2"), "f:2: replicas = 2, but store \"a\" has 1 server; at most one replica on each" },
		{ STORE("redis", "replicas = 0"), "f:2: replicas = 0 is out of bounds; a number from 1 to 16" },
		{ STORE("redis", "replicas = 17"), "f:2: replicas = 17 is out of bounds; a number from 1 to 16" },
		{ STORE("redis", "replicas = 2\ndistribution = random"), "f:2: replicas with distribution = random, which sends "
		    "a key anywhere; another distribution" },
		{ STORE("redis", "replicas = 2\nwrite_quorum = 3"), "f:3: write_quorum = 3 is more than replicas = 2; at most "
		    "as many" },
		{ STORE("redis", "write_quorum = 2"), "f:2: write_quorum = 2 is more than replicas = 1; at most as many" },
		{ STORE("redis", "write_quorum = 0"), "f:2: write_quorum = 0 is out of bounds; a number from 1 to 16" },
		{ STORE("redis", "read_from = any"), "f:2: read_from = any without replicas: there is one server to read from; "
		    "replicas = 2, or leave it out" },
		{ STORE("redis", "read_from = last"), "f:2: read_from = last is unknown; first, any" },
	};

	CTX_CASES(cases);
}

#define OTHER	"\nstore b { type = memcached servers = h }"

static void
failures(void)
{
	static const struct ctx_case cases[] = {
		{ SMALL("failures = 0"), "f:2: failures = 0 is out of bounds; a number from 1 to 1000" },
		{ SMALL("on_down = cry"), "f:2: on_down = cry is unknown; error, miss, failover" },
		{ SMALL("on_down = failover"), "f:2: on_down = failover, but no server of store \"a\" is left to stand in; more "
		    "servers than replicas, or failover_store = \"NAME\"" },
		{ STORE("redis", "replicas = 2\non_down = failover"), "f:3: on_down = failover, but no server of store \"a\" is "
		    "left to stand in; more servers than replicas, or failover_store = \"NAME\"" },
		{ STORE("redis", "failover_ttl = 5s"), "f:2: failover_ttl without on_down = failover; add it, or leave this "
		    "out" },
		{ STORE("memcached", "on_down = miss\nfailover_store = b") OTHER, "f:3: failover_store without on_down = failover; "
		    "add it, or leave this out" },
		{ STORE("redis", "on_down = failover failover_ttl = 1500ms"), "f:2: failover_ttl = 1500ms is no whole number of "
		    "seconds; 1s or more, or 0" },
		{ STORE("redis", "on_down = failover failover_ttl = 31d"), "f:2: failover_ttl = 31d is out of bounds; 0 to 30d" },
		{ SMALL("on_down = failover\nfailover_store = c") OTHER, "f:3: store \"c\" is unknown; store \"c\" { ... } "
		    "somewhere" },
		{ SMALL("on_down = failover\nfailover_store = a") OTHER, "f:3: store \"a\" cannot stand in for itself; without "
		    "failover_store its own servers stand in for each other" },
		{ SMALL("on_down = failover failover_store = b") "\nstore b { type = memcached servers = h on_down = failover\n"
		    "failover_store = a }", "f:2: store \"b\" fails over itself; on_down = error or miss there" },
		{ SMALL("on_down = failover failover_store = b") "\nstore b { type = memcached servers = {h, i} on_down = failover }",
		    "f:2: store \"b\" fails over itself; on_down = error or miss there" },
		{ STORE("redis", "on_down = failover failover_store = b") OTHER, "f:2: store \"b\" has type = memcached and cannot "
		    "stand in for type = redis; one of the same type" },
		{ SMALL("flush_on_return = 1"), "f:2: flush_on_return = 1 is neither; yes or no" },
	};

	CTX_CASES(cases);
}

int
main(void)
{
	defaults();
	everything();
	what_a_type_has_no_use_for();
	logins_and_replicas();
	failures();
	return (done_testing());
}
