// SPDX-License-Identifier: Apache-2.0
#include "train/found_json.h"

#include <utility>

namespace gcvit::train {
namespace {

nlohmann::ordered_json to_json(const data::LeftOut& left_out) {
  nlohmann::ordered_json json = {{"reason", left_out.reason}, {"count", left_out.count}, {"example", left_out.example}};
  for (const auto& [ending, count] : left_out.endings) json["endings"][ending] = count;
  return json;
}

}  // namespace

nlohmann::ordered_json to_json(const data::Found& found) {
  using Json = nlohmann::ordered_json;
  Json classes = Json::array();
  for (const data::ClassFound& one : found.classes) {
    classes.push_back({{"name", one.name}, {"photos", one.images}, {"validation", one.validation}});
  }
  Json sides = Json::array();
  for (const data::SideFound& side : found.sides) {
    sides.push_back({{"name", side.name},
                     {"side", data::name_of(side.side)},
                     {"use", data::name_of(side.use)},
                     {"photos", side.images},
                     {"shards", side.shards}});
  }
  Json left_out = Json::array();
  for (const data::LeftOut& one : found.left_out) left_out.push_back(to_json(one));
  Json json = {{"kind", found.kind},
               {"photos", found.images},
               {"classes", std::move(classes)},
               {"sides", std::move(sides)},
               {"left_out", std::move(left_out)}};
  if (found.read) {
    json["identical"] = to_json(found.identical);
    json["contradictory"] = to_json(found.contradictory);
    json["unreadable"] = to_json(found.unreadable);
  }
  return json;
}

}  // namespace gcvit::train
