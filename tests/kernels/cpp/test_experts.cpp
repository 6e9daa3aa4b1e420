// The kernels without Python, for sanitizers: `make sanitize`. Every instruction set that this
// machine has, every format, shapes that leave tiles, groups and blocks half full, sentinels,
// repeated experts and no tokens at all, against a plain loop over the packed weights' origin.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "../../../kernels/expertrag_kernels/cpu/experts.h"

using namespace expertrag;

namespace {

constexpr Format kFormats[] = {Format::f32, Format::bf16, Format::int8, Format::int4, Format::mxfp4};

struct Isa {
  const char* name;
  void (*forward)(const Experts&, const Call&);
  void (*pack)(const Experts&, const Weights&, uint8_t*);
  bool usable;
};

const Isa kIsas[] = {
    {"generic", generic::forward, generic::pack, true},
#ifdef EXPERTRAG_X86
    {"avx2", avx2::forward, avx2::pack, __builtin_cpu_supports("avx2") != 0},
    {"avx512", avx512::forward, avx512::pack, __builtin_cpu_supports("avx512vl") != 0},
    {"avx512bf16", avx512bf16::forward, avx512bf16::pack,
     __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni")},
#endif
};

// Largest error against the exact weights; that of 4 bits is mostly the rounding of weights.
double most_error(Format format) {
  switch (format) {
    case Format::f32: return 1e-5;
    case Format::bf16: return 0.01;
    case Format::int8: return 0.05;
    case Format::int4: return 0.25;
    case Format::mxfp4: return 0.3;
  }
  return 0;
}

double clamped(double gate, double up) {
  gate = std::min(gate, 7.0);
  return gate / (1 + std::exp(-1.702 * gate)) * (std::max(-7.0, std::min(up, 7.0)) + 1);
}

struct Shape {
  int64_t tokens, experts, top_k, hidden, inner;
};

void check(const Isa& isa, Format format, const Shape& s, bool biased = false) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto draw = [&](size_t n, float scale) {
    std::vector<float> found(n);
    for (float& value : found) value = normal(random) * scale;
    return found;
  };
  const auto gate_up = draw(size_t(s.experts * 2 * s.inner * s.hidden), 1 / std::sqrt(float(s.hidden)));
  const auto down = draw(size_t(s.experts * s.hidden * s.inner), 1 / std::sqrt(float(s.inner)));
  const auto x = draw(size_t(s.tokens * s.hidden), 1);
  const auto routing = draw(size_t(s.tokens * s.top_k), 1);
  std::vector<int64_t> index(size_t(s.tokens * s.top_k));
  for (int64_t& expert : index) expert = int64_t(random() % uint64_t(s.experts + 1));  // sentinels

  Experts experts{format, biased ? Activation::clamped_swiglu : Activation::silu,
                  s.experts, s.hidden, s.inner, nullptr, biased};
  const size_t bytes = size_t(data_bytes(experts)), weights = size_t(weight_bytes(experts));
  uint8_t* data = static_cast<uint8_t*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  isa.pack(experts, {gate_up.data(), down.data(), false, 2}, data);
  const auto biases = draw((bytes - weights) / 4, 1);
  if (biased) std::memcpy(data + weights, biases.data(), bytes - weights);
  experts.data = data;
  const auto bias = [&](const float* of_expert, int64_t place) {
    return of_expert ? double(of_expert[place]) : 0.0;
  };
  std::vector<float> out(x.size(), -1.0f);
  isa.forward(experts, {x.data(), false, s.tokens, s.top_k, index.data(), routing.data(),
                        out.data(), 2});

  double error = 0, size = 0;
  std::vector<double> h(size_t(s.inner)), wanted(size_t(s.hidden));
  for (int64_t t = 0; t < s.tokens; ++t) {
    std::fill(wanted.begin(), wanted.end(), 0.0);
    for (int64_t k = 0; k < s.top_k; ++k) {
      const int64_t e = index[size_t(t * s.top_k + k)];
      if (e >= s.experts) continue;
      for (int64_t i = 0; i < s.inner; ++i) {
        double gate = 0, up = 0;
        for (int64_t j = 0; j < s.hidden; ++j) {
          const double value = x[size_t(t * s.hidden + j)];
          gate += value * gate_up[size_t(((e * 2) * s.inner + i) * s.hidden + j)];
          up += value * gate_up[size_t(((e * 2 + 1) * s.inner + i) * s.hidden + j)];
        }
        const int64_t place = i / 32 * 64 + i % 32;
        gate += bias(experts.gate_up_bias(e), place);
        up += bias(experts.gate_up_bias(e), place + 32);
        h[size_t(i)] = biased ? clamped(gate, up) : gate / (1 + std::exp(-gate)) * up;
      }
      for (int64_t j = 0; j < s.hidden; ++j) {
        double sum = bias(experts.down_bias(e), j);
        for (int64_t i = 0; i < s.inner; ++i)
          sum += h[size_t(i)] * down[size_t((e * s.hidden + j) * s.inner + i)];
        wanted[size_t(j)] += routing[size_t(t * s.top_k + k)] * sum;
      }
    }
    for (int64_t j = 0; j < s.hidden; ++j) {
      const double difference = out[size_t(t * s.hidden + j)] - wanted[size_t(j)];
      error += difference * difference;
      size += wanted[size_t(j)] * wanted[size_t(j)];
    }
  }
  std::free(data);
  if (std::sqrt(error) > most_error(format) * std::sqrt(size) + 1e-6) {
    std::fprintf(stderr, "%s, format %d, T=%ld E=%ld K=%ld H=%ld I=%ld: error %.4f\n", isa.name,
                 int(format), long(s.tokens), long(s.experts), long(s.top_k), long(s.hidden),
                 long(s.inner), std::sqrt(error / size));
    std::exit(1);
  }
}

// bfloat16 in and out, every activation, and NaN, infinity and subnormal numbers: there is nothing
// to compare with, but no undefined behaviour, and rows next to a broken one stay intact.
void check_odd_numbers(const Isa& isa, Format format, Activation activation) {
  const int64_t count = 2, hidden = 40, inner = 36, tokens = 4;
  std::vector<uint16_t> gate_up(size_t(count * 2 * inner * hidden), 0x3c00);
  std::vector<uint16_t> down(size_t(count * hidden * inner), 0x0001);  // the least that there is
  std::vector<uint16_t> x(size_t(tokens * hidden), 0x3f80), out(x.size());
  x[size_t(hidden)] = 0x7fc0;          // NaN in row 1
  x[size_t(2 * hidden + 3)] = 0xff80;  // minus infinity in row 2
  for (int64_t j = 0; j < hidden; ++j) x[size_t(3 * hidden + j)] = 0x0001;
  const std::vector<int64_t> index(size_t(tokens), 1);
  const std::vector<float> routing(size_t(tokens), 1.0f);
  Experts experts{format, activation, count, hidden, inner, nullptr};
  const size_t bytes = size_t(data_bytes(experts));
  uint8_t* data = static_cast<uint8_t*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  isa.pack(experts, {gate_up.data(), down.data(), true, 2}, data);
  experts.data = data;
  isa.forward(experts, {x.data(), true, tokens, 1, index.data(), routing.data(), out.data(), 2});
  std::free(data);
  const auto broken = [&](int64_t row) { return (out[size_t(row * hidden)] & 0x7f80) == 0x7f80; };
  if (broken(0) || !broken(1) || broken(3)) {
    std::fprintf(stderr, "%s, format %d: rows are mixed up\n", isa.name, int(format));
    std::exit(1);
  }
}

}  // namespace

int main() {
  const Shape shapes[] = {
      {0, 2, 1, 32, 32},   {1, 4, 2, 64, 96},  {13, 5, 3, 33, 71},  {40, 1, 1, 128, 32},
      {70, 3, 2, 290, 161}, {9, 3, 3, 65, 129}, {1100, 2, 1, 32, 32}, {100, 1, 1, 530, 40},
  };
  int cases = 0;
  for (const Isa& isa : kIsas) {
    if (!isa.usable) continue;
    for (Format format : kFormats)
      for (const Shape& shape : shapes)
        for (const bool biased : {false, true}) check(isa, format, shape, biased), ++cases;
    for (Format format : kFormats)
      for (Activation activation :
           {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::relu,
            Activation::clamped_swiglu})
        check_odd_numbers(isa, format, activation), ++cases;
  }
  std::printf("%d cases hold\n", cases);
}
