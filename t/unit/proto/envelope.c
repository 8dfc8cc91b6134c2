/* Unit tests of src/proto/envelope.c. */
#include "proto/envelope.c"
#include "tap.h"

#include <stdlib.h>

static const struct envelope full = { .marks = ENVELOPE_STALE | ENVELOPE_BINKEY, .client_flags = 0xfedcba98,
    .version = 0x0102030405060708, .expiry = 0xf1f2f3f4f5f6f7f8 };

static void
is_as_written(void)
{
	static const unsigned char want[ENVELOPE_LEN] = { 0xf1, 'k', 'v', 1, 9, 0, 0, 28, 1, 2, 3, 4, 5, 6, 7, 8, 0xf1, 0xf2, 0xf3,
	    0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xfe, 0xdc, 0xba, 0x98 };
	char item[ENVELOPE_LEN + 5];
	struct envelope e;
	struct slice value;

	ok(envelope_put(item, &full) == item + ENVELOPE_LEN, "a head has its length");
	ok(memcmp(item, want, sizeof want) == 0, "and these bytes, which redis.lua knows");
	memcpy(item + ENVELOPE_LEN, "value", 5);
	ok(envelope_get(slice_of(item, sizeof item), &e, &value), "it is read");
	ok(e.marks == full.marks && e.client_flags == full.client_flags && e.version == full.version && e.expiry == full.expiry,
	    "as it was written");
	ok(value.p == item + ENVELOPE_LEN && value.len == 5, "and the value behind it");
	ok(envelope_get(slice_of(item, ENVELOPE_LEN), &e, &value) && value.len == 0, "which may be empty");
}

/* Versions are compared in the stores, as bytes. */
static void
versions_compare_as_bytes(void)
{
	static const uint64_t v[] = { 0, 1, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 1ull << 53, (1ull << 53) + 1,
	    INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };
	char a[ENVELOPE_LEN], b[ENVELOPE_LEN];
	unsigned bad = 0;

	for (size_t i = 1; i < sizeof v / sizeof v[0]; i++) {
		(void)envelope_put(a, &(struct envelope){ .version = v[i - 1] });
		(void)envelope_put(b, &(struct envelope){ .version = v[i] });
		bad += memcmp(a, b, sizeof a) >= 0;
	}
	is_u(bad, 0, "later versions are larger bytes");
}

static bool
good(const char *item, size_t len)
{
	/* Of just this size, so that reading past it is noticed. */
	char *copy = malloc(len == 0 ? 1 : len);
	struct envelope e;
	struct slice value;
	bool is;

	memcpy(copy, item, len);
	is = envelope_get(slice_of(copy, len), &e, &value);
	if (is && (value.p < copy || value.p + value.len != copy + len))
		ok(false, "a value outside of its item");
	free(copy);
	return (is);
}

static void
other_strings_are_none(void)
{
	char item[100];
	unsigned bad = 0;

	memset(item, 'x', sizeof item);
	ok(!good("", 0) && !good(item, sizeof item), "other strings are no items");
	(void)envelope_put(item, &full);
	for (size_t n = 0; n < ENVELOPE_LEN; n++)
		bad += good(item, n);
	is_u(bad, 0, "nor are beginnings of heads");
	for (unsigned i = 0; i < 4; i++) {
		item[i] ^= 1;
		bad += good(item, sizeof item);
		item[i] ^= 1;
	}
	is_u(bad, 0, "nor other magics and formats");
	item[5] = 1;
	ok(!good(item, sizeof item), "nor what is coded as this version knows nothing of");
	item[5] = 0;
	item[7] = ENVELOPE_LEN - 1;
	ok(!good(item, sizeof item), "a head may not be shorter");
	item[7] = 60;
	ok(good(item, sizeof item) && good(item, 60), "it may be longer");
	ok(!good(item, 59), "but not longer than the item");
	item[6] = (char)0xff;
	ok(!good(item, sizeof item), "nor much longer");
}

static void
encoded_values_have_short_heads(void)
{
	struct envelope e = { .codec = CODEC_ZSTD, .version = 7, .size = 1ull << 40, .dictionary = 0x81828384u }, got;
	char item[ENVELOPE_LEN_MAX + 3];
	struct slice value;
	char *end = envelope_put(item, &e);

	is_u((uint64_t)(end - item), 40, "an encoded value's head without a nonce");
	memcpy(end, "abc", 3);
	ok(envelope_get(slice_of(item, 43), &got, &value) && got.size == e.size && got.dictionary == e.dictionary &&
	    value.p == end && value.len == 3, "has size and dictionary");
	ok(memcmp(got.nonce, e.nonce, NONCE_LEN) == 0, "and no nonce");
	ok(!envelope_get(slice_of(item, 39), &got, &value), "and may not end early");
	e.nonce[15] = 1;
	end = envelope_put(item, &e);
	is_u((uint64_t)(end - item), 64, "with a nonce it has all");
	ok(envelope_get(slice_of(item, 64), &got, &value) && got.size == e.size && got.dictionary == e.dictionary &&
	    got.nonce[15] == 1 && value.len == 0, "and says the same");
	e.codec = CODEC_NONE;
	e.chunks = 2;
	memset(e.nonce, 0, NONCE_LEN);
	is_u((uint64_t)(envelope_put(item, &e) - item), 64, "so it has of what is in chunks");
}

int
main(void)
{
	is_as_written();
	encoded_values_have_short_heads();
	versions_compare_as_bytes();
	other_strings_are_none();
	return (done_testing());
}
