// SPDX-License-Identifier: Apache-2.0
// The memory that the bodies of all requests together may take.
#pragma once

#include <atomic>
#include <cstddef>

namespace gcvit::serve {

class BodyBudget {
 public:
  /// `most` in bytes.
  explicit BodyBudget(std::size_t most) : most_(most) {}

  /// What one request has of it, given back with the object, which must not outlive the budget. Any thread may take.
  class Share {
   public:
    explicit Share(BodyBudget& budget) : budget_(budget) {}
    ~Share() { budget_.taken_ -= taken_; }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    std::size_t taken() const { return taken_; }
    /// Throws `Refusal` 503 where too few bytes are left.
    void take(std::size_t bytes);

   private:
    BodyBudget& budget_;
    std::atomic<std::size_t> taken_ = 0;
  };

 private:
  std::size_t most_;
  std::atomic<std::size_t> taken_ = 0;
};

}  // namespace gcvit::serve
