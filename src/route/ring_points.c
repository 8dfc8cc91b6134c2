/*
 * ring_points.c - consistent hashing: servers are many points on a circle of 2^32, a key belongs to the
 * next one.
 *
 * Two ways to make the points: ours (ketama: XXH3 of "host:port" and the point's number, POINTS a unit of
 * weight, so that adding a server or changing a weight moves no key between other servers) and twemproxy's
 * (md5, four points a digest, 160 a server on average whatever the weights). Looked up through a table of
 * the circle in equal parts, at least one for each point: part -> first point in or after it, and then a
 * step or two along the points, which lie in one cache line.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <libhashkit/hashkit.h>

#include "base/check.h"
#include "route/ring_impl.h"

#define POINTS		256		/* a unit of weight; a share is off by 1/sqrt(POINTS), 6 % */
#define POINTS_MAX	(CONF_WEIGHTS_KETAMA * POINTS)

struct point {
	uint32_t	 value;
	uint32_t	 server;
};

struct points {
	struct ring	 ring;
	uint32_t	 npoints;
	unsigned	 shift;		/* value >> shift: index into first[] */
	uint32_t	*first;
	struct point	*points;	/* ascending; and a last one that leads to the first */
};

/* While building: the 64 bits decide the order, the upper 32 stay. */
struct draft {
	uint64_t	 value;
	uint32_t	 server;
};

static inline uint32_t
find(const struct points *ps, uint32_t value)
{
	uint32_t i = ps->first[value >> ps->shift];

	while (ps->points[i].value < value)
		i++;
	return (i);
}

static inline uint32_t
place_xxh3(uint64_t hash)
{
	return ((uint32_t)(hash >> 32));
}

/* A hash of 32 bits or, as crc32, of fewer, is not spread over the circle by itself. */
static inline uint32_t
place_mixed(uint64_t hash)
{
	return ((uint32_t)(ring_mix(hash) >> 32));
}

static inline uint32_t
place_as_is(uint64_t hash)
{
	return ((uint32_t)hash);
}

static size_t
walk(const struct points *ps, uint32_t value, size_t n)
{
	struct ring_seen seen = { 0 };
	uint32_t at = find(ps, value);

	/* The first point met is choice 0. */
	n++;
	for (uint32_t i = 0; i <= ps->npoints; i++) {
		if (ring_seen_add(&seen, ps->points[at].server) && --n == 0)
			return (ps->points[at].server);
		at = at >= ps->npoints - 1 ? 0 : at + 1;
	}
	return (ps->ring.nservers);
}

static void
points_free(struct ring *r)
{
	struct points *ps = CONTAINER_OF(r, struct points, ring);

	free(ps->first);
	free(ps->points);
	free(ps);
}

#define PLACED_BY(how)								\
	static size_t								\
	pick_##how(struct ring *r, struct slice key, uint64_t hash)		\
	{									\
		const struct points *ps = CONTAINER_OF(r, struct points, ring);	\
										\
		(void)key;							\
		return (ps->points[find(ps, place_##how(hash))].server);	\
	}									\
										\
	static size_t								\
	nth_##how(struct ring *r, struct slice key, uint64_t hash, size_t n)	\
	{									\
		const struct points *ps = CONTAINER_OF(r, struct points, ring);	\
										\
		(void)key;							\
		return (walk(ps, place_##how(hash), n));			\
	}									\
										\
	static const struct ring_ops ops_##how = {				\
		.pick = pick_##how,						\
		.nth = nth_##how,						\
		.free = points_free,						\
		.shared = true,							\
	};
PLACED_BY(xxh3)
PLACED_BY(mixed)
PLACED_BY(as_is)

static int
by_value(const void *va, const void *vb)
{
	const struct draft *a = va, *b = vb;

	if (a->value != b->value)
		return (a->value < b->value ? -1 : 1);
	return (a->server < b->server ? -1 : a->server > b->server);
}

/* first[part]: the first point at or after the part's beginning. */
static void
index_points(struct points *ps, size_t nparts)
{
	uint32_t i = 0;

	for (size_t part = 0; part < nparts; part++) {
		while (i < ps->npoints && (ps->points[i].value >> ps->shift) < part)
			i++;
		ps->first[part] = i;
	}
}

/* Takes the drafts. */
static struct ring *
points_new(struct draft *drafts, size_t n, const struct ring_ops *ops, const char **why)
{
	struct points *ps = calloc(1, sizeof(*ps));
	unsigned bits = 1;

	MUST(n > 0 && n <= POINTS_MAX);
	while ((size_t)1 << bits < 2 * n)
		bits++;
	if (ps != NULL) {
		ps->ring.ops = ops;
		ps->npoints = (uint32_t)n;
		ps->shift = 32 - bits;
		ps->first = calloc((size_t)1 << bits, sizeof(*ps->first));
		ps->points = calloc(n + 1, sizeof(*ps->points));
	}
	if (ps == NULL || ps->first == NULL || ps->points == NULL) {
		*why = "out of memory";
		if (ps != NULL)
			points_free(&ps->ring);
		free(drafts);
		return (NULL);
	}
	qsort(drafts, n, sizeof(*drafts), by_value);
	for (size_t i = 0; i < n; i++)
		ps->points[i] = (struct point){ (uint32_t)(drafts[i].value >> 32), drafts[i].server };
	ps->points[n] = (struct point){ UINT32_MAX, ps->points[0].server };
	index_points(ps, (size_t)1 << bits);
	free(drafts);
	return (&ps->ring);
}

static struct draft *
drafts_new(size_t n, const char **why)
{
	struct draft *drafts = n > POINTS_MAX ? NULL : calloc(n, sizeof(*drafts));

	if (drafts == NULL)
		*why = n > POINTS_MAX ? "the weights of all servers are more than 16384 together" :
		    "out of memory";
	return (drafts);
}

static uint64_t
total_weight(const struct conf_store *store)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < store->nservers; i++)
		sum += store->servers[i].weight;
	return (sum);
}

struct ring *
ring_new_ketama(const struct conf_store *store, bool xxh3, const char **why)
{
	char name[RING_NAME_MAXLEN + 16];
	struct draft *drafts = drafts_new(total_weight(store) * POINTS, why);
	size_t n = 0;

	if (drafts == NULL)
		return (NULL);
	for (unsigned i = 0; i < store->nservers; i++) {
		size_t len = ring_put_name(name, &store->servers[i], false);

		if (len == 0) {
			*why = "a server's name is too long";
			free(drafts);
			return (NULL);
		}
		for (unsigned p = 0; p < store->servers[i].weight * POINTS; p++) {
			int more = snprintf(name + len, sizeof(name) - len, "-%u", p);

			drafts[n++] = (struct draft){ hash_xxh3(slice_of(name, len + (size_t)more)), i };
		}
	}
	return (points_new(drafts, n, xxh3 ? &ops_xxh3 : &ops_mixed, why));
}

/* In the float that twemproxy uses: the rounding decides how many digests a server gets. */
static unsigned
twemproxy_digests(unsigned weight, uint64_t total, unsigned nservers)
{
	float share = (float)weight / (float)(uint32_t)total;

	return ((unsigned)floorf((float)(share * 160 / 4 * (float)nservers + 0.0000000001)));
}

/* The points of one server, from drafts[n] on; returns the new n. Of equal points the earlier one wins. */
static size_t
draft_twemproxy(struct draft *drafts, size_t n, size_t max, const struct conf_server *s, uint32_t server,
    unsigned ndigests)
{
	char name[RING_NAME_MAXLEN + 16];
	size_t len = ring_put_name(name, s, true);

	for (unsigned d = 0; d < ndigests && n + 4 <= max; d++) {
		unsigned char md5[16];
		int more = snprintf(name + len, sizeof(name) - len, "-%u", d);

		libhashkit_md5_signature((const unsigned char *)name, len + (size_t)more, md5);
		for (unsigned x = 0; x < 16; x += 4, n++) {
			uint32_t value = (uint32_t)md5[x + 3] << 24 | (uint32_t)md5[x + 2] << 16 |
			    (uint32_t)md5[x + 1] << 8 | md5[x];

			drafts[n] = (struct draft){ (uint64_t)value << 32 | n, server };
		}
	}
	return (n);
}

struct ring *
ring_new_twemproxy(const struct conf_store *store, const char **why)
{
	size_t n = 0, max = (size_t)store->nservers * 164;
	uint64_t total = total_weight(store);
	struct draft *drafts = drafts_new(max, why);
	uint16_t order[RING_SERVERS_MAX];

	if (drafts == NULL || !ring_sort_twemproxy(store, order, why)) {
		free(drafts);
		return (NULL);
	}
	for (unsigned i = 0; i < store->nservers; i++) {
		const struct conf_server *s = &store->servers[order[i]];

		n = draft_twemproxy(drafts, n, max, s, order[i],
		    twemproxy_digests(s->weight, total, store->nservers));
	}
	return (points_new(drafts, n, &ops_as_is, why));
}
