/* Unit tests of src/conf/space_policy.c: latency, hedging, failures, deletes; and what local copies have to do with it. */
#include "conf/space_policy.c"
#include "ctx.h"
#include "tap.h"

#define STORES	"store s { type = memcached servers = h } store w { type = memcached servers = h connections = 2 } " \
		"store i { type = redis servers = { h, i } replicas = 2 } store c { type = redis-cluster servers = h }\n"
#define NS(store, text)	STORES "namespace default { primary { store = " store " }\n" text "\n}"

static struct conf_ctx x;

/* The default namespace of a text that must be good. Valid until done(). */
static const struct conf_ns *
space(const char *text)
{
	ctx_open(&x);
	ok(ctx_parse(&x, text), "good: %s%s", strchr(text, '\n') + 1, x.error);
	return (x.conf->spaces);
}

static void
done(void)
{
	ctx_close(&x);
}

static void
defaults(void)
{
	const struct conf_ns *n = space(NS("s", ""));

	ok(n->format == FORMAT_RAW && n->slo_read.target == 0 && n->slo_read.max == 0 && n->slo_write.target == 0 &&
	    n->slo_write.max == 0 && n->hedge == HEDGE_OFF && n->hedge_budget == 0, "no limits, no hedging");
	ok(n->on_error == ON_ERROR_ERROR && n->stale_for == 0 && n->coalesce && n->delete_ttl == 0 && n->delete_jitter == 0,
	    "errors are errors, misses share a read");
	ok(n->refresh_ahead == 0 && n->negative_ttl == 0 && n->ttl_jitter == 0, "plain copies");
	done();
	n = space("\nnamespace default { }");
	ok(n->primary == NULL && n->coalesce, "without a store");
	done();
}

static void
everything(void)
{
	const struct conf_ns *n = space(STORES "namespace default { primary { store = i format = item } slo_read { target = 2ms "
	    "max = 50ms } slo_write { target = 5ms max = 1s } hedge = auto hedge_budget = \"0.5%\" on_error = stale "
	    "stale_for = 1h coalesce = no delete_ttl = 3h delete_jitter = 90m local { ttl = 10s ttl_jitter = 15% "
	    "negative_ttl = 2s refresh_ahead = 3s } }");

	ok(n->format == FORMAT_ITEM && n->slo_read.target == 2000 && n->slo_read.max == 50000 &&
	    n->slo_write.target == 5000 && n->slo_write.max == 1000000, "limits");
	ok(n->hedge == HEDGE_AUTO && n->hedge_budget == 5, "hedging");
	ok(n->on_error == ON_ERROR_STALE && n->stale_for == 3600000000 && !n->coalesce, "failures");
	ok(n->delete_ttl == 3 * 3600000000 && n->delete_jitter == 5400000000, "deletes");
	ok(n->local_ttl == 10000000 && n->ttl_jitter == 15 && n->negative_ttl == 2000000 && n->refresh_ahead == 3000000,
	    "copies");
	done();
	n = space(NS("s", "on_error = miss slo_write { max = 5s }"));
	ok(n->on_error == ON_ERROR_MISS && n->slo_write.max == 5000000 && n->slo_write.target == 0, "a limit above the "
	    "store's: several attempts may need it");
	done();
	n = space(NS("s", "on_error = stale"));
	is_u(n->stale_for, 60000000, "stale copies for a minute");
	done();
}

static void
hedges(void)
{
	static const char *const ways[] = { "w", "i", "c" };
	const struct conf_ns *n;
	char text[1000];

	for (size_t i = 0; i < NITEMS(ways); i++) {
		snprintf(text, sizeof text, STORES "namespace default { primary { store = %s } slo_read { target = 5ms } }", ways[i]);
		n = space(text);
		ok(n->hedge == HEDGE_AFTER && n->hedge_after == 5000 && n->hedge_budget == 50, "at target, 5 %%");
		done();
		snprintf(text, sizeof text, STORES "namespace default { primary { store = %s } hedge = auto }", ways[i]);
		n = space(text);
		ok(n->hedge == HEDGE_AUTO && n->hedge_after == 0 && n->hedge_budget == 50, "auto needs no target");
		done();
	}
	n = space(NS("s", "slo_read { target = 5ms }"));
	ok(n->hedge == HEDGE_OFF && n->hedge_budget == 0, "a target alone is no reason where there is no other way");
	done();
	n = space(NS("s", "slo_read { target = 5ms } hedge = off"));
	ok(n->hedge == HEDGE_OFF, "off where it is impossible");
	done();
	n = space(NS("w", "slo_read { target = 5ms } hedge = off"));
	ok(n->hedge == HEDGE_OFF, "off where it would be on");
	done();
	n = space(NS("w", "slo_read { target = 5ms } hedge = 7500us hedge_budget = 100"));
	ok(n->hedge == HEDGE_AFTER && n->hedge_after == 7500 && n->hedge_budget == 1000, "a time of its own");
	done();
}

static void
refused_latency(void)
{
	static const struct ctx_case cases[] = {
		{ NS("s", "slo_read { target = 5ms\nmax = 4ms }"), "f:3: target = 5ms is above max = 4ms; at most as long" },
		{ NS("s", "slo_write {\n}"), "f:3: slo_write says nothing; target = TIME, max = TIME or both" },
		{ NS("s", "slo_read { max = 10us }"), "f:3: max = 10us is out of bounds; 100us to 1h" },
		{ NS("s", "slo_read { max = 5 }"), "f:3: max = 5 is not a time; a number with us, ms, s, m, h or d, like 500ms" },
		{ NS("s", "slo_read { max = 5ms }\nslo_read { max = 5ms }"), "f:4: a second slo_read section; one is enough" },
		{ NS("s", "slo_read { min = 5ms }"), "f:3: unknown key \"min\" in slo_read; known: target, max" },
		{ NS("s", "hedge = auto"), "f:3: there is nothing to hedge to: store \"s\" has one replica and one connection; "
		    "replicas = 2 or connections = 2 there" },
		{ NS("s", "hedge = 5ms"), "f:3: there is nothing to hedge to: store \"s\" has one replica and one connection; "
		    "replicas = 2 or connections = 2 there" },
		{ NS("w", "hedge = never"), "f:3: hedge = never is unknown; off, auto, or a time from 100us to 1h" },
		{ NS("w", "hedge = 0"), "f:3: hedge = 0 is unknown; off, auto, or a time from 100us to 1h" },
		{ NS("w", "hedge = 2h"), "f:3: hedge = 2h is unknown; off, auto, or a time from 100us to 1h" },
		{ NS("w", "hedge = 1s"), "f:3: reads are never hedged: store \"w\" gives up before; a time below its timeout" },
		{ NS("w", "slo_read {\ntarget = 2s }"), "f:4: reads are never hedged: store \"w\" gives up before; a time below "
		    "its timeout" },
		{ NS("w", "hedge = 50ms slo_read { max = 50ms }"), "f:3: reads are never hedged: slo_read's max ends them before; "
		    "a time below it" },
		{ NS("w", "hedge_budget = 5"), "f:3: hedge_budget, but no read is hedged; hedge = auto, or leave it out" },
		{ NS("w", "hedge = off\nhedge_budget = 5"), "f:4: hedge_budget, but no read is hedged; hedge = auto, or leave it "
		    "out" },
		{ NS("w", "hedge = auto hedge_budget = 0.05%"), "f:3: hedge_budget = 0.05% is no good percentage; 0% to 100%" },
		{ NS("w", "hedge = auto hedge_budget = 101"), "f:3: hedge_budget = 101 is no good percentage; 0% to 100%" },
		{ NS("w", "hedge = auto hedge_budget = 0"), "f:3: hedge_budget = 0 hedges nothing; hedge = off" },
	};

	CTX_CASES(cases);
}

#define ITEM(text)	STORES "namespace default { primary { store = i format = item }\n" text "\n}"

static void
refused_rest(void)
{
	static const struct ctx_case cases[] = {
		{ NS("s", "on_error = never"), "f:3: on_error = never is unknown; error, miss, stale" },
		{ NS("s", "on_error = stale\nlocal { ttl = 0 }"), "f:3: on_error = stale without local copies: there is nothing "
		    "stale to answer; local { ttl = 1s }, or error or miss" },
		{ NS("s", "on_error = miss\nstale_for = 5s"), "f:4: stale_for without on_error = stale; add it, or leave this out" },
		{ NS("s", "on_error = stale stale_for = 0"), "f:3: stale_for = 0 is out of bounds; 1s to 30d" },
		{ NS("s", "on_error = stale stale_for = 1500ms"), "f:3: stale_for = 1500ms is no whole number of seconds; 1s or "
		    "more" },
		{ NS("s", "coalesce = 5"), "f:3: coalesce = 5 is neither; yes or no" },
		{ NS("s", "delete_ttl = 5h"), "f:3: delete_ttl without format = item: deletes leave no mark; leave it out" },
		{ NS("s", "delete_jitter = 5m"), "f:3: delete_jitter without format = item: deletes leave no mark; leave it out" },
		{ ITEM("delete_ttl = 30m"), "f:3: delete_ttl = 30m is out of bounds; 1h to 30d" },
		{ ITEM("delete_jitter = 61m"), "f:3: delete_ttl - delete_jitter is below token_drift_behind, for which a "
		    "late write may still come; a longer delete_ttl or less delete_jitter" },
		{ ITEM("delete_jitter = 2h\ndelete_ttl = 150m"), "f:4: delete_ttl - delete_jitter is below token_drift_behind, "
		    "for which a late write may still come; a longer delete_ttl or less delete_jitter" },
		{ ITEM("token_drift_behind = 3h"), "f:3: token_drift_behind = 3h, but deletes are remembered for 2h; delete_ttl "
		    "at least as long" },
		{ ITEM("delete_ttl = 3h\ntoken_drift_behind = 4h"), "f:3: delete_ttl = 3h is out of bounds; 4h to 30d" },
		{ NS("s", "local { ttl_jitter = 51 }"), "f:3: ttl_jitter = 51 is no good percentage; 0% to 50%" },
		{ NS("s", "local { ttl_jitter = 0.5% }"), "f:3: ttl_jitter = 0.5% is no whole percentage; 0% to 50%" },
		{ NS("s", "local { negative_ttl = 2h }"), "f:3: negative_ttl = 2h is out of bounds; 0 to 1h" },
		{ NS("s", "local { negative_ttl = 100ms }"), "f:3: negative_ttl = 100ms is no whole number of seconds; 1s or more, "
		    "or 0" },
		{ NS("s", "local { refresh_ahead = 1s }"), "f:3: refresh_ahead = 1s is not below the copies' ttl of 1s; shorter, "
		    "or a longer ttl" },
		{ NS("s", "local { ttl = 5s\nrefresh_ahead = 6s }"), "f:4: refresh_ahead = 6s is not below the copies' ttl of 5s; "
		    "shorter, or a longer ttl" },
		{ NS("s", "local { ttl = 0\nttl_jitter = 5 }"), "f:4: ttl_jitter without local copies; ttl = 1s or more, or leave "
		    "it out" },
		{ NS("s", "local { ttl = 0\nnegative_ttl = 5s }"), "f:4: negative_ttl without local copies; ttl = 1s or more, or "
		    "leave it out" },
		{ NS("s", "local { refresh_ahead = 5s ttl = 0 }"), "f:3: refresh_ahead without local copies; ttl = 1s or more, or "
		    "leave it out" },
		{ NS("s", "primary { }"), "f:3: a second primary section; one is enough" },
	};

	CTX_CASES(cases);
	is_u(space(ITEM("delete_ttl = 75m"))->delete_jitter, 900000000, "a short delete_ttl leaves less to chance");
	done();
	is_u(space(ITEM("delete_ttl = 1h"))->delete_jitter, 0, "or nothing");
	done();
	is_u(space(ITEM("delete_ttl = 1m token_drift_behind = 50s"))->delete_jitter, 10000000, "less drift needs less time");
	done();
	ok(space(ITEM(""))->delete_ttl == 7200000000 && x.conf->spaces->delete_jitter == 1800000000, "2 h +- 30 min");
	done();
}

static void
without_a_store(void)
{
	static const char *const keys[] = {
		"hedge = off", "hedge_budget = 5", "on_error = miss", "stale_for = 5s", "coalesce = yes", "delete_ttl = 5h",
		"delete_jitter = 5m",
	};
	static const struct ctx_case cases[] = {
		{ "namespace default {\n slo_read { max = 5s } }", "f:2: slo_read without primary: there is nothing to wait for; "
		    "leave it out" },
		{ "namespace default {\n slo_write { } }", "f:2: slo_write without primary: there is nothing to wait for; leave it "
		    "out" },
	};

	CTX_CASES(cases);
	for (size_t i = 0; i < NITEMS(keys); i++) {
		char text[100], want[200];

		snprintf(text, sizeof text, "namespace default {\n %s }", keys[i]);
		snprintf(want, sizeof want, "f:2: %.*s without primary: no store is asked; leave it out",
		    (int)strcspn(keys[i], " "), keys[i]);
		is_s(ctx_error_of(text), want, "%s", keys[i]);
	}
}

static void
formats(void)
{
	static const struct ctx_case cases[] = {
		{ STORES "namespace default { primary { store = i format = item } }\nnamespace a { prefix = \"a\"\nprimary {\n"
		    "store = i } }", "f:4: store \"i\" has format = item in namespace \"default\"; format = item here, too, or "
		    "another store" },
		{ STORES "namespace default { primary { store = i } }\nnamespace a { prefix = \"a\"\nprimary {\n"
		    "store = i\nformat = item } }", "f:6: store \"i\" has format = raw in namespace \"default\"; format = raw here, "
		    "too, or another store" },
	};

	CTX_CASES(cases);
	ok(space(NS("c", "} namespace a { prefix = \"a\" primary { store = i format = item } } namespace b { prefix = \"b\" "
	    "primary { store = i format = item } "))[2].format == FORMAT_ITEM, "one format per store");
	done();
}

int
main(void)
{
	defaults();
	everything();
	hedges();
	refused_latency();
	refused_rest();
	without_a_store();
	formats();
	return (done_testing());
}
