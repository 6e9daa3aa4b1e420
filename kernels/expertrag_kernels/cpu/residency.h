// Experts that are in memory, of a model whose weights lie in a file: a bounded number of places,
// filled by threads that read ahead of the steps. Shared by all instruction sets.
//
// Times are counted in ticks, one for each mixture of a step. An expert that a layer needs stays
// until the next mixture; one that is expected at a later tick is not given up for another that is.
// Otherwise the expert gives way that is the least likely to be used soon, by decaying counts, and
// preferred ones, which are read when nothing else has to be, after all others.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace expertrag {

class Residency {
 public:
  struct Layer {  // the experts of a mixture, one after the other in the file
    int64_t start, bytes, count;  // where the first is; of each
  };

  struct Counters {
    int64_t hits = 0, misses = 0;  // experts that were in memory when a layer needed them, or not
    int64_t read_ahead = 0;        // of the hits, those that were first used since they were read
    int64_t bytes_read = 0;
    double stalled = 0.0;  // seconds in which a step waited for an expert
  };

  // Bytes of a place for an expert of `bytes`: reads that bypass the system's cache are of whole
  // blocks.
  static int64_t place_bytes(int64_t bytes) { return (bytes + 2 * kBlock - 2) / kBlock * kBlock; }

  // Opens the file and starts the threads. `bytes` of memory, which hold at least one expert.
  Residency(const std::string& path, int64_t bytes, std::vector<Layer> layers, bool direct = true);
  ~Residency();
  Residency(const Residency&) = delete;
  Residency& operator=(const Residency&) = delete;

  int64_t places() const { return int64_t(places_.size()); }
  const std::vector<Layer>& layers() const { return layers_; }
  Counters counters() const;

  // One step at a time, of a batch with this many rows; another waits here.
  void begin_step(int64_t rows);
  // Throws what could not be read; cancel_step returns it.
  void end_step();
  std::string cancel_step();

  // Read experts ahead of a layer of this step.
  void expect(int64_t layer, const std::vector<int64_t>& experts);

  // Prefer these experts of each layer, instead of those before, from now on.
  void prefer(const std::vector<std::vector<int64_t>>& experts);

  struct Use {
    int64_t expert;
    float share;  // of the rows
  };
  // The experts that a layer uses now, at most `places`; those needed before may give way.
  void need(int64_t layer, const std::vector<Use>& used);
  bool here(int64_t layer, int64_t expert) const { return address(layer, expert) != nullptr; }

  // Wait for a needed expert; null if it, or another of this step, could not be read.
  const uint8_t* wait(int64_t layer, int64_t expert) {
    const uint8_t* found = address(layer, expert);
    return found ? found : stall(layer, expert);
  }
  bool failed() const { return failed_.load(std::memory_order_acquire); }

 private:
  static constexpr int64_t kBlock = 4096;
  static constexpr int kReaders = 2;
  // tokens after which a use counts half: of what is read now, and of all that has been read
  static constexpr double kShort = 16, kLong = 1024;

  struct Expert {
    std::atomic<const uint8_t*> data{nullptr};
    int64_t layer = 0, start = 0;  // in the file
    int64_t place = -1;            // also while it is read
    int64_t expected = -1;         // tick
    bool needed = false, fresh = false, preferred = false;
    double soon = 0.0, often = 0.0;  // decaying counts of its use
  };

  struct Job {
    int64_t key, tick;
  };

  // What speaks for an expert in memory; a read takes the place of one with less than its own reason.
  enum Standing { kUsed, kPreferred, kExpected, kNeeded };

  const uint8_t* address(int64_t layer, int64_t expert) const {
    return experts_[size_t(first_[size_t(layer)] + expert)].data.load(std::memory_order_acquire);
  }
  const uint8_t* stall(int64_t layer, int64_t expert);
  void age(int64_t rows);
  double likely(const Expert& expert) const;
  void read_all();
  std::deque<Job>* next();
  Standing standing(const Expert& expert) const;
  int64_t free_place(Standing reason);
  std::string read(const Expert& expert, uint8_t* place);

  const std::string name_;  // of the file, for errors, which callers may see
  const std::vector<Layer> layers_;
  std::vector<int64_t> first_;  // key of each layer's first expert
  std::unique_ptr<Expert[]> experts_;
  std::vector<int64_t> places_;  // the key in each place, -1 for none
  int64_t size_ = 0, place_bytes_ = 0;
  uint8_t* memory_ = nullptr;
  int file_ = -1, direct_ = -1;

  std::mutex step_;
  mutable std::mutex mutex_;  // of everything below, and of experts but for `data`
  std::condition_variable work_, arrived_;
  std::deque<Job> urgent_, ahead_, preferred_;
  std::vector<int64_t> needed_;
  int64_t tick_ = 0, start_ = 0;  // of now, and of the step's first layer
  double soon_ = 1.0, often_ = 1.0;  // what a use counts now
  Counters counters_;
  int waiting_ = 0;
  std::chrono::steady_clock::time_point stalled_since_;
  std::string error_;
  std::atomic<bool> failed_{false};
  bool stop_ = false;
  std::vector<std::thread> readers_;
};

}  // namespace expertrag
