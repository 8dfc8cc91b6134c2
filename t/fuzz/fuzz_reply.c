/*
 * fuzz_reply.c - there and back: an op as a request, read again as a client's command, is the same op; an outcome
 * as a reply, read again as a server's, is the same outcome.
 *
 * The bytes are the fields of an op that a client could have sent, and of a result.
 *
 * build: src/proto/base64.c src/proto/meta.c src/proto/parse.c src/proto/reply.c src/proto/text.c src/proto/token.c src/proto/upstream_parse.c src/proto/upstream_put.c src/base/check.c src/base/num.c
 */
#include "config.h"

#include "fuzz.h"
#include "proto/reply.h"
#include "proto/upstream.h"
#include "t/unit/proto/describe.h"

struct input {
	const uint8_t	*p;
	size_t		 left;
};

static uint64_t
take(struct input *in, size_t bytes)
{
	uint64_t v = 0;

	for (; bytes > 0 && in->left > 0; bytes--, in->left--)
		v = v << 8 | *in->p++;
	return (v);
}

/* The bits that a command of this verb can set; see tbl/meta_flags.h. */
static void
keep_what_can_be_said(struct op *op)
{
	static const uint16_t opts[] = {
		[OP_GET] = OPF_CAS | OPF_NEWCAS | OPF_TTL | OPF_VIVIFY | OPF_RECACHE | OPF_NO_BUMP | OPF_BINKEY,
		[OP_STORE] = OPF_CAS | OPF_NEWCAS | OPF_TTL | OPF_VIVIFY | OPF_INVALIDATE | OPF_BINKEY | OPF_FLAGS,
		[OP_DELETE] = OPF_CAS | OPF_NEWCAS | OPF_TTL | OPF_INVALIDATE | OPF_REMOVE_VAL | OPF_BINKEY | OPF_FLAGS,
		[OP_ARITH] = OPF_CAS | OPF_NEWCAS | OPF_TTL | OPF_VIVIFY | OPF_BINKEY,
		[OP_DEBUG] = OPF_BINKEY,
	};
	static const uint16_t wants[] = { [OP_GET] = 0x7f, [OP_STORE] = OPW_CAS | OPW_SIZE, [OP_DELETE] = 0,
	    [OP_ARITH] = OPW_VALUE | OPW_CAS | OPW_TTL, [OP_DEBUG] = 0 };

	op->opts &= opts[op->verb];
	op->want &= wants[op->verb];
	if (op->verb != OP_STORE)
		op->vlen = 0;
	else if (op->mode != OP_APPEND && op->mode != OP_PREPEND)
		op->opts &= (uint16_t)~OPF_VIVIFY;
	if (op->verb == OP_STORE && ((op->opts & OPF_CAS) == 0 || op->mode > OP_REPLACE || op->mode == OP_ADD))
		op->opts &= (uint16_t)~OPF_INVALIDATE;
	/* Arguments of what is not there, and defaults that need not be said. */
	if ((op->opts & OPF_CAS) == 0)
		op->cas = 0;
	if ((op->opts & OPF_NEWCAS) == 0)
		op->newcas = 0;
	if (op->verb == OP_STORE && op->ttl == 0)
		op->opts &= (uint16_t)~OPF_TTL;
	if ((op->opts & OPF_TTL) == 0)
		op->ttl = 0;
	if ((op->opts & OPF_VIVIFY) == 0)
		op->vivify_ttl = 0;
	if ((op->opts & OPF_RECACHE) == 0)
		op->recache_ttl = 0;
	if (op->client_flags == 0)
		op->opts &= (uint16_t)~OPF_FLAGS;
	if ((op->opts & OPF_FLAGS) == 0)
		op->client_flags = 0;
	if (op->verb != OP_ARITH)
		op->delta = op->initial = 0;
}

/* One of the sequences in which what is there can stand; a t alone may be nobody's but the proxy's own. */
static uint16_t
order_of(const struct op *op, unsigned which)
{
	unsigned there[4], n = 0, order = 0;

	if (op->verb != OP_GET && op->verb != OP_ARITH)
		return (0);
	if ((op->want & OPW_TTL) != 0)
		there[n++] = OPO_SHOW;
	if ((op->opts & OPF_TTL) != 0)
		there[n++] = OPO_TTL;
	if ((op->opts & OPF_VIVIFY) != 0)
		there[n++] = OPO_VIVIFY;
	if ((op->opts & OPF_RECACHE) != 0)
		there[n++] = OPO_RECACHE;
	if (n == 1 && there[0] == OPO_SHOW && which % 2 == 0)
		return (0);
	for (unsigned shift = 0; n > 0; shift += OPO_BITS, which /= n--) {
		order |= there[which % n] << shift;
		there[which % n] = there[n - 1];
	}
	return ((uint16_t)order);
}

/* Leaves the rest of the input to the result. */
static void
make_op(struct input *in, struct op *op, char *key)
{
	unsigned which;
	size_t len;

	*op = (struct op){ .verb = (uint8_t)(take(in, 1) % 5), .opts = (uint16_t)take(in, 2), .want = (uint16_t)take(in, 1),
	    .ttl = (int32_t)take(in, 4), .vivify_ttl = (int32_t)take(in, 4), .recache_ttl = (int32_t)take(in, 4),
	    .client_flags = (uint32_t)take(in, 4), .vlen = (uint32_t)take(in, 4) % UPSTREAM_VALUE_MAX };
	op->cas = take(in, 8);
	op->newcas = take(in, 8);
	op->delta = take(in, 8);
	op->initial = take(in, 8);
	op->mode = (uint8_t)take(in, 1);
	op->mode = op->verb == OP_STORE ? op->mode % 5 : op->verb == OP_ARITH ? OP_INCR + op->mode % 2 : 0;
	which = op->opts >> 11;
	keep_what_can_be_said(op);
	op->order = order_of(op, which);
	len = 1 + take(in, 1) % ((op->opts & OPF_BINKEY) != 0 ? 186 : OP_KEY_MAX);
	for (size_t i = 0; i < len; i++)
		key[i] = (char)take(in, 1);
	/* Without b, a word of one line whose end is not taken for the line's. */
	for (size_t i = 0; i < len && (op->opts & OPF_BINKEY) == 0; i++)
		if (key[i] == ' ' || key[i] == '\n' || key[i] == '\r' || key[i] == '\0')
			key[i] = 'x';
	op->key = slice_of(key, len);
}

static bool
same_op(const struct op *a, const struct op *b)
{
	return (a->verb == b->verb && a->mode == b->mode && a->opts == b->opts && a->ttl == b->ttl &&
	    a->vivify_ttl == b->vivify_ttl && a->recache_ttl == b->recache_ttl && a->client_flags == b->client_flags &&
	    a->vlen == b->vlen && a->cas == b->cas && a->newcas == b->newcas && a->delta == b->delta &&
	    a->initial == b->initial && slice_eq(a->key, b->key));
}

/* The request, as a server would read it, has the op's options and asks at least for what it wants. */
static void
request_is_the_op(struct command *cmd, char *line, size_t len, const struct op *op)
{
	static const struct parse_limits limits = { 2048, 2048 };
	enum parse_close why;
	size_t used;

	PROMISE(proto_parse(line, len, &limits, cmd, &used, &why) == PARSE_DONE && used == len);
	PROMISE(cmd->id != CMD_BAD && !cmd->quiet);
	PROMISE(same_op(&cmd->op, op));
	PROMISE(cmd->op.order == (op->order == 0 && (op->want & OPW_TTL) != 0 ? OPO_SHOW : op->order));
	if ((op->want & OPW_VALUE) != 0 && op->verb == OP_GET && (op->opts & OPF_CAS) == 0)
		cmd->op.want |= op->want & OPW_SIZE;
	PROMISE((cmd->op.want & op->want) == op->want);
}

/* What a memcached would say to that request with this outcome is read as the outcome. */
static void
reply_is_the_result(const struct command *cmd, struct op_result *res, const struct upstream_expect *expect)
{
	char *buf = malloc(REPLY_LINE_MAX), *exact;
	size_t len, used, tail;
	struct op_result got;
	enum upstream_rc rc;

	PROMISE(buf != NULL);
	len = (size_t)(reply_meta_line(buf, cmd, res) - buf);
	PROMISE(len > 0 && len <= REPLY_LINE_MAX);
	exact = exact_copy(buf, len);
	free(buf);
	rc = upstream_parse(exact, len, expect, &got, &used, &tail);
	PROMISE(rc == (reply_sends_value(cmd, res) && cmd->op.verb == OP_GET ? UPSTREAM_VALUE : UPSTREAM_DONE));
	PROMISE(used == len && got.status == res->status);
	if (res->status == OP_OK && cmd->op.verb != OP_DEBUG) {
		PROMISE((cmd->op.want & OPW_CAS) == 0 || got.cas == res->cas);
		PROMISE((cmd->op.want & OPW_FLAGS) == 0 || got.client_flags == res->client_flags);
		PROMISE((cmd->op.want & OPW_LA) == 0 || got.la == res->la);
		PROMISE((cmd->op.want & OPW_TTL) == 0 || got.ttl == res->ttl);
		PROMISE((cmd->op.want & (OPW_SIZE | OPW_VALUE)) == 0 || cmd->op.verb != OP_GET || got.size == res->size ||
		    (cmd->op.want & OPW_SIZE) == 0);
		PROMISE(cmd->op.verb != OP_ARITH || got.number == res->number);
		PROMISE(cmd->op.verb != OP_GET || (got.bits & ~OPR_FETCHED) == (res->bits & ~OPR_FETCHED));
	}
	free(exact);
}

static void
make_result(struct input *in, const struct op *op, struct op_result *res)
{
	*res = (struct op_result){ .status = (uint8_t)(take(in, 1) % OP_ERROR), .bits = (uint8_t)(take(in, 1) & 15),
	    .client_flags = (uint32_t)take(in, 4), .la = (uint32_t)take(in, 4), .size = (uint32_t)take(in, 4) & 0x3fffffff,
	    .ttl = (int32_t)(take(in, 4) & INT32_MAX), .error = SLICE_LIT("exp=-1 la=0") };
	res->cas = take(in, 8);
	res->number = take(in, 8);
	if (res->ttl == INT32_MAX)
		res->ttl = OP_TTL_NONE;
	/* Outcomes that the verb can have. */
	if ((op->verb == OP_GET || op->verb == OP_DEBUG) && res->status > OP_MISS)
		res->status = OP_MISS;
	if (res->status == OP_EXISTS && (op->opts & OPF_CAS) == 0)
		res->status = OP_NOT_STORED;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	char key[OP_KEY_MAX], *line, *end;
	struct upstream_expect expect;
	struct op_result res;
	struct command cmd;
	struct op op;

	make_op(&in, &op, key);
	line = malloc(UPSTREAM_LINE_MAX);
	PROMISE(line != NULL);
	end = upstream_put(line, UPSTREAM_META, &op, 4294967295u, &expect);
	PROMISE(end != NULL && end - line <= UPSTREAM_LINE_MAX);
	request_is_the_op(&cmd, line, (size_t)(end - line), &op);
	make_result(&in, &op, &res);
	reply_is_the_result(&cmd, &res, &expect);
	/* Old servers: what can be said is one line, and the key stands in it. */
	end = upstream_put(line, UPSTREAM_CLASSIC, &op, 1, &expect);
	PROMISE(end == NULL || (end - line <= UPSTREAM_LINE_MAX && memchr(line, '\n', (size_t)(end - line)) == end - 1));
	free(line);
	return (0);
}
