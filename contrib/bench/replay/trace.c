/*
 * trace.c - one line of a cache trace in CSV.
 *
 * Strict: a column too many, a sign, a size beyond all bounds end the replay, since a trace that is read wrongly
 * gives a hit ratio that looks like any other. Only the operations are taken together: whatever stores is a set.
 */
#include "config.h"

#include <stdbool.h>
#include <string.h>

#include "trace.h"

#define COLUMNS_SHORT	5
#define COLUMNS_LONG	7

struct field {
	const char	*at;
	size_t		 len;
};

/* How many columns there are; those beyond COLUMNS_LONG are counted only. */
static unsigned
split(const char *line, size_t len, struct field f[COLUMNS_LONG])
{
	const char *end = line + len, *comma;
	unsigned n = 0;

	for (;; line = comma + 1) {
		comma = memchr(line, ',', (size_t)(end - line));
		if (n < COLUMNS_LONG) {
			f[n].at = line;
			f[n].len = (size_t)((comma == NULL ? end : comma) - line);
		}
		n++;
		if (comma == NULL)
			return n;
	}
}

static bool
number(const struct field *f, uint64_t most, uint64_t *out)
{
	uint64_t v = 0;

	if (f->len == 0)
		return false;
	for (size_t i = 0; i < f->len; i++) {
		unsigned digit = (unsigned)(f->at[i] - '0');

		if (digit > 9 || v > (most - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

/* Seconds; a fraction is dropped. */
static bool
timestamp(struct field f, uint64_t *out)
{
	const char *dot = memchr(f.at, '.', f.len);
	uint64_t fraction;
	struct field rest;

	if (dot != NULL) {
		rest.at = dot + 1;
		rest.len = (size_t)(f.at + f.len - rest.at);
		if (!number(&rest, UINT64_MAX, &fraction))
			return false;
		f.len = (size_t)(dot - f.at);
	}
	return number(&f, UINT64_MAX / 1000000 - 1, out);
}

/* A key that the text protocol can carry. */
static bool
key_fits(const struct field *f)
{
	if (f->len == 0 || f->len > TRACE_KEY_MAX)
		return false;
	for (size_t i = 0; i < f->len; i++)
		if ((unsigned char)f->at[i] <= ' ' || f->at[i] == 127)
			return false;
	return true;
}

static bool
operation(const struct field *f, enum trace_op *op)
{
	static const struct {
		const char	*word;
		enum trace_op	 op;
	} words[] = {
		{ "get", TRACE_GET }, { "gets", TRACE_GET }, { "set", TRACE_SET }, { "add", TRACE_SET },
		{ "replace", TRACE_SET }, { "cas", TRACE_SET }, { "append", TRACE_SET }, { "prepend", TRACE_SET },
		{ "incr", TRACE_SET }, { "decr", TRACE_SET }, { "delete", TRACE_DELETE },
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i].word) == f->len && memcmp(words[i].word, f->at, f->len) == 0) {
			*op = words[i].op;
			return true;
		}
	return false;
}

static const char *
take(const struct field *f, unsigned columns, struct trace_row *row)
{
	bool full = columns == COLUMNS_LONG;
	uint64_t v;

	if (!timestamp(f[0], &row->at))
		return "the timestamp is not a number of seconds";
	if (!key_fits(&f[1]))
		return "the key is empty, longer than 250 bytes or has blanks or control characters";
	row->key = f[1].at;
	row->key_len = f[1].len;
	if (full && !number(&f[2], UINT32_MAX, &v))
		return "the key size is not a number";
	if (!number(&f[full ? 3 : 2], TRACE_SIZE_MAX, &v))
		return "the size is not a number up to 16 MiB";
	row->size = (uint32_t)v;
	if (!operation(&f[full ? 5 : 3], &row->op))
		return "the operation is not one of memcached's";
	if (!number(&f[full ? 6 : 4], UINT32_MAX, &v))
		return "the TTL is not a number of seconds";
	row->ttl = (uint32_t)v;
	return NULL;
}

enum trace_got
trace_parse(struct trace_form *form, const char *line, size_t len, struct trace_row *row, const char **why)
{
	struct field f[COLUMNS_LONG];
	unsigned columns;
	bool first = form->lines++ == 0;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	columns = split(line, len, f);
	if (columns != COLUMNS_SHORT && columns != COLUMNS_LONG) {
		*why = "neither 5 columns (timestamp,key,size,op,ttl) nor 7 "
		    "(timestamp,key,key size,value size,client id,op,ttl)";
		return TRACE_BAD;
	}
	if (form->columns != 0 && columns != form->columns) {
		*why = "not as many columns as before";
		return TRACE_BAD;
	}
	form->columns = columns;
	if (first && (f[0].len == 0 || f[0].at[0] < '0' || f[0].at[0] > '9'))
		return TRACE_HEADER;
	*why = take(f, columns, row);
	return *why == NULL ? TRACE_ROW : TRACE_BAD;
}
