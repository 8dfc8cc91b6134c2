/*
 * token.h - words of a command line: where they end, the numbers that they spell.
 *
 * Words are parted by spaces and nothing else, as memcached does it: a tab or a NUL is part of a word. Everything
 * here reads within [p, end) of a line that is in memory as a whole. Inlined, because it is the inner loop of
 * every request.
 */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

#define TOKEN_MAX	23	/* memcached looks at no more words than these, the command among them */

#define TOKEN_ONES	0x0101010101010101u
#define TOKEN_HIGHS	0x8080808080808080u

/* The high bit of each byte of w that is c, at least up to and with the lowest such byte. */
static inline uint64_t
token_match(uint64_t w, unsigned char c)
{
	uint64_t x = w ^ (TOKEN_ONES * c);

	return ((x - TOKEN_ONES) & ~x & TOKEN_HIGHS);
}

/* The first space in [p, end), or end, byte by byte. */
static inline const char *
token_end_bytes(const char *p, const char *end)
{
	while (p < end && *p != ' ')
		p++;
	return (p);
}

/*
 * The first space in [p, end), or end; line is where the line that they are in begins. Eight bytes at a time,
 * the last ones through a word that begins before p: short words cost no loop.
 */
static inline const char *
token_end(const char *line, const char *p, const char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t w, m;

	while (end - p >= 8) {
		memcpy(&w, p, 8);
		if ((m = token_match(w, ' ')) != 0)
			return (p + (__builtin_ctzll(m) >> 3));
		p += 8;
	}
	if (end - line >= 8 && p < end) {
		memcpy(&w, end - 8, 8);
		w >>= 8 * (8 - (end - p));
		m = token_match(w, ' ');
		return (m != 0 ? p + (__builtin_ctzll(m) >> 3) : end);
	}
#else
	(void)line;
#endif
	return (token_end_bytes(p, end));
}

/* Behind the spaces at p. Nearly always there is one. */
static inline const char *
token_skip(const char *p, const char *end)
{
	if (p < end && *p == ' ')
		for (p++; __builtin_expect(p < end && *p == ' ', 0);)
			p++;
	return (p);
}

struct tokens {
	unsigned	 n;
	struct slice	 t[TOKEN_MAX];	/* valid up to n */
};

/* The next word of [*p, end); empty at the end. */
static inline struct slice
token_next(const char *line, const char **p, const char *end)
{
	const char *s = token_skip(*p, end);

	*p = token_end(line, s, end);
	return (slice_of(s, (size_t)(*p - s)));
}

/* The first max words, at most TOKEN_MAX, of [p, end). */
void	 tokens_split(struct tokens *, const char *p, const char *end, unsigned max);
/* Whether the last word is "noreply". */
bool	 tokens_noreply(const struct tokens *);

static inline bool
token_is_noreply(struct slice s)
{
	return (s.len == 7 && memcmp(s.p, "noreply", 7) == 0);
}

/*
 * Numbers as memcached takes them in most places: digits only, leading zeros allowed within maxima of 11 (32 bit)
 * and 22 characters, a lone "-" is zero. False: not such a number, or too large; *out is untouched.
 */
bool	 token_i32(struct slice, int32_t *out);
bool	 token_u32(struct slice, uint32_t *out);
bool	 token_u64(struct slice, uint64_t *out);

/*
 * Flags and expiry times (words that are not empty) of the classic storage commands, which memcached reads with
 * strtol(): white space and a sign may lead, white space of any kind ends. An expiry is cut to 32 bits; flags beyond
 * 32 bits are refused, since what memcached does, to store other flags than those sent, helps nobody. line_end: where
 * reading stops at the latest.
 */
bool	 token_loose_i32(struct slice, const char *line_end, int32_t *out);
bool	 token_loose_u32(struct slice, const char *line_end, uint32_t *out);

#endif
