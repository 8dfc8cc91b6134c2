/* stats_settings.c - `stats settings`: the configuration, and what has changed in it while running. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "admin/internal.h"
#include "conf/model.h"
#include "obs/log.h"
#include "req/observe.h"

struct settings {
	struct stats_out *o;
	const struct shared *sh;
};

static bool
is(const char *a, const char *b)
{
	return (strcmp(a, b) == 0);
}

/* conf_setting_f. Exactly two spaces in a line, whatever the value: some readers split there. */
static void
put_setting(void *arg, const char *name, const char *value)
{
	struct settings *s = arg;
	struct cache_stats st;

	if (is(name, "maxbytes")) {
		cache_stats(s->sh->cache, &st);
		stats_u64(s->o, name, st.mem_limit);
	} else if (is(name, "verbosity"))
		stats_u64(s->o, name, log_verbosity());
	else if (is(name, "detail_enabled"))
		stats_str(s->o, name, (atomic_load(&s->sh->observe) &
		    OBSERVE_DETAIL) != 0 ? "yes" : "no");
	else
		stats_str(s->o, name, value);
}

void
stats_settings(struct stats_out *o, const struct stats_args *a)
{
	struct settings s = { o, a->cl->ctx->shared };

	conf_each_setting(a->cl->ctx->conf, put_setting, &s);
	stats_end(o);
}
