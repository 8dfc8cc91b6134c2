/*
 * privs.c - resource limits, user, locked memory.
 */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "conf/model.h"
#include "obs/log.h"
#include "proc/privs.h"

/* As high as it may go; only no core files at all is a failure. */
static bool
raise_core(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_CORE, &rl) != 0)
		return (false);
	if (rl.rlim_cur != RLIM_INFINITY) {
		struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

		if (setrlimit(RLIMIT_CORE, &all) != 0) {
			rl.rlim_cur = rl.rlim_max;
			(void)setrlimit(RLIMIT_CORE, &rl);
		}
	}
	return (getrlimit(RLIMIT_CORE, &rl) == 0 && rl.rlim_cur != 0);
}

/*
 * At least `least`, `want` if that can be had: a command line that memcached takes at this hard limit is taken too, and
 * accepting pauses when descriptors run out.
 */
static bool
raise_nofile(rlim_t least, rlim_t want)
{
	struct rlimit rl, all;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return (false);
	if (rl.rlim_cur >= want)
		return (true);
	all.rlim_cur = want;
	all.rlim_max = rl.rlim_max < want ? want : rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &all) == 0)
		return (true);
	if (rl.rlim_max < least)
		return (false);
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) != 0)
		return (false);
	log_warn("%llu open files are allowed, %llu would be needed for all connections of -c",
	    (unsigned long long)rl.rlim_max, (unsigned long long)want);
	return (true);
}

bool
privs_set_limits(const struct conf *c, size_t nfds)
{
	rlim_t want = (rlim_t)c->maxconns + nfds;

	if (c->core_dumps && !raise_core()) {
		fprintf(stderr, "kvgate: option -r: core files are not allowed here; raise the hard limit (ulimit -Hc)\n");
		return (false);
	}
	if (!raise_nofile((rlim_t)c->maxconns, want)) {
		fprintf(stderr, "kvgate: option -c: %u connections need %llu open files, more than the hard limit; a "
		    "smaller -c, or start as root\n", c->maxconns, (unsigned long long)want);
		return (false);
	}
	return (true);
}

void
privs_make_paths(const struct conf *c, const char *user)
{
	const struct passwd *pw;

	if ((getuid() != 0 && geteuid() != 0) || user == NULL || (pw = getpwnam(user)) == NULL)
		return;
	for (unsigned i = 0; i < c->nstores; i++)
		if (c->stores[i].path != NULL && mkdir(c->stores[i].path, 0755) == 0)
			(void)!chown(c->stores[i].path, pw->pw_uid, pw->pw_gid);
}

bool
privs_drop(const char *user)
{
	const struct passwd *pw;

	if (getuid() != 0 && geteuid() != 0)
		return (true);
	errno = 0;
	pw = user != NULL ? getpwnam(user) : NULL;
	if (pw == NULL) {
		fprintf(stderr, "kvgate: option -u: there is no user \"%s\"; -u nobody, or one that exists\n",
		    user != NULL ? user : "");
		return (false);
	}
	/* EPERM here means that a container took the right to have groups away, and the groups with it. */
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 && errno != EPERM)
		goto fail;
	if (setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
		goto fail;
	/* It must be for good. */
	if (pw->pw_uid != 0 && setuid(0) == 0) {
		errno = EBUSY;
		goto fail;
	}
	return (true);

fail:
	fprintf(stderr, "kvgate: option -u: cannot become \"%s\": %s; -u root to stay root\n", user, strerror(errno));
	return (false);
}

void
privs_lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		log_warn("option -k: memory cannot be locked: %s; raise the limit (ulimit -l) or start as root",
		    strerror(errno));
}
