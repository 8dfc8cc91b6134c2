/*
 * record.c - record commands, where no store has records yet.
 */
#include "config.h"

#include "proto/record.h"
#include "req/answer.h"
#include "req/record.h"
#include "req/req.h"

static bool
refuse(struct client *cl)
{
	struct outq *out = replyq_out(cl->ctx, &cl->q);

	return (out != NULL && answer_text(out, "SERVER_ERROR no store has records"));
}

static bool
refuse_cmd(struct client *cl, struct record_cmd *cmd)
{
	record_cmd_end(cmd);
	return (refuse(cl));
}

bool
record_get(struct client *cl, struct record_cmd *cmd)
{
	return (refuse_cmd(cl, cmd));
}

bool
record_delete(struct client *cl, struct record_cmd *cmd)
{
	return (refuse_cmd(cl, cmd));
}

bool
record_scan(struct client *cl, struct record_cmd *cmd)
{
	return (refuse_cmd(cl, cmd));
}

bool
record_hello(struct client *cl, struct record_cmd *cmd)
{
	return (refuse_cmd(cl, cmd));
}

bool
record_write(struct client *cl, struct record_body *body)
{
	record_body_free(&body);
	return (refuse(cl));
}

uint64_t
record_value_max(const struct client *cl, const struct record_cmd *cmd)
{
	(void)cl, (void)cmd;
	return (64 << 20);
}
