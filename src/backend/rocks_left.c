/*
 * rocks_left.c - pieces of values that nothing names any more: they go a little later.
 *
 * Who reads a large value has its item first and then asks for the pieces. What the same client says behind that read
 * is written before these come, and must not take them away; nor need anybody else who is reading begin again. The list
 * is the writer's, in the order of time. It is lost with the process: then a compaction finds them (rocks_filter.c).
 */
#include "config.h"

#include <stdlib.h>

#include "backend/rocks.h"
#include "base/check.h"
#include "base/num.h"

#define GRACE		2000000u	/* microseconds */
#define LEFT_MAX	4096u		/* values; of more, the pieces go at once */
#define AT_ONCE		128u		/* of one batch */

struct left {
	STAILQ_ENTRY(left) next;
	struct rocks_family *family;
	uint64_t	 due;		/* of rocks_usec() */
	uint32_t	 chunks;
	size_t		 len;
	char		 key[];		/* of the pieces, without a number */
};

struct rocks_left {
	STAILQ_HEAD(, left) list;
	unsigned	 n;
};

struct rocks_left *
rocks_left_new(void)
{
	struct rocks_left *l = calloc(1, sizeof *l);

	if (l != NULL)
		STAILQ_INIT(&l->list);
	return (l);
}

void
rocks_left_free(struct rocks_left **lp)
{
	struct rocks_left *l = *lp;
	struct left *e;

	*lp = NULL;
	if (l == NULL)
		return;
	while ((e = STAILQ_FIRST(&l->list)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->list, next);
		free(e);
	}
	free(l);
}

bool
rocks_left_add(struct rocks_left *l, struct rocks_family *f, const struct rocks_key *key, uint32_t chunks)
{
	struct left *e = l->n < LEFT_MAX ? malloc(sizeof *e + key->len) : NULL;

	if (e == NULL)
		return (false);
	e->family = f;
	e->due = rocks_usec() + GRACE;
	e->chunks = chunks;
	e->len = key->len;
	memcpy(e->key, key->bytes, key->len);
	STAILQ_INSERT_TAIL(&l->list, e, next);
	l->n++;
	return (true);
}

uint64_t
rocks_left_due(const struct rocks_left *l)
{
	const struct left *e = STAILQ_FIRST(&l->list);

	return (e == NULL ? UINT64_MAX : e->due);
}

/* Whether an item names them, be it that it was not replaced after all. */
static bool
is_named(struct rocks_batch *b, struct rocks_family *f, const struct rocks_key *pieces)
{
	struct rocks_row_name n;
	struct rocks_key key = *pieces, item;
	struct slice row;
	struct envelope e;
	bool there, is = true;

	/* What the first of them says. */
	key.len = (size_t)(num_put_be(key.bytes + key.len, 1, 4) - key.bytes);
	MUST(rocks_key_parse(rocks_key_slice(&key), &n));
	rocks_key_item(&item, ROCKS_ITEM, n.id, n.item);
	if (rocks_batch_get(b, f, &item, &row, &there))
		is = there && envelope_get(row, &e, &row) && rocks_key_names(&n, &e);
	rocks_batch_let_go(b);
	return (is);
}

void
rocks_left_drop(struct rocks_left *l, struct rocks_batch *b)
{
	unsigned n = AT_ONCE;
	struct rocks_key key;
	struct left *e;

	/* What cannot be done is left to a compaction. */
	while (n-- > 0 && (e = STAILQ_FIRST(&l->list)) != NULL && e->due <= rocks_usec()) {
		STAILQ_REMOVE_HEAD(&l->list, next);
		l->n--;
		key.len = e->len;
		memcpy(key.bytes, e->key, e->len);
		if (!is_named(b, e->family, &key))
			(void)rocks_item_drop(b, e->family, &key, e->chunks);
		free(e);
	}
}
