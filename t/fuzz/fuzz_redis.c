/*
 * fuzz_redis.c - a Redis' bytes as the answers to requests of any kind; items that anybody wrote.
 *
 * The first byte chooses which requests are in flight, the second how the rest is cut. Promises: each op ends once; a value
 * has the size that is told and lies in the reader's buffer; after a wrong answer none is believed; nothing that is not
 * asked for is taken.
 *
 * build: src/backend/redis_items.c src/backend/redis_name.c src/backend/redis_put_record.c src/backend/redis_words.c
 * build: src/backend/markers.c src/backend/slots.c src/proto/envelope.c src/base/check.c src/base/num.c src/base/err.c -lhiredis
 */
#include "backend/redis_flush.c"
#include "backend/redis_outcome.c"
#include "backend/redis_put.c"
#include "backend/redis_reply.c"

#include "fuzz.h"

#define OPS	22
#define FIRST	16		/* of those about records */

static struct redis_conn conn;
static struct be_stats stats;
static struct redis_node node = { .name = (char *)(uintptr_t)"redis:6379", .clock = 1700000000000000, .stats = &stats };
static const struct redis_node_ops together = { .apart = false }, apart = { .apart = true };
static struct redis_script_row rows[RS_COUNT];
static struct be_op ops[OPS];
static struct rec_op recs[OPS];
static struct backend backend;
static struct be_loop be_loop;
static unsigned ended, noffered;
static struct slice keys[] = { { "a", 1 }, { "key", 3 }, { "b", 1 } };
static char sent[] = "{r:1}=key", room[1 << 16], sunk[1 << 16];

/* ---- what the rest of the connection does ---- */

uint64_t
redis_node_time(const struct redis_node *n)
{
	return ((uint64_t)n->clock);
}

void
redis_node_say(struct redis_node *n, const char *what, const char *p, size_t len)
{
	volatile char sum = 0;

	(void)n;
	(void)what;
	for (size_t i = 0; i < len && i < 64; i++)
		sum = (char)(sum + p[i]);
}

bool
redis_node_offer(struct redis_node *n, struct be_op *op, const struct redis_cmd *cmd, const char *bytes, enum err err,
    struct slice text)
{
	(void)n;
	(void)op;
	PROMISE(memcmp(bytes + cmd->key_at, sent, cmd->key_len) == 0 && err == ERR_NONE);
	redis_node_say(n, "", text.p, text.len);
	noffered++;
	return (false);
}

void
redis_conn_doom(struct redis_conn *c, enum err err, const char *detail)
{
	(void)detail;
	if (c->doom == ERR_NONE)
		c->doom = (uint8_t)err;
}

void
redis_pop(struct redis_conn *c, struct redis_slot *s)
{
	PROMISE(c->n > 0);
	*s = *redis_slot(c, c->head);
	c->head++;
	c->n--;
	if (c->redo && (int32_t)(c->head - c->redo_from) >= 0)
		c->redo = false;
}

void
redis_popped(struct redis_conn *c, const struct redis_slot *s)
{
	(void)c;
	(void)s;
}

char *
redis_conn_room(struct redis_conn *c, size_t len)
{
	(void)c;
	PROMISE(len <= sizeof room);
	return (room);
}

bool
redis_conn_put(struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd, const char *bytes,
    redis_control_f *control)
{
	struct redis_slot s = { .op = op, .control = control, .cmd = *cmd };

	redis_node_say(&node, "", bytes, cmd->len);
	if (c->n == c->cap)
		return (false);
	s.cmd.key_at = 0;
	s.cmd.key_len = sizeof sent - 1;
	s.cmd.item_len = 3;
	s.cmd.len = sizeof sent - 1;
	if (op != NULL && op->keys != NULL)
		s.nkeys = op->nkeys;
	*redis_slot(c, c->head + c->n++) = s;
	return (true);
}

void
be_op_end(struct be_op *op)
{
	op->done(op);
}

void
be_op_end_later(struct be_op *op, enum err err, const char *why)
{
	op->err = err;
	op->why = why;
	op->done(op);
}

/* What is to be repeated is over here. */
void
redis_wait_redo(struct redis_conn *c, struct be_op *op, const struct redis_cmd *cmd, const char *bytes)
{
	PROMISE(c->known == 0 || cmd->read);
	PROMISE(memcmp(bytes + cmd->key_at, sent, cmd->key_len) == 0);
	be_op_end_later(op, ERR_REFUSED, "");
}

bool
redis_redo_meets(const struct redis_conn *c, const struct be_op *op)
{
	PROMISE(c->redo);
	return ((op - ops) % 2 == 0);
}

void
redis_redo_passed(struct redis_conn *c, const struct be_op *by)
{
	(void)c;
	PROMISE(by->done != NULL);
}

void
be_loop_dirty(struct be_loop *l, struct be_dirty *d)
{
	(void)l;
	(void)d;
}

void
redis_sweep_want(struct redis_sweeper *sw, const struct conf_ns *ns, struct slice base, struct slice key)
{
	(void)sw;
	PROMISE(ns != NULL && base.len == sizeof sent - 2 && key.len <= REC_KEY_MAX);
	redis_node_say(&node, "", key.p, key.len);
}

uint64_t
redis_sweep_pieces(struct redis_sweeper *sw, const struct be_op *op, struct slice base, struct slice list)
{
	(void)sw;
	PROMISE(redis_is_record(op) && base.len == sizeof sent - 2 && list.len > 0);
	redis_node_say(&node, "", list.p, list.len);
	return (1);
}

uint64_t
loop_now(const struct loop *l)
{
	(void)l;
	return (1);
}

uint64_t
loop_now_fresh(struct loop *l)
{
	(void)l;
	return (1);
}

void
log_warn(const char *fmt, ...)
{
	(void)fmt;
}

void
timer_init(struct loop *l, struct timer *t, void (*fn)(void *), void *arg)
{
	(void)l;
	(void)t;
	(void)fn;
	(void)arg;
}

void
timer_set(struct timer *t, uint64_t usec)
{
	(void)t;
	(void)usec;
}

void
timer_clear(struct timer *t)
{
	(void)t;
}

/* ---- ops ---- */

static void
item_done(struct be_op *op)
{
	const struct rec_op *rec = op->rec;

	if (op->err == ERR_NONE && rec->more) {
		PROMISE(rec->end != REC_END && rec->next_id.len <= REDIS_ID_MAX && rec->next.len <= REC_KEY_MAX);
		redis_node_say(&node, "", rec->next_id.p, rec->next_id.len);
		redis_node_say(&node, "", rec->next.p, rec->next.len);
	}
}

static void
op_done(struct be_op *op)
{
	PROMISE(op->done != NULL);
	op->done = NULL;
	ended++;
	free(op->priv);
	op->priv = NULL;
	if (op->err != ERR_NONE) {
		PROMISE(op->err < ERR_COUNT && op->why != NULL);
		return;
	}
	if (op->rec != NULL && op->op.verb == OP_ITEMS_READ) {
		item_done(op);
		return;
	}
	PROMISE(op->res.status <= OP_ERROR);
	redis_node_say(&node, "", op->res.error.p, op->res.error.len);
	if (op->op.verb == OP_GET && op->keys == NULL && op->res.status == OP_OK && (op->op.want & OPW_VALUE) != 0 &&
	    op->res.size <= REDIS_HOLD)
		PROMISE(op->data.len == op->res.size);
	redis_node_say(&node, "", op->data.p, op->data.len);
}

static uint32_t
op_cost(const struct rec_op *rec, const struct rec_item *it)
{
	(void)rec;
	return ((uint32_t)(it->key.len + it->value.len) & 0xffff);
}

static void
item_found(struct be_op *op)
{
	const struct rec_item *it = &op->rec->item;

	PROMISE(op->done != NULL && op->err == ERR_NONE && op->at > 0);
	PROMISE(it->id.len <= REDIS_ID_MAX && it->key.len <= REC_KEY_MAX && op->at <= op->rec->items_max);
	redis_node_say(&node, "", it->id.p, it->id.len);
	redis_node_say(&node, "", it->key.p, it->key.len);
	redis_node_say(&node, "", it->value.p, it->value.len);
}

static void
op_found(struct be_op *op)
{
	if (op->rec != NULL) {
		item_found(op);
		return;
	}
	PROMISE(op->done != NULL && op->at < op->nkeys && op->err == ERR_NONE && op->res.status == OP_OK);
	PROMISE(op->res.size > REDIS_HOLD || op->data.len == op->res.size);
	redis_node_say(&node, "", op->data.p, op->data.len);
}

static int
op_iov(struct be_op *op, const struct op_result *res, uint32_t off, struct iovec *iov, int max)
{
	(void)op;
	(void)max;
	if (res->size > sizeof sunk)
		return (0);
	iov[0] = (struct iovec){ sunk + off, res->size - off };
	return (1);
}

static bool
op_flushes(const struct be_op *op, struct slice key)
{
	(void)op;
	return (key.len % 2 == 0);
}

static const struct be_sink op_sink = { op_iov };

static void
control(struct redis_conn *c, const struct redisReply *r, uint64_t sent_at)
{
	(void)c;
	(void)sent_at;
	PROMISE(r->type >= REDIS_REPLY_STRING && r->type <= REDIS_REPLY_ERROR);
}

/* The requests in flight, of any kind. */
static void
ask(unsigned which)
{
	static const uint8_t wants[] = { RW_ITEM, RW_RAW, RW_KEYS, RW_RESULT, RW_STORED, RW_COUNT, RW_FLUSHED, RW_SCAN, RW_CONTROL,
	    RW_DROP, RW_ITEM, RW_KEYS, RW_RESULT, RW_RESULT, RW_RESULT, RW_UNLINK,
	    RW_COVERED, RW_ITEMS, RW_SCANNED, RW_RESULT, RW_RESULT, RW_ITEMS };
	static const struct conf_ns space = { .prefix = (char *)(uintptr_t)"r:", .prefix_len = 2, .format = FORMAT_ITEM,
	    .separator_len = 1 };
	struct redis_cmd cmd = { .script = RS_NONE };

	for (unsigned i = 0; i < OPS; i++) {
		struct be_op *op = &ops[i];

		memset(op, 0, sizeof *op);
		op->done = op_done;
		op->found = op_found;
		op->sink = &op_sink;
		op->flushes = op_flushes;
		op->format = i == 11 ? FORMAT_RAW : FORMAT_ITEM;
		op->op.verb = OP_GET;
		op->op.want = OPW_VALUE | OPW_CAS | OPW_TTL;
		if (i < FIRST)
			continue;
		op->be = &backend;
		op->ns = &space;
		op->id = SLICE_LIT("r:1");
		op->item = SLICE_LIT("key");
		if (i == FIRST)
			continue;
		recs[i] = (struct rec_op){ .values = true, .cost = op_cost, .items_max = i == 21 ? 2 : 1000, .bytes_max = 4000 };
		op->rec = &recs[i];
	}
	for (unsigned i = 0; i < 3; i++) {
		unsigned n = (which & 0x40) != 0 ? FIRST + (which + i) % (OPS - FIRST) : (which + i * 5) % FIRST;
		struct be_op *op = &ops[n];

		cmd.want = wants[n];
		cmd.script = cmd.want == RW_RESULT ? RS_GET : RS_NONE;
		cmd.read = n % 3 == 0;
		if (cmd.want == RW_KEYS) {
			op->keys = keys;
			op->nkeys = 3;
		}
		op->op.verb = n == 12 ? OP_DEBUG : n == 13 ? OP_ARITH : cmd.want >= RW_STORED ? OP_STORE : OP_GET;
		if (n > FIRST)
			op->op.verb = n == 19 ? OP_ITEMS_PUT : n == 20 ? OP_ITEMS_DELETE : OP_ITEMS_READ;
		if (n == 10)
			op->op.opts = OPF_CLASSIC;
		(void)redis_conn_put(&conn, n == 14 || cmd.want == RW_DROP || cmd.want == RW_CONTROL ? NULL : op, &cmd, sent,
		    cmd.want == RW_CONTROL ? control : NULL);
	}
}

static void
read_replies(redisReader *r)
{
	void *reply = NULL;

	while (redisReaderGetReply(r, &reply) == REDIS_OK && reply != NULL) {
		if (conn.tree) {
			conn.tree = false;
			redis_reply_tree(&conn, reply);
		}
		r->fn->freeObject(reply);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct redis_slot ring[64];
	redisAsyncContext ac;
	unsigned before, cut;

	if (size < 2)
		return (0);
	memset(&conn, 0, sizeof conn);
	memset(&ac, 0, sizeof ac);
	conn.node = &node;
	conn.ac = &ac;
	backend.bl = &be_loop;
	conn.ring = ring;
	conn.cap = NITEMS(ring);
	conn.sent = (struct redis_sent){ .buf = sent, .cap = sizeof sent };
	node.scripts = rows;
	node.ops = data[0] & 0x80 ? &apart : &together;
	ac.c.reader = redisReaderCreate();
	PROMISE(ac.c.reader != NULL);
	redis_reply_attach(&conn);
	ask(data[0]);
	cut = 1 + data[1];
	data += 2;
	size -= 2;
	while (size > 0 && conn.doom == ERR_NONE) {
		size_t n = size < cut ? size : cut;

		PROMISE(redisReaderFeed(ac.c.reader, (const char *)data, n) == REDIS_OK || ac.c.reader->err != 0);
		read_replies(ac.c.reader);
		if (ac.c.reader->err != 0)
			break;
		data += n;
		size -= n;
	}
	before = ended;
	read_replies(ac.c.reader);
	PROMISE(conn.doom == ERR_NONE || ended == before);
	redisReaderFree(ac.c.reader);
	free(conn.row);
	return (0);
}
