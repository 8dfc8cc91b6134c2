/*
 * kvload.h - what the parts of the load generator share: options, counters.
 */
#ifndef BENCH_KVLOAD_H
#define BENCH_KVLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "gen.h"
#include "hist.h"

#define DEPTH_MAX	10000
#define MULTI_MAX	10000
#define CONNS_MAX	60000
#define THREADS_MAX	64
#define PREFILL_DEPTH	32
#define ERROR_TEXTS	16
#define ERROR_TEXT_LEN	96

enum op { OP_GET, OP_MG, OP_SET, OP_MS };

/* Filled by opts_parse(), read-only afterwards. */
struct opts {
	struct sockaddr_storage	 addr;
	socklen_t	 addr_len;
	const char	*target;	/* as it was given, for messages */
	unsigned	 conns;
	unsigned	 threads;
	unsigned	 depth;
	unsigned	 multi;		/* keys per read */
	enum op		 read_op;
	enum op		 write_op;
	bool		 only_writes;	/* --op set or ms */
	const char	*mg_flags;
	bool		 mg_value;	/* mg_flags ask for the value */
	bool		 resp;		/* get and set are said in RESP */
	bool		 no_flags;	/* client flags are 0 */
	uint32_t	 reads;		/* reads : writes */
	uint32_t	 writes;
	uint32_t	 exptime;
	bool		 prefill;
	bool		 prefill_only;
	uint64_t	 requests;	/* 0: until duration */
	uint64_t	 duration_ns;	/* 0: until requests */
	double		 rate;		/* per second, all threads; 0: closed loop */
	bool		 poisson;
	bool		 check_stale;
	bool		 reconnect;
	bool		 expect_errors;
	bool		 json;
	uint64_t	 timeout_ns;
	unsigned	 idle;
	bool		 idle_touch;
	pid_t		 cpu_of;
	uint64_t	 seed;
	struct gen	 gen;
};

enum wrong {
	WRONG_LENGTH, WRONG_KEY, WRONG_BODY, WRONG_VERSION, WRONG_STALE,
	WRONG_FLAGS, WRONG_PROTOCOL, WRONG_KINDS
};

struct error_text {
	char		text[ERROR_TEXT_LEN];
	uint64_t	count;
};

/* One per thread and phase, merged at the end. */
struct stats {
	uint64_t	requests;	/* answered, whatever the answer */
	uint64_t	reads;
	uint64_t	writes;
	uint64_t	hits;		/* keys */
	uint64_t	misses;		/* keys */
	uint64_t	stored;
	uint64_t	refused;	/* writes answered NOT_STORED and the like */
	uint64_t	errors;		/* requests answered with an error */
	uint64_t	lost;		/* requests whose connection ended */
	uint64_t	unsent;		/* open loop: due, never sent */
	uint64_t	timeouts;	/* connections given up for silence */
	uint64_t	closed;		/* connections that ended, timeouts too */
	uint64_t	reconnects;
	uint64_t	bytes_in;
	uint64_t	bytes_out;
	uint64_t	wakes;
	uint64_t	wrong[WRONG_KINDS];
	struct error_text error[ERROR_TEXTS];
	struct hist	latency;
};

struct outcome {
	struct stats	prefill;
	struct stats	run;
	double		seconds;
	double		prefill_seconds;
	double		own_cpu;	/* seconds, run only */
	double		server_cpu;	/* seconds, run only; < 0: not measured */
};

/* Ends the process, with a message, on anything it cannot take. */
void		opts_parse(struct opts *, int argc, char **argv);

/* The client flags that a key is stored with. */
static inline uint32_t
opts_flags(const struct opts *o, uint32_t key)
{
	return o->no_flags ? 0 : gen_flags(key);
}

/* false: could not start; said why on stderr. */
bool		load_run(const struct opts *, struct outcome *);

uint64_t	stats_wrong(const struct stats *);
/* Anything but answers: errors, connections that ended, requests unanswered. */
uint64_t	stats_trouble(const struct stats *);
void		stats_error(struct stats *, const char *line, size_t len);
void		stats_merge(struct stats *into, const struct stats *from);

void		report_text(const struct opts *, const struct outcome *);
void		report_json(const struct opts *, const struct outcome *);

/* Holds opts->idle connections until stdin ends or the duration is over. */
int		idle_run(const struct opts *);

#endif
