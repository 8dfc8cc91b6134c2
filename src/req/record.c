/*
 * record.c - what all record commands begin and end with: the namespace, the id, a place among the client's answers.
 */
#include "config.h"

#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "cache/cache.h"
#include "keys/keymap.h"
#include "obs/metric.h"
#include "proto/record.h"
#include "req/answer.h"
#include "req/record.h"
#include "req/record_internal.h"

const struct space *
record_space(const struct ctx *ctx, struct slice name, struct slice key, char why[RECORD_WHY_MAX])
{
	const struct view *v = ctx->view;
	const struct space *sp;
	int n = 0;

	if (name.p != NULL)
		n = keymap_named(v->keymap, name);
	if (n < 0) {
		snprintf(why, RECORD_WHY_MAX, "CLIENT_ERROR unknown namespace");
		return (NULL);
	}
	sp = name.p != NULL ? &v->spaces[n] : view_find(v, key);
	if (sp->pool != NULL && (sp->pool->ops->caps & BE_CAP_RECORDS) != 0 && sp->conf->format == FORMAT_ITEM)
		return (sp);
	if (sp->pool == NULL)
		snprintf(why, RECORD_WHY_MAX, "CLIENT_ERROR namespace %s has no store for records", sp->conf->name);
	else
		snprintf(why, RECORD_WHY_MAX, "CLIENT_ERROR namespace %s has plain values in store %s, no records",
		    sp->conf->name, sp->pool->conf->name);
	return (NULL);
}

bool
record_id(const struct space *sp, struct slice id, char why[RECORD_WHY_MAX])
{
	struct slice all, item;

	keymap_split(sp->conf, id, &all, &item);
	if (all.len == id.len)
		return (true);
	snprintf(why, RECORD_WHY_MAX, "CLIENT_ERROR separator in id");
	return (false);
}

bool
record_say(struct client *cl, const char *text)
{
	struct outq *out = replyq_out(cl->ctx, &cl->q);

	return (out != NULL && answer_text(out, text));
}

struct req *
record_req(struct ctx *ctx, struct replyq *q, const struct space *sp)
{
	struct req *r = req_new(ctx, q, NULL);

	if (r == NULL)
		return (NULL);
	METRIC_ADD(&ctx->metrics, requests_inflight, 1);
	req_set_space(r, sp);
	r->asked_at = cache_now(ctx->cache);
	r->cfd = ctx->cfd;
	return (r);
}

void
record_op(struct be_op *be, const struct space *sp, uint8_t verb, struct slice id, struct rec_op *rec)
{
	memset(be, 0, sizeof *be);
	be->format = FORMAT_ITEM;
	be->ns = sp->conf;
	be->op.verb = verb;
	be->op.key = be->id = id;
	be->op.hash = cache_hash(id);
	be->rec = rec;
}

void
record_end(struct req *r)
{
	METRIC_SUB(&r->ctx->metrics, requests_inflight, 1);
	req_done(r);
}

const char *
record_failure(const struct be_op *be, char why[RECORD_WHY_MAX])
{
	struct slice text = be->res.error;

	if (be->err != ERR_NONE) {
		snprintf(why, RECORD_WHY_MAX, "%s", be->why);
		return (why);
	}
	if (be->res.status != OP_ERROR)
		return (NULL);
	/* That it is our error or the client's will be said here. */
	if (slice_has_prefix(text, SLICE_LIT("SERVER_ERROR ")) || slice_has_prefix(text, SLICE_LIT("CLIENT_ERROR "))) {
		text.p += 13;
		text.len -= 13;
	}
	snprintf(why, RECORD_WHY_MAX, "%.*s", (int)text.len, text.p);
	return (why);
}

void
record_hold(struct rec_op *rec)
{
	struct record_task *task = CONTAINER_OF(rec, struct record_task, rec);

	task->hold(task, 1);
}

void
record_release(struct rec_op *rec)
{
	struct record_task *task = CONTAINER_OF(rec, struct record_task, rec);

	task->hold(task, -1);
}

struct slice
record_key(const struct space *sp, struct slice id, struct slice item, char buf[PIECES_KEY_MAX])
{
	size_t sep = item.len > 0 ? sp->conf->separator_len : 0;

	memcpy(buf, id.p, id.len);
	if (sep > 0)
		memcpy(buf + id.len, sp->conf->separator, sep);
	if (item.len > 0)
		memcpy(buf + id.len + sep, item.p, item.len);
	return (slice_of(buf, id.len + sep + item.len));
}

uint64_t
record_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}
