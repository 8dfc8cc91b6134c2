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
#include "net/describe.h"
#include "net/listener.h"
#include "net/worker.h"
#include "obs/log.h"
#include "proc/daemon.h"
#include "proc/pidfile.h"
#include "proc/privs.h"
#include "proc/signals.h"
#include "req/observe.h"
#include "req/reload.h"
#include "req/version.h"

#define EXIT_USAGE	2
#define DATABASE_FDS	124	/* files that a database has open beside those of open_files */
#define CLUSTER_NODES	32		/* what a cluster may have, of which some seeds are known */
#define TICK_USEC	(100 * 1000)	/* how late the cache's second may be */

struct program {
	struct conf	*conf;		/* as at the start: what cannot change while running */
	struct snapshot	*first;		/* has it */
	struct snapshot	*snap;		/* the latest */
	struct loop	*loop;
	struct listeners *listeners;
	struct shared	 shared;
	struct worker	**workers;
	struct timer	 tick;
	struct timespec	 zero;		/* monotonic time at which the cache's clock was 0 */
	struct signals	*signals;
	int		 ready;		/* tells the process that waits for the daemon; -1: none */
	bool		 stopping;
	struct reload	*reload;	/* under way; NULL: none */
	bool		 reload_again;	/* was asked for meanwhile */
	bool		 uneven;	/* not all workers have the latest */
};

/* ctx_ops.shutdown comes without an argument of its own, and there is one program. */
static struct program prog;

static bool
refuse(const char *what)
{
	fprintf(stderr, "kvgate: %s\n", what);
	return (false);
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
	if (p->listeners != NULL)
		listeners_stop(p->listeners);
	for (unsigned i = 0; i < p->shared.nworkers; i++)
		if (p->workers[i] != NULL && p->workers[i]->started)
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

/* ---- reading the configuration again ---- */

static void program_reload(struct program *);

/* conf_each_note()'s. */
static void
program_say(void *arg, const char *line)
{
	(void)arg;
	log_warn("%s", line);
}

/* reload_start()'s done. */
static void
program_reloaded(void *arg, bool good)
{
	struct program *p = arg;

	p->reload = NULL;
	p->uneven = !good;
	if (good)
		log_warn("%s: read again, in effect", p->snap->conf->file);
	if (p->reload_again && !p->stopping)
		program_reload(p);
}

/* What is not a worker's own. */
static void
program_apply(struct program *p, const struct conf *conf, const struct conf *was)
{
	conf_each_note(conf, program_say, p);
	if (conf->verbose != was->verbose)
		log_set_verbosity(conf->verbose);
	if (conf->memory != was->memory && !cache_set_mem(p->shared.cache, conf->memory))
		log_warn("the local cache cannot be made of %zu bytes; it stays as it is", conf->memory);
}

/* NULL: it is no good, and why has been said. */
static struct snapshot *
program_reread(struct program *p)
{
	const char *store, *why;
	struct snapshot *snap;
	struct conf *conf;
	char err[1024];

	conf = conf_reread(p->snap->conf, err, sizeof err);
	if (conf == NULL) {
		log_error("nothing has changed: %s", err);
		return (NULL);
	}
	snap = snapshot_new(conf);
	if (snap == NULL) {
		log_error("nothing has changed: out of memory");
		conf_free(&conf);
		return (NULL);
	}
	if (!snapshot_load(snap, err, sizeof err)) {
		log_error("nothing has changed: %s", err);
		snapshot_unpin(&snap);
		return (NULL);
	}
	if (reload_check(snap, &store, &why))
		return (snap);
	log_error("nothing has changed: store \"%s\": %s", store, why);
	snapshot_unpin(&snap);
	return (NULL);
}

static void
program_reload(struct program *p)
{
	struct snapshot *snap;

	p->reload_again = p->reload != NULL;
	if (p->reload_again)
		return;
	if (p->conf->file == NULL) {
		log_warn("SIGHUP: there is no configuration file to read again");
		return;
	}
	snap = program_reread(p);
	if (snap == NULL)
		return;
	program_apply(p, snap->conf, p->snap->conf);
	p->reload = reload_start(&p->shared, p->snap, snap, p->uneven, program_reloaded, p);
	if (p->reload == NULL) {
		log_error("nothing has changed: out of memory");
		snapshot_unpin(&snap);
		return;
	}
	snapshot_unpin(&p->snap);
	p->snap = snap;
}

static void
program_on_signal(void *arg, enum signals_what what)
{
	struct program *p = arg;

	if (what == SIGNALS_RELOAD)
		program_reload(p);
	else
		program_stop(p);
}

static bool
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
		.evicted = observe_evicted,
		.arg = &p->shared,
	};
	const char *why = NULL;

	p->shared.cache = cache_new(&cc, &why);
	if (p->shared.cache == NULL)
		return (refuse(why));
	clock_gettime(CLOCK_MONOTONIC, &p->zero);
	p->zero.tv_sec -= 2;
	p->shared.started = time(NULL) - 2;
	verb_set_start(p->shared.cache, p->shared.started);
	timer_init(p->loop, &p->tick, program_tick, p);
	program_tick(p);
	return (true);
}

static bool
program_open_workers(struct program *p)
{
	unsigned n = p->conf->threads;
	const char *why;

	p->workers = calloc(n, sizeof *p->workers);
	p->shared.workers = calloc(n, sizeof *p->shared.workers);
	if (p->workers == NULL || p->shared.workers == NULL)
		return (refuse("out of memory"));
	p->shared.nworkers = n;
	for (unsigned i = 0; i < n; i++) {
		p->workers[i] = worker_new(&p->shared, p->snap, i, &why);
		if (p->workers[i] == NULL)
			return (refuse(why));
		p->shared.workers[i] = p->workers[i]->ctx;
	}
	return (true);
}

static bool
program_start_workers(struct program *p)
{
	for (unsigned i = 0; i < p->shared.nworkers; i++)
		if (!worker_start(p->workers[i]))
			return (refuse("cannot start a thread"));
	return (true);
}

/* Descriptors beside the clients': upstream connections, loops, alarms of hedging. */
static size_t
program_fds(const struct conf *conf)
{
	size_t n = 64 + 4 * (size_t)conf->threads;

	for (unsigned i = 0; i < conf->nstores; i++) {
		const struct conf_store *st = &conf->stores[i];
		unsigned nodes = st->nservers;

		if (st->kind == STORE_REDIS_CLUSTER && nodes < CLUSTER_NODES)
			nodes = CLUSTER_NODES;
		n += (size_t)nodes * st->connections * conf->threads;
		if (st->kind == STORE_ROCKSDB)
			n += conf->threads + st->open_files + DATABASE_FDS;
	}
	for (unsigned i = 0; i < conf->nspaces; i++)
		if (conf->spaces[i].hedge != HEDGE_OFF)
			n += conf->threads;
	return (n);
}

/* Addresses are bound before root is given up; threads come last, because user ids are per thread. */
static bool
program_open(struct program *p)
{
	const struct conf *conf = p->conf;
	char why[1024];

	pthread_mutex_init(&p->shared.catalog, NULL);
	p->shared.ops.shutdown = program_on_shutdown;
	p->shared.ops.conns = describe_conns;
	if (!snapshot_load(p->first, why, sizeof why))
		return (refuse(why));
	if (conf->daemonize && !daemon_fork(&p->ready))
		return (false);
	/* From here on a signal waits for the loop instead of ending a program half open. */
	p->loop = loop_new();
	if (p->loop == NULL)
		return (refuse("out of memory"));
	p->signals = signals_new(p->loop, program_on_signal, p);
	if (p->signals == NULL)
		return (refuse("out of memory"));
	if (!privs_set_limits(conf, program_fds(conf)))
		return (false);
	p->listeners = listeners_new(conf, &p->shared, why, sizeof why);
	if (p->listeners == NULL)
		return (refuse(why));
	p->shared.listeners = p->listeners;
	privs_make_paths(conf, conf->user);
	if (!privs_drop(conf->user))
		return (false);
	if (conf->lock_memory)
		privs_lock_memory();
	if (!stats_open(&p->shared, conf))
		return (refuse("out of memory"));
	p->shared.main_loop = p->loop;
	return (program_open_cache(p) && program_open_workers(p));
}

static bool
program_start(struct program *p)
{
	const struct conf *conf = p->conf;

	(void)pidfile_write(conf->pidfile);
	if (!program_start_workers(p))
		return (false);
	if (!listeners_start(p->listeners, p->loop, p->workers,
	    p->shared.nworkers))
		return (refuse("out of memory"));
	listeners_announce(p->listeners);
	return (daemon_ready(&p->ready, conf->core_dumps, conf->verbose > 0));
}

/* What threads had posted to each other when they ended. */
static void
program_flush(struct program *p)
{
	bool any;

	do {
		any = p->loop != NULL && loop_flush(p->loop);
		for (unsigned i = 0; i < p->shared.nworkers; i++)
			if (p->workers[i] != NULL)
				any |= loop_flush(p->workers[i]->loop);
	} while (any);
}

static void
program_close(struct program *p)
{
	listeners_free(&p->listeners);
	p->shared.listeners = NULL;
	for (unsigned i = 0; i < p->shared.nworkers; i++)
		if (p->workers[i] != NULL)
			worker_wait(p->workers[i]);
	program_flush(p);
	reload_free(&p->reload);
	for (unsigned i = 0; i < p->shared.nworkers; i++)
		if (p->workers[i] != NULL)
			worker_join(&p->workers[i]);
	stats_close(&p->shared);
	free(p->workers);
	free(p->shared.workers);
	signals_free(&p->signals);
	if (p->shared.cache != NULL)
		timer_clear(&p->tick);
	loop_free(&p->loop);
	cache_free(&p->shared.cache);
	version_detach(&p->shared);
	pthread_mutex_destroy(&p->shared.catalog);
	pidfile_remove(p->conf->pidfile);
	snapshot_unpin(&p->snap);
	snapshot_unpin(&p->first);
}

int
main(int argc, char **argv)
{
	struct program *p = &prog;
	int rc;

	p->ready = -1;
	p->conf = conf_load(argc, argv, snapshot_check, &rc);
	if (p->conf == NULL)
		return (rc);
	p->first = snapshot_new(p->conf);
	if (p->first == NULL) {
		conf_free(&p->conf);
		(void)refuse("out of memory");
		return (EXIT_USAGE);
	}
	p->snap = snapshot_pin(p->first);
	rc = 0;
	log_set_verbosity(p->conf->verbose);
	if (program_open(p) && program_start(p))
		loop_run(p->loop);
	else {
		rc = EXIT_USAGE;
		if (p->shared.nworkers > 0)
			program_stop(p);
	}
	program_close(p);
	return (rc);
}
