/*
 * Unit tests of src/backend/redis_put_record.c, redis_items.c, redis_scan.c, redis_sweep.c and redis_name.c: records against
 * a real redis-server.
 */
#include "backend/redis.c"
#define STORE_OPS redis_ops
#include "servers.h"
#include "backend/slots.h"

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

/* ---- helpers ---- */

static const struct conf_ns records = { .name = (char *)(uintptr_t)"r", .prefix = (char *)(uintptr_t)"r:", .prefix_len = 2,
    .format = FORMAT_ITEM, .separator = (char *)(uintptr_t)"/", .separator_len = 1, .drift_behind = 60000000 };
static const struct conf_ns flat = { .name = (char *)(uintptr_t)"f", .prefix = (char *)(uintptr_t)"f:", .prefix_len = 2,
    .format = FORMAT_ITEM, .drift_behind = 60000000 };

/* An op on a record, what it found as "key=value ", and where it ended. */
struct many {
	struct be_op	 op;
	struct rec_op	 rec;
	struct rec_put	 puts[64];
	struct iovec	 bodies[64];
	char		 keys[64][40], values[64][40];
	struct slice	 named[64];
	char		 found[40000];
	char		 next_id[300], next[REC_KEY_MAX + 1];
	unsigned	 n;
	bool		 more;
	char		 why[256];
};

static uint32_t
many_cost(const struct rec_op *rec, const struct rec_item *it)
{
	(void)rec;
	return ((uint32_t)(10 + it->id.len + it->key.len + it->value.len));
}

static void
many_found(struct be_op *op)
{
	struct many *m = CONTAINER_OF(op, struct many, op);
	const struct rec_item *it = &m->rec.item;
	size_t used = strlen(m->found);

	snprintf(m->found + used, sizeof m->found - used, "%.*s%s%.*s=%.*s ", (int)it->id.len, it->id.p, op->op.verb == OP_SCAN ? "/" :
	    "", (int)it->key.len, it->key.p, (int)it->value.len, it->value.p == NULL ? "" : it->value.p);
	m->n++;
}

static void
many_done(struct be_op *op)
{
	struct many *m = CONTAINER_OF(op, struct many, op);

	m->more = m->rec.more;
	if (m->rec.next.p != NULL) {
		snprintf(m->next_id, sizeof m->next_id, "%.*s", (int)m->rec.next_id.len, m->rec.next_id.p);
		snprintf(m->next, sizeof m->next, "%.*s", (int)m->rec.next.len, m->rec.next.p);
	}
	if (op->err != ERR_NONE)
		snprintf(m->why, sizeof m->why, "%s", op->why);
	if (--outstanding == 0)
		loop_stop(loop);
}

static struct many *
many_new(unsigned verb, const struct conf_ns *ns, const char *id, uint64_t version)
{
	struct many *m = calloc(1, sizeof *m);

	m->op.op.verb = (uint8_t)verb;
	m->op.format = FORMAT_ITEM;
	m->op.ns = ns;
	m->op.id = slice_str(id);
	m->op.op.key = m->op.id;
	m->op.version = version;
	m->op.keep_dead = 60000;
	m->op.rec = &m->rec;
	m->op.found = many_found;
	m->op.done = many_done;
	m->rec.values = true;
	m->rec.cost = many_cost;
	m->rec.part = m->rec.parts = 1;
	return (m);
}

static struct many *
with_token(struct many *m, unsigned nonce)
{
	m->op.op.opts |= OPF_TOKEN;
	m->op.nonce[NONCE_LEN - 1] = (uint8_t)nonce;
	return (m);
}

/* Keys and values by turns. */
static struct many *
put_new(const struct conf_ns *ns, const char *id, uint64_t version, unsigned n, ...)
{
	struct many *m = many_new(OP_ITEMS_PUT, ns, id, version);
	va_list ap;

	va_start(ap, n);
	for (unsigned i = 0; i < n; i++) {
		snprintf(m->keys[i], sizeof m->keys[i], "%s", va_arg(ap, const char *));
		snprintf(m->values[i], sizeof m->values[i], "%s", va_arg(ap, const char *));
		m->bodies[i] = (struct iovec){ m->values[i], strlen(m->values[i]) };
		m->puts[i] = (struct rec_put){ .key = slice_str(m->keys[i]), .body = &m->bodies[i], .nbody = 1,
		    .len = (uint32_t)m->bodies[i].iov_len };
	}
	va_end(ap);
	m->rec.puts = m->puts;
	m->rec.nputs = n;
	return (m);
}

static struct many *
named(struct many *m, unsigned n, ...)
{
	va_list ap;

	va_start(ap, n);
	for (unsigned i = 0; i < n; i++)
		m->named[i] = slice_str(va_arg(ap, const char *));
	va_end(ap);
	m->rec.which.keys = m->named;
	m->rec.which.nkeys = n;
	return (m);
}

static struct many *
ranged(struct many *m, const char *from, const char *until, const char *head)
{
	m->rec.which.from = from == NULL ? SLICE_NULL : slice_str(from);
	m->rec.which.until = until == NULL ? SLICE_NULL : slice_str(until);
	m->rec.which.head = head == NULL ? SLICE_NULL : slice_str(head);
	return (m);
}

static struct many *
many_run(struct backend *be, struct many *m)
{
	outstanding++;
	ops->submit(be, &m->op);
	if (!run_all())
		ok(false, "an op on %.*s hangs", (int)m->op.id.len, m->op.id.p);
	if (m->op.err != ERR_NONE)
		printf("# %s\n", m->why);
	return (m);
}

/* The unique; 0: it failed. */
static uint64_t
wrote(struct backend *be, struct many *m)
{
	uint64_t cas;

	many_run(be, m);
	cas = m->op.err == ERR_NONE && m->op.res.status == OP_OK ? m->op.res.cas : 0;
	free(m);
	return (cas);
}

static bool
reads(struct backend *be, struct many *m, const char *want)
{
	bool good;

	many_run(be, m);
	good = m->op.err == ERR_NONE && strcmp(m->found, want) == 0;
	if (!good)
		printf("# found %s, want %s\n", m->found, want);
	free(m);
	return (good);
}

static struct many *
read_new(const char *id)
{
	return (many_new(OP_ITEMS_READ, &records, id, 0));
}

/* A classic op on an item. */
static struct call *
item_new(enum op_verb verb, const char *id, const char *item, const char *value, uint64_t version)
{
	struct call *c = verb == OP_GET ? get_new(id) : call_new(verb, id);
	size_t len = strlen(id);

	snprintf(c->key + len, sizeof c->key - len, "/%s", item);
	c->op.op.key = slice_str(c->key);
	c->op.format = FORMAT_ITEM;
	c->op.ns = &records;
	c->op.id = slice_of(c->key, len);
	c->op.item = slice_str(c->key + len + 1);
	c->op.version = version;
	c->op.keep_dead = 60000;
	if (value != NULL) {
		c->body = strdup(value);
		c->piece = (struct iovec){ c->body, strlen(value) };
		c->op.op.vlen = (uint32_t)strlen(value);
		c->op.body = &c->piece;
		c->op.nbody = 1;
	}
	return (c);
}

/* OP_GET: what it found; else its status. */
static const char *
item_run(struct backend *be, struct call *c)
{
	static char text[100];

	call_submit(be, c);
	if (!run_all())
		return ("hangs");
	if (c->op.err != ERR_NONE)
		snprintf(text, sizeof text, "%.90s", c->why);
	else if (c->op.op.verb == OP_GET && c->op.res.status == OP_OK)
		snprintf(text, sizeof text, "%.*s", (int)c->value_len, c->value);
	else
		snprintf(text, sizeof text, "%u", c->op.res.status);
	call_free(c);
	return (text);
}

/* ---- tests ---- */

static void
names_lead_to_slots(void)
{
	unsigned good = 0;
	char tag[REDIS_TAG_MAX], base[REDIS_BASE_MAX], id[REDIS_ID_MAX];
	static const char *const ids[] = { "a", "", "%", "}{", "a}b%c", "%7d" };
	size_t len;

	for (unsigned slot = 0; slot < SLOTS; slot++)
		good += slots_of(redis_name_tag(tag, slot)) == slot;
	is_u(good, SLOTS, "names: each slot has a tag");
	for (unsigned i = 0; i < NITEMS(ids); i++) {
		struct slice name = redis_name_base(base, slice_str(ids[i]));

		ok(redis_name_id(id, slice_of(name.p + 1, name.len - 2), &len) && len == strlen(ids[i]) &&
		    memcmp(id, ids[i], len) == 0 && memchr(name.p, '}', name.len) == name.p + name.len - 1,
		    "names: of an id and back");
	}
}

static void
items_are_put_and_read(struct backend *be)
{
	struct many *m;

	is_u(wrote(be, put_new(&records, "r:1", 1000, 4, "b", "2", "a", "1", "c", "3", "", "0")), 1000, "put");
	ok(reads(be, read_new("r:1"), "=0 a=1 b=2 c=3 "), "all of a record");
	ok(reads(be, read_new("r:2"), ""), "nothing of another");
	ok(reads(be, ranged(read_new("r:1"), "a", "c", NULL), "a=1 b=2 "), "a range");
	ok(reads(be, ranged(read_new("r:1"), "b", NULL, NULL), "b=2 c=3 "), "from a key on");
	ok(reads(be, ranged(read_new("r:1"), NULL, NULL, "b"), "b=2 "), "a head");
	ok(reads(be, ranged(read_new("r:1"), "c", "a", NULL), ""), "an empty range");
	m = ranged(read_new("r:1"), NULL, "c", NULL);
	m->rec.which.reverse = true;
	ok(reads(be, m, "b=2 a=1 =0 "), "backwards");
	ok(reads(be, named(read_new("r:1"), 5, "c", "x", "a", "c", ""), "c=3 a=1 c=3 =0 "), "keys in their order");
	m = read_new("r:1");
	m->rec.values = false;
	ok(reads(be, m, "= a= b= c= "), "without values");
	is_u(wrote(be, put_new(&records, "r:1", 1000, 2, "b", "22", "d", "4")), 1001, "put: above what is there");
	is_u(wrote(be, with_token(put_new(&records, "r:1", 1000, 2, "b", "no", "e", "5"), 1)), 1000, "put: a late one");
	ok(reads(be, ranged(read_new("r:1"), "b", NULL, NULL), "b=22 c=3 d=4 e=5 "), "put: item by item");
	ok(strcmp(item_run(be, item_new(OP_GET, "r:1", "b", NULL, 0)), "22") == 0, "a get of an item");
	ok(strcmp(item_run(be, item_new(OP_STORE, "r:1", "f", "6", 2000)), "0") == 0 &&
	    reads(be, ranged(read_new("r:1"), "e", NULL, NULL), "e=5 f=6 "), "a set of one");
	ok(strcmp(item_run(be, item_new(OP_DELETE, "r:1", "e", NULL, 3000)), "0") == 0 &&
	    reads(be, ranged(read_new("r:1"), "e", NULL, NULL), "f=6 "), "a delete of one");
	ok(reads(be, many_new(OP_ITEMS_READ, &flat, "f:x", 0), ""), "flat: nothing");
	is_u(wrote(be, put_new(&flat, "f:x", 1000, 1, "", "v")), 1000, "flat: put");
	ok(reads(be, many_new(OP_ITEMS_READ, &flat, "f:x", 0), "=v "), "flat: read");
	ok(reads(be, ranged(many_new(OP_ITEMS_READ, &flat, "f:x", 0), "a", NULL, NULL), ""), "flat: a range without it");
	is_u(wrote(be, many_new(OP_ITEMS_DELETE, &flat, "f:x", 2000)), 2000, "flat: delete");
	ok(reads(be, named(many_new(OP_ITEMS_READ, &flat, "f:x", 0), 1, ""), ""), "flat: gone");
}

static void
pages_end(struct backend *be)
{
	struct many *m, *from = NULL;
	char all[2000] = "", want[2000] = "";
	unsigned pages = 0;

	for (unsigned i = 0; i < 40; i++) {
		char key[8], value[8];

		snprintf(key, sizeof key, "%03u", i);
		snprintf(value, sizeof value, "v%u", i);
		(void)wrote(be, put_new(&records, "r:p", 0, 1, key, value));
		snprintf(want + strlen(want), sizeof want - strlen(want), "%s=%s ", key, value);
	}
	for (bool more = true; more && pages < 100; pages++) {
		m = read_new("r:p");
		m->rec.guess = 2;
		m->rec.bytes_max = 50;
		m->rec.after = from == NULL ? SLICE_NULL : slice_str(from->next);
		many_run(be, m);
		snprintf(all + strlen(all), sizeof all - strlen(all), "%.200s", m->found);
		more = m->more;
		free(from);
		from = m;
		if (m->n > 3)
			break;
	}
	free(from);
	ok(strcmp(all, want) == 0 && pages > 13, "pages: by bytes, each item once");
	m = read_new("r:p");
	m->rec.items_max = 5;
	m->rec.which.reverse = true;
	m->rec.after = SLICE_LIT("010");
	many_run(be, m);
	ok(strcmp(m->found, "009=v9 008=v8 007=v7 006=v6 005=v5 ") == 0 && m->more && strcmp(m->next, "005") == 0 &&
	    m->rec.end == REC_ITEMS, "pages: by items, backwards");
	free(m);
	m = read_new("r:p");
	m->rec.work_max = 7;
	many_run(be, m);
	ok(m->n == 7 && m->more && m->rec.end == REC_WORK && strcmp(m->next, "006") == 0, "pages: by work");
	free(m);
	m = read_new("r:p");
	m->rec.value_max = 2;
	m->rec.items_max = 12;
	many_run(be, m);
	ok(strstr(m->found, "009=v9 010= 011= ") != NULL, "pages: without large values");
	free(m);
}

static void
ranges_are_deleted(struct backend *be)
{
	(void)wrote(be, put_new(&records, "r:d", 1000, 6, "a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6"));
	is_u(wrote(be, with_token(ranged(many_new(OP_ITEMS_DELETE, &records, "r:d", 2000), "b", "e", NULL), 5)), 2000, "a range delete");
	ok(reads(be, read_new("r:d"), "a=1 e=5 f=6 "), "range: what it covers is gone");
	ok(strcmp(item_run(be, item_new(OP_GET, "r:d", "c", NULL, 0)), "1") == 0, "range: for a get as well");
	is_u(wrote(be, with_token(put_new(&records, "r:d", 1500, 2, "c", "late", "g", "7"), 1)), 1500, "range: a late put");
	ok(reads(be, read_new("r:d"), "a=1 e=5 f=6 g=7 "), "range: does not come back");
	is_u(wrote(be, with_token(put_new(&records, "r:d", 2000, 1, "d", "own"), 5)), 2000, "range: of its own token");
	ok(reads(be, read_new("r:d"), "a=1 d=own e=5 f=6 g=7 "), "range: a put is there");
	ok(strcmp(item_run(be, item_new(OP_STORE, "r:d", "b", "new", 100)), "0") == 0 &&
	    strcmp(item_run(be, item_new(OP_GET, "r:d", "b", NULL, 0)), "new") == 0, "range: a plain set is never lost");
	is_u(wrote(be, many_new(OP_ITEMS_DELETE, &records, "r:d", 9000)), 9000, "a record delete");
	ok(reads(be, read_new("r:d"), ""), "record: all is gone");
	(void)wrote(be, put_new(&records, "r:d", 9500, 1, "z", "26"));
	ok(reads(be, read_new("r:d"), "z=26 "), "record: but what is newer");
	is_u(wrote(be, with_token(named(many_new(OP_ITEMS_DELETE, &records, "r:d", 9600), 2, "z", "y"), 1)), 9600, "a delete of items");
	is_u(wrote(be, with_token(put_new(&records, "r:d", 9550, 2, "y", "late", "x", "24"), 1)), 9550, "items: a late put");
	ok(reads(be, read_new("r:d"), "x=24 "), "items: does not come back");
}

static bool
is_swept(void *arg)
{
	struct redis *r = arg;

	return (r->sweeper.n == 0 && !r->sweeper.out);
}

static void
what_is_dead_is_swept(struct backend *be)
{
	struct many *m;

	for (unsigned n = 0; n < 20; n++) {
		m = put_new(&records, "r:s", 1000, 0);
		for (unsigned i = 0; i < 60; i++) {
			snprintf(m->keys[i], sizeof m->keys[i], "%02u%02u", n, i);
			m->puts[i] = (struct rec_put){ .key = slice_str(m->keys[i]), };
		}
		m->rec.nputs = 60;
		(void)wrote(be, m);
	}
	(void)wrote(be, ranged(many_new(OP_ITEMS_DELETE, &records, "r:s", 2000), "0100", NULL, NULL));
	ok(run_until(is_swept, be), "sweep: it ends");
	m = read_new("r:s");
	m->rec.values = false;
	many_run(be, m);
	ok(m->n == 60 && !m->more, "sweep: what is alive stays");
	free(m);
}

static unsigned
scan_all(struct backend *be, unsigned parts, uint32_t items, char *all, size_t size)
{
	unsigned n = 0;

	all[0] = '\0';
	for (unsigned part = 1; part <= parts; part++) {
		struct many *from = NULL, *m;
		bool more = true;

		while (more) {
			m = many_new(OP_SCAN, &records, "", 0);
			m->rec.part = part;
			m->rec.parts = parts;
			m->rec.items_max = items;
			if (from != NULL) {
				m->rec.after_id = slice_str(from->next_id);
				m->rec.after = slice_str(from->next);
			}
			many_run(be, m);
			n += m->n;
			snprintf(all + strlen(all), size - strlen(all), "%.39000s", m->found);
			more = m->more && m->op.err == ERR_NONE;
			free(from);
			from = m;
		}
		free(from);
	}
	return (n);
}

static void
scans_meet_each_once(struct backend *be)
{
	static char all[40000];
	unsigned once = 0;

	(void)wrote(be, put_new(&flat, "f:y", 0, 1, "", "not mine"));
	for (unsigned i = 0; i < 100; i++) {
		char id[16];

		snprintf(id, sizeof id, "r:scan%u", i);
		(void)wrote(be, put_new(&records, id, 0, 2, "a", "1", "b", "2"));
	}
	(void)wrote(be, many_new(OP_ITEMS_DELETE, &records, "r:scan7", UINT64_MAX / 2));
	for (unsigned round = 0; round < 3; round++) {
		(void)scan_all(be, round == 1 ? 7 : 1, round == 2 ? 3 : 0, all, sizeof all);
		once = 0;
		for (unsigned i = 0; i < 100; i++)
			for (unsigned k = 0; k < 2; k++) {
				char want[32], *at;

				snprintf(want, sizeof want, "r:scan%u/%s", i, k == 0 ? "a=1 " : "b=2 ");
				at = strstr(all, want);
				once += i == 7 ? at == NULL : at != NULL && strstr(at + 1, want) == NULL;
			}
		is_u(once, 200, "scan: each item once, round %u", round);
		ok(strstr(all, "f:") == NULL, "scan: of its namespace alone");
	}
}

int
main(void)
{
	uint16_t port = 0;
	int fd = listen_on(&port);
	struct backend *be;
	struct place p;
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	names_lead_to_slots();
	close(fd);
	pid = redis_start(port);
	place_init(&p, port);
	be = place_open(&p);
	ok(comes_up(be), "a real server");
	items_are_put_and_read(be);
	pages_end(be);
	ranges_are_deleted(be);
	what_is_dead_is_swept(be);
	scans_meet_each_once(be);
	ops->close(&be);
	memcached_kill(pid);
	loop_free(&loop);
	return (done_testing());
}
