/*
 * envelope.h - how a store without flags, uniques and marks keeps an item: a head in front of the value.
 *
 *	0  magic 3, 4th byte: the format's number
 *	4  marks 1 | codec of the value 1 | length of the head 2
 *	8  version 8: the CAS unique
 *	16 expiry 8: milliseconds since 1970, 0: never
 *	24 client flags 4
 *	28 what later formats add, up to the length of the head: nonce, chunks
 *
 * All numbers have their highest byte first, so that versions compare as bytes. redis.lua reads and writes the same.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define ENVELOPE_MAGIC	"\xf1kv"
#define ENVELOPE_FORMAT	1
#define ENVELOPE_LEN	28	/* of the head that is written */

#define ENVELOPE_STALE	(1u << 0)	/* somebody is to bring a newer value */
#define ENVELOPE_WON	(1u << 1)	/* somebody was told to */
#define ENVELOPE_DEAD	(1u << 2)	/* deleted: there is but the version */
#define ENVELOPE_BINKEY	(1u << 3)	/* its key came as base64 */
#define ENVELOPE_FETCHED (1u << 4)	/* a read that asked for this has been here before */

struct envelope {
	uint8_t		 marks;
	uint32_t	 client_flags;
	uint64_t	 version;
	uint64_t	 expiry;
};

/* Writes ENVELOPE_LEN bytes; returns the end. */
char	*envelope_put(char *dst, const struct envelope *);
/* Sets *e and *value, which borrows from item. False: this is no envelope, or one of another format. */
bool	 envelope_get(struct slice item, struct envelope *e, struct slice *value);

#endif
