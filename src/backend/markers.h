/*
 * markers.h - record and range deletes as marks on the record: below which versions which items are dead.
 *
 * A list is bytes, sorted, its ranges apart from each other; each has the newest (version, nonce) that was deleted
 * there, so for an item there is at most one to look at, and a marker that others cover is gone. Pure: no memory of
 * their own; any thread.
 *
 *	0 the format's number 1
 *	then each: version 8 | nonce 16 | kept until 8 | length of from 2 | of until 2, 0xffff: no end | from | until
 */
#ifndef BACKEND_MARKERS_H
#define BACKEND_MARKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/record.h"
#include "base/slice.h"
#include "proto/envelope.h"

#define MARKERS_LEN_MAX	(64 * 1024)	/* bytes of a list */

/* What orders writes. */
struct stamp {
	uint64_t	 version;
	uint8_t		 nonce[NONCE_LEN];
};

/* As memcmp(). */
int		 stamp_cmp(const struct stamp *, const struct stamp *);
struct stamp	 stamp_of(uint64_t version, const uint8_t nonce[NONCE_LEN]);

struct marker {
	struct slice	 from;		/* inclusive; empty: from the first item on */
	struct slice	 until;		/* exclusive; p NULL: to the last */
	struct stamp	 stamp;
	uint64_t	 keep;		/* milliseconds since 1970: as long at least it must be known */
};

/*
 * The range that bounds and head of a predicate (nkeys is 0) come to. head's end may need buf. False: nothing can be
 * in it.
 */
bool		 markers_range(const struct rec_which *, char buf[REC_KEY_MAX], struct slice *from,
		    struct slice *until);

/* Whether these bytes are a list; none at all are one. What follows takes only such. */
bool		 markers_valid(struct slice list);
/* The list with one more, into dst, which is not the list. Its length; 0: that would be more than MARKERS_LEN_MAX. */
size_t		 markers_add(struct slice list, const struct marker *, char dst[MARKERS_LEN_MAX]);
/* The list without those whose keep is over, if f (NULL: always) says so too. Its length, may be 0. */
typedef bool	 markers_spent_f(void *arg, const struct marker *);
size_t		 markers_drop(struct slice list, uint64_t now, markers_spent_f *f, void *arg,
		    char dst[MARKERS_LEN_MAX]);
/* False: no marker covers the item. */
bool		 markers_find(struct slice list, struct slice key, struct stamp *);
/* Whether there is no item that none covers; *oldest: what any item needs to be dead for sure. */
bool		 markers_all(struct slice list, struct stamp *oldest);

/* For items in order, either way: no search as long as they stay in one range or gap, or go to the next. */
struct markers_at {
	struct slice	 list;
	size_t		 next;		/* where the marker behind the present place is */
	struct marker	 marker;	/* of the place, stamp and keep only where covered */
	bool		 covered, known;
};

void		 markers_begin(struct markers_at *, struct slice list);
/* The stamp lives as long as *at, until the next call. NULL: none covers the item. */
const struct stamp *markers_at(struct markers_at *, struct slice key);
/* One after the other, next being 0 at first. False: that was all. */
bool		 markers_next(struct slice list, size_t *next, struct marker *);

#endif
