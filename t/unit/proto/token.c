/* Unit tests of src/proto/token.c; the file is included to reach its statics. */
#include "proto/token.c"
#include "tap.h"

static struct slice
s(const char *text)
{
	return (slice_str(text));
}

/* Every length of line and place of the space, so that each way through token_end() is taken. */
static void
words_end_at_the_first_space(void)
{
	char line[40];
	unsigned wrong = 0;

	for (size_t len = 1; len <= sizeof line; len++)
		for (size_t from = 0; from < len; from++)
			for (size_t at = from; at <= len; at++) {
				memset(line, 0x21, sizeof line);
				if (at < len)
					line[at] = ' ';
				if (from > 0)
					line[from - 1] = ' ';
				if (at + 1 < len)
					line[len - 1] = ' ';
				wrong += token_end(line, line + from, line + len) != line + at;
			}
	is_u(wrong, 0, "the first space ends a word, wherever it is");
	wrong = 0;
	for (unsigned c = 0; c < 256; c++) {
		memset(line, (int)c, sizeof line);
		wrong += (token_end(line, line, line + 24) == line + 24) == (c == ' ');
		wrong += (token_end(line, line + 20, line + 24) == line + 24) == (c == ' ');
	}
	is_u(wrong, 0, "no other byte does");
}

static void
lines_split_at_spaces(void)
{
	static const char line[] = "  get  a\tb   noreply ";
	struct tokens ts;
	char many[200];

	tokens_split(&ts, line, line + sizeof line - 1, TOKEN_MAX);
	is_u(ts.n, 3, "three words");
	ok(slice_eq_str(ts.t[0], "get") && slice_eq_str(ts.t[1], "a\tb") && slice_eq_str(ts.t[2], "noreply"),
	    "spaces part words, tabs do not");
	ok(tokens_noreply(&ts), "the last one is noreply");
	memset(many, ' ', sizeof many);
	for (unsigned i = 0; i < sizeof many; i += 2)
		many[i] = 'x';
	tokens_split(&ts, many, many + sizeof many, TOKEN_MAX);
	is_u(ts.n, TOKEN_MAX, "no more words than memcached looks at");
	tokens_split(&ts, many, many + 1, TOKEN_MAX);
	ok(ts.n == 1 && !tokens_noreply(&ts), "one word, another one");
	tokens_split(&ts, many + 1, many + 2, TOKEN_MAX);
	ok(ts.n == 0 && !tokens_noreply(&ts), "no word");
}

static void
strict_numbers(void)
{
	static const char *const bad32[] = { "x", "1x", "+1", " 1", "1 ", "4294967296", "000000000001", "-1",
	    "99999999999", "1\t" };
	static const char *const bad64[] = { "x", "+1", "-1", "18446744073709551616", "99999999999999999999",
	    "00000000000000000000001", "1844674407370955161x" };
	uint64_t u = 7;
	uint32_t w = 7;
	int32_t i = 7;

	for (unsigned n = 0; n < sizeof bad32 / sizeof bad32[0]; n++)
		ok(!token_u32(s(bad32[n]), &w) && w == 7, "not 32 bits: '%s'", bad32[n]);
	for (unsigned n = 0; n < sizeof bad64 / sizeof bad64[0]; n++)
		ok(!token_u64(s(bad64[n]), &u) && u == 7, "not 64 bits: '%s'", bad64[n]);
	ok(token_u32(s("4294967295"), &w) && w == UINT32_MAX, "the largest of 32 bits");
	ok(token_u32(s("00000000012"), &w) && w == 12, "zeros may lead up to eleven characters");
	ok(token_u64(s("18446744073709551615"), &u) && u == UINT64_MAX, "the largest of 64 bits");
	ok(token_u64(s("0018446744073709551615"), &u) && u == UINT64_MAX, "zeros may lead up to 22 characters");
	ok(token_i32(s("2147483647"), &i) && i == INT32_MAX, "the largest int");
	ok(token_i32(s("-2147483648"), &i) && i == INT32_MIN, "the smallest int");
	ok(token_i32(s("-"), &i) && i == 0, "a lone minus is zero");
	i = 7;
	ok(!token_i32(s("2147483648"), &i) && !token_i32(s("-2147483649"), &i) && !token_i32(s("--1"), &i) &&
	    !token_i32(s("1-"), &i) && i == 7, "ints overflow");
}

static bool
loose_u(const char *text, uint32_t *out)
{
	size_t word = strcspn(text, " ");

	return (token_loose_u32(slice_of(text, word), text + strlen(text), out));
}

static bool
loose_i(const char *text, int32_t *out)
{
	size_t word = strcspn(text, " ");

	return (token_loose_i32(slice_of(text, word), text + strlen(text), out));
}

static void
loose_numbers(void)
{
	static const char *const bad[] = { "x", "1x", "-", "+", "\t", "-1", "4294967296", "--1", "18446744073709551616",
	    "99999999999999999999999" };
	uint32_t u = 7;
	int32_t i = 7;

	for (unsigned n = 0; n < sizeof bad / sizeof bad[0]; n++)
		ok(!loose_u(bad[n], &u) && u == 7, "not flags: '%s'", bad[n]);
	ok(loose_u("+5", &u) && u == 5 && loose_u("-0", &u) && u == 0, "a sign may lead");
	ok(loose_u("\t5", &u) && u == 5 && loose_u("6\tx", &u) && u == 6, "white space around");
	ok(loose_u("\t 8 9", &u) && u == 8, "even that of the next word");
	ok(loose_u("0000000000004294967295", &u) && u == UINT32_MAX, "any number of zeros");
	ok(loose_i("-1", &i) && i == -1 && loose_i("+2", &i) && i == 2, "signed");
	ok(loose_i("4294967296", &i) && i == 0 && loose_i("4294967301", &i) && i == 5 &&
	    loose_i("-4294967297", &i) && i == -1, "an expiry is cut to 32 bits");
	i = 7;
	ok(!loose_i("9223372036854775808", &i) && !loose_i("-9223372036854775809", &i) && i == 7, "64 bits at most");
	ok(loose_i("9223372036854775807", &i) && i == -1, "the largest long");
}

int
main(void)
{
	words_end_at_the_first_space();
	lines_split_at_spaces();
	strict_numbers();
	loose_numbers();
	return (done_testing());
}
