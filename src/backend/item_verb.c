/*
 * item_verb.c - what an op makes of one item: what is there, who is newer, reads and deletes. Stores and arithmetic are
 * in item_verb_store.c.
 *
 * All begins with a struct look: the row if it lives, and the newest stamp of whatever is there, dead or alive.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "backend/item_look.h"
#include "base/num.h"

#define ANSWER_FORMAT	1
#define CLS		1		/* no classes of sizes */
#define NEVER_OVER	1		/* a moment that is always over */

/* ---- life ---- */

static struct stamp
stamp_of_row(const struct envelope *head)
{
	return (stamp_of(head->version, head->nonce));
}

static bool
is_covered(const struct envelope *head, const struct stamp *cover)
{
	struct stamp s;

	if (cover == NULL)
		return (false);
	s = stamp_of_row(head);
	return (stamp_cmp(&s, cover) < 0);
}

static bool
is_over(uint64_t expiry, uint64_t now)
{
	return (expiry != 0 && expiry <= now);
}

bool
row_lives(const struct envelope *head, const struct stamp *cover, uint64_t now)
{
	return ((head->marks & ENVELOPE_DEAD) == 0 && !is_over(head->expiry, now) && !is_covered(head, cover));
}

bool
row_spent(const struct envelope *head, const struct stamp *cover, uint64_t now, uint32_t keep)
{
	if (is_covered(head, cover))
		return (true);
	if (!is_over(head->expiry, now))
		return (false);
	return ((head->marks & ENVELOPE_DEAD) != 0 || now - head->expiry >= keep);
}

/* ---- a look at what is there ---- */

bool
row_keeps_answer(const struct op *op)
{
	if ((op->opts & OPF_TOKEN) == 0)
		return (false);
	switch (op->verb) {
	case OP_STORE:
		return (op->mode != OP_SET || (op->opts & OPF_CAS) != 0);
	case OP_DELETE:
		return ((op->opts & OPF_CAS) != 0);
	default:
		return (op->verb == OP_ARITH);
	}
}

static void
look_begin(struct look *l, const struct row_ask *a)
{
	static const uint8_t none[NONCE_LEN];
	const struct be_op *be = a->be;
	struct stamp s;

	memset(l, 0, sizeof *l);
	l->a = a;
	l->op = &be->op;
	l->own = stamp_of(be->version, (be->op.opts & OPF_TOKEN) != 0 ? be->nonce : none);
	if (a->row != NULL) {
		l->was = true;
		l->last = stamp_of_row(&a->row->head);
		if (row_lives(&a->row->head, a->cover, a->now))
			l->row = a->row;
		else
			l->expired = (a->row->head.marks & ENVELOPE_DEAD) == 0 && is_over(a->row->head.expiry, a->now);
	}
	if (a->cover != NULL) {
		s = *a->cover;
		if (!l->was || stamp_cmp(&s, &l->last) > 0)
			l->last = s;
		l->was = true;
	}
}

bool
look_outdone(const struct look *l)
{
	struct stamp s;

	if (l->a->row != NULL) {
		s = stamp_of_row(&l->a->row->head);
		if (stamp_cmp(&l->own, &s) <= 0)
			return (true);
	}
	/* A put beats a range's delete of its own token. */
	return (l->a->cover != NULL && stamp_cmp(&l->own, l->a->cover) < 0);
}

/* A blind write that knows its place: it stands or falls by that alone. */
static bool
is_ordered(const struct op *op)
{
	return ((op->opts & (OPF_LWW | OPF_TOKEN)) != 0 && !row_keeps_answer(op) &&
	    (op->verb == OP_STORE || op->verb == OP_DELETE || op->verb == OP_ITEMS_PUT || op->verb == OP_ITEMS_DELETE));
}

struct stamp
look_stamp(const struct look *l)
{
	static const uint8_t none[NONCE_LEN];
	struct stamp s = l->own;

	if (look_opt(l, OPF_NEWCAS))
		return (stamp_of(l->op->newcas, none));
	if (s.version == 0)
		s.version = l->a->now * 1000;
	if (!is_ordered(l->op) && l->was && s.version <= l->last.version && l->last.version < UINT64_MAX)
		s.version = l->last.version + 1;
	return (s);
}

uint64_t
row_version(const struct row_ask *a)
{
	struct look l;

	look_begin(&l, a);
	if (!l.was || l.last.version < l.own.version || l.last.version == UINT64_MAX)
		return (l.own.version);
	return (l.last.version + 1);
}

/* ---- time ---- */

uint64_t
look_moment(const struct look *l, int32_t ttl)
{
	if (ttl == 0)
		return (0);
	if (ttl < 0)
		return (NEVER_OVER);
	if (ttl <= OP_REALTIME_MAX)
		return (l->a->now + (uint64_t)ttl * 1000);
	return ((uint64_t)ttl * 1000);
}

/* Whole seconds until a moment, as memcached's clock has them. */
static int32_t
seconds_left(const struct look *l, uint64_t expiry)
{
	uint64_t s;

	if (expiry == 0)
		return (OP_TTL_NONE);
	if (expiry <= l->a->now)
		return (0);
	s = (expiry - l->a->now + 999) / 1000;
	return (s > INT32_MAX ? INT32_MAX : (int32_t)s);
}

uint64_t
look_walk(const struct look *l, int32_t *shown, bool *takes)
{
	uint64_t expiry = l->row != NULL ? l->row->head.expiry : 0;
	bool won = l->row != NULL && (l->row->head.marks & ENVELOPE_WON) != 0, told = false;

	*takes = false;
	for (unsigned left = l->op->order; left != 0; left >>= OPO_BITS)
		switch (left & OPO_MASK) {
		case OPO_SHOW:
			*shown = seconds_left(l, expiry);
			told = true;
			break;
		case OPO_TTL:
			expiry = look_moment(l, l->op->ttl);
			break;
		case OPO_VIVIFY:
			if (l->row == NULL) {
				expiry = look_moment(l, l->op->vivify_ttl);
				*takes = true;
			}
			break;
		case OPO_RECACHE:
			*takes |= l->row != NULL && !won && expiry != 0 &&
			    seconds_left(l, expiry) < seconds_left(l, look_moment(l, l->op->recache_ttl));
			break;
		}
	if (!told)
		*shown = seconds_left(l, expiry);
	return (expiry);
}

/* ---- outcomes ---- */

void
look_describe(struct look *l)
{
	const struct envelope *head = &l->row->head;

	*l->res = (struct op_result){
		.status = OP_OK,
		.bits = (uint8_t)(((head->marks & ENVELOPE_FETCHED) != 0 ? OPR_FETCHED : 0) |
		    ((head->marks & ENVELOPE_BINKEY) != 0 ? OPR_BINKEY : 0) |
		    (row_encoded(head) ? OPR_ENCODED : 0)),
		.client_flags = head->client_flags,
		.ttl = seconds_left(l, head->expiry),
		.size = (uint32_t)l->row->value.len,
		.cas = head->version,
	};
}

void
look_fail(struct look *l, struct slice line)
{
	*l->res = (struct op_result){ .status = OP_ERROR, .ttl = OP_TTL_NONE, .error = line };
}

void
look_refuse(struct look *l, enum row_do what)
{
	look_fail(l, SLICE_LIT("SERVER_ERROR value is encoded"));
	l->res->bits = OPR_ENCODED;
	l->res->cas = l->last.version;
	l->e->what = what;
}

static bool
same_chunks(const struct envelope *a, const struct envelope *b)
{
	return (a->chunks == b->chunks && a->version == b->version && a->dictionary == b->dictionary &&
	    memcmp(a->nonce, b->nonce, NONCE_LEN) == 0);
}

static void
look_remove(struct look *l)
{
	l->e->what = ROW_REMOVE;
	l->e->orphans = l->a->row != NULL && l->a->row->head.chunks != 0;
}

static void
no_value(struct row_effect *e)
{
	e->front = e->back = SLICE_NULL;
	e->body = NULL;
	e->nbody = 0;
	e->body_len = e->spaces = 0;
}

void
look_put(struct look *l, const struct envelope *head)
{
	struct row_effect *e = l->e;

	e->what = ROW_PUT;
	e->head = *head;
	if (is_over(head->expiry, l->a->now) && (head->marks & ENVELOPE_DEAD) == 0) {
		e->head = (struct envelope){ .version = head->version, .expiry = l->a->now };
		memcpy(e->head.nonce, head->nonce, NONCE_LEN);
		no_value(e);
	}
	e->len = (uint32_t)(e->front.len + e->body_len + e->back.len + e->spaces);
	if (!row_encoded(&e->head))
		e->head.size = e->len;
	e->orphans = l->a->row != NULL && l->a->row->head.chunks != 0 && !same_chunks(&l->a->row->head, &e->head);
}

void
look_body(struct look *l)
{
	l->e->body = l->a->be->body;
	l->e->nbody = l->a->be->nbody;
	l->e->body_len = l->op->vlen;
}

/* ---- reads ---- */

/* Only a read that asks for the mark leaves one: others would have to write for it. */
static bool
get_fetches(const struct look *l)
{
	return ((l->op->want & OPW_HIT) != 0 && !look_opt(l, OPF_NO_BUMP));
}

static void
vivify(struct look *l)
{
	struct envelope head = { .marks = ENVELOPE_WON | (get_fetches(l) ? ENVELOPE_FETCHED : 0) };
	struct stamp s = look_stamp(l);
	int32_t shown;
	bool takes;

	head.expiry = look_walk(l, &shown, &takes);
	head.version = s.version;
	memcpy(head.nonce, s.nonce, NONCE_LEN);
	if (look_opt(l, OPF_BINKEY))
		head.marks |= ENVELOPE_BINKEY;
	look_put(l, &head);
	*l->res = (struct op_result){ .status = OP_OK, .bits = OPR_WON, .ttl = shown, .cas = s.version };
	if (look_opt(l, OPF_BINKEY))
		l->res->bits |= OPR_BINKEY;
}

/* Win and stale marks; *marks as they are after it. Classic reads change none, but a copy must know of them. */
static void
get_marks(struct look *l, bool takes, uint8_t *marks)
{
	bool won = (*marks & ENVELOPE_WON) != 0;

	if (won)
		l->res->bits |= OPR_SENT;
	if ((*marks & ENVELOPE_STALE) != 0) {
		l->res->bits |= OPR_STALE;
		takes |= !won;
	}
	if (takes && !look_opt(l, OPF_CLASSIC)) {
		l->res->bits |= OPR_WON;
		*marks |= ENVELOPE_WON;
	}
}

static void
get_found(struct look *l)
{
	struct envelope head = l->row->head;
	uint8_t marks = head.marks;
	uint64_t expiry;
	int32_t shown;
	bool takes;

	look_describe(l);
	expiry = look_walk(l, &shown, &takes);
	l->res->ttl = shown;
	get_marks(l, takes, &marks);
	if (get_fetches(l))
		marks |= ENVELOPE_FETCHED;
	if (marks == head.marks && expiry == head.expiry)
		return;
	head.marks = marks;
	head.expiry = expiry;
	l->e->front = l->row->value;
	look_put(l, &head);
}

static void
look_get(struct look *l)
{
	if (l->row != NULL) {
		get_found(l);
		return;
	}
	*l->res = (struct op_result){ .status = OP_MISS, .ttl = OP_TTL_NONE, .bits = l->expired ? OPR_EXPIRED : 0 };
	if (look_opt(l, OPF_VIVIFY))
		vivify(l);
}

static void
look_debug(struct look *l)
{
	*l->res = (struct op_result){ .status = OP_MISS, .ttl = OP_TTL_NONE };
	if (l->row != NULL)
		look_describe(l);
}

void
row_debug(struct op_result *res, char *buf, size_t len)
{
	int n = snprintf(buf, len, "exp=%d la=%u cas=%llu fetch=%s cls=%d size=%u", (int)res->ttl, res->la,
	    (unsigned long long)res->cas, (res->bits & OPR_FETCHED) != 0 ? "yes" : "no", CLS, res->size);

	res->error = slice_of(buf, n < 0 ? 0 : (size_t)n < len ? (size_t)n : len - 1);
}

/* ---- deletes ---- */

static void
put_dead(struct look *l, struct stamp s)
{
	struct envelope head = { .marks = ENVELOPE_DEAD, .version = s.version };

	memcpy(head.nonce, s.nonce, NONCE_LEN);
	head.expiry = l->a->now + l->a->be->keep_dead;
	look_put(l, &head);
}

/* Of what is not there: a token's delete is remembered, for writes that were made before it and come later. */
static void
delete_nothing(struct look *l)
{
	l->res->status = OP_MISS;
	if (look_opt(l, OPF_TOKEN) && is_ordered(l->op) && l->a->be->keep_dead > 0)
		put_dead(l, look_stamp(l));
}

static uint32_t
flags_of(const struct op *op)
{
	return ((op->opts & OPF_FLAGS) != 0 ? op->client_flags : 0);
}

/* md I, md x: what stays is marked, or empty, or both. */
static void
delete_in_part(struct look *l)
{
	bool empties = look_opt(l, OPF_REMOVE_VAL), marks = look_opt(l, OPF_INVALIDATE);
	struct envelope head = l->row->head;
	struct stamp s = stamp_of_row(&head);

	if (marks || look_opt(l, OPF_NEWCAS | OPF_TOKEN))
		s = look_stamp(l);
	if (!empties && head.chunks != 0 && s.version != head.version) {
		look_refuse(l, ROW_DECODE);
		return;
	}
	if (look_opt(l, OPF_TTL))
		head.expiry = look_moment(l, l->op->ttl);
	else if (empties)
		head.expiry = 0;
	head.version = s.version;
	if (empties || head.chunks == 0)	/* it names pieces, too */
		memcpy(head.nonce, s.nonce, NONCE_LEN);
	head.marks &= ENVELOPE_BINKEY | (empties ? 0 : ENVELOPE_FETCHED);
	if (marks)
		head.marks |= ENVELOPE_STALE;
	if (empties) {
		head.codec = CODEC_NONE;
		head.client_flags = flags_of(l->op);
		head.dictionary = head.chunk = head.chunks = 0;
	} else
		l->e->front = l->row->value;
	look_put(l, &head);
	*l->res = (struct op_result){
		.status = OP_OK,
		.bits = (head.marks & ENVELOPE_BINKEY) != 0 ? OPR_BINKEY : 0,
		.client_flags = head.client_flags,
		.ttl = seconds_left(l, head.expiry),
		.size = (uint32_t)l->e->head.size,
		.cas = s.version,
	};
}

static void
look_delete(struct look *l)
{
	*l->res = (struct op_result){ .status = OP_OK, .ttl = OP_TTL_NONE };
	if (is_ordered(l->op) && (look_outdone(l) || (l->a->cover != NULL && stamp_cmp(&l->own, l->a->cover) <= 0)))
		return;
	if (l->row == NULL)
		delete_nothing(l);
	else if (look_opt(l, OPF_CAS) && l->op->cas != l->row->head.version)
		l->res->status = OP_EXISTS;
	else if (look_opt(l, OPF_REMOVE_VAL | OPF_INVALIDATE))
		delete_in_part(l);
	else if (l->a->be->keep_dead > 0)
		put_dead(l, look_stamp(l));
	else
		look_remove(l);
}

/* ---- */

void
row_verb(const struct row_ask *a, struct op_result *res, struct row_effect *e)
{
	struct look l;

	memset(e, 0, sizeof *e);
	if (a->first != NULL) {
		*res = *a->first;
		return;
	}
	look_begin(&l, a);
	l.res = res;
	l.e = e;
	switch (l.op->verb) {
	case OP_GET:
		look_get(&l);
		break;
	case OP_DEBUG:
		look_debug(&l);
		break;
	case OP_STORE:
		look_store(&l);
		break;
	case OP_ARITH:
		look_arith(&l);
		break;
	default:
		look_delete(&l);
		break;
	}
	e->remember = res->status == OP_OK && row_keeps_answer(l.op);
}

void
row_put(const struct row_ask *a, const struct rec_put *put, struct row_effect *e)
{
	struct envelope head = put->head;
	struct look l;

	memset(e, 0, sizeof *e);
	look_begin(&l, a);
	l.e = e;
	if (is_ordered(l.op) && look_outdone(&l))
		return;
	head.version = l.own.version;
	memcpy(head.nonce, l.own.nonce, NONCE_LEN);
	e->body = put->body;
	e->nbody = put->nbody;
	e->body_len = put->len;
	look_put(&l, &head);
}

/* ---- bytes ---- */

char *
row_effect_put(char *dst, const struct row_effect *e)
{
	dst = envelope_put(dst, &e->head);
	if (e->front.len > 0)
		memcpy(dst, e->front.p, e->front.len);
	dst += e->front.len;
	for (int i = 0; i < e->nbody; i++) {
		memcpy(dst, e->body[i].iov_base, e->body[i].iov_len);
		dst += e->body[i].iov_len;
	}
	if (e->back.len > 0)
		memcpy(dst, e->back.p, e->back.len);
	dst += e->back.len;
	memset(dst, ' ', e->spaces);
	return (dst + e->spaces);
}

static uint64_t
take_number(const char **p, unsigned bytes)
{
	uint64_t v = num_get_be(*p, bytes);

	*p += bytes;
	return (v);
}

char *
row_answer_put(char dst[ROW_ANSWER_LEN], const struct op_result *res, uint64_t until)
{
	dst = num_put_be(dst, ANSWER_FORMAT, 1);
	dst = num_put_be(dst, res->status, 1);
	dst = num_put_be(dst, res->bits, 2);
	dst = num_put_be(dst, res->client_flags, 4);
	dst = num_put_be(dst, (uint32_t)res->ttl, 4);
	dst = num_put_be(dst, res->size, 4);
	dst = num_put_be(dst, res->cas, 8);
	dst = num_put_be(dst, res->number, 8);
	return (num_put_be(dst, until, 8));
}

bool
row_answer_get(struct slice bytes, struct op_result *res, uint64_t *until)
{
	const char *p = bytes.p;

	if (bytes.len < ROW_ANSWER_LEN || *p++ != ANSWER_FORMAT)
		return (false);
	memset(res, 0, sizeof *res);
	res->status = (uint8_t)take_number(&p, 1);
	res->bits = (uint8_t)take_number(&p, 2);
	res->client_flags = (uint32_t)take_number(&p, 4);
	res->ttl = (int32_t)take_number(&p, 4);
	res->size = (uint32_t)take_number(&p, 4);
	res->cas = take_number(&p, 8);
	res->number = take_number(&p, 8);
	*until = take_number(&p, 8);
	return (res->status < OP_ERROR);
}
