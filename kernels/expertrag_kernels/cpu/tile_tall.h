// Rows by a block of f32 or bf16 on processors whose registers are short, and by one of mxfp4, in
// float. Many rows: a part of the block at a time, which is widened once for all of them and stays in
// the first cache while they pass. A row's sums lie in memory between two parts, which does not change
// them. A single row, which is limited by memory, takes the block in its order; its sums are added up
// in the same order.
#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "rows.h"
#include "widen_mxfp4.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

constexpr int kTallRows = 48;
constexpr int64_t kTallDepth = 256;  // inputs of a part: 16 columns of it take half the first cache

// A register, and as many rows as let the sums of 16 columns fit into registers beside a weight.
#if defined(__AVX512F__)
constexpr int kTallLanes = 16, kTallStep = 12;  // of 32 registers
#elif defined(__AVX__)
constexpr int kTallLanes = 8, kTallStep = 6;  // of 16 registers
#elif defined(__aarch64__)
constexpr int kTallLanes = 4, kTallStep = 6;  // of 32
#else
constexpr int kTallLanes = 4, kTallStep = 3;  // of 16
#endif
typedef float TallPart __attribute__((vector_size(kTallLanes * 4)));

inline void add_product(TallPart& sum, TallPart w, float x) {
#ifdef __AVX512F__  // of a row that is alone, GCC 12 does not contract it: its bits would differ
  sum = (TallPart)_mm512_fmadd_ps((__m512)w, _mm512_set1_ps(x), (__m512)sum);
#else
  sum += w * x;
#endif
}

// Add the products of R rows and 16 columns over `depth` inputs to the results.
template <int R>
inline void add_tall(const float* const* x, const float* weights, int64_t depth, float* results) {
  constexpr int C = 16 / kTallLanes;
  TallPart sums[R][C];
  for (int r = 0; r < R; ++r) std::memcpy(sums[r], results + r * kColumns, sizeof(sums[r]));
  for (int64_t k = 0; k < depth; ++k, weights += 16) {
    TallPart w[C];
    std::memcpy(w, weights, sizeof(w));
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) add_product(sums[r][c], w[c], x[r][k]);
  }
  for (int r = 0; r < R; ++r) std::memcpy(results + r * kColumns, sums[r], sizeof(sums[r]));
}

template <int R = kTallStep>
inline void add_tall(int n, const float* const* x, const float* weights, int64_t depth,
                     float* results) {
  if (n == R) {
    add_tall<R>(x, weights, depth, results);
  } else if constexpr (R > 1) {
    add_tall<R - 1>(n, x, weights, depth, results);
  }
}

// Write inputs k .. k + depth of a block as floats [4][kTallDepth][16].
template <Format F>
inline void widen_block(const uint8_t* block, int64_t k, int64_t depth, float* to) {
  constexpr int64_t kSlice = kTallDepth * 16;
  if constexpr (F == Format::mxfp4) {
    widen_mxfp4(block, k, depth, kSlice, 16, to);
  } else if constexpr (F == Format::f32) {
    block += k * kColumns * 4;
    for (int64_t i = 0; i < depth; ++i, block += kColumns * 4)
      for (int64_t c = 0; c < 4; ++c) std::memcpy(to + c * kSlice + i * 16, block + c * 64, 64);
  } else {
    block += k * kColumns * 2;
    for (int64_t i = 0; i < depth; i += 2, block += kColumns * 4)
      for (int64_t c = 0; c < 4; ++c) {
        uint32_t pairs[16], even[16], odd[16];
        std::memcpy(pairs, block + c * 64, 64);
        for (int j = 0; j < 16; ++j) even[j] = pairs[j] << 16;
        for (int j = 0; j < 16; ++j) odd[j] = pairs[j] & 0xffff0000u;
        std::memcpy(to + c * kSlice + i * 16, even, 64);
        std::memcpy(to + c * kSlice + i * 16 + 16, odd, 64);
      }
  }
}

// Add the products of one row and 64 columns over `depth` inputs, which are floats, to the results.
template <Format F>
inline void add_single(const float* x, const uint8_t* block, int64_t depth, float* results) {
  typedef uint32_t Words __attribute__((vector_size(kTallLanes * 4)));
  constexpr int C = kTallLanes > 8 ? 4 : 8, kAtOnce = C * kTallLanes;
  for (int64_t first = 0; first < kColumns; first += kAtOnce) {
    TallPart sums[C];
    std::memcpy(sums, results + first, sizeof(sums));
    const uint8_t* from = block + first * 4;
    if constexpr (F == Format::f32) {
      for (int64_t k = 0; k < depth; ++k, from += kColumns * 4)
        for (int c = 0; c < C; ++c) {
          TallPart w;
          std::memcpy(&w, from + c * sizeof(w), sizeof(w));
          add_product(sums[c], w, x[k]);
        }
    } else {
      for (int64_t k = 0; k < depth; k += 2, from += kColumns * 4)
        for (int c = 0; c < C; ++c) {
          Words pairs;
          std::memcpy(&pairs, from + c * sizeof(pairs), sizeof(pairs));
          sums[c] += (TallPart)(pairs << 16) * x[k];
          sums[c] += (TallPart)(pairs & 0xffff0000u) * x[k + 1];
        }
    }
    std::memcpy(results + first, sums, sizeof(sums));
  }
}

// Inputs k .. k + depth of a row as floats; `wide` is room for them.
template <Format F>
inline const float* widened(const Row& row, int64_t k, int64_t depth, float* wide) {
  if constexpr (F == Format::f32) return static_cast<const float*>(row.values) + k;
  if constexpr (F == Format::mxfp4) {
    const int8_t* quantised = static_cast<const int8_t*>(row.values) + k;
    const float* scales = row.scales + k / kMxGroup * 2;
    for (int64_t i = 0; i < depth; i += kMxGroup, scales += 2)
      for (int64_t j = i; j < i + kMxGroup; ++j) wide[j] = float(quantised[j]) * *scales;
    return wide;
  }
  const uint16_t* values = static_cast<const uint16_t*>(row.values) + k;
  for (int64_t i = 0; i < depth; ++i) wide[i] = from_bf16(values[i]);
  return wide;
}

template <Format F>
inline void multiply_single(const Row& row, const uint8_t* block, int64_t width, float* results) {
  constexpr int64_t kInput = kColumns * (F == Format::f32 ? 4 : 2);
  alignas(64) float wide[kTallDepth];
  std::memset(results, 0, kColumns * 4);
  for (int64_t k = 0; k < width; k += kTallDepth) {
    const int64_t depth = std::min(kTallDepth, width - k);
    const float* x = widened<F>(row, k, depth, wide);
    if constexpr (F == Format::mxfp4) {
      alignas(64) float weights[kMxGroup * kColumns];
      for (int64_t i = 0; i < depth; i += kMxGroup) {
        widen_mxfp4(block, k + i, kMxGroup, 16, kColumns, weights);
        add_single<Format::f32>(x + i, reinterpret_cast<const uint8_t*>(weights), kMxGroup, results);
      }
    } else {
      add_single<F>(x, block + k * kInput, depth, results);
    }
  }
}

// Multiply n rows, kTallRows at most, by a block: results [n][64].
template <Format F>
inline void multiply_tall(int n, const Row* rows, const uint8_t* block, int64_t width,
                          float* results) {
  if (n == 1) return multiply_single<F>(rows[0], block, width, results);
  alignas(64) float weights[4 * kTallDepth * 16];
  constexpr int64_t kWide = F == Format::f32 ? 0 : kTallDepth;
  alignas(64) float wide[kTallRows * kWide + 1];
  const float* x[kTallRows];
  std::memset(results, 0, size_t(n) * kColumns * 4);
  for (int64_t k = 0; k < width; k += kTallDepth) {
    const int64_t depth = std::min(kTallDepth, width - k);
    widen_block<F>(block, k, depth, weights);
    for (int r = 0; r < n; ++r)
      x[r] = widened<F>(rows[r], k, depth, wide + r * kWide);
    for (int c = 0; c < 4; ++c)
      for (int r = 0; r < n; r += kTallStep)
        add_tall(std::min(kTallStep, n - r), x + r, weights + c * kTallDepth * 16, depth,
                 results + r * kColumns + c * 16);
  }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
