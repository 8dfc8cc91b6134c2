/*
 * space_records.c - what a namespace section says of records and of how values are kept: separator, cache tier,
 * compression, pieces, pages, tokens.
 *
 * All of it needs the envelope, so a namespace in raw format, or one without a store, has none of it, and what such a
 * section says of it is refused.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "conf/file.h"

#define KB		1024ull
#define MB		(1024 * KB)
#define SEPARATOR_MAX	8
#define CACHE_TTL	(180 * FILE_SECOND)
#define CODEC_MIN	256		/* of less there is little to gain without a dictionary */
#define CODEC_LEVEL	3
#define CODEC_LEVEL_MAX	19u		/* beyond, zstd takes memory by the hundred megabytes */
#define CHUNK_SIZE	MB
#define ITEM_SIZE	(64 * MB)
#define PAGE_BYTES	(2 * MB)
#define PAGE_BYTES_TOP	(16 * MB)
#define CHUNKS_MAX	16384u		/* of one value: each read of it asks for all of them */
#define DRIFT_AHEAD	(10 * FILE_SECOND)
#define DRIFT_BEHIND	(3600 * FILE_SECOND)

static const char *const sections[] = { "cache", "compression" };
static const char *const keys[] = {
	"item_separator", "chunk_size", "item_size_max", "page_bytes", "page_bytes_max", "token_drift_ahead",
	"token_drift_behind",
};

static bool
refuse(struct conf_ctx *x, const struct conf_ns *ns, int line, const char *key)
{
	const struct conf_store *s = ns->primary;

	if (s == NULL)
		return (conf_fail_at(x, line, "%s without primary: the local cache has plain values only; primary { store = "
		    "\"NAME\" }, or leave it out", key));
	if (s->kind == STORE_MEMCACHED)
		return (conf_fail_at(x, line, "%s does not go with store \"%s\": type = memcached has neither order nor "
		    "versions; type = rocksdb, redis or redis-cluster", key, s->name));
	return (conf_fail_at(x, line, "%s without format = item: plain values have neither order nor versions; format = item, "
	    "or leave it out", key));
}

/* Of a namespace whose values have no envelope. */
static bool
check_nothing_said(struct conf_ctx *x, cfg_t *sec, const struct conf_ns *ns)
{
	for (size_t i = 0; i < NITEMS(keys); i++)
		if (file_value(sec, keys[i]) != NULL)
			return (refuse(x, ns, file_value(sec, keys[i])->line, keys[i]));
	for (size_t i = 0; i < NITEMS(sections); i++)
		if (cfg_size(sec, sections[i]) > 0)
			return (refuse(x, ns, file_line(cfg_getnsec(sec, sections[i], 0)), sections[i]));
	return (true);
}

static bool
read_separator(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *v = file_value(sec, "item_separator");
	size_t len = v != NULL ? strlen(v->text) : 0;

	if (v == NULL)
		return (true);
	if (len == 0 || len > SEPARATOR_MAX)
		return (conf_fail_at(x, v->line, "item_separator = \"%.60s\" has %zu characters; 1 to %d", v->text, len,
		    SEPARATOR_MAX));
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)v->text[i] <= ' ' || v->text[i] == 0x7f)
			return (conf_fail_at(x, v->line, "no key can hold item_separator = \"%.60s\"; no blanks, no control "
			    "characters", v->text));
	ns->separator_len = len;
	return (conf_set_str(x, &ns->separator, v->text));
}

static bool
read_cache(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *store;
	cfg_t *cache;

	if (!file_only_section(x, sec, "cache", &cache))
		return (false);
	if (cache == NULL)
		return (true);
	store = file_value(cache, "store");
	if (store == NULL)
		return (conf_fail_at(x, file_line(cache), "cache has no store; store = \"NAME\""));
	ns->cache = file_find_store(x->conf, store->text);
	if (ns->cache == NULL)
		return (conf_fail_at(x, store->line, "store \"%.60s\" is unknown; store \"%.60s\" { ... } somewhere",
		    store->text, store->text));
	if (ns->cache->kind != STORE_MEMCACHED)
		return (conf_fail_at(x, store->line, "store \"%s\" has type = %s, which is for what has to stay; a cache has "
		    "type = memcached", ns->cache->name, ns->cache->type));
	for (const struct conf_ns *o = x->conf->spaces; o < ns; o++)
		if (o->primary == ns->cache)
			return (conf_fail_at(x, store->line, "store \"%s\" is the primary of namespace \"%s\"; another one for a "
			    "cache, which may be emptied", ns->cache->name, o->name));
	ns->cache_ttl = CACHE_TTL;
	return (file_get_seconds(x, cache, "ttl", FILE_SECOND, 30 * FILE_DAY, &ns->cache_ttl));
}

/* What is wrong with a file is better known now than when the first value comes. */
static bool
read_dictionary(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *v = file_value(sec, "dictionary");
	struct stat st;
	int fd;

	if (v == NULL)
		return (true);
	if (ns->codec == CONF_CODEC_NONE)
		return (conf_fail_at(x, v->line, "dictionary with codec = none: nothing is compressed; codec = zstd, or leave it "
		    "out"));
	ns->dictionary_line = v->line;
	if (!file_get_str(x, sec, "dictionary", &ns->dictionary) || !conf_keep_path(x, &ns->dictionary))
		return (false);
	fd = open(ns->dictionary, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0)
		conf_fail_at(x, v->line, "dictionary = \"%.200s\" cannot be read: %s; a file made by kvgate-dict", v->text,
		    strerror(errno));
	else if (!S_ISREG(st.st_mode))
		conf_fail_at(x, v->line, "dictionary = \"%.200s\" is no regular file; one made by kvgate-dict", v->text);
	if (fd >= 0)
		close(fd);
	return (!x->failed);
}

static bool
read_compression(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	static const char *const codecs[] = { [CONF_CODEC_NONE] = "none", [CONF_CODEC_ZSTD] = "zstd", NULL };
	int codec = CONF_CODEC_ZSTD;
	unsigned level = CODEC_LEVEL;
	cfg_t *sub;

	ns->codec_min = CODEC_MIN;
	ns->codec_level = CODEC_LEVEL;
	if (!file_only_section(x, sec, "compression", &sub))
		return (false);
	if (sub == NULL)
		return (true);
	if (!file_get_word(x, sub, "codec", codecs, &codec) || !file_get_size(x, sub, "min_size", 1, 1024 * MB, &ns->codec_min) ||
	    !file_get_uint(x, sub, "level", 1, CODEC_LEVEL_MAX, &level))
		return (false);
	ns->codec = (enum conf_codec)codec;
	ns->codec_level = (int)level;
	return (read_dictionary(x, sub, ns));
}

static bool
read_sizes(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *chunk = file_value(sec, "chunk_size"), *item = file_value(sec, "item_size_max");

	ns->chunk_size = CHUNK_SIZE;
	ns->item_size_max = ITEM_SIZE;
	if (!file_get_size(x, sec, "chunk_size", 4 * KB, 64 * MB, &ns->chunk_size) ||
	    !file_get_size(x, sec, "item_size_max", KB, 1024 * MB, &ns->item_size_max))
		return (false);
	if (chunk != NULL && ns->chunk_size > ns->item_size_max)
		return (conf_fail_at(x, chunk->line, "chunk_size = %.60s is above item_size_max%s%.60s: no value is so large; at "
		    "most as large", chunk->text, item != NULL ? " = " : "", item != NULL ? item->text : ""));
	if (ns->item_size_max / ns->chunk_size > CHUNKS_MAX)
		return (conf_fail_at(x, (item != NULL ? item : chunk)->line, "item_size_max is more than %u times chunk_size; a "
		    "larger chunk_size", CHUNKS_MAX));
	return (true);
}

static bool
read_pages(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *usual = file_value(sec, "page_bytes"), *most = file_value(sec, "page_bytes_max");

	ns->page_bytes = PAGE_BYTES;
	ns->page_bytes_max = PAGE_BYTES_TOP;
	if (!file_get_size(x, sec, "page_bytes", KB, 256 * MB, &ns->page_bytes))
		return (false);
	/* One that is said moves the other that is not. */
	if (most == NULL && ns->page_bytes > ns->page_bytes_max)
		ns->page_bytes_max = ns->page_bytes;
	if (!file_get_size(x, sec, "page_bytes_max", KB, 256 * MB, &ns->page_bytes_max))
		return (false);
	if (usual == NULL && ns->page_bytes > ns->page_bytes_max)
		ns->page_bytes = ns->page_bytes_max;
	if (ns->page_bytes > ns->page_bytes_max)
		return (conf_fail_at(x, usual->line, "page_bytes = %.60s is above page_bytes_max = %.60s; at most as large",
		    usual->text, most->text));
	return (true);
}

static bool
read_tokens(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	ns->drift_ahead = DRIFT_AHEAD;
	ns->drift_behind = DRIFT_BEHIND;
	return (file_get_time(x, sec, "token_drift_ahead", 0, FILE_DAY, &ns->drift_ahead) &&
	    file_get_time(x, sec, "token_drift_behind", FILE_SECOND, 15 * FILE_DAY, &ns->drift_behind));
}

bool
file_read_space_records(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	if (ns->format != FORMAT_ITEM)
		return (check_nothing_said(x, sec, ns));
	return (read_separator(x, sec, ns) && read_cache(x, sec, ns) && read_compression(x, sec, ns) &&
	    read_sizes(x, sec, ns) && read_pages(x, sec, ns) && read_tokens(x, sec, ns));
}
