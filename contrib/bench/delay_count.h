/*
 * delay_count.h - counts what a memcached is asked, from the bytes sent to it.
 */
#ifndef BENCH_DELAY_COUNT_H
#define BENCH_DELAY_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct asked {
	uint64_t	reads;		/* keys, of get and gets and gat, mg */
	uint64_t	writes;		/* what comes with a value */
	uint64_t	others;		/* lines: version, mn, delete ... */
};

/* Of one connection; zeroed to begin with. */
struct count {
	struct bytes	line;		/* the begin of a line still to come */
	uint64_t	skip;		/* bytes of a value still to come */
};

/* Pieces may be cut anywhere. No memory: what is cut off is not counted. */
void	count_bytes(struct count *, const char *at, size_t len,
	    struct asked *);
void	count_free(struct count *);

#endif
