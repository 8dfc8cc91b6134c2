/*
 * record_reply.h - answers to record commands, as lines.
 *
 * All write at dst and return the end; nothing is measured, because the longest line is known. Any thread, pure.
 */
#ifndef PROTO_RECORD_REPLY_H
#define PROTO_RECORD_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/record.h"

/* Longest line: an item with its id and key in base64 and all flags; an end with the longest page token. */
#define RECORD_REPLY_MAX	2560

/* What is told of an item. */
struct record_answer {
	struct slice	 id;		/* for i */
	struct slice	 key;
	uint32_t	 client_flags;
	int32_t		 ttl;		/* seconds left, or OP_TTL_NONE */
	uint64_t	 version;
	uint64_t	 size;		/* of the value, decoded */
	uint64_t	 len;		/* of what follows the line, if anything does */
	uint8_t		 codec;		/* enum codec of what follows */
	bool		 left_out;		/* X: the value is larger than is wanted */
};

/* Whether len bytes and CRLF follow the item's line. */
bool		 record_reply_sends(const struct record_cmd *, const struct record_answer *);
/* "VA <len> ...\r\n" or "HD ...\r\n" */
char		*record_reply_item(char *dst, const struct record_cmd *, const struct record_answer *);
/* Bytes of the item's line and, where it follows, its data, each with its CRLF. */
uint64_t	 record_reply_cost(const struct record_cmd *, const struct record_answer *);

/*
 * The end of a page. token: where it goes on, len 0: nowhere. reason: "size", "slo" ..., NULL: at the end. items: there
 * were some. dst itself where q hides it.
 */
char		*record_reply_end(char *dst, const struct record_cmd *, struct slice token, const char *reason,
		    bool items);

/* kp, kd, km that is done: "HD[ c<version>][ O<opaque>]\r\n"; dst itself where q hides it. */
char		*record_reply_done(char *dst, const struct record_cmd *, uint64_t version);

/* kh: "SIG <name> <value>\r\n", at most RECORD_REPLY_MAX bytes; its end. */
char		*record_reply_signal(char *dst, const char *name, struct slice value);
char		*record_reply_number(char *dst, const char *name, uint64_t value);
char		*record_reply_signals_end(char *dst, const struct record_cmd *);

#endif
