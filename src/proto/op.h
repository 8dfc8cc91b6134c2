/*
 * op.h - one operation on one key, and its outcome.
 *
 * The words are those of the meta protocol, because they are a superset: every classic command becomes an op
 * too (`get` is OP_GET wanting value and flags, `cas` is OP_STORE with OPF_CAS ...). Parsers make ops, the
 * local cache and the stores carry them out, the reply writers turn outcomes back into either dialect.
 *
 * An op borrows its key and body; whoever keeps it past the call copies them.
 */
#ifndef PROTO_OP_H
#define PROTO_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define OP_KEY_MAX	250	/* bytes, decoded */
#define OP_TTL_NONE	(-1)	/* op_result.ttl of what never expires */
#define OP_TTL_UNKNOWN	(-2)	/* of what a server told without */
#define OP_REALTIME_MAX	(60 * 60 * 24 * 30)	/* above: TTL is a unix time */

enum op_verb {
	OP_GET,			/* mg, get(s), gat(s), touch */
	OP_STORE,		/* ms, set add replace append prepend cas */
	OP_DELETE,		/* md, delete */
	OP_ARITH,		/* ma, incr decr */
	OP_DEBUG,		/* me */
	OP_FLUSH,		/* flush_all, ttl is the delay; no key */
};

enum op_mode {			/* OP_STORE; OP_ARITH */
	OP_SET,
	OP_ADD,
	OP_REPLACE,
	OP_APPEND,
	OP_PREPEND,
	OP_INCR,
	OP_DECR,
};

/* Options; the letter is the meta flag that sets it. */
#define OPF_CAS		(1u << 0)	/* C: op.cas compares */
#define OPF_NEWCAS	(1u << 1)	/* E: op.newcas becomes the CAS */
#define OPF_TTL		(1u << 2)	/* T (and classic exptimes): op.ttl */
#define OPF_VIVIFY	(1u << 3)	/* N: op.vivify_ttl */
#define OPF_RECACHE	(1u << 4)	/* R: op.recache_ttl */
#define OPF_INVALIDATE	(1u << 5)	/* I */
#define OPF_REMOVE_VAL	(1u << 6)	/* x */
#define OPF_NO_BUMP	(1u << 7)	/* u */
#define OPF_BINKEY	(1u << 8)	/* b: the key was base64 on the wire */
#define OPF_FLAGS	(1u << 9)	/* F (and classic flags): op.client_flags */
#define OPF_CLASSIC	(1u << 10)	/* of a classic command: win and stale marks are neither shown nor changed */
#define OPF_ELSEWHERE	(1u << 11)	/* L named another namespace than the key does: no local copy is its */
#define OPF_LWW		(1u << 12)	/* of our own, in item format: changes nothing that has a higher version */
#define OPF_TOKEN	(1u << 13)	/* of our own, in item format: the version and nonce are the client's token */

/* What is asked for. */
#define OPW_VALUE	(1u << 0)	/* v */
#define OPW_CAS		(1u << 1)	/* c */
#define OPW_FLAGS	(1u << 2)	/* f */
#define OPW_HIT		(1u << 3)	/* h */
#define OPW_LA		(1u << 4)	/* l */
#define OPW_SIZE	(1u << 5)	/* s */
#define OPW_TTL		(1u << 6)	/* t */

/*
 * OP_GET, OP_ARITH: T, N, R and t act one after the other as the line has them, so the same four can come to many
 * outcomes. op.order is that sequence, OPO_BITS each, the first lowest; 0 ends it.
 */
#define OPO_SHOW	1u	/* t; the lowest: an order above it changes or judges the expiry */
#define OPO_TTL		2u	/* T */
#define OPO_VIVIFY	3u	/* N */
#define OPO_RECACHE	4u	/* R */
#define OPO_BITS	4u
#define OPO_MASK	15u

struct op {
	uint8_t		 verb;		/* enum op_verb */
	uint8_t		 mode;		/* enum op_mode */
	uint16_t	 opts;		/* OPF_* */
	uint16_t	 want;		/* OPW_* */
	uint16_t	 order;		/* OPO_*; whatever stands in it has its OPF_ or OPW_ as well */
	int32_t		 ttl;		/* seconds as the client gave them: 0 never, < 0 expired, > 30 days unix time */
	int32_t		 vivify_ttl;
	int32_t		 recache_ttl;
	uint32_t	 client_flags;
	uint32_t	 vlen;		/* of the body, without CRLF */
	struct slice	 key;		/* decoded */
	uint64_t	 hash;		/* XXH3-64 of key; set by whoever routes */
	uint64_t	 cas;
	uint64_t	 newcas;
	uint64_t	 delta;
	uint64_t	 initial;
};

enum op_status {
	OP_OK,			/* HD VA STORED DELETED TOUCHED ... */
	OP_MISS,		/* EN NF NOT_FOUND */
	OP_NOT_STORED,		/* NS */
	OP_EXISTS,		/* EX */
	OP_ERROR,		/* op_result.error says it on the wire */
};

#define OPR_WON		(1u << 0)	/* W */
#define OPR_STALE	(1u << 1)	/* X */
#define OPR_SENT	(1u << 2)	/* Z: another client has the win */
#define OPR_FETCHED	(1u << 3)	/* h1 */
#define OPR_BINKEY	(1u << 4)	/* the item was stored under a base64 key */
#define OPR_EXPIRED	(1u << 5)	/* OP_MISS: it was there, but had expired */
#define OPR_ENCODED	(1u << 6)	/* item format: the value is encoded or in chunks; its envelope says how */
#define OPR_KEPT	(1u << 7)	/* a write in chunks: nothing was written, and nothing names these chunks */

struct op_result {
	uint8_t		 status;	/* enum op_status */
	uint8_t		 bits;		/* OPR_* */
	uint32_t	 client_flags;
	int32_t		 ttl;		/* remaining seconds or OP_TTL_NONE; where t stands in order, else in the end */
	uint32_t	 la;		/* seconds since last access */
	uint32_t	 size;		/* of the value, without CRLF */
	uint64_t	 cas;
	uint64_t	 number;	/* OP_ARITH: the new value */
	struct slice	 error;		/* OP_ERROR: whole line without CRLF; OP_DEBUG: the text after the key */
};

#endif
