/*
 * record_store.c - puts whose values go in pieces: before the item the pieces, which are to expire soon; behind it they
 * get the item's own time.
 *
 * One value after the other, so that beside what came from the client there is one copy of one value. If the item needs
 * a version above the one that its pieces are named by, all of it is done once more (record_write.c).
 */
#include "config.h"

#include <stdio.h>

#include "req/record_write.h"
#include "req/settle.h"
#include "req/value.h"

static void writing_step(struct writing *);

/* The next put in pieces that something is to be done for. NULL: none is left. */
static struct mutation *
next_put(struct writing *w)
{
	for (; w->at < w->n; w->at++, w->put = 0) {
		struct mutation *m = &w->mutations[w->at];

		if (w->pieces == PIECES_STORE ? m->over : !m->written)
			continue;
		for (; w->put < m->task.rec.nputs; w->put++)
			if (m->task.rec.puts[w->put].head.chunks != 0)
				return (m);
	}
	return (NULL);
}

/* Without its pieces nothing is written; what is written already has them for an hour, and is to be written again. */
static void
step_failed(struct writing *w, struct mutation *m, const char *why)
{
	if (w->pieces == PIECES_STORE)
		mutation_failed(mutation_lead(m), why);
	else if (w->nfailed++ == 0)
		snprintf(w->why, sizeof w->why, "%s", why);
}

/* The store has told whom it may concern that its pieces are nobody's. */
void
writing_kept(struct rec_op *rec, struct slice key)
{
	struct mutation *m = CONTAINER_OF(rec, struct mutation, task.rec);
	struct writing *w = m->w;

	for (uint32_t i = 0; i < rec->nputs; i++)
		if (rec->puts[i].head.chunks != 0 && slice_eq(rec->puts[i].key, key))
			w->sources[&rec->puts[i] - w->puts].kept = true;
}

/* pieces_ask.done */
static void
step_done(void *arg, const struct pieces_end *end)
{
	struct writing *w = arg;

	if (end->err != ERR_NONE)
		step_failed(w, &w->mutations[w->at], end->why);
	w->put++;
	writing_step(w);
}

/* False: out of memory. */
static bool
step(struct writing *w, const struct mutation *m)
{
	const struct rec_put *put = &m->task.rec.puts[w->put];
	struct put_source *source = &w->sources[put - w->puts];
	const struct space *sp = m->op->space;
	char buf[PIECES_KEY_MAX];
	struct pieces_ask ask = { .what = w->pieces, .head = put->head, .timeout = sp->conf->slo_write.max,
	    .ttl = w->pieces == PIECES_STORE ? PIECES_STAGED : pieces_ttl(source->ttl), .done = step_done, .arg = w };
	bool good;

	ask.key = record_key(sp, m->op->sub->cmd.key, put->key, buf);
	ask.head.version = m->version;
	if ((w->cmd->flags & RF_TIME) != 0)
		memcpy(ask.head.nonce, w->cmd->nonce, NONCE_LEN);
	if (source->kept && w->pieces == PIECES_TOUCH)
		return (settle_run(w->ctx, sp, &ask));
	if (w->pieces == PIECES_STORE) {
		source->kept = false;
		/* The body was let in with this in it: what is done with it is not refused. */
		ask.value = value_work(w->ctx, (uint32_t)source->plain.len);
		if (ask.value == NULL)
			return (false);
		memcpy((char *)(uintptr_t)value_bytes(ask.value).p, source->plain.p, source->plain.len);
	}
	good = pieces_run(w->ctx, sp, &ask);
	if (ask.value != NULL)
		value_unref(ask.value);
	return (good);
}

static void
writing_step(struct writing *w)
{
	struct mutation *m;

	while ((m = next_put(w)) != NULL) {
		if (step(w, m))
			return;
		step_failed(w, m, w->ctx->closing ? "cancelled" : "out of memory");
		w->put++;
	}
	if (w->pieces == PIECES_STORE)
		writing_go(w);
	else
		writing_end(w);
}

static void
writing_pieces(struct writing *w, enum pieces_do what)
{
	w->at = w->put = 0;
	w->pieces = what;
	writing_step(w);
}

void
writing_store(struct writing *w)
{
	writing_bar(w);
	writing_pieces(w, PIECES_STORE);
}

void
writing_settle(struct writing *w)
{
	writing_pieces(w, PIECES_TOUCH);
}
