// Cosines of a query with vectors of float16 that lie in a file, one after the other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace expertrag {

// The vectors of a file: row i begins at `start` + i * 2 * `dimension` bytes.
struct Rows {
  int file;
  int64_t start;
  size_t dimension;
};

constexpr int FILE_ENDS = -1;

// Asks the system to read rows that may not be in memory, all at once.
void ask_for(const Rows& rows, const int64_t* wanted, size_t count);

// Writes the cosines of rows with a query of unit length. Returns 0, the system's error, or
// FILE_ENDS if the file ends before a row.
int cosines(const Rows& rows, const int64_t* wanted, size_t count, const float* query, float* out);

}  // namespace expertrag
