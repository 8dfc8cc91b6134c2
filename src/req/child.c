/*
 * child.c - reqs without a client.
 */
#include "config.h"

#include "base/check.h"
#include "proto/command.h"
#include "req/child.h"
#include "req/coded.h"
#include "req/fill.h"
#include "req/route.h"

struct req *
child_new(struct ctx *ctx, const struct space *sp, const struct op *op, struct slice place, void *owner,
    void (*done)(struct be_op *))
{
	struct command cmd = { .id = CMD_MG, .shape = SHAPE_META, .op = *op, .opaque = place };
	struct req *c;

	if (op->key.len > OP_KEY_MAX)
		cmd.op.key = SLICE_LIT("");
	c = req_new(ctx, NULL, &cmd);
	if (c == NULL)
		return (NULL);
	if (op->key.len > OP_KEY_MAX)
		c->cmd.op.key = op->key;
	METRIC_ADD(&ctx->metrics, requests_inflight, 1);
	req_set_space(c, sp);
	c->be = (struct be_op){ .op = c->cmd.op, .sink = &fill_sink, .format = (uint8_t)sp->conf->format,
	    .done = done };
	route_split(&c->be, sp->conf);
	c->owner = owner;
	c->asked_at = cache_now(ctx->cache);
	c->cfd = -1;
	c->fence = 0;
	return (c);
}

void
child_end(struct req *c)
{
	if (c->value != NULL)
		value_unref(c->value);
	c->value = NULL;
	coded_free(c);
	METRIC_SUB(&c->ctx->metrics, requests_inflight, 1);
	req_done(c);
}
