/*
 * reply.h - one reply line of a memcached server, with its data block, or one
 * reply of a Redis.
 *
 * Pure: bytes in, a description that borrows from them out. Data is skipped by
 * its length, never searched, so values may hold anything.
 */
#ifndef BENCH_REPLY_H
#define BENCH_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reply_kind {
	REPLY_MORE,	/* total: how many bytes are needed at least */
	REPLY_BAD,	/* not a reply */
	REPLY_VALUE,	/* VALUE or VA: data, len, key and flags if given */
	REPLY_END,	/* END */
	REPLY_MISS,	/* EN */
	REPLY_DONE,	/* HD */
	REPLY_STORED,	/* STORED */
	REPLY_REFUSED,	/* NOT_STORED EXISTS NOT_FOUND NS EX NF */
	REPLY_NOOP,	/* MN */
	REPLY_ERROR,	/* ERROR, CLIENT_ERROR or SERVER_ERROR: line, line_len */
	/* RESP: strings are REPLY_VALUE, nil is REPLY_MISS, +OK REPLY_STORED */
	REPLY_ARRAY	/* only its head; len: how many elements follow */
};

struct reply {
	enum reply_kind	 kind;
	size_t		 total;		/* bytes of the whole reply */
	const char	*line;		/* without its line end */
	size_t		 line_len;
	const char	*key;		/* NULL: not named */
	size_t		 key_len;
	bool		 has_flags;
	uint32_t	 flags;
	const char	*data;
	size_t		 len;
};

void	reply_parse(const char *bytes, size_t len, struct reply *out);
void	reply_parse_resp(const char *bytes, size_t len, struct reply *out);

#endif
