#include "residency.h"

#include "program.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <stdexcept>

#ifndef _WIN32
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace expertrag {

#ifdef _WIN32

Residency::Residency(const std::string&, int64_t, std::vector<Layer>, bool) {
  throw std::runtime_error("experts cannot be left in their file on this system");
}
Residency::~Residency() {}
std::string Residency::read(const Expert&, uint8_t*) { return ""; }

#else

namespace {

constexpr int64_t kHugePage = 2 << 20;

uint8_t* allocate(int64_t bytes) {
  void* found = mmap(nullptr, size_t(bytes), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  madvise(found, size_t(bytes), MADV_HUGEPAGE);
#endif
  return static_cast<uint8_t*>(found);
}

}  // namespace

Residency::Residency(const std::string& path, int64_t bytes, std::vector<Layer> layers,
                     [[maybe_unused]] bool direct)
    : name_(path.substr(path.find_last_of('/') + 1)), layers_(std::move(layers)) {
  int64_t keys = 0, widest = 0;
  for (const Layer& layer : layers_) {
    first_.push_back(keys);
    keys += layer.count;
    widest = std::max(widest, layer.bytes);
  }
  experts_.reset(new Expert[size_t(keys)]);
  for (size_t layer = 0; layer < layers_.size(); ++layer)
    for (int64_t e = 0; e < layers_[layer].count; ++e) {
      Expert& expert = experts_[size_t(first_[layer] + e)];
      expert.layer = int64_t(layer);
      expert.start = layers_[layer].start + e * layers_[layer].bytes;
    }
  place_bytes_ = place_bytes(widest);
  places_.assign(size_t(std::min(keys, bytes / place_bytes_)), -1);
  if (places_.empty()) throw std::invalid_argument("there is no room for an expert");
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) throw std::runtime_error(name_ + " cannot be opened: " + std::strerror(errno));
#ifdef O_DIRECT
  if (direct) direct_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
#endif
  size_ = (places() * place_bytes_ + kHugePage - 1) / kHugePage * kHugePage;
  memory_ = allocate(size_);
  for (int i = 0; i < kReaders; ++i) readers_.emplace_back([this] { read_all(); });
}

Residency::~Residency() {
  {
    const std::lock_guard<std::mutex> held(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& reader : readers_) reader.join();
  if (memory_) munmap(memory_, size_t(size_));
  for (const int file : {file_, direct_})
    if (file >= 0) close(file);
}

// Read an expert to its place in `place`, behind the beginning of its first block; returns why not.
std::string Residency::read(const Expert& expert, uint8_t* place) {
  const int64_t bytes = layers_[size_t(expert.layer)].bytes, before = expert.start % kBlock;
  const int64_t first = expert.start - before, wanted = before + bytes;
  for (const bool direct : {true, false}) {  // the second is read through the system's cache
    const int file = direct ? direct_ : file_;
    if (file < 0) continue;
    int64_t done = 0;
    while (done < wanted) {
      const int64_t rest = direct ? (wanted - done + kBlock - 1) / kBlock * kBlock : wanted - done;
      const ssize_t n = pread(file, place + done, size_t(rest), first + done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && direct && errno == EINVAL) break;  // of larger blocks
      if (n < 0) return name_ + " cannot be read: " + std::strerror(errno);
      if (n == 0) return name_ + " ends before its weights do: it was changed while in use";
      done += n;
      if (direct && done < wanted && done % kBlock) break;
    }
    if (done < wanted) continue;
#ifdef POSIX_FADV_DONTNEED
    if (!direct) posix_fadvise(file, first, wanted, POSIX_FADV_DONTNEED);
#endif
    return "";
  }
  return name_ + " cannot be read in blocks";
}

#endif

Residency::Counters Residency::counters() const {
  const std::lock_guard<std::mutex> held(mutex_);
  return counters_;
}

void Residency::begin_step(int64_t rows) {
  step_.lock();
  const std::lock_guard<std::mutex> held(mutex_);
  start_ = tick_;
  age(rows);
}

void Residency::end_step() {
  const std::string error = cancel_step();
  if (!error.empty()) throw std::runtime_error(error);
}

std::string Residency::cancel_step() {
  std::string error;
  {
    const std::lock_guard<std::mutex> held(mutex_);
    for (const int64_t key : needed_) experts_[size_t(key)].needed = false;
    needed_.clear();
    urgent_.clear();
    tick_ = start_ + int64_t(layers_.size());
    error.swap(error_);
    failed_.store(false, std::memory_order_release);
  }
  step_.unlock();
  return error;
}

void Residency::expect(int64_t layer, const std::vector<int64_t>& experts) {
  const std::lock_guard<std::mutex> held(mutex_);
  const int64_t tick = start_ + layer;
  if (tick < tick_) return;
  bool any = false;
  for (const int64_t e : experts) {
    if (e < 0 || e >= layers_[size_t(layer)].count) continue;
    const int64_t key = first_[size_t(layer)] + e;
    Expert& expert = experts_[size_t(key)];
    if (expert.expected >= tick) continue;
    expert.expected = tick;
    if (expert.place >= 0) continue;
    ahead_.push_back({key, tick});
    any = true;
  }
  if (any) work_.notify_all();
}

void Residency::prefer(const std::vector<std::vector<int64_t>>& experts) {
  const std::lock_guard<std::mutex> held(mutex_);
  const int64_t keys = first_.back() + layers_.back().count;
  for (int64_t key = 0; key < keys; ++key) experts_[size_t(key)].preferred = false;
  preferred_.clear();
  for (size_t layer = 0; layer < experts.size(); ++layer)
    for (const int64_t e : experts[layer]) {
      const int64_t key = first_[layer] + e;
      experts_[size_t(key)].preferred = true;
      if (experts_[size_t(key)].place < 0) preferred_.push_back({key, 0});
    }
  work_.notify_all();
}

void Residency::need(int64_t layer, const std::vector<Use>& used) {
  const std::lock_guard<std::mutex> held(mutex_);
  tick_ = start_ + layer;
  for (const int64_t key : needed_) experts_[size_t(key)].needed = false;
  needed_.clear();
  for (const Use& use : used) {
    const int64_t key = first_[size_t(layer)] + use.expert;
    Expert& expert = experts_[size_t(key)];
    expert.needed = true;
    needed_.push_back(key);
    expert.soon += soon_ * double(use.share);
    expert.often += often_ * double(use.share);
    if (expert.data.load(std::memory_order_relaxed)) {
      ++counters_.hits;
      counters_.read_ahead += expert.fresh;
    } else {
      ++counters_.misses;
      if (expert.place < 0) urgent_.push_back({key, tick_});
    }
    expert.fresh = false;
  }
  work_.notify_all();  // also for what waited until others may give way
}

const uint8_t* Residency::stall(int64_t layer, int64_t expert) {
  using Clock = std::chrono::steady_clock;
  std::unique_lock<std::mutex> held(mutex_);
  if (waiting_++ == 0) stalled_since_ = Clock::now();
  const uint8_t* found = nullptr;
  arrived_.wait(held, [&] { return (found = address(layer, expert)) || failed(); });
  if (--waiting_ == 0)
    counters_.stalled += std::chrono::duration<double>(Clock::now() - stalled_since_).count();
  return failed() ? nullptr : found;
}

// Instead of decaying all counts, later uses count for more.
void Residency::age(int64_t rows) {
  soon_ *= std::exp2(double(rows) / kShort);
  often_ *= std::exp2(double(rows) / kLong);
  if (soon_ < 1e200 && often_ < 1e200) return;
  const int64_t keys = first_.back() + layers_.back().count;
  for (int64_t key = 0; key < keys; ++key) {
    experts_[size_t(key)].soon /= soon_;
    experts_[size_t(key)].often /= often_;
  }
  soon_ = often_ = 1.0;
}

double Residency::likely(const Expert& expert) const {
  return expert.soon / soon_ / kShort + expert.often / often_ / kLong;
}

void Residency::read_all() {
  std::unique_lock<std::mutex> held(mutex_);
  while (!stop_) {
    std::deque<Job>* jobs = next();
    const Standing reason =
        jobs == &urgent_ ? kNeeded : jobs == &ahead_ ? kExpected : kPreferred;
    const int64_t place = jobs ? free_place(reason) : -1;
    if (place < 0) {
      work_.wait(held);
      continue;
    }
    const Job job = jobs->front();
    jobs->pop_front();
    Expert& expert = experts_[size_t(job.key)];
    expert.place = place;
    places_[size_t(place)] = job.key;
    uint8_t* memory = memory_ + place * place_bytes_;
    held.unlock();
    const std::string error = read(expert, memory);
    held.lock();
    if (error.empty()) {
      expert.fresh = !expert.needed;
      counters_.bytes_read += layers_[size_t(expert.layer)].bytes;
      expert.data.store(memory + expert.start % kBlock, std::memory_order_release);
    } else {
      places_[size_t(place)] = expert.place = -1;
      if (expert.needed) {  // otherwise it is tried again when it is
        error_ = error;
        failed_.store(true, std::memory_order_release);
      }
    }
    arrived_.notify_all();
    work_.notify_all();
  }
}

// The jobs of which the first is the next to read, without what is there by now or no longer of use;
// null if there are none.
std::deque<Residency::Job>* Residency::next() {
  for (std::deque<Job>* jobs : {&urgent_, &ahead_, &preferred_})
    for (; !jobs->empty(); jobs->pop_front()) {
      const Job& job = jobs->front();
      const bool late = jobs == &ahead_ && job.tick < tick_;
      if (experts_[size_t(job.key)].place < 0 && !late) return jobs;
    }
  return nullptr;
}

Residency::Standing Residency::standing(const Expert& expert) const {
  if (expert.needed || !expert.data.load(std::memory_order_relaxed)) return kNeeded;
  return expert.expected >= tick_ ? kExpected : expert.preferred ? kPreferred : kUsed;
}

// A place for another expert, -1 if there is none now: an empty one, or of the expert for which the
// least speaks, and of several the one that is least likely to be used soon.
int64_t Residency::free_place(Standing reason) {
  int64_t best = -1;
  Standing lowest = reason;
  double least = INFINITY;
  for (size_t place = 0; place < places_.size(); ++place) {
    if (places_[place] < 0) return int64_t(place);
    const Expert& expert = experts_[size_t(places_[place])];
    const Standing its = standing(expert);
    const double value = likely(expert);
    if (its >= reason || its > lowest || (its == lowest && value >= least)) continue;
    best = int64_t(place);
    lowest = its;
    least = value;
  }
  if (best < 0) return -1;
  Expert& gone = experts_[size_t(places_[size_t(best)])];
  gone.data.store(nullptr, std::memory_order_release);
  gone.place = -1;
  places_[size_t(best)] = -1;
  return best;
}

void limit_experts(Program& program, const std::string& path, int64_t bytes,
                   const std::vector<int64_t>& starts, bool direct) {
  std::vector<Residency::Layer> layers;
  std::vector<int64_t> writer(program.slots.size(), -1);  // the last step that writes a slot
  int64_t router = -1, route = -1;                        // of the mixture that follows
  Mix* before = nullptr;
  for (size_t place = 0; place < program.steps.size(); ++place) {
    Step& step = program.steps[place];
    if (const Linear* linear = std::get_if<Linear>(&step)) {
      if (linear->to.slot != kOutput) writer[size_t(linear->to.slot)] = int64_t(place);
    } else if (const Route* routing = std::get_if<Route>(&step)) {
      router = writer[size_t(routing->logits.slot)];
      route = int64_t(place);
    } else if (Mix* mix = std::get_if<Mix>(&step); mix && mix->experts.count > 1) {
      mix->layer = int64_t(layers.size());
      layers.push_back({starts.at(layers.size()), expert_bytes(mix->experts), mix->experts.count});
      if (before && router >= 0) {
        const Linear& logits = std::get<Linear>(program.steps[size_t(router)]);
        const bool alike = logits.matrix.inputs == before->experts.hidden;
        if (alike && logits.from.start == 0) {
          before->next_router = router;
          before->next_route = route;
        }
      }
      before = mix;
    }
  }
  program.residency = std::make_shared<Residency>(path, bytes, layers, direct);
}

void prefer_experts(const Program& program, const uint8_t* open, int64_t width) {
  std::vector<std::vector<int64_t>> experts(program.residency->layers().size());
  int64_t router = -1;  // of the mixture that follows
  for (const Step& step : program.steps) {
    if (const Route* route = std::get_if<Route>(&step); route && route->layer >= 0)
      router = route->layer;
    const Mix* mix = std::get_if<Mix>(&step);
    if (!open || !mix || mix->layer < 0 || router < 0) continue;
    for (int64_t e = 0; e < mix->experts.count; ++e)
      if (open[router * width + e]) experts[size_t(mix->layer)].push_back(e);
  }
  program.residency->prefer(experts);
}

}  // namespace expertrag
