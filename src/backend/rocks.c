/*
 * rocks.c - the store `rocksdb`: a database in this process as a backend.
 *
 * What is in memory is read on the loop. Everything else goes to a thread and comes back through a list of its own and
 * an eventfd, so that closing can wait for it.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "backend/rocks.h"
#include "base/check.h"
#include "conf/model.h"

#define ROCKS_HOLD	(16 * 1024)	/* larger values go to the op's sink */
#define SINK_IOVS	16

uint64_t
rocks_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static uint64_t
usec_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ((uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

uint64_t
rocks_usec(void)
{
	return (usec_of(CLOCK_MONOTONIC));
}

uint64_t
rocks_worked(void)
{
	return (usec_of(CLOCK_THREAD_CPUTIME_ID));
}

static uint32_t *
rocks_pending(struct rocks *r, struct slice id)
{
	return (&r->pending[XXH3_64bits(id.len > 0 ? id.p : "", id.len) & (ROCKS_BUCKETS - 1)]);
}

/* ---- outcomes ---- */

static void
rocks_sink(struct be_op *op, struct slice value)
{
	struct iovec iov[SINK_IOVS];
	uint32_t off = 0;
	int n = 0;

	while (off < value.len && op->sink != NULL && (n = op->sink->iov(op, &op->res, off, iov, SINK_IOVS)) > 0)
		for (int i = 0; i < n && off < value.len; i++) {
			size_t m = iov[i].iov_len < value.len - off ? iov[i].iov_len : value.len - off;

			memcpy(iov[i].iov_base, value.p + off, m);
			off += (uint32_t)m;
		}
	if (off == value.len)
		return;
	op->err = ERR_NOMEM;
	op->why = err_text(ERR_NOMEM);
}

/* Before done(): what was found is given out. */
static void
rocks_over(struct be_op *op)
{
	const struct rocks_result *x = op->priv;

	if (x == NULL || op->err != ERR_NONE)
		return;
	if (op->rec != NULL)
		rocks_result_replay(x, op);
	if (op->op.verb == OP_DEBUG && op->res.status == OP_OK)
		row_debug(&op->res, (char *)(uintptr_t)x->why, sizeof x->why);
	if (!x->has_value)
		return;
	if (x->value_len <= ROCKS_HOLD)
		op->data = slice_of(x->bytes + x->value, x->value_len);
	else
		rocks_sink(op, slice_of(x->bytes + x->value, x->value_len));
}

/* The job's outcome becomes its op's. */
static void
rocks_settle(const struct rocks_job *j, struct be_op *op)
{
	op->priv = j->result;
	op->err = j->err;
	op->res = j->res;
	op->found_head = j->found_head;
	if (j->err != ERR_NONE)
		op->why = j->result != NULL ? j->result->why : err_text(j->err);
	if (op->rec != NULL) {
		op->rec->more = j->more;
		op->rec->end = j->end;
		op->rec->next_id = op->rec->next = SLICE_NULL;
	}
}

static void
rocks_fail_later(struct be_op *op, enum err err, const char *why)
{
	op->priv = NULL;
	be_op_end_later(op, err, why);
}

/* ---- back from the threads ---- */

void
rocks_job_back(struct rocks_job *j)
{
	struct rocks *r = j->r;
	uint64_t one = 1;
	bool first;

	if (r == NULL) {
		if (j->kind == ROCKS_SWEEP || j->kind == ROCKS_GAPS)
			rocks_keeper_back(j->subs[0].family->db, j->err == ERR_NONE);
		free(j->result);
		free(j);
		return;
	}
	pthread_mutex_lock(&r->lock);
	first = STAILQ_EMPTY(&r->back);
	STAILQ_INSERT_TAIL(&r->back, j, next);
	/* Within the lock, so that it cannot be closed before. */
	if (first)
		(void)!write(r->fd, &one, sizeof one);
	pthread_cond_signal(&r->came);
	pthread_mutex_unlock(&r->lock);
}

/* Whether reads of the record have to be placed behind it. */
static bool
rocks_may_change(const struct be_op *op, enum rocks_job_kind kind)
{
	if (op->chunk != 0)
		return (kind == ROCKS_WRITE);
	return (kind == ROCKS_WRITE || (op->op.opts & (OPF_TTL | OPF_VIVIFY | OPF_RECACHE)) != 0 ||
	    (op->op.want & OPW_HIT) != 0);
}

static void
rocks_count(struct rocks *r, const struct rocks_job *j, int n)
{
	r->out += (unsigned)n;
	if (!j->changes)
		return;
	if (j->flush) {
		r->writes += (uint32_t)n;
		r->nwrites += (uint32_t)n;
		return;
	}
	for (unsigned i = 0; i < j->nsubs; i++)
		*rocks_pending(r, j->subs[i].id) += (uint32_t)n;
	r->nwrites += (uint32_t)(n * (int)j->nsubs);
}

static void
rocks_deliver(struct rocks *r)
{
	struct rocks_jobs jobs = STAILQ_HEAD_INITIALIZER(jobs);
	struct rocks_job *j;

	pthread_mutex_lock(&r->lock);
	STAILQ_CONCAT(&jobs, &r->back);
	pthread_mutex_unlock(&r->lock);
	while ((j = STAILQ_FIRST(&jobs)) != NULL) {
		struct be_op *op = j->op;

		STAILQ_REMOVE_HEAD(&jobs, next);
		rocks_count(r, j, -1);
		rocks_settle(j, op);
		free(j);
		be_op_end(op);
	}
}

static void
rocks_ready(int fd, void *arg)
{
	struct rocks *r = arg;
	uint64_t n;

	(void)!read(fd, &n, sizeof n);
	rocks_deliver(r);
}

/* ---- submitting ---- */

static size_t
rocks_body_len(const struct be_op *op)
{
	return (op->op.verb == OP_STORE && op->nbody == 1 && op->op.vlen <= BE_BODY_COPY_MAX ? op->op.vlen : 0);
}

static struct slice
rocks_keep(char **at, struct slice s)
{
	struct slice copy = slice_of(*at, s.len);

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return (copy);
}

/* With what it is about, and its body, if submit() has to copy that. NULL: out of memory. */
static struct rocks_job *
rocks_job_new(struct rocks *r, struct be_op *op, enum rocks_job_kind kind)
{
	size_t body = rocks_body_len(op), bytes = body;
	unsigned nsubs = 0;
	struct rocks_job *j;
	char *at;

	for (const struct be_op *o = op; o != NULL; o = o->also, nsubs++)
		bytes += o->id.len + o->item.len;
	j = malloc(sizeof *j + nsubs * sizeof(struct rocks_sub) + bytes);
	if (j == NULL)
		return (NULL);
	memset(j, 0, sizeof *j);
	j->kind = kind;
	j->r = r;
	j->op = op;
	j->changes = rocks_may_change(op, kind);
	j->subs = (struct rocks_sub *)(j + 1);
	j->nsubs = nsubs;
	at = (char *)(j->subs + nsubs);
	for (struct rocks_sub *s = j->subs; s < j->subs + nsubs; s++, op = op->also)
		*s = (struct rocks_sub){ .op = op, .family = rocks_family_find(r->db, op->ns->name),
		    .id = rocks_keep(&at, op->id), .item = rocks_keep(&at, op->item) };
	if (body > 0) {
		memcpy(at, j->op->body[0].iov_base, body);
		j->body = (struct iovec){ at, body };
	}
	return (j);
}

static void
rocks_give(struct rocks *r, struct be_op *op, enum rocks_job_kind kind)
{
	struct rocks_job *j = rocks_job_new(r, op, kind);

	if (j == NULL) {
		rocks_fail_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	rocks_count(r, j, 1);
	if (kind != ROCKS_READ) {
		rocks_writer_put(r->db->writer, j);
		return;
	}
	/* What is written behind it is not for it. */
	j->snapshot = rocks_snapshot(r->db);
	rocks_queue_put(&r->db->io, j);
}

/* Whether writes are under way that it has to see, or the other way round. */
static bool
rocks_is_behind(struct rocks *r, const struct be_op *op)
{
	if (r->nwrites == 0)
		return (false);
	return (r->writes > 0 || (int)op->op.verb == OP_SCAN || *rocks_pending(r, op->id) > 0);
}

static void
rocks_submit_read(struct rocks *r, struct be_op *op)
{
	struct rocks_sub sub = { .op = op, .id = op->id, .item = op->item };
	struct rocks_job j = { .r = r, .op = op, .subs = &sub, .nsubs = 1 };
	enum rocks_rc rc;

	if (rocks_is_behind(r, op)) {
		rocks_give(r, op, ROCKS_READ_BEHIND);
		return;
	}
	sub.family = rocks_family_find(r->db, op->ns->name);
	if (sub.family == NULL && op->rec != NULL) {
		rocks_settle(&j, op);
		be_op_end_later(op, ERR_NONE, NULL);
		return;
	}
	rc = sub.family != NULL ? rocks_read(r->db, &j, true) : ROCKS_NOT_PURE;
	switch (rc) {
	case ROCKS_NOT_CACHED:
		rocks_give(r, op, ROCKS_READ);
		return;
	case ROCKS_NOT_PURE:
		rocks_give(r, op, ROCKS_WRITE);
		return;
	default:
		atomic_fetch_add_explicit(&r->db->counts.loop_reads, 1, memory_order_relaxed);
		rocks_settle(&j, op);
		be_op_end_later(op, j.err, op->why);
	}
}

/* flush_all: which namespaces go is known here, so that it need not be asked when a delay is over. */
static struct rocks_job *
rocks_flush_new(struct rocks *r, struct be_op *op)
{
	struct rocks_family *f;
	struct rocks_job *j;
	unsigned n = 0;

	for (f = atomic_load(&r->db->families); f != NULL; f = atomic_load(&f->next))
		n++;
	j = calloc(1, sizeof *j + n * sizeof(struct rocks_sub));
	if (j == NULL)
		return (NULL);
	j->kind = ROCKS_WRITE;
	j->op = op;
	j->subs = (struct rocks_sub *)(j + 1);
	for (f = atomic_load(&r->db->families); f != NULL && j->nsubs < n; f = atomic_load(&f->next))
		if (op->flushes_space == NULL || op->flushes_space(op, f->name))
			j->subs[j->nsubs++].family = f;
	return (j);
}

static void
rocks_submit_flush(struct rocks *r, struct be_op *op)
{
	struct rocks_job *j = rocks_flush_new(r, op);
	int64_t s = op->op.ttl;

	if (j == NULL) {
		rocks_fail_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	j->flush = true;
	if (s > OP_REALTIME_MAX)
		s -= (int64_t)time(NULL);
	if (s > 0) {
		rocks_keeper_later(r->db, j, (uint64_t)s * 1000000);
		be_op_end_later(op, ERR_NONE, NULL);
		return;
	}
	/* As in memcached, the last word counts. */
	rocks_keeper_later(r->db, NULL, 0);
	j->r = r;
	j->changes = true;
	rocks_count(r, j, 1);
	rocks_writer_put(r->db->writer, j);
}

/* The copy is made beside the database. */
static void
rocks_submit_checkpoint(struct rocks *r, struct be_op *op)
{
	const char *path = r->store->path, *slash = strrchr(path, '/');
	size_t dir = slash != NULL ? (size_t)(slash - path) + 1 : 0;
	struct rocks_job *j = calloc(1, sizeof *j + sizeof(struct rocks_sub) + dir + op->id.len);
	char *at;

	if (j == NULL) {
		rocks_fail_later(op, ERR_NOMEM, err_text(ERR_NOMEM));
		return;
	}
	j->kind = ROCKS_COPY;
	j->r = r;
	j->op = op;
	j->nsubs = 1;
	j->subs = (struct rocks_sub *)(j + 1);
	at = (char *)(j->subs + 1);
	memcpy(at, path, dir);
	memcpy(at + dir, op->id.p, op->id.len);
	j->subs[0] = (struct rocks_sub){ .op = op, .id = slice_of(at, dir + op->id.len) };
	rocks_count(r, j, 1);
	rocks_writer_put(r->db->writer, j);
}

static void
rocks_submit(struct backend *be, struct be_op *op)
{
	struct rocks *r = (struct rocks *)be;

	be_op_begin(be, op);
	if (r->out >= r->store->max_inflight)
		rocks_fail_later(op, ERR_BUSY, r->busy);
	else if (op->op.verb == OP_FLUSH)
		rocks_submit_flush(r, op);
	else if ((int)op->op.verb == OP_CHECKPOINT)
		rocks_submit_checkpoint(r, op);
	else if (rocks_is_read(op))
		rocks_submit_read(r, op);
	else
		rocks_give(r, op, ROCKS_WRITE);
}

/* ---- */

static struct backend *
rocks_open(struct loop *l, const struct conf_store *store, const struct conf_server *server, const char **why)
{
	struct rocks *r = calloc(1, sizeof *r);

	(void)server;
	*why = "out of memory";
	if (r == NULL)
		return (NULL);
	r->be.magic = ROCKS_MAGIC;
	r->store = store;
	STAILQ_INIT(&r->back);
	snprintf(r->busy, sizeof r->busy, "%.100s %s", store->name, err_text(ERR_BUSY));
	r->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r->be.bl = be_loop_pin(l);
	if (r->fd >= 0 && r->be.bl != NULL && (r->db = rocks_db_pin(store, why)) != NULL) {
		r->be.over = rocks_over;
		atomic_store(&r->be.stats.state, BE_UP);
		pthread_mutex_init(&r->lock, NULL);
		pthread_cond_init(&r->came, NULL);
		io_init(l, &r->io, r->fd, rocks_ready, NULL, r);
		rocks_count_less();
		if (io_want(&r->io, EV_READ))
			return (&r->be);
		rocks_db_unpin(&r->db);
	}
	if (r->be.bl != NULL)
		be_loop_unpin(&r->be.bl);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
	return (NULL);
}

static void
rocks_close(struct backend **bep)
{
	struct backend *be;
	struct rocks *r;

	TAKE_OBJ_NOTNULL(be, bep, ROCKS_MAGIC);
	r = (struct rocks *)be;
	while (atomic_load_explicit(&be->stats.inflight, memory_order_relaxed) > 0) {
		be_loop_drain(be);
		pthread_mutex_lock(&r->lock);
		while (r->out > 0 && STAILQ_EMPTY(&r->back))
			pthread_cond_wait(&r->came, &r->lock);
		pthread_mutex_unlock(&r->lock);
		rocks_deliver(r);
	}
	io_clear(&r->io);
	rocks_db_unpin(&r->db);
	pthread_cond_destroy(&r->came);
	pthread_mutex_destroy(&r->lock);
	close(r->fd);
	be_loop_unpin(&be->bl);
	free(be->stats.was);
	be->magic = 0;
	free(r);
}

/* It cannot be taken back; it is over soon. */
static void
rocks_cancel(struct backend *be, struct be_op *op)
{
	(void)be;
	(void)op;
}

static bool
rocks_healthy(const struct backend *be)
{
	(void)be;
	return (true);
}

static void
rocks_tell(struct backend *be, be_tell_f *f, void *arg)
{
	rocks_db_tell(((struct rocks *)be)->db, f, arg);
}

static struct be_stats *
rocks_stats(struct backend *be)
{
	return (&be->stats);
}

static uint64_t
rocks_version(const struct backend *be)
{
	const struct rocks *r = (const struct rocks *)be;
	const struct rocks_family *f = atomic_load_explicit(&r->db->families, memory_order_acquire);
	uint64_t top = 0;

	for (; f != NULL; f = atomic_load_explicit(&f->next, memory_order_acquire)) {
		uint64_t newest = atomic_load_explicit(&f->newest, memory_order_relaxed);

		top = newest > top ? newest : top;
	}
	return (top);
}

static const char *
rocks_server_name(const struct backend *be)
{
	return (((const struct rocks *)be)->store->path);
}

static void
rocks_each(struct backend *be, be_each_f *f, void *arg)
{
	f(arg, rocks_server_name(be), &be->stats);
}

const struct be_ops rocks_ops = {
	.name = "rocksdb",
	.caps = BE_CAP_TTL | BE_CAP_COUNTERS | BE_CAP_ORDERED | BE_CAP_LWW | BE_CAP_BATCH | BE_CAP_ITEM |
	    BE_CAP_CLASSIC | BE_CAP_RECORDS | BE_CAP_WHOLE | BE_CAP_CHECKPOINT,
	.open = rocks_open,
	.close = rocks_close,
	.submit = rocks_submit,
	.cancel = rocks_cancel,
	.healthy = rocks_healthy,
	.version = rocks_version,
	.each = rocks_each,
	.tell = rocks_tell,
	.stats = rocks_stats,
	.server_name = rocks_server_name,
};
