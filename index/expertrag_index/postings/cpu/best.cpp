// The best chunks of a segment by MaxScore (Turtle & Flood 1995), in windows of rows.
//
// What a term can add at most is known for each block of its postings. In a window, the terms that
// together cannot lift a chunk into the ranking are only looked up, for the chunks that the other
// terms have found.
#include "search.h"

namespace expertrag {
namespace {

constexpr uint32_t WINDOW = 8192;  // rows: their sums take 64 KB

// A term on its way through the windows.
struct Cursor {
  Term term;
  std::vector<double> bounds;  // by block: what the term can add at most
  size_t start, end;           // its postings in this window
  size_t look;                 // where to look up the next row
  double bound = 0;            // of this window

  size_t block(size_t posting) const { return posting / BLOCK - term.start / BLOCK; }
};

class Windows {
 public:
  Windows(const Segment& segment, const std::vector<Term>& terms, const uint64_t* allowed,
          Ranking& ranking)
      : segment_(segment), allowed_(allowed), ranking_(ranking), sums_(WINDOW), seen_(WINDOW / 64) {
    for (const Term& term : terms) {
      Cursor cursor{term, {}, term.start, term.start, term.start};
      for (size_t i = term.start / BLOCK; i * BLOCK < term.end; ++i)
        cursor.bounds.push_back(bound(term, i));
      cursors_.push_back(std::move(cursor));
    }
    for (Cursor& cursor : cursors_) order_.push_back(&cursor);
    below_.resize(order_.size() + 1);
  }

  void run() {
    for (uint64_t base = 0; (base = next(base)) < segment_.count; base += WINDOW) {
      base_ = static_cast<uint32_t>(base);
      rows_ = static_cast<uint32_t>(std::min<uint64_t>(WINDOW, segment_.count - base));
      enter();
      const size_t essential = first_essential();
      for (size_t i = essential; i < order_.size(); ++i) add(*order_[i]);
      if (essential < order_.size()) collect(essential);
    }
    for (const Cursor& cursor : cursors_)
      if (cursor.end != cursor.term.end) throw DamagedRow();
  }

 private:
  // What a term can add by a block; at its first and last block, which it may share, the highest
  // of its own postings.
  double bound(const Term& term, size_t block) const {
    if (block * BLOCK >= term.start && (block + 1) * BLOCK <= term.end)
      return segment_.part(term.weight, segment_.block_counts[block],
                           segment_.block_lengths[block]);
    double most = 0;
    const size_t end = std::min((block + 1) * BLOCK, term.end);
    for (size_t i = std::max(block * BLOCK, term.start); i < end; ++i) {
      const uint32_t row = segment_.rows[i];
      if (row >= segment_.count) throw DamagedRow();
      most = std::max(most, segment_.part(term.weight, segment_.counts[i], segment_.lengths[row]));
    }
    return most;
  }

  // The first window from `base` that has a posting.
  uint64_t next(uint64_t base) const {
    uint64_t least = UINT64_MAX;
    for (const Cursor& cursor : cursors_)
      if (cursor.end < cursor.term.end)
        least = std::min<uint64_t>(least, segment_.rows[cursor.end]);
    return least == UINT64_MAX ? least : std::max<uint64_t>(base, least / WINDOW * WINDOW);
  }

  // Finds the postings of each term in this window, and what they can add.
  void enter() {
    for (Cursor& cursor : cursors_) {
      cursor.start = cursor.look = cursor.end;
      cursor.end = seek(segment_.rows, cursor.start, cursor.term.end, base_ + rows_);
      cursor.bound = 0;
      if (cursor.start == cursor.end) continue;
      for (size_t i = cursor.block(cursor.start); i <= cursor.block(cursor.end - 1); ++i)
        cursor.bound = std::max(cursor.bound, cursor.bounds[i]);
    }
  }

  // Sorts the terms by what they can add; those before the result cannot lift a chunk alone.
  size_t first_essential() {
    std::sort(order_.begin(), order_.end(),
              [](const Cursor* a, const Cursor* b) { return a->bound < b->bound; });
    size_t essential = 0;
    for (size_t i = 0; i < order_.size(); ++i) {
      below_[i + 1] = below_[i] + order_[i]->bound;
      if (below_[i + 1] < ranking_.bar() || order_[i]->bound == 0) essential = i + 1;
    }
    return essential;
  }

  // Adds what a term contributes to the chunks of this window, without hopeless blocks.
  void add(const Cursor& cursor) {
    const double others = below_.back() - cursor.bound;
    for (size_t i = cursor.start; i < cursor.end;) {
      const size_t block = cursor.block(i);
      const size_t end = std::min(cursor.end, (i / BLOCK + 1) * BLOCK);
      if (others + cursor.bounds[block] < ranking_.bar()) {
        i = end;
        continue;
      }
      for (; i < end; ++i) {
        const uint32_t place = segment_.rows[i] - base_;
        if (place >= rows_) throw DamagedRow();
        sums_[place] +=
            segment_.part(cursor.term.weight, segment_.counts[i], segment_.lengths[base_ + place]);
        seen_[place / 64] |= uint64_t{1} << place % 64;
      }
    }
  }

  // Completes the chunks that were found, and offers them.
  void collect(size_t essential) {
    for (uint32_t word = 0; word < seen_.size(); ++word) {
      const uint64_t allowed = allowed_ && seen_[word] ? allowed_[base_ / 64 + word] : ~uint64_t{0};
      for (uint64_t left = seen_[word]; left; left &= left - 1) {
        const uint32_t bit = __builtin_ctzll(left);
        double& sum = sums_[word * 64 + bit];
        if (allowed >> bit & 1) complete(base_ + word * 64 + bit, sum, essential);
        sum = 0;
      }
      seen_[word] = 0;
    }
  }

  void complete(uint32_t row, double sum, size_t essential) {
    for (size_t i = essential; i-- > 0;) {
      if (sum + below_[i + 1] < ranking_.bar()) return;
      sum += looked_up(*order_[i], row);
    }
    if (sum >= ranking_.bar()) ranking_.offer(exact(row), segment_.keys[row]);
  }

  // Rows ascend within a window, and so do the places where they are looked up.
  double looked_up(Cursor& cursor, uint32_t row) {
    cursor.look = seek(segment_.rows, cursor.look, cursor.end, row);
    return part_at(cursor, cursor.look, row);
  }

  double part_at(const Cursor& cursor, size_t at, uint32_t row) const {
    if (at >= cursor.end || segment_.rows[at] != row) return 0;
    return segment_.part(cursor.term.weight, segment_.counts[at], segment_.lengths[row]);
  }

  // The score, summed up in the order of the terms.
  double exact(uint32_t row) const {
    double sum = 0;
    for (const Cursor& cursor : cursors_) {
      const uint32_t* rows = segment_.rows;
      const size_t at =
          std::lower_bound(rows + cursor.start, rows + cursor.end, row) - rows;
      sum += part_at(cursor, at, row);
    }
    return sum;
  }

  const Segment& segment_;
  const uint64_t* allowed_;
  Ranking& ranking_;
  std::vector<Cursor> cursors_;   // in the order of the sum
  std::vector<Cursor*> order_;    // by what they can add in this window
  std::vector<double> below_;     // sums of the bounds of the first ones of `order_`
  std::vector<double> sums_;      // by place in the window
  std::vector<uint64_t> seen_;    // a bit per place in the window
  uint32_t base_ = 0, rows_ = 0;  // this window
};

}  // namespace

void best(const Segment& segment, const std::vector<Term>& terms, const uint64_t* allowed,
          Ranking& ranking) {
  Windows(segment, terms, allowed, ranking).run();
}

}  // namespace expertrag
