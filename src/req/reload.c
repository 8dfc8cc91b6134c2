/*
 * reload.c - snapshots handed to workers; what the local cache must not show any more.
 *
 * The local cache knows keys, not namespaces. What it holds of a key is right as long as the key's namespace keeps its
 * values in the same place in the same form. So the walk looks every key up in both snapshots. Reads that were sent
 * under the old one do not fill the cache after it (fill.c).
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/check.h"
#include "obs/log.h"
#include "req/reload.h"
#include "route/ring.h"

#define PURGE_ITEMS	512	/* of a walk at one time */
#define PURGE_KEYS	64	/* to be removed then */
/* An item may be moved meanwhile, from where the walk has yet to come to where it has been; hardly twice. */
#define PURGE_WALKS	2

struct reload {
	unsigned	 magic;
#define RELOAD_MAGIC	0x72656c64u
	struct shared	*sh;
	struct snapshot	*was, *now;
	bool		 uneven;	/* was is not what all workers had */
	unsigned	 walks;
	_Atomic unsigned left;		/* workers that have not adopted it */
	_Atomic bool	 failed;
	void		(*done)(void *arg, bool good);
	void		*arg;
	uint64_t	 cursor;
	/* What one step of the walk found. */
	unsigned	 nkeys;
	size_t		 len[PURGE_KEYS];
	char		 key[PURGE_KEYS][OP_KEY_MAX];
};

/* One worker's part. */
struct adoption {
	struct reload	*reload;
	struct ctx	*ctx;
};

/* ---- checking ---- */

bool
reload_check(const struct snapshot *snap, const char **store, const char **why)
{
	for (unsigned i = 0; i < snap->conf->nstores; i++) {
		const struct conf_store *st = &snap->conf->stores[i];
		struct ring *ring;

		*store = st->name;
		*why = "this build has no such type of store";
		if (backend_find(st->type) == NULL)
			return (false);
		if (st->nservers == 0)
			continue;		/* a database has no servers to choose from */
		ring = ring_new(st, why);
		if (ring == NULL)
			return (false);
		ring_free(&ring);
	}
	return (true);
}

/* ---- purging ---- */

static const struct conf_ns *
space_in(const struct snapshot *s, struct slice key)
{
	return (&s->conf->spaces[keymap_find(s->keymap, key)]);
}

/* Where keys are split, copies have other notes; items are the namespace's of that name. */
static bool
same_items(const struct conf_ns *a, const struct conf_ns *b)
{
	if (a->separator_len != b->separator_len || memcmp(a->separator_len > 0 ? a->separator : "",
	    b->separator_len > 0 ? b->separator : "", a->separator_len) != 0)
		return (false);
	return (a->format == FORMAT_RAW || strcmp(a->name, b->name) == 0);
}

/* Whether what is held of a key of namespace a is true in b as well, and gone as soon as it has to be there. */
static bool
holds_on(const struct reload *r, const struct conf_ns *a, const struct conf_ns *b)
{
	if (a->primary == NULL || b->primary == NULL)
		return (a->primary == b->primary);
	return (!r->uneven && same_items(a, b) && a->local == b->local && a->format == b->format &&
	    a->local_ttl <= b->local_ttl && a->negative_ttl <= b->negative_ttl &&
	    a->stale_for == b->stale_for && conf_store_same(a->primary, b->primary));
}

/* Whether any key's copy could be wrong. */
static bool
needs_purge(const struct reload *r)
{
	const struct conf *a = r->was->conf, *b = r->now->conf;

	if (a->nspaces != b->nspaces)
		return (true);
	for (unsigned i = 0; i < a->nspaces; i++)
		if (strcmp(a->spaces[i].prefix, b->spaces[i].prefix) != 0 ||
		    !holds_on(r, &a->spaces[i], &b->spaces[i]))
			return (true);
	return (false);
}

/* cache_walk()'s visit. */
static bool
purge_visit(void *arg, const struct item *it)
{
	struct reload *r = arg;
	struct slice key = item_key(it);

	if (holds_on(r, space_in(r->was, key), space_in(r->now, key)))
		return (true);
	if (r->nkeys == PURGE_KEYS)
		return (false);
	memcpy(r->key[r->nkeys], key.p, key.len);
	r->len[r->nkeys++] = key.len;
	return (true);
}

static void
purge_key(struct cache *c, struct slice key)
{
	uint64_t hash = cache_hash(key);
	struct cache_shard *s = cache_lock(c, hash);
	struct item *it = cache_find(s, hash, key);

	if (it != NULL)
		cache_unlink(s, it);
	cache_unlock(s);
}

static void
reload_end(struct reload *r)
{
	bool good = !atomic_load(&r->failed);
	void (*done)(void *, bool) = r->done;
	void *arg = r->arg;

	reload_free(&r);
	done(arg, good);
}

/* A step at a time: the main thread has clients to accept. */
static void
reload_purge(void *arg)
{
	struct reload *r = arg;
	bool more = cache_walk(r->sh->cache, &r->cursor, PURGE_ITEMS, purge_visit, r);

	for (unsigned i = 0; i < r->nkeys; i++)
		purge_key(r->sh->cache, slice_of(r->key[i], r->len[i]));
	r->nkeys = 0;
	if (!more && ++r->walks < PURGE_WALKS) {
		r->cursor = 0;
		more = true;
	}
	if (more && loop_post(r->sh->main_loop, reload_purge, r))
		return;
	if (more)
		atomic_store(&r->failed, true);
	reload_end(r);
}

/* Main thread: everybody has it. */
static void
reload_adopted(void *arg)
{
	struct reload *r = arg;

	if (!needs_purge(r)) {
		reload_end(r);
		return;
	}
	reload_purge(r);
}

/* ---- handing out ---- */

/* Any thread: one worker less to wait for. */
static void
reload_count(struct reload *r)
{
	if (atomic_fetch_sub(&r->left, 1) > 1)
		return;
	/* Without memory for a message it stays unfinished: no other reload starts, nothing else is wrong. */
	if (!loop_post(r->sh->main_loop, reload_adopted, r))
		log_error("out of memory: a reload cannot be finished");
}

/* Worker's thread. */
static void
reload_adopt(void *arg)
{
	struct adoption *a = arg;
	struct reload *r = a->reload;
	const char *why;

	if (!ctx_adopt(a->ctx, r->now, &why)) {
		log_error("worker %u goes on with the old configuration: %s", a->ctx->id, why);
		atomic_store(&r->failed, true);
	}
	free(a);
	reload_count(r);
}

static void
reload_post(struct reload *r, struct ctx *ctx)
{
	struct adoption *a = malloc(sizeof *a);

	if (a != NULL) {
		a->reload = r;
		a->ctx = ctx;
		if (loop_post(ctx->loop, reload_adopt, a))
			return;
		free(a);
	}
	log_error("worker %u goes on with the old configuration: out of memory", ctx->id);
	atomic_store(&r->failed, true);
	reload_count(r);
}

struct reload *
reload_start(struct shared *sh, struct snapshot *was, struct snapshot *now, bool uneven, void (*done)(void *, bool),
    void *arg)
{
	struct reload *r = calloc(1, sizeof *r);

	if (r == NULL)
		return (NULL);
	r->magic = RELOAD_MAGIC;
	r->sh = sh;
	r->was = snapshot_pin(was);
	r->now = snapshot_pin(now);
	r->uneven = uneven;
	atomic_init(&r->left, sh->nworkers);
	r->done = done;
	r->arg = arg;
	for (unsigned i = 0; i < sh->nworkers; i++)
		reload_post(r, sh->workers[i]);
	return (r);
}

void
reload_free(struct reload **rp)
{
	struct reload *r;

	if (*rp == NULL)
		return;
	TAKE_OBJ_NOTNULL(r, rp, RELOAD_MAGIC);
	snapshot_unpin(&r->was);
	snapshot_unpin(&r->now);
	r->magic = 0;
	free(r);
}
