/* Unit tests of src/proc/signals.c: signals become calls on the loop. */
#include "proc/signals.c"

#include <unistd.h>

#include "tap.h"

static struct loop *loop;
static unsigned calls, stops, graces, reloads;

static void
on_call(void *arg, enum signals_what what)
{
	(void)arg;
	calls++;
	stops += what == SIGNALS_STOP;
	graces += what == SIGNALS_GRACE;
	reloads += what == SIGNALS_RELOAD;
	loop_stop(loop);
}

static void
too_late(void *arg)
{
	(void)arg;
	printf("# the signal never came\n");
	loop_stop(loop);
}

int
main(void)
{
	struct signals *s;
	struct timer deadline;
	int fds[2];

	loop = loop_new();
	s = signals_new(loop, on_call, NULL);
	ok(s != NULL, "made");
	timer_init(loop, &deadline, too_late, NULL);
	timer_set(&deadline, 20000000);
	raise(SIGTERM);
	loop_run(loop);
	ok(calls == 1 && stops == 1, "SIGTERM");
	raise(SIGINT);
	loop_run(loop);
	ok(calls == 2 && stops == 2, "SIGINT");
	raise(SIGHUP);
	loop_run(loop);
	ok(calls == 3 && reloads == 1, "SIGHUP");
	raise(SIGUSR1);
	loop_run(loop);
	ok(calls == 4 && graces == 1, "SIGUSR1");
	ok(pipe(fds) == 0 && close(fds[0]) == 0 && write(fds[1], "", 1) == -1, "SIGPIPE does not kill");
	timer_clear(&deadline);
	signals_free(&s);
	ok(s == NULL, "freed");
	signals_free(&s);
	loop_free(&loop);
	return (done_testing());
}
