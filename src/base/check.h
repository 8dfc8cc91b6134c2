/*
 * check.h - assertions on our own code, object magics, ownership moves.
 *
 * MUST() is for what cannot happen unless kvgate has a bug. It stays in release builds: a caching proxy
 * that goes on after its state is broken hands out other people's bytes. What a peer, the memory or the
 * disk can do wrong is handled, never MUSTed.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

/* Prints and aborts. */
void	check_failed(const char *what, const char *file, int line, const char *func)
	    __attribute__((noreturn, cold));

#define MUST(e)								\
	do {								\
		if (__builtin_expect(!(e), 0))				\
			check_failed(#e, __FILE__, __LINE__, __func__);	\
	} while (0)

/* Every long-lived struct begins with `unsigned magic`. */
#define CHECK_OBJ(o, m)		MUST((o)->magic == (m))
#define CHECK_OBJ_NOTNULL(o, m)	do { MUST((o) != NULL); CHECK_OBJ(o, m); } while (0)

/* Moves ownership out of *from: checks, takes, leaves NULL behind. */
#define TAKE_OBJ_NOTNULL(to, from, m)					\
	do {								\
		(to) = *(from);						\
		*(from) = NULL;						\
		CHECK_OBJ_NOTNULL(to, m);				\
	} while (0)

#define LIKELY(e)	__builtin_expect(!!(e), 1)
#define UNLIKELY(e)	__builtin_expect(!!(e), 0)
#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, field)					\
	((type *)((char *)(p) - offsetof(type, field)))

#endif
