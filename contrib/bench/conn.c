/*
 * conn.c - one client connection: bytes out, bytes in, its end.
 *
 * Cheapness: one write per batch from a buffer the thread's connections share,
 * one read per wake-up into another; only what is cut short is kept by the
 * connection itself. A value that comes in many reads is gathered in place and
 * looked at again only when it can be complete.
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "reply.h"

#define READ_BYTES	(256u << 10)
#define RETRY_NS	20000000u

uint64_t
clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int
conn_socket(struct thread *t, struct conn *c, int flags)
{
	int one = 1;

	c->fd = socket(t->opts->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
	    flags, 0);
	if (c->fd >= 0 && t->opts->addr.ss_family != AF_UNIX)
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof one);
	return c->fd;
}

static bool
conn_watch(struct thread *t, struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	c->want_out = (events & EPOLLOUT) != 0;
	return epoll_ctl(t->epfd, op, c->fd, &ev) == 0;
}

bool
conn_open(struct thread *t, struct conn *c)
{
	if (conn_socket(t, c, 0) < 0)
		return false;
	if (connect(c->fd, (const struct sockaddr *)&t->opts->addr,
	    t->opts->addr_len) != 0 ||
	    !conn_watch(t, c, EPOLL_CTL_ADD, EPOLLIN)) {
		(void)close(c->fd);
		c->fd = -1;
		return false;
	}
	c->state = CONN_UP;
	return true;
}

static void
conn_retry_later(struct thread *t, struct conn *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	c->state = CONN_DOWN;
	c->retry_at = t->now + RETRY_NS;
}

void
conn_reopen(struct thread *t, struct conn *c)
{
	if (conn_socket(t, c, SOCK_NONBLOCK) < 0 ||
	    (connect(c->fd, (const struct sockaddr *)&t->opts->addr,
		t->opts->addr_len) != 0 && errno != EINPROGRESS) ||
	    !conn_watch(t, c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT)) {
		conn_retry_later(t, c);
		return;
	}
	c->state = CONN_CONNECTING;
	c->last = t->now;
}

static void
conn_connected(struct thread *t, struct conn *c)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 ||
	    err != 0 || !conn_watch(t, c, EPOLL_CTL_MOD, EPOLLIN)) {
		conn_retry_later(t, c);
		return;
	}
	t->stats->reconnects++;
	c->state = CONN_UP;
}

void
conn_lost(struct thread *t, struct conn *c)
{
	for (unsigned i = 0; i < c->count; i++)
		check_write_over(t, c, (c->head + i) % t->ring_size, false);
	t->stats->closed++;
	t->stats->lost += c->count;
	t->in_flight -= c->count;
	c->head = c->count = 0;
	c->in.len = c->out.len = c->need = 0;
	conn_retry_later(t, c);
	if (!t->opts->reconnect) {
		c->state = CONN_DEAD;
		t->live--;
	}
}

void
conn_free(struct conn *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->ring);
	free(c->wants);
	free(c->in.at);
	free(c->out.at);
}

/* Sends len bytes, keeps what the socket does not take. False: it is lost. */
static bool
conn_write(struct thread *t, struct conn *c, const char *at, size_t len)
{
	ssize_t n;

	n = send(c->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n < 0)
		n = 0;
	t->stats->bytes_out += (uint64_t)n;
	if ((size_t)n == len)
		return true;
	len -= (size_t)n;
	if (!bytes_reserve(&c->out, len))
		return false;
	memcpy(c->out.at + c->out.len, at + n, len);
	c->out.len += len;
	return conn_watch(t, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

/* The socket takes more. */
static bool
conn_flush(struct thread *t, struct conn *c)
{
	ssize_t n;

	n = send(c->fd, c->out.at, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	t->stats->bytes_out += (uint64_t)n;
	c->last = t->now;
	c->out.len -= (size_t)n;
	memmove(c->out.at, c->out.at + n, c->out.len);
	return c->out.len > 0 || conn_watch(t, c, EPOLL_CTL_MOD, EPOLLIN);
}

void
conn_send(struct thread *t, struct conn *c, unsigned n, uint64_t at)
{
	bool ok = true;

	t->wbuf.len = 0;
	if (c->count == 0)
		c->last = t->now;
	for (unsigned i = 0; ok && i < n; i++)
		ok = request_make(t, c, at);
	if (ok && c->out.len > 0) {
		ok = bytes_reserve(&c->out, t->wbuf.len);
		if (ok) {
			memcpy(c->out.at + c->out.len, t->wbuf.at, t->wbuf.len);
			c->out.len += t->wbuf.len;
		}
	} else if (ok)
		ok = conn_write(t, c, t->wbuf.at, t->wbuf.len);
	if (!ok)
		conn_lost(t, c);
}

/* Takes the whole replies in len bytes; how many bytes those were, or -1. */
static ssize_t
conn_take(struct thread *t, struct conn *c, const char *at, size_t len)
{
	size_t used = 0;
	struct reply r;

	while (used < len) {
		if (t->opts->resp)
			reply_parse_resp(at + used, len - used, &r);
		else
			reply_parse(at + used, len - used, &r);
		if (r.kind == REPLY_MORE) {
			c->need = r.total;
			break;
		}
		if (c->count == 0) {
			/* e.g. "too many open connections" greets before asked */
			if (r.kind == REPLY_ERROR)
				stats_error(t->stats, r.line, r.line_len);
			else
				t->stats->wrong[WRONG_PROTOCOL]++;
			return -1;
		}
		if (!check_reply(t, c, &r))
			return -1;
		used += r.total;
	}
	return (ssize_t)used;
}

static bool
conn_keep(struct bytes *in, const char *at, size_t len)
{
	if (!bytes_reserve(in, len))
		return false;
	if (len > 0)
		memcpy(in->at, at, len);
	in->len = len;
	return true;
}

/* One read. False: the connection is over. */
static bool
conn_read(struct thread *t, struct conn *c)
{
	struct bytes *b = c->in.len > 0 ? &c->in : &t->rbuf;
	size_t more = READ_BYTES;
	ssize_t n;

	if (b == &t->rbuf)
		b->len = 0;
	else if (c->need > b->len + more)
		more = c->need - b->len;
	if (!bytes_reserve(b, more))
		return false;
	n = recv(c->fd, b->at + b->len, b->cap - b->len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	t->stats->wakes++;
	t->stats->bytes_in += (uint64_t)n;
	c->last = t->heard = t->now;
	b->len += (size_t)n;
	if (b == &c->in && b->len < c->need)
		return true;
	n = conn_take(t, c, b->at, b->len);
	if (n < 0)
		return false;
	if (b != &c->in)
		return conn_keep(&c->in, b->at + n, b->len - (size_t)n);
	b->len -= (size_t)n;
	memmove(b->at, b->at + n, b->len);
	return true;
}

void
conn_event(struct thread *t, struct conn *c, uint32_t events)
{
	bool ok = true;

	if (c->state == CONN_CONNECTING) {
		conn_connected(t, c);
		return;
	}
	if (c->state != CONN_UP)
		return;
	if ((events & EPOLLOUT) != 0 && c->out.len > 0)
		ok = conn_flush(t, c);
	if (ok && (events & ~(uint32_t)EPOLLOUT) != 0)
		ok = conn_read(t, c);
	if (!ok)
		conn_lost(t, c);
}
