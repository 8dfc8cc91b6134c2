/*
 * loop.c - one libevent loop per thread.
 *
 * The base is created without locks and without per-event clock reads: only its own thread touches it, other
 * threads reach it through a list under a mutex and an eventfd. loop_run() drives EVLOOP_ONCE turns
 * itself because libevent has no place to hang "after all ready descriptors were handled". Changes go to epoll at
 * once: batched ones (libevent's changelist) would name descriptors that are closed by then and may be another
 * thread's.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "ev/loop.h"

struct loop_msg {
	STAILQ_ENTRY(loop_msg) next;
	loop_msg_f	*fn;
	void		*arg;
};
STAILQ_HEAD(loop_msgs, loop_msg);

struct loop {
	unsigned	 magic;
#define LOOP_MAGIC	0x6c6f6f70u
	struct event_base *base;
	uint64_t	 now;
	bool		 stop;
	bool		 again;
	bool		 before_hooks;
	unsigned	 nhooks;
	struct {
		loop_hook_f	*fn;
		void		*arg;
	}		 hooks[LOOP_HOOKS_MAX];	/* fn NULL: taken away during this turn's hooks */
	void		*slots[LOOP_SLOTS];
	int		 wake_fd;
	struct io	 wake;
	pthread_mutex_t	 lock;		/* msgs */
	struct loop_msgs msgs;
};

static uint64_t
clock_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

static void
loop_deliver(int fd, void *arg)
{
	uint64_t n;

	(void)!read(fd, &n, sizeof n);
	(void)loop_flush(arg);
}

bool
loop_flush(struct loop *l)
{
	struct loop_msgs batch = STAILQ_HEAD_INITIALIZER(batch);
	struct loop_msg *m;
	bool any;

	pthread_mutex_lock(&l->lock);
	STAILQ_CONCAT(&batch, &l->msgs);
	pthread_mutex_unlock(&l->lock);
	any = !STAILQ_EMPTY(&batch);
	while ((m = STAILQ_FIRST(&batch)) != NULL) {
		STAILQ_REMOVE_HEAD(&batch, next);
		m->fn(m->arg);
		free(m);
	}
	return (any);
}

struct loop *
loop_new(void)
{
	struct event_config *cfg = event_config_new();
	struct loop *l = calloc(1, sizeof *l);

	if (cfg == NULL || l == NULL)
		goto fail;
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	l->magic = LOOP_MAGIC;
	STAILQ_INIT(&l->msgs);
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->wake_fd < 0)
		goto fail;
	l->base = event_base_new_with_config(cfg);
	if (l->base == NULL)
		goto fail_fd;
	io_init(l, &l->wake, l->wake_fd, loop_deliver, NULL, l);
	if (!io_want(&l->wake, EV_READ))
		goto fail_base;
	pthread_mutex_init(&l->lock, NULL);
	l->now = clock_usec();
	event_config_free(cfg);
	return (l);

fail_base:
	event_base_free(l->base);
fail_fd:
	close(l->wake_fd);
fail:
	if (cfg != NULL)
		event_config_free(cfg);
	free(l);
	return (NULL);
}

void
loop_free(struct loop **lp)
{
	struct loop *l;
	struct loop_msg *m;

	if (*lp == NULL)
		return;
	TAKE_OBJ_NOTNULL(l, lp, LOOP_MAGIC);
	io_clear(&l->wake);
	close(l->wake_fd);
	while ((m = STAILQ_FIRST(&l->msgs)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->msgs, next);
		free(m);
	}
	event_base_free(l->base);
	pthread_mutex_destroy(&l->lock);
	l->magic = 0;
	free(l);
}

static void
loop_run_hooks(struct loop *l)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < l->nhooks; i++)
		if (l->hooks[i].fn != NULL)
			l->hooks[i].fn(l->hooks[i].arg);
	for (unsigned i = 0; i < l->nhooks; i++)
		if (l->hooks[i].fn != NULL)
			l->hooks[kept++] = l->hooks[i];
	l->nhooks = kept;
}

void
loop_run(struct loop *l)
{
	CHECK_OBJ_NOTNULL(l, LOOP_MAGIC);
	while (!l->stop) {
		int flags = EVLOOP_ONCE;

		if (l->again)
			flags |= EVLOOP_NONBLOCK;
		l->again = false;
		l->now = 0;
		l->before_hooks = true;
		(void)event_base_loop(l->base, flags);
		l->before_hooks = false;
		loop_run_hooks(l);
	}
	l->stop = false;
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
	l->again = true;
}

struct event_base *
loop_base(struct loop *l)
{
	return (l->base);
}

uint64_t
loop_now(const struct loop *l)
{
	/* Read on first use in a turn: the time before the wait would be stale. */
	if (l->now == 0)
		((struct loop *)(uintptr_t)l)->now = clock_usec();
	return (l->now);
}

uint64_t
loop_now_fresh(struct loop *l)
{
	return (l->now = clock_usec());
}

void
loop_add_hook(struct loop *l, loop_hook_f *fn, void *arg)
{
	MUST(l->nhooks < LOOP_HOOKS_MAX);
	l->hooks[l->nhooks].fn = fn;
	l->hooks[l->nhooks].arg = arg;
	l->nhooks++;
}

void
loop_del_hook(struct loop *l, void *arg)
{
	for (unsigned i = 0; i < l->nhooks; i++)
		if (l->hooks[i].arg == arg)
			l->hooks[i].fn = NULL;
}

bool
loop_before_hooks(const struct loop *l)
{
	return (l->before_hooks);
}

void **
loop_slot(struct loop *l, enum loop_slot n)
{
	MUST(n < LOOP_SLOTS);
	return (&l->slots[n]);
}

void
loop_again(struct loop *l)
{
	l->again = true;
}

bool
loop_post(struct loop *l, loop_msg_f *fn, void *arg)
{
	struct loop_msg *m = malloc(sizeof *m);
	uint64_t one = 1;
	bool first;

	if (m == NULL)
		return (false);
	m->fn = fn;
	m->arg = arg;
	pthread_mutex_lock(&l->lock);
	first = STAILQ_EMPTY(&l->msgs);
	STAILQ_INSERT_TAIL(&l->msgs, m, next);
	/* Under the lock, so that the loop cannot be freed between. Cannot fail: the counter never fills up. */
	if (first)
		(void)!write(l->wake_fd, &one, sizeof one);
	pthread_mutex_unlock(&l->lock);
	return (true);
}

static void
timer_fire(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->pending = false;
	t->fn(t->arg);
}

void
timer_init(struct loop *l, struct timer *t, void (*fn)(void *), void *arg)
{
	t->fn = fn;
	t->arg = arg;
	t->pending = false;
	evtimer_assign(&t->ev, l->base, timer_fire, t);
}

void
timer_set(struct timer *t, uint64_t usec)
{
	struct timeval tv = { (time_t)(usec / 1000000),
	    (suseconds_t)(usec % 1000000) };

	evtimer_add(&t->ev, &tv);
	t->pending = true;
}

void
timer_clear(struct timer *t)
{
	if (t->pending)
		evtimer_del(&t->ev);
	t->pending = false;
}

static void
io_ready(evutil_socket_t fd, short what, void *arg)
{
	struct io *io = arg;

	/* One callback a turn: on_read may free the owner, so never both. Level-triggered: the other comes again. */
	if ((what & EV_WRITE) != 0 && (io->what & EV_WRITE) != 0)
		io->on_write((int)fd, io->arg);
	else if ((what & EV_READ) != 0)
		io->on_read((int)fd, io->arg);
}

void
io_init(struct loop *l, struct io *io, int fd, io_f *on_read, io_f *on_write,
    void *arg)
{
	io->on_read = on_read;
	io->on_write = on_write;
	io->arg = arg;
	io->what = 0;
	event_assign(&io->ev, l->base, fd, EV_READ | EV_PERSIST, io_ready, io);
}

bool
io_want(struct io *io, short what)
{
	if (io->what == what)
		return (true);
	if (io->what != 0)
		event_del(&io->ev);
	io->what = 0;
	if (what == 0)
		return (true);
	event_assign(&io->ev, event_get_base(&io->ev), event_get_fd(&io->ev),
	    (short)(what | EV_PERSIST), io_ready, io);
	if (event_add(&io->ev, NULL) != 0)
		return (false);
	io->what = what;
	return (true);
}

void
io_clear(struct io *io)
{
	(void)io_want(io, 0);
}
