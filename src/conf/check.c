/*
 * check.c - rules that hold between several settings, and what is there when nobody said anything.
 *
 * Runs after the command line and the file were read, so a rule need not care where a value came from.
 */
#include "config.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "conf/parse.h"

/* Keys that belong to no namespace would have nowhere to go. */
static bool
add_default_space(struct conf_ctx *x)
{
	struct conf *c = x->conf;
	struct conf_ns *ns;

	for (unsigned i = 0; i < c->nspaces; i++)
		if (c->spaces[i].prefix_len == 0)
			return (true);
	ns = CONF_GROW(x, c->spaces, c->nspaces);
	if (ns == NULL || !conf_set_str(x, &ns->name, "default") || !conf_set_str(x, &ns->prefix, ""))
		return (false);
	ns->local = true;
	ns->flush = true;
	ns->coalesce = true;
	ns->file = c->file;
	return (true);
}

static bool
check_memory(struct conf_ctx *x)
{
	const struct conf *c = x->conf;
	const size_t mib = 1024 * 1024;

	if (c->item_max > c->memory / 2)
		return (conf_fail_opt(x, opt_find('I'), "items of %zu bytes are more than half of the memory, %zu; at most "
		    "-I %zu, or at least -m %zu", c->item_max, c->memory, c->memory / 2, (c->item_max * 2 + mib - 1) / mib));
	return (true);
}

static void
warn_unused(struct conf_ctx *x)
{
	const struct conf *c = x->conf;

	for (unsigned i = 0; i < c->nstores; i++) {
		bool used = false;

		for (unsigned j = 0; j < c->nspaces; j++)
			used |= c->spaces[j].primary == &c->stores[i] || c->spaces[j].cache == &c->stores[i];
		for (unsigned j = 0; j < c->nstores; j++)
			used |= c->stores[j].failover_store == &c->stores[i];
		if (!used)
			conf_warn(x, "%s:%d: no namespace uses store \"%s\"", c->file, c->stores[i].line,
			    c->stores[i].name);
	}
	if (c->threads > 64)
		conf_warn(x, "option -t: %u threads are rarely of use; as many as the machine has cores", c->threads);
	if (c->buffer_max < c->client_buffer_max)
		conf_warn(x, "one client may buffer more than all together; client_buffer_max below buffer_max");
}

/* What memcached asks of root, before anything is opened. */
static bool
check_user(struct conf_ctx *x)
{
	const struct conf *c = x->conf;

	if (getuid() != 0 && geteuid() != 0)
		return (true);
	if (c->user == NULL)
		return (conf_fail_opt(x, opt_find('u'), "started as root it must be given; -u nobody, or -u root to stay "
		    "root"));
	errno = 0;
	if (getpwnam(c->user) == NULL)
		return (conf_fail_opt(x, opt_find('u'), "there is no user \"%s\"; -u nobody, or one that exists",
		    c->user));
	return (true);
}

bool
conf_check(struct conf_ctx *x, bool check_only)
{
	if (!check_memory(x) || !add_default_space(x))
		return (false);
	warn_unused(x);
	return (check_only || check_user(x));
}
