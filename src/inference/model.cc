// SPDX-License-Identifier: Apache-2.0
#include "gcvit/model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/softmax.h"
#include "weights/wrapped_models.h"
#include "inference/engine.h"
#include "inference/labels.h"
#include "inference/model_state.h"
#include "inference/precision.h"
#include "inference/preprocessing.h"
#include "native/pack_model.h"
#include "formats/in_quotes.h"

namespace gcvit {
namespace {

void check(const ModelOptions& options) {
  if (options.device != Device::kCpu) fail(ErrorCode::kUnsupported, "[model] device: expected the CPU");
}

}  // namespace

namespace inference {

std::shared_ptr<ThreadPool> pool_for(const Model& model, int threads) {
  return threads == 0 ? model.state().pool : std::make_shared<ThreadPool>(threads);
}

weights::LoadOptions load_options_of(const ModelOptions& options) {
  weights::LoadOptions result;
  if (options.image_height != 0 || options.image_width != 0) {
    result.image_size = {options.image_height, options.image_width};
  }
  result.window_mode =
      options.window_mode == WindowMode::kExact ? model::WindowMode::kExact : model::WindowMode::kFixed;
  result.keras_example_bias = options.keras_example_bias;
  result.averaged = options.ema;
  result.max_memory = options.max_memory;
  return result;
}

}  // namespace inference

void Model::State::pack(weights::LoadedModel& loaded) {
  const auto all = static_cast<double>(loaded.model->parameter_count());
  std::int64_t ready = 0;
  bool int8 = false;
  bool bf16 = false;
  const auto values = [&](const ops::Parameter& parameter) {
    if (options.stop.stop_requested()) fail(ErrorCode::kCancelled, "[model] {}: opening was cancelled", file);
    if (options.progress) options.progress(static_cast<double>(ready) / all);
    ready += element_count(parameter.dims);
    const DType stored = loaded.values->dtype_of(parameter);
    ops::TypedValues typed = inference::in_precision(options.precision, parameter, loaded.values->typed(parameter));
    const DType dtype = typed.values.dtype();
    if (dtype != DType::kF32 && dtype != stored) rounded.insert(parameter.id);
    int8 = int8 || dtype == DType::kI8;
    bf16 = bf16 || dtype == DType::kBF16;
    return typed;
  };
  const auto forward = [&](ops::Backend& backend) {
    const model::GCViTConfig& wanted = loaded.model->config();
    loaded.model->forward(backend, ops::Value(backend, 0, {wanted.image_height, wanted.image_width, 3}));
  };
  packed = native::pack_model(forward, loaded.model->parameters(), values, *pool);
  if (options.keep_parameters) {
    for (ops::Parameter* parameter : loaded.model->parameters()) {
      if (!parameter->tensor.empty()) continue;
      parameter->tensor = Tensor::from_values(parameter->dims, loaded.values->of(*parameter).values());
    }
  }
  precision = int8 ? Precision::kInt8 : bf16 ? Precision::kBf16 : Precision::kF32;
  if (options.progress) options.progress(1.0);
  if (options.precision == Precision::kAuto && precision != Precision::kF32) {
    loaded.report.notices.push_back(fmt::format("{}: has {} weights and computes with them; --dtype f32 doesn't", file,
                                                inference::name_of(precision)));
  }
}

Model Model::State::open(formats::RawFile raw, const ModelOptions& options) {
  check(options);
  const std::string file = raw.file;
  weights::LoadOptions wanted = inference::load_options_of(options);
  wanted.values_later = true;
  // What no image could go through is refused before tables are resized for it.
  wanted.before_values = [&](const model::GCViT& model) {
    inference::Engine::check_memory(model, 1, options.threads, options.keep_parameters, options.max_memory);
  };
  weights::LoadedModel loaded = weights::load_model(std::move(raw), file, wanted);
  auto state = std::make_shared<State>();
  state->options = options;
  state->file = file;
  state->pool = std::make_shared<ThreadPool>(options.threads);
  state->pack(loaded);
  state->options.progress = {};
  state->options.stop = {};
  loaded.values.reset();
  state->info = std::move(loaded.info);
  state->report = std::move(loaded.report);
  state->labels = inference::class_labels(state->info);
  state->model = std::move(loaded.model);
  return Model(std::move(state));
}

Model Model::open(const std::string& path, const ModelOptions& options) {
  return State::open(formats::read_raw_file(path, weights::read_options(options.ema)), options);
}

Model Model::open(std::span<const std::byte> bytes, const std::string& name, const ModelOptions& options) {
  return State::open(formats::read_raw_file(bytes, name, weights::read_options(options.ema)), options);
}

std::int32_t Model::image_height() const { return state_->config().image_height; }
std::int32_t Model::image_width() const { return state_->config().image_width; }
std::int32_t Model::classes() const { return state_->config().classes; }
const std::vector<std::string>& Model::labels() const { return state_->labels; }
const std::string& Model::file() const { return state_->file; }
const std::string& Model::format() const { return state_->info.source.format; }
const std::string& Model::layout() const { return state_->info.source.layout; }
const std::vector<std::string>& Model::notices() const { return state_->report.notices; }
Precision Model::precision() const { return state_->precision; }
int Model::threads() const { return state_->pool->size(); }

std::string Model::preprocessing() const {
  return image::describe(inference::preprocessing_of(state_->info, Preset::kAuto, state_->file));
}

std::vector<ParameterInfo> Model::parameters() const {
  std::vector<ParameterInfo> result;
  for (const ops::Parameter* parameter : state_->model->parameters()) {
    result.push_back({parameter->name, parameter->dims});
  }
  return result;
}

std::vector<float> Model::parameter(std::string_view name) const {
  const auto parameters = state_->model->parameters();
  const auto found = std::ranges::find(parameters, name, [](const ops::Parameter* one) { return one->name; });
  if (found == parameters.end()) {
    fail(ErrorCode::kNotFound, "[model] {}: no parameter {}", state_->file, formats::in_quotes(name));
  }
  const ops::Parameter& parameter = **found;
  if (parameter.tensor.empty() && state_->rounded.contains(parameter.id)) {
    fail("[model] {}: {} was rounded to {} when it was packed: its values are there with keep_parameters alone",
         state_->file, formats::in_quotes(name), inference::name_of(state_->precision));
  }
  const Tensor values = parameter.tensor.empty() ? state_->packed->unpack(parameter) : parameter.tensor;
  return {values.values().begin(), values.values().end()};
}

std::size_t Model::weight_bytes() const {
  auto bytes = static_cast<std::size_t>(state_->packed->bytes());
  for (const ops::Parameter* parameter : state_->model->parameters()) bytes += parameter->tensor.bytes().size();
  return bytes;
}

std::vector<Prediction> Model::predictions(std::span<const float> logits, int k) const {
  if (k < 1) fail("[classifier] k: expected at least 1, found {}", k);
  if (logits.size() != labels().size()) {
    fail("[classifier] logits: expected {}, one a class, found {}", labels().size(), logits.size());
  }
  const std::vector<double> probabilities = softmax(logits, state_->info.temperature.value_or(1.0));
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::size_t count = std::min(static_cast<std::size_t>(k), order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
      [&](std::size_t a, std::size_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  std::vector<Prediction> predictions;
  for (std::size_t i = 0; i < count; ++i) {
    predictions.push_back(
        {static_cast<std::int32_t>(order[i]), labels()[order[i]], static_cast<float>(probabilities[order[i]])});
  }
  return predictions;
}

void Model::probabilities(std::span<const float> logits, std::span<float> out) const {
  if (logits.size() != labels().size() || out.size() != logits.size()) {
    fail("[classifier] probabilities: expected {} logits and room for as many, found {} and {}", labels().size(),
         logits.size(), out.size());
  }
  const std::vector<double> probabilities = softmax(logits, state_->info.temperature.value_or(1.0));
  std::ranges::transform(probabilities, out.begin(), [](double value) { return static_cast<float>(value); });
}

}  // namespace gcvit
