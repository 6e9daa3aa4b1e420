// Experts that are read from a file while threads wait for them, for the thread sanitizer: `make
// sanitize`. Every expert holds its own number; places are fewer than experts.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include <unistd.h>

#include "../../../kernels/expertrag_kernels/cpu/residency.h"

using namespace expertrag;

namespace {

constexpr int64_t kLayers = 3, kExperts = 9, kBytes = 10240, kStart = 192;

void fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

std::string write_file() {
  char path[] = "/tmp/residencyXXXXXX";
  std::FILE* file = fdopen(mkstemp(path), "wb");
  for (int64_t i = 0; i < kStart; ++i) std::fputc(255, file);
  for (int64_t key = 0; key < kLayers * kExperts; ++key)
    for (int64_t i = 0; i < kBytes; ++i) std::fputc(int(key), file);
  std::fclose(file);
  return path;
}

std::vector<Residency::Layer> layers() {
  std::vector<Residency::Layer> made;
  for (int64_t layer = 0; layer < kLayers; ++layer)
    made.push_back({kStart + layer * kExperts * kBytes, kBytes, kExperts});
  return made;
}

// Steps with random routing: two threads wait for the experts of a layer, and look at all bytes.
void run_steps(Residency& residency, unsigned seed) {
  std::mt19937 random(seed);
  for (int step = 0; step < 150; ++step) {
    residency.begin_step(1);
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const int64_t first = int64_t(random() % kExperts), second = (first + 1) % kExperts;
      residency.need(layer, {{first, 1.0f}, {second, 0.5f}});
      if (layer + 1 < kLayers) residency.expect(layer + 1, {int64_t(random() % kExperts)});
      const auto look = [&](int64_t expert) {
        const uint8_t* found = residency.wait(layer, expert);
        if (!found) fail("an expert was not read");
        for (int64_t i = 0; i < kBytes; ++i)
          if (found[i] != layer * kExperts + expert) fail("an expert has other weights");
      };
      std::thread other([&] { look(second), look(first); });
      look(first);
      other.join();
    }
    residency.end_step();
  }
}

// Other experts are preferred again and again, while steps run.
void prefer_often(Residency& residency) {
  std::mt19937 random(3);
  for (int times = 0; times < 200; ++times) {
    std::vector<std::vector<int64_t>> preferred(kLayers);
    for (auto& experts : preferred)
      for (int64_t e = int64_t(random() % 3); e < kExperts; e += 2) experts.push_back(e);
    residency.prefer(preferred);
    std::this_thread::yield();
  }
}

void check(const std::string& path, int64_t places, bool direct) {
  Residency residency(path, places * Residency::place_bytes(kBytes), layers(), direct);
  std::thread other([&] { run_steps(residency, 1); });
  std::thread preferring([&] { prefer_often(residency); });
  run_steps(residency, 2);
  other.join();
  preferring.join();
  const Residency::Counters found = residency.counters();
  if (found.hits + found.misses != 2 * 150 * kLayers * 2 || !found.misses) fail("miscounted");
}

void check_truncated(const std::string& path) {
  Residency residency(path, 4 * Residency::place_bytes(kBytes), layers());
  for (int times = 0; times < 3; ++times) {
    residency.begin_step(1);
    residency.need(2, {{8, 1.0f}, {7, 1.0f}});
    if (residency.wait(2, 8) || !residency.failed()) fail("a truncated file was read");
    try {
      residency.end_step();
      fail("no error was raised");
    } catch (const std::runtime_error&) {
    }
  }
}

}  // namespace

int main() {
  const std::string path = write_file();
  for (const bool direct : {true, false})
    for (const int64_t places : {2, 5, 27}) check(path, places, direct);
  if (truncate(path.c_str(), kStart + 20 * kBytes)) fail("truncate");
  check_truncated(path);
  std::remove(path.c_str());
  std::printf("experts in a file hold\n");
}
