/*
 * cut.h - local copies and writes of many items at one time.
 *
 * Copies are found by whole keys, so those of a record cannot be enumerated. A delete of a record or a range is a cut:
 * no copy of the record that was asked for before its end is believed after its beginning, be it there already or on
 * its way. Cuts are counted in a table by the hash of the id; a copy knows what its place there was when it was asked
 * for (copy.c). Writes of single items move the fence of their key, as those of classic commands do.
 *
 * A write begins before it is sent and ends when its outcome is there, whatever that is, and before the client hears of
 * it. In a flat namespace a record is its only item. Loop thread only, but for cut_word() and cut_allows().
 */
#ifndef REQ_CUT_H
#define REQ_CUT_H

#include "req/ctx.h"

/* One item, named by its parts; one with too long a key for classic commands has no copies. */
void		 cut_item_begin(struct ctx *, const struct space *, struct slice id, struct slice item);
void		 cut_item_end(struct ctx *, const struct space *, struct slice id, struct slice item, bool known);
/* All items of a record, or any number of them. */
void		 cut_record_begin(struct ctx *, const struct space *, struct slice id);
void		 cut_record_end(struct ctx *, const struct space *, struct slice id, bool known);

/* The place of a record in the table, by the hash of its id: cuts under way in the low bits, as in a fence. */
uint64_t	 cut_word(const struct ctx *, uint64_t id_hash);
/* What cut_record_begin() and _end() do to it, beside what concerns the cache store. */
void		 cut_enter(struct ctx *, uint64_t id_hash);
void		 cut_leave(struct ctx *, uint64_t id_hash);
/* What a copy keeps of the word; CUT_BITS of it. */
#define CUT_BITS	30
uint32_t	 cut_seen(uint64_t word);
/* Whether a copy that has this of its record's word is to be believed still. Any lock. */
bool		 cut_allows(const struct ctx *, const struct conf_ns *, struct slice key, uint32_t seen);

#endif
