/*
 * hitratio.c - replays a stream read-through against a server and prints the hit ratio: command line, report.
 *
 * Exit status: 0 all well; 1 a wrong value; 2 usage, or a trace that cannot be read; 3 the server was lost.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../target.h"
#include "replay.h"

static const char usage_text[] =
"usage: hitratio [options] STREAM HOST:PORT | UNIX-SOCKET-PATH\n"
"  -l, --list         the streams there are\n"
"  -f, --trace        STREAM is a CSV file: timestamp,key,size,op,ttl or\n"
"                     timestamp,key,key size,value size,client id,op,ttl\n"
"  -n, --requests N   so many requests instead of the stream's own number\n"
"      --scale F      keys, requests and periods of the stream times F (1)\n"
"      --seed N       another sequence (1)\n"
"  -w, --window N     requests on the wire at once (64)\n"
"      --speed F      keep to the stream's clock, F times as fast, its TTLs\n"
"                     shorter by as much; 0: as fast as possible (0, but 1 for\n"
"                     streams whose TTLs count)\n"
"      --flush        flush_all first\n"
"  -j, --json         one line of JSON\n"
"exit: 0 well, 1 wrong value, 2 usage or trace, 3 server lost\n";

enum { O_SCALE = 256, O_SEED, O_SPEED, O_FLUSH };

static const struct option longs[] = {
	{ "list", no_argument, NULL, 'l' },
	{ "trace", no_argument, NULL, 'f' },
	{ "requests", required_argument, NULL, 'n' },
	{ "scale", required_argument, NULL, O_SCALE },
	{ "seed", required_argument, NULL, O_SEED },
	{ "window", required_argument, NULL, 'w' },
	{ "speed", required_argument, NULL, O_SPEED },
	{ "flush", no_argument, NULL, O_FLUSH },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

struct opts {
	struct replay_opts replay;
	const char	*stream;
	bool		 trace;
	bool		 json;
	uint64_t	 requests;
	uint64_t	 seed;
	double		 scale;
	double		 speed;		/* < 0: by the stream */
};

static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("hitratio: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputs(" (hitratio --help says more)\n", stderr);
	exit(2);
}

static uint64_t
number(const char *name, const char *text, uint64_t least, uint64_t most)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || v < least || v > most)
		fail("%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, name, text, least, most);
	return v;
}

static double
real(const char *name, const char *text, double least, double most)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v >= least && v <= most))
		fail("%s: '%s' is not a number from %g to %g", name, text, least, most);
	return v;
}

static void __attribute__((noreturn))
list(void)
{
	struct stream_info info;

	for (unsigned i = 0; stream_list(i, &info); i++)
		(void)printf("%-12s %8" PRIu64 "  %s\n", info.name, info.requests, info.says);
	exit(0);
}

static void
set_option(struct opts *o, int c, const char *v)
{
	switch (c) {
	case 'l': list();
	case 'f': o->trace = true; break;
	case 'n': o->requests = number("--requests", v, 1, UINT64_MAX / 2); break;
	case 'w': o->replay.window = (unsigned)number("--window", v, 1, WINDOW_MAX); break;
	case 'j': o->json = true; break;
	case O_SCALE: o->scale = real("--scale", v, 0.001, 1); break;
	case O_SEED: o->seed = number("--seed", v, 0, UINT32_MAX); break;
	case O_SPEED: o->speed = real("--speed", v, 0, 1e9); break;
	case O_FLUSH: o->replay.flush = true; break;
	case 'h':
		(void)fputs(usage_text, stdout);
		exit(0);
	default: exit(2);
	}
}

static void
parse(struct opts *o, int argc, char **argv)
{
	const char *why;
	int c;

	memset(o, 0, sizeof *o);
	o->replay.window = 64;
	o->replay.show_stats = true;
	o->seed = 1;
	o->scale = 1;
	o->speed = -1;
	while ((c = getopt_long(argc, argv, "lfn:w:jh", longs, NULL)) != -1)
		set_option(o, c, optarg);
	if (optind != argc - 2)
		fail("exactly one stream and one target are wanted");
	o->stream = argv[optind];
	o->replay.target = argv[optind + 1];
	why = target_parse(o->replay.target, &o->replay.addr, &o->replay.addr_len);
	if (why != NULL)
		fail("'%s': %s", o->replay.target, why);
	if (o->trace && o->scale < 1)
		fail("--scale: a trace is what it is");
}

static double
ratio(uint64_t hits, uint64_t gets)
{
	return gets == 0 ? 0 : (double)hits / (double)gets;
}

static void
report_json(const struct stream_info *info, const struct replay_counts *n)
{
	(void)printf("{\"stream\": \"");
	for (const char *p = info->name; *p != '\0'; p++)
		(void)printf(*p == '"' || *p == '\\' || (unsigned char)*p < ' ' ? "\\u%04x" : "%c", (unsigned char)*p);
	(void)printf("\", \"requests\": %" PRIu64 ", \"gets\": %" PRIu64 ", \"hits\": %" PRIu64 ", \"hit_ratio\": %.6f, "
	    "\"hit_ratio_all\": %.6f, \"sets\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"wrong\": %" PRIu64
	    ", \"seconds\": %.3f, \"late\": %.3f", n->requests, n->gets, n->hits, ratio(n->hits, n->gets),
	    ratio(n->hits_all, n->gets_all), n->sets, n->refused, n->wrong, n->seconds, n->late);
	if (n->has_stats)
		(void)printf(", \"items\": %" PRIu64 ", \"evictions\": %" PRIu64 ", \"limit\": %" PRIu64, n->items,
		    n->evictions, n->limit);
	(void)printf("}\n");
}

static void
report_text(const struct stream_info *info, const struct replay_counts *n)
{
	(void)printf("%s (%s): hit ratio %.4f", info->name, info->says, ratio(n->hits, n->gets));
	if (n->gets < n->gets_all)
		(void)printf(" in the second half, %.4f in all", ratio(n->hits_all, n->gets_all));
	(void)printf("\n%" PRIu64 " requests in %.1f s, %" PRIu64 " gets, %" PRIu64 " sets, %" PRIu64 " of them refused, %"
	    PRIu64 " wrong values\n", n->requests, n->seconds, n->gets_all, n->sets, n->refused, n->wrong);
	if (n->has_stats)
		(void)printf("server: %" PRIu64 " items, %" PRIu64 " evictions, %.0f MiB\n", n->items, n->evictions,
		    (double)n->limit / 1048576);
}

int
main(int argc, char **argv)
{
	static const int status[] = {
		[REPLAY_WELL] = 0, [REPLAY_WRONG] = 1, [REPLAY_STREAM] = 2, [REPLAY_LOST] = 3
	};
	struct replay_counts n;
	struct stream_info info;
	enum replay_end end;
	struct stream *st;
	const char *why;
	struct opts o;

	parse(&o, argc, argv);
	st = o.trace ? stream_open_trace(o.stream, o.requests, &why) :
	    stream_open(o.stream, o.seed, o.scale, o.requests, &why);
	if (st == NULL)
		fail("%s: %s", o.stream, why);
	info = stream_info(st);
	o.replay.speed = o.speed >= 0 ? o.speed : info.timed ? 1 : 0;
	end = replay_run(&o.replay, st, &n);
	if (end == REPLAY_WELL || end == REPLAY_WRONG)
		o.json ? report_json(&info, &n) : report_text(&info, &n);
	stream_close(&st);
	return status[end];
}
