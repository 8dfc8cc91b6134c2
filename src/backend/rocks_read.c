/*
 * rocks_read.c - reading rows: one item, pages of a record, parts of a scan; on the loop or on an io thread.
 *
 * What is read in more than one step is read from one snapshot. A single item is not worth one: if a marker covers it,
 * the item is read once more, so that what was put with the marker is not missed.
 */
#include "config.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <time.h>

#include "backend/rocks.h"
#include "base/check.h"
#include "conf/model.h"

#define LOOP_BYTES	(64 * 1024)	/* a loop copies no more for one op, */
#define LOOP_ROWS	512		/* and looks at no more rows, */
#define LOOP_SKIPS	2048		/* or deletions, */
#define WORK_MAX	100000		/* rows of one op, if it does not say */
#define CLOCK_ROWS	64		/* between two looks at the clock */

struct reader {
	struct rocks_db	*db;
	struct rocks_job *job;
	struct rocks_sub *sub;
	rocksdb_readoptions_t *options;
	bool		 in_memory;
	uint64_t	 now;		/* milliseconds since 1970 */
	rocksdb_pinnableslice_t *list;	/* of markers */
	struct markers_at markers;
	/* of a page */
	uint64_t	 bytes;
	uint32_t	 work;
	struct slice	 last_id, last;	/* looked at last; in `at` */
	struct rocks_key at;
};

static enum rocks_rc
failed(struct reader *rd, char *text)
{
	enum rocks_rc rc = ROCKS_FAILED;

	if (rd->in_memory && strncmp(text, "Result incomplete", 17) == 0)
		rc = ROCKS_NOT_CACHED;
	else
		rocks_fail(rd->job, rd->db, rocks_error_kind(text), text);
	free(text);
	return (rc);
}

static enum rocks_rc
no_memory(struct reader *rd)
{
	rocks_fail(rd->job, rd->db, ERR_NOMEM, err_text(ERR_NOMEM));
	return (ROCKS_FAILED);
}

static enum rocks_rc
bad_row(struct reader *rd)
{
	rocks_fail(rd->job, rd->db, ERR_BADVALUE, "holds a value that kvgate did not write");
	return (ROCKS_FAILED);
}

static void
let_go(rocksdb_pinnableslice_t **pin)
{
	if (*pin != NULL)
		rocksdb_pinnableslice_destroy(*pin);
	*pin = NULL;
}

/*
 * *pin is NULL where there is no such row. None of ours is empty: with that, rocksdb before 9.4 says that it would have
 * to open a file.
 */
static enum rocks_rc
get(struct reader *rd, const struct rocks_key *key, rocksdb_pinnableslice_t **pin, struct slice *value)
{
	char *text = NULL;

	*pin = rocksdb_get_pinned_cf(rd->db->db, rd->options, rd->sub->family->cf, key->bytes, key->len, &text);
	if (UNLIKELY(text != NULL)) {
		*pin = NULL;
		return (failed(rd, text));
	}
	if (*pin != NULL)
		value->p = rocksdb_pinnableslice_value(*pin, &value->len);
	if (UNLIKELY(rd->in_memory && *pin != NULL && value->len == 0)) {
		let_go(pin);
		return (ROCKS_NOT_CACHED);
	}
	return (ROCKS_DONE);
}

/* The markers of a record, for what follows. */
static enum rocks_rc
get_markers(struct reader *rd, struct slice id)
{
	struct slice list = SLICE_NULL;
	struct rocks_key key;
	enum rocks_rc rc;

	let_go(&rd->list);
	if (!rocks_may_have(rd->sub->family, ROCKS_RECORD, rocks_key_hash(id))) {
		markers_begin(&rd->markers, list);
		return (ROCKS_DONE);
	}
	rocks_key_item(&key, ROCKS_RECORD, id, SLICE_NULL);
	rc = get(rd, &key, &rd->list, &list);
	if (rc != ROCKS_DONE)
		return (rc);
	if (!markers_valid(list))
		return (bad_row(rd));
	markers_begin(&rd->markers, list);
	return (ROCKS_DONE);
}

/* ---- one item ---- */

/* *pin NULL: it is not there. *cover: of the marker that covers it, NULL: none does. */
static enum rocks_rc
get_row(struct reader *rd, rocksdb_pinnableslice_t **pin, struct row *row, const struct stamp **cover)
{
	struct slice bytes;
	struct rocks_key key;
	enum rocks_rc rc;

	rocks_key_item(&key, ROCKS_ITEM, rd->sub->id, rd->sub->item);
	*cover = NULL;
	for (unsigned tries = 0;; tries++) {
		rc = get(rd, &key, pin, &bytes);
		if (rc != ROCKS_DONE || *pin == NULL)
			return (rc);
		if (tries == 0 && (rc = get_markers(rd, rd->sub->id)) != ROCKS_DONE)
			break;
		*cover = markers_at(&rd->markers, rd->sub->item);
		if (*cover == NULL || tries > 0)
			return (envelope_get(bytes, &row->head, &row->value) ? ROCKS_DONE : bad_row(rd));
		let_go(pin);
	}
	return (rc);
}

static enum rocks_rc
read_item(struct reader *rd)
{
	struct rocks_job *j = rd->job;
	struct row_ask ask = { .be = rd->sub->op, .now = rd->now };
	struct row_effect effect;
	rocksdb_pinnableslice_t *pin = NULL;
	struct row row;
	enum rocks_rc rc;

	rc = get_row(rd, &pin, &row, &ask.cover);
	if (rc == ROCKS_DONE) {
		ask.row = pin != NULL ? &row : NULL;
		row_verb(&ask, &j->res, &effect);
		if (effect.what != ROW_KEEP)
			rc = ROCKS_NOT_PURE;
		else if (j->res.status == OP_OK && ask.be->op.verb == OP_GET && (ask.be->op.want & OPW_VALUE) != 0 &&
		    !rocks_result_value(&j->result, row.value))
			rc = no_memory(rd);
		else if (ask.be->op.verb == OP_DEBUG && (j->result = rocks_result_new(0)) == NULL)
			rc = no_memory(rd);
		j->found_head = row.head;
	}
	let_go(&pin);
	return (rc);
}

static enum rocks_rc
read_chunk(struct reader *rd)
{
	const struct be_op *op = rd->sub->op;
	struct rocks_job *j = rd->job;
	rocksdb_pinnableslice_t *pin;
	struct slice value;
	struct rocks_key key;
	enum rocks_rc rc;

	rocks_op_chunk(&key, op, rd->sub->id, rd->sub->item);
	rc = get(rd, &key, &pin, &value);
	if (rc != ROCKS_DONE)
		return (rc);
	j->res = (struct op_result){ .status = pin != NULL ? OP_OK : OP_MISS, .ttl = OP_TTL_NONE };
	if (pin != NULL && value.len < ROCKS_PIECE_HEAD)
		rc = bad_row(rd);
	else if (pin != NULL) {
		value = slice_of(value.p + ROCKS_PIECE_HEAD, value.len - ROCKS_PIECE_HEAD);
		j->res.size = (uint32_t)value.len;
		/* A new time for it: it has as much as its item, which names it by now. */
		if ((op->op.want & OPW_VALUE) != 0 && !rocks_result_value(&j->result, value))
			rc = no_memory(rd);
	}
	let_go(&pin);
	return (rc);
}

/* ---- pages ---- */

/* Whether the page may go on to a further row. */
static bool
page_goes_on(struct reader *rd)
{
	const struct rec_op *rec = rd->sub->op->rec;
	struct rocks_job *j = rd->job;

	if (j->end != REC_END)
		return (false);
	if (rd->work >= (rec->work_max != 0 ? rec->work_max : WORK_MAX))
		j->end = REC_WORK;
	else if (rec->deadline != 0 && rd->work % CLOCK_ROWS == 1 && rocks_usec() >= rec->deadline)
		j->end = REC_DEADLINE;
	return (j->end == REC_END);
}

/* Takes an item that lives. False with end set: it does not fit, or there is no memory. */
static bool
page_add(struct reader *rd, const struct rec_item *it)
{
	const struct rec_op *rec = rd->sub->op->rec;
	struct rocks_job *j = rd->job;
	uint32_t n = j->result != NULL ? j->result->nitems : 0;
	uint64_t cost = rec->cost != NULL ? rec->cost(rec, it) : 0;

	if (rec->bytes_max != 0 && n > 0 && rd->bytes + cost > rec->bytes_max) {
		j->end = REC_BYTES;
		return (false);
	}
	rd->bytes += cost;
	if (!rocks_result_item(&j->result, it, (int)rd->sub->op->op.verb == OP_SCAN))
		return (false);
	if (rec->items_max != 0 && n + 1 >= rec->items_max)
		j->end = REC_ITEMS;
	return (true);
}

/* Looks at a row. *full: the page is, and this row is for the next one. */
static enum rocks_rc
page_row(struct reader *rd, struct rec_item *it, struct slice row, bool *full)
{
	const struct rec_op *rec = rd->sub->op->rec;

	rd->work++;
	if (!envelope_get(row, &it->head, &it->value))
		return (bad_row(rd));
	if (!row_lives(&it->head, markers_at(&rd->markers, it->key), rd->now))
		return (ROCKS_DONE);
	if (!rec->values || (rec->value_max != 0 && it->head.size > rec->value_max))
		it->value = SLICE_NULL;
	if (rd->in_memory && ((rd->job->result != NULL && rd->job->result->len > LOOP_BYTES) || rd->work > LOOP_ROWS))
		return (ROCKS_NOT_CACHED);
	*full = !page_add(rd, it);
	return (*full && rd->job->end == REC_END ? no_memory(rd) : ROCKS_DONE);
}

/* Behind which row the next page begins. */
static enum rocks_rc
page_end(struct reader *rd)
{
	struct rocks_job *j = rd->job;

	j->res.status = OP_OK;
	if (j->end == REC_END)
		return (ROCKS_DONE);
	j->more = true;
	if (!rocks_result_next(&j->result, rd->last_id, rd->last))
		return (no_memory(rd));
	return (ROCKS_DONE);
}

static enum rocks_rc
read_keys(struct reader *rd)
{
	const struct rec_op *rec = rd->sub->op->rec;
	struct rec_item it = { .id = rd->sub->id };
	enum rocks_rc rc = get_markers(rd, it.id);
	bool full = false;

	for (uint32_t i = 0; rc == ROCKS_DONE && i < rec->which.nkeys && page_goes_on(rd); i++) {
		rocksdb_pinnableslice_t *pin;
		struct rocks_key key;
		struct slice row;

		it.key = rec->which.keys[i];
		rocks_key_item(&key, ROCKS_ITEM, it.id, it.key);
		rc = get(rd, &key, &pin, &row);
		if (rc == ROCKS_DONE && pin != NULL) {
			/* No order is theirs. */
			markers_begin(&rd->markers, rd->markers.list);
			rc = page_row(rd, &it, row, &full);
		} else
			rd->work++;
		let_go(&pin);
		if (full)
			break;
		rd->last = it.key;
		rd->job->res.number = i + 1;
	}
	if (rc == ROCKS_DONE && rd->job->res.number == rec->which.nkeys && rd->job->end != REC_ITEMS)
		rd->job->end = REC_END;
	return (rc == ROCKS_DONE ? page_end(rd) : rc);
}

struct range {
	struct rocks_key from, until;
};

static enum rocks_rc
walk_row(struct reader *rd, rocksdb_iterator_t *at, bool scan, bool *full)
{
	struct rocks_row_name name;
	struct rec_item it;
	struct slice key, row;
	enum rocks_rc rc;

	key.p = rocksdb_iter_key(at, &key.len);
	row.p = rocksdb_iter_value(at, &row.len);
	if (key.len > ROCKS_KEY_MAX || !rocks_key_parse(key, &name))
		return (bad_row(rd));
	if (scan && (rd->work == 0 || !slice_eq(rd->last_id, name.id)) && (rc = get_markers(rd, name.id)) != ROCKS_DONE)
		return (rc);
	it.id = name.id;
	it.key = name.item;
	rc = page_row(rd, &it, row, full);
	if (rc != ROCKS_DONE || *full)
		return (rc);
	memcpy(rd->at.bytes, key.p, key.len);
	rd->last_id = slice_of(rd->at.bytes + (name.id.p - key.p), name.id.len);
	rd->last = slice_of(rd->at.bytes + (name.item.p - key.p), name.item.len);
	return (ROCKS_DONE);
}

static enum rocks_rc
walk(struct reader *rd, const struct range *r, bool reverse, bool scan)
{
	rocksdb_iterator_t *at;
	enum rocks_rc rc = ROCKS_DONE;
	bool full = false;
	char *text = NULL;
	uint32_t found;

	if (rd->in_memory && rocks_forgets(rd->sub->family))
		return (ROCKS_NOT_CACHED);
	rocksdb_readoptions_set_iterate_lower_bound(rd->options, r->from.bytes, r->from.len);
	rocksdb_readoptions_set_iterate_upper_bound(rd->options, r->until.bytes, r->until.len);
	rocks_passed_none();
	at = rocksdb_create_iterator_cf(rd->db->db, rd->options, rd->sub->family->cf);
	if (reverse)
		rocksdb_iter_seek_to_last(at);
	else
		rocksdb_iter_seek_to_first(at);
	while (rc == ROCKS_DONE && !full && rocksdb_iter_valid(at) && page_goes_on(rd)) {
		rc = walk_row(rd, at, scan, &full);
		if (reverse)
			rocksdb_iter_prev(at);
		else
			rocksdb_iter_next(at);
	}
	rocksdb_iter_get_error(at, &text);
	if (rc == ROCKS_DONE && text != NULL) {
		rc = failed(rd, text);
		text = NULL;
	}
	free(text);
	/* The first may have come meanwhile. */
	if (rc == ROCKS_DONE && rd->in_memory && rocks_forgets(rd->sub->family))
		rc = ROCKS_NOT_CACHED;
	/* The next read of the range is to be faster. */
	found = rd->job->result != NULL ? rd->job->result->nitems : 0;
	if (rocks_passed_many(found, rd->work > found ? rd->work - found : 0))
		rocks_keeper_compact(rd->db, rd->sub->family, &r->from, &r->until);
	rocksdb_iter_destroy(at);
	return (rc == ROCKS_DONE ? page_end(rd) : rc);
}

static enum rocks_rc
read_range(struct reader *rd)
{
	const struct rec_op *rec = rd->sub->op->rec;
	struct slice id = rd->sub->id, from, until;
	char buf[REC_KEY_MAX];
	struct range r;
	enum rocks_rc rc;

	if (!markers_range(&rec->which, buf, &from, &until))
		return (page_end(rd));
	if (rec->after.p != NULL && rec->which.reverse)
		until = rec->after;
	rocks_key_item(&r.from, ROCKS_ITEM, id, from);
	rocks_key_item(&r.until, ROCKS_ITEM, id, until.p != NULL ? until : SLICE_NULL);
	if (until.p == NULL)
		rocks_key_behind(&r.until);
	if (rec->after.p != NULL && !rec->which.reverse) {
		rocks_key_item(&r.from, ROCKS_ITEM, id, rec->after);
		r.from.bytes[r.from.len++] = '\0';
	}
	if (!rocks_key_before(&r.from, &r.until))
		return (page_end(rd));
	rc = get_markers(rd, id);
	return (rc == ROCKS_DONE ? walk(rd, &r, rec->which.reverse, false) : rc);
}

static enum rocks_rc
read_scan(struct reader *rd)
{
	const struct rec_op *rec = rd->sub->op->rec;
	struct range r;

	rocks_key_part(&r.from, ROCKS_ITEM, rec->part, rec->parts);
	rocks_key_part(&r.until, ROCKS_ITEM, rec->part + 1, rec->parts);
	if (rec->after_id.p != NULL) {
		rocks_key_item(&r.from, ROCKS_ITEM, rec->after_id, rec->after);
		if (rec->after.p != NULL)
			r.from.bytes[r.from.len++] = '\0';
		else
			rocks_key_behind(&r.from);
	}
	if (!rocks_key_before(&r.from, &r.until))
		return (page_end(rd));
	return (walk(rd, &r, false, true));
}

/* ---- */

static enum rocks_rc
read_op(struct reader *rd)
{
	const struct be_op *op = rd->sub->op;

	switch ((int)op->op.verb) {
	case OP_ITEMS_READ:
		return (op->rec->which.nkeys > 0 ? read_keys(rd) : read_range(rd));
	case OP_SCAN:
		return (read_scan(rd));
	default:
		return (op->chunk != 0 ? read_chunk(rd) : read_item(rd));
	}
}

bool
rocks_is_read(const struct be_op *op)
{
	return (op->op.verb == OP_GET || op->op.verb == OP_DEBUG || (int)op->op.verb == OP_ITEMS_READ ||
	    (int)op->op.verb == OP_SCAN);
}

enum rocks_rc
rocks_read(struct rocks_db *db, struct rocks_job *j, bool in_memory)
{
	struct reader rd = { .db = db, .job = j, .sub = &j->subs[0], .in_memory = in_memory, .now = rocks_time() };
	const rocksdb_snapshot_t *snapshot = j->snapshot;
	enum rocks_rc rc;

	memset(&j->res, 0, sizeof j->res);
	j->err = ERR_NONE;
	j->end = REC_END;
	j->more = false;
	/* A read behind the first write there is had none to find when it came. */
	if (rd.sub->family == NULL)
		rd.sub->family = rocks_family_find(db, rd.sub->op->ns->name);
	if (rd.sub->family == NULL)
		return (rd.sub->op->rec != NULL ? ROCKS_DONE : ROCKS_NOT_PURE);
	rd.options = in_memory ? db->cached : db->usual;
	if (rd.sub->op->rec != NULL) {
		if (snapshot == NULL)
			snapshot = rocksdb_create_snapshot(db->db);
		rd.options = rocksdb_readoptions_create();
		if (in_memory) {
			rocksdb_readoptions_set_read_tier(rd.options, 1);
			rocksdb_readoptions_set_max_skippable_internal_keys(rd.options, LOOP_SKIPS);
		}
		rocksdb_readoptions_set_snapshot(rd.options, snapshot);
	} else if (snapshot != NULL) {
		rd.options = rocksdb_readoptions_create();
		rocksdb_readoptions_set_snapshot(rd.options, snapshot);
	}
	rc = read_op(&rd);
	let_go(&rd.list);
	if (rd.options != db->cached && rd.options != db->usual)
		rocksdb_readoptions_destroy(rd.options);
	if (snapshot != NULL && j->snapshot == NULL)
		rocksdb_release_snapshot(db->db, snapshot);
	if (rc != ROCKS_DONE && rc != ROCKS_FAILED) {
		free(j->result);
		j->result = NULL;
	}
	return (rc);
}

void *
rocks_io_main(void *arg)
{
	struct rocks_db *db = arg;
	struct rocks_job *j;

	rocks_count_less();
	while ((j = rocks_queue_get(&db->io)) != NULL) {
		enum rocks_rc rc;

		atomic_fetch_add_explicit(&db->counts.io_reads, 1, memory_order_relaxed);
		rc = rocks_read(db, j, false);
		if (j->snapshot != NULL)
			rocksdb_release_snapshot(db->db, j->snapshot);
		j->snapshot = NULL;
		if (rc == ROCKS_NOT_PURE) {
			/* The writer knows better; what it finds may be newer, as if this had come later. */
			j->kind = ROCKS_WRITE;
			rocks_writer_put(db->writer, j);
			continue;
		}
		rocks_job_back(j);
	}
	return (NULL);
}
