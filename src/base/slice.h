/*
 * slice.h - a borrowed run of bytes.
 *
 * A slice never owns what it points at: it is valid as long as the buffer it was cut from.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char	*p;
	size_t		 len;
};

#define SLICE_NULL	((struct slice){ NULL, 0 })
#define SLICE_LIT(s)	((struct slice){ (s), sizeof(s) - 1 })

static inline struct slice
slice_of(const char *p, size_t len)
{
	return ((struct slice){ p, len });
}

static inline struct slice
slice_str(const char *s)
{
	return ((struct slice){ s, strlen(s) });
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
	return (a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0));
}

static inline bool
slice_eq_str(struct slice a, const char *s)
{
	return (slice_eq(a, slice_str(s)));
}

static inline bool
slice_has_prefix(struct slice s, struct slice prefix)
{
	return (s.len >= prefix.len && (prefix.len == 0 ||
	    memcmp(s.p, prefix.p, prefix.len) == 0));
}

/* In the order of unsigned bytes, a beginning before what goes on: < 0, 0, > 0. */
static inline int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return (order != 0 ? order : (a.len > b.len) - (a.len < b.len));
}

#endif
