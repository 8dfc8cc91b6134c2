/* Unit tests of src/backend/memcached_health.c and outage.c: failures in a row, trials, what is owed on return. */
#include "backend/memcached_health.c"
#include "backend/outage.c"
#include "servers.h"

static struct mc *
mc_of(struct backend *be)
{
	return ((struct mc *)be);
}

/* ---- a server with a memory of what it was asked ---- */

enum { MUTE, TALKING, NO_FLUSH, HOLDING };	/* phases; HOLDING: answers when it talks again */

static struct {
	pthread_mutex_t	 lock;
	char		 line[200][100];
	unsigned	 n;
} noted = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
note(const char *line)
{
	pthread_mutex_lock(&noted.lock);
	if (noted.n < NITEMS(noted.line))
		snprintf(noted.line[noted.n++], sizeof noted.line[0], "%.99s", line);
	pthread_mutex_unlock(&noted.lock);
}

/* How many lines began so. */
static unsigned
count_noted(const char *prefix)
{
	unsigned n = 0;

	pthread_mutex_lock(&noted.lock);
	for (unsigned i = 0; i < noted.n; i++)
		n += strncmp(noted.line[i], prefix, strlen(prefix)) == 0;
	pthread_mutex_unlock(&noted.lock);
	return (n);
}

static void
answer_get(int fd, char *line)
{
	char out[100];

	snprintf(out, sizeof out, "VA 2 f0 %s\r\nhi\r\n", opaque_of(line));
	fake_say(fd, out);
}

static void
noting_script(struct fake *f, int fd, unsigned nth)
{
	char line[300], held[20][100];
	unsigned nheld = 0;

	(void)nth;
	while (!f->stop) {
		struct pollfd pfd = { fd, POLLIN, 0 };

		bool asked = poll(&pfd, 1, 2) == 1;
		int phase = f->phase;

		for (unsigned i = 0; phase == TALKING && i < nheld; i++)
			answer_get(fd, held[i]);
		if (phase == TALKING)
			nheld = 0;
		if (!asked)
			continue;
		if (!fake_line(f, fd, line, sizeof line))
			return;
		note(line);
		if (strcmp(line, "version") == 0)
			fake_say(fd, META_VERSION);
		else if (strcmp(line, "flush_all") == 0)
			fake_say(fd, phase == NO_FLUSH ?
			    "CLIENT_ERROR flush_all not allowed\r\n" : "OK\r\n");
		else if (phase == TALKING || phase == NO_FLUSH)
			answer_get(fd, line);
		else if (phase == HOLDING && nheld < NITEMS(held))
			snprintf(held[nheld++], sizeof held[0], "%.99s", line);
	}
}

static void
noting_start(struct fake *f, struct place *p, int phase)
{
	noted.n = 0;
	fake_start(f, noting_script, NULL);
	f->phase = phase;
	place_init(p, f->port);
	p->store.timeout = 150000;
}

/* A get that has so many microseconds, waited for. Its error. */
static enum err
get_within(struct backend *be, uint64_t timeout)
{
	struct call *c = get_new("k");
	enum err err;

	c->op.timeout = timeout;
	call_submit(be, c);
	if (!run_all())
		ok(false, "a get hangs");
	err = c->op.err;
	call_free(c);
	return (err);
}

static unsigned
count_err(struct call **c, unsigned n, enum err err)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		found += c[i]->op.err == err;
	return (found);
}

/* n gets at one time, waited for. */
static void
gets_at_once(struct backend *be, struct call **c, unsigned n, uint64_t timeout)
{
	for (unsigned i = 0; i < n; i++) {
		c[i] = get_new("k");
		c[i]->op.timeout = timeout;
		call_submit(be, c[i]);
	}
	if (!run_all())
		ok(false, "gets hang");
}

static void
free_all(struct call **c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		call_free(c[i]);
}

/* ---- */

static unsigned awaited;

/* The server may note what it got after the op's time is over. */
static bool
has_noted(void *arg)
{
	(void)arg;
	return (count_noted("mg") >= awaited);
}

static void
trials(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c[5];
	unsigned asked;

	noting_start(&f, &p, MUTE);
	be = place_open(&p);
	ok(get_within(be, 10000) == ERR_TIMEOUT && get_within(be, 10000) == ERR_TIMEOUT && ops->healthy(be),
	    "trial: two failures in a row are not enough");
	ok(get_within(be, 10000) == ERR_TIMEOUT && !ops->healthy(be) && state_is(be, BE_DOWN), "trial: three are");
	is_u(get_within(be, 10000), ERR_DOWN, "trial: nothing goes out then");
	for (unsigned round = 0; round < 3; round++) {
		ok(run_until(is_on_trial, be), "trial: a probe is answered");
		ok(ops->healthy(be), "trial: one may go");
		asked = count_noted("mg");
		gets_at_once(be, c, 5, 10000);
		ok(count_err(c, 5, ERR_TIMEOUT) == 1 && count_err(c, 5, ERR_DOWN) == 4, "trial: one goes, four do not");
		awaited = asked + 1;
		(void)run_until(has_noted, NULL);
		is_u(count_noted("mg") - asked, 1, "trial: the server sees one");
		ok(state_is(be, BE_DOWN) && !ops->healthy(be), "trial: it is not answered: down again");
		free_all(c, 5);
	}
	f.phase = TALKING;
	ok(run_until(is_on_trial, be), "trial: once more");
	gets_at_once(be, c, 5, 0);
	ok(c[0]->op.err == ERR_NONE && count_err(c, 5, ERR_DOWN) == 4 && state_is(be, BE_UP), "trial: up by one answer");
	is_u(get_within(be, 0), ERR_NONE, "trial: and all is well");
	free_all(c, 5);
	ops->close(&be);
	fake_stop(&f);
}

/* Cancelled before it could go: the next one is on trial. */
static void
trial_without_verdict(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c;

	noting_start(&f, &p, MUTE);
	p.store.failures = 1;
	be = place_open(&p);
	is_u(get_within(be, 10000), ERR_TIMEOUT, "cancelled: down");
	run_until(is_on_trial, be);
	f.phase = TALKING;
	c = get_new("k");
	call_submit(be, c);
	ops->cancel(be, &c->op);
	ok(run_all() && c->op.err == ERR_CANCELLED, "cancelled: the trial's request is not waited for");
	ok(run_until(is_up, be), "cancelled: but its answer counts");
	call_free(c);
	ops->close(&be);
	fake_stop(&f);
}

/* What was cancelled included. */
static bool
none_in_flight(void *arg)
{
	return (((struct mc *)arg)->conns[0].n == 0);
}

static void
late_answers(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c[3], *patient;

	noting_start(&f, &p, HOLDING);
	p.store.timeout = 5000000;
	be = place_open(&p);
	for (unsigned i = 0; i < 2; i++) {
		is_u(get_within(be, 10000), ERR_TIMEOUT, "late: a get fails");
		f.phase = TALKING;
		/* The late answer has come when one behind it has. */
		run_until(none_in_flight, mc_of(be));
		f.phase = HOLDING;
	}
	is_u(mc_of(be)->health.failures, 2, "late: an answer that comes too late makes nothing good");
	c[0] = get_new("k");
	c[0]->op.timeout = 10000;
	c[0]->op.rest = true;
	call_submit(be, c[0]);
	ok(run_all() && c[0]->op.err == ERR_TIMEOUT, "late: one that had less time fails");
	is_u(mc_of(be)->health.failures, 2, "late: which is not the server's fault");
	call_free(c[0]);
	f.phase = TALKING;
	is_u(get_within(be, 0), ERR_NONE, "late: one in time does");
	is_u(mc_of(be)->health.failures, 0, "late: all is forgotten");

	f.phase = HOLDING;
	for (unsigned i = 0; i < 3; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
		ops->cancel(be, &c[i]->op);
	}
	ok(run_all() && count_err(c, 3, ERR_CANCELLED) == 3, "late: three are cancelled");
	f.phase = TALKING;
	run_until(none_in_flight, mc_of(be));
	ok(ops->healthy(be) && mc_of(be)->health.failures == 0, "late: their answers are no failures");
	free_all(c, 3);

	f.phase = HOLDING;
	patient = get_new("k");
	call_submit(be, patient);
	for (unsigned i = 0; i < 3; i++) {
		c[i] = get_new("k");
		c[i]->op.timeout = 10000;
		call_submit(be, c[i]);
	}
	ok(run_until(is_down, be) && !patient->done, "late: down, with one still waiting");
	f.phase = TALKING;
	ok(run_all() && patient->op.err == ERR_NONE, "late: which is answered all the same");
	is_u(count_noted("version"), 1, "late: no probe while anything is in flight");
	ok(comes_up(be), "late: then up again");
	is_u(f.accepted, 2, "late: over a new connection");
	free_all(c, 3);
	call_free(patient);
	ops->close(&be);
	fake_stop(&f);
}

static void
silence(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c[3];

	noting_start(&f, &p, MUTE);
	be = place_open(&p);
	run_until(is_up, be);
	for (unsigned i = 0; i < 3; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
		ops->cancel(be, &c[i]->op);
	}
	ok(run_all() && run_until(is_down, be), "silence: cancelled requests that are never answered are failures");
	free_all(c, 3);
	ops->close(&be);
	fake_stop(&f);

	noting_start(&f, &p, MUTE);
	p.store.failures = 4;
	be = place_open(&p);
	gets_at_once(be, c, 3, 0);
	ok(count_err(c, 3, ERR_TIMEOUT) == 3 && ops->healthy(be), "silence: each request counts once");
	is_u(mc_of(be)->health.failures, 3, "silence: three are three");
	free_all(c, 3);
	f.phase = TALKING;
	is_u(get_within(be, 0), ERR_NONE, "silence: a new connection is there at once");
	ops->close(&be);
	fake_stop(&f);

	noting_start(&f, &p, MUTE);
	be = place_open(&p);
	gets_at_once(be, c, 2, 10000);
	ok(run_until(may_be_tried, be), "silence: those with a deadline");
	run_until(none_in_flight, mc_of(be));
	is_u(mc_of(be)->health.failures, 2, "silence: are not counted again when the connection is given up");
	free_all(c, 2);
	ops->close(&be);
	fake_stop(&f);
}

/* Reads one request on each connection, and closes it. */
static void
hanging_up_script(struct fake *f, int fd, unsigned nth)
{
	char line[300];

	(void)nth;
	if (fake_line(f, fd, line, sizeof line))
		f->seen++;
}

static void
repeats(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct mc *mc;
	unsigned granted = 0, asked = 0;

	fake_start(&f, hanging_up_script, META_VERSION);
	place_init(&p, f.port);
	p.store.failures = UINT32_MAX;
	p.store.retry_min = p.store.retry_max = 1;
	be = place_open(&p);
	mc = mc_of(be);
	for (unsigned i = 0; i < 300; i++) {
		enum err err = get_within(be, 0);

		asked += err != ERR_DOWN;
	}
	ok(f.seen <= asked + REPLAY_MOST + asked / REPLAY_EVERY + 1,
	    "repeats: %u gets, and a server that hangs up sees %u", asked, f.seen);
	ok(f.seen > asked + 10, "repeats: some are asked a second time");
	mc->replay_credit = 0;
	mc->replay_mark = 0;
	for (unsigned i = 0; i < 10000; i++) {
		atomic_store(&be->stats.requests, 100 * i);
		granted += mc_replay_granted(mc, 30);
	}
	is_u(granted / 10, 10000 * 100 / REPLAY_EVERY / 30 / 10, "repeats: a twentieth in the long run");
	atomic_store(&be->stats.requests, UINT32_MAX);
	ok(!mc_replay_granted(mc, REPLAY_MOST + 1) && mc_replay_granted(mc, REPLAY_MOST) && !mc_replay_granted(mc, 1),
	    "repeats: never more at a time");
	ops->close(&be);
	fake_stop(&f);
}

/* ---- deadlines ---- */

static bool
one_outstanding(void *arg)
{
	(void)arg;
	return (outstanding <= 1);
}

static void
many_deadlines(bool mixed)
{
	enum { N = 3000 };
	static struct call *c[N];
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *patient = get_new("k");
	unsigned early = 0, timed_out = 0, order = 0;
	const char *how = mixed ? "mixed" : "equal";

	fake_start(&f, silent_script, META_VERSION);
	place_init(&p, f.port);
	p.store.failures = UINT32_MAX;
	be = place_open(&p);
	run_until(is_up, be);
	call_submit(be, patient);
	for (unsigned i = 0; i < N; i++) {
		c[i] = get_new("k");
		c[i]->op.timeout = mixed ? 1000 + i * 7919 % 50000 : 30000;
		call_submit(be, c[i]);
		if (i % 3 == 2)
			ops->cancel(be, &c[i - 1]->op);
	}
	ok(run_until(is_up, be), "%s deadlines: up", how);
	run_until(one_outstanding, NULL);
	for (unsigned i = 0; i < N; i++) {
		timed_out += c[i]->op.err == ERR_TIMEOUT;
		early += c[i]->op.err == ERR_TIMEOUT && loop_now(loop) < c[i]->op.sent_at + c[i]->op.timeout;
		if (i > 0 && !mixed && i % 3 == 0)
			order += c[i]->order < c[i - 1]->order;
	}
	is_u(timed_out, N - N / 3, "%s deadlines: all that were not cancelled time out", how);
	is_u(early + order, 0, "%s deadlines: none too early, in order", how);
	ok(!patient->done && !mc_of(be)->conns[0].own_any, "%s deadlines: one without any still waits", how);
	outstanding++;
	ops->close(&be);
	outstanding--;
	is_u(patient->op.err, ERR_CANCELLED, "%s deadlines: until the end", how);
	call_free(patient);
	free_all(c, N);
	fake_stop(&f);
}

/* ---- several connections ---- */

static bool
all_ready(void *arg)
{
	struct mc *mc = arg;

	for (unsigned i = 0; i < mc->nconns; i++)
		if (mc->conns[i].state != MC_READY)
			return (false);
	return (true);
}

static bool
is_late(void *arg)
{
	const struct call *c = arg;

	return (loop_now(loop) >= c->op.sent_at + 3000);
}

static void
ways(void)
{
	struct place p;
	struct backend *be;
	struct call *c[5];
	uint16_t port = 0;
	bool used[3] = { false };
	pid_t pid;

	close(listen_on(&port));
	place_init(&p, port);
	p.store.connections = 3;
	pid = memcached_start(port);
	be = place_open(&p);
	ok(comes_up(be) && run_until(all_ready, mc_of(be)), "ways: up, with all connections");
	for (unsigned i = 0; i < 5; i++) {
		c[i] = get_new("k");
		c[i]->op.way = (uint8_t)i;
		if (i == 0)
			is_u(ops->ways(be, &c[i]->op), 3, "ways: one for each connection");
		call_submit(be, c[i]);
		if (i < 3)
			used[c[i]->op.conn] = true;
	}
	ok(used[0] && used[1] && used[2], "ways: each goes its own");
	ok(c[3]->op.conn == c[0]->op.conn, "ways: one that is not there is the usual one");
	ok(ops->late(be, &c[1]->op) == 0, "ways: none is late");
	ok(run_all() && count_err(c, 5, ERR_NONE) == 5, "ways: all are answered");
	memcached_freeze(pid);
	free_all(c, 5);
	c[0] = get_new("k");
	call_submit(be, c[0]);
	run_until(is_late, c[0]);
	c[1] = get_new("k");
	ok(ops->late(be, &c[1]->op) >= 1000, "ways: the one with a request on it is late");
	c[1]->op.way = 1;
	is_u(ops->late(be, &c[1]->op), 0, "ways: the other one is not");
	kill(pid, SIGCONT);
	ok(run_all() && c[0]->op.err == ERR_NONE, "ways: it is answered in the end");
	call_free(c[0]);
	call_free(c[1]);
	ops->close(&be);
	memcached_kill(pid);
}

/* ---- flush_on_return ---- */

static bool
is_down_unflushed(void *arg)
{
	return (is_down(arg) && strstr(mc_of(arg)->why, "flush_all failed") != NULL);
}

static void
flushed_first(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c;

	noting_start(&f, &p, TALKING);
	p.store.flush_on_return = true;
	p.store.failures = 1;
	be = place_open(&p);
	is_u(get_within(be, 0), ERR_NONE, "flush: all is well at first");
	is_u(count_noted("flush_all"), 0, "flush: the first connection flushes nothing");
	f.phase = MUTE;
	is_u(get_within(be, 10000), ERR_TIMEOUT, "flush: an outage");
	ok(is_down(be), "flush: down");
	f.phase = TALKING;
	ok(comes_up(be), "flush: up again");
	ok(strcmp(noted.line[noted.n - 3], "version") == 0 && strcmp(noted.line[noted.n - 2], "flush_all") == 0 &&
	    strncmp(noted.line[noted.n - 1], "mg", 2) == 0, "flush: `version`, `flush_all`, then the request on trial");
	is_u(count_noted("flush_all"), 1, "flush: once");

	f.phase = MUTE;
	(void)get_within(be, 10000);
	f.phase = NO_FLUSH;
	ok(run_until(is_down_unflushed, be), "flush: refused");
	c = get_once(be, "k");
	ok(c->op.err == ERR_DOWN && strstr(c->why, "flush_all failed: it says CLIENT_ERROR flush_all not allowed") != NULL,
	    "flush: so it stays down: %s", c->why);
	call_free(c);
	f.phase = TALKING;
	ok(comes_up(be), "flush: until it may");

	/* Nobody asks for anything: the others must not wait for ever. */
	f.phase = MUTE;
	(void)get_within(be, 10000);
	f.phase = TALKING;
	ok(run_until(is_up, be), "flush: up without a trial after a while");
	ok(!outage_owed(mc_of(be)->outage), "flush: and nothing is owed");
	ops->close(&be);
	fake_stop(&f);
}

/* As a client of its own would. */
static void
ask(uint16_t port, const char *text, char *answer, size_t size)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = 0;
	ssize_t got;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) == 0) {
		fake_say(fd, text);
		shutdown(fd, SHUT_WR);
		while (n < size - 1 && (got = read(fd, answer + n, size - 1 - n)) > 0)
			n += (size_t)got;
	}
	answer[n] = '\0';
	close(fd);
}

static bool
listens(void *arg)
{
	char answer[100];

	ask(*(uint16_t *)arg, "version\r\nquit\r\n", answer, sizeof answer);
	return (answer[0] != '\0');
}

/* Two workers on one server: one sees an outage, the other does not. */
static void
other_workers(void)
{
	struct place p;
	struct backend *one, *two;
	struct call *c;
	char answer[8192];
	uint16_t port = 0;
	pid_t pid;

	close(listen_on(&port));
	place_init(&p, port);
	p.store.timeout = 100000;
	p.store.flush_on_return = true;
	p.store.failures = 1;
	pid = memcached_start(port);
	run_until(listens, &port);
	one = place_open(&p);
	two = place_open(&p);
	ok(mc_of(one)->outage == mc_of(two)->outage, "workers: share a note");
	ok(comes_up(one) && comes_up(two), "workers: both are up");
	c = set_new("k", 10);
	call_submit(one, c);
	ok(run_all() && c->op.err == ERR_NONE, "workers: a key is there");
	call_free(c);
	is_u(get_within(one, 0), ERR_NONE, "workers: for the one");
	is_u(get_within(two, 0), ERR_NONE, "workers: for the other");
	memcached_freeze(pid);
	c = call_new(OP_DELETE, "k");
	c->op.timeout = 10000;
	call_submit(one, c);
	ok(run_all() && c->op.err == ERR_TIMEOUT && is_down(one), "workers: one cannot delete it: down");
	call_free(c);
	ok(!ops->healthy(two) && state_is(two, BE_UP), "workers: the other waits for it");
	kill(pid, SIGCONT);
	c = get_once(two, "k");
	ok(c->op.err == ERR_DOWN && strstr(c->why, "has still to be flushed") != NULL,
	    "workers: it does not read what is there: %s", c->why);
	call_free(c);
	ok(run_until(is_on_trial, one) && !ops->healthy(two), "workers: nor while the one is on trial");
	c = get_once(one, "k");
	ok(c->op.err == ERR_NONE && c->op.res.status == OP_MISS && is_up(one), "workers: the key has gone");
	call_free(c);
	ok(ops->healthy(one) && ops->healthy(two), "workers: both may use it");
	c = get_once(two, "k");
	ok(c->op.err == ERR_NONE && c->op.res.status == OP_MISS, "workers: for the other, too");
	call_free(c);
	ask(port, "stats\r\nquit\r\n", answer, sizeof answer);
	ok(strstr(answer, "STAT cmd_flush 1\r\n") != NULL, "workers: it was flushed once");

	/* Both owe: whoever is last has the trial. */
	memcached_kill(pid);
	ok(run_until(is_down, one) && run_until(is_down, two), "workers: the server is killed");
	is_u(outage_owed(mc_of(one)->outage), 2, "workers: both owe a flush");
	pid = memcached_start(port);
	ok(run_until(is_up, one) && run_until(is_up, two), "workers: both come back, without requests");
	is_u(outage_owed(mc_of(one)->outage), 0, "workers: nothing is owed any more");
	memcached_freeze(pid);
	(void)get_within(one, 10000);
	ok(!ops->healthy(two), "workers: one more outage");
	ops->close(&one);
	ok(ops->healthy(two), "workers: who is closed owes nothing");
	ops->close(&two);
	memcached_kill(pid);
	ok(LIST_EMPTY(&outages), "workers: nothing is left of the note");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	trials();
	trial_without_verdict();
	late_answers();
	silence();
	repeats();
	many_deadlines(false);
	many_deadlines(true);
	ways();
	flushed_first();
	other_workers();
	ok(*loop_slot(loop, LOOP_SLOT_BACKEND) == NULL, "nothing is left on the loop");
	loop_free(&loop);
	return (done_testing());
}
