// SPDX-License-Identifier: Apache-2.0
// The one way from a JSON text to its values. Whatever the text holds, only an `Error` that names the file comes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace gcvit {

/// What a text may hold; one that holds more is refused while it is read.
struct JsonLimits {
  std::size_t bytes = std::size_t{32} << 20;   ///< a million class names
  std::size_t values = std::size_t{1} << 20;  ///< inside the root: likewise
  int depth = 64;                              ///< of arrays and objects inside one another
};

/// The values of a JSON text in UTF-8. Throws `Error` ("[area] file: not JSON in UTF-8 at byte 12") on any other text,
/// on a number that no double holds, on a key that an object has twice, and beyond the limits.
nlohmann::json parse_json(std::string_view text, std::string_view area, std::string_view file,
                          const JsonLimits& limits = {});

/// The same, with objects that keep the order of their keys; looking for one of n keys takes n steps there.
nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view area, std::string_view file,
                                          const JsonLimits& limits = {.values = 1000});

/// A value with its way from the file down to it. What the value isn't, or doesn't have, is thrown as an `Error`:
/// "[model] m.safetensors: gcvit.config: heads[2]: expected an integer, found null".
class JsonPlace {
 public:
  /// `value` and `area` must outlive the place; `path` begins with the file's name.
  JsonPlace(const nlohmann::json& value, std::string_view area, std::string path)
      : value_(&value), area_(area), path_(std::move(path)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& path() const { return path_; }

  /// Throws the sentence "expected `what`, found" and what is there.
  [[noreturn]] void expected(std::string_view what) const;

  /// The member `name` of an object.
  JsonPlace key(std::string_view name) const;
  /// True for an object with a member `name`.
  bool has(std::string_view name) const;
  void expect_object() const;

  /// The number of an array's elements.
  std::size_t size() const;
  /// Throws unless it is an array of `size` elements.
  void expect_array(std::size_t size) const;
  JsonPlace element(std::size_t index) const;

  std::string text() const;
  bool boolean() const;
  /// Finite.
  double number() const;
  /// Finite as a float.
  float number_f32() const;
  /// A whole number of a type's range; "8.0" is none.
  template <typename Integer>
  Integer integer(std::string_view what = "an integer") const {
    static_assert(std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>);
    const std::uint64_t largest = static_cast<std::uint64_t>(std::numeric_limits<Integer>::max());
    if constexpr (std::is_signed_v<Integer>) {
      return static_cast<Integer>(signed_integer(std::numeric_limits<Integer>::min(), largest, what));
    } else {
      return static_cast<Integer>(unsigned_integer(largest, what));
    }
  }

  /// An array's elements, each as above; no place is made of each.
  std::vector<float> numbers_f32() const;
  std::vector<std::string> texts() const;

  /// Sets `to` to the value as one of its type: a text, true or false, a double, an integer or an array of texts.
  template <typename T>
  void get_to(T& to) const {
    if constexpr (std::is_same_v<T, std::string>) {
      to = text();
    } else if constexpr (std::is_same_v<T, bool>) {
      to = boolean();
    } else if constexpr (std::is_same_v<T, double>) {
      to = number();
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      to = texts();
    } else {
      to = integer<T>();
    }
  }

 private:
  std::int64_t signed_integer(std::int64_t lowest, std::uint64_t highest, std::string_view what) const;
  std::uint64_t unsigned_integer(std::uint64_t highest, std::string_view what) const;

  const nlohmann::json* value_;
  std::string_view area_;
  std::string path_;
};

/// Calls `use` with the text's root. Throws as `parse_json` does and what `use` throws; what the JSON library throws in
/// it becomes an `Error` as well.
void read_json(std::string_view text, std::string_view area, const std::string& file,
               const std::function<void(const JsonPlace& root)>& use, const JsonLimits& limits = {});

}  // namespace gcvit
