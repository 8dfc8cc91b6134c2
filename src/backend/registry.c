/*
 * registry.c - which stores this build has: one row per `type` of the configuration.
 */
#include "config.h"

#include <string.h>

#include "backend/backend.h"
#include "base/check.h"

extern const struct be_ops memcached_ops;
extern const struct be_ops redis_cluster_ops;
extern const struct be_ops redis_ops;
extern const struct be_ops rocks_ops;

static const struct be_ops *const stores[] = {
	&memcached_ops,
	&redis_ops,
	&redis_cluster_ops,
	&rocks_ops,
};

const struct be_ops *
backend_find(const char *type)
{
	for (size_t i = 0; i < NITEMS(stores); i++)
		if (strcmp(stores[i]->name, type) == 0)
			return (stores[i]);
	return (NULL);
}
