// 16 floats as a value, which compilers keep in registers; as an array, they do not always.
#pragma once

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

// Dot products of x (n,) with M rows of weights, which share the reading of x.
template <int64_t M>
inline void dots(const float* x, const float* const* weights, int64_t n, float* to) {
  Vector sums[M] = {};
  int64_t j = 0;
  for (; j + kVector <= n; j += kVector) {
    const Vector own = vector(x + j);
    for (int64_t m = 0; m < M; ++m) sums[m] += own * vector(weights[m] + j);
  }
  for (int64_t m = 0; m < M; ++m) {
    float sum = 0.0f;
    for (int64_t i = 0; i < kVector; ++i) sum += sums[m][i];
    for (int64_t i = j; i < n; ++i) sum += x[i] * weights[m][i];
    to[m] = sum;
  }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
