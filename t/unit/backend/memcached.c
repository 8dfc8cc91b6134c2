/* Unit tests of src/backend/memcached*.c against a real memcached and against servers that misbehave. */
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
	ok(run_until(is_up, be), "%s: up by itself once the server runs", how);
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
	ok(run_until(is_up, be), "%s: up again", how);
	ok(atomic_load(&st->connects) >= 2 && atomic_load(&st->disconnects) >= 1,
	    "%s: connects and disconnects are counted", how);
	values_come_back(be, connections, how);
	ops->close(&be);
	ok(be == NULL, "%s: closed", how);
	memcached_kill(pid);
}

/* ---- servers that misbehave ---- */

/* A get that must end with an error; returns it for more questions. */
static struct call *
get_once(struct backend *be, const char *key)
{
	struct call *c = get_new(key);

	call_submit(be, c);
	if (!run_all())
		ok(false, "a get of %s hangs", key);
	return (c);
}

static void
answer_gets(struct fake *f, int fd)
{
	char line[300], out[300];

	while (fake_line(f, fd, line, sizeof line)) {
		f->seen++;
		snprintf(out, sizeof out, "VA 2 f0 %s\r\nhi\r\n", opaque_of(line));
		fake_say(fd, out);
	}
}

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
	char want[100];

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
	ok(run_until(is_up, be), "stall: up again by itself");
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

/* One kind of misbehaviour on the first connection, manners on the next. */
struct misdeed {
	const char	*name;
	enum err	 err;
	void		(*script)(struct fake *, int fd);
	const char	*version;
	bool		 unasked;	/* the op comes before the bytes do */
};

static void
rubbish(struct fake *f, int fd)
{
	char line[300];

	(void)fake_line(f, fd, line, sizeof line);
	fake_say(fd, "HTTP/1.1 400 Bad \x01\r\n\r\n");
	fake_hang(f, fd);
}

static void
wrong_opaque(struct fake *f, int fd)
{
	char line[300], out[300];

	(void)fake_line(f, fd, line, sizeof line);
	snprintf(out, sizeof out, "VA 2 f0 O%u\r\nhi\r\n",
	    (unsigned)strtoul(opaque_of(line) + 1, NULL, 10) + 1);
	fake_say(fd, out);
	fake_hang(f, fd);
}

static void
wrong_tail(struct fake *f, int fd)
{
	char line[300], out[300];

	(void)fake_line(f, fd, line, sizeof line);
	snprintf(out, sizeof out, "VA 2 f0 %s\r\nhixx", opaque_of(line));
	fake_say(fd, out);
	fake_hang(f, fd);
}

static void
wrong_tail_large(struct fake *f, int fd)
{
	char line[300], out[300];
	char *value = malloc(200000);

	(void)fake_line(f, fd, line, sizeof line);
	snprintf(out, sizeof out, "VA 200000 f0 %s\r\n", opaque_of(line));
	fake_say(fd, out);
	memset(value, 'v', 200000);
	for (size_t n = 0; n < 200000; n += 50000)
		(void)!send(fd, value + n, 50000, MSG_NOSIGNAL);
	free(value);
	fake_say(fd, "xx");
	fake_hang(f, fd);
}

static void
endless_line(struct fake *f, int fd)
{
	char line[300], out[5000];

	(void)fake_line(f, fd, line, sizeof line);
	memset(out, 'A', sizeof out);
	out[0] = 'V';
	out[2] = ' ';
	(void)!send(fd, out, sizeof out, MSG_NOSIGNAL);
	fake_hang(f, fd);
}

static void
closes_in_a_value(struct fake *f, int fd)
{
	char line[300], out[300];

	(void)fake_line(f, fd, line, sizeof line);
	(void)fake_line(f, fd, out, sizeof out);
	snprintf(out, sizeof out, "VA 100000 f0 %s\r\nabc", opaque_of(line));
	fake_say(fd, out);
}

static void
resets(struct fake *f, int fd)
{
	struct linger hard = { 1, 0 };
	char line[300], out[300];

	(void)fake_line(f, fd, line, sizeof line);
	snprintf(out, sizeof out, "VA 100000 f0 %s\r\nabc", opaque_of(line));
	fake_say(fd, out);
	/* Until the client has read that, a reset would drop it. */
	usleep(20000);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void
another_key(struct fake *f, int fd)
{
	char line[300];

	(void)fake_line(f, fd, line, sizeof line);
	fake_say(fd, "VALUE other 0 2\r\nhi\r\nEND\r\n");
	fake_hang(f, fd);
}

static void
drips(struct fake *f, int fd)
{
	char line[300], out[300];

	(void)fake_line(f, fd, line, sizeof line);
	(void)fake_line(f, fd, out, sizeof out);
	fake_say(fd, "VA 100 f0");
	while (!f->stop) {
		struct pollfd pfd = { fd, POLLIN, 0 };

		if (poll(&pfd, 1, 10) == 1)
			return;
		fake_say(fd, " ");
	}
}

static const struct misdeed misdeeds[] = {
	{ "rubbish", ERR_PROTOCOL, rubbish, META_VERSION, false },
	{ "wrong opaque", ERR_PROTOCOL, wrong_opaque, META_VERSION, false },
	{ "wrong tail", ERR_PROTOCOL, wrong_tail, META_VERSION, false },
	{ "wrong tail, large", ERR_PROTOCOL, wrong_tail_large, META_VERSION, false },
	{ "endless line", ERR_PROTOCOL, endless_line, META_VERSION, false },
	{ "closes in a value", ERR_CLOSED, closes_in_a_value, META_VERSION, false },
	{ "resets", ERR_RESET, resets, META_VERSION, false },
	{ "another key", ERR_PROTOCOL, another_key, CLASSIC_VERSION, false },
	{ "drips", ERR_TIMEOUT, drips, META_VERSION, false },
};
static const struct misdeed *misdeed;

static void
answer_classic(struct fake *f, int fd)
{
	char line[300], out[300];

	while (fake_line(f, fd, line, sizeof line)) {
		char *key = strchr(line, ' ');

		snprintf(out, sizeof out, "VALUE%s 0 2\r\nhi\r\nEND\r\n",
		    key == NULL ? "" : key);
		fake_say(fd, out);
	}
}

static void
misdeed_script(struct fake *f, int fd, unsigned nth)
{
	if (nth == 1)
		misdeed->script(f, fd);
	else if (strcmp(misdeed->version, CLASSIC_VERSION) == 0)
		answer_classic(f, fd);
	else
		answer_gets(f, fd);
}

static void
misbehaving_servers(void)
{
	for (unsigned i = 0; i < NITEMS(misdeeds); i++) {
		struct fake f;
		struct place p;
		struct backend *be;
		struct call *c, *second;
		const char *name = misdeeds[i].name;

		misdeed = &misdeeds[i];
		fake_start(&f, misdeed_script, misdeed->version);
		place_init(&p, f.port);
		if (misdeed->err == ERR_TIMEOUT)
			p.store.timeout = 100000;
		be = place_open(&p);
		c = get_new("k");
		second = get_new("k");
		call_submit(be, c);
		call_submit(be, second);
		ok(run_all(), "%s: gets end", name);
		is_u(c->op.err, misdeed->err, "%s: with the right error", name);
		is_u(second->op.err, misdeed->err, "%s: so does the next in line", name);
		ok(strncmp(c->why, p.name, strlen(p.name)) == 0,
		    "%s: the text names the server: %s", name, c->why);
		is_u(atomic_load(&ops->stats(be)->errors[misdeed->err]), 2,
		    "%s: counted", name);
		call_free(c);
		call_free(second);
		run_until(is_up, be);
		c = get_once(be, "k");
		ok(c->op.err == ERR_NONE && c->value_len == 2,
		    "%s: recovers", name);
		call_free(c);
		ops->close(&be);
		fake_stop(&f);
	}
}

static void
unasked_script(struct fake *f, int fd, unsigned nth)
{
	if (nth == 1) {
		fake_say(fd, "VA 2 f0 O0\r\nno\r\n");
		f->phase = 1;
		fake_hang(f, fd);
	} else
		answer_gets(f, fd);
}

static bool
reconnected(void *arg)
{
	return (atomic_load(&ops->stats(arg)->connects) >= 2 && is_up(arg));
}

static void
unasked_bytes(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c;

	fake_start(&f, unasked_script, META_VERSION);
	place_init(&p, f.port);
	be = place_open(&p);
	ok(run_until(reconnected, be), "unasked: the connection is given up");
	c = get_once(be, "k");
	ok(value_fits(c, "", 0) == false && c->value_len == 2 &&
	    memcmp(c->value, "hi", 2) == 0, "unasked: nobody gets those bytes");
	call_free(c);
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

/* A reply at a time, split at every byte in turn. */
static void
split_script(struct fake *f, int fd, unsigned nth)
{
	char line[300], out[300];
	unsigned cut = 1;

	(void)nth;
	while (fake_line(f, fd, line, sizeof line)) {
		size_t len;

		len = (size_t)snprintf(out, sizeof out,
		    "VA 11 f5 %s\r\nhello\r\nEN\r\n\r\n", opaque_of(line));
		cut = cut % len + 1;
		(void)!send(fd, out, cut, MSG_NOSIGNAL);
		usleep(300);
		(void)!send(fd, out + cut, len - cut, MSG_NOSIGNAL);
	}
}

static void
split_replies(void)
{
	enum { N = 200 };
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c[N];
	unsigned good = 0;

	fake_start(&f, split_script, META_VERSION);
	place_init(&p, f.port);
	be = place_open(&p);
	for (unsigned i = 0; i < N; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
	}
	ok(run_all(), "split: gets end");
	for (unsigned i = 0; i < N; i++) {
		good += c[i]->value_len == 11 && c[i]->op.res.client_flags == 5 &&
		    memcmp(c[i]->value, "hello\r\nEN\r\n", 11) == 0;
		call_free(c[i]);
	}
	is_u(good, N, "split: replies cut anywhere are whole");
	ops->close(&be);
	fake_stop(&f);
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
	ok(run_until(is_up, be), "refused: up when it listens");
	c[0] = get_once(be, "k");
	is_u(c[0]->op.err, ERR_NONE, "refused: and answers");
	call_free(c[0]);
	ops->close(&be);
	fake_stop(&f);
}

static void
no_version_script(struct fake *f, int fd, unsigned nth)
{
	(void)nth;
	fake_hang(f, fd);
}

static void
banner_script(struct fake *f, int fd, unsigned nth)
{
	(void)nth;
	fake_say(fd, "SSH-2.0-OpenSSH_9.2p1\r\n");
	fake_hang(f, fd);
}

static void
strange_servers(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c;

	fake_start(&f, no_version_script, NULL);
	place_init(&p, f.port);
	p.store.connect_timeout = 50000;
	be = place_open(&p);
	c = get_once(be, "k");
	ok(c->op.err == ERR_CONNECT && strstr(c->why, "timed out") != NULL,
	    "silent: no answer to version is a connect timeout: %s", c->why);
	call_free(c);
	ops->close(&be);
	fake_stop(&f);

	fake_start(&f, banner_script, NULL);
	place_init(&p, f.port);
	be = place_open(&p);
	c = get_once(be, "k");
	is_u(c->op.err, ERR_CONNECT, "ssh: is no memcached");
	call_free(c);
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
	char want[100];

	fake_start(&f, no_version_script, META_VERSION);
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

static void
unknown_name(void)
{
	struct place p;
	struct backend *be;
	struct call *c;

	place_init(&p, 11211);
	p.server.host = (char *)(uintptr_t)"no-such-host.invalid";
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

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	with_a_real_server(1, 0, "meta");
	with_a_real_server(1, 1, "classic");
	with_a_real_server(3, 2, "three connections");
	stalled_server();
	misbehaving_servers();
	unasked_bytes();
	closed_connections();
	split_replies();
	early_errors();
	own_deadlines();
	refusing_server();
	strange_servers();
	bounds();
	unknown_name();
	ok(*loop_slot(loop, LOOP_SLOT_BACKEND) == NULL, "nothing is left on the loop");
	loop_free(&loop);
	is_s(backend_find("memcached")->name, "memcached", "the registry knows the store");
	ok(backend_find("oracle") == NULL, "and no other");
	return (done_testing());
}
