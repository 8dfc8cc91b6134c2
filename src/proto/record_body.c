/*
 * record_body.c - the bodies of kp and km, from whatever pieces they come in.
 *
 *	km: AT_SUB -> [kd] ----------------------------> AT_SUB ... OVER
 *	      |                                            ^
 *	kp:   +--> AT_ITEM -> AT_DATA -> AT_CRLF -> AT_ITEM +
 *
 * Keys and small values lie in blocks that grow with what has come; a large value has a block of its own, which grows
 * as it comes, whatever its line announced. Once something is wrong nothing is kept: lines are read for their sizes
 * alone, so that what is behind the body is found.
 */
#include "config.h"

#include <stdlib.h>

#include "base/check.h"
#include "proto/command.h"
#include "proto/parse.h"
#include "proto/record.h"
#include "proto/record_words.h"
#include "proto/token.h"

#define BLOCK_MIN	1024
#define BLOCK_MAX	(64 * 1024)
#define SMALL_MAX	(8 * 1024)	/* values up to here share blocks, and are made room for at once */

#define BESIDE_MAX	(128ull << 20)	/* held beside the values: keys, lines, what there is of each item */

struct block {
	struct block	*next;
	size_t		 used, cap;
	char		 data[];
};

enum at { AT_SUB, AT_ITEM, AT_DATA, AT_CRLF, OVER };

struct body {
	struct record_body pub;
	enum at		 at;
	uint32_t	 subs_left, items_left;	/* still to come, the one that comes included */
	uint32_t	 subs_cap, items_cap;
	uint64_t	 value_max, values;	/* bytes of values: allowed, announced */
	char		*line;		/* a line cut off */
	size_t		 line_len, line_cap;
	uint64_t	 size, off;	/* of the value that comes: bytes, those that have come */
	char		*data;		/* where it goes; NULL: nowhere */
	struct block	*large;		/* that is its own, and still grows */
	char		 crlf[2];
	unsigned	 ncrlf;
	struct block	*blocks;	/* the first one has room */
	size_t		 held;
	record_check_f	*check;
	void		*check_arg;
	char		 why[RECORD_ERROR_MAX];
};

static struct body *
body_of(const struct record_body *rb)
{
	return (CONTAINER_OF((struct record_body *)(uintptr_t)rb, struct body, pub));
}

/* A block that is not in the list yet, or the same one larger. NULL: out of memory, the old one stays. */
static struct block *
block_resize(struct body *b, struct block *old, size_t cap)
{
	size_t was = old != NULL ? sizeof *old + old->cap : 0;
	struct block *blk = realloc(old, sizeof *blk + cap);

	if (blk == NULL)
		return (NULL);
	if (old == NULL)
		blk->used = 0;
	blk->cap = cap;
	b->held += sizeof *blk + cap - was;
	return (blk);
}

/* n bytes that stay where they are. NULL: out of memory. */
static char *
take(struct body *b, size_t n)
{
	struct block *blk = b->blocks;
	size_t cap;

	if (blk == NULL || blk->cap - blk->used < n) {
		cap = blk == NULL ? BLOCK_MIN : blk->cap * 2;
		if (cap > BLOCK_MAX)
			cap = BLOCK_MAX;
		blk = block_resize(b, NULL, cap > n ? cap : n);
		if (blk == NULL)
			return (NULL);
		blk->next = b->blocks;
		b->blocks = blk;
	}
	blk->used += n;
	return (blk->data + blk->used - n);
}

/* An array of n elements with room for one more. False: out of memory. */
static bool
grow(struct body *b, void **array, size_t element, uint32_t n, uint32_t *cap)
{
	uint32_t more = n < 4 ? 4 : 2 * n;
	void *p;

	if (n < *cap)
		return (true);
	p = realloc(*array, more * element);
	if (p == NULL)
		return (false);
	b->held += (more - *cap) * element;
	*array = p;
	*cap = more;
	return (true);
}

static void
free_subs(struct body *b)
{
	struct record_body *rb = &b->pub;

	for (uint32_t i = 0; i < rb->nsubs; i++) {
		free(rb->subs[i].items);
		/* A kp's is the command's own. */
		if (rb->cmd.id == CMD_KM)
			record_cmd_end(&rb->subs[i].cmd);
	}
	free(rb->subs);
	rb->subs = NULL;
	rb->nsubs = 0;
}

static void
free_kept(struct body *b)
{
	struct block *blk;

	free_subs(b);
	while ((blk = b->blocks) != NULL) {
		b->blocks = blk->next;
		free(blk);
	}
	free(b->large);
	b->large = NULL;
	b->data = NULL;
	b->held = sizeof *b + b->pub.cmd.size + b->line_cap;
}

/* The first error is told. */
static void
refuse(struct body *b, const char *error)
{
	if (b->pub.error != NULL)
		return;
	b->pub.error = error;
	free_kept(b);
}

/* What follows is no part of it, as far as anybody can tell. */
static void
stop(struct body *b, const char *error)
{
	refuse(b, error);
	b->at = OVER;
}

static void
refuse_memory(struct body *b)
{
	refuse(b, "SERVER_ERROR out of memory storing object");
}

/* A line that is right as such. */
static void
check_line(struct body *b, const struct record_cmd *cmd)
{
	const char *error = NULL;

	if (b->pub.error == NULL && b->check != NULL)
		error = b->check(b->check_arg, cmd, b->why);
	if (error != NULL)
		refuse(b, error);
}

/* A sub-command to be kept. NULL: out of memory, which is noted. */
static struct record_sub *
add_sub(struct body *b, const struct record_cmd *cmd)
{
	struct record_body *rb = &b->pub;
	struct record_sub *sub;

	if (!grow(b, (void **)&rb->subs, sizeof *rb->subs, rb->nsubs, &b->subs_cap)) {
		refuse_memory(b);
		return (NULL);
	}
	sub = &rb->subs[rb->nsubs++];
	*sub = (struct record_sub){ .cmd = *cmd };
	b->items_cap = 0;
	return (sub);
}

struct record_body *
record_body_new(struct record_cmd *cmd, uint64_t value_max, record_check_f *check, void *arg)
{
	struct body *b = calloc(1, sizeof *b);
	bool is_kp = cmd->id == CMD_KP;

	if (b == NULL)
		return (NULL);
	b->held = sizeof *b + cmd->size;
	b->value_max = value_max;
	b->at = is_kp ? AT_ITEM : AT_SUB;
	b->subs_left = is_kp ? 1 : cmd->count;
	b->items_left = cmd->count;
	b->pub.cmd = *cmd;
	b->pub.error = cmd->error;
	b->check = check;
	b->check_arg = arg;
	if (is_kp && cmd->error == NULL && add_sub(b, cmd) == NULL) {
		free(b);
		return (NULL);
	}
	if (is_kp)
		check_line(b, cmd);
	return (&b->pub);
}

static void
next_sub(struct body *b)
{
	b->subs_left--;
	b->at = b->subs_left > 0 ? AT_SUB : OVER;
}

static void
next_item(struct body *b)
{
	b->items_left--;
	if (b->items_left > 0)
		b->at = AT_ITEM;
	else
		next_sub(b);
}

/* A line of a km. */
static void
read_sub(struct body *b, struct slice line)
{
	struct record_cmd cmd;
	bool kept = false;

	record_parse_sub(line, &cmd);
	if (cmd.error != NULL)
		refuse(b, cmd.error);
	/* What is no sub-command, has a body of unknown length, or found no memory is the last. */
	if (cmd.id == CMD_BAD || (cmd.id == CMD_KP && !cmd.has_count) || record_is_lost(cmd.error)) {
		b->at = OVER;
		return;
	}
	check_line(b, &cmd);
	if (b->pub.error == NULL && add_sub(b, &cmd) != NULL) {
		b->held += cmd.size;
		kept = true;
	}
	if (cmd.id == CMD_KP) {
		b->items_left = cmd.count;
		b->at = AT_ITEM;
	} else
		next_sub(b);
	if (!kept)
		record_cmd_end(&cmd);
}

/* [F<u32>] [T<ttl>] [Z<codec>] in [p, end). Returns what is wrong. */
static const char *
item_flags(struct record_item *it, const char *p, const char *end)
{
	const char *line = p, *seen = p, *e;

	for (const char *q = p; (q = token_skip(q, end)) < end; q = token_end(line, q, end))
		if ((*q < 'A' || *q > 'z') && (*q < '0' || *q > '9'))
			return (RECORD_BAD_FORMAT);
	for (; (p = token_skip(p, end)) < end; p = e) {
		struct slice arg;

		e = token_end(line, p, end);
		arg = slice_of(p + 1, (size_t)(e - p - 1));
		if (*p != 'F' && *p != 'T' && *p != 'Z')
			return (RECORD_INVALID_FLAG);
		/* Few and short: those before are looked at again. */
		for (const char *q = seen; (q = token_skip(q, p)) < p; q = token_end_bytes(q, p))
			if (*q == *p)
				return (RECORD_DUPLICATE_FLAG);
		if (*p == 'F' && (arg.len == 0 || !token_u32(arg, &it->client_flags)))
			return (RECORD_BAD_FORMAT);
		if (*p == 'T' && (arg.len == 0 || !token_i32(arg, &it->ttl)))
			return (RECORD_BAD_TOKEN);
		if (*p == 'Z' && !record_codec_find(arg, &it->codec))
			return ("CLIENT_ERROR unknown codec");
	}
	return (NULL);
}

/* A copy of the key, decoded. Returns what is wrong. */
static const char *
item_key(struct body *b, struct record_item *it, struct slice key, bool binary)
{
	char *p = take(b, key.len);

	if (p == NULL)
		return ("SERVER_ERROR out of memory storing object");
	if (key.len > 0)
		memcpy(p, key.p, key.len);
	it->key = slice_of(p, key.len);
	return (record_item_key(&it->key, binary));
}

/* Room for the value that is to come, or for the beginning of it. False: out of memory. */
static bool
item_room(struct body *b)
{
	if (b->size <= SMALL_MAX) {
		b->data = take(b, (size_t)b->size);
		return (b->data != NULL);
	}
	b->large = block_resize(b, NULL, SMALL_MAX);
	if (b->large == NULL)
		return (false);
	b->data = b->large->data;
	return (true);
}

/* An item of whose line the size could be read. Returns what is wrong. */
static const char *
add_item(struct body *b, struct slice key, const char *flags, const char *end)
{
	struct record_sub *sub = &b->pub.subs[b->pub.nsubs - 1];
	struct record_item *it;
	const char *error;

	if (!grow(b, (void **)&sub->items, sizeof *sub->items, sub->nitems, &b->items_cap))
		return ("SERVER_ERROR out of memory storing object");
	it = &sub->items[sub->nitems++];
	memset(it, 0, sizeof *it);
	error = item_key(b, it, key, (sub->cmd.flags & RF_BINARY) != 0);
	if (error == NULL)
		error = item_flags(it, flags, end);
	if (error != NULL)
		return (error);
	b->values += b->size;
	if (b->values > b->value_max)
		return ("SERVER_ERROR object too large for cache");
	return (item_room(b) ? NULL : "SERVER_ERROR out of memory storing object");
}

/* A line of a kp: the key, which may be empty, up to the first space, then the size. */
static void
read_item(struct body *b, struct slice line)
{
	const char *end = line.p + line.len, *p = line.len > 0 ? memchr(line.p, ' ', line.len) : NULL;
	struct slice key, size;
	const char *error;
	uint32_t n;

	if (p == NULL) {
		stop(b, RECORD_BAD_FORMAT);
		return;
	}
	key = slice_of(line.p, (size_t)(p - line.p));
	size = token_next(p, &p, end);
	if (size.len == 0 || !token_u32(size, &n) || n > PARSE_VLEN_MAX) {
		stop(b, RECORD_BAD_FORMAT);
		return;
	}
	b->size = n;
	b->off = 0;
	b->ncrlf = 0;
	b->at = n > 0 ? AT_DATA : AT_CRLF;
	if (b->pub.error == NULL && (error = add_item(b, key, p, end)) != NULL)
		refuse(b, error);
}

/* Keeps n bytes of a line whose end is still to come. False: out of memory. */
static bool
keep_line(struct body *b, const char *buf, size_t n)
{
	size_t cap = b->line_cap < 128 ? 128 : b->line_cap;
	char *p;

	while (cap < b->line_len + n)
		cap *= 2;
	if (cap > b->line_cap) {
		p = realloc(b->line, cap);
		if (p == NULL)
			return (false);
		b->held += cap - b->line_cap;
		b->line = p;
		b->line_cap = cap;
	}
	memcpy(b->line + b->line_len, buf, n);
	b->line_len += n;
	return (true);
}

/* A line of which n more bytes have come, the end among them. */
static void
read_line(struct body *b, const char *buf, size_t n)
{
	struct slice line = slice_of(buf, n);

	if (b->line_len > 0) {
		if (!keep_line(b, buf, n)) {
			stop(b, RECORD_NO_MEMORY);
			return;
		}
		line = slice_of(b->line, b->line_len);
		b->line_len = 0;
	}
	line.len--;
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	if (b->at == AT_SUB)
		read_sub(b, line);
	else
		read_item(b, line);
}

static size_t
feed_line(struct body *b, const char *buf, size_t len)
{
	const char *nl = memchr(buf, '\n', len);
	size_t n = nl != NULL ? (size_t)(nl + 1 - buf) : len;
	size_t max = b->at == AT_SUB ? RECORD_LINE_MAX : RECORD_ITEM_LINE_MAX;

	if (b->line_len + n > max || (nl == NULL && b->line_len + n == max)) {
		stop(b, RECORD_LONG_LINE);
		b->pub.close = true;
	} else if (nl != NULL)
		read_line(b, buf, n);
	else if (!keep_line(b, buf, n))
		stop(b, RECORD_NO_MEMORY);
	return (n);
}

/* A large value's block grows to twice its size, but not above the value's. False: out of memory. */
static bool
grow_large(struct body *b)
{
	size_t cap = b->large->cap * 2 < b->size ? b->large->cap * 2 : (size_t)b->size;
	struct block *blk = block_resize(b, b->large, cap);

	if (blk == NULL)
		return (false);
	b->large = blk;
	b->data = blk->data;
	return (true);
}

/* The value is there. */
static void
end_data(struct body *b)
{
	struct record_sub *sub;

	b->at = AT_CRLF;
	if (b->data == NULL)
		return;
	sub = &b->pub.subs[b->pub.nsubs - 1];
	sub->items[sub->nitems - 1].data = slice_of(b->data, (size_t)b->size);
	b->data = NULL;
	if (b->large == NULL)
		return;
	/* Behind the one that has room. */
	b->large->used = b->large->cap;
	if (b->blocks != NULL) {
		b->large->next = b->blocks->next;
		b->blocks->next = b->large;
	} else {
		b->large->next = NULL;
		b->blocks = b->large;
	}
	b->large = NULL;
}

static size_t
feed_data(struct body *b, const char *buf, size_t len)
{
	size_t n = len < b->size - b->off ? len : (size_t)(b->size - b->off);

	if (b->large != NULL) {
		if (b->off == b->large->cap && !grow_large(b)) {
			refuse_memory(b);
			return (0);
		}
		if (n > b->large->cap - b->off)
			n = b->large->cap - (size_t)b->off;
	}
	if (b->data != NULL)
		memcpy(b->data + b->off, buf, n);
	b->off += n;
	if (b->off == b->size)
		end_data(b);
	return (n);
}

static size_t
feed_crlf(struct body *b, const char *buf)
{
	/* An empty value was there as soon as its line was. */
	if (b->data != NULL)
		end_data(b);
	b->crlf[b->ncrlf++] = *buf;
	if (b->ncrlf < 2)
		return (1);
	if (b->crlf[0] != '\r' || b->crlf[1] != '\n')
		stop(b, "CLIENT_ERROR bad data chunk");
	else
		next_item(b);
	return (1);
}

bool
record_body_feed(struct record_body *rb, const char *buf, size_t len, size_t *used)
{
	struct body *b = body_of(rb);
	size_t off = 0;

	while (b->at != OVER && off < len) {
		switch (b->at) {
		case AT_SUB:
		case AT_ITEM:
			off += feed_line(b, buf + off, len - off);
			break;
		case AT_DATA:
			off += feed_data(b, buf + off, len - off);
			break;
		case AT_CRLF:
			off += feed_crlf(b, buf + off);
			break;
		case OVER:
			break;
		}
	}
	/* A km has room for ten million items, and nobody that many. */
	if (b->held > b->values + BESIDE_MAX)
		refuse_memory(b);
	*used = off;
	return (b->at == OVER);
}

void
record_body_refuse(struct record_body *rb, const char *error)
{
	refuse(body_of(rb), error);
}

size_t
record_body_size(const struct record_body *rb)
{
	return (body_of(rb)->held);
}

void
record_body_free(struct record_body **rbp)
{
	struct body *b;

	if (*rbp == NULL)
		return;
	b = body_of(*rbp);
	*rbp = NULL;
	free_kept(b);
	record_cmd_end(&b->pub.cmd);
	free(b->line);
	free(b);
}
