// The experts of one layer, and one call to them. Shared by all instruction sets.
//
// T tokens, E experts, K experts per token, H hidden, I inner. Layout: see layout.py.
#pragma once

#include <cstdint>

namespace expertrag {

enum class Format : int { f32, bf16, int8, int4, mxfp4 };
enum class Activation : int { silu, gelu, gelu_tanh, relu, clamped_swiglu };

constexpr int64_t kColumns = 64;  // outputs of a block: 32 of gate with 32 of up, or 64 of down
constexpr int64_t kPad = 32;      // H and I are padded to its multiples as inputs, H to kColumns as
                                  // output
constexpr int64_t kInt8Group = 128;  // activations of a scale, in int8
constexpr int64_t kInt4Group = 32;   // weights of a slope and a least value
constexpr int64_t kInt4Super = 128;  // weights of a scale, and activations of one
constexpr int kInt4Zero = 127;       // the byte that represents 0
constexpr int64_t kMxGroup = 32;     // weights of an exponent, and activations of a scale
constexpr int64_t kMxGroupBytes = kColumns + kMxGroup * kColumns / 2;
constexpr int kMxZero = 12;          // added to twice a weight's value, for unsigned bytes
constexpr int64_t kChunk = 1024;     // tokens at a time, which bounds the scratch memory

struct Experts {
  Format format;
  Activation activation;
  int64_t count, hidden, inner;  // E, H, I
  const uint8_t* data;
  bool biased = false;  // `data` ends with a float for each output of each block

  int64_t gate_up_blocks() const;
  int64_t down_blocks() const;
  const float* gate_up_bias(int64_t expert) const;  // null without biases
  const float* down_bias(int64_t expert) const;
};

struct Call {
  const void* x;  // (T, H), float or bf16 bits
  bool bf16;      // type of x and out
  int64_t tokens, top_k;
  const int64_t* index;  // (T, K), >= E for none
  const float* weights;  // (T, K)
  void* out;             // (T, H)
  int threads;
};

struct Weights {
  const void* gate_up;  // (E, 2I, H), float or bf16 bits
  const void* down;     // (E, H, I)
  bool bf16;
  int threads;
};

inline int64_t padded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Bytes of a block of 64 outputs over `k` inputs, k a multiple of kPad.
inline int64_t block_bytes(Format format, int64_t k) {
  switch (format) {
    case Format::f32: return k * kColumns * 4;
    case Format::bf16: return k * kColumns * 2;
    case Format::int8:
      return kColumns * 4 + padded(k, kInt8Group) / kInt8Group * kColumns * 2 + k * kColumns;
    case Format::int4:
      return padded(k, kInt4Super) / kInt4Super * kColumns * 2 +
             k / kInt4Group * (kColumns * 2 + kInt4Group * kColumns / 2);
    case Format::mxfp4: return k / kMxGroup * kMxGroupBytes;
  }
  return 0;
}

inline int64_t Experts::gate_up_blocks() const { return padded(inner, kPad) / 32; }
inline int64_t Experts::down_blocks() const { return padded(hidden, kColumns) / kColumns; }

// Bytes of an expert, gate with up and then down, without its biases.
inline int64_t expert_bytes(const Experts& e) {
  return e.gate_up_blocks() * block_bytes(e.format, padded(e.hidden, kPad)) +
         e.down_blocks() * block_bytes(e.format, padded(e.inner, kPad));
}

// Bytes of the weights of all experts, one after the other.
inline int64_t weight_bytes(const Experts& e) { return e.count * expert_bytes(e); }

// Bytes of all experts with their biases.
inline int64_t data_bytes(const Experts& e) {
  const int64_t biases = e.count * (e.gate_up_blocks() + e.down_blocks()) * kColumns * 4;
  return weight_bytes(e) + (e.biased ? biases : 0);
}

inline const float* Experts::gate_up_bias(int64_t expert) const {
  if (!biased) return nullptr;
  return reinterpret_cast<const float*>(data + weight_bytes(*this)) +
         expert * gate_up_blocks() * kColumns;
}

inline const float* Experts::down_bias(int64_t expert) const {
  if (!biased) return nullptr;
  return gate_up_bias(count) + expert * down_blocks() * kColumns;
}

// Every compiled instruction set provides these two. An index must not be negative.
#define EXPERTRAG_DECLARE(isa)                                    \
  namespace isa {                                                 \
  void forward(const Experts&, const Call&);                      \
  void pack(const Experts&, const Weights&, uint8_t* data);       \
  }
EXPERTRAG_DECLARE(generic)
EXPERTRAG_DECLARE(avx2)
EXPERTRAG_DECLARE(avx512)
EXPERTRAG_DECLARE(avx512bf16)
#undef EXPERTRAG_DECLARE

}  // namespace expertrag
