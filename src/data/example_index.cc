// SPDX-License-Identifier: Apache-2.0
// Protocol buffers' wire format: a message is fields, each a number, a wire type and a value; a message within is the
// value of one with its length before it. tf.Example is { features = 1 }, that is { repeated entry = 1 }, each of them
// { string key = 1; Feature value = 2 }, with Feature being one of { BytesList = 1; FloatList = 2; Int64List = 3 }, and
// each of these { repeated value = 1 }.
#include "data/example_index.h"

#include <algorithm>
#include <optional>
#include <span>

#include "base/error.h"

namespace gcvit::data {
namespace {

constexpr std::size_t kMostFeatures = 4096;
constexpr std::size_t kLongestName = 1024;

enum Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kLengthed = 2, kFixed32 = 5 };

/// Bytes of the file that hold a message.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size() const { return end - begin; }
};

struct Field {
  std::uint64_t number = 0;
  Wire wire = kVarint;
  std::uint64_t integer = 0;  ///< of a varint
  Range bytes;  ///< of all others
};

/// The bytes are malformed; the caller, which knows the record, reports it.
struct OtherBytes {};

class Message {
 public:
  Message(TfrecordReader& reader, Range range) : reader_(reader), range_(range) {}

  /// The next field; nothing at the end.
  std::optional<Field> next() {
    if (range_.size() == 0) return std::nullopt;
    Field field;
    const std::uint64_t tag = varint();
    field.number = tag >> 3;
    field.wire = static_cast<Wire>(tag & 7);
    if (field.number == 0 || tag >> 32 != 0) throw OtherBytes{};
    switch (field.wire) {
      case kVarint: field.integer = varint(); break;
      case kFixed64: field.bytes = take(8); break;
      case kFixed32: field.bytes = take(4); break;
      case kLengthed: field.bytes = take(varint()); break;
      default: throw OtherBytes{};
    }
    return field;
  }

  /// An integer without a number before it.
  std::uint64_t varint() {
    const std::span<const std::byte> bytes =
        reader_.piece(range_.begin, static_cast<std::size_t>(std::min<std::uint64_t>(range_.size(), 10)));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto byte = std::to_integer<std::uint64_t>(bytes[i]);
      value |= (byte & 127) << (7 * i);
      if (byte < 128) {
        range_.begin += i + 1;
        return value;
      }
    }
    throw OtherBytes{};
  }

  bool at_end() const { return range_.size() == 0; }

 private:
  Range take(std::uint64_t size) {
    if (size > range_.size()) throw OtherBytes{};
    const Range taken{range_.begin, range_.begin + size};
    range_.begin += size;
    return taken;
  }

  TfrecordReader& reader_;
  Range range_;
};

void count(Feature& feature) { feature.values = std::min<std::size_t>(feature.values + 1, 2); }

/// A list's values: `lists` has its number in a Feature.
void read_list(TfrecordReader& reader, Range range, std::uint64_t list, Feature& feature) {
  const auto kind = static_cast<Feature::Kind>(list);
  if (feature.kind != kind) feature = {.kind = kind};  // the last of them counts
  Message message(reader, range);
  while (const auto field = message.next()) {
    if (field->number != 1) continue;
    if (kind == Feature::Kind::kBytes && field->wire == kLengthed) {
      if (feature.values == 0) feature.offset = field->bytes.begin;
      if (feature.values == 0) feature.size = field->bytes.size();
      count(feature);
    } else if (kind == Feature::Kind::kIntegers && field->wire == kVarint) {
      if (feature.values == 0) feature.integer = static_cast<std::int64_t>(field->integer);
      count(feature);
    } else if (kind == Feature::Kind::kIntegers && field->wire == kLengthed) {
      Message packed(reader, field->bytes);
      while (!packed.at_end() && feature.values < 2) {
        const std::uint64_t integer = packed.varint();
        if (feature.values == 0) feature.integer = static_cast<std::int64_t>(integer);
        count(feature);
      }
    } else if (kind == Feature::Kind::kFloats && field->bytes.size() > 0) {
      feature.values = field->bytes.size() > 4 ? 2 : std::min<std::size_t>(feature.values + 1, 2);
    }
  }
}

std::string read_name(TfrecordReader& reader, Range range) {
  if (range.size() > kLongestName) throw OtherBytes{};
  const std::span<const std::byte> bytes = reader.piece(range.begin, static_cast<std::size_t>(range.size()));
  if (bytes.size() < range.size()) throw OtherBytes{};
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void read_entry(TfrecordReader& reader, Range range, std::map<std::string, Feature>& features) {
  std::string name;
  Feature feature;
  Message message(reader, range);
  while (const auto field = message.next()) {
    if (field->wire != kLengthed) continue;
    if (field->number == 1) name = read_name(reader, field->bytes);
    if (field->number != 2) continue;
    Message value(reader, field->bytes);
    while (const auto list = value.next()) {
      if (list->wire == kLengthed && list->number >= 1 && list->number <= 3) {
        read_list(reader, list->bytes, list->number, feature);
      }
    }
  }
  features.insert_or_assign(std::move(name), feature);
  if (features.size() > kMostFeatures) throw OtherBytes{};
}

}  // namespace

std::map<std::string, Feature> features_of(TfrecordReader& reader, const TfrecordReader::Record& record,
                                           const std::string& file, std::size_t record_number) {
  std::map<std::string, Feature> features;
  try {
    Message example(reader, {record.offset, record.offset + record.size});
    while (const auto outer = example.next()) {
      if (outer->number != 1 || outer->wire != kLengthed) continue;
      Message entries(reader, outer->bytes);
      while (const auto entry = entries.next()) {
        if (entry->number == 1 && entry->wire == kLengthed) read_entry(reader, entry->bytes, features);
      }
    }
  } catch (const OtherBytes&) {
    fail("[tfrecord] {}: record {}: expected a tf.Example, found other bytes", file, record_number);
  }
  return features;
}

}  // namespace gcvit::data
