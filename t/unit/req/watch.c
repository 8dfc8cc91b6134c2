/* Unit tests of src/req/watch.c. */
#include "req/watch.c"
#include "tap.h"

/* A client with nothing behind it but a loop and memory for its output. */
struct fake {
	struct client	 cl;
	struct ctx	 ctx;
	struct shared	 sh;
	struct loop	*loop;
};

static unsigned nadvanced;

static void
advanced(struct replyq *q)
{
	(void)q;
	nadvanced++;
}

static void
fake_open(struct fake *f)
{
	memset(f, 0, sizeof *f);
	f->loop = loop_new();
	f->sh.watch = watch_new();
	f->ctx.shared = &f->sh;
	f->ctx.loop = f->loop;
	f->ctx.outpool = outpool_new(1 << 20);
	f->cl.ctx = &f->ctx;
	outq_init(&f->cl.out, f->ctx.outpool, false);
	replyq_init(&f->cl.q, &f->cl.out, advanced);
	nadvanced = 0;
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* Delivers the messages that are out. */
static void
turn(struct fake *f)
{
	loop_post(f->loop, stop, f->loop);
	loop_run(f->loop);
}

static void
fake_close(struct fake *f)
{
	if (f->cl.produce != NULL)
		(void)f->cl.produce(NULL, f->cl.produce_state);
	turn(f);
	outq_clear(&f->cl.out);
	outpool_free(&f->ctx.outpool);
	watch_free(&f->sh.watch);
	loop_free(&f->loop);
}

/* All of the output as a string. */
static size_t
text(struct fake *f, char *buf, size_t size)
{
	struct iovec iov[64];
	size_t n = 0;
	int k;

	while ((k = outq_iov(&f->cl.out, iov, 64)) > 0) {
		size_t got = 0;

		for (int i = 0; i < k; i++) {
			MUST(n + iov[i].iov_len < size);
			memcpy(buf + n, iov[i].iov_base, iov[i].iov_len);
			n += iov[i].iov_len;
			got += iov[i].iov_len;
		}
		outq_consume(&f->cl.out, got);
	}
	buf[n] = '\0';
	return (n);
}

static char big[2 * WATCH_BUF];

static void
lines_come_to_who_asked_for_them(void)
{
	struct fake f;

	fake_open(&f);
	is_u(f.sh.observe, 0, "nobody watches at first");
	ok(watch_add(&f.cl, OBSERVE_FETCHERS) == NULL, "a watcher is taken");
	is_u(f.sh.observe, OBSERVE_FETCHERS, "what is watched can be seen in one word");
	ok(f.cl.watching && f.cl.produce != NULL, "its client takes no more commands");
	watch_line(&f.sh, OBSERVE_FETCHERS, "type=item_get key=%s", "a");
	watch_line(&f.sh, OBSERVE_MUTATIONS, "type=item_store key=b");
	turn(&f);
	is_u(nadvanced, 1, "the client's loop hears of it");
	ok(f.cl.produce(&f.cl, f.cl.produce_state), "and goes on watching");
	text(&f, big, sizeof big);
	ok(strncmp(big, "ts=", 3) == 0 && strstr(big, " gid=1 type=item_get key=a\n") != NULL &&
	    strstr(big, "key=b") == NULL, "one line, of the kind asked for");
	watch_set_detail(&f.sh, true);
	is_u(f.sh.observe, OBSERVE_FETCHERS | OBSERVE_DETAIL, "prefix counters beside it");
	(void)f.cl.produce(NULL, f.cl.produce_state);
	f.cl.produce = NULL;
	is_u(f.sh.observe, OBSERVE_DETAIL, "stay when it leaves");
	fake_close(&f);
}

static void
a_slow_watcher_loses_lines(void)
{
	struct watch_stats st;
	struct fake f;
	unsigned lines = 0;
	char want[32];

	fake_open(&f);
	(void)watch_add(&f.cl, OBSERVE_FETCHERS);
	for (unsigned i = 0; i < 5000; i++)
		watch_line(&f.sh, OBSERVE_FETCHERS, "%0100u", i);
	turn(&f);
	is_u(nadvanced, 1, "one message, however many lines");
	for (unsigned i = 0; i < 5000; i++)
		watch_line(&f.sh, OBSERVE_FETCHERS, "%0100u", i);
	turn(&f);
	is_u(nadvanced, 1, "and none while it has not looked");
	watch_get_stats(&f.sh, &st);
	is_u(st.sent + st.skipped, 10000, "each line was kept or counted as lost");
	ok(st.skipped > 0, "some were lost");
	(void)f.cl.produce(&f.cl, f.cl.produce_state);
	ok(text(&f, big, sizeof big) <= WATCH_BUF + 64, "memory is bounded");
	for (const char *p = big; *p != '\0'; p++)
		lines += *p == '\n';
	is_u(lines, st.sent + 1, "the lines that were kept, and one more");
	snprintf(want, sizeof want, "skipped=%ju\n", (uintmax_t)st.skipped);
	ok(strlen(big) > strlen(want) && strcmp(big + strlen(big) - strlen(want), want) == 0, "which says how many are missing");
	watch_line(&f.sh, OBSERVE_FETCHERS, "again");
	turn(&f);
	is_u(nadvanced, 2, "then it is told again");
	/* It leaves while a message is out. */
	(void)f.cl.produce(&f.cl, f.cl.produce_state);
	watch_line(&f.sh, OBSERVE_FETCHERS, "late");
	fake_close(&f);
	is_u(nadvanced, 2, "a message that comes too late does nothing");
}

static void
not_everybody_may_watch(void)
{
	struct fake f;
	struct client *many = calloc(WATCHERS_MAX + 1, sizeof *many);
	const char *why = NULL;

	fake_open(&f);
	outq_append(&f.cl.out, "x", 1);
	why = watch_add(&f.cl, OBSERVE_FETCHERS);
	ok(why != NULL && strncmp(why, "ERROR ", 6) == 0, "not behind answers that are not sent yet");
	ok(f.cl.produce == NULL && f.sh.observe == 0, "nothing has changed then");
	for (unsigned i = 0; i <= WATCHERS_MAX; i++) {
		many[i].ctx = &f.ctx;
		outq_init(&many[i].out, f.ctx.outpool, false);
		replyq_init(&many[i].q, &many[i].out, advanced);
		why = watch_add(&many[i], OBSERVE_FETCHERS);
		if ((why == NULL) != (i < WATCHERS_MAX))
			break;
	}
	ok(why != NULL && strncmp(why, "WATCHER_TOO_MANY ", 17) == 0, "%u and no more", (unsigned)WATCHERS_MAX);
	for (unsigned i = 0; i < WATCHERS_MAX; i++)
		(void)many[i].produce(NULL, many[i].produce_state);
	is_u(f.sh.observe, 0, "all gone");
	fake_close(&f);
	free(many);
}

static void
keys_are_encoded(void)
{
	char key[WATCH_KEY_MAX];
	char worst[OP_KEY_MAX];

	watch_key(key, SLICE_LIT("aZ09-._~"));
	is_s(key, "aZ09-._~", "what needs no encoding");
	watch_key(key, SLICE_LIT("a b:c%\xff\n"));
	is_s(key, "a%20b%3Ac%25%FF%0A", "what does");
	watch_key(key, SLICE_NULL);
	is_s(key, "", "nothing");
	memset(worst, 0x7f, sizeof worst);
	watch_key(key, slice_of(worst, sizeof worst));
	is_u(strlen(key), 3 * OP_KEY_MAX, "the longest there can be");
}

int
main(void)
{
	lines_come_to_who_asked_for_them();
	a_slow_watcher_loses_lines();
	not_everybody_may_watch();
	keys_are_encoded();
	return (done_testing());
}
