// A decoder without Python, for sanitizers: `make sanitize`. Every instruction set and format, with
// odd widths, partly filled pages, several sequences in a batch, one with adapters, and rows that are
// picked and kept; run in parts it must be bit-identical to the whole. The results are tested against torch in
// test_decoder.py.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include <unistd.h>

#include "../../../kernels/expertrag_kernels/cpu/program.h"

using namespace expertrag;

namespace {

struct Isa {
  const char* name;
  void (*pack)(const Experts&, const Weights&, uint8_t*);
  void (*pack_matrix)(const Matrix&, const void*, bool, uint8_t*, int);
  void (*decode)(const Program&, const Batch&);
  bool usable;
};

const Isa kIsas[] = {
    {"generic", generic::pack, generic::pack_matrix, generic::decode, true},
#ifdef EXPERTRAG_X86
    {"avx2", avx2::pack, avx2::pack_matrix, avx2::decode, __builtin_cpu_supports("avx2") != 0},
    {"avx512", avx512::pack, avx512::pack_matrix, avx512::decode,
     __builtin_cpu_supports("avx512vl") != 0},
    {"avx512bf16", avx512bf16::pack, avx512bf16::pack_matrix, avx512bf16::decode,
     __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni")},
#endif
};

constexpr int64_t kHidden = 45, kHeads = 4, kGroups = 2, kOwn = 11, kShared = 6, kValue = 70;
constexpr int64_t kExperts = 6, kTopK = 2, kInner = 39, kWords = 77, kPages = 7, kPositions = 300;

class Memory {
 public:
  ~Memory() {
    for (void* block : blocks_) std::free(block);
  }
  uint8_t* bytes(int64_t n) {
    const size_t size = size_t(padded(n, 64));
    blocks_.push_back(std::aligned_alloc(64, size));
    std::memset(blocks_.back(), 0, size);
    return static_cast<uint8_t*>(blocks_.back());
  }
  float* floats(int64_t n, float scale) {
    float* found = reinterpret_cast<float*>(bytes(n * 4));
    for (int64_t i = 0; i < n; ++i) found[i] = normal_(random_) * scale;
    return found;
  }
  // n values of bf16
  const void* halves(int64_t n, float scale) {
    uint16_t* found = reinterpret_cast<uint16_t*>(bytes(n * 2));
    for (int64_t i = 0; i < n; ++i) {
      const float value = normal_(random_) * scale;
      std::memcpy(found + i, reinterpret_cast<const char*>(&value) + 2, 2);
    }
    return found;
  }

 private:
  std::vector<void*> blocks_;
  std::mt19937 random_{7};
  std::normal_distribution<float> normal_;
};

Matrix matrix(const Isa& isa, Memory& memory, Format format, int64_t outputs, int64_t inputs) {
  Matrix made{format, outputs, inputs, nullptr};
  uint8_t* data = memory.bytes(made.blocks() * made.block_size());
  const float* weights = memory.floats(outputs * inputs, 1 / std::sqrt(float(inputs)));
  isa.pack_matrix(made, weights, false, data, 2);
  made.data = data;
  return made;
}

Experts experts(const Isa& isa, Memory& memory, Format format, int64_t count,
                bool biased = false) {
  Experts made{format, biased ? Activation::clamped_swiglu : Activation::silu,
               count, kHidden, kInner, nullptr, biased};
  uint8_t* data = memory.bytes(data_bytes(made));
  const float* gate_up = memory.floats(count * 2 * kInner * kHidden, 0.15f);
  isa.pack(made, {gate_up, memory.floats(count * kHidden * kInner, 0.15f), false, 2}, data);
  const int64_t weights = weight_bytes(made), biases = data_bytes(made) - weights;
  if (biases) std::memcpy(data + weights, memory.floats(biases / 4, 0.1f), size_t(biases));
  made.data = data;
  return made;
}

// Updates of all layers: of a few outputs of a linear one, of gate and up, and of down.
Adapter adapter(Memory& memory, const Program& program) {
  Adapter made{program.cache.format == Format::bf16};
  const auto add = [&](const uint8_t* matrix, int64_t inputs, int64_t first, int64_t blocks,
                       int64_t columns, int64_t rank) {
    const auto weights = [&](int64_t n) {
      return made.bf16 ? memory.halves(n, 0.15f) : memory.floats(n, 0.15f);
    };
    const int64_t held = made.bf16 ? rank + rank % 2 : rank;  // ranks of `up`
    made.updates[matrix].push_back(
        {first, blocks, rank, weights(rank * inputs), weights(blocks * held * columns)});
  };
  for (const Step& step : program.steps)
    if (const Linear* linear = std::get_if<Linear>(&step)) {
      const int64_t blocks = linear->matrix.blocks();
      if (linear->to.slot == kOutput) continue;  // the head has none
      add(linear->matrix.data, linear->matrix.inputs, 0, blocks, kColumns, 4);
      add(linear->matrix.data, linear->matrix.inputs, blocks - 1, 1, kColumns, 3);
    } else if (const Mix* mix = std::get_if<Mix>(&step); mix && !mix->top_k) {
      const Matrix both{mix->experts.format, 2 * padded(kInner, kPad), kHidden, mix->experts.data};
      add(both.data, kHidden, 0, both.blocks(), 32, 5);
      add(both.data, kHidden, both.blocks(), both.blocks(), 32, 4);
      add(both.data + both.blocks() * both.block_size(), kInner, 0,
          padded(kHidden, kColumns) / kColumns, kColumns, 1);
    }
  return made;
}

// `window` is that of the attention; with one, it has sinks and the experts have biases.
Program program(const Isa& isa, Memory& memory, Format format, int64_t window) {
  const Format exact = format == Format::f32 ? Format::f32 : Format::bf16;
  Program made{{}, {}, {exact, kPages, kGroups, kOwn, kShared, kValue, nullptr}};
  made.cache.data = memory.bytes(kPages * kGroups * made.cache.head_bytes());
  const int64_t key = kOwn + kShared, own = kHeads * key + kGroups * kOwn + kShared;
  made.slots = {kHidden, kHidden, own + kGroups * kValue, kHeads * kValue, kExperts, kHidden, kHidden};
  const Matrix table = matrix(isa, memory, format, kWords, kHidden);
  const View query{2, 0, key}, keys{2, kHeads * key, kOwn}, shared{2, own - kShared, 0};
  float* weight = memory.floats(kHidden, 1);
  made.steps = {
      Embed{0, table, 1.5f},
      Norm{{0, 0, 0}, {1, 0, 0}, kHidden, 1, weight, 1e-6f},
      Linear{{1, 0, 0}, {2, 0, 0}, matrix(isa, memory, format, made.slots[2], kHidden),
             memory.floats(made.slots[2], 1), false},
      Norm{query, query, key, kHeads, weight, 1e-6f},
      Rope{query, kHeads, 4, false, memory.floats(kPositions * 2, 1), memory.floats(kPositions * 2, 1)},
      Rope{shared, 1, 6, true, memory.floats(kPositions * 3, 1), memory.floats(kPositions * 3, 1)},
      Attend{query, keys, shared, {2, own, kValue}, {3, 0, kValue}, 0, kHeads, 0.2f, window,
             window ? memory.floats(kHeads, 1) : nullptr},
      Linear{{3, 0, 0}, {0, 0, 0}, matrix(isa, memory, format, kHidden, kHeads * kValue), nullptr, true},
      Linear{{0, 0, 0}, {4, 0, 0}, matrix(isa, memory, exact, kExperts, kHidden), nullptr, false},
      Keep{{4, 0, 0}, kExperts, 0.5f},
      Route{{4, 0, 0}, kExperts, kTopK, false, true, 3, 2, 1.5f},
  };
  const Experts routed = experts(isa, memory, format, kExperts, window != 0);
  made.steps.push_back(Mix{0, 0, kTopK, routed});
  made.steps.push_back(Norm{{0, 0, 0}, {1, 0, 0}, kHidden, 1, weight, 1e-6f, memory.floats(kHidden, 1)});
  made.steps.push_back(Route{{4, 0, 0}, kExperts, kTopK, false, true, 3, 2, 1.5f, memory.floats(kExperts, 1)});
  made.steps.push_back(Mix{1, 0, kTopK, routed});
  made.steps.push_back(Route{{4, 0, 0}, kExperts, kTopK, false, false, 1, 1, 1.0f, nullptr, 0.4f});
  made.steps.push_back(Mix{1, 0, kTopK, routed});
  made.steps.push_back(
      Route{{4, 0, 0}, kExperts, kTopK, false, true, 1, 1, 1.0f, nullptr, -1.0f, 0, kTopK - 1});
  constexpr int64_t neurons = 2;
  made.steps.push_back(Light{{1, 0, 0}, {6, 0, 0}, {0, 0, 0}, kTopK - 1, kExperts, neurons, kHidden,
                             memory.floats(kExperts * (3 + 3 * neurons) * kHidden, 0.1f)});
  made.steps.push_back(Mix{6, 0, 1, routed});
  made.steps.push_back(Mix{0, 0, 0, experts(isa, memory, format, 1)});
  made.steps.push_back(Route{{4, 0, 0}, 1, 1, true, false, 1, 1, 1.0f});
  made.steps.push_back(Pick{0, 5});
  made.steps.push_back(Linear{{5, 0, 0}, {kOutput, 0, 0}, table, nullptr, false});
  return made;
}

struct Part {  // rows `start` to `stop` of a text
  int64_t text, start, stop;
};

// Logits of all rows of the parts, one after the other; or of those from the last on, `apart` rows
// apart.
std::vector<float> run(const Isa& isa, const Program& program, const Adapter& adapter,
                       const std::vector<Part>& parts, int threads, int64_t apart = 0) {
  const int64_t pages[2][5] = {{4, 0, 6, 2, 5}, {3, 1, 3, 3, 3}};
  std::vector<int64_t> tokens, positions, experts;
  std::vector<Routing> routing;
  std::vector<Sequence> sequences;
  for (const Part& part : parts) {
    const int64_t start = int64_t(tokens.size());
    for (int64_t p = part.start; p < part.stop; ++p) {
      tokens.push_back((p * 31 + part.text * 7) % kWords);
      positions.push_back(p);
      experts.push_back(part.text ? 2 : -1);  // its own, or by the router
      routing.push_back({INFINITY, p % 3 ? INFINITY : 0.6f, p % 2 ? 0.0f : 0.3f, INFINITY});
    }
    sequences.push_back({start, int64_t(tokens.size()), pages[part.text],
                         part.text ? Adapters{&adapter, &adapter} : Adapters{}});
  }
  const int64_t rows = int64_t(tokens.size());
  std::vector<int64_t> picked(tokens.size());
  std::iota(picked.begin(), picked.end(), 0);
  if (apart) {
    picked.clear();
    for (int64_t row = rows - 1; row >= 0; row -= apart) picked.push_back(row);
  }
  std::vector<float> out(picked.size() * kWords), kept(kExperts);
  const int64_t watched = rows - 1;
  int64_t used[2] = {};
  isa.decode(program, {rows, tokens.data(), positions.data(), experts.data(), routing.data(), used,
                       sequences, picked.data(), int64_t(picked.size()), &watched, 1, kept.data(),
                       out.data(), threads});
  for (const std::vector<float>* some : {&out, &kept})
    for (const float value : *some)
      if (!std::isfinite(value)) {
        std::fprintf(stderr, "%s: a result is no number\n", isa.name);
        std::exit(1);
      }
  return out;
}

// With the experts in a file, and memory for some of them.
void check_from_file(const Isa& isa, const Program& whole, const Adapter& adapter,
                     const std::vector<Part>& parts) {
  const auto wanted = run(isa, whole, adapter, parts, 2);
  const Experts* experts = nullptr;
  for (const Step& step : whole.steps)
    if (const Mix* mix = std::get_if<Mix>(&step); mix && mix->top_k) experts = &mix->experts;
  char path[] = "/tmp/expertsXXXXXX";
  std::FILE* file = fdopen(mkstemp(path), "wb");
  const char before[64] = {};
  std::fwrite(before, 1, sizeof(before), file);
  std::fwrite(experts->data, 1, size_t(data_bytes(*experts)), file);
  std::fclose(file);
  for (const bool direct : {true, false})
    for (const int64_t places : {kTopK, kTopK + 2, 2 * kExperts})
      for (const int threads : {1, 2}) {
        Program made = whole;
        const int64_t bytes = places * Residency::place_bytes(expert_bytes(*experts));
        limit_experts(made, path, bytes, {64, 64, 64, 64}, direct);
        for (int times = 0; times < 2; ++times)
          if (run(isa, made, adapter, parts, threads) != wanted) {
            std::fprintf(stderr, "%s: with %d experts in memory the result differs\n", isa.name,
                         int(places));
            std::exit(1);
          }
      }
  std::remove(path);
}

void check(const Isa& isa, Format format, int64_t window) {
  Memory memory;
  const Program made = program(isa, memory, format, window);
  const Adapter updates = adapter(memory, made);
  const auto run = [&](auto... given) { return ::run(isa, made, updates, given...); };
  using Parts = std::vector<Part>;
  const auto whole = run(Parts{{0, 0, 290}}, 2);
  const auto other = run(Parts{{1, 0, 65}}, 1);
  std::vector<float> found;
  const auto add = [&](const std::vector<float>& from, int64_t start, int64_t rows) {
    found.insert(found.end(), from.begin() + start * kWords, from.begin() + (start + rows) * kWords);
  };
  const auto first = run(Parts{{1, 0, 63}, {0, 0, 101}}, 2);
  const auto second = run(Parts{{0, 101, 102}, {1, 63, 65}}, 2);
  const auto third = run(Parts{{0, 102, 290}}, 1);
  add(first, 63, 101), add(second, 0, 1), add(third, 0, 188);
  const bool same = found == whole;
  // without the others, which end with the last attention
  const auto some = run(Parts{{1, 0, 63}, {0, 0, 101}}, 2, 9);
  found.clear();
  for (int64_t row = 163; row >= 0; row -= 9) add(first, row, 1);
  if (found != some) {
    std::fprintf(stderr, "%s, format %d: picked rows differ\n", isa.name, int(format));
    std::exit(1);
  }
  found.clear();
  add(first, 0, 63), add(second, 1, 2);
  if (!same || found != other) {
    std::fprintf(stderr, "%s, format %d: parts differ from the whole\n", isa.name, int(format));
    std::exit(1);
  }
  check_from_file(isa, made, updates, {{0, 0, 70}});
  check_from_file(isa, made, updates, {{0, 70, 71}, {1, 0, 3}});
}

}  // namespace

int main() {
  int cases = 0;
  for (const Isa& isa : kIsas) {
    if (!isa.usable) continue;
    for (Format format :
         {Format::f32, Format::bf16, Format::int8, Format::int4, Format::mxfp4})
      for (const int64_t window : {0, 1, 64, 90}) check(isa, format, window), ++cases;
  }
  std::printf("%d decoders hold\n", cases);
}
