/* Unit tests of src/proto/text.c; the file is included to reach its statics. */
#include "proto/text.c"
#include "lines.h"

#define ZEROS	" N0 R0 F0 C0 E0 D0 J0 vlen=0"
#define K250	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" \
		"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" \
		"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K251	K250 "k"
#define DELTA	"CLIENT_ERROR invalid numeric delta argument"
#define EXPTIME	"CLIENT_ERROR invalid exptime argument"

static void
retrieval(void)
{
	line_is("get a", "get verb=0 mode=0 opts=o want=vf T0" ZEROS " key=<a> nkeys=1 key=<a>");
	line_is("gets a  bb ccc ",
	    "gets verb=0 mode=0 opts=o want=vcf T0" ZEROS " key=<a> nkeys=3 key=<a> key=<bb> key=<ccc>");
	line_is("get " K250 " b", "get verb=0 mode=0 opts=o want=vf T0" ZEROS " key=<" K250 "> nkeys=2 key=<" K250
	    "> key=<b>");
	line_is("get a noreply",
	    "get verb=0 mode=0 opts=o want=vf T0" ZEROS " key=<a> nkeys=2 key=<a> key=<noreply>");
	line_is("get a\tb\x01\xff", "get verb=0 mode=0 opts=o want=vf T0" ZEROS
	    " key=<a\\09b\\01\\ff> nkeys=1 key=<a\\09b\\01\\ff>");
	line_bad("get", BAD_FORMAT, false, 0);
	line_bad("gets  ", BAD_FORMAT, false, 0);
	line_bad("get " K251, BAD_FORMAT, false, 0);
	line_bad("get a " K251 " b", BAD_FORMAT, false, 0);
	line_bad("get " K251 " noreply", BAD_FORMAT, false, 0);
}

static void
retrieval_with_touch(void)
{
	line_is("gat 30 a", "gat verb=0 mode=0 opts=To want=vf order=T T30" ZEROS " key=<a> nkeys=1 key=<a>");
	line_is("gats -1 a b", "gats verb=0 mode=0 opts=To want=vcf order=T T-1" ZEROS " key=<a> nkeys=2 key=<a> key=<b>");
	line_is("touch a 30", "touch verb=0 mode=0 opts=To want= order=T T30" ZEROS " key=<a>");
	line_is("touch a 30 noreply", "touch quiet verb=0 mode=0 opts=To want= order=T T30" ZEROS " key=<a>");
	line_is("touch a - x", "touch verb=0 mode=0 opts=To want= order=T T0" ZEROS " key=<a>");
	line_bad("gat 0", BAD_FORMAT, false, 0);
	line_bad("gat", BAD_FORMAT, false, 0);
	line_bad("gat x a", EXPTIME, false, 0);
	line_bad("gat x " K251, EXPTIME, false, 0);
	line_bad("gat 0 a " K251, BAD_FORMAT, false, 0);
	line_bad("touch a", BAD_FORMAT, false, 0);
	line_bad("touch a x", EXPTIME, false, 0);
	line_bad("touch a noreply", EXPTIME, true, 0);
	line_bad("touch " K251 " 0 noreply", BAD_FORMAT, true, 0);
}

static void
stores(void)
{
	line_is("set a 5 30 7", "set body verb=1 mode=0 opts=TFo want= T30 N0 R0 F5 C0 E0 D0 J0 vlen=7 key=<a>");
	line_is("set a 5 30 7 noreply",
	    "set quiet body verb=1 mode=0 opts=TFo want= T30 N0 R0 F5 C0 E0 D0 J0 vlen=7 key=<a>");
	line_is("set a 0 0 1 x y", "set body verb=1 mode=0 opts=TFo want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=1 key=<a>");
	line_is("add a 0 0 0", "add body verb=1 mode=1 opts=TFo want= T0" ZEROS " key=<a>");
	line_is("replace a 0 0 0", "replace body verb=1 mode=2 opts=TFo want= T0" ZEROS " key=<a>");
	line_is("append a 0 0 0", "append body verb=1 mode=3 opts=TFo want= T0" ZEROS " key=<a>");
	line_is("prepend a 0 0 -", "prepend body verb=1 mode=4 opts=TFo want= T0" ZEROS " key=<a>");
	line_is("cas a 1 -2 3 44", "cas body verb=1 mode=0 opts=CTFo want= T-2 N0 R0 F1 C44 E0 D0 J0 vlen=3 key=<a>");
	line_is("cas a 1 -2 3 0 noreply",
	    "cas quiet body verb=1 mode=0 opts=CTFo want= T-2 N0 R0 F1 C0 E0 D0 J0 vlen=3 key=<a>");
	line_is("set " K250 " 0 0 2147483645", "set body verb=1 mode=0 opts=TFo want= T0 N0 R0 F0 C0 E0 D0 J0 "
	    "vlen=2147483645 key=<" K250 ">");
	line_is("set a 4294967295 4294967300 1",
	    "set body verb=1 mode=0 opts=TFo want= T4 N0 R0 F4294967295 C0 E0 D0 J0 vlen=1 key=<a>");
}

/* Whether the body is swallowed depends on what is wrong; whether noreply hides it, on when that is noticed. */
static void
bad_stores(void)
{
	line_bad("set a 0 0", BAD_FORMAT, false, 0);
	line_bad("set a b noreply", BAD_FORMAT, false, 0);
	line_bad("set a 0 0 x", BAD_FORMAT, false, 0);
	line_bad("set a 0 0 -1 noreply", BAD_FORMAT, false, 0);
	line_bad("set a 0 0 2147483646", BAD_FORMAT, false, 0);
	line_bad("set a 0 0 000000000001", BAD_FORMAT, false, 0);
	line_bad("set " K251 " 0 0 5", BAD_FORMAT, false, 7);
	line_bad("set " K251 " 0 0 5 noreply", BAD_FORMAT, true, 7);
	line_bad("set a x 0 5", BAD_FORMAT, false, 7);
	line_bad("set a 4294967296 0 5 noreply", BAD_FORMAT, true, 7);
	line_bad("set a -1 0 5", BAD_FORMAT, false, 7);
	line_bad("set a 0 x 5", BAD_FORMAT, false, 7);
	line_bad("set a 0 99999999999999999999 5", BAD_FORMAT, false, 7);
	line_bad("cas a 0 0 5", BAD_FORMAT, false, 7);
	line_bad("cas a 0 0 5 noreply", BAD_FORMAT, true, 7);
	line_bad("cas a 0 0 5 -1", BAD_FORMAT, false, 7);
	line_bad("cas a 0 0 5 18446744073709551616", BAD_FORMAT, false, 7);
	line_bad("set a x 0 2147483645", BAD_FORMAT, false, 2147483647);
}

static void
deletes_and_counters(void)
{
	line_is("delete a", "delete verb=2 mode=0 opts= want= T0" ZEROS " key=<a>");
	line_is("delete a 0", "delete verb=2 mode=0 opts= want= T0" ZEROS " key=<a>");
	line_is("delete a noreply", "delete quiet verb=2 mode=0 opts= want= T0" ZEROS " key=<a>");
	line_is("delete a 0 noreply", "delete quiet verb=2 mode=0 opts= want= T0" ZEROS " key=<a>");
	line_is("delete noreply", "delete quiet verb=2 mode=0 opts= want= T0" ZEROS " key=<noreply>");
	line_bad("delete a b c d e", "ERROR", false, 0);
	line_bad("delete a b c noreply", "ERROR", false, 0);
	line_bad("delete", BAD_FORMAT, false, 0);
	line_bad("delete " K251 " noreply", BAD_FORMAT, true, 0);
	line_is("incr a 1", "incr verb=3 mode=5 opts= want=v T0 N0 R0 F0 C0 E0 D1 J0 vlen=0 key=<a>");
	line_is("decr a 18446744073709551615 noreply",
	    "decr quiet verb=3 mode=6 opts= want=v T0 N0 R0 F0 C0 E0 D18446744073709551615 J0 vlen=0 key=<a>");
	line_bad("incr a", BAD_FORMAT, false, 0);
	line_bad("incr a x", DELTA, false, 0);
	line_bad("incr a -1", DELTA, false, 0);
	line_bad("decr a 18446744073709551616", DELTA, false, 0);
	line_bad("incr a noreply", DELTA, true, 0);
	line_bad("incr " K251 " x", BAD_FORMAT, false, 0);
}

/* memcached looks no further than its 23rd word for a noreply. */
static void
noreply_far_out(void)
{
	char line[200] = "set a 0 0 1";

	for (unsigned i = 0; i < 17; i++)
		memcpy(line + 11 + 2 * i, " x", 3);
	memcpy(line + 11 + 34, " noreply", 9);
	line_is(line, "set quiet body verb=1 mode=0 opts=TFo want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=1 key=<a>");
	memcpy(line + 11 + 34, " x noreply", 11);
	line_is(line, "set body verb=1 mode=0 opts=TFo want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=1 key=<a>");
}

static void
many_keys(void)
{
	static char line[40000];
	struct command cmd;
	enum parse_close why;
	struct slice keys, key;
	size_t n = 4, used;
	unsigned seen = 0;

	memcpy(line, "get ", 4);
	for (unsigned i = 0; i < 5000; i++)
		n += (size_t)snprintf(line + n, sizeof line - n, "k%u ", i);
	line[n++] = '\n';
	ok(proto_parse(line, n, &lines_limits, &cmd, &used, &why) == PARSE_DONE && used == n, "a get of 5000 keys");
	is_u(cmd.nkeys, 5000, "... counts them");
	for (keys = cmd.keys; command_next_key(&keys, &key); seen++) {
		char want[16];

		snprintf(want, sizeof want, "k%u", seen);
		if (!slice_eq_str(key, want))
			break;
	}
	is_u(seen, 5000, "... and tells them one by one");
}

int
main(void)
{
	retrieval();
	retrieval_with_touch();
	stores();
	bad_stores();
	deletes_and_counters();
	noreply_far_out();
	many_keys();
	return (done_testing());
}
