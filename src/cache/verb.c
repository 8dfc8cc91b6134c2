/*
 * verb.c - get, delete and debug on the local cache; stores are in verb_store.c, arithmetic in verb_arith.c.
 *
 * Each verb takes its shard's lock once. T, N, R and t act in the order of the line (op.order); that walk only reckons,
 * so that the item is touched once, whatever it comes to.
 */
#include "config.h"

#include <stdio.h>

#include "cache/internal.h"
#include "cache/verb.h"
#include "cache/verb_internal.h"

uint32_t
verb_exptime(const struct cache *c, int32_t ttl)
{
	int64_t at;

	if (ttl == 0)
		return (0);
	if (ttl < 0)
		return (1);
	if (ttl <= OP_REALTIME_MAX)
		return (cache_now(c) + (uint32_t)ttl);
	at = ttl - c->start;
	return (at < 1 ? 1 : (uint32_t)at);
}

void
verb_set_start(struct cache *c, int64_t unix_time_at_clock_zero)
{
	c->start = unix_time_at_clock_zero;
}

/* Remaining seconds; what is over must not look like what never ends. */
static int32_t
ttl_left(const struct cache_shard *s, uint32_t exp)
{
	if (exp == 0)
		return (OP_TTL_NONE);
	return (exp > s->now ? (int32_t)(exp - s->now) : 0);
}

void
verb_describe(const struct cache_shard *s, const struct item *it, struct op_result *res)
{
	uint32_t exp = item_exptime(it);

	res->status = OP_OK;
	res->bits = (item_fetched(it) ? OPR_FETCHED : 0) | (item_binkey(it) ? OPR_BINKEY : 0);
	res->client_flags = item_client_flags(it);
	res->ttl = ttl_left(s, exp);
	res->la = (s->now - it->state) & ITEM_LA_MASK;
	res->size = item_vlen(it);
	res->cas = item_cas(it);
	res->number = 0;
	res->error = SLICE_NULL;
}

bool
verb_set_ttl(struct cache_shard *s, struct item **itp, uint32_t exp)
{
	if (!item_set_exptime(s, itp, exp)) {
		/* Better gone than living longer than it was told to. */
		cache_unlink(s, *itp);
		return (false);
	}
	return (true);
}

uint32_t
verb_walk_order(const struct cache_shard *s, const struct op *op, const struct item *it, int32_t *ttl, bool *won)
{
	uint32_t exp = it != NULL ? item_exptime(it) : 0;
	bool shown = false;

	for (unsigned left = op->order; left != 0; left >>= OPO_BITS)
		switch (left & OPO_MASK) {
		case OPO_SHOW:
			*ttl = ttl_left(s, exp);
			shown = true;
			break;
		case OPO_TTL:
			exp = verb_exptime(s->c, op->ttl);
			break;
		case OPO_VIVIFY:
			if (it == NULL) {
				exp = verb_exptime(s->c, op->vivify_ttl);
				*won = true;
			}
			break;
		case OPO_RECACHE:
			*won |= it != NULL && !item_won(it) && exp != 0 && exp < verb_exptime(s->c, op->recache_ttl);
			break;
		}
	if (!shown)
		*ttl = ttl_left(s, exp);
	return (exp);
}

void
verb_relink_cas(struct cache_shard *s, struct item *it, const struct op *op)
{
	if ((op->opts & OPF_NEWCAS) == 0)
		return;
	/* Zero is a CAS like any other when the client says so. */
	if (s->c->conf.use_cas)
		it->cas = op->newcas;
}

static struct item *
vivify(struct cache_shard *s, const struct op *op, struct op_result *res, bool *won)
{
	enum cache_err why;
	struct item *it;
	int32_t ttl;

	it = cache_reserve_locked(s, op->hash, op->key, 0, verb_walk_order(s, op, NULL, &ttl, won), 0, &why);
	if (it == NULL)
		return (NULL);
	item_set_binkey(it, (op->opts & OPF_BINKEY) != 0);
	(void)cache_link_hash(s, it, 0, op->hash);
	verb_relink_cas(s, it, op);
	verb_describe(s, it, res);
	res->ttl = ttl;
	return (it);
}

/* T and R on an item that was there. */
static bool __attribute__((noinline))
get_in_order(struct cache_shard *s, const struct op *op, struct item **itp, struct op_result *res, bool *won)
{
	uint32_t exp = verb_walk_order(s, op, *itp, &res->ttl, won);

	return (exp == item_exptime(*itp) || verb_set_ttl(s, itp, exp));
}

static void
get_marks(struct item *it, struct op_result *res, bool won)
{
	if (item_won(it))
		res->bits |= OPR_SENT;
	if (item_stale(it)) {
		res->bits |= OPR_STALE;
		won |= !item_won(it);
	}
	if (won) {
		res->bits |= OPR_WON;
		item_set_won(it, true);
	}
}

static struct cache_shard *
get_miss(struct cache_shard *s, struct op_result *res)
{
	bool expired = cache_was_expired(s);

	cache_unlock(s);
	*res = (struct op_result){
		.status = OP_MISS,
		.bits = expired ? OPR_EXPIRED : 0,
	};
	return (NULL);
}

struct cache_shard *
verb_get(struct cache *c, const struct op *op, struct op_result *res, struct item **itp)
{
	struct cache_shard *s = cache_lock(c, op->hash);
	struct item *it = cache_find(s, op->hash, op->key);
	bool won = false;

	if (UNLIKELY(it == NULL)) {
		if ((op->opts & OPF_VIVIFY) == 0 || (it = vivify(s, op, res, &won)) == NULL)
			return (get_miss(s, res));
	} else {
		verb_describe(s, it, res);
		if (UNLIKELY(op->order > OPO_SHOW) && !get_in_order(s, op, &it, res, &won))
			return (get_miss(s, res));
	}
	if (UNLIKELY(won || (it->state & (ITEM_WON | ITEM_STALE)) != 0) && (op->opts & OPF_CLASSIC) == 0)
		get_marks(it, res, won);
	if (LIKELY((op->opts & OPF_NO_BUMP) == 0))
		cache_hit(s, it);
	*itp = it;
	return (s);
}

/* md x: an empty value under the same key; its CAS is the old one's unless a new one was asked for. */
static struct item *
empty_value(struct cache_shard *s, const struct op *op, struct item *it)
{
	uint32_t exp = (op->opts & OPF_TTL) != 0 ? verb_exptime(s->c, op->ttl) : 0;
	uint64_t cas = item_cas(it);
	bool binkey = item_binkey(it);
	enum cache_err why;
	struct item *to;

	to = cache_reserve_locked(s, op->hash, op->key, 0, exp,
	    (op->opts & OPF_FLAGS) != 0 ? op->client_flags : 0, &why);
	if (to == NULL)
		return (NULL);
	item_set_binkey(to, binkey);
	(void)cache_link_hash(s, to, cas, op->hash);
	verb_relink_cas(s, to, op);
	return (to);
}

static void
delete_found(struct cache_shard *s, const struct op *op, struct item *it, struct op_result *res)
{
	if ((op->opts & OPF_CAS) != 0 && item_cas(it) != op->cas) {
		res->status = OP_EXISTS;
		return;
	}
	if ((op->opts & OPF_REMOVE_VAL) != 0) {
		if ((it = empty_value(s, op, it)) == NULL) {
			*res = (struct op_result){ .status = OP_ERROR,
				.error = SLICE_LIT("SERVER_ERROR out of memory") };
			return;
		}
	} else if ((op->opts & OPF_INVALIDATE) == 0) {
		cache_unlink(s, it);
		return;
	}
	if ((op->opts & OPF_INVALIDATE) != 0) {
		if ((op->opts & OPF_TTL) != 0 && !verb_set_ttl(s, &it, verb_exptime(s->c, op->ttl)))
			return;
		item_set_stale(it, true);
		item_set_won(it, false);
		item_set_cas(s, it, 0);
		verb_relink_cas(s, it, op);
	}
	verb_describe(s, it, res);
}

void
verb_delete(struct cache *c, const struct op *op, struct op_result *res)
{
	struct cache_shard *s = cache_lock(c, op->hash);
	struct item *it = cache_find(s, op->hash, op->key);

	*res = (struct op_result){ .status = OP_MISS };
	if (it != NULL) {
		res->status = OP_OK;
		delete_found(s, op, it, res);
	}
	cache_unlock(s);
}

void
verb_debug(struct cache *c, const struct op *op, struct op_result *res, char *buf, size_t len)
{
	struct cache_shard *s = cache_lock(c, op->hash);
	struct item *it = cache_find(s, op->hash, op->key);
	int n;

	*res = (struct op_result){ .status = OP_MISS };
	if (it != NULL) {
		verb_describe(s, it, res);
		n = snprintf(buf, len, "exp=%d la=%llu cas=%llu fetch=%s cls=%u size=%lu", res->ttl,
		    (unsigned long long)res->la, (unsigned long long)res->cas, item_fetched(it) ? "yes" : "no",
		    cache_size_class(item_size(it)), (unsigned long)item_size(it));
		res->error = slice_of(buf, n < 0 ? 0 : (size_t)n < len ? (size_t)n : len - 1);
	}
	cache_unlock(s);
}
