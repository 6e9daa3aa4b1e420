// Four bits: super-blocks of 128 inputs by 64 outputs, as layout.py describes them.
#pragma once

#include "rows.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// The value of a nibble, in steps of the super-block: a byte; kInt4Zero represents 0.
inline int int4_byte(int slope, int least, int nibble) {
  return std::min(255, ((17 * slope * nibble) >> 7) + least);
}

// A super-block of four groups of 32 inputs; the last one may have fewer. Its parts are
//   scales  [64] bfloat16
//   codes   [4][groups][16][2]: slope and least of a column's group, 0 to 127 each
//   nibbles [4][groups][4][4][16]: of columns 16c + 4j + i, at [c][group][i][j]; the low nibble of
//           byte k is input k of the group, its high nibble input 16 + k
template <class Byte>
struct SuperBlock {
  Byte* scales;
  int64_t groups;

  SuperBlock(Byte* block, int64_t inputs)
      : scales(block), groups(std::min(kInt4Super, inputs) / kInt4Group) {}

  Byte* codes() const { return scales + kColumns * 2; }
  Byte* codes(int64_t sixteen, int64_t group) const {
    return codes() + (sixteen * groups + group) * 32;
  }
  Byte* nibbles(int64_t sixteen, int64_t group) const {
    return codes() + groups * kColumns * 2 + (sixteen * groups + group) * 256;
  }
  // Of a column alone.
  Byte* code(int64_t column, int64_t group) const {
    return codes(column / 16, group) + column % 16 * 2;
  }
  Byte* line(int64_t column, int64_t group) const {
    return nibbles(column / 16, group) + (column % 4 * 4 + column % 16 / 4) * 16;
  }
  Byte* end() const { return codes() + groups * (kColumns * 2 + kInt4Group * kColumns / 2); }

  float scale(int64_t column) const {
    uint16_t bits;
    std::memcpy(&bits, scales + column * 2, 2);
    return from_bf16(bits);
  }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
