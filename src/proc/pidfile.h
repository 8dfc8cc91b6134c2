/*
 * pidfile.h - the file that holds the process id (-P).
 *
 * Written whole under another name and renamed, so that nobody reads half a number. Main thread.
 */
#ifndef PROC_PIDFILE_H
#define PROC_PIDFILE_H

#include <stdbool.h>

/*
 * Warns when the file names another process. False: it cannot be written, reported; memcached serves on without it,
 * and so may the caller. A NULL path is fine.
 */
bool	pidfile_write(const char *path);
/* Removes it if it still holds our id. */
void	pidfile_remove(const char *path);

#endif
