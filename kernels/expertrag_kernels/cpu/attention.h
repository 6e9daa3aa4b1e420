// Attention over pages of keys and values. A query's scores with a page are a tile's results, and so
// are the page's values weighted by them; a row's sums have one order, page by page, whatever else is
// in the batch.
#pragma once

#include <cmath>

#include "program.h"
#include "tiles.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

constexpr int64_t kPage = Cache::kPage;

// Put a value where a block of `F` has input k of column c.
template <Format F>
inline void put_in_block(uint8_t* block, int64_t k, int64_t c, float value) {
  if constexpr (F == Format::f32) {
    std::memcpy(block + (k * kColumns + c) * 4, &value, 4);
  } else {
    const uint16_t bits = to_bf16(value);
    std::memcpy(block + ((k / 2 * kColumns + c) * 2 + k % 2) * 2, &bits, 2);
  }
}

// Write the key and value of a token at `position` into its page of a head. What an earlier text has
// left behind the last token of a batch would be multiplied by 0, which no NaN survives.
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

// Queries of one head of keys in a row of tokens, and the running softmax of each.
template <Format F>
struct Queries {
  int64_t count;             // tokens * group, by token
  int64_t group;             // heads of queries for the head of keys
  const int64_t* positions;  // of the tokens
  Rows<F> rows, shares;      // queries [count], and softmax terms [rows of a tile] over a page
  float *most, *total, *sums;  // [count], [count], [count][value_blocks * 64]

  int64_t position(int64_t query) const { return positions[query / group]; }
};

// Fold 64 values with a first one, 16 lanes at a time, in one order.
template <class Both>
inline float folded(const float* values, float first, const Both& both) {
  float lanes[16];
  for (int64_t lane = 0; lane < 16; ++lane) lanes[lane] = both(values[lane], values[lane + 16]);
  for (int64_t lane = 0; lane < 16; ++lane)
    lanes[lane] = both(lanes[lane], both(values[lane + 32], values[lane + 48]));
  for (int64_t width = 8; width; width /= 2)
    for (int64_t lane = 0; lane < width; ++lane)
      lanes[lane] = both(lanes[lane], lanes[lane + width]);
  return both(lanes[0], first);
}

template <Format F>
void attend_page(const Cache& cache, const uint8_t* head, int64_t page, float scale,
                 const Queries<F>& q) {
  constexpr int kMost = Tile<F>::kRows;
  alignas(64) float results[kMost * kColumns];
  alignas(64) float terms[kColumns];
  Row tile[kMost], shares[kMost];
  float fading[kMost];
  const int64_t first_key = page * kPage, columns = cache.value_blocks() * kColumns;
  int64_t start = 0;
  while (start < q.count && q.position(start) < first_key) ++start;
  for (; start < q.count; start += kMost) {
    const int n = int(std::min<int64_t>(kMost, q.count - start));
    for (int r = 0; r < n; ++r) tile[r] = q.rows.row(start + r);
    run_tile<F>(n, tile, head, q.rows.width, results);
    int64_t longest = 0;
    for (int r = 0; r < n; ++r) {
      const int64_t query = start + r;
      const int64_t keys = std::min(kPage, q.position(query) - first_key + 1);
      longest = std::max(longest, keys);
      float* scores = results + r * kColumns;
      for (int64_t c = 0; c < kColumns; ++c) scores[c] = c < keys ? scores[c] * scale : -INFINITY;
      const float most = folded(scores, q.most[query], [](float a, float b) { return a > b ? a : b; });
      for (int64_t c = 0; c < kColumns; ++c)
        terms[c] = c < keys ? exp_of(scores[c] - most) : 0.0f;
      const float total = folded(terms, 0.0f, [](float a, float b) { return a + b; });
      fading[r] = exp_of(q.most[query] - most);
      q.most[query] = most;
      q.total[query] = q.total[query] * fading[r] + total;
      q.shares.put(r, 0, kPage, terms);
      shares[r] = q.shares.row(r);
    }
    const int64_t width = padded(longest, F == Format::bf16 ? 2 : 1);
    const uint8_t* block = head + cache.key_bytes();
    for (int64_t column = 0; column < columns; column += kColumns) {
      run_tile<F>(n, shares, block, width, results);
      block += cache.value_bytes();
      for (int r = 0; r < n; ++r) {
        float* sum = q.sums + (start + r) * columns + column;
        for (int64_t c = 0; c < kColumns; ++c)
          sum[c] = sum[c] * fading[r] + results[r * kColumns + c];
      }
    }
  }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
