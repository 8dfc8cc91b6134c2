/*
 * hash.h - the hash functions by which pools place keys.
 *
 * Those that libmemcached has (md5, crc32, fnv1_64, fnv1a_64, fnv1_32, fnv1a_32, murmur, murmur3, hsieh,
 * jenkins/one_at_a_time) are libhashkit's, so that they agree with its clients bit by bit; twemproxy's that differ are ours.
 */
#ifndef ROUTE_HASH_H
#define ROUTE_HASH_H

#include <stdint.h>

#include "base/slice.h"

typedef uint64_t hash_f(struct slice);

/* NULL: no such hash. */
hash_f		*hash_find(const char *name);
/* All names with ", " between, for error messages; static. */
const char	*hash_names(void);

#endif
