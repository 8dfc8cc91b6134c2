/*
 * due.c - what has expired in a slab, without looking at it.
 *
 * An expired item is noticed when somebody asks for it, and most are never asked for again. So that their memory can
 * be had first, each slab counts its live bytes by when they expire: SLAB_DUES steps from when it was opened, of a
 * length that suits the TTLs of its stream. Steps are only counted once all of them is over, thus never too much;
 * what expires beyond the last step is known by the slab's max_exp alone.
 */
#include "config.h"

#include "cache/internal.h"

#define DUE_BITS	14u		/* a slab's bytes in units that sum up to less than 2^16 */
#define FIRST_STEP	4u		/* seconds, doubled with each step, where TTLs may be anything */

_Static_assert(sizeof(struct slab) == CACHE_LINE, "a slab's state is one line");

/* Seconds of a step; 0: each is twice as long as all before. */
static inline uint32_t
step_of(const struct slab *sl)
{
	switch ((enum stream)sl->stream) {
	case ST_MINUTE:
		return (8);
	case ST_QUARTER:
		return (75);
	case ST_DAY:
		return (7200);
	default:
		return (0);
	}
}

/* SLAB_DUES or more: beyond the last one. */
static inline uint32_t
due_index(const struct slab *sl, uint32_t exptime)
{
	uint32_t age = exptime > sl->born ? exptime - sl->born : 1, step = step_of(sl);

	if (step != 0)
		return ((age - 1) / step);
	return (age <= FIRST_STEP ? 0 : 32 - (uint32_t)__builtin_clz((age - 1) / FIRST_STEP));
}

/* The number of seconds after which all of step i has expired. */
static inline uint32_t
due_end(const struct slab *sl, unsigned i)
{
	uint32_t step = step_of(sl);

	return (step != 0 ? (i + 1) * step : FIRST_STEP << i);
}

static inline uint32_t
units(const struct cache *c, uint32_t bytes)
{
	return (bytes >> (c->slab_shift - DUE_BITS));
}

void
due_add(const struct cache *c, struct slab *sl, uint32_t exptime, uint32_t bytes)
{
	uint32_t i = due_index(sl, exptime);

	if (exptime != 0 && i < SLAB_DUES)
		sl->due[i] += (uint16_t)units(c, bytes);
}

void
due_remove(const struct cache *c, struct slab *sl, uint32_t exptime, uint32_t bytes)
{
	uint32_t i = due_index(sl, exptime), n = units(c, bytes);

	if (exptime != 0 && i < SLAB_DUES)
		sl->due[i] -= (uint16_t)(n < sl->due[i] ? n : sl->due[i]);
}

uint32_t
due_by(const struct cache *c, const struct slab *sl, uint32_t now)
{
	uint32_t age = now - sl->born, n = 0, bytes;

	for (unsigned i = 0; i < SLAB_DUES && due_end(sl, i) <= age; i++)
		n += sl->due[i];
	bytes = n << (c->slab_shift - DUE_BITS);
	return (bytes < sl->live ? bytes : sl->live);
}
