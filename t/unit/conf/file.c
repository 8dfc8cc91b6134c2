/* Unit tests of src/conf/file.c: the grammar, its messages, the keys at the top. */
#include "conf/file.c"
#include "ctx.h"
#include "tap.h"

static void
top_keys(void)
{
	struct conf_ctx x;

	ctx_open(&x);
	ok(ctx_parse(&x, "threads = 3 max_connections = 77\nbacklog = 9 requests_per_event = 8 user = \"who\"\n"
	    "pidfile = /a/b verbose = 2 idle_timeout = 90s client_buffer_max = 1MB buffer_max = 2MB\n"
	    "local_cache { memory = 8MB item_size_max = 64k evict = no large_pages = yes }\n"
	    "listen \"*:5\" { } listen \"unix:/s\" { mode = 0640 } listen \"[::1]\" { }"), "all of them: %s", x.error);
	ok(x.conf->threads == 3 && x.conf->maxconns == 77 && x.conf->backlog == 9 && x.conf->reqs_per_event == 8,
	    "numbers");
	ok(strcmp(x.conf->user, "who") == 0 && strcmp(x.conf->pidfile, "/a/b") == 0 && x.conf->verbose == 2, "words");
	ok(x.conf->idle_timeout == 90000000 && x.conf->client_buffer_max == 1 << 20 && x.conf->buffer_max == 2 << 20,
	    "times and sizes");
	ok(x.conf->memory == 8 << 20 && x.conf->item_max == 65536 && x.conf->no_evict && x.conf->large_pages,
	    "local_cache");
	ok(x.conf->nlistens == 3 && x.conf->listens[0].host == NULL && x.conf->listens[0].port == 5 &&
	    x.conf->listens[1].mode == 0640 && x.conf->listens[2].port == 11211, "listen");
	ctx_close(&x);
}

static void
the_command_line_wins(void)
{
	struct conf_ctx x;

	ctx_open(&x);
	x.conf->threads = 7;
	x.conf->memory = 12345678;
	x.conf->no_evict = true;
	x.given['t'] = x.given['m'] = x.given['M'] = true;
	ok(ctx_parse(&x, "threads = 3 backlog = 5 local_cache { memory = 8MB item_size_max = 2k evict = yes }") &&
	    x.conf->threads == 7 && x.conf->memory == 12345678 && x.conf->no_evict, "over the file");
	ok(x.conf->backlog == 5 && x.conf->item_max == 2048, "where it said something");
	ctx_close(&x);
	ctx_open(&x);
	x.given['t'] = true;
	ok(!ctx_parse(&x, "threads = many"), "what it hides must be right all the same");
	ctx_close(&x);
}

static void
messages_have_lines(void)
{
	static const struct ctx_case cases[] = {
		{ "threads = 2\nbogus = 1\n", "f:2: unknown key \"bogus\"; known: threads, max_connections, backlog, "
		    "requests_per_event, user, pidfile, verbose, idle_timeout, client_buffer_max, buffer_max, listen, "
		    "local_cache, store, namespace" },
		{ "# a comment\n/* and\nanother */ local_cache {\n mem = 1 }", "f:4: unknown key \"mem\" in local_cache; "
		    "known: memory, item_size_max, evict, large_pages" },
		{ "\nadmin = \"127.0.0.1:80\"", "f:2: \"admin\" is not in this version; leave it out" },
		{ "listen \"*:1\" {\n tls = yes }", "f:2: \"tls\" is not in this version; leave it out" },
		{ "store \"a\" { password = my secret }", "f:1: something is wrong beside the password; password = \"...\", in "
		    "quotes, and \\\" for a quote in it" },
		{ "store \"a\" {\n password = \"a\\777b\" }", "f:2: something is wrong beside the password; password = \"...\", "
		    "in quotes, and \\\" for a quote in it" },
		{ "store \"a\" { password = (secret", "f:1: this { is never closed; a } at its end" },
		{ "store \"a\" { password = (secret }", "f:1: something is wrong beside the password; password = \"...\", in "
		    "quotes, and \\\" for a quote in it" },
		{ "threads 3", "f:1: no = after \"threads\"; threads = VALUE" },
		{ "threads = 3\n\nthreads = 4", "f:3: \"threads\" is here a second time; it is in line 1 already" },
		{ "threads =\n", "f:2: the file ends in the middle; a value is missing" },
		{ "threads = { 1 }", "f:1: \"{\" is not expected here; key = value or section { ... }" },
		{ "threads += 1", "f:1: += after \"threads\", which is no list; threads = VALUE" },
		{ "}", "f:1: a } too many; every } needs its {" },
		{ "local_cache", "f:1: the file ends in the middle; a value is missing" },
		{ "local_cache = 3", "f:1: no { after \"local_cache\"; local_cache { ... }" },
		{ "local_cache\n{ #\n", "f:2: this { is never closed; a } at its end" },
		{ "local_cache { }\nlocal_cache { }", "f:2: a second local_cache section; one is enough" },
		{ "listen { }", "f:1: \"listen\" has no name; listen \"NAME\" { ... }" },
		{ "listen \"*:1\" { }\nlisten \"*:1\" { }", "f:2: \"*:1\" is here a second time; another name than *:1" },
		{ "\nlisten \"x:y\" {\n}", "f:2: listen \"x:y\": the port is not a number from 0 to 65535; \"host:port\", "
		    "\"[ipv6]:port\", \"*:port\" or \"unix:/path\"" },
		{ "listen \"*:1\" { mode = 0600 }", "f:1: mode is for UNIX sockets only; listen \"unix:/path\" { mode = 0700 }" },
		{ "listen \"unix:/x\" { mode = 999 }", "f:1: mode = 999 is no access mode; octal up to 0777" },
		{ "threads = 0", "f:1: threads = 0 is out of bounds; a number from 1 to 1024" },
		{ "threads = 4x", "f:1: threads = 4x is out of bounds; a number from 1 to 1024" },
		{ "threads = 99999999999999999999", "f:1: threads = 99999999999999999999 is out of bounds; a number from 1 to "
		    "1024" },
		{ "local_cache { memory = 64XB }", "f:1: memory = 64XB is not a size; a number with B, KB, MB, GB or TB, like "
		    "64MB" },
		{ "local_cache { memory = 1k }", "f:1: memory = 1k is out of bounds; 1MB to 16TB" },
		{ "local_cache { item_size_max = 2GB }", "f:1: item_size_max = 2GB is out of bounds; 1KB to 1GB" },
		{ "local_cache { evict = maybe }", "f:1: evict = maybe is neither; yes or no" },
		{ "idle_timeout = 5", "f:1: idle_timeout = 5 is not a time; a number with us, ms, s, m, h or d, like 500ms" },
		{ "user = \"\"", "f:1: user is empty; leave it out or give it a value" },
		{ "user = \"a\\777b\"", "f:1: bad escape \"\\777\"; \\ooo up to \\377" },
		{ "\n\"threads\" = 1", "f:2: a key in quotes; KEY = VALUE" },
		{ "local_cache { \"(opened)\" = 1 }", "f:1: a key in quotes; KEY = VALUE" },
		{ "user = \"a\nb\" bogus", "f:2: unknown key \"bogus\"; known: threads, max_connections, backlog, "
		    "requests_per_event, user, pidfile, verbose, idle_timeout, client_buffer_max, buffer_max, listen, "
		    "local_cache, store, namespace" },
	};

	CTX_CASES(cases);
}

/* libconfuse's lexer keeps its state between files: no error may leave it in a string or a comment. */
static void
an_error_leaves_no_trace(void)
{
	static const char *const bad[] = {
		"\"", "'", "/*", "threads = \"", "store \"a\" {", "store \"a\" { servers = { \"", "{", "user = \"a\\777b\"",
		"\"${", "'\\", "\"\\", "a|b = 1", "\"|\" = 1",
		"\"store=x|type\" = 1", "\"local_cache|memory\" = 1", "local_cache { } \"local_cache|memory\" = 1MB",
		"local_cache|memory = 1MB", "store a { } \"store=a|\" { }", "\"local_cache|\" { }",

		"\"local_cache|\" = 1", "(", "threads = )", ",",
	};
	struct conf_ctx x;

	for (size_t i = 0; i < NITEMS(bad); i++) {
		bool refused = ctx_error_of(bad[i])[0] != '\0';

		ctx_open(&x);
		ok(refused && ctx_parse(&x, "threads = 3") && x.conf->threads == 3, "after %s", bad[i]);
		ctx_close(&x);
	}
}

static void
every_prefix_of_a_file(void)
{
	static const char whole[] = "listen \"*:1\" { }\n/* x */ store \"a\" { type = memcached servers = { \"h:1 2 x\", h } "
	    "hash_tag = '{}' }\nnamespace \"default\" { primary { store = a } local { ttl = 1s } }\n";
	struct conf_ctx x;
	size_t n = 0;

	for (size_t len = 0; len < sizeof whole; len++) {
		bool good;

		ctx_open(&x);
		good = ctx_parse_bytes(&x, whole, len);
		n += good ? x.error[0] == '\0' : strncmp(x.error, "f:", 2) == 0 && strchr(x.error, ';') != NULL;
		ctx_close(&x);
	}
	is_u(n, sizeof whole, "is good or has one message with file, line and what would be right");
}

static void
files_that_are_none(void)
{
	struct conf_ctx x;
	size_t len;

	ctx_open(&x);
	ok(conf_set_str(&x, &x.conf->file, "/nowhere/at/all") && conf_file_slurp(&x, &len) == NULL, "missing");
	is_s(x.error, "/nowhere/at/all:1: cannot be read: No such file or directory; a readable file", "its message");
	ctx_close(&x);
	ctx_open(&x);
	ok(conf_set_str(&x, &x.conf->file, "/") && conf_file_slurp(&x, &len) == NULL, "a directory");
	is_s(x.error, "/:1: is a directory; a regular file", "its message");
	ctx_close(&x);
	ctx_open(&x);
	ok(conf_set_str(&x, &x.conf->file, "/dev/zero") && conf_file_slurp(&x, &len) == NULL, "a device");
	is_s(x.error, "/dev/zero:1: is no file; a regular file", "its message");
	ctx_close(&x);
}

int
main(void)
{
	top_keys();
	the_command_line_wins();
	messages_have_lines();
	an_error_leaves_no_trace();
	every_prefix_of_a_file();
	files_that_are_none();
	return (done_testing());
}
