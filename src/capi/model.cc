// SPDX-License-Identifier: Apache-2.0
#include "gcvit/model.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "capi/guard.h"
#include "capi/handles.h"
#include "gcvit/version.h"

namespace gcvit::capi {
namespace {

static_assert(same(GCVIT_PRECISION_AUTO, Precision::kAuto) && same(GCVIT_PRECISION_F32, Precision::kF32) &&
              same(GCVIT_PRECISION_BF16, Precision::kBf16) && same(GCVIT_PRECISION_INT8, Precision::kInt8));
static_assert(same(GCVIT_PREPROCESS_AUTO, Preset::kAuto) && same(GCVIT_PREPROCESS_TIMM, Preset::kTimm) &&
              same(GCVIT_PREPROCESS_NVLABS, Preset::kNvlabs) && same(GCVIT_PREPROCESS_KERAS, Preset::kKeras) &&
              same(GCVIT_PREPROCESS_KERAS_TRAIN, Preset::kKerasTrain));
static_assert(same(GCVIT_WINDOWS_EXACT, WindowMode::kExact) && same(GCVIT_WINDOWS_FIXED, WindowMode::kFixed));

constexpr int kMostImagesInBatch = 1024;
/// A struct of a later version may be larger than ours; one larger than this was never initialised.
constexpr std::size_t kLargestStruct = 4096;

template <typename Struct>
void expect_struct(const Struct& given, std::size_t first_size, std::string_view what) {
  if (given.size < first_size || given.size > kLargestStruct) {
    refuse(std::string(what) + ": size", "its sizeof", std::to_string(given.size));
  }
}

/// The options that a caller of this or another version gave.
gcvit_options read_options(const gcvit_options* given) {
  gcvit_options options = GCVIT_OPTIONS_INIT;
  if (given == nullptr) return options;
  expect_struct(*given, offsetof(gcvit_options, max_memory) + sizeof(given->max_memory), "gcvit_options");
  const std::span bytes(reinterpret_cast<const unsigned char*>(given), given->size);
  const std::size_t known = std::min(bytes.size(), sizeof options);
  if (!std::ranges::all_of(bytes.subspan(known), [](unsigned char byte) { return byte == 0; })) {
    throw Error(ErrorCode::kUnsupported, "[gcvit.h] gcvit_options: a field is set that this version doesn't know");
  }
  std::memcpy(&options, bytes.data(), known);
  return options;
}

bool checked_flag(std::int32_t value, std::string_view what) { return checked<std::int32_t>(value, 2, what) == 1; }

ModelOptions model_options_of(const gcvit_options& options) {
  ModelOptions out;
  out.precision = checked<Precision>(options.precision, 4, "precision");
  out.threads = options.threads;
  out.image_height = options.image_height;
  out.image_width = options.image_width;
  out.window_mode = checked<WindowMode>(options.window_mode, 2, "window_mode");
  out.keras_example_bias = checked_flag(options.keras_example_bias, "keras_example_bias");
  const auto weights = checked<std::int32_t>(options.weights, 3, "weights");
  if (weights != GCVIT_WEIGHTS_USUAL) out.ema = weights == GCVIT_WEIGHTS_AVERAGED;
  out.max_memory = options.max_memory;
  return out;
}

SessionOptions session_options_of(const gcvit_options& options) {
  SessionOptions out;
  out.images.preprocess = checked<Preset>(options.preprocess, 5, "preprocess");
  out.images.apply_exif = !checked_flag(options.ignore_orientation, "ignore_orientation");
  if (options.max_pixels != 0) out.images.max_pixels = options.max_pixels;
  return out;
}

int checked_batch(std::int32_t batch) {
  if (batch < 0 || batch > kMostImagesInBatch) {
    refuse("batch", "0 to " + std::to_string(kMostImagesInBatch) + " images", std::to_string(batch));
  }
  return batch == 0 ? 8 : batch;
}

/// Opens by `open(ModelOptions)`.
template <typename Open>
gcvit_status open_model(const gcvit_options* given, gcvit_model** out, const Open& open) {
  if (out != nullptr) *out = nullptr;
  return guarded([&] {
    expect_pointer(out, "model");
    const gcvit_options options = read_options(given);
    const SessionOptions session_options = session_options_of(options);
    const int batch = checked_batch(options.batch);
    Model model = open(model_options_of(options));
    std::string preprocessing = model.preprocessing();
    auto handle = std::make_unique<gcvit_model>();
    handle->opened.reset(new OpenModel{.model = std::move(model),
                                       .session_options = session_options,
                                       .batch = batch,
                                       .preprocessing = std::move(preprocessing),
                                       .mutex = {},
                                       .idle = {}});
    const Lease first(*handle->opened);  // refuses options that don't fit the model
    *out = handle.release();
  });
}

const std::string& one_of(const std::vector<std::string>& sentences, std::int32_t index, const std::string& what) {
  if (index < 0 || static_cast<std::size_t>(index) >= sentences.size()) {
    throw Error(ErrorCode::kNotFound, "[gcvit.h] " + what + ": expected one of " + std::to_string(sentences.size()) +
                                          ", from 0, found " + std::to_string(index));
  }
  return sentences[static_cast<std::size_t>(index)];
}

}  // namespace

Lease::Lease(OpenModel& model) : model_(model) {
  {
    const std::scoped_lock lock(model_.mutex);
    if (!model_.idle.empty()) {
      session_ = std::move(model_.idle.back());
      model_.idle.pop_back();
      return;
    }
    model_.idle.reserve(++model_.sessions);  // giving it back must not fail
  }
  session_ = std::make_unique<Session>(model_.model, model_.session_options);
}

Lease::~Lease() {
  const std::scoped_lock lock(model_.mutex);
  model_.idle.push_back(std::move(session_));
}

OpenModel& opened(const gcvit_model* model) {
  expect_pointer(model, "model");
  return *model->opened;
}

}  // namespace gcvit::capi

using namespace gcvit::capi;

extern "C" {

const char* gcvit_version(void) { return GCVIT_VERSION; }

gcvit_status gcvit_model_open(const char* path, const gcvit_options* options, gcvit_model** model) {
  return open_model(options, model, [&](const gcvit::ModelOptions& model_options) {
    expect_pointer(path, "path");
    return gcvit::Model::open(path, model_options);
  });
}

gcvit_status gcvit_model_open_bytes(const void* bytes, size_t size, const char* name, const gcvit_options* options,
                                    gcvit_model** model) {
  return open_model(options, model, [&](const gcvit::ModelOptions& model_options) {
    expect_pointer(bytes, "bytes");
    return gcvit::Model::open(std::span(static_cast<const std::byte*>(bytes), size), name != nullptr ? name : "model",
                              model_options);
  });
}

void gcvit_model_free(gcvit_model* model) { delete model; }

gcvit_status gcvit_model_info(const gcvit_model* model, gcvit_info* info) {
  return guarded([&] {
    const OpenModel& open = opened(model);
    expect_pointer(info, "info");
    expect_struct(*info, offsetof(gcvit_info, preprocessing) + sizeof(info->preprocessing), "gcvit_info");
    gcvit_info known = GCVIT_INFO_INIT;
    known.size = info->size;
    known.image_height = open.model.image_height();
    known.image_width = open.model.image_width();
    known.classes = open.model.classes();
    known.precision = static_cast<std::int32_t>(open.model.precision());
    known.threads = open.model.threads();
    known.notices = static_cast<std::int32_t>(open.model.notices().size());
    known.tensor_floats =
        static_cast<std::size_t>(known.image_height) * static_cast<std::size_t>(known.image_width) * 3;
    known.weight_bytes = open.model.weight_bytes();
    known.file = open.model.file().c_str();
    known.format = open.model.format().c_str();
    known.layout = open.model.layout().c_str();
    known.preprocessing = open.preprocessing.c_str();
    std::memset(info, 0, info->size);
    std::memcpy(info, &known, std::min(known.size, sizeof known));
  });
}

gcvit_status gcvit_class_name(const gcvit_model* model, int32_t index, const char** name) {
  return guarded([&] {
    expect_pointer(name, "name");
    *name = one_of(opened(model).model.labels(), index, "class").c_str();
  });
}

gcvit_status gcvit_model_notice(const gcvit_model* model, int32_t index, const char** sentence) {
  return guarded([&] {
    expect_pointer(sentence, "sentence");
    *sentence = one_of(opened(model).model.notices(), index, "notice").c_str();
  });
}

}  // extern "C"
