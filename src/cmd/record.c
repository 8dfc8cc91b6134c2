/*
 * record.c - the record commands: read here, carried out by req/record.h.
 *
 * A body is kept in pieces as it comes and counts as held until it is whole; one for which there is no room is read to
 * its end and refused. It belongs to no namespace before that, so a reload meanwhile changes nothing of it.
 */
#include "config.h"

#include <stdlib.h>

#include "cmd/internal.h"
#include "proto/record.h"
#include "req/answer.h"
#include "req/record.h"

static bool
record_refuse(struct client *cl, const char *error)
{
	METRIC_ADD(&cl->ctx->metrics, bad_commands, 1);
	return (!record_is_lost(error) && cmd_say(cl, NULL, error));
}

bool
cmd_record(struct client *cl, const struct command *cmd)
{
	struct record_cmd rc;

	METRIC_ADD(&cl->ctx->metrics, cmd_record, 1);
	record_parse(cmd->line, cmd->id, &rc);
	if (rc.error != NULL)
		return (record_refuse(cl, rc.error));
	switch (cmd->id) {
	case CMD_KG:
		return (record_get(cl, &rc));
	case CMD_KD:
		return (record_delete(cl, &rc));
	case CMD_KS:
		return (record_scan(cl, &rc));
	default:
		return (record_hello(cl, &rc));
	}
}

struct record_body *
cmd_record_begin(struct client *cl, const struct command *cmd)
{
	struct record_body *body = NULL;
	struct record_cmd rc;
	bool good;

	METRIC_ADD(&cl->ctx->metrics, cmd_record, 1);
	record_parse(cmd->line, cmd->id, &rc);
	if (rc.error != NULL && !rc.has_count)
		good = record_refuse(cl, rc.error);
	else {
		body = record_body_new(&rc, rc.error == NULL ? record_value_max(cl, &rc) : 0, record_line_check, cl);
		good = body != NULL;
		if (body != NULL)
			cl->ctx->held += record_body_size(body);
		else
			record_cmd_end(&rc);
	}
	cl->q.broken |= !good;
	return (body);
}

/* A body that is over. */
static void
record_end(struct client *cl, struct record_body *body)
{
	bool good;

	if (body->error == NULL)
		good = record_write(cl, body);
	else {
		cl->close |= body->close;
		good = record_refuse(cl, body->error);
		record_body_free(&body);
	}
	cl->q.broken |= !good;
}

size_t
cmd_record_feed(struct client *cl, struct record_body **bodyp, const char *buf, size_t len)
{
	struct record_body *body = *bodyp;
	struct ctx *ctx = cl->ctx;
	size_t used;
	bool over;

	ctx->held -= record_body_size(body);
	over = record_body_feed(body, buf, len, &used);
	if (!ctx_may_hold(ctx, record_body_size(body)))
		record_body_refuse(body, "SERVER_ERROR out of memory storing object");
	if (over) {
		*bodyp = NULL;
		record_end(cl, body);
	} else
		ctx->held += record_body_size(body);
	return (used);
}

void
cmd_record_drop(struct client *cl, struct record_body **bodyp)
{
	cl->ctx->held -= record_body_size(*bodyp);
	record_body_free(bodyp);
}
