/*
 * table.c - what is made by walking the rows of tbl/options.h: defaults, --help, `stats settings`.
 *
 * An option that gets a row there needs no line here.
 */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "conf/model.h"
#include "conf/table.h"

#define AT(member)	offsetof(struct conf, member)

const struct opt_row opt_rows[] = {
#define OPT(letter, lname, arg, kind, off, def, min, max, stat, help) \
	{ letter, lname, arg, kind, off, def, min, max, stat, help },
#include "tbl/options.h"
#undef OPT
};
const unsigned opt_nrows = NITEMS(opt_rows);

const struct subopt_row subopt_rows[] = {
#define SUBOPT(name, kind, help)	{ name, kind, help },
#include "tbl/options.h"
#undef SUBOPT
};
const unsigned subopt_nrows = NITEMS(subopt_rows);

static const struct {
	const char	*name;
	const char	*value;
} fixed[] = {
#define SETTING(name, value)	{ name, value },
#include "tbl/options.h"
#undef SETTING
};

const struct opt_row *
opt_find(char letter)
{
	for (unsigned i = 0; i < opt_nrows; i++)
		if (opt_rows[i].letter == letter && letter != 0)
			return (&opt_rows[i]);
	return (NULL);
}

void
opt_set_defaults(struct conf *c)
{
	for (const struct opt_row *r = opt_rows; r < opt_rows + opt_nrows; r++) {
		void *field = (char *)c + r->off;

		if (r->kind == OK_UINT || r->kind == OK_OCTAL)
			*(unsigned *)field = (unsigned)r->def;
		else if (r->kind == OK_SIZE || r->kind == OK_MB)
			*(size_t *)field = (size_t)r->def;
	}
}

static void
print_default(FILE *f, const struct opt_row *r)
{
	if (r->kind == OK_UINT || r->kind == OK_PORT)
		fprintf(f, " (default %" PRIu64 ")", r->def);
	else if (r->kind == OK_OCTAL)
		fprintf(f, " (default %" PRIo64 ")", r->def);
	else if (r->kind == OK_SIZE || r->kind == OK_MB)
		fprintf(f, " (default %" PRIu64 "%s)", r->def >> 20, r->kind == OK_MB ? "" : "m");
	else if (r->kind == OK_PREFIX)
		fprintf(f, " (default %c)", (char)r->def);
}

static void
print_row(FILE *f, const struct opt_row *r)
{
	char left[64];

	snprintf(left, sizeof left, "%c%c%s%s%s%s%s%s", r->letter != 0 ? '-' : ' ',
	    r->letter != 0 ? r->letter : ' ', r->lname != NULL ? (r->letter != 0 ? ", --" : "  --") : "",
	    r->lname != NULL ? r->lname : "", r->arg != NULL ? (r->lname != NULL ? "=" : " ") : "",
	    r->arg != NULL ? "<" : "", r->arg != NULL ? r->arg : "", r->arg != NULL ? ">" : "");
	fprintf(f, "%-29s %s", left, r->help);
	print_default(f, r);
	fputc('\n', f);
	if (r->kind != OK_EXTENDED)
		return;
	for (const struct subopt_row *s = subopt_rows; s < subopt_rows + subopt_nrows; s++)
		if (s->help[0] != '\0')
			fprintf(f, "%-31s %s: %s\n", "", s->name, s->help);
}

void
opt_print_help(FILE *f)
{
	fprintf(f, "kvgate " PACKAGE_VERSION ", a caching proxy that speaks as memcached " MEMCACHED_VERSION "\n"
	    "usage: kvgate [options] [proxy.conf]\n\n");
	for (const struct opt_row *r = opt_rows; r < opt_rows + opt_nrows; r++)
		if (r->kind != OK_IGNORED && r->kind != OK_REFUSED)
			print_row(f, r);
	fprintf(f, "\nAccepted with a warning, since there is no use for them here:");
	for (const struct opt_row *r = opt_rows; r < opt_rows + opt_nrows; r++)
		if (r->kind == OK_IGNORED)
			fprintf(f, " -%c", r->letter);
	fprintf(f, " and the other words of -o.\n"
	    "Options win over the file. See kvgate(8), proxy.conf(5), kvgate-protocol(7).\n");
}

static void
emit_row(const struct conf *c, const struct opt_row *r, conf_setting_f *emit, void *arg)
{
	const void *field = (const char *)c + r->off;
	char buf[32];

	if (r->kind == OK_FLAG)
		snprintf(buf, sizeof buf, "%s", *(const bool *)field ? "yes" : "no");
	else if (r->kind == OK_SIZE || r->kind == OK_MB)
		snprintf(buf, sizeof buf, "%zu", *(const size_t *)field);
	else
		snprintf(buf, sizeof buf, "%u", *(const unsigned *)field);
	emit(arg, r->stat, buf);
}

/* Those whose text is not simply the field's value. */
static void
emit_special(const struct conf *c, conf_setting_f *emit, void *arg)
{
	char buf[32];
	unsigned port = 0;

	for (unsigned i = c->nlistens; i-- > 0;)
		if (c->listens[i].path == NULL)
			port = c->listens[i].port;
	snprintf(buf, sizeof buf, "%u", port);
	emit(arg, "tcpport", buf);
	emit(arg, "inter", c->inter != NULL ? c->inter : "NULL");
	emit(arg, "domain_socket", c->sock_path != NULL ? c->sock_path : "NULL");
	snprintf(buf, sizeof buf, "%o", c->sock_mode);
	emit(arg, "umask", buf);
	emit(arg, "evictions", c->no_evict ? "off" : "on");
	snprintf(buf, sizeof buf, "%c", c->stat_prefix);
	emit(arg, "stat_key_prefix", buf);
	emit(arg, "detail_enabled", c->stat_detail ? "yes" : "no");
	emit(arg, "cas_enabled", c->no_cas ? "no" : "yes");
	emit(arg, "flush_enabled", c->no_flush ? "no" : "yes");
	emit(arg, "dump_enabled", c->no_dump ? "no" : "yes");
	snprintf(buf, sizeof buf, "%" PRIu64, c->idle_timeout / 1000000);
	emit(arg, "idle_timeout", buf);
	snprintf(buf, sizeof buf, "%zu", c->buffer_max);
	emit(arg, "read_buf_mem_limit", buf);
}

void
conf_each_setting(const struct conf *c, conf_setting_f *emit, void *arg)
{
	for (const struct opt_row *r = opt_rows; r < opt_rows + opt_nrows; r++)
		if (r->stat[0] != '\0')
			emit_row(c, r, emit, arg);
	emit_special(c, emit, arg);
	for (size_t i = 0; i < NITEMS(fixed); i++)
		emit(arg, fixed[i].name, fixed[i].value);
}
