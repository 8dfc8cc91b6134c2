/*
 * errors.h - one row per way a request can fail inside kvgate.
 *
 * ERR(id, text for the client, retryable on another server). The text goes out after "SERVER_ERROR "; where
 * a server is to blame its name stands in front of it.
 */
ERR(NONE,	"",					0)
ERR(CANCELLED,	"cancelled",				0)
ERR(NOMEM,	"out of memory",			0)
ERR(DOWN,	"is down",				1)
ERR(CONNECT,	"connect failed",			1)
ERR(TIMEOUT,	"timed out",				1)
ERR(CLOSED,	"closed the connection",		1)
ERR(RESET,	"reset the connection",			1)
ERR(PROTOCOL,	"sent an answer that makes no sense",	1)
ERR(BUSY,	"has too many requests in flight",	1)
ERR(UNSUPPORTED,"cannot do this",			0)
ERR(REFUSED,	"refused the request",			0)
ERR(AUTH,	"refused the login",			1)
ERR(LOADING,	"is loading its data",			1)
ERR(READONLY,	"takes no writes",			1)
ERR(OOM,	"has no memory left for this",		0)
ERR(BADVALUE,	"holds a value of another kind",	0)
ERR(DISK,	"cannot be read or written",		0)
