/*
 * load.c - conf_load(), conf_reread(): arguments, then the file, then the rules, then the warnings or the one error.
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
		free(s->path);
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
	conf_drop_listens(c);
	free(c->listens);
	free_stores(c);
	for (unsigned i = 0; i < c->nspaces; i++) {
		free(c->spaces[i].name);
		free(c->spaces[i].prefix);
		free(c->spaces[i].separator);
		free(c->spaces[i].dictionary);
	}
	free(c->spaces);
	free(c->sock_path);
	free(c->inter);
	free(c->user);
	free(c->pidfile);
	free(c->file);
	free(c->cwd);
	free(c->notes);
	free(c);
}

/*
 * A daemon changes to "/": its relative paths would mean something else afterwards, and so would those of the file when it
 * is read again.
 */
bool
conf_keep_path(struct conf_ctx *x, char **path)
{
	struct conf *c = x->conf;
	char *full;
	size_t size;

	if (*path == NULL || **path == '/' || !c->daemonize)
		return (true);
	if (c->cwd == NULL)
		c->cwd = getcwd(NULL, 0);
	if (c->cwd == NULL)
		return (conf_fail(x, "the working directory is gone; start from one that exists, or absolute paths"));
	size = strlen(c->cwd) + strlen(*path) + 2;
	full = malloc(size);
	if (full == NULL)
		return (conf_fail_nomem(x));
	snprintf(full, size, "%s/%s", c->cwd, *path);
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
read_all(struct conf_ctx *x)
{
	struct conf *c = x->conf;

	if (!conf_read_args(x, c->argc, c->argv))
		return (false);
	if (x->action != 0)
		return (true);
	if (x->check_file == NULL && !conf_keep_path(x, &c->file))
		return (false);
	if (!read_file(x))
		return (false);
	if (!conf_keep_path(x, &c->pidfile) || !conf_keep_path(x, &c->sock_path))
		return (false);
	return (conf_args_listens(x));
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

static bool
open_ctx(struct conf_ctx *x, int argc, char **argv)
{
	struct conf *c = calloc(1, sizeof *c);

	memset(x, 0, sizeof *x);
	x->conf = c;
	if (c == NULL)
		return (false);
	c->argc = argc;
	c->argv = argv;
	opt_set_defaults(c);
	c->stat_prefix = ':';
	c->client_buffer_max = CONF_CLIENT_BUFFER_MAX;
	c->buffer_max = CONF_BUFFER_MAX;
	x->port = (long)opt_find('p')->def;
	return (true);
}

/* Cuts lines up; NULL: there are none. */
static void
each_line(char *lines, conf_say_f *say, void *arg)
{
	char *save = NULL;

	if (lines == NULL)
		return;
	for (char *l = strtok_r(lines, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save))
		say(arg, l);
}

static void
print_warning(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "kvgate: warning: %s\n", line);
}

static void
print_note(void *arg, const char *line)
{
	(void)arg;
	printf("%s\n", line);
}

/* Nothing is to be started. */
static bool
only_asked(struct conf_ctx *x)
{
	if (x->action != 0)
		act(x->action);
	else if (x->check_file != NULL) {
		free(x->warnings);
		x->warnings = NULL;
		conf_say_fixed(x);
		each_line(x->warnings, print_note, NULL);
		printf("%s: good\n", x->check_file);
	}
	return (x->action != 0 || x->check_file != NULL);
}

static bool
check_first(struct conf_ctx *x, conf_look_f *look)
{
	bool check = x->check_file != NULL;

	if (x->action != 0)
		return (true);
	if (!conf_check(x, check))
		return (false);
	return (!check || look == NULL || look(x->conf, x->error, sizeof x->error));
}

struct conf *
conf_load(int argc, char **argv, conf_look_f *look, int *exit_code)
{
	struct conf_ctx x;

	*exit_code = 2;
	if (!open_ctx(&x, argc, argv)) {
		fprintf(stderr, "kvgate: out of memory\n");
		return (NULL);
	}
	if (!read_all(&x) || !check_first(&x, look)) {
		fprintf(stderr, "kvgate: %s\n", x.error);
		conf_free(&x.conf);
	} else {
		each_line(x.warnings, print_warning, NULL);
		if (only_asked(&x)) {
			*exit_code = 0;
			conf_free(&x.conf);
		}
	}
	free(x.warnings);
	return (x.conf);
}

/* What the command line warns of was said at the start. */
static bool
read_again(struct conf_ctx *x, const struct conf *old)
{
	if (old->cwd != NULL && !conf_set_str(x, &x->conf->cwd, old->cwd))
		return (false);
	if (!read_all(x))
		return (false);
	free(x->warnings);
	x->warnings = NULL;
	return (conf_check(x, true) && conf_keep_fixed(x, old));
}

struct conf *
conf_reread(const struct conf *old, char *err, size_t size)
{
	struct conf_ctx x;

	if (!open_ctx(&x, old->argc, old->argv)) {
		snprintf(err, size, "out of memory");
		return (NULL);
	}
	if (!read_again(&x, old)) {
		snprintf(err, size, "%s", x.error);
		free(x.warnings);
		conf_free(&x.conf);
		return (NULL);
	}
	x.conf->notes = x.warnings;
	return (x.conf);
}

void
conf_each_note(const struct conf *c, conf_say_f *say, void *arg)
{
	char *copy = c->notes != NULL ? strdup(c->notes) : NULL;

	if (copy != NULL)
		each_line(copy, say, arg);
	free(copy);
}
