/*
 * piece.c - the head of a piece to and from bytes.
 */
#include "config.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

#include "kv/piece.h"
#include "proto/envelope.h"

#define MAGIC	"\xf2kv\1"

void
piece_put(char *dst, uint32_t number, const struct piece *p)
{
	uint32_t size = htobe32(p->size);
	uint64_t sum = htobe64(XXH3_64bits_withSeed(p->data.p, p->data.len, number));

	memcpy(dst, MAGIC, 4);
	memset(dst + 4, 0, 4);
	dst[4] = (char)p->codec;
	memcpy(dst + 8, &size, sizeof size);
	memcpy(dst + 12, &sum, sizeof sum);
}

bool
piece_get(struct slice stored, uint32_t number, struct piece *p)
{
	uint32_t size;
	uint64_t sum;

	if (stored.len < PIECE_HEAD || memcmp(stored.p, MAGIC, 4) != 0 || (uint8_t)stored.p[4] >= CODEC_COUNT)
		return (false);
	memcpy(&size, stored.p + 8, sizeof size);
	memcpy(&sum, stored.p + 12, sizeof sum);
	p->codec = (uint8_t)stored.p[4];
	p->size = be32toh(size);
	p->data = slice_of(stored.p + PIECE_HEAD, stored.len - PIECE_HEAD);
	return ((p->codec != CODEC_NONE || p->size == p->data.len) &&
	    XXH3_64bits_withSeed(p->data.p, p->data.len, number) == be64toh(sum));
}
