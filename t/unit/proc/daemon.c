/* Unit tests of src/proc/daemon.c: the first process ends as the daemon's start went. */
#include "proc/daemon.c"

#include <signal.h>
#include <stdlib.h>

#include "tap.h"

/* Exit status of a process that becomes a daemon, whose child does fate(); then what that wrote to the pipe. */
static int
status_of(void (*fate)(int ready, int fd), char *out, size_t size)
{
	int fds[2], status = -1;
	ssize_t n;
	pid_t first;

	fflush(NULL);
	if (pipe(fds) != 0 || (first = fork()) < 0)
		abort();
	if (first == 0) {
		int ready;

		close(fds[0]);
		if (!daemon_fork(&ready))
			_exit(99);
		fate(ready, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	waitpid(first, &status, 0);
	n = read(fds[0], out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	close(fds[0]);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void
serve(int ready, int fd)
{
	char cwd[64] = "?", text[256], link[64] = "";

	if (!daemon_ready(&ready, false, false) || getcwd(cwd, sizeof cwd) == NULL)
		_exit(1);
	(void)!readlink("/proc/self/fd/2", link, sizeof link - 1);
	snprintf(text, sizeof text, "%s %s %s", cwd, link, getsid(0) == getpid() ? "leader" : "no leader");
	(void)!write(fd, text, strlen(text));
}

static void
stay(int ready, int fd)
{
	char cwd[64] = "?", link[64] = "";

	if (!daemon_ready(&ready, true, true) || getcwd(cwd, sizeof cwd) == NULL)
		_exit(1);
	(void)!readlink("/proc/self/fd/2", link, sizeof link - 1);
	(void)!write(fd, strcmp(cwd, "/tmp") == 0 && strcmp(link, "/dev/null") != 0 ? "good" : "bad", 4);
}

static void
fail_with_2(int ready, int fd)
{
	(void)ready;
	(void)fd;
	_exit(2);
}

static void
die(int ready, int fd)
{
	(void)ready;
	(void)fd;
	kill(getpid(), SIGKILL);
}

int
main(void)
{
	char out[256];
	int none = -1;

	ok(chdir("/tmp") == 0, "somewhere");
	is_u(status_of(serve, out, sizeof out), 0, "a daemon that serves: 0");
	is_s(out, "/ /dev/null leader", "in /, without the terminal, leading a session");
	is_u(status_of(stay, out, sizeof out), 0, "with -r and -v: 0");
	is_s(out, "good", "it stays where it is and keeps standard error");
	is_u(status_of(fail_with_2, out, sizeof out), 2, "one that cannot start: its status");
	is_u(status_of(die, out, sizeof out), 1, "one that was killed: 1");
	ok(daemon_ready(&none, false, false) && getcwd(out, sizeof out) != NULL && strcmp(out, "/tmp") == 0,
	    "no daemon: nothing happens");
	return (done_testing());
}
