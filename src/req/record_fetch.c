/*
 * record_fetch.c - items of a page whose values are in pieces.
 *
 * Such an item ends the op that found it; when its pieces are here the page goes on behind it. If a piece is not there,
 * the item has been overwritten or deleted since: it is asked for again, as it is now. One that still has not got its
 * pieces then is lost, and left out.
 */
#include "config.h"

#include <stdlib.h>

#include "obs/log.h"
#include "obs/metric.h"
#include "req/record_read.h"
#include "req/value.h"

#define TRIES_MAX	4

static void
fetch_drop(struct fetch *f)
{
	if (f->value != NULL)
		value_unref(f->value);
	f->value = NULL;
}

/* Its pieces are not there. */
static void
fetch_lost(struct reading *rd)
{
	struct fetch *f = rd->fetch;
	struct slice id = place_id(&f->item);

	if (++f->tries < TRIES_MAX) {
		reading_go_on(rd, true);
		return;
	}
	METRIC_ADD(&rd->r->ctx->metrics, values_lost, 1);
	log_warn("an item of \"%.*s\" is left out: a piece of its value is lost", (int)id.len, id.p);
	f->tries = 0;
	reading_reached(rd, id, place_key(&f->item));
	reading_go_on(rd, true);
}

/* pieces_ask.done */
static void
fetch_done(void *arg, const struct pieces_end *end)
{
	struct reading *rd = arg;
	struct fetch *f = rd->fetch;
	struct rec_item it = { .id = place_id(&f->item), .key = place_key(&f->item), .head = f->head };

	rd->fetches = false;
	if (end->err == ERR_NONE && !end->lost) {
		f->tries = 0;
		if (rd->r->q != NULL)
			reading_add_value(rd, &it, f->value);
		fetch_drop(f);
		reading_go_on(rd, true);
		return;
	}
	fetch_drop(f);
	if (end->err != ERR_NONE)
		reading_failed(rd, end->err, end->why);
	else
		fetch_lost(rd);
}

void
reading_fetch(struct reading *rd)
{
	struct req *r = rd->r;
	struct fetch *f = rd->fetch;
	char buf[PIECES_KEY_MAX];
	struct pieces_ask ask = { .what = PIECES_FETCH, .head = f->head, .timeout = r->be.timeout, .done = fetch_done,
	    .arg = rd };

	ask.key = record_key(r->space, place_id(&f->item), place_key(&f->item), buf);
	f->value = value_heap(r->ctx, (uint32_t)f->head.size);
	ask.value = f->value;
	if (f->value != NULL && pieces_run(r->ctx, r->space, &ask))
		return;
	rd->fetches = false;
	fetch_drop(f);
	reading_failed(rd, ERR_NOMEM, err_text(ERR_NOMEM));
}
