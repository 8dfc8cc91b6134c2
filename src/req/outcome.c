/*
 * outcome.c - what a client hears of what a store has told, in the dialect of its command, and what is counted.
 */
#include "config.h"

#include "proto/reply.h"
#include "req/answer.h"
#include "req/copy.h"
#include "req/observe.h"
#include "req/outcome.h"
#include "req/parts.h"

static void
observe_done(const struct req *r, const struct op_result *res)
{
	bool ok = res->status == OP_OK;

	switch (r->cmd.op.verb) {
	case OP_GET:
		observe_get(r->ctx, r->cfd, &r->cmd, ok, res);
		break;
	case OP_DELETE:
		observe_delete(r->ctx, r->cfd, &r->cmd, ok, 0);
		break;
	case OP_STORE:
	case OP_ARITH:
		observe_store(r->ctx, r->cfd, &r->cmd, res->status);
		break;
	default:
		break;
	}
}

static void
count_get(struct ctx *ctx, struct ns_stats *ns, const struct req *r,
    bool found)
{
	struct metrics *m = &ctx->metrics;

	NS_ADD(ns, gets);
	if (found)
		NS_ADD(ns, hits);
	else
		NS_ADD(ns, misses);
	if ((r->cmd.op.opts & OPF_TTL) != 0) {
		METRIC_ADD(m, cmd_touch, 1);
		if (found)
			METRIC_ADD(m, touch_hits, 1);
		else
			METRIC_ADD(m, touch_misses, 1);
		return;
	}
	METRIC_ADD(m, cmd_get, 1);
	if (found)
		METRIC_ADD(m, get_hits, 1);
	else
		METRIC_ADD(m, get_misses, 1);
}

static void
count_write(struct ctx *ctx, struct ns_stats *ns, const struct req *r,
    enum op_status st)
{
	struct metrics *m = &ctx->metrics;
	bool hit = st == OP_OK, miss = st == OP_MISS;

	switch (r->cmd.op.verb) {
	case OP_STORE:
		NS_ADD(ns, sets);
		METRIC_ADD(m, cmd_set, 1);
		if ((r->cmd.op.opts & OPF_CAS) == 0)
			break;
		METRIC_ADD(m, cas_hits, hit);
		METRIC_ADD(m, cas_misses, miss);
		METRIC_ADD(m, cas_badval, st == OP_EXISTS);
		break;
	case OP_DELETE:
		NS_ADD(ns, deletes);
		/* What only became stale is no hit. */
		METRIC_ADD(m, delete_hits, hit &&
		    (r->cmd.op.opts & OPF_INVALIDATE) == 0);
		METRIC_ADD(m, delete_misses, !hit);
		break;
	case OP_ARITH:
		NS_ADD(ns, ariths);
		if (r->cmd.op.mode == OP_INCR) {
			METRIC_ADD(m, incr_hits, hit);
			METRIC_ADD(m, incr_misses, miss);
		} else {
			METRIC_ADD(m, decr_hits, hit);
			METRIC_ADD(m, decr_misses, miss);
		}
		break;
	default:
		break;
	}
}

void
outcome_fail(struct req *r, const char *prefix, const char *text, size_t len)
{
	struct outq *out;

	if (r->parent != NULL) {
		parts_fail(r->parent, text, len);
		return;
	}
	if (r->cmd.quiet && (r->cmd.shape == SHAPE_STORE ||
	    r->cmd.shape == SHAPE_KEY))
		return;
	out = req_out(r);
	if (out == NULL)
		return;
	if (!outq_append(out, prefix, strlen(prefix)) ||
	    !outq_append(out, text, len) || !outq_append(out, "\r\n", 2))
		req_broken(r);
}

/* The answer of a read that the store gave: of r itself, or of the read that it follows. */
static bool
answer_read(struct req *r, const struct be_op *be, const struct op_result *res,
    struct value *value)
{
	struct outq *out = req_out(r);
	bool good;

	if (out == NULL)
		return (true);
	if (!reply_sends_value(&r->cmd, res))
		good = answer_line(out, &r->cmd, res);
	else if (value != NULL)
		good = answer_value(out, &r->cmd, res, value);
	else if (be->data.p != NULL || res->size == 0)
		good = answer_data(out, &r->cmd, res, be->data);
	else
		good = false;
	if (good && r->parent == NULL && (r->cmd.shape == SHAPE_KEYS ||
	    r->cmd.shape == SHAPE_TOUCHKEYS))
		good = outq_append(out, "END\r\n", 5);
	return (good);
}

/* How many more of the client's requests may follow depends on how large the answers are. */
static void
learn(const struct req *r, const struct op_result *res)
{
	uint32_t n = r->q->answer;

	if (res != NULL && r->cmd.op.verb == OP_GET)
		n = reply_sends_value(&r->cmd, res) ? res->size : 0;
	replyq_learn(r->q, n, r->ctx->conf->client_buffer_max);
}

/* What the store's items know is shown so: a key as the item has it, not as it was asked for. */
static void
key_as_stored(struct req *r, const struct op_result *res)
{
	if (r->space->conf->format == FORMAT_ITEM && res->status == OP_OK &&
	    (r->cmd.op.verb == OP_GET || r->cmd.op.verb == OP_DEBUG))
		r->cmd.op.opts &= (uint16_t)~OPF_BINKEY;
}

static void
tell_known(struct req *r, const struct be_op *be, const struct op_result *res,
    struct value *value)
{
	struct ctx *ctx = r->ctx;
	struct ns_stats *ns = r->space->stats;

	key_as_stored(r, res);
	if (UNLIKELY(observed(ctx) != 0))
		observe_done(r, res);
	if (r->cmd.op.verb == OP_GET && r->cmd.shape != SHAPE_KEY) {
		count_get(ctx, ns, r, res->status == OP_OK);
		if (!answer_read(r, be, res, value))
			req_broken(r);
	} else {
		struct outq *out = req_out(r);

		if (r->cmd.op.verb == OP_GET)
			count_get(ctx, ns, r, res->status == OP_OK);
		else
			count_write(ctx, ns, r, res->status);
		if (out != NULL && !answer_line(out, &r->cmd, res))
			req_broken(r);
	}
	if (r->q != NULL)
		learn(r, res);
}

/* Whether it is the store's failure, and not that it cannot or will not do this. */
static bool
is_failure(const struct be_op *be, const struct op_result *res)
{
	return (be->err != ERR_NONE ||
	    slice_has_prefix(res->error, SLICE_LIT("SERVER_ERROR ")));
}

/* A read that failed, and which its namespace would rather have missed. */
static bool
forgives(const struct req *r, const struct be_op *be)
{
	const struct space *sp = r->space;

	return (!r->write && (sp->conf->on_error == ON_ERROR_MISS ||
	    (be->err == ERR_DOWN && sp->pool->conf->on_down == ON_DOWN_MISS)));
}

static void __attribute__((noinline))
tell_failure(struct req *r, const struct be_op *be, const struct op_result *res)
{
	static const struct op_result miss = { .status = OP_MISS };

	if (r->q != NULL)
		learn(r, NULL);
	if (is_failure(be, res) && copy_answer_stale(r))
		return;
	NS_ADD(r->space->stats, errors);
	if (forgives(r, be))
		tell_known(r, be, &miss, NULL);
	else if (be->err != ERR_NONE)
		outcome_fail(r, "SERVER_ERROR ", be->why, strlen(be->why));
	else
		outcome_fail(r, "", res->error.p, res->error.len);
}

void
outcome_tell(struct req *r, const struct be_op *be,
    const struct op_result *res, struct value *value)
{
	if (UNLIKELY(r->renews))
		return;
	if (LIKELY(be->err == ERR_NONE && res->status != OP_ERROR))
		tell_known(r, be, res, value);
	else
		tell_failure(r, be, res);
}
