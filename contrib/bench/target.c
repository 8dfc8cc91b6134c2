/*
 * target.c - the server that is meant: HOST:PORT, [IPV6]:PORT or a path with a /.
 */
#include "config.h"

#include <netdb.h>
#include <string.h>
#include <sys/un.h>

#include "target.h"

static const char *
target_unix(const char *text, struct sockaddr_storage *addr, socklen_t *len)
{
	struct sockaddr_un *un = (struct sockaddr_un *)addr;

	if (strlen(text) >= sizeof un->sun_path)
		return "too long for a unix socket";
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, text, strlen(text) + 1);
	*len = sizeof *un;
	return NULL;
}

const char *
target_parse(const char *text, struct sockaddr_storage *addr, socklen_t *addr_len)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	const char *colon = strrchr(text, ':');
	char host[256];
	size_t len;
	int rc;

	memset(addr, 0, sizeof *addr);
	if (strchr(text, '/') != NULL)
		return target_unix(text, addr, addr_len);
	if (colon == NULL || colon == text || colon[1] == '\0')
		return "neither HOST:PORT nor a path with a /";
	len = (size_t)(colon - text);
	if (text[0] == '[' && colon[-1] == ']' && len >= 2) {
		text++;
		len -= 2;
	}
	if (len >= sizeof host)
		return "too long";
	memcpy(host, text, len);
	host[len] = '\0';
	rc = getaddrinfo(host, colon + 1, &hints, &ai);
	if (rc != 0)
		return gai_strerror(rc);
	memcpy(addr, ai->ai_addr, ai->ai_addrlen);
	*addr_len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return NULL;
}
