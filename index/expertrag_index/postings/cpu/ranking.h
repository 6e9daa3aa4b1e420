// The best chunks so far: by score, then by key. A heap with the worst on top.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace expertrag {

class Ranking {
 public:
  // k > 0
  explicit Ranking(size_t k) : k_(k) { heap_.reserve(k); }

  void offer(double score, int64_t key) {
    const Entry entry{-score, key};
    if (heap_.size() < k_) {
      heap_.push_back(entry);
      std::push_heap(heap_.begin(), heap_.end());
    } else if (entry < heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = entry;
      std::push_heap(heap_.begin(), heap_.end());
    } else {
      return;
    }
    if (heap_.size() == k_) bar_ = -heap_.front().first * (1 - SLACK);
  }

  // What a score must reach to be offered. A score that is summed up in another order differs in
  // its last bits: the slack keeps chunks that are as good as the worst.
  double bar() const { return bar_; }

  // Writes the chunks, best first, and returns their number.
  size_t write(int64_t* keys, double* scores) {
    std::sort_heap(heap_.begin(), heap_.end());
    for (size_t i = 0; i < heap_.size(); ++i) {
      scores[i] = -heap_[i].first;
      keys[i] = heap_[i].second;
    }
    return heap_.size();
  }

 private:
  using Entry = std::pair<double, int64_t>;  // the negative score, then the key: less is better
  static constexpr double SLACK = 1e-9;
  size_t k_;
  double bar_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace expertrag
