/*
 * redis_put_record.c - ops on records into commands: all of them are scripts.
 *
 * Their first key is "{id}~", which is in the record's slot and never there: so Redis carries none of them out while the
 * slot moves from one node to another and the record is half here, half there. In a flat namespace, where a record is
 * one item with an empty key, it is that item's.
 */
#include "config.h"

#include <string.h>

#include "backend/redis.h"
#include "base/check.h"
#include "base/num.h"

#define WORD_MAX	(1 + NUM_U64_MAXLEN + 2 + 2)
#define ARGS_MAX	64
#define WORK_MAX	5000		/* rows that a script looks at: others wait meanwhile */
#define GUESS		100		/* of items that fit, if nobody knows */
#define GUESS_MAX	1000
#define USEC_PER_ROW	4		/* roughly, of a row that is looked at in vain */
#define SWEEP_ROWS	1000		/* of one sweep */

#define PAGE_VALUES	1
#define PAGE_REVERSE	2
#define PAGE_LISTED	4
#define PAGE_SCANS	8

enum { ERASE_KEYS = 1, ERASE_RANGE, ERASE_REST };

static char *
pack(char *p, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		*p++ = (char)(v >> (8 * bytes));
	return (p);
}

static char *
put_args(char *p, const char *args, const char *end)
{
	return (redis_put_word(p, slice_of(args, (size_t)(end - args))));
}

/* The first key, whose place is noted, and those behind it. */
static char *
put_keys(char *dst, char *p, const struct be_op *op, bool list, struct redis_cmd *cmd)
{
	char buf[REDIS_BASE_MAX], name[REDIS_NAME_MAX];
	struct slice base;

	if (!redis_is_record(op)) {
		cmd->key_len = (uint16_t)op->id.len;
		p = redis_put_word(p, op->id);
		cmd->key_at = (uint32_t)(p - dst) - 2 - cmd->key_len;
		return (p);
	}
	base = redis_name_base(buf, op->id);
	cmd->key_len = (uint16_t)(base.len + 1);
	p = redis_put_name(p, base, '~', SLICE_NULL);
	cmd->key_at = (uint32_t)(p - dst) - 2 - cmd->key_len;
	p = redis_put_name(p, base, '#', SLICE_NULL);
	p = redis_put_name(p, base, '!', SLICE_NULL);
	return (list ? redis_put_word(p, redis_name_list(name, base, op->ns)) : p);
}

static unsigned
nkeys(const struct be_op *op, bool list)
{
	return (!redis_is_record(op) ? 1 : list ? 4 : 3);
}

/* ---- which ---- */

/* What bounds and head come to; until with p NULL: no end. */
static void
range_of(const struct rec_which *w, char buf[REC_KEY_MAX], struct slice *from, struct slice *until)
{
	if (!markers_range(w, buf, from, until))
		*from = *until = SLICE_LIT("");
}

/* Whether a record that is one item with an empty key has something of it. */
static bool
takes_flat(const struct rec_which *w)
{
	return ((w->from.p == NULL || w->from.len == 0) && (w->until.p == NULL || w->until.len > 0) &&
	    (w->head.p == NULL || w->head.len == 0));
}

/* How many item keys are named; flat ones are empty. */
static uint32_t
listed(const struct be_op *op)
{
	const struct rec_which *w = &op->rec->which;
	uint32_t n = 0;

	if (redis_is_record(op))
		return (w->nkeys);
	if (w->nkeys == 0)
		return (takes_flat(w));
	for (uint32_t i = 0; i < w->nkeys; i++)
		n += w->keys[i].len == 0;
	return (n);
}

static char *
put_listed(char *p, const struct be_op *op)
{
	const struct rec_which *w = &op->rec->which;
	bool record = redis_is_record(op);

	if (!record && w->nkeys == 0)
		return (takes_flat(w) ? redis_put_word(p, SLICE_LIT("")) : p);
	for (uint32_t i = 0; i < w->nkeys; i++)
		if (record || w->keys[i].len == 0)
			p = redis_put_word(p, w->keys[i]);
	return (p);
}

static bool
is_listed(const struct be_op *op)
{
	return (op->rec->which.nkeys > 0 || !redis_is_record(op));
}

/* "[key", "(key", or all that there is on that side. */
static char *
put_bound(char *p, char kind, struct slice key, char none)
{
	if (key.p == NULL)
		return (redis_put_word(p, slice_of(&none, 1)));
	return (redis_put_name(p, SLICE_NULL, kind, key));
}

/* ---- pages ---- */

/* Rows until it has taken too long. */
static uint32_t
work_of(const struct be_op *op)
{
	const struct rec_op *rec = op->rec;
	uint64_t now, left;
	uint32_t most = rec->work_max == 0 || rec->work_max > WORK_MAX ? WORK_MAX : rec->work_max;

	if (rec->deadline == 0)
		return (most);
	now = loop_now(op->be->bl->loop);
	left = rec->deadline > now ? (rec->deadline - now) / USEC_PER_ROW : 0;
	return (left >= most ? most : left == 0 ? 1 : (uint32_t)left);
}

/* What an item costs beside its key and value. */
static uint32_t
cost_of_none(const struct rec_op *rec)
{
	struct rec_item it = { .id = SLICE_LIT(""), .key = SLICE_LIT(""), .value = SLICE_LIT("") };

	return (rec->cost == NULL ? 0 : rec->cost(rec, &it));
}

static char *
page_args(char *p, const struct be_op *op, unsigned flags)
{
	const struct rec_op *rec = op->rec;
	uint32_t guess = rec->guess == 0 ? GUESS : rec->guess > GUESS_MAX ? GUESS_MAX : rec->guess;

	p = pack(p, flags | (rec->values ? PAGE_VALUES : 0), 1);
	p = pack(p, rec->value_max, 4);
	p = pack(p, rec->items_max, 4);
	p = pack(p, rec->bytes_max, 8);
	p = pack(p, work_of(op), 4);
	p = pack(p, guess, 4);
	return (pack(p, cost_of_none(rec), 4));
}

/* The bounds of a page, as ZRANGEBYLEX takes them. */
static char *
put_bounds(char *p, const struct rec_op *rec)
{
	struct slice from, until, after = rec->after;
	char buf[REC_KEY_MAX];
	bool back = rec->which.reverse;

	range_of(&rec->which, buf, &from, &until);
	if (!back && after.p != NULL && slice_cmp(after, from) >= 0)
		p = put_bound(p, '(', after, '-');
	else
		p = put_bound(p, '[', from, '-');
	if (back && after.p != NULL && (until.p == NULL || slice_cmp(after, until) < 0))
		return (put_bound(p, '(', after, '+'));
	return (put_bound(p, '(', until, '+'));
}

static char *
put_read(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	const struct rec_op *rec = op->rec;
	unsigned keys = nkeys(op, false), words = is_listed(op) ? listed(op) : 2;
	char args[ARGS_MAX], *p = redis_put_evalsha(dst, keys + 1 + words, keys, &scripts[RS_READ]);

	cmd->want = RW_ITEMS;
	cmd->script = RS_READ;
	cmd->read = true;
	p = put_keys(dst, p, op, false, cmd);
	p = put_args(p, args, page_args(args, op, (is_listed(op) ? PAGE_LISTED : 0) |
	    (rec->which.reverse ? PAGE_REVERSE : 0)));
	return (is_listed(op) ? put_listed(p, op) : put_bounds(p, rec));
}

/* One slot's part of a scan: that of the op's id. */
static char *
put_step(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	const struct rec_op *rec = op->rec;
	char args[ARGS_MAX], buf[REDIS_BASE_MAX], name[REDIS_NAME_MAX], *p;
	struct slice base = redis_name_base(buf, op->id);

	cmd->want = RW_SCANNED;
	cmd->script = RS_SCAN;
	cmd->read = true;
	p = redis_put_evalsha(dst, 2 + 1 + (rec->after_id.p != NULL ? 2 : 0), 2, &scripts[RS_SCAN]);
	cmd->key_len = (uint16_t)(base.len + 1);
	p = redis_put_name(p, base, '~', SLICE_NULL);
	cmd->key_at = (uint32_t)(p - dst) - 2 - cmd->key_len;
	p = redis_put_word(p, redis_name_list(name, base, op->ns));
	p = put_args(p, args, page_args(args, op, PAGE_SCANS));
	if (rec->after_id.p == NULL)
		return (p);
	base = redis_name_base(buf, rec->after_id);
	p = redis_put_word(p, slice_of(base.p + 1, base.len - 2));
	return (redis_put_word(p, rec->after));
}

static char *
put_probe(char *dst, const struct be_op *op, struct redis_cmd *cmd)
{
	char buf[REDIS_BASE_MAX], name[REDIS_NAME_MAX];
	struct slice list = redis_name_list(name, redis_name_base(buf, op->id), op->ns);
	char *p = redis_put_word(redis_put_word(redis_put_head(dst, '*', 2), SLICE_LIT("ZCARD")), list);

	cmd->want = RW_COUNT;
	cmd->read = true;
	cmd->key_len = (uint16_t)list.len;
	cmd->key_at = (uint32_t)(p - dst) - 2 - cmd->key_len;
	return (p);
}

/* ---- writes ---- */

static char *
token_args(char *p, const struct be_op *op)
{
	static const uint8_t none[NONCE_LEN];

	p = pack(p, op->op.opts, 2);
	p = pack(p, op->version, 8);
	memcpy(p, (op->op.opts & OPF_TOKEN) != 0 ? op->nonce : none, NONCE_LEN);
	return (p + NONCE_LEN);
}

static char *
put_puts(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	uint64_t spare = (op->op.opts & OPF_TOKEN) != 0 && op->ns != NULL ? op->ns->delete_ttl / 1000 : 0;
	unsigned keys = nkeys(op, true);
	char args[ARGS_MAX], *p = redis_put_evalsha(dst, keys + 1 + 2 * op->rec->nputs, keys, &scripts[RS_PUT]), *a;

	cmd->want = RW_RESULT;
	cmd->script = RS_PUT;
	cmd->rest = op->rec->nputs;
	p = put_keys(dst, p, op, true, cmd);
	a = pack(token_args(args, op), spare > UINT32_MAX ? UINT32_MAX : spare, 4);
	return (put_args(p, args, a));
}

char *
redis_put_item_head(char dst[REDIS_PUT_MAX], const struct be_op *op, const struct rec_put *put)
{
	struct envelope e = put->head;
	char args[REDIS_PUT_MAX - 2 * WORD_MAX], head[ENVELOPE_LEN_MAX], *p, *end;

	MUST(put->key.len <= REC_KEY_MAX);
	if ((op->op.opts & OPF_TOKEN) != 0)
		memcpy(e.nonce, op->nonce, sizeof e.nonce);
	else
		memset(e.nonce, 0, sizeof e.nonce);
	end = envelope_put(head, &e);
	p = pack(args, e.expiry, 8);
	p = pack(p, e.client_flags, 4);
	p = pack(p, e.marks, 1);
	p = pack(p, e.codec, 1);
	p = pack(p, e.chunks != 0, 1);
	p = pack(p, put->key.len, 2);
	if (put->key.len > 0)
		memcpy(p, put->key.p, put->key.len);
	p += put->key.len;
	memcpy(p, head + ENVELOPE_LEN, (size_t)(end - head) - ENVELOPE_LEN);
	p += (end - head) - ENVELOPE_LEN;
	return (redis_put_head(put_args(dst, args, p), '$', put->len));
}

static char *
put_erase(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	struct slice from, until = SLICE_NULL;
	char args[ARGS_MAX], buf[REC_KEY_MAX], *p, *a;
	unsigned keys = nkeys(op, true), words;

	cmd->want = RW_RESULT;
	cmd->script = RS_ERASE;
	range_of(&op->rec->which, buf, &from, &until);
	words = is_listed(op) ? listed(op) : until.p != NULL ? 2 : 1;
	p = redis_put_evalsha(dst, keys + 1 + words, keys, &scripts[RS_ERASE]);
	p = put_keys(dst, p, op, true, cmd);
	a = pack(token_args(args, op), op->keep_dead, 4);
	p = put_args(p, args, pack(a, is_listed(op) ? ERASE_KEYS : until.p != NULL ? ERASE_RANGE : ERASE_REST, 1));
	if (is_listed(op))
		return (put_listed(p, op));
	p = redis_put_word(p, from);
	return (until.p != NULL ? redis_put_word(p, until) : p);
}

static char *
put_sweep(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	char digits[NUM_U64_MAXLEN], *p = redis_put_evalsha(dst, 4 + 2, 4, &scripts[RS_SWEEP]);

	cmd->want = RW_RESULT;
	cmd->script = RS_SWEEP;
	p = put_keys(dst, p, op, true, cmd);
	p = redis_put_word(p, slice_of(digits, (size_t)(num_put_u64(digits, SWEEP_ROWS) - digits)));
	return (redis_put_word(p, op->rec->after));
}

/* ---- */

size_t
redis_put_record_max(const struct be_op *op)
{
	const struct rec_op *rec = op->rec;
	size_t len = 512 + ARGS_MAX + 4 * REDIS_BASE_MAX + REDIS_ID_MAX + 3 * REC_KEY_MAX;

	if (rec == NULL)
		return (len);
	for (uint32_t i = 0; i < rec->which.nkeys; i++)
		len += rec->which.keys[i].len + WORD_MAX;
	return (len);
}

char *
redis_put_record(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	switch (op->op.verb) {
	case OP_ITEMS_READ:
		return (put_read(dst, op, scripts, cmd));
	case OP_ITEMS_PUT:
		return (put_puts(dst, op, scripts, cmd));
	case OP_ITEMS_DELETE:
		return (put_erase(dst, op, scripts, cmd));
	case REDIS_OP_STEP:
		return (put_step(dst, op, scripts, cmd));
	case REDIS_OP_PROBE:
		return (put_probe(dst, op, cmd));
	default:
		return (put_sweep(dst, op, scripts, cmd));
	}
}
