// SPDX-License-Identifier: Apache-2.0
// libFuzzer's side of all targets: which one runs, on what, by whose mutations, and what it may cost.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "fuzz/meter.h"
#include "fuzz/target.h"
#include "gcvit/error.h"

namespace gcvit::fuzz {
namespace {

constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20;
constexpr std::size_t kLongestSentence = 8200;

std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

const Target* running = nullptr;

Budget budget_of(std::size_t size) {
  return {.file = size,
          .bytes = 2 * size + 64 * kMegabyte,
          .allocations = 1'000'000 + 32 * std::uint64_t{size},
          .seconds = 2.0 + 2e-5 * static_cast<double>(size)};
}

void check_cost(const Budget& budget) {
  const double seconds = Meter::seconds();
  const std::uint64_t bytes = Meter::peak_bytes();
  const std::uint64_t allocations = Meter::allocations();
  if (bytes <= budget.bytes && allocations <= budget.allocations && seconds <= budget.seconds) return;
  std::fprintf(stderr, "over its budget: %.1f of %.1f MB, %llu of %llu allocations, %.2f of %.2f s\n",
               static_cast<double>(bytes) / kMegabyte, static_cast<double>(budget.bytes) / kMegabyte,
               static_cast<unsigned long long>(allocations), static_cast<unsigned long long>(budget.allocations),
               seconds, budget.seconds);
  std::abort();
}

/// What an error says is one sentence with an area, however long the input's names are.
void check_sentence(std::string_view sentence) {
  expect(sentence.starts_with('[') && sentence.find("] ") != std::string_view::npos, sentence);
  expect(sentence.size() <= kLongestSentence, "a sentence that is too long");
}

}  // namespace

Registration::Registration(const Target& target) { targets().push_back(target); }

void expect(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "not as promised: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

MemoryFile::MemoryFile(std::span<const std::byte> bytes) : descriptor_(::memfd_create("gcvit_fuzz", MFD_CLOEXEC)) {
  expect(descriptor_ >= 0, "a file in memory");
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    expect(written > 0, "a file in memory that can be written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  path_ = "/proc/self/fd/" + std::to_string(descriptor_);
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

Folder::Folder() : path_((std::filesystem::temp_directory_path() / "gcvit_fuzz_XXXXXX").string()) {
  expect(::mkdtemp(path_.data()) != nullptr, "a temporary folder");
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::write(const std::string& name, std::string_view text) const {
  std::ofstream(*this / name, std::ios::binary) << text;
  return *this / name;
}

}  // namespace gcvit::fuzz

using namespace gcvit::fuzz;

extern "C" int LLVMFuzzerInitialize(const int* count, char*** arguments) {
  std::string_view name = (*arguments)[0];
  name.remove_prefix(name.find_last_of('/') + 1);
  if (name == "make_corpus" && *count == 2) {
    make_corpus((*arguments)[1]);
    std::exit(0);
  }
  for (const Target& target : targets()) {
    if (target.name == name) running = &target;
  }
  if (running == nullptr) {
    std::fprintf(stderr, "to be called by the name of a target:\n");
    for (const Target& target : targets()) std::fprintf(stderr, "  %s\n", target.name);
    std::exit(2);
  }
  Meter::install();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::shared_ptr<std::byte[]> owner(new std::byte[size]);
  if (size > 0) std::memcpy(owner.get(), data, size);
  const Input input{.owner = owner, .bytes = {owner.get(), size}};
  Budget budget = budget_of(size);
  std::optional<std::string> sentence;
  Meter::start();
  try {
    running->run(input, budget);
  } catch (const gcvit::Error& error) {
    sentence = error.what();
  }
  if (sentence && std::getenv("GCVIT_FUZZ_SHOW") != nullptr) std::fprintf(stderr, "%s\n", sentence->c_str());
  check_cost(budget);
  if (sentence) check_sentence(*sentence);
  return 0;
}

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  if (running->mutate == nullptr) return LLVMFuzzerMutate(data, size, most);
  Random random(seed);
  std::string input(reinterpret_cast<const char*>(data), size);
  running->mutate(input, most, random);
  if (input.empty() || input.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, input.data(), input.size());
  return input.size();
}
