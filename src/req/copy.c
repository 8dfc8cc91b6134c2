/*
 * copy.c - local copies at work.
 *
 * A copy of a namespace that wants nothing of the kind has no note and is fresh until it expires. A note is
 *
 *	due: reads take the general way from then on	| ahead: seconds from due to the end of fresh | bits
 *
 * so that the hot way (cmd/hot.c) needs no look at any of this: cache_hit_plain() leaves it what is not due. A copy of
 * an item of a record has one always, with what it has seen of its record's cuts in the place of ahead (cut.h); its
 * fresh time ends where its expiry says.
 */
#include "config.h"

#include "base/check.h"
#include "req/answer.h"
#include "req/copy.h"
#include "req/cut.h"
#include "req/observe.h"
#include "req/route.h"
#include "req/through.h"

#define USEC_PER_SEC	1000000u

#define NOTE_NEGATIVE	(1u << 0)	/* the key is not in the store */
#define NOTE_INVALID	(1u << 1)	/* a write has begun since */
#define NOTE_AHEAD	2		/* shift */
#define NOTE_SEEN	2		/* shift */
_Static_assert(CUT_BITS + NOTE_SEEN == 32, "it fits");

/* Of an item of a record: when it ceases to be fresh. */
static inline uint32_t
fresh_until(const struct item *it, const struct conf_ns *ns)
{
	return (item_exptime(it) - copy_stale_for(ns));
}

bool
copy_is_cut(const struct ctx *ctx, const struct space *sp, const struct item *it, struct slice key)
{
	return (!item_noted(it) || !cut_allows(ctx, sp->conf, key, item_note(it) >> NOTE_SEEN));
}

/* The same, of a namespace whose keys have items. */
static bool
is_fresh_item(const struct ctx *ctx, const struct space *sp, const struct item *it, struct slice key)
{
	/* One without a note was made before a reload, when the namespace was flat. */
	uint32_t note = item_noted(it) ? item_note(it) : NOTE_INVALID;

	if ((note & NOTE_INVALID) != 0 || copy_is_cut(ctx, sp, it, key))
		return (false);
	return ((note & NOTE_NEGATIVE) != 0 || fresh_until(it, sp->conf) > cache_now(ctx->cache));
}

static inline bool
is_fresh(const struct ctx *ctx, const struct space *sp, const struct item *it, struct slice key)
{
	uint32_t note;

	if (UNLIKELY(sp->splits))
		return (is_fresh_item(ctx, sp, it, key));
	if (LIKELY(!item_noted(it)))
		return (true);
	note = item_note(it);
	if ((note & (NOTE_NEGATIVE | NOTE_INVALID)) != 0)
		return ((note & NOTE_NEGATIVE) != 0);
	return (item_due(it) + (note >> NOTE_AHEAD) > cache_now(ctx->cache));
}

bool
copy_is_negative(const struct item *it)
{
	return (item_noted(it) && (item_note(it) & NOTE_NEGATIVE) != 0);
}

static inline bool
may_know(const struct space *sp, const struct op *op)
{
	return (sp->conf->local && op->verb == OP_GET && (op->opts & ~COPY_OPTS) == 0 &&
	    (op->want & ~COPY_WANTS) == 0);
}

/* ---- renewing ---- */

/* Lock held. Whether this read is the one that has a copy renewed; then it is not due any more. */
static bool
take_due(struct ctx *ctx, const struct space *sp, struct item *it, uint64_t hash)
{
	/* What was never asked for is let go; what is read amid a write cannot be kept. */
	if (item_due(it) > cache_now(ctx->cache) || !item_fetched(it) ||
	    route_fence_writes(route_fence(ctx, hash)) != 0)
		return (false);
	if (sp->splits)
		item_set_note(it, fresh_until(it, sp->conf), item_note(it));
	else
		item_set_note(it, item_due(it) + (item_note(it) >> NOTE_AHEAD), 0);
	return (true);
}

void
copy_renew_again(struct ctx *ctx, const struct space *sp, struct item *it)
{
	uint32_t now = cache_now(ctx->cache), due = item_noted(it) ? item_due(it) : 0;

	if (due > now && sp->splits)
		item_set_note(it, now, item_note(it));
	else if (due > now && item_note(it) == 0)
		item_set_note(it, now, (due - now) << NOTE_AHEAD);
}

/* ---- answering ---- */

static bool
answer_negative(struct ctx *ctx, const struct space *sp, struct outq *out, const struct command *cmd)
{
	static const struct op_result res = { .status = OP_MISS };

	METRIC_ADD(&ctx->metrics, negative_hits, 1);
	METRIC_ADD(&ctx->metrics, cmd_get, 1);
	METRIC_ADD(&ctx->metrics, get_misses, 1);
	NS_ADD(sp->stats, gets);
	NS_ADD(sp->stats, misses);
	NS_ADD(sp->stats, negative_hits);
	if (UNLIKELY(observed(ctx) != 0))
		observe_get(ctx, ctx->cfd, cmd, false, &res);
	return (answer_line(out, cmd, &res));
}

static void
count_hit(struct ctx *ctx, const struct space *sp)
{
	METRIC_ADD(&ctx->metrics, cmd_get, 1);
	METRIC_ADD(&ctx->metrics, get_hits, 1);
	NS_ADD(sp->stats, gets);
	NS_ADD(sp->stats, hits);
}

bool
copy_answer(struct ctx *ctx, const struct space *sp, struct replyq *q, struct command *cmd, struct outq **out)
{
	struct op_result res = { .status = OP_OK };
	struct cache_shard *s;
	struct item *it;
	bool renew, good;

	*out = NULL;
	if (!may_know(sp, &cmd->op))
		return (true);
	s = cache_lock(ctx->cache, cmd->op.hash);
	it = cache_find(s, cmd->op.hash, cmd->op.key);
	if (it == NULL || UNLIKELY(!is_fresh(ctx, sp, it, cmd->op.key))) {
		cache_unlock(s);
		METRIC_ADD(&ctx->metrics, local_misses, 1);
		return (true);
	}
	*out = replyq_out(ctx, q);
	if (UNLIKELY(*out == NULL)) {
		cache_unlock(s);
		return (false);
	}
	renew = UNLIKELY(item_noted(it)) && !copy_is_negative(it) && take_due(ctx, sp, it, cmd->op.hash);
	if ((cmd->op.opts & OPF_NO_BUMP) == 0)
		cache_hit(s, it);
	if (UNLIKELY(copy_is_negative(it))) {
		cache_unlock(s);
		return (answer_negative(ctx, sp, *out, cmd));
	}
	res.client_flags = item_client_flags(it);
	res.size = item_vlen(it);
	METRIC_ADD(&ctx->metrics, local_hits, 1);
	NS_ADD(sp->stats, local_hits);
	count_hit(ctx, sp);
	if (UNLIKELY(observed(ctx) != 0))
		observe_get(ctx, ctx->cfd, cmd, true, &res);
	/* Of what came with a base64 key there is no copy; see fill.c. */
	if (sp->conf->format == FORMAT_ITEM)
		cmd->op.opts &= (uint16_t)~OPF_BINKEY;
	good = answer_item(ctx, *out, cmd, &res, s, it);
	if (UNLIKELY(renew))
		through_renew(ctx, sp, cmd);
	return (good);
}

bool
copy_answer_stale(struct req *r)
{
	struct ctx *ctx = r->ctx;
	const struct space *sp = r->space;
	struct command *cmd = &r->cmd;
	struct op_result res = { .status = OP_OK };
	struct outq *out = req_out(r);
	struct cache_shard *s;
	struct item *it;
	bool good;

	if (sp->conf->on_error != ON_ERROR_STALE || !may_know(sp, &cmd->op))
		return (false);
	s = cache_lock(ctx->cache, cmd->op.hash);
	it = cache_find(s, cmd->op.hash, cmd->op.key);
	if (it == NULL || copy_is_negative(it) || (sp->splits && copy_is_cut(ctx, sp, it, cmd->op.key))) {
		cache_unlock(s);
		return (false);
	}
	if (!is_fresh(ctx, sp, it, cmd->op.key))
		res.bits = OPR_STALE;
	res.client_flags = item_client_flags(it);
	res.size = item_vlen(it);
	if ((cmd->op.opts & OPF_NO_BUMP) == 0)
		cache_hit(s, it);
	METRIC_ADD(&ctx->metrics, stale_answers, 1);
	NS_ADD(sp->stats, stale_answers);
	count_hit(ctx, sp);
	if (UNLIKELY(observed(ctx) != 0))
		observe_get(ctx, r->cfd, cmd, true, &res);
	if (out == NULL) {
		cache_unlock(s);
		return (true);
	}
	if (sp->conf->format == FORMAT_ITEM)
		cmd->op.opts &= (uint16_t)~OPF_BINKEY;
	good = answer_item(ctx, out, cmd, &res, s, it);
	if (r->parent == NULL && cmd->shape == SHAPE_KEYS)
		good = good && outq_append(out, "END\r\n", 5);
	if (!good)
		req_broken(r);
	return (true);
}

/* ---- keeping ---- */

uint32_t
copy_stale_for(const struct conf_ns *ns)
{
	return (ns->on_error == ON_ERROR_STALE ? (uint32_t)(ns->stale_for / USEC_PER_SEC) : 0);
}

void
copy_link(struct ctx *ctx, struct cache_shard *s, struct item *it, const struct space *sp, uint64_t cut)
{
	const struct conf_ns *ns = sp->conf;
	uint32_t fresh = item_exptime(it) - copy_stale_for(ns), ahead = (uint32_t)(ns->refresh_ahead / USEC_PER_SEC);

	(void)cache_link(s, it, 0);
	if (LIKELY(ns->refresh_ahead == 0 && ns->on_error != ON_ERROR_STALE && !sp->splits))
		return;
	/* Its end is the item's own, and reading it again would not move it. */
	if (fresh <= cache_now(ctx->cache) + ahead)
		ahead = 0;
	item_set_note(it, fresh - ahead, sp->splits ? cut_seen(cut) << NOTE_SEEN : ahead << NOTE_AHEAD);
}

void
copy_link_negative(struct cache_shard *s, struct item *it, const struct space *sp, uint64_t cut)
{
	(void)cache_link(s, it, 0);
	item_set_note(it, 0, NOTE_NEGATIVE | (sp->splits ? cut_seen(cut) << NOTE_SEEN : 0));
}

void
copy_invalidate(struct cache_shard *s, struct item *it, const struct conf_ns *ns)
{
	if (ns->on_error != ON_ERROR_STALE || copy_is_negative(it))
		cache_unlink(s, it);
	else
		item_set_note(it, 0, NOTE_INVALID);
}
