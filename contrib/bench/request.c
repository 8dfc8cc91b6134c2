/*
 * request.c - makes the next request: what to ask, and its bytes.
 *
 * Requests are appended to the thread's write buffer, so that all of a batch
 * leave in one write.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "conn.h"

/* The longest line but for its keys: words, flags, size, exptime. */
#define LINE_ROOM	512

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
put_key(struct thread *t, uint32_t key)
{
	t->wbuf.len += gen_key(&t->opts->gen, key, t->wbuf.at + t->wbuf.len);
}

static bool
make_read(struct thread *t, struct request *r, struct want *wants)
{
	const struct opts *o = t->opts;
	struct tracks *tr = &t->load->tracks;
	struct bytes *b = &t->wbuf;
	bool mg = o->read_op == OP_MG;

	if (!bytes_reserve(b, o->multi * (GEN_KEY_MAX + strlen(o->mg_flags) +
	    16) + LINE_ROOM))
		return false;
	r->op = o->read_op;
	r->nkeys = o->multi;
	if (!mg)
		put(b, "get", 3);
	for (unsigned i = 0; i < o->multi; i++) {
		wants[i].key = gen_pick(&o->gen, &t->random);
		wants[i].seen = false;
		wants[i].floor = tr->acked == NULL ? 0 :
		    atomic_load_explicit(&tr->acked[wants[i].key],
			memory_order_acquire);
		put_text(b, mg ? "mg " : " ");
		put_key(t, wants[i].key);
		if (mg) {
			put(b, " ", 1);
			put_text(b, o->mg_flags);
			put_text(b, o->multi > 1 ? " k q\r\n" : "\r\n");
		}
	}
	if (!mg)
		put(b, "\r\n", 2);
	else if (o->multi > 1)
		put(b, "mn\r\n", 4);
	return true;
}

static uint32_t
new_version(struct thread *t, uint32_t key)
{
	struct tracks *tr = &t->load->tracks;

	if (t->opts->gen.fixed)
		return 0;
	if (tr->issued != NULL)
		return 1 + atomic_fetch_add_explicit(&tr->issued[key], 1,
		    memory_order_release);
	return ++t->next_version * t->opts->threads + t->index;
}

/* set <key> <flags> <exptime> <bytes> / ms <key> <bytes> F<flags> T<exptime> */
static bool
make_write(struct thread *t, struct request *r, struct want *want, uint32_t key)
{
	const struct opts *o = t->opts;
	struct bytes *b = &t->wbuf;
	bool ms = o->write_op == OP_MS;
	uint32_t size;

	r->op = o->write_op;
	r->nkeys = 1;
	r->version = new_version(t, key);
	want->key = key;
	size = gen_value_size(&o->gen, key, r->version);
	if (!bytes_reserve(b, (size_t)size + GEN_KEY_MAX + LINE_ROOM))
		return false;
	put_text(b, ms ? "ms " : "set ");
	put_key(t, key);
	put(b, " ", 1);
	put_number(b, ms ? size : gen_flags(key));
	put_text(b, ms ? " F" : " ");
	put_number(b, ms ? gen_flags(key) : o->exptime);
	put_text(b, ms ? " T" : " ");
	put_number(b, ms ? o->exptime : size);
	put(b, "\r\n", 2);
	gen_value(&o->gen, key, r->version, b->at + b->len, size);
	b->len += size;
	put(b, "\r\n", 2);
	return true;
}

/* --check-stale orders the writes of a key: only one may be on the wire. */
static bool
take_key(struct thread *t, uint32_t key)
{
	struct tracks *tr = &t->load->tracks;
	uint8_t idle = 0;

	return tr->busy == NULL ||
	    atomic_compare_exchange_strong(&tr->busy[key], &idle, 1);
}

bool
request_make(struct thread *t, struct conn *c, uint64_t at)
{
	const struct opts *o = t->opts;
	unsigned slot = (c->head + c->count) % t->ring_size;
	struct request *r = &c->ring[slot];
	struct want *wants = &c->wants[(size_t)slot * o->multi];
	uint32_t key;
	bool made, write;

	r->at = at;
	if (t->prefilling) {
		write = true;
		key = t->next_key++;
	} else {
		write = o->writes > 0 && (gen_random(&t->random) >> 32) *
		    ((uint64_t)o->reads + o->writes) >> 32 >= o->reads;
		key = write ? gen_pick(&o->gen, &t->random) : 0;
	}
	/* If the key is being written by somebody else, read instead. */
	if (write && take_key(t, key))
		made = make_write(t, r, wants, key);
	else
		made = make_read(t, r, wants);
	if (made) {
		c->count++;
		t->in_flight++;
		t->left--;
	}
	return made;
}
