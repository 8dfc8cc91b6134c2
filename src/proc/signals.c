/*
 * signals.c - signal handlers of libevent on the main loop.
 *
 * The handlers proper only write a byte to a socket of libevent's; what is done about a signal is done on the loop,
 * where everything is allowed.
 */
#include "config.h"

#include <signal.h>
#include <stdlib.h>

#include "base/check.h"
#include "ev/loop.h"
#include "proc/signals.h"

static const int caught[] = { SIGTERM, SIGINT, SIGUSR1, SIGHUP };

struct signals {
	unsigned	 magic;
#define SIGNALS_MAGIC	0x7369676eu
	signals_f	*fn;
	void		*arg;
	struct event	 ev[NITEMS(caught)];
	unsigned	 nev;		/* those added */
};

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct signals *s = arg;

	(void)what;
	s->fn(s->arg, sig == SIGHUP ? SIGNALS_RELOAD : sig == SIGUSR1 ? SIGNALS_GRACE : SIGNALS_STOP);
}

struct signals *
signals_new(struct loop *l, signals_f *fn, void *arg)
{
	struct signals *s = calloc(1, sizeof *s);

	if (s == NULL)
		return (NULL);
	s->magic = SIGNALS_MAGIC;
	s->fn = fn;
	s->arg = arg;
	/* A file that may not grow is an error of the database's. */
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		goto fail;
	for (size_t i = 0; i < NITEMS(caught); i++) {
		if (event_assign(&s->ev[i], loop_base(l), caught[i], EV_SIGNAL | EV_PERSIST, on_signal, s) != 0 ||
		    event_add(&s->ev[i], NULL) != 0)
			goto fail;
		s->nev++;
	}
	return (s);

fail:
	signals_free(&s);
	return (NULL);
}

void
signals_free(struct signals **sp)
{
	struct signals *s;

	if (*sp == NULL)
		return;
	TAKE_OBJ_NOTNULL(s, sp, SIGNALS_MAGIC);
	while (s->nev > 0) {
		event_del(&s->ev[--s->nev]);
		/* The end is under way: to be asked for it again is no reason to die of it. */
		(void)signal(caught[s->nev], SIG_IGN);
	}
	s->magic = 0;
	free(s);
}
