/*
 * pidfile.c - the file that holds the process id.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "obs/log.h"
#include "proc/pidfile.h"

/* The id in the file; 0: none. */
static pid_t
read_pid(const char *path)
{
	char buf[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof buf) : -1;
	uint32_t pid;

	if (fd >= 0)
		close(fd);
	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r'))
		n--;
	if (n <= 0 || !num_get_u32(slice_of(buf, (size_t)n), &pid) || pid > INT32_MAX)
		return (0);
	return ((pid_t)pid);
}

static bool
write_pid(const char *path)
{
	char text[32];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), n;
	bool good;

	if (fd < 0)
		return (false);
	n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	good = write(fd, text, (size_t)n) == n;
	return (close(fd) == 0 && good);
}

bool
pidfile_write(const char *path)
{
	char tmp[4096];
	pid_t other;

	if (path == NULL)
		return (true);
	other = read_pid(path);
	if (other != 0 && other != getpid()) {
		if (kill(other, 0) == 0 || errno == EPERM)
			log_warn("pid file %s named the process %ld, which is running; it names this one now", path,
			    (long)other);
		else
			log_warn("pid file %s was left behind by process %ld; it names this one now", path, (long)other);
	}
	if ((size_t)snprintf(tmp, sizeof tmp, "%s.new", path) < sizeof tmp && write_pid(tmp) &&
	    rename(tmp, path) == 0)
		return (true);
	log_warn("pid file %s cannot be written: %s", path, strerror(errno));
	(void)unlink(tmp);
	return (false);
}

void
pidfile_remove(const char *path)
{
	if (path != NULL && read_pid(path) == getpid())
		(void)unlink(path);
}
