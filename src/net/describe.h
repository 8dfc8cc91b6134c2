/*
 * describe.h - what connections there are, for `stats conns`, and what their ends are called.
 */
#ifndef NET_DESCRIBE_H
#define NET_DESCRIBE_H

#include "req/ctx.h"

struct conn;
struct listeners;

/*
 * ctx_ops.conns: every client of a worker, on its thread; with ctx NULL the sockets that listen, on the main
 * thread.
 */
void		 describe_conns(struct shared *, struct ctx *, conn_f *emit, void *arg);

#define DESCRIBE_MAX	160
/* "tcp:127.0.0.1:11211", "tcp6:[::1]:11211", "unix:/path": the near end of a socket, or the far one. */
void		 describe_end(int fd, bool far, char *buf, size_t size);

/* conn_new and conn_close, for those who watch connections. Worker's thread, while the socket is open. */
void		 describe_opened(const struct conn *);
void		 describe_closed(const struct conn *);

#endif
