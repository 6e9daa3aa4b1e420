// Norms of a row.
#pragma once

#include <cmath>
#include <cstdint>

#include "program.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Sum of (x - mean)^2, in 16 lanes.
inline float squares(const float* x, int64_t n, float mean) {
  float lanes[16] = {};
  for (int64_t j = 0; j + 16 <= n; j += 16)
    for (int64_t lane = 0; lane < 16; ++lane) {
      const float value = x[j + lane] - mean;
      lanes[lane] += value * value;
    }
  float sum = 0.0f;
  for (int64_t j = n / 16 * 16; j < n; ++j) sum += (x[j] - mean) * (x[j] - mean);
  for (const float lane : lanes) sum += lane;
  return sum;
}

inline float inverse_deviation(const float* x, int64_t n, float mean, float epsilon) {
  return 1.0f / std::sqrt(squares(x, n, mean) / float(n) + epsilon);
}

inline void normalise(const Norm& s, const float* from, float* to) {
  const int64_t n = s.width;
  if (!s.bias) {
    const float scale = inverse_deviation(from, n, 0.0f, s.epsilon);
    for (int64_t j = 0; j < n; ++j) to[j] = from[j] * scale * s.weight[j];
    return;
  }
  float sum = 0.0f;
  for (int64_t j = 0; j < n; ++j) sum += from[j];
  const float mean = sum / float(n), scale = inverse_deviation(from, n, mean, s.epsilon);
  for (int64_t j = 0; j < n; ++j) to[j] = (from[j] - mean) * scale * s.weight[j] + s.bias[j];
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
