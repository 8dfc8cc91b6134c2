/*
 * table.h - the rows of tbl/options.h as data, for the parser, --help and `stats settings`.
 *
 * Read-only: any thread.
 */
#ifndef CONF_TABLE_H
#define CONF_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What an option does with its argument. */
enum opt_kind {
	OK_FLAG,	/* bool = true */
	OK_COUNT,	/* unsigned++ */
	OK_UINT,	/* unsigned */
	OK_OCTAL,	/* unsigned, octal */
	OK_SIZE,	/* size_t, bytes */
	OK_MB,		/* size_t, megabytes */
	OK_STR,		/* char *, copied */
	OK_IGNORED,	/* accepted with a warning */
	OK_REFUSED,	/* what it would protect must not go unprotected in silence */
	/* One of a kind, see args.c. */
	OK_PORT, OK_UDP, OK_LISTEN, OK_PREFIX, OK_PROTOCOL, OK_EXTENDED, OK_CHECK,
	OK_HELP, OK_LICENSE, OK_VERSION,
};

struct opt_row {
	char		 letter;	/* 0: only the long name */
	const char	*lname;
	const char	*arg;		/* NULL: takes none */
	enum opt_kind	 kind;
	size_t		 off;		/* of the member of struct conf */
	uint64_t	 def, min, max;
	const char	*stat;		/* name in `stats settings`, "": not there */
	const char	*help;
};

enum subopt_kind { SO_NOTHING, SO_IGNORED, SO_IDLE_TIMEOUT, SO_BUFFER_MAX };

struct subopt_row {
	const char	*name;
	enum subopt_kind kind;
	const char	*help;
};

extern const struct opt_row	 opt_rows[];
extern const unsigned		 opt_nrows;
extern const struct subopt_row	 subopt_rows[];
extern const unsigned		 subopt_nrows;

/* NULL: no such letter. */
const struct opt_row	*opt_find(char letter);

struct conf;
/* The defaults of all rows that have a field. */
void		 opt_set_defaults(struct conf *);
void		 opt_print_help(FILE *);

#endif
