/*
 * admin.c - the commands without a key: what they answer is memcached's, what they do is ours.
 *
 * memcached's knobs for slab classes and LRU queues have no counterpart here; they are checked as memcached
 * checks them and accepted, so that scripts that set them go on.
 */
#include "config.h"

#include "base/num.h"
#include "cache/cache.h"
#include "cmd/internal.h"
#include "obs/log.h"
#include "req/answer.h"
#include "req/parts.h"

#define VERBOSITY_MAX	3
#define CLASS_MAX	63		/* memcached's highest slab class */
#define MEMLIMIT_MIN	8		/* MB */
#define MEMLIMIT_MAX	1000000000	/* MB: more was meant as bytes */

typedef bool admin_f(struct client *, struct command *);

static bool
word_is(const struct command *cmd, unsigned n, const char *w)
{
	return (n < cmd->nwords && slice_eq_str(cmd->words[n], w));
}

static bool
admin_version(struct client *cl, struct command *cmd)
{
	(void)cmd;
	return (cmd_say(cl, NULL, "VERSION " KVGATE_VERSION));
}

static bool
admin_mn(struct client *cl, struct command *cmd)
{
	(void)cmd;
	METRIC_ADD(&cl->ctx->metrics, cmd_meta, 1);
	return (cmd_say(cl, NULL, "MN"));
}

static bool
admin_verbosity(struct client *cl, struct command *cmd)
{
	uint32_t level;

	if (cmd->nwords < 1 || !num_get_u32(cmd->words[0], &level))
		return (cmd_say(cl, cmd,
		    "CLIENT_ERROR bad command line format"));
	log_set_verbosity(level > VERBOSITY_MAX ? VERBOSITY_MAX : level);
	return (cmd_say(cl, cmd, "OK"));
}

static bool
admin_flush_all(struct client *cl, struct command *cmd)
{
	int32_t delay = 0;

	METRIC_ADD(&cl->ctx->metrics, cmd_flush, 1);
	if (cl->ctx->conf->no_flush)
		return (cmd_say(cl, cmd, "CLIENT_ERROR flush_all not allowed"));
	if (cmd->nwords > (cmd->quiet ? 1 : 0) &&
	    !num_get_i32(cmd->words[0], &delay))
		return (cmd_say(cl, cmd,
		    "CLIENT_ERROR invalid exptime argument"));
	cmd->op.ttl = delay > 0 ? delay : 0;
	return (parts_flush(cl->ctx, &cl->q, cmd));
}

static bool
admin_quit(struct client *cl, struct command *cmd)
{
	(void)cmd;
	cl->close = true;
	return (true);
}

static bool
admin_shutdown(struct client *cl, struct command *cmd)
{
	struct ctx *ctx = cl->ctx;

	if (!ctx->conf->shutdown_command)
		return (cmd_say(cl, cmd, "SERVER_ERROR: shutdown not enabled"));
	if (cmd->nwords > 1 || (cmd->nwords == 1 &&
	    !word_is(cmd, 0, "graceful")))
		return (cmd_say(cl, cmd, "CLIENT_ERROR invalid shutdown mode"));
	cl->close = true;
	ctx->shared->ops.shutdown(ctx, cmd->nwords == 1);
	return (true);
}

static bool
admin_cache_memlimit(struct client *cl, struct command *cmd)
{
	uint32_t mb;

	if (cmd->nwords < 1 || !num_get_u32(cmd->words[0], &mb))
		return (cmd_say(cl, cmd, "ERROR"));
	if (mb < MEMLIMIT_MIN)
		return (cmd_say(cl, cmd, "MEMLIMIT_TOO_SMALL cannot set "
		    "maxbytes to less than 8m"));
	if (mb > MEMLIMIT_MAX)
		return (cmd_say(cl, cmd, "MEMLIMIT_ADJUST_FAILED input value "
		    "is megabytes not bytes"));
	if (!cache_set_mem(cl->ctx->cache, (size_t)mb << 20))
		return (cmd_say(cl, cmd, "MEMLIMIT_ADJUST_FAILED out of "
		    "bounds or unable to adjust"));
	log_info("cache memory set to %u MB", mb);
	return (cmd_say(cl, cmd, "OK"));
}

/* "all", "hash", or numbers of classes with commas between; there is one walk for all of them. */
static bool
are_classes(struct slice s)
{
	uint32_t n;

	if (slice_eq_str(s, "all") || slice_eq_str(s, "hash"))
		return (true);
	while (s.len > 0) {
		const char *comma = memchr(s.p, ',', s.len);
		size_t len = comma != NULL ? (size_t)(comma - s.p) : s.len;

		if (!num_get_u32(slice_of(s.p, len), &n) || n < 1 ||
		    n > CLASS_MAX)
			return (false);
		len += comma != NULL;
		s = slice_of(s.p + len, s.len - len);
	}
	return (true);
}

static bool
admin_lru_crawler(struct client *cl, struct command *cmd)
{
	uint32_t n;

	if (cmd->nwords == 1)
		return (cmd_say(cl, cmd, word_is(cmd, 0, "enable") ||
		    word_is(cmd, 0, "disable") ? "OK" : "ERROR"));
	if (cmd->nwords != 2)
		return (cmd_say(cl, cmd, "ERROR"));
	if (word_is(cmd, 0, "metadump") || word_is(cmd, 0, "mgdump")) {
		bool mg = word_is(cmd, 0, "mgdump");

		if (cl->ctx->conf->no_dump)
			return (cmd_say(cl, cmd, mg ?
			    "ERROR key dump not allowed" :
			    "ERROR metadump not allowed"));
		if (!are_classes(cmd->words[1]))
			return (cmd_say(cl, cmd, "BADCLASS invalid class id"));
		return (cmd_dump(cl, mg));
	}
	if (word_is(cmd, 0, "crawl"))
		return (cmd_say(cl, cmd, are_classes(cmd->words[1]) ? "OK" :
		    "BADCLASS invalid class id"));
	if (!word_is(cmd, 0, "tocrawl") && !word_is(cmd, 0, "sleep"))
		return (cmd_say(cl, cmd, "ERROR"));
	if (!num_get_u32(cmd->words[1], &n))
		return (cmd_say(cl, cmd,
		    "CLIENT_ERROR bad command line format"));
	if (word_is(cmd, 0, "sleep") && n > 1000000)
		return (cmd_say(cl, cmd,
		    "CLIENT_ERROR sleep must be one second or less"));
	return (cmd_say(cl, cmd, "OK"));
}

static bool
admin_lru(struct client *cl, struct command *cmd)
{
	uint32_t hot, warm;
	int32_t ttl;
	bool good = false;

	if (word_is(cmd, 0, "tune") && cmd->nwords >= 5)
		good = num_get_u32(cmd->words[1], &hot) &&
		    num_get_u32(cmd->words[2], &warm) && hot + warm <= 80;
	else if (word_is(cmd, 0, "mode"))
		good = word_is(cmd, 1, "flat") || word_is(cmd, 1, "segmented");
	else if (word_is(cmd, 0, "temp_ttl") && cmd->nwords >= 2)
		good = num_get_i32(cmd->words[1], &ttl);
	return (cmd_say(cl, cmd, good ? "OK" : "ERROR"));
}

static bool
admin_slabs(struct client *cl, struct command *cmd)
{
	int32_t src, dst;
	uint32_t level;

	if (cmd->nwords == 3 && word_is(cmd, 0, "reassign")) {
		if (!num_get_i32(cmd->words[1], &src) ||
		    !num_get_i32(cmd->words[2], &dst))
			return (cmd_say(cl, cmd,
			    "CLIENT_ERROR bad command line format"));
		/* There are no classes to move memory between. */
		return (cmd_say(cl, cmd,
		    "BADCLASS invalid src or dst class id"));
	}
	if (cmd->nwords < 2 || !word_is(cmd, 0, "automove"))
		return (cmd_say(cl, cmd, "ERROR"));
	if (word_is(cmd, 1, "ratio") || word_is(cmd, 1, "freeratio") ||
	    word_is(cmd, 1, "window"))
		return (cmd_say(cl, cmd, cmd->nwords >= 3 ? "OK" : "ERROR"));
	if (!num_get_u32(cmd->words[1], &level))
		return (cmd_say(cl, cmd,
		    "CLIENT_ERROR bad command line format"));
	return (cmd_say(cl, cmd, level <= 2 ? "OK" : "ERROR"));
}

static bool
admin_stats(struct client *cl, struct command *cmd)
{
	unsigned n = cmd->nwords < COMMAND_WORDS_MAX ? cmd->nwords :
	    COMMAND_WORDS_MAX;

	if (cl->ctx->shared->ops.stats(cl, n, cmd->words))
		return (true);
	return (cmd_say(cl, NULL, "ERROR"));
}

static bool
admin_watch(struct client *cl, struct command *cmd)
{
	unsigned n = cmd->nwords < COMMAND_WORDS_MAX ? cmd->nwords :
	    COMMAND_WORDS_MAX;
	const char *why;

	if (cl->ctx->conf->no_watch)
		return (cmd_say(cl, cmd,
		    "CLIENT_ERROR watch commands not allowed"));
	why = cl->ctx->shared->ops.watch(cl->ctx, cl, n, cmd->words);
	return (cmd_say(cl, NULL, why == NULL ? "OK" : why));
}

static bool
admin_checkpoint(struct client *cl, struct command *cmd)
{
	const char *answer;
	bool good;

	if (cmd->nwords != 2)
		return (cmd_say(cl, cmd, "CLIENT_ERROR bad command line format"));
	answer = parts_checkpoint(cl->ctx, &cl->q, cmd, &good);
	return (answer != NULL ? cmd_say(cl, cmd, answer) : good);
}

static admin_f *const admins[CMD_COUNT] = {
	[CMD_VERSION] = admin_version,
	[CMD_MN] = admin_mn,
	[CMD_VERBOSITY] = admin_verbosity,
	[CMD_FLUSH_ALL] = admin_flush_all,
	[CMD_QUIT] = admin_quit,
	[CMD_SHUTDOWN] = admin_shutdown,
	[CMD_CACHE_MEMLIMIT] = admin_cache_memlimit,
	[CMD_LRU_CRAWLER] = admin_lru_crawler,
	[CMD_LRU] = admin_lru,
	[CMD_SLABS] = admin_slabs,
	[CMD_STATS] = admin_stats,
	[CMD_WATCH] = admin_watch,
	[CMD_CHECKPOINT] = admin_checkpoint,
};

bool
cmd_admin(struct client *cl, struct command *cmd)
{
	admin_f *fn = admins[cmd->id];

	return (fn != NULL ? fn(cl, cmd) : cmd_say(cl, cmd, "ERROR"));
}
