/*
 * gen.h - what is asked for and stored: keys, their choice, values.
 *
 * A value proves itself: its head names key, run, version and length, its body
 * is a function of those. Bytes of another key, of another write, a cut or a
 * mixed value are told apart from the right one without remembering anything.
 */
#ifndef BENCH_GEN_H
#define BENCH_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEN_KEY_MAX	250
#define GEN_HEAD	16	/* values shorter than this carry no head */
#define GEN_SIZES_MAX	16

enum size_kind { SIZE_FIXED, SIZE_RANGE, SIZE_LIST, SIZE_LOGNORMAL };

struct gen_size {
	enum size_kind	kind;
	uint32_t	min;		/* no value is shorter */
	uint32_t	max;		/* nor longer than this */
	double		median;		/* SIZE_LOGNORMAL */
	double		sigma;
	unsigned	n;		/* SIZE_LIST */
	uint32_t	size[GEN_SIZES_MAX];
	uint32_t	weight[GEN_SIZES_MAX];
	uint32_t	weights;
};

/* Read-only after gen_setup(): shared by the threads. */
struct gen {
	const char	*prefix;
	unsigned	 prefix_len;
	unsigned	 digits;	/* key = prefix, zero-padded number */
	uint32_t	 nkeys;
	double		 theta;		/* 0: uniform */
	double		 h_first, h_last, cut;	/* zipf, see gen_pick() */
	struct gen_size	 size;
	bool		 fixed;		/* a key's value never changes */
	uint32_t	 run;		/* names this run in the values */
	char		*pool;		/* what bodies are cut from */
};

enum gen_wrong {
	GEN_OK,
	GEN_WRONG_LENGTH,
	GEN_WRONG_KEY,
	GEN_WRONG_BODY,
	GEN_WRONG_VERSION
};

struct gen_seen {
	uint32_t	run;
	uint32_t	version;
};

/* "100", "10-2000", "100:70,1000:30" or "lognormal:MEDIAN,SIGMA[,MAX]". */
bool		gen_size_parse(struct gen_size *, const char *text);
/* Wants prefix, digits, nkeys, theta, size, fixed and run set; false: no memory. */
bool		gen_setup(struct gen *);
void		gen_teardown(struct gen *);

uint64_t	gen_random(uint64_t *state);
double		gen_random_unit(uint64_t *state);
uint32_t	gen_pick(const struct gen *, uint64_t *random_state);

/* Writes prefix_len + digits bytes, returns how many. */
unsigned	gen_key(const struct gen *, uint32_t key, char *out);
/* The number in a key's text; false if it is none of ours. */
bool		gen_key_parse(const struct gen *, const char *text, size_t len,
		    uint32_t *key);
/* The client flags a key is stored with. */
uint32_t	gen_flags(uint32_t key);

uint32_t	gen_value_size(const struct gen *, uint32_t key, uint32_t version);
/* Writes gen_value_size() bytes. */
void		gen_value(const struct gen *, uint32_t key, uint32_t version,
		    char *out, uint32_t size);
/* *seen is what the value says of itself; zeroes when it is too short to. */
enum gen_wrong	gen_verify(const struct gen *, uint32_t key, const char *value,
		    size_t len, struct gen_seen *seen);

#endif
