/*
 * piece.h - a piece of a value that is too large for one: what is stored for it, which tells of itself all that is
 * needed to use it or to see that it is none.
 *
 *	0  magic 3, 4th byte: the format's number
 *	4  codec 1 | zeros 3
 *	8  bytes that the piece has for clients 4
 *	12 sum 8: XXH3 of all that follows, with the piece's number for a seed
 *
 * Numbers have their highest byte first. Pure: any thread.
 */
#ifndef KV_PIECE_H
#define KV_PIECE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define PIECE_HEAD	20

struct piece {
	uint8_t		 codec;		/* enum codec */
	uint32_t	 size;		/* decoded */
	struct slice	 data;		/* as it is stored */
};

/* Writes PIECE_HEAD bytes; data is to follow them. */
void		 piece_put(char *dst, uint32_t number, const struct piece *);
/* False: this is no piece of that number. p->data borrows from stored. */
bool		 piece_get(struct slice stored, uint32_t number, struct piece *p);

#endif
