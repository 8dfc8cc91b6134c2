/*
 * daemon.h - going into the background (-d) without leaving errors behind.
 *
 * The first process waits until the daemon says that it serves and then exits 0; if the daemon ends before that, with
 * its status. So a port in use is told on the terminal and in the exit status. Main thread, before any other.
 */
#ifndef PROC_DAEMON_H
#define PROC_DAEMON_H

#include <stdbool.h>

/*
 * Forks; only the child returns, as the leader of a session of its own. *ready is what daemon_ready() takes. False:
 * reported.
 */
bool	daemon_fork(int *ready);
/*
 * Everything is open: leaves the terminal and lets the first process go. keep_stdio (-v): standard error stays, else
 * lines go to syslog. keep_cwd (-r): a core file is to be found where it was started. *ready -1: not a daemon, nothing
 * happens. False: reported.
 */
bool	daemon_ready(int *ready, bool keep_cwd, bool keep_stdio);

#endif
