/*
 * target.h - the server that is meant: HOST:PORT, [IPV6]:PORT or a path with a /.
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <sys/socket.h>

/* NULL: well; else what is wrong with the text. */
const char	*target_parse(const char *text, struct sockaddr_storage *, socklen_t *);

#endif
