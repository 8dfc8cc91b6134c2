/*
 * item_verb_store.c - what set, add, replace, append, prepend, cas, incr and decr make of an item.
 *
 * Writes that depend on what is there are never dropped for their age, but for those that create: what was deleted
 * later than they were made stays deleted.
 */
#include "config.h"

#include <string.h>

#include "backend/item_look.h"

static bool
joins(const struct op *op)
{
	return (op->mode == OP_APPEND || op->mode == OP_PREPEND);
}

/* Of the value that clients see. */
static uint32_t
body_size(const struct look *l)
{
	const struct envelope *head = l->a->be->head;

	return (head != NULL && row_encoded(head) ? (uint32_t)head->size : l->op->vlen);
}

/* What is there is this very write: it comes once more, and its first answer is not known. */
static bool
is_repeated(const struct look *l)
{
	struct stamp s = stamp_of(l->row->head.version, l->row->head.nonce);

	return (look_opt(l, OPF_TOKEN) && stamp_cmp(&s, &l->own) == 0);
}

static void
stored(struct look *l, uint64_t cas, uint8_t marks, uint32_t size)
{
	*l->res = (struct op_result){
		.status = OP_OK,
		.bits = (marks & ENVELOPE_BINKEY) != 0 ? OPR_BINKEY : 0,
		.ttl = OP_TTL_NONE,
		.size = size,
		.cas = cas,
		/* Of a store that stands in for arithmetic on what is encoded; else 0. */
		.number = l->op->delta,
	};
}

static uint8_t
key_mark(const struct look *l)
{
	return (look_opt(l, OPF_BINKEY) ? ENVELOPE_BINKEY : 0);
}

/* The body becomes the value. */
static void
put_body(struct look *l, uint8_t marks, uint64_t expiry)
{
	const struct envelope *of = l->a->be->head;
	struct envelope head = { .marks = marks, .expiry = expiry };
	struct stamp s = look_stamp(l);

	if (of != NULL) {
		head.codec = of->codec;
		head.size = of->size;
		head.dictionary = of->dictionary;
		head.chunk = of->chunk;
		head.chunks = of->chunks;
		if (of->chunks != 0 && stamp_cmp(&s, &l->own) != 0) {
			look_refuse(l, ROW_HIGHER);
			return;
		}
	}
	head.version = s.version;
	memcpy(head.nonce, s.nonce, NONCE_LEN);
	if (look_opt(l, OPF_FLAGS))
		head.client_flags = l->op->client_flags;
	look_body(l);
	look_put(l, &head);
	stored(l, s.version, marks, body_size(l));
}

static void
store_new(struct look *l)
{
	const struct op *op = l->op;

	if (joins(op) && !look_opt(l, OPF_VIVIFY))
		return;
	if ((op->mode == OP_SET || op->mode == OP_REPLACE) && look_opt(l, OPF_CAS)) {
		l->res->status = OP_MISS;
		return;
	}
	if (op->mode == OP_REPLACE)
		return;
	if (row_keeps_answer(op) && look_outdone(l)) {
		/* Made, and deleted since. */
		stored(l, l->last.version, 0, body_size(l));
		return;
	}
	put_body(l, key_mark(l), look_moment(l, joins(op) ? op->vivify_ttl : look_opt(l, OPF_TTL) ? op->ttl : 0));
}

static void
store_joined(struct look *l)
{
	struct envelope head = l->row->head;
	uint64_t size = (row_encoded(&head) ? head.size : l->row->value.len) + body_size(l);
	struct stamp s = look_stamp(l);

	if (size > UINT32_MAX || (l->a->be->value_max > 0 && size > l->a->be->value_max))
		return;
	if (row_encoded(&head)) {
		look_refuse(l, ROW_DECODE);
		return;
	}
	head.marks = (head.marks & ENVELOPE_BINKEY) | key_mark(l);
	head.version = s.version;
	memcpy(head.nonce, s.nonce, NONCE_LEN);
	if (l->op->mode == OP_APPEND)
		l->e->front = l->row->value;
	else
		l->e->back = l->row->value;
	look_body(l);
	look_put(l, &head);
	stored(l, s.version, head.marks, (uint32_t)size);
}

static void
store_over(struct look *l)
{
	const struct op *op = l->op;
	const struct envelope *old = &l->row->head;
	bool compares = look_opt(l, OPF_CAS) && op->cas != 0;
	bool same = compares && op->cas == old->version;
	bool older = compares && !same && look_opt(l, OPF_INVALIDATE) && op->cas < old->version;

	if (is_repeated(l))
		stored(l, old->version, old->marks, body_size(l));
	else if (op->mode == OP_ADD)
		return;
	else if (joins(op) && compares && !same)
		l->res->status = OP_EXISTS;
	else if (joins(op))
		store_joined(l);
	else if (look_opt(l, OPF_CAS) && !same && !older)
		l->res->status = OP_EXISTS;
	else if (older)
		/* Older than what is there: kept, but marked, until somebody brings the new one. */
		put_body(l, ENVELOPE_STALE | (old->marks & ENVELOPE_WON) | key_mark(l), old->expiry);
	else
		put_body(l, key_mark(l), look_moment(l, look_opt(l, OPF_TTL) ? op->ttl : 0));
}

void
look_store(struct look *l)
{
	*l->res = (struct op_result){ .status = OP_NOT_STORED, .ttl = OP_TTL_NONE, .size = body_size(l) };
	if (look_opt(l, OPF_LWW | OPF_TOKEN) && l->op->mode == OP_SET && !look_opt(l, OPF_CAS) && look_outdone(l))
		stored(l, l->last.version, 0, body_size(l));
	else if (l->row != NULL)
		store_over(l);
	else
		store_new(l);
}

/* ---- arithmetic ---- */

/* The number as the value, as wide as it ever was: spaces follow a shorter one. */
static void
put_counter(struct look *l, struct envelope *head, uint64_t v, uint32_t width)
{
	struct stamp s = look_stamp(l);
	struct row_effect *e = l->e;

	head->version = s.version;
	memcpy(head->nonce, s.nonce, NONCE_LEN);
	e->front = slice_of(e->number, (size_t)(num_put_u64(e->number, v) - e->number));
	e->spaces = e->front.len < width ? width - (uint32_t)e->front.len : 0;
	l->res->size = (uint32_t)e->front.len + e->spaces;
	l->res->cas = s.version;
	l->res->number = v;
	look_put(l, head);
}

static void
arith_create(struct look *l)
{
	struct envelope head = { .marks = key_mark(l) };
	int32_t shown;
	bool takes;

	head.expiry = look_walk(l, &shown, &takes);
	*l->res = (struct op_result){
		.status = OP_OK,
		.bits = head.marks != 0 ? OPR_BINKEY : 0,
		.ttl = shown,
		.cas = l->last.version,
		.number = l->op->initial,
	};
	/* Else it was made, and deleted since. */
	if (!look_opt(l, OPF_TOKEN) || !look_outdone(l))
		put_counter(l, &head, l->op->initial, 0);
}

static uint64_t
reckon(const struct op *op, uint64_t v)
{
	if (op->mode == OP_INCR)
		return (v + op->delta);
	return (v > op->delta ? v - op->delta : 0);
}

static void
arith_over(struct look *l)
{
	const struct slice not_a_number = SLICE_LIT("CLIENT_ERROR cannot increment or decrement non-numeric value");
	struct envelope head = l->row->head;
	struct slice text = l->row->value;
	int32_t shown = OP_TTL_NONE;
	bool takes;
	uint64_t v;

	if (!row_encoded(&head) && text.len == 0) {
		look_fail(l, not_a_number);
		return;
	}
	if (look_opt(l, OPF_CAS) && l->op->cas != 0 && l->op->cas != head.version && !is_repeated(l)) {
		l->res->status = OP_EXISTS;
		return;
	}
	if (row_encoded(&head)) {
		look_refuse(l, ROW_DECODE);
		return;
	}
	if (!num_get_counter(text, &v)) {
		look_fail(l, not_a_number);
		return;
	}
	look_describe(l);
	l->res->bits &= OPR_BINKEY;
	l->res->number = v;
	if (is_repeated(l))
		return;
	head.expiry = look_walk(l, &shown, &takes);
	l->res->ttl = shown;
	put_counter(l, &head, reckon(l->op, v), (uint32_t)text.len);
}

void
look_arith(struct look *l)
{
	*l->res = (struct op_result){ .status = OP_MISS, .ttl = OP_TTL_NONE };
	if (l->row != NULL)
		arith_over(l);
	else if (look_opt(l, OPF_VIVIFY))
		arith_create(l);
}
