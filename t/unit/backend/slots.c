/* Unit tests of src/backend/slots.c; the file is included to reach its statics. Replies are given as Redis writes them. */
#include "backend/slots.c"

#include "tap.h"

static const struct slots_addr asked = { .port = 7000, .len = 9, .host = "127.0.0.1" };

/* ---- replies ---- */

static struct redisReply *
reply_of(const char *resp)
{
	redisReader *reader = redisReaderCreate();
	void *r = NULL;

	MUST(redisReaderFeed(reader, resp, strlen(resp)) == REDIS_OK && redisReaderGetReply(reader, &r) == REDIS_OK);
	MUST(r != NULL);
	redisReaderFree(reader);
	return (r);
}

static const char *why;

static struct slots_map *
map_of(const char *resp)
{
	struct redisReply *r = reply_of(resp);
	struct slots_map *m = slots_map_new(r, &asked, &why);

	freeReplyObject(r);
	return (m);
}

/* A server as Redis 4 to 6 have it. */
#define SERVER(host, port)	"*3\r\n" host ":" port "\r\n$2\r\nid\r\n"
#define HOST(len, text)		"$" len "\r\n" text "\r\n"
#define HOST_A			HOST("8", "10.0.0.1")
#define HOST_B			HOST("8", "10.0.0.2")
#define HOST_C			HOST("8", "10.0.0.3")
#define RANGE(servers, a, b)	"*" servers "\r\n:" a "\r\n:" b "\r\n"

static bool
server_is(const struct slots_map *m, unsigned i, const char *want)
{
	char name[SLOTS_NAME_MAX];

	if (i >= m->nservers)
		return (false);
	slots_addr_name(&m->servers[i], name);
	if (strcmp(name, want) != 0)
		printf("# got %s, want %s\n", name, want);
	return (strcmp(name, want) == 0);
}

/* "master replica replica", "-": nobody's. */
static bool
slot_is(const struct slots_map *m, unsigned slot, const char *want)
{
	const struct slots_shard *s = slots_shard(m, slot);
	char text[1000] = "-", name[SLOTS_NAME_MAX];
	size_t n;

	if (s != NULL) {
		slots_addr_name(&m->servers[s->master], name);
		n = (size_t)snprintf(text, sizeof text, "%s", name);
		for (unsigned i = 0; i < s->nreplicas; i++) {
			slots_addr_name(&m->servers[s->replicas[i]], name);
			n += (size_t)snprintf(text + n, sizeof text - n, " %s", name);
		}
	}
	if (strcmp(text, want) != 0)
		printf("# slot %u: got %s, want %s\n", slot, text, want);
	return (strcmp(text, want) == 0);
}

/* ---- keys ---- */

static void
keys_have_the_slots_that_redis_gives_them(void)
{
	static const struct {
		const char	*key;
		unsigned	 slot;
	} keys[] = {
		{ "", 0 }, { "123456789", 0x31c3 }, { "foo", 12182 }, { "bar", 5061 }, { "hello", 866 },
		{ "{user1000}.following", 3443 }, { "{user1000}.followers", 3443 }, { "user1000", 3443 },
		{ "foo{bar}{zap}", 5061 }, { "{bar", 4015 }, { "foo{{bar}}zap", 4015 }, { "}{bar}", 5061 },
	};

	for (size_t i = 0; i < NITEMS(keys); i++)
		is_u(slots_of(slice_str(keys[i].key)), keys[i].slot, "slot of '%s'", keys[i].key);
	is_u(slots_of(slice_str("foo{}{bar}")), crc16("foo{}{bar}", 10) % SLOTS, "an empty tag is none");
	is_u(slots_of(slice_str("foo{bar")), crc16("foo{bar", 7) % SLOTS, "one that never ends is none");
	is_u(slots_of(slice_str("foo}bar{")), crc16("foo}bar{", 8) % SLOTS, "one that only ends is none");
	is_u(slots_of(slice_of("\xff\x00\x80", 3)), crc16("\xff\x00\x80", 3) % SLOTS, "any bytes are a key");
	is_u(slots_of(SLICE_NULL), 0, "no key at all is slot 0");
}

/* ---- maps ---- */

static void
a_cluster_of_three(void)
{
	struct slots_map *m = map_of("*3\r\n"
	    RANGE("4", "0", "5460") SERVER(HOST_A, "7000") SERVER(HOST_B, "7003")
	    RANGE("4", "5461", "10922") SERVER(HOST_B, "7001") SERVER(HOST_C, "7004")
	    RANGE("5", "10923", "16383") SERVER(HOST_C, "7002") SERVER(HOST_A, "7005") SERVER(HOST_A, "7006"));

	if (!ok(m != NULL, "a map of three masters"))
		return;
	is_u(m->nslots, SLOTS, "all slots have a shard");
	is_u(m->nservers, 7, "seven servers");
	is_u(m->nshards, 3, "three shards");
	ok(slot_is(m, 0, "10.0.0.1:7000 10.0.0.2:7003") && slot_is(m, 5460, "10.0.0.1:7000 10.0.0.2:7003"), "the first");
	ok(slot_is(m, 5461, "10.0.0.2:7001 10.0.0.3:7004"), "the second");
	ok(slot_is(m, 16383, "10.0.0.3:7002 10.0.0.1:7005 10.0.0.1:7006"), "the third has two replicas");
	slots_map_free(&m);
	ok(m == NULL, "freed");
}

static void
pieces_of_one_shard_are_one(void)
{
	struct slots_map *m = map_of("*3\r\n"
	    RANGE("4", "0", "9") SERVER(HOST_A, "7000") SERVER(HOST_B, "7003")
	    RANGE("3", "20", "29") SERVER(HOST_B, "7001")
	    RANGE("4", "40", "49") SERVER(HOST_A, "7000") SERVER(HOST_B, "7003"));

	if (!ok(m != NULL, "a map with holes"))
		return;
	is_u(m->nslots, 30, "thirty slots");
	is_u(m->nshards, 2, "two shards");
	is_u(m->nservers, 3, "three servers");
	ok(slot_is(m, 45, "10.0.0.1:7000 10.0.0.2:7003"), "the piece at the end is the first one's");
	ok(slot_is(m, 10, "-") && slot_is(m, 16383, "-"), "holes are nobody's");
	slots_map_free(&m);
}

static void
every_version_of_redis(void)
{
	struct slots_map *m;

	m = map_of("*1\r\n" RANGE("3", "0", "16383") "*2\r\n" HOST_A ":7000\r\n");
	ok(m != NULL && slot_is(m, 1, "10.0.0.1:7000"), "Redis 3: no id");
	slots_map_free(&m);
	m = map_of("*1\r\n" RANGE("3", "0", "16383") "*4\r\n" HOST_A ":7000\r\n$2\r\nid\r\n*0\r\n");
	ok(m != NULL && slot_is(m, 1, "10.0.0.1:7000"), "Redis 7: an empty list behind the id");
	slots_map_free(&m);
	m = map_of("*1\r\n" RANGE("3", "0", "16383") "*4\r\n" HOST("4", "a.eu") ":7000\r\n$2\r\nid\r\n*2\r\n"
	    "$2\r\nip\r\n" HOST_A);
	ok(m != NULL && slot_is(m, 1, "a.eu:7000"), "Redis 7: a name is preferred to the address beside it");
	slots_map_free(&m);
	m = map_of("*1\r\n" RANGE("3", "0", "16383") SERVER(HOST("3", "::1"), "7000"));
	ok(m != NULL && slot_is(m, 1, "[::1]:7000"), "IPv6");
	slots_map_free(&m);
}

static void
hosts_that_are_not_told(void)
{
	struct slots_map *m;

	m = map_of("*1\r\n" RANGE("3", "0", "16383") SERVER("$0\r\n\r\n", "7000"));
	ok(m != NULL && slot_is(m, 1, "127.0.0.1:7000"), "an empty host is the one that was asked");
	slots_map_free(&m);
	m = map_of("*1\r\n" RANGE("3", "0", "16383") SERVER("$-1\r\n", "7001"));
	ok(m != NULL && slot_is(m, 1, "127.0.0.1:7001"), "so is none, with its own port");
	slots_map_free(&m);
	m = map_of("*1\r\n" RANGE("3", "0", "16383") "*4\r\n$1\r\n?\r\n:7000\r\n$2\r\nid\r\n*4\r\n$1\r\nx\r\n$1\r\ny\r\n"
	    "$2\r\nip\r\n" HOST_A);
	ok(m != NULL && slot_is(m, 1, "10.0.0.1:7000"), "an unknown name: the address beside it");
	slots_map_free(&m);
	m = map_of("*2\r\n" RANGE("3", "0", "9") SERVER("$1\r\n?\r\n", "7000")
	    RANGE("5", "10", "19") SERVER(HOST_A, "7001") SERVER("$1\r\n?\r\n", "7002") SERVER(HOST_B, "7003"));
	ok(m != NULL && slot_is(m, 5, "-"), "a master that cannot be reached: the slots are nobody's until a MOVED tells");
	ok(m != NULL && slot_is(m, 15, "10.0.0.1:7001 10.0.0.2:7003"), "such a replica is left out");
	slots_map_free(&m);
	m = map_of("*1\r\n" RANGE("5", "0", "9") SERVER(HOST_A, "7001") SERVER(HOST_A, "0") SERVER(HOST_A, "70000"));
	ok(m != NULL && slot_is(m, 5, "10.0.0.1:7001"), "replicas with ports that none has are left out");
	slots_map_free(&m);
	m = map_of("*1\r\n" RANGE("5", "0", "9") SERVER(HOST_A, "7001") SERVER(HOST("3", "a b"), "1")
	    SERVER(HOST("3", "a\nb"), "1"));
	ok(m != NULL && slot_is(m, 5, "10.0.0.1:7001"), "and those with hosts that none has");
	slots_map_free(&m);
	m = map_of("*1\r\n" RANGE("4", "0", "9") SERVER(HOST_A, "7001") SERVER(HOST_A, "7001"));
	ok(m != NULL && slot_is(m, 5, "10.0.0.1:7001"), "a master is no replica of itself");
	slots_map_free(&m);
}

static void
what_is_no_map(void)
{
	static const char *const bad[] = {
		"+OK\r\n", ":5\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "-ERR no\r\n",
		"*1\r\n:5\r\n",
		"*1\r\n*0\r\n",
		"*1\r\n*2\r\n:0\r\n:5\r\n",
		"*1\r\n*3\r\n:0\r\n:16384\r\n" SERVER(HOST_A, "1"),
		"*1\r\n*3\r\n:-1\r\n:5\r\n" SERVER(HOST_A, "1"),
		"*1\r\n*3\r\n:9\r\n:8\r\n" SERVER(HOST_A, "1"),
		"*1\r\n*3\r\n$1\r\n0\r\n:5\r\n" SERVER(HOST_A, "1"),
		"*1\r\n*3\r\n:0\r\n:5\r\n:7\r\n",
		"*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n:1\r\n:7\r\n",
		"*1\r\n*3\r\n:0\r\n:5\r\n*1\r\n" HOST_A,
		"*1\r\n*3\r\n:0\r\n:5\r\n" SERVER("$1\r\n?\r\n", "7000"),
	};

	for (size_t i = 0; i < NITEMS(bad); i++) {
		struct slots_map *m = map_of(bad[i]);

		ok(m == NULL && why != NULL, "no map in reply %zu: %s", i, why);
		slots_map_free(&m);
	}
}

/* Every slot a range with replicas of its own: as many servers as there is room for, and no more. */
static void
too_many_servers(unsigned ranges, bool fits)
{
	char *resp = malloc(ranges * 100 + 100);
	size_t n = (size_t)snprintf(resp, 100, "*%u\r\n", ranges);
	struct slots_map *m;

	for (unsigned i = 0; i < ranges; i++)
		n += (size_t)snprintf(resp + n, 100, "*3\r\n:%u\r\n:%u\r\n*2\r\n$1\r\nh\r\n:%u\r\n", i, i, i + 1);
	m = map_of(resp);
	ok((m != NULL) == fits, "%u servers: %s", ranges, m != NULL ? "fit" : why);
	if (m != NULL)
		is_u(m->nservers, ranges, "all of them");
	slots_map_free(&m);
	free(resp);
}

static void
slots_move_one_by_one(void)
{
	struct slots_map *m = map_of("*2\r\n"
	    RANGE("4", "0", "9") SERVER(HOST_A, "7000") SERVER(HOST_B, "7003")
	    RANGE("4", "10", "19") SERVER(HOST_B, "7001") SERVER(HOST_C, "7004"));
	struct slots_addr a;

	ok(slots_addr_set(&a, slice_str("10.0.0.2"), 7001) && slots_move(m, 3, &a), "a slot moves to a known master");
	ok(slot_is(m, 3, "10.0.0.2:7001 10.0.0.3:7004"), "and has its replicas");
	ok(slot_is(m, 4, "10.0.0.1:7000 10.0.0.2:7003"), "the next one stays");
	ok(slots_addr_set(&a, slice_str("10.0.0.9"), 7009) && slots_move(m, 100, &a), "one that nobody had, to a new one");
	ok(slot_is(m, 100, "10.0.0.9:7009"), "without replicas");
	ok(server_is(m, 4, "10.0.0.9:7009"), "which is in the list now");
	is_u(m->nslots, 21, "one slot more has a shard");
	ok(slots_addr_set(&a, slice_str("10.0.0.2"), 7003) && slots_move(m, 5, &a), "to what was a replica");
	ok(slot_is(m, 5, "10.0.0.2:7003"), "which is a master now");
	is_u(m->nservers, 5, "no new server");
	for (unsigned i = 0; i < SLOTS; i++) {
		(void)slots_addr_set(&a, slice_str("h"), i + 1);
		if (!slots_move(m, i, &a))
			break;
	}
	is_u(m->nservers, SLOTS_SERVERS_MAX, "the list has an end");
	slots_map_free(&m);
}

/* ---- refusals ---- */

/* "word slot name", word alone, "-". */
static bool
refusal_is(const char *text, enum slots_refusal want, unsigned want_slot, const char *want_name)
{
	size_t len = strlen(text);
	char *copy = malloc(len + 1), name[SLOTS_NAME_MAX];
	struct slots_addr a = { .port = 0 };
	unsigned slot = 0;
	enum slots_refusal r;

	memcpy(copy, text, len);
	r = slots_refusal(slice_of(copy, len), &slot, &a);
	free(copy);
	if (r != want || want_name == NULL)
		return (r == want);
	slots_addr_name(&a, name);
	return (slot == want_slot && strcmp(name, want_name) == 0);
}

static void
refusals_are_told_apart(void)
{
	ok(refusal_is("MOVED 3999 127.0.0.1:6381", REFUSED_MOVED, 3999, "127.0.0.1:6381"), "MOVED");
	ok(refusal_is("ASK 0 127.0.0.1:6381", REFUSED_ASK, 0, "127.0.0.1:6381"), "ASK");
	ok(refusal_is("MOVED 16383 :6381", REFUSED_MOVED, 16383, ":6381"), "MOVED without a host");
	ok(refusal_is("MOVED 1 ::1:6381", REFUSED_MOVED, 1, "[::1]:6381"), "MOVED to IPv6");
	ok(refusal_is("MOVED 1 [fe80::1]:6381", REFUSED_MOVED, 1, "[fe80::1]:6381"), "MOVED to IPv6 in brackets");
	ok(refusal_is("MOVED 1 a.example:6381", REFUSED_MOVED, 1, "a.example:6381"), "MOVED to a name");
	ok(refusal_is("TRYAGAIN Multiple keys request during rehashing of slot", REFUSED_TRYAGAIN, 0, NULL), "TRYAGAIN");
	ok(refusal_is("CLUSTERDOWN The cluster is down", REFUSED_CLUSTERDOWN, 0, NULL), "CLUSTERDOWN");
	ok(refusal_is("MASTERDOWN Link with MASTER is down", REFUSED_MASTERDOWN, 0, NULL), "MASTERDOWN");
	ok(refusal_is("LOADING Redis is loading the dataset in memory", REFUSED_LOADING, 0, NULL), "LOADING");
	ok(refusal_is("READONLY You can't write against a read only replica.", REFUSED_READONLY, 0, NULL), "READONLY");
	ok(refusal_is("CLUSTERDOWN", REFUSED_CLUSTERDOWN, 0, NULL), "a word alone");
}

static void
what_is_no_refusal(void)
{
	static const char *const texts[] = {
		"", " ", "ERR unknown", "MOVED", "MOVED ", "MOVED 1", "MOVED 1 ", "MOVED 1 x", "MOVED 1 x:", "MOVED 1 x:0",
		"MOVED 1 x:65536", "MOVED 1 x:-1", "MOVED 1 x:1x", "MOVED 16384 x:1", "MOVED -1 x:1", "MOVED x x:1",
		"MOVED  1 x:1", "MOVED 1  x:1", "MOVED 1 a b:1", "MOVED 1 x:1 ", "MOVED 1 ?:6381", "MOVED 1 []:1", "MOVED 1 [::1:1",
		"MOVED 99999999999999999999 x:1", "MOVED 1 x:99999999999999999999", "MOVEDX 1 x:1", "moved 1 x:1", "ASKING",
		"MOVED 1 x\ny:1",
	};

	for (size_t i = 0; i < NITEMS(texts); i++)
		ok(refusal_is(texts[i], REFUSED_NOT, 0, NULL), "text %zu sends nobody anywhere", i);
}

static void
hosts_have_an_end(void)
{
	char text[400] = "MOVED 1 ";

	memset(text + 8, 'h', 255);
	snprintf(text + 8 + 255, 10, ":1");
	ok(refusal_is(text, REFUSED_MOVED, 1, text + 8), "a host of 255 bytes");
	memset(text + 8, 'h', 256);
	snprintf(text + 8 + 256, 10, ":1");
	ok(refusal_is(text, REFUSED_NOT, 0, NULL), "none has 256");
}

static void
servers_that_are_no_cluster(void)
{
	ok(slots_no_cluster(slice_str("ERR This instance has cluster support disabled")), "a Redis without cluster mode");
	ok(!slots_no_cluster(slice_str("ERR unknown command 'CLUSTER'")) && !slots_no_cluster(SLICE_NULL), "no other error");
}

int
main(void)
{
	keys_have_the_slots_that_redis_gives_them();
	a_cluster_of_three();
	pieces_of_one_shard_are_one();
	every_version_of_redis();
	hosts_that_are_not_told();
	what_is_no_map();
	too_many_servers(SLOTS_SERVERS_MAX, true);
	too_many_servers(SLOTS_SERVERS_MAX + 1, false);
	slots_move_one_by_one();
	refusals_are_told_apart();
	what_is_no_refusal();
	hosts_have_an_end();
	servers_that_are_no_cluster();
	return (done_testing());
}
