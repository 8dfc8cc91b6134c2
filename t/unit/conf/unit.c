/* Unit tests of src/conf/unit.c: what is a size, a time, a switch, an access mode. */
#include "conf/unit.c"
#include "tap.h"

static void
sizes(void)
{
	static const struct {
		const char	*text;
		uint64_t	 size;
	} good[] = {
		{ "0", 0 }, { "1", 1 }, { "64b", 64 }, { "1k", 1024 }, { "1K", 1024 }, { "2kb", 2048 },
		{ "64MB", 67108864 }, { "2MiB", 2097152 }, { "3g", 3221225472 }, { "1TiB", 1ull << 40 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = {
		"", "k", "-1", "+1", " 1", "1 ", "1 k", "1.5m", "64MBs", "64mm", "0x10", "1e3", "18446744073709551616",
		"16777216t", "99999999999999999999999999",
	};
	uint64_t v;

	for (size_t i = 0; i < NITEMS(good); i++)
		ok(conf_get_size(good[i].text, 1, &v) && v == good[i].size, "size %s", good[i].text);
	ok(conf_get_size("64", 1 << 20, &v) && v == 67108864, "a bare number counts the given unit");
	ok(conf_get_size("64b", 1 << 20, &v) && v == 64, "with a unit it does not");
	for (size_t i = 0; i < NITEMS(bad); i++)
		ok(!conf_get_size(bad[i], 1, &v), "no size: \"%s\"", bad[i]);
}

static void
times(void)
{
	static const struct {
		const char	*text;
		uint64_t	 usec;
	} good[] = {
		{ "0", 0 }, { "1us", 1 }, { "5ms", 5000 }, { "180s", 180000000 }, { "2m", 120000000 },
		{ "2min", 120000000 }, { "1h", 3600000000 }, { "1D", 86400000000 },
	};
	static const char *const bad[] = {
		"", "5", "00", "s", "-1s", "1.5s", "1 s", "5x", "5secs", "18446744073709551615s", "99999999999999999999999s",
	};
	uint64_t v;

	for (size_t i = 0; i < NITEMS(good); i++)
		ok(conf_get_time(good[i].text, &v) && v == good[i].usec, "time %s", good[i].text);
	for (size_t i = 0; i < NITEMS(bad); i++)
		ok(!conf_get_time(bad[i], &v), "no time: \"%s\"", bad[i]);
}

static void
percentages(void)
{
	static const struct {
		const char	*text;
		unsigned	 per_mille;
	} good[] = {
		{ "0", 0 }, { "5", 50 }, { "5%", 50 }, { "0.5%", 5 }, { "0.5", 5 }, { "12.3%", 123 }, { "100%", 1000 },
		{ "1000", 10000 },
	};
	static const char *const bad[] = {
		"", "%", ".5", "5.", "5.%", "0.05", "5 %", "5%%", "-5", "+5", "5.x", "5x", "1001", "99999999999", "5,5",
	};
	unsigned v;

	for (size_t i = 0; i < NITEMS(good); i++)
		ok(conf_get_percent(good[i].text, &v) && v == good[i].per_mille, "percentage %s", good[i].text);
	for (size_t i = 0; i < NITEMS(bad); i++)
		ok(!conf_get_percent(bad[i], &v), "no percentage: \"%s\"", bad[i]);
}

static void
switches_and_modes(void)
{
	unsigned mode;
	bool b = false;

	ok(conf_get_bool("yes", &b) && b && conf_get_bool("Off", &b) && !b && conf_get_bool("true", &b) && b,
	    "yes, Off, true");
	ok(!conf_get_bool("", &b) && !conf_get_bool("1", &b) && !conf_get_bool("yess", &b), "no switches");
	ok(conf_get_octal("0755", &mode) && mode == 0755 && conf_get_octal("7", &mode) && mode == 7, "modes");
	ok(!conf_get_octal("", &mode) && !conf_get_octal("8", &mode) && !conf_get_octal("-7", &mode) &&
	    !conf_get_octal("07777777", &mode), "no modes");
}

int
main(void)
{
	sizes();
	times();
	percentages();
	switches_and_modes();
	return (done_testing());
}
