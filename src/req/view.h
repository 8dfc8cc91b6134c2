/*
 * view.h - the configuration as one worker uses it: namespaces with their pools and counters.
 *
 * A snapshot is one reading of the configuration, shared by all threads. A view is a worker's own: its pools are open.
 * A reload makes a new view, which takes over the pools and counters that did not change; requests keep the view
 * with which they began until they end, and with it the pools that the new one has no more.
 */
#ifndef REQ_VIEW_H
#define REQ_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backend/backend.h"
#include "conf/model.h"
#include "keys/keymap.h"

struct codec_dicts;
struct hedger;
struct loop;
struct ring;
struct token_top;
struct view;

/* read-only after build, but for refs; any thread */
struct snapshot {
	unsigned	 magic;
#define SNAPSHOT_MAGIC	0x736e6170u
	_Atomic unsigned refs;
	struct conf	*conf;
	struct keymap	*keymap;
	struct codec_dicts **dicts;	/* of each namespace; NULL: it has none */
};

/* Takes conf. NULL: out of memory, conf is still the caller's. One reference is the caller's. */
struct snapshot	*snapshot_new(struct conf *);
/* Reads the dictionaries that it names; before anybody else has it. False: why says what is wrong, in a line. */
bool		 snapshot_load(struct snapshot *, char *why, size_t size);
/* Whether those of a configuration could be loaded; conf_load()'s look. */
bool		 snapshot_check(const struct conf *, char *why, size_t size);
struct snapshot	*snapshot_pin(struct snapshot *);
/* The last reference frees. NULL is fine. */
void		 snapshot_unpin(struct snapshot **);

/* Counters of one namespace in one worker; metric.h's rule. Live as long as a view has a namespace of the name. */
struct ns_stats {
#define NS_STAT(field, prose)	_Atomic uint64_t field;
#include "tbl/ns_stats.h"
#undef NS_STAT
	unsigned	 refs;		/* views; worker's thread */
	uint32_t	 item_size;	/* bytes of an item in pages, a moving average; 0: none yet; worker's thread */
	void		*was;		/* admin's: what they were at the last `stats reset`; heap */
};
#define NS_ADD_N(ns, field, n)						\
	atomic_store_explicit(&(ns)->field,				\
	    atomic_load_explicit(&(ns)->field, memory_order_relaxed) +	\
	    (uint64_t)(n), memory_order_relaxed)
#define NS_ADD(ns, field)	NS_ADD_N(ns, field, 1)

/* One store as one worker sees it: its servers, connected. */
struct pool {
	const struct conf_store	*conf;		/* of snap */
	const struct be_ops	*ops;
	struct ring		*ring;
	struct backend		**servers;
	unsigned		 nservers;	/* 1 with BE_CAP_WHOLE */
	unsigned		 refs;		/* views */
	struct snapshot		*snap;
};

/* Whether the local cache has something of a namespace, and whether each hit has to be looked at (cut.h). */
enum space_copies { SPACE_NO_COPIES, SPACE_COPIES, SPACE_CUT_COPIES };

/* One namespace of a view; read-only after build. */
struct space {
	const struct conf_ns	*conf;
	struct pool		*pool;		/* NULL: the local cache is all there is */
	struct pool		*tier;		/* the cache store before it; NULL: none */
	struct ns_stats		*stats;
	struct view		*view;
	bool			 plain;		/* an op goes to one server, once; see send.h */
	bool			 splits;	/* keys have an item behind a separator */
	bool			 more;		/* they have, or there is a cache store: see fill.c */
	uint8_t			 copies;	/* enum space_copies */
	struct hedger		*hedger;	/* NULL: nothing is sent twice */
	bool			 tokens;	/* E and P of a write are its token */
	struct token_top	*top;		/* tokens: version.c's */
	const struct codec_dicts *dicts;	/* NULL: none */
};

/* loop thread only; what hangs on ctx.view is read by others under shared.catalog */
struct view {
	unsigned		 magic;
#define VIEW_MAGIC	0x76696577u
	unsigned		 refs;		/* the ctx, and requests under way */
	SLIST_ENTRY(view)	 next_old;
	struct snapshot		*snap;
	const struct conf	*conf;		/* snap's */
	const struct keymap	*keymap;	/* snap's */
	bool			 looks_up;	/* some namespace keeps something in the local cache */
	unsigned		 npools;
	struct pool		**pools;
	struct space		 spaces[];	/* conf->nspaces */
};

/*
 * Opens what was (NULL: nothing) does not have yet. NULL with *why set: a server or ring cannot be set up, nothing has
 * changed.
 */
struct view	*view_new(struct snapshot *, const struct view *was, struct loop *, const char **why);
/* At the end of all: closes the servers of its pools, so that all requests of it end. */
void		 view_close(struct view *);
/* When nobody uses it any more; never within be_op.done(). */
void		 view_free(struct view **);

static inline void
view_pin(struct view *v)
{
	v->refs++;
}

/* Who drops the last reference leaves it to ctx_reap() to free it. */
static inline void
view_unpin(struct view *v)
{
	v->refs--;
}

/* The namespace that a key belongs to. */
static inline const struct space *
view_find(const struct view *v, struct slice key)
{
	return (&v->spaces[keymap_find(v->keymap, key)]);
}

#endif
