/*
 * load.c - threads, phases (prefill, run) and each thread's event loop.
 *
 * Closed loop: a connection whose batch is answered sends the next one. Open
 * loop: requests are due at set times and go to the next connection that has
 * room; if none has, they wait and their latency counts from when they were
 * due, so a stall of the server shows in the latencies of all it delayed.
 */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"

#define EVENTS		256
#define TICK_NS		20000000u

struct shared {
	struct load		 load;
	pthread_barrier_t	 barrier;
	struct thread		*threads;
	pthread_t		*ids;
	atomic_bool		 failed;
};

static bool
more_to_send(const struct thread *t)
{
	if (t->left == 0)
		return false;
	if (t->opts->rate > 0 && !t->prefilling)
		return t->due < (double)t->deadline;
	return t->now < t->deadline;
}

static void
send_batch(struct thread *t, struct conn *c)
{
	unsigned n = t->prefilling ? PREFILL_DEPTH : t->opts->depth;

	if (c->state != CONN_UP || c->count > 0 || !more_to_send(t))
		return;
	if (n > t->left)
		n = (unsigned)t->left;
	conn_send(t, c, n, t->now);
}

/*
 * Those whose answers came at one time send at one time, as clients of their
 * own would: not spaced out by the work that one thread has with the others.
 */
static void
send_batches(struct thread *t, const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		t->now = clock_ns();
		send_batch(t, ev[i].data.ptr);
	}
}

static struct conn *
conn_with_room(struct thread *t)
{
	for (unsigned i = 0; i < t->nconns; i++) {
		struct conn *c = &t->conns[t->next_conn];

		t->next_conn = (t->next_conn + 1) % t->nconns;
		if (c->state == CONN_UP && c->count < t->opts->depth)
			return c;
	}
	return NULL;
}

static double
gap(struct thread *t)
{
	double mean = 1e9 * t->opts->threads / t->opts->rate;

	if (!t->opts->poisson)
		return mean;
	return -mean * log(1 - gen_random_unit(&t->random));
}

/* Open loop: sends what is due. False: some is, and no connection has room. */
static bool
send_due(struct thread *t)
{
	struct conn *c;

	while (more_to_send(t) && t->due <= (double)t->now) {
		c = conn_with_room(t);
		if (c == NULL)
			return false;
		conn_send(t, c, 1, (uint64_t)t->due);
		t->due += gap(t);
	}
	return true;
}

/* Silent connections are given up, closed ones opened again. */
static void
tick(struct thread *t)
{
	for (unsigned i = 0; i < t->nconns; i++) {
		struct conn *c = &t->conns[i];

		if (c->state == CONN_DOWN && t->now >= c->retry_at)
			conn_reopen(t, c);
		else if ((c->state == CONN_CONNECTING ||
		    (c->state == CONN_UP && c->count > 0)) &&
		    t->now - c->last > t->opts->timeout_ns) {
			t->stats->timeouts++;
			conn_lost(t, c);
		}
	}
}

static int
wait_events(struct thread *t, struct epoll_event *ev, bool room,
    uint64_t next_tick)
{
	bool open_loop = t->opts->rate > 0 && !t->prefilling;
	struct timespec ts;
	uint64_t until = next_tick, ns;

	if (open_loop && room && more_to_send(t) && t->due < (double)until)
		until = (uint64_t)t->due;
	ns = until > t->now ? until - t->now : 0;
	ts.tv_sec = (time_t)(ns / 1000000000u);
	ts.tv_nsec = (long)(ns % 1000000000u);
	return epoll_pwait2(t->epfd, ev, EVENTS, &ts, NULL);
}

/* Everything of the phase is sent and answered, or never will be. */
static bool
phase_over(struct thread *t)
{
	if (t->live == 0)
		return true;
	if (t->in_flight == 0 && !more_to_send(t))
		return true;
	/* reopening is in vain */
	if (t->now - t->heard > 3 * t->opts->timeout_ns && t->opts->reconnect)
		return true;
	/* an open loop that the server could not follow */
	return t->deadline != UINT64_MAX &&
	    t->now > t->deadline + t->opts->timeout_ns;
}

static void
phase_loop(struct thread *t)
{
	struct epoll_event ev[EVENTS];
	bool open_loop = t->opts->rate > 0 && !t->prefilling, room = true;
	uint64_t next_tick = t->now + TICK_NS;
	int n;

	t->heard = t->now;
	while (!phase_over(t)) {
		n = wait_events(t, ev, room, next_tick);
		t->now = clock_ns();
		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (i > 0)
				t->now = clock_ns();
			conn_event(t, c, ev[i].events);
		}
		if (open_loop)
			room = send_due(t);
		else
			send_batches(t, ev, n);
		if (t->now >= next_tick) {
			next_tick = t->now + TICK_NS;
			tick(t);
		}
	}
	if (open_loop && t->live > 0 && more_to_send(t))
		t->stats->unsent += (uint64_t)(((double)t->deadline - t->due) *
		    t->opts->rate / 1e9 / t->opts->threads);
}

/* total split over the threads, the first ones take the remainder. */
static uint64_t
share(const struct thread *t, uint64_t total)
{
	uint64_t n = t->opts->threads;

	return total / n + (t->index < total % n);
}

static void
phase_prefill(struct thread *t)
{
	const struct opts *o = t->opts;

	t->stats = &t->phase_stats[0];
	t->prefilling = true;
	t->now = clock_ns();
	t->deadline = UINT64_MAX;
	t->left = share(t, o->gen.nkeys);
	t->next_key = (uint32_t)(o->gen.nkeys / o->threads * t->index +
	    (t->index < o->gen.nkeys % o->threads ? t->index :
	    o->gen.nkeys % o->threads));
	for (unsigned i = 0; i < t->nconns; i++)
		send_batch(t, &t->conns[i]);
	phase_loop(t);
	t->prefilling = false;
}

static void
phase_run(struct thread *t)
{
	const struct opts *o = t->opts;

	t->stats = &t->phase_stats[1];
	t->now = clock_ns();
	t->deadline = o->duration_ns > 0 ? t->now + o->duration_ns : UINT64_MAX;
	t->left = o->requests > 0 ? share(t, o->requests) : UINT64_MAX;
	t->due = (double)t->now + gap(t);
	if (o->rate == 0)
		for (unsigned i = 0; i < t->nconns; i++)
			send_batch(t, &t->conns[i]);
	phase_loop(t);
}

static bool
thread_setup(struct thread *t)
{
	t->epfd = epoll_create1(EPOLL_CLOEXEC);
	t->conns = calloc(t->nconns, sizeof *t->conns);
	t->phase_stats = calloc(2, sizeof *t->phase_stats);
	if (t->epfd < 0 || t->conns == NULL || t->phase_stats == NULL)
		return false;
	for (unsigned i = 0; i < t->nconns; i++)
		t->conns[i].fd = -1;
	for (unsigned i = 0; i < t->nconns; i++) {
		struct conn *c = &t->conns[i];

		c->ring = calloc(t->ring_size, sizeof *c->ring);
		c->wants = calloc((size_t)t->ring_size * t->opts->multi,
		    sizeof *c->wants);
		if (c->ring == NULL || c->wants == NULL || !conn_open(t, c))
			return false;
	}
	return true;
}

static void *
thread_main(void *arg)
{
	struct thread *t = arg;
	struct shared *s = (struct shared *)t->load;

	if (!thread_setup(t)) {
		(void)fprintf(stderr, "kvload: %s: %s\n", t->opts->target,
		    strerror(errno));
		atomic_store(&s->failed, true);
	}
	(void)pthread_barrier_wait(&s->barrier);
	if (atomic_load(&s->failed))
		return NULL;
	if (t->opts->prefill)
		phase_prefill(t);
	(void)pthread_barrier_wait(&s->barrier);
	(void)pthread_barrier_wait(&s->barrier);
	if (!t->opts->prefill_only)
		phase_run(t);
	(void)pthread_barrier_wait(&s->barrier);
	return NULL;
}

static double
cpu_seconds(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		return -1;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Beats the barriers the threads wait at, and reads the clocks in between. */
static bool
conduct(struct shared *s, struct outcome *out)
{
	const struct opts *o = s->load.opts;
	double own, server = -1, t0;
	clockid_t id = 0;
	bool other = o->cpu_of > 0 && clock_getcpuclockid(o->cpu_of, &id) == 0;

	t0 = cpu_seconds(CLOCK_MONOTONIC);
	(void)pthread_barrier_wait(&s->barrier);
	if (atomic_load(&s->failed))
		return false;
	(void)pthread_barrier_wait(&s->barrier);
	out->prefill_seconds = cpu_seconds(CLOCK_MONOTONIC) - t0;
	if (other)
		server = cpu_seconds(id);
	own = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
	t0 = cpu_seconds(CLOCK_MONOTONIC);
	(void)pthread_barrier_wait(&s->barrier);
	(void)pthread_barrier_wait(&s->barrier);
	out->seconds = cpu_seconds(CLOCK_MONOTONIC) - t0;
	out->own_cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - own;
	out->server_cpu = server < 0 ? -1 : cpu_seconds(id) - server;
	if (out->server_cpu < 0)
		out->server_cpu = -1;
	return true;
}

static bool
shared_setup(struct shared *s, const struct opts *o)
{
	struct tracks *tr = &s->load.tracks;
	unsigned n = o->threads;

	s->load.opts = o;
	s->threads = calloc(n, sizeof *s->threads);
	s->ids = calloc(n, sizeof *s->ids);
	if (s->threads == NULL || s->ids == NULL ||
	    pthread_barrier_init(&s->barrier, NULL, n + 1) != 0)
		return false;
	if (o->check_stale) {
		tr->issued = calloc(o->gen.nkeys, sizeof *tr->issued);
		tr->acked = calloc(o->gen.nkeys, sizeof *tr->acked);
		tr->busy = calloc(o->gen.nkeys, sizeof *tr->busy);
		if (tr->issued == NULL || tr->acked == NULL || tr->busy == NULL)
			return false;
	}
	for (unsigned i = 0; i < n; i++) {
		struct thread *t = &s->threads[i];

		t->load = &s->load;
		t->opts = o;
		t->index = i;
		t->nconns = t->live = o->conns / n + (i < o->conns % n);
		t->ring_size = o->depth > PREFILL_DEPTH ? o->depth :
		    PREFILL_DEPTH;
		t->random = (o->seed << 8 | i) * 0xd1342543de82ef95u;
	}
	return true;
}

static void
thread_teardown(struct thread *t, struct outcome *out)
{
	if (t->phase_stats != NULL) {
		stats_merge(&out->prefill, &t->phase_stats[0]);
		stats_merge(&out->run, &t->phase_stats[1]);
	}
	for (unsigned i = 0; t->conns != NULL && i < t->nconns; i++)
		conn_free(&t->conns[i]);
	if (t->epfd >= 0)
		(void)close(t->epfd);
	free(t->conns);
	free(t->phase_stats);
	free(t->rbuf.at);
	free(t->wbuf.at);
}

bool
load_run(const struct opts *o, struct outcome *out)
{
	struct shared s;
	bool ok;

	memset(&s, 0, sizeof s);
	if (!shared_setup(&s, o)) {
		(void)fprintf(stderr, "kvload: out of memory\n");
		return false;
	}
	for (unsigned i = 0; i < o->threads; i++)
		if (pthread_create(&s.ids[i], NULL, thread_main,
		    &s.threads[i]) != 0) {
			(void)fprintf(stderr, "kvload: cannot start threads\n");
			exit(3);
		}
	ok = conduct(&s, out);
	for (unsigned i = 0; i < o->threads; i++)
		(void)pthread_join(s.ids[i], NULL);
	for (unsigned i = 0; i < o->threads; i++)
		thread_teardown(&s.threads[i], out);
	(void)pthread_barrier_destroy(&s.barrier);
	free(s.load.tracks.issued);
	free(s.load.tracks.acked);
	free(s.load.tracks.busy);
	free(s.threads);
	free(s.ids);
	return ok;
}
