/*
 * leavings.c - a queue of values whose pieces are to go, a few of them at a time.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "obs/log.h"
#include "req/leavings.h"
#include "req/pieces.h"
#include "req/record.h"
#include "req/record_internal.h"
#include "req/view.h"

#define OUT_MAX		4
#define PAUSE		(1000 * 1000)	/* microseconds after one has failed */

struct leaving {
	STAILQ_ENTRY(leaving) next;
	struct leavings	*all;
	struct envelope	 head;
	size_t		 prefix_len, key_len;
	char		 bytes[];	/* the namespace's prefix, the key */
};

struct leavings {
	struct ctx	*ctx;
	STAILQ_HEAD(, leaving) queue;
	unsigned	 out;
	struct timer	 pause;
	bool		 paused;
};

static void	leavings_go(struct leavings *);

/* A namespace is known by its prefix, whatever has been reloaded meanwhile. */
static const struct space *
space_of(const struct view *v, struct slice prefix)
{
	for (unsigned i = 0; v != NULL && i < v->conf->nspaces; i++) {
		const struct space *sp = &v->spaces[i];

		if (sp->conf->format == FORMAT_ITEM && sp->pool != NULL &&
		    slice_eq(slice_of(sp->conf->prefix, sp->conf->prefix_len), prefix))
			return (sp);
	}
	return (NULL);
}

static void
leavings_pause(struct leavings *all, struct leaving *l)
{
	STAILQ_INSERT_TAIL(&all->queue, l, next);
	if (all->paused || all->ctx->closing)
		return;
	all->paused = true;
	timer_set(&all->pause, PAUSE);
}

/* timer's */
static void
leavings_resume(void *arg)
{
	struct leavings *all = arg;

	all->paused = false;
	leavings_go(all);
}

/* pieces_ask.done */
static void
leaving_done(void *arg, const struct pieces_end *end)
{
	struct leaving *l = arg;
	struct leavings *all = l->all;

	all->out--;
	if (end->err != ERR_NONE)
		leavings_pause(all, l);
	else
		free(l);
	leavings_go(all);
}

static void
leavings_go(struct leavings *all)
{
	struct ctx *ctx = all->ctx;
	struct leaving *l;

	while (!ctx->closing && !all->paused && all->out < OUT_MAX && (l = STAILQ_FIRST(&all->queue)) != NULL) {
		const struct space *sp = space_of(ctx->view, slice_of(l->bytes, l->prefix_len));
		struct pieces_ask ask = { .what = PIECES_LEAVE, .key = slice_of(l->bytes + l->prefix_len, l->key_len),
		    .head = l->head, .done = leaving_done, .arg = l };

		STAILQ_REMOVE_HEAD(&all->queue, next);
		if (sp == NULL)
			free(l);
		else if (pieces_run(ctx, sp, &ask))
			all->out++;
		else
			leavings_pause(all, l);
	}
}

static struct leavings *
leavings_of(struct ctx *ctx)
{
	struct leavings *all = ctx->leavings;

	if (all != NULL)
		return (all);
	all = calloc(1, sizeof *all);
	if (all == NULL)
		return (NULL);
	all->ctx = ctx;
	STAILQ_INIT(&all->queue);
	timer_init(ctx->loop, &all->pause, leavings_resume, all);
	ctx->leavings = all;
	return (all);
}

void
leavings_add(struct ctx *ctx, const struct conf_ns *ns, struct slice key, const struct envelope *head)
{
	struct leavings *all = leavings_of(ctx);
	struct leaving *l;

	if (ctx->closing || !pieces_sane(head) || key.len > PIECES_KEY_MAX)
		return;
	l = all != NULL ? malloc(sizeof *l + ns->prefix_len + key.len) : NULL;
	if (l == NULL) {
		log_warn("out of memory: %u pieces of a value that is no more stay in their store", head->chunks);
		return;
	}
	l->all = all;
	l->head = *head;
	l->prefix_len = ns->prefix_len;
	l->key_len = key.len;
	if (ns->prefix_len > 0)
		memcpy(l->bytes, ns->prefix, ns->prefix_len);
	memcpy(l->bytes + l->prefix_len, key.p, key.len);
	STAILQ_INSERT_TAIL(&all->queue, l, next);
	leavings_go(all);
}

/* be_ops.orphans' */
static void
leavings_found(void *arg, const struct conf_ns *ns, struct slice id, struct slice item, const struct envelope *head)
{
	struct ctx *ctx = arg;
	const struct space *sp = space_of(ctx->view, slice_of(ns->prefix, ns->prefix_len));
	char buf[PIECES_KEY_MAX];

	if (sp != NULL)
		leavings_add(ctx, sp->conf, record_key(sp, id, item, buf), head);
}

bool
leavings_listen(struct ctx *ctx)
{
	const struct view *v = ctx->view;

	for (unsigned i = 0; i < v->npools; i++)
		for (unsigned n = 0; v->pools[i]->ops->orphans != NULL && n < v->pools[i]->nservers; n++)
			v->pools[i]->ops->orphans(v->pools[i]->servers[n], leavings_found, ctx);
	return (leavings_of(ctx) != NULL);
}

void
leavings_free(struct ctx *ctx)
{
	struct leavings *all = ctx->leavings;
	struct leaving *l;

	if (all == NULL)
		return;
	ctx->leavings = NULL;
	timer_clear(&all->pause);
	while ((l = STAILQ_FIRST(&all->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&all->queue, next);
		free(l);
	}
	free(all);
}
