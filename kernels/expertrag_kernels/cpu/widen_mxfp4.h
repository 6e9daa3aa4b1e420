// Weights in MXFP4 as floats, for processors without integer products of bytes.
#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "mxfp4.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

constexpr float kMxSizes[16] = {0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12};

// Twice the weights whose codes are at a place of 16 words, by powers of two.
inline void mx_values(const uint8_t* words, int place, const float* powers, float* to) {
#if defined(__AVX512F__)
  const __m512i codes = _mm512_srl_epi32(_mm512_loadu_si512(words), _mm_cvtsi32_si128(place));
  const __m512 twice = _mm512_permutexvar_ps(codes, _mm512_loadu_ps(kMxSizes));
  _mm512_storeu_ps(to, _mm512_mul_ps(twice, _mm512_loadu_ps(powers)));
#elif defined(__AVX2__)
  const __m256i sign = _mm256_set1_epi32(INT32_MIN);
  for (int j = 0; j < 16; j += 8) {
    const __m256i* from = reinterpret_cast<const __m256i*>(words + j * 4);
    const __m256i codes = _mm256_srl_epi32(_mm256_loadu_si256(from), _mm_cvtsi32_si128(place));
    const __m256 size = _mm256_permutevar8x32_ps(_mm256_loadu_ps(kMxSizes), codes);
    const __m256i signs = _mm256_and_si256(_mm256_slli_epi32(codes, 28), sign);
    const __m256 twice = _mm256_xor_ps(size, _mm256_castsi256_ps(signs));
    _mm256_storeu_ps(to + j, _mm256_mul_ps(twice, _mm256_loadu_ps(powers + j)));
  }
#else
  uint32_t codes[16];
  std::memcpy(codes, words, sizeof(codes));
  for (int j = 0; j < 16; ++j) to[j] = float(mx_twice(int32_t(codes[j] >> place & 15))) * powers[j];
#endif
}

// Write `depth` inputs of a block of mxfp4, from the first on, as floats, twice the weights: those of
// input i and columns 16c .. 16c + 15 at c * slice + i * step.
inline void widen_mxfp4(const uint8_t* block, int64_t first, int64_t depth, int64_t slice,
                        int64_t step, float* to) {
  block += first / kMxGroup * kMxGroupBytes;
  for (int64_t i = 0; i < depth; i += kMxGroup, block += kMxGroupBytes) {
    const MxGroup<const uint8_t> group{block};
    for (int64_t c = 0; c < 4; ++c) {
      float powers[16];
      for (int j = 0; j < 16; ++j) powers[j] = mx_power(group.exponents[c * 16 + j]);
      for (int64_t k = 0; k < kMxGroup; ++k)
        mx_values(group.codes(c) + k / 8 * 64, int(k % 4 * 8 + k % 8 / 4 * 4), powers,
                  to + c * slice + (i + k) * step);
    }
  }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
