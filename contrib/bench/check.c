/*
 * check.c - is this reply one that the request may get?
 *
 * Whatever a correct server could not have answered is counted as wrong, and
 * the first few are described on stderr. After a reply whose extent is in
 * doubt the connection is given up, since all that follows would be too.
 */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "reply.h"

#define EXAMPLES	8

static void __attribute__((format(printf, 3, 4)))
wrong(struct thread *t, enum wrong kind, const char *fmt, ...)
{
	va_list ap;

	t->stats->wrong[kind]++;
	if (atomic_fetch_add(&t->load->examples, 1) >= EXAMPLES)
		return;
	flockfile(stderr);
	(void)fputs("kvload: wrong: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	funlockfile(stderr);
}

void
check_write_over(struct thread *t, const struct conn *c, unsigned slot,
    bool acked)
{
	struct tracks *tr = &t->load->tracks;
	const struct request *r = &c->ring[slot];
	uint32_t key = c->wants[(size_t)slot * t->opts->multi].key;

	if (tr->busy == NULL || (r->op != OP_SET && r->op != OP_MS))
		return;
	if (acked)
		atomic_store_explicit(&tr->acked[key], r->version,
		    memory_order_release);
	atomic_store(&tr->busy[key], 0);
}

/* The oldest request is answered. */
static bool
over(struct thread *t, struct conn *c, bool acked)
{
	const struct request *r = &c->ring[c->head];
	bool write = r->op == OP_SET || r->op == OP_MS;

	check_write_over(t, c, c->head, acked);
	t->stats->requests++;
	t->stats->reads += !write;
	t->stats->writes += write;
	hist_add(&t->stats->latency, t->now > r->at ? t->now - r->at : 0);
	c->head = (c->head + 1) % t->ring_size;
	c->count--;
	t->in_flight--;
	return true;
}

/* A read is over: the keys without a value are misses. */
static bool
read_over(struct thread *t, struct conn *c)
{
	const struct want *w = &c->wants[(size_t)c->head * t->opts->multi];

	for (unsigned i = 0; i < c->ring[c->head].nkeys; i++)
		t->stats->misses += !w[i].seen;
	return over(t, c, false);
}

static bool
bad(struct thread *t, const struct reply *r, const char *why)
{
	int len = r->line_len < 80 ? (int)r->line_len : 80;

	wrong(t, WRONG_PROTOCOL, "%s: '%.*s'", why, r->line == NULL ? 0 : len,
	    r->line == NULL ? "" : r->line);
	return false;
}

/*
 * Which of the wanted keys is this value of? Servers answer in order, proxies
 * need not: the search begins where the last one ended.
 */
static struct want *
find_want(struct thread *t, struct conn *c, const struct reply *r)
{
	struct want *w = &c->wants[(size_t)c->head * t->opts->multi];
	struct request *rq = &c->ring[c->head];
	unsigned n = rq->nkeys, at = rq->came;
	uint32_t key;

	if (r->key == NULL)
		return n == 1 && !w->seen ? w : NULL;
	if (!gen_key_parse(&t->opts->gen, r->key, r->key_len, &key))
		return NULL;
	for (unsigned i = 0; i < n; i++, at++) {
		if (at >= n)
			at = 0;
		if (w[at].key == key && !w[at].seen) {
			rq->came = at + 1;
			return &w[at];
		}
	}
	return NULL;
}

static void
check_age(struct thread *t, const struct want *w, const struct gen_seen *seen)
{
	struct tracks *tr = &t->load->tracks;
	uint32_t issued;

	if (tr->issued == NULL)
		return;
	issued = atomic_load_explicit(&tr->issued[w->key],
	    memory_order_acquire);
	if (seen->run != t->opts->gen.run) {
		if (w->floor > 0)
			wrong(t, WRONG_STALE, "key %" PRIu32 ": a value from "
			    "before this run, version %" PRIu32 " was stored",
			    w->key, w->floor);
	} else if (seen->version < w->floor)
		wrong(t, WRONG_STALE, "key %" PRIu32 ": version %" PRIu32
		    ", but %" PRIu32 " was stored before it was asked for",
		    w->key, seen->version, w->floor);
	else if (seen->version > issued)
		wrong(t, WRONG_VERSION, "key %" PRIu32 ": version %" PRIu32
		    " was never sent", w->key, seen->version);
}

static void
check_value(struct thread *t, struct want *w, const struct reply *r)
{
	static const enum wrong kinds[] = {
		[GEN_WRONG_LENGTH] = WRONG_LENGTH, [GEN_WRONG_KEY] = WRONG_KEY,
		[GEN_WRONG_BODY] = WRONG_BODY,
		[GEN_WRONG_VERSION] = WRONG_VERSION
	};
	static const char *const texts[] = {
		[GEN_WRONG_LENGTH] = "is not its length",
		[GEN_WRONG_KEY] = "names another key",
		[GEN_WRONG_BODY] = "has foreign bytes",
		[GEN_WRONG_VERSION] = "is not the one it always has"
	};
	struct gen_seen seen;
	enum gen_wrong g;

	w->seen = true;
	t->stats->hits++;
	g = gen_verify(&t->opts->gen, w->key, r->data, r->len, &seen);
	if (g != GEN_OK)
		wrong(t, kinds[g], "key %" PRIu32 ": a value of %zu bytes %s "
		    "(it says run %" PRIx32 " version %" PRIu32 ")", w->key,
		    r->len, texts[g], seen.run, seen.version);
	else
		check_age(t, w, &seen);
	if (r->has_flags && r->flags != opts_flags(t->opts, w->key))
		wrong(t, WRONG_FLAGS, "key %" PRIu32 ": flags %" PRIu32
		    ", not %" PRIu32, w->key, r->flags,
		    opts_flags(t->opts, w->key));
}

static bool
take_value(struct thread *t, struct conn *c, const struct reply *r)
{
	const struct request *rq = &c->ring[c->head];
	bool classic = r->line[2] == 'L';
	struct want *w;

	if (rq->op != (classic ? OP_GET : OP_MG) ||
	    (!classic && !t->opts->mg_value))
		return bad(t, r, "a value that was not asked for");
	w = find_want(t, c, r);
	if (w == NULL) {
		wrong(t, WRONG_KEY, "a value of a key that was not asked for: "
		    "'%.*s'", r->line_len < 80 ? (int)r->line_len : 80,
		    r->line);
		return false;
	}
	check_value(t, w, r);
	return classic || rq->nkeys > 1 || over(t, c, false);
}

static bool
take_done(struct thread *t, struct conn *c, const struct reply *r)
{
	struct want *w = &c->wants[(size_t)c->head * t->opts->multi];

	if (c->ring[c->head].op == OP_MS) {
		t->stats->stored++;
		return over(t, c, true);
	}
	if (c->ring[c->head].op != OP_MG || t->opts->mg_value)
		return bad(t, r, "HD to another request");
	w->seen = true;
	t->stats->hits++;
	return over(t, c, false);
}

/* The next element of a read's answer; the last one ends it. */
static bool
take_element(struct thread *t, struct conn *c, const struct reply *r)
{
	struct request *rq = &c->ring[c->head];
	struct want *w = &c->wants[(size_t)c->head * t->opts->multi];

	if (rq->op != OP_GET || rq->array != (rq->nkeys > 1))
		return bad(t, r, "a string to another request");
	w += rq->came++;
	if (r->kind == REPLY_VALUE)
		check_value(t, w, r);
	return rq->came < rq->nkeys || read_over(t, c);
}

static bool
check_reply_resp(struct thread *t, struct conn *c, const struct reply *r)
{
	struct request *rq = &c->ring[c->head];

	switch (r->kind) {
	case REPLY_ARRAY:
		if (rq->op != OP_GET || rq->nkeys == 1 || rq->array ||
		    r->len != rq->nkeys)
			return bad(t, r, "an array that was not asked for");
		rq->array = true;
		return true;
	case REPLY_VALUE:
	case REPLY_MISS:
		return take_element(t, c, r);
	case REPLY_STORED:
		if (rq->op != OP_SET)
			return bad(t, r, "OK to another request");
		t->stats->stored++;
		return over(t, c, true);
	case REPLY_ERROR:
		stats_error(t->stats, r->line, r->line_len);
		return rq->op == OP_GET && rq->array ?
		    bad(t, r, "an error within an array") : over(t, c, false);
	default:
		return bad(t, r, "not a reply");
	}
}

bool
check_reply(struct thread *t, struct conn *c, const struct reply *r)
{
	const struct request *rq = &c->ring[c->head];
	bool multi_mg = rq->op == OP_MG && rq->nkeys > 1;

	if (t->opts->resp)
		return check_reply_resp(t, c, r);
	switch (r->kind) {
	case REPLY_VALUE:
		return take_value(t, c, r);
	case REPLY_END:
		return rq->op == OP_GET ? read_over(t, c) :
		    bad(t, r, "END to another request");
	case REPLY_MISS:
		return rq->op == OP_MG && !multi_mg ? read_over(t, c) :
		    bad(t, r, "EN to another request");
	case REPLY_NOOP:
		return multi_mg ? read_over(t, c) :
		    bad(t, r, "MN to another request");
	case REPLY_DONE:
		return take_done(t, c, r);
	case REPLY_STORED:
		if (rq->op != OP_SET)
			return bad(t, r, "STORED to another request");
		t->stats->stored++;
		return over(t, c, true);
	case REPLY_REFUSED:
		if (rq->op != OP_SET && rq->op != OP_MS)
			return bad(t, r, "a write's reply to a read");
		t->stats->refused++;
		return over(t, c, false);
	case REPLY_ERROR:
		stats_error(t->stats, r->line, r->line_len);
		/* Of K quiet mg one failed; the mn that ends them is to come. */
		return multi_mg || over(t, c, false);
	case REPLY_MORE:
	case REPLY_BAD:
	case REPLY_ARRAY:
		break;
	}
	return bad(t, r, "not a reply");
}
