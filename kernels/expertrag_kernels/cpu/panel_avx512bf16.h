// Rows by panels with AVX512-BF16 (Zen 4, Cooper Lake and later).
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace expertrag {
namespace EXPERTRAG_ISA {

struct TileRegisters {};

// The products of 16R rows with two panels.
template <int R>
struct PanelSums {
  alignas(64) float sums[16 * R][32];

  void clear() { std::memset(sums, 0, sizeof(sums)); }

  // Add those of `inputs` values of rows that are `stride` apart.
  void add(const uint16_t* x, int64_t stride, const uint16_t* panels, int64_t inputs) {
    constexpr int kRows = 8;  // sums of more do not fit the registers
    const uint16_t* second = panels + inputs * 16;
    for (int first = 0; first < 16 * R; first += kRows, x += kRows * stride) {
      __m512 own[kRows][2];
      for (int r = 0; r < kRows; ++r)
        for (int c = 0; c < 2; ++c) own[r][c] = _mm512_load_ps(sums[first + r] + c * 16);
      for (int64_t k = 0; k < inputs; k += 2) {
        const __m512bh w0 = (__m512bh)_mm512_loadu_si512(panels + k * 16);
        const __m512bh w1 = (__m512bh)_mm512_loadu_si512(second + k * 16);
        for (int r = 0; r < kRows; ++r) {
          int32_t pair;
          std::memcpy(&pair, x + r * stride + k, 4);
          const __m512bh value = (__m512bh)_mm512_set1_epi32(pair);
          own[r][0] = _mm512_dpbf16_ps(own[r][0], value, w0);
          own[r][1] = _mm512_dpbf16_ps(own[r][1], value, w1);
        }
      }
      for (int r = 0; r < kRows; ++r)
        for (int c = 0; c < 2; ++c) _mm512_store_ps(sums[first + r] + c * 16, own[r][c]);
    }
  }

  void store(float* to, int64_t stride) {
    for (int r = 0; r < 16 * R; ++r) std::memcpy(to + r * stride, sums[r], sizeof(sums[r]));
  }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
