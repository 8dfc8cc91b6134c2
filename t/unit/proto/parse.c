/* Unit tests of src/proto/parse.c; the file is included to reach its statics. */
#include "proto/parse.c"
#include "lines.h"

static void
every_word_is_found(void)
{
	for (unsigned id = CMD_BAD + 1; id < CMD_COUNT; id++) {
		char word[32], longer[40];
		size_t len = strlen(words[id]);

		snprintf(word, sizeof word, "%s", words[id]);
		is_u(word_lookup(word, len), id, "%s", word);
		snprintf(longer, sizeof longer, "%sx", word);
		ok(word_lookup(longer, len + 1) == CMD_BAD, "%s is none", longer);
		word[len - 1] ^= 0x20;
		ok(word_lookup(word, len) == CMD_BAD, "%s is none", word);
		is_s(command_word((enum cmd_id)id), words[id], "its name for the log");
	}
	is_s(command_word(CMD_BAD), "?", "what is no command has a name too");
	is_s(command_word(CMD_COUNT), "?", "so has what is out of bounds");
}

static void
hot_words_agree_with_the_others(void)
{
	static const char *const hot[] = { "mg k", "ms k", "get k", "set k" };
	size_t len;

	for (unsigned i = 0; i < NITEMS(hot); i++) {
		enum cmd_id id = hot_word(hot[i], &len);

		ok(id == CMD_BAD || id == word_lookup(hot[i], strcspn(hot[i], " ")), "%s", hot[i]);
		ok(id == CMD_BAD || len == strcspn(hot[i], " "), "... and its length");
	}
	ok(hot_word("gets k", &len) == CMD_BAD && hot_word("mgx ", &len) == CMD_BAD, "others are not");
}

static void
unknown_words(void)
{
	line_bad("foo", "ERROR", false, 0);
	line_bad("GET a", "ERROR", false, 0);
	line_bad("get\ta", "ERROR", false, 0);
	line_bad("mgx", "ERROR", false, 0);
	line_bad("mx a", "ERROR", false, 0);
	line_bad(" get a", "ERROR", false, 0);
	line_bad("foo noreply", "ERROR", true, 0);
	line_bad("foo noreply x", "ERROR", false, 0);
	line_bad("    ", "ERROR", false, 0);
	line_bad("", BAD_FORMAT, false, 0);
	line_bad("x", BAD_FORMAT, false, 0);
	line_bad("ab", "ERROR", false, 0);
}

/* With a bare newline, three bytes are too short for anything: memcached's minimum counts the line's end. */
static void
short_lines(void)
{
	struct description d;
	size_t used;

	is_s(line_outcome(&d, "mn\n", 3, &used), "? " BAD_FORMAT " swallow=0", "mn and a newline");
	is_u(used, 3, "... all of it is used");
	is_s(line_outcome(&d, "mn\r\n", 4, &used), "mn nwords=0", "mn and a whole end");
	is_s(line_outcome(&d, "\n", 1, &used), "? " BAD_FORMAT " swallow=0", "a newline");
	is_s(line_outcome(&d, "get a\nget b\n", 12, &used),
	    "get verb=0 mode=0 opts=o want=vf T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<a> nkeys=1 key=<a>",
	    "a second line waits");
	is_u(used, 6, "... behind the first");
}

static void
words_of_the_other_commands(void)
{
	line_is("version foo bar", "version nwords=2 word=<foo> word=<bar>");
	line_is("version noreply", "version nwords=1 word=<noreply>");
	line_is("stats noreply", "stats nwords=1 word=<noreply>");
	line_is("verbosity 1 noreply", "verbosity quiet nwords=2 word=<1> word=<noreply>");
	line_is("flush_all", "flush_all nwords=0");
	line_is("flush_all 10 noreply", "flush_all quiet nwords=2 word=<10> word=<noreply>");
	line_is("  flush_all  5 ", "flush_all nwords=1 word=<5>");
	line_is(" cache_memlimit 64", "cache_memlimit nwords=1 word=<64>");
	line_is("quit now", "quit close nwords=1 word=<now>");
	line_is("mn x", "mn nwords=1 word=<x>");
	line_bad(" version", "ERROR", false, 0);
	line_bad(" quit", "ERROR", false, 0);
	line_is("stats a b c d e f g h i j", "stats nwords=10 word=<a> word=<b> word=<c> word=<d> word=<e> word=<f> "
	    "word=<g> word=<h>");
	line_is("lru_crawler metadump all", "lru_crawler nwords=2 word=<metadump> word=<all>");
}

static void
others_protocols(void)
{
	struct description d;
	size_t used;

	is_s(line_outcome(&d, "GET / HTTP/1.1\r\n", 16, &used), "close http", "HTTP");
	is_s(line_outcome(&d, "get / HTTP/1.1\r\n", 16, &used),
	    "get verb=0 mode=0 opts=o want=vf T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=</> nkeys=2 key=</> key=<HTTP/1.1>",
	    "not what begins with a command");
	line_bad("HTTP/1.1", "ERROR", false, 0);
	is_s(line_outcome(&d, "\x80", 1, &used), "close binary", "the first byte of a binary request");
	is_s(line_outcome(&d, "\x80\n", 2, &used), "close binary", "... with a newline behind it");
	is_s(line_outcome(&d, "\x80\x01xxxx\n", 7, &used), "close binary", "... with more");
	is_s(line_outcome(&d, "g\x80t a\n", 6, &used), "? ERROR swallow=0", "elsewhere it is a byte like others");
}

static void
long_lines(void)
{
	static char buf[70000];
	struct description d;
	size_t used;

	memset(buf, 'k', sizeof buf);
	is_s(line_outcome(&d, buf, 2048, &used), "more", "2048 bytes may yet end");
	is_s(line_outcome(&d, buf, 2049, &used), "close long", "2049 may not");
	memcpy(buf, "get ", 4);
	is_s(line_outcome(&d, buf, 2049, &used), "more", "unless they begin as a get");
	is_s(line_outcome(&d, buf, 65536, &used), "more", "... up to its own limit");
	is_s(line_outcome(&d, buf, 65537, &used), "close long", "... not beyond");
	memcpy(buf, "  gets ", 7);
	is_s(line_outcome(&d, buf, 2049, &used), "more", "spaces may lead");
	memset(buf, ' ', 101);
	is_s(line_outcome(&d, buf, 2049, &used), "close long", "but not any number");
	memcpy(buf, "gat 0 ", 6);
	is_s(line_outcome(&d, buf, 2049, &used), "close long", "gat is no get");
	memset(buf, ' ', 5000);
	is_s(line_outcome(&d, buf, 5000, &used), "close long", "nor are spaces");
	/* A line that is there as a whole is read. */
	memset(buf, ' ', 5000);
	memcpy(buf, "mg k v", 6);
	buf[4999] = '\n';
	is_s(line_outcome(&d, buf, 5000, &used),
	    "mg verb=0 mode=0 opts= want=v T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k> answer= O=<> P=<> L=<>",
	    "a long line that has come is read");
}

int
main(void)
{
	every_word_is_found();
	hot_words_agree_with_the_others();
	unknown_words();
	short_lines();
	words_of_the_other_commands();
	others_protocols();
	long_lines();
	return (done_testing());
}
