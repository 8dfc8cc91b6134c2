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

/*
 * The first space in [p, end), or end; eight bytes at a time where the line has them. Big-endian machines take
 * the loop below alone.
 */
static inline const char *
token_end(const char *p, const char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	while (end - p >= 8) {
		uint64_t w, m;

		memcpy(&w, p, 8);
		if ((m = token_match(w, ' ')) != 0)
			return (p + (__builtin_ctzll(m) >> 3));
		p += 8;
	}
#endif
	while (p < end && *p != ' ')
		p++;
	return (p);
}

static inline const char *
token_skip(const char *p, const char *end)
{
	while (p < end && *p == ' ')
		p++;
	return (p);
}

struct tokens {
	unsigned	 n;
	struct slice	 t[TOKEN_MAX];	/* valid up to n */
};

/* The first max words, at most TOKEN_MAX, of [p, end). */
void	 tokens_split(struct tokens *, const char *p, const char *end, unsigned max);
/* Whether the last word is "noreply". */
bool	 tokens_noreply(const struct tokens *);

/*
 * Numbers as memcached takes them in most places: digits only, leading zeros allowed within maxima of 11 (32 bit)
 * and 22 characters, a lone "-" is zero. False: not such a number, or too large; *out is untouched.
 */
bool	 token_i32(struct slice, int32_t *out);
bool	 token_u32(struct slice, uint32_t *out);
bool	 token_u64(struct slice, uint64_t *out);

/*
 * Flags and expiry times of the classic storage commands, which memcached reads with strtol(): white space and a
 * sign may lead, white space of any kind ends. An expiry is cut to 32 bits; flags beyond 32 bits are refused, since
 * what memcached does, to store other flags than those sent, helps nobody. line_end: where reading stops at the latest.
 */
bool	 token_loose_i32(const char *p, const char *line_end, int32_t *out);
bool	 token_loose_u32(const char *p, const char *line_end, uint32_t *out);

#endif
