/*
 * space.c - the namespace sections: which keys, which store, which copies.
 *
 * How long a request may take and what becomes of one that fails is in space_policy.c, what has to do with records in
 * space_records.c.
 */
#include "config.h"

#include <string.h>

#include "base/check.h"
#include "conf/file.h"

#define PREFIX_MAX	200	/* of a key's 250 bytes */
#define NAME_MAX_	100
#define LOCAL_TTL	FILE_SECOND	/* of copies, where the file does not say */
#define LOCAL_TTL_MAX	(30 * FILE_DAY)
#define NEGATIVE_MAX	(3600 * FILE_SECOND)
#define TTL_JITTER_MAX	50u

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

/* One store holds values of one format: the other one's readers would find them broken. */
static bool
read_format(struct conf_ctx *x, cfg_t *primary, struct conf_ns *ns)
{
	static const char *const formats[] = { [FORMAT_RAW] = "raw", [FORMAT_ITEM] = "item", NULL };
	const struct conf_value *v = file_value(primary, "format");
	int line = v != NULL ? v->line : file_line(primary);
	int format = ns->primary->kind == STORE_ROCKSDB ? FORMAT_ITEM : FORMAT_RAW;

	if (!file_get_word(x, primary, "format", formats, &format))
		return (false);
	ns->format = (enum conf_format)format;
	if (ns->format == FORMAT_ITEM && ns->primary->kind == STORE_MEMCACHED)
		return (conf_fail_at(x, line, "format = item needs a store that runs scripts, \"%s\" has type = memcached; "
		    "format = raw, or type = redis", ns->primary->name));
	if (ns->format == FORMAT_RAW && ns->primary->kind == STORE_ROCKSDB)
		return (conf_fail_at(x, line, "format = raw is for stores that others use, too, \"%s\" has type = rocksdb; "
		    "format = item, or leave it out", ns->primary->name));
	for (const struct conf_ns *o = x->conf->spaces; o < ns; o++)
		if (o->primary == ns->primary && o->format != ns->format)
			return (conf_fail_at(x, line, "store \"%s\" has format = %s in namespace \"%s\"; format = %s here, too, "
			    "or another store", ns->primary->name, formats[o->format], o->name, formats[o->format]));
	return (true);
}

static bool
read_primary(struct conf_ctx *x, cfg_t *sec, struct conf_ns *ns)
{
	const struct conf_value *store;
	cfg_t *primary;

	if (!file_only_section(x, sec, "primary", &primary))
		return (false);
	if (primary == NULL)
		return (true);
	store = file_value(primary, "store");
	if (store == NULL)
		return (conf_fail_at(x, file_line(primary), "primary has no store; store = \"NAME\""));
	ns->primary = file_find_store(x->conf, store->text);
	if (ns->primary == NULL)
		return (conf_fail_at(x, store->line, "store \"%.60s\" is unknown; store \"%.60s\" { ... } somewhere",
		    store->text, store->text));
	for (const struct conf_ns *o = x->conf->spaces; o < ns; o++)
		if (o->cache == ns->primary)
			return (conf_fail_at(x, store->line, "store \"%s\" is the cache of namespace \"%s\", which may be emptied; "
			    "another one", ns->primary->name, o->name));
	return (read_format(x, primary, ns));
}

/* What makes filling more even. Without copies there is nothing to fill. */
static bool
read_fills(struct conf_ctx *x, cfg_t *local, struct conf_ns *ns)
{
	static const char *const keys[] = { "ttl_jitter", "negative_ttl", "refresh_ahead" };
	const struct conf_value *v;
	unsigned jitter = 0;

	for (size_t i = 0; i < NITEMS(keys) && ns->local_ttl == 0; i++)
		if ((v = file_value(local, keys[i])) != NULL)
			return (conf_fail_at(x, v->line, "%s without local copies; ttl = 1s or more, or leave it out",
			    keys[i]));
	if (!file_get_percent(x, local, "ttl_jitter", 0, TTL_JITTER_MAX, &jitter) ||
	    !file_get_seconds(x, local, "negative_ttl", 0, NEGATIVE_MAX, &ns->negative_ttl) ||
	    !file_get_seconds(x, local, "refresh_ahead", 0, LOCAL_TTL_MAX, &ns->refresh_ahead))
		return (false);
	ns->ttl_jitter = jitter / 10;
	if (jitter % 10 != 0)
		return (conf_fail_at(x, file_value(local, "ttl_jitter")->line, "ttl_jitter = %.60s is no whole percentage; "
		    "0%% to %u%%", file_value(local, "ttl_jitter")->text, TTL_JITTER_MAX));
	if (ns->refresh_ahead != 0 && ns->refresh_ahead >= ns->local_ttl)
		return (conf_fail_at(x, file_value(local, "refresh_ahead")->line, "refresh_ahead = %.60s is not below the "
		    "copies' ttl of %us; shorter, or a longer ttl", file_value(local, "refresh_ahead")->text,
		    (unsigned)(ns->local_ttl / FILE_SECOND)));
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
	if (local != NULL && (!file_get_seconds(x, local, "ttl", 0, LOCAL_TTL_MAX, &ns->local_ttl) ||
	    !read_fills(x, local, ns)))
		return (false);
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
	    read_local(x, sec, ns) && read_flush(x, sec, ns) && file_read_space_records(x, sec, ns) &&
	    file_read_space_policy(x, sec, ns));
}
