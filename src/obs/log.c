/*
 * log.c - one write(2) a line, so that lines of several threads never mix.
 */
#include "config.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "obs/log.h"

static atomic_uint verbosity;
static atomic_bool use_syslog;

void
log_set_verbosity(unsigned v)
{
	atomic_store_explicit(&verbosity, v, memory_order_relaxed);
}

unsigned
log_verbosity(void)
{
	return (atomic_load_explicit(&verbosity, memory_order_relaxed));
}

void
log_to_syslog(void)
{
	openlog("kvgate", LOG_PID, LOG_DAEMON);
	atomic_store(&use_syslog, true);
}

static void
log_line(int priority, const char *fmt, va_list ap)
{
	char buf[1024];
	int n;

	if (atomic_load_explicit(&use_syslog, memory_order_relaxed)) {
		vsyslog(priority, fmt, ap);
		return;
	}
	n = vsnprintf(buf, sizeof buf - 1, fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n > sizeof buf - 2)
		n = sizeof buf - 2;
	buf[n++] = '\n';
	(void)!write(STDERR_FILENO, buf, (size_t)n);
}

#define LOG_FN(name, prio, min)						\
void									\
name(const char *fmt, ...)						\
{									\
	va_list ap;							\
									\
	if ((int)log_verbosity() < (min))					\
		return;							\
	va_start(ap, fmt);						\
	log_line(prio, fmt, ap);					\
	va_end(ap);							\
}

LOG_FN(log_error, LOG_ERR, 0)
LOG_FN(log_warn, LOG_WARNING, 0)
LOG_FN(log_info, LOG_INFO, 1)
LOG_FN(log_debug, LOG_DEBUG, 2)
