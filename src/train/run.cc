// SPDX-License-Identifier: Apache-2.0
#include "train/run.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "inference/memory_need.h"
#include "gcvit/version.h"
#include "model/parameters.h"
#include "model/tensor_table.h"
#include "report/event_file.h"
#include "report/pictures.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "train/feature_source.h"
#include "train/source_json.h"
#include "train/gradient_sum.h"
#include "train/make_executor.h"
#include "train/progress.h"
#include "train/results.h"
#include "train/run_log.h"
#include "train/schedule.h"
#include "train/trainer.h"
#include "train/validation_list.h"
#include "weights/load.h"

namespace gcvit::train {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds below which an epoch isn't worth a checkpoint: a linear probe has hundreds a minute.
constexpr double kShortEpoch = 10.0;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<const ops::Parameter*> constant(const std::vector<ops::Parameter*>& parameters) {
  return {parameters.begin(), parameters.end()};
}

std::vector<SplitImage> images_of(const Prepared& prepared, const std::vector<std::size_t>& samples) {
  std::vector<SplitImage> images;
  images.reserve(samples.size());
  for (const std::size_t sample : samples) {
    const data::Sample& image = prepared.set.samples[sample];
    images.push_back({sample, image.name, image.label, prepared.stamps[sample]});
  }
  return images;
}

/// Throws `Error` when training, or the features of a linear probe, would take more memory than the run may.
void check_memory_of(const Prepared& prepared, const Recipe& recipe, const RunOptions& options) {
  const model::GCViTConfig& config = prepared.model->config();
  const inference::MemoryNeed need(*prepared.model);
  const int threads = options.threads == 0 ? available_processors() : options.threads;
  const auto batch = static_cast<double>(recipe.batch_size);
  const auto slice = static_cast<double>(slice_images({config.image_height, config.image_width, 3}));
  const double needed = recipe.linear_probe ? need.of_run(std::max(batch, slice), threads, true)
                                            : need.of_training(batch, slice, recipe.grad_checkpointing, threads);
  check_memory(
      needed, options.max_memory,
      fmt::format("batches of {} images of {}x{}", recipe.batch_size, config.image_height, config.image_width));
}

void note_images(RunState& state, const Prepared& prepared) {
  state.train = images_of(prepared, prepared.split.train);
  state.validation = images_of(prepared, prepared.split.validation);
  state.stamped = true;
}

/// Thrown out of long work between steps when the run is to stop.
struct Stopped {};

class Run {
 public:
  Run(RunFolder& folder, const RunOptions& options, Prepared prepared, RunState state)
      : folder_(folder),
        options_(options),
        prepared_(std::move(prepared)),
        state_(std::move(state)),
        skipped_(state_.skipped.begin(), state_.skipped.end()),
        pool_(options.threads),
        progress_(options.watcher) {}

  Outcome go(const Checkpoint* from);

 private:
  const Recipe& recipe() const { return state_.recipe; }
  void build(bool is_new);
  void shorten_warmup();
  Network whole_network();
  Network head_network();
  void restore_from(const Checkpoint& checkpoint);
  RunStart start() const;
  bool at_end() const;
  void train_epoch();
  void end_epoch();
  std::optional<Validation> validate();
  std::optional<Validation> validate_average();
  void finish();
  /// Whether the epoch is the best so far, which is then noted.
  bool note_best(const EpochRow& row);
  void save_model(const std::string& name);
  void save_checkpoint();
  void write_config() const;
  void skip(const data::SkippedSample& skipped);
  void stop_if_asked() const {
    if (options_.stop()) throw Stopped{};
  }

  RunFolder& folder_;
  const RunOptions& options_;
  Prepared prepared_;
  RunState state_;
  std::set<std::string> skipped_;
  ThreadPool pool_;
  Progress progress_;
  ops::Linear head_;  ///< of a linear probe: shares its tensors with the model's
  std::unique_ptr<SoftLabels> soft_;
  std::unique_ptr<BatchSource> source_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Schedule> schedule_;
  std::unique_ptr<report::EventFile> events_;
  std::unique_ptr<StepLog> steps_;
  std::int64_t steps_per_epoch_ = 0;
  double feature_seconds_ = 0.0;  ///< that the features of a linear probe took
  Clock::time_point saved_ = Clock::now();
};

Network Run::whole_network() {
  model::GCViT& model = *prepared_.model;
  const model::GCViTConfig& config = model.config();
  return {
      .parameters = {model.parameters().begin(), model.parameters().end()},
      .groups = parameter_groups(std::as_const(model).parameters(), config, recipe()),
      .input = {config.image_height, config.image_width, 3},
      .classes = config.classes,
      .forward = [&model](ops::Backend& backend, const ops::Value& image) { return model.forward(backend, image); }};
}

Network Run::head_network() {
  const model::GCViTConfig& config = prepared_.model->config();
  const std::int32_t channels = config.channels(model::kLevels - 1);
  head_ = model::make_linear(channels, config.classes);
  std::vector<ops::Parameter*> parameters;
  model::visit(head_, [&](ops::Parameter& parameter) {
    const std::string name(parameter.role == ops::Role::kBias ? model::tensors::kHeadBias
                                                              : model::tensors::kHeadWeight);
    parameter.name = name;
    parameter.id = static_cast<std::int32_t>(parameters.size());
    for (const ops::Parameter* whole : prepared_.model->parameters()) {
      if (whole->name == name) parameter.tensor = whole->tensor;
    }
    ++parameter.version;
    parameters.push_back(&parameter);
  });
  return {.parameters = parameters,
          .groups = parameter_groups(constant(parameters), config, recipe()),
          .input = {1, 1, channels},
          .classes = config.classes,
          .forward = [this](ops::Backend& backend, const ops::Value& features) {
            return backend.linear(features, head_, {});
          }};
}

/// Rising all the way is no way to use a short run: the warm-up takes a fifth of the steps at most.
void Run::shorten_warmup() {
  const Schedule asked(recipe(), steps_per_epoch_);
  const std::int64_t most = asked.steps() / 5;
  if (asked.warmup_steps() <= most) return;
  state_.recipe.warmup_epochs = static_cast<double>(most) / static_cast<double>(steps_per_epoch_);
  options_.notice(fmt::format("[train] the warm-up takes {} of {} steps in place of {}: --warmup-epochs sets it", most,
                              asked.steps(), asked.warmup_steps()));
}

void Run::build(bool is_new) {
  const data::Partition& split = prepared_.split;
  const auto skipped = [this](const data::SkippedSample& sample) { skip(sample); };
  if (!recipe().soft_labels.empty()) {
    soft_ = std::make_unique<SoftLabels>(recipe().soft_labels, prepared_.set, split.train,
                                         prepared_.info.config.classes, recipe().soft_temperature);
    if (soft_->without() > 0) {
      options_.notice(
          fmt::format("[train] {}: no line for {} of {} photos to train on: their labels stand for a teacher",
                      recipe().soft_labels, soft_->without(), split.train.size()));
    }
  }
  auto images = std::make_unique<ImageSource>(prepared_.set, split, recipe(), prepared_.preprocess, pool_.size(),
                                              options_.max_memory);
  options_.notice(fmt::format("[train] {} photos to train on, {} to validate, {} classes; photos: {}",
                              split.train.size(), split.validation.size(), prepared_.info.config.classes,
                              data::describe(images->augment())));
  if (recipe().linear_probe) {
    options_.notice(
        fmt::format("[train] linear probe: the head alone trains, on the features of all photos, which are "
                    "computed once{}",
                    recipe().augment == "flip" ? ", and once of the mirrored photos to train on" : ""));
    progress_.begin_features(static_cast<std::int64_t>(split.train.size() + split.validation.size()));
    std::int64_t images_done = 0;
    const std::unique_ptr<ops::Executor> executor = make_executor(pool_);
    source_ = std::make_unique<FeatureSource>(*prepared_.model, *images, recipe(), *executor, skipped,
                                              [&](std::int64_t done) {
                                                images_done = done;
                                                progress_.features(done);
                                                stop_if_asked();
                                              });
    feature_seconds_ = progress_.end_features(images_done);
  } else {
    source_ = std::move(images);
  }
  trainer_ = std::make_unique<Trainer>(recipe().linear_probe ? head_network() : whole_network(), recipe(), soft_.get(),
                                       make_executor(pool_), skipped);
  const auto images_per_epoch = static_cast<std::int64_t>(source_->training_images());
  steps_per_epoch_ = (images_per_epoch + trainer_->images_per_step() - 1) / trainer_->images_per_step();
  if (steps_per_epoch_ == 0) fail("[train] {}: none of the photos to train on can be read", options_.data);
  if (is_new && !options_.keep_warmup) shorten_warmup();
  schedule_ = std::make_unique<Schedule>(recipe(), steps_per_epoch_);
}

void Run::restore_from(const Checkpoint& checkpoint) {
  restore(checkpoint, *prepared_.model, constant(trainer_->network().parameters), trainer_->optimiser().slots());
  for (ops::Parameter* parameter : trainer_->network().parameters) ++parameter->version;
  trainer_->optimiser().set_updates(state_.step);
}

RunStart Run::start() const {
  return {.epochs = recipe().epochs,
          .steps_per_epoch = steps_per_epoch_,
          .steps = schedule_->steps(),
          .epochs_done = state_.epoch,
          .steps_done = state_.step,
          .train_photos = state_.train.size(),
          .validation_photos = state_.validation.size(),
          .classes = prepared_.info.config.classes};
}

bool Run::at_end() const {
  if (state_.step >= schedule_->steps() && state_.position == 0) return true;
  if (state_.epoch >= recipe().epochs) return true;
  return recipe().early_stop > 0 && state_.best && state_.epoch - state_.best->epoch >= recipe().early_stop;
}

Outcome Run::go(const Checkpoint* from) {
  try {
    // The features of a linear probe come from the weights that the run began with, whose body it never changes.
    if (from != nullptr) restore(*from, *prepared_.model, {}, {});
    build(from == nullptr);
    if (from != nullptr) {
      restore_from(*from);
      folder_.clear_half_written();
      options_.notice(fmt::format("[train] going on behind step {} of {}", state_.step, schedule_->steps()));
    } else {
      folder_.make();
      save_checkpoint();
    }
    // A run that goes on may have been killed before it had one.
    const bool as_it_began = from != nullptr && from->state.recipe == recipe();
    if (!as_it_began || !std::filesystem::exists(folder_ / "config.json")) write_config();
    if (from == nullptr || !std::filesystem::exists(folder_ / "val.txt")) {
      write_validation_list(folder_ / "val.txt", state_, options_.notice);
    }
    write_run_log(folder_ / "log.csv", state_.rows);
    steps_ = std::make_unique<StepLog>(folder_ / "steps.csv", state_.step);
    events_ = std::make_unique<report::EventFile>(folder_.path(), state_.epoch + 1);
    folder_.keep();
    options_.watcher.started(start());
    while (!at_end()) {
      train_epoch();
      end_epoch();
    }
    finish();
  } catch (const Stopped&) {
    progress_.clear();
    if (trainer_ != nullptr) save_checkpoint();
    return Outcome::kStopped;
  }
  return Outcome::kFinished;
}

void Run::train_epoch() {
  const auto images = static_cast<std::int64_t>(source_->training_images());
  const std::int64_t before =
      (static_cast<std::int64_t>(state_.position) + trainer_->images_per_step() - 1) / trainer_->images_per_step();
  const std::int64_t steps = std::min(steps_per_epoch_, schedule_->steps() - state_.step + before);
  const std::int64_t later = schedule_->steps() - (state_.step - before + steps);
  progress_.begin_epoch(state_.epoch + 1, recipe().epochs, steps, before, later);
  source_->start_training(static_cast<std::uint64_t>(state_.epoch), state_.position);
  while (state_.step < schedule_->steps()) {
    const std::int64_t left = images - static_cast<std::int64_t>(state_.position);
    if (left <= 0) break;
    const Clock::time_point start = Clock::now();
    const double lr = schedule_->lr(state_.step);
    const std::optional<StepResult> result =
        trainer_->step(*source_, state_.step, std::min(left, trainer_->images_per_step()), lr);
    if (!result) break;
    ++state_.step;
    steps_->add(state_.step, result->loss_sum / static_cast<double>(result->images), lr);
    state_.position = result->position;
    state_.loss_sum += result->loss_sum;
    state_.correct += result->correct;
    state_.seen += result->images;
    state_.seconds += seconds_since(start);
    const auto seen = static_cast<double>(state_.seen);
    progress_.step(result->images, state_.loss_sum / seen, static_cast<double>(state_.correct) / seen, lr);
    stop_if_asked();
    if (seconds_since(saved_) >= 60.0 * options_.checkpoint_minutes) save_checkpoint();
  }
  if (state_.seen == 0) fail("[train] {}: none of the photos to train on can be read", options_.data);
}

std::optional<Validation> Run::validate() {
  const auto total = static_cast<std::int64_t>(source_->validation_images());
  if (total == 0) return std::nullopt;
  Validation validation = trainer_->validate(*source_, [&](std::int64_t done) {
    progress_.validate(done, total);
    stop_if_asked();
  });
  if (validation.samples.empty()) fail("[train] {}: none of the photos to validate can be read", options_.data);
  return validation;
}

std::optional<Validation> Run::validate_average() {
  const WithAverage average(trainer_->optimiser());
  return validate();
}

bool Run::note_best(const EpochRow& row) {
  if (row.val_accuracy && state_.best) {
    const Best& best = *state_.best;
    const bool better =
        *row.val_accuracy != best.accuracy ? *row.val_accuracy > best.accuracy : *row.val_loss < best.loss;
    if (!better) return false;
  }
  state_.best = Best{row.epoch, row.val_accuracy.value_or(row.accuracy), row.val_loss.value_or(row.loss)};
  return true;
}

void Run::end_epoch() {
  const Clock::time_point start = Clock::now();
  trainer_->check_last_step(source_->validation_images() == 0);
  const std::optional<Validation> validation = validate_average();
  const auto seen = static_cast<double>(state_.seen);
  EpochRow row;
  row.epoch = state_.epoch + 1;
  row.loss = state_.loss_sum / seen;
  row.accuracy = static_cast<double>(state_.correct) / seen;
  if (validation) {
    const evaluate::Metrics metrics = validation->images;
    row.val_loss = metrics.loss();
    row.val_accuracy = metrics.top1();
  }
  row.lr = schedule_->lr(std::max<std::int64_t>(state_.step - 1, 0));
  row.images_per_second = state_.seconds > 0.0 ? seen / state_.seconds : 0.0;
  row.seconds = state_.seconds + seconds_since(start);
  const bool best = note_best(row);
  progress_.end_epoch(row, best && row.val_accuracy);

  state_.rows.push_back(row);
  ++state_.epoch;
  state_.position = 0;
  state_.loss_sum = state_.seconds = 0.0;
  state_.correct = state_.seen = 0;
  // The checkpoint comes behind the files that it says are there: a run that dies in between makes the same ones again.
  if (best) {
    const WithAverage average(trainer_->optimiser());
    save_model("best.safetensors");
  }
  if (at_end() || seconds_since(saved_) >= std::min(kShortEpoch, 60.0 * options_.checkpoint_minutes)) {
    save_model("last.safetensors");
    save_checkpoint();
    report::write_curves(folder_.path(), state_.rows);
  }
  write_run_log(folder_ / "log.csv", state_.rows);
  steps_->flush();
  events_->epoch(row);
  options_.watcher.epoch_ended(row, best);
}

void Run::finish() {
  const auto total = static_cast<std::int64_t>(prepared_.split.validation.size());
  const auto progress = [&](std::int64_t done) {
    progress_.validate(done, total);
    stop_if_asked();
  };
  const report::RunReport results = write_results(folder_, state_, prepared_,
                                                  {.feature_seconds = feature_seconds_,
                                                   .threads = options_.threads,
                                                   .max_memory = options_.max_memory,
                                                   .explain = options_.explain,
                                                   .progress = progress});
  progress_.clear();
  if (results.metrics) {
    events_->picture("samples", state_.epoch, report::example_grid(results.samples, results.classes));
    events_->picture("confusion", state_.epoch, report::confusion_picture(*results.metrics, results.classes));
  }
  const Best& best = *state_.best;
  const std::string_view side = total > 0 ? "val_" : "";
  options_.notice(fmt::format("[train] {}: epoch {} of {}, {}accuracy {:.4f}, {}loss {:.4f}",
                              folder_ / "best.safetensors", best.epoch, state_.epoch, side, best.accuracy, side,
                              best.loss));
  if (results.temperature) {
    options_.notice(fmt::format("[train] temperature {:.3g}: calibration error {:.4f}, {:.4f} without",
                                *results.temperature, results.metrics->calibration_error(),
                                results.uncalibrated->calibration_error()));
  } else if (results.metrics) {
    options_.notice(fmt::format("[train] no temperature is stored: {}", results.why_no_temperature));
  }
  options_.notice(fmt::format("[train] {} shows the run", folder_ / "report.html"));
}

void Run::save_model(const std::string& name) {
  trainer_->update_tensors();
  weights::save_model(folder_ / name, *prepared_.model, prepared_.info);
}

void Run::save_checkpoint() {
  trainer_->check_last_step(false);
  trainer_->update_tensors();
  if (steps_ != nullptr) steps_->flush();  // a resumed run keeps the rows before its checkpoint
  state_.skipped = {skipped_.begin(), skipped_.end()};
  write_checkpoint(folder_.checkpoint(), state_, *prepared_.model, prepared_.info,
                   constant(trainer_->network().parameters), trainer_->optimiser().slots());
  saved_ = Clock::now();
}

void Run::write_config() const {
  nlohmann::ordered_json config = {
      {"version", GCVIT_VERSION},
      {"data", state_.data},
      {"weights", state_.weights},
      {"recipe", to_json(recipe())},
      {"model", parse_ordered_json(weights::serialise_config(prepared_.info.config), "train", "gcvit.config")},
      {"preprocess", parse_ordered_json(prepared_.info.preprocess_json, "train", "gcvit.preprocess")},
      {"classes", prepared_.info.classes},
      {"train_photos", state_.train.size()},
      {"validation_photos", state_.validation.size()},
      {"found", to_json(prepared_.found)},
      {"steps_per_epoch", steps_per_epoch_},
      {"steps", schedule_->steps()}};
  AtomicFile file(folder_ / "config.json");
  file.write(config.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  file.commit();
}

void Run::skip(const data::SkippedSample& skipped) {
  const std::string& name = prepared_.set.samples[skipped.sample].name;
  if (!skipped_.insert(name).second) return;
  progress_.clear();
  options_.notice(skipped.error + ": skipped");
}

}  // namespace

Outcome start_run(const std::string& path, const RunOptions& options) {
  RunFolder folder(path);
  folder.check_vacant();
  data::ImageSet set = data::open_image_set(options.data);
  folder.check_outside(set);
  check_any_there(set);
  Prepared prepared;
  try {
    const auto stop_if_asked = [&] {
      if (options.stop()) throw Stopped{};
    };
    Progress progress(options.watcher);
    prepared = prepare(std::move(set), options.start, options.recipe, options.notice,
                       {.threads = options.threads,
                        .while_waiting_for_list = stop_if_asked,
                        .on_hash_progress = [&](const data::HashProgress& hashed) {
                          progress.hashes(hashed);
                          stop_if_asked();
                        }});
  } catch (const Stopped&) {
    return Outcome::kStopped;
  }
  check_memory_of(prepared, options.recipe, options);
  RunState state;
  state.recipe = options.recipe;
  state.weights = options.weights;
  state.data = options.data;
  note_images(state, prepared);
  return Run(folder, options, std::move(prepared), std::move(state)).go(nullptr);
}

Outcome resume_run(RunFolder& folder, const RunOptions& options, const Checkpoint& checkpoint) {
  Prepared prepared = prepare(options.data, checkpoint, options.notice);
  check_memory_of(prepared, checkpoint.state.recipe, options);
  RunState state = checkpoint.state;
  if (options.epochs > 0) state.recipe.epochs = options.epochs;
  note_images(state, prepared);  // an older checkpoint has no stamps, and photos may have been written anew
  return Run(folder, options, std::move(prepared), std::move(state)).go(&checkpoint);
}

}  // namespace gcvit::train
