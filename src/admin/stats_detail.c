/* stats_detail.c - `stats detail on|off|dump`: counters per key prefix. */
#include "config.h"

#include <inttypes.h>

#include "admin/internal.h"
#include "req/prefix.h"
#include "req/watch.h"

static bool
put_prefix(void *arg, struct slice prefix, const struct prefix_counts *n)
{
	struct stats_out *o = arg;

	stats_line(o, "PREFIX %.*s get %" PRIu64 " hit %" PRIu64 " set %"
	    PRIu64 " del %" PRIu64, (int)prefix.len, prefix.p, n->gets,
	    n->hits, n->sets, n->deletes);
	return (!o->lost);
}

void
stats_detail(struct stats_out *o, const struct stats_args *a)
{
	struct shared *sh = a->cl->ctx->shared;
	struct slice w = a->nwords > 1 ? a->words[1] : SLICE_LIT("?");

	if (a->cl->ctx->conf->no_dump)
		stats_line(o, "CLIENT_ERROR stats detail not allowed");
	else if (slice_has_prefix(SLICE_LIT("on"), w)) {
		watch_set_detail(sh, true);
		stats_line(o, "OK");
	} else if (slice_has_prefix(SLICE_LIT("off"), w)) {
		watch_set_detail(sh, false);
		stats_line(o, "OK");
	} else if (slice_has_prefix(SLICE_LIT("dump"), w)) {
		prefixes_each(sh->prefixes, put_prefix, o);
		stats_end(o);
	} else
		stats_line(o,
		    "CLIENT_ERROR usage: stats detail on|off|dump");
}
