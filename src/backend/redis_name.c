/*
 * redis_name.c - what things are called in Redis.
 *
 *	item		its key
 *	first answer	{tag}?<time, nonce><key>: the tag puts it in the slot of the key; time has 8 bytes, nonce 16
 *	piece of value	{digits}@<version, nonce, number><key>: the digits spread them; number has 4 bytes
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "backend/redis.h"
#include "backend/slots.h"
#include "base/num.h"

#define CHUNK_TAG	10	/* "{01234567}" */

static char *
name_bytes(char *dst, const void *p, size_t len)
{
	if (len > 0)
		memcpy(dst, p, len);
	return (dst + len);
}

static char *
name_number(char *dst, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		*dst++ = (char)(v >> (8 * bytes));
	return (dst);
}

/* The part in braces that alone says which slot a key is in; p NULL: all of it does. */
static struct slice
name_tag(struct slice key)
{
	const char *open = key.len == 0 ? NULL : memchr(key.p, '{', key.len), *close;

	if (open == NULL)
		return (SLICE_NULL);
	open++;
	close = memchr(open, '}', (size_t)(key.p + key.len - open));
	if (close == NULL || close == open)
		return (SLICE_NULL);
	return (slice_of(open, (size_t)(close - open)));
}

/* "{tag}" of the key's slot. */
static char *
name_put_tag(char *dst, struct slice key)
{
	struct slice tag = name_tag(key);
	unsigned slot, n = 0;
	int len;

	if (tag.p == NULL)
		tag = key;
	if (tag.len > 0 && memchr(tag.p, '}', tag.len) == NULL) {
		*dst++ = '{';
		dst = name_bytes(dst, tag.p, tag.len);
		*dst++ = '}';
		return (dst);
	}
	/* No tag is like it: one that meets its slot by chance. */
	slot = slots_of(key);
	do
		len = snprintf(dst, NUM_U64_MAXLEN, "{%u}", n++);
	while (slots_of(slice_of(dst, (size_t)len)) != slot);
	return (dst + len);
}

static char *
name_token(char *dst, const struct be_op *op)
{
	return (name_bytes(name_number(dst, op->version, 8), op->nonce, sizeof op->nonce));
}

struct slice
redis_name_answer(char name[REDIS_NAME_MAX], struct slice key, const struct be_op *op)
{
	char *p = name_put_tag(name, key);

	*p++ = '?';
	p = name_bytes(name_token(p, op), key.p, key.len);
	return (slice_of(name, (size_t)(p - name)));
}

struct slice
redis_name_chunk(char name[REDIS_NAME_MAX], const struct be_op *op)
{
	char *p = name + CHUNK_TAG;
	uint32_t mix = 2166136261u;

	*p++ = '@';
	p = name_token(p, op);
	p = name_number(p, op->chunk, 4);
	p = name_bytes(p, op->op.key.p, op->op.key.len);
	for (const char *q = name + CHUNK_TAG; q < p; q++)
		mix = (mix ^ (unsigned char)*q) * 16777619u;
	name[0] = '{';
	for (unsigned i = 0; i < 8; i++)
		name[1 + i] = "0123456789abcdef"[mix >> (4 * i) & 15];
	name[CHUNK_TAG - 1] = '}';
	return (slice_of(name, (size_t)(p - name)));
}

unsigned
redis_slot_of(const struct be_op *op)
{
	char name[REDIS_NAME_MAX];

	if (op->format == FORMAT_ITEM && op->chunk != 0)
		return (slots_of(redis_name_chunk(name, op)));
	return (slots_of(op->op.key));
}
