/* Unit tests of src/proto/record.c; the file is included to reach its statics. */
#include "proto/record.c"
#include "record_text.h"
#include "tap.h"

#define FORMAT	"CLIENT_ERROR bad command line format"
#define TOKEN	"CLIENT_ERROR bad token in command line format"
#define INVALID	"CLIENT_ERROR invalid flag"
#define TWICE	"CLIENT_ERROR duplicate flag"
#define DECODE	"CLIENT_ERROR error decoding key"
#define MANY	"CLIENT_ERROR options flags are too long"
#define PAGE	"CLIENT_ERROR bad page token"
#define LONG_KEY "CLIENT_ERROR item key longer than 1024 bytes"
#define PREDICATE "CLIENT_ERROR bad predicate"
#define REVERSED "CLIENT_ERROR reversed range"

static uint8_t
id_of(const char *line)
{
	static const char letters[] = "gpdmsh";

	return ((uint8_t)(CMD_KG + (strchr(letters, line[1]) - letters)));
}

/* Parsed from memory of just its size, so that a sanitizer sees what reads past it. */
static const char *
outcome(struct slice line, bool sub)
{
	static struct description d;
	struct record_cmd cmd;
	char *exact = malloc(line.len + 1);

	memset(&cmd, 0xa5, sizeof cmd);
	memcpy(exact + 1, line.p, line.len);
	if (sub)
		record_parse_sub(slice_of(exact + 1, line.len), &cmd);
	else
		record_parse(slice_of(exact + 1, line.len), id_of(line.p), &cmd);
	/* It owns its bytes. */
	memset(exact, 0xa5, line.len + 1);
	free(exact);
	d.len = 0;
	d.text[0] = '\0';
	describe_record(&d, &cmd);
	record_cmd_end(&cmd);
	return (d.text);
}

static void
line_is(const char *line, const char *want)
{
	is_s(outcome(slice_str(line), false), want, "%.60s", line);
}

static void
sub_is(const char *line, const char *want)
{
	is_s(outcome(slice_str(line), true), want, "in km: %.60s", line);
}

static void
reads(void)
{
	line_is("kg user:42", "kg  id=<user:42> returns=kv");
	line_is("kg user:42 Gname Uzip v k", "kg GU id=<user:42> G=<name> U=<zip> returns=vk");
	line_is("kg  u   Ka  Kb K Ka ", "kg K id=<u> K=<a> K=<b> K=<> K=<a> returns=kv");
	line_is("kg u Htmp/ r f c s t k v", "kg Hrc id=<u> H=<tmp/> returns=fcstkv");
	line_is("kg u G U H", "kg GUH id=<u> G=<> U=<> H=<> returns=kv");
	line_is("kg u Ga Ua", "kg GU id=<u> G=<a> U=<a> returns=kv");
	line_is("kg u B1 M2 X0 D4", "kg BMXD id=<u> B1 M2 X0 D4 returns=kv");
	line_is("kg u B18446744073709551615 q O12 Ndeadbeef Lname/ Zzstd Zlz4 Zzstd",
	    "kg BNLZq id=<u> B18446744073709551615 M0 X0 D0 N=<deadbeef> L=<name> Z2 returns=kvO O=<O12>");
	line_is("kg u O", "kg  id=<u> returns=kvO O=<O>");
	line_is("kg u O7 v", "kg  id=<u> returns=Ov O=<O7>");
	line_is("kg u t", "kg  id=<u> returns=t");
	line_is("kg u vv kx qq", "kg q id=<u> returns=vk");
	line_is("ks ngsegment S1/4", "ks S id=<ngsegment> S1/4 returns=ikv");
	line_is("ks n S1024/1024 b i B9 q", "ks bBSq id=<n> B9 M0 X0 D0 S1024/1024 returns=i");
	line_is("ks Zm9v b", "ks b id=<Zm9v> returns=ikv");
	line_is("kh", "kh  id=<>");
	line_is("kh ", "kh  id=<>");
	line_is("kh n Zzstd O1 q", "kh Zq id=<n> Z2 O=<O1>");
}

static void
writes(void)
{
	line_is("kd u", "kd  id=<u>");
	line_is("kd u K Ka c q O1", "kd Kqc id=<u> K=<> K=<a> O=<O1>");
	line_is("kd u Htmp/ E17 Pff Ln/", "kd HEPL id=<u> H=<tmp/> E17 P000000000000000000000000000000ff L=<n>");
	line_is("kd u E0", "kd E id=<u> E0");
	line_is("kp user:42 2 E1795305600000000 Pa1",
	    "kp EP id=<user:42> count=2 E1795305600000000 P000000000000000000000000000000a1");
	line_is("kp u 10000 b", DECODE " count=10000");
	line_is("kp dQ== 10000 b c Ln/ q O4", "kp bLqc id=<u> count=10000 L=<n> O=<O4>");
	line_is("km 3 a", "km a id=<> count=3");
	line_is("km 1000 E1 P0 c O q", "km EPqc id=<> count=1000 E1 P00000000000000000000000000000000 O=<O>");
	line_is("kd u E1 P0123456789abcdefABCDEF0123456789", "kd EP id=<u> E1 P0123456789abcdefabcdef0123456789");
}

static void
within_km(void)
{
	sub_is("kp u 2", "kp  id=<u> count=2");
	sub_is("kp dQ== 2 b Ln/", "kp bL id=<u> count=2 L=<n>");
	sub_is("kd u Ka Kb", "kd K id=<u> K=<a> K=<b>");
	sub_is("kd u Ga Ub Ha b Ln/", DECODE);
	sub_is("kd u Ga Ub Ha Ln/", "kd GUHL id=<u> G=<a> U=<b> H=<a> L=<n>");
	sub_is("kp u 2 E1", INVALID " count=2");
	sub_is("kp u 2 Pa", INVALID " count=2");
	sub_is("kp u 2 q", INVALID " count=2");
	sub_is("kd u c", INVALID);
	sub_is("kd u O1", INVALID);
	sub_is("kd", FORMAT);
	sub_is("kp u", FORMAT);
	sub_is("kp u x", FORMAT);
	sub_is("kg u", FORMAT);
	sub_is("", FORMAT);
	sub_is(" kd u", FORMAT);
	sub_is("kpu 1", FORMAT);
}

/* RECORDS: which command allows what. */
static void
letters(void)
{
	static const struct { const char *head, *takes; } takers[] = {
		{ "kg u", "bKGUHrBMXNDkvstcfZOqL" }, { "kd u", "bKGUHEPcOqL" }, { "kp u 1", "bEPcOqL" },
		{ "km 1", "aEPcOq" }, { "ks u", "bSBMXNDikvstcfZOq" }, { "kh u", "ZOq" },
	};
	char line[64];

	for (unsigned i = 0; i < NITEMS(takers); i++) {
		unsigned wrong = 0;

		for (char c = 'A'; c <= 'z'; c++) {
			bool takes = strchr(takers[i].takes, c) != NULL;

			snprintf(line, sizeof line, "%s %c", takers[i].head, c);
			if ((strncmp(outcome(slice_str(line), false), INVALID, sizeof INVALID - 1) == 0) == takes) {
				printf("# %s\n", line);
				wrong++;
			}
			/* K and Z may come again. */
			if (!takes)
				continue;
			snprintf(line, sizeof line, "%s %c %c", takers[i].head, c, c);
			if ((strncmp(outcome(slice_str(line), false), TWICE, sizeof TWICE - 1) == 0) ==
			    (c == 'K' || c == 'Z')) {
				printf("# %s\n", line);
				wrong++;
			}
		}
		ok(wrong == 0, "%s takes %s and nothing else", takers[i].head, takers[i].takes);
	}
}

static void
errors(void)
{
	line_is("kg", FORMAT);
	line_is("kg ", FORMAT);
	line_is("ks", FORMAT);
	line_is("kp", FORMAT);
	line_is("kp u", FORMAT);
	line_is("kp u x", FORMAT);
	line_is("kp u -1", FORMAT);
	line_is("kp u 0", FORMAT);
	line_is("kp u 4294967296", FORMAT);
	line_is("kp u 4294967295", "CLIENT_ERROR too many items count=4294967295");
	line_is("kp u 10001", "CLIENT_ERROR too many items count=10001");
	line_is("km", FORMAT);
	line_is("km x", FORMAT);
	line_is("km 1001", "CLIENT_ERROR too many mutations count=1001");
	line_is("kp u 2 h", INVALID " count=2");
	line_is("kp u 2 {", FORMAT " count=2");
	line_is("kp u 2 c c", TWICE " count=2");
	line_is("kg u {", FORMAT);
	line_is("kg u v v {", FORMAT);
	line_is("kg u \xe9", FORMAT);
	line_is("kg u 9", INVALID);
	line_is("kg u [", INVALID);
	line_is("kg u B", TOKEN);
	line_is("kg u B0", TOKEN);
	line_is("kg u M0", TOKEN);
	line_is("kg u D0", TOKEN);
	line_is("kg u D-1", TOKEN);
	line_is("kg u X", TOKEN);
	line_is("kg u M18446744073709551616", TOKEN);
	line_is("ks u S", TOKEN);
	line_is("ks u S1", TOKEN);
	line_is("ks u S1/", TOKEN);
	line_is("ks u S/1", TOKEN);
	line_is("ks u S0/1", TOKEN);
	line_is("ks u S2/1", TOKEN);
	line_is("ks u S1/1025", TOKEN);
	line_is("ks u S1/2/3", TOKEN);
	line_is("kg u N", PAGE);
	line_is("kg u Na\tb", PAGE);
	line_is("kg u N\xe9", PAGE);
	line_is("kg u L", TOKEN);
	line_is("kg u Lname", TOKEN);
	line_is("kg u L/", "kg L id=<u> L=<> returns=kv");
	line_is("kd u E", TOKEN);
	line_is("kd u E1x", TOKEN);
	line_is("kd u E1 P", TOKEN);
	line_is("kd u E1 Pg", TOKEN);
	line_is("kd u E1 P0123456789abcdef0123456789abcdef0", TOKEN);
	line_is("kd u Pa", "CLIENT_ERROR P needs E");
	line_is("kp u 1 Pa", "CLIENT_ERROR P needs E count=1");
	line_is("kg u Ooooooooooooooooooooooooooooooooo", "CLIENT_ERROR opaque token too long");
	line_is("kg u K G", PREDICATE);
	line_is("kg u Ka Ub", PREDICATE);
	line_is("kg u H Kb", PREDICATE);
	line_is("kg u r Kb", PREDICATE);
	line_is("kd u K H", PREDICATE);
	line_is("kg u Gb Ua", REVERSED);
	line_is("kg u Ga U", REVERSED);
	line_is("kg u Gab Ua", REVERSED);
	line_is("kg u G\xff Ua", REVERSED);
	line_is("kg u U\xff Ga", "kg GU id=<u> G=<a> U=<\\ff> returns=kv");
}

/* Which of two errors is told: as with meta commands. */
static void
errors_that_meet(void)
{
	line_is("kg u B0 h", INVALID);
	line_is("kg u B0 N", PAGE);
	line_is("kg u N B0", TOKEN);
	line_is("kg u h v v", INVALID);
	line_is("kg u v v h", TWICE);
	line_is("kg u Gb Ua K", PREDICATE);
	line_is("kg u K! G b", DECODE);
	line_is("kp u 0 h", FORMAT);
	line_is("kp u 10001 h", "CLIENT_ERROR too many items count=10001");
	line_is("kp u 10001 {", FORMAT " count=10001");
}

static void
names(void)
{
	line_is("kg dTo0Mg== KbmFtZQ== K KYQBi b", "kg bK id=<u:42> K=<name> K=<> K=<a\\00b> returns=kv");
	line_is("kd dTo0Mg== GYQ== U b", "CLIENT_ERROR reversed range");
	line_is("kd dTo0Mg== b GYQ== UYg== HYWI=", "kd bGUH id=<u:42> G=<a> U=<b> H=<ab>");
	line_is("kg Zm9 b", DECODE);
	line_is("kg ==== b", DECODE);
	line_is("kg Zm9v b KYQ", DECODE);
	line_is("kg Zm9v b K=", DECODE);
	line_is("kg Zm9v b H!!!", DECODE);
	line_is("kg Zm9v K!!!", "kg K id=<Zm9v> K=<!!!> returns=kv");
}

/* A line of pieces: fmt with n times c. */
static const char *
outcome_of(const char *fmt, char c, size_t n)
{
	static char line[RECORD_LINE_MAX];
	char *run = malloc(n + 1);

	memset(run, c, n);
	run[n] = '\0';
	snprintf(line, sizeof line, fmt, run);
	free(run);
	return (outcome(slice_str(line), false));
}

static void
limits(void)
{
	static char line[RECORD_LINE_MAX];
	size_t n;

	ok(strncmp(outcome_of("kg %s", 'x', 250), "kg  id", 6) == 0, "an id of 250 bytes");
	is_s(outcome_of("kg %s", 'x', 251), FORMAT, "one of 251");
	is_s(outcome_of("kg %s h", 'x', 251), FORMAT, "... is worse than a flag");
	is_s(outcome_of("ks %s b", 'x', 251), FORMAT, "a name of 251");
	ok(strncmp(outcome_of("kg %s== b", 'A', 334), "kg b id", 7) == 0, "an id of 250 bytes in base64");
	is_s(outcome_of("kg %s b", 'A', 336), FORMAT, "one of 252");
	is_s(outcome_of("kp %s 3", 'x', 251), FORMAT " count=3", "kp with a long id has a body");
	ok(strncmp(outcome_of("kg u K%s", 'x', 1024), "kg K id", 7) == 0, "an item key of 1024 bytes");
	is_s(outcome_of("kg u Ka K%s", 'x', 1025), LONG_KEY, "one of 1025");
	is_s(outcome_of("kg u G%s", 'x', 1025), LONG_KEY, "G of 1025");
	is_s(outcome_of("kg u U%s", 'x', 1025), LONG_KEY, "U of 1025");
	is_s(outcome_of("kd u H%s", 'x', 1025), LONG_KEY, "H of 1025");
	ok(strncmp(outcome_of("kg dQ== K%s== b", 'A', 1366), "kg bK id", 8) == 0, "an item key of 1024 bytes in base64");
	is_s(outcome_of("kg dQ== K%s b", 'A', 1368), LONG_KEY, "one of 1026");
	ok(strncmp(outcome_of("kg u N%s", 'x', 2048), "kg N id", 7) == 0, "a page token of 2048 bytes");
	is_s(outcome_of("kg u N%s", 'x', 2049), PAGE, "one of 2049");

	n = (size_t)snprintf(line, sizeof line, "kg u");
	for (unsigned i = 0; i < 1000; i++)
		n += (size_t)snprintf(line + n, sizeof line - n, " K%u", i);
	memcpy(line + n, " v f t s c B1 M1 X1 D1 q", 25);
	ok(strncmp(outcome(slice_str(line), false), "kg KBMXDqc id=<u> K=<0> K=<1>", 29) == 0,
	    "1000 K beside other flags");
	memcpy(line + n, " K", 3);
	is_s(outcome(slice_str(line), false), MANY, "1001 K");
	n = (size_t)snprintf(line, sizeof line, "kg u");
	for (unsigned i = 0; i < 20; i++)
		n += (size_t)snprintf(line + n, sizeof line - n, " Zx");
	is_s(outcome(slice_str(line), false), "kg Z id=<u> Z0 returns=kv", "20 flags");
	memcpy(line + n, " K", 3);
	is_s(outcome(slice_str(line), false), "kg KZ id=<u> K=<> Z0 returns=kv", "K is none of them");
	memcpy(line + n, " v", 3);
	is_s(outcome(slice_str(line), false), MANY, "21");
	memcpy(line + n, " h", 3);
	is_s(outcome(slice_str(line), false), MANY, "... whatever they are");
	memcpy(line + n, " {", 3);
	is_s(outcome(slice_str(line), false), FORMAT, "... but for what no flag can be");
}

int
main(void)
{
	reads();
	writes();
	within_km();
	letters();
	errors();
	errors_that_meet();
	names();
	limits();
	return (done_testing());
}
