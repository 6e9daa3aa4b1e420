// Tiles of MXFP4 for AVX512 with VNNI. A code is looked up in a table of 16 bytes: twice its value
// plus kMxZero, which is unsigned, as the instruction needs it. Lookups use other ports than products,
// so weights are looked up again for every few rows: writing them out once for many, as for int4, is
// no faster.
//
// Activations have 8 bits, with a scale for every group of weights. In bfloat16 (vdpbf16ps) a product
// of random numbers has an error of 0.15 % instead of 0.5 %, but from 4 rows on takes twice as long.
#pragma once

#include "mxfp4.h"
#include "tile_avx512bf16.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

template <>
struct Tile<Format::mxfp4> {
  static constexpr int kRows = 256;
  static constexpr int kAtOnce = 4;
};

// Inputs 8l to 8l + 3 of 16 columns, and the four after them.
struct MxLooked {
  __m512i first, second;
};

struct MxLookup {
  __m512i table, low;

  MxLookup() : low(_mm512_set1_epi8(15)) {
    alignas(16) int8_t bytes[16];
    for (int code = 0; code < 16; ++code) bytes[code] = int8_t(mx_twice(code) + kMxZero);
    table = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
  }

  MxLooked at(const uint8_t* line) const {
    const __m512i both = _mm512_load_si512(line);
    return {_mm512_shuffle_epi8(table, _mm512_and_si512(both, low)),
            _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(both, 4), low))};
  }
};

// Powers of two of 16 columns.
inline __m512 mx_powers(const uint8_t* exponents) {
  const __m512i wide = _mm512_cvtepu8_epi32(
      _mm_load_si128(reinterpret_cast<const __m128i*>(exponents)));
  return _mm512_castsi512_ps(
      _mm512_max_epu32(_mm512_slli_epi32(wide, 23), _mm512_set1_epi32(kMxLeast)));
}

// Prefetch a part of the group after the next: there are too many instructions per line for the
// processor to look that far ahead.
inline void fetch_group(const uint8_t* group, int part) {
  const char* from = reinterpret_cast<const char*>(group + 2 * kMxGroupBytes + part * 256);
  for (int i = 0; i < (part < 3 ? 4 : 5); ++i) _mm_prefetch(from + i * 64, _MM_HINT_T0);
}

template <int R>
inline void multiply_mxfp4(const MxLookup& lookup, const Row* rows, const uint8_t* block,
                           int64_t width, float* results) {
  __m512 sums[R][4];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) sums[r][c] = _mm512_setzero_ps();
  for (int64_t g = 0; g < width / kMxGroup; ++g, block += kMxGroupBytes) {
    const MxGroup<const uint8_t> group{block};
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      __m512i products[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
        products[r] = _mm512_set1_epi32(four_bytes(rows[r].scales + 2 * g + 1));
      fetch_group(block, c);
#pragma GCC unroll 4
      for (int l = 0; l < 4; ++l) {
        const MxLooked w = lookup.at(group.codes(c) + l * 64);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          const int8_t* x = static_cast<const int8_t*>(rows[r].values) + g * kMxGroup + l * 8;
          add_broadcast(products[r], w.first, x);
          add_broadcast(products[r], w.second, x + 4);
        }
      }
      const __m512 powers = mx_powers(group.exponents + c * 16);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
        sums[r][c] = with_products(sums[r][c], products[r], powers, rows[r].scales[2 * g]);
    }
  }
  store<R>(sums, results);
}

template <int R>
inline void multiply_mxfp4_up_to(int n, const MxLookup& lookup, const Row* rows,
                                 const uint8_t* block, int64_t width, float* results) {
  if (n == R) return multiply_mxfp4<R>(lookup, rows, block, width, results);
  if constexpr (R > 1) multiply_mxfp4_up_to<R - 1>(n, lookup, rows, block, width, results);
}

inline void multiply_mxfp4(int n, const Row* rows, const uint8_t* block, int64_t width,
                           float* results) {
  constexpr int kMost = Tile<Format::mxfp4>::kAtOnce;
  const MxLookup lookup;
  for (int r = 0; r < n; r += kMost)
    multiply_mxfp4_up_to<kMost>(std::min(kMost, n - r), lookup, rows + r, block, width,
                                results + r * kColumns);
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
