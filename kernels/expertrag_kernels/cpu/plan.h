// Work in stages: what the threads of a call do, one stage after the other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>

namespace expertrag {
namespace EXPERTRAG_ISA {

// Tasks that any thread takes, in spans of at most `most`: long spans first, because memory is read
// fastest in long streams, and short spans at the end, so that no thread waits long for another.
class Stage {
 public:
  // work(first task, end of tasks, number of the thread)
  using Work = std::function<void(int64_t, int64_t, int)>;

  Stage(int64_t count, int64_t most, Work work)
      : count_(count), most_(most), work_(std::move(work)) {}

  // Of a stage whose tasks are counted by an earlier one.
  void count(int64_t tasks) { count_ = tasks; }

  void work(int thread, int threads) {
    int64_t first = next_.load();
    while (first < count_) {
      const int64_t n = std::clamp<int64_t>((count_ - first) / (4 * threads), 1, most_);
      if (!next_.compare_exchange_weak(first, first + n)) continue;
      work_(first, first + n, thread);
      done_.fetch_add(n, std::memory_order_release);
      first = next_.load();
    }
  }

  bool done() const { return done_.load(std::memory_order_acquire) >= count_; }

 private:
  // A late thread finds next_ beyond any count that it reads: no stage starts before all tasks of the
  // previous one are done.
  std::atomic<int64_t> count_;
  int64_t most_;
  Work work_;
  alignas(64) std::atomic<int64_t> next_{0};
  std::atomic<int64_t> done_{0};
};

using Plan = std::deque<Stage>;

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
