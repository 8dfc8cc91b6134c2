/*
 * record.c - lines of the record commands: an id or a name, a count where a body follows, flags.
 *
 * Two passes, as memcached reads meta commands: the first splits the line and finds what makes all of it worthless, the
 * second takes flag after flag from a copy that the command owns. Names in base64 are decoded in place, there.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "proto/base64.h"
#include "proto/command.h"
#include "proto/record.h"
#include "proto/record_words.h"
#include "proto/token.h"

#define LETTERS		('z' + 1 - 'A')

/* The commands, as bits for the table's last column. */
enum { G = 1, D = 2, P = 4, M = 8, S = 16, H = 32, SUB_P = 64, SUB_D = 128 };

enum arg {
	ARG_NONE,
	ARG_BYTES,
	ARG_CODEC,
	ARG_DEADLINE,
	ARG_FROM,
	ARG_HEAD,
	ARG_ITEMS,
	ARG_KEY,
	ARG_NONCE,
	ARG_OPAQUE,
	ARG_PAGE,
	ARG_PART,
	ARG_RETURN,
	ARG_SPACE,
	ARG_TIME,
	ARG_UNTIL,
	ARG_VALUE_MAX,
};

static const struct flag_row {
	uint8_t		 arg;		/* enum arg */
	uint8_t		 who;		/* commands that take it */
	uint32_t	 bit;		/* RF_* */
} rows[LETTERS] = {
#define RFLAG(letter, arg, bit, who)	[letter - 'A'] = { ARG_##arg, who, bit },
#include "tbl/record_flags.h"
#undef RFLAG
};

/* A line while it is read. */
struct reader {
	struct record_cmd *cmd;
	unsigned	 who;
	struct slice	 key;		/* in the line */
	const char	*flags;		/* in the line, from here on */
	const char	*error;		/* the last one of an argument counts */
};

static const char *const codec_words[CODEC_COUNT] = { [CODEC_NONE] = "none", [CODEC_ZSTD] = "zstd" };

const char *
record_codec_word(enum codec codec)
{
	return ((unsigned)codec < CODEC_COUNT ? codec_words[codec] : "?");
}

bool
record_codec_find(struct slice word, uint8_t *codec)
{
	for (unsigned i = 0; i < CODEC_COUNT; i++)
		if (slice_eq_str(word, codec_words[i])) {
			*codec = (uint8_t)i;
			return (true);
		}
	return (false);
}

bool
record_name_decode(struct slice *name)
{
	char *p = (char *)(uintptr_t)name->p;

	if (name->len == 0)
		return (true);
	name->len = base64_get(p, p, name->len);
	return (name->len > 0);
}

static void
take_u64(struct reader *r, struct slice arg, uint64_t least, uint64_t *out)
{
	if (arg.len == 0 || !token_u64(arg, out) || *out < least)
		r->error = RECORD_BAD_TOKEN;
}

/* <i>/<n> */
static void
take_part(struct reader *r, struct slice arg)
{
	struct record_cmd *cmd = r->cmd;
	const char *slash = arg.len > 0 ? memchr(arg.p, '/', arg.len) : NULL;
	size_t len = slash != NULL ? (size_t)(slash - arg.p) : 0;

	if (len == 0 || len + 1 == arg.len || !token_u32(slice_of(arg.p, len), &cmd->part) ||
	    !token_u32(slice_of(slash + 1, arg.len - len - 1), &cmd->parts) ||
	    cmd->part < 1 || cmd->part > cmd->parts || cmd->parts > RECORD_PARTS_MAX)
		r->error = RECORD_BAD_TOKEN;
}

bool
record_nonce(struct slice hex, uint8_t nonce[NONCE_LEN])
{
	memset(nonce, 0, NONCE_LEN);
	if (hex.len == 0 || hex.len > 2 * NONCE_LEN)
		return (false);
	for (size_t i = 0; i < hex.len; i++) {
		char c = hex.p[hex.len - 1 - i];
		unsigned v = (unsigned)c - '0';

		if (v > 9) {
			c |= 0x20;
			v = c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
		}
		if (v > 15)
			return (false);
		nonce[NONCE_LEN - 1 - i / 2] |= (uint8_t)(v << 4 * (i % 2));
	}
	return (true);
}

static void
take_page(struct reader *r, struct slice arg)
{
	bool good = arg.len > 0 && arg.len <= RECORD_TOKEN_MAX;

	for (size_t i = 0; good && i < arg.len; i++)
		good = arg.p[i] > ' ' && arg.p[i] < 0x7f;
	if (!good)
		r->error = "CLIENT_ERROR bad page token";
	r->cmd->token = arg;
}

static void
take_space(struct reader *r, struct slice arg)
{
	if (arg.len == 0 || arg.p[arg.len - 1] != '/')
		r->error = RECORD_BAD_TOKEN;
	else
		r->cmd->space = slice_of(arg.p, arg.len - 1);
}

static void
take_codec(struct reader *r, struct slice arg)
{
	uint8_t codec;

	/* What only the client knows does no harm. */
	if (record_codec_find(arg, &codec))
		r->cmd->codecs |= 1u << codec;
}

static void
take_return(struct reader *r, char letter)
{
	if ((r->who & (G | S)) != 0)
		r->cmd->returns[r->cmd->nreturns++] = letter;
}

/* word: letter and argument. */
static void
take_argument(struct reader *r, enum arg kind, struct slice word)
{
	struct record_cmd *cmd = r->cmd;
	struct slice arg = slice_of(word.p + 1, word.len - 1);

	switch (kind) {
	case ARG_NONE:
		break;
	case ARG_BYTES:
		take_u64(r, arg, 1, &cmd->bytes);
		break;
	case ARG_CODEC:
		take_codec(r, arg);
		break;
	case ARG_DEADLINE:
		take_u64(r, arg, 1, &cmd->deadline);
		break;
	case ARG_FROM:
		cmd->from = arg;
		break;
	case ARG_HEAD:
		cmd->head = arg;
		break;
	case ARG_ITEMS:
		take_u64(r, arg, 1, &cmd->items);
		break;
	case ARG_KEY:
		cmd->keys[cmd->nkeys++] = arg;
		break;
	case ARG_NONCE:
		if (!record_nonce(arg, cmd->nonce))
			r->error = RECORD_BAD_TOKEN;
		break;
	case ARG_OPAQUE:
		cmd->opaque = word;
		take_return(r, 'O');
		break;
	case ARG_PAGE:
		take_page(r, arg);
		break;
	case ARG_PART:
		take_part(r, arg);
		break;
	case ARG_RETURN:
		take_return(r, *word.p);
		break;
	case ARG_SPACE:
		take_space(r, arg);
		break;
	case ARG_TIME:
		take_u64(r, arg, 0, &cmd->time);
		break;
	case ARG_UNTIL:
		cmd->until = arg;
		break;
	case ARG_VALUE_MAX:
		take_u64(r, arg, 0, &cmd->value_max);
		break;
	}
}

/* All flags in [p, end). What no such command has, or has once, ends it: the arguments behind are not looked at. */
static void
take_flags(struct reader *r, const char *p, const char *end)
{
	const char *line = p, *e;
	uint64_t seen = 0;

	for (; (p = token_skip(p, end)) < end; p = e) {
		unsigned at = (unsigned char)*p - (unsigned)'A';

		e = token_end(line, p, end);
		if (at >= LETTERS || (rows[at].who & r->who) == 0) {
			r->error = RECORD_INVALID_FLAG;
			return;
		}
		if ((seen >> at & 1) != 0 && rows[at].arg != ARG_KEY && rows[at].arg != ARG_CODEC) {
			r->error = RECORD_DUPLICATE_FLAG;
			return;
		}
		seen |= (uint64_t)1 << at;
		r->cmd->flags |= rows[at].bit;
		take_argument(r, (enum arg)rows[at].arg, slice_of(p, (size_t)(e - p)));
	}
}

const char *
record_item_key(struct slice *key, bool binary)
{
	if (binary && !record_name_decode(key))
		return (RECORD_BAD_KEY);
	return (key->len > RECORD_ITEM_KEY_MAX ? "CLIENT_ERROR item key longer than 1024 bytes" : NULL);
}

/* Decodes what came in base64, and measures. Returns what is wrong. */
static const char *
finish_names(struct record_cmd *cmd, unsigned who)
{
	bool binary = (cmd->flags & RF_BINARY) != 0;
	const char *error = NULL;

	if (binary && (who & (S | H)) == 0) {
		if (!record_name_decode(&cmd->key))
			return (RECORD_BAD_KEY);
		if (cmd->key.len > OP_KEY_MAX)
			return (RECORD_BAD_FORMAT);
	}
	for (uint32_t i = 0; i < cmd->nkeys && error == NULL; i++)
		error = record_item_key(&cmd->keys[i], binary);
	if (error == NULL)
		error = record_item_key(&cmd->from, binary);
	if (error == NULL)
		error = record_item_key(&cmd->until, binary);
	return (error != NULL ? error : record_item_key(&cmd->head, binary));
}

/* Flags that do not go together. */
static const char *
finish_flags(const struct record_cmd *cmd)
{
	const uint32_t range = RF_FROM | RF_UNTIL | RF_HEAD | RF_REVERSE;

	if ((cmd->flags & RF_KEYS) != 0 && (cmd->flags & range) != 0)
		return ("CLIENT_ERROR bad predicate");
	if ((cmd->flags & RF_FROM) != 0 && (cmd->flags & RF_UNTIL) != 0 && slice_cmp(cmd->from, cmd->until) > 0)
		return ("CLIENT_ERROR reversed range");
	if ((cmd->flags & RF_NONCE) != 0 && (cmd->flags & RF_TIME) == 0)
		return ("CLIENT_ERROR P needs E");
	if (cmd->opaque.len > COMMAND_OPAQUE_MAX)
		return ("CLIENT_ERROR opaque token too long");
	return (NULL);
}

/* What is returned if nothing was asked for, in front of O. */
static void
finish_returns(struct record_cmd *cmd, unsigned who)
{
	const char *usual = who == G ? "kv" : "ikv";
	size_t n = strlen(usual);

	if ((who & (G | S)) == 0 || cmd->nreturns > 1 || (cmd->nreturns == 1 && cmd->returns[0] != 'O'))
		return;
	cmd->returns[n] = 'O';
	memcpy(cmd->returns, usual, n);
	cmd->nreturns = (uint8_t)(cmd->nreturns + n);
}

/* The errors in the order in which memcached would meet them: of the id, of the flags one by one, of all of them. */
static const char *
finish(struct reader *r)
{
	struct record_cmd *cmd = r->cmd;
	const char *error;

	if (cmd->key.len > OP_KEY_MAX && ((cmd->flags & RF_BINARY) == 0 || (r->who & (S | H)) != 0))
		return (RECORD_BAD_FORMAT);
	if (r->error != NULL)
		return (r->error);
	error = finish_names(cmd, r->who);
	if (error == NULL)
		error = finish_flags(cmd);
	if (error == NULL)
		finish_returns(cmd, r->who);
	return (error);
}

/* The count of a kp or km. Without a readable one nobody knows what follows. */
static const char *
take_count(struct record_cmd *cmd, struct slice word)
{
	if (word.len == 0 || !token_u32(word, &cmd->count) || cmd->count == 0)
		return (RECORD_BAD_FORMAT);
	cmd->has_count = true;
	return (NULL);
}

/* The words before the flags, each with its own place. */
static const char *
take_head(struct reader *r, struct slice line)
{
	const char *p = line.p + 2, *end = line.p + line.len, *error = NULL;

	r->key = SLICE_NULL;
	if (r->who != M)
		r->key = token_next(line.p, &p, end);
	if (r->key.len == 0 && (r->who & (M | H)) == 0)
		return (RECORD_BAD_FORMAT);
	if ((r->who & (P | M | SUB_P)) != 0)
		error = take_count(r->cmd, token_next(line.p, &p, end));
	r->flags = p;
	return (error);
}

/* The first pass over the flags: what spoils the line whatever they are. */
static const char *
survey(const char *p, const char *end, unsigned *nkeys)
{
	const char *line = p;
	unsigned others = 0;

	*nkeys = 0;
	for (; (p = token_skip(p, end)) < end; p = token_end(line, p, end)) {
		if ((*p < 'A' || *p > 'z') && (*p < '0' || *p > '9'))
			return (RECORD_BAD_FORMAT);
		*p == 'K' ? (*nkeys)++ : others++;
	}
	return (*nkeys > RECORD_KEYS_MAX || others > RECORD_FLAGS_MAX ? "CLIENT_ERROR options flags are too long" : NULL);
}

static const char *
check_count(const struct record_cmd *cmd, unsigned who)
{
	if ((who & (P | SUB_P)) != 0 && cmd->count > RECORD_PUTS_MAX)
		return ("CLIENT_ERROR too many items");
	return (who == M && cmd->count > RECORD_SUBS_MAX ? "CLIENT_ERROR too many mutations" : NULL);
}

static const char *
parse(struct reader *r, struct slice line)
{
	struct record_cmd *cmd = r->cmd;
	const char *error = take_head(r, line), *split;
	unsigned nkeys;
	char *copy;

	if (error != NULL)
		return (error);
	split = survey(r->flags, line.p + line.len, &nkeys);
	if (split != NULL)
		return (split);
	error = check_count(cmd, r->who);
	if (error != NULL)
		return (error);
	cmd->size = nkeys * sizeof *cmd->keys + line.len;
	cmd->mem = malloc(cmd->size);
	if (cmd->mem == NULL)
		return (RECORD_NO_MEMORY);
	cmd->keys = cmd->mem;
	copy = (char *)(cmd->keys + nkeys);
	memcpy(copy, line.p, line.len);
	if (r->key.len > 0)
		cmd->key = slice_of(copy + (r->key.p - line.p), r->key.len);
	take_flags(r, copy + (r->flags - line.p), copy + line.len);
	return (finish(r));
}

static void
parse_as(struct slice line, uint8_t id, unsigned who, struct record_cmd *cmd)
{
	struct reader r = { .cmd = cmd, .who = who };

	memset(cmd, 0, sizeof *cmd);
	cmd->id = id;
	cmd->error = parse(&r, line);
	if (cmd->error != NULL)
		record_cmd_end(cmd);
}

void
record_parse(struct slice line, uint8_t id, struct record_cmd *cmd)
{
	static const uint8_t whos[CMD_COUNT] = { [CMD_KG] = G, [CMD_KD] = D, [CMD_KP] = P, [CMD_KM] = M, [CMD_KS] = S,
	    [CMD_KH] = H };

	parse_as(line, id, whos[id], cmd);
}

void
record_parse_sub(struct slice line, struct record_cmd *cmd)
{
	const char *p = line.p, *end = p + line.len;
	struct slice word = slice_of(p, (size_t)(token_end(p, p, end) - p));

	if (slice_eq_str(word, "kp"))
		parse_as(line, CMD_KP, SUB_P, cmd);
	else if (slice_eq_str(word, "kd"))
		parse_as(line, CMD_KD, SUB_D, cmd);
	else {
		memset(cmd, 0, sizeof *cmd);
		cmd->error = RECORD_BAD_FORMAT;
	}
}

void
record_cmd_end(struct record_cmd *cmd)
{
	free(cmd->mem);
	cmd->mem = NULL;
	cmd->size = 0;
}
