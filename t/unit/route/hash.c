/*
 * Unit tests of src/route/hash.c; the file is included to reach its statics.
 *
 * Expected values: published test vectors, or the definition written down a second time in the plainest
 * way. The hashes that come from libhashkit are compared with it by name, lest a row name the wrong
 * function.
 */
#include "route/hash.c"
#include "tap.h"

#include <stdlib.h>

#define HASH_OF(name, s)	hash_find(name)(SLICE_LIT(s))

static void
published_vectors(void)
{
	is_u(HASH_OF("xxh3", ""), 0x2d06800538d394c2u, "xxh3 of nothing");
	is_u(HASH_OF("md5", "abc"), 0x98500190u, "md5: four bytes of 900150983cd24fb0..., little endian");
	is_u(HASH_OF("crc32a", "123456789"), 0xcbf43926u, "crc32a: the check value of CRC-32");
	is_u(HASH_OF("crc32", "123456789"), (0xcbf43926u >> 16) & 0x7fff, "crc32: 15 bits of it");
	is_u(HASH_OF("crc16", "123456789") & 0xffff, 0x31c3u, "crc16: the check value of CRC-16/XMODEM");
	is_u(HASH_OF("fnv1_32", "foobar"), 0x31f0b262u, "fnv1_32");
	is_u(HASH_OF("fnv1a_32", "foobar"), 0xbf9cf968u, "fnv1a_32");
	is_u(HASH_OF("fnv1_64", "foobar"), 0x340d8765a4dda9c2u & 0xffffffffu, "fnv1_64: the lower half");
}

/* Not the lower half of FNV-1a 64: only the constants are cut to 32 bits. */
static uint32_t
plain_fnv1a_64(struct slice s)
{
	uint32_t h = 0x84222325u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (uint32_t)(int32_t)(signed char)s.p[i]) * 0x1b3u;
	return (h);
}

static uint32_t
plain_one_at_a_time(struct slice s)
{
	uint32_t h = 0;

	for (size_t i = 0; i < s.len; i++) {
		h += (uint32_t)(int32_t)(signed char)s.p[i];
		h += h << 10;
		h ^= h >> 6;
	}
	h += h << 3;
	h ^= h >> 11;
	return (h + (h << 15));
}

static uint32_t
plain_crc16(struct slice s)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint32_t t = (((crc >> 8) ^ (unsigned char)s.p[i]) & 0xff) << 8;

		for (int bit = 0; bit < 8; bit++)
			t = (t & 0x8000 ? t << 1 ^ 0x1021 : t << 1) & 0xffff;
		crc = crc << 8 ^ t;
	}
	return (crc);
}

static uint32_t
plain_crc32(struct slice s)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < s.len; i++) {
		crc ^= (unsigned char)s.p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
	}
	return (~crc);
}

/* MurmurHash2 with the length's own seed. */
static uint32_t
plain_murmur(struct slice s)
{
	const uint32_t m = 0x5bd1e995u;
	uint32_t h = (0xdeadbeefu * (uint32_t)s.len) ^ (uint32_t)s.len;
	const unsigned char *p = (const unsigned char *)s.p;
	size_t left = s.len;

	for (; left >= 4; left -= 4, p += 4) {
		uint32_t k = (p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24) * m;

		h = (h * m) ^ ((k ^ k >> 24) * m);
	}
	if (left > 2)
		h ^= (uint32_t)p[2] << 16;
	if (left > 1)
		h ^= (uint32_t)p[1] << 8;
	if (left > 0)
		h = (h ^ p[0]) * m;
	h = (h ^ h >> 13) * m;
	return (h ^ h >> 15);
}

static void
definitions(void)
{
	static const struct {
		const char	*name;
		uint32_t	 (*plain)(struct slice);
	} rows[] = {
		{ "fnv1a_64", plain_fnv1a_64 }, { "one_at_a_time", plain_one_at_a_time },
		{ "crc16", plain_crc16 }, { "crc32a", plain_crc32 }, { "murmur", plain_murmur },
	};

	srandom(20261122);
	for (size_t r = 0; r < NITEMS(rows); r++) {
		unsigned wrong = 0;

		for (int i = 0; i < 3000; i++) {
			char buf[251];
			struct slice key = slice_of(buf, 1 + (size_t)random() % 250);

			for (size_t b = 0; b < key.len; b++)
				buf[b] = (char)random();
			wrong += hash_find(rows[r].name)(key) != rows[r].plain(key);
		}
		is_u(wrong, 0, "%s of 3000 random keys is what its definition says", rows[r].name);
	}
}

static void
libhashkits(void)
{
	static const struct {
		const char	*name;
		uint32_t	 (*theirs)(const char *, size_t);
	} rows[] = {
		{ "md5", libhashkit_md5 }, { "crc32", libhashkit_crc32 }, { "fnv1_64", libhashkit_fnv1_64 },
		{ "fnv1a_64", libhashkit_fnv1a_64 }, { "fnv1_32", libhashkit_fnv1_32 },
		{ "fnv1a_32", libhashkit_fnv1a_32 }, { "murmur", libhashkit_murmur },
		{ "murmur3", libhashkit_murmur3 }, { "jenkins", libhashkit_jenkins },
		{ "one_at_a_time", libhashkit_one_at_a_time },
	};
	static const char keys[][8] = { "a", "ab", "abc", "abcd", "abcdefg", "user:42" };

	for (size_t r = 0; r < NITEMS(rows); r++) {
		unsigned wrong = 0;

		for (size_t k = 0; k < NITEMS(keys); k++)
			wrong += hash_find(rows[r].name)(slice_str(keys[k])) !=
			    rows[r].theirs(keys[k], strlen(keys[k]));
		is_u(wrong, 0, "%s is libhashkit's", rows[r].name);
	}
}

/*
 * Taken from a running twemproxy's function; all four lengths of the rest, and a high bit in the odd place.
 */
static void
hsieh_vectors(void)
{
	is_u(HASH_OF("hsieh", "a"), 0x93642e87u, "hsieh, length 1");
	is_u(HASH_OF("hsieh", "ab"), 0x5b8c0ec3u, "hsieh, length 2");
	is_u(HASH_OF("hsieh", "abc"), 0xe5186b3au, "hsieh, length 3");
	is_u(HASH_OF("hsieh", "abcd"), 0x3ab452d8u, "hsieh, length 4");
	is_u(HASH_OF("hsieh", "abcde"), 0x84786722u, "hsieh, length 5");
	is_u(HASH_OF("hsieh", "user:42"), 0xae4b9fa9u, "hsieh, length 7");
	is_u(HASH_OF("hsieh", "user:123456789"), 0xe3d163d2u, "hsieh, length 14");
	is_u(HASH_OF("hsieh", "\xff"), 0x02a6dba8u, "hsieh, length 1");
	is_u(HASH_OF("hsieh", "ab\xe9"), 0x125794e5u, "hsieh, length 3");
	is_u(HASH_OF("hsieh", "\x80\x81\x82\x83\x84"), 0x72ec1103u, "hsieh, length 5");
}

static void
names(void)
{
	static const char *const words[] = {
#define HASH(name)	name,
#include "tbl/hashes.h"
#undef HASH
	};

	ok(hash_find("sha1") == NULL, "no sha1");
	ok(hash_find("") == NULL, "no hash without a name");
	for (size_t i = 0; i < NITEMS(words); i++)
		ok(hash_find(words[i]) != NULL, "%s, which the configuration takes, is a hash", words[i]);
	is_u(NITEMS(words), NITEMS(hashes), "and it takes all that there are");
}

int
main(void)
{
	published_vectors();
	definitions();
	libhashkits();
	hsieh_vectors();
	names();
	return (done_testing());
}
