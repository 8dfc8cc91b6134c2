/* Unit tests of src/proto/record_body.c; the file is included to reach its statics. */
#include "proto/record_body.c"
#include "record_text.h"
#include "tap.h"

#define FORMAT	"CLIENT_ERROR bad command line format"
#define TOKEN	"CLIENT_ERROR bad token in command line format"
#define INVALID	"CLIENT_ERROR invalid flag"
#define TWICE	"CLIENT_ERROR duplicate flag"
#define CHUNK	"CLIENT_ERROR bad data chunk"
#define LARGE	"SERVER_ERROR object too large for cache"
#define VALUE_MAX 100

/* The command's line and what follows it, in pieces of so many bytes; *rest is what is left behind it. */
static const char *
outcome(struct slice text, size_t first, size_t piece, size_t *rest)
{
	static struct description d;
	const char *nl = memchr(text.p, '\n', text.len);
	struct slice line = slice_of(text.p, (size_t)(nl - text.p) - (nl[-1] == '\r'));
	struct record_body *b;
	struct record_cmd cmd;
	size_t off = (size_t)(nl + 1 - text.p), used;
	bool over = false;

	record_parse(line, text.p[1] == 'p' ? CMD_KP : CMD_KM, &cmd);
	b = record_body_new(&cmd, VALUE_MAX, NULL, NULL);
	for (size_t n = first; !over && off < text.len; n = piece) {
		/* From memory of just the size, which is gone then. */
		char *exact;

		if (n > text.len - off)
			n = text.len - off;
		exact = malloc(n);
		memcpy(exact, text.p + off, n);
		over = record_body_feed(b, exact, n, &used);
		memset(exact, 0xa5, n);
		free(exact);
		off += used;
		if (!over && used != n)
			printf("# %zu of %zu bytes used\n", used, n);
	}
	*rest = text.len - off;
	d.len = 0;
	d.text[0] = '\0';
	if (over)
		describe_record_body(&d, b);
	else
		describe_add(&d, "more");
	record_body_free(&b);
	return (d.text);
}

/* However it comes apart, it comes to the same; tail bytes belong to what follows. */
static void
text_is(struct slice text, size_t tail, const char *want, const char *name)
{
	size_t rest, whole;
	unsigned wrong = 0;

	is_s(outcome(text, text.len, text.len, &whole), want, "%s", name);
	is_u(whole, tail, "... and %zu bytes follow", tail);
	for (size_t cut = 1; cut < text.len; cut++)
		wrong += strcmp(outcome(text, cut, text.len, &rest), want) != 0 || rest != tail;
	for (size_t piece = 1; piece < 4; piece++)
		wrong += strcmp(outcome(text, piece, piece, &rest), want) != 0 || rest != tail;
	ok(wrong == 0, "... in any pieces");
}

static void
body_is(const char *text, const char *tail, const char *want)
{
	char all[4096];
	int n = snprintf(all, sizeof all, "%s%s", text, tail);

	text_is(slice_of(all, (size_t)n), strlen(tail), want, want);
}

static void
puts_of_items(void)
{
	body_is("kp user:42 2\r\nname 3\r\nAda\r\nzip 5 F7 T60\r\n10115\r\n", "kg user:42\r\n",
	    "kp  id=<user:42> count=2 item=<name> F0 T0 Z0 data=<Ada> item=<zip> F7 T60 Z0 data=<10115>");
	body_is("kp u 3\n 1\nx\r\na 0\n\r\na  2   Zzstd  \r\n\r\n\r\n", "x",
	    "kp  id=<u> count=3 item=<> F0 T0 Z0 data=<x> item=<a> F0 T0 Z0 data=<> "
	    "item=<a> F0 T0 Z1 data=<\\0d\\0a>");
	body_is("kp dQ== 3 b\r\nYQBi 1 T-1\r\nx\r\n 1\r\ny\r\n!Zm9v 1 F4294967295 Znone\r\nz\r\n", "",
	    "kp b id=<u> count=3 item=<a\\00b> F0 T-1 Z0 data=<x> item=<> F0 T0 Z0 data=<y> "
	    "item=<foo> F4294967295 T0 Z0 data=<z>");
	body_is("kp u 1\r\na\tb\r 1\r\nx\r\n", "", "kp  id=<u> count=1 item=<a\\09b\\0d> F0 T0 Z0 data=<x>");
}

static void
mutations(void)
{
	body_is("km 3 a\r\nkd u\r\nkp u 2\r\na 1\r\nx\r\nb 1\r\ny\r\nkd v Ka Kb Ln/\r\n", "kg u\r\n",
	    "kd  id=<u>; kp  id=<u> count=2 item=<a> F0 T0 Z0 data=<x> item=<b> F0 T0 Z0 data=<y>; "
	    "kd KL id=<v> K=<a> K=<b> L=<n>");
	body_is("km 1\r\nkd u Hx\n", "x", "kd H id=<u> H=<x>");
	body_is("km 2\r\nkp dQ== 1 b\r\nYQ== 0\r\n\r\nkp u 1\r\nYQ== 0\r\n\r\n", "",
	    "kp b id=<u> count=1 item=<a> F0 T0 Z0 data=<>; kp  id=<u> count=1 item=<YQ==> F0 T0 Z0 data=<>");
}

/* With readable counts and sizes all of the body is taken. */
static void
errors_that_go_on(void)
{
	body_is("kp u 2 h\r\na 1\r\nx\r\nb 1\r\ny\r\n", "version\r\n", INVALID);
	body_is("kp u 2\r\na 1 E\r\nx\r\nb 1\r\ny\r\n", "version\r\n", INVALID);
	body_is("kp u 1\r\na 1 {\r\nx\r\n", "version\r\n", FORMAT);
	body_is("kp u 1\r\na 1 F1 F2\r\nx\r\n", "version\r\n", TWICE);
	body_is("kp u 1\r\na 1 Zzstd Zzstd\r\nx\r\n", "version\r\n", TWICE);
	body_is("kp u 1\r\na 1 F\r\nx\r\n", "version\r\n", FORMAT);
	body_is("kp u 1\r\na 1 Fx\r\nx\r\n", "version\r\n", FORMAT);
	body_is("kp u 1\r\na 1 F4294967296\r\nx\r\n", "version\r\n", FORMAT);
	body_is("kp u 1\r\na 1 T\r\nx\r\n", "version\r\n", TOKEN);
	body_is("kp u 1\r\na 1 Tx\r\nx\r\n", "version\r\n", TOKEN);
	body_is("kp u 1\r\na 1 T2147483648\r\nx\r\n", "version\r\n", TOKEN);
	body_is("kp u 1\r\na 1 Zlz4\r\nx\r\n", "version\r\n", "CLIENT_ERROR unknown codec");
	body_is("kp u 1\r\na 1 Z\r\nx\r\n", "version\r\n", "CLIENT_ERROR unknown codec");
	body_is("kp dQ== 2 b\r\nYQ 1\r\nx\r\nYQ== 1\r\ny\r\n", "version\r\n", "CLIENT_ERROR error decoding key");
	body_is("kp u 2\r\na 1 Zlz4\r\nx\r\na 1 E\r\nx\r\n", "version\r\n", "CLIENT_ERROR unknown codec");
	body_is("kp u 2\r\na 60\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
	    "b 41\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", "version\r\n", LARGE);
	body_is("kp u 2\r\na 60\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
	    "b 40\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", "version\r\n",
	    "kp  id=<u> count=2 item=<a> F0 T0 Z0 data=60 item=<b> F0 T0 Z0 data=40");
	body_is("km 3\r\nkd\r\nkp u 1 q\r\na 1\r\nx\r\nkd v\r\n", "version\r\n", FORMAT);
	body_is("km 2\r\nkp u 1 E1\r\na 1\r\nx\r\nkd v O\r\n", "version\r\n", INVALID);
	body_is("km 2 h\r\nkd v\r\nkp u 1\r\na 1\r\nx\r\n", "version\r\n", INVALID);
	body_is("km 2\r\nkd v K G\r\nkd v\r\n", "version\r\n", "CLIENT_ERROR bad predicate");
	body_is("km 2\r\nkd v Gb Ua\r\nkd v\r\n", "version\r\n", "CLIENT_ERROR reversed range");
}

/* What follows cannot be known. */
static void
errors_that_end(void)
{
	body_is("kp u 2\r\nname\r\n", "version\r\n", FORMAT);
	body_is("kp u 2\r\n\r\n", "version\r\n", FORMAT);
	body_is("kp u 2\r\nname \r\n", "version\r\n", FORMAT);
	body_is("kp u 2\r\nname x\r\n", "version\r\n", FORMAT);
	body_is("kp u 2\r\nname -1\r\n", "version\r\n", FORMAT);
	body_is("kp u 2\r\nname 2147483646\r\n", "version\r\n", FORMAT);
	body_is("kp u 2\r\nname 3\r\nAdam\r", "\nversion\r\n", CHUNK);
	body_is("kp u 2\r\nname 0\r\nxy", "version\r\n", CHUNK);
	body_is("kp u 2\r\nname 1\r\nx\r\r", "version\r\n", CHUNK);
	body_is("kp u 2 h\r\nname 3\r\nAdam\r", "\nversion\r\n", INVALID);
	body_is("kp u 2\r\na 1 E\r\nx\r\nb\r\n", "version\r\n", INVALID);
	body_is("km 2\r\nkp u 1\r\na 1\r\nxyz", "version\r\n", CHUNK);
	body_is("km 2\r\nkg u\r\n", "version\r\n", FORMAT);
	body_is("km 2\r\n\r\n", "version\r\n", FORMAT);
	body_is("km 2\r\nkp u\r\n", "version\r\n", FORMAT);
	body_is("km 2\r\nkp u x\r\n", "version\r\n", FORMAT);
	body_is("km 2\r\nkp u 0\r\n", "version\r\n", FORMAT);
	body_is("km 2\r\nkd u q\r\nkx\r\n", "version\r\n", INVALID);
}

/* A line of n bytes with its end. */
static struct slice
with_long_line(const char *before, const char *head, size_t n, const char *last)
{
	static char text[2 * RECORD_LINE_MAX];
	size_t start = strlen(before), len = start + strlen(head), more = n - strlen(head) - strlen(last);

	memcpy(text, before, start);
	memcpy(text + start, head, strlen(head));
	memset(text + len, 'x', more);
	memcpy(text + len + more, last, strlen(last));
	return (slice_of(text, len + more + strlen(last)));
}

static void
lines_that_are_long(void)
{
	static const char too_long[] = "CLIENT_ERROR line too long close";
	size_t rest;
	struct slice text;

	text = with_long_line("kp u 1\r\n", "a 1", RECORD_ITEM_LINE_MAX, " Z\r\n");
	is_s(outcome(text, text.len, 1, &rest), FORMAT, "a line of 2048 bytes is read");
	text = with_long_line("kp u 1\r\n", "a 1", RECORD_ITEM_LINE_MAX + 1, " Z\r\n");
	is_s(outcome(text, text.len, text.len, &rest), too_long, "one of 2049 is not");
	for (size_t piece = 1; piece < 3000; piece += 701)
		is_s(outcome(text, piece, piece, &rest), too_long, "... in pieces of %zu", piece);
	text = with_long_line("kp u 1\r\n", "a 1", RECORD_ITEM_LINE_MAX, "");
	is_s(outcome(text, text.len, text.len, &rest), too_long, "nor so many bytes without an end");
	text = with_long_line("kp u 1 h\r\n", "a 1", RECORD_ITEM_LINE_MAX, "");
	is_s(outcome(text, text.len, text.len, &rest), "CLIENT_ERROR invalid flag close", "the first error is told");
	text = with_long_line("km 1\r\n", "kd u N", RECORD_LINE_MAX, "\r\n");
	is_s(outcome(text, text.len, 777, &rest), INVALID, "a line of a km may have 64 KiB");
	text = with_long_line("km 1\r\n", "kd u N", RECORD_LINE_MAX + 1, "\r\n");
	is_s(outcome(text, 777, text.len, &rest), too_long, "but no more");
}

/* An item key of n bytes. */
static const char *
long_key(size_t n, const char *size)
{
	char text[4096];
	size_t rest;
	size_t len;

	memset(text, 'k', sizeof text);
	memcpy(text, "kp u 1\r\n", 8);
	snprintf(text + 8 + n, sizeof text - 8 - n, " %s\r\nx\r\n", size);
	len = strlen(text);
	return (outcome(slice_of(text, len), len, len, &rest));
}

static void
keys_that_are_long(void)
{
	ok(strncmp(long_key(1024, "1"), "kp  id", 6) == 0, "an item key of 1024 bytes");
	is_s(long_key(1025, "1"), "CLIENT_ERROR item key longer than 1024 bytes", "one of 1025");
	is_s(long_key(1025, "1 E"), "CLIENT_ERROR item key longer than 1024 bytes", "... comes first on its line");
	is_s(long_key(1025, "x"), FORMAT, "... but for the size");
}

static struct record_body *
begun(const char *line, uint64_t value_max)
{
	struct record_cmd cmd;

	record_parse(slice_str(line), line[1] == 'p' ? CMD_KP : CMD_KM, &cmd);
	return (record_body_new(&cmd, value_max, NULL, NULL));
}

static bool
feed(struct record_body *b, const char *bytes, size_t len)
{
	size_t used;

	return (record_body_feed(b, bytes, len, &used));
}

/* What is held is what has come, not what was announced. */
static void
memory(void)
{
	struct record_body *b = begun("kp u 10000", 64 << 20);
	static char zeros[1 << 20];
	size_t most = 0, least = SIZE_MAX, before;

	ok(record_body_size(b) < 4096, "nothing is held for items that have not come (%zu)", record_body_size(b));
	feed(b, "a 67108864\r\n", 12);
	ok(record_body_size(b) < 32768, "nor for a value that has not (%zu)", record_body_size(b));
	for (size_t have = sizeof zeros; have < 64 << 20; have += sizeof zeros) {
		size_t held;

		feed(b, zeros, sizeof zeros);
		held = record_body_size(b);
		most = held > 2 * have + 65536 ? most + 1 : most;
		least = held < have ? 0 : least;
	}
	is_u(most, 0, "at most twice what has come");
	ok(least > 0, "and all of it");
	record_body_refuse(b, "SERVER_ERROR out of memory storing object");
	ok(record_body_size(b) < 4096, "what is refused is let go (%zu)", record_body_size(b));
	feed(b, zeros, sizeof zeros);
	ok(!feed(b, "\r\n", 2), "and the rest is still awaited");
	is_s(b->error, "SERVER_ERROR out of memory storing object", "with its error");
	record_body_free(&b);
	ok(b == NULL, "freed");
	record_body_free(&b);

	b = begun("km 1000", 64 << 20);
	for (unsigned i = 0; i < 999; i++)
		feed(b, "kp u 2\r\na 1\r\nx\r\nb 1\r\ny\r\n", 24);
	before = record_body_size(b);
	ok(before < 1 << 20, "a thousand small puts hold less than a MiB (%zu)", before);
	ok(feed(b, "kd u q\r\n", 8) && record_body_size(b) < 4096, "what is wrong lets all go");
	is_s(b->error, INVALID, "with its error");
	record_body_free(&b);
}

/* Values of all sizes around those where memory is had in another way. */
static void
values(void)
{
	static const size_t sizes[] = { 0, 1, SMALL_MAX - 1, SMALL_MAX, SMALL_MAX + 1, 2 * SMALL_MAX, 100000, 1, 7000, 7000 };
	struct record_body *b;
	char line[64], *bytes = malloc(100000);
	unsigned wrong = 0;
	bool over = false;

	snprintf(line, sizeof line, "kp u %zu", NITEMS(sizes));
	for (size_t i = 0; i < 100000; i++)
		bytes[i] = (char)(i * 7 % 251);
	for (size_t piece = 1; piece <= 100000; piece *= 316) {
		b = begun(line, 1 << 20);
		for (unsigned i = 0; i < NITEMS(sizes); i++) {
			int n = snprintf(line, sizeof line, "k%u %zu\r\n", i, sizes[i]);

			wrong += over;
			feed(b, line, (size_t)n);
			for (size_t off = 0; off < sizes[i]; off += piece)
				feed(b, bytes + off, piece < sizes[i] - off ? piece : sizes[i] - off);
			over = feed(b, "\r\n", 2);
		}
		ok(over && b->error == NULL && b->subs[0].nitems == NITEMS(sizes), "whole, in pieces of %zu", piece);
		for (unsigned i = 0; i < NITEMS(sizes); i++)
			wrong += !slice_eq(b->subs[0].items[i].data, slice_of(bytes, sizes[i]));
		is_u(wrong, 0, "and as it was sent");
		record_body_free(&b);
		over = false;
		snprintf(line, sizeof line, "kp u %zu", NITEMS(sizes));
	}
	free(bytes);
}

/* Keys without values are not without bounds. */
static void
keys_without_values(void)
{
	struct record_body *b = begun("km 1000", VALUE_MAX);
	static char sub[1100 * 100];
	size_t n = (size_t)snprintf(sub, sizeof sub, "kp u 100\r\n"), most = 0;

	for (unsigned i = 0; i < 100; i++) {
		memset(sub + n, 'k', 1000);
		memcpy(sub + n + 1000, " 0\r\n\r\n", 6);
		n += 1006;
	}
	for (unsigned i = 0; i < 1000 && b->error == NULL; i++) {
		feed(b, sub, n);
		most = record_body_size(b) > most ? record_body_size(b) : most;
	}
	ok(b->error == NULL && most > 100 << 20, "a hundred thousand long keys are taken (%zu)", most);
	record_body_free(&b);
	b = begun("km 1000", VALUE_MAX);
	memcpy(sub, "kp u 200", 8);
	for (unsigned i = 0; i < 1000 && b->error == NULL; i++) {
		feed(b, sub, n);
		feed(b, sub + 10, n - 10);
		most = record_body_size(b) > most ? record_body_size(b) : most;
	}
	is_s(b->error != NULL ? b->error : "", "SERVER_ERROR out of memory storing object", "twice as many are not");
	ok(most <= BESIDE_MAX + (1 << 20) && record_body_size(b) < 4096, "and held no more (%zu)", most);
	record_body_free(&b);
}

/* 10001 items and 1001 sub-commands are read to their end. */
static void
too_many(void)
{
	struct record_body *b = begun("kp u 10001", VALUE_MAX);
	unsigned over = 0;

	for (unsigned i = 0; i < 10000; i++)
		over += feed(b, "a 1\r\nx\r\n", 8);
	ok(over == 0 && feed(b, "a 1\r\nx\r\n", 8), "10001 items are taken");
	is_s(b->error, "CLIENT_ERROR too many items", "and too many");
	record_body_free(&b);
	b = begun("km 1001", VALUE_MAX);
	for (unsigned i = 0; i < 1000; i++)
		over += feed(b, "kd u\r\n", 6);
	ok(over == 0 && feed(b, "kd u\r\n", 6), "1001 sub-commands are taken");
	is_s(b->error, "CLIENT_ERROR too many mutations", "and too many");
	record_body_free(&b);
	b = begun("kp u 10000", VALUE_MAX);
	for (unsigned i = 0; i < 9999; i++)
		over += feed(b, "a 0\r\n\r\n", 7);
	ok(over == 0 && feed(b, "a 0\r\n\r\n", 7) && b->error == NULL, "10000 items are not");
	is_u(b->subs[0].nitems, 10000, "all there");
	record_body_free(&b);
}

/* Has something against ids that begin with an x. */
static const char *
no_x(void *arg, const struct record_cmd *cmd, char why[RECORD_ERROR_MAX])
{
	unsigned *calls = arg;

	(*calls)++;
	snprintf(why, RECORD_ERROR_MAX, "CLIENT_ERROR not %.*s", (int)cmd->key.len, cmd->key.p);
	return (cmd->key.p[0] == 'x' ? why : NULL);
}

static void
checks(void)
{
	static const struct { const char *text, *error; unsigned calls; } rows[] = {
		{ "kp u 1\r\na 1\r\nx\r\n", NULL, 1 },
		{ "kp x 1\r\na 1 E\r\nx\r\n", "CLIENT_ERROR not x", 1 },
		{ "kp x 1 h\r\na 1\r\nx\r\n", INVALID, 0 },
		{ "km 3\r\nkd u\r\nkp xyz 1\r\na 1\r\nx\r\nkd u q\r\n", "CLIENT_ERROR not xyz", 2 },
		{ "km 3\r\nkd u\r\nkp u 1\r\na 1 E\r\nx\r\nkd x\r\n", INVALID, 2 },
		{ "km 2\r\nkd u q\r\nkd x\r\n", INVALID, 0 },
	};

	for (unsigned i = 0; i < NITEMS(rows); i++) {
		const char *text = rows[i].text, *nl = strchr(text, '\n') + 1;
		struct record_body *b;
		struct record_cmd cmd;
		unsigned calls = 0;

		record_parse(slice_of(text, (size_t)(nl - 2 - text)), text[1] == 'p' ? CMD_KP : CMD_KM, &cmd);
		b = record_body_new(&cmd, VALUE_MAX, no_x, &calls);
		ok(feed(b, nl, strlen(nl)), "%.4s is over", text);
		is_s(b->error != NULL ? b->error : "good", rows[i].error != NULL ? rows[i].error : "good", "with its error");
		is_u(calls, rows[i].calls, "lines were looked at until then");
		record_body_free(&b);
	}
}

int
main(void)
{
	puts_of_items();
	mutations();
	errors_that_go_on();
	errors_that_end();
	lines_that_are_long();
	keys_that_are_long();
	memory();
	values();
	keys_without_values();
	too_many();
	checks();
	return (done_testing());
}
