/*
 * page.h - page tokens: where a read of many items goes on.
 *
 * A token is text that means nothing to clients. It holds the place itself and nothing that a kvgate keeps, so it is
 * good at any kvgate, after restarts and reloads too; it is bound to the question that it was given to, and summed, so
 * that what is not a token of this question is refused. Pure: any thread.
 */
#ifndef KV_PAGE_H
#define KV_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/record.h"
#include "base/slice.h"

#define PAGE_TOKEN_MAX	2048	/* characters of any token */
#define PAGE_RAW_MAX	1536	/* bytes that page_get() needs for its slices */

/* The question. */
struct page_ask {
	uint8_t		 verb;		/* OP_ITEMS_READ, OP_SCAN */
	struct slice	 space;		/* the namespace's name */
	struct slice	 id;		/* OP_ITEMS_READ */
	const struct rec_which *which;	/* OP_ITEMS_READ */
	uint32_t	 part, parts;	/* OP_SCAN */
};

/* The place, and what is remembered beside it. */
struct page_at {
	struct slice	 id, key;	/* behind this item; OP_ITEMS_READ: id is not kept. p NULL: at the start */
	uint32_t	 done;		/* which.keys: so many of them are; OP_SCAN: servers that are */
	uint64_t	 left;		/* items that may still be given, 0: any number */
	uint32_t	 size;		/* bytes of an item on the average, 0: unknown */
};

/* Writes at most PAGE_TOKEN_MAX bytes, at least one; returns the end. at.id up to 255 bytes, at.key REC_KEY_MAX. */
char	*page_put(char *dst, const struct page_ask *, const struct page_at *);
/* False: this is no token of this question. The slices of *at are in raw. */
bool	 page_get(struct slice token, const struct page_ask *, struct page_at *at, char raw[PAGE_RAW_MAX]);

#endif
