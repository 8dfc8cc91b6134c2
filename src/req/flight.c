/*
 * flight.c - legs: sent, ended, called off; the decision.
 *
 * A flight lives until its last leg has ended, the req only until it is decided. So what legs need beyond submit()
 * is the flight's own: the body of a write and the view. The key is the req's; no leg is sent after the decision.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/record.h"
#include "base/check.h"
#include "cache/verb.h"
#include "obs/metric.h"
#include "req/fill.h"
#include "req/flight.h"
#include "req/hedge.h"
#include "req/record_internal.h"
#include "req/route.h"
#include "req/send.h"
#include "req/value.h"

#define USEC_PER_SEC	1000000
#define KEPT_MAX	1024	/* flights, legs */

static void leg_done(struct be_op *);

bool
flight_is_read(const struct op *op)
{
	return (op->verb == OP_DEBUG || op->verb == OP_ITEMS_READ || (op->verb == OP_GET && (op->opts &
	    (OPF_TTL | OPF_VIVIFY | OPF_RECACHE | OPF_NEWCAS)) == 0));
}

/* ---- order ---- */

static uint32_t *
unsettled_of(const struct flight *f, const struct req *r)
{
	return (&f->ctx->unsettled[r->be.op.hash & (NUNSETTLED - 1)]);
}

void
flight_unsettle(struct flight *f)
{
	if (!f->serial && f->space->pool->conf->replicas > 1)
		return;
	f->unsettled = true;
	++*unsettled_of(f, f->r);
}

bool
flight_is_behind(const struct flight *f)
{
	return (*unsettled_of(f, f->r) > 0);
}

/* ---- memory ---- */

struct flight *
flight_new(struct req *r)
{
	struct ctx *ctx = r->ctx;
	struct flight *f = TAILQ_FIRST(&ctx->free_flights);

	if (f != NULL) {
		TAILQ_REMOVE(&ctx->free_flights, f, next);
		ctx->nfree_flights--;
	} else if ((f = malloc(sizeof *f)) == NULL)
		return (NULL);
	memset(f, 0, offsetof(struct flight, targets));
	f->magic = FLIGHT_MAGIC;
	f->ctx = ctx;
	f->r = r;
	f->space = r->space;
	f->started = loop_now(ctx->loop);
	f->write = !flight_is_read(&r->be.op);
	f->need = 1;
	f->err = ERR_NONE;
	if (r->be.head != NULL)
		f->head = *r->be.head;
	f->failed = false;
	SLIST_INIT(&f->legs);
	if (r->be.rec != NULL) {
		f->held = r->be.rec;
		record_hold(f->held);
	}
	view_pin(f->space->view);
	return (f);
}

static void
flight_free(struct flight *f)
{
	struct ctx *ctx = f->ctx;
	struct leg *leg;

	MUST(f->nout == 0 && !f->waits && f->r == NULL);
	while ((leg = SLIST_FIRST(&f->legs)) != NULL) {
		SLIST_REMOVE_HEAD(&f->legs, next);
		if (leg->value != NULL)
			value_unref(leg->value);
		free(leg);
	}
	if (f->body != NULL)
		value_unref(f->body);
	if (f->held != NULL)
		record_release(f->held);
	free(f->pieces);
	if (f->lingers)
		route_fence_leave(ctx, f->hash);
	view_unpin(f->space->view);
	f->magic = 0;
	if (ctx->nfree_flights >= KEPT_MAX) {
		free(f);
		return;
	}
	ctx->nfree_flights++;
	TAILQ_INSERT_HEAD(&ctx->free_flights, f, next);
}

void
send_drain(struct ctx *ctx)
{
	struct flight *f;

	while ((f = TAILQ_FIRST(&ctx->free_flights)) != NULL) {
		TAILQ_REMOVE(&ctx->free_flights, f, next);
		free(f);
	}
}

/* ---- legs ---- */

/* be_sink: the first leg's value may be a copy's, any other's is on the heap. */
static int
leg_iov(struct be_op *be, const struct op_result *res, uint32_t off, struct iovec *iov, int max)
{
	struct leg *leg = CONTAINER_OF(be, struct leg, be);

	if (leg->flight->r == NULL)
		return (0);
	return (fill_value_iov(leg->flight->r, &leg->value, res, off, iov, max));
}

static const struct be_sink leg_sink = { leg_iov };

/* be_op.found of a page: who asked hears of it at once, and from then on of no other leg. */
static void
leg_found(struct be_op *be)
{
	struct leg *leg = CONTAINER_OF(be, struct leg, be);
	struct flight *f = leg->flight;

	if (f->r == NULL)
		return;
	if (f->teller == NULL)
		f->teller = leg;
	if (f->teller == leg)
		f->r->be.found(be);
}

/* Seconds as a client gives them, no longer than max from now. */
static int32_t
clip_ttl(const struct ctx *ctx, int32_t ttl, uint32_t max)
{
	uint32_t now = cache_now(ctx->cache), end;

	if (ttl < 0)
		return (ttl);
	end = ttl == 0 ? UINT32_MAX : verb_exptime(ctx->cache, ttl);
	return (ttl != 0 && end <= now + max ? ttl : (int32_t)max);
}

/* What a stand-in stores is forgotten soon: nobody looks there once the server itself is back. */
static void
leg_clip(struct leg *leg)
{
	const struct conf_store *st = leg->flight->space->pool->conf;
	uint32_t max = (uint32_t)(st->failover_ttl / USEC_PER_SEC);
	struct op *op = &leg->be.op;

	if (max == 0)
		return;
	if (op->verb == OP_STORE || (op->opts & OPF_TTL) != 0) {
		op->ttl = clip_ttl(leg->flight->ctx, (op->opts & OPF_TTL) != 0 ? op->ttl : 0, max);
		op->opts |= OPF_TTL;
	}
	if ((op->opts & OPF_VIVIFY) != 0)
		op->vivify_ttl = clip_ttl(leg->flight->ctx, op->vivify_ttl, max);
}

/*
 * Microseconds that are left of the SLO, which a page has but one of for all its ops, and of which a cache store may
 * have had some; 0: no bound.
 */
static uint64_t
leg_timeout(const struct flight *f)
{
	const struct conf_ns *ns = f->space->conf;
	const struct be_op *be = &f->r->be;
	uint64_t max = be->rec != NULL || be->rest ? be->timeout : f->write ? ns->slo_write.max : ns->slo_read.max;
	uint64_t gone = loop_now(f->ctx->loop) - f->started;

	if (max == 0)
		return (0);
	return (gone < max ? max - gone : 1);
}

bool
flight_leg(struct flight *f, const struct target *t, bool hedge)
{
	const struct be_op *from = &f->r->be;
	struct leg *leg = calloc(1, sizeof *leg);

	if (leg == NULL)
		return (false);
	leg->flight = f;
	leg->target = t;
	leg->out = true;
	leg->hedge = hedge;
	leg->be.op = from->op;
	leg->be.body = f->pieces != NULL ? f->pieces : from->body;
	leg->be.nbody = from->nbody;
	leg->be.sink = &leg_sink;
	leg->be.timeout = leg_timeout(f);
	leg->be.rest = from->rest || loop_now(f->ctx->loop) != f->started;
	leg->be.format = from->format;
	leg->be.way = t->way;
	leg->be.ns = from->ns;
	leg->be.id = from->id;
	leg->be.item = from->item;
	leg->be.version = from->version;
	memcpy(leg->be.nonce, from->nonce, NONCE_LEN);
	leg->be.head = from->head != NULL ? &f->head : NULL;
	leg->be.chunk = from->chunk;
	leg->be.rec = from->rec;
	leg->be.also = from->also;
	leg->be.found = from->found != NULL ? leg_found : NULL;
	leg->be.place = from->place;
	leg->be.keep_dead = from->keep_dead;
	leg->be.value_max = from->value_max;
	leg->be.done = leg_done;
	if (t->stand_in) {
		METRIC_ADD(&f->ctx->metrics, failovers, 1);
		NS_ADD(f->space->stats, failovers);
		leg_clip(leg);
	}
	SLIST_INSERT_HEAD(&f->legs, leg, next);
	f->nout++;
	METRIC_ADD(&f->ctx->metrics, store_requests, 1);
	t->ops->submit(t->be, &leg->be);
	return (true);
}

/* ---- the decision ---- */

static void
call_off(struct flight *f, const struct leg *but)
{
	struct leg *leg;

	SLIST_FOREACH(leg, &f->legs, next)
		if (leg != but && leg->out)
			leg->target->ops->cancel(leg->target->be, &leg->be);
}

/* From here on the req is its own again. */
static struct req *
flight_leave(struct flight *f)
{
	struct req *r = f->r;

	f->r = NULL;
	if (f->unsettled)
		--*unsettled_of(f, r);
	f->unsettled = false;
	/* Until all replicas have the write, what is read from them may be older than what the client has been told. */
	if (r->write && f->nout > 0 && f->held == NULL) {
		f->lingers = r->lingers = true;
		f->hash = r->cmd.op.hash;
	}
	if (f->space->hedger != NULL)
		hedger_leave(f->space->hedger, f);
	return (r);
}

void
flight_decide(struct flight *f, struct leg *leg)
{
	struct req *r = flight_leave(f);

	if (leg->hedge) {
		METRIC_ADD(&f->ctx->metrics, hedges_won, 1);
		NS_ADD(f->space->stats, hedges_won);
	}
	r->be.err = leg->be.err;
	r->be.res = leg->be.res;
	r->be.data = leg->be.data;
	r->be.text = leg->be.text;
	r->be.why = leg->be.why;
	if ((leg->be.res.bits & OPR_ENCODED) != 0)
		r->be.found_head = leg->be.found_head;
	if (!f->write) {
		/* One that was read before stays until the client has been told. */
		if (leg->value != NULL) {
			MUST(r->value == NULL);
			r->value = leg->value;
			leg->value = NULL;
		}
		/* A replica of a cluster may be behind its master. */
		if (leg->target->way > 0 && (leg->target->ops->caps & BE_CAP_WHOLE) != 0) {
			r->lags = true;
			r->fills = false;
		}
		call_off(f, leg);
	} else if (f->space->pool->conf->replicas <= 1)
		call_off(f, leg);	/* the same write, twice at one server */
	r->be.done(&r->be);
}

void
flight_end(struct flight *f, const struct op_result *res)
{
	struct req *r = flight_leave(f);

	r->be.err = ERR_NONE;
	r->be.data = r->be.text = SLICE_NULL;
	r->be.why = NULL;
	if (res != NULL) {
		r->be.res = *res;
		r->be.found_head = f->found_head;
	} else if (f->err != ERR_NONE) {
		r->be.err = f->err;
		r->be.why = f->why;
	} else
		r->be.res = (struct op_result){ .status = OP_ERROR,
		    .error = slice_str(f->why) };
	r->be.done(&r->be);
}

void
flight_drop(struct flight *f)
{
	const struct target t = f->targets[0];
	struct req *r = flight_leave(f);

	/* r->be.body is still this. */
	r->body = f->pieces;
	f->pieces = NULL;
	flight_free(f);
	t.ops->submit(t.be, &r->be);
}

void
flight_note(struct flight *f, const struct be_op *be)
{
	const struct slice *line = &be->res.error;

	/* What a server said tells more than that another one is down. */
	if (f->failed && f->err != ERR_DOWN)
		return;
	f->failed = true;
	f->err = be->err;
	if (be->err != ERR_NONE)
		snprintf(f->why, sizeof f->why, "%s", be->why);
	else
		snprintf(f->why, sizeof f->why, "%.*s", (int)line->len, line->p);
}

bool
flight_may_retry(const struct flight *f, const struct be_op *be)
{
	const struct conf_ns *ns = f->space->conf;

	if (f->ctx->closing || (be->err != ERR_NONE && !err_retryable(be->err)))
		return (false);
	/* Nothing else than this tells of a request that came later than those before it. */
	if (f->behind && be->err == ERR_BUSY)
		return (false);
	/* If all are slow, each asked for what the others did not answer is what finishes them off. */
	if (be->err == ERR_TIMEOUT && flight_next_is_slow(f))
		return (false);
	return (ns->slo_read.max == 0 ||
	    loop_now(f->ctx->loop) - f->started < ns->slo_read.max);
}

/* ---- */

/* be_op.done of every leg. */
static void
leg_done(struct be_op *be)
{
	struct leg *leg = CONTAINER_OF(be, struct leg, be);
	struct flight *f = leg->flight;

	CHECK_OBJ_NOTNULL(f, FLIGHT_MAGIC);
	MUST(leg->out);
	leg->out = false;
	f->nout--;
	if (f->r != NULL) {
		if (f->write)
			flight_write_done(f, leg);
		else
			flight_read_done(f, leg);
	}
	if (f->nout == 0) {
		MUST(f->r == NULL);
		flight_free(f);
	}
}
