// The search over postings against a plain loop, also with rows that do not exist; run by
// `make sanitize` under the address and undefined behaviour sanitizers.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "../../../index/expertrag_index/postings/cpu/search.h"

using namespace expertrag;

namespace {

std::mt19937 draw(1);

size_t below(size_t end) { return draw() % end; }

struct Sample {
  std::vector<int64_t> keys;
  std::vector<uint32_t> lengths, rows, block_lengths;
  std::vector<uint16_t> counts, block_counts;
  std::vector<double> norms;
  std::vector<Term> terms;
  std::vector<uint64_t> allowed;

  Segment segment() const {
    return {keys.data(),         lengths.data(),       keys.size(),  rows.data(),
            counts.data(),       block_counts.data(),  block_lengths.data(),
            norms.data(),        norms.size() - 1};
  }
};

Sample sample() {
  Sample made;
  const size_t count = 1 + below(40000);
  for (size_t row = 0; row < count; ++row) {
    made.keys.push_back(static_cast<int64_t>(row * 3));
    made.lengths.push_back(static_cast<uint32_t>(1 + below(20)));
  }
  for (int length = 0; length < 15; ++length) made.norms.push_back(0.3 + 0.1 * length);
  for (size_t i = 0, terms = below(7); i < terms; ++i) {
    std::set<uint32_t> rows;
    for (size_t n = below(1 + below(count)); n > 0; --n)
      rows.insert(static_cast<uint32_t>(below(count)));
    const size_t start = made.rows.size();
    for (uint32_t row : rows) {
      made.rows.push_back(row);
      made.counts.push_back(static_cast<uint16_t>(1 + below(3)));
    }
    made.terms.push_back({start, made.rows.size(), 0.001 + static_cast<double>(below(5))});
  }
  for (size_t i = 0; i < made.rows.size(); ++i) {
    const uint32_t length = made.lengths[made.rows[i]];
    if (i % BLOCK == 0) {
      made.block_counts.push_back(0);
      made.block_lengths.push_back(length);
    }
    made.block_counts.back() = std::max(made.block_counts.back(), made.counts[i]);
    made.block_lengths.back() = std::min(made.block_lengths.back(), length);
  }
  const unsigned dense = draw();
  for (size_t i = 0; i < (count + 63) / 64; ++i)
    made.allowed.push_back((uint64_t{draw()} << 32 | draw()) & (dense % 2 ? ~uint64_t{0} : draw()));
  return made;
}

std::vector<std::pair<double, int64_t>> plain(const Sample& made, const uint64_t* allowed) {
  const Segment segment = made.segment();
  std::map<uint32_t, double> sums;
  for (const Term& term : made.terms)
    for (size_t i = term.start; i < term.end; ++i) {
      const uint32_t row = made.rows[i];
      sums[row] += segment.part(term.weight, made.counts[i], made.lengths[row]);
    }
  std::vector<std::pair<double, int64_t>> found;
  for (const auto& [row, sum] : sums)
    if (!allowed || allowed[row / 64] >> row % 64 & 1) found.push_back({-sum, made.keys[row]});
  std::sort(found.begin(), found.end());
  return found;
}

void require(bool sound, const char* message) {
  if (sound) return;
  std::printf("FAILED: %s\n", message);
  std::exit(1);
}

void check_best(const Sample& made, const uint64_t* allowed, size_t k) {
  Ranking ranking(k);
  best(made.segment(), made.terms, allowed, ranking);
  std::vector<int64_t> keys(k);
  std::vector<double> scores(k);
  const size_t size = ranking.write(keys.data(), scores.data());
  const auto expected = plain(made, allowed);
  require(size == std::min(k, expected.size()), "number of hits");
  for (size_t i = 0; i < size; ++i)
    require(keys[i] == expected[i].second && scores[i] == -expected[i].first, "hits");
}

void check_damaged(Sample made) {
  for (size_t n = 1 + below(5); n > 0 && !made.rows.empty(); --n)
    made.rows[below(made.rows.size())] = draw() % 2 ? draw() : draw() % made.keys.size();
  const uint64_t* const masks[] = {nullptr, made.allowed.data()};
  for (const uint64_t* allowed : masks) {
    Ranking ranking(10);
    try {
      best(made.segment(), made.terms, allowed, ranking);
    } catch (const DamagedRow&) {
    }
  }
  std::vector<int64_t> rows;
  for (size_t row = 0; row < made.keys.size(); row += 1 + below(9))
    rows.push_back(static_cast<int64_t>(row));
  std::vector<double> out(rows.size());
  scores(made.segment(), made.terms, rows.data(), rows.size(), out.data());
}

}  // namespace

int main() {
  for (int round = 0; round < 300; ++round) {
    const Sample made = sample();
    check_best(made, nullptr, 1 + below(50));
    check_best(made, made.allowed.data(), 1 + below(50));
    check_damaged(made);
  }
  std::puts("postings: ok");
}
