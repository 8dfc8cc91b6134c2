/*
 * fuzz_conf.c - fuzz target of the configuration: the file (scan, libconfuse, sections) and the words of addresses.
 *
 * Whatever comes in, the outcome is a configuration that keeps its promises or one message of one line; nothing leaks;
 * and the next file is read as if this one had never been: libconfuse's lexer is one for all.
 *
 * build: src/conf/addr.c src/conf/args.c src/conf/check.c src/conf/file.c src/conf/file_get.c src/conf/fixed.c src/conf/listen.c src/conf/load.c src/conf/msg.c src/conf/scan.c src/conf/space.c src/conf/space_policy.c src/conf/space_records.c src/conf/store.c src/conf/store_disk.c src/conf/store_policy.c src/conf/table.c src/conf/unit.c src/base/check.c src/base/num.c -lconfuse
 * corpus: t/fuzz/corpus/conf
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/parse.h"

static void
open_ctx(struct conf_ctx *x)
{
	memset(x, 0, sizeof *x);
	x->conf = calloc(1, sizeof *x->conf);
	MUST(x->conf != NULL);
	opt_set_defaults(x->conf);
	MUST(conf_set_str(x, &x->conf->file, "f"));
	x->port = 11211;
}

static void
close_ctx(struct conf_ctx *x)
{
	conf_free(&x->conf);
	free(x->warnings);
}

static void
check_store(const struct conf_store *s)
{
	MUST(s->name[0] != '\0' && s->nservers > 0 && s->line > 0 && conf_dist_name(s->dist) != NULL);
	MUST(s->timeout > 0 && s->retry_min <= s->retry_max && s->connections > 0 && s->max_inflight > 0);
	MUST(s->replicas >= 1 && s->replicas <= s->nservers && s->replicas <= CONF_REPLICAS_MAX);
	MUST(s->write_quorum >= 1 && s->write_quorum <= s->replicas && s->failures >= 1);
	MUST(s->kind != STORE_REDIS_CLUSTER || (s->replicas == 1 && s->map_refresh > 0 && s->on_down != ON_DOWN_FAILOVER));
	MUST(s->kind != STORE_MEMCACHED || (s->password == NULL && s->database == 0));
	MUST(s->failover_store == NULL || (s->on_down == ON_DOWN_FAILOVER && s->failover_store->on_down != ON_DOWN_FAILOVER));
	MUST(s->on_down != ON_DOWN_FAILOVER || s->failover_store != NULL || s->nservers > s->replicas);
	MUST(s->failover_ttl % 1000000 == 0);
	for (unsigned j = 0; j < s->nservers; j++) {
		const struct conf_server *v = &s->servers[j];

		MUST(v->name != NULL && v->weight >= 1 && v->line > 0);
		MUST(v->path != NULL || (v->host != NULL && v->port != 0));
	}
}

static void
check_space(const struct conf_ns *n)
{
	MUST(n->prefix_len == strlen(n->prefix) && n->name[0] != '\0');
	MUST(n->local == (n->primary == NULL || n->local_ttl > 0));
	MUST(n->primary != NULL || (n->hedge == HEDGE_OFF && n->slo_read.max == 0 && n->slo_write.max == 0));
	MUST(n->format != FORMAT_ITEM || (n->primary->kind != STORE_MEMCACHED &&
	    n->delete_ttl >= n->delete_jitter + n->drift_behind && n->chunk_size > 0 && n->page_bytes <= n->page_bytes_max &&
	    n->item_size_max / n->chunk_size <= 16384));
	MUST(n->format == FORMAT_ITEM || (n->separator == NULL && n->cache == NULL && n->codec == CONF_CODEC_NONE));
	MUST((n->separator == NULL) == (n->separator_len == 0) && (n->cache == NULL || n->cache->kind == STORE_MEMCACHED));
	MUST(n->hedge == HEDGE_OFF || n->primary->replicas > 1 || n->primary->connections > 1 ||
	    n->primary->kind == STORE_REDIS_CLUSTER);
	MUST((n->hedge == HEDGE_OFF) == (n->hedge_budget == 0) && n->hedge_budget <= 1000);
	MUST((n->hedge == HEDGE_AFTER) <= (n->hedge_after > 0 && n->hedge_after < n->primary->timeout));
	MUST((n->on_error == ON_ERROR_STALE) == (n->stale_for > 0) && (n->on_error != ON_ERROR_STALE || n->local));
	MUST(n->refresh_ahead == 0 || n->refresh_ahead < n->local_ttl);
	MUST(n->ttl_jitter <= 50 && (n->local_ttl > 0 || (n->ttl_jitter == 0 && n->negative_ttl == 0)));
	MUST(n->local_ttl % 1000000 == 0 && n->negative_ttl % 1000000 == 0 && n->refresh_ahead % 1000000 == 0);
}

static void
check_promises(const struct conf *c)
{
	unsigned defaults = 0;

	MUST(c->nlistens > 0 && c->threads >= 1 && c->maxconns >= 1);
	MUST(c->item_max >= 1024 && c->item_max <= c->memory / 2);
	for (unsigned i = 0; i < c->nlistens; i++)
		MUST(c->listens[i].path == NULL || c->listens[i].host == NULL);
	for (unsigned i = 0; i < c->nstores; i++)
		check_store(&c->stores[i]);
	for (unsigned i = 0; i < c->nspaces; i++) {
		check_space(&c->spaces[i]);
		defaults += c->spaces[i].prefix_len == 0;
	}
	MUST(defaults == 1);
}

static void
one_text(const char *data, size_t size)
{
	struct conf_ctx x;
	char *text = malloc(size + 1);

	MUST(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	open_ctx(&x);
	if (conf_parse_text(&x, text, size) && conf_args_listens(&x) && conf_check(&x, true)) {
		MUST(!x.failed);
		check_promises(x.conf);
	} else {
		MUST(x.failed && x.error[0] != '\0' && strpbrk(x.error, "\r\n") == NULL);
	}
	free(text);
	close_ctx(&x);
}

static void
a_good_file_is_still_good(void)
{
	static const char good[] = "threads = 3 store \"a\" { type = memcached servers = { \"h:1\" } }\n"
	    "namespace \"default\" { primary { store = a } }";
	struct conf_ctx x;
	char text[sizeof good];

	memcpy(text, good, sizeof good);
	open_ctx(&x);
	MUST(conf_parse_text(&x, text, sizeof good - 1) && x.conf->threads == 3 && x.conf->nstores == 1);
	close_ctx(&x);
}

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 65536)
		return (0);
	one_text((const char *)data, size);
	a_good_file_is_still_good();
	return (0);
}
