/*
 * local.c - ops on the local cache as the only place there is, with their counters.
 *
 * The semantics are cache/verb's; this adds what clients and statistics see.
 */
#include "config.h"

#include "base/check.h"
#include "cache/verb.h"
#include "req/answer.h"
#include "req/local.h"
#include "req/observe.h"

static bool
local_get(struct ctx *ctx, struct ns_stats *ns, struct outq *out,
    struct command *cmd)
{
	struct metrics *m = &ctx->metrics;
	bool touch = (cmd->op.opts & OPF_TTL) != 0;
	struct op_result res;
	struct cache_shard *s;
	struct item *it;

	s = verb_get(ctx->cache, &cmd->op, &res, &it);
	if (touch)
		METRIC_ADD(m, cmd_touch, 1);
	else
		METRIC_ADD(m, cmd_get, 1);
	NS_ADD(ns, gets);
	if (UNLIKELY(observed(ctx) != 0))
		observe_get(ctx, ctx->cfd, cmd, s != NULL, &res);
	if (s == NULL) {
		if (touch)
			METRIC_ADD(m, touch_misses, 1);
		else
			METRIC_ADD(m, get_misses, 1);
		if ((res.bits & OPR_EXPIRED) != 0)
			METRIC_ADD(m, get_expired, 1);
		NS_ADD(ns, misses);
		return (answer_line(out, cmd, &res));
	}
	if (touch)
		METRIC_ADD(m, touch_hits, 1);
	else
		METRIC_ADD(m, get_hits, 1);
	NS_ADD(ns, hits);
	NS_ADD(ns, local_hits);
	/* The key is written as the item has it, not as it was asked for. */
	cmd->op.opts &= (uint16_t)~OPF_BINKEY;
	return (answer_item(ctx, out, cmd, &res, s, it));
}

static bool
local_delete(struct ctx *ctx, struct ns_stats *ns, struct outq *out,
    struct command *cmd)
{
	struct op_result res;
	uint32_t size = 0;

	if (UNLIKELY(observed(ctx) != 0))
		size = observe_lookup(ctx, ctx->cfd, cmd);
	verb_delete(ctx->cache, &cmd->op, &res);
	NS_ADD(ns, deletes);
	if (UNLIKELY(observed(ctx) != 0))
		observe_delete(ctx, ctx->cfd, cmd, res.status == OP_OK,
		    size);
	/* What only became stale is no hit. */
	if (res.status == OP_OK && (cmd->op.opts & OPF_INVALIDATE) == 0)
		METRIC_ADD(&ctx->metrics, delete_hits, 1);
	else if (res.status != OP_OK)
		METRIC_ADD(&ctx->metrics, delete_misses, 1);
	return (answer_line(out, cmd, &res));
}

static bool
local_arith(struct ctx *ctx, struct ns_stats *ns, struct outq *out,
    struct command *cmd)
{
	bool incr = cmd->op.mode == OP_INCR;
	struct op_result res;

	if (UNLIKELY(observed(ctx) != 0))
		(void)observe_lookup(ctx, ctx->cfd, cmd);
	verb_arith(ctx->cache, &cmd->op, &res);
	NS_ADD(ns, ariths);
	if (UNLIKELY(observed(ctx) != 0))
		observe_store(ctx, ctx->cfd, cmd, res.status);
	if (res.status == OP_OK && incr)
		METRIC_ADD(&ctx->metrics, incr_hits, 1);
	else if (res.status == OP_OK)
		METRIC_ADD(&ctx->metrics, decr_hits, 1);
	else if (res.status == OP_MISS && incr)
		METRIC_ADD(&ctx->metrics, incr_misses, 1);
	else if (res.status == OP_MISS)
		METRIC_ADD(&ctx->metrics, decr_misses, 1);
	return (answer_line(out, cmd, &res));
}

bool
local_run(struct ctx *ctx, struct ns_stats *ns, struct outq *out,
    struct command *cmd)
{
	struct op_result res;
	char buf[256];

	switch (cmd->op.verb) {
	case OP_GET:
		return (local_get(ctx, ns, out, cmd));
	case OP_DELETE:
		return (local_delete(ctx, ns, out, cmd));
	case OP_ARITH:
		return (local_arith(ctx, ns, out, cmd));
	default:
		MUST(cmd->op.verb == OP_DEBUG);
		verb_debug(ctx->cache, &cmd->op, &res, buf, sizeof buf);
		cmd->op.opts &= (uint16_t)~OPF_BINKEY;
		return (answer_line(out, cmd, &res));
	}
}

bool
local_store_refused(struct ctx *ctx, struct outq *out, struct command *cmd,
    enum cache_err why)
{
	if (cmd->id == CMD_SET || cmd->id == CMD_MS)
		verb_store_failed(ctx->cache, &cmd->op);
	if (why == CACHE_TOO_LARGE)
		METRIC_ADD(&ctx->metrics, store_too_large, 1);
	else
		METRIC_ADD(&ctx->metrics, store_no_memory, 1);
	if (UNLIKELY(observed(ctx) != 0))
		observe_refused(ctx, ctx->cfd, cmd, why == CACHE_TOO_LARGE);
	/* noreply hides it; a meta command's q does not. */
	if (cmd->quiet && cmd->shape == SHAPE_STORE)
		return (true);
	return (answer_server_error(out, why == CACHE_TOO_LARGE ?
	    "object too large for cache" : "out of memory storing object"));
}

bool
local_store_item(struct ctx *ctx, struct ns_stats *ns, struct outq *out,
    struct command *cmd, struct item *it)
{
	struct metrics *m = &ctx->metrics;
	struct op_result res;

	if (UNLIKELY(observed(ctx) != 0))
		(void)observe_lookup(ctx, ctx->cfd, cmd);
	verb_store(ctx->cache, &cmd->op, it, &res);
	METRIC_ADD(m, cmd_set, 1);
	NS_ADD(ns, sets);
	if (UNLIKELY(observed(ctx) != 0))
		observe_store(ctx, ctx->cfd, cmd, res.status);
	if ((cmd->op.opts & OPF_CAS) != 0) {
		if (res.status == OP_OK)
			METRIC_ADD(m, cas_hits, 1);
		else if (res.status == OP_EXISTS)
			METRIC_ADD(m, cas_badval, 1);
		else if (res.status == OP_MISS)
			METRIC_ADD(m, cas_misses, 1);
	}
	return (answer_line(out, cmd, &res));
}

struct item *
local_reserve(struct ctx *ctx, const struct command *cmd, enum cache_err *why)
{
	const struct op *op = &cmd->op;
	int32_t ttl = (op->opts & OPF_TTL) != 0 ? op->ttl : 0;

	if ((op->opts & OPF_VIVIFY) != 0 && (op->mode == OP_APPEND ||
	    op->mode == OP_PREPEND))
		ttl = op->vivify_ttl;
	return (cache_reserve(ctx->cache, op->hash, op->key, op->vlen,
	    verb_exptime(ctx->cache, ttl), (op->opts & OPF_FLAGS) != 0 ?
	    op->client_flags : 0, why));
}

bool
local_store(struct ctx *ctx, struct ns_stats *ns, struct outq *out,
    struct command *cmd, struct slice body)
{
	enum cache_err why;
	struct item *it;
	struct iovec iov[4];
	uint32_t off = 0;

	it = local_reserve(ctx, cmd, &why);
	if (it == NULL)
		return (local_store_refused(ctx, out, cmd, why));
	while (off < body.len) {
		int n = cache_value_iov(ctx->cache, it, off, iov, 4);

		MUST(n > 0);
		for (int i = 0; i < n; i++) {
			memcpy(iov[i].iov_base, body.p + off, iov[i].iov_len);
			off += (uint32_t)iov[i].iov_len;
		}
	}
	return (local_store_item(ctx, ns, out, cmd, it));
}
