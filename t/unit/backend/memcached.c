/* Unit tests of src/backend/memcached.c: against a real memcached; bodies, deadlines, bounds. */
#include "backend/memcached.c"
#include "servers.h"

/* ---- a real memcached ---- */

static void
values_come_back(struct backend *be, unsigned connections, const char *how)
{
	enum { N = 3000 };
	struct call **c = calloc(N, sizeof *c);
	unsigned good = 0, in_order = 0, missed = 0, last = 0;
	char key[64];

	for (unsigned i = 0; i < N; i++) {
		snprintf(key, sizeof key, "key%u", i);
		c[i] = set_new(key, i % 1000);
		call_submit(be, c[i]);
	}
	ok(run_all(), "%s: thousands of pipelined sets end", how);
	for (unsigned i = 0; i < N; i++) {
		good += c[i]->op.err == ERR_NONE && c[i]->op.res.status == OP_OK;
		in_order += c[i]->order > last;
		last = c[i]->order;
		call_free(c[i]);
	}
	is_u(good, N, "%s: all stored", how);
	if (connections == 1)
		is_u(in_order, N, "%s: answered in order", how);
	good = 0;
	for (unsigned i = 0; i < N; i++) {
		snprintf(key, sizeof key, i % 10 == 9 ? "no%u" : "key%u", i);
		c[i] = get_new(key);
		call_submit(be, c[i]);
	}
	ok(run_all(), "%s: thousands of pipelined gets end", how);
	for (unsigned i = 0; i < N; i++) {
		snprintf(key, sizeof key, "key%u", i);
		if (i % 10 == 9)
			missed += c[i]->op.err == ERR_NONE &&
			    c[i]->op.res.status == OP_MISS;
		else
			good += value_fits(c[i], key, i % 1000) &&
			    c[i]->op.res.client_flags == 7;
		call_free(c[i]);
	}
	is_u(good, N - N / 10, "%s: every value is the right one", how);
	is_u(missed, N / 10, "%s: what is not there is a miss", how);
	is_u(atomic_load(&ops->stats(be)->inflight), 0, "%s: nothing in flight", how);
	free(c);
}

static void
large_values_go_to_the_sink(struct backend *be, const char *how)
{
	static const size_t sizes[] = { 16000, 16383, 16384, 16385, 40000, 65536,
	    100000, 1000000, 3000000 };
	struct call *set[NITEMS(sizes)], *get[NITEMS(sizes) * 2];
	unsigned stored = 0, good = 0, sunk = 0;
	char key[64];

	for (unsigned i = 0; i < NITEMS(sizes); i++) {
		snprintf(key, sizeof key, "large%u", i);
		set[i] = set_new(key, sizes[i]);
		call_submit(be, set[i]);
	}
	ok(run_all(), "%s: large sets end", how);
	for (unsigned i = 0; i < NITEMS(sizes); i++) {
		stored += set[i]->op.err == ERR_NONE &&
		    set[i]->op.res.status == OP_OK;
		call_free(set[i]);
	}
	is_u(stored, NITEMS(sizes), "%s: large values are stored", how);
	for (unsigned i = 0; i < NITEMS(get); i++) {
		snprintf(key, sizeof key, "large%u", i / 2);
		get[i] = get_new(key);
		get[i]->sink_piece = i % 2 == 0 ? 1000 : 700000;
		call_submit(be, get[i]);
	}
	ok(run_all(), "%s: large gets end", how);
	for (unsigned i = 0; i < NITEMS(get); i++) {
		snprintf(key, sizeof key, "large%u", i / 2);
		good += value_fits(get[i], key, sizes[i / 2]);
		sunk += get[i]->sunk;
		call_free(get[i]);
	}
	is_u(good, NITEMS(get), "%s: large values come back whole", how);
	ok(sunk >= 8, "%s: through the sink", how);
}

static void
no_memory_for_a_value(struct backend *be, const char *how)
{
	struct call *a = get_new("large7"), *b = get_new("large0"), *n;

	a->sink_full = true;
	n = get_new("large8");
	n->op.sink = NULL;
	call_submit(be, a);
	call_submit(be, n);
	call_submit(be, b);
	ok(run_all(), "%s: gets end though the sink has no memory", how);
	is_u(a->op.err, ERR_NOMEM, "%s: the value is dropped", how);
	is_u(n->op.err, ERR_NOMEM, "%s: and one without a sink", how);
	ok(value_fits(b, "large0", 16000), "%s: the next reply is whole", how);
	call_free(a);
	call_free(b);
	call_free(n);
}

static void
other_verbs(struct backend *be, const char *how)
{
	struct call *c[6];

	c[0] = set_new("number", 1);
	c[0]->body[0] = '7';
	c[1] = call_new(OP_ARITH, "number");
	c[1]->op.op.mode = OP_INCR;
	c[1]->op.op.delta = 5;
	c[1]->op.op.want = OPW_VALUE;
	c[2] = set_new("number", 1);
	c[2]->op.op.mode = OP_ADD;
	c[3] = call_new(OP_DELETE, "number");
	c[4] = call_new(OP_DELETE, "number");
	c[5] = call_new(OP_ARITH, "number");
	c[5]->op.op.mode = OP_DECR;
	c[5]->op.op.delta = 5;
	for (unsigned i = 0; i < NITEMS(c); i++)
		call_submit(be, c[i]);
	ok(run_all(), "%s: other verbs end", how);
	is_u(c[0]->op.res.status, OP_OK, "%s: set", how);
	is_u(c[1]->op.res.number, 12, "%s: incr", how);
	is_u(c[2]->op.res.status, OP_NOT_STORED, "%s: add", how);
	is_u(c[3]->op.res.status, OP_OK, "%s: delete", how);
	is_u(c[4]->op.res.status, OP_MISS, "%s: delete again", how);
	is_u(c[5]->op.res.status, OP_MISS, "%s: decr of nothing", how);
	for (unsigned i = 0; i < NITEMS(c); i++)
		call_free(c[i]);
}

static void
cancelled_ops_leave_the_others_alone(struct backend *be, const char *how)
{
	enum { N = 600 };
	struct call *c[N];
	unsigned cancelled = 0, good = 0;
	char key[64];

	for (unsigned i = 0; i < N; i++) {
		snprintf(key, sizeof key, i % 50 == 3 ? "large7" : "key%u", i + 1);
		c[i] = i % 9 == 1 ? set_new("other", i * 100) : get_new(key);
		call_submit(be, c[i]);
	}
	for (unsigned i = 0; i < N; i += 3)
		ops->cancel(be, &c[i]->op);
	ok(run_all(), "%s: all end though many are cancelled", how);
	for (unsigned i = 0; i < N; i++) {
		snprintf(key, sizeof key, "key%u", i + 1);
		if (i % 3 == 0)
			cancelled += c[i]->op.err == ERR_CANCELLED;
		else if (i % 9 == 1)
			good += c[i]->op.err == ERR_NONE;
		else if (i % 50 == 3)
			good += value_fits(c[i], "large7", 1000000);
		else
			good += value_fits(c[i], key, (i + 1) % 1000);
		call_free(c[i]);
	}
	is_u(cancelled, N / 3, "%s: cancelled ones say so", how);
	is_u(good, N - N / 3, "%s: the others have their own values", how);
}

static void
on_a_unix_socket(void)
{
	struct place p;
	struct backend *be;
	struct call *c;
	char path[108], dir[] = "/tmp/kvgate-unit.XXXXXX";
	pid_t pid;

	MUST(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/mc", dir);
	place_init(&p, 0);
	snprintf(p.name, sizeof p.name, "%s", path);
	p.server.host = NULL;
	p.server.path = p.name;
	be = place_open(&p);
	c = get_once(be, "k");
	ok(c->op.err == ERR_DOWN && strstr(c->why, "No such file") != NULL,
	    "unix: not there yet: %s", c->why);
	call_free(c);
	pid = memcached_start_unix(path);
	ok(comes_up(be), "unix: up");
	large_values_go_to_the_sink(be, "unix");
	ops->close(&be);
	memcached_kill(pid);
	unlink(path);
	rmdir(dir);
}

static void
with_a_real_server(unsigned connections, int protocol, const char *how)
{
	struct place p;
	struct backend *be;
	struct be_stats *st;
	uint16_t port = 0;
	pid_t pid;

	close(listen_on(&port));
	place_init(&p, port);
	p.store.connections = connections;
	p.store.protocol = protocol;
	be = place_open(&p);
	st = ops->stats(be);
	ok(!state_is(be, BE_UP), "%s: opened before the server is there", how);
	pid = memcached_start(port);
	ok(comes_up(be), "%s: up by itself once the server runs", how);
	ok(ops->healthy(be), "%s: healthy", how);
	values_come_back(be, connections, how);
	large_values_go_to_the_sink(be, how);
	no_memory_for_a_value(be, how);
	other_verbs(be, how);
	cancelled_ops_leave_the_others_alone(be, how);
	ok(atomic_load(&st->bytes_in) > 10000000 &&
	    atomic_load(&st->bytes_out) > 4000000, "%s: bytes are counted", how);
	ok(hist_quantile(&st->latency, 0.5) > 0, "%s: latency is measured", how);
	memcached_kill(pid);
	ok(run_until(is_down, be), "%s: down when the server was killed", how);
	pid = memcached_start(port);
	ok(comes_up(be), "%s: up again", how);
	ok(atomic_load(&st->connects) >= 2 && atomic_load(&st->disconnects) >= 1,
	    "%s: connects and disconnects are counted", how);
	values_come_back(be, connections, how);
	ops->close(&be);
	ok(be == NULL, "%s: closed", how);
	memcached_kill(pid);
}

/* Refuses a large body before it has read it. */
static void
early_script(struct fake *f, int fd, unsigned nth)
{
	char line[300];

	(void)nth;
	(void)fake_line(f, fd, line, sizeof line);
	fake_say(fd, "SERVER_ERROR object too large for cache\r\n");
	while (f->phase == 0 && !f->stop)
		usleep(1000);
	fake_hang(f, fd);
}

static struct fake *early_fake;
static bool early_done;

static bool
early_answered(void *arg)
{
	struct backend *be = arg;

	if (atomic_load(&ops->stats(be)->bytes_in) > 20 && early_fake->phase == 0) {
		early_done = outstanding == 0;
		early_fake->phase = 1;
	}
	return (outstanding == 0);
}

static void
early_errors(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c;

	fake_start(&f, early_script, META_VERSION);
	early_fake = &f;
	place_init(&p, f.port);
	be = place_open(&p);
	run_until(is_up, be);
	c = set_new("k", 60000000);
	call_submit(be, c);
	ok(run_until(early_answered, be), "early: the set ends");
	ok(!early_done, "early: but not before its body has left");
	is_u(c->op.err, ERR_NONE, "early: it was answered");
	is_u(c->op.res.status, OP_ERROR, "early: with an error of the server");
	is_s(c->error, "SERVER_ERROR object too large for cache", "early: whose text is kept");
	call_free(c);
	ops->close(&be);
	fake_stop(&f);

	fake_start(&f, early_script, META_VERSION);
	place_init(&p, f.port);
	be = place_open(&p);
	run_until(is_up, be);
	c = set_new("k", 60000000);
	call_submit(be, c);
	ops->cancel(be, &c->op);
	f.phase = 1;
	ok(run_all(), "early: a cancelled large set ends");
	is_u(c->op.err, ERR_CANCELLED, "early: as cancelled");
	call_free(c);
	c = set_new("k", 60000000);
	call_submit(be, c);
	ops->close(&be);
	is_u(c->op.err, ERR_CANCELLED, "early: close() ends one whose body has not left");
	call_free(c);
	fake_stop(&f);
}

/* Answers the first get only when told to. */
static void
slow_script(struct fake *f, int fd, unsigned nth)
{
	char line[300], first[32];

	(void)nth;
	(void)fake_line(f, fd, line, sizeof line);
	snprintf(first, sizeof first, "%s", opaque_of(line));
	while (f->phase == 0 && !f->stop)
		usleep(1000);
	snprintf(line, sizeof line, "VA 2 f0 %s\r\nno\r\n", first);
	fake_say(fd, line);
	answer_gets(f, fd);
}

static void
own_deadlines(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c, *next;

	fake_start(&f, slow_script, META_VERSION);
	place_init(&p, f.port);
	be = place_open(&p);
	run_until(is_up, be);
	c = get_new("k");
	c->op.timeout = 50000;
	call_submit(be, c);
	ok(run_all(), "own deadline: the get ends");
	is_u(c->op.err, ERR_TIMEOUT, "own deadline: timed out");
	ok(ops->healthy(be), "own deadline: the server is not down for that");
	call_free(c);
	next = get_new("k");
	call_submit(be, next);
	f.phase = 1;
	ok(run_all(), "own deadline: the next get ends");
	ok(next->op.err == ERR_NONE && next->value_len == 2 &&
	    memcmp(next->value, "hi", 2) == 0,
	    "own deadline: the late reply is dropped, the next has its own");
	is_u(f.accepted, 1, "own deadline: on the same connection");
	call_free(next);
	ops->close(&be);
	fake_stop(&f);
}

static void
bounds(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c[20];
	unsigned busy = 0, cancelled = 0;
	char want[200];

	fake_start(&f, silent_script, META_VERSION);
	place_init(&p, f.port);
	p.store.max_inflight = 5;
	be = place_open(&p);
	for (unsigned i = 0; i < 10; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
	}
	run_until(is_up, be);
	for (unsigned i = 10; i < 20; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
	}
	outstanding++;		/* close() ends the rest */
	ops->close(&be);
	outstanding--;
	for (unsigned i = 0; i < 20; i++) {
		busy += c[i]->op.err == ERR_BUSY;
		cancelled += c[i]->op.err == ERR_CANCELLED;
	}
	is_u(busy, 15, "bounds: what is too much is refused");
	snprintf(want, sizeof want, "%s has too many requests in flight", p.name);
	is_s(c[19]->why, want, "bounds: and says so");
	is_u(cancelled, 5, "bounds: close() cancels what is in flight");
	for (unsigned i = 0; i < 20; i++)
		call_free(c[i]);
	fake_stop(&f);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	with_a_real_server(1, 0, "meta");
	with_a_real_server(1, 1, "classic");
	with_a_real_server(3, 2, "three connections");
	on_a_unix_socket();
	early_errors();
	own_deadlines();
	bounds();
	is_s(backend_find("memcached")->name, "memcached", "the registry knows the store");
	ok(backend_find("oracle") == NULL, "and no other");
	ok(*loop_slot(loop, LOOP_SLOT_BACKEND) == NULL, "nothing is left on the loop");
	loop_free(&loop);
	return (done_testing());
}
