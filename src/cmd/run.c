/*
 * run.c - the way of a command: which namespace, here or through to a store, with or without a body.
 *
 * A batch's keys are hashed and their cache lines requested before the first lookup, so that the misses of
 * the CPU's caches overlap instead of adding up.
 */
#include "config.h"

#include "base/check.h"
#include "cache/cache.h"
#include "cmd/internal.h"
#include "req/answer.h"
#include "req/copy.h"
#include "req/local.h"
#include "req/parts.h"
#include "req/through.h"
#include "req/value.h"

void
cmd_prepare(struct ctx *ctx, struct job *jobs, unsigned njobs)
{
	uint64_t hash[CMD_JOBS_MAX];
	cache_hint hint[CMD_JOBS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < njobs; i++) {
		struct op *op = &jobs[i].cmd.op;

		if (jobs[i].hot == HOT_NONE && jobs[i].cmd.shape == SHAPE_WORDS)
			continue;
		hash[n++] = op->hash = cache_hash(op->key);
	}
	if (n == 0 || !ctx->view->looks_up)
		return;
	cache_prefetch(ctx->cache, hash, hint, n);
	while (njobs-- > 0)
		if (jobs[njobs].hot != HOT_NONE || jobs[njobs].cmd.shape != SHAPE_WORDS)
			jobs[njobs].hint = hint[--n];
}

bool
cmd_say(struct client *cl, const struct command *cmd, const char *text)
{
	struct outq *out;

	if (cmd != NULL && cmd->quiet && cmd->shape != SHAPE_META &&
	    cmd->shape != SHAPE_MSET)
		return (true);
	out = replyq_out(cl->ctx, &cl->q);
	return (out != NULL && answer_text(out, text));
}

bool
cmd_space(struct client *cl, struct command *cmd, const struct space **sp,
    bool *good)
{
	const struct view *v = cl->ctx->view;
	struct slice name = cmd->space;
	int n;

	*good = true;
	if (LIKELY(name.len == 0 || v->conf->file == NULL ||
	    (cmd->shape != SHAPE_META && cmd->shape != SHAPE_MSET))) {
		*sp = view_find(v, cmd->op.key);
		return (true);
	}
	if (name.p[name.len - 1] == '/')
		name.len--;
	n = keymap_named(v->keymap, name);
	if (n >= 0) {
		*sp = &v->spaces[n];
		if (view_find(v, cmd->op.key) == *sp)
			return (true);
		cmd->op.opts |= OPF_ELSEWHERE;
		if ((*sp)->pool != NULL)
			return (true);
		/* The local cache knows keys, not namespaces. */
		*good = cmd_say(cl, cmd, "CLIENT_ERROR the key is of another namespace");
		return (false);
	}
	*good = cmd_say(cl, cmd, "CLIENT_ERROR unknown namespace");
	return (false);
}

static bool
run_key(struct client *cl, struct command *cmd)
{
	struct ctx *ctx = cl->ctx;
	struct outq *out;
	const struct space *sp;
	bool good;

	if (!cmd_space(cl, cmd, &sp, &good))
		return (good);
	if (sp->pool == NULL) {
		out = replyq_out(ctx, &cl->q);
		return (out != NULL &&
		    local_run(ctx, sp->stats, out, cmd));
	}
	if (!copy_answer(ctx, sp, &cl->q, cmd, &out))
		return (false);
	return (out != NULL || through_run(ctx, sp, &cl->q, cmd, NULL));
}

/* What memcached finds out before it reads the body comes before a body without CRLF. */
static bool
bad_chunk(struct client *cl, struct command *cmd, const struct space *sp)
{
	struct ctx *ctx = cl->ctx;
	enum cache_err why;
	struct item *it;

	if (sp->pool == NULL) {
		it = cache_reserve(ctx->cache, cmd->op.hash, cmd->op.key,
		    cmd->op.vlen, 0, 0, &why);
		if (it == NULL)
			return (local_store_refused(ctx,
			    replyq_out(ctx, &cl->q), cmd, why));
		cache_abandon(ctx->cache, it);
	} else if (through_too_large(ctx, sp, cmd))
		return (through_refuse(ctx, sp, &cl->q, cmd));
	return (cmd_say(cl, cmd, "CLIENT_ERROR bad data chunk"));
}

static bool
run_store(struct client *cl, struct job *job)
{
	struct ctx *ctx = cl->ctx;
	struct command *cmd = &job->cmd;
	struct outq *out;
	const struct space *sp;
	bool good;

	if (!cmd_space(cl, cmd, &sp, &good))
		return (good);
	if (job->bad_chunk)
		return (bad_chunk(cl, cmd, sp));
	if (sp->pool == NULL) {
		out = replyq_out(ctx, &cl->q);
		return (out != NULL && local_store(ctx, sp->stats, out,
		    cmd, job->body));
	}
	if (UNLIKELY(through_too_large(ctx, sp, cmd)))
		return (through_refuse(ctx, sp, &cl->q, cmd));
	return (through_store(ctx, sp, &cl->q, cmd, job->body));
}

static void __attribute__((noinline))
run_parsed(struct client *cl, struct job *job)
{
	struct command *cmd = &job->cmd;
	bool good;

	if (cmd->id == CMD_BAD) {
		METRIC_ADD(&cl->ctx->metrics, bad_commands, 1);
		good = cmd->quiet || cmd_say(cl, NULL, cmd->error);
	} else {
		switch (cmd->shape) {
		case SHAPE_META:
			METRIC_ADD(&cl->ctx->metrics, cmd_meta, 1);
			/* FALLTHROUGH */
		case SHAPE_KEY:
			good = run_key(cl, cmd);
			break;
		case SHAPE_KEYS:
		case SHAPE_TOUCHKEYS:
			good = cmd_get(cl, cmd);
			break;
		case SHAPE_MSET:
			METRIC_ADD(&cl->ctx->metrics, cmd_meta, 1);
			/* FALLTHROUGH */
		case SHAPE_STORE:
			good = run_store(cl, job);
			break;
		default:
			good = cmd_admin(cl, cmd);
			break;
		}
	}
	if (cmd->close)
		cl->close = true;
	if (UNLIKELY(!good))
		cl->q.broken = true;
}

void
cmd_run(struct client *cl, struct job *job)
{
	if (LIKELY(job->hot != HOT_NONE)) {
		if (LIKELY(hot_run(cl, job)))
			return;
		hot_parse(job);
	}
	run_parsed(cl, job);
}

struct req *
cmd_body_begin(struct client *cl, struct command *cmd)
{
	struct ctx *ctx = cl->ctx;
	enum cache_err why = CACHE_NO_MEMORY;
	const struct space *sp;
	struct req *r;
	bool good;

	if (!cmd_space(cl, cmd, &sp, &good)) {
		cl->q.broken |= !good;
		return (NULL);
	}
	if (sp->pool != NULL && through_too_large(ctx, sp, cmd)) {
		cl->q.broken |= !through_refuse(ctx, sp, &cl->q, cmd);
		return (NULL);
	}
	r = req_new(ctx, NULL, cmd);
	if (r == NULL) {
		cl->q.broken = true;
		return (NULL);
	}
	req_set_space(r, sp);
	if (sp->pool != NULL) {
		r->value = through_body(ctx, sp, cmd);
		if (r->value != NULL)
			return (r);
		METRIC_ADD(&ctx->metrics, store_no_memory, 1);
		good = cmd_say(cl, cmd,
		    "SERVER_ERROR out of memory storing object");
	} else {
		r->item = local_reserve(ctx, cmd, &why);
		if (r->item != NULL)
			return (r);
		good = local_store_refused(ctx, replyq_out(ctx, &cl->q), cmd,
		    why);
	}
	req_done(r);
	cl->q.broken |= !good;
	return (NULL);
}

int
cmd_body_iov(const struct req *r, uint32_t off, struct iovec *iov, int max)
{
	if (r->value != NULL)
		return (value_iov(r->value, off, iov, max));
	return (cache_value_iov(r->ctx->cache, r->item, off, iov, max));
}

void
cmd_body_end(struct client *cl, struct req *r, bool crlf)
{
	struct ctx *ctx = cl->ctx;
	struct outq *out;
	struct value *v = r->value;
	struct item *it = r->item;
	bool good;

	if (!crlf) {
		cl->q.broken |= !cmd_say(cl, &r->cmd,
		    "CLIENT_ERROR bad data chunk");
		cmd_body_drop(r);
		return;
	}
	r->value = NULL;
	r->item = NULL;
	if (it != NULL) {
		out = replyq_out(ctx, &cl->q);
		if (out == NULL)
			cache_abandon(ctx->cache, it);
		good = out != NULL && local_store_item(ctx,
		    r->space->stats, out, &r->cmd, it);
	} else
		good = through_store_value(ctx, r->space, &cl->q, &r->cmd, v);
	req_done(r);
	cl->q.broken |= !good;
}

void
cmd_body_drop(struct req *r)
{
	if (r->item != NULL)
		cache_abandon(r->ctx->cache, r->item);
	if (r->value != NULL)
		value_unref(r->value);
	r->item = NULL;
	r->value = NULL;
	req_done(r);
}
