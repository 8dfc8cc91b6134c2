/* internal.h - what the files of cmd/ share. False: the client's stream is lost (no memory). */
#ifndef CMD_INTERNAL_H
#define CMD_INTERNAL_H

#include "cmd/cmd.h"

/* The namespace of a command: by L or by prefix. False: answered with an error (*good says whether it could be). */
bool	cmd_space(struct client *, struct command *, const struct space **, bool *good);

bool	cmd_get(struct client *, struct command *);
bool	cmd_admin(struct client *, struct command *);
/* kg kd ks kh. */
bool	cmd_record(struct client *, const struct command *);
/* lru_crawler metadump|mgdump. */
bool	cmd_dump(struct client *, bool mg);

/* Answers a hit. False: nothing has happened, it is to be parsed and run in the general way. */
bool	hot_run(struct client *, struct job *);
void	hot_parse(struct job *);
/* One value of a classic read; as hot_run(). */
bool	hot_value(struct ctx *, struct outq *, struct slice key, uint64_t hash, cache_hint);

/* text and CRLF in turn, unless the command is quiet. */
bool	cmd_say(struct client *, const struct command *, const char *text);

#endif
