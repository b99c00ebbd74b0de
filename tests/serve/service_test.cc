// SPDX-License-Identifier: Apache-2.0
#include "serve/service.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/serve/refused.h"
#include "tests/serve/tiny_service.h"

namespace gcvit::serve {
namespace {

using nlohmann::json;

struct ServiceTest : ::testing::Test {
  TinyModel tiny;
  Notices notices;
  Service service{tiny.options(), notices.listener()};
  std::string photo = testing::blob_png(3);

  static json body_of(const Response& response) { return json::parse(response.body); }
};

std::string error_of(const Response& response) {
  return std::to_string(response.status) + " " + json::parse(response.body).at("error").get<std::string>();
}

/// An infer request whose tensor stands behind the JSON.
Response infer(Service& service, json input, const std::string& bytes, json outputs = nullptr) {
  input["parameters"]["binary_data_size"] = bytes.size();
  json request = {{"inputs", {input}}};
  if (!outputs.is_null()) request["outputs"] = std::move(outputs);
  const std::string text = request.dump();
  RequestHead head;
  head.method = "POST";
  head.target = "/v2/models/tiny/infer";
  head.inference_json_bytes = text.size();
  return ask(service, std::move(head), text + bytes);
}

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string with_length(const std::string& text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + text;
}

std::vector<float> floats_of(std::string_view bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

const json kBinaryLogits = {{{"name", "logits"}, {"parameters", {{"binary_data", true}}}}};

/// The logits that stand behind a response's JSON.
std::vector<float> logits_of(const Response& response) {
  EXPECT_EQ(response.status, 200u) << response.body;
  if (response.fields.empty()) return {};
  return floats_of(std::string_view(response.body).substr(std::stoul(response.fields.front().second)));
}

TEST(ModelSource, HasTheFilesNameOrAnother) {
  EXPECT_EQ(parse_model_source("a/flowers.safetensors").name, "flowers");
  EXPECT_EQ(parse_model_source("runs/mine/").name, "mine");
  EXPECT_EQ(parse_model_source("day=a b.pth").name, "day");
  EXPECT_EQ(parse_model_source("day=a b.pth").file, "a b.pth");
  EXPECT_NE(refused([] { parse_model_source("a b.pth"); }).find("NAME=FILE gives a model another name"),
            std::string::npos);
  EXPECT_NE(refused([] { parse_model_source("=x"); }), "accepted");
}

TEST_F(ServiceTest, ClassifiesAPhoto) {
  const Response response = post(service, "/v1/classify?top_k=2", photo, "image/png");
  ASSERT_EQ(response.status, 200u) << response.body;
  const json body = body_of(response);
  const std::vector<Prediction> expected = Model::open(tiny.file).predictions(tiny.logits(photo), 2);
  ASSERT_EQ(body["predictions"].size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(body["predictions"][i]["index"], expected[i].index);
    EXPECT_EQ(body["predictions"][i]["label"], expected[i].label);
    EXPECT_EQ(body["predictions"][i]["probability"].get<float>(), expected[i].probability);
  }
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_GT(body["milliseconds"].get<double>(), 0.0);
  EXPECT_EQ(body_of(post(service, "/v1/classify?model=tiny&top_k=1000000", photo))["predictions"].size(), 7u);
  const std::string form =
      "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"p.png\"\r\n\r\n" + photo + "\r\n--b--\r\n";
  EXPECT_EQ(body_of(post(service, "/v1/classify?top_k=2", form, "multipart/form-data; boundary=b"))["predictions"],
            body["predictions"]);
}

TEST_F(ServiceTest, RefusesWhatIsNoPhoto) {
  EXPECT_EQ(error_of(post(service, "/v1/classify", "")), "400 [serve] expected a photo, found an empty body");
  EXPECT_EQ(error_of(post(service, "/v1/classify", "GIF89a")),
            "415 [serve] expected a JPEG, PNG or WebP image, found something else");
  EXPECT_EQ(post(service, "/v1/classify", photo.substr(0, 60)).status, 400u);
  EXPECT_EQ(error_of(post(service, "/v1/classify?top_k=0", photo)),
            "400 [serve] top_k: expected a number from 1 to 1000000, found \"0\"");
  EXPECT_EQ(error_of(post(service, "/v1/classify?k=1", photo)),
            "400 [serve] URL: expected the parameters top_k, model and explain, found \"k\"");
  EXPECT_EQ(error_of(post(service, "/v1/classify?model=../tiny", photo)),
            "404 [serve] ../tiny: there is no model of this name");
  EXPECT_EQ(error_of(post(service, "/v1/classify", "--b--", "multipart/form-data; boundary=b")),
            "400 [serve] form: expected one part, the photo, found 0");
  ServiceOptions options = tiny.options();
  options.batching.images.max_pixels = 100;
  Service strict(options, notices.listener());
  EXPECT_EQ(post(strict, "/v1/classify", photo).status, 413u);
}

TEST_F(ServiceTest, InfersTheSameBitsFromEveryInput) {
  const std::vector<float> expected = tiny.logits(photo);
  const json image = {{"name", "image"}, {"shape", {1}}, {"datatype", "BYTES"}};
  EXPECT_EQ(logits_of(infer(service, image, with_length(photo), kBinaryLogits)), expected);
  const json tensor = {{"name", "tensor"}, {"shape", {1, 64, 64, 3}}, {"datatype", "FP32"}};
  EXPECT_EQ(logits_of(infer(service, tensor, bytes_of(tiny.tensor(photo)), kBinaryLogits)), expected);
  const std::vector<std::uint8_t> pixels = testing::blob_pixels(40, 56, 3);
  const json pixel_input = {{"name", "pixels"}, {"shape", {1, 40, 56, 3}}, {"datatype", "UINT8"}};
  EXPECT_EQ(logits_of(infer(service, pixel_input, {pixels.begin(), pixels.end()}, kBinaryLogits)), expected);
}

TEST_F(ServiceTest, InfersManyImagesWithAllOutputs) {
  std::string bytes;
  std::vector<float> logits;
  for (unsigned i = 0; i < 5; ++i) {
    const std::string one = testing::blob_png(i);
    bytes += with_length(one);
    for (const float value : tiny.logits(one)) logits.push_back(value);
  }
  const json input = {{"name", "image"}, {"shape", {5}}, {"datatype", "BYTES"}};
  EXPECT_EQ(logits_of(infer(service, input, bytes, kBinaryLogits)), logits);

  const json body = body_of(infer(service, input, bytes));
  EXPECT_EQ(body["model_name"], "tiny");
  EXPECT_EQ(body["outputs"][0]["shape"], json({5, 7}));
  EXPECT_EQ(body["outputs"][0]["data"].get<std::vector<float>>(), logits);
  EXPECT_EQ(body["outputs"][2]["datatype"], "BYTES");
  const Model model = Model::open(tiny.file);
  for (std::size_t i = 0; i < 5; ++i) {
    const std::span<const float> own = std::span(logits).subspan(i * 7, 7);
    EXPECT_EQ(body["outputs"][2]["data"][i], model.predictions(own, 1).front().label);
    std::vector<float> probabilities(7);
    model.probabilities(own, probabilities);
    for (std::size_t k = 0; k < 7; ++k) EXPECT_EQ(body["outputs"][1]["data"][i * 7 + k].get<float>(), probabilities[k]);
  }
}

TEST_F(ServiceTest, InfersTheLargestClassesAsTexts) {
  const Response response =
      infer(service, {{"name", "image"}, {"shape", {1}}, {"datatype", "BYTES"}}, with_length(photo),
            {{{"name", "logits"}, {"parameters", {{"classification", 2}, {"binary_data", true}}}}});
  ASSERT_EQ(response.status, 200u) << response.body;
  const std::vector<float> logits = tiny.logits(photo);
  const std::vector<Prediction> expected = Model::open(tiny.file).predictions(logits, 2);
  std::string texts;
  for (const Prediction& one : expected) {
    texts += with_length(fmt::format("{}:{}:{}", logits[static_cast<std::size_t>(one.index)], one.index, one.label));
  }
  EXPECT_EQ(response.body.substr(std::stoul(response.fields.front().second)), texts);
}

TEST_F(ServiceTest, RefusesARequestWithABrokenImageAndNamesIt) {
  const Response response = infer(service, {{"name", "image"}, {"shape", {2}}, {"datatype", "BYTES"}},
                                  with_length(photo) + with_length("broken"));
  EXPECT_EQ(response.status, 400u);
  EXPECT_NE(response.body.find("image 1"), std::string::npos) << response.body;
  EXPECT_EQ(infer(service, {{"name", "image"}, {"shape", {17}}, {"datatype", "BYTES"}}, "").status, 413u);
  EXPECT_EQ(get(service, "/v2/models/other").status, 404u);
}

TEST_F(ServiceTest, DescribesItself) {
  EXPECT_EQ(get(service, "/v2/health/live").status, 200u);
  EXPECT_EQ(get(service, "/v2/health/ready").status, 200u);
  EXPECT_EQ(body_of(get(service, "/v2"))["name"], "gcvit");
  const json model = body_of(get(service, "/v2/models/tiny/versions/1"));
  EXPECT_EQ(model["inputs"][2], json({{"name", "tensor"}, {"datatype", "FP32"}, {"shape", {-1, 64, 64, 3}}}));
  EXPECT_EQ(model["outputs"][0]["shape"], json({-1, 7}));
  EXPECT_EQ(body_of(get(service, "/v2/models/tiny/ready")), json({{"name", "tiny"}, {"ready", true}}));
  EXPECT_EQ(body_of(get(service, "/openapi.json"))["openapi"], "3.1.0");
  service.drain();
  EXPECT_EQ(get(service, "/v2/health/live").status, 200u);
  EXPECT_EQ(error_of(get(service, "/v2/health/ready")), "503 [serve] the server is about to end");
  EXPECT_EQ(get(service, "/v2/models/tiny/ready").status, 503u);
  EXPECT_EQ(post(service, "/v1/classify", photo).status, 200u);  // on a connection that was there before
}

TEST_F(ServiceTest, CountsWhatGoesThroughTheModel) {
  ASSERT_EQ(post(service, "/v1/classify", photo).status, 200u);
  const std::string text = get(service, "/metrics").body;
  for (const char* const line :
       {"gcvit_batch_images_sum{model=\"tiny\"} 1\n", "gcvit_stage_seconds_count{stage=\"queue\"} 1\n",
        "gcvit_stage_seconds_count{stage=\"decode\"} 1\n", "gcvit_queue_images{model=\"tiny\"} 0\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
  }
}

TEST_F(ServiceTest, AsksForItsKeyBeforeAnythingElse) {
  ServiceOptions options = tiny.options();
  options.keys = ApiKeys("0123456789abcdef", "keys");
  Service locked(options, notices.listener());
  for (const char* const target : {"/v2", "/nothing", "/v2/models/other", "no path"}) {
    const Response response = get(locked, target);
    EXPECT_EQ(response.status, 401u) << target;
    EXPECT_EQ(response.fields, (std::vector<std::pair<std::string, std::string>>{{"WWW-Authenticate", "Bearer"}}));
  }
  RequestHead head;
  head.method = "GET";
  head.target = "/v2";
  head.authorization = "Bearer 0123456789abcdef";
  EXPECT_EQ(ask(locked, head).status, 200u);
}

TEST_F(ServiceTest, NeedsNoKeyToSayHowItIs) {
  ServiceOptions options = tiny.options();
  options.keys = ApiKeys("0123456789abcdef", "keys");
  Service locked(options, notices.listener());
  EXPECT_EQ(get(locked, "/v2/health/live").status, 200u);
  EXPECT_EQ(get(locked, "/v2/health/ready").status, 200u);
  for (const char* const target : {"/v2/health/../models/tiny", "/v2/models/tiny/ready"}) {
    EXPECT_EQ(get(locked, target).status, 401u) << target;
  }
  RequestHead head;
  head.method = "POST";
  head.target = "/v2/health/ready";
  EXPECT_EQ(ask(locked, head).status, 401u);
}

TEST_F(ServiceTest, AnswersWithinTheDeadlineOrSaysSo) {
  RequestHead head;
  head.method = "POST";
  head.target = "/v1/classify";
  const Response late = ask(service, head, photo, std::chrono::milliseconds(-1));
  EXPECT_EQ(late.status, 504u) << late.body;
}

/// Holds up a model's own thread until it is let go.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void wait_until_someone_waits() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }
  void open() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

TEST_F(ServiceTest, AFullQueueTakesAllOfARequestOrNothing) {
  Metrics metrics;
  std::atomic<int> done = 0;
  Gate gate;
  ServedModel model("tiny", Model::open(tiny.file), {.max_batch = 1, .queue = 3}, metrics);
  const auto inputs = [&](std::size_t count) {
    std::vector<ServedModel::Input> made(count);
    for (ServedModel::Input& one : made) one.image = Image::encoded(std::as_bytes(std::span(photo)), "image");
    return made;
  };
  const Clock::time_point later = Clock::now() + std::chrono::hours(1);
  const auto answered = [&](std::vector<ImageLogits> results) {
    for (const ImageLogits& one : results) EXPECT_EQ(one.logits, tiny.logits(photo));
    ++done;
  };
  ASSERT_TRUE(model.submit(inputs(1), later, [&](std::vector<ImageLogits>) { gate.wait(); }));
  gate.wait_until_someone_waits();  // its image has been counted out
  ASSERT_TRUE(model.submit(inputs(2), later, answered));
  EXPECT_EQ(model.waiting(), 2u);
  EXPECT_FALSE(model.submit(inputs(2), later, answered));
  EXPECT_FALSE(model.submit(inputs(4), later, answered));
  EXPECT_EQ(model.waiting(), 2u);
  ASSERT_TRUE(model.submit(inputs(1), later, answered));
  EXPECT_FALSE(model.submit(inputs(1), later, answered));
  gate.open();
  while (done < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(model.waiting(), 0u);
  EXPECT_TRUE(model.submit(inputs(3), later, answered));
  while (done < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

TEST_F(ServiceTest, ReloadsWithoutLosingARequest) {
  const json image = {{"name", "image"}, {"shape", {1}}, {"datatype", "BYTES"}};
  const std::vector<float> before = tiny.logits(photo);
  std::atomic<bool> stop = false;
  std::vector<std::vector<float>> answers;
  std::thread asking([&] {
    while (!stop) answers.push_back(logits_of(infer(service, image, with_length(photo), kBinaryLogits)));
  });
  testing::write_tiny_model(tiny.file, testing::colour_names(), 6);
  const std::vector<float> after = tiny.logits(photo);
  for (int i = 0; i < 3; ++i) service.reload();
  stop = true;
  asking.join();
  ASSERT_NE(before, after);
  bool changed = false;
  for (const std::vector<float>& one : answers) {
    changed = changed || one == after;
    EXPECT_EQ(one, changed ? after : before);
  }
  EXPECT_EQ(logits_of(infer(service, image, with_length(photo), kBinaryLogits)), after);

  weights::write_text(tiny.file, "no model");
  service.reload();
  EXPECT_EQ(post(service, "/v1/classify", photo).status, 200u);
  EXPECT_TRUE(notices.sentences().back().starts_with("[serve] tiny: the model stays as it was: "))
      << notices.sentences().back();
}

TEST_F(ServiceTest, RefusesTwoModelsOfOneName) {
  ServiceOptions options = tiny.options();
  options.models.push_back(options.models.front());
  EXPECT_EQ(refused([&] { Service(options, notices.listener()); }),
            "400 [serve] expected each model's name once, found tiny twice");
}

}  // namespace
}  // namespace gcvit::serve
