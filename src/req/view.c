/*
 * view.c - views made of snapshots, with as much of the last one as goes on.
 *
 * A store goes on if it has the same name and nothing differs that its connections or its placement depend on; it then
 * keeps the snapshot that it was opened with, because its backends point into that.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "kv/codec.h"
#include "req/hedge.h"
#include "req/view.h"
#include "route/ring.h"

struct snapshot *
snapshot_new(struct conf *conf)
{
	struct snapshot *s = calloc(1, sizeof *s);

	if (s == NULL)
		return (NULL);
	s->keymap = keymap_new(conf);
	if (s->keymap == NULL) {
		free(s);
		return (NULL);
	}
	s->magic = SNAPSHOT_MAGIC;
	atomic_init(&s->refs, 1);
	s->conf = conf;
	return (s);
}

/* NULL in *ds: the namespace has none. */
static bool
load_dicts(const struct conf_ns *ns, struct codec_dicts **ds, char *why, size_t size)
{
	char text[CODEC_WHY_MAX];

	*ds = NULL;
	if (ns->dictionary == NULL)
		return (true);
	*ds = codec_dicts_new(ns->dictionary, ns->codec_level, text);
	if (*ds == NULL)
		snprintf(why, size, "%s:%d: %s", ns->file, ns->dictionary_line, text);
	return (*ds != NULL);
}

bool
snapshot_check(const struct conf *c, char *why, size_t size)
{
	struct codec_dicts *ds;
	bool good = true;

	for (unsigned i = 0; good && i < c->nspaces; i++) {
		good = load_dicts(&c->spaces[i], &ds, why, size);
		codec_dicts_free(&ds);
	}
	return (good);
}

bool
snapshot_load(struct snapshot *s, char *why, size_t size)
{
	s->dicts = calloc(s->conf->nspaces, sizeof(struct codec_dicts *));
	if (s->dicts == NULL) {
		snprintf(why, size, "out of memory");
		return (false);
	}
	for (unsigned i = 0; i < s->conf->nspaces; i++)
		if (!load_dicts(&s->conf->spaces[i], &s->dicts[i], why, size))
			return (false);
	return (true);
}

struct snapshot *
snapshot_pin(struct snapshot *s)
{
	CHECK_OBJ_NOTNULL(s, SNAPSHOT_MAGIC);
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return (s);
}

void
snapshot_unpin(struct snapshot **sp)
{
	struct snapshot *s;

	if (*sp == NULL)
		return;
	TAKE_OBJ_NOTNULL(s, sp, SNAPSHOT_MAGIC);
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
		return;
	keymap_free(&s->keymap);
	for (unsigned i = 0; s->dicts != NULL && i < s->conf->nspaces; i++)
		codec_dicts_free(&s->dicts[i]);
	free(s->dicts);
	conf_free(&s->conf);
	s->magic = 0;
	free(s);
}

/* ---- pools ---- */

static void
pool_close(struct pool *p)
{
	for (unsigned i = 0; p->servers != NULL && i < p->nservers; i++)
		if (p->servers[i] != NULL)
			p->ops->close(&p->servers[i]);
}

static void
pool_unpin(struct pool **pp)
{
	struct pool *p = *pp;

	*pp = NULL;
	if (p == NULL || --p->refs > 0)
		return;
	pool_close(p);
	free(p->servers);
	ring_free(&p->ring);
	snapshot_unpin(&p->snap);
	free(p);
}

static bool
pool_open_servers(struct pool *p, struct loop *loop, const char **why)
{
	bool whole = (p->ops->caps & BE_CAP_WHOLE) != 0;

	p->servers = calloc(p->nservers, sizeof *p->servers);
	if (p->servers == NULL)
		return (false);
	for (unsigned i = 0; i < p->nservers; i++) {
		p->servers[i] = p->ops->open(loop, p->conf, whole ? NULL :
		    &p->conf->servers[i], why);
		if (p->servers[i] == NULL)
			return (false);
	}
	return (true);
}

static struct pool *
pool_open(struct snapshot *snap, const struct conf_store *st,
    struct loop *loop, const char **why)
{
	struct pool *p = calloc(1, sizeof *p);

	*why = "out of memory";
	if (p == NULL)
		return (NULL);
	p->refs = 1;
	p->conf = st;
	p->snap = snapshot_pin(snap);
	p->ops = backend_find(st->type);
	if (p->ops == NULL)
		*why = "this build has no such type of store";
	else {
		p->nservers = (p->ops->caps & BE_CAP_WHOLE) != 0 ? 1 :
		    st->nservers;
		if (st->nservers > 0)
			p->ring = ring_new(st, why);
		if ((p->ring != NULL || st->nservers == 0) && pool_open_servers(p, loop, why))
			return (p);
	}
	pool_unpin(&p);
	return (NULL);
}

static struct pool *
pool_of(const struct view *v, const struct conf_store *st)
{
	for (unsigned i = 0; v != NULL && i < v->npools; i++)
		if (conf_store_same(v->pools[i]->conf, st))
			return (v->pools[i]);
	return (NULL);
}

/* ---- namespaces ---- */

/* The namespace of that name; v may be NULL. */
static const struct space *
space_of(const struct view *v, const char *name)
{
	for (unsigned i = 0; v != NULL && i < v->conf->nspaces; i++)
		if (strcmp(v->conf->spaces[i].name, name) == 0)
			return (&v->spaces[i]);
	return (NULL);
}

static void
ns_stats_unpin(struct ns_stats **sp)
{
	struct ns_stats *s = *sp;

	*sp = NULL;
	if (s == NULL || --s->refs > 0)
		return;
	free(s->was);
	free(s);
}

/* ---- views ---- */

static bool
view_open_pools(struct view *v, const struct view *was, struct loop *loop,
    const char **why)
{
	const struct conf *conf = v->conf;

	v->pools = calloc(conf->nstores + 1, sizeof(struct pool *));
	if (v->pools == NULL)
		return (false);
	for (; v->npools < conf->nstores; v->npools++) {
		const struct conf_store *st = &conf->stores[v->npools];
		struct pool *p = pool_of(was, st);

		if (p != NULL)
			p->refs++;
		else
			p = pool_open(v->snap, st, loop, why);
		if (p == NULL)
			return (false);
		v->pools[v->npools] = p;
	}
	return (true);
}

/* How its ops are sent. */
static bool
space_prepare(struct space *sp, const struct space *was, struct loop *loop)
{
	const struct conf_ns *ns = sp->conf;

	if (sp->pool == NULL)
		return (true);
	sp->plain = sp->pool->conf->replicas <= 1 && ns->hedge == HEDGE_OFF &&
	    sp->pool->conf->on_down != ON_DOWN_FAILOVER;
	sp->tokens = ns->format == FORMAT_ITEM && (sp->pool->ops->caps & BE_CAP_RECORDS) != 0;
	if (ns->hedge == HEDGE_OFF)
		return (true);
	sp->hedger = hedger_new(loop, ns, was != NULL ? was->hedger : NULL);
	return (sp->hedger != NULL);
}

static bool
view_make_spaces(struct view *v, const struct view *was, struct loop *loop)
{
	const struct conf *conf = v->conf;

	for (unsigned i = 0; i < conf->nspaces; i++) {
		const struct space *old = space_of(was, conf->spaces[i].name);
		struct space *sp = &v->spaces[i];

		sp->conf = &conf->spaces[i];
		sp->view = v;
		if (v->snap->dicts != NULL)
			sp->dicts = v->snap->dicts[i];
		if (sp->conf->primary != NULL)
			sp->pool = v->pools[sp->conf->primary - conf->stores];
		if (sp->conf->cache != NULL)
			sp->tier = v->pools[sp->conf->cache - conf->stores];
		sp->splits = sp->conf->separator_len > 0;
		sp->more = sp->splits || sp->tier != NULL;
		if (sp->conf->local)
			sp->copies = sp->splits ? SPACE_CUT_COPIES : SPACE_COPIES;
		sp->stats = old != NULL ? old->stats : calloc(1, sizeof *sp->stats);
		if (sp->stats == NULL)
			return (false);
		sp->stats->refs++;
		v->looks_up |= sp->pool == NULL || sp->conf->local;
		if (!space_prepare(sp, old, loop))
			return (false);
	}
	return (true);
}

struct view *
view_new(struct snapshot *snap, const struct view *was, struct loop *loop,
    const char **why)
{
	unsigned n = snap->conf->nspaces;
	struct view *v = calloc(1, sizeof *v + n * sizeof v->spaces[0]);

	*why = "out of memory";
	if (v == NULL)
		return (NULL);
	v->magic = VIEW_MAGIC;
	v->snap = snapshot_pin(snap);
	v->conf = snap->conf;
	v->keymap = snap->keymap;
	if (view_open_pools(v, was, loop, why) && view_make_spaces(v, was, loop)) {
		v->refs = 1;
		return (v);
	}
	view_free(&v);
	return (NULL);
}

void
view_close(struct view *v)
{
	CHECK_OBJ(v, VIEW_MAGIC);
	for (unsigned i = 0; i < v->npools; i++)
		pool_close(v->pools[i]);
}

void
view_free(struct view **vp)
{
	struct view *v;

	if (*vp == NULL)
		return;
	TAKE_OBJ_NOTNULL(v, vp, VIEW_MAGIC);
	MUST(v->refs == 0);
	for (unsigned i = 0; i < v->conf->nspaces; i++) {
		hedger_free(&v->spaces[i].hedger);
		ns_stats_unpin(&v->spaces[i].stats);
	}
	for (unsigned i = 0; i < v->npools; i++)
		pool_unpin(&v->pools[i]);
	free(v->pools);
	snapshot_unpin(&v->snap);
	v->magic = 0;
	free(v);
}
