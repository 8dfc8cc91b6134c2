/* err.h - the reasons a request can fail inside kvgate; rows in tbl/errors.h. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err {
#define ERR(id, text, retryable)	ERR_##id,
#include "tbl/errors.h"
#undef ERR
	ERR_COUNT
};

/* Never NULL. */
const char	*err_text(enum err);
/* Lower-case word for metrics and logs, never NULL. */
const char	*err_name(enum err);
/* Whether the same request may be tried on another server. */
bool		 err_retryable(enum err);

#endif
