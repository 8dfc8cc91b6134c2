/*
 * Unit tests of src/backend/redis*.c: against a real redis-server what no client can ask for (versions, marks of deletes,
 * limits, ways, deadlines), against a fake one what is sent again and what is not.
 */
#include "backend/redis.c"
#define STORE_OPS redis_ops
#include "servers.h"

static pid_t
redis_start(uint16_t port)
{
	char number[8];
	pid_t pid = fork();

	snprintf(number, sizeof number, "%u", (unsigned)port);
	if (pid == 0) {
		const char *path = getenv("REDIS");

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp(path != NULL ? path : "redis-server", "redis-server", "--port", number, "--bind", "127.0.0.1", "--save", "",
		    "--appendonly", "no", "--logfile", "/dev/null", (char *)NULL);
		_exit(127);
	}
	return (pid);
}

/* ---- helpers: one op, waited for ---- */

static struct call *
once(struct backend *be, struct call *c)
{
	call_submit(be, c);
	if (!run_all())
		ok(false, "an op on %s hangs", c->key);
	return (c);
}

static struct call *
item_new(enum op_verb verb, const char *key, uint64_t version)
{
	struct call *c = call_new(verb, key);

	c->op.format = FORMAT_ITEM;
	c->op.version = version;
	return (c);
}

static struct call *
item_set(const char *key, const char *value, uint64_t version)
{
	struct call *c = item_new(OP_STORE, key, version);

	c->body = strdup(value);
	c->piece = (struct iovec){ c->body, strlen(value) };
	c->op.op.vlen = (uint32_t)strlen(value);
	c->op.body = &c->piece;
	c->op.nbody = 1;
	return (c);
}

/* The unique after the op; 0: it failed. */
static uint64_t
cas_of(struct backend *be, struct call *c)
{
	uint64_t cas;

	c->op.op.want |= OPW_CAS;
	once(be, c);
	cas = c->op.err == ERR_NONE && c->op.res.status == OP_OK ? c->op.res.cas : 0;
	call_free(c);
	return (cas);
}

static bool
is_value(struct backend *be, const char *key, const char *want)
{
	struct call *c = get_new(key);
	bool is;

	c->op.format = FORMAT_ITEM;
	once(be, c);
	is = want == NULL ? c->op.res.status == OP_MISS : c->op.res.status == OP_OK && c->value_len == strlen(want) &&
	    memcmp(c->value, want, c->value_len) == 0;
	call_free(c);
	return (is && c != NULL);
}

/* ---- versions ---- */

static void
versions_only_grow(struct backend *be)
{
	struct call *c;
	uint64_t made;

	is_u(cas_of(be, item_set("v", "a", 1000)), 1000, "versions: a new item has the one given");
	is_u(cas_of(be, item_set("v", "b", 2000)), 2000, "versions: so has what is written over it");
	is_u(cas_of(be, item_set("v", "b", 2000)), 2000, "versions: the same write once more is answered as the first was");
	is_u(cas_of(be, item_set("v", "c", 2000)), 2001, "versions: another's of one version comes behind");
	ok(is_value(be, "v", "c"), "versions: and is there");
	is_u(cas_of(be, item_set("v", "d", 500)), 2002, "versions: one given too late is above what is there");
	ok(is_value(be, "v", "d"), "versions: a write is never lost");
	made = cas_of(be, item_set("v", "e", 0));
	ok(made > 1700000000000000u && made < 4000000000000000u, "versions: without one the server's clock makes it");
	c = item_set("v", "f", 5);
	c->op.op.mode = OP_APPEND;
	is_u(cas_of(be, c), made + 1, "versions: append is above what is there");
	c = item_set("v", "f", made + 100);
	c->op.op.mode = OP_PREPEND;
	is_u(cas_of(be, c), made + 100, "versions: or what is given");
	c = item_set("v", "1", UINT64_MAX);
	is_u(cas_of(be, c), UINT64_MAX, "versions: the last one");
	is_u(cas_of(be, item_set("v", "1", 7)), 7, "versions: begins anew");
	c = item_new(OP_ARITH, "v", 3);
	c->op.op.mode = OP_INCR;
	c->op.op.delta = 1;
	is_u(cas_of(be, c), 8, "versions: arithmetic has one as well");
}

static void
deletes_leave_marks(struct backend *be)
{
	struct call *c;

	(void)cas_of(be, item_set("d", "a", 1000));
	c = item_new(OP_DELETE, "d", 3000);
	c->op.keep_dead = 60000;
	once(be, c);
	is_u(c->op.res.status, OP_OK, "marks: a delete");
	call_free(c);
	ok(is_value(be, "d", NULL), "marks: it is gone");
	c = item_new(OP_DELETE, "d", 4000);
	c->op.keep_dead = 60000;
	once(be, c);
	is_u(c->op.res.status, OP_MISS, "marks: there is nothing to delete any more");
	call_free(c);
	is_u(cas_of(be, item_set("d", "b", 2000)), 3001, "marks: but its version is remembered");
	c = item_new(OP_DELETE, "d", 9000);
	once(be, c);
	call_free(c);
	is_u(cas_of(be, item_set("d", "b", 2000)), 2000, "marks: without one it is not");
}

static void
values_have_a_limit(struct backend *be)
{
	struct call *c;

	for (unsigned format = FORMAT_RAW; format <= FORMAT_ITEM; format++) {
		c = item_set(format == FORMAT_RAW ? "raw" : "item", "12345", 0);
		c->op.format = (uint8_t)format;
		call_free(once(be, c));
		for (unsigned i = 0; i < 2; i++) {
			c = item_set(format == FORMAT_RAW ? "raw" : "item", "678", 0);
			c->op.format = (uint8_t)format;
			c->op.op.mode = i == 0 ? OP_APPEND : OP_PREPEND;
			c->op.value_max = 7;
			once(be, c);
			is_u(c->op.res.status, OP_NOT_STORED, "limit: what would grow beyond it does not");
			c = (call_free(c), item_set(format == FORMAT_RAW ? "raw" : "item", "x", 0));
			c->op.format = (uint8_t)format;
			c->op.op.mode = OP_APPEND;
			c->op.value_max = 7;
			once(be, c);
			ok(c->op.res.status == OP_OK && c->op.res.size == 6 + i, "limit: up to it, it does");
			call_free(c);
		}
	}
}

/* ---- tokens ---- */

static const struct conf_ns space = { .name = (char *)(uintptr_t)"default", .prefix = (char *)(uintptr_t)"",
    .format = FORMAT_ITEM, .drift_behind = 60000000, .delete_ttl = 60000000 };

/* The same op with a token; nonce 0: none. */
static struct call *
tokened(struct call *c, unsigned nonce)
{
	c->op.ns = &space;
	c->op.op.opts |= OPF_TOKEN;
	c->op.keep_dead = 60000;
	c->op.nonce[NONCE_LEN - 1] = (uint8_t)nonce;
	return (c);
}

static struct call *
moded(struct call *c, enum op_mode mode, unsigned opts)
{
	c->op.op.mode = (uint8_t)mode;
	c->op.op.opts |= (uint16_t)opts;
	return (c);
}

static uint8_t
status_of(struct backend *be, struct call *c)
{
	uint8_t status;

	once(be, c);
	status = c->op.err == ERR_NONE ? c->op.res.status : UINT8_MAX;
	call_free(c);
	return (status);
}

static void
blind_writes_have_their_place(struct backend *be)
{
	static const struct { uint64_t version; unsigned nonce; const char *value; } writes[] = {
		{ 1000, 1, "a" }, { 2000, 1, "b" }, { 2000, 2, NULL }, { 2000, 3, "d" } };
	static const uint8_t orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 2, 0, 3, 1 }, { 1, 3, 0, 2 } };
	unsigned good = 0;
	char key[16];

	for (unsigned i = 0; i < NITEMS(orders); i++) {
		snprintf(key, sizeof key, "lww{%u", i);
		for (unsigned n = 0; n < 8; n++) {
			unsigned w = orders[i][n % 4];
			struct call *c = writes[w].value == NULL ? item_new(OP_DELETE, key, writes[w].version) :
			    item_set(key, writes[w].value, writes[w].version);
			uint8_t status = status_of(be, tokened(c, writes[w].nonce));

			good += status == OP_OK || (writes[w].value == NULL && status == OP_MISS);
		}
		good += is_value(be, key, "d");
	}
	is_u(good, NITEMS(orders) * 9, "tokens: blind writes come to the same in any order, twice too");
	(void)status_of(be, tokened(item_new(OP_DELETE, "lwwd", 3000), 5));
	is_u(status_of(be, tokened(item_set("lwwd", "late", 3000), 4)), OP_OK, "tokens: what is late is a success");
	ok(is_value(be, "lwwd", NULL), "tokens: a delete of nothing is remembered");
	is_u(status_of(be, tokened(moded(item_set("lwwd", "late", 2000), OP_ADD, 0), 1)), OP_OK, "tokens: so is a late add");
	ok(is_value(be, "lwwd", NULL), "tokens: which does nothing");
	is_u(status_of(be, tokened(item_set("lwwd", "new", 3000), 6)), OP_OK, "tokens: what is newer by its nonce");
	ok(is_value(be, "lwwd", "new"), "tokens: is there");
	is_u(cas_of(be, item_set("lwwd", "plain", 100)), 3001, "tokens: a plain write is never lost");
}

static void
relative_writes_count_once(struct backend *be)
{
	struct call *c;
	uint64_t cas;

	(void)cas_of(be, item_set("r}1", "5", 1000));
	for (unsigned i = 0; i < 4; i++) {
		c = tokened(moded(item_new(OP_ARITH, "r}1", 900 + i / 2), OP_INCR, 0), 7);
		c->op.op.delta = 3;
		once(be, c);
		ok(c->op.res.status == OP_OK && c->op.res.number == 8 + 3 * (i / 2) && c->op.res.cas == 1001 + i / 2,
		    "tokens: incr, again the first answer");
		call_free(c);
	}
	ok(is_value(be, "r}1", "11"), "tokens: and counted once each");
	for (unsigned i = 0; i < 2; i++) {
		c = tokened(moded(item_set("{r}2", "ab", 2000), OP_ADD, 0), 1);
		is_u(status_of(be, c), OP_OK, "tokens: add");
		c = tokened(moded(item_set("{r}2", "cd", 3000), OP_APPEND, 0), 1);
		is_u(cas_of(be, c), 3000, "tokens: append");
		c = tokened(moded(item_set("{r}2", "xy", 2500), OP_PREPEND, 0), 1);
		is_u(cas_of(be, c), 3001, "tokens: prepend, above what is there");
	}
	ok(is_value(be, "{r}2", "xyabcd"), "tokens: each once");
	is_u(status_of(be, tokened(moded(item_set("{r}2", "no", 5000), OP_ADD, 0), 2)), OP_NOT_STORED, "tokens: another add fails");
	for (unsigned i = 0; i < 2; i++) {
		c = tokened(moded(item_set("{r}2", "cas", 4000), OP_SET, OPF_CAS), 1);
		c->op.op.cas = 3001;
		cas = cas_of(be, c);
		is_u(cas, 4000, "tokens: cas");
	}
	for (unsigned i = 0; i < 2; i++) {
		c = tokened(moded(item_new(OP_DELETE, "{r}2", 4500), OP_SET, OPF_CAS), 1);
		c->op.op.cas = 4000;
		is_u(status_of(be, c), OP_OK, "tokens: a delete that compares");
	}
	c = tokened(moded(item_new(OP_ARITH, "{r}2", 4400), OP_INCR, OPF_VIVIFY), 1);
	c->op.op.initial = 10;
	is_u(status_of(be, c), OP_OK, "tokens: what is made under a newer delete is a success");
	ok(is_value(be, "{r}2", NULL), "tokens: and nothing");
}

/* ---- heads ---- */

static void
heads_stay(struct backend *be)
{
	static const struct envelope head = { .codec = CODEC_ZSTD, .size = 777, .dictionary = 9 };
	static const struct envelope pieces = { .size = 3000000, .chunk = 1000000, .chunks = 3 };
	struct call *c;

	for (unsigned i = 0; i < 2; i++) {
		c = tokened(item_set("h", i == 0 ? "zzz" : "", 1000 + i), 3);
		c->op.head = i == 0 ? &head : &pieces;
		is_u(cas_of(be, c), 1000 + i, "heads: set");
		for (unsigned n = 0; n < 3; n++) {
			const struct envelope *e;

			c = get_new("h");
			e = &c->op.found_head;
			c->op.format = FORMAT_ITEM;
			if (n > 0) {
				c->op.op.opts = OPF_TTL;
				c->op.op.ttl = 100;
				c->op.op.order = OPO_TTL;
				c->op.op.want |= OPW_HIT;
			}
			once(be, c);
			ok(c->op.res.status == OP_OK && c->op.res.bits == (OPR_ENCODED | (n == 2 ? OPR_FETCHED : 0)) &&
			    c->value_len == (i == 0 ? 3 : 0) && e->version == 1000 + i && e->nonce[NONCE_LEN - 1] == 3,
			    "heads: get, with a touch and after it");
			ok(e->codec == (i == 0 ? CODEC_ZSTD : CODEC_NONE) && e->size == (i == 0 ? 777 : 3000000) &&
			    e->dictionary == (i == 0 ? 9 : 0) && e->chunk == pieces.chunk * i && e->chunks == 3 * i,
			    "heads: all that they say");
			call_free(c);
		}
		c = moded(item_set("h", "x", 0), OP_APPEND, 0);
		once(be, c);
		ok(c->op.res.status == OP_ERROR && c->op.res.bits == OPR_ENCODED && c->op.res.cas == 1000 + i, "heads: append has to decode");
		call_free(c);
		c = moded(item_new(OP_ARITH, "h", 0), OP_INCR, 0);
		once(be, c);
		ok(c->op.res.status == OP_ERROR && c->op.res.bits == OPR_ENCODED && c->op.res.cas == 1000 + i, "heads: incr too");
		call_free(c);
	}
	c = tokened(item_new(OP_DELETE, "h", 3000), 1);
	once(be, c);
	ok(c->op.res.status == OP_OK && c->op.res.bits == OPR_ENCODED && c->op.found_head.chunks == 3 &&
	    c->op.found_head.version == 1001, "heads: who deletes it learns of its pieces");
	call_free(c);
	c = tokened(item_set("h3", "x", 1000), 1);
	c->op.op.opts |= OPF_TTL;
	c->op.op.ttl = -1;
	is_u(status_of(be, c), OP_OK, "heads: over when it is written");
	(void)status_of(be, tokened(item_set("h3", "older", 900), 1));
	ok(is_value(be, "h3", NULL), "heads: its version is remembered");
	(void)cas_of(be, item_set("h2", "a", 1000));
	(void)cas_of(be, tokened(moded(item_set("h2", "b", 2000), OP_APPEND, 0), 9));
	ok(is_value(be, "h2", "ab"), "heads: a short one grows");
	(void)cas_of(be, tokened(item_set("h2", "no", 2000), 8));
	ok(is_value(be, "h2", "ab"), "heads: and has the nonce");
	(void)cas_of(be, moded(item_set("h2", "c", 3000), OP_APPEND, 0));
	ok(is_value(be, "h2", "abc"), "heads: until the next write");
	(void)cas_of(be, tokened(item_set("h2", "yes", 3000), 1));
	ok(is_value(be, "h2", "yes"), "heads: which has none");
}

/* ---- pieces ---- */

static struct call *
piece(struct call *c, uint32_t n)
{
	c->op.format = FORMAT_ITEM;
	c->op.version = 1234;
	c->op.nonce[0] = 1;
	c->op.chunk = n;
	return (c);
}

static void
pieces_are_apart(struct backend *be)
{
	struct call *c;

	for (uint32_t n = 1; n <= 2; n++) {
		c = piece(set_new("p", n * 100000), n);
		c->op.op.ttl = n == 1 ? 1000 : 0;
		is_u(status_of(be, c), OP_OK, "pieces: stored");
	}
	for (uint32_t n = 1; n <= 3; n++) {
		c = piece(get_new("p"), n);
		once(be, c);
		ok(n == 3 ? c->op.res.status == OP_MISS : value_fits(c, "p", n * 100000), "pieces: read, or missing");
		call_free(c);
	}
	ok(is_value(be, "p", NULL), "pieces: are no item");
	c = moded(piece(call_new(OP_GET, "p"), 1), OP_SET, OPF_TTL);
	is_u(status_of(be, c), OP_OK, "pieces: stay for ever");
	is_u(status_of(be, piece(call_new(OP_DELETE, "p"), 1)), OP_OK, "pieces: deleted");
	is_u(status_of(be, piece(get_new("p"), 1)), OP_MISS, "pieces: and gone");
}

/* ---- many keys ---- */

static unsigned found, found_bytes, found_at;

static void
on_found(struct be_op *op)
{
	found++;
	found_at = found_at * 10 + op->at;
	found_bytes += op->res.size;
	if (op->data.p == NULL && op->res.size > 0)
		found_bytes += 1000000;		/* by the sink */
}

static void
many_keys(struct backend *be)
{
	static const struct slice keys[] = { { "k1", 2 }, { "none", 4 }, { "k2", 2 }, { "k1", 2 }, { "large", 5 } };
	char *large = malloc(40001);
	struct call *c;

	memset(large, 'x', 40000);
	large[40000] = '\0';
	(void)cas_of(be, item_set("k1", "one", 0));
	(void)cas_of(be, item_set("k2", "", 0));
	(void)cas_of(be, item_set("large", large, 0));
	for (unsigned i = 0; i < 3; i++) {
		c = get_new("");
		c->op.format = FORMAT_ITEM;
		c->op.op.opts = OPF_CLASSIC;
		c->op.keys = keys;
		c->op.nkeys = NITEMS(keys);
		c->op.found = on_found;
		found = found_at = found_bytes = 0;
		if (i == 1)
			c->sink_full = true;
		call_submit(be, c);
		if (i == 2)
			ops->cancel(be, &c->op);
		ok(run_all(), "keys: the read ends");
		if (i == 0) {
			ok(c->op.err == ERR_NONE && found == 4 && found_at == 234 && found_bytes == 1040006,
			    "keys: each that is there is found, in order, the large one by the sink");
		} else if (i == 1)
			ok(c->op.err == ERR_NOMEM && found == 3, "keys: where there is no memory the rest is not");
		else
			ok(c->op.err == ERR_CANCELLED && found == 0, "keys: nor after a cancel");
		call_free(c);
	}
	ok(is_value(be, "k1", "one"), "keys: the next reply is whole");
	free(large);
}

/* ---- flush ---- */

static bool
takes_odd(const struct be_op *op, struct slice key)
{
	(void)op;
	return (key.len > 0 && key.p[key.len - 1] % 2 == 1);
}

static void
flushes(struct backend *be)
{
	unsigned left = 0;
	char key[16];
	struct call *c;

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(key, sizeof key, "f%u", i);
		c = item_set(key, "x", 0);
		call_free(once(be, c));
	}
	c = call_new(OP_FLUSH, "");
	c->op.flushes = takes_odd;
	once(be, c);
	is_u(c->op.err, ERR_NONE, "flush: of some");
	call_free(c);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(key, sizeof key, "f%u", i);
		left += is_value(be, key, i % 2 == 1 ? NULL : "x");
	}
	is_u(left, 2000, "flush: just those go that are to");
	c = call_new(OP_FLUSH, "");
	c->op.flushes = takes_odd;
	call_submit(be, c);
	ops->cancel(be, &c->op);
	ok(run_all() && c->op.err == ERR_CANCELLED, "flush: is cancelled");
	call_free(c);
	c = call_new(OP_FLUSH, "");
	once(be, c);
	ok(c->op.err == ERR_NONE && is_value(be, "f0", NULL), "flush: of all");
	call_free(c);
}

/* It may have been asked before it listened: then it is on trial. */
static bool
is_there(void *arg)
{
	return (state_is(arg, BE_UP) || state_is(arg, BE_TRIAL));
}

static unsigned all_ways;

static bool
has_all_ways(void *arg)
{
	return (ops->ways(arg, NULL) == all_ways);
}

static void
with_a_real_server(unsigned connections)
{
	uint16_t port = 0;
	int fd = listen_on(&port);
	struct call *c[100];
	struct backend *be;
	struct place p;
	unsigned good = 0;
	pid_t pid;

	close(fd);
	pid = redis_start(port);
	place_init(&p, port);
	p.store.connections = all_ways = connections;
	be = place_open(&p);
	run_until(is_there, be);
	call_free(get_once(be, "k"));
	ok(run_until(is_up, be), "a real server, %u connections", connections);
	versions_only_grow(be);
	deletes_leave_marks(be);
	values_have_a_limit(be);
	blind_writes_have_their_place(be);
	relative_writes_count_once(be);
	heads_stay(be);
	pieces_are_apart(be);
	many_keys(be);
	flushes(be);
	run_until(has_all_ways, be);
	is_u(ops->ways(be, NULL), connections, "as many ways as connections");
	for (unsigned i = 0; i < NITEMS(c); i++) {
		c[i] = i % 3 == 0 ? item_set("w", "x", 0) : get_new("w");
		c[i]->op.format = FORMAT_ITEM;
		c[i]->op.way = i % 3 == 1 ? (uint8_t)(i % connections) : 0;
		call_submit(be, c[i]);
		if (i % 10 == 9)
			ops->cancel(be, &c[i]->op);
	}
	ok(run_all(), "ways: all end");
	for (unsigned i = 0; i < NITEMS(c); i++) {
		good += c[i]->op.err == (i % 10 == 9 ? ERR_CANCELLED : ERR_NONE);
		call_free(c[i]);
	}
	is_u(good, NITEMS(c), "ways: well, or cancelled");
	for (unsigned i = 0; i < NITEMS(c); i++) {
		c[i] = item_set("w", "x", 0);
		call_submit(be, c[i]);
	}
	outstanding++;		/* close() ends the rest */
	ops->close(&be);
	outstanding--;
	is_u(outstanding, 0, "close() ends what is in flight");
	for (unsigned i = 0; i < NITEMS(c); i++)
		call_free(c[i]);
	memcached_kill(pid);
}

/* ---- a fake one ---- */

/* Reads one command; its first word and key. False: the peer has gone. */
static bool
fake_command(struct fake *f, int fd, char *word, char *key)
{
	char line[300];
	int n;

	if (!fake_line(f, fd, line, sizeof line))
		return (false);
	n = (int)strtol(line + 1, NULL, 10);
	*key = '\0';
	for (int i = 0; i < n; i++) {
		char *skip;
		long len;

		if (!fake_line(f, fd, line, sizeof line))
			return (false);
		len = strtol(line + 1, NULL, 10);
		skip = malloc((size_t)len + 3);
		for (long got = 0; got < len + 2;) {
			ssize_t m = read(fd, skip + got, (size_t)(len + 2 - got));

			if (m <= 0) {
				free(skip);
				return (false);
			}
			got += m;
		}
		if (i < 2)
			snprintf(i == 0 ? word : key, 64, "%.*s", (int)len, skip);
		free(skip);
	}
	return (true);
}

/* Greets; true: it was a command of the greeting. */
static bool
fake_greets(int fd, const char *word)
{
	if (strcmp(word, "PING") == 0)
		fake_say(fd, "+PONG\r\n");
	else if (strcmp(word, "TIME") == 0)
		fake_say(fd, "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
	else if (strcmp(word, "SCRIPT") == 0)
		fake_say(fd, "$1\r\nx\r\n");
	else
		return (false);
	return (true);
}

/* Closes the first connection at its third request, then answers. */
static void
closing_script(struct fake *f, int fd, unsigned nth)
{
	char word[64], key[64];

	for (unsigned n = 0; fake_command(f, fd, word, key);) {
		if (fake_greets(fd, word))
			continue;
		f->seen++;
		if (nth == 1 && ++n == 3)
			return;
		if (nth > 1)
			fake_say(fd, strcmp(word, "GET") == 0 ? "$2\r\nhi\r\n" : "+OK\r\n");
	}
}

static void
what_goes_out_again(bool writes)
{
	struct call *c[3];
	struct backend *be;
	struct fake f;
	struct place p;
	unsigned good = 0, lost = 0;

	fake_start(&f, closing_script, NULL);
	place_init(&p, f.port);
	be = place_open(&p);
	run_until(is_up, be);
	for (unsigned i = 0; i < NITEMS(c); i++) {
		c[i] = writes && i == 1 ? item_set("k", "x", 0) : get_new("k");
		c[i]->op.format = FORMAT_RAW;
		call_submit(be, c[i]);
	}
	ok(run_all(), "lost: all end");
	for (unsigned i = 0; i < NITEMS(c); i++) {
		good += c[i]->op.err == ERR_NONE;
		lost += c[i]->op.err == ERR_CLOSED;
		call_free(c[i]);
	}
	if (writes)
		is_u(lost, 3, "lost: with a write among them nothing is sent twice");
	else
		is_u(good, 3, "lost: reads go out once more");
	ops->close(&be);
	fake_stop(&f);
}

/* Answers when told to. */
static void
slow_script(struct fake *f, int fd, unsigned nth)
{
	char word[64], key[64];

	(void)nth;
	while (fake_command(f, fd, word, key)) {
		if (fake_greets(fd, word))
			continue;
		f->seen++;
		while (f->phase == 0 && !f->stop)
			usleep(1000);
		fake_say(fd, strcmp(key, "a") == 0 ? "$1\r\na\r\n" : "$1\r\nb\r\n");
	}
}

static bool
has_seen(void *arg)
{
	return (((struct fake *)arg)->seen > 0);
}

static void
own_deadlines(void)
{
	struct call *c, *next;
	struct backend *be;
	struct fake f;
	struct place p;

	fake_start(&f, slow_script, NULL);
	place_init(&p, f.port);
	be = place_open(&p);
	run_until(is_up, be);
	is_u(ops->late(be, &(struct be_op){ .way = 0 }), 0, "own deadline: nothing is late");
	c = get_new("a");
	c->op.timeout = 50000;
	c->op.rest = true;
	call_submit(be, c);
	run_until(has_seen, &f);
	ok(run_all() && c->op.err == ERR_TIMEOUT, "own deadline: the get times out");
	ok(ops->late(be, &(struct be_op){ .way = 0 }) >= 50000, "own deadline: the server is known to be late");
	ok(ops->healthy(be), "own deadline: it is not down for that");
	call_free(c);
	c = get_new("a");
	call_submit(be, c);
	ops->cancel(be, &c->op);
	next = get_new("b");
	call_submit(be, next);
	f.phase = 1;
	ok(run_all(), "own deadline: the next ones end");
	ok(c->op.err == ERR_CANCELLED && next->value_len == 1 && next->value[0] == 'b',
	    "own deadline: late replies are dropped, the next op has its own");
	is_u(f.accepted, 1, "own deadline: on the same connection");
	call_free(c);
	call_free(next);
	ops->close(&be);
	fake_stop(&f);
}

static void
bounds(void)
{
	struct call *c[20];
	struct backend *be;
	struct fake f;
	struct place p;
	unsigned busy = 0, cancelled = 0;
	char want[200];

	fake_start(&f, slow_script, NULL);
	place_init(&p, f.port);
	p.store.max_inflight = 5;
	be = place_open(&p);
	for (unsigned i = 0; i < 10; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
	}
	run_until(is_up, be);
	for (unsigned i = 10; i < 20; i++) {
		c[i] = get_new("k");
		call_submit(be, c[i]);
	}
	outstanding++;
	ops->close(&be);
	outstanding--;
	for (unsigned i = 0; i < 20; i++) {
		busy += c[i]->op.err == ERR_BUSY;
		cancelled += c[i]->op.err == ERR_CANCELLED;
	}
	is_u(busy, 15, "bounds: what is too much is refused");
	snprintf(want, sizeof want, "%s has too many requests in flight", p.name);
	is_s(c[19]->why, want, "bounds: and says so");
	is_u(cancelled, 5, "bounds: close() cancels what is in flight");
	for (unsigned i = 0; i < 20; i++)
		call_free(c[i]);
	fake_stop(&f);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	with_a_real_server(1);
	with_a_real_server(3);
	what_goes_out_again(false);
	what_goes_out_again(true);
	own_deadlines();
	bounds();
	is_s(backend_find("redis")->name, "redis", "the registry knows the store");
	ok(*loop_slot(loop, LOOP_SLOT_BACKEND) == NULL, "nothing is left on the loop");
	loop_free(&loop);
	return (done_testing());
}
