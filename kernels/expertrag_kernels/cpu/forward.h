// The experts of a layer. Included once by the unit of each instruction set, which has defined
// EXPERTRAG_ISA (its namespace) and the tiles that multiply.
//
// Stages: the rows are read and sorted by expert, followed by two passes over the used experts:
//   1  a task is some 32-column blocks of one expert's gate and up: h = act(gate x) * (up x)
//   2  a task is some 64-column blocks of the output, of all experts: only it writes them, so that
//      no sum needs an atomic and every row is summed in the order of its experts
// No thread waits for another that has taken no task (plan.h).
// A row is summed in a fixed order, whatever else is in the batch and with any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "tiles.h"
#include "workshop.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Tokens in and out, and where they go.
struct Routed {
  const void* x;  // (T, H), float or bf16 bits
  void* out;      // (T, H), the same
  bool bf16;      // type of x and out
  bool add;       // to what `out` holds, in float
  int64_t tokens, top_k;
  const int64_t* index;  // (T, K), >= E for none; index and weights may be found by an earlier stage
  const float* weights;  // (T, K)
};

template <Format F>
struct Pass {
  Experts experts;
  Routed routed;
  Sorted& sorted;
  int64_t hidden, inner, columns;    // padded: inputs, inner columns, outputs
  int64_t gate_up_bytes, down_bytes;  // of a block
  Rows<F> x, h;

  // of a task: its columns have one scale
  static constexpr int64_t kBlocks = Rows<F>::kPerGroup ? Rows<F>::kGroup / 32 : 1;

  Pass(const Experts& e, const Routed& r, Sorted& s)
      : experts(e),
        routed(r),
        sorted(s),
        hidden(padded(e.hidden, kPad)),
        inner(padded(e.inner, kPad)),
        columns(padded(e.hidden, kColumns)),
        gate_up_bytes(block_bytes(F, hidden)),
        down_bytes(block_bytes(F, inner)) {}

  int64_t blocks() const { return inner / 32; }
  int64_t gate_up_tasks() const { return (blocks() + kBlocks - 1) / kBlocks; }
  int64_t down_blocks() const { return columns / kColumns; }

  // Add the biases of a block, if there are any, to a row's 64 results.
  static void add_bias(const float* bias, float* results) {
    if (!bias) return;
    for (int64_t j = 0; j < kColumns; ++j) results[j] += bias[j];
  }

  // Read token t's row into `line`, hidden floats with zeros behind H.
  void read(int64_t t, float* line) const {
    const int64_t width = experts.hidden;
    if (routed.bf16) {
      const uint16_t* from = static_cast<const uint16_t*>(routed.x) + t * width;
      for (int64_t j = 0; j < width; ++j) line[j] = from_bf16(from[j]);
    } else {
      std::memcpy(line, static_cast<const float*>(routed.x) + t * width, size_t(width) * 4);
    }
    for (int64_t j = width; j < hidden; ++j) line[j] = 0.0f;
  }

  // Use the token's own memory if it has the format's type and needs no padding.
  bool direct() const {
    return hidden == experts.hidden &&
           ((F == Format::f32 && !routed.bf16) || (F == Format::bf16 && routed.bf16));
  }

  // Sort the rows by expert; returns how many experts are in use.
  int64_t sort() const {
    sorted.sort(routed.index, routed.weights, routed.tokens, routed.top_k, experts.count);
    return int64_t(sorted.groups.size());
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
    const float* biases = experts.gate_up_bias(group.expert);
    for (int64_t b = first; b < last; ++b, block += gate_up_bytes) {
      const float* bias = biases ? biases + b * kColumns : nullptr;
      multiply(x, group, true, block, [&](int64_t row, float* results) {
        add_bias(bias, results);
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
    const int64_t width = (last - first) * kColumns, tokens = routed.tokens;
    std::memset(sums, 0, size_t(tokens * width) * 4);
    const uint8_t* all = experts.data + experts.count * blocks() * gate_up_bytes;
    for (const Group& group : sorted.groups) {
      const uint8_t* block = all + (group.expert * down_blocks() + first) * down_bytes;
      const float* biases = experts.down_bias(group.expert);
      for (int64_t b = first; b < last; ++b, block += down_bytes) {
        const float* bias = biases ? biases + b * kColumns : nullptr;
        multiply(h, group, false, block, [&](int64_t row, float* results) {
          add_bias(bias, results);
          float* sum = sums + sorted.token[size_t(row)] * width + (b - first) * kColumns;
          const float weight = sorted.weight[size_t(row)];
          for (int64_t j = 0; j < kColumns; ++j) sum[j] += weight * results[j];
        });
      }
    }
    const int64_t start = first * kColumns, n = std::min(width, experts.hidden - start);
    for (int64_t t = 0; t < tokens; ++t) {
      const float* sum = sums + t * width;
      const int64_t place = t * experts.hidden + start;
      if (routed.bf16) {
        uint16_t* to = static_cast<uint16_t*>(routed.out) + place;
        for (int64_t j = 0; j < n; ++j) to[j] = to_bf16(sum[j]);
      } else {
        float* to = static_cast<float*>(routed.out) + place;
        for (int64_t j = 0; j < n; ++j) to[j] = routed.add ? to[j] + sum[j] : sum[j];
      }
    }
  }
};

// Plan the experts of a layer, at most kChunk tokens.
template <Format F>
void plan_experts(const Experts& experts, const Routed& routed, int threads, Workshop& shop) {
  const auto pass = std::make_shared<Pass<F>>(experts, routed, shop.sorted);
  const int64_t tokens = routed.tokens, rows = tokens * routed.top_k;
  const int64_t most_down = tokens <= 64 ? 8 : 2;  // blocks at a time: their sums stay in cache
  // of a thread: a line of x, the columns of a task's rows, or the sums of its outputs
  const int64_t own = padded(std::max({pass->hidden, Pass<F>::kBlocks * 32 * tokens,
                                       tokens * kColumns * most_down}), 16);
  Scratch& scratch = shop.scratch;
  float* lines = scratch.take<float>(own * threads);
  pass->x.width = pass->hidden;
  pass->h.width = pass->inner;
  const int64_t read = pass->direct() ? 0 : tokens;
  if (read) {
    pass->x.take(scratch, tokens);
  } else {
    pass->x.values = const_cast<uint8_t*>(static_cast<const uint8_t*>(routed.x));
    pass->x.scales = nullptr;
  }
  pass->h.take(scratch, rows);

  Plan& plan = shop.plan;
  const size_t gate_ups = plan.size() + 1;
  plan.emplace_back(read + 1, 1, [=, &plan](int64_t first, int64_t last, int thread) {
    float* line = lines + thread * own;
    for (int64_t t = first; t < last; ++t) {
      if (t == 0) {  // the first task, as it may take longest
        const int64_t groups = pass->sort();
        plan[gate_ups].count(groups * pass->gate_up_tasks());
      } else {
        pass->read(t - 1, line);
        pass->x.put(t - 1, 0, pass->hidden, line);
      }
    }
  });
  plan.emplace_back(0, 8, [=](int64_t first, int64_t last, int thread) {
    for (int64_t task = first; task < last; ++task) pass->gate_up(task, lines + thread * own);
  });
  plan.emplace_back(pass->down_blocks(), most_down, [=](int64_t first, int64_t last, int thread) {
    pass->down(first, last, lines + thread * own);
  });
}

inline void plan_experts(const Experts& experts, const Routed& routed, int threads,
                         Workshop& shop) {
  switch (experts.format) {
    case Format::f32: return plan_experts<Format::f32>(experts, routed, threads, shop);
    case Format::bf16: return plan_experts<Format::bf16>(experts, routed, threads, shop);
    case Format::int8: return plan_experts<Format::int8>(experts, routed, threads, shop);
    case Format::int4: return plan_experts<Format::int4>(experts, routed, threads, shop);
  }
}

void forward(const Experts& experts, const Call& call) {
  Workshop& shop = Workshop::own();
  const int64_t row = experts.hidden * (call.bf16 ? 2 : 4);
  for (int64_t start = 0; start < call.tokens; start += kChunk) {
    const Routed routed{static_cast<const uint8_t*>(call.x) + start * row,
                        static_cast<uint8_t*>(call.out) + start * row,
                        call.bf16,
                        false,
                        std::min(kChunk, call.tokens - start),
                        call.top_k,
                        call.index + start * call.top_k,
                        call.weights + start * call.top_k};
    plan_experts(experts, routed, call.threads, shop);
    shop.run(call.threads);
  }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
