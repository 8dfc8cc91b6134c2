/*
 * record.h - lines and bodies of the record commands: kg kp kd km ks kh.
 *
 * Unlike a struct command, what is parsed here owns its bytes: one block of memory that the slices point into, so it
 * may outlive the buffer that it came from. No I/O. The grammar and its errors are in kvgate-protocol(7).
 *
 *	line -> record_parse() -> struct record_cmd -> kg kd ks kh: carried out
 *	                                |
 *	                 kp km: record_body_new(), record_body_feed() ... -> struct record_body
 */
#ifndef PROTO_RECORD_H
#define PROTO_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/command.h"
#include "proto/envelope.h"
#include "proto/op.h"

#define RECORD_LINE_MAX		COMMAND_RECORD_MAX	/* of a k command, with its end */
#define RECORD_ITEM_LINE_MAX	2048		/* of a line within kp */
#define RECORD_ITEM_KEY_MAX	1024		/* decoded */
#define RECORD_PUTS_MAX		10000
#define RECORD_SUBS_MAX		1000
#define RECORD_KEYS_MAX		1000		/* K */
#define RECORD_FLAGS_MAX	20		/* beside K */
#define RECORD_PARTS_MAX	1024
#define RECORD_TOKEN_MAX	2048

/* Which flags were there. */
#define RF_BINARY	(1u << 0)	/* b */
#define RF_KEYS		(1u << 1)	/* K */
#define RF_FROM		(1u << 2)	/* G */
#define RF_UNTIL	(1u << 3)	/* U */
#define RF_HEAD		(1u << 4)	/* H */
#define RF_REVERSE	(1u << 5)	/* r */
#define RF_BYTES	(1u << 6)	/* B */
#define RF_ITEMS	(1u << 7)	/* M */
#define RF_VALUE_MAX	(1u << 8)	/* X */
#define RF_DEADLINE	(1u << 9)	/* D */
#define RF_TOKEN	(1u << 10)	/* N: page token */
#define RF_PART		(1u << 11)	/* S */
#define RF_TIME		(1u << 12)	/* E */
#define RF_NONCE	(1u << 13)	/* P */
#define RF_SPACE	(1u << 14)	/* L */
#define RF_CODECS	(1u << 15)	/* Z */
#define RF_ATOMIC	(1u << 16)	/* a */
#define RF_QUIET	(1u << 17)	/* q */
#define RF_CAS		(1u << 18)	/* c is asked for */

struct record_cmd {
	uint8_t		 id;		/* enum cmd_id: CMD_KG ... */
	uint32_t	 flags;		/* RF_* */
	struct slice	 key;		/* the record's id, decoded; ks, kh: the namespace's name (kh: may be empty) */
	struct slice	 space;		/* L, without its slash */
	struct slice	*keys;		/* K, decoded, in their order */
	uint32_t	 nkeys;
	struct slice	 from, until, head;	/* decoded; valid with their RF_ */
	uint64_t	 bytes, items, value_max, deadline;	/* B M X D; D in milliseconds */
	struct slice	 token;		/* N */
	uint32_t	 part, parts;
	uint64_t	 time;		/* E */
	uint8_t		 nonce[NONCE_LEN];	/* P, as a number with its highest byte first */
	uint32_t	 codecs;	/* Z: 1 << enum codec of those that are known here */
	uint32_t	 count;		/* kp, km: items, sub-commands that follow */
	uint8_t		 nreturns;	/* kg, ks: what to return, in the order asked, O too; never nothing */
	char		 returns[RECORD_FLAGS_MAX + 3];	/* i k v s t c f O */
	struct slice	 opaque;	/* O with its letter */
	/* An error: the answer without its end. Nothing else is valid but has_count and count. */
	const char	*error;
	bool		 has_count;	/* kp, km: count is readable, so a body follows although there is an error */
	void		*mem;		/* record_cmd_end() frees it */
	size_t		 size;		/* of mem */
};

/*
 * Reads a line without its end, of which id is the command (CMD_KG ...). Always sets *cmd, with error where it is no
 * good ("" is out of memory: the client is to be dropped).
 */
void		 record_parse(struct slice line, uint8_t id, struct record_cmd *cmd);
/* Frees what it owns; also of one with an error. */
void		 record_cmd_end(struct record_cmd *);

/* Whether an error is that there was no memory, which leaves no other way than to drop the client. */
static inline bool
record_is_lost(const char *error)
{
	return (error != NULL && error[0] == '\0');
}

/* Whether a letter is among cmd.returns. */
static inline bool
record_returns(const struct record_cmd *cmd, char letter)
{
	return (memchr(cmd->returns, letter, cmd->nreturns) != NULL);
}

/* P, also of meta commands: 1-32 hexadecimal digits as a number. False: it is not that. */
bool		 record_nonce(struct slice hex, uint8_t nonce[NONCE_LEN]);

/* A codec's name on lines and in the configuration; what the word means, false: it is not known here. */
const char	*record_codec_word(enum codec);
bool		 record_codec_find(struct slice word, uint8_t *codec);

/* An item of a kp. */
struct record_item {
	struct slice	 key;		/* decoded */
	uint32_t	 client_flags;
	int32_t		 ttl;		/* as op.ttl; 0: none */
	uint8_t		 codec;		/* enum codec: how the client encoded it */
	struct slice	 data;
};

/* A kp or kd: the command itself, or one of a km. */
struct record_sub {
	struct record_cmd cmd;
	struct record_item *items;	/* kp */
	uint32_t	 nitems;
};

/* A kp or km whose body comes. */
struct record_body {
	struct record_cmd cmd;
	struct record_sub *subs;	/* kp: one, whose cmd is only a copy */
	uint32_t	 nsubs;
	/* The first thing that was wrong; the answer without its end, NULL: nothing. Nothing may be written then. */
	const char	*error;
	bool		 close;		/* after the answer: what follows cannot be told apart */
};

#define RECORD_ERROR_MAX	512	/* of a text made for an error */
/* What else is wrong with the line of a kp or kd, the command itself or one of a km; why has room. NULL: nothing. */
typedef const char *record_check_f(void *arg, const struct record_cmd *, char why[RECORD_ERROR_MAX]);

/*
 * Takes cmd. value_max: most bytes of all values together. check (NULL: none) is called for each line as it comes, so
 * that the first error is told. NULL: out of memory, cmd is still the caller's.
 */
struct record_body *record_body_new(struct record_cmd *cmd, uint64_t value_max, record_check_f *check, void *arg);
/*
 * Takes what belongs to the body; *used bytes of buf are done with. True: the body is over, as far as it can be told,
 * and what follows is the next command.
 */
bool		 record_body_feed(struct record_body *, const char *buf, size_t len, size_t *used);
/* Something else is wrong: nothing of it is kept from here on, what follows is thrown away. */
void		 record_body_refuse(struct record_body *, const char *error);
/* Bytes of memory that it holds now. */
size_t		 record_body_size(const struct record_body *);
void		 record_body_free(struct record_body **);

#endif
