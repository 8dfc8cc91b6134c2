/*
 * num.c - decimal numbers.
 *
 * Two digits at a time from a table: halves the divisions, which is what itoa costs.
 */
#include "config.h"

#include "base/num.h"

static const char pairs[] =
    "00010203040506070809101112131415161718192021222324"
    "25262728293031323334353637383940414243444546474849"
    "50515253545556575859606162636465666768697071727374"
    "75767778798081828384858687888990919293949596979899";

static char *
put_four(char *dst, unsigned v)
{
	memcpy(dst, pairs + v / 100 * 2, 2);
	memcpy(dst + 2, pairs + v % 100 * 2, 2);
	return (dst + 4);
}

char *
num_put_u64(char *dst, uint64_t v)
{
	/* Most numbers on the wire are sizes and flags, and short. */
	if (v < 10) {
		*dst = (char)('0' + v);
		return (dst + 1);
	}
	if (v < 100) {
		memcpy(dst, pairs + v * 2, 2);
		return (dst + 2);
	}
	if (v < 1000) {
		*dst = (char)('0' + v / 100);
		memcpy(dst + 1, pairs + v % 100 * 2, 2);
		return (dst + 3);
	}
	if (v < 10000)
		return (put_four(dst, (unsigned)v));
	return (put_four(num_put_u64(dst, v / 10000), (unsigned)(v % 10000)));
}

char *
num_put_i64(char *dst, int64_t v)
{
	if (v >= 0)
		return (num_put_u64(dst, (uint64_t)v));
	*dst++ = '-';
	return (num_put_u64(dst, (uint64_t)0 - (uint64_t)v));
}

bool
num_get_u64(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len == 0 || s.len > NUM_U64_MAXLEN)
		return (false);
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = (unsigned char)s.p[i] - (unsigned)'0';

		/* 20 digits can overflow; fewer cannot. */
		if (d > 9 || (i == 19 && (v > UINT64_MAX / 10 ||
		    (v == UINT64_MAX / 10 && d > UINT64_MAX % 10))))
			return (false);
		v = v * 10 + d;
	}
	*out = v;
	return (true);
}

bool
num_get_u32(struct slice s, uint32_t *out)
{
	uint64_t v;

	if (!num_get_u64(s, &v) || v > UINT32_MAX)
		return (false);
	*out = (uint32_t)v;
	return (true);
}

bool
num_get_i64(struct slice s, int64_t *out)
{
	bool neg = s.len > 0 && s.p[0] == '-';
	uint64_t v;

	if (neg)
		s = slice_of(s.p + 1, s.len - 1);
	if (!num_get_u64(s, &v) || v > (uint64_t)INT64_MAX + neg)
		return (false);
	*out = neg ? (int64_t)((uint64_t)0 - v) : (int64_t)v;
	return (true);
}

bool
num_get_i32(struct slice s, int32_t *out)
{
	int64_t v;

	if (!num_get_i64(s, &v) || v < INT32_MIN || v > INT32_MAX)
		return (false);
	*out = (int32_t)v;
	return (true);
}

static inline bool
is_space(char ch)
{
	return (ch == ' ' || (ch >= '\t' && ch <= '\r'));
}

bool
num_get_counter(struct slice s, uint64_t *out)
{
	const char *p = s.p, *end = s.p + s.len, *digits;
	bool minus = false;
	uint64_t v = 0;

	while (p < end && is_space(*p))
		p++;
	if (p < end && (*p == '-' || *p == '+'))
		minus = *p++ == '-';
	for (digits = p; p < end && *p >= '0' && *p <= '9'; p++) {
		unsigned d = (unsigned)(*p - '0');

		if (v > (UINT64_MAX - d) / 10)
			return (false);
		v = v * 10 + d;
	}
	if (p == digits || (p < end && *p != '\0' && !is_space(*p)))
		return (false);
	if (minus)
		v = 0 - v;
	if (minus && (int64_t)v < 0)
		return (false);
	*out = v;
	return (true);
}
