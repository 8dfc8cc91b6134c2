/*
 * internal.h - what the files of admin/ share: lines of an answer, and the functions that write one.
 *
 * Memory that runs out in the middle of an answer is remembered and told once, at its end: the client is
 * dropped then, because half an answer would leave it out of step.
 */
#ifndef ADMIN_INTERNAL_H
#define ADMIN_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/outq.h"
#include "base/slice.h"
#include "req/req.h"

#define STATS_LINE_MAX	2048	/* longer lines are cut */

struct stats_out {
	struct outq	*out;
	bool		 lost;		/* no memory */
};

/* One line of plain text and CRLF. */
void	stats_line(struct stats_out *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* "STAT <name> <value>". */
void	stats_u64(struct stats_out *, const char *name, uint64_t);
void	stats_str(struct stats_out *, const char *name, const char *value);
void	stats_end(struct stats_out *);

/* What a command knows of itself. */
struct stats_args {
	struct client	*cl;
	unsigned	 nwords;	/* the one that chose the function included */
	const struct slice *words;
};
typedef void	stats_f(struct stats_out *, const struct stats_args *);

stats_f	stats_general, stats_settings, stats_cache, stats_items, stats_slabs, stats_sizes, stats_cachedump,
	stats_conns, stats_detail, stats_kvgate, stats_namespaces, stats_servers, stats_reset;

#endif
