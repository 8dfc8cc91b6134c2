/* lock.c - the slow half of lock.h. */
#include "config.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/lock.h"

#define SPINS	200

static inline void
pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

void
lock_wait(_Atomic uint32_t *w)
{
	for (int i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(w, memory_order_relaxed) == 0 && lock_try(w))
			return;
		pause_cpu();
	}
	while (atomic_exchange_explicit(w, 2, memory_order_acquire) != 0)
		(void)syscall(SYS_futex, w, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

void
lock_wake(_Atomic uint32_t *w)
{
	(void)syscall(SYS_futex, w, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
