/* Unit tests of src/conf/space_records.c: separator, cache tier, compression, pieces, pages, tokens of a namespace. */
#include "conf/space_records.c"
#include "ctx.h"
#include "tap.h"

#define STORES	"store i { type = redis servers = h } store j { type = redis servers = h database = 1 } store m { type = memcached " \
		"servers = h } store c { type = redis-cluster servers = h }\n"
#define NS(primary, text)	STORES "namespace default { " primary "\n" text "\n}"
#define ITEM(text)	NS("primary { store = i format = item }", text)

static struct conf_ctx x;

/* The default namespace of a text that must be good. Valid until done(). */
static const struct conf_ns *
space(const char *text)
{
	ctx_open(&x);
	ok(ctx_parse(&x, text), "good: %s%s", strchr(text, '\n') + 1, x.error);
	return (x.conf->spaces);
}

static void
done(void)
{
	ctx_close(&x);
}

static void
defaults(void)
{
	const struct conf_ns *n = space(ITEM(""));

	ok(n->separator == NULL && n->separator_len == 0 && n->cache == NULL && n->codec == CONF_CODEC_NONE &&
	    n->dictionary == NULL, "flat, no tier, plain");
	ok(n->chunk_size == 1 << 20 && n->item_size_max == 64 << 20 && n->page_bytes == 2 << 20 &&
	    n->page_bytes_max == 16 << 20, "sizes");
	ok(n->drift_ahead == 10000000 && n->drift_behind == 3600000000, "drift");
	done();
	n = space(NS("primary { store = i }", ""));
	ok(n->format == FORMAT_RAW && n->chunk_size == 0 && n->page_bytes == 0 && n->drift_behind == 0, "nothing of it in raw");
	done();
}

static void
everything(void)
{
	const struct conf_ns *n = space(NS("primary { store = c format = item }", "item_separator = \"::\" cache { store = m "
	    "ttl = 60s } compression { codec = zstd min_size = 100 level = 9 dictionary = \"/dev/../etc/passwd\" } chunk_size = "
	    "64KB item_size_max = 1GB page_bytes = 1MB page_bytes_max = 8MB token_drift_ahead = 0 token_drift_behind = 30m"));

	ok(strcmp(n->separator, "::") == 0 && n->separator_len == 2, "separator");
	ok(n->cache != NULL && n->cache->kind == STORE_MEMCACHED && n->cache_ttl == 60000000, "cache tier");
	ok(n->codec == CONF_CODEC_ZSTD && n->codec_min == 100 && n->codec_level == 9 && n->dictionary != NULL, "compression");
	ok(n->chunk_size == 65536 && n->item_size_max == 1 << 30, "pieces");
	ok(n->page_bytes == 1 << 20 && n->page_bytes_max == 8 << 20, "pages");
	ok(n->drift_ahead == 0 && n->drift_behind == 1800000000, "drift");
	done();
}

static void
what_follows_from_another(void)
{
	ok(space(ITEM("cache { store = m }"))->cache_ttl == 180000000, "the tier keeps for three minutes");
	done();
	ok(space(ITEM("compression { }"))->codec == CONF_CODEC_ZSTD && x.conf->spaces->codec_min == 256 &&
	    x.conf->spaces->codec_level == 3, "a section compresses");
	done();
	ok(space(ITEM("compression { codec = none }"))->codec == CONF_CODEC_NONE, "but for one that says no");
	done();
	ok(space(ITEM("page_bytes = 32MB"))->page_bytes_max == 32 << 20, "a large page is the most, too");
	done();
	ok(space(ITEM("page_bytes_max = 1MB"))->page_bytes == 1 << 20, "a small maximum is the usual, too");
	done();
	ok(space(ITEM("item_size_max = 100KB"))->chunk_size == 1 << 20, "small items have no pieces");
	done();
}

static void
refused_values(void)
{
	static const struct ctx_case cases[] = {
		{ ITEM("item_separator = \"\""), "f:3: item_separator = \"\" has 0 characters; 1 to 8" },
		{ ITEM("item_separator = \"123456789\""), "f:3: item_separator = \"123456789\" has 9 characters; 1 to 8" },
		{ ITEM("item_separator = \"/ \""), "f:3: no key can hold item_separator = \"/ \"; no blanks, no control "
		    "characters" },
		{ ITEM("item_separator = \"\\t\""), "f:3: no key can hold item_separator = \"?\"; no blanks, no control "
		    "characters" },
		{ ITEM("\ncache { }"), "f:4: cache has no store; store = \"NAME\"" },
		{ ITEM("cache {\nstore = none }"), "f:4: store \"none\" is unknown; store \"none\" { ... } somewhere" },
		{ ITEM("cache { store = j }"), "f:3: store \"j\" has type = redis, which is for what has to stay; a cache has "
		    "type = memcached" },
		{ STORES "namespace a { prefix = a primary { store = m } }\nnamespace default { primary { store = i format = item }\n"
		    "cache { store = m } }", "f:4: store \"m\" is the primary of namespace \"a\"; another one for a cache, which may be "
		    "emptied" },
		{ STORES "namespace default { primary { store = i format = item } cache { store = m } }\nnamespace a { prefix = a\n"
		    "primary { store = m } }", "f:4: store \"m\" is the cache of namespace \"default\", which may be emptied; another "
		    "one" },
		{ ITEM("cache { store = m ttl = 0 }"), "f:3: ttl = 0 is out of bounds; 1s to 30d" },
		{ ITEM("cache { store = m ttl = 1500ms }"), "f:3: ttl = 1500ms is no whole number of seconds; 1s or more" },
		{ ITEM("cache { store = m }\ncache { store = m }"), "f:4: a second cache section; one is enough" },
		{ ITEM("compression { codec = gzip }"), "f:3: codec = gzip is unknown; none, zstd" },
		{ ITEM("compression { min_size = 0 }"), "f:3: min_size = 0 is out of bounds; 1B to 1GB" },
		{ ITEM("compression { level = 20 }"), "f:3: level = 20 is out of bounds; a number from 1 to 19" },
		{ ITEM("compression { dictionary = \"/none/such\" }"), "f:3: dictionary = \"/none/such\" cannot be read: No such "
		    "file or directory; a file made by kvgate-dict" },
		{ ITEM("compression { dictionary = \"/\" }"), "f:3: dictionary = \"/\" is no regular file; one made by "
		    "kvgate-dict" },
		{ ITEM("compression { codec = none\ndictionary = \"/d\" }"), "f:4: dictionary with codec = none: nothing is "
		    "compressed; codec = zstd, or leave it out" },
		{ ITEM("compression { }\ncompression { }"), "f:4: a second compression section; one is enough" },
		{ ITEM("chunk_size = 1KB"), "f:3: chunk_size = 1KB is out of bounds; 4KB to 64MB" },
		{ ITEM("chunk_size = 8MB\nitem_size_max = 4MB"), "f:3: chunk_size = 8MB is above item_size_max = 4MB: no value is "
		    "so large; at most as large" },
		{ ITEM("item_size_max = 2GB"), "f:3: item_size_max = 2GB is out of bounds; 1KB to 1GB" },
		{ ITEM("chunk_size = 4KB\nitem_size_max = 1GB"), "f:4: item_size_max is more than 16384 times chunk_size; a larger "
		    "chunk_size" },
		{ ITEM("page_bytes = 1000"), "f:3: page_bytes = 1000 is out of bounds; 1KB to 256MB" },
		{ ITEM("page_bytes_max = 1GB"), "f:3: page_bytes_max = 1GB is out of bounds; 1KB to 256MB" },
		{ ITEM("page_bytes = 4MB\npage_bytes_max = 2MB"), "f:3: page_bytes = 4MB is above page_bytes_max = 2MB; at most as "
		    "large" },
		{ ITEM("token_drift_ahead = 2d"), "f:3: token_drift_ahead = 2d is out of bounds; 0 to 1d" },
		{ ITEM("token_drift_behind = 500ms"), "f:3: token_drift_behind = 500ms is out of bounds; 1s to 15d" },
		{ ITEM("item_separator = \"/\"\nitem_separator = \"/\""), "f:4: \"item_separator\" is here a second time; it is in "
		    "line 3 already" },
	};

	CTX_CASES(cases);
}

/* Each key where it cannot be: the line is the key's. */
static void
refused_places(void)
{
	static const char *const words[] = {
		"item_separator = \"/\"", "chunk_size = 1MB", "item_size_max = 1MB", "page_bytes = 1MB", "page_bytes_max = 1MB",
		"token_drift_ahead = 1s", "token_drift_behind = 1h", "cache { store = m }", "compression { }",
	};
	static const struct {
		const char	*primary;
		const char	*says;
	} places[] = {
		{ "", " without primary: the local cache has plain values only; primary { store = \"NAME\" }, or leave it out" },
		{ "primary { store = m }", " does not go with store \"m\": type = memcached has neither order nor versions; "
		    "type = rocksdb, redis or redis-cluster" },
		{ "primary { store = i }", " without format = item: plain values have neither order nor versions; format = item, "
		    "or leave it out" },
		{ "primary { store = c format = raw }", " without format = item: plain values have neither order nor versions; "
		    "format = item, or leave it out" },
	};
	char text[600], says[400];

	for (size_t p = 0; p < NITEMS(places); p++) {
		for (size_t i = 0; i < NITEMS(words); i++) {
			snprintf(text, sizeof text, STORES "namespace default { %s\n\n%s }", places[p].primary, words[i]);
			snprintf(says, sizeof says, "f:4: %.*s%s", (int)strcspn(words[i], " "), words[i], places[p].says);
			is_s(ctx_error_of(text), says, "refused: %s", says);
		}
	}
}

int
main(void)
{
	defaults();
	everything();
	what_follows_from_another();
	refused_values();
	refused_places();
	return (done_testing());
}
