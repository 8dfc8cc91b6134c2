/*
 * record_reply.c - the lines that answer record commands.
 *
 * Flags stand in the order asked; what was not asked for (the size of a value that was left out, the codec of one that
 * comes encoded) stands last, as the notes of meta commands do.
 */
#include "config.h"

#include <string.h>

#include "base/num.h"
#include "proto/base64.h"
#include "proto/record_reply.h"

static char *
put(char *dst, struct slice s)
{
	if (s.len > 0)		/* an empty slice may point nowhere */
		memcpy(dst, s.p, s.len);
	return (dst + s.len);
}

#define PUT(dst, lit)	put((dst), SLICE_LIT(lit))

static char *
put_opaque(char *dst, const struct record_cmd *cmd)
{
	if (cmd->opaque.len == 0)
		return (dst);
	*dst++ = ' ';
	return (put(dst, cmd->opaque));
}

/* Whether a line cannot hold it as it is. */
static bool
is_binary(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return (true);
	return (false);
}

static char *
put_name(char *dst, struct slice s, bool binary)
{
	return (binary ? base64_put(dst, s.p, s.len) : put(dst, s));
}

/* Where b goes: behind the last of i and k. 0: there is neither. */
static unsigned
last_name(const struct record_cmd *cmd)
{
	unsigned n = cmd->nreturns;

	while (n > 0 && cmd->returns[n - 1] != 'i' && cmd->returns[n - 1] != 'k')
		n--;
	return (n);
}

/* One bit of encoding for a line: what one name needs the other has too. */
static bool
names_are_binary(const struct record_cmd *cmd, const struct record_answer *a)
{
	return ((cmd->flags & RF_BINARY) != 0 || (record_returns(cmd, 'i') && is_binary(a->id)) ||
	    (record_returns(cmd, 'k') && is_binary(a->key)));
}

static char *
put_flag(char *dst, const struct record_answer *a, char letter, bool binary)
{
	*dst++ = ' ';
	*dst++ = letter;
	switch (letter) {
	case 'i':
		return (put_name(dst, a->id, binary));
	case 'k':
		return (put_name(dst, a->key, binary));
	case 's':
		return (num_put_u64(dst, a->size));
	case 't':
		return (num_put_i64(dst, a->ttl == OP_TTL_NONE ? -1 : a->ttl));
	case 'c':
		return (num_put_u64(dst, a->version));
	default:
		return (num_put_u64(dst, a->client_flags));
	}
}

bool
record_reply_sends(const struct record_cmd *cmd, const struct record_answer *a)
{
	return (!a->left_out && record_returns(cmd, 'v'));
}

char *
record_reply_item(char *dst, const struct record_cmd *cmd, const struct record_answer *a)
{
	bool sends = record_reply_sends(cmd, a);
	unsigned last = last_name(cmd);
	bool binary = last > 0 && names_are_binary(cmd, a);

	if (sends) {
		dst = PUT(dst, "VA ");
		dst = num_put_u64(dst, a->len);
	} else
		dst = PUT(dst, "HD");
	for (unsigned i = 0; i < cmd->nreturns; i++) {
		if (cmd->returns[i] == 'O')
			dst = put_opaque(dst, cmd);
		else if (cmd->returns[i] != 'v')
			dst = put_flag(dst, a, cmd->returns[i], binary);
		if (binary && i + 1 == last)
			dst = PUT(dst, " b");
	}
	if (a->left_out && record_returns(cmd, 'v') && !record_returns(cmd, 's'))
		dst = put_flag(dst, a, 's', false);
	if (sends && a->codec != CODEC_NONE) {
		dst = PUT(dst, " Z");
		dst = put(dst, slice_str(record_codec_word((enum codec)a->codec)));
	}
	return (PUT(dst, "\r\n"));
}

uint64_t
record_reply_cost(const struct record_cmd *cmd, const struct record_answer *a)
{
	char line[RECORD_REPLY_MAX];
	uint64_t n = (uint64_t)(record_reply_item(line, cmd, a) - line);

	return (record_reply_sends(cmd, a) ? n + a->len + 2 : n);
}

char *
record_reply_end(char *dst, const struct record_cmd *cmd, struct slice token, const char *reason, bool items)
{
	if ((cmd->flags & RF_QUIET) != 0 && !items && token.len == 0 && reason == NULL)
		return (dst);
	dst = PUT(dst, "EN");
	if (token.len > 0) {
		dst = PUT(dst, " N");
		dst = put(dst, token);
	}
	if (reason != NULL) {
		dst = PUT(dst, " W");
		dst = put(dst, slice_str(reason));
	}
	dst = put_opaque(dst, cmd);
	return (PUT(dst, "\r\n"));
}

char *
record_reply_done(char *dst, const struct record_cmd *cmd, uint64_t version)
{
	if ((cmd->flags & RF_QUIET) != 0)
		return (dst);
	dst = PUT(dst, "HD");
	if ((cmd->flags & RF_CAS) != 0) {
		dst = PUT(dst, " c");
		dst = num_put_u64(dst, version);
	}
	dst = put_opaque(dst, cmd);
	return (PUT(dst, "\r\n"));
}

char *
record_reply_signal(char *dst, const char *name, struct slice value)
{
	dst = PUT(dst, "SIG ");
	dst = put(dst, slice_str(name));
	*dst++ = ' ';
	dst = put(dst, value);
	return (PUT(dst, "\r\n"));
}

char *
record_reply_number(char *dst, const char *name, uint64_t value)
{
	char digits[NUM_U64_MAXLEN];

	return (record_reply_signal(dst, name, slice_of(digits, (size_t)(num_put_u64(digits, value) - digits))));
}

char *
record_reply_signals_end(char *dst, const struct record_cmd *cmd)
{
	dst = PUT(dst, "END");
	dst = put_opaque(dst, cmd);
	return (PUT(dst, "\r\n"));
}
