/* Unit tests of src/proto/meta.c; the file is included to reach its statics. */
#include "proto/meta.c"
#include "lines.h"

#define K100	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K50	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K250	K100 K100 K50
#define K251	K250 "k"
#define O32	"Oooooooooooooooooooooooooooooooo"
#define NONE	" answer= O=<> P=<> L=<>"
#define INVALID	"CLIENT_ERROR invalid flag"
#define TWICE	"CLIENT_ERROR duplicate flag"
#define TOKEN	"CLIENT_ERROR bad token in command line format"
#define MA_BAD	"CLIENT_ERROR invalid or duplicate flag"
#define MANY	"CLIENT_ERROR options flags are too long"
#define LONG_O	"CLIENT_ERROR opaque token too long"

static void
reads(void)
{
	line_is("mg k", "mg verb=0 mode=0 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k>" NONE);
	line_is("mg k v", "mg verb=0 mode=0 opts= want=v T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k>" NONE);
	line_is("mg " K250 "  s  v q ", "mg quiet verb=0 mode=0 opts= want=vs T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<"
	    K250 "> answer=s O=<> P=<> L=<>");
	line_is("mg k h l s t c f k O12 u v", "mg verb=0 mode=0 opts=u want=vcfhlst order=t T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 "
	    "key=<k> answer=hlstcfkO O=<O12> P=<> L=<>");
	line_is("mg k N30 R20 T-1 E9 C8", "mg verb=0 mode=0 opts=CETNR want= order=NRT T-1 N30 R20 F0 C8 E9 D0 J0 vlen=0 "
	    "key=<k>" NONE);
	line_is("mg k O Pnonce Lname/ vv", "mg verb=0 mode=0 opts= want=v T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k> "
	    "answer=O O=<O> P=<nonce> L=<name/>");
	line_is("mg k " O32 "", "mg verb=0 mode=0 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k> answer=O O=<"
	    O32 "> P=<> L=<>");
}

/* Taken by all commands, heeded by some. */
static void
flags_of_other_commands_do_nothing(void)
{
	line_is("mg k I x F5 D3 J4 MZ", "mg verb=0 mode=0 opts= want= T0 N0 R0 F5 C0 E0 D3 J4 vlen=0 key=<k>" NONE);
	line_is("md k v s t c f h l u R1 N2 MZ",
	    "md verb=2 mode=0 opts= want= T0 N2 R1 F0 C0 E0 D0 J0 vlen=0 key=<k>" NONE);
	line_is("ms k 1 v t f h l u x R1 D2", "ms body verb=1 mode=0 opts= want= T0 N0 R1 F0 C0 E0 D2 J0 vlen=1 key=<k>"
	    NONE);
	line_is("ma k s f h l u x I R1 F2", "ma verb=3 mode=5 opts= want= T0 N0 R1 F2 C0 E0 D1 J0 vlen=0 key=<k>" NONE);
}

/* T, N, R and t of mg and ma are kept in their order; what of them a command does not heed is none. */
static void
order(void)
{
	line_is("mg k t", "mg verb=0 mode=0 opts= want=t order=t T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k> answer=t "
	    "O=<> P=<> L=<>");
	line_is("mg k t T30", "mg verb=0 mode=0 opts=T want=t order=tT T30 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k> answer=t "
	    "O=<> P=<> L=<>");
	line_is("mg k T30 t", "mg verb=0 mode=0 opts=T want=t order=Tt T30 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k> answer=t "
	    "O=<> P=<> L=<>");
	line_is("mg k c t k N30", "mg verb=0 mode=0 opts=N want=ct order=tN T0 N30 R0 F0 C0 E0 D0 J0 vlen=0 key=<k> "
	    "answer=ctk O=<> P=<> L=<>");
	line_is("mg k c R7 v N30  t T5 k", "mg verb=0 mode=0 opts=TNR want=vct order=RNtT T5 N30 R7 F0 C0 E0 D0 J0 vlen=0 "
	    "key=<k> answer=ctk O=<> P=<> L=<>");
	line_is("ma k t R7 N30", "ma verb=3 mode=5 opts=N want=t order=tN T0 N30 R7 F0 C0 E0 D1 J0 vlen=0 key=<k> answer=t "
	    "O=<> P=<> L=<>");
	line_is("ms k 5 MA t T5 N30", "ms body verb=1 mode=3 opts=TN want= T5 N30 R0 F0 C0 E0 D0 J0 vlen=5 key=<k>" NONE);
	line_is("md k t T5", "md verb=2 mode=0 opts=T want= T5 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k>" NONE);
}

static void
writes(void)
{
	line_is("ms k 5", "ms body verb=1 mode=0 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=5 key=<k>" NONE);
	line_is("ms k 5 MS T9 F7 c s b k", "? CLIENT_ERROR error decoding key swallow=7");
	line_is("ms k 5 ME T9 F7 c s k q", "ms quiet body verb=1 mode=1 opts=TF want=cs T9 N0 R0 F7 C0 E0 D0 J0 vlen=5 "
	    "key=<k> answer=csk O=<> P=<> L=<>");
	line_is("ms k 5 MR", "ms body verb=1 mode=2 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=5 key=<k>" NONE);
	line_is("ms k 5 MA N30", "ms body verb=1 mode=3 opts=N want= T0 N30 R0 F0 C0 E0 D0 J0 vlen=5 key=<k>" NONE);
	line_is("ms k 5 MPxyz", "ms body verb=1 mode=4 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=5 key=<k>" NONE);
	line_is("ms k 5 N30", "ms body verb=1 mode=0 opts= want= T0 N30 R0 F0 C0 E0 D0 J0 vlen=5 key=<k>" NONE);
	line_is("ms k 5 I", "ms body verb=1 mode=0 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=5 key=<k>" NONE);
	line_is("ms k 5 I C0 E3", "ms body verb=1 mode=0 opts=CEI want= T0 N0 R0 F0 C0 E3 D0 J0 vlen=5 key=<k>" NONE);
	line_is("ms k 5 I C0 ME", "ms body verb=1 mode=1 opts=C want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=5 key=<k>" NONE);
	line_is("ms k -", "ms body verb=1 mode=0 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k>" NONE);
	line_is("md k q I T30 C5 E6 x F9 O1 k", "md quiet verb=2 mode=0 opts=CETIxF want= T30 N0 R0 F9 C5 E6 D0 J0 vlen=0 "
	    "key=<k> answer=Ok O=<O1> P=<> L=<>");
	line_is("ma k", "ma verb=3 mode=5 opts= want= T0 N0 R0 F0 C0 E0 D1 J0 vlen=0 key=<k>" NONE);
	line_is("ma k MD D5 N0 J18446744073709551615 t v c q T7 C2 E3", "ma quiet verb=3 mode=6 opts=CETN want=vct order=NtT T7 "
	    "N0 R0 F0 C2 E3 D5 J18446744073709551615 vlen=0 key=<k> answer=tc O=<> P=<> L=<>");
	line_is("ma k M- D0", "ma verb=3 mode=6 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k>" NONE);
	line_is("ma k M+", "ma verb=3 mode=5 opts= want= T0 N0 R0 F0 C0 E0 D1 J0 vlen=0 key=<k>" NONE);
	line_is("ma k MI", "ma verb=3 mode=5 opts= want= T0 N0 R0 F0 C0 E0 D1 J0 vlen=0 key=<k>" NONE);
}

static void
keys_in_base64(void)
{
	line_is("mg Zm9vIGJhcg== b k v", "mg verb=0 mode=0 opts=b want=v T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 "
	    "key=<foo\\20bar> answer=k O=<> P=<> L=<>");
	line_is("ms Zm9v 2 bother", "ms body verb=1 mode=0 opts=b want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=2 key=<foo>" NONE);
	line_bad("mg Zm9 b", "CLIENT_ERROR error decoding key", false, 0);
	line_bad("mg ==== b q", "CLIENT_ERROR error decoding key", false, 0);
	line_bad("ma Zm9 b", MA_BAD, false, 0);
	line_is("me Zm9v b", "me verb=4 mode=0 opts=b want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<foo>" NONE);
	line_is("me Zm9v b b", "me verb=4 mode=0 opts=b want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<foo>" NONE);
	line_is("me Zm9v q b", "me verb=4 mode=0 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<Zm9v>" NONE);
	line_bad("me Zm9 b", BAD_FORMAT, false, 0);
	line_bad("me k {", BAD_FORMAT, false, 0);
	line_bad("me " K251, BAD_FORMAT, false, 0);
	line_is("me k q q 9", "me verb=4 mode=0 opts= want= T0 N0 R0 F0 C0 E0 D0 J0 vlen=0 key=<k>" NONE);
}

static void
errors(void)
{
	line_bad("mg", BAD_FORMAT, false, 0);
	line_bad("mg ", BAD_FORMAT, false, 0);
	line_bad("me", BAD_FORMAT, false, 0);
	line_bad("mg " K251 " v", BAD_FORMAT, false, 0);
	line_bad("mg " K251 " v v", BAD_FORMAT, false, 0);
	line_bad("ma " K251, MA_BAD, false, 0);
	line_bad("mg k v q v", TWICE, false, 0);
	line_bad("mg k a", INVALID, false, 0);
	line_bad("mg k 9", INVALID, false, 0);
	line_bad("mg k [", INVALID, false, 0);
	line_bad("mg k v {", BAD_FORMAT, false, 0);
	line_bad("mg k v v {", BAD_FORMAT, false, 0);
	line_bad("mg k @", BAD_FORMAT, false, 0);
	line_bad("mg k \xe9", BAD_FORMAT, false, 0);
	line_bad("mg k \tv", BAD_FORMAT, false, 0);
	line_bad("mg k T", TOKEN, false, 0);
	line_bad("mg k N1x", TOKEN, false, 0);
	line_bad("mg k R2147483648", TOKEN, false, 0);
	line_bad("mg k C", TOKEN, false, 0);
	line_bad("mg k C-1 q", TOKEN, false, 0);
	line_bad("mg k E18446744073709551616", TOKEN, false, 0);
	line_bad("mg k Dx", "CLIENT_ERROR invalid numeric delta value", false, 0);
	line_bad("mg k J", "CLIENT_ERROR invalid numeric initial value", false, 0);
	line_bad("ma k Dx", MA_BAD, false, 0);
	line_bad("ma k v v", MA_BAD, false, 0);
	line_bad("ma k {", BAD_FORMAT, false, 0);
	line_bad("ma k MZ", "CLIENT_ERROR invalid mode for ma M token", false, 0);
	line_bad("ma k M", "CLIENT_ERROR invalid mode for ma M token", false, 0);
	line_bad("ma k Md", "CLIENT_ERROR invalid mode for ma M token", false, 0);
	line_bad("mg k " O32 "o", LONG_O, false, 0);
	line_bad("ma k " O32 "o", LONG_O, false, 0);
}

/* The last error of the check counts, but one without a text of its own leaves the one before. */
static void
errors_that_meet(void)
{
	line_bad("mg k Tx Dx", "CLIENT_ERROR invalid numeric delta value", false, 0);
	line_bad("mg k Dx Fx", "CLIENT_ERROR invalid numeric delta value", false, 0);
	line_bad("mg k Fx", BAD_FORMAT, false, 0);
	line_bad("mg k Tx v v", TWICE, false, 0);
	line_bad("mg k v v Tx", TWICE, false, 0);
	line_bad("mg k a v v", INVALID, false, 0);
	line_bad("mg k " O32 "o Tx", TOKEN, false, 0);
	line_bad("mg k b c f h k l s t u v q O1 P1 L1 N0 T0 R0 E0", "CLIENT_ERROR error decoding key", false, 0);
	line_bad("mg k b c f h k l s t u v q O1 P1 L1 N0 T0 R0 E0 x", MANY, false, 0);
	line_bad("mg k v v v v v v v v v v v v v v v v v v v", MANY, false, 0);
	line_bad("mg k v v v v v v v v v v v v v v v v v v v v {", BAD_FORMAT, false, 0);
	line_bad("mg k v v v v v v v v v v v v v v v v v v v v v {", MANY, false, 0);
	line_bad("ma k v v v v v v v v v v v v v v v v v v v", MA_BAD, false, 0);
}

static void
errors_of_ms_swallow(void)
{
	line_bad("ms k", BAD_FORMAT, false, 0);
	line_bad("ms k S1", BAD_FORMAT, false, 0);
	line_bad("ms k -1", BAD_FORMAT, false, 0);
	line_bad("ms k 2147483646", BAD_FORMAT, false, 0);
	line_bad("ms k 2 {", BAD_FORMAT, false, 0);
	line_bad("ms " K251 " 2 q", BAD_FORMAT, false, 4);
	line_bad("ms k 2 9", INVALID, false, 4);
	line_bad("ms k 2 v v", TWICE, false, 4);
	line_bad("ms k 2 Fx", BAD_FORMAT, false, 4);
	line_bad("ms k 2 F4294967296", BAD_FORMAT, false, 4);
	line_bad("ms k 2 Tx q", TOKEN, false, 4);
	line_bad("ms k 2 M", "CLIENT_ERROR invalid mode for ms M token", false, 4);
	line_bad("ms k 2 Ms", "CLIENT_ERROR invalid mode for ms M token", false, 4);
	line_bad("ms k 2 MZ " O32 "o", "CLIENT_ERROR invalid mode for ms M token", false, 4);
	line_bad("ms k 2 " O32 "o", LONG_O, false, 4);
	line_bad("ms k 2 v v v v v v v v v v v v v v v v v v", MANY, false, 4);
}

int
main(void)
{
	reads();
	flags_of_other_commands_do_nothing();
	order();
	writes();
	keys_in_base64();
	errors();
	errors_that_meet();
	errors_of_ms_swallow();
	return (done_testing());
}
