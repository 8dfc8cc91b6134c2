/*
 * space.c - the namespace sections: which keys, which store, which copies.
 */
#include "config.h"

#include <string.h>

#include "conf/file.h"

#define PREFIX_MAX	200	/* of a key's 250 bytes */
#define NAME_MAX_	100
#define LOCAL_TTL	1000000	/* of copies, where the file does not say */

static const struct conf_store *
find_store(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->nstores; i++)
		if (strcmp(c->stores[i].name, name) == 0)
			return (&c->stores[i]);
	return (NULL);
}

static bool
read_name(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const char *name = cfg_title(sec);

	if (name[0] == '\0' || strlen(name) > NAME_MAX_ || strpbrk(name, "/ \t\r\n") != NULL)
		return (conf_fail_at(x, ns->line, "namespace \"%.100s\" has a bad name; 1 to %d characters without / and "
		    "blanks", name, NAME_MAX_));
	return (conf_set_str(x, &ns->name, name));
}

static bool
read_prefix(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *v = file_value(sec, "prefix");
	bool is_default = strcmp(ns->name, "default") == 0;

	if (v == NULL && !is_default)
		return (conf_fail_at(x, ns->line, "namespace \"%s\" has no prefix; prefix = \"%s:\"", ns->name, ns->name));
	if (v != NULL && is_default && v->text[0] != '\0')
		return (conf_fail_at(x, v->line, "namespace \"default\" has the keys that no other has; prefix = \"\""));
	ns->prefix_len = v != NULL ? strlen(v->text) : 0;
	if (ns->prefix_len > PREFIX_MAX)
		return (conf_fail_at(x, v->line, "the prefix is too long; at most %d bytes", PREFIX_MAX));
	for (size_t i = 0; i < ns->prefix_len; i++)
		if ((unsigned char)v->text[i] <= ' ' || v->text[i] == 0x7f)
			return (conf_fail_at(x, v->line, "no key can begin with prefix = \"%.60s\"; no blanks, no control "
			    "characters", v->text));
	for (const struct conf_ns *o = x->conf->spaces; o < ns; o++)
		if (o->prefix_len == ns->prefix_len && (v == NULL || strcmp(o->prefix, v->text) == 0))
			return (conf_fail_at(x, v != NULL ? v->line : ns->line, "namespaces \"%s\" and \"%s\" have one "
			    "prefix, \"%.60s\"; one each", o->name, ns->name, o->prefix));
	return (conf_set_str(x, &ns->prefix, v != NULL ? v->text : ""));
}

static bool
read_primary(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *store, *format;
	cfg_t *primary;

	if (!file_only_section(x, sec, "primary", &primary))
		return (false);
	if (primary == NULL)
		return (true);
	store = file_value(primary, "store");
	format = file_value(primary, "format");
	if (store == NULL)
		return (conf_fail_at(x, file_line(primary), "primary has no store; store = \"NAME\""));
	if (format != NULL && strcmp(format->text, "item") == 0)
		return (conf_fail_at(x, format->line, "format = item is not in this version; format = raw"));
	if (format != NULL && strcmp(format->text, "raw") != 0)
		return (conf_fail_at(x, format->line, "format = %.60s is unknown; format = raw", format->text));
	ns->primary = find_store(x->conf, store->text);
	if (ns->primary == NULL)
		return (conf_fail_at(x, store->line, "store \"%.60s\" is unknown; store \"%.60s\" { ... } somewhere",
		    store->text, store->text));
	return (true);
}

static bool
read_local(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	cfg_t *local;

	ns->local_ttl = ns->primary != NULL ? LOCAL_TTL : 0;
	if (!file_only_section(x, sec, "local", &local))
		return (false);
	if (local != NULL && ns->primary == NULL)
		return (conf_fail_at(x, file_line(local), "local without primary: there is nothing to copy; leave it out"));
	if (local != NULL && !file_get_time(x, local, "ttl", 0, 30ull * 86400 * 1000000, &ns->local_ttl))
		return (false);
	/* The cache's clock counts seconds. */
	if (ns->local_ttl % 1000000 != 0)
		return (conf_fail_at(x, file_value(local, "ttl")->line, "ttl = %.60s is no whole number of seconds; "
		    "1s or more, or 0 for no copies", file_value(local, "ttl")->text));
	ns->local = ns->primary == NULL || ns->local_ttl > 0;
	return (true);
}

static bool
read_flush(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *v = file_value(sec, "flush");

	ns->flush = ns->prefix_len == 0;
	if (!file_get_bool(x, sec, "flush", &ns->flush))
		return (false);
	if (ns->prefix_len == 0 && !ns->flush)
		return (conf_fail_at(x, v->line, "flush_all always empties the namespace without a prefix; -F refuses it "
		    "altogether"));
	return (true);
}

bool
file_read_space(struct conf_ctx *x, cfg_t *sec)
{
	struct conf_ns *ns = CONF_GROW(x, x->conf->spaces, x->conf->nspaces);

	if (ns == NULL)
		return (false);
	ns->file = x->conf->file;
	ns->line = file_line(sec);
	return (read_name(x, sec, ns) && read_prefix(x, sec, ns) && read_primary(x, sec, ns) &&
	    read_local(x, sec, ns) && read_flush(x, sec, ns));
}
