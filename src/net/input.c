/*
 * input.c - cuts what a client sent into commands, batch by batch, and runs them.
 *
 * Commands are parsed in place, in the worker's buffer. What is left over (a line cut off, commands that have to
 * wait) moves to the connection's own buffer, which exists only meanwhile.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/conn.h"
#include "net/input.h"
#include "net/worker.h"
#include "obs/log.h"

#define LINE_MAX_BYTES		2048
#define MULTIGET_MAX_BYTES	(1024 * 1024)
#define FLUSH_AT		(128 * 1024)	/* of answers within a batch: send before more pile up */

static const struct parse_limits limits = {
	.line_max = LINE_MAX_BYTES,
	.multiget_max = MULTIGET_MAX_BYTES,
};

/* Keeps buf[0..len) for later. False: out of memory. */
static bool
input_keep(struct conn *c, const char *buf, size_t len)
{
	if (len == 0) {
		free(c->rbuf);
		c->rbuf = NULL;
		c->rlen = c->rcap = 0;
		return (true);
	}
	if (len > c->rcap) {
		char *more;

		/* Then buf is not rbuf: what is left over only shrinks. */
		more = realloc(c->rbuf, len);
		if (more == NULL)
			return (false);
		c->rbuf = more;
		c->rcap = (uint32_t)len;
	}
	memmove(c->rbuf, buf, len);
	c->rlen = (uint32_t)len;
	return (true);
}

char *
input_space(struct conn *c, size_t *room)
{
	struct worker *w = c->worker;

	if (c->rlen <= WORKER_BUF / 2) {
		if (c->rlen > 0)
			memcpy(w->buf, c->rbuf, c->rlen);
		*room = WORKER_BUF - c->rlen;
		return (w->buf + c->rlen);
	}
	/* A long get line grows in place. */
	if (c->rcap - c->rlen < WORKER_BUF / 2) {
		char *more = realloc(c->rbuf, (size_t)c->rcap * 2);

		if (more == NULL)
			return (NULL);
		c->rbuf = more;
		c->rcap *= 2;
	}
	*room = c->rcap - c->rlen;
	return (c->rbuf + c->rlen);
}

static void
input_close(struct conn *c, enum parse_close why)
{
	static const char *const text[] = {
		[PARSE_CLOSE_NONE] = "nothing",
		[PARSE_CLOSE_LONG_LINE] = "a line that is too long",
		[PARSE_CLOSE_HTTP] = "an HTTP request",
		[PARSE_CLOSE_BINARY] = ("the binary protocol, which is not "
		    "spoken here: set the client to the text protocol"),
	};

	if (why == PARSE_CLOSE_BINARY)
		log_warn("client %d sent %s", c->fd, text[why]);
	else
		log_info("client %d sent %s", c->fd, text[why]);
	c->refused = true;
	c->cl.close = true;
}

/* Takes what there is of a body; returns the bytes used. */
static size_t
input_body_copy(struct conn *c, const char *buf, size_t len)
{
	struct iovec iov[4];
	size_t used = 0;

	while (c->body != NULL && used < len) {
		int n = input_body_iov(c, iov, 4);
		size_t got = 0;

		for (int i = 0; i < n && used < len; i++) {
			size_t m = iov[i].iov_len;

			if (m > len - used)
				m = len - used;
			memcpy(iov[i].iov_base, buf + used, m);
			used += m;
			got += m;
		}
		input_body_read(c, got, 0);
	}
	return (used);
}

int
input_body_iov(struct conn *c, struct iovec *iov, int max)
{
	uint32_t vlen = c->body->cmd.op.vlen;
	uint32_t crlf = c->body_off > vlen ? c->body_off - vlen : 0;
	size_t sum = 0;
	int n = 0;

	if (c->body_off < vlen) {
		n = cmd_body_iov(c->body, c->body_off, iov, max - 1);
		for (int i = 0; i < n; i++)
			sum += iov[i].iov_len;
		if (sum < vlen - c->body_off)
			return (n);
	}
	iov[n].iov_base = c->body_crlf + crlf;
	iov[n].iov_len = 2 - crlf;
	return (n + 1);
}

size_t
input_body_left(const struct conn *c)
{
	return ((size_t)c->body->cmd.op.vlen + 2 - c->body_off);
}

/* Counts n bytes of body; ends it when whole. */
static void
input_body_got(struct conn *c, size_t n)
{
	struct req *r = c->body;

	c->body_off += (uint32_t)n;
	if (input_body_left(c) > 0)
		return;
	c->body = NULL;
	cmd_body_end(&c->cl, r, c->body_crlf[0] == '\r' &&
	    c->body_crlf[1] == '\n');
}

static void input_take(struct conn *, char *buf, size_t len);

void
input_body_read(struct conn *c, size_t n, size_t extra)
{
	c->worker->ctx->cfd = c->fd;
	input_body_got(c, n);
	if (extra > 0)
		input_take(c, c->worker->buf, extra);
}

/* A command that stores and whose body is not all there. */
static void
input_body_start(struct conn *c, struct command *cmd)
{
	c->body = cmd_body_begin(&c->cl, cmd);
	c->body_off = 0;
	if (c->body == NULL)
		c->swallow = (uint64_t)cmd->op.vlen + 2;
}

struct batch {
	unsigned	 n;
	size_t		 used;		/* bytes of the commands and bodies in it */
	size_t		 start[WORKER_JOBS];	/* where each command's line begins */
	bool		 more;		/* nothing more can be parsed without more bytes */
	bool		 body;		/* the last one's body is not all there */
	bool		 record;	/* the last one has a body of items */
	enum parse_close close;
};

/* Parses up to max commands. */
static void
input_parse(struct conn *c, char *buf, size_t len, unsigned max,
    struct batch *b)
{
	struct job *jobs = c->worker->jobs;
	size_t off = 0, used;

	b->n = 0;
	b->more = b->body = b->record = false;
	b->close = PARSE_CLOSE_NONE;
	if (max > WORKER_JOBS)
		max = WORKER_JOBS;
	while (b->n < max && off < len && !b->body) {
		struct job *j = &jobs[b->n];
		enum parse_rc rc;

		j->hot = proto_hot(buf + off, len - off, &j->cmd.op.key, &used);
		if (LIKELY(j->hot != HOT_NONE)) {
			j->cmd.id = CMD_GET;
			j->body = slice_of(buf + off, used);
			b->start[b->n++] = off;
			off += used;
			continue;
		}
		rc = proto_parse(buf + off, len - off, &limits, &j->cmd, &used,
		    &b->close);
		if (rc != PARSE_DONE) {
			b->more = rc == PARSE_MORE;
			break;
		}
		b->start[b->n++] = off;
		off += used;
		j->bad_chunk = false;
		if (UNLIKELY(j->cmd.id == CMD_BAD)) {
			if (j->cmd.swallow == 0)
				continue;
			break;
		}
		if (j->cmd.shape >= SHAPE_WORDS) {
			b->record = j->cmd.id == CMD_KP || j->cmd.id == CMD_KM;
			if (j->cmd.shape == SHAPE_WORDS || b->record)
				break;
			continue;
		}
		if (!j->cmd.has_body)
			continue;
		if (len - off < (size_t)j->cmd.op.vlen + 2) {
			b->body = true;
			break;
		}
		j->body = slice_of(buf + off, j->cmd.op.vlen);
		off += j->cmd.op.vlen;
		j->bad_chunk = buf[off] != '\r' || buf[off + 1] != '\n';
		off += 2;
	}
	b->used = off;
}

static void
input_trace(const struct conn *c, const struct job *j)
{
	struct slice line = j->hot != HOT_NONE ? j->body : j->cmd.line;

	while (line.len > 0 && (line.p[line.len - 1] == '\n' || line.p[line.len - 1] == '\r'))
		line.len--;
	log_debug("<%d %.*s", c->fd, (int)line.len, line.p);
}

/* Runs a batch; returns the bytes that are done with. */
static size_t
input_run(struct conn *c, struct batch *b)
{
	struct job *jobs = c->worker->jobs;
	unsigned n = b->body || b->record ? b->n - 1 : b->n;
	struct client *cl = &c->cl;

	cmd_prepare(cl->ctx, jobs, b->n);
	for (unsigned i = 0; i < n; i++) {
		if (UNLIKELY(outq_len(&cl->out) + replyq_parked(&cl->q) >
		    FLUSH_AT || cl->q.nwaiting >= cl->q.window)) {
			if (!conn_flush(c)) {
				cl->q.broken = true;
				return (b->used);
			}
			conn_mind_full(c);
			if (c->stalled)
				return (b->start[i]);
		}
		if (UNLIKELY(log_verbosity() > 1))
			input_trace(c, &jobs[i]);
		cmd_run(cl, &jobs[i]);
		if (UNLIKELY(cl->q.broken || cl->close))
			return (b->used);
		/* An answer that goes out bit by bit: what follows waits. */
		if (UNLIKELY(cl->produce != NULL) && i + 1 < b->n)
			return (b->start[i + 1]);
	}
	if (b->body)
		input_body_start(c, &jobs[n].cmd);
	else if (UNLIKELY(b->record))
		c->record = cmd_record_begin(cl, &jobs[n].cmd);
	else if (n > 0 && jobs[n - 1].cmd.id == CMD_BAD)
		c->swallow = jobs[n - 1].cmd.swallow;
	return (b->used);
}

static size_t
input_swallow(struct conn *c, size_t len)
{
	size_t n = c->swallow < len ? (size_t)c->swallow : len;

	c->swallow -= n;
	return (n);
}

/* Whether commands may be taken now. */
static bool
input_may_go_on(const struct conn *c)
{
	return (!c->cl.close && !c->cl.q.broken && !c->stalled &&
	    c->cl.produce == NULL);
}

/* Takes as much of buf as can be; returns the bytes that are done with. */
static size_t
input_feed(struct conn *c, char *buf, size_t len)
{
	unsigned budget = c->worker->ctx->conf->reqs_per_event;
	size_t off = 0;
	bool more = false;
	struct batch b;

	c->worker->ctx->cfd = c->fd;
	c->yielded = false;
	while (off < len && !more && !c->yielded && input_may_go_on(c)) {
		if (c->swallow > 0) {
			off += input_swallow(c, len - off);
			continue;
		}
		if (c->body != NULL) {
			off += input_body_copy(c, buf + off, len - off);
			continue;
		}
		if (UNLIKELY(c->record != NULL)) {
			off += cmd_record_feed(&c->cl, &c->record, buf + off, len - off);
			conn_mind_full(c);
			continue;
		}
		input_parse(c, buf + off, len - off, budget, &b);
		if (b.n > 0)
			off += input_run(c, &b);
		if (b.close != PARSE_CLOSE_NONE && input_may_go_on(c))
			input_close(c, b.close);
		more = b.n == 0 && b.more;
		if (b.n >= budget && off < len) {
			METRIC_ADD(&c->cl.ctx->metrics, conn_yields, 1);
			c->yielded = true;
		}
		budget -= b.n < budget ? b.n : budget;
		conn_mind_full(c);
	}
	if (c->cl.close || c->cl.q.broken || c->cl.watching)
		off = len;
	c->held = off < len && !more;
	return (off);
}

static void
input_take(struct conn *c, char *buf, size_t len)
{
	size_t used = input_feed(c, buf, len);

	if (!input_keep(c, buf + used, len - used))
		c->cl.q.broken = true;
}

void
input_read(struct conn *c, size_t n)
{
	input_take(c, c->rlen <= WORKER_BUF / 2 ? c->worker->buf : c->rbuf,
	    c->rlen + n);
}

void
input_resume(struct conn *c)
{
	char *buf = c->rbuf;

	if (c->rlen <= WORKER_BUF) {
		buf = c->worker->buf;
		if (c->rlen > 0)
			memcpy(buf, c->rbuf, c->rlen);
	}
	input_take(c, buf, c->rlen);
}
