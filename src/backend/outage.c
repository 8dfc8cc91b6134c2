/*
 * outage.c - the list of servers that workers share a note about. The lock is for those who open and close stores;
 * requests only read the counter.
 */
#include "config.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "backend/outage.h"

static pthread_mutex_t outages_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, outage) outages = LIST_HEAD_INITIALIZER(outages);

static struct outage *
outage_find(const char *store, const char *server)
{
	struct outage *o;

	LIST_FOREACH(o, &outages, next)
		if (strcmp(o->name, store) == 0 &&
		    strcmp(o->name + strlen(store) + 1, server) == 0)
			return (o);
	return (NULL);
}

static struct outage *
outage_new(const char *store, const char *server)
{
	size_t a = strlen(store) + 1, b = strlen(server) + 1;
	struct outage *o = calloc(1, sizeof *o + a + b);

	if (o == NULL)
		return (NULL);
	memcpy(o->name, store, a);
	memcpy(o->name + a, server, b);
	LIST_INSERT_HEAD(&outages, o, next);
	return (o);
}

struct outage *
outage_pin(const char *store, const char *server)
{
	struct outage *o;

	pthread_mutex_lock(&outages_lock);
	o = outage_find(store, server);
	if (o == NULL)
		o = outage_new(store, server);
	if (o != NULL)
		o->refs++;
	pthread_mutex_unlock(&outages_lock);
	return (o);
}

void
outage_unpin(struct outage **op)
{
	struct outage *o = *op;

	if (o == NULL)
		return;
	*op = NULL;
	pthread_mutex_lock(&outages_lock);
	if (--o->refs == 0) {
		LIST_REMOVE(o, next);
		free(o);
	}
	pthread_mutex_unlock(&outages_lock);
}
