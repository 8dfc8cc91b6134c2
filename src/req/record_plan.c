/*
 * record_plan.c - who overrides whom among the sub-commands of a km and the lines of a kp.
 *
 * From the last one to the first: what is met first stays. Keys that were written are in a table; ranges that were
 * deleted are looked for among the later ops on the record.
 */
#include "config.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"
#include "proto/record.h"
#include "req/record_plan.h"

struct written {
	const struct plan_op *record;	/* the record's first op; NULL: the slot is free */
	struct slice	 key;
};

struct work {
	struct plan_op	*ops;
	size_t		 n;
	struct written	*slots;		/* a power of two of them, at least twice as many as there are keys */
	size_t		 mask;
	struct plan_op	**first;	/* of each op: the first on its record */
	struct plan_op	**later;	/* of each first op: the op on its record that was looked at last */
};

static bool
is_put(const struct plan_op *op)
{
	return (op->sub->cmd.id == CMD_KP);
}

static uint32_t
keys_of(const struct plan_op *op)
{
	return (is_put(op) ? op->sub->nitems : op->sub->cmd.nkeys);
}

/* False: it was there. */
static bool
add_key(struct work *w, const struct plan_op *record, struct slice key)
{
	size_t i = XXH3_64bits_withSeed(key.p != NULL ? key.p : "", key.len, record->hash) & w->mask;

	for (; w->slots[i].record != NULL; i = (i + 1) & w->mask)
		if (w->slots[i].record == record && slice_eq(w->slots[i].key, key))
			return (false);
	w->slots[i].record = record;
	w->slots[i].key = key;
	return (true);
}

static bool
in_range(const struct record_cmd *kd, struct slice key)
{
	return (((kd->flags & RF_FROM) == 0 || slice_cmp(key, kd->from) >= 0) &&
	    ((kd->flags & RF_UNTIL) == 0 || slice_cmp(key, kd->until) < 0) &&
	    ((kd->flags & RF_HEAD) == 0 || slice_has_prefix(key, kd->head)));
}

/* Whether a later kd of a range takes it. */
static bool
is_deleted(const struct plan_op *later, struct slice key)
{
	for (; later != NULL; later = later->next)
		if (!is_put(later) && later->sub->cmd.nkeys == 0 && in_range(&later->sub->cmd, key))
			return (true);
	return (false);
}

/* later: the ops on the record that come behind it. */
static void
look_at(struct work *w, struct plan_op *op, const struct plan_op *record, const struct plan_op *later)
{
	uint32_t n = keys_of(op);

	op->left = n == 0 ? !is_put(op) : 0;
	while (n-- > 0) {
		struct slice key = is_put(op) ? op->sub->items[n].key : op->sub->cmd.keys[n];

		op->dropped[n] = !add_key(w, record, key) || is_deleted(later, key);
		op->left += !op->dropped[n];
	}
}

static void
find_records(struct work *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct plan_op *op = &w->ops[i];

		w->first[i] = op;
		for (size_t k = 0; k < i; k++)
			if (w->ops[k].hash == op->hash && w->ops[k].space == op->space &&
			    slice_eq(w->ops[k].sub->cmd.key, op->sub->cmd.key)) {
				w->first[i] = &w->ops[k];
				break;
			}
		op->first = w->first[i] == op;
	}
}

static void
look_at_all(struct work *w)
{
	for (size_t i = w->n; i-- > 0;) {
		struct plan_op *op = &w->ops[i], **later = &w->later[w->first[i] - w->ops];

		op->next = *later;
		look_at(w, op, w->first[i], *later);
		*later = op;
	}
}

bool
plan_make(struct plan *plan, struct plan_op *ops, size_t n)
{
	struct work w = { .ops = ops, .n = n };
	size_t keys = 0, slots = 4;
	bool *dropped, good;

	for (size_t i = 0; i < n; i++)
		keys += keys_of(&ops[i]);
	while (slots < 2 * keys)
		slots *= 2;
	w.mask = slots - 1;
	w.slots = calloc(slots, sizeof *w.slots);
	w.first = calloc(n, sizeof(struct plan_op *));
	w.later = calloc(n, sizeof(struct plan_op *));
	plan->mem = dropped = calloc(keys + 1, sizeof *dropped);
	good = w.slots != NULL && w.first != NULL && w.later != NULL && dropped != NULL;
	if (good) {
		for (size_t i = 0; i < n; i++) {
			ops[i].dropped = dropped;
			dropped += keys_of(&ops[i]);
		}
		find_records(&w);
		look_at_all(&w);
	} else
		plan_end(plan);
	free(w.slots);
	free(w.first);
	free(w.later);
	return (good);
}

void
plan_end(struct plan *plan)
{
	free(plan->mem);
	plan->mem = NULL;
}
