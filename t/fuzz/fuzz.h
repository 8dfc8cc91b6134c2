/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target takes bytes from anywhere and aborts when a promise is broken; the sanitizers see the rest. What is parsed lies
 * in memory of its exact size.
 */
#ifndef T_FUZZ_H
#define T_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMISE(e)								\
	do {									\
		if (!(e)) {							\
			fprintf(stderr, "broken promise: %s (%s:%d)\n", #e,	\
			    __FILE__, __LINE__);				\
			abort();						\
		}								\
	} while (0)

/* A copy that ends where its memory ends; free() it. */
static inline char *
exact_copy(const void *p, size_t len)
{
	char *buf = malloc(len > 0 ? len : 1);

	PROMISE(buf != NULL);
	if (len > 0)
		memcpy(buf, p, len);
	return (buf);
}

#endif
