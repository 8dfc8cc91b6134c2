/* Unit tests of src/kv/codec.c: what was encoded comes back, what was not shrinks nothing, and rubbish is told so. */
#include "kv/codec.c"

#include <zdict.h>

#include "tap.h"

#define JSON_MAX	400
#define NSAMPLES	2000

static struct codec_ctx *c;
static char samples[NSAMPLES * JSON_MAX], dictionary[16 * 1024], work[64 * 1024], out[1 << 20];
static size_t dictionary_len;

/* About 300 bytes of what services keep; each another one. */
static size_t
json(char *p, unsigned seed)
{
	static const char *const cities[] = { "Lisbon", "Oslo", "Nairobi", "Lima", "Hanoi", "Austin", "Turin", "Perth" };
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

	x ^= x >> 31;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	return ((size_t)snprintf(p, JSON_MAX, "{\"id\":%u,\"account\":\"%08x\",\"email\":\"user%u@mail.example\",\"name\":{\"first\":"
	    "\"N%u\",\"last\":\"L%u\"},\"active\":%s,\"address\":{\"city\":\"%s\",\"postcode\":\"%05u\",\"country\":\"%c%c\"},"
	    "\"created_at\":\"2025-%02u-%02uT%02u:%02u:00Z\",\"plan\":\"%s\",\"balance\":%u.%02u,\"tags\":[\"%s\",\"t%u\"]}",
	    (unsigned)(x % 1000000), (unsigned)(x >> 16), (unsigned)(x % 99991), (unsigned)(x % 97), (unsigned)(x % 89),
	    x % 3 ? "true" : "false", cities[x >> 20 & 7], (unsigned)(x >> 24 & 0xffff), 'A' + (char)(x % 26),
	    'A' + (char)(x >> 8) % 26, (unsigned)(x % 12) + 1, (unsigned)(x % 28) + 1, (unsigned)(x % 24), (unsigned)(x % 60),
	    x % 5 ? "free" : "business", (unsigned)(x % 5000), (unsigned)(x % 100), x % 2 ? "new" : "loyal",
	    (unsigned)(x % 30)));
}

static void
train(unsigned seed)
{
	static size_t sizes[NSAMPLES];
	size_t at = 0;

	for (unsigned i = 0; i < NSAMPLES; i++) {
		sizes[i] = json(samples + at, seed + i);
		at += sizes[i];
	}
	dictionary_len = ZDICT_trainFromBuffer(dictionary, sizeof dictionary, samples, sizes, NSAMPLES);
}

static char dir[64];

static const char *
path(const char *name)
{
	static char p[2][128];
	static unsigned turn;

	turn ^= 1;
	snprintf(p[turn], sizeof p[turn], "%s/%s", dir, name);
	return (p[turn]);
}

static void
put_file(const char *name, const char *p, size_t len)
{
	FILE *f = fopen(path(name), "w");

	MUST(f != NULL && fwrite(p, 1, len, f) == len && fclose(f) == 0);
}

static struct slice
encode(const struct codec_dicts *ds, struct slice plain, struct envelope *head)
{
	memset(head, 0, sizeof *head);
	return (slice_of(work, codec_encode(c, ds, 3, plain, work, head)));
}

static bool
comes_back(const struct codec_dicts *ds, const struct envelope *head, struct slice in, struct slice plain)
{
	memset(out, 'x', plain.len + 1);
	return (codec_check(ds, head, in, plain.len) == NULL && codec_decode(c, ds, head, in, out) == NULL &&
	    memcmp(out, plain.p, plain.len) == 0 && out[plain.len] == 'x');
}

static void
there_and_back(void)
{
	static char text[60000];
	struct envelope head;
	struct slice in;
	unsigned bad = 0, encoded = 0;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = "the same again and "[i % 19];
	for (size_t len = 0; len <= sizeof text; len += len / 8 + 1) {
		in = encode(NULL, slice_of(text, len), &head);
		if (in.len == 0) {
			bad += head.codec != CODEC_NONE || head.size != 0 || len > 200;
			continue;
		}
		encoded++;
		bad += head.size != len || head.dictionary != 0 || in.len + HEAD_MORE >= len;
		bad += !comes_back(NULL, &head, in, slice_of(text, len));
	}
	ok(bad == 0 && encoded > 30, "%u lengths come back as they were", encoded);

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * i * 2654435761u >> 13);
	in = encode(NULL, slice_of(text, 5000), &head);
	ok(in.len == 0 && head.codec == CODEC_NONE, "what does not shrink stays plain");
}

static void
dictionaries(void)
{
	struct codec_dicts *ds, *old;
	char why[CODEC_WHY_MAX], text[JSON_MAX];
	size_t plain = 0, with = 0, without = 0, first, len;
	struct envelope head, was;
	static char kept[JSON_MAX];
	unsigned bad = 0;
	struct slice in;

	train(1);
	put_file("a.dict", dictionary, dictionary_len);
	ds = codec_dicts_new(path("a.dict"), 3, why);
	if (!ok(ds != NULL && codec_dicts_id(ds) != 0, "a trained dictionary is read"))
		return;
	for (unsigned i = 0; i < 1000; i++) {
		len = json(text, 1000000 + i);
		plain += len;
		in = encode(NULL, slice_of(text, len), &head);
		without += in.len > 0 ? in.len : len;
		in = encode(ds, slice_of(text, len), &head);
		with += in.len > 0 ? in.len : len;
		bad += head.dictionary != codec_dicts_id(ds) || !comes_back(ds, &head, in, slice_of(text, len));
	}
	ok(bad == 0, "1000 values come back");
	ok(with * 10 <= plain * 4, "JSON of %zu bytes is %zu %% smaller, at least 60; without a dictionary %zu %%", plain / 1000,
	    100 - with * 100 / plain, 100 - without * 100 / plain);

	was = head;
	first = in.len;
	memcpy(kept, in.p, in.len);
	train(500000);
	put_file("b.dict", dictionary, dictionary_len);
	put_file("c.dict", "no dictionary", 13);
	put_file("d.other", "of no interest", 14);
	old = ds;
	ds = codec_dicts_new(path("b.dict"), 3, why);
	ok(ds != NULL && codec_dicts_id(ds) != codec_dicts_id(old) && codec_dicts_has(ds, codec_dicts_id(old)),
	    "the old one beside a new one is known");
	ok(comes_back(ds, &was, slice_of(kept, first), slice_of(text, len)), "what it encoded can be read");
	codec_dicts_free(&old);

	ok(codec_check(NULL, &was, slice_of(kept, first), 1000) != NULL &&
	    codec_decode(c, NULL, &was, slice_of(kept, first), out) != NULL, "without it there is an error");
	was.dictionary = codec_dicts_id(ds);
	ok(codec_check(ds, &was, slice_of(kept, first), 1000) != NULL, "another than the frame says is an error");
	/* A dictionary that only pretends to be the one. */
	in = slice_of(kept, first);
	for (unsigned i = 0; i < ds->n; i++)
		if (ds->dicts[i].id == ZSTD_getDictID_fromFrame(kept, first)) {
			ZSTD_freeDDict(ds->dicts[i].reads);
			ds->dicts[i].reads = ds->dicts[0].reads;
		}
	was.dictionary = ZSTD_getDictID_fromFrame(kept, first);
	ok(codec_check(ds, &was, in, 1000) == NULL && codec_decode(c, ds, &was, in, out) != NULL,
	    "a dictionary that has the id of another is noticed");

	ok(codec_dicts_new(path("c.dict"), 3, why) == NULL && strstr(why, "c.dict\": nothing") != NULL, "%s", why);
	ok(codec_dicts_new(path("no.dict"), 3, why) == NULL && strstr(why, "No such file") != NULL, "%s", why);
	ok(codec_dicts_new(dir, 3, why) == NULL && strstr(why, "no regular file") != NULL, "%s", why);
	/* The first bytes are the magic number and the id, the last ones are content, which may be anything. */
	dictionary[dictionary_len - 1] ^= 1;
	put_file("same-id.dict", dictionary, dictionary_len);
	ok(codec_dicts_new(path("b.dict"), 3, why) == NULL && codec_dicts_new(path("a.dict"), 3, why) == NULL &&
	    strstr(why, "has the id of another") != NULL, "%s", why);
	(void)unlink(path("same-id.dict"));
	dictionary[dictionary_len - 1] ^= 1;
	put_file("copy.dict", dictionary, dictionary_len);
	old = codec_dicts_new(path("b.dict"), 3, why);
	ok(old != NULL, "a copy of one is none");
	codec_dicts_free(&old);
	put_file("empty.dict", "", 0);
	ok(codec_dicts_new(path("empty.dict"), 3, why) == NULL, "an empty file is none");
	for (unsigned i = 0; i < ds->n; i++)
		if (i > 0 && ds->dicts[i].reads == ds->dicts[0].reads)
			ds->dicts[i].reads = NULL;
	codec_dicts_free(&ds);
}

static void
frames_of_clients(void)
{
	static char text[4000];
	struct envelope head = { .codec = CODEC_NONE };
	size_t n;

	memset(text, 'a', sizeof text);
	n = ZSTD_compress(work, sizeof work, text, sizeof text, 1);
	ok(codec_adopt(NULL, CODEC_ZSTD, slice_of(work, n), 4000, &head) == NULL && head.codec == CODEC_ZSTD &&
	    head.size == 4000, "a client's frame is taken for what it says");
	ok(comes_back(NULL, &head, slice_of(work, n), slice_of(text, 4000)), "and can be read");
	is_s(codec_adopt(NULL, CODEC_ZSTD, slice_of(work, n), 3999, &head), "SERVER_ERROR object too large for cache", "too large");
	is_s(codec_adopt(NULL, CODEC_COUNT, slice_of(work, n), 4000, &head), "CLIENT_ERROR unknown codec", "unknown codec");
	ok(codec_adopt(NULL, CODEC_ZSTD, slice_of(work, n - 1), 4000, &head) != NULL, "cut short");
	ok(codec_adopt(NULL, CODEC_ZSTD, slice_of(work, n + 1), 4000, &head) != NULL, "more behind it");
	ok(codec_adopt(NULL, CODEC_ZSTD, SLICE_LIT("hello"), 4000, &head) != NULL, "none");
	ok(codec_adopt(NULL, CODEC_ZSTD, SLICE_LIT(""), 4000, &head) != NULL, "empty");
}

static void
lies(void)
{
	static char text[5000], copy[5000];
	struct envelope head, lie;
	unsigned passed = 0, differ = 0;
	struct slice in;

	memset(text, 'a', sizeof text);
	memcpy(text + 1000, "something else", 14);
	in = encode(NULL, slice_of(text, sizeof text), &head);
	lie = head;
	lie.size++;
	ok(codec_check(NULL, &lie, in, 1 << 20) != NULL, "a size that the frame does not have");
	ok(codec_check(NULL, &head, in, head.size - 1) != NULL, "a value that is too large");
	lie = head;
	lie.codec = CODEC_COUNT;
	ok(codec_check(NULL, &lie, in, 1 << 20) != NULL, "an unknown codec");
	for (size_t cut = 0; cut < in.len; cut++)
		passed += codec_check(NULL, &head, slice_of(in.p, cut), 1 << 20) == NULL;
	ok(passed == 0, "a frame that is cut anywhere");
	for (size_t i = 0; i < in.len * 8; i++) {
		memcpy(copy, in.p, in.len);
		copy[i / 8] ^= (char)(1 << i % 8);
		if (codec_check(NULL, &head, slice_of(copy, in.len), 1 << 20) == NULL &&
		    codec_decode(c, NULL, &head, slice_of(copy, in.len), out) == NULL)
			differ += memcmp(out, text, sizeof text) != 0;
	}
	ok(differ == 0, "no bit can be turned without notice");
}

/* What a large value at a high level needs is not kept. */
static void
memory(void)
{
	static char text[1 << 20], dst[1 << 20];
	struct envelope head;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i % 251 * (i / 1000));
	ok(codec_encode(c, NULL, 19, slice_of(text, sizeof text), dst, &head) > 0, "a megabyte at level 19");
	ok(c->writes == NULL || ZSTD_sizeof_CCtx(c->writes) <= CONTEXT_KEEP, "its memory is given back");
	ok(codec_encode(c, NULL, 3, slice_of(text, 1000), dst, &head) > 0, "and there is more");
}

static void
clean_up(void)
{
	static const char *const names[] = { "a.dict", "b.dict", "c.dict", "copy.dict", "d.other", "empty.dict" };

	for (size_t i = 0; i < NITEMS(names); i++)
		(void)unlink(path(names[i]));
	(void)rmdir(dir);
}

int
main(void)
{
	snprintf(dir, sizeof dir, "%s", "/tmp/kvgate-codec.XXXXXX");
	c = codec_new();
	if (!ok(c != NULL && mkdtemp(dir) != NULL, "set up"))
		return (done_testing());
	there_and_back();
	dictionaries();
	frames_of_clients();
	lies();
	memory();
	codec_free(&c);
	clean_up();
	return (done_testing());
}
