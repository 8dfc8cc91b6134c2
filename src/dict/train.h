/*
 * train.h - dictionaries of zstd's: made of samples, and what they are worth.
 */
#ifndef DICT_TRAIN_H
#define DICT_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dict/fetch.h"

/* Into dict, at most cap bytes. 0: there are too few samples, or they have nothing in common; *why says so. */
size_t		 train_dictionary(const struct samples *, char *dict, size_t cap, const char **why);
uint32_t	 train_id(const char *dict, size_t len);
/* Bytes of all samples, each compressed for itself at that level, with a dictionary or (NULL) without. 0: no memory. */
size_t		 train_measure(const struct samples *, const char *dict, size_t len, int level);

#endif
