/* record_words.h - what record.c and record_body.c share: names, and the errors of both. */
#ifndef PROTO_RECORD_WORDS_H
#define PROTO_RECORD_WORDS_H

#include "proto/record.h"

#define RECORD_BAD_FORMAT	"CLIENT_ERROR bad command line format"
#define RECORD_BAD_TOKEN	"CLIENT_ERROR bad token in command line format"
#define RECORD_BAD_KEY		"CLIENT_ERROR error decoding key"
#define RECORD_INVALID_FLAG	"CLIENT_ERROR invalid flag"
#define RECORD_DUPLICATE_FLAG	"CLIENT_ERROR duplicate flag"
#define RECORD_LONG_LINE	"CLIENT_ERROR line too long"
#define RECORD_NO_MEMORY	""	/* the client is dropped */

/* A line of a km's body. cmd.id 0: neither kp nor kd. Else as record_parse(). */
void		 record_parse_sub(struct slice line, struct record_cmd *);
/* Base64 in memory of our own, decoded in place. */
bool		 record_name_decode(struct slice *);
/* The same of an item key, if binary; what is wrong with it, NULL: nothing. */
const char	*record_item_key(struct slice *, bool binary);

#endif
