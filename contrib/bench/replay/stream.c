/*
 * stream.c - the streams that caches are compared by: which key comes next.
 *
 * Keys are drawn from a zipf distribution by rank; what makes the streams differ is which key has a rank at the time,
 * and that is one small function each. Sizes follow from the key (and its version), so no two replays differ.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "stream.h"
#include "stream_impl.h"

#define KEYS		2000000u
#define REQUESTS	5000000u
#define SIZES		"lognormal:181.35,1"	/* mean 299 */
#define SCAN_LENGTH	50000u		/* keys of a scan, all of them new; it is over in so many requests, */
#define SCAN_EVERY	150000u		/* and one begins each so many */
#define SHIFT_EVERY	1000000u	/* half of the ranks have other keys then */
#define OVERWRITES	50u		/* percent */
#define RATE		100000u	/* requests a second of its clock */

struct kind {
	const char	*name;
	const char	*says;
	double		 theta;
	uint32_t	 keys;
	uint32_t	 requests;
	const char	*sizes;
	uint32_t	(*key)(struct stream *, uint64_t i, uint32_t rank);
	double		 step;		/* drift: keys per request */
	unsigned	 overwrites;	/* percent of the requests */
	bool		 ttls;
};

static uint32_t
key_steady(struct stream *st, uint64_t i, uint32_t rank)
{
	(void)st;
	(void)i;
	return rank;
}

/* Every third request is part of a scan, but in one piece. */
static uint32_t
key_scan(struct stream *st, uint64_t i, uint32_t rank)
{
	uint64_t every = (uint64_t)(SCAN_EVERY * st->scale), length = (uint64_t)(SCAN_LENGTH * st->scale);

	if (i % every < length)
		return st->gen.nkeys + st->scanned++;
	return rank;
}

/* Of even and odd ranks by turns, all get keys that were never seen. */
static uint32_t
key_shift(struct stream *st, uint64_t i, uint32_t rank)
{
	uint64_t turn = i / (uint64_t)(SHIFT_EVERY * st->scale);

	return rank + st->gen.nkeys * (uint32_t)((turn + (rank & 1)) / 2);
}

/* Each key grows more popular with time until it is the first, and is not asked for again. */
static uint32_t
key_drift(struct stream *st, uint64_t i, uint32_t rank)
{
	return rank + (uint32_t)((double)i * st->kind->step);
}

static const struct kind kinds[] = {
	{ "zipf0.8", "zipf 0.8", 0.8, KEYS, REQUESTS, SIZES, key_steady, 0, 0, false },
	{ "zipf0.99", "zipf 0.99", 0.99, KEYS, REQUESTS, SIZES, key_steady, 0, 0, false },
	{ "zipf1.2", "zipf 1.2", 1.2, KEYS, REQUESTS, SIZES, key_steady, 0, 0, false },
	{ "scan", "zipf 0.99, and a third is scans of new keys", 0.99, KEYS, REQUESTS, SIZES, key_scan, 0, 0, false },
	{ "shift", "zipf 0.99, half of the keys replaced each million", 0.99, KEYS, REQUESTS, SIZES, key_shift, 0, 0,
	  false },
	{ "drift-slow", "zipf 0.99, ranks move on by 1 key in 100 requests", 0.99, KEYS, REQUESTS, SIZES, key_drift,
	  0.01, 0, false },
	{ "drift-fast", "zipf 0.99, ranks move on by 20 keys in 100 requests", 0.99, KEYS, REQUESTS, SIZES, key_drift,
	  0.2, 0, false },
	{ "overwrite", "zipf 0.99, half are sets of another size", 0.99, KEYS, REQUESTS, SIZES, key_steady, 0,
	  OVERWRITES, false },
	{ "ttl", "zipf 0.99, TTLs from 1 s to for ever, 100000 a second", 0.99, KEYS, 2000000, SIZES, key_steady, 0, 0,
	  true },
	{ "fixed100", "zipf 0.99, all of 100 bytes", 0.99, KEYS, REQUESTS, "100", key_steady, 0, 0, false },
	{ "fixed1000", "zipf 0.99, all of 1000 bytes", 0.99, KEYS, REQUESTS, "1000", key_steady, 0, 0, false },
	{ "fixed10k", "zipf 0.99, all of 10240 bytes", 0.99, 200000, 1000000, "10240", key_steady, 0, 0, false },
};

#define NKINDS	(sizeof kinds / sizeof *kinds)

bool
stream_list(unsigned i, struct stream_info *info)
{
	if (i >= NKINDS)
		return false;
	*info = (struct stream_info){ kinds[i].name, kinds[i].says, kinds[i].requests, kinds[i].ttls };
	return true;
}

/* Seconds that a key's values live: the same for all of them. */
static uint32_t
ttl_of(uint32_t key)
{
	static const uint32_t ttls[16] = { 0, 0, 0, 0, 86400, 86400, 3600, 3600, 60, 60, 10, 10, 5, 3, 2, 1 };
	uint64_t state = key;

	return ttls[gen_random(&state) >> 60];
}

/* "key" and the number. */
static void
name_key(struct stream *st, struct stream_req *r)
{
	char *p = st->name + sizeof st->name;
	uint32_t v = r->key;

	do
		*--p = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	p -= 3;
	memcpy(p, "key", 3);
	r->name = p;
	r->name_len = (unsigned)(st->name + sizeof st->name - p);
}

static bool
drawn_next(struct stream *st, struct stream_req *r)
{
	const struct kind *k = st->kind;

	if (st->i >= st->requests)
		return false;
	r->op = k->overwrites != 0 && gen_random(&st->random) % 100 < k->overwrites ? STREAM_SET : STREAM_GET;
	r->key = k->key(st, st->i, gen_pick(&st->gen, &st->random));
	if (st->versions != NULL)
		r->version = st->versions[r->key] += r->op == STREAM_SET;
	else
		r->version = 0;
	r->size = gen_value_size(&st->gen, r->key, r->version);
	r->ttl = k->ttls ? ttl_of(r->key) : 0;
	r->at_us = st->i * 1000000 / RATE;
	name_key(st, r);
	st->i++;
	return true;
}

static const struct kind *
find_kind(const char *name)
{
	for (size_t i = 0; i < NKINDS; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

struct stream *
stream_open(const char *name, uint64_t seed, double scale, uint64_t requests, const char **why)
{
	const struct kind *k = find_kind(name);
	struct stream *st;

	if (k == NULL || !(scale > 0 && scale <= 1) || k->keys * scale < 1000) {
		*why = k == NULL ? "there is no such stream" : "that scale is not possible";
		return NULL;
	}
	*why = "out of memory";
	st = calloc(1, sizeof *st);
	if (st == NULL)
		return NULL;
	st->kind = k;
	st->next = drawn_next;
	st->info = (struct stream_info){ k->name, k->says, requests != 0 ? requests : (uint64_t)(k->requests * scale),
		k->ttls };
	st->requests = st->info.requests;
	st->scale = scale;
	st->random = (seed + 1) * 0xd1342543de82ef95u;
	st->gen.nkeys = (uint32_t)(k->keys * scale);
	st->gen.theta = k->theta;
	st->gen.run = (uint32_t)seed;
	(void)gen_size_parse(&st->gen.size, k->sizes);
	if (k->overwrites != 0)
		st->versions = calloc(st->gen.nkeys, sizeof *st->versions);
	if (!gen_setup(&st->gen) || (k->overwrites != 0 && st->versions == NULL))
		stream_close(&st);
	return st;
}

void
stream_close(struct stream **stp)
{
	struct stream *st = *stp;

	*stp = NULL;
	if (st == NULL)
		return;
	if (st->close != NULL)
		st->close(st);
	gen_teardown(&st->gen);
	free(st->versions);
	free(st);
}

struct stream_info
stream_info(const struct stream *st)
{
	return st->info;
}

bool
stream_next(struct stream *st, struct stream_req *r)
{
	return st->next(st, r);
}

const char *
stream_error(const struct stream *st)
{
	return st->error[0] == '\0' ? NULL : st->error;
}

const struct gen *
stream_gen(const struct stream *st)
{
	return &st->gen;
}
