// Attention over pages of keys and values. A tile computes a query's scores with a page, and the
// page's values weighted by them; a row is summed in a fixed order, page by page, whatever else is in
// the batch.
#pragma once

#include <cmath>

#include "program.h"
#include "tiles.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

constexpr int64_t kPage = Cache::kPage;

// Store a value at input k of column c in a block of format `F`.
template <Format F>
inline void put_in_block(uint8_t* block, int64_t k, int64_t c, float value) {
  if constexpr (F == Format::f32) {
    std::memcpy(block + (k * kColumns + c) * 4, &value, 4);
  } else {
    const uint16_t bits = to_bf16(value);
    std::memcpy(block + ((k / 2 * kColumns + c) * 2 + k % 2) * 2, &bits, 2);
  }
}

// Write the key and value of a token at `position` into its page of a head. Old contents after the
// last token of a batch would be multiplied by 0, which does not remove NaN.
template <Format F>
void write_head(const Cache& cache, uint8_t* head, int64_t position, bool last, const float* own,
                const float* shared, const float* value) {
  const int64_t slot = position % kPage;
  for (int64_t k = 0; k < cache.own_width; ++k) put_in_block<F>(head, k, slot, own[k]);
  for (int64_t k = 0; k < cache.shared_width; ++k)
    put_in_block<F>(head, cache.own_width + k, slot, shared[k]);
  uint8_t* block = head + cache.key_bytes();
  for (int64_t first = 0; first < cache.value_width; first += kColumns) {
    const int64_t n = std::min(kColumns, cache.value_width - first);
    for (int64_t c = 0; c < n; ++c) {
      put_in_block<F>(block, slot, c, value[first + c]);
      if (F == Format::bf16 && last && slot % 2 == 0) put_in_block<F>(block, slot + 1, c, 0.0f);
    }
    block += cache.value_bytes();
  }
}

// Queries of one key head for consecutive tokens, and the running softmax of each.
template <Format F>
struct Queries {
  int64_t count;             // tokens * group, by token
  int64_t group;             // heads of queries for the head of keys
  const int64_t* positions;  // of the tokens
  int64_t window;            // how many positions each attends to, from its own backwards
  Rows<F> rows, shares;      // [count]: queries, and their softmax terms over a page
  float *most, *total, *fading;  // [count]: softmax maximum and sum, and the rescaling of old sums
  float *scores, *sums;          // [count][64] of a page, [count][value_blocks * 64]

  int64_t position(int64_t query) const { return positions[query / group]; }
  int64_t oldest(int64_t query) const {  // position that it attends to
    return std::max<int64_t>(0, position(query) - window + 1);
  }
};

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// Reduce N values to one, 16 lanes at a time, in a fixed order. Halves are vectors, because compilers
// do not vectorise loops over few values.
template <int N, class Both>
inline float folded(const float* values, const Both& both) {
  if constexpr (N == 2) {
    return both(values[0], values[1]);
  } else {
    constexpr int kPart = std::min(N / 2, 16), kWide = std::min(kPart, kLanes);
    typedef float Vector __attribute__((vector_size(kWide * 4)));
    float half[N / 2];
    for (int at = 0; at < N / 2; at += kWide) {
      const float* from = values + at / kPart * 2 * kPart + at % kPart;
      Vector low, high;
      std::memcpy(&low, from, sizeof(Vector));
      std::memcpy(&high, from + kPart, sizeof(Vector));
      low = both(low, high);
      std::memcpy(half + at, &low, sizeof(Vector));
    }
    return folded<N / 2>(half, both);
  }
}

// Run each part for all queries before the next part: a single tile would wait for its own results.
// Queries that attend to nothing in the page are left out, so that a query's sums are the same with
// any others.
template <Format F>
void attend_page(const Cache& cache, const uint8_t* head, int64_t page, float scale,
                 const Queries<F>& q) {
  constexpr int kMost = Tile<F>::kRows;
  const int64_t first_key = page * kPage, columns = cache.value_blocks() * kColumns;
  const auto keys = [&](int64_t query) {
    return std::min(kPage, q.position(query) - first_key + 1);
  };
  const auto skipped = [&](int64_t query) {  // keys before its window
    return std::max<int64_t>(0, q.oldest(query) - first_key);
  };
  int64_t first = 0, stop = q.count;
  while (first < stop && keys(first) < 1) ++first;
  while (first < stop && skipped(stop - 1) >= kPage) --stop;

  Row tile[kMost];
  for (int64_t start = first; start < stop; start += kMost) {
    const int n = int(std::min<int64_t>(kMost, stop - start));
    for (int r = 0; r < n; ++r) tile[r] = q.rows.row(start + r);
    run_tile<F>(n, tile, head, q.rows.width, q.scores + start * kColumns);
  }

  const auto larger = [](auto a, auto b) { return a > b ? a : b; };
  for (int64_t query = first; query < stop; ++query) {
    float* scores = q.scores + query * kColumns;
    for (int64_t c = 0; c < kColumns; ++c) scores[c] *= scale;
    if (const int64_t n = skipped(query)) std::fill(scores, scores + n, -INFINITY);
    std::fill(scores + keys(query), scores + kColumns, -INFINITY);  // of the last page alone
    const float most = larger(folded<kColumns>(scores, larger), q.most[query]);
    q.fading[query] = q.most[query] - most;
    q.most[query] = most;
  }
  for (int64_t query = first; query < stop; ++query)
    q.fading[query] = exp_of(q.fading[query]);
  for (int64_t query = first; query < stop; ++query) {
    float* terms = q.scores + query * kColumns;
    const float most = q.most[query];
    for (int64_t c = 0; c < kColumns; ++c) terms[c] = exp_of(terms[c] - most);
    if (const int64_t n = skipped(query)) std::fill(terms, terms + n, 0.0f);
    std::fill(terms + keys(query), terms + kColumns, 0.0f);
    const float total = folded<kColumns>(terms, [](auto a, auto b) { return a + b; });
    q.total[query] = q.total[query] * q.fading[query] + total;
    q.shares.put(query, 0, kPage, terms);
  }

  alignas(64) float results[kMost * kColumns];
  const uint8_t* block = head + cache.key_bytes();
  for (int64_t column = 0; column < columns; column += kColumns, block += cache.value_bytes())
    for (int64_t start = first; start < stop; start += kMost) {
      const int n = int(std::min<int64_t>(kMost, stop - start));
      for (int r = 0; r < n; ++r) tile[r] = q.shares.row(start + r);
      const int64_t longest = keys(start + n - 1);  // of the tile's last token
      run_tile<F>(n, tile, block, padded(longest, F == Format::bf16 ? 2 : 1), results);
      for (int r = 0; r < n; ++r) {
        float* sum = q.sums + (start + r) * columns + column;
        const float fading = q.fading[start + r];
        for (int64_t c = 0; c < kColumns; ++c) sum[c] = sum[c] * fading + results[r * kColumns + c];
      }
    }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
