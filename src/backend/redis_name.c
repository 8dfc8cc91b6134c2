/*
 * redis_name.c - what things are called in Redis.
 *
 *	item		its key
 *	first answer	{tag}?<time, nonce><key>: the tag puts it in the slot of the key; time has 8 bytes, nonce 16
 *	piece of value	{digits}@<version, nonce, try, number, length><id><item key>: the digits spread them; try and
 *			number have 4 bytes, length, of the id, one
 *
 * In a namespace with records:
 *	item		{id}=<item key>
 *	index		{id}#, a sorted set of item keys
 *	marks		{id}!, see redis.lua
 *	first answer	{id}$<time, nonce><item key>
 *	list		{tag}*<prefix>, a sorted set of the ids in the slot
 *	nothing		{id}~ and {tag}~
 *
 * In {id} a % or } is %25 or %7d, or the braces would not end where they should; no id is {%}.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "backend/redis.h"
#include "backend/slots.h"
#include "base/num.h"

#define CHUNK_TAG	10	/* "{01234567}" */
#define TAG_CHARS	5	/* of a slot's tag: each 4 bits */
#define TAG_BITS	(4 * TAG_CHARS)
#define SLOT_BITS	14

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
	struct slice id = op->id.p == NULL ? op->op.key : op->id;
	char *p = name + CHUNK_TAG;
	uint32_t mix = 2166136261u;

	*p++ = '@';
	p = name_token(p, op);
	p = name_number(p, op->chunk_try, 4);
	p = name_number(p, op->chunk, 4);
	p = name_number(p, id.len, 1);
	p = name_bytes(p, id.p, id.len);
	p = name_bytes(p, op->item.p, op->id.p == NULL ? 0 : op->item.len);
	for (const char *q = name + CHUNK_TAG; q < p; q++)
		mix = (mix ^ (unsigned char)*q) * 16777619u;
	name[0] = '{';
	for (unsigned i = 0; i < 8; i++)
		name[1 + i] = "0123456789abcdef"[mix >> (4 * i) & 15];
	name[CHUNK_TAG - 1] = '}';
	return (slice_of(name, (size_t)(p - name)));
}

/* ---- records ---- */

bool
redis_is_record(const struct be_op *op)
{
	return (op->format == FORMAT_ITEM && op->chunk == 0 && op->ns != NULL && op->ns->separator_len > 0 &&
	    op->id.p != NULL);
}

struct slice
redis_name_base(char base[REDIS_BASE_MAX], struct slice id)
{
	char *p = base;

	MUST(id.len <= REDIS_ID_MAX);
	*p++ = '{';
	for (size_t i = 0; i < id.len; i++)
		if (id.p[i] == '%' || id.p[i] == '}')
			p = name_bytes(p, id.p[i] == '%' ? "%25" : "%7d", 3);
		else
			*p++ = id.p[i];
	if (id.len == 0)
		*p++ = '%';
	*p++ = '}';
	return (slice_of(base, (size_t)(p - base)));
}

bool
redis_name_id(char id[REDIS_ID_MAX], struct slice name, size_t *len)
{
	size_t n = 0;

	if (slice_eq(name, SLICE_LIT("%"))) {
		*len = 0;
		return (true);
	}
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (c == '%') {
			if (name.len - i < 3)
				return (false);
			c = name.p[i + 1] == '2' ? '%' : '}';
			i += 2;
		}
		if (n == REDIS_ID_MAX)
			return (false);
		id[n++] = c;
	}
	*len = n;
	return (true);
}

/* What each bit of a tag does to its slot: exclusive-or, as in any such sum. */
static void
tag_bits(uint32_t rows[TAG_BITS], unsigned *zero)
{
	char tag[TAG_CHARS];

	memset(tag, '@', sizeof tag);
	*zero = slots_of(slice_of(tag, sizeof tag));
	for (unsigned i = 0; i < TAG_BITS; i++) {
		tag[i / 4] ^= (char)(1 << i % 4);
		rows[i] = slots_of(slice_of(tag, sizeof tag)) ^ *zero;
		tag[i / 4] ^= (char)(1 << i % 4);
	}
}

struct slice
redis_name_tag(char tag[REDIS_TAG_MAX], unsigned slot)
{
	uint32_t rows[TAG_BITS], uses[TAG_BITS], want, chosen = 0;
	unsigned zero;

	tag_bits(rows, &zero);
	want = slot ^ zero;
	for (unsigned i = 0; i < TAG_BITS; i++)
		uses[i] = 1u << i;
	/* One bit of the slot after the other: some row has it, and no row behind that one afterwards. */
	for (unsigned bit = 0, from = 0; bit < SLOT_BITS; bit++) {
		unsigned i = from;

		while (i < TAG_BITS && (rows[i] >> bit & 1) == 0)
			i++;
		MUST(i < TAG_BITS);
		for (unsigned k = i + 1; k < TAG_BITS; k++)
			if ((rows[k] >> bit & 1) != 0) {
				rows[k] ^= rows[i];
				uses[k] ^= uses[i];
			}
		if ((want >> bit & 1) != 0) {
			want ^= rows[i];
			chosen ^= uses[i];
		}
		rows[i] = rows[from];
		uses[i] = uses[from++];
	}
	for (unsigned i = 0; i < TAG_CHARS; i++)
		tag[i] = (char)('@' | (chosen >> (4 * i) & 15));
	return (slice_of(tag, TAG_CHARS));
}

struct slice
redis_name_list(char name[REDIS_NAME_MAX], struct slice base, const struct conf_ns *ns)
{
	char *p = name;

	*p++ = '{';
	p += redis_name_tag(p, slots_of(base)).len;
	*p++ = '}';
	*p++ = '*';
	MUST(ns->prefix_len <= REDIS_ID_MAX);
	p = name_bytes(p, ns->prefix, ns->prefix_len);
	return (slice_of(name, (size_t)(p - name)));
}

/* ---- */

unsigned
redis_slot_of(const struct be_op *op)
{
	char name[REDIS_NAME_MAX];

	if (redis_is_record(op))
		return (slots_of(redis_name_base(name, op->id)));
	if (op->format == FORMAT_ITEM && op->chunk != 0)
		return (slots_of(redis_name_chunk(name, op)));
	return (slots_of(op->op.key));
}

struct slice
redis_name_owner(char buf[REDIS_ID_MAX], struct slice name)
{
	const char *end = name.len > 2 && name.p[0] == '{' ? memchr(name.p, '}', name.len) : NULL;
	size_t at, len;

	if (end == NULL || (at = (size_t)(end + 1 - name.p)) == name.len)
		return (name);
	switch (*(end + 1)) {
	case '=':
	case '#':
	case '!':
	case '$':
		return (redis_name_id(buf, slice_of(name.p + 1, at - 2), &len) ? slice_of(buf, len) : name);
	case '*':
		at += 1;
		break;
	case '?':
		at += 1 + 8 + NONCE_LEN;
		break;
	case '@':
		at += 1 + 8 + NONCE_LEN + 4;
		if (at >= name.len || (len = (unsigned char)name.p[at]) > name.len - at - 1)
			return (name);
		return (slice_of(name.p + at + 1, len));
	default:
		return (name);
	}
	return (at <= name.len ? slice_of(name.p + at, name.len - at) : name);
}
