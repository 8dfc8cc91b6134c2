/*
 * pieces.c - a window of ops over the pieces of one value.
 *
 * Each piece's op is a req of its own without a client, so that replicas, hedges and time limits are as for any other.
 * Encoding takes milliseconds of the loop a piece; so the window of what is stored opens by one with each piece that
 * is done.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "kv/piece.h"
#include "obs/metric.h"
#include "req/child.h"
#include "req/encode.h"
#include "req/pieces.h"
#include "req/req.h"
#include "req/send.h"

#define CHUNKS_MAX	(1u << 20)
#define WHY_MAX		256
#define PLACE_LEN	16

struct pieces {
	unsigned	 magic;
#define PIECES_MAGIC	0x70696563u
	struct ctx	*ctx;
	const struct space *space;	/* its view is pinned */
	struct pieces_ask ask;
	uint32_t	 next;		/* piece to be asked for */
	unsigned	 out, window;
	bool		 plain;		/* the last piece did not shrink: no more are tried */
	bool		 failed;	/* no more are sent */
	bool		 lost;
	enum err	 err;
	uint64_t	 started;
	char		 why[WHY_MAX];
	char		 key[PIECES_KEY_MAX];
};

static void piece_done(struct be_op *);

/* No other try to write a value under the same token has it. */
static uint32_t
number_of_try(struct ctx *ctx)
{
	struct { uint64_t version, who; } name = { shared_version(ctx->shared), (uint64_t)getpid() << 32 ^
	    (uintptr_t)ctx };
	uint32_t n = (uint32_t)cache_hash(slice_of((const char *)&name, sizeof name));

	return (n != 0 ? n : 1);
}

uint32_t
pieces_plan(struct ctx *ctx, const struct space *sp, uint64_t size, struct envelope *head)
{
	head->size = size;
	head->chunk = head->chunks = 0;
	if (size <= sp->conf->chunk_size)
		return (0);
	head->dictionary = number_of_try(ctx);
	head->chunk = (uint32_t)sp->conf->chunk_size;
	head->chunks = (uint32_t)((size + head->chunk - 1) / head->chunk);
	return (head->chunks);
}

bool
pieces_sane(const struct envelope *h)
{
	return (h->chunks > 0 && h->chunks <= CHUNKS_MAX && h->chunk > 0 && h->size <= ENCODE_SIZE_MAX &&
	    h->size > (uint64_t)h->chunk * (h->chunks - 1) && h->size <= (uint64_t)h->chunk * h->chunks);
}

int32_t
pieces_ttl(int32_t ttl)
{
	if (ttl <= 0)
		return (ttl);
	/* What would be taken for a moment in 1970. */
	if (ttl <= OP_REALTIME_MAX && ttl > OP_REALTIME_MAX - PIECES_LONGER)
		ttl += (int32_t)time(NULL);
	return (ttl < INT32_MAX - PIECES_LONGER ? ttl + PIECES_LONGER : ttl);
}

static uint32_t
piece_size(const struct envelope *h, uint32_t number)
{
	return (number < h->chunks ? h->chunk : (uint32_t)(h->size - (uint64_t)h->chunk * (h->chunks - 1)));
}

static void
pieces_note(struct pieces *p, enum err err, const char *why)
{
	p->failed = true;
	if (p->err != ERR_NONE)
		return;
	p->err = err;
	snprintf(p->why, sizeof p->why, "%s", why);
}

static void
pieces_end(struct pieces *p)
{
	struct pieces_end end = { .err = p->err, .lost = p->lost, .why = p->why };

	if (p->ask.done != NULL)
		p->ask.done(p->ask.arg, &end);
	if (p->ask.value != NULL)
		value_unref(p->ask.value);
	view_unpin(p->space->view);
	p->magic = 0;
	free(p);
}

/* ---- one piece ---- */

/* What places a piece: nothing of its item's, so that large values are all over the store. */
static void
piece_place(const struct pieces *p, uint32_t number, char place[PLACE_LEN + 1])
{
	struct { uint64_t version, key; uint32_t number, zero; } name = { p->ask.head.version,
	    cache_hash(p->ask.key), number, 0 };

	snprintf(place, PLACE_LEN + 1, "%016llx",
	    (unsigned long long)cache_hash(slice_of((const char *)&name, sizeof name)));
}

static uint64_t
piece_timeout(const struct pieces *p)
{
	uint64_t gone = loop_now(p->ctx->loop) - p->started;

	if (p->ask.timeout == 0)
		return (0);
	return (gone < p->ask.timeout ? p->ask.timeout - gone : 1);
}

static struct op
piece_op(const struct pieces *p)
{
	switch (p->ask.what) {
	case PIECES_STORE:
		return ((struct op){ .verb = OP_STORE, .mode = OP_SET, .opts = OPF_TTL, .ttl = p->ask.ttl });
	case PIECES_FETCH:
		return ((struct op){ .verb = OP_GET, .want = OPW_VALUE });
	case PIECES_TOUCH:
		return ((struct op){ .verb = OP_GET, .opts = OPF_TTL, .order = OPO_TTL, .ttl = p->ask.ttl });
	case PIECES_LEAVE:
		return ((struct op){ .verb = OP_GET, .opts = OPF_TTL, .order = OPO_TTL, .ttl = PIECES_LEFT });
	default:
		return ((struct op){ .verb = OP_DELETE });
	}
}

/* The plain bytes of a piece to dst. */
static void
piece_gather(const struct value *v, uint32_t off, uint32_t len, char *dst)
{
	struct iovec iov;

	while (len > 0) {
		size_t n;

		MUST(value_iov(v, off, &iov, 1) == 1);
		n = iov.iov_len < len ? iov.iov_len : len;
		memcpy(dst, iov.iov_base, n);
		dst += n;
		off += (uint32_t)n;
		len -= (uint32_t)n;
	}
}

/* Encoded, if it shrinks. NULL: it does not. */
static struct value *
piece_encode(struct pieces *p, struct slice plain, struct piece *pc)
{
	struct envelope head = { .codec = CODEC_NONE };
	struct value *v;
	size_t n;

	if (p->plain || !encode_wants(p->space, plain.len))
		return (NULL);
	v = value_work(p->ctx, PIECE_HEAD + (uint32_t)plain.len);
	if (v == NULL)
		return (NULL);
	n = encode_bytes(p->ctx, p->space, plain, (char *)(uintptr_t)value_bytes(v).p + PIECE_HEAD, false, &head);
	if (n == 0) {
		p->plain = true;
		value_unref(v);
		return (NULL);
	}
	value_trim(v, PIECE_HEAD + (uint32_t)n);
	pc->codec = head.codec;
	return (v);
}

/* What is stored as a piece. NULL: out of memory. */
static struct value *
piece_make(struct pieces *p, uint32_t number)
{
	uint32_t len = piece_size(&p->ask.head, number), off = p->ask.head.chunk * (number - 1);
	struct slice all = value_bytes(p->ask.value);
	struct piece pc = { .codec = CODEC_NONE, .size = len };
	struct value *v = value_work(p->ctx, PIECE_HEAD + len), *shorter;
	char *dst;

	if (v == NULL)
		return (NULL);
	dst = (char *)(uintptr_t)value_bytes(v).p;
	piece_gather(p->ask.value, off, len, dst + PIECE_HEAD);
	shorter = piece_encode(p, all.p != NULL ? slice_of(all.p + off, len) : slice_of(dst + PIECE_HEAD, len), &pc);
	if (shorter != NULL) {
		value_unref(v);
		v = shorter;
		dst = (char *)(uintptr_t)value_bytes(v).p;
	}
	pc.data = slice_of(dst + PIECE_HEAD, value_len(v) - PIECE_HEAD);
	piece_put(dst, number, &pc);
	return (v);
}

/* A piece that was read, into its place. NULL: good, or lost. */
static const char *
piece_take(struct pieces *p, const struct req *c)
{
	uint32_t number = c->be.chunk, len = piece_size(&p->ask.head, number);
	char *dst = (char *)(uintptr_t)value_bytes(p->ask.value).p + (size_t)p->ask.head.chunk * (number - 1);
	struct envelope head = { .codec = CODEC_NONE, .size = len };
	struct piece pc;
	const char *why;

	if (!piece_get(c->value != NULL ? value_bytes(c->value) : c->be.data, number, &pc) || pc.size != len)
		return ("value is damaged");
	if (pc.codec == CODEC_NONE) {
		memcpy(dst, pc.data.p, len);
		return (NULL);
	}
	head.codec = pc.codec;
	why = decode_check(p->ctx, p->space, &head, pc.data);
	return (why != NULL ? why : decode_bytes(p->ctx, p->space, &head, pc.data, dst));
}

static void
piece_fill_op(const struct pieces *p, struct req *c, uint32_t number)
{
	struct be_op *be = &c->be;

	be->version = p->ask.head.version;
	memcpy(be->nonce, p->ask.head.nonce, NONCE_LEN);
	be->chunk = number;
	be->chunk_try = p->ask.head.dictionary;
	be->place = c->cmd.opaque;
	be->op.hash = cache_hash(be->place);
	be->timeout = piece_timeout(p);
	be->rest = p->ask.timeout != 0;
}

static bool
piece_fill_body(struct pieces *p, struct req *c, uint32_t number)
{
	struct slice bytes;

	if (p->ask.what != PIECES_STORE)
		return (true);
	c->value = piece_make(p, number);
	c->body = c->value != NULL ? malloc(sizeof *c->body) : NULL;
	if (c->body == NULL)
		return (false);
	bytes = value_bytes(c->value);
	c->body->iov_base = (char *)(uintptr_t)bytes.p;
	c->body->iov_len = bytes.len;
	c->be.body = c->body;
	c->be.nbody = 1;
	c->be.op.vlen = (uint32_t)bytes.len;
	return (true);
}

/* False: out of memory. */
static bool
piece_send(struct pieces *p, uint32_t number)
{
	struct op op = piece_op(p);
	char place[PLACE_LEN + 1];
	struct req *c;

	piece_place(p, number, place);
	op.key = p->ask.key;
	c = child_new(p->ctx, p->space, &op, slice_of(place, PLACE_LEN), p, piece_done);
	if (c == NULL)
		return (false);
	piece_fill_op(p, c, number);
	if (!piece_fill_body(p, c, number)) {
		child_end(c);
		return (false);
	}
	p->out++;
	send_op(c);
	return (true);
}

/*
 * Sends what the window has room for. False: there was no memory for a piece, and none is under way that could free
 * some.
 */
static bool
pieces_go_on(struct pieces *p)
{
	while (!p->failed && !p->ctx->closing && p->out < p->window && p->next <= p->ask.head.chunks) {
		if (!piece_send(p, p->next))
			return (p->out > 0);
		p->next++;
	}
	return (true);
}

static void
piece_count(const struct pieces *p, const struct be_op *be)
{
	if (be->err != ERR_NONE || be->res.status != OP_OK)
		return;
	if (p->ask.what == PIECES_STORE)
		METRIC_ADD(&p->ctx->metrics, pieces_written, 1);
	else if (p->ask.what == PIECES_FETCH)
		METRIC_ADD(&p->ctx->metrics, pieces_read, 1);
	else if (p->ask.what == PIECES_DROP)
		METRIC_ADD(&p->ctx->metrics, pieces_dropped, 1);
}

static void
piece_judge(struct pieces *p, const struct req *c)
{
	const struct be_op *be = &c->be;
	const char *why;

	piece_count(p, be);
	/* What could not be deleted expires, or is forgotten. */
	if (p->ask.what == PIECES_DROP)
		return;
	if (be->err != ERR_NONE)
		pieces_note(p, be->err, be->why);
	else if (be->res.status == OP_MISS && p->ask.what == PIECES_LEAVE)
		return;
	else if (be->res.status == OP_MISS && p->ask.what != PIECES_STORE)
		p->lost = p->failed = true;
	else if (be->res.status != OP_OK)
		pieces_note(p, ERR_REFUSED, "a piece of the value was refused");
	else if (p->ask.what == PIECES_FETCH && !p->failed && (why = piece_take(p, c)) != NULL)
		pieces_note(p, ERR_BADVALUE, why);
}

/* be_op.done of every piece. */
static void
piece_done(struct be_op *be)
{
	struct req *c = CONTAINER_OF(be, struct req, be);
	struct pieces *p = c->owner;

	CHECK_OBJ_NOTNULL(p, PIECES_MAGIC);
	piece_judge(p, c);
	child_end(c);
	p->out--;
	if (p->window < PIECES_WINDOW)
		p->window++;
	if (!pieces_go_on(p))
		pieces_note(p, ERR_NOMEM, err_text(ERR_NOMEM));
	if (p->out > 0)
		return;
	if (!p->failed && p->next <= p->ask.head.chunks)
		pieces_note(p, ERR_CANCELLED, err_text(ERR_CANCELLED));
	pieces_end(p);
}

bool
pieces_run(struct ctx *ctx, const struct space *sp, const struct pieces_ask *ask)
{
	struct pieces *p = calloc(1, sizeof *p);

	if (p == NULL)
		return (false);
	p->magic = PIECES_MAGIC;
	p->ctx = ctx;
	p->space = sp;
	p->ask = *ask;
	MUST(ask->key.len <= sizeof p->key && pieces_sane(&ask->head));
	memcpy(p->key, ask->key.p, ask->key.len);
	p->ask.key.p = p->key;
	p->next = 1;
	p->window = ask->what == PIECES_STORE && sp->conf->codec != CONF_CODEC_NONE ? 1 : PIECES_WINDOW;
	p->err = ERR_NONE;
	p->started = loop_now(ctx->loop);
	if (ctx->closing || !pieces_go_on(p) || p->out == 0) {
		p->magic = 0;
		free(p);
		return (false);
	}
	if (ask->what == PIECES_STORE)
		METRIC_ADD(&ctx->metrics, values_split, 1);
	view_pin(sp->view);
	if (p->ask.value != NULL)
		value_ref(p->ask.value);
	return (true);
}
