// SPDX-License-Identifier: Apache-2.0
#include "serve/queries.h"

#include <gtest/gtest.h>

#include "tests/serve/refused.h"
#include "tests/serve/tiny_service.h"

namespace gcvit::serve {
namespace {

using Query = std::map<std::string, std::string>;

std::string refused_query(const Query& query) {
  return refused([&] { explain_query(query); });
}

TEST(ExplainQuery, IsGradCamOfTheMostProbableClassUnlessItSaysMore) {
  const ExplainQuery plain = explain_query({});
  EXPECT_EQ(plain.method, ExplainMethod::kGradCam);
  EXPECT_EQ(plain.target, "");
  EXPECT_EQ(plain.score, ExplainedScore::kLogit);
  EXPECT_FALSE(plain.png || plain.level || plain.block || plain.head || plain.cell);
  const ExplainQuery grad_cam = explain_query({{"model", "m"},
                                               {"class", "a b"},
                                               {"score", "probability"},
                                               {"level", "0"},
                                               {"format", "png"},
                                               {"colours", "inferno"},
                                               {"opacity", "0.25"}});
  EXPECT_EQ(grad_cam.model, "m");
  EXPECT_EQ(grad_cam.target, "a b");
  EXPECT_EQ(grad_cam.score, ExplainedScore::kProbability);
  EXPECT_EQ(grad_cam.level, 0);
  EXPECT_TRUE(grad_cam.png);
  EXPECT_EQ(grad_cam.overlay.colours, ColourMap::kInferno);
  EXPECT_EQ(grad_cam.overlay.opacity, 0.25f);
  const ExplainQuery attention =
      explain_query({{"method", "attention"}, {"level", "4"}, {"block", "1"}, {"head", "3"}, {"query", "5,06"}});
  EXPECT_EQ(attention.method, ExplainMethod::kAttention);
  EXPECT_EQ(attention.level, 4);
  EXPECT_EQ(attention.block, 1);
  EXPECT_EQ(attention.head, 3);
  EXPECT_EQ(attention.cell->row, 5);
  EXPECT_EQ(attention.cell->column, 6);
}

TEST(ExplainQuery, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(refused_query({{"method", "occlusion"}}),
            "400 [serve] method: expected grad-cam or attention, found occlusion, which takes a forward for each "
            "patch: `gcvit explain` has it");
  EXPECT_EQ(refused_query({{"method", ""}}), "400 [serve] method: expected grad-cam or attention, found \"\"");
  EXPECT_EQ(refused_query({{"k", "1"}}),
            "400 [serve] URL: expected the parameters model, method, class, score, level, block, head, query, format, "
            "colours, opacity, found \"k\"");
  EXPECT_EQ(refused_query({{"class", ""}}), "400 [serve] class: expected a class's name or index, found nothing");
  EXPECT_EQ(refused_query({{"score", "both"}}), "400 [serve] score: expected logit or probability, found \"both\"");
  EXPECT_EQ(refused_query({{"format", "gif"}}), "400 [serve] format: expected json or png, found \"gif\"");
  for (const char* const level : {"5", "-1", "", "1.0", "4294967297", "99999999999999999999"}) {
    EXPECT_EQ(refused_query({{"level", level}}),
              "400 [serve] level: expected a number from 0 to 4, found \"" + std::string(level) + "\"");
  }
  EXPECT_EQ(refused_query({{"method", "attention"}, {"level", "0"}}),
            "400 [serve] level: expected a number from 1 to 4, found \"0\"");
  EXPECT_EQ(refused_query({{"method", "attention"}, {"head", "2147483648"}}),
            "400 [serve] head: expected a number from 0, found \"2147483648\"");
  EXPECT_EQ(refused_query({{"method", "attention"}, {"query", "3"}}),
            "400 [serve] query: expected ROW,COLUMN, two numbers from 0, found \"3\"");
  EXPECT_EQ(refused_query({{"method", "attention"}, {"query", "3,"}}),
            "400 [serve] query: column: expected a number from 0, found \"\"");
  for (const char* const opacity : {"", "x", "1.01", "-0.1", "nan", "0.5 "}) {
    EXPECT_EQ(refused_query({{"format", "png"}, {"opacity", opacity}}),
              "400 [serve] opacity: expected a number from 0 to 1, found \"" + std::string(opacity) + "\"");
  }
}

TEST(ExplainQuery, RefusesWhatTheMethodOrTheFormatDoesNotKnow) {
  for (const char* const name : {"block", "head", "query"}) {
    EXPECT_EQ(refused_query({{name, "1"}}),
              "400 [serve] " + std::string(name) + ": expected method=attention, found method=grad-cam");
  }
  for (const char* const name : {"class", "score"}) {
    EXPECT_EQ(refused_query({{name, "1"}, {"method", "attention"}}),
              "400 [serve] " + std::string(name) + ": expected method=grad-cam, found method=attention");
  }
  for (const char* const name : {"colours", "opacity"}) {
    EXPECT_EQ(refused_query({{name, "1"}}),
              "400 [serve] " + std::string(name) + ": expected format=png, found format=json");
  }
}

TEST(ExplainQuery, IsHeldAgainstTheModel) {
  const TinyModel tiny;
  const Model model = Model::open(tiny.file);
  const auto options = [&](const Query& query) { return options_for(explain_query(query), model); };
  EXPECT_EQ(std::get<GradCamOptions>(options({})).target, std::nullopt);
  EXPECT_TRUE(std::get<GradCamOptions>(options({})).keep_gradient_weights);
  EXPECT_EQ(std::get<GradCamOptions>(options({{"class", "blue"}})).target, 4);
  EXPECT_EQ(std::get<GradCamOptions>(options({{"class", "6"}, {"level", "2"}})).target, 6);
  for (const char* const wrong : {"mauve", "7", "-1", "4.0"}) {
    EXPECT_THROW(options({{"class", wrong}}), Error) << wrong;
  }
  const auto attention = std::get<AttentionOptions>(options({{"method", "attention"}}));
  EXPECT_EQ(attention.level, 3);
  EXPECT_EQ(attention.block, 1);
  EXPECT_THROW(options({{"method", "attention"}, {"block", "2"}}), Error);
  EXPECT_THROW(options({{"method", "attention"}, {"head", "99"}}), Error);
  EXPECT_THROW(options({{"method", "attention"}, {"query", "99,0"}}), Error);
}

TEST(FeatureQuery, NamesAFeature) {
  EXPECT_EQ(feature_query({}).feature, Feature::kPooled);
  for (const Feature feature :
       {Feature::kLevel1, Feature::kLevel2, Feature::kLevel3, Feature::kLevel4, Feature::kFeatures, Feature::kPooled}) {
    EXPECT_EQ(feature_query({{"feature", std::string(name_of(feature))}}).feature, feature);
  }
  EXPECT_EQ(feature_query({{"model", "m"}}).model, "m");
  EXPECT_EQ(refused([] { feature_query({{"feature", "level5"}}); }),
            "400 [serve] feature: expected pooled, features or level1 to level4, found \"level5\"");
  EXPECT_EQ(refused([] { feature_query({{"level", "1"}}); }),
            "400 [serve] URL: expected the parameters model and feature, found \"level\"");
}

}  // namespace
}  // namespace gcvit::serve
