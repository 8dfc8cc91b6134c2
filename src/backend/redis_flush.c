/*
 * redis_flush.c - flush_all where other namespaces' keys are to stay: SCAN, look, UNLINK, and on; and flush_all later.
 *
 * One step is out at a time. What is written while the walk is under way may or may not go; what was there before it
 * began and is to go, goes: SCAN promises to show all that stays there throughout.
 */
#include "config.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/redis.h"
#include "base/check.h"
#include "base/num.h"
#include "obs/log.h"

static void
redis_flush_put(struct redis_conn *c, struct be_op *op, struct redis_cmd *cmd, char *bytes)
{
	if (!redis_conn_put(c, op, cmd, bytes, NULL))
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
}

/* The next look; 0 was the last. */
static void
redis_flush_scan(struct redis_conn *c, struct be_op *op)
{
	struct redis_cmd cmd = { .want = RW_SCAN, .script = RS_NONE };
	char cursor[NUM_U64_MAXLEN], bytes[100];

	if (op->res.cas == 0) {
		be_op_end(op);
		return;
	}
	cmd.len = (uint32_t)(redis_put_scan(bytes, slice_of(cursor,
	    (size_t)(num_put_u64(cursor, op->res.cas) - cursor))) - bytes);
	redis_flush_put(c, op, &cmd, bytes);
}

/* A key that is elsewhere by now is none of this server's: nobody waits for these. */
static void
redis_flush_apart(struct redis_conn *c, struct be_op *op, const struct slice *words, unsigned n)
{
	struct redis_cmd cmd = { .want = RW_DROP, .script = RS_NONE };

	for (unsigned i = 1; i < n; i++) {
		struct slice one[2] = { words[0], words[i] };
		char *room = redis_conn_room(c, redis_put_words_max(2, one));

		if (room != NULL)
			cmd.len = (uint32_t)redis_put_words(room, 2, one);
		if (room == NULL || !redis_conn_put(c, NULL, &cmd, room, NULL)) {
			be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
			return;
		}
	}
	redis_flush_scan(c, op);
}

static void
redis_flush_unlink(struct redis_conn *c, struct be_op *op, const struct slice *words, unsigned n)
{
	struct redis_cmd cmd = { .want = RW_UNLINK, .script = RS_NONE };
	char *bytes = malloc(redis_put_words_max(n, words) + 1);

	if (bytes == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	cmd.len = (uint32_t)redis_put_words(bytes, n, words);
	redis_flush_put(c, op, &cmd, bytes);
	free(bytes);
}

/* False: it is no answer to SCAN. */
static bool
redis_flush_read(const struct redisReply *r, uint64_t *cursor, const struct redisReply **keys)
{
	const struct redisReply *at;

	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2)
		return (false);
	at = r->element[0];
	*keys = r->element[1];
	if (at->type != REDIS_REPLY_STRING || !num_get_u64(slice_of(at->str, (size_t)at->len), cursor) ||
	    (*keys)->type != REDIS_REPLY_ARRAY)
		return (false);
	for (size_t i = 0; i < (*keys)->elements; i++)
		if ((*keys)->element[i]->type != REDIS_REPLY_STRING)
			return (false);
	return (true);
}

static void
redis_flush_scanned(struct redis_conn *c, struct be_op *op, const struct redisReply *r)
{
	const struct redisReply *keys;
	struct slice *words;
	unsigned n = 1;

	if (!redis_flush_read(r, &op->res.cas, &keys)) {
		redis_op_fail(c->node->name, op, ERR_PROTOCOL, "%s", err_text(ERR_PROTOCOL));
		return;
	}
	words = malloc((keys->elements + 1) * sizeof *words);
	if (words == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	words[0] = SLICE_LIT("UNLINK");
	for (size_t i = 0; i < keys->elements; i++) {
		struct slice key = slice_of(keys->element[i]->str, (size_t)keys->element[i]->len);
		char owner[REDIS_ID_MAX];

		if (op->flushes(op, redis_name_owner(owner, key)))
			words[n++] = key;
	}
	if (n > 1 && c->node->ops->apart)
		redis_flush_apart(c, op, words, n);
	else if (n > 1)
		redis_flush_unlink(c, op, words, n);
	else
		redis_flush_scan(c, op);
	free(words);
}

void
redis_flush_step(struct redis_conn *c, const struct redis_slot *s, const struct redisReply *r)
{
	if (s->cmd.want == RW_SCAN)
		redis_flush_scanned(c, s->op, r);
	else
		redis_flush_scan(c, s->op);
}

/* ---- later ---- */

static void
redis_later_done(struct be_op *op)
{
	struct redis_later *l = CONTAINER_OF(op, struct redis_later, op);

	l->out = false;
	if (op->err != ERR_NONE && op->err != ERR_CANCELLED)
		log_warn("flush_all, as delayed: %s", op->why);
}

static void
redis_later_time(void *arg)
{
	struct redis_later *l = arg;

	if (l->out)
		return;
	memset(&l->op, 0, sizeof l->op);
	l->op.op.verb = OP_FLUSH;
	l->op.done = redis_later_done;
	l->out = true;
	l->submit(l->be, &l->op);
}

void
redis_later_init(struct redis_later *l, struct backend *be, void (*submit)(struct backend *, struct be_op *))
{
	l->be = be;
	l->submit = submit;
	timer_init(be->bl->loop, &l->timer, redis_later_time, l);
}

void
redis_later_fini(struct redis_later *l)
{
	timer_clear(&l->timer);
}

bool
redis_later_takes(struct redis_later *l, struct be_op *op, const char *name)
{
	int64_t s = op->op.ttl;

	if (op->op.verb != OP_FLUSH)
		return (false);
	/* As in memcached, the last word counts. */
	timer_clear(&l->timer);
	if (s > OP_REALTIME_MAX)
		s -= (int64_t)time(NULL);
	if (s <= 0)
		return (false);
	if (op->flushes != NULL) {
		/* Which keys go only the request knows, and it is gone by then. */
		redis_op_fail_later(name, op, ERR_UNSUPPORTED, "cannot flush some of its namespaces later");
		return (true);
	}
	timer_set(&l->timer, (uint64_t)s * 1000000);
	be_op_end_later(op, ERR_NONE, NULL);
	return (true);
}
