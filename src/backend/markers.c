/*
 * markers.c - lists of record and range deletes: sorted ranges apart from each other, as bytes.
 *
 * A new range is laid over the list: where ranges overlap the newer one stands, and neighbours of one stamp become one.
 * So the list is as long as what can be told apart, and ever wider deletes (queues that are cut from one end) keep it
 * short.
 */
#include "config.h"

#include <string.h>

#include "backend/markers.h"
#include "base/num.h"

#define FORMAT		1
#define FORMAT_LEN	1
#define HEAD_LEN	(8 + NONCE_LEN + 8 + 2 + 2)	/* of a marker, before its bounds */
#define NO_END		0xffffu

int
stamp_cmp(const struct stamp *a, const struct stamp *b)
{
	if (a->version != b->version)
		return (a->version < b->version ? -1 : 1);
	return (memcmp(a->nonce, b->nonce, NONCE_LEN));
}

struct stamp
stamp_of(uint64_t version, const uint8_t nonce[NONCE_LEN])
{
	struct stamp s = { .version = version };

	memcpy(s.nonce, nonce, NONCE_LEN);
	return (s);
}

/* ---- bounds ---- */

/* Whether a key, or a range's begin, is before a range's end. */
static bool
before_end(struct slice key, struct slice until)
{
	return (until.p == NULL || slice_cmp(key, until) < 0);
}

static int
end_cmp(struct slice a, struct slice b)
{
	if (a.p == NULL || b.p == NULL)
		return ((a.p == NULL) - (b.p == NULL));
	return (slice_cmp(a, b));
}

/* What is behind all keys with this head. p NULL: nothing is. */
static struct slice
behind_head(struct slice head, char buf[REC_KEY_MAX])
{
	size_t len = head.len;

	while (len > 0 && (unsigned char)head.p[len - 1] == 0xff)
		len--;
	if (len == 0)
		return (SLICE_NULL);
	memcpy(buf, head.p, len);
	buf[len - 1]++;
	return (slice_of(buf, len));
}

bool
markers_range(const struct rec_which *w, char buf[REC_KEY_MAX], struct slice *from, struct slice *until)
{
	struct slice end;

	*from = w->from.p != NULL ? w->from : SLICE_LIT("");
	*until = w->until;
	if (w->head.p != NULL && w->head.len > 0) {
		if (w->head.len > REC_KEY_MAX)
			return (false);
		if (slice_cmp(*from, w->head) < 0)
			*from = w->head;
		end = behind_head(w->head, buf);
		if (end_cmp(end, *until) < 0)
			*until = end;
	}
	return (before_end(*from, *until));
}

/* ---- reading ---- */

/* The marker at *at, which goes on behind it. False: the list ends here, or is none. */
static bool
marker_get(struct slice list, size_t *at, struct marker *m)
{
	size_t left = list.len - *at, from, until;
	const char *p = list.p + *at;

	if (left < HEAD_LEN)
		return (false);
	m->stamp = stamp_of(num_get_be(p, 8), (const uint8_t *)p + 8);
	m->keep = num_get_be(p + 8 + NONCE_LEN, 8);
	from = num_get_be(p + HEAD_LEN - 4, 2);
	until = num_get_be(p + HEAD_LEN - 2, 2);
	left -= HEAD_LEN;
	if (from > left || (until != NO_END && until > left - from))
		return (false);
	m->from = slice_of(p + HEAD_LEN, from);
	m->until = until != NO_END ? slice_of(p + HEAD_LEN + from, until) : SLICE_NULL;
	*at += HEAD_LEN + from + m->until.len;
	return (true);
}

bool
markers_next(struct slice list, size_t *next, struct marker *m)
{
	if (*next == 0)
		*next = list.len > 0 ? FORMAT_LEN : 0;
	return (*next < list.len && marker_get(list, next, m));
}

bool
markers_valid(struct slice list)
{
	struct slice last = SLICE_LIT("");
	size_t at = 0;
	struct marker m;

	if (list.len == 0)
		return (true);
	if (list.len > MARKERS_LEN_MAX || list.p[0] != FORMAT)
		return (false);
	while (markers_next(list, &at, &m)) {
		if (last.p == NULL || slice_cmp(last, m.from) > 0 || !before_end(m.from, m.until))
			return (false);
		last = m.until;
	}
	return (at == list.len);
}

bool
markers_find(struct slice list, struct slice key, struct stamp *stamp)
{
	size_t at = 0;
	struct marker m;

	while (markers_next(list, &at, &m) && slice_cmp(m.from, key) <= 0)
		if (before_end(key, m.until)) {
			*stamp = m.stamp;
			return (true);
		}
	return (false);
}

bool
markers_all(struct slice list, struct stamp *oldest)
{
	struct slice end = SLICE_LIT("");
	bool first = true;
	size_t at = 0;
	struct marker m;

	while (markers_next(list, &at, &m)) {
		if (!slice_eq(m.from, end))
			return (false);
		if (first || stamp_cmp(&m.stamp, oldest) < 0)
			*oldest = m.stamp;
		first = false;
		end = m.until;
	}
	return (!first && end.p == NULL);
}

void
markers_begin(struct markers_at *at, struct slice list)
{
	memset(at, 0, sizeof *at);
	at->list = list;
}

/* Finds the range or gap that the key is in; the search begins where lo is the end of what is before at->next. */
static void
markers_look(struct markers_at *at, struct slice key, struct slice lo)
{
	struct marker m;
	size_t next = at->next;

	while (markers_next(at->list, &next, &m)) {
		if (slice_cmp(key, m.from) < 0) {
			at->marker = (struct marker){ .from = lo, .until = m.from };
			at->covered = false;
			return;
		}
		at->next = next;
		if (before_end(key, m.until)) {
			at->marker = m;
			at->covered = true;
			return;
		}
		lo = m.until;
	}
	at->marker = (struct marker){ .from = lo };
	at->covered = false;
}

const struct stamp *
markers_at(struct markers_at *at, struct slice key)
{
	if (!at->known || slice_cmp(key, at->marker.from) < 0) {
		at->next = 0;
		markers_look(at, key, SLICE_LIT(""));
	} else if (!before_end(key, at->marker.until))
		markers_look(at, key, at->marker.until);
	at->known = true;
	return (at->covered ? &at->marker.stamp : NULL);
}

/* ---- writing ---- */

/* A list that is being made. The last marker is held back, because the next may continue it. */
struct list {
	char		*dst;
	size_t		 len;
	struct marker	 last;
	bool		 holds, full;
};

static char *
put_key(char *dst, struct slice key)
{
	if (key.len > 0)
		memcpy(dst, key.p, key.len);
	return (dst + key.len);
}

static void
list_flush(struct list *l)
{
	const struct marker *m = &l->last;
	char *p;

	if (!l->holds || l->full)
		return;
	if (l->len == 0)
		l->dst[l->len++] = FORMAT;
	if (HEAD_LEN + m->from.len + m->until.len > MARKERS_LEN_MAX - l->len) {
		l->full = true;
		return;
	}
	p = num_put_be(l->dst + l->len, m->stamp.version, 8);
	memcpy(p, m->stamp.nonce, NONCE_LEN);
	p = num_put_be(p + NONCE_LEN, m->keep, 8);
	p = num_put_be(p, m->from.len, 2);
	p = num_put_be(p, m->until.p != NULL ? m->until.len : NO_END, 2);
	l->len = (size_t)(put_key(put_key(p, m->from), m->until) - l->dst);
	l->holds = false;
}

static void
list_put(struct list *l, struct slice from, struct slice until, struct stamp stamp, uint64_t keep)
{
	if (l->holds && l->last.until.p != NULL && slice_eq(l->last.until, from) &&
	    stamp_cmp(&l->last.stamp, &stamp) == 0) {
		l->last.until = until;
		if (keep > l->last.keep)
			l->last.keep = keep;
		return;
	}
	list_flush(l);
	l->last = (struct marker){ .from = from, .until = until, .stamp = stamp, .keep = keep };
	l->holds = true;
}

/* Where they overlap: the newer, for as long as either must be known. */
static void
list_put_both(struct list *l, struct slice from, struct slice until, const struct marker *a, const struct marker *b)
{
	list_put(l, from, until, stamp_cmp(&a->stamp, &b->stamp) > 0 ? a->stamp : b->stamp,
	    a->keep > b->keep ? a->keep : b->keep);
}

/*
 * Puts old, and what of new is before its end; new->from goes on behind that. False: nothing of new is left.
 */
static bool
list_lay(struct list *l, const struct marker *old, struct marker *new)
{
	struct slice end;

	if (!before_end(new->from, old->until)) {
		list_put(l, old->from, old->until, old->stamp, old->keep);
		return (true);
	}
	if (!before_end(old->from, new->until)) {
		list_put(l, new->from, new->until, new->stamp, new->keep);
		list_put(l, old->from, old->until, old->stamp, old->keep);
		return (false);
	}
	end = end_cmp(old->until, new->until) < 0 ? old->until : new->until;
	if (slice_cmp(old->from, new->from) < 0) {
		list_put(l, old->from, new->from, old->stamp, old->keep);
		list_put_both(l, new->from, end, old, new);
	} else {
		if (slice_cmp(new->from, old->from) < 0)
			list_put(l, new->from, old->from, new->stamp, new->keep);
		list_put_both(l, old->from, end, old, new);
	}
	if (end_cmp(end, old->until) < 0)
		list_put(l, end, old->until, old->stamp, old->keep);
	new->from = end;
	return (end_cmp(end, new->until) < 0);
}

static size_t
list_end(struct list *l)
{
	list_flush(l);
	return (l->full ? 0 : l->len);
}

size_t
markers_add(struct slice list, const struct marker *m, char dst[MARKERS_LEN_MAX])
{
	struct list l = { .dst = dst };
	struct marker old, new = *m;
	bool left = before_end(m->from, m->until);
	size_t at = 0;

	while (markers_next(list, &at, &old))
		if (left)
			left = list_lay(&l, &old, &new);
		else
			list_put(&l, old.from, old.until, old.stamp, old.keep);
	if (left)
		list_put(&l, new.from, new.until, new.stamp, new.keep);
	return (list_end(&l));
}

size_t
markers_drop(struct slice list, uint64_t now, markers_spent_f *f, void *arg, char dst[MARKERS_LEN_MAX])
{
	struct list l = { .dst = dst };
	struct marker m;
	size_t at = 0;

	while (markers_next(list, &at, &m))
		if (m.keep > now || (f != NULL && !f(arg, &m)))
			list_put(&l, m.from, m.until, m.stamp, m.keep);
	return (list_end(&l));
}
