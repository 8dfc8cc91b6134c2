/* Unit tests of src/conf/load.c, with check.c and table.c behind it: what conf_load() returns and what it prints. */
#include "conf/load.c"
#include "load.h"
#include "tap.h"

static void
defaults(void)
{
	int code;
	struct conf *c = load("-u root", &code);

	ok(c != NULL && said_out[0] == '\0' && said_err[0] == '\0', "nothing said, nothing printed: %s", said_err);
	ok(c->memory == 64 << 20 && c->item_max == 1 << 20 && c->threads == 4 && c->maxconns == 1024 &&
	    c->backlog == 1024 && c->reqs_per_event == 1024 && c->stat_prefix == ':' && c->sock_mode == 0700 &&
	    c->idle_timeout == 0 && c->verbose == 0, "memcached's defaults, but for -R");
	ok(c->nlistens == 1 && c->listens[0].host == NULL && c->listens[0].port == 11211, "port 11211 everywhere");
	ok(c->nspaces == 1 && strcmp(c->spaces[0].name, "default") == 0 && c->spaces[0].prefix_len == 0 &&
	    c->spaces[0].primary == NULL && c->spaces[0].local && c->spaces[0].flush, "one namespace, local");
	ok(c->client_buffer_max == 4 << 20 && c->buffer_max == 256 << 20, "buffers");
	conf_free(&c);
	ok(c == NULL, "freed");
	conf_free(&c);
}

static void
errors(void)
{
	static const struct {
		const char	*options, *text, *err;
	} rows[] = {
		{ "-u root -I 40m", "", "kvgate: option -I: items of 41943040 bytes are more than half of the memory, 67108864; "
		    "at most -I 33554432, or at least -m 80\n" },
		{ "-u root -m 1", "", "kvgate: option -I: items of 1048576 bytes are more than half of the memory, 1048576; "
		    "at most -I 524288, or at least -m 2\n" },
		{ "-u root -f 1.2 -t 0", "", "kvgate: option -t: \"0\" is out of bounds; 1 to 1024\n" },
		{ "-u root --check /nowhere/x", NULL,
		    "kvgate: /nowhere/x:1: cannot be read: No such file or directory; a readable file\n" },
		{ "-u root /", NULL, "kvgate: /:1: is a directory; a regular file\n" },
	};
	int code;
	struct conf *c;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		c = rows[i].text != NULL ? load_text(rows[i].options, rows[i].text, &code) : load(rows[i].options, &code);
		ok(c == NULL && code == 2, "exit 2");
		is_s(said_err, rows[i].err, "one line");
		is_s(said_out, "", "and no other");
	}
	c = load_text("-u root", "threads = 2\n\nbogus\n", &code);
	ok(c == NULL && code == 2 && strstr(said_err, "c.conf:3: unknown key \"bogus\"") != NULL, "in the file, line 3");
	c = load_text("-u root", "threads = 2\nuser = \"\\x1b\\n\" bogus\n", &code);
	ok(c == NULL && strchr(said_err, '\n')[1] == '\0' && strchr(said_err, '\x1b') == NULL, "a line stays a line");
}

static void
as_root(void)
{
	int code;
	struct conf *c;

	if (getuid() != 0) {
		c = load("-p 5", &code);
		ok(c != NULL, "nobody but root needs -u");
		conf_free(&c);
		c = load("-u no-such-user", &code);
		ok(c != NULL, "or has it looked at");
		conf_free(&c);
		return;
	}
	c = load("-p 5", &code);
	ok(c == NULL && code == 2, "root must say -u");
	is_s(said_err, "kvgate: option -u: started as root it must be given; -u nobody, or -u root to stay root\n", "so");
	c = load("-u no-such-user", &code);
	ok(c == NULL && code == 2, "and it must exist");
	is_s(said_err, "kvgate: option -u: there is no user \"no-such-user\"; -u nobody, or one that exists\n", "so");
}

static void
files(void)
{
	int code;
	struct conf *c;

	c = load_text("-u root -t 3", "threads = 9\nmax_connections = 5\nstore \"a\" { type = memcached servers = h }\n"
	    "namespace \"x\" { prefix = \"x:\" primary { store = \"a\" } }\n", &code);
	ok(c != NULL && c->threads == 3 && c->maxconns == 5, "the command line wins: %s", said_err);
	ok(c->nspaces == 2 && c->spaces[0].primary == &c->stores[0] && c->spaces[1].prefix_len == 0 &&
	    c->spaces[1].primary == NULL, "a default namespace is added");
	conf_free(&c);
	c = load_text("-u root", "\nstore \"a\" { type = memcached servers = h }\n", &code);
	ok(c != NULL && strstr(said_err, "kvgate: warning: ") == said_err &&
	    strstr(said_err, "c.conf:2: no namespace uses store \"a\"\n") != NULL, "a store without use is a warning");
	conf_free(&c);
	c = load_text("-u root", "store a { type = memcached servers = h on_down = failover failover_store = b }\n"
	    "store b { type = memcached servers = h } namespace default { primary { store = a } }", &code);
	ok(c != NULL && said_err[0] == '\0', "a stand-in is of use: %s", said_err);
	conf_free(&c);
	c = load_text("--check", "threads = 2\n", &code);
	ok(c == NULL && code == 0 && strstr(said_out, "c.conf: good\n") != NULL && said_err[0] == '\0', "--check, good");
	ok(strstr(said_out, "c.conf:1: threads counts at a start only; a reload does not change it, a restart does\n") != NULL,
	    "and what a reload does not change");
	c = load_text("-t 3 --check", "threads = 2\n", &code);
	ok(c == NULL && code == 0 && strstr(said_out, "threads") == NULL, "but for what the command line hides");
	c = load_text("--check", "threads = two\n", &code);
	ok(c == NULL && code == 2 && strstr(said_err, "c.conf:1: threads = two") != NULL && said_out[0] == '\0',
	    "--check, bad");
	c = load_text("-u root", "", &code);
	ok(c != NULL && c->nspaces == 1, "an empty file");
	conf_free(&c);
}

static void
count_notes(void *arg, const char *line)
{
	*(unsigned *)arg += line[0] != '\0';
}

static void
again(void)
{
	char err[512];
	unsigned n = 0;
	int code;
	struct conf *c = load_text("-u root -f 2 -t 3", "max_connections = 5\nverbose = 1\n", &code), *d;

	ok(c != NULL && strstr(said_err, "option -f") != NULL, "a start, with a warning");
	write_conf("max_connections = 5\nverbose = 2 threads = 9\nstore a { type = memcached servers = h }\n"
	    "namespace default { primary { store = a } }\n");
	d = conf_reread(c, err, sizeof err);
	ok(d != NULL && d->nstores == 1 && d->verbose == 2 && d->threads == 3 && d->spaces[0].primary == d->stores,
	    "the file as it is now, the command line as it was");
	conf_each_note(d, count_notes, &n);
	is_u(n, 0, "whose warning is not said again");
	conf_free(&c);
	ok(strcmp(d->spaces[0].file, d->file) == 0, "the first one may go");
	write_conf("max_connections = 5\nbogus = 1\n");
	ok(conf_reread(d, err, sizeof err) == NULL && strstr(err, "c.conf:2: unknown key \"bogus\"") != NULL &&
	    strchr(err, '\n') == NULL, "an error is a line: %s", err);
	unlink(d->file);
	ok(conf_reread(d, err, sizeof err) == NULL && strstr(err, "c.conf:1: cannot be read") != NULL, "no file: %s", err);
	write_conf("max_connections = 5\nstore a { type = memcached servers = h }\n");
	c = conf_reread(d, err, sizeof err);
	conf_each_note(c, count_notes, &n);
	ok(c != NULL && n == 1 && strstr(c->notes, "c.conf:2: no namespace uses store \"a\"\n") != NULL,
	    "what looks wrong is a note: %s", c->notes);
	conf_free(&c);
	conf_free(&d);
}

static void
a_daemon_needs_whole_paths(void)
{
	int code;
	char err[512];
	struct conf *c = load("-u root -d -P pid -s sock", &code), *d;
	char *cwd = getcwd(NULL, 0);

	ok(c != NULL && c->pidfile[0] == '/' && strncmp(c->pidfile, cwd, strlen(cwd)) == 0 &&
	    strcmp(c->pidfile + strlen(c->pidfile) - 4, "/pid") == 0 && c->listens[0].path[0] == '/',
	    "they are made from the working directory");
	free(cwd);
	conf_free(&c);
	ok(chdir(dir) == 0, "where the file is");
	write_conf("verbose = 1 pidfile = \"pid\"\n");
	c = load("-u root -d c.conf", &code);
	ok(c != NULL && c->file[0] == '/' && c->verbose == 1 && strcmp(c->spaces[0].file, c->file) == 0, "so is the file's");
	write_conf("verbose = 2 pidfile = \"pid\"\n");
	ok(chdir("/") == 0, "where a daemon is");
	d = conf_reread(c, err, sizeof err);
	ok(d != NULL && d->verbose == 2 && strcmp(d->pidfile, c->pidfile) == 0 && d->notes == NULL, "read again from there");
	conf_free(&c);
	conf_free(&d);
	c = load("-u root -P pid -s sock", &code);
	ok(c != NULL && strcmp(c->pidfile, "pid") == 0 && strcmp(c->listens[0].path, "sock") == 0, "in the foreground not");
	conf_free(&c);
}

static void
texts(void)
{
	int code;

	ok(load("-V", &code) == NULL && code == 0 && strncmp(said_out, "kvgate ", 7) == 0, "-V");
	ok(load("-i", &code) == NULL && code == 0 && strstr(said_out, "BSD") != NULL, "-i");
	ok(load("-h", &code) == NULL && code == 0, "-h");
	for (unsigned i = 0; i < opt_nrows; i++) {
		char want[40];

		if (opt_rows[i].letter == 0)
			continue;
		snprintf(want, sizeof want, "-%c", opt_rows[i].letter);
		ok(strstr(said_out, want) != NULL || opt_rows[i].kind == OK_REFUSED, "-h has %s", want);
	}
}

static void
count_setting(void *arg, const char *name, const char *value)
{
	unsigned *n = arg;

	if (*name != '\0' && *value != '\0' && strchr(name, ' ') == NULL)
		(*n)++;
	if (strcmp(name, "maxbytes") == 0 && strcmp(value, "33554432") == 0)
		*n += 1000;
	if (strcmp(name, "tcpport") == 0 && strcmp(value, "5") == 0)
		*n += 1000;
	if (strcmp(name, "cas_enabled") == 0 && strcmp(value, "no") == 0)
		*n += 1000;
}

static void
settings(void)
{
	unsigned n = 0;
	int code;
	struct conf *c = load("-u root -m 32 -p 5 -C", &code);

	conf_each_setting(c, count_setting, &n);
	ok(n > 3050 && n < 3100, "stats settings: every row has a name and a value, and they are true (%u)", n);
	conf_free(&c);
}

int
main(void)
{
	load_open();
	defaults();
	errors();
	as_root();
	files();
	again();
	a_daemon_needs_whole_paths();
	texts();
	settings();
	ok(load_close(), "cleaned up");
	return (done_testing());
}
