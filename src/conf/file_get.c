/*
 * file_get.c - one value of the configuration file, strictly.
 *
 * A key that is absent leaves what the caller had, which is how defaults work.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "conf/file.h"

bool
file_get_uint(struct conf_ctx *x, cfg_t *sec, const char *key, unsigned min, unsigned max, unsigned *out)
{
	const struct conf_value *v = file_value(sec, key);
	uint32_t n;

	if (v == NULL)
		return (true);
	if (!num_get_u32(slice_str(v->text), &n) || n < min || n > max)
		return (conf_fail_at(x, v->line, "%s = %.60s is out of bounds; a number from %u to %u", key, v->text, min,
		    max));
	*out = n;
	return (true);
}

/* The largest unit that says it without a remainder. */
static const char *
put_size(char *buf, size_t size, uint64_t v)
{
	unsigned i = 0;

	while (v != 0 && v % 1024 == 0 && i < 4) {
		v /= 1024;
		i++;
	}
	snprintf(buf, size, "%" PRIu64 "%.*sB", v, i > 0, &" KMGT"[i]);
	return (buf);
}

bool
file_get_size(struct conf_ctx *x, cfg_t *sec, const char *key, uint64_t min, uint64_t max, size_t *out)
{
	const struct conf_value *v = file_value(sec, key);
	char lo[32], hi[32];
	uint64_t n;

	if (v == NULL)
		return (true);
	if (!conf_get_size(v->text, 1, &n))
		return (conf_fail_at(x, v->line, "%s = %.60s is not a size; a number with B, KB, MB, GB or TB, like 64MB",
		    key, v->text));
	if (n < min || n > max)
		return (conf_fail_at(x, v->line, "%s = %.60s is out of bounds; %s to %s", key, v->text,
		    put_size(lo, sizeof lo, min), put_size(hi, sizeof hi, max)));
	*out = (size_t)n;
	return (true);
}

/* The same for a time. */
static const char *
put_time(char *buf, size_t size, uint64_t v)
{
	static const struct {
		const char	*unit;
		uint64_t	 factor;
	} units[] = {
		{ "d", 86400000000 }, { "h", 3600000000 }, { "m", 60000000 }, { "s", 1000000 }, { "ms", 1000 }, { "us", 1 },
	};
	unsigned i = 0;

	while (v % units[i].factor != 0)
		i++;
	if (v == 0)
		snprintf(buf, size, "0");
	else
		snprintf(buf, size, "%" PRIu64 "%s", v / units[i].factor, units[i].unit);
	return (buf);
}

bool
file_get_time(struct conf_ctx *x, cfg_t *sec, const char *key, uint64_t min, uint64_t max, uint64_t *out)
{
	const struct conf_value *v = file_value(sec, key);
	char lo[32], hi[32];
	uint64_t n;

	if (v == NULL)
		return (true);
	if (!conf_get_time(v->text, &n))
		return (conf_fail_at(x, v->line, "%s = %.60s is not a time; a number with us, ms, s, m, h or d, like 500ms",
		    key, v->text));
	if (n < min || n > max)
		return (conf_fail_at(x, v->line, "%s = %.60s is out of bounds; %s to %s", key, v->text,
		    put_time(lo, sizeof lo, min), put_time(hi, sizeof hi, max)));
	*out = n;
	return (true);
}

bool
file_get_seconds(struct conf_ctx *x, cfg_t *sec, const char *key, uint64_t min, uint64_t max, uint64_t *out)
{
	const struct conf_value *v = file_value(sec, key);

	if (!file_get_time(x, sec, key, min, max, out))
		return (false);
	if (v != NULL && *out % FILE_SECOND != 0)
		return (conf_fail_at(x, v->line, "%s = %.60s is no whole number of seconds; 1s or more%s", key, v->text,
		    min == 0 ? ", or 0" : ""));
	return (true);
}

bool
file_get_percent(struct conf_ctx *x, cfg_t *sec, const char *key, unsigned min, unsigned max, unsigned *out)
{
	const struct conf_value *v = file_value(sec, key);
	unsigned n;

	if (v == NULL)
		return (true);
	if (!conf_get_percent(v->text, &n) || n < min * 10 || n > max * 10)
		return (conf_fail_at(x, v->line, "%s = %.60s is no good percentage; %u%% to %u%%", key, v->text, min, max));
	*out = n;
	return (true);
}

bool
file_get_bool(struct conf_ctx *x, cfg_t *sec, const char *key, bool *out)
{
	const struct conf_value *v = file_value(sec, key);

	if (v == NULL || conf_get_bool(v->text, out))
		return (true);
	return (conf_fail_at(x, v->line, "%s = %.60s is neither; yes or no", key, v->text));
}

bool
file_get_str(struct conf_ctx *x, cfg_t *sec, const char *key, char **out)
{
	const struct conf_value *v = file_value(sec, key);

	if (v == NULL)
		return (true);
	if (v->text[0] == '\0')
		return (conf_fail_at(x, v->line, "%s is empty; leave it out or give it a value", key));
	return (conf_set_str(x, out, v->text));
}

bool
file_get_word(struct conf_ctx *x, cfg_t *sec, const char *key, const char *const *words, int *out)
{
	const struct conf_value *v = file_value(sec, key);
	char known[300] = "";

	if (v == NULL)
		return (true);
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(v->text, words[i]) == 0) {
			*out = i;
			return (true);
		}
		if (i > 0)
			strncat(known, ", ", sizeof known - strlen(known) - 1);
		strncat(known, words[i], sizeof known - strlen(known) - 1);
	}
	return (conf_fail_at(x, v->line, "%s = %.60s is unknown; %s", key, v->text, known));
}
