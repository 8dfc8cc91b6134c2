/*
 * reload.h - a new reading of the configuration for all workers, while they run.
 *
 *	main thread: check --post--> each worker: ctx_adopt() --the last one posts--> main thread: purge, done
 *
 * No connection of a client is touched and no request ends early: each goes on with the view it began with. When all
 * workers have the new one, copies and items of the local cache go whose namespace now keeps its keys elsewhere. Main
 * thread only.
 */
#ifndef REQ_RELOAD_H
#define REQ_RELOAD_H

#include <stdbool.h>

#include "req/ctx.h"

struct reload;

/*
 * Whether a view could be made of it: rings that would not fit, types of stores that are missing. False with *why set,
 * *store is the one it is about.
 */
bool		 reload_check(const struct snapshot *, const char **store, const char **why);
/*
 * Starts; one at a time. uneven: some worker may have an older configuration than was, so no copy is taken to be good.
 * done(arg) comes once, on the main thread, good telling whether all workers have adopted it; those that have not go on
 * with the old one. NULL: out of memory.
 */
struct reload	*reload_start(struct shared *, struct snapshot *was, struct snapshot *now, bool uneven,
		    void (*done)(void *arg, bool good), void *arg);
/* Ends what is still under way when the program does: workers have ended. NULL is fine. */
void		 reload_free(struct reload **);

#endif
