/*
 * meta.c - lines of the meta commands: a key and single-letter flags, some with an argument.
 *
 * What a letter means is a row of tbl/meta_flags.h, read through a table indexed by the letter; a line is read in one
 * pass. memcached looks at such a line three times (split, check, answer) and each pass has its own errors, so the
 * first error found here is not always the one to tell: after an error the rest is only split, and whatever an earlier
 * pass would have found wins.
 */
#include "config.h"

#include <stddef.h>

#include "proto/base64.h"
#include "proto/parse.h"

#define FLAGS_MAX	20	/* words of a line, command and key among them */

enum arg {
	ARG_UNKNOWN,
	ARG_NONE,
	ARG_CAS,
	ARG_DELTA,
	ARG_FLAGS,
	ARG_INITIAL,
	ARG_KEY64,
	ARG_MODE,
	ARG_NEWCAS,
	ARG_NONCE,
	ARG_OPAQUE,
	ARG_QUIET,
	ARG_RECACHE,
	ARG_SETTTL,
	ARG_SPACE,
	ARG_VIVIFY,
};

/* What a letter is to one command. */
struct flag_row {
	uint8_t		 arg;		/* enum arg */
	bool		 echoed;
	uint16_t	 opt;		/* OPF_* */
	uint16_t	 want;		/* OPW_* */
	uint8_t		 order;		/* OPO_* */
};

/* The commands, as bits for the table's columns and as its indices. */
enum { G = 1, S = 2, D = 4, A = 8 };
enum who { WHO_G, WHO_S, WHO_D, WHO_A, WHO_COUNT, WHO_DEBUG = WHO_COUNT };

#define LETTERS		('z' + 1 - 'A')

#define ORDER(opt, want)									\
	((opt) == OPF_TTL ? OPO_TTL : (opt) == OPF_VIVIFY ? OPO_VIVIFY : (opt) == OPF_RECACHE ? OPO_RECACHE :	\
	    (want) == OPW_TTL ? OPO_SHOW : 0)

static const struct flag_row rows[WHO_COUNT][LETTERS] = {
#define ROW(who, letter, arg, opt, want, heeded, echoed)						\
	[letter - 'A'] = { ARG_##arg, ((echoed) & (who)) != 0, ((heeded) & (who)) != 0 ? (opt) : 0,	\
	    ((heeded) & (who)) != 0 ? (want) : 0, ((heeded) & (who) & (G | A)) != 0 ? ORDER(opt, want) : 0 },
	[WHO_G] = {
#define MFLAG(...)	ROW(G, __VA_ARGS__)
#include "tbl/meta_flags.h"
#undef MFLAG
	},
	[WHO_S] = {
#define MFLAG(...)	ROW(S, __VA_ARGS__)
#include "tbl/meta_flags.h"
#undef MFLAG
	},
	[WHO_D] = {
#define MFLAG(...)	ROW(D, __VA_ARGS__)
#include "tbl/meta_flags.h"
#undef MFLAG
	},
	[WHO_A] = {
#define MFLAG(...)	ROW(A, __VA_ARGS__)
#include "tbl/meta_flags.h"
#undef MFLAG
	},
#undef ROW
};

/* A line while it is read. */
struct meta {
	struct command	*cmd;
	const char	*error;		/* the last one counts */
	bool		 failed;
	char		 mode;		/* M's letter; '\0': none */
};

static void
fail(struct meta *m, const char *error)
{
	if (error != NULL)
		m->error = error;
	m->failed = true;
}

static void
take_i32(struct meta *m, struct slice arg, int32_t *out)
{
	if (arg.len == 0 || !token_i32(arg, out))
		fail(m, "CLIENT_ERROR bad token in command line format");
}

static void
take_u64(struct meta *m, struct slice arg, uint64_t *out, const char *error)
{
	if (arg.len == 0 || !token_u64(arg, out))
		fail(m, error);
}

static void
take_key64(struct meta *m)
{
	struct slice *key = &m->cmd->op.key;

	if (key->len > OP_KEY_MAX)
		return;		/* an error of its own */
	/* Not in place: a command that has to wait is parsed again. */
	key->len = base64_get(m->cmd->key64, key->p, key->len);
	key->p = m->cmd->key64;
	if (key->len == 0)
		fail(m, "CLIENT_ERROR error decoding key");
}

/* The flags with arguments. word: letter and argument. */
static void __attribute__((noinline))
take_argument(struct meta *m, enum arg kind, struct slice word)
{
	struct command *cmd = m->cmd;
	struct op *op = &cmd->op;
	struct slice arg = slice_of(word.p + 1, word.len - 1);

	switch (kind) {
	case ARG_UNKNOWN:
	case ARG_NONE:
		break;
	case ARG_QUIET:
		cmd->quiet = true;
		break;
	case ARG_KEY64:
		take_key64(m);
		break;
	case ARG_CAS:
		take_u64(m, arg, &op->cas, "CLIENT_ERROR bad token in command line format");
		break;
	case ARG_NEWCAS:
		take_u64(m, arg, &op->newcas, "CLIENT_ERROR bad token in command line format");
		break;
	case ARG_DELTA:
		take_u64(m, arg, &op->delta, "CLIENT_ERROR invalid numeric delta value");
		break;
	case ARG_INITIAL:
		take_u64(m, arg, &op->initial, "CLIENT_ERROR invalid numeric initial value");
		break;
	case ARG_FLAGS:
		if (arg.len == 0 || !token_u32(arg, &op->client_flags))
			fail(m, NULL);
		break;
	case ARG_SETTTL:
		take_i32(m, arg, &op->ttl);
		break;
	case ARG_VIVIFY:
		take_i32(m, arg, &op->vivify_ttl);
		break;
	case ARG_RECACHE:
		take_i32(m, arg, &op->recache_ttl);
		break;
	case ARG_MODE:
		m->mode = arg.len > 0 ? arg.p[0] : ' ';
		break;
	case ARG_OPAQUE:
		cmd->opaque = word;
		break;
	case ARG_NONCE:
		cmd->nonce = word;
		break;
	case ARG_SPACE:
		cmd->space = arg;
		break;
	}
}

/*
 * The checking pass ended before p, of which n words came before, with an error; what is left to find is what
 * memcached's splitting of the line would have found first. False as in take_flags().
 */
static bool __attribute__((noinline, cold))
take_rest(struct meta *m, const char *p, const char *end, unsigned n, const char *error)
{
	fail(m, error);
	for (; (p = token_skip(p, end)) < end && n < TOKEN_MAX; n++) {
		if ((*p < 'A' || *p > 'z') && (*p < '0' || *p > '9'))
			return (false);
		p = token_end(m->cmd->line.p, p, end);
	}
	if (n > FLAGS_MAX)
		fail(m, "CLIENT_ERROR options flags are too long");
	return (true);
}

/*
 * All flags in [p, end); n: how many words came before, seen: the flags among them. False when a word begins with
 * what no flag can: then nothing of the line counts.
 */
static inline bool __attribute__((always_inline))
take_flags(struct meta *m, const char *p, const char *end, unsigned n, uint64_t seen, enum who who)
{
	const struct flag_row *const mine = rows[who];
	struct command *cmd = m->cmd;
	const char *e;
	unsigned opts = 0, want = 0, order = cmd->op.order, shift = order != 0 ? OPO_BITS : 0;

	for (; (p = token_skip(p, end)) < end; p = e) {
		unsigned at = (unsigned char)*p - (unsigned)'A';

		if (UNLIKELY(at >= LETTERS || n++ == FLAGS_MAX))
			return (take_rest(m, p, end, n - (at < LETTERS), "CLIENT_ERROR invalid flag"));
		if (UNLIKELY((seen >> at & 1) != 0))
			return (take_rest(m, p, end, n - 1, "CLIENT_ERROR duplicate flag"));
		if (UNLIKELY(mine[at].arg == ARG_UNKNOWN))
			return (take_rest(m, p, end, n - 1, "CLIENT_ERROR invalid flag"));
		e = p + 1 == end || p[1] == ' ' ? p + 1 : token_end(cmd->line.p, p, end);
		seen |= (uint64_t)1 << at;
		opts |= mine[at].opt;
		want |= mine[at].want;
		order |= (unsigned)mine[at].order << shift;
		shift += mine[at].order != 0 ? OPO_BITS : 0;
		if (mine[at].echoed)
			cmd->rflags[cmd->nrflags++] = *p;
		if (mine[at].arg != ARG_NONE)
			take_argument(m, (enum arg)mine[at].arg, slice_of(p, (size_t)(e - p)));
	}
	cmd->op.opts |= (uint16_t)opts;
	cmd->op.want |= (uint16_t)want;
	cmd->op.order = (uint16_t)order;
	return (true);
}

/* ms: what M says; options that its mode has no use for are dropped. Returns what is wrong. */
static const char *
finish_store(struct op *op, char mode)
{
	static const struct { char letter; uint8_t mode; } modes[] = {
		{ '\0', OP_SET }, { 'S', OP_SET }, { 'E', OP_ADD }, { 'A', OP_APPEND }, { 'P', OP_PREPEND },
		{ 'R', OP_REPLACE },
	};
	unsigned i;

	for (i = 0; i < NITEMS(modes) && modes[i].letter != mode; i++)
		;
	if (i == NITEMS(modes))
		return ("CLIENT_ERROR invalid mode for ms M token");
	op->mode = modes[i].mode;
	if (op->mode != OP_APPEND && op->mode != OP_PREPEND)
		op->opts &= (uint16_t)~OPF_VIVIFY;
	if ((op->opts & OPF_CAS) == 0 || (op->mode != OP_SET && op->mode != OP_REPLACE))
		op->opts &= (uint16_t)~OPF_INVALIDATE;
	return (NULL);
}

static const char *
finish_arith(struct op *op, char mode)
{
	switch (mode) {
	case '\0':
	case 'I':
	case '+':
		op->mode = OP_INCR;
		return (NULL);
	case 'D':
	case '-':
		op->mode = OP_DECR;
		return (NULL);
	}
	return ("CLIENT_ERROR invalid mode for ma M token");
}

/*
 * me minds no flag but a b right behind the key; memcached heeds that one only when yet another word follows, which
 * surprises whoever types it.
 */
static enum parse_rc __attribute__((noinline, cold))
parse_debug(struct meta *m, const char *p, const char *end)
{
	struct op *op = &m->cmd->op;

	op->verb = OP_DEBUG;
	if (op->key.len > OP_KEY_MAX)
		m->failed = true;
	for (unsigned n = 2; (p = token_skip(p, end)) < end && n < TOKEN_MAX; n++) {
		const char *e = token_end(m->cmd->line.p, p, end);
		unsigned char c = (unsigned char)*p;

		if ((c < 'A' || c > 'z') && (c < '0' || c > '9'))
			m->failed = true;
		if (n == 2 && e - p == 1 && c == 'b') {
			op->opts |= OPF_BINKEY;
			take_key64(m);
		}
		p = e;
	}
	return (m->failed ? parse_bad(m->cmd, PARSE_BAD_FORMAT, 0) : PARSE_DONE);
}

/* The errors of the checking pass and of the later ones, in the order in which memcached meets them. */
static enum parse_rc __attribute__((noinline))
finish(struct meta *m, size_t keylen)
{
	struct command *cmd = m->cmd;
	uint64_t swallow = cmd->has_body ? (uint64_t)cmd->op.vlen + 2 : 0;
	const char *error = NULL;

	if (keylen > OP_KEY_MAX)
		error = PARSE_BAD_FORMAT;
	else if (m->failed)
		error = m->error;
	if (error != NULL && cmd->op.verb == OP_ARITH)
		error = "CLIENT_ERROR invalid or duplicate flag";
	if (error == NULL && cmd->op.verb == OP_STORE)
		error = finish_store(&cmd->op, m->mode);
	else if (error == NULL && cmd->op.verb == OP_ARITH)
		error = finish_arith(&cmd->op, m->mode);
	if (error == NULL && cmd->opaque.len > COMMAND_OPAQUE_MAX)
		error = "CLIENT_ERROR opaque token too long";
	if (LIKELY(error == NULL))
		return (PARSE_DONE);
	cmd->quiet = false;
	return (parse_bad(cmd, error, swallow));
}

/* ms: the length. False: unreadable, so the body is not to be swallowed. */
static bool __attribute__((noinline))
take_length(struct command *cmd, const char **p, const char *end)
{
	struct slice len = token_next(cmd->line.p, p, end);
	int32_t vlen;

	if (len.len == 0 || !token_i32(len, &vlen) || vlen < 0 || vlen > PARSE_VLEN_MAX)
		return (false);
	cmd->op.vlen = (uint32_t)vlen;
	cmd->has_body = true;
	return (true);
}

/* What a line begins with once its key is known. */
static inline void
begin(struct command *cmd, struct slice key, enum op_verb verb)
{
	cmd->nrflags = 0;
	cmd->opaque.len = cmd->nonce.len = cmd->space.len = 0;
	cmd->op.key = key;
	cmd->op.verb = (uint8_t)verb;
}

/* A line of who's command; inlined once for each, so that the branches of the others are folded. */
static inline enum parse_rc __attribute__((always_inline))
parse_line(struct command *cmd, const char *p, const char *end, enum who who)
{
	static const uint8_t verbs[] = { [WHO_G] = OP_GET, [WHO_S] = OP_STORE, [WHO_D] = OP_DELETE,
	    [WHO_A] = OP_ARITH, [WHO_DEBUG] = OP_DEBUG };
	struct slice key = token_next(cmd->line.p, &p, end);
	struct meta m = { .cmd = cmd, .error = PARSE_BAD_FORMAT };

	begin(cmd, key, (enum op_verb)verbs[who]);
	if (UNLIKELY(key.len == 0 || (who == WHO_S && !take_length(cmd, &p, end))))
		return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
	if (who == WHO_DEBUG)
		return (parse_debug(&m, p, end));
	if (who == WHO_A)
		cmd->op.delta = 1;
	if (UNLIKELY(!take_flags(&m, p, end, who == WHO_S ? 3 : 2, 0, who))) {
		cmd->quiet = false;
		return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
	}
	return (finish(&m, key.len));
}

static enum parse_rc __attribute__((noinline))
parse_others(struct command *cmd, const char *p, const char *end)
{
	switch (cmd->id) {
	case CMD_MS:
		return (parse_line(cmd, p, end, WHO_S));
	case CMD_MD:
		return (parse_line(cmd, p, end, WHO_D));
	case CMD_MA:
		return (parse_line(cmd, p, end, WHO_A));
	default:
		return (parse_line(cmd, p, end, WHO_DEBUG));
	}
}

/* The rest of an mg from p on, of which some plain flags are done. */
static enum parse_rc __attribute__((noinline))
parse_mg_rest(struct command *cmd, const char *p, const char *end, uint64_t seen)
{
	struct meta m = { .cmd = cmd, .error = PARSE_BAD_FORMAT };
	size_t keylen = cmd->op.key.len;

	if (UNLIKELY(!take_flags(&m, p, end, 2 + (unsigned)__builtin_popcountll(seen), seen, WHO_G))) {
		cmd->quiet = false;
		return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
	}
	/* No later errors but the opaque's. */
	if (UNLIKELY(m.failed || keylen > OP_KEY_MAX || cmd->opaque.len > COMMAND_OPAQUE_MAX))
		return (finish(&m, keylen));
	return (PARSE_DONE);
}

/*
 * mg. A loop of its own for flags without arguments, one space before each: most lines have no others, and it keeps all
 * it needs in registers.
 */
static inline enum parse_rc
parse_mg(struct command *cmd, const char *p, const char *end)
{
	struct slice key = token_next(cmd->line.p, &p, end);
	unsigned opts = 0, want = 0, n = 0;
	uint64_t seen = 0;

	begin(cmd, key, OP_GET);
	if (UNLIKELY(key.len == 0))
		return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
	for (; p < end; p += 2) {
		const struct flag_row *row;
		unsigned at;

		if (end - p != 2 && (end - p < 2 || p[2] != ' '))
			break;
		at = (unsigned char)p[1] - (unsigned)'A';
		if (at >= LETTERS || (seen >> at & 1) != 0)
			break;
		row = &rows[WHO_G][at];
		if (row->arg != ARG_NONE)
			break;
		seen |= (uint64_t)1 << at;
		opts |= row->opt;
		want |= row->want;
		cmd->rflags[n] = p[1];
		n += row->echoed;
	}
	cmd->nrflags = (uint8_t)n;
	cmd->op.opts = (uint16_t)opts;
	cmd->op.want = (uint16_t)want;
	cmd->op.order = (want & OPW_TTL) != 0 ? OPO_SHOW : 0;	/* the others have arguments */
	if (UNLIKELY(p < end || key.len > OP_KEY_MAX))
		return (parse_mg_rest(cmd, p, end, seen));
	return (PARSE_DONE);
}

/* <cm> <key> <flag>*, and ms with its length before the flags. */
enum parse_rc
parse_meta(struct command *cmd, const char *p, const char *end)
{
	return (LIKELY(cmd->id == CMD_MG) ? parse_mg(cmd, p, end) : parse_others(cmd, p, end));
}
