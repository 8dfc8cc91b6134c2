/*
 * fuzz_record.c - a client's bytes as record commands: lines, and the bodies of kp and km behind them.
 *
 * Promises: nothing is read outside of what has come, and nothing of it is needed later; the outcome does not depend on
 * how the bytes came apart; what a command says is within its limits; memory held is in proportion to what has come; an
 * item's line fits, and costs what it takes.
 *
 * build: src/proto/base64.c src/proto/meta.c src/proto/parse.c src/proto/record.c src/proto/record_body.c src/proto/record_reply.c src/proto/text.c src/proto/token.c src/base/check.c src/base/num.c
 */
#include "config.h"

#include "fuzz.h"
#include "proto/record_reply.h"
#include "t/unit/proto/record_text.h"

#define VALUE_MAX	4000

/* Other lines are fuzz_parse.c's business. */
static const struct parse_limits limits = { .line_max = 65536, .multiget_max = 65536 };

/* What a client has sent so far and what came of it. */
struct stream {
	char		*kept;		/* a line cut off */
	size_t		 nkept;
	struct record_body *body;
	size_t		 come;		/* bytes of the body */
	bool		 closed;
	uint64_t	 hash;		/* of all outcomes */
	unsigned	 n;
};

static void
note(struct stream *s, const struct description *d)
{
	for (size_t i = 0; i < d->len; i++)
		s->hash = (s->hash ^ (unsigned char)d->text[i]) * 1099511628211u;
	s->n++;
}

static void
key_fits(struct slice key)
{
	PROMISE(key.len <= RECORD_ITEM_KEY_MAX);
}

static void
answer(const struct record_cmd *cmd)
{
	static const char key[] = "a key";
	struct record_answer a = { .id = cmd->key, .key = slice_of(key, sizeof key), .client_flags = UINT32_MAX,
	    .ttl = INT32_MIN, .version = UINT64_MAX, .size = UINT64_MAX, .len = 5, .codec = CODEC_ZSTD };
	char *buf = malloc(RECORD_REPLY_MAX), *end;

	for (unsigned i = 0; i < 2; i++) {
		a.left_out = i == 1;
		end = record_reply_item(buf, cmd, &a);
		PROMISE(end <= buf + RECORD_REPLY_MAX && end[-1] == '\n');
		PROMISE(record_reply_cost(cmd, &a) ==
		    (uint64_t)(end - buf) + (record_reply_sends(cmd, &a) ? a.len + 2 : 0));
	}
	PROMISE(record_reply_end(buf, cmd, cmd->token, "partial", true) <= buf + RECORD_REPLY_MAX);
	free(buf);
}

static void
check_command(const struct record_cmd *cmd)
{
	if (cmd->error != NULL) {
		PROMISE(strncmp(cmd->error, "CLIENT_ERROR ", 13) == 0 && cmd->mem == NULL);
		return;
	}
	PROMISE(cmd->key.len <= OP_KEY_MAX && cmd->nkeys <= RECORD_KEYS_MAX);
	PROMISE(cmd->key.len > 0 || cmd->id == CMD_KH || cmd->id == CMD_KM);
	for (uint32_t i = 0; i < cmd->nkeys; i++)
		key_fits(cmd->keys[i]);
	key_fits(cmd->from);
	key_fits(cmd->until);
	key_fits(cmd->head);
	PROMISE((cmd->flags & RF_KEYS) == 0 || (cmd->flags & (RF_FROM | RF_UNTIL | RF_HEAD | RF_REVERSE)) == 0);
	PROMISE((cmd->flags & RF_NONCE) == 0 || (cmd->flags & RF_TIME) != 0);
	PROMISE((cmd->flags & RF_PART) == 0 || (cmd->part >= 1 && cmd->part <= cmd->parts && cmd->parts <= 1024));
	PROMISE((cmd->flags & RF_TOKEN) == 0 || (cmd->token.len > 0 && cmd->token.len <= RECORD_TOKEN_MAX));
	PROMISE(cmd->nreturns <= sizeof cmd->returns && cmd->opaque.len <= COMMAND_OPAQUE_MAX);
	if (cmd->id == CMD_KG || cmd->id == CMD_KS)
		answer(cmd);
}

static void
check_body(const struct record_body *b)
{
	uint64_t values = 0;

	if (b->error != NULL) {
		PROMISE(b->nsubs == 0);
		return;
	}
	PROMISE(b->nsubs == (b->cmd.id == CMD_KP ? 1 : b->cmd.count));
	for (uint32_t i = 0; i < b->nsubs; i++) {
		check_command(&b->subs[i].cmd);
		PROMISE(b->subs[i].nitems == (b->subs[i].cmd.id == CMD_KP ? b->subs[i].cmd.count : 0));
		for (uint32_t n = 0; n < b->subs[i].nitems; n++) {
			key_fits(b->subs[i].items[n].key);
			PROMISE(b->subs[i].items[n].codec < CODEC_COUNT);
			values += b->subs[i].items[n].data.len;
		}
	}
	PROMISE(values <= VALUE_MAX);
}

static void
run(struct stream *s, const struct command *line)
{
	static struct description d;
	struct record_cmd cmd;

	memset(&cmd, 0xa5, sizeof cmd);
	record_parse(line->line, line->id, &cmd);
	check_command(&cmd);
	d.len = 0;
	describe_record(&d, &cmd);
	note(s, &d);
	if ((cmd.id == CMD_KP || cmd.id == CMD_KM) && (cmd.error == NULL || cmd.has_count)) {
		s->body = record_body_new(&cmd, VALUE_MAX, NULL, NULL);
		s->come = 0;
		PROMISE(s->body != NULL);
	} else
		record_cmd_end(&cmd);
}

/* Bytes of the body that is open. */
static size_t
feed_body(struct stream *s, const char *p, size_t len)
{
	static struct description d;
	size_t used;
	bool over = record_body_feed(s->body, p, len, &used);

	PROMISE(used <= len && (over || used == len));
	s->come += used;
	/* A line of six bytes may be a sub-command, and no value is large here; line and block are powers of two. */
	PROMISE(record_body_size(s->body) <= 16384 + 128 * s->come);
	if (over) {
		check_body(s->body);
		d.len = 0;
		describe_record_body(&d, s->body);
		note(s, &d);
		s->closed = s->body->close;
		record_body_free(&s->body);
	}
	return (used);
}

/* A line, if there is one. */
static size_t
feed_line(struct stream *s, const char *p, size_t len)
{
	static struct description d;
	enum parse_close why;
	struct command cmd;
	size_t used;

	memset(&cmd, 0xa5, sizeof cmd);
	switch (proto_parse(p, len, &limits, &cmd, &used, &why)) {
	case PARSE_MORE:
		return (0);
	case PARSE_CLOSE:
		s->closed = true;
		return (len);
	case PARSE_DONE:
		break;
	}
	if (cmd.id != CMD_BAD && cmd.shape == SHAPE_RECORD)
		run(s, &cmd);
	else {
		d.len = 0;
		describe(&d, &cmd);
		note(s, &d);
		s->closed = cmd.close;
	}
	return (used);
}

static void
feed(struct stream *s, const uint8_t *data, size_t len)
{
	char *all = malloc(s->nkept + len), *p;
	size_t n, left = s->nkept + len;

	PROMISE(all != NULL);
	if (s->nkept > 0)
		memcpy(all, s->kept, s->nkept);
	memcpy(all + s->nkept, data, len);
	free(s->kept);
	s->kept = NULL;
	for (p = all; left > 0 && !s->closed; p += n, left -= n) {
		n = s->body != NULL ? feed_body(s, p, left) : feed_line(s, p, left);
		if (n == 0)
			break;
	}
	s->nkept = s->closed ? 0 : left;
	if (s->nkept > 0)
		s->kept = exact_copy(p, s->nkept);
	free(all);
}

/* The stream in pieces of 1..most bytes. */
static struct stream
outcome(const uint8_t *data, size_t size, size_t most)
{
	struct stream s = { .hash = 14695981039346656037u };
	uint64_t random = size * 2654435761u + 1;

	for (size_t n; size > 0 && !s.closed; data += n, size -= n) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		n = most > 1 ? 1 + (random >> 33) % most : 1;
		if (n > size || most == SIZE_MAX)
			n = size;
		feed(&s, data, n);
	}
	record_body_free(&s.body);
	free(s.kept);
	return (s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream whole = outcome(data, size, SIZE_MAX), part;
	static const size_t mosts[] = { 1, 3, 40, 300 };

	for (unsigned i = 0; i < sizeof mosts / sizeof *mosts; i++) {
		if (size / mosts[i] > 600)
			continue;
		part = outcome(data, size, mosts[i]);
		PROMISE(part.hash == whole.hash && part.n == whole.n && part.closed == whole.closed);
	}
	return (0);
}
