/*
 * records.h - a client, a namespace or three, and a store in memory that does as it is told: for tests of record commands.
 *
 * Ops wait until pump(). The store may be made to look at few rows at a time, to find few, to fail. It knows LWW and marks
 * of deletes no better than these tests need.
 */
#ifndef T_UNIT_REQ_RECORDS_H
#define T_UNIT_REQ_RECORDS_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/record.h"
#include "cache/cache.h"
#include "cache/verb.h"
#include "ev/loop.h"
#include "keys/keymap.h"
#include "kv/codec.h"
#include "proto/record.h"
#include "req/answer.h"
#include "req/record.h"
#include "req/req.h"
#include "req/version.h"

#define ROWS_MAX	20000
#define SERVERS		1
#define NSPACES		5	/* default (flat), n: (items), m: (items, other store), raw: (plain values), bare: (no store) */
#define NPOOLS		3

struct row {
	char		*id, *key, *value;
	size_t		 idlen, keylen, vlen;
	struct envelope	 head;
	bool		 dead;
};

struct backend {
	struct row	 rows[ROWS_MAX];	/* in order */
	size_t		 n;
	STAILQ_HEAD(, be_op) queue;
	unsigned	 nops, nqueued, most;
};

/* How the stores behave. */
static struct {
	uint32_t	 work;		/* rows looked at by one op; 0: all */
	uint32_t	 items;		/* found by one op, at most; 0: any */
	bool		 by_guess;	/* as many as were guessed, whatever their size */
	unsigned	 fail_at;	/* the op of this number (from 1 on) fails */
	unsigned	 fail_n;	/* and so many after it */
	enum err	 err;
	uint32_t	 fail_after;	/* items that it finds first */
	void		(*found)(void);	/* called after each op, before done() */
} mem;

static struct kit {
	struct shared	 sh;
	struct ctx	 ctx;
	struct client	 cl;
	struct conf	 conf;
	struct conf_store stores[NPOOLS];
	struct conf_ns	 spaces[NSPACES];
	struct snapshot	 snap;
	struct view	*view;
	struct pool	 pools[NPOOLS];
	struct pool	*poolp[NPOOLS];
	struct backend	 backends[NPOOLS];
	struct backend	*bep[NPOOLS];
	struct ns_stats	 stats[NSPACES];
} *k;

static int
bytes_cmp(const char *a, size_t alen, const char *b, size_t blen)
{
	int c = memcmp(a, b, alen < blen ? alen : blen);

	return (c != 0 ? c : (alen > blen) - (alen < blen));
}

static int
row_cmp(const struct row *r, struct slice id, struct slice key)
{
	int c = bytes_cmp(r->id, r->idlen, id.p, id.len);

	return (c != 0 ? c : bytes_cmp(r->key, r->keylen, key.p != NULL ? key.p : "", key.len));
}

/* The first row that is not below. */
static size_t
row_at(const struct backend *b, struct slice id, struct slice key)
{
	size_t i = 0;

	while (i < b->n && row_cmp(&b->rows[i], id, key) < 0)
		i++;
	return (i);
}

static char *
copy_of(const void *p, size_t len)
{
	char *s = malloc(len + 1);

	if (len > 0)
		memcpy(s, p, len);
	s[len] = '\0';
	return (s);
}

static void
row_free(struct row *r)
{
	free(r->id);
	free(r->key);
	free(r->value);
}

static struct row *
row_put(struct backend *b, struct slice id, struct slice key, struct slice value, const struct envelope *head)
{
	size_t i = row_at(b, id, key);
	struct row *r = &b->rows[i];

	if (i < b->n && row_cmp(r, id, key) == 0)
		row_free(r);
	else {
		memmove(r + 1, r, (b->n - i) * sizeof *r);
		b->n++;
	}
	*r = (struct row){ .id = copy_of(id.p, id.len), .idlen = id.len, .key = copy_of(key.p, key.len),
	    .keylen = key.len, .value = copy_of(value.p, value.len), .vlen = value.len, .head = *head };
	r->head.size = value.len;
	return (r);
}

/* For tests: an item of a store. */
static struct row *
put(unsigned store, const char *id, const char *key, const char *value)
{
	const struct envelope head = { .version = 7 };

	return (row_put(k->bep[store], slice_str(id), slice_str(key), slice_str(value), &head));
}

static bool
which_has(const struct rec_which *w, const struct row *r)
{
	return ((w->from.p == NULL || bytes_cmp(r->key, r->keylen, w->from.p, w->from.len) >= 0) &&
	    (w->until.p == NULL || bytes_cmp(r->key, r->keylen, w->until.p, w->until.len) < 0) &&
	    (w->head.p == NULL || slice_has_prefix(slice_of(r->key, r->keylen), w->head)));
}

/* One op that reads, while it does. */
struct look {
	struct be_op	*be;
	uint64_t	 bytes;
	uint32_t	 items, work, max;
	bool		 over;
};

/* False: it ends before this row. */
static bool
look_at_row(struct look *l, const struct row *r)
{
	struct rec_op *rec = l->be->rec;
	uint32_t cost;

	if (mem.work > 0 && l->work == mem.work) {
		rec->end = REC_WORK;
		return (false);
	}
	if (!r->dead) {
		if (l->max > 0 && l->items == l->max) {
			rec->end = REC_ITEMS;
			return (false);
		}
		rec->item.id = slice_of(r->id, r->idlen);
		rec->item.key = slice_of(r->key, r->keylen);
		rec->item.head = r->head;
		rec->item.value = rec->values && (rec->value_max == 0 || r->vlen <= rec->value_max) ?
		    slice_of(r->value, r->vlen) : SLICE_NULL;
		cost = rec->cost(rec, &rec->item);
		if (!mem.by_guess && l->items > 0 && rec->bytes_max > 0 && l->bytes + cost > rec->bytes_max) {
			rec->end = REC_BYTES;
			return (false);
		}
		l->bytes += cost;
		l->items++;
		l->be->found(l->be);
	}
	l->work++;
	rec->next_id = slice_of(r->id, r->idlen);
	rec->next = slice_of(r->key, r->keylen);
	return (true);
}

static void
look(struct look *l, struct row *r)
{
	if (!l->over && !look_at_row(l, r)) {
		l->over = true;
		l->be->rec->more = true;
	}
}

static unsigned
part_of(const struct row *r, uint32_t parts)
{
	return ((unsigned)(cache_hash(slice_of(r->id, r->idlen)) % parts) + 1);
}

static void
mem_read(struct backend *b, struct be_op *be)
{
	struct rec_op *rec = be->rec;
	struct rec_which *w = &rec->which;
	struct look l = { .be = be, .max = mem.items };
	static struct row none;

	rec->more = false;
	rec->next = rec->next_id = SLICE_NULL;
	if (mem.by_guess)
		l.max = rec->guess;
	if (rec->items_max > 0 && (l.max == 0 || rec->items_max < l.max))
		l.max = rec->items_max;
	for (uint32_t i = 0; be->op.verb == OP_ITEMS_READ && i < w->nkeys; i++) {
		size_t at = row_at(b, be->id, w->keys[i]);

		if (at < b->n && row_cmp(&b->rows[at], be->id, w->keys[i]) == 0)
			look(&l, &b->rows[at]);
		else {
			none = (struct row){ .id = (char *)(uintptr_t)be->id.p, .idlen = be->id.len,
			    .key = (char *)(uintptr_t)w->keys[i].p, .keylen = w->keys[i].len, .dead = true };
			look(&l, &none);
		}
	}
	if (w->nkeys > 0)
		return;
	for (size_t i = 0; i < b->n; i++) {
		struct row *r = &b->rows[w->reverse ? b->n - 1 - i : i];
		int c = rec->after.p == NULL ? 1 : row_cmp(r, be->op.verb == OP_SCAN ? rec->after_id : be->id, rec->after);

		if ((w->reverse ? rec->after.p != NULL && c >= 0 : c <= 0) ||
		    (be->op.verb == OP_SCAN ? part_of(r, rec->parts) != rec->part :
		    !slice_eq(slice_of(r->id, r->idlen), be->id) || !which_has(w, r)))
			continue;
		look(&l, r);
	}
}

static void
mem_put(struct backend *b, struct be_op *be)
{
	for (uint32_t i = 0; i < be->rec->nputs; i++) {
		const struct rec_put *p = &be->rec->puts[i];
		struct envelope head = p->head;

		head.version = be->version;
		row_put(b, be->id, p->key, slice_of(p->body->iov_base, p->len), &head);
	}
	be->res.cas = be->version;
}

static void
mem_delete(struct backend *b, struct be_op *be)
{
	const struct rec_which *w = &be->rec->which;

	for (size_t i = 0; i < b->n; i++) {
		struct row *r = &b->rows[i];
		bool hit = w->nkeys == 0 && which_has(w, r);

		for (uint32_t n = 0; n < w->nkeys; n++)
			hit |= slice_eq(slice_of(r->key, r->keylen), w->keys[n]);
		if (hit && slice_eq(slice_of(r->id, r->idlen), be->id))
			r->dead = true;
	}
	be->res.cas = be->version;
}

static void
mem_carry_out(struct backend *b, struct be_op *be)
{
	switch (be->op.verb) {
	case OP_ITEMS_PUT:
		mem_put(b, be);
		break;
	case OP_ITEMS_DELETE:
		mem_delete(b, be);
		break;
	default:
		mem_read(b, be);
		break;
	}
}

static void
mem_run(struct backend *b, struct be_op *be)
{
	bool fails = mem.fail_at > 0 && b->nops + 1 >= mem.fail_at && b->nops + 1 < mem.fail_at + mem.fail_n;
	uint32_t items = mem.items;

	b->nops++;
	be->err = ERR_NONE;
	memset(&be->res, 0, sizeof be->res);
	if (fails) {
		mem.items = mem.fail_after;
		if (mem.fail_after > 0)
			mem_carry_out(b, be);
		mem.items = items;
		be->err = mem.err;
		be->why = "mem:1 failed";
	} else
		for (struct be_op *op = be; op != NULL; op = op->also)
			mem_carry_out(b, op);
	if (mem.found != NULL)
		mem.found();
	be->done(be);
}

static void
mem_submit(struct backend *b, struct be_op *be)
{
	STAILQ_INSERT_TAIL(&b->queue, be, next);
	if (++b->nqueued > b->most)
		b->most = b->nqueued;
}

static const struct be_ops mem_ops = { .name = "mem", .caps = BE_CAP_RECORDS | BE_CAP_ITEM, .submit = mem_submit };
static const struct be_ops batch_ops = { .name = "batch", .caps = BE_CAP_RECORDS | BE_CAP_ITEM | BE_CAP_BATCH,
    .submit = mem_submit };
static const struct be_ops plain_ops = { .name = "plain", .caps = BE_CAP_RAW, .submit = mem_submit };

/* Carries out what waits. */
static void
pump(void)
{
	for (bool some = true; some;) {
		some = false;
		for (unsigned i = 0; i < NPOOLS; i++) {
			struct be_op *be = STAILQ_FIRST(&k->bep[i]->queue);

			if (be == NULL)
				continue;
			some = true;
			STAILQ_REMOVE_HEAD(&k->bep[i]->queue, next);
			k->bep[i]->nqueued--;
			mem_run(k->bep[i], be);
		}
	}
}

/* ---- the client ---- */

static void
advanced(struct replyq *q)
{
	(void)q;
}

/* What was answered since the last call. */
static const char *
answer(void)
{
	static char buf[4 << 20];
	struct iovec iov[64];
	size_t n = 0;
	int got;

	while ((got = outq_iov(&k->cl.out, iov, 64)) > 0)
		for (int i = 0; i < got; i++) {
			memcpy(buf + n, iov[i].iov_base, iov[i].iov_len);
			n += iov[i].iov_len;
			outq_consume(&k->cl.out, iov[i].iov_len);
		}
	buf[n] = '\0';
	return (buf);
}

static uint8_t
word_of(const char *line)
{
	static const struct { const char *word; uint8_t id; } words[] = { { "kg", CMD_KG }, { "kp", CMD_KP },
	    { "kd", CMD_KD }, { "km", CMD_KM }, { "ks", CMD_KS }, { "kh", CMD_KH } };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strncmp(line, words[i].word, 2) == 0)
			return (words[i].id);
	return (CMD_BAD);
}

/* Sends a command with its body; it waits for pump(). */
static void
say(const char *text)
{
	size_t n = strcspn(text, "\r"), used;
	struct record_body *body;
	struct record_cmd cmd;
	bool good = true;

	record_parse(slice_of(text, n), word_of(text), &cmd);
	if (cmd.error != NULL && !cmd.has_count) {
		answer_text(replyq_out(&k->ctx, &k->cl.q), cmd.error);
		return;
	}
	switch (cmd.id) {
	case CMD_KG:
		good = record_get(&k->cl, &cmd);
		break;
	case CMD_KS:
		good = record_scan(&k->cl, &cmd);
		break;
	case CMD_KD:
		good = record_delete(&k->cl, &cmd);
		break;
	case CMD_KH:
		good = record_hello(&k->cl, &cmd);
		break;
	default:
		body = record_body_new(&cmd, record_value_max(&k->cl, &cmd), NULL, NULL);
		if (!record_body_feed(body, text + n + 2, strlen(text + n + 2), &used))
			printf("# the body of %.20s is not all there\n", text);
		if (body->error != NULL) {
			answer_text(replyq_out(&k->ctx, &k->cl.q), body->error);
			record_body_free(&body);
		} else
			good = record_write(&k->cl, body);
		break;
	}
	if (!good)
		printf("# the client was lost\n");
}

static const char *
ask(const char *text)
{
	say(text);
	pump();
	return (answer());
}

/* ---- */

static void
kit_space(unsigned i, const char *name, const char *prefix, const char *sep, unsigned store)
{
	struct conf_ns *ns = &k->spaces[i];

	*ns = (struct conf_ns){ .name = (char *)(uintptr_t)name, .prefix = (char *)(uintptr_t)prefix,
	    .prefix_len = strlen(prefix), .separator = (char *)(uintptr_t)sep, .separator_len = strlen(sep),
	    .primary = store < NPOOLS ? &k->stores[store] : NULL, .format = store < 2 ? FORMAT_ITEM : FORMAT_RAW,
	    .local = true, .local_ttl = 1000000, .page_bytes = 2 << 20, .page_bytes_max = 16 << 20,
	    .chunk_size = 1 << 20, .item_size_max = 64 << 20, .drift_ahead = 10000000, .drift_behind = 3600000000u,
	    .delete_ttl = 7200000000u, .delete_jitter = 1800000000u, .hedge_budget = 50 };
}

static void
kit_open(void)
{
	static const struct be_ops *const ops[NPOOLS] = { &batch_ops, &mem_ops, &plain_ops };
	static const char *const names[NPOOLS] = { "disk", "fleet", "old" };
	const struct cache_conf cc = { .mem = 32 << 20, .item_max = 1 << 20, .threads = 1, .evict = true, .use_cas = true };
	const char *why;

	memset(&mem, 0, sizeof mem);
	k = calloc(1, sizeof *k);
	kit_space(0, "default", "", "", 0);
	kit_space(1, "n", "n:", "/", 0);
	kit_space(2, "m", "m:", "/", 1);
	kit_space(3, "raw", "raw:", "", 2);
	kit_space(4, "bare", "bare:", "", NPOOLS);
	k->conf = (struct conf){ .file = (char *)(uintptr_t)"here", .stores = k->stores, .nstores = NPOOLS,
	    .spaces = k->spaces, .nspaces = NSPACES, .client_buffer_max = 16 << 20, .buffer_max = 1 << 30 };
	k->snap = (struct snapshot){ .magic = SNAPSHOT_MAGIC, .conf = &k->conf, .keymap = keymap_new(&k->conf) };
	k->view = calloc(1, sizeof *k->view + NSPACES * sizeof(struct space));
	*k->view = (struct view){ .magic = VIEW_MAGIC, .refs = 1, .snap = &k->snap, .conf = &k->conf,
	    .keymap = k->snap.keymap, .looks_up = true, .npools = NPOOLS, .pools = k->poolp };
	for (unsigned i = 0; i < NPOOLS; i++) {
		STAILQ_INIT(&k->backends[i].queue);
		k->bep[i] = &k->backends[i];
		k->stores[i] = (struct conf_store){ .name = (char *)(uintptr_t)names[i], .replicas = 1, .write_quorum = 1 };
		k->pools[i] = (struct pool){ .conf = &k->stores[i], .ops = ops[i], .servers = &k->bep[i], .nservers = SERVERS };
		k->poolp[i] = &k->pools[i];
	}
	for (unsigned i = 0; i < NSPACES; i++)
		k->view->spaces[i] = (struct space){ .conf = &k->spaces[i], .stats = &k->stats[i], .view = k->view,
		    .plain = true, .tokens = i < 3, .pool = k->spaces[i].primary == NULL ? NULL : &k->pools[k->spaces[i].primary - k->stores] };
	k->sh.cache = k->ctx.cache = cache_new(&cc, &why);
	cache_tick(k->ctx.cache, 2);
	verb_set_start(k->ctx.cache, time(NULL));
	k->sh.nworkers = 1;
	pthread_mutex_init(&k->sh.catalog, NULL);
	if (!version_attach(&k->sh, k->view))
		printf("# no memory\n");
	k->ctx.shared = &k->sh;
	k->ctx.loop = loop_new();
	k->ctx.view = k->view;
	k->ctx.conf = &k->conf;
	k->ctx.random = 1;
	k->ctx.outpool = outpool_new(1 << 20);
	k->cl.ctx = &k->ctx;
	outq_init(&k->cl.out, k->ctx.outpool, false);
	replyq_init(&k->cl.q, &k->cl.out, advanced);
}

static void
kit_close(void)
{
	struct req *r;

	ok(k->view->refs == 1 && k->ctx.held == 0 && k->cl.q.held == 0 && k->cl.q.nwaiting == 0 &&
	    atomic_load(&k->ctx.metrics.v[METRIC_requests_inflight]) == 0, "nothing is left behind");
	outq_clear(&k->cl.out);
	while ((r = SLIST_FIRST(&k->ctx.free_reqs)) != NULL) {
		SLIST_REMOVE_HEAD(&k->ctx.free_reqs, next_free);
		free(r);
	}
	for (unsigned i = 0; i < NPOOLS; i++)
		for (size_t n = 0; n < k->bep[i]->n; n++)
			row_free(&k->bep[i]->rows[n]);
	outpool_free(&k->ctx.outpool);
	loop_free(&k->ctx.loop);
	cache_free(&k->ctx.cache);
	keymap_free(&k->snap.keymap);
	version_detach(&k->sh);
	codec_free(&k->ctx.codec);
	free(k->ctx.scratch);
	free(k->view);
	free(k);
}

#endif
