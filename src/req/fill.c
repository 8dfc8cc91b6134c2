/*
 * fill.c - what may enter the local cache, and for how long.
 */
#include "config.h"

#include "base/check.h"
#include "cache/verb.h"
#include "req/copy.h"
#include "req/cut.h"
#include "req/fill.h"
#include "req/route.h"
#include "req/tier.h"

#define USEC_PER_SEC	1000000u
#define HOLDS_LITTLE	(64 * 1024)
#define NOT_KEPT	0	/* of an absolute expiry here: do not keep */
/* A server's second may be nearly over, and our next one may be noticed late. */
#define FILL_EARLY	2

/* Cuts a copy's life at random, but not so much that there were no time left before it is renewed. */
static uint32_t
fill_cut(struct ctx *ctx, const struct conf_ns *ns, uint32_t life)
{
	uint32_t most = (uint32_t)((uint64_t)life * ns->ttl_jitter / 100);
	uint32_t ahead = (uint32_t)(ns->refresh_ahead / USEC_PER_SEC);

	if (life > ahead && most >= life - ahead)
		most = life - ahead - 1;
	return (life - ctx_random(ctx, most + 1));
}

/* Expiry of a copy made now of something asked for at asked_at; left: remaining seconds or OP_TTL_NONE. */
static uint32_t
fill_exptime(struct ctx *ctx, const struct conf_ns *ns, uint32_t asked_at,
    int32_t left)
{
	uint32_t exp = asked_at + (uint32_t)(ns->local_ttl / USEC_PER_SEC);

	if (left != OP_TTL_NONE) {
		/* OP_TTL_UNKNOWN is among these. */
		if (left <= FILL_EARLY)
			return (NOT_KEPT);
		if (asked_at + (uint32_t)left - FILL_EARLY < exp)
			exp = asked_at + (uint32_t)left - FILL_EARLY;
	}
	if (UNLIKELY(ns->ttl_jitter != 0))
		exp = asked_at + fill_cut(ctx, ns, exp - asked_at);
	return (exp > cache_now(ctx->cache) ? exp + copy_stale_for(ns) :
	    NOT_KEPT);
}

bool
fill_may_store(const struct command *cmd)
{
	/*
	 * Copies do not know how their keys came: the store has to be asked about those that came as base64. What has a
	 * token may have been written before, or be older than what is there: that is a success, too.
	 */
	return ((cmd->op.mode == OP_SET || cmd->op.mode == OP_ADD ||
	    cmd->op.mode == OP_REPLACE) &&
	    (cmd->op.opts & (OPF_INVALIDATE | OPF_BINKEY | OPF_TOKEN)) == 0);
}

struct item *
fill_reserve_write(struct ctx *ctx, const struct conf_ns *ns,
    const struct command *cmd)
{
	int32_t ttl = (cmd->op.opts & OPF_TTL) != 0 ? cmd->op.ttl : 0;
	uint32_t now = cache_now(ctx->cache), exp;
	int32_t left = OP_TTL_NONE;
	enum cache_err why;

	if (ttl != 0) {
		uint32_t end = verb_exptime(ctx->cache, ttl);

		left = end > now ? (int32_t)(end - now) : 0;
		/* Where the server's seconds begin, a moment in time can be one second earlier. */
		left -= left > 0 && ttl > OP_REALTIME_MAX;
	}
	exp = fill_exptime(ctx, ns, now, left);
	if (exp == NOT_KEPT)
		return (NULL);
	return (cache_reserve(ctx->cache, cmd->op.hash, cmd->op.key,
	    cmd->op.vlen, exp, (cmd->op.opts & OPF_FLAGS) != 0 ?
	    cmd->op.client_flags : 0, &why));
}

static void
copy_pieces(int (*pieces)(const void *, uint32_t, struct iovec *), const void *of,
    struct slice body)
{
	struct iovec iov[1];
	uint32_t off = 0;

	while (off < body.len) {
		MUST(pieces(of, off, iov) == 1);
		if (iov[0].iov_len > body.len - off)
			iov[0].iov_len = body.len - off;
		memcpy(iov[0].iov_base, body.p + off, iov[0].iov_len);
		off += (uint32_t)iov[0].iov_len;
	}
}

struct of_item {
	const struct cache	*cache;
	const struct item	*item;
};

static int
pieces_of_item(const void *arg, uint32_t off, struct iovec *iov)
{
	const struct of_item *of = arg;

	return (cache_value_iov(of->cache, of->item, off, iov, 1));
}

static int
pieces_of_value(const void *arg, uint32_t off, struct iovec *iov)
{
	return (value_iov(arg, off, iov, 1));
}

void
fill_copy_item(struct ctx *ctx, struct item *it, struct slice body)
{
	struct of_item of = { ctx->cache, it };

	copy_pieces(pieces_of_item, &of, body);
}

void
fill_copy_in(struct value *v, struct slice body)
{
	copy_pieces(pieces_of_value, v, body);
}

/* The last half of the memory is for clients that hold little: those that do not read cannot take it from them. */
bool
fill_may_hold(const struct req *r, size_t more, uint32_t len)
{
	const struct ctx *ctx = r->ctx;
	size_t half = ctx->conf->buffer_max / ctx->shared->nworkers / 2;

	return (r->q == NULL || outq_len(r->q->out) +
	    replyq_parked(r->q) + more <= HOLDS_LITTLE || ctx_may_hold(ctx, half + len));
}

int
fill_value_iov(struct req *r, struct value **vp, const struct op_result *res,
    uint32_t off, struct iovec *iov, int max)
{
	struct ctx *ctx = r->ctx;
	struct item *it = NULL;
	enum cache_err why;
	uint32_t exp;

	if (*vp == NULL && off == 0) {
		exp = r->fills && res->bits == 0 ? fill_exptime(ctx,
		    r->space->conf, r->asked_at, res->ttl) :
		    NOT_KEPT;
		if (exp != NOT_KEPT)
			it = cache_reserve(ctx->cache, r->cmd.op.hash,
			    r->cmd.op.key, res->size, exp, res->client_flags,
			    &why);
		if (it != NULL && (*vp = value_of_reserved(ctx, it)) == NULL)
			cache_abandon(ctx->cache, it);
		if (*vp == NULL && UNLIKELY(r->be.chunk != 0))
			*vp = value_work(ctx, res->size);
		else if (*vp == NULL && fill_may_hold(r, 0, res->size))
			*vp = value_heap(ctx, res->size);
	}
	return (*vp == NULL ? 0 : value_iov(*vp, off, iov, max));
}

/* be_sink.iov */
static int
fill_iov(struct be_op *be, const struct op_result *res, uint32_t off,
    struct iovec *iov, int max)
{
	struct req *r = CONTAINER_OF(be, struct req, be);

	return (fill_value_iov(r, &r->value, res, off, iov, max));
}

const struct be_sink fill_sink = { fill_iov };

/* The cuts of the record count, too. */
static uint64_t
fill_cut_word(const struct req *r)
{
	return (r->space->splits ? cut_word(r->ctx, r->be.op.hash) : 0);
}

static uint64_t
fill_fence(const struct req *r)
{
	return (route_fence(r->ctx, r->cmd.op.hash) + fill_cut_word(r));
}

void
fill_read_begin(struct req *r)
{
	r->cut = fill_cut_word(r);
	r->fence = route_fence(r->ctx, r->cmd.op.hash) + r->cut;
}

bool
fill_is_last(const struct req *r)
{
	return (r->space->view == r->ctx->view && route_fence_writes(r->fence) == 0 && fill_fence(r) == r->fence);
}

/*
 * Lock held: whether others may find the item, with the configuration as it is now. writes: those under way when it was
 * asked for, itself included.
 */
static bool
fill_may_link(const struct req *r, const struct item *it, unsigned writes)
{
	return (r->space->view == r->ctx->view &&
	    route_fence_writes(r->fence) == writes &&
	    fill_fence(r) == r->fence &&
	    !route_flush_crossed(r->ctx, r->asked_at, item_exptime(it)));
}

/* Lock held. What was read was overtaken; a copy that was to be renewed by it is still there. */
static void
fill_raced(struct req *r, struct cache_shard *s)
{
	struct item *old;

	METRIC_ADD(&r->ctx->metrics, local_fills_raced, 1);
	if (!r->renews)
		return;
	old = cache_find(s, r->cmd.op.hash, r->cmd.op.key);
	if (old != NULL)
		copy_renew_again(r->ctx, r->space, old);
}

static void
fill_read_large(struct req *r)
{
	struct ctx *ctx = r->ctx;
	struct item *it = value_item(r->value);
	struct cache_shard *s;

	if (it == NULL)
		return;
	s = cache_lock(ctx->cache, r->cmd.op.hash);
	if (fill_may_link(r, it, 0)) {
		cache_pin(s, it);
		copy_link(ctx, s, it, r->space, r->cut);
		value_linked(r->value);
		METRIC_ADD(&ctx->metrics, local_fills, 1);
	} else
		fill_raced(r, s);
	cache_unlock(s);
}

/* The key is not there: that is remembered, or at least no copy says otherwise any more. */
static void
fill_miss(struct req *r)
{
	struct ctx *ctx = r->ctx;
	const struct conf_ns *ns = r->space->conf;
	uint32_t exp = r->asked_at + (uint32_t)(ns->negative_ttl / USEC_PER_SEC);
	struct item *it = NULL, *old;
	enum cache_err why;
	struct cache_shard *s;

	if (LIKELY(ns->negative_ttl == 0 && ns->on_error != ON_ERROR_STALE &&
	    !r->renews))
		return;
	if (exp > cache_now(ctx->cache))
		it = cache_reserve(ctx->cache, r->cmd.op.hash, r->cmd.op.key, 0,
		    exp, 0, &why);
	s = cache_lock(ctx->cache, r->cmd.op.hash);
	if (fill_fence(r) != r->fence)
		fill_raced(r, s);
	else if (it != NULL && fill_may_link(r, it, 0)) {
		copy_link_negative(s, it, r->space, r->cut);
		it = NULL;
	} else if ((old = cache_find(s, r->cmd.op.hash, r->cmd.op.key)) != NULL)
		cache_unlink(s, old);
	cache_unlock(s);
	if (it != NULL)
		cache_abandon(ctx->cache, it);
}

void
fill_read(struct req *r)
{
	struct ctx *ctx = r->ctx;
	const struct op_result *res = &r->be.res;
	uint64_t hash = r->cmd.op.hash;
	enum cache_err why;
	struct cache_shard *s;
	struct item *it;
	uint32_t exp;

	if (res->status != OP_OK) {
		fill_miss(r);
		return;
	}
	/* What was encoded is not in the cache's memory, but all of it is at hand. */
	if (r->value != NULL && r->be.data.p == NULL) {
		fill_read_large(r);
		return;
	}
	/* Stale, or somebody is about to recache it, or its key came as base64: the server has to be asked again. */
	if ((res->bits & (OPR_WON | OPR_STALE | OPR_SENT | OPR_BINKEY)) != 0 ||
	    r->be.data.len != res->size)
		return;
	exp = fill_exptime(ctx, r->space->conf, r->asked_at, res->ttl);
	if (exp == NOT_KEPT)
		return;
	it = cache_reserve(ctx->cache, hash, r->cmd.op.key, res->size, exp,
	    res->client_flags, &why);
	if (it == NULL)
		return;
	fill_copy_item(ctx, it, r->be.data);
	s = cache_lock(ctx->cache, hash);
	if (fill_may_link(r, it, 0)) {
		copy_link(ctx, s, it, r->space, r->cut);
		it = NULL;
		METRIC_ADD(&ctx->metrics, local_fills, 1);
	} else
		fill_raced(r, s);
	cache_unlock(s);
	if (it != NULL)
		cache_abandon(ctx->cache, it);
}

/* Lock held. A copy that a write may overtake, or may have. */
static void
fill_distrust(const struct req *r, struct cache_shard *s, struct item *old)
{
	if ((r->cmd.op.opts & OPF_ELSEWHERE) != 0)
		cache_unlink(s, old);
	else
		copy_invalidate(s, old, r->space->conf);
}

/* Whether what the copy says is certainly no more. */
static bool
fill_is_over(const struct req *r, bool known)
{
	const struct op *op = &r->cmd.op;

	if (!known)
		return (false);
	if (r->be.res.status == OP_OK)
		return (op->verb != OP_DELETE ||
		    (op->opts & (OPF_INVALIDATE | OPF_REMOVE_VAL)) != OPF_INVALIDATE);
	return (r->be.res.status == OP_MISS);
}

/* Whether the cache store may have what is written. */
static bool
fill_has_tier(const struct req *r)
{
	return (r->space->tier != NULL && !r->alias && (r->cmd.op.opts & OPF_ELSEWHERE) == 0);
}

/* Beyond local copies of the key. */
static void __attribute__((noinline))
fill_more_begin(struct req *r)
{
	if (fill_has_tier(r))
		tier_hurry(r->ctx, r->be.op.hash);
	if (r->alias)
		cut_record_begin(r->ctx, r->space, r->be.id);
	r->cut = fill_cut_word(r);
}

static void __attribute__((noinline))
fill_more_end(struct req *r, bool known)
{
	if (r->alias)
		cut_record_end(r->ctx, r->space, r->be.id, known);
	/* From here on it counts as under way again until the cache store knows. */
	if (fill_has_tier(r) && (!known || r->be.res.status == OP_OK))
		tier_wrote(r->ctx, r->space, r->cmd.op.key, r->be.version, known);
}

void
fill_write_begin(struct req *r)
{
	struct ctx *ctx = r->ctx;
	uint64_t hash = r->cmd.op.hash;
	struct cache_shard *s;
	struct item *old;

	r->cut = 0;
	if (UNLIKELY(r->space->more))
		fill_more_begin(r);
	if (!r->kept) {
		r->fence = route_fence_enter(ctx, hash) + r->cut;
		return;
	}
	s = cache_lock(ctx->cache, hash);
	old = cache_find(s, hash, r->cmd.op.key);
	if (old != NULL)
		fill_distrust(r, s, old);
	r->fence = route_fence_enter(ctx, hash) + r->cut;
	cache_unlock(s);
}

static void
fill_write_over(struct req *r, bool known)
{
	struct ctx *ctx = r->ctx;
	uint64_t hash = r->cmd.op.hash;
	struct item *it = r->item != NULL ? r->item :
	    r->value != NULL ? value_item(r->value) : NULL, *old;
	struct cache_shard *s;

	if (!r->kept) {
		if (!r->lingers)
			route_fence_leave(ctx, hash);
		return;
	}
	s = cache_lock(ctx->cache, hash);
	if (it != NULL && known && r->be.res.status == OP_OK &&
	    fill_may_link(r, it, 1)) {
		if (r->item == NULL) {
			cache_pin(s, it);
			value_linked(r->value);
		}
		copy_link(ctx, s, it, r->space, r->cut);
		r->item = NULL;
	} else if ((old = cache_find(s, hash, r->cmd.op.key)) != NULL) {
		if (fill_is_over(r, known))
			cache_unlink(s, old);
		else
			fill_distrust(r, s, old);
	}
	if (!r->lingers)
		route_fence_leave(ctx, hash);
	cache_unlock(s);
}

void
fill_write_end(struct req *r, bool known)
{
	fill_write_over(r, known);
	if (UNLIKELY(r->space->more))
		fill_more_end(r, known);
}
