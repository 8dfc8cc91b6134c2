/*
 * rocks_item.c - what ops make of rows: reads what is there, asks item_verb.h, puts what it says into the batch.
 *
 * The writer's thread. Deletes of ranges are in rocks_range.c.
 */
#include "config.h"

#include <stdlib.h>

#include "backend/rocks.h"
#include "backend/rocks_act.h"
#include "base/check.h"
#include "base/num.h"
#include "conf/model.h"

#define PIECE_TIME	3600000u	/* milliseconds that a piece has to be named, if nobody says */
#define CHUNKS_AT_ONCE	64u	/* more go by a range */

bool
act_bad(struct act *a)
{
	rocks_fail(a->j, a->f->db, ERR_BADVALUE, "holds a value that kvgate did not write");
	return (false);
}

static uint64_t *
newest_of(struct act *a)
{
	return (&a->f->newest_of[rocks_key_hash(a->be.id) % ROCKS_NEWESTS]);
}

void
act_newest(struct act *a, uint64_t version)
{
	uint64_t *of = newest_of(a);

	*of = version > *of ? version : *of;
	if (version <= atomic_load_explicit(&a->f->newest, memory_order_relaxed))
		return;
	atomic_store_explicit(&a->f->newest, version, memory_order_relaxed);
	a->f->moved = true;
}

/* ---- what is there ---- */

bool
act_load_markers(struct act *a)
{
	struct rocks_key key;
	struct slice list;
	bool there;
	char *copy;

	a->list = SLICE_NULL;
	if (a->blind || !rocks_may_have(a->f, ROCKS_RECORD, rocks_key_hash(a->be.id))) {
		markers_begin(&a->markers, a->list);
		return (true);
	}
	rocks_key_item(&key, ROCKS_RECORD, a->be.id, SLICE_NULL);
	if (!rocks_batch_get(a->b, a->f, &key, &list, &there))
		return (false);
	if (there) {
		/* It is needed for longer than the rows are held. */
		copy = rocks_batch_room(a->b, list.len + 1);
		if (copy == NULL)
			return (false);
		memcpy(copy, list.p, list.len);
		a->list = slice_of(copy, list.len);
	}
	rocks_batch_let_go(a->b);
	if (!markers_valid(a->list))
		return (act_bad(a));
	markers_begin(&a->markers, a->list);
	return (true);
}

/*
 * A write that replaces whatever is there, being newer than all that its record has seen: it need not look, but for
 * pieces that would be nobody's, and for a mark of a delete, which lies elsewhere. Most writes are.
 */
static bool
is_blind(struct act *a)
{
	const struct op *op = &a->be.op;

	if (op->verb != OP_ITEMS_PUT &&
	    (op->verb != OP_STORE || op->mode != OP_SET || (op->opts & (OPF_CAS | OPF_NEWCAS)) != 0))
		return (false);
	if (a->be.version <= *newest_of(a) || rocks_may_have(a->f, ROCKS_CHUNK, rocks_key_hash(a->be.id)))
		return (false);
	atomic_fetch_add_explicit(&a->f->db->counts.blind, 1, memory_order_relaxed);
	return (true);
}

/* What lies there; none, if nobody looks. */
static bool
load(struct act *a, struct slice item, struct row_ask *ask)
{
	struct rocks_key key;
	struct slice bytes;

	*ask = (struct row_ask){ .be = &a->be, .now = a->now };
	a->alive = a->dead = false;
	if (!a->blind) {
		rocks_key_item(&key, ROCKS_ITEM, a->be.id, item);
		if (!rocks_batch_get(a->b, a->f, &key, &bytes, &a->alive))
			return (false);
	}
	if (!a->alive && rocks_may_have(a->f, ROCKS_DEAD, rocks_key_hash(a->be.id))) {
		rocks_key_item(&key, ROCKS_DEAD, a->be.id, item);
		if (!rocks_batch_get(a->b, a->f, &key, &bytes, &a->dead))
			return (false);
	}
	if (a->blind)
		return (true);
	if (a->alive || a->dead) {
		if (!envelope_get(bytes, &a->row.head, &a->row.value))
			return (act_bad(a));
		ask->row = &a->row;
	}
	ask->cover = markers_at(&a->markers, item);
	return (true);
}

/* ---- what becomes of it ---- */

bool
rocks_item_drop(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *pieces, uint32_t chunks)
{
	struct rocks_key key = *pieces, to = *pieces;

	atomic_fetch_add_explicit(&f->db->counts.orphans, chunks, memory_order_relaxed);
	if (chunks > CHUNKS_AT_ONCE) {
		rocks_key_behind(&to);
		rocks_batch_delete_range(b, f, pieces, &to);
		return (true);
	}
	for (uint32_t i = 1; i <= chunks; i++) {
		key.len = (size_t)(num_put_be(key.bytes + pieces->len, i, 4) - key.bytes);
		if (!rocks_batch_delete(b, f, &key))
			return (false);
	}
	return (true);
}

bool
act_drop_chunks(struct act *a, struct slice item, const struct envelope *head)
{
	struct rocks_key key;

	if (head->chunks == 0)
		return (true);
	rocks_key_chunk(&key, a->be.id, item, head, UINT32_MAX);
	return (rocks_batch_leave(a->b, a->f, &key, head->chunks) || rocks_item_drop(a->b, a->f, &key, head->chunks));
}

static bool
delete_row(struct act *a, char kind, struct slice item)
{
	struct rocks_key key;

	rocks_key_item(&key, kind, a->be.id, item);
	return (rocks_batch_delete(a->b, a->f, &key));
}

static bool
put_row(struct act *a, struct slice item, const struct row_effect *e)
{
	bool dead = (e->head.marks & ENVELOPE_DEAD) != 0;
	char *row = rocks_batch_room(a->b, row_effect_len(e));
	struct rocks_key key;

	if (row == NULL)
		return (false);
	act_newest(a, e->head.version);
	rocks_key_item(&key, dead ? ROCKS_DEAD : ROCKS_ITEM, a->be.id, item);
	if (!rocks_batch_put(a->b, a->f, &key, slice_of(row, (size_t)(row_effect_put(row, e) - row))))
		return (false);
	/* It lies in one of both places. */
	if (dead && a->alive)
		return (delete_row(a, ROCKS_ITEM, item));
	return (dead || !a->dead || delete_row(a, ROCKS_DEAD, item));
}

static bool
apply(struct act *a, struct slice item, const struct row_effect *e)
{
	bool good = true;

	switch (e->what) {
	case ROW_KEEP:
	case ROW_DECODE:
	case ROW_HIGHER:
		return (true);
	case ROW_PUT:
		good = put_row(a, item, e);
		break;
	case ROW_REMOVE:
		good = (!a->alive || delete_row(a, ROCKS_ITEM, item)) && (!a->dead || delete_row(a, ROCKS_DEAD, item));
		break;
	}
	return (good && (!e->orphans || act_drop_chunks(a, item, &a->row.head)));
}

/* ---- one item ---- */

static bool
load_answer(struct act *a, const struct rocks_key *key, struct op_result *res, const struct op_result **first)
{
	struct slice bytes;
	uint64_t until;
	bool there;

	if (!rocks_batch_get(a->b, a->f, key, &bytes, &there))
		return (false);
	*first = there && row_answer_get(bytes, res, &until) && until > a->now ? res : NULL;
	return (true);
}

static bool
put_answer(struct act *a, const struct rocks_key *key)
{
	uint64_t drift = a->be.ns != NULL ? a->be.ns->drift_behind / 1000 : 0;
	char *row = rocks_batch_room(a->b, ROW_ANSWER_LEN);

	if (row == NULL)
		return (false);
	return (rocks_batch_put(a->b, a->f, key, slice_of(row,
	    (size_t)(row_answer_put(row, &a->j->res, a->now + drift) - row))));
}

static bool
act_item(struct act *a)
{
	bool remembers = row_keeps_answer(&a->be.op);
	struct op_result first;
	struct rocks_key key;
	struct row_effect e;
	struct row_ask ask;

	a->blind = is_blind(a);
	if (!act_load_markers(a) || !load(a, a->be.item, &ask))
		return (false);
	if (remembers) {
		rocks_key_answer(&key, a->be.id, a->be.item, a->be.version, a->be.nonce);
		if (!load_answer(a, &key, &first, &ask.first))
			return (false);
	}
	row_verb(&ask, &a->j->res, &e);
	if (!apply(a, a->be.item, &e) || (e.remember && !put_answer(a, &key)))
		return (false);
	/* Its text needs a place. */
	if (a->be.op.verb == OP_DEBUG)
		return ((a->j->result = rocks_result_new(0)) != NULL);
	if (ask.row != NULL)
		a->j->found_head = a->row.head;
	if (a->be.op.verb != OP_GET || a->j->res.status != OP_OK || (a->be.op.want & OPW_VALUE) == 0)
		return (true);
	return (rocks_result_value(&a->j->result, ask.row != NULL && a->j->res.size > 0 ? a->row.value :
	    SLICE_LIT("")));
}

/* A piece comes before its item, with the time that it has until then. */
static char *
put_until(char *dst, const struct act *a)
{
	int32_t ttl = (a->be.op.opts & OPF_TTL) != 0 ? a->be.op.ttl : 0;
	uint64_t until = a->now;

	if (ttl > OP_REALTIME_MAX)
		until = (uint64_t)ttl * 1000;
	else
		until += ttl > 0 ? (uint64_t)ttl * 1000 : PIECE_TIME;
	for (unsigned i = 0; i < ROCKS_PIECE_HEAD; i++)
		*dst++ = (char)(until >> (56 - 8 * i));
	return (dst);
}

static bool
act_chunk(struct act *a)
{
	struct op_result *res = &a->j->res;
	struct rocks_key key;
	struct slice value;
	bool there;
	char *row, *at;

	*res = (struct op_result){ .status = OP_OK, .ttl = OP_TTL_NONE };
	rocks_op_chunk(&key, &a->be, a->be.id, a->be.item);
	switch (a->be.op.verb) {
	case OP_STORE:
		row = rocks_batch_room(a->b, ROCKS_PIECE_HEAD + a->be.op.vlen);
		if (row == NULL)
			return (false);
		at = put_until(row, a);
		for (int i = 0; i < a->be.nbody; i++) {
			memcpy(at, a->be.body[i].iov_base, a->be.body[i].iov_len);
			at += a->be.body[i].iov_len;
		}
		return (rocks_batch_put(a->b, a->f, &key, slice_of(row, (size_t)(at - row))));
	case OP_DELETE:
		return (rocks_batch_delete(a->b, a->f, &key));
	default:
		if (!rocks_batch_get(a->b, a->f, &key, &value, &there))
			return (false);
		if (there && value.len < ROCKS_PIECE_HEAD)
			return (act_bad(a));
		res->status = there ? OP_OK : OP_MISS;
		if (!there)
			return (true);
		value = slice_of(value.p + ROCKS_PIECE_HEAD, value.len - ROCKS_PIECE_HEAD);
		res->size = (uint32_t)value.len;
		return (rocks_result_value(&a->j->result, value));
	}
}

/* ---- items of a record ---- */

static int
by_key(const void *pa, const void *pb, void *arg)
{
	const struct rec_put *puts = arg;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	struct slice ka = puts[a].key, kb = puts[b].key;
	size_t n = ka.len < kb.len ? ka.len : kb.len;
	int c = n > 0 ? memcmp(ka.p, kb.p, n) : 0;

	if (c != 0)
		return (c);
	if (ka.len != kb.len)
		return (ka.len < kb.len ? -1 : 1);
	return (a < b ? -1 : 1);
}

/* The puts by key, each key once: the last one of it. NULL: out of memory. */
static uint32_t *
put_order(const struct rec_op *rec, uint32_t *n)
{
	uint32_t *order = malloc((rec->nputs + 1) * sizeof *order), kept = 0;

	if (order == NULL)
		return (NULL);
	for (uint32_t i = 0; i < rec->nputs; i++)
		order[i] = i;
	qsort_r(order, rec->nputs, sizeof *order, by_key, (void *)(uintptr_t)rec->puts);
	for (uint32_t i = 0; i < rec->nputs; i++)
		if (i + 1 == rec->nputs || !slice_eq(rec->puts[order[i]].key, rec->puts[order[i + 1]].key))
			order[kept++] = order[i];
	*n = kept;
	return (order);
}

/* Pieces are named by the version that the op came with. */
static bool
has_pieces(const struct rec_op *rec)
{
	for (uint32_t i = 0; i < rec->nputs; i++)
		if (rec->puts[i].head.chunks != 0)
			return (true);
	return (false);
}

/* All items of one put have one version. */
static bool
put_version(struct act *a, const uint32_t *order, uint32_t n)
{
	uint64_t version = a->be.version, v;
	struct row_ask ask;

	if (!act_is_plain(a) || a->blind)
		return (true);
	for (uint32_t i = 0; i < n; i++) {
		if (!load(a, a->be.rec->puts[order[i]].key, &ask))
			return (false);
		v = row_version(&ask);
		version = v > version ? v : version;
		rocks_batch_let_go(a->b);
	}
	if (version > a->be.version && has_pieces(a->be.rec)) {
		a->j->res = (struct op_result){ .status = OP_ERROR, .bits = OPR_ENCODED, .cas = version - 1,
		    .error = SLICE_LIT("SERVER_ERROR something newer is there") };
		a->j->undone = true;
		return (false);
	}
	a->be.version = version;
	markers_begin(&a->markers, a->list);
	return (true);
}

static bool
act_put(struct act *a)
{
	const struct rec_op *rec = a->be.rec;
	uint32_t n = 0, *order = put_order(rec, &n);
	bool good;

	a->blind = is_blind(a);
	good = order != NULL && act_load_markers(a) && put_version(a, order, n);

	for (uint32_t i = 0; good && i < n; i++) {
		const struct rec_put *put = &rec->puts[order[i]];
		struct row_effect e;
		struct row_ask ask;

		good = load(a, put->key, &ask);
		if (good) {
			row_put(&ask, put, &e);
			good = apply(a, put->key, &e);
		}
		rocks_batch_let_go(a->b);
	}
	free(order);
	if (good)
		a->j->res.cas = a->be.version;
	return (good);
}

static bool
act_delete_keys(struct act *a)
{
	const struct rec_which *which = &a->be.rec->which;
	bool good = act_load_markers(a);

	for (uint32_t i = 0; good && i < which->nkeys; i++) {
		struct op_result res;
		struct row_effect e;
		struct row_ask ask;

		/* No order is theirs. */
		markers_begin(&a->markers, a->list);
		good = load(a, which->keys[i], &ask);
		if (good) {
			row_verb(&ask, &res, &e);
			good = apply(a, which->keys[i], &e);
		}
		rocks_batch_let_go(a->b);
	}
	a->j->res.cas = a->be.version;
	return (good);
}

/* ---- */

/* Every row but what the newest version was. */
static bool
act_flush(struct act *a)
{
	struct rocks_key from = { .len = 1, .bytes = { ROCKS_ANSWER } };
	struct rocks_key to = { .len = 1, .bytes = { ROCKS_RECORD + 1 } };

	rocks_batch_delete_range(a->b, a->f, &from, &to);
	return (true);
}

/* The keeper looks for marks whose time is over so much the more often, the shorter it is. */
static void
keep_for(struct rocks_family *f, uint32_t keep)
{
	if (atomic_load_explicit(&f->keep, memory_order_relaxed) == keep)
		return;
	atomic_store_explicit(&f->keep, keep, memory_order_relaxed);
	rocks_keeper_wake(f->db);
}

static bool
act_family(struct act *a, struct rocks_sub *sub, struct rocks_db *db)
{
	const struct conf_ns *ns = sub->op != NULL ? sub->op->ns : NULL;
	char *why = NULL;

	a->f = sub->family;
	if (a->f == NULL)
		a->f = rocks_family_make(db, ns->name, &why);
	if (a->f == NULL) {
		rocks_fail(a->j, db, why != NULL ? rocks_error_kind(why) : ERR_NOMEM,
		    why != NULL ? why : err_text(ERR_NOMEM));
		free(why);
		return (false);
	}
	if (ns != NULL)
		keep_for(a->f, (uint32_t)((ns->delete_ttl + ns->delete_jitter) / 1000));
	return (true);
}

static bool
act_run(struct act *a)
{
	switch ((int)a->be.op.verb) {
	case OP_FLUSH:
		return (act_flush(a));
	case OP_ITEMS_PUT:
		return (act_put(a));
	case OP_ITEMS_DELETE:
		return (a->be.rec->which.nkeys > 0 ? act_delete_keys(a) : act_delete_range(a));
	default:
		return (a->be.chunk != 0 ? act_chunk(a) : act_item(a));
	}
}

bool
rocks_item_run(struct rocks_batch *b, struct rocks_db *db, struct rocks_job *j)
{
	memset(&j->res, 0, sizeof j->res);
	j->undone = false;
	for (unsigned i = 0; i < j->nsubs; i++) {
		struct rocks_sub *sub = &j->subs[i];
		struct act a = { .b = b, .j = j, .now = rocks_time() };

		if (!act_family(&a, sub, db))
			return (false);
		if (sub->op != NULL)
			a.be = *sub->op;
		else
			a.be.op.verb = OP_FLUSH;
		a.be.id = sub->id;
		a.be.item = sub->item;
		if (j->body.iov_base != NULL) {
			a.be.body = &j->body;
			a.be.nbody = 1;
		}
		if (!(j->kind == ROCKS_SWEEP ? act_sweep(&a) : j->kind == ROCKS_GAPS ? act_gaps(&a) : act_run(&a)))
			return (false);
		rocks_batch_let_go(b);
	}
	return (true);
}
