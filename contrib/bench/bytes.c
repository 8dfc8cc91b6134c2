/*
 * bytes.c - a buffer that grows.
 */
#include "config.h"

#include <stdlib.h>

#include "bytes.h"

bool
bytes_reserve(struct bytes *b, size_t more)
{
	size_t cap = b->cap == 0 ? 4096 : b->cap;
	char *at;

	if (b->cap - b->len >= more)
		return true;
	while (cap - b->len < more)
		cap *= 2;
	at = realloc(b->at, cap);
	if (at == NULL)
		return false;
	b->at = at;
	b->cap = cap;
	return true;
}
