/*
 * file.h - between the grammar (file.c) and those who read single sections.
 *
 * Every value reaches us as text with its line; the readers are strict about it. Only while conf_parse_text() runs.
 */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include <confuse.h>

#include "conf/parse.h"

struct conf_value {
	int		 line;
	char		 text[];
};

/* The value of a key; NULL: not there. The n-th of a list. */
const struct conf_value	*file_value(cfg_t *sec, const char *key);
const struct conf_value	*file_value_nth(cfg_t *sec, const char *key, unsigned n);
/* Line of a section's opening brace. */
int	 file_line(cfg_t *sec);
/* The only section of this name in sec, NULL when there is none. False: there are two, reported. */
bool	 file_only_section(struct conf_ctx *, cfg_t *sec, const char *name, cfg_t **out);

/* Each leaves *out alone when the key is not there. False: bad, reported. */
bool	 file_get_uint(struct conf_ctx *, cfg_t *, const char *key, unsigned min, unsigned max, unsigned *out);
bool	 file_get_size(struct conf_ctx *, cfg_t *, const char *key, uint64_t min, uint64_t max, size_t *out);
bool	 file_get_time(struct conf_ctx *, cfg_t *, const char *key, uint64_t min, uint64_t max, uint64_t *out);
bool	 file_get_bool(struct conf_ctx *, cfg_t *, const char *key, bool *out);
bool	 file_get_str(struct conf_ctx *, cfg_t *, const char *key, char **out);
/* Per mille; the bounds are percent. */
bool	 file_get_percent(struct conf_ctx *, cfg_t *, const char *key, unsigned min, unsigned max, unsigned *out);
/* A time that the cache's clock, which counts seconds, can keep. */
bool	 file_get_seconds(struct conf_ctx *, cfg_t *, const char *key, uint64_t min, uint64_t max, uint64_t *out);
/* One of words (NULL-terminated): its index. */
bool	 file_get_word(struct conf_ctx *, cfg_t *, const char *key, const char *const *words, int *out);

#define FILE_SECOND	1000000ull
#define FILE_DAY	(86400 * FILE_SECOND)

/* The readers of sections. */
bool	 file_read_store(struct conf_ctx *, cfg_t *);
bool	 file_read_space(struct conf_ctx *, cfg_t *);

/* Their parts in other files: who answers for a store, for a namespace, and when. */
bool	 file_read_store_policy(struct conf_ctx *, cfg_t *, struct conf_store *);
bool	 file_read_space_policy(struct conf_ctx *, cfg_t *, struct conf_ns *);
bool	 file_read_store_disk(struct conf_ctx *, cfg_t *, struct conf_store *);
/* Before the policy, which looks at the drift of tokens. */
bool	 file_read_space_records(struct conf_ctx *, cfg_t *, struct conf_ns *);
/* What a store says of another one, when all of them are there. */
bool	 file_link_store(struct conf_ctx *, cfg_t *);
/* Where the keys are that count at a start only. */
void	 file_note_fixed(struct conf_ctx *, cfg_t *root);
/* NULL: none of this name. */
struct conf_store *file_find_store(const struct conf *, const char *name);
/* From name to enum; in the order of enum conf_type. */
extern const char *const	 file_types[];

#endif
