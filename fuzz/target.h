// SPDX-License-Identifier: Apache-2.0
// What a fuzz target is made of. All targets are one program, which the name that it is called by tells which to run:
// linking them apart would take a minute and gigabytes. The program (driver.cc) holds every run against its budget.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "fuzz/mutate.h"

namespace gcvit::fuzz {

/// The bytes of one run, in memory of exactly their size and aligned as a mapped file is.
struct Input {
  std::shared_ptr<const std::byte[]> owner;
  std::span<const std::byte> bytes;

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// What one run may cost; more is a finding. It starts as what opening a model may take (docs/weights.md): 2 x file +
/// 64 MB, and steps and time linear in the file. A target adds what the documents allow beyond that.
struct Budget {
  std::uint64_t file;         ///< bytes of the input
  std::uint64_t bytes;        ///< allocated at one time, by all threads together
  std::uint64_t allocations;  ///< in all: steps that don't depend on how fast the machine is
  double seconds;             ///< of processor time, with all sanitizers on

  /// For a model of so many parameters, or so many times such a model: 2 x f32 parameters each. An honest file has at
  /// least two bytes for a parameter.
  void allow_parameters(std::uint64_t count, std::uint64_t times = 1) {
    bytes += times * 2 * sizeof(float) * std::min(count, file / 2);
  }
};

struct Target {
  const char* name;
  /// Whatever the input, only `gcvit::Error` may come out.
  void (*run)(const Input& input, Budget& budget);
  /// Changes an input that stays within `most` bytes; null where libFuzzer's own mutations do.
  void (*mutate)(std::string& input, std::size_t most, Random& random) = nullptr;
};

/// A file with a target has one of these.
struct Registration {
  explicit Registration(const Target& target);
};

/// Ends the run as a finding unless `holds`.
void expect(bool holds, std::string_view what);

/// Writes the seeds that are no text into `folder`, a folder a target: a tiny model in each weight format, a checkpoint
/// of it, pickles with long chains. The program does this by the name of make_corpus.
void make_corpus(const std::string& folder);

/// A file that lies in memory alone, for what reads by path.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> bytes);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

/// A folder for what reads files by their names, removed when the program ends.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// Returns its path.
  std::string write(const std::string& name, std::string_view text) const;

 private:
  std::string path_;
};

}  // namespace gcvit::fuzz
