/*
 * wire.c - one connection that many requests are sent on before the first reply is read.
 *
 * Sending never waits alone: a server whose replies nobody reads stops reading requests, and both would wait for ever.
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire.h"

#define READ_BYTES	(256u << 10)
#define SILENCE_MS	30000

static bool
lost(const struct wire *w, const char *why)
{
	(void)fprintf(stderr, "hitratio: %s: %s\n", w->target, why);
	return false;
}

bool
wire_open(struct wire *w, const char *target, const struct sockaddr *addr, socklen_t len)
{
	int one = 1;

	memset(w, 0, sizeof *w);
	w->target = target;
	w->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->fd < 0 || connect(w->fd, addr, len) != 0)
		return lost(w, strerror(errno));
	if (addr->sa_family != AF_UNIX)
		(void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return true;
}

void
wire_close(struct wire *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = -1;
	free(w->out.at);
	free(w->in.at);
	w->out = w->in = (struct bytes){ NULL, 0, 0 };
}

void
wire_begin(struct wire *w)
{
	w->out.len = w->sent = 0;
}

static bool
wire_send(struct wire *w)
{
	ssize_t n = send(w->fd, w->out.at + w->sent, w->out.len - w->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR || lost(w, strerror(errno));
	w->sent += (size_t)n;
	return true;
}

/* Waits for either direction, unless there is something to read; reads. */
static bool
wire_move(struct wire *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	ssize_t n;

	if (!bytes_reserve(&w->in, READ_BYTES))
		return lost(w, "out of memory");
	if (w->sent < w->out.len && !wire_send(w))
		return false;
	if (w->sent < w->out.len)
		p.events |= POLLOUT;
	n = poll(&p, 1, SILENCE_MS);
	if (n < 0)
		return errno == EINTR || lost(w, strerror(errno));
	if (n == 0)
		return lost(w, "silent for 30 seconds");
	if ((p.revents & ~POLLOUT) == 0)
		return true;
	n = recv(w->fd, w->in.at + w->in.len, w->in.cap - w->in.len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || lost(w, strerror(errno));
	if (n == 0)
		return lost(w, "closed the connection");
	w->in.len += (size_t)n;
	return true;
}

/* Keeps what is not used yet, at the begin. */
static void
wire_tidy(struct wire *w)
{
	if (w->used == 0)
		return;
	w->in.len -= w->used;
	memmove(w->in.at, w->in.at + w->used, w->in.len);
	w->used = 0;
}

bool
wire_reply(struct wire *w, struct reply *r)
{
	for (;;) {
		size_t have = w->in.len - w->used;

		r->kind = REPLY_MORE;
		if (have > 0)
			reply_parse(w->in.at + w->used, have, r);
		if (r->kind != REPLY_MORE)
			break;
		wire_tidy(w);
		if (!wire_move(w))
			return false;
	}
	w->used += r->total;
	return true;
}

/* A line that reply.c does not know: OK, STAT. */
static bool
wire_line(struct wire *w, char *line, size_t room)
{
	const char *nl;
	size_t len;

	while (w->in.len == w->used ||
	    (nl = memchr(w->in.at + w->used, '\n', w->in.len - w->used)) == NULL) {
		wire_tidy(w);
		if (!wire_move(w))
			return false;
	}
	len = (size_t)(nl - (w->in.at + w->used));
	if (len >= room)
		return lost(w, "a line that is too long");
	memcpy(line, w->in.at + w->used, len);
	line[len > 0 && line[len - 1] == '\r' ? len - 1 : len] = '\0';
	w->used += len + 1;
	return true;
}

static bool
wire_say(struct wire *w, const char *text)
{
	wire_begin(w);
	if (!bytes_reserve(&w->out, strlen(text)))
		return lost(w, "out of memory");
	memcpy(w->out.at, text, strlen(text));
	w->out.len = strlen(text);
	return true;
}

bool
wire_flush(struct wire *w)
{
	char line[256];

	if (!wire_say(w, "flush_all\r\n") || !wire_line(w, line, sizeof line))
		return false;
	return strcmp(line, "OK") == 0 || lost(w, line);
}

/* Is this the row of that name? Takes its number. */
static bool
stat_is(const char *line, const char *name, uint64_t *value)
{
	size_t len = strlen(name);

	if (strncmp(line, "STAT ", 5) != 0 || strncmp(line + 5, name, len) != 0 || line[5 + len] != ' ')
		return false;
	*value = strtoull(line + 6 + len, NULL, 10);
	return true;
}

bool
wire_stats(struct wire *w, uint64_t *items, uint64_t *evictions, uint64_t *limit)
{
	unsigned found = 0;
	char line[1024];

	if (!wire_say(w, "stats\r\n"))
		return false;
	do {
		if (!wire_line(w, line, sizeof line))
			return false;
		found += stat_is(line, "curr_items", items) + stat_is(line, "evictions", evictions) +
		    stat_is(line, "limit_maxbytes", limit);
	} while (strcmp(line, "END") != 0 && strstr(line, "ERROR") == NULL);
	return found == 3;
}
