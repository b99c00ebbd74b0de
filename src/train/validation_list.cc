// SPDX-License-Identifier: Apache-2.0
#include "train/validation_list.h"

#include <fmt/format.h>

#include <string_view>
#include <unordered_set>

#include "base/atomic_file.h"
#include "base/counted.h"

namespace gcvit::train {
namespace {

/// Whether a list that has the name as a line names it.
bool is_one_line(std::string_view name) {
  return name.find('\n') == std::string_view::npos && !name.ends_with('\r') && !name.starts_with("\xef\xbb\xbf");
}

}  // namespace

void write_validation_list(const std::string& path, const RunState& state, const Notice& notice) {
  if (state.validation.empty()) return;
  // Shards of one name in different folders have photos of one name.
  std::unordered_set<std::string_view> trained;
  for (const SplitImage& image : state.train) trained.insert(image.name);
  std::string lines;
  std::size_t unlisted = 0;
  std::size_t shared = 0;
  for (const SplitImage& image : state.validation) {
    if (!is_one_line(image.name)) {
      ++unlisted;
    } else if (trained.contains(image.name)) {
      ++shared;
    } else {
      lines += image.name + "\n";
    }
  }
  const auto left_out = [&](std::size_t count, std::string_view whose) {
    if (count == 0) return;
    notice(fmt::format("[train] {}: left out: {} whose name {}", path, counted(count, "photo"), whose));
  };
  left_out(unlisted, "is no line of a text");
  left_out(shared, "one to train on has too");
  AtomicFile file(path);
  file.write(lines);
  file.commit();
}

}  // namespace gcvit::train
