/*
 * dump.c - lru_crawler metadump and mgdump: all keys, a screenful at a time.
 *
 * The walk goes on only as fast as the client reads, so a dump of any size costs one block of output.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "cache/cache.h"
#include "cmd/internal.h"
#include "proto/base64.h"
#include "req/answer.h"
#include "req/copy.h"

#define DUMP_STEP	64		/* items between two looks at how full the output is */
#define DUMP_AHEAD	(64 * 1024)	/* output held at once */
#define DUMP_LINE_MAX	1200		/* a key in %XX and every field */

struct dump {
	struct client	*cl;
	struct outq	*out;
	uint64_t	 cursor;
	bool		 mg;
	bool		 no_memory;
};

static char *
put_uri(char *p, struct slice key)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < key.len; i++) {
		unsigned char c = (unsigned char)key.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		    c == '_' || c == '~')
			*p++ = (char)c;
		else {
			*p++ = '%';
			*p++ = hex[c >> 4];
			*p++ = hex[c & 15];
		}
	}
	return (p);
}

static char *
put_mg(char *p, const struct item *it)
{
	struct slice key = item_key(it);

	memcpy(p, "mg ", 3);
	p += 3;
	if (item_binkey(it)) {
		p = base64_put(p, key.p, key.len);
		memcpy(p, " b", 2);
		p += 2;
	} else {
		memcpy(p, key.p, key.len);
		p += key.len;
	}
	memcpy(p, "\r\n", 2);
	return (p + 2);
}

static char *
put_meta(char *p, const struct item *it, const struct shared *sh)
{
	uint32_t exp = item_exptime(it), now = cache_now(sh->cache);
	/* Only the low bits of the last access are kept. */
	uint32_t la = now - ((now - it->state) & ITEM_LA_MASK);
	size_t size = item_size(it);

	memcpy(p, "key=", 4);
	p = put_uri(p + 4, item_key(it));
	p += snprintf(p, 300, " exp=%" PRId64 " la=%" PRId64 " cas=%" PRIu64
	    " fetch=%s cls=%u size=%zu flags=%" PRIu32 "\n",
	    exp == 0 ? -1 : (int64_t)sh->started + exp,
	    (int64_t)sh->started + la, item_noted(it) ? 0 : item_cas(it),
	    item_fetched(it) ? "yes" : "no", cache_size_class(size), size,
	    item_client_flags(it));
	return (p);
}

static bool
dump_visit(void *arg, const struct item *it)
{
	struct dump *d = arg;
	char *p, *e;

	if (copy_is_negative(it))
		return (true);
	p = outq_reserve(d->out, DUMP_LINE_MAX);
	if (p == NULL) {
		d->no_memory = true;
		return (false);
	}
	e = d->mg ? put_mg(p, it) : put_meta(p, it, d->cl->ctx->shared);
	outq_commit(d->out, (size_t)(e - p));
	return (true);
}

static bool
dump_more(struct client *cl, void *state)
{
	struct dump *d = state;
	bool more = true;

	if (cl == NULL) {
		free(d);
		return (false);
	}
	d->out = &cl->out;
	while (more && !d->no_memory && outq_len(d->out) < DUMP_AHEAD)
		more = cache_walk(cl->ctx->cache, &d->cursor, DUMP_STEP,
		    dump_visit, d);
	if (more && !d->no_memory)
		return (true);
	if (d->no_memory || !answer_text(d->out, d->mg ? "EN" : "END"))
		cl->q.broken = true;
	free(d);
	return (false);
}

bool
cmd_dump(struct client *cl, bool mg)
{
	struct dump *d = calloc(1, sizeof *d);

	if (d == NULL)
		return (cmd_say(cl, NULL, "SERVER_ERROR out of memory"));
	d->cl = cl;
	d->mg = mg;
	cl->produce = dump_more;
	cl->produce_state = d;
	return (true);
}
