/*
 * file.c - the grammar of the configuration file, for libconfuse, and its top level.
 *
 * libconfuse splits the text into sections, keys and words. Numbers, sizes and times are ours (file_get.c), and so is
 * every message: its own go through on_error(), which says what would have been right. It keeps no pointer for its
 * callbacks, hence the thread-local one here, set only while it parses.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "conf/file.h"

static _Thread_local struct conf_ctx *parsing;

/* Every section has this key, with a default: libconfuse hands it to keep_value() when a section opens. */
#define OPENED	"(opened)"

/* Words that later versions know. */
static const char *const reserved[] = {
	"admin", "tls",
};

static int
keep_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	size_t len = strlen(text);
	struct conf_value *v;
	long *first = &opt->def.number;	/* of no use for this type of key: line where it was first set */

	if (*first != 0 && strcmp(opt->name, OPENED) == 0) {
		conf_fail_at(parsing, cfg->line, "unknown key \"%s\"; see proxy.conf(5)", opt->name);
		return (-1);
	}
	if (*first != 0 && opt->nvalues == 1) {
		conf_fail_at(parsing, cfg->line, "\"%s\" is here a second time; it is in line %ld already", opt->name,
		    *first);
		return (-1);
	}
	if (*first == 0)
		*first = cfg->line;
	v = malloc(sizeof *v + len + 1);
	if (v == NULL) {
		conf_fail_nomem(parsing);
		return (-1);
	}
	v->line = cfg->line;
	memcpy(v->text, text, len + 1);
	*(void **)result = v;
	return (0);
}

static void
unknown_key(cfg_t *cfg, const char *key)
{
	char known[800] = "";
	bool root = strcmp(cfg->name, "root") == 0;

	for (size_t i = 0; i < NITEMS(reserved); i++) {
		if (strcmp(key, reserved[i]) == 0) {
			conf_fail_at(parsing, cfg->line, "\"%s\" is not in this version; leave it out", key);
			return;
		}
	}
	for (const cfg_opt_t *o = cfg->opts; o->name != NULL; o++) {
		if (o->name[0] == '(')
			continue;
		if (*known != '\0')
			strncat(known, ", ", sizeof known - strlen(known) - 1);
		strncat(known, o->name, sizeof known - strlen(known) - 1);
	}
	conf_fail_at(parsing, cfg->line, "unknown key \"%.60s\"%s%s; known: %s", key, root ? "" : " in ",
	    root ? "" : cfg->name, known);
}

/* Whether a password stands in this line, so that what is wrong may be a part of it: no message shows that. */
static bool
holds_password(const struct conf_ctx *x, int line)
{
	const char *from = x->text, *key;

	for (; line > 1 && strchr(from, '\n') != NULL; line--)
		from = strchr(from, '\n') + 1;
	key = strstr(from, "password");
	return (key != NULL && key < from + strcspn(from, "\n"));
}

/* libconfuse's message -> ours. %s is the word that it put in quotes. */
static const struct {
	const char	*theirs;
	const char	*ours;
} messages[] = {
	{ "missing equal sign", "no = after \"%.60s\"; %.60s = VALUE" },
	{ "missing opening brace", "no { after \"%.60s\"; %.60s { ... }" },
	{ "missing title", "\"%.60s\" has no name; %.60s \"NAME\" { ... }" },
	{ "attempt to append", "+= after \"%.60s\", which is no list; %.60s = VALUE" },
	{ "found duplicate title", "\"%.60s\" is here a second time; another name than %.60s" },
	{ "unexpected token", "\"%.60s\" is not expected here; key = value or section { ... }" },
	{ "premature end", "the file ends in the middle; a value is missing" },
	{ "invalid octal", "bad escape \"%.60s\"; \\ooo up to \\377" },
	{ "bad escape", "bad escape \"%.60s\"; \\ooo up to \\377" },
};

static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char theirs[256], word[128] = "", *open, *close;

	vsnprintf(theirs, sizeof theirs, fmt, ap);
	open = strchr(theirs, '\'');
	close = open != NULL ? strrchr(open + 1, '\'') : NULL;
	if (open != NULL)
		snprintf(word, sizeof word, "%.*s", (int)((close != NULL ? close : open + strlen(open)) - open - 1),
		    open + 1);
	if (holds_password(parsing, cfg->line)) {
		conf_fail_at(parsing, cfg->line, "something is wrong beside the password; password = \"...\", in quotes, and "
		    "\\\" for a quote in it");
		return;
	}
	if (strncmp(theirs, "no such option", 14) == 0) {
		unknown_key(cfg, word);
		return;
	}
	for (size_t i = 0; i < NITEMS(messages); i++) {
		if (strncmp(theirs, messages[i].theirs, strlen(messages[i].theirs)) == 0) {
			char text[400];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(text, sizeof text, messages[i].ours, word, word);
#pragma GCC diagnostic pop
			conf_fail_at(parsing, cfg->line, "%s", text);
			return;
		}
	}
	conf_fail_at(parsing, cfg->line, "%s; see proxy.conf(5)", theirs);
}

const struct conf_value *
file_value_nth(cfg_t *sec, const char *key, unsigned n)
{
	cfg_opt_t *opt = cfg_getopt(sec, key);

	MUST(opt != NULL);
	return (n < opt->nvalues ? opt->values[n]->ptr : NULL);
}

const struct conf_value *
file_value(cfg_t *sec, const char *key)
{
	return (file_value_nth(sec, key, 0));
}

int
file_line(cfg_t *sec)
{
	return (file_value(sec, OPENED)->line);
}

bool
file_only_section(struct conf_ctx *x, cfg_t *sec, const char *name, cfg_t **out)
{
	*out = cfg_size(sec, name) > 0 ? cfg_getnsec(sec, name, 0) : NULL;
	if (cfg_size(sec, name) > 1)
		return (conf_fail_at(x, file_line(cfg_getnsec(sec, name, 1)), "a second %s section; one is enough",
		    name));
	return (true);
}

static bool
read_listen(struct conf_ctx *x, cfg_t *sec)
{
	const struct conf_value *v = file_value(sec, "mode");
	const char *why = NULL, *title = cfg_title(sec);
	bool is_unix = title[0] == '/' || strncmp(title, "unix:", 5) == 0;
	unsigned mode = x->conf->sock_mode;

	if (v != NULL && !is_unix)
		return (conf_fail_at(x, v->line, "mode is for UNIX sockets only; listen \"unix:/path\" { mode = 0700 }"));
	if (v != NULL && !x->given['a'] && (!conf_get_octal(v->text, &mode) || mode > 0777))
		return (conf_fail_at(x, v->line, "mode = %s is no access mode; octal up to 0777", v->text));
	if (conf_add_listen(x, title, 11211, mode, &why))
		return (true);
	return (conf_fail_at(x, file_line(sec), "listen \"%s\": %s; \"host:port\", \"[ipv6]:port\", \"*:port\" or "
	    "\"unix:/path\"", title, why));
}

/* The keys that letters of the command line have too; a letter given wins, but a bad value is an error all the same. */
static bool
read_process(struct conf_ctx *x, cfg_t *cfg)
{
	const struct {
		const char	*key;
		char		 letter;
	} map[] = {
		{ "threads", 't' }, { "max_connections", 'c' }, { "backlog", 'b' }, { "requests_per_event", 'R' },
	};
	struct conf *c = x->conf;
	char *user = NULL, *pidfile = NULL;
	unsigned verbose = 0;
	uint64_t idle = c->idle_timeout;
	size_t buffer_max = c->buffer_max;
	bool good;

	for (size_t i = 0; i < NITEMS(map); i++) {
		const struct opt_row *r = opt_find(map[i].letter);
		unsigned *field = (unsigned *)(void *)((char *)c + r->off), v = *field;

		if (!file_get_uint(x, cfg, map[i].key, (unsigned)r->min, (unsigned)r->max, &v))
			return (false);
		if (!x->given[(unsigned char)map[i].letter])
			*field = v;
	}
	good = file_get_uint(x, cfg, "verbose", 0, 3, &verbose) && file_get_str(x, cfg, "user", &user) &&
	    file_get_str(x, cfg, "pidfile", &pidfile) &&
	    file_get_time(x, cfg, "idle_timeout", 0, UINT64_MAX, &idle) &&
	    file_get_size(x, cfg, "client_buffer_max", 65536, 1ull << 40, &c->client_buffer_max) &&
	    file_get_size(x, cfg, "buffer_max", 1048576, 1ull << 44, &buffer_max);
	if (good && !x->given['v'])
		c->verbose = verbose;
	if (good && !x->given[OPT_IDLE_TIMEOUT])
		c->idle_timeout = idle;
	if (good && !x->given[OPT_BUFFER_MAX])
		c->buffer_max = buffer_max;
	if (good && user != NULL && !x->given['u'])
		good = conf_set_str(x, &c->user, user);
	if (good && pidfile != NULL && !x->given['P'])
		good = conf_set_str(x, &c->pidfile, pidfile);
	free(user);
	free(pidfile);
	return (good);
}

static bool
read_local_cache(struct conf_ctx *x, cfg_t *cfg)
{
	const struct opt_row *m = opt_find('m'), *i = opt_find('I');
	struct conf *c = x->conf;
	size_t memory = c->memory, item_max = c->item_max;
	bool evict = !c->no_evict, large_pages = c->large_pages;
	cfg_t *sec;

	if (!file_only_section(x, cfg, "local_cache", &sec))
		return (false);
	if (sec == NULL)
		return (true);
	if (!file_get_size(x, sec, "memory", m->min, m->max, &memory) ||
	    !file_get_size(x, sec, "item_size_max", i->min, i->max, &item_max) ||
	    !file_get_bool(x, sec, "evict", &evict) || !file_get_bool(x, sec, "large_pages", &large_pages))
		return (false);
	if (!x->given['m'])
		c->memory = memory;
	if (!x->given['I'])
		c->item_max = item_max;
	if (!x->given['M'])
		c->no_evict = !evict;
	if (!x->given['L'])
		c->large_pages = large_pages;
	return (true);
}

static bool
read_each(struct conf_ctx *x, cfg_t *cfg, const char *name, bool (*read)(struct conf_ctx *, cfg_t *))
{
	for (unsigned i = 0; i < cfg_size(cfg, name); i++)
		if (!read(x, cfg_getnsec(cfg, name, i)))
			return (false);
	return (true);
}

static bool
read_root(struct conf_ctx *x, cfg_t *cfg)
{
	file_note_fixed(x, cfg);
	return (read_process(x, cfg) && read_local_cache(x, cfg) && read_each(x, cfg, "listen", read_listen) &&
	    read_each(x, cfg, "store", file_read_store) && read_each(x, cfg, "store", file_link_store) &&
	    read_each(x, cfg, "namespace", file_read_space));
}

#define KEY(name)	CFG_PTR_CB(name, NULL, CFGF_NODEFAULT, keep_value, free)
#define KEYS(name)	CFG_PTR_LIST_CB(name, NULL, CFGF_NODEFAULT, keep_value, free)
#define BEGIN		CFG_PTR_CB(OPENED, dummy, CFGF_NONE, keep_value, free)
#define NAMED		(CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES)

/* The whole grammar; libconfuse copies it. */
static cfg_t *
make_grammar(void)
{
	char dummy[] = "0";
	cfg_opt_t listen[] = { BEGIN, KEY("mode"), CFG_END() };
	cfg_opt_t local_cache[] = { BEGIN, KEY("memory"), KEY("item_size_max"), KEY("evict"), KEY("large_pages"),
	    CFG_END() };
	cfg_opt_t store[] = { BEGIN, KEY("type"), KEYS("servers"), KEY("distribution"), KEY("hash"), KEY("hash_tag"),
	    KEY("connections"), KEY("connect_timeout"), KEY("timeout"), KEY("retry_min"), KEY("retry_max"),
	    KEY("max_inflight"), KEY("protocol"), KEY("user"), KEY("password"), KEY("database"), KEY("map_refresh"),
	    KEY("replicas"), KEY("write_quorum"), KEY("read_from"), KEY("failures"), KEY("on_down"), KEY("failover_ttl"),
	    KEY("failover_store"), KEY("flush_on_return"), KEY("path"), KEY("block_cache"), KEY("io_threads"),
	    KEY("open_files"), KEY("durability"), KEY("sync_interval"), CFG_END() };
	cfg_opt_t primary[] = { BEGIN, KEY("store"), KEY("format"), CFG_END() };
	cfg_opt_t local[] = { BEGIN, KEY("ttl"), KEY("ttl_jitter"), KEY("negative_ttl"), KEY("refresh_ahead"),
	    CFG_END() };
	cfg_opt_t cache[] = { BEGIN, KEY("store"), KEY("ttl"), CFG_END() };
	cfg_opt_t compression[] = { BEGIN, KEY("codec"), KEY("min_size"), KEY("level"), KEY("dictionary"), CFG_END() };
	cfg_opt_t slo[] = { BEGIN, KEY("target"), KEY("max"), CFG_END() };
	cfg_opt_t space[] = { BEGIN, KEY("prefix"), KEY("flush"), CFG_SEC("primary", primary, CFGF_MULTI),
	    CFG_SEC("local", local, CFGF_MULTI), CFG_SEC("slo_read", slo, CFGF_MULTI),
	    CFG_SEC("slo_write", slo, CFGF_MULTI), KEY("hedge"), KEY("hedge_budget"), KEY("on_error"), KEY("stale_for"),
	    KEY("coalesce"), KEY("delete_ttl"), KEY("delete_jitter"), KEY("item_separator"),
	    CFG_SEC("cache", cache, CFGF_MULTI), CFG_SEC("compression", compression, CFGF_MULTI), KEY("chunk_size"),
	    KEY("item_size_max"), KEY("page_bytes"), KEY("page_bytes_max"), KEY("token_drift_ahead"),
	    KEY("token_drift_behind"), CFG_END() };
	cfg_opt_t root[] = {
		KEY("threads"), KEY("max_connections"), KEY("backlog"), KEY("requests_per_event"), KEY("user"),
		KEY("pidfile"), KEY("verbose"), KEY("idle_timeout"), KEY("client_buffer_max"), KEY("buffer_max"),
		CFG_SEC("listen", listen, NAMED), CFG_SEC("local_cache", local_cache, CFGF_MULTI),
		CFG_SEC("store", store, NAMED), CFG_SEC("namespace", space, NAMED), CFG_END()
	};

	return (cfg_init(root, CFGF_NONE));
}

bool
conf_parse_text(struct conf_ctx *x, char *text, size_t len)
{
	FILE *f;
	cfg_t *cfg;

	if (!conf_scan(x, text, len))
		return (false);
	if (len == 0)
		return (true);
	f = fmemopen(text, len, "r");
	if (f == NULL)
		return (conf_fail_nomem(x));
	parsing = x;
	x->text = text;
	cfg = make_grammar();
	if (cfg == NULL)
		conf_fail_nomem(x);
	else {
		cfg_set_error_function(cfg, on_error);
		if (cfg_parse_fp(cfg, f) != CFG_SUCCESS)
			conf_fail_at(x, cfg->line, "this makes no sense; see proxy.conf(5)");
		else
			read_root(x, cfg);
		cfg_free(cfg);
	}
	parsing = NULL;
	x->text = NULL;
	fclose(f);
	return (!x->failed);
}

char *
conf_file_slurp(struct conf_ctx *x, size_t *len)
{
	const char *name = x->conf->file;
	/* Not blocking: a pipe without a writer is no configuration. */
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text = NULL;
	ssize_t n = -1;

	if (fd < 0 || fstat(fd, &st) != 0)
		conf_fail(x, "%.256s:1: cannot be read: %s; a readable file", name, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		conf_fail(x, "%.256s:1: is %s; a regular file", name, S_ISDIR(st.st_mode) ? "a directory" : "no file");
	else if (st.st_size > CONF_FILE_MAX)
		conf_fail(x, "%.256s:1: is too large; at most %u bytes", name, CONF_FILE_MAX);
	else if ((text = malloc(CONF_FILE_MAX + 1)) == NULL)
		conf_fail_nomem(x);
	else if ((n = read(fd, text, CONF_FILE_MAX)) < 0)
		conf_fail(x, "%.256s:1: cannot be read: %s; a readable file", name, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		free(text);
		return (NULL);
	}
	text[n] = '\0';
	*len = (size_t)n;
	return (text);
}
