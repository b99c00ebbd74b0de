// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/mix.h"
#include "data/sampler.h"
#include "base/error.h"
#include "train/loss.h"

namespace gcvit::train {
namespace {

constexpr std::size_t kRecentLosses = 8;

std::vector<bool> trainable_of(const std::vector<ParameterGroup>& groups) {
  std::vector<bool> trainable;
  trainable.reserve(groups.size());
  for (const ParameterGroup& group : groups) trainable.push_back(group.trainable);
  return trainable;
}

std::vector<const ops::Parameter*> constant(const std::vector<ops::Parameter*>& parameters) {
  return {parameters.begin(), parameters.end()};
}

std::size_t argmax(std::span<const float> values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

/// The first value that isn't finite.
std::optional<float> not_finite(std::span<const float> values) {
  const auto found = std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
  if (found == values.end()) return std::nullopt;
  return *found;
}

}  // namespace

Trainer::Trainer(Network network, const Recipe& recipe, const SoftLabels* soft,
                 std::unique_ptr<ops::TrainingExecutor> executor, Skipped skipped)
    : network_(std::move(network)),
      recipe_(recipe),
      soft_(soft),
      skipped_(std::move(skipped)),
      executor_(std::move(executor)),
      optimiser_(recipe, network_.parameters, network_.groups, *executor_),
      gradients_(constant(network_.parameters), *executor_),
      trainable_(trainable_of(network_.groups)) {}

bool Trainer::keeps_branch(std::int64_t step, std::size_t sample, std::int32_t branch, float drop_path) const {
  return data::random_for_branch(recipe_.seed, static_cast<std::uint64_t>(step), sample,
                                 static_cast<std::uint32_t>(branch))
             .uniform() >= drop_path;
}

void Trainer::run_slice(std::span<const float> images, std::span<const std::size_t> samples,
                        std::span<const float> targets, std::span<const float> teacher, std::int64_t step, double scale,
                        StepResult& result) {
  const auto classes = static_cast<std::size_t>(network_.classes);
  if (result.images == 0) first_images_.assign(images.begin(), images.end());
  slope_.resize(samples.size() * classes);
  losses_.resize(samples.size());
  ops::TrainingExecutor::Training training;
  training.trainable = trainable_;
  training.recompute_sublayers = recipe_.grad_checkpointing;
  training.keeps_branch = [&](std::int32_t image, std::int32_t branch, float drop_path) {
    return keeps_branch(step, samples[static_cast<std::size_t>(image)], branch, drop_path);
  };
  executor_->set_precision(recipe_.dtype == "bf16" ? ops::Precision::kBf16 : ops::Precision::kF32);
  executor_->start_training(static_cast<std::int32_t>(samples.size()), std::move(training));
  const ops::Value logits = network_.forward(*executor_, executor_->input(network_.input, images));
  const std::span<const float> values = executor_->read(logits);
  cross_entropy(values, targets, network_.classes, scale,
                {.teacher = teacher, .temperature = recipe_.soft_temperature, .weight = recipe_.soft_weight}, losses_,
                slope_);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    result.loss_sum += losses_[i];
    // A smoothed target is largest at the label, a mixed one at that of the greater part.
    result.correct += argmax(values.subspan(i * classes, classes)) == argmax(targets.subspan(i * classes, classes));
  }
  result.images += static_cast<std::int64_t>(samples.size());
  // A loss that isn't finite ends the run before the weights change, so nothing more is needed of this slice.
  if (!std::isfinite(result.loss_sum)) return;
  executor_->backward(logits, slope_, gradients_.next());
  gradients_.add();
}

void Trainer::accumulate(data::Batch& batch, std::int64_t step, std::int32_t turn, double scale, StepResult& result) {
  const auto classes = static_cast<std::size_t>(network_.classes);
  const std::size_t count = batch.samples.size();
  targets_.resize(count * classes);
  write_targets(batch.labels, network_.classes, recipe_.label_smoothing, targets_);
  teacher_.clear();
  if (soft_ != nullptr) {
    for (const std::size_t sample : batch.samples) {
      const std::span<const float> row = soft_->of(sample);
      teacher_.insert(teacher_.end(), row.begin(), row.end());
    }
  }
  const std::optional<data::Mix> mix =
      data::draw_mix({.mixup = recipe_.mixup, .cutmix = recipe_.cutmix}, network_.input.height, network_.input.width,
                     data::random_for(recipe_.seed, data::Purpose::kMix, static_cast<std::uint64_t>(step),
                                      static_cast<std::uint64_t>(turn)));
  if (mix) {
    data::mix_images(*mix, batch.images, count, network_.input.height, network_.input.width);
    data::mix_targets(*mix, targets_, count);
    if (!teacher_.empty()) data::mix_targets(*mix, teacher_, count);
  }
  const auto size = static_cast<std::size_t>(network_.input.size());
  for (std::size_t begin = 0; begin < count && std::isfinite(result.loss_sum);) {
    const std::size_t images = std::min(slice_images(network_.input), count - begin);
    const auto rows = [&](const std::vector<float>& values) {
      return values.empty() ? std::span<const float>()
                            : std::span<const float>(values).subspan(begin * classes, images * classes);
    };
    run_slice(std::span<const float>(batch.images).subspan(begin * size, images * size),
              std::span<const std::size_t>(batch.samples).subspan(begin, images), rows(targets_), rows(teacher_), step,
              scale, result);
    begin += images;
  }
}

std::optional<StepResult> Trainer::step(BatchSource& source, std::int64_t step, std::int64_t expected, double lr) {
  StepResult result;
  const double scale = 1.0 / static_cast<double>(expected);
  for (std::int32_t turn = 0; turn < recipe_.grad_accum; ++turn) {
    const bool more = source.next(batch_);
    for (const data::SkippedSample& skipped : batch_.skipped) skipped_(skipped);
    if (!more) break;
    accumulate(batch_, step, turn, scale, result);
    result.position = batch_.next_position;
    if (!std::isfinite(result.loss_sum)) fail_not_finite("loss", result.loss_sum, step, lr);
  }
  if (result.images == 0) return std::nullopt;
  ops::ParameterVector& gradient = gradients_.finish();
  if (result.images != expected) {
    executor_->scale(gradient, static_cast<float>(static_cast<double>(expected) / static_cast<double>(result.images)));
  }
  result.norm = optimiser_.gradient_norm(gradient);
  if (!std::isfinite(result.norm)) fail_not_finite("norm of the gradient", result.norm, step, lr);
  optimiser_.step(gradient, lr, result.norm);
  last_ = LastStep{.step = step, .lr = lr};
  recent_.push_back(result.loss_sum / static_cast<double>(result.images));
  if (recent_.size() > kRecentLosses) recent_.pop_front();
  return result;
}

void Trainer::check_last_step(bool average) {
  if (!last_) return;
  if (!last_->checked) check_numbers();
  last_->checked = true;
  if (!average || !optimiser_.has_average() || last_->average_checked) return;
  const WithAverage averaged(optimiser_);
  check_last_logits();
  last_->average_checked = true;
}

void Trainer::check_numbers() {
  update_tensors();
  for (const ops::Parameter* parameter : network_.parameters) {
    if (const auto broken = not_finite(parameter->tensor.values())) {
      fail_diverged("weight " + parameter->name, *broken);
    }
    for (const Optimiser::Slot& slot : optimiser_.slots()) {
      if (const auto broken = not_finite(slot.values->read(*parameter))) {
        fail_diverged(fmt::format("optimiser's {} of {}", slot.name, parameter->name), *broken);
      }
    }
  }
  check_last_logits();
}

void Trainer::check_last_logits() {
  if (const auto broken = not_finite(logits_of(first_images_))) {
    fail_diverged("logit of a photo under the new weights", *broken);
  }
}

std::string Trainer::advice_on_rate() const {
  return fmt::format("most likely the learning rate is too high: try --lr {:.2g}{}{}", recipe_.lr / 10.0,
                     recipe_.clip_grad > 0.0 ? "" : " or --clip-grad 1",
                     recipe_.warmup_epochs > 0.0 ? "" : " or --warmup-epochs 1");
}

void Trainer::fail_diverged(std::string_view what, double value) const {
  fail_step(what, value, last_->step, last_->lr, advice_on_rate());
}

void Trainer::fail_not_finite(std::string_view what, double value, std::int64_t step, double lr) const {
  fail_step(what, value, step, lr,
            step == 0 ? "the weights or the photos' preprocessing can't be right: see `gcvit eval` on them"
                      : advice_on_rate());
}

void Trainer::fail_step(std::string_view what, double value, std::int64_t step, double lr,
                        std::string_view advice) const {
  std::string losses;
  for (const double loss : recent_) losses += fmt::format("{}{:.4g}", losses.empty() ? "" : ", ", loss);
  fail("[train] step {}: the {} is {} at learning rate {:.4g}{}; {}. Nothing was saved of it", step + 1, what,
       std::isnan(value) ? "not a number" : "infinite", lr, losses.empty() ? "" : ", after losses of " + losses,
       advice);
}

std::span<const float> Trainer::logits_of(std::span<const float> images) {
  const auto size = static_cast<std::size_t>(network_.input.size());
  executor_->set_precision(ops::Precision::kF32);
  executor_->start(static_cast<std::int32_t>(images.size() / size));
  return executor_->read(network_.forward(*executor_, executor_->input(network_.input, images)));
}

Validation Trainer::validate(BatchSource& source, const std::function<void(std::int64_t done)>& progress) {
  Validation result{.images = evaluate::Metrics(network_.classes), .samples = {}};
  const auto classes = static_cast<std::size_t>(network_.classes);
  const auto size = static_cast<std::size_t>(network_.input.size());
  source.start_validation();
  while (source.next(batch_)) {
    for (const data::SkippedSample& skipped : batch_.skipped) skipped_(skipped);
    const std::size_t count = batch_.samples.size();
    for (std::size_t begin = 0; begin < count;) {
      const std::size_t images = std::min(slice_images(network_.input), count - begin);
      const std::span<const float> values = logits_of(std::span(batch_.images).subspan(begin * size, images * size));
      if (const auto broken = not_finite(values)) {
        if (last_) fail_diverged("logit of a photo to validate", *broken);
        fail("[train] validation: a logit is not finite: the weights overflow float32");
      }
      for (std::size_t i = 0; i < images; ++i) {
        result.images.add(batch_.labels[begin + i], values.subspan(i * classes, classes));
        result.samples.push_back(batch_.samples[begin + i]);
      }
      begin += images;
    }
    progress(static_cast<std::int64_t>(result.samples.size()));
  }
  for (const data::SkippedSample& skipped : batch_.skipped) skipped_(skipped);
  return result;
}

}  // namespace gcvit::train
