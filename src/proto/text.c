/*
 * text.c - the classic commands' lines, once their word is known.
 *
 * The order of the checks is memcached's, because it decides which error is told, whether noreply hides it and
 * whether a body is swallowed: "noreply" counts once the line has enough words and a readable length.
 */
#include "config.h"

#include "proto/parse.h"

bool
command_next_key(struct slice *keys, struct slice *key)
{
	const char *p = keys->p, *end = p + keys->len;

	*key = token_next(keys->p, &p, end);
	*keys = slice_of(p, (size_t)(end - p));
	return (key->len > 0);
}

/* Counts and checks the keys in [p, end). */
static inline enum parse_rc
take_keys(struct command *cmd, const char *p, const char *end)
{
	const char *line = cmd->line.p, *e;
	unsigned n = 0;

	p = token_skip(p, end);
	cmd->keys = slice_of(p, (size_t)(end - p));
	for (; p < end; p = token_skip(e, end)) {
		e = token_end(line, p, end);
		if (UNLIKELY(e - p > OP_KEY_MAX)) {
			return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
		}
		if (n++ == 0)
			cmd->op.key = slice_of(p, (size_t)(e - p));
	}
	cmd->nkeys = n;
	return (LIKELY(n > 0) ? PARSE_DONE : parse_bad(cmd, PARSE_BAD_FORMAT, 0));
}

enum parse_rc
parse_keys(struct command *cmd, const char *p, const char *end)
{
	cmd->op.verb = OP_GET;
	cmd->op.opts = OPF_CLASSIC;
	cmd->op.want = OPW_VALUE | OPW_FLAGS | (cmd->id == CMD_GETS ? OPW_CAS : 0);
	return (take_keys(cmd, p, end));
}

enum parse_rc
parse_touchkeys(struct command *cmd, const char *p, const char *end)
{
	struct slice exptime = token_next(cmd->line.p, &p, end);

	cmd->op.verb = OP_GET;
	cmd->op.want = OPW_VALUE | OPW_FLAGS | (cmd->id == CMD_GATS ? OPW_CAS : 0);
	cmd->op.opts = OPF_TTL | OPF_CLASSIC;
	cmd->op.order = OPO_TTL;
	if (token_skip(p, end) == end)
		return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
	if (!token_i32(exptime, &cmd->op.ttl))
		return (parse_bad(cmd, "CLIENT_ERROR invalid exptime argument", 0));
	return (take_keys(cmd, p, end));
}

static enum op_mode
store_mode(enum cmd_id id)
{
	switch (id) {
	case CMD_ADD:
		return (OP_ADD);
	case CMD_REPLACE:
		return (OP_REPLACE);
	case CMD_APPEND:
		return (OP_APPEND);
	case CMD_PREPEND:
		return (OP_PREPEND);
	default:
		return (OP_SET);
	}
}

/* <verb> <key> <flags> <exptime> <bytes> [<cas>] [noreply] */
enum parse_rc
parse_store(struct command *cmd, const char *p, const char *end)
{
	const char *line = cmd->line.p;
	struct op *op = &cmd->op;
	struct slice flags, exptime, bytes;
	struct tokens rest = { .n = 0 };
	int32_t vlen;

	op->verb = OP_STORE;
	op->mode = (uint8_t)store_mode(cmd->id);
	op->key = token_next(line, &p, end);
	flags = token_next(line, &p, end);
	exptime = token_next(line, &p, end);
	bytes = token_next(line, &p, end);
	if (bytes.len == 0 || !token_i32(bytes, &vlen) || vlen < 0 || vlen > PARSE_VLEN_MAX) {
		return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
	}
	if (UNLIKELY(p < end)) {
		tokens_split(&rest, p, end, TOKEN_MAX - 5);
		cmd->quiet = tokens_noreply(&rest);
	}
	op->opts = OPF_TTL | OPF_FLAGS | OPF_CLASSIC;
	op->vlen = (uint32_t)vlen;
	cmd->has_body = true;
	if (op->key.len > OP_KEY_MAX || !token_loose_u32(flags, end, &op->client_flags) ||
	    !token_loose_i32(exptime, end, &op->ttl) ||
	    (cmd->id == CMD_CAS && (rest.n == 0 || !token_u64(rest.t[0], &op->cas)))) {
		return (parse_bad(cmd, PARSE_BAD_FORMAT, (uint64_t)vlen + 2));
	}
	if (cmd->id == CMD_CAS)
		op->opts |= OPF_CAS;
	return (PARSE_DONE);
}

/* incr and decr: <key> <delta>; touch: <key> <exptime>; delete: <key>. More words are let pass. */
enum parse_rc
parse_key(struct command *cmd, const char *p, const char *end)
{
	const char *line = cmd->line.p;
	struct op *op = &cmd->op;
	bool del = cmd->id == CMD_DELETE;
	struct tokens rest = { .n = 0 };
	struct slice arg;

	op->verb = del ? OP_DELETE : cmd->id == CMD_TOUCH ? OP_GET : OP_ARITH;
	op->key = token_next(line, &p, end);
	arg = token_next(line, &p, end);
	if (del ? op->key.len == 0 : arg.len == 0) {
		return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
	}
	if (UNLIKELY(p < end))
		tokens_split(&rest, p, end, TOKEN_MAX - 3);
	/* `delete key b c d`: memcached once refused it, and memcapable holds servers to that. */
	if (del && rest.n > 1) {
		return (parse_bad(cmd, "ERROR", 0));
	}
	cmd->quiet = rest.n > 0 ? tokens_noreply(&rest) : token_is_noreply(arg.len > 0 ? arg : op->key);
	if (op->key.len > OP_KEY_MAX)
		return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
	if (cmd->id == CMD_TOUCH) {
		op->opts = OPF_TTL | OPF_CLASSIC;
		op->order = OPO_TTL;
		if (!token_i32(arg, &op->ttl))
			return (parse_bad(cmd, "CLIENT_ERROR invalid exptime argument", 0));
	} else if (!del) {
		op->mode = cmd->id == CMD_DECR ? OP_DECR : OP_INCR;
		op->want = OPW_VALUE;
		if (!token_u64(arg, &op->delta))
			return (parse_bad(cmd, "CLIENT_ERROR invalid numeric delta argument", 0));
	}
	return (PARSE_DONE);
}
