/*
 * stream_trace.c - a trace file as a stream: its keys numbered in the order in which they come.
 *
 * Traces leave size and TTL of a get at 0 when it missed where they were taken; then what was last told of the
 * key holds. The table keeps every key's text, so memory grows with the number of keys, not of requests.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream_impl.h"
#include "trace.h"

#define FIRST_KEYS	65536u	/* a power of two */
#define KEYS_MAX	(1u << 30)

struct known {
	char		*text;		/* NULL: free */
	uint32_t	 hash;
	uint32_t	 number;
	uint32_t	 version;
	uint32_t	 size;
	uint32_t	 ttl;
	uint8_t		 len;
};

struct trace_file {
	FILE		*f;
	const char	*path;
	struct trace_form form;
	char		*line;
	size_t		 cap;
	bool		 begun;
	uint64_t	 begin;		/* the first timestamp */
	uint64_t	 at;		/* the last one */
	struct known	*table;		/* open addressing, at most half full */
	uint32_t	 size, used;
};

static bool __attribute__((format(printf, 2, 3)))
fail(struct stream *st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(st->error, sizeof st->error, fmt, ap);
	va_end(ap);
	return false;
}

static uint32_t
hash_of(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

/* Where the key is, or would be. */
static struct known *
place_of(struct known *table, uint32_t size, uint32_t hash, const char *text, size_t len)
{
	for (uint32_t i = hash;; i++) {
		struct known *k = &table[i & (size - 1)];

		if (k->text == NULL || (k->hash == hash && k->len == len && memcmp(k->text, text, len) == 0))
			return k;
	}
}

static bool
grow(struct trace_file *t)
{
	struct known *bigger;

	if (t->size >= KEYS_MAX)
		return false;
	bigger = calloc((size_t)t->size * 2, sizeof *bigger);
	if (bigger == NULL)
		return false;
	for (uint32_t i = 0; i < t->size; i++)
		if (t->table[i].text != NULL)
			*place_of(bigger, t->size * 2, t->table[i].hash, t->table[i].text, t->table[i].len) =
			    t->table[i];
	free(t->table);
	t->table = bigger;
	t->size *= 2;
	return true;
}

static struct known *
know(struct trace_file *t, const char *text, size_t len)
{
	uint32_t hash = hash_of(text, len);
	struct known *k;

	if (t->used >= t->size / 2 && !grow(t))
		return NULL;
	k = place_of(t->table, t->size, hash, text, len);
	if (k->text != NULL)
		return k;
	k->text = malloc(len);
	if (k->text == NULL)
		return NULL;
	memcpy(k->text, text, len);
	k->hash = hash;
	k->len = (uint8_t)len;
	k->number = t->used++;
	return k;
}

/* The next row; false: the end, or an error. */
static bool
read_row(struct stream *st, struct trace_row *row)
{
	struct trace_file *t = st->file;
	const char *why;
	ssize_t n;

	for (;;) {
		errno = 0;
		n = getline(&t->line, &t->cap, t->f);
		if (n < 0) {
			if (ferror(t->f) || errno != 0)
				return fail(st, "%s: %s", t->path, strerror(errno));
			return t->begun ? false : fail(st, "%s: has no requests", t->path);
		}
		if (n > 0 && t->line[n - 1] == '\n')
			n--;
		switch (trace_parse(&t->form, t->line, (size_t)n, row, &why)) {
		case TRACE_ROW:
			return true;
		case TRACE_HEADER:
			break;
		case TRACE_BAD:
			return fail(st, "%s:%llu: %s", t->path, (unsigned long long)t->form.lines, why);
		}
	}
}

static bool
trace_next(struct stream *st, struct stream_req *r)
{
	static const enum stream_op ops[] = {
		[TRACE_GET] = STREAM_GET, [TRACE_SET] = STREAM_SET, [TRACE_DELETE] = STREAM_DELETE
	};
	struct trace_file *t = st->file;
	struct trace_row row;
	struct known *k;

	if ((st->requests != 0 && st->i >= st->requests) || !read_row(st, &row))
		return false;
	k = know(t, row.key, row.key_len);
	if (k == NULL)
		return fail(st, "%s: too many keys for the memory", t->path);
	if (!t->begun)
		t->begin = t->at = row.at;
	t->begun = true;
	if (row.at < t->at)
		return fail(st, "%s:%llu: the timestamp is before the last one", t->path,
		    (unsigned long long)t->form.lines);
	t->at = row.at;
	if (row.op == TRACE_SET)
		k->version++;
	if (row.op == TRACE_SET || row.size != 0)
		k->size = row.size;
	if (row.op == TRACE_SET || row.ttl != 0)
		k->ttl = row.ttl;
	*r = (struct stream_req){ ops[row.op], k->number, k->version, k->size, k->ttl, (row.at - t->begin) * 1000000,
		k->text, k->len };
	st->i++;
	return true;
}

static void
trace_close(struct stream *st)
{
	struct trace_file *t = st->file;

	if (t->f != NULL)
		(void)fclose(t->f);
	for (uint32_t i = 0; t->table != NULL && i < t->size; i++)
		free(t->table[i].text);
	free(t->table);
	free(t->line);
	free(t);
}

struct stream *
stream_open_trace(const char *path, uint64_t requests, const char **why)
{
	struct stream *st = calloc(1, sizeof *st);
	struct trace_file *t = calloc(1, sizeof *t);

	*why = "out of memory";
	if (st == NULL || t == NULL) {
		free(st);
		free(t);
		return NULL;
	}
	st->file = t;
	st->next = trace_next;
	st->close = trace_close;
	st->info = (struct stream_info){ path, "a trace", 0, false };
	st->requests = requests;
	st->gen.nkeys = 1;
	st->gen.size.max = TRACE_SIZE_MAX;
	t->path = path;
	t->size = FIRST_KEYS;
	t->table = calloc(t->size, sizeof *t->table);
	if (t->table == NULL || !gen_setup(&st->gen))
		stream_close(&st);
	else if ((t->f = fopen(path, "re")) == NULL) {
		*why = strerror(errno);
		stream_close(&st);
	}
	return st;
}
