/* Unit tests of src/proto/base64.c; the file is included to reach its statics. */
#include "proto/base64.c"
#include "tap.h"

static void
text_and_back(void)
{
	static const struct { const char *plain, *coded; } pairs[] = {
		{ "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" }, { "\xfb\xf0", "+/A=" },
	};

	for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		char out[32];
		size_t len = strlen(pairs[i].plain);
		char *end = base64_put(out, pairs[i].plain, len);

		*end = '\0';
		is_s(out, pairs[i].coded, "%s is written", pairs[i].coded);
		is_u((size_t)(end - out), BASE64_LEN(len), "... in as many characters as announced");
		ok(base64_get(out, out, strlen(out)) == len && memcmp(out, pairs[i].plain, len) == 0,
		    "... and read, in place");
	}
}

static void
tolerates_what_memcached_does(void)
{
	char out[32];

	is_u(base64_get(out, "Z-m9\tv", 6), 3, "characters outside the alphabet are skipped");
	ok(memcmp(out, "foo", 3) == 0, "... and only they");
	is_u(base64_get(out, "Zg==Zm9v", 8), 1, "the padding ends it");
	is_u(base64_get(out, "Zg=a", 4), 2, "padding in the middle of a block counts");
	is_u(base64_get(out, "", 0), 0, "nothing");
	is_u(base64_get(out, "Zm9", 3), 0, "not a whole block");
	is_u(base64_get(out, "Zm9vZ", 5), 0, "one character too many");
	is_u(base64_get(out, "Z===", 4), 0, "three of padding");
	is_u(base64_get(out, "====", 4), 0, "nothing but padding");
	is_u(base64_get(out, "Zm9vZ===", 8), 0, "three of padding behind a whole block");
	is_u(base64_get(out, "!!!!", 4), 0, "nothing of the alphabet");
}

static void
all_bytes_survive(void)
{
	unsigned char in[256], out[BASE64_LEN(256)];
	unsigned wrong = 0;

	for (unsigned i = 0; i < 256; i++)
		in[i] = (unsigned char)(i * 7 + 3);
	for (size_t len = 1; len <= 256; len++) {
		size_t n = (size_t)(base64_put((char *)out, in, len) - (char *)out);

		wrong += n != BASE64_LEN(len) || base64_get((char *)out, (char *)out, n) != len ||
		    memcmp(in, out, len) != 0;
	}
	is_u(wrong, 0, "1 to 256 bytes come back as they were");
}

int
main(void)
{
	text_and_back();
	tolerates_what_memcached_does();
	all_bytes_survive();
	return (done_testing());
}
