/* Unit tests of src/proto/upstream_parse.c; the file is included to reach its statics. */
#include "proto/upstream_parse.c"

#include <stdlib.h>

#include "proto/command.h"
#include "tap.h"

static struct upstream_expect expect;
static struct op_result res;

/* Sets what a reply to this command must look like; the opaque is 42. */
static void
asked(enum upstream_dialect dialect, const char *text)
{
	static const struct parse_limits limits = { 2048, 2048 };
	char line[512], buf[UPSTREAM_LINE_MAX];
	struct command cmd;
	enum parse_close why;
	size_t used;
	int n = snprintf(line, sizeof line, "%s\r\n", text);

	if (proto_parse(line, (size_t)n, &limits, &cmd, &used, &why) != PARSE_DONE || cmd.id == CMD_BAD ||
	    upstream_put(buf, dialect, &cmd.op, 42, &expect) == NULL)
		ok(false, "%s cannot be asked", text);
}

/* One parse from memory of the exact size. */
static enum upstream_rc
parse(const char *bytes, size_t len, size_t *used, size_t *tail)
{
	char *buf = malloc(len > 0 ? len : 1);
	enum upstream_rc rc;

	memcpy(buf, bytes, len);
	memset(&res, 0xa5, sizeof res);
	rc = upstream_parse(buf, len, &expect, &res, used, tail);
	free(buf);
	return (rc);
}

/* A whole reply comes to rc; every beginning of it to MORE. Bytes behind it stay. */
static bool
comes_to(enum upstream_rc rc, const char *reply)
{
	char longer[UPSTREAM_REPLY_MAX * 2];
	size_t len = strlen(reply), used, tail;
	bool good = parse(reply, len, &used, &tail) == rc;

	if (rc == UPSTREAM_BAD)
		return (good);
	good = good && used == len;
	for (size_t i = 0; i < len; i++)
		good = good && parse(reply, i, &used, &tail) == UPSTREAM_MORE;
	memcpy(longer, reply, len);
	memcpy(longer + len, "HD O43\r\n", 8);
	return (good && parse(longer, len + 8, &used, &tail) == rc && used == len);
}

static void
bad(const char *reply)
{
	ok(comes_to(UPSTREAM_BAD, reply), "no answer: %.60s", reply);
}

static void
status(enum op_status want, const char *reply)
{
	ok(comes_to(UPSTREAM_DONE, reply) && res.status == want, "%.60s", reply);
}

static void
meta_reads(void)
{
	size_t used, tail;

	asked(UPSTREAM_META, "mg k v c f t s l h");
	ok(comes_to(UPSTREAM_VALUE, "VA 5 O42 c9 f7 h1 l3 t60\r\n"), "a value with all flags");
	ok(res.status == OP_OK && res.size == 5 && res.cas == 9 && res.client_flags == 7 && res.la == 3 &&
	    res.ttl == 60 && res.bits == OPR_FETCHED, "... and what they say");
	ok(parse("VA 5 O42 c9 f7 h1 l3 t60\r\n", 26, &used, &tail) == UPSTREAM_VALUE && tail == 2, "... CRLF follows it");
	ok(upstream_tail_ok("\r\n", &expect) && !upstream_tail_ok("\n\n", &expect), "... and nothing else");
	ok(comes_to(UPSTREAM_VALUE, "VA 0 c18446744073709551615 f4294967295 h0 l0 t-1 O42 W X Z\r\n"), "marks");
	ok(res.bits == (OPR_WON | OPR_STALE | OPR_SENT) && res.ttl == OP_TTL_NONE && res.cas == UINT64_MAX,
	    "... are told");
	bad("VA 5 O42 c9 f7 h1 l3\r\n");
	bad("VA 5 O42 c9 f7 h1 l3 t60 t60\r\n");
	bad("VA 5 O42 c9 f7 h1 l3 t60 W W\r\n");
	bad("VA 5 O42 c9 f7 h1 l3 t60 kk\r\n");
	bad("VA 5 O42 c9 f7 h1 l3 t60 s5\r\n");
	bad("VA 5 O42 c9 f7 h2 l3 t60\r\n");
	bad("VA 5 O42 c f7 h1 l3 t60\r\n");
	bad("VA 5 O42 c9 f4294967296 h1 l3 t60\r\n");
	bad("VA 5 O42 c9 f7 h1 l3 t-2\r\n");
	bad("VA 5 O42  c9 f7 h1 l3 t60\r\n");
	bad("VA 5 O42 c9 f7 h1 l3 t60 \r\n");
	ok(comes_to(UPSTREAM_VALUE, "VA 5 O42 c9 f7 h1 l3 t4294967295\r\n") && res.ttl == 0, "just expired");
}

static void
meta_opaque(void)
{
	asked(UPSTREAM_META, "mg k v");
	ok(comes_to(UPSTREAM_VALUE, "VA 5 O42\r\n"), "ours");
	bad("VA 5 O43\r\n");
	bad("VA 5 O\r\n");
	bad("VA 5 O42x\r\n");
	bad("VA 5 O42 O42\r\n");
	bad("VA 5\r\n");
	status(OP_MISS, "EN O42\r\n");
	status(OP_MISS, "EN\r\n");
	bad("EN O41\r\n");
	bad("EN c5 O42\r\n");
	bad("EN O42 W\r\n");
	asked(UPSTREAM_META, "md k");
	status(OP_OK, "HD O42\r\n");
	status(OP_MISS, "NF O42\r\n");
	status(OP_MISS, "NF\r\n");
	bad("HD\r\n");
}

static void
meta_lines(void)
{
	char longer[UPSTREAM_REPLY_MAX + 10];
	size_t used, tail;

	asked(UPSTREAM_META, "mg k v");
	bad("VA 5 O42\n");
	bad("\r\n");
	bad("\n");
	bad("VA\r\n");
	bad("VA \r\n");
	bad("VA x O42\r\n");
	bad("VA -1 O42\r\n");
	bad("VA  5 O42\r\n");
	bad("VA 1073741825 O42\r\n");
	bad("VA 18446744073709551616 O42\r\n");
	bad("VAL 5 O42\r\n");
	bad("VALUE k 0 5\r\n");
	bad("HD O42\r\n");
	bad("NF O42\r\n");
	bad("EX O42\r\n");
	bad("NS O42\r\n");
	bad("MN\r\n");
	bad("ME k x\r\n");
	bad("OK\r\n");
	bad("END\r\n");
	ok(comes_to(UPSTREAM_VALUE, "VA 1073741824 O42\r\n"), "the largest value");
	memset(longer, 'x', sizeof longer);
	ok(parse(longer, UPSTREAM_REPLY_MAX - 1, &used, &tail) == UPSTREAM_MORE, "a long line may yet end");
	ok(parse(longer, UPSTREAM_REPLY_MAX, &used, &tail) == UPSTREAM_BAD, "... but not that late");
	memcpy(longer, "CLIENT_ERROR ", 13);
	memcpy(longer + UPSTREAM_REPLY_MAX - 1, "\r\n", 2);
	ok(parse(longer, sizeof longer, &used, &tail) == UPSTREAM_BAD, "... even if the end is there");
	memcpy(longer + UPSTREAM_REPLY_MAX - 2, "\r\n", 2);
	ok(parse(longer, sizeof longer, &used, &tail) == UPSTREAM_DONE && used == UPSTREAM_REPLY_MAX, "just in time");
}

static void
meta_value_left_out(void)
{
	asked(UPSTREAM_META, "mg k v s C9");
	ok(comes_to(UPSTREAM_DONE, "HD O42 c9 s5\r\n") && res.status == OP_OK && res.cas == 9 && res.size == 5,
	    "by C, with the CAS to prove it");
	ok(comes_to(UPSTREAM_VALUE, "VA 5 O42 c8 s5\r\n") && res.cas == 8, "or not");
	bad("HD O42 s5\r\n");
	asked(UPSTREAM_META, "mg k t T30");
	ok(comes_to(UPSTREAM_DONE, "HD O42 t7\r\n") && res.ttl == 7, "the TTL before");
	asked(UPSTREAM_META, "mg k T30 t");
	ok(comes_to(UPSTREAM_DONE, "HD O42 t30\r\n") && res.ttl == 30, "the TTL after");
	asked(UPSTREAM_META, "mg k");
	ok(comes_to(UPSTREAM_DONE, "HD O42 Z\r\n") && res.bits == OPR_SENT && res.ttl == OP_TTL_NONE, "nothing asked");
	bad("VA 5 O42\r\n");
}

static void
meta_stores(void)
{
	asked(UPSTREAM_META, "ms k 5 C1 c s");
	ok(comes_to(UPSTREAM_DONE, "HD O42 c7 s5\r\n") && res.cas == 7 && res.size == 5, "stored");
	ok(comes_to(UPSTREAM_DONE, "HD O42 c7\r\n") && res.size == 5, "servers before 1.6.20 tell no size");
	ok(comes_to(UPSTREAM_DONE, "EX O42 c0 s5\r\n") && res.status == OP_EXISTS, "another CAS");
	status(OP_MISS, "NF O42 c0 s5\r\n");
	status(OP_NOT_STORED, "NS O42 c0\r\n");
	bad("HD O42 s5\r\n");
	bad("HD O42 c7 W\r\n");
	bad("VA 5 O42\r\n");
	bad("EN O42\r\n");
	bad("STORED\r\n");
	bad("ERROR\r\n");
	bad("CLIENT_ERROR bad data chunk\r\n");
	status(OP_ERROR, "SERVER_ERROR out of memory storing object\r\n");
	status(OP_ERROR, "CLIENT_ERROR bad command line format\r\n");
	asked(UPSTREAM_META, "ms k 5 MA s");
	ok(comes_to(UPSTREAM_DONE, "HD O42 s12\r\n") && res.size == 12, "grown");
	bad("EX O42\r\n");
}

static void
meta_arithmetic(void)
{
	asked(UPSTREAM_META, "ma k t c");
	ok(comes_to(UPSTREAM_DONE, "VA 2 O42 t-1 c5\r\n10\r\n") && res.number == 10 && res.cas == 5, "a number");
	ok(comes_to(UPSTREAM_DONE, "VA 20 O42 t-1 c5\r\n18446744073709551615\r\n") && res.number == UINT64_MAX,
	    "the largest");
	bad("VA 2 O42 t-1 c5\r\n1x\r\n");
	bad("VA 2 O42 t-1 c5\r\n101\r");
	bad("VA 0 O42 t-1 c5\r\n\r\n");
	bad("VA 21 O42 t-1 c5\r\n");
	bad("VA 20 O42 t-1 c5\r\n18446744073709551616\r\n");
	bad("HD O42 t-1 c5\r\n");
	status(OP_MISS, "NF O42\r\n");
	status(OP_NOT_STORED, "NS O42\r\n");
	bad("EX O42\r\n");
	status(OP_ERROR, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
	status(OP_ERROR, "ERROR\r\n");
	asked(UPSTREAM_META, "ma k C7");
	status(OP_EXISTS, "EX O42\r\n");
}

static void
meta_debug(void)
{
	static const char reply[] = "ME k exp=-1 la=0\r\n";
	size_t used, tail;

	asked(UPSTREAM_META, "me k");
	ok(upstream_parse(reply, sizeof reply - 1, &expect, &res, &used, &tail) == UPSTREAM_DONE &&
	    slice_eq_str(res.error, "exp=-1 la=0"), "the text behind the key");
	status(OP_MISS, "EN\r\n");
	bad("ME k\r\n");
	bad("ME\r\n");
	bad("HD O42\r\n");
	status(OP_ERROR, "ERROR\r\n");
}

static void
errors(void)
{
	static const char reply[] = "SERVER_ERROR out of memory\r\n";
	size_t used, tail;

	asked(UPSTREAM_META, "mg k v");
	ok(upstream_parse(reply, sizeof reply - 1, &expect, &res, &used, &tail) == UPSTREAM_DONE &&
	    res.status == OP_ERROR && slice_eq_str(res.error, "SERVER_ERROR out of memory"), "the whole line is told");
	status(OP_ERROR, "ERROR\r\n");
	status(OP_ERROR, "CLIENT_ERROR x\r\n");
	bad("ERROR Too many open connections\r\n");
	bad("SERVER_ERROR\r\n");
	bad("SERVER_ERRORS x\r\n");
	bad("error\r\n");
	bad("\x81\r\n");
}

static void
classic_reads(void)
{
	size_t used, tail;

	asked(UPSTREAM_CLASSIC, "gets key");
	ok(comes_to(UPSTREAM_VALUE, "VALUE key 4294967295 5 9\r\n") && res.client_flags == UINT32_MAX && res.size == 5 &&
	    res.cas == 9, "a value");
	ok(parse("VALUE key 0 5 9\r\n", 17, &used, &tail) == UPSTREAM_VALUE && tail == UPSTREAM_TAIL_MAX,
	    "END follows it");
	ok(upstream_tail_ok("\r\nEND\r\n", &expect) && !upstream_tail_ok("\r\nVALUE", &expect), "... and nothing else");
	status(OP_MISS, "END\r\n");
	bad("VALUE key 0 5\r\n");
	bad("VALUE kez 0 5 9\r\n");
	bad("VALUE ke 0 5 9\r\n");
	bad("VALUE key 0 5 9 9\r\n");
	bad("VALUE key 0 5 9 \r\n");
	bad("VALUE key 4294967296 5 9\r\n");
	bad("VALUE key 0 1073741825 9\r\n");
	bad("VALUE key -1 5 9\r\n");
	bad("VALUE  0 5 9\r\n");
	bad("VA 5 O42\r\n");
	bad("EN\r\n");
	bad("STORED\r\n");
	status(OP_ERROR, "ERROR\r\n");
	status(OP_ERROR, "SERVER_ERROR out of memory writing get response\r\n");
	asked(UPSTREAM_CLASSIC, "get key");
	ok(comes_to(UPSTREAM_VALUE, "VALUE key 0 0\r\n"), "without CAS");
	bad("VALUE key 0 0 1\r\n");
	asked(UPSTREAM_CLASSIC, "touch key 5");
	status(OP_OK, "TOUCHED\r\n");
	status(OP_MISS, "NOT_FOUND\r\n");
	bad("END\r\n");
	bad("VALUE key 0 0\r\n");
}

static void
classic_writes(void)
{
	asked(UPSTREAM_CLASSIC, "set k 0 0 5");
	ok(comes_to(UPSTREAM_DONE, "STORED\r\n") && res.status == OP_OK && res.size == 5, "STORED");
	status(OP_NOT_STORED, "NOT_STORED\r\n");
	bad("EXISTS\r\n");
	bad("NOT_FOUND\r\n");
	bad("DELETED\r\n");
	bad("ERROR\r\n");
	bad("5\r\n");
	status(OP_ERROR, "SERVER_ERROR object too large for cache\r\n");
	asked(UPSTREAM_CLASSIC, "cas k 0 0 5 1");
	status(OP_EXISTS, "EXISTS\r\n");
	status(OP_MISS, "NOT_FOUND\r\n");
	asked(UPSTREAM_CLASSIC, "delete k");
	status(OP_OK, "DELETED\r\n");
	status(OP_MISS, "NOT_FOUND\r\n");
	bad("STORED\r\n");
	bad("END\r\n");
	asked(UPSTREAM_CLASSIC, "decr k 1");
	ok(comes_to(UPSTREAM_DONE, "10\r\n") && res.number == 10, "a number");
	ok(comes_to(UPSTREAM_DONE, "9  \r\n") && res.number == 9, "padded");
	status(OP_MISS, "NOT_FOUND\r\n");
	bad("9x\r\n");
	bad("18446744073709551616\r\n");
	bad(" 9\r\n");
	bad("-9\r\n");
}

static void
flushes(void)
{
	struct op op = { .verb = OP_FLUSH };
	char buf[UPSTREAM_LINE_MAX];

	upstream_put(buf, UPSTREAM_META, &op, 42, &expect);
	status(OP_OK, "OK\r\n");
	status(OP_ERROR, "CLIENT_ERROR flush_all not allowed\r\n");
	bad("HD O42\r\n");
}

/* One reply line to "get k1 k2" where `next` is the key that most likely comes. */
static enum upstream_rc
parse_keys(const char *bytes, size_t len, const char *next, struct slice *key, size_t *used)
{
	char *buf = malloc(len > 0 ? len : 1);
	enum upstream_rc rc;
	size_t tail = 0;

	memcpy(buf, bytes, len);
	memset(&res, 0xa5, sizeof res);
	*key = slice_str(next);
	rc = upstream_parse_keys(buf, len, &expect, &res, key, used, &tail);
	if (rc == UPSTREAM_VALUE) {
		ok(tail == 2 && key->p >= buf && key->p + key->len <= buf + len, "the tail, the key in the buffer");
		key->p = bytes + (key->p - buf);
	}
	free(buf);
	return (rc);
}

/* The same value whether its key is the one awaited or not, and whatever follows. */
static void
value_of(const char *reply, const char *key, uint32_t flags, uint32_t size, uint64_t cas)
{
	static const char *const hints[] = { "", "k1", "k2", "k", "k11" };
	char longer[UPSTREAM_REPLY_MAX];
	size_t len = strlen(reply), used = 0;
	struct slice got;

	snprintf(longer, sizeof longer, "%s%s", reply, "0123456789012345678901234567890123456789");
	for (size_t i = 0; i < NITEMS(hints); i++) {
		for (size_t n = 0; n < len; n++)
			if (parse_keys(reply, n, hints[i], &got, &used) != UPSTREAM_MORE)
				ok(false, "%.*s: not whole", (int)n, reply);
		for (size_t n = len; n <= strlen(longer); n++)
			if (parse_keys(longer, n, hints[i], &got, &used) != UPSTREAM_VALUE || used != len ||
			    !slice_eq_str(got, key) || res.status != OP_OK || res.client_flags != flags ||
			    res.size != size || res.cas != cas || res.ttl != OP_TTL_UNKNOWN || res.bits != 0)
				ok(false, "%s with %zu bytes, %s awaited", reply, n, hints[i]);
	}
	ok(true, "%.40s", reply);
}

static void
many_keys(void)
{
	static const char *const lines[] = {
		"VALUE k1 0\r\n", "VALUE k1 0 \r\n", "VALUE k1  0 5\r\n", "VALUE k1 0  5\r\n", "VALUE k1 0 5 \r\n", "VALUE k1 0 5 7\r\n",
		"VALUE k1 0 5x\r\n", "VALUE k1 -1 5\r\n", "VALUE k1 0 -5\r\n", "VALUE k1 4294967296 5\r\n", "VALUE k1 0 1073741825\r\n",
		"VALUE k1 0 9999999999\r\n", "VALUE k1 0 5\n", "VALUE k1 0 5\r\r\n", "VALUE  0 5\r\n", "VALUE\r\n", "value k1 0 5\r\n",
		"END \r\n", "HD\r\n", "EN\r\n", "VA 5 f0 O42\r\n", "STORED\r\n", "\r\n", "0\r\n",
	};
	static const struct slice keys[] = { { "k1", 2 }, { "k2", 2 } };
	struct slice key;
	char buf[64];
	size_t used;

	(void)upstream_put_keys(buf, keys, 2, false, &expect);
	value_of("VALUE k1 0 5\r\n", "k1", 0, 5, 0);
	value_of("VALUE k2 4294967295 1073741824\r\n", "k2", UINT32_MAX, 1u << 30, 0);
	value_of("VALUE k1 999999999 999999999\r\n", "k1", 999999999, 999999999, 0);
	value_of("VALUE k 12 0\r\n", "k", 12, 0, 0);
	for (size_t i = 0; i < NITEMS(lines); i++)
		for (unsigned more = 0; more < 2; more++) {
			char text[128];

			snprintf(text, sizeof text, "%s%s", lines[i], more ? "hello\r\nVALUE k2 0 5\r\nhello\r\nEND\r\n" : "");
			ok(parse_keys(text, strlen(text), "k1", &key, &used) == UPSTREAM_BAD, "no answer: %.40s", lines[i]);
		}
	ok(parse_keys("END\r\nEND\r\n", 10, "k1", &key, &used) == UPSTREAM_DONE && used == 5 && res.status == OP_OK, "END");
	ok(parse_keys("SERVER_ERROR out\r\n", 18, "k1", &key, &used) == UPSTREAM_DONE && res.status == OP_ERROR, "an error");
	(void)upstream_put_keys(buf, keys, 2, true, &expect);
	value_of("VALUE k1 0 5 18446744073709551615\r\n", "k1", 0, 5, UINT64_MAX);
	ok(parse_keys("VALUE k1 0 5\r\n", 14, "k1", &key, &used) == UPSTREAM_BAD, "a unique that is missing");
	ok(upstream_tail_ok("\r\n", &expect) && !upstream_tail_ok("\n\r", &expect), "a value ends with its line");
}

int
main(void)
{
	meta_reads();
	meta_opaque();
	meta_lines();
	meta_value_left_out();
	meta_stores();
	meta_arithmetic();
	meta_debug();
	errors();
	classic_reads();
	classic_writes();
	flushes();
	many_keys();
	return (done_testing());
}
