// The Python module: takes raw addresses and releases the GIL. It does not repeat the checks of
// dispatch.py; it only checks that no index is negative.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <vector>

#include "encoder.h"
#include "experts.h"
#include "probe.h"
#include "program.h"

namespace nb = nanobind;
using namespace expertrag;

namespace {

struct Isa {
  const char* name;
  void (*forward)(const Experts&, const Call&);
  void (*pack)(const Experts&, const Weights&, uint8_t*);
  void (*pack_matrix)(const Matrix&, const void*, bool, uint8_t*, int);
  void (*decode)(const Program&, const Batch&);
  bool usable;
};

// Best first.
std::vector<Isa> isas() {
  return {
#ifdef EXPERTRAG_AVX512BF16
      {"avx512bf16", avx512bf16::forward, avx512bf16::pack, avx512bf16::pack_matrix,
       avx512bf16::decode,
       __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq")},
#endif
#ifdef EXPERTRAG_AVX512
      {"avx512", avx512::forward, avx512::pack, avx512::pack_matrix, avx512::decode,
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")},
#endif
#ifdef EXPERTRAG_AVX2
      {"avx2", avx2::forward, avx2::pack, avx2::pack_matrix, avx2::decode,
       __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
#endif
      {"generic", generic::forward, generic::pack, generic::pack_matrix, generic::decode, true},
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
             int64_t inner, uintptr_t data, bool biased, uintptr_t x, bool bf16, int64_t tokens,
             int64_t top_k, uintptr_t index, uintptr_t weights, uintptr_t out, int threads) {
  const Isa& found = usable(isa);
  const int64_t* chosen = reinterpret_cast<const int64_t*>(index);
  const int64_t pairs = tokens * top_k;
  const int64_t lowest = pairs ? *std::min_element(chosen, chosen + pairs) : 0;
  if (lowest < 0)
    throw nb::value_error(
        ("top_k_index must not be negative; got " + std::to_string(lowest)).c_str());
  const Experts layer{Format(format), Activation(activation), experts, hidden, inner,
                      reinterpret_cast<const uint8_t*>(data), biased};
  const Call call{reinterpret_cast<const void*>(x), bf16, tokens, top_k, chosen,
                  reinterpret_cast<const float*>(weights), reinterpret_cast<void*>(out),
                  std::max(1, threads)};
  nb::gil_scoped_release released;
  found.forward(layer, call);
}

void pack_matrix(const std::string& isa, int format, int64_t outputs, int64_t inputs,
                 uintptr_t weights, bool bf16, uintptr_t data, int threads) {
  const Isa& found = usable(isa);
  const Matrix matrix{Format(format), outputs, inputs, nullptr};
  nb::gil_scoped_release released;
  found.pack_matrix(matrix, reinterpret_cast<const void*>(weights), bf16,
                    reinterpret_cast<uint8_t*>(data), std::max(1, threads));
}

using Places = std::tuple<int64_t, int64_t, int64_t>;                  // slot, start, step
using Weighted = std::tuple<int, int64_t, int64_t, uintptr_t>;         // format, O, I, address

View view(const Places& v) { return {std::get<0>(v), std::get<1>(v), std::get<2>(v)}; }

Matrix matrix(const Weighted& m) {
  return {Format(std::get<0>(m)), std::get<1>(m), std::get<2>(m),
          reinterpret_cast<const uint8_t*>(std::get<3>(m))};
}

const float* floats(uintptr_t address) { return reinterpret_cast<const float*>(address); }

// The interface with which decoder.py builds a program.
void bind_program(nb::module_& m) {
  nb::class_<Program>(m, "Program")
      .def("__init__",
           [](Program* made, int format, int64_t pages, int64_t heads, int64_t own, int64_t shared,
              int64_t value, uintptr_t data) {
             const Cache cache{Format(format), pages, heads, own, shared, value,
                               reinterpret_cast<uint8_t*>(data)};
             new (made) Program{{}, {}, cache};
           })
      .def("slot",
           [](Program& p, int64_t width) {
             p.slots.push_back(width);
             return int64_t(p.slots.size()) - 1;
           })
      .def("embed",
           [](Program& p, int64_t to, const Weighted& table, float scale) {
             p.steps.push_back(Embed{to, matrix(table), scale});
           })
      .def("norm",
           [](Program& p, const Places& from, const Places& to, int64_t width, int64_t parts,
              uintptr_t weight, float epsilon, uintptr_t bias) {
             p.steps.push_back(Norm{view(from), view(to), width, parts, floats(weight), epsilon,
                                    floats(bias)});
           })
      .def("linear",
           [](Program& p, const Places& from, const Places& to, const Weighted& weights,
              uintptr_t bias, bool add) {
             p.steps.push_back(Linear{view(from), view(to), matrix(weights), floats(bias), add});
           })
      .def("rope",
           [](Program& p, const Places& at, int64_t heads, int64_t width, bool interleaved,
              uintptr_t cos, uintptr_t sin) {
             p.steps.push_back(
                 Rope{view(at), heads, width, interleaved, floats(cos), floats(sin)});
           })
      .def("attend",
           [](Program& p, const Places& query, const Places& key, const Places& shared_key,
              const Places& value, const Places& to, int64_t layer, int64_t heads, float scale,
              int64_t window, uintptr_t sinks) {
             p.steps.push_back(Attend{view(query), view(key), view(shared_key), view(value),
                                      view(to), layer, heads, scale, window, floats(sinks)});
           })
      .def("route",
           [](Program& p, const Places& logits, int64_t experts, int64_t top_k, bool sigmoid,
              bool normalise, int64_t groups, int64_t top_groups, float scale,
              uintptr_t correction, float margin, int64_t nulls, int64_t light) {
             const int64_t routers =
                 std::count_if(p.steps.begin(), p.steps.end(), [](const Step& step) {
                   const Route* route = std::get_if<Route>(&step);
                   return route && !route->sigmoid;
                 });
             p.steps.push_back(Route{view(logits), experts, top_k, sigmoid, normalise, groups,
                                     top_groups, scale, floats(correction), margin, nulls, light,
                                     sigmoid ? -1 : routers});
           })
      .def("light",
           [](Program& p, const Places& from, const Places& scaled, const Places& to,
              int64_t count, int64_t experts, int64_t neurons, int64_t hidden,
              uintptr_t vectors) {
             p.steps.push_back(Light{view(from), view(scaled), view(to), count, experts, neurons,
                                     hidden, floats(vectors)});
           })
      .def("mix",
           [](Program& p, int64_t from, int64_t to, int64_t top_k, int format, int activation,
              int64_t count, int64_t hidden, int64_t inner, uintptr_t data, bool biased) {
             const Experts experts{Format(format), Activation(activation), count, hidden, inner,
                                   reinterpret_cast<const uint8_t*>(data), biased};
             p.steps.push_back(Mix{from, to, top_k, experts});
           })
      .def("keep",
           [](Program& p, const Places& from, int64_t width, float scale) {
             p.steps.push_back(Keep{view(from), width, scale});
           })
      .def("pick",
           [](Program& p, int64_t from, int64_t to) { p.steps.push_back(Pick{from, to}); })
      .def("limit_experts",
           [](Program& p, const std::string& path, int64_t bytes,
              const std::vector<int64_t>& starts) { limit_experts(p, path, bytes, starts, true); })
      .def("prefer_experts",
           [](const Program& p, uintptr_t open, int64_t width) {
             prefer_experts(p, reinterpret_cast<const uint8_t*>(open), width);
           })
      .def("expert_counters", [](const Program& p) {
        const Residency::Counters found =
            p.residency ? p.residency->counters() : Residency::Counters{};
        return std::make_tuple(found.hits, found.misses, found.read_ahead, found.bytes_read,
                               found.stalled);
      });
}

// The interface with which decoder.py fills an adapter, whose weights it keeps alive.
void bind_adapter(nb::module_& m) {
  nb::class_<Adapter>(m, "Adapter")
      .def("__init__", [](Adapter* made, bool bf16) { new (made) Adapter{bf16}; })
      .def("add", [](Adapter& a, uintptr_t matrix, int64_t first, int64_t blocks, int64_t rank,
                     uintptr_t down, uintptr_t up) {
        a.updates[reinterpret_cast<const uint8_t*>(matrix)].push_back(
            {first, blocks, rank, reinterpret_cast<const void*>(down),
             reinterpret_cast<const void*>(up)});
      });
}

void decode(const std::string& isa, const Program& program, int64_t rows, uintptr_t tokens,
            uintptr_t positions,
            const std::vector<std::tuple<int64_t, int64_t, uintptr_t, Adapters>>& sequences,
            uintptr_t picked, int64_t picked_rows, uintptr_t watched, int64_t watched_rows,
            uintptr_t kept, uintptr_t out, int threads, uintptr_t experts, uintptr_t routing,
            uintptr_t used, uintptr_t open, int64_t open_width) {
  const Isa& found = usable(isa);
  const auto integers = [](uintptr_t address) { return reinterpret_cast<const int64_t*>(address); };
  Batch batch{rows,
              integers(tokens),
              integers(positions),
              integers(experts),
              reinterpret_cast<const Routing*>(routing),
              reinterpret_cast<int64_t*>(used),
              {},
              integers(picked),
              picked_rows,
              integers(watched),
              watched_rows,
              reinterpret_cast<float*>(kept),
              reinterpret_cast<float*>(out),
              std::max(1, threads),
              reinterpret_cast<const uint8_t* const*>(open),
              open_width};
  for (const auto& [start, stop, pages, adapters] : sequences)
    batch.sequences.push_back({start, stop, integers(pages), adapters});
  nb::gil_scoped_release released;
  found.decode(program, batch);
}

struct EncoderIsa {
  const char* name;
  void (*encode)(const Encoder&, const Texts&, const EncodeCall&);
};

// Those that are usable here, best first.
const std::vector<EncoderIsa>& encoder_isas() {
  static const std::vector<EncoderIsa> found = [] {
    std::vector<EncoderIsa> usable;
#ifdef EXPERTRAG_AVX512BF16
    const auto all = isas();
    if (all.front().usable) {
#ifdef EXPERTRAG_AMX
      if (amx_usable()) usable.push_back({"amx", amx::encode});
#endif
      usable.push_back({"avx512bf16", avx512bf16::encode});
    }
#endif
    return usable;
  }();
  return found;
}

using Packed = std::tuple<int64_t, int64_t, uintptr_t>;  // O, I, address

Panels panels(const Packed& p) {
  return {std::get<0>(p), std::get<1>(p), reinterpret_cast<const uint16_t*>(std::get<2>(p))};
}

LayerNorm layer_norm(const std::tuple<uintptr_t, uintptr_t>& both) {
  return {floats(std::get<0>(both)), floats(std::get<1>(both))};
}

// weights, bias, and of each expert lora_a and lora_b
using DenseArgument =
    std::tuple<Packed, uintptr_t, std::vector<Packed>, std::vector<Packed>>;

Dense dense(const DenseArgument& argument) {
  const auto& [weights, bias, lora_a, lora_b] = argument;
  Dense made{panels(weights), floats(bias), {}, {}};
  for (const Packed& each : lora_a) made.lora_a.push_back(panels(each));
  for (const Packed& each : lora_b) made.lora_b.push_back(panels(each));
  return made;
}

// The interface with which encoder.py builds an encoder and runs it.
void bind_encoder(nb::module_& m) {
  using Norm = std::tuple<uintptr_t, uintptr_t>;
  nb::class_<Encoder>(m, "Encoder")
      .def("__init__",
           [](Encoder* made, int64_t hidden, int64_t inner, int64_t heads, float epsilon,
              uintptr_t words, uintptr_t positions, const Norm& norm) {
             new (made) Encoder{hidden, inner, heads, epsilon,
                                reinterpret_cast<const uint16_t*>(words), floats(positions),
                                layer_norm(norm), {}};
           })
      .def("layer", [](Encoder& e, const DenseArgument& query_key_value,
                       const DenseArgument& attention_output,
                       const Norm& after_attention, const DenseArgument& up,
                       const DenseArgument& down, const Norm& after_down) {
        e.layers.push_back({dense(query_key_value), dense(attention_output),
                            layer_norm(after_attention), dense(up), dense(down),
                            layer_norm(after_down)});
      });
  m.def("encoder_isas", [] {
    std::vector<std::string> names;
    for (const EncoderIsa& isa : encoder_isas()) names.emplace_back(isa.name);
    return names;
  });
  m.def("encode", [](const std::string& isa, const Encoder& encoder, int64_t count,
                     uintptr_t starts, uintptr_t tokens, int64_t top_k, uintptr_t experts,
                     uintptr_t weights, int64_t first, int64_t last, uintptr_t states,
                     uintptr_t means) {
    const auto& all = encoder_isas();
    const auto found = std::find_if(
        all.begin(), all.end(), [&](const EncoderIsa& some) { return isa == some.name; });
    if (found == all.end())
      throw nb::value_error(("instruction set " + isa + " is not usable here").c_str());
    const auto integers = [](uintptr_t at) { return reinterpret_cast<const int64_t*>(at); };
    const Texts texts{count, integers(starts), integers(tokens), top_k, integers(experts),
                      floats(weights)};
    const EncodeCall call{first, last, reinterpret_cast<float*>(states),
                          reinterpret_cast<float*>(means)};
    nb::gil_scoped_release released;
    found->encode(encoder, texts, call);
  });
}

}  // namespace

NB_MODULE(_cpu, m) {
  nb::set_leak_warnings(false);  // a thread may hold a program when the interpreter ends
  bind_program(m);
  bind_adapter(m);
  bind_encoder(m);
  m.def("pack_matrix", &pack_matrix);
  m.def("decode", &decode);
  m.def("usable_isas", &usable_isas);
  m.def("forward", &forward);
  m.def("pack", &pack);
  m.def("block_bytes", [](int format, int64_t k) { return block_bytes(Format(format), k); });
  m.def("expert_place_bytes", &Residency::place_bytes);
  m.def("read_seconds", [](uintptr_t data, int64_t bytes, int threads) {
    return read_seconds(reinterpret_cast<const uint8_t*>(data), bytes, threads);
  });
#ifdef EXPERTRAG_AVX512BF16
  m.def("bf16_flops", &bf16_flops);
  m.def("int8_products", &int8_products);
#endif
}
