/*
 * redis_script.c - the scripts' texts and what they are called.
 */
#include "config.h"

#include <stdlib.h>

#include "backend/redis.h"

struct redis_script_row *
redis_scripts_new(void)
{
	struct redis_script_row *rows = calloc(RS_COUNT, sizeof *rows);

	for (unsigned i = 0; rows != NULL && i < RS_COUNT; i++)
		rows[i].text = "return 1";
	return (rows);
}
