/*
 * keymap.h - key -> namespace: the one with the longest prefix that the key begins with.
 *
 * Built once from the configuration, then read-only: any thread. The default namespace has the empty
 * prefix, so a key always has one.
 */
#ifndef KEYS_KEYMAP_H
#define KEYS_KEYMAP_H

#include "base/slice.h"

struct conf;
struct keymap;

/* NULL: out of memory. conf must outlive it. */
struct keymap	*keymap_new(const struct conf *);
void		 keymap_free(struct keymap **);

/* By name; -1: unknown. */
int		 keymap_named(const struct keymap *, struct slice name);

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
