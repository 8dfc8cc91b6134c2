/*
 * input.h - from bytes read to commands run; the half of conn.c that looks at bytes. Loop thread only.
 */
#ifndef NET_INPUT_H
#define NET_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct conn;

/*
 * Where the next read goes: the worker's buffer behind a copy of what is left over, or a long line's own. NULL: out of
 * memory.
 */
char	*input_space(struct conn *, size_t *room);
/* n bytes were read there. */
void	 input_read(struct conn *, size_t n);

/* The pieces of a body still missing, its CRLF among them. */
int	 input_body_iov(struct conn *, struct iovec *, int max);
size_t	 input_body_left(const struct conn *);
/* n bytes of body were read into the pieces, and extra bytes behind them into the worker's buffer. */
void	 input_body_read(struct conn *, size_t n, size_t extra);

/* Goes on with input that had to wait. */
void	 input_resume(struct conn *);

/* conn.c's */
void	 conn_mind_full(struct conn *);
bool	 conn_flush(struct conn *);

#endif
