// SPDX-License-Identifier: Apache-2.0
#include "fuzz/mutate.h"

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace gcvit::fuzz {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDeepestJson = 64;
constexpr std::size_t kMostValues = 4096;

/// None for what isn't JSON, or is nested too deep to be copied and written by recursion.
std::optional<Json> parse(std::string_view text) {
  bool too_deep = false;
  Json value = Json::parse(
      text,
      [&](int depth, Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > kDeepestJson;
        return !too_deep;
      },
      false);
  if (too_deep || value.is_discarded()) return std::nullopt;
  return value;
}

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

void collect(Json& value, std::vector<Json*>& all) {
  if (all.size() == kMostValues) return;
  all.push_back(&value);
  if (!value.is_structured()) return;
  for (Json& child : value) collect(child, all);
}

Json telling_value(Random& random) {
  switch (random.below(8)) {
    case 0: return nullptr;
    case 1: return random.one_in(2);
    case 2: return "";
    case 3: return Json::array();
    case 4: return Json::object();
    case 5: return 1e308;
    case 6: return std::numeric_limits<std::uint64_t>::max();
    default: return telling_number(random);
  }
}

void mutate_value(Json& value, std::size_t most, Random& random) {
  if (value.is_number_integer() && !random.one_in(4)) {
    const auto number = value.get<std::uint64_t>();
    constexpr std::uint64_t kFactors[] = {0, 1, 2, 8, 1000, ~std::uint64_t{0}};
    constexpr std::uint64_t kSummands[] = {0, 1, 4, 32, ~std::uint64_t{0}};
    value = static_cast<std::int64_t>(number * random.of(kFactors) + random.of(kSummands));
    return;
  }
  if (value.is_string() && !random.one_in(4)) {
    auto text = value.get<std::string>();
    if (text.starts_with('{') || text.starts_with('[')) {
      mutate_json(text, most, random);
    } else {
      mutate_bytes(text, most);
    }
    value = text;
    return;
  }
  if (value.is_array() && !value.empty() && !random.one_in(4)) {
    auto& items = value.get_ref<Json::array_t&>();
    rearrange(items, kMostValues, random);
    return;
  }
  if (value.is_object() && !value.empty() && !random.one_in(4)) {
    const auto member = std::next(value.begin(), static_cast<std::ptrdiff_t>(random.below(value.size())));
    std::string key = member.key();
    const Json copy = member.value();
    if (random.one_in(2)) value.erase(key);
    if (random.one_in(2)) return;
    mutate_bytes(key, key.size() + 16);
    value[key] = copy;
    return;
  }
  value = telling_value(random);
}

/// The argument of a pickle's instruction: so many bytes, or as many as a length of so many bytes says, or lines.
struct Argument {
  std::size_t bytes = 0;
  bool counted = false;
  std::size_t lines = 0;
};

/// None for what is no instruction.
std::optional<Argument> argument_of(char code) {
  switch (code) {
    case '\x95':
    case 'G': return Argument{.bytes = 8};
    case 'J':
    case 'r':
    case 'j': return Argument{.bytes = 4};
    case 'M': return Argument{.bytes = 2};
    case '\x80':
    case 'K':
    case 'q':
    case 'h': return Argument{.bytes = 1};
    case '\x8d':
    case '\x8e':
    case '\x96': return Argument{.bytes = 8, .counted = true};
    case 'X':
    case 'T':
    case 'B':
    case '\x8b': return Argument{.bytes = 4, .counted = true};
    case '\x8c':
    case 'U':
    case 'C':
    case '\x8a': return Argument{.bytes = 1, .counted = true};
    case 'I':
    case 'L': return Argument{.lines = 1};
    case 'c': return Argument{.lines = 2};
    default: break;
  }
  constexpr std::string_view kPlain =
      "N\x88\x89(01)\x85\x86\x87t]l}daesu\x8f\x90\x91\x93R\x81\x92"
      "bQ\x94.";
  if (kPlain.find(code) == std::string_view::npos) return std::nullopt;
  return Argument{};
}

/// The size of the instruction at the beginning; 0 for none.
std::size_t instruction_size(std::string_view text) {
  const std::optional<Argument> argument = text.empty() ? std::nullopt : argument_of(text.front());
  if (!argument || text.size() < 1 + argument->bytes) return 0;
  std::size_t size = 1 + argument->bytes;
  if (argument->counted) {
    std::uint64_t count = 0;
    std::memcpy(&count, text.data() + 1, argument->bytes);
    if (count > text.size() - size) return 0;
    size += static_cast<std::size_t>(count);
  }
  for (std::size_t line = 0; line < argument->lines; ++line) {
    const std::size_t end = text.find('\n', size);
    if (end == std::string_view::npos) return 0;
    size = end + 1;
  }
  return size;
}

void mutate_instruction(std::string& instruction, std::size_t most, Random& random) {
  const Argument argument = argument_of(instruction.front()).value_or(Argument{});
  if (argument.counted) {
    std::string text = instruction.substr(1 + argument.bytes);
    mutate_bytes(text, argument.bytes == 1 ? std::size_t{255} : most);
    const std::uint64_t count = text.size();
    instruction.resize(1 + argument.bytes);
    std::memcpy(instruction.data() + 1, &count, argument.bytes);
    instruction += text;
  } else if (argument.bytes > 0 && !random.one_in(4)) {
    const std::int64_t number = telling_number(random);
    std::memcpy(instruction.data() + 1, &number, argument.bytes);
  } else {
    mutate_bytes(instruction, most);
  }
}

// Protocol Buffers: each field is a tag, which holds its number and kind, and a value of that kind.

constexpr std::uint64_t kVarint = 0;
constexpr std::uint64_t kFixed64 = 1;
constexpr std::uint64_t kLengthDelimited = 2;
constexpr std::uint64_t kFixed32 = 5;

struct Field {
  std::uint64_t tag = 0;
  std::string value;  ///< without its length
};

std::string varint(std::uint64_t number) {
  std::string text;
  for (; number >= 0x80; number >>= 7) text += static_cast<char>(number | 0x80);
  return text + static_cast<char>(number);
}

/// Takes the number off the front of `text`; none when it isn't there.
std::optional<std::uint64_t> take_varint(std::string_view& text) {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64 && !text.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    number |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return number;
  }
  return std::nullopt;
}

std::optional<std::vector<Field>> fields_of(std::string_view message) {
  std::vector<Field> fields;
  while (!message.empty()) {
    const std::optional<std::uint64_t> tag = take_varint(message);
    if (!tag || *tag < 8) return std::nullopt;
    std::size_t size = 0;
    switch (*tag & 7) {
      case kVarint: {
        std::string_view rest = message;
        if (!take_varint(rest)) return std::nullopt;
        size = message.size() - rest.size();
        break;
      }
      case kFixed64: size = 8; break;
      case kFixed32: size = 4; break;
      case kLengthDelimited: {
        const std::optional<std::uint64_t> length = take_varint(message);
        if (!length || *length > message.size()) return std::nullopt;
        size = static_cast<std::size_t>(*length);
        break;
      }
      default: return std::nullopt;
    }
    if (size > message.size()) return std::nullopt;
    fields.push_back({.tag = *tag, .value = std::string(message.substr(0, size))});
    message.remove_prefix(size);
  }
  return fields;
}

}  // namespace

void mutate_bytes(std::string& bytes, std::size_t most) {
  const std::size_t size = std::min(bytes.size(), most);
  bytes.resize(std::max<std::size_t>(most, 1));
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(bytes.data()), size, bytes.size()));
}

std::int64_t telling_number(Random& random) {
  const std::int64_t power = std::int64_t{1} << random.below(63);
  switch (random.below(5)) {
    case 0: return static_cast<std::int64_t>(random.below(5)) - 1;
    case 1: return power;
    case 2: return power - 1;
    case 3: return -power;
    default:
      return random.one_in(2) ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
  }
}

void mutate_json(std::string& text, std::size_t most, Random& random) {
  std::optional<Json> root = random.one_in(6) ? std::nullopt : parse(text);
  if (!root) {
    if (random.one_in(8)) {
      rearrange(text, most, random);
    } else {
      mutate_bytes(text, most);
    }
    return;
  }
  std::vector<Json*> all;
  collect(*root, all);
  Json& value = *random.of(all);
  if (random.one_in(8)) {
    value = Json(*random.of(all));
  } else {
    mutate_value(value, most, random);
  }
  text = dump(*root);
}

void mutate_pickle(std::string& text, std::size_t pickles, std::size_t most, Random& random) {
  std::vector<std::string> instructions;
  std::string_view rest = text;
  while (pickles > 0) {
    const std::size_t size = instruction_size(rest);
    if (size == 0) break;
    if (rest.front() == '.') --pickles;
    instructions.emplace_back(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  if (instructions.empty() || random.one_in(16)) {
    mutate_bytes(text, most);
    return;
  }
  if (random.one_in(2)) {
    rearrange(instructions, most, random);
  } else {
    mutate_instruction(random.of(instructions), most, random);
  }
  std::string changed;
  for (const std::string& instruction : instructions) changed += instruction;
  text = changed + std::string(rest);
}

void mutate_protobuf(std::string& message, std::size_t most, Random& random) {
  std::optional<std::vector<Field>> fields = random.one_in(8) ? std::nullopt : fields_of(message);
  if (!fields || fields->empty()) {
    mutate_bytes(message, most);
    return;
  }
  if (random.one_in(4)) {
    rearrange(*fields, 4096, random);
  } else if (Field& field = random.of(*fields); (field.tag & 7) == kVarint) {
    field.value = varint(static_cast<std::uint64_t>(telling_number(random)));
  } else if ((field.tag & 7) == kLengthDelimited) {
    mutate_protobuf(field.value, most, random);
  } else {
    const std::size_t size = field.value.size();
    mutate_bytes(field.value, size);
    field.value.resize(size);
  }
  message.clear();
  for (const Field& field : *fields) {
    message += varint(field.tag);
    if ((field.tag & 7) == kLengthDelimited) message += varint(field.value.size());
    message += field.value;
  }
}

}  // namespace gcvit::fuzz
