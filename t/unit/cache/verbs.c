/* Unit tests of src/cache/verb*.c: memcached's semantics, verb by verb. */
#include "config.h"

#include "kit.h"
#include "tap.h"

static struct op_result
store(struct cache *c, const char *key, const char *value, uint8_t mode, uint16_t opts, uint64_t cas)
{
	struct op op = kit_op(OP_STORE, key);

	op.mode = mode;
	op.opts = opts;
	op.cas = cas;
	op.newcas = 77;
	op.vivify_ttl = 30;
	return (kit_store(c, &op, value, strlen(value)));
}

static struct op_result
get(struct cache *c, const char *key, uint16_t opts, int32_t ttl)
{
	struct op op = kit_op(OP_GET, key);

	op.opts = opts;
	op.order = (uint16_t)((opts & OPF_VIVIFY) != 0 ? OPO_VIVIFY : (opts & OPF_RECACHE) != 0 ? OPO_RECACHE :
	    (opts & OPF_TTL) != 0 ? OPO_TTL : 0);
	op.ttl = op.vivify_ttl = op.recache_ttl = ttl;
	op.newcas = 99;
	return (kit_run_get(c, &op));
}

/* mg with flags of "T5 N6 R7 t" in any order. */
static struct op_result
get_line(struct cache *c, const char *key, const char *flags)
{
	struct op op = kit_op(OP_GET, key);
	char *p = (char *)(uintptr_t)flags;

	for (unsigned shift = 0; *p != '\0'; shift += OPO_BITS) {
		unsigned what = *p == 'T' ? OPO_TTL : *p == 'N' ? OPO_VIVIFY : *p == 'R' ? OPO_RECACHE : OPO_SHOW;
		int32_t arg = (int32_t)strtol(p + 1, &p, 10);

		op.order |= (uint16_t)(what << shift);
		op.opts |= what == OPO_TTL ? OPF_TTL : what == OPO_VIVIFY ? OPF_VIVIFY : what == OPO_RECACHE ? OPF_RECACHE : 0;
		op.want |= what == OPO_SHOW ? OPW_TTL : 0;
		if (what != OPO_SHOW)
			*(what == OPO_TTL ? &op.ttl : what == OPO_VIVIFY ? &op.vivify_ttl : &op.recache_ttl) = arg;
		p += *p == ' ';
	}
	return (kit_run_get(c, &op));
}

static struct op_result
del(struct cache *c, const char *key, uint16_t opts, uint64_t cas, int32_t ttl)
{
	struct op op = kit_op(OP_DELETE, key);
	struct op_result res;

	op.opts = opts;
	op.cas = cas;
	op.newcas = 88;
	op.ttl = ttl;
	verb_delete(c, &op, &res);
	return (res);
}

static struct op_result
arith(struct cache *c, const char *key, uint8_t mode, uint64_t delta, uint16_t opts, uint16_t order)
{
	struct op op = kit_op(OP_ARITH, key);
	struct op_result res;

	op.mode = mode;
	op.opts = opts;
	op.order = order;
	op.delta = delta;
	op.initial = 13;
	op.vivify_ttl = 40;
	op.ttl = 50;
	op.newcas = 1234;
	op.cas = 5;
	verb_arith(c, &op, &res);
	return (res);
}

static void
classic_stores(void)
{
	struct cache *c = kit_new(64, 0);
	uint64_t cas;

	is_u(store(c, "a", "1", OP_REPLACE, 0, 0).status, OP_NOT_STORED, "replace of nothing");
	is_u(store(c, "a", "1", OP_APPEND, 0, 0).status, OP_NOT_STORED, "append to nothing");
	is_u(store(c, "a", "1", OP_PREPEND, 0, 0).status, OP_NOT_STORED, "prepend to nothing");
	is_u(store(c, "a", "1", OP_ADD, 0, 0).status, OP_OK, "add");
	is_u(store(c, "a", "2", OP_ADD, 0, 0).status, OP_NOT_STORED, "add over something");
	is_u(store(c, "a", "3", OP_REPLACE, 0, 0).status, OP_OK, "replace");
	is_u(store(c, "a", "45", OP_APPEND, 0, 0).size, 3, "append tells the whole size");
	is_u(store(c, "a", "12", OP_PREPEND, 0, 0).status, OP_OK, "prepend");
	ok(kit_is(c, "a", "12345"), "all together");
	is_u(store(c, "a", "x", OP_SET, OPF_CAS, 1).status, OP_EXISTS, "cas that is too old");
	is_u(store(c, "b", "x", OP_SET, OPF_CAS, 1).status, OP_MISS, "cas of nothing");
	cas = kit_get(c, "a").cas;
	is_u(store(c, "a", "x", OP_SET, OPF_CAS, 0).status, OP_EXISTS, "cas 0 never matches");
	is_u(store(c, "a", "x", OP_APPEND, OPF_CAS, cas + 1).status, OP_EXISTS, "append with another cas");
	is_u(store(c, "a", "6", OP_APPEND, OPF_CAS, cas).status, OP_OK, "append with its cas");
	ok(kit_get(c, "a").cas > cas, "which is a new one then");
	cas = kit_get(c, "a").cas;
	is_u(store(c, "a", "new", OP_SET, OPF_CAS, cas).status, OP_OK, "cas");
	ok(kit_is(c, "a", "new"), "stored");
	is_u(store(c, "a", "e", OP_SET, OPF_NEWCAS, 0).cas, 77, "E names the CAS");
	is_u(kit_get(c, "a").cas, 77, "and it is kept");
	is_u(store(c, "v", "viv", OP_APPEND, OPF_VIVIFY, 0).status, OP_OK, "append that vivifies");
	is_u((unsigned)kit_get(c, "v").ttl, 30, "with its TTL");
	kit_set(c, "f", "x", 100, 5);
	store(c, "f", "y", OP_APPEND, 0, 0);
	is_u(kit_get(c, "f").client_flags, 5, "append keeps the client flags");
	is_u((unsigned)kit_get(c, "f").ttl, 100, "and the TTL");
	cache_free(&c);
}

static void
large_appends(void)
{
	struct cache *c = kit_new(64, 4 << 20);
	struct op op = kit_op(OP_STORE, "k");
	struct slice k = SLICE_LIT("k");
	char *body = malloc(700000);
	struct cache_shard *s;
	struct iovec v;
	bool good = true;
	uint32_t off = 0;

	for (unsigned i = 0; i < 700000; i++)
		body[i] = (char)(i * 7 + i / 251);
	kit_store(c, &op, body, 300000);
	op.mode = OP_APPEND;
	is_u(kit_store(c, &op, body + 300000, 400000).size, 700000, "large append");
	s = cache_lock(c, op.hash);
	for (; off < 700000; off += (uint32_t)v.iov_len) {
		if (cache_value_iov(c, cache_find(s, op.hash, k), off, &v, 1) != 1)
			break;
		good &= memcmp(v.iov_base, body + off, v.iov_len) == 0;
	}
	cache_unlock(s);
	ok(good && off == 700000, "both parts in order");
	op.mode = OP_PREPEND;
	kit_store(c, &op, "head", 4);
	s = cache_lock(c, op.hash);
	cache_value_iov(c, cache_find(s, op.hash, k), 0, &v, 1);
	ok(memcmp(v.iov_base, "head", 4) == 0 && memcmp((char *)v.iov_base + 4, body, 50) == 0, "prepended");
	cache_unlock(s);
	op.mode = OP_APPEND;
	for (int i = 0; i < 10; i++)
		if (kit_store(c, &op, body, 700000).status != OP_OK)
			break;
	is_u(kit_store(c, &op, body, 700000).status, OP_NOT_STORED, "past -I: not stored");
	ok(kit_has(c, "k"), "and the old value stays");
	free(body);
	cache_free(&c);
}

static void
touches(void)
{
	struct cache *c = kit_new(64, 0);
	struct op_result r;

	cache_tick(c, 10);
	kit_set(c, "a", "x", 0, 3);
	r = get(c, "a", OPF_TTL, 20);
	ok(r.ttl == 20, "T on an item that had no room for it");
	cache_tick(c, 15);
	r = get(c, "a", OPF_TTL, 100);
	ok(r.ttl == 100, "and on one that has");
	is_u(r.client_flags, 3, "client flags are kept");
	ok(kit_is(c, "a", "x"), "so is the value");
	r = get(c, "a", OPF_TTL, 0);
	ok(r.ttl == OP_TTL_NONE && kit_get(c, "a").ttl == OP_TTL_NONE, "T0: never");
	is_u(get(c, "a", OPF_TTL, -1).status, OP_OK, "T-1 still answers");
	ok(!kit_has(c, "a"), "but then it is gone");
	is_u(get(c, "a", OPF_TTL, 5).status, OP_MISS, "touch of nothing");
	cache_free(&c);
}

static void
last_access(void)
{
	struct cache *c = kit_new(64, 0);
	struct op_result r;

	cache_tick(c, 100);
	kit_set(c, "a", "x", 0, 0);
	cache_tick(c, 107);
	r = get(c, "a", OPF_NO_BUMP, 0);
	ok(r.la == 7 && (r.bits & OPR_FETCHED) == 0, "seven seconds ago, never fetched");
	r = get(c, "a", 0, 0);
	ok(r.la == 7 && (r.bits & OPR_FETCHED) == 0, "u did not count");
	cache_tick(c, 109);
	r = get(c, "a", 0, 0);
	ok(r.la == 2 && (r.bits & OPR_FETCHED) != 0, "an access did");
	cache_free(&c);
}

static void
vivifies_and_recaches(void)
{
	struct cache *c = kit_new(64, 0);
	struct op_result r;

	r = get(c, "a", OPF_VIVIFY, 30);
	ok(r.status == OP_OK && r.bits == OPR_WON && r.size == 0 && r.ttl == 30, "N on a miss: an empty item, W");
	r = get(c, "a", OPF_VIVIFY, 30);
	ok((r.bits & (OPR_WON | OPR_SENT)) == OPR_SENT, "the next one: Z");
	r = get(c, "e", OPF_VIVIFY | OPF_NEWCAS, 30);
	is_u(r.cas, 99, "E is the CAS of what is vivified");
	r = get(c, "e", OPF_NEWCAS, 30);
	is_u(r.cas, 99, "E on a hit changes nothing");
	kit_set(c, "a", "value", 100, 0);
	r = kit_get(c, "a");
	ok((r.bits & (OPR_WON | OPR_SENT | OPR_STALE)) == 0, "a set clears it");
	r = get(c, "a", OPF_RECACHE, 50);
	ok((r.bits & OPR_WON) == 0, "R below the TTL");
	r = get(c, "a", OPF_RECACHE, 101);
	ok((r.bits & (OPR_WON | OPR_SENT)) == OPR_WON, "R above it wins");
	r = get(c, "a", OPF_RECACHE, 101);
	ok((r.bits & (OPR_WON | OPR_SENT)) == OPR_SENT, "once");
	kit_set(c, "n", "value", 0, 0);
	r = get(c, "n", OPF_RECACHE, 1000);
	ok((r.bits & OPR_WON) == 0, "R without a TTL never wins");
	cache_free(&c);
}

/* What mg shows and wins, and what it leaves behind: TTL_GONE for nothing. */
#define TTL_GONE	(-2)

static void
order_is(struct cache *c, int32_t had, const char *flags, int32_t shown, bool won, int32_t left)
{
	struct op_result r, after;

	if (had == TTL_GONE)
		(void)kit_delete(c, "o");
	else
		kit_set(c, "o", "x", had < 0 ? 0 : had, 0);
	r = get_line(c, "o", flags);
	after = kit_get(c, "o");
	ok(r.status == OP_OK && r.ttl == shown && ((r.bits & OPR_WON) != 0) == won &&
	    (after.status == OP_OK ? after.ttl : TTL_GONE) == left, "%d: mg k %s", had, flags);
}

static void
order(void)
{
	struct cache *c = kit_new(64, 0);

	cache_tick(c, 10);
	order_is(c, TTL_GONE, "N30 t T40", 30, true, 40);
	order_is(c, TTL_GONE, "t N30", OP_TTL_NONE, true, 30);
	order_is(c, TTL_GONE, "T40 N0 t", OP_TTL_NONE, true, OP_TTL_NONE);
	order_is(c, TTL_GONE, "T40 t N-1", 40, true, TTL_GONE);
	order_is(c, TTL_GONE, "N30 T-1 t R30", 0, true, TTL_GONE);
	order_is(c, TTL_GONE, "N-1 T5", 5, true, 5);
	order_is(c, 50, "t T40 N30", 50, false, 40);
	order_is(c, 50, "R45 T40", 40, false, 40);
	order_is(c, 50, "T40 t R45", 40, true, 40);
	order_is(c, 50, "R60 T0 t", OP_TTL_NONE, true, OP_TTL_NONE);
	order_is(c, 50, "T0 R60 t", OP_TTL_NONE, false, OP_TTL_NONE);
	order_is(c, 50, "t T-1 R0", 50, false, TTL_GONE);
	order_is(c, OP_TTL_NONE, "t T5 R6 N9", OP_TTL_NONE, true, 5);
	cache_free(&c);
}

static void
stale(void)
{
	struct cache *c = kit_new(64, 0);
	struct op_result r;
	uint64_t cas;

	kit_set(c, "a", "old", 500, 0);
	cas = kit_get(c, "a").cas;
	is_u(del(c, "a", OPF_CAS | OPF_INVALIDATE, cas + 1, 0).status, OP_EXISTS, "md C I with another CAS");
	is_u(del(c, "a", OPF_INVALIDATE | OPF_TTL, 0, 30).status, OP_OK, "md I T");
	r = kit_get(c, "a");
	ok((r.bits & (OPR_WON | OPR_STALE | OPR_SENT)) == (OPR_WON | OPR_STALE), "the first: W X");
	ok(r.ttl == 30 && r.cas > cas, "its TTL was set, its CAS is new");
	r = kit_get(c, "a");
	ok((r.bits & (OPR_WON | OPR_STALE | OPR_SENT)) == (OPR_SENT | OPR_STALE), "then: Z X");
	is_u(store(c, "a", "late", OP_SET, OPF_CAS | OPF_INVALIDATE, r.cas + 1).status, OP_EXISTS,
	    "ms I with a higher CAS");
	is_u(store(c, "a", "late", OP_SET, OPF_CAS | OPF_INVALIDATE, cas).status, OP_OK, "ms I with a lower CAS");
	r = kit_get(c, "a");
	ok(kit_is(c, "a", "late"), "is stored");
	ok((r.bits & (OPR_STALE | OPR_SENT)) == (OPR_STALE | OPR_SENT) && r.ttl == 30,
	    "stale, with the win and the TTL of what was there");
	is_u(store(c, "a", "right", OP_SET, OPF_CAS, kit_get(c, "a").cas).status, OP_OK, "the winner's set");
	ok((kit_get(c, "a").bits & (OPR_STALE | OPR_SENT)) == 0, "clears all marks");
	cache_free(&c);
}

static void
deletes(void)
{
	struct cache *c = kit_new(64, 0);
	struct op_result r;
	uint64_t cas;

	is_u(del(c, "a", 0, 0, 0).status, OP_MISS, "delete of nothing");
	kit_set(c, "a", "value", 100, 9);
	cas = kit_get(c, "a").cas;
	is_u(del(c, "a", OPF_CAS, cas + 1, 0).status, OP_EXISTS, "with another CAS");
	is_u(del(c, "a", OPF_REMOVE_VAL, 0, 0).status, OP_OK, "md x");
	r = kit_get(c, "a");
	ok(r.status == OP_OK && r.size == 0 && r.client_flags == 0 && r.cas == cas && r.ttl == OP_TTL_NONE,
	    "no value, no flags, no TTL, the old CAS");
	kit_set(c, "a", "value", 100, 9);
	del(c, "a", OPF_REMOVE_VAL | OPF_NEWCAS | OPF_INVALIDATE | OPF_TTL, 0, 20);
	r = kit_get(c, "a");
	ok(r.size == 0 && r.cas == 88 && r.ttl == 20 && (r.bits & OPR_STALE), "md x I E T");
	is_u(del(c, "a", OPF_CAS, 88, 0).status, OP_OK, "with its CAS");
	ok(!kit_has(c, "a"), "gone");
	cache_free(&c);
}

static void
arithmetic(void)
{
	struct cache *c = kit_new(64, 0);
	struct op_result r;

	is_u(arith(c, "n", OP_INCR, 1, 0, 0).status, OP_MISS, "incr of nothing");
	kit_set(c, "n", "10", 0, 0);
	is_u(arith(c, "n", OP_INCR, 5, 0, 0).number, 15, "incr");
	is_u(arith(c, "n", OP_DECR, 7, 0, 0).number, 8, "decr");
	ok(kit_is(c, "n", "8 "), "keeps its width");
	is_u(kit_get(c, "n").size, 2, "two bytes");
	is_u(arith(c, "n", OP_DECR, 9, 0, 0).number, 0, "decr stops at 0");
	is_u(arith(c, "n", OP_INCR, 999, 0, 0).number, 999, "incr that needs more room");
	ok(kit_is(c, "n", "999"), "gets it");
	kit_set(c, "n", "18446744073709551615", 0, 0);
	is_u(arith(c, "n", OP_INCR, 2, 0, 0).number, 1, "incr wraps");
	kit_set(c, "n", "12 ", 0, 0);
	is_u(arith(c, "n", OP_INCR, 1, 0, 0).number, 13, "spaces after it");
	kit_set(c, "n", "12abc", 0, 0);
	r = arith(c, "n", OP_INCR, 1, 0, 0);
	ok(r.status == OP_ERROR && slice_eq_str(r.error,
	    "CLIENT_ERROR cannot increment or decrement non-numeric value"), "letters after it");
	kit_set(c, "n", "", 0, 0);
	is_u(arith(c, "n", OP_INCR, 1, 0, 0).status, OP_ERROR, "nothing");
	kit_set(c, "n", "184467440737095516160", 0, 0);
	is_u(arith(c, "n", OP_INCR, 1, 0, 0).status, OP_ERROR, "too large");
	kit_set(c, "n", "-5", 0, 0);
	is_u(arith(c, "n", OP_INCR, 1, 0, 0).status, OP_ERROR, "negative");
	r = arith(c, "v", OP_INCR, 3, OPF_VIVIFY, OPO_VIVIFY);
	ok(r.status == OP_OK && r.number == 13 && r.ttl == 40, "N J: the initial value with its TTL");
	is_u(arith(c, "v", OP_INCR, 3, OPF_VIVIFY | OPF_CAS, OPO_VIVIFY).status, OP_EXISTS, "another CAS");
	r = arith(c, "v", OP_INCR, 3, OPF_VIVIFY | OPF_TTL | OPF_NEWCAS, OPO_SHOW | OPO_TTL << OPO_BITS);
	ok(r.number == 16 && r.ttl == 40 && r.cas == 1234 && kit_get(c, "v").ttl == 50, "t T and E");
	is_u(kit_get(c, "v").cas, 1234, "E is kept");
	r = arith(c, "v", OP_INCR, 3, OPF_TTL, OPO_TTL | OPO_SHOW << OPO_BITS);
	is_u(r.ttl, 50, "T t");
	r = arith(c, "w", OP_INCR, 3, OPF_VIVIFY | OPF_TTL, OPO_TTL | OPO_SHOW << OPO_BITS | OPO_VIVIFY << 2 * OPO_BITS);
	ok(r.ttl == 50 && kit_get(c, "w").ttl == 40 && (r.bits & OPR_WON) == 0, "T t N: each has its turn");
	kit_set(c, "f", "9", 77, 6);
	arith(c, "f", OP_INCR, 1, 0, 0);
	r = kit_get(c, "f");
	ok(r.client_flags == 6 && r.ttl == 77 && kit_is(c, "f", "10"), "flags and TTL survive");
	cache_free(&c);
}

static void
arithmetic_beside_a_reader(void)
{
	struct cache *c = kit_new(64, 0);
	struct op op = kit_op(OP_GET, "n");
	struct op_result res;
	struct cache_shard *s;
	struct item *it;

	kit_set(c, "n", "41", 0, 0);
	s = verb_get(c, &op, &res, &it);
	cache_pin(s, it);
	cache_unlock(s);
	is_u(arith(c, "n", OP_INCR, 1, 0, 0).number, 42, "incr while it is being read");
	ok(memcmp(item_value(it), "41", 2) == 0, "the reader's bytes do not change");
	ok(kit_is(c, "n", "42"), "the next one sees the new value");
	cache_unpin(c, it);
	cache_free(&c);
}

static void
debugs(void)
{
	struct cache *c = kit_new(64, 0);
	struct op op = kit_op(OP_DEBUG, "d");
	struct op_result res;
	char buf[256], want[256];

	cache_tick(c, 10);
	verb_debug(c, &op, &res, buf, sizeof buf);
	is_u(res.status, OP_MISS, "me of nothing");
	kit_set(c, "d", "12345", 60, 0);
	cache_tick(c, 14);
	verb_debug(c, &op, &res, buf, sizeof buf);
	snprintf(want, sizeof want, "exp=56 la=4 cas=%llu fetch=no cls=1 size=26", (unsigned long long)res.cas);
	ok(slice_eq_str(res.error, want), "me: %.*s", (int)res.error.len, res.error.p);
	cache_free(&c);
}

static void
base64_keys(void)
{
	struct cache *c = kit_new(64, 0);

	store(c, "b", "x", OP_SET, OPF_BINKEY, 0);
	ok((kit_get(c, "b").bits & OPR_BINKEY) != 0, "set with b");
	store(c, "b", "y", OP_APPEND, 0, 0);
	ok((kit_get(c, "b").bits & OPR_BINKEY) != 0, "kept by append");
	store(c, "b", "x", OP_SET, 0, 0);
	ok((kit_get(c, "b").bits & OPR_BINKEY) == 0, "set without");
	cache_free(&c);
}

static void
without_cas(void)
{
	struct cache_conf cf = { .mem = 8 << 20, .item_max = 1 << 20, .threads = 1, .evict = true };
	const char *why;
	struct cache *c = cache_new(&cf, &why);

	is_u(store(c, "a", "x", OP_SET, OPF_NEWCAS, 0).cas, 0, "-C: the CAS is 0");
	is_u(kit_get(c, "a").cas, 0, "always");
	cache_free(&c);
}

static void
without_eviction(void)
{
	struct cache_conf cf = { .mem = 4 << 20, .item_max = 1 << 20, .threads = 1, .use_cas = true };
	const char *why;
	struct cache *c = cache_new(&cf, &why);
	unsigned i, lost = 0, again = 0;
	char key[32];

	for (i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "key%u", i);
		if (kit_set(c, key, "a value of some fifty bytes, more or less, or so", 0, 0).status != OP_OK)
			break;
	}
	ok(i > 30000 && i < 60000, "-M: stores fail when memory is full, after %u", i);
	for (unsigned k = 0; k < i; k++) {
		snprintf(key, sizeof key, "key%u", k);
		lost += !kit_has(c, key);
	}
	is_u(lost, 0, "and nothing was evicted");
	is_u(kit_stats(c).evictions, 0, "as the counter says");
	for (unsigned k = 0; k < i; k += 2) {
		snprintf(key, sizeof key, "key%u", k);
		kit_delete(c, key);
	}
	for (unsigned k = 0; k < i / 3; k++) {
		snprintf(key, sizeof key, "new%u", k);
		again += kit_set(c, key, "a value of some fifty bytes, more or less, or so", 0, 0).status == OP_OK;
	}
	is_u(again, i / 3, "deleted ones make room");
	for (unsigned k = 1; k < i; k += 2) {
		snprintf(key, sizeof key, "key%u", k);
		lost += !kit_has(c, key);
	}
	is_u(lost, 0, "still nothing lost");
	cache_free(&c);
}

int
main(void)
{
	classic_stores();
	large_appends();
	touches();
	last_access();
	vivifies_and_recaches();
	order();
	stale();
	deletes();
	arithmetic();
	arithmetic_beside_a_reader();
	debugs();
	base64_keys();
	without_cas();
	without_eviction();
	return (done_testing());
}
