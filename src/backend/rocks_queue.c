/*
 * rocks_queue.c - a queue of jobs: loops and threads put, threads take.
 */
#include "config.h"

#include <time.h>

#include "backend/rocks.h"

void
rocks_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

void
rocks_queue_init(struct rocks_queue *q)
{
	pthread_mutex_init(&q->lock, NULL);
	rocks_cond_init(&q->more);
	STAILQ_INIT(&q->jobs);
	q->njobs = 0;
	q->want = 1;
	q->stop = false;
}

void
rocks_queue_fini(struct rocks_queue *q)
{
	pthread_cond_destroy(&q->more);
	pthread_mutex_destroy(&q->lock);
}

void
rocks_queue_put(struct rocks_queue *q, struct rocks_job *j)
{
	pthread_mutex_lock(&q->lock);
	STAILQ_INSERT_TAIL(&q->jobs, j, next);
	if (++q->njobs >= q->want)
		pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&q->lock);
}

void
rocks_queue_stop(struct rocks_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->stop = true;
	pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

struct rocks_job *
rocks_queue_get(struct rocks_queue *q)
{
	struct rocks_job *j;

	pthread_mutex_lock(&q->lock);
	while ((j = STAILQ_FIRST(&q->jobs)) == NULL && !q->stop)
		pthread_cond_wait(&q->more, &q->lock);
	if (j != NULL) {
		STAILQ_REMOVE_HEAD(&q->jobs, next);
		q->njobs--;
	}
	pthread_mutex_unlock(&q->lock);
	return (j);
}

bool
rocks_queue_take(struct rocks_queue *q, struct rocks_jobs *jobs, unsigned want, uint64_t until)
{
	struct timespec ts = { (time_t)(until / 1000000), (long)(until % 1000000) * 1000 };
	bool over;

	pthread_mutex_lock(&q->lock);
	q->want = want;
	while (q->njobs < want && !q->stop && rocks_usec() < until)
		if (until == UINT64_MAX)
			pthread_cond_wait(&q->more, &q->lock);
		else
			pthread_cond_timedwait(&q->more, &q->lock, &ts);
	q->want = 1;
	STAILQ_INIT(jobs);
	STAILQ_CONCAT(jobs, &q->jobs);
	q->njobs = 0;
	over = q->stop && STAILQ_EMPTY(jobs);
	pthread_mutex_unlock(&q->lock);
	return (!over);
}
