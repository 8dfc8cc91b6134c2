/*
 * Unit tests of src/backend/item_verb.c and item_verb_store.c: tables of who wins, every order of writes, and tokens
 * against a model that keeps all that ever happened. What classic clients see is compared in item_verb_cache.c.
 *
 *	item_verb [seed]	a failure prints its seed
 */
#include "backend/item_verb.c"

#include <stdlib.h>

#include "item_sim.h"
#include "tap.h"

/* ---- tables: what is there, and what comes ---- */

#define OWN	500		/* the version that comes */
#define NOW	1000000u

/* What is there: a version below, at, or above the op's; alive, dead, over, or behind a marker. */
static const struct place {
	const char	*name;
	bool		 row, dead, over, encoded, chunks;
	uint64_t	 version, cover;
} places[] = {
	{ .name = "nothing" },
	{ .name = "older", .row = true, .version = 400 },
	{ .name = "same", .row = true, .version = OWN },
	{ .name = "newer", .row = true, .version = 600 },
	{ .name = "dead older", .row = true, .dead = true, .version = 400 },
	{ .name = "dead same", .row = true, .dead = true, .version = OWN },
	{ .name = "dead newer", .row = true, .dead = true, .version = 600 },
	{ .name = "over older", .row = true, .over = true, .version = 400 },
	{ .name = "over newer", .row = true, .over = true, .version = 600 },
	{ .name = "marker older", .cover = 450 },
	{ .name = "marker same", .cover = OWN },
	{ .name = "marker newer", .cover = 600 },
	{ .name = "older under marker older", .row = true, .version = 400, .cover = 450 },
	{ .name = "older under marker newer", .row = true, .version = 400, .cover = 600 },
	{ .name = "older above marker", .row = true, .version = 400, .cover = 300 },
	{ .name = "newer under marker newest", .row = true, .version = 600, .cover = 700 },
};

static const struct come {
	const char	*name;
	uint8_t		 verb, mode;
	uint16_t	 opts;
	uint64_t	 cas;
} comes[] = {
	{ "set", OP_STORE, OP_SET, 0, 0 },
	{ "add", OP_STORE, OP_ADD, 0, 0 },
	{ "replace", OP_STORE, OP_REPLACE, 0, 0 },
	{ "append", OP_STORE, OP_APPEND, 0, 0 },
	{ "append N", OP_STORE, OP_APPEND, OPF_VIVIFY, 0 },
	{ "cas 400", OP_STORE, OP_SET, OPF_CAS, 400 },
	{ "incr", OP_ARITH, OP_INCR, 0, 0 },
	{ "incr N", OP_ARITH, OP_INCR, OPF_VIVIFY, 0 },
	{ "delete", OP_DELETE, 0, 0, 0 },
	{ "md C400", OP_DELETE, 0, OPF_CAS, 400 },
	{ "md I", OP_DELETE, 0, OPF_INVALIDATE, 0 },
	{ "md x", OP_DELETE, 0, OPF_REMOVE_VAL, 0 },
};

/*
 * Cells: status (OK, NF, NS, EX), then what is put, if anything: its version above 0 as + (the op's own), ^ (one above
 * what was there), = (that of the row); d behind it: a dead mark; ! the answer is kept.
 */
static const char *const plain_table[NITEMS(comes)][NITEMS(places)] = {
	/*             nothing older   same    newer   dead<   dead=   dead>   over<   over>   mark<   mark=   mark>   o<m<    o<m>    o>m     n<m> */
	/* set */    { "OK+", "OK+", "OK^", "OK^", "OK+", "OK^", "OK^", "OK+", "OK^", "OK+", "OK^", "OK^", "OK+", "OK^", "OK+", "OK^" },
	/* add */    { "OK+", "NS", "NS", "NS", "OK+", "OK^", "OK^", "OK+", "OK^", "OK+", "OK^", "OK^", "OK+", "OK^", "NS", "OK^" },
	/* replace*/ { "NS", "OK+", "OK^", "OK^", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "OK+", "NS" },
	/* append */ { "NS", "OK+", "OK^", "OK^", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "OK+", "NS" },
	/* appendN*/ { "OK+", "OK+", "OK^", "OK^", "OK+", "OK^", "OK^", "OK+", "OK^", "OK+", "OK^", "OK^", "OK+", "OK^", "OK+", "OK^" },
	/* cas */    { "NF", "OK+", "EX", "EX", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK+", "NF" },
	/* incr */   { "NF", "OK+", "OK^", "OK^", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK+", "NF" },
	/* incr N */ { "OK+", "OK+", "OK^", "OK^", "OK+", "OK^", "OK^", "OK+", "OK^", "OK+", "OK^", "OK^", "OK+", "OK^", "OK+", "OK^" },
	/* delete */ { "NF", "OK+d", "OK^d", "OK^d", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK+d", "NF" },
	/* md C */   { "NF", "OK+d", "EX", "EX", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK+d", "NF" },
	/* md I */   { "NF", "OK+", "OK^", "OK^", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK+", "NF" },
	/* md x */   { "NF", "OK=", "OK+", "OK=", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK=", "NF" },
};

static const char *const lww_table[NITEMS(comes)][NITEMS(places)] = {
	/*             nothing older   same    newer   dead<   dead=   dead>   over<   over>   mark<   mark=   mark>   o<m<    o<m>    o>m     n<m> */
	/* set */    { "OK+", "OK+", "OK", "OK", "OK+", "OK", "OK", "OK+", "OK", "OK+", "OK+", "OK", "OK+", "OK", "OK+", "OK" },
	[8] = /* delete */
	             { "NF", "OK+d", "OK", "OK", "NF", "OK", "OK", "NF", "OK", "NF", "OK", "OK", "NF", "OK", "OK+d", "OK" },
	[10] = /* md I */
	             { "NF", "OK+", "OK", "OK", "NF", "OK", "OK", "NF", "OK", "NF", "OK", "OK", "NF", "OK", "OK+", "OK" },
	[11] = /* md x */
	             { "NF", "OK=", "OK", "OK", "NF", "OK", "OK", "NF", "OK", "NF", "OK", "OK", "NF", "OK", "OK=", "OK" },
};

static const char *const token_table[NITEMS(comes)][NITEMS(places)] = {
	/*             nothing older   same    newer   dead<   dead=   dead>   over<   over>   mark<   mark=   mark>   o<m<    o<m>    o>m     n<m> */
	/* set */    { "OK+", "OK+", "OK", "OK", "OK+", "OK", "OK", "OK+", "OK", "OK+", "OK+", "OK", "OK+", "OK", "OK+", "OK" },
	/* add */    { "OK+!", "NS", "OK!", "NS", "OK+!", "OK!", "OK!", "OK+!", "OK!", "OK+!", "OK^!", "OK!", "OK+!", "OK!", "NS", "OK!" },
	/* replace*/ { "NS", "OK+!", "OK!", "OK^!", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "OK+!", "NS" },
	/* append */ { "NS", "OK+!", "OK!", "OK^!", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "NS", "OK+!", "NS" },
	/* appendN*/ { "OK+!", "OK+!", "OK!", "OK^!", "OK+!", "OK!", "OK!", "OK+!", "OK!", "OK+!", "OK^!", "OK!", "OK+!", "OK!", "OK+!", "OK!" },
	/* cas */    { "NF", "OK+!", "OK!", "EX", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK+!", "NF" },
	/* incr */   { "NF", "OK+!", "OK!", "OK^!", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK+!", "NF" },
	/* incr N */ { "OK+!", "OK+!", "OK!", "OK^!", "OK+!", "OK!", "OK!", "OK+!", "OK!", "OK+!", "OK^!", "OK!", "OK+!", "OK!", "OK+!", "OK!" },
	/* delete */ { "NF+d", "OK+d", "OK", "OK", "NF+d", "OK", "OK", "NF+d", "OK", "NF+d", "OK", "OK", "NF+d", "OK", "OK+d", "OK" },
	/* md C */   { "NF", "OK+d!", "EX", "EX", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "NF", "OK+d!", "NF" },
	/* md I */   { "NF+d", "OK+", "OK", "OK", "NF+d", "OK", "OK", "NF+d", "OK", "NF+d", "OK", "OK", "NF+d", "OK", "OK+", "OK" },
	/* md x */   { "NF+d", "OK+", "OK", "OK", "NF+d", "OK", "OK", "NF+d", "OK", "NF+d", "OK", "OK", "NF+d", "OK", "OK+", "OK" },
};

static struct row
row_at(const struct place *p)
{
	struct row r = { .value = SLICE_LIT("41") };

	r.head.version = p->version;
	r.head.marks = p->dead ? ENVELOPE_DEAD : 0;
	r.head.expiry = p->over ? NOW - 1 : p->dead ? NOW + 1 : 0;
	return (r);
}

static void
cell_text(char *buf, size_t size, const struct op_result *res, const struct row_effect *e, const struct place *p)
{
	static const char *const words[] = { "OK", "NF", "NS", "EX", "ERROR" };
	uint64_t last = p->version > p->cover ? p->version : p->cover;
	const char *what = "", *how = "";

	if (e->what == ROW_REMOVE)
		what = "-";
	else if (e->what == ROW_PUT) {
		what = e->head.version == OWN ? "+" : e->head.version == last + 1 ? "^" :
		    e->head.version == p->version ? "=" : "?";
		how = (e->head.marks & ENVELOPE_DEAD) != 0 ? "d" : "";
	}
	snprintf(buf, size, "%s%s%s%s", words[res->status], what, how, e->remember ? "!" : "");
}

/* What is there has the nonce of the token that comes. */
static void
ask_at(const struct place *p, struct be_op *be, char *buf, size_t size)
{
	struct row row = row_at(p);
	struct stamp cover = { .version = p->cover };
	struct row_ask ask = { .be = be, .row = p->row ? &row : NULL, .cover = p->cover != 0 ? &cover : NULL, .now = NOW };
	struct op_result res;
	struct row_effect e;

	if ((be->op.opts & OPF_TOKEN) != 0) {
		memcpy(cover.nonce, be->nonce, NONCE_LEN);
		memcpy(row.head.nonce, be->nonce, NONCE_LEN);
	}
	row_verb(&ask, &res, &e);
	cell_text(buf, size, &res, &e, p);
}

static void
check_table(const char *name, const char *const table[][NITEMS(places)], uint16_t opts)
{
	struct iovec body = { (char *)(uintptr_t)"1", 1 };

	for (size_t i = 0; i < NITEMS(comes); i++) {
		const struct come *c = &comes[i];
		unsigned wrong = 0;

		if (table[i][0] == NULL)
			continue;
		for (size_t j = 0; j < NITEMS(places); j++) {
			struct be_op be = { .version = OWN, .keep_dead = 100, .body = &body, .nbody = 1, .nonce = { 7 } };
			char got[20];

			be.op = (struct op){ .verb = c->verb, .mode = c->mode, .opts = c->opts | opts, .cas = c->cas,
				.vlen = 1, .delta = 1, .initial = 5 };
			ask_at(&places[j], &be, got, sizeof got);
			if (strcmp(got, table[i][j]) == 0)
				continue;
			wrong++;
			printf("# %s, %s: got %s, want %s\n", c->name, places[j].name, got, table[i][j]);
		}
		is_u(wrong, 0, "%s %s", name, c->name);
	}
}

/* ---- every order of writes ---- */

enum kind { K_NONE, K_PUT, K_KP, K_DELETE, K_RANGE, K_PUT_RANGE, K_PUT_TWICE, K_DELETE_TWICE, K_RANGE_TWICE, K_COUNT };

struct write {
	enum kind	 kind;		/* PUT, KP, DELETE, RANGE */
	struct stamp	 stamp;
};

#define WRITES	6

static void
write_apply(struct sim *s, const struct write *w)
{
	char text[40];
	struct be_op be;

	snprintf(text, sizeof text, "%llu %u", (unsigned long long)w->stamp.version, w->stamp.nonce[0]);
	sim_op(&be, w->kind == K_DELETE ? OP_DELETE : OP_STORE, OPF_TOKEN, &w->stamp);
	switch (w->kind) {
	case K_PUT:
	case K_DELETE:
		(void)sim_do(s, &be, text);
		break;
	case K_KP:
		sim_put(s, &be, text);
		break;
	default:
		sim_mark(s, &w->stamp);
		break;
	}
}

/* What readers see, and what a late write is measured by. */
static void
state_text(const struct sim *s, char *buf, size_t size)
{
	struct row row;
	const struct stamp *cover = sim_cover(s);
	struct stamp last = { 0 };

	buf[0] = '\0';
	if (sim_row(s, &row)) {
		last = stamp_of(row.head.version, row.head.nonce);
		if (row_lives(&row.head, cover, s->now)) {
			snprintf(buf, size, "%.*s at %llu %u", (int)row.value.len, row.value.p,
			    (unsigned long long)row.head.version, row.head.nonce[0]);
			return;
		}
	}
	if (cover != NULL && stamp_cmp(cover, &last) > 0)
		last = *cover;
	snprintf(buf, size, "dead at %llu %u", (unsigned long long)last.version, last.nonce[0]);
}

/* The newest write wins; a put wins over a range of its stamp. */
static void
model_text(const struct write *w, unsigned n, char *buf, size_t size)
{
	const struct write *best = NULL;

	for (unsigned i = 0; i < n; i++) {
		int c = best == NULL ? 1 : stamp_cmp(&w[i].stamp, &best->stamp);

		if (c > 0 || (c == 0 && best->kind == K_RANGE))
			best = &w[i];
	}
	if (best == NULL)
		snprintf(buf, size, "dead at 0 0");
	else if (best->kind == K_PUT || best->kind == K_KP)
		snprintf(buf, size, "%llu %u at %llu %u", (unsigned long long)best->stamp.version, best->stamp.nonce[0],
		    (unsigned long long)best->stamp.version, best->stamp.nonce[0]);
	else
		snprintf(buf, size, "dead at %llu %u", (unsigned long long)best->stamp.version, best->stamp.nonce[0]);
}

/* All orders of w[at..n); returns how many came to another end than the model. */
static unsigned
all_orders(struct write *w, unsigned at, unsigned n, const char *want)
{
	unsigned wrong = 0;

	if (at == n) {
		struct sim s;
		char got[80];

		sim_begin(&s);
		for (unsigned i = 0; i < n; i++)
			write_apply(&s, &w[i]);
		state_text(&s, got, sizeof got);
		if (strcmp(got, want) != 0)
			printf("# got %s, want %s\n", got, want);
		return (strcmp(got, want) != 0);
	}
	for (unsigned i = at; i < n; i++) {
		struct write was = w[at];

		w[at] = w[i];
		w[i] = was;
		wrong += all_orders(w, at + 1, n, want);
		w[i] = w[at];
		w[at] = was;
	}
	return (wrong);
}

static unsigned
write_add(struct write *w, unsigned n, enum kind kind, struct stamp stamp)
{
	static const enum kind first[] = { [K_PUT] = K_PUT, [K_KP] = K_KP, [K_DELETE] = K_DELETE, [K_RANGE] = K_RANGE,
		[K_PUT_RANGE] = K_PUT, [K_PUT_TWICE] = K_PUT, [K_DELETE_TWICE] = K_DELETE, [K_RANGE_TWICE] = K_RANGE };

	if (kind == K_NONE)
		return (n);
	w[n++] = (struct write){ first[kind], stamp };
	if (kind >= K_PUT_RANGE)
		w[n++] = (struct write){ kind == K_PUT_RANGE ? K_RANGE : first[kind], stamp };
	return (n);
}

/* Three tokens, two of one time, each of any kind: all sets of such writes in all orders. */
static void
every_order_ends_alike(void)
{
	static const struct stamp stamps[] = { { 10, { 0 } }, { 10, { 1 } }, { 11, { 0 } } };
	unsigned wrong = 0, sets = 0;

	for (unsigned i = 0; i < K_COUNT * K_COUNT * K_COUNT; i++) {
		struct write w[WRITES];
		char want[80];
		unsigned n = 0;

		n = write_add(w, n, (enum kind)(i % K_COUNT), stamps[0]);
		n = write_add(w, n, (enum kind)(i / K_COUNT % K_COUNT), stamps[1]);
		n = write_add(w, n, (enum kind)(i / K_COUNT / K_COUNT), stamps[2]);
		model_text(w, n, want, sizeof want);
		wrong += all_orders(w, 0, n, want);
		sets++;
	}
	is_u(wrong, 0, "%u sets of writes in every order", sets);
}

static void
random_sets_end_alike(void)
{
	unsigned wrong = 0;

	for (unsigned round = 0; round < 300; round++) {
		struct write w[WRITES];
		char want[80];

		for (unsigned i = 0; i < WRITES; i++) {
			w[i].kind = (enum kind)(K_PUT + rnd(4));
			w[i].stamp = (struct stamp){ 1 + i / 2, { (uint8_t)(i % 2) } };
			if (i > 0 && rnd(4) == 0)
				w[i] = w[i - 1];
		}
		model_text(w, WRITES, want, sizeof want);
		wrong += all_orders(w, 0, WRITES, want);
	}
	is_u(wrong, 0, "300 random sets of six in every order");
}

/* ---- tokens against all that ever happened ---- */

/* What has happened to an item, newest stamp last; relative writes are events as well, with what came of them. */
struct happening {
	struct stamp	 stamp;
	enum { E_VALUE, E_DEAD, E_RANGE } kind;
	char		 value[32];
};

struct history {
	struct happening	 list[400];
	unsigned	 n;
	struct { struct stamp stamp; uint64_t number; } first[400];
	unsigned	 nfirst;
};

static const struct happening *
newest(const struct history *h)
{
	const struct happening *best = NULL;

	for (unsigned i = 0; i < h->n; i++) {
		const struct happening *e = &h->list[i];
		int c = best == NULL ? 1 : stamp_cmp(&e->stamp, &best->stamp);

		if (c > 0 || (c == 0 && best->kind == E_RANGE && e->kind == E_VALUE))
			best = e;
	}
	return (best);
}

static void
happens(struct history *h, struct stamp stamp, unsigned kind, const char *value)
{
	struct happening *e = &h->list[h->n++];

	e->stamp = stamp;
	e->kind = kind;
	snprintf(e->value, sizeof e->value, "%s", value);
}

static struct stamp
above(const struct happening *e, struct stamp s)
{
	if (e != NULL && s.version <= e->stamp.version)
		s.version = e->stamp.version + 1;
	return (s);
}

/* incr N0 J100 with a token: the number that is answered. */
static uint64_t
history_incr(struct history *h, struct stamp token)
{
	const struct happening *e = newest(h);
	uint64_t v = 100;
	char text[32];

	for (unsigned i = 0; i < h->nfirst; i++)
		if (stamp_cmp(&h->first[i].stamp, &token) == 0)
			return (h->first[i].number);
	if (e != NULL && e->kind == E_VALUE)
		v = strtoull(e->value, NULL, 10) + 1;
	snprintf(text, sizeof text, "%llu", (unsigned long long)v);
	/* One that would make it anew is older than what made it go: that is how it ended. */
	if (e == NULL || e->kind == E_VALUE || stamp_cmp(&token, &e->stamp) > 0)
		happens(h, above(e, token), E_VALUE, text);
	h->first[h->nfirst].stamp = token;
	h->first[h->nfirst++].number = v;
	return (v);
}

static const char *
history_value(const struct history *h)
{
	const struct happening *e = newest(h);

	return (e != NULL && e->kind == E_VALUE ? e->value : "(none)");
}

static bool
step(struct sim *s, struct history *h, struct stamp *tokens, unsigned *ntokens, uint64_t *clock)
{
	bool again = *ntokens > 0 && rnd(3) == 0;
	struct stamp token = { .version = *clock - rnd(30), .nonce = { (uint8_t)(*ntokens / 256), (uint8_t)*ntokens } };
	unsigned what = rnd(4), at = again ? rnd(*ntokens) : *ntokens;
	struct be_op be;
	struct op_result res;
	char text[32];

	/* What a token stands for does not change. */
	if (again) {
		token = tokens[at];
		what = token.nonce[2];
	} else {
		token.nonce[2] = (uint8_t)what;
		tokens[(*ntokens)++] = token;
	}
	*clock += rnd(10);
	snprintf(text, sizeof text, "%u", at * 7);
	sim_op(&be, what == 0 ? OP_STORE : what == 1 ? OP_DELETE : OP_ARITH, OPF_TOKEN, &token);
	switch (what) {
	case 0:
		happens(h, token, E_VALUE, text);
		return (sim_do(s, &be, text).status == OP_OK);
	case 1:
		happens(h, token, E_DEAD, "");
		res = sim_do(s, &be, "");
		return (res.status == OP_OK || res.status == OP_MISS);
	case 2:
		happens(h, token, E_RANGE, "");
		sim_mark(s, &token);
		return (true);
	default:
		be.op.opts |= OPF_VIVIFY;
		be.op.order = OPO_VIVIFY;
		be.op.mode = OP_INCR;
		be.op.initial = 100;
		be.op.delta = 1;
		res = sim_do(s, &be, "");
		return (res.status == OP_OK && res.number == history_incr(h, token));
	}
}

static void
tokens_do_once(void)
{
	static struct history h;
	unsigned wrong = 0, answers = 0;

	for (unsigned round = 0; round < 400; round++) {
		struct stamp tokens[100];
		unsigned ntokens = 0;
		uint64_t clock = 1000;
		struct sim s;

		memset(&h, 0, sizeof h);
		sim_begin(&s);
		for (unsigned i = 0; i < 80; i++) {
			answers += !step(&s, &h, tokens, &ntokens, &clock);
			wrong += strcmp(sim_value(&s), history_value(&h)) != 0;
		}
	}
	is_u(answers, 0, "each token has one answer");
	is_u(wrong, 0, "and counts once, in whatever order it comes");
}

/* ---- single rules ---- */

static void
what_is_over_at_birth_keeps_its_version(void)
{
	struct stamp newer = { .version = 20 }, older = { .version = 10 };
	struct be_op be;
	struct row row;
	struct sim s;

	sim_begin(&s);
	sim_op(&be, OP_STORE, OPF_TOKEN | OPF_TTL, &newer);
	be.op.ttl = -1;
	is_u(sim_do(&s, &be, "gone").status, OP_OK, "a set of what is over");
	ok(sim_row(&s, &row) && row.value.len == 0 && !row_lives(&row.head, NULL, s.now), "is not there");
	ok(!row_spent(&row.head, NULL, s.now, 1) && row_spent(&row.head, NULL, s.now + 1, 1), "but known for a while");
	sim_op(&be, OP_STORE, OPF_TOKEN, &older);
	is_u(sim_do(&s, &be, "late").status, OP_OK, "an older set");
	is_s(sim_value(&s), "(none)", "does not bring it back");
}

static void
what_is_encoded_is_told(void)
{
	struct row row = { .head = { .version = 5, .codec = CODEC_ZSTD, .size = 100 }, .value = SLICE_LIT("zz") };
	struct iovec body = { (char *)(uintptr_t)"1", 1 };
	struct be_op be = { .version = 10, .body = &body, .nbody = 1 };
	struct row_ask ask = { .be = &be, .row = &row, .now = NOW };
	struct op_result res;
	struct row_effect e;

	be.op = (struct op){ .verb = OP_STORE, .mode = OP_APPEND, .vlen = 1 };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_DECODE && res.status == OP_ERROR && res.bits == OPR_ENCODED && res.cas == 5, "append");
	be.value_max = 100;
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_KEEP && res.status == OP_NOT_STORED, "what would be too large is known by its size");
	be.op = (struct op){ .verb = OP_ARITH, .mode = OP_INCR };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_DECODE, "incr");
	be.op = (struct op){ .verb = OP_ARITH, .mode = OP_INCR, .opts = OPF_CAS, .cas = 4 };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_KEEP && res.status == OP_EXISTS, "a wrong CAS needs no value");
	be.op = (struct op){ .verb = OP_DELETE, .opts = OPF_INVALIDATE };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_PUT && e.head.codec == CODEC_ZSTD && e.head.size == 100 && e.len == 2 && res.status == OP_OK,
	    "md I keeps the value as it is");
	be.op = (struct op){ .verb = OP_GET, .opts = OPF_TTL, .ttl = 9, .order = OPO_TTL };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_PUT && e.head.version == 5 && res.bits == OPR_ENCODED && res.size == 2, "so does a touch");
	be.op = (struct op){ .verb = OP_STORE, .mode = OP_REPLACE, .vlen = 1 };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_PUT && e.head.codec == CODEC_NONE && !e.orphans, "replace asks no value");
}

static void
chunks_have_their_writers_version(void)
{
	struct row row = { .head = { .version = 50, .chunk = 10, .chunks = 3, .size = 25 }, .value = SLICE_LIT("") };
	struct envelope in_chunks = { .chunk = 10, .chunks = 2, .size = 15 };
	struct be_op be = { .version = 60, .head = &in_chunks, .op = { .verb = OP_STORE } };
	struct row_ask ask = { .be = &be, .row = &row, .now = NOW };
	struct op_result res;
	struct row_effect e;

	row_verb(&ask, &res, &e);
	ok(e.what == ROW_PUT && e.orphans && e.head.chunks == 2 && res.size == 15 && res.cas == 60, "newer chunks");
	be.version = 50;
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_HIGHER && res.status == OP_ERROR && res.cas == 50, "a plain one has to have a higher version");
	be.op.opts = OPF_LWW;
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_KEEP && res.status == OP_OK, "one that goes by age is late");
	be.op = (struct op){ .verb = OP_DELETE, .opts = OPF_INVALIDATE };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_DECODE, "a stale mark would rename them");
	be.op = (struct op){ .verb = OP_DELETE };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_REMOVE && e.orphans, "a delete leaves them to nobody");
	be.op = (struct op){ .verb = OP_GET, .want = OPW_HIT };
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_PUT && !e.orphans && e.head.chunks == 3, "a read keeps them");
}

static void
stand_in_for_arithmetic_keeps_the_number(void)
{
	struct row row = { .head = { .version = 50, .codec = CODEC_ZSTD, .size = 2 }, .value = SLICE_LIT("zz") };
	struct be_op be = { .version = 60, .op = { .verb = OP_STORE, .opts = OPF_TOKEN | OPF_CAS, .cas = 50, .delta = 42 } };
	struct row_ask ask = { .be = &be, .row = &row, .now = NOW };
	struct op_result res, again;
	struct row_effect e;
	char bytes[ROW_ANSWER_LEN];
	uint64_t until;

	row_verb(&ask, &res, &e);
	ok(e.what == ROW_PUT && e.remember && res.number == 42, "the number of a cas that is an incr");
	res.ttl = -1;
	res.client_flags = 0xfffefdfc;
	is_u((size_t)(row_answer_put(bytes, &res, 77) - bytes), ROW_ANSWER_LEN, "an answer has its length");
	ok(row_answer_get(slice_of(bytes, sizeof bytes), &again, &until) && until == 77, "and is read");
	ok(memcmp(&again, &res, sizeof res) == 0 || (again.number == 42 && again.cas == res.cas && again.ttl == -1 &&
	    again.client_flags == res.client_flags && again.status == OP_OK), "as it was");
	ok(!row_answer_get(slice_of(bytes, sizeof bytes - 1), &again, &until), "a short one is none");
	ask.first = &again;
	row_verb(&ask, &res, &e);
	ok(e.what == ROW_KEEP && !e.remember && res.number == 42, "it is given again, and nothing done");
}

static void
puts_of_a_record(void)
{
	struct iovec body = { (char *)(uintptr_t)"new", 3 };
	struct rec_put put = { .head = { .client_flags = 9, .codec = CODEC_ZSTD, .size = 40 }, .body = &body, .nbody = 1,
		.len = 3 };
	struct row row = { .head = { .version = 70 }, .value = SLICE_LIT("old") };
	struct be_op be = { .version = 60, .op = { .verb = OP_ITEMS_PUT } };
	struct stamp cover = { .version = 80 };
	struct row_ask ask = { .be = &be, .row = &row, .now = NOW };
	struct row_effect e;
	char bytes[ENVELOPE_LEN_MAX + 3];
	struct envelope head;
	struct slice value;

	is_u(row_version(&ask), 71, "a plain put goes above what it replaces");
	ask.cover = &cover;
	is_u(row_version(&ask), 81, "and above markers");
	be.version = 90;
	is_u(row_version(&ask), 90, "its own version may be above anyway");
	row_put(&ask, &put, &e);
	is_u(row_effect_len(&e), sizeof bytes, "an effect tells its length");
	ok(envelope_get(slice_of(bytes, (size_t)(row_effect_put(bytes, &e) - bytes)), &head, &value) &&
	    head.version == 90 && head.client_flags == 9 && head.size == 40 && slice_eq_str(value, "new"), "it is put");
	be.op.opts = OPF_LWW;
	be.version = 75;
	row_put(&ask, &put, &e);
	is_u(e.what, ROW_KEEP, "an older one is not");
}

static void
rows_are_spent(void)
{
	struct envelope live = { .version = 5 }, dead = { .version = 5, .marks = ENVELOPE_DEAD, .expiry = 100 };
	struct envelope over = { .version = 5, .expiry = 100 };
	struct stamp same = { .version = 5 }, newer = { .version = 6 };

	ok(!row_spent(&live, NULL, UINT64_MAX, 0) && !row_spent(&live, &same, 0, 0), "what lives stays");
	ok(row_spent(&live, &newer, 0, 0), "what a marker covers goes");
	ok(!row_spent(&dead, NULL, 99, 0) && row_spent(&dead, NULL, 100, 1000), "a mark goes at its time");
	ok(!row_spent(&over, NULL, 100, 50) && !row_spent(&over, NULL, 149, 50) && row_spent(&over, NULL, 150, 50),
	    "what is over goes some time later");
}

int
main(int argc, char **argv)
{
	rnd_seed(argc > 1 ? strtoull(argv[1], NULL, 10) : 20261128);
	check_table("plain", plain_table, 0);
	check_table("lww", lww_table, OPF_LWW);
	check_table("token", token_table, OPF_TOKEN);
	every_order_ends_alike();
	random_sets_end_alike();
	tokens_do_once();
	what_is_over_at_birth_keeps_its_version();
	what_is_encoded_is_told();
	chunks_have_their_writers_version();
	stand_in_for_arithmetic_keeps_the_number();
	puts_of_a_record();
	rows_are_spent();
	return (done_testing());
}
