/*
 * An application's day with libmemcached: libmemcached-day HOST PORT; TAP.
 *
 * Run by t/50-clients.t against kvgate. Every verb of the text protocol that the library has, then the same
 * connection habits that applications choose: buffered requests, no replies, no blocking.
 */
#include <libmemcached/memcached.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"

#define MANY	100

static const char *host;
static in_port_t port;

static memcached_st *
connected(void)
{
	memcached_st *mc = memcached_create(NULL);

	memcached_server_add(mc, host, port);
	memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
	memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
	return (mc);
}

static bool
is_rc(memcached_return_t got, memcached_return_t want, const char *what)
{
	bool good = ok(got == want, "%s", what);

	if (!good)
		printf("# got %s, want %s\n", memcached_strerror(NULL, got), memcached_strerror(NULL, want));
	return (good);
}

static memcached_return_t
set(memcached_st *mc, const char *key, const char *value)
{
	return (memcached_set(mc, key, strlen(key), value, strlen(value), 0, 0));
}

/* Whether key has just this value and these flags. */
static bool
has(memcached_st *mc, const char *key, const char *value, size_t len, uint32_t flags)
{
	memcached_return_t rc;
	uint32_t got_flags = ~flags;
	size_t got_len;
	char *got = memcached_get(mc, key, strlen(key), &got_len, &got_flags, &rc);
	bool same = rc == MEMCACHED_SUCCESS && got_len == len && got_flags == flags &&
	    (len == 0 || memcmp(got, value, len) == 0);

	if (!same)
		printf("# get %s: %s, %zu bytes, flags %u\n", key, memcached_strerror(mc, rc),
		    rc ? 0 : got_len, got_flags);
	free(got);
	return (same);
}

static bool
is_str(memcached_st *mc, const char *key, const char *value)
{
	return (has(mc, key, value, strlen(value), 0));
}

static bool
is_gone(memcached_st *mc, const char *key)
{
	memcached_return_t rc;
	size_t len;
	uint32_t flags;
	char *got = memcached_get(mc, key, strlen(key), &len, &flags, &rc);

	free(got);
	return (rc == MEMCACHED_NOTFOUND);
}

static bool
becomes_gone(memcached_st *mc, const char *key)
{
	for (int i = 0; i < 2000; i++) {
		if (is_gone(mc, key))
			return (true);
		usleep(10000);
	}
	return (false);
}

static void
storing(memcached_st *mc)
{
	is_rc(set(mc, "lm-a", "one"), MEMCACHED_SUCCESS, "set");
	ok(is_str(mc, "lm-a", "one"), "get");
	is_rc(memcached_add(mc, "lm-a", 4, "two", 3, 0, 0), MEMCACHED_NOTSTORED, "add over something");
	is_rc(memcached_add(mc, "lm-b", 4, "two", 3, 0, 7), MEMCACHED_SUCCESS, "add over nothing");
	ok(has(mc, "lm-b", "two", 3, 7), "with its flags");
	is_rc(memcached_replace(mc, "lm-none", 7, "x", 1, 0, 0), MEMCACHED_NOTSTORED, "replace of nothing");
	is_rc(memcached_replace(mc, "lm-b", 4, "three", 5, 0, UINT32_MAX), MEMCACHED_SUCCESS,
	    "replace of something");
	ok(has(mc, "lm-b", "three", 5, UINT32_MAX), "with the largest flags");
	is_rc(memcached_append(mc, "lm-a", 4, "-end", 4, 0, 0), MEMCACHED_SUCCESS, "append");
	is_rc(memcached_prepend(mc, "lm-a", 4, "start-", 6, 0, 0), MEMCACHED_SUCCESS, "prepend");
	ok(is_str(mc, "lm-a", "start-one-end"), "both are there");
	is_rc(memcached_append(mc, "lm-none", 7, "x", 1, 0, 0), MEMCACHED_NOTSTORED, "append to nothing");
	is_rc(memcached_delete(mc, "lm-b", 4, 0), MEMCACHED_SUCCESS, "delete");
	is_rc(memcached_delete(mc, "lm-b", 4, 0), MEMCACHED_NOTFOUND, "delete of nothing");
	ok(is_gone(mc, "lm-b"), "it is gone");
	is_rc(memcached_exist(mc, "lm-a", 4), MEMCACHED_SUCCESS, "exist");
	is_rc(memcached_exist(mc, "lm-b", 4), MEMCACHED_NOTFOUND, "exist of nothing");
	ok(is_str(mc, "lm-a", "start-one-end"), "exist left it alone");
}

static void
counting(memcached_st *mc)
{
	uint64_t n = 0;

	set(mc, "lm-n", "10");
	is_rc(memcached_increment(mc, "lm-n", 4, 5, &n), MEMCACHED_SUCCESS, "incr");
	is_u(n, 15, "to 15");
	is_rc(memcached_decrement(mc, "lm-n", 4, 20, &n), MEMCACHED_SUCCESS, "decr below nought");
	is_u(n, 0, "stays at 0");
	set(mc, "lm-n", "18446744073709551615");
	memcached_increment(mc, "lm-n", 4, 2, &n);
	is_u(n, 1, "incr wraps at 2^64");
	is_rc(memcached_increment(mc, "lm-none", 7, 1, &n), MEMCACHED_NOTFOUND, "incr of nothing");
	set(mc, "lm-n", "ten");
	ok(memcached_increment(mc, "lm-n", 4, 1, &n) != MEMCACHED_SUCCESS, "incr of a word is refused");
	ok(is_str(mc, "lm-n", "ten"), "and leaves it");
}

static uint64_t
cas_of(memcached_st *mc, const char *key)
{
	size_t len = strlen(key);
	memcached_return_t rc = memcached_mget(mc, &key, &len, 1);
	memcached_result_st *result;
	uint64_t cas = 0;

	while ((result = memcached_fetch_result(mc, NULL, &rc)) != NULL) {
		cas = memcached_result_cas(result);
		memcached_result_free(result);
	}
	return (cas);
}

static void
comparing(memcached_st *mc)
{
	memcached_st *other = connected();
	uint64_t cas;

	set(mc, "lm-c", "first");
	cas = cas_of(mc, "lm-c");
	ok(cas != 0, "gets has a CAS unique");
	is_rc(set(other, "lm-c", "theirs"), MEMCACHED_SUCCESS, "somebody else sets it");
	is_rc(memcached_cas(mc, "lm-c", 4, "mine", 4, 0, 0, cas), MEMCACHED_DATA_EXISTS,
	    "cas meets the conflict");
	cas = cas_of(mc, "lm-c");
	is_rc(memcached_cas(mc, "lm-c", 4, "mine", 4, 0, 0, cas), MEMCACHED_SUCCESS,
	    "cas with the new unique");
	is_rc(memcached_cas(mc, "lm-c", 4, "again", 5, 0, 0, cas), MEMCACHED_DATA_EXISTS,
	    "a unique serves once");
	ok(is_str(other, "lm-c", "mine"), "the other sees it");
	is_rc(memcached_cas(mc, "lm-none", 7, "x", 1, 0, 0, cas), MEMCACHED_NOTFOUND, "cas of nothing");
	memcached_free(other);
}

static void
awkward_values(memcached_st *mc)
{
	static const char nasty[] = "\r\nEND\r\nVALUE lm-a 0 1\r\n\0\r\nSTORED\r\n\0\xff";
	char key[251], *big = malloc(1000000);

	memset(key, 'k', 250);
	key[250] = '\0';
	is_rc(memcached_set(mc, key, 250, nasty, sizeof(nasty) - 1, 0, 3), MEMCACHED_SUCCESS,
	    "a key of 250, a nasty value");
	ok(has(mc, key, nasty, sizeof(nasty) - 1, 3), "comes back");
	is_rc(memcached_set(mc, "lm-empty", 8, "", 0, 0, 1), MEMCACHED_SUCCESS, "an empty value");
	ok(has(mc, "lm-empty", "", 0, 1), "comes back");
	srandom(1);
	for (size_t i = 0; i < 1000000; i++)
		big[i] = (char)random();
	is_rc(memcached_set(mc, "lm-big", 6, big, 1000000, 0, 0), MEMCACHED_SUCCESS, "a million bytes");
	ok(has(mc, "lm-big", big, 1000000, 0), "come back");
	free(big);
	big = calloc(1, (1 << 20) + 1);
	ok(memcached_set(mc, "lm-big", 6, big, (1 << 20) + 1, 0, 0) != MEMCACHED_SUCCESS,
	    "more than a mebibyte is refused");
	free(big);
	memcached_quit(mc);
	ok(is_gone(mc, "lm-big"), "and the old value is gone with it");
}

static void
expiring(memcached_st *mc)
{
	uint32_t flags;
	size_t len;
	memcached_return_t rc;

	memcached_set(mc, "lm-e1", 5, "x", 1, 1, 0);
	memcached_set(mc, "lm-e2", 5, "x", 1, 1, 0);
	memcached_set(mc, "lm-e3", 5, "x", 1, 0, 0);
	is_rc(memcached_touch(mc, "lm-e2", 5, 1000), MEMCACHED_SUCCESS, "touch");
	is_rc(memcached_touch(mc, "lm-e3", 5, 1), MEMCACHED_SUCCESS, "touch to a shorter life");
	is_rc(memcached_touch(mc, "lm-none", 7, 1), MEMCACHED_NOTFOUND, "touch of nothing");
	free(memcached_get(mc, "lm-e1", 5, &len, &flags, &rc));
	ok(becomes_gone(mc, "lm-e1"), "what was set for a second goes");
	ok(becomes_gone(mc, "lm-e3"), "what was touched for a second goes");
	ok(is_str(mc, "lm-e2", "x"), "what was touched for longer stays");
	is_rc(memcached_set(mc, "lm-e2", 5, "x", 1, -1, 0), MEMCACHED_SUCCESS, "an expiry in the past");
	ok(is_gone(mc, "lm-e2"), "is gone at once");
}

/* 100 keys at once, half of them missing: each value once, each its own. */
static void
many_at_once(memcached_st *mc)
{
	static char keys[MANY][16];
	const char *names[MANY];
	size_t lens[MANY];
	unsigned seen[MANY] = { 0 }, wrong = 0, found = 0;
	memcached_return_t rc;
	memcached_result_st *result;

	for (unsigned i = 0; i < MANY; i++) {
		lens[i] = (size_t)snprintf(keys[i], sizeof(keys[i]), "lm-m%u", i);
		names[i] = keys[i];
		if (i % 2 == 0)
			memcached_set(mc, keys[i], lens[i], keys[i], lens[i], 0, i);
	}
	is_rc(memcached_mget(mc, names, lens, MANY), MEMCACHED_SUCCESS, "a get of 100 keys");
	while ((result = memcached_fetch_result(mc, NULL, &rc)) != NULL) {
		unsigned i = (unsigned)atoi(memcached_result_key_value(result) + 4);

		wrong += i >= MANY || seen[i]++ || memcached_result_flags(result) != i ||
		    memcached_result_length(result) != lens[i] ||
		    memcmp(memcached_result_value(result), keys[i], lens[i]) != 0;
		found++;
		memcached_result_free(result);
	}
	is_u(found, MANY / 2, "finds the 50 that are there");
	is_u(wrong, 0, "each with its own value, once");
}

static void
habits(const char *name, memcached_behavior_t behavior)
{
	memcached_st *mc = connected();
	char key[32];
	unsigned wrong = 0;

	memcached_behavior_set(mc, behavior, 1);
	for (unsigned i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "lm-h%d-%u", (int)behavior, i);
		memcached_set(mc, key, strlen(key), key, strlen(key), 0, i);
		if (i % 5 == 0)
			memcached_delete(mc, key, strlen(key), 0);
		if (i % 5 == 1)
			memcached_append(mc, key, strlen(key), "!", 1, 0, 0);
	}
	memcached_flush_buffers(mc);
	for (unsigned i = 0; i < 500; i++) {
		size_t len = (size_t)snprintf(key, sizeof(key), "lm-h%d-%u", (int)behavior, i);
		char want[40];

		snprintf(want, sizeof(want), "%s%s", key, i % 5 == 1 ? "!" : "");
		wrong += i % 5 == 0 ? !is_gone(mc, key) : !has(mc, key, want, len + (i % 5 == 1), i);
	}
	is_u(wrong, 0, "1000 writes with %s, then read", name);
	memcached_free(mc);
}

static void
the_rest(memcached_st *mc)
{
	memcached_return_t rc;
	memcached_stat_st *stats = memcached_stat(mc, NULL, &rc);

	is_rc(rc, MEMCACHED_SUCCESS, "stats");
	ok(stats != NULL && stats->pid > 0 && stats->limit_maxbytes > 0 && stats->cmd_get > 0 &&
	    stats->curr_connections > 0, "with numbers in them");
	memcached_stat_free(mc, stats);
	is_rc(memcached_version(mc), MEMCACHED_SUCCESS, "version");
	ok(memcached_server_major_version(memcached_server_instance_by_position(mc, 0)) == 1, "1.something");
	is_rc(memcached_verbosity(mc, 0), MEMCACHED_SUCCESS, "verbosity");
	set(mc, "lm-f", "x");
	is_rc(memcached_flush(mc, 0), MEMCACHED_SUCCESS, "flush_all");
	ok(is_gone(mc, "lm-f"), "and all is gone");
	is_rc(set(mc, "lm-f", "y"), MEMCACHED_SUCCESS, "set after it");
	ok(is_str(mc, "lm-f", "y"), "stays");
	memcached_quit(mc);
	ok(is_str(mc, "lm-f", "y"), "quit and a new connection");
}

int
main(int argc, char **argv)
{
	memcached_st *mc;

	if (argc != 3)
		return (2);
	host = argv[1];
	port = (in_port_t)atoi(argv[2]);
	mc = connected();
	storing(mc);
	counting(mc);
	comparing(mc);
	awkward_values(mc);
	expiring(mc);
	many_at_once(mc);
	habits("buffered requests", MEMCACHED_BEHAVIOR_BUFFER_REQUESTS);
	habits("no replies", MEMCACHED_BEHAVIOR_NOREPLY);
	habits("no blocking", MEMCACHED_BEHAVIOR_NO_BLOCK);
	the_rest(mc);
	memcached_free(mc);
	return (done_testing());
}
