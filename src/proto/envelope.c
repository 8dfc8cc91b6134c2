/*
 * envelope.c - the head of an item to and from bytes.
 */
#include "config.h"

#include <endian.h>
#include <string.h>

#include "proto/envelope.h"

static uint64_t
get_u64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return (be64toh(v));
}

static char *
put_u64(char *dst, uint64_t v)
{
	v = htobe64(v);
	memcpy(dst, &v, sizeof v);
	return (dst + sizeof v);
}

static uint32_t
get_u32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return (be32toh(v));
}

static char *
put_u32(char *dst, uint32_t v)
{
	v = htobe32(v);
	memcpy(dst, &v, sizeof v);
	return (dst + sizeof v);
}

char *
envelope_put(char *dst, const struct envelope *e)
{
	static const uint8_t zero[NONCE_LEN];
	bool nonce = memcmp(e->nonce, zero, NONCE_LEN) != 0;
	unsigned len = ENVELOPE_LEN;

	if (e->chunks != 0 || (e->codec != CODEC_NONE && nonce))
		len = ENVELOPE_LEN_MAX;
	else if (e->codec != CODEC_NONE)
		len = ENVELOPE_CODED_LEN;
	else if (nonce)
		len = ENVELOPE_NONCE_LEN;
	memcpy(dst, ENVELOPE_MAGIC, 3);
	dst[3] = ENVELOPE_FORMAT;
	dst = put_u32(dst + 4, (uint32_t)e->marks << 24 | (uint32_t)e->codec << 16 | len);
	dst = put_u64(dst, e->version);
	dst = put_u64(dst, e->expiry);
	dst = put_u32(dst, e->client_flags);
	if (len >= ENVELOPE_NONCE_LEN) {
		memcpy(dst, e->nonce, NONCE_LEN);
		dst += NONCE_LEN;
	}
	if (len != ENVELOPE_CODED_LEN && len != ENVELOPE_LEN_MAX)
		return (dst);
	dst = put_u64(dst, e->size);
	dst = put_u32(dst, e->dictionary);
	if (len == ENVELOPE_CODED_LEN)
		return (dst);
	dst = put_u32(dst, e->chunk);
	return (put_u32(dst, e->chunks));
}

bool
envelope_get(struct slice item, struct envelope *e, struct slice *value)
{
	const char *p = item.p;
	size_t head;

	if (item.len < ENVELOPE_LEN || memcmp(p, ENVELOPE_MAGIC, 3) != 0 || p[3] != ENVELOPE_FORMAT ||
	    (uint8_t)p[5] >= CODEC_COUNT)
		return (false);
	head = get_u32(p + 4) & 0xffff;
	if (head < ENVELOPE_LEN || head > item.len)
		return (false);
	memset(e, 0, sizeof *e);
	e->marks = (uint8_t)p[4];
	e->codec = (uint8_t)p[5];
	e->version = get_u64(p + 8);
	e->expiry = get_u64(p + 16);
	e->client_flags = get_u32(p + 24);
	if (head >= ENVELOPE_NONCE_LEN)
		memcpy(e->nonce, p + 28, NONCE_LEN);
	*value = slice_of(p + head, item.len - head);
	e->size = value->len;
	if (head == ENVELOPE_CODED_LEN && e->codec != CODEC_NONE) {
		e->size = get_u64(p + ENVELOPE_LEN);
		e->dictionary = get_u32(p + ENVELOPE_LEN + 8);
		return (true);
	}
	if (head >= ENVELOPE_LEN_MAX) {
		e->size = e->codec != CODEC_NONE || get_u32(p + 60) != 0 ? get_u64(p + 44) : value->len;
		e->dictionary = get_u32(p + 52);
		e->chunks = get_u32(p + 60);
		e->chunk = e->chunks != 0 ? get_u32(p + 56) : 0;
	}
	/* What is encoded or elsewhere has all of the head, but for the nonce alone. */
	return (e->codec == CODEC_NONE || head >= ENVELOPE_LEN_MAX);
}
