// SPDX-License-Identifier: Apache-2.0
#include "explain/class_name.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "formats/in_quotes.h"

namespace gcvit::explain {

std::int32_t class_named(const Model& model, std::string_view label) {
  const std::vector<std::string>& labels = model.labels();
  const auto found = std::ranges::find(labels, label);
  if (found == labels.end()) {
    fail(ErrorCode::kNotFound, "[explain] {}: class: expected one of its {} names, found {}", model.file(),
         labels.size(), formats::in_quotes(label));
  }
  if (std::find(found + 1, labels.end(), label) != labels.end()) {
    fail(ErrorCode::kNotFound, "[explain] {}: class: expected a name that one class has, found {}: use an index",
         model.file(), formats::in_quotes(label));
  }
  return static_cast<std::int32_t>(found - labels.begin());
}

std::int32_t class_of(const Model& model, std::string_view wanted) {
  std::int32_t index = 0;
  const char* const end = wanted.data() + wanted.size();
  const auto [parsed, error] = std::from_chars(wanted.data(), end, index);
  const bool is_number = error == std::errc() && parsed == end;
  if (!is_number || std::ranges::count(model.labels(), wanted) > 0) return class_named(model, wanted);
  if (index < 0 || index >= model.classes()) {
    fail(ErrorCode::kNotFound, "[explain] {}: class: expected 0 to {}, found {}", model.file(), model.classes() - 1,
         index);
  }
  return index;
}

}  // namespace gcvit::explain
