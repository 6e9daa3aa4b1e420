// What a decoder computes, step by step, and one batch of its rows. Shared by all instruction sets.
//
// A slot holds a vector of floats for every row (token) of the batch. Steps read and write slots,
// one after the other; decode.h plans their memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "experts.h"
#include "residency.h"

namespace expertrag {

// Weights (O, I) as blocks of 64 outputs; see layout.py.
struct Matrix {
  Format format;
  int64_t outputs, inputs;
  const uint8_t* data;

  int64_t blocks() const { return padded(outputs, kColumns) / kColumns; }
  int64_t block_size() const { return block_bytes(format, padded(inputs, kPad)); }
};

constexpr int64_t kOutput = -1;  // the slot that is the batch's `out`

// Floats of a slot's row from `start` on; `step` lies between heads.
struct View {
  int64_t slot, start, step;
};

struct Embed {  // to = table[token] * scale
  int64_t to;
  Matrix table;
  float scale = 1.0f;
};

struct Norm {  // of each part of `width`: x / rms(x) * weight; with a bias that of x - mean, + bias
  View from, to;
  int64_t width, parts;
  const float* weight;
  float epsilon;
  const float* bias = nullptr;
};

struct Linear {  // to (+)= matrix from + bias
  View from, to;
  Matrix matrix;
  const float* bias;  // or null
  bool add;
};

struct Rope {  // rotates pairs (i, i + width / 2), or (2i, 2i + 1) if interleaved, of each head
  View at;
  int64_t heads, width;
  bool interleaved;
  const float *cos, *sin;  // (positions, width / 2)
};

struct Attend {  // causal, over the pages of the row's sequence; writes the row's own key and value
  View query, key, shared_key, value, to;  // a key is its head's own part, then the shared one
  int64_t layer, heads;
  float scale;
  int64_t window = 0;            // of the last positions, with the row's own; 0 for all
  const float* sinks = nullptr;  // (heads), terms of the softmax's sum without a value; or null
};

struct Route {  // the experts of each row and their weights, by logits, or the row's own expert
  View logits;
  int64_t experts, top_k;
  bool sigmoid;    // weight = sigmoid(logit); otherwise shares of all by softmax
  bool normalise;  // weights to the sum of 1
  int64_t groups, top_groups;  // only experts of the best groups, by their best expert
  float scale;
  // (experts,), or null: weights are sigmoids, and experts are chosen by their sum with these, groups
  // by that of their two best
  const float* correction = nullptr;
  float margin = -1.0f;  // of SparseMixer; negative for none
  int64_t nulls = 0;     // of the last experts: a row that chooses one computes nothing
  int64_t light = 0;     // of a row's experts, those of the least weights: for the next Light, not Mix
  int64_t layer = -1;    // among the routers of the program; -1 of a sigmoid, which takes all

  int64_t main() const { return top_k - light; }
};

struct Light {  // vectors in the place of a row's light experts; see light.h
  View from, scaled, to;
  int64_t count, experts, neurons, hidden;
  // (experts, 3 + 3 neurons, hidden): scale, shift and slope of each, and its neurons
  const float* vectors;
};

struct Mix {  // to += what the experts that were routed to make of from; top_k 0: expert 0 of all
  int64_t from, to, top_k;
  Experts experts;
  int64_t layer = -1;        // of the residency; -1 if all experts are in memory
  int64_t next_router = -1;  // the step that has the logits of the next such layer, and its Route
  int64_t next_route = -1;
};

struct Keep {  // returns values of the watched rows, times scale, to the caller
  View from;
  int64_t width;
  float scale = 1.0f;
};

struct Pick {  // from here on, only the rows that the batch has picked
  int64_t from, to;
};

using Step = std::variant<Embed, Norm, Linear, Rope, Attend, Route, Light, Mix, Keep, Pick>;

// Keys and values of all layers, in pages of 64 tokens. A page of a head is a block of 64 outputs,
// the tokens, over the key's width, and then blocks of 64 value columns over the 64 tokens: what
// tiles multiply.
struct Cache {
  Format format;  // f32 or bf16
  int64_t pages, heads, own_width, shared_width, value_width;
  uint8_t* data;

  int64_t key_width() const { return own_width + shared_width; }
  int64_t key_bytes() const { return block_bytes(format, padded(key_width(), kPad)); }
  int64_t value_blocks() const { return padded(value_width, kColumns) / kColumns; }
  int64_t value_bytes() const { return block_bytes(format, kPage); }  // of a block
  int64_t head_bytes() const { return key_bytes() + value_blocks() * value_bytes(); }

  uint8_t* head(int64_t layer, int64_t page, int64_t h) const {
    return data + ((layer * pages + page) * heads + h) * head_bytes();
  }

  static constexpr int64_t kPage = kColumns;
};

struct Program {
  std::vector<int64_t> slots;  // widths
  std::vector<Step> steps;
  Cache cache;
  std::shared_ptr<Residency> residency = nullptr;  // null if all weights are in memory
};

// Leave the experts of mixtures in a file, and hold as many as fit into `bytes`. `starts`: of each
// mixture, in the order of the steps, where its experts start in the file.
void limit_experts(Program& program, const std::string& path, int64_t bytes,
                   const std::vector<int64_t>& starts, bool direct);

// Of a program whose experts are limited: have those read that routers may choose, and give up others
// first. `open`: (routers, width) marks; null to prefer none.
void prefer_experts(const Program& program, const uint8_t* open, int64_t width);

// Which of the chosen experts a row uses, best first: at most top_k of them, until their
// probabilities sum to top_p, and none that is less likely than threshold. Always the best one.
// Of the null experts, only the first `null` can be chosen.
struct Routing {
  float top_k, top_p, threshold, null;
};

// A low-rank update of some outputs of a matrix: y += up (down x). Its blocks are those of the matrix,
// 64 outputs, or of gate and up 32, those of up after all of gate; what it does not update is 0.
struct RangeUpdate {
  int64_t first, blocks, rank;  // first block
  // of float: (rank, inputs); (blocks, rank, 64 or 32)
  // of bf16: (rank, inputs); (blocks, rank / 2, 64 or 32, 2), with an odd rank a last one of 0
  const void *down, *up;
};

using Updates = std::vector<RangeUpdate>;

// Updates of a decoder's matrices, found by the matrix itself: a program knows nothing of them, and
// each batch brings those of its sequences.
struct Adapter {
  bool bf16;  // or float; the same for all adapters of a decoder
  std::unordered_map<const uint8_t*, Updates> updates = {};  // by Matrix.data

  const Updates* of(const uint8_t* matrix) const {
    const auto found = updates.find(matrix);
    return found == updates.end() ? nullptr : &found->second;
  }
};

using Adapters = std::vector<const Adapter*>;

struct Sequence {  // rows of one text, in the order of their positions
  int64_t start, stop;
  const int64_t* pages;
  Adapters adapters = {};  // of all rows, one after the other
};

struct Batch {
  int64_t rows;
  const int64_t *tokens, *positions;
  const int64_t* experts;  // of each row, whatever its logits; negative for none, null for no row
  const Routing* routing;  // of each row; null for the model's own
  int64_t* used;           // experts that routers chose for rows, and rows, are added here
  std::vector<Sequence> sequences;
  const int64_t* picked;
  int64_t picked_rows;
  const int64_t* watched;
  int64_t watched_rows;
  float* kept;  // of each Keep, one after the other, the watched rows (W, width)
  float* out;
  int threads;
  // Of each row (routers, open_width) marks of the experts that it may choose, null for all; null for
  // no row. Closed experts count in the probabilities of the others.
  const uint8_t* const* open = nullptr;
  int64_t open_width = 0;
};

#define EXPERTRAG_DECLARE(isa)                                          \
  namespace isa {                                                       \
  void decode(const Program&, const Batch&);                            \
  void pack_matrix(const Matrix&, const void* weights, bool bf16, uint8_t* data, int threads); \
  }
EXPERTRAG_DECLARE(generic)
EXPERTRAG_DECLARE(avx2)
EXPERTRAG_DECLARE(avx512)
EXPERTRAG_DECLARE(avx512bf16)
#undef EXPERTRAG_DECLARE

}  // namespace expertrag
