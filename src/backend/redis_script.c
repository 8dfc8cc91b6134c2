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
	[RS_ITEM_GET] = redis_lua_ITEM_GET,
	[RS_ITEM_STORE] = redis_lua_ITEM_STORE,
	[RS_ITEM_DELETE] = redis_lua_ITEM_DELETE,
	[RS_ITEM_ARITH] = redis_lua_ITEM_ARITH,
	[RS_READ] = redis_lua_READ,
	[RS_SCAN] = redis_lua_SCAN,
	[RS_PUT] = redis_lua_PUT,
	[RS_ERASE] = redis_lua_ERASE,
	[RS_SWEEP] = redis_lua_SWEEP,
	[RS_RAW_GET] = redis_lua_RAW_GET,
	[RS_RAW_STORE] = redis_lua_RAW_STORE,
	[RS_RAW_ARITH] = redis_lua_RAW_ARITH,
};
_Static_assert(NITEMS(bodies) == RS_COUNT, "each script has a text");

struct redis_script_row *
redis_scripts_new(void)
{
	struct redis_script_row *rows = malloc(RS_COUNT * sizeof *rows);

	for (unsigned i = 0; rows != NULL && i < RS_COUNT; i++) {
		rows[i].text = slice_str(bodies[i]);
		sha1_hex(rows[i].text, rows[i].sha);
	}
	return (rows);
}
