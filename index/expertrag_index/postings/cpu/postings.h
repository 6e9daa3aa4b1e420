// One segment of postings, and the terms of a query in it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace expertrag {

constexpr size_t BLOCK = 128;  // postings, of one or more terms; as in file_format.py

// A row that is not one of the segment: its file is damaged.
struct DamagedRow : std::runtime_error {
  DamagedRow() : std::runtime_error("a posting names a row that does not exist") {}
};

struct Segment {
  const int64_t* keys;
  const uint32_t* lengths;
  size_t count;  // rows
  const uint32_t* rows;
  const uint16_t* counts;
  const uint16_t* block_counts;
  const uint32_t* block_lengths;
  const double* norms;  // by length; the last is that of all longer chunks
  size_t longest;       // index of the last norm

  double norm(uint32_t length) const { return norms[std::min<size_t>(length, longest)]; }

  // What a term adds to the score of a chunk; the same expression as in plain.py.
  double part(double weight, uint16_t count, uint32_t length) const {
    const double frequency = count;
    return weight * frequency / (frequency + norm(length));
  }
};

struct Term {
  size_t start, end;  // its postings
  double weight;
};

// The first posting from `start` whose row is not below `row`, or `end`; quick if it is near.
inline size_t seek(const uint32_t* rows, size_t start, size_t end, uint32_t row) {
  size_t step = 1, low = start;
  while (low + step < end && rows[low + step] < row) {
    low += step;
    step *= 2;
  }
  const size_t high = std::min(low + step + 1, end);
  return std::lower_bound(rows + low, rows + high, row) - rows;
}

}  // namespace expertrag
