/*
 * redis_words.c - commands as Redis reads them: words with their lengths.
 */
#include "config.h"

#include <string.h>

#include "backend/redis.h"
#include "base/num.h"

#define WORD_MAX	(1 + NUM_U64_MAXLEN + 2 + 2)	/* "$n\r\n" and "\r\n" around a word */

char *
redis_put_bytes(char *dst, const char *p, size_t len)
{
	if (len > 0)
		memcpy(dst, p, len);
	return (dst + len);
}

char *
redis_put_head(char *dst, char type, uint64_t n)
{
	*dst++ = type;
	dst = num_put_u64(dst, n);
	return (redis_put_bytes(dst, "\r\n", 2));
}

char *
redis_put_word(char *dst, struct slice w)
{
	dst = redis_put_head(dst, '$', w.len);
	dst = redis_put_bytes(dst, w.p, w.len);
	return (redis_put_bytes(dst, "\r\n", 2));
}

char *
redis_put_number(char *dst, uint64_t n)
{
	char digits[NUM_U64_MAXLEN];

	return (redis_put_word(dst, slice_of(digits, (size_t)(num_put_u64(digits, n) - digits))));
}

size_t
redis_put_words_max(unsigned n, const struct slice *words)
{
	size_t len = WORD_MAX;

	for (unsigned i = 0; i < n; i++)
		len += words[i].len + WORD_MAX;
	return (len);
}

size_t
redis_put_words(char *dst, unsigned n, const struct slice *words)
{
	char *p = redis_put_head(dst, '*', n);

	for (unsigned i = 0; i < n; i++)
		p = redis_put_word(p, words[i]);
	return ((size_t)(p - dst));
}

char *
redis_put_name(char *dst, struct slice base, char kind, struct slice item)
{
	dst = redis_put_head(dst, '$', base.len + 1 + item.len);
	dst = redis_put_bytes(dst, base.p, base.len);
	*dst++ = kind;
	dst = redis_put_bytes(dst, item.p, item.len);
	return (redis_put_bytes(dst, "\r\n", 2));
}

char *
redis_put_evalsha(char *dst, unsigned n, unsigned keys, const struct redis_script_row *row)
{
	dst = redis_put_word(redis_put_head(dst, '*', 3 + n), SLICE_LIT("EVALSHA"));
	dst = redis_put_word(dst, slice_of(row->sha, REDIS_SHA));
	return (redis_put_number(dst, keys));
}
