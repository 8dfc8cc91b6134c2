/* Unit tests of src/req/record_read.c: pages of a store in memory, cut and continued in every way. */
#include "req/record_read.c"
#include "tap.h"
#include "records.h"

static void
fill(unsigned store, const char *id, unsigned n, size_t size)
{
	char key[16], value[4096];

	memset(value, 'v', sizeof value);
	value[size] = '\0';
	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof key, "k%04u", i);
		put(store, id, key, value);
	}
}

/* The token of an answer, with " N" before it; empty if there is none. */
static const char *
token_of(const char *text)
{
	static char token[PAGE_TOKEN_MAX + 4];
	const char *en = strstr(text, "EN N");

	token[0] = '\0';
	if (en != NULL)
		snprintf(token, sizeof token, " %.*s", (int)strcspn(en + 3, " \r"), en + 3);
	return (token);
}

/* The same, kept: dst has room for PAGE_TOKEN_MAX + 4 bytes. */
static void
keep_token(char *dst, const char *text)
{
	snprintf(dst, PAGE_TOKEN_MAX + 4, "%s", token_of(text));
}

/* The reason of an answer's end; empty if there is none. */
static const char *
reason_of(const char *text)
{
	static char reason[16];
	const char *en = strstr(text, "EN"), *w = en != NULL ? strstr(en, " W") : NULL;

	snprintf(reason, sizeof reason, "%.*s", w != NULL ? (int)strcspn(w + 2, " \r") : 0, w != NULL ? w + 2 : "");
	return (reason);
}

/* An answer, kept. */
static void
keep(char *dst, size_t size, const char *text)
{
	snprintf(dst, size, "%s", text);
}

struct walk {
	unsigned	 pages, items;
	size_t		 longest;	/* bytes of a page's items */
	bool		 ascends, descends;
	char		 reasons[256];
};

/* Asks until there is no token; the items' keys are told by `k`. */
static void
walk(const char *question, struct walk *w)
{
	char line[PAGE_TOKEN_MAX + 512], token[PAGE_TOKEN_MAX + 4] = "", last[300] = "";

	memset(w, 0, sizeof *w);
	w->ascends = w->descends = true;
	do {
		const char *text, *p;

		snprintf(line, sizeof line, "%s%s\r\n", question, token);
		text = ask(line);
		w->pages++;
		if (strstr(text, "EN") != NULL && (size_t)(strstr(text, "EN") - text) > w->longest)
			w->longest = (size_t)(strstr(text, "EN") - text);
		for (p = text; (p = strstr(p, " k")) != NULL;) {
			char key[300];

			snprintf(key, sizeof key, "%.*s", (int)strcspn(p + 2, " \r"), p + 2);
			if (w->items++ > 0) {
				w->ascends &= strcmp(last, key) < 0;
				w->descends &= strcmp(last, key) > 0;
			}
			snprintf(last, sizeof last, "%s", key);
			p += 2;
		}
		snprintf(w->reasons + strlen(w->reasons), sizeof w->reasons - strlen(w->reasons), "%s ", reason_of(text));
		keep_token(token, text);
	} while (token[0] != '\0' && w->pages < 20000);
}

static void
predicates(void)
{
	kit_open();
	put(0, "n:1", "", "e");
	put(0, "n:1", "a", "1");
	put(0, "n:1", "ab", "2");
	put(0, "n:1", "b", "3");
	put(0, "n:1", "c", "4")->dead = true;
	put(0, "n:2", "a", "x");
	is_s(ask("kg n:1\r\n"), "VA 1 k\r\ne\r\nVA 1 ka\r\n1\r\nVA 1 kab\r\n2\r\nVA 1 kb\r\n3\r\nEN\r\n", "a record");
	is_s(ask("kg n:3\r\n"), "EN\r\n", "a record that is not there");
	is_s(ask("kg n:1 Ga Ub k\r\n"), "HD ka\r\nHD kab\r\nEN\r\n", "from, until");
	is_s(ask("kg n:1 Ha Gaa k\r\n"), "HD kab\r\nEN\r\n", "a head, from");
	is_s(ask("kg n:1 Ga Ua k\r\n"), "EN\r\n", "nothing from a to a");
	is_s(ask("kg n:1 r k\r\n"), "HD kb\r\nHD kab\r\nHD ka\r\nHD k\r\nEN\r\n", "backwards");
	is_s(ask("kg n:1 Kb Kx Ka Kb Kc K k v\r\n"),
	    "VA 1 kb\r\n3\r\nVA 1 ka\r\n1\r\nVA 1 kb\r\n3\r\nVA 1 k\r\ne\r\nEN\r\n",
	    "a list, in its order, what is not there left out");
	is_s(ask("kg n:1 Ka s t c f v O12\r\n"), "VA 1 s1 t-1 c7 f0 O12\r\n1\r\nEN O12\r\n", "what is told of an item");
	is_s(ask("kg n:3 q\r\n"), "", "q hides an end without anything");
	is_s(ask("kg n:1 Ka k q\r\n"), "HD ka\r\nEN\r\n", "but no other");
	put(0, "x", "", "flat");
	is_s(ask("kg x\r\n"), "VA 4 k\r\nflat\r\nEN\r\n", "a flat namespace has records of one item");
	is_s(ask("kg n:2 Ln/ k\r\n"), "HD ka\r\nEN\r\n", "a namespace by name");
	kit_close();
}

static void
errors(void)
{
	kit_open();
	is_s(ask("kg n:1/a\r\n"), "CLIENT_ERROR separator in id\r\n", "a separator in the id");
	is_s(ask("kg n:1 Lx/\r\n"), "CLIENT_ERROR unknown namespace\r\n", "an unknown namespace");
	is_s(ask("ks x\r\n"), "CLIENT_ERROR unknown namespace\r\n", "to scan, too");
	is_s(ask("kg raw:1\r\n"), "CLIENT_ERROR namespace raw has plain values in store old, no records\r\n",
	    "a store without records");
	is_s(ask("kg bare:1\r\n"), "CLIENT_ERROR namespace bare has no store for records\r\n", "no store");
	is_s(ask("kg n:1 N\r\n"), "CLIENT_ERROR bad page token\r\n", "an empty token");
	is_s(ask("kg n:1 Nabcd\r\n"), "CLIENT_ERROR bad page token\r\n", "no token");
	mem.fail_at = mem.fail_n = 1;
	mem.err = ERR_RESET;
	is_s(ask("kg n:1\r\n"), "SERVER_ERROR mem:1 failed\r\n", "a store that fails");
	is_s(ask("kg n:1\r\n"), "EN\r\n", "the next one is unharmed");
	kit_close();
}

static void
bytes_bound_a_page(void)
{
	struct walk w;

	kit_open();
	fill(0, "n:1", 1000, 100);
	/* "VA 100 kk0000\r\n" and 100 bytes and their end: 117 */
	walk("kg n:1 k v B1170", &w);
	is_u(w.items, 1000, "all of them");
	is_u(w.pages, 100, "in pages of ten");
	is_u(w.longest, 1170, "that are full to the last byte");
	ok(w.ascends, "in order");
	walk("kg n:1 k v B1286 r", &w);
	ok(w.items == 1000 && w.longest == 1170 && w.descends, "one byte less than eleven: ten, backwards too");
	walk("kg n:1 k v B1", &w);
	ok(w.items == 1000 && w.pages == 1000, "what is larger than a page goes alone");
	mem.items = 3;
	walk("kg n:1 k v B1170", &w);
	ok(w.items == 1000 && w.pages == 100 && w.longest == 1170, "the same from a store that gives a few at a time");
	mem.items = 0;
	mem.by_guess = true;
	k->bep[0]->nops = 0;
	walk("kg n:1 k v B23400", &w);
	ok(w.items == 1000 && w.pages == 5 && w.longest == 23400, "and from one that goes by guesses");
	ok(k->bep[0]->nops <= 8, "which are good: %u ops", k->bep[0]->nops);
	kit_close();
}

static void
guesses_follow_sizes(void)
{
	struct walk w;

	kit_open();
	mem.by_guess = true;
	fill(0, "n:1", 3000, 4);
	walk("kg n:1 k v B20000", &w);
	is_u(w.items, 3000, "all of them");
	k->bep[0]->nops = 0;
	walk("kg n:1 k v B20000", &w);
	ok(w.items == 3000 && k->bep[0]->nops <= w.pages + 2, "the second time the first guess is as good: %u ops, %u pages",
	    k->bep[0]->nops, w.pages);
	kit_close();
}

static void
items_bound_all_pages(void)
{
	char first[8192], token[PAGE_TOKEN_MAX + 4], line[PAGE_TOKEN_MAX + 64];
	struct walk w;

	kit_open();
	fill(0, "n:1", 100, 10);
	is_s(reason_of(ask("kg n:1 M100 k\r\n")), "limit", "the limit is told even if nothing follows");
	is_s(reason_of(ask("kg n:1 M101 k\r\n")), "", "the end is the end");
	walk("kg n:1 k M25 B80", &w);	/* seven lines of 11 bytes */
	is_u(w.items, 25, "M counts over all pages");
	is_s(w.reasons, "size size size limit ", "and ends without a token");
	walk("kg n:1 k M21 B80", &w);
	is_s(w.reasons, "size size limit ", "also where the last page is full");
	keep(first, sizeof first, ask("kg n:1 k M30 B80\r\n"));
	keep_token(token, first);
	snprintf(line, sizeof line, "kg n:1 k B1000%s\r\n", token);
	is_s(reason_of(ask(line)), "limit", "M travels in the token, returns and B do not");
	kit_close();
}

static void
large_values_are_left_out(void)
{
	kit_open();
	put(0, "n:1", "a", "12345");
	put(0, "n:1", "b", "123");
	put(0, "n:1", "c", "");
	is_s(ask("kg n:1 X4\r\n"), "HD ka s5\r\nVA 3 kb\r\n123\r\nVA 0 kc\r\n\r\nEN\r\n", "by X");
	is_s(ask("kg n:1 X0\r\n"), "HD ka s5\r\nHD kb s3\r\nVA 0 kc\r\n\r\nEN\r\n", "all that are none");
	is_s(ask("kg n:1 X4 k s\r\n"), "HD ka s5\r\nHD kb s3\r\nHD kc s0\r\nEN\r\n", "without v nothing is left out");
	kit_close();
}

static void
lists_in_pages(void)
{
	char line[8192] = "kg n:1 k B14 Ka Ka Kx Kb Kx Ka Kb Kb Kx", again[8192];
	const char *text;
	char token[PAGE_TOKEN_MAX + 4] = "", got[512] = "";
	unsigned pages = 0;

	kit_open();
	put(0, "n:1", "a", "1");
	put(0, "n:1", "b", "1");
	do {
		snprintf(again, sizeof again, "%s%s\r\n", line, token);
		text = ask(again);
		for (const char *p = text; (p = strstr(p, "HD k")) != NULL; p++)
			strncat(got, p + 4, 1);
		keep_token(token, text);
	} while (token[0] != '\0' && ++pages < 20);
	is_s(got, "aababb", "each as often as it is asked for");
	is_u(pages, 2, "two to a page, the last without a token");
	mem.work = 1;
	got[0] = token[0] = '\0';
	pages = 0;
	do {
		snprintf(again, sizeof again, "%s%s\r\n", line, token);
		text = ask(again);
		for (const char *p = text; (p = strstr(p, "HD k")) != NULL; p++)
			strncat(got, p + 4, 1);
		keep_token(token, text);
	} while (token[0] != '\0' && ++pages < 20);
	is_s(got, "aababb", "also from a store that looks at one at a time");
	kit_close();
}

static void
dead_rows_are_work(void)
{
	char first[4096];
	struct walk w;

	kit_open();
	fill(0, "n:1", 1000, 10);
	for (unsigned i = 10; i < 990; i++)
		k->bep[0]->rows[i].dead = true;
	mem.work = 50;
	keep(first, sizeof first, ask("kg n:1 k\r\n"));
	is_s(reason_of(first), "partial", "a field of dead rows ends a page");
	ok(token_of(first)[0] != '\0' && k->bep[0]->nops < 12, "after %u ops", k->bep[0]->nops);
	walk("kg n:1 k", &w);
	ok(w.items == 20 && w.pages == 3, "but not the walk: %u items in %u pages", w.items, w.pages);
	kit_close();
}

static void
too_late(void)
{
	struct timespec slow = { 0, 3000000 };

	nanosleep(&slow, NULL);
	(void)loop_now_fresh(k->ctx.loop);
}

static void
time_bounds_a_page(void)
{
	struct walk w;

	kit_open();
	fill(0, "n:1", 20, 10);
	mem.items = 4;
	mem.found = too_late;
	walk("kg n:1 k D2", &w);
	ok(w.items == 20 && w.pages >= 5 && strncmp(w.reasons, "slo ", 4) == 0, "by D: %s", w.reasons);
	k->spaces[1].slo_read.max = 2000;
	walk("kg n:1 k", &w);
	ok(w.items == 20 && w.pages >= 5 && strncmp(w.reasons, "slo ", 4) == 0, "by the namespace: %s", w.reasons);
	kit_close();
}

static void
failures_within_a_page(void)
{
	char first[4096], line[PAGE_TOKEN_MAX + 64];

	kit_open();
	fill(0, "n:1", 10, 1);
	mem.items = 3;
	mem.fail_at = 2;
	mem.fail_n = 1;
	mem.err = ERR_CLOSED;
	mem.fail_after = 1;
	keep(first, sizeof first, ask("kg n:1 k\r\n"));
	ok(strstr(first, "kk0003\r\nEN N") != NULL, "what was found is given");
	is_s(reason_of(first), "partial", "and said to be a part");
	mem.items = 0;
	snprintf(line, sizeof line, "kg n:1 k%s\r\n", token_of(first));
	is_s(ask(line), "HD kk0004\r\nHD kk0005\r\nHD kk0006\r\nHD kk0007\r\nHD kk0008\r\nHD kk0009\r\nEN\r\n",
	    "it goes on behind that");
	mem.fail_at = k->bep[0]->nops + 1;
	mem.fail_after = 2;
	mem.err = ERR_TIMEOUT;
	is_s(reason_of(ask("kg n:1 k\r\n")), "slo", "what took too long is told apart");
	k->spaces[1].on_error = ON_ERROR_MISS;
	mem.fail_at = k->bep[0]->nops + 1;
	mem.fail_after = 0;
	is_s(ask("kg n:1 k\r\n"), "EN\r\n", "on_error = miss makes nothing of a failure");
	mem.fail_at = k->bep[0]->nops + 1;
	is_s(ask(line), "SERVER_ERROR mem:1 failed\r\n", "but not of one within a walk");
	kit_close();
}

/* Something writes beside a walk: before each page the key behind it and the one before it. */
static unsigned churned;

static void
churn(void)
{
	char key[16];

	snprintf(key, sizeof key, "k%04u-", churned * 7 % 1000);
	put(0, "n:1", key, "new");
	snprintf(key, sizeof key, "k%04u-", churned++ * 13 % 1000);
	put(0, "n:1", key, "gone")->dead = true;
}

static void
what_stays_comes_once(void)
{
	char line[PAGE_TOKEN_MAX + 64], token[PAGE_TOKEN_MAX + 4] = "";
	unsigned bad = 0;

	kit_open();
	for (int reverse = 0; reverse < 2; reverse++) {
		unsigned seen[1000] = { 0 };

		fill(0, "n:1", 1000, 10);
		mem.found = churn;
		mem.items = 7;
		do {
			const char *text, *p;

			snprintf(line, sizeof line, "kg n:1 k B200%s%s\r\n", reverse ? " r" : "", token);
			text = ask(line);
			for (p = text; (p = strstr(p, " kk")) != NULL; p++)
				if (p[7] == '\r')
					seen[atoi(p + 3)]++;
			keep_token(token, text);
		} while (token[0] != '\0');
		for (unsigned i = 0; i < 1000; i++)
			bad += seen[i] != 1;
	}
	is_u(bad, 0, "neither missed nor given twice");
	kit_close();
}

static void
scans(void)
{
	char line[PAGE_TOKEN_MAX + 64], token[PAGE_TOKEN_MAX + 4], id[16], last[16] = "";
	unsigned seen[200] = { 0 }, bad = 0, torn = 0;

	kit_open();
	for (unsigned i = 0; i < 200; i++) {
		snprintf(id, sizeof id, "n:%03u", i);
		put(0, id, "a", "1");
		put(0, id, "b", "2");
	}
	is_s(ask("ks n M2\r\n"), "VA 1 in:000 ka\r\n1\r\nVA 1 in:000 kb\r\n2\r\nEN Wlimit\r\n", "items with their ids");
	for (unsigned part = 1; part <= 4; part++) {
		token[0] = '\0';
		do {
			const char *text, *p;

			snprintf(line, sizeof line, "ks n S%u/4 B50 i k%s\r\n", part, token);
			text = ask(line);
			for (p = text; (p = strstr(p, " in:")) != NULL; p++) {
				seen[atoi(p + 4)]++;
				if (p[9] == 'b')
					torn += strncmp(last, p + 4, 3) != 0;
				snprintf(last, sizeof last, "%.3s", p + 4);
			}
			keep_token(token, text);
		} while (token[0] != '\0');
	}
	for (unsigned i = 0; i < 200; i++)
		bad += seen[i] != 2;
	is_u(bad, 0, "parts are disjoint and complete");
	is_u(torn, 0, "the items of a record come together");
	keep_token(token, ask("ks n S1/4 B50\r\n"));
	snprintf(line, sizeof line, "ks n S2/4 B50%s\r\n", token);
	is_s(ask(line), "CLIENT_ERROR bad page token\r\n", "a token is one part's");
	snprintf(line, sizeof line, "kg n:000 B50%s\r\n", token);
	is_s(ask(line), "CLIENT_ERROR bad page token\r\n", "and no kg's");
	kit_close();
}

static void
answers_keep_their_order(void)
{
	kit_open();
	put(0, "n:1", "a", "1");
	put(1, "m:1", "a", "2");
	say("kg m:1 k\r\n");
	say("kg n:1 k\r\n");
	say("kg n:1 Lnope/\r\n");
	say("kg n:2 k q\r\n");
	say("kg n:1 k O3\r\n");
	is_s(answer(), "", "nothing yet");
	pump();
	is_s(answer(), "HD ka\r\nEN\r\nHD ka\r\nEN\r\nCLIENT_ERROR unknown namespace\r\nHD ka O3\r\nEN O3\r\n",
	    "in the order of the questions");
	say("kg n:1 k\r\n");
	say("kg m:1 k B1\r\n");
	replyq_abandon(&k->cl.q);
	pump();
	is_s(answer(), "", "nobody answers one who has gone");
	k->cl.q.held = 0;
	kit_close();
}

int
main(void)
{
	predicates();
	errors();
	bytes_bound_a_page();
	guesses_follow_sizes();
	items_bound_all_pages();
	large_values_are_left_out();
	lists_in_pages();
	dead_rows_are_work();
	time_bounds_a_page();
	failures_within_a_page();
	what_stays_comes_once();
	scans();
	answers_keep_their_order();
	return (done_testing());
}
