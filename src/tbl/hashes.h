/*
 * hashes.h - HASH(name): the words that `hash =` of a store takes.
 *
 * The functions are in route/hash.c; a test compares the two.
 */
HASH("xxh3")
HASH("md5")
HASH("crc16")
HASH("crc32")
HASH("crc32a")
HASH("fnv1_64")
HASH("fnv1a_64")
HASH("fnv1_32")
HASH("fnv1a_32")
HASH("hsieh")
HASH("murmur")
HASH("murmur3")
HASH("jenkins")
HASH("one_at_a_time")
