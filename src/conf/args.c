/*
 * args.c - the command line: memcached's letters and long names, with its meanings.
 *
 * What a plain kind of row in tbl/options.h says is done by set_field(); the few options with a mind of their own have
 * a function here. Strict where memcached is not: "-t 4x" is an error.
 */
#include "config.h"

#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/num.h"
#include "conf/parse.h"

#define LONG_ONLY	256	/* + row number: what getopt_long() returns for a row without a letter */

static bool
set_number(struct conf_ctx *x, const struct opt_row *r, const char *arg)
{
	void *field = (char *)x->conf + r->off;
	unsigned octal;
	uint64_t v = 0;
	bool good;

	if (r->kind == OK_UINT)
		good = num_get_u64(slice_str(arg), &v);
	else if (r->kind == OK_OCTAL) {
		good = conf_get_octal(arg, &octal);
		v = octal;
	} else
		good = conf_get_size(arg, r->kind == OK_MB ? 1 << 20 : 1, &v);
	if (good && v >= r->min && v <= r->max) {
		if (r->kind == OK_UINT || r->kind == OK_OCTAL)
			*(unsigned *)field = (unsigned)v;
		else
			*(size_t *)field = (size_t)v;
		return (true);
	}
	if (r->kind == OK_OCTAL)
		return (conf_fail_opt(x, r, "\"%s\" is not an access mode; octal up to %" PRIo64, arg, r->max));
	if (r->kind == OK_UINT)
		return (conf_fail_opt(x, r, "\"%s\" is out of bounds; %" PRIu64 " to %" PRIu64, arg, r->min,
		    r->max));
	return (conf_fail_opt(x, r, "\"%s\" is not a good size; %" PRIu64 " to %" PRIu64 " bytes, written as %s", arg,
	    r->min, r->max, r->kind == OK_MB ? "megabytes or with k, m, g, t" : "bytes or with k, m, g"));
}

static bool
set_port(struct conf_ctx *x, const struct opt_row *r, const char *arg)
{
	int32_t v;

	if (!num_get_i32(slice_str(arg), &v) || v < -1 || v > 65535)
		return (conf_fail_opt(x, r, "\"%s\" is not a port; 0 to 65535, or -1 for any free one", arg));
	x->port = v;
	return (true);
}

static bool
set_udp(struct conf_ctx *x, const struct opt_row *r, const char *arg)
{
	uint32_t v;

	if (!num_get_u32(slice_str(arg), &v) || v > r->max)
		return (conf_fail_opt(x, r, "\"%s\" is not a port; 0 to 65535", arg));
	x->udp = v;
	if (v != 0)
		conf_warn(x, "option -U: UDP is not served; leave it out or say -U 0");
	return (true);
}

static bool
set_prefix(struct conf_ctx *x, const struct opt_row *r, const char *arg)
{
	if (arg[0] == '\0')
		return (conf_fail_opt(x, r, "no delimiter; one character, like -D :"));
	x->conf->stat_prefix = arg[0];
	x->conf->stat_detail = true;
	return (true);
}

static bool
set_protocol(struct conf_ctx *x, const struct opt_row *r, const char *arg)
{
	if (strcmp(arg, "auto") == 0 || strcmp(arg, "ascii") == 0)
		return (true);
	if (strcmp(arg, "binary") == 0)
		return (conf_fail_opt(x, r, "the binary protocol is not served; auto or ascii"));
	return (conf_fail_opt(x, r, "\"%s\" is no protocol; auto or ascii", arg));
}

/* memcached joins all -l; each is split at commas only when the port is known. */
static bool
add_inter(struct conf_ctx *x, const struct opt_row *r, const char *arg)
{
	struct conf *c = x->conf;
	size_t had = c->inter != NULL ? strlen(c->inter) + 1 : 0;
	char *more;

	if (arg[0] == '\0')
		return (conf_fail_opt(x, r, "no address; host, host:port or * for all"));
	more = realloc(c->inter, had + strlen(arg) + 1);
	if (more == NULL)
		return (conf_fail_nomem(x));
	if (had > 0)
		more[had - 1] = ',';
	memcpy(more + had, arg, strlen(arg) + 1);
	c->inter = more;
	x->inter_given = true;
	return (true);
}

static bool
need_u32(struct conf_ctx *x, const struct opt_row *r, const char *name, const char *value, uint32_t *out)
{
	if (value == NULL || !num_get_u32(slice_str(value), out))
		return (conf_fail_opt(x, r, "%s wants a number; %s=NUM", name, name));
	return (true);
}

static bool
set_subopt(struct conf_ctx *x, const struct opt_row *r, char *word, char *ignored, size_t size)
{
	const struct subopt_row *s = subopt_rows;
	char *value = strchr(word, '=');
	uint32_t v;

	if (value != NULL)
		*value++ = '\0';
	while (s < subopt_rows + subopt_nrows && strcmp(s->name, word) != 0)
		s++;
	if (s == subopt_rows + subopt_nrows)
		return (conf_fail_opt(x, r, "\"%s\" is unknown; memcached's extended options, except TLS and proxy",
		    word));
	switch (s->kind) {
	case SO_NOTHING:
		break;
	case SO_IGNORED:
		if (strlen(ignored) + strlen(word) + 3 <= size) {
			if (*ignored != '\0')
				strncat(ignored, ", ", size - strlen(ignored) - 1);
			strncat(ignored, word, size - strlen(ignored) - 1);
		}
		break;
	case SO_IDLE_TIMEOUT:
		if (!need_u32(x, r, word, value, &v))
			return (false);
		x->conf->idle_timeout = (uint64_t)v * 1000000;
		x->given[OPT_IDLE_TIMEOUT] = true;
		break;
	case SO_BUFFER_MAX:
		if (!need_u32(x, r, word, value, &v))
			return (false);
		if (v != 0) {
			x->conf->buffer_max = (size_t)v << 20;
			x->given[OPT_BUFFER_MAX] = true;
		}
		break;
	}
	return (true);
}

static bool
set_extended(struct conf_ctx *x, const struct opt_row *r, const char *arg)
{
	char ignored[256] = "", *copy = strdup(arg), *save = NULL;
	bool good = true;

	if (copy == NULL)
		return (conf_fail_nomem(x));
	for (char *w = strtok_r(copy, ",", &save); good && w != NULL; w = strtok_r(NULL, ",", &save))
		good = set_subopt(x, r, w, ignored, sizeof ignored);
	free(copy);
	if (*ignored != '\0')
		conf_warn(x, "option -o: no use for %s here; ignored", ignored);
	return (good);
}

static bool
set_option(struct conf_ctx *x, const struct opt_row *r, const char *arg)
{
	void *field = (char *)x->conf + r->off;

	if (r->letter != 0)
		x->given[(unsigned char)r->letter] = true;
	while (arg != NULL && isspace((unsigned char)*arg))
		arg++;
	switch (r->kind) {
	case OK_FLAG:
		*(bool *)field = true;
		return (true);
	case OK_COUNT:
		++*(unsigned *)field;
		return (true);
	case OK_UINT:
	case OK_OCTAL:
	case OK_SIZE:
	case OK_MB:
		return (set_number(x, r, arg));
	case OK_STR:
		if (*arg == '\0')
			return (conf_fail_opt(x, r, "it is empty; a %s", r->arg));
		return (conf_set_str(x, (char **)field, arg));
	case OK_IGNORED:
		conf_warn(x, "option -%c: no use for it here; ignored", r->letter);
		return (true);
	case OK_REFUSED:
		return (conf_fail_opt(x, r, "%s is not in this version; leave it out", r->help));
	case OK_PORT:
		return (set_port(x, r, arg));
	case OK_UDP:
		return (set_udp(x, r, arg));
	case OK_LISTEN:
		return (add_inter(x, r, arg));
	case OK_PREFIX:
		return (set_prefix(x, r, arg));
	case OK_PROTOCOL:
		return (set_protocol(x, r, arg));
	case OK_EXTENDED:
		return (set_extended(x, r, arg));
	case OK_CHECK:
		x->check_file = arg;
		return (true);
	case OK_HELP:
	case OK_LICENSE:
	case OK_VERSION:
		x->action = r->kind;
		return (true);
	}
	return (true);
}

/* getopt_long()'s two tables from ours. longopts has room for all rows and an end. */
static void
make_tables(char *shorts, struct option *longs)
{
	*shorts++ = ':';	/* tell a missing argument from an unknown letter */
	for (unsigned i = 0; i < opt_nrows; i++) {
		const struct opt_row *r = &opt_rows[i];

		if (r->letter != 0) {
			*shorts++ = r->letter;
			if (r->arg != NULL)
				*shorts++ = ':';
		}
		if (r->lname == NULL)
			continue;
		longs->name = r->lname;
		longs->has_arg = r->arg != NULL ? required_argument : r->kind == OK_COUNT ? optional_argument :
		    no_argument;
		longs->flag = NULL;
		longs->val = r->letter != 0 ? r->letter : LONG_ONLY + (int)i;
		longs++;
	}
	*shorts = '\0';
	memset(longs, 0, sizeof *longs);
}

static bool
bad_option(struct conf_ctx *x, int argc, char **argv, bool missing)
{
	const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";

	if (missing && optopt > 0 && optopt < LONG_ONLY)
		return (conf_fail(x, "option -%c: its argument is missing; kvgate -h lists them", optopt));
	if (missing)
		return (conf_fail(x, "option %s: its argument is missing; kvgate -h lists them", word));
	if (optopt > 0 && optopt < LONG_ONLY && strncmp(word, "--", 2) != 0)
		return (conf_fail(x, "option -%c: unknown; kvgate -h lists them", optopt));
	return (conf_fail(x, "option %s: unknown; kvgate -h lists them", word));
}

bool
conf_read_args(struct conf_ctx *x, int argc, char **argv)
{
	struct option longs[sizeof x->given];
	char shorts[2 * sizeof x->given];
	int c;

	MUST(opt_nrows < NITEMS(longs));
	make_tables(shorts, longs);
	opterr = 0;
	optind = 0;	/* glibc: start afresh, so that tests can call this often */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct opt_row *r;

		if (c == '?' || c == ':')
			return (bad_option(x, argc, argv, c == ':'));
		r = c >= LONG_ONLY ? &opt_rows[c - LONG_ONLY] : opt_find((char)c);
		if (!set_option(x, r, optarg))
			return (false);
		if (x->action != 0)
			return (true);
	}
	if (x->check_file != NULL && optind < argc)
		return (conf_fail(x, "option --check: it has its file; leave \"%s\" out", argv[optind]));
	if (argc - optind > 1)
		return (conf_fail(x, "\"%s\" and \"%s\" are too many files; one configuration file", argv[optind],
		    argv[optind + 1]));
	if (x->check_file != NULL)
		return (conf_set_str(x, &x->conf->file, x->check_file));
	return (optind == argc || conf_set_str(x, &x->conf->file, argv[optind]));
}
