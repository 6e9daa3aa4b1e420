// The rows of every expert, and the memory of a call.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>
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

// Memory that grows and is kept by the thread that calls.
class Scratch {
 public:
  void begin() { used_ = 0; }

  // 64-byte aligned room for n of T; an earlier reserve() must have covered all of a call.
  template <class T>
  T* take(int64_t n) {
    T* found = reinterpret_cast<T*>(base_ + used_);
    used_ += padded(n * int64_t(sizeof(T)), 64);
    return found;
  }

  void reserve(int64_t bytes) {
    if (bytes <= size_) return;
    std::free(memory_);
    memory_ = std::malloc(size_t(bytes) + 64);
    size_ = memory_ ? bytes : 0;
    if (!memory_) throw std::bad_alloc();
    base_ = reinterpret_cast<uint8_t*>(padded(int64_t(reinterpret_cast<uintptr_t>(memory_)), 64));
  }

  // Give back what only a large call needed.
  void end() {
    if (size_ <= kKept) return;
    std::free(memory_);
    memory_ = nullptr;
    size_ = 0;
  }

  ~Scratch() { std::free(memory_); }

 private:
  static constexpr int64_t kKept = 64 << 20;
  void* memory_ = nullptr;
  uint8_t* base_ = nullptr;
  int64_t size_ = 0, used_ = 0;
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
