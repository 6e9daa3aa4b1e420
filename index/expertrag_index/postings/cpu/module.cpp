// The Python module: checks that all ranges are inside their arrays, and releases the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <optional>
#include <stdexcept>
#include <vector>

#include "search.h"

namespace nb = nanobind;
using namespace expertrag;

namespace {

template <typename T>
using Array = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Input = Array<const T>;

void require(bool sound, const char* message) {
  if (!sound) throw std::invalid_argument(message);
}

Segment segment_of(const Input<int64_t>& keys, const Input<uint32_t>& lengths,
                   const Input<uint32_t>& rows, const Input<uint16_t>& counts,
                   const Input<uint16_t>& block_counts, const Input<uint32_t>& block_lengths,
                   const Input<double>& norms) {
  require(keys.size() == lengths.size() && rows.size() == counts.size() &&
              block_counts.size() == (rows.size() + BLOCK - 1) / BLOCK &&
              block_counts.size() == block_lengths.size() && norms.size() > 0 &&
              keys.size() <= UINT32_MAX,
          "the arrays of a segment do not fit together");
  return {keys.data(),   lengths.data(),      keys.size(),          rows.data(),
          counts.data(), block_counts.data(), block_lengths.data(), norms.data(),
          norms.size() - 1};
}

std::vector<Term> terms_of(const Input<int64_t>& starts, const Input<int64_t>& ends,
                           const Input<double>& weights, size_t postings) {
  const size_t size = starts.size();
  require(ends.size() == size && weights.size() == size,
          "the arrays of terms differ in size");
  std::vector<Term> terms;
  for (size_t i = 0; i < size; ++i) {
    // negative numbers become huge ones
    const size_t start = starts.data()[i], end = ends.data()[i];
    require(start <= end && end <= postings, "a term's postings are outside the segment");
    terms.push_back({start, end, weights.data()[i]});
  }
  return terms;
}

// Continues a ranking whose first `known` chunks are given; returns their new number, -1 if a row
// does not exist.
int64_t best_of(Input<int64_t> keys, Input<uint32_t> lengths, Input<uint32_t> rows,
                Input<uint16_t> counts, Input<uint16_t> block_counts,
                Input<uint32_t> block_lengths, Input<int64_t> starts, Input<int64_t> ends,
                Input<double> weights, Input<double> norms,
                std::optional<Input<uint64_t>> allowed, Array<int64_t> found,
                Array<double> scores, size_t known) {
  const Segment segment =
      segment_of(keys, lengths, rows, counts, block_counts, block_lengths, norms);
  const std::vector<Term> terms = terms_of(starts, ends, weights, rows.size());
  require(!allowed || allowed->size() >= (segment.count + 63) / 64, "too few bits for the rows");
  require(found.size() > 0 && found.size() == scores.size() && known <= found.size(),
          "no room for what is found");
  const uint64_t* bits = allowed ? allowed->data() : nullptr;
  nb::gil_scoped_release release;
  Ranking ranking(found.size());
  for (size_t i = 0; i < known; ++i) ranking.offer(scores.data()[i], found.data()[i]);
  try {
    best(segment, terms, bits, ranking);
  } catch (const DamagedRow&) {
    return -1;
  }
  return static_cast<int64_t>(ranking.write(found.data(), scores.data()));
}

void scores_of(Input<int64_t> keys, Input<uint32_t> lengths, Input<uint32_t> rows,
               Input<uint16_t> counts, Input<uint16_t> block_counts, Input<uint32_t> block_lengths,
               Input<int64_t> starts, Input<int64_t> ends, Input<double> weights,
               Input<double> norms, Input<int64_t> wanted,
               Array<double> out) {
  const Segment segment =
      segment_of(keys, lengths, rows, counts, block_counts, block_lengths, norms);
  const std::vector<Term> terms = terms_of(starts, ends, weights, rows.size());
  require(out.size() == wanted.size(), "rows and scores differ in number");
  for (size_t i = 0; i < wanted.size(); ++i)
    require(static_cast<uint64_t>(wanted.data()[i]) < segment.count, "a row does not exist");
  nb::gil_scoped_release release;
  scores(segment, terms, wanted.data(), wanted.size(), out.data());
}

int64_t count_of(Input<uint32_t> rows, size_t start, size_t end, Input<uint64_t> allowed,
                 size_t limit) {
  require(start <= end && end <= rows.size(), "a term's postings are outside the segment");
  require(allowed.size() >= (limit + 63) / 64, "too few bits for the rows");
  nb::gil_scoped_release release;
  try {
    return static_cast<int64_t>(count(rows.data(), start, end, allowed.data(), limit));
  } catch (const DamagedRow&) {
    return -1;
  }
}

// The caller has checked that the offsets ascend and end with the vocabulary.
int64_t find_of(Input<uint8_t> vocabulary, Input<uint64_t> starts, nb::bytes term) {
  require(starts.size() > 0 && starts.data()[starts.size() - 1] == vocabulary.size(),
          "the offsets are not those of the vocabulary");
  return find(vocabulary.data(), starts.data(), starts.size() - 1,
              reinterpret_cast<const uint8_t*>(term.c_str()), term.size());
}

}  // namespace

NB_MODULE(_postings, m) {
  m.def("find", find_of);
  m.def("count", count_of);
  m.def("scores", scores_of);
  // None stands for no bits
  m.def("best", best_of, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(),
        nb::arg(), nb::arg());
}
