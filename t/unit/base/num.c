/* Unit tests of src/base/num.c. */
#include "base/num.c"
#include "tap.h"

#include <inttypes.h>

static void
put_agrees_with_printf(void)
{
	static const uint64_t v[] = { 0, 1, 9, 10, 11, 99, 100, 101, 999, 1000,
	    65535, 4294967295u, 4294967296u, 9999999999999999999u,
	    10000000000000000000u, UINT64_MAX };
	unsigned bad = 0;

	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		char a[32], b[32];

		*num_put_u64(a, v[i]) = '\0';
		snprintf(b, sizeof b, "%" PRIu64, v[i]);
		bad += strcmp(a, b) != 0;
		*num_put_i64(a, (int64_t)v[i]) = '\0';
		snprintf(b, sizeof b, "%" PRId64, (int64_t)v[i]);
		bad += strcmp(a, b) != 0;
	}
	is_u(bad, 0, "numbers are written as printf writes them");
}

static void
get_takes_whole_numbers_only(void)
{
	static const char *const bad[] = { "", "+1", " 1", "1 ", "1x", "-1",
	    "-", "18446744073709551616", "99999999999999999999", "0x10",
	    "000000000000000000001" };
	uint64_t u;
	uint32_t u32;
	int64_t i;
	int32_t i32;

	for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++)
		ok(!num_get_u64(slice_str(bad[n]), &u), "'%s' is refused", bad[n]);
	ok(num_get_u64(SLICE_LIT("18446744073709551615"), &u) && u == UINT64_MAX, "2^64-1");
	ok(num_get_u32(SLICE_LIT("4294967295"), &u32) && u32 == UINT32_MAX, "2^32-1");
	ok(!num_get_u32(SLICE_LIT("4294967296"), &u32), "2^32 does not fit 32 bits");
	ok(num_get_i64(SLICE_LIT("-9223372036854775808"), &i) && i == INT64_MIN, "-2^63");
	ok(!num_get_i64(SLICE_LIT("-9223372036854775809"), &i), "below -2^63");
	ok(!num_get_i64(SLICE_LIT("9223372036854775808"), &i), "2^63");
	ok(num_get_i32(SLICE_LIT("-2147483648"), &i32) && i32 == INT32_MIN, "-2^31");
	ok(!num_get_i32(SLICE_LIT("2147483648"), &i32), "2^31");
	ok(num_get_i32(SLICE_LIT("-1"), &i32) && i32 == -1, "-1");
	ok(!num_get_i32(SLICE_LIT("--1"), &i32), "--1");
}

int
main(void)
{
	put_agrees_with_printf();
	get_takes_whole_numbers_only();
	return (done_testing());
}
