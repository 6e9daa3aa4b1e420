#include <atomic>
#include <chrono>
#include <cstdint>

#include "probe.h"

namespace expertrag {

using Clock = std::chrono::steady_clock;

static double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double read_seconds(const uint8_t* data, int64_t bytes, int threads) {
  constexpr int64_t kTile = 256 << 10;
  std::atomic<int64_t> next{0};
  std::atomic<uint64_t> all{0};  // used, so that the reads are not optimised away
  const auto start = Clock::now();
#pragma omp parallel num_threads(threads)
  {
    uint64_t sums[8] = {};
    for (int64_t at; (at = next.fetch_add(kTile)) + kTile <= bytes;) {
      const uint64_t* from = reinterpret_cast<const uint64_t*>(data + at);
      for (int64_t i = 0; i < kTile / 8; i += 8)
        for (int j = 0; j < 8; ++j) sums[j] ^= from[i + j];
    }
    for (uint64_t sum : sums) all ^= sum;
  }
  const double spent = seconds_since(start);
  return all == 1 ? spent + 1e-12 : spent;
}

}  // namespace expertrag
