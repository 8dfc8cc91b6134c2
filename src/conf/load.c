/*
 * load.c - conf_load(): arguments, then the file, then the rules, then the warnings or the one error.
 *
 * The command line is read first, since it names the file; what it set is marked and the file leaves it alone.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/parse.h"

static void
free_stores(struct conf *c)
{
	for (unsigned i = 0; i < c->nstores; i++) {
		struct conf_store *s = &c->stores[i];

		for (unsigned j = 0; j < s->nservers; j++) {
			free(s->servers[j].name);
			free(s->servers[j].host);
			free(s->servers[j].path);
			free(s->servers[j].alias);
			free(s->servers[j].zone);
		}
		free(s->servers);
		free(s->name);
		free(s->type);
		free(s->hash);
		free(s->user);
		free(s->password);
	}
	free(c->stores);
}

void
conf_free(struct conf **cp)
{
	struct conf *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	for (unsigned i = 0; i < c->nlistens; i++) {
		free(c->listens[i].host);
		free(c->listens[i].path);
	}
	free(c->listens);
	free_stores(c);
	for (unsigned i = 0; i < c->nspaces; i++) {
		free(c->spaces[i].name);
		free(c->spaces[i].prefix);
	}
	free(c->spaces);
	free(c->sock_path);
	free(c->inter);
	free(c->user);
	free(c->pidfile);
	free(c->file);
	free(c);
}

/* A daemon changes to "/": its relative paths would mean something else afterwards. */
static bool
make_absolute(struct conf_ctx *x, char **path)
{
	char *cwd, *full;
	size_t size;

	if (*path == NULL || **path == '/')
		return (true);
	cwd = getcwd(NULL, 0);
	size = cwd != NULL ? strlen(cwd) + strlen(*path) + 2 : 0;
	full = cwd != NULL ? malloc(size) : NULL;
	if (full == NULL) {
		free(cwd);
		return (conf_fail(x, "the working directory is gone; start from one that exists, or absolute paths"));
	}
	snprintf(full, size, "%s/%s", cwd, *path);
	free(cwd);
	free(*path);
	*path = full;
	return (true);
}

static bool
read_file(struct conf_ctx *x)
{
	size_t len;
	char *text;
	bool good;

	if (x->conf->file == NULL)
		return (true);
	text = conf_file_slurp(x, &len);
	if (text == NULL)
		return (false);
	good = conf_parse_text(x, text, len);
	free(text);
	return (good);
}

static bool
read_all(struct conf_ctx *x, int argc, char **argv)
{
	struct conf *c = x->conf;

	if (!conf_read_args(x, argc, argv))
		return (false);
	if (x->action != 0)
		return (true);
	if (!read_file(x))
		return (false);
	if (c->daemonize && (!make_absolute(x, &c->pidfile) || !make_absolute(x, &c->sock_path)))
		return (false);
	return (conf_args_listens(x) && conf_check(x, x->check_file != NULL));
}

static void
act(enum opt_kind action)
{
	if (action == OK_HELP)
		opt_print_help(stdout);
	else if (action == OK_VERSION)
		printf("kvgate " PACKAGE_VERSION " (memcached " MEMCACHED_VERSION ")\n");
	else
		printf("kvgate is distributed under the terms of the BSD 3-clause license, see the file COPYING.\n");
	fflush(stdout);
}

static void
set_defaults(struct conf_ctx *x)
{
	struct conf *c = x->conf;

	opt_set_defaults(c);
	c->stat_prefix = ':';
	c->client_buffer_max = CONF_CLIENT_BUFFER_MAX;
	c->buffer_max = CONF_BUFFER_MAX;
	x->port = (long)opt_find('p')->def;
}

struct conf *
conf_load(int argc, char **argv, int *exit_code)
{
	struct conf_ctx x = { 0 };
	struct conf *c;

	*exit_code = 2;
	x.conf = calloc(1, sizeof *x.conf);
	if (x.conf == NULL) {
		fprintf(stderr, "kvgate: out of memory\n");
		return (NULL);
	}
	set_defaults(&x);
	if (!read_all(&x, argc, argv)) {
		fprintf(stderr, "kvgate: %s\n", x.error);
		conf_free(&x.conf);
	} else {
		if (x.warnings != NULL)
			fputs(x.warnings, stderr);
		if (x.action != 0)
			act(x.action);
		else if (x.check_file != NULL)
			printf("%s: good\n", x.check_file);
		if (x.action != 0 || x.check_file != NULL) {
			*exit_code = 0;
			conf_free(&x.conf);
		}
	}
	free(x.warnings);
	c = x.conf;
	return (c);
}
