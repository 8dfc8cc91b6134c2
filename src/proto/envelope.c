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
	memcpy(dst, ENVELOPE_MAGIC, 3);
	dst[3] = ENVELOPE_FORMAT;
	dst = put_u32(dst + 4, (uint32_t)e->marks << 24 | ENVELOPE_LEN);
	dst = put_u64(dst, e->version);
	dst = put_u64(dst, e->expiry);
	return (put_u32(dst, e->client_flags));
}

bool
envelope_get(struct slice item, struct envelope *e, struct slice *value)
{
	const char *p = item.p;
	size_t head;

	if (item.len < ENVELOPE_LEN || memcmp(p, ENVELOPE_MAGIC, 3) != 0 || p[3] != ENVELOPE_FORMAT || p[5] != 0)
		return (false);
	head = get_u32(p + 4) & 0xffff;
	if (head < ENVELOPE_LEN || head > item.len)
		return (false);
	e->marks = (uint8_t)p[4];
	e->version = get_u64(p + 8);
	e->expiry = get_u64(p + 16);
	e->client_flags = get_u32(p + 24);
	*value = slice_of(p + head, item.len - head);
	return (true);
}
