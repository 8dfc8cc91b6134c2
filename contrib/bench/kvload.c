/*
 * kvload.c - load generator for servers of memcached's protocols and RESP: entry and status.
 *
 * Exit status: 0 all well; 1 a wrong value or a reply no server gives;
 * 2 usage; 3 errors or lost connections that --expect-errors did not announce.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "kvload.h"

/* A connection is a descriptor: take all that we are allowed. */
static void
raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

int
main(int argc, char **argv)
{
	struct outcome *out;
	struct opts opts;
	int status = 0;

	opts_parse(&opts, argc, argv);
	raise_limits();
	(void)signal(SIGPIPE, SIG_IGN);
	if (opts.idle > 0)
		return idle_run(&opts);
	out = calloc(1, sizeof *out);
	if (out == NULL || !gen_setup(&opts.gen)) {
		(void)fprintf(stderr, "kvload: out of memory\n");
		free(out);
		return 3;
	}
	if (!load_run(&opts, out))
		status = 3;
	else if (opts.json)
		report_json(&opts, out);
	else
		report_text(&opts, out);
	if (stats_wrong(&out->prefill) + stats_wrong(&out->run) > 0)
		status = 1;
	else if (!opts.expect_errors &&
	    stats_trouble(&out->prefill) + stats_trouble(&out->run) > 0)
		status = 3;
	gen_teardown(&opts.gen);
	free(out);
	return status;
}
