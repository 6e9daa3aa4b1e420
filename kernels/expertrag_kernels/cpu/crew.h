// How the threads of a call share its work. OpenMP's, so that they are the ones that torch keeps
// ready; but not its barriers, which wait for every thread, also for one whose core another program
// has taken and that has done nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "experts.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// Tasks that any thread takes, in spans of at most `most`: long ones at first, as memory is read
// fastest in long streams, and short ones in the end, when no thread should wait long for another.
class Stage {
 public:
  Stage(int64_t count, int64_t most) : count_(count), most_(most) {}

  template <class Run>
  void work(int threads, const Run& run) {
    int64_t first = next_.load();
    while (first < count_) {
      const int64_t n = std::clamp<int64_t>((count_ - first) / (4 * threads), 1, most_);
      if (!next_.compare_exchange_weak(first, first + n)) continue;
      run(first, first + n);
      done_.fetch_add(n, std::memory_order_release);
      first = next_.load();
    }
  }

  bool done() const { return done_.load(std::memory_order_acquire) >= count_; }

 private:
  int64_t count_, most_;
  std::atomic<int64_t> next_{0}, done_{0};
};

// The threads of one calling thread. Where it has waited for the others longer than it has worked,
// and that several times in a row, something else is using their cores, and it does the next calls
// alone.
class Crew {
 public:
  // work(number of the thread, threads)
  template <class Work>
  void run(const Work& work, int wanted) {
#ifdef _OPENMP
    const bool together = wanted > 1 && alone_ == 0;
    if (!together) {
      if (alone_ > 0) --alone_;
      return work(0, 1);
    }
    const auto start = Clock::now();
    waited_ = 0.0;
    Clock::time_point ready;
#pragma omp parallel num_threads(wanted)
    {
      work(omp_get_thread_num(), omp_get_num_threads());
      if (omp_get_thread_num() == 0) ready = Clock::now();
    }
    waited_ += seconds_since(ready);
    const double spent = seconds_since(start);
    const bool crowded = waited_ > kShortWait && waited_ > spent - waited_;
    crowded_ = crowded ? std::min(crowded_ + 1, kOften + 6) : 0;
    if (crowded_ < kOften) return;
    alone_ = std::min(kShortest << (crowded_ - kOften), kLongest);
#else
    work(0, 1);
#endif
  }

  // Wait until all tasks of a stage are done.
  void wait(const Stage& stage, int thread) {
    if (stage.done()) return;
    const auto start = Clock::now();
    for (int spins = 0; !stage.done(); ++spins)
      if (spins > kSpins) std::this_thread::yield();
    if (thread == 0) waited_ += seconds_since(start);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kShortWait = 2e-4;  // seconds; waking a thread takes half of it
  static constexpr int kSpins = 2000;
  static constexpr int kOften = 4, kShortest = 16, kLongest = 1024;  // calls

  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  double waited_ = 0.0;
  int alone_ = 0, crowded_ = 0;
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
