/*
 * token.c - words and numbers of command lines.
 *
 * Two number grammars, because memcached has two: the strict one of its tokenizer and the loose one of strtol()
 * that the classic storage commands kept. Both bounded by the line.
 */
#include "config.h"

#include "proto/token.h"

void
tokens_split(struct tokens *ts, const char *p, const char *end, unsigned max)
{
	ts->n = 0;
	while ((p = token_skip(p, end)) < end && ts->n < max) {
		const char *e = token_end(p, end);

		ts->t[ts->n++] = slice_of(p, (size_t)(e - p));
		p = e;
	}
}

bool
tokens_noreply(const struct tokens *ts)
{
	return (ts->n > 0 && ts->t[ts->n - 1].len == 7 && memcmp(ts->t[ts->n - 1].p, "noreply", 7) == 0);
}

bool
token_u64(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len > 22)
		return (false);
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = (unsigned char)s.p[i] - (unsigned)'0';

		if (d > 9)
			return (false);
		/* 19 digits always fit. */
		if (i >= 19 && (v > UINT64_MAX / 10 || (v == UINT64_MAX / 10 && d > UINT64_MAX % 10)))
			return (false);
		v = v * 10 + d;
	}
	*out = v;
	return (true);
}

bool
token_u32(struct slice s, uint32_t *out)
{
	uint64_t v;

	if (s.len > 11 || !token_u64(s, &v) || v > UINT32_MAX)
		return (false);
	*out = (uint32_t)v;
	return (true);
}

bool
token_i32(struct slice s, int32_t *out)
{
	bool neg = s.len > 0 && s.p[0] == '-';
	uint64_t v;

	if (s.len > 11 || !token_u64(slice_of(s.p + neg, s.len - neg), &v) || v > (uint64_t)INT32_MAX + neg)
		return (false);
	*out = neg ? (int32_t)-(int64_t)v : (int32_t)v;
	return (true);
}

static bool
loose_space(char c)
{
	return (c == ' ' || (c >= '\t' && c <= '\r'));
}

/* Sign and magnitude; false where strtoull() and its callers would refuse. */
static bool
loose_number(const char *p, const char *end, bool *neg, uint64_t *out)
{
	uint64_t v = 0;
	const char *digits;

	while (p < end && loose_space(*p))
		p++;
	*neg = p < end && *p == '-';
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	for (digits = p; p < end && *p >= '0' && *p <= '9'; p++) {
		unsigned d = (unsigned)(*p - '0');

		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
			return (false);
	}
	if (p == digits || (p < end && *p != '\0' && !loose_space(*p)))
		return (false);
	*out = v;
	return (true);
}

bool
token_loose_u32(const char *p, const char *line_end, uint32_t *out)
{
	bool neg;
	uint64_t v;

	if (!loose_number(p, line_end, &neg, &v) || v > UINT32_MAX || (neg && v != 0))
		return (false);
	*out = (uint32_t)v;
	return (true);
}

bool
token_loose_i32(const char *p, const char *line_end, int32_t *out)
{
	bool neg;
	uint64_t v;

	if (!loose_number(p, line_end, &neg, &v) || v > (uint64_t)INT64_MAX + neg)
		return (false);
	*out = (int32_t)(uint32_t)(neg ? (uint64_t)0 - v : v);
	return (true);
}
