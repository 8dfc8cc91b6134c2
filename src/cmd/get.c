/*
 * get.c - get, gets, gat, gats.
 *
 * One key, or many that all live here, are answered on the spot; many keys of which some may be in a store
 * become a command in parts.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/internal.h"
#include "req/answer.h"
#include "req/copy.h"
#include "req/local.h"
#include "req/parts.h"
#include "req/through.h"

#define KEYS_AHEAD	16	/* hashed and prefetched together */
#define ANSWER_AHEAD	(1024 * 1024)	/* of one answer, queued before the client has to read */

static bool
get_end(struct outq *out)
{
	return (outq_append(out, "END\r\n", 5));
}

static bool
get_one(struct client *cl, struct command *cmd)
{
	struct ctx *ctx = cl->ctx;
	const struct space *sp = view_find(ctx->view, cmd->op.key);
	struct outq *out;

	if (sp->pool == NULL) {
		out = replyq_out(ctx, &cl->q);
		return (out != NULL &&
		    local_run(ctx, sp->stats, out, cmd) && get_end(out));
	}
	if (!copy_answer(ctx, sp, &cl->q, cmd, &out))
		return (false);
	return (out != NULL ? get_end(out) :
	    through_run(ctx, sp, &cl->q, cmd, NULL));
}

/* Answers keys in turn until none is left or enough is queued. */
static bool
get_some(struct ctx *ctx, struct command *cmd, struct slice *keys,
    struct outq *out)
{
	bool plain = cmd->id == CMD_GET;
	struct slice ahead[KEYS_AHEAD];
	uint64_t hash[KEYS_AHEAD];
	cache_hint hint[KEYS_AHEAD];
	unsigned n;

	while (outq_len(out) < ANSWER_AHEAD) {
		for (n = 0; n < KEYS_AHEAD &&
		    command_next_key(keys, &ahead[n]); n++)
			hash[n] = cache_hash(ahead[n]);
		if (n == 0) {
			*keys = SLICE_NULL;
			return (true);
		}
		cache_prefetch(ctx->cache, hash, hint, n);
		for (unsigned i = 0; i < n; i++) {
			const struct space *sp;

			if (plain && LIKELY(hot_value(ctx, out, ahead[i],
			    hash[i], hint[i])))
				continue;
			sp = view_find(ctx->view, ahead[i]);
			/* Since the command began: the key is in a store now, and what is here are copies. */
			if (UNLIKELY(sp->pool != NULL))
				continue;
			cmd->op.key = ahead[i];
			cmd->op.hash = hash[i];
			if (!local_run(ctx, sp->stats, out, cmd))
				return (false);
		}
	}
	return (true);
}

/* The rest of a long get, answered as fast as the client reads. */
struct long_get {
	struct command	 cmd;
	struct slice	 keys;
	char		 text[];
};

/* client.produce */
static bool
get_more(struct client *cl, void *state)
{
	struct long_get *g = state;

	if (cl != NULL && get_some(cl->ctx, &g->cmd, &g->keys, &cl->out)) {
		if (g->keys.len > 0)
			return (true);
		cl->q.broken |= !get_end(&cl->out);
	} else if (cl != NULL)
		cl->q.broken = true;
	free(g);
	return (false);
}

static bool
get_many_local(struct client *cl, struct command *cmd)
{
	struct slice keys = cmd->keys;
	struct outq *out = replyq_out(cl->ctx, &cl->q);
	struct long_get *g;

	if (out == NULL || !get_some(cl->ctx, cmd, &keys, out))
		return (false);
	if (keys.len == 0)
		return (get_end(out));
	g = malloc(sizeof *g + keys.len);
	if (g == NULL)
		return (false);
	g->cmd = *cmd;
	memcpy(g->text, keys.p, keys.len);
	g->keys = slice_of(g->text, keys.len);
	cl->produce = get_more;
	cl->produce_state = g;
	return (true);
}

bool
cmd_get(struct client *cl, struct command *cmd)
{
	if (LIKELY(cmd->nkeys == 1))
		return (get_one(cl, cmd));
	if (through_any(cl->ctx))
		return (parts_get(cl->ctx, &cl->q, cmd));
	return (get_many_local(cl, cmd));
}
