// SPDX-License-Identifier: Apache-2.0
#include "serve/model_card.h"

#include <cstdint>
#include <utility>

#include "inference/labels.h"
#include "inference/model_state.h"
#include "inference/precision.h"
#include "inference/session_state.h"
#include "model/gcvit.h"
#include "image/preprocess.h"

namespace gcvit::serve {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int32_t kImageNetClasses = 1000;

Json sides(const ops::Window& window) { return {window.height, window.width}; }

Json level_of(const model::GCViTConfig& config, int level) {
  const auto at = static_cast<std::size_t>(level);
  Json global_blocks = Json::array();
  for (std::int32_t block = 1; block < config.depths[at]; block += 2) global_blocks.push_back(block);
  return {{"level", level + 1},
          {"blocks", config.depths[at]},
          {"heads", config.heads[at]},
          {"channels", config.channels(level)},
          {"map", sides(config.map(level))},
          {"window", sides(config.windows[at])},
          {"global_blocks", std::move(global_blocks)},
          {"query", sides(config.windows[at])}};
}

}  // namespace

nlohmann::ordered_json model_card(std::string_view name, const Session& session) {
  const Model& model = session.model();
  const Model::State& state = model.state();
  const model::GCViTConfig& config = state.config();
  // Names that only count ("class 17") tell nothing.
  const bool has_names = !state.info.classes.empty() || model.classes() == kImageNetClasses;
  Json card = {{"name", name},
               {"family", "gcvit"},
               {"preset", model::variant_name(config)},
               {"parameters", state.model->parameter_count()},
               {"bytes", model.weight_bytes()},
               {"dtype", inference::name_of(model.precision())},
               {"classes", model.classes()},
               {"labels", has_names ? Json(model.labels()) : Json::array()},
               {"image_size", {model.image_height(), model.image_width()}},
               {"preprocessing", image::describe(session.state().preparation.preprocess)},
               {"format", model.format()},
               {"layout", model.layout()}};
  if (state.info.temperature) card["temperature"] = *state.info.temperature;
  card["levels"] = Json::array();
  for (int level = 0; level < model::kLevels; ++level) card["levels"].push_back(level_of(config, level));
  return card;
}

std::string models_json(nlohmann::ordered_json cards, bool explains) {
  const Json json = {{"models", std::move(cards)}, {"explain", explains}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace gcvit::serve
