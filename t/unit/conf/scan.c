/* Unit tests of src/conf/scan.c: comments vanish, lines stay, what would be misread is refused. */
#include "conf/scan.c"
#include "ctx.h"
#include "tap.h"

/* The scanned text, or the message. */
static const char *
scanned_bytes(const char *text, size_t len)
{
	static char out[600];
	struct conf_ctx x;

	ctx_open(&x);
	memcpy(out, text, len);
	out[len] = '\0';
	if (!conf_set_str(&x, &x.conf->file, "f") || !conf_scan(&x, out, len))
		memcpy(out, x.error, sizeof x.error);
	ctx_close(&x);
	return (out);
}

static const char *
scanned(const char *text)
{
	return (scanned_bytes(text, strlen(text)));
}

static void
blanks_comments(void)
{
	is_s(scanned("a # b\nc"), "a    \nc", "# to the end of the line");
	is_s(scanned("a // b\nc"), "a     \nc", "// as well");
	is_s(scanned("a/*b\nc*/d"), "a   \n   d", "/* */ keeps its lines");
	is_s(scanned("/**/"), "    ", "the shortest");
	is_s(scanned("\"# // /* */\" '# /*'"), "\"# // /* */\" '# /*'", "not in strings");
	is_s(scanned("\"\\\"#\" # x"), "\"\\\"#\"    ", "an escaped quote does not end a string");
	is_s(scanned("'\\'#' # x"), "'\\'#'    ", "nor in single quotes");
	is_s(scanned("a\r\nb"), "a \nb", "the other line end");
	is_s(scanned("${HOME} \"${HOME}\" \"${X:-#}\""), "${HOME} \"${HOME}\" \"${X:-#}\"", "variables stay");
}

static void
refuses(void)
{
	is_s(scanned("a\n/* b\n\n"), "f:2: this comment never ends; */ closes it", "an open comment");
	is_s(scanned("a\n/*/"), "f:2: this comment never ends; */ closes it", "/*/ is open");
	is_s(scanned("a\n\n\"b\n\n"), "f:3: this string never ends; \" closes it", "an open string");
	is_s(scanned("'b"), "f:1: this string never ends; ' closes it", "an open single-quoted string");
	is_s(scanned("'b\\"), "f:1: this string never ends; ' closes it", "a backslash at the end");
	is_s(scanned("\"b\\"), "f:1: this string never ends; \" closes it", "the same in double quotes");
	is_s(scanned("\"b\\\""), "f:1: this string never ends; \" closes it", "an escaped quote at the end");
	is_s(scanned("\n\"a\\0b\""), "f:2: a NUL byte in a string; leave it out", "\\0");
	is_s(scanned("\"a\\x00b\""), "f:1: a NUL byte in a string; leave it out", "\\x00");
	is_s(scanned("\"a\\101 \\x41\""), "\"a\\101 \\x41\"", "other escapes may be");
	is_s(scanned("\n${A"), "f:2: ${ without its }; ${NAME} is an environment variable", "an open variable");
	is_s(scanned("\"${A\"}\""), "f:1: ${ without its }; ${NAME} is an environment variable", "one with a quote");
	is_s(scanned("a\n\001"), "f:2: control character 0x01; text only", "a control character");
	is_s(scanned("a\rb"), "f:1: control character 0x0d; text only", "a lone CR");
	is_s(scanned("listen *:1 {}"), "f:1: a bare *; put the word in quotes", "a bare *");
	is_s(scanned("a = /b/ c"), "f:1: a bare / at the end of a word; put the word in quotes", "a bare /");
	is_s(scanned("a {\n b {\n}\n"), "f:1: this { is never closed; a } at its end", "an open section");
	is_s(scanned("a {\n}}"), "f:2: a } too many; every } needs its {", "a } too many");
	is_s(scanned("a \"{\" '}' # {\n"), "a \"{\" '}'    \n", "braces in strings and comments do not count");
	is_s(scanned("{{{{{{{{{"), "f:1: a { too many; sections hold at most sections of one level", "too deep");
	is_s(scanned_bytes("a\nb\0c", 5), "f:2: a NUL byte; text only", "a NUL byte");
	is_s(scanned_bytes("a\n\n\"b\0\"", 7), "f:3: a NUL byte; text only", "a NUL byte in a string");
	is_s(scanned_bytes("\0", 1), "f:1: a NUL byte; text only", "a NUL byte alone");
}

int
main(void)
{
	is_s(scanned(""), "", "nothing");
	blanks_comments();
	refuses();
	return (done_testing());
}
