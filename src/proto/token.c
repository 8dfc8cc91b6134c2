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
	const char *line = p;

	ts->n = 0;
	while ((p = token_skip(p, end)) < end && ts->n < max)
		ts->t[ts->n++] = token_next(line, &p, end);
}

bool
tokens_noreply(const struct tokens *ts)
{
	return (ts->n > 0 && token_is_noreply(ts->t[ts->n - 1]));
}

/* Digits until the end or 19 of them, which always fit. *p is left behind them; false at anything else. */
static inline bool
first_digits(const char **p, const char *end, uint64_t *out)
{
	uint64_t v = 0;
	const char *q = *p, *stop = end - q > 19 ? q + 19 : end;

	for (; q < stop; q++) {
		unsigned d = (unsigned char)*q - (unsigned)'0';

		if (d > 9)
			return (false);
		v = v * 10 + d;
	}
	*p = q;
	*out = v;
	return (true);
}

bool
token_u64(struct slice s, uint64_t *out)
{
	const char *p = s.p, *end = p + s.len;
	uint64_t v;

	if (s.len > 22 || !first_digits(&p, end, &v))
		return (false);
	for (; p < end; p++) {
		unsigned d = (unsigned char)*p - (unsigned)'0';

		if (d > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
			return (false);
	}
	*out = v;
	return (true);
}

bool
token_u32(struct slice s, uint32_t *out)
{
	const char *p = s.p;
	uint64_t v;

	if (s.len > 11 || !first_digits(&p, p + s.len, &v) || v > UINT32_MAX)
		return (false);
	*out = (uint32_t)v;
	return (true);
}

bool
token_i32(struct slice s, int32_t *out)
{
	bool neg = s.len > 0 && s.p[0] == '-';
	const char *p = s.p + neg;
	uint64_t v;

	if (s.len > 11 || !first_digits(&p, s.p + s.len, &v) || v > (uint64_t)INT32_MAX + neg)
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
token_loose_u32(struct slice s, const char *line_end, uint32_t *out)
{
	const char *p = s.p;
	bool neg;
	uint64_t v;

	if (s.len <= 10 && first_digits(&p, p + s.len, &v)) {
		if (v > UINT32_MAX)
			return (false);
		*out = (uint32_t)v;
		return (true);
	}
	if (!loose_number(p, line_end, &neg, &v) || v > UINT32_MAX || (neg && v != 0))
		return (false);
	*out = (uint32_t)v;
	return (true);
}

bool
token_loose_i32(struct slice s, const char *line_end, int32_t *out)
{
	const char *p = s.p;
	bool neg;
	uint64_t v;

	if (s.len <= 10 && first_digits(&p, p + s.len, &v)) {
		*out = (int32_t)(uint32_t)v;
		return (true);
	}
	if (!loose_number(p, line_end, &neg, &v) || v > (uint64_t)INT64_MAX + neg)
		return (false);
	*out = (int32_t)(uint32_t)(neg ? (uint64_t)0 - v : v);
	return (true);
}
