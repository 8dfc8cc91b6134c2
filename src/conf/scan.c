/*
 * scan.c - one pass over the file's text before libconfuse sees it.
 *
 * libconfuse is content with a file that ends inside a string, a comment or a section, cuts strings at NUL bytes, drops
 * characters that it does not know and counts comment lines twice. So comments become spaces here, and what it would
 * misread is refused with the line where it begins. This file knows strings, comments and braces and nothing of
 * the grammar.
 */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "conf/parse.h"

#define DEPTH_MAX	8	/* the grammar has 3 */

struct scan {
	struct conf_ctx	*x;
	char		*p, *end;
	int		 line;
	unsigned	 depth;			/* braces open */
	int		 opened[DEPTH_MAX];	/* and where */
};

static bool
starts(const struct scan *s, const char *with)
{
	size_t n = strlen(with);

	return ((size_t)(s->end - s->p) >= n && memcmp(s->p, with, n) == 0);
}

static void
blank(struct scan *s)
{
	if (*s->p == '\n')
		s->line++;
	else
		*s->p = ' ';
	s->p++;
}

static bool
scan_comment(struct scan *s)
{
	int opened = s->line;

	if (!starts(s, "/*")) {
		while (s->p < s->end && *s->p != '\n')
			blank(s);
		return (true);
	}
	blank(s);
	blank(s);
	while (s->p < s->end && !starts(s, "*/"))
		blank(s);
	if (s->p == s->end)
		return (conf_fail_at(s->x, opened, "this comment never ends; */ closes it"));
	blank(s);
	blank(s);
	return (true);
}

/* ${NAME} or ${NAME:-default}: libconfuse puts the environment variable there. */
static bool
scan_variable(struct scan *s)
{
	char *close = s->p + 2;

	while (close < s->end && *close != '}' && *close != '\n' && *close != '"' && *close != '\\')
		close++;
	if (close == s->end || *close != '}')
		return (conf_fail_at(s->x, s->line, "${ without its }; ${NAME} is an environment variable"));
	s->p = close + 1;
	return (true);
}

/* A backslash and what follows it; \0 and \x00 would cut the string short. */
static bool
scan_escape(struct scan *s)
{
	const char *q = s->p + 1;
	unsigned digits = 0, value = 0;
	bool hex = q < s->end && *q == 'x';

	if (hex)
		q++;
	while (q < s->end && digits < (hex ? 2 : 3) && (hex ? isxdigit((unsigned char)*q) : *q >= '0' && *q <= '7')) {
		value |= (unsigned)*q - '0';
		digits++;
		q++;
	}
	if (digits > 0 && value == 0)
		return (conf_fail_at(s->x, s->line, "a NUL byte in a string; leave it out"));
	s->p++;
	if (s->p < s->end && *s->p == '\n')
		s->line++;
	if (s->p < s->end)
		s->p++;
	return (true);
}

static bool
scan_string(struct scan *s)
{
	char quote = *s->p++;
	int opened = s->line;

	while (s->p < s->end && *s->p != quote) {
		if (*s->p == '\\') {
			if (quote == '"') {
				if (!scan_escape(s))
					return (false);
				continue;
			}
			s->p++;
			if (s->p == s->end)
				break;
		} else if (quote == '"' && starts(s, "${")) {
			if (!scan_variable(s))
				return (false);
			continue;
		}
		s->line += *s->p == '\n';
		s->p++;
	}
	if (s->p == s->end)
		return (conf_fail_at(s->x, opened, "this string never ends; %c closes it", quote));
	s->p++;
	/* libconfuse reads paths to other sections out of keys; ours are plain words. */
	if (s->p + strspn(s->p, " \t\n") < s->end && strchr("=+", s->p[strspn(s->p, " \t\n")]) != NULL)
		return (conf_fail_at(s->x, opened, "a key in quotes; KEY = VALUE"));
	return (true);
}

static bool
scan_brace(struct scan *s)
{
	if (*s->p == '}') {
		if (s->depth == 0)
			return (conf_fail_at(s->x, s->line, "a } too many; every } needs its {"));
		s->depth--;
	} else {
		if (s->depth == DEPTH_MAX)
			return (conf_fail_at(s->x, s->line, "a { too many; sections hold at most sections of one level"));
		s->opened[s->depth++] = s->line;
	}
	s->p++;
	return (true);
}

static bool
scan_other(struct scan *s)
{
	unsigned char ch = (unsigned char)*s->p;
	const char *next = s->p + 1;

	if (ch == '\n')
		s->line++;
	else if (ch == '\r' && next < s->end && *next == '\n')
		*s->p = ' ';	/* a line end of Windows */
	else if (ch < ' ' && ch != '\t')
		return (conf_fail_at(s->x, s->line, "control character 0x%02x; text only", ch));
	else if (ch == '*' || ch == '|')
		return (conf_fail_at(s->x, s->line, "a bare %c; put the word in quotes", ch));
	else if (ch == '/' && (next == s->end || strchr(" \t\r\n#\"'={}()+,", *next) != NULL))
		return (conf_fail_at(s->x, s->line, "a bare / at the end of a word; put the word in quotes"));
	s->p++;
	return (true);
}

/* text[len] is NUL. */
bool
conf_scan(struct conf_ctx *x, char *text, size_t len)
{
	struct scan s = { .x = x, .p = text, .end = text + len, .line = 1 };
	bool good = true;

	for (char *p = text; p < s.end; p++) {
		s.line += *p == '\n';
		if (*p == '\0')
			return (conf_fail_at(x, s.line, "a NUL byte; text only"));
	}
	s.line = 1;
	while (good && s.p < s.end) {
		if (*s.p == '#' || starts(&s, "//") || starts(&s, "/*"))
			good = scan_comment(&s);
		else if (*s.p == '"' || *s.p == '\'')
			good = scan_string(&s);
		else if (starts(&s, "${"))
			good = scan_variable(&s);
		else if (*s.p == '{' || *s.p == '}')
			good = scan_brace(&s);
		else
			good = scan_other(&s);
	}
	if (good && s.depth > 0)
		return (conf_fail_at(x, s.opened[s.depth - 1], "this { is never closed; a } at its end"));
	return (good);
}
