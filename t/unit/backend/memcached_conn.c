/* Unit tests of src/backend/memcached_conn.c and resolve.c: servers that stall, close, refuse, come back. */
#include "backend/memcached_conn.c"
#include "servers.h"

static void
stall_script(struct fake *f, int fd, unsigned nth)
{
	if (f->phase == 0 && nth <= 1)
		fake_hang(f, fd);
	else
		answer_gets(f, fd);
}

static void
stalled_server(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c[100], *late;
	unsigned timed_out = 0;
	char want[200];

	fake_start(&f, stall_script, META_VERSION);
	place_init(&p, f.port);
	p.store.timeout = 100000;
	p.store.retry_min = 300000;
	p.store.retry_max = 300000;
	be = place_open(&p);
	for (unsigned i = 0; i < NITEMS(c); i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
	}
	ok(run_all(), "stall: gets end");
	for (unsigned i = 0; i < NITEMS(c); i++)
		timed_out += c[i]->op.err == ERR_TIMEOUT;
	is_u(timed_out, NITEMS(c), "stall: all in flight time out");
	snprintf(want, sizeof want, "%s timed out", p.name);
	is_s(c[0]->why, want, "stall: the text names the server");
	ok(!ops->healthy(be) && state_is(be, BE_DOWN), "stall: the server is down");
	late = get_once(be, "k");
	is_u(late->op.err, ERR_DOWN, "stall: then ops fail at once");
	snprintf(want, sizeof want, "%s is down: timed out", p.name);
	is_s(late->why, want, "stall: and say why");
	ok(comes_up(be), "stall: up again by itself");
	call_free(late);
	late = get_once(be, "k");
	ok(late->op.err == ERR_NONE && late->value_len == 2, "stall: and answers");
	call_free(late);
	for (unsigned i = 0; i < NITEMS(c); i++)
		call_free(c[i]);
	ok(atomic_load(&ops->stats(be)->errors[ERR_TIMEOUT]) == NITEMS(c) &&
	    atomic_load(&ops->stats(be)->errors[ERR_DOWN]) == 1,
	    "stall: errors are counted by kind");
	ops->close(&be);
	fake_stop(&f);
}

/* Reads one request, says nothing and closes; from the second connection on answers. */
static void
closing_script(struct fake *f, int fd, unsigned nth)
{
	char line[300];

	if (nth == 1)
		(void)fake_line(f, fd, line, sizeof line);
	else
		answer_gets(f, fd);
}

static void
closed_connections(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c[3];

	fake_start(&f, closing_script, META_VERSION);
	place_init(&p, f.port);
	be = place_open(&p);
	run_until(is_up, be);
	for (unsigned i = 0; i < 3; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
	}
	ok(run_all(), "closed: gets end");
	ok(c[0]->op.err == ERR_NONE && c[1]->op.err == ERR_NONE &&
	    c[2]->op.err == ERR_NONE && c[2]->value_len == 2,
	    "closed: plain reads are asked once more");
	for (unsigned i = 0; i < 3; i++)
		call_free(c[i]);
	ops->close(&be);
	fake_stop(&f);

	fake_start(&f, closing_script, META_VERSION);
	place_init(&p, f.port);
	be = place_open(&p);
	run_until(is_up, be);
	c[0] = get_new("k");
	c[1] = set_new("k", 10);
	call_submit(be, c[0]);
	call_submit(be, c[1]);
	ok(run_all(), "closed: a get and a set end");
	ok(c[0]->op.err == c[1]->op.err && (c[1]->op.err == ERR_CLOSED ||
	    c[1]->op.err == ERR_RESET), "closed: with a write among them, nothing is repeated");
	ok(!state_is(be, BE_DOWN), "closed: the server is not down for that");
	call_free(c[0]);
	call_free(c[1]);
	c[0] = get_once(be, "k");
	is_u(c[0]->op.err, ERR_NONE, "closed: and the next get is answered");
	call_free(c[0]);
	ops->close(&be);
	fake_stop(&f);
}

static void
resubmit(struct call *c)
{
	struct call *again = (struct call *)c->op.op.cas;

	call_submit(c->op.be, again);
}

static void
refusing_server(void)
{
	struct place p;
	struct backend *be;
	struct call *c[3], *again;
	uint16_t port = 0;
	int lfd;
	struct fake f;

	close(listen_on(&port));
	place_init(&p, port);
	be = place_open(&p);
	for (unsigned i = 0; i < 3; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
	}
	again = get_new("k");
	c[2]->op.op.cas = (uint64_t)(uintptr_t)again;
	c[2]->then = resubmit;
	ops->cancel(be, &c[1]->op);
	ok(run_all(), "refused: gets that waited end");
	is_u(c[0]->op.err, ERR_CONNECT, "refused: with a connect error");
	ok(strstr(c[0]->why, "connect failed: Connection refused") != NULL,
	    "refused: that says why: %s", c[0]->why);
	is_u(c[1]->op.err, ERR_CANCELLED, "refused: one was cancelled as it waited");
	is_u(again->op.err, ERR_DOWN, "refused: one submitted in done() fails at once");
	ok(state_is(be, BE_DOWN), "refused: the server is down");
	for (unsigned i = 0; i < 3; i++)
		call_free(c[i]);
	call_free(again);
	lfd = listen_on(&port);
	memset(&f, 0, sizeof f);
	f.lfd = lfd;
	f.port = port;
	f.script = stall_script;
	f.phase = 1;
	f.version = META_VERSION;
	pthread_create(&f.thread, NULL, fake_run, &f);
	ok(comes_up(be), "refused: up when it listens");
	c[0] = get_once(be, "k");
	is_u(c[0]->op.err, ERR_NONE, "refused: and answers");
	call_free(c[0]);
	ops->close(&be);
	fake_stop(&f);
}

static void
full_script(struct fake *f, int fd, unsigned nth)
{
	char line[300];

	if (nth == 1) {
		fake_say(fd, "ERROR Too many open connections\r\n");
		return;
	}
	(void)fake_line(f, fd, line, sizeof line);
	fake_say(fd, META_VERSION);
	answer_gets(f, fd);
}

static void
strange_servers(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c;

	fake_start(&f, silent_script, NULL);
	place_init(&p, f.port);
	p.store.connect_timeout = 50000;
	be = place_open(&p);
	c = get_once(be, "k");
	ok(c->op.err == ERR_CONNECT && strstr(c->why, "timed out") != NULL,
	    "silent: no answer to version is a connect timeout: %s", c->why);
	call_free(c);
	ops->close(&be);
	fake_stop(&f);

	fake_start(&f, full_script, NULL);
	place_init(&p, f.port);
	be = place_open(&p);
	c = get_once(be, "k");
	ok(strstr(c->why, "Too many open connections") != NULL,
	    "full: what the server says is told: %s", c->why);
	call_free(c);
	ok(comes_up(be), "full: up when there is room");
	ops->close(&be);
	fake_stop(&f);

	fake_start(&f, silent_script, NULL);
	place_init(&p, f.port);
	be = place_open(&p);
	c = get_new("k");
	c->op.timeout = 20000;
	call_submit(be, c);
	ok(run_all() && c->op.err == ERR_TIMEOUT && state_is(be, BE_CONNECTING),
	    "silent: an op with a deadline of its own does not wait for the connection");
	call_free(c);
	ops->close(&be);
	fake_stop(&f);
}

static void
unknown_name(void)
{
	struct place p;
	struct backend *be;
	struct call *c;

	place_init(&p, 11211);
	p.server.host = (char *)(uintptr_t)"no..such..host";
	be = place_open(&p);
	ok(be != NULL, "name: one that is unknown does not keep the rest from starting");
	c = get_once(be, "k");
	ok(c->op.err == ERR_DOWN && strstr(c->why, "resolve") != NULL,
	    "name: its keys fail: %s", c->why);
	call_free(c);
	ops->close(&be);
	place_init(&p, 1);
	p.server.host = (char *)(uintptr_t)"localhost";
	be = place_open(&p);
	c = get_once(be, "k");
	ok(strstr(c->why, "refused") != NULL, "name: localhost is found");
	call_free(c);
	ops->close(&be);
}

static void
addresses(void)
{
	struct resolve_list list = { .n = 0 };
	char path[300];

	ok(resolve_is_numeric("127.0.0.1") && resolve_is_numeric("::1") &&
	    !resolve_is_numeric("localhost"), "addresses are told from names");
	ok(resolve_now("::1", 11211, &list) == NULL && list.n == 1 &&
	    list.a[0].ss.ss_family == AF_INET6, "an IPv6 address");
	ok(resolve_now("no..such..host", 11211, &list) != NULL &&
	    list.n == 1, "a name that is not found leaves the list alone");
	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	ok(!resolve_unix(path, &list), "a path that is too long");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	stalled_server();
	closed_connections();
	refusing_server();
	strange_servers();
	unknown_name();
	addresses();
	ok(*loop_slot(loop, LOOP_SLOT_BACKEND) == NULL, "nothing is left on the loop");
	loop_free(&loop);
	return (done_testing());
}
