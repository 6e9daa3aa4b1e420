#include "search.h"

#include <cstring>

namespace expertrag {

void scores(const Segment& segment, const std::vector<Term>& terms, const int64_t* rows, size_t size,
            double* out) {
  std::fill(out, out + size, 0.0);
  for (const Term& term : terms) {
    size_t at = term.start;
    for (size_t i = 0; i < size && at < term.end; ++i) {
      const uint32_t row = static_cast<uint32_t>(rows[i]);
      at = seek(segment.rows, at, term.end, row);
      if (at < term.end && segment.rows[at] == row)
        out[i] += segment.part(term.weight, segment.counts[at], segment.lengths[row]);
    }
  }
}

size_t count(const uint32_t* rows, size_t start, size_t end, const uint64_t* allowed, size_t limit) {
  size_t found = 0;
  for (size_t i = start; i < end; ++i) {
    const uint32_t row = rows[i];
    if (row >= limit) throw DamagedRow();
    found += allowed[row >> 6] >> (row & 63) & 1;
  }
  return found;
}

int64_t find(const uint8_t* vocabulary, const uint64_t* starts, size_t size, const uint8_t* term,
             size_t length) {
  size_t low = 0, high = size;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const size_t own = starts[middle + 1] - starts[middle];
    int order = std::memcmp(vocabulary + starts[middle], term, std::min(own, length));
    if (order == 0) order = own < length ? -1 : own > length;
    if (order == 0) return static_cast<int64_t>(middle);
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return -1;
}

}  // namespace expertrag
