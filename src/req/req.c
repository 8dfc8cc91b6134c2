/*
 * req.c - the pool of reqs and the queues that keep answers in order.
 *
 * Reqs are recycled through a free list per worker, most recently used first. A filler is a req that
 * is done from birth: bytes of hits that were answered while an earlier miss of the same client was out.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "req/req.h"

#define REQS_KEPT	4096
#define WINDOW_START	16
#define WINDOW_MIN	4
#define WINDOW_MAX	4096	/* requests of one client under way */

void
replyq_init(struct replyq *q, struct outq *out,
    void (*advanced)(struct replyq *))
{
	q->out = out;
	TAILQ_INIT(&q->waiting);
	q->nwaiting = 0;
	q->held = 0;
	q->parked = 0;
	q->window = WINDOW_START;
	q->answer = 0;
	q->broken = false;
	q->advanced = advanced;
}

/*
 * How large a value is shows only when it comes, and then there must be room for all that was asked for. So a client
 * begins with a few reqs and gets one more with each answer, up to what fits if the next are like the last.
 */
void
replyq_learn(struct replyq *q, uint32_t n, size_t max)
{
	size_t fit;

	q->answer = q->answer - q->answer / 8 + n / 8;
	fit = max / (q->answer + 1);
	if (fit < WINDOW_MIN)
		fit = WINDOW_MIN;
	if (fit > WINDOW_MAX)
		fit = WINDOW_MAX;
	q->window = q->window < fit ? q->window + 1 : (uint32_t)fit;
}

static void
req_free(struct req *r)
{
	struct ctx *ctx = r->ctx;

	outq_clear(&r->out);
	if (r->space != NULL)
		view_unpin(r->space->view);
	MUST(r->item == NULL && r->value == NULL && r->coded == NULL);
	free(r->body);
	free(r->rest);
	if (ctx->nfree_reqs >= REQS_KEPT) {
		r->magic = 0;
		free(r);
		return;
	}
	SLIST_INSERT_HEAD(&ctx->free_reqs, r, next_free);
	ctx->nfree_reqs++;
}

static struct req *
req_get(struct ctx *ctx)
{
	struct req *r = SLIST_FIRST(&ctx->free_reqs);

	if (r != NULL) {
		SLIST_REMOVE_HEAD(&ctx->free_reqs, next_free);
		ctx->nfree_reqs--;
		CHECK_OBJ(r, REQ_MAGIC);
	} else {
		r = malloc(sizeof *r);
		if (r == NULL)
			return (NULL);
		r->magic = REQ_MAGIC;
		r->ctx = ctx;
	}
	outq_init(&r->out, ctx->outpool, true);
	r->done = r->filler = r->write = r->fills = false;
	r->asking = r->failed = r->flush = r->hold = false;
	r->kept = r->leads = r->lingers = r->renews = r->lags = false;
	r->weight = 1;
	r->held = 0;
	r->parked = 0;
	r->alias = false;
	r->tier = NULL;
	r->space = NULL;
	r->parent = NULL;
	r->item = NULL;
	r->value = NULL;
	r->body = NULL;
	r->rest = NULL;
	r->coded = NULL;
	r->q = NULL;
	return (r);
}

static struct slice
save(char **p, struct slice s)
{
	struct slice out = { *p, s.len };

	memcpy(*p, s.p, s.len);
	*p += s.len;
	return (out);
}

void
req_park(struct req *r)
{
	struct replyq *q = r->q;

	if (q == NULL)
		return;
	q->parked += outq_len(&r->out) - r->parked;
	r->parked = outq_len(&r->out);
}

struct req *
req_new(struct ctx *ctx, struct replyq *q, const struct command *cmd)
{
	struct req *r = req_get(ctx), *last;
	char *p;

	if (r == NULL)
		return (NULL);
	if (cmd != NULL) {
		/* What stands behind `nonce` is for the parse alone. */
		memcpy(&r->cmd, cmd, offsetof(struct command, nonce));
		p = r->buf;
		if (cmd->shape != SHAPE_WORDS)
			r->cmd.op.key = save(&p, cmd->op.key);
		if ((cmd->shape == SHAPE_META || cmd->shape == SHAPE_MSET) &&
		    cmd->opaque.len > 0)
			r->cmd.opaque = save(&p, cmd->opaque);
	}
	r->q = q;
	if (q != NULL) {
		last = TAILQ_LAST(&q->waiting, req_list);
		if (last != NULL && last->filler)
			req_park(last);
		TAILQ_INSERT_TAIL(&q->waiting, r, next);
		q->nwaiting++;
	}
	return (r);
}

void
req_set_space(struct req *r, const struct space *sp)
{
	view_pin(sp->view);
	r->space = sp;
}

void
req_weigh(struct req *r, unsigned n)
{
	r->q->nwaiting += n - r->weight;
	r->weight = (uint16_t)n;
}

struct outq *
replyq_out(struct ctx *ctx, struct replyq *q)
{
	struct req *last;

	if (LIKELY(TAILQ_EMPTY(&q->waiting)))
		return (q->out);
	last = TAILQ_LAST(&q->waiting, req_list);
	if (!last->filler) {
		last = req_new(ctx, q, NULL);
		if (last == NULL)
			return (NULL);
		req_weigh(last, 0);
		last->filler = last->done = true;
	}
	return (&last->out);
}

struct outq *
req_out(struct req *r)
{
	if (r->q == NULL)
		return (NULL);
	if (TAILQ_FIRST(&r->q->waiting) != r || r->hold)
		return (&r->out);
	/* Begun before it was its turn. */
	if (UNLIKELY(outq_len(&r->out) > 0)) {
		r->q->parked -= r->parked;
		r->parked = 0;
		outq_splice(r->q->out, &r->out);
	}
	return (r->q->out);
}

/* Moves what is due from the head of the queue to its output. */
static void
replyq_advance(struct replyq *q)
{
	struct req *r;

	while ((r = TAILQ_FIRST(&q->waiting)) != NULL && r->done) {
		TAILQ_REMOVE(&q->waiting, r, next);
		q->nwaiting -= r->weight;
		q->parked -= r->parked;
		outq_splice(q->out, &r->out);
		req_free(r);
	}
}

void
req_done(struct req *r)
{
	struct replyq *q = r->q;

	CHECK_OBJ_NOTNULL(r, REQ_MAGIC);
	if (q == NULL) {
		req_free(r);
		return;
	}
	r->done = true;
	if (TAILQ_FIRST(&q->waiting) == r)
		replyq_advance(q);
	else
		req_park(r);
	q->advanced(q);
}

void
replyq_abandon(struct replyq *q)
{
	struct req *r;

	while ((r = TAILQ_FIRST(&q->waiting)) != NULL) {
		TAILQ_REMOVE(&q->waiting, r, next);
		r->q = NULL;
		if (r->done)
			req_free(r);
	}
	q->nwaiting = 0;
	q->parked = 0;
}

void
req_broken(struct req *r)
{
	if (r->q != NULL)
		r->q->broken = true;
}
