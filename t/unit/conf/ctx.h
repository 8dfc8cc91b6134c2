/* ctx.h - a struct conf_ctx for the unit tests of conf/, as conf_load() would make it. */
#ifndef CTX_H
#define CTX_H

#include <stdlib.h>
#include <string.h>

#include "conf/parse.h"

static inline void
ctx_open(struct conf_ctx *x)
{
	memset(x, 0, sizeof *x);
	x->conf = calloc(1, sizeof *x->conf);
	if (x->conf == NULL)
		abort();
	opt_set_defaults(x->conf);
	x->conf->stat_prefix = ':';
	x->conf->client_buffer_max = CONF_CLIENT_BUFFER_MAX;
	x->conf->buffer_max = CONF_BUFFER_MAX;
	x->port = 11211;
}

static inline void
ctx_close(struct conf_ctx *x)
{
	conf_free(&x->conf);
	free(x->warnings);
}

/* Parses len bytes under the name "f"; a copy of just that size, so that a sanitizer sees every step beyond it. */
static inline bool
ctx_parse_bytes(struct conf_ctx *x, const char *text, size_t len)
{
	char *copy = malloc(len + 1);
	bool good;

	if (copy == NULL || !conf_set_str(x, &x->conf->file, "f"))
		abort();
	memcpy(copy, text, len);
	copy[len] = '\0';
	good = conf_parse_text(x, copy, len);
	free(copy);
	return (good);
}

static inline bool
ctx_parse(struct conf_ctx *x, const char *text)
{
	return (ctx_parse_bytes(x, text, strlen(text)));
}

/* The message of a text that must be refused, "" if it was not. Valid until the next call. */
static inline const char *
ctx_error_of(const char *text)
{
	static char message[512];
	struct conf_ctx x;

	ctx_open(&x);
	message[0] = '\0';
	if (!ctx_parse(&x, text))
		memcpy(message, x.error, sizeof message);
	ctx_close(&x);
	return (message);
}

struct ctx_case {
	const char	*text;
	const char	*error;
};

/* All texts are refused with just these messages. */
#define CTX_CASES(cases)							\
	do {									\
		for (size_t i_ = 0; i_ < sizeof (cases) / sizeof (cases)[0]; i_++)	\
			is_s(ctx_error_of((cases)[i_].text), (cases)[i_].error,	\
			    "refused: %s", (cases)[i_].error);			\
	} while (0)

#endif
