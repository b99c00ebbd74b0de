// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "kernels/optimiser.h"
#include "base/error.h"
#include "base/json.h"
#include "digest/sha256.h"
#include "train/json_bytes.h"
#include "formats/safetensors.h"

namespace gcvit::train {
namespace {

using formats::NamedTensor;
using nlohmann::json;

constexpr const char* kKey = "gcvit.train";
/// 1 has neither labels nor stamps of the photos, and texts in UTF-8 alone.
constexpr int kFormat = 2;
constexpr int kOldestFormat = 1;
/// Rows of as many epochs as the header of a .safetensors file can hold.
constexpr JsonLimits kLimits = {.bytes = formats::kMaximalSafetensorsHeader, .values = std::size_t{1} << 23};

std::string slot_name(const std::string& slot, const std::string& parameter) {
  return "optimiser." + slot + ":" + parameter;
}

Tensor view_of(const Dims& dims, std::span<const float> values) {
  return {DType::kF32, dims, nullptr, std::as_bytes(values)};
}

json to_json(const EpochRow& row) {
  json value = {{"epoch", row.epoch}, {"loss", row.loss},       {"accuracy", row.accuracy},
                {"lr", row.lr},       {"seconds", row.seconds}, {"images_per_second", row.images_per_second}};
  if (row.val_loss) value["val_loss"] = *row.val_loss;
  if (row.val_accuracy) value["val_accuracy"] = *row.val_accuracy;
  return value;
}

EpochRow row_from_json(const JsonPlace& value) {
  EpochRow row;
  value.key("epoch").get_to(row.epoch);
  value.key("loss").get_to(row.loss);
  value.key("accuracy").get_to(row.accuracy);
  value.key("lr").get_to(row.lr);
  value.key("seconds").get_to(row.seconds);
  value.key("images_per_second").get_to(row.images_per_second);
  if (value.has("val_loss")) row.val_loss = value.key("val_loss").number();
  if (value.has("val_accuracy")) row.val_accuracy = value.key("val_accuracy").number();
  return row;
}

json to_json(const RunState& state) {
  json recipe = train::to_json(state.recipe);
  for (json& field : recipe) {
    if (field.is_string()) field = text_to_json(field.get<std::string>());
  }
  json value = {{"format", kFormat},
                {"recipe", std::move(recipe)},
                {"weights", text_to_json(state.weights)},
                {"data", text_to_json(state.data)},
                {"step", state.step},
                {"epoch", state.epoch},
                {"position", state.position},
                {"loss_sum", state.loss_sum},
                {"correct", state.correct},
                {"seen", state.seen},
                {"seconds", state.seconds},
                {"rows", json::array()},
                {"skipped", json::array()}};
  for (const std::string& name : state.skipped) value["skipped"].push_back(text_to_json(name));
  for (const EpochRow& row : state.rows) value["rows"].push_back(to_json(row));
  if (state.best) {
    value["best"] = {{"epoch", state.best->epoch}, {"accuracy", state.best->accuracy}, {"loss", state.best->loss}};
  }
  return value;
}

RunState state_from_json(const JsonPlace& value, const std::string& file) {
  const int format = value.key("format").integer<int>();
  if (format < kOldestFormat || format > kFormat) {
    fail("[checkpoint] {}: its format is {}: this program reads formats {} to {}; a newer one may read it", file,
         format, kOldestFormat, kFormat);
  }
  RunState state;
  const JsonPlace stored = value.key("recipe");
  json recipe = stored.value();
  for (const auto& [name, field] : recipe.items()) {
    if (field.is_object()) field = text_from_json(stored.key(name));
  }
  state.recipe = recipe_from_json(recipe, file);
  state.stamped = format >= 2;
  state.weights = text_from_json(value.key("weights"));
  state.data = text_from_json(value.key("data"));
  value.key("step").get_to(state.step);
  value.key("epoch").get_to(state.epoch);
  value.key("position").get_to(state.position);
  value.key("loss_sum").get_to(state.loss_sum);
  value.key("correct").get_to(state.correct);
  value.key("seen").get_to(state.seen);
  value.key("seconds").get_to(state.seconds);
  const JsonPlace skipped = value.key("skipped");
  for (std::size_t i = 0; i < skipped.size(); ++i) state.skipped.push_back(text_from_json(skipped.element(i)));
  const JsonPlace rows = value.key("rows");
  for (std::size_t i = 0; i < rows.size(); ++i) state.rows.push_back(row_from_json(rows.element(i)));
  if (value.has("best")) {
    const JsonPlace best = value.key("best");
    state.best =
        Best{best.key("epoch").integer<std::int32_t>(), best.key("accuracy").number(), best.key("loss").number()};
  }
  return state;
}

/// A side of the split as a tensor of bytes, too long a text for a header. A photo is its place, label, whether its file
/// is there, the file's size and time, the hash or "-", its name and a zero byte: "12 4 1 9127 1700000000123456789 -
/// roses/3.jpg".
Tensor list_tensor(const std::vector<SplitImage>& images) {
  const auto text = std::make_shared<std::string>();
  for (const SplitImage& image : images) {
    const data::ImageStamp& stamp = image.stamp;
    text->append(fmt::format("{} {} {:d} {} {} {} {}", image.sample, image.label, stamp.there, stamp.size, stamp.time,
                             stamp.sha256.empty() ? "-" : stamp.sha256, image.name));
    text->push_back('\0');
  }
  return {DType::kU8, {static_cast<std::int64_t>(text->size())}, text, std::as_bytes(std::span(*text))};
}

/// The words of a line, one at a time; the last is the rest of it.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}

  std::string_view word() {
    const std::size_t space = rest_.find(' ');
    whole_ = whole_ && space != std::string_view::npos;
    const std::string_view found = rest_.substr(0, space);
    rest_.remove_prefix(std::min(found.size() + 1, rest_.size()));
    return found;
  }
  template <typename Number>
  void number(Number& value) {
    const std::string_view text = word();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    whole_ = whole_ && error == std::errc() && end == text.data() + text.size();
  }
  std::string_view rest() const { return rest_; }
  /// Whether all that was asked for was there.
  bool whole() const { return whole_; }

 private:
  std::string_view rest_;
  bool whole_ = true;
};

/// `stamped`: as `list_tensor` writes it; else the place and the name alone.
std::vector<SplitImage> list_of(const Tensor& tensor, bool stamped, const std::string& file) {
  std::vector<SplitImage> images;
  std::string_view text(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.bytes().size());
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\0'));
    SplitImage image;
    Words words(line);
    words.number(image.sample);
    if (stamped) {
      int there = 0;
      words.number(image.label);
      words.number(there);
      words.number(image.stamp.size);
      words.number(image.stamp.time);
      image.stamp.there = there == 1;
      const std::string_view hash = words.word();
      if (hash != "-") image.stamp.sha256 = hash;
    }
    if (line.size() == text.size() || !words.whole()) {
      fail("[checkpoint] {}: a list of photos is not as it was written", file);
    }
    image.name = words.rest();
    images.push_back(std::move(image));
    text.remove_prefix(line.size() + 1);
  }
  return images;
}

using ByName = std::map<std::string_view, const Tensor*>;

ByName by_name_of(std::span<const NamedTensor> tensors) {
  ByName by_name;
  for (const NamedTensor& entry : tensors) by_name.emplace(entry.name, &entry.tensor);
  return by_name;
}

const Tensor& find(const ByName& by_name, const std::string& name, const Dims& dims, const std::string& file) {
  const auto found = by_name.find(name);
  if (found == by_name.end()) fail("[checkpoint] {}: expected a tensor \"{}\", found none", file, name);
  if (found->second->dims() != dims) {
    fail("[checkpoint] {}: tensor \"{}\": expected {}, found {}", file, name, to_string(dims),
         to_string(found->second->dims()));
  }
  return *found->second;
}

/// Refuses values that a run never writes, as resuming with them would go wrong.
void check_state(const RunState& state, const std::string& file) {
  const auto expect = [&](bool holds, std::string_view key, std::string_view expected) {
    if (!holds) fail("[checkpoint] {}: {}: {}: expected {}, found another", file, kKey, key, expected);
  };
  expect(state.step >= 0, "step", "0 or more");
  expect(state.epoch >= 0 && static_cast<std::size_t>(state.epoch) == state.rows.size(), "epoch", "a row for each");
  expect(state.best.has_value() == (state.epoch > 0), "best", "one as soon as an epoch is done");
  expect(state.position <= state.train.size(), "position", "at most the photos to train on");
  expect(state.seen >= 0 && state.correct >= 0 && state.correct <= state.seen, "correct", "at most those seen");
  expect(std::isfinite(state.loss_sum) && std::isfinite(state.seconds), "loss_sum", "finite numbers");
}

void check_finite(const NamedTensor& entry, const std::string& path) {
  if (entry.tensor.dtype() != DType::kF32) return;
  const std::span<const float> values = entry.tensor.values();
  if (kernels::all_finite(values.data(), static_cast<std::int64_t>(values.size()))) return;
  const auto broken = std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
  fail("[checkpoint] {}: {}: element {} is {}: not saved", path, entry.name, broken - values.begin(), *broken);
}

}  // namespace

std::string checkpoint_sum(std::span<const NamedTensor> tensors, const std::map<std::string, std::string>& metadata) {
  Sha256 sum;
  const auto add_text = [&](std::string_view text) {
    const std::uint64_t size = text.size();
    sum.update(std::as_bytes(std::span(&size, 1)));
    sum.update(std::as_bytes(std::span(text)));
  };
  for (const auto& [name, tensor] : by_name_of(tensors)) {
    add_text(name);
    sum.update(tensor->bytes());
  }
  for (const auto& [key, text] : metadata) {
    if (key == kCheckpointSum) continue;
    add_text(key);
    add_text(text);
  }
  return sum.finish();
}

void write_checkpoint(const std::string& path, const RunState& state, const model::GCViT& model,
                      const weights::ModelInfo& info, std::span<const ops::Parameter* const> trained,
                      std::span<const Optimiser::Slot> slots) {
  std::vector<NamedTensor> tensors;
  for (const ops::Parameter* parameter : model.parameters()) tensors.push_back({parameter->name, parameter->tensor});
  for (const Optimiser::Slot& slot : slots) {
    for (const ops::Parameter* parameter : trained) {
      tensors.push_back(
          {slot_name(slot.name, parameter->name), view_of(parameter->dims, slot.values->read(*parameter))});
    }
  }
  for (const NamedTensor& entry : tensors) check_finite(entry, path);
  tensors.push_back({"split.train", list_tensor(state.train)});
  tensors.push_back({"split.validation", list_tensor(state.validation)});
  weights::ModelInfo written = info;
  written.config = model.config();
  std::map<std::string, std::string> metadata = weights::serialise_model_info(written);
  metadata[kKey] = to_json(state).dump();
  metadata[kCheckpointSum] = checkpoint_sum(tensors, metadata);
  formats::write_safetensors(path, tensors, metadata);
}

Checkpoint read_checkpoint(const std::string& path) { return parse_checkpoint(formats::read_safetensors(path), path); }

Checkpoint parse_checkpoint(formats::RawFile raw, const std::string& path) {
  Checkpoint checkpoint{.file = path, .state = {}, .info = {}, .raw = std::move(raw)};
  const std::map<std::string, std::string>& metadata = checkpoint.raw.metadata;
  if (!metadata.contains(kKey) || !metadata.contains(kCheckpointSum)) {
    fail("[checkpoint] {}: expected the checkpoint of a training run, found another .safetensors", path);
  }
  if (checkpoint_sum(checkpoint.raw.tensors, metadata) != metadata.at(kCheckpointSum)) {
    fail("[checkpoint] {}: its bytes are not those that were written: the SHA-256 differs", path);
  }
  checkpoint.info = weights::parse_model_info(metadata, path);
  // Before anyone makes room for a model of this config.
  const ByName by_name = by_name_of(checkpoint.raw.tensors);
  const model::GCViT described(checkpoint.info.config);
  for (const ops::Parameter* parameter : described.parameters()) {
    (void)find(by_name, parameter->name, parameter->dims, path);
  }
  read_json(
      metadata.at(kKey), "checkpoint", fmt::format("{}: {}", path, kKey),
      [&](const JsonPlace& root) { checkpoint.state = state_from_json(root, path); }, kLimits);
  const bool stamped = checkpoint.state.stamped;
  for (const NamedTensor& entry : checkpoint.raw.tensors) {
    if (entry.name == "split.train") checkpoint.state.train = list_of(entry.tensor, stamped, path);
    if (entry.name == "split.validation") checkpoint.state.validation = list_of(entry.tensor, stamped, path);
  }
  check_state(checkpoint.state, path);
  return checkpoint;
}

void restore(const Checkpoint& checkpoint, model::GCViT& model, std::span<const ops::Parameter* const> trained,
             std::span<const Optimiser::Slot> slots) {
  const ByName by_name = by_name_of(checkpoint.raw.tensors);
  const auto values_of = [&](const std::string& name, const Dims& dims) {
    return find(by_name, name, dims, checkpoint.file).to_f32();
  };
  for (ops::Parameter* parameter : model.parameters()) {
    std::ranges::copy(values_of(parameter->name, parameter->dims).values(), parameter->tensor.mutable_values().begin());
    ++parameter->version;
  }
  for (const Optimiser::Slot& slot : slots) {
    for (const ops::Parameter* parameter : trained) {
      slot.values->write(*parameter, values_of(slot_name(slot.name, parameter->name), parameter->dims).values());
    }
  }
}

}  // namespace gcvit::train
