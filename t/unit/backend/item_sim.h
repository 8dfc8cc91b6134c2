/* item_sim.h - a store of one item in memory, for the tests of item_verb: a row as bytes, markers, first answers. */
#ifndef ITEM_SIM_H
#define ITEM_SIM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/item_verb.h"
#include "base/check.h"

#define SIM_ROW		8192
#define SIM_ANSWERS	200

struct sim {
	uint64_t	 now;		/* milliseconds */
	size_t		 len;		/* of bytes; 0: no row */
	char		 bytes[SIM_ROW];
	bool		 marked;
	struct stamp	 mark;		/* the newest */
	unsigned	 nanswers;
	struct { struct stamp token; char bytes[ROW_ANSWER_LEN]; } answers[SIM_ANSWERS];
};

static uint64_t rnd_state;

static inline void
rnd_seed(uint64_t seed)
{
	printf("# seed %llu\n", (unsigned long long)seed);
	rnd_state = seed != 0 ? seed : 1;
}

static inline uint32_t
rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return ((uint32_t)(rnd_state * 0x2545f4914f6cdd1dull >> 33) % below);
}

static inline void
sim_begin(struct sim *s)
{
	s->now = 1000000;
	s->len = 0;
	s->marked = false;
	s->nanswers = 0;
}

static inline bool
sim_row(const struct sim *s, struct row *row)
{
	if (s->len == 0)
		return (false);
	MUST(envelope_get(slice_of(s->bytes, s->len), &row->head, &row->value));
	return (true);
}

static inline const struct stamp *
sim_cover(const struct sim *s)
{
	return (s->marked ? &s->mark : NULL);
}

static inline void
sim_mark(struct sim *s, const struct stamp *stamp)
{
	if (!s->marked || stamp_cmp(stamp, &s->mark) > 0)
		s->mark = *stamp;
	s->marked = true;
}

static inline void
sim_op(struct be_op *be, uint8_t verb, uint16_t opts, const struct stamp *stamp)
{
	memset(be, 0, sizeof *be);
	be->op.verb = verb;
	be->op.opts = opts;
	be->keep_dead = 100000;
	be->version = stamp->version;
	memcpy(be->nonce, stamp->nonce, NONCE_LEN);
}

static inline void
sim_effect(struct sim *s, const struct row_effect *e)
{
	static char to[SIM_ROW];

	if (e->what == ROW_REMOVE)
		s->len = 0;
	if (e->what != ROW_PUT)
		return;
	/* Part of the effect borrows from what it replaces. */
	MUST(row_effect_len(e) <= sizeof to);
	s->len = (size_t)(row_effect_put(to, e) - to);
	memcpy(s->bytes, to, s->len);
}

static inline bool
sim_first(const struct sim *s, const struct be_op *be, struct op_result *res)
{
	struct stamp token = stamp_of(be->version, be->nonce);
	uint64_t until;

	for (unsigned i = 0; row_keeps_answer(&be->op) && i < s->nanswers; i++)
		if (stamp_cmp(&s->answers[i].token, &token) == 0)
			return (row_answer_get(slice_of(s->answers[i].bytes, ROW_ANSWER_LEN), res, &until));
	return (false);
}

/* A store's body is text. */
static inline struct op_result
sim_do(struct sim *s, struct be_op *be, const char *text)
{
	struct iovec body = { (char *)(uintptr_t)text, strlen(text) };
	struct op_result res, first;
	struct row_effect e;
	struct row row;
	struct row_ask ask = { .be = be, .now = s->now, .cover = sim_cover(s) };

	if (be->op.verb == OP_STORE) {
		be->body = &body;
		be->nbody = 1;
		be->op.vlen = (uint32_t)body.iov_len;
	}
	ask.row = sim_row(s, &row) ? &row : NULL;
	ask.first = sim_first(s, be, &first) ? &first : NULL;
	row_verb(&ask, &res, &e);
	sim_effect(s, &e);
	if (e.remember) {
		MUST(s->nanswers < SIM_ANSWERS);
		s->answers[s->nanswers].token = stamp_of(be->version, be->nonce);
		row_answer_put(s->answers[s->nanswers++].bytes, &res, 0);
	}
	return (res);
}

/* As an item of a kp. */
static inline void
sim_put(struct sim *s, struct be_op *be, const char *text)
{
	struct iovec body = { (char *)(uintptr_t)text, strlen(text) };
	struct rec_put put = { .body = &body, .nbody = 1, .len = (uint32_t)body.iov_len };
	struct row_effect e;
	struct row row;
	struct row_ask ask = { .be = be, .now = s->now, .cover = sim_cover(s) };

	be->op.verb = OP_ITEMS_PUT;
	ask.row = sim_row(s, &row) ? &row : NULL;
	row_put(&ask, &put, &e);
	sim_effect(s, &e);
}

/* What readers see, static. */
static inline const char *
sim_value(const struct sim *s)
{
	static char text[SIM_ROW];
	struct row row;

	if (!sim_row(s, &row) || !row_lives(&row.head, sim_cover(s), s->now))
		return ("(none)");
	snprintf(text, sizeof text, "%.*s", (int)row.value.len, row.value.p);
	return (text);
}

#endif
