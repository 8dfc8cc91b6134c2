/*
 * coded_read.c - what a read found, made plain: decoded, or put together of its pieces.
 *
 * A piece that is not there may mean that the item is another by now: it is read again, and if it is, that one counts.
 * So a client gets one value or the other. If it is still the same, the value has lost a piece, and is a miss.
 */
#include "config.h"

#include "base/check.h"
#include "req/child.h"
#include "req/coded_internal.h"
#include "req/encode.h"
#include "req/fill.h"
#include "req/pieces.h"
#include "req/send.h"
#include "req/value.h"

#define REREADS_MAX	4

static void	coded_have(struct req *);

static void
coded_then(struct req *r)
{
	r->coded->then(r);
}

static void
coded_miss(struct req *r)
{
	coded_drop_value(&r->value);
	coded_outcome(r, OP_MISS);
	coded_then(r);
}

static void
coded_lost(struct req *r)
{
	METRIC_ADD(&r->ctx->metrics, values_lost, 1);
	coded_miss(r);
}

/* What is encoded as a whole, in bytes that stay until the end of this. */
static const char *
coded_decode(struct req *r, const struct envelope *head, struct slice in)
{
	struct ctx *ctx = r->ctx;
	struct value *v = NULL;
	const char *why = decode_check(r->ctx, r->space, head, in);
	char *dst;

	if (why != NULL)
		return (why);
	if (head->size <= ENCODE_SCRATCH)
		dst = encode_scratch(ctx);
	else {
		v = fill_may_hold(r, 0, (uint32_t)head->size) ? value_heap(ctx, (uint32_t)head->size) : NULL;
		dst = v != NULL ? (char *)(uintptr_t)value_bytes(v).p : NULL;
	}
	why = dst == NULL ? err_text(ERR_NOMEM) : decode_bytes(ctx, r->space, head, in, dst);
	if (why != NULL) {
		coded_drop_value(&v);
		return (why);
	}
	coded_drop_value(&r->value);
	r->value = v;
	r->be.data = slice_of(dst, head->size);
	r->be.res.size = (uint32_t)head->size;
	return (NULL);
}

/* ---- pieces of a value that is read ---- */

bool
coded_look(struct req *r, void (*done)(struct be_op *))
{
	struct op ask = { .verb = OP_GET, .opts = OPF_CLASSIC, .want = OPW_VALUE | OPW_CAS | OPW_FLAGS | OPW_TTL };
	struct req *c;

	ask.key = r->be.op.key;
	ask.hash = r->cmd.op.hash;
	c = child_new(r->ctx, r->space, &ask, SLICE_NULL, r, done);
	if (c == NULL)
		return (false);
	c->be.timeout = r->be.timeout;
	send_op(c);
	return (true);
}

/* The item once more: it was looked at a while ago, and a piece of it has gone. */
static void
coded_reread_done(struct be_op *be)
{
	struct req *c = CONTAINER_OF(be, struct req, be), *r = c->owner;
	const struct envelope *was = &r->coded->head, *now = &be->found_head;
	uint8_t bits = r->be.res.bits;

	if (be->err != ERR_NONE) {
		coded_error(r, be->err, NULL);
		coded_keep_why(r, be->why);
		coded_then(r);
	} else if (be->res.status != OP_OK)
		coded_miss(r);
	else if ((be->res.bits & OPR_ENCODED) != 0 && now->version == was->version &&
	    memcmp(now->nonce, was->nonce, NONCE_LEN) == 0)
		coded_lost(r);
	else {
		/* Another one by now, with marks of its own; who has the win of the last one still has it. */
		r->be.res = be->res;
		r->be.res.bits |= bits & OPR_WON;
		r->be.found_head = be->found_head;
		r->be.data = be->data;
		coded_drop_value(&r->value);
		r->value = c->value;
		c->value = NULL;
		coded_have(r);
	}
	child_end(c);
}

static void
coded_reread(struct req *r)
{
	if (++r->coded->rereads > REREADS_MAX || !coded_look(r, coded_reread_done))
		coded_lost(r);
}

/* Its pieces are to live as long as the item does from now on. */
static void
coded_touched(void *arg, const struct pieces_end *end)
{
	struct req *r = arg;

	(void)end;
	coded_then(r);
}

static bool
coded_touch(struct req *r)
{
	const struct envelope *head = &r->be.found_head;
	struct pieces_ask ask = { .what = PIECES_TOUCH, .key = r->be.op.key, .head = *head,
	    .ttl = pieces_ttl(r->cmd.op.ttl), .timeout = r->be.timeout, .done = coded_touched, .arg = r };

	if (!pieces_sane(head))
		return (false);
	return (pieces_run(r->ctx, r->space, &ask));
}

static void
coded_fetched(void *arg, const struct pieces_end *end)
{
	struct req *r = arg;
	struct coded *c = r->coded;

	if (end->err != ERR_NONE || end->lost)
		coded_drop_value(&c->whole);
	if (end->err == ERR_BADVALUE) {
		coded_bad(r, end->why);
		coded_then(r);
		return;
	}
	if (end->err != ERR_NONE) {
		coded_error(r, end->err, NULL);
		coded_keep_why(r, end->why);
		coded_then(r);
		return;
	}
	if (end->lost) {
		coded_reread(r);
		return;
	}
	r->value = c->whole;
	c->whole = NULL;
	r->be.data = value_bytes(r->value);
	r->be.res.size = value_len(r->value);
	if ((r->be.op.opts & OPF_TTL) == 0 || !coded_touch(r))
		coded_then(r);
}

static void
coded_fetch(struct req *r)
{
	struct coded *c = r->coded;
	struct pieces_ask ask = { .what = PIECES_FETCH, .key = r->be.op.key, .head = c->head,
	    .timeout = r->be.timeout, .done = coded_fetched, .arg = r };
	uint32_t size = (uint32_t)c->head.size;

	coded_drop_value(&r->value);
	r->be.data = SLICE_NULL;
	if (!pieces_sane(&c->head) || c->head.codec != CODEC_NONE) {
		coded_bad(r, "value has an unknown form");
		coded_then(r);
		return;
	}
	c->whole = fill_may_hold(r, 0, size) ? value_heap(r->ctx, size) : NULL;
	ask.value = c->whole;
	if (c->whole != NULL && pieces_run(r->ctx, r->space, &ask))
		return;
	coded_error(r, ERR_NOMEM, err_text(ERR_NOMEM));
	coded_then(r);
}

/* r's be_op says what the item has: r->coded->then() comes at once or later. */
static void
coded_have(struct req *r)
{
	struct op_result *res = &r->be.res;
	const struct envelope *head = &r->be.found_head;
	const char *why;

	if (r->be.err != ERR_NONE || res->status != OP_OK || (res->bits & OPR_ENCODED) == 0) {
		coded_then(r);
		return;
	}
	res->bits &= (uint8_t)~OPR_ENCODED;
	r->coded->head = *head;
	if ((r->be.op.want & OPW_VALUE) == 0) {
		res->size = (uint32_t)head->size;
		if (head->chunks == 0 || (r->be.op.opts & OPF_TTL) == 0 || !coded_touch(r))
			coded_then(r);
		return;
	}
	if (head->chunks != 0) {
		coded_fetch(r);
		return;
	}
	why = coded_decode(r, head, r->value != NULL ? value_bytes(r->value) : r->be.data);
	if (why != NULL)
		coded_bad(r, why);
	coded_then(r);
}

void
coded_read(struct req *r, void (*then)(struct req *))
{
	if (coded_of(r) == NULL) {
		coded_error(r, ERR_NOMEM, err_text(ERR_NOMEM));
		then(r);
		return;
	}
	r->coded->then = then;
	coded_have(r);
}
