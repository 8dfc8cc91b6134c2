/*
 * slots.c - Redis Cluster's slots, map and refusals.
 *
 * Replies differ by version: Redis 3 has two words a server, 4 adds its id, 7 a list of what else is known; a host may
 * be missing, empty or "?". What is not understood of one server loses that server only, what is not understood of the
 * whole loses the reply: a wrong map costs a redirect, but no reply may cost more memory or time than a cluster needs.
 */
#include "config.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/slots.h"
#include "base/check.h"

/* CRC16 as XMODEM has it: polynomial 0x1021, from 0, highest bit first. */
static const uint16_t crc_table[256] = {
	0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
	0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
	0x1231, 0x0210, 0x3273, 0x2252, 0x52b5, 0x4294, 0x72f7, 0x62d6,
	0x9339, 0x8318, 0xb37b, 0xa35a, 0xd3bd, 0xc39c, 0xf3ff, 0xe3de,
	0x2462, 0x3443, 0x0420, 0x1401, 0x64e6, 0x74c7, 0x44a4, 0x5485,
	0xa56a, 0xb54b, 0x8528, 0x9509, 0xe5ee, 0xf5cf, 0xc5ac, 0xd58d,
	0x3653, 0x2672, 0x1611, 0x0630, 0x76d7, 0x66f6, 0x5695, 0x46b4,
	0xb75b, 0xa77a, 0x9719, 0x8738, 0xf7df, 0xe7fe, 0xd79d, 0xc7bc,
	0x48c4, 0x58e5, 0x6886, 0x78a7, 0x0840, 0x1861, 0x2802, 0x3823,
	0xc9cc, 0xd9ed, 0xe98e, 0xf9af, 0x8948, 0x9969, 0xa90a, 0xb92b,
	0x5af5, 0x4ad4, 0x7ab7, 0x6a96, 0x1a71, 0x0a50, 0x3a33, 0x2a12,
	0xdbfd, 0xcbdc, 0xfbbf, 0xeb9e, 0x9b79, 0x8b58, 0xbb3b, 0xab1a,
	0x6ca6, 0x7c87, 0x4ce4, 0x5cc5, 0x2c22, 0x3c03, 0x0c60, 0x1c41,
	0xedae, 0xfd8f, 0xcdec, 0xddcd, 0xad2a, 0xbd0b, 0x8d68, 0x9d49,
	0x7e97, 0x6eb6, 0x5ed5, 0x4ef4, 0x3e13, 0x2e32, 0x1e51, 0x0e70,
	0xff9f, 0xefbe, 0xdfdd, 0xcffc, 0xbf1b, 0xaf3a, 0x9f59, 0x8f78,
	0x9188, 0x81a9, 0xb1ca, 0xa1eb, 0xd10c, 0xc12d, 0xf14e, 0xe16f,
	0x1080, 0x00a1, 0x30c2, 0x20e3, 0x5004, 0x4025, 0x7046, 0x6067,
	0x83b9, 0x9398, 0xa3fb, 0xb3da, 0xc33d, 0xd31c, 0xe37f, 0xf35e,
	0x02b1, 0x1290, 0x22f3, 0x32d2, 0x4235, 0x5214, 0x6277, 0x7256,
	0xb5ea, 0xa5cb, 0x95a8, 0x8589, 0xf56e, 0xe54f, 0xd52c, 0xc50d,
	0x34e2, 0x24c3, 0x14a0, 0x0481, 0x7466, 0x6447, 0x5424, 0x4405,
	0xa7db, 0xb7fa, 0x8799, 0x97b8, 0xe75f, 0xf77e, 0xc71d, 0xd73c,
	0x26d3, 0x36f2, 0x0691, 0x16b0, 0x6657, 0x7676, 0x4615, 0x5634,
	0xd94c, 0xc96d, 0xf90e, 0xe92f, 0x99c8, 0x89e9, 0xb98a, 0xa9ab,
	0x5844, 0x4865, 0x7806, 0x6827, 0x18c0, 0x08e1, 0x3882, 0x28a3,
	0xcb7d, 0xdb5c, 0xeb3f, 0xfb1e, 0x8bf9, 0x9bd8, 0xabbb, 0xbb9a,
	0x4a75, 0x5a54, 0x6a37, 0x7a16, 0x0af1, 0x1ad0, 0x2ab3, 0x3a92,
	0xfd2e, 0xed0f, 0xdd6c, 0xcd4d, 0xbdaa, 0xad8b, 0x9de8, 0x8dc9,
	0x7c26, 0x6c07, 0x5c64, 0x4c45, 0x3ca2, 0x2c83, 0x1ce0, 0x0cc1,
	0xef1f, 0xff3e, 0xcf5d, 0xdf7c, 0xaf9b, 0xbfba, 0x8fd9, 0x9ff8,
	0x6e17, 0x7e36, 0x4e55, 0x5e74, 0x2e93, 0x3eb2, 0x0ed1, 0x1ef0,
};

static uint16_t
crc16(const char *p, size_t n)
{
	uint16_t crc = 0;

	while (n-- > 0)
		crc = (uint16_t)(crc << 8 ^ crc_table[(crc >> 8 ^ (unsigned char)*p++) & 0xff]);
	return (crc);
}

unsigned
slots_of(struct slice key)
{
	const char *open, *close, *end = key.p + key.len;

	open = key.len == 0 ? NULL : memchr(key.p, '{', key.len);
	if (UNLIKELY(open != NULL)) {
		close = memchr(open + 1, '}', (size_t)(end - open - 1));
		if (close != NULL && close > open + 1)
			return (crc16(open + 1, (size_t)(close - open - 1)) % SLOTS);
	}
	return (crc16(key.p, key.len) % SLOTS);
}

/* ---- addresses ---- */

bool
slots_addr_set(struct slots_addr *a, struct slice host, unsigned port)
{
	if (host.len > SLOTS_HOST_MAX || port == 0 || port > UINT16_MAX)
		return (false);
	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = (unsigned char)host.p[i];

		/* What is in no name and no address, and would make log lines or replies to clients unreadable. */
		if (c <= ' ' || c >= 0x7f || strchr("[]/,\"\\", c) != NULL)
			return (false);
	}
	a->port = (uint16_t)port;
	a->len = (uint16_t)host.len;
	if (host.len > 0)
		memcpy(a->host, host.p, host.len);
	a->host[host.len] = '\0';
	return (true);
}

bool
slots_addr_eq(const struct slots_addr *a, const struct slots_addr *b)
{
	return (a->port == b->port && a->len == b->len && memcmp(a->host, b->host, a->len) == 0);
}

void
slots_addr_name(const struct slots_addr *a, char name[SLOTS_NAME_MAX])
{
	snprintf(name, SLOTS_NAME_MAX, strchr(a->host, ':') != NULL ? "[%s]:%u" : "%s:%u", a->host, a->port);
}

/* ---- the map ---- */

static bool
is_text(const struct redisReply *r)
{
	return (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS);
}

static bool
is_number(const struct redisReply *r, long long min, long long max)
{
	return (r->type == REDIS_REPLY_INTEGER && r->integer >= min && r->integer <= max);
}

static struct slice
text_of(const struct redisReply *r)
{
	return (slice_of(r->str, (size_t)r->len));
}

/* A server whose name is "?" may tell its address among the rest: "ip", address, ... */
static struct slice
host_beside(const struct redisReply *server)
{
	const struct redisReply *rest = server->elements > 3 ? server->element[3] : NULL;

	if (rest == NULL || rest->type != REDIS_REPLY_ARRAY)
		return (SLICE_NULL);
	for (size_t i = 0; i + 1 < rest->elements; i += 2)
		if (is_text(rest->element[i]) && is_text(rest->element[i + 1]) &&
		    slice_eq_str(text_of(rest->element[i]), "ip"))
			return (text_of(rest->element[i + 1]));
	return (SLICE_NULL);
}

/* False: this server's address is not known. */
static bool
read_server(const struct redisReply *r, const struct slots_addr *asked, struct slots_addr *a)
{
	struct slice host;

	if (r->type != REDIS_REPLY_ARRAY || r->elements < 2 || !is_number(r->element[1], 1, UINT16_MAX))
		return (false);
	if (r->element[0]->type == REDIS_REPLY_NIL)
		host = SLICE_NULL;
	else if (is_text(r->element[0]))
		host = text_of(r->element[0]);
	else
		return (false);
	if (slice_eq_str(host, "?")) {
		host = host_beside(r);
		if (host.len == 0 || slice_eq_str(host, "?"))
			return (false);
	}
	if (host.len == 0)
		host = slice_of(asked->host, asked->len);
	return (slots_addr_set(a, host, (unsigned)r->element[1]->integer));
}

/* Doubles what holds n elements when it is full; sizes are powers of two. */
static bool
grow(void *arrayp, unsigned n, size_t size)
{
	void **array = arrayp, *more;

	if (n > 0 && (n < 8 || (n & (n - 1)) != 0))
		return (true);
	more = realloc(*array, (n == 0 ? 8 : (size_t)n * 2) * size);
	if (more == NULL)
		return (false);
	*array = more;
	return (true);
}

/* Where in by_addr this address is, or would be: a table that is never more than half full. */
static uint16_t *
find_place(struct slots_map *m, const struct slots_addr *a)
{
	uint32_t h = 2166136261u ^ a->port;

	for (unsigned i = 0; i < a->len; i++)
		h = (h ^ (unsigned char)a->host[i]) * 16777619u;
	for (h ^= h >> 15;; h++) {
		uint16_t *place = &m->by_addr[h % NITEMS(m->by_addr)];

		if (*place == SLOTS_NONE || slots_addr_eq(&m->servers[*place], a))
			return (place);
	}
}

/* Its index, SLOTS_NONE: no room. */
static uint16_t
add_server(struct slots_map *m, const struct slots_addr *a)
{
	uint16_t *place = find_place(m, a);

	if (*place != SLOTS_NONE)
		return (*place);
	if (m->nservers == SLOTS_SERVERS_MAX || !grow(&m->servers, m->nservers, sizeof *m->servers))
		return (SLOTS_NONE);
	m->servers[m->nservers] = *a;
	*place = (uint16_t)m->nservers++;
	return (*place);
}

static uint16_t
find_shard(const struct slots_map *m, const struct slots_shard *s)
{
	for (unsigned i = 0; i < m->nshards; i++)
		if (m->shards[i].master == s->master && m->shards[i].nreplicas == s->nreplicas &&
		    memcmp(m->shards[i].replicas, s->replicas, s->nreplicas * sizeof s->replicas[0]) == 0)
			return ((uint16_t)i);
	return (SLOTS_NONE);
}

static uint16_t
add_shard(struct slots_map *m, const struct slots_shard *s)
{
	uint16_t i = find_shard(m, s);

	if (i != SLOTS_NONE)
		return (i);
	if (m->nshards == SLOTS_NONE || !grow(&m->shards, m->nshards, sizeof *m->shards))
		return (SLOTS_NONE);
	m->shards[m->nshards] = *s;
	return ((uint16_t)m->nshards++);
}

static void
set_slot(struct slots_map *m, unsigned slot, uint16_t shard)
{
	m->nslots += m->shard_of[slot] == SLOTS_NONE;
	m->shard_of[slot] = shard;
}

enum range_rc { RANGE_DONE, RANGE_BAD, RANGE_NOMEM };

/* [first, last, master, replica, ...] */
static enum range_rc
read_range(struct slots_map *m, const struct redisReply *r, const struct slots_addr *asked)
{
	struct slots_shard s = { .nreplicas = 0 };
	struct slots_addr a;
	uint16_t shard, replica;

	if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 || !is_number(r->element[0], 0, SLOTS - 1) ||
	    !is_number(r->element[1], r->element[0]->integer, SLOTS - 1))
		return (RANGE_BAD);
	if (!read_server(r->element[2], asked, &a))
		return (RANGE_DONE);	/* a MOVED may tell */
	s.master = add_server(m, &a);
	if (s.master == SLOTS_NONE)
		return (RANGE_NOMEM);
	for (size_t i = 3; i < r->elements && s.nreplicas < SLOTS_REPLICAS_MAX; i++) {
		if (!read_server(r->element[i], asked, &a))
			continue;
		replica = add_server(m, &a);
		if (replica == SLOTS_NONE)
			return (RANGE_NOMEM);
		if (replica != s.master)
			s.replicas[s.nreplicas++] = replica;
	}
	shard = add_shard(m, &s);
	if (shard == SLOTS_NONE)
		return (RANGE_NOMEM);
	for (long long i = r->element[0]->integer; i <= r->element[1]->integer; i++)
		set_slot(m, (unsigned)i, shard);
	return (RANGE_DONE);
}

static const char *
read_ranges(struct slots_map *m, const struct redisReply *r, const struct slots_addr *asked)
{
	if (r->type != REDIS_REPLY_ARRAY || r->elements > SLOTS)
		return ("its slots make no sense");
	for (size_t i = 0; i < r->elements; i++) {
		switch (read_range(m, r->element[i], asked)) {
		case RANGE_DONE:
			break;
		case RANGE_BAD:
			return ("its slots make no sense");
		case RANGE_NOMEM:
			return ("its slots are more than there is room for");
		}
	}
	return (m->nslots == 0 ? "it knows of no slot with a server" : NULL);
}

struct slots_map *
slots_map_new(const struct redisReply *r, const struct slots_addr *asked, const char **why)
{
	struct slots_map *m = calloc(1, sizeof *m);

	*why = "out of memory";
	if (m == NULL)
		return (NULL);
	memset(m->shard_of, 0xff, sizeof m->shard_of);	/* SLOTS_NONE */
	memset(m->by_addr, 0xff, sizeof m->by_addr);
	*why = read_ranges(m, r, asked);
	if (*why != NULL)
		slots_map_free(&m);
	return (m);
}

void
slots_map_free(struct slots_map **mp)
{
	struct slots_map *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	free(m->servers);
	free(m->shards);
	free(m);
}

const struct slots_shard *
slots_shard(const struct slots_map *m, unsigned slot)
{
	return (m->shard_of[slot] == SLOTS_NONE ? NULL : &m->shards[m->shard_of[slot]]);
}

bool
slots_move(struct slots_map *m, unsigned slot, const struct slots_addr *to)
{
	struct slots_shard s = { .master = add_server(m, to) };
	uint16_t shard = SLOTS_NONE;

	if (s.master == SLOTS_NONE)
		return (false);
	/* One that is known brings its replicas. */
	for (unsigned i = 0; i < m->nshards && shard == SLOTS_NONE; i++)
		if (m->shards[i].master == s.master)
			shard = (uint16_t)i;
	if (shard == SLOTS_NONE)
		shard = add_shard(m, &s);
	if (shard == SLOTS_NONE)
		return (false);
	set_slot(m, slot, shard);
	return (true);
}

/* ---- refusals ---- */

static const struct {
	const char	*word;
	enum slots_refusal refusal;
} refusals[] = {
	{ "MOVED", REFUSED_MOVED },
	{ "ASK", REFUSED_ASK },
	{ "TRYAGAIN", REFUSED_TRYAGAIN },
	{ "CLUSTERDOWN", REFUSED_CLUSTERDOWN },
	{ "MASTERDOWN", REFUSED_MASTERDOWN },
	{ "LOADING", REFUSED_LOADING },
	{ "READONLY", REFUSED_READONLY },
};

/* Digits up to the end of s, at most max. */
static bool
read_number(struct slice s, unsigned max, unsigned *n)
{
	*n = 0;
	if (s.len == 0 || s.len > 5)
		return (false);
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return (false);
		*n = *n * 10 + (unsigned)(s.p[i] - '0');
	}
	return (*n <= max);
}

/* "host:port"; the last colon is it, because addresses of IPv6 come without brackets. */
static bool
read_addr(struct slice s, struct slots_addr *a)
{
	const char *colon = s.len == 0 ? NULL : memrchr(s.p, ':', s.len);
	struct slice host;
	unsigned port;

	if (colon == NULL)
		return (false);
	host = slice_of(s.p, (size_t)(colon - s.p));
	if (!read_number(slice_of(colon + 1, s.len - host.len - 1), UINT16_MAX, &port))
		return (false);
	if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = slice_of(host.p + 1, host.len - 2);
	return (!slice_eq_str(host, "?") && slots_addr_set(a, host, port));
}

/* " 3999 127.0.0.1:6381" */
static bool
read_redirect(struct slice s, unsigned *slot, struct slots_addr *a)
{
	const char *space;

	if (s.len < 2 || s.p[0] != ' ')
		return (false);
	s = slice_of(s.p + 1, s.len - 1);
	space = memchr(s.p, ' ', s.len);
	if (space == NULL || !read_number(slice_of(s.p, (size_t)(space - s.p)), SLOTS - 1, slot))
		return (false);
	return (read_addr(slice_of(space + 1, s.len - (size_t)(space - s.p) - 1), a));
}

enum slots_refusal
slots_refusal(struct slice text, unsigned *slot, struct slots_addr *a)
{
	const char *space = text.len == 0 ? NULL : memchr(text.p, ' ', text.len);
	struct slice word = slice_of(text.p, space == NULL ? text.len : (size_t)(space - text.p));

	for (size_t i = 0; i < NITEMS(refusals); i++) {
		if (!slice_eq_str(word, refusals[i].word))
			continue;
		if (refusals[i].refusal > REFUSED_ASK ||
		    read_redirect(slice_of(text.p + word.len, text.len - word.len), slot, a))
			return (refusals[i].refusal);
		break;
	}
	/* A script has met a key that is elsewhere: its slot is moving. */
	if (text.len > 0 && memmem(text.p, text.len, "access a non local key", sizeof "access a non local key" - 1) != NULL)
		return (REFUSED_TRYAGAIN);
	return (REFUSED_NOT);
}

bool
slots_no_cluster(struct slice text)
{
	return (text.len > 0 && memmem(text.p, text.len, "cluster support disabled",
	    sizeof "cluster support disabled" - 1) != NULL);
}
