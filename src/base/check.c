/* check.c - the one way to die of a bug: say which, then abort for a core file. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

void
check_failed(const char *what, const char *file, int line, const char *func)
{
	fprintf(stderr, "kvgate: bug: %s is not so in %s(), %s:%d\n", what,
	    func, file, line);
	abort();
}
