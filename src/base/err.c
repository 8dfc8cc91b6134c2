/* err.c - texts of the error rows. */
#include "config.h"

#include "base/check.h"
#include "base/err.h"

static const struct {
	const char	*name;
	const char	*text;
	bool		 retryable;
} rows[] = {
#define ERR(id, text, retryable)	{ #id, text, retryable },
#include "tbl/errors.h"
#undef ERR
};

const char *
err_text(enum err e)
{
	MUST((unsigned)e < NITEMS(rows));
	return (rows[e].text);
}

const char *
err_name(enum err e)
{
	MUST((unsigned)e < NITEMS(rows));
	return (rows[e].name);
}

bool
err_retryable(enum err e)
{
	MUST((unsigned)e < NITEMS(rows));
	return (rows[e].retryable);
}
