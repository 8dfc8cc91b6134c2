/*
 * log.h - lines for the operator, on stderr or syslog.
 *
 * The level is the one mutable global of the program: `verbosity` and -v change it, any thread reads it.
 */
#ifndef OBS_LOG_H
#define OBS_LOG_H

enum log_level { LOG_LV_ERROR, LOG_LV_WARN, LOG_LV_INFO, LOG_LV_DEBUG, LOG_LV_TRACE };

/* 0 errors and warnings (default), 1 (-v) what connections do, 2 (-vv) commands too. Any thread. */
void	log_set_verbosity(unsigned);
unsigned log_verbosity(void);
/* A daemon's lines go to syslog. Before threads start. */
void	log_to_syslog(void);

/* One line each, no newline in fmt. Any thread. */
void	log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* -v */
void	log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* -vv */

#endif
