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

	*key = parse_word(&p, end);
	*keys = slice_of(p, (size_t)(end - p));
	return (key->len > 0);
}

/* Counts and checks the keys in [p, end). */
static void
take_keys(struct command *cmd, const char *p, const char *end)
{
	p = token_skip(p, end);
	cmd->keys = slice_of(p, (size_t)(end - p));
	cmd->nkeys = 0;
	while (p < end) {
		const char *e = token_end(p, end);

		if (UNLIKELY(e - p > OP_KEY_MAX)) {
			parse_bad(cmd, PARSE_BAD_FORMAT, 0);
			return;
		}
		if (cmd->nkeys++ == 0)
			cmd->op.key = slice_of(p, (size_t)(e - p));
		p = token_skip(e, end);
	}
	if (cmd->nkeys == 0)
		parse_bad(cmd, PARSE_BAD_FORMAT, 0);
}

void
parse_keys(struct command *cmd, const char *p, const char *end)
{
	cmd->op.verb = OP_GET;
	cmd->op.opts = OPF_CLASSIC;
	cmd->op.want = OPW_VALUE | OPW_FLAGS | (cmd->id == CMD_GETS ? OPW_CAS : 0);
	take_keys(cmd, p, end);
}

void
parse_touchkeys(struct command *cmd, const char *p, const char *end)
{
	struct slice exptime = parse_word(&p, end);

	cmd->op.verb = OP_GET;
	cmd->op.want = OPW_VALUE | OPW_FLAGS | (cmd->id == CMD_GATS ? OPW_CAS : 0);
	cmd->op.opts = OPF_TTL | OPF_CLASSIC;
	if (token_skip(p, end) == end)
		parse_bad(cmd, PARSE_BAD_FORMAT, 0);
	else if (!token_i32(exptime, &cmd->op.ttl))
		parse_bad(cmd, "CLIENT_ERROR invalid exptime argument", 0);
	else
		take_keys(cmd, p, end);
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
void
parse_store(struct command *cmd, const char *p, const char *end)
{
	struct op *op = &cmd->op;
	struct tokens ts;
	int32_t vlen;

	op->verb = OP_STORE;
	op->mode = (uint8_t)store_mode(cmd->id);
	tokens_split(&ts, p, end, TOKEN_MAX - 1);
	if (ts.n < 4 || !token_i32(ts.t[3], &vlen) || vlen < 0 || vlen > PARSE_VLEN_MAX) {
		parse_bad(cmd, PARSE_BAD_FORMAT, 0);
		return;
	}
	cmd->quiet = ts.n > 4 && tokens_noreply(&ts);
	op->opts = OPF_TTL | OPF_FLAGS;
	op->key = ts.t[0];
	op->vlen = (uint32_t)vlen;
	cmd->has_body = true;
	if (op->key.len > OP_KEY_MAX ||
	    !token_loose_u32(ts.t[1].p, end, &op->client_flags) ||
	    !token_loose_i32(ts.t[2].p, end, &op->ttl) ||
	    (cmd->id == CMD_CAS && (ts.n < 5 || !token_u64(ts.t[4], &op->cas)))) {
		parse_bad(cmd, PARSE_BAD_FORMAT, (uint64_t)vlen + 2);
		return;
	}
	if (cmd->id == CMD_CAS)
		op->opts |= OPF_CAS;
}

/* incr and decr: <key> <delta>; touch: <key> <exptime>; delete: <key>. More words are let pass. */
void
parse_key(struct command *cmd, const char *p, const char *end)
{
	struct op *op = &cmd->op;
	struct tokens ts;

	op->verb = cmd->id == CMD_DELETE ? OP_DELETE : cmd->id == CMD_TOUCH ? OP_GET : OP_ARITH;
	tokens_split(&ts, p, end, TOKEN_MAX - 1);
	if (ts.n < (cmd->id == CMD_DELETE ? 1 : 2)) {
		parse_bad(cmd, PARSE_BAD_FORMAT, 0);
		return;
	}
	/* `delete key b c d`: memcached once refused it, and memcapable holds servers to that. */
	if (cmd->id == CMD_DELETE && ts.n > 3) {
		parse_bad(cmd, "ERROR", 0);
		return;
	}
	cmd->quiet = tokens_noreply(&ts);
	op->key = ts.t[0];
	if (op->key.len > OP_KEY_MAX)
		parse_bad(cmd, PARSE_BAD_FORMAT, 0);
	else if (cmd->id == CMD_TOUCH) {
		op->opts = OPF_TTL | OPF_CLASSIC;
		if (!token_i32(ts.t[1], &op->ttl))
			parse_bad(cmd, "CLIENT_ERROR invalid exptime argument", 0);
	} else if (cmd->id != CMD_DELETE) {
		op->mode = cmd->id == CMD_DECR ? OP_DECR : OP_INCR;
		op->want = OPW_VALUE;
		if (!token_u64(ts.t[1], &op->delta))
			parse_bad(cmd, "CLIENT_ERROR invalid numeric delta argument", 0);
	}
}
