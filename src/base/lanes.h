/*
 * lanes.h - eight 16-bit numbers compared at once.
 *
 * With SSE2, which every x86-64 has, that is four instructions; elsewhere a loop that compilers turn into the same.
 */
#ifndef BASE_LANES_H
#define BASE_LANES_H

#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bits 2i and 2i + 1 of the result: whether p[i] == v. p is aligned to 16 bytes. */
static inline uint32_t
lanes_equal(const uint16_t *p, uint16_t v)
{
#ifdef __SSE2__
	__m128i have = _mm_load_si128((const __m128i *)(const void *)p);

	return ((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi16(have, _mm_set1_epi16((short)v))));
#else
	uint32_t m = 0;

	for (unsigned i = 0; i < 8; i++)
		m |= (p[i] == v ? 3u : 0u) << (2 * i);
	return (m);
#endif
}

/* The same where another thread may be writing: any mixture of old and new numbers may be seen. */
static inline uint32_t
lanes_equal_racing(const uint16_t *p, uint16_t v)
{
	const uint64_t *w = (const uint64_t *)(const void *)p;
	uint64_t copy[2] __attribute__((aligned(16)));

	copy[0] = __atomic_load_n(w, __ATOMIC_RELAXED);
	copy[1] = __atomic_load_n(w + 1, __ATOMIC_RELAXED);
#ifdef __SSE2__
	return ((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi16(_mm_set_epi64x((long long)copy[1], (long long)copy[0]),
	    _mm_set1_epi16((short)v))));
#else
	return (lanes_equal((const uint16_t *)(const void *)copy, v));
#endif
}

/* The first lane of such a result, which is not 0, taken out of it. */
static inline unsigned
lanes_next(uint32_t *m)
{
	unsigned bit = (unsigned)__builtin_ctz(*m);

	*m &= ~(3u << bit);
	return (bit / 2);
}

#endif
