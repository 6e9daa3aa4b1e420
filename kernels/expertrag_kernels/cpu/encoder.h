// A BERT encoder in bfloat16, whose feed-forward layers may have low-rank experts, and one batch of
// its texts. Shared by all instruction sets.
//
//    N texts, T tokens of all of them, H hidden, I inner, E experts, K experts of a text
#pragma once

#include <cstdint>
#include <vector>

namespace expertrag {

constexpr int64_t kPanel = 16;  // outputs that lie side by side; widths are multiples of two panels

// Weights (O, I) as panels of 16 outputs: [O/16][I/2][16][2], O and I multiples of 32.
struct Panels {
  int64_t outputs, inputs;
  const uint16_t* data;
};

struct Dense {  // W x + b; for the texts of expert e also lora_b_e (lora_a_e x)
  Panels weights;
  const float* bias;
  std::vector<Panels> lora_a, lora_b;  // of each expert; empty without experts
};

struct LayerNorm {
  const float *weight, *bias;
};

struct EncoderLayer {
  Dense query_key_value;  // (3H, H)
  Dense attention_output;
  LayerNorm after_attention;
  Dense up, down;
  LayerNorm after_down;
};

struct Encoder {
  int64_t hidden, inner, heads;
  float epsilon;
  const uint16_t* words;   // (vocabulary, H)
  const float* positions;  // (positions, H), with the vector of token type 0 added
  LayerNorm embedded;
  std::vector<EncoderLayer> layers;
};

struct Texts {
  int64_t count;
  const int64_t* starts;  // (N + 1): the first token of each text, and T
  const int64_t* tokens;  // (T)
  int64_t top_k;           // 0 for no experts
  const int64_t* experts;  // (N, K), >= E for none
  const float* weights;    // (N, K)
};

// Runs layers first .. last on the states (T, H), which are written before the first layer of all;
// `means` are the means of each text's states (N, H).
struct EncodeCall {
  int64_t first, last;
  float *states, *means;
};

// Every compiled instruction set for encoders provides this.
#define EXPERTRAG_DECLARE(isa) \
  namespace isa {              \
  void encode(const Encoder&, const Texts&, const EncodeCall&); \
  }
EXPERTRAG_DECLARE(avx512bf16)
EXPERTRAG_DECLARE(amx)
#undef EXPERTRAG_DECLARE

}  // namespace expertrag
