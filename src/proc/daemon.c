/*
 * daemon.c - fork, setsid, a pipe by which the parent learns how the start went.
 *
 * The pipe says one byte when all is well; its end without a byte says that the child is gone, and wait() says why.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "obs/log.h"
#include "proc/daemon.h"

static bool
failed(const char *what)
{
	fprintf(stderr, "kvgate: option -d: %s: %s; start it without -d\n", what, strerror(errno));
	return (false);
}

static void __attribute__((noreturn))
wait_for_child(int fd, pid_t child)
{
	int status = 0;
	ssize_t n;
	char byte;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

bool
daemon_fork(int *ready)
{
	int fds[2];
	pid_t child;

	*ready = -1;
	if (pipe2(fds, O_CLOEXEC) != 0)
		return (failed("no pipe"));
	fflush(NULL);
	child = fork();
	if (child < 0) {
		close(fds[0]);
		close(fds[1]);
		return (failed("cannot fork"));
	}
	if (child > 0) {
		close(fds[1]);
		wait_for_child(fds[0], child);
	}
	close(fds[0]);
	*ready = fds[1];
	return (setsid() >= 0 || failed("no session"));
}

bool
daemon_ready(int *ready, bool keep_cwd, bool keep_stdio)
{
	int fd = *ready;

	if (fd < 0)
		return (true);
	*ready = -1;
	if (!keep_cwd && chdir("/") != 0) {
		close(fd);
		return (failed("cannot change to /"));
	}
	if (!keep_stdio) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		    dup2(null, STDERR_FILENO) < 0) {
			close(fd);
			return (failed("no /dev/null"));
		}
		if (null > STDERR_FILENO)
			close(null);
		log_to_syslog();
	}
	/* If the parent was killed there is nobody to tell: SIGPIPE is ignored by now, and the write may fail. */
	(void)!write(fd, "", 1);
	close(fd);
	return (true);
}
