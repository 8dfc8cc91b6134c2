/*
 * record.h - record commands carried out: pages of items, puts, deletes, mutations, scans, the handshake.
 *
 * Loop thread only. Each takes its command or body, whatever becomes of it; the answer goes to the client's queue, at
 * once or later. False: the client's stream is lost (no memory).
 */
#ifndef REQ_RECORD_H
#define REQ_RECORD_H

#include <stdbool.h>

struct client;
struct record_body;
struct record_cmd;

#define RECORD_WHY_MAX	512	/* any error line, without its end */

bool		 record_get(struct client *, struct record_cmd *);		/* kg */
bool		 record_delete(struct client *, struct record_cmd *);		/* kd */
bool		 record_scan(struct client *, struct record_cmd *);		/* ks */
bool		 record_hello(struct client *, struct record_cmd *);		/* kh */
bool		 record_write(struct client *, struct record_body *);		/* kp, km */
/* Most bytes of values that a kp or km may bring: item_size_max of its namespace, as far as the line tells. */
uint64_t	 record_value_max(const struct client *, const struct record_cmd *);
/* What the configuration has against the line of a kp or kd of this client; NULL: nothing. A record_check_f. */
const char	*record_line_check(void *client, const struct record_cmd *, char why[RECORD_WHY_MAX]);

#endif
