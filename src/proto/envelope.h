/*
 * envelope.h - how a store without flags, uniques and marks keeps an item: a head in front of the value.
 *
 *	0  magic 3, 4th byte: the format's number
 *	4  marks 1 | codec of the value 1 | length of the head 2
 *	8  version 8: the CAS unique
 *	16 expiry 8: milliseconds since 1970, 0: never
 *	24 client flags 4
 *	28 nonce 16: of the token that wrote it; an encoded value without one has 12 bytes instead: size, dictionary
 *	44 size 8: of the value that clients see | dictionary 4: its codec's, 0: none; of what is in chunks: its try
 *	56 chunk 4: bytes of each but the last | chunks 4: so many; there is no value behind the head then
 *
 * All numbers have their highest byte first, so that versions compare as bytes, and with the nonces behind them. A head
 * ends where the rest would be zeros: it has 28, 40 (size and dictionary), 44 or 64 bytes; what later formats add comes
 * behind. redis.lua reads and writes the same.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define ENVELOPE_MAGIC	"\xf1kv"
#define ENVELOPE_FORMAT	1
#define ENVELOPE_LEN	28	/* of the shortest head */
#define ENVELOPE_CODED_LEN 40	/* of one of an encoded value without a nonce */
#define ENVELOPE_NONCE_LEN 44	/* of one with a nonce */
#define ENVELOPE_LEN_MAX 64	/* of any that is written */
#define NONCE_LEN	16

#define ENVELOPE_STALE	(1u << 0)	/* somebody is to bring a newer value */
#define ENVELOPE_WON	(1u << 1)	/* somebody was told to */
#define ENVELOPE_DEAD	(1u << 2)	/* deleted: there is but the version */
#define ENVELOPE_BINKEY	(1u << 3)	/* its key came as base64 */
#define ENVELOPE_FETCHED (1u << 4)	/* a read that asked for this has been here before */

/* How a value is encoded. */
enum codec { CODEC_NONE, CODEC_ZSTD, CODEC_COUNT };

struct envelope {
	uint8_t		 marks;
	uint8_t		 codec;		/* enum codec */
	uint32_t	 client_flags;
	uint64_t	 version;
	uint64_t	 expiry;
	uint8_t		 nonce[NONCE_LEN];	/* a number, highest byte first */
	uint64_t	 size;		/* of the value, decoded; put: of what is neither encoded nor in chunks 0 */
	uint32_t	 dictionary;	/* of a value in chunks: what tells its chunks from those of other tries */
	uint32_t	 chunk;
	uint32_t	 chunks;	/* 0: the value is behind the head */
};

/* Writes at most ENVELOPE_LEN_MAX bytes; returns the end. */
char	*envelope_put(char *dst, const struct envelope *);
/* Sets *e and *value, which borrows from item. False: this is no envelope, or one of another format. */
bool	 envelope_get(struct slice item, struct envelope *e, struct slice *value);

#endif
