/* Unit tests of src/proto/upstream_put.c; the file is included to reach its statics. */
#include "proto/upstream_put.c"
#include "proto/command.h"
#include "proto/base64.h"
#include "tap.h"

#define K100	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

static char line[1024];		/* the command lives in it */

static struct op
op_of(const char *text)
{
	static const struct parse_limits limits = { 2048, 2048 };
	static struct command cmd;	/* a key that came in base64 is in it */
	enum parse_close why;
	size_t used;
	int n = snprintf(line, sizeof line, "%s\r\n", text);

	if (proto_parse(line, (size_t)n, &limits, &cmd, &used, &why) != PARSE_DONE || cmd.id == CMD_BAD)
		ok(false, "%s is no command", text);
	return (cmd.op);
}

/* What a client's command becomes; want NULL: it cannot be said. */
static void
sent(enum upstream_dialect dialect, const char *text, const char *want)
{
	char buf[UPSTREAM_LINE_MAX + 1], *end;
	struct upstream_expect expect;
	struct op op = op_of(text);

	end = upstream_put(buf, dialect, &op, 42, &expect);
	if (want == NULL || end == NULL) {
		ok(want == NULL && end == NULL, "%s: %s", text, want == NULL ? "cannot be said" : "can be said");
		return;
	}
	if (end - buf < 2 || memcmp(end - 2, "\r\n", 2) != 0)
		ok(false, "%s: no end of line", text);
	end[-2] = '\0';
	is_s(buf, want, "%s", text);
}

static void
meta(const char *text, const char *want)
{
	sent(UPSTREAM_META, text, want);
}

/* What is read in order to be kept here is asked for its TTL, whether the client wants one or not. */
static void
reads_to_be_kept(void)
{
	struct op op = { .verb = OP_GET, .want = OPW_VALUE | OPW_TTL, .key = SLICE_LIT("k") };
	struct upstream_expect expect;
	char buf[UPSTREAM_LINE_MAX], *end;

	end = upstream_put(buf, UPSTREAM_META, &op, 42, &expect);
	ok(slice_eq_str(slice_of(buf, (size_t)(end - buf)), "mg k O42 v t\r\n"), "t that stands in no line");
}

static void
classic(const char *text, const char *want)
{
	sent(UPSTREAM_CLASSIC, text, want);
}

static void
reads(void)
{
	meta("get k", "mg k O42 v f");
	meta("gets k", "mg k O42 v c f");
	meta("gat 30 k", "mg k O42 v f T30");
	meta("touch k 0", "touch k 0");
	meta("mg k", "mg k O42");
	meta("mg k q k Oabc", "mg k O42");
	meta("mg k v s t l h c f", "mg k O42 v c f h l t");
	meta("mg k s", "mg k O42 s");
	meta("mg k u E9 N30 R20", "mg k O42 N30 R20 E9 u");
	meta("mg k t T30", "mg k O42 t T30");
	meta("mg k T30 t", "mg k O42 T30 t");
	meta("mg k N5 T30", "mg k O42 N5 T30");
	meta("mg k T30 N5", "mg k O42 T30 N5");
	meta("mg k R20 c T30 t N5 v", "mg k O42 v c R20 T30 t N5");
	meta("mg k v C9", "mg k O42 v c C9");
	meta("mg k v s C9", "mg k O42 v c s C9");
	meta("mg Zm9vIGJhcg== b v", "mg Zm9vIGJhcg== b O42 v");
	meta("me k", "me k");
	meta("me Zm9v b", "me Zm9v b b");
}

static void
writes(void)
{
	meta("set k 0 0 5", "ms k 5 O42");
	meta("set k 7 -1 5 noreply", "ms k 5 O42 T-1 F7");
	meta("ms k 5", "ms k 5 O42");
	meta("ms k 5 q T0 F0 c s", "ms k 5 O42 c s");
	meta("ms k 5 ME T9", "ms k 5 O42 T9 ME");
	meta("ms k 5 MA N9 E4", "ms k 5 O42 N9 E4 MA");
	meta("ms k 5 MP", "ms k 5 O42 MP");
	meta("ms k 5 MR C0 I", "ms k 5 O42 C0 I MR");
	meta("ms Zm9v 5 b F4294967295", "ms Zm9v 5 b O42 F4294967295");
	meta("delete k", "md k O42");
	meta("md k q C5 E6 I T30 x F1", "md k O42 T30 C5 E6 I F1 x");
	meta("incr k 1", "ma k O42 v");
	meta("decr k 18446744073709551615", "ma k O42 v D18446744073709551615 MD");
	meta("ma k q t c N0 J5 D2 T3 C4", "ma k O42 v c t N0 T3 C4 D2 J5");
	meta("ma k T3 R9 N0 t", "ma k O42 v T3 N0 t");
}

/* An ms that is too large drops the old value, so only set may become one. */
static void
classic_stores_stay_classic(void)
{
	meta("add k 1 2 5", "add k 1 2 5");
	meta("replace k 0 0 5", "replace k 0 0 5");
	meta("append k 0 0 5", "append k 0 0 5");
	meta("prepend k 0 0 5", "prepend k 0 0 5");
	meta("cas k 1 2 5 9", "cas k 1 2 5 9");
}

static void
to_old_servers(void)
{
	classic("get k", "get k");
	classic("gets k", "gets k");
	classic("gat -1 k", "gat -1 k");
	classic("gats 30 k", "gats 30 k");
	classic("touch k 30", "touch k 30");
	classic("mg k", "get k");
	classic("mg k v f s u q", "get k");
	classic("mg k c", "gets k");
	classic("mg k v C5", "gets k");
	classic("mg k T30", "touch k 30");
	classic("mg k v T30", "gat 30 k");
	classic("mg Zm9v b v", "get foo");
	classic("set k 7 30 5", "set k 7 30 5");
	classic("ms k 5 F7 T30", "set k 7 30 5");
	classic("ms k 5 ME s", "add k 0 0 5");
	classic("ms k 5 MR C9", "cas k 0 0 5 9");
	classic("ms k 5 C9", "cas k 0 0 5 9");
	classic("ms k 5 ME C9", "add k 0 0 5");
	classic("ms k 5 MA", "append k 0 0 5");
	classic("delete k", "delete k");
	classic("md k q", "delete k");
	classic("ma k", "incr k 1");
	classic("ma k MD D7 v", "decr k 7");
}

static void
what_old_servers_cannot(void)
{
	static const char *const no[] = { "mg k t", "mg k h", "mg k l", "mg k N5", "mg k R5", "mg k E5",
	    "mg Zm9vIGJhcg== b", "ms k 5 c", "ms k 5 E9", "ms k 5 C1 I", "ms k 5 MA N9", "ms k 5 MA C9", "ms k 5 MA s",
	    "md k C1", "md k I", "md k x", "md k E1", "ma k t", "ma k c", "ma k T1", "ma k N1", "ma k C1", "ma k E1", "me k" };

	for (unsigned i = 0; i < NITEMS(no); i++)
		classic(no[i], NULL);
}

static void
flushing(void)
{
	struct op op = { .verb = OP_FLUSH };
	struct upstream_expect expect;
	char buf[UPSTREAM_LINE_MAX], *end;

	end = upstream_put(buf, UPSTREAM_META, &op, 1, &expect);
	ok(slice_eq_str(slice_of(buf, (size_t)(end - buf)), "flush_all\r\n"), "flush_all");
	op.ttl = 30;
	end = upstream_put(buf, UPSTREAM_CLASSIC, &op, 1, &expect);
	ok(slice_eq_str(slice_of(buf, (size_t)(end - buf)), "flush_all 30\r\n"), "flush_all later");
}

/* Whether the line names the key in base64. */
static bool
is_coded(const char *buf, struct slice key)
{
	char want[BASE64_LEN(OP_KEY_MAX) + 8], *end;

	memcpy(want, "mg ", 3);
	end = base64_put(want + 3, key.p, key.len);
	memcpy(end, " b ", 3);
	return (memcmp(buf, want, (size_t)(end + 3 - want)) == 0);
}

/* Whatever made the op: a key that ends a word or a line would be somebody's commands. */
static void
keys_that_are_never_sent_as_they_are(void)
{
	static const char bytes[] = { ' ', '\n', '\0' };
	char key[OP_KEY_MAX + 1], buf[UPSTREAM_LINE_MAX];
	struct upstream_expect expect;
	struct op op = { .verb = OP_GET };
	unsigned wrong = 0;

	memset(key, 'k', sizeof key);
	for (size_t len = 0; len <= sizeof key; len++) {
		op.key = slice_of(key, len);
		wrong += (upstream_put(buf, UPSTREAM_META, &op, 1, &expect) != NULL) != (len > 0 && len <= OP_KEY_MAX);
	}
	is_u(wrong, 0, "empty and over-long ones");
	for (size_t at = 0; at < 20; at++)
		for (size_t len = at + 1; len < 24; len++)
			for (unsigned b = 0; b < sizeof bytes; b++) {
				key[at] = bytes[b];
				op.key = slice_of(key, len);
				wrong += upstream_put(buf, UPSTREAM_META, &op, 1, &expect) == NULL ||
				    !is_coded(buf, op.key);
				wrong += upstream_put(buf, UPSTREAM_CLASSIC, &op, 1, &expect) != NULL;
				key[at] = 'k';
			}
	is_u(wrong, 0, "with a space, a newline or a NUL anywhere: in base64, and never to classic servers");
	key[3] = ' ';
	op.opts = OPF_BINKEY;
	op.key = slice_of(key, 186);
	ok(upstream_put(buf, UPSTREAM_META, &op, 1, &expect) != NULL, "base64 says anything up to 186 bytes");
	op.key = slice_of(key, 187);
	ok(upstream_put(buf, UPSTREAM_META, &op, 1, &expect) == NULL, "... but no more");
}

static void
the_longest_line_fits(void)
{
	struct op op = { .opts = 0xffff & ~OPF_CLASSIC, .want = 0xff, .order = 0x4321, .ttl = INT32_MIN, .vivify_ttl = INT32_MIN,
	    .recache_ttl = INT32_MIN, .client_flags = UINT32_MAX, .vlen = UINT32_MAX, .cas = UINT64_MAX,
	    .newcas = UINT64_MAX, .delta = UINT64_MAX, .initial = UINT64_MAX };
	char buf[UPSTREAM_LINE_MAX * 2];
	struct upstream_expect expect;

	op.key = slice_of(K100 K100, 186);
	for (unsigned verb = OP_GET; verb <= OP_DEBUG; verb++) {
		char *end;

		op.verb = (uint8_t)verb;
		op.mode = verb == OP_ARITH ? OP_DECR : OP_SET;
		end = upstream_put(buf, UPSTREAM_META, &op, UINT32_MAX, &expect);
		ok(end != NULL && (size_t)(end - buf) <= UPSTREAM_LINE_MAX && (size_t)(end - buf) < 256 + 252,
		    "verb %u with everything", verb);
	}
}

static void
many_keys(void)
{
	static const struct slice keys[] = { { "a", 1 }, { K100, 100 }, { "c", 1 } };
	char buf[102 + 3 + UPSTREAM_KEYS_ROOM], *end;
	struct upstream_expect expect;

	end = upstream_put_keys(buf, keys, 3, false, &expect);
	ok(slice_eq_str(slice_of(buf, (size_t)(end - buf)), "get a " K100 " c\r\n"), "get of three keys");
	ok(expect.keys && expect.verb == OP_GET && (expect.want & OPW_CAS) == 0, "and what is to come");
	end = upstream_put_keys(buf, keys, 3, true, &expect);
	ok(slice_eq_str(slice_of(buf, (size_t)(end - buf)), "gets a " K100 " c\r\n"), "gets of three keys");
	ok((expect.want & OPW_CAS) != 0, "which brings the unique");
	is_u((size_t)(end - buf), sizeof buf, "the longest line needs all the room");
	ok(upstream_key_ok(keys[1]), "a key");
	ok(!upstream_key_ok(slice_of("a b", 3)) && !upstream_key_ok(slice_of("12345678\n", 9)) &&
	    !upstream_key_ok(slice_of("123\0" "567890", 10)), "what no classic line can have in a key");
}

int
main(void)
{
	reads();
	reads_to_be_kept();
	writes();
	classic_stores_stay_classic();
	to_old_servers();
	what_old_servers_cannot();
	flushing();
	keys_that_are_never_sent_as_they_are();
	the_longest_line_fits();
	many_keys();
	return (done_testing());
}
