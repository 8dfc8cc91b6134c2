/* Unit tests of src/base/outq.c. */
#include "base/outq.c"
#include "tap.h"

#include <signal.h>
#include <sys/socket.h>

static unsigned released;

static void
count_release(void *arg)
{
	(void)arg;
	released++;
}

/* All that is queued, as one string. */
static size_t
gather(const struct outq *q, char *dst, size_t max)
{
	size_t n = 0;

	for (const struct outchunk *c = q->head; c != NULL; c = c->next) {
		if (n + c->len > max)
			return (0);
		memcpy(dst + n, c->p, c->len);
		n += c->len;
	}
	return (n);
}

static void
pieces_keep_their_order(void)
{
	struct outpool *op = outpool_new(1 << 20);
	static char big[40000], out[100000], want[100000];
	struct outq q;
	size_t n;

	memset(big, 'b', sizeof big);
	outq_init(&q, op, false);
	outq_append(&q, "one ", 4);
	outq_ref(&q, "two ", 4, count_release, NULL);
	memcpy(outq_reserve(&q, 6), "three ", 6);
	outq_commit(&q, 6);
	outq_append(&q, big, sizeof big);
	outq_append(&q, " end", 4);
	n = gather(&q, out, sizeof out);
	memcpy(want, "one two three ", 14);
	memcpy(want + 14, big, sizeof big);
	memcpy(want + 14 + sizeof big, " end", 4);
	is_u(n, 18 + sizeof big, "length of all pieces");
	is_u(outq_len(&q), n, "outq_len agrees");
	ok(memcmp(out, want, n) == 0, "bytes in the order queued");
	outq_consume(&q, 6);
	is_u(released, 0, "a reference half sent is kept");
	outq_consume(&q, 2);
	is_u(released, 1, "a reference wholly sent is released once");
	outq_clear(&q);
	is_u(outpool_used(op), 0, "an empty queue holds no blocks");
	outpool_free(&op);
}

static void
splice_moves_everything(void)
{
	struct outpool *op = outpool_new(1 << 20);
	struct outq a, b;
	static char big[5000], out[20000];
	size_t n;

	memset(big, 'x', sizeof big);
	released = 0;
	outq_init(&a, op, false);
	outq_init(&b, op, true);
	outq_append(&a, "a", 1);
	outq_append(&b, "b", 1);
	outq_splice(&a, &b);
	outq_append(&b, "c", 1);
	outq_append(&b, big, sizeof big);
	outq_ref(&b, "d", 1, count_release, NULL);
	outq_splice(&a, &b);
	outq_append(&a, "e", 1);
	n = gather(&a, out, sizeof out);
	is_u(n, 5 + sizeof big, "nothing is lost");
	ok(memcmp(out, "abc", 3) == 0 && memcmp(out + n - 3, "xde", 3) == 0,
	    "and all is in order");
	is_u(outq_len(&b), 0, "the source is empty");
	is_u(outq_len(&a), n, "the lengths add up");
	outq_clear(&a);
	is_u(released, 1, "clearing releases references");
	is_u(outpool_used(op), 0, "and blocks");
	outpool_free(&op);
}

static void
move_takes_the_beginning(void)
{
	struct outpool *op = outpool_new(1 << 20);
	static char big[5000], out[20000];
	struct outq a, b;
	size_t n;

	memset(big, 'x', sizeof big);
	released = 0;
	outq_init(&a, op, false);
	outq_init(&b, op, true);
	outq_append(&b, "12345", 5);
	outq_ref(&b, "ref", 3, count_release, NULL);
	outq_append(&b, big, sizeof big);
	ok(outq_move(&a, &b, 2) && outq_move(&a, &b, 0) && outq_len(&a) == 2 && outq_len(&b) == 6 + sizeof big,
	    "part of a block");
	ok(outq_move(&a, &b, 6) && outq_len(&a) == 8, "its rest and a reference");
	is_u(released, 0, "which is moved, not released");
	ok(outq_move(&a, &b, sizeof big - 1), "across blocks");
	n = gather(&a, out, sizeof out);
	ok(n == 7 + sizeof big && memcmp(out, "12345refxxx", 11) == 0, "in order");
	is_u(outq_len(&b), 1, "what was not moved stays");
	outq_append(&b, "y", 1);
	ok(outq_move(&a, &b, 2) && outq_len(&b) == 0 && b.head == NULL && b.tail == NULL, "all of it");
	outq_append(&b, "z", 1);
	is_u(outq_len(&b), 1, "and it is of use again");
	outq_clear(&a);
	outq_clear(&b);
	is_u(released, 1, "the reference is released once");
	is_u(outpool_used(op), 0, "and blocks");
	outpool_free(&op);
}

static void
write_stops_at_a_full_socket(void)
{
	struct outpool *op = outpool_new(1 << 20);
	static char chunk[8000], sink[65536];
	struct outq q;
	int sv[2];
	uint64_t sent = 0;
	size_t total = 0, got = 0;
	enum outq_rc rc;

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == 0);
	outq_init(&q, op, false);
	for (int i = 0; i < 400; i++) {
		memset(chunk, 'a' + i % 26, sizeof chunk);
		outq_append(&q, chunk, sizeof chunk);
		total += sizeof chunk;
	}
	is_u(outq_write(&q, sv[0], &sent), OUTQ_BLOCKED, "a full socket blocks");
	ok(sent > 0 && sent + outq_len(&q) == total, "what left and what stays add up");
	do {
		ssize_t n;

		while ((n = read(sv[1], sink, sizeof sink)) > 0)
			for (ssize_t i = 0; i < n; i++, got++)
				if (sink[i] != (char)('a' + got / sizeof chunk % 26)) {
					ok(false, "byte %zu is right", got);
					return;
				}
		rc = outq_write(&q, sv[0], &sent);
	} while (got < total && rc != OUTQ_FAILED);
	is_u(got, total, "everything arrived, in order");
	close(sv[1]);
	outq_append(&q, "x", 1);
	signal(SIGPIPE, SIG_IGN);
	is_u(outq_write(&q, sv[0], &sent), OUTQ_FAILED, "a closed peer is a failure");
	outq_clear(&q);
	close(sv[0]);
	outpool_free(&op);
}

int
main(void)
{
	pieces_keep_their_order();
	splice_moves_everything();
	move_takes_the_beginning();
	write_stops_at_a_full_socket();
	return (done_testing());
}
