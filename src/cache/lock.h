/*
 * lock.h - the shards' lock: a word, spun on for a moment, then slept on.
 *
 * Held for some hundred nanoseconds, so spinning pays; sleeping is for the holder that lost its CPU. 0 free,
 * 1 held, 2 held and somebody sleeps.
 */
#ifndef CACHE_LOCK_H
#define CACHE_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Out of line: what happens when the word was not free. */
void	lock_wait(_Atomic uint32_t *);
void	lock_wake(_Atomic uint32_t *);

static inline bool
lock_try(_Atomic uint32_t *w)
{
	uint32_t free_ = 0;

	return (atomic_compare_exchange_strong_explicit(w, &free_, 1, memory_order_acquire,
	    memory_order_relaxed));
}

static inline void
lock_take(_Atomic uint32_t *w)
{
	if (__builtin_expect(!lock_try(w), 0))
		lock_wait(w);
}

static inline void
lock_drop(_Atomic uint32_t *w)
{
	if (__builtin_expect(atomic_exchange_explicit(w, 0, memory_order_release) == 2, 0))
		lock_wake(w);
}

#endif
