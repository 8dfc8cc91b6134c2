/*
 * base64.c - base64 to and from bytes.
 *
 * Decoding writes three bytes for every four that it has read, so it can work in place.
 */
#include "config.h"

#include <stdint.h>

#include "proto/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *
base64_put(char *dst, const void *src, size_t len)
{
	const unsigned char *s = src;

	for (; len >= 3; len -= 3, s += 3) {
		uint32_t v = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];

		*dst++ = alphabet[v >> 18];
		*dst++ = alphabet[v >> 12 & 63];
		*dst++ = alphabet[v >> 6 & 63];
		*dst++ = alphabet[v & 63];
	}
	if (len > 0) {
		uint32_t v = (uint32_t)s[0] << 16 | (len == 2 ? (uint32_t)s[1] << 8 : 0);

		*dst++ = alphabet[v >> 18];
		*dst++ = alphabet[v >> 12 & 63];
		*dst++ = len == 2 ? alphabet[v >> 6 & 63] : '=';
		*dst++ = '=';
	}
	return (dst);
}

/* 0-63, 64 for the padding, -1 for what does not belong. */
static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (c - 'A');
	if (c >= 'a' && c <= 'z')
		return (c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (c - '0' + 52);
	return (c == '+' ? 62 : c == '/' ? 63 : c == '=' ? 64 : -1);
}

size_t
base64_get(char *dst, const char *src, size_t len)
{
	char *out = dst;
	uint32_t block = 0;
	unsigned have = 0, pad = 0, total = 0;

	for (size_t i = 0; i < len; i++)
		total += value_of(src[i]) >= 0;
	if (total % 4 != 0)
		return (0);
	for (size_t i = 0; i < len && pad == 0; i++) {
		/* Padding ends the key only once its block of four is complete. */
		for (have = 0; i < len; i++) {
			int v = value_of(src[i]);

			if (v < 0)
				continue;
			pad += v == 64;
			block = block << 6 | (uint32_t)(v & 63);
			if (++have == 4)
				break;
		}
		if (have < 4)
			break;
		*out++ = (char)(block >> 16);
		*out++ = (char)(block >> 8);
		*out++ = (char)block;
	}
	return (pad > 2 ? 0 : (size_t)(out - dst) - pad);
}
