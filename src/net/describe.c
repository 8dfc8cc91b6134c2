/* describe.c - connections in memcached's words. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/conn.h"
#include "net/describe.h"
#include "net/listener.h"
#include "net/worker.h"
#include "req/observe.h"
#include "req/watch.h"

union any_addr {
	struct sockaddr		 sa;
	struct sockaddr_in	 in;
	struct sockaddr_in6	 in6;
	struct sockaddr_un	 un;
};

void
describe_end(int fd, bool far, char *buf, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "";
	union any_addr a = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof a;

	if ((far ? getpeername : getsockname)(fd, &a.sa, &len) != 0)
		len = 0;
	switch (len == 0 ? AF_UNSPEC : a.sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof text);
		snprintf(buf, size, "tcp:%s:%u", text, ntohs(a.in.sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof text);
		snprintf(buf, size, "tcp6:[%s]:%u", text,
		    ntohs(a.in6.sin6_port));
		break;
	case AF_UNIX:
		/* A client has no name of its own, and the kernel need not end a path with NUL. */
		snprintf(buf, size, "unix:%.*s", (int)(len > offsetof(
		    struct sockaddr_un, sun_path) ? len - offsetof(
		    struct sockaddr_un, sun_path) : 0), a.un.sun_path);
		break;
	default:
		snprintf(buf, size, "<unknown>");
		break;
	}
}

static const char *
conn_state(const struct conn *c)
{
	if (c->cl.watching)
		return ("conn_watch");
	if (c->body != NULL || c->record != NULL)
		return ("conn_nread");
	if (c->swallow > 0)
		return ("conn_swallow");
	if (!TAILQ_EMPTY(&c->cl.q.waiting))
		return ("conn_io_queue");
	if (outq_len(&c->cl.out) > 0)
		return ("conn_mwrite");
	return (c->rlen > 0 ? "conn_waiting" : "conn_read");
}

void
describe_conns(struct shared *sh, struct ctx *ctx, conn_f *emit, void *arg)
{
	char addr[DESCRIBE_MAX], listen[DESCRIBE_MAX];
	struct conn_info ci = { .addr = addr };
	struct worker *w;
	struct conn *c;

	if (ctx == NULL) {
		ci.state = "conn_listening";
		for (unsigned i = 0; (ci.fd = listeners_fd(sh->listeners,
		    i)) >= 0; i++) {
			describe_end(ci.fd, false, addr, sizeof addr);
			emit(arg, &ci);
		}
		return;
	}
	w = ctx->worker;
	ci.listen_addr = listen;
	TAILQ_FOREACH(c, &w->conns, next) {
		ci.fd = c->fd;
		ci.cl = &c->cl;
		ci.state = conn_state(c);
		ci.waiting = c->cl.q.nwaiting;
		ci.idle = w->now - c->last_active;
		describe_end(c->fd, true, addr, sizeof addr);
		describe_end(c->fd, false, listen, sizeof listen);
		emit(arg, &ci);
	}
}

/* "rip=<address> rport=<port> transport=<tcp|local>" */
static void
put_peer(const struct conn *c, char *buf, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "unknown";
	union any_addr a = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof a;
	unsigned port = 0;

	if (c->is_unix)
		snprintf(text, sizeof text, "unix");
	else if (getpeername(c->fd, &a.sa, &len) != 0)
		len = 0;
	if (a.sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof text);
		port = ntohs(a.in.sin_port);
	} else if (a.sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof text);
		port = ntohs(a.in6.sin6_port);
	}
	snprintf(buf, size, "rip=%s rport=%u transport=%s", text, port,
	    c->is_unix ? "local" : "tcp");
}

void
describe_opened(const struct conn *c)
{
	char peer[DESCRIBE_MAX];

	put_peer(c, peer, sizeof peer);
	watch_line(c->cl.ctx->shared, OBSERVE_CONNEVENTS,
	    "type=conn_new %s cfd=%d", peer, c->fd);
}

void
describe_closed(const struct conn *c)
{
	const char *why = "error";
	char peer[DESCRIBE_MAX];

	if (c->worker->draining)
		why = "shutdown";
	else if (c->idled)
		why = "idle_timeout";
	else if (!c->refused && (c->eof || c->cl.close))
		why = "normal";
	put_peer(c, peer, sizeof peer);
	watch_line(c->cl.ctx->shared, OBSERVE_CONNEVENTS,
	    "type=conn_close %s reason=%s cfd=%d", peer, why, c->fd);
}
