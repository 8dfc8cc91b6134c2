/*
 * outage.h - what all workers know of one server together: how many found it down and have not made it good again.
 *
 * Each worker judges a server for itself (health.h). But where a server is emptied when it returns, none may use it
 * while another has still to empty it, or it would read what that one could not delete. Made by the first backend of
 * the server in the process, gone with the last.
 */
#ifndef BACKEND_OUTAGE_H
#define BACKEND_OUTAGE_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

struct outage {
	/* lock: outage.c's */
	LIST_ENTRY(outage) next;
	unsigned	 refs;
	/* any thread */
	_Atomic uint32_t owed;
	char		 name[];	/* "store\0server" */
};

/* Any thread. NULL: out of memory. */
struct outage	*outage_pin(const char *store, const char *server);
/* NULL is fine. The caller owes nothing any more. */
void		 outage_unpin(struct outage **);

/* This worker owes the server a flush. Before any request is told that the server is down. */
static inline void
outage_owe(struct outage *o)
{
	atomic_fetch_add_explicit(&o->owed, 1, memory_order_acq_rel);
}

static inline void
outage_settle(struct outage *o)
{
	atomic_fetch_sub_explicit(&o->owed, 1, memory_order_acq_rel);
}

/* How many workers owe. */
static inline uint32_t
outage_owed(const struct outage *o)
{
	return (atomic_load_explicit(&o->owed, memory_order_acquire));
}

#endif
