/*
 * delay.c - stands in front of a memcached and makes it slow: the tail scenario.
 *
 *	delay HOST:PORT		prints "port N", where it listens
 *
 * Commands, a line each on stdin, answered with a line on stdout; the end of
 * stdin ends it:
 *
 *	off			replies pass at once
 *	delay PERCENT MS	so many of the replies, drawn one by one, wait so long
 *	slower MS		each waits, MS longer with each second from now on
 *	stall			none pass; all that were held do with the next command
 *	count			reads N writes N others N replies N delayed N conns N
 *
 * A reply is what one request is answered: VALUE lines up to END, else a line
 * with its data block. Replies of a connection stay in order, as a server's do,
 * so one that waits holds up what is behind it.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "delay_count.h"
#include "gen.h"
#include "reply.h"
#include "target.h"

#define EVENTS		64
#define READ_BYTES	(64u << 10)
#define NEVER		UINT64_MAX

enum mode { MODE_OFF, MODE_DELAY, MODE_SLOWER, MODE_STALL };

/* The reply that ends at byte `end` of what the connection was ever sent. */
struct mark {
	uint64_t	end;
	uint64_t	due;
};

struct pair;

struct side {
	struct pair	*pair;
	int		 fd;
	bool		 want_out;
	struct bytes	 out;		/* what the socket is to be sent */
};

struct pair {
	struct side	 client, server;
	struct count	 count;
	struct bytes	 in;		/* from the server: the begin of a reply */
	size_t		 whole;		/* bytes of in that are VALUEs before END */
	uint64_t	 taken, sent;	/* replies' bytes: all, gone to the client */
	struct mark	*marks;		/* a queue from first to nmarks */
	size_t		 first, nmarks, cap;
	bool		 dead;
	LIST_ENTRY(pair) list;
};

struct delay {
	struct sockaddr_storage addr;
	socklen_t	 addr_len;
	int		 epfd, listener;
	LIST_HEAD(, pair) pairs;
	enum mode	 mode;
	double		 share;		/* MODE_DELAY: 0..1 */
	uint64_t	 wait;		/* MODE_DELAY, MODE_SLOWER: ns, ns per s */
	uint64_t	 since;		/* MODE_SLOWER */
	uint64_t	 now;
	uint64_t	 random;
	struct asked	 asked;
	uint64_t	 replies, delayed, conns;
	bool		 over;
};

static uint64_t
clock_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool
watch(struct delay *d, int op, struct side *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	s->want_out = (events & EPOLLOUT) != 0;
	return epoll_ctl(d->epfd, op, s->fd, &ev) == 0;
}

/* Sends what it can of the first `most` bytes of out; how many that were. */
static size_t
side_send(struct delay *d, struct side *s, size_t most)
{
	ssize_t n = 0;

	if (most > 0)
		n = send(s->fd, s->out.at, most, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		s->pair->dead = true;
	if (n < 0)
		n = 0;
	s->out.len -= (size_t)n;
	memmove(s->out.at, s->out.at + n, s->out.len);
	if (((size_t)n < most) != s->want_out && !watch(d, EPOLL_CTL_MOD, s,
	    EPOLLIN | ((size_t)n < most ? (uint32_t)EPOLLOUT : 0)))
		s->pair->dead = true;
	return (size_t)n;
}

static bool
side_add(struct side *s, const char *at, size_t len)
{
	if (!bytes_reserve(&s->out, len))
		return false;
	memcpy(s->out.at + s->out.len, at, len);
	s->out.len += len;
	return true;
}

/* The replies that are due go to the client. */
static void
pair_release(struct delay *d, struct pair *p)
{
	size_t n = p->first;

	if (d->mode == MODE_STALL || p->dead)
		return;
	while (n < p->nmarks && p->marks[n].due <= d->now)
		n++;
	if (n > p->first)
		p->sent += side_send(d, &p->client,
		    (size_t)(p->marks[n - 1].end - p->sent));
	while (p->first < p->nmarks && p->marks[p->first].end <= p->sent)
		p->first++;
	if (p->first == p->nmarks)
		p->first = p->nmarks = 0;
}

/* When a reply that came now is to go, were there no other before it. */
static uint64_t
draw(struct delay *d)
{
	switch (d->mode) {
	case MODE_DELAY:
		if (gen_random_unit(&d->random) >= d->share)
			return d->now;
		d->delayed++;
		return d->now + d->wait;
	case MODE_SLOWER:
		d->delayed++;
		return d->now + (uint64_t)((double)(d->now - d->since) / 1e9 *
		    (double)d->wait);
	case MODE_OFF:
	case MODE_STALL:
		break;
	}
	return d->now;
}

/* Room for another mark: where the oldest were, or in more memory. */
static bool
marks_room(struct pair *p)
{
	size_t cap = p->cap == 0 ? 64 : 2 * p->cap;
	struct mark *m;

	if (p->first > 0) {
		p->nmarks -= p->first;
		memmove(p->marks, p->marks + p->first,
		    p->nmarks * sizeof *p->marks);
		p->first = 0;
		return true;
	}
	m = reallocarray(p->marks, cap, sizeof *m);
	if (m == NULL)
		return false;
	p->marks = m;
	p->cap = cap;
	return true;
}

/* The next len bytes of in are a whole reply. */
static bool
pair_reply(struct delay *d, struct pair *p, const char *at, size_t len)
{
	struct mark *m;

	if (p->nmarks == p->cap && !marks_room(p))
		return false;
	m = &p->marks[p->nmarks];
	p->taken += len;
	m->end = p->taken;
	m->due = draw(d);
	if (p->nmarks > p->first && m[-1].due > m->due)
		m->due = m[-1].due;
	p->nmarks++;
	d->replies++;
	return side_add(&p->client, at, len);
}

/* Cuts what the server has sent into replies. */
static bool
pair_cut(struct delay *d, struct pair *p)
{
	struct reply r;
	size_t used = 0;

	while (used + p->whole < p->in.len) {
		reply_parse(p->in.at + used + p->whole,
		    p->in.len - used - p->whole, &r);
		if (r.kind == REPLY_MORE)
			break;
		p->whole += r.line == NULL ? p->in.len - used : r.total;
		if (r.kind == REPLY_VALUE && r.line[2] == 'L')
			continue;	/* END is to come */
		if (!pair_reply(d, p, p->in.at + used, p->whole))
			return false;
		used += p->whole;
		p->whole = 0;
	}
	p->in.len -= used;
	memmove(p->in.at, p->in.at + used, p->in.len);
	return true;
}

static void
pair_read(struct delay *d, struct pair *p, struct side *from)
{
	char buf[READ_BYTES];
	bool ok;
	ssize_t n;

	n = recv(from->fd, buf, sizeof buf, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		p->dead = true;
		return;
	}
	if (from == &p->client) {
		count_bytes(&p->count, buf, (size_t)n, &d->asked);
		ok = side_add(&p->server, buf, (size_t)n);
		(void)side_send(d, &p->server, p->server.out.len);
	} else {
		ok = bytes_reserve(&p->in, (size_t)n);
		if (ok) {
			memcpy(p->in.at + p->in.len, buf, (size_t)n);
			p->in.len += (size_t)n;
			ok = pair_cut(d, p);
			pair_release(d, p);
		}
	}
	p->dead = p->dead || !ok;
}

static void
pair_event(struct delay *d, struct side *s, uint32_t events)
{
	struct pair *p = s->pair;

	if (p->dead)
		return;
	if ((events & EPOLLOUT) != 0) {
		if (s == &p->client)
			pair_release(d, p);
		else
			(void)side_send(d, s, s->out.len);
	}
	if ((events & ~(uint32_t)EPOLLOUT) != 0)
		pair_read(d, p, s);
}

static void
pair_free(struct pair *p)
{
	if (p->client.fd >= 0)
		(void)close(p->client.fd);
	if (p->server.fd >= 0)
		(void)close(p->server.fd);
	free(p->client.out.at);
	free(p->server.out.at);
	free(p->in.at);
	free(p->marks);
	count_free(&p->count);
	free(p);
}

static int
connect_server(const struct delay *d)
{
	int fd = socket(d->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&d->addr,
	    d->addr_len) != 0) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

/* A client; the server is on this machine, so that connecting does not block. */
static void
pair_accept(struct delay *d)
{
	struct pair *p = calloc(1, sizeof *p);
	int one = 1;

	if (p == NULL)
		return;
	p->client.pair = p->server.pair = p;
	p->client.fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);
	p->server.fd = p->client.fd < 0 ? -1 : connect_server(d);
	if (p->server.fd < 0 ||
	    !watch(d, EPOLL_CTL_ADD, &p->client, EPOLLIN) ||
	    !watch(d, EPOLL_CTL_ADD, &p->server, EPOLLIN)) {
		pair_free(p);
		return;
	}
	(void)setsockopt(p->client.fd, IPPROTO_TCP, TCP_NODELAY, &one,
	    sizeof one);
	(void)setsockopt(p->server.fd, IPPROTO_TCP, TCP_NODELAY, &one,
	    sizeof one);
	d->conns++;
	LIST_INSERT_HEAD(&d->pairs, p, list);
}

static bool
set_mode(struct delay *d, const char *text)
{
	double share, ms;
	char rest;

	if (strcmp(text, "off") == 0)
		d->mode = MODE_OFF;
	else if (strcmp(text, "stall") == 0)
		d->mode = MODE_STALL;
	else if (sscanf(text, "delay %lf %lf%c", &share, &ms, &rest) == 2 &&
	    share >= 0 && share <= 100 && ms >= 0 && ms <= 1e6) {
		d->mode = MODE_DELAY;
		d->share = share / 100;
		d->wait = (uint64_t)(ms * 1e6);
	} else if (sscanf(text, "slower %lf%c", &ms, &rest) == 1 && ms >= 0 &&
	    ms <= 1e6) {
		d->mode = MODE_SLOWER;
		d->since = d->now;
		d->wait = (uint64_t)(ms * 1e6);
	} else
		return false;
	return true;
}

/* A line of stdin; they come one by one, each after the answer to the last. */
static void
command(struct delay *d)
{
	char line[128];
	ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);

	if (n <= 0) {
		d->over = true;
		return;
	}
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, "count") == 0)
		(void)printf("reads %" PRIu64 " writes %" PRIu64 " others %"
		    PRIu64 " replies %" PRIu64 " delayed %" PRIu64 " conns %"
		    PRIu64 "\n", d->asked.reads, d->asked.writes,
		    d->asked.others, d->replies, d->delayed, d->conns);
	else
		(void)puts(set_mode(d, line) ? "ok" : "unknown");
	(void)fflush(stdout);
}

/* Lets go what is due, buries the dead; returns when something is due next. */
static uint64_t
tend(struct delay *d)
{
	struct pair *p, *next;
	uint64_t first = NEVER;

	for (p = LIST_FIRST(&d->pairs); p != NULL; p = next) {
		next = LIST_NEXT(p, list);
		pair_release(d, p);
		if (p->dead) {
			LIST_REMOVE(p, list);
			pair_free(p);
		} else if (d->mode != MODE_STALL && p->first < p->nmarks &&
		    p->marks[p->first].due > d->now &&
		    p->marks[p->first].due < first)
			first = p->marks[p->first].due;
	}
	return first;
}

static void
run(struct delay *d)
{
	struct epoll_event ev[EVENTS];
	struct timespec ts;
	uint64_t due = NEVER, ns;
	int n;

	while (!d->over) {
		ns = due == NEVER ? 0 : due - d->now;
		ts.tv_sec = (time_t)(ns / 1000000000u);
		ts.tv_nsec = (long)(ns % 1000000000u);
		n = epoll_pwait2(d->epfd, ev, EVENTS, due == NEVER ? NULL : &ts,
		    NULL);
		d->now = clock_now();
		for (int i = 0; i < n; i++)
			if (ev[i].data.ptr == &d->listener)
				pair_accept(d);
			else if (ev[i].data.ptr == &d->over)
				command(d);
			else
				pair_event(d, ev[i].data.ptr, ev[i].events);
		due = tend(d);
	}
}

/* On a free port of 127.0.0.1, which is printed. */
static bool
listen_anywhere(struct delay *d)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN };
	socklen_t len = sizeof in;

	d->epfd = epoll_create1(EPOLL_CLOEXEC);
	d->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (d->epfd < 0 || d->listener < 0 ||
	    bind(d->listener, (struct sockaddr *)&in, sizeof in) != 0 ||
	    listen(d->listener, 512) != 0 ||
	    getsockname(d->listener, (struct sockaddr *)&in, &len) != 0)
		return false;
	ev.data.ptr = &d->listener;
	if (epoll_ctl(d->epfd, EPOLL_CTL_ADD, d->listener, &ev) != 0)
		return false;
	ev.data.ptr = &d->over;
	if (epoll_ctl(d->epfd, EPOLL_CTL_ADD, STDIN_FILENO, &ev) != 0)
		return false;
	(void)printf("port %u\n", ntohs(in.sin_port));
	return fflush(stdout) == 0;
}

int
main(int argc, char **argv)
{
	static struct delay d = { .random = 1 };
	const char *why = argc == 2 ? target_parse(argv[1], &d.addr,
	    &d.addr_len) : "usage: delay HOST:PORT";
	struct pair *p;

	if (why != NULL) {
		(void)fprintf(stderr, "delay: %s\n", why);
		return 2;
	}
	LIST_INIT(&d.pairs);
	if (!listen_anywhere(&d)) {
		perror("delay");
		return 3;
	}
	run(&d);
	while ((p = LIST_FIRST(&d.pairs)) != NULL) {
		LIST_REMOVE(p, list);
		pair_free(p);
	}
	(void)close(d.listener);
	(void)close(d.epfd);
	return 0;
}
