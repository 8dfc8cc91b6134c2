/*
 * num.h - numbers to and from text, without locale, sign tricks or white space.
 *
 * The parsers take the whole slice or nothing: "", "+1", " 1", "1x" and overflow are all refused. One is otherwise:
 * num_get_counter().
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define NUM_U64_MAXLEN	20	/* digits of 2^64-1 */

/* Writes decimal digits, no NUL; returns the end. */
char	*num_put_u64(char *dst, uint64_t v);
char	*num_put_i64(char *dst, int64_t v);	/* at most 20 bytes as well */

/* False: not a number or out of range; *out is untouched. Signed ones take one leading '-'. */
bool	 num_get_u64(struct slice, uint64_t *out);
bool	 num_get_u32(struct slice, uint32_t *out);
bool	 num_get_i64(struct slice, int64_t *out);
bool	 num_get_i32(struct slice, int32_t *out);
/*
 * What memcached's incr takes for a number: what strtoull() does, up to white space, a NUL or the end; none that is
 * negative.
 */
bool	 num_get_counter(struct slice, uint64_t *out);

/* Numbers of so many bytes, up to 8, the highest first: they compare as bytes. Returns the end. */
static inline char *
num_put_be(char *dst, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		*dst++ = (char)(v >> (8 * bytes));
	return (dst);
}

static inline uint64_t
num_get_be(const char *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | (unsigned char)*p++;
	return (v);
}

#endif
