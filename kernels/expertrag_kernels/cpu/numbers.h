// Number formats, activations and quantisation, in loops that compilers can vectorise.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "experts.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

inline float from_bf16(uint16_t bits) {
  uint32_t wide = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

inline float as_float(float value) { return value; }
inline float as_float(uint16_t bits) { return from_bf16(bits); }

inline uint16_t to_bf16(float value) {  // to nearest even; NaN stays NaN
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40;
  return uint16_t((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

inline uint16_t to_half(float value) {  // to nearest even, as _Float16 rounds
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000)  // 65536 and more, or no number
    return uint16_t(sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00));
  if (magnitude < 0x38800000) {  // subnormal: adding .5 rounds off the bits that a half has not
    float shifted;
    std::memcpy(&shifted, &magnitude, 4);
    shifted += 0.5f;
    uint32_t rounded;
    std::memcpy(&rounded, &shifted, 4);
    return uint16_t(sign | (rounded - 0x3f000000));
  }
  const uint32_t rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1);
  return uint16_t(sign | (rounded >> 13));
}

inline float from_half(uint16_t half) {
  const uint32_t magnitude = uint32_t(half & 0x7fff) << 13, sign = uint32_t(half & 0x8000) << 16;
  float value;
  std::memcpy(&value, &magnitude, 4);
  value *= 0x1p112f;
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits |= sign;
  std::memcpy(&value, &bits, 4);
  return value;
}

// e^x, relative error below 2e-7 (the polynomial of Cephes' expf); without branches, so that loops
// over it become vector code. These functions are always inlined: as a unit grows, GCC leaves calls,
// and then the loops are scalar.
[[gnu::always_inline]] inline float exp_of(float x) {
  const bool number = x == x;
  x = x < 88.3f ? x : 88.3f;  // also for NaN, which is restored at the end: no integer represents it
  x = x > -87.3f ? x : -87.3f;
  const float n = std::nearbyint(x * 1.44269504088896341f);
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t bits = uint32_t(int32_t(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, 4);
  return number ? p * scale : NAN;
}

[[gnu::always_inline]] inline float silu(float x) { return x / (1.0f + exp_of(-x)); }

[[gnu::always_inline]] inline float gelu_tanh(float x) {
  const float inside = 0.7978845608028654f * (x + 0.044715f * x * x * x);
  return x / (1.0f + exp_of(-2.0f * inside));
}

[[gnu::always_inline]] inline float gelu(float x) {  // erf by Abramowitz & Stegun 7.1.26, absolute error below 1.5e-7
  const float z = std::fabs(x) * 0.7071067811865476f;
  const float t = 1.0f / (1.0f + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = p * t * exp_of(-z * z);  // 1 - erf(z)
  return 0.5f * x * (x < 0.0f ? tail : 2.0f - tail);
}

[[gnu::always_inline]] inline float clamped_swiglu(float gate, float up) {  // of gpt-oss; NaN stays NaN
  gate = gate > 7.0f ? 7.0f : gate;
  up = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
  return gate / (1.0f + exp_of(-1.702f * gate)) * (up + 1.0f);
}

// h[j] = act(gate[j]) * up[j] of 32 columns; a tile's row holds gate, then up.
[[gnu::always_inline]] inline void activate(Activation activation, const float* __restrict tile,
                                            float* __restrict h) {
  switch (activation) {
    case Activation::silu:
      for (int j = 0; j < 32; ++j) h[j] = silu(tile[j]) * tile[32 + j];
      break;
    case Activation::gelu:
      for (int j = 0; j < 32; ++j) h[j] = gelu(tile[j]) * tile[32 + j];
      break;
    case Activation::gelu_tanh:
      for (int j = 0; j < 32; ++j) h[j] = gelu_tanh(tile[j]) * tile[32 + j];
      break;
    case Activation::relu:
      for (int j = 0; j < 32; ++j) h[j] = (tile[j] < 0.0f ? 0.0f : tile[j]) * tile[32 + j];
      break;
    case Activation::clamped_swiglu:
      for (int j = 0; j < 32; ++j) h[j] = clamped_swiglu(tile[j], tile[32 + j]);
      break;
  }
}

// Divide n values by their scale, the greatest magnitude / 127, and round. A non-finite value makes
// the scale NaN, and thereby the results of its row, but of no other row. Magnitudes are compared as
// the integers of their bits, which have the same order: compilers do not vectorise a float maximum.
inline float quantise(const float* values, int64_t n, int8_t* out) {
  int32_t most_bits = 0;
  for (int64_t i = 0; i < n; ++i) {
    int32_t bits;
    std::memcpy(&bits, values + i, 4);
    most_bits = std::max(most_bits, bits & 0x7fffffff);
  }
  if (most_bits >= 0x7f800000) {
    std::memset(out, 0, size_t(n));
    return NAN;
  }
  float most;
  std::memcpy(&most, &most_bits, 4);
  // values with a scale too small to divide by become 0
  const float scale = most / 127.0f, inverse = most > 1e-35f ? 127.0f / most : 0.0f;
  for (int64_t i = 0; i < n; ++i) out[i] = int8_t(std::nearbyint(values[i] * inverse));
  return scale;
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
