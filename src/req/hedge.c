/*
 * hedge.c - the queue of those that wait, the percentile, the budget.
 *
 * All reads wait equally long, and so do all writes, so each queue is in order of time but where the delay has just
 * changed; then some are looked at a little early or late. One alarm serves both.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "conf/model.h"
#include "ev/alarm.h"
#include "req/flight.h"
#include "req/hedge.h"

#define HEDGE_COST	1000		/* the budget counts thousandths */
#define BURST_MAX	64		/* hedges that a quiet time may have saved up */
#define BURST_START	4
#define OWN_MAX		2		/* the same, of one server to itself */
#define OWN_BITS	8
/*
 * Kept for those that were denied once. At a percentile most reads that are late are only a little late, and would
 * leave nothing for the few that are stuck.
 */
#define RESERVE		2
#define AUTO_START	10000		/* microseconds, until something is known */
#define AUTO_MIN	200
#define AUTO_MAX	1000000

struct hedger {
	const struct conf_ns *conf;
	struct loop	*loop;
	struct alarm	 alarm;
	struct flight_list reads, writes;	/* those of each wait equally long */
	uint64_t	 budget;
	/*
	 * What servers may be asked twice by themselves, over another connection, by hash of the server: of many
	 * servers one that is slow must not get what all their reads have saved up.
	 */
	uint64_t	 own[1 << OWN_BITS];
	uint64_t	 p95;		/* microseconds * 256 */
};

/* NULL: the second way leads to another server. */
static uint64_t *
own_budget(struct hedger *h, const struct flight *f)
{
	const struct target *t = &f->targets[f->ntargets - 1];

	if (f->ntargets < 2 || t->be != f->targets[0].be || (t->ops->caps & BE_CAP_WHOLE) != 0)
		return (NULL);
	return (&h->own[(uint64_t)(uintptr_t)t->be * 0x9e3779b97f4a7c15u >> (64 - OWN_BITS)]);
}

static void
save_up(uint64_t *budget, uint64_t more, uint64_t max)
{
	*budget = *budget + more < max ? *budget + more : max;
}

uint64_t
hedger_delay(const struct hedger *h)
{
	uint64_t usec = h->p95 / 256;

	if (h->conf->hedge == HEDGE_AFTER)
		return (h->conf->hedge_after);
	return (usec < AUTO_MIN ? AUTO_MIN : usec);
}

static void
hedger_queue(struct hedger *h, struct flight *f, uint64_t now)
{
	f->due = now + (f->write ? h->conf->slo_write.target :
	    hedger_delay(h));
	f->waits = true;
	TAILQ_INSERT_TAIL(f->write ? &h->writes : &h->reads, f, next);
	alarm_by(&h->alarm, f->due);
}

/* Those of a queue whose time has come. */
static void
hedger_look(struct hedger *h, struct flight_list *q, uint64_t now)
{
	struct flight *f;

	while ((f = TAILQ_FIRST(q)) != NULL && f->due <= now) {
		TAILQ_REMOVE(q, f, next);
		f->waits = false;
		/* Not now: perhaps there is budget the next time. */
		if (!flight_late(f))
			hedger_queue(h, f, now);
	}
	if (f != NULL)
		alarm_by(&h->alarm, f->due);
}

static void
hedger_ring(void *arg)
{
	struct hedger *h = arg;
	uint64_t now = loop_now_fresh(h->loop);

	hedger_look(h, &h->reads, now);
	hedger_look(h, &h->writes, now);
}

struct hedger *
hedger_new(struct loop *loop, const struct conf_ns *conf, const struct hedger *was)
{
	struct hedger *h = calloc(1, sizeof *h);

	if (h == NULL)
		return (NULL);
	h->conf = conf;
	h->loop = loop;
	TAILQ_INIT(&h->reads);
	TAILQ_INIT(&h->writes);
	h->budget = was != NULL ? was->budget : BURST_START * HEDGE_COST;
	h->p95 = was != NULL ? was->p95 : AUTO_START * 256;
	if (alarm_open(loop, &h->alarm, hedger_ring, h))
		return (h);
	free(h);
	return (NULL);
}

void
hedger_free(struct hedger **hp)
{
	struct hedger *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	MUST(TAILQ_EMPTY(&h->reads) && TAILQ_EMPTY(&h->writes));
	alarm_close(&h->alarm);
	free(h);
}

void
hedger_wait(struct hedger *h, struct flight *f, uint64_t now)
{
	uint64_t *own = own_budget(h, f);

	save_up(&h->budget, h->conf->hedge_budget, BURST_MAX * HEDGE_COST);
	if (own != NULL)
		save_up(own, h->conf->hedge_budget, OWN_MAX * HEDGE_COST);
	hedger_queue(h, f, now);
}

void
hedger_leave(struct hedger *h, struct flight *f)
{
	if (!f->waits)
		return;
	f->waits = false;
	TAILQ_REMOVE(f->write ? &h->writes : &h->reads, f, next);
}

/*
 * A quantile without a histogram: up by 95 parts where it was too low, down by 5 where it was too high, each a small
 * share of what it is, so it settles where one in twenty is above it and follows when the load changes.
 */
void
hedger_learn(struct hedger *h, uint64_t usec)
{
	uint64_t step = h->p95 / 2048 + 1;

	if (usec * 256 > h->p95)
		h->p95 += step * 95 / 5;
	else if (h->p95 > step)
		h->p95 -= step;
	if (h->p95 > (uint64_t)AUTO_MAX * 256)
		h->p95 = (uint64_t)AUTO_MAX * 256;
}

bool
hedger_spend(struct hedger *h, const struct flight *f, bool again)
{
	uint64_t *own = own_budget(h, f);

	if (h->budget < (again ? 1 : 1 + RESERVE) * HEDGE_COST || (own != NULL && *own < HEDGE_COST))
		return (false);
	h->budget -= HEDGE_COST;
	if (own != NULL)
		*own -= HEDGE_COST;
	return (true);
}
