// SPDX-License-Identifier: Apache-2.0
// The text of header fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gcvit::serve {

/// ASCII letters are equal in either case.
bool equals_ignoring_case(std::string_view a, std::string_view b);

/// Without spaces and tabs at both ends.
std::string_view trimmed(std::string_view text);

/// A decimal number without sign, all of `text`; nothing for another text or one that doesn't fit.
std::optional<std::uint64_t> parse_number(std::string_view text);

/// A field's value before its parameters: "multipart/form-data" of "multipart/form-data; boundary=x".
std::string_view value_before_parameters(std::string_view field);

/// The parameter `name` of a field such as `form-data; name="image"`, unquoted; nothing when there is none.
std::optional<std::string> parameter_of(std::string_view field, std::string_view name);

}  // namespace gcvit::serve
