/*
 * stats_text.c - which function answers `stats <word>`.
 *
 * memcached takes some words abbreviated; which ones, and that they are tried in this order, is visible to its clients.
 */
#include "config.h"

#include "admin/internal.h"
#include "admin/stats_text.h"
#include "admin/totals.h"
#include "base/check.h"
#include "req/observe.h"
#include "req/prefix.h"
#include "req/watch.h"

void
stats_reset(struct stats_out *o, const struct stats_args *a)
{
	struct shared *sh = a->cl->ctx->shared;

	totals_reset(sh);
	prefixes_clear(sh->prefixes);
	stats_line(o, "RESET");
}

static const struct word {
	const char	*word;
	bool		 shortened;	/* any beginning of it will do */
	stats_f		*fn;
} words[] = {
	{ "",		false,	stats_general },
	{ "reset",	true,	stats_reset },
	{ "detail",	true,	stats_detail },
	{ "settings",	true,	stats_settings },
	{ "cache",	false,	stats_cache },
	{ "cachedump",	true,	stats_cachedump },
	{ "conns",	true,	stats_conns },
	{ "items",	false,	stats_items },
	{ "slabs",	false,	stats_slabs },
	{ "sizes",	false,	stats_sizes },
	{ "kvgate",	false,	stats_kvgate },
	{ "namespaces",	false,	stats_namespaces },
	{ "servers",	false,	stats_servers },
};

static stats_f *
find(unsigned nwords, const struct slice *w)
{
	struct slice asked = nwords > 0 ? w[0] : SLICE_LIT("");

	for (size_t i = 0; i < NITEMS(words); i++) {
		struct slice word = slice_str(words[i].word);

		if (slice_eq(asked, word) || (words[i].shortened && nwords > 0 &&
		    slice_has_prefix(word, asked)))
			return (words[i].fn);
	}
	return (NULL);
}

bool
stats_text(struct client *cl, unsigned nwords, const struct slice *w)
{
	stats_f *fn = find(nwords, w);
	struct stats_out o = { .out = NULL };
	struct stats_args args = { cl, nwords, w };

	if (fn == NULL)
		return (false);
	o.out = replyq_out(cl->ctx, &cl->q);
	o.lost = o.out == NULL;
	fn(&o, &args);
	if (o.lost)
		cl->q.broken = true;
	return (true);
}

bool
stats_open(struct shared *sh, const struct conf *conf)
{
	sh->base = totals_base_new();
	sh->prefixes = prefixes_new(conf->stat_prefix);
	sh->watch = watch_new();
	sh->ops.stats = stats_text;
	sh->ops.watch = stats_watch;
	if (sh->base == NULL || sh->prefixes == NULL || sh->watch == NULL)
		return (false);
	watch_set_detail(sh, conf->stat_detail);
	return (true);
}

void
stats_close(struct shared *sh)
{
	watch_free(&sh->watch);
	prefixes_free(&sh->prefixes);
	totals_base_free(&sh->base);
}

const char *
stats_watch(struct ctx *ctx, struct client *cl, unsigned nwords,
    const struct slice *w)
{
	static const struct {
		const char	*word;
		unsigned	 what;
	} kinds[] = {
		/* In this order abbreviations are tried. 0: nothing of the kind happens here. */
		{ "rawcmds",	OBSERVE_RAWCMDS },
		{ "evictions",	OBSERVE_EVICTIONS },
		{ "fetchers",	OBSERVE_FETCHERS },
		{ "mutations",	OBSERVE_MUTATIONS },
		{ "sysevents",	OBSERVE_SYSEVENTS },
		{ "connevents",	OBSERVE_CONNEVENTS },
		{ "proxyreqs",	0 },
		{ "proxyevents", 0 },
		{ "proxyuser",	0 },
		{ "deletions",	OBSERVE_DELETIONS },
	};
	unsigned what = nwords == 0 ? OBSERVE_FETCHERS : 0;
	size_t k;

	(void)ctx;
	for (unsigned i = 0; i < nwords; i++) {
		for (k = 0; k < NITEMS(kinds); k++)
			if (slice_has_prefix(slice_str(kinds[k].word), w[i]))
				break;
		if (k == NITEMS(kinds))
			return ("ERROR");
		what |= kinds[k].what;
	}
	return (watch_add(cl, what));
}
