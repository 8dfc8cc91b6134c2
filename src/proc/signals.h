/*
 * signals.h - signals, delivered as calls on the main loop.
 *
 * SIGPIPE is ignored. Loop thread only.
 */
#ifndef PROC_SIGNALS_H
#define PROC_SIGNALS_H

struct loop;
struct signals;

enum signals_what {
	SIGNALS_STOP,		/* SIGTERM, SIGINT: finish what is in flight and end */
	SIGNALS_GRACE,		/* SIGUSR1: the same, said to be graceful, as memcached has it */
	SIGNALS_RELOAD,		/* SIGHUP: read the configuration again */
};

/* May come more than once: who sends SIGINT again is in a hurry. */
typedef void signals_f(void *arg, enum signals_what);

/* NULL: out of memory or signals cannot be caught. The loop outlives it. */
struct signals	*signals_new(struct loop *, signals_f *, void *arg);
/* Frees and sets to NULL; the signals have their default meaning again. NULL is fine. */
void		 signals_free(struct signals **);

#endif
