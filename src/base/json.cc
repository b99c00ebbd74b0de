// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_events.h"

namespace gcvit {
namespace {

constexpr std::size_t kLongestShown = 96;
/// The library's number for a number that overflows.
constexpr int kNumberOverflow = 406;

std::string shortened(std::string text) {
  if (text.size() <= kLongestShown) return text;
  return text.substr(0, kLongestShown / 2) + "..." + text.substr(text.size() - kLongestShown / 2);
}

/// Without its middle where it is long.
std::string shown(const nlohmann::json& value) {
  return shortened(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

/// Builds the values of a text.
template <typename Json>
class Builder : public JsonEvents {
 public:
  Builder(std::string_view area, std::string_view file, const JsonLimits& limits)
      : JsonEvents(area, std::string(file)), limits_(limits) {}

  Json root;

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    if (open_.back()->contains(name)) {
      fail("[{}] {}: the key {} appears twice in one object", area(), place(), shown(name));
    }
    key_ = std::move(name);
    return true;
  }

 private:
  Json& place_for(Json value) {
    if (!open_.empty() && ++values_ > limits_.values) {
      fail("[{}] {}: expected at most {} values, found more", area(), place(), limits_.values);
    }
    if (open_.empty()) return root = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_object()) return parent[key_] = std::move(value);
    parent.push_back(std::move(value));
    return parent.back();
  }

  template <typename Value>
  bool add(Value&& value) {
    place_for(Json(std::forward<Value>(value)));
    return true;
  }

  bool open(Json value) {
    if (open_.size() == static_cast<std::size_t>(limits_.depth)) {
      fail("[{}] {}: nested deeper than {}", area(), place(), limits_.depth);
    }
    // Only the innermost container grows, so those around it stay where they are.
    open_.push_back(&place_for(std::move(value)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits& limits_;
  std::vector<Json*> open_;
  std::string key_;
  std::size_t values_ = 0;
};

template <typename Json>
Json parse(std::string_view text, std::string_view area, std::string_view file, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    fail("[{}] {}: expected at most {} bytes, found {}", area, file, limits.bytes, text.size());
  }
  Builder<Json> builder(area, file, limits);
  read_json_events(text, builder);
  return std::move(builder.root);
}

}  // namespace

bool JsonEvents::parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception& error) {
  const std::size_t byte = offset_ + std::max<std::size_t>(position, 1) - 1;
  if (error.id == kNumberOverflow) {
    fail("[{}] {}: byte {}: expected a number that a double holds, found {}", area_, place_, byte, shortened(token));
  }
  fail("[{}] {}: not JSON in UTF-8 at byte {}", area_, place_, byte);
}

void read_json_events(std::string_view text, JsonEvents& events) { nlohmann::json::sax_parse(text, &events); }

nlohmann::json parse_json(std::string_view text, std::string_view area, std::string_view file,
                          const JsonLimits& limits) {
  return parse<nlohmann::json>(text, area, file, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view area, std::string_view file,
                                          const JsonLimits& limits) {
  return parse<nlohmann::ordered_json>(text, area, file, limits);
}

void read_json(std::string_view text, std::string_view area, const std::string& file,
               const std::function<void(const JsonPlace& root)>& use, const JsonLimits& limits) {
  const nlohmann::json root = parse_json(text, area, file, limits);
  try {
    use(JsonPlace(root, area, file));
  } catch (const nlohmann::json::exception& error) {
    fail("[{}] {}: {}", area, file, error.what());
  }
}

void JsonPlace::expected(std::string_view what) const {
  fail("[{}] {}: expected {}, found {}", area_, path_, what,
       value_->is_object()  ? "an object"
       : value_->is_array() ? fmt::format("an array of {}", value_->size())
                            : shown(*value_));
}

JsonPlace JsonPlace::key(std::string_view name) const {
  expect_object();
  const auto found = value_->find(name);
  if (found == value_->end()) fail("[{}] {}: expected a key \"{}\", found none", area_, path_, name);
  return {*found, area_, fmt::format("{}: {}", path_, name)};
}

bool JsonPlace::has(std::string_view name) const { return value_->is_object() && value_->contains(name); }

void JsonPlace::expect_object() const {
  if (!value_->is_object()) expected("an object");
}

std::size_t JsonPlace::size() const {
  if (!value_->is_array()) expected("an array");
  return value_->size();
}

void JsonPlace::expect_array(std::size_t size) const {
  if (!value_->is_array() || value_->size() != size) expected(fmt::format("an array of {}", size));
}

JsonPlace JsonPlace::element(std::size_t index) const {
  if (index >= size()) expected(fmt::format("an array of more than {}", index));
  return {(*value_)[index], area_, fmt::format("{}[{}]", path_, index)};
}

std::string JsonPlace::text() const {
  if (!value_->is_string()) expected("a text");
  return value_->get_ref<const std::string&>();
}

bool JsonPlace::boolean() const {
  if (!value_->is_boolean()) expected("true or false");
  return value_->get<bool>();
}

double JsonPlace::number() const {
  if (!value_->is_number()) expected("a number");
  return value_->get<double>();
}

float JsonPlace::number_f32() const {
  const double wide = number();
  if (std::abs(wide) > static_cast<double>(std::numeric_limits<float>::max())) expected("a number that a float holds");
  return static_cast<float>(wide);
}

std::int64_t JsonPlace::signed_integer(std::int64_t lowest, std::uint64_t highest, std::string_view what) const {
  const bool unsigned_one = value_->is_number_unsigned();
  if (!value_->is_number_integer()) expected(what);
  if (unsigned_one ? value_->get<std::uint64_t>() > highest : value_->get<std::int64_t>() < lowest) {
    expected(fmt::format("{} from {} to {}", what, lowest, highest));
  }
  return value_->get<std::int64_t>();
}

std::uint64_t JsonPlace::unsigned_integer(std::uint64_t highest, std::string_view what) const {
  if (!value_->is_number_integer()) expected(what);
  // One below zero is the only integer that isn't kept as unsigned, but for those that a program built.
  const bool negative = !value_->is_number_unsigned() && value_->get<std::int64_t>() < 0;
  if (negative || value_->get<std::uint64_t>() > highest) expected(fmt::format("{} from 0 to {}", what, highest));
  return value_->get<std::uint64_t>();
}

std::vector<float> JsonPlace::numbers_f32() const {
  if (!value_->is_array()) expected("an array of numbers");
  constexpr double kLargest = std::numeric_limits<float>::max();
  std::vector<float> numbers;
  numbers.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    const nlohmann::json& one = (*value_)[i];
    const bool fits = one.is_number() && std::abs(one.get<double>()) <= kLargest;
    numbers.push_back(fits ? static_cast<float>(one.get<double>()) : element(i).number_f32());
  }
  return numbers;
}

std::vector<std::string> JsonPlace::texts() const {
  if (!value_->is_array()) expected("an array of texts");
  std::vector<std::string> texts;
  texts.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    const nlohmann::json& one = (*value_)[i];
    texts.push_back(one.is_string() ? one.get_ref<const std::string&>() : element(i).text());
  }
  return texts;
}

}  // namespace gcvit
