/* Unit tests of src/conf/args.c: memcached's letters, long names and words of -o. */
#include "conf/args.c"
#include "ctx.h"
#include "tap.h"

#define ARGS_MAX	40

/* Reads a command line whose words are separated by single blanks; ~ stands for a blank inside a word. */
static bool
read_line(struct conf_ctx *x, const char *line)
{
	char *copy = strdup(line), *argv[ARGS_MAX + 2], *save = NULL, name[] = "kvgate";
	int argc = 1;
	bool good;

	if (copy == NULL)
		abort();
	argv[0] = name;
	for (char *w = strtok_r(copy, " ", &save); w != NULL && argc < ARGS_MAX; w = strtok_r(NULL, " ", &save)) {
		for (char *p = w; *p != '\0'; p++)
			if (*p == '~')
				*p = ' ';
		argv[argc++] = w;
	}
	argv[argc] = NULL;
	good = conf_read_args(x, argc, argv);
	x->check_file = NULL;	/* it pointed into copy */
	free(copy);
	return (good);
}

static void
every_letter(void)
{
	struct conf_ctx x;
	const struct conf *c;

	ctx_open(&x);
	c = x.conf;
	ok(read_line(&x, "-p 123 -s /a/b -a 0755 -A -l 1.2.3.4 -l *:5,::1 -d -u who -m 100 -M -c 77 -k -vv -v -P /p "
	    "-t 9"), "the first half: %s", x.error);
	ok(x.port == 123 && strcmp(c->sock_path, "/a/b") == 0 && c->sock_mode == 0755 && c->shutdown_command &&
	    strcmp(c->inter, "1.2.3.4,*:5,::1") == 0 && c->daemonize, "-p -s -a -A -l -d");
	ok(strcmp(c->user, "who") == 0 && c->memory == 104857600 && c->no_evict && c->maxconns == 77 && c->lock_memory &&
	    c->verbose == 3 && strcmp(c->pidfile, "/p") == 0 && c->threads == 9, "-u -m -M -c -k -v -P -t");
	ok(read_line(&x, "-r -R 5 -C -b 6 -B ascii -I 2m -F -X -W -D . -L -U 0 -f 1.1 -n 10 my.conf"), "the second half: %s",
	    x.error);
	ok(c->core_dumps && c->reqs_per_event == 5 && c->no_cas && c->backlog == 6 && c->item_max == 2097152 &&
	    c->no_flush && c->no_dump && c->no_watch && c->stat_prefix == '.' && c->stat_detail && c->large_pages,
	    "-r -R -C -b -I -F -X -W -D -L");
	is_s(c->file, "my.conf", "what is no option is the file");
	is_s(x.warnings, "option -f: no use for it here; ignored\n"
	    "option -n: no use for it here; ignored\n", "-f and -n are accepted with a warning, -U 0 without");
	ok(x.given['t'] && x.given['I'] && !x.given['Z'], "what was given is known");
	ctx_close(&x);
}

static void
long_names(void)
{
	struct conf_ctx x;
	const struct conf *c;

	ctx_open(&x);
	c = x.conf;
	ok(read_line(&x, "file.conf --port=12 --unix-socket=/s --unix-mask=700 --enable-shutdown --listen=h --daemon "
	    "--user=u --memory-limit=1g --disable-evictions --conn-limit 5 --lock-memory"), "the first half: %s", x.error);
	ok(x.port == 12 && c->memory == 1u << 30 && c->maxconns == 5 && c->no_evict && c->lock_memory && c->daemonize,
	    "with = and without");
	ok(read_line(&x, "--verbose --verbose=2 --pidfile=/p --threads=2 --enable-largepages --max-reqs-per-event=3 "
	    "--disable-cas --listen-backlog=4 --protocol=auto --max-item-size=1k --enable-coredumps"), "the second half");
	ok(c->verbose == 2 && c->threads == 2 && c->reqs_per_event == 3 && c->backlog == 4 && c->item_max == 1024 &&
	    c->core_dumps, "are the letters");
	ok(read_line(&x, "--disable-flush-all --disable-dumping --disable-watch --extended=modern --udp-port=0 "
	    "--slab-growth-factor=2 --slab-min-size=9 --memory-file=/m --napi-ids=1"), "the rest");
	ctx_close(&x);
}

static void
numbers_and_sizes(void)
{
	static const struct {
		const char	*line;
		size_t		 memory, item_max;
	} rows[] = {
		{ "-m 64", 64 << 20, 1 << 20 }, { "-m 64m", 64 << 20, 1 << 20 }, { "-m 2G", 2ul << 30, 1 << 20 },
		{ "-m 2048k", 2 << 20, 1 << 20 }, { "-I 4096", 64 << 20, 4096 }, { "-I 5M", 64 << 20, 5 << 20 },
		{ "-I 512k", 64 << 20, 512 << 10 }, { "-m ~64", 64 << 20, 1 << 20 },
	};
	struct conf_ctx x;

	for (size_t i = 0; i < NITEMS(rows); i++) {
		ctx_open(&x);
		ok(read_line(&x, rows[i].line) && x.conf->memory == rows[i].memory && x.conf->item_max == rows[i].item_max,
		    "%s", rows[i].line);
		ctx_close(&x);
	}
	ctx_open(&x);
	ok(read_line(&x, "-p -1") && x.port == -1 && read_line(&x, "-p 0") && x.port == 0, "-p -1 and -p 0");
	ok(read_line(&x, "-o idle_timeout=60,modern,read_buf_mem_limit=32,hashpower=20,no_lru_crawler") &&
	    x.conf->idle_timeout == 60000000 && x.conf->buffer_max == 32 << 20, "-o");
	is_s(x.warnings, "option -o: no use for hashpower, no_lru_crawler here; ignored\n",
	    "says what it has no use for");
	ok(read_line(&x, "-o read_buf_mem_limit=0") && x.conf->buffer_max == 32 << 20, "0 leaves the default");
	ok(read_line(&x, "-U 11211") && x.udp == 11211 && strstr(x.warnings, "UDP is not served") != NULL,
	    "-U is accepted with a warning");
	ctx_close(&x);
}

static void
refusals(void)
{
	static const struct ctx_case cases[] = {
		{ "-q", "option -q: unknown; kvgate -h lists them" },
		{ "-vq", "option -q: unknown; kvgate -h lists them" },
		{ "-j", "option -j: unknown; kvgate -h lists them" },
		{ "--bogus", "option --bogus: unknown; kvgate -h lists them" },
		{ "--bogus=1", "option --bogus=1: unknown; kvgate -h lists them" },
		{ "--daemon=1", "option --daemon=1: unknown; kvgate -h lists them" },
		{ "-m", "option -m: its argument is missing; kvgate -h lists them" },
		{ "--port", "option -p: its argument is missing; kvgate -h lists them" },
		{ "--check", "option --check: its argument is missing; kvgate -h lists them" },
		{ "a b", "\"a\" and \"b\" are too many files; one configuration file" },
		{ "--check a b", "option --check: it has its file; leave \"b\" out" },
		{ "-p x", "option -p: \"x\" is not a port; 0 to 65535, or -1 for any free one" },
		{ "-p 65536", "option -p: \"65536\" is not a port; 0 to 65535, or -1 for any free one" },
		{ "-p -2", "option -p: \"-2\" is not a port; 0 to 65535, or -1 for any free one" },
		{ "-U x", "option -U: \"x\" is not a port; 0 to 65535" },
		{ "-t 0", "option -t: \"0\" is out of bounds; 1 to 1024" },
		{ "-t 4x", "option -t: \"4x\" is out of bounds; 1 to 1024" },
		{ "-c -1", "option -c: \"-1\" is out of bounds; 1 to 10000000" },
		{ "-R 0", "option -R: \"0\" is out of bounds; 1 to 2147483647" },
		{ "-b 99999999999999999999", "option -b: \"99999999999999999999\" is out of bounds; 0 to 2147483647" },
		{ "-m x", "option -m: \"x\" is not a good size; 1048576 to 17592186044416 bytes, written as megabytes or with "
		    "k, m, g, t" },
		{ "-m 0", "option -m: \"0\" is not a good size; 1048576 to 17592186044416 bytes, written as megabytes or with "
		    "k, m, g, t" },
		{ "-m 99999999999999", "option -m: \"99999999999999\" is not a good size; 1048576 to 17592186044416 bytes, "
		    "written as megabytes or with k, m, g, t" },
		{ "-I 1023", "option -I: \"1023\" is not a good size; 1024 to 1073741824 bytes, written as bytes or with "
		    "k, m, g" },
		{ "-I 1025m", "option -I: \"1025m\" is not a good size; 1024 to 1073741824 bytes, written as bytes or with "
		    "k, m, g" },
		{ "-a 0888", "option -a: \"0888\" is not an access mode; octal up to 777" },
		{ "-a 1000", "option -a: \"1000\" is not an access mode; octal up to 777" },
		{ "-D ~", "option -D: no delimiter; one character, like -D :" },
		{ "-B binary", "option -B: the binary protocol is not served; auto or ascii" },
		{ "-B x", "option -B: \"x\" is no protocol; auto or ascii" },
		{ "-l ~", "option -l: no address; host, host:port or * for all" },
		{ "-s ~", "option -s: it is empty; a file" },
		{ "-o bogus", "option -o: \"bogus\" is unknown; memcached's extended options, except TLS and proxy" },
		{ "-o modern,ssl_key=x", "option -o: \"ssl_key\" is unknown; memcached's extended options, except TLS and proxy" },
		{ "-o idle_timeout", "option -o: idle_timeout wants a number; idle_timeout=NUM" },
		{ "-o idle_timeout=5s", "option -o: idle_timeout wants a number; idle_timeout=NUM" },
		{ "-S", "option -S: SASL is not in this version; leave it out" },
		{ "-Y /f", "option -Y: authentication is not in this version; leave it out" },
		{ "-Z", "option -Z: TLS is not in this version; leave it out" },
		{ "-u \nx\x01", "" },
	};

	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct conf_ctx x;

		ctx_open(&x);
		ok(read_line(&x, cases[i].text) == (cases[i].error[0] == '\0') && strcmp(x.error, cases[i].error) == 0,
		    "%s", cases[i].error[0] != '\0' ? cases[i].error : "a strange name may be");
		if (strcmp(x.error, cases[i].error) != 0)
			printf("# got '%s'\n", x.error);
		ctx_close(&x);
	}
}

static void
asks_for_text(void)
{
	static const struct {
		const char	*line;
		int		 action;
	} rows[] = {
		{ "-h", OK_HELP }, { "--help", OK_HELP }, { "-V", OK_VERSION }, { "--version", OK_VERSION },
		{ "-i", OK_LICENSE }, { "-t 2 -h -q", OK_HELP },
	};
	struct conf_ctx x;

	for (size_t i = 0; i < NITEMS(rows); i++) {
		ctx_open(&x);
		ok(read_line(&x, rows[i].line) && x.action == rows[i].action, "%s", rows[i].line);
		ctx_close(&x);
	}
	ctx_open(&x);
	ok(read_line(&x, "--check a.conf") && strcmp(x.conf->file, "a.conf") == 0, "--check names the file");
	ctx_close(&x);
}

int
main(void)
{
	every_letter();
	long_names();
	numbers_and_sizes();
	refusals();
	asks_for_text();
	return (done_testing());
}
