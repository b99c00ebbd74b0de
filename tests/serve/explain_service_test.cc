// SPDX-License-Identifier: Apache-2.0
// A service that explains, held against the library.
#include <gtest/gtest.h>
#include <zlib.h>

#include <latch>
#include <nlohmann/json.hpp>
#include <thread>

#include "gcvit/explain.h"
#include "gcvit/overlay.h"
#include "inference/memory_need.h"
#include "inference/model_state.h"
#include "serve/base64.h"
#include "serve/service.h"
#include "tests/serve/refused.h"
#include "tests/serve/tiny_service.h"

namespace gcvit::serve {
namespace {

using nlohmann::json;

struct ExplainServiceTest : ::testing::Test {
  TinyModel tiny;
  Notices notices;
  Service service{tiny.options(), notices.listener()};
  std::string photo = testing::blob_png(3);
  Image image = Image::encoded(std::as_bytes(std::span(photo)));
  Explainer explainer{Model::open(tiny.file)};
  std::vector<float> tensor = explainer.session().preprocess(image);

  json ask_for(const std::string& target) {
    const Response response = post(service, target, photo);
    EXPECT_EQ(response.status, 200u) << target << ": " << response.body;
    return json::parse(response.body);
  }

  std::string refusal(const std::string& target) {
    const Response response = post(service, target, photo);
    return std::to_string(response.status) + " " + json::parse(response.body).at("error").get<std::string>();
  }
};

void expect_map(const json& found, const Explanation& expected) {
  EXPECT_EQ(found["map"]["height"], expected.map.height);
  EXPECT_EQ(found["map"]["width"], expected.map.width);
  EXPECT_EQ(found["map"]["values"].get<std::vector<float>>(), expected.map.values);
  EXPECT_EQ(found["range"].get<std::vector<float>>(), (std::vector<float>{expected.lowest, expected.highest}));
  EXPECT_EQ(found["level"], expected.level);
  EXPECT_EQ(found["model"], "tiny");
  EXPECT_GT(found["milliseconds"].get<double>(), 0.0);
}

TEST_F(ExplainServiceTest, GradCamIsTheLibrarys) {
  for (const std::int32_t level : {0, 1, 4}) {
    for (const auto& [text, score] :
         {std::pair("logit", ExplainedScore::kLogit), std::pair("probability", ExplainedScore::kProbability)}) {
      const Explanation expected = explainer.grad_cam(tensor, {.target = 4, .score = score, .level = level});
      const json found = ask_for(fmt::format("/v1/explain?class=blue&level={}&score={}", level, text));
      expect_map(found, expected);
      EXPECT_EQ(found["method"], "grad-cam");
      EXPECT_EQ(found["index"], 4);
      EXPECT_EQ(found["label"], "blue");
      EXPECT_EQ(found["score"].get<float>(), expected.score);
      EXPECT_EQ(found["score_is"], text);
      EXPECT_FALSE(found.contains("overlay"));
    }
  }
  EXPECT_EQ(ask_for("/v1/explain")["index"], explainer.grad_cam(tensor).index);
  EXPECT_EQ(ask_for("/v1/explain?class=4&model=tiny")["label"], "blue");
}

TEST_F(ExplainServiceTest, AttentionIsTheLibrarys) {
  expect_map(ask_for("/v1/explain?method=attention"), explainer.attention(tensor));
  const json found = ask_for("/v1/explain?method=attention&level=1&block=0&head=0&query=1,2");
  expect_map(found, explainer.attention(tensor, {.level = 1, .block = 0, .head = 0, .query = MapCell{1, 2}}));
  EXPECT_EQ(found["block"], 0);
  EXPECT_EQ(found["head"], 0);
  EXPECT_EQ(found["query"], json({1, 2}));
  EXPECT_FALSE(found.contains("index") || found.contains("score"));
}

TEST_F(ExplainServiceTest, SaysWhatTheModelSawOfThePhoto) {
  const json found = ask_for("/v1/explain");
  EXPECT_EQ(found["photo"], json({{"height", 40}, {"width", 56}}));
  const json& seen = found["seen"];
  EXPECT_GE(seen["left"].get<double>(), 0.0);
  EXPECT_LE(seen["left"].get<double>() + seen["width"].get<double>(), 56.0);
  // A square of the photo's middle.
  EXPECT_NEAR(seen["width"].get<double>(), seen["height"].get<double>(), 1.0);
  EXPECT_NEAR(seen["left"].get<double>() + seen["width"].get<double>() / 2, 28.0, 1.0);
  EXPECT_NEAR(seen["top"].get<double>() + seen["height"].get<double>() / 2, 20.0, 1.0);
}

TEST_F(ExplainServiceTest, ThePictureIsTheLibrarys) {
  const Explanation why = explainer.grad_cam(tensor, {.target = 2, .level = 3});
  const OverlayOptions options{.colours = ColourMap::kInferno, .opacity = 0.25f};
  const Response response = post(service, "/v1/explain?class=2&level=3&format=png&colours=inferno&opacity=0.25", photo);
  EXPECT_EQ(response.content_type, "image/png");
  EXPECT_EQ(response.body, overlay_png(explainer.session(), image, {&why, 1}, options));
}

TEST_F(ExplainServiceTest, ClassifiesAndExplainsTheMostProbableClass) {
  const json plain = ask_for("/v1/classify?top_k=3");
  const json found = ask_for("/v1/classify?top_k=3&explain=grad-cam");
  EXPECT_EQ(found["predictions"].dump(), plain["predictions"].dump());
  EXPECT_EQ(found["model"], "tiny");
  const json& explanation = found["explanation"];
  const Explanation why = explainer.grad_cam(tensor);
  EXPECT_EQ(explanation["index"], plain["predictions"][0]["index"]);
  EXPECT_EQ(explanation["score"].get<float>(), why.score);
  EXPECT_FALSE(explanation.contains("map"));
  const auto png = decode_base64(explanation["overlay"].get<std::string>());
  ASSERT_TRUE(png.has_value());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(png->data()), png->size()),
            overlay_png(explainer.session(), image, {&why, 1}));
  EXPECT_EQ(ask_for("/v1/classify?explain=attention")["explanation"]["method"], "attention");
}

TEST_F(ExplainServiceTest, FeaturesAreTheLibrarys) {
  Session& session = explainer.session();
  for (const Feature feature : {Feature::kLevel1, Feature::kLevel4, Feature::kFeatures, Feature::kPooled}) {
    const json found = ask_for(fmt::format("/v1/features?feature={}", name_of(feature)));
    const ValueShape shape = session.shape_of(feature);
    EXPECT_EQ(found["feature"], name_of(feature));
    EXPECT_EQ(found["values"].get<std::vector<float>>(), session.features(tensor, feature));
    EXPECT_EQ(found["shape"],
              feature == Feature::kPooled ? json({shape.channels}) : json({shape.height, shape.width, shape.channels}));
  }
  EXPECT_EQ(ask_for("/v1/features")["feature"], "pooled");
}

TEST_F(ExplainServiceTest, NumbersHaveTheShortestText) {
  const std::string body = post(service, "/v1/features", photo).body;
  const float first = explainer.session().features(tensor, Feature::kPooled).front();
  EXPECT_NE(body.find(fmt::format("\"values\":[{},", first)), std::string::npos) << body;
}

TEST_F(ExplainServiceTest, DescribesItsModels) {
  const Response response = get(service, "/v1/models");
  ASSERT_EQ(response.status, 200u) << response.body;
  const json found = json::parse(response.body);
  EXPECT_EQ(found["explain"], true);
  ASSERT_EQ(found["models"].size(), 1u);
  const json& card = found["models"][0];
  EXPECT_EQ(card["name"], "tiny");
  EXPECT_EQ(card["classes"], 7);
  EXPECT_EQ(card["labels"].get<std::vector<std::string>>(), testing::colour_names());
  EXPECT_EQ(card["image_size"], json({64, 64}));
  EXPECT_EQ(card["dtype"], "f32");
  EXPECT_EQ(card["bytes"], explainer.model().weight_bytes());
  EXPECT_EQ(card["preprocessing"], explainer.model().preprocessing());
  ASSERT_EQ(card["levels"].size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const json& level = card["levels"][i];
    EXPECT_EQ(level["level"], i + 1);
    const ValueShape map = explainer.session().shape_of(static_cast<Feature>(i));
    EXPECT_EQ(level["map"], json({map.height, map.width}));
    EXPECT_EQ(level["channels"], map.channels);
    // Blocks, heads and queries that it names can be asked for, and none beyond them.
    const std::string prefix = fmt::format("/v1/explain?method=attention&level={}", i + 1);
    EXPECT_EQ(post(service, fmt::format("{}&block={}", prefix, level["blocks"].get<int>() - 1), photo).status, 200u);
    EXPECT_EQ(post(service, fmt::format("{}&block={}", prefix, level["blocks"].get<int>()), photo).status, 400u);
    EXPECT_EQ(post(service, fmt::format("{}&head={}", prefix, level["heads"].get<int>()), photo).status, 400u);
    const int rows = level["query"][0].get<int>();
    for (const json& block : level["global_blocks"]) {
      EXPECT_EQ(post(service, fmt::format("{}&block={}&query={},0", prefix, block.dump(), rows - 1), photo).status,
                200u);
      EXPECT_EQ(post(service, fmt::format("{}&block={}&query={},0", prefix, block.dump(), rows), photo).status, 400u);
    }
  }
}

TEST_F(ExplainServiceTest, RefusesWhatItCanNotExplain) {
  EXPECT_EQ(refusal("/v1/explain?class=mauve"),
            "400 [explain] tiny: class: expected one of its 7 names, found \"mauve\"");
  EXPECT_EQ(refusal("/v1/explain?class=7"), "400 [explain] tiny: class: expected 0 to 6, found 7");
  EXPECT_EQ(refusal("/v1/explain?method=attention&block=9"),
            "400 [explain] tiny: block: expected 0 to 1 in level 3, found 9");
  EXPECT_EQ(refusal("/v1/explain?model=other"), "404 [serve] other: there is no model of this name");
  EXPECT_EQ(refusal("/v1/features?model=other"), "404 [serve] other: there is no model of this name");
  EXPECT_EQ(refusal("/v1/classify?explain=occlusion").substr(0, 62),
            "400 [serve] explain: expected grad-cam or attention, found occ");
  EXPECT_EQ(post(service, "/v1/explain", "GIF89a").status, 415u);
  EXPECT_EQ(post(service, "/v1/explain", photo.substr(0, 60)).status, 400u);
  EXPECT_EQ(post(service, "/v1/features", photo.substr(0, 60)).status, 400u);
  EXPECT_EQ(post(service, "/v1/classify?explain=grad-cam", photo.substr(0, 60)).status, 400u);
}

TEST_F(ExplainServiceTest, ExplainsNothingWhereItIsSwitchedOff) {
  ServiceOptions options = tiny.options();
  options.explain = false;
  Service silent(options, notices.listener());
  const Response response = post(silent, "/v1/explain", photo);
  EXPECT_EQ(response.status, 404u);
  EXPECT_EQ(json::parse(response.body)["error"], "[serve] /v1/explain: explanations are not offered here");
  EXPECT_EQ(post(silent, "/v1/classify?explain=grad-cam", photo).status, 404u);
  EXPECT_EQ(post(silent, "/v1/classify", photo).status, 200u);
  EXPECT_EQ(post(silent, "/v1/features", photo).status, 200u);
  EXPECT_EQ(json::parse(get(silent, "/v1/models").body)["explain"], false);
}

TEST_F(ExplainServiceTest, RefusesAtOnceWhenItsQueueIsFull) {
  ServiceOptions options = tiny.options();
  options.batching.explain_queue = 0;
  Service full(options, notices.listener());
  for (const char* const target : {"/v1/explain", "/v1/features", "/v1/classify?explain=grad-cam"}) {
    const Response response = post(full, target, photo);
    EXPECT_EQ(response.status, 503u) << target;
    EXPECT_EQ(response.reason, "explain_queue_full");
    EXPECT_EQ(response.fields, (std::vector<std::pair<std::string, std::string>>{{"Retry-After", "1"}}));
  }
  EXPECT_EQ(post(full, "/v1/classify", photo).status, 200u);
}

TEST_F(ExplainServiceTest, ComputesNothingBehindTheDeadline) {
  for (const char* const target : {"/v1/explain", "/v1/features", "/v1/classify?explain=grad-cam"}) {
    RequestHead head;
    head.method = "POST";
    head.target = target;
    EXPECT_EQ(ask(service, head, photo, std::chrono::milliseconds(-1)).status, 504u) << target;
  }
  EXPECT_NE(get(service, "/metrics").body.find("gcvit_stage_seconds_count{stage=\"explain\"} 0\n"), std::string::npos);
}

TEST_F(ExplainServiceTest, TakesNoMoreMemoryThanItMay) {
  const inference::MemoryNeed need(*explainer.model().state().model);
  ServiceOptions options = tiny.options();
  options.batching.queue = 1;
  options.batching.max_batch = 1;
  options.opening.max_memory = static_cast<std::uint64_t>(need.of_explanation(options.opening.threads)) - 1;
  Service small(options, notices.listener());
  const Response response = post(small, "/v1/explain?level=1", photo);
  EXPECT_EQ(response.status, 503u) << response.body;
  EXPECT_EQ(response.reason, "memory");
  EXPECT_EQ(post(small, "/v1/explain?method=attention", photo).status, 503u);
  EXPECT_EQ(post(small, "/v1/explain", photo).status, 200u);  // which is a forward
  EXPECT_EQ(post(small, "/v1/features", photo).status, 200u);
  EXPECT_EQ(post(service, "/v1/explain?level=1", photo).status, 200u);
}

TEST_F(ExplainServiceTest, ReloadsWithoutLosingAnExplanation) {
  const auto values = [](const Response& response) {
    EXPECT_EQ(response.status, 200u) << response.body;
    return json::parse(response.body)["map"]["values"].get<std::vector<float>>();
  };
  const std::vector<float> before = explainer.grad_cam(tensor, {.target = 1}).map.values;
  std::atomic<bool> stop = false;
  std::vector<std::vector<float>> answers;
  std::thread asking([&] {
    while (!stop) {
      answers.push_back(values(post(service, "/v1/explain?class=1", photo)));
      EXPECT_EQ(post(service, "/v1/classify?explain=attention", photo).status, 200u);
    }
  });
  testing::write_tiny_model(tiny.file, testing::colour_names(), 6);
  Explainer changed(Model::open(tiny.file));
  const std::vector<float> after = changed.grad_cam(tensor, {.target = 1}).map.values;
  for (int i = 0; i < 3; ++i) service.reload();
  stop = true;
  asking.join();
  ASSERT_NE(before, after);
  bool is_new = false;
  for (const std::vector<float>& one : answers) {
    is_new = is_new || one == after;
    EXPECT_EQ(one, is_new ? after : before);
  }
  EXPECT_EQ(values(post(service, "/v1/explain?class=1", photo)), after);
}

/// Starts requests of a service without waiting for their answers.
class Requests {
 public:
  explicit Requests(Service& service) : service_(service) {}

  void start(RequestHead head, const std::string& body) {
    AdmittedRequest request;
    request.route = service_.admit(head);
    request.head = std::move(head);
    request.body = body;
    request.arrived = Clock::now();
    request.deadline = request.arrived + std::chrono::hours(1);
    service_.handle(std::move(request), [this](const Service::Respond& respond) {
      const unsigned status = respond().status;
      const std::scoped_lock lock(mutex_);
      statuses_.push_back(status);
    });
  }
  std::vector<unsigned> statuses() const {
    const std::scoped_lock lock(mutex_);
    return statuses_;
  }

 private:
  Service& service_;
  mutable std::mutex mutex_;
  std::vector<unsigned> statuses_;
};

TEST_F(ExplainServiceTest, AnswersEveryRequestWhenItIsCancelled) {
  Requests requests(service);
  for (int i = 0; i < 4; ++i) {
    for (const char* const target : {"/v1/explain?level=1", "/v1/classify?explain=grad-cam"}) {
      RequestHead head;
      head.method = "POST";
      head.target = target;
      requests.start(std::move(head), photo);
    }
  }
  service.cancel();
  ASSERT_EQ(requests.statuses().size(), 8u);
  for (const unsigned status : requests.statuses()) EXPECT_TRUE(status == 200 || status == 504) << status;
}

TEST_F(ExplainServiceTest, WaitsForItsAnswersWhenItEnds) {
  auto ending = std::make_unique<Service>(tiny.options(), notices.listener());
  Requests requests(*ending);
  for (int i = 0; i < 4; ++i) {
    RequestHead head;
    head.method = "POST";
    head.target = "/v1/classify?explain=grad-cam";
    requests.start(std::move(head), photo);
  }
  ending.reset();
  EXPECT_EQ(requests.statuses(), (std::vector<unsigned>{200, 200, 200, 200}));
}

TEST_F(ExplainServiceTest, ReadsHeavyBodiesOnOtherThreads) {
  const auto thread_of = [&](const RequestHead& head, const std::string& body) {
    AdmittedRequest request;
    request.route = service.admit(head);
    request.head = head;
    request.body = body;
    request.deadline = Clock::now() + std::chrono::hours(1);
    std::promise<std::thread::id> promise;
    service.handle(std::move(request), [&](const Service::Respond& respond) {
      EXPECT_EQ(respond().status, 400u);
      promise.set_value(std::this_thread::get_id());
    });
    return promise.get_future().get();
  };
  RequestHead head;
  head.method = "POST";
  head.target = "/v2/models/tiny/infer";
  const std::thread::id here = std::this_thread::get_id();
  EXPECT_EQ(thread_of(head, "[1]"), here);
  EXPECT_NE(thread_of(head, "[1" + std::string(100'000, ' ')), here);
  RequestHead encoded = head;
  encoded.content_encoding = "gzip";
  EXPECT_NE(thread_of(encoded, "x"), here);
  RequestHead form = head;
  form.target = "/v1/classify";
  form.content_type = "multipart/form-data; boundary=b";
  EXPECT_EQ(thread_of(form, "--b--"), here);
  EXPECT_NE(thread_of(form, "--b--" + std::string(100'000, ' ')), here);
}

TEST_F(ExplainServiceTest, CountsTheBytesOfDecompressedBodies) {
  const std::string text(50'000, ' ');
  std::string body(1000, '\0');
  uLongf size = static_cast<uLongf>(body.size());
  ASSERT_EQ(compress(reinterpret_cast<Bytef*>(body.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                     static_cast<uLong>(text.size())),
            Z_OK);
  body.resize(size);
  BodyBudget budget(40'000);
  RequestHead head;
  head.method = "POST";
  head.target = "/v1/classify";
  head.content_encoding = "deflate";
  AdmittedRequest request;
  request.route = service.admit(head);
  request.head = head;
  request.body = body;
  request.body_share = std::make_shared<BodyBudget::Share>(budget);
  request.deadline = Clock::now() + std::chrono::hours(1);
  std::promise<Response> promise;
  service.handle(std::move(request), [&](const Service::Respond& respond) { promise.set_value(respond()); });
  const Response response = promise.get_future().get();
  EXPECT_EQ(response.status, 503u);
  EXPECT_EQ(response.reason, "memory");
}

TEST(BodyBudget, IsSharedAndGivenBack) {
  BodyBudget budget(100);
  {
    BodyBudget::Share first(budget);
    first.take(60);
    BodyBudget::Share second(budget);
    EXPECT_EQ(refused([&] { second.take(41); }),
              "503 [serve] too many bodies of requests at one time; try again later");
    second.take(40);
    EXPECT_EQ(first.taken(), 60u);
    EXPECT_EQ(second.taken(), 40u);
  }
  BodyBudget::Share all(budget);
  EXPECT_EQ(refused([&] { all.take(100); }), "accepted");
}

TEST(Base64, IsEncoded) {
  EXPECT_EQ(encode_base64(""), "");
  EXPECT_EQ(encode_base64("f"), "Zg==");
  EXPECT_EQ(encode_base64("fo"), "Zm8=");
  EXPECT_EQ(encode_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encode_base64("\xfb\xff\xbf"), "+/+/");
}

}  // namespace
}  // namespace gcvit::serve
