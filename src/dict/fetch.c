/*
 * fetch.c - `ks` page by page over one connection; nothing is changed there.
 */
#include "config.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/num.h"
#include "dict/fetch.h"

#define LINE_MAX_HERE	8192		/* a page token has 2048 */
#define PAGE		(1024 * 1024)

bool
samples_add(struct samples *s, const char *p, size_t len)
{
	size_t *sizes;
	char *bytes;

	if (s->n == s->ncap) {
		sizes = realloc(s->sizes, (s->ncap * 2 + 64) * sizeof *sizes);
		if (sizes == NULL)
			return (false);
		s->sizes = sizes;
		s->ncap = s->ncap * 2 + 64;
	}
	if (s->len + len > s->cap) {
		bytes = realloc(s->bytes, (s->len + len) * 2);
		if (bytes == NULL)
			return (false);
		s->bytes = bytes;
		s->cap = (s->len + len) * 2;
	}
	if (len > 0)
		memcpy(s->bytes + s->len, p, len);
	s->len += len;
	s->sizes[s->n++] = len;
	return (true);
}

void
samples_free(struct samples *s)
{
	free(s->bytes);
	free(s->sizes);
	memset(s, 0, sizeof *s);
}

static bool
fail(char why[FETCH_WHY_MAX], const char *what, const char *text)
{
	snprintf(why, FETCH_WHY_MAX, "%.200s: %.200s", what, text);
	return (false);
}

/* ---- the connection ---- */

static int
connect_path(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof sun.sun_path) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	memcpy(sun.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) != 0) {
		close(fd);
		return (-1);
	}
	return (fd);
}

static int
connect_any(const struct addrinfo *ai)
{
	int fd = -1;

	for (; ai != NULL && fd < 0; ai = ai->ai_next) {
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	return (fd);
}

static FILE *
open_server(const char *server, char why[FETCH_WHY_MAX])
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	const char *colon = strrchr(server, ':');
	char host[256];
	FILE *f;
	int fd, rc;

	if (server[0] == '/')
		fd = connect_path(server);
	else {
		snprintf(host, sizeof host, "%.*s", colon != NULL ? (int)(colon - server) : (int)strlen(server), server);
		if (host[0] == '[' && host[strlen(host) - 1] == ']') {
			host[strlen(host) - 1] = '\0';
			memmove(host, host + 1, strlen(host));
		}
		rc = getaddrinfo(host, colon != NULL ? colon + 1 : "11211", &hints, &ai);
		if (rc != 0) {
			(void)fail(why, server, gai_strerror(rc));
			return (NULL);
		}
		fd = connect_any(ai);
		freeaddrinfo(ai);
	}
	f = fd >= 0 ? fdopen(fd, "r") : NULL;
	if (f == NULL)
		(void)fail(why, server, strerror(errno));
	return (f);
}

/* ---- pages ---- */

/* A line without its end. False: the connection is over, or what comes is none. */
static bool
read_line(FILE *f, char line[LINE_MAX_HERE])
{
	size_t len;

	if (fgets(line, LINE_MAX_HERE, f) == NULL)
		return (false);
	len = strlen(line);
	if (len < 2 || line[len - 1] != '\n' || line[len - 2] != '\r')
		return (false);
	line[len - 2] = '\0';
	return (true);
}

/* A value of that many bytes behind its line. */
static bool
read_value(FILE *f, size_t size, struct samples *s)
{
	char *p = malloc(size + 2);
	bool good;

	good = p != NULL && fread(p, 1, size + 2, f) == size + 2 && p[size] == '\r' && p[size + 1] == '\n' &&
	    samples_add(s, p, size);
	free(p);
	return (good);
}

/* The token that the line has, "" if none. */
static void
take_token(const char *line, char token[LINE_MAX_HERE])
{
	const char *at = strstr(line, " N");

	token[0] = '\0';
	if (at != NULL)
		snprintf(token, LINE_MAX_HERE, "%.*s", (int)strcspn(at + 2, " "), at + 2);
}

/* One page; token says where it begins and then where the next one does. */
static bool
read_page(FILE *f, const struct fetch_ask *ask, char token[LINE_MAX_HERE], struct samples *s, char why[FETCH_WHY_MAX])
{
	char line[LINE_MAX_HERE];

	if (dprintf(fileno(f), "ks %s v B%d X%zu%s%s\r\n", ask->space, PAGE, ask->value_max,
	    token[0] != '\0' ? " N" : "", token) < 0)
		return (fail(why, ask->server, strerror(errno)));
	for (;;) {
		uint32_t size;

		if (!read_line(f, line))
			return (fail(why, ask->server, "the connection has ended"));
		if (strncmp(line, "VA ", 3) == 0) {
			if (!num_get_u32(slice_of(line + 3, strcspn(line + 3, " ")), &size) || size > ask->value_max ||
			    !read_value(f, size, s))
				return (fail(why, ask->server, "the connection has ended"));
		} else if (strncmp(line, "HD", 2) == 0)
			continue;
		else if (strncmp(line, "EN", 2) == 0) {
			take_token(line, token);
			return (true);
		} else
			return (fail(why, ask->server, line));
	}
}

bool
fetch_space(const struct fetch_ask *ask, struct samples *s, char why[FETCH_WHY_MAX])
{
	char token[LINE_MAX_HERE] = "";
	FILE *f = open_server(ask->server, why);
	bool good;

	if (f == NULL)
		return (false);
	do
		good = read_page(f, ask, token, s, why);
	while (good && token[0] != '\0' && s->n < ask->count && s->len < ask->bytes);
	fclose(f);
	return (good);
}

bool
fetch_file(const char *path, size_t value_max, struct samples *s, char why[FETCH_WHY_MAX])
{
	FILE *f = fopen(path, "re");
	char *p = malloc(value_max + 1);
	bool good = f != NULL && p != NULL;
	size_t n;

	if (good) {
		errno = 0;
		n = fread(p, 1, value_max + 1, f);
		good = ferror(f) == 0 && (n > value_max || samples_add(s, p, n));
	}
	if (!good)
		(void)fail(why, path, strerror(errno));
	if (f != NULL)
		fclose(f);
	free(p);
	return (good);
}
