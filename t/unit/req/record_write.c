/* Unit tests of src/req/record_write.c: puts, deletes and mutations of records in a store in memory. */
#include "req/record_write.c"
#include "cache/cache.h"
#include "req/route.h"
#include "tap.h"
#include "records.h"

static void
puts_and_deletes(void)
{
	kit_open();
	is_s(ask("kp n:1 2\r\na 1 F5\r\nx\r\n 2\r\nyz\r\n"), "HD\r\n", "two items");
	is_s(ask("kg n:1 k v f\r\n"), "VA 2 k f0\r\nyz\r\nVA 1 ka f5\r\nx\r\nEN\r\n", "are there");
	is_s(ask("kp n:1 3\r\na 1\r\n1\r\nb 1\r\n2\r\na 1\r\n3\r\n"), "HD\r\n", "a key twice");
	is_s(ask("kg n:1 Ga\r\n"), "VA 1 ka\r\n3\r\nVA 1 kb\r\n2\r\nEN\r\n", "the last one wins");
	is_s(ask("kd n:1 Ka Kx O5\r\n"), "HD O5\r\n", "an item is deleted");
	is_s(ask("kg n:1 k\r\n"), "HD k\r\nHD kb\r\nEN\r\n", "and gone");
	is_s(ask("kd n:1 Gb Uc q\r\n"), "", "a range, quietly");
	is_s(ask("kg n:1 k\r\n"), "HD k\r\nEN\r\n", "is gone");
	is_s(ask("kd n:1\r\n"), "HD\r\n", "the record");
	is_s(ask("kg n:1 k\r\n"), "EN\r\n", "is gone");
	is_s(ask("kd n:nothing\r\n"), "HD\r\n", "of nothing, too");
	is_s(ask("kp x 1\r\n 1\r\n1\r\n"), "HD\r\n", "a flat namespace has the item without a key");
	is_s(ask("kp x 1\r\na 1\r\n1\r\n"), "CLIENT_ERROR namespace default is flat\r\n", "and no other");
	is_s(ask("kp bjo0 2 b\r\nAAE= 1\r\n1\r\nYQ== 1\r\n2\r\n"), "HD\r\n", "keys in base64");
	is_s(ask("kg n:4\r\n"), "VA 1 kAAE= b\r\n1\r\nVA 1 ka\r\n2\r\nEN\r\n", "are so where they must");
	kit_close();
}

static void
expiry(void)
{
	const struct row *r;
	uint64_t now = record_now();

	kit_open();
	ask("kp n:1 4\r\na 1 T100\r\nx\r\nb 1 T0\r\nx\r\nc 1 T-1\r\nx\r\nd 1 T4000000000\r\nx\r\n");
	ask("kp n:1 4\r\na 1 T100\r\nx\r\nb 1 T0\r\nx\r\nc 1 T-1\r\nx\r\nd 1 T2000000000\r\nx\r\n");
	r = k->bep[0]->rows;
	ok(r[0].head.expiry >= now + 100000 && r[0].head.expiry < now + 200000, "T is relative");
	is_u(r[1].head.expiry, 0, "0 is none");
	is_u(r[2].head.expiry, 1, "below it is over");
	is_u(r[3].head.expiry, 2000000000000, "above 30 days it is a moment");
	kit_close();
}

static void
tokens(void)
{
	char line[256];
	uint64_t now = record_now() * 1000, version;

	kit_open();
	ask("kp n:1 1\r\na 1\r\nx\r\n");
	version = k->bep[0]->rows[0].head.version;
	ok(version >= now && version < now + 3600000000u, "a version made here is the time");
	snprintf(line, sizeof line, "kp n:1 1 E%llu Pff c\r\na 1\r\nx\r\n", (unsigned long long)now + 5000000);
	is_u(strtoull(ask(line) + 4, NULL, 10), now + 5000000, "a token's is its own, and told by c");
	ask("kd n:1\r\n");
	snprintf(line, sizeof line, "kd n:1 Ka E%llu\r\n", (unsigned long long)now + 60000000);
	is_s(ask(line), "CLIENT_ERROR token drift\r\n", "too far ahead");
	snprintf(line, sizeof line, "kp n:1 1 E%llu\r\nq 1\r\nx\r\n", (unsigned long long)now - 3700000000u);
	is_s(ask(line), "CLIENT_ERROR token drift\r\n", "too old");
	is_u(k->bep[0]->n, 1, "nothing was written");
	is_s(ask("kp n:1 1 E5 Lnope/\r\nq 1\r\nx\r\n"), "CLIENT_ERROR unknown namespace\r\n", "whose limits it would be");
	kit_close();
}

static void
a_range_goes_above_all_tokens(void)
{
	char line[256];
	uint64_t ahead = record_now() * 1000 + 8000000, version;

	kit_open();
	snprintf(line, sizeof line, "kp n:1 1 E%llu\r\na 1\r\nx\r\n", (unsigned long long)ahead);
	ask(line);
	version = strtoull(ask("kd n:1 c\r\n") + 4, NULL, 10);
	ok(version > ahead, "a plain delete of a record is newer than every token");
	version = strtoull(ask("kp n:1 1 c\r\na 1\r\nx\r\n") + 4, NULL, 10);
	ok(version < ahead, "plain puts are left to the store");
	kit_close();
}

static void
mutations(void)
{
	kit_open();
	is_s(ask("km 4\r\nkp n:1 1\r\na 1\r\n1\r\nkp n:2 1\r\na 1\r\n2\r\nkd n:1\r\nkp n:1 1\r\nb 1\r\n3\r\n"), "HD\r\n", "a km");
	is_s(ask("kg n:1\r\nkg n:2\r\n"), "VA 1 kb\r\n3\r\nEN\r\n", "later ones win");
	is_u(k->bep[0]->nops, 3, "what is on one record is one op where the store takes chains, and one of them a read");
	is_s(ask("km 3\r\nkp m:1 1\r\na 1\r\n1\r\nkd m:1\r\nkp m:1 1\r\nb 1\r\n3\r\n"), "HD\r\n", "where it does not");
	is_s(ask("kg m:1\r\n"), "VA 1 kb\r\n3\r\nEN\r\n", "they come beside each other");
	is_u(k->bep[1]->nops, 3, "and what is overridden is not sent");
	kit_close();
}

static const char *
many(unsigned n, const char *prefix, const char *flags)
{
	static char text[64 * 1024];
	char *p = text + snprintf(text, 64, "km %u%s\r\n", n, flags);

	for (unsigned i = 0; i < n; i++)
		p += snprintf(p, 64, "kp %s%u 1\r\na 1\r\n%u\r\n", prefix, i, i % 10);
	return (text);
}

static void
many_records_go_beside_each_other(void)
{
	kit_open();
	is_s(ask(many(200, "m:", "")), "HD\r\n", "two hundred records");
	is_u(k->bep[1]->n, 200, "are written");
	is_u(k->bep[1]->most, OUT_MAX, "not all of them at once");
	say(many(200, "m:", ""));
	ok(k->cl.q.nwaiting >= k->cl.q.window, "no command is looked at before the last is on its way");
	pump();
	is_s(answer(), "HD\r\n", "then they are");
	is_s(ask(many(200, "n:", " a")), "HD\r\n", "atomically");
	ok(k->bep[0]->n == 200 && k->bep[0]->nops == 1, "as one op");
	is_s(ask(many(2, "m:", " a")), "CLIENT_ERROR atomic across records is not supported by store fleet\r\n",
	    "where the store can");
	is_s(ask("km 2 a\r\nkp n:1 1\r\na 1\r\nx\r\nkp m:x 1\r\na 1\r\nx\r\n"),
	    "CLIENT_ERROR atomic across records is not supported by store fleet\r\n", "all of them in that store");
	ok(k->bep[0]->n == 200 && k->bep[1]->n == 200, "else nothing is written");
	kit_close();
}

static void
failures(void)
{
	kit_open();
	mem.fail_at = 2;
	mem.fail_n = 1;
	mem.err = ERR_CLOSED;
	is_s(ask(many(20, "m:", "")), "SERVER_ERROR 1 of 20 failed: mem:1 failed\r\n", "one record failed");
	is_u(k->bep[1]->n, 19, "the others did not");
	mem.fail_at = k->bep[1]->nops + 1;
	is_s(ask("km 3\r\nkd m:1 Kz\r\nkp m:1 1\r\nq 1\r\n1\r\nkp m:2 1\r\nq 1\r\n1\r\n"),
	    "SERVER_ERROR 1 of 3 failed: mem:1 failed\r\n", "what comes behind it on its record is tried all the same");
	mem.fail_at = k->bep[1]->nops + 1;
	is_s(ask("kp m:1 1 q\r\na 1\r\n1\r\n"), "SERVER_ERROR mem:1 failed\r\n", "a kp says so itself, q or not");
	mem.fail_at = 1;
	is_s(ask(many(3, "n:", " a")), "SERVER_ERROR 3 of 3 failed: mem:1 failed\r\n", "what is atomic fails as one");
	mem.fail_at = 0;
	is_s(ask(many(20, "m:", "")), "HD\r\n", "the next is unharmed");
	kit_close();
}

static void
what_is_wrong_writes_nothing(void)
{
	kit_open();
	is_s(ask("kp n:1/a 1\r\na 1\r\nx\r\n"), "CLIENT_ERROR separator in id\r\n", "a separator in the id");
	is_s(ask("kp raw:1 1\r\na 1\r\nx\r\n"), "CLIENT_ERROR namespace raw has plain values in store old, no records\r\n",
	    "no records");
	is_s(ask("kd bare:1\r\n"), "CLIENT_ERROR namespace bare has no store for records\r\n", "no store");
	is_s(ask("km 2\r\nkp n:1 1\r\na 1\r\nx\r\nkd n:1 Lnope/\r\n"), "CLIENT_ERROR unknown namespace\r\n",
	    "one of several sub-commands");
	k->spaces[2].item_size_max = 3;
	is_s(ask("km 2\r\nkp n:1 1\r\na 2\r\nxx\r\nkp m:1 1\r\na 2\r\nyy\r\n"), "SERVER_ERROR object too large for cache\r\n",
	    "more than a namespace takes");
	is_s(ask("kp m:1 2\r\na 2\r\nxx\r\nb 2\r\nyy\r\n"), "SERVER_ERROR object too large for cache\r\n", "in one kp, too");
	is_u(k->bep[0]->n + k->bep[1]->n, 0, "nothing was written");
	kit_close();
}

/* A copy of a key; whether there is one. */
static void
copy(const char *key)
{
	uint64_t hash = cache_hash(slice_str(key));
	enum cache_err why;
	struct item *it = cache_reserve(k->ctx.cache, hash, slice_str(key), 1, 0, 0, &why);
	struct cache_shard *s = cache_lock(k->ctx.cache, hash);

	cache_link(s, it, 0);
	cache_unlock(s);
}

static bool
is_copied(const char *key)
{
	uint64_t hash = cache_hash(slice_str(key));
	struct cache_shard *s = cache_lock(k->ctx.cache, hash);
	bool is = cache_find(s, hash, slice_str(key)) != NULL;

	cache_unlock(s);
	return (is);
}

static void
copies_go(void)
{
	uint64_t fence = 0;

	kit_open();
	put(0, "n:1", "b", "1");
	copy("n:1/a");
	copy("n:1/b");
	copy("n:1");
	say("kp n:1 2\r\na 1\r\nx\r\n 1\r\ny\r\n");
	ok(!is_copied("n:1/a") && !is_copied("n:1") && is_copied("n:1/b"),
	    "copies of what is written go when it sets out");
	fence = route_fence(&k->ctx, cache_hash(SLICE_LIT("n:1/a")));
	is_u(route_fence_writes(fence), 1, "and none may come");
	pump();
	is_u(route_fence_writes(route_fence(&k->ctx, cache_hash(SLICE_LIT("n:1/a")))), 0, "until it is over");
	answer();
	ask("kd n:1 Kb\r\n");
	ok(!is_copied("n:1/b"), "of what is deleted, too");
	is_u(route_fence_writes(cut_word(&k->ctx, cache_hash(SLICE_LIT("n:1")))), 0, "the record is whole");
	say("kd n:1 Gx\r\n");
	is_u(route_fence_writes(cut_word(&k->ctx, cache_hash(SLICE_LIT("n:1")))), 1, "a delete of a range is a cut");
	pump();
	ok(cut_word(&k->ctx, cache_hash(SLICE_LIT("n:1"))) == ROUTE_FENCE_MOVE, "that was");
	answer();
	kit_close();
}

static void
handshakes(void)
{
	kit_open();
	ok(strstr(ask("kh n\r\n"), "SIG namespace n\r\nSIG prefix n:\r\nSIG item_separator /\r\n") != NULL, "a namespace by name");
	ok(strstr(ask("kh\r\n"), "SIG namespace default\r\nSIG prefix \r\nSIG item_separator \r\n") != NULL, "the default one");
	ok(strstr(ask("kh n\r\n"), "\r\nSIG atomic_across_records 1\r\nEND\r\n") != NULL, "whether a will do");
	ok(strstr(ask("kh m\r\n"), "\r\nSIG atomic_across_records 0\r\nEND\r\n") != NULL, "or not");
	is_s(ask("kh nope\r\n"), "CLIENT_ERROR unknown namespace\r\n", "an unknown one");
	k->spaces[1].hedge = HEDGE_AFTER;
	k->spaces[1].hedge_after = 1500;
	k->spaces[1].hedge_budget = 25;
	ok(strstr(ask("kh n\r\n"), "SIG hedge 1500\r\nSIG hedge_budget_percent 2.5\r\n") != NULL, "when to hedge");
	is_u(k->cl.codecs, 0, "codecs are not known");
	ask("kh n Zlz9 Zzstd\r\n");
	is_u(k->cl.codecs & 1u << CODEC_ZSTD, 1u << CODEC_ZSTD, "until a handshake says them");
	kit_close();
}

int
main(void)
{
	puts_and_deletes();
	expiry();
	tokens();
	a_range_goes_above_all_tokens();
	mutations();
	many_records_go_beside_each_other();
	failures();
	what_is_wrong_writes_nothing();
	copies_go();
	handshakes();
	return (done_testing());
}
