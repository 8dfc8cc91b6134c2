/*
 * replay.h - a stream read through a server: get, and set what was not there.
 */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "stream.h"

#define WINDOW_MAX	256u

struct replay_opts {
	struct sockaddr_storage	 addr;
	socklen_t	 addr_len;
	const char	*target;
	unsigned	 window;	/* requests on the wire at once */
	double		 speed;		/* of the stream's clock; 0: as fast as it goes */
	bool		 flush;		/* flush_all first */
	bool		 show_stats;	/* ask for them at the end */
};

struct replay_counts {
	uint64_t	 requests;
	uint64_t	 gets, hits;	/* of the second half of the stream, if its length is known */
	uint64_t	 gets_all, hits_all;
	uint64_t	 sets;		/* after misses, and the stream's own */
	uint64_t	 refused;	/* sets that the server could not store */
	uint64_t	 wrong;		/* values */
	double		 seconds;
	double		 late;		/* how far behind the stream's clock it fell at most, seconds */
	bool		 has_stats;
	uint64_t	 items, evictions, limit;	/* as the server says */
};

enum replay_end { REPLAY_WELL, REPLAY_WRONG, REPLAY_LOST, REPLAY_STREAM };

/* Says on stderr what went wrong. */
enum replay_end	replay_run(const struct replay_opts *, struct stream *, struct replay_counts *);

#endif
