/* Unit tests of src/backend/health.c. */
#include "backend/health.c"
#include "tap.h"

static void
failures_in_a_row(void)
{
	struct health h;
	bool trial = true;

	health_init(&h, 3, 1);
	ok(health_may(&h) && health_admit(&h, &trial) && !trial, "a server is up at first, and no request is a trial");
	ok(health_calm(&h), "and nothing is to be made good");
	ok(!health_bad(&h) && !health_bad(&h) && health_may(&h), "two failures are not enough");
	ok(!health_calm(&h), "but an answer makes a difference");
	ok(!health_good(&h) && health_calm(&h), "namely that");
	ok(!health_bad(&h) && !health_bad(&h), "two more are not enough after it");
	ok(health_bad(&h), "the third in a row takes it out");
	ok(!health_may(&h) && !health_admit(&h, &trial) && !trial, "nothing goes out then");
	ok(!health_bad(&h), "what fails after that is no news");
	ok(!health_good(&h) && h.state == HEALTH_DOWN, "an answer to what was sent before does not bring it back");
	health_init(&h, 0, 1);
	ok(health_bad(&h), "a limit of 0 is one of 1");
}

static void
gone(void)
{
	struct health h;

	health_init(&h, 100, 1);
	ok(health_gone(&h) && !health_may(&h), "a server that cannot be reached is down at once");
	ok(!health_gone(&h), "and that is no news the second time");
}

static void
one_request_first(void)
{
	struct health h;
	bool trial;

	health_init(&h, 2, 1);
	health_answered(&h);
	is_u(h.state, HEALTH_UP, "a greeting changes nothing where all is well");
	health_gone(&h);
	health_answered(&h);
	is_u(h.state, HEALTH_TRIAL, "after a probe it is on trial");
	ok(health_may(&h) && !h.trying, "one may go");
	ok(!health_good(&h) && h.state == HEALTH_TRIAL, "an answer to an older one is no verdict");
	ok(health_admit(&h, &trial) && trial, "one goes");
	ok(!health_may(&h) && !health_admit(&h, &trial) && !trial, "no other one");
	health_no_verdict(&h);
	ok(health_admit(&h, &trial) && trial, "after one without a verdict the next one goes");
	ok(health_good(&h) && h.state == HEALTH_UP, "it is answered: the server is up");
	ok(health_may(&h) && health_admit(&h, &trial) && !trial, "and all may go");
	ok(!health_bad(&h) && health_bad(&h), "as many failures as ever take it out again");
	health_answered(&h);
	ok(health_admit(&h, &trial) && health_bad(&h), "one failure ends a trial");
	health_answered(&h);
	ok(health_admit(&h, &trial) && health_gone(&h) && !h.trying, "so does a lost connection");
}

/* Least and most of many. */
static void
delays(struct health *h, unsigned failed, uint64_t *least, uint64_t *most)
{
	*least = UINT64_MAX;
	*most = 0;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t d = health_backoff(h, failed, 100000, 1000000);

		if (d < *least)
			*least = d;
		if (d > *most)
			*most = d;
	}
}

static void
pauses(void)
{
	static const uint64_t want[] = { 100000, 200000, 400000, 800000, 1000000, 1000000 };
	struct health h;
	uint64_t least, most;
	unsigned bad = 0;
	bool trial;

	health_init(&h, 1, 7);
	for (unsigned i = 0; i < NITEMS(want); i++) {
		delays(&h, i, &least, &most);
		ok(most <= want[i] && most > want[i] * 99 / 100 && least >= want[i] * 3 / 4 && least < want[i] * 76 / 100,
		    "after %u failures: from %llu to %llu", i, (unsigned long long)least, (unsigned long long)most);
	}
	health_gone(&h);
	for (unsigned i = 0; i < NITEMS(want); i++) {
		uint64_t d = health_delay(&h, 100000, 1000000);

		bad += d > want[i] || d < want[i] * 3 / 4;
		/* The greeting alone does not make it a good server. */
		health_answered(&h);
		health_admit(&h, &trial);
		health_bad(&h);
	}
	is_u(bad, 0, "probes come ever later, also when they are answered and the trial fails");
	health_answered(&h);
	health_admit(&h, &trial);
	health_good(&h);
	health_gone(&h);
	ok(health_delay(&h, 100000, 1000000) <= 100000, "after an answer the pauses are short again");
	ok(health_backoff(&h, 0, 0, 0) >= 750, "never without any pause");
	ok(health_backoff(&h, UINT32_MAX, 1000, 3600000000) <= 3600000000, "no number of failures overflows");
}

int
main(void)
{
	failures_in_a_row();
	gone();
	one_request_first();
	pauses();
	return (done_testing());
}
