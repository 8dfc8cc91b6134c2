/*
 * fuzz_cluster.c - what a Redis Cluster says about its slots: maps, refusals; and keys.
 *
 * The first byte chooses. Promises: nothing is read outside the bytes; a map names only servers and shards that it has, and
 * counts its slots right, also after moves; a refusal names a slot and a host that exist; a tag alone decides.
 *
 * build: src/backend/slots.c src/base/check.c -lhiredis
 */
#include "config.h"

#include <hiredis/hiredis.h>

#include "backend/slots.h"
#include "base/check.h"
#include "fuzz.h"

static const struct slots_addr asked = { .port = 7000, .len = 9, .host = "127.0.0.1" };

static void
check_addr(const struct slots_addr *a)
{
	char name[SLOTS_NAME_MAX];

	PROMISE(a->port != 0 && a->len <= SLOTS_HOST_MAX && strlen(a->host) == a->len);
	slots_addr_name(a, name);
	PROMISE(strlen(name) >= a->len + 2u);
	for (const char *p = name; *p != '\0'; p++)
		PROMISE(*p > ' ' && *p < 0x7f);
}

static void
check_map(const struct slots_map *m)
{
	unsigned nslots = 0;

	PROMISE(m->nservers > 0 && m->nservers <= SLOTS_SERVERS_MAX && m->nshards > 0);
	for (unsigned i = 0; i < m->nservers; i++)
		check_addr(&m->servers[i]);
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct slots_shard *s = slots_shard(m, i);

		if (s == NULL)
			continue;
		nslots++;
		PROMISE(s >= m->shards && s < m->shards + m->nshards && s->master < m->nservers);
		PROMISE(s->nreplicas <= SLOTS_REPLICAS_MAX);
		for (unsigned n = 0; n < s->nreplicas; n++)
			PROMISE(s->replicas[n] < m->nservers && s->replicas[n] != s->master);
	}
	PROMISE(nslots == m->nslots);
}

static bool
refuse(const char *p, size_t len, unsigned *slot, struct slots_addr *a)
{
	enum slots_refusal r = slots_refusal(slice_of(p, len), slot, a);

	(void)slots_no_cluster(slice_of(p, len));
	if (r != REFUSED_MOVED && r != REFUSED_ASK)
		return (false);
	PROMISE(*slot < SLOTS);
	if (a->len > 0)
		check_addr(a);
	return (true);
}

/* Whether an array is announced that redis_reply.c would not have begun; hiredis alone takes memory for any. */
static bool
is_vast(const char *p, size_t len)
{
	size_t digits = 0;
	bool counts = false;

	for (size_t i = 0; i < len && digits < 6; i++) {
		counts = p[i] == '*' || (counts && p[i] >= '0' && p[i] <= '9');
		digits = counts && p[i] != '*' ? digits + 1 : 0;
	}
	return (digits == 6);
}

/* Replies to CLUSTER SLOTS, with refusals among them, one behind the other. */
static void
read_replies(const char *p, size_t len)
{
	redisReader *reader = redisReaderCreate();
	struct slots_map *m = NULL, *next;
	struct slots_addr a;
	const char *why;
	unsigned slot;
	void *reply;

	PROMISE(reader != NULL);
	(void)redisReaderFeed(reader, p, len);
	while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
		const struct redisReply *r = reply;

		next = slots_map_new(r, &asked, &why);
		PROMISE((next == NULL) == (why != NULL));
		if (next != NULL) {
			slots_map_free(&m);
			m = next;
			check_map(m);
		} else if (m != NULL && r->type == REDIS_REPLY_ERROR && refuse(r->str, (size_t)r->len, &slot, &a) &&
		    slots_move(m, slot, &a)) {
			PROMISE(slots_addr_eq(&m->servers[slots_shard(m, slot)->master], &a));
			if (a.len > 0)
				check_map(m);
		}
		freeReplyObject(reply);
	}
	slots_map_free(&m);
	redisReaderFree(reader);
}

static void
hash_key(const char *p, size_t len)
{
	unsigned slot = slots_of(slice_of(p, len));
	char *tagged;

	PROMISE(slot < SLOTS);
	if (len == 0 || memchr(p, '}', len) != NULL)
		return;
	tagged = malloc(len + 4);
	PROMISE(tagged != NULL);
	memcpy(tagged, "{", 1);
	memcpy(tagged + 1, p, len);
	memcpy(tagged + 1 + len, "}{x", 3);
	if (memchr(p, '{', len) == NULL)
		PROMISE(slots_of(slice_of(tagged, len + 4)) == slot);
	free(tagged);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slots_addr a;
	unsigned slot;
	char *copy;

	if (size < 1)
		return (0);
	copy = exact_copy(data + 1, size - 1);
	if (data[0] == 'k')
		hash_key(copy, size - 1);
	else if (data[0] == 'e')
		(void)refuse(copy, size - 1, &slot, &a);
	else if (!is_vast(copy, size - 1))
		read_replies(copy, size - 1);
	free(copy);
	return (0);
}
