/*
 * sha1.c - SHA-1 as FIPS 180-4 defines it, of bytes that are there all at once.
 */
#include "config.h"

#include <stdint.h>

#include "base/sha1.h"

#define BLOCK	64

static inline uint32_t
rotl(uint32_t v, unsigned n)
{
	return (v << n | v >> (32 - n));
}

static void
mix(uint32_t h[5], const unsigned char *block)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (unsigned i = 0; i < 16; i++, block += 4)
		w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
	for (unsigned i = 16; i < 80; i++)
		w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (unsigned i = 0; i < 80; i++) {
		uint32_t f, k, t;

		if (i < 20) {
			f = (b & c) | (~b & d);
			k = 0x5a827999;
		} else if (i < 40) {
			f = b ^ c ^ d;
			k = 0x6ed9eba1;
		} else if (i < 60) {
			f = (b & c) | (b & d) | (c & d);
			k = 0x8f1bbcdc;
		} else {
			f = b ^ c ^ d;
			k = 0xca62c1d6;
		}
		t = rotl(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rotl(b, 30);
		b = a;
		a = t;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void
sha1_hex(struct slice s, char *dst)
{
	static const char hex[] = "0123456789abcdef";
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	uint64_t bits = (uint64_t)s.len * 8;
	unsigned char last[2 * BLOCK] = { 0 };
	size_t rest = s.len % BLOCK, whole = s.len - rest, n = rest < BLOCK - 8 ? BLOCK : 2 * BLOCK;

	for (size_t at = 0; at < whole; at += BLOCK)
		mix(h, (const unsigned char *)s.p + at);
	/* The rest, a bit that ends it, and how long it all was. */
	if (rest > 0)
		memcpy(last, s.p + whole, rest);
	last[rest] = 0x80;
	for (unsigned i = 0; i < 8; i++)
		last[n - 1 - i] = (unsigned char)(bits >> (8 * i));
	for (size_t at = 0; at < n; at += BLOCK)
		mix(h, last + at);
	for (unsigned i = 0; i < SHA1_HEX; i++)
		*dst++ = hex[h[i / 8] >> (28 - 4 * (i % 8)) & 15];
	*dst = '\0';
}
