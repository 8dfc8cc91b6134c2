/*
 * same.c - whether a store is the one that it was before a reload.
 *
 * Everything counts that may be read through a pool, which keeps the configuration that it was opened with: a change
 * that was overlooked here would have no effect until the next start. Where it is written does not count.
 */
#include "config.h"

#include <string.h>

#include "conf/model.h"

static bool
same_str(const char *a, const char *b)
{
	return (a == NULL || b == NULL ? a == b : strcmp(a, b) == 0);
}

static bool
same_servers(const struct conf_store *a, const struct conf_store *b)
{
	if (a->nservers != b->nservers)
		return (false);
	for (unsigned i = 0; i < a->nservers; i++) {
		const struct conf_server *s = &a->servers[i], *t = &b->servers[i];

		/* The name is made of host and port, or is the path. */
		if (!same_str(s->name, t->name) || s->weight != t->weight || !same_str(s->alias, t->alias) ||
		    !same_str(s->zone, t->zone))
			return (false);
	}
	return (true);
}

static bool
same_connections(const struct conf_store *a, const struct conf_store *b)
{
	return (a->connections == b->connections && a->connect_timeout == b->connect_timeout &&
	    a->timeout == b->timeout && a->retry_min == b->retry_min && a->retry_max == b->retry_max &&
	    a->max_inflight == b->max_inflight && a->protocol == b->protocol && same_str(a->user, b->user) &&
	    same_str(a->password, b->password) && a->database == b->database && a->map_refresh == b->map_refresh);
}

static bool
same_placement(const struct conf_store *a, const struct conf_store *b)
{
	return (a->dist == b->dist && same_str(a->hash, b->hash) && memcmp(a->hash_tag, b->hash_tag, 2) == 0 &&
	    a->replicas == b->replicas && a->write_quorum == b->write_quorum && a->read_from == b->read_from);
}

static bool
same_failures(const struct conf_store *a, const struct conf_store *b)
{
	if (a->failures != b->failures || a->on_down != b->on_down || a->failover_ttl != b->failover_ttl ||
	    a->flush_on_return != b->flush_on_return)
		return (false);
	/* One step deep: a store that stands in does not fail over itself. */
	return (a->failover_store == NULL || b->failover_store == NULL ? a->failover_store == b->failover_store :
	    conf_store_same(a->failover_store, b->failover_store));
}

static bool
same_database(const struct conf_store *a, const struct conf_store *b)
{
	return (same_str(a->path, b->path) && a->block_cache == b->block_cache && a->io_threads == b->io_threads &&
	    a->open_files == b->open_files && a->durability == b->durability && a->sync_interval == b->sync_interval);
}

bool
conf_store_same(const struct conf_store *a, const struct conf_store *b)
{
	return (same_str(a->name, b->name) && a->kind == b->kind && same_servers(a, b) && same_connections(a, b) &&
	    same_placement(a, b) && same_failures(a, b) && same_database(a, b));
}
