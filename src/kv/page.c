/*
 * page.c - page tokens, in base64:
 *
 *	0  the format's number 1 | what there is 1
 *	2  hash of the question 8
 *	10 left 8 | done 4 | size 4
 *	26 length of the id 1 | of the key 2
 *	29 id, key
 *	-8 hash of all that is before it
 *
 * Numbers have their highest byte first. The hashes keep nobody from making tokens, who could just as well have asked
 * for that place; they find what was damaged, or given to another question. Base64 can spell the same bytes in
 * several ways, of which only our own is taken.
 */
#include "config.h"

#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/num.h"
#include "kv/page.h"
#include "proto/base64.h"

#define FORMAT		1
#define HEAD_LEN	29
#define SUM_LEN		8
#define ID_MAX		255

#define HAS_ID		(1u << 0)
#define HAS_KEY		(1u << 1)

#define RAW_LEN_MAX	(HEAD_LEN + ID_MAX + REC_KEY_MAX + SUM_LEN)

static char *
put_bytes(char *dst, struct slice s)
{
	if (s.len > 0)
		memcpy(dst, s.p, s.len);
	return (dst + s.len);
}

/* ---- the question ---- */

static uint64_t
hash_number(uint64_t h, uint64_t v)
{
	char buf[8];

	num_put_be(buf, v, sizeof buf);
	return (XXH3_64bits_withSeed(buf, sizeof buf, h));
}

/* With its length, so that nothing can move from one to the next; what is not there is unlike what is empty. */
static uint64_t
hash_bytes(uint64_t h, struct slice s)
{
	h = hash_number(h, s.p == NULL ? UINT64_MAX : s.len);
	return (s.len == 0 ? h : XXH3_64bits_withSeed(s.p, s.len, h));
}

static uint64_t
hash_which(uint64_t h, const struct rec_which *w)
{
	h = hash_number(h, w->reverse);
	h = hash_bytes(h, w->from);
	h = hash_bytes(h, w->until);
	h = hash_bytes(h, w->head);
	h = hash_number(h, w->nkeys);
	for (uint32_t i = 0; i < w->nkeys; i++)
		h = hash_bytes(h, w->keys[i]);
	return (h);
}

static uint64_t
hash_ask(const struct page_ask *ask)
{
	uint64_t h = hash_bytes(ask->verb, ask->space);

	if (ask->verb == OP_SCAN)
		return (hash_number(hash_number(h, ask->part), ask->parts));
	return (hash_which(hash_bytes(h, ask->id), ask->which));
}

/* ---- tokens ---- */

char *
page_put(char *dst, const struct page_ask *ask, const struct page_at *at)
{
	struct slice id = ask->verb == OP_SCAN ? at->id : SLICE_NULL;
	char raw[RAW_LEN_MAX], *p = raw;

	MUST(id.len <= ID_MAX && at->key.len <= REC_KEY_MAX);
	*p++ = FORMAT;
	*p++ = (char)((id.p != NULL ? HAS_ID : 0) | (at->key.p != NULL ? HAS_KEY : 0));
	p = num_put_be(p, hash_ask(ask), 8);
	p = num_put_be(p, at->left, 8);
	p = num_put_be(p, at->done, 4);
	p = num_put_be(p, at->size, 4);
	p = num_put_be(p, id.len, 1);
	p = num_put_be(p, at->key.len, 2);
	p = put_bytes(p, id);
	p = put_bytes(p, at->key);
	p = num_put_be(p, XXH3_64bits(raw, (size_t)(p - raw)), SUM_LEN);
	return (base64_put(dst, raw, (size_t)(p - raw)));
}

/* The bytes that a token spells, if it spells them as we do; 0: not so. */
static size_t
decode(struct slice token, char raw[PAGE_RAW_MAX])
{
	char again[BASE64_LEN(PAGE_RAW_MAX)];
	size_t len;

	if (token.len > BASE64_LEN(RAW_LEN_MAX))
		return (0);
	len = base64_get(raw, token.p, token.len);
	if (len == 0 || base64_put(again, raw, len) != again + token.len)
		return (0);
	return (memcmp(again, token.p, token.len) == 0 ? len : 0);
}

bool
page_get(struct slice token, const struct page_ask *ask, struct page_at *at, char raw[PAGE_RAW_MAX])
{
	size_t len = decode(token, raw), idlen, keylen;
	unsigned has;

	if (len < HEAD_LEN + SUM_LEN || raw[0] != FORMAT ||
	    num_get_be(raw + len - SUM_LEN, SUM_LEN) != XXH3_64bits(raw, len - SUM_LEN) ||
	    num_get_be(raw + 2, 8) != hash_ask(ask))
		return (false);
	has = (unsigned char)raw[1];
	idlen = (size_t)num_get_be(raw + 26, 1);
	keylen = (size_t)num_get_be(raw + 27, 2);
	if (len != HEAD_LEN + idlen + keylen + SUM_LEN || keylen > REC_KEY_MAX || (has & ~(HAS_ID | HAS_KEY)) != 0 ||
	    ((has & HAS_ID) == 0 && idlen > 0) || ((has & HAS_KEY) == 0 && keylen > 0))
		return (false);
	at->left = num_get_be(raw + 10, 8);
	at->done = (uint32_t)num_get_be(raw + 18, 4);
	at->size = (uint32_t)num_get_be(raw + 22, 4);
	at->id = (has & HAS_ID) != 0 ? slice_of(raw + HEAD_LEN, idlen) : SLICE_NULL;
	at->key = (has & HAS_KEY) != 0 ? slice_of(raw + HEAD_LEN + idlen, keylen) : SLICE_NULL;
	return (true);
}
