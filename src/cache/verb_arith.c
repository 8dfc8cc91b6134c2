/*
 * verb_arith.c - incr and decr: decimal numbers in place, as wide as they ever were.
 *
 * A shorter result is followed by spaces; a value that somebody may be reading is replaced by a copy.
 */
#include "config.h"

#include <string.h>

#include "base/num.h"
#include "cache/internal.h"
#include "cache/verb.h"
#include "cache/verb_internal.h"

static void
put_padded(char *dst, uint32_t width, const char *num, uint32_t len)
{
	memcpy(dst, num, len);
	memset(dst + len, ' ', width - len);
}

/* The item with its new text: itself, or a copy where it is too short or being read. NULL: no memory. */
static struct item *
rewrite(struct cache_shard *s, const struct op *op, struct item *it, const char *num, uint32_t len)
{
	uint32_t width = item_vlen(it) > len ? item_vlen(it) : len, exp = item_exptime(it);
	uint32_t bits = it->state & ~ITEM_LA_MASK;
	enum cache_err why;
	struct item *to;

	if (width == item_vlen(it) && cache_writable(s, it)) {
		put_padded((char *)(uintptr_t)item_value(it), width, num, len);
		item_set_cas(s, it, 0);
		cache_bump(s, it);
		return (it);
	}
	to = cache_reserve_locked(s, op->hash, op->key, width, exp, item_client_flags(it), &why);
	if (to == NULL)
		return (NULL);
	to->state = bits;
	if (item_value(to) == NULL) {		/* a number of many kilobytes */
		cache_abandon_locked(s, to);
		return (NULL);
	}
	put_padded((char *)(uintptr_t)item_value(to), width, num, len);
	(void)cache_link_hash(s, to, 0, op->hash);
	return (to);
}

static void
arith_error(struct op_result *res, struct slice text)
{
	*res = (struct op_result){ .status = OP_ERROR, .error = text };
}

static void
arith_found(struct cache_shard *s, const struct op *op, struct item *it, struct op_result *res)
{
	const char *text = item_value(it);
	char num[NUM_U64_MAXLEN];
	bool won = false;		/* ma knows no wins */
	uint32_t len, exp;
	uint64_t v;

	if (text == NULL || item_vlen(it) == 0) {
		arith_error(res, SLICE_LIT("CLIENT_ERROR cannot increment or decrement non-numeric value"));
		return;
	}
	if ((op->opts & OPF_CAS) != 0 && op->cas != 0 && op->cas != item_cas(it)) {
		res->status = OP_EXISTS;
		return;
	}
	if (!num_get_counter(slice_of(text, item_vlen(it)), &v)) {
		arith_error(res, SLICE_LIT("CLIENT_ERROR cannot increment or decrement non-numeric value"));
		return;
	}
	if (op->mode == OP_DECR)
		v = v > op->delta ? v - op->delta : 0;
	else
		v += op->delta;
	len = (uint32_t)(num_put_u64(num, v) - num);
	if ((it = rewrite(s, op, it, num, len)) == NULL) {
		arith_error(res, SLICE_LIT("SERVER_ERROR out of memory"));
		return;
	}
	verb_relink_cas(s, it, op);
	verb_describe(s, it, res);
	res->number = v;
	if (UNLIKELY(op->order > OPO_SHOW)) {
		exp = verb_walk_order(s, op, it, &res->ttl, &won);
		if (exp != item_exptime(it))
			(void)verb_set_ttl(s, &it, exp);
	}
}

static void
arith_create(struct cache_shard *s, const struct op *op, struct op_result *res)
{
	char num[NUM_U64_MAXLEN];
	enum cache_err why;
	uint32_t exp, len;
	bool won = false;
	struct item *it;
	int32_t ttl;

	len = (uint32_t)(num_put_u64(num, op->initial) - num);
	exp = verb_walk_order(s, op, NULL, &ttl, &won);
	it = cache_reserve_locked(s, op->hash, op->key, len, exp, 0, &why);
	if (it == NULL) {
		arith_error(res, SLICE_LIT("SERVER_ERROR Out of memory allocating new item"));
		return;
	}
	memcpy((char *)(uintptr_t)item_value(it), num, len);
	item_set_binkey(it, (op->opts & OPF_BINKEY) != 0);
	(void)cache_link_hash(s, it, 0, op->hash);
	verb_relink_cas(s, it, op);
	verb_describe(s, it, res);
	res->ttl = ttl;
	res->number = op->initial;
}

void
verb_arith(struct cache *c, const struct op *op, struct op_result *res)
{
	struct cache_shard *s = cache_lock(c, op->hash);
	struct item *it = cache_find(s, op->hash, op->key);

	*res = (struct op_result){ .status = OP_MISS };
	if (it != NULL)
		arith_found(s, op, it, res);
	else if ((op->opts & OPF_VIVIFY) != 0)
		arith_create(s, op, res);
	cache_unlock(s);
}
