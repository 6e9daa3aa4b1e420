// The forward pass of a layer's experts. Included once by the unit of each instruction set, which
// has defined EXPERTRAG_ISA (its namespace) and the tiles that multiply.
//
// Two passes over the experts that are in use, within one parallel region:
//   1  a task is some 32-column blocks of one expert's gate and up: h = act(gate x) * (up x)
//   2  a task is some 64-column blocks of the output, of all experts: it alone writes them, so that
//      no sum needs an atomic and every row is added up in the order of its experts
// Tasks are taken from a counter, and no thread waits for another that has taken none (crew.h).
// A row's sums have one order whatever else is in the batch, and however many threads there are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "crew.h"
#include "rows.h"
#include "sorted.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Multiply n rows by a block: results [n][64].
template <Format F, int N = Tile<F>::kRows>
inline void run_tile(int n, const Row* rows, const uint8_t* block, int64_t width, float* results) {
  if (n == N) {
    Multiply<F, N>::run(rows, block, width, results);
  } else if constexpr (N > 1) {
    run_tile<F, N - 1>(n, rows, block, width, results);
  }
}

template <Format F>
struct Pass {
  const Experts& experts;
  const Sorted& sorted;
  int64_t hidden, inner, columns;    // padded: inputs, inner columns, outputs
  int64_t gate_up_bytes, down_bytes;  // of a block
  Rows<F> x, h;
  bool bf16;
  const void* source;
  void* out;
  int64_t tokens;

  static constexpr int64_t kBlocks = F == Format::int8 ? kInt8Group / 32 : 1;  // of a task

  Pass(const Experts& e, const Sorted& s)
      : experts(e),
        sorted(s),
        hidden(padded(e.hidden, kPad)),
        inner(padded(e.inner, kPad)),
        columns(padded(e.hidden, kColumns)),
        gate_up_bytes(block_bytes(F, hidden)),
        down_bytes(block_bytes(F, inner)) {}

  int64_t blocks() const { return inner / 32; }
  int64_t gate_up_tasks() const { return (blocks() + kBlocks - 1) / kBlocks; }
  int64_t down_blocks() const { return columns / kColumns; }

  // Read token t's row into `line`, hidden floats with zeros behind H.
  void read(int64_t t, float* line) const {
    const int64_t width = experts.hidden;
    if (bf16) {
      const uint16_t* from = static_cast<const uint16_t*>(source) + t * width;
      for (int64_t j = 0; j < width; ++j) line[j] = from_bf16(from[j]);
    } else {
      std::memcpy(line, static_cast<const float*>(source) + t * width, size_t(width) * 4);
    }
    for (int64_t j = width; j < hidden; ++j) line[j] = 0.0f;
  }

  // The token's own memory serves where it has the format's type and needs no padding.
  bool direct() const {
    return hidden == experts.hidden &&
           ((F == Format::f32 && !bf16) || (F == Format::bf16 && bf16));
  }

  // Multiply the rows of a group by a block, and hand each row's 64 results to `use(row, results)`.
  template <class Use>
  void multiply(const Rows<F>& from, const Group& group, bool by_token, const uint8_t* block,
                const Use& use) const {
    constexpr int kMost = Tile<F>::kRows;
    alignas(64) float results[kMost * kColumns];
    Row rows[kMost];
    for (int64_t start = group.start; start < group.stop; start += kMost) {
      const int n = int(std::min<int64_t>(kMost, group.stop - start));
      for (int r = 0; r < n; ++r)
        rows[r] = from.row(by_token ? sorted.token[size_t(start + r)] : start + r);
      run_tile<F>(n, rows, block, from.width, results);
      for (int r = 0; r < n; ++r) use(start + r, results + r * kColumns);
    }
  }

  void gate_up(int64_t task, float* columns_of_h) const {
    const Group& group = sorted.groups[size_t(task / gate_up_tasks())];
    const int64_t first = task % gate_up_tasks() * kBlocks;
    const int64_t last = std::min(first + kBlocks, blocks());
    const int64_t width = (last - first) * 32;
    const uint8_t* block = experts.data + (group.expert * blocks() + first) * gate_up_bytes;
    for (int64_t b = first; b < last; ++b, block += gate_up_bytes) {
      multiply(x, group, true, block, [&](int64_t row, const float* results) {
        const int64_t place = (row - group.start) * width + (b - first) * 32;
        float* to = columns_of_h + (kBlocks == 1 ? 0 : place);
        activate(experts.activation, results, to);
        if constexpr (kBlocks == 1) h.put(row, b * 32, 32, to);
      });
    }
    if constexpr (kBlocks > 1)
      for (int64_t row = group.start; row < group.stop; ++row)
        h.put(row, first * 32, width, columns_of_h + (row - group.start) * width);
  }

  void down(int64_t first, int64_t last, float* sums) const {
    const int64_t width = (last - first) * kColumns;
    std::memset(sums, 0, size_t(tokens * width) * 4);
    const uint8_t* all = experts.data + experts.count * blocks() * gate_up_bytes;
    for (const Group& group : sorted.groups) {
      const uint8_t* block = all + (group.expert * down_blocks() + first) * down_bytes;
      for (int64_t b = first; b < last; ++b, block += down_bytes) {
        multiply(h, group, false, block, [&](int64_t row, const float* results) {
          float* sum = sums + sorted.token[size_t(row)] * width + (b - first) * kColumns;
          const float weight = sorted.weight[size_t(row)];
          for (int64_t j = 0; j < kColumns; ++j) sum[j] += weight * results[j];
        });
      }
    }
    const int64_t start = first * kColumns, n = std::min(width, experts.hidden - start);
    for (int64_t t = 0; t < tokens; ++t) {
      const float* sum = sums + t * width;
      if (bf16) {
        uint16_t* to = static_cast<uint16_t*>(out) + t * experts.hidden + start;
        for (int64_t j = 0; j < n; ++j) to[j] = to_bf16(sum[j]);
      } else {
        std::memcpy(static_cast<float*>(out) + t * experts.hidden + start, sum, size_t(n) * 4);
      }
    }
  }
};

template <Format F>
void run(const Experts& experts, const Call& call, Sorted& sorted, Scratch& scratch, Crew& crew) {
  const int64_t size = call.bf16 ? 2 : 4;
  for (int64_t start = 0; start < call.tokens; start += kChunk) {
    const int64_t tokens = std::min(kChunk, call.tokens - start);
    sorted.sort(call.index + start * call.top_k, call.weights + start * call.top_k, tokens,
                call.top_k, experts.count);
    Pass<F> pass(experts, sorted);
    pass.tokens = tokens;
    pass.bf16 = call.bf16;
    pass.source = static_cast<const uint8_t*>(call.x) + start * experts.hidden * size;
    pass.out = static_cast<uint8_t*>(call.out) + start * experts.hidden * size;
    pass.x.width = pass.hidden;
    pass.h.width = pass.inner;

    const int64_t most_down = tokens <= 64 ? 8 : 2;  // blocks at a time: their sums stay in cache
    int64_t most = 0;                                // rows of one expert
    for (const Group& group : sorted.groups) most = std::max(most, group.stop - group.start);
    // of a thread: a line of x, the columns of a task's rows, or the sums of its outputs
    const int64_t own = padded(
        std::max({pass.hidden, Pass<F>::kBlocks * 32 * most, tokens * kColumns * most_down}),
        16);
    const int64_t rows = sorted.rows(), kept = pass.direct() ? 0 : tokens;
    scratch.reserve(own * call.threads * 4 + kept * pass.x.width * Rows<F>::kSize +
                    kept * pass.x.scale_count() * 4 + rows * pass.h.width * Rows<F>::kSize +
                    rows * pass.h.scale_count() * 4 + 5 * 64);
    scratch.begin();
    float* lines = scratch.take<float>(own * call.threads);
    pass.x.values = scratch.take<uint8_t>(kept * pass.x.width * Rows<F>::kSize);
    pass.x.scales = scratch.take<float>(kept * pass.x.scale_count());
    pass.h.values = scratch.take<uint8_t>(rows * pass.h.width * Rows<F>::kSize);
    pass.h.scales = scratch.take<float>(rows * pass.h.scale_count());
    if (pass.direct())
      pass.x.values = const_cast<uint8_t*>(static_cast<const uint8_t*>(pass.source));

    Stage lines_read{kept, 1}, gate_ups{int64_t(sorted.groups.size()) * pass.gate_up_tasks(), 8},
        downs{pass.down_blocks(), most_down};
    crew.run([&](int thread, int threads) {
      float* line = lines + thread * own;
      lines_read.work(threads, [&](int64_t first, int64_t last) {
        for (int64_t t = first; t < last; ++t) {
          pass.read(t, line);
          pass.x.put(t, 0, pass.hidden, line);
        }
      });
      crew.wait(lines_read, thread);
      gate_ups.work(threads, [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; ++task) pass.gate_up(task, line);
      });
      crew.wait(gate_ups, thread);
      downs.work(threads,
                 [&](int64_t first, int64_t last) { pass.down(first, last, line); });
    }, call.threads);
  }
}

void forward(const Experts& experts, const Call& call) {
  thread_local Sorted sorted;
  thread_local Scratch scratch;
  thread_local Crew crew;
  switch (experts.format) {
    case Format::f32: run<Format::f32>(experts, call, sorted, scratch, crew); break;
    case Format::bf16: run<Format::bf16>(experts, call, sorted, scratch, crew); break;
    case Format::int8: run<Format::int8>(experts, call, sorted, scratch, crew); break;
    case Format::int4: run<Format::int4>(experts, call, sorted, scratch, crew); break;
  }
  scratch.end();
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
