/*
 * tap.h - the least of TAP that unit tests need: ok(), is_u(), done_testing().
 *
 * A unit test #includes the .c file that it tests, then this, then calls tests from main() and returns
 * done_testing().
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned tap_count, tap_failed;

static inline bool __attribute__((format(printf, 4, 5)))
tap_ok(bool pass, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %u - ", pass ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!pass) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return (pass);
}

#define ok(e, ...)	tap_ok(!!(e), __FILE__, __LINE__, __VA_ARGS__)
#define is_u(got, want, ...)						\
	do {								\
		unsigned long long got_ = (got), want_ = (want);	\
		if (!ok(got_ == want_, __VA_ARGS__))			\
			printf("# got %llu, want %llu\n", got_, want_);	\
	} while (0)
#define is_s(got, want, ...)						\
	do {								\
		const char *got_ = (got), *want_ = (want);		\
		if (!ok(strcmp(got_, want_) == 0, __VA_ARGS__))		\
			printf("# got '%s', want '%s'\n", got_, want_);	\
	} while (0)

static inline int
done_testing(void)
{
	printf("1..%u\n", tap_count);
	return (tap_failed != 0);
}

#endif
