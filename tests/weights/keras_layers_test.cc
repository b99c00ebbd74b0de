// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_layers.h"

#include <gtest/gtest.h>

#include <vector>

namespace gcvit::weights {
namespace {

using Groups = std::vector<std::string>;

/// What stands before "stands" in the notice.
std::string layers(const Groups& groups, std::string_view config = "", std::string_view model = "layers/gc_vi_t/") {
  const std::string notice = notice_of_other_layers(groups, config, model);
  return notice.substr(0, notice.find(" stand"));
}

TEST(KerasLayers, AreFoundByTheirGroups) {
  EXPECT_EQ(
      layers({"layers", "layers/gc_vi_t", "layers/gc_vi_t/layers", "layers/gc_vi_t/layers/stem", "layers/gc_vi_t/vars",
              "layers/rescaling", "layers/rescaling/vars", "optimizer", "optimizer/vars", "vars"}),
      "the layer \"rescaling\"");
  // Nested ones, attributes of a model of one's own, whole models as .h5.
  EXPECT_EQ(layers({"layers", "layers/sequential", "layers/sequential/layers", "layers/sequential/layers/normalization",
                    "layers/sequential/layers/resizing", "layers/sequential/vars"}),
            "the layers \"normalization\", \"resizing\"");
  EXPECT_EQ(layers({"net", "net/layers", "net/layers/stem", "prepare", "prepare/vars", "layers", "layers/lambda"}, "",
                   "net/"),
            "the layers \"lambda\", \"prepare\"");
  EXPECT_EQ(layers({"model_weights", "model_weights/gc_vi_t", "model_weights/input_layer", "model_weights/rescaling_1",
                    "model_weights/top_level_model_weights", "optimizer_weights"},
                   "", "model_weights/gc_vi_t/"),
            "the layer \"rescaling_1\"");
  EXPECT_EQ(layers({"layers", "layers/a", "layers/b", "layers/c", "layers/d", "layers/e"}),
            "the layers \"a\", \"b\", \"c\", \"d\", ...");
}

TEST(KerasLayers, WhatChangesNothingIsNotSaid) {
  EXPECT_EQ(layers({"layers", "layers/dropout_1", "layers/input_layer", "layers/gc_vi_t", "layers/random_flip",
                    "layers/sequential", "layers/sequential/layers", "layers/sequential/layers/random_rotation"}),
            "");
  EXPECT_EQ(layers({"layers", "layers/random_crop"}), "the layer \"random_crop\"");
  // The whole file is the model.
  EXPECT_EQ(layers({"head", "layers", "layers/stem", "layers/rescaling"}, "", ""), "");
}

TEST(KerasLayers, OfAConfigStandInOrder) {
  const std::string before = R"({"class_name": "Functional", "config": {"layers": [{"class_name": "InputLayer"},)"
                             R"({"class_name": "RandomFlip"}, {"class_name": "Sequential", "config": {"layers": [)"
                             R"({"class_name": "Rescaling", "config": {"scale": 0.25, "offset": [1, 2, 3]}},)"
                             R"({"class_name": "Normalization", "config": {"mean": null, "variance": ["x"]}}]}},)"
                             R"({"class_name": "TrueDivide"},)";
  const std::string behind = R"(,{"class_name": "Dense"}]}})";
  const Groups groups = {"layers", "layers/rescaling"};
  const std::string found = "the layers \"Rescaling\" (scale 0.25, offset [1,2,3]), \"Normalization\", \"TrueDivide\"";
  EXPECT_EQ(layers(groups, before + R"({"class_name": "GCViT"})" + behind), found);
  EXPECT_EQ(layers(groups, before + R"({"class_name": "gcvit>GCViT"})" + behind), found);
  EXPECT_EQ(layers(groups, R"({"config": {"layers": [{"class_name": "GCViT"}, {"class_name": "Softmax"}]}})"), "");
  // The second of a class, and a model in a model.
  EXPECT_EQ(layers({},
                   R"({"config": {"layers": [{"class_name": "Net", "config": {"layers": [{"class_name": "A"}]}},)"
                   R"({"class_name": "Net", "config": {"layers": [{"class_name": "B"}, {"class_name": "GCViT"}]}}]}})",
                   "layers/net_1/layers/gc_vi_t/"),
            "the layers \"A\", \"B\"");
}

TEST(KerasLayers, OfAWholeModelAreFoundByTheirNames) {
  const char* config = R"({"config": {"layers": [{"class_name": "TrueDivide", "config": {"name": "true_divide"}},)"
                       R"({"class_name": "GCViT", "config": {"name": "mine"}},)"
                       R"({"class_name": "GCViT", "config": {"name": "gc_vi_t"}}]}})";
  EXPECT_EQ(layers({}, config, "model_weights/mine/"), "the layer \"TrueDivide\"");
  EXPECT_EQ(layers({"model_weights", "model_weights/a", "model_weights/other"}, config, "model_weights/other/"),
            "the layer \"a\"");
}

TEST(KerasLayers, AConfigThatDoesNotLeadToTheModelLeavesTheGroups) {
  for (const char* config : {"", "{", "[]", "3", "null", "{}", R"({"config": 3})", R"({"config": {"layers": 3}})",
                             R"({"config": {"layers": [3, null, {"class_name": 3}, {"config": []}]}})",
                             R"({"config": {"layers": [{"class_name": "Other"}]}})"}) {
    EXPECT_EQ(layers({"layers", "layers/gc_vi_t", "layers/rescaling"}, config), "the layer \"rescaling\"") << config;
  }
  std::string deep = "[]";
  for (int i = 0; i < 40; ++i) deep = R"({"config": {"layers": [)" + deep + "]}}";
  EXPECT_EQ(layers({"layers", "layers/rescaling"}, deep), "the layer \"rescaling\"");
}

TEST(KerasLayers, AnyPathsAreTaken) {
  for (const char* model : {"/", "//", "layers", "layers/", "a", "layers//", "layers/_/"}) {
    notice_of_other_layers(Groups{"", "/", "//", "a//b", "layers", "layers//", "layers/layers/layers", "a0", "a/"},
                           R"({"config": {"layers": [{"class_name": ""}]}})", model);
  }
}

}  // namespace
}  // namespace gcvit::weights
