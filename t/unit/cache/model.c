/*
 * The cache against a plain map: a seeded random stream of every verb, run on both; what the cache still has must be
 * what the map says, expiry to the second, CAS, flags and all. What it lost must have been evicted.
 *
 *	model [seed]	a failure prints its seed
 */
#include "config.h"

#include <stdlib.h>

#include "kit.h"
#include "tap.h"

#define KEYS	3000
#define VMAX	200000

struct entry {
	char		*value;
	uint32_t	 len, flags, exptime;
	uint64_t	 cas;
	bool		 there;
};

static struct entry map[KEYS];
static uint64_t rnd_state;
static uint32_t now;
static char body[VMAX];

static uint32_t
rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return ((uint32_t)(rnd_state * 0x2545f4914f6cdd1dull >> 33) % below);
}

static struct slice
key_of(uint32_t k)
{
	static char buf[300];
	int n = snprintf(buf, sizeof buf, "%0*u", 4 + (int)(k % 7 == 0 ? k % 240 : k % 9), k);

	return (slice_of(buf, (size_t)n));
}

static bool
alive(const struct entry *e)
{
	return (e->there && (e->exptime == 0 || e->exptime > now));
}

static void
drop(struct entry *e)
{
	free(e->value);
	*e = (struct entry){ 0 };
}

static uint32_t
random_length(void)
{
	switch (rnd(40)) {
	case 0:
		return (rnd(VMAX));
	case 1:
	case 2:
		return (rnd(9000));
	default:
		return (rnd(300));
	}
}

static struct op
op_for(uint8_t verb, uint32_t k)
{
	struct slice key = key_of(k);

	return ((struct op){ .verb = verb, .key = key, .hash = cache_hash(key) });
}

static bool
value_is(struct cache *c, const struct item *it, const char *want, uint32_t len)
{
	struct iovec v;

	if (item_vlen(it) != len)
		return (false);
	for (uint32_t off = 0; off < len; off += (uint32_t)v.iov_len)
		if (cache_value_iov(c, it, off, &v, 1) != 1 || v.iov_len > len - off ||
		    memcmp(v.iov_base, want + off, v.iov_len) != 0)
			return (false);
	return (true);
}

/* The cache's item must be the map's; gone is allowed (evicted), and the map forgets it then. */
static bool
agree(struct cache *c, uint32_t k)
{
	struct entry *e = &map[k];
	struct op op = op_for(OP_GET, k);
	struct op_result res;
	struct item *it;
	struct cache_shard *s = verb_get(c, &op, &res, &it);
	bool good;

	if (s == NULL) {
		drop(e);
		return (true);
	}
	good = alive(e) && res.cas == e->cas && res.client_flags == e->flags && item_exptime(it) == e->exptime &&
	    value_is(c, it, e->value, e->len) && slice_eq(item_key(it), op.key);
	cache_unlock(s);
	return (good);
}

static void
set_entry(struct entry *e, const char *value, uint32_t len, uint32_t flags, uint32_t exptime, uint64_t cas)
{
	char *copy = malloc(len + 1);

	memcpy(copy, value, len);
	drop(e);
	*e = (struct entry){ copy, len, flags, exptime, cas, true };
}

/* What a store of body (len) must come to. */
static enum op_status
expected(const struct entry *e, const struct op *op)
{
	bool cas = (op->opts & OPF_CAS) != 0;

	switch (op->mode) {
	case OP_ADD:
		return (e->there ? OP_NOT_STORED : OP_OK);
	case OP_APPEND:
	case OP_PREPEND:
		return (!e->there ? OP_NOT_STORED : cas && op->cas != e->cas ? OP_EXISTS : OP_OK);
	default:
		if (cas)
			return (!e->there ? OP_MISS : op->cas != e->cas ? OP_EXISTS : OP_OK);
		return (op->mode == OP_REPLACE && !e->there ? OP_NOT_STORED : OP_OK);
	}
}

static bool
do_store(struct cache *c, uint32_t k)
{
	struct entry *e = &map[k];
	struct op op;
	uint32_t len = random_length(), exp;
	enum op_status want;
	struct op_result res;

	if (!agree(c, k))
		return (false);
	op = op_for(OP_STORE, k);
	op.mode = (uint8_t)(rnd(3) ? OP_SET : rnd(5));
	op.opts = OPF_TTL | OPF_FLAGS | (rnd(5) == 0 ? OPF_CAS : 0);
	op.cas = rnd(3) ? e->cas : e->cas + 1;
	op.cas += op.cas == 0;
	op.ttl = rnd(2) ? 0 : (int32_t)rnd(60);
	op.client_flags = rnd(2) ? 0 : rnd(1000);
	for (uint32_t i = 0, x = rnd(1u << 30); i < len; i++)
		body[i] = (char)(x + i * 31 + i / 256);
	want = expected(e, &op);
	exp = verb_exptime(c, op.ttl);
	res = kit_store(c, &op, body, len);
	if (res.status == OP_ERROR) {		/* no room: the old value is gone */
		drop(e);
		return (true);
	}
	if (want != OP_OK || op.mode < OP_APPEND) {
		if (res.status == OP_OK)
			set_entry(e, body, len, op.client_flags, exp, res.cas);
		return (res.status == want);
	}
	if (res.status == OP_OK) {
		char *both = malloc(e->len + len + 1);

		memcpy(both + (op.mode == OP_APPEND ? 0 : len), e->value, e->len);
		memcpy(both + (op.mode == OP_APPEND ? e->len : 0), body, len);
		set_entry(e, both, e->len + len, e->flags, e->exptime, res.cas);
		free(both);
	}
	/* No room for the sum is allowed, too. */
	return (res.status == OP_OK || res.status == OP_NOT_STORED);
}

static bool
do_touch(struct cache *c, uint32_t k)
{
	struct entry *e = &map[k];
	struct op op;
	struct op_result res;

	if (!agree(c, k))
		return (false);
	op = op_for(OP_GET, k);
	op.opts = OPF_TTL;
	op.order = OPO_TTL;
	op.ttl = rnd(3) ? (int32_t)rnd(50) : 0;
	res = kit_run_get(c, &op);
	if (res.status == OP_OK && e->there)
		e->exptime = verb_exptime(c, op.ttl);
	else
		drop(e);
	return (true);
}

static bool
do_delete(struct cache *c, uint32_t k)
{
	struct entry *e = &map[k];
	struct op op;
	struct op_result res;
	bool was;

	if (!agree(c, k))
		return (false);
	was = e->there;
	op = op_for(OP_DELETE, k);
	verb_delete(c, &op, &res);
	drop(e);
	return (res.status == (was ? OP_OK : OP_MISS));
}

/* Digits, and the spaces that a shorter number left behind. */
static bool
is_number(const struct entry *e)
{
	for (uint32_t i = 0; i < e->len; i++)
		if ((e->value[i] < '0' || e->value[i] > '9') && (i == 0 || e->value[i] != ' '))
			return (false);
	return (true);
}

static bool
do_incr(struct cache *c, uint32_t k)
{
	struct entry *e = &map[k];
	struct op op;
	struct op_result res;
	char num[32];
	int n;

	if (!agree(c, k))
		return (false);
	if (!e->there || e->len == 0 || e->len > 19 || !is_number(e)) {
		op = op_for(OP_STORE, k);
		n = snprintf(num, sizeof num, "%u", rnd(2000));
		res = kit_store(c, &op, num, (size_t)n);
		if (res.status == OP_OK)
			set_entry(e, num, (uint32_t)n, 0, 0, res.cas);
		else
			drop(e);
		return (true);
	}
	op = op_for(OP_ARITH, k);
	op.mode = rnd(2) ? OP_INCR : OP_DECR;
	op.delta = rnd(3000);
	e->value[e->len] = '\0';
	verb_arith(c, &op, &res);
	if (res.status == OP_OK) {
		uint64_t old = strtoull(e->value, NULL, 10);
		uint64_t want = op.mode == OP_INCR ? old + op.delta : old > op.delta ? old - op.delta : 0;

		n = snprintf(num, sizeof num, "%-*llu", (int)e->len, (unsigned long long)want);
		set_entry(e, num, (uint32_t)n, e->flags, e->exptime, res.cas);
		return (res.number == want);
	}
	return (false);
}

static void
flush_map(void)
{
	for (uint32_t k = 0; k < KEYS; k++)
		drop(&map[k]);
}

static unsigned
run(struct cache *c, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		uint32_t k = rnd(4) ? rnd(KEYS / 10) : rnd(KEYS), what = rnd(100);
		bool good;

		if (rnd(200) == 0)
			cache_tick(c, now += rnd(3));
		if (rnd(20000) == 0) {
			cache_flush(c, now);
			flush_map();
		}
		good = what < 45 ? agree(c, k) : what < 80 ? do_store(c, k) : what < 88 ? do_touch(c, k) :
		    what < 93 ? do_delete(c, k) : do_incr(c, k % 50);
		if (!good) {
			printf("# step %u key %u what %u\n", i, k, what);
			return (i);
		}
	}
	return (steps);
}

struct seen {
	unsigned	 items, wrong;
};

static bool
see(void *arg, const struct item *it)
{
	struct seen *seen = arg;
	uint32_t k = (uint32_t)strtoul(strndupa(item_key(it).p, item_klen(it)), NULL, 10);

	seen->items++;
	seen->wrong += k >= KEYS || !alive(&map[k]) || map[k].cas != item_cas(it);
	return (true);
}

static void
compare(uint64_t seed, size_t mb, unsigned steps)
{
	struct cache *c = kit_new(mb, 400000);
	struct seen seen = { 0, 0 };
	uint64_t cursor = 0;
	struct cache_stats st;
	unsigned done, lost = 0, there = 0;

	rnd_state = seed * 2 + 1;
	cache_tick(c, now = 1000);
	done = run(c, steps);
	is_u(done, steps, "-m %zu, seed %llu: every answer as the map has it", mb, (unsigned long long)seed);
	st = kit_stats(c);
	ok(st.mem_used <= st.mem_limit, "within -m");
	while (cache_walk(c, &cursor, 100, see, &seen))
		;
	is_u(seen.wrong, 0, "a walk sees only what is there (%u of %llu)", seen.items, (unsigned long long)st.items);
	for (uint32_t k = 0; k < KEYS; k++)
		there += alive(&map[k]);
	ok(st.evictions > 0 ? seen.items <= there : seen.items == there, "and all of it (%u)", there);
	for (uint32_t k = 0; k < KEYS; k++) {
		bool was = alive(&map[k]);

		if (!agree(c, k))
			break;
		lost += was && !map[k].there;
	}
	ok(st.evictions > 0 || lost == 0, "nothing was lost but by eviction (%u, %llu)", lost,
	    (unsigned long long)st.evictions);
	flush_map();
	cache_free(&c);
}

int
main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;

	compare(seed, 64, 60000);
	compare(seed + 1, 2, 60000);
	compare(seed + 2, 8, 60000);
	return (done_testing());
}
