/*
 * watch.c - log lines from all workers to the clients that watch.
 */
#include "config.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/check.h"
#include "req/observe.h"
#include "req/req.h"
#include "req/watch.h"

struct watcher {
	unsigned	 magic;
#define WATCHER_MAGIC	0x77617463u
	LIST_ENTRY(watcher) next;
	struct client	*cl;		/* its own loop's thread only; NULL: gone, the message that is out frees */
	struct shared	*shared;
	struct loop	*loop;
	struct watch	*all;
	unsigned	 what;
	/* lock: all->lock */
	char		*buf, *spare;	/* WATCH_BUF each; spare is what the loop sends from */
	size_t		 len;
	uint64_t	 skipped;	/* lines lost since it was last told */
	bool		 posted;	/* a message to its loop is out */
	bool		 due;		/* it came, and the lines are not taken yet */
};

struct watch {
	unsigned	 magic;
#define WATCH_MAGIC	0x77617468u
	pthread_mutex_t	 lock;		/* of all below; a leaf but for the loops' */
	LIST_HEAD(, watcher) watchers;
	unsigned	 n;
	uint64_t	 gid;
	struct watch_stats st;
};

struct watch *
watch_new(void)
{
	struct watch *all = calloc(1, sizeof *all);

	if (all == NULL)
		return (NULL);
	all->magic = WATCH_MAGIC;
	LIST_INIT(&all->watchers);
	pthread_mutex_init(&all->lock, NULL);
	return (all);
}

void
watch_free(struct watch **allp)
{
	struct watch *all;

	if (*allp == NULL)
		return;
	TAKE_OBJ_NOTNULL(all, allp, WATCH_MAGIC);
	MUST(LIST_EMPTY(&all->watchers));
	pthread_mutex_destroy(&all->lock);
	all->magic = 0;
	free(all);
}

static void
watcher_free(struct watcher *w)
{
	free(w->buf);
	free(w->spare);
	w->magic = 0;
	free(w);
}

/* Lock held: what anybody watches. */
static void
watch_update(struct shared *sh)
{
	struct watcher *w;
	unsigned what = atomic_load(&sh->observe) & OBSERVE_DETAIL;

	LIST_FOREACH(w, &sh->watch->watchers, next)
		what |= w->what;
	/* `stats detail` changes its bit under the same lock. */
	atomic_store(&sh->observe, what);
}

void
watch_set_detail(struct shared *sh, bool on)
{
	pthread_mutex_lock(&sh->watch->lock);
	if (on)
		atomic_fetch_or(&sh->observe, OBSERVE_DETAIL);
	else
		atomic_fetch_and(&sh->observe, ~OBSERVE_DETAIL);
	pthread_mutex_unlock(&sh->watch->lock);
}

/* The watcher's loop: there are lines for it. */
static void
watcher_wake(void *arg)
{
	struct watcher *w = arg;

	CHECK_OBJ_NOTNULL(w, WATCHER_MAGIC);
	if (w->cl == NULL) {
		watcher_free(w);
		return;
	}
	pthread_mutex_lock(&w->all->lock);
	w->posted = false;
	w->due = true;
	pthread_mutex_unlock(&w->all->lock);
	w->cl->q.advanced(&w->cl->q);
}

/* Lock held. */
static void
watcher_put(struct watcher *w, const char *line, size_t len)
{
	if (WATCH_BUF - w->len < len) {
		w->skipped++;
		w->all->st.skipped++;
	} else {
		memcpy(w->buf + w->len, line, len);
		w->len += len;
		w->all->st.sent++;
	}
	if (!w->posted && !w->due)
		w->posted = loop_post(w->loop, watcher_wake, w);
}

/* Lines that wait, into the client's output. */
static bool
watcher_take(struct watcher *w, struct outq *out)
{
	uint64_t skipped;
	char text[64], *buf;
	size_t len;
	int n;

	pthread_mutex_lock(&w->all->lock);
	buf = w->buf;
	len = w->len;
	w->buf = w->spare;
	w->spare = buf;
	w->len = 0;
	skipped = w->skipped;
	w->skipped = 0;
	w->due = false;
	pthread_mutex_unlock(&w->all->lock);
	if (!outq_append(out, buf, len))
		return (false);
	if (skipped == 0)
		return (true);
	n = snprintf(text, sizeof text, "skipped=%" PRIu64 "\n", skipped);
	return (outq_append(out, text, (size_t)n));
}

static void
watcher_gone(struct watcher *w)
{
	struct watch *all = w->all;
	bool posted;

	pthread_mutex_lock(&all->lock);
	LIST_REMOVE(w, next);
	all->n--;
	watch_update(w->shared);
	posted = w->posted;
	pthread_mutex_unlock(&all->lock);
	w->cl = NULL;
	if (!posted)
		watcher_free(w);
}

/* client.produce of a client that watches. */
static bool
watcher_produce(struct client *cl, void *arg)
{
	struct watcher *w = arg;

	CHECK_OBJ_NOTNULL(w, WATCHER_MAGIC);
	if (cl == NULL) {
		watcher_gone(w);
		return (false);
	}
	if (!watcher_take(w, &cl->out))
		cl->q.broken = true;
	return (true);
}

static struct watcher *
watcher_new(struct client *cl, unsigned what)
{
	struct watcher *w = calloc(1, sizeof *w);

	if (w == NULL)
		return (NULL);
	w->magic = WATCHER_MAGIC;
	w->cl = cl;
	w->shared = cl->ctx->shared;
	w->loop = cl->ctx->loop;
	w->all = w->shared->watch;
	w->what = what;
	w->buf = malloc(WATCH_BUF);
	w->spare = malloc(WATCH_BUF);
	if (w->buf == NULL || w->spare == NULL) {
		watcher_free(w);
		return (NULL);
	}
	return (w);
}

const char *
watch_add(struct client *cl, unsigned what)
{
	struct watch *all = cl->ctx->shared->watch;
	struct watcher *w;
	bool room;

	if (!TAILQ_EMPTY(&cl->q.waiting) || outq_len(&cl->out) > 0)
		return ("ERROR cannot pipeline other commands before watch");
	w = watcher_new(cl, what);
	if (w == NULL)
		return ("WATCHER_FAILED failed to add log watcher");
	pthread_mutex_lock(&all->lock);
	room = all->n < WATCHERS_MAX;
	if (room) {
		all->n++;
		LIST_INSERT_HEAD(&all->watchers, w, next);
		watch_update(w->shared);
	}
	pthread_mutex_unlock(&all->lock);
	if (!room) {
		watcher_free(w);
		return ("WATCHER_TOO_MANY log watcher limit reached");
	}
	cl->produce = watcher_produce;
	cl->produce_state = w;
	cl->watching = true;
	return (NULL);
}

void
watch_line(struct shared *sh, unsigned kind, const char *fmt, ...)
{
	struct watch *all = sh->watch;
	char line[WATCH_LINE_MAX], body[WATCH_LINE_MAX - 128];
	struct timespec now;
	struct watcher *w;
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(body, sizeof body, fmt, ap);
	va_end(ap);
	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&all->lock);
	n = snprintf(line, sizeof line, "ts=%jd.%06ld gid=%" PRIu64 " %s\n",
	    (intmax_t)now.tv_sec, now.tv_nsec / 1000, ++all->gid, body);
	all->st.written++;
	LIST_FOREACH(w, &all->watchers, next)
		if ((w->what & kind) != 0)
			watcher_put(w, line, (size_t)n);
	pthread_mutex_unlock(&all->lock);
}

void
watch_key(char dst[WATCH_KEY_MAX], struct slice key)
{
	static const char hex[] = "0123456789ABCDEF";
	char *p = dst;

	for (size_t i = 0; i < key.len && i < OP_KEY_MAX; i++) {
		unsigned char c = (unsigned char)key.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		    c == '_' || c == '~')
			*p++ = (char)c;
		else {
			*p++ = '%';
			*p++ = hex[c >> 4];
			*p++ = hex[c & 15];
		}
	}
	*p = '\0';
}

void
watch_get_stats(struct shared *sh, struct watch_stats *st)
{
	struct watch *all = sh->watch;

	pthread_mutex_lock(&all->lock);
	*st = all->st;
	st->watchers = all->n;
	pthread_mutex_unlock(&all->lock);
}
