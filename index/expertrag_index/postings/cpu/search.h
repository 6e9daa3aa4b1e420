// The functions of the module over one segment.
#pragma once

#include <cstdint>
#include <vector>

#include "postings.h"
#include "ranking.h"

namespace expertrag {

// Offers the best chunks of a segment to a ranking. `allowed`: a bit per row, or null for all rows.
void best(const Segment& segment, const std::vector<Term>& terms, const uint64_t* allowed,
          Ranking& ranking);

// Scores rows, which ascend; 0 where no term occurs.
void scores(const Segment& segment, const std::vector<Term>& terms, const int64_t* rows, size_t size,
            double* out);

// Counts the postings whose rows are allowed.
size_t count(const uint32_t* rows, size_t start, size_t end, const uint64_t* allowed, size_t limit);

// Finds a term in a vocabulary of `size` terms; -1 if it is not there.
int64_t find(const uint8_t* vocabulary, const uint64_t* starts, size_t size, const uint8_t* term,
             size_t length);

}  // namespace expertrag
