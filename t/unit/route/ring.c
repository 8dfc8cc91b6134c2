/*
 * Unit tests of src/route/ring*.c: the properties that every distribution must have, and those of each.
 *
 * That placement agrees with other programs is t/40-placement.t's to show.
 */
#include "route/ring.c"
#include "store.h"
#include "tap.h"

#include <math.h>

#define KEYS	20000

static const char *const three[] = { "10.0.0.1:11211 1", "10.0.0.2:11211 1", "10.0.0.3:11212 1" };
static const char *const weighted[] = { "10.0.0.1:11211 1", "10.0.0.2:11211 2", "10.0.0.3:11212 5" };
static const struct {
	const char	*name;
	enum conf_dist	 dist;
	const char	*hash;
	double		 spread;	/* how far a share may be from what the weight promises */
	bool		 weights;
} dists[] = {
	{ "ketama",			DIST_KETAMA, NULL, 0.25, true },
	{ "ketama md5",			DIST_KETAMA, "md5", 0.25, true },
	{ "ketama crc32",		DIST_KETAMA, "crc32", 0.25, true },
	{ "jump",			DIST_JUMP, NULL, 0.08, true },
	{ "jump murmur",		DIST_JUMP, "murmur", 0.08, true },
	{ "modula",			DIST_MODULA, NULL, 0.08, true },
	{ "modula fnv1a_64",		DIST_MODULA, "fnv1a_64", 0.08, true },
	{ "twemproxy-modula",		DIST_TWEMPROXY_MODULA, NULL, 0.08, true },
	{ "random",			DIST_RANDOM, NULL, 0.08, true },
	{ "twemproxy-ketama",		DIST_TWEMPROXY_KETAMA, NULL, 0.45, true },
	{ "twemproxy-ketama md5",	DIST_TWEMPROXY_KETAMA, "md5", 0.45, true },
	{ "libmemcached",		DIST_LIBMEMCACHED, NULL, 0.08, false },
	/* libmemcached turns weighting on by itself when a weight is above 1 */
	{ "libmemcached-ketama",	DIST_LIBMEMCACHED_KETAMA, NULL, 0.45, true },
	{ "libmemcached-ketama-weighted", DIST_LIBMEMCACHED_KETAMA_WEIGHTED, NULL, 0.45, true },
};

static struct slice
key_of(unsigned i)
{
	static char buf[32];

	return (slice_of(buf, (size_t)snprintf(buf, sizeof(buf), "user:%u:name", i)));
}

static struct ring *
ring_of(enum conf_dist dist, const char *hash, const char *tag, const char *const *servers, unsigned n)
{
	struct conf_store *store = store_of(dist, hash, tag, servers, n);
	const char *why = NULL;
	struct ring *r = ring_new(store, &why);

	if (r == NULL)
		printf("# ring_new: %s\n", why);
	store_drop(store);	/* the ring copied what it needs */
	return (r);
}

static size_t
pick(struct ring *r, struct slice key)
{
	return (ring_pick(r, key, hash_xxh3(key)));
}

/* Shares against weights; chi-square as well, for those that draw servers independently of each other. */
static void
shares_follow_weights(void)
{
	static const double promise[2][3] = { { 1 / 3.0, 1 / 3.0, 1 / 3.0 }, { 0.125, 0.25, 0.625 } };

	for (size_t d = 0; d < NITEMS(dists); d++)
		for (unsigned w = 0; w < 2; w++) {
			struct ring *r = ring_of(dists[d].dist, dists[d].hash, NULL, w ? weighted : three, 3);
			const double *want = promise[w && dists[d].weights];
			unsigned got[3] = { 0 };
			double worst = 0, chi = 0;

			for (unsigned i = 0; i < KEYS; i++)
				got[pick(r, key_of(i))]++;
			for (unsigned s = 0; s < 3; s++) {
				double off = got[s] / (double)KEYS - want[s];

				worst = fmax(worst, fabs(off) / want[s]);
				chi += off * off / want[s] * KEYS;
			}
			ok(worst < dists[d].spread, "%s, %s weights: %u %u %u", dists[d].name,
			    w ? "different" : "equal", got[0], got[1], got[2]);
			/* two degrees of freedom: 23 is one in 100,000 */
			if (dists[d].spread < 0.1)
				ok(chi < 23, "%s: chi-square %.2f", dists[d].name, chi);
			ring_free(&r);
		}
}

static void
many_servers_are_balanced(void)
{
	enum { N = 100 };
	static char names[N][32];
	const char *servers[N];
	unsigned got[N] = { 0 }, least = ~0u, most = 0;
	struct ring *r;

	for (unsigned i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "cache-%u.example:11211", i);
		servers[i] = names[i];
	}
	r = ring_of(DIST_KETAMA, NULL, NULL, servers, N);
	for (unsigned i = 0; i < 1000 * N; i++)
		got[pick(r, key_of(i))]++;
	for (unsigned i = 0; i < N; i++) {
		least = got[i] < least ? got[i] : least;
		most = got[i] > most ? got[i] : most;
	}
	ok(least > 700 && most < 1300, "100 servers, 1000 keys each: from %u to %u", least, most);
	ring_free(&r);
}

static void
nth_are_distinct(void)
{
	for (size_t d = 0; d < NITEMS(dists); d++) {
		struct ring *r = ring_of(dists[d].dist, dists[d].hash, NULL, weighted, 3);
		unsigned wrong = 0, again = 0, second[3] = { 0 };

		for (unsigned i = 0; i < 2000; i++) {
			struct slice key = key_of(i);
			uint64_t h = hash_xxh3(key);
			size_t at[4];

			for (size_t n = 0; n < 4; n++)
				at[n] = ring_pick_nth(r, key, h, n);
			wrong += at[0] == at[1] || at[1] == at[2] || at[0] == at[2] ||
			    at[0] > 2 || at[1] > 2 || at[2] > 2 || at[3] != 3;
			if (dists[d].dist != DIST_RANDOM)
				again += at[0] != ring_pick(r, key, h) ||
				    at[1] != ring_pick_nth(r, key, h, 1);
			second[at[1]]++;
		}
		is_u(wrong, 0, "%s: three choices, three servers, no fourth", dists[d].name);
		is_u(again, 0, "%s: the same choices again", dists[d].name);
		ok(second[0] > 0 && second[1] > 0 && second[2] > 0, "%s: every server is somebody's second",
		    dists[d].name);
		ring_free(&r);
	}
}

/*
 * The second choice is where the key goes when its server is taken off the list: failover needs no other
 * ring.
 */
static void
removing_a_server_moves_only_its_keys(void)
{
	static const char *const rest[] = { "10.0.0.1:11211 1", "10.0.0.3:11212 5" };
	struct ring *big = ring_of(DIST_KETAMA, NULL, NULL, weighted, 3);
	struct ring *small = ring_of(DIST_KETAMA, NULL, NULL, rest, 2);
	unsigned moved = 0, wrong = 0, orphans = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		struct slice key = key_of(i);
		size_t was = pick(big, key), is = pick(small, key) * 2;

		if (was == 1) {
			orphans++;
			wrong += is != ring_pick_nth(big, key, hash_xxh3(key), 1);
		} else {
			moved += was != is;
		}
	}
	is_u(moved, 0, "ketama: keys of the remaining servers stay");
	is_u(wrong, 0, "ketama: the others go to their second choice");
	ok(orphans > 3000, "and there were %u of them", orphans);
	ring_free(&big);
	ring_free(&small);
}

static void
order_does_not_matter_to_ketama(void)
{
	static const char *const turned[] = { "10.0.0.3:11212 5", "10.0.0.1:11211 1", "10.0.0.2:11211 2" };
	static const size_t same[] = { 2, 0, 1 };
	struct ring *a = ring_of(DIST_KETAMA, NULL, NULL, weighted, 3);
	struct ring *b = ring_of(DIST_KETAMA, NULL, NULL, turned, 3);
	unsigned moved = 0;

	for (unsigned i = 0; i < KEYS; i++)
		moved += pick(a, key_of(i)) != same[pick(b, key_of(i))];
	is_u(moved, 0, "ketama: the order of the servers in the file does not matter");
	ring_free(&a);
	ring_free(&b);
}

static void
growth(enum conf_dist dist, const char *name, const char *const *more, unsigned n)
{
	struct ring *old = ring_of(dist, NULL, NULL, three, 3);
	struct ring *new = ring_of(dist, NULL, NULL, more, n);
	unsigned astray = 0, moved = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		size_t was = pick(old, key_of(i)), is = pick(new, key_of(i));

		moved += was != is;
		astray += was != is && is != n - 1;
	}
	is_u(astray, 0, "%s: what moves, moves to the newcomer", name);
	ok(moved > KEYS / 8 && moved < KEYS / 2, "%s: %u of %u move", name, moved, KEYS);
	ring_free(&old);
	ring_free(&new);
}

static void
adding_a_server_takes_only_its_share(void)
{
	static const char *const four[] = { "10.0.0.1:11211 1", "10.0.0.2:11211 1", "10.0.0.3:11212 1",
	    "/run/four 1" };
	static const char *const heavier[] = { "10.0.0.1:11211 1", "10.0.0.2:11211 1", "10.0.0.3:11212 2" };

	growth(DIST_KETAMA, "ketama", four, 4);
	growth(DIST_JUMP, "jump", four, 4);
	growth(DIST_KETAMA, "ketama, more weight", heavier, 3);
	growth(DIST_JUMP, "jump, more weight for the last", heavier, 3);
}

static void
is_tagged(struct ring *r, const char *name, const char *key, const char *part, const char *what)
{
	is_u(pick(r, slice_str(key)), pick(r, slice_str(part)), "%s: %s (%s)", name, what, key);
}

static void
hash_tags(void)
{
	for (size_t d = 0; d < NITEMS(dists); d++) {
		struct ring *r = ring_of(dists[d].dist, dists[d].hash, "{}", three, 3);
		struct ring *plain = ring_of(dists[d].dist, dists[d].hash, NULL, three, 3);
		unsigned split = 0, whole = 0;
		struct slice tag;
		char key[64];

		if (dists[d].dist == DIST_RANDOM) {
			ring_free(&r);
			ring_free(&plain);
			continue;
		}
		for (int i = 0; i < 500; i++) {
			snprintf(key, sizeof(key), "{user:%d}:%d", i / 50, i);
			tag = slice_of(key + 1, strcspn(key, "}") - 1);
			split += pick(r, slice_str(key)) != pick(r, tag);
			/* the tag must not be cut for those who did not ask */
			whole += pick(plain, slice_str(key)) != pick(plain, tag);
		}
		is_u(split, 0, "%s: keys of one tag are together", dists[d].name);
		ok(whole > 100, "%s: without hash_tag they are not", dists[d].name);
		is_tagged(r, dists[d].name, "a{tag}b{other}c", "tag", "the first pair counts");
		is_tagged(r, dists[d].name, "}a{tag}", "tag", "a closing byte before the pair does not");
		is_tagged(r, dists[d].name, "a{b{c}d}", "b{c", "to the first closing byte");
		ring_free(&r);
		ring_free(&plain);
	}
}

/* An empty tag, or none, leaves the whole key: asked of a ring without tags. */
static void
keys_without_a_tag(void)
{
	static const char *const keys[] = { "abc{}def{x}", "abc{def", "abc}def", "{", "{}", "}{", "" };
	struct ring *r = ring_of(DIST_TWEMPROXY_KETAMA, NULL, "{}", three, 3);
	struct ring *plain = ring_of(DIST_TWEMPROXY_KETAMA, NULL, NULL, three, 3);

	for (size_t i = 0; i < NITEMS(keys); i++)
		is_u(pick(r, slice_str(keys[i])), pick(plain, slice_str(keys[i])), "no tag in '%s'", keys[i]);
	ring_free(&r);
	ring_free(&plain);

	r = ring_of(DIST_KETAMA, NULL, "::", three, 3);
	is_tagged(r, "ketama", "user:42:name", "42", "one byte may open and close");
	ring_free(&r);
}

static void
one_server(void)
{
	for (size_t d = 0; d < NITEMS(dists); d++) {
		struct ring *r = ring_of(dists[d].dist, dists[d].hash, "{}", three, 1);

		is_u(pick(r, SLICE_LIT("k")), 0, "%s of one server", dists[d].name);
		is_u(ring_pick_nth(r, SLICE_LIT("k"), 1, 1), 1, "has no second");
		ring_free(&r);
		ok(r == NULL, "freed");
	}
}

/* twemproxy's order: shorter names first, 11211 is not part of a name, an alias takes its place. */
static void
modula_by_name(void)
{
	static const char *const listed[] = { "cache-b:11211 1", "cache-aa:11211 1", "/run/m 1",
	    "cache-a:1 1 zzzzzzzz", "10.0.0.1:9 1" };
	static const size_t row[] = { 2, 0, 1, 3, 4 };
	struct ring *r = ring_of(DIST_TWEMPROXY_MODULA, "fnv1a_64", NULL, listed, 5);
	struct ring *plain = ring_of(DIST_MODULA, "fnv1a_64", NULL, listed, 5);
	unsigned wrong = 0;

	for (unsigned i = 0; i < 1000; i++)
		wrong += pick(r, key_of(i)) != row[pick(plain, key_of(i))];
	is_u(wrong, 0, "twemproxy-modula is modula over the servers sorted by name");
	ring_free(&r);
	ring_free(&plain);
}

static void
extreme_hashes(void)
{
	struct ring *r = ring_of(DIST_KETAMA, NULL, NULL, three, 3);

	ok(ring_pick(r, SLICE_LIT("k"), 0) < 3, "the lowest place on the circle");
	ok(ring_pick(r, SLICE_LIT("k"), UINT64_MAX) < 3, "the highest place on the circle");
	is_u(ring_pick(r, SLICE_LIT("k"), UINT64_MAX), ring_pick(r, SLICE_LIT("k"), 0),
	    "which goes round to the lowest");
	ring_free(&r);
}

static const char *
refusal(enum conf_dist dist, const char *hash, unsigned weight)
{
	struct conf_store *store = store_of(dist, hash, NULL, three, 3);
	const char *why = "built";
	struct ring *r;

	store->servers[1].weight = weight;
	r = ring_new(store, &why);
	ring_free(&r);
	store_drop(store);
	return (why);
}

static void
refusals(void)
{
	is_s(refusal(DIST_KETAMA, "sha1", 1), "unknown hash", "an unknown hash");
	is_s(refusal(DIST_LIBMEMCACHED, "crc16", 1), "libmemcached does not have that hash",
	    "a hash libmemcached lacks");
	ok(strstr(refusal(DIST_KETAMA, NULL, 1u << 30), "16384") != NULL, "a weight no ring can have");
	ok(strstr(refusal(DIST_JUMP, NULL, UINT32_MAX), "1048576") != NULL, "a weight no row can have");
}

static void
sharing(void)
{
	for (size_t d = 0; d < NITEMS(dists); d++) {
		struct ring *r = ring_of(dists[d].dist, dists[d].hash, NULL, three, 3);
		bool own = dists[d].dist == DIST_RANDOM || dists[d].dist >= DIST_LIBMEMCACHED;

		ok(ring_shared(r) == !own, "%s is %s", dists[d].name, own ? "one thread's" : "everybody's");
		ring_free(&r);
	}
}

int
main(void)
{
	shares_follow_weights();
	many_servers_are_balanced();
	nth_are_distinct();
	removing_a_server_moves_only_its_keys();
	order_does_not_matter_to_ketama();
	adding_a_server_takes_only_its_share();
	hash_tags();
	keys_without_a_tag();
	one_server();
	modula_by_name();
	extreme_hashes();
	refusals();
	sharing();
	return (done_testing());
}
