/*
 * upstream_parse.c - servers' replies.
 *
 * Strict, because a reply that is taken for the answer to another request hands one client's bytes to another:
 * the status must be one that the verb can have, every flag one that was asked for and there once, all that was
 * asked for must be there, the opaque or the key ours, the line whole. Anything else costs the connection. Only a
 * line that says CLIENT_ERROR or SERVER_ERROR is an outcome like others.
 */
#include "config.h"

#include "base/check.h"
#include "proto/token.h"
#include "proto/upstream.h"
#include "proto/upstream_bits.h"

/* "XY" as a number, for switches over two-letter words. */
#define PAIR(a, b)	((unsigned)(a) << 8 | (unsigned)(b))

/* The word behind the one space at *p; empty where that is not what stands there. line: where the line begins. */
static inline struct slice
next_word(const char *line, const char **p, const char *end)
{
	const char *s = *p;

	if (s == end || *s != ' ')
		return (slice_of(s, 0));
	s++;
	*p = token_end(line, s, end);
	return (slice_of(s, (size_t)(*p - s)));
}

/* Digits, at least one; the short ones, nearly all, without a call. */
static inline bool
number(struct slice s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (UNLIKELY(s.len == 0 || s.len > 10))
		return (s.len > 0 && token_u64(s, out) && *out <= max);
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = (unsigned char)s.p[i] - (unsigned)'0';

		if (d > 9)
			return (false);
		v = v * 10 + d;
	}
	*out = v;
	return (v <= max);
}

static bool
is_word(struct slice line, const char *word, size_t len)
{
	return (line.len == len && memcmp(line.p, word, len) == 0);
}

#define SHORT_DIGITS	9	/* of a number that cannot overflow 32 bits */

#define IS(line, lit)	is_word((line), (lit), sizeof(lit) - 1)

/*
 * ERROR and its relatives. A bare ERROR to a store means that the server did not know the command and reads the body as
 * commands; a bad data chunk, that we disagree about where it ended.
 */
static enum upstream_rc
parse_error(struct slice line, const struct upstream_expect *expect, struct op_result *res)
{
	bool store = expect->verb == OP_STORE;

	if (IS(line, "ERROR")) {
		if (store)
			return (UPSTREAM_BAD);
	} else if (!slice_has_prefix(line, SLICE_LIT("CLIENT_ERROR ")) &&
	    !slice_has_prefix(line, SLICE_LIT("SERVER_ERROR ")))
		return (UPSTREAM_BAD);
	if (store && IS(line, "CLIENT_ERROR bad data chunk"))
		return (UPSTREAM_BAD);
	res->status = OP_ERROR;
	res->error = line;
	return (UPSTREAM_DONE);
}

/* ---- meta ---- */

/* W, X, Z: once each. */
static bool
take_note(char letter, struct op_result *res)
{
	unsigned bit = letter == 'W' ? OPR_WON : letter == 'X' ? OPR_STALE : letter == 'Z' ? OPR_SENT : 0;

	if (bit == 0 || (res->bits & bit) != 0)
		return (false);
	res->bits |= (uint8_t)bit;
	return (true);
}

/* One return flag into res; its OPW_* or, for those nobody asks for, 0. False: not a flag of this reply. */
static bool
take_flag(struct slice word, const struct upstream_expect *expect, struct op_result *res, unsigned *got)
{
	struct slice arg = slice_of(word.p + 1, word.len - 1);
	uint64_t v;

	switch (word.p[0]) {
	case 'c':
		*got = OPW_CAS;
		return (number(arg, UINT64_MAX, &res->cas));
	case 'f':
		*got = OPW_FLAGS;
		if (!number(arg, UINT32_MAX, &v))
			return (false);
		res->client_flags = (uint32_t)v;
		return (true);
	case 's':
		*got = OPW_SIZE;
		if (!number(arg, UPSTREAM_VALUE_MAX, &v))
			return (false);
		res->size = (uint32_t)v;
		return (true);
	case 't':
		*got = OPW_TTL;
		if (IS(arg, "-1")) {
			res->ttl = OP_TTL_NONE;
			return (true);
		}
		if (!number(arg, UINT32_MAX, &v))
			return (false);
		/* What expired this second may be told as a negative number without its sign. */
		res->ttl = v > INT32_MAX ? 0 : (int32_t)v;
		return (true);
	case 'l':
		*got = OPW_LA;
		if (!number(arg, UINT32_MAX, &v))
			return (false);
		res->la = (uint32_t)v;
		return (true);
	case 'h':
		*got = OPW_HIT;
		if (arg.len != 1 || (arg.p[0] != '0' && arg.p[0] != '1'))
			return (false);
		res->bits |= arg.p[0] == '1' ? OPR_FETCHED : 0;
		return (true);
	}
	*got = 0;
	return (expect->verb == OP_GET && arg.len == 0 && take_note(word.p[0], res));
}

static bool
is_our_opaque(struct slice word, const struct upstream_expect *expect)
{
	uint64_t v;

	return (number(slice_of(word.p + 1, word.len - 1), UINT32_MAX, &v) && v == expect->opaque);
}

/*
 * All flags from p on. done: a success, which must bring all that was asked for, and the opaque; failures have but
 * the opaque (some versions leave even that out), except that stores answer as if they had succeeded.
 */
static bool
take_flags(struct slice line, const char *p, const struct upstream_expect *expect, struct op_result *res, bool done)
{
	const char *end = line.p + line.len;
	unsigned missing = 0, optional = expect->verb == OP_STORE ? OPW_SIZE : 0, got;
	bool opaque = false;

	if (done || expect->verb == OP_STORE)
		missing = expect->want & (OPW_CAS | OPW_FLAGS | OPW_HIT | OPW_LA | OPW_SIZE | OPW_TTL);
	while (p < end) {
		struct slice word = next_word(line.p, &p, end);

		if (word.len == 0)
			return (false);
		if (word.p[0] == 'O') {
			if (opaque || !is_our_opaque(word, expect))
				return (false);
			opaque = true;
			continue;
		}
		if (!take_flag(word, expect, res, &got) || (got & missing) != got || (got == 0 && !done))
			return (false);
		missing &= ~got;
	}
	return (!done || (opaque && (missing & ~optional) == 0));
}

static enum upstream_rc
flags_only(enum op_status status, struct slice line, const struct upstream_expect *expect, struct op_result *res)
{
	res->status = (uint8_t)status;
	if (!take_flags(line, line.p + 2, expect, res, status == OP_OK))
		return (UPSTREAM_BAD);
	return (UPSTREAM_DONE);
}

/* "VA <size> <flags>*"; the number that ma's brings is read at once, for it is shorter than any line. */
static enum upstream_rc
parse_va(struct slice line, const char *buf, size_t len, const struct upstream_expect *expect,
    struct op_result *res, size_t *used, size_t *tail)
{
	const char *p = line.p + 2, *end = line.p + line.len, *value = buf + *used;
	uint64_t size;

	res->status = OP_OK;
	if (!number(next_word(line.p, &p, end), UPSTREAM_VALUE_MAX, &size) || !take_flags(line, p, expect, res, true))
		return (UPSTREAM_BAD);
	if (expect->verb == OP_GET) {
		res->size = (uint32_t)size;
		*tail = 2;
		return (UPSTREAM_VALUE);
	}
	if (size == 0 || size > 20)
		return (UPSTREAM_BAD);
	if ((size_t)(buf + len - value) < size + 2)
		return (UPSTREAM_MORE);
	if (!number(slice_of(value, size), UINT64_MAX, &res->number) || memcmp(value + size, "\r\n", 2) != 0)
		return (UPSTREAM_BAD);
	*used += size + 2;
	return (UPSTREAM_DONE);
}

/* "ME <key> <text>". The key is not compared: it stands there as the item has it, in base64 or not. */
static enum upstream_rc
parse_me(struct slice line, struct op_result *res)
{
	const char *p = line.p + 2, *end = line.p + line.len;

	if (next_word(line.p, &p, end).len == 0 || p == end)
		return (UPSTREAM_BAD);
	res->status = OP_OK;
	res->error = slice_of(p + 1, (size_t)(end - p - 1));
	return (UPSTREAM_DONE);
}

static enum upstream_rc
parse_meta(struct slice line, const char *buf, size_t len, const struct upstream_expect *expect,
    struct op_result *res, size_t *used, size_t *tail)
{
	bool value = (expect->want & OPW_VALUE) != 0, cas = (expect->bits & UB_CAS) != 0;
	unsigned verb = 1u << expect->verb;

#define VERB(v)	(1u << OP_##v)
	if (line.len < 2 || (line.len > 2 && line.p[2] != ' '))
		return (parse_error(line, expect, res));
	switch (PAIR(line.p[0], line.p[1])) {
	case PAIR('V', 'A'):
		if ((verb & (VERB(GET) | VERB(ARITH))) == 0 || !value)
			break;
		return (parse_va(line, buf, len, expect, res, used, tail));
	case PAIR('H', 'D'):
		if ((verb & (VERB(GET) | VERB(STORE) | VERB(DELETE))) == 0 ||
		    (value && (expect->bits & UB_MAY_OMIT) == 0))
			break;
		return (flags_only(OP_OK, line, expect, res));
	case PAIR('E', 'N'):
		if ((verb & (VERB(GET) | VERB(DEBUG))) == 0)
			break;
		return (flags_only(OP_MISS, line, expect, res));
	case PAIR('N', 'F'):
		if ((verb & (VERB(STORE) | VERB(DELETE) | VERB(ARITH))) == 0)
			break;
		return (flags_only(OP_MISS, line, expect, res));
	case PAIR('E', 'X'):
		if ((verb & (VERB(STORE) | VERB(DELETE) | VERB(ARITH))) == 0 || !cas)
			break;
		return (flags_only(OP_EXISTS, line, expect, res));
	case PAIR('N', 'S'):
		if ((verb & (VERB(STORE) | VERB(DELETE) | VERB(ARITH))) == 0)
			break;
		return (flags_only(OP_NOT_STORED, line, expect, res));
	case PAIR('M', 'E'):
		if (verb != VERB(DEBUG))
			break;
		return (parse_me(line, res));
	}
#undef VERB
	return (UPSTREAM_BAD);
}

/* ---- classic ---- */

/* "VALUE <key> <flags> <size>[ <cas>]" */
static enum upstream_rc
parse_value(struct slice line, const struct upstream_expect *expect, struct op_result *res, struct slice *key)
{
	const char *p = line.p + 5, *end = line.p + line.len;
	uint64_t flags, size;

	*key = next_word(line.p, &p, end);
	if (key->len == 0 ||
	    !number(next_word(line.p, &p, end), UINT32_MAX, &flags) ||
	    !number(next_word(line.p, &p, end), UPSTREAM_VALUE_MAX, &size))
		return (UPSTREAM_BAD);
	if ((expect->want & OPW_CAS) != 0 && !number(next_word(line.p, &p, end), UINT64_MAX, &res->cas))
		return (UPSTREAM_BAD);
	if (p != end)
		return (UPSTREAM_BAD);
	res->status = OP_OK;
	res->client_flags = (uint32_t)flags;
	res->size = (uint32_t)size;
	res->ttl = OP_TTL_UNKNOWN;
	return (UPSTREAM_VALUE);
}

static enum upstream_rc
classic_get(struct slice line, const struct upstream_expect *expect, struct op_result *res, size_t *tail)
{
	bool touch = (expect->bits & UB_TOUCH) != 0;
	struct slice key;

	if (!touch && slice_has_prefix(line, SLICE_LIT("VALUE "))) {
		if (parse_value(line, expect, res, &key) != UPSTREAM_VALUE ||
		    upstream_keyhash(key.p, key.len) != expect->keyhash)
			return (UPSTREAM_BAD);
		*tail = UPSTREAM_TAIL_MAX;
		return (UPSTREAM_VALUE);
	}
	if (touch ? IS(line, "TOUCHED") : false)
		res->status = OP_OK;
	else if (touch ? IS(line, "NOT_FOUND") : IS(line, "END"))
		res->status = OP_MISS;
	else
		return (parse_error(line, expect, res));
	return (UPSTREAM_DONE);
}

static enum upstream_rc
classic_store(struct slice line, const struct upstream_expect *expect, struct op_result *res)
{
	bool cas = (expect->bits & UB_CAS) != 0;

	if (IS(line, "STORED"))
		res->status = OP_OK;
	else if (IS(line, "NOT_STORED"))
		res->status = OP_NOT_STORED;
	else if (cas && IS(line, "EXISTS"))
		res->status = OP_EXISTS;
	else if (cas && IS(line, "NOT_FOUND"))
		res->status = OP_MISS;
	else
		return (parse_error(line, expect, res));
	return (UPSTREAM_DONE);
}

static enum upstream_rc
classic_delete(struct slice line, const struct upstream_expect *expect, struct op_result *res)
{
	if (IS(line, "DELETED"))
		res->status = OP_OK;
	else if (IS(line, "NOT_FOUND"))
		res->status = OP_MISS;
	else
		return (parse_error(line, expect, res));
	return (UPSTREAM_DONE);
}

/* Servers of long ago pad the number with the spaces that they store. */
static enum upstream_rc
classic_arith(struct slice line, const struct upstream_expect *expect, struct op_result *res)
{
	if (IS(line, "NOT_FOUND")) {
		res->status = OP_MISS;
		return (UPSTREAM_DONE);
	}
	if (line.len == 0 || line.p[0] < '0' || line.p[0] > '9')
		return (parse_error(line, expect, res));
	while (line.p[line.len - 1] == ' ')
		line.len--;
	res->status = OP_OK;
	return (number(line, UINT64_MAX, &res->number) ? UPSTREAM_DONE : UPSTREAM_BAD);
}

static enum upstream_rc
parse_classic(struct slice line, const struct upstream_expect *expect, struct op_result *res, size_t *tail)
{
	switch ((enum op_verb)expect->verb) {
	case OP_GET:
		return (classic_get(line, expect, res, tail));
	case OP_STORE:
		return (classic_store(line, expect, res));
	case OP_DELETE:
		return (classic_delete(line, expect, res));
	case OP_ARITH:
		return (classic_arith(line, expect, res));
	case OP_DEBUG:
	case OP_FLUSH:
		break;
	}
	return (UPSTREAM_BAD);
}

/* ---- both ---- */

static enum upstream_rc
parse_flush(struct slice line, const struct upstream_expect *expect, struct op_result *res)
{
	if (!IS(line, "OK"))
		return (parse_error(line, expect, res));
	res->status = OP_OK;
	return (UPSTREAM_DONE);
}

/*
 * What the reply leaves open. Before 1.6.20 ms tells no size, but it is that of the body unless something was joined
 * to it.
 */
static void
settle(const struct upstream_expect *expect, struct op_result *res)
{
	if (expect->verb == OP_STORE && res->size == 0)
		res->size = expect->vlen;
}

/* By field, as in parse.c: the compiler would make a loop of it. */
static inline void
clear_result(struct op_result *res)
{
	res->status = OP_ERROR;
	res->bits = 0;
	res->client_flags = res->la = res->size = 0;
	res->ttl = OP_TTL_NONE;
	res->cas = res->number = 0;
	res->error = SLICE_NULL;
}

/* The first line, without its end. DONE, MORE or BAD. */
static inline enum upstream_rc
take_line(const char *buf, size_t len, struct slice *line, size_t *used)
{
	const char *nl = memchr(buf, '\n', len < UPSTREAM_REPLY_MAX ? len : UPSTREAM_REPLY_MAX);

	if (nl == NULL)
		return (len < UPSTREAM_REPLY_MAX ? UPSTREAM_MORE : UPSTREAM_BAD);
	if (nl == buf || nl[-1] != '\r')
		return (UPSTREAM_BAD);
	*line = slice_of(buf, (size_t)(nl - 1 - buf));
	*used = (size_t)(nl + 1 - buf);
	return (UPSTREAM_DONE);
}

enum upstream_rc
upstream_parse(const char *buf, size_t len, const struct upstream_expect *expect, struct op_result *res,
    size_t *used, size_t *tail)
{
	struct slice line;
	enum upstream_rc rc = take_line(buf, len, &line, used);

	if (rc != UPSTREAM_DONE)
		return (rc);
	*tail = 0;
	clear_result(res);
	if (expect->verb == OP_FLUSH)
		return (parse_flush(line, expect, res));
	if (expect->dialect == UPSTREAM_META)
		rc = parse_meta(line, buf, len, expect, res, used, tail);
	else
		rc = parse_classic(line, expect, res, tail);
	settle(expect, res);
	return (rc);
}

/* Digits behind one space, as many as nearly all numbers have at most, up to the byte `end`. NULL: not so. */
static inline const char *
short_number(const char *p, char end, uint32_t *out)
{
	uint32_t v = 0;

	if (*p++ != ' ' || *p == end)
		return (NULL);
	for (unsigned i = 0; i <= SHORT_DIGITS; i++) {
		unsigned d = (unsigned char)p[i] - (unsigned)'0';

		if (d > 9) {
			*out = v;
			return (p[i] == end ? p + i : NULL);
		}
		v = v * 10 + d;
	}
	return (NULL);
}

/* "VALUE <key> <flags> <size>\r\n" with the key that was to be expected: the length of it. 0: something else, or not whole. */
static size_t
usual_value(const char *buf, size_t len, struct slice key, struct op_result *res)
{
	const char *p = buf + 6 + key.len;

	if (len < 6 + key.len + 2 * (SHORT_DIGITS + 2) + 2 || memcmp(buf, "VALUE ", 6) != 0 ||
	    memcmp(buf + 6, key.p, key.len) != 0)
		return (0);
	p = short_number(p, ' ', &res->client_flags);
	if (p == NULL)
		return (0);
	p = short_number(p, '\r', &res->size);
	return (p == NULL || p[1] != '\n' ? 0 : (size_t)(p + 2 - buf));
}

enum upstream_rc
upstream_parse_keys(const char *buf, size_t len, const struct upstream_expect *expect, struct op_result *res,
    struct slice *key, size_t *used, size_t *tail)
{
	struct slice line;
	enum upstream_rc rc;

	clear_result(res);
	if (key->len > 0 && (expect->want & OPW_CAS) == 0 && (*used = usual_value(buf, len, *key, res)) > 0) {
		*key = slice_of(buf + 6, key->len);
		*tail = 2;
		res->status = OP_OK;
		res->ttl = OP_TTL_UNKNOWN;
		return (UPSTREAM_VALUE);
	}
	rc = take_line(buf, len, &line, used);
	if (rc != UPSTREAM_DONE)
		return (rc);
	res->client_flags = res->size = 0;
	if (LIKELY(slice_has_prefix(line, SLICE_LIT("VALUE ")))) {
		*tail = 2;
		return (parse_value(line, expect, res, key));
	}
	if (!IS(line, "END"))
		return (parse_error(line, expect, res));
	res->status = OP_OK;
	return (UPSTREAM_DONE);
}

bool
upstream_tail_ok(const char *tail, const struct upstream_expect *expect)
{
	return (expect->dialect == UPSTREAM_META || expect->keys ? memcmp(tail, "\r\n", 2) == 0 :
	    memcmp(tail, "\r\nEND\r\n", UPSTREAM_TAIL_MAX) == 0);
}
