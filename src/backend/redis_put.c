/*
 * redis_put.c - ops into commands.
 *
 * FORMAT_RAW: what any client of Redis would say, where one command says what memcached means; else a script, so that
 * each op is one command and atomic. FORMAT_ITEM: reads are GET and MGET, all else is a script.
 */
#include "config.h"

#include "backend/redis.h"
#include "base/check.h"
#include "base/num.h"

#define WORD_MAX	(1 + NUM_U64_MAXLEN + 2 + 2)	/* "$n\r\n" and "\r\n" around a word */

static char *
put_bytes(char *dst, const char *p, size_t len)
{
	if (len > 0)
		memcpy(dst, p, len);
	return (dst + len);
}

static char *
put_head(char *dst, char type, uint64_t n)
{
	*dst++ = type;
	dst = num_put_u64(dst, n);
	return (put_bytes(dst, "\r\n", 2));
}

static char *
put_word(char *dst, struct slice w)
{
	dst = put_head(dst, '$', w.len);
	dst = put_bytes(dst, w.p, w.len);
	return (put_bytes(dst, "\r\n", 2));
}

size_t
redis_put_words_max(unsigned n, const struct slice *words)
{
	size_t len = WORD_MAX;

	for (unsigned i = 0; i < n; i++)
		len += words[i].len + WORD_MAX;
	return (len);
}

size_t
redis_put_words(char *dst, unsigned n, const struct slice *words)
{
	char *p = put_head(dst, '*', n);

	for (unsigned i = 0; i < n; i++)
		p = put_word(p, words[i]);
	return ((size_t)(p - dst));
}

static char *
put_key(char *start, char *dst, struct slice key, struct redis_cmd *cmd)
{
	dst = put_head(dst, '$', key.len);
	cmd->key_at = (uint32_t)(dst - start);
	cmd->key_len = (uint16_t)key.len;
	dst = put_bytes(dst, key.p, key.len);
	return (put_bytes(dst, "\r\n", 2));
}

/* The op's body behind head, as one word. What is short is copied, the rest follows from where it is. */
static char *
put_body(char *dst, const struct be_op *op, struct slice head, struct redis_cmd *cmd)
{
	dst = put_head(dst, '$', head.len + op->op.vlen);
	dst = put_bytes(dst, head.p, head.len);
	if (op->op.vlen > BE_BODY_COPY_MAX) {
		cmd->rest = op->op.vlen;
		return (dst);
	}
	for (int i = 0; i < op->nbody; i++)
		dst = put_bytes(dst, op->body[i].iov_base, op->body[i].iov_len);
	return (put_bytes(dst, "\r\n", 2));
}

size_t
redis_put_max(const struct be_op *op)
{
	size_t len = 512 + op->op.key.len;

	if (op->op.verb == OP_STORE && op->op.vlen <= BE_BODY_COPY_MAX)
		len += op->op.vlen;
	if (op->keys != NULL)
		len += BE_KEYS_LINE_MAX + op->nkeys * WORD_MAX;
	return (len);
}

const char *
redis_put(char *dst, const struct be_op *op, const struct redis_script_row *scripts, struct redis_cmd *cmd)
{
	char *p = dst;

	(void)scripts;
	*cmd = (struct redis_cmd){ .want = RW_RAW, .script = RS_NONE };
	if (op->op.verb == OP_GET) {
		p = put_head(p, '*', 2);
		p = put_word(p, SLICE_LIT("GET"));
		p = put_key(dst, p, op->op.key, cmd);
		cmd->read = true;
	} else if (op->op.verb == OP_STORE) {
		p = put_head(p, '*', 3);
		p = put_word(p, SLICE_LIT("SET"));
		p = put_key(dst, p, op->op.key, cmd);
		p = put_body(p, op, SLICE_NULL, cmd);
		cmd->want = RW_STORED;
	} else if (op->op.verb == OP_FLUSH) {
		p = put_head(p, '*', 1);
		p = put_word(p, SLICE_LIT("FLUSHDB"));
		cmd->want = RW_FLUSHED;
	} else
		return ("this is not yet possible on Redis");
	cmd->len = (uint32_t)(p - dst);
	return (NULL);
}
