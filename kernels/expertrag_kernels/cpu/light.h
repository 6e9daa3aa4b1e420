// Light experts: vectors and neurons in place of the experts of least weights; see light.py.
#pragma once

#include <algorithm>
#include <cstdint>

#include "adapters.h"
#include "numbers.h"
#include "program.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Sort a row's experts by weight, the largest first. Equal ones keep their order, and most rows are
// sorted already.
inline void by_weight(int64_t* index, float* weights, int64_t count) {
  for (int64_t k = 1; k < count; ++k)
    for (int64_t at = k; at > 0 && weights[at] > weights[at - 1]; --at) {
      std::swap(weights[at], weights[at - 1]);
      std::swap(index[at], index[at - 1]);
    }
}

// to += weight sum_n silu(gate_n x) (up_n x) down_n
inline void add_neurons(const Light& s, const float* neurons, float weight, const float* x,
                        float* to) {
  for (int64_t n = 0; n < s.neurons; ++n) {
    const float* gate = neurons + n * s.hidden;
    const float *up = gate + s.neurons * s.hidden, *down = up + s.neurons * s.hidden;
    float into_gate, into_up;
    dots<1>(x, gate, s.hidden, &into_gate);
    dots<1>(x, up, s.hidden, &into_up);
    const float inner = weight * silu(into_gate) * into_up;
    for (int64_t j = 0; j < s.hidden; ++j) to[j] += inner * down[j];
  }
}

// scaled = x (1 + sum w_e scale_e); to += sum w_e (shift_e + slope_e x + what its neurons make)
inline void lighten(const Light& s, const int64_t* index, const float* weights, const float* x,
                    float* scaled, float* to) {
  std::fill(scaled, scaled + s.hidden, 1.0f);
  for (int64_t k = 0; k < s.count; ++k) {
    if (index[k] >= s.experts) continue;  // none
    const float weight = weights[k];
    const float* scale = s.vectors + index[k] * (3 + 3 * s.neurons) * s.hidden;
    const float *shift = scale + s.hidden, *slope = shift + s.hidden;
    for (int64_t j = 0; j < s.hidden; ++j) {
      scaled[j] += weight * scale[j];
      to[j] += weight * (shift[j] + slope[j] * x[j]);
    }
    add_neurons(s, slope + s.hidden, weight, x, to);
  }
  for (int64_t j = 0; j < s.hidden; ++j) scaled[j] *= x[j];
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
