/* stats_out.c - lines of an answer. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/internal.h"
#include "base/num.h"

void
stats_line(struct stats_out *o, const char *fmt, ...)
{
	char *p = o->lost ? NULL : outq_reserve(o->out, STATS_LINE_MAX + 2);
	va_list ap;
	int n;

	if (p == NULL) {
		o->lost = true;
		return;
	}
	va_start(ap, fmt);
	n = vsnprintf(p, STATS_LINE_MAX, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	else if (n >= STATS_LINE_MAX)
		n = STATS_LINE_MAX - 1;
	memcpy(p + n, "\r\n", 2);
	outq_commit(o->out, (size_t)n + 2);
}

void
stats_u64(struct stats_out *o, const char *name, uint64_t v)
{
	char text[NUM_U64_MAXLEN + 1];

	*num_put_u64(text, v) = '\0';
	stats_line(o, "STAT %s %s", name, text);
}

void
stats_str(struct stats_out *o, const char *name, const char *value)
{
	stats_line(o, "STAT %s %s", name, value);
}

void
stats_end(struct stats_out *o)
{
	stats_line(o, "END");
}
