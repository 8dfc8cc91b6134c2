/*
 * batch.c - many keys, one request to each server that has some of them.
 *
 * A request and its answer cost far more than a key does, and so does a struct req. So the keys of one read are
 * dealt out to fragments, one for each server (and connection, see be_ops.group, and line of a length that no
 * server minds). Each writes its values where they come, in the order in which the server was asked; when all are
 * there they are put together in the order in which the client asked:
 *
 *	get a b c d	frags[0] = { a, c } .out "VALUE a..VALUE c.."	}  a b c d
 *			frags[1] = { b, d } .out "VALUE b..VALUE d.."	}
 *
 * One allocation for all of it: the batch, its fragments, the keys by fragment, the bytes of the keys.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "proto/upstream.h"
#include "req/answer.h"
#include "req/batch.h"
#include "req/child.h"
#include "req/coded.h"
#include "req/fill.h"
#include "req/hold.h"
#include "req/observe.h"
#include "req/parts.h"
#include "req/route.h"
#include "req/value.h"

struct batch;

static void	batch_end(struct batch *);

/* A value that was encoded, or is put together of its pieces; it has bytes of its own. */
struct late {
	struct batch	*batch;
	struct outq	 out;
	unsigned	 i;
};

/* What one server is asked for. */
struct frag {
	struct batch	*batch;
	struct be_op	 be;
	struct outq	 out;		/* its values, as the client gets them */
	struct value	*value;		/* a large one that arrives */
	unsigned	 first;		/* index in batch.keys of its first key */
};

struct batch {
	unsigned	 magic;
#define BATCH_MAGIC	0x62617463u
	struct req	*r;		/* a part of the parent */
	unsigned	 n;
	unsigned	 nfrags;
	unsigned	 left;		/* fragments under way */
	struct slice	*keys;		/* n, by fragment */
	uint32_t	*len;		/* n, by fragment: bytes of the answer; 0: not there */
	const struct space **space;	/* n, by fragment; of one view, which is pinned */
	uint8_t		*frag;		/* n, as the client asked: whose it is */
	struct late	**lates;	/* n, by fragment; NULL: there are none */
	struct command	 cmd;		/* the parent's, as far as a read has it; see command_of() */
	struct frag	 frags[];
};

/* A fragment being planned. */
struct deal {
	struct pool	*pool;
	struct backend	*server;
	unsigned	 group;
	const struct conf_ns *ns;	/* FORMAT_ITEM: one of them; else any one's */
	unsigned	 n;
	size_t		 line;
	uint64_t	 hash;		/* of any of its keys */
	uint64_t	 timeout;	/* the shortest of its keys' namespaces; 0: none */
};

void
batch_begin(struct batch_plan *plan, struct slice keys)
{
	plan->n = 0;
	/* All that upstream_key_ok() minds and the parser lets pass: one look for all keys. */
	plan->plain = memchr(keys.p, '\0', keys.len) == NULL;
}

bool
batch_takes(const struct ctx *ctx, const struct batch_plan *plan, const struct space *sp,
    const struct command *cmd)
{
	return (plan->plain && !hold_has(ctx, cmd->op.key, cmd->op.hash) &&
	    sp->pool != NULL && !sp->conf->local && sp->plain &&
	    sp->conf->on_error == ON_ERROR_ERROR && sp->pool->conf->on_down == ON_DOWN_ERROR &&
	    cmd->op.verb == OP_GET && cmd->op.opts == OPF_CLASSIC &&
	    (sp->pool->ops->caps & BE_CAP_KEYS) != 0 && !sp->splits &&
	    sp->tier == NULL);
}

void
batch_add(struct batch_plan *plan, const struct space *sp,
    const struct command *cmd)
{
	unsigned i = plan->n++;

	plan->keys[i] = cmd->op.key;
	plan->hash[i] = cmd->op.hash;
	plan->space[i] = sp;
}

static void
batch_count(struct batch *b, unsigned i, bool found)
{
	struct ctx *ctx = b->r->ctx;
	struct ns_stats *ns = b->space[i]->stats;

	NS_ADD(ns, gets);
	METRIC_ADD(&ctx->metrics, cmd_get, 1);
	if (found) {
		NS_ADD(ns, hits);
		METRIC_ADD(&ctx->metrics, get_hits, 1);
	} else {
		NS_ADD(ns, misses);
		METRIC_ADD(&ctx->metrics, get_misses, 1);
	}
}

/* What the client would have asked for key i alone; until the next call. */
static const struct command *
command_of(struct batch *b, unsigned i)
{
	b->cmd.op.key = b->keys[i];
	return (&b->cmd);
}

static void
batch_observe(struct batch *b, unsigned i, const struct op_result *res)
{
	observe_get(b->r->ctx, b->r->cfd, command_of(b, i), res->status == OP_OK, res);
}

/* Writes a value that did not come as the client gets it. */
static bool
frag_answer(struct frag *f, unsigned i)
{
	const struct command *cmd = command_of(f->batch, i);
	bool good;

	if (f->value == NULL)
		return (answer_data(&f->out, cmd, &f->be.res, f->be.data));
	good = answer_value(&f->out, cmd, &f->be.res, f->value);
	value_unref(f->value);
	f->value = NULL;
	return (good);
}

/* ---- values that are not plain ---- */

/* coded_read()'s then. */
static void
late_then(struct req *c)
{
	struct late *l = c->owner;
	struct batch *b = l->batch;
	const struct be_op *be = &c->be;
	bool good = true;

	if (be->err != ERR_NONE) {
		NS_ADD(b->space[l->i]->stats, errors);
		parts_fail(b->r->parent, be->why, strlen(be->why));
	} else {
		batch_count(b, l->i, be->res.status == OP_OK);
		if (UNLIKELY(observed(b->r->ctx) != 0))
			batch_observe(b, l->i, &be->res);
		if (be->res.status == OP_OK && c->value != NULL)
			good = answer_value(&l->out, command_of(b, l->i), &be->res, c->value);
		else if (be->res.status == OP_OK)
			good = answer_data(&l->out, command_of(b, l->i), &be->res, be->data);
	}
	if (!good)
		req_broken(b->r);
	child_end(c);
	if (--b->left == 0)
		batch_end(b);
}

static struct late *
late_new(struct batch *b, unsigned i)
{
	struct late *l;

	if (b->lates == NULL)
		b->lates = calloc(b->n, sizeof(struct late *));
	if (b->lates == NULL || (l = malloc(sizeof *l)) == NULL)
		return (NULL);
	l->batch = b;
	l->i = i;
	outq_init(&l->out, b->r->ctx->outpool, true);
	b->lates[i] = l;
	return (l);
}

static void
lates_free(struct batch *b)
{
	for (unsigned i = 0; b->lates != NULL && i < b->n; i++)
		if (b->lates[i] != NULL) {
			outq_clear(&b->lates[i]->out);
			free(b->lates[i]);
		}
	free(b->lates);
}

/* A value that is encoded or in pieces: as if it had been asked for alone, from here on. */
static void
frag_coded(struct frag *f, unsigned i)
{
	struct batch *b = f->batch;
	struct op op = command_of(b, i)->op;
	struct late *l = late_new(b, i);
	struct req *c = NULL;

	op.hash = cache_hash(op.key);
	op.want = OPW_VALUE;
	if (l != NULL)
		c = child_new(b->r->ctx, b->space[i], &op, SLICE_NULL, l, NULL);
	if (c == NULL) {
		parts_fail(b->r->parent, err_text(ERR_NOMEM), strlen(err_text(ERR_NOMEM)));
		return;
	}
	b->left++;
	c->be.err = ERR_NONE;
	c->be.res = f->be.res;
	c->be.found_head = f->be.found_head;
	c->be.data = f->be.data;
	c->be.timeout = f->be.timeout;
	c->value = f->value;
	f->value = NULL;
	coded_read(c, late_then);
}

/* be.found */
static void
frag_found(struct be_op *be)
{
	struct frag *f = CONTAINER_OF(be, struct frag, be);
	struct batch *b = f->batch;
	unsigned i = f->first + be->at;
	size_t before = outq_len(&f->out);
	bool good;

	CHECK_OBJ(b, BATCH_MAGIC);
	if (UNLIKELY((be->res.bits & OPR_ENCODED) != 0)) {
		frag_coded(f, i);
		return;
	}
	/* What a classic server says is what the client shall hear. */
	if (be->text.p != NULL)
		good = outq_append(&f->out, be->text.p, be->text.len);
	else
		good = frag_answer(f, i);
	b->len[i] = (uint32_t)(outq_len(&f->out) - before);
	if (!good)
		req_broken(b->r);
	batch_count(b, i, true);
	if (UNLIKELY(observed(b->r->ctx) != 0))
		batch_observe(b, i, &be->res);
}

/* be.sink */
static int
frag_iov(struct be_op *be, const struct op_result *res, uint32_t off,
    struct iovec *iov, int max)
{
	struct frag *f = CONTAINER_OF(be, struct frag, be);
	struct batch *b = f->batch;
	size_t held = 0;

	if (f->value == NULL && off == 0) {
		for (unsigned i = 0; i < b->nfrags; i++)
			held += outq_len(&b->frags[i].out);
		if (fill_may_hold(b->r, held, res->size))
			f->value = value_heap(b->r->ctx, res->size);
	}
	return (f->value == NULL ? 0 : value_iov(f->value, off, iov, max));
}

static const struct be_sink frag_sink = { frag_iov };

/* Puts the answers together in the order of the command's keys. */
static bool
batch_merge(struct batch *b, struct outq *out)
{
	unsigned next[BATCH_MAX];

	if (b->nfrags == 1 && b->lates == NULL) {
		outq_splice(out, &b->frags[0].out);
		return (true);
	}
	for (unsigned i = 0; i < b->nfrags; i++)
		next[i] = b->frags[i].first;
	for (unsigned i = 0; i < b->n; i++) {
		struct frag *f = &b->frags[b->frag[i]];
		unsigned at = next[b->frag[i]]++;

		if (UNLIKELY(b->lates != NULL && b->lates[at] != NULL))
			outq_splice(out, &b->lates[at]->out);
		else if (!outq_move(out, &f->out, b->len[at]))
			return (false);
	}
	return (true);
}

static void
batch_end(struct batch *b)
{
	struct req *r = b->r;
	struct outq *out = req_out(r);

	if (out != NULL && !r->parent->failed && !batch_merge(b, out))
		req_broken(r);
	for (unsigned i = 0; i < b->nfrags; i++)
		outq_clear(&b->frags[i].out);
	lates_free(b);
	view_unpin(b->space[0]->view);
	b->magic = 0;
	free(b);
	req_done(r);
}

/* What the server did not say anything about is not there. */
static void
frag_misses(struct frag *f)
{
	static const struct op_result miss = { .status = OP_MISS };
	struct batch *b = f->batch;

	for (unsigned i = f->first; i < f->first + f->be.nkeys; i++) {
		if (b->len[i] > 0 || (b->lates != NULL && b->lates[i] != NULL))
			continue;
		batch_count(b, i, false);
		if (UNLIKELY(observed(b->r->ctx) != 0))
			batch_observe(b, i, &miss);
	}
}

/* be.done */
static void
frag_done(struct be_op *be)
{
	struct frag *f = CONTAINER_OF(be, struct frag, be);
	struct batch *b = f->batch;
	struct ctx *ctx = b->r->ctx;

	CHECK_OBJ(b, BATCH_MAGIC);
	METRIC_SUB(&ctx->metrics, requests_inflight, 1);
	if (f->value != NULL)
		value_unref(f->value);
	f->value = NULL;
	if (be->err == ERR_NONE && be->res.status == OP_OK)
		frag_misses(f);
	else {
		NS_ADD(b->space[f->first]->stats, errors);
		if (be->err != ERR_NONE) {
			METRIC_ADD(&ctx->metrics, store_errors, 1);
			parts_fail(b->r->parent, be->why, strlen(be->why));
		} else
			parts_fail(b->r->parent, be->res.error.p,
			    be->res.error.len);
	}
	if (--b->left == 0)
		batch_end(b);
}

/* Deals key i to a fragment; deals has room for one more. */
static unsigned
deal_key(struct deal *deals, unsigned *ndeals,
    const struct batch_plan *plan, unsigned i)
{
	struct pool *pool = plan->space[i]->pool;
	struct backend *server = route_pick(pool, plan->keys[i], plan->hash[i]);
	unsigned group = pool->ops->group(server, plan->hash[i]), d;
	const struct conf_ns *ns = plan->space[i]->conf;
	size_t len = plan->keys[i].len + 1;
	uint64_t max = ns->slo_read.max;

	for (d = 0; d < *ndeals; d++)
		if (deals[d].server == server && deals[d].group == group &&
		    deals[d].ns->format == ns->format && (ns->format == FORMAT_RAW || deals[d].ns == ns) &&
		    deals[d].line + len <= BE_KEYS_LINE_MAX)
			break;
	if (d == *ndeals) {
		deals[d] = (struct deal){ .pool = pool, .server = server,
		    .group = group, .ns = ns,
		    .hash = plan->hash[i] };
		(*ndeals)++;
	}
	if (max != 0 && (deals[d].timeout == 0 || max < deals[d].timeout))
		deals[d].timeout = max;
	deals[d].n++;
	deals[d].line += len;
	return (d);
}

/* All memory of a batch of n keys with that many bytes. */
static struct batch *
batch_new(unsigned n, unsigned nfrags, size_t bytes, char **key_bytes)
{
	size_t head = sizeof(struct batch) + nfrags * sizeof(struct frag);
	struct batch *b = malloc(head + n * (sizeof *b->keys + sizeof *b->len +
	    sizeof *b->space + sizeof *b->frag) + bytes);
	char *p;

	if (b == NULL)
		return (NULL);
	p = (char *)b + head;
	b->magic = BATCH_MAGIC;
	b->lates = NULL;
	b->n = n;
	b->nfrags = b->left = nfrags;
	b->keys = (struct slice *)(void *)p;
	b->space = (const struct space **)(void *)(b->keys + n);
	b->len = (uint32_t *)(void *)(b->space + n);
	b->frag = (uint8_t *)(void *)(b->len + n);
	*key_bytes = (char *)(b->frag + n);
	memset(b->len, 0, n * sizeof *b->len);
	return (b);
}

static void
frag_init(struct frag *f, struct batch *b, const struct command *cmd,
    const struct deal *d, unsigned first)
{
	f->batch = b;
	f->value = NULL;
	f->first = first;
	outq_init(&f->out, b->r->ctx->outpool, true);
	f->be.op = cmd->op;
	f->be.op.key = SLICE_NULL;
	f->be.op.opts = 0;
	f->be.op.hash = d->hash;
	f->be.body = NULL;
	f->be.nbody = 0;
	f->be.sink = &frag_sink;
	f->be.timeout = d->timeout;
	f->be.format = (uint8_t)d->ns->format;
	f->be.ns = d->ns;
	f->be.id = f->be.item = SLICE_NULL;
	f->be.rest = false;
	f->be.way = 0;
	f->be.keys = b->keys + first;
	f->be.nkeys = d->n;
	f->be.found = frag_found;
	f->be.done = frag_done;
}

/* Copies the keys to where their fragments have them. */
static void
batch_fill(struct batch *b, const struct batch_plan *plan, char *p)
{
	unsigned next[BATCH_MAX];

	for (unsigned i = 0; i < b->nfrags; i++)
		next[i] = b->frags[i].first;
	for (unsigned i = 0; i < b->n; i++) {
		unsigned to = next[b->frag[i]]++;
		struct slice key = plan->keys[i];

		memcpy(p, key.p, key.len);
		b->keys[to] = slice_of(p, key.len);
		b->space[to] = plan->space[i];
		p += key.len;
	}
}

static void
batch_submit(struct batch *b, const struct deal *deals)
{
	struct ctx *ctx = b->r->ctx;

	for (unsigned i = 0; i < b->nfrags; i++) {
		METRIC_ADD(&ctx->metrics, store_requests, 1);
		METRIC_ADD(&ctx->metrics, requests_inflight, 1);
		deals[i].pool->ops->submit(deals[i].server, &b->frags[i].be);
	}
}

bool
batch_ask(struct req *parent, struct batch_plan *plan)
{
	struct ctx *ctx = parent->ctx;
	struct deal deals[BATCH_MAX];
	uint8_t frag[BATCH_MAX];
	unsigned ndeals = 0, n = plan->n, first = 0;
	size_t bytes = 0;
	struct batch *b;
	struct req *r;
	char *p;

	plan->n = 0;
	if (n == 0 || parent->failed)
		return (true);
	for (unsigned i = 0; i < n; i++) {
		frag[i] = (uint8_t)deal_key(deals, &ndeals, plan, i);
		bytes += plan->keys[i].len;
	}
	b = batch_new(n, ndeals, bytes, &p);
	r = b == NULL ? NULL : req_new(ctx, &parent->parts, NULL);
	if (r == NULL) {
		free(b);
		return (false);
	}
	r->parent = parent;
	r->cfd = ctx->cfd;
	req_weigh(r, n);
	b->r = r;
	memcpy(b->frag, frag, n);
	memcpy(&b->cmd, &parent->cmd, offsetof(struct command, nonce));
	for (unsigned i = 0; i < ndeals; first += deals[i++].n)
		frag_init(&b->frags[i], b, &parent->cmd, &deals[i], first);
	batch_fill(b, plan, p);
	view_pin(b->space[0]->view);
	batch_submit(b, deals);
	return (true);
}
