/*
 * flight_write.c - a write and the servers that are to have it.
 *
 * What changes a value whatever it was (set, delete) goes to all replicas at once and is acknowledged at the quorum,
 * and the rest goes on: without a quorum it is done where it can be, and is an error. What depends on what is there
 * (add, replace, cas, append, incr, touch) goes to the first replica that is well, which decides; the others then get
 * what follows from its answer, so that they cannot decide otherwise. Of these, nothing is done while a quorum cannot
 * be had: who counts again after an error would count twice. What reads as well (touch, gat, mg) needs no quorum.
 */
#include "config.h"

#include <stdio.h>

#include "base/check.h"
#include "obs/metric.h"
#include "req/flight.h"
#include "req/hedge.h"

static bool
is_blind(const struct flight *f)
{
	const struct op *op = &f->r->be.op;

	if (f->r->be.rec != NULL)
		return (true);
	if ((op->opts & (OPF_CAS | OPF_VIVIFY)) != 0)
		return (false);
	/* The unique that is told has to be of the server that compares later. */
	if ((op->want & OPW_CAS) != 0 && f->space->conf->format == FORMAT_RAW)
		return (false);
	return (op->verb == OP_DELETE || (op->verb == OP_STORE &&
	    op->mode == OP_SET));
}

/*
 * Whether the server cannot have carried it out, and will not be asked either: it may go to another one. A server that
 * sheds load is asked again, and would not know what the other one has decided.
 */
static bool
was_not_sent(const struct be_op *be)
{
	return (be->err == ERR_DOWN || be->err == ERR_CONNECT);
}

/* What the other replicas are told once one has done it. False: nothing. */
static bool
follow(struct op *op)
{
	switch (op->verb) {
	case OP_STORE:
		if (op->mode == OP_ADD || op->mode == OP_REPLACE)
			op->mode = OP_SET;
		op->opts &= (uint16_t)~(OPF_CAS | OPF_INVALIDATE);
		return (true);
	case OP_GET:
		if ((op->opts & OPF_TTL) == 0)
			return (false);
		op->opts &= OPF_TTL | OPF_BINKEY;
		op->order = OPO_TTL;
		op->want = 0;
		return (true);
	default:
		op->opts &= (uint16_t)~OPF_CAS;
		return (true);
	}
}

/* Sends it to all that have not had it. */
static void
send_rest(struct flight *f)
{
	while (f->tried < f->ntargets)
		if (!flight_leg(f, &f->targets[f->tried++], false))
			return;
}

/* Whether enough may still come. */
static bool
may_suffice(const struct flight *f)
{
	return (f->acks + f->nout + (f->ntargets - f->tried) >= f->need);
}

static void
write_failed(struct flight *f, const struct leg *leg)
{
	flight_note(f, &leg->be);
	if (!f->ctx->closing && was_not_sent(&leg->be) && (f->tried < f->ntargets ||
	    flight_stand_in(f)) && may_suffice(f))
		(void)flight_leg(f, &f->targets[f->tried++], false);
	if (!may_suffice(f) || f->nout == 0)
		flight_end(f, NULL);
}

/* Deciding ends when the first server has answered; what follows from that goes to the others. */
static void
serial_done(struct flight *f, struct leg *leg)
{
	struct op op = f->r->be.op;

	if (!flight_leg_good(leg)) {
		write_failed(f, leg);
		return;
	}
	f->serial = false;
	if (leg->be.res.status != OP_OK || f->tried == f->ntargets ||
	    !follow(&f->r->be.op)) {
		flight_decide(f, leg);
		return;
	}
	f->acks = 1;
	f->res = leg->be.res;
	f->found_head = leg->be.found_head;
	send_rest(f);
	f->r->be.op = op;
	if (f->acks >= f->need || !may_suffice(f))
		flight_decide(f, leg);
}

void
flight_write_done(struct flight *f, struct leg *leg)
{
	if (UNLIKELY(flight_leg_undone(leg))) {
		flight_decide(f, leg);
		return;
	}
	if (f->serial) {
		serial_done(f, leg);
		return;
	}
	if (!flight_leg_good(leg)) {
		write_failed(f, leg);
		return;
	}
	/* A delete was one if any replica had the key. */
	if (f->acks++ == 0 || (f->res.status != OP_OK &&
	    leg->be.res.status == OP_OK)) {
		f->res = leg->be.res;
		f->found_head = leg->be.found_head;
	}
	if (f->acks < f->need)
		return;
	if (f->acks == 1)
		flight_decide(f, leg);
	else
		flight_end(f, &f->res);
}

/* To the first that is well, which decides; to one that is down, so that it is said, where that decides nothing. */
static void
send_first(struct flight *f)
{
	unsigned well = 0, first = 0;

	for (unsigned i = f->ntargets; i-- > 0;)
		if (f->targets[i].ops->healthy(f->targets[i].be)) {
			well++;
			first = i;
		}
	f->tried = (uint8_t)(first + 1);
	if (well < f->need) {
		for (first = 0; first + 1u < f->ntargets && f->targets[first].ops->healthy(f->targets[first].be);)
			first++;
		f->tried = f->ntargets;
	}
	(void)flight_leg(f, &f->targets[first], false);
}

/* Whether the same write may be sent once more, over another connection: only one that knows its place in time. */
static bool
may_hedge_write(const struct flight *f)
{
	const struct conf_ns *ns = f->space->conf;
	const struct target *t = &f->targets[0];

	/* The version of a plain one is the store's to raise, which no second one may do again. */
	if (f->r->be.rec != NULL && (f->r->be.op.opts & OPF_TOKEN) == 0)
		return (false);
	return (f->space->hedger != NULL && ns->slo_write.target > 0 && ns->format == FORMAT_ITEM &&
	    f->space->pool->conf->replicas <= 1 && f->ntargets == 1 && (f->r->be.op.opts & OPF_NEWCAS) == 0 &&
	    t->ops->ways != NULL && t->ops->ways(t->be, &f->r->be) > 1);
}

void
flight_write(struct flight *f)
{
	const struct conf_store *st = f->space->pool->conf;
	bool blind = is_blind(f), hedges = blind && may_hedge_write(f);

	/* Whichever comes later must not undo what somebody else wrote between. */
	if (hedges)
		f->r->be.op.opts |= OPF_LWW;
	/* A value that is read goes out when it is there. */
	f->need = (uint8_t)(st->replicas > 1 && st->write_quorum > 1 &&
	    f->r->be.op.verb != OP_GET ? st->write_quorum : 1);
	f->serial = !blind;
	flight_unsettle(f);
	if (blind)
		send_rest(f);
	else
		send_first(f);
	if (f->nout == 0) {
		flight_drop(f);
		return;
	}
	if (hedges) {
		f->targets[1] = f->targets[0];
		f->targets[1].way = 1;
		f->ntargets = 2;
		f->tried = 2;
		hedger_wait(f->space->hedger, f, f->started);
	}
}
