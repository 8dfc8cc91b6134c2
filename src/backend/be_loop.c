/*
 * be_loop.c - end of turn for all stores of a loop.
 */
#include "config.h"

#include <stdlib.h>

#include "backend/be_loop.h"
#include "base/check.h"
#include "obs/log.h"

#define LOG_EVERY	1000000		/* microseconds between lines about rubbish */
#define LOG_BYTES	64
#define POOL_KEEP	(256 * 1024)

/* Work that comes up while hooks run would otherwise wait for the next event. */
static void
be_loop_wake(struct be_loop *bl)
{
	if (!loop_before_hooks(bl->loop))
		loop_again(bl->loop);
}

static void
be_loop_hook(void *arg)
{
	struct be_loop *bl = arg;
	struct be_op_list batch = STAILQ_HEAD_INITIALIZER(batch);
	struct be_dirty *d;
	struct be_op *op;

	/* A done() may submit again and fail again: that is for the next turn. */
	STAILQ_CONCAT(&batch, &bl->over);
	if (!STAILQ_EMPTY(&batch))
		loop_again(bl->loop);	/* clients' answers may come behind their own hook */
	while ((op = STAILQ_FIRST(&batch)) != NULL) {
		STAILQ_REMOVE_HEAD(&batch, next);
		be_op_end(op);
	}
	while ((d = TAILQ_FIRST(&bl->dirty)) != NULL) {
		be_loop_clean(bl, d);
		d->flush(d);
	}
}

struct be_loop *
be_loop_pin(struct loop *l)
{
	void **slot = loop_slot(l, LOOP_SLOT_BACKEND);
	struct be_loop *bl = *slot;

	if (bl != NULL) {
		CHECK_OBJ(bl, BE_LOOP_MAGIC);
		bl->refs++;
		return (bl);
	}
	bl = calloc(1, sizeof *bl);
	if (bl == NULL)
		return (NULL);
	bl->rbuf = malloc(BE_RBUF);
	bl->pool = outpool_new(POOL_KEEP);
	if (bl->rbuf == NULL || bl->pool == NULL) {
		outpool_free(&bl->pool);
		free(bl->rbuf);
		free(bl);
		return (NULL);
	}
	bl->magic = BE_LOOP_MAGIC;
	bl->refs = 1;
	bl->loop = l;
	STAILQ_INIT(&bl->over);
	TAILQ_INIT(&bl->dirty);
	loop_add_hook(l, be_loop_hook, bl);
	*slot = bl;
	return (bl);
}

void
be_loop_unpin(struct be_loop **blp)
{
	struct be_loop *bl;

	TAKE_OBJ_NOTNULL(bl, blp, BE_LOOP_MAGIC);
	if (--bl->refs > 0)
		return;
	MUST(STAILQ_EMPTY(&bl->over) && TAILQ_EMPTY(&bl->dirty));
	loop_del_hook(bl->loop, bl);
	*loop_slot(bl->loop, LOOP_SLOT_BACKEND) = NULL;
	outpool_free(&bl->pool);
	free(bl->rbuf);
	bl->magic = 0;
	free(bl);
}

void
be_loop_dirty(struct be_loop *bl, struct be_dirty *d)
{
	if (d->queued)
		return;
	d->queued = true;
	TAILQ_INSERT_TAIL(&bl->dirty, d, next);
	be_loop_wake(bl);
}

void
be_loop_clean(struct be_loop *bl, struct be_dirty *d)
{
	if (!d->queued)
		return;
	d->queued = false;
	TAILQ_REMOVE(&bl->dirty, d, next);
}

void
be_op_begin(struct backend *be, struct be_op *op)
{
	be_stat_add(&be->stats.requests, 1);
	be_stat_inflight(&be->stats, 1);
	op->be = be;
	op->priv = NULL;
	op->sent_at = loop_now(be->bl->loop);
	op->err = ERR_NONE;
	op->at = 0;
	op->data = SLICE_NULL;
	op->text = SLICE_NULL;
	op->why = NULL;
	memset(&op->res, 0, sizeof op->res);
	op->res.ttl = OP_TTL_NONE;
}

void
be_op_end(struct be_op *op)
{
	struct backend *be = op->be;
	uint64_t now = loop_now(be->bl->loop);
	void *priv = op->priv;

	be_stat_inflight(&be->stats, -1);
	if (LIKELY(op->err == ERR_NONE))
		hist_add(&be->stats.latency,
		    now > op->sent_at ? now - op->sent_at : 0);
	else
		be_stat_add(&be->stats.errors[op->err], 1);
	if (UNLIKELY(be->over != NULL))
		be->over(op);
	op->done(op);
	if (UNLIKELY(priv != NULL))
		free(priv);
}

void
be_op_end_later(struct be_op *op, enum err err, const char *why)
{
	struct be_loop *bl = op->be->bl;

	op->err = err;
	op->why = why;
	STAILQ_INSERT_TAIL(&bl->over, op, next);
	be_loop_wake(bl);
}

void
be_loop_drain(struct backend *be)
{
	struct be_loop *bl = be->bl;
	struct be_op_list rest = STAILQ_HEAD_INITIALIZER(rest);
	struct be_op_list mine = STAILQ_HEAD_INITIALIZER(mine);
	struct be_op *op;

	while ((op = STAILQ_FIRST(&bl->over)) != NULL) {
		STAILQ_REMOVE_HEAD(&bl->over, next);
		if (op->be == be)
			STAILQ_INSERT_TAIL(&mine, op, next);
		else
			STAILQ_INSERT_TAIL(&rest, op, next);
	}
	STAILQ_CONCAT(&bl->over, &rest);
	while ((op = STAILQ_FIRST(&mine)) != NULL) {
		STAILQ_REMOVE_HEAD(&mine, next);
		be_op_end(op);
	}
}

void
be_log_rubbish(struct loop *loop, uint64_t *next, const char *server,
    const char *what, const char *p, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t now = loop_now(loop);
	char text[LOG_BYTES * 4 + 1];
	size_t n = 0;

	if (now < *next)
		return;
	*next = now + LOG_EVERY;
	for (size_t i = 0; i < len && i < LOG_BYTES; i++) {
		unsigned char b = (unsigned char)p[i];

		if (b >= ' ' && b < 0x7f && b != '\\') {
			text[n++] = (char)b;
			continue;
		}
		text[n++] = '\\';
		text[n++] = 'x';
		text[n++] = hex[b >> 4];
		text[n++] = hex[b & 15];
	}
	text[n] = '\0';
	log_warn("%s: %s: \"%s\"", server, what, text);
}
