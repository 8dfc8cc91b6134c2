/*
 * parse.c - from bytes to the command line, from the line to the reader of its shape.
 *
 * The command word is found by a switch over its length and first bytes: the words of the hot commands are
 * told apart by one or two comparisons. Everything that is not a known word is ERROR, except what only looks like
 * a line: HTTP and the binary protocol, whose senders would not understand it.
 */
#include "config.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "proto/parse.h"

static const char *const words[CMD_COUNT] = {
#define CMD(id, word, shape, flags)	[CMD_##id] = word,
#include "tbl/commands.h"
#undef CMD
};

static const uint8_t shapes[CMD_COUNT] = {
	[CMD_BAD] = SHAPE_WORDS,
#define CMD(id, word, shape, flags)	[CMD_##id] = shape,
#include "tbl/commands.h"
#undef CMD
};

const char *
command_word(enum cmd_id id)
{
	return ((unsigned)id < CMD_COUNT && words[id] != NULL ? words[id] : "?");
}

#define IS(p, lit)	(memcmp((p), (lit), sizeof(lit) - 1) == 0)

/* The record commands. */
static enum cmd_id
word_of_k(const char *p)
{
	if (p[0] != 'k')
		return (CMD_BAD);
	switch (p[1]) {
	case 'g':
		return (CMD_KG);
	case 'p':
		return (CMD_KP);
	case 'd':
		return (CMD_KD);
	case 'm':
		return (CMD_KM);
	case 's':
		return (CMD_KS);
	case 'h':
		return (CMD_KH);
	}
	return (CMD_BAD);
}

static enum cmd_id
word_of_2(const char *p)
{
	if (p[0] != 'm')
		return (word_of_k(p));
	switch (p[1]) {
	case 'g':
		return (CMD_MG);
	case 's':
		return (CMD_MS);
	case 'd':
		return (CMD_MD);
	case 'a':
		return (CMD_MA);
	case 'n':
		return (CMD_MN);
	case 'e':
		return (CMD_ME);
	}
	return (CMD_BAD);
}

static enum cmd_id
word_of_3(const char *p)
{
	if (IS(p, "get"))
		return (CMD_GET);
	if (IS(p, "set"))
		return (CMD_SET);
	if (IS(p, "add"))
		return (CMD_ADD);
	if (IS(p, "cas"))
		return (CMD_CAS);
	if (IS(p, "gat"))
		return (CMD_GAT);
	return (IS(p, "lru") ? CMD_LRU : CMD_BAD);
}

static enum cmd_id
word_of_4(const char *p)
{
	if (IS(p, "gets"))
		return (CMD_GETS);
	if (IS(p, "incr"))
		return (CMD_INCR);
	if (IS(p, "decr"))
		return (CMD_DECR);
	if (IS(p, "gats"))
		return (CMD_GATS);
	return (IS(p, "quit") ? CMD_QUIT : CMD_BAD);
}

/* The less frequent words, by length alone or nearly so. */
static enum cmd_id
word_of_many(const char *p, size_t len)
{
	switch (len) {
	case 5:
		return (IS(p, "touch") ? CMD_TOUCH : IS(p, "stats") ? CMD_STATS :
		    IS(p, "slabs") ? CMD_SLABS : IS(p, "watch") ? CMD_WATCH : CMD_BAD);
	case 6:
		return (IS(p, "delete") ? CMD_DELETE : IS(p, "append") ? CMD_APPEND : CMD_BAD);
	case 7:
		return (IS(p, "replace") ? CMD_REPLACE : IS(p, "prepend") ? CMD_PREPEND :
		    IS(p, "version") ? CMD_VERSION : CMD_BAD);
	case 8:
		return (IS(p, "shutdown") ? CMD_SHUTDOWN : CMD_BAD);
	case 9:
		return (IS(p, "flush_all") ? CMD_FLUSH_ALL : IS(p, "verbosity") ? CMD_VERBOSITY : CMD_BAD);
	case 10:
		return (IS(p, "checkpoint") ? CMD_CHECKPOINT : CMD_BAD);
	case 11:
		return (IS(p, "lru_crawler") ? CMD_LRU_CRAWLER : CMD_BAD);
	case 14:
		return (IS(p, "cache_memlimit") ? CMD_CACHE_MEMLIMIT : CMD_BAD);
	}
	return (CMD_BAD);
}

static enum cmd_id
word_lookup(const char *p, size_t len)
{
	switch (len) {
	case 2:
		return (word_of_2(p));
	case 3:
		return (word_of_3(p));
	case 4:
		return (word_of_4(p));
	}
	return (word_of_many(p, len));
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOT3(a, b, c)		((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16)
#define HOT4(a, b, c, d)	(HOT3(a, b, c) | (uint32_t)(d) << 24)
#endif

/* The words of nearly all traffic, space and all, by one load; *len is that of the word. The line has four bytes. */
static inline enum cmd_id
hot_word(const char *line, size_t *len)
{
#ifdef HOT3
	uint32_t w;

	memcpy(&w, line, 4);
	*len = 2;
	switch (w & 0xffffff) {
	case HOT3('m', 'g', ' '):
		return (CMD_MG);
	case HOT3('m', 's', ' '):
		return (CMD_MS);
	}
	*len = 3;
	switch (w) {
	case HOT4('g', 'e', 't', ' '):
		return (CMD_GET);
	case HOT4('s', 'e', 't', ' '):
		return (CMD_SET);
	}
#endif
	*len = 0;
	return (CMD_BAD);
}

/* memcached finds these late, after skipping spaces, and lets "noreply" be their last word. */
static bool
is_late(enum cmd_id id)
{
	return (id == CMD_VERBOSITY || id == CMD_FLUSH_ALL || id == CMD_SHUTDOWN || id == CMD_CACHE_MEMLIMIT ||
	    id == CMD_LRU_CRAWLER || id == CMD_LRU || id == CMD_SLABS);
}

static void
set_words(struct command *cmd, const struct tokens *ts)
{
	cmd->nwords = (uint8_t)(ts->n - 1);
	for (unsigned i = 1; i < ts->n && i <= COMMAND_WORDS_MAX; i++)
		cmd->words[i - 1] = ts->t[i];
}

/* The first byte of every binary request; the only one that tells them apart. */
static bool
is_binary(const char *buf)
{
	return ((unsigned char)buf[0] == 0x80);
}

/* SHAPE_WORDS, and lines that begin with no known word. */
static enum parse_rc
parse_words(struct command *cmd, const char *line, const char *end, enum parse_close *why)
{
	struct tokens ts;

	if (is_binary(line)) {
		*why = PARSE_CLOSE_BINARY;
		return (PARSE_CLOSE);
	}
	tokens_split(&ts, line, end, TOKEN_MAX);
	if (cmd->id == CMD_BAD && ts.n > 0 && is_late(word_lookup(ts.t[0].p, ts.t[0].len)))
		cmd->id = (uint8_t)word_lookup(ts.t[0].p, ts.t[0].len);
	if (cmd->id != CMD_BAD) {
		cmd->quiet = is_late(cmd->id) && tokens_noreply(&ts);
		cmd->close = cmd->id == CMD_QUIT;
		set_words(cmd, &ts);
		return (PARSE_DONE);
	}
	if (ts.n > 1 && ts.t[ts.n - 1].len >= 5 && IS(ts.t[ts.n - 1].p, "HTTP/")) {
		*why = PARSE_CLOSE_HTTP;
		return (PARSE_CLOSE);
	}
	cmd->quiet = tokens_noreply(&ts);
	return (parse_bad(cmd, "ERROR", 0));
}

/* Writes what is valid for every command. By field: smaller than what the compiler makes of a whole struct. */
static inline void
clear_command(struct command *cmd)
{
	struct op *op = &cmd->op;

	cmd->quiet = cmd->close = cmd->has_body = false;
	op->verb = op->mode = 0;
	op->opts = op->want = op->order = 0;
	op->ttl = op->vivify_ttl = op->recache_ttl = 0;
	op->client_flags = op->vlen = 0;
	op->key = SLICE_NULL;
	op->hash = op->cas = op->newcas = op->delta = op->initial = 0;
}

/* A record command whose line is longer than any may be. What follows is not looked at. */
static enum parse_rc __attribute__((noinline, cold))
parse_long(struct command *cmd, const char *buf, size_t len, size_t *used)
{
	clear_command(cmd);
	cmd->line = slice_of(buf, len);
	cmd->shape = SHAPE_RECORD;
	cmd->close = true;
	*used = len;
	return (parse_bad(cmd, "CLIENT_ERROR line too long", 0));
}

static bool
is_record(const char *buf, size_t len)
{
	return (len >= 3 && buf[2] == ' ' && word_of_k(buf) != CMD_BAD);
}

/*
 * Shorter than any command could be; told apart from unknown words as memcached does it. The shortest command there is
 * comes here when its line ends with a bare '\n'.
 */
static enum parse_rc
parse_short(const char *buf, const char *nl, struct command *cmd, enum parse_close *why)
{
	if (is_binary(buf)) {
		*why = PARSE_CLOSE_BINARY;
		return (PARSE_CLOSE);
	}
	cmd->line = slice_of(buf, (size_t)(nl - buf) - (nl > buf && nl[-1] == '\r'));
	if (cmd->line.len == 2 && word_of_k(buf) != CMD_BAD) {
		cmd->id = (uint8_t)word_of_k(buf);
		cmd->shape = SHAPE_RECORD;
		return (PARSE_DONE);
	}
	cmd->shape = SHAPE_WORDS;
	return (parse_bad(cmd, PARSE_BAD_FORMAT, 0));
}

/* No end of line yet: may there be one to come? */
static enum parse_rc
parse_partial(const char *buf, size_t len, const struct parse_limits *limits, struct command *cmd, size_t *used,
    enum parse_close *why)
{
	size_t spaces = 0;

	*why = PARSE_CLOSE_NONE;
	if (len > 0 && is_binary(buf)) {
		*why = PARSE_CLOSE_BINARY;
		return (PARSE_CLOSE);
	}
	if (len <= limits->line_max)
		return (PARSE_MORE);
	if (is_record(buf, len))
		return (len < COMMAND_RECORD_MAX ? PARSE_MORE : parse_long(cmd, buf, len, used));
	/* Only a large multi-get may be longer. */
	while (spaces < 100 && spaces < len && buf[spaces] == ' ')
		spaces++;
	if (len <= limits->multiget_max && len - spaces >= 5 &&
	    (IS(buf + spaces, "get ") || IS(buf + spaces, "gets ")))
		return (PARSE_MORE);
	*why = PARSE_CLOSE_LONG_LINE;
	return (PARSE_CLOSE);
}

/* The line that ends at nl. Its last act is a jump to the reader of its shape. */
static enum parse_rc __attribute__((noinline))
parse_whole(const char *buf, const char *nl, struct command *cmd, size_t *used, enum parse_close *why)
{
	enum cmd_id id;
	const char *end, *p;
	size_t wlen;

	clear_command(cmd);
	*used = (size_t)(nl + 1 - buf);
	*why = PARSE_CLOSE_NONE;
	if (UNLIKELY(nl - buf < 3))
		return (parse_short(buf, nl, cmd, why));
	end = nl - (nl[-1] == '\r');
	cmd->line = slice_of(buf, (size_t)(end - buf));
	id = hot_word(buf, &wlen);
	if (id == CMD_BAD) {
		wlen = (size_t)(token_end(buf, buf, end) - buf);
		id = word_lookup(buf, wlen);
	}
	p = buf + wlen;
	cmd->id = (uint8_t)id;
	cmd->shape = shapes[id];
	switch ((enum cmd_shape)cmd->shape) {
	case SHAPE_META:
	case SHAPE_MSET:
		return (parse_meta(cmd, p, end));
	case SHAPE_KEYS:
		return (parse_keys(cmd, p, end));
	case SHAPE_TOUCHKEYS:
		return (parse_touchkeys(cmd, p, end));
	case SHAPE_STORE:
		return (parse_store(cmd, p, end));
	case SHAPE_KEY:
		return (parse_key(cmd, p, end));
	case SHAPE_RECORD:
		return (UNLIKELY(*used > COMMAND_RECORD_MAX) ? parse_long(cmd, buf, *used, used) : PARSE_DONE);
	case SHAPE_WORDS:
		break;
	}
	return (parse_words(cmd, buf, end, why));
}

/* Lines whose end is far off, or missing. */
static enum parse_rc __attribute__((noinline))
parse_far(const char *buf, size_t len, const struct parse_limits *limits, struct command *cmd, size_t *used,
    enum parse_close *why)
{
	const char *nl = memchr(buf, '\n', len);

	if (nl == NULL)
		return (parse_partial(buf, len, limits, cmd, used, why));
	/* Whether the end came with the same read must not matter. */
	if ((size_t)(nl - buf) > limits->multiget_max && !is_record(buf, len)) {
		*why = PARSE_CLOSE_LONG_LINE;
		return (PARSE_CLOSE);
	}
	return (parse_whole(buf, nl, cmd, used, why));
}

enum parse_rc
proto_parse(const char *buf, size_t len, const struct parse_limits *limits, struct command *cmd, size_t *used,
    enum parse_close *why)
{
#ifdef __SSE2__
	const __m128i newlines = _mm_set1_epi8('\n');

	/* Nearly every line in a pipeline ends here: no call, nothing to save. */
	for (size_t at = 0; at < 48 && at + 16 <= len; at += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(buf + at));
		unsigned found = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, newlines));

		if (found != 0)
			return (parse_whole(buf, buf + at + __builtin_ctz(found), cmd, used, why));
	}
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	/* A short line that has come alone: by two words that overlap. */
	if (len >= 8 && len <= 16) {
		uint64_t w, found;

		memcpy(&w, buf, 8);
		if ((found = token_match(w, '\n')) != 0)
			return (parse_whole(buf, buf + (__builtin_ctzll(found) >> 3), cmd, used, why));
		memcpy(&w, buf + len - 8, 8);
		if ((found = token_match(w, '\n')) != 0)
			return (parse_whole(buf, buf + len - 8 + (__builtin_ctzll(found) >> 3), cmd, used, why));
	}
#endif
	return (parse_far(buf, len, limits, cmd, used, why));
}
