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
#include "req/version.h"

void
cmd_prepare(struct ctx *ctx, struct job *jobs, unsigned njobs)
{
	uint64_t hash[CMD_JOBS_MAX];
	cache_hint hint[CMD_JOBS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < njobs; i++) {
		struct op *op = &jobs[i].cmd.op;

		if (jobs[i].hot == HOT_NONE && jobs[i].cmd.shape >= SHAPE_WORDS)
			continue;
		hash[n++] = op->hash = cache_hash(op->key);
	}
	if (n == 0 || !ctx->view->looks_up)
		return;
	cache_prefetch(ctx->cache, hash, hint, n);
	while (njobs-- > 0)
		if (jobs[njobs].hot != HOT_NONE || jobs[njobs].cmd.shape < SHAPE_WORDS)
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

/* The namespace of that name, the key's where name.p is NULL. False: as cmd_space(). */
static bool
named_space(struct client *cl, struct command *cmd, struct slice name, const struct space **sp, bool *good)
{
	const struct view *v = cl->ctx->view;
	int n = keymap_named(v->keymap, name);

	*good = true;
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

bool
cmd_space(struct client *cl, struct command *cmd, const struct space **sp, bool *good)
{
	bool meta = cmd->shape == SHAPE_META || cmd->shape == SHAPE_MSET;
	const char *error = NULL;
	struct slice name;

	*good = true;
	/* Without a file L is nothing, as it is to memcached. */
	if (LIKELY(!meta || cmd->space.len == 0 || cl->ctx->conf->file == NULL))
		*sp = view_find(cl->ctx->view, cmd->op.key);
	else {
		name = slice_of(cmd->space.p, cmd->space.len - 1);
		if (name.p[name.len] != '/') {
			*good = cmd_say(cl, cmd, "CLIENT_ERROR bad token in command line format");
			return (false);
		}
		if (!named_space(cl, cmd, name, sp, good))
			return (false);
	}
	if (UNLIKELY((*sp)->tokens) && meta)
		error = version_token(*sp, cmd);
	if (LIKELY(error == NULL))
		return (true);
	METRIC_ADD(&cl->ctx->metrics, bad_commands, 1);
	*good = cmd_say(cl, cmd, error);
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
		case SHAPE_RECORD:
			good = cmd_record(cl, cmd);
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

/* Memory for the body, by its namespace. False: there is none, which has been said. */
static bool
body_reserve(struct client *cl, struct req *r)
{
	struct ctx *ctx = cl->ctx;
	enum cache_err why = CACHE_NO_MEMORY;
	bool good;

	if (r->space->pool != NULL) {
		r->value = through_body(ctx, r->space, &r->cmd);
		if (r->value != NULL)
			return (true);
		METRIC_ADD(&ctx->metrics, store_no_memory, 1);
		good = cmd_say(cl, &r->cmd, "SERVER_ERROR out of memory storing object");
	} else {
		r->item = local_reserve(ctx, &r->cmd, &why);
		if (r->item != NULL)
			return (true);
		good = local_store_refused(ctx, replyq_out(ctx, &cl->q), &r->cmd, why);
	}
	cl->q.broken |= !good;
	return (false);
}

struct req *
cmd_body_begin(struct client *cl, struct command *cmd)
{
	const struct space *sp;
	struct req *r;
	bool good;

	if (!cmd_space(cl, cmd, &sp, &good)) {
		cl->q.broken |= !good;
		return (NULL);
	}
	if (sp->pool != NULL && through_too_large(cl->ctx, sp, cmd)) {
		cl->q.broken |= !through_refuse(cl->ctx, sp, &cl->q, cmd);
		return (NULL);
	}
	r = req_new(cl->ctx, NULL, cmd);
	if (r == NULL) {
		cl->q.broken = true;
		return (NULL);
	}
	req_set_space(r, sp);
	if (body_reserve(cl, r))
		return (r);
	req_done(r);
	return (NULL);
}

static int
body_iov(const struct ctx *ctx, const struct value *v, const struct item *it, uint32_t off, struct iovec *iov, int max)
{
	if (v != NULL)
		return (value_iov(v, off, iov, max));
	return (cache_value_iov(ctx->cache, it, off, iov, max));
}

int
cmd_body_iov(const struct req *r, uint32_t off, struct iovec *iov, int max)
{
	return (body_iov(r->ctx, r->value, r->item, off, iov, max));
}

static void
body_drop(struct ctx *ctx, struct value *v, struct item *it)
{
	if (v != NULL)
		value_unref(v);
	if (it != NULL)
		cache_abandon(ctx->cache, it);
}

/* Into the memory of r, from that of either of these. */
static void
body_copy(const struct req *r, const struct value *v, const struct item *it)
{
	uint32_t off = 0, len = r->cmd.op.vlen;

	while (off < len) {
		struct iovec from, to;
		size_t n;

		MUST(body_iov(r->ctx, v, it, off, &from, 1) == 1 && cmd_body_iov(r, off, &to, 1) == 1);
		n = from.iov_len < to.iov_len ? from.iov_len : to.iov_len;
		memcpy(to.iov_base, from.iov_base, n);
		off += (uint32_t)n;
	}
}

/* The namespace of that name, or the key's. False: as cmd_space(). */
static bool
body_space(struct client *cl, struct req *r, const struct space **sp)
{
	bool good = true, found = true;
	struct command cmd;

	memcpy(&cmd, &r->cmd, offsetof(struct command, nonce));
	if ((cmd.op.opts & OPF_ELSEWHERE) != 0) {
		cmd.op.opts &= (uint16_t)~OPF_ELSEWHERE;
		found = named_space(cl, &cmd, slice_str(r->space->conf->name), sp, &good);
	} else
		*sp = view_find(cl->ctx->view, cmd.op.key);
	r->cmd.op.opts = cmd.op.opts;
	/* What E means may have changed, too; a P that meant nothing has gone. */
	if (found && (cmd.op.opts & ((*sp)->tokens ? OPF_NEWCAS : OPF_TOKEN)) != 0) {
		r->cmd.op.opts ^= OPF_NEWCAS | OPF_TOKEN;
		memset(r->cmd.token_nonce, 0, NONCE_LEN);
	}
	cl->q.broken |= !good;
	return (found);
}

/*
 * The configuration has changed since the body began to come: it is stored where the key is now. False: it cannot be,
 * which has been said.
 */
static bool
body_move(struct client *cl, struct req *r)
{
	struct value *v = r->value;
	struct item *it = r->item;
	const struct space *sp;
	bool good;

	if (!body_space(cl, r, &sp))
		return (false);
	view_unpin(r->space->view);
	req_set_space(r, sp);
	if (sp->pool != NULL && through_too_large(cl->ctx, sp, &r->cmd)) {
		cl->q.broken |= !through_refuse(cl->ctx, sp, &cl->q, &r->cmd);
		return (false);
	}
	/* What is not of the cache is good for any store. */
	if (sp->pool != NULL ? v != NULL && value_item(v) == NULL : it != NULL)
		return (true);
	r->value = NULL;
	r->item = NULL;
	good = body_reserve(cl, r);
	if (good)
		body_copy(r, v, it);
	body_drop(r->ctx, v, it);
	return (good);
}

void
cmd_body_end(struct client *cl, struct req *r, bool crlf)
{
	struct ctx *ctx = cl->ctx;
	struct outq *out;
	struct value *v;
	struct item *it;
	bool good;

	if (!crlf) {
		cl->q.broken |= !cmd_say(cl, &r->cmd,
		    "CLIENT_ERROR bad data chunk");
		cmd_body_drop(r);
		return;
	}
	if (UNLIKELY(r->space->view != ctx->view) && !body_move(cl, r)) {
		cmd_body_drop(r);
		return;
	}
	v = r->value;
	it = r->item;
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
	body_drop(r->ctx, r->value, r->item);
	r->item = NULL;
	r->value = NULL;
	req_done(r);
}
