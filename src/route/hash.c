/*
 * hash.c - hash functions by name.
 *
 * libhashkit has most of them. Debian builds it without hsieh, and it never had crc16 and a full crc32, so
 * those three are here; their tables are two rows of 16 (a CRC's table is linear, entry b is entry b & 0xf0
 * xor entry b & 0x0f), which stay in two cache lines. Bytes above 127 are signed where the originals take
 * them from a char.
 */
#include "config.h"

#include <libhashkit/hashkit.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"
#include "route/hash.h"

#define FROM_LIBHASHKIT(name)						\
	static uint64_t							\
	hash_##name(struct slice s)					\
	{								\
		return (libhashkit_##name(s.p, s.len));			\
	}
FROM_LIBHASHKIT(md5)
FROM_LIBHASHKIT(crc32)
FROM_LIBHASHKIT(fnv1_64)
FROM_LIBHASHKIT(fnv1a_64)
FROM_LIBHASHKIT(fnv1_32)
FROM_LIBHASHKIT(fnv1a_32)
FROM_LIBHASHKIT(murmur)
FROM_LIBHASHKIT(murmur3)
FROM_LIBHASHKIT(jenkins)
FROM_LIBHASHKIT(one_at_a_time)

static const uint16_t crc16_low[16] = {
	0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
	0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef
};
static const uint16_t crc16_high[16] = {
	0x0000, 0x1231, 0x2462, 0x3653, 0x48c4, 0x5af5, 0x6ca6, 0x7e97,
	0x9188, 0x83b9, 0xb5ea, 0xa7db, 0xd94c, 0xcb7d, 0xfd2e, 0xef1f
};
static const uint32_t crc32_low[16] = {
	0x00000000, 0x77073096, 0xee0e612c, 0x990951ba, 0x076dc419, 0x706af48f, 0xe963a535, 0x9e6495a3,
	0x0edb8832, 0x79dcb8a4, 0xe0d5e91e, 0x97d2d988, 0x09b64c2b, 0x7eb17cbd, 0xe7b82d07, 0x90bf1d91
};
static const uint32_t crc32_high[16] = {
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
};

uint64_t
hash_xxh3(struct slice s)
{
	return (XXH3_64bits(s.p, s.len));
}

/* XMODEM's polynomial in a register of 32 bits that nobody cuts to 16: what twemproxy calls crc16. */
static uint64_t
hash_crc16(struct slice s)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned b = ((crc >> 8) ^ (unsigned char)s.p[i]) & 0xff;

		crc = (crc << 8) ^ crc16_high[b >> 4] ^ crc16_low[b & 15];
	}
	return (crc);
}

/* The CRC-32 of zlib and Ethernet. */
static uint64_t
hash_crc32a(struct slice s)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < s.len; i++) {
		unsigned b = (crc ^ (unsigned char)s.p[i]) & 0xff;

		crc = (crc >> 8) ^ crc32_high[b >> 4] ^ crc32_low[b & 15];
	}
	return (~crc);
}

static uint32_t
little16(const char *p)
{
	return ((uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[1] << 8);
}

/*
 * Paul Hsieh's SuperFastHash from a start of 0, the third odd byte signed and the single one not, as
 * twemproxy has it.
 */
static uint64_t
hash_hsieh(struct slice s)
{
	const char *p = s.p, *end = s.p + (s.len & ~(size_t)3);
	uint32_t h = 0;

	if (s.len == 0)
		return (0);
	for (; p < end; p += 4) {
		h += little16(p);
		h = (h << 16) ^ (little16(p + 2) << 11) ^ h;
		h += h >> 11;
	}
	switch (s.len & 3) {
	case 3:
		h += little16(p);
		h ^= h << 16;
		h ^= (uint32_t)(int32_t)(signed char)p[2] << 18;
		h += h >> 11;
		break;
	case 2:
		h += little16(p);
		h ^= h << 11;
		h += h >> 17;
		break;
	case 1:
		h += (unsigned char)p[0];
		h ^= h << 10;
		h += h >> 1;
		break;
	}
	h ^= h << 3;
	h += h >> 5;
	h ^= h << 4;
	h += h >> 17;
	h ^= h << 25;
	h += h >> 6;
	return (h);
}

#define ROW(name)	{ #name, hash_##name }
static const struct {
	const char	*name;
	hash_f		*func;
} hashes[] = {
	ROW(xxh3), ROW(md5), ROW(crc16), ROW(crc32), ROW(crc32a), ROW(fnv1_64), ROW(fnv1a_64),
	ROW(fnv1_32), ROW(fnv1a_32), ROW(hsieh), ROW(murmur), ROW(murmur3), ROW(jenkins), ROW(one_at_a_time),
};

hash_f *
hash_find(const char *name)
{
	for (size_t i = 0; i < NITEMS(hashes); i++)
		if (strcmp(hashes[i].name, name) == 0)
			return (hashes[i].func);
	return (NULL);
}
