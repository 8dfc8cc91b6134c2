/*
 * stream.h - sequences of requests that caches are compared by.
 *
 * A stream says what is asked for in which order; whether that hits is the cache's affair. It is a function of its
 * name, seed and scale alone. Who replays it reads through: what a get does not find is stored at once.
 */
#ifndef REPLAY_STREAM_H
#define REPLAY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../gen.h"

enum stream_op { STREAM_GET, STREAM_SET, STREAM_DELETE };

struct stream_req {
	enum stream_op	 op;
	uint32_t	 key;		/* its number: keys with another one are others */
	uint32_t	 version;	/* of the value that the key has from here on */
	uint32_t	 size;		/* of that value */
	uint32_t	 ttl;		/* to store it with; 0: for ever */
	uint64_t	 at_us;		/* since the begin of the stream */
	const char	*name;		/* the key itself; good until the next request */
	unsigned	 name_len;
};

struct stream_info {
	const char	*name;
	const char	*says;
	uint64_t	 requests;	/* 0: not known (a trace) */
	bool		 timed;		/* its TTLs mean something only at its own pace */
};

struct stream;

/* The streams there are, in order; false: no more. */
bool		stream_list(unsigned i, struct stream_info *);
/*
 * scale makes keys, requests and periods fewer; 1 is as documented. requests cuts it off, or lets it go on; 0: as many
 * as it has. NULL with *why: no such stream, or no memory.
 */
struct stream	*stream_open(const char *name, uint64_t seed, double scale, uint64_t requests, const char **why);
/* Of a file; NULL with *why. requests: as above, but there are not more than the file has lines. */
struct stream	*stream_open_trace(const char *path, uint64_t requests, const char **why);
void		 stream_close(struct stream **);
struct stream_info stream_info(const struct stream *);
/* False: it is over, or stream_error() says otherwise. */
bool		 stream_next(struct stream *, struct stream_req *);
/* NULL: none. */
const char	*stream_error(const struct stream *);

/* Makes and verifies the values of a stream's keys. */
const struct gen *stream_gen(const struct stream *);

#endif
