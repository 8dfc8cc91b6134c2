/* Unit tests of src/proto/hot.h: what it says of a line is what the parser says. */
#include "config.h"

#include <stdlib.h>

#include "proto/command.h"
#include "proto/hot.h"
#include "tap.h"

static const struct parse_limits limits = { 2048, 2048 };

/* Asks about n bytes in memory of just that size; the outcome holds if the parser agrees. */
static enum hot
look(const char *bytes, size_t n)
{
	char *buf = malloc(n > 0 ? n : 1);
	struct command cmd;
	enum parse_close why;
	struct slice key = SLICE_NULL;
	size_t used = 0, length = 0;
	enum hot hot;
	bool good;

	memcpy(buf, bytes, n);
	hot = proto_hot(buf, n, &key, &length);
	if (hot != HOT_NONE) {
		good = proto_parse(buf, n, &limits, &cmd, &used, &why) == PARSE_DONE && used == length &&
		    cmd.id == (hot == HOT_MG ? CMD_MG : CMD_GET) && slice_eq(cmd.op.key, key) && !cmd.quiet;
		if (good && hot == HOT_MG)
			good = cmd.op.want == OPW_VALUE && cmd.op.opts == 0 && cmd.nrflags == 0;
		else if (good)
			good = cmd.nkeys == 1 && cmd.op.opts == OPF_CLASSIC;
		if (!good)
			ok(false, "%.*s: the parser says otherwise", (int)n, bytes);
	}
	free(buf);
	return (hot);
}

static void
is_hot(enum hot want, const char *line)
{
	char more[256];
	size_t len = strlen(line), n = (size_t)snprintf(more, sizeof more, "%s%s%s", line, "get b\r\nmg c v\r\n", line);
	bool good = true;

#ifndef __SSE2__
	want = HOT_NONE;
#endif
	for (size_t i = len; i <= n; i++)
		good = good && look(more, i) == want;
	for (size_t i = 0; i < len; i++)
		good = good && look(line, i) == HOT_NONE;
	ok(good, "%d: %.70s", (int)want, line);
}

static void
plain_lines(void)
{
	char line[128];

	is_hot(HOT_MG, "mg k v\r\n");
	is_hot(HOT_MG, "mg k v\n");
	is_hot(HOT_MG, "mg key:0123456789 v\r\n");
	is_hot(HOT_MG, "mg a-key-that-goes-on-behind-the-first-32-bytes v\r\n");
	is_hot(HOT_GET, "get k\r\n");
	is_hot(HOT_GET, "get k\n");
	is_hot(HOT_GET, "get key:0123456789\r\n");
	is_hot(HOT_GET, "get v\r\n");
	for (int n = 1; n < 61; n++) {
		snprintf(line, sizeof line, "mg %.*s v\r\n", n, "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
		is_hot(strlen(line) <= HOT_LINE_MAX ? HOT_MG : HOT_NONE, line);
		snprintf(line, sizeof line, "get %.*s\r\n", n, "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
		is_hot(strlen(line) <= HOT_LINE_MAX ? HOT_GET : HOT_NONE, line);
	}
}

static void
all_others(void)
{
	static const char *const lines[] = {
		"mg k\r\n", "mg  k v\r\n", "mg k  v\r\n", "mg k v \r\n", "mg k v q\r\n", "mg k vv\r\n", "mg k t\r\n", "mg k v\r\r\n", "mg v\r\n",
		"mg  v\r\n", " mg k v\r\n", "mgk v v\r\n", "md k v\r\n", "ms k v\r\n", "me k v\r\n", "MG k v\r\n", "mg\tk v\r\n",
		"get k k\r\n", "get  k\r\n", "get k \r\n", "get \r\n", "get\r\n", "get  \r\n", "gets k\r\n", "gat 0 k\r\n", "GET k\r\n", "g t k\r\n",
		"getk k\r\n", "get", "mg", "\r\n", "\n", "g\n", "m\n", "version\r\n", "get\n\n\n\n", "mg \n v\r\n",
	};

	for (size_t i = 0; i < NITEMS(lines); i++)
		ok(look(lines[i], strlen(lines[i])) == HOT_NONE, "not so plain: %.*s", (int)strcspn(lines[i], "\r\n"), lines[i]);
	is_hot(HOT_GET, "get \x80\xff\x01\t\r\n");
	is_hot(HOT_MG, "mg \x80\xff\x01\t v\r\n");
	is_hot(HOT_MG, "mg v v\r\n");
}

/* Short lines of the bytes that matter, in their thousands: whatever is hot is what the parser says. */
static void
random_lines(void)
{
	static const char *const words[] = { "mg", "get", " ", " ", "v", "k", "key", "\r", "\n", "\r\n", "q", "0123456789abcdef" };
	unsigned seed = 1, found = 0;
	char line[400];

	for (unsigned i = 0; i < 300000; i++) {
		size_t n = 0;

		n += (size_t)snprintf(line, sizeof line, "%s ", i & 1 ? "mg" : "get");
		for (unsigned w = 0; w < 6; w++) {
			seed = seed * 1103515245 + 12345;
			n += (size_t)snprintf(line + n, sizeof line - n, "%s", words[(seed >> 16) % NITEMS(words)]);
		}
		found += look(line, n) != HOT_NONE;
	}
#ifdef __SSE2__
	ok(found > 1000, "%u of 300000 are hot", found);
#endif
}

int
main(void)
{
	plain_lines();
	all_others();
	random_lines();
	return (done_testing());
}
