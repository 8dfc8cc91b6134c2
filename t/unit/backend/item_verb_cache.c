/*
 * item_verb against the local cache's verbs: the same random ops on one item in both; what clients would see must not
 * differ. So what rocksdb answers is what memcached does, as far as the cache does.
 *
 *	item_verb_cache [seed]	a failure prints its seed
 */
#include "config.h"

#include "../cache/kit.h"
#include "item_sim.h"
#include "tap.h"

#define KEY	"key"
#define START	1700000000		/* unix time at the cache's second 0 */
#define SEEN	20

static uint32_t second;
static uint64_t microsecond;

/* CAS uniques differ, but each of one side belongs to one of the other. */
static struct { uint64_t cache, sim; } seen[SEEN];
static unsigned nseen;

static void
cas_seen(uint64_t cache, uint64_t sim)
{
	if (nseen > 0 && seen[0].cache == cache)
		return;
	memmove(&seen[1], &seen[0], sizeof seen - sizeof seen[0]);
	seen[0].cache = cache;
	seen[0].sim = sim;
	nseen += nseen < SEEN;
}

static int32_t
random_ttl(void)
{
	static const int32_t some[] = { 0, 0, -1, 1, 2, 5, 30, OP_REALTIME_MAX, OP_REALTIME_MAX + 1, START + 3 };
	unsigned i = rnd(NITEMS(some) + 1);

	return (i < NITEMS(some) ? some[i] : (int32_t)(START + second + rnd(5)));
}

static const char *
random_text(void)
{
	static const char *const some[] = { "", "abc", "7", "12   ", "18446744073709551615", " 5", "+3", "-1", "9x", "100",
		"18446744073709551616", "0007" };

	return (some[rnd(NITEMS(some))]);
}

static void
random_order(struct op *op)
{
	static const uint16_t opts[] = { [OPO_SHOW] = 0, [OPO_TTL] = OPF_TTL, [OPO_VIVIFY] = OPF_VIVIFY,
		[OPO_RECACHE] = OPF_RECACHE };
	bool there[5] = { false };

	for (unsigned n = rnd(4), shift = 0; n > 0; n--) {
		unsigned what = 1 + rnd(op->verb == OP_ARITH ? 3 : 4);

		if (there[what])
			continue;
		there[what] = true;
		op->order |= (uint16_t)(what << shift);
		op->opts |= opts[what];
		op->want |= what == OPO_SHOW ? OPW_TTL : 0;
		shift += OPO_BITS;
	}
}

static void
random_op(struct op *op)
{
	static const uint8_t verbs[] = { OP_GET, OP_GET, OP_GET, OP_STORE, OP_STORE, OP_STORE, OP_DELETE, OP_ARITH };

	*op = kit_op(verbs[rnd(NITEMS(verbs))], KEY);
	op->ttl = random_ttl();
	op->vivify_ttl = random_ttl();
	op->recache_ttl = random_ttl();
	op->client_flags = rnd(3);
	op->delta = rnd(3) == 0 ? UINT64_MAX - rnd(3) : rnd(200);
	op->initial = rnd(2) == 0 ? UINT64_MAX : rnd(50);
	op->opts = rnd(3) == 0 ? OPF_BINKEY : 0;
	switch (op->verb) {
	case OP_GET:
		random_order(op);
		/* Which of two moments in the past is the earlier one, nobody means to ask. */
		if ((op->opts & OPF_RECACHE) != 0)
			op->ttl = (int32_t)rnd(40);
		op->want |= OPW_VALUE | OPW_HIT;
		op->opts |= rnd(4) == 0 ? OPF_NO_BUMP : 0;
		/* get, gat */
		if (rnd(4) == 0) {
			op->order = rnd(2) ? OPO_TTL : 0;
			op->opts = OPF_CLASSIC | (op->order != 0 ? OPF_TTL : 0);
		}
		break;
	case OP_STORE:
		op->mode = (uint8_t)rnd(5);
		op->opts |= (rnd(2) ? OPF_TTL : 0) | (rnd(2) ? OPF_FLAGS : 0) | (rnd(3) == 0 ? OPF_CAS : 0) |
		    (rnd(3) == 0 ? OPF_INVALIDATE : 0);
		if (op->mode >= OP_APPEND && rnd(2))
			op->opts |= OPF_VIVIFY;
		break;
	case OP_DELETE:
		op->opts |= (rnd(3) == 0 ? OPF_CAS : 0) | (rnd(2) ? OPF_INVALIDATE : 0) | (rnd(3) == 0 ? OPF_REMOVE_VAL : 0) |
		    (rnd(2) ? OPF_TTL : 0) | (rnd(2) ? OPF_FLAGS : 0);
		break;
	default:
		op->mode = rnd(2) ? OP_INCR : OP_DECR;
		op->opts |= rnd(4) == 0 ? OPF_CAS : 0;
		random_order(op);
		break;
	}
}

static struct op_result
in_cache(struct cache *c, struct op *op, const char *text)
{
	struct op_result res;

	switch (op->verb) {
	case OP_GET:
		return (kit_run_get(c, op));
	case OP_STORE:
		return (kit_store(c, op, text, strlen(text)));
	case OP_DELETE:
		verb_delete(c, op, &res);
		return (res);
	default:
		verb_arith(c, op, &res);
		return (res);
	}
}

/* What classic reads tell a local copy, no client sees. */
static uint8_t
bits_shown(const struct op *op, uint8_t bits)
{
	if (op->verb == OP_DELETE || op->verb == OP_STORE || op->verb == OP_ARITH)
		return (bits & OPR_BINKEY);
	return ((op->opts & OPF_CLASSIC) != 0 ? bits & ~(OPR_SENT | OPR_STALE) : bits);
}

static bool
same_outcome(const struct op *op, const struct op_result *a, const struct op_result *b)
{
	if (a->status != b->status)
		return (false);
	if (a->status == OP_ERROR)
		return (slice_eq(a->error, b->error));
	if (a->status != OP_OK || op->verb == OP_DELETE)
		return (true);
	if (bits_shown(op, a->bits) != bits_shown(op, b->bits) || (op->verb == OP_ARITH && a->number != b->number))
		return (false);
	return (a->size == b->size && (op->verb == OP_STORE || (a->ttl == b->ttl && a->client_flags == b->client_flags)));
}

static void
describe(const char *who, const struct op_result *r)
{
	printf("# %s: status %u bits %x flags %u ttl %d size %u cas %llu number %llu\n", who, r->status, r->bits,
	    r->client_flags, r->ttl, r->size, (unsigned long long)r->cas, (unsigned long long)r->number);
}

/* The cache's value, static; nobody has fetched it. */
static const char *
peek(struct cache *c, const struct op *op, struct op_result *res)
{
	static char text[SIM_ROW];
	struct item *it;
	struct cache_shard *s = verb_get(c, op, res, &it);
	struct iovec v;

	if (s == NULL)
		return ("(none)");
	text[0] = '\0';
	if (res->size > 0 && cache_value_iov(c, it, 0, &v, 1) == 1)
		snprintf(text, sizeof text, "%.*s", (int)v.iov_len, (const char *)v.iov_base);
	cache_unlock(s);
	return (text);
}

/* The item itself, in both. */
static bool
same_item(struct cache *c, struct sim *s)
{
	struct op op = kit_op(OP_GET, KEY);
	struct op_result a, b;
	struct be_op be;
	const char *text;

	op.opts = OPF_CLASSIC | OPF_NO_BUMP;
	text = peek(c, &op, &a);
	sim_op(&be, OP_GET, 0, &(struct stamp){ 0 });
	be.op = op;
	b = sim_do(s, &be, "");
	if (a.status == OP_OK)
		cas_seen(a.cas, b.cas);
	if (same_outcome(&op, &a, &b) && strcmp(text, sim_value(s)) == 0 &&
	    (a.status != OP_OK || seen[0].sim == b.cas))
		return (true);
	printf("# cache has '%s', sim '%s'\n", text, sim_value(s));
	describe("cache", &a);
	describe("sim", &b);
	return (false);
}

static bool
step(struct cache *c, struct sim *s)
{
	static const uint64_t nobodys = UINT64_C(1) << 62;
	unsigned which = rnd(4), at = nseen > 0 && which > 1 ? rnd(nseen) : 0;
	const char *text = random_text();
	struct op_result a, b;
	struct be_op be;
	struct op op;

	random_op(&op);
	sim_op(&be, op.verb, 0, &(struct stamp){ .version = microsecond++ });
	be.keep_dead = rnd(2) ? 0 : 3000;
	be.op = op;
	op.cas = which == 0 ? 0 : nseen > 0 ? seen[at].cache : nobodys;
	be.op.cas = which == 0 ? 0 : nseen > 0 ? seen[at].sim : nobodys;
	a = in_cache(c, &op, text);
	b = sim_do(s, &be, text);
	if (same_outcome(&op, &a, &b) && same_item(c, s))
		return (true);
	printf("# verb %u mode %u opts %x order %x want %x ttl %d %d %d, text '%s', cas %llu, second %u\n", op.verb, op.mode,
	    op.opts, op.order, op.want, op.ttl, op.vivify_ttl, op.recache_ttl, text, (unsigned long long)op.cas, second);
	describe("cache", &a);
	describe("sim", &b);
	return (false);
}

static unsigned
duel(unsigned rounds)
{
	struct cache *c = kit_new(64, 0);
	struct sim s;
	unsigned wrong = 0;

	second = 2;
	microsecond = UINT64_C(1000000) * START;
	verb_set_start(c, START);
	for (unsigned i = 0; i < rounds && wrong < 3; i++) {
		struct op flush = kit_op(OP_DELETE, KEY);
		struct op_result res;

		verb_delete(c, &flush, &res);
		sim_begin(&s);
		nseen = 0;
		for (unsigned n = 0; n < 30 && wrong < 3; n++) {
			if (rnd(4) == 0)
				second += rnd(3);
			cache_tick(c, second);
			s.now = (uint64_t)(START + second) * 1000;
			wrong += !step(c, &s);
		}
	}
	cache_free(&c);
	return (wrong);
}

int
main(int argc, char **argv)
{
	rnd_seed(argc > 1 ? strtoull(argv[1], NULL, 10) : 20261128);
	is_u(duel(20000), 0, "20000 items are the same in the cache and in a store");
	return (done_testing());
}
