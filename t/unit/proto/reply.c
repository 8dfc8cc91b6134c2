/* Unit tests of src/proto/reply.c; the file is included to reach its statics. */
#include "proto/reply.c"
#include "tap.h"

static char line[1024];		/* the command lives in it */
static struct command cmd;

/* The command that this line is. */
static struct command *
command(const char *text)
{
	static const struct parse_limits limits = { 2048, 2048 };
	enum parse_close why;
	size_t used;
	int n = snprintf(line, sizeof line, "%s\r\n", text);

	if (proto_parse(line, (size_t)n, &limits, &cmd, &used, &why) != PARSE_DONE)
		ok(false, "%s is no command", text);
	return (&cmd);
}

static const char *
written(char *buf, char *end)
{
	*end = '\0';
	return (buf);
}

static void
meta_is(const char *text, struct op_result res, const char *want)
{
	char buf[REPLY_LINE_MAX + 1];

	command(text);
	is_s(written(buf, reply_meta_line(buf, &cmd, &res)), want, "%s", text);
}

static void
classic_is(const char *text, struct op_result res, const char *want)
{
	char buf[REPLY_LINE_MAX + 1];

	command(text);
	is_s(written(buf, reply_classic_line(buf, &cmd, &res)), want, "%s: %s", text, want);
}

#define RES(...)	((struct op_result){ __VA_ARGS__ })		/* OP_OK unless said */

static void
values(void)
{
	struct op_result res = RES(.client_flags = 4294967295u, .size = 1048576, .cas = UINT64_MAX);
	char buf[REPLY_LINE_MAX + 1];

	is_s(written(buf, reply_value_line(buf, SLICE_LIT("k"), &res, false)), "VALUE k 4294967295 1048576\r\n", "get");
	is_s(written(buf, reply_value_line(buf, SLICE_LIT("key"), &res, true)),
	    "VALUE key 4294967295 1048576 18446744073709551615\r\n", "gets");
	is_s(written(buf, reply_text(buf, "ERROR")), "ERROR\r\n", "a text");
}

static void
reads(void)
{
	struct op_result res = RES(.client_flags = 5, .size = 2, .cas = 9, .la = 7, .ttl = OP_TTL_NONE,
	    .bits = OPR_FETCHED);

	meta_is("mg k", res, "HD\r\n");
	meta_is("mg k q", res, "HD\r\n");
	meta_is("mg k v", res, "VA 2\r\n");
	meta_is("mg k t s l h f c k Ox v q", res, "VA 2 t-1 s2 l7 h1 f5 c9 kk Ox\r\n");
	meta_is("mg k Ox k c f h", RES(.bits = 0), "HD Ox kk c0 f0 h0\r\n");
	meta_is("mg Zm9v b k v s", RES(.size = 1), "VA 1 kZm9v b s1\r\n");
	meta_is("mg foo k v", RES(.size = 1, .bits = OPR_BINKEY), "VA 1 kZm9v b\r\n");
	meta_is("mg k t", RES(.ttl = 0), "HD t0\r\n");
	meta_is("mg k t", RES(.ttl = 2147483647), "HD t2147483647\r\n");
	meta_is("mg k t T30", RES(.ttl = OP_TTL_NONE), "HD t-1\r\n");
	meta_is("mg k T30 t", RES(.ttl = 30), "HD t30\r\n");
	meta_is("mg k f", RES(.bits = OPR_WON | OPR_STALE | OPR_SENT), "HD f0 Z X W\r\n");
	meta_is("mg k v", RES(.bits = OPR_WON), "VA 0 W\r\n");
	meta_is("mg k v C9 s", res, "HD s2\r\n");
	meta_is("mg k v C8 s", res, "VA 2 s2\r\n");
	meta_is("mg k v C0", RES(.size = 3, .cas = 0), "HD\r\n");
}

static void
misses(void)
{
	struct op_result miss = { .status = OP_MISS };

	meta_is("mg k v t c f s h l k O1", miss, "EN kk O1\r\n");
	meta_is("mg Zm9v O1 b k", miss, "EN O1 kZm9v b\r\n");
	meta_is("mg k v q k O1", miss, "");
	meta_is("ms k 2 R1 c MR O1", miss, "NF c0 O1\r\n");
	meta_is("ms k 2 C1 q", miss, "NF\r\n");
	meta_is("md k q O1 k", miss, "NF O1 kk\r\n");
	meta_is("ma k v c t O1 k q", miss, "NF O1 kk\r\n");
	meta_is("me k", miss, "EN\r\n");
}

static void
writes(void)
{
	meta_is("ms k 2", RES(.cas = 1), "HD\r\n");
	meta_is("ms k 2 q c", RES(.cas = 1), "");
	meta_is("ms Zm9v 2 s b c k Oabc", RES(.cas = 77, .size = 2), "HD s2 c77 kZm9v b Oabc\r\n");
	meta_is("ms k 2 MA s c", RES(.cas = 77, .size = 12), "HD s12 c77\r\n");
	meta_is("ms k 2 C5 s c k q O1", RES(.status = OP_EXISTS, .cas = 77, .size = 12), "EX s2 c0 kk O1\r\n");
	meta_is("ms k 2 ME q", RES(.status = OP_NOT_STORED), "NS\r\n");
	meta_is("md k O1", RES(.cas = 0), "HD O1\r\n");
	meta_is("md k q O1", RES(.cas = 0), "");
	meta_is("md k q C1 k", RES(.status = OP_EXISTS), "EX kk\r\n");
	meta_is("md k x", RES(.status = OP_NOT_STORED), "NS\r\n");
}

static void
arithmetic(void)
{
	struct op_result res = RES(.number = UINT64_MAX, .cas = 8, .ttl = 5);

	meta_is("ma k", res, "HD\r\n");
	meta_is("ma k q v", res, "");
	meta_is("ma k v", res, "VA 20\r\n18446744073709551615\r\n");
	meta_is("ma k v", RES(.number = 0), "VA 1\r\n0\r\n");
	meta_is("ma k t c O1 k v T30 N9", res, "VA 20 t5 c8 O1 kk\r\n18446744073709551615\r\n");
	meta_is("ma k N9 t", res, "HD t5\r\n");
	meta_is("ma k q C3 O1 c", RES(.status = OP_EXISTS), "EX O1\r\n");
	meta_is("ma k N9 O1 q", RES(.status = OP_NOT_STORED), "NS O1\r\n");
}

static void
debug(void)
{
	meta_is("me k", RES(.error = SLICE_LIT("exp=-1 la=0")), "ME k exp=-1 la=0\r\n");
	meta_is("me Zm9v b", RES(.error = SLICE_LIT("exp=-1")), "ME Zm9v exp=-1\r\n");
	meta_is("me foo", RES(.error = SLICE_LIT("exp=-1"), .bits = OPR_BINKEY), "ME Zm9v exp=-1\r\n");
}

static void
errors_ignore_q_and_heed_noreply(void)
{
	struct op_result res = { .status = OP_ERROR, .error = SLICE_LIT("SERVER_ERROR a is down") };
	char buf[REPLY_LINE_MAX + 1];

	meta_is("mg k q O1", res, "SERVER_ERROR a is down\r\n");
	meta_is("ms k 1 q", res, "SERVER_ERROR a is down\r\n");
	meta_is("ma k q", res, "SERVER_ERROR a is down\r\n");
	meta_is("me k", res, "SERVER_ERROR a is down\r\n");
	classic_is("set k 0 0 1", res, "SERVER_ERROR a is down\r\n");
	classic_is("set k 0 0 1 noreply", res, "");
	is_s(written(buf, reply_bad_line(buf, command("mg k v v q"))), "CLIENT_ERROR duplicate flag\r\n", "q does not hide");
	is_s(written(buf, reply_bad_line(buf, command("foo noreply"))), "", "noreply hides");
	is_s(written(buf, reply_bad_line(buf, command("foo"))), "ERROR\r\n", "ERROR");
}

static void
classic(void)
{
	struct op_result miss = { .status = OP_MISS };

	classic_is("set k 0 0 1", RES(.cas = 1), "STORED\r\n");
	classic_is("cas k 0 0 1 5", RES(.status = OP_EXISTS), "EXISTS\r\n");
	classic_is("cas k 0 0 1 5", miss, "NOT_FOUND\r\n");
	classic_is("add k 0 0 1", RES(.status = OP_NOT_STORED), "NOT_STORED\r\n");
	classic_is("add k 0 0 1 noreply", RES(.status = OP_NOT_STORED), "");
	classic_is("delete k", RES(.cas = 0), "DELETED\r\n");
	classic_is("delete k", miss, "NOT_FOUND\r\n");
	classic_is("touch k 1", RES(.cas = 0), "TOUCHED\r\n");
	classic_is("touch k 1", miss, "NOT_FOUND\r\n");
	classic_is("incr k 1", RES(.number = 10), "10\r\n");
	classic_is("decr k 1", miss, "NOT_FOUND\r\n");
	classic_is("incr k 1 noreply", RES(.number = 10), "");
}

/* The longest line that can be asked for fits its bound, and an error text from elsewhere is cut to it. */
static void
nothing_is_longer_than_its_bound(void)
{
	char text[512], buf[REPLY_LINE_MAX * 2], longer[3000];
	struct op_result res = RES(.client_flags = UINT32_MAX, .size = UINT32_MAX, .cas = UINT64_MAX,
	    .la = UINT32_MAX, .ttl = INT32_MAX, .number = UINT64_MAX, .bits = OPR_WON | OPR_STALE | OPR_SENT | OPR_BINKEY);
	int n = snprintf(text, sizeof text, "mg ");

	for (unsigned i = 0; i < OP_KEY_MAX; i++)
		text[n++] = 'k';
	snprintf(text + n, sizeof text - (size_t)n, " v t s l h f c k O12345678901234567890123456789012");
	ok(reply_meta_line(buf, command(text), &res) - buf <= REPLY_LINE_MAX, "mg with all its flags");
	text[1] = 'a';
	snprintf(text + n, sizeof text - (size_t)n, " v t c k O12345678901234567890123456789012");
	ok(reply_meta_line(buf, command(text), &res) - buf <= REPLY_LINE_MAX, "ma with all its flags");
	memset(longer, 'e', sizeof longer);
	res.error = slice_of(longer, sizeof longer);
	text[1] = 'e';
	text[n] = '\0';
	is_u((unsigned long long)(reply_meta_line(buf, command(text), &res) - buf), REPLY_LINE_MAX, "me is cut");
	res.status = OP_ERROR;
	is_u((unsigned long long)(reply_meta_line(buf, command("mg k"), &res) - buf), REPLY_LINE_MAX, "errors are cut");
	is_u((unsigned long long)(reply_classic_line(buf, command("incr k 1"), &res) - buf), REPLY_LINE_MAX,
	    "... and classic ones");
}

static void
values_are_announced_when_they_are_sent(void)
{
	struct op_result hit = RES(.cas = 5, .size = 1), miss = { .status = OP_MISS };

	ok(reply_sends_value(command("mg k v"), &hit), "asked for");
	ok(!reply_sends_value(command("mg k s"), &hit), "not asked for");
	ok(!reply_sends_value(command("mg k v C5"), &hit), "known already");
	ok(reply_sends_value(command("mg k v C4"), &hit), "another one is known");
	ok(!reply_sends_value(command("mg k v"), &miss), "not there");
}

int
main(void)
{
	values();
	reads();
	misses();
	writes();
	arithmetic();
	debug();
	errors_ignore_q_and_heed_noreply();
	classic();
	nothing_is_longer_than_its_bound();
	values_are_announced_when_they_are_sent();
	return (done_testing());
}
