/* Unit tests of src/conf/listen.c: what -p, -l, -s and the file's listen sections come to together. */
#include "conf/listen.c"
#include "ctx.h"
#include "tap.h"

/* "host:port host:port" after the given -p, -s and -l; or the message. */
static const char *
listens(const char *port, const char *sock, const char *inter, const char *text)
{
	static char out[600];
	struct conf_ctx x;
	size_t n = 0;

	ctx_open(&x);
	out[0] = '\0';
	if (port != NULL) {
		x.port = atol(port);
		x.given['p'] = true;
	}
	x.given['s'] = sock != NULL;
	x.inter_given = inter != NULL;
	if ((sock != NULL && !conf_set_str(&x, &x.conf->sock_path, sock)) ||
	    (inter != NULL && !conf_set_str(&x, &x.conf->inter, inter)) || (text != NULL && !ctx_parse(&x, text)) ||
	    !conf_args_listens(&x))
		snprintf(out, sizeof out, "%s", x.error);
	for (unsigned i = 0; out[0] != '\0' ? n > 0 : i < x.conf->nlistens; i++) {
		const struct conf_listen *l = &x.conf->listens[i];

		if (i == x.conf->nlistens)
			break;
		if (l->path != NULL)
			n += (size_t)snprintf(out + n, sizeof out - n, "%s%s %o", i > 0 ? " " : "", l->path, l->mode);
		else
			n += (size_t)snprintf(out + n, sizeof out - n, "%s%s:%u", i > 0 ? " " : "",
			    l->host != NULL ? l->host : "*", l->port);
	}
	if (x.warnings != NULL)
		snprintf(out + strlen(out), sizeof out - strlen(out), " | %s", x.warnings);
	ctx_close(&x);
	return (out);
}

static void
as_memcached(void)
{
	is_s(listens(NULL, NULL, NULL, NULL), "*:11211", "nothing said");
	is_s(listens("12", NULL, NULL, NULL), "*:12", "-p");
	is_s(listens("-1", NULL, NULL, NULL), "*:0", "-p -1: any free one");
	is_s(listens("12", NULL, "127.0.0.1", NULL), "127.0.0.1:12", "-p and -l");
	is_s(listens(NULL, NULL, "127.0.0.1", NULL), "127.0.0.1:11211", "-l alone");
	is_s(listens("12", NULL, "a,b:13;[::1]:14,::2,*:15,[::3]", NULL), "a:12 b:13 ::1:14 ::2:12 *:15 ::3:12", "-l, a list");
	is_s(listens(NULL, "/s", NULL, NULL), "/s 700", "-s turns TCP off");
	is_s(listens("12", "/s", NULL, NULL), "/s 700 | option -s: turns TCP off, as in memcached; -p and -l do "
	    "not count\n", "even with -p");
	is_s(listens("0", "/s", NULL, NULL), "/s 700", "-p 0 -s");
	is_s(listens(NULL, NULL, "proto[ascii]:h:5,proto[negotiating]:h:6", NULL), "h:5 h:6", "protocols that are served");
	is_s(listens(NULL, NULL, "proto[ascii]:tag[x]:h:5,tag_y_:h:6", NULL), "h:5 h:6 | option -l: no use for "
	    "tags here; ignored\noption -l: no use for tags here; ignored\n", "tags");
	is_s(listens(NULL, NULL, "taghost:5", NULL), "taghost:5", "a name that begins like one");
}

static void
refusals(void)
{
	is_s(listens("0", NULL, NULL, NULL), "option -p: 0 turns TCP off and there is no -s; a port or a UNIX socket", "-p 0");
	is_s(listens(NULL, NULL, ",", NULL), "option -l: no address in \",\"; host, host:port or [ipv6]:port", "-l ,");
	is_s(listens(NULL, NULL, "h:x", NULL), "option -l: \"h:x\": the port is not a number from 0 to 65535; host, host:port or "
	    "[ipv6]:port", "a bad port");
	is_s(listens(NULL, NULL, "/s", NULL), "option -l: \"/s\" is no network address; -s FILE for a UNIX socket", "a path");
	is_s(listens(NULL, NULL, "notls:h", NULL), "option -l: TLS is not in this version; \"notls:h\" without notls:", "notls");
	is_s(listens(NULL, NULL, "proto[binary]:h", NULL), "option -l: \"proto[binary]:h\" names a protocol that is not served; "
	    "proto[ascii]:host:port", "binary");
	is_s(listens(NULL, NULL, "proto[ascii", NULL), "option -l: \"proto[ascii\" names a protocol that is not served; "
	    "proto[ascii]:host:port", "an open bracket");
	is_s(listens(NULL, NULL, "tag[x:h", NULL), "option -l: \"tag[x:h\" has a bad tag; tag[name]:host:port", "an open tag");
}

static void
with_a_file(void)
{
	static const char file[] = "listen \"*:5\" { } listen \"unix:/u\" { }";

	is_s(listens(NULL, NULL, NULL, file), "*:5 /u 700", "the file's");
	is_s(listens("12", NULL, NULL, file), "*:12", "unless -p");
	is_s(listens(NULL, NULL, "h", file), "h:11211", "unless -l");
	is_s(listens(NULL, "/s", NULL, file), "/s 700", "unless -s");
	is_s(listens(NULL, NULL, NULL, "threads = 2"), "*:11211", "a file that says nothing about it");
}

int
main(void)
{
	as_memcached();
	refusals();
	with_a_file();
	return (done_testing());
}
