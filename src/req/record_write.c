/*
 * record_write.c - kp, kd and km: puts and deletes of items.
 *
 * Each sub-command is a mutation: an op of its own, with the version that they all have. What one would undo of
 * another is not done in the first place (record_plan.h), so they go out beside each other, a few at a time; those on
 * one record as one chain where the store takes chains. With `a` all of it is one chain.
 *
 *	writing --> mutation, mutation ...		one record
 *	        --> mutation				another
 *
 * Local copies of what is written are fenced from the beginning until the last of it is over, which where there are
 * replicas may be after the client has been told.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "obs/metric.h"
#include "proto/record_reply.h"
#include "req/answer.h"
#include "req/cut.h"
#include "req/record.h"
#include "req/record_write.h"
#include "req/send.h"
#include "req/through.h"
#include "req/version.h"

#define OUT_MAX		64	/* ops under way */
#define HIGHER_BY	16	/* than a version that is in the way: a delete in the same chain may go above it, too */
#define ROUNDS_MAX	8	/* until a version for pieces is found that the item may have */
#define BARRIER		8192	/* of requests of one client: none may be so many */
#define CUT_MIN		64	/* more items than that end all local copies of the record, not just theirs */

static void mutation_done(struct be_op *);

/* ---- local copies, memory ---- */

/* What is written of one record by one sub-command. */
static uint32_t
op_items(const struct plan_op *op)
{
	return (plan_is_put(op) ? op->sub->nitems : op->sub->cmd.nkeys);
}

static struct slice
op_item(const struct plan_op *op, uint32_t i)
{
	return (plan_is_put(op) ? op->sub->items[i].key : op->sub->cmd.keys[i]);
}

static bool
cuts_record(const struct plan_op *op)
{
	return (plan_is_range(op) || op_items(op) > CUT_MIN);
}

static void
cut_begin(struct ctx *ctx, const struct plan_op *op)
{
	if (cuts_record(op))
		cut_record_begin(ctx, op->space, op->sub->cmd.key);
	else
		for (uint32_t i = 0; i < op_items(op); i++)
			cut_item_begin(ctx, op->space, op->sub->cmd.key, op_item(op, i));
}

/* known: what has become of it is. */
static void
cut_end(struct ctx *ctx, const struct plan_op *op, bool known)
{
	if (cuts_record(op))
		cut_record_end(ctx, op->space, op->sub->cmd.key, known);
	else
		for (uint32_t i = 0; i < op_items(op); i++)
			cut_item_end(ctx, op->space, op->sub->cmd.key, op_item(op, i), known);
}

static void
writing_free(struct writing *w)
{
	if (w->body != NULL)
		record_body_free(&w->body);
	else
		record_cmd_end(&w->sub.cmd);
	plan_end(&w->plan);
	free(w->ops);
	free(w->mutations);
	free(w->puts);
	free(w->bodies);
	while (w->nmade > 0)
		free(w->made[--w->nmade]);
	free(w->made);
	free(w->sources);
	free(w->keys);
	free(w);
}

static void
writing_unref(struct writing *w)
{
	if (--w->refs > 0)
		return;
	for (size_t i = 0; i < w->n; i++)
		cut_end(w->ctx, &w->ops[i], w->nfailed == 0);
	writing_free(w);
}

static void
mutation_hold(struct record_task *task, int by)
{
	struct writing *w = CONTAINER_OF(task, struct mutation, task)->w;

	if (by > 0)
		w->refs++;
	else
		writing_unref(w);
}

/* ---- the end ---- */

static void
writing_tell(struct writing *w, struct outq *out)
{
	char line[RECORD_REPLY_MAX], *e = line;
	bool good;

	if (w->nfailed == 0) {
		e = record_reply_done(line, w->cmd, w->cas);
		good = outq_append(out, line, (size_t)(e - line));
	} else if (w->cmd->id == CMD_KM) {
		snprintf(line, sizeof line, "%u of %zu failed: %s", w->nfailed, w->n, w->why);
		good = answer_server_error(out, line);
	} else
		good = answer_server_error(out, w->why);
	if (!good)
		req_broken(w->r);
}

void
writing_end(struct writing *w)
{
	struct req *r = w->r;
	struct outq *out = req_out(r);

	if (out != NULL)
		writing_tell(w, out);
	if (w->nfailed > 0)
		NS_ADD(r->space->stats, errors);
	METRIC_ADD(&w->ctx->metrics, record_writes, 1);
	w->ctx->held -= r->held;
	if (r->q != NULL)
		r->q->held -= r->held;
	w->r = NULL;
	writing_unref(w);
	record_end(r);
}

/* ---- mutations ---- */

/* The next one on the record of which something is left. */
static struct mutation *
mutation_next(const struct mutation *m)
{
	for (const struct plan_op *op = m->op->next; op != NULL; op = op->next)
		if (op->left > 0)
			return (&m->w->mutations[op - m->w->ops]);
	return (NULL);
}

static void
mutation_fill(struct mutation *m, struct be_op *be)
{
	const struct writing *w = m->w;
	const struct plan_op *op = m->op;
	const struct record_cmd *cmd = w->cmd;

	record_op(be, op->space, plan_is_put(op) ? OP_ITEMS_PUT : OP_ITEMS_DELETE, op->sub->cmd.key, &m->task.rec);
	m->task.hold = mutation_hold;
	be->version = m->version;
	if ((cmd->flags & RF_TIME) != 0) {
		be->op.opts |= OPF_TOKEN;
		memcpy(be->nonce, cmd->nonce, NONCE_LEN);
	}
	if (!plan_is_put(op))
		be->keep_dead = through_keep_dead(w->ctx, op->space->conf);
	be->timeout = op->space->conf->slo_write.max;
	be->done = mutation_done;
	m->task.rec.kept = w->in_pieces ? writing_kept : NULL;
}

/* The one that goes with it, behind it; NULL: none. */
static struct mutation *
mutation_behind(const struct mutation *m)
{
	struct writing *w = m->w;

	if ((w->cmd->flags & RF_ATOMIC) == 0)
		return (w->chains ? mutation_next(m) : NULL);
	for (struct mutation *next = w->mutations + (m - w->mutations) + 1; next < w->mutations + w->n; next++)
		if (next->op->left > 0)
			return (next);
	return (NULL);
}

/* Whether an op begins with it; what comes behind it in a chain goes with it. */
static struct mutation *
mutation_leads(struct mutation *m)
{
	const struct writing *w = m->w;

	if (!w->chains || (w->cmd->flags & RF_ATOMIC) != 0)
		return (m->op->left > 0 ? m : NULL);
	if (!m->op->first)
		return (NULL);
	return (m->op->left > 0 ? m : mutation_next(m));
}

void
mutation_failed(struct mutation *m, const char *why)
{
	struct writing *w = m->w;

	if (w->nfailed == 0)
		snprintf(w->why, sizeof w->why, "%s", why);
	for (; m != NULL; m = mutation_behind(m)) {
		m->over = true;
		w->nfailed++;
	}
	if ((w->cmd->flags & RF_ATOMIC) != 0)
		w->nfailed = (uint32_t)w->n;
}

struct mutation *
mutation_lead(struct mutation *m)
{
	for (struct mutation *lead = m->w->mutations; lead < m; lead++)
		for (struct mutation *next = mutation_leads(lead); next != NULL; next = mutation_behind(next))
			if (next == m)
				return (mutation_leads(lead));
	return (m);
}

/* What was asked for counts, not what is left of it. */
static void
mutation_count(const struct mutation *m)
{
	const struct record_sub *sub = m->op->sub;
	uint32_t n = plan_is_put(m->op) ? sub->nitems : plan_is_range(m->op) ? 1 : sub->cmd.nkeys;

	if (plan_is_put(m->op)) {
		METRIC_ADD(&m->w->ctx->metrics, record_puts, n);
		NS_ADD_N(m->op->space->stats, sets, n);
	} else {
		METRIC_ADD(&m->w->ctx->metrics, record_deletes, n);
		NS_ADD_N(m->op->space->stats, deletes, n);
	}
}

/* It is written, and what goes with it. */
static void
mutation_written(struct mutation *m)
{
	for (; m != NULL; m = mutation_behind(m)) {
		m->over = m->written = true;
		mutation_count(m);
	}
}

/* All that goes out as one: m first. */
static void
mutation_chain(struct mutation *m, struct be_op *be)
{
	while ((m = mutation_behind(m)) != NULL) {
		mutation_fill(m, &m->be);
		be = be->also = &m->be;
	}
}

/* False: it has failed already. */
static bool
mutation_send(struct mutation *m)
{
	struct writing *w = m->w;
	struct req *r = w->ctx->closing ? NULL : record_req(w->ctx, NULL, m->op->space);

	if (r == NULL) {
		mutation_failed(m, w->ctx->closing ? "cancelled" : "out of memory");
		return (false);
	}
	r->write = true;
	mutation_fill(m, &r->be);
	mutation_chain(m, &r->be);
	send_op(r);
	return (true);
}

/*
 * Until all of it is on its way, no further command of the client is looked at: a read behind it would overtake what
 * has to wait. With pieces nothing is certain before the end.
 */
void
writing_bar(struct writing *w)
{
	struct req *r = w->r;
	bool was = r->weight > 1, is = w->next < w->n || w->in_pieces;

	if (r->q == NULL || was == is)
		return;
	req_weigh(r, is ? BARRIER : 1);
	if (was)
		r->q->advanced(r->q);
}

/* What needs a version above one that is there gets it, and goes out again. */
static void
writing_again(struct writing *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->mutations[i].over && plan_is_put(&w->ops[i]))
			w->mutations[i].version = w->higher + HIGHER_BY;
	w->higher = 0;
	w->next = 0;
	writing_store(w);
}

/* All that went out has ended. */
static void
writing_ended(struct writing *w)
{
	if (w->higher != 0 && ++w->rounds <= ROUNDS_MAX && !w->ctx->closing) {
		writing_again(w);
		return;
	}
	for (size_t i = 0; i < w->n && w->higher != 0; i++)
		if (w->ops[i].left > 0 && !w->mutations[i].over)
			mutation_failed(mutation_lead(&w->mutations[i]), "others write the same all the time");
	if (w->in_pieces)
		writing_settle(w);
	else
		writing_end(w);
}

void
writing_go(struct writing *w)
{
	while (w->next < w->n && w->nout < OUT_MAX) {
		struct mutation *m = mutation_leads(&w->mutations[w->next++]);

		if (m == NULL || m->over)
			continue;
		if (mutation_send(m))
			w->nout++;
		if ((w->cmd->flags & RF_ATOMIC) != 0)
			w->next = w->n;
	}
	if (w->nout == 0)
		writing_ended(w);
	else
		writing_bar(w);
}

/* be_op.done */
static void
mutation_done(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be);
	struct mutation *m = CONTAINER_OF(be->rec, struct mutation, task.rec);
	struct writing *w = m->w;
	char buf[RECORD_WHY_MAX];
	const char *why = record_failure(be, buf);

	CHECK_OBJ(r, REQ_MAGIC);
	/* Pieces are named by a version that is too low for the item. */
	if (be->err == ERR_NONE && be->res.status == OP_ERROR && (be->res.bits & OPR_ENCODED) != 0)
		w->higher = be->res.cas > w->higher ? be->res.cas : w->higher;
	else if (why != NULL) {
		METRIC_ADD(&w->ctx->metrics, store_errors, 1);
		mutation_failed(m, why);
	} else {
		mutation_written(m);
		if (be->res.cas > w->version)
			space_version_seen(m->op->space, be->res.cas);
		w->cas = be->res.cas > w->cas ? be->res.cas : w->cas;
	}
	record_end(r);
	w->nout--;
	writing_go(w);
}

/* All that is to be written is known to be good. NULL: it is ready; else what the client is to hear. */
static const char *
writing_prepare(struct writing *w, struct client *cl)
{
	size_t held = w->body != NULL ? record_body_size(w->body) : 0;
	const char *error;

	if (!plan_make(&w->plan, w->ops, w->n))
		return (RECORD_NO_MEM);
	error = writing_mutations(w);
	if (error != NULL)
		return (error);
	w->r = record_req(cl->ctx, &cl->q, w->ops[0].space);
	if (w->r == NULL)
		return (RECORD_NO_MEM);
	w->r->held = held > UINT32_MAX ? UINT32_MAX : (uint32_t)held;
	w->ctx->held += w->r->held;
	cl->q.held += w->r->held;
	return (NULL);
}

/* Of one record, whose first op is given: deletes of ranges are above all tokens, and what is put there above them. */
static void
writing_version_of(struct writing *w, const struct plan_op *first)
{
	uint64_t above = 0;

	for (const struct plan_op *op = first; above == 0 && op != NULL; op = op->next)
		if (plan_is_range(op) && (w->cmd->flags & RF_TIME) == 0)
			above = space_version_above(w->ctx, op->space);
	for (const struct plan_op *op = first; op != NULL; op = op->next)
		w->mutations[op - w->ops].version = above == 0 ? w->version : plan_is_put(op) ? above + 1 : above;
}

static void
writing_version(struct writing *w)
{
	bool token = (w->cmd->flags & RF_TIME) != 0;

	w->version = token ? w->cmd->time : shared_version(w->ctx->shared);
	w->cas = w->version;
	for (size_t i = 0; i < w->n; i++)
		if (w->ops[i].first)
			writing_version_of(w, &w->ops[i]);
}

/* ---- */

static bool
writing_refuse(struct client *cl, struct writing *w, const char *error)
{
	writing_free(w);
	return (record_say(cl, error));
}

/* Takes what it is given. */
static bool
writing_begin(struct client *cl, struct writing *w)
{
	char why[RECORD_WHY_MAX];
	const char *error;

	w->refs = 1;
	w->ctx = cl->ctx;
	w->ops = calloc(w->n, sizeof *w->ops);
	if (w->ops == NULL)
		return (writing_refuse(cl, w, RECORD_NO_MEM));
	if (!writing_check(w, why))
		return (writing_refuse(cl, w, why));
	error = writing_prepare(w, cl);
	if (error != NULL)
		return (writing_refuse(cl, w, error));
	writing_version(w);
	for (size_t i = 0; i < w->n; i++)
		cut_begin(w->ctx, &w->ops[i]);
	if (w->in_pieces)
		writing_store(w);
	else
		writing_go(w);
	return (true);
}

const char *
record_line_check(void *client, const struct record_cmd *cmd, char why[RECORD_WHY_MAX])
{
	const struct client *cl = client;
	struct slice name = (cmd->flags & RF_SPACE) != 0 ? cmd->space : SLICE_NULL;
	const struct space *sp = record_space(cl->ctx, name, cmd->key, why);

	return (sp != NULL && record_id(sp, cmd->key, why) ? NULL : why);
}

bool
record_write(struct client *cl, struct record_body *body)
{
	struct writing *w = calloc(1, sizeof *w);

	if (w == NULL) {
		record_body_free(&body);
		return (record_say(cl, RECORD_NO_MEM));
	}
	w->body = body;
	w->cmd = &body->cmd;
	w->subs = body->subs;
	w->n = body->nsubs;
	return (writing_begin(cl, w));
}

bool
record_delete(struct client *cl, struct record_cmd *cmd)
{
	struct writing *w = calloc(1, sizeof *w);

	if (w == NULL) {
		record_cmd_end(cmd);
		return (record_say(cl, RECORD_NO_MEM));
	}
	w->sub.cmd = *cmd;
	memset(cmd, 0, sizeof *cmd);
	w->cmd = &w->sub.cmd;
	w->subs = &w->sub;
	w->n = 1;
	return (writing_begin(cl, w));
}

uint64_t
record_value_max(const struct client *cl, const struct record_cmd *cmd)
{
	const struct ctx *ctx = cl->ctx;
	char why[RECORD_WHY_MAX];
	const struct space *sp;
	uint64_t most = 0;

	if (cmd->id == CMD_KP) {
		sp = record_space(ctx, (cmd->flags & RF_SPACE) != 0 ? cmd->space : SLICE_NULL, cmd->key, why);
		if (sp != NULL)
			return (sp->conf->item_size_max > 0 ? sp->conf->item_size_max : UINT64_MAX);
	}
	/* What the sub-commands are about is not known yet, or there is an error that comes first. */
	for (unsigned i = 0; i < ctx->conf->nspaces; i++)
		if (ctx->conf->spaces[i].item_size_max > most)
			most = ctx->conf->spaces[i].item_size_max;
	return (most > 0 ? most : UINT64_MAX);
}
