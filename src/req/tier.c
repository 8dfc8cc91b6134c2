/*
 * tier.c - items in a store that may forget: memcacheds in front of the primary.
 *
 *	key	the item's whole key, as classic commands have it
 *	value	generation 16 | envelope, filled up with zeros, 64 | check 8 | value as it lies in the primary
 *
 * The check is of all of it, and of the key: such memory is cheap, and is not the primary's. What fails it is a miss.
 *
 * Nothing old may stay there, whoever writes, and however late a read comes back with what it found. So what is read
 * enters only where nothing is (add), or in the place of what was found there before the primary was asked (cas). A
 * write leaves an envelope that is marked dead: whoever reads that asks the primary, and may then replace it. It stays
 * for longer than a read may take that saw neither.
 *
 * Items of a record cannot be enumerated. The record has a key of its own, id + separator + DEL, whose value is its
 * generation; items of another one do not count. A delete of a range gives it a new one. Where it is missing the record
 * is unknown: the primary is asked, and a new generation begins.
 *
 * What the cache store could not be told is not asked for by this process for as long as it may be there; others find
 * it until it expires there.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/num.h"
#include "req/copy.h"
#include "req/send.h"
#include "req/tier.h"
#include "req/tier_internal.h"
#include "req/value.h"
#include "req/version.h"

#define WAIT		100000u		/* microseconds for an answer, where slo_read has no target */

void
tier_ask_unref(struct tier_ask *t)
{
	if (--t->refs > 0)
		return;
	MUST(!t->asking && t->r == NULL);
	if (t->value != NULL)
		value_unref(t->value);
	view_unpin(t->space->view);
	t->magic = 0;
	free(t);
}

/* ---- asking ---- */

static void
leave_list(struct tier_ask *t)
{
	if (t->asking)
		LIST_REMOVE(t, next);
	t->asking = false;
}

/* r->be.done of a read that was sent to the primary. */
static void
primary_done(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be);
	struct tier_ask *t = r->tier;

	tier_fill(t, r);
	r->tier = NULL;
	t->r = NULL;
	be->done = t->done;
	tier_ask_unref(t);
	be->done(be);
}

static void
ask_primary(struct tier_ask *t)
{
	struct req *r = t->r;
	uint64_t gone = loop_now(t->ctx->loop) - t->started;

	leave_list(t);
	/* What was spent here is no server's fault. */
	if (r->be.timeout != 0 && gone > 0) {
		r->be.timeout = gone < r->be.timeout ? r->be.timeout - gone : 1;
		r->be.rest = true;
	}
	r->be.op.want |= OPW_TTL | OPW_FLAGS;
	r->be.done = primary_done;
	send_op(r);
}

/* Without the primary: the outcome is in r->be. */
static void
decide(struct tier_ask *t)
{
	struct req *r = t->r;

	leave_list(t);
	r->tier = NULL;
	t->r = NULL;
	tier_ask_unref(t);
	r->be.done(&r->be);
}

void
tier_hurry(struct ctx *ctx, uint64_t id_hash)
{
	struct tier_ask *t, *next;

	for (t = LIST_FIRST(&ctx->tier_asks[id_hash & (NLEADS - 1)]); t != NULL; t = next) {
		next = LIST_NEXT(t, next);
		if (t->be.op.hash == id_hash)
			ask_primary(t);
	}
}

/* ---- the cache store's answer ---- */

/* be.sink: the head goes to t->head, what is behind it to memory of its own. */
static int
ask_iov(struct be_op *be, const struct op_result *res, uint32_t off, struct iovec *iov, int max)
{
	struct tier_ask *t = CONTAINER_OF(be, struct tier_ask, be);
	int n = 0;

	if (!t->asking || be->at + 1 != t->nkeys || res->size <= TIER_HEAD)
		return (0);
	if (off == 0)
		t->value = value_heap(t->ctx, res->size - TIER_HEAD);
	if (t->value == NULL)
		return (0);
	if (off < TIER_HEAD) {
		iov[n++] = (struct iovec){ t->head + off, TIER_HEAD - off };
		off = TIER_HEAD;
	}
	return (n + (n < max ? value_iov(t->value, off - TIER_HEAD, iov + n, max - n) : 0));
}

static const struct be_sink ask_sink = { ask_iov };

/* What is left of the item's life, in seconds; false: nothing. */
static bool
time_left(const struct envelope *e, int32_t *ttl)
{
	uint64_t now = version_clock() / 1000;

	*ttl = OP_TTL_NONE;
	if (e->expiry == 0)
		return (true);
	if (e->expiry <= now)
		return (false);
	*ttl = (int32_t)((e->expiry - now) / 1000);
	return (true);
}

/* The item's value, whole; value: what is behind the head, if it came in one piece. False: the primary knows better. */
static bool
take_item(struct tier_ask *t, const char *head, struct slice value, uint32_t size)
{
	struct be_op *be = &t->r->be;
	struct envelope e;
	struct slice none;
	int32_t ttl;

	if (num_get_be(head + TIER_CHECKED, 8) !=
	    tier_check(head, value.p != NULL ? value : value_bytes(t->value), t->keys[t->nkeys - 1]))
		return (false);
	if (!envelope_get(slice_of(head + TIER_GENERATION, ENVELOPE_LEN_MAX), &e, &none) ||
	    (e.marks & ENVELOPE_DEAD) != 0 || !time_left(&e, &ttl))
		return (false);
	if (t->space->splits && (!t->known || memcmp(head, t->generation, TIER_GENERATION) != 0))
		return (false);
	be->err = ERR_NONE;
	be->why = NULL;
	be->res = (struct op_result){ .status = OP_OK, .client_flags = e.client_flags, .ttl = ttl, .size = size,
	    .cas = e.version, .bits = e.codec != CODEC_NONE ? OPR_ENCODED : 0 };
	be->found_head = e;
	be->data = value;
	be->text = SLICE_NULL;
	MUST(t->r->value == NULL);
	t->r->value = t->value;
	t->value = NULL;
	return (true);
}

static void
found_item(struct tier_ask *t)
{
	const struct be_op *be = &t->be;
	bool whole = be->data.p != NULL;
	bool good = be->res.size >= TIER_HEAD && (whole || t->value != NULL);

	t->there = true;
	t->unique = be->res.cas;
	if (!t->asking || !good)
		return;
	good = take_item(t, whole ? be->data.p : t->head, whole ? slice_of(be->data.p + TIER_HEAD,
	    be->res.size - TIER_HEAD) : SLICE_NULL, be->res.size - TIER_HEAD);
	if (!good)
		return;
	METRIC_ADD(&t->ctx->metrics, tier_hits, 1);
	NS_ADD(t->space->stats, tier_hits);
	decide(t);
}

/* be.found */
static void
ask_found(struct be_op *be)
{
	struct tier_ask *t = CONTAINER_OF(be, struct tier_ask, be);

	CHECK_OBJ(t, TIER_ASK_MAGIC);
	if (be->at + 1 == t->nkeys)
		found_item(t);
	else if (be->res.size == TIER_GENERATION && be->data.p != NULL) {
		memcpy(t->generation, be->data.p, TIER_GENERATION);
		t->known = true;
	}
}

/* be.done */
static void
ask_done(struct be_op *be)
{
	struct tier_ask *t = CONTAINER_OF(be, struct tier_ask, be);
	bool good = be->err == ERR_NONE && be->res.status == OP_OK;

	CHECK_OBJ(t, TIER_ASK_MAGIC);
	t->answered = good;
	if (t->asking && t->ctx->closing) {
		t->r->be.err = ERR_CANCELLED;
		t->r->be.why = err_text(ERR_CANCELLED);
		decide(t);
	} else if (t->asking) {
		METRIC_ADD(&t->ctx->metrics, tier_misses, 1);
		NS_ADD(t->space->stats, tier_misses);
		if (!good)
			METRIC_ADD(&t->ctx->metrics, tier_errors, 1);
		else if (t->space->splits && !t->known)
			tier_begin_generation(t);
		ask_primary(t);
	}
	tier_ask_unref(t);
}

/* Whether the cache store may answer it, and is not known to be unable to. */
static bool
takes(const struct req *r)
{
	const struct space *sp = r->space;
	const struct be_op *be = &r->be;
	const struct op *op = &r->cmd.op;

	if (r->alias || r->renews || op->verb != OP_GET || (op->opts & ~COPY_OPTS) != 0 ||
	    (op->want & ~COPY_WANTS) != 0 || route_fence_writes(r->fence) != 0 || tier_is_doubtful(r->ctx, be->op.hash))
		return (false);
	return (tier_has_name(sp, op->key, be->id, be->item) &&
	    sp->tier->ops->healthy(tier_server(sp, be->id, be->op.hash)));
}

/* How long it is waited for. */
static uint64_t
patience(const struct space *sp)
{
	uint64_t t = sp->conf->slo_read.target != 0 ? sp->conf->slo_read.target : WAIT;

	return (t < sp->tier->conf->timeout ? t : sp->tier->conf->timeout);
}

/* Its keys, which outlive the req. */
static void
name_keys(struct tier_ask *t, const struct req *r)
{
	struct slice key = r->cmd.op.key;

	if (t->space->splits)
		(void)tier_record_key(t->space, r->be.id, t->text, &t->keys[t->nkeys++]);
	memcpy(t->text + OP_KEY_MAX, key.p, key.len);
	t->keys[t->nkeys++] = slice_of(t->text + OP_KEY_MAX, key.len);
	t->be.id = slice_of(t->text + OP_KEY_MAX, r->be.id.len);
}

bool
tier_read(struct req *r)
{
	struct ctx *ctx = r->ctx;
	struct tier_ask *t;

	if (!takes(r) || (t = calloc(1, sizeof *t)) == NULL)
		return (false);
	t->magic = TIER_ASK_MAGIC;
	t->ctx = ctx;
	t->space = r->space;
	t->r = r;
	t->done = r->be.done;
	t->started = loop_now(ctx->loop);
	/* The req's, until it has an outcome, and the op's. */
	t->refs = 2;
	name_keys(t, r);
	t->be.op = (struct op){ .verb = OP_GET, .want = OPW_VALUE | OPW_FLAGS | OPW_CAS, .hash = r->be.op.hash };
	t->be.ns = r->space->conf;
	t->be.format = FORMAT_RAW;
	t->be.sink = &ask_sink;
	t->be.timeout = patience(r->space);
	t->be.rest = true;
	t->be.keys = t->keys;
	t->be.nkeys = t->nkeys;
	t->be.found = ask_found;
	t->be.done = ask_done;
	view_pin(t->space->view);
	r->tier = t;
	t->asking = true;
	LIST_INSERT_HEAD(&ctx->tier_asks[t->be.op.hash & (NLEADS - 1)], t, next);
	METRIC_ADD(&ctx->metrics, store_requests, 1);
	t->space->tier->ops->submit(tier_server(t->space, t->be.id, t->be.op.hash), &t->be);
	return (true);
}
