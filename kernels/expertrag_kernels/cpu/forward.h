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

#include "residency.h"
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
  Residency* residency = nullptr;  // of the experts, if not all of them are in memory
  int64_t layer = 0;               // there
};

template <Format F>
struct Pass {
  Experts experts;
  Routed routed;
  Sorted& sorted;
  int64_t hidden, inner, columns;    // padded: inputs, inner columns, outputs
  int64_t gate_up_bytes, down_bytes;  // of a block
  Rows<F> x, h;
  // Groups are computed in parts of at most `most`, as many experts as may have to be in memory.
  int64_t most = 0, start = 0, stop = 0;
  float* sums = nullptr;       // (T, columns), from part to part if there are several
  std::vector<int64_t> order;  // of the groups of a part: those first that are in memory

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

  // The weights of an expert, once they are in memory; null if they cannot be read.
  const uint8_t* weights_of(int64_t expert) const {
    if (routed.residency) return routed.residency->wait(routed.layer, expert);
    return experts.data + expert * expert_bytes(experts);
  }

  // Sort the rows by expert.
  void sort() const {
    sorted.sort(routed.index, routed.weights, routed.tokens, routed.top_k, experts.count);
  }

  // Begin a part, and have its experts read if they are not in memory; returns how many it has.
  int64_t begin(int64_t part) {
    const int64_t groups = int64_t(sorted.groups.size());
    if (!routed.residency) return stop = groups;
    start = std::min(part * most, groups);
    stop = std::min(start + most, groups);
    if (start == stop) return 0;
    std::vector<Residency::Use> used;
    std::vector<int64_t> absent, next;
    order.clear();
    for (int64_t g = start; g < stop; ++g) {
      const Group& group = sorted.groups[size_t(g)];
      used.push_back({group.expert, float(group.stop - group.start) / float(routed.tokens)});
      const bool here = routed.residency->here(routed.layer, group.expert);
      (here ? order : absent).push_back(g);
    }
    order.insert(order.end(), absent.begin(), absent.end());
    routed.residency->need(routed.layer, used);
    for (int64_t g = stop; g < std::min(stop + most, groups); ++g)
      next.push_back(sorted.groups[size_t(g)].expert);
    if (!next.empty()) routed.residency->expect(routed.layer, next);
    return stop - start;
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
    const int64_t turn = task / gate_up_tasks();
    const Group& group = sorted.groups[size_t(order.empty() ? turn : order[size_t(turn)])];
    const uint8_t* own = weights_of(group.expert);
    if (!own) return;  // the step fails
    const int64_t first = task % gate_up_tasks() * kBlocks;
    const int64_t last = std::min(first + kBlocks, blocks());
    const int64_t width = (last - first) * 32;
    const uint8_t* block = own + first * gate_up_bytes;
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

  // `own` has room for the sums, unless they are kept for the next part.
  void down(int64_t first, int64_t last, float* own) const {
    const int64_t width = (last - first) * kColumns, tokens = routed.tokens;
    const int64_t step = sums ? columns : width;
    float* totals = sums ? sums + first * kColumns : own;
    if (start == 0)
      for (int64_t t = 0; t < tokens; ++t) std::memset(totals + t * step, 0, size_t(width) * 4);
    for (int64_t g = start; g < stop; ++g) {
      const Group& group = sorted.groups[size_t(g)];
      const uint8_t* block = weights_of(group.expert);
      if (!block) return;
      block += blocks() * gate_up_bytes + first * down_bytes;
      const float* biases = experts.down_bias(group.expert);
      for (int64_t b = first; b < last; ++b, block += down_bytes) {
        const float* bias = biases ? biases + b * kColumns : nullptr;
        multiply(h, group, false, block, [&](int64_t row, float* results) {
          add_bias(bias, results);
          float* sum = totals + sorted.token[size_t(row)] * step + (b - first) * kColumns;
          const float weight = sorted.weight[size_t(row)];
          for (int64_t j = 0; j < kColumns; ++j) sum[j] += weight * results[j];
        });
      }
    }
    if (stop == int64_t(sorted.groups.size())) write(first, width, totals, step);
  }

  void write(int64_t block, int64_t width, const float* totals, int64_t step) const {
    const int64_t from = block * kColumns, n = std::min(width, experts.hidden - from);
    for (int64_t t = 0; t < routed.tokens; ++t) {
      const float* sum = totals + t * step;
      const int64_t place = t * experts.hidden + from;
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

  int64_t parts = 1;
  if (routed.residency) {  // half of the places, so that the next part can be read meanwhile
    const int64_t places = routed.residency->places(), used = std::min(experts.count, rows);
    pass->most = std::min(places, std::max(places / 2, routed.top_k));
    parts = std::max<int64_t>(1, (used + pass->most - 1) / pass->most);
  }
  if (parts > 1) pass->sums = scratch.take<float>(tokens * pass->columns);

  Plan& plan = shop.plan;
  for (int64_t part = 0; part < parts; ++part) {
    const size_t gate_ups = plan.size() + 1;
    const auto begin = [=, &plan] {
      const int64_t groups = pass->begin(part);
      plan[gate_ups].count(groups * pass->gate_up_tasks());
      if (groups) plan[gate_ups + 1].count(pass->down_blocks());
    };
    if (part == 0) {
      plan.emplace_back(read + 1, 1, [=](int64_t first, int64_t last, int thread) {
        float* line = lines + thread * own;
        for (int64_t t = first; t < last; ++t) {
          if (t == 0) {  // the first task, as it may take longest
            pass->sort();
            begin();
          } else {
            pass->read(t - 1, line);
            pass->x.put(t - 1, 0, pass->hidden, line);
          }
        }
      });
    } else {
      plan.emplace_back(1, 1, [=](int64_t, int64_t, int) { begin(); });
    }
    plan.emplace_back(0, 8, [=](int64_t first, int64_t last, int thread) {
      for (int64_t task = first; task < last; ++task) pass->gate_up(task, lines + thread * own);
    });
    plan.emplace_back(part == 0 ? pass->down_blocks() : 0, most_down,
                      [=](int64_t first, int64_t last, int thread) {
                        pass->down(first, last, lines + thread * own);
                      });
  }
}

inline void plan_experts(const Experts& experts, const Routed& routed, int threads,
                         Workshop& shop) {
  switch (experts.format) {
    case Format::f32: return plan_experts<Format::f32>(experts, routed, threads, shop);
    case Format::bf16: return plan_experts<Format::bf16>(experts, routed, threads, shop);
    case Format::int8: return plan_experts<Format::int8>(experts, routed, threads, shop);
    case Format::int4: return plan_experts<Format::int4>(experts, routed, threads, shop);
    case Format::mxfp4: return plan_experts<Format::mxfp4>(experts, routed, threads, shop);
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
