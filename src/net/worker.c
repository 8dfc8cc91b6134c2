/*
 * worker.c - the thread around a loop.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "net/conn.h"
#include "net/worker.h"
#include "obs/log.h"

#define DRAIN_SECONDS	10	/* what clients get to take their last answers */

/* End of a turn: those that had something at its beginning; what they cause comes the next time. */
static void
worker_turn_end(void *arg)
{
	struct worker *w = arg;

	for (unsigned n = w->ndirty; n > 0 && w->ndirty > 0; n--)
		conn_turn_end(TAILQ_FIRST(&w->dirty));
	if (w->ndirty > 0)
		loop_again(w->loop);
	ctx_reap(w->ctx);
	if (w->draining && TAILQ_EMPTY(&w->conns))
		loop_stop(w->loop);
}

static void
worker_kick_idle(struct worker *w)
{
	uint64_t max = w->ctx->conf->idle_timeout / 1000000;
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&w->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, next);
		if (w->now - c->last_active <= max ||
		    !TAILQ_EMPTY(&c->cl.q.waiting) || c->cl.watching)
			continue;
		METRIC_ADD(&w->ctx->metrics, idle_kicks, 1);
		c->idled = true;
		conn_close(&c);
	}
}

static void
worker_drain_conns(struct worker *w)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&w->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, next);
		conn_drain(c);
	}
}

static void
worker_second(void *arg)
{
	struct worker *w = arg;
	struct conn *c;

	w->now++;
	timer_set(&w->second, 1000000);
	if (w->ctx->conf->idle_timeout > 0)
		worker_kick_idle(w);
	if (!w->draining)
		return;
	if (w->drain_left-- > 0)
		worker_drain_conns(w);
	else
		while ((c = TAILQ_FIRST(&w->conns)) != NULL)
			conn_close(&c);
}

struct worker *
worker_new(struct shared *sh, struct snapshot *snap, unsigned id,
    const char **why)
{
	struct worker *w = calloc(1, sizeof *w);

	*why = "out of memory";
	if (w == NULL)
		return (NULL);
	w->magic = WORKER_MAGIC;
	TAILQ_INIT(&w->conns);
	TAILQ_INIT(&w->dirty);
	w->buf = malloc(WORKER_BUF);
	w->jobs = calloc(WORKER_JOBS, sizeof *w->jobs);
	w->loop = loop_new();
	if (w->buf == NULL || w->jobs == NULL || w->loop == NULL)
		goto fail;
	w->ctx = ctx_new(sh, snap, id, w->loop, why);
	if (w->ctx == NULL)
		goto fail;
	w->ctx->worker = w;
	/* After the stores' own hooks: what they fail at the end of a turn still goes out with it. */
	loop_add_hook(w->loop, worker_turn_end, w);
	timer_init(w->loop, &w->second, worker_second, w);
	timer_set(&w->second, 1000000);
	return (w);
fail:
	worker_join(&w);
	return (NULL);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof name, "worker %u", w->ctx->id);
	pthread_setname_np(pthread_self(), name);
	loop_run(w->loop);
	return (NULL);
}

bool
worker_start(struct worker *w)
{
	sigset_t all, old;
	int rc;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->started = rc == 0;
	return (w->started);
}

struct handover {
	struct worker	*worker;
	int		 fd;
	bool		 is_unix;
};

static void
worker_take(void *arg)
{
	struct handover *h = arg;
	struct worker *w = h->worker;

	if (w->draining) {
		close(h->fd);
		atomic_fetch_sub_explicit(&w->nconns, 1, memory_order_relaxed);
	} else if (conn_new(w, h->fd, h->is_unix) == NULL)
		atomic_fetch_sub_explicit(&w->nconns, 1, memory_order_relaxed);
	free(h);
}

bool
worker_give(struct worker *w, int fd, bool is_unix)
{
	struct handover *h = malloc(sizeof *h);

	if (h == NULL)
		return (false);
	h->worker = w;
	h->fd = fd;
	h->is_unix = is_unix;
	atomic_fetch_add_explicit(&w->nconns, 1, memory_order_relaxed);
	if (loop_post(w->loop, worker_take, h))
		return (true);
	atomic_fetch_sub_explicit(&w->nconns, 1, memory_order_relaxed);
	free(h);
	return (false);
}

static void
worker_begin_drain(void *arg)
{
	struct worker *w = arg;

	w->draining = true;
	w->drain_left = DRAIN_SECONDS;
	worker_drain_conns(w);
}

void
worker_drain(struct worker *w)
{
	if (!loop_post(w->loop, worker_begin_drain, w))
		log_error("out of memory: worker cannot be told to stop");
}

void
worker_wait(struct worker *w)
{
	CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
	if (w->started)
		pthread_join(w->thread, NULL);
	w->started = false;
}

void
worker_join(struct worker **wp)
{
	struct worker *w;
	struct conn *c;

	TAKE_OBJ_NOTNULL(w, wp, WORKER_MAGIC);
	worker_wait(w);
	while ((c = TAILQ_FIRST(&w->conns)) != NULL)
		conn_close(&c);
	if (w->ctx != NULL) {
		timer_clear(&w->second);
		loop_del_hook(w->loop, w);
		ctx_free(&w->ctx);
	}
	loop_free(&w->loop);
	free(w->jobs);
	free(w->buf);
	w->magic = 0;
	free(w);
}
