/*
 * resolve.h - names of servers to addresses, without ever stopping a loop.
 *
 * At the start of the program a name may be looked up in place; later on a thread of its own does it and the
 * loop's side asks now and then. Polling instead of a message keeps the thread from knowing a loop
 * that may be gone before the name server has answered.
 */
#ifndef BACKEND_RESOLVE_H
#define BACKEND_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define RESOLVE_MAX	8	/* addresses kept of one name */

struct resolve_addr {
	struct sockaddr_storage ss;
	socklen_t	 len;
};

struct resolve_list {
	unsigned	 n;
	struct resolve_addr a[RESOLVE_MAX];
};

struct resolve_job;

/* Whether host is an address, which needs no name server. */
bool		 resolve_is_numeric(const char *host);
/* Blocks. NULL, or what went wrong; the list is then untouched. Any thread. */
const char	*resolve_now(const char *host, uint16_t port, struct resolve_list *);
/* False: the path is too long. */
bool		 resolve_unix(const char *path, struct resolve_list *);

/* Starts a look-up. NULL: no memory or threads. */
struct resolve_job *resolve_start(const char *host, uint16_t port);
/*
 * False: still at it. True: the job is gone, *jobp NULL; *list holds the addresses, or is untouched when the name
 * was not found.
 */
bool		 resolve_poll(struct resolve_job **jobp, struct resolve_list *);
/* Loses interest. NULL is fine. */
void		 resolve_drop(struct resolve_job **);

#endif
