/*
 * reply.c - one reply line of a memcached server, with its data block.
 *
 * Strict on purpose: what a server says in another form than documented is a
 * finding, so it is REPLY_BAD and ends the connection instead of being guessed
 * at.
 */
#include "config.h"

#include <string.h>

#include "reply.h"

#define LINE_MAX_BYTES	2048
#define DATA_MAX_BYTES	(1u << 30)

struct word {
	const char	*at;
	size_t		 len;
};

static bool
word_next(const char **p, const char *end, struct word *w)
{
	while (*p < end && **p == ' ')
		(*p)++;
	w->at = *p;
	while (*p < end && **p != ' ')
		(*p)++;
	w->len = (size_t)(*p - w->at);
	return w->len != 0;
}

static bool
word_number(const struct word *w, uint64_t limit, uint64_t *out)
{
	uint64_t v = 0;

	if (w->len == 0 || w->len > 20)
		return false;
	for (size_t i = 0; i < w->len; i++) {
		if (w->at[i] < '0' || w->at[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(w->at[i] - '0');
		if (v > limit)
			return false;
	}
	*out = v;
	return true;
}

/* The flags of a meta reply that say something checkable. */
static void
reply_meta_flags(struct reply *r, const char *p, const char *end)
{
	struct word w, digits;
	uint64_t v;

	while (word_next(&p, end, &w)) {
		if (*w.at == 'k') {
			r->key = w.at + 1;
			r->key_len = w.len - 1;
		} else if (*w.at == 'f') {
			digits.at = w.at + 1;
			digits.len = w.len - 1;
			r->has_flags = word_number(&digits, UINT32_MAX, &v);
			r->flags = r->has_flags ? (uint32_t)v : 0;
		}
	}
}

/* The line is known, its data block is of len bytes. */
static void
reply_data(struct reply *r, const char *bytes, size_t have, uint64_t len)
{
	r->len = (size_t)len;
	r->data = bytes + r->total;
	r->total += r->len + 2;
	if (have < r->total)
		r->kind = REPLY_MORE;
	else if (memcmp(r->data + r->len, "\r\n", 2) != 0)
		r->kind = REPLY_BAD;
	else
		r->kind = REPLY_VALUE;
}

/* VALUE <key> <flags> <bytes> [<cas>] */
static void
reply_value(struct reply *r, const char *bytes, size_t have)
{
	const char *p = r->line + 6, *end = r->line + r->line_len;
	struct word key, flags, len, cas;
	uint64_t f, n, c;

	if (!word_next(&p, end, &key) || !word_next(&p, end, &flags) ||
	    !word_next(&p, end, &len) ||
	    !word_number(&flags, UINT32_MAX, &f) ||
	    !word_number(&len, DATA_MAX_BYTES, &n))
		return;
	if (word_next(&p, end, &cas) && (!word_number(&cas, UINT64_MAX, &c) ||
	    p != end))
		return;
	r->key = key.at;
	r->key_len = key.len;
	r->has_flags = true;
	r->flags = (uint32_t)f;
	reply_data(r, bytes, have, n);
}

/* VA <bytes> <flags>* */
static void
reply_va(struct reply *r, const char *bytes, size_t have)
{
	const char *p = r->line + 3, *end = r->line + r->line_len;
	struct word len;
	uint64_t n;

	if (!word_next(&p, end, &len) || !word_number(&len, DATA_MAX_BYTES, &n))
		return;
	reply_meta_flags(r, p, end);
	reply_data(r, bytes, have, n);
}

/* Does the line consist of this word, or begin with it and a space? */
static bool
line_is(const struct reply *r, const char *word)
{
	size_t n = strlen(word);

	return r->line_len >= n && memcmp(r->line, word, n) == 0 &&
	    (r->line_len == n || r->line[n] == ' ');
}

static void
reply_meta(struct reply *r)
{
	static const struct {
		char		word[3];
		enum reply_kind	kind;
	} words[] = {
		{ "HD", REPLY_DONE }, { "EN", REPLY_MISS }, { "MN", REPLY_NOOP },
		{ "NS", REPLY_REFUSED }, { "EX", REPLY_REFUSED },
		{ "NF", REPLY_REFUSED },
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (memcmp(r->line, words[i].word, 2) == 0) {
			r->kind = words[i].kind;
			reply_meta_flags(r, r->line + 2,
			    r->line + r->line_len);
			return;
		}
}

static void
reply_words(struct reply *r)
{
	if (line_is(r, "END"))
		r->kind = REPLY_END;
	else if (line_is(r, "STORED"))
		r->kind = REPLY_STORED;
	else if (line_is(r, "NOT_STORED") || line_is(r, "EXISTS") ||
	    line_is(r, "NOT_FOUND"))
		r->kind = REPLY_REFUSED;
	else if (line_is(r, "SERVER_ERROR") || line_is(r, "CLIENT_ERROR") ||
	    line_is(r, "ERROR"))
		r->kind = REPLY_ERROR;
}

void
reply_parse(const char *bytes, size_t len, struct reply *r)
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
	if (r->line_len == 0 || r->line[r->line_len - 1] != '\r')
		return;
	r->line_len--;
	if (line_is(r, "VALUE"))
		reply_value(r, bytes, len);
	else if (line_is(r, "VA"))
		reply_va(r, bytes, len);
	else if (r->line_len >= 2 && (r->line_len == 2 || r->line[2] == ' '))
		reply_meta(r);
	else
		reply_words(r);
}
