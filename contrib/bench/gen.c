/*
 * gen.c - keys, their choice, and values that prove themselves.
 *
 * A body is a piece of one pool of random bytes, at an offset hashed from key,
 * run, version and length. Making a value is then one memcpy and checking it
 * one memcmp, which keeps the generator far cheaper than the servers it loads;
 * two values agree in their bodies by accident once in POOL_OFFSETS.
 */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"

#define POOL_OFFSETS	(1u << 18)
#define SIZE_LIMIT	(256u << 20)

static uint64_t
gen_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t
gen_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	return gen_mix(*state);
}

double
gen_random_unit(uint64_t *state)
{
	return (double)(gen_random(state) >> 11) * 0x1.0p-53;
}

/* A decimal number from lowest to SIZE_LIMIT; moves *text behind it. */
static bool
size_number(const char **text, uint32_t lowest, uint32_t *out)
{
	unsigned long v;
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	v = strtoul(*text, &end, 10);
	if (errno != 0 || v < lowest || v > SIZE_LIMIT)
		return false;
	*text = end;
	*out = (uint32_t)v;
	return true;
}

static bool
size_parse_lognormal(struct gen_size *s, const char *text)
{
	char *end;

	s->kind = SIZE_LOGNORMAL;
	s->min = 1;
	s->max = 1000000;
	s->median = strtod(text, &end);
	if (end == text || *end != ',' || !(s->median >= 1))
		return false;
	text = end + 1;
	s->sigma = strtod(text, &end);
	if (end == text || !(s->sigma >= 0 && s->sigma < 10))
		return false;
	if (*end == '\0')
		return true;
	text = end + 1;
	return *end == ',' && size_number(&text, 1, &s->max) && *text == '\0';
}

static bool
size_parse_list(struct gen_size *s, const char *text)
{
	s->kind = SIZE_LIST;
	for (s->n = 0; s->n < GEN_SIZES_MAX; s->n++) {
		if (!size_number(&text, 0, &s->size[s->n]) || *text++ != ':' ||
		    !size_number(&text, 1, &s->weight[s->n]))
			return false;
		s->weights += s->weight[s->n];
		if (s->n == 0 || s->size[s->n] < s->min)
			s->min = s->size[s->n];
		if (s->size[s->n] > s->max)
			s->max = s->size[s->n];
		if (*text == '\0') {
			s->n++;
			return true;
		}
		if (*text++ != ',')
			return false;
	}
	return false;
}

bool
gen_size_parse(struct gen_size *s, const char *text)
{
	const char *p = text;

	memset(s, 0, sizeof *s);
	if (strncmp(text, "lognormal:", 10) == 0)
		return size_parse_lognormal(s, text + 10);
	if (strchr(text, ':') != NULL)
		return size_parse_list(s, text);
	if (!size_number(&p, 0, &s->min))
		return false;
	s->max = s->min;
	if (*p == '-') {
		p++;
		s->kind = SIZE_RANGE;
		if (!size_number(&p, s->min, &s->max))
			return false;
	}
	return *p == '\0';
}

/*
 * Zipf by rejection-inversion (Hörmann and Derflinger 1996): the area under
 * x^-theta is inverted and the few points above the staircase are drawn again.
 * Constant time and no table, so the number of keys costs nothing.
 */
static double
zipf_area(double x, double theta)
{
	double l = log(x), a = (1 - theta) * l;

	return fabs(a) < 1e-8 ? l * (1 + a / 2) : expm1(a) / (1 - theta);
}

static double
zipf_area_inverse(double y, double theta)
{
	double a = y * (1 - theta);

	if (a < -1)
		a = -1;
	return exp(fabs(a) < 1e-8 ? y * (1 - a / 2) : log1p(a) / (1 - theta));
}

uint32_t
gen_pick(const struct gen *g, uint64_t *random_state)
{
	double u, x, k;

	if (g->theta <= 0)
		return (uint32_t)((gen_random(random_state) >> 32) *
		    g->nkeys >> 32);
	for (;;) {
		u = g->h_last + gen_random_unit(random_state) *
		    (g->h_first - g->h_last);
		x = zipf_area_inverse(u, g->theta);
		k = floor(x + 0.5);
		if (k < 1)
			k = 1;
		else if (k > g->nkeys)
			k = g->nkeys;
		if (k - x <= g->cut ||
		    u >= zipf_area(k + 0.5, g->theta) - pow(k, -g->theta))
			return (uint32_t)k - 1;
	}
}

bool
gen_setup(struct gen *g)
{
	uint64_t seed = 0x6b766c6f6164, r;
	size_t len = (size_t)POOL_OFFSETS + g->size.max, i;

	if (g->theta > 0) {
		g->h_first = zipf_area(1.5, g->theta) - 1;
		g->h_last = zipf_area(g->nkeys + 0.5, g->theta);
		g->cut = 2 - zipf_area_inverse(zipf_area(2.5, g->theta) -
		    pow(2, -g->theta), g->theta);
	}
	g->pool = malloc(len + sizeof r);
	if (g->pool == NULL)
		return false;
	for (i = 0; i < len; i += sizeof r) {
		r = gen_random(&seed);
		memcpy(g->pool + i, &r, sizeof r);
	}
	return true;
}

void
gen_teardown(struct gen *g)
{
	free(g->pool);
	g->pool = NULL;
}

unsigned
gen_key(const struct gen *g, uint32_t key, char *out)
{
	memcpy(out, g->prefix, g->prefix_len);
	for (unsigned i = g->digits; i-- > 0; key /= 10)
		out[g->prefix_len + i] = (char)('0' + key % 10);
	return g->prefix_len + g->digits;
}

bool
gen_key_parse(const struct gen *g, const char *text, size_t len, uint32_t *key)
{
	uint64_t v = 0;

	if (len != g->prefix_len + g->digits ||
	    memcmp(text, g->prefix, g->prefix_len) != 0)
		return false;
	for (size_t i = g->prefix_len; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(text[i] - '0');
		if (v >= g->nkeys)
			return false;
	}
	*key = (uint32_t)v;
	return true;
}

uint32_t
gen_flags(uint32_t key)
{
	return (uint32_t)(gen_mix(key + 1) & 0xffff);
}

static uint32_t
size_lognormal(const struct gen_size *s, uint64_t *state)
{
	double u = 1 - gen_random_unit(state), v = gen_random_unit(state), x;

	x = s->median * exp(s->sigma * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
	if (x < s->min)
		return s->min;
	return x > s->max ? s->max : (uint32_t)x;
}

uint32_t
gen_value_size(const struct gen *g, uint32_t key, uint32_t version)
{
	const struct gen_size *s = &g->size;
	uint64_t state = (uint64_t)version << 32 | key;
	uint32_t w;

	switch (s->kind) {
	case SIZE_FIXED:
		break;
	case SIZE_RANGE:
		return s->min + (uint32_t)((gen_random(&state) >> 32) *
		    ((uint64_t)s->max - s->min + 1) >> 32);
	case SIZE_LIST:
		w = (uint32_t)((gen_random(&state) >> 32) * s->weights >> 32);
		for (unsigned i = 0; i < s->n; i++) {
			if (w < s->weight[i])
				return s->size[i];
			w -= s->weight[i];
		}
		break;
	case SIZE_LOGNORMAL:
		return size_lognormal(s, &state);
	}
	return s->max;
}

static const char *
gen_body(const struct gen *g, const uint32_t head[4])
{
	uint64_t h;

	h = gen_mix((uint64_t)head[1] << 32 | head[2]);
	h = gen_mix(h + ((uint64_t)head[3] << 32 | head[0]));
	return g->pool + (h & (POOL_OFFSETS - 1));
}

void
gen_value(const struct gen *g, uint32_t key, uint32_t version, char *out,
    uint32_t size)
{
	uint32_t head[4] = { key, g->run, version, size };

	if (size < GEN_HEAD) {
		head[1] = head[2] = 0;
		memcpy(out, gen_body(g, head), size);
		return;
	}
	memcpy(out, head, GEN_HEAD);
	memcpy(out + GEN_HEAD, gen_body(g, head) + GEN_HEAD, size - GEN_HEAD);
}

static enum gen_wrong
gen_verify_short(const struct gen *g, uint32_t key, const char *value,
    size_t len)
{
	uint32_t head[4] = { key, 0, 0, (uint32_t)len };

	if (len > g->size.max)
		return GEN_WRONG_LENGTH;
	return memcmp(value, gen_body(g, head), len) == 0 ?
	    GEN_OK : GEN_WRONG_BODY;
}

enum gen_wrong
gen_verify(const struct gen *g, uint32_t key, const char *value, size_t len,
    struct gen_seen *seen)
{
	uint32_t head[4];

	seen->run = seen->version = 0;
	if (g->fixed && len != gen_value_size(g, key, 0))
		return GEN_WRONG_LENGTH;
	if (len < GEN_HEAD)
		return gen_verify_short(g, key, value, len);
	memcpy(head, value, GEN_HEAD);
	seen->run = head[1];
	seen->version = head[2];
	if (head[0] != key)
		return GEN_WRONG_KEY;
	if (head[3] != len || len > g->size.max)
		return GEN_WRONG_LENGTH;
	if (g->fixed && (head[1] != 0 || head[2] != 0))
		return GEN_WRONG_VERSION;
	return memcmp(value + GEN_HEAD, gen_body(g, head) + GEN_HEAD,
	    len - GEN_HEAD) == 0 ? GEN_OK : GEN_WRONG_BODY;
}
