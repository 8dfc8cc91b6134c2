/*
 * get.c - get, gets, gat, gats.
 *
 * One key, or many that all live here, are answered on the spot; many keys of which some may be in a store
 * become a command in parts.
 */
#include "config.h"

#include "base/check.h"
#include "cmd/internal.h"
#include "req/answer.h"
#include "req/local.h"
#include "req/parts.h"
#include "req/through.h"

#define KEYS_AHEAD	16	/* hashed and prefetched together */

static bool
get_end(struct outq *out)
{
	return (outq_append(out, "END\r\n", 5));
}

static bool
get_one(struct client *cl, struct command *cmd)
{
	struct ctx *ctx = cl->ctx;
	unsigned space = keymap_find(ctx->shared->keymap, cmd->op.key);
	struct outq *out;

	if (ctx->conf->spaces[space].primary == NULL) {
		out = replyq_out(ctx, &cl->q);
		return (out != NULL &&
		    local_run(ctx, &ctx->ns[space], out, cmd) && get_end(out));
	}
	if (!through_local(ctx, space, &cl->q, cmd, &out))
		return (false);
	return (out != NULL ? get_end(out) :
	    through_run(ctx, space, &cl->q, cmd, NULL));
}

static bool
get_many_local(struct client *cl, struct command *cmd)
{
	struct ctx *ctx = cl->ctx;
	struct slice keys = cmd->keys, ahead[KEYS_AHEAD];
	struct outq *out = replyq_out(ctx, &cl->q);
	uint64_t hash[KEYS_AHEAD];
	unsigned n;

	if (out == NULL)
		return (false);
	for (;;) {
		for (n = 0; n < KEYS_AHEAD &&
		    command_next_key(&keys, &ahead[n]); n++) {
			hash[n] = cache_hash(ahead[n]);
			cache_prefetch_bucket(ctx->cache, hash[n]);
		}
		if (n == 0)
			return (get_end(out));
		for (unsigned i = 0; i < n; i++)
			cache_prefetch_item(ctx->cache, hash[i]);
		for (unsigned i = 0; i < n; i++) {
			unsigned space = keymap_find(ctx->shared->keymap,
			    ahead[i]);

			cmd->op.key = ahead[i];
			cmd->op.hash = hash[i];
			if (!local_run(ctx, &ctx->ns[space], out, cmd))
				return (false);
		}
	}
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
