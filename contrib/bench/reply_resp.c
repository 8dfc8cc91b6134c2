/*
 * reply_resp.c - one reply of a Redis: what GET, SET and MGET may be answered.
 *
 * An array is given out as its head, then element by element, so that nothing
 * need be remembered here. As strict as reply.c, for the same reason.
 */
#include "config.h"

#include <string.h>

#include "reply.h"

#define LINE_MAX_BYTES	2048
#define LENGTH_MAX	(1u << 30)

/* The decimal number that is all of the line but its sign. */
static bool
resp_length(const struct reply *r, size_t *out)
{
	size_t v = 0;

	if (r->line_len < 2 || r->line_len > 11)
		return false;
	for (size_t i = 1; i < r->line_len; i++) {
		if (r->line[i] < '0' || r->line[i] > '9')
			return false;
		v = v * 10 + (size_t)(r->line[i] - '0');
	}
	*out = v;
	return v <= LENGTH_MAX;
}

static void
resp_string(struct reply *r, const char *bytes, size_t have)
{
	if (r->line_len == 3 && memcmp(r->line, "$-1", 3) == 0) {
		r->kind = REPLY_MISS;
		return;
	}
	if (!resp_length(r, &r->len))
		return;
	r->data = bytes + r->total;
	r->total += r->len + 2;
	if (have < r->total)
		r->kind = REPLY_MORE;
	else if (memcmp(r->data + r->len, "\r\n", 2) == 0)
		r->kind = REPLY_VALUE;
}

void
reply_parse_resp(const char *bytes, size_t len, struct reply *r)
{
	const char *nl;

	memset(r, 0, sizeof *r);
	nl = memchr(bytes, '\n', len < LINE_MAX_BYTES ? len : LINE_MAX_BYTES);
	if (nl == NULL) {
		r->kind = len < LINE_MAX_BYTES ? REPLY_MORE : REPLY_BAD;
		r->total = len + 1;
		return;
	}
	r->kind = REPLY_BAD;
	r->line = bytes;
	r->line_len = (size_t)(nl - bytes);
	r->total = r->line_len + 1;
	if (r->line_len < 2 || r->line[r->line_len - 1] != '\r')
		return;
	r->line_len--;
	if (*r->line == '$')
		resp_string(r, bytes, len);
	else if (*r->line == '*' && resp_length(r, &r->len))
		r->kind = REPLY_ARRAY;
	else if (*r->line == '-')
		r->kind = REPLY_ERROR;
	else if (r->line_len == 3 && memcmp(r->line, "+OK", 3) == 0)
		r->kind = REPLY_STORED;
}
