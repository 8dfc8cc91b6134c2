/*
 * rocks_key.c - names of rows to and from bytes.
 */
#include "config.h"

#include <string.h>
#include <xxhash.h>

#include "backend/rocks_key.h"
#include "base/check.h"
#include "base/num.h"

static void
add(struct rocks_key *k, const void *p, size_t len)
{
	MUST(k->len + len <= ROCKS_KEY_MAX);
	if (len > 0)
		memcpy(k->bytes + k->len, p, len);
	k->len += len;
}

static void
add_number(struct rocks_key *k, uint64_t v, unsigned bytes)
{
	MUST(k->len + bytes <= ROCKS_KEY_MAX);
	while (bytes-- > 0)
		k->bytes[k->len++] = (char)(v >> (8 * bytes));
}

unsigned
rocks_key_hash(struct slice id)
{
	return ((unsigned)(XXH3_64bits(id.len > 0 ? id.p : "", id.len) >> 48));
}

static void
begin(struct rocks_key *k, char kind, struct slice id)
{
	MUST(id.len <= ROCKS_ID_MAX);
	k->len = 0;
	add(k, &kind, 1);
	add_number(k, rocks_key_hash(id), 2);
	add_number(k, id.len, 1);
	add(k, id.p, id.len);
}

void
rocks_key_item(struct rocks_key *k, char kind, struct slice id, struct slice item)
{
	begin(k, kind, id);
	add(k, item.p, item.len);
}

static void
write_of(struct rocks_key *k, char kind, struct slice id, struct slice item, uint64_t version,
    const uint8_t nonce[NONCE_LEN])
{
	begin(k, kind, id);
	add_number(k, item.len, 2);
	add(k, item.p, item.len);
	add_number(k, version, 8);
	add(k, nonce, NONCE_LEN);
}

void
rocks_key_answer(struct rocks_key *k, struct slice id, struct slice item, uint64_t version,
    const uint8_t nonce[NONCE_LEN])
{
	write_of(k, ROCKS_ANSWER, id, item, version, nonce);
}

void
rocks_key_chunk(struct rocks_key *k, struct slice id, struct slice item, const struct envelope *head, uint32_t chunk)
{
	write_of(k, ROCKS_CHUNK, id, item, head->version, head->nonce);
	add_number(k, head->dictionary, 4);
	if (chunk != UINT32_MAX)
		add_number(k, chunk, 4);
}

void
rocks_key_behind(struct rocks_key *k)
{
	while (k->len > 0 && (unsigned char)k->bytes[k->len - 1] == 0xff)
		k->len--;
	MUST(k->len > 0);
	k->bytes[k->len - 1]++;
}

void
rocks_key_part(struct rocks_key *k, char kind, uint32_t i, uint32_t n)
{
	rocks_key_hashed(k, kind, (unsigned)((uint64_t)(i - 1) * ROCKS_HASHES / n));
}

void
rocks_key_hashed(struct rocks_key *k, char kind, unsigned hash)
{
	k->len = 0;
	if (hash == ROCKS_HASHES)
		kind++;
	add(k, &kind, 1);
	if (hash < ROCKS_HASHES)
		add_number(k, hash, 2);
}

void
rocks_key_newest(struct rocks_key *k)
{
	char kind = ROCKS_NEWEST;

	k->len = 0;
	add(k, &kind, 1);
}

bool
rocks_key_before(const struct rocks_key *a, const struct rocks_key *b)
{
	size_t n = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->bytes, b->bytes, n);

	return (c < 0 || (c == 0 && a->len < b->len));
}

bool
rocks_key_parse(struct slice key, struct rocks_row_name *n)
{
	size_t tail = 0, id;

	if (key.len < 4)
		return (false);
	memset(n, 0, sizeof *n);
	n->kind = key.p[0];
	id = (unsigned char)key.p[3];
	if (key.len < 4 + id)
		return (false);
	n->id = slice_of(key.p + 4, id);
	n->item = slice_of(key.p + 4 + id, key.len - 4 - id);
	switch (n->kind) {
	case ROCKS_ITEM:
	case ROCKS_DEAD:
		return (true);
	case ROCKS_RECORD:
		return (n->item.len == 0);
	case ROCKS_CHUNK:
		tail = 8;
		/* FALLTHROUGH */
	case ROCKS_ANSWER:
		break;
	default:
		return (false);
	}
	tail += 8 + NONCE_LEN;
	if (n->item.len < 2 + tail || num_get_be(n->item.p, 2) != n->item.len - 2 - tail)
		return (false);
	n->item = slice_of(n->item.p + 2, n->item.len - 2 - tail);
	n->version = num_get_be(n->item.p + n->item.len, 8);
	memcpy(n->nonce, n->item.p + n->item.len + 8, NONCE_LEN);
	if (n->kind != ROCKS_CHUNK)
		return (true);
	n->chunk_try = (uint32_t)num_get_be(n->item.p + n->item.len + 8 + NONCE_LEN, 4);
	n->chunk = (uint32_t)num_get_be(n->item.p + n->item.len + 8 + NONCE_LEN + 4, 4);
	return (true);
}

bool
rocks_key_names(const struct rocks_row_name *n, const struct envelope *head)
{
	return (head->chunks != 0 && head->version == n->version && head->dictionary == n->chunk_try &&
	    memcmp(head->nonce, n->nonce, NONCE_LEN) == 0);
}
