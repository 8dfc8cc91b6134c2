/*
 * keymap.c - the prefixes in ascending order, each with the longest other prefix that it begins with.
 *
 * Whatever prefix a key has, the greatest prefix not above the key begins with it too (all that lies
 * between a prefix and a key that begins with it begins with it). So one binary search, kept short by a
 * table of first bytes, and then up from parent to parent until the key fits; the empty prefix always does.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "conf/model.h"
#include "keys/keymap.h"

#define KEYMAP_MAGIC	0x6b6d6170

struct entry {
	struct slice	 prefix;
	unsigned	 space;		/* index into conf->spaces */
	unsigned	 parent;	/* index into entries[]; the empty prefix: 0, itself */
};

/* read-only after build */
struct keymap {
	struct keymap_head head;
	unsigned	 magic;
	const struct conf *conf;
	uint32_t	 first[257];	/* first entry whose prefix begins with byte b or a higher one */
	struct entry	 entries[];
};

/* As memcmp() orders, a prefix of a longer string before it. */
static inline int
order(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (c != 0 || a.len == b.len)
		return (c);
	return (a.len < b.len ? -1 : 1);
}

static int
by_prefix(const void *a, const void *b)
{
	return (order(((const struct entry *)a)->prefix, ((const struct entry *)b)->prefix));
}

static void
link_parents(struct keymap *m)
{
	for (unsigned i = 1; i < m->head.nspaces; i++) {
		unsigned up = i - 1;

		while (!slice_has_prefix(m->entries[i].prefix, m->entries[up].prefix))
			up = m->entries[up].parent;
		m->entries[i].parent = up;
	}
}

static void
index_first_bytes(struct keymap *m)
{
	unsigned i = 1;		/* 0 is the empty prefix */

	for (unsigned b = 0; b < 257; b++) {
		while (i < m->head.nspaces && (unsigned char)m->entries[i].prefix.p[0] < b)
			i++;
		m->first[b] = i;
	}
}

struct keymap *
keymap_new(const struct conf *conf)
{
	struct keymap *m = calloc(1, sizeof(*m) + conf->nspaces * sizeof(m->entries[0]));

	if (m == NULL)
		return (NULL);
	m->head.nspaces = conf->nspaces;
	m->magic = KEYMAP_MAGIC;
	m->conf = conf;
	for (unsigned i = 0; i < conf->nspaces; i++) {
		m->entries[i].prefix = slice_of(conf->spaces[i].prefix, conf->spaces[i].prefix_len);
		m->entries[i].space = i;
	}
	qsort(m->entries, conf->nspaces, sizeof(m->entries[0]), by_prefix);
	MUST(conf->nspaces > 0 && m->entries[0].prefix.len == 0);
	link_parents(m);
	index_first_bytes(m);
	return (m);
}

void
keymap_free(struct keymap **mp)
{
	struct keymap *m;

	if (*mp == NULL)
		return;
	TAKE_OBJ_NOTNULL(m, mp, KEYMAP_MAGIC);
	m->magic = 0;
	free(m);
}

unsigned
keymap_search(const struct keymap *m, struct slice key)
{
	unsigned low, high, at;

	if (key.len == 0)
		return (m->entries[0].space);
	low = m->first[(unsigned char)key.p[0]];
	high = m->first[(unsigned char)key.p[0] + 1];
	if (low == high)
		return (m->entries[0].space);
	/* entries before low are not above the key, those from high on are */
	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (order(m->entries[middle].prefix, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	at = low - 1;
	while (!slice_has_prefix(key, m->entries[at].prefix))
		at = m->entries[at].parent;
	return (m->entries[at].space);
}

void
keymap_split(const struct conf_ns *ns, struct slice key, struct slice *id, struct slice *item)
{
	struct slice prefix = { ns->prefix, ns->prefix_len };
	size_t from = slice_has_prefix(key, prefix) ? prefix.len : 0;
	const char *at = NULL;

	/* memmem() is slow to set out for what mostly is one byte. */
	if (ns->separator_len == 1)
		at = memchr(key.p + from, ns->separator[0], key.len - from);
	else if (ns->separator_len > 1)
		at = memmem(key.p + from, key.len - from, ns->separator, ns->separator_len);
	*id = key;
	*item = slice_of(key.p + key.len, 0);
	if (at == NULL)
		return;
	id->len = (size_t)(at - key.p);
	item->p = at + ns->separator_len;
	item->len = (size_t)(key.p + key.len - item->p);
}

int
keymap_named(const struct keymap *m, struct slice name)
{
	for (unsigned i = 0; i < m->conf->nspaces; i++)
		if (slice_eq_str(name, m->conf->spaces[i].name))
			return ((int)i);
	return (-1);
}
