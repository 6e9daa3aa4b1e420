#include <immintrin.h>

#include <chrono>
#include <cstdint>

#include "probe.h"

namespace expertrag {

double bf16_flops(int threads) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kRounds = 1 << 18, kSums = 24;
  float kept = 0.0f;  // used, so that the products are not left out
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

}  // namespace expertrag
