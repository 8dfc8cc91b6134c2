/* Unit tests of src/ev/loop.c. */
#include "ev/loop.c"
#include "tap.h"

static struct loop *loop;
static unsigned hooks, fired, delivered;

static void
on_hook(void *arg)
{
	(void)arg;
	hooks++;
}

static void
on_timer(void *arg)
{
	(void)arg;
	fired++;
	loop_stop(loop);
}

static void
on_message(void *arg)
{
	ok(delivered == (unsigned)(uintptr_t)arg, "message %u comes in its turn", delivered);
	if (++delivered == 1000)
		loop_stop(loop);
}

static void *
poster(void *arg)
{
	(void)arg;
	for (uintptr_t i = 0; i < 1000; i++)
		loop_post(loop, on_message, (void *)i);
	return (NULL);
}

static void
timers_fire_and_hooks_follow(void)
{
	struct timer t, never;

	timer_init(loop, &t, on_timer, NULL);
	timer_init(loop, &never, on_timer, NULL);
	timer_set(&t, 1000);
	timer_set(&never, 3600000000u);
	timer_clear(&never);
	loop_add_hook(loop, on_hook, &hooks);
	loop_run(loop);
	is_u(fired, 1, "a timer fires once, a cleared one never");
	ok(hooks >= 1, "the hook ran at the end of the turn");
	loop_del_hook(loop, &hooks);
}

static void
messages_cross_threads_in_order(void)
{
	pthread_t th;

	pthread_create(&th, NULL, poster, NULL);
	loop_run(loop);
	pthread_join(th, NULL);
	is_u(delivered, 1000, "every message arrived");
}

static void
on_readable(int fd, void *arg)
{
	char c;

	if (read(fd, &c, 1) == 1)
		(*(unsigned *)arg)++;
	loop_stop(loop);
}

static void
descriptors_wake_only_when_wanted(void)
{
	unsigned got = 0;
	struct io io;
	struct timer t;
	int p[2];

	MUST(pipe(p) == 0);
	io_init(loop, &io, p[0], on_readable, NULL, &got);
	MUST(write(p[1], "xy", 2) == 2);
	timer_init(loop, &t, on_timer, NULL);
	timer_set(&t, 1000);
	loop_run(loop);
	is_u(got, 0, "a descriptor that nobody asked for is left alone");
	ok(io_want(&io, EV_READ), "asked for");
	loop_run(loop);
	is_u(got, 1, "it is read");
	io_clear(&io);
	timer_set(&t, 1000);
	loop_run(loop);
	is_u(got, 1, "and left alone again");
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	loop = loop_new();
	timers_fire_and_hooks_follow();
	messages_cross_threads_in_order();
	descriptors_wake_only_when_wanted();
	loop_free(&loop);
	ok(loop == NULL, "freed");
	return (done_testing());
}
