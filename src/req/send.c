/*
 * send.c - how an op sets out, and reads: one server after the other, or a second one before the first has answered.
 */
#include "config.h"

#include "base/check.h"
#include "obs/metric.h"
#include "req/coded.h"
#include "req/flight.h"
#include "req/hedge.h"
#include "req/route.h"
#include "req/send.h"
#include "req/value.h"

/* Asks the next one that has not been asked. */
static bool
flight_next(struct flight *f, bool hedge)
{
	if (f->tried == f->ntargets && (hedge || !flight_stand_in(f)))
		return (false);
	return (flight_leg(f, &f->targets[f->tried++], hedge));
}

static void
flight_read(struct flight *f)
{
	struct hedger *h = f->space->hedger;

	if (!flight_next(f, false)) {
		flight_drop(f);
		return;
	}
	if (h != NULL && f->ntargets > 1 && !f->behind)
		hedger_wait(h, f, f->started);
}

void
flight_read_done(struct flight *f, struct leg *leg)
{
	struct hedger *h = f->space->hedger;

	if (f->teller != NULL && f->teller != leg)
		return;
	if (h != NULL && (flight_leg_good(leg) || (!leg->hedge && leg->be.err == ERR_TIMEOUT)))
		hedger_learn(h, loop_now(f->ctx->loop) - f->started);
	if (flight_leg_good(leg)) {
		flight_decide(f, leg);
		return;
	}
	flight_note(f, &leg->be);
	/* What it has found is told already: nobody else can be asked for the rest of it. */
	if (f->teller != NULL) {
		flight_end(f, NULL);
		return;
	}
	if (flight_may_retry(f, &leg->be) && flight_next(f, false)) {
		METRIC_ADD(&f->ctx->metrics, retries, 1);
		return;
	}
	if (f->nout == 0)
		flight_end(f, NULL);
}

bool
flight_late(struct flight *f)
{
	struct ctx *ctx = f->ctx;

	if (!f->write && (f->tried == f->ntargets || f->teller != NULL))
		return (true);		/* there is nobody else, or no use for anybody */
	if (!hedger_spend(f->space->hedger, f, f->denied)) {
		if (!f->denied) {
			METRIC_ADD(&ctx->metrics, hedges_denied, 1);
			NS_ADD(f->space->stats, hedges_denied);
		}
		f->denied = true;
		return (false);
	}
	METRIC_ADD(&ctx->metrics, hedges_sent, 1);
	NS_ADD(f->space->stats, hedges_sent);
	if (f->write)
		(void)flight_leg(f, &f->targets[f->ntargets - 1], true);
	else
		(void)flight_next(f, true);
	return (true);
}

/* What legs may need after the req has gone. */
static void
flight_take_body(struct flight *f)
{
	struct req *r = f->r;
	struct value *v = coded_sent(r) != NULL ? coded_sent(r) : r->value;

	if (r->be.op.verb != OP_STORE || v == NULL)
		return;
	f->body = value_ref(v);
	f->pieces = r->body;
	r->body = NULL;
}

void
send_op(struct req *r)
{
	const struct pool *p = r->space->pool;
	struct flight *f = r->space->plain ? NULL : flight_new(r);

	if (LIKELY(f == NULL)) {
		METRIC_ADD(&r->ctx->metrics, store_requests, 1);
		p->ops->submit(route_pick(r->space->pool, route_place(&r->be), r->be.op.hash), &r->be);
		return;
	}
	flight_plan(f);
	if (!f->write) {
		flight_read(f);
		return;
	}
	flight_take_body(f);
	flight_write(f);
}
