/*
 * through.c - one op on a namespace that has a store behind it.
 *
 * The rules that keep local copies right (all times are the cache's clock, whole seconds):
 *  - a read remembers the key's fence when it is sent; its value enters the cache only if no write was under way
 *    and the fence has not moved, and with an expiry counted from when it was sent, a little short of what the
 *    server said, because clocks of whole seconds do not change at one moment;
 *  - a write moves the fence when it starts and when it ends. At its start it removes the local copy, and none can
 *    come while it is under way, so that a read pipelined behind it follows it to the server. At its end it sets
 *    the local copy if it was alone and the outcome is known. With on_error = stale a copy is not removed but
 *    becomes stale (copy.h), until a write is known to have succeeded. Where it is acknowledged before all replicas
 *    have it, it counts as under way until they do: what is read from the others meanwhile does not stay here;
 *  - copies are the namespace's that the key itself names. Where L names another they are not looked at, but a
 *    write removes them: both may have one store.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "cache/verb.h"
#include "req/answer.h"
#include "req/coalesce.h"
#include "req/coded.h"
#include "req/copy.h"
#include "req/fill.h"
#include "req/hold.h"
#include "req/outcome.h"
#include "req/parts.h"
#include "req/route.h"
#include "req/send.h"
#include "req/through.h"
#include "req/through_internal.h"
#include "req/tier.h"
#include "req/version.h"

#define READ_OPTS	(COPY_OPTS | OPF_CAS | OPF_ELSEWHERE)
/* Values that may be too large for a server: there add, replace ... behave unlike any ms. */
#define OVERSIZE_MIN	(256 * 1024)

static inline bool
is_read(const struct op *op)
{
	return (op->verb == OP_DEBUG ||
	    (op->verb == OP_GET && (op->opts & ~READ_OPTS) == 0));
}

/* Whether the namespace may keep a copy of what this op reads or writes. */
static inline bool
keeps(const struct space *sp, const struct op *op)
{
	return (sp->conf->local && (op->opts & OPF_ELSEWHERE) == 0);
}

/* Whether there may be a copy of the key, of whatever namespace. */
static inline bool
is_kept(const struct space *sp, const struct op *op)
{
	if (UNLIKELY((op->opts & OPF_ELSEWHERE) != 0))
		sp = view_find(sp->view, op->key);
	return (sp->conf->local && sp->pool != NULL);
}

bool
through_any(const struct ctx *ctx)
{
	return (ctx->conf->nstores > 0);
}

/* The body counts until the store has answered: so much may a client have out, and all together. */
static void
through_hold(struct req *r, uint32_t len)
{
	r->held = len;
	if (r->q != NULL)
		r->q->held += len;
}

static void
through_end_one(struct req *r)
{
	if (r->item != NULL)
		cache_abandon(r->ctx->cache, r->item);
	r->item = NULL;
	if (r->value != NULL)
		value_unref(r->value);
	else
		r->ctx->held -= r->held;
	r->value = NULL;
	coded_free(r);
	METRIC_SUB(&r->ctx->metrics, requests_inflight, 1);
	if (r->q != NULL)
		r->q->held -= r->held;
	req_done(r);
}

void
through_end(struct req *r)
{
	struct req *f = r->leads ? STAILQ_FIRST(&r->followers) : NULL, *next;

	through_end_one(r);
	for (; UNLIKELY(f != NULL); f = next) {
		next = STAILQ_NEXT(f, follow);
		through_end_one(f);
	}
}

void
through_submit(struct req *r)
{
	if (LIKELY(!hold_waits(r)))
		send_op(r);
}

/*
 * A classic read knows nothing of wins, but it is sent as mg, which takes the win of a stale item. It is given
 * back before the client hears: the item's unique is asked for, then the item is marked again.
 */
static void
give_back_done(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be);

	if (be->err == ERR_NONE && be->res.status == OP_ERROR &&
	    (be->op.opts & OPF_NEWCAS) != 0 &&
	    (r->cmd.op.want & OPW_CAS) == 0) {
		/*
		 * Before 1.6.27 there is no E: the unique changes. A client that was shown the unique would
		 * then never get its cas through, so there the win is kept.
		 */
		be->op.opts &= (uint16_t)~OPF_NEWCAS;
		through_submit(r);
		return;
	}
	through_end(r);
}

static void
give_back_asked(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be);
	const struct op_result *res = &be->res;

	if (be->err != ERR_NONE || res->status != OP_OK ||
	    (res->bits & OPR_STALE) == 0) {
		through_end(r);
		return;
	}
	be->op.verb = OP_DELETE;
	be->op.opts = OPF_INVALIDATE | OPF_CAS | OPF_NEWCAS;
	be->op.want = 0;
	be->op.cas = be->op.newcas = res->cas;
	be->done = give_back_done;
	through_submit(r);
}

static void
give_back(struct req *r)
{
	struct op *op = &r->be.op;

	op->opts = op->order = 0;
	op->want = OPW_CAS;
	r->be.done = give_back_asked;
	through_submit(r);
}

/* be.done of everything that goes to a store, at last. */
void
through_done(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be);
	const struct req *winner = NULL;
	struct op_result *res = &be->res;
	bool known = be->err == ERR_NONE && res->status != OP_ERROR;

	CHECK_OBJ(r, REQ_MAGIC);
	if (r->leads)
		coalesce_end(r);
	if (UNLIKELY(known && r->cmd.op.verb == OP_GET &&
	    (res->bits & OPR_WON) != 0)) {
		winner = coalesce_winner(r);
		r->hold = winner == NULL;
	}
	if (UNLIKELY(r->write && known && r->space->tokens && res->cas > be->version))
		space_version_seen(r->space, res->cas);
	if (r->write)
		fill_write_end(r, known);
	else if (known && r->fills)
		fill_read(r);
	if (be->err != ERR_NONE)
		METRIC_ADD(&r->ctx->metrics, store_errors, 1);
	if (LIKELY(!coalesce_followed(r)))
		outcome_tell(r, be, res, r->value);
	else
		coalesce_tell(r, winner);
	if (UNLIKELY(r->hold))
		give_back(r);
	else
		through_end(r);
}

uint32_t
through_keep_dead(struct ctx *ctx, const struct conf_ns *ns)
{
	uint64_t keep = (ns->delete_ttl - ns->delete_jitter) / 1000, span = 2 * ns->delete_jitter / 1000;

	if (span > UINT32_MAX - keep - 1)
		span = UINT32_MAX - keep - 1;
	return ((uint32_t)keep + ctx_random(ctx, (uint32_t)span + 1));
}

/* A write's version, and how long what it may delete is remembered. */
static void
through_version(struct req *r)
{
	const struct op *op = &r->cmd.op;

	if (is_read(op))
		return;
	if (UNLIKELY((op->opts & OPF_TOKEN) != 0)) {
		r->be.version = op->newcas;
		memcpy(r->be.nonce, r->cmd.token_nonce, NONCE_LEN);
	} else {
		r->be.version = shared_version(r->ctx->shared);
		memset(r->be.nonce, 0, NONCE_LEN);
	}
	r->be.keep_dead = through_keep_dead(r->ctx, r->space->conf);
}

struct req *
through_begin(struct ctx *ctx, const struct space *sp, struct replyq *q,
    const struct command *cmd)
{
	struct req *r = req_new(ctx, q, cmd);

	if (r == NULL)
		return (NULL);
	METRIC_ADD(&ctx->metrics, requests_inflight, 1);
	req_set_space(r, sp);
	r->be.op = r->cmd.op;
	r->be.op.opts &= (uint16_t)~OPF_ELSEWHERE;
	if ((sp->pool->ops->caps & BE_CAP_CLASSIC) == 0 &&
	    cmd->id != CMD_TOUCH && (cmd->id == CMD_SET || cmd->op.vlen < OVERSIZE_MIN))
		r->be.op.opts &= (uint16_t)~OPF_CLASSIC;
	r->be.body = NULL;
	r->be.nbody = 0;
	r->be.sink = &fill_sink;
	r->be.timeout = is_read(&cmd->op) ? sp->conf->slo_read.max :
	    sp->conf->slo_write.max;
	r->be.format = (uint8_t)sp->conf->format;
	r->be.rest = false;
	r->be.way = 0;
	r->be.value_max = cache_value_max(ctx->cache, cmd->op.key.len, 0);
	r->be.version = 0;
	r->be.keep_dead = 0;
	r->be.head = NULL;
	r->be.chunk = 0;
	r->be.rec = NULL;
	r->be.also = NULL;
	r->be.keys = NULL;
	route_split(&r->be, sp->conf);
	r->be.done = through_done;
	r->alias = sp->splits && r->be.item.len == 0 && r->be.id.len < r->be.op.key.len;
	if (sp->conf->format == FORMAT_ITEM) {
		through_version(r);
		coded_begin(r);
	}
	r->asked_at = cache_now(ctx->cache);
	r->cfd = ctx->cfd;
	r->write = !is_read(&cmd->op);
	if (r->write) {
		r->kept = is_kept(sp, &cmd->op);
		fill_write_begin(r);
	} else
		fill_read_begin(r);
	return (r);
}

/* Any op without a body: sent, or left to another that is under way. */
static void
through_ask(struct req *r)
{
	const struct space *sp = r->space;
	struct op *op = &r->be.op;

	if (sp->conf->coalesce && !r->alias && coalesce_join(r))
		return;
	if (op->verb == OP_GET && (op->opts & OPF_CAS) != 0) {
		/* Servers before 1.6.40 do not know mg C: compare here. */
		op->opts &= (uint16_t)~OPF_CAS;
		op->want |= OPW_CAS;
	}
	r->fills = keeps(sp, &r->cmd.op) && !r->alias && op->verb == OP_GET &&
	    is_read(&r->cmd.op) && (op->want & OPW_VALUE) != 0 &&
	    route_fence_writes(r->fence) == 0;
	if (r->fills)
		op->want |= OPW_TTL | OPW_FLAGS;
	if (LIKELY(sp->tier == NULL) || (r->cmd.op.opts & OPF_ELSEWHERE) != 0 || !tier_read(r))
		through_submit(r);
}

bool
through_run(struct ctx *ctx, const struct space *sp, struct replyq *q,
    struct command *cmd, struct req *parent)
{
	struct req *r = through_begin(ctx, sp, q, cmd);

	if (r == NULL)
		return (false);
	r->parent = parent;
	through_ask(r);
	return (true);
}

void
through_renew(struct ctx *ctx, const struct space *sp,
    const struct command *cmd)
{
	/* A classic read, so that no win is taken that nobody would know of. */
	struct command ask = { .id = CMD_GET, .shape = SHAPE_KEYS,
	    .op = { .verb = OP_GET, .opts = OPF_CLASSIC, .want = OPW_VALUE | OPW_FLAGS } };
	struct req *r;

	ask.op.opts |= cmd->op.opts & OPF_BINKEY;
	ask.op.key = cmd->op.key;
	ask.op.hash = cmd->op.hash;
	r = through_begin(ctx, sp, NULL, &ask);
	if (r == NULL)
		return;
	METRIC_ADD(&ctx->metrics, refreshes, 1);
	NS_ADD(sp->stats, refreshes);
	r->renews = true;
	through_ask(r);
}

struct value *
through_body(struct ctx *ctx, const struct space *sp, const struct command *cmd)
{
	struct value *v = NULL;
	struct item *it;

	if (keeps(sp, &cmd->op) && fill_may_store(cmd)) {
		it = fill_reserve_write(ctx, sp->conf, cmd);
		if (it != NULL) {
			v = value_of_reserved(ctx, it);
			if (v == NULL)
				cache_abandon(ctx->cache, it);
		}
	}
	return (v != NULL ? v : value_heap(ctx, cmd->op.vlen));
}

static bool
refuse_store(struct ctx *ctx, struct replyq *q, const struct command *cmd)
{
	struct outq *out = replyq_out(ctx, q);

	METRIC_ADD(&ctx->metrics, store_no_memory, 1);
	if (cmd->quiet && cmd->shape == SHAPE_STORE)
		return (out != NULL);
	return (out != NULL && answer_text(out,
	    "SERVER_ERROR out of memory storing object"));
}

bool
through_store(struct ctx *ctx, const struct space *sp, struct replyq *q,
    struct command *cmd, struct slice body)
{
	struct req *r;

	/* What may be sent again has to be kept. */
	if (body.len > BE_BODY_COPY_MAX || !sp->plain || coded_needs_value(sp, &cmd->op) ||
	    hold_has(ctx, cmd->op.key, cmd->op.hash)) {
		struct value *v = through_body(ctx, sp, cmd);

		if (v == NULL)
			return (refuse_store(ctx, q, cmd));
		fill_copy_in(v, body);
		return (through_store_value(ctx, sp, q, cmd, v));
	}
	if (!ctx_may_hold(ctx, body.len))
		return (refuse_store(ctx, q, cmd));
	r = through_begin(ctx, sp, q, cmd);
	if (r == NULL)
		return (false);
	if (keeps(sp, &cmd->op) && fill_may_store(cmd)) {
		r->item = fill_reserve_write(ctx, sp->conf, cmd);
		if (r->item != NULL)
			fill_copy_item(ctx, r->item, body);
	}
	through_hold(r, (uint32_t)body.len);
	ctx->held += body.len;
	r->fills = r->item != NULL;
	r->body_one.iov_base = (char *)(uintptr_t)body.p;
	r->body_one.iov_len = body.len;
	r->be.body = &r->body_one;
	r->be.nbody = 1;
	coded_store(r);
	return (true);
}

struct iovec *
through_pieces(const struct value *v, int *n)
{
	struct iovec *iov, *more;
	uint32_t off = 0;
	int cap = 8, got;

	*n = 0;
	/* An empty value has no pieces, yet NULL would mean there was no memory. */
	iov = malloc((size_t)cap * sizeof *iov);
	if (iov == NULL)
		return (NULL);
	while (off < value_len(v)) {
		if (*n == cap) {
			cap *= 2;
			more = realloc(iov, (size_t)cap * sizeof *iov);
			if (more == NULL) {
				free(iov);
				return (NULL);
			}
			iov = more;
		}
		got = value_iov(v, off, iov + *n, cap - *n);
		MUST(got > 0);
		for (int i = 0; i < got; i++)
			off += (uint32_t)iov[*n + i].iov_len;
		*n += got;
	}
	return (iov);
}

bool
through_store_value(struct ctx *ctx, const struct space *sp, struct replyq *q,
    struct command *cmd, struct value *v)
{
	struct req *r = through_begin(ctx, sp, q, cmd);

	if (r == NULL) {
		value_unref(v);
		return (false);
	}
	r->value = v;
	through_hold(r, value_len(v));
	r->fills = value_item(v) != NULL;
	r->body = through_pieces(v, &r->be.nbody);
	if (r->body == NULL) {
		outcome_fail(r, "SERVER_ERROR ", "out of memory", 13);
		if (r->write)
			fill_write_end(r, false);
		through_end(r);
		return (true);
	}
	r->be.body = r->body;
	coded_store(r);
	return (true);
}
