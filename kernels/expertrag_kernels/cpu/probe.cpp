#include <atomic>
#include <chrono>
#include <cstdint>

#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

bool amx_usable() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr unsigned kTiles = 1u << 24, kBf16 = 1u << 22;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & kTiles) || !(d & kBf16)) return false;
  // the registers are large: a process asks for their place in the state of its threads
  constexpr int kRequest = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace expertrag
