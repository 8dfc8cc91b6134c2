/*
 * report.c - counters of a run, as text for people and one line of JSON.
 *
 * Both forms show the same figures; the names in the JSON are what run.py and
 * other scripts rely on.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kvload.h"

static const char *const wrong_names[WRONG_KINDS] = {
	"length", "key", "body", "version", "stale", "flags", "protocol"
};

static const struct {
	const char	*name;
	double		 share;
} quantiles[] = {
	{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }
};
#define NQUANTILES (sizeof quantiles / sizeof *quantiles)

uint64_t
stats_wrong(const struct stats *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WRONG_KINDS; i++)
		sum += s->wrong[i];
	return sum;
}

uint64_t
stats_trouble(const struct stats *s)
{
	return s->errors + s->lost + s->unsent + s->closed;
}

static void
error_count(struct stats *s, const char *text, size_t len, uint64_t count)
{
	struct error_text *e;
	unsigned i;

	if (len > ERROR_TEXT_LEN - 1)
		len = ERROR_TEXT_LEN - 1;
	for (i = 0; i < ERROR_TEXTS - 1 && s->error[i].count > 0; i++)
		if (strlen(s->error[i].text) == len &&
		    memcmp(s->error[i].text, text, len) == 0)
			break;
	e = &s->error[i];
	if (e->count == 0 && i < ERROR_TEXTS - 1)
		memcpy(e->text, text, len);
	else if (i == ERROR_TEXTS - 1)
		memcpy(e->text, "(other texts)", sizeof "(other texts)");
	e->count += count;
}

void
stats_error(struct stats *s, const char *line, size_t len)
{
	s->errors++;
	error_count(s, line, len, 1);
}

void
stats_merge(struct stats *a, const struct stats *b)
{
	a->requests += b->requests;
	a->reads += b->reads;
	a->writes += b->writes;
	a->hits += b->hits;
	a->misses += b->misses;
	a->stored += b->stored;
	a->refused += b->refused;
	a->errors += b->errors;
	a->lost += b->lost;
	a->unsent += b->unsent;
	a->timeouts += b->timeouts;
	a->closed += b->closed;
	a->reconnects += b->reconnects;
	a->bytes_in += b->bytes_in;
	a->bytes_out += b->bytes_out;
	a->wakes += b->wakes;
	for (unsigned i = 0; i < WRONG_KINDS; i++)
		a->wrong[i] += b->wrong[i];
	for (unsigned i = 0; i < ERROR_TEXTS; i++)
		if (b->error[i].count > 0)
			error_count(a, b->error[i].text,
			    strlen(b->error[i].text), b->error[i].count);
	hist_merge(&a->latency, &b->latency);
}

static double
per(double a, uint64_t b)
{
	return b == 0 ? 0.0 : a / (double)b;
}

static void
text_trouble(const struct stats *s)
{
	if (stats_wrong(s) > 0) {
		(void)printf("  WRONG     %" PRIu64 ":", stats_wrong(s));
		for (unsigned i = 0; i < WRONG_KINDS; i++)
			if (s->wrong[i] > 0)
				(void)printf(" %s %" PRIu64, wrong_names[i],
				    s->wrong[i]);
		(void)printf("\n");
	}
	if (stats_trouble(s) + s->reconnects == 0)
		return;
	(void)printf("  errors    %" PRIu64 ", lost requests %" PRIu64
	    ", unsent %" PRIu64 ", connections closed %" PRIu64
	    " (silent %" PRIu64 "), reopened %" PRIu64 "\n", s->errors, s->lost,
	    s->unsent, s->closed, s->timeouts, s->reconnects);
	for (unsigned i = 0; i < ERROR_TEXTS; i++)
		if (s->error[i].count > 0)
			(void)printf("  %9" PRIu64 " %s\n", s->error[i].count,
			    s->error[i].text);
}

static void
text_latency(const struct stats *s)
{
	(void)printf("  us        mean %.1f", hist_mean(&s->latency) / 1e3);
	for (unsigned i = 0; i < NQUANTILES; i++)
		(void)printf("  %s %.1f", quantiles[i].name, (double)
		    hist_quantile(&s->latency, quantiles[i].share) / 1e3);
	(void)printf("  max %.1f\n", (double)s->latency.max / 1e3);
}

void
report_text(const struct opts *o, const struct outcome *out)
{
	const struct stats *s = &out->run;

	if (o->prefill) {
		(void)printf("prefill: %" PRIu64 " of %" PRIu32
		    " keys stored in %.2f s\n", out->prefill.stored,
		    o->gen.nkeys, out->prefill_seconds);
		text_trouble(&out->prefill);
	}
	if (o->prefill_only)
		return;
	(void)printf("%s: %" PRIu64 " requests in %.3f s, %.0f/s\n", o->target,
	    s->requests, out->seconds,
	    out->seconds > 0 ? (double)s->requests / out->seconds : 0.0);
	(void)printf("  reads     %" PRIu64 ", keys hit %" PRIu64 ", missed %"
	    PRIu64 "\n", s->reads, s->hits, s->misses);
	if (s->writes > 0)
		(void)printf("  writes    %" PRIu64 ", stored %" PRIu64
		    ", refused %" PRIu64 "\n", s->writes, s->stored,
		    s->refused);
	text_latency(s);
	(void)printf("  cpu us    %.3f per request here",
	    per(out->own_cpu * 1e6, s->requests));
	if (out->server_cpu >= 0)
		(void)printf(", %.3f in process %d",
		    per(out->server_cpu * 1e6, s->requests), (int)o->cpu_of);
	(void)printf("; %.1f requests per wake-up\n",
	    per((double)s->requests, s->wakes));
	text_trouble(s);
}

/* An error text as a JSON string; servers may send anything. */
static void
json_string(const char *text)
{
	(void)putchar('"');
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			(void)printf("\\%c", c);
		else if (c < ' ' || c > 126)
			(void)printf("\\u%04x", c);
		else
			(void)putchar(c);
	}
	(void)putchar('"');
}

static void
json_stats(const struct stats *s)
{
	const char *comma = "";

	(void)printf("\"requests\":%" PRIu64 ",\"reads\":%" PRIu64
	    ",\"writes\":%" PRIu64 ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64
	    ",\"stored\":%" PRIu64 ",\"refused\":%" PRIu64, s->requests,
	    s->reads, s->writes, s->hits, s->misses, s->stored, s->refused);
	(void)printf(",\"errors\":%" PRIu64 ",\"lost\":%" PRIu64
	    ",\"unsent\":%" PRIu64 ",\"timeouts\":%" PRIu64 ",\"closed\":%"
	    PRIu64 ",\"reconnects\":%" PRIu64, s->errors, s->lost, s->unsent,
	    s->timeouts, s->closed, s->reconnects);
	(void)printf(",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64
	    ",\"wakes\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"wrong_kinds\":{",
	    s->bytes_in, s->bytes_out, s->wakes, stats_wrong(s));
	for (unsigned i = 0; i < WRONG_KINDS; i++)
		(void)printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "",
		    wrong_names[i], s->wrong[i]);
	(void)printf("},\"error_texts\":{");
	for (unsigned i = 0; i < ERROR_TEXTS; i++)
		if (s->error[i].count > 0) {
			(void)fputs(comma, stdout);
			json_string(s->error[i].text);
			(void)printf(":%" PRIu64, s->error[i].count);
			comma = ",";
		}
	(void)printf("},\"latency_us\":{\"mean\":%.3f",
	    hist_mean(&s->latency) / 1e3);
	for (unsigned i = 0; i < NQUANTILES; i++)
		(void)printf(",\"%s\":%.3f", quantiles[i].name, (double)
		    hist_quantile(&s->latency, quantiles[i].share) / 1e3);
	(void)printf(",\"max\":%.3f}", (double)s->latency.max / 1e3);
}

void
report_json(const struct opts *o, const struct outcome *out)
{
	(void)printf("{");
	if (o->prefill) {
		(void)printf("\"prefill\":{\"seconds\":%.6f,",
		    out->prefill_seconds);
		json_stats(&out->prefill);
		(void)printf("},");
	}
	(void)printf("\"seconds\":%.6f,\"rate\":%.1f,\"cpu\":%.9f,", out->seconds,
	    out->seconds > 0 ? (double)out->run.requests / out->seconds : 0.0,
	    out->own_cpu);
	if (out->server_cpu >= 0)
		(void)printf("\"server_cpu\":%.9f,", out->server_cpu);
	json_stats(&out->run);
	(void)printf("}\n");
}
