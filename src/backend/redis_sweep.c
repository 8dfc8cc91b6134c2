/*
 * redis_sweep.c - what is dead in records is removed, behind the ops that have seen it.
 *
 * Deletes of ranges and records only leave a mark, whatever they cover, and what expires leaves its index behind. Who
 * sees that asks for a sweep: a script that removes a bounded number, as often as there is more. Pieces of values that
 * were replaced or removed are elsewhere, and may still be read by somebody: they get an end. One thing is under way
 * at a time. What is lost with a connection or this process is seen again by the next read, but for pieces.
 */
#include "config.h"

#include <string.h>

#include "backend/redis_sweep.h"
#include "base/check.h"
#include "base/num.h"

#define PIECES_LEFT	60		/* seconds for whom reads them now */
#define ORPHAN_LEN	30		/* of an entry of a list, without its key */

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
sweep_piece(struct redis_sweeper *sw)
{
	struct redis_orphan *o = &sw->orphans[sw->norphans - 1];

	sw->op.op.verb = OP_GET;
	sw->op.op.opts = OPF_TTL;
	sw->op.op.ttl = PIECES_LEFT;
	sw->op.id = slice_of(o->id, o->id_len);
	sw->op.item = slice_of(o->key, o->key_len);
	sw->op.version = o->version;
	memcpy(sw->op.nonce, o->nonce, sizeof o->nonce);
	sw->op.chunk = o->left;
	sweep_submit(sw);
}

static void
sweep_next(struct redis_sweeper *sw)
{
	if (sw->out || sw->closing)
		return;
	memset(&sw->op, 0, sizeof sw->op);
	memset(&sw->rec, 0, sizeof sw->rec);
	if (sw->norphans > 0)
		sweep_piece(sw);
	else if (sw->n > 0)
		sweep_record(sw);
}

static void
sweep_done(struct be_op *op)
{
	struct redis_sweeper *sw = CONTAINER_OF(op, struct redis_sweeper, op);
	struct redis_orphan *o;

	sw->out = false;
	if (op->chunk != 0) {
		/* More may have come behind it meanwhile. */
		for (o = sw->orphans; o->id != op->id.p;)
			o++;
		if (op->err != ERR_NONE || --o->left == 0)
			*o = sw->orphans[--sw->norphans];
	} else if (op->err != ERR_NONE || op->res.number == 0) {
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

uint64_t
redis_sweep_pieces(struct redis_sweeper *sw, struct slice base, bool record, struct slice list)
{
	uint64_t pieces = 0;

	while (!sw->closing && sw->norphans < REDIS_ORPHANS && list.len >= ORPHAN_LEN) {
		struct redis_orphan *o = &sw->orphans[sw->norphans];
		size_t key = num_get_be(list.p, 2), len = base.len;

		if (key > list.len - ORPHAN_LEN || key > sizeof o->key)
			break;
		if (record ? base.len < 2 || !redis_name_id(o->id, slice_of(base.p + 1, base.len - 2), &len) :
		    len > sizeof o->id)
			break;
		if (!record)
			memcpy(o->id, base.p, len);
		o->id_len = (uint8_t)len;
		o->version = num_get_be(list.p + 2, 8);
		memcpy(o->nonce, list.p + 10, sizeof o->nonce);
		o->left = (uint32_t)num_get_be(list.p + 26, 4);
		o->key_len = (uint16_t)key;
		memcpy(o->key, list.p + ORPHAN_LEN, key);
		pieces += o->left;
		sw->norphans += o->left > 0;
		list = slice_of(list.p + ORPHAN_LEN + key, list.len - ORPHAN_LEN - key);
	}
	sweep_next(sw);
	return (pieces);
}

void
redis_sweeper_init(struct redis_sweeper *sw, struct backend *be, void (*submit)(struct backend *, struct be_op *))
{
	sw->be = be;
	sw->submit = submit;
	sw->out = sw->closing = false;
	sw->n = sw->norphans = 0;
}

void
redis_sweeper_fini(struct redis_sweeper *sw)
{
	sw->closing = true;
}
