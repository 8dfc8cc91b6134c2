/*
 * put.h - a request's bytes, in the dialect that is spoken.
 *
 * Pure but for the buffer they are appended to; false: no memory.
 */
#ifndef BENCH_PUT_H
#define BENCH_PUT_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "kvload.h"

struct want;

bool	put_read(const struct opts *, struct bytes *, const struct want *,
	    unsigned nkeys);
bool	put_write(const struct opts *, struct bytes *, uint32_t key,
	    uint32_t version);

#endif
