/*
 * redis_script.c - the scripts' texts and what Redis calls them: the digests of the texts.
 */
#include "config.h"

#include <stdlib.h>

#include "backend/redis.h"
#include "backend/redis_lua.h"
#include "base/check.h"
#include "base/sha1.h"

_Static_assert(REDIS_SHA == SHA1_HEX, "a script is called by its SHA-1");

/* In the order of enum redis_script. */
static const char *const bodies[] = {
	[RS_GET] = redis_lua_GET,
	[RS_STORE] = redis_lua_STORE,
	[RS_DELETE] = redis_lua_DELETE,
	[RS_ARITH] = redis_lua_ARITH,
	[RS_RAW_GET] = redis_lua_RAW_GET,
	[RS_RAW_STORE] = redis_lua_RAW_STORE,
	[RS_RAW_ARITH] = redis_lua_RAW_ARITH,
};
_Static_assert(NITEMS(bodies) == RS_COUNT, "each script has a text");

struct redis_script_row *
redis_scripts_new(void)
{
	size_t head = sizeof redis_lua_head - 1, size = RS_COUNT * sizeof(struct redis_script_row);
	struct redis_script_row *rows;
	char *p;

	for (unsigned i = 0; i < RS_COUNT; i++)
		size += head + strlen(bodies[i]);
	rows = malloc(size);
	if (rows == NULL)
		return (NULL);
	p = (char *)(rows + RS_COUNT);
	for (unsigned i = 0; i < RS_COUNT; i++) {
		size_t body = strlen(bodies[i]);

		memcpy(p, redis_lua_head, head);
		memcpy(p + head, bodies[i], body);
		rows[i].text = slice_of(p, head + body);
		sha1_hex(rows[i].text, rows[i].sha);
		p += head + body;
	}
	return (rows);
}
