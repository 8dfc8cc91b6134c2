/*
 * bytes.h - a buffer that grows.
 */
#ifndef BENCH_BYTES_H
#define BENCH_BYTES_H

#include <stdbool.h>
#include <stddef.h>

struct bytes {
	char		*at;
	size_t		 len;
	size_t		 cap;
};

/* Makes room for more bytes behind len; false when out of memory. */
bool		bytes_reserve(struct bytes *, size_t more);

#endif
