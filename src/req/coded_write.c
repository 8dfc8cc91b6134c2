/*
 * coded_write.c - values on their way to the store: encoded, or in pieces.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "req/coded_internal.h"
#include "req/encode.h"
#include "req/hold.h"
#include "req/leavings.h"
#include "req/pieces.h"
#include "req/settle.h"
#include "req/through_internal.h"
#include "req/value.h"

bool
coded_body(struct req *r, const struct value *v)
{
	int n;
	struct iovec *body = through_pieces(v, &n);

	if (body == NULL)
		return (false);
	free(r->body);
	r->body = body;
	r->be.body = body;
	r->be.nbody = n;
	r->be.op.vlen = value_len(v);
	return (true);
}

/* All of the body in one piece; *mem is to be freed. p NULL: out of memory. */
static struct slice
coded_gather(const struct req *r, char **mem)
{
	const struct be_op *be = &r->be;
	char *p;

	*mem = NULL;
	if (be->nbody == 1)
		return (slice_of(be->body[0].iov_base, be->body[0].iov_len));
	*mem = p = malloc(be->op.vlen + 1);
	for (int i = 0; p != NULL && i < be->nbody; i++) {
		memcpy(p, be->body[i].iov_base, be->body[i].iov_len);
		p += be->body[i].iov_len;
	}
	return (slice_of(*mem, be->op.vlen));
}

/* Encodes the body, if that makes it smaller and there is memory. */
static void
coded_encode(struct req *r, struct coded *c)
{
	struct value *v = NULL;
	uint32_t len = r->be.op.vlen;
	bool small = len <= ENCODE_SCRATCH;
	struct slice plain;
	char *mem, *dst;
	size_t n = 0;

	plain = coded_gather(r, &mem);
	if (!small)
		v = value_heap(r->ctx, len);
	dst = small ? encode_scratch(r->ctx) : v != NULL ? (char *)(uintptr_t)value_bytes(v).p : NULL;
	if (plain.p != NULL && dst != NULL)
		n = encode_bytes(r->ctx, r->space, plain, dst, true, &c->head);
	free(mem);
	if (n > 0 && small && (v = value_heap(r->ctx, (uint32_t)n)) != NULL)
		memcpy((char *)(uintptr_t)value_bytes(v).p, dst, n);
	if (n == 0 || v == NULL) {
		coded_drop_value(&v);
		return;
	}
	value_trim(v, (uint32_t)n);
	if (!coded_body(r, v)) {
		coded_drop_value(&v);
		c->head = (struct envelope){ .codec = CODEC_NONE };
		return;
	}
	coded_drop_value(&c->sent);
	c->sent = v;
	r->be.head = &c->head;
}

/* ---- a write in pieces ---- */

/* Nobody will ever ask for them. */
static void
coded_drop_pieces(struct req *r, const struct envelope *head)
{
	struct pieces_ask ask = { .what = PIECES_DROP, .key = r->cmd.op.key, .head = *head };

	if (pieces_sane(head))
		(void)pieces_run(r->ctx, r->space, &ask);
}

void
coded_leave_pieces(struct req *r, const struct envelope *head)
{
	leavings_add(r->ctx, r->space->conf, r->cmd.op.key, head);
}

/* They are in the store: the item that names them. */
static void
coded_stored(void *arg, const struct pieces_end *end)
{
	struct req *r = arg;
	struct coded *c = r->coded;

		if (end->err != ERR_NONE) {
		coded_drop_pieces(r, &c->head);
		coded_error(r, end->err, NULL);
		coded_keep_why(r, end->why);
		through_done(&r->be);
		return;
	}
	r->be.head = &c->head;
	r->be.body = NULL;
	r->be.nbody = 0;
	r->be.op.vlen = 0;
	coded_send(r);
}

static void
coded_store_pieces(struct req *r, struct coded *c)
{
	struct pieces_ask ask = { .what = PIECES_STORE, .key = r->cmd.op.key,
	    .value = c->joined != NULL ? c->joined : r->value, .ttl = PIECES_STAGED, .timeout = r->be.timeout,
	    .done = coded_stored, .arg = r };

	c->head.version = r->be.version;
	memcpy(c->head.nonce, r->be.nonce, NONCE_LEN);
	ask.head = c->head;
	if (!pieces_run(r->ctx, r->space, &ask))
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
}

static void
coded_settled(void *arg, const struct pieces_end *end)
{
	struct req *r = arg;

	if (end->err != ERR_NONE) {
		coded_error(r, end->err, NULL);
		coded_keep_why(r, end->why);
	}
	through_done(&r->be);
}

void
coded_settle(struct req *r)
{
	struct coded *c = r->coded;
	const struct op *op = &r->be.op;
	struct pieces_ask ask = { .what = PIECES_TOUCH, .key = r->cmd.op.key, .head = c->head, .timeout = r->be.timeout,
	    .done = coded_settled, .arg = r };

	ask.ttl = pieces_ttl((op->opts & OPF_TTL) != 0 ? op->ttl : 0);
	if (!pieces_run(r->ctx, r->space, &ask))
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
}

void
coded_kept(struct req *r)
{
	struct coded *c = r->coded;
	struct pieces_ask ask = { .what = PIECES_TOUCH, .key = r->cmd.op.key, .head = c->head, .timeout = r->be.timeout,
	    .done = coded_settled, .arg = r };

	coded_leave_pieces(r, &c->head);
	if (!settle_run(r->ctx, r->space, &ask))
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
}

bool
coded_named(struct req *r)
{
	if (r->be.err == ERR_NONE && r->be.res.status == OP_OK && r->be.res.cas == r->coded->head.version)
		return (true);
	/* It is not known whether the item is there: what was staged is forgotten by itself. */
	if (r->be.err == ERR_NONE)
		coded_drop_pieces(r, &r->coded->head);
	return (false);
}

void
coded_higher(struct req *r)
{
	struct coded *c = r->coded;
	uint64_t there = r->be.res.cas;

	coded_drop_pieces(r, &c->head);
	if (++c->tries > CODED_TRIES_MAX) {
		coded_fail(r, ERR_BUSY, "too many write this key at once");
		return;
	}
	r->be.version = shared_version(r->ctx->shared);
	if (r->be.version <= there)
		r->be.version = there + 1;
	coded_store_pieces(r, c);
}

void
coded_write(struct req *r)
{
	struct coded *c = r->coded;

	c->head = (struct envelope){ .codec = CODEC_NONE };
	if (pieces_plan(r->ctx, r->space, r->be.op.vlen, &c->head) > 0) {
		if (c->hold == NULL)
			c->hold = hold_take(r);
		coded_store_pieces(r, c);
		return;
	}
	if (encode_wants(r->space, r->be.op.vlen))
		coded_encode(r, c);
	coded_send(r);
}
