/*
 * ring_name.c - the names of servers, and the order that twemproxy puts them in.
 *
 * It compares lengths first and bytes then: 10.0.0.10:1 comes after 10.0.0.9:1, and all names of one length
 * are in byte order.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "route/ring_impl.h"

struct named {
	char		*name;
	size_t		 len;
	uint16_t	 server;
};

size_t
ring_put_name(char dst[RING_NAME_MAXLEN], const struct conf_server *s, bool hide_port)
{
	int len;

	if (s->alias != NULL)
		len = snprintf(dst, RING_NAME_MAXLEN, "%s", s->alias);
	else if (s->path != NULL)
		len = snprintf(dst, RING_NAME_MAXLEN, "%s", s->path);
	else if (hide_port && s->port == 11211)
		len = snprintf(dst, RING_NAME_MAXLEN, "%s", s->host);
	else
		len = snprintf(dst, RING_NAME_MAXLEN, "%s:%u", s->host, s->port);
	return (len < 0 || len >= RING_NAME_MAXLEN ? 0 : (size_t)len);
}

static int
by_name(const void *va, const void *vb)
{
	const struct named *a = va, *b = vb;
	int c;

	if (a->len != b->len)
		return (a->len < b->len ? -1 : 1);
	c = memcmp(a->name, b->name, a->len);
	return (c != 0 ? c : (int)a->server - (int)b->server);
}

bool
ring_sort_twemproxy(const struct conf_store *store, uint16_t *order, const char **why)
{
	struct named *all = calloc(store->nservers, sizeof(*all));
	char name[RING_NAME_MAXLEN];
	bool good = all != NULL;

	*why = "out of memory";
	for (unsigned i = 0; i < store->nservers && good; i++) {
		all[i].server = (uint16_t)i;
		all[i].len = ring_put_name(name, &store->servers[i], true);
		if (all[i].len == 0)
			*why = "a server's name is too long";
		else
			all[i].name = strdup(name);
		good = all[i].name != NULL;
	}
	if (good) {
		qsort(all, store->nservers, sizeof(*all), by_name);
		for (unsigned i = 0; i < store->nservers; i++)
			order[i] = all[i].server;
	}
	for (unsigned i = 0; i < store->nservers && all != NULL; i++)
		free(all[i].name);
	free(all);
	return (good);
}
