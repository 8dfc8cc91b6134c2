/*
 * fuzz_codec.c - any bytes as an encoded value, with a head that says whatever it likes; and any bytes there and back.
 *
 * Promises: no memory is touched beyond what the head says, which is never more than what was allowed; what does not decode
 * to just that is an error; what was encoded comes back.
 *
 * build: src/kv/codec.c src/base/check.c src/obs/log.c -lzstd -lxxhash
 */
#include "config.h"

#include "fuzz.h"
#include "kv/codec.h"

#define SIZE_MAX_TAKEN	(64 * 1024)

static struct codec_ctx *codec;

/* The head's numbers are the first bytes of the input. */
static void
anything(const uint8_t *data, size_t size)
{
	struct envelope head = { .codec = CODEC_ZSTD }, adopted = { .codec = CODEC_NONE };
	struct slice in;
	char *copy, *dst;

	if (size < 4)
		return;
	head.codec = data[0] % (CODEC_COUNT + 1);
	head.size = (uint64_t)data[1] << 8 | data[2];
	head.dictionary = data[3];
	copy = exact_copy(data + 4, size - 4);
	in = slice_of(copy, size - 4);
	if (codec_adopt(NULL, CODEC_ZSTD, in, SIZE_MAX_TAKEN, &adopted) == NULL) {
		PROMISE(adopted.size <= SIZE_MAX_TAKEN);
		/* Half of the time it tells the truth. */
		if (data[0] & 0x80)
			head = adopted;
	}
	if (codec_check(NULL, &head, in, SIZE_MAX_TAKEN) == NULL) {
		PROMISE(head.size <= SIZE_MAX_TAKEN);
		dst = malloc(head.size > 0 ? head.size : 1);
		PROMISE(dst != NULL);
		(void)codec_decode(codec, NULL, &head, in, dst);
		free(dst);
	}
	free(copy);
}

static void
there_and_back(const uint8_t *data, size_t size)
{
	struct envelope head = { .codec = CODEC_NONE };
	char *plain = exact_copy(data, size), *dst = malloc(size > 0 ? size : 1), *again;
	size_t n;

	PROMISE(dst != NULL);
	n = codec_encode(codec, NULL, 1 + (int)(size % 5), slice_of(plain, size), dst, &head);
	if (n > 0) {
		PROMISE(head.size == size && n < size);
		PROMISE(codec_check(NULL, &head, slice_of(dst, n), size) == NULL);
		again = malloc(size);
		PROMISE(again != NULL && codec_decode(codec, NULL, &head, slice_of(dst, n), again) == NULL);
		PROMISE(memcmp(again, plain, size) == 0);
		free(again);
	} else
		PROMISE(head.codec == CODEC_NONE);
	free(dst);
	free(plain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (codec == NULL)
		codec = codec_new();
	PROMISE(codec != NULL);
	anything(data, size);
	there_and_back(data, size);
	return (0);
}
