/*
 * reply.c - answers as memcached words them.
 *
 * Letters are answered in the order asked; what the server adds by itself (Z, X, W) stands last, in that order.
 * Nothing is measured before it is written: REPLY_LINE_MAX holds the longest line there is (a key in base64, ten
 * flags, an opaque of COMMAND_OPAQUE_MAX, three notes), and error texts are cut to fit.
 */
#include "config.h"

#include "base/num.h"
#include "proto/base64.h"
#include "proto/reply.h"

static inline char *
put(char *dst, const char *s, size_t len)
{
	if (len > 0)		/* an empty slice may point nowhere */
		memcpy(dst, s, len);
	return (dst + len);
}

#define PUT(dst, lit)	put((dst), (lit), sizeof(lit) - 1)

static inline char *
put_slice(char *dst, struct slice s)
{
	return (put(dst, s.p, s.len));
}

static char *
put_text_line(char *dst, struct slice s)
{
	if (s.len > REPLY_LINE_MAX - 2)
		s.len = REPLY_LINE_MAX - 2;
	dst = put_slice(dst, s);
	return (PUT(dst, "\r\n"));
}

char *
reply_text(char *dst, const char *text)
{
	return (put_text_line(dst, slice_str(text)));
}

char *
reply_bad_line(char *dst, const struct command *cmd)
{
	return (cmd->quiet ? dst : reply_text(dst, cmd->error));
}

char *
reply_value_line(char *dst, struct slice key, const struct op_result *res, bool with_cas)
{
	dst = reply_value_head(dst, key, res->client_flags, res->size);
	if (with_cas) {
		*dst++ = ' ';
		dst = num_put_u64(dst, res->cas);
	}
	return (PUT(dst, "\r\n"));
}

static bool
key_is_binary(const struct command *cmd, const struct op_result *res)
{
	return ((cmd->op.opts & OPF_BINKEY) != 0 || (res->bits & OPR_BINKEY) != 0);
}

static char *
put_key(char *dst, const struct command *cmd, const struct op_result *res)
{
	if (!key_is_binary(cmd, res))
		return (put_slice(dst, cmd->op.key));
	dst = base64_put(dst, cmd->op.key.p, cmd->op.key.len);
	return (PUT(dst, " b"));
}

/* "-1" for what never expires. */
static char *
put_ttl(char *dst, int32_t ttl)
{
	return (ttl == OP_TTL_NONE ? PUT(dst, "-1") : num_put_i64(dst, ttl));
}

static bool
is_done(const struct op_result *res)
{
	return (res->status == OP_OK);
}

/* The flags of the answer. A miss has but the key and the opaque; a store that failed has its CAS as 0. */
static char *
put_flags(char *dst, const struct command *cmd, const struct op_result *res)
{
	bool store = cmd->op.verb == OP_STORE;

	for (unsigned i = 0; i < cmd->nrflags; i++) {
		char letter = cmd->rflags[i];

		if (letter == 'O') {
			*dst++ = ' ';
			dst = put_slice(dst, cmd->opaque);
			continue;
		}
		if (!is_done(res) && letter != 'k' && !store)
			continue;
		*dst++ = ' ';
		*dst++ = letter;
		switch (letter) {
		case 'k':
			dst = put_key(dst, cmd, res);
			break;
		case 's':
			dst = num_put_u64(dst, !store || is_done(res) ? res->size : cmd->op.vlen);
			break;
		case 't':
			dst = put_ttl(dst, res->ttl);
			break;
		case 'c':
			dst = num_put_u64(dst, is_done(res) ? res->cas : 0);
			break;
		case 'f':
			dst = num_put_u64(dst, res->client_flags);
			break;
		case 'l':
			dst = num_put_u64(dst, res->la);
			break;
		case 'h':
			*dst++ = (res->bits & OPR_FETCHED) != 0 ? '1' : '0';
			break;
		}
	}
	return (dst);
}

bool
reply_sends_value(const struct command *cmd, const struct op_result *res)
{
	return (res->status == OP_OK && (cmd->op.want & OPW_VALUE) != 0 &&
	    ((cmd->op.opts & OPF_CAS) == 0 || res->cas != cmd->op.cas));
}

static char *
put_get(char *dst, const struct command *cmd, const struct op_result *res)
{
	if (!is_done(res)) {
		if (cmd->quiet)
			return (dst);
		dst = PUT(dst, "EN");
		dst = put_flags(dst, cmd, res);
		return (PUT(dst, "\r\n"));
	}
	if (reply_sends_value(cmd, res)) {
		dst = PUT(dst, "VA ");
		dst = num_put_u64(dst, res->size);
	} else
		dst = PUT(dst, "HD");
	dst = put_flags(dst, cmd, res);
	if ((res->bits & (OPR_SENT | OPR_STALE | OPR_WON)) != 0) {
		if ((res->bits & OPR_SENT) != 0)
			dst = PUT(dst, " Z");
		if ((res->bits & OPR_STALE) != 0)
			dst = PUT(dst, " X");
		if ((res->bits & OPR_WON) != 0)
			dst = PUT(dst, " W");
	}
	return (PUT(dst, "\r\n"));
}

static const char *
status_word(const struct op_result *res)
{
	switch ((enum op_status)res->status) {
	case OP_OK:
		return ("HD");
	case OP_MISS:
		return ("NF");
	case OP_EXISTS:
		return ("EX");
	case OP_NOT_STORED:
	case OP_ERROR:
		break;
	}
	return ("NS");
}

static char *
put_arith(char *dst, const struct command *cmd, const struct op_result *res)
{
	char digits[NUM_U64_MAXLEN];
	size_t n = 0;
	bool value = is_done(res) && (cmd->op.want & OPW_VALUE) != 0;

	if (value) {
		n = (size_t)(num_put_u64(digits, res->number) - digits);
		dst = PUT(dst, "VA ");
		dst = num_put_u64(dst, n);
	} else
		dst = put(dst, status_word(res), 2);
	dst = put_flags(dst, cmd, res);
	if (value) {
		dst = PUT(dst, "\r\n");
		dst = put(dst, digits, n);
	}
	return (PUT(dst, "\r\n"));
}

/* me: no flags are answered; the key is as the item has it. */
static char *
put_debug(char *dst, const struct command *cmd, const struct op_result *res)
{
	char *start = dst;
	struct slice text = res->error;

	if (!is_done(res))
		return (PUT(dst, "EN\r\n"));
	dst = PUT(dst, "ME ");
	dst = key_is_binary(cmd, res) ? base64_put(dst, cmd->op.key.p, cmd->op.key.len) :
	    put_slice(dst, cmd->op.key);
	*dst++ = ' ';
	if (text.len > (size_t)(start + REPLY_LINE_MAX - 2 - dst))
		text.len = (size_t)(start + REPLY_LINE_MAX - 2 - dst);
	dst = put_slice(dst, text);
	return (PUT(dst, "\r\n"));
}

char *
reply_meta_line(char *dst, const struct command *cmd, const struct op_result *res)
{
	if (res->status == OP_ERROR)
		return (put_text_line(dst, res->error));
	switch ((enum op_verb)cmd->op.verb) {
	case OP_GET:
		return (put_get(dst, cmd, res));
	case OP_DEBUG:
		return (put_debug(dst, cmd, res));
	case OP_STORE:
	case OP_DELETE:
		if (cmd->quiet && is_done(res))
			return (dst);
		dst = put(dst, status_word(res), 2);
		dst = put_flags(dst, cmd, res);
		return (PUT(dst, "\r\n"));
	case OP_ARITH:
	case OP_FLUSH:	/* no meta command flushes */
		break;
	}
	return (cmd->quiet && is_done(res) ? dst : put_arith(dst, cmd, res));
}

char *
reply_classic_line(char *dst, const struct command *cmd, const struct op_result *res)
{
	if (cmd->quiet)
		return (dst);
	switch ((enum op_status)res->status) {
	case OP_ERROR:
		return (put_text_line(dst, res->error));
	case OP_MISS:
		return (PUT(dst, "NOT_FOUND\r\n"));
	case OP_NOT_STORED:
		return (PUT(dst, "NOT_STORED\r\n"));
	case OP_EXISTS:
		return (PUT(dst, "EXISTS\r\n"));
	case OP_OK:
		break;
	}
	switch ((enum op_verb)cmd->op.verb) {
	case OP_STORE:
		return (PUT(dst, "STORED\r\n"));
	case OP_DELETE:
		return (PUT(dst, "DELETED\r\n"));
	case OP_ARITH:
		dst = num_put_u64(dst, res->number);
		return (PUT(dst, "\r\n"));
	case OP_FLUSH:
		return (PUT(dst, "OK\r\n"));
	case OP_GET:
	case OP_DEBUG:
		break;
	}
	return (PUT(dst, "TOUCHED\r\n"));
}
