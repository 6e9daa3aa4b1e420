// Memory of a call, which is taken while its work is planned.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "experts.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Owned by the calling thread. Allocated memory does not move until it is released.
class Scratch {
 public:
  struct Mark {
    size_t block = 0;
    int64_t used = 0;
  };

  // Allocate n uninitialised T, aligned to 64 bytes.
  template <class T>
  T* take(int64_t n) {
    const int64_t bytes = padded(std::max<int64_t>(n, 1) * int64_t(sizeof(T)), 64);
    for (; at_.block < blocks_.size(); at_ = {at_.block + 1, 0})
      if (at_.used + bytes <= blocks_[at_.block].size) break;
    if (at_.block == blocks_.size()) blocks_.emplace_back(std::max(bytes, kLeast));
    T* found = reinterpret_cast<T*>(blocks_[at_.block].start() + at_.used);
    at_.used += bytes;
    return found;
  }

  // Release what was allocated after a mark: the stages that use it run before those that use the
  // next allocations.
  Mark mark() const { return at_; }
  void release(Mark mark) { at_ = mark; }

  // Release everything; return the memory to the system if it exceeds kKept.
  void end() {
    at_ = {};
    int64_t total = 0;
    for (const Block& block : blocks_) total += block.size;
    if (total > kKept) blocks_.clear();
  }

 private:
  static constexpr int64_t kKept = 64 << 20, kLeast = 1 << 20;

  struct Block {
    explicit Block(int64_t bytes) : size(bytes), memory(new uint8_t[size_t(bytes) + 64]) {}
    uint8_t* start() const {
      return reinterpret_cast<uint8_t*>(
          padded(int64_t(reinterpret_cast<uintptr_t>(memory.get())), 64));
    }
    int64_t size;
    std::unique_ptr<uint8_t[]> memory;
  };

  std::vector<Block> blocks_;
  Mark at_;
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
