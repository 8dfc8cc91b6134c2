/*
 * encode.h - values of item namespaces as they lie in the store, and as clients see them.
 *
 * Loop thread only: the contexts and the scratch memory are the worker's. What is wrong with a value is told as text
 * that may stand behind SERVER_ERROR; it lives for ever.
 */
#ifndef REQ_ENCODE_H
#define REQ_ENCODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/slice.h"
#include "proto/envelope.h"
#include "req/ctx.h"

struct rec_item;
struct rec_put;
struct record_item;
struct value;

/* Values up to this are encoded and decoded in the worker's scratch memory. */
#define ENCODE_SCRATCH	(64u * 1024)
/* Largest value of any configuration: what an envelope may say at most. */
#define ENCODE_SIZE_MAX	(1024u * 1024 * 1024)
/* What decoding says when it is not the value's fault. */
#define DECODE_NO_MEM	"out of memory"

/* Whether a value of that length is to be encoded, if it shrinks. */
bool		 encode_wants(const struct space *, size_t len);
/*
 * Encodes into memory of len bytes, with the namespace's dictionary if the value is whole: pieces are nothing like
 * what it was trained with. Sets head's codec, size and dictionary. 0: it stays plain.
 */
size_t		 encode_bytes(struct ctx *, const struct space *, struct slice plain, char *dst, bool whole,
		    struct envelope *head);
/* Decodes to head->size bytes, which codec_check() has found good. NULL: good. */
const char	*decode_bytes(struct ctx *, const struct space *, const struct envelope *, struct slice in, char *dst);
/* Whether `in` can be what head says; before there is memory for it. NULL: good. */
const char	*decode_check(struct ctx *, const struct space *, const struct envelope *head, struct slice in);
/* ENCODE_SCRATCH bytes, until the next call of anything here. NULL: out of memory. */
char		*encode_scratch(struct ctx *);

/*
 * An item of a kp as it is to be put: sets put's key, client flags, codec, size, dictionary, body (*one) and len. What
 * the client encoded is stored as it is. *mem (free it after done()) holds what had to be made, NULL: the body is the
 * item's own data. NULL: good; else the line that the client is to hear.
 */
const char	*encode_item(struct ctx *, const struct space *, const struct record_item *, struct rec_put *put,
		    struct iovec *one, void **mem);
/* Decodes what such an item's client encoded, to *plain (free it). NULL: good; else what is wrong with it. */
const char	*decode_given(struct ctx *, const struct space *, const struct envelope *, struct slice in,
		    char **plain);
/*
 * The value of an item that was found (not in pieces) as a client gets it that reads these codecs itself (bits 1 <<
 * enum codec). *codec says how it still is encoded: only ever without a dictionary, of which clients know nothing. The
 * value borrows from the item, the scratch memory or *mem (free it). NULL: good; else what is wrong with the value.
 */
const char	*decode_item(struct ctx *, const struct space *, const struct rec_item *, uint32_t codecs,
		    struct slice *value, enum codec *codec, void **mem);

#endif
