/*
 * observe.c - a command as a line of the log that watchers read, and as counters of its prefix.
 *
 * Lines are memcached's, so that what reads its log reads ours.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "req/observe.h"
#include "req/prefix.h"
#include "req/watch.h"

#define ITEM_OVERHEAD	16	/* bytes beside key and value, for the size class */

static unsigned
size_class(const struct command *cmd, uint32_t size)
{
	return (cache_size_class(cmd->op.key.len + size + ITEM_OVERHEAD));
}

static bool
is_meta(const struct command *cmd)
{
	return (cmd->shape == SHAPE_META || cmd->shape == SHAPE_MSET);
}

static void
fetch_line(struct ctx *ctx, int fd, const struct command *cmd,
    const char *status, bool hit, uint32_t size)
{
	char key[WATCH_KEY_MAX];

	watch_key(key, cmd->op.key);
	watch_line(ctx->shared, OBSERVE_FETCHERS, "type=item_get key=%s "
	    "status=%s clsid=%u cfd=%d size=%" PRIu32, key, status,
	    hit ? size_class(cmd, size) : 0, fd, size);
}

void
observe_get(struct ctx *ctx, int fd, const struct command *cmd, bool hit,
    const struct op_result *res)
{
	static const struct prefix_counts miss_n = { .gets = 1 },
	    hit_n = { .gets = 1, .hits = 1 };
	unsigned what = observed(ctx);

	/* `touch` fetches nothing. */
	if ((what & OBSERVE_DETAIL) != 0 && cmd->shape != SHAPE_KEY)
		prefixes_add(ctx->shared->prefixes, cmd->op.key,
		    hit ? &hit_n : &miss_n);
	if ((what & OBSERVE_FETCHERS) != 0)
		fetch_line(ctx, fd, cmd, hit ? "found" :
		    (res->bits & OPR_EXPIRED) != 0 ? "expired" : "not_found",
		    hit, hit ? res->size : 0);
}

uint32_t
observe_lookup(struct ctx *ctx, int fd, const struct command *cmd)
{
	struct cache_shard *s;
	struct item *it;
	const char *status = "found";
	uint32_t size = 0;

	if ((observed(ctx) & (OBSERVE_FETCHERS | OBSERVE_DELETIONS)) == 0)
		return (0);
	s = cache_lock(ctx->cache, cmd->op.hash);
	it = cache_find(s, cmd->op.hash, cmd->op.key);
	if (it != NULL)
		size = item_vlen(it);
	else
		status = cache_was_expired(s) ? "expired" : "not_found";
	cache_unlock(s);
	if ((observed(ctx) & OBSERVE_FETCHERS) != 0)
		fetch_line(ctx, fd, cmd, status, it != NULL, size);
	return (size);
}

static const char *
store_word(const struct command *cmd)
{
	static const char *const words[] = {
		[OP_SET] = "set", [OP_ADD] = "add", [OP_REPLACE] = "replace",
		[OP_APPEND] = "append", [OP_PREPEND] = "prepend",
	};

	if (cmd->op.verb != OP_STORE || cmd->op.mode > OP_PREPEND)
		return ("na");
	if ((cmd->op.opts & OPF_CAS) != 0 && cmd->op.mode == OP_SET)
		return ("cas");
	return (words[cmd->op.mode]);
}

static void
store_line(struct ctx *ctx, int fd, const struct command *cmd,
    const char *status)
{
	int32_t ttl = (cmd->op.opts & OPF_TTL) != 0 ? cmd->op.ttl : 0;
	char key[WATCH_KEY_MAX];

	watch_key(key, cmd->op.key);
	watch_line(ctx->shared, OBSERVE_MUTATIONS, "type=item_store key=%s "
	    "status=%s cmd=%s ttl=%" PRId32 " clsid=%u cfd=%d size=%" PRIu32,
	    key, status, store_word(cmd), ttl, size_class(cmd, cmd->op.vlen),
	    fd, cmd->op.vlen);
}

static void
count_set(struct ctx *ctx, const struct command *cmd)
{
	static const struct prefix_counts n = { .sets = 1 };

	if ((observed(ctx) & OBSERVE_DETAIL) != 0 &&
	    cmd->op.verb == OP_STORE)
		prefixes_add(ctx->shared->prefixes, cmd->op.key, &n);
}

void
observe_store(struct ctx *ctx, int fd, const struct command *cmd,
    enum op_status st)
{
	static const char *const words[] = {
		[OP_OK] = "stored", [OP_MISS] = "not_found",
		[OP_NOT_STORED] = "not_stored", [OP_EXISTS] = "exists",
		[OP_ERROR] = "not_stored",
	};

	count_set(ctx, cmd);
	if ((observed(ctx) & OBSERVE_MUTATIONS) != 0)
		store_line(ctx, fd, cmd, words[st]);
}

void
observe_refused(struct ctx *ctx, int fd, const struct command *cmd,
    bool too_large)
{
	count_set(ctx, cmd);
	if ((observed(ctx) & OBSERVE_MUTATIONS) != 0)
		store_line(ctx, fd, cmd, too_large ? "too_large" :
		    "no_memory");
}

void
observe_delete(struct ctx *ctx, int fd, const struct command *cmd, bool hit,
    uint32_t size)
{
	static const struct prefix_counts n = { .deletes = 1 };
	unsigned what = observed(ctx);
	char key[WATCH_KEY_MAX];

	if ((what & OBSERVE_DETAIL) != 0)
		prefixes_add(ctx->shared->prefixes, cmd->op.key, &n);
	/* What only became stale is not deleted. */
	if ((what & OBSERVE_DELETIONS) == 0 || !hit ||
	    (cmd->op.opts & OPF_INVALIDATE) != 0)
		return;
	watch_key(key, cmd->op.key);
	watch_line(ctx->shared, OBSERVE_DELETIONS, "type=deleted key=%s "
	    "cmd=%s clsid=%u cfd=%d size=%" PRIu32, key, is_meta(cmd) ?
	    "md" : "delete", size_class(cmd, size), fd, size);
}

void
observe_evicted(void *arg, const struct cache_shard *s, const struct item *it)
{
	struct shared *sh = arg;
	uint32_t exp = item_exptime(it);
	char key[WATCH_KEY_MAX];

	if (LIKELY((atomic_load_explicit(&sh->observe, memory_order_relaxed) &
	    OBSERVE_EVICTIONS) == 0))
		return;
	watch_key(key, item_key(it));
	watch_line(sh, OBSERVE_EVICTIONS, "type=eviction key=%s fetch=%s "
	    "ttl=%" PRId64 " la=%" PRIu32 " clsid=%u size=%" PRIu32, key,
	    item_fetched(it) ? "yes" : "no",
	    exp == 0 ? -1 : (int64_t)exp - cache_now(sh->cache),
	    item_idle(s, it), cache_size_class(item_size(it)), item_vlen(it));
}
