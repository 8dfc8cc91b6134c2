/*
 * addr.c - addresses: where to listen, which servers.
 *
 * Nothing is resolved here: a name may not resolve yet when the configuration is checked, and may change later.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/num.h"
#include "conf/parse.h"

#define WEIGHT_MAX	65535
#define HOST_MAX	253	/* of a name in the DNS */
#define ALIAS_MAX	255

/* A host may be a name or a literal; everything else in it is a typing error. */
static const char *
host_error(const char *host)
{
	if (*host == '\0')
		return ("the host is missing");
	if (strlen(host) > HOST_MAX)
		return ("the host is too long");
	if (host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%")] != '\0')
		return ("bad character in the host");
	return (NULL);
}

static const char *
get_port(const char *s, uint16_t *out)
{
	uint32_t v;

	if (!num_get_u32(slice_str(s), &v) || v > 65535)
		return ("the port is not a number from 0 to 65535");
	*out = (uint16_t)v;
	return (NULL);
}

const char *
conf_split_addr(char *s, uint16_t port, char **host, uint16_t *port_out)
{
	char *colon, *rest;

	*port_out = port;
	if (*s == '[') {
		char *end = strchr(s, ']');

		if (end == NULL)
			return ("a [ without ]");
		*end = '\0';
		*host = s + 1;
		rest = end + 1;
		if (strchr(*host, ':') == NULL)
			return ("what stands in [] is not an IPv6 address");
		if (*rest != '\0' && *rest != ':')
			return ("after ] only :port may follow");
		colon = *rest == ':' ? rest : NULL;
	} else {
		*host = s;
		colon = strchr(s, ':');
		/* More than one colon and no brackets: a bare IPv6 address. */
		if (colon != NULL && strchr(colon + 1, ':') != NULL)
			colon = NULL;
	}
	if (colon != NULL) {
		const char *why = get_port(colon + 1, port_out);

		if (why != NULL)
			return (why);
		*colon = '\0';
	}
	if (strcmp(*host, "*") == 0) {
		*host = NULL;
		return (NULL);
	}
	return (host_error(*host));
}

bool
conf_add_unix(struct conf_ctx *x, const char *path, unsigned mode, const char **why)
{
	struct conf_listen *l = CONF_GROW(x, x->conf->listens, x->conf->nlistens);

	if (l == NULL)
		return (false);
	l->mode = mode;
	*why = "the path of the socket is empty or too long";
	return (*path != '\0' && strlen(path) < sizeof ((struct sockaddr_un *)0)->sun_path &&
	    conf_set_str(x, &l->path, path));
}

bool
conf_add_listen(struct conf_ctx *x, const char *word, uint16_t port, unsigned mode, const char **why)
{
	struct conf_listen *l;
	char *copy, *host;
	bool good;

	if (strncmp(word, "unix:", 5) == 0 || word[0] == '/')
		return (conf_add_unix(x, word[0] == '/' ? word : word + 5, mode, why));
	l = CONF_GROW(x, x->conf->listens, x->conf->nlistens);
	copy = l != NULL ? strdup(word) : NULL;
	if (copy == NULL)
		return (conf_fail_nomem(x));
	*why = conf_split_addr(copy, port, &host, &l->port);
	good = *why == NULL && (host == NULL || conf_set_str(x, &l->host, host));
	free(copy);
	return (good);
}

static const char *
get_weight(const char *s, unsigned *out)
{
	uint32_t w;

	if (!num_get_u32(slice_str(s), &w) || w < 1 || w > WEIGHT_MAX)
		return ("the weight is not a number from 1 to 65535");
	*out = w;
	return (NULL);
}

/* twemproxy's order puts the weight behind the address: host:port:weight, [v6]:port:weight, /path:weight. */
static const char *
take_weight_suffix(char *addr, unsigned *weight)
{
	char *last = strrchr(addr, ':'), *before;

	if (last == NULL)
		return (NULL);
	if (addr[0] != '/') {
		char *from = addr[0] == '[' ? strchr(addr, ']') : addr;
		unsigned colons = 0;

		for (before = from; before != NULL && *before != '\0'; before++)
			colons += *before == ':';
		/* host:port has one colon, a bare IPv6 address more than two or two that touch. */
		if (from == NULL || colons != 2 || strstr(addr, "::") == addr)
			return (NULL);
	}
	*last = '\0';
	return (get_weight(last + 1, weight));
}

static bool
set_address(struct conf_ctx *x, char *addr, uint16_t port, struct conf_server *srv, const char **why)
{
	char name[HOST_MAX + 16], *host;

	if (addr[0] == '/') {
		*why = "the path of the socket is too long";
		return (strlen(addr) < sizeof ((struct sockaddr_un *)0)->sun_path &&
		    conf_set_str(x, &srv->path, addr) && conf_set_str(x, &srv->name, addr));
	}
	*why = conf_split_addr(addr, port, &host, &srv->port);
	if (*why != NULL)
		return (false);
	*why = "* is no server";
	if (host == NULL)
		return (false);
	*why = "port 0 is no server";
	if (srv->port == 0)
		return (false);
	snprintf(name, sizeof name, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, srv->port);
	return (conf_set_str(x, &srv->host, host) && conf_set_str(x, &srv->name, name));
}

#define WORDS_MAX	4	/* address, weight, alias, zone */

/* Takes the zone out of the words behind the address, wherever it stands. NULL: good. */
static const char *
take_zone(char **words, unsigned *n, const char **zone)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < *n; i++) {
		if (i == 0 || strncmp(words[i], "zone=", 5) != 0) {
			words[kept++] = words[i];
			continue;
		}
		if (*zone != NULL)
			return ("the zone is there already");
		*zone = words[i] + 5;
		if (**zone == '\0' || strlen(*zone) > ALIAS_MAX)
			return ("the zone is empty or too long");
	}
	*n = kept;
	for (unsigned i = kept; i < WORDS_MAX; i++)
		words[i] = NULL;
	return (NULL);
}

/* The words of a server without its zone: address, weight, alias. NULL: good. */
static const char *
take_words(char **words, unsigned n, unsigned *weight, const char **alias)
{
	const char *why;

	if (strncmp(words[0], "unix:", 5) == 0)
		words[0] += 5;
	*weight = 0;
	why = take_weight_suffix(words[0], weight);
	if (why == NULL && *weight == 0) {
		*weight = 1;
		if (n > 1)
			why = get_weight(words[1], weight);
		*alias = words[2];
	} else {
		*alias = words[1];
		if (why == NULL && n > 2)
			why = "the weight is there already";
	}
	if (why == NULL && *alias != NULL && strlen(*alias) > ALIAS_MAX)
		why = "the alias is too long";
	return (why);
}

bool
conf_parse_server(struct conf_ctx *x, const char *text, uint16_t port, struct conf_server *srv, const char **why)
{
	char *copy = strdup(text), *save = NULL, *words[WORDS_MAX + 1] = { NULL };
	const char *alias = NULL, *zone = NULL;
	unsigned n = 0;
	bool good = false;

	if (copy == NULL)
		return (conf_fail_nomem(x));
	for (char *w = strtok_r(copy, " \t", &save); w != NULL && n <= WORDS_MAX; w = strtok_r(NULL, " \t", &save))
		words[n++] = w;
	*why = n == 0 ? "it is empty" : n > WORDS_MAX ? "it has too many words" : take_zone(words, &n, &zone);
	if (*why == NULL && n == WORDS_MAX)
		*why = "it has more than three words beside the zone";
	if (*why == NULL)
		*why = take_words(words, n, &srv->weight, &alias);
	if (*why == NULL)
		good = set_address(x, words[0], port, srv, why) &&
		    (alias == NULL || conf_set_str(x, &srv->alias, alias)) &&
		    (zone == NULL || conf_set_str(x, &srv->zone, zone));
	free(copy);
	return (good);
}
