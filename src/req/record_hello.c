/*
 * record_hello.c - kh: what a namespace promises and takes, and what its client can read.
 *
 * Times in microseconds, sizes in bytes. Nothing is kept but the codecs; the next handshake tells what a reload has
 * changed.
 */
#include "config.h"

#include <stdio.h>

#include "backend/record.h"
#include "proto/record.h"
#include "proto/record_reply.h"
#include "req/record.h"
#include "req/record_internal.h"

#define VALUE_MAX	40

static bool
say_text(struct outq *out, const char *name, const char *value)
{
	char line[RECORD_REPLY_MAX];

	return (outq_append(out, line, (size_t)(record_reply_signal(line, name, slice_str(value)) - line)));
}

static bool
say_number(struct outq *out, const char *name, uint64_t value)
{
	char line[RECORD_REPLY_MAX];

	return (outq_append(out, line, (size_t)(record_reply_number(line, name, value) - line)));
}

static bool
say_limits(struct outq *out, const struct conf_ns *ns)
{
	const struct {
		const char *name;
		uint64_t value;
	} limits[] = {
		{ "slo_read_target_us", ns->slo_read.target },
		{ "slo_read_max_us", ns->slo_read.max },
		{ "slo_write_target_us", ns->slo_write.target },
		{ "slo_write_max_us", ns->slo_write.max },
		{ "page_bytes", ns->page_bytes },
		{ "page_bytes_max", ns->page_bytes_max },
		{ "chunk_size", ns->chunk_size },
		{ "item_size_max", ns->item_size_max },
		{ "item_key_max", RECORD_ITEM_KEY_MAX },
		{ "id_max", OP_KEY_MAX },
		{ "keys_max", RECORD_KEYS_MAX },
		{ "put_items_max", RECORD_PUTS_MAX },
		{ "mutate_max", RECORD_SUBS_MAX },
	};

	for (size_t i = 0; i < NITEMS(limits); i++)
		if (!say_number(out, limits[i].name, limits[i].value))
			return (false);
	return (true);
}

static bool
say_hedge(struct outq *out, const struct conf_ns *ns)
{
	char percent[VALUE_MAX];
	bool good;

	if (ns->hedge == HEDGE_AFTER)
		good = say_number(out, "hedge", ns->hedge_after);
	else
		good = say_text(out, "hedge", ns->hedge == HEDGE_AUTO ? "auto" : "off");
	if (ns->hedge_budget % 10 == 0)
		snprintf(percent, sizeof percent, "%u", ns->hedge_budget / 10);
	else
		snprintf(percent, sizeof percent, "%u.%u", ns->hedge_budget / 10, ns->hedge_budget % 10);
	return (good && say_text(out, "hedge_budget_percent", percent));
}

static bool
say_all(struct outq *out, const struct space *sp, const struct record_cmd *cmd)
{
	const struct conf_ns *ns = sp->conf;
	char line[RECORD_REPLY_MAX];

	return (say_text(out, "namespace", ns->name) && say_text(out, "prefix", ns->prefix) &&
	    say_text(out, "item_separator", ns->separator != NULL ? ns->separator : "") && say_limits(out, ns) &&
	    say_text(out, "codecs", record_codec_word(ns->codec == CONF_CODEC_ZSTD ? CODEC_ZSTD : CODEC_NONE)) &&
	    say_number(out, "token_drift_ahead_us", ns->drift_ahead) &&
	    say_number(out, "token_drift_behind_us", ns->drift_behind) && say_hedge(out, ns) &&
	    say_number(out, "atomic_across_records", (sp->pool->ops->caps & BE_CAP_BATCH) != 0) &&
	    outq_append(out, line, (size_t)(record_reply_signals_end(line, cmd) - line)));
}

bool
record_hello(struct client *cl, struct record_cmd *cmd)
{
	struct outq *out = replyq_out(cl->ctx, &cl->q);
	char why[RECORD_WHY_MAX];
	const struct space *sp;
	bool good;

	sp = record_space(cl->ctx, cmd->key.len > 0 ? cmd->key : SLICE_NULL, SLICE_LIT(""), why);
	if (sp == NULL)
		good = record_say(cl, why);
	else {
		if ((cmd->flags & RF_CODECS) != 0)
			cl->codecs = cmd->codecs;
		good = out != NULL && say_all(out, sp, cmd);
	}
	record_cmd_end(cmd);
	return (good);
}
