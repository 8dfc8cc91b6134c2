/*
 * redis_scan.c - OP_SCAN: the records of a namespace, slot by slot.
 *
 * Each slot has a list of its records (redis_name.c), in order, so whoever comes back finds his place whatever was
 * written meanwhile, and what was there throughout is met once. A part is a range of slots. Most slots of a small
 * namespace are empty: they are asked for their number of records, many at a time, and only those that have some are
 * read, one after the other.
 *
 * Between two slots there is no item to be behind: such a place is an id that is too long for any.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/redis.h"
#include "backend/slots.h"
#include "base/check.h"

#define PROBES		64
#define PROBE_WORK	8		/* rows that asking for so many counts as */
#define WORK_MAX	20000
#define PLACE_LEN	REDIS_ID_MAX	/* clients' ids are shorter */
#define PLACE_DIGITS	5

struct probe {
	struct be_op	 op;
	struct redis_scan *scan;
	char		 tag[REDIS_TAG_MAX];
};

struct redis_scan {
	struct be_op	*op;
	struct backend	*be;
	void		(*submit)(struct backend *, struct be_op *);
	struct be_op	 step;
	struct rec_op	 rec;
	char		 tag[REDIS_TAG_MAX];
	unsigned	 slot, end;	/* what is still to be read */
	unsigned	 from, to;	/* slots that were asked; `has` has a bit for each */
	uint64_t	 has;
	unsigned	 left;		/* answers that are still to come */
	bool		 resumes;	/* the next step begins where op->rec says */
	bool		 cancelled;
	uint64_t	 bytes;
	uint32_t	 work;
	enum err	 err;
	char		 why[REDIS_WHY_MAX];
	char		 place[PLACE_LEN + 1];
	struct probe	 probes[PROBES];
};

static void scan_go(struct redis_scan *);

/* ---- places ---- */

static void
place_put(struct redis_scan *sc)
{
	memset(sc->place, '-', PLACE_LEN - PLACE_DIGITS);
	snprintf(sc->place + PLACE_LEN - PLACE_DIGITS, PLACE_DIGITS + 1, "%05u", sc->slot);
}

/* The slot that a place is before; SLOTS: it is an item's. */
static unsigned
place_slot(struct slice id)
{
	unsigned slot = 0;

	if (id.len != PLACE_LEN)
		return (SLOTS);
	for (size_t i = PLACE_LEN - PLACE_DIGITS; i < PLACE_LEN; i++)
		slot = slot * 10 + (unsigned)(id.p[i] - '0') % 10;
	return (slot < SLOTS ? slot : SLOTS);
}

/* ---- the end ---- */

static void
scan_end(struct redis_scan *sc)
{
	struct be_op *op = sc->op;

	op->err = sc->cancelled ? ERR_CANCELLED : sc->err;
	if (op->err != ERR_NONE)
		op->why = sc->cancelled ? err_text(ERR_CANCELLED) : sc->why;
	op->state = REDIS_OP_ENDING;
	be_op_end(op);		/* frees us, we are its priv */
}

static void
scan_fail(struct redis_scan *sc, const struct be_op *part)
{
	if (sc->err != ERR_NONE)
		return;
	sc->err = part->err;
	snprintf(sc->why, sizeof sc->why, "%s", part->why);
}

/* There is more, from the next slot on. */
static void
scan_pause(struct redis_scan *sc, enum rec_end end)
{
	struct rec_op *rec = sc->op->rec;

	place_put(sc);
	rec->more = true;
	rec->end = end;
	rec->next_id = slice_of(sc->place, PLACE_LEN);
	rec->next = SLICE_LIT("");
	scan_end(sc);
}

/* ---- parts ---- */

/* An op of ours on a slot, which its id stands for. */
static void
part_init(struct redis_scan *sc, struct be_op *op, uint8_t verb, char tag[REDIS_TAG_MAX], unsigned slot)
{
	const struct be_op *whole = sc->op;
	uint64_t now = loop_now(sc->be->bl->loop);

	memset(op, 0, sizeof *op);
	op->op.verb = verb;
	op->format = FORMAT_ITEM;
	op->ns = whole->ns;
	op->id = redis_name_tag(tag, slot);
	op->op.key = op->id;
	op->op.hash = slot * 0x9e3779b97f4a7c15u;
	if (whole->timeout != 0) {
		op->timeout = whole->sent_at + whole->timeout > now ? whole->sent_at + whole->timeout - now : 1;
		op->rest = whole->rest;
	}
}

static uint32_t
step_cost(const struct rec_op *rec, const struct rec_item *it)
{
	const struct rec_op *whole = CONTAINER_OF(rec, const struct redis_scan, rec)->op->rec;

	return (whole->cost == NULL ? 0 : whole->cost(whole, it));
}

static void
step_found(struct be_op *op)
{
	struct redis_scan *sc = CONTAINER_OF(op, struct redis_scan, step);
	struct be_op *whole = sc->op;

	if (sc->cancelled)
		return;
	whole->rec->item = sc->rec.item;
	sc->bytes += step_cost(&sc->rec, &sc->rec.item);
	whole->at++;
	whole->found(whole);
}

/* Whether the whole is over with what the step has found. */
static bool
step_ends(struct redis_scan *sc)
{
	struct rec_op *rec = sc->op->rec;

	if (!sc->rec.more)
		return (false);
	rec->more = true;
	rec->end = sc->rec.end;
	rec->next_id = sc->rec.next_id;
	rec->next = sc->rec.next;
	return (true);
}

static void
step_done(struct be_op *op)
{
	struct redis_scan *sc = CONTAINER_OF(op, struct redis_scan, step);

	if (op->err != ERR_NONE)
		scan_fail(sc, op);
	if (sc->err != ERR_NONE || sc->cancelled || step_ends(sc)) {
		scan_end(sc);
		return;
	}
	sc->slot++;
	sc->work += op->at + 1;
	scan_go(sc);
}

static void
step_send(struct redis_scan *sc)
{
	const struct rec_op *whole = sc->op->rec;
	struct rec_op *rec = &sc->rec;

	part_init(sc, &sc->step, REDIS_OP_STEP, sc->tag, sc->slot);
	*rec = (struct rec_op){ .values = whole->values, .value_max = whole->value_max, .work_max = whole->work_max,
	    .deadline = whole->deadline, .guess = whole->guess, .cost = step_cost };
	if (whole->items_max > 0)
		rec->items_max = whole->items_max - sc->op->at;
	if (whole->bytes_max > 0)
		rec->bytes_max = whole->bytes_max > sc->bytes ? whole->bytes_max - sc->bytes : 1;
	if (sc->resumes) {
		rec->after_id = whole->after_id;
		rec->after = whole->after;
		sc->resumes = false;
	}
	sc->step.rec = rec;
	sc->step.found = step_found;
	sc->step.done = step_done;
	sc->submit(sc->be, &sc->step);
}

static void
probe_done(struct be_op *op)
{
	struct probe *p = CONTAINER_OF(op, struct probe, op);
	struct redis_scan *sc = p->scan;

	if (op->err != ERR_NONE)
		scan_fail(sc, op);
	else if (op->res.status == OP_OK)
		sc->has |= (uint64_t)1 << (p - sc->probes);
	if (--sc->left > 0)
		return;
	if (sc->err != ERR_NONE || sc->cancelled)
		scan_end(sc);
	else
		scan_go(sc);
}

static void
probes_send(struct redis_scan *sc)
{
	unsigned n = sc->end - sc->slot < PROBES ? sc->end - sc->slot : PROBES;

	sc->from = sc->slot;
	sc->to = sc->slot + n;
	sc->has = 0;
	sc->left = n;
	sc->work += PROBE_WORK;
	for (unsigned i = 0; i < n; i++) {
		struct probe *p = &sc->probes[i];

		part_init(sc, &p->op, REDIS_OP_PROBE, p->tag, sc->from + i);
		p->scan = sc;
		p->op.done = probe_done;
		sc->submit(sc->be, &p->op);
	}
}

/* Why it is time to stop before the next slot; REC_END: it is not. */
static enum rec_end
scan_stops(const struct redis_scan *sc)
{
	const struct rec_op *rec = sc->op->rec;

	if (sc->work == 0)
		return (REC_END);
	if (rec->items_max > 0 && sc->op->at >= rec->items_max)
		return (REC_ITEMS);
	if (rec->deadline != 0 && loop_now_fresh(sc->be->bl->loop) >= rec->deadline)
		return (REC_DEADLINE);
	return (sc->work >= WORK_MAX || (rec->work_max > 0 && sc->work >= rec->work_max) ? REC_WORK : REC_END);
}

/* The next thing. */
static void
scan_go(struct redis_scan *sc)
{
	enum rec_end stop;

	while (sc->slot < sc->end && sc->slot < sc->to && (sc->has >> (sc->slot - sc->from) & 1) == 0)
		sc->slot++;
	if (sc->slot >= sc->end) {
		scan_end(sc);
		return;
	}
	stop = scan_stops(sc);
	if (stop != REC_END)
		scan_pause(sc, stop);
	else if (sc->slot < sc->to)
		step_send(sc);
	else
		probes_send(sc);
}

/* ---- */

/* Where it begins. False: that is no place in this part. */
static bool
scan_begin(struct redis_scan *sc, const struct rec_op *rec)
{
	unsigned parts = rec->parts == 0 ? 1 : rec->parts, part = rec->part == 0 ? 1 : rec->part, slot;
	char base[REDIS_BASE_MAX];

	sc->slot = SLOTS * (part - 1) / parts;
	sc->end = SLOTS * part / parts;
	if (rec->after_id.p == NULL)
		return (true);
	slot = place_slot(rec->after_id);
	if (slot == SLOTS) {
		if (rec->after_id.len > REDIS_ID_MAX)
			return (false);
		slot = slots_of(redis_name_base(base, rec->after_id));
		sc->resumes = true;
		sc->from = slot;
		sc->to = slot + 1;
		sc->has = 1;
	}
	if (slot < sc->slot || slot >= sc->end)
		return (false);
	sc->slot = slot;
	return (true);
}

bool
redis_scan_takes(struct backend *be, struct be_op *op, void (*submit)(struct backend *, struct be_op *),
    const char *name)
{
	struct redis_scan *sc;

	if (op->op.verb != OP_SCAN)
		return (false);
	if (op->ns == NULL || op->ns->separator_len == 0) {
		redis_op_fail_later(name, op, ERR_UNSUPPORTED, "cannot scan a namespace without item_separator");
		return (true);
	}
	sc = calloc(1, sizeof *sc);
	op->rec->more = false;
	op->rec->end = REC_END;
	op->rec->next_id = op->rec->next = SLICE_NULL;
	if (sc == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return (true);
	}
	sc->op = op;
	sc->be = be;
	sc->submit = submit;
	op->priv = sc;
	op->state = REDIS_OP_SCAN;
	if (!scan_begin(sc, op->rec) || sc->slot >= sc->end) {
		op->state = REDIS_OP_ENDING;
		be_op_end_later(op, ERR_NONE, NULL);
	} else if (sc->resumes)
		step_send(sc);
	else
		probes_send(sc);
	return (true);
}

bool
redis_scan_cancel(struct be_op *op)
{
	if (op->state != REDIS_OP_SCAN)
		return (false);
	((struct redis_scan *)op->priv)->cancelled = true;
	return (true);
}
