/*
 * main.c - kvgate's life: set up in order, run, tear down in the mirror's order.
 *
 * The main thread owns the listeners, the signals and the cache's clock; everything else happens in
 * the workers.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/stats_text.h"
#include "base/check.h"
#include "cache/verb.h"
#include "conf/model.h"
#include "ev/loop.h"
#include "net/listener.h"
#include "net/worker.h"
#include "obs/log.h"
#include "proc/daemon.h"
#include "proc/pidfile.h"
#include "proc/privs.h"
#include "proc/signals.h"

#define EXIT_USAGE	2
#define TICK_USEC	(100 * 1000)	/* how late the cache's second may be */

struct program {
	struct conf	*conf;
	struct loop	*loop;
	struct listeners *listeners;
	struct shared	 shared;
	struct keymap	*keymap;
	struct worker	**workers;
	struct timer	 tick;
	struct timespec	 zero;		/* monotonic time at which the cache's clock was 0 */
	bool		 pidfile;
	bool		 stopping;
};

/* ctx_ops.shutdown comes without an argument of its own, and there is one program. */
static struct program prog;

static int
refuse(const char *what)
{
	fprintf(stderr, "kvgate: %s\n", what);
	return (EXIT_USAGE);
}

/* Seconds of the cache's clock: starts at 2, so that "a second ago" is never 0. */
static void
program_tick(void *arg)
{
	struct program *p = arg;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	cache_tick(p->shared.cache, (uint32_t)(now.tv_sec - p->zero.tv_sec -
	    (now.tv_nsec < p->zero.tv_nsec)));
	timer_set(&p->tick, TICK_USEC);
}

static void
program_stop(void *arg)
{
	struct program *p = arg;

	if (p->stopping)
		return;
	p->stopping = true;
	log_info("stopping: no new clients, finishing what is in flight");
	listeners_stop(p->listeners);
	for (unsigned i = 0; i < p->shared.nworkers; i++)
		worker_drain(p->workers[i]);
	loop_stop(p->loop);
}

static void
program_on_shutdown(struct ctx *ctx, bool graceful)
{
	(void)ctx;
	(void)graceful;
	(void)loop_post(prog.loop, program_stop, &prog);
}

static const char *
program_open_cache(struct program *p)
{
	const struct conf *conf = p->conf;
	struct cache_conf cc = {
		.mem = conf->memory,
		.item_max = conf->item_max,
		.threads = conf->threads,
		.evict = !conf->no_evict,
		.large_pages = conf->large_pages,
		.use_cas = !conf->no_cas,
	};
	const char *why = NULL;

	p->shared.cache = cache_new(&cc, &why);
	if (p->shared.cache == NULL)
		return (why);
	clock_gettime(CLOCK_MONOTONIC, &p->zero);
	p->zero.tv_sec -= 2;
	p->shared.started = time(NULL) - 2;
	verb_set_start(p->shared.cache, p->shared.started);
	program_tick(p);
	return (NULL);
}

static const char *
program_open_workers(struct program *p)
{
	unsigned n = p->conf->threads;
	const char *why = "out of memory";

	p->workers = calloc(n, sizeof *p->workers);
	p->shared.workers = calloc(n, sizeof *p->shared.workers);
	if (p->workers == NULL || p->shared.workers == NULL)
		return (why);
	p->shared.nworkers = n;
	for (unsigned i = 0; i < n; i++) {
		p->workers[i] = worker_new(&p->shared, i, &why);
		if (p->workers[i] == NULL)
			return (why);
		p->shared.workers[i] = p->workers[i]->ctx;
	}
	return (NULL);
}

static const char *
program_start_workers(struct program *p)
{
	for (unsigned i = 0; i < p->shared.nworkers; i++)
		if (!worker_start(p->workers[i]))
			return ("cannot start a thread");
	return (NULL);
}

static void
program_close(struct program *p)
{
	listeners_free(&p->listeners);
	if (p->workers != NULL)
		for (unsigned i = 0; i < p->shared.nworkers; i++)
			if (p->workers[i] != NULL)
				worker_join(&p->workers[i]);
	free(p->workers);
	free(p->shared.workers);
	if (p->loop != NULL) {
		timer_clear(&p->tick);
		signals_clear(p->loop);
	}
	loop_free(&p->loop);
	cache_free(&p->shared.cache);
	keymap_free(&p->keymap);
	if (p->pidfile)
		pidfile_remove(p->conf->pidfile);
	conf_free(&p->conf);
}

/* Everything up to the first client; NULL: ready. */
static const char *
program_open(struct program *p)
{
	static char why[512];
	const char *bad;

	p->loop = loop_new();
	if (p->loop == NULL)
		return ("out of memory");
	timer_init(p->loop, &p->tick, program_tick, p);
	p->shared.conf = p->conf;
	p->shared.ops.stats = stats_text;
	p->shared.ops.shutdown = program_on_shutdown;
	p->shared.ops.watch = stats_watch;
	p->keymap = keymap_new(p->conf);
	if (p->keymap == NULL)
		return ("out of memory");
	p->shared.keymap = p->keymap;
	p->listeners = listeners_new(p->conf, &p->shared, why, sizeof why);
	if (p->listeners == NULL)
		return (why);
	if ((bad = privs_apply(p->conf)) != NULL)
		return (bad);
	if ((bad = program_open_cache(p)) != NULL ||
	    (bad = program_open_workers(p)) != NULL)
		return (bad);
	return (NULL);
}

int
main(int argc, char **argv)
{
	struct program *p = &prog;
	const char *bad;
	int rc = 0;

	p->conf = conf_load(argc, argv, &rc);
	if (p->conf == NULL)
		return (rc);
	log_set_verbosity(p->conf->verbose);
	bad = program_open(p);
	if (bad == NULL && p->conf->daemonize)
		bad = daemon_start(p->conf);
	if (bad == NULL && p->conf->pidfile != NULL) {
		bad = pidfile_write(p->conf->pidfile);
		p->pidfile = bad == NULL;
	}
	if (bad == NULL)
		bad = program_start_workers(p);
	if (bad == NULL && (!signals_install(p->loop, program_stop, p) ||
	    !listeners_start(p->listeners, p->loop, p->workers,
	    p->shared.nworkers)))
		bad = "out of memory";
	if (bad == NULL)
		loop_run(p->loop);
	else
		rc = refuse(bad);
	program_close(p);
	return (rc);
}
