/*
 * fixed.c - what cannot change while running, because threads, sockets, memory or rights hang on it.
 *
 * A reload that finds another value says so and goes on with the one that is in effect, so that a struct conf always
 * tells what is; --check says which keys of a file are of this kind.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/file.h"

#define SAYS	"%s counts at a start only; a reload does not change it, a restart does"

enum kind { FK_UINT, FK_SIZE, FK_BOOL, FK_STR, FK_LISTEN };

static const struct row {
	const char	*section;	/* NULL: none */
	const char	*key;
	char		 letter;	/* hides the key */
	enum kind	 kind;
	size_t		 off;		/* of the member of struct conf */
} rows[] = {
	{ NULL, "threads", 't', FK_UINT, offsetof(struct conf, threads) },
	{ NULL, "max_connections", 'c', FK_UINT, offsetof(struct conf, maxconns) },
	{ NULL, "backlog", 'b', FK_UINT, offsetof(struct conf, backlog) },
	{ NULL, "user", 'u', FK_STR, offsetof(struct conf, user) },
	{ NULL, "pidfile", 'P', FK_STR, offsetof(struct conf, pidfile) },
	{ NULL, "listen", 'l', FK_LISTEN, 0 },
	{ "local_cache", "item_size_max", 'I', FK_SIZE, offsetof(struct conf, item_max) },
	{ "local_cache", "evict", 'M', FK_BOOL, offsetof(struct conf, no_evict) },
	{ "local_cache", "large_pages", 'L', FK_BOOL, offsetof(struct conf, large_pages) },
};
_Static_assert(NITEMS(rows) <= CONF_FIXED_MAX, "room for their lines");

void
file_note_fixed(struct conf_ctx *x, cfg_t *root)
{
	for (size_t i = 0; i < NITEMS(rows); i++) {
		cfg_t *sec = root;

		if (rows[i].section != NULL)
			sec = cfg_size(root, rows[i].section) > 0 ? cfg_getnsec(root, rows[i].section, 0) : NULL;
		if (rows[i].kind == FK_LISTEN)
			x->fixed_lines[i] = cfg_size(root, "listen") > 0 ? file_line(cfg_getnsec(root, "listen", 0)) : 0;
		else if (sec != NULL && file_value(sec, rows[i].key) != NULL)
			x->fixed_lines[i] = file_value(sec, rows[i].key)->line;
	}
}

/* Then the file's key does not count at all. */
static bool
hidden(const struct conf_ctx *x, const struct row *r)
{
	if (r->kind == FK_LISTEN)
		return (x->given['p'] || x->given['s'] || x->inter_given);
	return (x->given[(unsigned char)r->letter]);
}

/* The first line after this one that has such a key; 0: none. */
static int
next_line(const struct conf_ctx *x, int after)
{
	int next = 0;

	for (size_t i = 0; i < NITEMS(rows); i++)
		if (x->fixed_lines[i] > after && (next == 0 || x->fixed_lines[i] < next))
			next = x->fixed_lines[i];
	return (next);
}

void
conf_say_fixed(struct conf_ctx *x)
{
	for (int line = next_line(x, 0); line > 0; line = next_line(x, line))
		for (size_t i = 0; i < NITEMS(rows); i++)
			if (x->fixed_lines[i] == line && !hidden(x, &rows[i]))
				conf_warn_at(x, line, SAYS, rows[i].key);
}

static bool
same_str(const char *a, const char *b)
{
	return (a == NULL || b == NULL ? a == b : strcmp(a, b) == 0);
}

static bool
same_listens(const struct conf *a, const struct conf *b)
{
	if (a->nlistens != b->nlistens)
		return (false);
	for (unsigned i = 0; i < a->nlistens; i++) {
		const struct conf_listen *l = &a->listens[i], *m = &b->listens[i];

		if (!same_str(l->host, m->host) || l->port != m->port || !same_str(l->path, m->path) ||
		    (l->path != NULL && l->mode != m->mode))
			return (false);
	}
	return (true);
}

static bool
keep_str(struct conf_ctx *x, char **dst, const char *src)
{
	if (src != NULL)
		return (conf_set_str(x, dst, src));
	free(*dst);
	*dst = NULL;
	return (true);
}

static bool
keep_listens(struct conf_ctx *x, const struct conf *old)
{
	struct conf *c = x->conf;

	conf_drop_listens(c);
	for (unsigned i = 0; i < old->nlistens; i++) {
		const struct conf_listen *from = &old->listens[i];
		struct conf_listen *to = CONF_GROW(x, c->listens, c->nlistens);

		if (to == NULL || !keep_str(x, &to->host, from->host) || !keep_str(x, &to->path, from->path))
			return (false);
		to->port = from->port;
		to->mode = from->mode;
	}
	return (true);
}

/* Makes one member what it was. *differed: it was another. False: out of memory. */
static bool
keep_row(struct conf_ctx *x, const struct conf *old, const struct row *r, bool *differed)
{
	void *to = (char *)x->conf + r->off;
	const void *from = (const char *)old + r->off;

	switch (r->kind) {
	case FK_UINT:
		*differed = *(unsigned *)to != *(const unsigned *)from;
		*(unsigned *)to = *(const unsigned *)from;
		return (true);
	case FK_SIZE:
		*differed = *(size_t *)to != *(const size_t *)from;
		*(size_t *)to = *(const size_t *)from;
		return (true);
	case FK_BOOL:
		*differed = *(bool *)to != *(const bool *)from;
		*(bool *)to = *(const bool *)from;
		return (true);
	case FK_STR:
		*differed = !same_str(*(char **)to, *(char *const *)from);
		return (!*differed || keep_str(x, to, *(char *const *)from));
	case FK_LISTEN:
		*differed = !same_listens(x->conf, old);
		return (!*differed || keep_listens(x, old));
	}
	return (true);
}

bool
conf_keep_fixed(struct conf_ctx *x, const struct conf *old)
{
	struct conf *c = x->conf;

	for (size_t i = 0; i < NITEMS(rows); i++) {
		bool differed = false;

		if (!keep_row(x, old, &rows[i], &differed))
			return (false);
		if (differed)
			conf_warn_at(x, x->fixed_lines[i], SAYS, rows[i].key);
	}
	if (c->item_max > c->memory / 2) {
		conf_warn(x, "%s: memory has no room for items of %zu bytes, the largest until a restart; it stays %zu bytes",
		    c->file, c->item_max, old->memory);
		c->memory = old->memory;
	}
	return (true);
}
