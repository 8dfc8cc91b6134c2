/*
 * alarm.h - a timer that is on time to some tens of microseconds.
 *
 * Timers of a loop are as coarse as epoll's milliseconds and the kernel's cheap clock, which is right for timeouts and
 * wrong for sending a read again two milliseconds after the first time. An alarm has a descriptor of its own (timerfd)
 * and costs a system call each time it is moved, so few are made and many things wait for one. Loop thread only.
 */
#ifndef EV_ALARM_H
#define EV_ALARM_H

#include "ev/loop.h"

struct alarm {
	struct io	 io;
	int		 fd;		/* -1: not open */
	uint64_t	 at;		/* when it goes off; UINT64_MAX: not set */
	void		(*fn)(void *arg);
	void		*arg;
};

/* False: no descriptor or memory. */
bool		 alarm_open(struct loop *, struct alarm *, void (*fn)(void *), void *arg);
/* Goes off at this time of loop_now_fresh() or, if it was set to an earlier one, then. */
void		 alarm_by(struct alarm *, uint64_t at);
/* One that is not open is fine. */
void		 alarm_close(struct alarm *);

#endif
