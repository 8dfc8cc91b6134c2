/*
 * settle.c - a look at the item, then its pieces.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "req/child.h"
#include "req/req.h"
#include "req/send.h"
#include "req/settle.h"

struct settle {
	unsigned	 magic;
#define SETTLE_MAGIC	0x73657474u
	const struct space *space;	/* the child's view is pinned */
	struct pieces_ask ask;
	char		 key[PIECES_KEY_MAX];
};

static void
settle_end(struct settle *s, enum err err, const char *why)
{
	struct pieces_end end = { .err = err, .why = why };

	s->ask.done(s->ask.arg, &end);
	s->magic = 0;
	free(s);
}

/* An expiry as clients give it. */
static int32_t
ttl_of(uint64_t expiry)
{
	return (expiry == 0 ? 0 : (int32_t)((expiry + 999) / 1000));
}

static bool
is_ours(const struct settle *s, const struct be_op *be)
{
	const struct envelope *head = &be->found_head;

	return (be->res.status == OP_OK && (be->res.bits & OPR_ENCODED) != 0 && pieces_sane(head) &&
	    head->version == s->ask.head.version && memcmp(head->nonce, s->ask.head.nonce, NONCE_LEN) == 0);
}

/* be_op.done */
static void
settle_looked(struct be_op *be)
{
	struct req *c = CONTAINER_OF(be, struct req, be);
	struct settle *s = c->owner;

	CHECK_OBJ_NOTNULL(s, SETTLE_MAGIC);
	if (be->err != ERR_NONE)
		settle_end(s, be->err, be->why);
	else if (!is_ours(s, be))
		settle_end(s, ERR_NONE, NULL);
	else {
		s->ask.head = be->found_head;
		s->ask.ttl = pieces_ttl(ttl_of(be->found_head.expiry));
		if (pieces_run(c->ctx, s->space, &s->ask))
			free(s);
		else
			settle_end(s, ERR_NOMEM, err_text(ERR_NOMEM));
	}
	child_end(c);
}

bool
settle_run(struct ctx *ctx, const struct space *sp, const struct pieces_ask *ask)
{
	struct op op = { .verb = OP_GET, .opts = OPF_CLASSIC, .want = OPW_VALUE | OPW_CAS | OPW_FLAGS | OPW_TTL };
	struct settle *s = calloc(1, sizeof *s);
	struct req *c;

	if (s == NULL)
		return (false);
	MUST(ask->key.len <= sizeof s->key);
	s->magic = SETTLE_MAGIC;
	s->space = sp;
	s->ask = *ask;
	memcpy(s->key, ask->key.p, ask->key.len);
	op.key = s->ask.key = slice_of(s->key, ask->key.len);
	op.hash = cache_hash(op.key);
	c = ctx->closing ? NULL : child_new(ctx, sp, &op, SLICE_NULL, s, settle_looked);
	if (c == NULL) {
		free(s);
		return (false);
	}
	c->be.timeout = ask->timeout;
	send_op(c);
	return (true);
}
