/*
 * unit.c - sizes, times, switches as people write them.
 *
 * Strict: the whole word or nothing. libconfuse's own numbers take "64MB" for 64, which is why every value reaches
 * us as text.
 */
#include "config.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/num.h"
#include "conf/parse.h"

struct unit {
	const char	*name;
	uint64_t	 factor;
};

/* Digits, then one of the units; no overflow. */
static bool
get_scaled(const char *s, const struct unit *units, size_t nunits, uint64_t *out)
{
	size_t digits = strspn(s, "0123456789");
	uint64_t v;

	if (!num_get_u64(slice_of(s, digits), &v))
		return (false);
	for (size_t i = 0; i < nunits; i++) {
		if (strcasecmp(s + digits, units[i].name) != 0)
			continue;
		if (v > UINT64_MAX / units[i].factor)
			return (false);
		*out = v * units[i].factor;
		return (true);
	}
	return (false);
}

bool
conf_get_size(const char *s, uint64_t unit, uint64_t *out)
{
	const struct unit units[] = {
		{ "", unit }, { "b", 1 },
		{ "k", 1ull << 10 }, { "kb", 1ull << 10 }, { "kib", 1ull << 10 },
		{ "m", 1ull << 20 }, { "mb", 1ull << 20 }, { "mib", 1ull << 20 },
		{ "g", 1ull << 30 }, { "gb", 1ull << 30 }, { "gib", 1ull << 30 },
		{ "t", 1ull << 40 }, { "tb", 1ull << 40 }, { "tib", 1ull << 40 },
	};

	return (get_scaled(s, units, NITEMS(units), out));
}

bool
conf_get_time(const char *s, uint64_t *out)
{
	static const struct unit units[] = {
		{ "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "min", 60000000 },
		{ "h", 3600000000 }, { "d", 86400000000 },
	};

	if (strcmp(s, "0") == 0) {
		*out = 0;
		return (true);
	}
	return (get_scaled(s, units, NITEMS(units), out));
}

bool
conf_get_percent(const char *s, unsigned *out)
{
	size_t whole = strspn(s, "0123456789"), tenth = s[whole] == '.' ? 1 : 0;
	const char *end = s + whole + 2 * tenth;
	uint32_t v;

	if (!num_get_u32(slice_of(s, whole), &v) || v > 1000)
		return (false);
	if (tenth == 1 && (s[whole + 1] < '0' || s[whole + 1] > '9'))
		return (false);
	if (strcmp(end, "") != 0 && strcmp(end, "%") != 0)
		return (false);
	*out = v * 10 + (tenth == 1 ? (unsigned)(end[-1] - '0') : 0);
	return (true);
}

bool
conf_get_bool(const char *s, bool *out)
{
	static const char *const yes[] = { "yes", "true", "on" }, *const no[] = { "no", "false", "off" };

	for (size_t i = 0; i < NITEMS(yes); i++) {
		if (strcasecmp(s, yes[i]) == 0 || strcasecmp(s, no[i]) == 0) {
			*out = strcasecmp(s, yes[i]) == 0;
			return (true);
		}
	}
	return (false);
}

bool
conf_get_octal(const char *s, unsigned *out)
{
	unsigned v = 0;

	if (*s == '\0' || strlen(s) > 6)
		return (false);
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '7')
			return (false);
		v = v * 8 + (unsigned)(*s - '0');
	}
	*out = v;
	return (true);
}
