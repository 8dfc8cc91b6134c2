/*
 * stats_conns.c - `stats conns`: every worker is asked for its connections, each on its own thread.
 *
 *	stats_conns -> loop_post to each worker and main -> list there -> loop_post home -> the last one answers
 *
 * The command keeps its place in the client's queue as a request does. Who does not reply in time (the
 * process is going down) is left out of the answer.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/internal.h"
#include "base/check.h"

#define ANSWER_USEC	(1000 * 1000)

struct conns_job;

struct conns_part {
	struct conns_job *job;
	struct loop	*loop;		/* where the listing is made */
	struct ctx	*ctx;		/* NULL: the main thread's */
	char		*text;
	size_t		 len, cap;
	bool		 in;
};

/* Home loop only, but for the parts that are out. */
struct conns_job {
	unsigned	 magic;
#define CONNS_JOB_MAGIC	0x636a6f62u
	struct shared	*shared;
	struct ctx	*home;
	struct req	*req;		/* NULL: answered */
	const struct client *asker;	/* for comparing alone: it may be gone */
	struct timer	 deadline;
	unsigned	 left;		/* parts that are out */
	unsigned	 nparts;
	struct conns_part parts[];
};

static void
part_put(struct conns_part *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A line that does not fit into memory is left out. */
static void
part_put(struct conns_part *p, const char *fmt, ...)
{
	char line[512], *more;
	size_t cap;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n <= 0 || (size_t)n >= sizeof line)
		return;
	if (p->cap - p->len < (size_t)n) {
		cap = p->cap * 2 + sizeof line;
		more = realloc(p->text, cap);
		if (more == NULL)
			return;
		p->text = more;
		p->cap = cap;
	}
	memcpy(p->text + p->len, line, (size_t)n);
	p->len += (size_t)n;
}

/* conn_f */
static void
part_add(void *arg, const struct conn_info *ci)
{
	struct conns_part *p = arg;
	unsigned asks = ci->cl != NULL && ci->cl == p->job->asker;

	part_put(p, "STAT %d:addr %s\r\n", ci->fd, ci->addr);
	if (ci->listen_addr != NULL)
		part_put(p, "STAT %d:listen_addr %s\r\n", ci->fd,
		    ci->listen_addr);
	/* That it waits for this very answer is not worth telling. */
	part_put(p, "STAT %d:state %s\r\n", ci->fd,
	    asks && ci->waiting == 1 ? "conn_parse_cmd" : ci->state);
	if (ci->waiting > asks)
		part_put(p, "STAT %d:resps_waiting %u\r\n", ci->fd,
		    ci->waiting - asks);
	part_put(p, "STAT %d:secs_since_last_cmd %u\r\n", ci->fd,
	    (unsigned)ci->idle);
}

static void
job_answer(struct conns_job *j)
{
	struct req *r = j->req;
	struct outq *out;
	bool good = true;

	timer_clear(&j->deadline);
	j->req = NULL;
	out = req_out(r);
	for (unsigned i = 0; out != NULL && i < j->nparts; i++)
		if (j->parts[i].in)
			good = good && outq_append(out, j->parts[i].text,
			    j->parts[i].len);
	if (out != NULL && !(good && outq_append(out, "END\r\n", 5)))
		req_broken(r);
	req_done(r);
}

static void
job_done(struct conns_job *j)
{
	if (j->req != NULL)
		job_answer(j);
	for (unsigned i = 0; i < j->nparts; i++)
		free(j->parts[i].text);
	j->magic = 0;
	free(j);
}

static void
job_too_late(void *arg)
{
	struct conns_job *j = arg;

	CHECK_OBJ_NOTNULL(j, CONNS_JOB_MAGIC);
	job_answer(j);
}

/* Home's thread: a part came back. */
static void
part_back(void *arg)
{
	struct conns_part *p = arg;
	struct conns_job *j = p->job;

	CHECK_OBJ_NOTNULL(j, CONNS_JOB_MAGIC);
	p->in = true;
	if (--j->left == 0)
		job_done(j);
}

/* The part's own thread. */
static void
part_list(void *arg)
{
	struct conns_part *p = arg;
	struct conns_job *j = p->job;

	j->shared->ops.conns(j->shared, p->ctx, part_add, p);
	/* Without memory for the message the deadline answers; the job is lost then. */
	(void)loop_post(j->home->loop, part_back, p);
}

static struct conns_job *
job_new(const struct client *cl)
{
	struct ctx *ctx = cl->ctx;
	unsigned n = ctx->shared->nworkers + 1;
	struct conns_job *j = calloc(1, sizeof *j + n * sizeof j->parts[0]);

	if (j == NULL)
		return (NULL);
	j->magic = CONNS_JOB_MAGIC;
	j->shared = ctx->shared;
	j->home = ctx;
	j->asker = cl;
	j->nparts = n;
	timer_init(ctx->loop, &j->deadline, job_too_late, j);
	/* Sockets that listen come first, as they do in memcached. */
	for (unsigned i = 0; i < n; i++) {
		j->parts[i].job = j;
		j->parts[i].ctx = i == 0 ? NULL : ctx->shared->workers[i - 1];
		j->parts[i].loop = i == 0 ? ctx->shared->main_loop :
		    j->parts[i].ctx->loop;
	}
	return (j);
}

void
stats_conns(struct stats_out *o, const struct stats_args *a)
{
	struct client *cl = a->cl;
	struct conns_job *j = job_new(cl);

	if (j != NULL)
		j->req = req_new(cl->ctx, &cl->q, NULL);
	if (j == NULL || j->req == NULL) {
		free(j);
		o->lost = true;
		return;
	}
	timer_set(&j->deadline, ANSWER_USEC);
	/* One more than there are, so that it outlives this loop. */
	j->left = j->nparts + 1;
	for (unsigned i = 0; i < j->nparts; i++)
		if (!loop_post(j->parts[i].loop, part_list, &j->parts[i]))
			j->left--;
	if (--j->left == 0)
		job_done(j);
}
