// How the threads of a call share its work. It uses OpenMP's threads, which torch keeps ready, but
// not its barriers, which wait for every thread, even for one that has done nothing because another
// program has taken its core.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "plan.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

// The threads of one calling thread. If it has waited for the others longer than it has worked,
// several times in a row, another program is using their cores, and it runs the next calls alone.
class Crew {
 public:
  void run(Plan& plan, int wanted) {
#ifdef _OPENMP
    const bool together = wanted > 1 && alone_ == 0;
    if (!together) {
      if (alone_ > 0) --alone_;
      return work(plan, 0, 1);
    }
    const auto start = Clock::now();
    waited_ = 0.0;
    Clock::time_point ready;
#pragma omp parallel num_threads(wanted)
    {
      work(plan, omp_get_thread_num(), omp_get_num_threads());
      if (omp_get_thread_num() == 0) ready = Clock::now();
    }
    waited_ += seconds_since(ready);
    const double spent = seconds_since(start);
    const bool crowded = waited_ > kShortWait && waited_ > spent - waited_;
    crowded_ = crowded ? std::min(crowded_ + 1, kOften + 6) : 0;
    if (crowded_ < kOften) return;
    alone_ = std::min(kShortest << (crowded_ - kOften), kLongest);
#else
    work(plan, 0, 1);
#endif
  }

 private:
  void work(Plan& plan, int thread, int threads) {
    for (Stage& stage : plan) {
      stage.work(thread, threads);
      wait(stage, thread);
    }
  }

  // Wait until all tasks of a stage are done.
  void wait(const Stage& stage, int thread) {
    if (stage.done()) return;
    const auto start = Clock::now();
    for (int spins = 0; !stage.done(); ++spins)
      if (spins > kSpins) std::this_thread::yield();
    if (thread == 0) waited_ += seconds_since(start);
  }

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
