/*
 * upstream_put.c - requests to servers.
 *
 * Always asks for what the reply must prove: in the meta dialect an opaque that has to come back, in the classic
 * one the key of a value. No q and no noreply: every request has exactly one reply, which is what keeps a
 * pipeline in step. A key that could end a line or a word is never written.
 */
#include "config.h"

#include "base/check.h"
#include "base/num.h"
#include "proto/base64.h"
#include "proto/token.h"
#include "proto/upstream.h"
#include "proto/upstream_bits.h"

#define KEY64_MAX	(OP_KEY_MAX / 4 * 3)	/* bytes of a key that go on the line as base64 */

static inline char *
put(char *dst, const char *s, size_t len)
{
	memcpy(dst, s, len);
	return (dst + len);
}

#define PUT(dst, lit)	put((dst), (lit), sizeof(lit) - 1)

static inline char *
put_flag(char *dst, char letter)
{
	dst[0] = ' ';
	dst[1] = letter;
	return (dst + 2);
}

static inline char *
put_flag_u64(char *dst, char letter, uint64_t v)
{
	return (num_put_u64(put_flag(dst, letter), v));
}

static inline char *
put_flag_i32(char *dst, char letter, int32_t v)
{
	return (num_put_i64(put_flag(dst, letter), v));
}

static char *
put_number(char *dst, uint64_t v)
{
	*dst++ = ' ';
	return (num_put_u64(dst, v));
}

/* Whether key is one word of one line. Old servers end a line at NUL, too. */
bool
upstream_key_ok(struct slice key)
{
	uint64_t bad = 0;
	size_t i = 0;

	for (; i + 8 <= key.len; i += 8) {
		uint64_t w;

		memcpy(&w, key.p + i, 8);
		bad |= token_match(w, ' ') | token_match(w, '\n') | token_match(w, '\0');
	}
	for (; i < key.len; i++)
		bad |= key.p[i] == ' ' || key.p[i] == '\n' || key.p[i] == '\0';
	return (bad == 0);
}

/* ---- meta ---- */

static char *
put_meta_key(char *dst, const struct op *op)
{
	if ((op->opts & OPF_BINKEY) == 0)
		return (put(dst, op->key.p, op->key.len));
	return (base64_put(dst, op->key.p, op->key.len));
}

/* T, N, R and t: for the server to do as the client had them. */
static char *
put_in_order(char *dst, const struct op *op)
{
	for (unsigned left = op->order; left != 0; left >>= OPO_BITS)
		switch (left & OPO_MASK) {
		case OPO_SHOW:
			dst = put_flag(dst, 't');
			break;
		case OPO_TTL:
			dst = put_flag_i32(dst, 'T', op->ttl);
			break;
		case OPO_VIVIFY:
			dst = put_flag_i32(dst, 'N', op->vivify_ttl);
			break;
		case OPO_RECACHE:
			dst = put_flag_i32(dst, 'R', op->recache_ttl);
			break;
		}
	return (dst);
}

/* Those of verbs that know no order, and the t of somebody here who wants to keep what is read. */
static char *
put_ttls(char *dst, const struct op *op, unsigned want)
{
	if (op->order != 0)
		return (put_in_order(dst, op));
	if ((op->opts & OPF_VIVIFY) != 0)
		dst = put_flag_i32(dst, 'N', op->vivify_ttl);
	if ((op->opts & OPF_TTL) != 0 && (op->verb != OP_STORE || op->ttl != 0))
		dst = put_flag_i32(dst, 'T', op->ttl);
	return ((want & OPW_TTL) != 0 ? put_flag(dst, 't') : dst);
}

/* What is rare: all options with their arguments, and t. */
static char * __attribute__((noinline))
put_meta_options(char *dst, const struct op *op, unsigned want)
{
	dst = put_ttls(dst, op, want);
	if ((op->opts & OPF_CAS) != 0)
		dst = put_flag_u64(dst, 'C', op->cas);
	if ((op->opts & OPF_NEWCAS) != 0)
		dst = put_flag_u64(dst, 'E', op->newcas);
	if ((op->opts & OPF_INVALIDATE) != 0)
		dst = put_flag(dst, 'I');
	if ((op->opts & OPF_FLAGS) != 0 && op->client_flags != 0)
		dst = put_flag_u64(dst, 'F', op->client_flags);
	return (dst);
}

/* What all commands but me have: b, opaque, what is asked for, options. */
static inline char *
put_meta_common(char *dst, const struct op *op, unsigned want, uint32_t opaque)
{
	static const struct { uint16_t want; char letter; } wants[] = {
		{ OPW_VALUE, 'v' }, { OPW_CAS, 'c' }, { OPW_FLAGS, 'f' }, { OPW_HIT, 'h' }, { OPW_LA, 'l' },
		{ OPW_SIZE, 's' },
	};

	if (UNLIKELY((op->opts & OPF_BINKEY) != 0))
		dst = put_flag(dst, 'b');
	dst = put_flag_u64(dst, 'O', opaque);
	for (unsigned i = 0, left = want; left != 0 && i < NITEMS(wants); i++) {
		if ((left & wants[i].want) != 0)
			dst = put_flag(dst, wants[i].letter);
		left &= ~(unsigned)wants[i].want;
	}
	if (op->opts != 0 || (want & OPW_TTL) != 0)
		dst = put_meta_options(dst, op, want);
	return (dst);
}

/* mg. A value is left out by C only if the reply says which version that was: so c is asked as well. */
static char *
put_meta_get(char *dst, const struct op *op, uint32_t opaque, struct upstream_expect *expect)
{
	unsigned want = op->want;

	if (UNLIKELY((op->opts & OPF_CAS) != 0)) {
		want |= OPW_CAS;
		expect->bits |= UB_MAY_OMIT;
	} else if ((want & OPW_VALUE) != 0)
		want &= ~OPW_SIZE;	/* VA tells it */
	expect->want = (uint16_t)want;
	dst = PUT(dst, "mg ");
	dst = put_meta_key(dst, op);
	dst = put_meta_common(dst, op, want, opaque);
	if ((op->opts & OPF_NO_BUMP) != 0)
		dst = put_flag(dst, 'u');
	return (dst);
}

static char *
put_meta_store(char *dst, const struct op *op, uint32_t opaque)
{
	static const char modes[] = { [OP_SET] = '\0', [OP_ADD] = 'E', [OP_REPLACE] = 'R', [OP_APPEND] = 'A',
	    [OP_PREPEND] = 'P' };

	if (op->mode > OP_PREPEND)
		return (NULL);
	dst = PUT(dst, "ms ");
	dst = put_meta_key(dst, op);
	dst = put_number(dst, op->vlen);
	dst = put_meta_common(dst, op, op->want, opaque);
	if (modes[op->mode] != '\0') {
		dst = put_flag(dst, 'M');
		*dst++ = modes[op->mode];
	}
	return (dst);
}

static char *
put_meta_delete(char *dst, const struct op *op, uint32_t opaque)
{
	dst = PUT(dst, "md ");
	dst = put_meta_key(dst, op);
	dst = put_meta_common(dst, op, op->want, opaque);
	if ((op->opts & OPF_REMOVE_VAL) != 0)
		dst = put_flag(dst, 'x');
	return (dst);
}

/* The number is needed whoever asked for it: it is what the copy here becomes. */
static char *
put_meta_arith(char *dst, const struct op *op, uint32_t opaque, struct upstream_expect *expect)
{
	if (op->mode != OP_INCR && op->mode != OP_DECR)
		return (NULL);
	expect->want |= OPW_VALUE;
	dst = PUT(dst, "ma ");
	dst = put_meta_key(dst, op);
	dst = put_meta_common(dst, op, op->want | OPW_VALUE, opaque);
	if (op->delta != 1)
		dst = put_flag_u64(dst, 'D', op->delta);
	if (op->initial != 0)
		dst = put_flag_u64(dst, 'J', op->initial);
	return (op->mode == OP_DECR ? PUT(dst, " MD") : dst);
}

/* memcached heeds me's b only when another word follows. It takes no opaque. */
static char *
put_meta_debug(char *dst, const struct op *op)
{
	dst = PUT(dst, "me ");
	dst = put_meta_key(dst, op);
	return ((op->opts & OPF_BINKEY) != 0 ? PUT(dst, " b b") : dst);
}

static char *
put_meta(char *dst, const struct op *op, uint32_t opaque, struct upstream_expect *expect)
{
	if ((op->opts & OPF_BINKEY) != 0 && op->key.len > KEY64_MAX)
		return (NULL);
	switch ((enum op_verb)op->verb) {
	case OP_GET:
		return (put_meta_get(dst, op, opaque, expect));
	case OP_STORE:
		return (put_meta_store(dst, op, opaque));
	case OP_DELETE:
		return (put_meta_delete(dst, op, opaque));
	case OP_ARITH:
		return (put_meta_arith(dst, op, opaque, expect));
	case OP_DEBUG:
		return (put_meta_debug(dst, op));
	case OP_FLUSH:
		break;
	}
	return (NULL);
}

/* ---- classic ---- */

/*
 * gets, get, gats, gat, touch. What needs no TTL, last access or fetched bit can be said. A t that does not stand in
 * the order is somebody's here, who does without it.
 */
static char *
put_classic_get(char *dst, const struct op *op, struct upstream_expect *expect)
{
	bool cas = (op->want & OPW_CAS) != 0 || (op->opts & OPF_CAS) != 0;
	bool ttl = (op->opts & OPF_TTL) != 0;

	if ((op->opts & (OPF_NEWCAS | OPF_VIVIFY | OPF_RECACHE)) != 0 ||
	    (op->want & (OPW_HIT | OPW_LA)) != 0 || ((op->want & OPW_TTL) != 0 && op->order != 0))
		return (NULL);
	if (ttl && op->want == 0 && !cas) {
		expect->bits |= UB_TOUCH;
		dst = PUT(dst, "touch ");
		dst = put(dst, op->key.p, op->key.len);
		*dst++ = ' ';
		return (num_put_i64(dst, op->ttl));
	}
	if (cas)
		expect->want |= OPW_CAS;
	expect->keyhash = upstream_keyhash(op->key.p, op->key.len);
	dst = ttl ? PUT(dst, "gat") : PUT(dst, "get");
	if (cas)
		*dst++ = 's';
	*dst++ = ' ';
	if (ttl) {
		dst = num_put_i64(dst, op->ttl);
		*dst++ = ' ';
	}
	return (put(dst, op->key.p, op->key.len));
}

static char *
put_classic_store(char *dst, const struct op *op)
{
	static const char *const words[] = { [OP_SET] = "set ", [OP_ADD] = "add ", [OP_REPLACE] = "replace ",
	    [OP_APPEND] = "append ", [OP_PREPEND] = "prepend " };
	bool cas = (op->opts & OPF_CAS) != 0 && op->mode != OP_ADD;
	bool joins = op->mode == OP_APPEND || op->mode == OP_PREPEND;
	const char *word;

	/* No new CAS is told, and of the size only what is known here. */
	if (op->mode > OP_PREPEND || (joins && (cas || (op->want & OPW_SIZE) != 0)) ||
	    (op->opts & (OPF_NEWCAS | OPF_INVALIDATE | OPF_VIVIFY)) != 0 || (op->want & OPW_CAS) != 0)
		return (NULL);
	word = cas ? "cas " : words[op->mode];
	dst = put(dst, word, strlen(word));
	dst = put(dst, op->key.p, op->key.len);
	dst = put_number(dst, (op->opts & OPF_FLAGS) != 0 ? op->client_flags : 0);
	*dst++ = ' ';
	dst = num_put_i64(dst, (op->opts & OPF_TTL) != 0 ? op->ttl : 0);
	dst = put_number(dst, op->vlen);
	return (cas ? put_number(dst, op->cas) : dst);
}

static char *
put_classic_delete(char *dst, const struct op *op)
{
	if ((op->opts & (OPF_CAS | OPF_NEWCAS | OPF_INVALIDATE | OPF_REMOVE_VAL)) != 0)
		return (NULL);
	dst = PUT(dst, "delete ");
	return (put(dst, op->key.p, op->key.len));
}

static char *
put_classic_arith(char *dst, const struct op *op)
{
	if ((op->mode != OP_INCR && op->mode != OP_DECR) ||
	    (op->opts & (OPF_CAS | OPF_NEWCAS | OPF_TTL | OPF_VIVIFY)) != 0 ||
	    (op->want & (unsigned)~OPW_VALUE) != 0)
		return (NULL);
	dst = op->mode == OP_INCR ? PUT(dst, "incr ") : PUT(dst, "decr ");
	dst = put(dst, op->key.p, op->key.len);
	return (put_number(dst, op->delta));
}

static char *
put_classic(char *dst, const struct op *op, struct upstream_expect *expect)
{
	switch ((enum op_verb)op->verb) {
	case OP_GET:
		return (put_classic_get(dst, op, expect));
	case OP_STORE:
		return (put_classic_store(dst, op));
	case OP_DELETE:
		return (put_classic_delete(dst, op));
	case OP_ARITH:
		return (put_classic_arith(dst, op));
	case OP_DEBUG:
	case OP_FLUSH:
		break;
	}
	return (NULL);
}

char *
upstream_put_keys(char *dst, const struct slice *keys, unsigned n, bool cas, struct upstream_expect *expect)
{
	*expect = (struct upstream_expect){ .want = (uint16_t)(OPW_VALUE | OPW_FLAGS | (cas ? OPW_CAS : 0)),
	    .verb = OP_GET, .dialect = UPSTREAM_CLASSIC, .keys = true };
	dst = cas ? PUT(dst, "gets") : PUT(dst, "get");
	for (unsigned i = 0; i < n; i++) {
		*dst++ = ' ';
		dst = put(dst, keys[i].p, keys[i].len);
	}
	return (PUT(dst, "\r\n"));
}

/* ---- both ---- */

static char *
put_flush(char *dst, const struct op *op)
{
	dst = PUT(dst, "flush_all");
	if (op->ttl > 0)
		dst = put_number(dst, (uint64_t)op->ttl);
	return (dst);
}

char *
upstream_put(char *dst, enum upstream_dialect dialect, const struct op *op, uint32_t opaque,
    struct upstream_expect *expect)
{
	struct op coded;

	/* An ms that is too large takes the old value with it whatever its mode; of the classic verbs only set does. */
	if (op->verb == OP_STORE && (op->opts & OPF_CLASSIC) != 0 &&
	    (op->mode != OP_SET || (op->opts & OPF_CAS) != 0))
		dialect = UPSTREAM_CLASSIC;
	/* mg T would take the win of a stale item, and the answer would not say so. */
	if (op->verb == OP_GET && op->opts == (OPF_TTL | OPF_CLASSIC) && op->want == 0)
		dialect = UPSTREAM_CLASSIC;
	if ((dialect == UPSTREAM_CLASSIC || (op->opts & OPF_BINKEY) == 0) && !upstream_key_ok(op->key)) {
		if (dialect == UPSTREAM_CLASSIC)
			return (NULL);
		coded = *op;
		coded.opts |= OPF_BINKEY;
		op = &coded;
	}
	*expect = (struct upstream_expect){ .opaque = opaque, .want = op->want, .verb = op->verb,
	    .dialect = (uint8_t)dialect, .bits = (op->opts & OPF_CAS) != 0 ? UB_CAS : 0 };
	if (op->verb == OP_STORE)
		expect->vlen = op->vlen;
	if (op->verb == OP_FLUSH)
		dst = put_flush(dst, op);
	else if (op->key.len == 0 || op->key.len > OP_KEY_MAX)
		return (NULL);
	else if (dialect == UPSTREAM_META)
		dst = put_meta(dst, op, opaque, expect);
	else
		dst = put_classic(dst, op, expect);
	return (dst == NULL ? NULL : PUT(dst, "\r\n"));
}
