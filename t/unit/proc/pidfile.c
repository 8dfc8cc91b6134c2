/* Unit tests of src/proc/pidfile.c: whole files, honest warnings, only our own removed. */
#include "proc/pidfile.c"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tap.h"

static char dir[] = "/tmp/kvgate-pid.XXXXXX";
static char path[64], said[1024];

/* pidfile_write() with what it logged in said. */
static bool
write_it(const char *to)
{
	char log[64];
	int saved = dup(STDERR_FILENO), fd;
	ssize_t n;
	bool good;

	snprintf(log, sizeof log, "%s/log", dir);
	fd = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600);
	dup2(fd, STDERR_FILENO);
	good = pidfile_write(to);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fd, said, sizeof said - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	close(fd);
	return (good);
}

static void
put(const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		abort();
	fputs(text, f);
	fclose(f);
}

static void
a_file_of_ours(void)
{
	struct stat st;

	ok(write_it(NULL) && said[0] == '\0', "no path, nothing to do");
	ok(write_it(path) && said[0] == '\0', "written");
	ok(read_pid(path) == getpid(), "it holds our id");
	ok(stat(path, &st) == 0 && (st.st_mode & 0777 & ~0644) == 0, "others may read it");
	ok(write_it(path) && said[0] == '\0', "written again without a word");
	pidfile_remove(path);
	ok(stat(path, &st) != 0, "removed");
	pidfile_remove(path);
	pidfile_remove(NULL);
}

static void
files_of_others(void)
{
	char text[32];
	pid_t gone = fork();
	struct stat st;

	if (gone == 0)
		_exit(0);
	waitpid(gone, NULL, 0);
	snprintf(text, sizeof text, "%ld\n", (long)getppid());
	put(text);
	ok(write_it(path) && strstr(said, "which is running") != NULL, "a running process is warned of");
	put(text);
	pidfile_remove(path);
	ok(stat(path, &st) == 0, "another's file stays");
	snprintf(text, sizeof text, "%ld", (long)gone);
	put(text);
	ok(write_it(path) && strstr(said, "left behind") != NULL, "a stale file too");
	put("rubbish\n");
	ok(write_it(path) && said[0] == '\0', "rubbish is written over");
	put("99999999999\n");
	ok(write_it(path) && said[0] == '\0', "a number out of range as well");
	pidfile_remove(path);
}

static void
nowhere(void)
{
	char to[80], longest[5000];

	snprintf(to, sizeof to, "%s/no/such/file", dir);
	ok(!write_it(to) && strstr(said, "cannot be written") != NULL, "a directory that is not there");
	memset(longest, 'a', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	ok(!write_it(longest), "a path too long");
}

int
main(void)
{
	char cmd[64];

	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof path, "%s/kvgate.pid", dir);
	a_file_of_ours();
	files_of_others();
	nowhere();
	snprintf(cmd, sizeof cmd, "rm -r %s", dir);
	ok(system(cmd) == 0, "cleaned up");
	return (done_testing());
}
