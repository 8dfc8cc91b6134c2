/*
 * servers.h - a loop, ops that remember their outcome, a real memcached, servers that misbehave.
 *
 * A fake server is a thread that accepts one connection after the other and lets its script speak on each.
 */
#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define GUARD		(20 * 1000000)	/* microseconds until a test that hangs is given up */

static struct loop *loop;
static unsigned outstanding;
static unsigned done_count;
static bool hung;
/* Which store it is about. */
#ifndef STORE_OPS
#define STORE_OPS	memcached_ops
#endif
extern const struct be_ops STORE_OPS;
static const struct be_ops *const ops = &STORE_OPS;

/* ---- ops ---- */

struct call {
	struct be_op	 op;
	char		 key[OP_KEY_MAX];
	char		*body;
	struct iovec	 piece;
	bool		 done;
	bool		 sunk;
	unsigned	 order;		/* when it was done, 1 is first */
	char		*value;
	size_t		 value_len;
	size_t		 sink_piece;	/* largest piece the sink gives */
	bool		 sink_full;	/* the sink has no memory */
	char		 why[256];
	char		 error[256];
	void		(*then)(struct call *);
};

static inline void
call_done(struct be_op *op)
{
	struct call *c = CONTAINER_OF(op, struct call, op);

	MUST(!c->done);
	c->done = true;
	c->order = ++done_count;
	if (op->err != ERR_NONE)
		snprintf(c->why, sizeof c->why, "%s", op->why);
	else if (op->data.p != NULL) {
		c->value = malloc(op->data.len + 1);
		memcpy(c->value, op->data.p, op->data.len);
		c->value_len = op->data.len;
	} else if (c->value != NULL) {
		c->value_len = op->res.size;
		c->sunk = true;
	}
	if (op->err == ERR_NONE && op->res.status == OP_ERROR)
		snprintf(c->error, sizeof c->error, "%.*s",
		    (int)op->res.error.len, op->res.error.p);
	outstanding--;
	if (c->then != NULL)
		c->then(c);
	if (outstanding == 0)
		loop_stop(loop);
}

static inline int
call_sink(struct be_op *op, const struct op_result *res, uint32_t off,
    struct iovec *iov, int max)
{
	struct call *c = CONTAINER_OF(op, struct call, op);
	int n = 0;

	if (c->sink_full)
		return (0);
	if (c->value == NULL)
		c->value = malloc(res->size + 1);
	while (n < max && off < res->size) {
		size_t m = res->size - off;

		if (m > c->sink_piece)
			m = c->sink_piece;
		iov[n++] = (struct iovec){ c->value + off, m };
		off += (uint32_t)m;
	}
	return (n);
}

static const struct be_sink sink = { call_sink };

static inline struct call *
call_new(enum op_verb verb, const char *key)
{
	struct call *c = calloc(1, sizeof *c);

	snprintf(c->key, sizeof c->key, "%s", key);
	c->op.op.verb = (uint8_t)verb;
	c->op.op.key = slice_str(c->key);
	for (const char *k = c->key; *k != '\0'; k++)
		c->op.op.hash = (c->op.op.hash ^ (unsigned char)*k) * 0x100000001b3u;
	c->op.done = call_done;
	c->sink_piece = 100000;
	return (c);
}

static inline struct call *
get_new(const char *key)
{
	struct call *c = call_new(OP_GET, key);

	c->op.op.want = OPW_VALUE | OPW_FLAGS;
	c->op.sink = &sink;
	return (c);
}

/* Bytes that depend on key and place. */
static inline void
fill(char *p, size_t n, const char *key)
{
	size_t len = strlen(key);
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)key[i]) * 16777619u;
	for (size_t i = 0; i < n; i++) {
		h = h * 1664525u + 1013904223u;
		p[i] = (char)(h >> 24);
	}
}

static inline struct call *
set_new(const char *key, size_t n)
{
	struct call *c = call_new(OP_STORE, key);

	c->body = malloc(n + 1);
	fill(c->body, n, key);
	c->piece = (struct iovec){ c->body, n };
	c->op.op.mode = OP_SET;
	c->op.op.vlen = (uint32_t)n;
	c->op.op.opts = OPF_FLAGS | OPF_TTL;
	c->op.op.client_flags = 7;
	c->op.body = &c->piece;
	c->op.nbody = 1;
	return (c);
}

static inline void
call_free(struct call *c)
{
	free(c->body);
	free(c->value);
	free(c);
}

static inline void
call_submit(struct backend *be, struct call *c)
{
	bool was = c->done;

	outstanding++;
	ops->submit(be, &c->op);
	MUST(c->done == was);
	/* What submit() needed it has copied. */
	c->op.op.key = SLICE_NULL;
	if (c->op.op.verb == OP_STORE && c->op.op.vlen <= BE_BODY_COPY_MAX)
		memset(c->body, '!', c->op.op.vlen);
}

static inline bool
value_fits(const struct call *c, const char *key, size_t n)
{
	char *want = malloc(n + 1);
	bool good;

	fill(want, n, key);
	good = c->op.err == ERR_NONE && c->op.res.status == OP_OK &&
	    c->value_len == n && memcmp(c->value, want, n) == 0;
	free(want);
	return (good);
}

/* ---- the loop ---- */

static inline void
on_guard(void *arg)
{
	(void)arg;
	hung = true;
	loop_stop(loop);
}

/* Until every op submitted is done. */
static inline bool
run_all(void)
{
	struct timer guard;

	hung = false;
	timer_init(loop, &guard, on_guard, NULL);
	timer_set(&guard, GUARD);
	if (outstanding > 0)
		loop_run(loop);
	timer_clear(&guard);
	return (!hung);
}

static bool (*until_what)(void *);
static void *until_arg;
static struct timer until_timer;

static inline void
on_until(void *arg)
{
	(void)arg;
	if (until_what(until_arg))
		loop_stop(loop);
	else
		timer_set(&until_timer, 2000);
}

static inline bool
run_until(bool (*what)(void *), void *arg)
{
	struct timer guard;

	hung = false;
	until_what = what;
	until_arg = arg;
	timer_init(loop, &guard, on_guard, NULL);
	timer_set(&guard, GUARD);
	timer_init(loop, &until_timer, on_until, NULL);
	timer_set(&until_timer, 0);
	while (!hung && !what(arg))
		loop_run(loop);
	timer_clear(&guard);
	timer_clear(&until_timer);
	return (!hung);
}

static inline bool
state_is(struct backend *be, enum be_state st)
{
	return (atomic_load(&ops->stats(be)->state) == (uint32_t)st);
}

static inline bool
is_up(void *arg)
{
	return (state_is(arg, BE_UP));
}

static inline bool
is_down(void *arg)
{
	return (state_is(arg, BE_DOWN));
}

static inline bool
is_on_trial(void *arg)
{
	return (state_is(arg, BE_TRIAL));
}

static inline bool
may_be_tried(void *arg)
{
	return (is_up(arg) || is_on_trial(arg));
}

/* ---- stores ---- */

struct place {
	struct conf_store store;
	struct conf_server server;
	char		 name[128];
};

static inline void
place_init(struct place *p, uint16_t port)
{
	memset(p, 0, sizeof *p);
	snprintf(p->name, sizeof p->name, "127.0.0.1:%u", (unsigned)port);
	p->server.name = p->name;
	p->server.host = (char *)(uintptr_t)"127.0.0.1";
	p->server.port = port;
	p->server.weight = 1;
	p->store.name = (char *)(uintptr_t)"fleet";
	p->store.servers = &p->server;
	p->store.nservers = 1;
	p->store.connections = 1;
	p->store.connect_timeout = 5000000;
	p->store.timeout = 5000000;
	p->store.retry_min = 20000;
	p->store.retry_max = 100000;
	p->store.max_inflight = 10000;
	p->store.failures = 3;
}

static inline struct backend *
place_open(struct place *p)
{
	const char *why;
	struct backend *be = ops->open(loop, &p->store, &p->server, &why);

	if (be == NULL)
		printf("# open: %s\n", why);
	return (be);
}

/* ---- servers ---- */

static inline int
listen_on(uint16_t *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons(*port) };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    listen(fd, 64) != 0) {
		close(fd);
		return (-1);
	}
	getsockname(fd, (struct sockaddr *)&sin, &len);
	*port = ntohs(sin.sin_port);
	return (fd);
}

static inline pid_t
memcached_run(const char *where, const char *how, const char *more,
    const char *value)
{
	const char *path = getenv("MEMCACHED");
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp(path != NULL ? path : "memcached", "memcached", how, where,
		    more, value, "-u", "root", "-m", "256", "-I", "8m",
		    (char *)NULL);
		_exit(127);
	}
	return (pid);
}

static inline pid_t
memcached_start(uint16_t port)
{
	char number[8];

	snprintf(number, sizeof number, "%u", (unsigned)port);
	return (memcached_run(number, "-p", "-l", "127.0.0.1"));
}

static inline pid_t
memcached_start_unix(const char *path)
{
	return (memcached_run(path, "-s", "-a", "0700"));
}

static inline void
memcached_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Keeps its connections and what it holds, and does nothing. */
static inline void
memcached_freeze(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
}

struct fake {
	int		 lfd;
	uint16_t	 port;
	pthread_t	 thread;
	_Atomic bool	 stop;
	_Atomic unsigned accepted;
	/* Speaks on the nth connection (from 1), which is closed when it returns. */
	void		(*script)(struct fake *, int fd, unsigned nth);
	const char	*version;
	_Atomic int	 phase;		/* the script's own */
	_Atomic unsigned seen;
};

/* The next line without its CRLF; false: the peer has gone or the fake is to stop. */
static inline bool
fake_line(struct fake *f, int fd, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && !f->stop) {
		struct pollfd pfd = { fd, POLLIN, 0 };

		if (poll(&pfd, 1, 10) == 0)
			continue;
		if (read(fd, buf + n, 1) != 1)
			return (false);
		if (buf[n] == '\n') {
			buf[n > 0 && buf[n - 1] == '\r' ? n - 1 : n] = '\0';
			return (true);
		}
		n++;
	}
	return (false);
}

static inline void
fake_say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* The number behind the O of a meta request, with the O. */
static inline const char *
opaque_of(char *line)
{
	char *o = strstr(line, " O");

	if (o == NULL)
		return ("");
	o[1 + strcspn(o + 1, " ")] = '\0';
	return (o + 1);
}

/* Does nothing until the peer goes. */
static inline void
fake_hang(struct fake *f, int fd)
{
	char buf[4096];

	while (!f->stop) {
		struct pollfd pfd = { fd, POLLIN, 0 };

		if (poll(&pfd, 1, 10) == 1 && read(fd, buf, sizeof buf) <= 0)
			return;
	}
}

static inline void *
fake_run(void *arg)
{
	struct fake *f = arg;

	while (!f->stop) {
		struct pollfd pfd = { f->lfd, POLLIN, 0 };
		char line[64];
		int fd;

		if (poll(&pfd, 1, 10) != 1)
			continue;
		fd = accept(f->lfd, NULL, NULL);
		if (fd < 0)
			continue;
		f->accepted++;
		if (f->version == NULL)
			f->script(f, fd, f->accepted);
		else if (fake_line(f, fd, line, sizeof line)) {
			fake_say(fd, f->version);
			f->script(f, fd, f->accepted);
		}
		close(fd);
	}
	return (NULL);
}

static inline void
fake_start(struct fake *f, void (*script)(struct fake *, int, unsigned),
    const char *version)
{
	memset(f, 0, sizeof *f);
	f->lfd = listen_on(&f->port);
	f->script = script;
	f->version = version;
	pthread_create(&f->thread, NULL, fake_run, f);
}

static inline void
fake_stop(struct fake *f)
{
	f->stop = true;
	pthread_join(f->thread, NULL);
	close(f->lfd);
}

#define META_VERSION	"VERSION 1.6.18\r\n"
#define CLASSIC_VERSION	"VERSION 1.4.39\r\n"

/* One get, waited for. */
static inline struct call *
get_once(struct backend *be, const char *key)
{
	struct call *c = get_new(key);

	call_submit(be, c);
	if (!run_all())
		ok(false, "a get of %s hangs", key);
	return (c);
}

/* Up again by itself, but for the one request that it has to answer first. */
static inline bool
comes_up(struct backend *be)
{
	if (!run_until(may_be_tried, be))
		return (false);
	if (!is_up(be))
		call_free(get_once(be, "k"));
	return (is_up(be));
}

/* Says "hi" to every mg. */
static inline void
answer_gets(struct fake *f, int fd)
{
	char line[300], out[300];

	while (fake_line(f, fd, line, sizeof line)) {
		f->seen++;
		snprintf(out, sizeof out, "VA 2 f0 %s\r\nhi\r\n", opaque_of(line));
		fake_say(fd, out);
	}
}

/* Never answers. */
static inline void
silent_script(struct fake *f, int fd, unsigned nth)
{
	(void)nth;
	fake_hang(f, fd);
}
