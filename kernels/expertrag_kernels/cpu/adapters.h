// What the rows of a batch gain from the adapters of their sequences, at one matrix (LoRA, Hu et al.
// 2022): rows are projected one by one, beside what is done to them anyhow, and what they gain is
// added to the results of a block before these are stored. A row costs what its own adapter costs,
// whatever others there are. Rows without an adapter are not touched.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "program.h"
#include "vectors.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

class Gains {
 public:
  // `adapters`: of each row, or null. `inputs`: of the matrix.
  Gains(const std::vector<const Adapter*>& adapters, const uint8_t* matrix, int64_t inputs)
      : inputs_(inputs) {
    for (const Adapter* adapter : adapters) {
      const Updates* found = adapter ? adapter->of(matrix) : nullptr;
      rows_.push_back(found);
      int64_t ranks = 0;
      if (found)
        for (const RangeUpdate& update : *found) ranks += update.rank;
      width_ = std::max(width_, ranks);
    }
  }

  int64_t floats() const { return width_ * int64_t(rows_.size()); }
  void use(float* memory) { tails_ = memory; }
  bool updates(int64_t row) const { return rows_[size_t(row)] != nullptr; }

  // Compute down x of all updates of a row.
  void project(int64_t row, const float* x) const {
    if (!updates(row)) return;
    float* to = tails_ + row * width_;
    for (const RangeUpdate& update : *rows_[size_t(row)]) {
      int64_t r = 0;
      const auto weights = [&](int64_t rank) { return update.down + rank * inputs_; };
      for (; r + 4 <= update.rank; r += 4) {
        const float* four[] = {weights(r), weights(r + 1), weights(r + 2), weights(r + 3)};
        dots<4>(x, four, inputs_, to + r);
      }
      for (; r < update.rank; ++r) {
        const float* one = weights(r);
        dots<1>(x, &one, inputs_, to + r);
      }
      to += update.rank;
    }
  }

  // Add what a row gains to the N results of a block.
  template <int64_t N>
  void add(int64_t row, int64_t block, float* results) const {
    if (!updates(row)) return;
    Vector sums[N / kVector];
    std::memcpy(sums, results, sizeof(sums));
    const float* tail = tails_ + row * width_;
    for (const RangeUpdate& update : *rows_[size_t(row)]) {
      const int64_t own = block - update.first;
      if (own >= 0 && own < update.blocks) {
        const float* up = update.up + own * update.rank * N;
        for (int64_t r = 0; r < update.rank; ++r, up += N)
          for (int64_t i = 0; i < N / kVector; ++i) sums[i] += tail[r] * vector(up + i * kVector);
      }
      tail += update.rank;
    }
    std::memcpy(results, sums, sizeof(sums));
  }

 private:
  int64_t inputs_, width_ = 0;  // floats of a row's tail
  std::vector<const Updates*> rows_;
  float* tails_ = nullptr;
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
