/*
 * stats_text.h - the `stats` family: what memcached's tools read, and what kvgate has beside it.
 *
 * Any worker's thread, for that worker's client; counters of all workers are summed.
 */
#ifndef ADMIN_STATS_TEXT_H
#define ADMIN_STATS_TEXT_H

#include "req/ctx.h"

/* Installs the two below in sh->ops. False: out of memory. Main thread, before workers run. */
bool		 stats_open(struct shared *, const struct conf *);
/* After all workers have ended. */
void		 stats_close(struct shared *);

/*
 * ctx_ops.stats: the whole answer to `stats <word>...` into the client's queue, at once or later. False: no such
 * word, nothing was answered. Plain `stats` stays below 4,096 bytes, which is what some readers take.
 */
bool		 stats_text(struct client *, unsigned nwords, const struct slice *words);
/* ctx_ops.watch. */
const char	*stats_watch(struct ctx *, struct client *, unsigned nwords, const struct slice *words);

#endif
