/* Unit tests of src/req/record_plan.c: what later sub-commands and lines leave of earlier ones. */
#include "proto/command.h"
#include "req/record_plan.c"
#include "tap.h"

#define OPS_MAX	8

static struct record_sub subs[OPS_MAX];
static struct record_item items[OPS_MAX][8];
static struct slice keys[OPS_MAX][8];
static struct plan_op ops[OPS_MAX];
static size_t nops;

static struct record_cmd *
add(uint8_t id, const char *record, const char *list)
{
	struct record_sub *sub = &subs[nops];

	memset(sub, 0, sizeof *sub);
	sub->cmd.id = id;
	sub->cmd.key = slice_str(record);
	for (; *list != '\0'; list++)
		if (id == CMD_KP)
			items[nops][sub->nitems++].key = slice_of(list, 1);
		else
			keys[nops][sub->cmd.nkeys++] = slice_of(list, 1);
	sub->items = items[nops];
	sub->cmd.keys = keys[nops];
	/* All of one hash: they are told apart by their names. */
	ops[nops] = (struct plan_op){ .sub = sub, .space = NULL, .hash = 1 };
	nops++;
	return (&sub->cmd);
}

static void
range(const char *record, const char *from, const char *until, const char *head)
{
	struct record_cmd *cmd = add(CMD_KD, record, "");

	cmd->flags = (from != NULL ? RF_FROM : 0) | (until != NULL ? RF_UNTIL : 0) | (head != NULL ? RF_HEAD : 0);
	cmd->from = slice_str(from != NULL ? from : "");
	cmd->until = slice_str(until != NULL ? until : "");
	cmd->head = slice_str(head != NULL ? head : "");
}

/* What is left, in words: "ab|*|-" are the keys a and b, a range, nothing; '>' marks what has something behind it. */
static const char *
left(void)
{
	static char text[256];
	char *p = text;
	struct plan plan;

	if (!plan_make(&plan, ops, nops))
		return ("out of memory");
	for (size_t i = 0; i < nops; i++) {
		uint32_t n = keys_of(&ops[i]), some = 0;

		if (i > 0)
			*p++ = ops[i].first ? '|' : '+';
		for (uint32_t j = 0; j < n; j++)
			if (!ops[i].dropped[j]) {
				*p++ = is_put(&ops[i]) ? items[i][j].key.p[0] : keys[i][j].p[0];
				some++;
			}
		if (n == 0) {
			*p++ = '*';
			some = 1;
		}
		if (some == 0)
			*p++ = '-';
		if (ops[i].left != some)
			*p++ = '!';
		if (ops[i].next != NULL)
			*p++ = '>';
	}
	*p = '\0';
	plan_end(&plan);
	nops = 0;
	return (text);
}

int
main(void)
{
	add(CMD_KP, "r", "abc");
	is_s(left(), "abc", "all of it");
	add(CMD_KP, "r", "abacab");
	is_s(left(), "cab", "the last line of a key wins");
	add(CMD_KP, "r", "ab");
	add(CMD_KP, "s", "ab");
	is_s(left(), "ab|ab", "records are apart");
	add(CMD_KP, "r", "ab");
	add(CMD_KP, "r", "bc");
	is_s(left(), "a>+bc", "the later put of a key wins");
	add(CMD_KD, "r", "");
	add(CMD_KP, "r", "a");
	is_s(left(), "*>+a", "a record is replaced");
	add(CMD_KP, "r", "abz");
	range("r", "b", NULL, NULL);
	is_s(left(), "a>+*", "what a later range takes is not put");
	add(CMD_KP, "r", "abc");
	range("r", "b", "c", NULL);
	is_s(left(), "ac>+*", "a range has an end");
	add(CMD_KP, "r", "abc");
	range("r", NULL, NULL, "b");
	is_s(left(), "ac>+*", "a head");
	add(CMD_KP, "r", "abc");
	range("s", NULL, NULL, NULL);
	is_s(left(), "abc|*", "of another record nothing");
	add(CMD_KD, "r", "ab");
	add(CMD_KP, "r", "b");
	is_s(left(), "a>+b", "what is put again is not deleted");
	add(CMD_KP, "r", "ab");
	add(CMD_KD, "r", "b");
	is_s(left(), "a>+b", "and the other way round");
	add(CMD_KP, "r", "a");
	add(CMD_KP, "s", "a");
	add(CMD_KD, "r", "a");
	add(CMD_KD, "s", "");
	add(CMD_KP, "r", "a");
	is_s(left(), "->|->+->+*+a", "the last word counts");
	add(CMD_KP, "r", "a");
	range("r", "a", "b", NULL);
	add(CMD_KP, "r", "a");
	range("r", "b", NULL, NULL);
	is_s(left(), "->+*>+a>+*", "ranges stay");
	return (done_testing());
}
