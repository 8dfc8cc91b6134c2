/*
 * memcached_reply.c - what memcacheds answer.
 *
 * One read(2) a wake into the loop's shared buffer; each reply belongs to the oldest slot and must fit it (verb,
 * opaque, a classic value's key, the bytes behind a value), else the connection is given up: after one wrong
 * answer all that follow would be handed to the wrong clients. A large value goes straight into the sink's
 * memory, with the shared buffer behind it for the replies that follow.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "backend/memcached.h"
#include "base/check.h"
#include "base/num.h"
#include "obs/log.h"

#define SINK_IOVS	16
#define READS_MAX	4		/* per wake; others want their turn */

static void
mc_rubbish(struct mc_conn *c, const char *what, const char *p, size_t len)
{
	struct mc *mc = c->mc;

	be_log_rubbish(mc->loop, &mc->log_next, mc->server->name, what, p, len);
	mc_conn_lost(c, ERR_PROTOCOL, NULL);
}

/* ---- version ---- */

/* Meta replies look as they do today from 1.6.10 on; before, classic says all. */
static enum upstream_dialect
mc_dialect_of(struct slice version)
{
	uint64_t part[3] = { 0, 0, 0 };
	const char *p = version.p, *end = p + version.len;

	for (unsigned i = 0; i < NITEMS(part); i++) {
		const char *from = p;

		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (!num_get_u64(slice_of(from, (size_t)(p - from)), &part[i]))
			break;
		if (p == end || *p != '.')
			break;
		p++;
	}
	if (part[0] != 1)
		return (part[0] > 1 ? UPSTREAM_META : UPSTREAM_CLASSIC);
	if (part[1] != 6)
		return (part[1] > 6 ? UPSTREAM_META : UPSTREAM_CLASSIC);
	return (part[2] >= 10 ? UPSTREAM_META : UPSTREAM_CLASSIC);
}

/* Most likely "ERROR Too many open connections". */
static void
mc_refused(struct mc_conn *c, struct slice line)
{
	char text[100];

	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.p[i] < ' ' || line.p[i] == 0x7f)
			line.len = i;
	snprintf(text, sizeof text, "it says %.*s",
	    line.len < 80 ? (int)line.len : 80, line.p);
	mc_conn_lost(c, ERR_CONNECT, text);
}

/* One line of a greeting without its end; empty if it is too long. As mc_hello(). */
static ssize_t
mc_line(const char *p, size_t len, struct slice *line)
{
	const char *nl = memchr(p, '\n', len);

	if (nl == NULL && len < UPSTREAM_REPLY_MAX)
		return (0);
	*line = slice_of(p, nl == NULL ? 0 : (size_t)(nl - p));
	if (line->len > 0 && line->p[line->len - 1] == '\r')
		line->len--;
	return (nl == NULL ? (ssize_t)len : nl + 1 - p);
}

/* The answer to `version`. Bytes taken, 0: more is needed, -1: the connection is gone. */
static ssize_t
mc_hello(struct mc_conn *c, const char *p, size_t len)
{
	int protocol = c->mc->store->protocol;
	struct slice line;
	ssize_t n = mc_line(p, len, &line);

	if (n == 0)
		return (0);
	if (slice_has_prefix(line, SLICE_LIT("ERROR ")) ||
	    slice_has_prefix(line, SLICE_LIT("SERVER_ERROR "))) {
		mc_refused(c, line);
		return (-1);
	}
	if (!slice_has_prefix(line, SLICE_LIT("VERSION "))) {
		mc_rubbish(c, "not an answer to version", p, len);
		return (-1);
	}
	line = slice_of(line.p + 8, line.len - 8);
	if (protocol == 0)
		mc_conn_greeted(c, mc_dialect_of(line));
	else
		mc_conn_greeted(c, protocol == 1 ? UPSTREAM_CLASSIC : UPSTREAM_META);
	return (n);
}

/* The answer to `flush_all`. */
static ssize_t
mc_flushed(struct mc_conn *c, const char *p, size_t len)
{
	struct slice line;
	ssize_t n = mc_line(p, len, &line);

	if (n == 0)
		return (0);
	if (!slice_eq(line, SLICE_LIT("OK"))) {
		mc_refused(c, line);
		return (-1);
	}
	mc_conn_ready(c);
	return (n);
}

/* ---- replies ---- */

/* Takes the oldest slot; its op, NULL when nobody waits any more. */
static struct be_op *
mc_pop(struct mc_conn *c)
{
	struct mc_slot *s = mc_slot(c, c->head);
	struct be_op *op = s->op;

	if (UNLIKELY(!health_calm(&c->mc->health)))
		mc_answered(c->mc, s);
	c->head++;
	c->n--;
	return (op);
}

static void
mc_end(struct be_op *op)
{
	struct mc_body *b;

	if (op == NULL)
		return;
	op->state = MC_OP_ENDING;
	b = op->priv;
	if (LIKELY(b == NULL)) {
		be_op_end(op);
		return;
	}
	/* Answered before the whole body was sent: the caller's memory is still needed. */
	b->over = true;
	if (op->res.error.len > 0) {
		memcpy(b->text, op->res.error.p, op->res.error.len);
		op->res.error.p = b->text;
	}
}

/* Whether the value is to be given to anybody; what nobody wants is read and dropped. */
static bool
mc_wants_value(const struct be_op *op)
{
	return (op != NULL && op->err == ERR_NONE &&
	    (op->op.want & OPW_VALUE) != 0);
}

static void
mc_no_memory(struct be_op *op)
{
	op->err = ERR_NOMEM;
	op->why = err_text(ERR_NOMEM);
}

/* Gives n bytes of the value, from offset off on, to the op's sink. */
static void
mc_sink_copy(struct be_op *op, uint32_t off, const char *p, size_t n)
{
	struct iovec iov[SINK_IOVS];

	while (n > 0) {
		int niov = op->sink->iov(op, &op->res, off, iov, SINK_IOVS);

		if (niov == 0) {
			mc_no_memory(op);
			return;
		}
		for (int i = 0; i < niov && n > 0; i++) {
			size_t m = iov[i].iov_len < n ? iov[i].iov_len : n;

			memcpy(iov[i].iov_base, p, m);
			p += m;
			n -= m;
			off += (uint32_t)m;
		}
	}
}

/* The value of the head's op is too large to wait for: what is here goes to its sink now. Returns the bytes taken. */
static size_t
mc_value_begin(struct mc_conn *c, const struct op_result *res, const char *p,
    size_t len, size_t tail)
{
	struct be_op *op = mc_slot(c, c->head)->op;
	size_t n = len < res->size ? len : res->size;

	c->value_left = res->size - (uint32_t)n;
	c->value_tail = (uint8_t)tail;
	if (!mc_wants_value(op))
		return (n);
	if (op->sink == NULL)
		mc_no_memory(op);
	else
		mc_sink_copy(op, 0, p, n);
	return (n);
}

/* A key of many was there; text: its reply, value: where in it the value begins. */
static void
mc_found(struct be_op *op, struct slice text, size_t value)
{
	if (op == NULL)
		return;
	if (op->err == ERR_NONE) {
		op->text = text;
		op->data = text.p == NULL ? text :
		    slice_of(text.p + value, op->res.size);
		op->found(op);
	}
	op->at++;
}

/* The bytes behind a value that went to the sink. As mc_hello(). */
static ssize_t
mc_value_end(struct mc_conn *c, const char *p, size_t len)
{
	struct mc_slot *s = mc_slot(c, c->head);
	size_t tail = c->value_tail;

	if (len < tail)
		return (0);
	if (!upstream_tail_ok(p, &s->expect)) {
		mc_rubbish(c, "not the end of a value", p, len);
		return (-1);
	}
	c->value_tail = 0;
	if (s->op != NULL && s->op->keys != NULL)
		mc_found(s->op, SLICE_NULL, 0);
	else if (!s->expect.keys)
		mc_end(mc_pop(c));
	return ((ssize_t)tail);
}

/* Whether key is one of those still to come; those before it are not there. */
static bool
mc_key_awaited(struct be_op *op, struct slice key)
{
	if (op == NULL)
		return (true);		/* gone, and its keys with it */
	while (op->at < op->nkeys && !slice_eq(op->keys[op->at], key))
		op->at++;
	return (op->at < op->nkeys);
}

static enum upstream_rc
mc_parse(struct mc_slot *s, const char *p, size_t len, struct op_result *res,
    size_t *used, size_t *tail)
{
	struct be_op *op = s->op;
	enum upstream_rc rc;
	struct slice key;

	if (LIKELY(!s->expect.keys))
		return (upstream_parse(p, len, &s->expect, res, used, tail));
	key = op != NULL && op->at < op->nkeys ? op->keys[op->at] : SLICE_NULL;
	rc = upstream_parse_keys(p, len, &s->expect, res, &key, used, tail);
	return (rc != UPSTREAM_VALUE || mc_key_awaited(op, key) ? rc :
	    UPSTREAM_BAD);
}

/* One reply, or one value of several, at p. As mc_hello(). */
static ssize_t
mc_reply(struct mc_conn *c, const char *p, size_t len)
{
	struct mc_slot *s = mc_slot(c, c->head);
	struct op_result unwanted, *res = s->op != NULL ? &s->op->res : &unwanted;
	struct be_op *op;
	size_t used, tail;

	switch (mc_parse(s, p, len, res, &used, &tail)) {
	case UPSTREAM_DONE:
		mc_end(mc_pop(c));
		return ((ssize_t)used);
	case UPSTREAM_MORE:
		return (0);
	case UPSTREAM_VALUE:
		break;
	default:
		mc_rubbish(c, "not an answer to what was asked", p, len);
		return (-1);
	}
	if (len - used < res->size + tail) {
		if (used + res->size + tail <= MC_HOLD)
			return (0);
		return ((ssize_t)(used + mc_value_begin(c, res, p + used,
		    len - used, tail)));
	}
	if (!upstream_tail_ok(p + used + res->size, &s->expect)) {
		mc_rubbish(c, "not the end of a value", p + used + res->size,
		    len - used - res->size);
		return (-1);
	}
	if (s->expect.keys) {
		/* Many small ones are as much work as a large one. */
		mc_moved(c, res->size);
		mc_found(s->op, slice_of(p, used + res->size + tail), used);
		return ((ssize_t)(used + res->size + tail));
	}
	used += res->size + tail;
	op = mc_pop(c);
	if (mc_wants_value(op))
		op->data = slice_of(p + used - tail - res->size, res->size);
	mc_end(op);
	return ((ssize_t)used);
}

/* Takes what is whole and holds the rest. False: the connection is gone. */
static bool
mc_consume(struct mc_conn *c, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0 && c->value_left == 0) {
		if (UNLIKELY(c->state != MC_READY))
			n = c->state == MC_HELLO ? mc_hello(c, p, len) :
			    mc_flushed(c, p, len);
		else if (UNLIKELY(c->n == 0)) {
			mc_rubbish(c, "bytes that nobody asked for", p, len);
			return (false);
		} else if (UNLIKELY(c->value_tail > 0))
			n = mc_value_end(c, p, len);
		else
			n = mc_reply(c, p, len);
		if (n < 0)
			return (false);
		if (n == 0)
			break;
		p += n;
		len -= (size_t)n;
	}
	MUST(len <= MC_HOLD);
	if (len > 0)
		memcpy(c->hold, p, len);
	c->hold_len = len;
	return (true);
}

/* ---- reading ---- */

/* Where the next bytes go: first the value's memory, if there is any, then the shared buffer. */
static int
mc_read_iov(struct mc_conn *c, struct iovec *iov, size_t *direct)
{
	char *rbuf = c->mc->be.bl->rbuf;
	struct be_op *op;
	int n = 0;

	*direct = 0;
	if (UNLIKELY(c->value_left > 0)) {
		op = mc_slot(c, c->head)->op;
		if (mc_wants_value(op)) {
			n = op->sink->iov(op, &op->res,
			    op->res.size - c->value_left, iov, SINK_IOVS);
			if (n == 0)
				mc_no_memory(op);
		}
		for (int i = 0; i < n; i++) {
			MUST(iov[i].iov_len <= c->value_left - *direct);
			*direct += iov[i].iov_len;
		}
	}
	/* Held bytes stand before the new ones. */
	if (c->hold_len > 0)
		memcpy(rbuf, c->hold, c->hold_len);
	/* A value in more pieces than that: nothing may be read past the last one given. */
	if (*direct > 0 && *direct < c->value_left)
		return (n);
	iov[n].iov_base = rbuf + c->hold_len;
	iov[n].iov_len = BE_RBUF - c->hold_len;
	return (n + 1);
}

/* got bytes are where mc_read_iov() said. False: the connection is gone. */
static bool
mc_took(struct mc_conn *c, size_t got, size_t direct)
{
	const char *p = c->mc->be.bl->rbuf;
	size_t n;

	if (UNLIKELY(c->value_left > 0)) {
		mc_moved(c, got);
		n = direct > 0 ? direct : c->value_left;
		if (n > got)
			n = got;
		c->value_left -= (uint32_t)n;
		if (direct == 0)
			p += n;
		got -= n;
	} else
		got += c->hold_len;
	c->hold_len = 0;
	return (got == 0 || mc_consume(c, p, got));
}

/* False: the connection is gone. */
static bool
mc_read_all(struct mc_conn *c, int fd)
{
	struct iovec iov[SINK_IOVS + 1];

	for (int round = 0; round < READS_MAX; round++) {
		size_t direct, room = 0;
		int n = mc_read_iov(c, iov, &direct);
		ssize_t got;

		for (int i = 0; i < n; i++)
			room += iov[i].iov_len;
		got = n == 1 ? recv(fd, iov[0].iov_base, iov[0].iov_len, 0) :
		    readv(fd, iov, n);
		if (got < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return (true);
			mc_conn_lost(c, ERR_RESET, errno == ECONNRESET ?
			    NULL : strerror(errno));
			return (false);
		}
		if (got == 0) {
			mc_conn_lost(c, ERR_CLOSED, NULL);
			return (false);
		}
		be_stat_add(&c->mc->be.stats.bytes_in, (uint64_t)got);
		c->burst = false;
		if (!mc_took(c, (size_t)got, direct))
			return (false);
		if ((size_t)got < room)
			return (true);
	}
	return (true);
}

void
mc_conn_read(int fd, void *arg)
{
	struct mc_conn *c = arg;

	if (mc_read_all(c, fd) && UNLIKELY(c->n == 0) &&
	    c->mc->health.state == HEALTH_DOWN && c->state == MC_READY) {
		/* The last answer of a server that gets no more requests for now. */
		mc_conn_shut(c);
		mc_probe(c->mc);
	}
}
