/*
 * record_item.c - items on their way into a page: what their lines say, whether they fit, the place that is reached.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "cache/cache.h"
#include "obs/metric.h"
#include "proto/record_reply.h"
#include "req/encode.h"
#include "req/record_read.h"
#include "req/route.h"
#include "req/value.h"

void
place_set(struct place *p, struct slice id, struct slice key)
{
	/* No store has what is longer. */
	if (id.len > sizeof p->id)
		id.len = sizeof p->id;
	if (key.len > sizeof p->key)
		key.len = sizeof p->key;
	p->known = true;
	p->idlen = (uint8_t)id.len;
	p->keylen = (uint16_t)key.len;
	if (id.len > 0)
		memcpy(p->id, id.p, id.len);
	if (key.len > 0)
		memcpy(p->key, key.p, key.len);
}

/*
 * A key of the list is done, and those before it. The next one of that name is meant: of one that is there each was
 * found in its turn, and whether others are looked at once more does no harm.
 */
static void
list_advance(struct reading *rd, struct slice key)
{
	for (uint32_t i = rd->ndone; i < rd->cmd.nkeys; i++)
		if (slice_eq(rd->cmd.keys[i], key)) {
			rd->ndone = i + 1;
			return;
		}
}

void
reading_reached(struct reading *rd, struct slice id, struct slice key)
{
	if (reading_is_list(rd))
		list_advance(rd, key);
	else
		place_set(&rd->place, id, key);
}

/* ---- items ---- */

/* Seconds that an item has to live. */
static int32_t
seconds_left(const struct envelope *head)
{
	uint64_t now = record_now(), left;

	if (head->expiry == 0)
		return (OP_TTL_NONE);
	left = head->expiry > now ? (head->expiry - now + 999) / 1000 : 0;
	return (left > INT32_MAX ? INT32_MAX : (int32_t)left);
}

/* What its line says. The client gets a value as it lies in the store if it reads its codec. */
static void
reading_tell(const struct reading *rd, const struct rec_item *it, struct record_answer *a)
{
	const struct envelope *head = &it->head;
	bool plain = head->codec == CODEC_NONE && head->chunks == 0;

	a->id = it->id;
	a->key = it->key;
	a->client_flags = head->client_flags;
	a->ttl = record_returns(&rd->cmd, 't') ? seconds_left(head) : OP_TTL_NONE;
	a->version = head->version;
	a->size = plain && it->value.p != NULL ? it->value.len : head->size;
	a->len = a->size;
	a->codec = CODEC_NONE;
	a->left_out = (rd->cmd.flags & RF_VALUE_MAX) != 0 && a->size > rd->cmd.value_max;
	/* Of dictionaries clients know nothing. */
	if (head->chunks == 0 && head->dictionary == 0 && it->value.p != NULL &&
	    (rd->cmd.codecs & 1u << head->codec) != 0) {
		a->codec = head->codec;
		a->len = it->value.len;
	}
}

uint32_t
reading_cost(const struct rec_op *rec, const struct rec_item *it)
{
	const struct reading *rd = CONTAINER_OF(rec, const struct reading, task.rec);
	struct record_answer a;
	uint64_t n;

	reading_tell(rd, it, &a);
	n = record_reply_cost(&rd->cmd, &a);
	return (n > UINT32_MAX ? UINT32_MAX : (uint32_t)n);
}

static bool
put_value(struct outq *out, struct slice value)
{
	return (outq_append(out, value.p, value.len) && outq_append(out, "\r\n", 2));
}

/* Line and value, which has the length that the line says. False: out of memory, or the value is no good. */
static bool
put_item(struct reading *rd, struct outq *out, struct slice line, const struct rec_item *it, bool sends, uint64_t len)
{
	struct slice value = it->value;
	enum codec codec;
	void *mem = NULL;
	bool good;

	if (sends && it->head.codec != CODEC_NONE)
		rd->bad = decode_item(rd->r->ctx, rd->r->space, it, rd->cmd.codecs, &value, &codec, &mem);
	if (sends && rd->bad == NULL && value.len != len)
		rd->bad = "value is damaged";
	good = rd->bad == NULL && outq_append(out, line.p, line.len) && (!sends || put_value(out, value));
	free(mem);
	return (good);
}

/* Bytes of an item's line, and of all of it. False: it does not fit any more. */
static bool
reading_fits(struct reading *rd, const struct record_answer *a, size_t line, bool sends, uint64_t *cost)
{
	*cost = line + (sends ? a->len + 2 : 0);
	if (rd->items == 0 || rd->bytes + *cost <= rd->page)
		return (true);
	rd->full = "size";
	return (false);
}

/* It is in the page. */
static void
reading_added(struct reading *rd, const struct rec_item *it, uint64_t cost)
{
	rd->bytes += cost;
	rd->items++;
	reading_reached(rd, it->id, it->key);
	if (rd->left > 0 && --rd->left == 0)
		rd->full = "limit";
}

/* Its value is still to be read. */
static void
reading_postpone(struct reading *rd, const struct rec_item *it)
{
	if (rd->fetch == NULL)
		rd->fetch = calloc(1, sizeof *rd->fetch);
	if (rd->fetch == NULL || !pieces_sane(&it->head)) {
		rd->bad = rd->fetch == NULL ? "out of memory" : "value is damaged";
		rd->full = "partial";
		return;
	}
	place_set(&rd->fetch->item, it->id, it->key);
	rd->fetch->head = it->head;
	rd->fetches = true;
}

/* Writes an item if it fits. */
static void
reading_add(struct reading *rd, const struct rec_item *it)
{
	struct outq *out = req_out(rd->r);
	struct record_answer a;
	char line[RECORD_REPLY_MAX];
	uint64_t cost;
	size_t n;
	bool sends;

	reading_tell(rd, it, &a);
	sends = record_reply_sends(&rd->cmd, &a);
	n = (size_t)(record_reply_item(line, &rd->cmd, &a) - line);
	if (!reading_fits(rd, &a, n, sends, &cost))
		return;
	if (sends && it->head.chunks != 0) {
		reading_postpone(rd, it);
		return;
	}
	if (out != NULL && !put_item(rd, out, slice_of(line, n), it, sends, a.len)) {
		if (rd->bad == NULL)
			req_broken(rd->r);
		rd->full = "partial";
		return;
	}
	METRIC_ADD(&rd->r->ctx->metrics, record_bytes_given, it->key.len + it->value.len);
	reading_added(rd, it, cost);
}

void
reading_add_value(struct reading *rd, const struct rec_item *it, struct value *v)
{
	struct outq *out = req_out(rd->r);
	struct record_answer a;
	char line[RECORD_REPLY_MAX];
	uint64_t cost;
	size_t n;

	reading_tell(rd, it, &a);
	n = (size_t)(record_reply_item(line, &rd->cmd, &a) - line);
	if (!reading_fits(rd, &a, n, true, &cost))
		return;
	if (out != NULL && (!outq_append(out, line, n) || !value_send(v, out) || !outq_append(out, "\r\n", 2)))
		req_broken(rd->r);
	METRIC_ADD(&rd->r->ctx->metrics, record_bytes_read, value_len(v));
	METRIC_ADD(&rd->r->ctx->metrics, record_bytes_given, it->key.len + value_len(v));
	reading_added(rd, it, cost);
}

/* Of a scan of several servers: what others have too (replicas, stand-ins) is told by the one that it is to be at. */
static bool
is_elsewhere(const struct reading *rd, struct slice id)
{
	struct pool *p = rd->r->space->pool;

	return (reading_is_scan(rd) && p->nservers > 1 &&
	    route_pick(p, id, cache_hash(id)) != p->servers[rd->ndone]);
}

void
reading_found(struct be_op *be)
{
	struct reading *rd = CONTAINER_OF(be->rec, struct reading, task.rec);
	struct rec_item it = rd->task.rec.item;

	if (!reading_is_scan(rd))
		it.id = rd->cmd.key;
	rd->op_items++;
	METRIC_ADD(&rd->r->ctx->metrics, record_bytes_read, it.key.len + it.value.len);
	if (rd->full != NULL || rd->fetches || rd->r->q == NULL)
		return;
	if (is_elsewhere(rd, it.id)) {
		rd->skipped = true;
		reading_reached(rd, it.id, it.key);
		return;
	}
	reading_add(rd, &it);
}
