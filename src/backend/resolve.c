/*
 * resolve.c - getaddrinfo(3), in place or on a detached thread.
 *
 * A job has two owners, its thread and whoever started it; the last one to let go frees it.
 */
#include "config.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "backend/resolve.h"

struct resolve_job {
	atomic_int	 owners;
	atomic_bool	 finished;	/* release: list and why are written */
	uint16_t	 port;
	const char	*why;
	struct resolve_list list;
	char		 host[];
};

static const char *
lookup(const char *host, uint16_t port, int flags, struct resolve_list *list)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICSERV | flags };
	struct addrinfo *all, *ai;
	char service[8];
	unsigned n = 0;
	int rc;

	snprintf(service, sizeof service, "%u", (unsigned)port);
	rc = getaddrinfo(host, service, &hints, &all);
	if (rc != 0)
		return (gai_strerror(rc));
	for (ai = all; ai != NULL && n < RESOLVE_MAX; ai = ai->ai_next) {
		if (ai->ai_addrlen > sizeof list->a[n].ss)
			continue;
		memcpy(&list->a[n].ss, ai->ai_addr, ai->ai_addrlen);
		list->a[n++].len = ai->ai_addrlen;
	}
	freeaddrinfo(all);
	list->n = n;
	return (n > 0 ? NULL : "no usable address");
}

bool
resolve_is_numeric(const char *host)
{
	struct resolve_list list;

	return (lookup(host, 0, AI_NUMERICHOST, &list) == NULL);
}

const char *
resolve_now(const char *host, uint16_t port, struct resolve_list *list)
{
	struct resolve_list found;
	const char *why = lookup(host, port, 0, &found);

	if (why == NULL)
		*list = found;
	return (why);
}

bool
resolve_unix(const char *path, struct resolve_list *list)
{
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)&list->a[0].ss;

	if (strlen(path) >= sizeof un->sun_path)
		return (false);
	memset(un, 0, sizeof *un);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path) + 1);
	list->a[0].len = sizeof *un;
	list->n = 1;
	return (true);
}

static void
job_unref(struct resolve_job *job)
{
	if (atomic_fetch_sub(&job->owners, 1) == 1)
		free(job);
}

static void *
job_run(void *arg)
{
	struct resolve_job *job = arg;

	pthread_setname_np(pthread_self(), "resolve");
	job->why = resolve_now(job->host, job->port, &job->list);
	atomic_store_explicit(&job->finished, true, memory_order_release);
	job_unref(job);
	return (NULL);
}

struct resolve_job *
resolve_start(const char *host, uint16_t port)
{
	size_t len = strlen(host) + 1;
	struct resolve_job *job = calloc(1, sizeof *job + len);
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (job == NULL)
		return (NULL);
	memcpy(job->host, host, len);
	job->port = port;
	atomic_init(&job->owners, 2);
	atomic_init(&job->finished, false);
	if (pthread_attr_init(&attr) != 0) {
		free(job);
		return (NULL);
	}
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, job_run, job);
	pthread_attr_destroy(&attr);
	if (rc != 0) {
		free(job);
		return (NULL);
	}
	return (job);
}

bool
resolve_poll(struct resolve_job **jobp, struct resolve_list *list)
{
	struct resolve_job *job = *jobp;

	if (!atomic_load_explicit(&job->finished, memory_order_acquire))
		return (false);
	if (job->why == NULL)
		*list = job->list;
	resolve_drop(jobp);
	return (true);
}

void
resolve_drop(struct resolve_job **jobp)
{
	if (*jobp != NULL)
		job_unref(*jobp);
	*jobp = NULL;
}
