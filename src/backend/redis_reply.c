/*
 * redis_reply.c - what Redis answers, object by object, to whom it belongs.
 *
 * hiredis' reader calls us for each object of a reply while its bytes lie in the reader's buffer. A reply to an op is
 * handled there and then (redis_outcome.c), without a copy and without memory: a value goes from the reader's buffer to
 * where the caller wants it. Only what is seldom and branches, like the slots of a cluster, is built as hiredis' tree
 * and given to redis_reply_tree().
 *
 * A reply belongs to the oldest slot and must fit it, else the connection is given up: after one wrong answer all that
 * follow would be handed to the wrong clients.
 */
#include "config.h"

#include <hiredis/async.h>

#include "backend/redis.h"
#include "base/check.h"

/* What an object is to hiredis that we have handled ourselves. */
static redisReply handled = { .type = REDIS_REPLY_STATUS };

static bool
redis_rubbish(struct redis_conn *c, const char *what, struct slice text)
{
	if (c->doom == ERR_NONE)
		redis_node_say(c->node, what, text.p, text.len);
	redis_conn_doom(c, ERR_PROTOCOL, NULL);
	return (false);
}

static bool
redis_misfit(struct redis_conn *c, struct slice text)
{
	return (redis_rubbish(c, "not an answer to what was asked", text));
}

/* ---- scripts that are gone ---- */

/*
 * NOSCRIPT: somebody has emptied the server's list. The op goes out again, with its script before it, when all that
 * was sent behind it has been answered: some of that may have been carried out, because somebody else has brought the
 * script back. A read among it that ought to have seen the op comes once more, too. If a write of the same record was
 * carried out, the op comes too late, and ends with what the server said.
 */
static bool
redis_redo(struct redis_conn *c, const struct redis_slot *s, struct slice text)
{
	struct redis_cmd cmd = s->cmd;

	if (LIKELY(!slice_has_prefix(text, SLICE_LIT("NOSCRIPT"))) || s->op == NULL || cmd.tries > 1 ||
	    cmd.script == RS_NONE)
		return (false);
	c->known = 0;
	if (!c->redo) {
		c->redo = c->n > 0;
		c->redo_from = c->head + c->n;
		be_loop_dirty(c->node->bl, &c->dirty);
	}
	cmd.tries++;
	redis_wait_redo(c, s->op, &cmd, redis_sent_at(c, s->at));
	return (true);
}

/* A read behind a write that is to be repeated: its answer is dropped. */
static void
redis_reread(struct redis_conn *c)
{
	struct redis_slot *s = redis_slot(c, c->head);
	struct be_op *op = s->op;

	if (op == NULL || !s->cmd.read || !redis_redo_meets(c, op))
		return;
	s->op = NULL;
	c->nops--;
	redis_wait_redo(c, op, &s->cmd, redis_sent_at(c, s->at));
}

/* ---- whole replies ---- */

static void
redis_error(struct redis_conn *c, const struct redis_slot *s, struct slice text)
{
	c->node->strays += s->op == NULL;
	if (s->op == NULL || redis_redo(c, s, text) ||
	    redis_node_offer(c->node, s->op, &s->cmd, redis_sent_at(c, s->at), ERR_NONE, text))
		return;
	/* A script's word for marks that are none. */
	if (memmem(text.p, text.len, "BADMARKS", 8) != NULL) {
		redis_bad_value(c, s->op);
		return;
	}
	redis_op_fail(c->node->name, s->op, redis_error_kind(text), "says %.*s", (int)(text.len < 200 ? text.len : 200), text.p);
}

/* A whole reply that is no array. False: the connection is given up. */
static bool
redis_take(struct redis_conn *c, const struct redis_obj *o)
{
	struct redis_slot s;
	bool good = true, redo = c->redo;

	if (UNLIKELY(redo) && o->type != REDIS_REPLY_ERROR)
		redis_reread(c);
	redis_pop(c, &s);
	if (UNLIKELY(redo) && o->type != REDIS_REPLY_ERROR && s.op != NULL && !s.cmd.read)
		redis_redo_passed(c, s.op);
	if (UNLIKELY(o->type == REDIS_REPLY_ERROR))
		redis_error(c, &s, o->text);
	else if (UNLIKELY(!redis_outcome(c, &s, o))) {
		good = redis_misfit(c, o->text);
		if (s.op != NULL)
			redis_op_fail(c->node->name, s.op, ERR_PROTOCOL, "%s", err_text(ERR_PROTOCOL));
	}
	redis_popped(c, &s);
	return (good);
}

void
redis_reply_tree(struct redis_conn *c, const struct redisReply *r)
{
	struct redis_slot s;

	redis_pop(c, &s);
	if (s.control != NULL)
		s.control(c, r, s.sent_at);
	else if (r->type == REDIS_REPLY_ERROR)
		redis_error(c, &s, slice_of(r->str, (size_t)r->len));
	else if (s.op != NULL && s.cmd.want == RW_TREE) {
		c->node->ops->tree(c->node, s.op, r);
		be_op_end(s.op);
	} else if (s.op != NULL)
		redis_flush_step(c, &s, r);
	redis_popped(c, &s);
}

/* ---- arrays ---- */

/* Whether an array of n is due. */
static bool
redis_array_fits(struct redis_conn *c, const struct redis_slot *s, size_t n)
{
	switch (s->cmd.want) {
	case RW_KEYS:
		return (n == s->nkeys && n > 0);
	case RW_COVERED:
		return (n == 2);
	case RW_ITEMS:
	case RW_SCANNED:
		return (redis_items_begin(c, s, n));
	default:
		return (false);
	}
}

static bool
redis_array_begin(struct redis_conn *c, size_t n)
{
	if (!redis_array_fits(c, redis_slot(c, c->head), n))
		return (false);
	if (UNLIKELY(c->redo))
		redis_reread(c);
	return (true);
}

static bool
redis_keys_next(struct redis_conn *c, const redisReadTask *t, const struct redis_obj *o)
{
	struct redis_slot *s = redis_slot(c, c->head), last;

	if (o->type != REDIS_REPLY_STRING && o->type != REDIS_REPLY_NIL)
		return (redis_misfit(c, o->text));
	if (s->op != NULL)
		redis_outcome_key(c, s->op, (uint32_t)t->idx, o);
	if ((uint32_t)t->idx + 1 < s->nkeys)
		return (true);
	redis_pop(c, &last);
	if (last.op != NULL)
		redis_outcome_keys_end(c, last.op);
	redis_popped(c, &last);
	return (true);
}

/* The marks of a record and an item of it. */
static bool
redis_covered_next(struct redis_conn *c, const redisReadTask *t, const struct redis_obj *o)
{
	struct redis_slot *s = redis_slot(c, c->head), last;
	const char *key = redis_sent_at(c, s->at + s->cmd.key_at);
	bool good;

	if (o->type != REDIS_REPLY_STRING && o->type != REDIS_REPLY_NIL)
		return (redis_misfit(c, o->text));
	if (t->idx == 0) {
		c->covered = o->type != REDIS_REPLY_STRING ? COVER_NONE : redis_marks_find(o->text,
		    slice_of(key + s->cmd.key_len - s->cmd.item_len, s->cmd.item_len), &c->cover);
		return (true);
	}
	redis_pop(c, &last);
	good = redis_outcome_item(c, &last, o);
	redis_popped(c, &last);
	return (good);
}

/* Items of records. */
static bool
redis_rows_next(struct redis_conn *c, const redisReadTask *t, const struct redis_obj *o)
{
	struct redis_slot *s = redis_slot(c, c->head), last;
	bool good;

	if ((uint32_t)t->idx + 1 < c->row->count)
		return (redis_items_next(c, s->op, s, (size_t)t->idx, o) || redis_misfit(c, o->text));
	redis_pop(c, &last);
	good = redis_items_next(c, last.op, &last, (size_t)t->idx, o);
	if (!good && last.op != NULL)
		redis_op_fail(c->node->name, last.op, ERR_PROTOCOL, "%s", err_text(ERR_PROTOCOL));
	redis_popped(c, &last);
	return (good || redis_misfit(c, o->text));
}

static bool
redis_element(struct redis_conn *c, const redisReadTask *t, const struct redis_obj *o)
{
	if (t->parent->parent != NULL)
		return (redis_misfit(c, o->text));
	switch (redis_slot(c, c->head)->cmd.want) {
	case RW_KEYS:
		return (redis_keys_next(c, t, o));
	case RW_COVERED:
		return (redis_covered_next(c, t, o));
	default:
		return (redis_rows_next(c, t, o));
	}
}

/* ---- hiredis ---- */

static const redisReplyObjectFunctions *
redis_trees(const struct redis_conn *c)
{
	return (c->fn);
}

static size_t
redis_digits(uint64_t n)
{
	size_t digits = 1;

	for (; n >= 10; n /= 10)
		digits++;
	return (digits);
}

/* Whether the object may come; size: its bytes. */
static bool
redis_begins(struct redis_conn *c, const redisReadTask *t, size_t size, struct slice text)
{
	c->taken += size;
	if (UNLIKELY(c->doom != ERR_NONE))
		return (false);
	if (t->parent != NULL)
		return (true);
	if (UNLIKELY(c->n == 0))
		return (redis_rubbish(c, "bytes that nobody asked for", text));
	c->elements = 0;
	c->tree = redis_slot(c, c->head)->cmd.want >= RW_SCAN;
	return (true);
}

static void *
redis_object(struct redis_conn *c, const redisReadTask *t, const struct redis_obj *o)
{
	if (LIKELY(t->parent == NULL))
		return (redis_take(c, o) ? &handled : NULL);
	return (redis_element(c, t, o) ? &handled : NULL);
}

static void *
redis_string(const redisReadTask *t, char *p, size_t len)
{
	struct redis_conn *c = t->privdata;
	struct redis_obj o = { .type = t->type, .text = { p, len } };
	bool bulk = t->type == REDIS_REPLY_STRING;

	if (!redis_begins(c, t, len + (bulk ? redis_digits(len) + 5 : 3), o.text))
		return (NULL);
	if (bulk && UNLIKELY(p[len] != '\r' || p[len + 1] != '\n')) {
		(void)redis_rubbish(c, "not the end of a string", slice_of(p + len, 2));
		return (NULL);
	}
	if (UNLIKELY(c->tree))
		return (redis_trees(c)->createString(t, p, len));
	return (redis_object(c, t, &o));
}

static void *
redis_array_of(const redisReadTask *t, size_t n)
{
	struct redis_conn *c = t->privdata;

	if (!redis_begins(c, t, redis_digits(n) + 3, SLICE_NULL))
		return (NULL);
	if (c->tree && t->type == REDIS_REPLY_ARRAY && n <= REDIS_ELEMENTS_MAX - c->elements) {
		c->elements += (uint32_t)n;
		return (redis_trees(c)->createArray(t, (int)n));
	}
	if (!c->tree && t->parent == NULL && t->type == REDIS_REPLY_ARRAY && redis_array_begin(c, n))
		return (&handled);
	(void)redis_misfit(c, SLICE_NULL);
	return (NULL);
}

#if HIREDIS_MAJOR >= 1
static void *
redis_array(const redisReadTask *t, size_t n)
{
	return (redis_array_of(t, n));
}

/* RESP3, which was not asked for. */
static void *
redis_double(const redisReadTask *t, double d, char *p, size_t len)
{
	(void)d;
	(void)redis_misfit(t->privdata, slice_of(p, len));
	return (NULL);
}

static void *
redis_bool(const redisReadTask *t, int b)
{
	(void)b;
	(void)redis_misfit(t->privdata, SLICE_NULL);
	return (NULL);
}
#else
static void *
redis_array(const redisReadTask *t, int n)
{
	return (redis_array_of(t, (size_t)n));
}
#endif

static void *
redis_integer(const redisReadTask *t, long long n)
{
	struct redis_conn *c = t->privdata;
	struct redis_obj o = { .type = REDIS_REPLY_INTEGER, .number = n };
	size_t size = 3 + (n < 0 ? 1 + redis_digits(0 - (uint64_t)n) : redis_digits((uint64_t)n));

	if (!redis_begins(c, t, size, SLICE_NULL))
		return (NULL);
	return (c->tree ? redis_trees(c)->createInteger(t, n) : redis_object(c, t, &o));
}

static void *
redis_nil(const redisReadTask *t)
{
	struct redis_conn *c = t->privdata;
	struct redis_obj o = { .type = REDIS_REPLY_NIL };

	if (!redis_begins(c, t, 5, SLICE_NULL))
		return (NULL);
	if (c->tree)
		return (redis_trees(c)->createNil(t));
	/* An array that is none, or RESP3's. */
	if (t->type != REDIS_REPLY_STRING) {
		(void)redis_misfit(c, SLICE_NULL);
		return (NULL);
	}
	return (redis_object(c, t, &o));
}

static void
redis_free_object(void *obj)
{
	if (obj != &handled)
		freeReplyObject(obj);
}

static redisReplyObjectFunctions functions = {
	.createString = redis_string,
	.createArray = redis_array,
	.createInteger = redis_integer,
#if HIREDIS_MAJOR >= 1
	.createDouble = redis_double,
	.createBool = redis_bool,
#endif
	.createNil = redis_nil,
	.freeObject = redis_free_object,
};

void
redis_reply_attach(struct redis_conn *c)
{
	redisReader *r = c->ac->c.reader;

	c->fn = r->fn;
	r->fn = &functions;
	r->privdata = c;
}
