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

bool		 record_get(struct client *, struct record_cmd *);		/* kg */
bool		 record_delete(struct client *, struct record_cmd *);		/* kd */
bool		 record_scan(struct client *, struct record_cmd *);		/* ks */
bool		 record_hello(struct client *, struct record_cmd *);		/* kh */
bool		 record_write(struct client *, struct record_body *);		/* kp, km */
/* Most bytes of values that a kp or km may bring: item_size_max of its namespace, as far as the line tells. */
uint64_t	 record_value_max(const struct client *, const struct record_cmd *);

#endif
