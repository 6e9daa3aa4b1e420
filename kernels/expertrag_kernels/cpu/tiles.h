// The tile of as many rows as there are. The unit has included the tiles of its instruction set.
#pragma once

#include "rows.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Multiply n rows, kRows at most, by a block: results [n][64].
template <Format F, int N = Tile<F>::kRows>
inline void run_tile(int n, const Row* rows, const uint8_t* block, int64_t width, float* results) {
  if constexpr (F == Format::int4) {
    multiply_int4(n, rows, block, width, results);
  } else if constexpr (F == Format::mxfp4) {
    multiply_mxfp4(n, rows, block, width, results);
#ifndef __AVX512F__
  } else if constexpr (F != Format::int8) {
    multiply_tall<F>(n, rows, block, width, results);
#endif
  } else if (n == N) {
    Multiply<F, N>::run(rows, block, width, results);
  } else if constexpr (N > 1) {
    run_tile<F, N - 1>(n, rows, block, width, results);
  }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
