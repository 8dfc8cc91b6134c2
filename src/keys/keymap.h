/*
 * keymap.h - key -> namespace: the one with the longest prefix that the key begins with; and the parts of a key there.
 *
 * Built once from the configuration, then read-only: any thread. The default namespace has the empty
 * prefix, so a key always has one.
 */
#ifndef KEYS_KEYMAP_H
#define KEYS_KEYMAP_H

#include "base/slice.h"

struct conf;
struct conf_ns;
struct keymap;

/* NULL: out of memory. conf must outlive it. */
struct keymap	*keymap_new(const struct conf *);
void		 keymap_free(struct keymap **);

/* By name; -1: unknown. */
int		 keymap_named(const struct keymap *, struct slice name);

/*
 * The two parts of a key in a namespace: before and behind the first separator after the prefix (which a key that was
 * brought there by L may lack). In a flat one all of it is the id. Both borrow from key.
 */
void		 keymap_split(const struct conf_ns *, struct slice key, struct slice *id, struct slice *item);

/* The search of keymap_find(). */
unsigned	 keymap_search(const struct keymap *, struct slice key);

/* What keymap_find() looks at; the rest is keymap.c's. */
struct keymap_head {
	unsigned	 nspaces;
};

/* Index into conf->spaces. With one namespace this is free. */
static inline unsigned
keymap_find(const struct keymap *m, struct slice key)
{
	return (((const struct keymap_head *)(const void *)m)->nspaces == 1 ? 0 : keymap_search(m, key));
}

#endif
