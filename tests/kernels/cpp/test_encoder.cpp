// An encoder without Python, for sanitizers: `make sanitize`. Every instruction set, texts of odd
// lengths, experts that are mixed, shared and absent, layers run in parts; a text must be
// bit-identical alone and in a batch. The results are tested against torch in test_encoder.py.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "../../../kernels/expertrag_kernels/cpu/encoder.h"
#include "../../../kernels/expertrag_kernels/cpu/probe.h"

using namespace expertrag;

namespace {

struct Isa {
  const char* name;
  void (*encode)(const Encoder&, const Texts&, const EncodeCall&);
  bool usable;
};

constexpr int64_t kHidden = 96, kInner = 160, kHeads = 3, kWords = 40, kPositions = 300;
constexpr int64_t kExperts = 3, kRank = 32, kTopK = 2, kLayers = 3;
const std::vector<int64_t> kLengths = {1, 5, 16, 17, 33, 64, 255, 300, 2};

class Memory {
 public:
  const uint16_t* halves(int64_t n, float scale) {
    kept_.emplace_back(size_t(n) * 2);
    uint16_t* made = reinterpret_cast<uint16_t*>(kept_.back().data());
    for (int64_t i = 0; i < n; ++i) {
      const float value = normal_(random_) * scale;
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      made[i] = uint16_t(bits >> 16);
    }
    return made;
  }
  const float* floats(int64_t n, float mean) {
    kept_.emplace_back(size_t(n) * 4);
    float* made = reinterpret_cast<float*>(kept_.back().data());
    for (int64_t i = 0; i < n; ++i) made[i] = mean + 0.1f * normal_(random_);
    return made;
  }
  Panels panels(int64_t outputs, int64_t inputs) {
    return {outputs, inputs, halves(outputs * inputs, 0.2f)};
  }
  Dense dense(int64_t outputs, int64_t inputs, bool experts) {
    Dense made{panels(outputs, inputs), floats(outputs, 0.0f), {}, {}};
    for (int64_t e = 0; experts && e < kExperts; ++e) {
      made.lora_a.push_back(panels(kRank, inputs));
      made.lora_b.push_back(panels(outputs, kRank));
    }
    return made;
  }
  LayerNorm norm() { return {floats(kHidden, 1.0f), floats(kHidden, 0.0f)}; }

 private:
  std::vector<std::vector<uint8_t>> kept_;
  std::mt19937 random_{7};
  std::normal_distribution<float> normal_;
};

Encoder encoder(Memory& memory) {
  Encoder made{kHidden, kInner, kHeads, 1e-12f, memory.halves(kWords * kHidden, 1.0f),
               memory.floats(kPositions * kHidden, 0.0f), memory.norm(), {}};
  for (int64_t layer = 0; layer < kLayers; ++layer)
    made.layers.push_back({memory.dense(3 * kHidden, kHidden, false),
                           memory.dense(kHidden, kHidden, false), memory.norm(),
                           memory.dense(kInner, kHidden, layer > 0),
                           memory.dense(kHidden, kInner, layer > 0), memory.norm()});
  return made;
}

struct Asked {
  std::vector<int64_t> starts{0}, tokens, experts;
  std::vector<float> weights;

  void add(int64_t number) {
    const int64_t length = kLengths[size_t(number)];
    for (int64_t i = 0; i < length; ++i) tokens.push_back((7 * number + 3 * i) % kWords);
    starts.push_back(int64_t(tokens.size()));
    for (int64_t k = 0; k < kTopK; ++k) {
      experts.push_back((number + k) % (kExperts + 1));
      weights.push_back(k ? 0.25f : 0.75f);
    }
  }
};

// The means; in parts, the layers run in two calls.
std::vector<float> means(const Isa& isa, const Encoder& encoder, const Asked& asked, bool parts) {
  const int64_t count = int64_t(asked.starts.size()) - 1;
  const Texts texts{count, asked.starts.data(), asked.tokens.data(), kTopK, asked.experts.data(),
                    asked.weights.data()};
  std::vector<float> states(asked.tokens.size() * kHidden), found(size_t(count) * kHidden);
  if (parts) isa.encode(encoder, texts, {0, 1, states.data(), found.data()});
  isa.encode(encoder, texts, {parts ? 1 : 0, kLayers, states.data(), found.data()});
  return found;
}

bool same(const float* a, const float* b) { return !std::memcmp(a, b, kHidden * sizeof(float)); }

}  // namespace

int main() {
#ifdef EXPERTRAG_X86
  const bool bf16 = __builtin_cpu_supports("avx512bf16") != 0;
  const Isa isas[] = {{"avx512bf16", avx512bf16::encode, bf16},
                      {"amx", amx::encode, bf16 && amx_usable()}};
  Memory memory;
  const Encoder made = encoder(memory);
  for (const Isa& isa : isas) {
    if (!isa.usable) {
      std::printf("%s: not usable here\n", isa.name);
      continue;
    }
    Asked all;
    for (size_t i = 0; i < kLengths.size(); ++i) all.add(int64_t(i));
    const std::vector<float> together = means(isa, made, all, false);
    if (means(isa, made, all, true) != together) return std::printf("%s: parts\n", isa.name), 1;
    for (size_t i = 0; i < kLengths.size(); ++i) {
      Asked one;
      one.add(int64_t(i));
      if (!same(means(isa, made, one, false).data(), together.data() + i * kHidden))
        return std::printf("%s: text %zu differs alone\n", isa.name, i), 1;
    }
    std::printf("%s: ok\n", isa.name);
  }
#endif
  return 0;
}
