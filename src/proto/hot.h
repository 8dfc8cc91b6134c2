/*
 * hot.h - the two commands that most traffic consists of, told from the line's first bytes: "mg <key> v" and "get <key>".
 *
 * Their lines need no parse, only the places of their spaces and of their end, which sixteen bytes at a time show
 * at once. What does not look just so (other flags, two spaces, long lines) is proto_parse()'s, as are these lines
 * when more than a value is to be found out; it comes to the same command.
 */
#ifndef PROTO_HOT_H
#define PROTO_HOT_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/check.h"
#include "base/slice.h"

enum hot { HOT_NONE, HOT_MG, HOT_GET };

#define HOT_LINE_MAX	64		/* longer lines are not looked at */

#ifdef __SSE2__

/* One bit for each of the sixteen bytes that is c. */
static inline uint64_t
hot_equal(__m128i bytes, char c)
{
	return ((unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c))));
}

static inline __m128i
hot_load(const char *p)
{
	return (_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* The end of a read: fewer bytes than one load, so by way of a copy. */
static inline __m128i
hot_load_last(const char *p, size_t n)
{
	char last[16] = { 0 };

	memcpy(last, p, n);
	return (hot_load(last));
}

/* Bits for each '\n' and ' ' of the first bytes, up to and with the sixteen that have a '\n' first, at least. */
static inline uint64_t
hot_scan(const char *buf, size_t len, uint64_t *spaces)
{
	size_t at = 0;
	uint64_t nl;

	*spaces = 0;
	if (LIKELY(len >= 32)) {
		__m128i first = hot_load(buf), second = hot_load(buf + 16);

		*spaces = hot_equal(first, ' ') | hot_equal(second, ' ') << 16;
		nl = hot_equal(first, '\n') | hot_equal(second, '\n') << 16;
		if (LIKELY(nl != 0))
			return (nl);
		at = 32;
	}
	for (; at < HOT_LINE_MAX && at < len; at += 16) {
		__m128i bytes = LIKELY(len - at >= 16) ? hot_load(buf + at) : hot_load_last(buf + at, len - at);

		nl = hot_equal(bytes, '\n') << at;
		*spaces |= hot_equal(bytes, ' ') << at;
		if (nl != 0)
			return (nl);
	}
	return (0);
}

/* What the line at buf is, its key and, with its end, its length. HOT_NONE: anything else. */
static inline enum hot
proto_hot(const char *buf, size_t len, struct slice *key, size_t *used)
{
	uint64_t spaces, nl;
	unsigned end;

	if (len < 6 || (buf[0] != 'm' && buf[0] != 'g'))
		return (HOT_NONE);
	nl = hot_scan(buf, len, &spaces);
	if (UNLIKELY(nl == 0))
		return (HOT_NONE);
	end = (unsigned)__builtin_ctzll(nl);
	*used = end + 1;
	spaces &= nl ^ (nl - 1);
	if (UNLIKELY(end < 5))
		return (HOT_NONE);
	end -= buf[end - 1] == '\r';
	if (memcmp(buf, "mg ", 3) == 0) {
		/* The first space, one before the last byte, and no other. */
		if (end < 6 || spaces != (4 | (uint64_t)1 << (end - 2)) || buf[end - 1] != 'v')
			return (HOT_NONE);
		*key = slice_of(buf + 3, end - 5);
		return (HOT_MG);
	}
	if (memcmp(buf, "get ", 4) != 0 || spaces != 8 || end < 5)
		return (HOT_NONE);
	*key = slice_of(buf + 4, end - 4);
	return (HOT_GET);
}

#else

static inline enum hot
proto_hot(const char *buf, size_t len, struct slice *key, size_t *used)
{
	(void)buf, (void)len, (void)key, (void)used;
	return (HOT_NONE);
}

#endif

#endif
