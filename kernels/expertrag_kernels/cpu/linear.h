// Rows by a matrix, and rows of a matrix.
#pragma once

#include "int4.h"
#include "mxfp4.h"
#include "program.h"
#include "tiles.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Multiply all rows by blocks first .. last of a matrix: use(row, first column, 64 results).
template <Format F, class Use>
void multiply_blocks(const Matrix& matrix, const Rows<F>& x, int64_t rows, int64_t first,
                     int64_t last, const Use& use) {
  constexpr int kMost = Tile<F>::kRows;
  alignas(64) float results[kMost * kColumns];
  Row tile[kMost];
  for (int64_t b = first; b < last; ++b) {
    const uint8_t* block = matrix.data + b * matrix.block_size();
    for (int64_t start = 0; start < rows; start += kMost) {
      const int n = int(std::min<int64_t>(kMost, rows - start));
      for (int r = 0; r < n; ++r) tile[r] = x.row(start + r);
      run_tile<F>(n, tile, block, x.width, results);
      for (int r = 0; r < n; ++r) use(start + r, b * kColumns, results + r * kColumns);
    }
  }
}

// Read output `o` of a matrix into `to`, as floats.
inline void read_output(const Matrix& matrix, int64_t o, float* to) {
  const uint8_t* block = matrix.data + o / kColumns * matrix.block_size();
  const int64_t c = o % kColumns, width = padded(matrix.inputs, kPad);
  switch (matrix.format) {
    case Format::f32:
      for (int64_t k = 0; k < matrix.inputs; ++k)
        std::memcpy(to + k, block + (k * kColumns + c) * 4, 4);
      break;
    case Format::bf16:
      for (int64_t k = 0; k < matrix.inputs; ++k) {
        uint16_t bits;
        std::memcpy(&bits, block + ((k / 2 * kColumns + c) * 2 + k % 2) * 2, 2);
        to[k] = from_bf16(bits);
      }
      break;
    case Format::int8: {
      float scale;
      std::memcpy(&scale, block + c * 4, 4);
      block += kColumns * 4;
      for (int64_t start = 0; start < width; start += kInt8Group) {
        block += kColumns * 2;
        const int64_t stop = std::min(start + kInt8Group, width);
        for (int64_t k = start; k < std::min(stop, matrix.inputs); ++k)
          to[k] = scale * float(int8_t(block[((k - start) / 4 * kColumns + c) * 4 + k % 4]));
        block += (stop - start) * kColumns;
      }
      break;
    }
    case Format::int4:
      for (int64_t start = 0; start < width; start += kInt4Super) {
        const SuperBlock super(block, width - start);
        const int64_t stop = std::min(start + kInt4Super, matrix.inputs);
        for (int64_t k = start; k < stop; ++k) {
          const int64_t group = (k - start) / kInt4Group, place = (k - start) % kInt4Group;
          const uint8_t* code = super.code(c, group);
          const int both = super.line(c, group)[place % 16];
          const int byte = int4_byte(code[0], code[1], place < 16 ? both & 15 : both >> 4);
          to[k] = super.scale(c) * float(byte - kInt4Zero);
        }
        block = super.end();
      }
      break;
    case Format::mxfp4:
      for (int64_t k = 0; k < matrix.inputs; ++k) {
        const MxGroup<const uint8_t> group{block + k / kMxGroup * kMxGroupBytes};
        const int64_t input = k % kMxGroup;
        const int code = *group.byte(c, input) >> group.shift(input) & 15;
        to[k] = 0.5f * float(mx_twice(code)) * mx_power(group.exponents[c]);
      }
      break;
  }
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
