/*
 * idle.c - holds many silent connections, to weigh what one costs a server.
 *
 * Says "holding N" on stdout when all are open (and, with --idle-touch, each
 * has had one reply), then waits for the end of stdin.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvload.h"
#include "reply.h"

/* One read, which is to be answered with one reply or a value and END. */
static bool
idle_touch(const struct opts *o, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char line[GEN_KEY_MAX + 16], in[65536];
	struct reply r;
	size_t len = 0, used = 0;
	ssize_t n;

	memcpy(line, "get ", 4);
	n = 4 + gen_key(&o->gen, (uint32_t)fd % o->gen.nkeys, line + 4);
	memcpy(line + n, "\r\n", 2);
	if (send(fd, line, (size_t)n + 2, MSG_NOSIGNAL) != n + 2)
		return false;
	for (;;) {
		reply_parse(in + used, len - used, &r);
		if (len > used && r.kind == REPLY_END)
			return true;
		if (len > used && r.kind == REPLY_VALUE) {
			used += r.total;
			continue;
		}
		if ((len > used && r.kind != REPLY_MORE) || len == sizeof in ||
		    poll(&p, 1, 10000) != 1)
			return false;
		n = recv(fd, in + len, sizeof in - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
	}
}

static int
idle_open(const struct opts *o)
{
	int fd = socket(o->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&o->addr, o->addr_len) != 0 ||
	    (o->idle_touch && !idle_touch(o, fd))) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* How many of them the server has ended or written to. */
static unsigned
idle_disturbed(struct pollfd *fds, unsigned n)
{
	int rc = poll(fds, n, 0);

	return rc < 0 ? n : (unsigned)rc;
}

int
idle_run(const struct opts *o)
{
	struct pollfd *fds = calloc(o->idle, sizeof *fds);
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	unsigned n, gone;
	char c;

	if (fds == NULL)
		return 3;
	for (n = 0; n < o->idle; n++) {
		fds[n].fd = idle_open(o);
		fds[n].events = POLLIN;
		if (fds[n].fd < 0) {
			(void)fprintf(stderr, "kvload: connection %u: %s\n",
			    n + 1, errno == 0 ? "no answer" : strerror(errno));
			break;
		}
	}
	(void)printf("holding %u\n", n);
	(void)fflush(stdout);
	while (n == o->idle && poll(&in, 1, -1) == 1 &&
	    read(STDIN_FILENO, &c, 1) == 1)
		;
	gone = idle_disturbed(fds, n);
	(void)printf("held %u, ended by the server %u\n", n, gone);
	for (unsigned i = 0; i < n; i++)
		(void)close(fds[i].fd);
	free(fds);
	return n < o->idle || gone > 0 ? 3 : 0;
}
