/*
 * redis_hello.c - what is said on a connection beside ops: login, database, scripts, the server's clock.
 *
 * The greeting goes out at once. Of it PING is what a server refuses that is loading, has lost its master, has too many
 * clients, or wants a password. Scripts are loaded before their first use on a connection, so that a greeting costs a
 * server in need no more than it must. Whether they could be is not looked at: if not, each use says why.
 *
 * The clock. A value's remaining time is reckoned here from its end, which is by the server's clock. The server read it
 * at some moment between our asking and its answer's coming; taking the moment of asking, our idea of its time is never
 * behind, and so no value seems to live longer than it does. The quickest of the answers is the best; they are repeated
 * because clocks are set now and then.
 */
#include "config.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/redis.h"
#include "base/check.h"
#include "base/num.h"
#include "obs/log.h"

#define CLOCK_EVERY	10000000	/* microseconds */
#define WORDS_MAX	3

static bool
redis_say(struct redis_conn *c, unsigned n, const struct slice *words, redis_control_f *f)
{
	struct redis_cmd cmd = { .want = RW_CONTROL, .script = RS_NONE };
	char *room = redis_conn_room(c, redis_put_words_max(n, words));

	if (room == NULL)
		return (false);
	cmd.len = (uint32_t)redis_put_words(room, n, words);
	return (redis_conn_put(c, NULL, &cmd, room, f));
}

/* ---- clock ---- */

static bool
redis_read_time(const struct redisReply *r, uint64_t *usec)
{
	uint64_t part[2];

	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2)
		return (false);
	for (unsigned i = 0; i < 2; i++) {
		const struct redisReply *e = r->element[i];

		if (e->type != REDIS_REPLY_STRING || !num_get_u64(slice_of(e->str, (size_t)e->len), &part[i]))
			return (false);
	}
	if (part[0] > INT64_MAX / 1000000 - 1 || part[1] >= 1000000)
		return (false);
	*usec = part[0] * 1000000 + part[1];
	return (true);
}

static void
redis_clock_told(struct redis_conn *c, const struct redisReply *r, uint64_t sent_at)
{
	struct redis_node *node = c->node;
	uint64_t rtt = loop_now_fresh(node->loop) - sent_at, theirs;
	int64_t clock;

	/* The greeting's last word. */
	if (c->state == RC_HELLO && c->doom == ERR_NONE)
		redis_conn_ready(c);
	if (!redis_read_time(r, &theirs))
		return;
	clock = (int64_t)theirs - (int64_t)sent_at;
	/* A worse measurement is believed only where the better one cannot be true any more. */
	if (rtt > node->clock_rtt && clock >= node->clock - (int64_t)node->clock_rtt &&
	    clock - (int64_t)rtt <= node->clock) {
		node->clock_rtt += node->clock_rtt / 4 + 1;	/* what is old counts less */
		return;
	}
	node->clock = clock;
	node->clock_rtt = rtt;
}

static bool
redis_ask_time(struct redis_conn *c)
{
	static const struct slice words[] = { { "TIME", 4 } };

	c->clock_at = loop_now_fresh(c->node->loop);
	if (!redis_say(c, 1, words, redis_clock_told))
		return (false);
	redis_slot(c, c->head + c->n - 1)->sent_at = c->clock_at;
	return (true);
}

void
redis_clock(struct redis_conn *c)
{
	if (UNLIKELY(loop_now(c->node->loop) - c->clock_at > CLOCK_EVERY))
		(void)redis_ask_time(c);
}

/* ---- scripts ---- */

static void
redis_script_loaded(struct redis_conn *c, const struct redisReply *r, uint64_t sent_at)
{
	(void)sent_at;
	if (r->type == REDIS_REPLY_ERROR)
		log_info("%s: SCRIPT LOAD: %.200s", c->node->name, r->str);
}

bool
redis_load_script(struct redis_conn *c, enum redis_script rs)
{
	struct slice words[WORDS_MAX] = { SLICE_LIT("SCRIPT"), SLICE_LIT("LOAD"), c->node->scripts[rs].text };

	return (redis_say(c, 3, words, redis_script_loaded));
}

/* ---- greeting ---- */

/* The first refusal ends the attempt. */
static void
redis_greeting(struct redis_conn *c, const struct redisReply *r, const char *what)
{
	char text[200];

	if (r->type != REDIS_REPLY_ERROR || c->doom != ERR_NONE)
		return;
	snprintf(text, sizeof text, "%s: %.150s", what, r->str);
	c->refused = true;
	redis_conn_doom(c, redis_error_kind(slice_of(r->str, (size_t)r->len)), text);
}

static void
redis_authed(struct redis_conn *c, const struct redisReply *r, uint64_t sent_at)
{
	(void)sent_at;
	redis_greeting(c, r, "AUTH");
}

static void
redis_selected(struct redis_conn *c, const struct redisReply *r, uint64_t sent_at)
{
	(void)sent_at;
	redis_greeting(c, r, "SELECT");
}

static void
redis_replica_asked(struct redis_conn *c, const struct redisReply *r, uint64_t sent_at)
{
	(void)sent_at;
	redis_greeting(c, r, "READONLY");
}

static void
redis_ponged(struct redis_conn *c, const struct redisReply *r, uint64_t sent_at)
{
	(void)sent_at;
	redis_greeting(c, r, "PING");
}

static bool
redis_say_auth(struct redis_conn *c)
{
	const struct conf_store *st = c->node->store;
	struct slice words[WORDS_MAX];
	unsigned n = 0;

	if (st->password == NULL)
		return (true);
	words[n++] = SLICE_LIT("AUTH");
	if (st->user != NULL)
		words[n++] = slice_str(st->user);
	words[n++] = slice_str(st->password);
	return (redis_say(c, n, words, redis_authed));
}

static bool
redis_say_select(struct redis_conn *c)
{
	char digits[NUM_U64_MAXLEN];
	struct slice words[] = { SLICE_LIT("SELECT"), SLICE_NULL };

	if (c->node->store->database == 0)
		return (true);
	words[1] = slice_of(digits, (size_t)(num_put_u64(digits, c->node->store->database) - digits));
	return (redis_say(c, 2, words, redis_selected));
}

bool
redis_hello(struct redis_conn *c)
{
	static const struct slice readonly[] = { { "READONLY", 8 } };
	static const struct slice ping[] = { { "PING", 4 } };

	return (redis_say_auth(c) && redis_say(c, 1, ping, redis_ponged) && redis_say_select(c) &&
	    (!c->node->readonly || redis_say(c, 1, readonly, redis_replica_asked)) &&
	    redis_ask_time(c));
}
