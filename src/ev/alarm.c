/*
 * alarm.c - a timerfd watched by the loop.
 *
 * It is only ever moved to an earlier time: what was waited for then may be gone when it goes off, which costs one
 * wake-up, where moving it each time would cost a system call each time.
 */
#include "config.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include "ev/alarm.h"

static void
alarm_rang(int fd, void *arg)
{
	struct alarm *a = arg;
	uint64_t n;

	(void)!read(fd, &n, sizeof n);
	a->at = UINT64_MAX;
	a->fn(a->arg);
}

bool
alarm_open(struct loop *l, struct alarm *a, void (*fn)(void *), void *arg)
{
	a->at = UINT64_MAX;
	a->fn = fn;
	a->arg = arg;
	a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (a->fd < 0)
		return (false);
	io_init(l, &a->io, a->fd, alarm_rang, NULL, a);
	if (io_want(&a->io, EV_READ))
		return (true);
	alarm_close(a);
	return (false);
}

void
alarm_by(struct alarm *a, uint64_t at)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(at / 1000000), .tv_nsec = (long)(at % 1000000) * 1000 },
	};

	if (at >= a->at)
		return;
	a->at = at;
	/* All zeros would stop it; a time that has passed makes it go off at once. */
	if (at == 0)
		when.it_value.tv_nsec = 1;
	(void)timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void
alarm_close(struct alarm *a)
{
	if (a->fd < 0)
		return;
	io_clear(&a->io);
	close(a->fd);
	a->fd = -1;
}
