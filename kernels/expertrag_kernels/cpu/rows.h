// Rows of activations, as the tiles read them.
#pragma once

#include <algorithm>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "numbers.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// The input of a tile: the values of a row in the format's type, and the scales of its groups. In
// int8 a value is stored as an unsigned byte, plus 128. In int4 and mxfp4, whose weights are unsigned
// bytes with an offset, each scale is followed by the correction for a group's products, as the bits
// of an integer. A scale of mxfp4 is half of the values', because its weights are twice what they are.
struct Row {
  const void* values;
  const float* scales;
};

// Round n values, with one instruction per 16 if there is one; it rounds subnormal values to 0.
inline void to_bf16(const float* from, int64_t n, uint16_t* to) {
  int64_t j = 0;
#ifdef __AVX512BF16__
  for (; j + 16 <= n; j += 16) {
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from + j));
    std::memcpy(to + j, &rounded, sizeof(rounded));
  }
#endif
  for (; j < n; ++j) to[j] = to_bf16(from[j]);
}

// Rows in the format's type, in scratch memory.
template <Format F>
struct Rows {
  static constexpr int64_t kGroup = F == Format::int8    ? kInt8Group
                                    : F == Format::mxfp4 ? kMxGroup
                                                         : kInt4Super;
  static constexpr int64_t kSize = F == Format::f32 ? 4 : F == Format::bf16 ? 2 : 1;
  static constexpr bool kOffset = F == Format::int4 || F == Format::mxfp4;  // of weights
  static constexpr int64_t kPerGroup = kOffset ? 2 : F == Format::int8 ? 1 : 0;

  int64_t width;  // a multiple of kPad
  uint8_t* values;
  float* scales;

  int64_t scale_count() const { return (width + kGroup - 1) / kGroup * kPerGroup; }

  template <class Memory>
  void take(Memory& memory, int64_t rows) {
    values = memory.template take<uint8_t>(rows * width * kSize);
    scales = memory.template take<float>(rows * scale_count());
  }

  Row row(int64_t i) const { return {values + i * width * kSize, scales + i * scale_count()}; }

  // Put `n` columns, from a multiple of the group on, into row i.
  void put(int64_t i, int64_t column, int64_t n, const float* from) const {
    uint8_t* to = values + (i * width + column) * kSize;
    if constexpr (F == Format::f32) {
      std::memcpy(to, from, size_t(n) * 4);
    } else if constexpr (F == Format::bf16) {
      to_bf16(from, n, reinterpret_cast<uint16_t*>(to));
    } else {
      float* scale = scales + i * scale_count() + column / kGroup * kPerGroup;
      int8_t* quantised = reinterpret_cast<int8_t*>(to);
      for (int64_t j = 0; j < n; j += kGroup, scale += kPerGroup) {
        const int64_t some = std::min(kGroup, n - j);
        *scale = quantise(from + j, some, quantised + j);
        if constexpr (F == Format::int8)
          for (int64_t k = j; k < j + some; ++k) quantised[k] = int8_t(quantised[k] ^ 0x80);
        if constexpr (F == Format::mxfp4) *scale *= 0.5f;
        if constexpr (kOffset) {
          int32_t sum = 0;
          for (int64_t k = j; k < j + some; ++k) sum += quantised[k];
          sum *= F == Format::int4 ? -kInt4Zero : -kMxZero;
          std::memcpy(scale + 1, &sum, 4);
        }
      }
    }
  }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
