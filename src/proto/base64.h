/* base64.h - keys in base64, as the meta commands carry them with the b flag. */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include <stddef.h>

#define BASE64_LEN(n)	(((n) + 2) / 3 * 4)	/* characters for n bytes */

/* Writes BASE64_LEN(len) characters, padded, no NUL; returns the end. */
char	*base64_put(char *dst, const void *src, size_t len);

/*
 * Decodes src[0..len) to dst, which may be src itself; returns the number of bytes, 0 where it is not base64. As
 * tolerant as memcached, whose clients' keys these are: characters outside the alphabet are skipped, what
 * follows the padding is ignored.
 */
size_t	 base64_get(char *dst, const char *src, size_t len);

#endif
