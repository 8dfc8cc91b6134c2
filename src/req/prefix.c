/*
 * prefix.c - counters per key prefix: a chained hash table of bounded size under one lock.
 */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "cache/cache.h"
#include "req/prefix.h"

#define ROWS	4096u	/* a power of two */

struct prefix {
	SLIST_ENTRY(prefix) next;
	struct prefix_counts n;
	size_t		 len;
	char		 text[];
};

SLIST_HEAD(prefix_list, prefix);

struct prefixes {
	unsigned	 magic;
#define PREFIXES_MAGIC	0x70726678u
	char		 delimiter;
	pthread_mutex_t	 lock;		/* of all below; a leaf */
	unsigned	 n;
	struct prefix_list row[ROWS];
};

struct prefixes *
prefixes_new(char delimiter)
{
	struct prefixes *ps = calloc(1, sizeof *ps);

	if (ps == NULL)
		return (NULL);
	ps->magic = PREFIXES_MAGIC;
	ps->delimiter = delimiter;
	pthread_mutex_init(&ps->lock, NULL);
	return (ps);
}

void
prefixes_clear(struct prefixes *ps)
{
	struct prefix *p;

	CHECK_OBJ_NOTNULL(ps, PREFIXES_MAGIC);
	pthread_mutex_lock(&ps->lock);
	for (unsigned i = 0; i < ROWS; i++)
		while ((p = SLIST_FIRST(&ps->row[i])) != NULL) {
			SLIST_REMOVE_HEAD(&ps->row[i], next);
			free(p);
		}
	ps->n = 0;
	pthread_mutex_unlock(&ps->lock);
}

void
prefixes_free(struct prefixes **psp)
{
	struct prefixes *ps;

	if (*psp == NULL)
		return;
	TAKE_OBJ_NOTNULL(ps, psp, PREFIXES_MAGIC);
	prefixes_clear(ps);
	pthread_mutex_destroy(&ps->lock);
	ps->magic = 0;
	free(ps);
}

/* Lock held. NULL: there are too many, or no memory. */
static struct prefix *
prefix_get(struct prefixes *ps, struct slice text)
{
	struct prefix_list *row =
	    &ps->row[cache_hash(text) & (ROWS - 1)];
	struct prefix *p;

	SLIST_FOREACH(p, row, next)
		if (slice_eq(slice_of(p->text, p->len), text))
			return (p);
	if (ps->n >= PREFIXES_MAX)
		return (NULL);
	p = calloc(1, sizeof *p + text.len);
	if (p == NULL)
		return (NULL);
	p->len = text.len;
	if (text.len > 0)
		memcpy(p->text, text.p, text.len);
	SLIST_INSERT_HEAD(row, p, next);
	ps->n++;
	return (p);
}

void
prefixes_add(struct prefixes *ps, struct slice key,
    const struct prefix_counts *n)
{
	const char *end = memchr(key.p, ps->delimiter, key.len);
	struct prefix *p;

	if (end == NULL)
		return;
	pthread_mutex_lock(&ps->lock);
	p = prefix_get(ps, slice_of(key.p, (size_t)(end - key.p)));
	if (p != NULL) {
		p->n.gets += n->gets;
		p->n.hits += n->hits;
		p->n.sets += n->sets;
		p->n.deletes += n->deletes;
	}
	pthread_mutex_unlock(&ps->lock);
}

void
prefixes_each(struct prefixes *ps,
    bool (*emit)(void *, struct slice, const struct prefix_counts *),
    void *arg)
{
	struct prefix *p;
	bool more = true;

	pthread_mutex_lock(&ps->lock);
	for (unsigned i = 0; more && i < ROWS; i++)
		SLIST_FOREACH(p, &ps->row[i], next) {
			more = emit(arg, slice_of(p->text, p->len), &p->n);
			if (!more)
				break;
		}
	pthread_mutex_unlock(&ps->lock);
}
