/*
 * redis_put.c - ops into commands.
 *
 * FORMAT_RAW: what any client of Redis would say, where one command says what memcached means; else a script, so that
 * each op is one command and atomic. FORMAT_ITEM: reads are GET and MGET, all else is a script; the pieces of large
 * values are plain strings, which nobody changes.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backend/redis.h"
#include "base/check.h"
#include "base/num.h"

#define WORD_MAX	(1 + NUM_U64_MAXLEN + 2 + 2)	/* "$n\r\n" and "\r\n" around a word */
#define ARGS_MAX	128				/* ARGV[1] of any script */
#define HEAD_MAX	(256 + ARGS_MAX)		/* what is not keys or body */

/* Reads that only look: one command, whatever is wanted of an item's head. */
#define PLAIN_OPTS	(OPF_BINKEY | OPF_NO_BUMP | OPF_CLASSIC)
#define KNOWN_WANTS	(OPW_VALUE | OPW_CAS | OPW_FLAGS | OPW_SIZE | OPW_TTL)

/* "*n $cmd $key"; the key's place is noted. */
static char *
put_command(char *dst, unsigned n, struct slice word, struct slice key, struct redis_cmd *cmd)
{
	char *p = redis_put_word(redis_put_head(dst, '*', n), word);

	p = redis_put_head(p, '$', key.len);
	cmd->key_at = (uint32_t)(p - dst);
	cmd->key_len = (uint16_t)key.len;
	p = redis_put_bytes(p, key.p, key.len);
	return (redis_put_bytes(p, "\r\n", 2));
}

/* The op's body, as the last word. What is short is copied, the rest follows from where it is. */
static char *
put_body(char *dst, const struct be_op *op, struct redis_cmd *cmd)
{
	dst = redis_put_head(dst, '$', op->op.vlen);
	if (op->op.vlen > BE_BODY_COPY_MAX) {
		cmd->rest = op->op.vlen;
		return (dst);
	}
	for (int i = 0; i < op->nbody; i++)
		dst = redis_put_bytes(dst, op->body[i].iov_base, op->body[i].iov_len);
	return (redis_put_bytes(dst, "\r\n", 2));
}

static bool
needs_body(const struct be_op *op)
{
	return (op->op.verb == OP_STORE);
}

/* ---- scripts ---- */

/* ARGV[1]: numbers, highest byte first, as redis.lua unpacks them. */
struct args {
	unsigned	 len;
	char		 bytes[ARGS_MAX];
};

static void
add(struct args *a, uint64_t v, unsigned bytes)
{
	MUST(a->len + bytes <= sizeof a->bytes);
	while (bytes-- > 0)
		a->bytes[a->len++] = (char)(v >> (8 * bytes));
}

static void
add_seconds(struct args *a, int32_t ttl)
{
	add(a, (uint32_t)ttl, 4);
}

static int32_t
ttl_of(const struct op *o)
{
	return ((o->opts & OPF_TTL) != 0 ? o->ttl : 0);
}

static uint32_t
flags_of(const struct op *o)
{
	return ((o->opts & OPF_FLAGS) != 0 ? o->client_flags : 0);
}

/* What the head of a new value has beyond what every head has. */
static void
add_tail(struct args *a, const struct be_op *op)
{
	struct envelope e = { .codec = CODEC_NONE };
	char head[ENVELOPE_LEN_MAX], *end;

	if (op->op.verb == OP_STORE && op->head != NULL)
		e = *op->head;
	if ((op->op.opts & OPF_TOKEN) != 0)
		memcpy(e.nonce, op->nonce, sizeof e.nonce);
	else
		memset(e.nonce, 0, sizeof e.nonce);
	end = envelope_put(head, &e);
	for (const char *p = head + ENVELOPE_LEN; p < end; p++)
		add(a, (uint8_t)*p, 1);
}

/* It depends on what is there, and is not to be done twice: its first answer is kept. */
static bool
keeps_answer(const struct be_op *op)
{
	const struct op *o = &op->op;

	if ((o->opts & OPF_TOKEN) == 0 || op->ns == NULL || op->ns->drift_behind < 1000)
		return (false);
	return (o->verb == OP_ARITH || (o->opts & OPF_CAS) != 0 || (o->verb == OP_STORE && o->mode != OP_SET));
}

static void
add_usec(struct args *a, uint64_t usec)
{
	uint64_t ms = usec / 1000;

	add(a, ms > UINT32_MAX ? UINT32_MAX : ms, 4);
}

static void
add_keep(struct args *a, const struct be_op *op)
{
	add_usec(a, op->ns == NULL ? 0 : op->ns->drift_behind);
}

/* How long what expires is remembered, so that no older write with a token comes instead of it. */
static void
add_spare(struct args *a, const struct be_op *op)
{
	add_usec(a, op->ns == NULL || (op->op.opts & OPF_TOKEN) == 0 ? 0 : op->ns->delete_ttl);
}

/* What an op is about, by its names: a flat key, or the item of a record. */
struct target {
	bool		 record;
	struct slice	 key;
	struct slice	 base, item;
	char		 buf[REDIS_BASE_MAX];
};

static void
target_init(struct target *t, const struct be_op *op)
{
	t->record = redis_is_record(op);
	t->key = op->op.key;
	if (t->record) {
		t->base = redis_name_base(t->buf, op->id);
		t->item = op->item;
	}
}

/* The key, or a record's item; its place is noted. */
static char *
put_key(char *dst, char *p, const struct target *t, struct redis_cmd *cmd)
{
	size_t len = t->record ? t->base.len + 1 + t->item.len : t->key.len;
	char *end = t->record ? redis_put_name(p, t->base, '=', t->item) : redis_put_word(p, t->key);

	cmd->key_at = (uint32_t)(end - dst - 2 - (ptrdiff_t)len);
	cmd->key_len = (uint16_t)len;
	cmd->item_len = t->record ? (uint16_t)t->item.len : 0;
	return (end);
}

static char *
put_answer(char *p, const struct be_op *op, const struct target *t)
{
	char name[REDIS_NAME_MAX], *n = name;

	if (!t->record)
		return (redis_put_word(p, redis_name_answer(name, t->key, op)));
	for (unsigned i = 8; i-- > 0;)
		*n++ = (char)(op->version >> (8 * i));
	n = redis_put_bytes(n, (const char *)op->nonce, NONCE_LEN);
	n = redis_put_bytes(n, t->item.p, t->item.len);
	return (redis_put_name(p, t->base, '$', slice_of(name, (size_t)(n - name))));
}

static char *
put_script(char *dst, const struct be_op *op, enum redis_script rs, const struct target *t, const struct args *a,
    const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	bool keeps = op->format == FORMAT_ITEM && rs != RS_GET && keeps_answer(op);
	unsigned keys = (t->record ? 4 : 1) + keeps;
	char name[REDIS_NAME_MAX], *p;

	if (t->record)
		rs = rs - RS_GET + RS_ITEM_GET;
	p = redis_put_evalsha(dst, keys + 1 + needs_body(op), keys, &scripts[rs]);
	cmd->want = RW_RESULT;
	cmd->script = (uint8_t)rs;
	p = put_key(dst, p, t, cmd);
	if (t->record) {
		p = redis_put_name(p, t->base, '#', SLICE_NULL);
		p = redis_put_name(p, t->base, '!', SLICE_NULL);
		p = redis_put_word(p, redis_name_list(name, t->base, op->ns));
	}
	if (keeps)
		p = put_answer(p, op, t);
	p = redis_put_word(p, slice_of(a->bytes, a->len));
	return (needs_body(op) ? put_body(p, op, cmd) : p);
}

/* ---- item ---- */

static void
get_args(struct args *a, const struct be_op *op)
{
	const struct op *o = &op->op;
	uint16_t want = o->want;

	if (o->verb == OP_DEBUG)
		want = OPW_LA;
	add(a, o->verb == OP_DEBUG ? o->opts | OPF_CLASSIC : o->opts, 2);
	add(a, want, 2);
	add(a, o->order, 2);
	add_seconds(a, o->ttl);
	add_seconds(a, o->vivify_ttl);
	add_seconds(a, o->recache_ttl);
	add(a, o->newcas, 8);
	add(a, op->version, 8);
}

static void
store_args(struct args *a, const struct be_op *op)
{
	const struct op *o = &op->op;

	add(a, o->mode, 1);
	add(a, o->opts, 2);
	add_seconds(a, ttl_of(o));
	add_seconds(a, o->vivify_ttl);
	add(a, flags_of(o), 4);
	add(a, o->cas, 8);
	add(a, o->newcas, 8);
	add(a, op->version, 8);
	add(a, op->value_max, 4);
	add(a, op->head != NULL ? op->head->codec : CODEC_NONE, 1);
	add_keep(a, op);
	add_spare(a, op);
	add_tail(a, op);
}

static void
delete_args(struct args *a, const struct be_op *op)
{
	const struct op *o = &op->op;

	add(a, o->opts, 2);
	add_seconds(a, ttl_of(o));
	add(a, flags_of(o), 4);
	add(a, o->cas, 8);
	add(a, o->newcas, 8);
	add(a, op->version, 8);
	add(a, op->keep_dead, 4);
	add_keep(a, op);
	add_tail(a, op);
}

static void
arith_args(struct args *a, const struct be_op *op)
{
	const struct op *o = &op->op;

	add(a, o->mode, 1);
	add(a, o->opts, 2);
	add(a, o->order, 2);
	add_seconds(a, o->ttl);
	add_seconds(a, o->vivify_ttl);
	add(a, o->cas, 8);
	add(a, o->newcas, 8);
	add(a, op->version, 8);
	add(a, o->delta, 8);
	add(a, o->initial, 8);
	add_keep(a, op);
	add_spare(a, op);
	add_tail(a, op);
}

/* Milliseconds from now on; a moment that is over is soon. */
static uint64_t
life_of(int32_t ttl)
{
	int64_t s = ttl > OP_REALTIME_MAX ? ttl - (int64_t)time(NULL) : ttl;

	return (s <= 0 ? 1 : (uint64_t)s * 1000);
}

/* A piece of a value. What follows a body may not follow one that is sent from elsewhere, so the body comes last. */
static char *
put_chunk(char *dst, const struct be_op *op, struct redis_cmd *cmd)
{
	int32_t ttl = ttl_of(&op->op);
	char name[REDIS_NAME_MAX], *p;
	struct slice key = redis_name_chunk(name, op);

	switch (op->op.verb) {
	case OP_STORE:
		cmd->want = RW_STORED;
		if (ttl == 0)
			p = put_command(dst, 3, SLICE_LIT("SET"), key, cmd);
		else
			p = redis_put_number(put_command(dst, 4, SLICE_LIT("PSETEX"), key, cmd), life_of(ttl));
		return (put_body(p, op, cmd));
	case OP_DELETE:
		cmd->want = RW_COUNT;
		return (put_command(dst, 2, SLICE_LIT("UNLINK"), key, cmd));
	default:
		break;
	}
	if ((op->op.opts & OPF_TTL) != 0) {
		/* It has the life of its item from now on. */
		cmd->want = RW_COUNT;
		if (ttl == 0)
			return (put_command(dst, 2, SLICE_LIT("PERSIST"), key, cmd));
		return (redis_put_number(put_command(dst, 3, SLICE_LIT("PEXPIRE"), key, cmd), life_of(ttl)));
	}
	cmd->want = RW_RAW;
	cmd->read = true;
	return (put_command(dst, 2, SLICE_LIT("GET"), key, cmd));
}

/* A plain read; of a record's item with the record's marks before it. */
static char *
put_look(char *dst, const struct be_op *op, const struct target *t, struct redis_cmd *cmd)
{
	char *p;

	cmd->want = RW_ITEM;
	cmd->read = true;
	cmd->looks = (op->op.opts & OPF_CLASSIC) == 0;
	if (!t->record)
		return (put_command(dst, 2, SLICE_LIT("GET"), t->key, cmd));
	cmd->want = RW_COVERED;
	p = redis_put_word(redis_put_head(dst, '*', 3), SLICE_LIT("MGET"));
	return (put_key(dst, redis_put_name(p, t->base, '!', SLICE_NULL), t, cmd));
}

static char *
put_item(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	const struct op *o = &op->op;
	struct args a = { .len = 0 };
	struct target t;

	if (op->chunk != 0)
		return (put_chunk(dst, op, cmd));
	target_init(&t, op);
	switch (o->verb) {
	case OP_GET:
		if ((o->opts & ~PLAIN_OPTS) == 0 && (o->want & ~KNOWN_WANTS) == 0)
			return (put_look(dst, op, &t, cmd));
		/* FALLTHROUGH */
	case OP_DEBUG:
		get_args(&a, op);
		return (put_script(dst, op, RS_GET, &t, &a, scripts, cmd));
	case OP_STORE:
		store_args(&a, op);
		return (put_script(dst, op, RS_STORE, &t, &a, scripts, cmd));
	case OP_DELETE:
		delete_args(&a, op);
		return (put_script(dst, op, RS_DELETE, &t, &a, scripts, cmd));
	default:
		arith_args(&a, op);
		return (put_script(dst, op, RS_ARITH, &t, &a, scripts, cmd));
	}
}

void
redis_put_win(char *dst, const struct be_op *op, struct slice key, size_t item_len,
    const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	struct args a = { .len = 0 };
	struct target t = { .key = key, .record = op->ns != NULL && op->ns->separator_len > 0 && item_len < key.len };

	if (t.record) {
		t.base = slice_of(key.p, key.len - item_len - 1);
		t.item = slice_of(key.p + key.len - item_len, item_len);
	}
	*cmd = (struct redis_cmd){ .script = RS_NONE };
	get_args(&a, op);
	cmd->len = (uint32_t)(put_script(dst, op, RS_GET, &t, &a, scripts, cmd) - dst);
}

/* ---- raw ---- */

/* What a plain string cannot keep or tell. NULL: nothing of that is asked. */
static const char *
raw_cannot(const struct op *o)
{
	if ((o->want & OPW_CAS) != 0 || (o->opts & (OPF_CAS | OPF_NEWCAS)) != 0)
		return ("CAS uniques");
	if (o->verb == OP_STORE && flags_of(o) != 0)
		return ("client flags");
	if ((o->opts & (OPF_INVALIDATE | OPF_REMOVE_VAL | OPF_RECACHE)) != 0 ||
	    (o->verb == OP_GET && (o->opts & OPF_VIVIFY) != 0))
		return ("stale and win marks");
	if ((o->want & OPW_HIT) != 0)
		return ("marks of hits");
	return (NULL);
}

static void
raw_get_args(struct args *a, const struct op *o)
{
	uint16_t want = o->want;

	if (o->verb == OP_DEBUG)
		want = OPW_LA;
	add(a, o->opts, 2);
	add(a, want, 2);
	add(a, o->order, 2);
	add_seconds(a, o->ttl);
}

static char *
put_raw_get(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	const struct op *o = &op->op;
	struct args a = { .len = 0 };
	struct target t = { .key = o->key };

	if (o->verb == OP_GET && (o->opts & ~PLAIN_OPTS) == 0 && (o->want & ~(OPW_VALUE | OPW_FLAGS | OPW_SIZE)) == 0) {
		cmd->want = RW_RAW;
		cmd->read = true;
		return (put_command(dst, 2, SLICE_LIT("GET"), o->key, cmd));
	}
	raw_get_args(&a, o);
	cmd->read = o->verb == OP_DEBUG || (o->opts & OPF_TTL) == 0;
	return (put_script(dst, op, RS_RAW_GET, &t, &a, scripts, cmd));
}

/* set, add and replace with a life that has not ended yet are one SET. */
static char *
put_raw_set(char *dst, const struct be_op *op, struct redis_cmd *cmd)
{
	static const struct slice conditions[] = { [OP_ADD] = { "NX", 2 }, [OP_REPLACE] = { "XX", 2 } };
	const struct op *o = &op->op;
	struct slice condition = o->mode == OP_SET ? SLICE_NULL : conditions[o->mode];
	int32_t ttl = ttl_of(o);
	char *p;

	/* What follows the value may not follow a body that is sent from elsewhere. */
	if (o->vlen > BE_BODY_COPY_MAX && (ttl != 0 || condition.len > 0))
		return (NULL);
	p = put_command(dst, 3 + (ttl != 0 ? 2 : 0) + (condition.len > 0), SLICE_LIT("SET"), o->key, cmd);
	p = put_body(p, op, cmd);
	if (ttl != 0) {
		p = redis_put_word(p, ttl <= OP_REALTIME_MAX ? SLICE_LIT("EX") : SLICE_LIT("EXAT"));
		p = redis_put_number(p, (uint32_t)ttl);
	}
	if (condition.len > 0)
		p = redis_put_word(p, condition);
	cmd->want = RW_STORED;
	return (p);
}

static char *
put_raw_store(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	const struct op *o = &op->op;
	struct args a = { .len = 0 };
	struct target t = { .key = o->key };
	char *p;

	if (o->mode <= OP_REPLACE && ttl_of(o) >= 0 && (p = put_raw_set(dst, op, cmd)) != NULL)
		return (p);
	add(&a, o->mode, 1);
	add(&a, o->opts, 2);
	add_seconds(&a, ttl_of(o));
	add_seconds(&a, o->vivify_ttl);
	add(&a, op->value_max, 4);
	return (put_script(dst, op, RS_RAW_STORE, &t, &a, scripts, cmd));
}

static char *
put_raw_arith(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	const struct op *o = &op->op;
	struct args a = { .len = 0 };
	struct target t = { .key = o->key };

	add(&a, o->mode, 1);
	add(&a, o->opts, 2);
	add(&a, o->order, 2);
	add_seconds(&a, o->ttl);
	add_seconds(&a, o->vivify_ttl);
	add(&a, o->delta, 8);
	add(&a, o->initial, 8);
	return (put_script(dst, op, RS_RAW_ARITH, &t, &a, scripts, cmd));
}

static char *
put_raw(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	switch (op->op.verb) {
	case OP_GET:
	case OP_DEBUG:
		return (put_raw_get(dst, op, scripts, cmd));
	case OP_STORE:
		return (put_raw_store(dst, op, scripts, cmd));
	case OP_DELETE:
		cmd->want = RW_COUNT;
		return (put_command(dst, 2, SLICE_LIT("UNLINK"), op->op.key, cmd));
	default:
		return (put_raw_arith(dst, op, scripts, cmd));
	}
}

/* ---- many keys, all keys ---- */

static char *
put_keys(char *dst, const struct be_op *op, struct redis_cmd *cmd)
{
	char *p = redis_put_word(redis_put_head(dst, '*', op->nkeys + 1), SLICE_LIT("MGET"));

	for (uint32_t i = 0; i < op->nkeys; i++)
		p = redis_put_word(p, op->keys[i]);
	cmd->want = RW_KEYS;
	cmd->read = true;
	return (p);
}

static char *
put_flush(char *dst, const struct be_op *op, struct redis_cmd *cmd)
{
	if (op->flushes != NULL) {
		cmd->want = RW_SCAN;
		return (redis_put_scan(dst, SLICE_LIT("0")));
	}
	cmd->want = RW_FLUSHED;
	return (redis_put_word(redis_put_word(redis_put_head(dst, '*', 2), SLICE_LIT("FLUSHDB")), SLICE_LIT("ASYNC")));
}

char *
redis_put_scan(char *dst, struct slice cursor)
{
	char *p = redis_put_word(redis_put_head(dst, '*', 4), SLICE_LIT("SCAN"));

	p = redis_put_word(p, cursor);
	return (redis_put_word(redis_put_word(p, SLICE_LIT("COUNT")), SLICE_LIT("1000")));
}

/* ---- */

size_t
redis_put_max(const struct be_op *op)
{
	size_t len = HEAD_MAX + op->op.key.len;

	if (op->op.verb >= OP_ITEMS_READ)
		return (redis_put_record_max(op));
	if (redis_is_record(op))
		len += 5 * (3 * op->id.len + op->item.len + 64) + op->ns->prefix_len;
	else if (op->format == FORMAT_ITEM)
		len += 3 * op->op.key.len + 128;

	if (needs_body(op) && op->op.vlen <= BE_BODY_COPY_MAX)
		len += op->op.vlen;
	for (uint32_t i = 0; op->keys != NULL && i < op->nkeys; i++)
		len += op->keys[i].len + WORD_MAX;
	return (len);
}

const char *
redis_put(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	const char *cannot;
	char *p;

	*cmd = (struct redis_cmd){ .script = RS_NONE };
	if (op->op.verb == OP_FLUSH)
		p = put_flush(dst, op, cmd);
	else if (op->op.verb >= OP_ITEMS_READ)
		p = redis_put_record(dst, op, scripts, cmd);
	else if (op->format == FORMAT_ITEM)
		p = op->keys != NULL ? put_keys(dst, op, cmd) : put_item(dst, op, scripts, cmd);
	else if ((cannot = raw_cannot(&op->op)) != NULL)
		return (cannot);
	else
		p = op->keys != NULL ? put_keys(dst, op, cmd) : put_raw(dst, op, scripts, cmd);
	cmd->len = (uint32_t)(p - dst);
	return (NULL);
}
