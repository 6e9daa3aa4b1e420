// The forward pass of an encoder, on the calling thread. Included once by the unit of each
// instruction set, which has defined EXPERTRAG_ISA (its namespace) and PanelSums.
//
// Texts lie one behind the other, without padding. They are run in groups of some hundred tokens,
// through all layers, so that a group's activations stay in the cache. A token's states are summed
// in a fixed order: they are the same, to the bit, alone and in any batch.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "encoder.h"
#include "scratch.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

constexpr int64_t kGroupRows = 256;  // weights are read once for that many tokens
constexpr int64_t kColumnsAtOnce = 2 * kPanel;
constexpr int64_t kTileRows = 32;

inline void store_bf16(uint16_t* to, __m512 values) {
  const __m256bh rounded = _mm512_cvtneps_pbh(values);
  std::memcpy(to, &rounded, sizeof(rounded));
}

inline __m512 load_bf16(const uint16_t* from) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// x (1 + erf(x / sqrt 2)) / 2, absolute error below 5e-5: the odd polynomial that is nearest in
// [-4.4, 4.4], and constant outside.
inline __m512 gelu16(__m512 x) {
  constexpr float kTerms[] = {3.987618568e-01f,  -6.607690321e-02f, 9.643332793e-03f,
                              -1.055086281e-03f, 8.430881914e-05f,  -4.726407013e-06f,
                              1.741710362e-07f,  -3.756635759e-09f, 3.572636339e-11f};
  const __m512 limit = _mm512_set1_ps(4.4f);
  const __m512 z = _mm512_max_ps(_mm512_min_ps(x, limit), _mm512_set1_ps(-4.4f));
  const __m512 square = _mm512_mul_ps(z, z);
  __m512 p = _mm512_set1_ps(kTerms[8]);
  for (int i = 7; i >= 0; --i) p = _mm512_fmadd_ps(p, square, _mm512_set1_ps(kTerms[i]));
  return _mm512_mul_ps(x, _mm512_fmadd_ps(z, p, _mm512_set1_ps(0.5f)));
}

// 2^y for y <= 0, relative error below 1e-4, which bfloat16 does not resolve: the polynomial that
// is nearest in [-1/2, 1/2], scaled, which gives 0 where it underflows.
inline __m512 power_of_two16(__m512 y) {
  const __m512 n = _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(y, n);
  __m512 p = _mm512_set1_ps(5.51716672e-2f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.42611122e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93260986e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.99928074e-1f));
  return _mm512_scalef_ps(p, n);
}

// What an expert adds to a layer's output for the rows of its texts.
struct Expert {
  int64_t number;
  std::vector<float> weights;  // of each row, 0 for rows of other texts
  uint16_t* reduced;           // [rows][rank]: lora_a_e x, times the row's weight

  // Whether a row of a tile is this expert's.
  bool serves(int64_t row, int64_t rows) const {
    const auto first = weights.begin() + row;
    return std::any_of(first, first + rows, [](float weight) { return weight != 0.0f; });
  }
};

// Some consecutive texts, passing through layers.
class TextGroup {
 public:
  TextGroup(const Encoder& encoder, const Texts& texts, const EncodeCall& call, int64_t first,
            int64_t last, Scratch& scratch)
      : encoder_(encoder),
        texts_(texts),
        call_(call),
        first_(first),
        last_(last),
        start_(texts.starts[first]),
        rows_(texts.starts[last] - texts.starts[first]),
        padded_(padded(rows_, kPanel)),
        scratch_(scratch) {
    const int64_t hidden = encoder.hidden;
    states_ = call.states + start_ * hidden;
    input_ = zeros(padded_ * hidden);
    // queries are read in whole tiles, also behind the last text
    query_key_value_ = scratch.take<uint16_t>((padded_ + kTileRows) * 3 * hidden);
    attention_output_ = zeros(padded_ * hidden);
    inner_ = scratch.take<uint16_t>(padded_ * encoder.inner);
    sums_ = scratch.take<float>(padded_ * hidden);
    choose_experts();
  }

  void run() {
    if (call_.first == 0) {
      embed();
    } else {
      for (int64_t row = 0; row < rows_; ++row) {
        const float* from = states_ + row * encoder_.hidden;
        uint16_t* to = input_ + row * encoder_.hidden;
        for (int64_t c = 0; c < encoder_.hidden; c += 16)
          store_bf16(to + c, _mm512_loadu_ps(from + c));
      }
    }
    for (int64_t layer = call_.first; layer < call_.last; ++layer)
      run_layer(encoder_.layers[size_t(layer)]);
    average();
  }

 private:
  uint16_t* zeros(int64_t count) {
    uint16_t* made = scratch_.take<uint16_t>(count);
    std::memset(made, 0, size_t(count) * 2);
    return made;
  }

  void choose_experts() {
    const int64_t count = int64_t(encoder_.layers.back().down.lora_a.size());
    for (int64_t text = first_; text < last_; ++text)
      for (int64_t k = 0; k < texts_.top_k; ++k) {
        const int64_t number = texts_.experts[text * texts_.top_k + k];
        if (number >= count) continue;  // none of the experts
        // by number: a row's sums must not depend on which texts come first
        auto found = std::lower_bound(
            experts_.begin(), experts_.end(), number,
            [](const Expert& each, int64_t wanted) { return each.number < wanted; });
        if (found == experts_.end() || found->number != number)
          found = experts_.insert(found, Expert{number, std::vector<float>(size_t(padded_)), {}});
        for (int64_t token = texts_.starts[text]; token < texts_.starts[text + 1]; ++token)
          found->weights[size_t(token - start_)] += texts_.weights[text * texts_.top_k + k];
      }
  }

  void embed() {
    const int64_t hidden = encoder_.hidden;
    for (int64_t text = first_; text < last_; ++text)
      for (int64_t token = texts_.starts[text]; token < texts_.starts[text + 1]; ++token) {
        const uint16_t* word = encoder_.words + texts_.tokens[token] * hidden;
        const float* position = encoder_.positions + (token - texts_.starts[text]) * hidden;
        float* to = sums_ + (token - start_) * hidden;
        for (int64_t c = 0; c < hidden; c += 16)
          _mm512_storeu_ps(to + c,
                           _mm512_add_ps(load_bf16(word + c), _mm512_loadu_ps(position + c)));
      }
    normalise(encoder_.embedded);
  }

  void run_layer(const EncoderLayer& layer) {
    const int64_t hidden = encoder_.hidden, inner = encoder_.inner;
    multiply(layer.query_key_value, input_, hidden,
             [&](int64_t row, int64_t column, const float* results, __m512 bias) {
               store_bf16(query_key_value_ + row * 3 * hidden + column,
                          _mm512_add_ps(_mm512_load_ps(results), bias));
             });
    for (int64_t text = first_; text < last_; ++text) attend(text);
    add_and_normalise(layer.attention_output, attention_output_, hidden, layer.after_attention);
    multiply(layer.up, input_, hidden,
             [&](int64_t row, int64_t column, const float* results, __m512 bias) {
               store_bf16(inner_ + row * inner + column,
                          gelu16(_mm512_add_ps(_mm512_load_ps(results), bias)));
             });
    add_and_normalise(layer.down, inner_, inner, layer.after_down);
  }

  // Add a layer's output to its input, and normalise.
  void add_and_normalise(const Dense& dense, const uint16_t* x, int64_t inputs,
                         const LayerNorm& norm) {
    multiply(dense, x, inputs,
             [&](int64_t row, int64_t column, const float* results, __m512 bias) {
               if (row >= rows_) return;
               const int64_t place = row * encoder_.hidden + column;
               const __m512 sum = _mm512_add_ps(_mm512_load_ps(results), bias);
               _mm512_storeu_ps(sums_ + place,
                                _mm512_add_ps(sum, _mm512_loadu_ps(states_ + place)));
             });
    normalise(norm);
  }

  // Multiply all rows of x, and hand over 16 results at a time: use(row, column, results, bias).
  template <class Use>
  void multiply(const Dense& dense, const uint16_t* x, int64_t inputs, const Use& use) {
    const Scratch::Mark mark = scratch_.mark();
    if (!dense.lora_a.empty()) reduce(dense, x, inputs);
    for (int64_t column = 0; column < dense.weights.outputs; column += kColumnsAtOnce)
      for (int64_t row = 0; row < padded_; row += kTileRows)
        if (padded_ - row > kPanel)
          multiply_tile<2>(dense, x, inputs, row, column, use);
        else
          multiply_tile<1>(dense, x, inputs, row, column, use);
    scratch_.release(mark);
  }

  template <int R, class Use>
  void multiply_tile(const Dense& dense, const uint16_t* x, int64_t inputs, int64_t row,
                     int64_t column, const Use& use) {
    alignas(64) float results[kTileRows * kColumnsAtOnce];
    PanelSums<R> sums;
    sums.clear();
    sums.add(x + row * inputs, inputs, dense.weights.data + column * inputs, inputs);
    if (!dense.lora_a.empty())
      for (const Expert& expert : experts_) {
        if (!expert.serves(row, R * kPanel)) continue;
        const Panels& lora_b = dense.lora_b[size_t(expert.number)];
        const int64_t rank = lora_b.inputs;
        sums.add(expert.reduced + row * rank, rank, lora_b.data + column * rank, rank);
      }
    sums.store(results, kColumnsAtOnce);
    for (int64_t c = 0; c < kColumnsAtOnce; c += 16) {
      const __m512 bias = _mm512_loadu_ps(dense.bias + column + c);
      for (int64_t r = 0; r < R * kPanel; ++r)
        use(row + r, column + c, results + r * kColumnsAtOnce + c, bias);
    }
  }

  // Compute lora_a_e x of each expert's rows, times their weights.
  void reduce(const Dense& dense, const uint16_t* x, int64_t inputs) {
    alignas(64) float results[kPanel * kColumnsAtOnce];
    for (Expert& expert : experts_) {
      const Panels& panels = dense.lora_a[size_t(expert.number)];
      const int64_t rank = panels.outputs;
      expert.reduced = zeros(padded_ * rank);
      for (int64_t row = 0; row < padded_; row += kPanel) {
        if (!expert.serves(row, kPanel)) continue;
        for (int64_t column = 0; column < rank; column += kColumnsAtOnce) {
          PanelSums<1> sums;
          sums.clear();
          sums.add(x + row * inputs, inputs, panels.data + column * inputs, inputs);
          sums.store(results, kColumnsAtOnce);
          for (int64_t r = 0; r < kPanel; ++r) {
            const float weight = expert.weights[size_t(row + r)];
            if (weight == 0.0f) continue;
            for (int64_t c = 0; c < kColumnsAtOnce; c += 16)
              store_bf16(expert.reduced + (row + r) * rank + column + c,
                         _mm512_mul_ps(_mm512_load_ps(results + r * kColumnsAtOnce + c),
                                       _mm512_set1_ps(weight)));
          }
        }
      }
    }
  }

  // Normalise the sums, to states and to the input of the next layer.
  void normalise(const LayerNorm& norm) {
    const int64_t hidden = encoder_.hidden;
    const float share = 1.0f / float(hidden);
    for (int64_t row = 0; row < rows_; ++row) {
      const float* from = sums_ + row * hidden;
      const auto value = [&](int64_t c) { return _mm512_loadu_ps(from + c); };
      __m512 total = _mm512_setzero_ps(), second = total;  // two sums are not waited for in turn
      for (int64_t c = 0; c < hidden; c += 32) {
        total = _mm512_add_ps(total, value(c));
        second = _mm512_add_ps(second, value(c + 16));
      }
      const float sum = _mm512_reduce_add_ps(_mm512_add_ps(total, second));
      const __m512 mean = _mm512_set1_ps(sum * share);
      total = second = _mm512_setzero_ps();
      for (int64_t c = 0; c < hidden; c += 32) {
        const __m512 off = _mm512_sub_ps(value(c), mean), next = _mm512_sub_ps(value(c + 16), mean);
        total = _mm512_fmadd_ps(off, off, total);
        second = _mm512_fmadd_ps(next, next, second);
      }
      const float variance = _mm512_reduce_add_ps(_mm512_add_ps(total, second)) * share;
      const __m512 scale = _mm512_set1_ps(1.0f / std::sqrt(variance + encoder_.epsilon));
      for (int64_t c = 0; c < hidden; c += 16) {
        const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(value(c), mean), scale);
        const __m512 normed = _mm512_fmadd_ps(unit, _mm512_loadu_ps(norm.weight + c),
                                              _mm512_loadu_ps(norm.bias + c));
        _mm512_storeu_ps(states_ + row * hidden + c, normed);
        store_bf16(input_ + row * hidden + c, normed);
      }
    }
  }

  // Attention among the tokens of a text.
  void attend(int64_t text) {
    const Scratch::Mark mark = scratch_.mark();
    const int64_t first = texts_.starts[text] - start_;
    const int64_t length = texts_.starts[text + 1] - texts_.starts[text];
    const int64_t hidden = encoder_.hidden, width = hidden / encoder_.heads;
    const int64_t keys = padded(length, kColumnsAtOnce);
    const AttentionMemory memory{first,
                                 length,
                                 width,
                                 keys,
                                 zeros(keys * width),
                                 zeros(keys * width),
                                 scratch_.take<float>(kTileRows * keys),
                                 scratch_.take<uint16_t>(kTileRows * keys)};
    for (int64_t head = 0; head < encoder_.heads; ++head) {
      const uint16_t* own = query_key_value_ + first * 3 * hidden + head * width;
      pack_keys(own + hidden, memory);
      pack_values(own + 2 * hidden, memory);
      for (int64_t row = 0; row < length; row += kTileRows)
        if (length - row > kPanel)
          attend_tile<2>(own, row, head, memory);
        else
          attend_tile<1>(own, row, head, memory);
    }
    scratch_.release(mark);
  }

  struct AttentionMemory {  // of a text, for one head after the other
    int64_t first, length, width;  // its first row, its tokens, and the width of a head
    int64_t count;                 // of keys, padded
    uint16_t *keys, *values;       // panels (keys, width) and (width, keys)
    float* scores;                 // [32][keys]
    uint16_t* shares;              // [32][keys]
  };

  void pack_keys(const uint16_t* from, const AttentionMemory& memory) const {
    const int64_t stride = 3 * encoder_.hidden, pairs = memory.width / 2;
    for (int64_t key = 0; key < memory.length; ++key, from += stride) {
      uint16_t* to = memory.keys + key / kPanel * kPanel * memory.width + key % kPanel * 2;
      for (int64_t pair = 0; pair < pairs; ++pair)
        std::memcpy(to + pair * 2 * kPanel, from + pair * 2, 4);
    }
  }

  void pack_values(const uint16_t* from, const AttentionMemory& memory) const {
    const int64_t stride = 3 * encoder_.hidden;
    const auto wide = [](const uint16_t* values) {
      return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(values)));
    };
    for (int64_t key = 0; key < memory.length; key += 2, from += 2 * stride)
      for (int64_t c = 0; c < memory.width; c += kPanel) {
        __m512i pairs = wide(from + c);
        if (key + 1 < memory.length)
          pairs = _mm512_or_si512(pairs, _mm512_slli_epi32(wide(from + stride + c), 16));
        _mm512_storeu_si512(memory.values + c * memory.count + key * kPanel, pairs);
      }
  }

  template <int R>
  void attend_tile(const uint16_t* queries, int64_t row, int64_t head,
                   const AttentionMemory& memory) {
    const int64_t hidden = encoder_.hidden, width = memory.width;
    const int64_t rows = std::min<int64_t>(R * kPanel, memory.length - row);
    PanelSums<R> sums;
    for (int64_t key = 0; key < memory.count; key += kColumnsAtOnce) {
      sums.clear();
      sums.add(queries + row * 3 * hidden, 3 * hidden, memory.keys + key * width, width);
      sums.store(memory.scores + key, memory.count);
    }
    float totals[kTileRows];
    for (int64_t r = 0; r < rows; ++r) totals[r] = softmax(memory, r * memory.count);
    alignas(64) float results[kTileRows * kColumnsAtOnce];
    for (int64_t c = 0; c < width; c += kColumnsAtOnce) {
      sums.clear();
      sums.add(memory.shares, memory.count, memory.values + c * memory.count, memory.count);
      sums.store(results, kColumnsAtOnce);
      uint16_t* to = attention_output_ + (memory.first + row) * hidden + head * width + c;
      for (int64_t r = 0; r < rows; ++r, to += hidden) {
        const __m512 scale = _mm512_set1_ps(1.0f / totals[r]);
        for (int64_t j = 0; j < kColumnsAtOnce; j += 16)
          store_bf16(to + j,
                     _mm512_mul_ps(_mm512_load_ps(results + r * kColumnsAtOnce + j), scale));
      }
    }
  }

  // Write exp(score - the largest) of each key, with the scores scaled; returns their sum. The row
  // is given by its place in scores and shares.
  static float softmax(const AttentionMemory& memory, int64_t row) {
    const float* scores = memory.scores + row;
    uint16_t* shares = memory.shares + row;
    const int64_t whole = memory.length / 32 * 32;  // keys that are read in pairs of vectors
    const auto seen = [&](int64_t key) {
      return __mmask16((1u << std::clamp<int64_t>(memory.length - key, 0, 16)) - 1);
    };
    __m512 most = _mm512_set1_ps(-INFINITY), other = most;
    for (int64_t key = 0; key < whole; key += 32) {
      most = _mm512_max_ps(most, _mm512_loadu_ps(scores + key));
      other = _mm512_max_ps(other, _mm512_loadu_ps(scores + key + 16));
    }
    for (int64_t key = whole; key < memory.length; key += 16)
      most = _mm512_mask_max_ps(most, seen(key), most, _mm512_loadu_ps(scores + key));
    const float scale = 1.44269504f / std::sqrt(float(memory.width));  // of powers of two
    const __m512 factor = _mm512_set1_ps(scale);
    const __m512 largest = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(most, other)) * scale);
    const auto share = [&](int64_t key) {
      return power_of_two16(_mm512_fmsub_ps(_mm512_loadu_ps(scores + key), factor, largest));
    };
    __m512 total = _mm512_setzero_ps(), second = total;
    for (int64_t key = 0; key < whole; key += 32) {
      const __m512 own = share(key), next = share(key + 16);
      total = _mm512_add_ps(total, own);
      second = _mm512_add_ps(second, next);
      store_bf16(shares + key, own);
      store_bf16(shares + key + 16, next);
    }
    for (int64_t key = whole; key < memory.count; key += 16) {
      const __m512 own = _mm512_maskz_mov_ps(seen(key), share(key));
      total = _mm512_add_ps(total, own);
      store_bf16(shares + key, own);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(total, second));
  }

  void average() const {
    const int64_t hidden = encoder_.hidden;
    for (int64_t text = first_; text < last_; ++text) {
      const int64_t first = texts_.starts[text], last = texts_.starts[text + 1];
      const __m512 share = _mm512_set1_ps(1.0f / float(last - first));
      for (int64_t c = 0; c < hidden; c += 16) {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t token = first; token < last; ++token)
          sum = _mm512_add_ps(sum, _mm512_loadu_ps(call_.states + token * hidden + c));
        _mm512_storeu_ps(call_.means + text * hidden + c, _mm512_mul_ps(sum, share));
      }
    }
  }

  const Encoder& encoder_;
  const Texts& texts_;
  const EncodeCall& call_;
  int64_t first_, last_;           // texts
  int64_t start_, rows_, padded_;  // tokens
  Scratch& scratch_;
  float* states_;               // [rows][H]
  uint16_t* input_;             // [padded][H], of a layer
  uint16_t* query_key_value_;   // [padded][3H]
  uint16_t* attention_output_;  // [padded][H]
  uint16_t* inner_;             // [padded][I]
  float* sums_;                 // [padded][H]: a layer's output before it is normalised
  std::vector<Expert> experts_;
};

void encode(const Encoder& encoder, const Texts& texts, const EncodeCall& call) {
  thread_local Scratch scratch;
  [[maybe_unused]] const TileRegisters registers;
  for (int64_t first = 0, last; first < texts.count; first = last) {
    last = first + 1;
    while (last < texts.count && texts.starts[last + 1] - texts.starts[first] <= kGroupRows) ++last;
    scratch.end();
    TextGroup(encoder, texts, call, first, last, scratch).run();
  }
  scratch.end();
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
