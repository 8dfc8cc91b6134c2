/*
 * codec.h - values compressed with zstd, with trained dictionaries where values are small.
 *
 * What is encoded is one zstd frame that tells its size and its dictionary, and is summed; the envelope tells the
 * same. A value stays plain unless the frame and the longer head that it needs are smaller. Decoding trusts nobody:
 * sizes are compared before memory is asked for, and what does not decode to exactly that many bytes is an error,
 * never a value.
 *
 * Dictionaries are digested once and then read-only: any thread. A struct codec_ctx is one thread's.
 */
#ifndef KV_CODEC_H
#define KV_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/envelope.h"

#define CODEC_DICTIONARY_MAX	(4u * 1024 * 1024)	/* bytes of a dictionary's file */
#define CODEC_DICTIONARIES_MAX	64			/* of one namespace */
#define CODEC_WHY_MAX		512
#define CODEC_BAD_FRAME		"CLIENT_ERROR bad compressed data"

struct codec_dicts;
struct codec_ctx;

/*
 * The dictionary that `file` holds, which new values are encoded with at that level, and all others that lie beside it
 * as *.dict, to read what was encoded with them. NULL: no good, why says so in a line, or one beside it has the id of
 * another; what is beside it and no dictionary is told to the log and left out.
 */
struct codec_dicts *codec_dicts_new(const char *file, int level, char why[CODEC_WHY_MAX]);
void		 codec_dicts_free(struct codec_dicts **);
/* Of the dictionary that is written with; whether that one is known. */
uint32_t	 codec_dicts_id(const struct codec_dicts *);
bool		 codec_dicts_has(const struct codec_dicts *, uint32_t id);

/* NULL: out of memory. Its contexts are made when they are needed, and large ones are not kept. */
struct codec_ctx *codec_new(void);
void		 codec_free(struct codec_ctx **);

/*
 * Encodes into dst, which has room for plain.len bytes; dicts may be NULL. Sets head's codec, size and dictionary. 0:
 * it stays plain, because it would not shrink or for want of memory; head is as it was.
 */
size_t		 codec_encode(struct codec_ctx *, const struct codec_dicts *, int level, struct slice plain,
		    char *dst, struct envelope *head);
/* Of what a client sent: bytes of the value that it is to become, or its own if those are more or not told. */
uint64_t	 codec_size(enum codec, struct slice frame);
/*
 * What a client has encoded itself: sets head's codec, size and dictionary by what the frame says. A cheap look,
 * nothing is decoded. NULL: good; else the line that the client is to hear.
 */
const char	*codec_adopt(const struct codec_dicts *, enum codec, struct slice frame, uint64_t size_max,
		    struct envelope *);
/*
 * Whether in is what head says, with a value of at most size_max bytes; before memory is asked for. NULL: good; else
 * what is wrong.
 */
const char	*codec_check(const struct codec_dicts *, const struct envelope *, struct slice in, uint64_t size_max);
/* Decodes what codec_check() has found good to exactly head->size bytes. NULL: good; else what is wrong. */
const char	*codec_decode(struct codec_ctx *, const struct codec_dicts *, const struct envelope *, struct slice in,
		    char *dst);

#endif
