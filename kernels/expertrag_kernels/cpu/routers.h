// The experts that a router chooses for a row, and their weights.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "program.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

constexpr float kLeast = 1e-20f;  // sum of weights, as in DeepSeek-V3

inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// The experts that a row may choose: of the first `count`, the marked ones, or all without marks.
struct Open {
  int64_t count;
  const uint8_t* marks;  // or null

  bool operator()(int64_t e) const { return e < count && (!marks || marks[e]); }
};

// Without the null experts that a policy closes; they are the last ones.
inline Open open_experts(const Route& s, const Routing* policy, const uint8_t* marks) {
  const bool all = !policy || policy->null >= float(s.nulls);
  return {all ? s.experts : s.experts - s.nulls + int64_t(policy->null), marks};
}

// Of a group: its best open expert, or with a correction the sum of its two best.
inline float group_score(const Route& s, const float* scores, const Open& open, int64_t group) {
  const int64_t size = s.experts / s.groups, first = group * size;
  float best = -INFINITY, second = -INFINITY;
  for (int64_t e = first; e < first + size; ++e) {
    if (!open(e)) continue;
    second = std::max(second, std::min(best, scores[e]));
    best = std::max(best, scores[e]);
  }
  return s.correction ? best + second : best;
}

// Groups that experts may be taken of, as bits.
inline uint64_t open_groups(const Route& s, const float* scores, const Open& open) {
  if (s.top_groups >= s.groups) return ~uint64_t{0};
  uint64_t groups = 0;
  for (int64_t taken = 0; taken < s.top_groups; ++taken) {
    int64_t best = -1;
    float highest = -INFINITY;
    for (int64_t group = 0; group < s.groups; ++group) {
      if (groups >> group & 1) continue;
      const float score = group_score(s, scores, open, group);
      if (best < 0 || score > highest) {
        best = group;
        highest = score;
      }
    }
    groups |= uint64_t{1} << best;
  }
  return groups;
}

// SparseMixer's weight of the expert index[k]: its share by softmax among the open ones that have not
// been chosen before it and whose logits are close to its own.
inline float mixer_share(const Route& s, const float* logits, const Open& open,
                         const int64_t* index, int64_t k) {
  const float most = logits[index[k]];
  float total = 0.0f;
  for (int64_t e = 0; e < s.experts; ++e) {
    if (!open(e) || std::find(index, index + k, e) != index + k) continue;
    const bool far = (most - logits[e]) / std::max(std::abs(logits[e]), most) > s.margin;
    if (!far) total += std::exp(logits[e] - most);
  }
  return 1.0f / total;
}

// The best open experts, best first, and their probabilities among all, or what the router has
// instead; `own` has room for a score of each expert.
inline void choose(const Route& s, const float* logits, const Open& open, float* own,
                   int64_t* index, float* weights) {
  const float* scores = logits;
  float most = -INFINITY, total = 0.0f;
  if (s.correction) {
    for (int64_t e = 0; e < s.experts; ++e) own[e] = sigmoid(logits[e]) + s.correction[e];
    scores = own;
  } else if (s.margin < 0.0f) {
    for (int64_t e = 0; e < s.experts; ++e) most = std::max(most, logits[e]);
    for (int64_t e = 0; e < s.experts; ++e) total += std::exp(logits[e] - most);
  }
  const uint64_t groups = open_groups(s, scores, open);
  const int64_t size = s.experts / s.groups;
  for (int64_t k = 0; k < s.top_k; ++k) {
    int64_t best = s.experts;  // for none
    for (int64_t e = 0; e < open.count; ++e)
      if ((groups >> (e / size) & 1) && open(e) && std::find(index, index + k, e) == index + k &&
          (best == s.experts || scores[e] > scores[best]))
        best = e;
    index[k] = best;
    if (best == s.experts) weights[k] = 0.0f;
    else if (s.correction) weights[k] = sigmoid(logits[best]);
    else if (s.margin >= 0.0f) weights[k] = mixer_share(s, logits, open, index, k);
    else weights[k] = std::exp(logits[best] - most) / total;
  }
}

inline float sum(const float* weights, int64_t count) {
  float found = 0.0f;
  for (int64_t k = 0; k < count; ++k) found += weights[k];
  return found;
}

// Leave out the experts that a policy does not use. If weights are no probabilities, their shares
// among the chosen experts are compared.
inline void prune(const Route& s, const Routing& policy, int64_t* index, float* weights) {
  const bool likely = !s.correction && s.margin < 0.0f;
  const float total = likely ? 1.0f : sum(weights, s.top_k) + kLeast;
  float before = 0.0f;
  for (int64_t k = 0; k < s.top_k; ++k) {
    const bool kept = k == 0 || (float(k) < policy.top_k && before < policy.top_p * total &&
                                 weights[k] >= policy.threshold * total);
    before += weights[k];
    if (!kept) {
      index[k] = s.experts;
      weights[k] = 0.0f;
    }
  }
}

// Scale the weights; return how many experts there are that compute something.
inline int64_t scale(const Route& s, const int64_t* index, float* weights) {
  const float factor = s.normalise ? s.scale / (sum(weights, s.top_k) + kLeast) : s.scale;
  for (int64_t k = 0; k < s.top_k; ++k) weights[k] *= factor;
  const int64_t true_experts = s.experts - s.nulls;
  return std::count_if(index, index + s.top_k, [=](int64_t e) { return e < true_experts; });
}

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
