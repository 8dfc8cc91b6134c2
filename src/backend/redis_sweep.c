/*
 * redis_sweep.c - what is dead in records is removed, behind the ops that have seen it.
 *
 * Deletes of ranges and records only leave a mark, whatever they cover, and what expires leaves its index behind. Who
 * sees that asks for a sweep: a script that removes a bounded number, as often as there is more. One is under way at a
 * time.
 * What is lost with a connection or this process is seen again by the next read.
 */
#include "config.h"

#include <string.h>

#include "backend/redis.h"
#include "base/check.h"

static void sweep_done(struct be_op *);

static void
sweep_send(struct redis_sweeper *sw)
{
	struct redis_sweep *s = &sw->todo[0];

	memset(&sw->op, 0, sizeof sw->op);
	memset(&sw->rec, 0, sizeof sw->rec);
	sw->ns = (struct conf_ns){ .prefix = s->prefix, .prefix_len = s->prefix_len, .format = FORMAT_ITEM,
	    .separator_len = 1 };
	sw->op.op.verb = REDIS_OP_SWEEP;
	sw->op.format = FORMAT_ITEM;
	sw->op.ns = &sw->ns;
	sw->op.id = slice_of(s->id, s->id_len);
	sw->op.op.key = sw->op.id;
	sw->op.op.hash = s->id_len;
	sw->op.rec = &sw->rec;
	sw->rec.after = slice_of(s->key, s->key_len);
	sw->op.done = sweep_done;
	sw->out = true;
	sw->submit(sw->be, &sw->op);
}

static void
sweep_done(struct be_op *op)
{
	struct redis_sweeper *sw = CONTAINER_OF(op, struct redis_sweeper, op);

	sw->out = false;
	if (sw->closing)
		return;
	if (op->err != ERR_NONE || op->res.status != OP_OK) {
		sw->n--;
		memmove(&sw->todo[0], &sw->todo[1], sw->n * sizeof sw->todo[0]);
	}
	if (sw->n == 0)
		return;
	sweep_send(sw);
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
	if (!sw->out)
		sweep_send(sw);
}

void
redis_sweeper_init(struct redis_sweeper *sw, struct backend *be, void (*submit)(struct backend *, struct be_op *))
{
	sw->be = be;
	sw->submit = submit;
	sw->out = sw->closing = false;
	sw->n = 0;
}

void
redis_sweeper_fini(struct redis_sweeper *sw)
{
	sw->closing = true;
}
