#include <immintrin.h>

#include <chrono>
#include <cstdint>

#include "probe.h"

namespace expertrag {

double bf16_flops(int threads) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kRounds = 1 << 18, kSums = 24;
  float kept = 0.0f;  // used, so that the products are not optimised away
  const auto start = Clock::now();
#pragma omp parallel num_threads(threads) reduction(+ : kept)
  {
    __m512 sums[kSums];
    __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f803f80);
    for (auto& sum : sums) sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < kRounds; ++i) {
#pragma GCC unroll 24
      for (int64_t j = 0; j < kSums; ++j) sums[j] = _mm512_dpbf16_ps(sums[j], x, x);
      asm volatile("" : "+v"(x));  // the same products again, not their multiple
    }
    for (const auto& sum : sums) kept += _mm512_reduce_add_ps(sum);
  }
  const double spent = std::chrono::duration<double>(Clock::now() - start).count();
  return kept == 1.0f ? 0.0 : double(threads) * kRounds * kSums * 64 / spent;
}

// Sixteen sums by name: of an array GCC keeps copies, which take registers and time.
#define EXPERTRAG_SUM(n) "vpdpbusd %%zmm16, %%zmm16, %%zmm" #n "\n\t"
#define EXPERTRAG_FOUR(a, b, c, d) \
  EXPERTRAG_SUM(a) EXPERTRAG_SUM(b) EXPERTRAG_SUM(c) EXPERTRAG_SUM(d)

double int8_products(int threads) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kRounds = 1 << 18, kSums = 16;
  const auto start = Clock::now();
#pragma omp parallel num_threads(threads)
  for (int64_t i = 0; i < kRounds; ++i)
    asm volatile(EXPERTRAG_FOUR(0, 1, 2, 3) EXPERTRAG_FOUR(4, 5, 6, 7)
                     EXPERTRAG_FOUR(8, 9, 10, 11) EXPERTRAG_FOUR(12, 13, 14, 15)
                 :
                 :
                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  const double spent = std::chrono::duration<double>(Clock::now() - start).count();
  return double(threads) * kRounds * kSums * 64 / spent;
}

#undef EXPERTRAG_FOUR
#undef EXPERTRAG_SUM

}  // namespace expertrag
