/* Unit tests of src/proto/record_reply.c; the file is included to reach its statics. */
#include "proto/record_reply.c"
#include "base/check.h"
#include "tap.h"

static struct record_cmd
asked(const char *returns, const char *opaque, uint32_t flags)
{
	struct record_cmd cmd = { .flags = flags, .nreturns = (uint8_t)strlen(returns), .opaque = slice_str(opaque) };

	memcpy(cmd.returns, returns, strlen(returns));
	return (cmd);
}

static const struct record_answer plain = { .id = { "u:42", 4 }, .key = { "name", 4 }, .client_flags = 7,
    .ttl = OP_TTL_NONE, .version = 1795305600000000, .size = 5, .len = 5 };

/* The line, and that its price is that of what goes out. */
static void
item_is(const struct record_cmd *cmd, const struct record_answer *a, const char *want)
{
	char line[RECORD_REPLY_MAX + 1];
	size_t n = (size_t)(record_reply_item(line, cmd, a) - line);

	line[n] = '\0';
	is_s(line, want, "%.*s: %.*s", cmd->nreturns, cmd->returns, (int)strcspn(want, "\r"), want);
	is_u(record_reply_cost(cmd, a), n + (strncmp(want, "VA ", 3) == 0 ? a->len + 2 : 0), "... and its price");
}

static void
flags_stand_as_asked(void)
{
	struct record_cmd cmd = asked("kv", "", 0);
	struct record_answer a = plain;

	item_is(&cmd, &a, "VA 5 kname\r\n");
	cmd = asked("v", "", 0);
	item_is(&cmd, &a, "VA 5\r\n");
	cmd = asked("k", "", 0);
	item_is(&cmd, &a, "HD kname\r\n");
	cmd = asked("fcOtsvk", "O12", 0);
	item_is(&cmd, &a, "VA 5 f7 c1795305600000000 O12 t-1 s5 kname\r\n");
	cmd = asked("ikv", "", 0);
	item_is(&cmd, &a, "VA 5 iu:42 kname\r\n");
	a.ttl = 30;
	cmd = asked("t", "", 0);
	item_is(&cmd, &a, "HD t30\r\n");
}

static void
names(void)
{
	static const char *const binary[] = { "a b", "\x7f", "a\nb", "\x01", "a\tb" };
	struct record_cmd cmd = asked("kv", "", 0);
	struct record_answer a = plain;

	a.key = slice_of("", 0);
	item_is(&cmd, &a, "VA 5 k\r\n");
	a.key = slice_of(NULL, 0);
	cmd = asked("kv", "", RF_BINARY);
	item_is(&cmd, &a, "VA 5 k b\r\n");
	cmd = asked("kv", "", 0);
	for (unsigned i = 0; i < NITEMS(binary); i++) {
		a.key = slice_str(binary[i]);
		ok(names_are_binary(&cmd, &a), "not to be told as it is (%u)", i);
	}
	a.key = slice_of("a\0b", 3);
	item_is(&cmd, &a, "VA 5 kYQBi b\r\n");
	a.key = SLICE_LIT("\xc3\xa9\x80\xff!~");
	item_is(&cmd, &a, "VA 5 k\xc3\xa9\x80\xff!~\r\n");
	cmd = asked("kvf", "", RF_BINARY);
	a.key = SLICE_LIT("name");
	item_is(&cmd, &a, "VA 5 kbmFtZQ== b f7\r\n");
	/* What a line does not show needs no b. */
	cmd = asked("vf", "", RF_BINARY);
	item_is(&cmd, &a, "VA 5 f7\r\n");
	/* b is one for both names. */
	cmd = asked("iskvf", "", 0);
	a.key = SLICE_LIT("a b");
	item_is(&cmd, &a, "VA 5 idTo0Mg== s5 kYSBi b f7\r\n");
	cmd = asked("ksivf", "", 0);
	a.key = SLICE_LIT("name");
	a.id = SLICE_LIT("u 1");
	item_is(&cmd, &a, "VA 5 kbmFtZQ== s5 idSAx b f7\r\n");
	cmd = asked("kvf", "", 0);
	item_is(&cmd, &a, "VA 5 kname f7\r\n");
}

static void
what_is_added(void)
{
	struct record_cmd cmd = asked("kvO", "Ox", 0);
	struct record_answer a = plain;

	a.left_out = true;
	a.size = 70000;
	item_is(&cmd, &a, "HD kname Ox s70000\r\n");
	cmd = asked("skv", "", 0);
	item_is(&cmd, &a, "HD s70000 kname\r\n");
	cmd = asked("k", "", 0);
	item_is(&cmd, &a, "HD kname\r\n");
	a.left_out = false;
	a.codec = CODEC_ZSTD;
	a.len = 99;
	item_is(&cmd, &a, "HD kname\r\n");
	cmd = asked("kvOs", "Ox", 0);
	item_is(&cmd, &a, "VA 99 kname Ox s70000 Zzstd\r\n");
}

static void
longest_lines_fit(void)
{
	struct record_cmd cmd = asked("ikvstcfO", "Oooooooooooooooooooooooooooooooo", RF_BINARY);
	struct record_answer a = { .client_flags = UINT32_MAX, .ttl = INT32_MIN, .version = UINT64_MAX,
	    .size = UINT64_MAX, .len = UINT64_MAX, .codec = CODEC_ZSTD };
	static char key[RECORD_ITEM_KEY_MAX], token[RECORD_TOKEN_MAX], buf[2 * RECORD_REPLY_MAX];

	a.id = slice_of(key, OP_KEY_MAX);
	a.key = slice_of(key, sizeof key);
	ok(record_reply_item(buf, &cmd, &a) <= buf + RECORD_REPLY_MAX, "the longest item's line fits");
	ok(record_reply_end(buf, &cmd, slice_of(token, sizeof token), "partial", true) <= buf + RECORD_REPLY_MAX,
	    "the longest end fits");
}

static void
end_is(const struct record_cmd *cmd, const char *token, const char *reason, bool items, const char *want)
{
	char line[RECORD_REPLY_MAX + 1];

	*record_reply_end(line, cmd, slice_str(token), reason, items) = '\0';
	is_s(line, want, "end: %.*s", (int)strcspn(want, "\r"), want);
}

static void
ends(void)
{
	struct record_cmd cmd = asked("kv", "", 0);

	end_is(&cmd, "", NULL, false, "EN\r\n");
	end_is(&cmd, "abc", "size", true, "EN Nabc Wsize\r\n");
	end_is(&cmd, "", "limit", true, "EN Wlimit\r\n");
	cmd = asked("kv", "O1", RF_QUIET);
	end_is(&cmd, "", NULL, false, "");
	end_is(&cmd, "", NULL, true, "EN O1\r\n");
	end_is(&cmd, "abc", "slo", false, "EN Nabc Wslo O1\r\n");
	end_is(&cmd, "", "limit", false, "EN Wlimit O1\r\n");
}

static void
done_is(uint32_t flags, const char *opaque, const char *want)
{
	struct record_cmd cmd = asked("", opaque, flags);
	char line[RECORD_REPLY_MAX + 1];

	*record_reply_done(line, &cmd, 17) = '\0';
	is_s(line, want, "done: %.*s", (int)strcspn(want, "\r"), want);
}

static void
signals(void)
{
	struct record_cmd cmd = asked("", "Oq", RF_QUIET);
	char buf[RECORD_REPLY_MAX], *p = buf;

	p = record_reply_signal(p, "codecs", SLICE_LIT("zstd"));
	p = record_reply_number(p, "id_max", 250);
	*record_reply_signals_end(p, &cmd) = '\0';
	is_s(buf, "SIG codecs zstd\r\nSIG id_max 250\r\nEND Oq\r\n", "signals");
}

static void
codecs(void)
{
	uint8_t codec = 77;

	ok(record_codec_find(SLICE_LIT("zstd"), &codec) && codec == CODEC_ZSTD, "zstd");
	ok(record_codec_find(SLICE_LIT("none"), &codec) && codec == CODEC_NONE, "none");
	ok(!record_codec_find(SLICE_LIT("zst"), &codec) && !record_codec_find(SLICE_NULL, &codec) &&
	    !record_codec_find(SLICE_LIT("ZSTD"), &codec), "no others");
	is_s(record_codec_word(CODEC_ZSTD), "zstd", "its word");
}

int
main(void)
{
	flags_stand_as_asked();
	names();
	what_is_added();
	longest_lines_fit();
	ends();
	done_is(0, "", "HD\r\n");
	done_is(RF_CAS, "O1", "HD c17 O1\r\n");
	done_is(0, "O1", "HD O1\r\n");
	done_is(RF_CAS | RF_QUIET, "O1", "");
	signals();
	codecs();
	return (done_testing());
}
