/*
 * health.c - up, down, on trial. Knows nothing of connections and time: the store says what happened and asks what
 * may go out, so that all stores judge alike.
 */
#include "config.h"

#include "backend/health.h"
#include "base/check.h"

#define DELAY_LEAST	1000		/* microseconds */

void
health_init(struct health *h, unsigned limit, uint32_t seed)
{
	*h = (struct health){ .state = HEALTH_UP,
	    .limit = limit == 0 ? 1 : limit,
	    .random = seed == 0 ? 0x9e3779b9u : seed };
}

bool
health_may(const struct health *h)
{
	return (h->state == HEALTH_UP ||
	    (h->state == HEALTH_TRIAL && !h->trying));
}

bool
health_admit(struct health *h, bool *trial)
{
	*trial = h->state == HEALTH_TRIAL;
	if (!health_may(h))
		return (*trial = false);
	h->trying = *trial;
	return (true);
}

void
health_no_verdict(struct health *h)
{
	h->trying = false;
}

bool
health_good(struct health *h)
{
	if (h->state == HEALTH_DOWN ||
	    (h->state == HEALTH_TRIAL && !h->trying))
		return (false);
	h->failures = 0;
	h->attempts = 0;
	h->trying = false;
	if (h->state == HEALTH_UP)
		return (false);
	h->state = HEALTH_UP;
	return (true);
}

bool
health_bad(struct health *h)
{
	if (h->state == HEALTH_UP && ++h->failures < h->limit)
		return (false);
	return (health_gone(h));
}

bool
health_gone(struct health *h)
{
	bool was = h->state == HEALTH_DOWN;

	h->state = HEALTH_DOWN;
	h->trying = false;
	return (!was);
}

void
health_answered(struct health *h)
{
	if (h->state == HEALTH_DOWN)
		h->state = HEALTH_TRIAL;
}

/* xorshift: all that matters is that many who lost a server at one moment do not come back at one. */
static uint32_t
health_random(struct health *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 17;
	h->random ^= h->random << 5;
	return (h->random);
}

uint64_t
health_backoff(struct health *h, unsigned failed, uint64_t min, uint64_t max)
{
	uint64_t d = min < DELAY_LEAST ? DELAY_LEAST : min;

	if (max < d)
		max = d;
	while (failed-- > 0 && d < max)
		d *= 2;
	if (d > max)
		d = max;
	return (d - health_random(h) % (d / 4 + 1));
}

uint64_t
health_delay(struct health *h, uint64_t min, uint64_t max)
{
	unsigned failed = h->attempts;

	if (h->attempts < UINT32_MAX)
		h->attempts++;
	return (health_backoff(h, failed, min, max));
}
