// Packing: the order of weights that layout.py describes, block by block on all threads. Included
// once by the unit of each instruction set. The torch version in layout.py is its oracle.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "int4.h"
#include "mxfp4.h"
#include "program.h"
#include "rows.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Weights [64][k] of a block, in float.
struct Block {
  const float* rows;
  int64_t k;
  float at(int64_t column, int64_t input) const { return rows[column * k + input]; }
};

inline uint8_t* put(uint8_t* to, const void* from, size_t bytes) {
  std::memcpy(to, from, bytes);
  return to + bytes;
}

// 0 for scales that are 0, or so small that dividing by them gives no finite number.
inline float inverse_of(float scale) { return scale > 1e-37f ? 1.0f / scale : 0.0f; }

inline void pack_f32(const Block& block, uint8_t* to) {
  for (int64_t k = 0; k < block.k; ++k)
    for (int64_t c = 0; c < kColumns; ++c) {
      const float value = block.at(c, k);
      to = put(to, &value, 4);
    }
}

inline void pack_bf16(const Block& block, uint8_t* to) {
  for (int64_t k = 0; k < block.k; k += 2)
    for (int64_t c = 0; c < kColumns; ++c) {
      const uint16_t pair[2] = {to_bf16(block.at(c, k)), to_bf16(block.at(c, k + 1))};
      to = put(to, pair, 4);
    }
}

inline void pack_int8(const Block& block, uint8_t* to) {
  float scales[kColumns], inverses[kColumns];
  for (int64_t c = 0; c < kColumns; ++c) {
    float most = 0.0f;
    for (int64_t k = 0; k < block.k; ++k) most = std::max(most, std::fabs(block.at(c, k)));
    scales[c] = most / 127.0f;
    inverses[c] = inverse_of(scales[c]);
  }
  to = put(to, scales, sizeof(scales));
  int8_t group[kColumns][kInt8Group];
  for (int64_t start = 0; start < block.k; start += kInt8Group) {
    const int64_t n = std::min(kInt8Group, block.k - start);
    int16_t sums[kColumns];
    for (int64_t c = 0; c < kColumns; ++c) {
      const float* row = block.rows + c * block.k + start;
      int32_t sum = 0;
      for (int64_t k = 0; k < n; ++k) group[c][k] = int8_t(std::nearbyint(row[k] * inverses[c]));
      for (int64_t k = 0; k < n; ++k) sum += group[c][k];
      sums[c] = int16_t(-sum);
    }
    to = put(to, sums, sizeof(sums));
    for (int64_t k = 0; k < n; k += 4)
      for (int64_t c = 0; c < kColumns; ++c) to = put(to, group[c] + k, 4);
  }
}

// Slope and least byte of 32 weights, as they are stored.
struct Range {
  uint8_t slope, least;
};

// The nibble that is nearest to a weight in steps of its super-block, plus kInt4Zero.
inline float int4_nibble(float weight, float inverse, float least) {
  const float nibble = std::nearbyint((weight - least + 0.5f) * inverse);
  return nibble < 0.0f ? 0.0f : nibble > 15.0f ? 15.0f : nibble;
}

// The inverse of a slope; 0 for a slope of 0.
inline float inverse_slope(int slope) { return slope ? 128.0f / float(17 * slope) : 0.0f; }

// The code whose first nibble is `low`, in steps of `step`; a byte is on average half below its line.
inline Range int4_code(float low, float step) {
  const float slope = std::nearbyint(step * (128.0f / 17.0f));
  const float least = std::nearbyint(low + (slope > 0.0f ? 0.5f : 0.0f));
  return {uint8_t(std::clamp(slope, 0.0f, 127.0f)), uint8_t(std::clamp(least, 0.0f, 127.0f))};
}

inline float int4_error(const float* row, Range range) {
  const float inverse = inverse_slope(range.slope), least = float(range.least);
  const float step = float(17 * range.slope) / 128.0f;
  float errors[16] = {};
  for (int64_t k = 0; k < kInt4Group; ++k) {
    const float byte = std::floor(int4_nibble(row[k], inverse, least) * step) + least;
    const float error = (byte > 255.0f ? 255.0f : byte) - row[k];
    errors[k % 16] += error * error;
  }
  float total = 0.0f;
  for (float error : errors) total += error;
  return total;
}

// The least-squares line through the nibbles of a range and its weights, as it is stored.
inline Range int4_fitted(const float* row, Range range) {
  const float inverse = inverse_slope(range.slope), least = float(range.least);
  float nibbles[kInt4Group], n = float(kInt4Group), x = 0, xx = 0, y = 0, xy = 0;
  for (int64_t k = 0; k < kInt4Group; ++k) {
    nibbles[k] = int4_nibble(row[k], inverse, least);
    x += nibbles[k];
    xx += nibbles[k] * nibbles[k];
    y += row[k];
    xy += nibbles[k] * row[k];
  }
  const float spread = n * xx - x * x;
  if (!(spread > 0.0f)) return range;
  Range found = int4_code(0.0f, (n * xy - x * y) / spread);
  const float step = float(17 * found.slope) / 128.0f;
  for (const float nibble : nibbles) y -= std::floor(nibble * step);
  found.least = uint8_t(std::clamp(std::nearbyint(y / n), 0.0f, 127.0f));
  return found;
}

// The candidate range with the smallest squared error; see layout.py.
inline Range int4_range(const float* row) {
  float low = float(kInt4Zero), high = row[0];
  for (int64_t k = 0; k < kInt4Group; ++k) {
    low = std::min(low, row[k]);
    high = std::max(high, row[k]);
  }
  high = std::max(high, low);
  Range best{0, 0};
  float fewest = INFINITY;
  for (int number = 0; number < 16; ++number) {
    Range range;
    if (number < 8) {  // less than all
      const float cut = 0.5f * (high - low) * (0.03125f * float(number));
      range = int4_code(low + cut, (high - low - 2.0f * cut) / 15.0f);
    } else if (number < 15) {  // all, in 14 to 8 steps
      range = int4_code(low, (high - low) / float(22 - number));
    } else {  // around 0, with the greatest magnitude at -8 steps or 8
      const float zero = float(kInt4Zero), size = std::max(zero - low, high - zero) / 8.0f;
      range = int4_code(zero - low >= high - zero ? low : zero - 7.0f * size, size);
    }
    const float error = int4_error(row, range);
    if (error < fewest) {
      fewest = error;
      best = range;
    }
  }
  const Range fitted = int4_fitted(row, best);
  return int4_error(row, fitted) < fewest ? fitted : best;
}

inline void pack_int4(const Block& block, uint8_t* to) {
  for (int64_t start = 0; start < block.k; start += kInt4Super) {
    const SuperBlock super(to, block.k - start);
    for (int64_t c = 0; c < kColumns; ++c) {
      const float* row = block.rows + c * block.k + start;
      float most = 0.0f;
      for (int64_t k = 0; k < super.groups * kInt4Group; ++k)
        most = std::max(most, std::fabs(row[k]));
      const uint16_t scale = to_bf16(most / float(kInt4Zero));
      std::memcpy(super.scales + c * 2, &scale, 2);
      const float inverse = inverse_of(from_bf16(scale));
      for (int64_t g = 0; g < super.groups; ++g) {
        float group[kInt4Group];
        for (int64_t k = 0; k < kInt4Group; ++k)
          group[k] = row[g * kInt4Group + k] * inverse + float(kInt4Zero);
        const Range range = int4_range(group);
        super.code(c, g)[0] = range.slope;
        super.code(c, g)[1] = range.least;
        const float divided = inverse_slope(range.slope), least = float(range.least);
        for (int64_t k = 0; k < 16; ++k)
          super.line(c, g)[k] = uint8_t(int(int4_nibble(group[k], divided, least)) |
                                        int(int4_nibble(group[16 + k], divided, least)) << 4);
      }
    }
    to = super.end();
  }
}

// The exponent of 32 weights: with it the greatest is 4 to 8, so that it has a code.
inline uint8_t mx_exponent(const float* row) {
  uint32_t most = 0;
  for (int64_t k = 0; k < kMxGroup; ++k) {
    uint32_t bits;
    std::memcpy(&bits, row + k, 4);
    most = std::max(most, bits & 0x7fffffff);
  }
  return uint8_t(std::max(int32_t(most >> 23) - 2, 0));
}

// The code that is nearest to a value, the even one of two; values beyond 6 get that of 6.
inline int mx_code(float value) {
  const float size = std::fabs(value);
  const int code = (size > 0.25f) + (size >= 0.75f) + (size > 1.25f) + (size >= 1.75f) +
                   (size > 2.5f) + (size >= 3.5f) + (size > 5.0f);
  return value < 0.0f ? code | 8 : code;
}

inline void pack_mxfp4(const Block& block, uint8_t* to) {
  for (int64_t start = 0; start < block.k; start += kMxGroup) {
    const MxGroup<uint8_t> group{to};
    for (int64_t c = 0; c < kColumns; ++c) {
      const float* row = block.rows + c * block.k + start;
      const uint8_t exponent = mx_exponent(row);
      const float inverse = mx_power(254u - exponent);
      int codes[kMxGroup];
      for (int64_t k = 0; k < kMxGroup; ++k) codes[k] = mx_code(row[k] * inverse);
      group.exponents[c] = exponent;
      for (int64_t k = 0; k < kMxGroup; k += k % 4 == 3 ? 5 : 1)
        *group.byte(c, k) = uint8_t(codes[k] | codes[k + 4] << 4);
    }
    to = group.end();
  }
}

inline void pack_block(Format format, const Block& block, uint8_t* to) {
  switch (format) {
    case Format::f32: return pack_f32(block, to);
    case Format::bf16: return pack_bf16(block, to);
    case Format::int8: return pack_int8(block, to);
    case Format::int4: return pack_int4(block, to);
    case Format::mxfp4: return pack_mxfp4(block, to);
  }
}

// Row `row` of a matrix with `columns` columns, in float, zeros behind it.
inline void read_row(const void* matrix, bool bf16, int64_t row, int64_t columns, int64_t width,
                     float* to) {
  if (bf16) {
    const uint16_t* from = static_cast<const uint16_t*>(matrix) + row * columns;
    for (int64_t k = 0; k < columns; ++k) to[k] = from_bf16(from[k]);
  } else {
    std::memcpy(to, static_cast<const float*>(matrix) + row * columns, size_t(columns) * 4);
  }
  std::fill(to + columns, to + width, 0.0f);
}

// Pack blocks 0 to count on all threads; one(block, rows) packs one, with room for its weights.
template <class One>
void pack_blocks(int64_t count, int64_t most_width, int threads, const One& one) {
  std::atomic<int64_t> next{0};
  const int64_t own = kColumns * most_width;
  const std::unique_ptr<float[]> memory(new float[size_t(own * threads)]);
  const auto work = [&](int thread) {
    for (int64_t block; (block = next.fetch_add(1)) < count;) one(block, memory.get() + thread * own);
  };
#ifdef _OPENMP
#pragma omp parallel num_threads(threads)
  work(omp_get_thread_num());
#else
  work(0);
#endif
}

void pack(const Experts& e, const Weights& weights, uint8_t* data) {
  const int64_t hidden = padded(e.hidden, kPad), inner = padded(e.inner, kPad);
  const int64_t gate_ups = inner / 32, downs = padded(e.hidden, kColumns) / kColumns;
  const int64_t gate_up_bytes = block_bytes(e.format, hidden);
  const int64_t down_bytes = block_bytes(e.format, inner);
  const int64_t count = e.count * (gate_ups + downs);
  pack_blocks(count, std::max(hidden, inner), weights.threads, [&](int64_t task, float* rows) {
    const int64_t expert = task / (gate_ups + downs), place = task % (gate_ups + downs);
    const bool down = place >= gate_ups;
    const int64_t block = down ? place - gate_ups : place;
    const int64_t width = down ? inner : hidden;
    for (int64_t c = 0; c < kColumns; ++c) {
      float* to = rows + c * width;
      const int64_t output = down ? block * kColumns + c : block * 32 + c % 32;
      if (output >= (down ? e.hidden : e.inner)) {
        std::fill(to, to + width, 0.0f);
      } else if (down) {
        read_row(weights.down, weights.bf16, expert * e.hidden + output, e.inner, width, to);
      } else {
        const int64_t row = (expert * 2 + (c >= 32)) * e.inner + output;
        read_row(weights.gate_up, weights.bf16, row, e.hidden, width, to);
      }
    }
    uint8_t* own = data + expert * expert_bytes(e);
    uint8_t* to = down ? own + gate_ups * gate_up_bytes + block * down_bytes
                       : own + block * gate_up_bytes;
    pack_block(e.format, {rows, width}, to);
  });
}

void pack_matrix(const Matrix& m, const void* weights, bool bf16, uint8_t* data, int threads) {
  const int64_t width = padded(m.inputs, kPad);
  pack_blocks(m.blocks(), width, threads, [&](int64_t block, float* rows) {
    for (int64_t c = 0; c < kColumns; ++c) {
      const int64_t output = block * kColumns + c;
      float* to = rows + c * width;
      if (output < m.outputs) read_row(weights, bf16, output, m.inputs, width, to);
      else std::fill(to, to + width, 0.0f);
    }
    pack_block(m.format, {rows, width}, data + block * m.block_size());
  });
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
