/*
 * hash.h - the hash functions by which stores place keys.
 *
 * A name means one function, bit by bit the same as in the clients and proxies that use the name: md5, crc32,
 * fnv*, murmur, jenkins and one_at_a_time are equal in libhashkit and in twemproxy and are libhashkit's here;
 * murmur3 is libhashkit's alone; hsieh, crc16 and crc32a are twemproxy's. All but xxh3 are 32 bits wide, and
 * crc32 (as opposed to crc32a) has 15.
 */
#ifndef ROUTE_HASH_H
#define ROUTE_HASH_H

#include <stdint.h>

#include "base/slice.h"

typedef uint64_t hash_f(struct slice);

/* By one of the names of tbl/hashes.h; NULL: no such hash. */
hash_f		*hash_find(const char *name);

/* The XXH3-64 without a seed; what the local cache and ring_pick()'s callers compute. */
hash_f		 hash_xxh3;

#endif
