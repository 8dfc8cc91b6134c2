/*
 * request.c - makes the next request: what to ask, or to store.
 *
 * Requests are appended to the thread's write buffer, so that all of a batch
 * leave in one write.
 */
#include "config.h"

#include "conn.h"
#include "put.h"

static bool
make_read(struct thread *t, struct request *r, struct want *wants)
{
	const struct opts *o = t->opts;
	struct tracks *tr = &t->load->tracks;

	r->op = o->read_op;
	r->nkeys = o->multi;
	r->array = false;
	r->came = 0;
	for (unsigned i = 0; i < o->multi; i++) {
		wants[i].key = gen_pick(&o->gen, &t->random);
		wants[i].seen = false;
		wants[i].floor = tr->acked == NULL ? 0 :
		    atomic_load_explicit(&tr->acked[wants[i].key],
			memory_order_acquire);
	}
	return put_read(o, &t->wbuf, wants, o->multi);
}

static uint32_t
new_version(struct thread *t, uint32_t key)
{
	struct tracks *tr = &t->load->tracks;

	if (t->opts->gen.fixed)
		return 0;
	if (tr->issued != NULL)
		return 1 + atomic_fetch_add_explicit(&tr->issued[key], 1,
		    memory_order_release);
	return ++t->next_version * t->opts->threads + t->index;
}

static bool
make_write(struct thread *t, struct request *r, struct want *want, uint32_t key)
{
	r->op = t->opts->write_op;
	r->nkeys = 1;
	r->version = new_version(t, key);
	want->key = key;
	return put_write(t->opts, &t->wbuf, key, r->version);
}

/* --check-stale orders the writes of a key: only one may be on the wire. */
static bool
take_key(struct thread *t, uint32_t key)
{
	struct tracks *tr = &t->load->tracks;
	uint8_t idle = 0;

	return tr->busy == NULL ||
	    atomic_compare_exchange_strong(&tr->busy[key], &idle, 1);
}

bool
request_make(struct thread *t, struct conn *c, uint64_t at)
{
	const struct opts *o = t->opts;
	unsigned slot = (c->head + c->count) % t->ring_size;
	struct request *r = &c->ring[slot];
	struct want *wants = &c->wants[(size_t)slot * o->multi];
	uint32_t key;
	bool made, write;

	r->at = at;
	if (t->prefilling) {
		write = true;
		key = t->next_key++;
	} else {
		write = o->writes > 0 && (gen_random(&t->random) >> 32) *
		    ((uint64_t)o->reads + o->writes) >> 32 >= o->reads;
		key = write ? gen_pick(&o->gen, &t->random) : 0;
	}
	/* If the key is being written by somebody else, read instead. */
	if (write && take_key(t, key))
		made = make_write(t, r, wants, key);
	else
		made = make_read(t, r, wants);
	if (made) {
		c->count++;
		t->in_flight++;
		t->left--;
	}
	return made;
}
