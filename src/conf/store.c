/*
 * store.c - the store sections: pools of servers, where their keys are, what their connections may do.
 *
 * Who answers for a server that cannot is in store_policy.c, what an embedded database has in store_disk.c.
 */
#include "config.h"

#include <string.h>

#include "base/check.h"
#include "conf/file.h"

#define SERVERS_MAX	4096

static const char *const dists[] = {
	[DIST_KETAMA] = "ketama",
	[DIST_JUMP] = "jump",
	[DIST_MODULA] = "modula",
	[DIST_RANDOM] = "random",
	[DIST_TWEMPROXY_KETAMA] = "twemproxy-ketama",
	[DIST_TWEMPROXY_MODULA] = "twemproxy-modula",
	[DIST_LIBMEMCACHED] = "libmemcached",
	[DIST_LIBMEMCACHED_KETAMA] = "libmemcached-ketama",
	[DIST_LIBMEMCACHED_KETAMA_WEIGHTED] = "libmemcached-ketama-weighted",
	NULL
};

static const char *const hashes[] = {
#define HASH(name)	name,
#include "tbl/hashes.h"
#undef HASH
	NULL
};

static const char *const protocols[] = { "auto", "classic", "meta", NULL };

const char *const file_types[] = {
	[STORE_MEMCACHED] = "memcached",
	[STORE_REDIS] = "redis",
	[STORE_REDIS_CLUSTER] = "redis-cluster",
	[STORE_ROCKSDB] = "rocksdb",
	NULL
};
#define TYPES	"memcached, redis, redis-cluster or rocksdb"

const char *
conf_dist_name(enum conf_dist d)
{
	MUST((unsigned)d < NITEMS(dists) - 1);
	return (dists[d]);
}

struct conf_store *
file_find_store(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->nstores; i++)
		if (strcmp(c->stores[i].name, name) == 0)
			return (&c->stores[i]);
	return (NULL);
}

static bool
read_type(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	static const char *const later[] = { "cql" };
	const struct conf_value *v = file_value(sec, "type");

	if (v == NULL)
		return (conf_fail_at(x, s->line, "store \"%s\" has no type; " TYPES, s->name));
	for (size_t i = 0; i < NITEMS(later); i++)
		if (strcmp(v->text, later[i]) == 0)
			return (conf_fail_at(x, v->line, "type = %s is not in this version; " TYPES, v->text));
	for (int i = 0; file_types[i] != NULL; i++) {
		if (strcmp(v->text, file_types[i]) == 0) {
			s->kind = (enum conf_type)i;
			return (conf_set_str(x, &s->type, v->text));
		}
	}
	return (conf_fail_at(x, v->line, "type = %.60s is unknown; " TYPES, v->text));
}

static bool
check_twins(struct conf_ctx *x, const struct conf_store *s, const struct conf_server *srv)
{
	for (const struct conf_server *o = s->servers; o < srv; o++) {
		if (strcmp(o->name, srv->name) == 0)
			return (conf_fail_at(x, srv->line, "server \"%s\" is here a second time; weights make one count "
			    "for more", srv->name));
		if (o->alias != NULL && srv->alias != NULL && strcmp(o->alias, srv->alias) == 0)
			return (conf_fail_at(x, srv->line, "two servers have the alias \"%s\"; one each", srv->alias));
	}
	return (true);
}

static bool
read_servers(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	const uint16_t port = s->kind == STORE_MEMCACHED ? 11211 : 6379;
	const struct conf_value *v;

	if (s->kind == STORE_ROCKSDB)
		return (true);
	for (unsigned i = 0; (v = file_value_nth(sec, "servers", i)) != NULL; i++) {
		struct conf_server *srv;
		const char *why = NULL;

		if (i == SERVERS_MAX)
			return (conf_fail_at(x, v->line, "too many servers; at most %d", SERVERS_MAX));
		srv = CONF_GROW(x, s->servers, s->nservers);
		if (srv == NULL)
			return (false);
		srv->file = x->conf->file;
		srv->line = v->line;
		if (!conf_parse_server(x, v->text, port, srv, &why))
			return (conf_fail_at(x, v->line, "server \"%.100s\": %s; \"host:port weight alias zone=NAME\"",
			    v->text, why));
		if (!check_twins(x, s, srv))
			return (false);
	}
	if (s->nservers == 0)
		return (conf_fail_at(x, s->line, "store \"%s\" has no servers; servers = { \"host:port\", ... }", s->name));
	return (true);
}

static unsigned
weights_max(enum conf_dist dist)
{
	switch (dist) {
	case DIST_KETAMA:
		return (CONF_WEIGHTS_KETAMA);
	case DIST_JUMP:
	case DIST_MODULA:
	case DIST_TWEMPROXY_MODULA:
	case DIST_RANDOM:
		return (CONF_WEIGHTS_BUCKETS);
	default:
		return (UINT32_MAX);	/* the others look at their proportions */
	}
}

static bool
check_weights(struct conf_ctx *x, const struct conf_store *s)
{
	unsigned max = weights_max(s->dist), sum = 0;

	for (const struct conf_server *srv = s->servers; srv < s->servers + s->nservers; srv++) {
		sum += srv->weight;
		if (sum > max)
			return (conf_fail_at(x, srv->line, "the servers' weights come to more than %u, all that \"%s\" has "
			    "room for; smaller ones in the same proportion", max, dists[s->dist]));
	}
	return (true);
}

static bool
read_placement(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	const struct conf_value *tag = file_value(sec, "hash_tag");
	int dist = DIST_KETAMA, hash = -1;

	if (!file_get_word(x, sec, "distribution", dists, &dist) || !file_get_word(x, sec, "hash", hashes, &hash))
		return (false);
	s->dist = (enum conf_dist)dist;
	if (!check_weights(x, s))
		return (false);
	if (hash >= 0 && !conf_set_str(x, &s->hash, hashes[hash]))
		return (false);
	if (tag == NULL)
		return (true);
	if (strlen(tag->text) != 2)
		return (conf_fail_at(x, tag->line, "hash_tag = \"%.60s\" is not two characters; hash_tag = \"{}\"",
		    tag->text));
	memcpy(s->hash_tag, tag->text, 2);
	return (true);
}

static bool
read_limits(struct conf_ctx *x, cfg_t *sec, struct conf_store *s)
{
	const uint64_t ms = 1000, hour = 3600000000;

	s->connections = 1;
	s->connect_timeout = 1000 * ms;
	s->timeout = 1000 * ms;
	s->retry_min = 100 * ms;
	s->retry_max = 10000 * ms;
	s->max_inflight = 16384;
	if (!file_get_uint(x, sec, "connections", 1, 64, &s->connections) ||
	    !file_get_time(x, sec, "connect_timeout", ms, hour, &s->connect_timeout) ||
	    !file_get_time(x, sec, "timeout", ms, hour, &s->timeout) ||
	    !file_get_time(x, sec, "retry_min", ms, hour, &s->retry_min) ||
	    !file_get_time(x, sec, "retry_max", ms, hour, &s->retry_max) ||
	    !file_get_uint(x, sec, "max_inflight", 1, 1 << 20, &s->max_inflight) ||
	    !file_get_word(x, sec, "protocol", protocols, &s->protocol))
		return (false);
	if (s->retry_max < s->retry_min) {
		if (file_value(sec, "retry_max") != NULL)
			return (conf_fail_at(x, file_value(sec, "retry_max")->line,
			    "retry_max is below retry_min; at least as long"));
		s->retry_max = s->retry_min;
	}
	return (true);
}

bool
file_read_store(struct conf_ctx *x, cfg_t *sec)
{
	struct conf_store *s = CONF_GROW(x, x->conf->stores, x->conf->nstores);

	if (s == NULL || !conf_set_str(x, &s->name, cfg_title(sec)))
		return (false);
	s->file = x->conf->file;
	s->line = file_line(sec);
	if (s->name[0] == '\0')
		return (conf_fail_at(x, s->line, "this store has no name; store \"NAME\" { ... }"));
	return (read_type(x, sec, s) && read_servers(x, sec, s) && read_placement(x, sec, s) &&
	    read_limits(x, sec, s) && file_read_store_policy(x, sec, s) && file_read_store_disk(x, sec, s));
}
