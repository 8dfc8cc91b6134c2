/*
 * hot.c - hits of the plainest reads, in as few instructions as they need.
 *
 * Everything that is not a small, whole, fresh value of a local item is left as it was for the general way
 * (cmd_run, cmd_get), which does it from the beginning: so the rules stand there, and here only what follows from
 * them for this one case. t/unit/proto/hot.c, fuzz_parse and t/10-differential.t hold the two to the same.
 */
#include "config.h"

#include "base/check.h"
#include "base/num.h"
#include "cache/cache.h"
#include "cmd/internal.h"
#include "proto/reply.h"
#include "req/copy.h"
#include "req/observe.h"
#include "req/value.h"

/* "VALUE <key> <flags> <size>\r\n", "\r\nEND\r\n" */
#define FRAME_MAX	(6 + OP_KEY_MAX + 1 + 10 + 1 + 10 + 2 + 7)

_Static_assert(FRAME_MAX + VALUE_COPY_MAX <= OUTQ_RESERVE_MAX,
    "a whole answer fits in one reservation");

static inline char *
put(char *p, const char *s, size_t len)
{
	memcpy(p, s, len);
	return (p + len);
}

#define PUT(p, lit)	put((p), (lit), sizeof(lit) - 1)

static inline void
hot_count(struct ctx *ctx, const struct space *sp)
{
	struct ns_stats *ns = sp->stats;

	METRIC_ADD(&ctx->metrics, cmd_get, 1);
	METRIC_ADD(&ctx->metrics, get_hits, 1);
	if (sp->pool != NULL)
		METRIC_ADD(&ctx->metrics, local_hits, 1);
	NS_ADD(ns, gets);
	NS_ADD(ns, hits);
	NS_ADD(ns, local_hits);
}

/* Whether reads of this namespace may be answered from the local cache. */
static inline bool
hot_space(const struct space *sp)
{
	return (sp->copies != SPACE_NO_COPIES);
}

/* Inlined once for each kind: nothing of the others is left. */
static inline bool __attribute__((always_inline))
hot_answer(struct ctx *ctx, struct outq *out, struct slice key, uint64_t hash,
    cache_hint hint, enum hot hot, bool end)
{
	const struct space *sp = view_find(ctx->view, key);
	struct cache_shard *s;
	struct item *it;
	uint32_t len;
	char *p, *e;

	if (UNLIKELY(!hot_space(sp) || observed(ctx) != 0))
		return (false);
	it = cache_hit_plain(ctx->cache, hash, hint, key, VALUE_COPY_MAX, &s);
	if (UNLIKELY(it == NULL))
		return (false);
	if (UNLIKELY(sp->copies == SPACE_CUT_COPIES) && copy_is_cut(ctx, sp, it, key)) {
		cache_unlock(s);
		return (false);
	}
	len = item_vlen(it);
	p = outq_reserve(out, FRAME_MAX - OP_KEY_MAX + key.len + len);
	if (UNLIKELY(p == NULL)) {
		cache_unlock(s);
		return (false);
	}
	if (hot == HOT_MG)
		e = num_put_u64(PUT(p, "VA "), len);
	else
		e = reply_value_head(p, key, item_client_flags(it), len);
	e = PUT(e, "\r\n");
	e = put(e, item_value(it), len);
	cache_unlock(s);
	e = end ? PUT(e, "\r\nEND\r\n") : PUT(e, "\r\n");
	outq_commit(out, (size_t)(e - p));
	hot_count(ctx, sp);
	return (true);
}

bool
hot_value(struct ctx *ctx, struct outq *out, struct slice key, uint64_t hash,
    cache_hint hint)
{
	return (hot_answer(ctx, out, key, hash, hint, HOT_GET, false));
}

bool
hot_run(struct client *cl, struct job *job)
{
	struct ctx *ctx = cl->ctx;
	const struct op *op = &job->cmd.op;

	/* Behind something that is under way: the general way knows where to put the answer. */
	if (UNLIKELY(!TAILQ_EMPTY(&cl->q.waiting)))
		return (false);
	if (job->hot == HOT_GET)
		return (hot_answer(ctx, &cl->out, op->key, op->hash, job->hint,
		    HOT_GET, true));
	if (!hot_answer(ctx, &cl->out, op->key, op->hash, job->hint, HOT_MG,
	    false))
		return (false);
	METRIC_ADD(&ctx->metrics, cmd_meta, 1);
	return (true);
}

void
hot_parse(struct job *job)
{
	static const struct parse_limits limits = { HOT_LINE_MAX, HOT_LINE_MAX };
	struct command *cmd = &job->cmd;
	uint64_t hash = cmd->op.hash;
	enum parse_close why;
	size_t used;

	MUST(proto_parse(job->body.p, job->body.len, &limits, cmd, &used,
	    &why) == PARSE_DONE && cmd->id != CMD_BAD);
	cmd->op.hash = hash;
	job->hot = HOT_NONE;
}
