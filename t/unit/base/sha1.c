/* Unit tests of src/base/sha1.c, against FIPS 180's examples and lengths around a block's. */
#include "base/sha1.c"
#include "tap.h"

#include <stdlib.h>

static void
known_digests(void)
{
	char hex[SHA1_HEX + 1], *million = malloc(1000000);

	sha1_hex(SLICE_LIT(""), hex);
	is_s(hex, "da39a3ee5e6b4b0d3255bfef95601890afd80709", "nothing");
	sha1_hex(SLICE_LIT("abc"), hex);
	is_s(hex, "a9993e364706816aba3e25717850c26c9cd0d89d", "abc");
	sha1_hex(SLICE_LIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), hex);
	is_s(hex, "84983e441c3bd26ebaae4aa1f95129e5e54670f1", "56 bytes");
	memset(million, 'a', 1000000);
	sha1_hex(slice_of(million, 1000000), hex);
	is_s(hex, "34aa973cd4c4daa4f61eeb2bdbad27316534016f", "a million");
	free(million);
}

/* By coreutils' sha1sum. */
static void
around_a_block(void)
{
	static const struct {
		size_t		 len;
		const char	*hex;
	} v[] = {
		{ 54, "b05d71c64979cb95fa74a33cdb31a40d258ae02e" },
		{ 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a" },
		{ 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699" },
		{ 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5" },
		{ 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d" },
		{ 65, "11655326c708d70319be2610e8a57d9a5b959d3b" },
		{ 119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56" },
		{ 120, "f34c1488385346a55709ba056ddd08280dd4c6d6" },
		{ 128, "ad5b3fdbcb526778c2839d2f151ea753995e26a0" },
	};
	char hex[SHA1_HEX + 1], a[200];

	memset(a, 'a', sizeof a);
	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		sha1_hex(slice_of(a, v[i].len), hex);
		is_s(hex, v[i].hex, "a run of the same byte");
	}
}

int
main(void)
{
	known_digests();
	around_a_block();
	return (done_testing());
}
