// Tiles for AVX512 with BF16 and VNNI (Zen 4, Sapphire Rapids and later). A tile has as many rows as
// keep both multipliers busy: with more rows the compiler spills sums, with fewer rows weights are
// read again. Tiles for int4 and mxfp4 have files of their own.
#pragma once

#include <immintrin.h>

#include "rows.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

template <Format F>
struct Tile {
  static constexpr int kRows = F == Format::int8 ? 5 : 6;
};

template <Format F, int R>
struct Multiply;

inline int32_t four_bytes(const void* from) {
  int32_t found;
  std::memcpy(&found, from, 4);
  return found;
}

// Add to every 32-bit sum the products of four unsigned and four signed bytes. GCC takes a second
// register for each sum of the intrinsic (seen in 12.4), and then spills sums.
inline void add_products(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  __m512i own = sum;
  asm("vpdpbusd %2, %1, %0" : "+v"(own) : "v"(unsigned_bytes), "v"(signed_bytes));
  sum = own;
}

// As add_products, of four signed bytes in memory for all columns.
inline void add_broadcast(__m512i& sum, __m512i unsigned_bytes, const int8_t* four) {
  __m512i own = sum;
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(own)
      : "v"(unsigned_bytes), "m"(*reinterpret_cast<const int32_t*>(four)));
  sum = own;
}

// Add the products of some inputs, by the scales of both, to a row's sums of 16 columns.
inline __m512 with_products(__m512 sum, __m512i products, __m512 scale, float own) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), _mm512_mul_ps(scale, _mm512_set1_ps(own)),
                         sum);
}

template <int R>
inline void store(const __m512 (&sums)[R][4], float* results) {
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < 4; ++c) _mm512_store_ps(results + r * kColumns + c * 16, sums[r][c]);
}

template <int R>
struct Multiply<Format::f32, R> {
  static void run(const Row* rows, const uint8_t* block, int64_t width, float* results) {
    __m512 sums[R][4];
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < 4; ++c) sums[r][c] = _mm512_setzero_ps();
    for (int64_t k = 0; k < width; ++k, block += 256) {
      __m512 w[4];
      for (int c = 0; c < 4; ++c) w[c] = _mm512_load_ps(block + c * 64);
      for (int r = 0; r < R; ++r) {
        const __m512 x = _mm512_set1_ps(static_cast<const float*>(rows[r].values)[k]);
        for (int c = 0; c < 4; ++c) sums[r][c] = _mm512_fmadd_ps(x, w[c], sums[r][c]);
      }
    }
    store<R>(sums, results);
  }
};

template <int R>
struct Multiply<Format::bf16, R> {
  static void run(const Row* rows, const uint8_t* block, int64_t width, float* results) {
    __m512 sums[R][4];
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < 4; ++c) sums[r][c] = _mm512_setzero_ps();
    for (int64_t k = 0; k < width; k += 2, block += 256) {
      __m512bh w[4];
      for (int c = 0; c < 4; ++c) w[c] = (__m512bh)_mm512_load_si512(block + c * 64);
      for (int r = 0; r < R; ++r) {
        const uint16_t* values = static_cast<const uint16_t*>(rows[r].values);
        const __m512bh x = (__m512bh)_mm512_set1_epi32(four_bytes(values + k));
        for (int c = 0; c < 4; ++c) sums[r][c] = _mm512_dpbf16_ps(sums[r][c], x, w[c]);
      }
    }
    store<R>(sums, results);
  }
};

template <int R>
struct Multiply<Format::int8, R> {
  static void run(const Row* rows, const uint8_t* block, int64_t width, float* results) {
    const uint8_t* scale = block;
    block += kColumns * 4;
    __m512 sums[R][4];
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < 4; ++c) sums[r][c] = _mm512_setzero_ps();
    for (int64_t start = 0, g = 0; start < width; start += kInt8Group, ++g) {
      __m512i group[R][4];
      // -128 times the sum of the weights, because activations have an offset of 128
      for (int c = 0; c < 4; ++c) {
        const __m256i narrow = _mm256_load_si256(reinterpret_cast<const __m256i*>(block + c * 32));
        const __m512i start_at = _mm512_slli_epi32(_mm512_cvtepi16_epi32(narrow), 7);
        for (int r = 0; r < R; ++r) group[r][c] = start_at;
      }
      block += kColumns * 2;
      const int64_t stop = std::min(start + kInt8Group, width);
      for (int64_t k = start; k < stop; k += 4, block += 256) {
        __m512i w[4];
        for (int c = 0; c < 4; ++c) w[c] = _mm512_load_si512(block + c * 64);
        for (int r = 0; r < R; ++r) {
          const uint8_t* values = static_cast<const uint8_t*>(rows[r].values);
          const __m512i x = _mm512_set1_epi32(four_bytes(values + k));
          for (int c = 0; c < 4; ++c) add_products(group[r][c], x, w[c]);
        }
      }
      for (int r = 0; r < R; ++r) {
        const __m512 s = _mm512_set1_ps(rows[r].scales[g]);
        for (int c = 0; c < 4; ++c)
          sums[r][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(group[r][c]), s, sums[r][c]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < 4; ++c)
        sums[r][c] = _mm512_mul_ps(sums[r][c], _mm512_load_ps(scale + c * 64));
    store<R>(sums, results);
  }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
