/*
 * privs.h - limits of the process and the user that it runs as.
 *
 * Main thread, before any other: Linux keeps user ids per thread. Failures are one line on standard error.
 */
#ifndef PROC_PRIVS_H
#define PROC_PRIVS_H

#include <stdbool.h>
#include <stddef.h>

struct conf;

/*
 * Core files (-r) and descriptors: for the clients of -c and for nfds more that the caller knows of. Never lowers a
 * limit. False: not to be had, reported.
 */
bool	privs_set_limits(const struct conf *, size_t nfds);
/*
 * If this is root, and is to become this user: makes the directories of databases that are not there, as the user's.
 * What fails is told when they are opened.
 */
void	privs_make_paths(const struct conf *, const char *user);
/* -u, if this is root; otherwise nothing happens, as in memcached. False: reported. */
bool	privs_drop(const char *user);
/* -k; memory of later is locked too. Failing is a warning, as in memcached. */
void	privs_lock_memory(void);

#endif
