/*
 * redis_sweep.c - what is dead in records is removed, behind the ops that have seen it.
 *
 * Deletes of ranges and records only leave a mark, whatever they cover, and what expires leaves its index behind. Who
 * sees that asks for a sweep: a script that removes a bounded number, as often as there is more. One thing is under way
 * at a time. What is lost with a connection or this process is seen again by the next read. Pieces of values that were
 * replaced or removed are elsewhere: they are told to whom can reach them.
 */
#include "config.h"

#include <string.h>

#include "backend/redis_sweep.h"
#include "base/check.h"
#include "base/num.h"

#define ORPHAN_LEN	34		/* of an entry of a list, without its key */

static void sweep_done(struct be_op *);

static void
sweep_submit(struct redis_sweeper *sw)
{
	sw->op.format = FORMAT_ITEM;
	sw->op.op.key = sw->op.id;
	sw->op.rec = &sw->rec;
	sw->op.done = sweep_done;
	sw->out = true;
	sw->submit(sw->be, &sw->op);
}

static void
sweep_record(struct redis_sweeper *sw)
{
	struct redis_sweep *s = &sw->todo[0];

	sw->ns = (struct conf_ns){ .prefix = s->prefix, .prefix_len = s->prefix_len, .format = FORMAT_ITEM,
	    .separator_len = 1 };
	sw->op.op.verb = REDIS_OP_SWEEP;
	sw->op.ns = &sw->ns;
	sw->op.id = slice_of(s->id, s->id_len);
	sw->rec.after = slice_of(s->key, s->key_len);
	sweep_submit(sw);
}

static void
sweep_next(struct redis_sweeper *sw)
{
	if (sw->out || sw->closing)
		return;
	memset(&sw->op, 0, sizeof sw->op);
	memset(&sw->rec, 0, sizeof sw->rec);
	if (sw->n > 0)
		sweep_record(sw);
}

static void
sweep_done(struct be_op *op)
{
	struct redis_sweeper *sw = CONTAINER_OF(op, struct redis_sweeper, op);

	sw->out = false;
	if (op->err != ERR_NONE || op->res.number == 0) {
		sw->n--;
		memmove(&sw->todo[0], &sw->todo[1], sw->n * sizeof sw->todo[0]);
	}
	sweep_next(sw);
}

void
redis_sweep_want(struct redis_sweeper *sw, const struct conf_ns *ns, struct slice base, struct slice key)
{
	struct redis_sweep *s = &sw->todo[sw->n];
	size_t len;

	if (sw->closing || sw->n == REDIS_SWEEPS || base.len < 2 || key.len > sizeof s->key ||
	    ns->prefix_len > REDIS_ID_MAX || !redis_name_id(s->id, slice_of(base.p + 1, base.len - 2), &len))
		return;
	for (unsigned i = 0; i < sw->n; i++)
		if (sw->todo[i].id_len == len && memcmp(sw->todo[i].id, s->id, len) == 0)
			return;
	s->id_len = (uint8_t)len;
	s->key_len = (uint16_t)key.len;
	s->prefix_len = (uint8_t)ns->prefix_len;
	memcpy(s->prefix, ns->prefix, ns->prefix_len);
	if (key.len > 0)
		memcpy(s->key, key.p, key.len);
	sw->n++;
	sweep_next(sw);
}

/* An entry of a list. False: this is none. */
static bool
orphan_get(struct slice *list, struct slice *key, struct envelope *head)
{
	size_t len;

	if (list->len < ORPHAN_LEN)
		return (false);
	len = num_get_be(list->p, 2);
	if (len > list->len - ORPHAN_LEN || len > REC_KEY_MAX)
		return (false);
	*head = (struct envelope){ .version = num_get_be(list->p + 2, 8), .chunk = 1 };
	memcpy(head->nonce, list->p + 10, NONCE_LEN);
	head->dictionary = (uint32_t)num_get_be(list->p + 26, 4);
	head->size = head->chunks = (uint32_t)num_get_be(list->p + 30, 4);
	*key = slice_of(list->p + ORPHAN_LEN, len);
	*list = slice_of(list->p + ORPHAN_LEN + len, list->len - ORPHAN_LEN - len);
	return (true);
}

/* Whether they are of this op. */
static bool
is_own(const struct be_op *op, const struct envelope *head)
{
	return (op->op.verb == OP_ITEMS_PUT && head->version == op->version &&
	    memcmp(head->nonce, op->nonce, NONCE_LEN) == 0);
}

uint64_t
redis_sweep_pieces(struct redis_sweeper *sw, const struct be_op *op, struct slice base, struct slice list)
{
	char id[REDIS_ID_MAX];
	struct envelope head;
	uint64_t pieces = 0;
	struct slice key, who = base;
	size_t len;

	if (redis_is_record(op)) {
		if (base.len < 2 || !redis_name_id(id, slice_of(base.p + 1, base.len - 2), &len))
			return (0);
		who = slice_of(id, len);
	}
	while (!sw->closing && orphan_get(&list, &key, &head)) {
		if (is_own(op, &head) && op->rec->kept != NULL)
			op->rec->kept(op->rec, key);
		else
			pieces += head.chunks;
		if (sw->orphan != NULL)
			sw->orphan(sw->arg, op->ns, who, key, &head);
	}
	return (pieces);
}

void
redis_sweeper_init(struct redis_sweeper *sw, struct backend *be, void (*submit)(struct backend *, struct be_op *))
{
	sw->be = be;
	sw->submit = submit;
	sw->out = sw->closing = false;
	sw->n = 0;
	sw->orphan = NULL;
}

void
redis_sweeper_fini(struct redis_sweeper *sw)
{
	sw->closing = true;
}
