/*
 * replay.c - a stream read through a server: get, and set what was not there.
 *
 * One connection, so that the server sees one order. A window of requests is sent in one write; what it missed is
 * stored at the head of the next one, before anything else. A key comes twice in a window only if it was there a moment
 * ago, else the window ends before it. So a value is stored at most one window later than without pipelining and
 * not after the next request of its key, and two replays send the same bytes to a server that answers the same.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../bytes.h"
#include "../reply.h"
#include "replay.h"
#include "wire.h"

#define EXAMPLES	5
#define LINE_ROOM	512
#define GET_LINE	1800u	/* bytes of one get: what any server reads as one line */
#define RECENT		1024u	/* keys; a power of two */
#define RECENTLY	1000u	/* requests ago: too few for a cache to have lost the key since */
#define TTL_MOST	2592000u	/* more would be a date */

struct ask {
	struct stream_req req;
	char		 name[GEN_KEY_MAX];
	bool		 begins;	/* the first key of a get */
	bool		 found;
};

struct replay {
	const struct replay_opts *opts;
	struct stream	*stream;
	const struct gen *gen;
	struct replay_counts *n;
	struct wire	 wire;
	uint64_t	 counted_from;	/* the request that the counts begin with */
	struct ask	 window[WINDOW_MAX];
	unsigned	 count;
	size_t		 get_from;	/* where in what is sent the last get begins */
	bool		 get_open;	/* it may take another key */
	unsigned	 fills;		/* sets at the head of what is sent */
	struct {			/* keys that were there, by their last bits */
		uint32_t key;
		uint64_t at;		/* 0: never */
	} recent[RECENT];
	bool		 more;		/* next is one that did not fit any more */
	struct stream_req next;
	uint64_t	 begin;		/* ns */
};

static uint64_t
clock_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool
out_of_memory(void)
{
	(void)fprintf(stderr, "hitratio: out of memory\n");
	return false;
}

static bool
was_there(const struct replay *rp, uint32_t key)
{
	return rp->recent[key % RECENT].key == key && rp->recent[key % RECENT].at != 0 &&
	    rp->n->requests + 1 - rp->recent[key % RECENT].at < RECENTLY;
}

static void
is_there(struct replay *rp, uint32_t key)
{
	rp->recent[key % RECENT].key = key;
	rp->recent[key % RECENT].at = rp->n->requests + 1;
}

/* Whether what the window has of this key may miss, so that it must be stored first. */
static bool
must_wait(const struct replay *rp, uint32_t key)
{
	if (was_there(rp, key))
		return false;
	for (unsigned i = 0; i < rp->count; i++)
		if (rp->window[i].req.key == key)
			return true;
	return false;
}

/* Waits until the request is due; false: it lies further ahead and others can be sent first. */
static bool
due(struct replay *rp, const struct stream_req *r)
{
	uint64_t at, now;
	struct timespec ts;

	if (rp->opts->speed <= 0)
		return true;
	at = rp->begin + (uint64_t)((double)r->at_us * 1000 / rp->opts->speed);
	now = clock_now();
	if (at > now) {
		if (rp->count > 0)
			return false;
		ts = (struct timespec){ (time_t)(at / 1000000000u), (long)(at % 1000000000u) };
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
			;
	} else if ((double)(now - at) / 1e9 > rp->n->late)
		rp->n->late = (double)(now - at) / 1e9;
	return true;
}

static uint32_t
wire_ttl(const struct replay *rp, uint32_t ttl)
{
	double t = rp->opts->speed > 0 ? ttl / rp->opts->speed : ttl;

	if (ttl == 0)
		return 0;
	return t < 1 ? 1 : t > TTL_MOST ? TTL_MOST : (uint32_t)t;
}

static bool
put_set(struct replay *rp, const struct ask *a)
{
	const struct stream_req *r = &a->req;
	struct bytes *b = &rp->wire.out;

	if (!bytes_reserve(b, (size_t)r->size + LINE_ROOM))
		return out_of_memory();
	b->len += (size_t)snprintf(b->at + b->len, LINE_ROOM, "set %.*s 0 %" PRIu32 " %" PRIu32 "\r\n",
	    (int)r->name_len, a->name, wire_ttl(rp, r->ttl), r->size);
	gen_value(rp->gen, r->key, r->version, b->at + b->len, r->size);
	b->len += r->size;
	memcpy(b->at + b->len, "\r\n", 2);
	b->len += 2;
	rp->n->sets++;
	return true;
}

static void
end_get(struct replay *rp)
{
	struct bytes *b = &rp->wire.out;

	if (rp->get_open) {
		memcpy(b->at + b->len, "\r\n", 2);
		b->len += 2;
	}
	rp->get_open = false;
}

static bool
put_ask(struct replay *rp, struct ask *a)
{
	struct bytes *b = &rp->wire.out;

	if (!bytes_reserve(b, LINE_ROOM))
		return out_of_memory();
	if (a->req.op != STREAM_GET || b->len - rp->get_from + a->req.name_len > GET_LINE)
		end_get(rp);
	if (a->req.op == STREAM_SET)
		return put_set(rp, a);
	if (a->req.op == STREAM_GET && !rp->get_open) {
		a->begins = rp->get_open = true;
		rp->get_from = b->len;
	}
	b->len += (size_t)snprintf(b->at + b->len, LINE_ROOM, "%s %.*s", a->req.op == STREAM_DELETE ? "delete" :
	    a->begins ? "get" : "", (int)a->req.name_len, a->name);
	if (a->req.op == STREAM_DELETE) {
		memcpy(b->at + b->len, "\r\n", 2);
		b->len += 2;
	}
	return true;
}

/* Did the window have the key again, so that this request is not the one to store it after? */
static bool
asked_later(const struct replay *rp, unsigned i)
{
	for (unsigned j = i + 1; j < rp->count; j++)
		if (rp->window[j].req.key == rp->window[i].req.key)
			return true;
	return false;
}

/* What the last window missed. */
static bool
put_fills(struct replay *rp)
{
	rp->fills = 0;
	for (unsigned i = 0; i < rp->count; i++) {
		const struct ask *a = &rp->window[i];

		if (a->req.op != STREAM_GET || a->found || asked_later(rp, i))
			continue;
		if (!put_set(rp, a))
			return false;
		rp->fills++;
	}
	rp->count = 0;
	return true;
}

/* As many requests as may be on the wire together. False: out of memory. */
static bool
put_window(struct replay *rp)
{
	struct ask *a;

	while (rp->count < rp->opts->window) {
		if (!rp->more && !stream_next(rp->stream, &rp->next))
			break;
		rp->more = true;
		if (must_wait(rp, rp->next.key) || !due(rp, &rp->next))
			break;
		rp->more = false;
		a = &rp->window[rp->count++];
		a->req = rp->next;
		a->begins = a->found = false;
		memcpy(a->name, rp->next.name, rp->next.name_len);
		if (!put_ask(rp, a))
			return false;
	}
	end_get(rp);
	return true;
}

static void
wrong(struct replay *rp, const struct ask *a, const char *what)
{
	if (rp->n->wrong++ < EXAMPLES)
		(void)fprintf(stderr, "hitratio: wrong: key %.*s: %s\n", (int)a->req.name_len, a->name, what);
}

static void
take_value(struct replay *rp, struct ask *a, const struct reply *r)
{
	struct gen_seen seen;

	a->found = true;
	is_there(rp, a->req.key);
	if (r->flags != 0)
		wrong(rp, a, "other flags");
	else if (gen_verify(rp->gen, a->req.key, r->data, r->len, &seen) != GEN_OK)
		wrong(rp, a, "not its value");
	else if (r->len >= GEN_HEAD && seen.run != rp->gen->run)
		wrong(rp, a, "a value of another replay: --flush empties the server first");
	else if (r->len >= GEN_HEAD && seen.version != a->req.version)
		wrong(rp, a, "not the value that was stored last");
}

static bool
strange(const struct reply *r)
{
	(void)fprintf(stderr, "hitratio: not a reply to this request: '%.*s'\n",
	    r->line == NULL ? 0 : r->line_len < 80 ? (int)r->line_len : 80, r->line == NULL ? "" : r->line);
	return false;
}

static bool
take_stored(struct replay *rp)
{
	struct reply r;

	if (!wire_reply(&rp->wire, &r))
		return false;
	if (r.kind == REPLY_ERROR && r.line_len > 12 && memcmp(r.line, "SERVER_ERROR", 12) == 0)
		rp->n->refused++;	/* no memory, or too large */
	else if (r.kind != REPLY_STORED)
		return strange(&r);
	return true;
}

static bool
take_deleted(struct replay *rp)
{
	struct reply r;

	if (!wire_reply(&rp->wire, &r))
		return false;
	if (r.kind == REPLY_REFUSED)
		return true;
	return (r.line_len == 7 && memcmp(r.line, "DELETED", 7) == 0) || strange(&r);
}

static void
count_get(struct replay *rp, const struct ask *a)
{
	bool counts = rp->n->requests++ >= rp->counted_from;

	rp->n->gets_all++;
	rp->n->hits_all += a->found;
	rp->n->gets += counts;
	rp->n->hits += counts && a->found;
}

/* The answer to a get of the n keys from a on: in their order, without those that are not there. */
static bool
take_get(struct replay *rp, struct ask *a, unsigned n)
{
	struct reply r;
	unsigned i = 0;

	for (;;) {
		if (!wire_reply(&rp->wire, &r))
			return false;
		if (r.kind != REPLY_VALUE || r.key == NULL || !r.has_flags)
			break;
		while (i < n && (r.key_len != a[i].req.name_len || memcmp(r.key, a[i].name, r.key_len) != 0))
			i++;
		if (i == n)
			return strange(&r);
		take_value(rp, &a[i++], &r);
	}
	if (r.kind != REPLY_END)
		return strange(&r);
	for (i = 0; i < n; i++)
		count_get(rp, &a[i]);
	return true;
}

/* How many keys the get has that begins with this one. */
static unsigned
keys_of_get(const struct replay *rp, unsigned from)
{
	unsigned n = 1;

	while (from + n < rp->count && rp->window[from + n].req.op == STREAM_GET && !rp->window[from + n].begins)
		n++;
	return n;
}

static bool
take_replies(struct replay *rp)
{
	for (unsigned i = 0; i < rp->fills; i++)
		if (!take_stored(rp))
			return false;
	for (unsigned i = 0, n; i < rp->count; i += n) {
		struct ask *a = &rp->window[i];

		n = a->req.op == STREAM_GET ? keys_of_get(rp, i) : 1;
		if (!(a->req.op == STREAM_GET ? take_get(rp, a, n) : a->req.op == STREAM_SET ? take_stored(rp) :
		    take_deleted(rp)))
			return false;
		rp->n->requests += a->req.op != STREAM_GET;
	}
	return true;
}

/* All windows, and the sets of the last one. */
static bool
replay_loop(struct replay *rp)
{
	for (;;) {
		wire_begin(&rp->wire);
		if (!put_fills(rp) || !put_window(rp))
			return false;
		if (rp->count == 0 && rp->fills == 0)
			return true;
		if (!take_replies(rp))
			return false;
	}
}

enum replay_end
replay_run(const struct replay_opts *o, struct stream *st, struct replay_counts *n)
{
	struct replay *rp = calloc(1, sizeof *rp);
	enum replay_end end = REPLAY_LOST;

	memset(n, 0, sizeof *n);
	if (rp == NULL) {
		(void)out_of_memory();
		return end;
	}
	rp->opts = o;
	rp->stream = st;
	rp->gen = stream_gen(st);
	rp->n = n;
	rp->counted_from = stream_info(st).requests / 2;
	if (wire_open(&rp->wire, o->target, (const struct sockaddr *)&o->addr, o->addr_len) &&
	    (!o->flush || wire_flush(&rp->wire))) {
		rp->begin = clock_now();
		if (replay_loop(rp))
			end = n->wrong > 0 ? REPLAY_WRONG : REPLAY_WELL;
		n->seconds = (double)(clock_now() - rp->begin) / 1e9;
		if (end != REPLAY_LOST && o->show_stats)
			n->has_stats = wire_stats(&rp->wire, &n->items, &n->evictions, &n->limit);
	}
	wire_close(&rp->wire);
	free(rp);
	if (stream_error(st) != NULL) {
		(void)fprintf(stderr, "hitratio: %s\n", stream_error(st));
		end = REPLAY_STREAM;
	}
	return end;
}
