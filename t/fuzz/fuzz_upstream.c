/*
 * fuzz_upstream.c - a server's bytes as the answer to a request of any kind.
 *
 * The first bytes choose the request. Promises: nothing is read outside the bytes; a reply that is DONE, VALUE or
 * BAD stays so whatever follows it, and is MORE (never DONE) while it is not whole; sizes are bounded.
 *
 * build: src/proto/base64.c src/proto/meta.c src/proto/parse.c src/proto/text.c src/proto/token.c src/proto/upstream_parse.c src/proto/upstream_put.c src/base/check.c src/base/num.c
 */
#include "config.h"

#include "base/check.h"
#include "fuzz.h"
#include "proto/command.h"
#include "proto/upstream.h"

static const char *const requests[] = {
	"mg key v\r\n", "mg key v c f h l s t\r\n", "mg key\r\n", "mg key v C5 s\r\n", "mg key t T30 N5 R9\r\n", "ms key 5\r\n",
	"ms key 5 c s C1\r\n", "ms key 5 MA s\r\n", "md key\r\n", "md key C9 x\r\n", "ma key\r\n", "ma key t c N0 C4\r\n",
	"me key\r\n", "get key\r\n", "gets key\r\n", "gat 0 key\r\n", "touch key 5\r\n", "set key 0 0 5\r\n",
	"cas key 0 0 5 1\r\n", "append key 0 0 5\r\n", "delete key\r\n", "incr key 1\r\n", "decr key 1\r\n",
};

static bool
ask(uint8_t which, struct upstream_expect *expect)
{
	static const struct parse_limits limits = { 2048, 2048 };
	enum upstream_dialect dialect = which & 1 ? UPSTREAM_CLASSIC : UPSTREAM_META;
	const char *request = requests[(which >> 1) % NITEMS(requests)];
	char line[64], buf[UPSTREAM_LINE_MAX];
	struct op op = { .verb = OP_FLUSH };
	struct command cmd;
	enum parse_close why;
	size_t used;

	if (which >= 0xfe)
		return (upstream_put(buf, dialect, &op, 7, expect) != NULL);
	memcpy(line, request, strlen(request));
	PROMISE(proto_parse(line, strlen(request), &limits, &cmd, &used, &why) == PARSE_DONE && cmd.id != CMD_BAD);
	return (upstream_put(buf, dialect, &cmd.op, 7, expect) != NULL);
}

static enum upstream_rc
parse(const uint8_t *data, size_t size, const struct upstream_expect *expect, struct op_result *res, size_t *used,
    size_t *tail)
{
	char *buf = exact_copy(data, size);
	enum upstream_rc rc;

	memset(res, 0xa5, sizeof *res);
	*used = *tail = 0;
	rc = upstream_parse(buf, size, expect, res, used, tail);
	if (rc == UPSTREAM_DONE || rc == UPSTREAM_VALUE) {
		PROMISE(*used > 0 && *used <= size && *used <= UPSTREAM_REPLY_MAX + 22);
		PROMISE(res->status <= OP_ERROR);
		PROMISE(res->size <= UPSTREAM_VALUE_MAX || res->status == OP_ERROR);
		PROMISE(res->error.len == 0 || (res->error.p >= buf && res->error.p + res->error.len <= buf + *used));
		PROMISE(rc != UPSTREAM_VALUE || (*tail == 2 || *tail == UPSTREAM_TAIL_MAX));
		PROMISE(res->status != OP_ERROR || rc == UPSTREAM_DONE);
		res->error.p = NULL;
	}
	free(buf);
	return (rc);
}

static bool
same(const struct op_result *a, const struct op_result *b)
{
	return (a->status == b->status && a->bits == b->bits && a->client_flags == b->client_flags && a->ttl == b->ttl &&
	    a->la == b->la && a->size == b->size && a->cas == b->cas &&
	    a->number == b->number && a->error.len == b->error.len);
}

/* A read of many keys: its values one behind the other, the one awaited named or not. */
static void
read_keys(const uint8_t *data, size_t size, uint8_t which)
{
	static const struct slice keys[] = { { "key", 3 }, { "k", 1 }, { "another:key", 11 } };
	struct slice hint = which & 2 ? SLICE_NULL : keys[which % NITEMS(keys)], key, other;
	char line[64], *buf = exact_copy(data, size), *p = buf;
	struct upstream_expect expect;
	struct op_result res, again;
	size_t used, tail, oused, otail;
	enum upstream_rc rc;

	(void)upstream_put_keys(line, keys, NITEMS(keys), which & 1, &expect);
	for (;;) {
		size_t left = size - (size_t)(p - buf);

		used = tail = 0;
		key = hint;
		other = SLICE_NULL;
		rc = upstream_parse_keys(p, left, &expect, &res, &key, &used, &tail);
		PROMISE(rc == upstream_parse_keys(p, left, &expect, &again, &other, &oused, &otail));
		if (rc != UPSTREAM_VALUE)
			break;
		PROMISE(used == oused && tail == 2 && otail == 2 && slice_eq(key, other) && res.size == again.size &&
		    res.client_flags == again.client_flags && res.cas == again.cas && res.size <= UPSTREAM_VALUE_MAX);
		PROMISE(key.len > 0 && key.p > p && key.p + key.len < p + used && used < left + 1);
		if (left - used < res.size + tail)
			break;
		(void)upstream_tail_ok(p + used + res.size, &expect);
		p += used + res.size + tail;
	}
	PROMISE(rc != UPSTREAM_DONE || res.status == OP_OK || res.status == OP_ERROR);
	free(buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct upstream_expect expect;
	struct op_result whole, part;
	size_t used, tail, pused, ptail;
	enum upstream_rc rc, prc;

	if (size > 1 && data[0] == 0xfd) {
		read_keys(data + 2, size - 2, data[1]);
		return (0);
	}
	if (size < 1 || !ask(data[0], &expect))
		return (0);
	data++;
	size--;
	rc = parse(data, size, &expect, &whole, &used, &tail);
	if (rc == UPSTREAM_VALUE && size - used >= tail)
		(void)upstream_tail_ok((const char *)data + used, &expect);
	for (size_t n = 0; n < size; n += 1 + size / 64) {
		prc = parse(data, n, &expect, &part, &pused, &ptail);
		if (rc == UPSTREAM_BAD)
			PROMISE(prc == UPSTREAM_MORE || prc == UPSTREAM_BAD);
		else if (rc == UPSTREAM_MORE || n < used)
			PROMISE(prc == UPSTREAM_MORE);
		else
			PROMISE(prc == rc && pused == used && ptail == tail && same(&whole, &part));
	}
	return (0);
}
