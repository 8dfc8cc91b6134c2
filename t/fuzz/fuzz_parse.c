/*
 * fuzz_parse.c - a client's bytes through the command parser.
 *
 * Promises: nothing is read outside the bytes; the outcome does not depend on how they came apart; what a
 * command borrows lies in its line; an answer to any outcome fits REPLY_LINE_MAX.
 *
 * build: src/proto/base64.c src/proto/meta.c src/proto/parse.c src/proto/reply.c src/proto/text.c src/proto/token.c src/base/check.c src/base/num.c
 */
#include "config.h"

#include "fuzz.h"
#include "proto/hot.h"
#include "proto/reply.h"
#include "t/unit/proto/describe.h"

static const struct parse_limits limits = { .line_max = 2048, .multiget_max = 8192 };

struct outcome {
	enum parse_rc	 rc;
	enum parse_close why;
	size_t		 used;
	struct description text;
};

static void
borrowed(struct slice s, struct slice line)
{
	PROMISE(s.len == 0 || (s.p >= line.p && s.p + s.len <= line.p + line.len));
}

static void
check_command(const struct command *cmd)
{
	struct slice keys = cmd->keys, key;
	unsigned n = 0;

	if (cmd->id == CMD_BAD) {
		PROMISE(cmd->error != NULL && cmd->error[0] != '\0' && !cmd->has_body);
		PROMISE(cmd->swallow <= (uint64_t)INT32_MAX);
		return;
	}
	/* A key that came in base64 is the command's own. */
	if ((cmd->op.opts & OPF_BINKEY) == 0)
		borrowed(cmd->op.key, cmd->line);
	PROMISE(cmd->op.key.len <= OP_KEY_MAX);
	PROMISE(cmd->op.vlen <= INT32_MAX - 2);
	switch ((enum cmd_shape)cmd->shape) {
	case SHAPE_KEYS:
	case SHAPE_TOUCHKEYS:
		borrowed(cmd->keys, cmd->line);
		for (; command_next_key(&keys, &key); n++)
			PROMISE(key.len > 0 && key.len <= OP_KEY_MAX && memchr(key.p, ' ', key.len) == NULL);
		PROMISE(n == cmd->nkeys && n > 0);
		break;
	case SHAPE_META:
	case SHAPE_MSET:
		borrowed(cmd->opaque, cmd->line);
		borrowed(cmd->nonce, cmd->line);
		borrowed(cmd->space, cmd->line);
		PROMISE(cmd->nrflags <= COMMAND_RFLAGS_MAX && cmd->opaque.len <= COMMAND_OPAQUE_MAX);
		PROMISE(cmd->op.key.len > 0);
		break;
	case SHAPE_STORE:
	case SHAPE_KEY:
		PROMISE(cmd->op.key.len > 0);
		break;
	case SHAPE_RECORD:
		PROMISE(cmd->line.len >= 2 && cmd->op.key.len == 0);
		break;
	case SHAPE_WORDS:
		for (unsigned i = 0; i < cmd->nwords && i < COMMAND_WORDS_MAX; i++)
			borrowed(cmd->words[i], cmd->line);
		break;
	}
}

/* Answers of every kind to one command. */
static void
answer(const struct command *cmd)
{
	char *buf = malloc(REPLY_LINE_MAX), *end;

	PROMISE(buf != NULL);
	for (unsigned status = OP_OK; status <= OP_ERROR; status++) {
		struct op_result res = { .status = (uint8_t)status, .bits = 0xff, .client_flags = UINT32_MAX,
		    .ttl = INT32_MIN, .la = UINT32_MAX, .size = UINT32_MAX, .cas = UINT64_MAX,
		    .number = UINT64_MAX, .error = SLICE_LIT("SERVER_ERROR x") };

		if (cmd->id == CMD_BAD)
			end = reply_bad_line(buf, cmd);
		else if (cmd->shape == SHAPE_META || cmd->shape == SHAPE_MSET)
			end = reply_meta_line(buf, cmd, &res);
		else if (cmd->shape == SHAPE_STORE || cmd->shape == SHAPE_KEY)
			end = reply_classic_line(buf, cmd, &res);
		else if (cmd->shape >= SHAPE_WORDS)
			break;
		else
			end = reply_value_line(buf, cmd->op.key, &res, true);
		PROMISE(end <= buf + REPLY_LINE_MAX);
		PROMISE(end == buf || (end - buf > 2 && memcmp(end - 2, "\r\n", 2) == 0));
	}
	free(buf);
}

/* What proto_hot() knows without a parse is what the parse finds. */
static void
check_hot(const char *buf, size_t size, enum parse_rc rc, const struct command *cmd, size_t used)
{
	struct slice key;
	size_t length;
	enum hot hot = proto_hot(buf, size, &key, &length);

	if (hot == HOT_NONE)
		return;
	PROMISE(rc == PARSE_DONE && length == used && slice_eq(key, cmd->op.key) && key.p == cmd->op.key.p);
	PROMISE(cmd->id == (hot == HOT_MG ? CMD_MG : CMD_GET) && !cmd->quiet && !cmd->close && cmd->op.order == 0);
	if (hot == HOT_MG)
		PROMISE(cmd->op.opts == 0 && cmd->op.want == OPW_VALUE && cmd->nrflags == 0 && cmd->space.len == 0);
	else
		PROMISE(cmd->op.opts == OPF_CLASSIC && cmd->nkeys == 1);
}

static void
parse(struct outcome *o, const uint8_t *data, size_t size)
{
	char *buf = exact_copy(data, size);
	struct command cmd;

	memset(&cmd, 0xa5, sizeof cmd);
	o->used = 0;
	o->text.len = 0;
	o->rc = proto_parse(buf, size, &limits, &cmd, &o->used, &o->why);
	check_hot(buf, size, o->rc, &cmd, o->used);
	if (o->rc == PARSE_DONE) {
		PROMISE(o->used > 0 && o->used <= size && buf[o->used - 1] == '\n');
		describe(&o->text, &cmd);
		check_command(&cmd);
		answer(&cmd);
	} else
		o->used = 0;
	free(buf);
}

static bool
same(const struct outcome *a, const struct outcome *b)
{
	return (a->rc == b->rc && a->why == b->why && a->used == b->used && a->text.len == b->text.len &&
	    memcmp(a->text.text, b->text.text, a->text.len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, part;
	size_t line = 0;

	parse(&whole, data, size);
	if (whole.rc == PARSE_MORE) {
		PROMISE(memchr(data, '\n', size) == NULL || size == 0);
		return (0);
	}
	/*
	 * The bytes as they might have come: until the line is whole, more is wanted (or it is clear that it never
	 * will be one), then the outcome is the same whatever stands behind it.
	 */
	line = whole.rc == PARSE_DONE ? whole.used : size;
	for (size_t n = 0; n < line; n += 1 + line / 64) {
		parse(&part, data, n);
		PROMISE(part.rc == PARSE_MORE || (part.rc == PARSE_CLOSE && (part.why == whole.why ||
		    (part.why == PARSE_CLOSE_LONG_LINE && n > limits.line_max))));
	}
	if (whole.rc == PARSE_DONE) {
		parse(&part, data, whole.used);
		PROMISE(same(&whole, &part));
	}
	return (0);
}
