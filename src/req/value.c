/*
 * value.c - refcounted large values.
 *
 * The cache's own memory is used wherever it can be, so that a large value is written once by readv and sent
 * from there. VALUE_PIECES bounds the iovecs of one call only; long chains are taken in several.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "req/value.h"

#define VALUE_PIECES	16

enum value_kind { VALUE_PINNED, VALUE_RESERVED, VALUE_HEAP };

struct value {
	unsigned	 magic;
#define VALUE_MAGIC	0x76616c75u
	enum value_kind	 kind;
	unsigned	 refs;
	uint32_t	 len;
	struct ctx	*ctx;
	struct item	*item;
	char		 heap[];
};

static struct value *
value_new(struct ctx *ctx, enum value_kind kind, size_t heap)
{
	struct value *v = malloc(sizeof *v + heap);

	if (v == NULL)
		return (NULL);
	v->magic = VALUE_MAGIC;
	v->kind = kind;
	v->refs = 1;
	v->ctx = ctx;
	v->item = NULL;
	return (v);
}

struct value *
value_of_pinned(struct ctx *ctx, struct item *it)
{
	struct value *v = value_new(ctx, VALUE_PINNED, 0);

	if (v == NULL)
		return (NULL);
	v->item = it;
	v->len = item_vlen(it);
	return (v);
}

struct value *
value_of_reserved(struct ctx *ctx, struct item *it)
{
	struct value *v = value_of_pinned(ctx, it);

	if (v != NULL)
		v->kind = VALUE_RESERVED;
	return (v);
}

struct value *
value_work(struct ctx *ctx, uint32_t vlen)
{
	struct value *v = value_new(ctx, VALUE_HEAP, vlen);

	if (v == NULL)
		return (NULL);
	v->len = vlen;
	ctx->held += vlen;
	return (v);
}

struct value *
value_heap(struct ctx *ctx, uint32_t vlen)
{
	return (ctx_may_hold(ctx, vlen) ? value_work(ctx, vlen) : NULL);
}

struct value *
value_ref(struct value *v)
{
	v->refs++;
	return (v);
}

void
value_unref(struct value *v)
{
	CHECK_OBJ_NOTNULL(v, VALUE_MAGIC);
	if (--v->refs > 0)
		return;
	switch (v->kind) {
	case VALUE_PINNED:
		cache_unpin(v->ctx->cache, v->item);
		break;
	case VALUE_RESERVED:
		cache_abandon(v->ctx->cache, v->item);
		break;
	case VALUE_HEAP:
		v->ctx->held -= v->len;
		break;
	}
	v->magic = 0;
	free(v);
}

struct item *
value_item(const struct value *v)
{
	return (v->kind == VALUE_RESERVED ? v->item : NULL);
}

void
value_linked(struct value *v)
{
	MUST(v->kind == VALUE_RESERVED);
	v->kind = VALUE_PINNED;
}

int
value_iov(const struct value *v, uint32_t off, struct iovec *iov, int max)
{
	if (v->kind != VALUE_HEAP)
		return (cache_value_iov(v->ctx->cache, v->item, off, iov, max));
	if (off >= v->len || max < 1)
		return (0);
	iov[0].iov_base = (char *)(uintptr_t)v->heap + off;
	iov[0].iov_len = v->len - off;
	return (1);
}

uint32_t
value_len(const struct value *v)
{
	return (v->len);
}

struct slice
value_bytes(const struct value *v)
{
	return (v->kind == VALUE_HEAP ? slice_of(v->heap, v->len) : SLICE_NULL);
}

void
value_trim(struct value *v, uint32_t vlen)
{
	MUST(v->kind == VALUE_HEAP && vlen <= v->len);
	v->ctx->held -= v->len - vlen;
	v->len = vlen;
}

static void
value_release(void *arg)
{
	value_unref(arg);
}

bool
value_send(struct value *v, struct outq *out)
{
	struct iovec iov[VALUE_PIECES];
	uint32_t off = 0;

	while (off < v->len) {
		int n = value_iov(v, off, iov, VALUE_PIECES);

		MUST(n > 0);
		for (int i = 0; i < n; i++) {
			v->refs++;
			if (!outq_ref(out, iov[i].iov_base, iov[i].iov_len,
			    value_release, v)) {
				v->refs--;
				return (false);
			}
			off += (uint32_t)iov[i].iov_len;
		}
	}
	return (true);
}
