/* Unit tests of src/conf/addr.c: addresses to listen on, servers with weight and alias. */
#include "conf/addr.c"
#include "ctx.h"
#include "tap.h"

/* "host port" with "-" for all hosts, or the reason. */
static const char *
split(const char *text)
{
	static char out[300];
	char buf[600], *host;
	uint16_t port;
	const char *why;

	snprintf(buf, sizeof buf, "%s", text);
	why = conf_split_addr(buf, 7, &host, &port);
	snprintf(out, sizeof out, "%s %u", host != NULL ? host : "-", port);
	return (why != NULL ? why : out);
}

static void
splits(void)
{
	char longest[400];

	is_s(split("1.2.3.4"), "1.2.3.4 7", "the port can be left out");
	is_s(split("1.2.3.4:0"), "1.2.3.4 0", "port 0");
	is_s(split("a-b.c_d:65535"), "a-b.c_d 65535", "a name, the last port");
	is_s(split("[::1]:80"), "::1 80", "IPv6 in brackets");
	is_s(split("[fe80::1%eth0]"), "fe80::1%eth0 7", "with a zone, without a port");
	is_s(split("::1"), "::1 7", "bare IPv6");
	is_s(split("*:80"), "- 80", "* is all");
	is_s(split("*"), "- 7", "* alone");
	is_s(split(""), "the host is missing", "empty");
	is_s(split(":80"), "the host is missing", "a port alone");
	is_s(split("h:"), "the port is not a number from 0 to 65535", "no port after the colon");
	is_s(split("h:65536"), "the port is not a number from 0 to 65535", "a port too high");
	is_s(split("h:-1"), "the port is not a number from 0 to 65535", "a negative port");
	is_s(split("h:8x"), "the port is not a number from 0 to 65535", "a port with a letter");
	is_s(split("[::1"), "a [ without ]", "no closing bracket");
	is_s(split("[::1]80"), "after ] only :port may follow", "rubbish after the bracket");
	is_s(split("[1.2.3.4]:1"), "what stands in [] is not an IPv6 address", "IPv4 in brackets");
	is_s(split("a b:1"), "bad character in the host", "a blank");
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	is_s(split(longest), "the host is too long", "too long");
}

/* name|host|port|path|weight|alias, or the reason. */
static const char *
server(const char *text)
{
	static char out[600];
	struct conf_server s = { 0 };
	struct conf_ctx x;
	const char *why = NULL;

	ctx_open(&x);
	if (conf_parse_server(&x, text, 11211, &s, &why))
		snprintf(out, sizeof out, "%s|%s|%u|%s|%u|%s%s%s", s.name, s.host != NULL ? s.host : "", s.port,
		    s.path != NULL ? s.path : "", s.weight, s.alias != NULL ? s.alias : "", s.zone != NULL ? "|" : "",
		    s.zone != NULL ? s.zone : "");
	else
		snprintf(out, sizeof out, "%s", why);
	free(s.name);
	free(s.host);
	free(s.path);
	free(s.alias);
	free(s.zone);
	ctx_close(&x);
	return (out);
}

static void
servers(void)
{
	char longest[400];

	is_s(server("10.0.0.1:11212"), "10.0.0.1:11212|10.0.0.1|11212||1|", "weight 1");
	is_s(server("10.0.0.1:11212 7"), "10.0.0.1:11212|10.0.0.1|11212||7|", "a weight");
	is_s(server(" 10.0.0.1:11212\t7  one "), "10.0.0.1:11212|10.0.0.1|11212||7|one", "an alias, blanks");
	is_s(server("10.0.0.1:11212:7 one"), "10.0.0.1:11212|10.0.0.1|11212||7|one", "twemproxy's order");
	is_s(server("10.0.0.1:11212:7"), "10.0.0.1:11212|10.0.0.1|11212||7|", "twemproxy's order without alias");
	is_s(server("host"), "host:11211|host|11211||1|", "memcached's port is the default");
	is_s(server("[::1]:5 2"), "[::1]:5|::1|5||2|", "IPv6");
	is_s(server("[::1]:5:2 six"), "[::1]:5|::1|5||2|six", "IPv6 in twemproxy's order");
	is_s(server("::1"), "[::1]:11211|::1|11211||1|", "bare IPv6 keeps its colons");
	is_s(server("fe80::1:2"), "[fe80::1:2]:11211|fe80::1:2|11211||1|", "more of them");
	is_s(server("/run/mc.sock"), "/run/mc.sock||0|/run/mc.sock|1|", "a UNIX socket");
	is_s(server("/run/mc.sock 3 u"), "/run/mc.sock||0|/run/mc.sock|3|u", "with weight and alias");
	is_s(server("/run/mc.sock:3 u"), "/run/mc.sock||0|/run/mc.sock|3|u", "in twemproxy's order");
	is_s(server("unix:/run/mc.sock"), "/run/mc.sock||0|/run/mc.sock|1|", "as listen says it");
	is_s(server("h:1 zone=a"), "h:1|h|1||1||a", "a zone");
	is_s(server("h:1 zone=a 2 x"), "h:1|h|1||2|x|a", "before the weight");
	is_s(server("h:1 2 zone=a x"), "h:1|h|1||2|x|a", "before the alias");
	is_s(server("h:1:2 x zone=a"), "h:1|h|1||2|x|a", "at the end, in twemproxy's order");
	is_s(server("/s zone=a"), "/s||0|/s|1||a", "of a UNIX socket");
	is_s(server("h zone=a zone=a"), "the zone is there already", "two zones");
	is_s(server("h zone="), "the zone is empty or too long", "an empty zone");
	is_s(server("zone=a 1"), "bad character in the host", "a zone first");
	is_s(server("h zone=a 1 x y"), "it has too many words", "five words, one a zone");
	is_s(server(""), "it is empty", "empty");
	is_s(server("h:1 0"), "the weight is not a number from 1 to 65535", "weight 0");
	is_s(server("h:1 x"), "the weight is not a number from 1 to 65535", "an alias without weight");
	is_s(server("h:1 65536"), "the weight is not a number from 1 to 65535", "a weight too high");
	is_s(server("h:1 -1"), "the weight is not a number from 1 to 65535", "a negative weight");
	is_s(server("h:1:2 3 x"), "the weight is there already", "two weights");
	is_s(server("h:1 2 x y"), "it has more than three words beside the zone", "four words");
	is_s(server("h:1 2 x y z"), "it has too many words", "five words");
	is_s(server("h:0"), "port 0 is no server", "port 0");
	is_s(server("*:1"), "* is no server", "*");
	is_s(server("h:x"), "the port is not a number from 0 to 65535", "a bad port");
	snprintf(longest, sizeof longest, "/%0200d", 1);
	is_s(server(longest), "the path of the socket is too long", "a path too long");
	snprintf(longest, sizeof longest, "h:1 1 %0300d", 1);
	is_s(server(longest), "the alias is too long", "an alias too long");
}

static void
listens(void)
{
	struct conf_ctx x;
	const char *why = NULL;

	ctx_open(&x);
	ok(conf_add_listen(&x, "unix:/a/b", 0, 0666, &why) && strcmp(x.conf->listens[0].path, "/a/b") == 0 &&
	    x.conf->listens[0].mode == 0666, "a UNIX socket");
	ok(conf_add_listen(&x, "*", 5, 0, &why) && x.conf->listens[1].host == NULL && x.conf->listens[1].port == 5,
	    "all addresses");
	ok(!conf_add_listen(&x, "unix:", 0, 0, &why), "no path");
	ok(!conf_add_listen(&x, "a b", 0, 0, &why), "no host");
	ctx_close(&x);
}

int
main(void)
{
	splits();
	servers();
	listens();
	return (done_testing());
}
