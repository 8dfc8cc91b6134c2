/*
 * fuzz_page.c - any bytes as a page token, and any place as a token and back.
 *
 * Promises: nothing is read outside of the token; what is taken is spelled as we would spell it; every place comes back as
 * it was put in, and is refused when one byte is another or the question is.
 *
 * build: src/kv/page.c src/proto/base64.c src/base/check.c -lxxhash
 */
#include "config.h"

#include "fuzz.h"
#include "kv/page.h"

/* Cuts a slice of at most max bytes off the input. */
static struct slice
take(const uint8_t **p, const uint8_t *end, size_t max)
{
	size_t len = 0;
	struct slice s;

	if (end - *p >= 2) {
		len = ((size_t)(*p)[0] << 8 | (*p)[1]) % (max + 2);
		*p += 2;
	}
	if (len == max + 1)
		return (SLICE_NULL);
	if (len > (size_t)(end - *p))
		len = (size_t)(end - *p);
	s = slice_of((const char *)*p, len);
	*p += len;
	return (s);
}

static void
same(struct slice a, struct slice b)
{
	PROMISE((a.p == NULL) == (b.p == NULL) && slice_eq(a, b));
}

static void
anything(const uint8_t *data, size_t size, const struct page_ask *ask)
{
	char *copy = exact_copy(data, size), raw[PAGE_RAW_MAX], again[PAGE_TOKEN_MAX];
	struct page_at at;

	if (page_get(slice_of(copy, size), ask, &at, raw)) {
		PROMISE(page_put(again, ask, &at) == again + size);
		PROMISE(memcmp(again, copy, size) == 0);
	}
	free(copy);
}

static void
there_and_back(const uint8_t *p, const uint8_t *end)
{
	struct rec_which which = { .reverse = true }, other;
	struct page_ask ask = { .which = &which }, another;
	struct page_at at = { .left = 7, .done = 3, .size = 1000 }, got;
	char token[PAGE_TOKEN_MAX], raw[PAGE_RAW_MAX], *copy;
	size_t len, where;

	where = p < end ? *p++ : 0;
	ask.verb = where % 2 == 0 ? OP_SCAN : OP_ITEMS_READ;
	ask.space = take(&p, end, 100);
	ask.id = take(&p, end, 250);
	at.id = ask.verb == OP_SCAN ? take(&p, end, 250) : SLICE_NULL;
	at.key = take(&p, end, REC_KEY_MAX);
	which.from = take(&p, end, REC_KEY_MAX);
	which.head = take(&p, end, REC_KEY_MAX);
	len = (size_t)(page_put(token, &ask, &at) - token);
	PROMISE(len > 0 && len <= PAGE_TOKEN_MAX);
	copy = exact_copy(token, len);
	PROMISE(page_get(slice_of(copy, len), &ask, &got, raw));
	same(got.id, at.id);
	same(got.key, at.key);
	PROMISE(got.left == 7 && got.done == 3 && got.size == 1000);
	another = ask;
	other = which;
	another.which = &other;
	other.reverse = false;
	another.parts++;
	PROMISE(!page_get(slice_of(copy, len), &another, &got, raw));
	where = where * 131 % len;
	copy[where] = copy[where] == 'A' ? 'B' : 'A';
	PROMISE(!page_get(slice_of(copy, len), &ask, &got, raw));
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rec_which all;
	static const struct page_ask read = { .verb = OP_ITEMS_READ, .space = { "n", 1 }, .id = { "n:1", 3 }, .which = &all };
	static const struct page_ask scan = { .verb = OP_SCAN, .space = { "n", 1 }, .part = 1, .parts = 4 };

	anything(data, size, &read);
	anything(data, size, &scan);
	there_and_back(data, data + size);
	return (0);
}
