/*
 * delay_count.c - counts what a memcached is asked, from the bytes sent to it.
 *
 * Only lines are looked at; the values behind them are skipped by their length,
 * so they may hold anything. Nothing is judged: what is no command counts among
 * the others.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "delay_count.h"

#define WORD_MAX	24

static size_t
words(const char *at, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += at[i] != ' ' && (i == 0 || at[i - 1] == ' ');
	return n;
}

/* Copies word number n, cut at WORD_MAX - 1, "" if there is none. */
static void
word(const char *at, size_t len, unsigned n, char out[WORD_MAX])
{
	const char *end = at + len;
	size_t have = 0;

	for (;; n--) {
		while (at < end && *at == ' ')
			at++;
		if (n == 0)
			break;
		while (at < end && *at != ' ')
			at++;
	}
	while (at < end && *at != ' ' && have < WORD_MAX - 1)
		out[have++] = *at++;
	out[have] = '\0';
}

/* A line, without its end. */
static void
count_line(struct count *c, const char *at, size_t len, struct asked *a)
{
	static const char *const stores[] = { "set", "add", "replace",
	    "append", "prepend", "cas" };
	char name[WORD_MAX], size[WORD_MAX];
	unsigned where = 0;

	word(at, len, 0, name);
	if (strcmp(name, "get") == 0 || strcmp(name, "gets") == 0) {
		a->reads += words(at, len) - 1;
		return;
	}
	if (strcmp(name, "gat") == 0 || strcmp(name, "gats") == 0) {
		a->reads += words(at, len) > 2 ? words(at, len) - 2 : 0;
		return;
	}
	if (strcmp(name, "mg") == 0) {
		a->reads++;
		return;
	}
	for (size_t i = 0; i < sizeof stores / sizeof *stores; i++)
		if (strcmp(name, stores[i]) == 0)
			where = 4;
	if (strcmp(name, "ms") == 0)
		where = 2;
	if (where == 0) {
		a->others++;
		return;
	}
	a->writes++;
	word(at, len, where, size);
	c->skip = strtoull(size, NULL, 10) + 2;
}

static void
count_keep(struct count *c, const char *at, size_t len)
{
	if (!bytes_reserve(&c->line, len))
		return;
	memcpy(c->line.at + c->line.len, at, len);
	c->line.len += len;
}

void
count_bytes(struct count *c, const char *at, size_t len, struct asked *a)
{
	const char *end = at + len, *nl;

	while (at < end) {
		if (c->skip > 0) {
			len = c->skip < (uint64_t)(end - at) ? (size_t)c->skip :
			    (size_t)(end - at);
			c->skip -= len;
			at += len;
			continue;
		}
		nl = memchr(at, '\n', (size_t)(end - at));
		count_keep(c, at, (size_t)((nl == NULL ? end : nl) - at));
		if (nl == NULL)
			return;
		len = c->line.len;
		if (len > 0 && c->line.at[len - 1] == '\r')
			len--;
		c->line.len = 0;
		if (len > 0)
			count_line(c, c->line.at, len, a);
		at = nl + 1;
	}
}

void
count_free(struct count *c)
{
	free(c->line.at);
}
