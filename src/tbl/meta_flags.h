/*
 * meta_flags.h - one row per flag letter of the meta commands.
 *
 * MFLAG(letter, argument, option, wanted, commands that heed it, commands that echo it). A letter is taken by
 * every command and its argument checked; only the commands of the fifth column act on it. G mg, S ms, D md, A ma.
 */
MFLAG('b', KEY64,	OPF_BINKEY,	0,		G|S|D|A,	0)
MFLAG('c', NONE,	0,		OPW_CAS,	G|S|A,		G|S|A)
MFLAG('f', NONE,	0,		OPW_FLAGS,	G,		G)
MFLAG('h', NONE,	0,		OPW_HIT,	G,		G)
MFLAG('k', NONE,	0,		0,		G|S|D|A,	G|S|D|A)
MFLAG('l', NONE,	0,		OPW_LA,		G,		G)
MFLAG('q', QUIET,	0,		0,		G|S|D|A,	0)
MFLAG('s', NONE,	0,		OPW_SIZE,	G|S,		G|S)
MFLAG('t', NONE,	0,		OPW_TTL,	G|A,		G|A)
MFLAG('u', NONE,	OPF_NO_BUMP,	0,		G,		0)
MFLAG('v', NONE,	0,		OPW_VALUE,	G|A,		0)
MFLAG('x', NONE,	OPF_REMOVE_VAL,	0,		D,		0)
MFLAG('C', CAS,		OPF_CAS,	0,		G|S|D|A,	0)
MFLAG('D', DELTA,	0,		0,		A,		0)
MFLAG('E', NEWCAS,	OPF_NEWCAS,	0,		G|S|D|A,	0)
MFLAG('F', FLAGS,	OPF_FLAGS,	0,		S|D,		0)
MFLAG('I', NONE,	OPF_INVALIDATE,	0,		S|D,		0)
MFLAG('J', INITIAL,	0,		0,		A,		0)
MFLAG('L', SPACE,	0,		0,		G|S|D|A,	0)
MFLAG('M', MODE,	0,		0,		S|A,		0)
MFLAG('N', VIVIFY,	OPF_VIVIFY,	0,		G|S|A,		0)
MFLAG('O', OPAQUE,	0,		0,		G|S|D|A,	G|S|D|A)
MFLAG('P', NONCE,	0,		0,		G|S|D|A,	0)
MFLAG('R', RECACHE,	OPF_RECACHE,	0,		G,		0)
MFLAG('T', SETTTL,	OPF_TTL,	0,		G|S|D|A,	0)
