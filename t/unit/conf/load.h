/* load.h - conf_load() of lines and files in a directory of its own, for the unit tests of conf/. */
#ifndef LOAD_H
#define LOAD_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/model.h"

static char dir[] = "/tmp/kvgate-load.XXXXXX";
static char said_out[16384], said_err[4096];
/* Of the last load(): a struct conf points there. */
static char *words[4][32], *lines[4];
static unsigned nloads;

static inline void
slurp(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	close(fd);
}

static inline int
redirect(int fd, const char *name, int *saved)
{
	char path[64];
	int to;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	to = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	*saved = dup(fd);
	dup2(to, fd);
	return (to);
}

/* conf_load() of a line of words; what it printed is in said_out and said_err. Up to four of them at a time. */
static inline struct conf *
load(const char *line, int *code)
{
	static char name[] = "kvgate";
	unsigned slot = nloads++ % 4;
	char **argv = words[slot], *save = NULL;
	int argc = 1, out, err, saved_out, saved_err;
	struct conf *c;

	free(lines[slot]);
	lines[slot] = strdup(line);
	argv[0] = name;
	for (char *w = strtok_r(lines[slot], " ", &save); w != NULL && argc < 31; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	fflush(NULL);
	out = redirect(1, "out", &saved_out);
	err = redirect(2, "err", &saved_err);
	c = conf_load(argc, argv, NULL, code);
	fflush(NULL);
	dup2(saved_out, 1);
	dup2(saved_err, 2);
	close(saved_out);
	close(saved_err);
	slurp(out, said_out, sizeof said_out);
	slurp(err, said_err, sizeof said_err);
	return (c);
}

static inline const char *
write_conf(const char *text)
{
	static char path[64];
	FILE *f;

	snprintf(path, sizeof path, "%s/c.conf", dir);
	f = fopen(path, "w");
	if (f == NULL)
		abort();
	fputs(text, f);
	fclose(f);
	return (path);
}

static inline struct conf *
load_text(const char *options, const char *text, int *code)
{
	char line[256];

	snprintf(line, sizeof line, "%s %s", options, write_conf(text));
	return (load(line, code));
}

static inline void
load_open(void)
{
	if (mkdtemp(dir) == NULL)
		abort();
}

/* False: something was left. */
static inline bool
load_close(void)
{
	char cmd[64];

	for (unsigned i = 0; i < 4; i++)
		free(lines[i]);
	snprintf(cmd, sizeof cmd, "rm -r %s", dir);
	return (system(cmd) == 0);
}

#endif
