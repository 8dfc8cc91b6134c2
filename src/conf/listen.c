/*
 * listen.c - -p, -l and -s together say where to listen; memcached's rules.
 *
 * -s turns TCP off, whatever -p and -l say; -p is the port of every -l that names none; -p 0 turns TCP off.
 * Given any of the three, the file's listen sections do not count.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/parse.h"

/*
 * memcached lets a listener begin with its protocol and a tag for its own proxy: proto[ascii]:tag[x]:host:port.
 * NULL: refused, reported.
 */
static char *
skip_prefixes(struct conf_ctx *x, const struct opt_row *r, char *word)
{
	static const char *const tls[] = { "notls:", "btls:", "mtls:" };

	for (size_t i = 0; i < NITEMS(tls); i++) {
		if (strncmp(word, tls[i], strlen(tls[i])) == 0) {
			conf_fail_opt(x, r, "TLS is not in this version; \"%s\" without %s", word, tls[i]);
			return (NULL);
		}
	}
	if (strncmp(word, "proto[", 6) == 0) {
		char *end = strchr(word, ']');

		if (end == NULL || (strncmp(word, "proto[ascii]:", 13) != 0 &&
		    strncmp(word, "proto[negotiating]:", 19) != 0)) {
			conf_fail_opt(x, r, "\"%s\" names a protocol that is not served; proto[ascii]:host:port", word);
			return (NULL);
		}
		word = end + 2;
	}
	if (strncmp(word, "tag[", 4) == 0 || strncmp(word, "tag_", 4) == 0) {
		char *end = strchr(word + 4, word[3] == '[' ? ']' : '_');

		if (end == NULL || end[1] != ':') {
			conf_fail_opt(x, r, "\"%s\" has a bad tag; tag[name]:host:port", word);
			return (NULL);
		}
		conf_warn(x, "option -l: no use for tags here; ignored");
		word = end + 2;
	}
	return (word);
}

static bool
add_inters(struct conf_ctx *x)
{
	const struct opt_row *r = opt_find('l');
	char *list = strdup(x->conf->inter), *save = NULL;
	bool good = true;

	if (list == NULL)
		return (conf_fail_nomem(x));
	for (char *w = strtok_r(list, ",;", &save); good && w != NULL; w = strtok_r(NULL, ",;", &save)) {
		const char *why = NULL;
		char *addr = skip_prefixes(x, r, w);

		good = addr != NULL;
		if (good && (addr[0] == '/' || strncmp(addr, "unix:", 5) == 0))
			good = conf_fail_opt(x, r, "\"%s\" is no network address; -s FILE for a UNIX socket", addr);
		if (good && !conf_add_listen(x, addr, x->port > 0 ? (uint16_t)x->port : 0, 0, &why))
			good = conf_fail_opt(x, r, "\"%s\": %s; host, host:port or [ipv6]:port", addr, why);
	}
	free(list);
	if (good && x->conf->nlistens == 0)
		return (conf_fail_opt(x, r, "no address in \"%s\"; host, host:port or [ipv6]:port", x->conf->inter));
	return (good);
}

void
conf_drop_listens(struct conf *c)
{
	while (c->nlistens > 0) {
		free(c->listens[--c->nlistens].host);
		free(c->listens[c->nlistens].path);
	}
}

bool
conf_args_listens(struct conf_ctx *x)
{
	struct conf *c = x->conf;
	const char *why = NULL;

	/* memcached serves TCP at the UDP port when only that one is given. */
	if (x->udp != 0 && !x->given['p']) {
		x->port = x->udp;
		x->given['p'] = true;
	}
	if (!x->given['p'] && !x->given['s'] && !x->inter_given && c->nlistens > 0)
		return (true);
	conf_drop_listens(c);	/* the file's */
	if (c->sock_path != NULL) {
		if (x->inter_given || (x->given['p'] && x->port != 0))
			conf_warn(x, "option -s: turns TCP off, as in memcached; -p and -l do not count");
		return (conf_add_unix(x, c->sock_path, c->sock_mode, &why) ||
		    conf_fail_opt(x, opt_find('s'), "\"%s\": %s; at most 107 bytes", c->sock_path, why));
	}
	if (x->port == 0)
		return (conf_fail_opt(x, opt_find('p'), "0 turns TCP off and there is no -s; a port or a UNIX socket"));
	if (x->inter_given)
		return (add_inters(x));
	return (conf_add_listen(x, "*", x->port > 0 ? (uint16_t)x->port : 0, 0, &why));
}
