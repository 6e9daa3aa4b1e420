// 16 floats as a value, which compilers keep in registers; as an array, they do not always.
#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

namespace expertrag {
namespace EXPERTRAG_ISA {

using Vector = float __attribute__((vector_size(64)));
constexpr int64_t kVector = 16;

inline Vector vector(const float* from) {
  Vector values;
  std::memcpy(&values, from, sizeof(values));
  return values;
}

// 16 values of bf16, widened.
inline Vector vector(const uint16_t* from) {
  using Halves = uint16_t __attribute__((vector_size(32)));
  using Words = uint32_t __attribute__((vector_size(64)));
  Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  const Words words = __builtin_convertvector(halves, Words) << 16;
  Vector values;
  std::memcpy(&values, &words, sizeof(values));
  return values;
}

inline float total(const Vector& of) {
#ifdef __AVX512F__
  return _mm512_reduce_add_ps((__m512)of);
#endif
  float sums[kVector];
  std::memcpy(sums, &of, sizeof(of));
  for (int64_t n = kVector / 2; n; n /= 2)
    for (int64_t i = 0; i < n; ++i) sums[i] += sums[i + n];
  return sums[0];
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
