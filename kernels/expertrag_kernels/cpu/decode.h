// A decoder's steps as stages of work. Steps that read only one row are fused: a thread takes a row
// through all of them before it takes another.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "adapters.h"
#include "attention.h"
#include "forward.h"
#include "light.h"
#include "linear.h"
#include "norm.h"
#include "program.h"
#include "routers.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

class Decoder {
 public:
  Decoder(const Program& program, const Batch& batch)
      : program_(program),
        batch_(batch),
        shop_(Workshop::own()),
        rows_(batch.rows),
        picked_(batch.picked, batch.picked + batch.picked_rows),
        watched_(batch.watched, batch.watched + batch.watched_rows),
        adapters_(batch) {
    for (const int64_t width : program.slots)
      slots_.push_back(shop_.scratch.take<float>(rows_ * width));
    index_ = shop_.scratch.take<int64_t>(rows_ * kMostTopK);
    weights_ = shop_.scratch.take<float>(rows_ * kMostTopK);
    int64_t most_light = 0;
    for (const Step& step : program.steps)
      if (const Route* route = std::get_if<Route>(&step)) {
        if (route->correction) most_scored_ = std::max(most_scored_, route->experts);
        most_light = std::max(most_light, route->light);
      }
    scores_ = shop_.scratch.take<float>(rows_ * most_scored_);
    light_index_ = shop_.scratch.take<int64_t>(rows_ * most_light);
    light_weights_ = shop_.scratch.take<float>(rows_ * most_light);
  }

  void run() {
    find_needed();
    const Step* narrowing = int64_t(needed_.size()) < rows_ ? narrowing_step() : nullptr;
    for (const Step& step : program_.steps) {
      if (&step == narrowing) narrows_ = true;
      std::visit([this](const auto& s) { plan(s); }, step);
      if (&step == narrowing) narrow();
    }
    flush();
    shop_.run(batch_.threads);
  }

 private:
  static constexpr int64_t kMostTopK = 64;
  using ByRow = std::function<void(int64_t row)>;

  float* at(const View& view, int64_t row) const {
    return start(view.slot) + row * width(view.slot) + view.start;
  }
  float* start(int64_t slot) const {
    return slot == kOutput ? batch_.out : slots_[size_t(slot)];
  }
  int64_t width(int64_t slot) const {
    return slot == kOutput ? output_width_ : program_.slots[size_t(slot)];
  }

  void by_row(ByRow work) { waiting_.push_back(std::move(work)); }

  // Plan the pending per-row steps.
  void flush() {
    if (waiting_.empty()) return;
    shop_.plan.emplace_back(
        rows_, 8, [works = std::move(waiting_)](int64_t first, int64_t last, int) {
          for (int64_t row = first; row < last; ++row)
            for (const ByRow& work : works) work(row);
        });
    waiting_.clear();
  }

  using Shared = std::shared_ptr<const Gains>;

  // What the rows gain from adapters at a matrix; null for nothing. `multiply` plans the projections;
  // the memory of these is to be released once the product is planned.
  Shared gains_of(const Matrix& matrix) {
    if (!adapters_.update(matrix.data)) return nullptr;
    const auto gains = std::make_shared<Gains>(adapters_, matrix.data, matrix.inputs);
    gains->use(shop_.scratch.take<float>(gains->floats()));
    return gains;
  }

  // The last attention: rows that are neither picked nor watched have written their keys and values
  // before it, and nothing after it reads them. Null if a later step reads rows by their index.
  const Step* narrowing_step() const {
    const Step* found = nullptr;
    bool routed = false, alone = false;
    for (const Step& step : program_.steps) {
      if (std::holds_alternative<Attend>(step)) {
        found = &step;
        routed = false;
        alone = true;
      } else if (std::holds_alternative<Pick>(step)) {
        return alone ? found : nullptr;
      } else if (std::holds_alternative<Route>(step)) {
        routed = true;
      } else if (const Mix* mix = std::get_if<Mix>(&step)) {
        alone = alone && (mix->top_k == 0 || routed);
      } else if (std::holds_alternative<Rope>(step) || std::holds_alternative<Embed>(step)) {
        alone = false;  // these steps index the batch by row
      }
    }
    return nullptr;
  }

  void find_needed() {
    needed_ = picked_;
    needed_.insert(needed_.end(), watched_.begin(), watched_.end());
    std::sort(needed_.begin(), needed_.end());
    needed_.erase(std::unique(needed_.begin(), needed_.end()), needed_.end());
  }

  // Whether the attention that is planned has to be computed for a row.
  bool needed(int64_t row) const {
    return !narrows_ || std::binary_search(needed_.begin(), needed_.end(), row);
  }

  // Continue with the needed rows only, moved to the beginning of all slots.
  void narrow() {
    shop_.plan.emplace_back(1, 1, [=](int64_t, int64_t, int) {
      for (size_t slot = 0; slot < slots_.size(); ++slot) {
        const int64_t n = width(int64_t(slot));
        for (size_t i = 0; i < needed_.size(); ++i)
          std::memmove(slots_[slot] + int64_t(i) * n, slots_[slot] + needed_[i] * n, size_t(n) * 4);
      }
    });
    adapters_.take(needed_);
    rows_ = int64_t(needed_.size());
    for (auto* rows : {&picked_, &watched_})
      for (int64_t& row : *rows)
        row = std::lower_bound(needed_.begin(), needed_.end(), row) - needed_.begin();
  }

  void plan(const Embed& s) {
    by_row([=](int64_t row) {
      float* to = at({s.to, 0, 0}, row);
      read_output(s.table, batch_.tokens[row], to);
      if (s.scale != 1.0f)
        for (int64_t j = 0; j < s.table.inputs; ++j) to[j] *= s.scale;
    });
  }

  void plan(const Norm& s) {
    by_row([=](int64_t row) {
      const float* from = at(s.from, row);
      float* to = at(s.to, row);
      for (int64_t part = 0; part < s.parts; ++part, from += s.from.step, to += s.to.step)
        normalise(s, from, to);
    });
  }

  void plan(const Linear& s) {
    if (s.to.slot == kOutput) output_width_ = s.matrix.outputs;
    const Scratch::Mark mark = shop_.scratch.mark();
    const auto gains = gains_of(s.matrix);
    multiply(s.from, s.matrix, gains, [=](int64_t row, int64_t column, float* results) {
      if (gains) gains->add<kColumns>(row, column / kColumns, results);
      const int64_t n = std::min(kColumns, s.matrix.outputs - column);
      float* to = at(s.to, row) + column;
      const float* bias = s.bias ? s.bias + column : nullptr;
      for (int64_t j = 0; j < n; ++j) {
        const float value = bias ? results[j] + bias[j] : results[j];
        to[j] = s.add ? to[j] + value : value;
      }
    });
    shop_.scratch.release(mark);
  }

  // Call use(Rows<F>) with the type of the rows of a format.
  template <class Use>
  static void in_format(Format format, const Use& use) {
    switch (format) {
      case Format::f32: return use(Rows<Format::f32>{});
      case Format::bf16: return use(Rows<Format::bf16>{});
      case Format::int8: return use(Rows<Format::int8>{});
      case Format::int4: return use(Rows<Format::int4>{});
      case Format::mxfp4: return use(Rows<Format::mxfp4>{});
    }
  }

  // Multiply rows by a matrix: use(row, first column, 64 results). Rows are projected for `gains`.
  template <class Use>
  void multiply(const View& from, const Matrix& matrix, const Shared& gains, const Use& use) {
    in_format(matrix.format, [&](auto rows) {
      const Scratch::Mark mark = shop_.scratch.mark();
      read(from, matrix.inputs, gains, rows);
      multiply_rows(rows, matrix, gains, kColumns, use);
      shop_.scratch.release(mark);
    });
  }

  // Plan to put `inputs` values of a view into the format's rows, and to project them.
  template <Format F>
  void read(const View& source, int64_t inputs, const Shared& gains, Rows<F>& x) {
    x.width = padded(inputs, kPad);
    x.take(shop_.scratch, rows_);
    const bool padding = x.width != inputs;
    float* lines = padding ? shop_.scratch.take<float>(rows_ * x.width) : nullptr;
    by_row([=](int64_t row) {
      const float* from = at(source, row);
      if (padding) {
        float* line = lines + row * x.width;
        std::memcpy(line, from, size_t(inputs) * 4);
        std::fill(line + inputs, line + x.width, 0.0f);
        from = line;
      }
      x.put(row, 0, x.width, from);
      if (gains) project(*gains, x, row, from);
    });
  }

  // Project a row: its values as they are multiplied, unless these are quantised.
  template <Format F>
  static void project(const Gains& gains, const Rows<F>& x, int64_t row, const float* from) {
    const void* values = x.row(row).values;
    if constexpr (F == Format::f32) gains.project(row, static_cast<const float*>(values));
    else if constexpr (F == Format::bf16) gains.project(row, static_cast<const uint16_t*>(values));
    else gains.project(row, from);
  }

  // Plan the product of rows and a matrix; see `multiply`. `columns`: of a block of updates.
  template <Format F, class Use>
  void multiply_rows(const Rows<F>& x, const Matrix& matrix, const Shared& gains, int64_t columns,
                     const Use& use) {
    flush();
    shop_.plan.emplace_back(
        matrix.blocks(), 8, [=, rows = rows_](int64_t first, int64_t last, int) {
          for (int64_t b = first; b < last; ++b) {
            for (int64_t part = 0; gains && part < kColumns / columns; ++part)
              gains->read_ahead(part * matrix.blocks() + b, columns);
            multiply_blocks<F>(matrix, x, rows, b, b + 1, use);
          }
        });
  }

  void plan(const Rope& s) {
    by_row([=](int64_t row) {
      const int64_t half = s.width / 2, place = batch_.positions[row] * half;
      const float *cos = s.cos + place, *sin = s.sin + place;
      float* head = at(s.at, row);
      for (int64_t h = 0; h < s.heads; ++h, head += s.at.step)
        for (int64_t i = 0; i < half; ++i) {
          float& a = head[s.interleaved ? 2 * i : i];
          float& b = head[s.interleaved ? 2 * i + 1 : i + half];
          const float x = a, y = b;
          a = x * cos[i] - y * sin[i];
          b = y * cos[i] + x * sin[i];
        }
    });
  }

  void plan(const Attend& s) {
    if (program_.cache.format == Format::f32) plan_attend<Format::f32>(s);
    else plan_attend<Format::bf16>(s);
  }

  // Tokens of a sequence whose queries pass over a head's pages together.
  struct Span {
    const Sequence* sequence;
    int64_t start, stop;
  };

  template <Format F>
  void plan_attend(const Attend& s) {
    const Cache& cache = program_.cache;
    const auto sequence_of = std::make_shared<std::vector<const Sequence*>>(size_t(rows_));
    const auto spans = std::make_shared<std::vector<Span>>();
    const int64_t group = s.heads / cache.heads;
    const int64_t together = std::max<int64_t>(1, kQueries / group);
    for (const Sequence& sequence : batch_.sequences)
      for (int64_t row = sequence.start; row < sequence.stop; ++row) {
        (*sequence_of)[size_t(row)] = &sequence;
        if (!needed(row)) continue;
        Span* last = spans->empty() ? nullptr : &spans->back();
        const bool follows = last && last->sequence == &sequence && last->stop == row;
        if (follows && row - last->start < together) ++last->stop;
        else spans->push_back({&sequence, row, row + 1});
      }
    by_row([=](int64_t row) {
      const int64_t position = batch_.positions[row];
      const Sequence& sequence = *(*sequence_of)[size_t(row)];
      const int64_t page = sequence.pages[position / kPage];
      for (int64_t h = 0; h < cache.heads; ++h)
        write_head<F>(cache, cache.head(s.layer, page, h), position, row + 1 == sequence.stop,
                      at(s.key, row) + h * s.key.step, at(s.shared_key, row),
                      at(s.value, row) + h * s.value.step);
    });
    flush();

    const int64_t most = together * group, columns = cache.value_blocks() * kColumns;
    const Scratch::Mark mark = shop_.scratch.mark();
    Rows<F> rows, shares;
    rows.width = padded(cache.key_width(), kPad);
    shares.width = kPage;
    rows.take(shop_.scratch, most * batch_.threads);
    shares.take(shop_.scratch, most * batch_.threads);
    const int64_t own = padded(most * (3 + kColumns + columns) + rows.width, 16);
    float* memory = shop_.scratch.take<float>(own * batch_.threads);
    const auto work = [=](const Span& span, int64_t h, int thread) {
      Queries<F> q;
      q.count = (span.stop - span.start) * group;
      q.group = group;
      q.positions = batch_.positions + span.start;
      q.window = s.window ? s.window : INT64_MAX;
      q.rows = rows;
      q.rows.values += thread * most * rows.width * Rows<F>::kSize;
      q.shares = shares;
      q.shares.values += thread * most * shares.width * Rows<F>::kSize;
      q.scores = memory + thread * own;
      q.sums = q.scores + most * kColumns;
      q.most = q.sums + most * columns;
      q.total = q.most + most;
      q.fading = q.total + most;
      float* line = q.fading + most;
      std::fill(line + cache.key_width(), line + rows.width, 0.0f);
      for (int64_t i = 0; i < q.count; ++i) {
        const float* from = at(s.query, span.start + i / group);
        from += (h * group + i % group) * s.query.step;
        std::memcpy(line, from, size_t(cache.key_width()) * 4);
        q.rows.put(i, 0, rows.width, line);
        // a sink is a term of the sum that has come before all others
        q.most[i] = s.sinks ? s.sinks[h * group + i % group] : -INFINITY;
        q.total[i] = s.sinks ? 1.0f : 0.0f;
      }
      std::fill(q.sums, q.sums + q.count * columns, 0.0f);
      const int64_t last = q.position(q.count - 1) / kPage;
      for (int64_t page = q.oldest(0) / kPage; page <= last; ++page)
        attend_page<F>(cache, cache.head(s.layer, span.sequence->pages[page], h), page, s.scale,
                       q);
      for (int64_t i = 0; i < q.count; ++i) {
        float* to = at(s.to, span.start + i / group) + (h * group + i % group) * s.to.step;
        const float inverse = 1.0f / q.total[i];
        for (int64_t c = 0; c < cache.value_width; ++c) to[c] = q.sums[i * columns + c] * inverse;
      }
    };
    // the last spans first, because they have the most pages to read
    const int64_t tasks = int64_t(spans->size()) * cache.heads;
    shop_.plan.emplace_back(tasks, 1, [=](int64_t first, int64_t last, int thread) {
      for (int64_t task = tasks - 1 - first; task > tasks - 1 - last; --task)
        work((*spans)[size_t(task / cache.heads)], task % cache.heads, thread);
    });
    shop_.scratch.release(mark);
  }

  // Once the rows are narrowed, a row has another place in the batch.
  int64_t place(int64_t row, bool narrowed) const { return narrowed ? needed_[size_t(row)] : row; }

  // The expert of a row's sequence, negative for none.
  int64_t expert_of(int64_t row, bool narrowed) const {
    return batch_.experts ? batch_.experts[place(row, narrowed)] : -1;
  }

  // Marks of the experts that a router may choose for a row; null for all.
  const uint8_t* marks_of(const Route& s, int64_t row, bool narrowed) const {
    const uint8_t* marks = batch_.open ? batch_.open[place(row, narrowed)] : nullptr;
    return marks ? marks + s.layer * batch_.open_width : nullptr;
  }

  void plan(const Route& s) {
    by_row([=, narrowed = narrows_](int64_t row) {
      int64_t all[kMostTopK];  // with the light ones
      float all_weights[kMostTopK];
      int64_t* index = s.light ? all : index_ + row * s.top_k;
      float* weights = s.light ? all_weights : weights_ + row * s.top_k;
      const float* logits = at(s.logits, row);
      if (s.sigmoid) {
        for (int64_t k = 0; k < s.top_k; ++k) {
          index[k] = k;
          weights[k] = sigmoid(logits[k]);
        }
        return;
      }
      const int64_t own = expert_of(row, narrowed);
      int64_t used = 1;
      if (own < 0) {
        const Routing* policy = batch_.routing ? batch_.routing + place(row, narrowed) : nullptr;
        const Open open = open_experts(s, policy, marks_of(s, row, narrowed));
        choose(s, logits, open, scores_ + row * most_scored_, index, weights);
        if (policy) prune(s, *policy, index, weights);
        used = scale(s, index, weights);
      } else {
        std::fill(index, index + s.top_k, s.experts);  // none
        std::fill(weights, weights + s.top_k, 0.0f);
        index[0] = own;
        weights[0] = s.scale;
      }
      if (s.light) used = split(s, row, index, weights);
      __atomic_fetch_add(batch_.used, used, __ATOMIC_RELAXED);
      __atomic_fetch_add(batch_.used + 1, 1, __ATOMIC_RELAXED);
    });
  }

  // Put a row's experts where Mix and Light read them; return how many compute something in Mix.
  int64_t split(const Route& s, int64_t row, int64_t* index, float* weights) const {
    const int64_t main = s.main();
    by_weight(index, weights, s.top_k);
    std::copy(index, index + main, index_ + row * main);
    std::copy(weights, weights + main, weights_ + row * main);
    std::copy(index + main, index + s.top_k, light_index_ + row * s.light);
    std::copy(weights + main, weights + s.top_k, light_weights_ + row * s.light);
    const int64_t true_experts = s.experts - s.nulls;
    return std::count_if(index, index + main, [=](int64_t e) { return e < true_experts; });
  }

  void plan(const Light& s) {
    by_row([=](int64_t row) {
      lighten(s, light_index_ + row * s.count, light_weights_ + row * s.count, at(s.from, row),
              at(s.scaled, row), at(s.to, row));
    });
  }

  // Read the experts ahead that the next layer's router chooses for what this layer's experts get,
  // which changes little from layer to layer (Eliseev & Mazur 2023, speculative expert loading).
  void look_ahead(const Mix& s) {
    if (s.next_router < 0 || rows_ > kFewRows) return;
    const auto& router = std::get<Linear>(program_.steps[size_t(s.next_router)]);
    const Route& next = std::get<Route>(program_.steps[size_t(s.next_route)]);
    float* logits = shop_.scratch.take<float>(rows_ * next.experts);
    multiply({s.from, 0, 0}, router.matrix, nullptr, [=](int64_t row, int64_t first, const float* results) {
      for (int64_t e = first; e < std::min(first + kColumns, next.experts); ++e)
        logits[row * next.experts + e] = results[e - first] + (router.bias ? router.bias[e] : 0.0f);
    });
    by_row([=, narrowed = narrows_](int64_t row) {
      if (expert_of(row, narrowed) >= 0) return;  // known from the beginning
      std::vector<int64_t> index(size_t(next.top_k));
      float weights[kMostTopK];
      const float* own = logits + row * next.experts;
      const Routing* policy = batch_.routing ? batch_.routing + place(row, narrowed) : nullptr;
      const Open open = open_experts(next, policy, marks_of(next, row, narrowed));
      choose(next, own, open, scores_ + row * most_scored_, index.data(), weights);
      if (policy) prune(next, *policy, index.data(), weights);
      if (next.light) by_weight(index.data(), weights, next.top_k);
      index.resize(size_t(next.main()));
      program_.residency->expect(s.layer + 1, index);
    });
  }

  void plan(const Mix& s) {
    if (updated(s)) return plan_as_matrices(s);
    if (s.top_k == 0)
      by_row([=](int64_t row) {
        index_[row] = 0;
        weights_[row] = 1.0f;
      });
    const Scratch::Mark mark = shop_.scratch.mark();
    look_ahead(s);
    flush();
    const Routed routed{start(s.from), start(s.to), false,  true,
                        rows_,         std::max<int64_t>(1, s.top_k), index_, weights_,
                        s.layer < 0 ? nullptr : program_.residency.get(), s.layer};
    plan_experts(s.experts, routed, batch_.threads, shop_);
    shop_.scratch.release(mark);
  }

  static Matrix gate_up_of(const Experts& e) {
    return {e.format, 2 * padded(e.inner, kPad), e.hidden, e.data};
  }
  static Matrix down_of(const Experts& e) {
    const Matrix gate_up = gate_up_of(e);
    return {e.format, e.hidden, e.inner, e.data + gate_up.blocks() * gate_up.block_size()};
  }

  // Whether an adapter of the batch updates the only expert of a layer.
  bool updated(const Mix& s) const {
    if (s.top_k || adapters_.empty()) return false;
    return adapters_.update(gate_up_of(s.experts).data) ||
           adapters_.update(down_of(s.experts).data);
  }

  // The matrices of the only expert, one after the other, which compute the same to the bit.
  void plan_as_matrices(const Mix& s) {
    in_format(s.experts.format, [&](auto rows) { plan_as_matrices(s, rows); });
  }

  template <Format F>
  void plan_as_matrices(const Mix& s, Rows<F> x) {
    // in these formats, a block's columns can be put into rows one by one
    constexpr bool direct = Rows<F>::kPerGroup == 0;
    const Matrix both = gate_up_of(s.experts), down = down_of(s.experts);
    const int64_t width = padded(down.inputs, kPad), half = both.blocks();
    const Scratch::Mark mark = shop_.scratch.mark();
    const Shared of_both = gains_of(both), of_down = gains_of(down);
    Rows<F> h;
    h.width = width;
    h.take(shop_.scratch, rows_);
    float* inner = direct ? nullptr : shop_.scratch.take<float>(rows_ * width);
    read({s.from, 0, 0}, both.inputs, of_both, x);
    multiply_rows(x, both, of_both, 32,
                  [=, activation = s.experts.activation](int64_t row, int64_t column, float* results) {
      if (of_both) {
        of_both->add<32>(row, column / kColumns, results);
        of_both->add<32>(row, half + column / kColumns, results + 32);
      }
      float own[32];
      float* to = direct ? own : inner + row * width + column / 2;
      activate(activation, results, to);
      if constexpr (direct) h.put(row, column / 2, 32, to);
    });
    by_row([=](int64_t row) {
      const float* from = direct ? nullptr : inner + row * width;
      if constexpr (!direct) h.put(row, 0, width, from);
      if (of_down) project(*of_down, h, row, from);
    });
    multiply_rows(h, down, of_down, kColumns, [=](int64_t row, int64_t column, float* results) {
      if (of_down) of_down->add<kColumns>(row, column / kColumns, results);
      const int64_t n = std::min(kColumns, down.outputs - column);
      float* to = at({s.to, 0, 0}, row) + column;
      for (int64_t j = 0; j < n; ++j) to[j] += results[j];
    });
    shop_.scratch.release(mark);
  }

  void plan(const Keep& s) {
    if (!batch_.watched_rows) return;
    flush();
    float* to = batch_.kept + kept_;
    kept_ += batch_.watched_rows * s.width;
    const auto copy = [=, watched = watched_](int64_t i) {
      const float* from = at(s.from, watched[size_t(i)]);
      for (int64_t j = 0; j < s.width; ++j) to[i * s.width + j] = from[j] * s.scale;
    };
    shop_.plan.emplace_back(batch_.watched_rows, 8, [=](int64_t first, int64_t last, int) {
      for (int64_t i = first; i < last; ++i) copy(i);
    });
  }

  void plan(const Pick& s) {
    flush();
    rows_ = batch_.picked_rows;
    adapters_.take(picked_);
    by_row([=](int64_t row) {
      std::memcpy(at({s.to, 0, 0}, row), at({s.from, 0, 0}, picked_[size_t(row)]),
                  size_t(width(s.from)) * 4);
    });
  }

  static constexpr int64_t kFewRows = 16;  // more need most experts of a layer
  static constexpr int64_t kQueries = 24;  // of a span: what is kept of them stays in the first cache

  const Program& program_;
  const Batch& batch_;
  Workshop& shop_;
  int64_t rows_, output_width_ = 0, kept_ = 0;
  std::vector<int64_t> picked_, watched_, needed_;
  bool narrows_ = false;
  std::vector<float*> slots_;
  AdapterSets adapters_;
  int64_t *index_, *light_index_;
  float *weights_, *light_weights_, *scores_;
  int64_t most_scored_ = 0;  // experts that a row has in scores_
  std::vector<ByRow> waiting_;
};

// A step of a model whose experts are not all in memory.
inline void decode_from_file(const Program& program, const Batch& batch) {
  Residency& residency = *program.residency;
  residency.begin_step(batch.rows);
  std::vector<int64_t> chosen;  // by texts, for all layers
  for (int64_t row = 0; batch.experts && row < batch.rows; ++row)
    if (batch.experts[row] >= 0) chosen.push_back(batch.experts[row]);
  for (size_t layer = 0; !chosen.empty() && layer < residency.layers().size(); ++layer)
    residency.expect(int64_t(layer), chosen);
  try {
    Decoder(program, batch).run();
  } catch (...) {
    residency.cancel_step();
    throw;
  }
  residency.end_step();
}

void decode(const Program& program, const Batch& batch) {
  if (program.residency) decode_from_file(program, batch);
  else Decoder(program, batch).run();
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
