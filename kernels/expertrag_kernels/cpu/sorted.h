// The rows of every expert.
#pragma once

#include <cstdint>
#include <vector>

#include "experts.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

struct Group {  // an expert that is in use, and its rows
  int64_t expert, start, stop;
};

struct Sorted {
  std::vector<Group> groups;
  std::vector<int64_t> token;  // of every row
  std::vector<float> weight;
  std::vector<int64_t> ends;  // work memory

  // Sort the (token, expert) pairs by expert; within an expert they keep their order.
  void sort(const int64_t* index, const float* weights, int64_t tokens, int64_t top_k,
            int64_t experts) {
    const int64_t pairs = tokens * top_k;
    groups.clear();
    token.resize(size_t(pairs));
    weight.resize(size_t(pairs));
    ends.assign(size_t(experts), 0);
    for (int64_t p = 0; p < pairs; ++p)
      if (index[p] < experts) ++ends[size_t(index[p])];
    int64_t start = 0;
    for (int64_t e = 0; e < experts; ++e) {
      const int64_t rows = ends[size_t(e)];
      if (rows) groups.push_back({e, start, start + rows});
      ends[size_t(e)] = start;
      start += rows;
    }
    for (int64_t p = 0; p < pairs; ++p) {
      if (index[p] >= experts) continue;  // a sentinel costs nothing
      const int64_t row = ends[size_t(index[p])]++;
      token[size_t(row)] = p / top_k;
      weight[size_t(row)] = weights[p];
    }
  }

  int64_t rows() const { return groups.empty() ? 0 : groups.back().stop; }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
