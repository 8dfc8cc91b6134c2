/* Unit tests of src/keys/keymap.c; the file is included to reach its statics. */
#include "keys/keymap.c"
#include "tap.h"

static struct conf_ns
space(const char *name, const char *prefix, size_t len)
{
	struct conf_ns ns = { 0 };

	ns.name = (char *)(uintptr_t)name;
	ns.prefix = (char *)(uintptr_t)prefix;
	ns.prefix_len = len;
	return (ns);
}

#define SPACE(name, prefix)	space(name, prefix, sizeof(prefix) - 1)
#define FIND(m, s)		keymap_find(m, SLICE_LIT(s))

static void
one_namespace(void)
{
	struct conf_ns spaces[] = { SPACE("default", "") };
	struct conf conf = { .spaces = spaces, .nspaces = 1 };
	struct keymap *m = keymap_new(&conf);

	is_u(FIND(m, "anything"), 0, "one namespace has every key");
	is_u(FIND(m, ""), 0, "and the empty one");
	is_u(keymap_search(m, SLICE_LIT("anything")), 0, "the search agrees");
	is_u(keymap_named(m, SLICE_LIT("default")), 0, "by its name");
	ok(keymap_named(m, SLICE_LIT("other")) == -1, "no other name");
	keymap_free(&m);
	ok(m == NULL, "free leaves NULL");
	keymap_free(&m);
}

static void
overlapping_prefixes(void)
{
	struct conf_ns spaces[] = {
		SPACE("user", "user:"), SPACE("user-a", "user:a"), SPACE("default", ""),
		SPACE("user-abc", "user:abc"), SPACE("u", "u"), SPACE("v", "v:"),
		SPACE("user-ab-deep", "user:abx:y:z"), SPACE("z", "z"),
	};
	struct conf conf = { .spaces = spaces, .nspaces = NITEMS(spaces) };
	struct keymap *m = keymap_new(&conf);

	is_u(FIND(m, "user:b"), 0, "user:b");
	is_u(FIND(m, "user:"), 0, "the prefix itself");
	is_u(FIND(m, "user"), 4, "a key shorter than a prefix is not its");
	is_u(FIND(m, "user:a"), 1, "user:a");
	is_u(FIND(m, "user:ab"), 1, "user:ab");
	is_u(FIND(m, "user:abc"), 3, "user:abc");
	is_u(FIND(m, "user:abcd"), 3, "user:abcd");
	is_u(FIND(m, "user:abd"), 1, "behind user:abc, but not in it: up one");
	is_u(FIND(m, "user:abx:y:z9"), 6, "a deep one");
	is_u(FIND(m, "user:abx:y"), 1, "half of a deep one");
	is_u(FIND(m, "user:z"), 0, "behind all of user:");
	is_u(FIND(m, "uz"), 4, "up two");
	is_u(FIND(m, "v"), 2, "v is not v:");
	is_u(FIND(m, "v:"), 5, "v:");
	is_u(FIND(m, "a"), 2, "before all");
	is_u(FIND(m, "zz"), 7, "the last");
	is_u(FIND(m, "~"), 2, "after all");
	is_u(FIND(m, ""), 2, "the empty key");
	is_u((unsigned)keymap_named(m, SLICE_LIT("user-abc")), 3, "by name");
	ok(keymap_named(m, SLICE_LIT("user-ab")) == -1, "not by half a name");
	keymap_free(&m);
}

static void
binary_prefixes(void)
{
	struct conf_ns spaces[] = {
		SPACE("default", ""), SPACE("nul", "\0"), SPACE("nulnul", "\0\0"), SPACE("ff", "\xff"),
		SPACE("ffff", "\xff\xff"), SPACE("80", "\x80"), SPACE("a-nul-b", "a\0b"),
	};
	struct conf conf = { .spaces = spaces, .nspaces = NITEMS(spaces) };
	struct keymap *m = keymap_new(&conf);

	is_u(FIND(m, "\0"), 1, "NUL");
	is_u(FIND(m, "\0\1"), 1, "NUL and something");
	is_u(FIND(m, "\0\0x"), 2, "two NULs");
	is_u(FIND(m, "\xff"), 3, "ff");
	is_u(FIND(m, "\xff\xfe"), 3, "ff fe");
	is_u(FIND(m, "\xff\xff\xff"), 4, "ff ff");
	is_u(FIND(m, "\x80\xff"), 5, "80: bytes are unsigned");
	is_u(FIND(m, "\x7f"), 0, "7f is nobody's");
	is_u(FIND(m, "\xfe"), 0, "fe is nobody's");
	is_u(FIND(m, "a"), 0, "a");
	is_u(FIND(m, "a\0a"), 0, "a NUL a");
	is_u(FIND(m, "a\0bc"), 6, "a NUL b");
	keymap_free(&m);
}

/* What the map must say: every prefix tried. */
static unsigned
longest(const struct conf *conf, struct slice key)
{
	unsigned best = 0;
	size_t best_len = 0;

	for (unsigned i = 0; i < conf->nspaces; i++) {
		struct slice prefix = slice_of(conf->spaces[i].prefix, conf->spaces[i].prefix_len);

		if (slice_has_prefix(key, prefix) && prefix.len >= best_len) {
			best = i;
			best_len = prefix.len;
		}
	}
	return (best);
}

static void
random_bytes(char *dst, size_t len)
{
	/* few letters, so that prefixes overlap */
	for (size_t i = 0; i < len; i++)
		dst[i] = "ab\xff"[random() % 3];
}

static void
many_random_prefixes(void)
{
	enum { N = 300 };
	static char prefixes[N][12];
	static struct conf_ns spaces[N];
	struct conf conf = { .spaces = spaces };
	struct keymap *m;
	unsigned wrong = 0;

	srandom(20261122);
	spaces[conf.nspaces++] = SPACE("default", "");
	while (conf.nspaces < N) {
		char *p = prefixes[conf.nspaces];
		size_t len = 1 + (size_t)random() % 11;

		random_bytes(p, len);
		if (spaces[longest(&conf, slice_of(p, len))].prefix_len != len)
			spaces[conf.nspaces++] = space("x", p, len);
	}
	m = keymap_new(&conf);
	for (unsigned i = 0; i < 100000; i++) {
		char buf[16];
		struct slice key = slice_of(buf, (size_t)random() % sizeof(buf));

		random_bytes(buf, key.len);
		wrong += keymap_find(m, key) != longest(&conf, key);
	}
	is_u(wrong, 0, "100,000 keys among 300 prefixes: as by trying all");
	keymap_free(&m);
}

static void
parts(const struct conf_ns *ns, struct slice key, const char *id, const char *item)
{
	struct slice got_id, got_item;

	keymap_split(ns, key, &got_id, &got_item);
	ok(slice_eq_str(got_id, id) && slice_eq_str(got_item, item) && got_item.p != NULL, "%.*s: %s and \"%s\"", (int)key.len,
	    key.p, id, item);
}

#define PARTS(ns, key, id, item)	parts(ns, SLICE_LIT(key), id, item)

static void
splitting(void)
{
	struct conf_ns flat = SPACE("f", "f:"), one = SPACE("u", "user:"), odd = SPACE("o", "a/b/"), two = SPACE("t", "t:");
	char slash[] = "/", colons[] = "::";
	struct slice id, item;

	one.separator = odd.separator = slash;
	two.separator = colons;
	one.separator_len = odd.separator_len = 1;
	two.separator_len = 2;
	PARTS(&flat, "f:x/y", "f:x/y", "");
	PARTS(&one, "user:42", "user:42", "");
	PARTS(&one, "user:42/", "user:42", "");
	PARTS(&one, "user:42/name", "user:42", "name");
	PARTS(&one, "user:42/a/b", "user:42", "a/b");
	PARTS(&one, "user:/a", "user:", "a");
	PARTS(&odd, "a/b/c", "a/b/c", "");
	PARTS(&odd, "a/b/c/d", "a/b/c", "d");
	PARTS(&odd, "a/x", "a", "x");
	PARTS(&two, "t:a:b::c::d", "t:a:b", "c::d");
	PARTS(&two, "t::a", "t::a", "");
	PARTS(&two, "t:::a", "t:", "a");
	PARTS(&two, "elsewhere::a", "elsewhere", "a");
	PARTS(&two, "t:a:", "t:a:", "");
	keymap_split(&one, slice_of("user:\0/\0", 8), &id, &item);
	ok(id.len == 6 && item.len == 1 && item.p[0] == '\0', "bytes of any kind");
}

int
main(void)
{
	one_namespace();
	splitting();
	overlapping_prefixes();
	binary_prefixes();
	many_random_prefixes();
	return (done_testing());
}
