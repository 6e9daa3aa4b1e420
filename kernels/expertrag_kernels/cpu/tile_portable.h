// Tiles in GCC's and Clang's vector extensions, which work with any instruction set. They compute the
// integers of int8 in float, exactly: no sum of a group reaches 2^24.
#pragma once

#include "int4.h"
#include "tile_tall.h"

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

// Vectors of 16 columns that are multiplied at once, of the four of a block: as many as let the sums
// of all rows fit into registers. AVX512 has 32 long registers, others have 16 of half the length. A
// single row, which is limited by memory, takes the whole block in its order.
#ifdef __AVX512F__
template <int R>
constexpr int kAtOnce = 4;
#else
template <int R>
constexpr int kAtOnce = R == 1 ? 4 : 1;
#endif

template <Format F>
struct Tile {
#ifdef __AVX512F__
  static constexpr int kRows = kPortableRows;
#else
  static constexpr int kRows = F == Format::int8 ? kPortableRows : kTallRows;
#endif
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

// In int4 the bytes of a super-block are written out once for all rows, column by column.
template <>
struct Tile<Format::int4> {
  static constexpr int kRows = 64;
};

inline void write_bytes(const SuperBlock<const uint8_t>& super, int16_t* bytes) {
  for (int64_t c = 0; c < kColumns; ++c)
    for (int64_t g = 0; g < super.groups; ++g, bytes += kInt4Group) {
      const uint8_t *code = super.code(c, g), *line = super.line(c, g);
      const uint16_t slope = uint16_t(17 * code[0]), least = code[1];
      for (int k = 0; k < 16; ++k) {  // in 16 bits
        const uint16_t low = uint16_t(uint16_t(slope * (line[k] & 15)) >> 7);
        const uint16_t high = uint16_t(uint16_t(slope * (line[k] >> 4)) >> 7);
        bytes[k] = int16_t(std::min<uint16_t>(255, uint16_t(low + least)));
        bytes[16 + k] = int16_t(std::min<uint16_t>(255, uint16_t(high + least)));
      }
    }
}

inline int32_t dot(const int16_t* a, const int16_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t k = 0; k < n; ++k) sum += int32_t(a[k]) * b[k];
  return sum;
}

inline void multiply_int4(int n, const Row* rows, const uint8_t* block, int64_t width,
                          float* results) {
  alignas(64) int16_t bytes[kColumns * kInt4Super], x[kInt4Super];
  std::memset(results, 0, size_t(n) * kColumns * 4);
  for (int64_t start = 0, s = 0; start < width; start += kInt4Super, ++s) {
    const SuperBlock super(block, width - start);
    const int64_t inputs = super.groups * kInt4Group;
    write_bytes(super, bytes);
    for (int r = 0; r < n; ++r) {
      const int8_t* values = static_cast<const int8_t*>(rows[r].values) + start;
      for (int64_t k = 0; k < inputs; ++k) x[k] = values[k];
      int32_t base;
      std::memcpy(&base, rows[r].scales + 2 * s + 1, 4);
      for (int64_t c = 0; c < kColumns; ++c)
        results[r * kColumns + c] += float(base + dot(bytes + c * inputs, x, inputs)) *
                                     (super.scale(c) * rows[r].scales[2 * s]);
    }
    block = super.end();
  }
}

template <>
struct Tile<Format::mxfp4> {
  static constexpr int kRows = kTallRows;
};

inline void multiply_mxfp4(int n, const Row* rows, const uint8_t* block, int64_t width,
                           float* results) {
  multiply_tall<Format::mxfp4>(n, rows, block, width, results);
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
