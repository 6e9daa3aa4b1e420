// Tiles in GCC's and Clang's vector extensions, which any instruction set has something for. They
// compute the integers of the quantised formats in float, exactly: no sum of a group reaches 2^24.
#pragma once

#include "rows.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

typedef float Floats __attribute__((vector_size(64)));     // 16 columns
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));

template <class V>
inline V loaded(const void* from) {
  V found;
  std::memcpy(&found, from, sizeof(V));
  return found;
}

inline Floats as_floats(Words bits) { return (Floats)bits; }

constexpr int kPortableRows = 4;

// Vectors of 16 columns that are multiplied at once, of the four of a block: as many as the sums of
// all rows fit into registers, of which there are 32 long ones in AVX512, and elsewhere 16 of half
// the length. A single row, which reads from memory, takes the whole block in its order.
#ifdef __AVX512F__
template <int R>
constexpr int kAtOnce = 4;
#else
template <int R>
constexpr int kAtOnce = R == 1 ? 4 : 1;
#endif

template <Format F>
struct Tile {
  static constexpr int kRows = kPortableRows;
};

template <Format F, int R>
struct Multiply;

// A block, part by part.
template <Format F, int R>
struct Parts {
  static void run(const Row* rows, const uint8_t* block, int64_t width, float* results) {
    for (int first = 0; first < 4; first += kAtOnce<R>)
      Multiply<F, R>::part(rows, block, width, first, results);
  }
};

template <int R>
inline void store(const Floats (&sums)[R][kAtOnce<R>], int first, float* results) {
  for (int r = 0; r < R; ++r)
    std::memcpy(results + r * kColumns + first * 16, sums[r], sizeof(sums[r]));
}

template <int R>
struct Multiply<Format::f32, R> : Parts<Format::f32, R> {
  static void part(const Row* rows, const uint8_t* block, int64_t width, int first,
                   float* results) {
    constexpr int C = kAtOnce<R>;
    block += first * 64;
    Floats sums[R][C] = {};
    for (int64_t k = 0; k < width; ++k, block += 256) {
      for (int c = 0; c < C; ++c) {
        const Floats w = loaded<Floats>(block + c * 64);
        for (int r = 0; r < R; ++r) sums[r][c] += w * static_cast<const float*>(rows[r].values)[k];
      }
    }
    store<R>(sums, first, results);
  }
};

template <int R>
struct Multiply<Format::bf16, R> : Parts<Format::bf16, R> {
  static void part(const Row* rows, const uint8_t* block, int64_t width, int first,
                   float* results) {
    constexpr int C = kAtOnce<R>;
    block += first * 64;
    Floats sums[R][C] = {};
    for (int64_t k = 0; k < width; k += 2, block += 256) {
      for (int c = 0; c < C; ++c) {
        const Words pair = loaded<Words>(block + c * 64);
        const Floats even = as_floats(pair << 16), odd = as_floats(pair & 0xffff0000u);
        for (int r = 0; r < R; ++r) {
          const uint16_t* x = static_cast<const uint16_t*>(rows[r].values) + k;
          sums[r][c] += even * from_bf16(x[0]);
          sums[r][c] += odd * from_bf16(x[1]);
        }
      }
    }
    store<R>(sums, first, results);
  }
};

template <int R>
struct Multiply<Format::int8, R> : Parts<Format::int8, R> {
  static void part(const Row* rows, const uint8_t* block, int64_t width, int first,
                   float* results) {
    constexpr int C = kAtOnce<R>;
    const uint8_t* scale = block + first * 64;
    block += kColumns * 4 + first * 64;
    Floats sums[R][C] = {};
    for (int64_t start = 0, g = 0; start < width; start += kInt8Group, ++g) {
      block += kColumns * 2;  // the compensation, which is not needed here
      Floats group[R][C] = {};
      const int64_t stop = std::min(start + kInt8Group, width);
      for (int64_t k = start; k < stop; k += 4, block += 256) {
        for (int c = 0; c < C; ++c) {
          const Ints four = loaded<Ints>(block + c * 64);
          for (int j = 0; j < 4; ++j) {
            const Floats w = __builtin_convertvector((four << (24 - 8 * j)) >> 24, Floats);
            for (int r = 0; r < R; ++r)
              group[r][c] +=
                  w * float(static_cast<const uint8_t*>(rows[r].values)[k + j] - 128);
          }
        }
      }
      for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) sums[r][c] += group[r][c] * rows[r].scales[g];
    }
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) sums[r][c] *= loaded<Floats>(scale + c * 64);
    store<R>(sums, first, results);
  }
};

inline Floats half_to_floats(const uint8_t* from) {
  uint16_t bits[16];
  std::memcpy(bits, from, 32);
  Words wide;
  for (int i = 0; i < 16; ++i) wide[i] = bits[i];
  // move exponent and fraction into place, then set the exponent's bias right by a product, which
  // also serves subnormal halves
  const Words magnitude = (wide & 0x7fffu) << 13, sign = (wide & 0x8000u) << 16;
  const float bias = 0x1p112f;
  return as_floats((Words)(as_floats(magnitude) * bias) | sign);
}

template <int R>
struct Multiply<Format::int4, R> : Parts<Format::int4, R> {
  static void part(const Row* rows, const uint8_t* block, int64_t width, int first,
                   float* results) {
    constexpr int C = kAtOnce<R>;
    Floats sums[R][C] = {};
    for (int64_t start = 0, g = 0; start < width; start += kInt4Group, ++g) {
      const uint8_t *scale = block + first * 32, *least = scale + kColumns * 2;
      const uint8_t* nibbles = block + kColumns * 4 + first * 64;
      block += kColumns * 4 + kInt4Group * kColumns / 2;
      Floats group[R][C] = {};
      for (int64_t k = start; k < start + 16; k += 4, nibbles += 256) {
        for (int c = 0; c < C; ++c) {
          const Ints eight = loaded<Ints>(nibbles + c * 64);  // of k to k + 3, and 16 further
          for (int j = 0; j < 4; ++j) {
            const Ints low = (eight >> (8 * j)) & 15, high = (eight >> (8 * j + 4)) & 15;
            const Floats w = __builtin_convertvector(low, Floats);
            const Floats v = __builtin_convertvector(high, Floats);
            for (int r = 0; r < R; ++r) {
              const int8_t* x = static_cast<const int8_t*>(rows[r].values) + k + j;
              group[r][c] += w * float(x[0]);
              group[r][c] += v * float(x[16]);
            }
          }
        }
      }
      for (int c = 0; c < C; ++c) {
        const Floats s = half_to_floats(scale + c * 32), m = half_to_floats(least + c * 32);
        for (int r = 0; r < R; ++r) {
          sums[r][c] += group[r][c] * (s * rows[r].scales[2 * g]);
          sums[r][c] += m * rows[r].scales[2 * g + 1];
        }
      }
    }
    store<R>(sums, first, results);
  }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
