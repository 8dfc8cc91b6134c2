/*
 * train.c - zstd's trainer, and its compressor to see what came of it.
 */
#include "config.h"

#include <stdlib.h>
#include <zdict.h>
#include <zstd.h>

#include "dict/train.h"

#define SAMPLES_MIN	16

size_t
train_dictionary(const struct samples *s, char *dict, size_t cap, const char **why)
{
	size_t n;

	if (s->n < SAMPLES_MIN) {
		*why = "too few values; there must be some hundreds";
		return (0);
	}
	n = ZDICT_trainFromBuffer(dict, cap, s->bytes, s->sizes, s->n > UINT32_MAX ? UINT32_MAX : (unsigned)s->n);
	if (ZDICT_isError(n)) {
		*why = ZDICT_getErrorName(n);
		return (0);
	}
	return (n);
}

uint32_t
train_id(const char *dict, size_t len)
{
	return (ZDICT_getDictID(dict, len));
}

static size_t
measure(ZSTD_CCtx *ctx, const struct samples *s, char *dst, size_t room)
{
	size_t sum = 0, at = 0, n;

	for (size_t i = 0; i < s->n; at += s->sizes[i++]) {
		n = ZSTD_compress2(ctx, dst, room, s->bytes + at, s->sizes[i]);
		/* What does not shrink is stored as it is. */
		sum += ZSTD_isError(n) || n > s->sizes[i] ? s->sizes[i] : n;
	}
	return (sum);
}

size_t
train_measure(const struct samples *s, const char *dict, size_t len, int level)
{
	ZSTD_CDict *digest = dict != NULL ? ZSTD_createCDict(dict, len, level) : NULL;
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t largest = 0, sum = 0;
	char *dst;

	for (size_t i = 0; i < s->n; i++)
		if (s->sizes[i] > largest)
			largest = s->sizes[i];
	dst = malloc(ZSTD_compressBound(largest) + 1);
	if (ctx != NULL && dst != NULL && (dict == NULL || digest != NULL) &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level)) &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1)) &&
	    !ZSTD_isError(ZSTD_CCtx_refCDict(ctx, digest)))
		sum = measure(ctx, s, dst, ZSTD_compressBound(largest) + 1);
	free(dst);
	ZSTD_freeCCtx(ctx);
	ZSTD_freeCDict(digest);
	return (sum);
}
