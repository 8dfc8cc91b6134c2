/*
 * verb_store.c - set, add, replace, append, prepend and cas, with the rules of each about what was there.
 *
 * The body lies in a reserved item already, so that under the lock a store is a link; append and prepend copy old
 * and new into a third.
 */
#include "config.h"

#include <string.h>

#include "cache/internal.h"
#include "cache/verb.h"
#include "cache/verb_internal.h"

enum cas_match { CAS_NONE, CAS_SAME, CAS_OLDER, CAS_DIFFERS };

static enum cas_match
compare_cas(const struct op *op, const struct item *old)
{
	if ((op->opts & OPF_CAS) == 0 || op->cas == 0)
		return (CAS_NONE);
	if (op->cas == item_cas(old))
		return (CAS_SAME);
	if ((op->opts & OPF_INVALIDATE) != 0 && op->cas < item_cas(old))
		return (CAS_OLDER);
	return (CAS_DIFFERS);
}

/* All of from's value into to's, from its byte at on. */
static void
copy_value(const struct cache *c, const struct item *to, uint32_t at, const struct item *from)
{
	struct iovec d, f;
	uint32_t off = 0, len = item_vlen(from);

	while (off < len) {
		size_t n;

		if (cache_value_iov(c, to, at + off, &d, 1) != 1 || cache_value_iov(c, from, off, &f, 1) != 1)
			return;
		n = d.iov_len < f.iov_len ? d.iov_len : f.iov_len;
		memcpy(d.iov_base, f.iov_base, n);
		off += (uint32_t)n;
	}
}

/* The item that holds old and it one after the other, reserved; NULL: too large, or no memory. */
static struct item *
joined(struct cache_shard *s, const struct op *op, struct item *old, struct item *it)
{
	bool append = op->mode == OP_APPEND;
	uint64_t len = (uint64_t)item_vlen(old) + item_vlen(it);
	enum cache_err why;
	struct item *to;

	if (len > UINT32_MAX)
		return (NULL);
	cache_pin(s, old);
	to = cache_reserve_locked(s, op->hash, op->key, (uint32_t)len, item_exptime(old), item_client_flags(old),
	    &why);
	if (to != NULL) {
		item_set_binkey(to, item_binkey(old));
		copy_value(s->c, to, append ? 0 : item_vlen(it), old);
		copy_value(s->c, to, append ? item_vlen(old) : 0, it);
	}
	cache_unpin(s->c, old);
	return (to);
}

/* Makes it what the key has. */
static void
link_it(struct cache_shard *s, const struct op *op, struct item *it, struct op_result *res)
{
	if ((op->opts & OPF_BINKEY) != 0)
		item_set_binkey(it, true);
	(void)cache_link_hash(s, it, 0, op->hash);
	verb_relink_cas(s, it, op);
	verb_describe(s, it, res);
}

/* A value that is older than what is there: kept, but marked, until somebody brings the new one. */
static void
link_stale(struct cache_shard *s, const struct op *op, struct item *old, struct item *it, struct op_result *res)
{
	uint32_t exp = item_exptime(old);

	item_set_stale(it, true);
	item_set_won(it, item_won(old));
	link_it(s, op, it, res);
	if (item_exptime(it) != exp)
		(void)verb_set_ttl(s, &it, exp);
}

static void
store_over(struct cache_shard *s, const struct op *op, struct item *old, struct item **itp,
    struct op_result *res)
{
	enum cas_match cas = compare_cas(op, old);
	struct item *to;

	switch (op->mode) {
	case OP_ADD:
		cache_bump(s, old);
		return;
	case OP_APPEND:
	case OP_PREPEND:
		if (cas != CAS_NONE && cas != CAS_SAME) {
			res->status = OP_EXISTS;
			return;
		}
		if ((to = joined(s, op, old, *itp)) != NULL)
			link_it(s, op, to, res);
		return;
	default:
		break;
	}
	if ((op->opts & OPF_CAS) != 0 && cas != CAS_SAME && cas != CAS_OLDER) {
		res->status = OP_EXISTS;
		return;
	}
	if (cas == CAS_OLDER)
		link_stale(s, op, old, *itp, res);
	else
		link_it(s, op, *itp, res);
	*itp = NULL;
}

static void
store_new(struct cache_shard *s, const struct op *op, struct item **itp, struct op_result *res)
{
	switch (op->mode) {
	case OP_APPEND:
	case OP_PREPEND:
		if ((op->opts & OPF_VIVIFY) == 0)
			return;
		break;
	case OP_SET:
	case OP_REPLACE:
		if ((op->opts & OPF_CAS) != 0) {
			res->status = OP_MISS;
			return;
		}
		if (op->mode == OP_REPLACE)
			return;
		break;
	default:
		break;
	}
	link_it(s, op, *itp, res);
	*itp = NULL;
}

void
verb_store(struct cache *c, const struct op *op, struct item *it, struct op_result *res)
{
	struct cache_shard *s = cache_lock(c, op->hash);
	struct item *old = cache_find(s, op->hash, op->key);

	*res = (struct op_result){ .status = OP_NOT_STORED, .size = item_vlen(it) };
	if (old != NULL)
		store_over(s, op, old, &it, res);
	else
		store_new(s, op, &it, res);
	if (it != NULL)
		cache_abandon_locked(s, it);
	cache_unlock(s);
}

void
verb_store_failed(struct cache *c, const struct op *op)
{
	struct cache_shard *s = cache_lock(c, op->hash);
	struct item *old = cache_find(s, op->hash, op->key);

	if (old != NULL)
		cache_unlink(s, old);
	cache_unlock(s);
}
