/*
 * redis_outcome.c - a reply as the outcome of an op: values, envelopes, what the scripts return, errors.
 */
#include "config.h"

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/redis_sweep.h"
#include "base/check.h"
#include "base/num.h"
#include "proto/envelope.h"

#define SINK_IOVS	16
#define RESULT_LEN	34		/* what redis.lua's answer() puts before the text */
#define RESULT_BADVALUE	5		/* behind enum op_status */
#define RESULT_ENCODED	6
#define CLS		1		/* Redis has no classes of sizes */

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

static void
redis_why(char why[REDIS_WHY_MAX], const char *name, const char *fmt, va_list ap)
{
	int n = snprintf(why, REDIS_WHY_MAX, "%.*s ", REDIS_WHY_MAX / 2, name);

	vsnprintf(why + n, REDIS_WHY_MAX - (size_t)n, fmt, ap);
	/* It goes into a line of the client's. */
	for (char *p = why; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

void
redis_op_fail(const char *name, struct be_op *op, enum err err, const char *fmt, ...)
{
	char why[REDIS_WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	redis_why(why, name, fmt, ap);
	va_end(ap);
	op->err = err;
	op->why = why;
	be_op_end(op);
}

void
redis_op_fail_later(const char *name, struct be_op *op, enum err err, const char *fmt, ...)
{
	char *why = malloc(REDIS_WHY_MAX);
	va_list ap;

	if (why == NULL) {
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	va_start(ap, fmt);
	redis_why(why, name, fmt, ap);
	va_end(ap);
	free(op->priv);
	op->priv = why;		/* be_op_end() frees it */
	be_op_end_later(op, err, why);
}

static void
redis_no_memory(struct be_op *op)
{
	op->err = ERR_NOMEM;
	op->why = err_text(ERR_NOMEM);
}

void
redis_bad_value(struct redis_conn *c, struct be_op *op)
{
	redis_op_fail(c->node->name, op, ERR_BADVALUE, "holds a value that kvgate did not write (format = item)");
}

/* ---- values ---- */

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
	if (LIKELY(value.len <= REDIS_HOLD))
		op->data = value;
	else if (op->sink == NULL)
		redis_no_memory(op);
	else
		redis_sink_copy(op, value);
}

/* Whole seconds that are left of milliseconds, as memcached's clock would have them. */
static int32_t
redis_seconds(int64_t ms)
{
	if (ms <= 0)
		return (0);
	ms = (ms + 999) / 1000;
	return (ms > INT32_MAX ? INT32_MAX : (int32_t)ms);
}

enum item_rc { ITEM_HIT, ITEM_MISS, ITEM_BAD };

/* An item's head into res. */
static enum item_rc
redis_item(const struct redis_conn *c, struct slice item, struct op_result *res, struct envelope *e,
    struct slice *value)
{
	int64_t ms;

	if (!envelope_get(item, e, value))
		return (ITEM_BAD);
	res->status = OP_MISS;
	if (UNLIKELY((e->marks & ENVELOPE_DEAD) != 0))
		return (ITEM_MISS);
	res->ttl = OP_TTL_NONE;
	if (e->expiry != 0) {
		ms = (int64_t)(e->expiry - redis_node_time(c->node) / 1000);
		if (UNLIKELY(ms <= 0)) {
			res->bits = OPR_EXPIRED;
			return (ITEM_MISS);
		}
		res->ttl = redis_seconds(ms);
	}
	res->status = OP_OK;
	res->bits = (uint8_t)(((e->marks & ENVELOPE_FETCHED) != 0 ? OPR_FETCHED : 0) |
	    ((e->marks & ENVELOPE_BINKEY) != 0 ? OPR_BINKEY : 0) |
	    ((e->marks & ENVELOPE_STALE) != 0 ? OPR_STALE : 0) |
	    ((e->marks & ENVELOPE_WON) != 0 ? OPR_SENT : 0) |
	    (e->codec != CODEC_NONE || e->chunks != 0 ? OPR_ENCODED : 0));
	res->client_flags = e->client_flags;
	res->cas = e->version;
	res->size = (uint32_t)value->len;
	return (ITEM_HIT);
}

/* ---- outcomes ---- */

/* The item is stale and nobody has been told to renew it: this client is, by a script, so that no other is. */
static void
redis_take_win(struct redis_conn *c, struct slice key, size_t item_len, struct be_op *op)
{
	size_t max = redis_put_max(op) + 5 * key.len;
	struct redis_cmd cmd;
	char *room, copy[REDIS_NAME_MAX];

	/* What is put may move what the key is a part of. */
	MUST(key.len <= sizeof copy);
	if (key.len > 0)
		memcpy(copy, key.p, key.len);
	room = redis_conn_room(c, max);
	if (room == NULL) {
		redis_no_memory(op);
		be_op_end(op);
		return;
	}
	redis_put_win(room, op, slice_of(copy, key.len), item_len, c->node->scripts, &cmd);
	if (!redis_conn_put(c, op, &cmd, room, NULL))
		be_op_end_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
}

/* Whether a record or range delete is newer than the item. */
static bool
redis_is_covered(const struct redis_conn *c, const struct redis_slot *s, const struct envelope *e)
{
	struct stamp own;

	if (s->cmd.want != RW_COVERED || c->covered == COVER_NONE)
		return (false);
	own = stamp_of(e->version, e->nonce);
	return (stamp_cmp(&own, &c->cover) < 0);
}

bool
redis_outcome_item(struct redis_conn *c, const struct redis_slot *s, const struct redis_obj *o)
{
	struct be_op *op = s->op;
	struct envelope *e;
	enum item_rc rc = ITEM_MISS;
	struct slice value;

	if (o->type != REDIS_REPLY_STRING && o->type != REDIS_REPLY_NIL)
		return (false);
	if (op == NULL)
		return (true);
	op->res.status = OP_MISS;
	e = &op->found_head;
	e->marks = 0;
	if (o->type == REDIS_REPLY_STRING)
		rc = redis_item(c, o->text, &op->res, e, &value);
	if (UNLIKELY(s->cmd.want == RW_COVERED && c->covered == COVER_BAD))
		rc = ITEM_BAD;
	if (UNLIKELY(rc == ITEM_BAD)) {
		redis_bad_value(c, op);
		return (true);
	}
	if (UNLIKELY(rc == ITEM_HIT && redis_is_covered(c, s, e))) {
		op->res = (struct op_result){ .status = OP_MISS, .ttl = OP_TTL_NONE };
		be_op_end(op);
		return (true);
	}
	if (UNLIKELY((e->marks & (ENVELOPE_STALE | ENVELOPE_WON)) == ENVELOPE_STALE) &&
	    (op->op.opts & OPF_CLASSIC) == 0) {
		redis_take_win(c, slice_of(redis_sent_at(c, s->at + s->cmd.key_at), s->cmd.key_len),
		    s->cmd.item_len, op);
		return (true);
	}
	if (rc == ITEM_HIT)
		redis_value(op, value);
	be_op_end(op);
	return (true);
}

static bool
redis_outcome_raw(struct be_op *op, const struct redis_obj *o)
{
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

/* One value of many. */
void
redis_outcome_key(struct redis_conn *c, struct be_op *op, uint32_t at, const struct redis_obj *o)
{
	struct slice value = o->text;

	op->at = at;
	if (o->type == REDIS_REPLY_NIL || op->err != ERR_NONE)
		return;
	memset(&op->res, 0, sizeof op->res);
	op->res.size = (uint32_t)value.len;
	if (op->format == FORMAT_ITEM)
		switch (redis_item(c, o->text, &op->res, &op->found_head, &value)) {
		case ITEM_BAD:
			op->err = ERR_BADVALUE;
			return;
		case ITEM_MISS:
			return;
		case ITEM_HIT:
			break;
		}
	redis_value(op, value);
	if (op->err == ERR_NONE)
		op->found(op);
}

void
redis_outcome_keys_end(struct redis_conn *c, struct be_op *op)
{
	if (op->err == ERR_BADVALUE) {
		redis_bad_value(c, op);
		return;
	}
	memset(&op->res, 0, sizeof op->res);
	op->data = SLICE_NULL;
	be_op_end(op);
}

/* ---- what scripts return ---- */

/* False: it is nothing that a script of ours returns. */
static bool
redis_result(struct slice r, struct op_result *res, struct slice *text)
{
	const char *p = r.p;

	if (r.len < RESULT_LEN || (unsigned char)p[0] > RESULT_ENCODED)
		return (false);
	memset(res, 0, sizeof *res);
	res->status = (uint8_t)p[0];
	res->bits = (uint8_t)p[1];
	res->client_flags = (uint32_t)num_get_be(p + 2, 4);
	res->ttl = (int32_t)num_get_be(p + 6, 4);
	res->cas = num_get_be(p + 10, 8);
	res->number = num_get_be(p + 18, 8);
	res->size = (uint32_t)num_get_be(p + 26, 4);
	res->la = (uint32_t)num_get_be(p + 30, 4);
	*text = slice_of(p + RESULT_LEN, r.len - RESULT_LEN);
	return (true);
}

/* me: the text after the key. */
static void
redis_debug(struct be_op *op, char *buf, size_t len)
{
	struct op_result *res = &op->res;
	int n = snprintf(buf, len, "exp=%d la=%u cas=%llu fetch=%s cls=%d size=%u", (int)res->ttl, res->la,
	    (unsigned long long)res->cas, (res->bits & OPR_FETCHED) != 0 ? "yes" : "no", CLS, res->size);

	res->error = slice_of(buf, n < 0 ? 0 : (size_t)n < len ? (size_t)n : len - 1);
}

/* A write of a record: what it leaves behind. */
static void
redis_outcome_record(struct redis_conn *c, const struct redis_slot *s, const struct be_op *op, struct slice orphans)
{
	struct slice base = redis_is_record(op) ? redis_sent_base(c, s) : SLICE_NULL;

	if (base.p == NULL)
		base = slice_of(redis_sent_at(c, s->at + s->cmd.key_at), s->cmd.key_len);
	if (orphans.len > 0)
		be_stat_add(&c->node->stats->orphans,
		    redis_sweep_pieces(c->node->sweeper, op, base, orphans));
	if (op->op.verb == OP_ITEMS_DELETE && op->res.number != 0)
		redis_sweep_want(c->node->sweeper, op->ns, redis_sent_base(c, s), SLICE_LIT(""));
}

static bool
redis_outcome_result(struct redis_conn *c, const struct redis_slot *s, const struct redis_obj *o)
{
	struct be_op *op = s->op;
	struct op_result unwanted;
	struct slice text;
	char buf[200];

	if (o->type != REDIS_REPLY_STRING || !redis_result(o->text, op != NULL ? &op->res : &unwanted, &text))
		return (false);
	if (op == NULL)
		return (true);
	switch (op->res.status) {
	case RESULT_BADVALUE:
		redis_bad_value(c, op);
		return (true);
	case RESULT_ENCODED:
		op->res.status = OP_ERROR;
		op->res.error = SLICE_LIT("SERVER_ERROR the value is encoded");
		break;
	case OP_ERROR:
		op->res.error = text;
		break;
	case OP_OK:
		if (op->op.verb >= OP_ITEMS_READ)
			redis_outcome_record(c, s, op, text);
		if (op->op.verb == OP_DEBUG)
			redis_debug(op, buf, sizeof buf);
		/* A write has taken the place of something in pieces, which are nobody's now. */
		if ((op->res.bits & OPR_ENCODED) != 0 && !envelope_get(text, &op->found_head, &text))
			return (false);
		if (op->op.verb != OP_GET) {
			if ((op->res.bits & OPR_ENCODED) != 0)
				be_stat_add(&c->node->stats->orphans, op->found_head.chunks);
			break;
		}
		if ((op->op.want & OPW_VALUE) == 0)
			break;
		if (text.len != op->res.size)
			return (false);
		redis_value(op, text);
		break;
	default:
		break;
	}
	be_op_end(op);
	return (true);
}

static bool
redis_outcome_stored(struct be_op *op, const struct redis_obj *o)
{
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
redis_outcome_count(struct be_op *op, const struct redis_obj *o)
{
	if (o->type != REDIS_REPLY_INTEGER)
		return (false);
	if (op == NULL)
		return (true);
	op->res.status = o->number > 0 ? OP_OK : OP_MISS;
	be_op_end(op);
	return (true);
}

bool
redis_outcome(struct redis_conn *c, const struct redis_slot *s, const struct redis_obj *o)
{
	switch (s->cmd.want) {
	case RW_ITEM:
		return (redis_outcome_item(c, s, o));
	case RW_RAW:
		return (redis_outcome_raw(s->op, o));
	case RW_RESULT:
		return (redis_outcome_result(c, s, o));
	case RW_STORED:
		return (redis_outcome_stored(s->op, o));
	case RW_COUNT:
		return (redis_outcome_count(s->op, o));
	case RW_FLUSHED:
		if (s->op != NULL)
			be_op_end(s->op);
		return (true);
	case RW_DROP:
		return (true);
	default:
		return (false);		/* an array was due */
	}
}
