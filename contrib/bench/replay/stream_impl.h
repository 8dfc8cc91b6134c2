/*
 * stream_impl.h - what drawn streams (stream.c) and those of a file (stream_trace.c) have in common.
 */
#ifndef REPLAY_STREAM_IMPL_H
#define REPLAY_STREAM_IMPL_H

#include "stream.h"

struct kind;
struct trace_file;

struct stream {
	struct stream_info info;
	bool		 (*next)(struct stream *, struct stream_req *);
	void		 (*close)(struct stream *);	/* NULL: nothing of its own */
	uint64_t	 i;		/* requests so far */
	uint64_t	 requests;	/* its end */
	struct gen	 gen;
	char		 error[400];
	/* drawn */
	const struct kind *kind;
	double		 scale;
	uint64_t	 random;
	uint32_t	 scanned;	/* keys that scans have used */
	uint32_t	*versions;	/* by key; NULL: nothing is overwritten */
	char		 name[16];	/* the key, at its end */
	/* of a file */
	struct trace_file *file;
};

#endif
