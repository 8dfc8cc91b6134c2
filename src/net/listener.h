/*
 * listener.h - the sockets that clients connect to, in the main thread's loop.
 *
 * A new client goes to the worker with the fewest; above the connection limit it is told so and closed.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "conf/model.h"
#include "ev/loop.h"
#include "net/worker.h"

struct listeners;

/*
 * Binds everything in conf; no client is accepted before listeners_start(). NULL with one line in why: which
 * address and what was wrong. Port 0 binds any free port.
 */
struct listeners *listeners_new(const struct conf *, struct shared *, char *why, size_t whylen);
/* False: out of memory. workers stays valid until listeners_stop(). */
bool		 listeners_start(struct listeners *, struct loop *, struct worker **workers, unsigned nworkers);
/* Stops accepting and closes the sockets; unix sockets' paths are removed. */
void		 listeners_stop(struct listeners *);
void		 listeners_free(struct listeners **);
/* Port of the n-th TCP socket, 0 when there is none: for tests and MEMCACHED_PORT_FILENAME. */
uint16_t	 listeners_port(const struct listeners *, unsigned n);
/* Writes what was bound to the file that MEMCACHED_PORT_FILENAME names, as memcached does for port -1. */
void		 listeners_announce(const struct listeners *);
/* Descriptor of the n-th socket, -1 when there is none. */
int		 listeners_fd(const struct listeners *, unsigned n);
/* "NULL" or the address of the first socket, for `stats settings`. */
bool		 listeners_is_tcp(const struct listeners *, unsigned n);

#endif
