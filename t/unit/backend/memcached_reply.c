/* Unit tests of src/backend/memcached_reply.c: answers that are wrong, cut, not asked for. */
#include "backend/memcached_reply.c"
#include "servers.h"

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

static void
banner_script(struct fake *f, int fd, unsigned nth)
{
	(void)nth;
	fake_say(fd, "SSH-2.0-OpenSSH_9.2p1\r\n");
	fake_hang(f, fd);
}

static void
no_memcached_at_all(void)
{
	struct fake f;
	struct place p;
	struct backend *be;
	struct call *c;

	fake_start(&f, banner_script, NULL);
	place_init(&p, f.port);
	be = place_open(&p);
	c = get_once(be, "k");
	is_u(c->op.err, ERR_CONNECT, "ssh: is no memcached");
	call_free(c);
	ops->close(&be);
	fake_stop(&f);
}

/* ---- answers with something wrong somewhere ---- */

#define MUTANT_BATCH	12

static uint32_t
chance(struct fake *f, uint32_t n)
{
	f->seen = f->seen * 1664525u + 1013904223u;
	return ((f->seen >> 8) % n);
}

static size_t
mutate(struct fake *f, char *buf, size_t len)
{
	size_t at = chance(f, (uint32_t)len), n = 1 + chance(f, 20);

	if (n > len - at)
		n = len - at;
	switch (chance(f, 5)) {
	case 0:				/* something is missing */
		memmove(buf + at, buf + at + n, len - at - n);
		return (len - n);
	case 1:				/* comes twice */
		memmove(buf + at + n, buf + at, len - at);
		return (len + n);
	case 2:
		buf[at] = "\r\n 0O9V\0-"[chance(f, 9)];
		return (len);
	case 3:
		buf[at] ^= (char)(1u << chance(f, 8));
		return (len);
	default:			/* ends too soon */
		return (at);
	}
}

static void
mutant_script(struct fake *f, int fd, unsigned nth)
{
	static char out[200000];
	char line[300];
	size_t len = 0, off = 0;

	(void)nth;
	for (unsigned i = 0; i < MUTANT_BATCH; i++) {
		size_t n = i == 5 ? 40000 : i * 100;

		if (!fake_line(f, fd, line, sizeof line))
			return;
		len += (size_t)snprintf(out + len, 100, "VA %zu f0 %s\r\n", n,
		    opaque_of(line));
		memset(out + len, 'a' + (int)i, n);
		memcpy(out + len + n, "\r\n", 2);
		len += n + 2;
	}
	len = mutate(f, out, len);
	while (off < len) {
		size_t n = 1 + chance(f, chance(f, 2) == 0 ? 50 : 30000);

		if (n > len - off)
			n = len - off;
		if (send(fd, out + off, n, MSG_NOSIGNAL) < 0)
			return;
		off += n;
	}
	shutdown(fd, SHUT_WR);
	fake_hang(f, fd);
}

/* Whatever comes, each op ends once and nobody gets a value that begins as another's does. */
static void
mutants(void)
{
	enum { ROUNDS = 300 };
	struct fake f;
	struct place p;
	struct backend *be;
	unsigned ended = 0, failed = 0, wrong = 0;

	fake_start(&f, mutant_script, META_VERSION);
	place_init(&p, f.port);
	/* Never down, or there would be no batches. */
	p.store.retry_min = p.store.retry_max = 1;
	p.store.failures = UINT32_MAX;
	be = place_open(&p);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct call *c[MUTANT_BATCH];

		run_until(is_up, be);
		for (unsigned k = 0; k < MUTANT_BATCH; k++) {
			c[k] = get_new("key");
			/* Writes are not asked a second time. */
			c[k]->op.op.opts = OPF_TTL;
			call_submit(be, c[k]);
		}
		ended += run_all();
		for (unsigned k = 0; k < MUTANT_BATCH; k++) {
			failed += c[k]->op.err != ERR_NONE;
			/* A byte in a value may be another, but not where it begins and ends. */
			if (c[k]->op.err == ERR_NONE && c[k]->value_len > 1 &&
			    c[k]->value[0] != (char)('a' + k) &&
			    c[k]->value[c[k]->value_len - 1] != (char)('a' + k))
				wrong++;
			call_free(c[k]);
		}
	}
	is_u(ended, ROUNDS, "mutants: all gets end");
	is_u(wrong, 0, "mutants: nobody gets what is another's");
	ok(failed > ROUNDS && failed < ROUNDS * MUTANT_BATCH, "mutants: %u of %u fail",
	    failed, ROUNDS * MUTANT_BATCH);
	ops->close(&be);
	fake_stop(&f);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	misbehaving_servers();
	unasked_bytes();
	split_replies();
	no_memcached_at_all();
	mutants();
	ok(*loop_slot(loop, LOOP_SLOT_BACKEND) == NULL, "nothing is left on the loop");
	loop_free(&loop);
	return (done_testing());
}
