// The Python module: raw addresses in, the GIL released. What is checked in dispatch.py is not
// checked again; that no index is negative is checked here.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <vector>

#include "experts.h"
#include "probe.h"

namespace nb = nanobind;
using namespace expertrag;

namespace {

struct Isa {
  const char* name;
  void (*forward)(const Experts&, const Call&);
  void (*pack)(const Experts&, const Weights&, uint8_t*);
  bool usable;
};

// Best first.
std::vector<Isa> isas() {
  return {
#ifdef EXPERTRAG_AVX512BF16
      {"avx512bf16", avx512bf16::forward, avx512bf16::pack,
       __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq")},
#endif
#ifdef EXPERTRAG_AVX512
      {"avx512", avx512::forward, avx512::pack,
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")},
#endif
#ifdef EXPERTRAG_AVX2
      {"avx2", avx2::forward, avx2::pack,
       __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
#endif
      {"generic", generic::forward, generic::pack, true},
  };
}

std::vector<std::string> usable_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : isas())
    if (isa.usable) names.emplace_back(isa.name);
  return names;
}

const Isa& usable(const std::string& name) {
  static const std::vector<Isa> all = isas();
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const Isa& some) { return some.usable && name == some.name; });
  if (found == all.end())
    throw nb::value_error(("instruction set " + name + " is not usable here").c_str());
  return *found;
}

void pack(const std::string& isa, int format, int64_t experts, int64_t hidden, int64_t inner,
          uintptr_t gate_up, uintptr_t down, bool bf16, uintptr_t data, int threads) {
  const Isa& found = usable(isa);
  const Experts layer{Format(format), Activation::silu, experts, hidden, inner, nullptr};
  const Weights weights{reinterpret_cast<const void*>(gate_up),
                        reinterpret_cast<const void*>(down), bf16, std::max(1, threads)};
  nb::gil_scoped_release released;
  found.pack(layer, weights, reinterpret_cast<uint8_t*>(data));
}

void forward(const std::string& isa, int format, int activation, int64_t experts, int64_t hidden,
             int64_t inner, uintptr_t data, uintptr_t x, bool bf16, int64_t tokens, int64_t top_k,
             uintptr_t index, uintptr_t weights, uintptr_t out, int threads) {
  const Isa& found = usable(isa);
  const int64_t* chosen = reinterpret_cast<const int64_t*>(index);
  const int64_t pairs = tokens * top_k;
  const int64_t lowest = pairs ? *std::min_element(chosen, chosen + pairs) : 0;
  if (lowest < 0)
    throw nb::value_error(
        ("top_k_index must not be negative; got " + std::to_string(lowest)).c_str());
  const Experts layer{Format(format), Activation(activation), experts, hidden, inner,
                      reinterpret_cast<const uint8_t*>(data)};
  const Call call{reinterpret_cast<const void*>(x), bf16, tokens, top_k, chosen,
                  reinterpret_cast<const float*>(weights), reinterpret_cast<void*>(out),
                  std::max(1, threads)};
  nb::gil_scoped_release released;
  found.forward(layer, call);
}

}  // namespace

NB_MODULE(_cpu, m) {
  m.def("usable_isas", &usable_isas);
  m.def("forward", &forward);
  m.def("pack", &pack);
  m.def("block_bytes", [](int format, int64_t k) { return block_bytes(Format(format), k); });
  m.def("read_seconds", [](uintptr_t data, int64_t bytes, int threads) {
    return read_seconds(reinterpret_cast<const uint8_t*>(data), bytes, threads);
  });
#ifdef EXPERTRAG_AVX512BF16
  m.def("bf16_flops", &bf16_flops);
#endif
}
