/* Unit tests of src/req/req.c: answers leave in the order of their questions, whatever ends first. */
#include "req/req.c"
#include "tap.h"

static struct ctx ctx;
static struct outq out;
static struct replyq q;
static unsigned advances;

static void
advanced(struct replyq *rq)
{
	(void)rq;
	advances++;
}

static const char *
sent(void)
{
	static char buf[65536];
	struct iovec iov[64];
	size_t n = 0;
	int niov = outq_iov(&out, iov, 64);

	for (int i = 0; i < niov; i++) {
		memcpy(buf + n, iov[i].iov_base, iov[i].iov_len);
		n += iov[i].iov_len;
	}
	buf[n] = '\0';
	return (buf);
}

static void
answer(struct req *r, const char *text)
{
	outq_append(req_out(r), text, strlen(text));
	req_done(r);
}

static void
now(const char *text)
{
	outq_append(replyq_out(&ctx, &q), text, strlen(text));
}

static void
setup(void)
{
	memset(&ctx, 0, sizeof ctx);
	ctx.outpool = outpool_new(1 << 20);
	SLIST_INIT(&ctx.free_reqs);
	outq_init(&out, ctx.outpool, false);
	replyq_init(&q, &out, advanced);
	advances = 0;
}

static void
teardown(void)
{
	struct req *r;

	outq_clear(&out);
	is_u(outpool_used(ctx.outpool), 0, "no output block is left behind");
	while ((r = SLIST_FIRST(&ctx.free_reqs)) != NULL) {
		SLIST_REMOVE_HEAD(&ctx.free_reqs, next_free);
		free(r);
	}
	outpool_free(&ctx.outpool);
}

static void
whatever_ends_first_waits_for_its_turn(void)
{
	struct req *a, *b, *c;

	setup();
	now("0 ");
	is_s(sent(), "0 ", "an answer with nothing before it leaves at once");
	a = req_new(&ctx, &q, NULL);
	now("1 ");
	now("2 ");
	b = req_new(&ctx, &q, NULL);
	c = req_new(&ctx, &q, NULL);
	now("3 ");
	is_u(q.nwaiting, 3, "three wait, what was ready is not counted");
	answer(c, "c ");
	answer(b, "b ");
	is_s(sent(), "0 ", "nothing overtakes the first");
	answer(a, "a ");
	is_s(sent(), "0 a 1 2 b c 3 ", "all in the order of the questions");
	is_u(q.nwaiting, 0, "nobody waits");
	is_u(advances, 3, "the owner was told each time");
	teardown();
}

static void
what_was_begun_out_of_turn_goes_first(void)
{
	struct req *a, *b;

	setup();
	a = req_new(&ctx, &q, NULL);
	b = req_new(&ctx, &q, NULL);
	outq_append(req_out(b), "b1 ", 3);
	req_park(b);
	is_u(replyq_parked(&q), 3, "what is not due yet is counted");
	answer(a, "a ");
	outq_append(req_out(b), "b2 ", 3);
	is_u(replyq_parked(&q), 0, "what is due is not");
	answer(b, "b3 ");
	is_s(sent(), "a b1 b2 b3 ", "an answer in pieces stays in order");
	is_u(replyq_parked(&q), 0, "nothing is parked");
	teardown();
}

static void
every_order_of_ends_gives_one_order_of_answers(void)
{
	static const unsigned perms[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 0, 3, 2 }, { 2, 3, 0, 1 },
	    { 1, 3, 0, 2 }, { 0, 2, 1, 3 } };
	unsigned bad = 0;

	for (size_t p = 0; p < sizeof perms / sizeof perms[0]; p++) {
		static const char *const text[] = { "a", "b", "c", "d" };
		struct req *r[4];

		setup();
		for (unsigned i = 0; i < 4; i++) {
			r[i] = req_new(&ctx, &q, NULL);
			now("-");
		}
		for (unsigned i = 0; i < 4; i++)
			answer(r[perms[p][i]], text[perms[p][i]]);
		bad += strcmp(sent(), "a-b-c-d-") != 0;
		teardown();
	}
	is_u(bad, 0, "one order of answers");
}

static void
held_answers_do_not_leave(void)
{
	struct req *a;

	setup();
	a = req_new(&ctx, &q, NULL);
	a->hold = true;
	outq_append(req_out(a), "a", 1);
	is_s(sent(), "", "what is held stays although it is its turn");
	req_done(a);
	is_s(sent(), "a", "until it is done");
	teardown();
}

static void
abandoned_requests_end_alone(void)
{
	struct req *a, *b;

	setup();
	a = req_new(&ctx, &q, NULL);
	now("x");
	b = req_new(&ctx, &q, NULL);
	outq_append(req_out(b), "b", 1);
	req_done(b);
	replyq_abandon(&q);
	ok(req_out(a) == NULL, "nobody takes the answer of one that is still out");
	req_done(a);
	is_s(sent(), "", "nothing is sent");
	is_u(q.nwaiting, 0, "nobody waits");
	teardown();
}

int
main(void)
{
	whatever_ends_first_waits_for_its_turn();
	what_was_begun_out_of_turn_goes_first();
	every_order_of_ends_gives_one_order_of_answers();
	held_answers_do_not_leave();
	abandoned_requests_end_alone();
	return (done_testing());
}
