// SPDX-License-Identifier: Apache-2.0
// Numbers that know their derivatives: each is a double and, while a tape records, a node of it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace gcvit::testing {

/// Every number computed from recorded ones, in the order of computing, and its derivatives with respect to these.
class ScalarTape {
 public:
  struct Term {
    std::int32_t source;
    double derivative;
  };

  std::int32_t add_node(std::span<const Term> terms) {
    terms_.insert(terms_.end(), terms.begin(), terms.end());
    ends_.push_back(terms_.size());
    return static_cast<std::int32_t>(ends_.size()) - 1;
  }
  void clear() {
    terms_.clear();
    ends_.clear();
  }
  /// From d loss / d node for some nodes, zeros for the others, to d loss / d node for all. `slopes` may be shorter.
  void backward(std::vector<double>& slopes) const {
    slopes.resize(ends_.size());
    for (std::size_t node = ends_.size(); node-- > 0;) {
      if (slopes[node] == 0.0) continue;
      for (std::size_t t = node == 0 ? 0 : ends_[node - 1]; t < ends_[node]; ++t) {
        slopes[static_cast<std::size_t>(terms_[t].source)] += terms_[t].derivative * slopes[node];
      }
    }
  }

 private:
  std::vector<Term> terms_;
  std::vector<std::size_t> ends_;  ///< by node: where its terms end
};

struct Number {
  double value = 0.0;
  ScalarTape* tape = nullptr;  ///< null for a constant
  std::int32_t node = -1;

  Number() = default;
  Number(double constant) : value(constant) {}  // NOLINT(google-explicit-constructor): mixes with doubles in formulas
  Number(double number, ScalarTape* recorder, std::int32_t index) : value(number), tape(recorder), node(index) {}
};

/// f(a) with the derivative f'(a).
inline Number function(const Number& a, double value, double derivative) {
  if (a.tape == nullptr) return value;
  const ScalarTape::Term term{a.node, derivative};
  return {value, a.tape, a.tape->add_node({&term, 1})};
}

/// A sum of numbers, products and constants as one node.
class Sum {
 public:
  Sum() = default;
  explicit Sum(double value) : value_(value) {}
  void add(const Number& a, double factor = 1.0) {
    value_ += factor * a.value;
    note(a, factor);
  }
  void add_product(const Number& a, const Number& b, double factor = 1.0) {
    value_ += factor * a.value * b.value;
    note(a, factor * b.value);
    note(b, factor * a.value);
  }
  Number total() const { return tape_ == nullptr ? Number(value_) : Number(value_, tape_, tape_->add_node(terms_)); }
  /// Adds nothing to the value: `a` is part of it already, with this derivative.
  void note(const Number& a, double derivative) {
    if (a.tape == nullptr) return;
    tape_ = a.tape;
    terms_.push_back({a.node, derivative});
  }

 private:
  double value_ = 0.0;
  ScalarTape* tape_ = nullptr;
  std::vector<ScalarTape::Term> terms_;
};

inline Number operator+(const Number& a, const Number& b) {
  Sum sum;
  sum.add(a);
  sum.add(b);
  return sum.total();
}
inline Number operator-(const Number& a, const Number& b) {
  Sum sum;
  sum.add(a);
  sum.add(b, -1.0);
  return sum.total();
}
inline Number operator*(const Number& a, const Number& b) {
  Sum sum;
  sum.add_product(a, b);
  return sum.total();
}
inline Number operator/(const Number& a, const Number& b) {
  Sum quotient(a.value / b.value);
  quotient.note(a, 1.0 / b.value);
  quotient.note(b, -a.value / (b.value * b.value));
  return quotient.total();
}
inline Number exp(const Number& a) { return function(a, std::exp(a.value), std::exp(a.value)); }
inline Number sqrt(const Number& a) { return function(a, std::sqrt(a.value), 0.5 / std::sqrt(a.value)); }
inline Number erf(const Number& a) {
  return function(a, std::erf(a.value), 2.0 * std::numbers::inv_sqrtpi * std::exp(-a.value * a.value));
}

}  // namespace gcvit::testing
