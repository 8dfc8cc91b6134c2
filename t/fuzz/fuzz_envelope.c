/*
 * fuzz_envelope.c - any bytes as an item, and any op on what is an item.
 *
 * Promises: nothing is read outside of the item; a head, written again, is the same; what an op makes of an item is an
 * item, whose length was told before; what failed changes nothing; a first answer comes back as it was.
 *
 * build: src/proto/envelope.c src/backend/item_verb.c src/backend/item_verb_store.c src/backend/markers.c src/base/num.c
 */
#include "config.h"

#include "backend/item_verb.h"
#include "fuzz.h"

#define NOW	1000000

/* What an op may be, in front of the item. */
struct wish {
	uint8_t		 verb, mode, order[2], opts[2], want[2];
	uint8_t		 ttl, vivify_ttl, recache_ttl, flags, cas, version, nonce, how;
};

static void
check_head(const struct envelope *e, struct slice value)
{
	char bytes[ENVELOPE_LEN_MAX];
	struct envelope again;
	struct slice rest;
	char *end = envelope_put(bytes, e);

	PROMISE(end > bytes && end <= bytes + sizeof bytes);
	PROMISE(envelope_get(slice_of(bytes, (size_t)(end - bytes)), &again, &rest) && rest.len == 0);
	PROMISE(again.marks == e->marks && again.codec == e->codec && again.client_flags == e->client_flags);
	PROMISE(again.version == e->version && again.expiry == e->expiry);
	PROMISE(memcmp(again.nonce, e->nonce, NONCE_LEN) == 0);
	if (row_encoded(e))
		PROMISE(again.size == e->size && again.dictionary == e->dictionary && again.chunk == e->chunk &&
		    again.chunks == e->chunks);
	else
		PROMISE(e->size == value.len);
}

static void
check_answer(const struct op_result *res)
{
	char bytes[ROW_ANSWER_LEN];
	struct op_result again;
	uint64_t until;

	PROMISE(row_answer_put(bytes, res, 77) == bytes + sizeof bytes);
	PROMISE(row_answer_get(slice_of(bytes, sizeof bytes), &again, &until) && until == 77);
	PROMISE(again.status == res->status && again.bits == res->bits && again.cas == res->cas);
	PROMISE(again.ttl == res->ttl && again.size == res->size && again.number == res->number);
}

static void
check_effect(const struct row_effect *e)
{
	char *bytes = malloc(row_effect_len(e));
	struct envelope head;
	struct slice value;
	size_t len;

	PROMISE(bytes != NULL);
	len = (size_t)(row_effect_put(bytes, e) - bytes);
	PROMISE(len <= row_effect_len(e));
	PROMISE(envelope_get(slice_of(bytes, len), &head, &value) && value.len == e->len);
	PROMISE(head.version == e->head.version && head.expiry == e->head.expiry && head.marks == e->head.marks);
	free(bytes);
}

static void
wish_op(const struct wish *w, struct be_op *be, uint64_t version)
{
	static const uint8_t verbs[] = { OP_GET, OP_STORE, OP_DELETE, OP_ARITH, OP_DEBUG, OP_ITEMS_DELETE };

	memset(be, 0, sizeof *be);
	be->op.verb = verbs[w->verb % 6];
	be->op.mode = (uint8_t)(be->op.verb == OP_ARITH ? OP_INCR + w->mode % 2 : w->mode % 5);
	be->op.order = (uint16_t)(w->order[0] << 8 | w->order[1]);
	be->op.opts = (uint16_t)(w->opts[0] << 8 | w->opts[1]);
	be->op.want = (uint16_t)(w->want[0] << 8 | w->want[1]);
	be->op.ttl = (int8_t)w->ttl;
	be->op.vivify_ttl = (int8_t)w->vivify_ttl;
	be->op.recache_ttl = (int8_t)w->recache_ttl;
	be->op.client_flags = w->flags;
	be->op.cas = version + (uint64_t)(int64_t)(int8_t)w->cas;
	be->op.newcas = be->op.delta = be->op.initial = (uint64_t)(int64_t)(int8_t)w->cas;
	be->version = version + (uint64_t)(int64_t)(int8_t)w->version;
	be->nonce[0] = w->nonce;
	be->keep_dead = w->how & 1 ? 1000 : 0;
	be->value_max = w->how & 2 ? 10 : 0;
}

static void
check_op(const struct wish *w, const struct row *row)
{
	static char text[] = "12345";
	struct iovec body[2] = { { text, 3 }, { text + 3, 2 } };
	struct stamp cover = { .version = (row != NULL ? row->head.version : 500) + (w->how >> 4) - 3 };
	struct row_ask ask = { .row = row, .now = NOW };
	struct envelope chunks = { .chunk = 2, .chunks = 3, .size = 5 };
	struct row_effect e;
	struct op_result res;
	struct be_op be;

	wish_op(w, &be, row != NULL ? row->head.version : 500);
	be.body = body;
	be.nbody = 2;
	be.op.vlen = 5;
	if (w->how & 4)
		be.head = &chunks;
	if (w->how & 8)
		ask.cover = &cover;
	ask.be = &be;
	row_verb(&ask, &res, &e);
	PROMISE(res.status <= OP_ERROR && (res.status == OP_ERROR) == (res.error.len > 0));
	PROMISE(e.what == ROW_KEEP || e.what == ROW_PUT || e.what == ROW_REMOVE || res.bits == OPR_ENCODED);
	if (res.status != OP_OK)
		PROMISE(e.what != ROW_REMOVE && !e.remember &&
		    (e.what != ROW_PUT || (res.status == OP_MISS && (e.head.marks & ENVELOPE_DEAD) != 0)));
	if (e.what == ROW_PUT)
		check_effect(&e);
	if (e.remember)
		check_answer(&res);
	PROMISE(row_version(&ask) >= be.version);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wish w;
	struct row row;
	char *item;

	if (size < sizeof w)
		return (0);
	memcpy(&w, data, sizeof w);
	item = exact_copy(data + sizeof w, size - sizeof w);
	if (envelope_get(slice_of(item, size - sizeof w), &row.head, &row.value)) {
		PROMISE(row.value.p >= item && row.value.p + row.value.len == item + (size - sizeof w));
		check_head(&row.head, row.value);
		check_op(&w, &row);
	} else
		check_op(&w, NULL);
	free(item);
	return (0);
}
