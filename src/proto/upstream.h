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

/* What the next reply must look like; remembered per request in flight. Made by upstream_put(). */
struct upstream_expect {
	uint32_t	 opaque;	/* meta */
	union {
		uint32_t keyhash;	/* classic get: of the key that VALUE must name */
		uint32_t vlen;		/* OP_STORE: of the body */
	};
	uint16_t	 want;		/* OPW_* that the reply must bring */
	uint8_t		 verb;		/* enum op_verb */
	uint8_t		 dialect;	/* enum upstream_dialect */
	uint8_t		 bits;		/* upstream.c's own */
	bool		 keys;		/* made by upstream_put_keys() */
};

/*
 * Writes the request line with CRLF for op at dst, fills *expect and returns the end; for OP_STORE the body and
 * CRLF are to follow. opaque is sent as O<number> in the meta dialect and must come back. NULL: this dialect
 * cannot say it (or the key cannot be sent), nothing is to be sent.
 */
char	*upstream_put(char *dst, enum upstream_dialect, const struct op *, uint32_t opaque,
		    struct upstream_expect *expect);

/*
 * The same for a classic read of n keys at once, whatever the dialect: it takes no wins and brings no TTLs. Each key is
 * upstream_key_ok(). dst has room for all keys and n + UPSTREAM_KEYS_ROOM bytes.
 */
char	*upstream_put_keys(char *dst, const struct slice *keys, unsigned n, bool cas, struct upstream_expect *expect);
#define UPSTREAM_KEYS_ROOM	6

/* Whether a key can stand in a classic line. */
bool	 upstream_key_ok(struct slice key);

enum upstream_rc {
	UPSTREAM_MORE,		/* no whole line yet */
	UPSTREAM_DONE,		/* outcome complete, no value follows */
	/*
	 * Outcome known; res->size bytes of value and *tail bytes (CRLF, classic: CRLF END CRLF) follow. A classic
	 * server sends the value even to an op that does not want it.
	 */
	UPSTREAM_VALUE,
	UPSTREAM_BAD,		/* not an answer to this request: the connection is lost */
};

/*
 * Reads one reply line. On DONE and VALUE *used is the length of the line (the number that follows ma's VA is
 * taken with it). res->error borrows from buf. OP_ERROR outcomes leave the connection usable. Fields that the op did
 * not ask for are zero, ttl OP_TTL_NONE. Where T or N stands behind t, res->ttl is not what the item now has.
 */
enum upstream_rc upstream_parse(const char *buf, size_t len, const struct upstream_expect *,
		    struct op_result *res, size_t *used, size_t *tail);

/*
 * The same for upstream_put_keys(), to be called until it says DONE: first VALUE for each key that the server has. *key
 * is the one that most likely comes, then (in buf) the one named; whether it was asked for is for the caller to see.
 */
enum upstream_rc upstream_parse_keys(const char *buf, size_t len, const struct upstream_expect *,
		    struct op_result *res, struct slice *key, size_t *used, size_t *tail);

/* Whether the tail that follows a value is as it must be. */
bool	 upstream_tail_ok(const char *tail, const struct upstream_expect *);

/* Longest tail. */
#define UPSTREAM_TAIL_MAX	7

/* Largest reply line taken; longer: UPSTREAM_BAD. Largest value as well. */
#define UPSTREAM_REPLY_MAX	2048
#define UPSTREAM_VALUE_MAX	(1u << 30)

#endif
