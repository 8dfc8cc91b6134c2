/*
 * answer.c - outcomes into output queues.
 *
 * Values up to VALUE_COPY_MAX are copied behind their line: at that size a memcpy from memory that the kernel
 * would have to touch anyway costs less than a pin, a chunk and two iovecs.
 */
#include "config.h"

#include "base/check.h"
#include "proto/reply.h"
#include "req/answer.h"

_Static_assert(REPLY_LINE_MAX + VALUE_COPY_MAX + 2 <= OUTQ_RESERVE_MAX,
    "a line and a copied value fit in one reservation");

static inline char *
put_line(char *p, const struct command *cmd, const struct op_result *res)
{
	switch (cmd->shape) {
	case SHAPE_META:
	case SHAPE_MSET:
		return (reply_meta_line(p, cmd, res));
	case SHAPE_KEYS:
	case SHAPE_TOUCHKEYS:
		if (res->status == OP_MISS)
			return (p);
		if (res->status != OP_OK)
			return (reply_classic_line(p, cmd, res));
		return (reply_value_line(p, cmd->op.key, res,
		    (cmd->op.want & OPW_CAS) != 0));
	default:
		return (reply_classic_line(p, cmd, res));
	}
}

/* Longest line for this command's key: numbers, flags, an opaque, me's text. Keeps short answers in short blocks. */
static inline size_t
line_max(const struct command *cmd)
{
	return (REPLY_LINE_MAX - 2 * OP_KEY_MAX + 2 * cmd->op.key.len);
}

static inline char *
put_crlf(char *p)
{
	p[0] = '\r';
	p[1] = '\n';
	return (p + 2);
}

bool
answer_line(struct outq *out, const struct command *cmd,
    const struct op_result *res)
{
	char *p = outq_reserve(out, line_max(cmd));

	if (UNLIKELY(p == NULL))
		return (false);
	outq_commit(out, (size_t)(put_line(p, cmd, res) - p));
	return (true);
}

static char *
put_pieces(char *p, const struct cache *c, const struct item *it)
{
	struct iovec iov[4];
	uint32_t len = item_vlen(it), off = 0;

	while (off < len) {
		int n = cache_value_iov(c, it, off, iov, 4);

		MUST(n > 0);
		for (int i = 0; i < n; i++) {
			memcpy(p, iov[i].iov_base, iov[i].iov_len);
			p += iov[i].iov_len;
			off += (uint32_t)iov[i].iov_len;
		}
	}
	return (p);
}

static bool
answer_item_pinned(struct ctx *ctx, struct outq *out,
    const struct command *cmd, const struct op_result *res,
    struct cache_shard *s, struct item *it)
{
	struct value *v;
	bool good;

	cache_pin(s, it);
	v = value_of_pinned(ctx, it);
	cache_unlock(s);
	if (v == NULL) {
		cache_unpin(ctx->cache, it);
		return (false);
	}
	good = answer_value(out, cmd, res, v);
	value_unref(v);
	return (good);
}

bool
answer_item(struct ctx *ctx, struct outq *out, const struct command *cmd,
    const struct op_result *res, struct cache_shard *s, struct item *it)
{
	uint32_t len;
	const char *val;
	char *p, *e;

	if (!reply_sends_value(cmd, res)) {
		cache_unlock(s);
		return (answer_line(out, cmd, res));
	}
	len = item_vlen(it);
	if (len > VALUE_COPY_MAX)
		return (answer_item_pinned(ctx, out, cmd, res, s, it));
	p = outq_reserve(out, line_max(cmd) + len + 2);
	if (UNLIKELY(p == NULL)) {
		cache_unlock(s);
		return (false);
	}
	e = put_line(p, cmd, res);
	val = item_value(it);
	if (LIKELY(val != NULL)) {
		memcpy(e, val, len);
		e += len;
	} else
		e = put_pieces(e, ctx->cache, it);
	cache_unlock(s);
	outq_commit(out, (size_t)(put_crlf(e) - p));
	return (true);
}

bool
answer_data(struct outq *out, const struct command *cmd,
    const struct op_result *res, struct slice value)
{
	bool small = value.len <= VALUE_COPY_MAX;
	char *p = outq_reserve(out, line_max(cmd) +
	    (small ? value.len + 2 : 0));
	char *e;

	if (p == NULL)
		return (false);
	e = put_line(p, cmd, res);
	if (small) {
		memcpy(e, value.p, value.len);
		e = put_crlf(e + value.len);
	}
	outq_commit(out, (size_t)(e - p));
	return (small || (outq_append(out, value.p, value.len) &&
	    outq_append(out, "\r\n", 2)));
}

bool
answer_value(struct outq *out, const struct command *cmd,
    const struct op_result *res, struct value *v)
{
	return (answer_line(out, cmd, res) && value_send(v, out) &&
	    outq_append(out, "\r\n", 2));
}

bool
answer_text(struct outq *out, const char *text)
{
	return (outq_append(out, text, strlen(text)) &&
	    outq_append(out, "\r\n", 2));
}

bool
answer_server_error(struct outq *out, const char *text)
{
	return (outq_append(out, "SERVER_ERROR ", 13) &&
	    answer_text(out, text));
}
