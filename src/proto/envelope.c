/*
 * envelope.c - the head of an item to and from bytes.
 */
#include "config.h"

#include "proto/envelope.h"

static char *
put_number(char *dst, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		*dst++ = (char)(v >> (8 * bytes));
	return (dst);
}

static uint64_t
get_number(const char *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | (unsigned char)*p++;
	return (v);
}

char *
envelope_put(char *dst, const struct envelope *e)
{
	memcpy(dst, ENVELOPE_MAGIC, 3);
	dst[3] = ENVELOPE_FORMAT;
	dst[4] = (char)e->marks;
	dst[5] = 0;
	dst = put_number(dst + 6, ENVELOPE_LEN, 2);
	dst = put_number(dst, e->version, 8);
	dst = put_number(dst, e->expiry, 8);
	return (put_number(dst, e->client_flags, 4));
}

bool
envelope_get(struct slice item, struct envelope *e, struct slice *value)
{
	const char *p = item.p;
	size_t head;

	if (item.len < ENVELOPE_LEN || memcmp(p, ENVELOPE_MAGIC, 3) != 0 || p[3] != ENVELOPE_FORMAT || p[5] != 0)
		return (false);
	head = (size_t)get_number(p + 6, 2);
	if (head < ENVELOPE_LEN || head > item.len)
		return (false);
	e->marks = (uint8_t)p[4];
	e->version = get_number(p + 8, 8);
	e->expiry = get_number(p + 16, 8);
	e->client_flags = (uint32_t)get_number(p + 24, 4);
	*value = slice_of(p + head, item.len - head);
	return (true);
}
