/*
 * record_text.h - for tests of the record commands: what was parsed, as text.
 *
 * Names are shown with what cannot be read as \xx.
 */
#ifndef T_PROTO_RECORD_TEXT_H
#define T_PROTO_RECORD_TEXT_H

#include <stdlib.h>

#include "describe.h"
#include "proto/record.h"

static inline void
describe_record_flags(struct description *d, uint32_t flags)
{
	static const char letters[] = "bKGUHrBMXDNSEPLZaqc";

	describe_add(d, " ");
	for (unsigned i = 0; i < sizeof letters - 1; i++)
		if ((flags >> i & 1) != 0)
			describe_add(d, "%c", letters[i]);
}

/* What of a command does not depend on where it is. Numbers only where they are valid. */
static inline const char *
describe_record(struct description *d, const struct record_cmd *cmd)
{
	if (cmd->error != NULL) {
		describe_add(d, "%s", cmd->error);
		if (cmd->has_count)
			describe_add(d, " count=%u", cmd->count);
		return (d->text);
	}
	describe_add(d, "%s", command_word((enum cmd_id)cmd->id));
	describe_record_flags(d, cmd->flags);
	describe_slice(d, "id", cmd->key);
	if (cmd->has_count)
		describe_add(d, " count=%u", cmd->count);
	for (uint32_t i = 0; i < cmd->nkeys; i++)
		describe_slice(d, "K", cmd->keys[i]);
	if ((cmd->flags & RF_FROM) != 0)
		describe_slice(d, "G", cmd->from);
	if ((cmd->flags & RF_UNTIL) != 0)
		describe_slice(d, "U", cmd->until);
	if ((cmd->flags & RF_HEAD) != 0)
		describe_slice(d, "H", cmd->head);
	if ((cmd->flags & (RF_BYTES | RF_ITEMS | RF_VALUE_MAX | RF_DEADLINE)) != 0)
		describe_add(d, " B%llu M%llu X%llu D%llu", (unsigned long long)cmd->bytes,
		    (unsigned long long)cmd->items, (unsigned long long)cmd->value_max,
		    (unsigned long long)cmd->deadline);
	if ((cmd->flags & RF_TOKEN) != 0)
		describe_slice(d, "N", cmd->token);
	if ((cmd->flags & RF_PART) != 0)
		describe_add(d, " S%u/%u", cmd->part, cmd->parts);
	if ((cmd->flags & RF_TIME) != 0)
		describe_add(d, " E%llu", (unsigned long long)cmd->time);
	if ((cmd->flags & RF_NONCE) != 0) {
		describe_add(d, " P");
		for (unsigned i = 0; i < NONCE_LEN; i++)
			describe_add(d, "%02x", cmd->nonce[i]);
	}
	if ((cmd->flags & RF_SPACE) != 0)
		describe_slice(d, "L", cmd->space);
	if ((cmd->flags & RF_CODECS) != 0)
		describe_add(d, " Z%x", cmd->codecs);
	if (cmd->nreturns > 0)
		describe_add(d, " returns=%.*s", cmd->nreturns, cmd->returns);
	if (cmd->opaque.len > 0)
		describe_slice(d, "O", cmd->opaque);
	return (d->text);
}

/* A body that is over. */
static inline const char *
describe_record_body(struct description *d, const struct record_body *b)
{
	if (b->error != NULL) {
		describe_add(d, "%s%s", b->error, b->close ? " close" : "");
		return (d->text);
	}
	for (uint32_t i = 0; i < b->nsubs; i++) {
		const struct record_sub *sub = &b->subs[i];

		describe_add(d, "%s", i > 0 ? "; " : "");
		describe_record(d, &sub->cmd);
		for (uint32_t n = 0; n < sub->nitems; n++) {
			const struct record_item *it = &sub->items[n];

			describe_slice(d, "item", it->key);
			describe_add(d, " F%u T%d Z%u", it->client_flags, it->ttl, it->codec);
			if (it->data.len <= 32)
				describe_slice(d, "data", it->data);
			else
				describe_add(d, " data=%zu", it->data.len);
		}
	}
	return (d->text);
}

#endif
