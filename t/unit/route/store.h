/* store.h - a struct conf_store for tests, written as "host:port weight alias". */
#ifndef T_UNIT_ROUTE_STORE_H
#define T_UNIT_ROUTE_STORE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/model.h"

/* Returns the store; its strings are never freed. */
static inline struct conf_store *
store_of(enum conf_dist dist, const char *hash, const char *tag, const char *const *servers, unsigned n)
{
	struct conf_store *store = calloc(1, sizeof(*store));

	store->servers = calloc(n, sizeof(*store->servers));
	store->nservers = n;
	store->dist = dist;
	store->hash = hash == NULL ? NULL : strdup(hash);
	if (tag != NULL)
		memcpy(store->hash_tag, tag, 2);
	for (unsigned i = 0; i < n; i++) {
		struct conf_server *s = &store->servers[i];
		char addr[256], alias[256] = "", *colon;

		s->weight = 1;
		sscanf(servers[i], "%255s %u %255s", addr, &s->weight, alias);
		s->name = strdup(addr);
		if (alias[0] != 0)
			s->alias = strdup(alias);
		colon = strrchr(addr, ':');
		if (addr[0] == '/') {
			s->path = strdup(addr);
		} else {
			s->port = (uint16_t)atoi(colon + 1);
			*colon = 0;
			s->host = strdup(addr);
		}
	}
	return (store);
}

static inline void
store_drop(struct conf_store *store)
{
	for (unsigned i = 0; i < store->nservers; i++) {
		free(store->servers[i].name);
		free(store->servers[i].alias);
		free(store->servers[i].path);
		free(store->servers[i].host);
	}
	free(store->servers);
	free(store->hash);
	free(store);
}

#endif
