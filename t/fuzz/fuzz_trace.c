/*
 * fuzz_trace.c - a file's bytes as a cache trace in CSV.
 *
 * Promises: nothing is read outside of a line; a row's key lies in its line and can be sent; its size is bounded; a bad
 * line comes with a reason; a row, written again in either form, is the same row.
 *
 * build: contrib/bench/replay/trace.c
 */
#include "config.h"

#include "contrib/bench/replay/trace.h"
#include "fuzz.h"

static void
check_again(const struct trace_row *row, const char *fmt)
{
	static const char *const words[] = { [TRACE_GET] = "get", [TRACE_SET] = "set", [TRACE_DELETE] = "delete" };
	struct trace_form form = { 0 };
	struct trace_row again;
	const char *why = NULL;
	char text[512], *line;
	int len;

	len = snprintf(text, sizeof text, fmt, (unsigned long long)row->at, (int)row->key_len, row->key,
	    (unsigned)row->size, words[row->op], (unsigned)row->ttl);
	PROMISE(len > 0 && (size_t)len < sizeof text);
	line = exact_copy(text, (size_t)len);
	PROMISE(trace_parse(&form, line, (size_t)len, &again, &why) == TRACE_ROW);
	PROMISE(again.at == row->at && again.key_len == row->key_len && again.size == row->size);
	PROMISE(again.op == row->op && again.ttl == row->ttl && memcmp(again.key, row->key, row->key_len) == 0);
	free(line);
}

static void
check_row(const struct trace_row *row, const char *line, size_t len)
{
	PROMISE(row->key >= line && row->key + row->key_len <= line + len);
	PROMISE(row->key_len > 0 && row->key_len <= TRACE_KEY_MAX);
	for (size_t i = 0; i < row->key_len; i++)
		PROMISE((unsigned char)row->key[i] > ' ' && row->key[i] != 127 && row->key[i] != ',');
	PROMISE(row->size <= TRACE_SIZE_MAX && row->op <= TRACE_DELETE);
	check_again(row, "%llu,%.*s,%u,%s,%u");
	check_again(row, "%llu,%.*s,0,%u,7,%s,%u\r");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size, *nl;
	struct trace_form form = { 0 };
	enum trace_got got = TRACE_ROW;

	for (; p < end && got != TRACE_BAD; p = nl + 1) {
		struct trace_row row;
		const char *why = NULL;
		size_t len;
		char *line;

		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			nl = end;
		len = (size_t)(nl - p);
		line = exact_copy(p, len);
		got = trace_parse(&form, line, len, &row, &why);
		PROMISE(got != TRACE_HEADER || form.lines == 1);
		PROMISE((got == TRACE_BAD) == (why != NULL && why[0] != '\0'));
		if (got == TRACE_ROW)
			check_row(&row, line, len);
		free(line);
	}
	return (0);
}
