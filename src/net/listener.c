/*
 * listener.c - binding, accepting, the connection limit.
 *
 * Out of descriptors, accepting pauses for a moment instead of spinning: the pending client stays in the
 * kernel's queue.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "net/listener.h"
#include "obs/log.h"

#define ACCEPTS_PER_TURN	64
#define PAUSE_USEC		100000

struct listener {
	struct listeners *all;
	int		 fd;
	struct io	 io;
	char		*path;		/* of a unix socket, NULL: TCP */
	uint16_t	 port;
	bool		 inet6;
};

struct listeners {
	unsigned	 magic;
#define LISTENERS_MAGIC	0x6c697374u
	const struct conf *conf;
	struct shared	*shared;
	struct listener	*v;
	unsigned	 n, cap;
	struct worker	**workers;
	unsigned	 nworkers;
	struct timer	 pause;
	bool		 started, paused;
};

static const char too_many[] = "SERVER_ERROR too many open connections\r\n";

static struct listener *
listener_add(struct listeners *ls, int fd)
{
	struct listener *more;

	if (ls->n == ls->cap) {
		unsigned cap = ls->cap == 0 ? 4 : ls->cap * 2;

		more = realloc(ls->v, cap * sizeof *more);
		if (more == NULL)
			return (NULL);
		ls->v = more;
		ls->cap = cap;
	}
	more = &ls->v[ls->n++];
	memset(more, 0, sizeof *more);
	more->all = ls;
	more->fd = fd;
	return (more);
}

static uint16_t
bound_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return (0);
	if (ss.ss_family == AF_INET)
		return (ntohs(((struct sockaddr_in *)&ss)->sin_port));
	return (ntohs(((struct sockaddr_in6 *)&ss)->sin6_port));
}

static int
tcp_socket(const struct addrinfo *ai, unsigned backlog)
{
	int on = 1, fd;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    ai->ai_protocol);
	if (fd < 0)
		return (-1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(fd, (int)backlog) != 0) {
		int e = errno;

		close(fd);
		errno = e;
		return (-1);
	}
	return (fd);
}

static bool
listen_tcp(struct listeners *ls, const struct conf_listen *cl, char *why,
    size_t whylen)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE,
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *res, *ai;
	char port[8];
	unsigned got = 0;
	int rc, e = 0;

	snprintf(port, sizeof port, "%u", (unsigned)cl->port);
	rc = getaddrinfo(cl->host, port, &hints, &res);
	if (rc != 0) {
		snprintf(why, whylen, "cannot listen on %s:%s: %s",
		    cl->host != NULL ? cl->host : "*", port, gai_strerror(rc));
		return (false);
	}
	for (ai = res; ai != NULL; ai = ai->ai_next) {
		int fd = tcp_socket(ai, ls->conf->backlog);
		struct listener *l;

		if (fd < 0) {
			/* A kernel without IPv6 is no reason to refuse "all addresses". */
			if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
				e = errno;
			else if (e == 0 && ai->ai_next == NULL && got == 0)
				e = errno;
			continue;
		}
		l = listener_add(ls, fd);
		if (l == NULL) {
			close(fd);
			e = ENOMEM;
			break;
		}
		l->port = bound_port(fd);
		l->inet6 = ai->ai_family == AF_INET6;
		got++;
	}
	freeaddrinfo(res);
	if (got > 0 && e == 0)
		return (true);
	snprintf(why, whylen, "cannot listen on %s:%s: %s",
	    cl->host != NULL ? cl->host : "*", port, strerror(e));
	return (false);
}

static bool
listen_unix(struct listeners *ls, const struct conf_listen *cl, char *why,
    size_t whylen)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct listener *l;
	struct stat st;
	mode_t old;
	int fd = -1, rc;

	if (strlen(cl->path) >= sizeof sun.sun_path) {
		snprintf(why, whylen, "cannot listen on %s: the path is "
		    "longer than %zu bytes", cl->path, sizeof sun.sun_path - 1);
		return (false);
	}
	memcpy(sun.sun_path, cl->path, strlen(cl->path) + 1);
	/* A socket left behind by an earlier run. */
	if (lstat(cl->path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(cl->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	old = umask((mode_t)~(cl->mode & 0777));
	rc = bind(fd, (struct sockaddr *)&sun, sizeof sun);
	umask(old);
	if (rc != 0 || listen(fd, (int)ls->conf->backlog) != 0)
		goto fail;
	l = listener_add(ls, fd);
	if (l == NULL || (l->path = strdup(cl->path)) == NULL) {
		errno = ENOMEM;
		if (l != NULL)
			ls->n--;
		goto fail;
	}
	return (true);
fail:
	snprintf(why, whylen, "cannot listen on %s: %s", cl->path,
	    strerror(errno));
	if (fd >= 0)
		close(fd);
	return (false);
}

struct listeners *
listeners_new(const struct conf *conf, struct shared *sh, char *why,
    size_t whylen)
{
	struct listeners *ls = calloc(1, sizeof *ls);

	if (ls == NULL) {
		snprintf(why, whylen, "out of memory");
		return (NULL);
	}
	ls->magic = LISTENERS_MAGIC;
	ls->conf = conf;
	ls->shared = sh;
	for (unsigned i = 0; i < conf->nlistens; i++) {
		const struct conf_listen *cl = &conf->listens[i];

		if (cl->path != NULL ? !listen_unix(ls, cl, why, whylen) :
		    !listen_tcp(ls, cl, why, whylen)) {
			listeners_free(&ls);
			return (NULL);
		}
	}
	return (ls);
}

static struct worker *
fewest(const struct listeners *ls, unsigned *total)
{
	struct worker *best = NULL;
	unsigned least = 0, n;

	*total = 0;
	for (unsigned i = 0; i < ls->nworkers; i++) {
		n = atomic_load_explicit(&ls->workers[i]->nconns,
		    memory_order_relaxed);
		*total += n;
		if (best == NULL || n < least) {
			best = ls->workers[i];
			least = n;
		}
	}
	return (best);
}

static void
listeners_want(struct listeners *ls, short what)
{
	for (unsigned i = 0; i < ls->n; i++)
		(void)io_want(&ls->v[i].io, what);
	atomic_store(&ls->shared->accepting, what != 0);
}

static void
listeners_resume(void *arg)
{
	struct listeners *ls = arg;

	ls->paused = false;
	listeners_want(ls, EV_READ);
}

static void
listeners_pause(struct listeners *ls)
{
	log_warn("no descriptors left: accepting pauses");
	ls->paused = true;
	atomic_fetch_add(&ls->shared->listen_disabled, 1);
	listeners_want(ls, 0);
	timer_set(&ls->pause, PAUSE_USEC);
}

static void
listener_accept(int lfd, void *arg)
{
	struct listener *l = arg;
	struct listeners *ls = l->all;
	unsigned total;
	int on = 1;

	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct worker *w;
		int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM)
				listeners_pause(ls);
			return;
		}
		w = fewest(ls, &total);
		if (total >= ls->conf->maxconns) {
			(void)!write(fd, too_many, sizeof too_many - 1);
			close(fd);
			atomic_fetch_add(&ls->shared->rejected_conns, 1);
			continue;
		}
		if (l->path == NULL)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
			    sizeof on);
		if (!worker_give(w, fd, l->path != NULL))
			close(fd);
	}
}

bool
listeners_start(struct listeners *ls, struct loop *loop,
    struct worker **workers, unsigned nworkers)
{
	ls->workers = workers;
	ls->nworkers = nworkers;
	ls->started = true;
	timer_init(loop, &ls->pause, listeners_resume, ls);
	for (unsigned i = 0; i < ls->n; i++) {
		io_init(loop, &ls->v[i].io, ls->v[i].fd, listener_accept, NULL,
		    &ls->v[i]);
		if (!io_want(&ls->v[i].io, EV_READ))
			return (false);
	}
	atomic_store(&ls->shared->accepting, true);
	return (true);
}

void
listeners_stop(struct listeners *ls)
{
	if (ls->started) {
		/* Who was connected by the kernel has perhaps asked something already. */
		for (unsigned i = 0; i < ls->n; i++)
			listener_accept(ls->v[i].fd, &ls->v[i]);
		timer_clear(&ls->pause);
		listeners_want(ls, 0);
	}
	ls->started = false;
	for (unsigned i = 0; i < ls->n; i++) {
		close(ls->v[i].fd);
		if (ls->v[i].path != NULL)
			unlink(ls->v[i].path);
		free(ls->v[i].path);
	}
	ls->n = 0;
}

void
listeners_free(struct listeners **lsp)
{
	struct listeners *ls;

	if (*lsp == NULL)
		return;
	TAKE_OBJ_NOTNULL(ls, lsp, LISTENERS_MAGIC);
	listeners_stop(ls);
	free(ls->v);
	ls->magic = 0;
	free(ls);
}

uint16_t
listeners_port(const struct listeners *ls, unsigned n)
{
	return (n < ls->n ? ls->v[n].port : 0);
}

int
listeners_fd(const struct listeners *ls, unsigned n)
{
	return (ls != NULL && n < ls->n ? ls->v[n].fd : -1);
}

bool
listeners_is_tcp(const struct listeners *ls, unsigned n)
{
	return (n < ls->n && ls->v[n].path == NULL);
}

void
listeners_announce(const struct listeners *ls)
{
	const char *name = getenv("MEMCACHED_PORT_FILENAME");
	char tmp[4096];
	FILE *f;

	if (name == NULL || (size_t)snprintf(tmp, sizeof tmp, "%s.lck",
	    name) >= sizeof tmp)
		return;
	f = fopen(tmp, "we");
	if (f == NULL) {
		log_warn("cannot write %s: %s", tmp, strerror(errno));
		return;
	}
	for (unsigned i = 0; i < ls->n; i++)
		if (ls->v[i].path == NULL)
			fprintf(f, "TCP INET%s: %u\n", ls->v[i].inet6 ? "6" : "",
			    (unsigned)ls->v[i].port);
	/* Renamed when whole: who waits for the name never reads half of it. */
	if (fclose(f) != 0 || rename(tmp, name) != 0)
		log_warn("cannot write %s: %s", name, strerror(errno));
}
