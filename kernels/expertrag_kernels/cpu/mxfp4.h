// MXFP4 (OCP Microscaling Formats 1.0, 2023): groups of 32 inputs by 64 outputs, as layout.py
// describes them.
#pragma once

#include <algorithm>
#include <cstring>

#include "experts.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Twice the value of a code, which is in half steps up to 6: a sign, and 0 to 12.
inline int32_t mx_twice(int32_t code) {  // without branches or a table, for vector code
  const int32_t size = code & 7;
  const int32_t twice = size + (size > 4) + (size > 5) + 3 * (size > 6);
  return code & 8 ? -twice : twice;
}

constexpr uint32_t kMxLeast = 0x400000;  // the bits of 2^-127, which is subnormal

// The power of two that an exponent represents: 2^(exponent - 127).
inline float mx_power(uint32_t exponent) {
  const uint32_t bits = std::max(exponent << 23, kMxLeast);
  float power;
  std::memcpy(&power, &bits, 4);
  return power;
}

// A group of 32 inputs. Its parts are
//   exponents [64]
//   codes     [4][4][16][4]: of columns 16c + j, at [c][l][j][i]; the low half of a byte is input
//             8l + i, its high half input 8l + 4 + i
template <class Byte>
struct MxGroup {
  Byte* exponents;

  Byte* codes(int64_t sixteen) const { return exponents + kColumns + sixteen * 256; }
  // The byte that holds an input of a column, and where in it.
  Byte* byte(int64_t column, int64_t input) const {
    return codes(column / 16) + (input / 8 * 16 + column % 16) * 4 + input % 4;
  }
  static int shift(int64_t input) { return input % 8 < 4 ? 0 : 4; }
  Byte* end() const { return exponents + kMxGroupBytes; }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
