/*
 * record_read.c - kg and ks: pages of items.
 *
 * A page is asked for in ops until it is full, or nothing more is there, or there is no time: a store may know less
 * well than we do how much fits, and dead rows are work that gives nothing. What the page has is written to the answer
 * as it is found, so it is the page that is held and never the record; the place that was reached makes the token.
 *
 *	record_get() -> ask -> found() found() ... done() -> ask -> ... -> end
 *
 * The place is that of the last item that was given, or of the last row that the store has looked at. What comes behind
 * it is asked for by the next op, so an item that is there all the time comes once, whatever happens beside it.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "cache/cache.h"
#include "obs/metric.h"
#include "proto/record_reply.h"
#include "req/answer.h"
#include "req/record.h"
#include "req/record_read.h"
#include "req/send.h"

#define MS		1000u		/* microseconds */
#define GUESS_FIRST	64u		/* items of a page, where nothing is known of their size */
#define GUESS_MAX	10000u
#define BARREN_MAX	8		/* ops in a row that find nothing alive, until the client has to ask again */
#define WEIGH		(256 * 1024)	/* bytes of a page that count as much as a plain request */
#define FAIR_SHARE	(64 * 1024)	/* of a page, that may be held however short memory is */

static void reading_ask(struct reading *);

/* ---- the end ---- */

static void
reading_unref(struct reading *rd)
{
	if (--rd->refs > 0)
		return;
	free(rd->fetch);
	record_cmd_end(&rd->cmd);
	free(rd);
}

static void
reading_hold(struct record_task *task, int by)
{
	struct reading *rd = CONTAINER_OF(task, struct reading, task);

	if (by > 0)
		rd->refs++;
	else
		reading_unref(rd);
}

/* What the next page of this namespace may guess. */
static void
reading_learn(struct reading *rd)
{
	struct ns_stats *ns = rd->r->space->stats;
	uint32_t size;

	if (rd->items == 0)
		return;
	size = (uint32_t)(rd->bytes / rd->items);
	ns->item_size = ns->item_size == 0 ? size : ns->item_size - ns->item_size / 8 + size / 8;
	rd->size = rd->size == 0 ? size : (rd->size + size) / 2;
}

static void
reading_count(const struct reading *rd)
{
	struct ns_stats *ns = rd->r->space->stats;

	NS_ADD(ns, gets);
	if (rd->items > 0)
		NS_ADD(ns, hits);
	else
		NS_ADD(ns, misses);
	METRIC_ADD(&rd->r->ctx->metrics, record_pages, 1);
	METRIC_ADD(&rd->r->ctx->metrics, record_items, rd->items);
}

/* The request is over; its answer is written. */
static void
reading_over(struct reading *rd)
{
	struct req *r = rd->r;

	if (r->q != NULL)
		replyq_learn(r->q, rd->bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)rd->bytes,
		    r->ctx->conf->client_buffer_max);
	rd->r = NULL;
	reading_unref(rd);
	record_end(r);
}

/* reason NULL: there is nothing more. */
static void
reading_end(struct reading *rd, const char *reason)
{
	struct page_at at = { .id = place_id(&rd->place), .key = place_key(&rd->place), .done = rd->ndone,
	    .left = rd->left };
	struct outq *out = req_out(rd->r);
	char token[PAGE_TOKEN_MAX], line[RECORD_REPLY_MAX], *e = token;

	reading_learn(rd);
	reading_count(rd);
	at.size = rd->size;
	if (reason != NULL && strcmp(reason, "limit") != 0)
		e = page_put(token, &rd->ask, &at);
	e = record_reply_end(line, &rd->cmd, slice_of(token, (size_t)(e - token)), reason, rd->items > 0);
	if (out != NULL && !outq_append(out, line, (size_t)(e - line)))
		req_broken(rd->r);
	reading_over(rd);
}

/* A failure that the namespace would rather have as nothing; not in the middle of a record. */
static bool
forgives(const struct reading *rd, enum err err)
{
	const struct space *sp = rd->r->space;

	return ((rd->cmd.flags & RF_TOKEN) == 0 && (sp->conf->on_error == ON_ERROR_MISS ||
	    (err == ERR_DOWN && sp->pool->conf->on_down == ON_DOWN_MISS)));
}

void
reading_failed(struct reading *rd, enum err err, const char *why)
{
	struct outq *out = req_out(rd->r);

	if (rd->r->q == NULL) {
		reading_over(rd);
		return;
	}
	if (rd->bad == NULL)
		METRIC_ADD(&rd->r->ctx->metrics, store_errors, 1);
	/* What there is, is good; who goes on from there hears of the failure if it lasts. */
	if (rd->items > 0) {
		reading_end(rd, err == ERR_TIMEOUT ? "slo" : "partial");
		return;
	}
	NS_ADD(rd->r->space->stats, errors);
	if (forgives(rd, err)) {
		reading_end(rd, NULL);
		return;
	}
	if (out != NULL && !answer_server_error(out, why))
		req_broken(rd->r);
	reading_over(rd);
}

/* ---- from op to op ---- */

/* The op has looked at all that it may. False: there is nothing behind it. */
static bool
reading_behind(struct reading *rd)
{
	const struct rec_op *rec = &rd->task.rec;

	/* What was found last did not come into the page. */
	if (rd->full != NULL)
		return (true);
	if (rec->more) {
		/* A store that has not moved would be asked the same for ever. */
		if (rec->next.p == NULL && rd->op_items == 0)
			return (false);
		if (rec->next.p != NULL && !reading_is_at(rd, rec->next))
			reading_reached(rd, reading_is_scan(rd) ? rec->next_id : rd->cmd.key, rec->next);
	}
	if (rec->more || !reading_is_scan(rd))
		return (rec->more);
	rd->ndone++;
	rd->place.known = false;
	return (rd->ndone < rd->r->space->pool->nservers);
}

/* Why the page ends here; NULL: more may come into it. */
static const char *
reading_reason(struct reading *rd)
{
	const struct ctx *ctx = rd->r->ctx;
	const struct rec_op *rec = &rd->task.rec;

	/* The store counts as we do. */
	if (rec->more && rec->end == REC_BYTES && rd->items > 0 && !rd->skipped)
		return ("size");
	if (rd->deadline != 0 && ((rec->more && rec->end == REC_DEADLINE) || loop_now(ctx->loop) >= rd->deadline))
		return ("slo");
	rd->barren = rd->op_items > 0 ? 0 : rd->barren + 1;
	if (rd->barren == BARREN_MAX)
		return ("partial");
	if (rd->bytes > FAIR_SHARE && !ctx_may_hold(ctx, outpool_used(ctx->outpool)))
		return ("partial");
	return (NULL);
}

void
reading_go_on(struct reading *rd, bool more)
{
	const char *reason;

	if (rd->r->q == NULL) {
		reading_over(rd);
		return;
	}
	req_park(rd->r);
	more = more && !(reading_is_list(rd) && rd->ndone == rd->cmd.nkeys);
	if (!more && rd->full == NULL) {
		reading_end(rd, NULL);
		return;
	}
	reason = rd->full != NULL ? rd->full : reading_reason(rd);
	if (reason != NULL)
		reading_end(rd, reason);
	else
		reading_ask(rd);
}

/* be_op.done */
static void
reading_done(struct be_op *be)
{
	struct reading *rd = CONTAINER_OF(be->rec, struct reading, task.rec);
	char buf[RECORD_WHY_MAX];
	const char *why = record_failure(be, buf);

	CHECK_OBJ(rd->r, REQ_MAGIC);
	if (rd->r->q == NULL)
		reading_over(rd);
	else if (rd->bad != NULL)
		reading_failed(rd, ERR_BADVALUE, rd->bad);
	else if (rd->fetches) {
		/* Whatever else the op has found is asked for again. */
		rd->task.rec.more = false;
		reading_fetch(rd);
	} else if (why != NULL && rd->full == NULL)
		reading_failed(rd, be->err, why);
	else
		reading_go_on(rd, reading_behind(rd));
}

/* So many items may fit, for stores that are asked by count. */
static uint32_t
reading_guess(const struct reading *rd, uint64_t room)
{
	uint64_t size = rd->items > 0 ? rd->bytes / rd->items : rd->size, n;

	if (size == 0)
		size = rd->r->space->stats->item_size;
	n = size == 0 ? GUESS_FIRST : room / size + 1;
	if (rd->left > 0 && n > rd->left)
		n = rd->left;
	return (n > GUESS_MAX ? GUESS_MAX : (uint32_t)n);
}

static void
reading_which(struct reading *rd)
{
	struct rec_which *w = &rd->task.rec.which;

	*w = rd->which;
	if (!reading_is_list(rd))
		return;
	w->keys += rd->ndone;
	w->nkeys -= rd->ndone;
}

/* Microseconds that an op may take; 0: as long as the store lets it. */
static uint64_t
reading_timeout(const struct reading *rd)
{
	uint64_t now = loop_now(rd->r->ctx->loop);

	return (rd->end == 0 ? 0 : rd->end > now ? rd->end - now : 1);
}

static void
reading_ask(struct reading *rd)
{
	struct req *r = rd->r;
	struct pool *p = r->space->pool;
	struct rec_op *rec = &rd->task.rec;

	rd->from = rd->place;
	rd->op_items = 0;
	rd->skipped = false;
	rec->after_id = reading_is_scan(rd) ? place_id(&rd->from) : SLICE_NULL;
	rec->after = place_key(&rd->from);
	rec->items_max = rd->left > UINT32_MAX ? UINT32_MAX : (uint32_t)rd->left;
	/* None would be any number. */
	rec->bytes_max = rd->page > rd->bytes ? rd->page - rd->bytes : 1;
	rec->guess = reading_guess(rd, rec->bytes_max);
	rec->deadline = rd->deadline;
	rec->more = false;
	rec->next_id = rec->next = SLICE_NULL;
	rec->end = REC_END;
	reading_which(rd);
	r->be.timeout = reading_timeout(rd);
	r->be.rest = rd->items > 0;
	if (reading_is_scan(rd)) {
		METRIC_ADD(&r->ctx->metrics, store_requests, 1);
		p->ops->submit(p->servers[rd->ndone], &r->be);
	} else
		send_op(r);
}

/* ---- the beginning ---- */

static void
reading_bounds(struct reading *rd)
{
	const struct conf_ns *ns = rd->r->space->conf;
	const struct record_cmd *cmd = &rd->cmd;
	uint64_t now = loop_now(rd->r->ctx->loop), max = ns->slo_read.max;

	rd->page = (cmd->flags & RF_BYTES) != 0 ? cmd->bytes : ns->page_bytes;
	if (rd->page > ns->page_bytes_max)
		rd->page = ns->page_bytes_max;
	if ((cmd->flags & RF_ITEMS) != 0)
		rd->left = cmd->items;
	if (max > 0) {
		/* The answer has to be written, sent and read, too. */
		rd->end = now + max;
		rd->deadline = rd->end - max / 8;
	}
	/* What the client has set is when it wants what there is, and no bound for the store. */
	if ((cmd->flags & RF_DEADLINE) != 0 && cmd->deadline < UINT32_MAX &&
	    (max == 0 || now + cmd->deadline * MS < rd->deadline))
		rd->deadline = now + cmd->deadline * MS;
}

static void
reading_predicate(struct reading *rd)
{
	const struct record_cmd *cmd = &rd->cmd;
	struct rec_which *w = &rd->which;

	w->keys = cmd->keys;
	w->nkeys = cmd->nkeys;
	w->from = (cmd->flags & RF_FROM) != 0 ? cmd->from : SLICE_NULL;
	w->until = (cmd->flags & RF_UNTIL) != 0 ? cmd->until : SLICE_NULL;
	w->head = (cmd->flags & RF_HEAD) != 0 ? cmd->head : SLICE_NULL;
	w->reverse = (cmd->flags & RF_REVERSE) != 0;
}

static void
reading_values(struct reading *rd)
{
	const struct record_cmd *cmd = &rd->cmd;
	bool some = (cmd->flags & RF_VALUE_MAX) != 0;

	/* A bound of none is no bound: then sizes tell which values are empty. */
	rd->task.rec.values = record_returns(cmd, 'v') && !(some && cmd->value_max == 0);
	rd->task.rec.value_max = some ? cmd->value_max > UINT32_MAX ? UINT32_MAX : (uint32_t)cmd->value_max : 0;
	rd->task.rec.cost = reading_cost;
}

/* Where it is to go on. False: that is no token of this question. */
static bool
reading_resume(struct reading *rd)
{
	const struct record_cmd *cmd = &rd->cmd;
	char raw[PAGE_RAW_MAX];
	struct page_at at;

	if ((cmd->flags & RF_TOKEN) == 0)
		return (true);
	if (!page_get(cmd->token, &rd->ask, &at, raw))
		return (false);
	if (reading_is_scan(rd) ? at.done >= rd->r->space->pool->nservers : at.done > cmd->nkeys)
		return (false);
	rd->ndone = at.done;
	rd->left = at.left;
	rd->size = at.size;
	if (at.key.p != NULL)
		place_set(&rd->place, at.id, at.key);
	return (true);
}

/* Takes the command. NULL: out of memory. */
static struct reading *
reading_new(struct client *cl, const struct space *sp, struct record_cmd *cmd, uint8_t verb)
{
	struct reading *rd = calloc(1, sizeof *rd);

	if (rd == NULL || (rd->r = record_req(cl->ctx, &cl->q, sp)) == NULL) {
		record_cmd_end(cmd);
		free(rd);
		return (NULL);
	}
	rd->task.hold = reading_hold;
	rd->refs = 1;
	rd->cmd = *cmd;
	rd->cmd.codecs |= cl->codecs;
	memset(cmd, 0, sizeof *cmd);
	reading_bounds(rd);
	reading_predicate(rd);
	reading_values(rd);
	rd->task.rec.part = rd->cmd.part;
	rd->task.rec.parts = rd->cmd.parts;
	rd->ask = (struct page_ask){ .verb = verb, .space = slice_str(sp->conf->name), .id = rd->cmd.key,
	    .which = &rd->which, .part = rd->cmd.part, .parts = rd->cmd.parts };
	record_op(&rd->r->be, sp, verb, verb == OP_SCAN ? SLICE_LIT("") : rd->cmd.key, &rd->task.rec);
	rd->r->be.found = reading_found;
	rd->r->be.done = reading_done;
	return (rd);
}

static bool
reading_begin(struct client *cl, const struct space *sp, struct record_cmd *cmd, uint8_t verb)
{
	struct reading *rd = reading_new(cl, sp, cmd, verb);
	struct outq *out;

	if (rd == NULL)
		return (false);
	if (!reading_resume(rd)) {
		out = req_out(rd->r);
		if (!answer_text(out, "CLIENT_ERROR bad page token"))
			req_broken(rd->r);
		reading_over(rd);
		return (true);
	}
	/* A scan takes many steps, and what its client says next comes behind all of them. */
	req_weigh(rd->r, verb == OP_SCAN ? UINT16_MAX : 1 + (unsigned)(rd->page / WEIGH));
	reading_ask(rd);
	return (true);
}

static bool
refuse(struct client *cl, struct record_cmd *cmd, const char *why)
{
	record_cmd_end(cmd);
	return (record_say(cl, why));
}

bool
record_get(struct client *cl, struct record_cmd *cmd)
{
	char why[RECORD_WHY_MAX];
	const struct space *sp;

	if (cmd->error != NULL)
		return (refuse(cl, cmd, cmd->error));
	sp = record_space(cl->ctx, (cmd->flags & RF_SPACE) != 0 ? cmd->space : SLICE_NULL, cmd->key, why);
	if (sp == NULL || !record_id(sp, cmd->key, why))
		return (refuse(cl, cmd, why));
	return (reading_begin(cl, sp, cmd, OP_ITEMS_READ));
}

bool
record_scan(struct client *cl, struct record_cmd *cmd)
{
	char why[RECORD_WHY_MAX];
	const struct space *sp;

	if (cmd->error != NULL)
		return (refuse(cl, cmd, cmd->error));
	sp = record_space(cl->ctx, cmd->key, SLICE_NULL, why);
	if (sp == NULL)
		return (refuse(cl, cmd, why));
	if ((cmd->flags & RF_PART) == 0)
		cmd->part = cmd->parts = 1;
	return (reading_begin(cl, sp, cmd, OP_SCAN));
}
