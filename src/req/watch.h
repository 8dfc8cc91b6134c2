/*
 * watch.h - the log lines that `watch` shows, from whoever makes them to the clients that watch.
 *
 *	worker: watch_line() -> each watcher's buffer, under the lock -> loop_post -> the watcher's own worker
 *	takes the buffer as bytes of that client's output
 *
 * A buffer is bounded: a watcher that reads too slowly loses lines and is told how many. Nobody waits for
 * it. When nobody watches nothing here is called (see observe.h).
 */
#ifndef REQ_WATCH_H
#define REQ_WATCH_H

#include <stdint.h>

#include "base/slice.h"
#include "proto/op.h"
#include "req/ctx.h"

struct watch;

#define WATCHERS_MAX	20
#define WATCH_BUF	(256 * 1024)	/* bytes of lines that wait for one watcher */
#define WATCH_LINE_MAX	2048
#define WATCH_KEY_MAX	(3 * OP_KEY_MAX + 1)

struct watch_stats {
	uint64_t	 written, skipped, sent, watchers;
};

/* NULL: out of memory. */
struct watch	*watch_new(void);
/* No watcher is left. */
void		 watch_free(struct watch **);

/*
 * The client takes no more commands from here on; lines of the kinds in `what` (OBSERVE_*) come until it closes.
 * NULL, or the text for the client. Its loop's thread.
 */
const char	*watch_add(struct client *, unsigned what);

/* `stats detail on|off`: the bit of shared.observe that is not a watcher's. Any thread. */
void		 watch_set_detail(struct shared *, bool on);

/* A line without its end and its head (ts, gid) to all who watch that kind. Any thread, any lock held. */
void		 watch_line(struct shared *, unsigned kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The key as it stands in a line: bytes that would not do as %XX, and a NUL. */
void		 watch_key(char dst[WATCH_KEY_MAX], struct slice key);

void		 watch_get_stats(struct shared *, struct watch_stats *);

#endif
