/*
 * flush.c - a shard emptied at once, which is how it carries out a flush_all: at the next lock after it.
 *
 * Everything that was linked is gone. Reservations pin their slabs: these are retired, and come back when they are
 * linked.
 */
#include "config.h"

#include <string.h>

#include "cache/bucket.h"

/*
 * A slab that is pinned may come back with a reservation; by then the heads of other values' pieces in it may be
 * gone, so these are marked while the index still tells linked heads from reserved ones.
 */
static void
kill_pieces(struct cache_shard *s, uint32_t no)
{
	struct slab *sl = &s->c->slabs[no];

	if (atomic_load_explicit(&sl->pins, memory_order_relaxed) == 0)
		return;
	for (uint32_t off = 0; off < sl->used;) {
		struct item *rec = (struct item *)(void *)(slab_mem(s->c, no) + off), *head;

		off += item_record_size(rec);
		if ((rec->shape & ITEM_L_PIECE) == 0 || (rec->state & ITEM_DEAD) != 0)
			continue;
		head = item_at(s, rec->cas);
		if (index_find_addr(s, cache_hash(item_key(head)), rec->cas).b != NULL)
			rec->state |= ITEM_DEAD;
	}
}

static void
kill_all_pieces(struct cache_shard *s)
{
	for (unsigned q = 0; q < NQUEUES; q++)
		for (uint32_t no = s->queue[q].head; no != SLAB_NONE; no = s->c->slabs[no].next)
			kill_pieces(s, no);
	for (unsigned st = 0; st < NSTREAMS; st++)
		if (s->open[st] != SLAB_NONE)
			kill_pieces(s, s->open[st]);
	if (s->victim != SLAB_NONE)
		kill_pieces(s, s->victim);
}

static void
retire_all(struct cache_shard *s, struct slab_list *l)
{
	uint32_t no;

	while ((no = l->head) != SLAB_NONE) {
		list_remove(s->c, l, no);
		(void)slab_retire(s, no);
	}
}

void
shard_flush(struct cache_shard *s)
{
	kill_all_pieces(s);
	index_clear(s);
	s->found = NULL;
	s->st.items = s->st.bytes = s->st.value_bytes = 0;
	for (unsigned q = 0; q < NQUEUES; q++)
		retire_all(s, &s->queue[q]);
	for (unsigned st = 0; st < NSTREAMS; st++) {
		if (s->open[st] != SLAB_NONE)
			(void)slab_retire(s, s->open[st]);
		s->open[st] = SLAB_NONE;
	}
	if (s->victim != SLAB_NONE)
		(void)slab_retire(s, s->victim);
	s->victim = SLAB_NONE;
	retire_all(s, &s->big);
}
