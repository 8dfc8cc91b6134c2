/*
 * parse.h - what the files that build a struct conf share; nobody outside conf/ includes this.
 *
 * One struct conf_ctx lives during one conf_load(). Everything that can go wrong ends in conf_fail*(), which keeps
 * the first message only: one line is what the user gets. They return false, so that a check is one statement:
 *	return (conf_fail_at(x, line, "..."));
 */
#ifndef CONF_PARSE_H
#define CONF_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/model.h"
#include "conf/table.h"

#define CONF_FILE_MAX	(1u << 20)	/* bytes of a configuration file */
#define CONF_CLIENT_BUFFER_MAX	((size_t)4 << 20)
#define CONF_BUFFER_MAX	((size_t)256 << 20)

#define CONF_FIXED_MAX	16		/* rows of fixed.c */

/* Beside letters in conf_ctx.given: what has none. */
enum { OPT_IDLE_TIMEOUT = 1, OPT_BUFFER_MAX = 2 };

struct conf_ctx {
	struct conf	*conf;
	bool		 failed;
	char		 error[512];
	char		*warnings;	/* lines, or NULL; without "kvgate: warning: " */
	bool		 given[128];	/* letters that were on the command line: they win over the file */
	bool		 inter_given;	/* an -l was there */
	long		 port;		/* -p: -1 any, 0 none */
	long		 udp;
	const char	*check_file;	/* --check */
	const char	*text;		/* the file, scanned, while it is parsed */
	int		 fixed_lines[CONF_FIXED_MAX];	/* of keys that count at a start only; 0: not there */
	int		 action;	/* OK_HELP, OK_VERSION, OK_LICENSE: print that and exit; 0 (OK_FLAG): start */
};

/* All return false. */
bool	 conf_fail(struct conf_ctx *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool	 conf_fail_opt(struct conf_ctx *, const struct opt_row *, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
bool	 conf_fail_at(struct conf_ctx *, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool	 conf_fail_nomem(struct conf_ctx *);
void	 conf_warn(struct conf_ctx *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* line 0: none is known. */
void	 conf_warn_at(struct conf_ctx *, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A copy in *dst, freeing what was there. False: out of memory, reported. */
bool	 conf_set_str(struct conf_ctx *, char **dst, const char *src);
/* Room for one more, zeroed, at the end of an array; NULL: out of memory, reported. */
void	*conf_grow(struct conf_ctx *, void *arrayp, unsigned *n, size_t size);
#define CONF_GROW(x, array, n)	conf_grow(x, &(array), &(n), sizeof *(array))

/* "64", "64k", "64MB", "64MiB": powers of 1024; a bare number counts `unit` bytes. */
bool	 conf_get_size(const char *, uint64_t unit, uint64_t *out);
/* "5ms", "180s", "1h" in microseconds; the only bare number is 0. */
bool	 conf_get_time(const char *, uint64_t *out);
/* "5%", "0.5%", "5": per mille. */
bool	 conf_get_percent(const char *, unsigned *out);
bool	 conf_get_bool(const char *, bool *out);
bool	 conf_get_octal(const char *, unsigned *out);

/*
 * Splits "host:port", "[v6]:port", "v6", "host", "*:port" in place: *host points into s (NULL for "*"), *port is
 * `port` when s has none. NULL: good; else what is wrong with it.
 */
const char *conf_split_addr(char *s, uint16_t port, char **host, uint16_t *port_out);
/* One more conf_listen, from a path or from one word of -l or the title of a listen section ("unix:/path" too). */
bool	 conf_add_unix(struct conf_ctx *, const char *path, unsigned mode, const char **why);
bool	 conf_add_listen(struct conf_ctx *, const char *word, uint16_t port, unsigned mode, const char **why);
/* Fills srv from "host:port weight alias zone=NAME", `port` where it names none; *why on false. */
bool	 conf_parse_server(struct conf_ctx *, const char *text, uint16_t port, struct conf_server *srv,
	    const char **why);

/* The command line, but for where to listen. True with x->action set: nothing else counts. */
bool	 conf_read_args(struct conf_ctx *, int argc, char **argv);
void	 conf_drop_listens(struct conf *);
/* -p, -l and -s into listens, unless the file's are to be used. */
bool	 conf_args_listens(struct conf_ctx *);

/* Makes a path absolute where a daemon would not find it any more, in place. False: reported. */
bool	 conf_keep_path(struct conf_ctx *, char **path);
/* Reads conf->file into memory: regular, readable, of bounded size. Caller frees. NULL: reported. */
char	*conf_file_slurp(struct conf_ctx *, size_t *len);
/*
 * Blanks comments out and refuses what the grammar's lexer would swallow or misread in silence: NUL bytes,
 * unterminated strings and comments, stray characters. In place; keeps lines.
 */
bool	 conf_scan(struct conf_ctx *, char *text, size_t len);
/* Parses text (NUL-terminated, scanned by itself) into conf. */
bool	 conf_parse_text(struct conf_ctx *, char *text, size_t len);

/* Rules over several fields, defaults that depend on others. check_only: leave out what depends on who starts it. */
bool	 conf_check(struct conf_ctx *, bool check_only);

/* A warning for each key of the file that counts at a start only. */
void	 conf_say_fixed(struct conf_ctx *);
/* Makes these what they are in `old`, with a warning for each that differs. False: out of memory, reported. */
bool	 conf_keep_fixed(struct conf_ctx *, const struct conf *old);

#endif
