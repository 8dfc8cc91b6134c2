/*
 * parse.h - what the three parts of the command parser share: parse.c finds the line and the command word,
 * text.c reads classic lines, meta.c those with flags.
 *
 * Each reader gets the command with id, shape, line and a zeroed op already set, and the line from behind the
 * command word to its end. It ends with parse_bad() or with the fields of its shape set.
 */
#ifndef PROTO_PARSE_H
#define PROTO_PARSE_H

#include "base/check.h"
#include "proto/command.h"
#include "proto/token.h"

#define PARSE_BAD_FORMAT	"CLIENT_ERROR bad command line format"

/* Body bytes that a length may announce; with CRLF they still fit memcached's int. */
#define PARSE_VLEN_MAX		(INT32_MAX - 2)

/* Turns the command into CMD_BAD. swallow: bytes after the line to throw away. */
static inline enum parse_rc
parse_bad(struct command *cmd, const char *error, uint64_t swallow)
{
	cmd->id = CMD_BAD;
	cmd->has_body = false;
	cmd->error = error;
	cmd->swallow = swallow;
	return (PARSE_DONE);
}

/* SHAPE_KEYS, SHAPE_TOUCHKEYS, SHAPE_STORE, SHAPE_KEY. All come to PARSE_DONE: saying so makes the last call a jump. */
enum parse_rc	 parse_keys(struct command *, const char *p, const char *end);
enum parse_rc	 parse_touchkeys(struct command *, const char *p, const char *end);
enum parse_rc	 parse_store(struct command *, const char *p, const char *end);
enum parse_rc	 parse_key(struct command *, const char *p, const char *end);
/* SHAPE_META and SHAPE_MSET. A base64 key goes into the command. */
enum parse_rc	 parse_meta(struct command *, const char *p, const char *end);

#endif
