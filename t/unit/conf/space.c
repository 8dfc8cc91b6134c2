/* Unit tests of src/conf/space.c: namespace sections. */
#include "conf/space.c"
#include "ctx.h"
#include "tap.h"

#define STORE	"store \"s\" { type = memcached servers = h }\n"

static void
what_they_say(void)
{
	struct conf_ctx x;
	const struct conf_ns *n;

	ctx_open(&x);
	ok(ctx_parse(&x, "namespace \"default\" { primary { store = \"s\" } }\nnamespace \"b\" { prefix = \"b:\" flush = yes "
	    "primary { store = s format = raw } local { ttl = 5s } }\nnamespace \"c\" { prefix = \"c:\" primary { store = s } "
	    "local { ttl = 0 } }\nnamespace \"d\" { prefix = \"d\" }\nnamespace e { prefix = \"b:e\" primary { store = s } local "
	    "{ } }\n" STORE), "five of them, the store behind: %s", x.error);
	n = x.conf->spaces;
	ok(x.conf->nspaces == 5 && n[0].prefix_len == 0 && n[0].primary == x.conf->stores && n[0].flush &&
	    n[0].line == 1, "default: prefix \"\", flush");
	ok(n[0].local && n[0].local_ttl == 1000000, "copies live a second where nothing is said");
	ok(strcmp(n[1].prefix, "b:") == 0 && n[1].prefix_len == 2 && n[1].flush && n[1].local &&
	    n[1].local_ttl == 5000000 && n[1].line == 2, "all keys");
	ok(!n[2].flush && !n[2].local && n[2].local_ttl == 0, "ttl = 0: no copies");
	ok(n[3].primary == NULL && n[3].local && n[3].local_ttl == 0, "no primary: the cache is the store");
	ok(n[4].local && n[4].local_ttl == 1000000, "an empty local section");
	ctx_close(&x);
}

static void
refusals(void)
{
	static const struct ctx_case cases[] = {
		{ "\nnamespace \"a\" {\n}", "f:2: namespace \"a\" has no prefix; prefix = \"a:\"" },
		{ "namespace \"default\" {\n prefix = \"x\" }",
		    "f:2: namespace \"default\" has the keys that no other has; prefix = \"\"" },
		{ "namespace \"a/b\" { }", "f:1: namespace \"a/b\" has a bad name; 1 to 100 characters without / and blanks" },
		{ "namespace \"\" { }", "f:1: namespace \"\" has a bad name; 1 to 100 characters without / and blanks" },
		{ "namespace \"a\" { prefix = \"x\" }\nnamespace \"b\" {\n prefix = \"x\" }",
		    "f:3: namespaces \"a\" and \"b\" have one prefix, \"x\"; one each" },
		{ "namespace \"a\" { prefix = \"\" }\nnamespace \"default\" {\n}",
		    "f:2: namespaces \"a\" and \"default\" have one prefix, \"\"; one each" },
		{ "namespace \"a\" { prefix = \"x\" }\nnamespace \"a\" { prefix = \"y\" }",
		    "f:2: \"a\" is here a second time; another name than a" },
		{ "namespace \"a\" { prefix = \"x y\" }",
		    "f:1: no key can begin with prefix = \"x y\"; no blanks, no control characters" },
		{ "namespace \"a\" { prefix = \"x\\n\" }",
		    "f:1: no key can begin with prefix = \"x?\"; no blanks, no control characters" },
		{ "namespace \"a\" { prefix = \"p\"\n primary { store = \"none\" } }",
		    "f:2: store \"none\" is unknown; store \"none\" { ... } somewhere" },
		{ "namespace \"a\" { prefix = \"p\"\n primary {\n } }", "f:2: primary has no store; store = \"NAME\"" },
		{ STORE "namespace \"a\" { prefix = \"p\"\n primary { store = s }\n primary { store = s } }",
		    "f:4: a second primary section; one is enough" },
		{ STORE "namespace \"a\" { prefix = \"p\" primary { store = s\n format = item } }",
		    "f:3: format = item needs a store that runs scripts, \"s\" has type = memcached; format = raw, or type = redis" },
		{ STORE "namespace \"a\" { prefix = \"p\" primary { store = s\n format = json } }",
		    "f:3: format = json is unknown; raw, item" },
		{ "namespace \"a\" { prefix = \"p\"\n local { ttl = 5s } }",
		    "f:2: local without primary: there is nothing to copy; leave it out" },
		{ STORE "namespace \"a\" { prefix = \"p\" primary { store = s }\n local { ttl = long } }",
		    "f:3: ttl = long is not a time; a number with us, ms, s, m, h or d, like 500ms" },
		{ STORE "namespace \"a\" { prefix = \"p\" primary { store = s }\n local { ttl = 31d } }",
		    "f:3: ttl = 31d is out of bounds; 0 to 30d" },
		{ STORE "namespace \"a\" { prefix = \"p\" primary { store = s }\n local { ttl = 1500ms } }",
		    "f:3: ttl = 1500ms is no whole number of seconds; 1s or more, or 0" },
		{ "namespace \"default\" {\n flush = no }",
		    "f:2: flush_all always empties the namespace without a prefix; -F refuses it altogether" },
		{ "namespace \"a\" { prefix = \"p\"\n ttl = 5s }",
		    "f:2: unknown key \"ttl\" in namespace; known: prefix, flush, primary, local, slo_read, slo_write, hedge, "
		    "hedge_budget, on_error, stale_for, coalesce, delete_ttl, delete_jitter, item_separator, cache, compression, "
		    "chunk_size, item_size_max, page_bytes, page_bytes_max, token_drift_ahead, token_drift_behind" },
	};
	char text[500];

	CTX_CASES(cases);
	snprintf(text, sizeof text, "namespace \"a\" { prefix = \"%0201d\" }", 7);
	is_s(ctx_error_of(text), "f:1: the prefix is too long; at most 200 bytes", "a long prefix");
}

int
main(void)
{
	what_they_say();
	refusals();
	return (done_testing());
}
