/*
 * sha1.h - SHA-1, because Redis names its scripts by it. Not for secrets.
 */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "base/slice.h"

#define SHA1_HEX	40

/* Writes SHA1_HEX digits, lower case, and a NUL. */
void	sha1_hex(struct slice, char *dst);

#endif
