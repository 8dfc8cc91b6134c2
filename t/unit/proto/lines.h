/*
 * lines.h - for tests of the command parser: a line in, its description (or the reason for closing) out.
 *
 * Every line is parsed from memory of its exact size, so that a sanitizer sees what reads past it.
 */
#ifndef T_PROTO_LINES_H
#define T_PROTO_LINES_H

#include <stdlib.h>

#include "describe.h"
#include "tap.h"

static const struct parse_limits lines_limits = { .line_max = 2048, .multiget_max = 65536 };

/* What a parse of len bytes comes to; *used is 0 unless it is done. */
static inline const char *
line_outcome(struct description *d, const char *bytes, size_t len, size_t *used)
{
	char *buf = malloc(len > 0 ? len : 1);
	enum parse_close why = PARSE_CLOSE_NONE;
	struct command cmd;

	memset(&cmd, 0xa5, sizeof cmd);
	memcpy(buf, bytes, len);
	*used = 0;
	d->len = 0;
	switch (proto_parse(buf, len, &lines_limits, &cmd, used, &why)) {
	case PARSE_MORE:
		*used = 0;
		describe_add(d, "more");
		break;
	case PARSE_DONE:
		describe(d, &cmd);
		break;
	case PARSE_CLOSE:
		*used = 0;
		describe_add(d, "close %s", why == PARSE_CLOSE_LONG_LINE ? "long" : why == PARSE_CLOSE_HTTP ? "http" :
		    why == PARSE_CLOSE_BINARY ? "binary" : "?");
		break;
	}
	free(buf);
	return (d->text);
}

/* A whole line, given without its end, is described as want, with either end and however it comes apart. */
static inline void
line_is(const char *line, const char *want)
{
	static struct description d;
	size_t len = strlen(line), used;
	char *bytes = malloc(len + 2);
	unsigned wrong = 0;

	memcpy(bytes, line, len);
	memcpy(bytes + len, "\r\n", 2);
	is_s(line_outcome(&d, bytes, len + 2, &used), want, "%.70s", line);
	for (size_t i = 0; i < len + 2; i++)
		wrong += strcmp(line_outcome(&d, bytes, i, &used), "more") != 0;
	bytes[len] = '\n';
	if (len >= 3)
		wrong += strcmp(line_outcome(&d, bytes, len + 1, &used), want) != 0;
	if (wrong != 0)
		ok(false, "... %u ways to split or end it come out otherwise", wrong);
	free(bytes);
}

/* The same for an error: its text, whether noreply hides it, what is swallowed. */
static inline void
line_bad(const char *line, const char *error, bool quiet, unsigned long long swallow)
{
	char want[256];

	snprintf(want, sizeof want, "?%s %s swallow=%llu", quiet ? " quiet" : "", error, swallow);
	line_is(line, want);
}

#define BAD_FORMAT	"CLIENT_ERROR bad command line format"

#endif
