/* kit.h - what the tests of the cache share: short calls, and values that tell whether they are right. */
#ifndef KIT_H
#define KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/verb.h"

/*
 * Values are stretches of this noise. Where each begins depends on the value's seed; whole stretches are copied and compared
 * at once, for byte by byte a thread sanitizer takes minutes.
 */
enum { KIT_STRETCH = 1 << 15, KIT_STARTS = 1 << 16 };
static unsigned char kit_noise[KIT_STARTS + KIT_STRETCH];

static inline void
kit_make_noise(void)
{
	uint64_t x = 88172645463325252u;

	for (size_t i = 0; i < sizeof kit_noise; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		kit_noise[i] = (unsigned char)(x >> 32);
	}
}

static inline struct cache *
kit_new(size_t mb, size_t item_max)
{
	struct cache_conf cf = { .mem = mb << 20, .item_max = item_max < 1024 ? 1 << 20 : item_max, .threads = 4,
		.evict = true, .use_cas = true };
	const char *why = NULL;
	struct cache *c = cache_new(&cf, &why);

	if (c == NULL) {
		fprintf(stderr, "cache_new: %s\n", why);
		exit(1);
	}
	if (kit_noise[0] == 0)
		kit_make_noise();
	return (c);
}

static inline struct op
kit_op(uint8_t verb, const char *key)
{
	struct slice k = slice_str(key);

	return ((struct op){ .verb = verb, .key = k, .hash = cache_hash(k) });
}

/* Copies a body into a reserved item. */
static inline void
kit_copy(struct cache *c, struct item *it, const char *body, size_t len)
{
	struct iovec v;

	for (size_t off = 0; off < len; off += v.iov_len) {
		if (cache_value_iov(c, it, (uint32_t)off, &v, 1) != 1)
			abort();
		memcpy(v.iov_base, body + off, v.iov_len);
	}
}

static inline struct op_result
kit_store(struct cache *c, struct op *op, const char *body, size_t len)
{
	int32_t ttl = op->opts & OPF_TTL ? op->ttl : 0;
	struct op_result res = { .status = OP_ERROR };
	enum cache_err why;
	struct item *it;

	if ((op->opts & OPF_VIVIFY) && op->mode >= OP_APPEND)
		ttl = op->vivify_ttl;
	op->vlen = (uint32_t)len;
	it = cache_reserve(c, op->hash, op->key, (uint32_t)len, verb_exptime(c, ttl),
	    op->opts & OPF_FLAGS ? op->client_flags : 0, &why);
	if (it == NULL) {
		verb_store_failed(c, op);
		return (res);
	}
	kit_copy(c, it, body, len);
	verb_store(c, op, it, &res);
	return (res);
}

static inline struct op_result
kit_set(struct cache *c, const char *key, const char *value, int32_t ttl, uint32_t flags)
{
	struct op op = kit_op(OP_STORE, key);

	op.opts = OPF_TTL | OPF_FLAGS;
	op.ttl = ttl;
	op.client_flags = flags;
	return (kit_store(c, &op, value, strlen(value)));
}

static inline struct op_result
kit_run_get(struct cache *c, const struct op *op)
{
	struct op_result res;
	struct item *it;
	struct cache_shard *s = verb_get(c, op, &res, &it);

	if (s != NULL)
		cache_unlock(s);
	return (res);
}

static inline struct op_result
kit_get(struct cache *c, const char *key)
{
	struct op op = kit_op(OP_GET, key);

	return (kit_run_get(c, &op));
}

static inline bool
kit_has(struct cache *c, const char *key)
{
	return (kit_get(c, key).status == OP_OK);
}

/* The value as a string, static. */
static inline const char *
kit_value(struct cache *c, const char *key)
{
	static char buf[4096];
	struct op op = kit_op(OP_GET, key);
	struct op_result res;
	struct item *it;
	struct cache_shard *s = verb_get(c, &op, &res, &it);
	struct iovec v;

	if (s == NULL)
		return ("(miss)");
	for (uint32_t off = 0; off < res.size && off < sizeof buf - 1; off += (uint32_t)v.iov_len) {
		if (cache_value_iov(c, it, off, &v, 1) != 1)
			abort();
		memcpy(buf + off, v.iov_base, v.iov_len < sizeof buf - 1 - off ? v.iov_len : sizeof buf - 1 - off);
	}
	buf[res.size < sizeof buf ? res.size : sizeof buf - 1] = '\0';
	cache_unlock(s);
	return (buf);
}

static inline bool
kit_is(struct cache *c, const char *key, const char *value)
{
	return (strcmp(kit_value(c, key), value) == 0);
}

static inline struct op_result
kit_delete(struct cache *c, const char *key)
{
	struct op op = kit_op(OP_DELETE, key);
	struct op_result res;

	verb_delete(c, &op, &res);
	return (res);
}

static inline struct cache_stats
kit_stats(struct cache *c)
{
	struct cache_stats st;

	cache_stats(c, &st);
	return (st);
}

/* The value that belongs to `seed` from byte `off` on; *n, which may be less than it was, says how far. */
static inline const unsigned char *
kit_bytes(uint32_t seed, uint32_t off, size_t *n)
{
	uint32_t start = (seed * 2654435761u + off / KIT_STRETCH * 0x9e3779b1u) >> 16, into = off % KIT_STRETCH;

	if (*n > KIT_STRETCH - into)
		*n = KIT_STRETCH - into;
	return (kit_noise + start + into);
}

static inline void
kit_fill(struct cache *c, struct item *it, uint32_t seed)
{
	struct iovec v;
	uint32_t len = item_vlen(it);

	for (uint32_t off = 0; off < len; off += (uint32_t)v.iov_len) {
		if (cache_value_iov(c, it, off, &v, 1) != 1)
			abort();
		for (size_t i = 0, n; i < v.iov_len; i += n) {
			const unsigned char *from;

			n = v.iov_len - i;
			from = kit_bytes(seed, off + (uint32_t)i, &n);
			memcpy((char *)v.iov_base + i, from, n);
		}
	}
}

/* Whether v holds what belongs to seed from byte `off` on. */
static inline bool
kit_is_of(uint32_t seed, uint32_t off, const struct iovec *v)
{
	for (size_t i = 0, n; i < v->iov_len; i += n) {
		const unsigned char *want;

		n = v->iov_len - i;
		want = kit_bytes(seed, off + (uint32_t)i, &n);
		if (memcmp((const char *)v->iov_base + i, want, n) != 0)
			return (false);
	}
	return (true);
}

static inline bool
kit_check_item(struct cache *c, struct item *it, uint32_t seed)
{
	struct iovec v[3];
	uint32_t len = item_vlen(it);

	for (uint32_t off = 0; off < len;) {
		int n = cache_value_iov(c, it, off, v, 3);

		if (n < 1)
			return (false);
		for (int j = 0; j < n; j++) {
			if (!kit_is_of(seed, off, &v[j]))
				return (false);
			off += (uint32_t)v[j].iov_len;
		}
		if (off > len)
			return (false);
	}
	return (true);
}

static inline bool
kit_put(struct cache *c, struct slice key, uint32_t vlen, uint32_t exptime, uint32_t seed)
{
	uint64_t hash = cache_hash(key);
	enum cache_err why;
	struct item *it = cache_reserve(c, hash, key, vlen, exptime, 0, &why);
	struct cache_shard *s;

	if (it == NULL)
		return (false);
	kit_fill(c, it, seed);
	s = cache_lock(c, hash);
	(void)cache_link(s, it, 0);
	cache_unlock(s);
	return (true);
}

static inline bool
kit_check(struct cache *c, struct slice key, uint32_t seed)
{
	uint64_t hash = cache_hash(key);
	struct cache_shard *s = cache_lock(c, hash);
	struct item *it = cache_find(s, hash, key);
	bool good = it != NULL && kit_check_item(c, it, seed);

	cache_unlock(s);
	return (good);
}

#endif
