// What the rows of a batch gain from the adapters of their sequences, at one matrix (LoRA, Hu et al.
// 2022): rows are projected one by one, beside what is done to them anyhow, and what they gain is
// added to the results of a block before these are stored. A row costs what its own adapters cost,
// whatever others there are. Rows without an adapter are not touched.
#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>
#include <vector>

#include "program.h"
#include "rows.h"
#include "vectors.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Dot products of x (n,) with M rows of weights (M, n), which share the reading of x; each is of
// floats or bf16. With AVX512 BF16, products with bf16 weights round x to bf16. Of few rows, each has
// two sums: one would wait for itself.
template <int64_t M, class X, class W>
inline void dots(const X* x, const W* weights, int64_t n, float* to) {
  Vector sums[M] = {}, others[M] = {};
  int64_t j = 0;
#ifdef __AVX512BF16__
  if constexpr (sizeof(W) == 2) {
    const auto add = [&](int64_t at, Vector* some) {
      __m512bh own;
      if constexpr (sizeof(X) == 2) own = (__m512bh)_mm512_loadu_si512(x + at);
      else own = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + at + 16), _mm512_loadu_ps(x + at));
      for (int64_t m = 0; m < M; ++m)
        some[m] = (Vector)_mm512_dpbf16_ps((__m512)some[m], own,
                                           (__m512bh)_mm512_loadu_si512(weights + m * n + at));
    };
    if constexpr (M <= 4)
      for (; j + 64 <= n; j += 64) add(j, sums), add(j + 32, others);
    for (; j + 32 <= n; j += 32) add(j, sums);
  }
#endif
  for (; j + kVector <= n; j += kVector) {
    const Vector own = vector(x + j);
    for (int64_t m = 0; m < M; ++m) sums[m] += own * vector(weights + m * n + j);
  }
  for (int64_t m = 0; m < M; ++m) {
    to[m] = total(sums[m] + others[m]);
    for (int64_t i = j; i < n; ++i) to[m] += as_float(x[i]) * as_float(weights[m * n + i]);
  }
}

// The adapters of a batch: the distinct sets of them, and which of these a row has.
struct AdapterSets {
  std::vector<const Adapters*> sets;
  std::vector<int32_t> of_row;  // negative for none; empty if no row has any

  explicit AdapterSets(const Batch& batch) {
    for (const Sequence& sequence : batch.sequences) {
      if (sequence.adapters.empty()) continue;
      size_t own = 0;
      while (own < sets.size() && *sets[own] != sequence.adapters) ++own;
      if (own == sets.size()) sets.push_back(&sequence.adapters);
      of_row.resize(size_t(batch.rows), -1);
      std::fill(of_row.begin() + sequence.start, of_row.begin() + sequence.stop, int32_t(own));
    }
  }

  bool empty() const { return of_row.empty(); }

  // Whether any adapter updates a matrix.
  bool update(const uint8_t* matrix) const {
    for (const Adapters* set : sets)
      for (const Adapter* adapter : *set)
        if (adapter->of(matrix)) return true;
    return false;
  }

  // Continue with these rows only.
  void take(const std::vector<int64_t>& rows) {
    if (empty()) return;
    std::vector<int32_t> taken;
    for (const int64_t row : rows) taken.push_back(of_row[size_t(row)]);
    of_row = std::move(taken);
  }
};

class Gains {
 public:
  // `inputs`: of the matrix.
  Gains(const AdapterSets& adapters, const uint8_t* matrix, int64_t inputs)
      : inputs_(inputs), set_of_(adapters.of_row) {
    spans_.push_back(0);
    for (const Adapters* set : adapters.sets) {
      int64_t width = 0;
      for (const Adapter* adapter : *set) {
        const Updates* found = adapter->of(matrix);
        if (!found) continue;
        bf16_ = adapter->bf16;
        updates_.insert(updates_.end(), found->begin(), found->end());
        for (const RangeUpdate& update : *found) width += words(update);
      }
      spans_.push_back(updates_.size());
      width_ = std::max(width_, width);
    }
  }

  int64_t floats() const { return width_ * int64_t(set_of_.size()); }
  void use(float* memory) { tails_ = memory; }

  // Compute down x of all updates of a row; x is of floats or bf16.
  template <class X>
  void project(int64_t row, const X* x) const {
    if (bf16_) project<X, uint16_t>(row, x);
    else project<X, float>(row, x);
  }

  // Read the updates of a block ahead: they are too small for the processor to see where they go on.
  void read_ahead(int64_t block, int64_t columns) const {
    for (const RangeUpdate& update : updates_) {
      const int64_t at = block - update.first, bytes = words(update) * columns * 4;
      if (at < 0 || at >= update.blocks) continue;
      prefetch(static_cast<const char*>(update.up) + at * bytes, bytes);
    }
  }

  // Add what a row gains to the N results of a block.
  template <int64_t N>
  void add(int64_t row, int64_t block, float* results) const {
    const int32_t set = set_of_[size_t(row)];
    if (set < 0) return;
    const float* tail = tails_ + row * width_;
    Vector sums[N / kVector];
    std::memcpy(sums, results, sizeof(sums));
    for (size_t i = spans_[size_t(set)]; i < spans_[size_t(set) + 1]; ++i) {
      const RangeUpdate& update = updates_[i];
      const int64_t at = block - update.first, count = words(update);
      if (at >= 0 && at < update.blocks) {
        const uint8_t* up = static_cast<const uint8_t*>(update.up) + at * count * N * 4;
        if (bf16_)
          for (int64_t r = 0; r < count; ++r) add_pair<N>(tail + r, up + r * N * 4, sums);
        else
          for (int64_t r = 0; r < count; ++r) add_one<N>(tail[r], up + r * N * 4, sums);
      }
      tail += count;
    }
    std::memcpy(results, sums, sizeof(sums));
  }

 private:
  // Of a tail: a float, or a pair of bf16.
  int64_t words(const RangeUpdate& update) const {
    return bf16_ ? (update.rank + 1) / 2 : update.rank;
  }

  static void prefetch(const void* from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64)
      __builtin_prefetch(static_cast<const char*>(from) + i);
  }

  static void put(float value, float* to) { *to = value; }
  static void put(float value, uint16_t* to) { *to = to_bf16(value); }

  template <class X, class W>
  void project(int64_t row, const X* x) const {
    const int32_t set = set_of_[size_t(row)];
    if (set < 0) return;
    float* tail = tails_ + row * width_;
    for (size_t i = spans_[size_t(set)] + 1; i < spans_[size_t(set) + 1]; ++i)
      prefetch(updates_[i].down, updates_[i].rank * inputs_ * int64_t(sizeof(W)));
    for (size_t i = spans_[size_t(set)]; i < spans_[size_t(set) + 1]; ++i) {
      const RangeUpdate& update = updates_[i];
      const W* down = static_cast<const W*>(update.down);
      W* to = reinterpret_cast<W*>(tail);
      int64_t r = 0;
      for (; r + 8 <= update.rank; r += 8) project<8>(x, down, r, to);
      if (r + 4 <= update.rank) project<4>(x, down, r, to), r += 4;
      if (r + 2 <= update.rank) project<2>(x, down, r, to), r += 2;
      if (r < update.rank) project<1>(x, down, r, to);
      if (bf16_ && update.rank % 2) put(0.0f, to + update.rank);
      tail += words(update);
    }
  }

  template <int64_t M, class X, class W>
  void project(const X* x, const W* down, int64_t first, W* to) const {
    float found[M];
    dots<M>(x, down + first * inputs_, inputs_, found);
    for (int64_t m = 0; m < M; ++m) put(found[m], to + first + m);
  }

  template <int64_t N>
  static void add_one(float tail, const uint8_t* up, Vector* sums) {
    const float* weights = reinterpret_cast<const float*>(up);
    for (int64_t i = 0; i < N / kVector; ++i) sums[i] += tail * vector(weights + i * kVector);
  }

  // `tail` is of two bf16 values, `up` of N pairs.
  template <int64_t N>
  static void add_pair(const float* tail, const uint8_t* up, Vector* sums) {
#ifdef __AVX512BF16__
    int32_t both;
    std::memcpy(&both, tail, 4);
    const __m512bh own = (__m512bh)_mm512_set1_epi32(both);
    for (int64_t i = 0; i < N / kVector; ++i)
      sums[i] = (Vector)_mm512_dpbf16_ps((__m512)sums[i], own,
                                         (__m512bh)_mm512_loadu_si512(up + i * 64));
#else
    using Words = uint32_t __attribute__((vector_size(64)));
    uint16_t both[2];
    std::memcpy(both, tail, 4);
    for (int64_t i = 0; i < N / kVector; ++i) {
      Words words;
      std::memcpy(&words, up + i * 64, 64);
      const Words halves[2] = {words << 16, words & 0xffff0000u};
      for (int64_t half = 0; half < 2; ++half) {
        Vector weights;
        std::memcpy(&weights, &halves[half], 64);
        sums[i] += from_bf16(both[half]) * weights;
      }
    }
#endif
  }

  int64_t inputs_, width_ = 0;  // floats of a row's tail
  std::vector<int32_t> set_of_;  // of each row
  std::vector<RangeUpdate> updates_;  // of all sets
  std::vector<size_t> spans_;  // where those of a set begin
  bool bf16_ = false;
  float* tails_ = nullptr;
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
