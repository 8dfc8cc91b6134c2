/*
 * coded_relative.c - what depends on a value that is encoded or in pieces, and which the store has not done therefore.
 *
 *	append, prepend		read, join, write with the unique that was read and the client's token: it counts once
 *	incr, decr		read, write it plain with the unique that was read, and ask again
 *	md I			of pieces, which are named by the version: ask again, keeping that
 *
 * And all of it once more if somebody else was faster.
 */
#include "config.h"

#include "base/check.h"
#include "req/child.h"
#include "req/coded_internal.h"
#include "req/encode.h"
#include "req/hold.h"
#include "req/through_internal.h"
#include "req/value.h"

void
coded_again(struct req *r)
{
	struct coded *c = r->coded;

	if (++c->tries > CODED_TRIES_MAX) {
		coded_fail(r, ERR_BUSY, "too many write this key at once");
		return;
	}
	coded_drop_value(&c->sent);
	coded_drop_value(&c->joined);
	c->stage = CODED_ASKED;
	c->head = (struct envelope){ .codec = CODEC_NONE };
	r->be.op = c->asked;
	r->be.head = NULL;
	r->be.version = c->version;
	if (r->value != NULL && !coded_body(r, r->value)) {
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	coded_send(r);
}

/* An expiry as clients give it, which is that of the item. */
static void
coded_keep_expiry(struct op *op, uint64_t expiry)
{
	op->opts |= OPF_TTL;
	op->ttl = expiry == 0 ? 0 : (int32_t)((expiry + 999) / 1000);
}

/* A write of r's key in the place of the client's: only if what was read is still there. False: out of memory. */
static bool
coded_compare(struct req *r, const struct req *read, uint16_t keep)
{
	struct coded *c = r->coded;
	struct op *op = &r->be.op;

	*op = c->asked;
	op->verb = OP_STORE;
	op->mode = OP_SET;
	op->opts = (uint16_t)((c->asked.opts & keep) | OPF_CAS | OPF_FLAGS);
	if ((read->be.res.bits & OPR_BINKEY) != 0)
		op->opts |= OPF_BINKEY;
	op->cas = read->be.res.cas;
	op->client_flags = read->be.res.client_flags;
	op->order = 0;
	coded_keep_expiry(op, read->be.found_head.expiry);
	r->be.head = NULL;
	return (coded_body(r, c->joined));
}

static struct slice
coded_plain(const struct req *read)
{
	return (read->value != NULL ? value_bytes(read->value) : read->be.data);
}

/* The value that was read with the body before or behind it. */
static void
coded_join(struct req *r, const struct req *read)
{
	struct coded *c = r->coded;
	struct slice old = coded_plain(read);
	uint64_t len = old.len + c->asked.vlen;
	uint32_t off = 0;
	struct iovec iov;
	char *p;

	if (r->be.value_max != 0 && len > r->be.value_max) {
		coded_outcome(r, OP_NOT_STORED);
		through_done(&r->be);
		return;
	}
	/* Both halves were let in: what is made of them is not refused. */
	c->joined = value_work(r->ctx, (uint32_t)len);
	if (c->joined == NULL) {
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	p = (char *)(uintptr_t)value_bytes(c->joined).p;
	if (c->asked.mode == OP_APPEND) {
		memcpy(p, old.p, old.len);
		p += old.len;
	}
	while (off < c->asked.vlen && value_iov(r->value, off, &iov, 1) == 1) {
		off += (uint32_t)iov.iov_len;
		memcpy(p, iov.iov_base, iov.iov_len);
		p += iov.iov_len;
	}
	if (c->asked.mode == OP_PREPEND)
		memcpy(p, old.p, old.len);
	c->stage = CODED_JOINED;
	if (coded_compare(r, read, OPF_BINKEY | OPF_NEWCAS | OPF_TOKEN | OPF_LWW))
		coded_write(r);
	else
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
}

static bool
may_be_number(struct slice s)
{
	size_t i = 0;

	while (i < s.len && (s.p[i] == ' ' || (s.p[i] >= '\t' && s.p[i] <= '\r')))
		i++;
	if (i < s.len && (s.p[i] == '+' || s.p[i] == '-'))
		i++;
	return (i < s.len && s.p[i] >= '0' && s.p[i] <= '9' && s.len <= ENCODE_SCRATCH);
}

/* The value that was read as it is, so that the store can count with it. */
static void
coded_unfold(struct req *r, const struct req *read)
{
	struct coded *c = r->coded;
	struct slice old = coded_plain(read);

	if (!may_be_number(old)) {
		coded_outcome(r, OP_ERROR);
		r->be.res.error = SLICE_LIT("CLIENT_ERROR cannot increment or decrement non-numeric value");
		through_done(&r->be);
		return;
	}
	c->joined = value_work(r->ctx, (uint32_t)old.len);
	if (c->joined == NULL) {
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	memcpy((char *)(uintptr_t)value_bytes(c->joined).p, old.p, old.len);
	c->stage = CODED_PLAIN;
	r->be.version = shared_version(r->ctx->shared);
	if (coded_compare(r, read, OPF_BINKEY))
		coded_send(r);
	else
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
}

static void
coded_relative_read(struct req *read)
{
	struct req *r = read->owner;

	if (read->be.err != ERR_NONE) {
		coded_error(r, read->be.err, NULL);
		coded_keep_why(r, read->be.why);
		through_done(&r->be);
	} else if (read->be.res.status != OP_OK) {
		/* Deleted meanwhile, or a piece of it is lost. */
		if ((r->coded->asked.opts & OPF_VIVIFY) != 0) {
			coded_again(r);
			return;
		}
		coded_outcome(r, r->coded->asked.verb == OP_STORE ? OP_NOT_STORED : OP_MISS);
		through_done(&r->be);
	} else if (r->coded->asked.verb == OP_STORE)
		coded_join(r, read);
	else
		coded_unfold(r, read);
}

static void
coded_relative_then(struct req *read)
{
	coded_relative_read(read);
	child_end(read);
}

static void
coded_relative_got(struct be_op *be)
{
	coded_read(CONTAINER_OF(be, struct req, be), coded_relative_then);
}

/* md I of a value in pieces. */
static void
coded_keep_version(struct req *r)
{
	struct coded *c = r->coded;
	uint64_t there = r->be.res.cas;

	c->stage = CODED_KEPT;
	r->be.op = c->asked;
	r->be.op.opts = (uint16_t)((c->asked.opts & ~(OPF_TOKEN | OPF_LWW)) | OPF_CAS | OPF_NEWCAS);
	r->be.op.cas = r->be.op.newcas = there;
	coded_send(r);
}

void
coded_relative(struct req *r)
{
	struct coded *c = coded_of(r);

	if (c == NULL) {
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	if (c->hold == NULL && !hold_has(r->ctx, r->cmd.op.key, r->cmd.op.hash))
		c->hold = hold_take(r);
	if (c->stage == CODED_ASKED && c->tries == 0) {
		c->asked = r->be.op;
		c->version = r->be.version;
	}
	if (c->stage == CODED_KEPT) {
		coded_fail(r, ERR_UNSUPPORTED, err_text(ERR_UNSUPPORTED));
		return;
	}
	if (c->asked.verb == OP_DELETE)
		coded_keep_version(r);
	else if (!coded_look(r, coded_relative_got))
		coded_fail(r, ERR_NOMEM, err_text(ERR_NOMEM));
}
