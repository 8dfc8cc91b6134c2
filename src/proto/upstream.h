/*
 * upstream.h - the other side of the memcached protocol: requests to servers, their replies.
 *
 * Meta dialect for servers from 1.6 on, classic for older ones. Both ways are resumable and allocate nothing.
 */
#ifndef PROTO_UPSTREAM_H
#define PROTO_UPSTREAM_H

#include "proto/op.h"

/* Longest request line: key in base64, every flag. */
#define UPSTREAM_LINE_MAX	1024

enum upstream_dialect { UPSTREAM_META, UPSTREAM_CLASSIC };

/*
 * Writes the request line with CRLF for op at dst and returns the end; for OP_STORE the body and CRLF are to
 * follow. opaque is sent as O<number> in the meta dialect and must come back. NULL: this dialect cannot say it.
 */
char	*upstream_put(char *dst, enum upstream_dialect, const struct op *, uint32_t opaque);

/* What the next reply must look like; remembered per request in flight (8 bytes). */
struct upstream_expect {
	uint32_t	 opaque;
	uint8_t		 verb;		/* enum op_verb */
	uint8_t		 dialect;	/* enum upstream_dialect */
	uint8_t		 mode;		/* enum op_mode */
	uint8_t		 want_value;	/* a classic get ends with END */
};

enum upstream_rc {
	UPSTREAM_MORE,		/* no whole line yet */
	UPSTREAM_DONE,		/* outcome complete, no value follows */
	UPSTREAM_VALUE,		/* outcome known; res->size bytes of value and *tail bytes (CRLF, classic: CRLF END CRLF) follow */
	UPSTREAM_BAD,		/* not an answer to this request: the connection is lost */
};

/* Reads one reply line. On DONE and VALUE *used is the length of the line. */
enum upstream_rc upstream_parse(const char *buf, size_t len, const struct upstream_expect *,
		    struct op_result *res, size_t *used, size_t *tail);

/* Whether the tail that follows a value is as it must be. */
bool	 upstream_tail_ok(const char *tail, const struct upstream_expect *);

/* Largest reply line taken; longer: UPSTREAM_BAD. */
#define UPSTREAM_REPLY_MAX	2048

#endif
