/*
 * oversize.c - values that are too large for a memcached, before stores that have no such limit.
 */
#include "config.h"

#include "base/check.h"
#include "proto/reply.h"
#include "req/answer.h"
#include "req/fill.h"
#include "req/observe.h"
#include "req/outcome.h"
#include "req/through.h"
#include "req/through_internal.h"

static const char too_large_text[] = "object too large for cache";

bool
through_too_large(const struct ctx *ctx, const struct space *sp, const struct command *cmd)
{
	if (sp->conf->format == FORMAT_ITEM)
		return (cmd->op.vlen > sp->conf->item_size_max);
	return (sp->pool->conf->kind != STORE_MEMCACHED && cmd->op.vlen > cache_value_max(ctx->cache,
	    cmd->op.key.len, (cmd->op.opts & OPF_FLAGS) != 0 ? cmd->op.client_flags : 0));
}

static void
too_large_done(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be);

	if (r->write)
		fill_write_end(r, false);
	if (be->err != ERR_NONE)
		outcome_fail(r, "SERVER_ERROR ", be->why, strlen(be->why));
	else
		outcome_fail(r, "SERVER_ERROR ", too_large_text, sizeof too_large_text - 1);
	through_end(r);
}

bool
through_refuse(struct ctx *ctx, const struct space *sp, struct replyq *q, struct command *cmd)
{
	struct outq *out;
	struct req *r;

	METRIC_ADD(&ctx->metrics, store_too_large, 1);
	if (UNLIKELY(observed(ctx) != 0))
		observe_refused(ctx, ctx->cfd, cmd, true);
	if (cmd->id != CMD_SET && cmd->id != CMD_MS) {
		if (cmd->quiet && cmd->shape == SHAPE_STORE)
			return (true);
		out = replyq_out(ctx, q);
		return (out != NULL && answer_server_error(out, too_large_text));
	}
	/* memcached lets go of the old value, too. */
	r = through_begin(ctx, sp, q, cmd);
	if (r == NULL)
		return (false);
	r->be.op = (struct op){ .verb = OP_DELETE, .opts = OPF_CLASSIC | (r->be.op.opts & OPF_TOKEN),
	    .key = r->be.op.key, .hash = r->be.op.hash };
	r->be.done = too_large_done;
	through_submit(r);
	return (true);
}
