/*
 * opts.c - kvload's command line.
 *
 * Numbers are taken whole or not at all; combinations that would measure
 * something else than they seem to are refused.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvload.h"
#include "target.h"

static const char usage_text[] =
"usage: kvload [options] HOST:PORT | UNIX-SOCKET-PATH\n"
"  -c, --conns N         connections (50)\n"
"  -t, --threads N       threads, connections shared out among them (1)\n"
"  -P, --depth N         requests per connection sent in one write (1)\n"
"  -o, --op OP           get, mg, set or ms (get)\n"
"  -k, --multi K         keys per read: get k1..kK, or K quiet mg and mn (1)\n"
"      --mg-flags F      flags of each mg (v)\n"
"      --resp            talk to a Redis: GET, SET, and MGET for several keys\n"
"      --no-flags        client flags are 0: what is asked keeps none\n"
"  -r, --ratio R:W       reads to writes; writes are set beside get, ms beside mg\n"
"  -n, --requests N      exactly N requests\n"
"  -d, --duration SEC    run for so long (10, unless -n is given)\n"
"      --rate N          open loop: N requests a second in all, evenly spaced,\n"
"                        latency counted from the moment each was due\n"
"      --poisson         with --rate: random gaps of that mean\n"
"  -K, --keys N          how many keys (100000)\n"
"      --key-prefix S    before each key's number (kv:)\n"
"      --key-size N      length of a key (16)\n"
"  -z, --zipf THETA      skewed choice of keys; 0 is uniform (0)\n"
"  -s, --size SPEC       value bytes: 100, 10-2000, 100:70,1000:30 (size:weight)\n"
"                        or lognormal:MEDIAN,SIGMA[,MAX] (100)\n"
"  -e, --exptime N       of what is set (0)\n"
"      --values-fixed    a key's value never changes: any other one is wrong\n"
"      --check-stale     one write of a key at a time, and a read that began\n"
"                        after a write was acknowledged must see it or a later\n"
"      --prefill         set every key first\n"
"      --prefill-only    set every key and stop\n"
"      --reconnect       open a connection again when it ends\n"
"      --expect-errors   error replies and ended connections are only counted\n"
"      --timeout MS      give up a connection that is silent so long (10000)\n"
"      --idle N          hold N connections until stdin ends\n"
"      --idle-touch      with --idle: one read on each first\n"
"      --cpu-of PID      report that process' CPU time during the run\n"
"      --seed N          another sequence of keys (1)\n"
"  -j, --json            one line of JSON\n"
"exit: 0 well, 1 wrong value or reply, 2 usage, 3 errors or lost connections\n";

enum {
	O_MG_FLAGS = 256, O_RESP, O_NO_FLAGS, O_RATE, O_POISSON, O_PREFIX,
	O_KEY_SIZE, O_FIXED, O_STALE, O_PREFILL, O_PREFILL_ONLY, O_RECONNECT,
	O_EXPECT, O_TIMEOUT, O_IDLE, O_IDLE_TOUCH, O_CPU_OF, O_SEED
};

static const struct option longs[] = {
	{ "conns", required_argument, NULL, 'c' },
	{ "threads", required_argument, NULL, 't' },
	{ "depth", required_argument, NULL, 'P' },
	{ "op", required_argument, NULL, 'o' },
	{ "multi", required_argument, NULL, 'k' },
	{ "mg-flags", required_argument, NULL, O_MG_FLAGS },
	{ "resp", no_argument, NULL, O_RESP },
	{ "no-flags", no_argument, NULL, O_NO_FLAGS },
	{ "ratio", required_argument, NULL, 'r' },
	{ "requests", required_argument, NULL, 'n' },
	{ "duration", required_argument, NULL, 'd' },
	{ "rate", required_argument, NULL, O_RATE },
	{ "poisson", no_argument, NULL, O_POISSON },
	{ "keys", required_argument, NULL, 'K' },
	{ "key-prefix", required_argument, NULL, O_PREFIX },
	{ "key-size", required_argument, NULL, O_KEY_SIZE },
	{ "zipf", required_argument, NULL, 'z' },
	{ "size", required_argument, NULL, 's' },
	{ "exptime", required_argument, NULL, 'e' },
	{ "values-fixed", no_argument, NULL, O_FIXED },
	{ "check-stale", no_argument, NULL, O_STALE },
	{ "prefill", no_argument, NULL, O_PREFILL },
	{ "prefill-only", no_argument, NULL, O_PREFILL_ONLY },
	{ "reconnect", no_argument, NULL, O_RECONNECT },
	{ "expect-errors", no_argument, NULL, O_EXPECT },
	{ "timeout", required_argument, NULL, O_TIMEOUT },
	{ "idle", required_argument, NULL, O_IDLE },
	{ "idle-touch", no_argument, NULL, O_IDLE_TOUCH },
	{ "cpu-of", required_argument, NULL, O_CPU_OF },
	{ "seed", required_argument, NULL, O_SEED },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("kvload: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputs(" (kvload --help says more)\n", stderr);
	exit(2);
}

static uint64_t
number(const char *what, const char *text, uint64_t low, uint64_t high)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
	    v < low || v > high)
		fail("%s: '%s' is not a number from %llu to %llu", what, text,
		    (unsigned long long)low, (unsigned long long)high);
	return v;
}

static double
real(const char *what, const char *text, double low, double high)
{
	char *end;
	double v;

	v = strtod(text, &end);
	if (end == text || *end != '\0' || !(v >= low && v <= high))
		fail("%s: '%s' is not a number from %g to %g", what, text, low,
		    high);
	return v;
}

static void
set_op(struct opts *o, const char *text)
{
	static const char *const names[] = { "get", "mg", "set", "ms" };

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			o->read_op = i == OP_GET || i == OP_SET ? OP_GET : OP_MG;
			o->write_op = o->read_op == OP_GET ? OP_SET : OP_MS;
			o->only_writes = i == OP_SET || i == OP_MS;
			return;
		}
	fail("--op: '%s' is none of get, mg, set, ms", text);
}

static void
set_ratio(struct opts *o, const char *text)
{
	unsigned reads, writes;
	char rest;

	if (sscanf(text, "%5u:%5u%c", &reads, &writes, &rest) != 2 ||
	    reads + writes == 0)
		fail("--ratio: '%s' is not like 90:10", text);
	o->reads = reads;
	o->writes = writes;
}

static void
set_size(struct opts *o, const char *text)
{
	if (!gen_size_parse(&o->gen.size, text))
		fail("--size: '%s' is not like 100, 10-2000, 100:70,1000:30 or "
		    "lognormal:500,1", text);
}

static bool
set_simple(struct opts *o, int c)
{
	switch (c) {
	case 'j':		o->json = true; break;
	case O_RESP:		o->resp = true; break;
	case O_NO_FLAGS:	o->no_flags = true; break;
	case O_POISSON:		o->poisson = true; break;
	case O_FIXED:		o->gen.fixed = true; break;
	case O_STALE:		o->check_stale = true; break;
	case O_PREFILL_ONLY:	o->prefill_only = true; /* FALLTHROUGH */
	case O_PREFILL:		o->prefill = true; break;
	case O_RECONNECT:	o->reconnect = true; break;
	case O_EXPECT:		o->expect_errors = true; break;
	case O_IDLE_TOUCH:	o->idle_touch = true; break;
	case 'h':
		(void)fputs(usage_text, stdout);
		exit(0);
	default:
		return false;
	}
	return true;
}

static void
set_value(struct opts *o, int c, const char *v, unsigned *key_size)
{
	switch (c) {
	case 'c': o->conns = (unsigned)number("--conns", v, 1, CONNS_MAX); break;
	case 't':
		o->threads = (unsigned)number("--threads", v, 1, THREADS_MAX);
		break;
	case 'P': o->depth = (unsigned)number("--depth", v, 1, DEPTH_MAX); break;
	case 'o': set_op(o, v); break;
	case 'k': o->multi = (unsigned)number("--multi", v, 1, MULTI_MAX); break;
	case 'r': set_ratio(o, v); break;
	case 'n': o->requests = number("--requests", v, 1, UINT64_MAX / 2); break;
	case 'd':
		o->duration_ns = (uint64_t)(real("--duration", v, 0.001, 1e6) *
		    1e9);
		break;
	case 'K':
		o->gen.nkeys = (uint32_t)number("--keys", v, 1, 4000000000u);
		break;
	case 'z': o->gen.theta = real("--zipf", v, 0, 10); break;
	case 's': set_size(o, v); break;
	case 'e':
		o->exptime = (uint32_t)number("--exptime", v, 0, UINT32_MAX);
		break;
	case O_MG_FLAGS: o->mg_flags = v; break;
	case O_RATE: o->rate = real("--rate", v, 0.01, 1e8); break;
	case O_PREFIX: o->gen.prefix = v; break;
	case O_KEY_SIZE:
		*key_size = (unsigned)number("--key-size", v, 1, GEN_KEY_MAX);
		break;
	case O_TIMEOUT:
		o->timeout_ns = number("--timeout", v, 1, 3600000) * 1000000;
		break;
	case O_IDLE: o->idle = (unsigned)number("--idle", v, 1, CONNS_MAX); break;
	case O_CPU_OF: o->cpu_of = (pid_t)number("--cpu-of", v, 1, 1 << 22); break;
	case O_SEED: o->seed = number("--seed", v, 0, UINT64_MAX / 2); break;
	default: exit(2);
	}
}

static void
set_target(struct opts *o, const char *text)
{
	const char *why = target_parse(text, &o->addr, &o->addr_len);

	o->target = text;
	if (why != NULL)
		fail("'%s': %s", text, why);
}

/* A key of exactly key_size bytes, with room for the largest number. */
static void
settle_keys(struct opts *o, unsigned key_size)
{
	unsigned need = 1;

	for (uint32_t n = o->gen.nkeys - 1; n >= 10; n /= 10)
		need++;
	o->gen.prefix_len = (unsigned)strlen(o->gen.prefix);
	if (o->gen.prefix_len + need > key_size)
		fail("--key-size: %u is too short for the prefix '%s' and %u "
		    "digits", key_size, o->gen.prefix, need);
	for (const char *p = o->gen.prefix; *p != '\0'; p++)
		if (*p <= ' ' || *p == 127)
			fail("--key-prefix: has a blank or control character");
	o->gen.digits = key_size - o->gen.prefix_len;
}

static void
settle(struct opts *o, unsigned key_size)
{
	settle_keys(o, key_size);
	if (o->reads + o->writes == 0) {
		o->reads = !o->only_writes;
		o->writes = o->only_writes;
	} else if (o->only_writes)
		fail("--ratio goes with --op get or mg");
	o->mg_value = strchr(o->mg_flags, 'v') != NULL;
	for (const char *p = o->mg_flags; *p != '\0'; p++)
		if ((*p < '0' || *p > '9') && *p != ' ' &&
		    strchr("bcfhklOstv", *p) == NULL)
			fail("--mg-flags: '%c' changes what is stored or how it "
			    "is answered", *p);
	if (o->multi > 1 && o->read_op == OP_MG && !o->mg_value)
		fail("--multi with mg needs the flag v");
	if (o->resp && (o->read_op == OP_MG || o->idle_touch))
		fail("--resp goes with --op get and set only");
	if (o->requests == 0 && o->duration_ns == 0)
		o->duration_ns = 10000000000u;
	if (o->threads > o->conns)
		fail("--threads: more than --conns");
	if (o->poisson && o->rate == 0)
		fail("--poisson needs --rate");
	if (o->check_stale && o->gen.fixed)
		fail("--check-stale and --values-fixed exclude each other");
	/* Shorter values do not say which version they are. */
	if (o->check_stale && o->gen.size.kind == SIZE_LOGNORMAL)
		o->gen.size.min = GEN_HEAD;
	if (o->check_stale && o->gen.size.min < GEN_HEAD)
		fail("--check-stale needs values of at least %d bytes",
		    GEN_HEAD);
	o->gen.run = o->gen.fixed ? 0 :
	    (uint32_t)time(NULL) * 2654435761u ^ (uint32_t)getpid();
}

void
opts_parse(struct opts *o, int argc, char **argv)
{
	unsigned key_size = 16;
	int c;

	memset(o, 0, sizeof *o);
	o->conns = 50;
	o->threads = o->depth = o->multi = 1;
	o->mg_flags = "v";
	o->timeout_ns = 10000000000u;
	o->seed = 1;
	o->gen.nkeys = 100000;
	o->gen.prefix = "kv:";
	set_op(o, "get");
	set_size(o, "100");
	while ((c = getopt_long(argc, argv, "c:t:P:o:k:r:n:d:K:z:s:e:jh", longs,
	    NULL)) != -1)
		if (!set_simple(o, c))
			set_value(o, c, optarg, &key_size);
	if (optind != argc - 1)
		fail("exactly one target is wanted");
	set_target(o, argv[optind]);
	settle(o, key_size);
}
