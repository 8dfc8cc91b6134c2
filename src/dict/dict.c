/*
 * dict.c - kvgate-dict: makes a dictionary of the values that a namespace has.
 *
 * A dictionary is written under a name of its own, never over another: what was encoded with that could not be read any
 * more. kvgate writes with the one that its configuration names and reads with all that lie beside it.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "dict/fetch.h"
#include "dict/train.h"

#define EXIT_USAGE	2
#define SIZE_USUAL	(110 * 1024)
#define SIZE_MOST	(1024 * 1024)
#define COUNT_USUAL	20000
#define SAMPLES_BYTES	(64u * 1024 * 1024)
#define LEVEL		3

struct options {
	const char	*server, *out, *space;
	size_t		 size, count, value_max;
	bool		 files;
};

static int
usage(void)
{
	fprintf(stderr, "usage: kvgate-dict [-s server] [-b bytes] [-n values] [-x bytes] [-o file] namespace\n"
	    "       kvgate-dict -f [-b bytes] [-x bytes] [-o file] file ...\n");
	return (EXIT_USAGE);
}

static bool
take_size(const char *text, size_t min, size_t max, size_t *v)
{
	uint32_t n;

	if (!num_get_u32(slice_str(text), &n))
		return (false);
	*v = n;
	return (n >= min && n <= max);
}

/* False: they make no sense. */
static bool
take_options(int argc, char **argv, struct options *o)
{
	bool good = true;
	int c;

	*o = (struct options){ .server = "127.0.0.1:11211", .size = SIZE_USUAL, .count = COUNT_USUAL, .value_max = 64 * 1024 };
	while (good && (c = getopt(argc, argv, "s:b:n:x:o:f")) != -1)
		switch (c) {
		case 's':
			o->server = optarg;
			break;
		case 'b':
			good = take_size(optarg, 1024, SIZE_MOST, &o->size);
			break;
		case 'n':
			good = take_size(optarg, 16, 10000000, &o->count);
			break;
		case 'x':
			good = take_size(optarg, 1, 1024 * 1024, &o->value_max);
			break;
		case 'o':
			o->out = optarg;
			break;
		case 'f':
			o->files = true;
			break;
		default:
			good = false;
		}
	o->space = argv[optind];
	return (good && (o->files ? argc > optind : argc == optind + 1));
}

static bool
collect(const struct options *o, char **files, struct samples *s)
{
	struct fetch_ask ask = { .server = o->server, .space = o->space, .count = o->count, .bytes = SAMPLES_BYTES,
	    .value_max = o->value_max };
	char why[FETCH_WHY_MAX];
	bool good = true;

	if (!o->files)
		good = fetch_space(&ask, s, why);
	for (; o->files && good && *files != NULL; files++)
		good = fetch_file(*files, o->value_max, s, why);
	if (!good)
		fprintf(stderr, "kvgate-dict: %s\n", why);
	return (good);
}

static bool
put_file(const char *path, const char *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool good = fd >= 0;

	for (ssize_t n; good && len > 0; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		good = n > 0;
		if (!good)
			n = 0;
	}
	good = good && fsync(fd) == 0;
	if (!good)
		fprintf(stderr, "kvgate-dict: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return (good);
}

static unsigned
smaller(size_t plain, size_t encoded)
{
	return (plain == 0 || encoded >= plain ? 0 : (unsigned)(100 - encoded * 100 / plain));
}

static bool
make(const struct options *o, const struct samples *s)
{
	char *dict = malloc(o->size), path[512];
	const char *why = "out of memory";
	size_t len = dict != NULL ? train_dictionary(s, dict, o->size, &why) : 0;
	bool good = false;

	if (len == 0)
		fprintf(stderr, "kvgate-dict: %s\n", why);
	else {
		snprintf(path, sizeof path, "%s-%u.dict", o->files ? "files" : o->space, (unsigned)train_id(dict, len));
		good = put_file(o->out != NULL ? o->out : path, dict, len);
	}
	if (good)
		printf("%s: %zu bytes, of %zu values of %zu bytes on the average: with it they are %u %% smaller, "
		    "without %u %%\n", o->out != NULL ? o->out : path, len, s->n, s->len / s->n,
		    smaller(s->len, train_measure(s, dict, len, LEVEL)),
		    smaller(s->len, train_measure(s, NULL, 0, LEVEL)));
	free(dict);
	return (good);
}

int
main(int argc, char **argv)
{
	struct samples s = { .n = 0 };
	struct options o;
	bool good;

	if (!take_options(argc, argv, &o))
		return (usage());
	good = collect(&o, argv + optind, &s) && make(&o, &s);
	samples_free(&s);
	return (good ? EXIT_SUCCESS : EXIT_FAILURE);
}
