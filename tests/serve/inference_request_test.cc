// SPDX-License-Identifier: Apache-2.0
#include "serve/inference_request.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "serve/base64.h"
#include "tests/serve/refused.h"

namespace gcvit::serve {
namespace {

constexpr InferenceLimits kLimits = {.height = 2, .width = 1, .images = 3};

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

InferenceRequest parse(std::string_view json) { return parse_inference_request(bytes_of(json), std::nullopt, kLimits); }
/// Of JSON with bytes behind it; `body` must outlive the request.
InferenceRequest parse(const std::string& body, std::size_t json) {
  return parse_inference_request(bytes_of(body), json, kLimits);
}

std::string input(std::string_view members) { return R"({"inputs":[{)" + std::string(members) + "}]}"; }

std::string with_length(std::string_view text) {
  std::string out(4, '\0');
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<char>(text.size() >> (8 * i));
  return out + std::string(text);
}

std::string refusal_of_json(const std::string& json) {
  return refused([&] { parse(json); });
}

TEST(Base64, IsDecodedOrRefused) {
  const auto decoded = [](std::string_view text) {
    const auto bytes = decode_base64(text);
    return bytes ? text_of(*bytes) : "refused";
  };
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(decoded("Zg=="), "f");
  EXPECT_EQ(decoded("Zm8="), "fo");
  EXPECT_EQ(decoded("Zm9vYmFy"), "foobar");
  EXPECT_EQ(decoded("+/+/"), "\xfb\xff\xbf");
  for (const char* const wrong : {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v\n", "Z-9v", "Zg==Zg=="}) {
    EXPECT_EQ(decoded(wrong), "refused") << wrong;
  }
}

TEST(InferenceRequest, HasImagesBehindTheJson) {
  const std::string json =
      input(R"("name":"image","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11})");
  const std::string body = json + with_length("one") + with_length("");
  const InferenceRequest request = parse(body, json.size());
  ASSERT_EQ(request.images.size(), 2u);
  EXPECT_EQ(text_of(request.images[0].bytes()), "one");
  EXPECT_EQ(text_of(request.images[1].bytes()), "");
  EXPECT_EQ(request.images[1].name(), "image 1");
  ASSERT_EQ(request.outputs.size(), 3u);  // all, as none was named
  EXPECT_FALSE(request.outputs[0].binary);
}

TEST(InferenceRequest, HasImagesInBase64) {
  const InferenceRequest request =
      parse(input(R"("name":"image","shape":[2,1],"datatype":"BYTES","data":[["Zg=="],["Zm8="]])"));
  ASSERT_EQ(request.images.size(), 2u);
  EXPECT_EQ(text_of(request.images[1].bytes()), "fo");
}

TEST(InferenceRequest, HasPixels) {
  const std::string json =
      input(R"("name":"pixels","shape":[2,1,2,3],"datatype":"UINT8","parameters":{"binary_data_size":12})");
  const std::string body = json + "abcdefghijkl";
  InferenceRequest request = parse(body, json.size());
  ASSERT_EQ(request.images.size(), 2u);
  EXPECT_EQ(request.images[1].height(), 1);
  EXPECT_EQ(request.images[1].width(), 2);
  EXPECT_EQ(text_of(request.images[1].bytes()), "ghijkl");
  request = parse(input(R"("name":"pixels","shape":[1,1,1,3],"datatype":"UINT8","data":[[[[97,98,255]]]])"));
  EXPECT_EQ(text_of(request.images.at(0).bytes()), "ab\xff");
}

TEST(InferenceRequest, HasTensors) {
  EXPECT_EQ(
      parse(input(R"("name":"tensor","shape":[1,2,1,3],"datatype":"FP32","data":[0,-1.5,2,[3,[4],1e-3]])")).tensors,
      (std::vector<float>{0.0f, -1.5f, 2.0f, 3.0f, 4.0f, 1e-3f}));
  const std::vector<float> values = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, -0.0f};
  std::string json =
      input(R"("name":"tensor","shape":[1,2,1,3],"datatype":"FP32","parameters":{"binary_data_size":24})");
  for (int i = 0; i < 4; ++i) {  // wherever the floats begin
    json += " ";
    const std::string body = json + std::string(reinterpret_cast<const char*>(values.data()), 24);
    EXPECT_EQ(parse(body, json.size()).tensors, values);
  }
}

TEST(InferenceRequest, SaysWhichOutputsItWants) {
  const std::string inputs = R"("inputs":[{"name":"image","shape":[1],"datatype":"BYTES","data":["Zg=="]}])";
  const InferenceRequest request =
      parse(R"({"id":"7","parameters":{"binary_data_output":true},"outputs":[{"name":"labels"},)"
            R"({"name":"logits","parameters":{"binary_data":false,"classification":2}}],)" +
            inputs + "}");
  EXPECT_EQ(request.id, "7");
  ASSERT_EQ(request.outputs.size(), 2u);
  EXPECT_EQ(request.outputs[0].output, Output::kLabels);
  EXPECT_TRUE(request.outputs[0].binary);
  EXPECT_EQ(request.outputs[1].output, Output::kLogits);
  EXPECT_FALSE(request.outputs[1].binary);
  EXPECT_EQ(request.outputs[1].classes, 2);
  const auto refusal_of_outputs = [&](const std::string& outputs) {
    return refusal_of_json(R"({"outputs":)" + outputs + "," + inputs + "}");
  };
  EXPECT_EQ(
      refusal_of_outputs(R"([{"name":"scores"}])"),
      "400 [serve] request: outputs[0]: name: expected \"logits\", \"probabilities\" or \"labels\", found \"scores\"");
  EXPECT_EQ(refusal_of_outputs(R"([{"name":"labels"},{"name":"labels"}])"),
            "400 [serve] request: outputs: expected each output once, found labels twice");
  EXPECT_EQ(refusal_of_outputs(R"([{"name":"labels","parameters":{"classification":1}}])"),
            "400 [serve] request: outputs[0]: labels have no classification");
  EXPECT_TRUE(refusal_of_outputs(R"([{"name":"logits","parameters":{"classification":0}}])").starts_with("400 "));
}

TEST(InferenceRequest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(refusal_of_json("{"), "400 [serve] request: not JSON in UTF-8 at byte 1");
  EXPECT_EQ(refusal_of_json("{}"), "400 [serve] request: expected a key \"inputs\", found none");
  EXPECT_EQ(refusal_of_json(R"({"inputs":[]})"),
            "400 [serve] request: inputs: expected an array of 1, found an array of 0");
  EXPECT_EQ(refusal_of_json(input(R"("name":"x","shape":[1],"datatype":"BYTES")")),
            "400 [serve] request: inputs[0]: name: expected \"image\", \"pixels\" or \"tensor\", found \"x\"");
  EXPECT_EQ(refusal_of_json(input(R"("name":"image","shape":[1],"datatype":"FP32")")),
            "400 [serve] request: inputs[0]: datatype: expected \"BYTES\", found \"FP32\"");
  EXPECT_EQ(refusal_of_json(input(R"("name":"image","shape":[4],"datatype":"BYTES")")),
            "413 [serve] request: inputs[0]: expected at most 3 images, found 4");
  EXPECT_EQ(refusal_of_json(input(R"("name":"image","shape":[0],"datatype":"BYTES")")),
            "400 [serve] request: inputs[0]: expected 1 image or more, found 0");
  EXPECT_EQ(refusal_of_json(input(R"("name":"image","shape":[2],"datatype":"BYTES","data":["Zg=="])")),
            "400 [serve] request: inputs[0]: data: expected 2 values, found 1");
  EXPECT_EQ(refusal_of_json(input(R"("name":"image","shape":[1],"datatype":"BYTES","data":["?"])")),
            "400 [serve] request: inputs[0]: data: expected an image in Base64, found \"?\"");
  EXPECT_EQ(refusal_of_json(input(R"("name":"tensor","shape":[1,2,2,3],"datatype":"FP32","data":[])")),
            "400 [serve] request: inputs[0]: expected the shape [n, 2, 1, 3], found [1, 2, 2, 3]");
  EXPECT_EQ(refusal_of_json(input(R"("name":"pixels","shape":[1,65536,1,3],"datatype":"UINT8","data":[])")),
            "400 [serve] request: inputs[0]: expected the shape [n, height, width, 3] with sides of 1 to 65535, found "
            "[1, 65536, 1, 3]");
  EXPECT_TRUE(refusal_of_json(input(R"("name":"pixels","shape":[1,1,1,3],"datatype":"UINT8","data":[1,2,256])"))
                  .starts_with("400 [serve] request: inputs[0]: data: expected a whole number"));
  EXPECT_EQ(refusal_of_json(input(R"("name":"pixels","shape":[3,65535,65535,3],"datatype":"UINT8","data":[])")),
            "400 [serve] request: inputs[0]: data: expected 38653526025 values, found 0");
  EXPECT_TRUE(refusal_of_json(std::string(100, '[')).starts_with("400 [serve] request: nested deeper than 16"));
  EXPECT_TRUE(
      refusal_of_json(input(R"("name":"image","shape":[1,1,1,1,1,1,1,1,1],"datatype":"BYTES")")).starts_with("400 "));
}

TEST(InferenceRequest, RefusesBytesThatDoNotFit) {
  const auto refusal = [](const std::string& members, const std::string& bytes) {
    const std::string json = input(members);
    const std::string body = json + bytes;
    return refused([&] { parse(body, json.size()); });
  };
  const std::string image = R"("name":"image","shape":[1],"datatype":"BYTES")";
  const std::string tensor = R"("name":"tensor","shape":[1,2,1,3],"datatype":"FP32")";
  EXPECT_EQ(refusal(image, "abc"),
            "400 [serve] request: inputs[0]: expected binary_data_size for the 3 bytes behind the JSON, found none");
  EXPECT_EQ(
      refusal(image + R"(,"parameters":{"binary_data_size":4})", "abc"),
      "400 [serve] request: inputs[0]: parameters: binary_data_size: expected 3, the number of bytes behind the JSON, "
      "found 4");
  EXPECT_EQ(refusal(image + R"(,"data":["Zg=="],"parameters":{"binary_data_size":3})", "abc"),
            "400 [serve] request: inputs[0]: expected data or binary_data_size, found both");
  EXPECT_EQ(refusal(image + R"(,"parameters":{"binary_data_size":3})", "abc"),
            "400 [serve] request: inputs[0]: it ends before image 0");
  EXPECT_EQ(refusal(image + R"(,"parameters":{"binary_data_size":5})", std::string("\xff\xff\xff\xff!", 5)),
            "400 [serve] request: inputs[0]: expected 4294967295 bytes of image 0, found 1");
  EXPECT_EQ(refusal(image + R"(,"parameters":{"binary_data_size":5})", std::string("\0\0\0\0!", 5)),
            "400 [serve] request: inputs[0]: expected nothing behind its 1 images, found 1 bytes");
  EXPECT_EQ(refusal(tensor + R"(,"parameters":{"binary_data_size":4})", "abcd"),
            "400 [serve] request: inputs[0]: expected 24 bytes for the shape [1, 2, 1, 3], found 4");
  EXPECT_EQ(refusal(tensor + R"(,"parameters":{"binary_data_size":24})", std::string(24, '\xff')),
            "400 [serve] request: inputs[0]: expected finite values, found one that isn't");
  EXPECT_EQ(refused([] { parse("{}", 3); }),
            "400 [serve] Inference-Header-Content-Length: expected at most the body's 2 bytes, found 3");
}

/// Whatever is changed, a request is read or refused, and no image lies outside the body.
TEST(InferenceRequest, OfBrokenBytesStaysInTheBody) {
  const std::string json =
      input(R"("name":"image","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":14})");
  const std::string whole = json + with_length("one") + with_length("two");
  std::mt19937 random(3);
  int accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string body = whole;
    for (std::size_t i = 1 + random() % 3; i > 0; --i) body[random() % body.size()] = static_cast<char>(random() % 256);
    if (random() % 4 == 0) body.resize(random() % body.size());
    const std::string result = refused([&] {
      const InferenceRequest request = parse(body, std::min(json.size(), body.size()));
      for (const Image& image : request.images) {
        EXPECT_GE(image.bytes().data(), bytes_of(body).data());
        EXPECT_LE(image.bytes().data() + image.bytes().size(), bytes_of(body).data() + body.size());
      }
    });
    accepted += result == "accepted" ? 1 : 0;
    EXPECT_TRUE(result == "accepted" || result.starts_with("400 ") || result.starts_with("413 ")) << result;
  }
  EXPECT_GT(accepted, 10);
}

}  // namespace
}  // namespace gcvit::serve
