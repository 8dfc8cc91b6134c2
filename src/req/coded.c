/*
 * coded.c - where requests on item namespaces pass: on their way out and with their outcome.
 *
 * What is in the store is plain, or encoded, or in pieces (each of them encoded or not). coded_read.c makes all of them
 * plain, coded_write.c is the other way. A write that depends on what is there comes back undone if that is encoded
 * (OPR_ENCODED); coded_relative.c then does it.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "req/coalesce.h"
#include "req/coded.h"
#include "req/coded_internal.h"
#include "req/encode.h"
#include "req/hold.h"
#include "req/send.h"
#include "req/through_internal.h"
#include "req/value.h"

static void	coded_done(struct be_op *);
static void	coded_resume(struct req *);

struct coded *
coded_of(struct req *r)
{
	if (r->coded == NULL)
		r->coded = calloc(1, sizeof *r->coded);
	return (r->coded);
}

void
coded_drop_value(struct value **vp)
{
	if (*vp != NULL)
		value_unref(*vp);
	*vp = NULL;
}

void
coded_free(struct req *r)
{
	struct coded *c = r->coded;

	if (LIKELY(c == NULL))
		return;
	r->coded = NULL;
	coded_drop_value(&c->sent);
	coded_drop_value(&c->joined);
	coded_drop_value(&c->whole);
	hold_drop(&c->hold, coded_resume);
	free(c);
}

struct value *
coded_sent(const struct req *r)
{
	return (r->coded == NULL ? NULL : r->coded->sent != NULL ? r->coded->sent : r->coded->joined);
}

void
coded_error(struct req *r, enum err err, const char *why)
{
	r->be.err = err;
	r->be.why = why;
	r->be.data = SLICE_NULL;
}

void
coded_fail(struct req *r, enum err err, const char *why)
{
	coded_error(r, err, why);
	through_done(&r->be);
}

void
coded_bad(struct req *r, const char *why)
{
	const struct conf_store *st = r->space->pool->conf;
	struct coded *c = coded_of(r);

	if (c != NULL)
		snprintf(c->why, sizeof c->why, "store \"%s\": %s", st->name, why);
	coded_error(r, ERR_BADVALUE, c != NULL ? c->why : why);
}

void
coded_keep_why(struct req *r, const char *why)
{
	struct coded *c = r->coded;

	snprintf(c->why, sizeof c->why, "%s", why);
	r->be.why = c->why;
}

void
coded_outcome(struct req *r, enum op_status status)
{
	r->be.err = ERR_NONE;
	r->be.res = (struct op_result){ .status = (uint8_t)status };
	r->be.data = SLICE_NULL;
}

void
coded_send(struct req *r)
{
	r->be.done = coded_done;
	send_op(r);
}
/* ---- outcomes ---- */

/* A write that was sent in the place of the client's op. False: its outcome is the client's. */
static bool
coded_replayed(struct req *r)
{
	const struct coded *c = r->coded;
	uint8_t status = r->be.res.status;

	if (c == NULL || c->stage == CODED_ASKED || r->be.err != ERR_NONE)
		return (false);
	if (status == OP_OK && c->stage != CODED_PLAIN)
		return (false);
	if (status == OP_EXISTS && c->stage == CODED_KEPT && (c->asked.opts & OPF_CAS) != 0)
		return (false);
	if (status == OP_ERROR)
		return (false);
	/* Plain now, or another value than was read. */
	coded_again(r);
	return (true);
}

static void
coded_write_done(struct req *r)
{
	struct op_result *res = &r->be.res;
	bool encoded = r->be.err == ERR_NONE && (res->bits & OPR_ENCODED) != 0;
	bool pieces = r->be.head != NULL && r->be.head->chunks != 0;
	bool kept = pieces && r->be.err == ERR_NONE && (res->bits & OPR_KEPT) != 0;

	res->bits &= (uint8_t)~(OPR_ENCODED | OPR_KEPT);
	if (encoded && res->status != OP_OK) {
		if (pieces)
			coded_higher(r);
		else
			coded_relative(r);
		return;
	}
	if (encoded)
		coded_leave_pieces(r, &r->be.found_head);
	pieces = pieces && (kept || coded_named(r));
	if (coded_replayed(r))
		return;
	if (r->coded != NULL && r->coded->joined != NULL && r->be.err == ERR_NONE)
		res->size = value_len(r->coded->joined);
	else if (r->be.op.verb == OP_STORE && !coded_joins(&r->be.op) && r->be.err == ERR_NONE)
		res->size = r->cmd.op.vlen;
	if (kept)
		coded_kept(r);
	else if (pieces)
		coded_settle(r);
	else
		through_done(&r->be);
}

static void
coded_read_then(struct req *r)
{
	through_done(&r->be);
}

/* be_op.done of a req on an item namespace. */
static void
coded_done(struct be_op *be)
{
	struct req *r = CONTAINER_OF(be, struct req, be);

	if (be->op.verb != OP_GET)
		coded_write_done(r);
	else if (LIKELY(be->err != ERR_NONE || (be->res.bits & OPR_ENCODED) == 0))
		through_done(be);
	else {
		/* Whoever asks from now on may be told of what is written meanwhile. */
		if (r->leads)
			coalesce_end(r);
		coded_read(r, coded_read_then);
	}
}

bool
coded_needs_value(const struct space *sp, const struct op *op)
{
	return (sp->conf->format == FORMAT_ITEM && (op->vlen > sp->conf->chunk_size || coded_joins(op)));
}

void
coded_begin(struct req *r)
{
	const struct conf_ns *ns = r->space->conf;

	r->be.done = coded_done;
	r->be.value_max = ns->item_size_max < UINT32_MAX ? (uint32_t)ns->item_size_max : UINT32_MAX;
}

static void
coded_go(struct req *r)
{
	uint32_t len = r->be.op.vlen;
	bool joins = coded_joins(&r->be.op);

	if (r->space->conf->format != FORMAT_ITEM ||
	    (!joins && len <= r->space->conf->chunk_size && !encode_wants(r->space, len))) {
		send_op(r);
		return;
	}
	if (coded_of(r) == NULL) {
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	if (!joins) {
		coded_write(r);
		return;
	}
	r->coded->hold = hold_take(r);
	send_op(r);
}

/* What has waited is sent. */
static void
coded_resume(struct req *r)
{
	if (r->ctx->closing)
		coded_fail(r, ERR_CANCELLED, err_text(ERR_CANCELLED));
	else if (r->be.op.verb == OP_STORE)
		coded_go(r);
	else
		send_op(r);
}

void
coded_store(struct req *r)
{
	if (LIKELY(!hold_waits(r)))
		coded_go(r);
}
