/*
 * fetch.h - values to train with: a namespace's own, over a connection to kvgate, or files.
 */
#ifndef DICT_FETCH_H
#define DICT_FETCH_H

#include <stdbool.h>
#include <stddef.h>

/* Values one behind the other. */
struct samples {
	char		*bytes;
	size_t		 len, cap;
	size_t		*sizes;
	size_t		 n, ncap;
};

/* False: out of memory. */
bool		 samples_add(struct samples *, const char *p, size_t len);
void		 samples_free(struct samples *);

#define FETCH_WHY_MAX	512

/*
 * Scans the namespace until there are so many values, or so many bytes of them; larger ones than value_max are left
 * out. server is HOST:PORT or the path of a socket. False: why says why, in a line.
 */
struct fetch_ask {
	const char	*server, *space;
	size_t		 count, bytes, value_max;
};
bool		 fetch_space(const struct fetch_ask *, struct samples *, char why[FETCH_WHY_MAX]);
/* A file as one value. */
bool		 fetch_file(const char *path, size_t value_max, struct samples *, char why[FETCH_WHY_MAX]);

#endif
