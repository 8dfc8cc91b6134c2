/*
 * space_policy.c - the rest of a namespace section: how long a request may take, what is sent twice, what a failure
 * becomes, how long deletes are remembered.
 *
 * All of it is about the store behind the namespace; what would have no effect is refused.
 */
#include "config.h"

#include <string.h>

#include "base/check.h"
#include "conf/file.h"

#define SLO_MIN		100ull		/* finer than that no timer is */
#define SLO_MAX		(3600 * FILE_SECOND)
#define HEDGE_BUDGET	50		/* per mille */
#define STALE_FOR	(60 * FILE_SECOND)
#define DELETE_TTL	(7200 * FILE_SECOND)
#define DELETE_JITTER	(1800 * FILE_SECOND)

/* Of a namespace without a store. */
static bool
check_nothing_said(struct conf_ctx *x, cfg_t *sec)
{
	static const char *const sections[] = { "slo_read", "slo_write" };
	static const char *const keys[] = {
		"hedge", "hedge_budget", "on_error", "stale_for", "coalesce", "delete_ttl", "delete_jitter",
	};

	for (size_t i = 0; i < NITEMS(sections); i++)
		if (cfg_size(sec, sections[i]) > 0)
			return (conf_fail_at(x, file_line(cfg_getnsec(sec, sections[i], 0)), "%s without primary: there is "
			    "nothing to wait for; leave it out", sections[i]));
	for (size_t i = 0; i < NITEMS(keys); i++)
		if (file_value(sec, keys[i]) != NULL)
			return (conf_fail_at(x, file_value(sec, keys[i])->line, "%s without primary: no store is asked; leave "
			    "it out", keys[i]));
	return (true);
}

static bool
read_slo(struct conf_ctx *x, cfg_t *sec, const char *name, struct conf_slo *slo)
{
	cfg_t *sub;

	if (!file_only_section(x, sec, name, &sub))
		return (false);
	if (sub == NULL)
		return (true);
	if (!file_get_time(x, sub, "target", SLO_MIN, SLO_MAX, &slo->target) ||
	    !file_get_time(x, sub, "max", SLO_MIN, SLO_MAX, &slo->max))
		return (false);
	if (slo->target == 0 && slo->max == 0)
		return (conf_fail_at(x, file_line(sub), "%s says nothing; target = TIME, max = TIME or both", name));
	if (slo->max != 0 && slo->target > slo->max)
		return (conf_fail_at(x, file_value(sub, "target")->line, "target = %.60s is above max = %.60s; at most as long",
		    file_value(sub, "target")->text, file_value(sub, "max")->text));
	return (true);
}

/* Whether a read can go to the store in more than one way. */
static bool
has_ways(const struct conf_store *s)
{
	return (s->replicas > 1 || s->connections > 1 || s->kind == STORE_REDIS_CLUSTER);
}

static bool
get_hedge(struct conf_ctx *x, const struct conf_value *v, struct conf_ns *ns)
{
	if (strcmp(v->text, "off") == 0 || strcmp(v->text, "auto") == 0) {
		ns->hedge = v->text[0] == 'o' ? HEDGE_OFF : HEDGE_AUTO;
		return (true);
	}
	if (!conf_get_time(v->text, &ns->hedge_after) || ns->hedge_after < SLO_MIN || ns->hedge_after > SLO_MAX)
		return (conf_fail_at(x, v->line, "hedge = %.60s is unknown; off, auto, or a time from 100us to 1h", v->text));
	ns->hedge = HEDGE_AFTER;
	return (true);
}

/* The second request has to leave while the first is still waited for. */
static bool
check_hedge_time(struct conf_ctx *x, int line, const struct conf_ns *ns)
{
	if (ns->hedge_after >= ns->primary->timeout)
		return (conf_fail_at(x, line, "reads are never hedged: store \"%s\" gives up before; a time below its timeout",
		    ns->primary->name));
	if (ns->slo_read.max != 0 && ns->hedge_after >= ns->slo_read.max)
		return (conf_fail_at(x, line, "reads are never hedged: slo_read's max ends them before; a time below it"));
	return (true);
}

static bool
read_hedge(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *v = file_value(sec, "hedge"), *budget = file_value(sec, "hedge_budget");
	int line = v != NULL ? v->line : ns->line;

	if (v != NULL && !get_hedge(x, v, ns))
		return (false);
	if (v != NULL && ns->hedge != HEDGE_OFF && !has_ways(ns->primary))
		return (conf_fail_at(x, line, "there is nothing to hedge to: store \"%s\" has one replica and one connection; "
		    "replicas = 2 or connections = 2 there", ns->primary->name));
	if (v == NULL && ns->slo_read.target != 0 && has_ways(ns->primary)) {
		ns->hedge = HEDGE_AFTER;
		ns->hedge_after = ns->slo_read.target;
		line = file_value(cfg_getnsec(sec, "slo_read", 0), "target")->line;
	}
	if (ns->hedge == HEDGE_AFTER && !check_hedge_time(x, line, ns))
		return (false);
	if (budget != NULL && ns->hedge == HEDGE_OFF)
		return (conf_fail_at(x, budget->line, "hedge_budget, but no read is hedged; hedge = auto, or leave it out"));
	ns->hedge_budget = ns->hedge != HEDGE_OFF ? HEDGE_BUDGET : 0;
	if (!file_get_percent(x, sec, "hedge_budget", 0, 100, &ns->hedge_budget))
		return (false);
	if (budget != NULL && ns->hedge_budget == 0)
		return (conf_fail_at(x, budget->line, "hedge_budget = %.60s hedges nothing; hedge = off", budget->text));
	return (true);
}

static bool
read_errors(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	static const char *const words[] = {
		[ON_ERROR_ERROR] = "error", [ON_ERROR_MISS] = "miss", [ON_ERROR_STALE] = "stale", NULL
	};
	const struct conf_value *stale_for = file_value(sec, "stale_for");
	int word = ON_ERROR_ERROR;

	if (!file_get_bool(x, sec, "coalesce", &ns->coalesce) || !file_get_word(x, sec, "on_error", words, &word))
		return (false);
	ns->on_error = (enum conf_on_error)word;
	if (ns->on_error != ON_ERROR_STALE)
		return (stale_for == NULL || conf_fail_at(x, stale_for->line, "stale_for without on_error = stale; add it, or "
		    "leave this out"));
	if (!ns->local)
		return (conf_fail_at(x, file_value(sec, "on_error")->line, "on_error = stale without local copies: there is "
		    "nothing stale to answer; local { ttl = 1s }, or error or miss"));
	ns->stale_for = STALE_FOR;
	return (file_get_seconds(x, sec, "stale_for", FILE_SECOND, 30 * FILE_DAY, &ns->stale_for));
}

/*
 * A write may come late by the drift of tokens and still count: the mark of a delete that is gone before would let it
 * bring the item back.
 */
static bool
read_deletes(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *ttl = file_value(sec, "delete_ttl"), *jitter = file_value(sec, "delete_jitter");
	const struct conf_value *any = ttl != NULL ? ttl : jitter;

	if (ns->format != FORMAT_ITEM)
		return (any == NULL || conf_fail_at(x, any->line, "%s without format = item: deletes leave no mark; leave it out",
		    ttl != NULL ? "delete_ttl" : "delete_jitter"));
	ns->delete_ttl = DELETE_TTL;
	if (ttl == NULL && ns->drift_behind > ns->delete_ttl)
		return (conf_fail_at(x, file_value(sec, "token_drift_behind")->line, "token_drift_behind = %.60s, but deletes are "
		    "remembered for 2h; delete_ttl at least as long", file_value(sec, "token_drift_behind")->text));
	if (!file_get_time(x, sec, "delete_ttl", ns->drift_behind, 30 * FILE_DAY, &ns->delete_ttl))
		return (false);
	/* A short delete_ttl leaves less room for chance than is usual. */
	ns->delete_jitter = ns->delete_ttl - ns->drift_behind;
	if (ns->delete_jitter > DELETE_JITTER)
		ns->delete_jitter = DELETE_JITTER;
	if (!file_get_time(x, sec, "delete_jitter", 0, 30 * FILE_DAY, &ns->delete_jitter))
		return (false);
	if (ns->delete_jitter > ns->delete_ttl - ns->drift_behind)
		return (conf_fail_at(x, any->line, "delete_ttl - delete_jitter is below token_drift_behind, for which a late write "
		    "may still come; a longer delete_ttl or less delete_jitter"));
	return (true);
}

bool
file_read_space_policy(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	ns->coalesce = true;
	if (ns->primary == NULL)
		return (check_nothing_said(x, sec));
	return (read_slo(x, sec, "slo_read", &ns->slo_read) && read_slo(x, sec, "slo_write", &ns->slo_write) &&
	    read_hedge(x, sec, ns) && read_errors(x, sec, ns) && read_deletes(x, sec, ns));
}
