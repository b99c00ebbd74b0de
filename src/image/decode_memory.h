// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace gcvit::image {

/// Counts the bytes that pictures take while they are decoded and until they are let go, over all threads. Who finds too
/// few free waits behind those who came before. A thread takes once for a picture and never waits while it holds
/// something, so none can wait for ever.
class DecodeMemory {
 public:
  /// Bytes that are taken as long as it lives; it must not outlive the `DecodeMemory`.
  class Share {
   public:
    Share(DecodeMemory& memory, std::uint64_t bytes) : memory_(memory), bytes_(bytes) {}
    ~Share() { shrink(0); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    /// Gives back what is more than `bytes`.
    void shrink(std::uint64_t bytes);

   private:
    friend class DecodeMemory;
    DecodeMemory& memory_;
    std::uint64_t bytes_;
  };

  /// Waits until all that is taken and `bytes` are at most `limit` together. `bytes` must be at most `limit`.
  std::shared_ptr<Share> take(std::uint64_t bytes, std::uint64_t limit);

  /// The most bytes that were taken at a time so far.
  std::uint64_t peak() const;

  /// Callers of `take` that wait.
  std::uint64_t waiting() const;

  /// What all decoders of this process share.
  static DecodeMemory& of_process();
  /// What the encoded files that they have read share. Who takes of both takes here first.
  static DecodeMemory& of_files();
  /// What pictures may take together of the bytes that the program may take: a third; 0 for `default_memory_limit()`.
  static std::uint64_t share_of(std::uint64_t max_memory);

 private:
  void give_back(std::uint64_t bytes);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t used_ = 0;
  std::uint64_t peak_ = 0;
  std::uint64_t arrived_ = 0;  ///< callers of `take` so far
  std::uint64_t served_ = 0;  ///< those of them that have got what they wanted
};

}  // namespace gcvit::image
