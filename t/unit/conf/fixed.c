/* Unit tests of src/conf/fixed.c: what counts at a start only stays as it was, and is told. */
#include "conf/fixed.c"
#include "load.h"
#include "tap.h"

#define WHAT	" counts at a start only; a reload does not change it, a restart does\n"
static const char first[] = "threads = 2\nmax_connections = 50\nbacklog = 7\nuser = \"root\"\npidfile = \"/a\"\n"
    "listen \"127.0.0.1:5\" { }\nlisten \"unix:/s\" { mode = 0700 }\nlocal_cache {\nitem_size_max = 64k\nevict = no\n"
    "large_pages = yes\nmemory = 32MB }\nidle_timeout = 5s verbose = 1 client_buffer_max = 1MB requests_per_event = 5";

/* The notes after a reload from the first file to this one, with c.conf for its name. Valid until the next call. */
static const char *
notes(const char *options, const char *text, struct conf **out)
{
	static char said[4096];
	char err[512], *p = said, *name;
	int code;
	struct conf *c = load_text(options, first, &code), *d;

	*said = '\0';
	write_conf(text);
	d = conf_reread(c, err, sizeof err);
	if (d == NULL)
		snprintf(said, sizeof said, "%s", err);
	for (char *s = d != NULL ? d->notes : NULL; s != NULL && (name = strstr(s, "c.conf:")) != NULL; s = strchr(name, '\n'))
		p += snprintf(p, sizeof said - (size_t)(p - said), "%.*s", (int)strcspn(name, "\n") + 1, name);
	conf_free(&c);
	if (out != NULL)
		*out = d;
	else
		conf_free(&d);
	return (said);
}

static void
nothing_fixed_changes(void)
{
	struct conf *c = NULL;
	char text[2000];

	snprintf(text, sizeof text, "\n%s", first);
	is_s(notes("", text, NULL), "", "the same file, a line further down");
	is_s(notes("", "threads = 2 max_connections = 50 backlog = 7 user = \"root\" pidfile = \"/a\" listen \"127.0.0.1:5\" "
	    "{ } listen \"unix:/s\" { mode = 0700 } local_cache { item_size_max = 65536 evict = no large_pages = yes memory = "
	    "16MB } idle_timeout = 6s verbose = 2 client_buffer_max = 2MB buffer_max = 8MB requests_per_event = 6", &c), "",
	    "what may change");
	ok(c->memory == 16 << 20 && c->idle_timeout == 6000000 && c->verbose == 2 && c->client_buffer_max == 2 << 20 &&
	    c->buffer_max == 8 << 20 && c->reqs_per_event == 6, "and does");
	conf_free(&c);
}

static void
everything_fixed_changes(void)
{
	struct conf *c = NULL;

	is_s(notes("", "threads = 3\nmax_connections = 51\nbacklog = 8\nuser = \"nobody\"\npidfile = \"/b\"\n"
	    "listen \"127.0.0.1:6\" { }\nlocal_cache {\nitem_size_max = 32k\nevict = yes\nlarge_pages = no memory = 32MB }\n", &c),
	    "c.conf:1: threads" WHAT "c.conf:2: max_connections" WHAT "c.conf:3: backlog" WHAT "c.conf:4: user" WHAT
	    "c.conf:5: pidfile" WHAT "c.conf:6: listen" WHAT "c.conf:8: item_size_max" WHAT "c.conf:9: evict" WHAT
	    "c.conf:10: large_pages" WHAT, "each is told with its line");
	ok(c->threads == 2 && c->maxconns == 50 && c->backlog == 7 && strcmp(c->user, "root") == 0 &&
	    strcmp(c->pidfile, "/a") == 0 && c->item_max == 65536 && c->no_evict && c->large_pages, "and stays");
	ok(c->nlistens == 2 && strcmp(c->listens[0].host, "127.0.0.1") == 0 && c->listens[0].port == 5 &&
	    strcmp(c->listens[1].path, "/s") == 0 && c->listens[1].mode == 0700, "so do the sockets");
	conf_free(&c);
	is_s(notes("", "", &c), "c.conf: threads" WHAT "c.conf: max_connections" WHAT "c.conf: backlog" WHAT "c.conf: user" WHAT
	    "c.conf: pidfile" WHAT "c.conf: listen" WHAT "c.conf: item_size_max" WHAT "c.conf: evict" WHAT
	    "c.conf: large_pages" WHAT, "gone from the file");
	ok(strcmp(c->user, "root") == 0 && c->nlistens == 2 && c->item_max == 65536, "they stay");
	conf_free(&c);
	is_s(notes("-t 4 -b 5 -u root -P /c -p 7 -c 5 -I 2k -M -L -m 32", "threads = 3 max_connections = 51 backlog = 8 user = "
	    "\"nobody\" pidfile = \"/b\" listen \"127.0.0.1:6\" { } local_cache { item_size_max = 32k evict = yes memory = 8MB "
	    "large_pages = no }", NULL), "", "hidden by the command line");
}

static void
sockets(void)
{
	static const char *const others[] = {
		"listen \"127.0.0.1:5\" { }\nlisten \"unix:/s\" { mode = 0600 }",
		"listen \"127.0.0.1:5\" { }\nlisten \"unix:/t\" { mode = 0700 }",
		"listen \"unix:/s\" { mode = 0700 }\nlisten \"127.0.0.1:5\" { }",
		"listen \"127.0.0.2:5\" { }\nlisten \"unix:/s\" { mode = 0700 }",
		"listen \"*:5\" { }\nlisten \"unix:/s\" { mode = 0700 }",
	};
	char text[1000];

	for (size_t i = 0; i < NITEMS(others); i++) {
		snprintf(text, sizeof text, "%s", first);
		snprintf(strstr(text, "listen"), 500, "%s\n%s", others[i], strstr(first, "local_cache"));
		is_s(notes("", text, NULL), "c.conf:6: listen" WHAT, "another listener: %s", others[i]);
	}
}

static void
memory_that_has_no_room(void)
{
	char err[512];
	int code;
	struct conf *c = load_text("", "user = \"root\" local_cache { memory = 64MB item_size_max = 16MB }", &code), *d;

	write_conf("user = \"root\" local_cache { memory = 32MB item_size_max = 4MB }");
	d = conf_reread(c, err, sizeof err);
	ok(d != NULL && d->memory == 32 << 20 && d->item_max == 16 << 20, "half of the memory is room enough");
	conf_free(&d);
	write_conf("user = \"root\" local_cache { memory = 31MB item_size_max = 4MB }");
	d = conf_reread(c, err, sizeof err);
	ok(d != NULL && d->memory == 64 << 20 && d->item_max == 16 << 20 &&
	    strstr(d->notes, "c.conf: memory has no room for items of 16777216 bytes, the largest until a restart; it stays "
	    "67108864 bytes\n") != NULL, "less is not: %s", d->notes);
	conf_free(&c);
	conf_free(&d);
}

int
main(void)
{
	load_open();
	nothing_fixed_changes();
	everything_fixed_changes();
	sockets();
	memory_that_has_no_room();
	ok(load_close(), "cleaned up");
	return (done_testing());
}
