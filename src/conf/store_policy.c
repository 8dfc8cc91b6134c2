/*
 * store_policy.c - the rest of a store section: what each type of store can do, logins, replicas, servers that fail.
 *
 * A key that a type of store has no use for is refused: whoever wrote it expects something of it.
 */
#include "config.h"

#include <string.h>

#include "conf/file.h"

#define FAILURES	3
#define FAILURES_MAX	1000
#define DATABASE_MAX	65535
#define MAP_REFRESH	(30 * FILE_SECOND)
/* As long as what mcrouter's FailoverRoute puts into a gutter, where the file does not say. */
#define FAILOVER_TTL	(60 * FILE_SECOND)

#define M	(1u << STORE_MEMCACHED)
#define R	(1u << STORE_REDIS)
#define C	(1u << STORE_REDIS_CLUSTER)
#define D	(1u << STORE_ROCKSDB)
#define ONE	"it is one database, here"

/* Keys that not every type of store has. */
static const struct {
	const char	*key;
	unsigned	 not;
	const char	*why;
} misfits[] = {
	{ "servers", D, ONE },
	{ "distribution", D, ONE },
	{ "hash", D, ONE },
	{ "hash_tag", D, ONE },
	{ "connections", D, ONE },
	{ "connect_timeout", D, ONE },
	{ "timeout", D, ONE },
	{ "retry_min", D, ONE },
	{ "retry_max", D, ONE },
	{ "protocol", D, ONE },
	{ "user", D, ONE },
	{ "password", D, ONE },
	{ "database", D, ONE },
	{ "map_refresh", D, ONE },
	{ "replicas", D, ONE },
	{ "write_quorum", D, ONE },
	{ "read_from", D, ONE },
	{ "failures", D, ONE },
	{ "on_down", D, ONE },
	{ "failover_ttl", D, ONE },
	{ "failover_store", D, ONE },
	{ "flush_on_return", D, ONE },
	{ "distribution", C, "a cluster places keys by slot" },
	{ "hash", C, "a cluster places keys by slot" },
	{ "hash_tag", C, "a cluster places keys by slot and knows {} itself" },
	{ "protocol", R | C, "it is one of memcached's protocols" },
	{ "user", M, "memcacheds are not logged in to" },
	{ "password", M, "memcacheds are not logged in to" },
	{ "database", M, "a memcached has no databases" },
	{ "database", C, "a cluster has no other than 0" },
	{ "map_refresh", M | R, "only a cluster has a map of slots" },
	{ "replicas", C, "a cluster has its own" },
	{ "write_quorum", C, "a cluster has its own replicas" },
	{ "read_from", C, "a cluster's replicas lag behind, they are read where a namespace hedges" },
	{ "failover_ttl", C, "a cluster promotes replicas of its own" },
	{ "failover_store", C, "a cluster promotes replicas of its own" },
	{ "flush_on_return", R | C, "only memcacheds come back with what they had" },
	{ "path", M | R | C, "it is where a rocksdb has its files" },
	{ "block_cache", M | R | C, "the servers have caches of their own" },
	{ "io_threads", M | R | C, "nothing is read from disk here" },
	{ "open_files", M | R | C, "nothing is read from disk here" },
	{ "durability", M | R | C, "the servers know when a write is on disk" },
	{ "sync_interval", M | R | C, "the servers know when a write is on disk" },
};

static bool
check_misfits(struct conf_ctx *x, cfg_t *sec, const struct conf_store *s)
{
	for (size_t i = 0; i < sizeof misfits / sizeof misfits[0]; i++) {
		const struct conf_value *v = file_value(sec, misfits[i].key);

		if (v != NULL && (misfits[i].not & 1u << s->kind) != 0)
			return (conf_fail_at(x, v->line, "%s does not go with type = %s: %s; leave it out", misfits[i].key,
			    s->type, misfits[i].why));
	}
	for (const struct conf_server *srv = s->servers; srv < s->servers + s->nservers; srv++) {
		if (s->kind != STORE_REDIS_CLUSTER)
			break;
		if (srv->weight > 1 || srv->zone != NULL)
			return (conf_fail_at(x, srv->line, "server \"%s\" has a %s, but a cluster places keys and replicas "
			    "itself; \"host:port\"", srv->name, srv->zone != NULL ? "zone" : "weight"));
	}
	return (true);
}

/* No message shows the password. */
static bool
read_login(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	if (s->kind == STORE_REDIS_CLUSTER)
		s->map_refresh = MAP_REFRESH;
	if (!file_get_str(x, sec, "user", &s->user) || !file_get_str(x, sec, "password", &s->password) ||
	    !file_get_uint(x, sec, "database", 0, DATABASE_MAX, &s->database) ||
	    !file_get_time(x, sec, "map_refresh", FILE_SECOND / 10, FILE_DAY, &s->map_refresh))
		return (false);
	if (s->user != NULL && s->password == NULL)
		return (conf_fail_at(x, file_value(sec, "user")->line, "user without password; password = \"...\", or "
		    "leave it out"));
	return (true);
}

static bool
read_replicas(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	static const char *const froms[] = { [READ_FIRST] = "first", [READ_ANY] = "any", NULL };
	int from = READ_FIRST;

	s->replicas = 1;
	if (!file_get_uint(x, sec, "replicas", 1, CONF_REPLICAS_MAX, &s->replicas))
		return (false);
	if (s->replicas > s->nservers && s->kind != STORE_ROCKSDB)
		return (conf_fail_at(x, file_value(sec, "replicas")->line, "replicas = %u, but store \"%s\" has %u server%s; "
		    "at most one replica on each", s->replicas, s->name, s->nservers, s->nservers > 1 ? "s" : ""));
	if (s->replicas > 1 && s->dist == DIST_RANDOM)
		return (conf_fail_at(x, file_value(sec, "replicas")->line, "replicas with distribution = random, which "
		    "sends a key anywhere; another distribution"));
	s->write_quorum = s->replicas / 2 + 1;
	if (!file_get_uint(x, sec, "write_quorum", 1, CONF_REPLICAS_MAX, &s->write_quorum) ||
	    !file_get_word(x, sec, "read_from", froms, &from))
		return (false);
	if (s->write_quorum > s->replicas)
		return (conf_fail_at(x, file_value(sec, "write_quorum")->line, "write_quorum = %u is more than replicas = %u; "
		    "at most as many", s->write_quorum, s->replicas));
	s->read_from = (enum conf_read_from)from;
	if (s->read_from == READ_ANY && s->replicas == 1)
		return (conf_fail_at(x, file_value(sec, "read_from")->line, "read_from = any without replicas: there is one "
		    "server to read from; replicas = 2, or leave it out"));
	return (true);
}

/* What is said of stand-ins must have some: the store that has them is looked up in file_link_store(). */
static bool
check_failover(struct conf_ctx *x, cfg_t *sec, const struct conf_store *s)
{
	static const char *const keys[] = { "failover_ttl", "failover_store" };
	const struct conf_value *v;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0] && s->on_down != ON_DOWN_FAILOVER; i++)
		if ((v = file_value(sec, keys[i])) != NULL)
			return (conf_fail_at(x, v->line, "%s without on_down = failover; add it, or leave this out", keys[i]));
	if (s->on_down != ON_DOWN_FAILOVER)
		return (true);
	v = file_value(sec, "on_down");
	if (s->kind == STORE_REDIS_CLUSTER)
		return (conf_fail_at(x, v->line, "on_down = failover does not go with type = redis-cluster: a cluster promotes "
		    "replicas of its own; error or miss"));
	if (file_value(sec, "failover_store") == NULL && s->replicas == s->nservers)
		return (conf_fail_at(x, v->line, "on_down = failover, but no server of store \"%s\" is left to stand in; "
		    "more servers than replicas, or failover_store = \"NAME\"", s->name));
	return (true);
}

static bool
read_failures(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	static const char *const words[] = {
		[ON_DOWN_ERROR] = "error", [ON_DOWN_MISS] = "miss", [ON_DOWN_FAILOVER] = "failover", NULL
	};
	int on_down = ON_DOWN_ERROR;

	s->failures = FAILURES;
	if (!file_get_uint(x, sec, "failures", 1, FAILURES_MAX, &s->failures) ||
	    !file_get_word(x, sec, "on_down", words, &on_down))
		return (false);
	s->on_down = (enum conf_on_down)on_down;
	if (!check_failover(x, sec, s))
		return (false);
	if (s->on_down == ON_DOWN_FAILOVER)
		s->failover_ttl = FAILOVER_TTL;
	return (file_get_seconds(x, sec, "failover_ttl", 0, 30 * FILE_DAY, &s->failover_ttl) &&
	    file_get_bool(x, sec, "flush_on_return", &s->flush_on_return));
}

bool
file_read_store_policy(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	return (check_misfits(x, sec, s) && read_login(x, sec, s) && read_replicas(x, sec, s) &&
	    read_failures(x, sec, s));
}

/* Stand-ins that fail over in their turn would send a request round and round. */
bool
file_link_store(struct conf_ctx *x, cfg_t *sec)
{
	struct conf_store *s = file_find_store(x->conf, cfg_title(sec));
	const struct conf_value *v = file_value(sec, "failover_store");
	const struct conf_store *other;

	if (v == NULL)
		return (true);
	other = file_find_store(x->conf, v->text);
	if (other == NULL)
		return (conf_fail_at(x, v->line, "store \"%.60s\" is unknown; store \"%.60s\" { ... } somewhere", v->text,
		    v->text));
	if (other == s)
		return (conf_fail_at(x, v->line, "store \"%s\" cannot stand in for itself; without failover_store its own "
		    "servers stand in for each other", s->name));
	if (other->on_down == ON_DOWN_FAILOVER)
		return (conf_fail_at(x, v->line, "store \"%s\" fails over itself; on_down = error or miss there",
		    other->name));
	if (other->kind == STORE_ROCKSDB || (other->kind == STORE_MEMCACHED) != (s->kind == STORE_MEMCACHED))
		return (conf_fail_at(x, v->line, "store \"%s\" has type = %s and cannot stand in for type = %s; one of the "
		    "same type", other->name, other->type, s->type));
	s->failover_store = other;
	return (true);
}
