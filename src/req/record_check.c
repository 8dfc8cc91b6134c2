/*
 * record_check.c - what may be wrong with a kp, kd or km, and what it puts and deletes if nothing is.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/cache.h"
#include "kv/codec.h"
#include "obs/metric.h"
#include "req/encode.h"
#include "req/record_write.h"
#include "req/version.h"

/* The namespace's say on one sub-command. */
static bool
check_sub(struct writing *w, struct plan_op *op, char why[RECORD_WHY_MAX])
{
	const struct record_sub *sub = op->sub;
	const struct record_cmd *cmd = &sub->cmd;
	const char *error;

	op->space = record_space(w->ctx, (cmd->flags & RF_SPACE) != 0 ? cmd->space : SLICE_NULL, cmd->key, why);
	if (op->space == NULL || !record_id(op->space, cmd->key, why))
		return (false);
	op->hash = cache_hash(cmd->key);
	for (uint32_t i = 0; i < sub->nitems; i++)
		if (op->space->conf->separator_len == 0 && sub->items[i].key.len > 0) {
			snprintf(why, RECORD_WHY_MAX, "CLIENT_ERROR namespace %s is flat", op->space->conf->name);
			return (false);
		}
	error = (w->cmd->flags & RF_TIME) != 0 ? space_token_accept(op->space, w->cmd->time) : NULL;
	if (error != NULL)
		snprintf(why, RECORD_WHY_MAX, "%s", error);
	return (error == NULL);
}

/* What a client has encoded counts as decoded. */
static uint64_t
value_size(const struct record_item *it)
{
	uint64_t n = codec_size((enum codec)it->codec, it->data);

	return (n <= ENCODE_SIZE_MAX ? n : ENCODE_SIZE_MAX + 1ull);
}

static uint64_t
values_of(const struct writing *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->n; i++)
		for (uint32_t k = 0; k < w->subs[i].nitems; k++)
			sum += value_size(&w->subs[i].items[k]);
	return (sum);
}

static bool
check_size(struct writing *w, char why[RECORD_WHY_MAX])
{
	uint64_t sum = values_of(w);

	for (size_t i = 0; i < w->n; i++)
		if (sum > w->ops[i].space->conf->item_size_max) {
			METRIC_ADD(&w->ctx->metrics, store_too_large, 1);
			snprintf(why, RECORD_WHY_MAX, "SERVER_ERROR object too large for cache");
			return (false);
		}
	return (true);
}

/* With a: whether one store can do all of it at once. */
static bool
check_atomic(struct writing *w, char why[RECORD_WHY_MAX])
{
	const struct pool *first = w->ops[0].space->pool;

	w->chains = true;
	for (size_t i = 0; i < w->n; i++) {
		const struct pool *p = w->ops[i].space->pool;

		w->chains = w->chains && (p->ops->caps & BE_CAP_BATCH) != 0;
		if ((w->cmd->flags & RF_ATOMIC) == 0 || (p == first && w->chains))
			continue;
		snprintf(why, RECORD_WHY_MAX, "CLIENT_ERROR atomic across records is not supported by store %s",
		    p->conf->name);
		return (false);
	}
	return (true);
}

bool
writing_check(struct writing *w, char why[RECORD_WHY_MAX])
{
	for (size_t i = 0; i < w->n; i++) {
		w->ops[i].sub = &w->subs[i];
		if (!check_sub(w, &w->ops[i], why))
			return (false);
	}
	return (check_size(w, why) && check_atomic(w, why));
}

/* ---- puts and deletes ---- */

/* Milliseconds since 1970, 0: never. */
static uint64_t
expiry_of(int32_t ttl, uint64_t now)
{
	if (ttl == 0)
		return (0);
	if (ttl < 0)
		return (1);
	return (ttl > OP_REALTIME_MAX ? (uint64_t)ttl * 1000 : now + (uint64_t)ttl * 1000);
}

/* Whether a classic line cannot hold it. */
static bool
is_binary(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return (true);
	return (false);
}

/* The value of the put that is being made goes in pieces. */
static void
put_pieces(struct writing *w, const struct space *sp, struct rec_put *put, struct slice plain, int32_t ttl)
{
	struct put_source *source = &w->sources[w->nmade];

	(void)pieces_plan(w->ctx, sp, plain.len, &put->head);
	put->head.codec = CODEC_NONE;
	put->body = NULL;
	put->nbody = 0;
	put->len = 0;
	source->plain = plain;
	source->ttl = ttl;
	w->in_pieces = true;
}

/*
 * The client's encoded value, which has to be one: whoever reads it in a page with others would lose all of it. Where
 * it is too large for one piece, each piece has to be encoded by itself.
 */
static const char *
put_decoded(struct writing *w, const struct space *sp, struct rec_put *put, const struct record_item *it)
{
	size_t len = put->head.size, most = sp->conf->chunk_size;
	char *plain;
	const char *error = decode_given(w->ctx, sp, &put->head, it->data, &plain);

	if (error != NULL)
		return (strcmp(error, DECODE_NO_MEM) == 0 ? RECORD_NO_MEM : CODEC_BAD_FRAME);
	if (put->len <= most || len <= most) {
		free(plain);
		return (NULL);
	}
	w->made[w->nmade] = plain;
	put_pieces(w, sp, put, slice_of(plain, len), it->ttl);
	return (NULL);
}

/* The next put. NULL: good; else what the client is to hear. */
static const char *
writing_put(struct writing *w, const struct space *sp, const struct record_item *it, struct slice id, uint64_t now)
{
	struct rec_put *put = &w->puts[w->nmade];
	const char *error = NULL;

	if (it->codec == CODEC_NONE && it->data.len > sp->conf->chunk_size) {
		put->key = it->key;
		put->head.client_flags = it->client_flags;
		put_pieces(w, sp, put, it->data, it->ttl);
	} else
		error = encode_item(w->ctx, sp, it, put, &w->bodies[w->nmade], &w->made[w->nmade]);
	if (error == NULL && it->codec != CODEC_NONE)
		error = put_decoded(w, sp, put, it);
	w->nmade++;
	put->head.expiry = expiry_of(it->ttl, now);
	put->head.marks = is_binary(id) || is_binary(it->key) ? ENVELOPE_BINKEY : 0;
	return (error);
}

static void
set_which(struct rec_which *w, const struct record_cmd *cmd)
{
	w->from = (cmd->flags & RF_FROM) != 0 ? cmd->from : SLICE_NULL;
	w->until = (cmd->flags & RF_UNTIL) != 0 ? cmd->until : SLICE_NULL;
	w->head = (cmd->flags & RF_HEAD) != 0 ? cmd->head : SLICE_NULL;
}

/* What is left of a sub-command. NULL: good; else what the client is to hear. */
static const char *
writing_mutation(struct writing *w, struct mutation *m, size_t *nkeys, uint64_t now)
{
	const struct plan_op *op = m->op;
	const struct record_sub *sub = op->sub;
	const char *error = NULL;

	m->task.rec.puts = w->puts + w->nmade;
	m->task.rec.which.keys = sub->cmd.nkeys > 0 ? w->keys + *nkeys : NULL;
	set_which(&m->task.rec.which, &sub->cmd);
	for (uint32_t i = 0; i < sub->nitems && error == NULL; i++)
		if (!op->dropped[i]) {
			error = writing_put(w, op->space, &sub->items[i], sub->cmd.key, now);
			m->task.rec.nputs++;
		}
	for (uint32_t i = 0; i < sub->cmd.nkeys; i++)
		if (!op->dropped[i]) {
			w->keys[(*nkeys)++] = sub->cmd.keys[i];
			m->task.rec.which.nkeys++;
		}
	return (error);
}

const char *
writing_mutations(struct writing *w)
{
	size_t nputs = 1, nkeys = 1;
	uint64_t now = record_now();
	const char *error = NULL;

	for (size_t i = 0; i < w->n; i++)
		*(plan_is_put(&w->ops[i]) ? &nputs : &nkeys) += w->ops[i].left;
	w->mutations = calloc(w->n, sizeof *w->mutations);
	w->puts = calloc(nputs, sizeof *w->puts);
	w->bodies = calloc(nputs, sizeof *w->bodies);
	w->made = calloc(nputs, sizeof *w->made);
	w->sources = calloc(nputs, sizeof *w->sources);
	w->keys = calloc(nkeys, sizeof *w->keys);
	if (w->mutations == NULL || w->puts == NULL || w->bodies == NULL || w->made == NULL ||
	    w->sources == NULL || w->keys == NULL)
		return (RECORD_NO_MEM);
	nkeys = 0;
	for (size_t i = 0; i < w->n && error == NULL; i++) {
		w->mutations[i].w = w;
		w->mutations[i].op = &w->ops[i];
		error = writing_mutation(w, &w->mutations[i], &nkeys, now);
	}
	return (error);
}
