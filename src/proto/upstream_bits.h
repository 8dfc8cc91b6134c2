/* upstream_bits.h - what upstream_put.c leaves in upstream_expect.bits and .keyhash for upstream_parse.c. */
#ifndef PROTO_UPSTREAM_BITS_H
#define PROTO_UPSTREAM_BITS_H

#include <stddef.h>
#include <stdint.h>

#define UB_TOUCH	(1u << 0)	/* a classic touch: TOUCHED or NOT_FOUND, no value */
#define UB_MAY_OMIT	(1u << 1)	/* mg with C: HD instead of VA is right */
#define UB_CAS		(1u << 2)	/* C was sent: EXISTS and EX are right */

/* FNV-1a. Only the key that we asked for may come back, so it guards against mishaps, not against malice. */
static inline uint32_t
upstream_keyhash(const char *p, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * 16777619u;
	return (h);
}

#endif
