/*
 * rocks_range.c - record and range deletes, and what becomes of what they cover.
 *
 * The writer's thread. Such a delete is a marker on the record, whatever it covers; of what it covers, a few rows go at
 * once. The rest goes by one deletion of the whole range, if nothing in the namespace is newer than the delete, else
 * the keeper removes it later (rocks_keep.c) and the marker hides it until then.
 */
#include "config.h"

#include "backend/rocks.h"
#include "backend/rocks_act.h"
#include "base/check.h"

#define ROWS_AT_ONCE	32u	/* that a range delete looks at */

/* A range delete at work. */
struct sweep {
	struct act	*a;
	const struct marker *m;
	bool		 own;		/* rows that this chain has put: they go, of whatever token they are */
	bool		 above;		/* nothing is newer */
};

static bool
in_range(const struct marker *m, struct slice key)
{
	return (slice_cmp(key, m->from) >= 0 && (m->until.p == NULL || slice_cmp(key, m->until) < 0));
}

static bool
sweep_row(void *arg, struct slice key, struct slice value)
{
	const struct sweep *s = arg;
	struct act *a = s->a;
	struct rocks_row_name n;
	struct rocks_key copy;
	struct envelope e;
	struct stamp stamp;
	int c;

	if (!rocks_key_parse(key, &n) || n.kind != ROCKS_ITEM || !slice_eq(n.id, a->be.id) || !in_range(s->m, n.item) ||
	    !envelope_get(value, &e, &value))
		return (true);
	stamp = stamp_of(e.version, e.nonce);
	c = stamp_cmp(&stamp, &s->m->stamp);
	if (!s->above && (s->own ? c > 0 : c >= 0))
		return (true);
	copy.len = key.len;
	memcpy(copy.bytes, key.p, key.len);
	rocks_key_parse(rocks_key_slice(&copy), &n);
	return (rocks_batch_delete(a->b, a->f, &copy) && act_drop_chunks(a, n.item, &e));
}

static bool
see_row(void *arg, struct slice key, struct slice value)
{
	(void)key;
	(void)value;
	*(bool *)arg = true;
	return (true);
}

/*
 * Whether pieces of the record's values are written. They may be those of a value that is about to be: so they do not
 * go as a range, but each with the item that names it. Most records have none.
 */
static bool
see_chunks(struct act *a, bool *some)
{
	struct rocks_key from, to;
	bool all;

	rocks_key_item(&from, ROCKS_CHUNK, a->be.id, SLICE_NULL);
	to = from;
	rocks_key_behind(&to);
	*some = false;
	return (rocks_batch_look(a->b, a->f, &from, &to, 1, see_row, some, &all));
}

/* What the marker covers goes: now, or it is noted that it has to. */
static bool
sweep(struct act *a, const struct marker *m, bool above)
{
	struct sweep s = { .a = a, .m = m, .above = above };
	struct rocks_key from, to;
	bool all, chunks = false;

	rocks_key_item(&from, ROCKS_ITEM, a->be.id, m->from);
	rocks_key_item(&to, ROCKS_ITEM, a->be.id, m->until.p != NULL ? m->until : SLICE_NULL);
	if (m->until.p == NULL)
		rocks_key_behind(&to);
	if (!rocks_batch_look(a->b, a->f, &from, &to, ROWS_AT_ONCE, sweep_row, &s, &all))
		return (false);
	s.own = true;
	s.above = false;
	if (a->j->nsubs > 1 && !rocks_batch_own(a->b, a->f, sweep_row, &s))
		return (false);
	if (all)
		return (true);
	if (above && m->from.len == 0 && m->until.p == NULL && !see_chunks(a, &chunks))
		return (false);
	if (!above || chunks)
		return (rocks_batch_unswept(a->b, a->f));
	rocks_batch_delete_range(a->b, a->f, &from, &to);
	return (true);
}

bool
act_delete_range(struct act *a)
{
	char buf[REC_KEY_MAX], *list;
	struct marker m = { 0 };
	struct rocks_key key;
	uint64_t top;
	size_t len;
	bool above;

	if (!act_load_markers(a) || !markers_range(&a->be.rec->which, buf, &m.from, &m.until))
		return (a->j->err == ERR_NONE);
	/* A plain one is above all that was ever written. */
	top = atomic_load_explicit(&a->f->newest, memory_order_relaxed);
	if (act_is_plain(a) && a->be.version <= top && top < UINT64_MAX)
		a->be.version = top + 1;
	above = a->be.version > top;
	act_newest(a, a->be.version);
	m.stamp = stamp_of(a->be.version, a->be.nonce);
	m.keep = a->now + a->be.keep_dead;
	a->j->res.cas = a->be.version;
	list = rocks_batch_room(a->b, MARKERS_LEN_MAX);
	if (list == NULL)
		return (false);
	len = markers_add(a->list, &m, list);
	if (len == 0) {
		rocks_fail(a->j, a->f->db, ERR_OOM, "this record has too many range deletes to remember");
		return (false);
	}
	rocks_key_item(&key, ROCKS_RECORD, a->be.id, SLICE_NULL);
	return (sweep(a, &m, above) && rocks_batch_put(a->b, a->f, &key, slice_of(list, len)));
}

/* What has expired orders writes still, but need not lie among what lives: it becomes what a delete leaves. */
static bool
bury(struct act *a, const struct rocks_key *key, struct slice item, const struct envelope *e)
{
	uint32_t keep = atomic_load_explicit(&a->f->keep, memory_order_relaxed);
	struct envelope dead = { .marks = ENVELOPE_DEAD, .version = e->version, .expiry = e->expiry + keep };
	char *row = rocks_batch_room(a->b, ENVELOPE_LEN_MAX);
	struct rocks_key to;

	/* 0: how long, is not known yet. */
	if (keep == 0 || row == NULL)
		return (row != NULL);
	memcpy(dead.nonce, e->nonce, sizeof dead.nonce);
	rocks_key_item(&to, ROCKS_DEAD, a->be.id, item);
	atomic_fetch_add_explicit(&a->f->db->counts.buried, 1, memory_order_relaxed);
	return (rocks_batch_put(a->b, a->f, &to, slice_of(row, (size_t)(envelope_put(row, &dead) - row))) &&
	    rocks_batch_delete(a->b, a->f, key) && act_drop_chunks(a, item, e));
}

/* A row of which the keeper thinks that it may go: it decides by what is there now. */
static bool
forget(struct act *a, struct slice name)
{
	struct rocks_row_name n;
	struct rocks_key key;
	struct envelope e;
	struct slice bytes;
	bool there;

	if (name.len > ROCKS_KEY_MAX || !rocks_key_parse(name, &n))
		return (true);
	key.len = name.len;
	memcpy(key.bytes, name.p, name.len);
	if (!slice_eq(n.id, a->be.id)) {
		a->be.id = n.id;
		if (!act_load_markers(a))
			return (false);
	}
	markers_begin(&a->markers, a->list);
	if (!rocks_batch_get(a->b, a->f, &key, &bytes, &there) || !there)
		return (a->j->err == ERR_NONE);
	if (!envelope_get(bytes, &e, &bytes))
		return (true);
	if (!row_spent(&e, markers_at(&a->markers, n.item), a->now, UINT32_MAX))
		return (n.kind != ROCKS_ITEM || e.expiry == 0 || e.expiry > a->now || bury(a, &key, n.item, &e));
	atomic_fetch_add_explicit(n.kind == ROCKS_DEAD ? &a->f->db->counts.forgotten : &a->f->db->counts.swept, 1,
	    memory_order_relaxed);
	return (rocks_batch_delete(a->b, a->f, &key) && act_drop_chunks(a, n.item, &e));
}

bool
act_sweep(struct act *a)
{
	const struct rocks_result *x = a->j->result;
	const char *p = x->bytes;

	a->be.id = SLICE_NULL;
	if (!act_load_markers(a))
		return (false);
	for (uint32_t i = 0; i < x->nitems; i++) {
		uint16_t len;

		memcpy(&len, p, sizeof len);
		p += sizeof len;
		if (!forget(a, slice_of(p, len)))
			return (false);
		rocks_batch_let_go(a->b);
		p += len;
	}
	return (true);
}
