/*
 * parts.c - multi-key reads and flush_all as a parent with parts.
 *
 * At most PARTS_MAX parts of one command are out at a time; the keys beyond wait in a copy of the line, so a
 * line of a hundred thousand keys costs its own length and no more. All of it is done with the view with which it
 * began, which the parent pins.
 */
#include "config.h"

#include <stdlib.h>

#include "backend/record.h"
#include "base/check.h"
#include "req/answer.h"
#include "req/batch.h"
#include "req/copy.h"
#include "req/local.h"
#include "req/parts.h"
#include "req/route.h"
#include "req/through.h"

#define PARTS_MAX	256
#define FAIR_SHARE	(64 * 1024)	/* output that one command may hold however short memory is */
#define PARTS_AHEAD	16	/* keys hashed and prefetched together */

static void parts_more(struct req *);

static void
parts_finish(struct req *p)
{
	bool good;

	if (p->failed) {
		outq_clear(&p->out);
		good = answer_server_error(&p->out, p->buf);
	} else if (!p->flush)
		good = outq_append(&p->out, "END\r\n", 5);
	else
		good = p->cmd.quiet || answer_text(&p->out, "OK");
	if (p->flush && p->cmd.quiet)
		outq_clear(&p->out);
	if (!good || p->parts.broken)
		req_broken(p);
	req_done(p);
}

/* parts.advanced: something of the parent became ready. */
static void
parts_advanced(struct replyq *q)
{
	struct req *p = CONTAINER_OF(q, struct req, parts);

	CHECK_OBJ(p, REQ_MAGIC);
	if (p->asking)
		return;
	if (p->q == NULL) {
		/* Nobody wants the others any more. */
		free(p->rest);
		p->rest = NULL;
	}
	if (p->rest != NULL && q->nwaiting < PARTS_MAX / 2)
		parts_more(p);
	if (TAILQ_EMPTY(&q->waiting) && p->rest == NULL)
		parts_finish(p);
	else
		req_park(p);
}

static struct req *
parts_begin(struct ctx *ctx, struct replyq *q, struct command *cmd)
{
	struct req *p = req_new(ctx, q, cmd);

	if (p == NULL)
		return (NULL);
	req_set_space(p, &ctx->view->spaces[0]);
	replyq_init(&p->parts, &p->out, parts_advanced);
	p->out.small = false;
	p->asking = true;
	return (p);
}

void
parts_fail(struct req *p, const char *text, size_t len)
{
	if (p->failed)
		return;
	p->failed = true;
	/* The parent writes its own. */
	if (len > 13 && memcmp(text, "SERVER_ERROR ", 13) == 0) {
		text += 13;
		len -= 13;
	}
	if (len > sizeof p->buf - 1)
		len = sizeof p->buf - 1;
	memcpy(p->buf, text, len);
	p->buf[len] = '\0';
}

/* Whether what the local cache has of the key is now a copy of what a store has: such are neither shown nor touched. */
static bool
became_copies(const struct ctx *ctx, const struct space *sp, struct slice key)
{
	return (UNLIKELY(sp->view != ctx->view) && view_find(ctx->view, key)->pool != NULL);
}

static bool
part_get(struct req *p, struct command *cmd, struct batch_plan *plan)
{
	struct ctx *ctx = p->ctx;
	const struct space *sp = view_find(p->space->view, cmd->op.key);
	struct outq *out;

	if (batch_takes(ctx, plan, sp, cmd)) {
		if (plan->n == BATCH_MAX && !batch_ask(p, plan))
			return (false);
		batch_add(plan, sp, cmd);
		return (true);
	}
	if (!batch_ask(p, plan))
		return (false);
	if (sp->pool == NULL) {
		if (became_copies(ctx, sp, cmd->op.key))
			return (true);
		out = replyq_out(ctx, &p->parts);
		return (out != NULL && local_run(ctx, sp->stats, out, cmd));
	}
	if (!copy_answer(ctx, sp, &p->parts, cmd, &out))
		return (false);
	return (out != NULL || through_run(ctx, sp, &p->parts, cmd, p));
}

/* Asks for keys until PARTS_MAX are out or none is left. */
static bool
parts_ask(struct req *p, struct command *cmd, struct slice *keys)
{
	struct cache *c = p->ctx->cache;
	bool looks_up = p->space->view->looks_up;
	struct slice ahead[PARTS_AHEAD];
	uint64_t hash[PARTS_AHEAD];
	cache_hint hint[PARTS_AHEAD];
	struct batch_plan plan;
	unsigned n;

	batch_begin(&plan, *keys);
	while (p->parts.nwaiting + plan.n < PARTS_MAX && !p->failed) {
		/* It leaves whole or not at all, so it has to be held; with what others hold if it is not small. */
		if (outq_len(&p->out) > FAIR_SHARE && !ctx_may_hold(p->ctx,
		    outpool_used(p->ctx->outpool)))
			parts_fail(p, "too large an answer", 19);
		for (n = 0; n < PARTS_AHEAD &&
		    command_next_key(keys, &ahead[n]); n++)
			hash[n] = cache_hash(ahead[n]);
		if (n == 0)
			break;
		if (looks_up)
			cache_prefetch(c, hash, hint, n);
		for (unsigned i = 0; i < n; i++) {
			uint16_t want = cmd->op.want;

			cmd->op.key = ahead[i];
			cmd->op.hash = hash[i];
			if (!part_get(p, cmd, &plan))
				return (false);
			cmd->op.want = want;
		}
	}
	return (batch_ask(p, &plan));
}

/* Goes on with the keys that had to wait. */
static void
parts_more(struct req *p)
{
	struct command cmd = p->cmd;

	p->asking = true;
	if (!parts_ask(p, &cmd, &p->rest_keys))
		parts_fail(p, "out of memory", 13);
	p->asking = false;
	if (p->failed || p->rest_keys.len == 0) {
		free(p->rest);
		p->rest = NULL;
	}
}

bool
parts_get(struct ctx *ctx, struct replyq *q, struct command *cmd)
{
	struct req *p = parts_begin(ctx, q, cmd);
	struct slice keys = cmd->keys;

	if (p == NULL)
		return (false);
	if (!parts_ask(p, cmd, &keys))
		parts_fail(p, "out of memory", 13);
	else if (keys.len > 0) {
		p->rest = malloc(keys.len);
		if (p->rest == NULL)
			parts_fail(p, "out of memory", 13);
		else {
			memcpy(p->rest, keys.p, keys.len);
			p->rest_keys = slice_of(p->rest, keys.len);
		}
	}
	p->asking = false;
	/* What can be said at once is; the caller looks at the queue itself. */
	parts_advanced(&p->parts);
	return (true);
}

static void
flush_done(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be), *p = r->parent;

	if (be->err != ERR_NONE)
		parts_fail(p, be->why, strlen(be->why));
	else if (be->res.status == OP_ERROR)
		parts_fail(p, be->res.error.p, be->res.error.len);
	route_flush_end(r->ctx, p->cmd.op.ttl);
	atomic_fetch_sub_explicit(&r->ctx->shared->flushing, 1, memory_order_release);
	req_done(r);
}

/* be_op.flushes of a store that has namespaces which flush_all is not to reach. */
static bool
flush_takes(const struct be_op *be, struct slice key)
{
	const struct req *r = CONTAINER_OF(be, const struct req, be);

	return (view_find(r->parent->space->view, key)->conf->flush);
}

/* be_op.flushes_space: what the configuration does not name is not this one's to empty. */
static bool
flush_takes_space(const struct be_op *be, const char *name)
{
	const struct req *r = CONTAINER_OF(be, const struct req, be);
	const struct view *v = r->parent->space->view;

	for (unsigned i = 0; i < v->conf->nspaces; i++)
		if (strcmp(v->conf->spaces[i].name, name) == 0)
			return (v->conf->spaces[i].flush);
	return (false);
}

static void
flush_server(struct req *p, struct pool *pool, struct backend *b)
{
	struct req *r = req_new(p->ctx, &p->parts, NULL);

	if (r == NULL) {
		parts_fail(p, "out of memory", 13);
		return;
	}
	r->parent = p;
	memset(&r->be, 0, sizeof r->be);
	r->be.op.verb = OP_FLUSH;
	r->be.op.ttl = p->cmd.op.ttl;
	if (!route_flush_takes_all(p->ctx, pool))
		r->be.flushes = flush_takes;
	r->be.flushes_space = flush_takes_space;
	r->be.done = flush_done;
	atomic_fetch_add_explicit(&p->ctx->shared->flushing, 1, memory_order_acquire);
	pool->ops->submit(b, &r->be);
}

bool
parts_flush(struct ctx *ctx, struct replyq *q, struct command *cmd)
{
	struct req *p = parts_begin(ctx, q, cmd);

	if (p == NULL)
		return (false);
	p->flush = true;
	route_flush_begin(ctx, cmd->op.ttl);
	for (unsigned i = 0; i < ctx->view->npools; i++) {
		struct pool *pool = ctx->view->pools[i];

		if (!route_flush_reaches(ctx, pool))
			continue;
		for (unsigned n = 0; n < pool->nservers; n++)
			flush_server(p, pool, pool->servers[n]);
	}
	p->asking = false;
	parts_advanced(&p->parts);
	return (true);
}

static void
checkpoint_done(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be);

	if (be->err != ERR_NONE)
		parts_fail(r->parent, be->why, strlen(be->why));
	req_done(r);
}

/* A client may have a copy made, but not anywhere it likes. */
static bool
is_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '/' || s.p[i] == 0x7f)
			return (false);
	return (s.len > 0 && s.len <= OP_KEY_MAX && s.p[0] != '.');
}

const char *
parts_checkpoint(struct ctx *ctx, struct replyq *q, struct command *cmd, bool *good)
{
	struct pool *pool = NULL;
	struct req *p, *r;

	*good = true;
	for (unsigned i = 0; i < ctx->view->npools; i++)
		if (slice_eq_str(cmd->words[0], ctx->view->pools[i]->conf->name))
			pool = ctx->view->pools[i];
	if (pool == NULL)
		return ("CLIENT_ERROR unknown store");
	if ((pool->ops->caps & BE_CAP_CHECKPOINT) == 0)
		return ("CLIENT_ERROR this type of store has no checkpoints");
	if (!is_name(cmd->words[1]))
		return ("CLIENT_ERROR bad name of a checkpoint");
	p = parts_begin(ctx, q, cmd);
	r = p != NULL ? req_new(ctx, &p->parts, NULL) : NULL;
	*good = r != NULL;
	if (r == NULL)
		return (NULL);
	p->flush = true;
	r->parent = p;
	memset(&r->be, 0, sizeof r->be);
	r->be.op.verb = OP_CHECKPOINT;
	r->be.id = cmd->words[1];
	r->be.done = checkpoint_done;
	pool->ops->submit(pool->servers[0], &r->be);
	p->asking = false;
	parts_advanced(&p->parts);
	return (NULL);
}
