/*
 * trace.h - one line of a cache trace in CSV, as the public ones come.
 *
 * Two forms, told apart by their number of columns:
 *	timestamp,key,size,op,ttl
 *	timestamp,key,key size,value size,client id,op,ttl
 * A first line that does not begin with a digit is a header.
 */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include <stddef.h>
#include <stdint.h>

#define TRACE_KEY_MAX	250
#define TRACE_SIZE_MAX	(16u << 20)

enum trace_op { TRACE_GET, TRACE_SET, TRACE_DELETE };
enum trace_got { TRACE_ROW, TRACE_HEADER, TRACE_BAD };

struct trace_row {
	uint64_t	 at;		/* seconds */
	const char	*key;		/* in the line */
	size_t		 key_len;
	uint32_t	 size;		/* of the value */
	enum trace_op	 op;
	uint32_t	 ttl;		/* seconds, 0: never expires */
};

/* What the lines so far have shown; starts as zeroes. */
struct trace_form {
	uint64_t	 lines;
	unsigned	 columns;	/* 0: not known yet */
};

/* The line is without its \n; *why is set when it is BAD. */
enum trace_got	trace_parse(struct trace_form *, const char *line, size_t len,
		    struct trace_row *, const char **why);

#endif
