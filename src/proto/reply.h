/*
 * reply.h - answers to clients: op outcomes written in the dialect of the command.
 *
 * All functions write at dst and return the end; dst has room for REPLY_LINE_MAX bytes. The line is written
 * with its CRLF; a value, where the caller sends one, follows it and then "\r\n".
 */
#ifndef PROTO_REPLY_H
#define PROTO_REPLY_H

#include <string.h>

#include "base/num.h"
#include "proto/command.h"

/* Longest line: ME or VALUE with the longest key in base64, all return flags, opaque, numbers. */
#define REPLY_LINE_MAX	1024

/* "VALUE <key> <flags> <size>", how every value of a classic read begins. */
static inline char *
reply_value_head(char *dst, struct slice key, uint32_t flags, uint32_t size)
{
	memcpy(dst, "VALUE ", 6);
	memcpy(dst + 6, key.p, key.len);
	dst += 6 + key.len;
	*dst++ = ' ';
	dst = num_put_u64(dst, flags);
	*dst++ = ' ';
	return (num_put_u64(dst, size));
}

/* "VALUE <key> <flags> <size>[ <cas>]\r\n" */
char	*reply_value_line(char *dst, struct slice key, const struct op_result *, bool with_cas);

/*
 * The whole answer line to a meta command for this outcome ("VA 5 f0\r\n", "HD\r\n", "EN O12\r\n" ...),
 * or dst itself when q hides it. OP_ERROR outcomes are written as their error text, which q never hides. ma's
 * VA comes whole, number and all.
 */
char	*reply_meta_line(char *dst, const struct command *, const struct op_result *);

/* The whole answer line of a classic storage, delete, arithmetic or touch command; dst itself with noreply. */
char	*reply_classic_line(char *dst, const struct command *, const struct op_result *);

/*
 * Whether a value follows reply_meta_line()'s answer to OP_GET: asked for, there, and not left out because C
 * names the version that the client has already.
 */
bool	 reply_sends_value(const struct command *, const struct op_result *);

/* The answer to CMD_BAD; dst itself when noreply hides it. */
char	*reply_bad_line(char *dst, const struct command *);

/* text and CRLF. */
char	*reply_text(char *dst, const char *text);

#endif
