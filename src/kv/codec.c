/*
 * codec.c - zstd's contexts and dictionaries.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/check.h"
#include "kv/codec.h"
#include "obs/log.h"

/* A context for large values at a high level has tens of megabytes; so much may stay. */
#define CONTEXT_KEEP	(4u * 1024 * 1024)
/* What the head of an encoded value has beyond a plain one's, with a nonce; without one it is less. */
#define HEAD_MORE	(ENVELOPE_LEN_MAX - ENVELOPE_NONCE_LEN)

struct dict {
	uint32_t	 id;
	uint64_t	 sum;		/* of its file */
	ZSTD_DDict	*reads;
};

struct codec_dicts {
	unsigned	 magic;
#define DICTS_MAGIC	0x64696374u
	ZSTD_CDict	*writes;
	unsigned	 n;		/* the first one is what is written with */
	struct dict	 dicts[CODEC_DICTIONARIES_MAX];
};

struct codec_ctx {
	unsigned	 magic;
#define CODEC_MAGIC	0x636f6463u
	ZSTD_CCtx	*writes;
	ZSTD_DCtx	*reads;
};

/* ---- dictionaries ---- */

static void
say(char why[CODEC_WHY_MAX], const char *file, const char *what)
{
	snprintf(why, CODEC_WHY_MAX, "dictionary \"%.200s\": %s", file, what);
}

static void
say_errno(char why[CODEC_WHY_MAX], const char *file)
{
	snprintf(why, CODEC_WHY_MAX, "dictionary \"%.200s\": %s; a file made by kvgate-dict", file, strerror(errno));
}

/* All of an open file into memory. NULL: it cannot be read, errno says why; 0: it is no regular file, or too large. */
static char *
read_all(int fd, size_t *len)
{
	struct stat st;
	ssize_t n = 1;
	char *p;

	errno = 0;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > CODEC_DICTIONARY_MAX)
		return (NULL);
	p = malloc((size_t)st.st_size + 1);
	for (*len = 0; p != NULL && n > 0 && *len < (size_t)st.st_size; *len += n > 0 ? (size_t)n : 0)
		n = read(fd, p + *len, (size_t)st.st_size - *len);
	if (p != NULL && n < 0) {
		free(p);
		return (NULL);
	}
	return (p);
}

static char *
dict_read(const char *file, size_t *len, char why[CODEC_WHY_MAX])
{
	/* A pipe is not waited for. */
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *p;

	if (fd < 0) {
		say_errno(why, file);
		return (NULL);
	}
	p = read_all(fd, len);
	if (p == NULL && errno != 0)
		say_errno(why, file);
	else if (p == NULL)
		say(why, file, "no regular file, or larger than 4 MB; a file made by kvgate-dict");
	close(fd);
	return (p);
}

static const struct dict *
dicts_find(const struct codec_dicts *ds, uint32_t id)
{
	for (unsigned i = 0; ds != NULL && i < ds->n; i++)
		if (ds->dicts[i].id == id)
			return (&ds->dicts[i]);
	return (NULL);
}

enum added { ADDED, ADDED_BAD, ADDED_CLASH };

/* Digests a file's bytes for reading; the first for writing, too. */
static enum added
dicts_add(struct codec_dicts *ds, const char *file, int level, char why[CODEC_WHY_MAX])
{
	struct dict *d = &ds->dicts[ds->n];
	const struct dict *other;
	size_t len = 0;
	char *p = dict_read(file, &len, why);

	if (p == NULL)
		return (ADDED_BAD);
	d->id = ZSTD_getDictID_fromDict(p, len);
	d->sum = XXH3_64bits(p, len);
	other = d->id != 0 ? dicts_find(ds, d->id) : NULL;
	if (other != NULL) {
		free(p);
		/* One that is there under another name. */
		if (other->sum == d->sum)
			return (ADDED);
		say(why, file, "has the id of another one beside it, and values tell only that; one of the two");
		return (ADDED_CLASH);
	}
	if (d->id != 0) {
		d->reads = ZSTD_createDDict(p, len);
		if (d->reads != NULL && ds->n == 0)
			ds->writes = ZSTD_createCDict(p, len, level);
	}
	free(p);
	if (d->reads == NULL || ds->writes == NULL) {
		say(why, file, "nothing that zstd knows; a file made by kvgate-dict");
		return (ADDED_BAD);
	}
	ds->n++;
	return (ADDED);
}

static bool
is_dictionary_name(const char *name)
{
	size_t len = strlen(name);

	return (len > 5 && strcmp(name + len - 5, ".dict") == 0);
}

/* What is no dictionary is left out; of two with one id nobody can tell whose a value is. */
static bool
dicts_add_beside(struct codec_dicts *ds, const char *file, int level, char why[CODEC_WHY_MAX])
{
	const char *slash = strrchr(file, '/');
	enum added added = ADDED;
	char dir[4096], path[8192];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof dir, "%.*s", slash == NULL ? 2 : (int)(slash - file) + 1, slash == NULL ? "./" : file);
	d = opendir(dir);
	while (d != NULL && added != ADDED_CLASH && (e = readdir(d)) != NULL) {
		if (!is_dictionary_name(e->d_name))
			continue;
		if (ds->n == CODEC_DICTIONARIES_MAX) {
			log_warn("more than %d dictionaries in \"%s\": values of the others cannot be read", CODEC_DICTIONARIES_MAX,
			    dir);
			break;
		}
		snprintf(path, sizeof path, "%s%s", dir, e->d_name);
		added = dicts_add(ds, path, level, why);
		if (added == ADDED_BAD)
			log_warn("%s", why);
	}
	if (d != NULL)
		closedir(d);
	return (added != ADDED_CLASH);
}

struct codec_dicts *
codec_dicts_new(const char *file, int level, char why[CODEC_WHY_MAX])
{
	struct codec_dicts *ds = calloc(1, sizeof *ds);

	if (ds == NULL) {
		snprintf(why, CODEC_WHY_MAX, "out of memory");
		return (NULL);
	}
	ds->magic = DICTS_MAGIC;
	if (dicts_add(ds, file, level, why) != ADDED) {
		/* What was made of it counts as the first. */
		ds->n = 1;
		codec_dicts_free(&ds);
	} else if (!dicts_add_beside(ds, file, level, why))
		codec_dicts_free(&ds);
	return (ds);
}

void
codec_dicts_free(struct codec_dicts **dsp)
{
	struct codec_dicts *ds;

	if (*dsp == NULL)
		return;
	TAKE_OBJ_NOTNULL(ds, dsp, DICTS_MAGIC);
	ZSTD_freeCDict(ds->writes);
	for (unsigned i = 0; i < ds->n; i++)
		ZSTD_freeDDict(ds->dicts[i].reads);
	ds->magic = 0;
	free(ds);
}

uint32_t
codec_dicts_id(const struct codec_dicts *ds)
{
	return (ds->dicts[0].id);
}

bool
codec_dicts_has(const struct codec_dicts *ds, uint32_t id)
{
	return (dicts_find(ds, id) != NULL);
}

/* ---- contexts ---- */

struct codec_ctx *
codec_new(void)
{
	struct codec_ctx *c = calloc(1, sizeof *c);

	if (c != NULL)
		c->magic = CODEC_MAGIC;
	return (c);
}

void
codec_free(struct codec_ctx **cp)
{
	struct codec_ctx *c;

	if (*cp == NULL)
		return;
	TAKE_OBJ_NOTNULL(c, cp, CODEC_MAGIC);
	ZSTD_freeCCtx(c->writes);
	ZSTD_freeDCtx(c->reads);
	c->magic = 0;
	free(c);
}

static bool
codec_may_write(struct codec_ctx *c)
{
	if (c->writes == NULL)
		c->writes = ZSTD_createCCtx();
	return (c->writes != NULL);
}

static size_t
compress(ZSTD_CCtx *cctx, const struct codec_dicts *ds, int level, struct slice plain, char *dst, size_t room)
{
	/* A dictionary comes with the level that it was digested at. */
	if (ZSTD_isError(ZSTD_CCtx_reset(cctx, ZSTD_reset_session_and_parameters)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1)) ||
	    ZSTD_isError(ZSTD_CCtx_refCDict(cctx, ds != NULL ? ds->writes : NULL)))
		return (0);
	return (ZSTD_compress2(cctx, dst, room, plain.p, plain.len));
}

size_t
codec_encode(struct codec_ctx *c, const struct codec_dicts *ds, int level, struct slice plain, char *dst,
    struct envelope *head)
{
	size_t n;

	CHECK_OBJ_NOTNULL(c, CODEC_MAGIC);
	/* With so little room zstd stops as soon as it is seen that nothing is gained. */
	if (plain.len <= HEAD_MORE + 1 || !codec_may_write(c))
		return (0);
	n = compress(c->writes, ds, level, plain, dst, plain.len - HEAD_MORE - 1);
	if (ZSTD_sizeof_CCtx(c->writes) > CONTEXT_KEEP) {
		ZSTD_freeCCtx(c->writes);
		c->writes = NULL;
	}
	if (n == 0 || ZSTD_isError(n))
		return (0);
	head->codec = CODEC_ZSTD;
	head->size = plain.len;
	head->dictionary = ds != NULL ? codec_dicts_id(ds) : 0;
	return (n);
}

/* What a frame says of itself. NULL: it is one, and nothing is behind it. */
static const char *
look(struct slice frame, uint64_t *size, uint32_t *dictionary)
{
	unsigned long long n = ZSTD_getFrameContentSize(frame.p, frame.len);

	/* One that is to be skipped is no value. */
	if (n == ZSTD_CONTENTSIZE_ERROR || frame.p[3] != (char)(ZSTD_MAGICNUMBER >> 24))
		return ("value is no zstd frame");
	if (n == ZSTD_CONTENTSIZE_UNKNOWN)
		return ("zstd frame does not tell its size");
	/* Follows the heads of its blocks. */
	if (ZSTD_findFrameCompressedSize(frame.p, frame.len) != frame.len)
		return ("zstd frame is cut short, or something follows it");
	*size = n;
	*dictionary = ZSTD_getDictID_fromFrame(frame.p, frame.len);
	return (NULL);
}

uint64_t
codec_size(enum codec codec, struct slice frame)
{
	unsigned long long n = ZSTD_CONTENTSIZE_ERROR;

	if (codec == CODEC_ZSTD)
		n = ZSTD_getFrameContentSize(frame.p, frame.len);
	return (n != ZSTD_CONTENTSIZE_ERROR && n != ZSTD_CONTENTSIZE_UNKNOWN && n > frame.len ? n : frame.len);
}

const char *
codec_adopt(const struct codec_dicts *ds, enum codec codec, struct slice frame, uint64_t size_max,
    struct envelope *head)
{
	uint32_t dictionary = 0;
	uint64_t size = 0;

	if (codec != CODEC_ZSTD)
		return ("CLIENT_ERROR unknown codec");
	if (look(frame, &size, &dictionary) != NULL)
		return (CODEC_BAD_FRAME);
	if (size > size_max)
		return ("SERVER_ERROR object too large for cache");
	if (dictionary != 0 && !codec_dicts_has(ds, dictionary))
		return ("CLIENT_ERROR unknown dictionary");
	head->codec = CODEC_ZSTD;
	head->size = size;
	head->dictionary = dictionary;
	return (NULL);
}

const char *
codec_check(const struct codec_dicts *ds, const struct envelope *head, struct slice in, uint64_t size_max)
{
	const char *why;
	uint32_t dictionary = 0;
	uint64_t size = 0;

	if (head->codec != CODEC_ZSTD)
		return ("value has an unknown codec");
	if (head->size > size_max)
		return ("value is larger than item_size_max");
	why = look(in, &size, &dictionary);
	if (why != NULL)
		return (why);
	if (size != head->size || dictionary != head->dictionary)
		return ("value's head and its zstd frame disagree");
	if (dictionary != 0 && !codec_dicts_has(ds, dictionary))
		return ("value needs a zstd dictionary that is not there");
	return (NULL);
}

const char *
codec_decode(struct codec_ctx *c, const struct codec_dicts *ds, const struct envelope *head, struct slice in, char *dst)
{
	const struct dict *d = dicts_find(ds, head->dictionary);
	size_t n;

	CHECK_OBJ_NOTNULL(c, CODEC_MAGIC);
	if (head->dictionary != 0 && d == NULL)
		return ("value needs a zstd dictionary that is not there");
	if (c->reads == NULL)
		c->reads = ZSTD_createDCtx();
	if (c->reads == NULL)
		return ("out of memory");
	if (head->dictionary != 0)
		n = ZSTD_decompress_usingDDict(c->reads, dst, head->size, in.p, in.len, d->reads);
	else
		n = ZSTD_decompressDCtx(c->reads, dst, head->size, in.p, in.len);
	return (!ZSTD_isError(n) && n == head->size ? NULL : "value is damaged");
}
