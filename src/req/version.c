/*
 * version.c - versions made here; tokens of clients.
 *
 * Versions of one process rise strictly, across its threads, when the clock steps back, and after a restart, because
 * the stores that can tell say what they have. The highest token of a namespace is kept beside: it may be of the near
 * future, and must not drag along the versions of plain writes, or these would win over honest tokens to come.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "proto/record.h"
#include "req/version.h"

/* Lives as long as the process: namespaces come and go with reloads. */
struct token_top {
	struct token_top *next;
	_Atomic uint64_t time;		/* highest that was accepted, or made above those */
	char		 name[];	/* the namespace's */
};

uint64_t
version_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

static void
raise_to(_Atomic uint64_t *v, uint64_t to)
{
	uint64_t is = atomic_load_explicit(v, memory_order_relaxed);

	while (is < to && !atomic_compare_exchange_weak_explicit(v, &is, to, memory_order_relaxed,
	    memory_order_relaxed))
		;
}

uint64_t
shared_version(struct shared *sh)
{
	uint64_t last = atomic_load_explicit(&sh->version, memory_order_relaxed), v;

	do {
		v = version_clock();
		if (v <= last)
			v = last + 1;
	} while (!atomic_compare_exchange_weak_explicit(&sh->version, &last, v,
	    memory_order_relaxed, memory_order_relaxed));
	return (v);
}

uint64_t
space_version_above(struct ctx *ctx, const struct space *sp)
{
	uint64_t v = shared_version(ctx->shared), top;

	if (!sp->tokens)
		return (v);
	top = atomic_load_explicit(&sp->top->time, memory_order_relaxed);
	do {
		if (v <= top)
			v = top + 1;
	} while (!atomic_compare_exchange_weak_explicit(&sp->top->time, &top, v, memory_order_relaxed,
	    memory_order_relaxed));
	return (v);
}

const char *
space_token_accept(const struct space *sp, uint64_t time)
{
	uint64_t now = version_clock();

	if ((time > now && time - now > sp->conf->drift_ahead) || (time < now && now - time > sp->conf->drift_behind))
		return ("CLIENT_ERROR token drift");
	raise_to(&sp->top->time, time);
	return (NULL);
}

void
space_version_seen(const struct space *sp, uint64_t version)
{
	if (sp->tokens)
		raise_to(&sp->top->time, version);
}

const char *
version_token(const struct space *sp, struct command *cmd)
{
	struct op *op = &cmd->op;
	const char *error;

	if (cmd->id != CMD_MS && cmd->id != CMD_MD && cmd->id != CMD_MA)
		return (NULL);
	if ((op->opts & OPF_NEWCAS) == 0)
		return (cmd->nonce.len > 0 ? "CLIENT_ERROR P needs E" : NULL);
	memset(cmd->token_nonce, 0, NONCE_LEN);
	if (cmd->nonce.len > 0 && !record_nonce(slice_of(cmd->nonce.p + 1, cmd->nonce.len - 1), cmd->token_nonce))
		return ("CLIENT_ERROR bad token in command line format");
	error = space_token_accept(sp, op->newcas);
	if (error != NULL)
		return (error);
	op->opts = (uint16_t)((op->opts & ~OPF_NEWCAS) | OPF_TOKEN);
	return (NULL);
}

/* ---- over reloads ---- */

/* Catalog held. NULL: out of memory. */
static struct token_top *
top_of(struct shared *sh, const char *name)
{
	size_t size = strlen(name) + 1;
	struct token_top *t;

	for (t = sh->tops; t != NULL; t = t->next)
		if (strcmp(t->name, name) == 0)
			return (t);
	t = malloc(sizeof *t + size);
	if (t == NULL)
		return (NULL);
	atomic_init(&t->time, 0);
	memcpy(t->name, name, size);
	t->next = sh->tops;
	sh->tops = t;
	return (t);
}

bool
version_attach(struct shared *sh, struct view *v)
{
	bool good = true;

	for (unsigned i = 0; i < v->npools; i++) {
		const struct pool *p = v->pools[i];

		for (unsigned n = 0; p->ops->version != NULL && n < p->nservers; n++)
			raise_to(&sh->version, p->ops->version(p->servers[n]));
	}
	pthread_mutex_lock(&sh->catalog);
	for (unsigned i = 0; i < v->conf->nspaces && good; i++) {
		if (!v->spaces[i].tokens)
			continue;
		v->spaces[i].top = top_of(sh, v->spaces[i].conf->name);
		good = v->spaces[i].top != NULL;
	}
	pthread_mutex_unlock(&sh->catalog);
	return (good);
}

void
version_detach(struct shared *sh)
{
	struct token_top *t;

	while ((t = sh->tops) != NULL) {
		sh->tops = t->next;
		free(t);
	}
}
