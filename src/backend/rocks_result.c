/*
 * rocks_result.c - what a thread has found, packed so that the loop has but to hand it out.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/rocks.h"
#include "base/check.h"

#define RESULT_MIN	512

struct rocks_result *
rocks_result_new(size_t cap)
{
	struct rocks_result *x = malloc(sizeof *x + cap);

	if (x == NULL)
		return (NULL);
	memset(x, 0, sizeof *x);
	x->cap = cap;
	return (x);
}

char *
rocks_result_add(struct rocks_result **rp, size_t len)
{
	struct rocks_result *x = *rp;
	size_t cap;

	if (x == NULL && (x = rocks_result_new(len > RESULT_MIN ? len : RESULT_MIN)) == NULL)
		return (NULL);
	*rp = x;
	if (len > x->cap - x->len) {
		cap = 2 * x->cap + len;
		x = realloc(x, sizeof *x + cap);
		if (x == NULL)
			return (NULL);
		x->cap = cap;
		*rp = x;
	}
	x->len += len;
	return (x->bytes + x->len - len);
}

bool
rocks_result_value(struct rocks_result **rp, struct slice value)
{
	char *p = rocks_result_add(rp, value.len);

	if (p == NULL)
		return (false);
	if (value.len > 0)
		memcpy(p, value.p, value.len);
	(*rp)->value = (size_t)(p - (*rp)->bytes);
	(*rp)->value_len = value.len;
	(*rp)->has_value = true;
	return (true);
}

static char *
put(char *dst, struct slice s)
{
	if (s.len > 0)
		memcpy(dst, s.p, s.len);
	return (dst + s.len);
}

bool
rocks_result_item(struct rocks_result **rp, const struct rec_item *it, bool with_id)
{
	struct rocks_found f = {
		.head = it->head, .id_len = with_id ? (uint32_t)it->id.len : 0, .key_len = (uint32_t)it->key.len,
		.value_len = it->value.p != NULL ? (uint32_t)it->value.len : 0, .has_value = it->value.p != NULL,
	};
	char *p = rocks_result_add(rp, sizeof f + f.id_len + f.key_len + f.value_len);

	if (p == NULL)
		return (false);
	memcpy(p, &f, sizeof f);
	p = put(p + sizeof f, slice_of(it->id.p, f.id_len));
	p = put(p, it->key);
	put(p, slice_of(it->value.p, f.value_len));
	(*rp)->nitems++;
	return (true);
}

bool
rocks_result_next(struct rocks_result **rp, struct slice id, struct slice key)
{
	char *p = rocks_result_add(rp, id.len + key.len);

	if (p == NULL)
		return (false);
	put(put(p, id), key);
	(*rp)->next = (size_t)(p - (*rp)->bytes);
	(*rp)->next_id_len = (uint16_t)id.len;
	(*rp)->next_len = (uint16_t)key.len;
	return (true);
}

void
rocks_result_replay(const struct rocks_result *x, struct be_op *op)
{
	const char *p = x->bytes;
	struct rec_op *rec = op->rec;

	for (uint32_t i = 0; i < x->nitems; i++) {
		struct rocks_found f;

		memcpy(&f, p, sizeof f);
		p += sizeof f;
		rec->item.head = f.head;
		rec->item.id = f.id_len > 0 ? slice_of(p, f.id_len) : op->id;
		p += f.id_len;
		rec->item.key = slice_of(p, f.key_len);
		p += f.key_len;
		rec->item.value = f.has_value ? slice_of(p, f.value_len) : SLICE_NULL;
		p += f.value_len;
		op->found(op);
	}
	rec->next_id = slice_of(x->bytes + x->next, x->next_id_len);
	rec->next = slice_of(x->bytes + x->next + x->next_id_len, x->next_len);
}

enum err
rocks_error_kind(const char *text)
{
	if (strstr(text, "No space left") != NULL || strstr(text, "NoSpace") != NULL ||
	    strstr(text, "Space limit") != NULL || strstr(text, "File too large") != NULL)
		return (ERR_OOM);
	if (strncmp(text, "Corruption", 10) == 0)
		return (ERR_BADVALUE);
	return (ERR_DISK);
}

void
rocks_fail(struct rocks_job *j, const struct rocks_db *db, enum err err, const char *text)
{
	free(j->result);
	j->result = rocks_result_new(0);
	j->err = err;
	if (j->result == NULL) {
		j->err = ERR_NOMEM;
		return;
	}
	snprintf(j->result->why, sizeof j->result->why, "%.100s: %s", db->name, text);
	/* It goes into a line of the client's. */
	for (char *p = j->result->why; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}
