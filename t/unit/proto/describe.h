/*
 * describe.h - a command as a line of text, for tests to compare: all that is valid for its shape and
 * nothing else (see command.h), with the bytes that it borrows copied out.
 */
#ifndef T_PROTO_DESCRIBE_H
#define T_PROTO_DESCRIBE_H

#include <stdarg.h>
#include <stdio.h>

#include "proto/command.h"

#define DESCRIBE_MAX	16384

struct description {
	size_t	 len;
	char	 text[DESCRIBE_MAX];
};

static inline void __attribute__((format(printf, 2, 3)))
describe_add(struct description *d, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(d->text + d->len, sizeof d->text - d->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		d->len += (size_t)n;
	if (d->len >= sizeof d->text)
		d->len = sizeof d->text - 1;
}

static inline void
describe_slice(struct description *d, const char *name, struct slice s)
{
	describe_add(d, " %s=<", name);
	for (size_t i = 0; i < s.len; i++)
		describe_add(d, s.p[i] > ' ' && s.p[i] < 0x7f ? "%c" : "\\%02x", (unsigned char)s.p[i]);
	describe_add(d, ">");
}

static inline void
describe_op(struct description *d, const struct op *op)
{
	/* o: old, that is classic */
	static const char opts[] = "CETNRIxubFo", wants[] = "vcfhlst", order[] = "?tTNR";

	describe_add(d, " verb=%d mode=%d opts=", op->verb, op->mode);
	for (unsigned i = 0; i < sizeof opts - 1; i++)
		if ((op->opts >> i & 1) != 0)
			describe_add(d, "%c", opts[i]);
	describe_add(d, " want=");
	for (unsigned i = 0; i < sizeof wants - 1; i++)
		if ((op->want >> i & 1) != 0)
			describe_add(d, "%c", wants[i]);
	if (op->order != 0)
		describe_add(d, " order=");
	for (unsigned left = op->order; left != 0; left >>= OPO_BITS)
		describe_add(d, "%c", (left & OPO_MASK) < sizeof order - 1 ? order[left & OPO_MASK] : '?');
	describe_add(d, " T%d N%d R%d F%u C%llu E%llu D%llu J%llu vlen=%u", op->ttl, op->vivify_ttl, op->recache_ttl,
	    op->client_flags, (unsigned long long)op->cas, (unsigned long long)op->newcas,
	    (unsigned long long)op->delta, (unsigned long long)op->initial, op->vlen);
	describe_slice(d, "key", op->key);
}

static inline void
describe_keys(struct description *d, const struct command *cmd)
{
	struct slice keys = cmd->keys, key;

	describe_add(d, " nkeys=%u", cmd->nkeys);
	while (command_next_key(&keys, &key))
		describe_slice(d, "key", key);
}

static inline const char *
describe(struct description *d, const struct command *cmd)
{
	d->len = 0;
	describe_add(d, "%s%s%s%s", command_word((enum cmd_id)cmd->id), cmd->quiet ? " quiet" : "",
	    cmd->close ? " close" : "", cmd->has_body ? " body" : "");
	if (cmd->id == CMD_BAD) {
		describe_add(d, " %s swallow=%llu", cmd->error, (unsigned long long)cmd->swallow);
		return (d->text);
	}
	switch ((enum cmd_shape)cmd->shape) {
	case SHAPE_KEYS:
	case SHAPE_TOUCHKEYS:
		describe_op(d, &cmd->op);
		describe_keys(d, cmd);
		break;
	case SHAPE_STORE:
	case SHAPE_KEY:
		describe_op(d, &cmd->op);
		break;
	case SHAPE_META:
	case SHAPE_MSET:
		describe_op(d, &cmd->op);
		describe_add(d, " answer=%.*s", cmd->nrflags, cmd->rflags);
		describe_slice(d, "O", cmd->opaque);
		describe_slice(d, "P", cmd->nonce.len > 0 ? slice_of(cmd->nonce.p + 1, cmd->nonce.len - 1) : cmd->nonce);
		describe_slice(d, "L", cmd->space);
		break;
	case SHAPE_WORDS:
		describe_add(d, " nwords=%u", cmd->nwords);
		for (unsigned i = 0; i < cmd->nwords && i < COMMAND_WORDS_MAX; i++)
			describe_slice(d, "word", cmd->words[i]);
		break;
	case SHAPE_RECORD:
		describe_slice(d, "line", cmd->line);
		break;
	}
	return (d->text);
}

#endif
