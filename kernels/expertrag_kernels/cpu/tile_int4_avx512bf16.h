// Tiles of int4 for AVX512 with VNNI. A nibble is looked up in a table of 16 bytes, which is computed
// from the slope and the least byte of its column's group.
//
// Few rows are multiplied while their weights are looked up: a register has 16 inputs of four
// columns. For many rows, the bytes of a super-block are written out once, in the order of int8's
// weights, and multiplied from there. Both sum the same integers, so that a row's results are
// bit-identical.
#pragma once

#include "int4.h"
#include "tile_avx512bf16.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

template <>
struct Tile<Format::int4> {
  static constexpr int kRows = 256;
  static constexpr int kFew = 4, kMany = 5;  // of a tile, while weights are looked up and after
};

// Four columns' nibbles of 16 inputs, and of the 16 after them.
struct Looked {
  __m512i first, second;
};

// What tables are made with: of inputs 0 to 7 and 8 to 15 pairs of 17 * input and 128, which codes are
// multiplied by, and where the codes of columns 4j + i are, for each i.
struct Patterns {
  alignas(64) uint8_t factors[2][64] = {};
  alignas(64) uint16_t spread[4][32] = {};

  constexpr Patterns() {
    for (int at = 0; at < 32; ++at) {
      for (int half = 0; half < 2; ++half) {
        factors[half][2 * at] = uint8_t(17 * (at % 8 + 8 * half));
        factors[half][2 * at + 1] = 128;
      }
      for (int i = 0; i < 4; ++i) spread[i][at] = uint16_t(at / 8 * 4 + i);
    }
  }
};
constexpr Patterns kPatterns;

struct Lookup {
  __m512i low, high, nibble, spread[4];

  Lookup()
      : low(_mm512_load_si512(kPatterns.factors[0])),
        high(_mm512_load_si512(kPatterns.factors[1])),
        nibble(_mm512_set1_epi8(15)) {
    for (int i = 0; i < 4; ++i) spread[i] = _mm512_load_si512(kPatterns.spread[i]);
  }

  // Columns 4j + i of the 16 whose codes are given.
  Looked at(__m512i codes, const uint8_t* line, int i) const {
    const __m512i own = _mm512_permutexvar_epi16(spread[i], codes);
    const __m512i table =
        _mm512_packus_epi16(_mm512_srai_epi16(_mm512_maddubs_epi16(low, own), 7),
                            _mm512_srai_epi16(_mm512_maddubs_epi16(high, own), 7));
    const __m512i both = _mm512_load_si512(line + i * 64);
    return {_mm512_shuffle_epi8(table, _mm512_and_si512(both, nibble)),
            _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble))};
  }
};

inline __m512i codes_of(const SuperBlock<const uint8_t>& super, int64_t sixteen, int64_t group) {
  return _mm512_castsi256_si512(
      _mm256_load_si256(reinterpret_cast<const __m256i*>(super.codes(sixteen, group))));
}

// Prefetch what follows a super-block, a part with each of its groups: by itself the processor looks
// too few lines ahead, because there are many instructions per line, and reads 10 GB/s instead of 27
// (Zen 4, one core). Five lines for every four, because scales and codes are read, too.
inline void fetch_next(const SuperBlock<const uint8_t>& super, int64_t sixteen, int64_t group) {
  const uint8_t* part = super.end() + (sixteen * super.groups + group) * 5 * 64;
  for (int i = 0; i < 5; ++i)
    _mm_prefetch(reinterpret_cast<const char*>(part + i * 64), _MM_HINT_T0);
}

inline __m512 scales_of(const SuperBlock<const uint8_t>& super, int64_t sixteen) {
  const __m256i bits =
      _mm256_load_si256(reinterpret_cast<const __m256i*>(super.scales + sixteen * 32));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// Sums of four lanes each, of columns 4j + 0 to 4j + 3, as 16 columns in their order.
inline __m512i added_up(const __m512i (&lanes)[4]) {
  const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(lanes[0], lanes[1]),
                                     _mm512_unpackhi_epi32(lanes[0], lanes[1]));
  const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(lanes[2], lanes[3]),
                                     _mm512_unpackhi_epi32(lanes[2], lanes[3]));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

template <int R>
inline void multiply_few(const Lookup& lookup, const Row* rows, const uint8_t* block,
                         int64_t width, float* results) {
  __m512 sums[R][4];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) sums[r][c] = _mm512_setzero_ps();
  for (int64_t start = 0, s = 0; start < width; start += kInt4Super, ++s) {
    const SuperBlock super(block, width - start);
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      __m512i lanes[R][4];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) lanes[r][i] = _mm512_setzero_si512();
      for (int64_t g = 0; g < super.groups; ++g) {
        const __m512i codes = codes_of(super, c, g);
        const uint8_t* line = super.nibbles(c, g);
        fetch_next(super, c, g);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          const Looked w = lookup.at(codes, line, i);
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r) {
            const __m128i* x = reinterpret_cast<const __m128i*>(
                static_cast<const int8_t*>(rows[r].values) + start + g * kInt4Group);
            add_products(lanes[r][i], w.first, _mm512_broadcast_i32x4(_mm_loadu_si128(x)));
            add_products(lanes[r][i], w.second, _mm512_broadcast_i32x4(_mm_loadu_si128(x + 1)));
          }
        }
      }
      const __m512 scale = scales_of(super, c);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const float* own = rows[r].scales + 2 * s;
        const __m512i base = _mm512_set1_epi32(four_bytes(own + 1));
        const __m512i products = _mm512_add_epi32(added_up(lanes[r]), base);
        sums[r][c] = with_products(sums[r][c], products, scale, own[0]);
      }
    }
    block = super.end();
  }
  store<R>(sums, results);
}

// Write the bytes of a super-block, [input / 4][64][4], and prefetch the next one on request.
inline void write_bytes(const Lookup& lookup, const SuperBlock<const uint8_t>& super, bool fetching,
                        uint8_t* bytes) {
  const auto put = [&](__m512i a, __m512i b, __m512i c, __m512i d, uint8_t* to) {
    const __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
    const __m512i more_ab = _mm512_unpackhi_epi32(a, b), more_cd = _mm512_unpackhi_epi32(c, d);
    _mm512_store_si512(to, _mm512_unpacklo_epi64(ab, cd));
    _mm512_store_si512(to + 256, _mm512_unpackhi_epi64(ab, cd));
    _mm512_store_si512(to + 512, _mm512_unpacklo_epi64(more_ab, more_cd));
    _mm512_store_si512(to + 768, _mm512_unpackhi_epi64(more_ab, more_cd));
  };
  for (int c = 0; c < 4; ++c)
    for (int64_t g = 0; g < super.groups; ++g) {
      if (fetching) fetch_next(super, c, g);
      const __m512i codes = codes_of(super, c, g);
      const uint8_t* line = super.nibbles(c, g);
      Looked w[4];
      for (int i = 0; i < 4; ++i) w[i] = lookup.at(codes, line, i);
      uint8_t* to = bytes + g * kInt4Group * kColumns + c * 64;
      put(w[0].first, w[1].first, w[2].first, w[3].first, to);
      put(w[0].second, w[1].second, w[2].second, w[3].second, to + 16 * kColumns);
    }
}

// Add R rows' products of a super-block's bytes to their results. Within a larger function there
// would be no registers for the rows' addresses.
template <int R>
[[gnu::noinline]] void multiply_many(const Row* rows, int64_t s, int64_t inputs,
                                     const uint8_t* bytes, const __m512 (&scale)[4],
                                     float* results) {
  const int8_t* values[R];
  float own[R];
  __m512i group[R][4];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    values[r] = static_cast<const int8_t*>(rows[r].values) + s * kInt4Super;
    own[r] = rows[r].scales[2 * s];
    const __m512i base = _mm512_set1_epi32(four_bytes(rows[r].scales + 2 * s + 1));
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) group[r][c] = base;
  }
  for (int64_t k = 0; k < inputs; k += 4, bytes += 256) {
    __m512i w[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      w[c] = _mm512_load_si512(bytes + c * 64);
      if (R == 3) asm("" : "+v"(w[c]));  // loaded once, where GCC 12 does it for each row
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) add_broadcast(group[r][c], w[c], values[r] + k);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      float* sum = results + r * kColumns + c * 16;
      _mm512_store_ps(sum, with_products(_mm512_load_ps(sum), group[r][c], scale[c], own[r]));
    }
  }
}

// Several rows, in a function of their own: within a larger one, GCC 12 moves sums between registers
// in the innermost loop. One row is faster without a call, for which the lookup would go to memory.
template <int R>
[[gnu::noinline]] void multiply_several(const Lookup& lookup, const Row* rows, const uint8_t* block,
                                        int64_t width, float* results) {
  multiply_few<R>(lookup, rows, block, width, results);
}

template <int R>
inline void multiply_up_to(int n, const Lookup& lookup, const Row* rows, const uint8_t* block,
                           int64_t width, float* results) {
  if (n == R) {
    if constexpr (R == 1) return multiply_few<R>(lookup, rows, block, width, results);
    return multiply_several<R>(lookup, rows, block, width, results);
  }
  if constexpr (R > 1) multiply_up_to<R - 1>(n, lookup, rows, block, width, results);
}

template <int R>
inline void multiply_up_to(int n, const Row* rows, int64_t s, int64_t inputs, const uint8_t* bytes,
                           const __m512 (&scale)[4], float* results) {
  if (n == R) return multiply_many<R>(rows, s, inputs, bytes, scale, results);
  if constexpr (R > 1) multiply_up_to<R - 1>(n, rows, s, inputs, bytes, scale, results);
}

// Prefetch the next part of some rows: they are far apart, so the processor detects no stream.
inline void fetch(const Row* rows, int n, int64_t start) {
  for (int r = 0; r < n; ++r) {
    const char* values = static_cast<const char*>(rows[r].values) + start;
    _mm_prefetch(values, _MM_HINT_T0);
    _mm_prefetch(values + 64, _MM_HINT_T0);
  }
}

inline void multiply_int4(int n, const Row* rows, const uint8_t* block, int64_t width,
                          float* results) {
  using Sizes = Tile<Format::int4>;
  const Lookup lookup;
  if (n <= Sizes::kFew)
    return multiply_up_to<Sizes::kFew>(n, lookup, rows, block, width, results);
  alignas(64) uint8_t bytes[kInt4Super * kColumns];
  std::memset(results, 0, size_t(n) * kColumns * 4);
  // Each tile fetches its part of the next super-block, which would be waited for all at once. Of
  // few tiles each would fetch so much that it is better done while bytes are written.
  const int tiles = (n + Sizes::kMany - 1) / Sizes::kMany;
  const bool few = tiles < 3;
  for (int64_t start = 0, s = 0; start < width; start += kInt4Super, ++s) {
    const SuperBlock super(block, width - start);
    write_bytes(lookup, super, few, bytes);
    __m512 scale[4];
    for (int c = 0; c < 4; ++c) scale[c] = scales_of(super, c);
    const int64_t part = few ? 0 : padded(super.end() - block, tiles * 64) / tiles;
    const uint8_t* coming = super.end();
    for (int r = 0; r < n; r += Sizes::kMany, coming += part) {
      for (int64_t at = 0; at < part; at += 64)
        _mm_prefetch(reinterpret_cast<const char*>(coming + at), _MM_HINT_T0);
      const int next = r + Sizes::kMany;
      if (next < n) fetch(rows + next, std::min(Sizes::kMany, n - next), start);
      else fetch(rows, std::min(Sizes::kMany, n), start + kInt4Super);
      multiply_up_to<Sizes::kMany>(std::min(Sizes::kMany, n - r), rows + r, s,
                                   super.groups * kInt4Group, bytes, scale,
                                   results + r * kColumns);
    }
    block = super.end();
  }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
