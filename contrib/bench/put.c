/*
 * put.c - a request's bytes, in the dialect that is spoken: classic, meta or RESP.
 */
#include "config.h"

#include <string.h>

#include "conn.h"
#include "put.h"

/* The longest line but for its keys: words, flags, size, exptime. */
#define LINE_ROOM	512
/* What a key has around it: " ", "mg " and its ends, or "$250\r\n" and "\r\n". */
#define KEY_ROOM	16

static void
put(struct bytes *b, const char *text, size_t len)
{
	memcpy(b->at + b->len, text, len);
	b->len += len;
}

static void
put_text(struct bytes *b, const char *text)
{
	put(b, text, strlen(text));
}

static void
put_number(struct bytes *b, uint32_t v)
{
	char digits[10];
	unsigned n = sizeof digits;

	do
		digits[--n] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	put(b, digits + n, sizeof digits - n);
}

static void
put_key(const struct opts *o, struct bytes *b, uint32_t key)
{
	b->len += gen_key(&o->gen, key, b->at + b->len);
}

static void
put_value(const struct opts *o, struct bytes *b, uint32_t key,
    uint32_t version, uint32_t size)
{
	gen_value(&o->gen, key, version, b->at + b->len, size);
	b->len += size;
	put(b, "\r\n", 2);
}

/* get <key>* */
static void
classic_read(const struct opts *o, struct bytes *b, const struct want *wants,
    unsigned n)
{
	put(b, "get", 3);
	for (unsigned i = 0; i < n; i++) {
		put(b, " ", 1);
		put_key(o, b, wants[i].key);
	}
	put(b, "\r\n", 2);
}

/* mg <key> <flags>; several are quiet and an mn ends them */
static void
meta_read(const struct opts *o, struct bytes *b, const struct want *wants,
    unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		put(b, "mg ", 3);
		put_key(o, b, wants[i].key);
		put(b, " ", 1);
		put_text(b, o->mg_flags);
		put_text(b, n > 1 ? " k q\r\n" : "\r\n");
	}
	if (n > 1)
		put(b, "mn\r\n", 4);
}

/* An array's or a string's head: its sign and its length. */
static void
resp_head(struct bytes *b, char sign, uint32_t n)
{
	put(b, &sign, 1);
	put_number(b, n);
	put(b, "\r\n", 2);
}

static void
resp_text(struct bytes *b, const char *text)
{
	resp_head(b, '$', (uint32_t)strlen(text));
	put_text(b, text);
	put(b, "\r\n", 2);
}

static void
resp_key(const struct opts *o, struct bytes *b, uint32_t key)
{
	resp_head(b, '$', o->gen.prefix_len + o->gen.digits);
	put_key(o, b, key);
	put(b, "\r\n", 2);
}

static void
resp_number(struct bytes *b, uint32_t v)
{
	struct bytes text = { .at = (char [10]){ 0 }, .cap = 10 };

	put_number(&text, v);
	resp_head(b, '$', (uint32_t)text.len);
	put(b, text.at, text.len);
	put(b, "\r\n", 2);
}

/* GET <key> / MGET <key>* */
static void
resp_read(const struct opts *o, struct bytes *b, const struct want *wants,
    unsigned n)
{
	resp_head(b, '*', 1 + n);
	resp_text(b, n > 1 ? "MGET" : "GET");
	for (unsigned i = 0; i < n; i++)
		resp_key(o, b, wants[i].key);
}

bool
put_read(const struct opts *o, struct bytes *b, const struct want *wants,
    unsigned n)
{
	if (!bytes_reserve(b, n * (GEN_KEY_MAX + strlen(o->mg_flags) +
	    KEY_ROOM) + LINE_ROOM))
		return false;
	if (o->resp)
		resp_read(o, b, wants, n);
	else if (o->read_op == OP_MG)
		meta_read(o, b, wants, n);
	else
		classic_read(o, b, wants, n);
	return true;
}

/* set <key> <flags> <exptime> <bytes> / ms <key> <bytes> F<flags> T<exptime> */
static void
text_write(const struct opts *o, struct bytes *b, uint32_t key, uint32_t size)
{
	bool ms = o->write_op == OP_MS;
	uint32_t flags = opts_flags(o, key);

	put_text(b, ms ? "ms " : "set ");
	put_key(o, b, key);
	put(b, " ", 1);
	put_number(b, ms ? size : flags);
	put_text(b, ms ? " F" : " ");
	put_number(b, ms ? flags : o->exptime);
	put_text(b, ms ? " T" : " ");
	put_number(b, ms ? o->exptime : size);
	put(b, "\r\n", 2);
}

/* SET <key> <value> [EX <exptime>]; the value is the caller's to put */
static void
resp_write(const struct opts *o, struct bytes *b, uint32_t key, uint32_t size)
{
	resp_head(b, '*', o->exptime > 0 ? 5 : 3);
	resp_text(b, "SET");
	resp_key(o, b, key);
	resp_head(b, '$', size);
}

bool
put_write(const struct opts *o, struct bytes *b, uint32_t key,
    uint32_t version)
{
	uint32_t size = gen_value_size(&o->gen, key, version);

	if (!bytes_reserve(b, (size_t)size + GEN_KEY_MAX + LINE_ROOM))
		return false;
	if (o->resp)
		resp_write(o, b, key, size);
	else
		text_write(o, b, key, size);
	put_value(o, b, key, version, size);
	if (o->resp && o->exptime > 0) {
		resp_text(b, "EX");
		resp_number(b, o->exptime);
	}
	return true;
}
