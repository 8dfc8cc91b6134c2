/*
 * record_flags.h - one row per flag letter of the record commands.
 *
 * RFLAG(letter, argument, RF_ bit, commands that take it): G kg, D kd, P kp, M km, S ks, H kh; SUB_P and SUB_D are kp and
 * kd within km.
 */
RFLAG('b', NONE,	RF_BINARY,	G|D|P|S|SUB_P|SUB_D)
RFLAG('K', KEY,		RF_KEYS,	G|D|SUB_D)
RFLAG('G', FROM,	RF_FROM,	G|D|SUB_D)
RFLAG('U', UNTIL,	RF_UNTIL,	G|D|SUB_D)
RFLAG('H', HEAD,	RF_HEAD,	G|D|SUB_D)
RFLAG('r', NONE,	RF_REVERSE,	G)
RFLAG('B', BYTES,	RF_BYTES,	G|S)
RFLAG('M', ITEMS,	RF_ITEMS,	G|S)
RFLAG('X', VALUE_MAX,	RF_VALUE_MAX,	G|S)
RFLAG('D', DEADLINE,	RF_DEADLINE,	G|S)
RFLAG('N', PAGE,	RF_TOKEN,	G|S)
RFLAG('S', PART,	RF_PART,	S)
RFLAG('i', RETURN,	0,		S)
RFLAG('k', RETURN,	0,		G|S)
RFLAG('v', RETURN,	0,		G|S)
RFLAG('s', RETURN,	0,		G|S)
RFLAG('t', RETURN,	0,		G|S)
RFLAG('c', RETURN,	RF_CAS,		G|D|P|M|S)
RFLAG('f', RETURN,	0,		G|S)
RFLAG('Z', CODEC,	RF_CODECS,	G|S|H)
RFLAG('E', TIME,	RF_TIME,	D|P|M)
RFLAG('P', NONCE,	RF_NONCE,	D|P|M)
RFLAG('a', NONE,	RF_ATOMIC,	M)
RFLAG('O', OPAQUE,	0,		G|D|P|M|S|H)
RFLAG('q', NONE,	RF_QUIET,	G|D|P|M|S|H)
RFLAG('L', SPACE,	RF_SPACE,	G|D|P|SUB_P|SUB_D)
