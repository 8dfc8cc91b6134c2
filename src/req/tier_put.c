/*
 * tier_put.c - what the cache store is told: values, marks of writes, generations of records. See tier.c.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/num.h"
#include "proto/upstream.h"
#include "req/cut.h"
#include "req/fill.h"
#include "req/tier.h"
#include "req/tier_internal.h"
#include "req/value.h"
#include "req/version.h"

#define USEC_PER_SEC	1000000u
#define TIER_VALUE_MAX	((1u << 20) - 4096)	/* few memcacheds take more */
#define DEAD_TTL	30		/* seconds that the mark of a write stays */
#define FILL_TIME	(10 * (uint64_t)USEC_PER_SEC)	/* what was read longer ago does not enter */
#define GENERATION_TTL	(30 * 86400)
#define RECORD_KEY	"\x7f"		/* behind the separator */

/* Something that the cache store is told. */
struct tier_put {
	struct be_op	 be;
	struct iovec	 body;
	struct ctx	*ctx;
	const struct space *space;	/* its view is pinned */
	struct tier_ask	*ask;		/* a generation for it */
	bool		 mark;		/* of a write: the fence is left when it is there */
	bool		 record;	/* of a record: what is left is its place among the cuts */
	uint64_t	 hash;		/* of the item's whole key */
	size_t		 held;
	char		 key[OP_KEY_MAX];
	char		 bytes[];
};

/* ---- names ---- */

bool
tier_record_key(const struct space *sp, struct slice id, char buf[OP_KEY_MAX], struct slice *key)
{
	size_t sep = sp->conf->separator_len, len = id.len + sep + sizeof RECORD_KEY - 1;

	if (len > OP_KEY_MAX)
		return (false);
	memcpy(buf, id.p, id.len);
	memcpy(buf + id.len, sp->conf->separator, sep);
	memcpy(buf + id.len + sep, RECORD_KEY, sizeof RECORD_KEY - 1);
	*key = slice_of(buf, len);
	return (upstream_key_ok(*key));
}

bool
tier_has_name(const struct space *sp, struct slice key, struct slice id, struct slice item)
{
	char buf[OP_KEY_MAX];
	struct slice record;

	if (key.len > OP_KEY_MAX || !upstream_key_ok(key))
		return (false);
	return (!sp->splits || (!slice_eq(item, SLICE_LIT(RECORD_KEY)) && tier_record_key(sp, id, buf, &record)));
}

static void
new_generation(struct ctx *ctx, char generation[TIER_GENERATION])
{
	uint64_t v = shared_version(ctx->shared);
	uint32_t more[2] = { ctx_random(ctx, UINT32_MAX), ctx_random(ctx, UINT32_MAX) };

	memcpy(generation, &v, 8);
	memcpy(generation + 8, more, 8);
}

uint64_t
tier_check(const char *head, struct slice value, struct slice key)
{
	const uint64_t odd = 0x9e3779b97f4a7c15u;
	uint64_t h = cache_hash(slice_of(head, TIER_CHECKED)) * odd;

	h = (h ^ h >> 32 ^ cache_hash(value)) * odd;
	return ((h ^ h >> 32 ^ cache_hash(key)) * odd);
}

/* ---- doubt ---- */

static _Atomic uint32_t *
doubt_of(const struct ctx *ctx, uint64_t id_hash)
{
	return (&ctx->shared->doubts[id_hash & (NCUTS - 1)]);
}

/* What it has of this record may be old until it expires. */
static void
doubt(const struct ctx *ctx, const struct space *sp, uint64_t id_hash)
{
	uint32_t until = cache_now(ctx->cache) + (uint32_t)(sp->conf->cache_ttl / USEC_PER_SEC) + 2;
	_Atomic uint32_t *d = doubt_of(ctx, id_hash);
	uint32_t was = atomic_load_explicit(d, memory_order_relaxed);

	/* Others in the same place may have to be doubted for longer. */
	while (was < until && !atomic_compare_exchange_weak_explicit(d, &was, until, memory_order_release,
	    memory_order_relaxed))
		;
}

bool
tier_is_doubtful(const struct ctx *ctx, uint64_t id_hash)
{
	return (atomic_load_explicit(doubt_of(ctx, id_hash), memory_order_acquire) > cache_now(ctx->cache));
}

/* ---- telling ---- */

static void
put_done(struct be_op *be)
{
	struct tier_put *p = CONTAINER_OF(be, struct tier_put, be);
	bool good = be->err == ERR_NONE && be->res.status == OP_OK;
	struct ctx *ctx = p->ctx;

	if (p->mark && !good)
		doubt(ctx, p->space, be->op.hash);
	if (p->record)
		cut_leave(ctx, be->op.hash);
	else if (p->mark)
		route_fence_leave(ctx, p->hash);
	if (p->ask != NULL) {
		p->ask->known = good;
		tier_ask_unref(p->ask);
	}
	ctx->held -= p->held;
	view_unpin(p->space->view);
	free(p);
}

/* Something for a key of the record with this hash; its body is to be filled in. NULL: out of memory. */
static struct tier_put *
put_new(struct ctx *ctx, const struct space *sp, struct slice key, uint64_t id_hash, size_t len)
{
	struct tier_put *p = calloc(1, sizeof *p + len);

	if (p == NULL)
		return (NULL);
	p->ctx = ctx;
	p->space = sp;
	p->held = len;
	memcpy(p->key, key.p, key.len);
	p->body = (struct iovec){ p->bytes, len };
	p->be.op = (struct op){ .verb = OP_STORE, .mode = OP_SET, .opts = OPF_TTL, .vlen = (uint32_t)len,
	    .key = slice_of(p->key, key.len), .hash = id_hash };
	p->be.ns = sp->conf;
	p->be.id = p->be.op.key;
	p->be.format = FORMAT_RAW;
	p->be.body = &p->body;
	p->be.nbody = 1;
	p->be.done = put_done;
	ctx->held += len;
	view_pin(sp->view);
	return (p);
}

static void
put_submit(struct tier_put *p, struct slice id)
{
	METRIC_ADD(&p->ctx->metrics, store_requests, 1);
	p->space->tier->ops->submit(tier_server(p->space, id, p->be.op.hash), &p->be);
}

void
tier_wrote(struct ctx *ctx, const struct space *sp, struct slice key, uint64_t version, bool known)
{
	struct envelope dead = { .marks = ENVELOPE_DEAD, .version = version };
	struct slice id, item;
	struct tier_put *p;
	uint64_t id_hash;

	keymap_split(sp->conf, key, &id, &item);
	if (ctx->closing || !tier_has_name(sp, key, id, item))
		return;
	id_hash = cache_hash(id);
	/* It may still be carried out, when the mark has gone. */
	if (!known)
		doubt(ctx, sp, id_hash);
	if (!sp->tier->ops->healthy(tier_server(sp, id, id_hash)) ||
	    (p = put_new(ctx, sp, key, id_hash, TIER_HEAD)) == NULL) {
		doubt(ctx, sp, id_hash);
		return;
	}
	envelope_put(p->bytes + TIER_GENERATION, &dead);
	p->be.op.ttl = DEAD_TTL;
	p->mark = true;
	p->hash = cache_hash(key);
	(void)route_fence_enter(ctx, p->hash);
	put_submit(p, id);
}

void
tier_cut(struct ctx *ctx, const struct space *sp, struct slice id, bool known)
{
	uint64_t id_hash = cache_hash(id);
	char buf[OP_KEY_MAX];
	struct tier_put *p;
	struct slice key;

	if (ctx->closing || !tier_record_key(sp, id, buf, &key))
		return;
	if (!known)
		doubt(ctx, sp, id_hash);
	if (!sp->tier->ops->healthy(tier_server(sp, id, id_hash)) ||
	    (p = put_new(ctx, sp, key, id_hash, TIER_GENERATION)) == NULL) {
		doubt(ctx, sp, id_hash);
		return;
	}
	new_generation(ctx, p->bytes);
	p->be.op.ttl = GENERATION_TTL;
	p->mark = p->record = true;
	cut_enter(ctx, id_hash);
	put_submit(p, id);
}

void
tier_begin_generation(struct tier_ask *t)
{
	struct tier_put *p = put_new(t->ctx, t->space, t->keys[0], t->be.op.hash, TIER_GENERATION);

	if (p == NULL)
		return;
	new_generation(t->ctx, t->generation);
	memcpy(p->bytes, t->generation, TIER_GENERATION);
	p->be.op.mode = OP_ADD;
	p->be.op.ttl = GENERATION_TTL;
	p->ask = t;
	t->refs++;
	put_submit(p, t->be.id);
}

/* ---- filling ---- */

/* Seconds that it may stay there; 0: it need not go there. */
static int32_t
fill_ttl(const struct tier_ask *t, const struct op_result *res)
{
	int64_t most = (int64_t)(t->space->conf->cache_ttl / USEC_PER_SEC);

	if (res->ttl == OP_TTL_NONE)
		return ((int32_t)most);
	/* The store's second may be nearly over. */
	if (res->ttl <= 1)
		return (0);
	return ((int32_t)(res->ttl - 1 < most ? res->ttl - 1 : most));
}

/* Whether what the primary told is a value like any other. */
static bool
is_plain(const struct tier_ask *t, const struct be_op *be)
{
	const struct op_result *res = &be->res;

	if (be->err != ERR_NONE || res->status != OP_OK || (res->bits & ~(OPR_FETCHED | OPR_ENCODED)) != 0 ||
	    res->size > TIER_VALUE_MAX || (be->op.want & OPW_VALUE) == 0)
		return (false);
	if ((res->bits & OPR_ENCODED) != 0 && be->found_head.chunks != 0)
		return (false);
	/* As it was read, and by one who may have read anything before now. */
	return (loop_now(t->ctx->loop) - t->started < FILL_TIME);
}

static void
fill_head(char *dst, const struct tier_ask *t, const struct be_op *be)
{
	const struct op_result *res = &be->res;
	struct envelope e = { 0 };

	if ((res->bits & OPR_ENCODED) != 0)
		e = be->found_head;
	e.marks = 0;
	e.version = res->cas;
	e.client_flags = res->client_flags;
	e.expiry = res->ttl == OP_TTL_NONE ? 0 :
	    version_clock() / 1000 + (uint64_t)(res->ttl - 1) * 1000;
	memcpy(dst, t->generation, TIER_GENERATION);
	(void)envelope_put(dst + TIER_GENERATION, &e);
}

/* False: the value is not here as a whole. */
static bool
fill_value(char *dst, const struct req *r)
{
	uint32_t size = r->be.res.size, off = 0;
	struct iovec iov;

	if (r->value == NULL) {
		if (r->be.data.len != size)
			return (false);
		if (size > 0)
			memcpy(dst, r->be.data.p, size);
		return (true);
	}
	if (value_len(r->value) != size)
		return (false);
	while (off < size && value_iov(r->value, off, &iov, 1) == 1) {
		size_t n = iov.iov_len < size - off ? iov.iov_len : size - off;

		memcpy(dst + off, iov.iov_base, n);
		off += (uint32_t)n;
	}
	return (off == size);
}

/* Whether it would be there still when flush_all has emptied the primary. */
static bool
is_flushed(const struct ctx *ctx, const struct req *r, int32_t ttl)
{
	return (atomic_load_explicit(&ctx->shared->flushing, memory_order_acquire) > 0 ||
	    route_flush_crossed(ctx, r->asked_at, r->asked_at + (uint32_t)ttl));
}

void
tier_fill(struct tier_ask *t, struct req *r)
{
	const struct space *sp = t->space;
	int32_t ttl = fill_ttl(t, &r->be.res);
	struct tier_put *p;

	if (t->ctx->closing || !t->answered || r->lags || !is_plain(t, &r->be) || ttl == 0 || (sp->splits && !t->known))
		return;
	if (!fill_is_last(r) || is_flushed(t->ctx, r, ttl) || !ctx_may_hold(t->ctx, r->be.res.size))
		return;
	p = put_new(t->ctx, sp, t->keys[t->nkeys - 1], t->be.op.hash, TIER_HEAD + r->be.res.size);
	if (p == NULL)
		return;
	fill_head(p->bytes, t, &r->be);
	if (!fill_value(p->bytes + TIER_HEAD, r)) {
		put_done(&p->be);
		return;
	}
	(void)num_put_be(p->bytes + TIER_CHECKED, tier_check(p->bytes,
	    slice_of(p->bytes + TIER_HEAD, r->be.res.size), p->be.op.key), 8);
	p->be.op.ttl = ttl;
	if (t->there) {
		p->be.op.opts |= OPF_CAS;
		p->be.op.cas = t->unique;
	} else
		p->be.op.mode = OP_ADD;
	METRIC_ADD(&t->ctx->metrics, tier_fills, 1);
	put_submit(p, t->be.id);
}
