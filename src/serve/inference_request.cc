// SPDX-License-Identifier: Apache-2.0
#include "serve/inference_request.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"
#include "serve/base64.h"
#include "serve/refusal.h"

namespace gcvit::serve {
namespace {

constexpr JsonLimits kJsonLimits = {.bytes = std::numeric_limits<std::size_t>::max(), .depth = 16};
constexpr std::array kOutputs = {Output::kLogits, Output::kProbabilities, Output::kLabels};
constexpr std::array<std::string_view, 3> kOutputNames = {"logits", "probabilities", "labels"};
constexpr std::size_t kMostAxes = 8;
constexpr std::size_t kMostIdBytes = 1024;
constexpr std::size_t kChannels = 3;
constexpr std::int32_t kLongestSide = 65535;
constexpr int kMostClasses = 1'000'000;

[[noreturn]] void refuse_request(const std::string& sentence) {
  throw Refusal(400, "invalid_request", "[serve] " + sentence);
}

/// One input, with its bytes where they aren't in the JSON.
struct Input {
  JsonPlace place;
  std::string name;
  std::vector<std::int64_t> shape;
  std::optional<std::span<const std::byte>> binary;

  std::string shape_text() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }
};

/// Calls `take` with each value of arrays inside one another, in order.
template <typename Take>
void for_each_value(const nlohmann::json& data, const Take& take) {
  for (const nlohmann::json& one : data) {
    if (one.is_array()) {
      for_each_value(one, take);
    } else {
      take(one);
    }
  }
}

/// The `count` values of an input's "data", flat or nested, each as `convert` reads it.
template <typename Value, typename Convert>
std::vector<Value> values_of(const Input& input, std::size_t count, const Convert& convert) {
  const JsonPlace data = input.place.key("data");
  if (!data.value().is_array()) data.expected("an array");
  std::size_t found = 0;
  for_each_value(data.value(), [&](const nlohmann::json&) { ++found; });
  if (found != count) refuse_request(fmt::format("{}: expected {} values, found {}", data.path(), count, found));
  std::vector<Value> values;
  values.reserve(count);
  for_each_value(data.value(),
                 [&](const nlohmann::json& one) { values.push_back(convert(JsonPlace(one, "serve", data.path()))); });
  return values;
}

void expect_bytes(const Input& input, std::size_t expected) {
  if (input.binary->size() == expected) return;
  refuse_request(fmt::format("{}: expected {} bytes for the shape {}, found {}", input.place.path(), expected,
                             input.shape_text(), input.binary->size()));
}

/// The number of images that a shape begins with.
std::size_t images_of(const Input& input, const InferenceLimits& limits) {
  const std::int64_t images = input.shape.front();
  if (images < 1) refuse_request(fmt::format("{}: expected 1 image or more, found {}", input.place.path(), images));
  if (static_cast<std::uint64_t>(images) > limits.images) {
    refuse(413, "too_large", "{}: expected at most {} images, found {}", input.place.path(), limits.images, images);
  }
  return static_cast<std::size_t>(images);
}

std::string name_of_image(std::size_t index) { return fmt::format("image {}", index); }

void read_image_input(const Input& input, const InferenceLimits& limits, InferenceRequest& request) {
  if (input.shape.size() > 2 || (input.shape.size() == 2 && input.shape[1] != 1)) {
    refuse_request(
        fmt::format("{}: expected the shape [n] or [n, 1], found {}", input.place.path(), input.shape_text()));
  }
  const std::size_t images = images_of(input, limits);
  if (!input.binary) {
    std::vector<std::vector<std::byte>> files =
        values_of<std::vector<std::byte>>(input, images, [](const JsonPlace& one) {
          std::optional<std::vector<std::byte>> bytes = decode_base64(one.text());
          if (!bytes) one.expected("an image in Base64");
          return std::move(*bytes);
        });
    for (std::vector<std::byte>& file : files) {
      request.images.push_back(Image::encoded(std::move(file), name_of_image(request.images.size())));
    }
    return;
  }
  std::span<const std::byte> rest = *input.binary;
  for (std::size_t i = 0; i < images; ++i) {
    std::array<unsigned char, 4> length = {};  // little-endian
    if (rest.size() < length.size()) refuse_request(fmt::format("{}: it ends before image {}", input.place.path(), i));
    std::memcpy(length.data(), rest.data(), length.size());
    rest = rest.subspan(length.size());
    std::size_t bytes = 0;
    for (std::size_t k = 0; k < length.size(); ++k) bytes |= std::size_t{length[k]} << (8 * k);
    if (bytes > rest.size()) {
      refuse_request(
          fmt::format("{}: expected {} bytes of image {}, found {}", input.place.path(), bytes, i, rest.size()));
    }
    request.images.push_back(Image::encoded(rest.first(bytes), name_of_image(i)));
    rest = rest.subspan(bytes);
  }
  if (!rest.empty()) {
    refuse_request(fmt::format("{}: expected nothing behind its {} images, found {} bytes", input.place.path(), images,
                               rest.size()));
  }
}

void read_pixels_input(const Input& input, const InferenceLimits& limits, InferenceRequest& request) {
  const auto is_side = [](std::int64_t side) { return side >= 1 && side <= kLongestSide; };
  const std::vector<std::int64_t>& shape = input.shape;
  if (shape.size() != 4 || !is_side(shape[1]) || !is_side(shape[2]) || shape[3] != std::int64_t{kChannels}) {
    refuse_request(fmt::format("{}: expected the shape [n, height, width, 3] with sides of 1 to {}, found {}",
                               input.place.path(), kLongestSide, input.shape_text()));
  }
  const std::size_t images = images_of(input, limits);
  const std::size_t size = static_cast<std::size_t>(shape[1]) * static_cast<std::size_t>(shape[2]) * kChannels;
  std::span<const std::uint8_t> pixels;
  if (input.binary) {
    expect_bytes(input, images * size);
    pixels = {reinterpret_cast<const std::uint8_t*>(input.binary->data()), input.binary->size()};
  } else {
    request.owned_pixels = values_of<std::uint8_t>(
        input, images * size, [](const JsonPlace& one) { return one.integer<std::uint8_t>("a whole number"); });
    pixels = request.owned_pixels;
  }
  for (std::size_t i = 0; i < images; ++i) {
    request.images.push_back(Image::pixels(pixels.subspan(i * size, size), static_cast<std::int32_t>(shape[1]),
                                           static_cast<std::int32_t>(shape[2]), name_of_image(i)));
  }
}

void read_tensor_input(const Input& input, const InferenceLimits& limits, InferenceRequest& request) {
  const std::vector<std::int64_t>& shape = input.shape;
  if (shape.size() != 4 || shape[1] != limits.height || shape[2] != limits.width ||
      shape[3] != std::int64_t{kChannels}) {
    refuse_request(fmt::format("{}: expected the shape [n, {}, {}, 3], found {}", input.place.path(), limits.height,
                               limits.width, input.shape_text()));
  }
  const std::size_t size = static_cast<std::size_t>(limits.height) * static_cast<std::size_t>(limits.width) * kChannels;
  const std::size_t count = images_of(input, limits) * size;
  if (input.binary) {
    expect_bytes(input, count * sizeof(float));
    request.tensors.resize(count);
    std::memcpy(request.tensors.data(), input.binary->data(), count * sizeof(float));
  } else {
    request.tensors = values_of<float>(input, count, [](const JsonPlace& one) { return one.number_f32(); });
  }
  if (!std::ranges::all_of(request.tensors, [](float value) { return std::isfinite(value); })) {
    refuse_request(fmt::format("{}: expected finite values, found one that isn't", input.place.path()));
  }
}

/// The input's values: those of the JSON, or the bytes behind it.
Input input_at(const JsonPlace& place, std::span<const std::byte> binary) {
  Input input{.place = place, .name = place.key("name").text(), .shape = {}, .binary = {}};
  const JsonPlace shape = place.key("shape");
  const std::size_t axes = shape.size();
  if (axes < 1 || axes > kMostAxes) shape.expected(fmt::format("an array of 1 to {}", kMostAxes));
  for (std::size_t i = 0; i < axes; ++i) input.shape.push_back(shape.element(i).integer<std::int64_t>());
  const bool has_size = place.has("parameters") && place.key("parameters").has("binary_data_size");
  if (has_size) {
    const JsonPlace size = place.key("parameters").key("binary_data_size");
    if (place.has("data"))
      refuse_request(fmt::format("{}: expected data or binary_data_size, found both", place.path()));
    if (size.integer<std::uint64_t>() != binary.size()) {
      size.expected(fmt::format("{}, the number of bytes behind the JSON", binary.size()));
    }
    input.binary = binary;
  } else if (!binary.empty()) {
    refuse_request(fmt::format("{}: expected binary_data_size for the {} bytes behind the JSON, found none",
                               place.path(), binary.size()));
  }
  return input;
}

void read_input(const JsonPlace& place, std::span<const std::byte> binary, const InferenceLimits& limits,
                InferenceRequest& request) {
  struct Kind {
    std::string_view name;
    std::string_view datatype;
    void (*read)(const Input&, const InferenceLimits&, InferenceRequest&);
  };
  static constexpr Kind kKinds[] = {{kImageInput, "BYTES", read_image_input},
                                    {kPixelsInput, "UINT8", read_pixels_input},
                                    {kTensorInput, "FP32", read_tensor_input}};
  const Input input = input_at(place, binary);
  for (const Kind& kind : kKinds) {
    if (kind.name != input.name) continue;
    const JsonPlace datatype = place.key("datatype");
    if (datatype.text() != kind.datatype) datatype.expected(fmt::format("\"{}\"", kind.datatype));
    return kind.read(input, limits, request);
  }
  place.key("name").expected(fmt::format("\"{}\", \"{}\" or \"{}\"", kImageInput, kPixelsInput, kTensorInput));
}

bool flag_of(const JsonPlace& place, std::string_view name, bool otherwise) {
  if (!place.has("parameters") || !place.key("parameters").has(name)) return otherwise;
  return place.key("parameters").key(name).boolean();
}

RequestedOutput output_at(const JsonPlace& place, bool binary) {
  const std::string name = place.key("name").text();
  const auto found = std::ranges::find(kOutputNames, name);
  if (found == kOutputNames.end()) place.key("name").expected("\"logits\", \"probabilities\" or \"labels\"");
  RequestedOutput output{.output = kOutputs.at(static_cast<std::size_t>(found - kOutputNames.begin())),
                         .binary = flag_of(place, "binary_data", binary)};
  if (place.has("parameters") && place.key("parameters").has("classification")) {
    const JsonPlace classes = place.key("parameters").key("classification");
    output.classes = classes.integer<int>();
    if (output.classes < 1 || output.classes > kMostClasses) classes.expected("a number of classes from 1 on");
    if (output.output == Output::kLabels)
      refuse_request(fmt::format("{}: labels have no classification", place.path()));
  }
  return output;
}

void read_outputs(const JsonPlace& root, InferenceRequest& request) {
  const bool binary = flag_of(root, "binary_data_output", false);
  if (!root.has("outputs") || root.key("outputs").size() == 0) {
    for (const Output output : kOutputs) request.outputs.push_back({.output = output, .binary = binary});
    return;
  }
  const JsonPlace outputs = root.key("outputs");
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const RequestedOutput output = output_at(outputs.element(i), binary);
    const auto is_same = [&](const RequestedOutput& other) { return other.output == output.output; };
    if (std::ranges::any_of(request.outputs, is_same)) {
      refuse_request(
          fmt::format("{}: expected each output once, found {} twice", outputs.path(), name_of(output.output)));
    }
    request.outputs.push_back(output);
  }
}

}  // namespace

std::string_view name_of(Output output) { return kOutputNames.at(static_cast<std::size_t>(output)); }

InferenceRequest parse_inference_request(std::span<const std::byte> body, std::optional<std::size_t> json_bytes,
                                         const InferenceLimits& limits) {
  const std::size_t json = json_bytes.value_or(body.size());
  if (json > body.size()) {
    refuse_request(fmt::format("Inference-Header-Content-Length: expected at most the body's {} bytes, found {}",
                               body.size(), json));
  }
  InferenceRequest request;
  read_json(
      {reinterpret_cast<const char*>(body.data()), json}, "serve", "request",
      [&](const JsonPlace& root) {
        if (root.has("id")) request.id = root.key("id").text();
        if (request.id.size() > kMostIdBytes) root.key("id").expected(fmt::format("at most {} bytes", kMostIdBytes));
        read_outputs(root, request);
        const JsonPlace inputs = root.key("inputs");
        inputs.expect_array(1);
        read_input(inputs.element(0), body.subspan(json), limits, request);
      },
      kJsonLimits);
  return request;
}

}  // namespace gcvit::serve
