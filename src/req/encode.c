/*
 * encode.c - encoding and decoding with what a worker has: contexts made when they are first needed, one scratch.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "backend/record.h"
#include "base/check.h"
#include "kv/codec.h"
#include "obs/metric.h"
#include "proto/record.h"
#include "req/encode.h"

_Static_assert((int)CONF_CODEC_NONE == (int)CODEC_NONE && (int)CONF_CODEC_ZSTD == (int)CODEC_ZSTD,
    "the configuration's codecs are the envelope's");

static struct codec_ctx *
encode_ctx(struct ctx *ctx)
{
	if (ctx->codec == NULL)
		ctx->codec = codec_new();
	return (ctx->codec);
}

char *
encode_scratch(struct ctx *ctx)
{
	if (ctx->scratch == NULL)
		ctx->scratch = malloc(ENCODE_SCRATCH);
	return (ctx->scratch);
}

bool
encode_wants(const struct space *sp, size_t len)
{
	return (sp->conf->codec != CONF_CODEC_NONE && len >= sp->conf->codec_min);
}

size_t
encode_bytes(struct ctx *ctx, const struct space *sp, struct slice plain, char *dst, bool whole, struct envelope *head)
{
	struct codec_ctx *c = encode_ctx(ctx);
	size_t n;

	if (c == NULL)
		return (0);
	n = codec_encode(c, whole ? sp->dicts : NULL, sp->conf->codec_level, plain, dst, head);
	if (n == 0) {
		METRIC_ADD(&ctx->metrics, codec_no_gain, 1);
		return (0);
	}
	METRIC_ADD(&ctx->metrics, codec_encoded, 1);
	METRIC_ADD(&ctx->metrics, codec_bytes_plain, plain.len);
	METRIC_ADD(&ctx->metrics, codec_bytes_encoded, n);
	return (n);
}

static const char *
decode(struct ctx *ctx, const struct space *sp, const struct envelope *head, struct slice in, char *dst)
{
	struct codec_ctx *c = encode_ctx(ctx);

	if (c == NULL)
		return (DECODE_NO_MEM);
	return (codec_decode(c, sp->dicts, head, in, dst));
}

const char *
decode_check(struct ctx *ctx, const struct space *sp, const struct envelope *head, struct slice in)
{
	const char *why = codec_check(sp->dicts, head, in, ENCODE_SIZE_MAX);

	if (why != NULL)
		METRIC_ADD(&ctx->metrics, codec_failures, 1);
	return (why);
}

const char *
decode_bytes(struct ctx *ctx, const struct space *sp, const struct envelope *head, struct slice in, char *dst)
{
	const char *why = decode(ctx, sp, head, in, dst);

	if (why == NULL)
		METRIC_ADD(&ctx->metrics, codec_decoded, 1);
	else
		METRIC_ADD(&ctx->metrics, codec_failures, 1);
	return (why);
}

/* ---- items of records ---- */

static void
put_body(struct rec_put *put, struct iovec *one, const void *p, size_t len)
{
	one->iov_base = (void *)(uintptr_t)p;
	one->iov_len = len;
	put->body = one;
	put->nbody = 1;
	put->len = (uint32_t)len;
}

const char *
encode_item(struct ctx *ctx, const struct space *sp, const struct record_item *item, struct rec_put *put,
    struct iovec *one, void **mem)
{
	const char *why;
	size_t n = 0;
	char *dst;

	*mem = NULL;
	put->key = item->key;
	put->head.client_flags = item->client_flags;
	put->head.codec = CODEC_NONE;
	put->head.dictionary = 0;
	put->head.size = 0;
	put_body(put, one, item->data.p, item->data.len);
	if (item->codec != CODEC_NONE) {
		why = codec_adopt(sp->dicts, (enum codec)item->codec, item->data, sp->conf->item_size_max, &put->head);
		return (why);
	}
	if (!encode_wants(sp, item->data.len))
		return (NULL);
	dst = malloc(item->data.len);
	if (dst != NULL)
		n = encode_bytes(ctx, sp, item->data, dst, true, &put->head);
	if (n == 0) {
		free(dst);
		return (NULL);
	}
	*mem = dst;
	put_body(put, one, dst, n);
	return (NULL);
}

const char *
decode_given(struct ctx *ctx, const struct space *sp, const struct envelope *head, struct slice in, char **plain)
{
	const char *why;

	*plain = malloc(head->size + 1);
	if (*plain == NULL)
		return (DECODE_NO_MEM);
	why = decode(ctx, sp, head, in, *plain);
	if (why == NULL) {
		METRIC_ADD(&ctx->metrics, codec_given, 1);
		return (NULL);
	}
	free(*plain);
	*plain = NULL;
	return (why);
}

const char *
decode_item(struct ctx *ctx, const struct space *sp, const struct rec_item *item, uint32_t codecs, struct slice *value,
    enum codec *codec, void **mem)
{
	const struct envelope *head = &item->head;
	const char *why;
	char *dst;

	*mem = NULL;
	*codec = CODEC_NONE;
	*value = item->value;
	if (head->codec == CODEC_NONE || item->value.p == NULL)
		return (NULL);
	if ((codecs & 1u << head->codec) != 0 && head->dictionary == 0) {
		*codec = (enum codec)head->codec;
		return (NULL);
	}
	why = decode_check(ctx, sp, head, item->value);
	if (why != NULL)
		return (why);
	dst = head->size <= ENCODE_SCRATCH ? encode_scratch(ctx) : (*mem = malloc(head->size));
	if (dst == NULL)
		return (DECODE_NO_MEM);
	why = decode_bytes(ctx, sp, head, item->value, dst);
	if (why != NULL) {
		free(*mem);
		*mem = NULL;
	}
	*value = slice_of(dst, head->size);
	return (why);
}
