// SPDX-License-Identifier: Apache-2.0
#include "train/source_json.h"

#include <utility>

namespace gcvit::train {
namespace {

nlohmann::ordered_json to_json(const data::LeftOut& left_out) {
  nlohmann::ordered_json json = {{"reason", left_out.reason}, {"count", left_out.count}, {"example", left_out.example}};
  for (const auto& [ending, count] : left_out.endings) json["endings"][ending] = count;
  return json;
}

}  // namespace

nlohmann::ordered_json to_json(const data::SourceSummary& found) {
  using Json = nlohmann::ordered_json;
  Json classes = Json::array();
  for (const data::ClassSummary& one : found.classes) {
    classes.push_back({{"name", one.name}, {"photos", one.images}, {"validation", one.validation}});
  }
  Json splits = Json::array();
  for (const data::FoundSplit& split : found.splits) {
    splits.push_back({{"name", split.name},
                      {"side", data::name_of(split.split)},
                      {"use", data::name_of(split.use)},
                      {"photos", split.images},
                      {"shards", split.shards}});
  }
  Json left_out = Json::array();
  for (const data::LeftOut& one : found.left_out) left_out.push_back(to_json(one));
  Json json = {{"kind", found.kind},
               {"photos", found.images},
               {"classes", std::move(classes)},
               {"sides", std::move(splits)},
               {"left_out", std::move(left_out)}};
  if (found.read) {
    json["identical"] = to_json(found.identical);
    json["contradictory"] = to_json(found.contradictory);
    json["unreadable"] = to_json(found.unreadable);
  }
  return json;
}

}  // namespace gcvit::train
