/*
 * ns_stats.h - NS_STAT(field, prose): one row per counter that each namespace has (struct ns_stats).
 */
NS_STAT(gets,		"Keys asked for")
NS_STAT(hits,		"Keys found, wherever")
NS_STAT(local_hits,	"Keys found in the local cache")
NS_STAT(misses,		"Keys found nowhere")
NS_STAT(sets,		"Storage commands")
NS_STAT(deletes,	"Deletes")
NS_STAT(ariths,		"Increments and decrements")
NS_STAT(hedges_sent,	"Reads and writes sent a second time")
NS_STAT(hedges_won,	"Of those, the ones that were answered first")
NS_STAT(hedges_denied,	"Late reads that the budget kept from being sent again")
NS_STAT(failovers,	"Requests sent to a stand-in")
NS_STAT(negative_hits,	"Misses answered from the local cache, which remembered them")
NS_STAT(refreshes,	"Local copies read again from the store before their end")
NS_STAT(stale_answers,	"Reads that failed and were answered from the local cache instead")
NS_STAT(coalesced,	"Reads answered with what another one was told that was under way")
NS_STAT(errors,		"Commands that ended with an error")
