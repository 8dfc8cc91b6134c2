/*
 * redis_reply.c - what Redis answers.
 *
 * hiredis' reader calls us for each object of a reply while its bytes lie in the reader's buffer. A reply to an op is
 * handled there and then, without a copy and without memory: a value goes from the reader's buffer to where the caller
 * wants it. Only what is seldom and branches, like the slots of a cluster, is built as hiredis' tree and given to
 * redis_reply_tree().
 *
 * A reply belongs to the oldest slot and must fit it, else the connection is given up: after one wrong answer all that
 * follow would be handed to the wrong clients.
 */
#include "config.h"

#include <hiredis/async.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/redis.h"
#include "base/check.h"
#include "base/num.h"
#include "obs/log.h"

#define SINK_IOVS	16

/* What an object is to hiredis that we have handled ourselves. */
static redisReply handled = { .type = REDIS_REPLY_STATUS };

struct obj {
	int		 type;		/* REDIS_REPLY_* */
	long long	 number;
	struct slice	 text;
};

/* ---- errors ---- */

static const struct {
	const char	*word;
	enum err	 err;
} kinds[] = {
	{ "LOADING", ERR_LOADING },
	{ "MASTERDOWN", ERR_LOADING },
	{ "OOM", ERR_OOM },
	{ "READONLY", ERR_READONLY },
	{ "MISCONF", ERR_READONLY },
	{ "NOREPLICAS", ERR_READONLY },
	{ "NOAUTH", ERR_AUTH },
	{ "WRONGPASS", ERR_AUTH },
	{ "NOPERM", ERR_AUTH },
	{ "WRONGTYPE", ERR_BADVALUE },
	{ "BUSY", ERR_BUSY },
};

enum err
redis_error_kind(struct slice text)
{
	size_t n = 0;

	while (n < text.len && text.p[n] != ' ')
		n++;
	for (size_t i = 0; i < NITEMS(kinds); i++)
		if (slice_eq_str(slice_of(text.p, n), kinds[i].word))
			return (kinds[i].err);
	return (ERR_REFUSED);
}

void
redis_op_fail(struct redis_conn *c, struct be_op *op, enum err err, const char *fmt, ...)
{
	char why[REDIS_WHY_MAX];
	va_list ap;
	int n;

	n = snprintf(why, sizeof why, "%s ", c->node->name);
	va_start(ap, fmt);
	if (n > 0 && (size_t)n < sizeof why)
		vsnprintf(why + n, sizeof why - (size_t)n, fmt, ap);
	va_end(ap);
	/* It goes into a line of the client's. */
	for (char *p = why; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	op->err = err;
	op->why = why;
	be_op_end(op);
}

static void
redis_op_refused(struct redis_conn *c, const struct redis_slot *s, struct slice text)
{
	if (s->op == NULL || redis_node_offer(c->node, s->op, &s->cmd, redis_sent_at(c, s->at), ERR_NONE, text))
		return;
	redis_op_fail(c, s->op, redis_error_kind(text), "says %.*s", (int)(text.len < 200 ? text.len : 200), text.p);
}

/* ---- values ---- */

static void
redis_no_memory(struct be_op *op)
{
	op->err = ERR_NOMEM;
	op->why = err_text(ERR_NOMEM);
}

static void
redis_sink_copy(struct be_op *op, struct slice value)
{
	struct iovec iov[SINK_IOVS];
	uint32_t off = 0;

	while (off < value.len) {
		int n = op->sink->iov(op, &op->res, off, iov, SINK_IOVS);

		if (n == 0) {
			redis_no_memory(op);
			return;
		}
		for (int i = 0; i < n && off < value.len; i++) {
			size_t m = iov[i].iov_len < value.len - off ? iov[i].iov_len : value.len - off;

			memcpy(iov[i].iov_base, value.p + off, m);
			off += (uint32_t)m;
		}
	}
}

/* Where the value goes; res is set. */
static void
redis_value(struct be_op *op, struct slice value)
{
	op->data = SLICE_NULL;
	if ((op->op.want & OPW_VALUE) == 0)
		return;
	if (value.len <= REDIS_HOLD)
		op->data = value;
	else if (op->sink == NULL)
		redis_no_memory(op);
	else
		redis_sink_copy(op, value);
}

/* ---- replies ---- */

/* False: it does not fit what was asked. */
static bool
redis_take_raw(struct redis_conn *c, const struct redis_slot *s, const struct obj *o)
{
	struct be_op *op = s->op;

	(void)c;
	if (o->type != REDIS_REPLY_STRING && o->type != REDIS_REPLY_NIL)
		return (false);
	if (op == NULL)
		return (true);
	op->res.status = o->type == REDIS_REPLY_NIL ? OP_MISS : OP_OK;
	op->res.size = (uint32_t)o->text.len;
	if (op->res.status == OP_OK)
		redis_value(op, o->text);
	be_op_end(op);
	return (true);
}

static bool
redis_take_stored(struct redis_conn *c, const struct redis_slot *s, const struct obj *o)
{
	struct be_op *op = s->op;

	(void)c;
	if (o->type != REDIS_REPLY_STATUS && o->type != REDIS_REPLY_NIL)
		return (false);
	if (op == NULL)
		return (true);
	op->res.status = o->type == REDIS_REPLY_NIL ? OP_NOT_STORED : OP_OK;
	op->res.size = op->op.vlen;
	be_op_end(op);
	return (true);
}

static bool
redis_take_flushed(struct redis_conn *c, const struct redis_slot *s, const struct obj *o)
{
	(void)c;
	(void)o;
	if (s->op != NULL)
		be_op_end(s->op);
	return (true);
}

static bool
redis_take_drop(struct redis_conn *c, const struct redis_slot *s, const struct obj *o)
{
	(void)c;
	(void)s;
	(void)o;
	return (true);
}

typedef bool redis_take_f(struct redis_conn *, const struct redis_slot *, const struct obj *);
static redis_take_f *const takes[] = {
	[RW_DROP] = redis_take_drop,
	[RW_ITEM] = redis_take_raw,
	[RW_RAW] = redis_take_raw,
	[RW_KEYS] = NULL,
	[RW_RESULT] = redis_take_raw,
	[RW_STORED] = redis_take_stored,
	[RW_COUNT] = redis_take_stored,
	[RW_FLUSHED] = redis_take_flushed,
};

static bool
redis_rubbish(struct redis_conn *c, const char *what, struct slice text)
{
	redis_node_say(c->node, what, text.p, text.len);
	redis_conn_doom(c, ERR_PROTOCOL, NULL);
	return (false);
}

/* A whole reply that is no array. */
static bool
redis_take(struct redis_conn *c, const struct obj *o)
{
	struct redis_slot s;
	bool good = true;

	redis_pop(c, &s);
	if (UNLIKELY(o->type == REDIS_REPLY_ERROR))
		redis_op_refused(c, &s, o->text);
	else
		good = takes[s.cmd.want] != NULL && takes[s.cmd.want](c, &s, o);
	if (UNLIKELY(!good)) {
		(void)redis_rubbish(c, "not an answer to what was asked", o->text);
		if (s.op != NULL)
			redis_op_fail(c, s.op, ERR_PROTOCOL, "%s", err_text(ERR_PROTOCOL));
	}
	redis_popped(c, &s);
	return (good);
}

/* ---- hiredis ---- */

/* The first object of a reply. False: nobody asked for it. */
static bool
redis_begins(struct redis_conn *c, struct slice text)
{
	if (UNLIKELY(c->doom != ERR_NONE))
		return (false);
	if (UNLIKELY(c->n == 0))
		return (redis_rubbish(c, "bytes that nobody asked for", text));
	c->elements = 0;
	c->tree = redis_slot(c, c->head)->cmd.want >= RW_SCAN;
	return (true);
}

static size_t
redis_digits(uint64_t n)
{
	char digits[NUM_U64_MAXLEN];

	return ((size_t)(num_put_u64(digits, n) - digits));
}

static bool
redis_counts(struct redis_conn *c, size_t n)
{
	if (n > REDIS_ELEMENTS_MAX - c->elements)
		return (redis_rubbish(c, "too large an answer", SLICE_NULL));
	c->elements += (uint32_t)n;
	return (true);
}

static const redisReplyObjectFunctions *
redis_trees(const struct redis_conn *c)
{
	return (c->fn);
}

static void *
redis_string(const redisReadTask *t, char *p, size_t len)
{
	struct redis_conn *c = t->privdata;
	struct obj o = { .type = t->type, .text = { p, len } };

	c->taken += len + (t->type == REDIS_REPLY_STRING ? redis_digits(len) + 5 : 3);
	if (t->parent == NULL && !redis_begins(c, o.text))
		return (NULL);
	if (t->type == REDIS_REPLY_STRING && (p[len] != '\r' || p[len + 1] != '\n')) {
		(void)redis_rubbish(c, "not the end of a string", slice_of(p + len, 2));
		return (NULL);
	}
	if (c->tree)
		return (redis_trees(c)->createString(t, p, len));
	if (t->parent != NULL || (t->type != REDIS_REPLY_STRING && t->type != REDIS_REPLY_STATUS &&
	    t->type != REDIS_REPLY_ERROR))
		return (NULL);
	return (redis_take(c, &o) ? &handled : NULL);
}

static void *
redis_array_of(const redisReadTask *t, size_t n)
{
	struct redis_conn *c = t->privdata;

	c->taken += redis_digits(n) + 3;
	if ((t->parent == NULL && !redis_begins(c, SLICE_NULL)) || !redis_counts(c, n))
		return (NULL);
	if (c->tree && t->type == REDIS_REPLY_ARRAY)
		return (redis_trees(c)->createArray(t, (int)n));
	(void)redis_rubbish(c, "not an answer to what was asked", SLICE_NULL);
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
	(void)redis_rubbish(t->privdata, "not an answer to what was asked", slice_of(p, len));
	return (NULL);
}

static void *
redis_bool(const redisReadTask *t, int b)
{
	(void)b;
	(void)redis_rubbish(t->privdata, "not an answer to what was asked", SLICE_NULL);
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
	struct obj o = { .type = REDIS_REPLY_INTEGER, .number = n };

	c->taken += 3 + (n < 0 ? 1 + redis_digits(0 - (uint64_t)n) : redis_digits((uint64_t)n));
	if (t->parent == NULL && !redis_begins(c, SLICE_NULL))
		return (NULL);
	if (c->tree)
		return (redis_trees(c)->createInteger(t, n));
	return (t->parent == NULL && redis_take(c, &o) ? &handled : NULL);
}

static void *
redis_nil(const redisReadTask *t)
{
	struct redis_conn *c = t->privdata;
	struct obj o = { .type = REDIS_REPLY_NIL };

	c->taken += 5;
	if (t->parent == NULL && !redis_begins(c, SLICE_NULL))
		return (NULL);
	if (c->tree)
		return (redis_trees(c)->createNil(t));
	return (t->parent == NULL && redis_take(c, &o) ? &handled : NULL);
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

void
redis_reply_tree(struct redis_conn *c, const struct redisReply *r)
{
	struct redis_slot s;

	redis_pop(c, &s);
	if (s.control != NULL)
		s.control(c, r, s.sent_at);
	else if (r->type == REDIS_REPLY_ERROR)
		redis_op_refused(c, &s, slice_of(r->str, (size_t)r->len));
	else if (s.op != NULL && s.cmd.want == RW_TREE) {
		c->node->ops->tree(c->node, s.op, r);
		be_op_end(s.op);
	}
	redis_popped(c, &s);
}
