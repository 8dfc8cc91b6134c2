/*
 * msg.c - errors and warnings of a configuration, one line each.
 *
 * Text that came from the user may hold anything, so control bytes become '?': a line stays a line.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/parse.h"

static void
one_line(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

/* line 0: none is known. */
static void
put_where(char *where, size_t size, const struct conf_ctx *x, int line)
{
	const char *file = x->conf->file != NULL ? x->conf->file : "";

	if (line > 0)
		snprintf(where, size, "%.256s:%d: ", file, line);
	else
		snprintf(where, size, "%.256s: ", file);
}

/* Only the first error counts: what follows is mostly its echo. */
static bool
fail(struct conf_ctx *x, const char *where, const char *fmt, va_list ap)
{
	int n;

	if (x->failed)
		return (false);
	x->failed = true;
	n = snprintf(x->error, sizeof x->error, "%s", where);
	if (n >= 0 && (size_t)n < sizeof x->error)
		vsnprintf(x->error + n, sizeof x->error - (size_t)n, fmt, ap);
	one_line(x->error);
	return (false);
}

bool
conf_fail(struct conf_ctx *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(x, "", fmt, ap);
	va_end(ap);
	return (false);
}

bool
conf_fail_opt(struct conf_ctx *x, const struct opt_row *r, const char *fmt, ...)
{
	char where[64];
	va_list ap;

	if (r->letter != 0)
		snprintf(where, sizeof where, "option -%c: ", r->letter);
	else
		snprintf(where, sizeof where, "option --%s: ", r->lname);
	va_start(ap, fmt);
	fail(x, where, fmt, ap);
	va_end(ap);
	return (false);
}

bool
conf_fail_at(struct conf_ctx *x, int line, const char *fmt, ...)
{
	char where[320];
	va_list ap;

	put_where(where, sizeof where, x, line);
	va_start(ap, fmt);
	fail(x, where, fmt, ap);
	va_end(ap);
	return (false);
}

bool
conf_fail_nomem(struct conf_ctx *x)
{
	return (conf_fail(x, "out of memory while reading the configuration"));
}

static void
warn(struct conf_ctx *x, const char *where, const char *fmt, va_list ap)
{
	size_t had = x->warnings != NULL ? strlen(x->warnings) : 0, len;
	char buf[512], *more;

	snprintf(buf, sizeof buf, "%s", where);
	len = strlen(buf);
	vsnprintf(buf + len, sizeof buf - len, fmt, ap);
	one_line(buf);
	len = strlen(buf);
	more = realloc(x->warnings, had + len + 2);
	if (more == NULL)
		return;		/* a warning less */
	memcpy(more + had, buf, len);
	memcpy(more + had + len, "\n", 2);
	x->warnings = more;
}

void
conf_warn(struct conf_ctx *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	warn(x, "", fmt, ap);
	va_end(ap);
}

void
conf_warn_at(struct conf_ctx *x, int line, const char *fmt, ...)
{
	char where[320];
	va_list ap;

	put_where(where, sizeof where, x, line);
	va_start(ap, fmt);
	warn(x, where, fmt, ap);
	va_end(ap);
}

bool
conf_set_str(struct conf_ctx *x, char **dst, const char *src)
{
	char *copy = strdup(src);

	if (copy == NULL)
		return (conf_fail_nomem(x));
	free(*dst);
	*dst = copy;
	return (true);
}

void *
conf_grow(struct conf_ctx *x, void *arrayp, unsigned *n, size_t size)
{
	char *p;

	memcpy(&p, arrayp, sizeof p);
	p = realloc(p, (*n + 1) * size);
	if (p == NULL) {
		conf_fail_nomem(x);
		return (NULL);
	}
	memcpy(arrayp, &p, sizeof p);
	memset(p + *n * size, 0, size);
	return (p + (*n)++ * size);
}
