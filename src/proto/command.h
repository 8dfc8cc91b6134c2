/*
 * command.h - one parsed client command.
 *
 * Made by proto_parse(); everything in it borrows from the buffer that was parsed and is valid until that
 * buffer is changed. A key that came in base64 is in the command itself, which must stay where it is then.
 *
 * Parsing a line is part of every request's cost, so only what a shape uses is written. Always valid: id, shape,
 * quiet, close, has_body, line, and all of op (zero but for what the command says). Then, by shape:
 *	SHAPE_KEYS, _TOUCHKEYS	keys, nkeys; op.key is the first key
 *	SHAPE_META, _MSET	rflags, nrflags, opaque, nonce, space
 *	SHAPE_WORDS		words, nwords
 *	SHAPE_RECORD		nothing else
 *	CMD_BAD			error, swallow; shape is that of the command if it was known, else SHAPE_WORDS
 */
#ifndef PROTO_COMMAND_H
#define PROTO_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/envelope.h"
#include "proto/op.h"

enum cmd_id {
	CMD_BAD,		/* could not be parsed: command.error is the answer, see reply_bad_line() */
#define CMD(id, word, shape, flags)	CMD_##id,
#include "tbl/commands.h"
#undef CMD
	CMD_COUNT
};

/* How a command's line is laid out; decides which parser reads it and which writer answers it. */
enum cmd_shape {
	SHAPE_KEYS,		/* get|gets <key>+ */
	SHAPE_TOUCHKEYS,	/* gat|gats <exptime> <key>+ */
	SHAPE_STORE,		/* <verb> <key> <flags> <exptime> <bytes> [<cas>] [noreply] + body */
	SHAPE_KEY,		/* delete|incr|decr|touch <key> [...] [noreply] */
	SHAPE_META,		/* <cm> <key> <flag>* */
	SHAPE_MSET,		/* ms <key> <bytes> <flag>* + body */
	/* From here on without op.key. */
	SHAPE_WORDS,		/* everything else: words, looked at by the command itself */
	SHAPE_RECORD,		/* kg ...: the line is left to proto/record.h; op is empty */
};

#define COMMAND_RFLAGS_MAX	20
#define COMMAND_OPAQUE_MAX	32	/* with its letter */
#define COMMAND_WORDS_MAX	8
#define COMMAND_RECORD_MAX	(64 * 1024)	/* bytes of a SHAPE_RECORD line, its end included */
#define COMMAND_KEY64_MAX	((OP_KEY_MAX + 3) / 4 * 3)	/* bytes of a key that came in base64 */

struct command {
	uint8_t		 id;		/* enum cmd_id */
	uint8_t		 shape;		/* enum cmd_shape */
	bool		 quiet;		/* noreply, or meta q */
	bool		 close;		/* close the connection after (or, with no error text, instead of) answering */
	bool		 has_body;	/* op.vlen bytes and CRLF follow the line */
	uint8_t		 nrflags;	/* meta: letters to answer, in the order asked (O, k too) */
	uint8_t		 nwords;	/* SHAPE_WORDS: words after the command, a last "noreply" included */
	char		 rflags[COMMAND_RFLAGS_MAX];
	struct op	 op;
	struct slice	 keys;		/* SHAPE_KEYS, SHAPE_TOUCHKEYS: first key to end of line */
	unsigned	 nkeys;
	struct slice	 opaque;	/* meta O with its letter; len 0: none */
	uint8_t		 token_nonce[NONCE_LEN];	/* OPF_TOKEN: P as a number; op.newcas is the time */
	struct slice	 nonce;		/* meta P with its letter; len 0: none */
	struct slice	 space;		/* meta L, without the letter: "<namespace>/" */
	union {
		struct slice words[COMMAND_WORDS_MAX];	/* SHAPE_WORDS; nwords may be more, up to 22 */
		char	 key64[COMMAND_KEY64_MAX];	/* SHAPE_META, _MSET: op.key decoded */
	};
	struct slice	 line;		/* without its end */
	const char	*error;		/* CMD_BAD: the answer without CRLF */
	uint64_t	 swallow;	/* CMD_BAD: bytes to throw away after the line */
};

enum parse_rc {
	PARSE_MORE,		/* no whole line yet: come back with the same bytes and more */
	PARSE_DONE,		/* *used bytes of line are done; the body, if any, follows */
	PARSE_CLOSE,		/* close without a word (line too long, HTTP, binary protocol) */
};

/* Why PARSE_CLOSE, for the log. */
enum parse_close { PARSE_CLOSE_NONE, PARSE_CLOSE_LONG_LINE, PARSE_CLOSE_HTTP, PARSE_CLOSE_BINARY };

struct parse_limits {
	/* Without '\n' so far: 2048. Those that begin "get ", "gets " or with a record command may be longer. */
	uint32_t	 line_max;
	uint32_t	 multiget_max;	/* bytes of one get/gets line */
};

/*
 * Reads one command line at buf. Never allocates, never looks past buf[len], changes nothing there: a command that
 * has to wait is parsed again from the same bytes. On DONE *used is the length of the line with its end, and, if
 * cmd->has_body, the body and its CRLF are still to be read.
 */
enum parse_rc	 proto_parse(const char *buf, size_t len, const struct parse_limits *,
		    struct command *cmd, size_t *used, enum parse_close *why);

/* Takes the next key off cmd->keys; false when there is none left. */
bool		 command_next_key(struct slice *keys, struct slice *key);

/* Rows of tbl/commands.h, for logs and statistics. */
const char	*command_word(enum cmd_id);

#endif
