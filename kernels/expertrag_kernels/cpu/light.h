// Light experts: vectors in place of the chosen experts of the least weights; see light.py.
#pragma once

#include <algorithm>
#include <cstdint>

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

// scaled = x (1 + sum w_e scale_e); to += sum w_e (shift_e + slope_e x)
inline void lighten(const Light& s, const int64_t* index, const float* weights, const float* x,
                    float* scaled, float* to) {
  std::fill(scaled, scaled + s.hidden, 1.0f);
  for (int64_t k = 0; k < s.count; ++k) {
    if (index[k] >= s.experts) continue;  // none
    const float weight = weights[k];
    const float* scale = s.vectors + index[k] * 3 * s.hidden;
    const float *shift = scale + s.hidden, *slope = shift + s.hidden;
    for (int64_t j = 0; j < s.hidden; ++j) {
      scaled[j] += weight * scale[j];
      to[j] += weight * (shift[j] + slope[j] * x[j]);
    }
  }
  for (int64_t j = 0; j < s.hidden; ++j) scaled[j] *= x[j];
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
