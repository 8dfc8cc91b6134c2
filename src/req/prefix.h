/*
 * prefix.h - `stats detail`: counters per key prefix, the part before the first delimiter.
 *
 * Off unless asked for; then every counted command takes a lock, so it is for looking, not for keeping on.
 * Any thread.
 */
#ifndef REQ_PREFIX_H
#define REQ_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define PREFIXES_MAX	65536	/* further ones are not counted */

struct prefixes;

struct prefix_counts {
	uint64_t	 gets, hits, sets, deletes;
};

/* NULL: out of memory. */
struct prefixes	*prefixes_new(char delimiter);
void		 prefixes_free(struct prefixes **);

/* Adds to the prefix of the key; keys without a delimiter have none. */
void		 prefixes_add(struct prefixes *, struct slice key, const struct prefix_counts *);
/* `stats reset`: forgets them all. */
void		 prefixes_clear(struct prefixes *);
/* In no order. emit() must not call back into it; false ends it. */
void		 prefixes_each(struct prefixes *, bool (*emit)(void *arg, struct slice, const struct prefix_counts *),
		    void *arg);

#endif
