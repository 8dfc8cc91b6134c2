/*
 * fuzz_meta.c - flags of the meta commands, against a slow reading of memcached's rules.
 *
 * The bytes become the flags of a command that is otherwise right. A second parser, written as plainly as the rules
 * are stated (split, check, act: three passes, no tables), must come to the same error or the same op.
 *
 * build: src/proto/base64.c src/proto/meta.c src/proto/parse.c src/proto/text.c src/proto/token.c src/base/check.c src/base/num.c
 */
#include "config.h"

#include "fuzz.h"
#include "t/unit/proto/describe.h"

#define BAD_FORMAT	"CLIENT_ERROR bad command line format"
#define BAD_TOKEN	"CLIENT_ERROR bad token in command line format"
#define WORDS_MAX	23

struct word {
	const uint8_t	*p;
	size_t		 len;
};

/* Decimal of at most `digits` characters; -1: no number. Magnitude in *v. */
static bool
plain_number(struct word w, size_t digits, unsigned __int128 max, uint64_t *v)
{
	unsigned __int128 sum = 0;

	if (w.len > digits)
		return (false);
	for (size_t i = 0; i < w.len; i++) {
		if (w.p[i] < '0' || w.p[i] > '9')
			return (false);
		sum = sum * 10 + (unsigned)(w.p[i] - '0');
	}
	*v = (uint64_t)sum;
	return (sum <= max);
}

static bool
plain_u64(struct word w, uint64_t *v)
{
	return (w.len > 0 && plain_number(w, 22, UINT64_MAX, v));
}

static bool
plain_i32(struct word w, int32_t *out)
{
	bool neg = w.len > 0 && w.p[0] == '-';
	struct word digits = { w.p + neg, w.len - neg };
	uint64_t v;

	if (w.len == 0 || w.len > 11 || !plain_number(digits, 11, (unsigned __int128)INT32_MAX + neg, &v))
		return (false);
	*out = (int32_t)(neg ? -(int64_t)v : (int64_t)v);
	return (true);
}

/* What the rules say of the words; NULL: no error, op and q are set. swallows: whether a body would be read. */
static const char *
plain_check(char cm, const struct word *w, unsigned n, struct op *op, bool *q, bool *swallows)
{
	const char *error = BAD_FORMAT;
	bool failed = false, seen[256] = { false };
	struct word opaque = { NULL, 0 };
	char mode = '\0';
	unsigned before = cm == 's' ? 3 : 2;

	*swallows = false;
	for (unsigned i = 0; i < n && before + i < WORDS_MAX; i++)
		if (!((w[i].p[0] > 64 && w[i].p[0] < 123) || (w[i].p[0] >= '0' && w[i].p[0] <= '9')))
			return (BAD_FORMAT);
	*swallows = cm == 's';
	if (n + before > 20)
		return (cm == 'a' ? "CLIENT_ERROR invalid or duplicate flag" : "CLIENT_ERROR options flags are too long");
	for (unsigned i = 0; i < n; i++) {
		struct word arg = { w[i].p + 1, w[i].len - 1 };
		uint64_t v = 0;

		if (seen[w[i].p[0]]) {
			error = "CLIENT_ERROR duplicate flag";
			failed = true;
			goto out;
		}
		seen[w[i].p[0]] = true;
		switch (w[i].p[0]) {
		case 'c': case 'f': case 'h': case 'k': case 'l': case 's': case 't': case 'u': case 'v': case 'x':
		case 'I': case 'P': case 'L':
			break;
		case 'q':
			*q = true;
			break;
		case 'b':	/* the key is no base64 here */
			error = "CLIENT_ERROR error decoding key";
			failed = true;
			break;
		case 'O':
			opaque = w[i];
			break;
		case 'M':
			mode = arg.len > 0 ? (char)arg.p[0] : ' ';
			break;
		case 'T':
			if (!plain_i32(arg, &op->ttl))
				error = BAD_TOKEN, failed = true;
			break;
		case 'N':
			if (!plain_i32(arg, &op->vivify_ttl))
				error = BAD_TOKEN, failed = true;
			break;
		case 'R':
			if (!plain_i32(arg, &op->recache_ttl))
				error = BAD_TOKEN, failed = true;
			break;
		case 'C':
			if (!plain_u64(arg, &op->cas))
				error = BAD_TOKEN, failed = true;
			break;
		case 'E':
			if (!plain_u64(arg, &op->newcas))
				error = BAD_TOKEN, failed = true;
			break;
		case 'D':
			if (!plain_u64(arg, &op->delta))
				error = "CLIENT_ERROR invalid numeric delta value", failed = true;
			break;
		case 'J':
			if (!plain_u64(arg, &op->initial))
				error = "CLIENT_ERROR invalid numeric initial value", failed = true;
			break;
		case 'F':
			if (arg.len == 0 || !plain_number(arg, 11, UINT32_MAX, &v))
				failed = true;
			op->client_flags = (uint32_t)v;
			break;
		default:
			error = "CLIENT_ERROR invalid flag";
			failed = true;
			goto out;
		}
	}
out:
	if (failed)
		return (cm == 'a' ? "CLIENT_ERROR invalid or duplicate flag" : error);
	if (cm == 's' && mode != '\0' && strchr("EAPRS", mode) == NULL)
		return ("CLIENT_ERROR invalid mode for ms M token");
	if (cm == 'a' && mode != '\0' && strchr("I+D-", mode) == NULL)
		return ("CLIENT_ERROR invalid mode for ma M token");
	if (opaque.len > 32)
		return ("CLIENT_ERROR opaque token too long");
	return (NULL);
}

static bool
same_numbers(const struct op *a, const struct op *b)
{
	return (a->ttl == b->ttl && a->vivify_ttl == b->vivify_ttl && a->recache_ttl == b->recache_ttl &&
	    a->client_flags == b->client_flags && a->cas == b->cas && a->newcas == b->newcas && a->delta == b->delta &&
	    a->initial == b->initial);
}

/* mg and ma keep the sequence of these letters; the words are known to be flags of theirs. */
static unsigned
plain_order(char cm, const struct word *words, unsigned n)
{
	const char *letters = cm == 'g' ? "?tTNR" : cm == 'a' ? "?tTN" : "", *found;
	unsigned order = 0, shift = 0;

	for (unsigned i = 0; i < n; i++)
		if ((found = strchr(letters, words[i].p[0])) != NULL) {
			order |= (unsigned)(found - letters) << shift;
			shift += OPO_BITS;
		}
	return (order);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct parse_limits limits = { .line_max = 2048, .multiget_max = 2048 };
	static const char cms[] = "gsda";
	struct word words[1024];
	struct op op = { 0 };
	struct command cmd;
	enum parse_close why;
	const char *error;
	bool q = false, swallows;
	unsigned n = 0;
	size_t used, len;
	char cm, *buf;

	if (size < 1 || size > 1000 || memchr(data + 1, '\n', size - 1) != NULL)
		return (0);
	cm = cms[data[0] % 4];
	data++;
	size--;
	if (size > 0 && data[size - 1] == '\r')
		return (0);
	for (size_t i = 0; i < size;) {
		size_t from = i;

		while (i < size && data[i] != ' ')
			i++;
		if (i > from)
			words[n++] = (struct word){ data + from, i - from };
		else
			i++;
	}
	len = size + 16;
	buf = malloc(len);
	PROMISE(buf != NULL);
	len = (size_t)snprintf(buf, len, "m%c key %s", cm, cm == 's' ? "5 " : "");
	if (size > 0)
		memcpy(buf + len, data, size);
	len += size;
	memcpy(buf + len, "\r\n", 2);
	len += 2;
	buf = realloc(buf, len);
	PROMISE(buf != NULL);
	PROMISE(proto_parse(buf, len, &limits, &cmd, &used, &why) == PARSE_DONE && used == len);
	if (cm == 'a')
		op.delta = 1;
	error = plain_check(cm, words, n, &op, &q, &swallows);
	if (error != NULL) {
		PROMISE(cmd.id == CMD_BAD && strcmp(cmd.error, error) == 0 && !cmd.quiet);
		PROMISE(cmd.swallow == (swallows ? 7u : 0u));
	} else
		PROMISE(cmd.id != CMD_BAD && cmd.quiet == q && same_numbers(&cmd.op, &op) &&
		    cmd.op.order == plain_order(cm, words, n));
	free(buf);
	return (0);
}
